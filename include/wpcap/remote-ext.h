/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of pcap.h. */
#ifndef NPF_REMOTE_EXT_H
#define NPF_REMOTE_EXT_H

#include <pcap.h>

#endif
