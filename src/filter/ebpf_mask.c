/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mask of programs that accept, in r9, and how a joined form (npf_ir_join()) says it. There a mask
 * is a value like others: constants, the parameters of blocks, and those with bits added. Each way
 * knows but one of them, the last parameter it has passed: that is in r9, bits that were added since
 * are set where the next parameter takes over. So the mask is never moved, and to the verifier, which
 * sees bits flipped in a number that it knows nothing of, it is the same on all ways.
 */
#include "filter/ebpf_gen.h"
#include "filter/optimise.h"

#define NONE  NPF_IR_NONE
#define UNSET 0xFFFEu /* no way to this block has been seen */
#define MIXED 0xFFFDu /* ways bring different parameters */

/* ---- in r9 ---------------------------------------------------------------------------------- */

/* r9 = 0, which the verifier takes for any number. */
void npf_ebpf_begin_mask(struct npf_ebpf_gen *g)
{
	if (!g->is_mask)
		return;
	npf_ebpf_read(CODE, E_DW, R1, R10, (uint32_t)AT_FRAME);
	npf_ebpf_read(CODE, NPF_W, R0, R1, FIELD(length));
	npf_ebpf_read(CODE, NPF_W, R9, R1, FIELD(length));
	npf_ebpf_k(CODE, E_ALU64 | NPF_LSH, R9, 32);
	npf_ebpf_x(CODE, E_ALU64 | NPF_OR, R9, R0);
	npf_ebpf_move_pointer(CODE, R1, R9);
	npf_ebpf_x(CODE, E_ALU64 | NPF_XOR, R9, R1);
}

void npf_ebpf_end_mask(struct npf_ebpf_gen *g)
{
	if (!g->is_mask)
		return;
	npf_ebpf_x(CODE, E_ALU64 | E_MOV, R0, R9);
	npf_ebpf_exit(CODE);
}

void npf_ebpf_flip(struct npf_ebpf_gen *g, uint64_t bits)
{
	if (!(bits >> 31)) {
		npf_ebpf_k(CODE, E_ALU64 | NPF_XOR, R9, (uint32_t)bits);
		return;
	}
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_LDDW, .imm = (int32_t)bits });
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .imm = (int32_t)(bits >> 32) });
	npf_ebpf_x(CODE, E_ALU64 | NPF_XOR, R9, R0);
}

/* ---- of a joined form ------------------------------------------------------------------------ */

/* What a value is: a parameter, or nothing, and bits added. */
struct mask {
	uint16_t root; /* NONE: the bits are all */
	uint32_t bits;
};

static struct mask mask_of(const struct npf_ebpf_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	struct mask mask = { .root = NONE };

	for (; insn->op == NPF_IR_OR; insn = &g->ir->insns[value]) {
		mask.bits |= insn->imm;
		value = insn->a;
	}
	if (insn->op == NPF_IR_CONST)
		mask.bits |= insn->imm;
	else
		mask.root = value;
	return mask;
}

/* What a block that returns says. */
static struct mask returned(const struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	return block->a == NONE ? (struct mask){ NONE, block->imm } : mask_of(g, block->a);
}

/* The number of a block's parameter that is a mask; as many as there are: none is. */
static uint32_t mask_param(const struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	uint32_t i = 0;

	while (i < block->params && !g->masks[block->first + i])
		i++;
	return i;
}

/* What an edge brings to such a parameter. */
static bool brought(const struct npf_ebpf_gen *g, const struct npf_ir_edge *edge, struct mask *mask)
{
	const struct npf_ir_block *to = &g->ir->blocks[edge->block];
	uint32_t i = mask_param(g, to);

	if (i == to->params)
		return false;
	*mask = mask_of(g, g->ir->args[edge->args + i]);
	return true;
}

/* ---- finding them ---------------------------------------------------------------------------- */

static void mark(struct npf_ebpf_gen *g, uint16_t value)
{
	if (value != NONE && g->ir->insns[value].op != NPF_IR_CONST)
		g->masks[value] = true;
}

/* All that is returned is a mask, and what it is made of. */
static void mark_block(struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	const struct npf_ir *ir = g->ir;

	if (block->end == NPF_IR_RETURN)
		mark(g, block->a);
	for (uint32_t e = 0; e < npf_ir_edges(block); e++) {
		const struct npf_ir_edge *edge = &block->edges[e];
		const struct npf_ir_block *to = &ir->blocks[edge->block];

		for (uint32_t i = 0; i < to->params; i++) {
			if (g->masks[to->first + i])
				mark(g, ir->args[edge->args + i]);
		}
	}
	for (uint32_t i = block->count; i-- > 0;) {
		if (g->masks[block->first + i])
			mark(g, ir->insns[block->first + i].a);
	}
}

