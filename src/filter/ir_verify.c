/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of the intermediate form, checked one by one. For tests and for finding out which pass
 * broke what; takes quadratic time.
 */
#include <string.h>

#include "filter/ir.h"

struct check {
	const struct npf_ir *ir;
	uint16_t *dominator; /* of each block: the nearest one */
	uint16_t *home;      /* of each value: its block */
	uint32_t *have;      /* of each block: what a guard has shown at its beginning */
};

#define ALL_SHOWN UINT32_MAX /* no way leads here yet */

static uint32_t edges_of(const struct npf_ir_block *block)
{
	if (block->end == NPF_IR_RETURN)
		return 0;
	return block->end == NPF_IR_GOTO ? 1 : 2;
}

static uint16_t common(const struct check *c, uint16_t x, uint16_t y)
{
	while (x != y) {
		if (x > y)
			x = c->dominator[x];
		else
			y = c->dominator[y];
	}
	return x;
}

static bool dominates(const struct check *c, uint16_t x, uint16_t y)
{
	while (y > x)
		y = c->dominator[y];
	return x == y;
}

/* ---- shape ---------------------------------------------------------------------------------- */

static const char *check_layout(struct check *c, uint32_t i)
{
	const struct npf_ir_block *block = &c->ir->blocks[i];
	uint32_t expected = i ? block[-1].first + block[-1].count : 0;

	if (block->first != expected)
		return "instructions do not follow the block before";
	if (block->first + block->count > c->ir->n_insns)
		return "instructions end outside of the list";
	if (block->params > block->count || (!i && block->params))
		return "more parameters than there can be";
	for (uint32_t n = 0; n < block->count; n++) {
		const struct npf_ir_insn *insn = &c->ir->insns[block->first + n];

		c->home[block->first + n] = (uint16_t)i;
		if ((insn->op == NPF_IR_PARAM) != (n < block->params))
			return "parameters are not in front";
		if (insn->op == NPF_IR_NOP || insn->op >= NPF_IR_N_OPS)
			return "no such operation";
	}
	return NULL;
}

static const char *check_edges(struct check *c, uint32_t i)
{
	const struct npf_ir_block *block = &c->ir->blocks[i];

	if (block->end >= NPF_IR_N_ENDS)
		return "no such end";
	for (uint32_t n = 0; n < edges_of(block); n++) {
		const struct npf_ir_edge *edge = &block->edges[n];

		if (edge->block <= i || edge->block >= c->ir->n_blocks)
			return "an edge does not lead forward";
		if ((uint64_t)edge->args + c->ir->blocks[edge->block].params > c->ir->n_args)
			return "arguments end outside of the list";
		if (c->dominator[edge->block] == NPF_IR_NONE)
			c->dominator[edge->block] = (uint16_t)i;
		else
			c->dominator[edge->block] = common(c, c->dominator[edge->block],
							   (uint16_t)i);
	}
	if (edges_of(block) == 2 && block->edges[0].block == block->edges[1].block &&
	    !c->ir->blocks[block->edges[0].block].params)
		return "both edges are the same";
	if (i && c->dominator[i] == NPF_IR_NONE)
		return "no way leads to the block";
	return NULL;
}

static const char *check_shape(struct check *c, uint32_t *where)
{
	const struct npf_ir *ir = c->ir;

	if (!ir->n_blocks)
		return "there is no block";
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const char *fault = check_layout(c, i);

		*where = i;
		c->dominator[i] = i ? NPF_IR_NONE : 0;
		if (fault)
			return fault;
	}
	if (ir->blocks[*where].first + ir->blocks[*where].count != ir->n_insns)
		return "instructions belong to no block";
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const char *fault = check_edges(c, i);

		*where = i;
		if (fault)
			return fault;
	}
	return NULL;
}

/* ---- values --------------------------------------------------------------------------------- */

static bool computes(uint8_t op)
{
	return op != NPF_IR_NEED && op != NPF_IR_NONZERO;
}

/* Is value known to instruction number `at` of this block (its end: the number behind)? */
static bool is_known(const struct check *c, uint16_t value, uint32_t block, uint32_t at)
{
	if (value >= c->ir->n_insns || !computes(c->ir->insns[value].op))
		return false;
	if (c->home[value] == block)
		return value < at;
	return dominates(c, c->home[value], (uint16_t)block);
}

