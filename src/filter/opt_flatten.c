/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fewer branches. Where packets come mixed a processor guesses wrong in every second of them, and
 * that costs more than computing a few conditions in vain. Two branches that share a target become
 * one about the sum of their conditions, when nothing stands between them but values:
 *
 *	if v == 1 then T                    c = (v == 1) | (u == 2)
 *	else if u == 2 then T else F        if c then T else F
 */
#include <string.h>

#include "filter/optimise.h"

#define NONE NPF_IR_NONE

#define MAX_JOINED 4u /* conditions in one block */
#define MAX_VALUES 6u /* that are computed for one more condition */

struct flatten {
	struct npf_opt *opt;
	struct npf_ir *ir;
	uint16_t *map;      /* old value: new value */
	uint16_t *position; /* old block: new block */
	uint8_t *arrivals;  /* edges that lead to each old block, up to 2; 0: joined with another */
	uint32_t n_insns;
	uint32_t n_blocks;
	uint32_t n_args;
};

/* The end of the block that is being written; its operands are new values, its edges old ones. */
struct tail {
	struct npf_ir_block block;
	struct npf_ir_block *written;
	bool is_value; /* its condition is a value already: it was joined */
};

/* ---- writing -------------------------------------------------------------------------------- */

static uint16_t mapped(const struct flatten *f, uint16_t value)
{
	return value == NONE ? NONE : f->map[value];
}

static uint16_t write_insn(struct flatten *f, struct npf_ir_block *block,
			   const struct npf_ir_insn *insn)
{
	f->ir->spare_insns[f->n_insns] = *insn;
	block->count++;
	return (uint16_t)f->n_insns++;
}

static void copy_insns(struct flatten *f, const struct npf_ir_block *from,
		       struct npf_ir_block *block)
{
	for (uint32_t i = from->first; i < from->first + (uint32_t)from->count; i++) {
		struct npf_ir_insn insn = f->ir->insns[i];

		insn.a = mapped(f, insn.a);
		insn.b = mapped(f, insn.b);
		f->map[i] = write_insn(f, block, &insn);
	}
}

/* A condition as a value, 1 when it leads to that side. is_value: it is one already. */
static uint16_t write_condition(struct flatten *f, struct npf_ir_block *block,
				const struct npf_ir_block *end, bool is_value, uint32_t side)
{
	struct npf_ir_insn is = {
		.op = (uint8_t)(NPF_IR_IS_EQ + end->end - NPF_IR_IF_EQ),
		.a = end->a,
		.b = end->b,
		.imm = end->imm,
	};
	struct npf_ir_insn inverse = { .op = NPF_IR_XOR, .b = NONE, .imm = 1 };
	uint16_t value = is_value ? end->a : write_insn(f, block, &is);

	if (!side)
		return value;
	inverse.a = value;
	return write_insn(f, block, &inverse);
}

/* ---- pairs ---------------------------------------------------------------------------------- */

static bool is_same_edge(const struct npf_ir *ir, const struct npf_ir_edge *x,
			 const struct npf_ir_edge *y)
{
	for (uint32_t i = 0; i < ir->blocks[x->block].params && x->block == y->block; i++) {
		if (ir->args[x->args + i] != ir->args[y->args + i])
			return false;
	}
	return x->block == y->block;
}

static bool has_only_values(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	if (block->params || block->count > MAX_VALUES)
		return false;
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		uint8_t op = ir->insns[i].op;

		if (npf_ir_is_guard(op) || op == NPF_IR_DIV || op == NPF_IR_MOD)
			return false;
	}
	return true;
}

/*
 * A branch that can be joined with the tail: it is behind side 1 - side of the tail, and shares
 * with the tail's `side` the target of its own side *shared. NONE: there is none.
 */
static uint16_t find_partner(const struct flatten *f, const struct tail *tail, uint32_t side,
			     uint32_t *shared)
{
	const struct npf_ir *ir = f->ir;
	uint16_t number = tail->block.edges[1 - side].block;
	const struct npf_ir_block *partner = &ir->blocks[number];

	if (f->arrivals[number] != 1 || partner->end <= NPF_IR_GOTO || !has_only_values(ir, partner))
		return NONE;
	for (*shared = 0; *shared < 2; (*shared)++) {
		if (is_same_edge(ir, &tail->block.edges[side], &partner->edges[*shared]))
			return number;
	}
	return NONE;
}

static bool has_room(const struct flatten *f)
{
	return f->n_insns + f->ir->n_insns + 16 < f->ir->max_insns &&
	       f->n_blocks + f->ir->n_blocks + 4 < f->ir->max_blocks &&
	       f->n_args + f->ir->n_args + 64 < f->ir->max_args;
}

