/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf bpf --check: vectors through every back end, those that run in this process, the kernel and a
 * C compiler. Those made for other rules than NPF's (docs/filter-semantics.md) are counted and left
 * out. Answers + answers not given = packets of the others x engines, and the refusals.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_check.h"
#include "bpf_parts.h"
#include "filter/filter.h"
#include "filter/x86.h"
#include "host/linux/kernel_filter.h"
#include "ui/signals.h"
#include "ui/terminal.h"
#include "vectors.h"

#define BATCH 16u

/* The three ways of a translated filter to the packet. */
static const struct {
	enum npf_ebpf_access access;
	const char *name;
} kernel_ways[] = {
	{ NPF_EBPF_DIRECT, "eBPF, direct" },
	{ NPF_EBPF_COPY, "eBPF, window" },
	{ NPF_EBPF_PEEK, "eBPF, peeking" },
};

#define N_WAYS (sizeof(kernel_ways) / sizeof(kernel_ways[0]))

/* The machine code: for one packet first, then for many. */
static const struct {
	uint32_t flags, feature;
	const char *name;
} machines[] = {
	{ 0, 0, "x86-64" },
	{ NPF_JIT_BATCH | NPF_JIT_AVX2, NPF_X86_AVX2, "AVX2" },
	{ NPF_JIT_BATCH, NPF_X86_AVX512, "AVX-512" },
};

#define N_MACHINES (sizeof(machines) / sizeof(machines[0]))

#define MOST_LEFT 4u /* eBPF or one of its ways, C text, all machine code or two of its kinds */

struct check {
	struct npf_host *host;
	const char *left[MOST_LEFT]; /* engines that are not here */
	size_t n_left;
	uint32_t passes;
	bool has_machine[N_MACHINES];
	struct npf_ebpf_peek peek;
	bool has_way[N_WAYS], has_compiler;
	uint64_t answers, mismatches, left_out;
	uint64_t not_given; /* answers; of them, because of */
	uint64_t too_complex, too_long;
};

/* One program, ready for every engine. */
struct subject {
	struct npf_program program;
	struct npf_ir plain, optimised;
	void *spaces[3]; /* of the two forms, and to run them */
	struct npf_insn insns[NPF_MAX_INSNS];
	struct npf_program classic;                 /* length 0: there is none */
	struct npf_jit_filter *machine[N_MACHINES]; /* NULL: there is none */
	struct npf_compiled compiled;
	struct npf_kernel_filter kernel[N_WAYS]; /* program < 0: there is none */
};

static void mismatch(struct check *check, const char *engine, const char *name, uint32_t run,
		     uint32_t expected, uint32_t answer)
{
	printf("%s, packet %u, %s: 0x%x instead of 0x%x\n", name, run, engine, answer, expected);
	check->mismatches++;
}

/* ---- a program ------------------------------------------------------------------------------ */

/* When the verifier gives up this way has no answers; when it finds something wrong, so have we. */
static void prepare_kernel(struct subject *subject, struct check *check, size_t way,
			   const char *name)
{
	struct npf_kernel_filter *kernel = &subject->kernel[way];
	int err;

	kernel->program = kernel->map = -1;
	if (!check->has_way[way])
		return;
	err = npf_kernel_filter_load(&subject->program, kernel_ways[way].access, &check->peek,
				     kernel);
	if (err == -E2BIG)
		check->too_complex++;
	if (!err || err == -E2BIG)
		return;
	printf("%s: %s: refused by the kernel: %s\n", name, kernel_ways[way].name, strerror(-err));
	check->mismatches++;
}

