/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark of the filter engine in user space, phase e: engine.c measures and judges,
 * engine_packets.c has packets from traces and from a synthetic mix, engine_filters.c the filters,
 * engine_cc.c a C compiler as one of the engines, engine_group.c many filters at once.
 */
#ifndef NPF_BENCH_ENGINE_H
#define NPF_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench.h"
#include "npf/bpf.h"

/* ---- engine_packets.c ----------------------------------------------------------------------- */

#define PACKETS     4096u /* different ones */
#define PACKET_SLOT 136u  /* bytes from one to the next */
#define PACKET_SNAP 128u  /* bytes held of each, at most */
#define MAX_TRACES  1024u

struct packets {
	uint8_t *slots;
	uint32_t length[PACKETS], wire_length[PACKETS];
	const char *origin;       /* for people */
	char *traces[MAX_TRACES]; /* paths below the folder that they were drawn from */
	unsigned int n_traces;
	uint64_t seen; /* packets in those */
};

/* Of the Ethernet traces below a folder, drawn at random; false when there are none. */
bool packets_from_traces(struct packets *packets, const char *folder);
/* Made up: the usual protocols in about the usual shares. */
void packets_synthetic(struct packets *packets);
void packets_free(struct packets *packets);
/* The IPv4 source (a host's address) whose share of the packets comes nearest. */
uint32_t packets_host(const struct packets *packets, double share);

uint64_t engine_random(void);

/* ---- engine_filters.c ----------------------------------------------------------------------- */

#define MAX_FILTERS 32u

struct filter {
	char label[40];
	char *expression; /* NULL: the program was written by hand */
	struct npf_program program;
	bool judged; /* one of those whose geometric mean counts */
};

/* The filters that suit some packets. How many. */
unsigned int filters_make(struct filter filters[MAX_FILTERS], const struct packets *packets);
void filters_free(struct filter *filters, unsigned int n);
/* A list of n source hosts, none of which is in the packets but the last, written by hand: what a
 * chain of comparisons costs. */
void filter_hosts(struct filter *filter, uint32_t n, uint32_t last, const char *label);

/* ---- engine_cc.c ---------------------------------------------------------------------------- */

/* Programs translated to C line by line, compiled with -O3 for this processor, in shared objects that
 * have the same code at several places. NULL when there is no compiler, or it fails. function: one
 * of them, at one of the places (any number). */
struct compiled;
struct compiled *cc_compile(const struct filter *filters, unsigned int n);
uint32_t (*cc_function(const struct compiled *compiled, unsigned int place,
		       unsigned int i))(const uint8_t *, uint32_t, uint32_t);
void cc_free(struct compiled *compiled);

/* ---- engine_group.c ------------------------------------------------------------------------- */

struct filter_group {
	uint32_t n;
	struct npf_jit_filter *filters[MAX_FILTERS];
	struct npf_jit_group *code;
	struct series alone, together; /* ns */
	struct series compile_us;
	unsigned int mismatches;
};

/* Packets in the order of a round. */
struct group_packets {
	const uint8_t *const *packet;
	const uint32_t *length, *wire_length;
	uint32_t n;
};

/* The first n filters. */
void group_make(struct filter_group *group, struct npf_host *host, const struct filter *filters,
		uint32_t n);
/* The same code elsewhere. */
void group_place_anew(struct filter_group *group, struct npf_host *host,
		      const struct filter *filters);
void group_measure(struct filter_group *group, const struct group_packets *packets);
double group_ratio(const struct filter_group *group); /* together, of each alone */
void group_print(const struct filter_group *group, FILE *out);
void group_free(struct filter_group *group);

/* ---- engine.c ------------------------------------------------------------------------------- */

/* Measure, print tables and verdicts to out, all values to json (NULL: nowhere). traces: a folder,
 * NULL: none. */
void engine_bench(const char *traces, unsigned int rounds, FILE *out, const char *json);

#endif
