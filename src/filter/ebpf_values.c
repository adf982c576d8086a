/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of eBPF code: the registers and slots that they live in, and arithmetic. */
#include "filter/ebpf_gen.h"

/* ---- places --------------------------------------------------------------------------------- */

void npf_ebpf_to_host(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	uint8_t size = g->ir->insns[value].size;

	if (size > 1 && !g->raw[value])
		npf_ebpf_emit(CODE, (struct npf_ebpf_insn){
					    .code = E_TO_BE, .dst = reg, .imm = size * 8 });
}

uint32_t npf_ebpf_raw_constant(const struct npf_ebpf_gen *g, uint16_t value, uint32_t k)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	if (!g->raw[value])
		return k;
	while (insn->op != NPF_IR_LOAD)
		insn = &g->ir->insns[insn->a];
	return insn->size == 2 ? __builtin_bswap16((uint16_t)k) : __builtin_bswap32(k);
}

void npf_ebpf_read_slot(struct npf_ebpf_gen *g, uint8_t reg, uint8_t place, bool pointer)
{
	npf_ebpf_read(CODE, pointer ? E_DW : NPF_W, reg, R10,
		      (uint32_t)AT_SLOT(place - NPF_PLACE_SLOT));
}

void npf_ebpf_write_slot(struct npf_ebpf_gen *g, uint8_t place, uint8_t reg, bool pointer)
{
	npf_ebpf_write(CODE, pointer ? E_DW : NPF_W, R10, (uint32_t)AT_SLOT(place - NPF_PLACE_SLOT),
		       reg);
}

void npf_ebpf_read_frame(struct npf_ebpf_gen *g, uint8_t size, uint8_t reg, uint32_t at)
{
	npf_ebpf_read(CODE, E_DW, reg, R10, (uint32_t)AT_FRAME);
	npf_ebpf_read(CODE, size, reg, reg, at);
}

void npf_ebpf_read_fixed(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	npf_ebpf_read(CODE, npf_ebpf_size_code(insn->size), reg, g->direct ? R2 : R6,
		      g->peek ? insn->imm + CODE->peek->bytes_at : insn->imm);
	npf_ebpf_to_host(g, reg, value);
}

uint32_t npf_ebpf_possible_bits(const struct npf_ir *ir, uint16_t value)
{
	uint32_t bound = npf_ir_bound(ir, value);

	return bound ? 0xFFFFFFFFu >> __builtin_clz(bound) : 0;
}

bool npf_ebpf_in_window(const struct npf_ebpf_gen *g, const struct npf_ir *ir,
			const struct npf_ir_insn *insn)
{
	uint64_t end = (uint64_t)insn->imm + insn->size;

	if (insn->a == NPF_IR_NONE)
		return end <= g->window;
	return end + npf_ir_bound(ir, insn->a) <= g->window &&
	       end + npf_ebpf_possible_bits(ir, insn->a) <= NPF_EBPF_WINDOW_SIZE;
}

void npf_ebpf_compute_cheap(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	switch (insn->op) {
	case NPF_IR_CONST:
		npf_ebpf_move_k(CODE, reg, insn->imm);
		break;
	case NPF_IR_CAPLEN:
		if (g->direct || g->peek)
			npf_ebpf_read_frame(g, NPF_W, reg, FIELD(length));
		else
			npf_ebpf_read(CODE, NPF_W, reg, R10, (uint32_t)AT_LENGTH);
		break;
	case NPF_IR_WIRELEN:
		npf_ebpf_read_frame(g, NPF_W, reg, FIELD(wire_length));
		break;
	case NPF_IR_FIELD:
		npf_ebpf_read_frame(g, npf_ebpf_size_code(insn->size), reg, insn->imm);
		break;
	default:
		npf_ebpf_read_fixed(g, reg, value);
		break;
	}
}

uint8_t npf_ebpf_use(struct npf_ebpf_gen *g, uint16_t value, uint8_t scratch)
{
	uint8_t place = g->places.place[value];

	if (place == NPF_PLACE_NONE) {
		npf_ebpf_compute_cheap(g, scratch, value);
		return scratch;
	}
	if (place >= NPF_PLACE_SLOT) {
		npf_ebpf_read_slot(g, scratch, place, false);
		return scratch;
	}
	return place;
}

void npf_ebpf_fetch(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	npf_ebpf_move(CODE, reg, npf_ebpf_use(g, value, reg));
}

uint8_t npf_ebpf_target(const struct npf_ebpf_gen *g, uint32_t name)
{
	uint8_t place = g->places.place[name];

	return place >= NPF_PLACE_SLOT ? R0 : place;
}

void npf_ebpf_keep(struct npf_ebpf_gen *g, uint32_t name, uint8_t reg)
{
	uint8_t place = g->places.place[name];
	bool pointer = name >= g->ir->n_insns;

	if (place >= NPF_PLACE_SLOT)
		npf_ebpf_write_slot(g, place, reg, pointer);
	else if (pointer)
		npf_ebpf_move_pointer(CODE, place, reg);
	else
		npf_ebpf_move(CODE, place, reg);
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

static uint8_t alu_code(uint8_t op)
{
	static const uint8_t codes[] = {
		[NPF_IR_ADD] = NPF_ADD, [NPF_IR_SUB] = NPF_SUB, [NPF_IR_MUL] = NPF_MUL,
		[NPF_IR_DIV] = NPF_DIV, [NPF_IR_MOD] = NPF_MOD, [NPF_IR_AND] = NPF_AND,
		[NPF_IR_OR] = NPF_OR,   [NPF_IR_XOR] = NPF_XOR, [NPF_IR_LSH] = NPF_LSH,
		[NPF_IR_RSH] = NPF_RSH,
	};

	return NPF_ALU | codes[op];
}

static void compute_k(struct npf_ebpf_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t reg = npf_ebpf_target(g, value);

	npf_ebpf_fetch(g, reg, insn->a);
	if (insn->op == NPF_IR_NEG)
		npf_ebpf_k(CODE, NPF_ALU | NPF_NEG, reg, 0);
	else
		npf_ebpf_k(CODE, alu_code(insn->op), reg,
			   npf_ebpf_raw_constant(g, value, insn->imm));
	npf_ebpf_keep(g, value, reg);
}

/* In r0, for the result's register may be that of the second operand. */
static void compute_x(struct npf_ebpf_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t b, reg = npf_ebpf_target(g, value);

	b = npf_ebpf_use(g, insn->b, R1);
	if (reg == b || insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH)
		reg = R0;
	npf_ebpf_fetch(g, reg, insn->a);
	npf_ebpf_x(CODE, alu_code(insn->op), reg, b);
	if (insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH) {
		/* The kernel takes a register's distance modulo 32. */
		npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_JMP32 | E_JLT | NPF_K,
							    .dst = b,
							    .off = 1,
							    .imm = 32 });
		npf_ebpf_move_k(CODE, reg, 0);
	}
	npf_ebpf_keep(g, value, reg);
}

void npf_ebpf_compute(struct npf_ebpf_gen *g, uint16_t i)
{
	uint8_t reg = npf_ebpf_target(g, i);

	if (npf_ebpf_is_cheap(&g->places, i)) {
		npf_ebpf_compute_cheap(g, reg, i);
		npf_ebpf_keep(g, i, reg);
	} else if (g->ir->insns[i].b == NPF_IR_NONE) {
		compute_k(g, i);
	} else {
		compute_x(g, i);
	}
}
