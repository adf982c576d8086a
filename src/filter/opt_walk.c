/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One walk through the blocks in their order, which writes them anew. When it arrives at a block,
 * everything that can lead there has been written: so it knows who dominates the block, which
 * values reach it, and what the conditions on the way there say.
 *
 * FOLD	constants and algebra, instruction by instruction (opt_fold.c)
 * NUMBER	an instruction that a dominating block has computed is not computed again
 * THREAD	a condition that the way decides is not asked: the edge leads on to where it leads
 * CHECKS	a guard that earlier guards imply goes away
 *
 * Blocks that no edge reaches any more are not written.
 */
#include <string.h>

#include "filter/optimise.h"

#define NONE     NPF_IR_NONE
#define NO_EDGE  0xFFFFu
#define N_CHAINS 512u /* of the table of known values */

/* Limits of what would be quadratic. */
#define MAX_CANDIDATES 8u  /* known values that are compared with a new one */
#define MAX_FACTS      24u /* conditions on the way that are looked at */
#define MAX_HOPS       32u /* blocks that one edge skips */
#define MAX_LOCALS     28u /* values of a block that is skipped */

/* What is noted about a block that has been written. */
struct place {
	uint16_t dominator; /* the nearest */
	uint16_t skip;      /* a dominator further away, for climbing in few steps */
	uint16_t depth;
	uint16_t from;    /* the only block that leads here, when it has a condition; else NONE */
	uint8_t side;     /* and on which side */
	uint32_t have;    /* bytes that the packet is known to have */
	uint32_t leaving; /* the same at its end */
};

struct walk {
	struct npf_opt *opt;
	struct npf_ir *ir; /* the old arrays, and sets and keys */
	struct npf_ir_insn *insns;
	struct npf_ir_block *blocks;
	uint16_t *args;
	uint32_t n_insns;
	uint32_t n_blocks;
	uint32_t n_args;
	struct npf_ir_block *block; /* being written, NULL: it has ended */
	uint16_t *map;              /* old value: new value */
	uint16_t *home;             /* new value: its block */
	uint16_t *next;             /* new value: an older one of the same chain */
	uint16_t *waiting;          /* old block: the first of the edges that lead there */
	struct place *places;       /* new blocks */
	uint16_t chains[N_CHAINS];
};

/* ---- dominators ----------------------------------------------------------------------------- */

static uint16_t climb(const struct walk *w, uint16_t block, uint16_t depth)
{
	while (w->places[block].depth > depth) {
		uint16_t skip = w->places[block].skip;

		block = w->places[skip].depth >= depth ? skip : w->places[block].dominator;
	}
	return block;
}

static bool dominates(const struct walk *w, uint16_t x, uint16_t y)
{
	return x == y || climb(w, y, w->places[x].depth) == x;
}

static uint16_t common_dominator(const struct walk *w, uint16_t x, uint16_t y)
{
	x = climb(w, x, w->places[y].depth);
	y = climb(w, y, w->places[x].depth);
	while (x != y) {
		const struct place *px = &w->places[x], *py = &w->places[y];

		/* At the same depth, skips are equally long. */
		if (px->skip != py->skip) {
			x = px->skip;
			y = py->skip;
		} else {
			x = px->dominator;
			y = py->dominator;
		}
	}
	return x;
}

static void set_dominator(struct walk *w, uint16_t block, uint16_t dominator)
{
	struct place *place = &w->places[block];
	const struct place *above = &w->places[dominator];
	const struct place *skipped = &w->places[above->skip];

	place->dominator = dominator;
	place->depth = (uint16_t)(above->depth + 1);
	if (above->depth - skipped->depth == skipped->depth - w->places[skipped->skip].depth)
		place->skip = skipped->skip;
	else
		place->skip = dominator;
}

/* ---- writing -------------------------------------------------------------------------------- */

static uint16_t number_of(const struct walk *w, const struct npf_ir_block *block)
{
	return (uint16_t)(block - w->blocks);
}

