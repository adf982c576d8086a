/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets in lanes: is each lane's value in a list, a range, a table (x86_set.c makes them)? */
#include "filter/x86_lanes.h"

/* Words of a table (at rdx + offset) by index, of current lanes; others get 0. Not V_T2. */
static void look_at_table(struct npf_x86_lanes *g, int to, int index, int32_t offset)
{
	struct npf_x86_operand at = npf_x86_indexed(NPF_RDX, index, 2, offset);

	npf_x86_lanes_op(g, NPF_V_XOR, to, to, npf_x86_reg(to));
	if (g->wide) {
		npf_x86_lanes_k_op(g, KMOVW, K_SECOND, NPF_X86_NONE, K_CURRENT);
		npf_x86_evex(g->as, VPGATHERDD | NPF_X86_L512, to, NPF_X86_NONE, at, K_SECOND,
			     false, -1);
	} else {
		npf_x86_lanes_move(g, V_T2, npf_x86_reg(V_CURRENT));
		npf_x86_vex(g->as, VPGATHERDD | NPF_X86_L256, to, V_T2, at, -1);
	}
}

/* Two words of a table (at rdx + offset), by the indices in the halves of rsi, as halves of rsi. */
static void look_two_up(struct npf_x86_lanes *g, int32_t offset)
{
	npf_x86_op(g->as, MOV_LOAD, NPF_RDI, npf_x86_reg(NPF_RSI));
	npf_x86_op_imm(g->as, SHIFT64, SHIFT_RIGHT, npf_x86_reg(NPF_RSI), 32, 1);
	npf_x86_op(g->as, MOV_LOAD, NPF_RDI, npf_x86_indexed(NPF_RDX, NPF_RDI, 2, offset));
	npf_x86_op(g->as, MOV_LOAD, NPF_RSI, npf_x86_indexed(NPF_RDX, NPF_RSI, 2, offset));
	npf_x86_op_imm(g->as, SHIFT64, SHIFT_LEFT, npf_x86_reg(NPF_RSI), 32, 1);
	npf_x86_op(g->as, OR64, NPF_RSI, npf_x86_reg(NPF_RDI));
}

/* Four, by the indices in an xmm register. */
static void look_four_up(struct npf_x86_lanes *g, int to, int index, int32_t offset)
{
	npf_x86_vex(g->as, VMOVQ_OUT, index, NPF_X86_NONE, npf_x86_reg(NPF_RSI), -1);
	look_two_up(g, offset);
	npf_x86_vex(g->as, VMOVQ_IN, to, NPF_X86_NONE, npf_x86_reg(NPF_RSI), -1);
	npf_x86_vex(g->as, VPEXTRQ, index, NPF_X86_NONE, npf_x86_reg(NPF_RSI), 1);
	look_two_up(g, offset);
	npf_x86_vex(g->as, VPINSRQ, to, to, npf_x86_reg(NPF_RSI), 1);
}

/* Eight, by the indices in a ymm register, which it spoils. */
static void look_eight_up(struct npf_x86_lanes *g, int to, int index, int spare, int32_t offset)
{
	look_four_up(g, to, index, offset);
	npf_x86_vex(g->as, VEXTRACT128 | NPF_X86_L256, index, NPF_X86_NONE, npf_x86_reg(index), 1);
	look_four_up(g, spare, index, offset);
	npf_x86_vex(g->as, VINSERT128 | NPF_X86_L256, to, to, npf_x86_reg(spare), 1);
}

/*
 * T1: words of a table (at rdx + offset) by the indices in T0, of all lanes, in the block or not: so
 * an index must lie in the table whatever was in the lane. Plain loads, because a gather takes half
 * as long again (Zen 5), and into general registers, of which a processor does most in a cycle. T0,
 * T2, the edge's mask, rsi and rdi are spoilt.
 */
