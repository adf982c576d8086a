/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many packets at a time, one in each lane. Blocks are walked in their order, whatever the packets
 * hold: every edge leads forward, so when a block's turn comes, all lanes that will ever be in it
 * have been told to. A lane belongs to one block at a time; where ways join, parameters are blended
 * edge by edge. A lane that a guard stops is in no block any more, and its verdict stays 0.
 *
 * A run of blocks that has something to fetch is left out when none of the lanes is in it.
 */
#include <errno.h>
#include <string.h>

#include "filter/x86_vector.h"

#define WORD         4u  /* bytes */
#define MOST_SLOTS   80u /* beyond, filters are not worth it */
#define SKIP_FETCHES 2u  /* a run that fetches so much can be left out */
#define SKIP_BLOCKS  64u /* the longest run */

static uint32_t at_insn(uint32_t block, uint32_t insn)
{
	return 2 * (block + insn);
}

static uint32_t at_end(const struct npf_x86_lanes *g, uint32_t block)
{
	const struct npf_ir_block *b = &g->ir->blocks[block];

	return 2 * (block + b->first + b->count);
}

static uint32_t edges_of(const struct npf_ir_block *block)
{
	return block->end == NPF_IR_RETURN ? 0 : block->end == NPF_IR_GOTO ? 1 : 2;
}

/* ---- lives ----------------------------------------------------------------------------------- */

static void use(struct npf_x86_lanes *g, uint16_t value, uint32_t at)
{
	if (value != NPF_IR_NONE && at > g->values[value].end)
		g->values[value].end = at;
}

static void look_at_end(struct npf_x86_lanes *g, uint32_t number)
{
	const struct npf_ir_block *block = &g->ir->blocks[number];
	uint32_t at = at_end(g, number);

	for (uint32_t i = 0; i < edges_of(block); i++) {
		const struct npf_ir_edge *edge = &block->edges[i];
		const struct npf_ir_block *to = &g->ir->blocks[edge->block];

		for (uint32_t k = 0; k < to->params; k++) {
			if (g->values[to->first + k].end)
				use(g, g->ir->args[edge->args + k], at);
		}
	}
	if (block->end == NPF_IR_GOTO)
		return;
	use(g, block->a, at);
	if (block->end != NPF_IR_RETURN)
		use(g, block->b, at);
}

static bool look_at_all(struct npf_x86_lanes *g)
{
	for (uint32_t b = g->ir->n_blocks; b--;) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		look_at_end(g, b);
		for (uint32_t i = block->first + block->count; i-- > block->first;) {
			const struct npf_ir_insn *insn = &g->ir->insns[i];

			g->block_of[i] = (uint16_t)b;
			if (insn->op < NPF_IR_NEED && !g->values[i].end)
				continue;
			if (insn->op == NPF_IR_FIELD || insn->op == NPF_IR_DIV ||
			    insn->op == NPF_IR_MOD)
				return false;
			use(g, insn->a, at_insn(b, i));
			use(g, insn->b, at_insn(b, i));
		}
	}
	return true;
}

/* ---- places ---------------------------------------------------------------------------------- */

static uint16_t new_slot(struct npf_x86_lanes *g)
{
	return (uint16_t)g->n_slots++;
}

/* A register from `at` to `end`, or a slot. */
static int8_t find_place(struct npf_x86_lanes *g, uint32_t at, uint32_t end, uint16_t *slot)
{
	int last = g->wide ? 32 : 16;

	for (int reg = g->wide ? V_FREE_512 : V_FREE_256; reg < last; reg++) {
		if (g->owner[reg] <= at) {
			g->owner[reg] = end;
			g->used |= 1u << reg;
			return (int8_t)reg;
		}
	}
	*slot = new_slot(g);
	return NPF_X86_NONE;
}

static void place(struct npf_x86_lanes *g, uint16_t value, uint32_t at)
{
	struct npf_x86_lane_value *v = &g->values[value];

	v->placed = true;
	v->reg = find_place(g, at, v->end, &v->slot);
}

static bool is_constant(const struct npf_x86_lanes *g, uint16_t value)
{
	return g->ir->insns[value].op == NPF_IR_CONST;
}

static struct npf_x86_operand location(const struct npf_x86_lanes *g, uint16_t value)
{
	const struct npf_x86_lane_value *v = &g->values[value];