static struct npf_ir_edge *edge_of(struct walk *w, uint32_t number)
{
	return &w->blocks[number / 2].edges[number % 2];
}

static uint16_t write_insn(struct walk *w, const struct npf_ir_insn *insn)
{
	uint16_t value = (uint16_t)w->n_insns++;

	w->insns[value] = *insn;
	w->home[value] = number_of(w, w->block);
	w->block->count++;
	return value;
}

static uint16_t mapped(const struct walk *w, uint16_t value)
{
	return value == NONE ? NONE : w->map[value];
}

static void end_here(struct walk *w)
{
	struct npf_ir_edge none = { 0 };

	w->block->end = NPF_IR_RETURN;
	w->block->a = NONE;
	w->block->b = NONE;
	w->block->imm = 0;
	w->block->likely = NPF_IR_UNKNOWN;
	w->block->edges[0] = none;
	w->block->edges[1] = none;
	w->block = NULL;
}

/* ---- known values --------------------------------------------------------------------------- */

static uint32_t chain_of(const struct npf_ir_insn *insn)
{
	uint32_t mix = insn->imm * 0x9E3779B1u;

	mix ^= (insn->a + 1u) * 0x85EBCA6Bu;
	mix ^= (insn->b + 1u) * 0xC2B2AE35u;
	mix ^= (insn->op * 8u + insn->size) * 0x27D4EB2Fu;
	return mix >> 16 & (N_CHAINS - 1);
}

static bool is_same(const struct npf_ir_insn *x, const struct npf_ir_insn *y)
{
	return x->op == y->op && x->size == y->size && x->a == y->a && x->b == y->b &&
	       x->imm == y->imm;
}

/* What computes the same and dominates block `here`. */
static uint16_t find_known(const struct walk *w, const struct npf_ir_insn *insn, uint32_t chain,
			   uint16_t here)
{
	uint16_t value = w->chains[chain];

	for (uint32_t i = 0; i < MAX_CANDIDATES && value != NONE; i++, value = w->next[value]) {
		if (is_same(&w->insns[value], insn) && dominates(w, w->home[value], here))
			return value;
	}
	return NONE;
}

/* The value of an instruction: known, or written now. */
static uint16_t value_of(struct walk *w, const struct npf_ir_insn *insn)
{
	uint32_t chain;
	uint16_t value;

	if (!npf_opt_wants(w->opt, NPF_PASS_NUMBER))
		return write_insn(w, insn);
	chain = chain_of(insn);
	value = find_known(w, insn, chain, number_of(w, w->block));
	if (value != NONE) {
		npf_opt_count(w->opt, NPF_PASS_NUMBER);
		return value;
	}
	value = write_insn(w, insn);
	w->next[value] = w->chains[chain];
	w->chains[chain] = value;
	return value;
}

/* ---- guards --------------------------------------------------------------------------------- */

/* Does the end of block `here` imply the guard? */
static bool is_shown(const struct walk *w, const struct npf_ir_insn *insn, uint16_t here)
{
	struct npf_ir_insn key = *insn;
	uint16_t value;

	if (insn->op == NPF_IR_NEED && insn->a == NONE)
		return insn->imm <= w->places[here].leaving;
	key.imm = 0;
	value = w->chains[chain_of(&key)];
	for (uint32_t i = 0; i < MAX_CANDIDATES && value != NONE; i++, value = w->next[value]) {
		const struct npf_ir_insn *known = &w->insns[value];

		if (known->op == insn->op && known->a == insn->a && known->imm >= insn->imm &&
		    dominates(w, w->home[value], here))
			return true;
	}
	return false;
}

static void note_guard(struct walk *w, uint16_t value)
{
	struct npf_ir_insn key = w->insns[value];
	struct place *place = &w->places[number_of(w, w->block)];
	uint32_t chain;

	if (key.op == NPF_IR_NEED && key.a == NONE) {
		if (place->leaving < key.imm)
			place->leaving = key.imm;
		return;
	}
	key.imm = 0;
	chain = chain_of(&key);
	w->next[value] = w->chains[chain];
	w->chains[chain] = value;
}

