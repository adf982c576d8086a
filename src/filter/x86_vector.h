/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vector generator, private. x86_gather.c plans which words are fetched from the packets,
 * x86_heads.c fetches those of the heads, x86_lanes.c knows the other instructions of both widths,
 * x86_stages.c lets groups overlap, x86_vector.c walks the program.
 *
 *	rax  packets done      r8 r9 r10 r11  arrays: packets, lengths, wire lengths, verdicts
 *	ecx  packets in all    rdi            addresses of the group's packets, or of their copies
 *	rdx rsi  scratch       stack          what found no register
 */
#ifndef NPF_X86_VECTOR_H
#define NPF_X86_VECTOR_H

#include "filter/x86.h"
#include "filter/x86_set.h"

/* Vector registers that are spoken for. */
enum {
	V_RESULT,
	V_LENGTH, /* bytes held */
	V_LOW,    /* addresses of the packets of the lower lanes, of the upper lanes */
	V_HIGH,
	V_T0, /* scratch */
	V_T1,
	V_T2,
	V_T3,      /* scratch of the walk, not of the lanes' operations */
	V_CURRENT, /* AVX2: mask of the lanes that are in this block; AVX-512 has it in k1 */
	V_EDGE,    /* AVX2: of the lanes that take an edge; k7 */
	V_FREE_256,
	V_FREE_512 = V_FREE_256,
};

/*
 * The frame: copies of the heads of short packets, the packets' addresses with those of the copies,
 * registers that belong to the caller, a mask that is kept, and slots. Each on a whole vector.
 */
#define NPF_X86_ADDRESSES_AT (16 * (int32_t)NPF_X86_HEAD)
#define NPF_X86_CALLERS_AT   (NPF_X86_ADDRESSES_AT + 128)
#define NPF_X86_MASK_AT      (NPF_X86_CALLERS_AT + 64)
#define NPF_X86_SLOTS_AT     (NPF_X86_MASK_AT + 64)

#define NPF_X86_MASKS 4u /* k2 to k5 keep the masks of blocks to come */

/*
 * The heads of the packets: so many bytes of each are looked at in pieces of 16, which come with a
 * plain load from each packet, in the block or not, and are turned so that each word of 32 bits
 * has its packets in their lanes. A packet that is shorter than that is copied, and zeros follow.
 */
#define NPF_X86_HEAD  64u
#define NPF_X86_PIECE 16u
#define NPF_X86_WORDS 24u /* at most */
#define NPF_X86_USUAL 20u /* bytes of an IPv4 header: heads hold what follows those */

/* A word of the heads, for all loads that lie in it. */
struct npf_x86_word {
	uint8_t at;
	int8_t reg; /* NPF_X86_NONE: in a slot */
	uint16_t slot;
	uint32_t end; /* last load that reads from it */
};

/* Up to four words, which come together; in words[] they stand together. */
struct npf_x86_piece {
	uint8_t at;
	uint8_t first, n;     /* words */
	uint16_t block;       /* where they are fetched */
	uint32_t copy, ready; /* labels: copy what is short; all can be read */
	uint32_t bail;        /* label: give up, in this piece's stage */
};

/* A word of 32 bits that is fetched from every packet in the block, for all loads that lie in it:
 * behind a base, or far away. */
struct npf_x86_gather {
	uint16_t base;  /* value, or NPF_IR_NONE */
	uint16_t block; /* where it is fetched */
	int32_t at;     /* offset; negative only with a base */
	uint32_t end;   /* last load that reads from it */
	bool fetched;
	int8_t reg; /* NPF_X86_NONE: in a slot */
	uint16_t slot;
};

struct npf_x86_lane_value {
	uint32_t end; /* last use, 0: none */
	bool placed;
	int8_t reg; /* NPF_X86_NONE: in a slot */
	uint16_t slot;
	uint16_t gather; /* of a load that comes from no head */
	uint8_t word;    /* of a load from the heads, or NPF_X86_NO_WORD */
};
#define NPF_X86_NO_WORD 0xFFu

/* Blocks that are left out when no lane is in the first of them. */
struct npf_x86_skip {
	uint32_t label;
	uint32_t end; /* the block behind them */
};
#define NPF_X86_SKIPS 16u /* at a time, one within another */

/* A vector that look-ups want of every group, and that has a register of its own throughout. */
struct npf_x86_kept {
	uint32_t label;
	int32_t at;
	bool one; /* a constant; AVX-512: of which memory holds one lane */
	int8_t reg;
};
#define NPF_X86_KEPT 12u

