/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the intermediate form back to classic BPF, for plain socket attachment: there, loads at
 * constant offsets are cheap, loads behind X are calls, and every load checks its own bounds.
 *
 * Each value is computed into A where it is used. What is used in several places and costs more
 * than one instruction to compute again gets a scratch word (cbpf_words.c); packet loads, constants
 * and 4 * (byte & 15) are simply loaded again. Where words are too few, more is computed again. A
 * block's only parameter is handed over in A, several parameters in scratch words.
 *
 * Jumps are written with labels. A conditional jump that proves to be too far for its 8 bits gets
 * an unconditional one directly behind it, until all reach.
 */
#include <errno.h>
#include <string.h>

#include "filter/ancillary.h"
#include "filter/cbpf.h"
#include "filter/filter.h"
#include "filter/opcodes.h"
#include "filter/optimise.h"

#define NONE      NPF_IR_NONE
#define NO_LABEL  0xFFFFu
#define MAX_DEPTH 64u /* of expressions */
#define MAX_FAR   255u

/* An instruction whose jumps lead to labels. */
struct draft {
	struct npf_insn insn;
	uint16_t yes; /* labels, or NO_LABEL */
	uint16_t no;
	uint16_t at;     /* its place in the program */
	uint8_t far_yes; /* takes an unconditional jump behind it */
	uint8_t far_no;
};

struct emitter {
	const struct npf_ir *ir;
	struct draft *drafts;
	uint32_t n;
	uint32_t capacity;
	uint16_t *written; /* each draft: scratch words that Linux knows to be written before it */
	uint16_t *labels;  /* each block, then others: the draft that follows */
	uint32_t n_labels;
	uint32_t max_labels;
	struct npf_cbpf_words words;
	uint16_t *a_before; /* each block: the value in A on all ways there, NONE */
	uint16_t *x_before;
	bool *seen;          /* each block: a way there has been written */
	uint32_t block;      /* being written */
	uint8_t n_temporary; /* scratch words in use from the top */
	uint16_t a;          /* the values in A and X, NONE */
	uint16_t x;
	uint16_t reject; /* label, or NO_LABEL */
	uint32_t depth;
	int err;
};

static void want_a(struct emitter *e, uint16_t value);

/* ---- drafts --------------------------------------------------------------------------------- */

static void fail(struct emitter *e, int err)
{
	if (!e->err)
		e->err = err;
}

static void emit_jump(struct emitter *e, uint16_t code, uint32_t k, uint16_t yes, uint16_t no)
{
	if (e->n == e->capacity) {
		fail(e, -ENOSPC);
		return;
	}
	e->drafts[e->n++] = (struct draft){
		.insn = { .code = code, .k = k },
		.yes = yes,
		.no = no,
	};
}

static void emit(struct emitter *e, uint16_t code, uint32_t k)
{
	emit_jump(e, code, k, NO_LABEL, NO_LABEL);
}

static uint16_t new_label(struct emitter *e)
{
	if (e->n_labels == e->max_labels) {
		fail(e, -ENOSPC);
		return 0;
	}
	return (uint16_t)e->n_labels++;
}

static void put_label(struct emitter *e, uint16_t label)
{
	e->labels[label] = (uint16_t)e->n;
}

/* ---- what values are ------------------------------------------------------------------------ */

static const struct npf_ir_insn *insn_of(const struct emitter *e, uint16_t value)
{
	return &e->ir->insns[value];
}

static bool is_length(uint8_t op)
{
	return op == NPF_IR_CAPLEN || op == NPF_IR_WIRELEN;
}

static uint8_t word_of(const struct emitter *e, uint16_t value)
{
	return e->words.words[value];
}

static bool has_word(const struct emitter *e, uint16_t value)
{
	return word_of(e, value) != NPF_CBPF_NO_WORD;
}

/* Can X load it, whatever A and X hold now, and A stays? */
static bool loads_into_x(const struct emitter *e, uint16_t value)
{
	uint8_t op = insn_of(e, value)->op;
	uint32_t k;

	return has_word(e, value) || op == NPF_IR_CONST || is_length(op) ||
	       npf_cbpf_is_msh(e->ir, value, &k);
}