static void look_all_up(struct npf_x86_lanes *g, int32_t offset)
{
	if (!g->wide) {
		look_eight_up(g, V_T1, V_T0, V_T2, offset);
		return;
	}
	npf_x86_evex(g->as, VEXTRACT256 | NPF_X86_L512, V_T0, NPF_X86_NONE, npf_x86_reg(V_EDGE), 0,
		     false, 1);
	look_eight_up(g, V_T1, V_T0, V_T2, offset);
	look_eight_up(g, V_T0, V_EDGE, V_T2, offset);
	npf_x86_evex(g->as, VINSERT256 | NPF_X86_L512, V_T1, V_T1, npf_x86_reg(V_T0), 0, false, 1);
}

/* The edge's mask gets the lanes of `current` for which a equals (is at most) b; or more of them. */
static void accumulate(struct npf_x86_lanes *g, int predicate, int a, uint32_t imm, bool first)
{
	uint32_t flags = 0;
	struct npf_x86_operand b = npf_x86_lanes_constant(g, imm, &flags);

	if (g->wide) {
		npf_x86_lanes_compare_wide(g, first ? K_EDGE : K_SECOND, K_CURRENT, predicate, a, b,
					   flags);
		if (!first)
			npf_x86_lanes_k_op(g, KORW, K_EDGE, K_EDGE, K_SECOND);
		return;
	}
	npf_x86_lanes_compare_narrow(g, V_T1, predicate, a, b);
	npf_x86_lanes_op(g, NPF_V_AND, V_T1, V_T1, npf_x86_reg(V_CURRENT));
	if (first)
		npf_x86_lanes_move(g, V_EDGE, npf_x86_reg(V_T1));
	else
		npf_x86_lanes_op(g, NPF_V_OR, V_EDGE, V_EDGE, npf_x86_reg(V_T1));
}

static void look_in_chain(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	for (uint32_t i = 0; i < set->n; i++) {
		if (!set->is_range) {
			accumulate(g, PREDICATE_EQ, a, set->lo[i], !i);
			continue;
		}
		npf_x86_lanes_op_imm(g, NPF_V_SUB, V_T0, a, set->lo[i]);
		accumulate(g, PREDICATE_LE, V_T0, set->width[i], !i);
	}
}

static void look_in_bitmap(struct npf_x86_lanes *g, int a)
{
	/* In lanes that are not in the block there may be more than 16 bits. */
	npf_x86_lanes_shift(g, true, V_T0, a, 16);
	npf_x86_lanes_shift(g, false, V_T0, V_T0, 16 + 5);
	look_all_up(g, 0);
	npf_x86_lanes_op_imm(g, NPF_V_AND, V_T0, a, 31);
	npf_x86_lanes_op(g, NPF_V_SRLV, V_T1, V_T1, npf_x86_reg(V_T0));
	npf_x86_lanes_compare_imm(g, NPF_IR_IF_SET, V_T1, 1);
}

static void look_in_hash(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	npf_x86_lanes_op_imm(g, NPF_V_MUL, V_T0, a, set->multiplier);
	npf_x86_lanes_shift(g, false, V_T0, V_T0, set->shift);
	if (set->form == NPF_X86_BUCKETS) {
		look_all_up(g, 0);
		npf_x86_lanes_op(g, NPF_V_MUL, V_T0, V_T1, npf_x86_reg(a));
		npf_x86_lanes_shift(g, false, V_T0, V_T0, set->second_shift);
	}
	look_all_up(g, (int32_t)set->second);
	npf_x86_lanes_compare(g, NPF_IR_IF_EQ, V_T1, npf_x86_reg(a));
}

