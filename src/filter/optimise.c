/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of the passes. Each takes time in proportion to the program; what would be quadratic
 * has a limit where it is done.
 */
#include <string.h>

#include "filter/optimise.h"

const char *npf_ir_pass_name(uint32_t i)
{
	static const char *const names[NPF_N_PASSES] = {
		"fold",  "number", "thread", "sets",    "header",
		"merge", "checks", "dead",   "flatten", "hoist",
	};

	return i < NPF_N_PASSES ? names[i] : NULL;
}

#define WALKS (NPF_PASS_FOLD | NPF_PASS_NUMBER | NPF_PASS_THREAD | NPF_PASS_CHECKS)

static void make_sets(struct npf_opt *opt, uint32_t from)
{
	if (!npf_opt_wants(opt, NPF_PASS_SETS))
		return;
	npf_ir_count_uses(opt->ir);
	npf_opt_sets(opt, from);
}

#define MAX_SPLITS 3u /* by header lengths */

static bool split_headers(struct npf_opt *opt)
{
	uint32_t i = 0;

	while (i < MAX_SPLITS && npf_opt_wants(opt, NPF_PASS_HEADER) && npf_opt_header(opt)) {
		npf_opt_settle(opt);
		i++;
	}
	return i;
}

static void hoist_checks(struct npf_opt *opt)
{
	if (npf_opt_wants(opt, NPF_PASS_HOIST))
		npf_opt_checks(opt);
}

/* True: chains may have come together. */
static bool merge_ends(struct npf_opt *opt)
{
	return npf_opt_wants(opt, NPF_PASS_MERGE) && npf_opt_merge(opt);
}

static void reshape(struct npf_opt *opt)
{
	uint32_t n_blocks = opt->ir->n_blocks;

	if (!split_headers(opt)) {
		/* Blocks are out of order behind a merger, until they are settled. */
		hoist_checks(opt);
		if (merge_ends(opt))
			make_sets(opt, n_blocks);
		return;
	}
	/* A length is a constant now, and must stand where constants stand, folding or not. What
	 * copies have in common with the rest may have become known, or a chain. */
	merge_ends(opt);
	npf_opt_settle(opt);
	npf_opt_walk(opt);
	make_sets(opt, 0);
	hoist_checks(opt);
}

void npf_ir_optimise(struct npf_ir *ir, uint32_t passes, struct npf_ir_report *report)
{
	struct npf_opt opt = { .ir = ir, .passes = passes };

	/* Long lists shrink before anything else looks at them. Uses are right as they are. */
	if (passes & NPF_PASS_SETS)
		npf_opt_sets(&opt, 0);
	if (passes & WALKS)
		npf_opt_walk(&opt);
	make_sets(&opt, 0);
	reshape(&opt);
	if (npf_opt_wants(&opt, NPF_PASS_FLATTEN)) {
		npf_opt_settle(&opt);
		npf_opt_flatten(&opt);
	}
	npf_opt_settle(&opt);
	if (report)
		memcpy(report->changed, opt.changed, sizeof(report->changed));
}
