/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one intermediate form between classic BPF and every back end.
 *
 * A program is a list of blocks in an order in which every edge leads forward; block 0 is entered
 * first and has no parameters. A block holds instructions and ends in a return, a jump or a branch.
 * An instruction is the value it computes: its number in insns[] is the value's name, written
 * once (A, X and M[] are gone). Where ways join that bring different values, the block has
 * parameters and each edge brings one argument for each. All values have 32 bits, unsigned;
 * arithmetic wraps.
 *
 * What a back end may rely on (npf_ir_verify() checks it):
 *
 *  - Every use of a value is dominated by the value. Unreachable blocks do not exist. Both edges
 *    of a branch may lead to one block, then with different arguments.
 *  - The only ways to leave a program early are NEED and NONZERO: they make the whole program
 *    return 0 and compute nothing (nobody uses their value).
 *  - A LOAD never leaves the packet: on every way to it stands a NEED of the same base (the same
 *    value, or none) with imm >= offset + size. Likewise a NONZERO of the divisor before DIV and
 *    MOD by a value, and a constant divisor is not 0. A back end checks nothing at these.
 *  - A constant second operand stands in imm with b == NPF_IR_NONE. Constant shift distances are
 *    below 32. Distances that are values may be larger and then give 0.
 *  - Passes may move a load up to its NEED, not above; nothing else has an effect, so order inside
 *    a block is free apart from NEED before LOAD and NONZERO before DIV and MOD.
 *  - The packet is seen as on the wire (NPF_DIALECT_WIRE): a stripped tag is in its place and
 *    CAPLEN counts it. A frame with a stripped tag holds at least 12 bytes.
 *  - IS_* instructions exist only when NPF_PASS_FLATTEN was asked for.
 *  - After npf_ir_build() and after npf_ir_optimise(): no NOP; the parameters of a block are its
 *    first instructions, in the order of the arguments; the blocks' instructions follow each
 *    other in insns[] in the order of the blocks; uses is right.
 *
 * Numbers, not pointers; all arrays lie in one piece of memory that the caller gives.
 */
#ifndef NPF_IR_H
#define NPF_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/frame.h"
#include "npf/bpf.h"

#define NPF_IR_NONE 0xFFFFu /* no value, no base, no block */

enum npf_ir_op {
	NPF_IR_NOP,
	NPF_IR_PARAM, /* of the block, one argument on each edge */
	NPF_IR_CONST, /* imm */
	NPF_IR_LOAD,  /* size (1, 2, 4) bytes of the packet, big-endian, at a + imm; a NONE: at imm.
			 * The sum has up to 33 bits; NEED has shown that it lies in the packet */
	NPF_IR_CAPLEN,  /* bytes that loads can reach */
	NPF_IR_WIRELEN, /* bytes on the wire */
	NPF_IR_FIELD,   /* size (2, 4) bytes of struct npf_frame at imm, host order */
	NPF_IR_NEG,     /* 0 - a */
	/* a with b, or with imm when b is NONE */
	NPF_IR_ADD,
	NPF_IR_SUB,
	NPF_IR_MUL,
	NPF_IR_DIV,
	NPF_IR_MOD,
	NPF_IR_AND,
	NPF_IR_OR,
	NPF_IR_XOR,
	NPF_IR_LSH,
	NPF_IR_RSH,
	/* 1 or 0: the conditions of enum npf_ir_end as values */
	NPF_IR_IS_EQ,
	NPF_IR_IS_GT,
	NPF_IR_IS_GE,
	NPF_IR_IS_SET,
	NPF_IR_IS_IN, /* a in set number imm */
	/* guards */
	NPF_IR_NEED,    /* return 0 unless a + imm <= CAPLEN in 64 bits; a NONE: imm <= CAPLEN */
	NPF_IR_NONZERO, /* return 0 if a is 0 */
	NPF_IR_N_OPS
};

struct npf_ir_insn {
	uint8_t op;
	uint8_t size; /* LOAD, FIELD: bytes */
	uint16_t a;   /* values */
	uint16_t b;
	uint16_t uses; /* by instructions, ends of blocks and arguments; stops at 0xFFFF */
	uint32_t imm;
};

