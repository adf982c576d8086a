/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One packet at a time. A leaf function, nearly always without a frame:
 *
 *	rdi  the packet        rax, rcx  scratch, rax the result
 *	esi  bytes on the wire r11, r10  scratch where there are sets
 *	edx  bytes held        (r9 instead where there are divisions, which need edx)
 *
 * A branch falls through to the block that follows. Blocks that only return a number are written
 * where control would otherwise jump to them; a branch between two of them selects without one.
 */
#include <errno.h>
#include <string.h>

#include "filter/x86_scalar.h"

#define RED_ZONE 128u

/* Operations of the assembler, by their Intel names. */
#define MOV_LOAD   0x8Bu
#define MOV_STORE  0x89u
#define MOV_IMM    0xC7u
#define MOVZX_BYTE (NPF_X86_0F | 0xB6u)
#define MOVZX_WORD (NPF_X86_0F | 0xB7u)
#define LEA64      (NPF_X86_W | 0x8Du)
#define ADD64      (NPF_X86_W | 0x03u)
#define CMP64      (NPF_X86_W | 0x3Bu)
#define TEST       0x85u
#define TEST_IMM   0xF7u
#define BT         (NPF_X86_0F | 0xA3u)
#define IMUL       (NPF_X86_0F | 0xAFu)
#define IMUL_IMM   0x69u
#define SHIFT_IMM  0xC1u
#define SHIFT_CL   0xD3u
#define GROUP3     0xF7u /* neg and div */
#define OR_BYTE    (NPF_X86_BYTE | 0x0Au)
#define SETCC(cc)  (NPF_X86_0F | NPF_X86_BYTE | 0x90u | (uint32_t)(cc))
#define CMOV(cc)   (NPF_X86_0F | 0x40u | (uint32_t)(cc))

enum { EXT_ADD = 0, EXT_OR = 1, EXT_SBB = 3, EXT_AND = 4, EXT_SUB = 5, EXT_XOR = 6, EXT_CMP = 7 };
enum { SHIFT_ROL = 0, SHIFT_LEFT = 4, SHIFT_RIGHT = 5 };
enum { GROUP3_NEG = 3, GROUP3_DIV = 6 };

/* The form reg, operand of an operation that has an extension for immediates. */
#define ALU_LOAD(extension) (8u * (uint32_t)(extension) + 3u)

/* ---- places --------------------------------------------------------------------------------- */

static uint32_t frame_size(const struct npf_x86_gen *g)
{
	return g->n_slots * 4 > RED_ZONE ? (g->n_slots * 4 + 15) & ~15u : 0;
}

static struct npf_x86_operand slot(const struct npf_x86_gen *g, uint32_t number)
{
	return npf_x86_at(NPF_RSP, frame_size(g) ? (int32_t)number * 4 : -4 * ((int32_t)number + 1));
}

/* Where a value with a place lies. */
static struct npf_x86_operand location(const struct npf_x86_gen *g, uint16_t value)
{
	const struct npf_x86_value *v = &g->values[value];

	return v->reg == NPF_X86_NONE ? slot(g, v->slot) : npf_x86_reg(v->reg);
}

static bool is_constant(const struct npf_x86_gen *g, uint16_t value)
{
	return npf_x86_insn(g, value)->op == NPF_IR_CONST;
}

static void move_reg(struct npf_x86_gen *g, int to, int from)
{
	if (to != from)
		npf_x86_op(g->as, MOV_LOAD, to, npf_x86_reg(from));
}

static void compute(struct npf_x86_gen *g, uint16_t value, int to);

/* A value into a register. */
static void fetch(struct npf_x86_gen *g, uint16_t value, int to)
{
	const struct npf_x86_value *v = &g->values[value];

	if (is_constant(g, value))
		npf_x86_mov_imm(g->as, to, npf_x86_insn(g, value)->imm);
	else if (v->folded)
		compute(g, value, to);
	else if (v->reg != NPF_X86_NONE)
		move_reg(g, to, v->reg);
	else
		npf_x86_op(g->as, MOV_LOAD, to, slot(g, v->slot));
}