/* Can X take it without A? */
static bool fits_x(const struct emitter *e, uint16_t value)
{
	return e->x == value || loads_into_x(e, value);
}

/* Can A take it, whatever it holds now, without X being written? */
static bool spares_x(const struct emitter *e, uint16_t value)
{
	const struct npf_ir_insn *insn = insn_of(e, value);

	for (uint32_t i = 0; i < MAX_DEPTH; i++) {
		if (has_word(e, value) || npf_cbpf_is_load(e->ir, value))
			return true;
		if (insn->op < NPF_IR_NEG || insn->b != NONE)
			return false;
		value = insn->a;
		insn = insn_of(e, value);
	}
	return false;
}

/* ---- values into A and X -------------------------------------------------------------------- */

static uint16_t size_code(uint8_t size)
{
	return size == 1 ? NPF_B : size == 2 ? NPF_H : NPF_W;
}

/* The packet's bytes at a constant offset. Linux takes the largest for something else, or refuses
 * the program for them; here they are places that no packet has. */
static void load_bytes(struct emitter *e, uint16_t size, uint32_t k)
{
	if (k >= NPF_LINUX_SPECIAL_OFFSET)
		emit(e, NPF_RET | NPF_K, 0);
	else
		emit(e, NPF_LD | NPF_ABS | size, k);
}

static void load_field(struct emitter *e, const struct npf_ir_insn *insn)
{
	uint32_t k = npf_ancillary_at(insn->imm);

	if (!k)
		fail(e, -EOPNOTSUPP);
	emit(e, NPF_LD | NPF_ABS | NPF_W, k);
}

static void load_length(struct emitter *e, uint16_t class, uint8_t op)
{
	bool counts_data = e->ir->dialect == NPF_DIALECT_LINUX;

	if ((op == NPF_IR_CAPLEN) != counts_data)
		fail(e, -EOPNOTSUPP);
	emit(e, class | NPF_LEN, 0);
}

/* Into X, A stays. */
static void load_x(struct emitter *e, uint16_t value)
{
	const struct npf_ir_insn *insn = insn_of(e, value);
	uint32_t k;

	if (e->x == value)
		return;
	if (has_word(e, value))
		emit(e, NPF_LDX | NPF_MEM, word_of(e, value));
	else if (insn->op == NPF_IR_CONST)
		emit(e, NPF_LDX | NPF_IMM, insn->imm);
	else if (is_length(insn->op))
		load_length(e, NPF_LDX, insn->op);
	else if (npf_cbpf_is_msh(e->ir, value, &k))
		emit(e, NPF_LDX | NPF_MSH | NPF_B, k);
	e->x = value;
}

static void want_x(struct emitter *e, uint16_t value)
{
	if (fits_x(e, value)) {
		load_x(e, value);
		return;
	}
	want_a(e, value);
	emit(e, NPF_MISC | NPF_TAX, 0);
	e->x = value;
}

static uint16_t op_code(uint8_t op)
{
	static const uint8_t codes[] = { NPF_ADD, NPF_SUB, NPF_MUL, NPF_DIV, NPF_MOD,
					 NPF_AND, NPF_OR,  NPF_XOR, NPF_LSH, NPF_RSH };

	return NPF_ALU | codes[op - NPF_IR_ADD];
}

/* Hold A in a scratch word while something else is computed. */
static uint8_t hold_a(struct emitter *e)
{
	uint8_t word = NPF_MEM_WORDS - 1u - e->n_temporary++;

	if (e->n_temporary > NPF_MEM_WORDS || word < e->words.tops[e->block])
		fail(e, -ENOSPC);
	emit(e, NPF_ST, word);
	return word;
}

