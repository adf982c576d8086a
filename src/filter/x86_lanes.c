/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vector instructions of both widths. AVX-512 has masks in registers of their own, compares
 * without a sign, and broadcasts constants from memory; AVX2 has masks as vectors of -1 and 0.
 */
#include <string.h>

#include "filter/x86_vector.h"

#define K_CURRENT 1
#define K_SECOND  6
#define K_EDGE    7

#define V66(map, code) (NPF_X86_66 | (map) | (code))

#define VMOVDQU_LOAD  (NPF_X86_F3 | NPF_X86_0F | 0x6Fu)
#define VMOVDQU_STORE (NPF_X86_F3 | NPF_X86_0F | 0x7Fu)
#define VBROADCAST    V66(NPF_X86_0F38, 0x58u)
#define VPMOVZXDQ     V66(NPF_X86_0F38, 0x35u)
#define VPADDQ        V66(NPF_X86_0F, 0xD4u)
#define VPGATHERDD    V66(NPF_X86_0F38, 0x90u)
#define VPGATHERQD    V66(NPF_X86_0F38, 0x91u)
#define VPANDN        V66(NPF_X86_0F, 0xDFu)
#define VPCMPEQD      V66(NPF_X86_0F, 0x76u)
#define VPMAXUD       V66(NPF_X86_0F38, 0x3Fu)
#define VPMINUD       V66(NPF_X86_0F38, 0x3Bu)
#define VPBLENDVB     V66(NPF_X86_0F3A, 0x4Cu)
#define VMOVMSKPS     (NPF_X86_0F | 0x50u)
#define VINSERT128    V66(NPF_X86_0F3A, 0x38u)
#define VINSERT256    (V66(NPF_X86_0F3A, 0x3Au) | NPF_X86_W)
#define VEXTRACT128   V66(NPF_X86_0F3A, 0x39u)
#define VEXTRACT256   (V66(NPF_X86_0F3A, 0x3Bu) | NPF_X86_W)
#define VPCMPUD       V66(NPF_X86_0F3A, 0x1Eu)
#define VPTESTMD      V66(NPF_X86_0F38, 0x27u)
#define VPERMD        V66(NPF_X86_0F38, 0x36u)
#define VPERMI2D      V66(NPF_X86_0F38, 0x76u)
#define VBLENDVPS     V66(NPF_X86_0F3A, 0x4Au)
#define VMOVQ_IN      (V66(NPF_X86_0F, 0x6Eu) | NPF_X86_W) /* from a general register */
#define VMOVQ_OUT     (V66(NPF_X86_0F, 0x7Eu) | NPF_X86_W)
#define VPINSRQ       (V66(NPF_X86_0F3A, 0x22u) | NPF_X86_W)
#define VPEXTRQ       (V66(NPF_X86_0F3A, 0x16u) | NPF_X86_W)
#define SHIFT_GROUP   V66(NPF_X86_0F, 0x72u)

#define KMOVW     (NPF_X86_0F | 0x90u) /* from k or memory */
#define KMOVW_TO  (NPF_X86_0F | 0x91u)
#define KMOVW_IN  (NPF_X86_0F | 0x92u) /* from a general register */
#define KMOVW_OUT (NPF_X86_0F | 0x93u)
#define KORW      (NPF_X86_0F | NPF_X86_L256 | 0x45u)
#define KXORW     (NPF_X86_0F | NPF_X86_L256 | 0x47u)
#define KXNORW    (NPF_X86_0F | NPF_X86_L256 | 0x46u)
#define KANDNW    (NPF_X86_0F | NPF_X86_L256 | 0x42u)
#define KORTESTW  (NPF_X86_0F | 0x98u)
#define KSHIFTRW  (V66(NPF_X86_0F3A, 0x30u) | NPF_X86_W)

#define MOV_LOAD    0x8Bu
#define OR64        (NPF_X86_W | 0x0Bu)
#define SHIFT64     (NPF_X86_W | 0xC1u)
#define SHIFT_LEFT  4
#define SHIFT_RIGHT 5

