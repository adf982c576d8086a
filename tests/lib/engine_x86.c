/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_x86.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/x86.h"
#include "npf/npf.h"

#define MOST_RUNS 32u
#define GROUP     16u
#define AT_ONCE   (2 * GROUP * MOST_RUNS)

/* One host for all programs of the process: it is where code lies. */
static struct npf_host *host(void)
{
	static struct npf_host *only;

	if (!only)
		only = npf_host_linux();
	if (!only)
		abort();
	return only;
}

const char *engine_x86_why_not(void)
{
	static const struct npf_insn accept = { .code = 0x06, .k = 1 };
	static const struct npf_program program = { .length = 1, .insns = &accept };
	static char why[NPF_ERROR_SIZE];
	struct npf_jit_filter *filter;

	if (bpf_jitter(host(), &program, 0, &filter, why))
		return why;
	if (!filter->function)
		snprintf(why, sizeof(why), "%s", npf_jit_engine(filter));

	bool runs = filter->function;

	bpf_destroy_jit_filter(filter);
	return runs ? NULL : why;
}

static const char *lacks(uint32_t feature, const char *sentence)
{
	const char *why = engine_x86_why_not();

	return why ? why : npf_x86_features() & feature ? NULL : sentence;
}

const char *engine_x86_why_not_avx2(void)
{
	return lacks(NPF_X86_AVX2, "this processor has no AVX2");
}

const char *engine_x86_why_not_avx512(void)
{
	return lacks(NPF_X86_AVX512, "this processor has no AVX-512");
}

static void *prepare(const struct npf_program *program, uint32_t flags)
{
	struct npf_jit_filter *filter;
	char error[NPF_ERROR_SIZE];
	int err = bpf_jitter(host(), program, flags, &filter, error);

	if (!err && filter->function)
		return filter;
	if (err == -ENOTSUP)
		return NULL;
	fprintf(stderr, "%s\n", err ? error : npf_jit_engine(filter));
	abort();
}

void *engine_x86_prepare(const struct npf_program *program)
{
	return prepare(program, 0);
}

void *engine_x86_prepare_avx2(const struct npf_program *program)
{
	return prepare(program, NPF_JIT_BATCH | NPF_JIT_AVX2);
}

void *engine_x86_prepare_avx512(const struct npf_program *program)
{
	return prepare(program, NPF_JIT_BATCH);
}

void engine_x86_run(void *prepared, struct engine_run *runs, uint32_t n)
{
	const struct npf_jit_filter *filter = prepared;

	for (uint32_t i = 0; i < n; i++)
		runs[i].answer = filter->function(runs[i].data, runs[i].frame->wire_length,
						  runs[i].frame->length);
}

/* Packets in a row that are one and the same: none, so that few make full groups of any mixture; or
 * a whole group, each behind another one, so that all lanes leave early or none does. */
static const uint32_t rows[] = { 1, GROUP };

static void run_in_rows(const struct npf_jit_filter *filter, struct engine_run *runs, uint32_t n,
			uint32_t row)
{
	const uint8_t *packets[AT_ONCE] = { NULL };
	uint32_t wire[AT_ONCE] = { 0 }, held[AT_ONCE] = { 0 }, verdicts[AT_ONCE];
	uint32_t most = row > 1 ? 2 * row * n : 2 * MOST_RUNS;

	for (uint32_t i = 0; i < most; i++) {
		const struct engine_run *run = &runs[i / row % n];

		packets[i] = run->data;
		wire[i] = run->frame->wire_length;
		held[i] = run->frame->length;
		verdicts[i] = 0xDEADBEEF;
	}
	npf_jit_run_batch(filter, packets, wire, held, most, verdicts);
	for (uint32_t i = 0; i < most; i++) {
		struct engine_run *run = &runs[i / row % n];

		if ((row > 1 || i >= n) && verdicts[i] != run->answer) {
			fprintf(stderr, "one packet has two answers: 0x%x, 0x%x\n", verdicts[i],
				run->answer);
			abort();
		}
		run->answer = verdicts[i];
	}
}

void engine_x86_run_batch(void *prepared, struct engine_run *runs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += MOST_RUNS) {
		uint32_t some = n - i < MOST_RUNS ? n - i : MOST_RUNS;

		for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
			run_in_rows(prepared, runs + i, some, rows[r]);
	}
}

void engine_x86_drop(void *prepared)
{
	bpf_destroy_jit_filter(prepared);
}
