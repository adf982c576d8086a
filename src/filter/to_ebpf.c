/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the intermediate form to functions that the kernel verifies and compiles.
 *
 *	r0, r1   scratch
 *	r2, r3   DIRECT: the packet, and its end
 *	r6       COPY, PEEK: the window
 *	r9       of several programs: the mask
 *	others   values
 *	stack    arguments, what the packet holds, values for which no register is left
 *
 * The function begins with the COPY part; the DIRECT or the PEEK part, if any, stands behind it and is
 * jumped to. A packet that it cannot judge starts anew in the COPY part, and one that a joined form cannot judge meets each program there. To PEEK
 * the packet's bytes are an array in some structure of the kernel's; the functions that say so are
 * moves to the processor, but end the life of r1 to r5 for the verifier. The kernel refuses code
 * that nothing reaches, so blocks are emitted only when something before them led there. It also
 * walks through every way that states do not join: so a comparison of a key with many others works
 * on a copy, and the mask looks like any number.
 */
#include <errno.h>
#include <string.h>

#include "filter/ebpf_gen.h"
#include "filter/optimise.h"

/* struct __sk_buff */
#define SKB_DATA     76
#define SKB_DATA_END 80

#define SHORT_FRAME     42u /* ARP on Ethernet: all frames are at least as long */
#define INSNS_PER_VALUE 20u
#define INSNS_PER_BLOCK 12u
#define INSNS_BESIDE    96u

/* ---- instructions --------------------------------------------------------------------------- */

/* False: nothing may follow in this block. */
static bool emit_insn(struct npf_ebpf_gen *g, uint16_t i)
{
	const struct npf_ir_insn *insn = &g->ir->insns[i];
	bool wanted = g->places.place[i] != NPF_PLACE_NONE;

	if (insn->op == NPF_IR_NEED)
		return g->direct ? npf_ebpf_need_direct(g, insn) : npf_ebpf_need_length(g, insn);
	if (insn->op == NPF_IR_NONZERO) {
		npf_ebpf_jump_k(g, NPF_JEQ, npf_ebpf_use(g, insn->a, R0), 0, LABEL_FAIL);
		return true;
	}
	if (wanted && insn->op == NPF_IR_LOAD)
		npf_ebpf_load(g, i);
	else if (wanted && insn->op >= NPF_IR_IS_EQ)
		npf_ebpf_compute_condition(g, i);
	else if (wanted && insn->op != NPF_IR_PARAM)
		npf_ebpf_compute(g, i);
	if (g->direct && g->places.needs[i] > 1)
		npf_ebpf_make_pointer(g, i);
	return true;
}

/* ---- a program ------------------------------------------------------------------------------ */

static void emit_block(struct npf_ebpf_gen *g)
{
	const struct npf_ir_block *block = &g->ir->blocks[g->block];

	npf_ebpf_put_label(g, npf_ebpf_block_label(g->block));
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		if (!emit_insn(g, (uint16_t)i))
			return;
	}
	npf_ebpf_emit_end(g, block);
}

/* Values of which every use compares them with constants stay in the packet's order. */
static void spoil(struct npf_ebpf_gen *g, uint16_t value)
{
	if (value != NPF_IR_NONE)
		g->raw[value] = false;
}

static bool compares_raw(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	const struct npf_ir_insn *insn = &ir->insns[block->a];

	while (insn->op == NPF_IR_AND)
		insn = &ir->insns[insn->a];
	return (block->end == NPF_IR_IF_SET || block->end == NPF_IR_IF_EQ) &&
	       block->b == NPF_IR_NONE && (insn->size == 4 || block->imm <= 0xFFFF);
}

static void find_raw_ends(struct npf_ebpf_gen *g)
{
	const struct npf_ir *ir = g->ir;

	for (uint32_t i = 0; i < ir->n_args; i++)
		spoil(g, ir->args[i]);
	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		const struct npf_ir_block *block = &ir->blocks[b];

		if (block->end == NPF_IR_GOTO ||
		    (block->end != NPF_IR_RETURN && compares_raw(ir, block)))
			continue;
		spoil(g, block->a);
		if (block->end != NPF_IR_RETURN)
			spoil(g, block->b);
	}
}

