/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fewer, wider loads. A load of the kernel's memory by PEEK is ten instructions to the processor,
 * because it may fail; so fields that stand within four bytes of each other are loaded at once, where
 * the first of them is wanted, and taken out of that number.
 *
 *	a = load 2 at 20                w = load 4 at 20
 *	... a & 0x1fff ...              ... w & 0x1fff0000 ...
 *	b = load 1 at 23
 *	... b == 6 ...                  ... w & 0xff == 6 ...
 *
 * Where a field is only compared with constants it stays where it is in the number, and the constants
 * move; tests of one number that follow each other and agree on where to go otherwise become one. The wide load ends where the last of its fields does, so that it is in the window if they are;
 * but it may end behind the packet, which only PEEK can bear: the form is a copy that nobody else sees.
 */
#include <string.h>

#include "filter/ebpf_gen.h"
#include "filter/optimise.h"

#define NONE       NPF_IR_NONE
#define WIDE       4u
#define LOOK_AHEAD 24u /* loads that may be joined with one */
#define MOST_STEPS 64u /* from a block to one that dominates it */

/* A block that every way to both passes. */
static uint32_t common(const uint16_t *above, uint32_t a, uint32_t b)
{
	while (a != b) {
		if (a > b)
			a = above[a];
		else
			b = above[b];
	}
	return a;
}

/* For each block the next that every way to it passes. */
static void find_dominators(struct npf_ebpf_wide *w)
{
	const struct npf_ir *ir = w->from;

	for (uint32_t b = 0; b < ir->n_blocks; b++)
		w->above[b] = NONE;
	w->above[0] = 0;
	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		for (uint32_t e = 0; e < npf_ir_edges(&ir->blocks[b]); e++) {
			uint16_t to = ir->blocks[b].edges[e].block;

			w->above[to] = w->above[to] == NONE
					       ? (uint16_t)b
					       : (uint16_t)common(w->above, w->above[to], b);
		}
	}
}

static bool dominates(const struct npf_ebpf_wide *w, uint32_t a, uint32_t b)
{
	for (uint32_t i = 0; i < MOST_STEPS && b > a; i++)
		b = w->above[b];
	return a == b;
}

/* ---- which loads come together --------------------------------------------------------------- */

static bool may_widen(const struct npf_ebpf_gen *g, const struct npf_ir *ir,
		      const struct npf_ir_insn *insn)
{
	return insn->op == NPF_IR_LOAD && insn->size < WIDE && insn->imm < NPF_EBPF_WINDOW &&
	       npf_ebpf_in_window(g, ir, insn);
}

/* The loads that can be had together with this one, which is the first. */
static void find_group(struct npf_ebpf_gen *g, struct npf_ebpf_wide *w, uint32_t first)
{
	const struct npf_ir *ir = w->from;
	uint32_t low = ir->insns[first].imm, high = low + ir->insns[first].size;
	uint32_t n = 1, home = w->home[first], looked = 0;

	for (uint32_t i = first + 1; i < ir->n_insns && looked < LOOK_AHEAD; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];
		uint32_t end = insn->imm + insn->size;
		uint32_t lower = insn->imm < low ? insn->imm : low;
		uint32_t higher = end > high ? end : high;

		looked += insn->op == NPF_IR_LOAD;
		if (w->group[i] != NONE || !may_widen(g, ir, insn) ||
		    insn->a != ir->insns[first].a || higher - lower > WIDE ||
		    !dominates(w, home, w->home[i]))
			continue;
		low = lower;
		high = higher;
		w->group[i] = (uint16_t)first;
		n++;
	}
	if (n == 1 || (high < WIDE && ir->insns[first].a != NONE)) {
		for (uint32_t i = first + 1; n > 1 && i < ir->n_insns; i++) {
			if (w->group[i] == first)
				w->group[i] = NONE;
		}
		return;
	}
	w->group[first] = (uint16_t)first;
	w->start[first] = (uint8_t)(high < WIDE ? 0 : high - WIDE);
}

static void find_groups(struct npf_ebpf_gen *g, struct npf_ebpf_wide *w)
{
	const struct npf_ir *ir = w->from;

	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		for (uint32_t i = 0; i < ir->blocks[b].count; i++)
			w->home[ir->blocks[b].first + i] = (uint16_t)b;
	}
	for (uint32_t i = 0; i < ir->n_insns; i++)
		w->group[i] = NONE;
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		if (w->group[i] == NONE && may_widen(g, ir, &ir->insns[i]))
			find_group(g, w, i);
	}
}

/* ---- what becomes of their users ------------------------------------------------------------- */

/* The largest number that a field can be. */
static uint32_t mask_of(const struct npf_ir_insn *load)
{
	return 0xFFFFFFFFu >> (32 - 8 * load->size);
}

