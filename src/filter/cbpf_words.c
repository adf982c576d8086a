/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which values lie in the 16 scratch words of classic BPF, and when. What costs little is computed
 * again wherever it is wanted; the others get a word each from where they are computed to where they
 * are read last. Every edge leads forward, so that is a span, and spans that do not meet share a word.
 */
#include <errno.h>
#include <string.h>

#include "filter/ancillary.h"
#include "filter/cbpf.h"
#include "filter/opcodes.h"
#include "filter/optimise.h"

#define NONE      NPF_IR_NONE
#define WANTED    0xFEu /* a word, not given yet */
#define MANY      0xFFu /* instructions, or it cannot be computed again */
#define CALL      4u    /* a load behind X is a call in the kernel */
#define MAX_DEPTH 24u   /* of expressions that are computed in one go */

bool npf_cbpf_is_msh(const struct npf_ir *ir, uint16_t value, uint32_t *k)
{
	const struct npf_ir_insn *insn = &ir->insns[value];

	if (insn->op != NPF_IR_LSH || insn->b != NONE || insn->imm != 2)
		return false;
	insn = &ir->insns[insn->a];
	if (insn->op != NPF_IR_AND || insn->b != NONE || insn->imm != 15)
		return false;
	insn = &ir->insns[insn->a];
	*k = insn->imm;
	return insn->op == NPF_IR_LOAD && insn->size == 1 && insn->a == NONE &&
	       insn->imm < NPF_LINUX_SPECIAL_OFFSET;
}

bool npf_cbpf_is_load(const struct npf_ir *ir, uint16_t value)
{
	const struct npf_ir_insn *insn = &ir->insns[value];

	return insn->op == NPF_IR_CONST || insn->op == NPF_IR_FIELD || insn->op == NPF_IR_CAPLEN ||
	       insn->op == NPF_IR_WIRELEN ||
	       (insn->op == NPF_IR_LOAD && insn->a == NONE && insn->imm < NPF_LINUX_SPECIAL_OFFSET);
}

/* ---- who wants a word ------------------------------------------------------------------------ */

static uint32_t cost_of(const struct npf_cbpf_words *w, uint16_t value)
{
	return value == NONE ? 0 : w->costs[value];
}

static uint8_t find_cost(const struct npf_cbpf_words *w, uint16_t value)
{
	const struct npf_ir_insn *insn = &w->ir->insns[value];
	uint32_t k, cost = cost_of(w, insn->a) + cost_of(w, insn->b) + 1;

	if (npf_cbpf_is_load(w->ir, value) || npf_cbpf_is_msh(w->ir, value, &k))
		return 1;
	if (insn->op == NPF_IR_LOAD)
		cost += CALL;
	else if (insn->op < NPF_IR_NEG)
		return MANY;
	else if (insn->b != NONE)
		cost += 2;
	return cost < MANY ? (uint8_t)cost : MANY;
}

static void find_costs(struct npf_cbpf_words *w)
{
	for (uint32_t i = 0; i < w->ir->n_blocks; i++) {
		const struct npf_ir_block *block = &w->ir->blocks[i];

		for (uint32_t n = block->first; n < block->first + (uint32_t)block->count; n++) {
			w->homes[n] = (uint16_t)i;
			w->words[n] = NPF_CBPF_NO_WORD;
			w->costs[n] = find_cost(w, (uint16_t)n);
		}
	}
}

/* Does it want a word, given that this block reads it? */
static void note_use(struct npf_cbpf_words *w, uint16_t value, uint32_t block)
{
	if (value == NONE || w->costs[value] <= w->cheap)
		return;
	if (w->ir->insns[value].uses > 1 || w->homes[value] != block)
		w->words[value] = WANTED;
}

static void note_block(struct npf_cbpf_words *w, uint32_t number)
{
	const struct npf_ir *ir = w->ir;
	const struct npf_ir_block *block = &ir->blocks[number];

	for (uint32_t i = 0; i < block->params; i++) {
		if (block->params > 1 || w->keeps_params)
			w->words[block->first + i] = WANTED;
	}
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		note_use(w, ir->insns[i].a, number);
		note_use(w, ir->insns[i].b, number);
	}
	note_use(w, block->a, number);
	note_use(w, block->b, number);
	for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
		const struct npf_ir_edge *edge = &block->edges[side];

		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
			note_use(w, ir->args[edge->args + i], number);
	}
}

static uint8_t depth_below(const struct npf_cbpf_words *w, uint16_t value)
{
	return value == NONE || w->words[value] == WANTED ? 0 : w->costs[value];
}