/* 0 also when the program has no vector code: then this one has no answers. */
static int prepare_machine(struct subject *subject, const struct check *check, size_t i)
{
	struct npf_jit_filter **filter = &subject->machine[i];

	if (!check->has_machine[i])
		return 0;
	if (bpf_jitter(check->host, &subject->program, machines[i].flags, filter, NULL))
		return -ENOMEM;
	if (!machines[i].flags || strstr(npf_jit_engine(*filter), "at once"))
		return 0;
	bpf_destroy_jit_filter(*filter);
	*filter = NULL;
	return 0;
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
	npf_ir_optimise(&subject->optimised, check->passes, NULL);
	size = npf_ir_run_space(&subject->plain);
	if (npf_ir_run_space(&subject->optimised) > size)
		size = npf_ir_run_space(&subject->optimised);
	subject->spaces[2] = malloc(size);
	if (!subject->spaces[2])
		return -ENOMEM;
	subject->classic = (struct npf_program){ .length = NPF_MAX_INSNS, .insns = subject->insns };
	if (npf_ir_to_cbpf(&subject->optimised, subject->insns, &subject->classic.length))
		subject->classic.length = 0;
	for (size_t i = 0; i < N_MACHINES; i++) {
		if (prepare_machine(subject, check, i))
			return -ENOMEM;
	}
	return check->has_compiler ? npf_compile(&subject->optimised, &subject->compiled) : 0;
}

static void drop(struct subject *subject)
{
	for (int i = 0; i < 3; i++)
		free(subject->spaces[i]);
	for (size_t i = 0; i < N_MACHINES; i++)
		bpf_destroy_jit_filter(subject->machine[i]);
	npf_compiled_free(&subject->compiled);
	for (size_t way = 0; way < N_WAYS; way++)
		npf_kernel_filter_close(&subject->kernel[way]);
	free(subject);
}

/* ---- a packet ------------------------------------------------------------------------------- */

static void compare(struct check *check, const char *engine, const char *name, uint32_t run,
		    uint32_t expected, uint32_t answer)
{
	check->answers++;
	if (answer != expected)
		mismatch(check, engine, name, run, expected, answer);
}

/* A wrong answer if any lane has one. */
static uint32_t run_batch(const struct npf_jit_filter *filter, const struct vector_run *run)
{
	const uint8_t *data[BATCH];
	uint32_t len[BATCH], caplen[BATCH], verdicts[BATCH];

	for (uint32_t i = 0; i < BATCH; i++) {
		data[i] = run->data;
		len[i] = run->wire_length;
		caplen[i] = run->length;
	}
	npf_jit_run_batch(filter, data, len, caplen, BATCH, verdicts);
	for (uint32_t i = 0; i < BATCH; i++) {
		if (verdicts[i] != run->expected)
			return verdicts[i];
	}
	return run->expected;
}

static void run_machine(struct check *check, const struct subject *subject, size_t machine,
			const char *name, uint32_t i, const struct vector_run *run)
{
	const struct npf_jit_filter *filter = subject->machine[machine];

	if (!filter) {
		check->not_given++;
		return;
	}
	compare(check, machines[machine].name, name, i, run->expected,
		machines[machine].flags
			? run_batch(filter, run)
			: npf_jit_run(filter, run->data, run->wire_length, run->length));
}

static int run_kernel(struct check *check, const struct subject *subject, size_t way,
		      const char *name, uint32_t i, const struct vector_run *run)
{
	const struct npf_frame frame = { .length = run->length, .wire_length = run->wire_length };
	uint32_t answer;
	int err;

	if (subject->kernel[way].program < 0) {
		check->not_given++;
		return 0;
	}
	err = npf_kernel_filter_run(&subject->kernel[way], &frame, run->data, &answer);
	if (err == -EINVAL) {
		check->too_long++;
		check->not_given++;
		return 0;
	}
	if (!err)
		compare(check, kernel_ways[way].name, name, i, run->expected, answer);
	return err;
}

