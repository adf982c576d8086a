/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Equal ends. Compilers write the tests of IPv4 and IPv6, of source and destination one after the
 * other, and each ends in the same question about another value:
 *
 *	... v in set ─► T                   ... go to D (v)
 *	      └ F                           ... go to D (u)
 *	... u in set ─► T                   D (p): p in set ─► T
 *	      └ F                                    └ F
 *
 * It is asked once then, about a parameter. That is done where the question is a set, and where it
 * goes on to a block that already takes the value as a parameter: so lists whose first members a
 * compiler tested apart come together. Blocks that only return the same constant become one.
 */
#include <string.h>

#include "filter/optimise.h"

#define NONE NPF_IR_NONE

#define MAX_CANDIDATES 48u /* questions that are compared with each other */

struct merge {
	struct npf_opt *opt;
	struct npf_ir *ir;
	uint16_t *verdict; /* of each block: the one that stands for it */
	uint32_t n;
	uint16_t candidates[MAX_CANDIDATES];
	bool joined; /* a block with another */
};

/* ---- verdicts ------------------------------------------------------------------------------- */

static bool is_same_verdict(const struct npf_ir *ir, uint16_t x, uint16_t y)
{
	return ir->blocks[x].imm == ir->blocks[y].imm;
}

static void merge_verdicts(struct merge *m)
{
	struct npf_ir *ir = m->ir;
	uint16_t kept[8];
	uint32_t n = 0;

	for (uint32_t i = ir->n_blocks; i-- > 0;) {
		uint32_t k = 0;

		m->verdict[i] = (uint16_t)i;
		if (!npf_ir_is_verdict(&ir->blocks[i]))
			continue;
		while (k < n && !is_same_verdict(ir, kept[k], (uint16_t)i))
			k++;
		if (k < n)
			m->verdict[i] = kept[k];
		else if (n < 8)
			kept[n++] = (uint16_t)i;
	}
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		struct npf_ir_block *block = &ir->blocks[i];

		for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
			uint16_t *to = &block->edges[side].block;

			if (m->verdict[*to] == *to)
				continue;
			*to = m->verdict[*to];
			npf_opt_count(m->opt, NPF_PASS_MERGE);
		}
	}
}

/* ---- questions ------------------------------------------------------------------------------ */

static bool hands_on(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	for (uint32_t side = 0; side < 2; side++) {
		const struct npf_ir_edge *edge = &block->edges[side];

		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++) {
			if (ir->args[edge->args + i] == block->a)
				return true;
		}
	}
	return false;
}

static bool is_candidate(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	return block->end > NPF_IR_GOTO && block->b == NONE &&
	       (block->end == NPF_IR_IF_IN || hands_on(ir, block));
}

/* The same arguments, the values that are asked about standing for each other? */
static bool is_same_edge(const struct npf_ir *ir, const struct npf_ir_block *x,
			 const struct npf_ir_block *y, uint32_t side)
{
	const struct npf_ir_edge *ex = &x->edges[side], *ey = &y->edges[side];

	if (ex->block != ey->block)
		return false;
	for (uint32_t i = 0; i < ir->blocks[ex->block].params; i++) {
		uint16_t ax = ir->args[ex->args + i], ay = ir->args[ey->args + i];

		if ((ax == x->a) != (ay == y->a) || (ax != x->a && ax != ay))
			return false;
	}
	return true;
}

static bool is_same_question(const struct npf_ir *ir, const struct npf_ir_block *x,
			     const struct npf_ir_block *y)
{
	return x->end == y->end && x->imm == y->imm && is_same_edge(ir, x, y, 0) &&
	       is_same_edge(ir, x, y, 1);
}

static bool has_room(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	uint32_t args = 2;

	for (uint32_t side = 0; side < 2; side++)
		args += ir->blocks[block->edges[side].block].params;
	return ir->n_blocks < ir->max_blocks && ir->n_insns < ir->max_insns &&
	       ir->n_args + args + MAX_CANDIDATES <= ir->max_args;
}

