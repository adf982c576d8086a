/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random valid programs and packets, for comparing engines. The same seed gives the same sequence
 * on every machine. Operands prefer edges; offsets prefer the packet, for a program that leaves it
 * says no more.
 */
#ifndef FILTER_RANDOM_H
#define FILTER_RANDOM_H

#include <stdint.h>

#include "filter/filter.h"
#include "filter/opcodes.h"

#define FILTER_RANDOM_INSNS 48
#define FILTER_RANDOM_BYTES 96

struct filter_random {
	uint64_t state; /* the seed, not 0 */
};

static inline uint32_t filter_random(struct filter_random *random, uint32_t below)
{
	random->state ^= random->state << 13;
	random->state ^= random->state >> 7;
	random->state ^= random->state << 17;
	return (uint32_t)((random->state >> 16) % below);
}

static inline uint32_t filter_random_operand(struct filter_random *random)
{
	static const uint32_t edges[] = {
		0,          1,          2,          31,         32,         33,
		0x7F,       0x80,       0xFF,       0x100,      0x800,      0xFFFF,
		0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF,
	};

	switch (filter_random(random, 4)) {
	case 0:
		return edges[filter_random(random, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return filter_random(random, 0xFFFFFFFF);
	default:
		return filter_random(random, 64);
	}
}

static inline uint32_t filter_random_offset(struct filter_random *random)
{
	if (!filter_random(random, 40))
		return filter_random_operand(random);
	return filter_random(random, FILTER_RANDOM_BYTES / 2);
}

static inline uint32_t filter_random_ancillary(struct filter_random *random)
{
	static const uint32_t all[] = {
		NPF_AD_PROTOCOL, NPF_AD_PKTTYPE,      NPF_AD_IFINDEX,   NPF_AD_HATYPE,
		NPF_AD_VLAN_TAG, NPF_AD_VLAN_PRESENT, NPF_AD_VLAN_TPID,
	};

	return all[filter_random(random, sizeof(all) / sizeof(all[0]))];
}

static inline void filter_random_load(struct filter_random *random, enum npf_dialect dialect,
				      struct npf_insn *insn)
{
	static const uint16_t codes[] = {
		NPF_LD | NPF_IMM,         NPF_LD | NPF_MEM,          NPF_LD | NPF_LEN,
		NPF_LD | NPF_ABS | NPF_W, NPF_LD | NPF_ABS | NPF_H,  NPF_LD | NPF_ABS | NPF_B,
		NPF_LD | NPF_IND | NPF_W, NPF_LD | NPF_IND | NPF_H,  NPF_LD | NPF_IND | NPF_B,
		NPF_LDX | NPF_IMM,        NPF_LDX | NPF_IMM,         NPF_LDX | NPF_MEM,
		NPF_LDX | NPF_LEN,        NPF_LDX | NPF_MSH | NPF_B,
	};

	insn->code = codes[filter_random(random, sizeof(codes) / sizeof(codes[0]))];
	if (insn->code == (NPF_LD | NPF_IMM) || NPF_MODE(insn->code) == NPF_LEN)
		insn->k = filter_random_operand(random);
	else if (NPF_MODE(insn->code) == NPF_MEM)
		insn->k = filter_random(random, NPF_MEM_WORDS);
	else
		insn->k = filter_random_offset(random);

	if (dialect != NPF_DIALECT_LINUX)
		return;
	if (NPF_MODE(insn->code) == NPF_ABS && !filter_random(random, 3))
		insn->k = filter_random_ancillary(random);
	else if (NPF_MODE(insn->code) == NPF_ABS || NPF_MODE(insn->code) == NPF_MSH)
		insn->k &= 0x7FFFFFFF;
}

static inline void filter_random_alu(struct filter_random *random, struct npf_insn *insn)
{
	static const uint16_t ops[] = {
		NPF_ADD, NPF_SUB, NPF_MUL, NPF_DIV, NPF_MOD, NPF_AND,
		NPF_OR,  NPF_XOR, NPF_LSH, NPF_RSH, NPF_NEG,
	};
	uint16_t op = ops[filter_random(random, sizeof(ops) / sizeof(ops[0]))];
	uint16_t src = filter_random(random, 2) ? NPF_X : NPF_K;

	insn->code = NPF_ALU | op | (op == NPF_NEG ? 0 : src);
	insn->k = filter_random_operand(random);
	if ((op == NPF_DIV || op == NPF_MOD) && !insn->k)
		insn->k = 3;
}

/* after: instructions that follow, at least 1. */
static inline void filter_random_jump(struct filter_random *random, uint32_t after,
				      struct npf_insn *insn)
{
	static const uint16_t ops[] = { NPF_JEQ, NPF_JGT, NPF_JGE, NPF_JSET };
	uint32_t reach = after < 8 ? after : 8;

	if (!filter_random(random, 8)) {
		insn->code = NPF_JMP | NPF_JA;
		insn->k = filter_random(random, reach);
		return;
	}
	insn->code = NPF_JMP | ops[filter_random(random, 4)] |
		     (filter_random(random, 2) ? NPF_X : NPF_K);
	insn->k = filter_random_operand(random);
	insn->jt = (uint8_t)filter_random(random, reach);
	insn->jf = (uint8_t)filter_random(random, reach);
}

static inline void filter_random_insn(struct filter_random *random, enum npf_dialect dialect,
				      uint32_t after, struct npf_insn *insn)
{
	*insn = (struct npf_insn){ 0 };
	switch (filter_random(random, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		filter_random_load(random, dialect, insn);
		break;
	case 4:
	case 5:
	case 6:
		filter_random_alu(random, insn);
		break;
	case 7:
		insn->code = filter_random(random, 2) ? NPF_ST : NPF_STX;
		insn->k = filter_random(random, NPF_MEM_WORDS);
		break;
	case 8:
		insn->code = NPF_MISC | (filter_random(random, 2) ? NPF_TAX : NPF_TXA);
		break;
	case 9:
		if (filter_random(random, 8) && after)
			filter_random_alu(random, insn);
		else
			insn->code = NPF_RET | (filter_random(random, 4) ? NPF_A : NPF_K);
		break;
	default:
		filter_random_jump(random, after, insn);
		break;
	}
}

/* Fill insns (FILTER_RANDOM_INSNS of them) and the program. */
static inline void filter_random_program(struct filter_random *random, struct npf_insn *insns,
					 struct npf_program *program)
{
	program->length = 1 + filter_random(random, FILTER_RANDOM_INSNS);
	program->dialect = filter_random(random, 3) ? NPF_DIALECT_WIRE : NPF_DIALECT_LINUX;
	program->insns = insns;
	for (uint32_t i = 0; i + 1 < program->length; i++)
		filter_random_insn(random, program->dialect, program->length - 1 - i, &insns[i]);
	insns[program->length - 1] = (struct npf_insn){ .code = NPF_RET | NPF_A };
}

/* Fill data (FILTER_RANDOM_BYTES) and the frame. */
static inline void filter_random_packet(struct filter_random *random, uint8_t *data,
					struct npf_frame *frame)
{
	for (uint32_t i = 0; i < FILTER_RANDOM_BYTES; i++)
		data[i] = (uint8_t)(filter_random(random, 4) ? filter_random(random, 256) : 0);

	*frame = (struct npf_frame){
		.length = FILTER_RANDOM_BYTES - filter_random(random, FILTER_RANDOM_BYTES / 2),
		.packet_type = filter_random(random, 5),
		.protocol = filter_random(random, 0x10000),
		.ifindex = filter_random_operand(random),
		.hatype = filter_random(random, 0x10000),
		.tagged = filter_random(random, 2),
	};
	if (frame->tagged) {
		frame->tag_tpid = filter_random(random, 2) ? 0x8100 : 0x88A8;
		frame->tag_tci = (uint16_t)filter_random(random, 0x10000);
	}
	frame->wire_length = frame->length + (frame->tagged ? NPF_TAG_SIZE : 0) +
			     filter_random(random, 3);
}

#endif