	return v->reg == NPF_X86_NONE ? npf_x86_lanes_slot(g, v->slot) : npf_x86_reg(v->reg);
}

/* A value in a register. */
static int fetch(struct npf_x86_lanes *g, uint16_t value, int scratch)
{
	const struct npf_x86_lane_value *v = &g->values[value];

	if (is_constant(g, value)) {
		npf_x86_lanes_set(g, scratch, g->ir->insns[value].imm);
		return scratch;
	}
	if (v->reg != NPF_X86_NONE)
		return v->reg;
	npf_x86_lanes_move(g, scratch, npf_x86_lanes_slot(g, v->slot));
	return scratch;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static const struct npf_x86_set *set_of(struct npf_x86_lanes *g, uint16_t value, uint32_t number)
{
	struct npf_x86_set *set = &g->sets[number];
	uint32_t bound = npf_ir_bound(g->ir, value);

	if (bound <= 0xFFFF)
		bound = 0xFFFF;
	if (set->built && (set->form != NPF_X86_BITMAP || bound <= 0xFFFF))
		return set;
	if (!npf_x86_set_build_permuted(g->as, g->ir, number, bound, g->set_work, set))
		npf_x86_set_build(g->as, g->ir, number, bound, 0, g->set_work, set);
	return set;
}

static void compare(struct npf_x86_lanes *g, uint8_t end, uint16_t a, uint16_t b, uint32_t imm)
{
	int left = fetch(g, a, V_T0);

	if (end == NPF_IR_IF_IN) {
		/* A look-up works in the scratch registers. */
		if (left == V_T0)
			npf_x86_lanes_move(g, V_T3, npf_x86_reg(V_T0));
		npf_x86_lanes_look_up(g, set_of(g, a, imm), left == V_T0 ? V_T3 : left);
	} else if (b == NPF_IR_NONE) {
		npf_x86_lanes_compare_imm(g, end, left, imm);
	} else if (is_constant(g, b)) {
		npf_x86_lanes_compare_imm(g, end, left, g->ir->insns[b].imm);
	} else {
		npf_x86_lanes_compare(g, end, left, location(g, b));
	}
}

/* ---- instructions ---------------------------------------------------------------------------- */

static void need(struct npf_x86_lanes *g, const struct npf_ir_insn *insn)
{
	int base;

	if (insn->a == NPF_IR_NONE) {
		npf_x86_lanes_compare_imm(g, NPF_IR_IF_GE, V_LENGTH, insn->imm);
		npf_x86_lanes_narrow(g);
		return;
	}
	base = fetch(g, insn->a, V_T0);
	if ((uint64_t)npf_ir_bound(g->ir, insn->a) + insn->imm <= UINT32_MAX) {
		npf_x86_lanes_op_imm(g, NPF_V_ADD, V_T1, base, insn->imm);
		npf_x86_lanes_compare(g, NPF_IR_IF_GE, V_LENGTH, npf_x86_reg(V_T1));
	} else {
		npf_x86_lanes_compare_imm(g, NPF_IR_IF_GE, V_LENGTH, insn->imm);
		npf_x86_lanes_narrow(g);
		npf_x86_lanes_op_imm(g, NPF_V_SUB, V_T1, V_LENGTH, insn->imm);
		npf_x86_lanes_compare(g, NPF_IR_IF_GE, V_T1, npf_x86_reg(base));
	}
	npf_x86_lanes_narrow(g);
}

/* The words at base (a register) + at, of current lanes. */
static void gather(struct npf_x86_lanes *g, int to, int base, int32_t at)
{
	if (at < 0) {
		/* A word may not begin before its packet. */
		npf_x86_lanes_set(g, V_T1, (uint32_t)-at);
		npf_x86_lanes_compare(g, NPF_IR_IF_GT, V_T1, npf_x86_reg(base));
		npf_x86_lanes_jump_any(g, NPF_X86_EDGE, g->bail);
	}
	npf_x86_lanes_gather(g, to, base, at);
}

static void fetch_word(struct npf_x86_lanes *g, const struct npf_x86_gather *word, int to)
{
	int base = word->base == NPF_IR_NONE ? NPF_X86_NONE : fetch(g, word->base, V_T0);

	gather(g, to, base, word->at);
}

/* A load that is in no head. */
static void load_far(struct npf_x86_lanes *g, uint16_t value, uint32_t at, int to)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	struct npf_x86_gather *word = &g->gathers[g->values[value].gather];
	uint32_t from = (uint32_t)((int64_t)insn->imm - word->at);
	int reg;

	if (!word->fetched && word->end == at) {
		fetch_word(g, word, to);
		npf_x86_lanes_extract(g, to, npf_x86_reg(to), from, insn->size);
		return;
	}
	if (!word->fetched) {
		word->fetched = true;
		word->reg = find_place(g, at - 1, word->end, &word->slot);
		reg = word->reg == NPF_X86_NONE ? V_T3 : word->reg;
		fetch_word(g, word, reg);
		if (word->reg == NPF_X86_NONE)
			npf_x86_lanes_store(g, npf_x86_lanes_slot(g, word->slot), reg);
	}
	npf_x86_lanes_extract(g, to,
			      word->reg == NPF_X86_NONE ? npf_x86_lanes_slot(g, word->slot)
							: npf_x86_reg(word->reg),
			      from, insn->size);
}

