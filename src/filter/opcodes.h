/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The encodings of classic BPF. An opcode is the sum of a class and, depending on it, a size and a
 * mode, or an operation and the source of its second operand.
 */
#ifndef NPF_OPCODES_H
#define NPF_OPCODES_H

#include <stdint.h>

#define NPF_CLASS(code) ((code)&0x07)
#define NPF_LD          0x00
#define NPF_LDX         0x01
#define NPF_ST          0x02
#define NPF_STX         0x03
#define NPF_ALU         0x04
#define NPF_JMP         0x05
#define NPF_RET         0x06
#define NPF_MISC        0x07

/* Loads */
#define NPF_SIZE(code) ((code)&0x18)
#define NPF_W          0x00
#define NPF_H          0x08
#define NPF_B          0x10

static inline uint32_t npf_bytes_of(uint16_t code)
{
	switch (NPF_SIZE(code)) {
	case NPF_B:
		return 1;
	case NPF_H:
		return 2;
	default:
		return 4;
	}
}

#define NPF_MODE(code) ((code)&0xe0)
#define NPF_IMM        0x00
#define NPF_ABS        0x20
#define NPF_IND        0x40
#define NPF_MEM        0x60
#define NPF_LEN        0x80
#define NPF_MSH        0xa0

/* Arithmetic and jumps */
#define NPF_OP(code) ((code)&0xf0)
#define NPF_ADD      0x00
#define NPF_SUB      0x10
#define NPF_MUL      0x20
#define NPF_DIV      0x30
#define NPF_OR       0x40
#define NPF_AND      0x50
#define NPF_LSH      0x60
#define NPF_RSH      0x70
#define NPF_NEG      0x80
#define NPF_MOD      0x90
#define NPF_XOR      0xa0

#define NPF_JA   0x00
#define NPF_JEQ  0x10
#define NPF_JGT  0x20
#define NPF_JGE  0x30
#define NPF_JSET 0x40

#define NPF_SRC(code) ((code)&0x08)
#define NPF_K         0x00
#define NPF_X         0x08

/* Returns */
#define NPF_RVAL(code) ((code)&0x18)
#define NPF_A          0x10

/* Register moves */
#define NPF_TAX 0x00
#define NPF_TXA 0x80

#endif