/* A register for a vector in memory, from the last ones, which values need last; AVX2 has few. */
static int keep(struct npf_x86_lanes *g, struct npf_x86_operand from, bool one)
{
	int last = g->wide ? 31 : 15, first = g->wide ? 20 : 13;
	struct npf_x86_kept *kept = g->kept;

	for (; kept < g->kept + g->n_kept; kept++) {
		if (kept->label == from.label && kept->at == from.disp)
			return kept->reg;
	}
	for (int reg = last; reg >= first; reg--) {
		if (g->used >> reg & 1)
			continue;
		g->used |= 1u << reg;
		g->owner[reg] = UINT32_MAX;
		*kept = (struct npf_x86_kept){ from.label, from.disp, one, (int8_t)reg };
		g->n_kept++;
		return reg;
	}
	return NPF_X86_NONE;
}

static void op_kept(struct npf_x86_lanes *g, uint32_t op, int to, int a, struct npf_x86_operand b)
{
	int reg = keep(g, b, false);

	npf_x86_lanes_op(g, op, to, a, reg == NPF_X86_NONE ? b : npf_x86_reg(reg));
}

static void op_kept_imm(struct npf_x86_lanes *g, uint32_t op, int to, int a, uint32_t imm)
{
	uint32_t flags = 0;
	int reg = keep(g, npf_x86_lanes_constant(g, imm, &flags), true);

	if (reg == NPF_X86_NONE)
		npf_x86_lanes_op_imm(g, op, to, a, imm);
	else
		npf_x86_lanes_op(g, op, to, a, npf_x86_reg(reg));
}

/* to = a where the sign is not set, else b. */
static void choose_by_sign(struct npf_x86_lanes *g, int to, int a, int b, int sign)
{
	npf_x86_vex(g->as, VBLENDVPS | NPF_X86_L256, to, a, npf_x86_reg(b), sign << 4);
}

/* to = of the 16 words at label + at that which a hash's upper four bits (index) choose. AVX2 has 8
 * in a register; the uppermost bit of all chooses. */
static void choose(struct npf_x86_lanes *g, int to, int hash, int index, int spare,
		   struct npf_x86_operand at)
{
	op_kept(g, VPERMD, g->wide ? to : spare, index, at);
	if (g->wide)
		return;
	at.disp += 32;
	op_kept(g, VPERMD, to, index, at);
	choose_by_sign(g, to, spare, to, hash);
}

/* V_EDGE or K_EDGE: who finds itself in its bucket. Twice for buckets of two. */
static void look_in_registers(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	struct npf_x86_operand first = npf_x86_data(set->label, 0);
	struct npf_x86_operand second = npf_x86_data(set->label, (int32_t)set->second);

	op_kept_imm(g, NPF_V_MUL, V_T0, a, set->multiplier);
	npf_x86_lanes_shift(g, false, V_T1, V_T0, 28);
	choose(g, V_T2, V_T0, V_T1, V_EDGE, first);
	npf_x86_lanes_compare(g, NPF_IR_IF_EQ, V_T2, npf_x86_reg(a));
	if (!set->second)
		return;
	choose(g, V_T1, V_T0, V_T1, V_T2, second);
	if (g->wide) {
		npf_x86_lanes_compare_wide(g, K_SECOND, K_CURRENT, PREDICATE_EQ, V_T1,
					   npf_x86_reg(a), 0);
		npf_x86_lanes_k_op(g, KORW, K_EDGE, K_EDGE, K_SECOND);
		return;
	}
	npf_x86_lanes_op(g, VPCMPEQD, V_T1, V_T1, npf_x86_reg(a));
	npf_x86_lanes_op(g, NPF_V_AND, V_T1, V_T1, npf_x86_reg(V_CURRENT));
	npf_x86_lanes_op(g, NPF_V_OR, V_EDGE, V_EDGE, npf_x86_reg(V_T1));
}