/* The first into A, the second into X; or the other way round, where that means the same. */
static void want_both(struct emitter *e, uint16_t first, uint16_t second, bool commutes)
{
	uint8_t word;

	if (loads_into_x(e, second) || (e->x == second && (e->a == first || spares_x(e, first)))) {
		want_a(e, first);
		load_x(e, second);
	} else if (commutes && loads_into_x(e, first)) {
		want_a(e, second);
		load_x(e, first);
	} else if (spares_x(e, first)) {
		want_x(e, second);
		want_a(e, first);
	} else if (commutes && spares_x(e, second)) {
		want_x(e, first);
		want_a(e, second);
	} else if (e->a == second || e->x == second) {
		want_a(e, second);
		word = hold_a(e);
		want_a(e, first);
		emit(e, NPF_LDX | NPF_MEM, word);
		e->x = second;
		e->n_temporary--;
	} else {
		want_a(e, first);
		word = hold_a(e);
		want_x(e, second);
		emit(e, NPF_LD | NPF_MEM, word);
		e->a = first;
		e->n_temporary--;
	}
}

static bool is_commutative(uint8_t op)
{
	return op == NPF_IR_ADD || op == NPF_IR_MUL || op == NPF_IR_AND || op == NPF_IR_OR ||
	       op == NPF_IR_XOR;
}

static void calculate(struct emitter *e, const struct npf_ir_insn *insn)
{
	if (insn->op == NPF_IR_NEG) {
		want_a(e, insn->a);
		emit(e, NPF_ALU | NPF_NEG, 0);
	} else if (insn->b == NONE) {
		want_a(e, insn->a);
		emit(e, op_code(insn->op) | NPF_K, insn->imm);
	} else {
		want_both(e, insn->a, insn->b, is_commutative(insn->op));
		emit(e, op_code(insn->op) | NPF_X, 0);
	}
}

static void compute(struct emitter *e, const struct npf_ir_insn *insn)
{
	switch (insn->op) {
	case NPF_IR_CONST:
		emit(e, NPF_LD | NPF_IMM, insn->imm);
		break;
	case NPF_IR_LOAD:
		if (insn->a == NONE) {
			load_bytes(e, size_code(insn->size), insn->imm);
			break;
		}
		want_x(e, insn->a);
		emit(e, NPF_LD | NPF_IND | size_code(insn->size), insn->imm);
		break;
	case NPF_IR_CAPLEN:
	case NPF_IR_WIRELEN:
		load_length(e, NPF_LD, insn->op);
		break;
	case NPF_IR_FIELD:
		load_field(e, insn);
		break;
	case NPF_IR_PARAM:
		/* A has been needed for something else. */
		fail(e, -EAGAIN);
		break;
	default:
		if (insn->op >= NPF_IR_NEG && insn->op <= NPF_IR_RSH)
			calculate(e, insn);
		else
			fail(e, -EOPNOTSUPP);
		break;
	}
}

static void want_a(struct emitter *e, uint16_t value)
{
	if (e->a == value || e->err)
		return;
	if (++e->depth > MAX_DEPTH)
		fail(e, -ENOSPC);
	else if (has_word(e, value))
		emit(e, NPF_LD | NPF_MEM, word_of(e, value));
	else if (e->x == value)
		emit(e, NPF_MISC | NPF_TXA, 0);
	else
		compute(e, insn_of(e, value));
	e->depth--;
	e->a = value;
}

/* ---- instructions --------------------------------------------------------------------------- */

/* The load in this block that checks just what NEED number i asks for, NONE: there is none. */
static uint16_t checking_load(const struct emitter *e, const struct npf_ir_block *block, uint32_t i)
{
	const struct npf_ir_insn *need = insn_of(e, (uint16_t)i);

	for (uint32_t n = i + 1; n < block->first + (uint32_t)block->count; n++) {
		const struct npf_ir_insn *insn = insn_of(e, (uint16_t)n);

		if (insn->op == NPF_IR_LOAD && insn->a == need->a &&
		    insn->imm + insn->size == need->imm)
			return (uint16_t)n;
	}
	return NONE;
}

