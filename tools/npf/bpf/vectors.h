/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files with filter programs, packets and the answers that they must give:
 *
 *	case  NAME free text          one record, up to its "end"
 *	tags  WORD WORD ...
 *	i     CODE JT JF K            an instruction; CODE and K hexadecimal
 *	p     WIRELEN BUFLEN HEX      a packet; "-": no bytes, HEX may be shorter than BUFLEN
 *	r     RET                     what the packet above must give, hexadecimal
 *	reject                        the program must be refused
 */
#ifndef NPF_TOOL_VECTORS_H
#define NPF_TOOL_VECTORS_H

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
	unsigned long line; /* read so far */
};

/* 0, or a negative errno value: the file cannot be read, -EBADMSG: line vectors->line is not
 * understood. To be freed in any case. */
int npf_vectors_read(const char *file, struct vectors *vectors);
void npf_vectors_free(struct vectors *vectors);

bool npf_vector_has_tag(const struct vector *vector, const char *tag);

#endif