static void find_raw(struct npf_ebpf_gen *g)
{
	const struct npf_ir *ir = g->ir;

	for (uint32_t i = 0; i < ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		g->raw[i] = insn->op == NPF_IR_LOAD && insn->size > 1;
		if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE)
			g->raw[i] = g->raw[insn->a];
	}
	find_raw_ends(g);
	/* Users come after what they use. */
	for (uint32_t i = ir->n_insns; i-- > 0;) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE && g->raw[i])
			continue;
		spoil(g, insn->a);
		spoil(g, insn->b);
	}
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE)
			g->raw[i] &= g->raw[insn->a];
	}
}

/* Loads that destroy r1 to r5; functions that only the verifier knows do so, too. */
static bool calls(const struct npf_ebpf_gen *g, const struct npf_ir_insn *insn)
{
	return insn->op == NPF_IR_LOAD && !g->direct &&
	       (!npf_ebpf_in_window(g, g->ir, insn) || (g->peek && insn->a != NPF_IR_NONE));
}

static void count_calls(struct npf_ebpf_gen *g)
{
	const struct npf_ir *ir = g->ir;
	uint32_t at = 0;
	uint16_t n = 0;

	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		const struct npf_ir_block *block = &ir->blocks[b];

		for (uint32_t i = 0; i < block->count; i++) {
			n += calls(g, &ir->insns[block->first + i]);
			g->places.calls[at++] = n;
		}
		g->places.calls[at++] = n; /* the block's end */
	}
}

/* The registers that values may have in this part. */
static void choose_registers(struct npf_ebpf_gen *g)
{
	const uint32_t saved = 1u << R7 | 1u << R8 | (g->is_mask ? 0 : 1u << R9);

	g->places.fragile = g->direct ? 0 : 1u << R2 | 1u << R3 | 1u << R4 | 1u << R5;
	g->places.registers = saved |
			      (g->direct ? 1u << R4 | 1u << R5 | 1u << R6 : g->places.fragile);
}

static void emit_fail(struct npf_ebpf_gen *g)
{
	if (g->is_mask) {
		npf_ebpf_go_to(g, LABEL_NEXT);
		return;
	}
	npf_ebpf_move_k(CODE, R0, 0);
	npf_ebpf_exit(CODE);
}

/* DIRECT, PEEK: the bytes are not there. When the linear part is the whole packet, that is final. */
static void emit_unjudged(struct npf_ebpf_gen *g)
{
	if (g->direct) {
		npf_ebpf_move_pointer(CODE, R0, R3);
		npf_ebpf_x(CODE, E_ALU64 | NPF_SUB, R0, R2);
	} else {
		npf_ebpf_read(CODE, NPF_W, R0, R10, (uint32_t)AT_LENGTH);
	}
	npf_ebpf_read_frame(g, NPF_W, R1, FIELD(length));
	npf_ebpf_jump_x(g, E_JMP32 | E_JNE, R0, R1, LABEL_COPY);
}

/* When a joined form fails, each program is asked by itself. */
static void emit_failures(struct npf_ebpf_gen *g)
{
	if (g->label_used[LABEL_UNJUDGED]) {
		npf_ebpf_put_label(g, LABEL_UNJUDGED);
		if (!g->joined)
			emit_unjudged(g);
	}
	if (!g->label_used[LABEL_FAIL] && !g->label_used[LABEL_UNJUDGED])
		return;
	npf_ebpf_put_label(g, LABEL_FAIL);
	if (g->joined)
		npf_ebpf_go_to(g, LABEL_COPY);
	else
		emit_fail(g);
}

