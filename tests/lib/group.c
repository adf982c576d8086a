/* SPDX-License-Identifier: BSD-3-Clause */
#include "group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/ir.h"
#include "filter/opcodes.h"
#include "host/linux/kernel_filter.h"
#include "npf/npf.h"

struct group {
	uint32_t n;
	const struct npf_program *const *programs;
	struct npf_jit_filter *filters[NPF_JIT_GROUP_MOST];
	struct npf_jit_group *code;
	struct npf_ir ir;
	void *space, *work; /* of ir; NULL: there is none */
};

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "a group of filters: %s\n", what);
	abort();
}

static void verify(struct group *group)
{
	uint32_t where = 0;
	const char *fault = npf_ir_verify(&group->ir, &where, group->work);

	if (fault)
		fprintf(stderr, "block %u: ", where);
	require(!fault, fault);
}

/* Verified as it is joined, and once more as it is compiled. */
static void make_form(struct group *group, uint32_t n)
{
	size_t size = npf_ir_join_space(group->programs, n);
	int err;

	group->space = malloc(size);
	require(group->space, "out of memory");
	err = npf_ir_join(&group->ir, group->programs, n, group->space, size);
	require(!err || err == -E2BIG, "npf_ir_join() fails");
	if (err)
		return;
	group->work = malloc(npf_ir_run_space(&group->ir));
	require(group->work, "out of memory");
	verify(group);
	npf_ir_optimise(&group->ir, NPF_PASS_DEFAULT | NPF_PASS_FLATTEN, NULL);
	free(group->work);
	group->work = malloc(npf_ir_run_space(&group->ir));
	require(group->work, "out of memory");
	verify(group);
}

static void make(struct npf_host *host, struct group *group)
{
	for (uint32_t i = 0; i < group->n; i++) {
		if (group->programs[i])
			require(!bpf_jitter(host, group->programs[i], 0, &group->filters[i], NULL),
				"bpf_jitter() fails");
	}
	require(!npf_jit_join(host, group->filters, group->n, &group->code, NULL),
		"npf_jit_join() fails");
	/* The group has its filters now. */
	for (uint32_t i = 0; i < group->n; i++)
		bpf_destroy_jit_filter(group->filters[i]);
	make_form(group, group->n < NPF_IR_MOST_JOINED ? group->n : NPF_IR_MOST_JOINED);
}

static uint64_t each_alone(const struct group *group, const struct engine_run *run)
{
	uint64_t matched = 0;

	for (uint32_t i = 0; i < group->n; i++) {
		if (group->programs[i] &&
		    npf_bpf_filter(group->programs[i], run->data, run->frame->wire_length,
				   run->frame->length))
			matched |= 1ull << i;
	}
	return matched;
}

static void compare(const struct group *group, const struct engine_run *run,
		    struct group_tally *tally)
{
	uint64_t expected = each_alone(group, run);
	uint64_t got = npf_jit_group_run(group->code, run->data, run->frame->wire_length,
					 run->frame->length);
	struct npf_frame frame = *run->frame;
	uint32_t mask = NPF_IR_JOINED | (expected & ~NPF_IR_JOINED), answer = 0;

	if (group->work)
		answer = npf_ir_run(&group->ir, &frame, run->data, group->work);
	tally->answers++;
	tally->accepted += (uint64_t)__builtin_popcountll(expected);
	tally->unsure += group->work && !answer;
	if (got == expected && (!answer || answer == mask))
		return;
	if (++tally->mistakes <= 10)
		fprintf(stderr,
			"%u filters, %u bytes: each alone %" PRIx64 ", together %" PRIx64
			", form %" PRIx32 "\n",
			group->n, run->frame->length, expected, got, answer);
}

/* ---- in the kernel ---------------------------------------------------------------------------- */

#define KERNEL_PACKETS 24u   /* of many: each is a system call or two */
#define KERNEL_BYTES   1500u /* that a test run surely takes */

static void compare_kernel(const struct group *group, const struct npf_kernel_filter *kernel,
			   bool glances, int word, const struct engine_run *run,
			   struct group_tally *tally)
{
	uint32_t expected = (uint32_t)(each_alone(group, run) >> 32 * word), answer;

	require(!npf_kernel_filter_run(kernel, run->frame, run->data, &answer), "no test run");
	tally->glances += glances;
	tally->unjudged += glances && answer == UINT32_MAX;
	if (answer == expected || (glances && answer == UINT32_MAX))
		return;
	if (++tally->mistakes <= 10)
		fprintf(stderr,
			"%u filters, %u bytes: word %d each alone %" PRIx32
			", in the kernel %" PRIx32 "\n",
			group->n, run->frame->length, word, expected, answer);
}

static void run_in_kernel(const struct group *group, enum npf_ebpf_access access, int word,
			  const struct engine_run *runs, uint32_t n_runs, struct group_tally *tally)
{
	static const struct npf_insn none = { NPF_RET | NPF_K, 0, 0, 0 };
	static const struct npf_program reject = { .length = 1, .insns = &none };
	const struct npf_translation way = { access, true, engine_peek() };
	const struct npf_program *programs[NPF_JIT_GROUP_MOST];
	struct npf_kernel_filter kernel;
	int err;

	for (uint32_t i = 0; i < group->n; i++)
		programs[i] = group->programs[i] ? group->programs[i] : &reject;
	err = npf_kernel_filter_load_classes(programs, group->n, word, &way, &kernel);
	require(!err || err == -E2BIG || err == -EPERM || err == -ENOTSUP, "the kernel refuses");
	if (err)
		return;
	tally->in_kernel++;
	for (uint32_t i = 0; i < n_runs; i += n_runs / KERNEL_PACKETS + 1) {
		if (runs[i].frame->length && runs[i].frame->length <= KERNEL_BYTES)
			compare_kernel(group, &kernel, access == NPF_EBPF_GLANCE, word, &runs[i],
				       tally);
	}
	npf_kernel_filter_close(&kernel);
}

void group_compare_in_kernel(const struct npf_program *const *programs, uint32_t n,
			     const struct engine_run *runs, uint32_t n_runs,
			     struct group_tally *tally)
{
	const struct group group = { .n = n, .programs = programs };

	for (int word = 0; word <= (n > 32); word++) {
		run_in_kernel(&group, NPF_EBPF_DIRECT, word, runs, n_runs, tally);
		run_in_kernel(&group, NPF_EBPF_PEEK, word, runs, n_runs, tally);
	}
	if (n > 1 && n <= NPF_IR_MOST_JOINED)
		run_in_kernel(&group, NPF_EBPF_GLANCE, 0, runs, n_runs, tally);
}

void group_compare(struct npf_host *host, const struct npf_program *const *programs, uint32_t n,
		   const struct engine_run *runs, uint32_t n_runs, struct group_tally *tally)
{
	struct group group = { .n = n, .programs = programs };

	make(host, &group);
	tally->forms += group.work != NULL;
	for (uint32_t i = 0; i < n_runs; i++)
		compare(&group, &runs[i], tally);
	npf_jit_group_release(group.code);
	free(group.work);
	free(group.space);
}