/* The value behind this one when it only serves to make 4 * (byte & 15), else NONE. */
static uint16_t made_msh(const struct emitter *e, const struct npf_ir_block *block, uint16_t load)
{
	uint32_t k;

	for (uint32_t n = load + 1u; n < block->first + (uint32_t)block->count; n++) {
		const struct npf_ir_insn *insn = insn_of(e, (uint16_t)n);

		if (insn->op == NPF_IR_LSH && npf_cbpf_is_msh(e->ir, (uint16_t)n, &k) &&
		    insn_of(e, insn->a)->a == load && insn_of(e, load)->uses == 1)
			return (uint16_t)n;
	}
	return NONE;
}

/* A load checks its own bounds: the one that belongs to the NEED is done here, and stays in A when
 * it is wanted next. One that gets a scratch word is done where it stands anyway. */
static void check_bytes(struct emitter *e, const struct npf_ir_block *block, uint32_t i)
{
	const struct npf_ir_insn *need = insn_of(e, (uint16_t)i);
	uint16_t load = checking_load(e, block, i);
	uint16_t msh = load == NONE ? NONE : made_msh(e, block, load);

	if (load != NONE && has_word(e, load))
		return;
	if (msh != NONE) {
		e->x = NONE;
		load_x(e, msh);
	} else if (load != NONE) {
		e->a = NONE;
		want_a(e, load);
	} else if (need->imm && need->a == NONE) {
		load_bytes(e, NPF_B, need->imm - 1);
		e->a = NONE;
	} else if (need->imm) {
		want_x(e, need->a);
		emit(e, NPF_LD | NPF_IND | NPF_B, need->imm - 1);
		e->a = NONE;
	}
}

static uint16_t reject_label(struct emitter *e)
{
	if (e->reject == NO_LABEL)
		e->reject = new_label(e);
	return e->reject;
}

static void check_divisor(struct emitter *e, uint16_t value)
{
	uint16_t on = new_label(e);

	want_a(e, value);
	emit_jump(e, NPF_JMP | NPF_JEQ | NPF_K, 0, reject_label(e), on);
	put_label(e, on);
}

static void emit_insn(struct emitter *e, const struct npf_ir_block *block, uint32_t i)
{
	const struct npf_ir_insn *insn = insn_of(e, (uint16_t)i);

	if (insn->op == NPF_IR_NEED) {
		check_bytes(e, block, i);
	} else if (insn->op == NPF_IR_NONZERO) {
		check_divisor(e, insn->a);
	} else if (has_word(e, (uint16_t)i) && insn->op != NPF_IR_PARAM) {
		uint8_t word = word_of(e, (uint16_t)i);

		e->words.words[i] = NPF_CBPF_NO_WORD;
		want_a(e, (uint16_t)i);
		e->words.words[i] = word;
		emit(e, NPF_ST, word);
	}
}

/* ---- edges ---------------------------------------------------------------------------------- */

static uint16_t meet(bool seen, uint16_t before, uint16_t now)
{
	return !seen || before == now ? now : NONE;
}

/* A way leads to a block with these values in A and X. */
static void reach(struct emitter *e, uint16_t block)
{
	e->a_before[block] = meet(e->seen[block], e->a_before[block], e->a);
	e->x_before[block] = meet(e->seen[block], e->x_before[block], e->x);
	e->seen[block] = true;
}

/* Do the parameters need instructions, when A holds what it holds now? */
static bool needs_moves(const struct emitter *e, const struct npf_ir_edge *edge)
{
	uint32_t n = e->ir->blocks[edge->block].params;

	return n > 1 || (n == 1 && e->ir->args[edge->args] != e->a);
}

static void move_arguments(struct emitter *e, const struct npf_ir_edge *edge)
{
	const struct npf_ir_block *to = &e->ir->blocks[edge->block];

	for (uint32_t i = 0; i < to->params; i++) {
		want_a(e, e->ir->args[edge->args + i]);
		if (to->params > 1)
			emit(e, NPF_ST, word_of(e, (uint16_t)(to->first + i)));
	}
}

