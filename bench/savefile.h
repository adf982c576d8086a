/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phase f: `npf filter` beside `tcpdump -r IN -w OUT` on a file in the page cache.
 */
#ifndef NPF_BENCH_SAVEFILE_H
#define NPF_BENCH_SAVEFILE_H

#include <stdio.h>

struct savefile_options {
	const char *npf;
	const char *directory; /* where the files are, gone again when it ends */
	unsigned int mib;      /* of the input */
	unsigned int rounds;
};

/* Measure, print a table and verdicts to out, all values to json (NULL: nowhere). */
void savefile_bench(const struct savefile_options *options, FILE *out, const char *json);

#endif