static void walk_guard(struct walk *w, const struct npf_ir_insn *insn)
{
	if (insn->op == NPF_IR_NONZERO && insn->a == NONE) {
		end_here(w);
		return;
	}
	if (insn->op == NPF_IR_NONZERO && w->insns[insn->a].op == NPF_IR_CONST &&
	    npf_opt_wants(w->opt, NPF_PASS_FOLD)) {
		if (!w->insns[insn->a].imm)
			end_here(w);
		return;
	}
	if (npf_opt_wants(w->opt, NPF_PASS_CHECKS) && is_shown(w, insn, number_of(w, w->block))) {
		npf_opt_count(w->opt, NPF_PASS_CHECKS);
		return;
	}
	note_guard(w, write_insn(w, insn));
}

/* ---- instructions --------------------------------------------------------------------------- */

static bool is_first_operand(const struct npf_ir_insn *insn)
{
	return insn->op == NPF_IR_OR && insn->b == NONE && !insn->imm;
}

static void walk_insn(struct walk *w, uint16_t old)
{
	struct npf_ir_insn insn = w->ir->insns[old];

	if (insn.op == NPF_IR_NOP)
		return;
	insn.a = mapped(w, insn.a);
	insn.b = mapped(w, insn.b);
	insn.uses = 0;
	if (insn.b != NONE && w->insns[insn.b].op == NPF_IR_CONST) {
		/* An argument has become a constant: the form wants it in imm, folding or not. */
		insn.imm = w->insns[insn.b].imm;
		insn.b = NONE;
		if ((insn.op == NPF_IR_LSH || insn.op == NPF_IR_RSH) && insn.imm >= 32) {
			insn.op = NPF_IR_CONST;
			insn.a = NONE;
			insn.imm = 0;
		} else if ((insn.op == NPF_IR_DIV || insn.op == NPF_IR_MOD) && !insn.imm) {
			end_here(w);
			return;
		}
	}
	if (npf_opt_wants(w->opt, NPF_PASS_FOLD))
		npf_opt_fold(w->opt, w->insns, &insn);
	if (npf_ir_is_guard(insn.op))
		walk_guard(w, &insn);
	else if (npf_opt_wants(w->opt, NPF_PASS_FOLD) && is_first_operand(&insn))
		w->map[old] = insn.a;
	else
		w->map[old] = value_of(w, &insn);
}

/* ---- what the way says ---------------------------------------------------------------------- */

/* What is known about a value: in a range, with bits that are set and bits that are clear. */
struct facts {
	uint32_t least;
	uint32_t most;
	uint32_t ones;
	uint32_t zeros;
};

enum answer { UNDECIDED, YES, NO };

static enum answer answer_of(bool truth)
{
	return truth ? YES : NO;
}

static void at_least(struct facts *facts, uint32_t k)
{
	if (facts->least < k)
		facts->least = k;
}

static void at_most(struct facts *facts, uint32_t k)
{
	if (facts->most > k)
		facts->most = k;
}

/* The end of block `from` went this way: what that says about the value. All with a constant. */
static void learn(const struct npf_ir *ir, const struct npf_ir_block *from, bool truth,
		  struct facts *facts)
{
	uint32_t k = from->imm;

	switch (from->end) {
	case NPF_IR_IF_EQ:
		if (truth) {
			at_least(facts, k);
			at_most(facts, k);
		} else if (k == facts->least && k != UINT32_MAX) {
			facts->least++;
		} else if (k == facts->most && k) {
			facts->most--;
		}
		break;
	case NPF_IR_IF_GT:
		if (!truth)
			at_most(facts, k);
		else if (k != UINT32_MAX)
			at_least(facts, k + 1);
		break;
	case NPF_IR_IF_GE:
		if (truth)
			at_least(facts, k);
		else if (k)
			at_most(facts, k - 1);
		break;
	case NPF_IR_IF_SET:
		if (!truth)
			facts->zeros |= k;
		else if (!(k & (k - 1)))
			facts->ones |= k;
		break;
	case NPF_IR_IF_IN:
		if (truth) {
			const struct npf_ir_set *set = &ir->sets[k];
			uint32_t numbers = set->is_range ? 2 * set->n : set->n;

			at_least(facts, ir->keys[set->first]);
			at_most(facts, ir->keys[set->first + numbers - 1]);
		}
		break;
	default:
		break;
	}
}