static void emit_program(struct npf_ebpf_gen *g)
{
	const struct npf_ir *ir = g->ir;

	if (g->joined && !npf_ebpf_find_masks(g)) {
		g->err = -E2BIG;
		return;
	}
	g->places.ir = ir;
	g->places.masks = g->joined ? g->masks : NULL;
	g->places.pointers = g->direct;
	g->places.near = g->direct ? UINT32_MAX : g->peek ? 0 : g->window;
	choose_registers(g);
	count_calls(g);
	if (!g->err)
		g->err = npf_ebpf_place(&g->places);
	if (g->err)
		return;
	find_raw(g);
	g->label_used[npf_ebpf_block_label(0)] = true;
	for (g->block = 0; g->block < ir->n_blocks && !g->err; g->block++) {
		if (g->label_used[npf_ebpf_block_label(g->block)])
			emit_block(g);
	}
	emit_failures(g);
	g->ended = !g->label_used[LABEL_NEXT];
	npf_ebpf_put_label(g, LABEL_NEXT);
	npf_ebpf_resolve(g, false);
	npf_ebpf_forget_labels(g);
}

/* ---- the parts ------------------------------------------------------------------------------ */

/* CAPLEN counts the tag, which only COPY does. */
static bool looks_at_packet(const struct npf_ir *ir)
{
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		uint8_t op = ir->insns[i].op;

		if (op == NPF_IR_NEED || op == NPF_IR_LOAD || op == NPF_IR_CAPLEN)
			return true;
	}
	return false;
}

static bool any_looks(const struct npf_ebpf_gen *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (looks_at_packet(g->programs[i]))
			return true;
	}
	return false;
}

/* DIRECT, PEEK: what a first comparison asks for, which turns no usual frame away. */
static uint32_t first_need(const struct npf_ebpf_gen *g)
{
	uint32_t most = 0;

	for (uint32_t p = 0; p < g->n; p++) {
		for (uint32_t i = 0; i < g->programs[p]->n_insns; i++) {
			const struct npf_ir_insn *insn = &g->programs[p]->insns[i];

			if (insn->op == NPF_IR_NEED && insn->a == NPF_IR_NONE && insn->imm > most)
				most = insn->imm;
		}
	}
	return most < SHORT_FRAME ? most : SHORT_FRAME;
}

/* How much of the packet the window should hold. */
static uint32_t window_size(const struct npf_ebpf_gen *g)
{
	uint64_t most = LEAST_WINDOW;

	for (uint32_t p = 0; p < g->n; p++) {
		const struct npf_ir *ir = g->programs[p];

		for (uint32_t i = 0; i < ir->n_insns; i++) {
			const struct npf_ir_insn *insn = &ir->insns[i];
			uint64_t end = (uint64_t)insn->imm + insn->size;

			if (insn->op != NPF_IR_LOAD)
				continue;
			if (insn->a != NPF_IR_NONE)
				end += npf_ir_bound(ir, insn->a);
			if (end <= NPF_EBPF_WINDOW && end > most)
				most = end;
		}
	}
	return (uint32_t)most;
}

static void keep_arguments(struct npf_ebpf_gen *g, bool packet)
{
	if (packet) {
		npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_CONTEXT, R1);
		npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_WINDOW, R3);
	}
	npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_FRAME, R2);
}

static void emit_form(struct npf_ebpf_gen *g, uint32_t i)
{
	g->index = i;
	g->ir = g->programs[i];
	if (g->peek)
		g->ir = npf_ebpf_widen(g, g->ir);
	emit_program(g);
}

static void emit_programs(struct npf_ebpf_gen *g)
{
	uint32_t first = 0;

	g->ended = false;
	if (g->n_forms > g->n) {
		g->joined = true;
		emit_form(g, g->n);
		g->joined = false;
		first = NPF_IR_MOST_JOINED;
	}
	for (uint32_t i = first; i < g->n && !g->ended; i++)
		emit_form(g, i);
	if (!g->ended)
		npf_ebpf_end_mask(g);
}

