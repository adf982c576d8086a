/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace on Linux: with NPF_TRACE=1 in the environment each traced function is a line on
 * standard error, indented by how deep it was called. It is the one thing this library prints.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/linux/linux.h"

#define LINE_SIZE 200
#define INDENT    2
#define DEEPEST   32
#define PREFIX    "npf: "

/* Of this thread. */
static _Thread_local int depth;

bool npf_linux_tracing(void)
{
	const char *wish = secure_getenv("NPF_TRACE");

	return wish && strcmp(wish, "") && strcmp(wish, "0");
}

/* In one write, so that lines of threads do not mix. */
static void print(const char *function, const char *what)
{
	int indent = (depth < DEEPEST ? depth : DEEPEST) * INDENT;
	char line[LINE_SIZE];
	int saved = errno;
	int n = snprintf(line, sizeof(line) - 1, PREFIX "%*s%s%s%s", indent, "", function,
			 what ? " " : "", what ? what : "");

	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	/* Nobody is there to be told that it failed. */
	if (write(STDERR_FILENO, line, (size_t)n + 1) < 0)
		n = 0;
	errno = saved;
}

static void note(const char *function, const char *what, bool begins)
{
	if (begins)
		print(function, what);
	depth += begins ? 1 : -1;
}

void npf_trace(const char *function, const char *what, bool begins)
{
	if (npf_linux_tracing())
		note(function, what, begins);
}

void npf_linux_trace(struct npf_host *host, const char *function, const char *what, bool begins)
{
	(void)host;
	note(function, what, begins);
}
