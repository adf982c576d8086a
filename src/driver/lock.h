/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mutex over the host's park and unpark, for the control path. The packet path takes no lock.
 * state: 0 free; else a mark of the thread that holds it, with NPF_LOCK_PARKED when somebody may be
 * parked. A zeroed lock is free.
 */
#ifndef NPF_LOCK_H
#define NPF_LOCK_H

#include "driver/host.h"

#define NPF_LOCK_PARKED 1u

struct npf_lock {
	uint32_t state;
};

/* Of the calling thread: not 0, and without NPF_LOCK_PARKED. Where a thread keeps its own data tells it
 * from others. */
static inline uint32_t npf_lock_mark(void)
{
	return ((uint32_t)((uintptr_t)__builtin_thread_pointer() >> 4) & ~3u) | 2u;
}

/* Does this thread hold it? Only a signal handler has to ask. */
static inline bool npf_lock_is_mine(const struct npf_lock *lock)
{
	uint32_t state = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	return (state & ~NPF_LOCK_PARKED) == npf_lock_mark();
}

static inline void npf_lock_take(struct npf_host *host, struct npf_lock *lock)
{
	uint32_t mark = npf_lock_mark(), seen = 0;

	/* Who was parked takes it as if others still were. */
	while (!__atomic_compare_exchange_n(&lock->state, &seen, mark, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		uint32_t parked = seen | NPF_LOCK_PARKED;

		if (seen == parked ||
		    __atomic_compare_exchange_n(&lock->state, &seen, parked, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			host->system->park(host, &lock->state, parked);
		mark |= NPF_LOCK_PARKED;
		seen = 0;
	}
}

static inline void npf_lock_release(struct npf_host *host, struct npf_lock *lock)
{
	if (__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) & NPF_LOCK_PARKED)
		host->system->unpark(host, &lock->state);
}

#endif