/* One condition on the same value that answers the other without further ado. */
static enum answer imply(const struct npf_ir *ir, const struct npf_ir_block *known, bool truth,
			 const struct npf_ir_block *asked)
{
	if (known->end == asked->end && known->b == asked->b && known->imm == asked->imm)
		return answer_of(truth);
	if (known->b != NONE || asked->b != NONE || asked->end != NPF_IR_IF_EQ)
		return UNDECIDED;
	if (known->end == NPF_IR_IF_IN && npf_ir_set_has(ir, known->imm, asked->imm) != truth)
		return NO;
	return UNDECIDED;
}

static enum answer decide(const struct npf_ir *ir, const struct facts *facts,
			  const struct npf_ir_block *asked)
{
	uint32_t k = asked->imm;

	switch (asked->end) {
	case NPF_IR_IF_EQ:
		if (k < facts->least || k > facts->most || (k & facts->zeros) || (~k & facts->ones))
			return NO;
		return facts->least == facts->most ? YES : UNDECIDED;
	case NPF_IR_IF_GT:
		if (facts->least > k)
			return YES;
		return facts->most <= k ? NO : UNDECIDED;
	case NPF_IR_IF_GE:
		if (facts->least >= k)
			return YES;
		return facts->most < k ? NO : UNDECIDED;
	case NPF_IR_IF_SET:
		if (k & facts->ones)
			return YES;
		if (!(k & ~facts->zeros))
			return NO;
		if (facts->least == facts->most)
			return answer_of(k & facts->least);
		return UNDECIDED;
	default:
		if (facts->least == facts->most)
			return answer_of(npf_ir_set_has(ir, k, facts->least));
		return UNDECIDED;
	}
}

static enum answer consult(const struct walk *w, const struct npf_ir_block *known, bool truth,
			   const struct npf_ir_block *asked, struct facts *facts)
{
	enum answer answer;

	if (known->a != asked->a)
		return UNDECIDED;
	answer = imply(w->ir, known, truth, asked);
	if (answer == UNDECIDED && known->b == NONE)
		learn(w->ir, known, truth, facts);
	return answer;
}

/* Does the way through block `at`, and on by its condition to that side (-1: at its end, before
 * the condition), decide what is asked? */
static enum answer ask_the_way(const struct walk *w, const struct npf_ir_block *at, int side,
			       const struct npf_ir_block *asked)
{
	struct facts facts = { .most = npf_ir_bound_in(w->insns, asked->a) };
	uint16_t here = number_of(w, at);
	enum answer answer = UNDECIDED;

	if (asked->a == NONE)
		return UNDECIDED;
	if (side >= 0 && at->end > NPF_IR_GOTO)
		answer = consult(w, at, !side, asked, &facts);
	for (uint32_t i = 0; i < MAX_FACTS && answer == UNDECIDED && here; i++) {
		const struct place *place = &w->places[here];

		if (place->from != NONE)
			answer = consult(w, &w->blocks[place->from], !place->side, asked, &facts);
		here = place->dominator;
	}
	if (answer == UNDECIDED && asked->b == NONE)
		answer = decide(w->ir, &facts, asked);
	return answer;
}

/* ---- edges ---------------------------------------------------------------------------------- */

/* An edge on its way: the old block it leads to, and the new values of the first n values of that
 * block: of its parameters, which it brings, and then of its instructions, as far as known. */
