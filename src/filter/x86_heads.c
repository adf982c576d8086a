/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The heads of the packets. 16 bytes are loaded from every packet of a group, four packets into
 * each vector of four pieces, and four such vectors are turned into four words with one packet in
 * each lane: packets j, j + 4, j + 8, ... come into vector j, so that the words end up in order.
 *
 * These loads do not ask who is in the block, so words are there before any condition is known.
 * Nothing outside a packet is touched nevertheless: for a packet that ends before the piece does,
 * and is in the block, the bytes that it has are copied into the frame, zeros behind them; one that
 * is not in the block is not looked at, and any address serves that can be read.
 */
#include <string.h>

#include "filter/x86_vector.h"

#define WORD    4u
#define POINTER 8
#define ROWS    4u /* vectors that a piece of all packets takes */
#define K_BLOCK 1  /* the current mask; the edge's is free here */
#define K_SHORT 7
#define K_UPPER 6

#define MOV64_LOAD      (NPF_X86_W | 0x8Bu)
#define MOV64_STORE     (NPF_X86_W | 0x89u)
#define MOV_LOAD        0x8Bu
#define MOV_STORE       0x89u
#define LEA             0x8Du
#define LEA64           (NPF_X86_W | 0x8Du)
#define TZCNT           (NPF_X86_F3 | NPF_X86_0F | 0xBCu)
#define BZHI            (NPF_X86_0F38 | NPF_X86_W | 0xF5u)
#define VMOVDQU         (NPF_X86_F3 | NPF_X86_0F | 0x6Fu)
#define VMOVDQU8        (NPF_X86_F2 | NPF_X86_0F | 0x6Fu)
#define VPMASKMOVD      (NPF_X86_66 | NPF_X86_0F38 | 0x8Cu)
#define VPBROADCASTQ    (NPF_X86_66 | NPF_X86_0F38 | 0x59u)
#define VPBROADCASTQ_IN (NPF_X86_66 | NPF_X86_0F38 | NPF_X86_W | 0x7Cu) /* a general register */
#define VPMOVSXDQ       (NPF_X86_66 | NPF_X86_0F38 | 0x25u)
#define VPBLENDVB       (NPF_X86_66 | NPF_X86_0F3A | 0x4Cu)
#define VEXTRACT128     (NPF_X86_66 | NPF_X86_0F3A | 0x39u)
#define KANDW           (NPF_X86_0F | NPF_X86_L256 | 0x41u)
#define KSHIFTRW        (NPF_X86_66 | NPF_X86_0F3A | NPF_X86_W | 0x30u)
#define VMOVMSKPS       (NPF_X86_0F | 0x50u)
#define KMOVW_OUT       (NPF_X86_0F | 0x93u)
#define KMOVQ_IN        (NPF_X86_F2 | NPF_X86_0F | NPF_X86_W | 0x92u)
#define VINSERT128      (NPF_X86_66 | NPF_X86_0F3A | 0x38u)
#define UNPACK_LOW      (NPF_X86_66 | NPF_X86_0F | 0x62u) /* words of the lower half by turns */
#define UNPACK_HIGH     (NPF_X86_66 | NPF_X86_0F | 0x6Au)
#define PAIRS_LOW       (NPF_X86_66 | NPF_X86_0F | NPF_X86_W | 0x6Cu) /* pairs of words */
#define PAIRS_HIGH      (NPF_X86_66 | NPF_X86_0F | NPF_X86_W | 0x6Du)

/* The caller's, used while heads are copied. */
static const int callers[] = { NPF_RBX, NPF_R12, NPF_R13, NPF_R14 };
#define LENGTH NPF_RBX
#define PACKET NPF_R12
#define MASK   NPF_R13
#define COPY   NPF_R14

/* ---- short packets --------------------------------------------------------------------------- */

static uint32_t n_lanes(const struct npf_x86_lanes *g)
{
	return npf_x86_lane_bytes(g) / WORD;
}

static void exchange_callers(struct npf_x86_lanes *g, uint32_t op)
{
	for (uint32_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++)
		npf_x86_op(g->as, op, callers[i],
			   npf_x86_at(NPF_RSP, NPF_X86_CALLERS_AT + POINTER * (int32_t)i));
}

/* One vector of addresses, with the frame's own for lanes that are short. */
static void redirect_wide(struct npf_x86_lanes *g, bool upper)
{
	int mask = K_SHORT;

	if (upper) {
		mask = K_UPPER;
		npf_x86_vex(g->as, KSHIFTRW, mask, NPF_X86_NONE, npf_x86_reg(K_SHORT), 8);
	}
	npf_x86_evex(g->as, VPBROADCASTQ_IN | NPF_X86_L512, V_T1, NPF_X86_NONE,
		     npf_x86_reg(NPF_RSP), mask, false, -1);
}

