/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What filter programs must answer: one table for every engine. A test hands in its engine and gets
 * the number of wrong answers, each told on stderr. Expected values are written out, or come from
 * the packet laid out as on the wire; none is computed by the code under test.
 */
#ifndef FILTER_CASES_H
#define FILTER_CASES_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "filter/filter.h"
#include "filter/opcodes.h"

struct filter_engine {
	/* As npf_filter_run(). */
	uint32_t (*run)(void *arg, const struct npf_program *program, const struct npf_frame *frame,
			const uint8_t *data);
	void *arg;
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline bool filter_case_check(const struct filter_engine *engine, const char *name,
				     const struct npf_program *program,
				     const struct npf_frame *frame, const uint8_t *data,
				     uint32_t expected)
{
	uint32_t got = engine->run(engine->arg, program, frame, data);

	if (got != expected)
		fprintf(stderr, "%s: 0x%x instead of 0x%x\n", name, got, expected);
	return got == expected;
}

/* ---- arithmetic: A op operand, the operand once as K and once in X --------------------------- */

struct filter_alu_case {
	uint8_t op;
	uint32_t a, operand, result;
};

static const struct filter_alu_case filter_alu_cases[] = {
	{ NPF_ADD, 0, 0, 0 },
	{ NPF_ADD, 1, 2, 3 },
	{ NPF_ADD, 0xFFFFFFFF, 1, 0 },
	{ NPF_ADD, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE },
	{ NPF_ADD, 0x80000000, 0x80000000, 0 },
	{ NPF_ADD, 0x7FFFFFFF, 1, 0x80000000 },
	{ NPF_SUB, 3, 2, 1 },
	{ NPF_SUB, 0, 1, 0xFFFFFFFF },
	{ NPF_SUB, 0x80000000, 1, 0x7FFFFFFF },
	{ NPF_SUB, 1, 0xFFFFFFFF, 2 },
	{ NPF_SUB, 0, 0x80000000, 0x80000000 },
	{ NPF_MUL, 7, 6, 42 },
	{ NPF_MUL, 0x80000000, 2, 0 },
	{ NPF_MUL, 0xFFFFFFFF, 0xFFFFFFFF, 1 },
	{ NPF_MUL, 0x12345678, 0, 0 },
	{ NPF_MUL, 0xFFFFFFFF, 3, 0xFFFFFFFD },
	{ NPF_MUL, 0x10001, 0x10001, 0x20001 },
	{ NPF_DIV, 42, 7, 6 },
	{ NPF_DIV, 41, 7, 5 },
	{ NPF_DIV, 6, 7, 0 },
	{ NPF_DIV, 0xFFFFFFFF, 1, 0xFFFFFFFF },
	{ NPF_DIV, 0xFFFFFFFF, 0xFFFFFFFF, 1 },
	{ NPF_DIV, 0x80000000, 0xFFFFFFFF, 0 },
	{ NPF_DIV, 0xFFFFFFFF, 0x80000000, 1 },
	{ NPF_DIV, 0xFFFFFFFE, 2, 0x7FFFFFFF },
	{ NPF_MOD, 42, 7, 0 },
	{ NPF_MOD, 41, 7, 6 },
	{ NPF_MOD, 6, 7, 6 },
	{ NPF_MOD, 0xFFFFFFFF, 1, 0 },
	{ NPF_MOD, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF },
	{ NPF_MOD, 0x80000000, 0xFFFFFFFF, 0x80000000 },
	{ NPF_MOD, 0xFFFFFFFF, 10, 5 },
	{ NPF_AND, 0xF0F0F0F0, 0xFF00FF00, 0xF000F000 },
	{ NPF_AND, 0xFFFFFFFF, 0x80000000, 0x80000000 },
	{ NPF_AND, 0xFFFFFFFF, 0, 0 },
	{ NPF_OR, 0xF0F0F0F0, 0x0F000000, 0xFFF0F0F0 },
	{ NPF_OR, 1, 0x80000000, 0x80000001 },
	{ NPF_OR, 0, 0xFFFFFFFF, 0xFFFFFFFF },
	{ NPF_XOR, 0xFFFFFFFF, 0xFFFFFFFF, 0 },
	{ NPF_XOR, 0x12345678, 0xFFFFFFFF, 0xEDCBA987 },
	{ NPF_XOR, 0x80000000, 1, 0x80000001 },
	{ NPF_LSH, 1, 0, 1 },
	{ NPF_LSH, 1, 31, 0x80000000 },
	{ NPF_LSH, 0xFFFFFFFF, 1, 0xFFFFFFFE },
	{ NPF_LSH, 0xFFFFFFFF, 32, 0 },
	{ NPF_LSH, 1, 33, 0 },
	{ NPF_LSH, 1, 64, 0 },
	{ NPF_LSH, 1, 0x80000001, 0 },
	{ NPF_LSH, 1, 0xFFFFFFFF, 0 },
	{ NPF_RSH, 0x80000000, 0, 0x80000000 },
	{ NPF_RSH, 0x80000000, 31, 1 },
	{ NPF_RSH, 0xFFFFFFFF, 1, 0x7FFFFFFF },
	{ NPF_RSH, 0xFFFFFFFF, 32, 0 },
	{ NPF_RSH, 0xFFFFFFFF, 33, 0 },
	{ NPF_RSH, 0xFFFFFFFF, 0x100, 0 },
	{ NPF_RSH, 0xFFFFFFFF, 0xFFFFFFFF, 0 },
};

static inline bool filter_alu_check(const struct filter_engine *engine,
				    const struct filter_alu_case *c, uint16_t src)
{
	const struct npf_insn insns[] = {
		{ NPF_LD | NPF_IMM, 0, 0, c->a },
		{ NPF_LDX | NPF_IMM, 0, 0, src == NPF_X ? c->operand : 0x55555555 },
		{ NPF_ALU | c->op | src, 0, 0, src == NPF_X ? 0x33333333 : c->operand },
		{ NPF_RET | NPF_A, 0, 0, 0 },
	};
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	const struct npf_frame frame = { 0 };
	char name[64];

	snprintf(name, sizeof(name), "alu 0x%02x%s 0x%x, 0x%x", c->op, src ? " X" : " K", c->a,
		 c->operand);
	return filter_case_check(engine, name, &program, &frame, (const uint8_t *)"", c->result);
}

/* ---- branches ------------------------------------------------------------------------------ */

struct filter_jump_case {
	uint8_t op;
	uint32_t a, operand;
	bool taken;
};

static const struct filter_jump_case filter_jump_cases[] = {
	{ NPF_JEQ, 0, 0, true },
	{ NPF_JEQ, 0, 1, false },
	{ NPF_JEQ, 0xFFFFFFFF, 0xFFFFFFFF, true },
	{ NPF_JEQ, 0x80000000, 0x80000000, true },
	{ NPF_JEQ, 0x7FFFFFFF, 0xFFFFFFFF, false },
	{ NPF_JGT, 0, 0, false },
	{ NPF_JGT, 1, 0, true },
	{ NPF_JGT, 0x80000000, 0x7FFFFFFF, true },
	{ NPF_JGT, 0x7FFFFFFF, 0x80000000, false },
	{ NPF_JGT, 0xFFFFFFFF, 0, true },
	{ NPF_JGT, 0, 0xFFFFFFFF, false },
	{ NPF_JGT, 0xFFFFFFFF, 0xFFFFFFFF, false },
	{ NPF_JGE, 0, 0, true },
	{ NPF_JGE, 0, 1, false },
	{ NPF_JGE, 0x80000000, 0x7FFFFFFF, true },
	{ NPF_JGE, 0x7FFFFFFF, 0x80000000, false },
	{ NPF_JGE, 0xFFFFFFFF, 0xFFFFFFFF, true },
	{ NPF_JGE, 0xFFFFFFFE, 0xFFFFFFFF, false },
	{ NPF_JSET, 0, 0, false },
	{ NPF_JSET, 0xFFFFFFFF, 0, false },
	{ NPF_JSET, 0x80000000, 0x80000000, true },
	{ NPF_JSET, 0x80000001, 0x7FFFFFFE, false },
	{ NPF_JSET, 3, 6, true },
};

/* Where the two ways lead: behind each other, in both orders, and to the same place. */
static const struct {
	uint8_t jt, jf;
	uint32_t yes, no;
} filter_jump_ways[] = {
	{ 0, 1, 10, 11 }, { 1, 0, 11, 10 }, { 2, 1, 12, 11 }, { 1, 2, 11, 12 }, { 1, 1, 11, 11 },
};

static inline bool filter_jump_check(const struct filter_engine *engine,
				     const struct filter_jump_case *c, uint16_t src, unsigned int w)
{
	const struct npf_insn insns[] = {
		{ NPF_LD | NPF_IMM, 0, 0, c->a },
		{ NPF_LDX | NPF_IMM, 0, 0, src == NPF_X ? c->operand : 0x55555555 },
		{ NPF_JMP | c->op | src, filter_jump_ways[w].jt, filter_jump_ways[w].jf,
		  src == NPF_X ? 0x33333333 : c->operand },
		{ NPF_RET | NPF_K, 0, 0, 10 },
		{ NPF_RET | NPF_K, 0, 0, 11 },
		{ NPF_RET | NPF_K, 0, 0, 12 },
	};
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	const struct npf_frame frame = { 0 };
	char name[64];

	snprintf(name, sizeof(name), "jump 0x%02x%s 0x%x, 0x%x, way %u", c->op, src ? " X" : " K",
		 c->a, c->operand, w);
	return filter_case_check(engine, name, &program, &frame, (const uint8_t *)"",
				 c->taken ? filter_jump_ways[w].yes : filter_jump_ways[w].no);
}

/* ---- everything else ----------------------------------------------------------------------- */

/* Byte i of the packet is i; 64 bytes are held, 100 were on the wire. */
#define FILTER_CASE_HELD 64
#define FILTER_CASE_WIRE 100

struct filter_case {
	const char *name;
	uint32_t expected;
	enum npf_dialect dialect;
	struct npf_insn insns[11]; /* up to the last that is not all zero */
};

/* clang-format off */
#define LOAD(mode, size, k) { NPF_LD | NPF_##mode | NPF_##size, 0, 0, k }
#define SET_A(k)            { NPF_LD | NPF_IMM, 0, 0, k }
#define SET_X(k)            { NPF_LDX | NPF_IMM, 0, 0, k }
#define RETURN(k)           { NPF_RET | NPF_K, 0, 0, k }
#define RETURN_A            { NPF_RET | NPF_A, 0, 0, 0 }

static const struct filter_case filter_cases[] = {
	{ "ret k", 0x80000001, 0, { RETURN(0x80000001) } },
	{ "ret all", 0xFFFFFFFF, 0, { RETURN(0xFFFFFFFF) } },
	{ "ret a, never set", 0, 0, { RETURN_A } },
	{ "x, never set", 0, 0, { SET_A(5), { NPF_MISC | NPF_TXA, 0, 0, 0 }, RETURN_A } },
	{ "ld imm", 0x89ABCDEF, 0, { SET_A(0x89ABCDEF), RETURN_A } },
	{ "ldx imm, txa", 0x89ABCDEF, 0,
	  { SET_X(0x89ABCDEF), { NPF_MISC | NPF_TXA, 0, 0, 0 }, RETURN_A } },
	{ "tax, add x", 14, 0,
	  { SET_A(7), { NPF_MISC | NPF_TAX, 0, 0, 0 }, { NPF_ALU | NPF_ADD | NPF_X, 0, 0, 0 },
	    RETURN_A } },
	{ "ld len", FILTER_CASE_WIRE, 0, { { NPF_LD | NPF_LEN, 0, 0, 0 }, RETURN_A } },
	{ "ldx len", FILTER_CASE_WIRE, 0,
	  { { NPF_LDX | NPF_LEN, 0, 0, 0 }, { NPF_MISC | NPF_TXA, 0, 0, 0 }, RETURN_A } },
	{ "ld len, linux", FILTER_CASE_HELD, NPF_DIALECT_LINUX,
	  { { NPF_LD | NPF_LEN, 0, 0, 0 }, RETURN_A } },
	{ "ldb abs", 5, 0, { LOAD(ABS, B, 5), RETURN_A } },
	{ "ldh abs, odd", 0x0506, 0, { LOAD(ABS, H, 5), RETURN_A } },
	{ "ld abs, odd", 0x05060708, 0, { LOAD(ABS, W, 5), RETURN_A } },
	{ "ldb abs, last", 63, 0, { LOAD(ABS, B, 63), RETURN_A } },
	{ "ldb abs, behind the last", 0, 0, { LOAD(ABS, B, 64), RETURN(7) } },
	{ "ldh abs, last", 0x3E3F, 0, { LOAD(ABS, H, 62), RETURN_A } },
	{ "ldh abs, across the end", 0, 0, { LOAD(ABS, H, 63), RETURN(7) } },
	{ "ld abs, last", 0x3C3D3E3F, 0, { LOAD(ABS, W, 60), RETURN_A } },
	{ "ld abs, across the end", 0, 0, { LOAD(ABS, W, 61), RETURN(7) } },
	{ "ldb abs, held less than the wire", 0, 0, { LOAD(ABS, B, 99), RETURN(7) } },
	{ "ldb abs 2^31 - 1", 0, 0, { LOAD(ABS, B, 0x7FFFFFFF), RETURN(7) } },
	{ "ldb abs 2^31", 0, 0, { LOAD(ABS, B, 0x80000000), RETURN(7) } },
	{ "ldb abs 2^32 - 1", 0, 0, { LOAD(ABS, B, 0xFFFFFFFF), RETURN(7) } },
	{ "ldh abs 2^32 - 1", 0, 0, { LOAD(ABS, H, 0xFFFFFFFF), RETURN(7) } },
	{ "ldh abs 2^32 - 2", 0, 0, { LOAD(ABS, H, 0xFFFFFFFE), RETURN(7) } },
	{ "ld abs 2^32 - 4", 0, 0, { LOAD(ABS, W, 0xFFFFFFFC), RETURN(7) } },
	{ "ld abs 2^32 - 1", 0, 0, { LOAD(ABS, W, 0xFFFFFFFF), RETURN(7) } },
	{ "ancillary number, wire", 0, 0, { LOAD(ABS, W, NPF_AD_PROTOCOL), RETURN(7) } },
	{ "ldb ind", 9, 0, { SET_X(4), LOAD(IND, B, 5), RETURN_A } },
	{ "ldh ind", 0x090A, 0, { SET_X(4), LOAD(IND, H, 5), RETURN_A } },
	{ "ld ind", 0x090A0B0C, 0, { SET_X(4), LOAD(IND, W, 5), RETURN_A } },
	{ "ldb ind, last", 63, 0, { SET_X(63), LOAD(IND, B, 0), RETURN_A } },
	{ "ldb ind, behind the last", 0, 0, { SET_X(63), LOAD(IND, B, 1), RETURN(7) } },
	{ "ldh ind, across the end", 0, 0, { SET_X(60), LOAD(IND, H, 3), RETURN(7) } },
	{ "ld ind, across the end", 0, 0, { SET_X(60), LOAD(IND, W, 1), RETURN(7) } },
	{ "ldb ind, sum is 2^32", 0, 0, { SET_X(0xFFFFFFFF), LOAD(IND, B, 1), RETURN(7) } },
	{ "ldh ind, sum is 2^32", 0, 0, { SET_X(1), LOAD(IND, H, 0xFFFFFFFF), RETURN(7) } },
	{ "ld ind, sum wraps to 4", 0, 0, { SET_X(0xFFFFFFF8), LOAD(IND, W, 12), RETURN(7) } },
	{ "ld ind, largest sum", 0, 0, { SET_X(0xFFFFFFFF), LOAD(IND, W, 0xFFFFFFFF), RETURN(7) } },
	{ "ldb ind, sum is 2^31", 0, 0,
	  { SET_X(0x40000000), LOAD(IND, B, 0x40000000), RETURN(7) } },
	{ "ldb ind, x = 2^31", 0, 0, { SET_X(0x80000000), LOAD(IND, B, 0), RETURN(7) } },
	{ "ldb abs clears a", 5, 0, { SET_A(0xFFFFFFFF), LOAD(ABS, B, 5), RETURN_A } },
	{ "msh", 0x14, 0, /* byte 0x35 */
	  { { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 0x35 }, { NPF_MISC | NPF_TXA, 0, 0, 0 },
	    RETURN_A } },
	{ "msh, last", 60, 0,
	  { { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 63 }, { NPF_MISC | NPF_TXA, 0, 0, 0 }, RETURN_A } },
	{ "msh keeps a", 9, 0, { SET_A(9), { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 0x35 }, RETURN_A } },
	{ "msh takes no index", 0x14, 0,
	  { SET_X(1), { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 0x35 }, { NPF_MISC | NPF_TXA, 0, 0, 0 },
	    RETURN_A } },
	{ "msh, behind the last", 0, 0, { { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 64 }, RETURN(7) } },
	{ "msh, far", 0, 0, { { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 0xFFFFFFFF }, RETURN(7) } },
	{ "st, ld mem 0", 5, 0,
	  { SET_A(5), { NPF_ST, 0, 0, 0 }, SET_A(6), { NPF_LD | NPF_MEM, 0, 0, 0 }, RETURN_A } },
	{ "stx, ldx mem 15", 5, 0,
	  { SET_X(5), { NPF_STX, 0, 0, 15 }, SET_X(6), { NPF_LDX | NPF_MEM, 0, 0, 15 },
	    { NPF_MISC | NPF_TXA, 0, 0, 0 }, RETURN_A } },
	{ "scratch words are apart", 5, 0,
	  { SET_A(5), { NPF_ST, 0, 0, 7 }, SET_A(6), { NPF_ST, 0, 0, 6 }, { NPF_ST, 0, 0, 8 },
	    { NPF_LD | NPF_MEM, 0, 0, 7 }, RETURN_A } },
	{ "ld mem, never written", 0, 0, { SET_A(5), { NPF_LD | NPF_MEM, 0, 0, 3 }, RETURN_A } },
	{ "ldx mem, never written", 0, 0,
	  { SET_X(5), { NPF_LDX | NPF_MEM, 0, 0, 15 }, { NPF_MISC | NPF_TXA, 0, 0, 0 },
	    RETURN_A } },
	{ "neg", 0xFFFFFFFB, 0, { SET_A(5), { NPF_ALU | NPF_NEG, 0, 0, 0 }, RETURN_A } },
	{ "neg 0", 0, 0, { SET_A(0), { NPF_ALU | NPF_NEG, 0, 0, 0 }, RETURN_A } },
	{ "neg 2^31", 0x80000000, 0,
	  { SET_A(0x80000000), { NPF_ALU | NPF_NEG, 0, 0, 0 }, RETURN_A } },
	{ "neg stays in 32 bits", 0, 0, /* an index of -1 is far outside */
	  { SET_A(1), { NPF_ALU | NPF_NEG, 0, 0, 0 }, { NPF_MISC | NPF_TAX, 0, 0, 0 },
	    LOAD(IND, B, 2), RETURN(7) } },
	{ "div x by 0", 0, 0, { SET_A(6), { NPF_ALU | NPF_DIV | NPF_X, 0, 0, 0 }, RETURN(7) } },
	{ "mod x by 0", 0, 0, { SET_A(6), { NPF_ALU | NPF_MOD | NPF_X, 0, 0, 0 }, RETURN(7) } },
	{ "ja 0", 7, 0, { { NPF_JMP | NPF_JA, 0, 0, 0 }, RETURN(7) } },
	{ "ja over the unreachable", 7, 0,
	  { { NPF_JMP | NPF_JA, 0, 0, 2 }, SET_A(1), RETURN(8), RETURN(7) } },
	{ "behind a ret", 7, 0, { RETURN(7), RETURN(8) } },
	{ "unreachable load and branch", 7, 0,
	  { { NPF_JMP | NPF_JA, 0, 0, 3 }, { NPF_JMP | NPF_JEQ | NPF_K, 0, 1, 0 },
	    { NPF_LD | NPF_MEM, 0, 0, 1 }, RETURN_A, RETURN(7) } },
	{ "two questions with a common end", 7, 0,
	  { LOAD(ABS, B, 2), { NPF_JMP | NPF_JEQ | NPF_K, 0, 2, 2 }, LOAD(ABS, B, 3),
	    { NPF_JMP | NPF_JGE | NPF_K, 2, 6, 1 }, LOAD(ABS, B, 4),
	    { NPF_JMP | NPF_JGE | NPF_K, 0, 4, 1 }, { NPF_MISC | NPF_TAX, 0, 0, 0 },
	    LOAD(ABS, B, 5), { NPF_JMP | NPF_JEQ | NPF_X, 1, 0, 0 }, RETURN(7), RETURN(0) } },
	{ "protocol", 0x86DD, NPF_DIALECT_LINUX, { LOAD(ABS, W, NPF_AD_PROTOCOL), RETURN_A } },
	{ "protocol, any size", 0x86DD, NPF_DIALECT_LINUX,
	  { LOAD(ABS, B, NPF_AD_PROTOCOL), RETURN_A } },
	{ "packet type", 3, NPF_DIALECT_LINUX, { LOAD(ABS, H, NPF_AD_PKTTYPE), RETURN_A } },
	{ "interface", 0x12345, NPF_DIALECT_LINUX, { LOAD(ABS, W, NPF_AD_IFINDEX), RETURN_A } },
	{ "hardware type", 772, NPF_DIALECT_LINUX, { LOAD(ABS, W, NPF_AD_HATYPE), RETURN_A } },
	{ "tag", 0xA123, NPF_DIALECT_LINUX, { LOAD(ABS, B, NPF_AD_VLAN_TAG), RETURN_A } },
	{ "tag present", 1, NPF_DIALECT_LINUX, { LOAD(ABS, W, NPF_AD_VLAN_PRESENT), RETURN_A } },
	{ "tag protocol", 0x88A8, NPF_DIALECT_LINUX, { LOAD(ABS, W, NPF_AD_VLAN_TPID), RETURN_A } },
	{ "bytes without the tag, linux", 0x0C0D0E0F, NPF_DIALECT_LINUX,
	  { LOAD(ABS, W, 12), RETURN_A } },
	{ "far, linux", 0, NPF_DIALECT_LINUX, { LOAD(ABS, W, 0x80000000), RETURN(7) } },
	{ "indirect is never ancillary", 0, NPF_DIALECT_LINUX,
	  { LOAD(IND, W, NPF_AD_PROTOCOL), RETURN(7) } },
};

/* clang-format on */
#undef LOAD
#undef SET_A
#undef SET_X
#undef RETURN
#undef RETURN_A

static inline bool filter_plain_check(const struct filter_engine *engine,
				      const struct filter_case *c)
{
	const struct npf_insn nothing = { 0 };
	struct npf_program program = { .dialect = c->dialect, .insns = c->insns };
	struct npf_frame frame = {
		.length = FILTER_CASE_HELD,
		.wire_length = FILTER_CASE_WIRE,
		.packet_type = NPF_TO_OTHER,
		.protocol = 0x86DD,
		.ifindex = 0x12345,
		.hatype = 772,
	};
	uint8_t data[FILTER_CASE_HELD];

	for (uint32_t i = 0; i < N_OF(c->insns); i++) {
		if (memcmp(&c->insns[i], &nothing, sizeof(nothing)))
			program.length = i + 1;
	}
	if (c->dialect == NPF_DIALECT_LINUX) {
		frame.tagged = 1;
		frame.tag_tpid = 0x88A8;
		frame.tag_tci = 0xA123;
	}
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	return filter_case_check(engine, c->name, &program, &frame, data, c->expected);
}

/* ---- a tag in its place -------------------------------------------------------------------- */

/* Load size bytes at offset from a frame whose tag is out of band; the answer is that of the
 * bytes as they were on the wire. */
static inline bool filter_tag_check(const struct filter_engine *engine, uint32_t offset,
				    uint16_t size, bool indirect, uint32_t held)
{
	static const uint8_t wire[] = {
		0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55,
		0x81, 0x00, 0xA1, 0x23, 0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	const struct npf_insn insns[] = {
		{ NPF_LDX | NPF_IMM, 0, 0, indirect ? offset : 0x7777 },
		{ NPF_LD | (indirect ? NPF_IND : NPF_ABS) | size, 0, 0, indirect ? 0 : offset },
		{ NPF_RET | NPF_A, 0, 0, 0 },
	};
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	const struct npf_frame frame = {
		.length = held,
		.wire_length = held + NPF_TAG_SIZE,
		.tagged = 1,
		.tag_tpid = 0x8100,
		.tag_tci = 0xA123,
	};
	uint32_t n = size == NPF_W ? 4 : size == NPF_H ? 2 : 1;
	uint32_t expected = 0;
	uint8_t data[sizeof(wire)] = { 0 };
	char name[64];

	memcpy(data, wire, NPF_TAG_OFFSET);
	memcpy(data + NPF_TAG_OFFSET, wire + NPF_TAG_OFFSET + NPF_TAG_SIZE,
	       sizeof(wire) - NPF_TAG_OFFSET - NPF_TAG_SIZE);
	for (uint32_t i = 0; offset + n <= held + NPF_TAG_SIZE && i < n; i++)
		expected = expected << 8 | wire[offset + i];
	snprintf(name, sizeof(name), "tag in place, %u bytes %s %u of %u", n,
		 indirect ? "ind" : "abs", offset, held + NPF_TAG_SIZE);
	return filter_case_check(engine, name, &program, &frame, data, expected);
}

static inline int filter_tag_cases_run(const struct filter_engine *engine)
{
	static const uint16_t sizes[] = { NPF_W, NPF_H, NPF_B };
	int wrong = 0;

	for (uint32_t offset = 0; offset <= 20; offset++) {
		for (uint32_t s = 0; s < N_OF(sizes); s++) {
			for (uint32_t held = NPF_TAG_OFFSET; held <= 20; held++) {
				wrong += !filter_tag_check(engine, offset, sizes[s], false, held);
				wrong += !filter_tag_check(engine, offset, sizes[s], true, held);
			}
		}
	}
	return wrong;
}

/* Everything above. The number of wrong answers. */
static inline int filter_cases_run(const struct filter_engine *engine)
{
	int wrong = 0;

	for (uint32_t i = 0; i < N_OF(filter_alu_cases); i++) {
		wrong += !filter_alu_check(engine, &filter_alu_cases[i], NPF_K);
		wrong += !filter_alu_check(engine, &filter_alu_cases[i], NPF_X);
	}
	for (uint32_t i = 0; i < N_OF(filter_jump_cases); i++) {
		for (uint32_t w = 0; w < N_OF(filter_jump_ways); w++) {
			wrong += !filter_jump_check(engine, &filter_jump_cases[i], NPF_K, w);
			wrong += !filter_jump_check(engine, &filter_jump_cases[i], NPF_X, w);
		}
	}
	for (uint32_t i = 0; i < N_OF(filter_cases); i++)
		wrong += !filter_plain_check(engine, &filter_cases[i]);
	return wrong + filter_tag_cases_run(engine);
}

#endif
