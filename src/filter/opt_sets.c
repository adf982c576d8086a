/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets. A chain of branches that compare values with constants, go to one place when one of them
 * holds and on to the next when none does, becomes one test per value: is it in this set?
 *
 *	v == 1 ─► T                      v in { 1, 2, 5-9 } ─► T
 *	  └ v == 2 ─► T                    └ u == 3 ─► T
 *	      └ u == 3 ─► T                    └ F
 *	          └ v in 5-9 ─► T
 *	              └ F
 *
 * The links of a chain do nothing but ask, so their order is free. A comparison under a mask of
 * leading ones is a range of the value itself: networks of any sizes share a set with hosts.
 */
#include <string.h>

#include "filter/optimise.h"

#define NONE NPF_IR_NONE

#define MAX_VALUES 6u  /* different ones in a chain */
#define MAX_TWINS  16u /* sets that a new one is compared with */

/* Numbers from first to last. */
struct range {
	uint32_t first;
	uint32_t last;
};

struct sets {
	struct npf_opt *opt;
	struct npf_ir *ir;
	uint16_t *arrivals;   /* edges that lead to each block, up to 2 */
	struct range *ranges; /* collected, room for one per block and the members of sets */
	struct range *sorted;
	uint32_t n;
	uint32_t capacity;
	bool overflow;
};

/* What a block asks: is value one of ranges (n of them, or the members of a set)? */
struct question {
	uint16_t value;
	uint32_t side; /* that is taken when it is */
	uint32_t n;
	uint32_t set; /* NONE: ranges[] */
	struct range ranges[2];
};

/* ---- questions ------------------------------------------------------------------------------ */

static bool is_leading_ones(uint32_t mask)
{
	return mask && !(~mask & (~mask + 1));
}

static void ask_for(struct question *q, uint32_t first, uint32_t last)
{
	q->ranges[q->n].first = first;
	q->ranges[q->n++].last = last;
}

/* (x & mask) == k */
static void ask_masked(const struct npf_ir *ir, struct question *q, uint32_t k)
{
	const struct npf_ir_insn *insn = &ir->insns[q->value];

	if (insn->op == NPF_IR_AND && insn->b == NONE && is_leading_ones(insn->imm) &&
	    !(k & ~insn->imm)) {
		q->value = insn->a;
		ask_for(q, k, k | ~insn->imm);
	} else {
		ask_for(q, k, k);
	}
}

/* Understand a block's condition. False: it compares with no constant. */
static bool understand(const struct npf_ir *ir, const struct npf_ir_block *block, struct question *q)
{
	uint32_t k = block->imm;

	if (block->b != NONE)
		return false;
	*q = (struct question){ .value = block->a, .set = NONE };
	switch (block->end) {
	case NPF_IR_IF_EQ:
		ask_masked(ir, q, k);
		return true;
	case NPF_IR_IF_GT:
		if (k == UINT32_MAX)
			return false;
		ask_for(q, k + 1, UINT32_MAX);
		return true;
	case NPF_IR_IF_GE:
		ask_for(q, k, UINT32_MAX);
		return true;
	case NPF_IR_IF_IN:
		q->set = k;
		return true;
	default:
		return false;
	}
}

/* The same question from the other side: true becomes false. */
static bool turn_round(struct question *q)
{
	struct range range = q->ranges[0];

	if (q->set != NONE || q->n != 1)
		return false;
	q->side = 1 - q->side;
	q->n = 0;
	if (range.first)
		ask_for(q, 0, range.first - 1);
	if (range.last != UINT32_MAX)
		ask_for(q, range.last + 1, UINT32_MAX);
	return q->n > 0;
}

/* ---- shape of a chain ----------------------------------------------------------------------- */

static bool is_same_edge(const struct npf_ir *ir, const struct npf_ir_edge *x,
			 const struct npf_ir_edge *y)
{
	uint32_t n = ir->blocks[x->block].params;

	return x->block == y->block &&
	       (!n || !memcmp(ir->args + x->args, ir->args + y->args, n * sizeof(*ir->args)));
}

