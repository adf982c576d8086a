/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mutex over the host's park and unpark, for the control path. The packet path takes no lock.
 * state: 0 free, 1 held, 2 held and somebody may be parked. A zeroed lock is free.
 */
#ifndef NPF_LOCK_H
#define NPF_LOCK_H

#include "driver/host.h"

struct npf_lock {
	uint32_t state;
};

static inline void npf_lock_take(struct npf_host *host, struct npf_lock *lock)
{
	uint32_t seen = 0;

	if (__atomic_compare_exchange_n(&lock->state, &seen, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&lock->state, 2, __ATOMIC_ACQUIRE))
		host->system->park(host, &lock->state, 2);
}

static inline void npf_lock_release(struct npf_host *host, struct npf_lock *lock)
{
	if (__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) == 2)
		host->system->unpark(host, &lock->state);
}

#endif
