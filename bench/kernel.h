/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phase k: filters in the kernel, ours beside SO_ATTACH_FILTER of the same expression.
 */
#ifndef NPF_BENCH_KERNEL_H
#define NPF_BENCH_KERNEL_H

#include <stdio.h>

#include "bench.h"

struct kernel_options {
	struct world *world;
	struct sender *sender;
	const char *npf;
	unsigned int rounds, ms;
};

/* Measure, print tables and verdicts to out, all values to json (NULL: nowhere). */
void kernel_bench(const struct kernel_options *options, FILE *out, const char *json);

#endif