static int check_run(struct check *check, struct subject *subject, const char *name, uint32_t i,
		     const struct vector_run *run)
{
	struct npf_frame frame = { .length = run->length, .wire_length = run->wire_length };
	void *work = subject->spaces[2];
	int err = 0;

	compare(check, "interpreter", name, i, run->expected,
		npf_bpf_filter(&subject->program, run->data, run->wire_length, run->length));
	compare(check, "form", name, i, run->expected,
		npf_ir_run(&subject->plain, &frame, run->data, work));
	compare(check, "optimised form", name, i, run->expected,
		npf_ir_run(&subject->optimised, &frame, run->data, work));
	if (subject->classic.length)
		compare(check, "optimised classic BPF", name, i, run->expected,
			npf_bpf_filter(&subject->classic, run->data, run->wire_length, run->length));
	else
		check->not_given++;
	for (size_t machine = 0; machine < N_MACHINES; machine++)
		run_machine(check, subject, machine, name, i, run);
	if (subject->compiled.run)
		compare(check, "C text", name, i, run->expected,
			subject->compiled.run(run->data, run->wire_length, run->length,
					      (const uint8_t *)&frame));
	else
		check->not_given++;
	for (size_t way = 0; !err && way < N_WAYS; way++)
		err = run_kernel(check, subject, way, name, i, run);
	return err;
}

/* ---- a file --------------------------------------------------------------------------------- */

/* What is refused, all refuse who are given a program of somebody else's. */
static void check_refusal(struct check *check, const struct vector *vector)
{
	const struct npf_program program = { .length = vector->n_insns, .insns = vector->insns };
	struct npf_jit_filter *filters[2] = { NULL, NULL };
	const bool accepted[] = {
		!npf_filter_validate(&program, NULL, 0),
		!bpf_jitter(check->host, &program, 0, &filters[0], NULL),
		!bpf_jitter(check->host, &program, NPF_JIT_BATCH, &filters[1], NULL),
	};
	static const char *const names[] = { "the validator", "bpf_jitter",
					     "bpf_jitter for batches" };

	for (size_t i = 0; i < 3; i++) {
		check->answers++;
		if (!accepted[i])
			continue;
		printf("%s: accepted by %s, to be refused\n", vector->name, names[i]);
		check->mismatches++;
	}
	bpf_destroy_jit_filter(filters[0]);
	bpf_destroy_jit_filter(filters[1]);
}

static bool has_one_of(const struct vector *vector, const char *const *tags, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (npf_vector_has_tag(vector, tags[i]))
			return true;
	}
	return false;
}

/* Made for rules that are not NPF's, or refused by these? */
static bool is_foreign(const struct vector *vector)
{
	static const char *const always[] = { "linux-semantics", "ancillary" };
	static const char *const refusals[] = { "uninit-mem", "bsd-accepts" };

	return has_one_of(vector, always, 2) || (vector->reject && has_one_of(vector, refusals, 2));
}

/* The answers of a division by constant 0 are those of who runs it all the same. */
static bool is_refused(const struct vector *vector)
{
	return vector->reject || npf_vector_has_tag(vector, "const-div0");
}

static int check_program(struct check *check, struct subject *subject, const struct vector *vector)
{
	int err;

	for (size_t way = 0; way < N_WAYS; way++)
		prepare_kernel(subject, check, way, vector->name);
	err = prepare(subject, check);
	for (uint32_t i = 0; !err && i < vector->n_runs; i++)
		err = check_run(check, subject, vector->name, i, &vector->runs[i]);
	return err;
}

