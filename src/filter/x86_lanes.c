/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vector instructions of both widths. AVX-512 has masks in registers of their own, compares
 * without a sign, and broadcasts constants from memory; AVX2 has masks as vectors of -1 and 0. How
 * the function begins and ends is made of these alone.
 */
#include <string.h>

#include "filter/x86_lanes.h"

/* ---- plain operations ------------------------------------------------------------------------ */

void npf_x86_lanes_op(struct npf_x86_lanes *g, uint32_t op, int to, int a, struct npf_x86_operand b)
{
	if (g->wide)
		npf_x86_evex(g->as, op | NPF_X86_L512, to, a, b, 0, false, -1);
	else
		npf_x86_vex(g->as, op | NPF_X86_L256, to, a, b, -1);
}

/* A constant as an operand; *op learns that it is one lane for all. */
struct npf_x86_operand npf_x86_lanes_constant(struct npf_x86_lanes *g, uint32_t imm, uint32_t *op)
{
	if (g->wide)
		*op |= NPF_X86_BROADCAST;
	return npf_x86_data(npf_x86_constant(g->as, imm, g->wide ? 1 : 8), 0);
}

void npf_x86_lanes_op_imm(struct npf_x86_lanes *g, uint32_t op, int to, int a, uint32_t imm)
{
	struct npf_x86_operand b = npf_x86_lanes_constant(g, imm, &op);

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

void npf_x86_lanes_k_op(struct npf_x86_lanes *g, uint32_t op, int to, int a, int b)
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
		npf_x86_lanes_blend(g, mask, to, npf_x86_lanes_constant(g, imm, &op));
}

void npf_x86_lanes_others(struct npf_x86_lanes *g)
{
	if (g->wide)
		npf_x86_lanes_k_op(g, KANDNW, K_EDGE, K_EDGE, K_CURRENT);
	else
		npf_x86_lanes_op(g, VPANDN, V_EDGE, V_EDGE, npf_x86_reg(V_CURRENT));
}

void npf_x86_lanes_narrow(struct npf_x86_lanes *g)
{
	if (g->wide)
		npf_x86_lanes_k_op(g, KMOVW, K_CURRENT, NPF_X86_NONE, K_EDGE);
	else
		npf_x86_lanes_move(g, V_CURRENT, npf_x86_reg(V_EDGE));
}

void npf_x86_lanes_widen(struct npf_x86_lanes *g)
{
	if (g->wide)
		npf_x86_lanes_k_op(g, KMOVW, K_EDGE, NPF_X86_NONE, K_CURRENT);
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
		npf_x86_lanes_k_op(g, KORTESTW, k_of(mask), NPF_X86_NONE, k_of(mask));
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
		npf_x86_lanes_k_op(g, KXORW, pending->k, pending->k, pending->k);
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
			npf_x86_lanes_k_op(g, KMOVW, pending->k, NPF_X86_NONE, K_EDGE);
		else
			npf_x86_lanes_k_op(g, KORW, pending->k, pending->k, K_EDGE);
	} else if (!g->wide) {
		if (!first)
			npf_x86_lanes_op(g, NPF_V_OR, V_EDGE, V_EDGE, slot);
		npf_x86_lanes_store(g, slot, V_EDGE);
	} else {
		if (!first) {
			npf_x86_vex(g->as, KMOVW, K_SECOND, NPF_X86_NONE, slot, -1);
			npf_x86_lanes_k_op(g, KORW, K_EDGE, K_EDGE, K_SECOND);
		}
		npf_x86_vex(g->as, KMOVW_TO, K_EDGE, NPF_X86_NONE, slot, -1);
	}
}

void npf_x86_lanes_take(struct npf_x86_lanes *g, const struct npf_x86_pending *pending)
{
	struct npf_x86_operand slot = npf_x86_lanes_slot(g, pending->slot);

	if (pending->k != NPF_X86_NONE)
		npf_x86_lanes_k_op(g, KMOVW, K_CURRENT, NPF_X86_NONE, pending->k);
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
void npf_x86_lanes_compare_wide(struct npf_x86_lanes *g, int k, int mask, int predicate, int a,
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
void npf_x86_lanes_compare_narrow(struct npf_x86_lanes *g, int to, int predicate, int a,
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
		npf_x86_lanes_compare_wide(g, K_EDGE, K_CURRENT, predicate_of(end), a, b, flags);
	} else if (end == NPF_IR_IF_SET) {
		npf_x86_lanes_op(g, NPF_V_AND, V_EDGE, a, b);
		npf_x86_lanes_op(g, NPF_V_XOR, V_T2, V_T2, npf_x86_reg(V_T2));
		npf_x86_lanes_op(g, VPCMPEQD, V_EDGE, V_EDGE, npf_x86_reg(V_T2));
		npf_x86_lanes_op(g, VPANDN, V_EDGE, V_EDGE, npf_x86_reg(V_CURRENT));
	} else {
		npf_x86_lanes_compare_narrow(g, V_EDGE, predicate_of(end), a, b);
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
	struct npf_x86_operand b = npf_x86_lanes_constant(g, imm, &flags);

	compare(g, end, a, b, flags);
}

void npf_x86_lanes_jump_short(struct npf_x86_lanes *g, uint32_t bytes, uint32_t label)
{
	uint32_t flags = 0;
	struct npf_x86_operand most = npf_x86_lanes_constant(g, bytes - 1, &flags);

	if (g->wide)
		npf_x86_lanes_compare_wide(g, K_EDGE, 0, PREDICATE_LE, V_LENGTH, most, flags);
	else
		npf_x86_lanes_compare_narrow(g, V_EDGE, PREDICATE_LE, V_LENGTH, most);
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

	npf_x86_lanes_k_op(g, KMOVW, K_SECOND, NPF_X86_NONE, K_CURRENT);
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
		npf_x86_lanes_k_op(g, KXNORW, K_CURRENT, K_CURRENT, K_CURRENT);
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
		npf_x86_lanes_k_op(g, KMOVW, pending->k, NPF_X86_NONE, K_SECOND);
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
