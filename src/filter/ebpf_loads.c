/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet in eBPF code: bounds checks and loads. By pointers (DIRECT), from the window (COPY), from
 * the kernel's own memory (PEEK), and by a call where none of these reaches.
 */
#include "filter/ebpf_gen.h"

#define FAR_ENOUGH 0x7000u         /* what pointers and their offsets reach */
#define SINGLE_AT  NPF_EBPF_WINDOW /* where in the window's memory single loads go */

/* r2: offset, 64 bits. The value of single loads, from the kernel. Destroys r0 to r5. */
static void call_load(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t window = R6;

	npf_ebpf_read(CODE, E_DW, R1, R10, (uint32_t)AT_CONTEXT);
	if (g->peek)
		npf_ebpf_read(CODE, E_DW, R3, R10, (uint32_t)AT_WINDOW);
	else
		npf_ebpf_move_pointer(CODE, R3, R6);
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R3, SINGLE_AT);
	npf_ebpf_move_k(CODE, R4, insn->size);
	npf_ebpf_emit(CODE,
		      (struct npf_ebpf_insn){ .code = NPF_JMP | E_CALL, .imm = SKB_LOAD_BYTES });
	if (g->peek) {
		window = R1;
		npf_ebpf_read(CODE, E_DW, window, R10, (uint32_t)AT_WINDOW);
	}
	npf_ebpf_read(CODE, npf_ebpf_size_code(insn->size), reg, window, SINGLE_AT);
	npf_ebpf_to_host(g, reg, value);
}

static bool may_shift(const struct npf_ebpf_gen *g)
{
	return g->ir->dialect == NPF_DIALECT_WIRE;
}

/* A load that may lie behind the window. It was shown to lie in the packet, so that the call cannot
 * fail. What is not behind the tag is in the window. (To PEEK there is no tag.) */
static void load_single(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint32_t near = 0, done = 0;

	npf_ebpf_move_k(CODE, R2, insn->imm);
	if (insn->a != NPF_IR_NONE) {
		npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R2, npf_ebpf_use(g, insn->a, R1));
	}
	if (insn->a != NPF_IR_NONE && !g->peek) {
		near = npf_ebpf_local_label(g);
		done = npf_ebpf_local_label(g);
		npf_ebpf_jump(g, NPF_JMP | E_JLT | NPF_K, R2, 0, LEAST_WINDOW - 4, near);
	}
	if (may_shift(g) && !g->peek) {
		npf_ebpf_read(CODE, NPF_W, R1, R10, (uint32_t)AT_SHIFT);
		npf_ebpf_x(CODE, E_ALU64 | NPF_SUB, R2, R1);
	}
	call_load(g, reg, value);
	if (insn->a == NPF_IR_NONE || g->peek)
		return;
	npf_ebpf_go_to(g, done);
	npf_ebpf_put_label(g, near);
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R2, R6);
	npf_ebpf_read(CODE, npf_ebpf_size_code(insn->size), reg, R2, 0);
	npf_ebpf_to_host(g, reg, value);
	npf_ebpf_put_label(g, done);
}

void npf_ebpf_make_readable(struct npf_ebpf_gen *g)
{
	npf_ebpf_k(CODE, E_ALU64 | NPF_SUB, R1, CODE->peek->bytes_at);
	npf_ebpf_move_k(CODE, R2, CODE->peek->bytes);
	npf_ebpf_call_kernel(CODE, CODE->peek->cast_memory);
}

/* A structure is read at places that the verifier knows: the sum is an address of its own. */
static void peek_by_value(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	npf_ebpf_fetch(g, R1, insn->a);
	npf_ebpf_read(CODE, E_DW, R2, R10, (uint32_t)AT_DATA);
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R1, R2);
	npf_ebpf_make_readable(g);
	npf_ebpf_read(CODE, npf_ebpf_size_code(insn->size), reg, R0,
		      insn->imm + CODE->peek->bytes_at);
	npf_ebpf_to_host(g, reg, value);
}

