/* SPDX-License-Identifier: BSD-3-Clause */
/* A signal handler that asks for the statistics. */
#ifndef ASK_H
#define ASK_H

#include "lib/signals.h"
#include "npf/npf.h"

static struct npf_instance *asked;
static volatile sig_atomic_t answers, refusals, backwards, unsound;
static uint64_t last;

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

#endif