enum { PREDICATE_EQ = 0, PREDICATE_LT = 1, PREDICATE_LE = 2, PREDICATE_GE = 5, PREDICATE_GT = 6 };

/* ---- plain operations ------------------------------------------------------------------------ */

void npf_x86_lanes_op(struct npf_x86_lanes *g, uint32_t op, int to, int a, struct npf_x86_operand b)
{
	if (g->wide)
		npf_x86_evex(g->as, op | NPF_X86_L512, to, a, b, 0, false, -1);
	else
		npf_x86_vex(g->as, op | NPF_X86_L256, to, a, b, -1);
}

/* A constant as an operand; *op learns that it is one lane for all. */
static struct npf_x86_operand constant(struct npf_x86_lanes *g, uint32_t imm, uint32_t *op)
{
	if (g->wide)
		*op |= NPF_X86_BROADCAST;
	return npf_x86_data(npf_x86_constant(g->as, imm, g->wide ? 1 : 8), 0);
}

void npf_x86_lanes_op_imm(struct npf_x86_lanes *g, uint32_t op, int to, int a, uint32_t imm)
{
	struct npf_x86_operand b = constant(g, imm, &op);

	npf_x86_lanes_op(g, op, to, a, b);
}

void npf_x86_lanes_shift(struct npf_x86_lanes *g, bool left, int to, int a, uint32_t distance)
{
	int extension = left ? 6 : 2;

	if (g->wide)
		npf_x86_evex(g->as, SHIFT_GROUP | NPF_X86_L512, extension, to, npf_x86_reg(a), 0,
			     false, (int)distance);
	else
		npf_x86_vex(g->as, SHIFT_GROUP | NPF_X86_L256, extension, to, npf_x86_reg(a),
			    (int)distance);
}

void npf_x86_lanes_move(struct npf_x86_lanes *g, int to, struct npf_x86_operand from)
{
	if (from.reg != to)
		npf_x86_lanes_op(g, VMOVDQU_LOAD, to, NPF_X86_NONE, from);
}

void npf_x86_lanes_store(struct npf_x86_lanes *g, struct npf_x86_operand to, int from)
{
	npf_x86_lanes_op(g, VMOVDQU_STORE, from, NPF_X86_NONE, to);
}

void npf_x86_lanes_set(struct npf_x86_lanes *g, int to, uint32_t imm)
{
	if (!imm)
		npf_x86_lanes_op(g, NPF_V_XOR, to, to, npf_x86_reg(to));
	else
		npf_x86_lanes_op(g, VBROADCAST, to, NPF_X86_NONE,
				 npf_x86_data(npf_x86_constant(g->as, imm, g->wide ? 1 : 8), 0));
}

struct npf_x86_operand npf_x86_lanes_slot(const struct npf_x86_lanes *g, uint32_t n)
{
	return npf_x86_at(NPF_RSP, (int32_t)(NPF_X86_SLOTS_AT + n * npf_x86_lane_bytes(g)));
}

/* ---- masks ----------------------------------------------------------------------------------- */

static void k_op(struct npf_x86_lanes *g, uint32_t op, int to, int a, int b)
{
	npf_x86_vex(g->as, op, to, a, npf_x86_reg(b), -1);
}

static int k_of(enum npf_x86_mask mask)
{
	return mask == NPF_X86_CURRENT ? K_CURRENT : K_EDGE;
}

static int v_of(enum npf_x86_mask mask)
{
	return mask == NPF_X86_CURRENT ? V_CURRENT : V_EDGE;
}

void npf_x86_lanes_blend(struct npf_x86_lanes *g, enum npf_x86_mask mask, int to,
			 struct npf_x86_operand from)
{
	if (g->wide)
		npf_x86_evex(g->as, VMOVDQU_LOAD | NPF_X86_L512, to, NPF_X86_NONE, from, k_of(mask),
			     false, -1);
	else
		npf_x86_vex(g->as, VPBLENDVB | NPF_X86_L256, to, to, from, v_of(mask) << 4);
}

