/* SPDX-License-Identifier: BSD-3-Clause */
#include "engines.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "engine_x86.h"
#include "filter/ir.h"
#include "host/linux/kernel_filter.h"

static const char *always(void)
{
	return NULL;
}

/* ---- the intermediate form, after each choice of passes -------------------------------------- */

struct form {
	struct npf_ir ir;
	void *work;
	uint64_t space[];
};

/* What verification says must be nothing, whatever passes have run. */
static void verify(struct form *form, uint32_t passes)
{
	uint32_t where = 0;
	const char *fault = npf_ir_verify(&form->ir, &where, form->work);

	if (!fault)
		return;
	fprintf(stderr, "passes 0x%x: block %u: %s\n", passes, where, fault);
	abort();
}

static struct form *make_form(const struct npf_program *program, uint32_t passes)
{
	size_t size = npf_ir_space(program->length);
	struct form *form = malloc(sizeof(*form) + size);

	if (!form)
		abort();
	if (npf_ir_build(&form->ir, program, form->space, size)) {
		free(form);
		return NULL;
	}
	if (passes)
		npf_ir_optimise(&form->ir, passes, NULL);
	form->work = malloc(npf_ir_run_space(&form->ir));
	if (!form->work)
		abort();
	verify(form, passes);
	return form;
}

static void run_form(void *prepared, struct engine_run *runs, uint32_t n)
{
	struct form *form = prepared;

	for (uint32_t i = 0; i < n; i++) {
		struct npf_frame frame = *runs[i].frame;

		runs[i].answer = npf_ir_run(&form->ir, &frame, runs[i].data, form->work);
	}
}

static void drop_form(void *prepared)
{
	struct form *form = prepared;

	free(form->work);
	free(form);
}

#define FORM(name, passes)                                                                         \
	static void *prepare_##name(const struct npf_program *program)                             \
	{                                                                                          \
		return make_form(program, passes);                                                 \
	}

FORM(plain, 0)
FORM(fold, NPF_PASS_FOLD)
FORM(number, NPF_PASS_NUMBER)
FORM(thread, NPF_PASS_THREAD)
FORM(sets, NPF_PASS_SETS)
FORM(header, NPF_PASS_HEADER)
FORM(merge, NPF_PASS_MERGE)
FORM(checks, NPF_PASS_CHECKS)
FORM(dead, NPF_PASS_DEAD)
FORM(flatten, NPF_PASS_FLATTEN)
FORM(hoist, NPF_PASS_HOIST)
FORM(default, NPF_PASS_DEFAULT)
FORM(all, (1u << NPF_N_PASSES) - 1)

static uint32_t hash_of(const struct npf_program *program)
{
	uint32_t mix = program->length;

	for (uint32_t i = 0; i < program->length; i++)
		mix = (mix ^ program->insns[i].k ^ program->insns[i].code) * 0x9E3779B1u;
	return mix;
}

/* Any subset, another one for each program. */
static void *prepare_some(const struct npf_program *program)
{
	return make_form(program, hash_of(program) >> (32 - NPF_N_PASSES));
}

/* All but one, another one for each program. */
static void *prepare_most(const struct npf_program *program)
{
	uint32_t out = (hash_of(program) >> 8) % NPF_N_PASSES;

	return make_form(program, ((1u << NPF_N_PASSES) - 1) & ~(1u << out));
}

#define FORM_ROW(title, id)                                                                        \
	{                                                                                          \
		.name = title, .sees_frames = true, .why_not = always, .prepare = prepare_##id,    \
		.run = run_form, .drop = drop_form,                                                \
	}

/* ---- back to classic BPF -------------------------------------------------------------------- */

struct classic {
	struct npf_program program;
	struct npf_insn insns[NPF_MAX_INSNS];
};

