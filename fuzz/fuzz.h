/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share. scripts/fuzz builds them (-Dfuzz=true) and lets them run.
 */
#ifndef NPF_FUZZ_H
#define NPF_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npf/bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define check(holds) check_that(holds, #holds)

static inline void check_that(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static inline void *allocate(size_t size)
{
	void *memory = malloc(size ? size : 1);

	check(memory != NULL);
	return memory;
}

/* Exactly as long as said, so that the sanitizer sees every access beside it. */
static inline void *copy(const void *from, size_t size)
{
	void *to = allocate(size);

	memcpy(to, from, size);
	return to;
}

/* An input of a program and a packet: flags, the lowest of which is the dialect, and the number of
 * instructions are its first two bytes; behind a header come the instructions, then the packet. */
struct fuzz_input {
	struct npf_program program;
	struct npf_insn *insns; /* the program's, to be freed */
	const uint8_t *packet;
	uint32_t length;
};

static inline struct fuzz_input take_input(const uint8_t *input, size_t size, size_t header)
{
	size_t room = (size - header) / sizeof(struct npf_insn);
	uint32_t n = input[1] < room ? input[1] : (uint32_t)room;
	size_t insns_size = n * sizeof(struct npf_insn);
	struct npf_insn *insns = copy(input + header, insns_size);

	return (struct fuzz_input){
		.program = { .length = n,
			     .dialect = input[0] & 1 ? NPF_DIALECT_LINUX : NPF_DIALECT_WIRE,
			     .insns = insns },
		.insns = insns,
		.packet = input + header + insns_size,
		.length = (uint32_t)(size - header - insns_size),
	};
}

#endif
