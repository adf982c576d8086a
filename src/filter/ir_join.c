/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several programs as one form: where one has decided, the next begins, and what they found is a
 * mask that goes along as the first parameter of every block. So the passes see one program: a
 * value that an earlier one computed is known to all behind it, and what the way has told about a
 * packet (not IPv4) lets it pass by whatever asks that again.
 *
 * A guard that fails still ends the form with 0, which is no mask: nobody knows then, and the
 * programs are to be asked one by one. That is for packets cut short. Bytes that a sound packet
 * need not have are asked for by a branch: what has not got them is not matched, and goes on.
 */
#include <errno.h>
#include <string.h>

#include "filter/optimise.h"

#define NONE NPF_IR_NONE

#define ALONE_PASSES (NPF_PASS_DEFAULT & ~NPF_PASS_HOIST)
#define ROOM         2u  /* for each instruction: space as for so many, for the mask's parameters */
#define ROUNDS       4u  /* each finds what the one before made known */
#define SURE         60u /* bytes that the shortest frame on an Ethernet has */

struct joiner {
	struct npf_ir *ir;
	struct npf_ir from; /* the program's own form */
	struct npf_ir_block *block;
	uint16_t mask;    /* its value in the block */
	uint32_t bit;     /* of the program */
	uint16_t next;    /* block: behind the program */
	uint16_t *starts; /* block of from: the first that is made of it */
	uint16_t *values; /* value of from: the same here */
};

/* ---- measure --------------------------------------------------------------------------------- */

static bool is_far(const struct npf_ir_insn *insn)
{
	return insn->op == NPF_IR_NEED && insn->a == NONE && insn->imm > SURE;
}

static bool is_acceptance(const struct npf_ir_block *block)
{
	return npf_ir_is_verdict(block) && block->imm;
}

static uint32_t count_acceptances(const struct npf_ir *from, const struct npf_ir_block *block)
{
	uint32_t n = 0;

	for (uint32_t side = 0; side < npf_ir_edges(block); side++)
		n += is_acceptance(&from->blocks[block->edges[side].block]);
	return n;
}

/* Blocks that are made of one. */
static uint32_t pieces_of(const struct npf_ir *from, const struct npf_ir_block *block)
{
	uint32_t n = block->end == NPF_IR_RETURN && block->a != NONE ? 2 : 1;

	n += count_acceptances(from, block);

	for (uint32_t i = block->first; i < block->first + block->count; i++)
		n += is_far(&from->insns[i]);
	return n;
}

static uint32_t most_params(const struct npf_ir *ir)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		if (most < ir->blocks[i].params)
			most = ir->blocks[i].params;
	}
	return most;
}

/* Number the blocks to come. False: there is no room for them. */
static bool plan(struct joiner *j)
{
	const struct npf_ir *from = &j->from;
	const struct npf_ir *ir = j->ir;
	uint32_t n_blocks = ir->n_blocks, params = most_params(from) + 1, pieces;

	for (uint32_t i = 0; i < from->n_blocks; i++) {
		j->starts[i] = (uint16_t)n_blocks;
		n_blocks += pieces_of(from, &from->blocks[i]);
		if (n_blocks + 1 >= ir->max_blocks)
			return false;
	}
	j->next = (uint16_t)n_blocks;
	pieces = n_blocks - ir->n_blocks;
	return ir->n_insns + from->n_insns + 3 * pieces + 2 <= ir->max_insns &&
	       ir->n_args + 2 * pieces * params + 2 <= ir->max_args &&
	       ir->n_sets + from->n_sets <= ir->max_sets &&
	       ir->n_keys + from->n_keys <= ir->max_keys;
}

/* ---- write ----------------------------------------------------------------------------------- */

static uint16_t add(struct joiner *j, uint8_t op, uint16_t a, uint32_t imm)
{
	struct npf_ir *ir = j->ir;

	ir->insns[ir->n_insns] = (struct npf_ir_insn){ .op = op, .a = a, .b = NONE, .imm = imm };
	j->block->count++;
	return (uint16_t)ir->n_insns++;
}