struct way {
	uint16_t to;
	uint16_t n;
	uint16_t locals[MAX_LOCALS];
};

static uint16_t substituted(const struct walk *w, const struct way *way, uint16_t value)
{
	uint16_t first;

	if (value == NONE)
		return NONE;
	first = w->ir->blocks[way->to].first;
	if (value >= first && value < first + way->n)
		return way->locals[value - first];
	return w->map[value];
}

/* How often the block itself reads one of its values. */
static uint32_t own_uses(const struct npf_ir *ir, const struct npf_ir_block *block, uint16_t value)
{
	uint32_t n = (block->a == value) + (block->b == value);

	for (uint32_t i = value + 1u; i < block->first + block->count; i++)
		n += (ir->insns[i].a == value) + (ir->insns[i].b == value);
	for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
		const struct npf_ir_edge *edge = &block->edges[side];

		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
			n += ir->args[edge->args + i] == value;
	}
	return n;
}

/* Nobody else reads the block's values: then an edge may pass it by. */
static bool keeps_to_itself(const struct walk *w, const struct npf_ir_block *block)
{
	for (uint32_t i = block->first; i < block->first + block->count; i++) {
		if (own_uses(w->ir, block, (uint16_t)i) != w->ir->insns[i].uses)
			return false;
	}
	return true;
}

/* Instruction `old` of the block that the way leads to, seen from block `here`: is it a guard that
 * is shown there, or a value that is known there? */
static bool is_known_there(struct walk *w, const struct way *way, uint16_t here, uint16_t old,
			   uint16_t *value)
{
	struct npf_ir_insn insn = w->ir->insns[old];
	struct npf_opt silent = { 0 };

	*value = NONE;
	insn.a = substituted(w, way, insn.a);
	insn.b = substituted(w, way, insn.b);
	insn.uses = 0;
	/* As it would be written: unfolded, a constant length is a base of its own, and what has
	 * shown the sum is no guard of it. */
	if (npf_opt_wants(w->opt, NPF_PASS_FOLD))
		npf_opt_fold(&silent, w->insns, &insn);
	if (npf_ir_is_guard(insn.op))
		return insn.a != NONE || insn.op == NPF_IR_NEED ? is_shown(w, &insn, here) : false;
	*value = is_first_operand(&insn) ? insn.a : find_known(w, &insn, chain_of(&insn), here);
	return *value != NONE;
}

/* Learn the values of the block that the way leads to. False: it has something to do. */
static bool look_ahead(struct walk *w, uint16_t here, struct way *way)
{
	const struct npf_ir_block *block = &w->ir->blocks[way->to];

	if (block->count > MAX_LOCALS)
		return false;
	for (uint32_t i = way->n; i < block->count; i++) {
		uint16_t value;

		if (!is_known_there(w, way, here, (uint16_t)(block->first + i), &value))
			return false;
		way->locals[way->n++] = value;
	}
	return keeps_to_itself(w, block);
}

/* The way that leads on along the edge of the block that this way leads to. */
static bool go_along(const struct walk *w, const struct way *way, const struct npf_ir_edge *edge,
		     struct way *on)
{
	uint16_t n = w->ir->blocks[edge->block].params;

	if (n > MAX_LOCALS)
		return false;
	for (uint32_t i = 0; i < n; i++)
		on->locals[i] = substituted(w, way, w->ir->args[edge->args + i]);
	on->to = edge->block;
	on->n = n;
	return true;
}

static void copy_way(struct way *to, const struct way *from)
{
	to->to = from->to;
	to->n = from->n;
	for (uint32_t i = 0; i < from->n; i++)
		to->locals[i] = from->locals[i];
}