/* A value in a register: its own, or the scratch register. */
static int fetched(struct npf_x86_gen *g, uint16_t value, int scratch)
{
	const struct npf_x86_value *v = &g->values[value];

	if (!v->folded && v->reg != NPF_X86_NONE)
		return v->reg;
	fetch(g, value, scratch);
	return scratch;
}

/* ---- the packet ------------------------------------------------------------------------------ */

/* The sum of a register and a number as a 64-bit sum, in rax. */
static void add_64(struct npf_x86_gen *g, int reg, uint32_t imm)
{
	if (imm <= INT32_MAX) {
		npf_x86_op(g->as, LEA64, NPF_RAX, npf_x86_at(reg, (int32_t)imm));
		return;
	}
	npf_x86_mov_imm(g->as, NPF_RCX, imm);
	npf_x86_op(g->as, LEA64, NPF_RAX, npf_x86_indexed(reg, NPF_RCX, 0, 0));
}

/* Where a load reads. May use rax. */
static struct npf_x86_operand packet(struct npf_x86_gen *g, const struct npf_ir_insn *insn)
{
	int base;

	if (insn->a == NPF_IR_NONE && insn->imm <= INT32_MAX)
		return npf_x86_at(PACKET, (int32_t)insn->imm);
	if (insn->a == NPF_IR_NONE) {
		npf_x86_mov_imm(g->as, NPF_RAX, insn->imm);
		return npf_x86_indexed(PACKET, NPF_RAX, 0, 0);
	}
	base = fetched(g, insn->a, NPF_RAX);
	if (insn->imm <= INT32_MAX)
		return npf_x86_indexed(PACKET, base, 0, (int32_t)insn->imm);
	add_64(g, base, insn->imm);
	return npf_x86_indexed(PACKET, NPF_RAX, 0, 0);
}

static void bswap(struct npf_x86_gen *g, int reg)
{
	const uint8_t code[] = { 0x41, 0x0F, (uint8_t)(0xC8 | (reg & 7)) };

	npf_x86_bytes(g->as, reg < NPF_R8 ? code + 1 : code, reg < NPF_R8 ? 2 : 3);
}

static void load(struct npf_x86_gen *g, uint16_t value, int to)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, value);
	struct npf_x86_operand from = packet(g, insn);

	if (insn->size == 1) {
		npf_x86_op(g->as, MOVZX_BYTE, to, from);
	} else if (insn->size == 2) {
		npf_x86_op(g->as, MOVZX_WORD, to, from);
		if (!g->values[value].raw)
			npf_x86_op_imm(g->as, NPF_X86_66 | SHIFT_IMM, SHIFT_ROL, npf_x86_reg(to), 8,
				       1);
	} else {
		npf_x86_op(g->as, MOV_LOAD, to, from);
		if (!g->values[value].raw)
			bswap(g, to);
	}
}

void npf_x86_need(struct npf_x86_gen *g, uint16_t base, uint32_t imm, uint32_t short_of)
{
	if (base == NPF_IR_NONE) {
		npf_x86_alu_imm(g->as, EXT_CMP, npf_x86_reg(g->length), imm);
		npf_x86_jump_if(g->as, NPF_CC_B, short_of);
		return;
	}
	add_64(g, fetched(g, base, NPF_RAX), imm);
	npf_x86_op(g->as, CMP64, NPF_RAX, npf_x86_reg(g->length));
	npf_x86_jump_if(g->as, NPF_CC_A, short_of);
}

