/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf bpf --check: vectors through every engine that runs in this process. Those made for other
 * rules than NPF's (docs/filter-semantics.md) are counted and left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_parts.h"
#include "filter/filter.h"
#include "vectors.h"

#define BATCH 16u

struct check {
	struct npf_host *host;
	uint64_t answers, mismatches, left_out;
};

/* One program, ready for every engine. */
struct subject {
	struct npf_program program;
	struct npf_ir plain, optimised;
	void *spaces[3]; /* of the two forms, and to run them */
	struct npf_insn insns[NPF_MAX_INSNS];
	struct npf_program classic; /* length 0: there is none */
	struct npf_jit_filter *scalar, *batch;
};

static void mismatch(struct check *check, const char *engine, const char *name, uint32_t run,
		     uint32_t expected, uint32_t answer)
{
	printf("%s, packet %u, %s: 0x%x instead of 0x%x\n", name, run, engine, answer, expected);
	check->mismatches++;
}

static int prepare(struct subject *subject, struct check *check)
{
	size_t size = npf_ir_space(subject->program.length);

	for (int i = 0; i < 2; i++) {
		struct npf_ir *ir = i ? &subject->optimised : &subject->plain;

		subject->spaces[i] = malloc(size);
		if (!subject->spaces[i] ||
		    npf_ir_build(ir, &subject->program, subject->spaces[i], size))
			return -ENOMEM;
	}
	npf_ir_optimise(&subject->optimised, NPF_PASS_CBPF, NULL);
	size = npf_ir_run_space(&subject->plain);
	if (npf_ir_run_space(&subject->optimised) > size)
		size = npf_ir_run_space(&subject->optimised);
	subject->spaces[2] = malloc(size);
	if (!subject->spaces[2])
		return -ENOMEM;
	subject->classic = (struct npf_program){ .length = NPF_MAX_INSNS, .insns = subject->insns };
	if (npf_ir_to_cbpf(&subject->optimised, subject->insns, &subject->classic.length))
		subject->classic.length = 0;
	if (bpf_jitter(check->host, &subject->program, 0, &subject->scalar, NULL) ||
	    bpf_jitter(check->host, &subject->program, NPF_JIT_BATCH, &subject->batch, NULL))
		return -ENOMEM;
	return 0;
}

static void drop(struct subject *subject)
{
	for (int i = 0; i < 3; i++)
		free(subject->spaces[i]);
	bpf_destroy_jit_filter(subject->scalar);
	bpf_destroy_jit_filter(subject->batch);
	free(subject);
}

static void compare(struct check *check, const char *engine, const char *name, uint32_t run,
		    uint32_t expected, uint32_t answer)
{
	check->answers++;
	if (answer != expected)
		mismatch(check, engine, name, run, expected, answer);
}

static uint32_t run_batch(const struct subject *subject, const struct vector_run *run)
{
	const uint8_t *data[BATCH];
	uint32_t len[BATCH], caplen[BATCH], verdicts[BATCH];

	for (uint32_t i = 0; i < BATCH; i++) {
		data[i] = run->data;
		len[i] = run->wire_length;
		caplen[i] = run->length;
	}
	npf_jit_run_batch(subject->batch, data, len, caplen, BATCH, verdicts);
	return verdicts[BATCH - 1];
}

static void check_run(struct check *check, struct subject *subject, const char *name, uint32_t i,
		      const struct vector_run *run)
{
	struct npf_frame frame = { .length = run->length, .wire_length = run->wire_length };
	void *work = subject->spaces[2];

	compare(check, "interpreter", name, i, run->expected,
		npf_bpf_filter(&subject->program, run->data, run->wire_length, run->length));
	compare(check, "form", name, i, run->expected,
		npf_ir_run(&subject->plain, &frame, run->data, work));
	compare(check, "optimised form", name, i, run->expected,
		npf_ir_run(&subject->optimised, &frame, run->data, work));
	if (subject->classic.length)
		compare(check, "optimised classic BPF", name, i, run->expected,
			npf_bpf_filter(&subject->classic, run->data, run->wire_length, run->length));
	compare(check, npf_jit_engine(subject->scalar), name, i, run->expected,
		npf_jit_run(subject->scalar, run->data, run->wire_length, run->length));
	compare(check, npf_jit_engine(subject->batch), name, i, run->expected,
		run_batch(subject, run));
}

static int check_vector(struct check *check, const struct vector *vector)
{
	struct subject *subject;
	char error[NPF_ERROR_SIZE] = "";
	bool other = npf_vector_has_tag(vector, "linux-semantics") ||
		     npf_vector_has_tag(vector, "ancillary") ||
		     npf_vector_has_tag(vector, "const-div0") || vector->reject;
	int err;

	if (!vector->n_insns || other) {
		check->left_out++;
		return 0;
	}
	subject = calloc(1, sizeof(*subject));
	if (!subject)
		return -ENOMEM;
	subject->program = (struct npf_program){ .length = vector->n_insns, .insns = vector->insns };
	if (npf_filter_validate(&subject->program, error, sizeof(error))) {
		printf("%s: refused: %s\n", vector->name, error);
		check->mismatches++;
		free(subject);
		return 0;
	}
	err = prepare(subject, check);
	for (uint32_t i = 0; !err && i < vector->n_runs; i++)
		check_run(check, subject, vector->name, i, &vector->runs[i]);
	drop(subject);
	return err;
}

int npf_bpf_check(const struct npf_command *command, const char *file)
{
	struct check check = { .host = npf_host_linux() };
	struct vectors vectors;
	int err = npf_vectors_read(file, &vectors), code;

	if (err == -EBADMSG)
		code = npf_tool_fail(command, EXIT_FAILED, "%s:%lu: not understood", file,
				     vectors.line);
	else if (err || !check.host)
		code = npf_tool_fail(command, EXIT_FAILED, "%s: %s", file,
				     strerror(err ? -err : ENOMEM));
	else
		code = EXIT_OK;
	for (size_t i = 0; !code && i < vectors.n; i++) {
		if (check_vector(&check, &vectors.list[i]))
			code = npf_tool_fail(command, EXIT_FAILED, "out of memory");
	}
	if (!code)
		printf("%zu programs, %" PRIu64 " answers, %" PRIu64 " mismatches, %" PRIu64
		       " programs of other rules left out\n",
		       vectors.n, check.answers, check.mismatches, check.left_out);
	npf_vectors_free(&vectors);
	npf_host_linux_free(check.host);
	return code || check.mismatches ? EXIT_FAILED : EXIT_OK;
}
