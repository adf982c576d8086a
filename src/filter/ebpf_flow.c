/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control flow of eBPF code: conditions, the edges between blocks with the values that they carry, and
 * verdicts.
 */
#include "filter/ebpf_gen.h"

#define SMALL_SET 4u /* keys that are compared one after the other */

/* ---- conditions ----------------------------------------------------------------------------- */

static uint32_t key(const struct npf_ebpf_gen *g, const struct npf_ir_set *set, uint32_t i,
		    bool last)
{
	return set->is_range ? g->ir->keys[set->first + 2 * i + last] : g->ir->keys[set->first + i];
}

/* Is r0 one of the entries from to to - 1? A balanced tree. */
static void search(struct npf_ebpf_gen *g, const struct npf_ir_set *set, uint32_t from, uint32_t to,
		   uint32_t yes, uint32_t no)
{
	uint32_t middle = (from + to) / 2, right;

	if (to - from > SMALL_SET) {
		right = npf_ebpf_local_label(g);
		npf_ebpf_jump_k(g, NPF_JGT, R0, key(g, set, middle - 1, true), right);
		search(g, set, from, middle, yes, no);
		npf_ebpf_put_label(g, right);
		search(g, set, middle, to, yes, no);
		return;
	}
	for (uint32_t i = from; i < to; i++) {
		uint32_t first = key(g, set, i, false), last = key(g, set, i, true);

		if (first == last) {
			npf_ebpf_jump_k(g, NPF_JEQ, R0, first, yes);
		} else {
			npf_ebpf_jump_k(g, E_JLT, R0, first, no);
			npf_ebpf_jump_k(g, E_JLE, R0, last, yes);
		}
	}
	npf_ebpf_go_to(g, no);
}

/* What a condition compares: the end of a block, or an instruction that gives 1 or 0. */
struct condition {
	uint8_t op; /* of a jump; 0: in a set */
	uint16_t a, b;
	uint32_t imm;
};

static struct condition condition_of(uint8_t end, uint16_t a, uint16_t b, uint32_t imm)
{
	static const uint8_t ops[] = {
		[NPF_IR_IF_EQ] = NPF_JEQ,   [NPF_IR_IF_GT] = NPF_JGT, [NPF_IR_IF_GE] = NPF_JGE,
		[NPF_IR_IF_SET] = NPF_JSET, [NPF_IR_IF_IN] = 0,
	};

	return (struct condition){ ops[end], a, b, imm };
}

static uint8_t opposite(uint8_t op)
{
	switch (op) {
	case NPF_JEQ:
		return E_JNE;
	case NPF_JGT:
		return E_JLE;
	case NPF_JGE:
		return E_JLT;
	default:
		return 0;
	}
}

static void jump_if(struct npf_ebpf_gen *g, const struct condition *c, uint8_t op, uint32_t label)
{
	uint8_t b = c->b == NPF_IR_NONE ? R0 : npf_ebpf_use(g, c->b, R1);
	uint8_t a = npf_ebpf_use(g, c->a, R0);

	if (c->b == NPF_IR_NONE)
		npf_ebpf_jump_k(g, op, a, npf_ebpf_raw_constant(g, c->a, c->imm), label);
	else
		npf_ebpf_jump_x(g, E_JMP32 | op, a, b, label);
}

/* Go to one of two labels; the one that follows may be told. */
static void branch(struct npf_ebpf_gen *g, const struct condition *c, uint32_t yes, uint32_t no,
		   uint32_t next)
{
	if (!c->op && npf_ebpf_look_up(g, c->a, c->imm, yes, no))
		return;
	if (!c->op) {
		npf_ebpf_fetch(g, R0, c->a);
		/* Not the same number any more, as far as the verifier knows. */
		npf_ebpf_k(CODE, NPF_ALU | NPF_XOR, R0, 0);
		search(g, &g->ir->sets[c->imm], 0, g->ir->sets[c->imm].n, yes, no);
		return;
	}
	if (next == yes && opposite(c->op)) {
		jump_if(g, c, opposite(c->op), no);
		return;
	}
	jump_if(g, c, c->op, yes);
	if (next != no)
		npf_ebpf_go_to(g, no);
}

void npf_ebpf_compute_condition(struct npf_ebpf_gen *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	const struct condition c = condition_of((uint8_t)(insn->op - NPF_IR_IS_EQ + NPF_IR_IF_EQ),
						insn->a, insn->b, insn->imm);
	uint32_t yes = npf_ebpf_local_label(g), no = npf_ebpf_local_label(g),
		 done = npf_ebpf_local_label(g);

	branch(g, &c, yes, no, no);
	npf_ebpf_put_label(g, no);
	npf_ebpf_move_k(CODE, R0, 0);
	npf_ebpf_go_to(g, done);
	npf_ebpf_put_label(g, yes);
	npf_ebpf_move_k(CODE, R0, 1);
	npf_ebpf_put_label(g, done);
	npf_ebpf_keep(g, value, R0);
}

/* ---- edges ---------------------------------------------------------------------------------- */

/* The arguments of an edge that have to be moved; their number. */
static uint32_t find_moves(struct npf_ebpf_gen *g, const struct npf_ir_edge *edge)
{
	const struct npf_ir_block *to = &g->ir->blocks[edge->block];
	uint32_t n = 0;

	for (uint32_t i = 0; i < to->params; i++) {
		uint16_t value = g->ir->args[edge->args + i];
		uint8_t place = g->places.place[to->first + i];

		if (place == NPF_PLACE_NONE || place == g->places.place[value])
			continue;
		g->moves[n++] = (struct npf_ebpf_transfer){ .to = place,
							    .from = g->places.place[value],
							    .value = value };
	}
	return n;
}