static void nonzero(struct npf_x86_gen *g, const struct npf_ir_insn *insn)
{
	int reg = fetched(g, insn->a, NPF_RAX);

	npf_x86_op(g->as, TEST, reg, npf_x86_reg(reg));
	npf_x86_jump_if(g->as, NPF_CC_E, g->fail);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static void divide(struct npf_x86_gen *g, const struct npf_ir_insn *insn, int to)
{
	fetch(g, insn->a, NPF_RAX);
	if (insn->b == NPF_IR_NONE)
		npf_x86_mov_imm(g->as, NPF_RCX, insn->imm);
	else
		fetch(g, insn->b, NPF_RCX);
	npf_x86_mov_imm(g->as, NPF_RDX, 0);
	npf_x86_op(g->as, GROUP3, GROUP3_DIV, npf_x86_reg(NPF_RCX));
	move_reg(g, to, insn->op == NPF_IR_DIV ? NPF_RAX : NPF_RDX);
}

/* The processor takes distances modulo 32; from 32 on, nothing must be left. */
static void shift_by_value(struct npf_x86_gen *g, const struct npf_ir_insn *insn, int to)
{
	int extension = insn->op == NPF_IR_LSH ? SHIFT_LEFT : SHIFT_RIGHT;

	fetch(g, insn->b, NPF_RCX);
	npf_x86_op(g->as, SHIFT_CL, extension, npf_x86_reg(to));
	npf_x86_alu_imm(g->as, EXT_CMP, npf_x86_reg(NPF_RCX), 32);
	npf_x86_op(g->as, ALU_LOAD(EXT_SBB), NPF_RCX, npf_x86_reg(NPF_RCX));
	npf_x86_op(g->as, ALU_LOAD(EXT_AND), to, npf_x86_reg(NPF_RCX));
}

static int extension_of(uint8_t op)
{
	switch (op) {
	case NPF_IR_ADD:
		return EXT_ADD;
	case NPF_IR_SUB:
		return EXT_SUB;
	case NPF_IR_AND:
		return EXT_AND;
	case NPF_IR_OR:
		return EXT_OR;
	default:
		return EXT_XOR;
	}
}

static void operate_imm(struct npf_x86_gen *g, const struct npf_ir_insn *insn, int to,
			unsigned int raw)
{
	switch (insn->op) {
	case NPF_IR_MUL:
		npf_x86_op_imm(g->as, IMUL_IMM, to, npf_x86_reg(to), insn->imm, 4);
		break;
	case NPF_IR_LSH:
		npf_x86_op_imm(g->as, SHIFT_IMM, SHIFT_LEFT, npf_x86_reg(to), insn->imm, 1);
		break;
	case NPF_IR_RSH:
		npf_x86_op_imm(g->as, SHIFT_IMM, SHIFT_RIGHT, npf_x86_reg(to), insn->imm, 1);
		break;
	default:
		npf_x86_alu_imm(g->as, extension_of(insn->op), npf_x86_reg(to),
				npf_x86_swap(insn->imm, raw));
		break;
	}
}

static void operate_value(struct npf_x86_gen *g, const struct npf_ir_insn *insn, int to)
{
	struct npf_x86_operand b;

	if (insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH) {
		shift_by_value(g, insn, to);
		return;
	}
	if (is_constant(g, insn->b)) {
		fetch(g, insn->b, NPF_RCX);
		b = npf_x86_reg(NPF_RCX);
	} else {
		b = location(g, insn->b);
	}
	npf_x86_op(g->as, insn->op == NPF_IR_MUL ? IMUL : ALU_LOAD(extension_of(insn->op)), to, b);
}

static void operate(struct npf_x86_gen *g, uint16_t value, int to)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, value);

	fetch(g, insn->a, to);
	if (insn->op == NPF_IR_NEG)
		npf_x86_op(g->as, GROUP3, GROUP3_NEG, npf_x86_reg(to));
	else if (insn->b == NPF_IR_NONE)
		operate_imm(g, insn, to, g->values[value].raw);
	else
		operate_value(g, insn, to);
}

/* ---- sets: the key is in eax, and lost ------------------------------------------------------- */

static enum npf_x86_cc look_in_chain(struct npf_x86_gen *g, const struct npf_x86_set *set)
{
	int step = set->n == 1 ? NPF_RCX : STEP;

	for (uint32_t i = 0; i < set->n; i++) {
		int reg = i ? TABLE : NPF_RCX;

		if (set->is_range) {
			npf_x86_op(g->as, 0x8D, step,
				   npf_x86_at(NPF_RAX, (int32_t)(0 - set->lo[i])));
			npf_x86_alu_imm(g->as, EXT_CMP, npf_x86_reg(step), set->width[i]);
		} else {
			npf_x86_alu_imm(g->as, EXT_CMP, npf_x86_reg(NPF_RAX), set->lo[i]);
		}
		if (set->n == 1)
			return set->is_range ? NPF_CC_BE : NPF_CC_E;
		npf_x86_op(g->as, SETCC(set->is_range ? NPF_CC_BE : NPF_CC_E), 0, npf_x86_reg(reg));
		if (i)
			npf_x86_op(g->as, OR_BYTE, NPF_RCX, npf_x86_reg(TABLE));
	}
	return NPF_CC_NE;
}

