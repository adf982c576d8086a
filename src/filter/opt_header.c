/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Header length. What follows an IPv4 header stands at 4 * (byte & 15) more, a number that is 20
 * in almost every packet. Where that number is computed, the program is split: one copy of what
 * follows for a length of 5 words, in which all offsets are constants, one for all others.
 *
 *	n = byte & 15                       n = byte & 15
 *	x = n << 2                          n == 5 ─► copy, x = 20
 *	... load x + 14 ...                   └ x = n << 2 ... load x + 14 ...
 *
 * Constant offsets are what socket filters in the kernel are fast at, and they share bounds checks.
 * One length at a time: the caller comes again for the next.
 */
#include <string.h>

#include "filter/optimise.h"

#define NONE NPF_IR_NONE

#define WORDS     5u   /* of a header without options */
#define MAX_INSNS 256u /* of a copy */

struct header {
	struct npf_opt *opt;
	struct npf_ir *ir;
	uint8_t *inside;  /* of each block: dominated by the one that is split, and copied */
	uint8_t *outside; /* of each block: a way leads there that does not pass that one */
	uint16_t *copy;   /* of each block */
	uint16_t *map;    /* of each value: in the copy */
	uint32_t n_copied;
	uint32_t n_args;
};

/* n << 2, n being a byte's lower half? */
static bool is_length(const struct npf_ir *ir, const struct npf_ir_insn *insn)
{
	const struct npf_ir_insn *nibble, *load;

	if (insn->op != NPF_IR_LSH || insn->b != NONE || insn->imm != 2)
		return false;
	nibble = &ir->insns[insn->a];
	if (nibble->op != NPF_IR_AND || nibble->b != NONE || nibble->imm != 15)
		return false;
	load = &ir->insns[nibble->a];
	return load->op == NPF_IR_LOAD && load->size == 1 && load->a == NONE;
}

static bool is_base(const struct npf_ir *ir, uint16_t value)
{
	for (uint32_t i = value + 1u; i < ir->n_insns; i++) {
		if (ir->insns[i].op == NPF_IR_LOAD && ir->insns[i].a == value)
			return true;
	}
	return false;
}

/* Was the program split by this length? */
static bool is_asked(const struct npf_ir *ir, uint16_t nibble)
{
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];

		if (block->end == NPF_IR_IF_EQ && block->a == nibble && block->imm == WORDS)
			return true;
	}
	return false;
}

/* The first length that something is loaded behind, NONE: there is none, or all are split by. */
static uint16_t find_length(const struct npf_ir *ir)
{
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (is_length(ir, insn) && is_base(ir, (uint16_t)i) && !is_asked(ir, insn->a))
			return (uint16_t)i;
	}
	return NONE;
}

static uint32_t home_of(const struct npf_ir *ir, uint16_t value)
{
	uint32_t block = 0;

	while (value >= ir->blocks[block].first + ir->blocks[block].count)
		block++;
	return block;
}

/* Find the blocks that every way enters through the one that is split; verdicts serve both. */
static void survey(struct header *h, uint32_t split)
{
	const struct npf_ir *ir = h->ir;

	memset(h->inside, 0, ir->n_blocks);
	memset(h->outside, 0, ir->n_blocks);
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];
		bool passed = i == split || (i > split && !h->outside[i]);

		if (passed && i != split && !npf_ir_is_verdict(block)) {
			h->inside[i] = 1;
			h->n_copied += block->count;
		}
		for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
			h->outside[block->edges[side].block] |= !passed;
			if (passed)
				h->n_args += ir->blocks[block->edges[side].block].params;
		}
	}
}

static bool has_room(const struct header *h, uint32_t split)
{
	const struct npf_ir *ir = h->ir;
	uint32_t n_copied = h->n_copied + ir->blocks[split].count + 1;

	return n_copied <= MAX_INSNS && ir->n_insns + n_copied <= ir->max_insns &&
	       2 * ir->n_blocks + 2 <= ir->max_blocks && ir->n_args + h->n_args <= ir->max_args;
}

/* ---- copying -------------------------------------------------------------------------------- */

static uint16_t in_copy(const struct header *h, uint16_t value)
{
	return value == NONE ? NONE : h->map[value];
}

