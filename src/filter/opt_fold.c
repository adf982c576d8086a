/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Constant folding and algebra: one instruction, or one end of a block, becomes a simpler one that
 * computes the same. Values that an operand got from other instructions are looked through where
 * that saves the instruction.
 */
#include "filter/optimise.h"

#define NONE NPF_IR_NONE

static uint32_t all_ones_up_to(uint32_t x)
{
	return x ? UINT32_MAX >> __builtin_clz(x) : 0;
}

static uint32_t least(uint64_t x, uint32_t y)
{
	return x < y ? (uint32_t)x : y;
}

static uint32_t bound_of_pair(const struct npf_ir_insn *insns, const struct npf_ir_insn *insn)
{
	uint32_t a = npf_ir_bound_in(insns, insn->a);
	bool by_imm = insn->b == NONE;
	uint32_t b = by_imm ? insn->imm : UINT32_MAX;

	switch (insn->op) {
	case NPF_IR_AND:
		return a < b ? a : b;
	case NPF_IR_RSH:
		return by_imm ? a >> insn->imm : a;
	case NPF_IR_LSH:
		return by_imm ? least((uint64_t)a << insn->imm, UINT32_MAX) : UINT32_MAX;
	case NPF_IR_ADD:
		return by_imm ? least((uint64_t)a + b, UINT32_MAX) : UINT32_MAX;
	case NPF_IR_DIV:
		return by_imm && b ? a / b : a;
	case NPF_IR_MOD:
		return by_imm && b && b - 1 < a ? b - 1 : a;
	case NPF_IR_OR:
	case NPF_IR_XOR:
		return by_imm ? all_ones_up_to(a | b) : UINT32_MAX;
	default:
		return UINT32_MAX;
	}
}

uint32_t npf_ir_bound_in(const struct npf_ir_insn *insns, uint16_t value)
{
	const struct npf_ir_insn *insn;

	if (value == NONE)
		return 0;
	insn = &insns[value];
	switch (insn->op) {
	case NPF_IR_CONST:
		return insn->imm;
	case NPF_IR_LOAD:
	case NPF_IR_FIELD:
		return insn->size == 4 ? UINT32_MAX : (1u << 8 * insn->size) - 1;
	case NPF_IR_IS_EQ:
	case NPF_IR_IS_GT:
	case NPF_IR_IS_GE:
	case NPF_IR_IS_SET:
	case NPF_IR_IS_IN:
		return 1;
	case NPF_IR_AND:
	case NPF_IR_RSH:
	case NPF_IR_LSH:
		return bound_of_pair(insns, insn);
	case NPF_IR_ADD:
	case NPF_IR_DIV:
	case NPF_IR_MOD:
	case NPF_IR_OR:
	case NPF_IR_XOR:
		/* One step only: sums of sums could take the walk far. */
		if (insns[insn->a].op >= NPF_IR_ADD && insns[insn->a].op <= NPF_IR_XOR &&
		    insns[insn->a].op != NPF_IR_AND)
			return UINT32_MAX;
		return bound_of_pair(insns, insn);
	default:
		return UINT32_MAX;
	}
}

uint32_t npf_ir_bound(const struct npf_ir *ir, uint16_t value)
{
	return npf_ir_bound_in(ir->insns, value);
}

/* ---- instructions --------------------------------------------------------------------------- */

static uint32_t calculate(uint8_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case NPF_IR_ADD:
		return a + b;
	case NPF_IR_SUB:
		return a - b;
	case NPF_IR_MUL:
		return a * b;
	case NPF_IR_DIV:
		return a / b;
	case NPF_IR_MOD:
		return a % b;
	case NPF_IR_AND:
		return a & b;
	case NPF_IR_OR:
		return a | b;
	case NPF_IR_XOR:
		return a ^ b;
	case NPF_IR_LSH:
		return a << b;
	default:
		return a >> b;
	}
}

static void become_constant(struct npf_ir_insn *insn, uint32_t k)
{
	*insn = (struct npf_ir_insn){ .op = NPF_IR_CONST, .a = NONE, .b = NONE, .imm = k };
}

/* Equal to operand a: told by OR with 0, which the walk takes as a. */
static void become_first(struct npf_ir_insn *insn)
{
	insn->op = NPF_IR_OR;
	insn->b = NONE;
	insn->imm = 0;
}

