/* SPDX-License-Identifier: BSD-3-Clause */
/* Does another thread sleep, and how often did it go to sleep of its own accord? */
#ifndef NPF_TEST_ASLEEP_H
#define NPF_TEST_ASLEEP_H

#include "lib/check.h"

#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static inline unsigned long sleeps_of(pid_t thread, char *state)
{
	char path[64], line[128];
	unsigned long n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)thread);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "State: %c", state);
		sscanf(line, "voluntary_ctxt_switches: %lu", &n);
	}
	fclose(file);
	return n;
}

/* Does it wait in a system call, off every CPU? The kernel waits until it has left its CPU before it says
 * so; its state is that of a sleeper, and the sleep not counted, some instructions before. */
static inline bool waits(pid_t thread)
{
	char path[64], word[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)thread);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(word, sizeof(word), file));
	fclose(file);
	return strncmp(word, "running", 7) != 0;
}

/* Wait until the thread, whose number comes there, sleeps: how often it has. */
static inline unsigned long asleep(const pid_t *number)
{
	pid_t thread;
	char state = 0;
	unsigned long n;

	while (!(thread = __atomic_load_n(number, __ATOMIC_ACQUIRE)))
		sched_yield();
	for (;;) {
		n = sleeps_of(thread, &state);
		if (waits(thread) && n == sleeps_of(thread, &state) && state == 'S')
			return n;
		sched_yield();
	}
}

#endif
