/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An interpreter of the intermediate form, to compare it with the program it was made from before
 * any back end is involved. Simple, not fast.
 */
#include <string.h>

#include "base/bytes.h"
#include "filter/ir.h"

/* What a program works on. */
struct machine {
	const struct npf_ir *ir;
	const struct npf_frame *frame;
	const uint8_t *data;
	uint32_t *values;
	uint32_t *arguments; /* on their way along an edge */
};

static uint32_t reachable_bytes(const struct machine *m)
{
	return m->frame->length + m->frame->shift;
}

/* A byte of the packet as on the wire; NEED has shown that it is there. */
static uint8_t byte_at(const struct machine *m, uint64_t offset)
{
	if (!m->frame->shift || offset < NPF_TAG_OFFSET)
		return m->data[offset];
	if (offset >= NPF_TAG_OFFSET + NPF_TAG_SIZE)
		return m->data[offset - NPF_TAG_SIZE];

	uint8_t tag[NPF_TAG_SIZE];

	npf_put_be16(tag, m->frame->tag_tpid);
	npf_put_be16(tag + 2, m->frame->tag_tci);
	return tag[offset - NPF_TAG_OFFSET];
}

static uint64_t address(const struct machine *m, const struct npf_ir_insn *insn)
{
	return insn->imm + (insn->a == NPF_IR_NONE ? 0 : (uint64_t)m->values[insn->a]);
}

static uint32_t load(const struct machine *m, const struct npf_ir_insn *insn)
{
	uint64_t at = address(m, insn);
	uint32_t sum = 0;

	for (uint32_t i = 0; i < insn->size; i++)
		sum = sum << 8 | byte_at(m, at + i);
	return sum;
}

static uint32_t field(const struct machine *m, const struct npf_ir_insn *insn)
{
	const uint8_t *at = (const uint8_t *)m->frame + insn->imm;
	uint32_t word;
	uint16_t half;

	if (insn->size == sizeof(half)) {
		memcpy(&half, at, sizeof(half));
		return half;
	}
	memcpy(&word, at, sizeof(word));
	return word;
}

bool npf_ir_set_has(const struct npf_ir *ir, uint32_t set, uint32_t key)
{
	uint32_t step = ir->sets[set].is_range ? 2 : 1;
	const uint32_t *keys = ir->keys + ir->sets[set].first;
	uint32_t from = 0, to = ir->sets[set].n;

	while (from < to) {
		uint32_t middle = (from + to) / 2;

		if (key < keys[middle * step])
			to = middle;
		else if (key > keys[middle * step + step - 1])
			from = middle + 1;
		else
			return true;
	}
	return false;
}

static uint32_t compute(const struct machine *m, const struct npf_ir_insn *insn)
{
	uint32_t a = insn->a == NPF_IR_NONE ? 0 : m->values[insn->a];
	uint32_t b = insn->b == NPF_IR_NONE ? insn->imm : m->values[insn->b];

	switch (insn->op) {
	case NPF_IR_CONST:
		return insn->imm;
	case NPF_IR_LOAD:
		return load(m, insn);
	case NPF_IR_CAPLEN:
		return reachable_bytes(m);
	case NPF_IR_WIRELEN:
		return m->frame->wire_length;
	case NPF_IR_FIELD:
		return field(m, insn);
	case NPF_IR_NEG:
		return 0 - a;
	case NPF_IR_ADD:
		return a + b;
	case NPF_IR_SUB:
		return a - b;
	case NPF_IR_MUL:
		return a * b;
	case NPF_IR_DIV:
		return b ? a / b : 0;
	case NPF_IR_MOD:
		return b ? a % b : 0;
	case NPF_IR_AND:
		return a & b;
	case NPF_IR_OR:
		return a | b;
	case NPF_IR_XOR:
		return a ^ b;
	case NPF_IR_LSH:
		return b < 32 ? a << b : 0;
	case NPF_IR_RSH:
		return b < 32 ? a >> b : 0;
	case NPF_IR_IS_EQ:
		return a == b;
	case NPF_IR_IS_GT:
		return a > b;
	case NPF_IR_IS_GE:
		return a >= b;
	case NPF_IR_IS_SET:
		return (a & b) != 0;
	case NPF_IR_IS_IN:
		return npf_ir_set_has(m->ir, insn->imm, a);
	default:
		return 0;
	}
}

/* False: a guard has ended the program. */
static bool run_block(const struct machine *m, const struct npf_ir_block *block)
{
	for (uint32_t i = block->first + block->params; i < block->first + block->count; i++) {
		const struct npf_ir_insn *insn = &m->ir->insns[i];

		if (insn->op == NPF_IR_NEED && address(m, insn) > reachable_bytes(m))
			return false;
		if (insn->op == NPF_IR_NONZERO && !m->values[insn->a])
			return false;
		m->values[i] = compute(m, insn);
	}
	return true;
}

static bool condition(const struct machine *m, const struct npf_ir_block *block)
{
	uint32_t a = m->values[block->a];
	uint32_t b = block->b == NPF_IR_NONE ? block->imm : m->values[block->b];

	switch (block->end) {
	case NPF_IR_IF_EQ:
		return a == b;
	case NPF_IR_IF_GT:
		return a > b;
	case NPF_IR_IF_GE:
		return a >= b;
	case NPF_IR_IF_SET:
		return a & b;
	default:
		return npf_ir_set_has(m->ir, block->imm, a);
	}
}

static const struct npf_ir_block *follow(const struct machine *m, const struct npf_ir_edge *edge)
{
	const struct npf_ir_block *to = &m->ir->blocks[edge->block];

	for (uint32_t i = 0; i < to->params; i++)
		m->arguments[i] = m->values[m->ir->args[edge->args + i]];
	for (uint32_t i = 0; i < to->params; i++)
		m->values[to->first + i] = m->arguments[i];
	return to;
}

size_t npf_ir_run_space(const struct npf_ir *ir)
{
	return 2 * sizeof(uint32_t) * (ir->n_insns + 1u) + 16 * (size_t)ir->n_blocks;
}

uint32_t npf_ir_run(const struct npf_ir *ir, struct npf_frame *frame, const uint8_t *data,
		    void *work)
{
	struct machine m = { .ir = ir, .frame = frame, .data = data, .values = work };
	const struct npf_ir_block *block = ir->blocks;

	m.arguments = m.values + ir->n_insns;
	frame->shift = frame->tagged && ir->dialect == NPF_DIALECT_WIRE ? NPF_TAG_SIZE : 0;
	for (;;) {
		if (!run_block(&m, block))
			return 0;
		if (block->end == NPF_IR_RETURN)
			return block->a == NPF_IR_NONE ? block->imm : m.values[block->a];
		if (block->end == NPF_IR_GOTO || condition(&m, block))
			block = follow(&m, &block->edges[0]);
		else
			block = follow(&m, &block->edges[1]);
	}
}