/* A new block with one parameter that asks what this one asks. */
static uint16_t add_asker(struct merge *m, const struct npf_ir_block *model)
{
	struct npf_ir *ir = m->ir;
	struct npf_ir_block *block = &ir->blocks[ir->n_blocks];
	uint16_t param = (uint16_t)ir->n_insns++;

	ir->insns[param] = (struct npf_ir_insn){ .op = NPF_IR_PARAM, .a = NONE, .b = NONE };
	*block = *model;
	block->first = param;
	block->count = 1;
	block->params = 1;
	block->a = param;
	for (uint32_t side = 0; side < 2; side++) {
		struct npf_ir_edge *edge = &block->edges[side];
		uint32_t from = edge->args;

		edge->args = ir->n_args;
		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++) {
			uint16_t arg = ir->args[from + i];

			ir->args[ir->n_args++] = arg == model->a ? param : arg;
		}
	}
	return (uint16_t)ir->n_blocks++;
}

static void hand_over(struct merge *m, struct npf_ir_block *block, uint16_t to)
{
	struct npf_ir *ir = m->ir;
	struct npf_ir_edge none = { 0 };

	ir->args[ir->n_args] = block->a;
	block->edges[0] = (struct npf_ir_edge){ .block = to, .args = ir->n_args++ };
	block->edges[1] = none;
	block->end = NPF_IR_GOTO;
	block->likely = NPF_IR_UNKNOWN;
	block->a = NONE;
	block->imm = 0;
	npf_opt_count(m->opt, NPF_PASS_MERGE);
}

static bool is_only_way(const struct npf_ir *ir, uint16_t to)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		for (uint32_t side = 0; side < npf_ir_edges(&ir->blocks[i]); side++)
			n += ir->blocks[i].edges[side].block == to;
	}
	return n == 1;
}

static void rename_value(struct npf_ir *ir, uint16_t from, uint16_t to)
{
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		struct npf_ir_insn *insn = &ir->insns[i];

		insn->a = insn->a == from ? to : insn->a;
		insn->b = insn->b == from ? to : insn->b;
	}
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		struct npf_ir_block *block = &ir->blocks[i];

		block->a = block->a == from ? to : block->a;
		block->b = block->b == from ? to : block->b;
	}
	for (uint32_t i = 0; i < ir->n_args; i++)
		ir->args[i] = ir->args[i] == from ? to : ir->args[i];
}

/* All that led to the block came from questions that are one now: it needs no parameters, and can
 * be the next link of a chain. */
static void take_parameters(struct merge *m, const struct npf_ir_edge *edge)
{
	struct npf_ir *ir = m->ir;
	struct npf_ir_block *block = &ir->blocks[edge->block];
	uint32_t n = block->params;

	if (!n || !is_only_way(ir, edge->block))
		return;
	for (uint32_t i = 0; i < n; i++)
		rename_value(ir, (uint16_t)(block->first + i), ir->args[edge->args + i]);
	block->first = (uint16_t)(block->first + n);
	block->count = (uint16_t)(block->count - n);
	block->params = 0;
	m->joined = true;
}

/* Candidates from number i on that ask the same go to one block. */
static void merge_with(struct merge *m, uint32_t i)
{
	struct npf_ir *ir = m->ir;
	struct npf_ir_block model = ir->blocks[m->candidates[i]];
	uint16_t to = NONE;

	for (uint32_t k = i + 1; k < m->n; k++) {
		struct npf_ir_block *block = &ir->blocks[m->candidates[k]];

		if (block->end == NPF_IR_GOTO || !is_same_question(ir, &model, block))
			continue;
		if (to == NONE && !has_room(ir, &model))
			return;
		if (to == NONE) {
			to = add_asker(m, &model);
			hand_over(m, &ir->blocks[m->candidates[i]], to);
		}
		hand_over(m, block, to);
	}
	for (uint32_t side = 0; side < 2 && to != NONE; side++)
		take_parameters(m, &ir->blocks[to].edges[side]);
}

bool npf_opt_merge(struct npf_opt *opt)
{
	struct npf_ir *ir = opt->ir;
	struct merge m = { .opt = opt, .ir = ir, .verdict = (uint16_t *)ir->work };

	merge_verdicts(&m);
	for (uint32_t i = 0; i < ir->n_blocks && m.n < MAX_CANDIDATES; i++) {
		if (is_candidate(ir, &ir->blocks[i]))
			m.candidates[m.n++] = (uint16_t)i;
	}
	for (uint32_t i = 0; i < m.n; i++) {
		if (ir->blocks[m.candidates[i]].end != NPF_IR_GOTO)
			merge_with(&m, i);
	}
	return m.joined;
}