static bool is_read(const struct npf_ebpf_transfer *moves, uint32_t n, uint32_t except)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i != except && !moves[i].done && !moves[i].saved &&
		    moves[i].from == moves[except].to)
			return true;
	}
	return false;
}

/* Cheap values read no place, but a load of a packet's bytes may need r0 to r5: last. */
static void make_move(struct npf_ebpf_gen *g, struct npf_ebpf_transfer *move)
{
	uint8_t from = move->saved ? R0 : move->from;

	if (from >= NPF_PLACE_SLOT) {
		npf_ebpf_read_slot(g, R1, from, false);
		from = R1;
	} else if (from == NPF_PLACE_NONE && !move->saved) {
		npf_ebpf_compute_cheap(g, R1, move->value);
		from = R1;
	}
	if (move->to >= NPF_PLACE_SLOT)
		npf_ebpf_write_slot(g, move->to, from, false);
	else
		npf_ebpf_move(CODE, move->to, from);
	move->done = true;
}

/* All moves at once, one after the other. A ring of them is opened by way of r0. */
static void make_moves(struct npf_ebpf_gen *g, uint32_t n)
{
	for (uint32_t left = n; left;) {
		uint32_t before = left, first = n;

		for (uint32_t i = 0; i < n; i++) {
			if (g->moves[i].done)
				continue;
			if (is_read(g->moves, n, i)) {
				first = first < i ? first : i;
				continue;
			}
			make_move(g, &g->moves[i]);
			left--;
		}
		if (left != before)
			continue;
		/* Whoever reads what `first` is about to overwrite takes it from r0. */
		for (uint32_t i = 0; i < n; i++) {
			struct npf_ebpf_transfer *move = &g->moves[i];

			if (move->done || move->from != g->moves[first].to)
				continue;
			if (move->from >= NPF_PLACE_SLOT)
				npf_ebpf_read_slot(g, R0, move->from, false);
			else
				npf_ebpf_move(CODE, R0, move->from);
			move->saved = true;
		}
	}
}

/* The block whose code comes next: of those behind, the first to which something leads. */
static uint32_t find_follower(const struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	uint32_t follower = g->block + 1;

	while (follower != block->edges[0].block && follower != block->edges[1].block &&
	       follower < g->ir->n_blocks && !g->label_used[npf_ebpf_block_label(follower)])
		follower++;
	return follower;
}

static void take_edge(struct npf_ebpf_gen *g, const struct npf_ir_edge *edge, bool falls)
{
	npf_ebpf_take_mask(g, edge);
	make_moves(g, find_moves(g, edge));
	if (!falls)
		npf_ebpf_go_to(g, npf_ebpf_block_label(edge->block));
	else
		g->label_used[npf_ebpf_block_label(edge->block)] = true;
}

static bool has_code(struct npf_ebpf_gen *g, const struct npf_ir_edge *edge)
{
	return npf_ebpf_edge_changes_mask(g, edge) || find_moves(g, edge);
}

static void emit_branch(struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	const struct condition c = condition_of(block->end, block->a, block->b, block->imm);
	const struct npf_ir_edge *edges = block->edges;
	bool moves[2] = { has_code(g, &edges[0]), has_code(g, &edges[1]) };
	uint32_t follower = find_follower(g, block), next = npf_ebpf_block_label(follower);
	uint32_t yes = moves[0] ? npf_ebpf_local_label(g) : npf_ebpf_block_label(edges[0].block);
	uint32_t no = moves[1] ? npf_ebpf_local_label(g) : npf_ebpf_block_label(edges[1].block);

	if (moves[1])
		next = no;
	else if (moves[0])
		next = yes;
	branch(g, &c, yes, no, next);
	g->label_used[next] |= next == yes || next == no;
	if (moves[1]) {
		npf_ebpf_put_label(g, no);
		take_edge(g, &edges[1], !moves[0] && edges[1].block == follower);
	}
	if (moves[0]) {
		npf_ebpf_put_label(g, yes);
		take_edge(g, &edges[0], edges[0].block == follower);
	}
}

/* ---- returns -------------------------------------------------------------------------------- */

static void emit_return(struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	bool constant = block->a == NPF_IR_NONE;

	if (!g->is_mask) {
		if (constant)
			npf_ebpf_move_k(CODE, R0, block->imm);
		else
			npf_ebpf_fetch(g, R0, block->a);
		npf_ebpf_exit(CODE);
		return;
	}
	if (g->joined) {
		npf_ebpf_return_mask(g, block);
		return;
	}
	if (!constant)
		npf_ebpf_jump_k(g, NPF_JEQ, npf_ebpf_use(g, block->a, R0), 0, LABEL_NEXT);
	if (!constant || block->imm)
		npf_ebpf_flip(g, 1ull << g->index);
	npf_ebpf_go_to(g, LABEL_NEXT);
}

void npf_ebpf_emit_end(struct npf_ebpf_gen *g, const struct npf_ir_block *block)
{
	if (block->end == NPF_IR_RETURN)
		emit_return(g, block);
	else if (block->end == NPF_IR_GOTO)
		take_edge(g, &block->edges[0], block->edges[0].block == find_follower(g, block));
	else
		emit_branch(g, block);
}