/* Lanes whose header is longer than usual read what stands behind it. */
static void load_unusual(struct npf_x86_lanes *g, uint16_t value, int to)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	const struct npf_x86_lane_value *v = &g->values[value];
	uint32_t usual = npf_x86_label(g->as);
	int base = fetch(g, insn->a, V_T0);

	if (v->reg == NPF_X86_NONE)
		npf_x86_lanes_store(g, npf_x86_lanes_slot(g, v->slot), to);
	npf_x86_lanes_compare_imm(g, NPF_IR_IF_EQ, base, NPF_X86_USUAL);
	npf_x86_lanes_others(g);
	npf_x86_lanes_jump_none(g, NPF_X86_EDGE, usual);
	npf_x86_lanes_keep_mask(g);
	npf_x86_lanes_narrow(g);
	gather(g, V_T3, base, (int32_t)(insn->imm + insn->size) - (int32_t)WORD);
	npf_x86_lanes_extract(g, V_T3, npf_x86_reg(V_T3), WORD - insn->size, insn->size);
	if (v->reg == NPF_X86_NONE) {
		npf_x86_lanes_move(g, V_T0, npf_x86_lanes_slot(g, v->slot));
		npf_x86_lanes_blend(g, NPF_X86_CURRENT, V_T0, npf_x86_reg(V_T3));
		npf_x86_lanes_move(g, to, npf_x86_reg(V_T0));
	} else {
		npf_x86_lanes_blend(g, NPF_X86_CURRENT, to, npf_x86_reg(V_T3));
	}
	npf_x86_lanes_restore_mask(g);
	npf_x86_bind(g->as, usual);
}

static void load(struct npf_x86_lanes *g, uint16_t value, uint32_t at, int to)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	bool is_behind = insn->a != NPF_IR_NONE;
	const struct npf_x86_word *word;

	if (g->values[value].word == NPF_X86_NO_WORD) {
		load_far(g, value, at, to);
		return;
	}
	word = &g->words[g->values[value].word];
	npf_x86_lanes_extract(g, to,
			      word->reg == NPF_X86_NONE ? npf_x86_lanes_slot(g, word->slot)
							: npf_x86_reg(word->reg),
			      insn->imm + (is_behind ? NPF_X86_USUAL : 0) - word->at, insn->size);
	if (is_behind)
		load_unusual(g, value, to);
}

static uint32_t operation_of(uint8_t op)
{
	switch (op) {
	case NPF_IR_ADD:
		return NPF_V_ADD;
	case NPF_IR_SUB:
		return NPF_V_SUB;
	case NPF_IR_MUL:
		return NPF_V_MUL;
	case NPF_IR_AND:
		return NPF_V_AND;
	case NPF_IR_OR:
		return NPF_V_OR;
	case NPF_IR_XOR:
		return NPF_V_XOR;
	case NPF_IR_LSH:
		return NPF_V_SLLV;
	default:
		return NPF_V_SRLV;
	}
}

