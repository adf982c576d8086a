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

static void walk(struct npf_opt *opt)
{
	if (opt->passes & WALKS)
		npf_opt_walk(opt);
}

static void make_sets(struct npf_opt *opt)
{
	if (!npf_opt_wants(opt, NPF_PASS_SETS))
		return;
	npf_ir_count_uses(opt->ir);
	npf_opt_sets(opt);
}

/* Splitting wants the blocks in order, and leaves them out of it. */
static void specialise(struct npf_opt *opt)
{
	if (!npf_opt_wants(opt, NPF_PASS_HEADER))
		return;
	npf_opt_settle(opt);
	if (!npf_opt_header(opt))
		return;
	npf_opt_settle(opt);
	/* The length is a constant now, and must stand where constants stand, folding or not. */
	npf_opt_walk(opt);
	make_sets(opt);
}

/* Questions that came together may be links of one chain now. */
static void merge(struct npf_opt *opt)
{
	if (!npf_opt_wants(opt, NPF_PASS_MERGE) || !npf_opt_merge(opt))
		return;
	npf_opt_settle(opt);
	walk(opt);
	make_sets(opt);
}

void npf_ir_optimise(struct npf_ir *ir, uint32_t passes, struct npf_ir_report *report)
{
	struct npf_opt opt = { .ir = ir, .passes = passes };

	/* Long lists shrink before anything else looks at them. */
	make_sets(&opt);
	walk(&opt);
	make_sets(&opt);
	specialise(&opt);
	merge(&opt);
	if (npf_opt_wants(&opt, NPF_PASS_HOIST))
		npf_opt_checks(&opt);
	npf_opt_settle(&opt);
	if (report)
		memcpy(report->changed, opt.changed, sizeof(report->changed));
}