static void go_along(struct emitter *e, const struct npf_ir_edge *edge, bool is_next)
{
	move_arguments(e, edge);
	reach(e, edge->block);
	if (!is_next)
		emit_jump(e, NPF_JMP | NPF_JA, 0, edge->block, NO_LABEL);
}

/* ---- sets ----------------------------------------------------------------------------------- */

#define FEW 4u /* keys that are compared one by one */

/* A is among the n keys (or ranges) at keys: yes, else no. Labels. */
static void search(struct emitter *e, const uint32_t *keys, uint32_t n, bool is_range, uint16_t yes,
		   uint16_t no)
{
	while (n > FEW) {
		uint32_t half = n / 2, step = is_range ? 2 : 1;
		uint16_t upper = new_label(e), lower = new_label(e);

		emit_jump(e, NPF_JMP | NPF_JGE | NPF_K, keys[half * step], upper, lower);
		put_label(e, lower);
		search(e, keys, half, is_range, yes, no);
		put_label(e, upper);
		keys += half * step;
		n -= half;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint16_t next = i + 1 < n ? new_label(e) : no;

		if (is_range && keys[0] != keys[1]) {
			uint16_t inside = new_label(e);

			/* Ranges ascend: below one is below all that follow. */
			emit_jump(e, NPF_JMP | NPF_JGE | NPF_K, keys[0], inside, no);
			put_label(e, inside);
			emit_jump(e, NPF_JMP | NPF_JGT | NPF_K, keys[1], next, yes);
		} else {
			emit_jump(e, NPF_JMP | NPF_JEQ | NPF_K, keys[0], yes, next);
		}
		keys += is_range ? 2 : 1;
		if (next != no)
			put_label(e, next);
		if (e->err)
			return;
	}
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void emit_condition(struct emitter *e, const struct npf_ir_block *block, uint16_t yes,
			   uint16_t no)
{
	static const uint8_t codes[NPF_IR_N_ENDS] = {
		[NPF_IR_IF_EQ] = NPF_JEQ,
		[NPF_IR_IF_GT] = NPF_JGT,
		[NPF_IR_IF_GE] = NPF_JGE,
		[NPF_IR_IF_SET] = NPF_JSET,
	};

	if (block->end == NPF_IR_IF_IN) {
		const struct npf_ir_set *set = &e->ir->sets[block->imm];

		search(e, e->ir->keys + set->first, set->n, set->is_range, yes, no);
	} else {
		emit_jump(e, NPF_JMP | codes[block->end] | (block->b == NONE ? NPF_K : NPF_X),
			  block->imm, yes, no);
	}
}

/* A side of a branch: the block itself, or instructions before it that move its parameters. */
static uint16_t side_label(struct emitter *e, const struct npf_ir_edge *edge)
{
	if (needs_moves(e, edge))
		return new_label(e);
	reach(e, edge->block);
	return edge->block;
}

static void emit_branch(struct emitter *e, const struct npf_ir_block *block, uint32_t next)
{
	uint16_t labels[2], a, x;

	if (block->b == NONE)
		want_a(e, block->a);
	else
		want_both(e, block->a, block->b,
			  block->end == NPF_IR_IF_EQ || block->end == NPF_IR_IF_SET);
	a = e->a;
	x = e->x;
	for (uint32_t side = 0; side < 2; side++)
		labels[side] = side_label(e, &block->edges[side]);
	emit_condition(e, block, labels[0], labels[1]);
	for (uint32_t side = 0; side < 2; side++) {
		const struct npf_ir_edge *edge = &block->edges[side];
		bool is_last = side || labels[1] == block->edges[1].block;

		if (labels[side] == edge->block)
			continue;
		put_label(e, labels[side]);
		e->a = a;
		e->x = x;
		go_along(e, edge, is_last && edge->block == next);
	}
}

static void emit_end(struct emitter *e, const struct npf_ir_block *block, uint32_t next)
{
	switch (block->end) {
	case NPF_IR_RETURN:
		if (block->a != NONE)
			want_a(e, block->a);
		emit(e, NPF_RET | (block->a != NONE ? NPF_A : NPF_K), block->imm);
		break;
	case NPF_IR_GOTO:
		go_along(e, &block->edges[0], block->edges[0].block == next);
		break;
	default:
		emit_branch(e, block, next);
		break;
	}
}

static void emit_block(struct emitter *e, uint32_t number)
{
	const struct npf_ir_block *block = &e->ir->blocks[number];

	e->block = number;
	put_label(e, (uint16_t)number);
	e->a = number ? e->a_before[number] : NONE;
	e->x = number ? e->x_before[number] : NONE;
	if (block->params == 1) {
		e->a = block->first;
		if (has_word(e, block->first))
			emit(e, NPF_ST, word_of(e, block->first));
	}
	for (uint32_t i = block->params; i < block->count && !e->err; i++)
		emit_insn(e, block, block->first + i);
	emit_end(e, block, number + 1);
}

/* ---- places --------------------------------------------------------------------------------- */

static uint32_t place_of(const struct emitter *e, uint16_t label)
{
	return e->drafts[e->labels[label]].at;
}

/* The places of all drafts; behind a conditional jump, its far jumps. Their number. */
static uint32_t place(struct emitter *e)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < e->n; i++) {
		e->drafts[i].at = (uint16_t)at;
		at += 1u + e->drafts[i].far_yes + e->drafts[i].far_no;
	}
	return at;
}

