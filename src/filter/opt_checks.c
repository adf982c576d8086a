/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounds checks. A packet that is too short gives 0 wherever that is noticed; so where every way
 * that leads on either returns 0 or asks for more bytes, a check may ask for them at once, and the
 * later ones go away. Backward: what all ways ask for; forward: what has been shown.
 */
#include "filter/optimise.h"

#define NONE NPF_IR_NONE

/* Returning 0 asks for any number of bytes. A check for so many is taken for one of a byte less,
 * which asks and shows less than it could. */
#define ANY UINT32_MAX

/* Bytes from the packet's begin, and from one value. */
struct bytes {
	uint32_t plain;
	uint32_t imm;  /* behind base */
	uint16_t base; /* NONE: no value. ANY in plain holds for every base */
};

struct checks {
	struct npf_opt *opt;
	struct npf_ir *ir;
	struct bytes *at; /* each block's begin */
};

static const struct bytes nothing = { .base = NONE };
static const struct bytes anything = { .plain = ANY, .base = NONE };

static struct bytes meet(const struct bytes *x, const struct bytes *y)
{
	struct bytes both = { .base = NONE };

	if (x->plain == ANY)
		return *y;
	if (y->plain == ANY)
		return *x;
	both.plain = x->plain < y->plain ? x->plain : y->plain;
	if (x->base != NONE && x->base == y->base) {
		both.base = x->base;
		both.imm = x->imm < y->imm ? x->imm : y->imm;
	}
	return both;
}

/* ---- backward: what is asked for ------------------------------------------------------------ */

static struct bytes asked_behind(const struct checks *c, const struct npf_ir_block *block)
{
	const struct bytes *at = c->at;

	switch (npf_ir_edges(block)) {
	case 0:
		return block->a == NONE && !block->imm ? anything : nothing;
	case 1:
		return at[block->edges[0].block];
	default:
		return meet(&at[block->edges[0].block], &at[block->edges[1].block]);
	}
}

static uint32_t some(uint32_t bytes)
{
	return bytes == ANY ? ANY - 1 : bytes;
}

static void raise(struct checks *c, struct npf_ir_insn *insn, uint32_t *asked)
{
	if (insn->imm < *asked) {
		insn->imm = *asked;
		npf_opt_count(c->opt, NPF_PASS_HOIST);
	}
	*asked = some(insn->imm);
}

/* Let a check ask for what is asked behind it as well. */
static void raise_check(struct checks *c, struct npf_ir_insn *insn, struct bytes *asked)
{
	if (asked->plain == ANY)
		return;
	if (insn->a == NONE) {
		raise(c, insn, &asked->plain);
		return;
	}
	if (asked->base != insn->a) {
		asked->base = insn->a;
		asked->imm = 0;
	}
	raise(c, insn, &asked->imm);
}

static void look_back(struct checks *c, uint32_t number)
{
	struct npf_ir_block *block = &c->ir->blocks[number];
	struct bytes asked = asked_behind(c, block);

	for (uint32_t i = block->first + block->count; i-- > block->first;) {
		struct npf_ir_insn *insn = &c->ir->insns[i];

		if (insn->op == NPF_IR_NEED)
			raise_check(c, insn, &asked);
		if (asked.base == i)
			asked.base = NONE;
	}
	c->at[number] = asked;
}

/* ---- forward: what is shown ----------------------------------------------------------------- */

static bool is_shown(const struct npf_ir_insn *insn, const struct bytes *shown)
{
	if (insn->a == NONE)
		return insn->imm <= shown->plain;
	return shown->base == insn->a && insn->imm <= shown->imm;
}

static void show(const struct npf_ir_insn *insn, struct bytes *shown)
{
	if (insn->a == NONE) {
		shown->plain = some(insn->imm);
	} else {
		shown->base = insn->a;
		shown->imm = insn->imm;
	}
}

static void look_forward(struct checks *c, uint32_t number)
{
	struct npf_ir_block *block = &c->ir->blocks[number];
	struct bytes shown = c->at[number];

	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		struct npf_ir_insn *insn = &c->ir->insns[i];

		if (insn->op != NPF_IR_NEED)
			continue;
		if (is_shown(insn, &shown)) {
			*insn = (struct npf_ir_insn){ .op = NPF_IR_NOP, .a = NONE, .b = NONE };
			npf_opt_count(c->opt, NPF_PASS_CHECKS);
		} else {
			show(insn, &shown);
		}
	}
	for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
		struct bytes *there = &c->at[block->edges[side].block];

		*there = meet(there, &shown);
	}
}

void npf_opt_checks(struct npf_opt *opt)
{
	struct npf_ir *ir = opt->ir;
	struct checks c = { .opt = opt, .ir = ir, .at = (struct bytes *)ir->work };

	for (uint32_t i = ir->n_blocks; i-- > 0;)
		look_back(&c, i);
	for (uint32_t i = 0; i < ir->n_blocks; i++)
		c.at[i] = i ? anything : nothing;
	for (uint32_t i = 0; i < ir->n_blocks; i++)
		look_forward(&c, i);
}
