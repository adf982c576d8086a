/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter programs with packets and expected answers, from files that are not part of this tree:
 *
 *	case  NAME free text          one record, up to its "end"
 *	tags  WORD WORD ...
 *	i     CODE JT JF K            an instruction; CODE and K hexadecimal
 *	p     WIRELEN BUFLEN HEX      a packet; "-": no bytes, HEX may be shorter than BUFLEN
 *	r     RET                     what the packet above must give, hexadecimal
 *	reject                        the program must be refused
 */
#ifndef VECTORS_H
#define VECTORS_H

#include <stdbool.h>
#include <stddef.h>

#include "npf/bpf.h"

struct vector_run {
	uint32_t wire_length;
	uint32_t length;
	uint8_t *data; /* length bytes; those the file does not give are zero */
	uint32_t expected;
};

struct vector {
	char name[64];
	char tags[128]; /* " WORD WORD " */
	bool reject;
	uint32_t n_insns;
	struct npf_insn *insns;
	uint32_t n_runs;
	struct vector_run *runs;
};

struct vectors {
	size_t n;
	struct vector *list;
};

/* Read bpf/FILE of the directory $NPF_TESTDATA. 0, -ENOENT: there is none, other negative errno
 * values: it cannot be read or understood. */
int vectors_load(const char *file, struct vectors *vectors);
void vectors_free(struct vectors *vectors);

bool vector_has_tag(const struct vector *vector, const char *tag);

#endif