static void *prepare_classic(const struct npf_program *program)
{
	struct form *form = make_form(program, NPF_PASS_CBPF);
	struct classic *classic = calloc(1, sizeof(*classic));
	char error[128];
	int err;

	if (!classic)
		abort();
	classic->program = (struct npf_program){
		.length = NPF_MAX_INSNS,
		.dialect = program->dialect,
		.insns = classic->insns,
	};
	err = form ? npf_ir_to_cbpf(&form->ir, classic->insns, &classic->program.length) : -1;
	if (form)
		drop_form(form);
	if (err) {
		free(classic);
		return NULL;
	}
	if (npf_filter_validate(&classic->program, error, sizeof(error))) {
		fprintf(stderr, "optimised program: %s\n", error);
		abort();
	}
	return classic;
}

static void run_classic(void *prepared, struct engine_run *runs, uint32_t n)
{
	const struct classic *classic = prepared;

	for (uint32_t i = 0; i < n; i++) {
		struct npf_frame frame = *runs[i].frame;

		runs[i].answer = npf_filter_run(&classic->program, &frame, runs[i].data);
	}
}

/* ---- C text, compiled ----------------------------------------------------------------------- */

struct compiled {
	void *library;
	uint32_t (*run)(const uint8_t *packet, uint32_t wire_length, uint32_t length,
			const uint8_t *frame);
};

static const char *why_no_compiler(void)
{
	static int found = -1;

	if (found < 0)
		found = !system("cc --version >/dev/null 2>&1");
	return found ? NULL : "there is no cc";
}

/* What each text begins with is there once for each program of a file. */
static void rename_helper(FILE *file, const char *helper, uint32_t number)
{
	fprintf(file, "#undef %s\n#define %s %s_of_%u\n", helper, helper, helper, number);
}

static void write_c(const struct form *form, FILE *file, uint32_t number)
{
	static const char *const helpers[] = { "load1", "load2", "load4", "field2", "field4" };
	size_t size = npf_ir_c_space(&form->ir);
	char *text = malloc(size), name[32];

	if (!text)
		abort();
	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)
		rename_helper(file, helpers[i], number);
	for (uint32_t i = 0; i < form->ir.n_sets; i++) {
		snprintf(name, sizeof(name), "set%u", i);
		rename_helper(file, name, number);
	}
	snprintf(name, sizeof(name), "filter%u", number);
	npf_ir_to_c(&form->ir, name, text, size);
	fputs(text, file);
	free(text);
}

/* False for those that there is no form of. */
static void write_all_c(const struct npf_program *programs, uint32_t n, const char *path,
			bool *written)
{
	FILE *file = fopen(path, "w");

	if (!file)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		struct form *form = make_form(&programs[i], NPF_PASS_DEFAULT | NPF_PASS_FLATTEN);

		written[i] = form != NULL;
		if (!form)
			continue;
		write_c(form, file, i);
		drop_form(form);
	}
	if (ferror(file) || fclose(file))
		abort();
}

/* Each holds the library for itself. */
static void *load_c(const char *path, uint32_t number)
{
	struct compiled *compiled = calloc(1, sizeof(*compiled));
	char name[32];

	if (!compiled)
		abort();
	compiled->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!compiled->library)
		abort();
	snprintf(name, sizeof(name), "filter%u", number);
	*(void **)&compiled->run = dlsym(compiled->library, name);
	if (!compiled->run)
		abort();
	return compiled;
}

static void prepare_many_c(const struct npf_program *programs, uint32_t n, void **prepared)
{
	char folder[] = "/tmp/npf-engine-XXXXXX";
	char source[64], library[64], command[256];
	bool *written = calloc(n, sizeof(*written));

	if (!written || !mkdtemp(folder))
		abort();
	snprintf(source, sizeof(source), "%s/filter.c", folder);
	snprintf(library, sizeof(library), "%s/filter.so", folder);
	snprintf(command, sizeof(command), "cc -O1 -w -shared -fPIC -o %s %s", library, source);
	write_all_c(programs, n, source, written);
	if (system(command)) {
		fprintf(stderr, "%s failed\n", command);
		abort();
	}
	for (uint32_t i = 0; i < n; i++)
		prepared[i] = written[i] ? load_c(library, i) : NULL;
	unlink(source);
	unlink(library);
	rmdir(folder);
	free(written);
}