/* Where the mask of a block to come is kept. */
struct npf_x86_pending {
	bool begun; /* some edge has brought lanes */
	int8_t k;   /* AVX-512; NPF_X86_NONE: in a slot */
	uint16_t slot;
};

struct npf_x86_lanes {
	const struct npf_ir *ir;
	struct npf_x86_asm *as;
	bool wide; /* AVX-512 */
	struct npf_x86_lane_value *values;
	struct npf_x86_pending *pending; /* of blocks */
	uint32_t *known;                 /* of blocks: bytes that all packets in it hold */
	uint16_t *dominator;             /* of blocks */
	uint16_t *before, *size; /* of blocks, in the tree of dominators: number, descendants */
	uint16_t *block_of;      /* of instructions */
	uint16_t *fetches;       /* of blocks: words that they fetch */
	struct npf_x86_gather *gathers;
	uint32_t n_gathers;
	struct npf_x86_word words[NPF_X86_WORDS];
	struct npf_x86_piece pieces[NPF_X86_WORDS];
	uint32_t n_words, n_pieces;
	bool wants_packets; /* addresses of the packets, in vectors */
	struct npf_x86_set *sets;
	void *set_work;
	uint32_t shuffles[4][5]; /* labels of controls, by offset in the word and size; 0 none */
	uint32_t again, bail;    /* labels: next group, give up at this group */
	uint32_t frame_at;       /* where the frame's size stands in the code */
	uint32_t n_slots;
	uint32_t second;      /* block at whose end the second stage begins; n_blocks: none */
	uint32_t over, first; /* labels, 0: one stage; change stages; there is no group before */
	uint32_t first_bail;  /* label: the first stage gives up at this group */
	uint32_t n_exchanged; /* slots for what a stage leaves to the other */
	bool answered;        /* a lane may have its verdict already */
	struct npf_x86_kept kept[NPF_X86_KEPT];
	uint32_t n_kept;
	uint32_t keep; /* label: fetch what is kept, then to `again` */
	struct npf_x86_skip skips[NPF_X86_SKIPS];
	uint32_t n_skips;
	uint32_t owner[32]; /* until when a vector register is taken */
	uint32_t used;      /* vector registers that something was ever in */
	uint32_t k_taken;   /* mask of k registers */
};

static inline uint32_t npf_x86_lane_bytes(const struct npf_x86_lanes *g)
{
	return g->wide ? 64 : 32;
}

/* ---- x86_gather.c --------------------------------------------------------------------------- */

/* false: some load is none for vectors. */
bool npf_x86_plan(struct npf_x86_lanes *g);
/* Do all ways to block b lead through block a? */
bool npf_x86_dominates(const struct npf_x86_lanes *g, uint32_t a, uint32_t b);

/* ---- x86_stages.c --------------------------------------------------------------------------- */

/* The block at whose end the second stage would begin; n_blocks: none. */
uint32_t npf_x86_stages_plan(const struct npf_x86_lanes *g);
/* The second stage begins here, at the end (position) of a block, if what it wants is not too much. */
void npf_x86_stages_change(struct npf_x86_lanes *g, uint32_t b, uint32_t at);

/* ---- x86_lanes.c ---------------------------------------------------------------------------- */

enum npf_x86_mask { NPF_X86_CURRENT, NPF_X86_EDGE };

void npf_x86_lanes_enter(struct npf_x86_lanes *g);
void npf_x86_lanes_begin(struct npf_x86_lanes *g); /* a group */
void npf_x86_lanes_leave(struct npf_x86_lanes *g);
/* A vector (in a register, NPF_X86_NONE: in a slot), the current mask, or the mask of a block to come
 * changes places with a new slot. */
void npf_x86_lanes_exchange(struct npf_x86_lanes *g, int reg, uint32_t slot);
void npf_x86_lanes_exchange_current(struct npf_x86_lanes *g);
void npf_x86_lanes_exchange_mask(struct npf_x86_lanes *g, const struct npf_x86_pending *pending);
/* To the group before, for its second stage; to `first` when there is none. */
void npf_x86_lanes_go_back(struct npf_x86_lanes *g);

/* to = a op b; b may be a memory operand. */
void npf_x86_lanes_op(struct npf_x86_lanes *g, uint32_t op, int to, int a, struct npf_x86_operand b);
void npf_x86_lanes_op_imm(struct npf_x86_lanes *g, uint32_t op, int to, int a, uint32_t imm);
void npf_x86_lanes_shift(struct npf_x86_lanes *g, bool left, int to, int a, uint32_t distance);
void npf_x86_lanes_move(struct npf_x86_lanes *g, int to, struct npf_x86_operand from);
void npf_x86_lanes_store(struct npf_x86_lanes *g, struct npf_x86_operand to, int from);
void npf_x86_lanes_set(struct npf_x86_lanes *g, int to, uint32_t imm);

