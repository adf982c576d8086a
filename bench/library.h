/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phase l: programs of libpcap on libwpcap, beside themselves on libpcap, at one rate; libpcap's
 * ways to read beside ours; send queues of libwpcap beside the driver's.
 */
#ifndef NPF_BENCH_LIBRARY_H
#define NPF_BENCH_LIBRARY_H

#include <stdio.h>

#include "bench.h"

struct library_options {
	struct world *world;
	struct sender *sender;
	const char *npf;
	unsigned int rounds, ms;
};

/* Measure, print tables and verdicts to out, all values to json (NULL: nowhere). */
void library_bench(const struct library_options *options, FILE *out, const char *json);

/* npf-bench as a program of libpcap: what "npf-bench pcap-reader WAY ADAPTER" does. */
int library_reader(int argc, char **argv);

#endif
