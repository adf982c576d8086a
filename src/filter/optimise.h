/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The passes, among themselves. Between passes the form may contain what npf_ir_verify() refuses:
 * NOPs, unreachable blocks, wrong uses, blocks that are out of order in insns[]; npf_opt_settle()
 * puts that right. Everything else holds after each pass.
 */
#ifndef NPF_OPTIMISE_H
#define NPF_OPTIMISE_H

#include "filter/ir.h"

struct npf_opt {
	struct npf_ir *ir;
	uint32_t passes;
	uint32_t kept_params; /* of each block, the first so many stay even where all ways agree */
	uint32_t changed[NPF_N_PASSES];
};

static inline bool npf_opt_wants(const struct npf_opt *opt, uint32_t pass)
{
	return opt->passes & pass;
}

static inline void npf_opt_count(struct npf_opt *opt, uint32_t pass)
{
	opt->changed[__builtin_ctz(pass)]++;
}

static inline uint32_t npf_ir_edges(const struct npf_ir_block *block)
{
	if (block->end == NPF_IR_RETURN)
		return 0;
	return block->end == NPF_IR_GOTO ? 1 : 2;
}

static inline bool npf_ir_is_guard(uint8_t op)
{
	return op == NPF_IR_NEED || op == NPF_IR_NONZERO;
}

/* A block that does nothing but return a constant. */
static inline bool npf_ir_is_verdict(const struct npf_ir_block *block)
{
	return block->end == NPF_IR_RETURN && block->a == NPF_IR_NONE && !block->count;
}

/* opt_fold.c: the instruction that computes the same more simply, in place. insns: of its
 * operands. Counts what it changes. */
void npf_opt_fold(struct npf_opt *opt, const struct npf_ir_insn *insns, struct npf_ir_insn *insn);

/* opt_fold.c: the same for the end of a block. */
void npf_opt_fold_end(struct npf_opt *opt, const struct npf_ir *ir, const struct npf_ir_insn *insns,
		      struct npf_ir_block *block);

/* opt_walk.c: one walk through the blocks, written anew: FOLD, NUMBER and THREAD, and of CHECKS
 * what earlier guards have shown. */
void npf_opt_walk(struct npf_opt *opt);

/* opt_sets.c, opt_header.c, opt_merge.c, opt_flatten.c: the passes of these names; checks: HOIST.
 * header: true when it did something; a walk must follow, after npf_opt_settle(). merge leaves
 * blocks out of order; true when chains may have come together. sets: of chains that begin with that
 * block or one behind it. */
void npf_opt_sets(struct npf_opt *opt, uint32_t from);
bool npf_opt_header(struct npf_opt *opt);
bool npf_opt_merge(struct npf_opt *opt);
void npf_opt_checks(struct npf_opt *opt);
void npf_opt_flatten(struct npf_opt *opt);

/* opt_settle.c: drop what is not reached or (DEAD) not used, order the blocks so that the likely
 * way falls through, count uses. */
void npf_opt_settle(struct npf_opt *opt);

/* What an operation can give at most. */
uint32_t npf_ir_bound_in(const struct npf_ir_insn *insns, uint16_t value);

/* Count the uses of every value anew, in unreachable blocks too (ir_build.c). */
void npf_ir_count_uses(struct npf_ir *ir);

/* The memory of a form for a program of n instructions, npf_ir_space(n) bytes, which becomes empty
 * (ir_build.c). */
void npf_ir_divide_space(struct npf_ir *ir, uint32_t n, void *memory);

/* The written arrays become those that are read. */
void npf_opt_exchange(struct npf_ir *ir, uint32_t n_insns, uint32_t n_blocks, uint32_t n_args);

#endif
