/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interpreter: the reference for what a program means, and the filter of every host whose
 * packets arrive in user space. Programs come here validated; offsets and operands come from the
 * packet and are checked at every use.
 */
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "filter/ancillary.h"
#include "filter/filter.h"
#include "filter/opcodes.h"

/* What a program works on. */
struct machine {
	const struct npf_program *program;
	const struct npf_frame *frame;
	const uint8_t *data;
	uint32_t a;
	uint32_t x;
	uint32_t mem[NPF_MEM_WORDS];
};

/* One byte of a frame that is seen with its tag in place. */
static bool load_byte(const struct machine *m, uint64_t offset, uint8_t *byte)
{
	if (offset >= NPF_TAG_OFFSET && offset < NPF_TAG_OFFSET + NPF_TAG_SIZE) {
		uint8_t tag[NPF_TAG_SIZE];

		npf_put_be16(tag, m->frame->tag_tpid);
		npf_put_be16(tag + 2, m->frame->tag_tci);
		*byte = tag[offset - NPF_TAG_OFFSET];
		return true;
	}
	if (offset > NPF_TAG_OFFSET)
		offset -= NPF_TAG_SIZE;
	if (offset >= m->frame->length)
		return false;
	*byte = m->data[offset];
	return true;
}

static bool load_tagged(const struct machine *m, uint64_t offset, uint32_t size, uint32_t *value)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i++) {
		uint8_t byte;

		if (!load_byte(m, offset + i, &byte))
			return false;
		sum = sum << 8 | byte;
	}
	*value = sum;
	return true;
}

/* The packet's bytes at offset, false when it does not hold all of them. An offset is the sum of
 * two 32-bit numbers and cannot overflow here. */
static bool load(const struct machine *m, uint64_t offset, uint32_t size, uint32_t *value)
{
	if (m->frame->shift)
		return load_tagged(m, offset, size, value);
	if (offset + size > m->frame->length)
		return false;

	const uint8_t *at = m->data + offset;

	*value = size == 1 ? *at : size == 2 ? npf_get_be16(at) : npf_get_be32(at);
	return true;
}

/* Ancillary data, false when k is an ordinary offset. */
static bool load_ancillary(const struct npf_frame *frame, uint32_t k, uint32_t *value)
{
	const struct npf_ancillary *found = npf_ancillary_find(k);
	uint16_t half;

	if (!found)
		return false;

	const uint8_t *at = (const uint8_t *)frame + found->at;

	if (found->size == sizeof(half)) {
		memcpy(&half, at, sizeof(half));
		*value = half;
	} else {
		memcpy(value, at, sizeof(*value));
	}
	return true;
}

static uint32_t frame_length(const struct machine *m)
{
	return m->program->dialect == NPF_DIALECT_LINUX ? m->frame->length : m->frame->wire_length;
}

static bool run_ld(struct machine *m, const struct npf_insn *insn)
{
	switch (NPF_MODE(insn->code)) {
	case NPF_ABS:
		if (m->program->dialect == NPF_DIALECT_LINUX &&
		    load_ancillary(m->frame, insn->k, &m->a))
			return true;
		return load(m, insn->k, npf_bytes_of(insn->code), &m->a);
	case NPF_IND:
		return load(m, (uint64_t)m->x + insn->k, npf_bytes_of(insn->code), &m->a);
	case NPF_MEM:
		m->a = m->mem[insn->k];
		return true;
	case NPF_LEN:
		m->a = frame_length(m);
		return true;
	default:
		m->a = insn->k;
		return true;
	}
}

static bool run_ldx(struct machine *m, const struct npf_insn *insn)
{
	switch (NPF_MODE(insn->code)) {
	case NPF_MSH:
		if (!load(m, insn->k, 1, &m->x))
			return false;
		m->x = (m->x & 0x0f) * 4;
		return true;
	case NPF_MEM:
		m->x = m->mem[insn->k];
		return true;
	case NPF_LEN:
		m->x = frame_length(m);
		return true;
	default:
		m->x = insn->k;
		return true;
	}
}

/* False: a division by zero. */
static bool run_alu(struct machine *m, const struct npf_insn *insn)
{
	uint32_t operand = NPF_SRC(insn->code) == NPF_X ? m->x : insn->k;

	switch (NPF_OP(insn->code)) {
	case NPF_ADD:
		m->a += operand;
		return true;
	case NPF_SUB:
		m->a -= operand;
		return true;
	case NPF_MUL:
		m->a *= operand;
		return true;
	case NPF_DIV:
		m->a = operand ? m->a / operand : 0;
		return operand != 0;
	case NPF_MOD:
		m->a = operand ? m->a % operand : 0;
		return operand != 0;
	case NPF_AND:
		m->a &= operand;
		return true;
	case NPF_OR:
		m->a |= operand;
		return true;
	case NPF_XOR:
		m->a ^= operand;
		return true;
	case NPF_LSH:
		m->a = operand < 32 ? m->a << operand : 0;
		return true;
	case NPF_RSH:
		m->a = operand < 32 ? m->a >> operand : 0;
		return true;
	default:
		m->a = 0 - m->a;
		return true;
	}
}

/* Instructions to skip. */
static uint32_t run_jmp(const struct machine *m, const struct npf_insn *insn)
{
	uint32_t operand = NPF_SRC(insn->code) == NPF_X ? m->x : insn->k;

	switch (NPF_OP(insn->code)) {
	case NPF_JEQ:
		return m->a == operand ? insn->jt : insn->jf;
	case NPF_JGT:
		return m->a > operand ? insn->jt : insn->jf;
	case NPF_JGE:
		return m->a >= operand ? insn->jt : insn->jf;
	case NPF_JSET:
		return m->a & operand ? insn->jt : insn->jf;
	default:
		return insn->k;
	}
}

static uint32_t run(struct machine *m)
{
	for (const struct npf_insn *insn = m->program->insns;; insn++) {
		switch (NPF_CLASS(insn->code)) {
		case NPF_LD:
			if (!run_ld(m, insn))
				return 0;
			break;
		case NPF_LDX:
			if (!run_ldx(m, insn))
				return 0;
			break;
		case NPF_ST:
			m->mem[insn->k] = m->a;
			break;
		case NPF_STX:
			m->mem[insn->k] = m->x;
			break;
		case NPF_ALU:
			if (!run_alu(m, insn))
				return 0;
			break;
		case NPF_JMP:
			insn += run_jmp(m, insn);
			break;
		case NPF_RET:
			return NPF_RVAL(insn->code) == NPF_A ? m->a : insn->k;
		default:
			if (insn->code == (NPF_MISC | NPF_TAX))
				m->x = m->a;
			else
				m->a = m->x;
			break;
		}
	}
}

uint32_t npf_filter_run(const struct npf_program *program, struct npf_frame *frame,
			const uint8_t *data)
{
	if (!program || !program->length)
		return NPF_ACCEPT_ALL;

	bool in_place = frame->tagged && program->dialect == NPF_DIALECT_WIRE;
	struct machine machine = { .program = program, .frame = frame, .data = data };

	frame->shift = in_place ? NPF_TAG_SIZE : 0;
	return run(&machine);
}

uint32_t npf_bpf_filter(const struct npf_program *program, const uint8_t *data,
			uint32_t wire_length, uint32_t length)
{
	struct npf_frame frame = { .length = length, .wire_length = wire_length };

	return npf_filter_run(program, &frame, data);
}