static void redirect_narrow(struct npf_x86_lanes *g, bool upper)
{
	struct npf_x86_operand frame = npf_x86_at(NPF_RSP, NPF_X86_CALLERS_AT);
	int half = V_EDGE;

	if (upper) {
		half = V_T2;
		npf_x86_vex(g->as, VEXTRACT128 | NPF_X86_L256, V_EDGE, NPF_X86_NONE,
			    npf_x86_reg(half), 1);
	}
	npf_x86_lanes_op(g, VPMOVSXDQ, V_T2, NPF_X86_NONE, npf_x86_reg(half));
	npf_x86_op(g->as, MOV64_STORE, NPF_RSP, frame);
	npf_x86_lanes_op(g, VPBROADCASTQ, V_T3, NPF_X86_NONE, frame);
	npf_x86_vex(g->as, VPBLENDVB | NPF_X86_L256, V_T1, V_T1, npf_x86_reg(V_T3), V_T2 << 4);
}

/* A table of addresses that can all be read. */
static void redirect(struct npf_x86_lanes *g)
{
	int32_t half = (int32_t)npf_x86_lane_bytes(g);

	for (int32_t i = 0; i < 2; i++) {
		npf_x86_lanes_move(g, V_T1, npf_x86_at(NPF_RDI, i * half));
		if (g->wide)
			redirect_wide(g, i);
		else
			redirect_narrow(g, i);
		npf_x86_lanes_store(g, npf_x86_at(NPF_RSP, NPF_X86_ADDRESSES_AT + i * half), V_T1);
	}
	npf_x86_op(g->as, LEA64, NPF_RDI, npf_x86_at(NPF_RSP, NPF_X86_ADDRESSES_AT));
}

/* esi = the short lanes that are in the block. */
static void find_short(struct npf_x86_lanes *g)
{
	if (g->wide) {
		npf_x86_vex(g->as, KANDW, K_SHORT, K_SHORT, npf_x86_reg(K_BLOCK), -1);
		npf_x86_vex(g->as, KMOVW_OUT, NPF_RSI, NPF_X86_NONE, npf_x86_reg(K_SHORT), -1);
	} else {
		npf_x86_lanes_op(g, NPF_V_AND, V_EDGE, V_EDGE, npf_x86_reg(V_CURRENT));
		npf_x86_vex(g->as, VMOVMSKPS | NPF_X86_L256, NPF_RSI, NPF_X86_NONE,
			    npf_x86_reg(V_EDGE), -1);
	}
}

/* Bytes under a mask: what is masked out is not touched. */
static void copy_wide(struct npf_x86_lanes *g)
{
	npf_x86_op_imm(g->as, NPF_X86_W | 0x83, 1, npf_x86_reg(MASK), 0xFF, 1); /* or: all ones */
	npf_x86_vex(g->as, BZHI, MASK, LENGTH, npf_x86_reg(MASK), -1);
	npf_x86_vex(g->as, KMOVQ_IN, K_SHORT, NPF_X86_NONE, npf_x86_reg(MASK), -1);
	npf_x86_evex(g->as, VMOVDQU8 | NPF_X86_L512, V_T1, NPF_X86_NONE, npf_x86_at(PACKET, 0),
		     K_SHORT, true, -1);
	npf_x86_lanes_store(g, npf_x86_at(COPY, 0), V_T1);
}

/* Ones for as many words as the head has at most, and as many zeros. */
static uint32_t add_ones(struct npf_x86_lanes *g)
{
	uint32_t label;
	uint8_t *ones = npf_x86_add_data(g->as, 2 * NPF_X86_HEAD, NPF_X86_HEAD, &label);

	if (ones)
		memset(ones, 0xFF, NPF_X86_HEAD);
	return label;
}