static bool is_conditional(const struct draft *draft)
{
	return draft->no != NO_LABEL;
}

static bool is_too_far(const struct emitter *e, const struct draft *draft, uint16_t label)
{
	return place_of(e, label) - draft->at - 1 > MAX_FAR;
}

/* Give jumps that do not reach a far jump. False: all reach. */
static bool stretch(struct emitter *e)
{
	bool changed = false;

	for (uint32_t i = 0; i < e->n; i++) {
		struct draft *draft = &e->drafts[i];

		if (!is_conditional(draft))
			continue;
		if (!draft->far_yes && is_too_far(e, draft, draft->yes)) {
			draft->far_yes = 1;
			changed = true;
		}
		if (!draft->far_no && is_too_far(e, draft, draft->no)) {
			draft->far_no = 1;
			changed = true;
		}
	}
	return changed;
}

static void write_far(const struct emitter *e, struct npf_insn *insns, uint32_t at, uint16_t label)
{
	insns[at] = (struct npf_insn){ .code = NPF_JMP | NPF_JA, .k = place_of(e, label) - at - 1 };
}

static void write_draft(const struct emitter *e, const struct draft *draft, struct npf_insn *insns)
{
	struct npf_insn insn = draft->insn;
	uint32_t at = draft->at;

	if (is_conditional(draft)) {
		insn.jt = draft->far_yes ? 0 : (uint8_t)(place_of(e, draft->yes) - at - 1);
		insn.jf = draft->far_no ? draft->far_yes
					: (uint8_t)(place_of(e, draft->no) - at - 1);
		if (draft->far_yes)
			write_far(e, insns, at + 1, draft->yes);
		if (draft->far_no)
			write_far(e, insns, at + 1u + draft->far_yes, draft->no);
	} else if (draft->yes != NO_LABEL) {
		insn.k = place_of(e, draft->yes) - at - 1;
	}
	insns[at] = insn;
}

/*
 * Linux reads a program from its first instruction to its last, and takes it only if every scratch
 * word that is read has been written on all ways there. What follows a return it believes to be
 * reached from there, too: so it may refuse what is right.
 */
static bool linux_follows(struct emitter *e)
{
	uint16_t now = 0;

	memset(e->written, 0xFF, sizeof(*e->written) * e->n);
	for (uint32_t i = 0; i < e->n; i++) {
		const struct draft *draft = &e->drafts[i];
		uint16_t code = draft->insn.code;

		now &= e->written[i];
		if (code == NPF_ST || code == NPF_STX)
			now |= 1u << draft->insn.k;
		else if ((code == (NPF_LD | NPF_MEM) || code == (NPF_LDX | NPF_MEM)) &&
			 !(now >> draft->insn.k & 1))
			return false;
		if (draft->yes == NO_LABEL)
			continue;
		e->written[e->labels[draft->yes]] &= now;
		if (is_conditional(draft))
			e->written[e->labels[draft->no]] &= now;
		now = 0xFFFF;
	}
	return true;
}