static void begin_block(struct joiner *j)
{
	struct npf_ir *ir = j->ir;

	j->block = &ir->blocks[ir->n_blocks++];
	*j->block = (struct npf_ir_block){ .first = (uint16_t)ir->n_insns, .a = NONE, .b = NONE };
}

static void begin_with_mask(struct joiner *j)
{
	begin_block(j);
	j->mask = add(j, NPF_IR_PARAM, NONE, 0);
	j->block->params = 1;
}

/* An edge with the mask, and room for n arguments more: their place. */
static uint16_t *lead(struct joiner *j, uint32_t side, uint16_t to, uint16_t mask, uint32_t n)
{
	struct npf_ir *ir = j->ir;
	uint16_t *args = &ir->args[ir->n_args];

	j->block->edges[side] = (struct npf_ir_edge){ .block = to, .args = ir->n_args };
	args[0] = mask;
	ir->n_args += 1 + n;
	return args + 1;
}

static void go_on(struct joiner *j, uint16_t mask)
{
	j->block->end = NPF_IR_GOTO;
	lead(j, 0, j->next, mask, 0);
}

static void accept(struct joiner *j)
{
	go_on(j, add(j, NPF_IR_OR, j->mask, j->bit));
}

/* A branch: that side leads on into a block that is begun, the other behind the program. */
static void split(struct joiner *j, uint8_t end, uint16_t a, uint32_t imm, uint32_t side)
{
	j->block->end = end;
	j->block->a = a;
	j->block->imm = imm;
	lead(j, side, (uint16_t)j->ir->n_blocks, j->mask, 0);
	lead(j, 1 - side, j->next, j->mask, 0);
	begin_with_mask(j);
}

static uint16_t value_of(const struct joiner *j, uint16_t value)
{
	return value == NONE ? NONE : j->values[value];
}

static void copy_insn(struct joiner *j, uint32_t i)
{
	struct npf_ir *ir = j->ir;
	struct npf_ir_insn insn = j->from.insns[i];

	if (is_far(&insn))
		split(j, NPF_IR_IF_GE, add(j, NPF_IR_CAPLEN, NONE, 0), insn.imm, 0);
	insn.a = value_of(j, insn.a);
	insn.b = value_of(j, insn.b);
	if (insn.op == NPF_IR_IS_IN)
		insn.imm += ir->n_sets;
	j->values[i] = add(j, insn.op, insn.a, insn.imm);
	ir->insns[j->values[i]] = insn;
}

static void copy_edge(struct joiner *j, uint32_t side, const struct npf_ir_edge *edge)
{
	uint32_t n = j->from.blocks[edge->block].params;
	uint16_t *args = lead(j, side, j->starts[edge->block], j->mask, n);

	for (uint32_t i = 0; i < n; i++)
		args[i] = j->values[j->from.args[edge->args + i]];
}

/* Each way accepts by itself, so that what is known there is not lost where they meet. */
static void copy_edges(struct joiner *j, const struct npf_ir_block *from)
{
	uint16_t mine = (uint16_t)j->ir->n_blocks;

	for (uint32_t side = 0; side < npf_ir_edges(from); side++) {
		if (is_acceptance(&j->from.blocks[from->edges[side].block]))
			lead(j, side, mine++, j->mask, 0);
		else
			copy_edge(j, side, &from->edges[side]);
	}
	while (j->ir->n_blocks < mine) {
		begin_with_mask(j);
		accept(j);
	}
}

static void copy_end(struct joiner *j, const struct npf_ir_block *from)
{
	if (from->end == NPF_IR_RETURN && from->a != NONE) {
		split(j, NPF_IR_IF_EQ, j->values[from->a], 0, 1);
		accept(j);
		return;
	}
	if (from->end == NPF_IR_RETURN && from->imm) {
		accept(j);
		return;
	}
	if (from->end == NPF_IR_RETURN) {
		go_on(j, j->mask);
		return;
	}
	j->block->end = from->end;
	j->block->likely = from->likely;
	j->block->a = value_of(j, from->a);
	j->block->b = value_of(j, from->b);
	j->block->imm = from->imm + (from->end == NPF_IR_IF_IN ? j->ir->n_sets : 0);
	copy_edges(j, from);
}