/* How a block ends. Conditions are unsigned. */
enum npf_ir_end {
	NPF_IR_RETURN, /* a, or imm when a is NONE */
	NPF_IR_GOTO,   /* edges[0] */
	/* edges[0] when true, edges[1] when not; a with b, or with imm when b is NONE */
	NPF_IR_IF_EQ,
	NPF_IR_IF_GT,
	NPF_IR_IF_GE,
	NPF_IR_IF_SET, /* a & b not 0 */
	NPF_IR_IF_IN,  /* a in set number imm */
	NPF_IR_N_ENDS
};

enum npf_ir_likely { NPF_IR_UNKNOWN, NPF_IR_LIKELY_TRUE, NPF_IR_LIKELY_FALSE };

struct npf_ir_edge {
	uint16_t block;  /* larger than the block it leaves */
	uint16_t unused; /* 0 */
	uint32_t args;   /* the first of as many entries in args[] as that block has parameters */
};

struct npf_ir_block {
	uint16_t first; /* its instructions: first to first + count - 1, parameters first */
	uint16_t count;
	uint16_t params;
	uint8_t end;    /* enum npf_ir_end */
	uint8_t likely; /* enum npf_ir_likely, of a branch */
	uint16_t a;
	uint16_t b;
	uint32_t imm;
	struct npf_ir_edge edges[2];
};

/* A set: n ranges, ascending, disjoint and not adjacent; or n keys, ascending, no two equal. */
struct npf_ir_set {
	uint32_t first;  /* in keys[]: keys, or pairs of the first and the last of a range */
	uint32_t n;      /* keys or ranges, at least 1 */
	bool is_range;   /* false: keys */
	uint8_t n_bytes; /* 1, 2, 4: what the largest number in it takes */
};

struct npf_ir {
	enum npf_dialect dialect;
	bool joined; /* by npf_ir_join() */
	uint32_t n_insns;
	uint32_t n_blocks;
	uint32_t n_args;
	uint32_t n_sets;
	uint32_t n_keys;
	struct npf_ir_insn *insns;
	struct npf_ir_block *blocks;
	uint16_t *args; /* values */
	struct npf_ir_set *sets;
	uint32_t *keys;

	/* Capacities. */
	uint32_t max_insns;
	uint32_t max_blocks;
	uint32_t max_args;
	uint32_t max_sets;
	uint32_t max_keys;

	/* Where a pass writes while it reads the arrays above; then they change places. */
	struct npf_ir_insn *spare_insns;
	struct npf_ir_block *spare_blocks;
	uint16_t *spare_args;
	uint8_t *work; /* what passes and back ends note on the way */
	size_t work_size;
};

/* Passes, in the order in which they run. */
#define NPF_PASS_FOLD    0x001u /* constant folding and algebra */
#define NPF_PASS_NUMBER  0x002u /* equal values and loads are computed once */
#define NPF_PASS_THREAD  0x004u /* conditions known on a way choose it: predicates, jump threading */
#define NPF_PASS_SETS    0x008u /* chains of comparisons become sets */
#define NPF_PASS_HEADER  0x010u /* a copy for IPv4 headers without options */
#define NPF_PASS_MERGE   0x020u /* equal tails become one, with parameters */
#define NPF_PASS_CHECKS  0x040u /* one bounds check for many loads */
#define NPF_PASS_DEAD    0x080u /* what nobody uses goes away */
#define NPF_PASS_FLATTEN 0x100u /* small branches become IS_* values: only where they are wanted */
#define NPF_PASS_HOIST   0x200u /* of CHECKS: the first check asks for what all ways need later */
#define NPF_N_PASSES     10u
#define NPF_PASS_DEFAULT 0x2EFu /* for the kernel: NPF_PASS_HEADER beside it */

/* What a pass changed: instructions, blocks or edges. Of run passes only. */
struct npf_ir_report {
	uint32_t changed[NPF_N_PASSES];
};

/* The name of pass number i (bit i), for people; NULL behind the last. */
const char *npf_ir_pass_name(uint32_t i);