static bool commutes(uint8_t op)
{
	return op == NPF_IR_ADD || op == NPF_IR_MUL || op == NPF_IR_AND || op == NPF_IR_OR ||
	       op == NPF_IR_XOR;
}

/* Constants go into imm. */
static void place_constants(const struct npf_ir_insn *insns, struct npf_ir_insn *insn)
{
	if (insn->b != NONE && commutes(insn->op) && insns[insn->a].op == NPF_IR_CONST) {
		uint16_t swap = insn->a;

		insn->a = insn->b;
		insn->b = swap;
	}
	if (insn->b != NONE && insns[insn->b].op == NPF_IR_CONST) {
		insn->imm = insns[insn->b].imm;
		insn->b = NONE;
	}
}

static bool is_power_of_two(uint32_t k)
{
	return k && !(k & (k - 1));
}

/* Operations that are cheaper under another name, all with a constant. */
static void simplify_name(struct npf_ir_insn *insn)
{
	uint32_t k = insn->imm;

	if (insn->op == NPF_IR_SUB) {
		insn->op = NPF_IR_ADD;
		insn->imm = 0 - k;
	} else if (insn->op == NPF_IR_MUL && is_power_of_two(k)) {
		insn->op = NPF_IR_LSH;
		insn->imm = (uint32_t)__builtin_ctz(k);
	} else if (insn->op == NPF_IR_DIV && is_power_of_two(k)) {
		insn->op = NPF_IR_RSH;
		insn->imm = (uint32_t)__builtin_ctz(k);
	} else if (insn->op == NPF_IR_MOD && is_power_of_two(k)) {
		insn->op = NPF_IR_AND;
		insn->imm = k - 1;
	}
}

/* (x op c) op k with one constant. */
static void join_twins(const struct npf_ir_insn *insns, struct npf_ir_insn *insn)
{
	const struct npf_ir_insn *first = &insns[insn->a];
	uint32_t k = insn->imm;

	if (first->op != insn->op || first->b != NONE)
		return;
	switch (insn->op) {
	case NPF_IR_ADD:
	case NPF_IR_AND:
	case NPF_IR_OR:
	case NPF_IR_XOR:
	case NPF_IR_MUL:
		k = calculate(insn->op, k, first->imm);
		break;
	case NPF_IR_LSH:
	case NPF_IR_RSH:
		k += first->imm;
		break;
	default:
		return;
	}
	insn->imm = k;
	insn->a = first->a;
	if ((insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH) && k >= 32)
		become_constant(insn, 0);
}

/* The operation with this constant changes nothing, or leaves nothing. */
static void drop_trivial(const struct npf_ir_insn *insns, struct npf_ir_insn *insn)
{
	uint32_t k = insn->imm;
	uint32_t possible = all_ones_up_to(npf_ir_bound_in(insns, insn->a));

	switch (insn->op) {
	case NPF_IR_AND:
		if (!(k & possible))
			become_constant(insn, 0);
		else if ((k & possible) == possible)
			become_first(insn);
		break;
	case NPF_IR_MUL:
		if (!k)
			become_constant(insn, 0);
		else if (k == 1)
			become_first(insn);
		break;
	case NPF_IR_OR:
		if (k == UINT32_MAX)
			become_constant(insn, k);
		break;
	case NPF_IR_RSH:
		if (!(possible >> k))
			become_constant(insn, 0);
		else if (!k)
			become_first(insn);
		break;
	case NPF_IR_ADD:
	case NPF_IR_XOR:
	case NPF_IR_LSH:
		if (!k)
			become_first(insn);
		break;
	default:
		break;
	}
}

static void fold_pair(const struct npf_ir_insn *insns, struct npf_ir_insn *insn)
{
	bool shifts = insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH;
	bool divides = insn->op == NPF_IR_DIV || insn->op == NPF_IR_MOD;

	place_constants(insns, insn);
	if (insn->b != NONE) {
		if (insn->a == insn->b && (insn->op == NPF_IR_SUB || insn->op == NPF_IR_XOR))
			become_constant(insn, 0);
		else if (insn->a == insn->b && (insn->op == NPF_IR_AND || insn->op == NPF_IR_OR))
			become_first(insn);
		return;
	}
	if ((shifts && insn->imm >= 32) || (divides && !insn->imm)) {
		become_constant(insn, 0);
		return;
	}
	if (insns[insn->a].op == NPF_IR_CONST) {
		become_constant(insn, calculate(insn->op, insns[insn->a].imm, insn->imm));
		return;
	}
	simplify_name(insn);
	join_twins(insns, insn);
	if (insn->op != NPF_IR_CONST)
		drop_trivial(insns, insn);
}

