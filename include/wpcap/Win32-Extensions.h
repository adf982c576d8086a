/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of pcap.h. */
#ifndef NPF_WIN32_EXTENSIONS_H
#define NPF_WIN32_EXTENSIONS_H

#include <pcap.h>

#endif