void npf_x86_lanes_blend_imm(struct npf_x86_lanes *g, enum npf_x86_mask mask, int to, uint32_t imm)
{
	uint32_t op = VBROADCAST;

	if (g->wide)
		npf_x86_evex(g->as, op | NPF_X86_L512, to, NPF_X86_NONE,
			     npf_x86_data(npf_x86_constant(g->as, imm, 1), 0), k_of(mask), false,
			     -1);
	else
		npf_x86_lanes_blend(g, mask, to, constant(g, imm, &op));
}

void npf_x86_lanes_others(struct npf_x86_lanes *g)
{
	if (g->wide)
		k_op(g, KANDNW, K_EDGE, K_EDGE, K_CURRENT);
	else
		npf_x86_lanes_op(g, VPANDN, V_EDGE, V_EDGE, npf_x86_reg(V_CURRENT));
}

void npf_x86_lanes_narrow(struct npf_x86_lanes *g)
{
	if (g->wide)
		k_op(g, KMOVW, K_CURRENT, NPF_X86_NONE, K_EDGE);
	else
		npf_x86_lanes_move(g, V_CURRENT, npf_x86_reg(V_EDGE));
}

void npf_x86_lanes_widen(struct npf_x86_lanes *g)
{
	if (g->wide)
		k_op(g, KMOVW, K_EDGE, NPF_X86_NONE, K_CURRENT);
	else
		npf_x86_lanes_move(g, V_EDGE, npf_x86_reg(V_CURRENT));
}

void npf_x86_lanes_truth(struct npf_x86_lanes *g, int to)
{
	if (g->wide)
		npf_x86_evex(g->as, VBROADCAST | NPF_X86_L512, to, NPF_X86_NONE,
			     npf_x86_data(npf_x86_constant(g->as, 1, 1), 0), K_EDGE, true, -1);
	else
		npf_x86_lanes_op_imm(g, NPF_V_AND, to, V_EDGE, 1);
}

static void test_mask(struct npf_x86_lanes *g, enum npf_x86_mask mask)
{
	if (g->wide) {
		k_op(g, KORTESTW, k_of(mask), NPF_X86_NONE, k_of(mask));
		return;
	}
	npf_x86_vex(g->as, VMOVMSKPS | NPF_X86_L256, NPF_RDX, NPF_X86_NONE, npf_x86_reg(v_of(mask)),
		    -1);
	npf_x86_op(g->as, 0x85, NPF_RDX, npf_x86_reg(NPF_RDX));
}

void npf_x86_lanes_jump_none(struct npf_x86_lanes *g, enum npf_x86_mask mask, uint32_t label)
{
	test_mask(g, mask);
	npf_x86_jump_if(g->as, NPF_CC_E, label);
}

void npf_x86_lanes_jump_any(struct npf_x86_lanes *g, enum npf_x86_mask mask, uint32_t label)
{
	test_mask(g, mask);
	npf_x86_jump_if(g->as, NPF_CC_NE, label);
}

void npf_x86_lanes_clear(struct npf_x86_lanes *g, const struct npf_x86_pending *pending)
{
	if (pending->k != NPF_X86_NONE) {
		k_op(g, KXORW, pending->k, pending->k, pending->k);
		return;
	}
	npf_x86_lanes_set(g, V_T0, 0);
	npf_x86_lanes_store(g, npf_x86_lanes_slot(g, pending->slot), V_T0);
}

void npf_x86_lanes_add(struct npf_x86_lanes *g, const struct npf_x86_pending *pending, bool first)
{
	struct npf_x86_operand slot = npf_x86_lanes_slot(g, pending->slot);

	if (pending->k != NPF_X86_NONE) {
		if (first)
			k_op(g, KMOVW, pending->k, NPF_X86_NONE, K_EDGE);
		else
			k_op(g, KORW, pending->k, pending->k, K_EDGE);
	} else if (!g->wide) {
		if (!first)
			npf_x86_lanes_op(g, NPF_V_OR, V_EDGE, V_EDGE, slot);
		npf_x86_lanes_store(g, slot, V_EDGE);
	} else {
		if (!first) {
			npf_x86_vex(g->as, KMOVW, K_SECOND, NPF_X86_NONE, slot, -1);
			k_op(g, KORW, K_EDGE, K_EDGE, K_SECOND);
		}
		npf_x86_vex(g->as, KMOVW_TO, K_EDGE, NPF_X86_NONE, slot, -1);
	}
}

