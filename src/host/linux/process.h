/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which process is this? A fork has all that was made before it, and its descriptors are the same.
 */
#ifndef NPF_LINUX_PROCESS_H
#define NPF_LINUX_PROCESS_H

#include <stdint.h>

/* The lock of what a fork must not find half changed: chains of taps, a driver's devices, a host that begins
 * anew, libbpf's printer. Recursive; a fork waits for it. */
void npf_process_lock(void);
void npf_process_unlock(void);
/* Forks that there have been, up to this process; none is missing under the lock. */
uint32_t npf_process_forks(void);

/* Another than that of every process that this one is a fork of. Only what was asked for it before the
 * fork can tell. */
uint32_t npf_process_number(void);

#endif