static bool has_first(uint8_t op)
{
	return op == NPF_IR_NEG || (op >= NPF_IR_ADD && op <= NPF_IR_IS_IN) || op == NPF_IR_NONZERO;
}

static bool has_second(uint8_t op)
{
	return op >= NPF_IR_ADD && op < NPF_IR_IS_IN;
}

static bool may_have_first(uint8_t op)
{
	return op == NPF_IR_LOAD || op == NPF_IR_NEED || has_first(op);
}

static const char *check_operands(const struct check *c, uint32_t block, uint32_t i)
{
	const struct npf_ir_insn *insn = &c->ir->insns[i];

	if (insn->a == NPF_IR_NONE && has_first(insn->op))
		return "an operand is missing";
	if (insn->a != NPF_IR_NONE && (!may_have_first(insn->op) || !is_known(c, insn->a, block, i)))
		return "the first operand is not known here";
	if (insn->b == NPF_IR_NONE)
		return NULL;
	if (!has_second(insn->op) || !is_known(c, insn->b, block, i))
		return "the second operand is not known here";
	return c->ir->insns[insn->b].op == NPF_IR_CONST ? "a constant stands as second operand"
							: NULL;
}

static const char *check_details(const struct check *c, uint32_t i)
{
	const struct npf_ir_insn *insn = &c->ir->insns[i];
	bool by_imm = insn->b == NPF_IR_NONE;

	switch (insn->op) {
	case NPF_IR_LOAD:
		return insn->size == 1 || insn->size == 2 || insn->size == 4 ? NULL : "odd size";
	case NPF_IR_FIELD:
		return insn->size == 2 || insn->size == 4 ? NULL : "odd size";
	case NPF_IR_LSH:
	case NPF_IR_RSH:
		return by_imm && insn->imm >= 32 ? "a constant shift of 32 or more" : NULL;
	case NPF_IR_DIV:
	case NPF_IR_MOD:
		return by_imm && !insn->imm ? "division by constant 0" : NULL;
	case NPF_IR_IS_IN:
		return insn->imm < c->ir->n_sets ? NULL : "no such set";
	default:
		return NULL;
	}
}

static const char *check_end(const struct check *c, uint32_t i)
{
	const struct npf_ir_block *block = &c->ir->blocks[i];
	uint32_t behind = block->first + block->count;

	if (block->a != NPF_IR_NONE && !is_known(c, block->a, i, behind))
		return "the end's first operand is not known here";
	if (block->b != NPF_IR_NONE && !is_known(c, block->b, i, behind))
		return "the end's second operand is not known here";
	if (block->b != NPF_IR_NONE && c->ir->insns[block->b].op == NPF_IR_CONST)
		return "a constant stands as the end's second operand";
	if (block->end > NPF_IR_GOTO && block->a == NPF_IR_NONE)
		return "a branch looks at nothing";
	if (block->end == NPF_IR_IF_IN && block->imm >= c->ir->n_sets)
		return "no such set";
	for (uint32_t n = 0; n < edges_of(block); n++) {
		const struct npf_ir_edge *edge = &block->edges[n];

		for (uint32_t k = 0; k < c->ir->blocks[edge->block].params; k++) {
			if (!is_known(c, c->ir->args[edge->args + k], i, behind))
				return "an argument is not known here";
		}
	}
	return NULL;
}

static const char *check_values(const struct check *c, uint32_t *where)
{
	for (uint32_t i = 0; i < c->ir->n_blocks; i++) {
		const struct npf_ir_block *block = &c->ir->blocks[i];
		const char *fault = NULL;

		*where = i;
		for (uint32_t n = 0; n < block->count && !fault; n++) {
			fault = check_operands(c, i, block->first + n);
			if (!fault)
				fault = check_details(c, block->first + n);
		}
		if (!fault)
			fault = check_end(c, i);
		if (fault)
			return fault;
	}
	return NULL;
}

/* ---- guards --------------------------------------------------------------------------------- */

static uint32_t less(uint32_t x, uint32_t y)
{
	return x < y ? x : y;
}