void npf_x86_lanes_take(struct npf_x86_lanes *g, const struct npf_x86_pending *pending)
{
	struct npf_x86_operand slot = npf_x86_lanes_slot(g, pending->slot);

	if (pending->k != NPF_X86_NONE)
		k_op(g, KMOVW, K_CURRENT, NPF_X86_NONE, pending->k);
	else if (g->wide)
		npf_x86_vex(g->as, KMOVW, K_CURRENT, NPF_X86_NONE, slot, -1);
	else
		npf_x86_lanes_move(g, V_CURRENT, slot);
}

/* Where AVX2 keeps the mask: in a place of the stack of its own. AVX-512: in esi. */
void npf_x86_lanes_keep_mask(struct npf_x86_lanes *g)
{
	if (g->wide)
		npf_x86_vex(g->as, KMOVW_OUT, NPF_RSI, NPF_X86_NONE, npf_x86_reg(K_CURRENT), -1);
	else
		npf_x86_lanes_store(g, npf_x86_at(NPF_RSP, NPF_X86_MASK_AT), V_CURRENT);
}

void npf_x86_lanes_restore_mask(struct npf_x86_lanes *g)
{
	if (g->wide)
		npf_x86_vex(g->as, KMOVW_IN, K_CURRENT, NPF_X86_NONE, npf_x86_reg(NPF_RSI), -1);
	else
		npf_x86_lanes_move(g, V_CURRENT, npf_x86_at(NPF_RSP, NPF_X86_MASK_AT));
}

/* ---- comparisons ----------------------------------------------------------------------------- */

/* k = mask and a predicate b. */
static void compare_wide(struct npf_x86_lanes *g, int k, int mask, int predicate, int a,
			 struct npf_x86_operand b, uint32_t flags)
{
	npf_x86_evex(g->as, VPCMPUD | NPF_X86_L512 | flags, k, a, b, mask, false, predicate);
}

static int predicate_of(uint8_t end)
{
	return end == NPF_IR_IF_EQ   ? PREDICATE_EQ
	       : end == NPF_IR_IF_GT ? PREDICATE_GT
				     : PREDICATE_GE;
}

/* to = a predicate b, as a vector; b is read twice at most. */
static void compare_narrow(struct npf_x86_lanes *g, int to, int predicate, int a,
			   struct npf_x86_operand b)
{
	switch (predicate) {
	case PREDICATE_EQ:
		npf_x86_lanes_op(g, VPCMPEQD, to, a, b);
		break;
	case PREDICATE_GE: /* the larger of both is a */
		npf_x86_lanes_op(g, VPMAXUD, to, a, b);
		npf_x86_lanes_op(g, VPCMPEQD, to, to, npf_x86_reg(a));
		break;
	case PREDICATE_LE:
		npf_x86_lanes_op(g, VPMINUD, to, a, b);
		npf_x86_lanes_op(g, VPCMPEQD, to, to, npf_x86_reg(a));
		break;
	default: /* not: the smaller of both is a */
		npf_x86_lanes_op(g, VPMINUD, to, a, b);
		npf_x86_lanes_op(g, VPCMPEQD, to, to, npf_x86_reg(a));
		npf_x86_lanes_op(g, VPCMPEQD, V_T2, V_T2, npf_x86_reg(V_T2));
		npf_x86_lanes_op(g, NPF_V_XOR, to, to, npf_x86_reg(V_T2));
		break;
	}
}

