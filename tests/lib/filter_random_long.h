/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random valid programs of up to NPF_MAX_INSNS instructions, for comparing engines. They are made of
 * parts that a packet passes one after the other: lists and ranges with one target, ways that part
 * and meet, jumps over hundreds of instructions, scratch words that are written early and read late,
 * loads behind a header, and stretches of the short generator's instructions. What would end most
 * programs early (loads outside of the packet, division by zero, returns) is rare.
 */
#ifndef FILTER_RANDOM_LONG_H
#define FILTER_RANDOM_LONG_H

#include <stdbool.h>

#include "filter_random.h"

#define FILTER_RANDOM_WISHES 32
#define FILTER_RANDOM_ITEM   24 /* instructions that are written without asking for room */

/* Bytes that a packet may have, so that a comparison finds what it looks for. */
struct filter_wish {
	uint32_t at;
	uint32_t size;
	uint32_t key;
};

struct filter_random_long {
	struct filter_random *random;
	struct npf_insn *insns;
	uint32_t n;
	uint32_t length;
	enum npf_dialect dialect;
	struct filter_wish in_a; /* what was loaded into A: place and size (0: something else) */
	struct filter_wish wishes[FILTER_RANDOM_WISHES];
	uint32_t n_wishes; /* made, the last ones are kept */
};

static inline uint32_t filter_long_draw(struct filter_random_long *l, uint32_t below)
{
	return filter_random(l->random, below);
}

static inline bool filter_long_has_room(const struct filter_random_long *l)
{
	return l->n + FILTER_RANDOM_ITEM < l->length;
}

static inline void filter_long_put(struct filter_random_long *l, uint16_t code, uint8_t jt,
				   uint8_t jf, uint32_t k)
{
	l->insns[l->n++] = (struct npf_insn){ .code = code, .jt = jt, .jf = jf, .k = k };
}

/* Let an unconditional jump lead to what is written next. */
static inline void filter_long_land(struct filter_random_long *l, uint32_t jump)
{
	l->insns[jump].k = l->n - jump - 1;
}