/* Bits behind the field in the wide load. */
static uint32_t shift_of(const struct npf_ebpf_wide *w, uint32_t i)
{
	const struct npf_ir_insn *load = &w->from->insns[i];

	return 8 * (w->start[w->group[i]] + WIDE - load->imm - load->size);
}

static bool is_mask(const struct npf_ir_insn *insn)
{
	return insn->op == NPF_IR_AND && insn->b == NONE;
}

static void stays_not(struct npf_ebpf_wide *w, uint16_t value)
{
	if (value != NONE)
		w->stays[value] = false;
}

/* Values that are only compared with constants that they can be, or masked and then compared. */
static void find_staying(struct npf_ebpf_wide *w)
{
	const struct npf_ir *ir = w->from;

	for (uint32_t i = 0; i < ir->n_insns; i++)
		w->stays[i] = w->group[i] != NONE ||
			      (is_mask(&ir->insns[i]) && w->stays[ir->insns[i].a]);
	for (uint32_t i = 0; i < ir->n_args; i++)
		stays_not(w, ir->args[i]);
	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		const struct npf_ir_block *block = &ir->blocks[b];

		if (block->end == NPF_IR_GOTO ||
		    (block->end >= NPF_IR_IF_EQ && block->end <= NPF_IR_IF_SET &&
		     block->b == NONE && block->imm <= npf_ir_bound(ir, block->a)))
			continue;
		stays_not(w, block->a);
		if (block->end != NPF_IR_RETURN)
			stays_not(w, block->b);
	}
	for (uint32_t i = ir->n_insns; i-- > 0;) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_CONST || insn->op == NPF_IR_PARAM ||
		    (is_mask(insn) && w->stays[i]))
			continue;
		stays_not(w, insn->a);
		stays_not(w, insn->b);
	}
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		if (is_mask(&ir->insns[i]))
			w->stays[i] = w->stays[i] && w->stays[ir->insns[i].a];
	}
}

/* By how much a value is shifted to the left of what it was. */
static uint32_t moved(const struct npf_ebpf_wide *w, uint16_t value)
{
	if (value == NONE || !w->stays[value])
		return 0;
	while (is_mask(&w->from->insns[value]))
		value = w->from->insns[value].a;
	return shift_of(w, value);
}

/* ---- the copy -------------------------------------------------------------------------------- */

static uint16_t put(struct npf_ebpf_wide *w, uint8_t op, uint16_t a, uint32_t imm)
{
	w->to.insns[w->to.n_insns] = (struct npf_ir_insn){ .op = op, .a = a, .b = NONE, .imm = imm };
	return (uint16_t)w->to.n_insns++;
}

static uint16_t renamed(const struct npf_ebpf_wide *w, uint16_t value)
{
	return value == NONE ? NONE : w->map[value];
}

/* Take a field out of the wide load. */
static void put_field(struct npf_ebpf_wide *w, uint32_t i)
{
	const struct npf_ir_insn *load = &w->from->insns[i];
	uint32_t shift = shift_of(w, i);
	uint16_t value = w->wide[w->group[i]];

	if (w->stays[i]) {
		w->map[i] = put(w, NPF_IR_AND, value, mask_of(load) << shift);
		return;
	}
	if (shift)
		value = put(w, NPF_IR_RSH, value, shift);
	if (shift + 8 * load->size < 32)
		value = put(w, NPF_IR_AND, value, mask_of(load));
	w->map[i] = value;
}

static void put_wide(struct npf_ebpf_wide *w, uint32_t i)
{
	w->wide[i] = put(w, NPF_IR_LOAD, renamed(w, w->from->insns[i].a), w->start[i]);
	w->to.insns[w->wide[i]].size = WIDE;
}

static void copy_insn(struct npf_ebpf_wide *w, uint32_t i)
{
	struct npf_ir_insn insn = w->from->insns[i];

	if (w->group[i] == i)
		put_wide(w, i);
	if (w->group[i] != NONE) {
		put_field(w, i);
		return;
	}
	if (is_mask(&insn))
		insn.imm <<= moved(w, insn.a);
	insn.a = renamed(w, insn.a);
	insn.b = renamed(w, insn.b);
	if (is_mask(&insn) && is_mask(&w->to.insns[insn.a])) {
		insn.imm &= w->to.insns[insn.a].imm;
		insn.a = w->to.insns[insn.a].a;
	}
	w->to.insns[w->to.n_insns] = insn;
	w->map[i] = (uint16_t)w->to.n_insns++;
}

static void copy_block(struct npf_ebpf_wide *w, uint32_t b)
{
	const struct npf_ir_block *from = &w->from->blocks[b];
	struct npf_ir_block *to = &w->to.blocks[b];

	*to = *from;
	to->first = (uint16_t)w->to.n_insns;
	for (uint32_t i = 0; i < from->count; i++)
		copy_insn(w, from->first + i);
	to->count = (uint16_t)(w->to.n_insns - to->first);
	if (from->end >= NPF_IR_IF_EQ && from->end <= NPF_IR_IF_SET && from->b == NONE)
		to->imm <<= moved(w, from->a);
	if (from->end != NPF_IR_GOTO)
		to->a = renamed(w, from->a);
	if (from->end != NPF_IR_GOTO && from->end != NPF_IR_RETURN)
		to->b = renamed(w, from->b);
}