static enum npf_x86_cc look_in_bitmap(struct npf_x86_gen *g, const struct npf_x86_set *set)
{
	npf_x86_op(g->as, LEA64, TABLE, npf_x86_data(set->label, 0));
	npf_x86_op(g->as, MOV_LOAD, NPF_RCX, npf_x86_reg(NPF_RAX));
	npf_x86_op_imm(g->as, SHIFT_IMM, SHIFT_RIGHT, npf_x86_reg(NPF_RCX), 5, 1);
	npf_x86_op(g->as, MOV_LOAD, NPF_RCX, npf_x86_indexed(TABLE, NPF_RCX, 2, 0));
	npf_x86_op(g->as, BT, NPF_RAX, npf_x86_reg(NPF_RCX));
	return NPF_CC_B;
}

static enum npf_x86_cc look_in_hash(struct npf_x86_gen *g, const struct npf_x86_set *set)
{
	npf_x86_op(g->as, LEA64, TABLE, npf_x86_data(set->label, 0));
	npf_x86_op_imm(g->as, IMUL_IMM, NPF_RCX, npf_x86_reg(NPF_RAX), set->multiplier, 4);
	npf_x86_op_imm(g->as, SHIFT_IMM, SHIFT_RIGHT, npf_x86_reg(NPF_RCX), set->shift, 1);
	if (set->form == NPF_X86_BUCKETS) {
		npf_x86_op(g->as, MOV_LOAD, NPF_RCX, npf_x86_indexed(TABLE, NPF_RCX, 2, 0));
		npf_x86_op(g->as, IMUL, NPF_RCX, npf_x86_reg(NPF_RAX));
		npf_x86_op_imm(g->as, SHIFT_IMM, SHIFT_RIGHT, npf_x86_reg(NPF_RCX),
			       set->second_shift, 1);
	}
	npf_x86_op(g->as, ALU_LOAD(EXT_CMP), NPF_RAX,
		   npf_x86_indexed(TABLE, NPF_RCX, 2, (int32_t)set->second));
	return NPF_CC_E;
}

static enum npf_x86_cc look_by_halving(struct npf_x86_gen *g, const struct npf_x86_set *set)
{
	npf_x86_op(g->as, LEA64, TABLE, npf_x86_data(set->label, 0));
	npf_x86_mov_imm(g->as, NPF_RCX, 0);
	for (uint32_t half = set->n / 2; half; half /= 2) {
		npf_x86_op(g->as, 0x8D, STEP, npf_x86_at(NPF_RCX, (int32_t)half));
		npf_x86_op(g->as, ALU_LOAD(EXT_CMP), NPF_RAX,
			   npf_x86_indexed(TABLE, NPF_RCX, 2, (int32_t)half * 4));
		npf_x86_op(g->as, CMOV(NPF_CC_AE), NPF_RCX, npf_x86_reg(STEP));
	}
	npf_x86_op(g->as, ALU_LOAD(EXT_SUB), NPF_RAX, npf_x86_indexed(TABLE, NPF_RCX, 2, 0));
	npf_x86_op(g->as, ALU_LOAD(EXT_CMP), NPF_RAX,
		   npf_x86_indexed(TABLE, NPF_RCX, 2, (int32_t)set->second));
	return NPF_CC_BE;
}

static const struct npf_x86_set *set_of(struct npf_x86_gen *g, uint16_t value, uint32_t number)
{
	unsigned int raw = g->values[value].raw;
	struct npf_x86_set *set = &g->sets[3 * number + raw / 2];
	uint32_t bound = npf_x86_bound(g, value);

	/* A table serves every value that has no more bits. */
	if (bound <= 0xFFFF)
		bound = 0xFFFF;
	if (!set->built || (set->form == NPF_X86_BITMAP && bound > 0xFFFF))
		npf_x86_set_build(g->as, g->ir, number, bound, raw, g->set_work, set);
	return set;
}

