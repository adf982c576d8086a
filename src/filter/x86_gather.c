/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which words of 32 bits are fetched from the packets, and where. Loads of one, two and four bytes
 * that lie close together share one.
 *
 * Nearly all loads read from the heads. Their words come in pieces, whoever is in the block, so
 * fetching waits for no condition. What stands behind an IPv4 header is looked for where it
 * usually is; lanes whose header is longer fetch it from there.
 *
 * Other words are fetched for lanes in the block only. Such a word ends where the last of its loads
 * ends, so it lies in the packet whenever the loads do, and begins before the packet at most by
 * three bytes: a group where that happens is not for vectors.
 */
#include <string.h>

#include "filter/x86_vector.h"

#define WORD  4u
#define AHEAD 96u /* instructions looked at for more loads of a word; also behind, for guards */
#define FEW   48u /* words tried for one more load */

/* ---- dominators ------------------------------------------------------------------------------ */

static uint32_t common_dominator(const struct npf_x86_lanes *g, uint32_t a, uint32_t b)
{
	while (a != b) {
		if (a > b)
			a = g->dominator[a];
		else
			b = g->dominator[b];
	}
	return a;
}

static void meet(struct npf_x86_lanes *g, uint32_t from, uint32_t to, uint16_t *seen)
{
	g->dominator[to] = (uint16_t)(*seen ? common_dominator(g, g->dominator[to], from) : from);
	*seen = 1;
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

static bool is_live_load(const struct npf_x86_lanes *g, uint32_t i)
{
	return g->ir->insns[i].op == NPF_IR_LOAD && g->values[i].end;
}

/* ---- words of the heads ---------------------------------------------------------------------- */

/* The length of an IPv4 header: 4 * (byte & 15)? */
static bool is_header_length(const struct npf_ir *ir, uint16_t value)
{
	const struct npf_ir_insn *insn = &ir->insns[value];

	if (insn->op != NPF_IR_LSH || insn->b != NPF_IR_NONE || insn->imm != 2)
		return false;
	insn = &ir->insns[insn->a];
	if (insn->op != NPF_IR_AND || insn->b != NPF_IR_NONE || insn->imm != 15)
		return false;
	insn = &ir->insns[insn->a];
	return insn->op == NPF_IR_LOAD && insn->size == 1 && insn->a == NPF_IR_NONE;
}

/* Where in the head a load reads, usually at least; false: not there. */
static bool is_in_head(const struct npf_ir *ir, const struct npf_ir_insn *load, uint32_t *at)
{
	uint32_t room = NPF_X86_HEAD - load->size;

	*at = load->imm;
	if (load->a == NPF_IR_NONE)
		return load->imm <= room;
	*at += NPF_X86_USUAL;
	return load->imm <= room - NPF_X86_USUAL && is_header_length(ir, load->a);
}

/* Words for all loads, each beginning where the first load does that needs it. of: the word of what
 * begins at a place. */
static void choose_words(struct npf_x86_lanes *g, const uint8_t sizes[NPF_X86_HEAD],
			 uint8_t of[NPF_X86_HEAD])
{
	struct npf_x86_word *last = NULL;

	memset(of, NPF_X86_NO_WORD, NPF_X86_HEAD);
	for (uint32_t at = 0; at < NPF_X86_HEAD; at++) {
		if (!sizes[at])
			continue;
		if (!last || at + sizes[at] > last->at + WORD) {
			if (g->n_words == NPF_X86_WORDS)
				return;
			last = &g->words[g->n_words++];
			last->at = (uint8_t)(at < NPF_X86_HEAD - WORD ? at : NPF_X86_HEAD - WORD);
			last->end = 0;
		}
		of[at] = (uint8_t)(g->n_words - 1);
	}
}

/* A piece ends where its last word ends: so it wants the least of the packets. */
static void choose_pieces(struct npf_x86_lanes *g)
{
	for (uint32_t i = 0; i < g->n_words;) {
		struct npf_x86_piece *piece = &g->pieces[g->n_pieces++];
		uint32_t end = 0, first = i;

		while (i < g->n_words && i < first + 4 &&
		       g->words[i].at + WORD <= g->words[first].at + NPF_X86_PIECE)
			end = g->words[i++].at + WORD;
		if (end < NPF_X86_PIECE)
			end = NPF_X86_PIECE;
		*piece = (struct npf_x86_piece){
			.at = (uint8_t)(end - NPF_X86_PIECE),
			.first = (uint8_t)first,
			.n = (uint8_t)(i - first),
			.block = NPF_IR_NONE,
		};
	}
}

/* Where a piece is fetched dominates all loads from it. */
static void place_pieces(struct npf_x86_lanes *g)
{
	uint8_t piece_of[NPF_X86_WORDS];

	for (uint32_t i = 0; i < g->n_pieces; i++)
		memset(piece_of + g->pieces[i].first, (int)i, g->pieces[i].n);
	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		uint8_t word = g->values[i].word;
		struct npf_x86_piece *piece;

		if (!is_live_load(g, i) || word == NPF_X86_NO_WORD)
			continue;
		piece = &g->pieces[piece_of[word]];
		if (piece->block == NPF_IR_NONE)
			piece->block = g->block_of[i];
		piece->block = (uint16_t)common_dominator(g, piece->block, g->block_of[i]);
		g->words[word].end = 2 * (g->block_of[i] + i);
	}
	for (uint32_t i = 0; i < g->n_pieces; i++)
		g->fetches[g->pieces[i].block]++;
}

static void plan_heads(struct npf_x86_lanes *g)
{
	uint8_t sizes[NPF_X86_HEAD] = { 0 }, of[NPF_X86_HEAD];
	uint32_t at;

	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &g->ir->insns[i];

		if (is_live_load(g, i) && is_in_head(g->ir, insn, &at) && insn->size > sizes[at])
			sizes[at] = insn->size;
	}
	choose_words(g, sizes, of);
	choose_pieces(g);
	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		if (is_live_load(g, i))
			g->values[i].word = is_in_head(g->ir, &g->ir->insns[i], &at)
						    ? of[at]
						    : NPF_X86_NO_WORD;
	}
	place_pieces(g);
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

/* ---- other words ----------------------------------------------------------------------------- */

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
	if (g->values[i].word != NPF_X86_NO_WORD) {
		g->wants_packets |= insn->a != NPF_IR_NONE;
		return true;
	}
	if (share(g, i, block, position))
		return true;
	known = insn->a == NPF_IR_NONE ? g->known[block] : known_behind(g, insn->a, block, i);
	end = best_end(g, i, block, known);

	struct npf_x86_gather *word = &g->gathers[g->n_gathers];

	*word = (struct npf_x86_gather){ .base = insn->a,
					 .block = (uint16_t)block,
					 .at = (int32_t)(end - WORD),
					 .end = position };
	g->wants_packets = true;
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
	plan_heads(g);
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		if (!plan_block(g, b))
			return false;
	}
	return true;
}