static void operate(struct npf_x86_lanes *g, const struct npf_ir_insn *insn, int to)
{
	int a = fetch(g, insn->a, V_T0);

	if (insn->op == NPF_IR_NEG) {
		npf_x86_lanes_set(g, V_T1, 0);
		npf_x86_lanes_op(g, NPF_V_SUB, to, V_T1, npf_x86_reg(a));
	} else if (insn->b == NPF_IR_NONE && (insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH)) {
		npf_x86_lanes_shift(g, insn->op == NPF_IR_LSH, to, a, insn->imm);
	} else if (insn->b == NPF_IR_NONE) {
		npf_x86_lanes_op_imm(g, operation_of(insn->op), to, a, insn->imm);
	} else if (is_constant(g, insn->b)) {
		npf_x86_lanes_op_imm(g, operation_of(insn->op), to, a, g->ir->insns[insn->b].imm);
	} else {
		npf_x86_lanes_op(g, operation_of(insn->op), to, a, location(g, insn->b));
	}
}

static void compute(struct npf_x86_lanes *g, uint16_t value, uint32_t at, int to)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	switch (insn->op) {
	case NPF_IR_LOAD:
		load(g, value, at, to);
		break;
	case NPF_IR_CAPLEN:
		npf_x86_lanes_move(g, to, npf_x86_reg(V_LENGTH));
		break;
	case NPF_IR_WIRELEN:
		npf_x86_lanes_move(g, to, npf_x86_indexed(NPF_R10, NPF_RAX, 2, 0));
		break;
	case NPF_IR_IS_EQ:
	case NPF_IR_IS_GT:
	case NPF_IR_IS_GE:
	case NPF_IR_IS_SET:
	case NPF_IR_IS_IN:
		compare(g, (uint8_t)(insn->op - NPF_IR_IS_EQ + NPF_IR_IF_EQ), insn->a, insn->b,
			insn->imm);
		npf_x86_lanes_truth(g, to);
		break;
	default:
		operate(g, insn, to);
		break;
	}
}

static void do_insn(struct npf_x86_lanes *g, uint16_t value, uint32_t at)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	struct npf_x86_lane_value *v = &g->values[value];
	int to;

	if (insn->op == NPF_IR_NEED) {
		need(g, insn);
	} else if (insn->op == NPF_IR_NONZERO) {
		npf_x86_lanes_compare_imm(g, NPF_IR_IF_SET, fetch(g, insn->a, V_T0), UINT32_MAX);
		npf_x86_lanes_narrow(g);
	}
	if (!v->end || insn->op == NPF_IR_CONST || insn->op == NPF_IR_PARAM)
		return;
	/* A load fetches in two steps: its base must outlive the first. */
	place(g, value, insn->op == NPF_IR_LOAD ? at - 1 : at);
	to = v->reg == NPF_X86_NONE ? V_T3 : v->reg;
	compute(g, value, at, to);
	if (v->reg == NPF_X86_NONE)
		npf_x86_lanes_store(g, npf_x86_lanes_slot(g, v->slot), to);
}

/* ---- edges ----------------------------------------------------------------------------------- */

static bool only_returns(const struct npf_x86_lanes *g, uint32_t block)
{
	const struct npf_ir_block *b = &g->ir->blocks[block];

	return b->end == NPF_IR_RETURN && b->a == NPF_IR_NONE && !b->count;
}

/* Room for the mask of a block that lanes will come to. */
static void begin_pending(struct npf_x86_lanes *g, struct npf_x86_pending *pending)
{
	pending->begun = true;
	pending->k = NPF_X86_NONE;
	for (int k = 2; g->wide && k < 2 + (int)NPF_X86_MASKS; k++) {
		if (g->k_taken >> k & 1)
			continue;
		g->k_taken |= 1u << k;
		pending->k = (int8_t)k;
		return;
	}
	pending->slot = new_slot(g);
}

static void give_argument(struct npf_x86_lanes *g, uint16_t param, uint16_t arg, uint32_t at)
{
	struct npf_x86_lane_value *v = &g->values[param];
	int to;

	if (!v->end)
		return;
	/* Not where an argument of this edge lies. */
	if (!v->placed)
		place(g, param, at - 1);
	to = v->reg == NPF_X86_NONE ? V_T3 : v->reg;
	if (v->reg == NPF_X86_NONE)
		npf_x86_lanes_move(g, to, npf_x86_lanes_slot(g, v->slot));
	if (is_constant(g, arg))
		npf_x86_lanes_blend_imm(g, NPF_X86_EDGE, to, g->ir->insns[arg].imm);
	else
		npf_x86_lanes_blend(g, NPF_X86_EDGE, to, location(g, arg));
	if (v->reg == NPF_X86_NONE)
		npf_x86_lanes_store(g, npf_x86_lanes_slot(g, v->slot), to);
}