/* Whole words under a mask, and then the last four bytes, of which some are there already. */
static void copy_narrow(struct npf_x86_lanes *g, uint32_t ones)
{
	npf_x86_op(g->as, MOV_LOAD, NPF_RDX, npf_x86_reg(LENGTH));
	npf_x86_op_imm(g->as, 0x83, 4, npf_x86_reg(NPF_RDX), 0xFC, 1); /* and */
	npf_x86_op(g->as, LEA64, MASK, npf_x86_data(ones, NPF_X86_HEAD));
	npf_x86_op(g->as, NPF_X86_W | 0x2B, MASK, npf_x86_reg(NPF_RDX)); /* sub */
	for (int32_t at = 0; at < (int32_t)NPF_X86_HEAD; at += 32) {
		npf_x86_lanes_move(g, V_T1, npf_x86_at(MASK, at));
		npf_x86_lanes_op(g, VPMASKMOVD, V_T1, V_T1, npf_x86_at(PACKET, at));
		npf_x86_lanes_store(g, npf_x86_at(COPY, at), V_T1);
	}
	npf_x86_op(g->as, MOV_LOAD, NPF_RDX, npf_x86_indexed(PACKET, LENGTH, 0, -(int32_t)WORD));
	npf_x86_op(g->as, MOV_STORE, NPF_RDX, npf_x86_indexed(COPY, LENGTH, 0, -(int32_t)WORD));
}

/* The copy of lane edx, and its address in the table. */
static void copy_one(struct npf_x86_lanes *g, uint32_t ones)
{
	npf_x86_op(g->as, LEA64, PACKET, npf_x86_indexed(NPF_RAX, NPF_RDX, 0, 0));
	npf_x86_op(g->as, MOV_LOAD, LENGTH, npf_x86_indexed(NPF_R9, PACKET, 2, 0));
	npf_x86_op(g->as, MOV64_LOAD, PACKET, npf_x86_indexed(NPF_R8, PACKET, 3, 0));
	npf_x86_op(g->as, MOV_LOAD, COPY, npf_x86_reg(NPF_RDX));
	npf_x86_op_imm(g->as, 0xC1, 4, npf_x86_reg(COPY), 6, 1); /* shl: by the head's size */
	npf_x86_op(g->as, LEA64, COPY, npf_x86_indexed(NPF_RSP, COPY, 0, 0));
	npf_x86_op(g->as, MOV64_STORE, COPY, npf_x86_indexed(NPF_RDI, NPF_RDX, 3, 0));
	if (g->wide)
		copy_wide(g);
	else
		copy_narrow(g, ones);
}

/* AVX2 copies whole words: who has none is not for us. */
static void refuse_shortest(struct npf_x86_lanes *g, uint32_t bail)
{
	npf_x86_lanes_set(g, V_T0, WORD);
	npf_x86_lanes_compare(g, NPF_IR_IF_GT, V_T0, npf_x86_reg(V_LENGTH));
	npf_x86_lanes_jump_any(g, NPF_X86_EDGE, bail);
}

static void write_copies(struct npf_x86_lanes *g, const struct npf_x86_piece *piece, uint32_t ones)
{
	uint32_t next = npf_x86_label(g->as);

	npf_x86_bind(g->as, piece->copy);
	redirect(g);
	find_short(g);
	npf_x86_op(g->as, 0x85, NPF_RSI, npf_x86_reg(NPF_RSI)); /* test */
	npf_x86_jump_if(g->as, NPF_CC_E, piece->ready);
	if (!g->wide)
		refuse_shortest(g, piece->bail);
	exchange_callers(g, MOV64_STORE);
	npf_x86_bind(g->as, next);
	npf_x86_op(g->as, TZCNT, NPF_RDX, npf_x86_reg(NPF_RSI));
	copy_one(g, ones);
	npf_x86_op(g->as, LEA, NPF_RDX, npf_x86_at(NPF_RSI, -1));
	npf_x86_op(g->as, 0x23, NPF_RSI, npf_x86_reg(NPF_RDX)); /* and: without the lowest bit */
	npf_x86_jump_if(g->as, NPF_CC_NE, next);
	exchange_callers(g, MOV64_LOAD);
	npf_x86_jump(g->as, piece->ready);
}