static void compare(struct npf_x86_lanes *g, uint8_t end, int a, struct npf_x86_operand b,
		    uint32_t flags)
{
	if (g->wide && end == NPF_IR_IF_SET) {
		npf_x86_evex(g->as, VPTESTMD | NPF_X86_L512 | flags, K_EDGE, a, b, K_CURRENT, false,
			     -1);
	} else if (g->wide) {
		compare_wide(g, K_EDGE, K_CURRENT, predicate_of(end), a, b, flags);
	} else if (end == NPF_IR_IF_SET) {
		npf_x86_lanes_op(g, NPF_V_AND, V_EDGE, a, b);
		npf_x86_lanes_op(g, NPF_V_XOR, V_T2, V_T2, npf_x86_reg(V_T2));
		npf_x86_lanes_op(g, VPCMPEQD, V_EDGE, V_EDGE, npf_x86_reg(V_T2));
		npf_x86_lanes_op(g, VPANDN, V_EDGE, V_EDGE, npf_x86_reg(V_CURRENT));
	} else {
		compare_narrow(g, V_EDGE, predicate_of(end), a, b);
		npf_x86_lanes_op(g, NPF_V_AND, V_EDGE, V_EDGE, npf_x86_reg(V_CURRENT));
	}
}

void npf_x86_lanes_compare(struct npf_x86_lanes *g, uint8_t end, int a, struct npf_x86_operand b)
{
	compare(g, end, a, b, 0);
}

void npf_x86_lanes_compare_imm(struct npf_x86_lanes *g, uint8_t end, int a, uint32_t imm)
{
	uint32_t flags = 0;
	struct npf_x86_operand b = constant(g, imm, &flags);

	compare(g, end, a, b, flags);
}

void npf_x86_lanes_jump_short(struct npf_x86_lanes *g, uint32_t bytes, uint32_t label)
{
	uint32_t flags = 0;
	struct npf_x86_operand most = constant(g, bytes - 1, &flags);

	if (g->wide)
		compare_wide(g, K_EDGE, 0, PREDICATE_LE, V_LENGTH, most, flags);
	else
		compare_narrow(g, V_EDGE, PREDICATE_LE, V_LENGTH, most);
	npf_x86_lanes_jump_any(g, NPF_X86_EDGE, label);
}

/* ---- words ----------------------------------------------------------------------------------- */

/* Addresses of the lower or upper lanes: the packets', or in a scratch register with the base. */
static int addresses(struct npf_x86_lanes *g, int base, bool upper, int scratch)
{
	int packets = upper ? V_HIGH : V_LOW, half = base;

	if (base == NPF_X86_NONE)
		return packets;
	if (upper && g->wide) {
		npf_x86_evex(g->as, VEXTRACT256 | NPF_X86_L512, base, NPF_X86_NONE,
			     npf_x86_reg(scratch), 0, false, 1);
		half = scratch;
	} else if (upper) {
		npf_x86_vex(g->as, VEXTRACT128 | NPF_X86_L256, base, NPF_X86_NONE,
			    npf_x86_reg(scratch), 1);
		half = scratch;
	}
	npf_x86_lanes_op(g, VPMOVZXDQ, scratch, NPF_X86_NONE, npf_x86_reg(half));
	npf_x86_lanes_op(g, VPADDQ | NPF_X86_W, scratch, scratch, npf_x86_reg(packets));
	return scratch;
}

static void gather_wide(struct npf_x86_lanes *g, int to, int base, int32_t at)
{
	int low = addresses(g, base, false, V_T1);

	k_op(g, KMOVW, K_SECOND, NPF_X86_NONE, K_CURRENT);
	npf_x86_lanes_op(g, NPF_V_XOR, to, to, npf_x86_reg(to));
	npf_x86_evex(g->as, VPGATHERQD | NPF_X86_L512, to, NPF_X86_NONE,
		     npf_x86_indexed(NPF_X86_NONE, low, 0, at), K_SECOND, false, -1);

	int high = addresses(g, base, true, V_T1);

	npf_x86_vex(g->as, KSHIFTRW, K_SECOND, NPF_X86_NONE, npf_x86_reg(K_CURRENT), 8);
	npf_x86_lanes_op(g, NPF_V_XOR, V_T2, V_T2, npf_x86_reg(V_T2));
	npf_x86_evex(g->as, VPGATHERQD | NPF_X86_L512, V_T2, NPF_X86_NONE,
		     npf_x86_indexed(NPF_X86_NONE, high, 0, at), K_SECOND, false, -1);
	npf_x86_evex(g->as, VINSERT256 | NPF_X86_L512, to, to, npf_x86_reg(V_T2), 0, false, 1);
}

