/* SPDX-License-Identifier: BSD-3-Clause */
/* A signal handler that asks for the statistics, and a thread that sends the signals. */
#ifndef ASK_H
#define ASK_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "npf/npf.h"

static struct npf_instance *asked;
static volatile sig_atomic_t answers, refusals, backwards, unsound;
static uint64_t last;
static pthread_t caller; /* whom they interrupt */
static uint32_t ended;   /* atomic */

static inline void on_signal(int number)
{
	struct npf_stats stats;

	(void)number;
	if (npf_get_stats(asked, &stats)) {
		refusals++;
		return;
	}
	answers++;
	backwards += stats.received < last;
	unsound += stats.received != stats.filtered + stats.captured + stats.dropped;
	last = stats.received;
}

static inline void *send_signals(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&ended, __ATOMIC_ACQUIRE))
		pthread_kill(caller, SIGUSR1);
	return NULL;
}

#endif