/* Which side does the block that the way leads to take? Negative: that is not known. */
static int side_taken(struct walk *w, const struct npf_ir_block *from, int side,
		      const struct way *way)
{
	const struct npf_ir_block *block = &w->ir->blocks[way->to];
	/* The edges tell which way folding turned the condition. */
	struct npf_ir_block asked = {
		.end = block->end,
		.a = substituted(w, way, block->a),
		.b = substituted(w, way, block->b),
		.imm = block->imm,
		.edges = { { .block = 0 }, { .block = 1 } },
	};
	struct npf_opt silent = { 0 };
	enum answer answer;

	if (asked.end == NPF_IR_GOTO)
		return 0;
	npf_opt_fold_end(&silent, w->ir, w->insns, &asked);
	if (asked.end == NPF_IR_GOTO)
		return asked.edges[0].block;
	answer = ask_the_way(w, from, side, &asked);
	if (answer == UNDECIDED)
		return -1;
	return asked.edges[answer == YES ? 0 : 1].block;
}

/* Let the way pass by blocks that it decides. */
static void thread(struct walk *w, const struct npf_ir_block *from, int side, struct way *way)
{
	for (uint32_t i = 0; i < MAX_HOPS; i++) {
		const struct npf_ir_block *block = &w->ir->blocks[way->to];
		struct way ahead, on;
		int taken;

		if (block->end == NPF_IR_RETURN)
			return;
		copy_way(&ahead, way);
		if (!look_ahead(w, number_of(w, from), &ahead))
			return;
		taken = side_taken(w, from, side, &ahead);
		if (taken < 0 || !go_along(w, &ahead, &block->edges[taken], &on))
			return;
		copy_way(way, &on);
		npf_opt_count(w->opt, NPF_PASS_THREAD);
	}
}

static bool begin_way(const struct walk *w, struct way *way, const struct npf_ir_edge *edge)
{
	way->to = edge->block;
	way->n = w->ir->blocks[edge->block].params;
	if (way->n > MAX_LOCALS)
		return false;
	for (uint32_t i = 0; i < way->n; i++)
		way->locals[i] = w->map[w->ir->args[edge->args + i]];
	return true;
}

/* An edge to an old block, which takes n arguments: their place. */
static uint16_t *lead(struct walk *w, struct npf_ir_block *from, uint32_t side, uint16_t to,
		      uint32_t n)
{
	struct npf_ir_edge *edge = &from->edges[side];

	edge->block = to;
	edge->unused = w->waiting[to];
	edge->args = w->n_args;
	w->waiting[to] = (uint16_t)(number_of(w, from) * 2 + side);
	w->n_args += n;
	return w->args + edge->args;
}

/* The edge as it is. */
static void lead_plainly(struct walk *w, struct npf_ir_block *from, uint32_t side,
			 const struct npf_ir_edge *edge)
{
	uint32_t n = w->ir->blocks[edge->block].params;
	uint16_t *args = lead(w, from, side, edge->block, n);

	for (uint32_t i = 0; i < n; i++)
		args[i] = w->map[w->ir->args[edge->args + i]];
}

static void walk_edge(struct walk *w, struct npf_ir_block *from, uint32_t side,
		      const struct npf_ir_edge *edge)
{
	struct way way;
	uint16_t *args;

	if (!npf_opt_wants(w->opt, NPF_PASS_THREAD) || !begin_way(w, &way, edge)) {
		lead_plainly(w, from, side, edge);
		return;
	}
	thread(w, from, (int)side, &way);
	args = lead(w, from, side, way.to, way.n);
	for (uint32_t i = 0; i < way.n; i++)
		args[i] = way.locals[i];
}

static bool is_same_way(const struct walk *w, const struct npf_ir_edge *x,
			const struct npf_ir_edge *y)
{
	uint32_t n = w->ir->blocks[x->block].params;

	return x->block == y->block &&
	       !memcmp(w->args + x->args, w->args + y->args, n * sizeof(*w->args));
}