static bool any_wire(const struct npf_ebpf_gen *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (g->programs[i]->dialect == NPF_DIALECT_WIRE)
			return true;
	}
	return false;
}

static void emit_direct(struct npf_ebpf_gen *g)
{
	g->direct = true;
	npf_ebpf_read(CODE, NPF_W, R2, R1, SKB_DATA);
	npf_ebpf_read(CODE, NPF_W, R3, R1, SKB_DATA_END);
	npf_ebpf_move_pointer(CODE, R0, R2);
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R0, g->proven);
	npf_ebpf_jump_x(g, NPF_JMP | NPF_JGT, R0, R3, LABEL_COPY);
	npf_ebpf_begin_mask(g);
	emit_programs(g);
}

/* Is there a load, or a check, that the part with wide loads makes with what the stack keeps? */
static void find_kept(struct npf_ebpf_gen *g, bool *head, bool *data)
{
	*head = *data = false;
	for (uint32_t p = 0; p < g->n_forms; p++) {
		for (uint32_t i = 0; i < g->programs[p]->n_insns; i++) {
			const struct npf_ir_insn *insn = &g->programs[p]->insns[i];

			*head |= insn->op == NPF_IR_NEED &&
				 (insn->a != NPF_IR_NONE || insn->imm > g->proven);
			*data |= insn->op == NPF_IR_LOAD && insn->a != NPF_IR_NONE;
		}
	}
}

/* r1: the context. The window is the packet's linear part itself. */
static void emit_peek(struct npf_ebpf_gen *g)
{
	const struct npf_ebpf_peek *peek = CODE->peek;
	bool keeps_head, keeps_data;

	g->peek = true;
	g->window = window_size(g);
	npf_ebpf_call_kernel(CODE, peek->cast_context);
	npf_ebpf_read(CODE, NPF_W, R4, R0, peek->length_at);
	npf_ebpf_read(CODE, NPF_W, R5, R0, peek->beyond_at);
	npf_ebpf_read(CODE, E_DW, R1, R0, peek->data_at);
	npf_ebpf_x(CODE, NPF_ALU | NPF_SUB, R4, R5);
	npf_ebpf_jump_k(g, E_JLT, R4, g->proven, LABEL_COPY);
	find_kept(g, &keeps_head, &keeps_data);
	if (keeps_head)
		npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LENGTH, R4);
	if (keeps_data)
		npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_DATA, R1);
	npf_ebpf_make_readable(g);
	npf_ebpf_move_pointer(CODE, R6, R0);
	npf_ebpf_begin_mask(g);
	emit_programs(g);
	g->peek = false;
}

/* Copy r4 bytes from offset `from` of the packet to `to` of the window. */
static void call_copy(struct npf_ebpf_gen *g, uint32_t from, uint32_t to)
{
	npf_ebpf_read(CODE, E_DW, R1, R10, (uint32_t)AT_CONTEXT);
	npf_ebpf_move_k(CODE, R2, from);
	npf_ebpf_move_pointer(CODE, R3, R6);
	if (to)
		npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R3, to);
	npf_ebpf_emit(CODE,
		      (struct npf_ebpf_insn){ .code = NPF_JMP | E_CALL, .imm = SKB_LOAD_BYTES });
}

/* r4 = min(r4, most), and to the label when that is nothing. */
static void limit(struct npf_ebpf_gen *g, uint32_t most, uint32_t label)
{
	npf_ebpf_jump(g, NPF_JMP | E_JLT | NPF_K, R4, 0, 1, label);
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = NPF_JMP | E_JLE | NPF_K,
						    .dst = R4,
						    .off = 1,
						    .imm = (int32_t)most });
	npf_ebpf_move_k(CODE, R4, most);
}

/* The tag's half at `field` of the frame (its address in r5) to `to` of the window. */
static void put_half(struct npf_ebpf_gen *g, uint32_t field, uint32_t to)
{
	npf_ebpf_read(CODE, NPF_H, R0, R5, field);
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_TO_BE, .dst = R0, .imm = 16 });
	npf_ebpf_write(CODE, NPF_H, R6, to, R0);
}

