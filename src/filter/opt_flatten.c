/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fewer branches. Where packets come mixed a processor guesses wrong in every second of them, and
 * that costs more than computing a few conditions in vain. Two branches that share a target become
 * one about the sum of their conditions, when nothing stands between them but values:
 *
 *	if v == 1 then T                    c = (v == 1) | (u == 2)
 *	else if u == 2 then T else F        if c then T else F
 *
 * In a joined form (ir_join.c) a branch that only notes an acceptance becomes the number that is noted:
 *
 *	if v == 1 then T else N (m)         c = v == 1
 *	T: a = m | 8; go to N (a)           a = m | c << 3; go to N (a)
 *
 * and two T that note the same are one target. A guard may be asked in vain there: where it fails,
 * the answer is left open.
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
	uint16_t mask; /* with what was noted: a new value, NONE */
	uint32_t at;   /* of edge 0's arguments: the mask */
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

/* The value that such an argument of the edge has: as the block computes it that only hands it on. */
static const struct npf_ir_insn *handed_on(const struct npf_ir *ir,
					   const struct npf_ir_block *block, uint32_t i)
{
	return &ir->insns[ir->args[block->edges[0].args + i]];
}

static bool is_note(const struct npf_ir_insn *insn)
{
	return insn->b == NONE && (insn->op == NPF_IR_OR || insn->op == NPF_IR_CONST);
}

/* Does the block note something at most, ask nothing, and go on? */
static bool only_hands_on(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	return block->end == NPF_IR_GOTO && !block->params &&
	       (!block->count || (block->count == 1 && is_note(&ir->insns[block->first])));
}

static bool is_same_value(const struct npf_ir_insn *x, const struct npf_ir_insn *y)
{
	return x == y ||
	       (is_note(x) && is_note(y) && x->op == y->op && x->a == y->a && x->imm == y->imm);
}

/* Do both sides lead to one block, with the same arguments? */
static bool leads_alike(const struct npf_ir *ir, const struct npf_ir_edge *x,
			const struct npf_ir_edge *y)
{
	const struct npf_ir_block *by_x = &ir->blocks[x->block], *by_y = &ir->blocks[y->block];
	uint16_t to = by_x->edges[0].block;

	if (is_same_edge(ir, x, y))
		return true;
	if (!ir->joined || !only_hands_on(ir, by_x) || !only_hands_on(ir, by_y) ||
	    to != by_y->edges[0].block)
		return false;
	for (uint32_t i = 0; i < ir->blocks[to].params; i++) {
		if (!is_same_value(handed_on(ir, by_x, i), handed_on(ir, by_y, i)))
			return false;
	}
	return true;
}

static bool has_only_values(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	if (block->params || block->count > MAX_VALUES)
		return false;
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		uint8_t op = ir->insns[i].op;

		if (op == NPF_IR_NEED && ir->joined)
			continue;
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
		if (leads_alike(ir, &tail->block.edges[side], &partner->edges[*shared]))
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

/* ---- notes ---------------------------------------------------------------------------------- */

/* The bit that a mask has more than another; 0: that is not all. */
static uint32_t added_bit(const struct npf_ir *ir, uint16_t before, uint16_t after)
{
	const struct npf_ir_insn *from = &ir->insns[before], *to = &ir->insns[after];
	uint32_t bit = 0;

	if (to->op == NPF_IR_OR && to->b == NONE && to->a == before)
		bit = to->imm;
	else if (to->op == NPF_IR_CONST && from->op == NPF_IR_CONST && !(from->imm & ~to->imm))
		bit = to->imm ^ from->imm;
	return bit & (bit - 1) ? 0 : bit;
}

/* Does that side of the tail only note something, and go where the other side goes? The bit, and
 * which argument is the mask. */
static uint32_t find_note(const struct npf_ir *ir, const struct npf_ir_block *tail, uint32_t side,
			  uint32_t *at)
{
	const struct npf_ir_block *note = &ir->blocks[tail->edges[side].block];
	const struct npf_ir_edge *other = &tail->edges[1 - side];
	uint32_t bit = 0;

	if (!only_hands_on(ir, note) || note->edges[0].block != other->block)
		return 0;
	for (uint32_t i = 0; i < ir->blocks[other->block].params; i++) {
		uint16_t before = ir->args[other->args + i];
		uint16_t after = ir->args[note->edges[0].args + i];

		if (before == after)
			continue;
		if (bit)
			return 0;
		bit = added_bit(ir, before, after);
		*at = i;
		if (!bit)
			return 0;
	}
	return bit;
}

/* mask | condition << number of the bit; the tail branches no longer. */
static void write_note(struct flatten *f, struct tail *tail, uint32_t side, uint32_t bit)
{
	const struct npf_ir_edge other = tail->block.edges[1 - side];
	struct npf_ir_insn shift = { .op = NPF_IR_LSH, .b = NONE };
	struct npf_ir_insn mask = { .op = NPF_IR_OR };

	shift.imm = (uint32_t)__builtin_ctz(bit);
	shift.a = write_condition(f, tail->written, &tail->block, tail->is_value, side);
	mask.a = mapped(f, f->ir->args[other.args + tail->at]);
	mask.b = shift.imm ? write_insn(f, tail->written, &shift) : shift.a;
	tail->mask = write_insn(f, tail->written, &mask);
	tail->block.end = NPF_IR_GOTO;
	tail->block.a = tail->block.b = NONE;
	tail->block.edges[0] = other;
	npf_opt_count(f->opt, NPF_PASS_FLATTEN);
}

static void try_note(struct flatten *f, struct tail *tail)
{
	for (uint32_t side = 0; side < 2 && tail->block.end > NPF_IR_GOTO && has_room(f); side++) {
		uint32_t bit = find_note(f->ir, &tail->block, side, &tail->at);

		if (bit)
			write_note(f, tail, side, bit);
	}
}

/* ---- blocks --------------------------------------------------------------------------------- */

static struct npf_ir_block *begin_block(struct flatten *f)
{
	struct npf_ir_block *block = &f->ir->spare_blocks[f->n_blocks++];

	*block = (struct npf_ir_block){ .first = (uint16_t)f->n_insns, .a = NONE, .b = NONE };
	return block;
}

/* Edges get new arguments now, and new blocks when all are written. */
static void write_end(struct flatten *f, struct npf_ir_block *block, const struct tail *tail)
{
	const struct npf_ir_block *end = &tail->block;
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
		if (tail->mask != NONE)
			ir->spare_args[block->edges[side].args + tail->at] = tail->mask;
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
	struct tail tail = { .block = *old, .mask = NONE };

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
	if (f->ir->joined)
		try_note(f, &tail);
	write_end(f, tail.written, &tail);
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