/* Both sides lead to the same: take back the second edge. */
static void drop_condition(struct walk *w, struct npf_ir_block *block)
{
	w->waiting[block->edges[1].block] = block->edges[1].unused;
	w->n_args = block->edges[1].args;
	memset(&block->edges[1], 0, sizeof(block->edges[1]));
	block->end = NPF_IR_GOTO;
	block->likely = NPF_IR_UNKNOWN;
	block->a = NONE;
	block->b = NONE;
	block->imm = 0;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void place_end_constant(const struct walk *w, struct npf_ir_block *block)
{
	if (block->b == NONE || w->insns[block->b].op != NPF_IR_CONST)
		return;
	block->imm = w->insns[block->b].imm;
	block->b = NONE;
}

static void walk_end(struct walk *w, const struct npf_ir_block *old)
{
	struct npf_ir_block *block = w->block;
	struct npf_ir_block end = *old;
	enum answer answer = UNDECIDED;

	end.a = mapped(w, end.a);
	end.b = mapped(w, end.b);
	place_end_constant(w, &end);
	if (npf_opt_wants(w->opt, NPF_PASS_FOLD))
		npf_opt_fold_end(w->opt, w->ir, w->insns, &end);
	block->end = NPF_IR_GOTO;
	if (end.end > NPF_IR_GOTO && npf_opt_wants(w->opt, NPF_PASS_THREAD))
		answer = ask_the_way(w, block, -1, &end);
	if (answer != UNDECIDED) {
		npf_opt_count(w->opt, NPF_PASS_THREAD);
		if (answer == NO)
			end.edges[0] = end.edges[1];
		end.end = NPF_IR_GOTO;
	}
	block->end = end.end;
	block->a = end.end == NPF_IR_GOTO ? NONE : end.a;
	block->b = end.end == NPF_IR_GOTO ? NONE : end.b;
	block->imm = end.end == NPF_IR_GOTO ? 0 : end.imm;
	block->likely = end.end == NPF_IR_GOTO ? NPF_IR_UNKNOWN : end.likely;
	w->block = NULL;
	for (uint32_t side = 0; side < npf_ir_edges(&end); side++)
		walk_edge(w, block, side, &end.edges[side]);
	if (block->end > NPF_IR_GOTO && is_same_way(w, &block->edges[0], &block->edges[1])) {
		drop_condition(w, block);
		npf_opt_count(w->opt, NPF_PASS_THREAD);
	}
}

/* The value that all waiting edges bring in this place, NONE: they disagree. */
static uint16_t agreed(struct walk *w, uint32_t number, uint32_t place)
{
	uint16_t value = w->args[edge_of(w, number)->args + place];

	while ((number = edge_of(w, number)->unused) != NO_EDGE) {
		if (w->args[edge_of(w, number)->args + place] != value)
			return NONE;
	}
	return value;
}

static void keep_argument(struct walk *w, uint32_t number, uint32_t from, uint32_t to)
{
	for (; number != NO_EDGE; number = edge_of(w, number)->unused) {
		struct npf_ir_edge *edge = edge_of(w, number);

		w->args[edge->args + to] = w->args[edge->args + from];
	}
}

static void walk_parameters(struct walk *w, const struct npf_ir_block *old, uint32_t number)
{
	static const struct npf_ir_insn param = { .op = NPF_IR_PARAM, .a = NONE, .b = NONE };

	for (uint32_t i = 0; i < old->params; i++) {
		uint16_t value = agreed(w, number, i);

		if (value == NONE || i < w->opt->kept_params) {
			keep_argument(w, number, i, w->block->params++);
			value = write_insn(w, &param);
		}
		w->map[old->first + i] = value;
	}
}

/* Where the block stands among those before it: all edges that lead there are known. */
static void find_place(struct walk *w, uint32_t number)
{
	uint16_t here = number_of(w, w->block);
	struct place *place = &w->places[here];
	const struct npf_ir_block *from = &w->blocks[number / 2];
	uint16_t dominator = (uint16_t)(number / 2);
	bool is_only = edge_of(w, number)->unused == NO_EDGE;

	place->have = w->places[dominator].leaving;
	place->from = is_only && from->end > NPF_IR_GOTO ? dominator : NONE;
	place->side = number % 2;
	for (number = edge_of(w, number)->unused; number != NO_EDGE;
	     number = edge_of(w, number)->unused) {
		uint16_t other = (uint16_t)(number / 2);

		dominator = common_dominator(w, dominator, other);
		if (place->have > w->places[other].leaving)
			place->have = w->places[other].leaving;
	}
	place->leaving = place->have;
	set_dominator(w, here, dominator);
}

static void resolve(struct walk *w, uint32_t number)
{
	while (number != NO_EDGE) {
		struct npf_ir_edge *edge = edge_of(w, number);

		number = edge->unused;
		edge->block = number_of(w, w->block);
		edge->unused = 0;
	}
}

/* A block that only its neighbour leads to, and always, is its continuation. */
static bool continues(struct walk *w, uint32_t number)
{
	return number / 2 + 1 == w->n_blocks && w->blocks[number / 2].end == NPF_IR_GOTO &&
	       edge_of(w, number)->unused == NO_EDGE;
}

static void begin_block(struct walk *w)
{
	w->block = &w->blocks[w->n_blocks++];
	*w->block = (struct npf_ir_block){ .first = (uint16_t)w->n_insns, .a = NONE, .b = NONE };
}

/* Begin the new block for an old one, or go on with the block before. */
static void arrive(struct walk *w, const struct npf_ir_block *old, uint32_t number)
{
	if (continues(w, number)) {
		const uint16_t *args = w->args + edge_of(w, number)->args;

		w->block = &w->blocks[number / 2];
		for (uint32_t i = 0; i < old->params; i++)
			w->map[old->first + i] = args[i];
		memset(w->block->edges, 0, sizeof(w->block->edges));
		return;
	}
	begin_block(w);
	find_place(w, number);
	walk_parameters(w, old, number);
	resolve(w, number);
}

static void walk_blocks(struct walk *w)
{
	for (uint32_t i = 0; i < w->ir->n_blocks; i++) {
		const struct npf_ir_block *old = &w->ir->blocks[i];
		uint16_t number = w->waiting[i];

		if (i && number == NO_EDGE)
			continue;
		if (i) {
			arrive(w, old, number);
		} else {
			begin_block(w);
			memset(&w->places[0], 0, sizeof(w->places[0]));
			w->places[0].from = NONE;
		}
		for (uint32_t n = old->params; n < old->count && w->block; n++)
			walk_insn(w, (uint16_t)(old->first + n));
		if (w->block)
			walk_end(w, old);
	}
}

void npf_opt_exchange(struct npf_ir *ir, uint32_t n_insns, uint32_t n_blocks, uint32_t n_args)
{
	struct npf_ir_insn *insns = ir->insns;
	struct npf_ir_block *blocks = ir->blocks;
	uint16_t *args = ir->args;

	ir->insns = ir->spare_insns;
	ir->blocks = ir->spare_blocks;
	ir->args = ir->spare_args;
	ir->spare_insns = insns;
	ir->spare_blocks = blocks;
	ir->spare_args = args;
	ir->n_insns = n_insns;
	ir->n_blocks = n_blocks;
	ir->n_args = n_args;
}

void npf_opt_walk(struct npf_opt *opt)
{
	struct npf_ir *ir = opt->ir;
	struct walk w = {
		.opt = opt,
		.ir = ir,
		.insns = ir->spare_insns,
		.blocks = ir->spare_blocks,
		.args = ir->spare_args,
	};

	w.places = (struct place *)ir->work;
	w.map = (uint16_t *)(w.places + ir->n_blocks);
	w.home = w.map + ir->n_insns;
	w.next = w.home + ir->n_insns;
	w.waiting = w.next + ir->n_insns;
	memset(w.waiting, 0xFF, ir->n_blocks * sizeof(*w.waiting));
	memset(w.chains, 0xFF, sizeof(w.chains));
	walk_blocks(&w);
	npf_opt_exchange(ir, w.n_insns, w.n_blocks, w.n_args);
}