static int finish(struct emitter *e, struct npf_insn *insns, uint32_t *length)
{
	uint32_t n = place(e);

	if (!linux_follows(e))
		return -ENOSPC;
	while (n <= NPF_MAX_INSNS && stretch(e))
		n = place(e);
	if (n > NPF_MAX_INSNS || n > *length)
		return -ENOSPC;
	for (uint32_t i = 0; i < e->n; i++)
		write_draft(e, &e->drafts[i], insns);
	*length = n;
	return 0;
}

static void *take(uint8_t **at, size_t size)
{
	void *taken = *at;

	*at += (size + 7) & ~(size_t)7;
	return taken;
}

/* Room for drafts is what the form's work leaves. */
static void divide_work(struct emitter *e)
{
	const struct npf_ir *ir = e->ir;
	uint8_t *at = ir->work;
	size_t left;

	e->words.ir = ir;
	e->words.words = take(&at, ir->n_insns);
	e->words.costs = take(&at, ir->n_insns);
	e->words.homes = take(&at, sizeof(*e->words.homes) * ir->n_insns);
	e->words.last = take(&at, sizeof(*e->words.last) * ir->n_insns);
	e->words.tops = take(&at, ir->n_blocks);
	e->a_before = take(&at, sizeof(*e->a_before) * ir->n_blocks);
	e->x_before = take(&at, sizeof(*e->x_before) * ir->n_blocks);
	e->seen = take(&at, sizeof(*e->seen) * ir->n_blocks);
	left = ir->work_size - (size_t)(at - ir->work) - 24;
	e->capacity = (uint32_t)(left / (sizeof(*e->drafts) + sizeof(*e->written) +
					 sizeof(*e->labels) * 2));
	if (e->capacity > NPF_MAX_INSNS)
		e->capacity = NPF_MAX_INSNS;
	e->max_labels = 2 * e->capacity;
	e->drafts = take(&at, sizeof(*e->drafts) * e->capacity);
	e->written = take(&at, sizeof(*e->written) * e->capacity);
	e->labels = (uint16_t *)at;
}

static int attempt(const struct npf_ir *ir, struct npf_insn *insns, uint32_t *length,
		   uint32_t cheap, bool keeps_params)
{
	struct emitter e = {
		.ir = ir,
		.reject = NO_LABEL,
		.a = NONE,
		.x = NONE,
		.words = { .cheap = cheap, .keeps_params = keeps_params },
	};

	divide_work(&e);
	e.n_labels = ir->n_blocks;
	if (e.n_labels > e.max_labels)
		return -ENOSPC;
	memset(e.seen, 0, sizeof(*e.seen) * ir->n_blocks);
	e.err = npf_cbpf_give_words(&e.words);
	for (uint32_t i = 0; i < ir->n_blocks && !e.err; i++)
		emit_block(&e, i);
	if (e.reject != NO_LABEL) {
		put_label(&e, e.reject);
		emit(&e, NPF_RET | NPF_K, 0);
	}
	return e.err ? e.err : finish(&e, insns, length);
}

int npf_ir_to_cbpf(const struct npf_ir *ir, struct npf_insn *insns, uint32_t *length)
{
	static const uint8_t costs[] = { 2, 8, 32, 100 };
	bool keeps_params = false;
	int err = -ENOSPC;

	for (size_t i = 0; i < sizeof(costs) && err == -ENOSPC; i++) {
		err = attempt(ir, insns, length, costs[i], keeps_params);
		if (err != -EAGAIN)
			continue;
		keeps_params = true;
		err = attempt(ir, insns, length, costs[i], keeps_params);
	}
	return err;
}
