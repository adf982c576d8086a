/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that interrupts another one with signals, wherever that is: a few for each step of it and no
 * more, because a machine that takes longer for a signal than for the next one to be sent would do
 * nothing else.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define PER_STEP 16u
#define LATEST   5000u /* turns of an empty loop, some microseconds: longer than most calls */

static pthread_t caller; /* whom they interrupt */
static uint32_t steps;   /* of the caller; atomic */
static uint32_t ended;   /* atomic */

/* By the caller, between calls. */
static inline void step(void)
{
	__atomic_fetch_add(&steps, 1, __ATOMIC_RELEASE);
}

static inline void *send_signals(void *arg)
{
	uint32_t seen = __atomic_load_n(&steps, __ATOMIC_ACQUIRE), left = 0, wait = 0;

	(void)arg;
	while (!__atomic_load_n(&ended, __ATOMIC_ACQUIRE)) {
		const uint32_t now = __atomic_load_n(&steps, __ATOMIC_ACQUIRE);

		if (now != seen)
			left = PER_STEP;
		seen = now;
		if (!left) {
			sched_yield();
			continue;
		}
		left--;
		/* Another time after the last each time: at any point of the call. */
		wait = (wait + 7) % LATEST;
		for (volatile uint32_t i = 0; i < wait; i++)
			;
		pthread_kill(caller, SIGUSR1);
	}
	return NULL;
}

#endif
