/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stages. A look-up in memory takes long to answer, and a processor looks only so many
 * instructions ahead: the next group's packets, which wait for nobody, come too late to fill the
 * time. So where a program comes to its first table in memory the second stage begins, and a group's
 * second stage stands behind the first one of the group that follows. What it looks up is long known
 * by then.
 *
 *	again:  first stage of group n
 *	over:   what that leaves to the second one, in exchange for what group n - 1 had left
 *	        second stage of group n - 1, if there is such a group
 *	        to `again` with the next group; behind the last one once more to `over`
 */
#include "filter/x86_vector.h"

#define MOST_EXCHANGED 12u /* beyond, that would cost more than it gains */

uint32_t npf_x86_stages_plan(const struct npf_x86_lanes *g)
{
	uint32_t b = 0;

	for (; b < g->ir->n_blocks; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		if (block->end == NPF_IR_IF_IN && g->ir->sets[block->imm].n > NPF_X86_PERMUTED_MAX)
			break;
	}
	return b;
}

/* One more is left, in a register or a slot; only counted at first. */
static uint32_t leave(struct npf_x86_lanes *g, bool is_counted, int reg, uint32_t slot)
{
	if (!is_counted)
		npf_x86_lanes_exchange(g, reg, slot);
	return 1;
}

/* The vectors that are used at that position or later. */
static uint32_t leave_vectors(struct npf_x86_lanes *g, bool is_counted, uint32_t b, uint32_t at)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		const struct npf_x86_lane_value *value = &g->values[i];

		if (value->placed && value->end >= at)
			n += leave(g, is_counted, value->reg, value->slot);
	}
	for (uint32_t i = 0; i < g->n_pieces; i++) {
		const struct npf_x86_piece *piece = &g->pieces[i];

		for (uint32_t k = piece->first; k < (uint32_t)piece->first + piece->n; k++) {
			if (piece->block <= b && g->words[k].end >= at)
				n += leave(g, is_counted, g->words[k].reg, g->words[k].slot);
		}
	}
	for (uint32_t i = 0; i < g->n_gathers; i++) {
		const struct npf_x86_gather *word = &g->gathers[i];

		if (word->fetched && word->end >= at)
			n += leave(g, is_counted, word->reg, word->slot);
	}
	return n + (g->answered ? leave(g, is_counted, V_RESULT, 0) : 0);
}

/* The masks of the block, of which only the end is left, and of those to come. */
static uint32_t leave_masks(struct npf_x86_lanes *g, bool is_counted, uint32_t b)
{
	uint32_t n = 1;

	if (!is_counted)
		npf_x86_lanes_exchange_current(g);
	for (uint32_t i = b + 1; i < g->ir->n_blocks; i++) {
		if (!g->pending[i].begun)
			continue;
		if (!is_counted)
			npf_x86_lanes_exchange_mask(g, &g->pending[i]);
		n++;
	}
	return n;
}

void npf_x86_stages_change(struct npf_x86_lanes *g, uint32_t b, uint32_t at)
{
	uint32_t n = leave_vectors(g, true, b, at) + leave_masks(g, true, b);

	if (n > MOST_EXCHANGED)
		return;
	g->n_exchanged = n;
	g->first_bail = g->bail;
	g->bail = npf_x86_label(g->as);
	g->over = npf_x86_label(g->as);
	g->first = npf_x86_label(g->as);
	npf_x86_bind(g->as, g->over);
	leave_vectors(g, false, b, at);
	leave_masks(g, false, b);
	npf_x86_lanes_go_back(g);
}
