/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eBPF instructions, one by one. Appends, and goes on counting past the capacity: whoever generates
 * looks once at the end.
 */
#ifndef NPF_EBPF_EMIT_H
#define NPF_EBPF_EMIT_H

#include "filter/ebpf.h"
#include "filter/opcodes.h"

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };

/* eBPF's encodings, where they are not classic BPF's. Classes beside it: */
#define E_JMP32 0x06 /* compares the lower halves */
#define E_ALU64 0x07
/* sizes and operations */
#define E_DW          0x18
#define E_JNE         0x50
#define E_JLT         0xa0
#define E_JLE         0xb0
#define E_CALL        0x80
#define E_EXIT        0x90
#define E_MOV         0xb0
#define E_TO_BE       (0xd0 | 0x08 | NPF_ALU)
#define E_KERNEL_CALL 2 /* the source register of such a call */
#define E_LDDW        (NPF_LD | NPF_IMM | E_DW)

static inline void npf_ebpf_emit(struct npf_ebpf_code *code, struct npf_ebpf_insn insn)
{
	if (code->length < code->capacity)
		code->insns[code->length] = insn;
	code->length++;
}

static inline void npf_ebpf_k(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint32_t k)
{
	npf_ebpf_emit(code,
		      (struct npf_ebpf_insn){ .code = op | NPF_K, .dst = dst, .imm = (int32_t)k });
}

static inline void npf_ebpf_x(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint8_t src)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = op | NPF_X, .dst = dst, .src = src });
}

static inline void npf_ebpf_move_k(struct npf_ebpf_code *code, uint8_t dst, uint32_t k)
{
	npf_ebpf_k(code, NPF_ALU | E_MOV, dst, k);
}

static inline void npf_ebpf_move(struct npf_ebpf_code *code, uint8_t dst, uint8_t src)
{
	if (dst != src)
		npf_ebpf_x(code, NPF_ALU | E_MOV, dst, src);
}

static inline void npf_ebpf_move_pointer(struct npf_ebpf_code *code, uint8_t dst, uint8_t src)
{
	if (dst != src)
		npf_ebpf_x(code, E_ALU64 | E_MOV, dst, src);
}

static inline void npf_ebpf_read(struct npf_ebpf_code *code, uint8_t size, uint8_t dst,
				 uint8_t base, uint32_t at)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = NPF_LDX | NPF_MEM | size,
						    .dst = dst,
						    .src = base,
						    .off = (int16_t)at });
}

static inline void npf_ebpf_write(struct npf_ebpf_code *code, uint8_t size, uint8_t base,
				  uint32_t at, uint8_t src)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = NPF_STX | NPF_MEM | size,
						    .dst = base,
						    .src = src,
						    .off = (int16_t)at });
}

/* A function of the kernel's, by its number in the type information. */
static inline void npf_ebpf_call_kernel(struct npf_ebpf_code *code, uint32_t function)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = NPF_JMP | E_CALL,
						    .src = E_KERNEL_CALL,
						    .imm = (int32_t)function });
}

static inline void npf_ebpf_exit(struct npf_ebpf_code *code)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = NPF_JMP | E_EXIT });
}

#endif