static enum npf_x86_cc look_in_set(struct npf_x86_gen *g, uint16_t value, uint32_t number)
{
	const struct npf_x86_set *set = set_of(g, value, number);

	fetch(g, value, NPF_RAX);
	switch (set->form) {
	case NPF_X86_CHAIN:
		return look_in_chain(g, set);
	case NPF_X86_BITMAP:
		return look_in_bitmap(g, set);
	case NPF_X86_SEARCH:
		return look_by_halving(g, set);
	default:
		return look_in_hash(g, set);
	}
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* A load whose bytes can be compared where they are. */
static bool is_in_packet(const struct npf_x86_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, value);
	const struct npf_x86_value *v = &g->values[value];

	return v->folded && insn->op == NPF_IR_LOAD && (insn->size == 1 || v->raw == 4);
}

static void compare_in_packet(struct npf_x86_gen *g, uint8_t end, uint16_t value, uint32_t imm)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, value);
	struct npf_x86_operand at = packet(g, insn);
	bool byte = insn->size == 1;

	imm = npf_x86_swap(imm, g->values[value].raw);
	if (end == NPF_IR_IF_SET)
		npf_x86_op_imm(g->as, byte ? 0xF6 : TEST_IMM, 0, at, imm, byte ? 1 : 4);
	else if (byte)
		npf_x86_op_imm(g->as, 0x80, EXT_CMP, at, imm, 1);
	else
		npf_x86_alu_imm(g->as, EXT_CMP, at, imm);
}

static void compare_imm(struct npf_x86_gen *g, uint8_t end, uint16_t a, uint32_t imm)
{
	int reg;

	if (is_in_packet(g, a) && (npf_x86_insn(g, a)->size != 1 || imm <= 0xFF)) {
		compare_in_packet(g, end, a, imm);
		return;
	}
	reg = fetched(g, a, NPF_RAX);
	imm = npf_x86_swap(imm, g->values[a].raw);
	if (end == NPF_IR_IF_SET)
		npf_x86_op_imm(g->as, TEST_IMM, 0, npf_x86_reg(reg), imm, 4);
	else if (!imm)
		npf_x86_op(g->as, TEST, reg, npf_x86_reg(reg));
	else
		npf_x86_alu_imm(g->as, EXT_CMP, npf_x86_reg(reg), imm);
}

static void compare_value(struct npf_x86_gen *g, uint8_t end, uint16_t a, uint16_t b)
{
	int left = fetched(g, a, NPF_RAX), right = fetched(g, b, NPF_RCX);

	if (end == NPF_IR_IF_SET)
		npf_x86_op(g->as, TEST, right, npf_x86_reg(left));
	else
		npf_x86_op(g->as, ALU_LOAD(EXT_CMP), left, npf_x86_reg(right));
}

enum npf_x86_cc npf_x86_compare(struct npf_x86_gen *g, uint8_t end, uint16_t a, uint16_t b,
				uint32_t imm)
{
	if (end == NPF_IR_IF_IN)
		return look_in_set(g, a, imm);
	if (b == NPF_IR_NONE)
		compare_imm(g, end, a, imm);
	else
		compare_value(g, end, a, b);
	switch (end) {
	case NPF_IR_IF_EQ:
		return NPF_CC_E;
	case NPF_IR_IF_GT:
		return NPF_CC_A;
	case NPF_IR_IF_GE:
		return NPF_CC_AE;
	default:
		return NPF_CC_NE;
	}
}

static void condition(struct npf_x86_gen *g, const struct npf_ir_insn *insn, int to)
{
	enum npf_x86_cc cc = npf_x86_compare(g, npf_x86_condition(insn->op), insn->a, insn->b,
					     insn->imm);

	npf_x86_op(g->as, SETCC(cc), 0, npf_x86_reg(NPF_RAX));
	npf_x86_op(g->as, MOVZX_BYTE, to, npf_x86_reg(NPF_RAX));
}