/* The lanes of the edge's mask go to its block. */
static void follow(struct npf_x86_lanes *g, const struct npf_ir_edge *edge, uint32_t at)
{
	const struct npf_ir_block *block = &g->ir->blocks[edge->block];
	struct npf_x86_pending *pending = &g->pending[edge->block];
	bool first = !pending->begun;

	if (only_returns(g, edge->block)) {
		if (!block->imm)
			return;
		npf_x86_lanes_blend_imm(g, NPF_X86_EDGE, V_RESULT, block->imm);
		g->answered = true;
		return;
	}
	for (uint16_t i = 0; i < block->params; i++)
		give_argument(g, (uint16_t)(block->first + i), g->ir->args[edge->args + i], at);
	if (first)
		begin_pending(g, pending);
	npf_x86_lanes_add(g, pending, first);
}

static void end_block(struct npf_x86_lanes *g, uint32_t number)
{
	const struct npf_ir_block *block = &g->ir->blocks[number];
	uint32_t at = at_end(g, number);

	if (block->end == NPF_IR_RETURN) {
		g->answered = true;
		if (block->a != NPF_IR_NONE)
			npf_x86_lanes_blend(g, NPF_X86_CURRENT, V_RESULT,
					    npf_x86_reg(fetch(g, block->a, V_T0)));
		else if (block->imm)
			npf_x86_lanes_blend_imm(g, NPF_X86_CURRENT, V_RESULT, block->imm);
		return;
	}
	if (block->end == NPF_IR_GOTO) {
		npf_x86_lanes_widen(g);
		follow(g, &block->edges[0], at);
		return;
	}
	if (number == g->second)
		npf_x86_stages_change(g, number, at);
	compare(g, block->end, block->a, block->b, block->imm);
	follow(g, &block->edges[0], at);
	npf_x86_lanes_others(g);
	follow(g, &block->edges[1], at);
}

/* ---- runs of blocks that can be left out ------------------------------------------------------ */

/*
 * The block behind the run that begins with b: all of its blocks are reached through b only. A run
 * within another ends with it at the latest: who leaves out the outer one leaves out all that the
 * inner one does, the clearing of masks behind it, too. Nor does a run lead from one stage to the
 * other.
 */
static uint32_t end_of_run(const struct npf_x86_lanes *g, uint32_t b, uint32_t *fetches)
{
	uint32_t most = g->n_skips ? g->skips[g->n_skips - 1].end : g->ir->n_blocks;
	uint32_t end = b;

	if (b <= g->second && most > g->second)
		most = g->second;
	*fetches = 0;
	while (end < most && end < b + SKIP_BLOCKS && npf_x86_dominates(g, b, end))
		*fetches += g->fetches[end++];
	return end;
}

/* Who is behind the run finds a mask in any case. */
static void clear_behind(struct npf_x86_lanes *g, uint32_t b, uint32_t end)
{
	for (; b < end; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		for (uint32_t i = 0; i < edges_of(block); i++) {
			uint32_t to = block->edges[i].block;

			if (to < end || only_returns(g, to) || g->pending[to].begun)
				continue;
			begin_pending(g, &g->pending[to]);
			npf_x86_lanes_clear(g, &g->pending[to]);
		}
	}
}

static void begin_run(struct npf_x86_lanes *g, uint32_t b)
{
	uint32_t fetches, end = end_of_run(g, b, &fetches);
	struct npf_x86_skip *skip;

	if (fetches < SKIP_FETCHES || g->n_skips == NPF_X86_SKIPS)
		return;
	clear_behind(g, b, end);
	skip = &g->skips[g->n_skips++];
	*skip = (struct npf_x86_skip){ npf_x86_label(g->as), end };
	npf_x86_lanes_jump_none(g, NPF_X86_CURRENT, skip->label);
}

static void end_runs(struct npf_x86_lanes *g, uint32_t b)
{
	while (g->n_skips && g->skips[g->n_skips - 1].end <= b)
		npf_x86_bind(g->as, g->skips[--g->n_skips].label);
}