/* Nothing in the block has an effect or is read elsewhere, apart from what it asks with. */
static bool only_asks(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	if (block->params)
		return false;
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_NOP)
			continue;
		if (npf_ir_is_guard(insn->op) || insn->op == NPF_IR_LOAD || insn->uses > 1 ||
		    block->a != i)
			return false;
	}
	return true;
}

static bool is_defined_in(const struct npf_ir_block *block, uint16_t value)
{
	return value >= block->first && value < block->first + block->count;
}

/* May this block be the next link, behind a chain that leaves by `out` when a question holds? Then
 * q->side is that of `out`. */
static bool is_link(const struct sets *s, uint16_t number, const struct npf_ir_edge *out,
		    struct question *q)
{
	const struct npf_ir *ir = s->ir;
	const struct npf_ir_block *block = &ir->blocks[number];

	if (s->arrivals[number] != 1 || !only_asks(ir, block) || !understand(ir, block, q) ||
	    is_defined_in(block, q->value))
		return false;
	if (is_same_edge(ir, &block->edges[0], out))
		return true;
	return is_same_edge(ir, &block->edges[1], out) && turn_round(q);
}

/* ---- collecting ----------------------------------------------------------------------------- */

static void collect(struct sets *s, uint32_t first, uint32_t last)
{
	if (s->n == s->capacity) {
		s->overflow = true;
		return;
	}
	s->ranges[s->n].first = first;
	s->ranges[s->n++].last = last;
}

static void collect_question(struct sets *s, const struct question *q)
{
	const struct npf_ir_set *set;
	const uint32_t *keys;

	if (q->set == NONE) {
		for (uint32_t i = 0; i < q->n; i++)
			collect(s, q->ranges[i].first, q->ranges[i].last);
		return;
	}
	set = &s->ir->sets[q->set];
	keys = s->ir->keys + set->first;
	for (uint32_t i = 0; i < set->n; i++) {
		collect(s, keys[0], keys[set->is_range]);
		keys += set->is_range ? 2 : 1;
	}
}

/* Few: insert. */
static void sort_few(struct range *ranges, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		struct range range = ranges[i];
		uint32_t j = i;

		for (; j && ranges[j - 1].first > range.first; j--)
			ranges[j] = ranges[j - 1];
		ranges[j] = range;
	}
}

/* Many: distribute by each byte of first that differs at all, lowest byte first. */
static void sort_many(struct sets *s)
{
	uint32_t differ = 0;

	for (uint32_t i = 1; i < s->n; i++)
		differ |= s->ranges[i].first ^ s->ranges[0].first;
	for (uint32_t shift = 0; shift < 32; shift += 8) {
		uint32_t at[257] = { 0 };
		struct range *swap = s->ranges;

		if (!(differ >> shift & 0xFF))
			continue;
		for (uint32_t i = 0; i < s->n; i++)
			at[(s->ranges[i].first >> shift & 0xFF) + 1]++;
		for (uint32_t i = 0; i < 256; i++)
			at[i + 1] += at[i];
		for (uint32_t i = 0; i < s->n; i++)
			s->sorted[at[s->ranges[i].first >> shift & 0xFF]++] = s->ranges[i];
		s->ranges = s->sorted;
		s->sorted = swap;
	}
}

/* Sort, and let overlapping and (touching) adjacent ranges become one. */
static void unite(struct sets *s, bool touching)
{
	uint32_t n = 0;

	if (s->n < 24)
		sort_few(s->ranges, s->n);
	else
		sort_many(s);
	for (uint32_t i = 1; i < s->n; i++) {
		const struct range *next = &s->ranges[i];
		struct range *last = &s->ranges[n];

		if (next->first <= last->last ||
		    (touching && last->last != UINT32_MAX && next->first == last->last + 1)) {
			if (last->last < next->last)
				last->last = next->last;
		} else {
			s->ranges[++n] = *next;
		}
	}
	s->n = s->n ? n + 1 : 0;
}

static bool are_keys(const struct sets *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->ranges[i].first != s->ranges[i].last)
			return false;
	}
	return true;
}