static void *prepare_c(const struct npf_program *program)
{
	void *prepared;

	prepare_many_c(program, 1, &prepared);
	return prepared;
}

static void run_c(void *prepared, struct engine_run *runs, uint32_t n)
{
	const struct compiled *compiled = prepared;

	for (uint32_t i = 0; i < n; i++) {
		const struct npf_frame *frame = runs[i].frame;

		runs[i].answer = compiled->run(runs[i].data, frame->wire_length, frame->length,
					       (const uint8_t *)frame);
	}
}

static void drop_c(void *prepared)
{
	struct compiled *compiled = prepared;

	dlclose(compiled->library);
	free(compiled);
}

/* ---- eBPF, in the kernel -------------------------------------------------------------------- */

const struct npf_ebpf_peek *engine_peek(void)
{
	static struct npf_ebpf_peek peek;
	static int err = 1;

	if (err > 0)
		err = npf_peek_find(&peek);
	return err ? NULL : &peek;
}

static const char *why_no_kernel(void)
{
	static int err = 1;

	if (err > 0)
		err = npf_kernel_filter_probe(NPF_EBPF_DIRECT, NULL);
	return err ? "this process may not load programs" : NULL;
}

bool engine_must_peek(void)
{
	const char *names = getenv("NPF_TEST_REQUIRE");
	int major = 0, minor = 0;
	struct utsname kernel;

	if (!names || !strstr(names, "socket") || uname(&kernel) ||
	    sscanf(kernel.release, "%d.%d", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 2);
}

static const char *why_no_peek(void)
{
	static int err = 1;

	if (why_no_kernel())
		return why_no_kernel();
	if (err > 0)
		err = npf_kernel_filter_probe(NPF_EBPF_PEEK, engine_peek());
	/* Any other failure is one of the code, and whoever loads it finds that. */
	return err == -ENOTSUP && !engine_must_peek() ? "this kernel does not show its structures"
						      : NULL;
}

/* NULL: more than the kernel's verifier is willing to walk through. */
static void *load_kernel(const struct npf_program *program, enum npf_ebpf_access access)
{
	struct npf_kernel_filter *kernel = calloc(1, sizeof(*kernel));
	int err;

	if (!kernel)
		abort();
	err = npf_kernel_filter_load(program, access, engine_peek(), kernel);
	if (!err)
		return kernel;
	free(kernel);
	if (err != -E2BIG) {
		fprintf(stderr, "the kernel refuses: %s\n", strerror(-err));
		abort();
	}
	return NULL;
}

static void *prepare_kernel(const struct npf_program *program)
{
	return load_kernel(program, NPF_EBPF_COPY);
}

static void *prepare_kernel_direct(const struct npf_program *program)
{
	return load_kernel(program, NPF_EBPF_DIRECT);
}

static void *prepare_kernel_peek(const struct npf_program *program)
{
	return load_kernel(program, NPF_EBPF_PEEK);
}

#define KERNEL_PACKETS 300u  /* of many: each is a system call or two */
#define KERNEL_BYTES   1500u /* that a test run surely takes */

static void run_kernel(void *prepared, struct engine_run *runs, uint32_t n)
{
	uint32_t step = n / KERNEL_PACKETS + 1;

	for (uint32_t i = 0; i < n; i++) {
		struct npf_frame frame = *runs[i].frame;

		runs[i].skipped = i % step != 0 || frame.length > KERNEL_BYTES;
		if (runs[i].skipped)
			continue;
		if (npf_kernel_filter_run(prepared, &frame, runs[i].data, &runs[i].answer))
			abort();
	}
}

static void drop_kernel(void *prepared)
{
	npf_kernel_filter_close(prepared);
	free(prepared);
}

const struct engine engines[] = {
	FORM_ROW("form", plain),
	FORM_ROW("form, fold", fold),
	FORM_ROW("form, number", number),
	FORM_ROW("form, thread", thread),
	FORM_ROW("form, sets", sets),
	FORM_ROW("form, header", header),
	FORM_ROW("form, merge", merge),
	FORM_ROW("form, checks", checks),
	FORM_ROW("form, dead", dead),
	FORM_ROW("form, flatten", flatten),
	FORM_ROW("form, hoist", hoist),
	FORM_ROW("form, default", default),
	FORM_ROW("form, all", all),
	FORM_ROW("form, some", some),
	FORM_ROW("form, most", most),
	{ .name = "x86-64",
	  .why_not = engine_x86_why_not,
	  .prepare = engine_x86_prepare,
	  .run = engine_x86_run,
	  .drop = engine_x86_drop },
	{ .name = "x86-64, AVX2",
	  .why_not = engine_x86_why_not_avx2,
	  .prepare = engine_x86_prepare_avx2,
	  .run = engine_x86_run_batch,
	  .drop = engine_x86_drop },
	{ .name = "x86-64, AVX-512",
	  .why_not = engine_x86_why_not_avx512,
	  .prepare = engine_x86_prepare_avx512,
	  .run = engine_x86_run_batch,
	  .drop = engine_x86_drop },
	{
		.name = "classic",
		.sees_frames = true,
		.why_not = always,
		.prepare = prepare_classic,
		.run = run_classic,
		.drop = free,
	},
	{
		.name = "C text",
		.one_of = 500,
		.why_not = why_no_compiler,
		.prepare = prepare_c,
		.prepare_many = prepare_many_c,
		.run = run_c,
		.drop = drop_c,
	},
	{
		.name = "eBPF",
		.sees_frames = true,
		.one_of = 60,
		.why_not = why_no_kernel,
		.prepare = prepare_kernel,
		.run = run_kernel,
		.drop = drop_kernel,
	},
	{
		.name = "eBPF, direct access",
		.sees_frames = true,
		.one_of = 60,
		.why_not = why_no_kernel,
		.prepare = prepare_kernel_direct,
		.run = run_kernel,
		.drop = drop_kernel,
	},
	{
		.name = "eBPF, peeking",
		.sees_frames = true,
		.one_of = 60,
		.why_not = why_no_peek,
		.prepare = prepare_kernel_peek,
		.run = run_kernel,
		.drop = drop_kernel,
	},
	{ .name = NULL },
};

/* ---- comparing ------------------------------------------------------------------------------ */

#define SHOWN 20 /* disagreements that are told */

uint32_t engine_mistakes;

bool engine_is_wanted(const struct engine *engine)
{
	const char *only = getenv("NPF_ENGINE");

	return (!only || !strcmp(only, engine->name)) && !engine->why_not();
}

bool engine_takes(const struct engine *engine, const struct npf_program *program)
{
	return engine->sees_frames || program->dialect == NPF_DIALECT_WIRE;
}

static void tell_program(const struct npf_program *program)
{
	for (uint32_t i = 0; i < program->length; i++) {
		const struct npf_insn *insn = &program->insns[i];

		fprintf(stderr, "\t{ 0x%02x, %u, %u, 0x%08x },\n", insn->code, insn->jt, insn->jf,
			insn->k);
	}
}

static void expect(const struct engine *engine, const char *name, const struct npf_program *program,
		   const struct engine_run *run)
{
	struct npf_frame copy = *run->frame;
	uint32_t expected = npf_filter_run(program, &copy, run->data);

	if (run->skipped || run->answer == expected)
		return;
	if (!engine_mistakes)
		tell_program(program);
	if (engine_mistakes++ < SHOWN)
		fprintf(stderr, "%s: %s: 0x%x instead of 0x%x\n", engine->name, name, run->answer,
			expected);
}

bool engine_compare(const struct engine *engine, const char *name,
		    const struct npf_program *program, struct engine_run *runs, uint32_t n)
{
	void *prepared = engine->prepare(program);

	if (!prepared)
		return false;
	for (uint32_t i = 0; i < n; i++)
		runs[i].skipped = false;
	engine->run(prepared, runs, n);
	for (uint32_t i = 0; i < n; i++)
		expect(engine, name, program, &runs[i]);
	engine->drop(prepared);
	return true;
}
