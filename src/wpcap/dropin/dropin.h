/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drop-in: libwpcap once more, under the name of libpcap, for programs that know nothing of it.
 * With it go functions that programs call instead of the C library's and libcap's:
 *
 *   dlopen.c   who loads libpcap while it runs gets this one
 *   rights.c   keeps rights
 *   select.c   saves system calls
 */
#ifndef NPF_WPCAP_DROPIN_H
#define NPF_WPCAP_DROPIN_H

#include <stdint.h>

#define DROPIN_EXPORT      __attribute__((visibility("default")))
#define DROPIN_DESCRIPTORS 1024 /* what select() can take */

/* By descriptor: a capture has packets that the next read will return. libwpcap writes it; weak, for
 * libwpcap.so itself is without. */
extern uint8_t npf_dropin_at_hand[DROPIN_DESCRIPTORS] __attribute__((weak));

#endif