static void copy_block(struct joiner *j, const struct npf_ir_block *from)
{
	begin_with_mask(j);
	j->block->params += from->params;
	for (uint32_t i = from->first; i < from->first + from->count; i++)
		copy_insn(j, i);
	copy_end(j, from);
}

/* Behind the blocks, whose sets have numbers that count from here. */
static void copy_sets(struct joiner *j)
{
	const struct npf_ir *from = &j->from;
	struct npf_ir *ir = j->ir;

	for (uint32_t i = 0; i < from->n_sets; i++) {
		ir->sets[ir->n_sets + i] = from->sets[i];
		ir->sets[ir->n_sets + i].first += ir->n_keys;
	}
	if (from->n_keys)
		memcpy(ir->keys + ir->n_keys, from->keys, from->n_keys * sizeof(*ir->keys));
	ir->n_sets += from->n_sets;
	ir->n_keys += from->n_keys;
}

/* ---- join ------------------------------------------------------------------------------------ */

static int join_one(struct joiner *j, const struct npf_program *program, void *space, size_t size)
{
	int err = npf_ir_build(&j->from, program, space, size);

	if (err)
		return err;
	npf_ir_optimise(&j->from, ALONE_PASSES, NULL);
	j->starts = (uint16_t *)j->from.work;
	j->values = j->starts + j->from.n_blocks;
	if (!plan(j))
		return -E2BIG;
	for (uint32_t i = 0; i < j->from.n_blocks; i++)
		copy_block(j, &j->from.blocks[i]);
	copy_sets(j);
	return 0;
}

/* Before the mask's parameters go where all ways agree: a block that reads a parameter of its own
 * can be passed by, one that others read from cannot. */
static void share(struct npf_ir *ir)
{
	struct npf_opt opt = {
		.ir = ir,
		.passes = NPF_PASS_FOLD | NPF_PASS_NUMBER | NPF_PASS_THREAD | NPF_PASS_CHECKS,
		.kept_params = 1,
	};

	for (uint32_t i = 0; i < ROUNDS; i++) {
		npf_ir_count_uses(ir);
		npf_opt_walk(&opt);
	}
	opt.kept_params = 0;
	npf_opt_settle(&opt);
}

static uint32_t count_insns(const struct npf_program *const *programs, uint32_t n, uint32_t *most)
{
	uint32_t sum = 0;

	*most = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!programs[i])
			continue;
		sum += programs[i]->length;
		if (*most < programs[i]->length)
			*most = programs[i]->length;
	}
	return ROOM * (sum + n);
}

size_t npf_ir_join_space(const struct npf_program *const *programs, uint32_t n)
{
	uint32_t most, sum = count_insns(programs, n, &most);

	return npf_ir_space(sum) + npf_ir_space(most);
}

int npf_ir_join(struct npf_ir *ir, const struct npf_program *const *programs, uint32_t n,
		void *space, size_t size)
{
	struct joiner j = { .ir = ir };
	uint32_t most, sum = count_insns(programs, n, &most);
	size_t joined = npf_ir_space(sum);

	if (size < joined + npf_ir_space(most))
		return -ENOSPC;
	npf_ir_divide_space(ir, sum, space);
	ir->joined = true;
	begin_block(&j);
	j.next = 1;
	go_on(&j, add(&j, NPF_IR_CONST, NONE, NPF_IR_JOINED));
	for (uint32_t i = 0; i < n; i++) {
		int err;

		if (!programs[i])
			continue;
		j.bit = 1u << i;
		err = join_one(&j, programs[i], (uint8_t *)space + joined, size - joined);
		if (err)
			return err;
	}
	begin_with_mask(&j);
	j.block->a = j.mask;
	if (2 * ir->n_blocks * most_params(ir) > ir->max_args)
		return -E2BIG;
	npf_ir_count_uses(ir);
	share(ir);
	return 0;
}