/* ---- instructions ---------------------------------------------------------------------------- */

static void compute(struct npf_x86_gen *g, uint16_t value, int to)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, value);

	switch (insn->op) {
	case NPF_IR_LOAD:
		load(g, value, to);
		break;
	case NPF_IR_CAPLEN:
		move_reg(g, to, g->length);
		break;
	case NPF_IR_WIRELEN:
		move_reg(g, to, WIRE);
		break;
	case NPF_IR_DIV:
	case NPF_IR_MOD:
		divide(g, insn, to);
		break;
	case NPF_IR_IS_EQ:
	case NPF_IR_IS_GT:
	case NPF_IR_IS_GE:
	case NPF_IR_IS_SET:
	case NPF_IR_IS_IN:
		condition(g, insn, to);
		break;
	default:
		operate(g, value, to);
		break;
	}
}

void npf_x86_do_insn(struct npf_x86_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, value);
	const struct npf_x86_value *v = &g->values[value];

	if (insn->op == NPF_IR_NEED)
		npf_x86_need(g, insn->a, insn->imm, g->fail);
	else if (insn->op == NPF_IR_NONZERO)
		nonzero(g, insn);
	if (!npf_x86_has_place(g, value) || insn->op == NPF_IR_PARAM)
		return;
	compute(g, value, v->reg == NPF_X86_NONE ? NPF_RAX : v->reg);
	if (v->reg == NPF_X86_NONE)
		npf_x86_op(g->as, MOV_STORE, NPF_RAX, slot(g, v->slot));
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* Do a and the parameter b lie at one place? */
static bool same_place(const struct npf_x86_gen *g, uint16_t a, uint16_t b)
{
	if (a == NPF_IR_NONE || is_constant(g, a))
		return false;

	const struct npf_x86_value *x = &g->values[a], *y = &g->values[b];

	return x->reg == y->reg && (x->reg != NPF_X86_NONE || x->slot == y->slot);
}

/* What an edge has to move to the parameters of its block. */
static uint32_t list_moves(struct npf_x86_gen *g, const struct npf_ir_edge *edge)
{
	const struct npf_ir_block *block = &g->ir->blocks[edge->block];
	uint32_t n = 0;

	for (uint16_t i = 0; i < block->params; i++) {
		uint16_t to = (uint16_t)(block->first + i), from = g->ir->args[edge->args + i];

		if (npf_x86_has_place(g, to) && !same_place(g, from, to))
			g->moves[n++] = (struct npf_x86_move){ to, from };
	}
	return n;
}

/* from: where the value is now, when not at its own place. */
static void move(struct npf_x86_gen *g, uint16_t to, uint16_t from, bool from_scratch)
{
	const struct npf_x86_value *v = &g->values[to];
	int reg = v->reg == NPF_X86_NONE ? NPF_RAX : v->reg;

	if (from_scratch)
		move_reg(g, reg, NPF_RCX);
	else
		fetch(g, from, reg);
	if (v->reg == NPF_X86_NONE)
		npf_x86_op(g->as, MOV_STORE, NPF_RAX, slot(g, v->slot));
}

/* Does a move other than number i still read the place that it overwrites? */
static bool blocks(const struct npf_x86_gen *g, uint32_t n, uint32_t i)
{
	for (uint32_t k = 0; k < n; k++) {
		if (k != i && same_place(g, g->moves[k].from, g->moves[i].to))
			return true;
	}
	return false;
}

/* All at once, in effect. A ring of places is opened by keeping one of them in rcx. */
static void do_moves(struct npf_x86_gen *g, uint32_t n)
{
	while (n) {
		uint32_t i = 0;

		while (i < n && blocks(g, n, i))
			i++;
		if (i == n) {
			uint16_t kept = g->moves[0].to; /* what lies where this will */

			npf_x86_op(g->as, MOV_LOAD, NPF_RCX, location(g, kept));
			for (uint32_t k = 0; k < n; k++) {
				if (same_place(g, g->moves[k].from, kept))
					g->moves[k].from = NPF_IR_NONE;
			}
			continue;
		}
		move(g, g->moves[i].to, g->moves[i].from, g->moves[i].from == NPF_IR_NONE);
		g->moves[i] = g->moves[--n];
	}
}

