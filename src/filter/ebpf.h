/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eBPF back end: programs in the intermediate form as functions that the kernel verifies and
 * compiles. Ways to the packet's bytes:
 *
 * NPF_EBPF_COPY    One call of the kernel copies what a program can look at, at most
 *                  NPF_EBPF_WINDOW bytes from the head of the packet, the stripped tag in its
 *                  place, into memory of the caller (the window). What lies behind it is loaded
 *                  one by one, by a call each.
 * NPF_EBPF_DIRECT  Where the hook allows it: pointers into the packet, with one comparison for many
 *                  loads. A packet whose bytes are not all in its linear part where they are
 *                  wanted, or whose tag was stripped, is looked at once more by COPY, which is part
 *                  of the same function.
 * NPF_EBPF_PEEK    Where the hook gives no pointers, but the kernel shows its own structures (6.2
 *                  and later, to who may read them): the packet's linear part is the window, and
 *                  nothing is copied. A packet whose bytes are not all in its linear part where they
 *                  are wanted, or whose tag was stripped, goes to COPY as above.
 * NPF_EBPF_GLANCE  DIRECT without COPY, for programs that can be joined: what it cannot judge has all bits.
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

/* What PEEK has to know of the kernel that will run the code: numbers of its type information, and
 * offsets in bytes. */
struct npf_ebpf_peek {
	uint32_t cast_context; /* function: from a program's context to the kernel's struct sk_buff */
	uint32_t cast_memory; /* function: from a number to memory that may be read */
	uint32_t bytes;       /* a structure with an array of at least NPF_EBPF_WINDOW bytes */
	uint32_t bytes_at;    /* where in it */
	uint32_t length_at, beyond_at, data_at; /* of struct sk_buff: len, data_len, data */
};

/* Code under construction, memory of the caller. */
struct npf_ebpf_code {
	struct npf_ebpf_insn *insns;
	uint32_t capacity;                /* entries at insns */
	uint32_t length;                  /* entries used */
	const struct npf_ebpf_peek *peek; /* for NPF_EBPF_PEEK */

	/* Tables of large sets: what shall be in the one value of a map, and that map's descriptor.
	 * Capacity 0: large sets are searched in code. */
	uint8_t *tables;
	uint32_t tables_capacity, tables_length;
	int32_t tables_map;
};

/* Entries of a set that are searched in code: more are a table. */
#define NPF_EBPF_SEARCHED 8u

#define NPF_EBPF_WINDOW      192u /* bytes of the packet's head that the window holds at most */
#define NPF_EBPF_WINDOW_SIZE 256u /* bytes of memory that the window wants */

/* Programs that one mask can tell apart. */
#define NPF_EBPF_MAX_CLASSES 64u

enum npf_ebpf_access { NPF_EBPF_COPY, NPF_EBPF_DIRECT, NPF_EBPF_PEEK, NPF_EBPF_GLANCE };

/* Bytes of working memory, aligned for uint64_t, for these programs, and instructions that their
 * code has at most. */
size_t npf_ebpf_space(const struct npf_ir *const *programs, uint32_t n);
uint32_t npf_ebpf_capacity(const struct npf_ir *const *programs, uint32_t n);
/* And bytes that the tables of their large sets take at most. */
uint32_t npf_ebpf_tables(const struct npf_ir *const *programs, uint32_t n);

/*
 * Append a function u32 f(context, struct npf_frame *, window): same answer as npf_filter_run().
 * -ENOSPC: capacity or space is short. -EINVAL: PEEK without its numbers. -E2BIG: the program is too
 * long or too wide for eBPF: a jump does not reach, or the stack is too small. Nothing is appended
 * then.
 */
int npf_ir_to_ebpf(const struct npf_ir *program, enum npf_ebpf_access access,
		   struct npf_ebpf_code *code, void *space, size_t size);

/* Append a function u64 f(context, struct npf_frame *, window): bit i is set when program i
 * accepts. They share the window, or the pointers and the first comparison. n 1 to
 * NPF_EBPF_MAX_CLASSES. joined: one program more stands behind them (count it for space and capacity),
 * the first NPF_IR_MOST_JOINED of them joined, in the dialect of all; then by DIRECT and PEEK they
 * share all that they have in common. -E2BIG: also when it cannot be had so. */
int npf_irs_to_ebpf(const struct npf_ir *const *programs, uint32_t n, bool joined,
		    enum npf_ebpf_access access, struct npf_ebpf_code *code, void *space,
		    size_t size);

/* ---- ebpf_place.c: where values live -------------------------------------------------------- */

#define NPF_PLACE_NONE       0u  /* computed anew at each use, or not used */
#define NPF_PLACE_SLOT       16u /* this and more: a slot of the stack; below: the register */
#define NPF_EBPF_STACK_SLOTS 24u /* 8 bytes each */

struct npf_ebpf_places {
	const struct npf_ir *ir;
	uint32_t registers; /* those that may be given, bit per register */
	uint32_t fragile;   /* of these, those that calls destroy */
	bool pointers;      /* each base of loads has a pointer as well */
	uint32_t near; /* bytes of the packet that loads reach so cheaply that they may be repeated */
	uint32_t *until;   /* position of the last use; of values, then of their pointers */
	uint8_t *place;    /* likewise */
	uint16_t *needs;   /* guards that have this value as base, stops at 2 */
	uint16_t *calls;   /* of each position: calls up to and with it */
	const bool *masks; /* values that have no place here; NULL: none */
};

/* Give each value, and each pointer when there are some, its place; positions are instruction
 * numbers plus block numbers. -E2BIG: too many slots. */
int npf_ebpf_place(struct npf_ebpf_places *places);

/* Can it be computed again wherever it is used, at little cost? */
bool npf_ebpf_is_cheap(const struct npf_ebpf_places *places, uint32_t value);

#endif