static void gather_narrow(struct npf_x86_lanes *g, int to, int base, int32_t at)
{
	int low = addresses(g, base, false, V_T1);

	npf_x86_lanes_move(g, V_T2, npf_x86_reg(V_CURRENT));
	npf_x86_lanes_op(g, NPF_V_XOR, to, to, npf_x86_reg(to));
	npf_x86_vex(g->as, VPGATHERQD | NPF_X86_L256, to, V_T2,
		    npf_x86_indexed(NPF_X86_NONE, low, 0, at), -1);

	int high = addresses(g, base, true, V_T1);

	npf_x86_vex(g->as, VEXTRACT128 | NPF_X86_L256, V_CURRENT, NPF_X86_NONE, npf_x86_reg(V_T2),
		    1);
	npf_x86_lanes_op(g, NPF_V_XOR, V_EDGE, V_EDGE, npf_x86_reg(V_EDGE));
	npf_x86_vex(g->as, VPGATHERQD | NPF_X86_L256, V_EDGE, V_T2,
		    npf_x86_indexed(NPF_X86_NONE, high, 0, at), -1);
	npf_x86_vex(g->as, VINSERT128 | NPF_X86_L256, to, to, npf_x86_reg(V_EDGE), 1);
}

void npf_x86_lanes_gather(struct npf_x86_lanes *g, int to, int base, int32_t at)
{
	if (g->wide)
		gather_wide(g, to, base, at);
	else
		gather_narrow(g, to, base, at);
}

/* The control that brings each word's bytes from..from+size-1 to the low end, the last lowest. */
static uint32_t shuffle_control(struct npf_x86_lanes *g, uint32_t from, uint32_t size)
{
	uint32_t label = g->shuffles[from][size], n = npf_x86_lane_bytes(g);
	uint8_t *control;

	if (label)
		return label;
	control = npf_x86_add_data(g->as, n, n, &label);
	g->shuffles[from][size] = label;
	for (uint32_t i = 0; control && i < n; i++) {
		uint32_t byte = i % 4;

		control[i] = (uint8_t)(byte < size ? i % 16 / 4 * 4 + from + size - 1 - byte : 0x80);
	}
	return label;
}

void npf_x86_lanes_extract(struct npf_x86_lanes *g, int to, struct npf_x86_operand word,
			   uint32_t from, uint32_t size)
{
	int reg = word.reg;

	if (reg == NPF_X86_NONE) {
		npf_x86_lanes_move(g, to, word);
		reg = to;
	}
	npf_x86_lanes_op(g, NPF_V_SHUFFLE, to, reg, npf_x86_data(shuffle_control(g, from, size), 0));
}

/* ---- sets ------------------------------------------------------------------------------------ */

