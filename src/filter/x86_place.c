/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where values lie while scalar code runs. Registers that a caller does not keep hold values, one
 * each for its whole life; what finds none lies in the red zone below the stack. Every edge leads
 * forward, so a value's life is the span from its instruction to its last use.
 *
 * Numbers of the packet are big-endian. A value that is only ever compared with constants stays
 * as it was loaded, and the constants are swapped instead. A value with one use, in the same
 * block, is computed where it is used.
 */
#include <string.h>

#include "filter/x86_scalar.h"

#define SLOTS_TRIED 32u /* of those in use, when one is wanted */
#define MAX_DEPTH   3u  /* of expressions computed where they are used */

/* ---- positions ------------------------------------------------------------------------------ */

static uint32_t at_insn(uint32_t block, uint32_t insn)
{
	return 2 * (block + insn);
}

uint32_t npf_x86_at_end(const struct npf_x86_gen *g, uint32_t block)
{
	const struct npf_ir_block *b = &g->ir->blocks[block];

	return 2 * (block + b->first + b->count);
}

/* ---- what becomes of values, from the end to the beginning ---------------------------------- */

#define MIXED 0xFFu /* what a parameter receives are not loads of one size */

/* The load or parameter that a masked value comes from; or something else. */
static uint16_t root_of(const struct npf_x86_gen *g, uint16_t value)
{
	for (int i = 0; i < 4; i++) {
		const struct npf_ir_insn *insn = npf_x86_insn(g, value);

		if (insn->op != NPF_IR_AND || insn->b != NPF_IR_NONE)
			break;
		value = insn->a;
	}
	return value;
}

/* Bytes of the load that a masked value comes from, or of all those that a parameter receives. */
static unsigned int loaded_size(const struct npf_x86_gen *g, uint16_t value)
{
	uint16_t root = root_of(g, value);
	const struct npf_ir_insn *insn = npf_x86_insn(g, root);

	if (insn->op == NPF_IR_LOAD)
		return insn->size;
	if (insn->op == NPF_IR_PARAM && g->values[root].loaded != MIXED)
		return g->values[root].loaded;
	return 0;
}

uint32_t npf_x86_bound(const struct npf_x86_gen *g, uint16_t value)
{
	unsigned int size = loaded_size(g, value);

	if (size == 4)
		return UINT32_MAX;
	return size ? 0xFFFF : npf_ir_bound(g->ir, value);
}

/* In the order of the blocks: a parameter may receive another. */
static void find_loaded_params(struct npf_x86_gen *g)
{
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		for (uint32_t side = 0; side < npf_x86_edges(block); side++) {
			const struct npf_ir_edge *edge = &block->edges[side];
			const struct npf_ir_block *to = &g->ir->blocks[edge->block];

			for (uint32_t i = 0; i < to->params; i++) {
				uint8_t *loaded = &g->values[to->first + i].loaded;
				unsigned int size = loaded_size(g, g->ir->args[edge->args + i]);

				if (!*loaded && size)
					*loaded = (uint8_t)size;
				else if (!size || *loaded != size)
					*loaded = MIXED;
			}
		}
	}
}

static bool set_takes_raw(const struct npf_ir_set *set, unsigned int size)
{
	if (set->n_bytes > size)
		return false;
	return !set->is_range || (size == 2 && set->n > NPF_X86_CHAIN_MAX);
}

/* May the first operand of this comparison stay in the packet's order? */
static bool compare_takes_raw(const struct npf_x86_gen *g, uint8_t end, uint16_t a, uint16_t b,
			      uint32_t imm)
{
	unsigned int size = loaded_size(g, a);

	if (b != NPF_IR_NONE || !size)
		return false;
	if (end == NPF_IR_IF_IN)
		return set_takes_raw(&g->ir->sets[imm], size);
	if (end == NPF_IR_IF_EQ)
		return size == 4 || imm <= 0xFFFF;
	return end == NPF_IR_IF_SET;
}

/* A value will be looked up: note the registers that this takes, STEP for several ranges and for what
 * may become a search. A bitmap takes none but the table's. */
static void use_set(struct npf_x86_gen *g, uint16_t value, uint32_t number)
{
	const struct npf_ir_set *set = &g->ir->sets[number];

	g->wants_sets = true;
	if (set->n <= NPF_X86_CHAIN_MAX)
		g->wants_step |= set->is_range && set->n > 1;
	else
		g->wants_step |= npf_x86_bound(g, value) > 0xFFFF;
}

static void use(struct npf_x86_gen *g, uint16_t value, uint32_t at, bool raw)
{
	struct npf_x86_value *v;

	if (value == NPF_IR_NONE)
		return;
	v = &g->values[value];
	if (at > v->end)
		v->end = at;
	if (!raw)
		v->host = true;
}