/*
 * Both conditions as one: the shared target when the first leads to `side` or the second to
 * `shared`. When those are the sides of "no" twice, that is the opposite of both being true.
 */
static void join(struct flatten *f, struct tail *tail, uint32_t side,
		 const struct npf_ir_block *partner, uint32_t shared)
{
	bool is_both = side && shared;
	struct npf_ir_insn pair = { .op = is_both ? NPF_IR_AND : NPF_IR_OR };
	struct npf_ir_block end = *partner;

	pair.a = write_condition(f, tail->written, &tail->block, tail->is_value, is_both ? 0 : side);
	copy_insns(f, partner, tail->written);
	end.a = mapped(f, end.a);
	end.b = mapped(f, end.b);
	pair.b = write_condition(f, tail->written, &end, false, is_both ? 0 : shared);
	tail->block.a = write_insn(f, tail->written, &pair);
	tail->block.b = NONE;
	tail->block.imm = 1;
	tail->block.end = NPF_IR_IF_SET;
	tail->block.likely = NPF_IR_UNKNOWN;
	tail->block.edges[is_both] = partner->edges[shared];
	tail->block.edges[!is_both] = partner->edges[1 - shared];
	tail->is_value = true;
	npf_opt_count(f->opt, NPF_PASS_FLATTEN);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static struct npf_ir_block *begin_block(struct flatten *f)
{
	struct npf_ir_block *block = &f->ir->spare_blocks[f->n_blocks++];

	*block = (struct npf_ir_block){ .first = (uint16_t)f->n_insns, .a = NONE, .b = NONE };
	return block;
}

/* Edges get new arguments now, and new blocks when all are written. */
static void write_end(struct flatten *f, struct npf_ir_block *block, const struct npf_ir_block *end)
{
	struct npf_ir *ir = f->ir;

	block->end = end->end;
	block->likely = end->likely;
	block->a = end->a;
	block->b = end->b;
	block->imm = end->imm;
	for (uint32_t side = 0; side < npf_ir_edges(end); side++) {
		const struct npf_ir_edge *edge = &end->edges[side];

		block->edges[side] = (struct npf_ir_edge){ .block = edge->block, .args = f->n_args };
		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
			ir->spare_args[f->n_args++] = mapped(f, ir->args[edge->args + i]);
	}
}

static bool try_join(struct flatten *f, struct tail *tail)
{
	for (uint32_t side = 0; side < 2; side++) {
		uint32_t shared;
		uint16_t number = find_partner(f, tail, side, &shared);

		if (number == NONE)
			continue;
		join(f, tail, side, &f->ir->blocks[number], shared);
		f->arrivals[number] = 0;
		return true;
	}
	return false;
}

static void write_block(struct flatten *f, uint32_t number)
{
	const struct npf_ir_block *old = &f->ir->blocks[number];
	struct tail tail = { .block = *old };

	f->position[number] = (uint16_t)f->n_blocks;
	tail.written = begin_block(f);
	tail.written->params = old->params;
	copy_insns(f, old, tail.written);
	tail.block.a = mapped(f, old->a);
	tail.block.b = mapped(f, old->b);
	for (uint32_t i = 1; i < MAX_JOINED && tail.block.end > NPF_IR_GOTO && has_room(f); i++) {
		if (!try_join(f, &tail))
			break;
	}
	write_end(f, tail.written, &tail.block);
}

static void count_arrivals(struct flatten *f)
{
	const struct npf_ir *ir = f->ir;

	memset(f->arrivals, 0, ir->n_blocks);
	f->arrivals[0] = 1;
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		for (uint32_t side = 0; side < npf_ir_edges(&ir->blocks[i]); side++) {
			uint8_t *arrivals = &f->arrivals[ir->blocks[i].edges[side].block];

			*arrivals += *arrivals < 2;
		}
	}
}

static void resolve(const struct flatten *f)
{
	for (uint32_t i = 0; i < f->n_blocks; i++) {
		struct npf_ir_block *block = &f->ir->spare_blocks[i];

		for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
			uint16_t *to = &block->edges[side].block;

			*to = f->position[*to];
		}
	}
}

void npf_opt_flatten(struct npf_opt *opt)
{
	struct npf_ir *ir = opt->ir;
	struct flatten f = { .opt = opt, .ir = ir };

	f.map = (uint16_t *)ir->work;
	f.position = f.map + ir->n_insns;
	f.arrivals = (uint8_t *)(f.position + ir->n_blocks);
	count_arrivals(&f);
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		if (f.arrivals[i])
			write_block(&f, i);
	}
	resolve(&f);
	npf_opt_exchange(ir, f.n_insns, f.n_blocks, f.n_args);
}