void npf_x86_heads_copy(struct npf_x86_lanes *g)
{
	uint32_t ones = g->wide || !g->n_pieces ? 0 : add_ones(g);

	for (uint32_t i = 0; i < g->n_pieces; i++)
		write_copies(g, &g->pieces[i], ones);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void load_row(struct npf_x86_lanes *g, uint32_t row, int to, int32_t at)
{
	for (uint32_t i = row; i < n_lanes(g); i += ROWS) {
		struct npf_x86_operand from = npf_x86_at(NPF_RDX, at);
		uint32_t place = i / ROWS;

		npf_x86_op(g->as, MOV64_LOAD, NPF_RDX, npf_x86_at(NPF_RDI, POINTER * (int32_t)i));
		if (!place)
			npf_x86_vex(g->as, VMOVDQU, to, NPF_X86_NONE, from, -1);
		else if (g->wide)
			npf_x86_evex(g->as, VINSERT128 | NPF_X86_L512, to, to, from, 0, false,
				     (int)place);
		else
			npf_x86_vex(g->as, VINSERT128 | NPF_X86_L256, to, to, from, (int)place);
	}
}

/* Do the words lie on places that turning rows gives? */
static bool is_even(const struct npf_x86_lanes *g, const struct npf_x86_piece *piece)
{
	for (uint32_t i = 0; i < piece->n; i++) {
		if ((g->words[piece->first + i].at - piece->at) % WORD)
			return false;
	}
	return true;
}

/* The control that brings the words of a piece to the front, one behind the other. */
static uint32_t front_control(struct npf_x86_lanes *g, const struct npf_x86_piece *piece)
{
	uint32_t label, n = npf_x86_lane_bytes(g);
	uint8_t *control = npf_x86_add_data(g->as, n, n, &label);

	for (uint32_t i = 0; control && i < n; i++) {
		uint32_t word = i % NPF_X86_PIECE / WORD;

		control[i] = 0x80;
		if (word < piece->n)
			control[i] =
				(uint8_t)(g->words[piece->first + word].at - piece->at + i % WORD);
	}
	return label;
}

/* The word at each of the four places of a piece, or NULL. */
struct places {
	const struct npf_x86_word *word[NPF_X86_PIECE / WORD];
};

static void find_places(const struct npf_x86_lanes *g, const struct npf_x86_piece *piece, bool even,
			struct places *places)
{
	*places = (struct places){ { NULL } };
	for (uint32_t i = 0; i < piece->n; i++) {
		const struct npf_x86_word *word = &g->words[piece->first + i];

		places->word[even ? (word->at - piece->at) / WORD : i] = word;
	}
}

static void take_pairs(struct npf_x86_lanes *g, const struct npf_x86_word *word, uint32_t op,
		       int first, int second)
{
	int to;

	if (!word)
		return;
	to = word->reg == NPF_X86_NONE ? V_T3 : word->reg;
	npf_x86_lanes_op(g, op, to, first, npf_x86_reg(second));
	if (word->reg == NPF_X86_NONE)
		npf_x86_lanes_store(g, npf_x86_lanes_slot(g, word->slot), to);
}

/* Rows in the scratch registers become words. */
static void turn(struct npf_x86_lanes *g, const struct places *places)
{
	bool low = places->word[0] || places->word[1], high = places->word[2] || places->word[3];

	if (high)
		npf_x86_lanes_op(g, UNPACK_HIGH, V_EDGE, V_T0, npf_x86_reg(V_T1));
	if (low)
		npf_x86_lanes_op(g, UNPACK_LOW, V_T0, V_T0, npf_x86_reg(V_T1));
	if (high)
		npf_x86_lanes_op(g, UNPACK_HIGH, V_T1, V_T2, npf_x86_reg(V_T3));
	if (low)
		npf_x86_lanes_op(g, UNPACK_LOW, V_T2, V_T2, npf_x86_reg(V_T3));
	take_pairs(g, places->word[0], PAIRS_LOW, V_T0, V_T2);
	take_pairs(g, places->word[1], PAIRS_HIGH, V_T0, V_T2);
	take_pairs(g, places->word[2], PAIRS_LOW, V_EDGE, V_T1);
	take_pairs(g, places->word[3], PAIRS_HIGH, V_EDGE, V_T1);
}

void npf_x86_heads_fetch(struct npf_x86_lanes *g, struct npf_x86_piece *piece)
{
	static const int rows[ROWS] = { V_T0, V_T1, V_T2, V_T3 };
	bool even = is_even(g, piece);
	struct places places;

	piece->copy = npf_x86_label(g->as);
	piece->ready = npf_x86_label(g->as);
	piece->bail = g->bail;
	npf_x86_op(g->as, LEA64, NPF_RDI, npf_x86_indexed(NPF_R8, NPF_RAX, 3, 0));
	npf_x86_lanes_jump_short(g, piece->at + NPF_X86_PIECE, piece->copy);
	npf_x86_bind(g->as, piece->ready);
	for (uint32_t row = 0; row < ROWS; row++)
		load_row(g, row, rows[row], piece->at);
	if (!even) {
		uint32_t control = front_control(g, piece);

		for (uint32_t row = 0; row < ROWS; row++)
			npf_x86_lanes_op(g, NPF_V_SHUFFLE, rows[row], rows[row],
					 npf_x86_data(control, 0));
	}
	find_places(g, piece, even, &places);
	turn(g, &places);
}