static bool is_mask(const struct npf_ebpf_gen *g, uint16_t value)
{
	return value != NONE && g->masks[value];
}

static bool is_sound_insn(const struct npf_ebpf_gen *g, uint32_t i)
{
	const struct npf_ir_insn *insn = &g->ir->insns[i];

	if (g->masks[i])
		return insn->op == NPF_IR_PARAM || (insn->op == NPF_IR_OR && insn->b == NONE);
	return insn->op == NPF_IR_PARAM || insn->op == NPF_IR_CONST ||
	       (!is_mask(g, insn->a) && !is_mask(g, insn->b));
}

static bool is_sound_edge(const struct npf_ebpf_gen *g, const struct npf_ir_edge *edge)
{
	const struct npf_ir_block *to = &g->ir->blocks[edge->block];
	uint32_t masks = 0;

	for (uint32_t i = 0; i < to->params; i++) {
		masks += g->masks[to->first + i];
		if (!g->masks[to->first + i] && is_mask(g, g->ir->args[edge->args + i]))
			return false;
	}
	return masks <= 1;
}

/* Are masks only made of masks, and used as such? */
static bool is_sound(const struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		if (!is_sound_insn(g, i))
			return false;
	}
	for (uint32_t e = 0; e < npf_ir_edges(block); e++) {
		if (!is_sound_edge(g, &block->edges[e]))
			return false;
	}
	return block->end == NPF_IR_GOTO || block->end == NPF_IR_RETURN ||
	       (!is_mask(g, block->a) && !is_mask(g, block->b));
}

/* Can r9 become this mask where it holds that? A bit must not be flipped back, and a form that does not
 * know is not said to by any. */
static bool can_become(const struct npf_ebpf_gen *g, struct mask mask, uint16_t holds)
{
	if (mask.root != holds)
		return false;
	return mask.root == NONE ? mask.bits & NPF_IR_JOINED
				 : !(mask.bits & g->mask_bits[mask.root]);
}

/* What r9 holds where each block begins, from the blocks before it. */
static bool follow(struct npf_ebpf_gen *g, uint32_t b)
{
	const struct npf_ir_block *block = &g->ir->blocks[b];
	struct mask mask;

	if (block->end == NPF_IR_RETURN)
		return can_become(g, returned(g, block), g->mask_held[b]);
	for (uint32_t e = 0; e < npf_ir_edges(block); e++) {
		uint16_t to = block->edges[e].block, held = g->mask_held[b];

		if (!brought(g, &block->edges[e], &mask)) {
			if (g->mask_held[to] == UNSET)
				g->mask_held[to] = held;
			else if (g->mask_held[to] != held)
				g->mask_held[to] = MIXED;
			continue;
		}
		if (!can_become(g, mask, held))
			return false;
		held = (uint16_t)(g->ir->blocks[to].first + mask_param(g, &g->ir->blocks[to]));
		g->mask_held[to] = held;
		g->mask_bits[held] |= mask.bits;
		if (mask.root != NONE)
			g->mask_bits[held] |= g->mask_bits[mask.root];
	}
	return true;
}

bool npf_ebpf_find_masks(struct npf_ebpf_gen *g)
{
	const struct npf_ir *ir = g->ir;

	if (ir->n_insns > MIXED)
		return false;
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		g->masks[i] = false;
		g->mask_bits[i] = 0;
	}
	for (uint32_t b = ir->n_blocks; b-- > 0;) {
		g->mask_held[b] = b ? UNSET : NONE;
		mark_block(g, &ir->blocks[b]);
	}
	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		if (!is_sound(g, &ir->blocks[b]) || !follow(g, b))
			return false;
	}
	return true;
}

/* ---- code ----------------------------------------------------------------------------------- */

static void add_bits(struct npf_ebpf_gen *g, struct mask mask)
{
	uint32_t bits = mask.bits & ~NPF_IR_JOINED;

	if (bits)
		npf_ebpf_flip(g, bits);
}

bool npf_ebpf_edge_changes_mask(const struct npf_ebpf_gen *g, const struct npf_ir_edge *edge)
{
	struct mask mask;

	return g->joined && brought(g, edge, &mask) && (mask.bits & ~NPF_IR_JOINED);
}

void npf_ebpf_take_mask(struct npf_ebpf_gen *g, const struct npf_ir_edge *edge)
{
	struct mask mask;

	if (g->joined && brought(g, edge, &mask))
		add_bits(g, mask);
}

void npf_ebpf_return_mask(struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	add_bits(g, returned(g, block));
	npf_ebpf_go_to(g, LABEL_NEXT);
}