/* Follow what guards of one kind and one operand show, through all blocks. */
static const char *check_guards(const struct check *c, uint8_t guard, uint16_t operand,
				uint32_t *where)
{
	const struct npf_ir *ir = c->ir;

	for (uint32_t i = 0; i < ir->n_blocks; i++)
		c->have[i] = i ? ALL_SHOWN : 0;
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];
		uint32_t have = c->have[i];

		*where = i;
		for (uint32_t n = block->first; n < block->first + block->count; n++) {
			const struct npf_ir_insn *insn = &ir->insns[n];

			if (insn->op == guard && insn->a == operand) {
				uint32_t shown = guard == NPF_IR_NEED ? insn->imm : 1;

				have = have > shown ? have : shown;
			}
			if (guard == NPF_IR_NEED && insn->op == NPF_IR_LOAD && insn->a == operand &&
			    (uint64_t)insn->imm + insn->size > have)
				return "a load without its NEED";
			if (guard == NPF_IR_NONZERO &&
			    (insn->op == NPF_IR_DIV || insn->op == NPF_IR_MOD) &&
			    insn->b == operand && !have)
				return "a division without its NONZERO";
		}
		for (uint32_t n = 0; n < edges_of(block); n++) {
			uint32_t *there = &c->have[block->edges[n].block];

			*there = less(*there, have);
		}
	}
	return NULL;
}

static const char *check_all_guards(const struct check *c, uint32_t *where)
{
	const struct npf_ir *ir = c->ir;
	const char *fault = check_guards(c, NPF_IR_NEED, NPF_IR_NONE, where);

	for (uint32_t i = 0; i < ir->n_insns && !fault; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_LOAD && insn->a != NPF_IR_NONE)
			fault = check_guards(c, NPF_IR_NEED, insn->a, where);
		else if ((insn->op == NPF_IR_DIV || insn->op == NPF_IR_MOD) &&
			 insn->b != NPF_IR_NONE)
			fault = check_guards(c, NPF_IR_NONZERO, insn->b, where);
	}
	return fault;
}

/* ---- sets ----------------------------------------------------------------------------------- */

static const char *check_set(const struct npf_ir *ir, const struct npf_ir_set *set)
{
	uint32_t numbers = set->is_range ? 2 * set->n : set->n;
	const uint32_t *keys = ir->keys + set->first;
	uint32_t last;

	if (!set->n || (uint64_t)set->first + numbers > ir->n_keys)
		return "a set without keys of its own";
	for (uint32_t i = 1; i < numbers; i++) {
		if (keys[i] < keys[i - 1])
			return "a set out of order";
		if (set->is_range && i % 2 == 0 && keys[i] - keys[i - 1] < 2)
			return "ranges that touch";
		if (!set->is_range && keys[i] == keys[i - 1])
			return "a key twice";
	}
	last = keys[numbers - 1];
	if (set->n_bytes != (last > 0xFFFF ? 4 : last > 0xFF ? 2 : 1))
		return "a set with the wrong width";
	return NULL;
}

/* ---- uses ----------------------------------------------------------------------------------- */

static void count(const struct check *c, uint16_t value)
{
	if (value != NPF_IR_NONE)
		c->have[value]++;
}

static const char *check_uses(const struct check *c)
{
	const struct npf_ir *ir = c->ir;

	memset(c->have, 0, sizeof(*c->have) * ir->n_insns);
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		count(c, ir->insns[i].a);
		count(c, ir->insns[i].b);
	}
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];

		count(c, block->a);
		count(c, block->b);
		for (uint32_t n = 0; n < edges_of(block); n++) {
			const struct npf_ir_edge *edge = &block->edges[n];

			for (uint32_t k = 0; k < ir->blocks[edge->block].params; k++)
				count(c, ir->args[edge->args + k]);
		}
	}
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		if (ir->insns[i].uses != less(c->have[i], UINT16_MAX))
			return "uses are counted wrong";
	}
	return NULL;
}

const char *npf_ir_verify(const struct npf_ir *ir, uint32_t *where, void *work)
{
	struct check c = { .ir = ir, .have = work };
	const char *fault;

	c.home = (uint16_t *)(c.have + ir->n_insns + ir->n_blocks);
	c.dominator = c.home + ir->n_insns;
	fault = check_shape(&c, where);
	if (!fault)
		fault = check_values(&c, where);
	if (!fault)
		fault = check_all_guards(&c, where);
	for (uint32_t i = 0; i < ir->n_sets && !fault; i++)
		fault = check_set(ir, &ir->sets[i]);
	return fault ? fault : check_uses(&c);
}