/* The first operand of what is computed at `at`: can it be computed there as well? */
static void fold(struct npf_x86_gen *g, uint16_t value, uint32_t first, uint32_t at, uint32_t depth)
{
	const struct npf_ir_insn *insn;

	if (value == NPF_IR_NONE || value < first || depth >= MAX_DEPTH)
		return;
	insn = npf_x86_insn(g, value);
	if (insn->uses != 1 || insn->op == NPF_IR_PARAM || insn->op == NPF_IR_DIV ||
	    insn->op == NPF_IR_MOD || insn->op >= NPF_IR_IS_EQ || insn->b != NPF_IR_NONE)
		return;
	g->values[value].folded = true;
	g->values[value].depth = (uint8_t)(depth + 1);
	g->values[value].end = at;
}

static void use_edge(struct npf_x86_gen *g, const struct npf_ir_edge *edge, uint32_t at)
{
	const struct npf_ir_block *block = &g->ir->blocks[edge->block];

	for (uint32_t i = 0; i < block->params; i++) {
		uint16_t param = (uint16_t)(block->first + i), arg = g->ir->args[edge->args + i];

		if (!g->values[param].end)
			continue; /* nobody wants it in the end */
		use(g, arg, at, !g->values[param].host && loaded_size(g, param));
		g->values[param].hint = arg;
	}
}

static void look_at_end(struct npf_x86_gen *g, uint32_t number)
{
	const struct npf_ir_block *block = &g->ir->blocks[number];
	uint32_t at = npf_x86_at_end(g, number);

	for (uint32_t i = 0; i < npf_x86_edges(block); i++)
		use_edge(g, &block->edges[i], at);
	if (block->end == NPF_IR_GOTO)
		return;
	use(g, block->a, at,
	    block->end != NPF_IR_RETURN &&
		    compare_takes_raw(g, block->end, block->a, block->b, block->imm));
	fold(g, block->a, block->first, at, 0);
	if (block->end == NPF_IR_RETURN)
		return;
	use(g, block->b, at, false);
	if (block->end == NPF_IR_IF_IN)
		use_set(g, block->a, block->imm);
}

static void look_at_insn(struct npf_x86_gen *g, uint32_t first, uint32_t number, uint32_t position)
{
	const struct npf_ir_insn *insn = &g->ir->insns[number];
	const struct npf_x86_value *v = &g->values[number];
	uint32_t at = v->folded ? v->end : position;
	bool raw = false;

	g->wants_wire |= insn->op == NPF_IR_WIRELEN;
	if (insn->op == NPF_IR_IS_IN)
		use_set(g, insn->a, insn->imm);
	g->divides |= insn->op == NPF_IR_DIV || insn->op == NPF_IR_MOD;
	g->indexes |= insn->op == NPF_IR_NEED && insn->a != NPF_IR_NONE;
	if (insn->op < NPF_IR_NEED && !v->end)
		return;
	if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE)
		raw = !v->host && loaded_size(g, insn->a);
	else if (insn->op >= NPF_IR_IS_EQ && insn->op <= NPF_IR_IS_IN)
		raw = compare_takes_raw(g, npf_x86_condition(insn->op), insn->a, insn->b, insn->imm);
	use(g, insn->a, at, raw);
	/* Behind the result, which must not lie where this is still wanted. */
	use(g, insn->b, at + 1, false);
	if (insn->op != NPF_IR_LOAD && insn->op != NPF_IR_NEED)
		fold(g, insn->a, first, at, v->folded ? v->depth : 0);
}

static bool look_at_all(struct npf_x86_gen *g)
{
	for (uint32_t b = g->ir->n_blocks; b--;) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		look_at_end(g, b);
		for (uint32_t i = block->first + block->count; i-- > block->first;) {
			if (g->ir->insns[i].op == NPF_IR_FIELD)
				return false;
			look_at_insn(g, block->first, i, at_insn(b, i));
		}
	}
	return true;
}

#define MOST_ROUNDS 8 /* then numbers are all what agrees at once */

/* What a parameter receives has the order of bytes that it has itself. */
static bool agree_on_edge(struct npf_x86_gen *g, const struct npf_ir_edge *edge, bool at_once)
{
	const struct npf_ir_block *block = &g->ir->blocks[edge->block];
	bool agreed = true;

	for (uint32_t i = 0; i < block->params; i++) {
		struct npf_x86_value *param = &g->values[block->first + i];
		struct npf_x86_value *arg = &g->values[root_of(g, g->ir->args[edge->args + i])];

		if (!param->end || (param->host == arg->host && !at_once))
			continue;
		param->host = arg->host = true;
		agreed = false;
	}
	return agreed;
}

static void agree_on_order(struct npf_x86_gen *g)
{
	bool agreed = false;

	for (int round = 0; round <= MOST_ROUNDS && !agreed; round++) {
		agreed = true;
		for (uint32_t b = g->ir->n_blocks; b--;) {
			const struct npf_ir_block *block = &g->ir->blocks[b];

			for (uint32_t side = 0; side < npf_x86_edges(block); side++)
				agreed &= agree_on_edge(g, &block->edges[side],
							round == MOST_ROUNDS);
		}
	}
}