/* Words of a table (at rdx + offset) by index, of current lanes; others get 0. Not V_T2. */
static void look_at_table(struct npf_x86_lanes *g, int to, int index, int32_t offset)
{
	struct npf_x86_operand at = npf_x86_indexed(NPF_RDX, index, 2, offset);

	npf_x86_lanes_op(g, NPF_V_XOR, to, to, npf_x86_reg(to));
	if (g->wide) {
		k_op(g, KMOVW, K_SECOND, NPF_X86_NONE, K_CURRENT);
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
	struct npf_x86_operand b = constant(g, imm, &flags);

	if (g->wide) {
		compare_wide(g, first ? K_EDGE : K_SECOND, K_CURRENT, predicate, a, b, flags);
		if (!first)
			k_op(g, KORW, K_EDGE, K_EDGE, K_SECOND);
		return;
	}
	compare_narrow(g, V_T1, predicate, a, b);
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
	int reg = keep(g, constant(g, imm, &flags), true);

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
		compare_wide(g, K_SECOND, K_CURRENT, PREDICATE_EQ, V_T1, npf_x86_reg(a), 0);
		k_op(g, KORW, K_EDGE, K_EDGE, K_SECOND);
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

/* ---- the function ---------------------------------------------------------------------------- */

/* rax = packets done; the arrays where the head comment says. */
void npf_x86_lanes_enter(struct npf_x86_lanes *g)
{
	static const uint8_t save[] = { 0x55, 0x48, 0x89, 0xE5,    /* push rbp; mov rbp, rsp */
					0x48, 0x81, 0xEC };        /* sub rsp, ... */
	static const uint8_t align[] = { 0x48, 0x83, 0xE4, 0xC0 }; /* and rsp, -64 */
	static const uint8_t none[4];
	const struct {
		int reg;
		size_t at;
	} arrays[] = {
		{ NPF_R8, offsetof(struct npf_x86_batch, packets) },
		{ NPF_R9, offsetof(struct npf_x86_batch, lengths) },
		{ NPF_R10, offsetof(struct npf_x86_batch, wire_lengths) },
		{ NPF_R11, offsetof(struct npf_x86_batch, verdicts) },
	};

	npf_x86_bytes(g->as, save, sizeof(save));
	g->frame_at = g->as->code_size;
	npf_x86_bytes(g->as, none, sizeof(none));
	npf_x86_bytes(g->as, align, sizeof(align));
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		npf_x86_op(g->as, NPF_X86_W | 0x8B, arrays[i].reg,
			   npf_x86_at(NPF_RDI, (int32_t)arrays[i].at));
	npf_x86_op(g->as, 0x8B, NPF_RCX,
		   npf_x86_at(NPF_RDI, (int32_t)offsetof(struct npf_x86_batch, n)));
	npf_x86_mov_imm(g->as, NPF_RAX, 0);
	if (g->ir->n_sets)
		npf_x86_jump(g->as, g->keep);
}

static void fetch_kept(struct npf_x86_lanes *g)
{
	npf_x86_bind(g->as, g->keep);
	for (uint32_t i = 0; i < g->n_kept; i++) {
		const struct npf_x86_kept *kept = &g->kept[i];
		uint32_t op = g->wide && kept->one ? VBROADCAST : VMOVDQU_LOAD;

		npf_x86_lanes_op(g, op, kept->reg, NPF_X86_NONE,
				 npf_x86_data(kept->label, kept->at));
	}
	npf_x86_jump(g->as, g->again);
}

static void begin_group(struct npf_x86_lanes *g)
{
	int32_t half = (int32_t)npf_x86_lane_bytes(g);

	npf_x86_lanes_move(g, V_LENGTH, npf_x86_indexed(NPF_R9, NPF_RAX, 2, 0));
	if (!g->wants_packets)
		return;
	npf_x86_lanes_move(g, V_LOW, npf_x86_indexed(NPF_R8, NPF_RAX, 3, 0));
	npf_x86_lanes_move(g, V_HIGH, npf_x86_indexed(NPF_R8, NPF_RAX, 3, half));
}

void npf_x86_lanes_begin(struct npf_x86_lanes *g)
{
	npf_x86_bind(g->as, g->again);
	begin_group(g);
	npf_x86_lanes_set(g, V_RESULT, 0);
	if (g->wide)
		k_op(g, KXNORW, K_CURRENT, K_CURRENT, K_CURRENT);
	else
		npf_x86_lanes_op(g, VPCMPEQD, V_CURRENT, V_CURRENT, npf_x86_reg(V_CURRENT));
}

/* ---- stages ---------------------------------------------------------------------------------- */

void npf_x86_lanes_exchange(struct npf_x86_lanes *g, int reg, uint32_t slot)
{
	struct npf_x86_operand to = npf_x86_lanes_slot(g, g->n_slots++);
	int left = reg == NPF_X86_NONE ? V_T1 : reg;

	npf_x86_lanes_move(g, V_T0, to);
	if (reg == NPF_X86_NONE)
		npf_x86_lanes_move(g, V_T1, npf_x86_lanes_slot(g, slot));
	npf_x86_lanes_store(g, to, left);
	if (reg == NPF_X86_NONE)
		npf_x86_lanes_store(g, npf_x86_lanes_slot(g, slot), V_T0);
	else
		npf_x86_lanes_move(g, reg, npf_x86_reg(V_T0));
}

void npf_x86_lanes_exchange_mask(struct npf_x86_lanes *g, const struct npf_x86_pending *pending)
{
	struct npf_x86_operand to = npf_x86_lanes_slot(g, g->n_slots), from;
	int left = pending->k == NPF_X86_NONE ? K_EDGE : pending->k;

	if (!g->wide) {
		npf_x86_lanes_exchange(g, NPF_X86_NONE, pending->slot);
		return;
	}
	g->n_slots++;
	from = npf_x86_lanes_slot(g, pending->slot);
	npf_x86_vex(g->as, KMOVW, K_SECOND, NPF_X86_NONE, to, -1);
	if (pending->k == NPF_X86_NONE)
		npf_x86_vex(g->as, KMOVW, left, NPF_X86_NONE, from, -1);
	npf_x86_vex(g->as, KMOVW_TO, left, NPF_X86_NONE, to, -1);
	if (pending->k == NPF_X86_NONE)
		npf_x86_vex(g->as, KMOVW_TO, K_SECOND, NPF_X86_NONE, from, -1);
	else
		k_op(g, KMOVW, pending->k, NPF_X86_NONE, K_SECOND);
}

void npf_x86_lanes_exchange_current(struct npf_x86_lanes *g)
{
	const struct npf_x86_pending current = { .k = K_CURRENT };

	if (g->wide)
		npf_x86_lanes_exchange_mask(g, &current);
	else
		npf_x86_lanes_exchange(g, V_CURRENT, 0);
}

void npf_x86_lanes_go_back(struct npf_x86_lanes *g)
{
	npf_x86_op(g->as, 0x85, NPF_RAX, npf_x86_reg(NPF_RAX)); /* test */
	npf_x86_jump_if(g->as, NPF_CC_E, g->first);
	npf_x86_alu_imm(g->as, 5, npf_x86_reg(NPF_RAX), npf_x86_lane_bytes(g) / 4); /* sub */
	begin_group(g);
	if (!g->answered)
		npf_x86_lanes_set(g, V_RESULT, 0);
}

/* ---- the function's end ---------------------------------------------------------------------- */

void npf_x86_lanes_leave(struct npf_x86_lanes *g)
{
	static const uint8_t end[] = { 0xC5, 0xF8, 0x77, /* vzeroupper */
				       0xC9, 0xC3 };     /* leave; ret */
	uint32_t lanes = npf_x86_lane_bytes(g) / 4;

	npf_x86_lanes_store(g, npf_x86_indexed(NPF_R11, NPF_RAX, 2, 0), V_RESULT);
	if (g->over) {
		npf_x86_alu_imm(g->as, 0, npf_x86_reg(NPF_RAX), lanes);
		npf_x86_bind(g->as, g->first);
	}
	npf_x86_alu_imm(g->as, 0, npf_x86_reg(NPF_RAX), lanes);
	npf_x86_op(g->as, 0x3B, NPF_RAX, npf_x86_reg(NPF_RCX));
	npf_x86_jump_if(g->as, NPF_CC_B, g->again);
	if (g->over) {
		npf_x86_jump_if(g->as, NPF_CC_E, g->over);
		npf_x86_op(g->as, 0x8B, NPF_RAX, npf_x86_reg(NPF_RCX));
	}
	npf_x86_bind(g->as, g->bail);
	npf_x86_bytes(g->as, end, sizeof(end));
	if (g->over) {
		/* As if there were no group from this one on. */
		npf_x86_bind(g->as, g->first_bail);
		npf_x86_op(g->as, 0x8B, NPF_RCX, npf_x86_reg(NPF_RAX));
		npf_x86_jump(g->as, g->over);
	}
	npf_x86_heads_copy(g);
	if (g->ir->n_sets)
		fetch_kept(g);
}