void npf_x86_give_arguments(struct npf_x86_gen *g, const struct npf_ir_edge *edge)
{
	do_moves(g, list_moves(g, edge));
}

static bool only_returns(const struct npf_x86_gen *g, uint32_t block)
{
	const struct npf_ir_block *b = &g->ir->blocks[block];

	return b->end == NPF_IR_RETURN && b->a == NPF_IR_NONE && !b->count;
}

void npf_x86_leave(struct npf_x86_gen *g)
{
	static const uint8_t ret = 0xC3;

	if (frame_size(g))
		npf_x86_op_imm(g->as, NPF_X86_W | 0x81, EXT_ADD, npf_x86_reg(NPF_RSP),
			       frame_size(g), 4);
	npf_x86_bytes(g->as, &ret, 1);
}

static void place_block(struct npf_x86_gen *g, uint32_t block)
{
	if (g->placed[block])
		return;
	g->placed[block] = true;
	npf_x86_bind(g->as, g->labels[block]);
}

static void return_number(struct npf_x86_gen *g, uint32_t number)
{
	npf_x86_mov_imm(g->as, NPF_RAX, number);
	npf_x86_leave(g);
}

/* Follow an edge whose turn it is; next: the block that will be written behind. */
static void follow(struct npf_x86_gen *g, const struct npf_ir_edge *edge, uint32_t next)
{
	npf_x86_give_arguments(g, edge);
	if (edge->block == next)
		return;
	if (!only_returns(g, edge->block)) {
		npf_x86_jump(g->as, g->labels[edge->block]);
		return;
	}
	place_block(g, edge->block);
	return_number(g, g->ir->blocks[edge->block].imm);
}

/* The label to jump to for an edge. */
static uint32_t label_of(struct npf_x86_gen *g, const struct npf_ir_edge *edge)
{
	uint32_t label;

	if (!list_moves(g, edge))
		return g->labels[edge->block];
	label = npf_x86_label(g->as);
	g->stubs[g->n_stubs++] = (struct npf_x86_stub){ label, edge };
	return label;
}

/* Between two numbers there is nothing to predict. */
static void choose_number(struct npf_x86_gen *g, enum npf_x86_cc cc, uint32_t yes, uint32_t no)
{
	npf_x86_op_imm(g->as, MOV_IMM, 0, npf_x86_reg(NPF_RAX), no, 4);
	npf_x86_op_imm(g->as, MOV_IMM, 0, npf_x86_reg(NPF_RCX), yes, 4);
	npf_x86_op(g->as, CMOV(cc), NPF_RAX, npf_x86_reg(NPF_RCX));
	npf_x86_leave(g);
}

static void branch(struct npf_x86_gen *g, const struct npf_ir_block *block, uint32_t next)
{
	const struct npf_ir_edge *yes = &block->edges[0], *no = &block->edges[1];
	enum npf_x86_cc cc = npf_x86_compare(g, block->end, block->a, block->b, block->imm);

	if (only_returns(g, yes->block) && only_returns(g, no->block)) {
		choose_number(g, cc, g->ir->blocks[yes->block].imm, g->ir->blocks[no->block].imm);
		return;
	}
	if (no->block != next &&
	    (yes->block == next || (only_returns(g, no->block) && !only_returns(g, yes->block)))) {
		const struct npf_ir_edge *swap = yes;

		yes = no;
		no = swap;
		cc = NPF_CC_NOT(cc);
	}
	npf_x86_jump_if(g->as, cc, label_of(g, yes));
	follow(g, no, next);
}

static void end_block(struct npf_x86_gen *g, const struct npf_ir_block *block, uint32_t next)
{
	if (block->end == NPF_IR_GOTO) {
		follow(g, &block->edges[0], next);
	} else if (block->end != NPF_IR_RETURN) {
		branch(g, block, next);
	} else if (block->a == NPF_IR_NONE) {
		return_number(g, block->imm);
	} else {
		fetch(g, block->a, NPF_RAX);
		npf_x86_leave(g);
	}
}

