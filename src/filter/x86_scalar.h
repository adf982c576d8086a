/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scalar generator, private: x86_place.c decides where values lie, x86_scalar.c writes the code.
 */
#ifndef NPF_X86_SCALAR_H
#define NPF_X86_SCALAR_H

#include "filter/x86.h"
#include "filter/x86_set.h"

#define PACKET NPF_RDI
#define WIRE   NPF_RSI
#define TABLE  NPF_R11
#define STEP   NPF_R10

struct npf_x86_value {
	int8_t reg;     /* NPF_X86_NONE: in its slot, or nowhere */
	uint8_t raw;    /* 2, 4: as in the packet, of so many bytes */
	uint8_t depth;  /* of the expression that it is part of */
	uint8_t loaded; /* of a parameter: bytes of the loads that it receives */
	bool host;      /* somebody wants its number, not only its bytes */
	bool folded;    /* computed where it is used */
	uint16_t slot;
	uint16_t hint; /* of a parameter: a value that it receives */
	uint32_t end;  /* its last use */
};

struct npf_x86_move {
	uint16_t to, from;
};

/* An edge whose moves stand apart. */
struct npf_x86_stub {
	uint32_t label;
	const struct npf_ir_edge *edge;
};

/* A run of blocks that can be computed without branches; see x86_chain.c. */
#define NPF_X86_CHAIN_BLOCKS 16u /* at most */
struct npf_x86_chain {
	uint16_t *blocks;
	uint32_t n;      /* of them, 0: no chain begins here */
	uint32_t number; /* that it returns when it does not return 0 */
};

struct npf_x86_gen {
	const struct npf_ir *ir;
	struct npf_x86_asm *as;
	struct npf_x86_value *values;
	uint32_t *labels; /* of blocks */
	bool *placed;     /* blocks */
	struct npf_x86_stub *stubs;
	uint32_t n_stubs;
	struct npf_x86_move *moves;
	struct npf_x86_set *sets; /* three of each: host order, swapped as 2 and as 4 bytes */
	void *set_work;
	uint32_t fail;        /* label: return 0 */
	int length;           /* register */
	uint16_t owner[16];   /* of registers: values, or NPF_IR_NONE */
	uint32_t allocatable; /* mask of registers */
	uint32_t *starts;     /* of values */
	uint32_t *slot_end;   /* when a slot is free again */
	uint32_t n_slots;
	struct npf_x86_chain *chains; /* of blocks */
	uint16_t *chain_blocks;       /* one behind the other */
	uint32_t n_chain_blocks;
	bool *in_chain;    /* blocks */
	uint32_t *entries; /* of blocks: edges that lead there */
	int live, hit;     /* registers of chains */
	uint16_t guarded;  /* base that the chain has checked last */
	bool wants_wire, wants_sets, wants_step, divides, indexes;
};

static inline const struct npf_ir_insn *npf_x86_insn(const struct npf_x86_gen *g, uint16_t value)
{
	return &g->ir->insns[value];
}

static inline uint32_t npf_x86_edges(const struct npf_ir_block *block)
{
	return block->end == NPF_IR_RETURN ? 0 : block->end == NPF_IR_GOTO ? 1 : 2;
}

/* The condition that an IS_* instruction gives as a value. */
static inline uint8_t npf_x86_condition(uint8_t op)
{
	return (uint8_t)(op - NPF_IR_IS_EQ + NPF_IR_IF_EQ);
}

/* Has a value a place of its own? Others are constants, unused, or computed where they are used. */
bool npf_x86_has_place(const struct npf_x86_gen *g, uint32_t value);

/* ---- x86_scalar.c ---------------------------------------------------------------------------- */

void npf_x86_do_insn(struct npf_x86_gen *g, uint16_t value);
/* Set the flags; the condition code that means true. */
enum npf_x86_cc npf_x86_compare(struct npf_x86_gen *g, uint8_t end, uint16_t a, uint16_t b,
				uint32_t imm);
/* Jump to short_of unless a packet holds imm bytes behind a base (NPF_IR_NONE: none). */
void npf_x86_need(struct npf_x86_gen *g, uint16_t base, uint32_t imm, uint32_t short_of);
/* Move what an edge brings to where its block expects it. */
void npf_x86_give_arguments(struct npf_x86_gen *g, const struct npf_ir_edge *edge);
/* Return what is in eax. */
void npf_x86_leave(struct npf_x86_gen *g);

/* ---- x86_chain.c ----------------------------------------------------------------------------- */

/* Find the chains. */
void npf_x86_plan_chains(struct npf_x86_gen *g);
/* Let values live as long as chains may ask for them. */
void npf_x86_keep_for_chains(struct npf_x86_gen *g);
/* Write the chain that begins with a block; what comes next is the ordinary way. */
void npf_x86_write_chain(struct npf_x86_gen *g, uint32_t first);

/* ---- x86_place.c ----------------------------------------------------------------------------- */

/* The position of a block's end, in the count that lives are measured in. */
uint32_t npf_x86_at_end(const struct npf_x86_gen *g, uint32_t block);
/* The largest number that is looked up for a value, in whatever order its bytes are. */
uint32_t npf_x86_bound(const struct npf_x86_gen *g, uint16_t value);
/* Decide where every value lies. false: the program reads what is not in the packet. */
bool npf_x86_place(struct npf_x86_gen *g);

#endif
