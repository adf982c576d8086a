/* SPDX-License-Identifier: BSD-3-Clause */
/* What pcap.h includes of Windows. */
#ifndef NPF_PCAP_STDINC_H
#define NPF_PCAP_STDINC_H

#include <winsock2.h>

#endif