/* to = from, of the lanes of the mask. */
void npf_x86_lanes_blend(struct npf_x86_lanes *g, enum npf_x86_mask mask, int to,
			 struct npf_x86_operand from);
void npf_x86_lanes_blend_imm(struct npf_x86_lanes *g, enum npf_x86_mask mask, int to, uint32_t imm);

/* The edge's mask = lanes of the current one for which the comparison (an end of a block, not
 * IF_IN) holds. */
void npf_x86_lanes_compare(struct npf_x86_lanes *g, uint8_t end, int a, struct npf_x86_operand b);
void npf_x86_lanes_compare_imm(struct npf_x86_lanes *g, uint8_t end, int a, uint32_t imm);
void npf_x86_lanes_look_up(struct npf_x86_lanes *g, const struct npf_x86_set *set, int a);
/* The edge's mask = current lanes that it had not. */
void npf_x86_lanes_others(struct npf_x86_lanes *g);
/* current = the edge's mask; the edge's mask = current. */
void npf_x86_lanes_narrow(struct npf_x86_lanes *g);
void npf_x86_lanes_widen(struct npf_x86_lanes *g);
/* to = 1 where the edge's mask is set, 0 elsewhere. */
void npf_x86_lanes_truth(struct npf_x86_lanes *g, int to);
/* Jump when no lane of the mask is left; when any is. */
void npf_x86_lanes_jump_none(struct npf_x86_lanes *g, enum npf_x86_mask mask, uint32_t label);
void npf_x86_lanes_jump_any(struct npf_x86_lanes *g, enum npf_x86_mask mask, uint32_t label);
/* The edge's mask = all lanes whose packets hold less than that; jump when there are any. */
void npf_x86_lanes_jump_short(struct npf_x86_lanes *g, uint32_t bytes, uint32_t label);
/* Masks of blocks to come. */
void npf_x86_lanes_clear(struct npf_x86_lanes *g, const struct npf_x86_pending *pending);
void npf_x86_lanes_add(struct npf_x86_lanes *g, const struct npf_x86_pending *pending, bool first);
void npf_x86_lanes_take(struct npf_x86_lanes *g, const struct npf_x86_pending *pending);

/* Words at the packets' + base (register, NPF_X86_NONE: none) + at, of current lanes. Not T0, T3. */
void npf_x86_lanes_gather(struct npf_x86_lanes *g, int to, int base, int32_t at);
/* The current mask is kept; is what it was. Once at a time. */
void npf_x86_lanes_keep_mask(struct npf_x86_lanes *g);
void npf_x86_lanes_restore_mask(struct npf_x86_lanes *g);
/* The number of size bytes that begins at byte `from` of the words. */
void npf_x86_lanes_extract(struct npf_x86_lanes *g, int to, struct npf_x86_operand word,
			   uint32_t from, uint32_t size);
/* Where slot number n lies. */
struct npf_x86_operand npf_x86_lanes_slot(const struct npf_x86_lanes *g, uint32_t n);

/* Operations of npf_x86_lanes_op(). */
#define NPF_V_SHUFFLE (NPF_X86_66 | NPF_X86_0F38 | 0x00u) /* bytes, of each 16 */
#define NPF_V_ADD     (NPF_X86_66 | NPF_X86_0F | 0xFEu)
#define NPF_V_SUB     (NPF_X86_66 | NPF_X86_0F | 0xFAu)
#define NPF_V_MUL     (NPF_X86_66 | NPF_X86_0F38 | 0x40u)
#define NPF_V_AND     (NPF_X86_66 | NPF_X86_0F | 0xDBu)
#define NPF_V_OR      (NPF_X86_66 | NPF_X86_0F | 0xEBu)
#define NPF_V_XOR     (NPF_X86_66 | NPF_X86_0F | 0xEFu)
#define NPF_V_SLLV    (NPF_X86_66 | NPF_X86_0F38 | 0x47u)
#define NPF_V_SRLV    (NPF_X86_66 | NPF_X86_0F38 | 0x45u)

/* ---- x86_heads.c ---------------------------------------------------------------------------- */

/* Fetch the words of a piece, which have places, at its block's begin. */
void npf_x86_heads_fetch(struct npf_x86_lanes *g, struct npf_x86_piece *piece);
/* What all pieces do about short packets, behind the function's end. */
void npf_x86_heads_copy(struct npf_x86_lanes *g);

#endif