/* ---- the function ---------------------------------------------------------------------------- */

static void enter(struct npf_x86_gen *g)
{
	/* The upper half of an argument's register is anything. */
	if (g->divides || g->indexes)
		npf_x86_op(g->as, MOV_LOAD, g->length, npf_x86_reg(NPF_RDX));
	if (frame_size(g))
		npf_x86_op_imm(g->as, NPF_X86_W | 0x81, EXT_SUB, npf_x86_reg(NPF_RSP),
			       frame_size(g), 4);
}

/* The block that is written behind this one. */
static uint32_t next_block(const struct npf_x86_gen *g, uint32_t block)
{
	do
		block++;
	while (block < g->ir->n_blocks && only_returns(g, block));
	return block;
}

static void write_blocks(struct npf_x86_gen *g)
{
	enter(g);
	for (uint32_t b = only_returns(g, 0) ? g->ir->n_blocks : 0; b < g->ir->n_blocks;
	     b = next_block(g, b)) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		place_block(g, b);
		if (g->chains[b].n)
			npf_x86_write_chain(g, b);
		for (uint32_t i = 0; i < block->count; i++)
			npf_x86_do_insn(g, (uint16_t)(block->first + i));
		end_block(g, block, next_block(g, b));
	}
}

/* What stands apart: moves of edges, and the numbers that nobody has returned yet. */
static void write_rest(struct npf_x86_gen *g)
{
	for (uint32_t i = 0; i < g->n_stubs; i++) {
		npf_x86_bind(g->as, g->stubs[i].label);
		follow(g, g->stubs[i].edge, NPF_IR_NONE);
	}
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		if (g->placed[b] || !only_returns(g, b))
			continue;
		place_block(g, b);
		return_number(g, g->ir->blocks[b].imm);
	}
	npf_x86_bind(g->as, g->fail);
	return_number(g, 0);
}

int npf_x86_scalar(const struct npf_ir *ir, void *space, size_t size, struct npf_x86_image *image)
{
	struct npf_x86_gen gen = { .ir = ir }, *g = &gen;
	struct npf_x86_room room;

	if (npf_x86_furnish(ir, space, size, &room))
		return -ENOSPC;
	g->as = room.as;
	g->values = npf_x86_take(&room, ir->n_insns * sizeof(*g->values));
	g->starts = npf_x86_take(&room, ir->n_insns * sizeof(*g->starts));
	g->slot_end = npf_x86_take(&room, ir->n_insns * sizeof(*g->slot_end));
	g->labels = npf_x86_take(&room, ir->n_blocks * sizeof(*g->labels));
	g->placed = npf_x86_take(&room, ir->n_blocks * sizeof(*g->placed));
	g->stubs = npf_x86_take(&room, 2 * ir->n_blocks * sizeof(*g->stubs));
	g->moves = npf_x86_take(&room, ir->n_insns * sizeof(*g->moves));
	g->sets = npf_x86_take(&room, 3 * ir->n_sets * sizeof(*g->sets));
	g->chains = npf_x86_take(&room, ir->n_blocks * sizeof(*g->chains));
	g->chain_blocks =
		npf_x86_take(&room, ir->n_blocks * NPF_X86_CHAIN_BLOCKS * sizeof(*g->chain_blocks));
	g->in_chain = npf_x86_take(&room, ir->n_blocks * sizeof(*g->in_chain));
	g->entries = npf_x86_take(&room, ir->n_blocks * sizeof(*g->entries));
	g->set_work = room.set_work;
	memset(g->in_chain, 0, ir->n_blocks * sizeof(*g->in_chain));
	npf_x86_plan_chains(g);
	if (!npf_x86_place(g))
		return -ENOTSUP;
	memset(g->placed, 0, ir->n_blocks * sizeof(*g->placed));
	memset(g->sets, 0, 3 * ir->n_sets * sizeof(*g->sets));
	for (uint32_t b = 0; b < ir->n_blocks; b++)
		g->labels[b] = npf_x86_label(g->as);
	g->fail = npf_x86_label(g->as);
	write_blocks(g);
	write_rest(g);
	return npf_x86_finish(g->as, image);
}