/* No packet is that long. Nothing that follows runs; told by a NONZERO of nothing. */
static void become_failure(struct npf_ir_insn *insn)
{
	if (insn->op != NPF_IR_NEED)
		return;
	insn->op = NPF_IR_NONZERO;
	insn->a = NONE;
}

/* A base that is a constant, or a sum with one, gives its constant to imm. The sum of an address
 * does not wrap, so it may only be taken apart where the base's own sum never did. */
static void fold_address(const struct npf_ir_insn *insns, struct npf_ir_insn *insn)
{
	const struct npf_ir_insn *base;
	bool is_sum;

	if (insn->a == NONE)
		return;
	base = &insns[insn->a];
	is_sum = base->op == NPF_IR_ADD && base->b == NONE;
	if (base->op != NPF_IR_CONST && !is_sum)
		return;
	if (is_sum && (uint64_t)npf_ir_bound_in(insns, base->a) + base->imm > UINT32_MAX)
		return;
	if ((uint64_t)base->imm + insn->imm > UINT32_MAX) {
		become_failure(insn);
		return;
	}
	insn->imm += base->imm;
	insn->a = is_sum ? base->a : NONE;
}

/* Most instructions are loads and guards at offsets: nothing to do, and nothing to compare. */
static bool is_simple(const struct npf_ir_insn *insn)
{
	if (insn->op == NPF_IR_LOAD || insn->op == NPF_IR_NEED)
		return insn->a == NONE;
	return insn->op < NPF_IR_NEG || insn->op > NPF_IR_RSH;
}

void npf_opt_fold(struct npf_opt *opt, const struct npf_ir_insn *insns, struct npf_ir_insn *insn)
{
	uint32_t imm;
	uint16_t a, b;
	uint8_t op = insn->op;

	if (is_simple(insn))
		return;
	/* One by one: a copy of what was just written in parts would wait for it. */
	imm = insn->imm;
	a = insn->a;
	b = insn->b;
	if (insn->op >= NPF_IR_ADD && insn->op <= NPF_IR_RSH)
		fold_pair(insns, insn);
	else if (insn->op == NPF_IR_LOAD || insn->op == NPF_IR_NEED)
		fold_address(insns, insn);
	else if (insn->op == NPF_IR_NEG && insns[insn->a].op == NPF_IR_CONST)
		become_constant(insn, 0 - insns[insn->a].imm);
	if (op != insn->op || a != insn->a || b != insn->b || imm != insn->imm)
		npf_opt_count(opt, NPF_PASS_FOLD);
}

/* ---- ends of blocks ------------------------------------------------------------------------- */

static void exchange_edges(struct npf_ir_block *block)
{
	struct npf_ir_edge edge = block->edges[0];

	block->edges[0] = block->edges[1];
	block->edges[1] = edge;
	if (block->likely)
		block->likely = block->likely == NPF_IR_LIKELY_TRUE ? NPF_IR_LIKELY_FALSE
								    : NPF_IR_LIKELY_TRUE;
}

static void always(struct npf_ir_block *block, bool truth)
{
	if (!truth)
		exchange_edges(block);
	block->end = NPF_IR_GOTO;
	block->a = NONE;
	block->b = NONE;
	block->imm = 0;
}

/* A constant as first operand changes places with the second. */
static void place_end_constants(const struct npf_ir_insn *insns, struct npf_ir_block *block)
{
	if (block->b == NONE)
		return;
	if (insns[block->a].op == NPF_IR_CONST && insns[block->b].op != NPF_IR_CONST) {
		uint16_t swap = block->a;

		block->a = block->b;
		block->b = swap;
		if (block->end == NPF_IR_IF_GT || block->end == NPF_IR_IF_GE) {
			/* k > v is !(v >= k) */
			block->end = block->end == NPF_IR_IF_GT ? NPF_IR_IF_GE : NPF_IR_IF_GT;
			exchange_edges(block);
		}
	}
	if (insns[block->b].op == NPF_IR_CONST) {
		block->imm = insns[block->b].imm;
		block->b = NONE;
	}
}

