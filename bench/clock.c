/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clocks, and how far a phase is.
 */
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		return 0;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

void progress(const char *what, unsigned int round, unsigned int rounds)
{
	if (isatty(2))
		fprintf(stderr, "\r\033[K%s: round %u of %u", what, round + 1, rounds);
	else if (!round)
		fprintf(stderr, "%s\n", what);
}
