/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_x86.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/x86.h"
#include "npf/npf.h"

#define AT_ONCE 64u

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

/* As many as there are, and each of them in every lane: few packets make no full group. */
static void run_some(const struct npf_jit_filter *filter, struct engine_run *runs, uint32_t n)
{
	const uint8_t *packets[AT_ONCE];
	uint32_t wire[AT_ONCE], held[AT_ONCE], verdicts[AT_ONCE];

	for (uint32_t i = 0; i < AT_ONCE; i++) {
		packets[i] = runs[i % n].data;
		wire[i] = runs[i % n].frame->wire_length;
		held[i] = runs[i % n].frame->length;
		verdicts[i] = 0xDEADBEEF;
	}
	npf_jit_run_batch(filter, packets, wire, held, AT_ONCE, verdicts);
	for (uint32_t i = 0; i < AT_ONCE; i++) {
		if (i >= n && verdicts[i] != verdicts[i % n]) {
			fprintf(stderr, "one packet has two answers: 0x%x, 0x%x\n", verdicts[i],
				verdicts[i % n]);
			abort();
		}
		runs[i % n].answer = verdicts[i];
	}
}

void engine_x86_run_batch(void *prepared, struct engine_run *runs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += AT_ONCE / 2)
		run_some(prepared, runs + i, n - i < AT_ONCE / 2 ? n - i : AT_ONCE / 2);
}

void engine_x86_drop(void *prepared)
{
	bpf_destroy_jit_filter(prepared);
}