/* ---- the function ---------------------------------------------------------------------------- */

static void fetch_piece(struct npf_x86_lanes *g, struct npf_x86_piece *piece)
{
	uint32_t begin = at_insn(piece->block, g->ir->blocks[piece->block].first);

	for (uint32_t i = piece->first; i < piece->first + (uint32_t)piece->n; i++) {
		struct npf_x86_word *word = &g->words[i];

		word->reg = find_place(g, begin ? begin - 1 : 0, word->end, &word->slot);
	}
	npf_x86_heads_fetch(g, piece);
}

static void begin_block(struct npf_x86_lanes *g, uint32_t b)
{
	struct npf_x86_pending *pending = &g->pending[b];

	end_runs(g, b);
	if (b) {
		npf_x86_lanes_take(g, pending);
		if (pending->k != NPF_X86_NONE)
			g->k_taken &= ~(1u << pending->k);
		begin_run(g, b);
	}
	for (uint32_t i = 0; i < g->n_pieces; i++) {
		if (g->pieces[i].block == b)
			fetch_piece(g, &g->pieces[i]);
	}
}

static void write_function(struct npf_x86_lanes *g)
{
	npf_x86_lanes_enter(g);
	npf_x86_lanes_begin(g);
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		if (b && only_returns(g, b))
			continue;
		begin_block(g, b);
		for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++)
			do_insn(g, (uint16_t)i, at_insn(b, i));
		end_block(g, b);
	}
	end_runs(g, g->ir->n_blocks);
	npf_x86_lanes_leave(g);
}

static void set_frame_size(struct npf_x86_lanes *g)
{
	uint32_t size = NPF_X86_SLOTS_AT + g->n_slots * npf_x86_lane_bytes(g);

	memcpy(g->as->memory.code + g->frame_at, &size, sizeof(size));
}

static void take_memory(struct npf_x86_lanes *g, struct npf_x86_room *room)
{
	const struct npf_ir *ir = g->ir;

	g->as = room->as;
	g->set_work = room->set_work;
	g->values = npf_x86_take(room, ir->n_insns * sizeof(*g->values));
	g->gathers = npf_x86_take(room, ir->n_insns * sizeof(*g->gathers));
	g->block_of = npf_x86_take(room, ir->n_insns * sizeof(*g->block_of));
	g->pending = npf_x86_take(room, ir->n_blocks * sizeof(*g->pending));
	g->known = npf_x86_take(room, ir->n_blocks * sizeof(*g->known));
	g->dominator = npf_x86_take(room, ir->n_blocks * sizeof(*g->dominator));
	g->before = npf_x86_take(room, ir->n_blocks * sizeof(*g->before));
	g->size = npf_x86_take(room, ir->n_blocks * sizeof(*g->size));
	g->fetches = npf_x86_take(room, ir->n_blocks * sizeof(*g->fetches));
	g->sets = npf_x86_take(room, ir->n_sets * sizeof(*g->sets));
	memset(g->values, 0, ir->n_insns * sizeof(*g->values));
	memset(g->pending, 0, ir->n_blocks * sizeof(*g->pending));
	memset(g->fetches, 0, ir->n_blocks * sizeof(*g->fetches));
	memset(g->sets, 0, ir->n_sets * sizeof(*g->sets));
}

int npf_x86_vector(const struct npf_ir *ir, uint32_t feature, void *space, size_t size,
		   struct npf_x86_image *image)
{
	struct npf_x86_lanes lanes = { .ir = ir, .wide = feature == NPF_X86_AVX512 }, *g = &lanes;
	struct npf_x86_room room;

	if (npf_x86_furnish(ir, space, size, &room))
		return -ENOSPC;
	take_memory(g, &room);
	if (!look_at_all(g) || !npf_x86_plan(g))
		return -ENOTSUP;
	npf_x86_label(g->as); /* 0 means none here */
	g->again = npf_x86_label(g->as);
	g->bail = npf_x86_label(g->as);
	g->keep = npf_x86_label(g->as);
	g->second = npf_x86_stages_plan(g);
	write_function(g);
	if (g->n_slots > MOST_SLOTS + g->n_exchanged)
		return -ENOTSUP;
	set_frame_size(g);
	return npf_x86_finish(g->as, image);
}