/* ---- where values lie ------------------------------------------------------------------------ */

bool npf_x86_has_place(const struct npf_x86_gen *g, uint32_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	return g->values[value].end && insn->op != NPF_IR_CONST && insn->op < NPF_IR_NEED &&
	       insn->op != NPF_IR_NOP && !g->values[value].folded;
}

/* A slot from `from` on; those whose value has died are used again. */
static uint16_t find_slot(struct npf_x86_gen *g, uint32_t from, uint32_t end)
{
	uint32_t slot = 0;

	while (slot < g->n_slots && slot < SLOTS_TRIED && g->slot_end[slot] > from)
		slot++;
	if (slot == SLOTS_TRIED)
		slot = g->n_slots;
	if (slot == g->n_slots)
		g->n_slots++;
	g->slot_end[slot] = end;
	return (uint16_t)slot;
}

/* A register whose value has died; the hint's if it is one of them. */
static int find_register(struct npf_x86_gen *g, uint32_t at, int wished)
{
	int found = NPF_X86_NONE;

	for (uint32_t left = g->allocatable; left; left &= left - 1) {
		int reg = __builtin_ctz(left);

		if (g->owner[reg] != NPF_IR_NONE && g->values[g->owner[reg]].end > at)
			continue;
		if (found == NPF_X86_NONE || reg == wished)
			found = reg;
	}
	return found;
}

/* All registers are taken: the value that lives longest gives way. */
static void spill(struct npf_x86_gen *g, uint16_t value, uint32_t at)
{
	uint16_t longest = value;
	struct npf_x86_value *v = &g->values[value], *l;

	for (uint32_t left = g->allocatable; left; left &= left - 1) {
		uint16_t owner = g->owner[__builtin_ctz(left)];

		if (g->values[owner].end > g->values[longest].end)
			longest = owner;
	}
	l = &g->values[longest];
	if (longest != value) {
		v->reg = l->reg;
		g->owner[v->reg] = value;
	}
	l->reg = NPF_X86_NONE;
	l->slot = find_slot(g, longest == value ? at : g->starts[longest], l->end);
}

static void place(struct npf_x86_gen *g, uint16_t value, uint32_t at)
{
	struct npf_x86_value *v = &g->values[value];
	int wished = NPF_X86_NONE;

	g->starts[value] = at;
	if (v->hint != NPF_IR_NONE)
		wished = g->values[v->hint].reg;
	else if (npf_x86_insn(g, value)->a != NPF_IR_NONE)
		wished = g->values[npf_x86_insn(g, value)->a].reg;
	v->reg = (int8_t)find_register(g, at, wished);
	if (v->reg != NPF_X86_NONE)
		g->owner[v->reg] = value;
	else
		spill(g, value, at);
}

static void find_order_of_bytes(struct npf_x86_gen *g, uint32_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	struct npf_x86_value *v = &g->values[value];

	if (insn->op == NPF_IR_LOAD && !v->host && insn->size > 1)
		v->raw = insn->size;
	else if (insn->op == NPF_IR_PARAM && !v->host && loaded_size(g, (uint16_t)value) > 1)
		v->raw = v->loaded;
	else if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE)
		v->raw = g->values[insn->a].raw;
}

static void choose_registers(struct npf_x86_gen *g)
{
	g->length = g->divides ? NPF_R9 : NPF_RDX;
	g->allocatable = 1u << NPF_R8;
	if (!g->divides)
		g->allocatable |= 1u << NPF_R9;
	if (!g->wants_step)
		g->allocatable |= 1u << STEP;
	if (!g->wants_sets)
		g->allocatable |= 1u << TABLE;
	/* Chains do not divide. */
	g->live = g->wants_sets ? NPF_R8 : TABLE;
	g->hit = g->wants_sets ? NPF_R9 : STEP;
	if (g->n_chain_blocks)
		g->allocatable &= ~(1u << g->live | 1u << g->hit);
	if (!g->wants_wire)
		g->allocatable |= 1u << WIRE;
}

static void place_all(struct npf_x86_gen *g)
{
	choose_registers(g);
	for (int reg = 0; reg < 16; reg++)
		g->owner[reg] = NPF_IR_NONE;
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++) {
			find_order_of_bytes(g, i);
			if (npf_x86_has_place(g, i))
				place(g, (uint16_t)i, at_insn(b, i));
		}
	}
}

bool npf_x86_place(struct npf_x86_gen *g)
{
	memset(g->values, 0, g->ir->n_insns * sizeof(*g->values));
	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		g->values[i].reg = NPF_X86_NONE;
		g->values[i].hint = NPF_IR_NONE;
	}
	find_loaded_params(g);
	if (!look_at_all(g))
		return false;
	agree_on_order(g);
	npf_x86_keep_for_chains(g);
	place_all(g);
	return true;
}
