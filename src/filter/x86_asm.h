/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An assembler for x86-64: encodings, labels, data behind the code. It knows instructions, not
 * filters.
 *
 * Code is written once, every jump in its long form; npf_x86_layout() then shortens the jumps that
 * can be short, and npf_x86_write() puts code and data where they shall lie. Nothing computes a
 * distance by hand: jumps and references to data name labels. Memory is the caller's; what does not
 * fit sets `full` and is not written, so callers look once, at the end.
 */
#ifndef NPF_X86_ASM_H
#define NPF_X86_ASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum npf_x86_reg {
	NPF_RAX,
	NPF_RCX,
	NPF_RDX,
	NPF_RBX,
	NPF_RSP,
	NPF_RBP,
	NPF_RSI,
	NPF_RDI,
	NPF_R8,
	NPF_R9,
	NPF_R10,
	NPF_R11,
	NPF_R12,
	NPF_R13,
	NPF_R14,
	NPF_R15,
};

/* Condition codes of jcc, setcc and cmovcc. The lowest bit inverts. */
enum npf_x86_cc {
	NPF_CC_B = 2,
	NPF_CC_AE = 3,
	NPF_CC_E = 4,
	NPF_CC_NE = 5,
	NPF_CC_BE = 6,
	NPF_CC_A = 7,
};
#define NPF_CC_NOT(cc) ((enum npf_x86_cc)((cc) ^ 1))

/* Negative, and of no register's fourth bit. */
#define NPF_X86_NONE (-16)
#define NPF_X86_RIP  (-32) /* base: the label */

/* A register, or memory at base + index * 2^scale + disp; base NPF_X86_RIP: at label + disp. */
struct npf_x86_operand {
	int8_t reg; /* NPF_X86_NONE: memory */
	int8_t base,
		index; /* of a register: its fourth bit, and its fifth, where the encoding has them */
	uint8_t scale;
	int32_t disp;
	uint32_t label;
};

static inline struct npf_x86_operand npf_x86_reg(int reg)
{
	return (struct npf_x86_operand){ .reg = (int8_t)reg,
					 .base = (int8_t)(reg & 8),
					 .index = (int8_t)(reg >> 1 & 8) };
}

static inline struct npf_x86_operand npf_x86_at(int base, int32_t disp)
{
	return (struct npf_x86_operand){
		.reg = NPF_X86_NONE, .base = (int8_t)base, .index = NPF_X86_NONE, .disp = disp
	};
}

static inline struct npf_x86_operand npf_x86_indexed(int base, int index, uint8_t scale,
						     int32_t disp)
{
	return (struct npf_x86_operand){ .reg = NPF_X86_NONE,
					 .base = (int8_t)base,
					 .index = (int8_t)index,
					 .scale = scale,
					 .disp = disp };
}

static inline struct npf_x86_operand npf_x86_data(uint32_t label, int32_t disp)
{
	return (struct npf_x86_operand){ .reg = NPF_X86_NONE,
					 .base = NPF_X86_RIP,
					 .index = NPF_X86_NONE,
					 .disp = disp,
					 .label = label };
}

/*
 * An instruction: its opcode, and how it is encoded. Prefixes and maps have the numbers that VEX and
 * EVEX give them.
 */
#define NPF_X86_66        0x00100u
#define NPF_X86_F3        0x00200u
#define NPF_X86_F2        0x00300u
#define NPF_X86_0F        0x01000u
#define NPF_X86_0F38      0x02000u
#define NPF_X86_0F3A      0x03000u
#define NPF_X86_W         0x10000u /* 64-bit operands, or the W of VEX and EVEX */
#define NPF_X86_BYTE      0x20000u /* 8-bit operands: sil and dil want a prefix */
#define NPF_X86_L256      0x40000u
#define NPF_X86_L512      0x80000u
#define NPF_X86_BROADCAST 0x100000u /* EVEX: the operand in memory is one lane for all */