static bool holds(const struct npf_ir *ir, uint8_t end, uint32_t a, uint32_t b)
{
	switch (end) {
	case NPF_IR_IF_EQ:
		return a == b;
	case NPF_IR_IF_GT:
		return a > b;
	case NPF_IR_IF_GE:
		return a >= b;
	case NPF_IR_IF_SET:
		return a & b;
	default:
		return npf_ir_set_has(ir, b, a);
	}
}

/* What the operand's bound alone decides. */
static void decide_by_bound(const struct npf_ir_insn *insns, struct npf_ir_block *block)
{
	uint32_t most = npf_ir_bound_in(insns, block->a);
	uint32_t k = block->imm;

	switch (block->end) {
	case NPF_IR_IF_EQ:
		if (k > most)
			always(block, false);
		break;
	case NPF_IR_IF_GT:
		if (k >= most)
			always(block, false);
		break;
	case NPF_IR_IF_GE:
		if (!k)
			always(block, true);
		else if (k > most)
			always(block, false);
		break;
	case NPF_IR_IF_SET:
		if (!(k & all_ones_up_to(most)))
			always(block, false);
		break;
	default:
		break;
	}
}

/* Conditions on what an instruction computed become conditions on its operand. */
static bool look_through(const struct npf_ir_insn *insns, struct npf_ir_block *block)
{
	const struct npf_ir_insn *insn = &insns[block->a];
	uint32_t k = block->imm;

	if (insn->b != NONE)
		return false;
	if (block->end == NPF_IR_IF_SET && insn->op == NPF_IR_AND) {
		block->imm &= insn->imm;
		block->a = insn->a;
		return true;
	}
	if (block->end != NPF_IR_IF_EQ)
		return false;
	switch (insn->op) {
	case NPF_IR_AND:
		if (k & ~insn->imm) {
			always(block, false);
			return true;
		}
		if (k && !(is_power_of_two(insn->imm) && k == insn->imm))
			return false;
		block->end = NPF_IR_IF_SET;
		block->imm = insn->imm;
		if (!k)
			exchange_edges(block);
		break;
	case NPF_IR_ADD:
		block->imm = k - insn->imm;
		break;
	case NPF_IR_XOR:
		block->imm = k ^ insn->imm;
		break;
	case NPF_IR_LSH:
		if ((uint64_t)npf_ir_bound_in(insns, insn->a) << insn->imm > UINT32_MAX)
			return false;
		if (k & ((1u << insn->imm) - 1)) {
			always(block, false);
			return true;
		}
		block->imm = k >> insn->imm;
		break;
	default:
		return false;
	}
	block->a = insn->a;
	return true;
}

static void fold_condition(const struct npf_ir *ir, const struct npf_ir_insn *insns,
			   struct npf_ir_block *block)
{
	place_end_constants(insns, block);
	if (block->b != NONE) {
		if (block->a == block->b && block->end != NPF_IR_IF_SET)
			always(block, block->end != NPF_IR_IF_GT);
		return;
	}
	do {
		if (insns[block->a].op == NPF_IR_CONST) {
			always(block, holds(ir, block->end, insns[block->a].imm, block->imm));
			return;
		}
		if (block->end == NPF_IR_IF_GT && !block->imm) {
			block->end = NPF_IR_IF_EQ;
			exchange_edges(block);
		}
		decide_by_bound(insns, block);
	} while (block->end != NPF_IR_GOTO && look_through(insns, block) &&
		 block->end != NPF_IR_GOTO);
}

void npf_opt_fold_end(struct npf_opt *opt, const struct npf_ir *ir, const struct npf_ir_insn *insns,
		      struct npf_ir_block *block)
{
	uint32_t imm = block->imm;
	uint16_t a = block->a, b = block->b;
	uint8_t end = block->end;

	if (block->end > NPF_IR_GOTO) {
		fold_condition(ir, insns, block);
	} else if (block->end == NPF_IR_RETURN && block->a != NONE &&
		   insns[block->a].op == NPF_IR_CONST) {
		block->imm = insns[block->a].imm;
		block->a = NONE;
	}
	if (end != block->end || a != block->a || b != block->b || imm != block->imm)
		npf_opt_count(opt, NPF_PASS_FOLD);
}
