/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mutex over the host's park and unpark, for the control path. The packet path takes no lock.
 * state: 0 free; else the mark of the thread that holds it, with NPF_LOCK_PARKED when somebody may be
 * parked. A zeroed lock is free.
 */
#ifndef NPF_LOCK_H
#define NPF_LOCK_H

#include "driver/host.h"

#define NPF_LOCK_PARKED 1u

struct npf_lock {
	uintptr_t state;
};

/* Where the calling thread keeps its own data: no other thread's, not 0, and even. */
static inline uintptr_t npf_lock_mark(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

/* Does this thread hold it? Only a signal handler has to ask. */
static inline bool npf_lock_is_mine(const struct npf_lock *lock)
{
	uintptr_t state = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	return (state & ~(uintptr_t)NPF_LOCK_PARKED) == npf_lock_mark();
}

/* Threads park on the half with NPF_LOCK_PARKED. Two marks may have it in common: who goes on sleeping
 * because of that is unparked by the second. */
static inline uint32_t *npf_lock_word(struct npf_lock *lock)
{
	uint32_t *words = (void *)&lock->state;
	size_t last = sizeof(lock->state) / sizeof(*words) - 1;

	return words + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? last : 0);
}

static inline void npf_lock_take(struct npf_host *host, struct npf_lock *lock)
{
	uintptr_t mark = npf_lock_mark(), seen = 0;

	/* Who was parked takes it as if others still were. */
	while (!__atomic_compare_exchange_n(&lock->state, &seen, mark, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		uintptr_t parked = seen | NPF_LOCK_PARKED;

		if (seen == parked ||
		    __atomic_compare_exchange_n(&lock->state, &seen, parked, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			host->system->park(host, npf_lock_word(lock), (uint32_t)parked);
		mark |= NPF_LOCK_PARKED;
		seen = 0;
	}
}

/* false: somebody has it. */
static inline bool npf_lock_try(struct npf_lock *lock)
{
	uintptr_t seen = 0;

	return __atomic_compare_exchange_n(&lock->state, &seen, npf_lock_mark(), false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void npf_lock_release(struct npf_host *host, struct npf_lock *lock)
{
	if (__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) & NPF_LOCK_PARKED)
		host->system->unpark(host, npf_lock_word(lock));
}

#endif
