/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fork has of its parent's threads: it has only the one that forked, and what the others were
 * counted for never ends there. Hence counts are of one process, and begin anew in a fork of it.
 */
#include <pthread.h>

#include "wpcap/wpcap.h"

/* Of a count: the process above, and how many. */
#define COUNT_BITS 16u
#define COUNT_MASK ((1u << COUNT_BITS) - 1)

static uint32_t number;

static void in_child(void)
{
	number++;
}

/* Not at the first use, which may be in a signal handler. */
__attribute__((constructor)) static void prepare(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

uint32_t wpcap_process(void)
{
	return number;
}

static uint32_t of_process(uint32_t seen)
{
	return seen >> COUNT_BITS == (number & COUNT_MASK) ? seen : number << COUNT_BITS;
}

void wpcap_count_in(struct wpcap_count *count, uint32_t *process)
{
	uint32_t seen = __atomic_load_n(&count->word, __ATOMIC_RELAXED);

	*process = number;
	while (!__atomic_compare_exchange_n(&count->word, &seen, of_process(seen) + 1, true,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* Who forked meanwhile, in a signal handler, was counted in the parent only. */
uint32_t wpcap_count_out(struct wpcap_count *count, uint32_t process)
{
	if (process != number)
		return wpcap_counted(count);
	return __atomic_sub_fetch(&count->word, 1, __ATOMIC_SEQ_CST) & COUNT_MASK;
}

uint32_t wpcap_counted(const struct wpcap_count *count)
{
	return of_process(__atomic_load_n(&count->word, __ATOMIC_SEQ_CST)) & COUNT_MASK;
}