/* Expressions that are too deep keep what they have on the way. Takes the place of the costs. */
static void limit_depths(struct npf_cbpf_words *w)
{
	for (uint32_t i = 0; i < w->ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &w->ir->insns[i];
		uint8_t a = depth_below(w, insn->a), b = depth_below(w, insn->b);

		w->costs[i] = (uint8_t)((a > b ? a : b) + 1);
		if (w->costs[i] > MAX_DEPTH && !npf_ir_is_guard(insn->op))
			w->words[i] = WANTED;
	}
}

/* ---- how long -------------------------------------------------------------------------------- */

/* From 1: a word that nothing lies in yet was read last at 0. */
static uint32_t place_of(uint32_t block, uint32_t insn)
{
	return 2 * (block + insn) + 1;
}

static uint32_t end_of(const struct npf_ir *ir, uint32_t number)
{
	const struct npf_ir_block *block = &ir->blocks[number];

	return place_of(number, block->first + block->count);
}

static void read_at(struct npf_cbpf_words *w, uint16_t value, uint32_t place)
{
	if (value != NONE && w->last[value] < place)
		w->last[value] = place;
}

/* From the end: a value without a word is computed where it is read itself. */
static void find_last_reads(struct npf_cbpf_words *w, uint32_t number)
{
	const struct npf_ir *ir = w->ir;
	const struct npf_ir_block *block = &ir->blocks[number];
	uint32_t end = end_of(ir, number);

	read_at(w, block->a, end);
	read_at(w, block->b, end);
	for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
		const struct npf_ir_edge *edge = &block->edges[side];

		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
			read_at(w, ir->args[edge->args + i], end);
	}
	for (uint32_t i = block->first + block->count; i-- > block->first;) {
		const struct npf_ir_insn *insn = &ir->insns[i];
		uint32_t here = place_of(number, i);
		bool is_done_here = w->words[i] == WANTED || npf_ir_is_guard(insn->op);

		read_at(w, insn->a, is_done_here ? here : w->last[i]);
		read_at(w, insn->b, is_done_here ? here : w->last[i]);
		if (insn->op == NPF_IR_PARAM)
			read_at(w, (uint16_t)i, here);
	}
}

/* ---- giving ---------------------------------------------------------------------------------- */

struct giver {
	struct npf_cbpf_words *w;
	uint32_t until[NPF_MEM_WORDS]; /* each word: where what lies there is read last */
	uint32_t block;
	int err;
};

/* A word that nobody reads at that place or behind it. */
static void give(struct giver *g, uint16_t value, uint32_t place)
{
	struct npf_cbpf_words *w = g->w;
	uint8_t word = 0;

	if (w->words[value] != WANTED)
		return;
	while (word < NPF_MEM_WORDS && g->until[word] >= place)
		word++;
	if (word == NPF_MEM_WORDS) {
		g->err = -ENOSPC;
		return;
	}
	w->words[value] = word;
	g->until[word] = w->last[value] > place ? w->last[value] : place;
	if (w->tops[g->block] <= word)
		w->tops[g->block] = word + 1;
}

/* Parameters are written by the edges, of which the first comes first. */
static void give_to_parameters(struct giver *g, const struct npf_ir_edge *edge, uint32_t end)
{
	const struct npf_ir_block *to = &g->w->ir->blocks[edge->block];

	for (uint32_t i = 0; to->params > 1 && i < to->params; i++)
		give(g, (uint16_t)(to->first + i), end);
}

static void give_in_block(struct giver *g)
{
	const struct npf_ir *ir = g->w->ir;
	const struct npf_ir_block *block = &ir->blocks[g->block];
	uint8_t *top = &g->w->tops[g->block];

	*top = 0;
	for (uint8_t word = 0; word < NPF_MEM_WORDS; word++) {
		if (g->until[word] >= place_of(g->block, block->first))
			*top = word + 1;
	}
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++)
		give(g, (uint16_t)i, place_of(g->block, i));
	for (uint32_t side = 0; side < npf_ir_edges(block); side++)
		give_to_parameters(g, &block->edges[side], end_of(ir, g->block));
}

int npf_cbpf_give_words(struct npf_cbpf_words *w)
{
	struct giver g = { .w = w };

	find_costs(w);
	for (uint32_t i = 0; i < w->ir->n_blocks; i++)
		note_block(w, i);
	limit_depths(w);
	memset(w->last, 0, sizeof(*w->last) * w->ir->n_insns);
	for (uint32_t i = w->ir->n_blocks; i-- > 0;)
		find_last_reads(w, i);
	for (g.block = 0; g.block < w->ir->n_blocks && !g.err; g.block++)
		give_in_block(&g);
	return g.err;
}