/* The same of 32 words, in T1, which held the index, by the hash of a in T0. */
static void choose_of_32(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	struct npf_x86_operand at[4];

	for (int i = 0; i < 4; i++)
		at[i] = npf_x86_data(set->label, (g->wide ? 64 : 32) * i);
	if (g->wide) {
		npf_x86_lanes_move(g, V_T2, at[0]);
		op_kept(g, VPERMI2D, V_T1, V_T2, at[1]);
		return;
	}
	op_kept(g, VPERMD, V_T2, V_T1, at[0]);
	op_kept(g, VPERMD, V_EDGE, V_T1, at[2]);
	choose_by_sign(g, V_T2, V_T2, V_EDGE, V_T0);
	op_kept(g, VPERMD, V_EDGE, V_T1, at[1]);
	op_kept(g, VPERMD, V_T1, V_T1, at[3]);
	choose_by_sign(g, V_EDGE, V_EDGE, V_T1, V_T0);
	npf_x86_lanes_shift(g, true, V_T0, V_T0, 1);
	choose_by_sign(g, V_T1, V_T2, V_EDGE, V_T0);
	op_kept_imm(g, NPF_V_MUL, V_T0, a, set->multiplier);
}

/* A bucket's byte is one of four in a word, by the two bits below those that choose the word. */
static void look_in_spread(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	op_kept_imm(g, NPF_V_MUL, V_T0, a, set->multiplier);
	npf_x86_lanes_shift(g, false, V_T1, V_T0, set->shift + 2u);
	if (set->n == NPF_X86_WORDS_16)
		choose(g, V_T1, V_T0, V_T1, V_T2, npf_x86_data(set->label, 0));
	else
		choose_of_32(g, set, a);
	npf_x86_lanes_shift(g, false, V_T2, V_T0, set->shift - 3u);
	op_kept_imm(g, NPF_V_AND, V_T2, V_T2, 3 << 3);
	npf_x86_lanes_op(g, NPF_V_SRLV, V_T1, V_T1, npf_x86_reg(V_T2));
	op_kept_imm(g, NPF_V_AND, V_T1, V_T1, 0xFF);
	npf_x86_lanes_op(g, NPF_V_MUL, V_T0, V_T0, npf_x86_reg(V_T1));
	npf_x86_lanes_shift(g, false, V_T0, V_T0, set->second_shift);
	look_all_up(g, (int32_t)set->second);
	npf_x86_lanes_compare(g, NPF_IR_IF_EQ, V_T1, npf_x86_reg(a));
}

/* T0: index of the last range that is known to begin at or below a. */
static void look_by_halving(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	int above = g->wide ? V_T2 : V_EDGE;

	npf_x86_lanes_set(g, V_T0, 0);
	for (uint32_t half = set->n / 2; half; half /= 2) {
		look_at_table(g, V_T1, V_T0, (int32_t)half * 4);
		npf_x86_lanes_compare(g, NPF_IR_IF_GE, a, npf_x86_reg(V_T1));
		npf_x86_lanes_op_imm(g, NPF_V_ADD, V_T1, V_T0, half);
		npf_x86_lanes_blend(g, NPF_X86_EDGE, V_T0, npf_x86_reg(V_T1));
	}
	look_at_table(g, V_T1, V_T0, 0);
	npf_x86_lanes_op(g, NPF_V_SUB, above, a, npf_x86_reg(V_T1));
	look_at_table(g, V_T1, V_T0, (int32_t)set->second);
	npf_x86_lanes_compare(g, NPF_IR_IF_GE, V_T1, npf_x86_reg(above));
}

void npf_x86_lanes_look_up(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a)
{
	if (set->form != NPF_X86_CHAIN && set->form != NPF_X86_PERMUTE)
		npf_x86_op(g->as, NPF_X86_W | 0x8D, NPF_RDX, npf_x86_data(set->label, 0));
	switch (set->form) {
	case NPF_X86_CHAIN:
		look_in_chain(g, set, a);
		break;
	case NPF_X86_BITMAP:
		look_in_bitmap(g, a);
		break;
	case NPF_X86_SEARCH:
		look_by_halving(g, set, a);
		break;
	case NPF_X86_PERMUTE:
		look_in_registers(g, set, a);
		break;
	case NPF_X86_SPREAD:
		look_in_spread(g, set, a);
		break;
	default:
		look_in_hash(g, set, a);
		break;
	}
}
