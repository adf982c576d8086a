/* SPDX-License-Identifier: BSD-3-Clause */
/* Forks of a test, which end well or fail it. */
#ifndef NPF_TEST_FORKS_H
#define NPF_TEST_FORKS_H

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

/* As fork(); what was printed is so once. */
static inline pid_t forks_begin(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	return pid;
}

static inline void forks_join(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#endif