/* Bytes of memory, aligned for uint64_t, that a program of n instructions takes at most. It need
 * not be cleared. Most of it is never touched. */
size_t npf_ir_space(uint32_t n);

/*
 * Translate a valid program, unoptimised. ir refers to space until it is no longer wanted.
 * -ENOSPC: space is smaller than npf_ir_space() says. -E2BIG: more values than 16 bits can name,
 * possible only for programs that no compiler writes; they are left to the interpreter.
 */
int npf_ir_build(struct npf_ir *ir, const struct npf_program *program, void *space, size_t size);

/*
 * Up to NPF_IR_MOST_JOINED valid programs as one form, which shares what they have in common and is
 * to be optimised further: it returns NPF_IR_JOINED, and bit i set where programs[i] accepts (one
 * that is NULL never does). Or it returns 0, of some packets that are cut short: then each program
 * is to be asked. All programs must be without NPF_IR_FIELD, or see the packet in one dialect's way:
 * the form is one of NPF_DIALECT_WIRE for packets without a stripped tag. ir refers to space until it
 * is no longer wanted. As npf_ir_build(); -E2BIG: also when they are too long together.
 */
#define NPF_IR_JOINED      0x80000000u
#define NPF_IR_MOST_JOINED 31u
size_t npf_ir_join_space(const struct npf_program *const *programs, uint32_t n);
int npf_ir_join(struct npf_ir *ir, const struct npf_program *const *programs, uint32_t n,
		void *space, size_t size);

/* Run the passes of the mask, in place. report may be NULL. A pass that lacks room does less; the
 * form stays valid and the answers the same. */
void npf_ir_optimise(struct npf_ir *ir, uint32_t passes, struct npf_ir_report *report);

/* NULL, or what rule of the list above is broken (a constant sentence). where: the block. work:
 * as for npf_ir_run(). For tests. */
const char *npf_ir_verify(const struct npf_ir *ir, uint32_t *where, void *work);

/* Bytes of working memory for the two functions below. */
size_t npf_ir_run_space(const struct npf_ir *ir);

/* Interpret: the oracle of the passes, not fast. As npf_filter_run(), work from the caller. */
uint32_t npf_ir_run(const struct npf_ir *ir, struct npf_frame *frame, const uint8_t *data,
		    void *work);

/* The largest number that value can be, as far as its operation tells; 0xFFFFFFFF: anything. */
uint32_t npf_ir_bound(const struct npf_ir *ir, uint16_t value);

/* The form as a listing, and as a graph for the dot program; cut to size, at most 200 bytes for each
 * instruction, block and set. */
void npf_ir_to_text(const struct npf_ir *ir, char *buffer, size_t size);
void npf_ir_to_dot(const struct npf_ir *ir, char *buffer, size_t size);

/*
 * An equivalent program of classic BPF, for plain socket attachment; best from the passes
 * NPF_PASS_CBPF. length: of insns, then of the program. Uses ir's work. -ENOSPC: it does not fit
 * (the length, 4096 instructions, or 16 scratch words as Linux follows them); -EOPNOTSUPP: the form
 * has operations that classic BPF has not. Then the program it was made from is to be taken.
 */
#define NPF_PASS_CBPF ((NPF_PASS_DEFAULT | NPF_PASS_HEADER) & ~NPF_PASS_HOIST)
int npf_ir_to_cbpf(const struct npf_ir *ir, struct npf_insn *insns, uint32_t *length);

/*
 * The form as C text with one function
 *	uint32_t NAME(const uint8_t *packet, uint32_t wire_length, uint32_t length,
 *		      const uint8_t *frame);
 * packet: as on the wire, length bytes of it; frame: a struct npf_frame, which only programs of
 * NPF_DIALECT_LINUX look at. Cut to size; npf_ir_c_space() is enough.
 */
size_t npf_ir_c_space(const struct npf_ir *ir);
void npf_ir_to_c(const struct npf_ir *ir, const char *name, char *buffer, size_t size);

/* Is key in set number set? */
bool npf_ir_set_has(const struct npf_ir *ir, uint32_t set, uint32_t key);

#endif
