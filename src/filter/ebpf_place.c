/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where values live in eBPF code: a linear scan over the blocks, which have no way back, so that a
 * value is wanted from where it is computed to where it is used last. The value that is wanted
 * longest gives way; if it is cheap it is computed again where it is used, else it has a slot.
 */
#include <errno.h>
#include <string.h>

#include "filter/ebpf.h"
#include "filter/optimise.h"

struct scan {
	struct npf_ebpf_places *places;
	uint32_t owner[11];                        /* of each register, name + 1; 0 free */
	uint32_t slot_until[NPF_EBPF_STACK_SLOTS]; /* from then on free */
	uint32_t start[11];                        /* of the owner */
};

bool npf_ebpf_is_cheap(const struct npf_ebpf_places *places, uint32_t value)
{
	const struct npf_ir_insn *insn = &places->ir->insns[value];

	switch (insn->op) {
	case NPF_IR_CONST:
	case NPF_IR_CAPLEN:
	case NPF_IR_WIRELEN:
	case NPF_IR_FIELD:
		return true;
	case NPF_IR_LOAD:
		return insn->a == NPF_IR_NONE && (uint64_t)insn->imm + insn->size <= places->near;
	default:
		return false;
	}
}

/* ---- uses ----------------------------------------------------------------------------------- */

static void use(struct npf_ebpf_places *places, uint16_t value, uint32_t at)
{
	if (value != NPF_IR_NONE)
		places->until[value] = at;
}

static void use_insn(struct npf_ebpf_places *places, uint32_t i, uint32_t at)
{
	const struct npf_ir_insn *insn = &places->ir->insns[i];
	bool is_address = insn->op == NPF_IR_LOAD || insn->op == NPF_IR_NEED;

	if (is_address && insn->a != NPF_IR_NONE && places->pointers) {
		places->until[places->ir->n_insns + insn->a] = at;
		if (insn->op == NPF_IR_NEED && places->needs[insn->a] < 2)
			places->needs[insn->a]++;
	}
	use(places, insn->a, at);
	if (!is_address)
		use(places, insn->b, at);
}

static void use_end(struct npf_ebpf_places *places, const struct npf_ir_block *block, uint32_t at)
{
	const struct npf_ir *ir = places->ir;

	if (block->end != NPF_IR_GOTO)
		use(places, block->a, at);
	if (block->end != NPF_IR_GOTO && block->end != NPF_IR_RETURN)
		use(places, block->b, at);
	for (uint32_t e = 0; e < npf_ir_edges(block); e++) {
		const struct npf_ir_edge *edge = &block->edges[e];

		for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
			use(places, ir->args[edge->args + i], at);
	}
}

static void find_uses(struct npf_ebpf_places *places)
{
	const struct npf_ir *ir = places->ir;

	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		const struct npf_ir_block *block = &ir->blocks[b];

		for (uint32_t i = 0; i < block->count; i++)
			use_insn(places, block->first + i, block->first + i + b);
		use_end(places, block, block->first + block->count + b);
	}
}

/* ---- the scan ------------------------------------------------------------------------------- */

static void expire(struct scan *scan, uint32_t at)
{
	for (uint32_t r = 0; r < 11; r++) {
		if (scan->owner[r] && scan->places->until[scan->owner[r] - 1] <= at)
			scan->owner[r] = 0;
	}
}

static int give_slot(struct scan *scan, uint32_t name, uint32_t from)
{
	const struct npf_ebpf_places *places = scan->places;

	if (name < places->ir->n_insns && npf_ebpf_is_cheap(places, name)) {
		places->place[name] = NPF_PLACE_NONE;
		return 0;
	}
	for (uint32_t slot = 0; slot < NPF_EBPF_STACK_SLOTS; slot++) {
		if (scan->slot_until[slot] > from)
			continue;
		scan->slot_until[slot] = places->until[name] + 1;
		places->place[name] = (uint8_t)(NPF_PLACE_SLOT + slot);
		return 0;
	}
	return -E2BIG;
}

static void give_register(struct scan *scan, uint32_t r, uint32_t name, uint32_t at)
{
	scan->owner[r] = name + 1;
	scan->start[r] = at;
	scan->places->place[name] = (uint8_t)r;
}

/* Is there a call while it is wanted, or one that wants it? */
static bool sees_call(const struct npf_ebpf_places *places, uint32_t name, uint32_t at)
{
	return places->calls[places->until[name]] != places->calls[at];
}

/* A place for what is computed at `at`. */
static int give_place(struct scan *scan, uint32_t name, uint32_t at)
{
	struct npf_ebpf_places *places = scan->places;
	uint32_t longest = 0, owner, allowed = places->registers;
	int err;

	if (places->until[name] <= at)
		return 0;
	expire(scan, at);
	if (sees_call(places, name, at))
		allowed &= ~places->fragile;
	for (uint32_t r = 0; r < 11; r++) {
		if (!(allowed >> r & 1))
			continue;
		if (!scan->owner[r]) {
			give_register(scan, r, name, at);
			return 0;
		}
		if (!longest ||
		    places->until[scan->owner[r] - 1] > places->until[scan->owner[longest] - 1])
			longest = r;
	}
	owner = longest ? scan->owner[longest] - 1 : 0;
	if (!longest || places->until[owner] <= places->until[name])
		return give_slot(scan, name, at);
	err = give_slot(scan, owner, scan->start[longest]);
	give_register(scan, longest, name, at);
	return err;
}

/* The value that instruction i computes, and pointers that begin there. */
static int place_insn(struct scan *scan, uint32_t i, uint32_t at)
{
	struct npf_ebpf_places *places = scan->places;
	const struct npf_ir_insn *insn = &places->ir->insns[i];
	uint32_t pointer = places->ir->n_insns + i;
	int err = 0;

	if (insn->op == NPF_IR_NEED) {
		if (places->pointers && insn->a != NPF_IR_NONE && places->needs[insn->a] == 1)
			err = give_place(scan, places->ir->n_insns + insn->a, at);
		return err;
	}
	if (npf_ir_is_guard(insn->op) || (places->masks && places->masks[i]))
		return 0;
	if (insn->op != NPF_IR_CONST)
		err = give_place(scan, i, at);
	if (!err && places->pointers && places->needs[i] > 1)
		err = give_place(scan, pointer, at);
	return err;
}

int npf_ebpf_place(struct npf_ebpf_places *places)
{
	const struct npf_ir *ir = places->ir;
	struct scan scan = { .places = places };
	uint32_t names = ir->n_insns * 2;

	memset(places->until, 0, names * sizeof(*places->until));
	memset(places->place, 0, names);
	memset(places->needs, 0, ir->n_insns * sizeof(*places->needs));
	find_uses(places);
	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		const struct npf_ir_block *block = &ir->blocks[b];

		for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
			int err = place_insn(&scan, i, i + b);

			if (err)
				return err;
		}
	}
	return 0;
}