/* ---- tests that come together ---------------------------------------------------------------- */

static void use(struct npf_ebpf_wide *w, uint16_t value)
{
	if (value != NONE)
		w->to.insns[value].uses++;
}

static void count_uses(struct npf_ebpf_wide *w)
{
	const struct npf_ir *to = &w->to;

	for (uint32_t i = 0; i < to->n_insns; i++)
		to->insns[i].uses = 0;
	for (uint32_t i = 0; i < to->n_insns; i++) {
		use(w, to->insns[i].a);
		use(w, to->insns[i].b);
	}
	for (uint32_t i = 0; i < to->n_args; i++)
		use(w, to->args[i]);
	memset(w->ways, 0, to->n_blocks * sizeof(*w->ways));
	for (uint32_t b = 0; b < to->n_blocks; b++) {
		const struct npf_ir_block *block = &to->blocks[b];

		for (uint32_t e = 0; e < npf_ir_edges(block); e++)
			w->ways[block->edges[e].block]++;
		if (block->end != NPF_IR_GOTO)
			use(w, block->a);
		if (block->end != NPF_IR_GOTO && block->end != NPF_IR_RETURN)
			use(w, block->b);
	}
}

/* The end of a block as: on by edges[on] when value & mask is that, else by the other. */
struct test {
	uint16_t value;
	uint8_t on;
	uint32_t mask, that;
};

static bool find_test(const struct npf_ebpf_wide *w, const struct npf_ir_block *block,
		      struct test *test)
{
	const struct npf_ir_insn *insn;

	if ((block->end != NPF_IR_IF_EQ && block->end != NPF_IR_IF_SET) || block->b != NONE)
		return false;
	insn = &w->to.insns[block->a];
	if (!is_mask(insn) || insn->uses != 1)
		return false;
	if (block->end == NPF_IR_IF_SET)
		*test = (struct test){ insn->a, 1, insn->imm & block->imm, 0 };
	else
		*test = (struct test){ insn->a, 0, insn->imm, block->imm };
	return !(test->that & ~test->mask);
}

/* Nothing but its test, of which nothing is left once that is made elsewhere. */
static bool only_tests(const struct npf_ebpf_wide *w, const struct npf_ir_block *block)
{
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		if (!is_mask(&w->to.insns[i]) || (w->to.insns[i].uses && i != block->a))
			return false;
	}
	return true;
}

/* Make the test of the block behind in this one; false: it cannot be. The block behind is then left
 * out, for nothing leads there. */
static bool join_next(struct npf_ebpf_wide *w, struct npf_ir_block *block)
{
	const struct npf_ir_block *next;
	struct test first, second;
	struct npf_ir_edge otherwise;

	if (!find_test(w, block, &first))
		return false;
	otherwise = block->edges[!first.on];
	next = &w->to.blocks[block->edges[first.on].block];
	if (w->ways[block->edges[first.on].block] != 1 || next->params || !only_tests(w, next) ||
	    !find_test(w, next, &second) || second.value != first.value ||
	    (first.mask & second.mask) || next->edges[!second.on].block != otherwise.block ||
	    w->to.blocks[otherwise.block].params)
		return false;
	w->to.insns[block->a].imm = first.mask | second.mask;
	block->end = NPF_IR_IF_EQ;
	block->imm = first.that | second.that;
	block->edges[0] = next->edges[second.on];
	block->edges[1] = otherwise;
	return true;
}

static void join_tests(struct npf_ebpf_wide *w)
{
	count_uses(w);
	for (uint32_t b = 0; b < w->to.n_blocks; b++) {
		while (join_next(w, &w->to.blocks[b]))
			;
	}
}

const struct npf_ir *npf_ebpf_widen(struct npf_ebpf_gen *g, const struct npf_ir *ir)
{
	struct npf_ebpf_wide *w = &g->wide;

	if (NPF_EBPF_WIDENED * ir->n_insns >= NONE)
		return ir;
	w->from = ir;
	find_dominators(w);
	find_groups(g, w);
	find_staying(w);
	w->to.dialect = ir->dialect;
	w->to.n_insns = 0;
	w->to.n_blocks = ir->n_blocks;
	w->to.n_args = ir->n_args;
	w->to.n_sets = ir->n_sets;
	w->to.n_keys = ir->n_keys;
	w->to.sets = ir->sets;
	w->to.keys = ir->keys;
	for (uint32_t b = 0; b < ir->n_blocks; b++)
		copy_block(w, b);
	for (uint32_t i = 0; i < ir->n_args; i++)
		w->to.args[i] = renamed(w, ir->args[i]);
	join_tests(w);
	return &w->to;
}
