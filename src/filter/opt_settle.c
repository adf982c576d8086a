/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last step of every optimisation: what nothing reaches or uses is left behind, the blocks get
 * an order in which the likely way falls through, and uses are counted.
 */
#include <string.h>

#include "filter/optimise.h"

#define NONE NPF_IR_NONE

struct settle {
	struct npf_opt *opt;
	struct npf_ir *ir;
	uint8_t *live;      /* old value: it is used */
	uint16_t *map;      /* old value: new value */
	uint16_t *order;    /* old blocks, in their new order from order[first] on */
	uint16_t *position; /* old block: its new number, NONE: not reached */
	uint16_t *stack;
	uint32_t first;
	uint32_t n_insns;
	uint32_t n_args;
};

/* ---- order ---------------------------------------------------------------------------------- */

/* The side that should follow directly: not a verdict, else the one said to be likely, else the
 * first. */
static uint32_t side_to_follow(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	bool yes = npf_ir_is_verdict(&ir->blocks[block->edges[0].block]);
	bool no = npf_ir_is_verdict(&ir->blocks[block->edges[1].block]);

	if (yes != no)
		return yes ? 1 : 0;
	return block->likely == NPF_IR_LIKELY_FALSE ? 1 : 0;
}

#define VISITED NONE - 1u

/*
 * Depth first, a block's number is given when all behind it have theirs, from the end. So the side
 * that is visited last stands directly behind its block. stack: block numbers; a block is looked at
 * until nothing behind it is new.
 */
static void order_blocks(struct settle *s)
{
	struct npf_ir *ir = s->ir;
	uint32_t depth = 1;

	for (uint32_t i = 0; i < ir->n_blocks; i++)
		s->position[i] = NONE;
	s->first = ir->n_blocks;
	s->stack[0] = 0;
	s->position[0] = VISITED;
	while (depth) {
		uint16_t here = s->stack[depth - 1];
		const struct npf_ir_block *block = &ir->blocks[here];
		uint32_t n = npf_ir_edges(block);
		uint32_t last = n == 2 ? side_to_follow(ir, block) : 0;
		bool is_done = true;

		for (uint32_t i = 0; i < n && is_done; i++) {
			uint32_t side = i + 1 < n ? 1 - last : last;
			uint16_t to = block->edges[side].block;

			if (s->position[to] != NONE)
				continue;
			s->position[to] = VISITED;
			s->stack[depth++] = to;
			is_done = false;
		}
		if (is_done) {
			s->order[--s->first] = here;
			depth--;
		}
	}
	for (uint32_t i = s->first; i < ir->n_blocks; i++)
		s->position[s->order[i]] = (uint16_t)(i - s->first);
}

/* ---- what is used --------------------------------------------------------------------------- */

static void mark(struct settle *s, uint16_t value)
{
	if (value != NONE)
		s->live[value] = 1;
}

/* Do both edges bring the same to the same block, as far as that uses it? */
static bool ways_agree(const struct settle *s, const struct npf_ir_block *block)
{
	const struct npf_ir *ir = s->ir;
	const struct npf_ir_block *to = &ir->blocks[block->edges[0].block];

	if (npf_ir_edges(block) < 2 || block->edges[0].block != block->edges[1].block)
		return false;
	for (uint32_t i = 0; i < to->params; i++) {
		if (s->live[to->first + i] &&
		    ir->args[block->edges[0].args + i] != ir->args[block->edges[1].args + i])
			return false;
	}
	return true;
}

static void mark_block(struct settle *s, struct npf_ir_block *block)
{
	const struct npf_ir *ir = s->ir;

	if (ways_agree(s, block)) {
		block->end = NPF_IR_GOTO;
		block->likely = NPF_IR_UNKNOWN;
		block->a = NONE;
		block->b = NONE;
		block->imm = 0;
	}
	for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
		const struct npf_ir_edge *edge = &block->edges[side];
		const struct npf_ir_block *to = &ir->blocks[edge->block];

		for (uint32_t i = 0; i < to->params; i++) {
			if (s->live[to->first + i])
				mark(s, ir->args[edge->args + i]);
		}
	}
	mark(s, block->a);
	mark(s, block->b);
	for (uint32_t i = block->first + block->count; i-- > block->first;) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (npf_ir_is_guard(insn->op))
			s->live[i] = 1;
		if (!s->live[i])
			continue;
		mark(s, insn->a);
		mark(s, insn->b);
	}
}

static void find_live(struct settle *s)
{
	memset(s->live, npf_opt_wants(s->opt, NPF_PASS_DEAD) ? 0 : 1, s->ir->n_insns);
	for (uint32_t i = s->ir->n_blocks; i-- > s->first;)
		mark_block(s, &s->ir->blocks[s->order[i]]);
}

/* ---- writing -------------------------------------------------------------------------------- */