/* Fill the window as on the wire: the tag in its place. A tagged frame holds at least 12 bytes. */
static void fill_tagged(struct npf_ebpf_gen *g, uint32_t done)
{
	npf_ebpf_k(CODE, NPF_ALU | NPF_ADD, R4, NPF_TAG_SIZE);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LENGTH, R4);
	npf_ebpf_move_k(CODE, R0, NPF_TAG_SIZE);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_SHIFT, R0);
	put_half(g, FIELD(tag_tpid), NPF_TAG_OFFSET);
	put_half(g, FIELD(tag_tci), NPF_TAG_OFFSET + 2);
	npf_ebpf_move_k(CODE, R4, NPF_TAG_OFFSET);
	call_copy(g, 0, 0);
	npf_ebpf_read(CODE, NPF_W, R4, R10, (uint32_t)AT_LENGTH);
	npf_ebpf_jump_k(g, E_JLT, R4, NPF_TAG_OFFSET + NPF_TAG_SIZE + 1, done);
	npf_ebpf_k(CODE, NPF_ALU | NPF_SUB, R4, NPF_TAG_OFFSET + NPF_TAG_SIZE);
	limit(g, g->window - NPF_TAG_OFFSET - NPF_TAG_SIZE, done);
	call_copy(g, NPF_TAG_OFFSET, NPF_TAG_OFFSET + NPF_TAG_SIZE);
	npf_ebpf_go_to(g, done);
}

static void fill_window(struct npf_ebpf_gen *g, enum npf_dialect dialect)
{
	uint32_t done = npf_ebpf_local_label(g), plain = npf_ebpf_local_label(g);

	npf_ebpf_read(CODE, E_DW, R5, R10, (uint32_t)AT_FRAME);
	npf_ebpf_read(CODE, NPF_W, R4, R5, FIELD(length));
	if (dialect == NPF_DIALECT_WIRE) {
		npf_ebpf_read(CODE, NPF_W, R0, R5, FIELD(tagged));
		npf_ebpf_jump_k(g, NPF_JEQ, R0, 0, plain);
		fill_tagged(g, done);
		npf_ebpf_put_label(g, plain);
	}
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LENGTH, R4);
	npf_ebpf_move_k(CODE, R0, 0);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_SHIFT, R0);
	limit(g, g->window, done);
	call_copy(g, 0, 0);
	npf_ebpf_put_label(g, done);
	npf_ebpf_resolve(g, false);
	npf_ebpf_forget_labels(g);
}

static void emit_copy(struct npf_ebpf_gen *g)
{
	int dialect = -1;

	g->direct = false;
	g->window = window_size(g);
	npf_ebpf_read(CODE, E_DW, R6, R10, (uint32_t)AT_WINDOW);
	npf_ebpf_begin_mask(g);
	for (g->index = 0; g->index < g->n; g->index++) {
		g->ir = g->programs[g->index];
		if ((int)g->ir->dialect != dialect) {
			dialect = (int)g->ir->dialect;
			fill_window(g, g->ir->dialect);
		}
		emit_program(g);
	}
	npf_ebpf_end_mask(g);
}

/* Of programs that look at no byte. */
static void emit_blind(struct npf_ebpf_gen *g)
{
	g->direct = true;
	g->n_forms = g->n;
	npf_ebpf_begin_mask(g);
	emit_programs(g);
}

/* In place of the copy. */
static void emit_all_bits(struct npf_ebpf_gen *g)
{
	npf_ebpf_k(CODE, E_ALU64 | E_MOV, R0, UINT32_MAX);
	npf_ebpf_exit(CODE);
}

/* The copy comes first and is jumped over, so that what is seldom needed does not lie between the other
 * part and what follows the function. r2: the frame. */