static void load_in_window(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	npf_ebpf_move(CODE, R0, npf_ebpf_use(g, insn->a, R0));
	npf_ebpf_k(CODE, NPF_ALU | NPF_AND, R0, npf_ebpf_possible_bits(g->ir, insn->a));
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R0, R6);
	npf_ebpf_read(CODE, npf_ebpf_size_code(insn->size), reg, R0, insn->imm);
	npf_ebpf_to_host(g, reg, value);
}

static void load_by_pointer(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t place = g->places.place[g->ir->n_insns + insn->a];

	if (place >= NPF_PLACE_SLOT) {
		npf_ebpf_read_slot(g, R0, place, true);
		place = R0;
	}
	npf_ebpf_read(CODE, npf_ebpf_size_code(insn->size), reg, place, insn->imm);
	npf_ebpf_to_host(g, reg, value);
}

void npf_ebpf_load(struct npf_ebpf_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t reg = npf_ebpf_target(g, value);

	if (g->direct && insn->a != NPF_IR_NONE)
		load_by_pointer(g, reg, value);
	else if (!g->direct && !npf_ebpf_in_window(g, g->ir, insn))
		load_single(g, reg, value);
	else if (insn->a != NPF_IR_NONE && g->peek)
		peek_by_value(g, reg, value);
	else if (insn->a != NPF_IR_NONE)
		load_in_window(g, reg, value);
	else
		npf_ebpf_read_fixed(g, reg, value);
	npf_ebpf_keep(g, value, reg);
}

void npf_ebpf_make_pointer(struct npf_ebpf_gen *g, uint16_t base)
{
	uint32_t bits = npf_ebpf_possible_bits(g->ir, base);

	npf_ebpf_fetch(g, R1, base);
	if (bits < FAR_ENOUGH)
		npf_ebpf_k(CODE, NPF_ALU | NPF_AND, R1, bits);
	else
		npf_ebpf_jump_k(g, NPF_JGT, R1, FAR_ENOUGH, LABEL_COPY);
	npf_ebpf_move_pointer(CODE, R0, R2);
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R0, R1);
	if (g->places.place[g->ir->n_insns + base] != NPF_PLACE_NONE)
		npf_ebpf_keep(g, g->ir->n_insns + base, R0);
}

/* False: no packet passes here, nothing may follow. */
bool npf_ebpf_need_direct(struct npf_ebpf_gen *g, const struct npf_ir_insn *insn)
{
	if (insn->imm > FAR_ENOUGH) {
		npf_ebpf_go_to(g, LABEL_COPY);
		return false;
	}
	if (insn->a == NPF_IR_NONE) {
		if (insn->imm <= g->proven)
			return true;
		npf_ebpf_move_pointer(CODE, R0, R2);
	} else if (g->places.needs[insn->a] == 1) {
		npf_ebpf_make_pointer(g, insn->a);
	} else {
		uint8_t place = g->places.place[g->ir->n_insns + insn->a];

		if (place >= NPF_PLACE_SLOT)
			npf_ebpf_read_slot(g, R0, place, true);
		else
			npf_ebpf_move_pointer(CODE, R0, place);
	}
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R0, insn->imm);
	npf_ebpf_jump_x(g, NPF_JMP | NPF_JGT, R0, R3, LABEL_UNJUDGED);
	return true;
}

bool npf_ebpf_need_length(struct npf_ebpf_gen *g, const struct npf_ir_insn *insn)
{
	uint32_t otherwise = g->peek ? LABEL_UNJUDGED : LABEL_FAIL;

	if (insn->imm > INT32_MAX) {
		npf_ebpf_go_to(g, LABEL_FAIL);
		return false;
	}
	if (g->peek && insn->a == NPF_IR_NONE && insn->imm <= g->proven)
		return true;
	npf_ebpf_read(CODE, NPF_W, R0, R10, (uint32_t)AT_LENGTH);
	if (insn->a == NPF_IR_NONE) {
		npf_ebpf_jump_k(g, E_JLT, R0, insn->imm, otherwise);
		return true;
	}
	npf_ebpf_move(CODE, R1, npf_ebpf_use(g, insn->a, R1));
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R1, insn->imm);
	npf_ebpf_jump_x(g, NPF_JMP | NPF_JGT, R1, R0, otherwise);
	return true;
}