/* A place that wants the distance to a label. */
struct npf_x86_fixup {
	uint32_t at; /* of the instruction (jumps), of the displacement (data) */
	uint32_t label;
	int16_t cc;   /* of a jump; one of the two below */
	uint8_t tail; /* data: bytes between the displacement and the instruction's end */
	bool is_short;
};
#define NPF_X86_ALWAYS (-1)
#define NPF_X86_DATA   (-2)

/* A constant that has its place in the data. */
#define NPF_X86_CONSTANTS 64u
struct npf_x86_constant {
	uint32_t value, n, label;
};

#define NPF_X86_LONGEST 32u /* bytes that an instruction takes at most, and some */

/* Room for one instruction at least. */
struct npf_x86_memory {
	uint8_t *code, *data;
	struct npf_x86_fixup *fixups;
	uint32_t *labels; /* place in the code as written, or in the data */
	uint32_t *places; /* place in the code as laid out */
	uint32_t *order;  /* labels of the code as they were bound */
	uint32_t code_capacity, data_capacity, fixup_capacity, label_capacity;
};

struct npf_x86_asm {
	struct npf_x86_memory memory;
	uint32_t code_size, data_size;
	uint32_t n_fixups, n_labels, n_bound;
	uint32_t final_size; /* of the code, once it was laid out */
	uint32_t n_constants;
	bool full;
	struct npf_x86_constant constants[NPF_X86_CONSTANTS];
};

void npf_x86_init(struct npf_x86_asm *as, const struct npf_x86_memory *memory);

/* ---- instructions -------------------------------------------------------------------------- */

/* Without a prefix of vector instructions: reg is the ModRM byte's, often an opcode extension. */
void npf_x86_op(struct npf_x86_asm *as, uint32_t op, int reg, struct npf_x86_operand operand);
void npf_x86_op_imm(struct npf_x86_asm *as, uint32_t op, int reg, struct npf_x86_operand operand,
		    uint32_t imm, unsigned int imm_size);
/* add, or, and, sub, xor, cmp (the opcode extension) with an immediate of 32-bit operands. */
void npf_x86_alu_imm(struct npf_x86_asm *as, int extension, struct npf_x86_operand operand,
		     uint32_t imm);
void npf_x86_mov_imm(struct npf_x86_asm *as, int reg, uint32_t imm);
void npf_x86_bytes(struct npf_x86_asm *as, const uint8_t *bytes, uint32_t n);

/* VEX: reg, second (NPF_X86_NONE: none), operand. imm < 0: none. */
void npf_x86_vex(struct npf_x86_asm *as, uint32_t op, int reg, int second,
		 struct npf_x86_operand operand, int imm);
/* EVEX: mask 0 is none; zero: lanes that are masked out become 0. Length by the operation. With an
 * index the scale's register is a vector (gathers). imm < 0: none. */
void npf_x86_evex(struct npf_x86_asm *as, uint32_t op, int reg, int second,
		  struct npf_x86_operand operand, int mask, bool zero, int imm);

/* ---- labels -------------------------------------------------------------------------------- */

uint32_t npf_x86_label(struct npf_x86_asm *as);
void npf_x86_bind(struct npf_x86_asm *as, uint32_t label);
void npf_x86_jump(struct npf_x86_asm *as, uint32_t label);
void npf_x86_jump_if(struct npf_x86_asm *as, enum npf_x86_cc cc, uint32_t label);
/* n bytes (a power of two is the alignment) of zeroed data; where they are, NULL when full. */
uint8_t *npf_x86_add_data(struct npf_x86_asm *as, uint32_t n, uint32_t alignment, uint32_t *label);
/* The label of a 32-bit constant that stands n times in a row, shared with equal ones. */
uint32_t npf_x86_constant(struct npf_x86_asm *as, uint32_t value, uint32_t n);

/* ---- the end ------------------------------------------------------------------------------- */

#define NPF_X86_DATA_ALIGNMENT 64u

/* Shorten the jumps. Bytes of code and data together, 0: something did not fit. */
uint32_t npf_x86_layout(struct npf_x86_asm *as);
/* After it: into as many bytes. Between code and data stands int3. */
void npf_x86_write(const struct npf_x86_asm *as, uint8_t *to);

#endif