static void emit_both(struct npf_ebpf_gen *g, enum npf_ebpf_access access)
{
	if (any_wire(g)) {
		npf_ebpf_read(CODE, NPF_W, R0, R2, FIELD(tagged));
		npf_ebpf_jump_k(g, NPF_JEQ, R0, 0, LABEL_MAIN);
	} else {
		npf_ebpf_go_to(g, LABEL_MAIN);
	}
	npf_ebpf_put_label(g, LABEL_COPY);
	if (access == NPF_EBPF_GLANCE)
		emit_all_bits(g);
	else
		emit_copy(g);
	npf_ebpf_put_label(g, LABEL_MAIN);
	if (access == NPF_EBPF_PEEK)
		emit_peek(g);
	else
		emit_direct(g);
}

/* What compares no length first may find nothing to leave to the copy, which must be reached. */
static void emit_function(struct npf_ebpf_gen *g, enum npf_ebpf_access access)
{
	bool looks = any_looks(g);

	g->proven = first_need(g);
	keep_arguments(g, looks);
	if (!looks)
		emit_blind(g);
	else if (access == NPF_EBPF_GLANCE && !g->proven)
		g->err = -E2BIG;
	else if (access == NPF_EBPF_COPY || !g->proven)
		emit_copy(g);
	else
		emit_both(g, access);
}

/* ---- memory --------------------------------------------------------------------------------- */

struct sizes {
	uint32_t insns, blocks, keys, args; /* of the largest program */
	uint32_t wide;                      /* instructions of its copy with wide loads */
	uint32_t sets;                      /* of all programs */
	uint32_t all; /* instructions of the result, of all programs and both parts */
};

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static struct sizes measure(const struct npf_ir *const *programs, uint32_t n)
{
	struct sizes sizes = { .all = INSNS_BESIDE };

	for (uint32_t i = 0; i < n; i++) {
		const struct npf_ir *ir = programs[i];

		sizes.insns = most(sizes.insns, ir->n_insns);
		sizes.blocks = most(sizes.blocks, ir->n_blocks);
		sizes.keys = most(sizes.keys, ir->n_keys);
		sizes.args = most(sizes.args, ir->n_args);
		sizes.sets += ir->n_sets;
		sizes.all += 2 * (INSNS_BESIDE + ir->n_insns * INSNS_PER_VALUE +
				  ir->n_blocks * INSNS_PER_BLOCK + ir->n_args * 3 + ir->n_keys * 4);
	}
	sizes.wide = sizes.insns * NPF_EBPF_WIDENED;
	return sizes;
}

static uint32_t most_labels(const struct sizes *sizes)
{
	return LABEL_BLOCKS + sizes->blocks * 3 + sizes->insns * 3 + sizes->keys + 8;
}

static uint32_t most_fixups(const struct sizes *sizes)
{
	return sizes->blocks * 4 + sizes->insns * 4 + sizes->keys * 4 + INSNS_BESIDE +
	       sizes->all / 8;
}