static void copy_insn(struct header *h, uint32_t i)
{
	struct npf_ir *ir = h->ir;
	struct npf_ir_insn *insn = &ir->insns[ir->n_insns];

	*insn = ir->insns[i];
	insn->a = in_copy(h, insn->a);
	insn->b = in_copy(h, insn->b);
	h->map[i] = (uint16_t)ir->n_insns++;
}

static void copy_edge(struct header *h, struct npf_ir_edge *edge)
{
	struct npf_ir *ir = h->ir;
	uint32_t from = edge->args;

	edge->args = ir->n_args;
	for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
		ir->args[ir->n_args++] = in_copy(h, ir->args[from + i]);
	if (h->inside[edge->block])
		edge->block = h->copy[edge->block];
}

static void copy_end(struct header *h, struct npf_ir_block *block)
{
	block->a = in_copy(h, block->a);
	block->b = in_copy(h, block->b);
	for (uint32_t side = 0; side < npf_ir_edges(block); side++)
		copy_edge(h, &block->edges[side]);
}

static void copy_block(struct header *h, uint32_t i)
{
	struct npf_ir *ir = h->ir;
	struct npf_ir_block *block = &ir->blocks[h->copy[i]];

	*block = ir->blocks[i];
	block->first = (uint16_t)ir->n_insns;
	for (uint32_t n = 0; n < block->count; n++)
		copy_insn(h, ir->blocks[i].first + n);
	copy_end(h, block);
}

/* What follows the length in its own block, with the length as a constant. */
static void copy_tail(struct header *h, const struct npf_ir_block *tail, uint16_t length)
{
	struct npf_ir *ir = h->ir;
	struct npf_ir_block *block = &ir->blocks[ir->n_blocks++];

	*block = *tail;
	block->first = (uint16_t)ir->n_insns;
	for (uint32_t n = 0; n < tail->count; n++) {
		copy_insn(h, tail->first + n);
		if (tail->first + n == length)
			ir->insns[h->map[length]] = (struct npf_ir_insn){
				.op = NPF_IR_CONST, .a = NONE, .b = NONE, .imm = 4 * WORDS
			};
	}
	copy_end(h, block);
}

/* Split the block before the length; what was behind it becomes a block of its own, and a copy. */
static void split_block(struct header *h, uint32_t split, uint16_t length)
{
	struct npf_ir *ir = h->ir;
	struct npf_ir_block *block = &ir->blocks[split];
	uint16_t tail = (uint16_t)ir->n_blocks++;

	ir->blocks[tail] = *block;
	ir->blocks[tail].first = length;
	ir->blocks[tail].count = (uint16_t)(block->first + block->count - length);
	ir->blocks[tail].params = 0;
	block->count = (uint16_t)(length - block->first);
	block->end = NPF_IR_IF_EQ;
	block->likely = NPF_IR_LIKELY_TRUE;
	block->a = ir->insns[length].a;
	block->b = NONE;
	block->imm = WORDS;
	block->edges[0] = (struct npf_ir_edge){ .block = (uint16_t)ir->n_blocks };
	block->edges[1] = (struct npf_ir_edge){ .block = tail };
	copy_tail(h, &ir->blocks[tail], length);
}

bool npf_opt_header(struct npf_opt *opt)
{
	struct npf_ir *ir = opt->ir;
	struct header h = { .opt = opt, .ir = ir };
	uint16_t length = find_length(ir);
	uint32_t split, n_blocks = ir->n_blocks;

	if (length == NONE)
		return false;
	split = home_of(ir, length);
	h.map = (uint16_t *)ir->work;
	h.copy = h.map + ir->n_insns;
	h.inside = (uint8_t *)(h.copy + ir->n_blocks);
	h.outside = h.inside + ir->n_blocks;
	survey(&h, split);
	if (!has_room(&h, split))
		return false;
	for (uint32_t i = 0; i < ir->n_insns; i++)
		h.map[i] = (uint16_t)i;
	for (uint32_t i = 0; i < n_blocks; i++) {
		if (h.inside[i])
			h.copy[i] = (uint16_t)ir->n_blocks++;
	}
	split_block(&h, split, length);
	for (uint32_t i = 0; i < n_blocks; i++) {
		if (h.inside[i])
			copy_block(&h, i);
	}
	npf_opt_count(opt, NPF_PASS_HEADER);
	return true;
}