static inline void filter_long_wish(struct filter_random_long *l, uint32_t key)
{
	if (!l->in_a.size)
		return;
	l->in_a.key = key;
	l->wishes[l->n_wishes++ % FILTER_RANDOM_WISHES] = l->in_a;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static inline void filter_long_load(struct filter_random_long *l)
{
	static const uint16_t sizes[] = { NPF_W, NPF_H, NPF_B };
	uint32_t i = filter_long_draw(l, 3), k = filter_long_draw(l, FILTER_RANDOM_BYTES / 2);

	l->in_a = (struct filter_wish){ .at = k, .size = 4u >> i };
	if (!filter_long_draw(l, 4)) {
		filter_long_put(l, NPF_LDX | NPF_MSH | NPF_B, 0, 0, 14);
		k = filter_long_draw(l, FILTER_RANDOM_BYTES / 4);
		l->in_a.at = k + 20;
		filter_long_put(l, NPF_LD | NPF_IND | sizes[i], 0, 0, k);
	} else {
		filter_long_put(l, NPF_LD | NPF_ABS | sizes[i], 0, 0, k);
	}
	if (!filter_long_draw(l, 6)) {
		l->in_a.size = 0;
		filter_long_put(l, NPF_ALU | NPF_AND | NPF_K, 0, 0, 0xFFFFFFF0);
	}
}

static inline uint32_t filter_long_key(struct filter_random_long *l)
{
	uint32_t key = filter_random_operand(l->random);

	if (l->in_a.size && l->in_a.size < 4 && filter_long_draw(l, 12))
		key &= (1u << 8 * l->in_a.size) - 1;
	filter_long_wish(l, key);
	return key;
}

/* A is one of many: to the same place, directly or by a jump from jump to jump; or it returns. */
static inline void filter_long_list(struct filter_random_long *l)
{
	uint32_t many = 2 + filter_long_draw(l, filter_long_draw(l, 6) ? 12 : 600);
	uint32_t key = filter_long_key(l), step = filter_long_draw(l, 4), last = 0;
	uint32_t answer = filter_random_operand(l->random);
	bool is_range = !filter_long_draw(l, 4), returns = !filter_long_draw(l, 3);

	for (uint32_t i = 0; i < many && filter_long_has_room(l); i++) {
		key = step ? key + step : filter_long_key(l);
		if (is_range) {
			filter_long_put(l, NPF_JMP | NPF_JGE | NPF_K, 0, 2, key);
			filter_long_put(l, NPF_JMP | NPF_JGT | NPF_K, 1, 0, key + 2);
		} else {
			filter_long_put(l, NPF_JMP | NPF_JEQ | NPF_K, 0, 1, key);
		}
		if (returns) {
			filter_long_put(l, NPF_RET | NPF_K, 0, 0, answer);
			continue;
		}
		/* To the jump of the next one that is found, and the last leads behind the list. */
		if (last)
			filter_long_land(l, last);
		last = l->n;
		filter_long_put(l, NPF_JMP | NPF_JA, 0, 0, 0);
	}
	if (last && filter_long_draw(l, 2)) {
		/* Found or not, another way, which meets again. */
		filter_long_put(l, NPF_JMP | NPF_JA, 0, 0, 1);
		filter_long_land(l, last);
		filter_long_put(l, NPF_LD | NPF_IMM, 0, 0, answer);
		l->in_a.size = 0;
	} else if (last) {
		filter_long_land(l, last);
	}
}

static inline void filter_long_condition(struct filter_random_long *l, uint8_t jt, uint8_t jf)
{
	static const uint16_t ops[] = { NPF_JEQ, NPF_JEQ, NPF_JGT, NPF_JGE, NPF_JSET };
	uint16_t src = filter_long_draw(l, 6) ? NPF_K : NPF_X;

	filter_long_put(l, NPF_JMP | ops[filter_long_draw(l, 5)] | src, jt, jf, filter_long_key(l));
}

static inline void filter_long_scratch(struct filter_random_long *l)
{
	uint32_t many = 1 + filter_long_draw(l, 6);

	for (uint32_t i = 0; i < many; i++) {
		uint32_t word = filter_long_draw(l, NPF_MEM_WORDS);

		switch (filter_long_draw(l, 4)) {
		case 0:
			filter_long_put(l, NPF_ST, 0, 0, word);
			break;
		case 1:
			filter_long_put(l, NPF_STX, 0, 0, word);
			break;
		case 2:
			filter_long_put(l, NPF_LDX | NPF_MEM, 0, 0, word);
			break;
		default:
			filter_long_put(l, NPF_LD | NPF_MEM, 0, 0, word);
			l->in_a.size = 0;
			break;
		}
	}
}

/* All scratch words are written, each with something that depends on the packet. */
static inline void filter_long_fill_scratch(struct filter_random_long *l)
{
	for (uint32_t i = 0; i < NPF_MEM_WORDS && filter_long_has_room(l); i++) {
		filter_long_load(l);
		filter_long_put(l, NPF_ALU | NPF_ADD | (i % 3 ? NPF_K : NPF_X), 0, 0, i);
		filter_long_put(l, NPF_ST, 0, 0, i);
	}
	l->in_a.size = 0;
}

/* What the short generator writes, without most of what ends a program. */
static inline void filter_long_any(struct filter_random_long *l)
{
	struct npf_insn insn;

	filter_random_insn(l->random, l->dialect, l->length - 1 - l->n - 2, &insn);
	if (NPF_CLASS(insn.code) == NPF_RET && filter_long_draw(l, 40))
		insn = (struct npf_insn){ .code = NPF_MISC | NPF_TAX };
	if ((insn.code == (NPF_ALU | NPF_DIV | NPF_X) || insn.code == (NPF_ALU | NPF_MOD | NPF_X)) &&
	    filter_long_draw(l, 20))
		insn.code = NPF_ALU | NPF_XOR | NPF_X;
	if (NPF_CLASS(insn.code) <= NPF_LDX && insn.k < NPF_AD_PROTOCOL &&
	    filter_long_draw(l, 40) && NPF_MODE(insn.code) != NPF_IMM &&
	    NPF_MODE(insn.code) != NPF_MEM)
		insn.k %= FILTER_RANDOM_BYTES / 3;
	if (insn.code < NPF_JMP && NPF_MODE(insn.code) == NPF_IND && filter_long_draw(l, 20)) {
		if (filter_long_draw(l, 2))
			filter_long_put(l, NPF_LDX | NPF_IMM, 0, 0, filter_long_draw(l, 16));
		else
			filter_long_put(l, NPF_LDX | NPF_MSH | NPF_B, 0, 0, 14);
	}
	l->in_a.size = 0;
	l->insns[l->n++] = insn;
}

static inline void filter_long_stretch(struct filter_random_long *l)
{
	uint32_t many = 1 + filter_long_draw(l, filter_long_draw(l, 8) ? 12 : 200);

	for (uint32_t i = 0; i < many && filter_long_has_room(l); i++)
		filter_long_any(l);
}

static inline void filter_long_part(struct filter_random_long *l)
{
	switch (filter_long_draw(l, 8)) {
	case 0:
	case 1:
		filter_long_load(l);
		filter_long_list(l);
		break;
	case 2:
		filter_long_scratch(l);
		break;
	case 3:
		if (!filter_long_draw(l, 6))
			filter_long_fill_scratch(l);
		break;
	case 4:
		filter_long_load(l);
		filter_long_condition(l, (uint8_t)filter_long_draw(l, 2), 1);
		filter_long_put(l, NPF_RET | NPF_K, 0, 0, filter_random_operand(l->random));
		break;
	default:
		filter_long_stretch(l);
		break;
	}
}

/* Two ways that meet behind any number of parts; either may be empty. */
static inline void filter_long_fork(struct filter_random_long *l, uint32_t depth)
{
	uint32_t over[2], parts;

	filter_long_load(l);
	filter_long_condition(l, filter_long_draw(l, 2) ? 0 : 1, filter_long_draw(l, 2) ? 0 : 1);
	for (uint32_t side = 0; side < 2; side++) {
		over[side] = l->n;
		filter_long_put(l, NPF_JMP | NPF_JA, 0, 0, 0);
		parts = filter_long_draw(l, 4);
		for (uint32_t i = 0; i < parts && filter_long_has_room(l); i++) {
			if (depth && !filter_long_draw(l, 3))
				filter_long_fork(l, depth - 1);
			else
				filter_long_part(l);
		}
		if (!side)
			filter_long_land(l, over[0]);
	}
	filter_long_land(l, over[1]);
	l->in_a.size = 0;
}

/* ---- whole ----------------------------------------------------------------------------------- */

/* Fill insns (NPF_MAX_INSNS of them) and the program. l is of use for its packets. */
static inline void filter_random_long_program(struct filter_random *random,
					      struct filter_random_long *l, struct npf_insn *insns,
					      struct npf_program *program)
{
	uint32_t most = 64u << filter_random(random, 7);

	*l = (struct filter_random_long){ .random = random, .insns = insns };
	l->length = filter_random(random, 16) ? 48 + filter_random(random, most - 48) : most;
	l->dialect = filter_random(random, 3) ? NPF_DIALECT_WIRE : NPF_DIALECT_LINUX;
	while (filter_long_has_room(l)) {
		if (filter_long_draw(l, 3))
			filter_long_part(l);
		else
			filter_long_fork(l, 3);
	}
	while (l->n + 1 < l->length)
		filter_long_put(l, NPF_ALU | NPF_ADD | NPF_K, 0, 0, filter_random_operand(random));
	filter_long_put(l, NPF_RET | (filter_long_draw(l, 3) ? NPF_A : NPF_K), 0, 0, 96);
	*program = (struct npf_program){ .length = l->n, .dialect = l->dialect, .insns = insns };
}

/* As filter_random_packet(), often with what the program looks for. */
static inline void filter_random_long_packet(struct filter_random_long *l, uint8_t *data,
					     struct npf_frame *frame)
{
	uint32_t made = l->n_wishes < FILTER_RANDOM_WISHES ? l->n_wishes : FILTER_RANDOM_WISHES;
	uint32_t granted = made ? filter_long_draw(l, 6) : 0;

	filter_random_packet(l->random, data, frame);
	if (filter_long_draw(l, 4))
		data[14] = 0x45;
	for (uint32_t i = 0; i < granted; i++) {
		const struct filter_wish *wish = &l->wishes[filter_long_draw(l, made)];
		uint32_t key = wish->key +
			       (filter_long_draw(l, 3) ? 0 : filter_long_draw(l, 3) - 1);

		for (uint32_t b = 0; b < wish->size; b++)
			data[wish->at + b] = (uint8_t)(key >> 8 * (wish->size - 1 - b));
	}
}

#endif
