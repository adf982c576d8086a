/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What npf run preloads beside libwpcap, npf-run.so: functions that programs call instead of the C
 * library's and libcap's. run_rights.c keeps rights, run_select.c saves system calls.
 */
#ifndef NPF_WPCAP_RUN_H
#define NPF_WPCAP_RUN_H

#include <stdint.h>

#define RUN_EXPORT      __attribute__((visibility("default")))
#define RUN_DESCRIPTORS 1024 /* what select() can take */

/* By descriptor: a capture has packets that the next read will return. libwpcap writes it, where it
 * finds it. */
extern uint8_t npf_run_at_hand[RUN_DESCRIPTORS];

#endif
