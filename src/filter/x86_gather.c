/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which words of 32 bits are fetched from the packets. Loads of one, two and four bytes that lie
 * close together share one. A word ends where the last of its loads ends, so it lies in the
 * packet whenever the loads do, and begins before the packet at most by three bytes: those words
 * begin at 0 instead, and groups with a packet that is shorter than a word are not for vectors.
 */
#include "filter/x86_vector.h"

#define WORD  4u
#define AHEAD 96u /* instructions looked at for more loads of a word; also behind, for guards */
#define FEW   48u /* words tried for one more load */

/* ---- dominators ------------------------------------------------------------------------------ */

static void meet(struct npf_x86_lanes *g, uint32_t from, uint32_t to, uint16_t *seen)
{
	uint32_t a = g->dominator[to], b = from;

	if (!*seen) {
		*seen = 1;
		g->dominator[to] = (uint16_t)from;
		return;
	}
	while (a != b) {
		if (a > b)
			a = g->dominator[a];
		else
			b = g->dominator[b];
	}
	g->dominator[to] = (uint16_t)a;
}

/* Number the tree of dominators so that descendants follow each other. */
static void number_tree(struct npf_x86_lanes *g)
{
	uint32_t n = g->ir->n_blocks;

	for (uint32_t b = 0; b < n; b++)
		g->size[b] = 1;
	for (uint32_t b = n; b-- > 1;)
		g->size[g->dominator[b]] = (uint16_t)(g->size[g->dominator[b]] + g->size[b]);
	/* Descending, so that an ancestor's rest is what its later children left. */
	g->before[0] = 0;
	for (uint32_t b = 0; b < n; b++)
		g->known[b] = (uint32_t)g->size[b]; /* room not given to children yet */
	for (uint32_t b = 1; b < n; b++) {
		uint32_t parent = g->dominator[b];

		g->known[parent] -= g->size[b];
		g->before[b] = (uint16_t)(g->before[parent] + g->known[parent]);
	}
}

static void find_dominators(struct npf_x86_lanes *g)
{
	uint16_t *seen = g->before;

	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		seen[b] = 0;
		g->dominator[b] = 0;
	}
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		if (block->end == NPF_IR_RETURN)
			continue;
		meet(g, b, block->edges[0].block, &seen[block->edges[0].block]);
		if (block->end != NPF_IR_GOTO)
			meet(g, b, block->edges[1].block, &seen[block->edges[1].block]);
	}
	number_tree(g);
}

bool npf_x86_dominates(const struct npf_x86_lanes *g, uint32_t a, uint32_t b)
{
	return g->before[b] >= g->before[a] && g->before[b] < g->before[a] + g->size[a];
}

/* ---- what is known of lengths ---------------------------------------------------------------- */

/* Bytes that every packet holds behind a base (a value) where instruction i stands. */
static uint32_t known_behind(const struct npf_x86_lanes *g, uint16_t base, uint32_t block,
			     uint32_t i)
{
	uint32_t least = i > AHEAD ? i - AHEAD : 0, known = 0;

	for (uint32_t k = i; k-- > least;) {
		const struct npf_ir_insn *insn = &g->ir->insns[k];

		if (insn->op == NPF_IR_NEED && insn->a == base && insn->imm > known &&
		    npf_x86_dominates(g, g->block_of[k], block))
			known = insn->imm;
	}
	return known;
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool is_live_load(const struct npf_x86_lanes *g, uint32_t i)
{
	return g->ir->insns[i].op == NPF_IR_LOAD && g->values[i].end;
}

/* A word that is there already. */
static bool share(struct npf_x86_lanes *g, uint32_t i, uint32_t block, uint32_t position)
{
	const struct npf_ir_insn *insn = &g->ir->insns[i];
	uint32_t least = g->n_gathers > FEW ? g->n_gathers - FEW : 0;

	for (uint32_t k = g->n_gathers; k-- > least;) {
		struct npf_x86_gather *word = &g->gathers[k];

		if (word->base != insn->a || (int64_t)insn->imm < word->at ||
		    (int64_t)insn->imm + insn->size > (int64_t)word->at + WORD ||
		    !npf_x86_dominates(g, word->block, block))
			continue;
		g->values[i].gather = (uint16_t)k;
		if (position > word->end)
			word->end = position;
		return true;
	}
	return false;
}

/* Where the word for load i ends best: with the loads to come that fit as well. */
static uint32_t best_end(const struct npf_x86_lanes *g, uint32_t i, uint32_t block, uint32_t known)
{
	const struct npf_ir_insn *insn = &g->ir->insns[i];
	uint32_t first = insn->imm, end = insn->imm + insn->size;

	for (uint32_t k = i + 1; k < g->ir->n_insns && k < i + AHEAD; k++) {
		const struct npf_ir_insn *other = &g->ir->insns[k];
		uint32_t to = other->imm + other->size;

		if (!is_live_load(g, k) || other->a != insn->a || to > known ||
		    other->imm > INT32_MAX || !npf_x86_dominates(g, block, g->block_of[k]))
			continue;
		if ((to > end ? to : end) - (other->imm < first ? other->imm : first) > WORD)
			continue;
		end = to > end ? to : end;
		first = other->imm < first ? other->imm : first;
	}
	return end;
}

static bool plan_load(struct npf_x86_lanes *g, uint32_t i, uint32_t block, uint32_t position)
{
	const struct npf_ir_insn *insn = &g->ir->insns[i];
	uint32_t known, end;

	if (insn->imm > INT32_MAX - WORD)
		return false;
	if (share(g, i, block, position))
		return true;
	known = insn->a == NPF_IR_NONE ? g->known[block] : known_behind(g, insn->a, block, i);
	end = best_end(g, i, block, known);

	struct npf_x86_gather *word = &g->gathers[g->n_gathers];

	*word = (struct npf_x86_gather){ .base = insn->a,
					 .block = (uint16_t)block,
					 .at = (int32_t)(end - WORD),
					 .end = position };
	if (end < WORD && insn->a == NPF_IR_NONE) {
		word->at = 0;
		g->guard = true;
	}
	g->values[i].gather = (uint16_t)g->n_gathers++;
	g->fetches[block]++;
	return true;
}

/* known is what the block's own guards say so far. */
static bool plan_block(struct npf_x86_lanes *g, uint32_t b)
{
	const struct npf_ir_block *block = &g->ir->blocks[b];

	g->known[b] = b ? g->known[g->dominator[b]] : 0;
	for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++) {
		const struct npf_ir_insn *insn = &g->ir->insns[i];

		if (insn->op == NPF_IR_NEED && insn->a == NPF_IR_NONE && insn->imm > g->known[b])
			g->known[b] = insn->imm;
		if (is_live_load(g, i) && !plan_load(g, i, b, 2 * (b + i)))
			return false;
	}
	return true;
}

bool npf_x86_plan(struct npf_x86_lanes *g)
{
	find_dominators(g);
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		if (!plan_block(g, b))
			return false;
	}
	return true;
}
