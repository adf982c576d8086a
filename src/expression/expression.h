/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter expressions ("tcp and port 80") to programs. The compiler is libpcap's, on purpose: its
 * language is the one every user knows, and a second compiler would only differ from it. What is
 * ours is the choice of dialect, so that `vlan`, `inbound` and `outbound` mean on a Linux adapter
 * what they mean to tcpdump.
 */
#ifndef NPF_EXPRESSION_H
#define NPF_EXPRESSION_H

#include <stdint.h>

#include "npf/npf.h"

#define NPF_SNAPLEN_MAX 262144u /* libpcap's largest */

/* A program and the memory it lives in. */
struct npf_compiled {
	struct npf_program program; /* program.insns is insns */
	struct npf_insn *insns;     /* owned */
};

enum npf_direction { NPF_DIRECTION_BOTH = 0, NPF_DIRECTION_IN, NPF_DIRECTION_OUT };

/* libpcap's number of a savefile's link type and back; they differ for raw IP only. */
int npf_expression_dlt(uint32_t link_type);
uint32_t npf_expression_link_type(int dlt);

/* A compiler for one link type and snap length. Opening costs some 30 ms, compiling next to none:
 * keep it where there are several expressions. */
struct npf_compiler {
	void *handle; /* libpcap's */
	enum npf_dialect dialect;
	uint32_t link_type;
	uint32_t snaplen;
};

/* snaplen: 1 to NPF_SNAPLEN_MAX, what programs answer. -EINVAL, -ENOMEM with a sentence. */
int npf_compiler_open(struct npf_compiler *compiler, uint32_t link_type, uint32_t snaplen,
		      char error[NPF_ERROR_SIZE]);
void npf_compiler_close(struct npf_compiler *compiler); /* an all-zero one is fine */

/* Compile expr; "" accepts everything. -EINVAL with libpcap's words in error, -ENOTSUP when the
 * expression asks for what this kind of handle cannot know, -ENOMEM. The result is freed with
 * npf_expression_free(). */
int npf_compiler_compile(struct npf_compiler *compiler, const char *expr, struct npf_compiled *out,
			 char error[NPF_ERROR_SIZE]);

/* All three for a single expression. */
int npf_expression_compile(const char *expr, uint32_t link_type, uint32_t snaplen,
			   struct npf_compiled *out, char error[NPF_ERROR_SIZE]);

/* For the packets of a savefile, which is in this machine's byte order or the other one: every byte
 * is where it was on the wire. */
int npf_expression_compile_offline(const char *expr, uint32_t link_type, bool swapped,
				   struct npf_compiled *out, char error[NPF_ERROR_SIZE]);

/* Let a compiled program see one direction only. -ENOTSUP with a sentence in error when it is in
 * the dialect that knows no direction, -E2BIG, -ENOMEM; the program is unchanged then. */
int npf_expression_restrict(struct npf_compiled *compiled, enum npf_direction direction,
			    char error[NPF_ERROR_SIZE]);

void npf_expression_free(struct npf_compiled *compiled); /* an all-zero one is fine */

#endif
