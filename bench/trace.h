/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces in memory that other programs can open by name.
 */
#ifndef NPF_BENCH_TRACE_H
#define NPF_BENCH_TRACE_H

#include "bench.h"

#define TRACE_NUMBER_AT 42 /* in its frames, a number that is different in each */

struct trace {
	int fd;
	char path[40]; /* while this process lives */
	FILE *file;    /* while it is being written */
	uint32_t packets;
};

void trace_create(struct trace *trace);
void trace_add(struct trace *trace, uint64_t time, const uint8_t *frame, size_t size);
void trace_finish(struct trace *trace);

/* n packets that differ, 1 us apart. */
void trace_distinct(struct trace *trace, size_t size, unsigned int n);
/* Packets for so long, with gaps from shortest to longest (ns). */
void trace_gaps(struct trace *trace, uint64_t shortest, uint64_t longest, uint64_t length);

/* The time stamps in a savefile, to be freed; NULL when there are none. */
uint64_t *trace_times(int fd, size_t *n);

#endif