static uint32_t count_runs(const struct sets *s)
{
	uint32_t n = 1;

	for (uint32_t i = 1; i < s->n; i++)
		n += s->ranges[i].first != s->ranges[i - 1].last + 1;
	return n;
}

/* Keys stay keys unless ranges take half the room. */
static bool should_be_ranges(struct sets *s)
{
	if (are_keys(s) && count_runs(s) * 2 > s->n)
		return false;
	unite(s, true);
	return !are_keys(s);
}

/* All numbers that are in none of the ranges: one range less when both ends are covered. */
static void invert(struct sets *s)
{
	for (uint32_t i = 0; i + 1 < s->n; i++) {
		s->ranges[i].first = s->ranges[i].last + 1;
		s->ranges[i].last = s->ranges[i + 1].first - 1;
	}
	s->n--;
}

static bool covers_both_ends(const struct sets *s)
{
	return s->n > 1 && !s->ranges[0].first && s->ranges[s->n - 1].last == UINT32_MAX;
}

/* A set with exactly these numbers, NONE: there is none. */
static uint32_t find_set(const struct sets *s, const struct npf_ir_set *wanted)
{
	const struct npf_ir *ir = s->ir;
	uint32_t numbers = wanted->is_range ? 2 * wanted->n : wanted->n;

	for (uint32_t i = 0; i < ir->n_sets && i < MAX_TWINS; i++) {
		const struct npf_ir_set *set = &ir->sets[i];

		if (set->n == wanted->n && set->is_range == wanted->is_range &&
		    !memcmp(ir->keys + set->first, ir->keys + wanted->first,
			    numbers * sizeof(*ir->keys)))
			return i;
	}
	return NONE;
}

/* The number of the new set, or of an equal one; NONE: there is no room. */
static uint32_t add_set(struct sets *s, bool is_range)
{
	struct npf_ir *ir = s->ir;
	struct npf_ir_set *set = &ir->sets[ir->n_sets];
	uint32_t last = s->ranges[s->n - 1].last;
	uint32_t n_keys = ir->n_keys;
	uint32_t twin;

	if (ir->n_sets == ir->max_sets || ir->n_keys + 2 * s->n > ir->max_keys)
		return NONE;
	set->is_range = is_range;
	set->first = ir->n_keys;
	set->n = s->n;
	set->n_bytes = last > 0xFFFF ? 4 : last > 0xFF ? 2 : 1;
	for (uint32_t i = 0; i < s->n; i++) {
		ir->keys[ir->n_keys++] = s->ranges[i].first;
		if (is_range)
			ir->keys[ir->n_keys++] = s->ranges[i].last;
	}
	twin = find_set(s, set);
	if (twin == NONE)
		return ir->n_sets++;
	ir->n_keys = n_keys;
	return twin;
}

/* A condition: kind, operand, and whether its sides are exchanged. */
struct condition {
	uint8_t end;
	bool inverted;
	uint32_t imm;
};

static bool set_condition(struct condition *condition, uint8_t end, uint32_t imm, bool inverted)
{
	condition->end = end;
	condition->imm = imm;
	condition->inverted = inverted;
	return true;
}

/* The simplest condition that holds for what was collected. False: there is no room for a set. */
static bool conclude(struct sets *s, struct condition *condition)
{
	bool inverted = false;
	bool is_range;
	uint32_t set;

	if (s->overflow)
		return false;
	unite(s, false);
	is_range = should_be_ranges(s);
	if (covers_both_ends(s)) {
		unite(s, true); /* between neighbours there is nothing */
		invert(s);
		inverted = true;
		is_range = !are_keys(s);
	}
	if (s->n == 1 && !is_range)
		return set_condition(condition, NPF_IR_IF_EQ, s->ranges[0].first, inverted);
	if (s->n == 1 && s->ranges[0].last == UINT32_MAX)
		return set_condition(condition, NPF_IR_IF_GE, s->ranges[0].first, inverted);
	if (s->n == 1 && !s->ranges[0].first)
		return set_condition(condition, NPF_IR_IF_GT, s->ranges[0].last, !inverted);
	set = add_set(s, is_range);
	return set != NONE && set_condition(condition, NPF_IR_IF_IN, set, inverted);
}