static size_t aligned(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/* NULL: only count. */
static void *take(uint8_t *space, size_t *used, size_t size)
{
	void *memory = space ? space + *used : NULL;

	*used += aligned(size);
	return memory;
}

/* Divide the space; the bytes that it takes. */
static size_t furnish(struct npf_ebpf_gen *g, void *space)
{
	const struct sizes sizes = measure(g->programs, g->n_forms);
	struct npf_ebpf_wide *wide = &g->wide;
	size_t used = 0;

	g->n_labels = most_labels(&sizes);
	g->max_fixups = most_fixups(&sizes);
	g->places.until = take(space, &used, sizes.wide * 2 * sizeof(uint32_t));
	g->places.place = take(space, &used, sizes.wide * 2);
	g->places.needs = take(space, &used, sizes.wide * sizeof(uint16_t));
	g->places.calls = take(space, &used, (sizes.wide + sizes.blocks) * sizeof(uint16_t));
	g->raw = take(space, &used, sizes.wide);
	g->masks = take(space, &used, sizes.wide);
	g->mask_bits = take(space, &used, sizes.wide * sizeof(uint32_t));
	g->mask_held = take(space, &used, sizes.blocks * sizeof(uint16_t));
	g->label_at = take(space, &used, g->n_labels * sizeof(uint32_t));
	g->label_used = take(space, &used, g->n_labels);
	g->fixups = take(space, &used, g->max_fixups * sizeof(struct npf_ebpf_fixup));
	g->moves = take(space, &used, (sizes.args + 1) * sizeof(struct npf_ebpf_transfer));
	wide->to.insns = take(space, &used, sizes.wide * sizeof(struct npf_ir_insn));
	wide->to.blocks = take(space, &used, sizes.blocks * sizeof(struct npf_ir_block));
	wide->to.args = take(space, &used, (sizes.args + 1) * sizeof(uint16_t));
	wide->above = take(space, &used, sizes.blocks * sizeof(uint16_t));
	wide->ways = take(space, &used, sizes.blocks * sizeof(uint16_t));
	wide->home = take(space, &used, sizes.insns * sizeof(uint16_t));
	wide->group = take(space, &used, sizes.insns * sizeof(uint16_t));
	wide->wide = take(space, &used, sizes.insns * sizeof(uint16_t));
	wide->map = take(space, &used, sizes.insns * sizeof(uint16_t));
	wide->start = take(space, &used, sizes.insns);
	wide->stays = take(space, &used, sizes.insns);
	g->n_tables = sizes.sets;
	g->tables = take(space, &used, sizes.sets * sizeof(struct npf_ebpf_table));
	g->table_work = take(space, &used, npf_ebpf_table_work(g->programs, g->n_forms));
	return used;
}

size_t npf_ebpf_space(const struct npf_ir *const *programs, uint32_t n)
{
	struct npf_ebpf_gen g = { .programs = programs, .n_forms = n };

	return furnish(&g, NULL);
}

uint32_t npf_ebpf_capacity(const struct npf_ir *const *programs, uint32_t n)
{
	return measure(programs, n).all;
}

static int generate(struct npf_ebpf_gen *g, enum npf_ebpf_access access, void *space, size_t size)
{
	uint32_t tables_length = g->code->tables_length;

	if (access == NPF_EBPF_PEEK && !g->code->peek)
		return -EINVAL;
	if (access == NPF_EBPF_GLANCE && g->n > NPF_IR_MOST_JOINED)
		return -E2BIG;
	if (size < npf_ebpf_space(g->programs, g->n_forms))
		return -ENOSPC;
	furnish(g, space);
	memset(g->label_at, 0, g->n_labels * sizeof(uint32_t));
	memset(g->label_used, 0, g->n_labels);
	memset(g->tables, 0, g->n_tables * sizeof(*g->tables));
	g->begin = g->code->length;
	g->ir = g->programs[0];
	emit_function(g, access);
	if (!g->err)
		npf_ebpf_resolve(g, true);
	if (!g->err && g->code->length > g->code->capacity)
		g->err = -ENOSPC;
	if (g->err) {
		g->code->length = g->begin;
		g->code->tables_length = tables_length;
	}
	return g->err;
}

int npf_ir_to_ebpf(const struct npf_ir *program, enum npf_ebpf_access access,
		   struct npf_ebpf_code *code, void *space, size_t size)
{
	struct npf_ebpf_gen g = { .programs = &program, .n = 1, .n_forms = 1, .code = code };

	return generate(&g, access, space, size);
}

int npf_irs_to_ebpf(const struct npf_ir *const *programs, uint32_t n, bool joined,
		    enum npf_ebpf_access access, struct npf_ebpf_code *code, void *space,
		    size_t size)
{
	struct npf_ebpf_gen g = {
		.programs = programs, .n = n, .n_forms = n + joined, .is_mask = true, .code = code
	};

	if (!n || n > NPF_EBPF_MAX_CLASSES)
		return -EINVAL;
	return generate(&g, access, space, size);
}
