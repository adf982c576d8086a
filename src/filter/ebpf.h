/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eBPF back end: programs in the intermediate form as functions that the kernel verifies and
 * compiles. Two ways to the packet's bytes:
 *
 * NPF_EBPF_COPY    One call of the kernel copies what a program can look at, at most
 *                  NPF_EBPF_WINDOW bytes from the head of the packet, the stripped tag in its
 *                  place, into memory of the caller (the window). What lies behind it is loaded
 *                  one by one, by a call each.
 * NPF_EBPF_DIRECT  Where the hook allows it: pointers into the packet, with one comparison for many
 *                  loads. A packet whose bytes are not all in its linear part where they are
 *                  wanted, or whose tag was stripped, is looked at once more by COPY, which is part
 *                  of the same function.
 */
#ifndef NPF_EBPF_CODE_H
#define NPF_EBPF_CODE_H

#include "filter/ir.h"

/* The kernel's struct bpf_insn. */
struct npf_ebpf_insn {
	uint8_t code;
	uint8_t dst : 4, src : 4;
	int16_t off;
	int32_t imm;
};

/* Code under construction, memory of the caller. */
struct npf_ebpf_code {
	struct npf_ebpf_insn *insns;
	uint32_t capacity; /* entries at insns */
	uint32_t length;   /* entries used */
};

#define NPF_EBPF_WINDOW      192u /* bytes of the packet's head that the window holds at most */
#define NPF_EBPF_WINDOW_SIZE 256u /* bytes of memory that the window wants */

/* Programs that one mask can tell apart. */
#define NPF_EBPF_MAX_CLASSES 64u

enum npf_ebpf_access { NPF_EBPF_COPY, NPF_EBPF_DIRECT };

/* Bytes of working memory, aligned for uint64_t, for these programs, and instructions that their
 * code has at most. */
size_t npf_ebpf_space(const struct npf_ir *const *programs, uint32_t n);
uint32_t npf_ebpf_capacity(const struct npf_ir *const *programs, uint32_t n);

/*
 * Append a function u32 f(context, struct npf_frame *, window): same answer as npf_filter_run().
 * -ENOSPC: capacity or space is short. -E2BIG: the program is too long or too wide for eBPF: a jump
 * does not reach, or the stack is too small. Nothing is appended then.
 */
int npf_ir_to_ebpf(const struct npf_ir *program, enum npf_ebpf_access access,
		   struct npf_ebpf_code *code, void *space, size_t size);

/* Append a function u64 f(context, struct npf_frame *, window): bit i is set when program i
 * accepts. They share the window, or the pointers and the first comparison. n 1 to
 * NPF_EBPF_MAX_CLASSES. */
int npf_irs_to_ebpf(const struct npf_ir *const *programs, uint32_t n, enum npf_ebpf_access access,
		    struct npf_ebpf_code *code, void *space, size_t size);

/* ---- ebpf_place.c: where values live -------------------------------------------------------- */

#define NPF_PLACE_NONE       0u  /* computed anew at each use, or not used */
#define NPF_PLACE_SLOT       16u /* this and more: a slot of the stack; below: the register */
#define NPF_EBPF_STACK_SLOTS 24u /* 8 bytes each */

struct npf_ebpf_places {
	const struct npf_ir *ir;
	uint32_t registers; /* those that may be given, bit per register */
	bool pointers;      /* each base of loads has a pointer as well */
	uint32_t near;      /* bytes of the packet that a load reaches without a call */
	uint32_t *until;    /* position of the last use; of values, then of their pointers */
	uint8_t *place;     /* likewise */
	uint16_t *needs;    /* guards that have this value as base, stops at 2 */
};

/* Give each value, and each pointer when there are some, its place; positions are instruction
 * numbers plus block numbers. -E2BIG: too many slots. */
int npf_ebpf_place(struct npf_ebpf_places *places);

/* Can it be computed again wherever it is used, at little cost? */
bool npf_ebpf_is_cheap(const struct npf_ebpf_places *places, uint32_t value);

#endif