static int check_vector(struct check *check, const struct vector *vector)
{
	struct subject *subject;
	char error[NPF_ERROR_SIZE] = "";
	int err;

	if (!vector->n_insns || is_foreign(vector)) {
		check->left_out++;
		return 0;
	}
	if (is_refused(vector)) {
		check_refusal(check, vector);
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
	err = check_program(check, subject, vector);
	drop(subject);
	return err;
}

/* ---- engines -------------------------------------------------------------------------------- */

/* Told once, and again behind the last count. */
static void leave(struct check *check, const char *engine, const char *why)
{
	printf("%s was not run: %s\n", engine, why);
	check->left[check->n_left++] = engine;
}

static void find_machines(struct check *check)
{
	static const struct npf_insn accept = { .code = 0x06, .k = 1 };
	static const struct npf_program program = { .length = 1, .insns = &accept };
	struct npf_jit_filter *filter;
	char why[NPF_ERROR_SIZE];

	if (bpf_jitter(check->host, &program, 0, &filter, why)) {
		leave(check, machines[0].name, why);
		return;
	}
	if (!filter->function)
		leave(check, machines[0].name, npf_jit_engine(filter));
	for (size_t i = 0; filter->function && i < N_MACHINES; i++) {
		uint32_t feature = machines[i].feature;

		check->has_machine[i] = (npf_x86_features() & feature) == feature;
		if (!check->has_machine[i])
			leave(check, machines[i].name, "this processor has none");
	}
	bpf_destroy_jit_filter(filter);
}

static void find_engines(struct check *check)
{
	int kernel = npf_kernel_filter_probe(NPF_EBPF_DIRECT, NULL);
	int peek = kernel ? kernel : npf_peek_find(&check->peek);

	if (!peek)
		peek = npf_kernel_filter_probe(NPF_EBPF_PEEK, &check->peek);
	for (size_t way = 0; way < N_WAYS; way++)
		check->has_way[way] = !(kernel_ways[way].access == NPF_EBPF_PEEK ? peek : kernel);
	check->has_compiler = npf_has_compiler();
	find_machines(check);
	if (kernel)
		leave(check, "eBPF",
		      kernel == -EPERM ? "this process may not load programs (CAP_BPF, "
					 "CAP_PERFMON, CAP_NET_ADMIN)"
				       : strerror(-kernel));
	else if (peek)
		leave(check, "eBPF, peeking",
		      peek == -ENOTSUP ? "the kernel does not show its structures"
				       : strerror(-peek));
	if (!check->has_compiler)
		leave(check, "C text", "there is no compiler (cc)");
}

static void tell(const struct check *check, size_t programs)
{
	if (check->too_complex)
		printf("eBPF: %" PRIu64
		       " time%s a program was too complex for the kernel's verifier\n",
		       check->too_complex, npf_plural(check->too_complex));
	if (check->too_long)
		printf("eBPF: %" PRIu64 " time%s a packet was too long for a test run\n",
		       check->too_long, npf_plural(check->too_long));
	printf("%zu program%s, %" PRIu64 " answer%s, %" PRIu64 " mismatch%s, %" PRIu64
	       " program%s of other rules left out, %" PRIu64 " answer%s not given",
	       programs, npf_plural(programs), check->answers, npf_plural(check->answers),
	       check->mismatches, check->mismatches == 1 ? "" : "es", check->left_out,
	       npf_plural(check->left_out), check->not_given, npf_plural(check->not_given));
	for (size_t i = 0; i < check->n_left; i++)
		printf("%s%s", i ? "; " : "; not run: ", check->left[i]);
	putchar('\n');
}

int npf_bpf_check(const struct npf_command *command, const char *file, uint32_t passes_off)
{
	struct check check = { .host = npf_host_linux(), .passes = NPF_PASS_CBPF & ~passes_off };
	struct vectors vectors;
	int err = npf_vectors_read(file, &vectors), code = EXIT_OK;

	if (err == -EBADMSG)
		code = npf_tool_fail(command, EXIT_FAILED, "%s:%lu: not understood", file,
				     vectors.line);
	else if (err || !check.host)
		code = npf_tool_fail(command, EXIT_FAILED, "%s: %s", file,
				     strerror(err ? -err : ENOMEM));
	else
		find_engines(&check);
	for (size_t i = 0; !code && i < vectors.n; i++) {
		err = npf_signals_stopped() ? -EINTR : check_vector(&check, &vectors.list[i]);
		if (err)
			code = npf_tool_fail(command, EXIT_FAILED, "%s: %s", vectors.list[i].name,
					     strerror(-err));
	}
	if (!code)
		tell(&check, vectors.n);
	npf_vectors_free(&vectors);
	npf_host_linux_free(check.host);
	return code || check.mismatches ? EXIT_FAILED : EXIT_OK;
}