/* ---- chains --------------------------------------------------------------------------------- */

/* The questions of a chain about one value; the first block that asks one stays, and asks all. */
struct group {
	uint16_t value;
	uint16_t block;
	uint32_t n;
};

/* A chain: from block `first` on, each link the next of the one before by its other side. */
struct chain {
	uint16_t first;
	uint32_t n_links;
	uint32_t n_followed; /* of them, keys that follow_keys() found */
	uint32_t n_groups;
	struct group groups[MAX_VALUES];
	struct npf_ir_edge in;  /* where a question leads that holds */
	struct npf_ir_edge out; /* where the last leads when none does */
};

static struct group *group_of(struct chain *chain, uint16_t value)
{
	for (uint32_t i = 0; i < chain->n_groups; i++) {
		if (chain->groups[i].value == value)
			return &chain->groups[i];
	}
	if (chain->n_groups == MAX_VALUES)
		return NULL;
	chain->groups[chain->n_groups] = (struct group){ .value = value };
	return &chain->groups[chain->n_groups++];
}

static bool add_link(struct chain *chain, uint16_t block, const struct question *q)
{
	struct group *group = group_of(chain, q->value);

	if (!group)
		return false;
	if (!group->n++)
		group->block = block;
	chain->n_links++;
	return true;
}

/* The longest part of most long lists: nothing but keys of the value that was asked for last. */
static void follow_keys(struct sets *s, struct chain *chain, uint16_t value)
{
	const struct npf_ir *ir = s->ir;
	struct group *group = group_of(chain, value);

	if (!group || ir->blocks[chain->in.block].params)
		return;
	for (;;) {
		uint16_t number = chain->out.block;
		const struct npf_ir_block *block = &ir->blocks[number];

		if (block->end != NPF_IR_IF_EQ || block->a != value || block->b != NONE ||
		    block->count || block->edges[0].block != chain->in.block ||
		    s->arrivals[number] != 1)
			return;
		collect(s, block->imm, block->imm);
		group->n++;
		chain->n_links++;
		chain->n_followed++;
		chain->out = block->edges[1];
		/* A second question about one value: the chain will be rewritten. */
		s->arrivals[number] = 0;
	}
}

/* A glance that spares most blocks the rest: can what follows on the other side be a link? */
static bool may_go_on(const struct sets *s, const struct npf_ir_block *block, uint32_t side)
{
	const struct npf_ir_block *next = &s->ir->blocks[block->edges[1 - side].block];
	uint16_t in = block->edges[side].block;

	return next->end > NPF_IR_GOTO && !next->params &&
	       (next->edges[0].block == in || next->edges[1].block == in);
}

/* Follow the chain that begins with this block, left by that side when its question holds. What is
 * asked is collected on the way, in vain when it concerns several values. */
static bool find_chain(struct sets *s, uint16_t number, uint32_t side, struct chain *chain)
{
	const struct npf_ir *ir = s->ir;
	const struct npf_ir_block *block = &ir->blocks[number];
	struct question q;

	if (!may_go_on(s, block, side) || !understand(ir, block, &q) ||
	    (side == 1 && !turn_round(&q)))
		return false;
	chain->first = number;
	chain->n_links = 0;
	chain->n_followed = 0;
	chain->n_groups = 0;
	chain->in = block->edges[side];
	chain->out = block->edges[1 - side];
	s->n = 0;
	s->overflow = false;
	add_link(chain, number, &q);
	collect_question(s, &q);
	follow_keys(s, chain, q.value);
	while (is_link(s, chain->out.block, &chain->in, &q)) {
		uint16_t next = chain->out.block;

		if (!add_link(chain, next, &q))
			break;
		collect_question(s, &q);
		chain->out = ir->blocks[next].edges[1 - q.side];
		follow_keys(s, chain, q.value);
	}
	return chain->n_links > chain->n_groups;
}