static uint16_t renamed(const struct settle *s, uint16_t value)
{
	return value == NONE ? NONE : s->map[value];
}

/* An operand, and one use more of it. */
static uint16_t used(struct settle *s, uint16_t value)
{
	uint16_t name = renamed(s, value);

	if (name != NONE && s->ir->spare_insns[name].uses != UINT16_MAX)
		s->ir->spare_insns[name].uses++;
	return name;
}

static void write_edge(struct settle *s, const struct npf_ir_edge *from, struct npf_ir_edge *edge)
{
	const struct npf_ir_block *to = &s->ir->blocks[from->block];

	edge->block = s->position[from->block];
	edge->unused = 0;
	edge->args = s->n_args;
	for (uint32_t i = 0; i < to->params; i++) {
		if (s->live[to->first + i])
			s->ir->spare_args[s->n_args++] = used(s, s->ir->args[from->args + i]);
	}
}

static void write_block(struct settle *s, const struct npf_ir_block *old, struct npf_ir_block *block)
{
	struct npf_ir *ir = s->ir;

	*block = *old;
	block->first = (uint16_t)s->n_insns;
	block->params = 0;
	memset(block->edges, 0, sizeof(block->edges));
	for (uint32_t i = old->first; i < old->first + (uint32_t)old->count; i++) {
		struct npf_ir_insn *insn = &ir->spare_insns[s->n_insns];

		if (ir->insns[i].op == NPF_IR_NOP)
			continue;
		if (!s->live[i]) {
			npf_opt_count(s->opt, NPF_PASS_DEAD);
			continue;
		}
		*insn = ir->insns[i];
		insn->uses = 0;
		insn->a = used(s, insn->a);
		insn->b = used(s, insn->b);
		block->params += insn->op == NPF_IR_PARAM;
		s->map[i] = (uint16_t)s->n_insns++;
	}
	block->count = (uint16_t)(s->n_insns - block->first);
	block->a = used(s, block->a);
	block->b = used(s, block->b);
	for (uint32_t side = 0; side < npf_ir_edges(old); side++)
		write_edge(s, &old->edges[side], &block->edges[side]);
}

/* ---- sets ----------------------------------------------------------------------------------- */

/* The sets that something asks, a bit for each; with names, those are given to them. */
static uint64_t visit_sets(struct npf_ir *ir, const uint8_t *names)
{
	uint64_t asked = 0;

	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		struct npf_ir_block *block = &ir->blocks[i];

		if (block->end != NPF_IR_IF_IN)
			continue;
		asked |= 1ull << block->imm;
		block->imm = names ? names[block->imm] : block->imm;
	}
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op != NPF_IR_IS_IN)
			continue;
		asked |= 1ull << insn->imm;
		insn->imm = names ? names[insn->imm] : insn->imm;
	}
	return asked;
}

#define MAX_RENAMED 64u /* more sets than that are left as they are */

/* Sets that went into larger ones leave no gap. */
static void drop_sets(struct npf_ir *ir)
{
	uint8_t names[MAX_RENAMED];
	uint32_t n = 0, n_keys = 0;
	uint64_t asked;

	if (!ir->n_sets || ir->n_sets > MAX_RENAMED)
		return;
	asked = visit_sets(ir, NULL);
	for (uint32_t i = 0; i < ir->n_sets; i++) {
		struct npf_ir_set set = ir->sets[i];
		uint32_t numbers = set.is_range ? 2 * set.n : set.n;

		if (!(asked >> i & 1))
			continue;
		if (set.first != n_keys)
			memmove(ir->keys + n_keys, ir->keys + set.first,
				numbers * sizeof(*ir->keys));
		set.first = n_keys;
		n_keys += numbers;
		names[i] = (uint8_t)n;
		ir->sets[n++] = set;
	}
	if (n != ir->n_sets)
		visit_sets(ir, names);
	ir->n_sets = n;
	ir->n_keys = n_keys;
}

void npf_opt_settle(struct npf_opt *opt)
{
	struct npf_ir *ir = opt->ir;
	struct settle s = { .opt = opt, .ir = ir };

	s.map = (uint16_t *)ir->work;
	s.order = s.map + ir->n_insns;
	s.position = s.order + ir->n_blocks;
	s.stack = s.position + ir->n_blocks;
	s.live = (uint8_t *)(s.stack + ir->n_blocks);
	order_blocks(&s);
	find_live(&s);
	for (uint32_t i = s.first; i < ir->n_blocks; i++)
		write_block(&s, &ir->blocks[s.order[i]], &ir->spare_blocks[i - s.first]);
	npf_opt_exchange(ir, s.n_insns, ir->n_blocks - s.first, s.n_args);
	if (npf_opt_wants(opt, NPF_PASS_DEAD))
		drop_sets(ir);
}