/* Collect the questions of one group, walking the chain again. */
static void collect_group(struct sets *s, const struct chain *chain, uint16_t value)
{
	struct npf_ir_edge in = chain->in;
	uint16_t number = chain->first;

	s->n = 0;
	s->overflow = false;
	for (uint32_t i = 0; i < chain->n_links; i++) {
		const struct npf_ir_block *block = &s->ir->blocks[number];
		struct question q;

		understand(s->ir, block, &q);
		if (!is_same_edge(s->ir, &block->edges[0], &in))
			turn_round(&q);
		if (q.value == value)
			collect_question(s, &q);
		number = block->edges[1 - q.side].block;
	}
}

static void ask_all(struct npf_ir_block *block, uint16_t value, const struct condition *condition,
		    const struct npf_ir_edge *in, const struct npf_ir_edge *out)
{
	block->end = condition->end;
	block->likely = NPF_IR_UNKNOWN;
	block->a = value;
	block->b = NONE;
	block->imm = condition->imm;
	block->edges[condition->inverted] = *in;
	block->edges[!condition->inverted] = *out;
}

/* Links that nothing leads to any more. */
static void forget_links(struct sets *s, const struct chain *chain)
{
	struct npf_ir_edge in = chain->in;
	uint16_t number = chain->first;

	for (uint32_t i = 0; i < chain->n_links; i++) {
		const struct npf_ir_block *block = &s->ir->blocks[number];
		uint32_t side = is_same_edge(s->ir, &block->edges[0], &in) ? 0 : 1;

		s->arrivals[number] = 0;
		number = block->edges[1 - side].block;
	}
}

/* Replace the chain: its groups' first blocks ask for all. False: there is no room. */
static bool rewrite(struct sets *s, const struct chain *chain)
{
	struct condition conditions[MAX_VALUES];
	struct npf_ir *ir = s->ir;

	for (uint32_t i = 0; i < chain->n_groups; i++) {
		if (chain->n_groups > 1)
			collect_group(s, chain, chain->groups[i].value);
		if (!conclude(s, &conditions[i]))
			return false;
	}
	if (chain->n_followed + 1 < chain->n_links)
		forget_links(s, chain);
	for (uint32_t i = 0; i < chain->n_groups; i++) {
		const struct group *group = &chain->groups[i];
		struct npf_ir_edge next = chain->out;

		if (i + 1 < chain->n_groups)
			next = (struct npf_ir_edge){ .block = chain->groups[i + 1].block };
		ask_all(&ir->blocks[group->block], group->value, &conditions[i], &chain->in, &next);
		s->arrivals[group->block] = 1;
	}
	s->opt->changed[__builtin_ctz(NPF_PASS_SETS)] += chain->n_links - chain->n_groups;
	return true;
}

static void count_arrivals(struct sets *s)
{
	const struct npf_ir *ir = s->ir;

	memset(s->arrivals, 0, ir->n_blocks * sizeof(*s->arrivals));
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		for (uint32_t side = 0; side < npf_ir_edges(&ir->blocks[i]); side++) {
			uint16_t *arrivals = &s->arrivals[ir->blocks[i].edges[side].block];

			*arrivals += *arrivals < 2;
		}
	}
}

void npf_opt_sets(struct npf_opt *opt, uint32_t from)
{
	struct npf_ir *ir = opt->ir;
	struct sets s = { .opt = opt, .ir = ir };
	struct chain chain;

	s.capacity = 2 * ir->n_blocks + ir->n_keys;
	s.ranges = (struct range *)ir->work;
	s.sorted = s.ranges + s.capacity;
	s.arrivals = (uint16_t *)(s.sorted + s.capacity);
	count_arrivals(&s);
	for (uint32_t i = from; i < ir->n_blocks; i++) {
		if (ir->blocks[i].end <= NPF_IR_GOTO || (i && !s.arrivals[i]))
			continue;
		for (uint32_t side = 0; side < 2; side++) {
			if (find_chain(&s, (uint16_t)i, side, &chain) && !rewrite(&s, &chain))
				return;
		}
	}
}
