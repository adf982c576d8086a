/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf bpf: a filter at every stage, from the expression to machine code.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf_parts.h"
#include "expression/expression.h"
#include "filter/ancillary.h"
#include "filter/ebpf.h"
#include "filter/filter.h"
#include "filter/opcodes.h"
#include "host/linux/peek.h"
#include "ui/filter_text.h"
#include "ui/json.h"
#include "ui/signals.h"
#include "ui/terminal.h"

#define CODE_SIZE (1u << 20)
#define PASSES    (NPF_PASS_DEFAULT | NPF_PASS_HEADER) /* what the kernel's filters get */

enum stage {
	STAGE_CBPF,
	STAGE_FORM,
	STAGE_OPTIMISED,
	STAGE_CBPF_OPTIMISED,
	STAGE_EBPF,
	STAGE_EBPF_PEEK,
	STAGE_EBPF_COPY,
	STAGE_X86,
	STAGE_VECTOR,
	STAGE_C,
	N_STAGES
};

static const struct {
	const char *name, *title;
} stages[N_STAGES] = {
	[STAGE_CBPF] = { "cbpf", "classic BPF" },
	[STAGE_FORM] = { "form", "the intermediate form" },
	[STAGE_OPTIMISED] = { "optimised", "the form, optimised" },
	[STAGE_CBPF_OPTIMISED] = { "cbpf-optimised", "classic BPF from it" },
	[STAGE_EBPF] = { "ebpf", "eBPF with direct access" },
	[STAGE_EBPF_PEEK] = { "ebpf-peek", "eBPF through the kernel's structures" },
	[STAGE_EBPF_COPY] = { "ebpf-copy", "eBPF with a copy" },
	[STAGE_X86] = { "x86", "x86-64, one packet" },
	[STAGE_VECTOR] = { "vector", "x86-64, many packets" },
	[STAGE_C] = { "c", "C" },
};

#define ALL_STAGES   ((1u << N_STAGES) - 1)
#define FIRST_STAGES (1u << STAGE_CBPF | 1u << STAGE_OPTIMISED)

struct options {
	const char *graph, *check, *program;
	char *expression;
	uint32_t link_type;
	uint32_t wanted; /* bit per stage */
	uint32_t passes_off;
	bool passes, json, counts;
};

struct work {
	struct options options;
	struct npf_compiled compiled;
	struct npf_ir plain, optimised;
	struct npf_ir_report report;
	void *spaces[2];
	struct npf_terminal terminal;
};

static int fail(const char *text)
{
	return npf_tool_fail(&npf_command_bpf, EXIT_FAILED, "%s", text);
}

/* ---- the program ---------------------------------------------------------------------------- */

/* Does it ask for what only Linux knows of a packet, as a VLAN tag that lies beside it? */
static bool is_for_linux(const struct npf_program *program)
{
	for (uint32_t i = 0; i < program->length; i++) {
		const struct npf_insn *insn = &program->insns[i];

		if (NPF_CLASS(insn->code) == NPF_LD && NPF_MODE(insn->code) == NPF_ABS &&
		    npf_ancillary_find(insn->k))
			return true;
	}
	return false;
}

/* As tcpdump -ddd writes it: the number of instructions, then each as four numbers. */
static int read_program(struct work *work)
{
	const bool from_input = !strcmp(work->options.program, "-");
	const char *name = from_input ? "standard input" : work->options.program;
	FILE *file = from_input ? stdin : fopen(name, "re");
	struct npf_insn *insns = NULL;
	unsigned int n = 0, i = 0;
	int unread;

	if (!file)
		return npf_tool_fail(&npf_command_bpf, EXIT_FAILED, "%s: %s", name, strerror(errno));
	if (fscanf(file, "%u", &n) == 1 && n && n <= NPF_MAX_INSNS)
		insns = calloc(n, sizeof(*insns));
	for (; insns && i < n; i++) {
		unsigned int code, jt, jf, k;

		if (fscanf(file, "%u %u %u %u", &code, &jt, &jf, &k) != 4 || code > 0xFFFF ||
		    jt > 0xFF || jf > 0xFF)
			break;
		insns[i] = (struct npf_insn){ (uint16_t)code, (uint8_t)jt, (uint8_t)jf, k };
	}
	unread = ferror(file) ? errno : 0;
	if (!from_input)
		fclose(file);
	work->compiled.insns = insns;
	work->compiled.program = (struct npf_program){ .length = n, .insns = insns };
	if (unread)
		return npf_tool_fail(&npf_command_bpf, EXIT_FAILED, "%s: %s", name,
				     strerror(unread));
	if (insns && i == n) {
		if (is_for_linux(&work->compiled.program))
			work->compiled.program.dialect = NPF_DIALECT_LINUX;
		return EXIT_OK;
	}
	return npf_tool_fail(&npf_command_bpf, EXIT_USAGE,
			     "%s: instruction %u is not there: the number of instructions, then "
			     "four numbers for each, as tcpdump -ddd writes them",
			     name, i);
}

static int make_program(struct work *work)
{
	char error[NPF_ERROR_SIZE], told[NPF_ERROR_SIZE];
	int code;

	if (work->options.program) {
		code = read_program(work);
		if (code)
			return code;
	} else if (npf_expression_compile_offline(work->options.expression, work->options.link_type,
						  false, &work->compiled, error)) {
		return npf_tool_fail(&npf_command_bpf, EXIT_USAGE, "%s",
				     npf_filter_wrong(work->options.expression, error, told));
	}
	if (npf_filter_validate(&work->compiled.program, error, sizeof(error)))
		return npf_tool_fail(&npf_command_bpf, EXIT_USAGE, "the program is refused: %s",
				     error);
	return EXIT_OK;
}

static int make_forms(struct work *work)
{
	size_t size = npf_ir_space(work->compiled.program.length);

	for (int i = 0; i < 2; i++) {
		struct npf_ir *ir = i ? &work->optimised : &work->plain;

		work->spaces[i] = malloc(size);
		if (!work->spaces[i] ||
		    npf_ir_build(ir, &work->compiled.program, work->spaces[i], size))
			return fail("out of memory");
	}
	npf_ir_optimise(&work->optimised, PASSES & ~work->options.passes_off, &work->report);
	return EXIT_OK;
}

/* ---- stages --------------------------------------------------------------------------------- */

static uint32_t list_form(FILE *out, const struct npf_ir *ir)
{
	size_t size = 200 * ((size_t)ir->n_insns + ir->n_blocks + ir->n_sets + 1);
	char *text = malloc(size);

	if (!text)
		return 0;
	npf_ir_to_text(ir, text, size);
	fputs(text, out);
	free(text);
	return ir->n_insns + ir->n_blocks;
}

static uint32_t list_classic(FILE *out, struct work *work)
{
	struct npf_insn *insns = calloc(NPF_MAX_INSNS, sizeof(*insns));
	uint32_t n = NPF_MAX_INSNS;

	if (!insns)
		return 0;
	if (npf_ir_to_cbpf(&work->optimised, insns, &n)) {
		fputs("not possible: the program is taken as it is\n", out);
		n = 0;
	}
	npf_list_cbpf(out, insns, n);
	free(insns);
	return n;
}

static void tell_tables(FILE *out, uint32_t size)
{
	if (size)
		fprintf(out, "and %u byte%s of tables\n", size, npf_plural(size));
}

static uint32_t list_ebpf(FILE *out, const struct npf_ir *ir, enum npf_ebpf_access access)
{
	size_t size = npf_ebpf_space(&ir, 1);
	struct npf_ebpf_peek peek;
	struct npf_ebpf_code code = {
		.capacity = npf_ebpf_capacity(&ir, 1),
		.tables_capacity = npf_ebpf_tables(&ir, 1),
		.peek = &peek,
	};
	uint32_t n = 0;
	void *space;

	if (access == NPF_EBPF_PEEK && npf_peek_find(&peek)) {
		fputs("not possible: the kernel does not show its structures\n", out);
		return 0;
	}
	space = malloc(size);
	code.insns = malloc(code.capacity * sizeof(*code.insns));
	code.tables = calloc(1, code.tables_capacity + 1);
	if (space && code.insns && code.tables && !npf_ir_to_ebpf(ir, access, &code, space, size)) {
		npf_list_ebpf(out, code.insns, code.length);
		tell_tables(out, code.tables_length);
		n = code.length;
	} else {
		fputs("not possible: too long for eBPF\n", out);
	}
	free(code.tables);
	free(code.insns);
	free(space);
	return n;
}

static uint32_t list_machine(FILE *out, const struct npf_program *program, uint32_t flags)
{
	struct npf_host *host = npf_host_linux();
	uint8_t *code = malloc(CODE_SIZE);
	char error[NPF_ERROR_SIZE] = "out of memory";
	uint32_t code_size = 0, n = 0;
	int64_t size = -ENOMEM;

	if (host && code)
		size = bpf_to_x86(host, program, flags, code, CODE_SIZE, &code_size, error);
	if (size >= 0 && size <= CODE_SIZE)
		n = npf_list_x86(out, code, code_size);
	else
		fprintf(out, "not possible: %s\n", error);
	tell_tables(out, size > code_size ? (uint32_t)size - code_size : 0);
	free(code);
	npf_host_linux_free(host);
	return n;
}

static uint32_t list_c(FILE *out, const struct npf_ir *ir)
{
	size_t size = npf_ir_c_space(ir);
	char *text = malloc(size);
	uint32_t lines = 0;

	if (!text)
		return 0;
	npf_ir_to_c(ir, "filter", text, size);
	fputs(text, out);
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	free(text);
	return lines;
}

/* Write a stage; the number of its instructions (values, lines). */
static uint32_t list_stage(FILE *out, struct work *work, enum stage stage)
{
	const struct npf_program *program = &work->compiled.program;

	switch (stage) {
	case STAGE_CBPF:
		npf_list_cbpf(out, program->insns, program->length);
		return program->length;
	case STAGE_FORM:
		return list_form(out, &work->plain);
	case STAGE_OPTIMISED:
		return list_form(out, &work->optimised);
	case STAGE_CBPF_OPTIMISED:
		return list_classic(out, work);
	case STAGE_EBPF:
		return list_ebpf(out, &work->optimised, NPF_EBPF_DIRECT);
	case STAGE_EBPF_PEEK:
		return list_ebpf(out, &work->optimised, NPF_EBPF_PEEK);
	case STAGE_EBPF_COPY:
		return list_ebpf(out, &work->optimised, NPF_EBPF_COPY);
	case STAGE_X86:
		return list_machine(out, program, 0);
	case STAGE_VECTOR:
		return list_machine(out, program, NPF_JIT_BATCH);
	default:
		return list_c(out, &work->optimised);
	}
}

static const char *unit_of(enum stage stage)
{
	if (stage == STAGE_C)
		return "line";
	return stage == STAGE_FORM || stage == STAGE_OPTIMISED ? "operation" : "instruction";
}

/* A stage as text that the caller frees; NULL: out of memory. */
static char *stage_text(struct work *work, enum stage stage, uint32_t *n)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	*n = list_stage(out, work, stage);
	fclose(out);
	return text;
}

static void show_stage(struct work *work, enum stage stage, const char *text, uint32_t n)
{
	const struct npf_terminal *terminal = &work->terminal;

	printf("%s%s: %s, %u %s%s%s\n%s\n", npf_colour(terminal, NPF_BOLD), stages[stage].name,
	       stages[stage].title, n, unit_of(stage), npf_plural(n),
	       npf_colour(terminal, NPF_PLAIN), text);
}

/* Only how long it is. */
static void count_stage(enum stage stage, uint32_t n)
{
	char unit[16];

	snprintf(unit, sizeof(unit), "%s%s", unit_of(stage), npf_plural(n));
	printf("  %-15s  %5u %-12s  %s\n", stages[stage].name, n, unit, stages[stage].title);
}

static void json_stage(struct npf_json *json, enum stage stage, const char *text, uint32_t n)
{
	npf_json_object(json, NULL);
	npf_json_string(json, "stage", stages[stage].name);
	npf_json_unsigned(json, "length", n);
	npf_json_string(json, "text", text);
	npf_json_object_end(json);
}

/* The stages that are wanted; into json, where there is one. */
static int show_stages(struct work *work, struct npf_json *json)
{
	for (enum stage stage = 0; stage < N_STAGES; stage++) {
		uint32_t n;
		char *text;

		if (!(work->options.wanted >> stage & 1))
			continue;
		text = stage_text(work, stage, &n);
		if (!text)
			return fail("out of memory");
		if (json)
			json_stage(json, stage, text, n);
		else
			show_stage(work, stage, text, n);
		free(text);
	}
	return EXIT_OK;
}

/* How long the others are. */
static int show_counts(struct work *work)
{
	puts("not shown (--stage NAME, --all):");
	for (enum stage stage = 0; stage < N_STAGES; stage++) {
		uint32_t n;
		char *text;

		if (work->options.wanted >> stage & 1)
			continue;
		text = stage_text(work, stage, &n);
		if (!text)
			return fail("out of memory");
		free(text);
		count_stage(stage, n);
	}
	return EXIT_OK;
}

/* ---- passes --------------------------------------------------------------------------------- */

static const char *explain(const char *pass)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
		{ "fold", "computed what does not depend on the packet" },
		{ "number", "computed and loaded equal things once" },
		{ "thread", "took ways whose conditions were known" },
		{ "sets", "made sets of chains of comparisons" },
		{ "header", "made a copy for IPv4 headers without options" },
		{ "merge", "made one of equal ends" },
		{ "checks", "checked bounds once for many loads" },
		{ "dead", "left out what nobody uses" },
		{ "flatten", "made values of small branches" },
		{ "hoist", "moved what both branches compute before them" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!strcmp(texts[i].name, pass))
			return texts[i].text;
	}
	return "";
}

static void tell_size(const struct npf_ir *ir, const char *when)
{
	printf("%u operation%s in %u block%s %s\n", ir->n_insns, npf_plural(ir->n_insns),
	       ir->n_blocks, npf_plural(ir->n_blocks), when);
}

static bool is_on(const struct work *work, uint32_t pass)
{
	return (PASSES & ~work->options.passes_off) >> pass & 1;
}

static void show_passes(const struct work *work)
{
	tell_size(&work->plain, "before");
	for (uint32_t i = 0; npf_ir_pass_name(i); i++) {
		if (is_on(work, i))
			printf("%5u  %-8s %s\n", work->report.changed[i], npf_ir_pass_name(i),
			       explain(npf_ir_pass_name(i)));
	}
	tell_size(&work->optimised, "after");
}

static void json_size(struct npf_json *json, const struct npf_ir *ir, const char *when)
{
	npf_json_object(json, when);
	npf_json_unsigned(json, "operations", ir->n_insns);
	npf_json_unsigned(json, "blocks", ir->n_blocks);
	npf_json_object_end(json);
}

static void json_passes(struct npf_json *json, const struct work *work)
{
	json_size(json, &work->plain, "before");
	npf_json_object(json, "passes");
	for (uint32_t i = 0; npf_ir_pass_name(i); i++) {
		if (is_on(work, i))
			npf_json_unsigned(json, npf_ir_pass_name(i), work->report.changed[i]);
	}
	npf_json_object_end(json);
	json_size(json, &work->optimised, "after");
}

/* ---- the graph ------------------------------------------------------------------------------ */

static bool wants_picture(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && !strcmp(name + n - 4, ".svg");
}

static int draw(const char *dot, const char *name)
{
	FILE *pipe;
	int status;

	if (setenv("NPF_GRAPH", name, 1))
		return fail("out of memory");
	pipe = popen("command -v dot >/dev/null || exit 127; exec dot -Tsvg -o \"$NPF_GRAPH\"", "w");
	if (!pipe)
		return fail(strerror(errno));
	fputs(dot, pipe);
	status = pclose(pipe);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return fail("a picture needs the program dot (package graphviz); without it, give "
			    "a name that does not end in .svg");
	return status ? fail("dot failed") : EXIT_OK;
}

static int write_graph(const struct work *work)
{
	const struct npf_ir *ir = &work->optimised;
	const char *name = work->options.graph;
	size_t size = 400 * ((size_t)ir->n_insns + ir->n_blocks + ir->n_sets + 4);
	char *dot = malloc(size);
	FILE *file;
	int code = EXIT_OK;

	if (!dot)
		return fail("out of memory");
	npf_ir_to_dot(ir, dot, size);
	if (wants_picture(name)) {
		code = draw(dot, name);
	} else {
		file = strcmp(name, "-") ? fopen(name, "we") : stdout;
		if (!file || fputs(dot, file) < 0 || (file != stdout && fclose(file)))
			code = npf_tool_fail(&npf_command_bpf, npf_tool_write_code(-errno),
					     "%s: %s", name, strerror(errno));
	}
	free(dot);
	return code;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static int show_json(struct work *work)
{
	struct npf_json json = { .out = stdout };
	int code;

	npf_json_object(&json, NULL);
	npf_json_string(&json, "expression", work->options.expression);
	if (work->options.passes)
		json_passes(&json, work);
	npf_json_array(&json, "stages");
	code = show_stages(work, &json);
	npf_json_array_end(&json);
	npf_json_object_end(&json);
	npf_json_line(&json);
	return code;
}

static int show(struct work *work)
{
	int code;

	if (work->options.json)
		return show_json(work);
	if (work->options.passes)
		show_passes(work);
	code = show_stages(work, NULL);
	return code || !work->options.counts ? code : show_counts(work);
}

/* ---- the command line ----------------------------------------------------------------------- */

enum { STAGE = 256, ALL, PASSES_OPTION, WITHOUT, GRAPH, CHECK, LINK_TYPE, JSON };

static int take_stage(struct options *options, const char *name)
{
	for (uint32_t stage = 0; stage < N_STAGES; stage++) {
		if (strcmp(stages[stage].name, name))
			continue;
		options->wanted |= 1u << stage;
		return EXIT_OK;
	}
	return npf_tool_usage(&npf_command_bpf, "there is no stage '%s'", name);
}

static int take_pass(struct options *options, const char *name)
{
	for (uint32_t i = 0; npf_ir_pass_name(i); i++) {
		if (!(PASSES >> i & 1) || strcmp(npf_ir_pass_name(i), name))
			continue;
		options->passes_off |= 1u << i;
		return EXIT_OK;
	}
	return npf_tool_usage(&npf_command_bpf, "there is no pass '%s'", name);
}

static int take_option(struct options *options, int option)
{
	uint64_t number;

	switch (option) {
	case STAGE:
		return take_stage(options, optarg);
	case ALL:
		options->wanted = ALL_STAGES;
		return EXIT_OK;
	case PASSES_OPTION:
		options->passes = true;
		return EXIT_OK;
	case WITHOUT:
		return take_pass(options, optarg);
	case GRAPH:
		options->graph = optarg;
		return EXIT_OK;
	case CHECK:
		options->check = optarg;
		return EXIT_OK;
	case 'F':
		options->program = optarg;
		return EXIT_OK;
	case JSON:
		options->json = true;
		return EXIT_OK;
	case LINK_TYPE:
		if (!npf_parse_number(optarg, 0, 0xFFFF, &number))
			return npf_tool_usage(&npf_command_bpf, "--link-type '%s': not a number",
					      optarg);
		options->link_type = (uint32_t)number;
		return EXIT_OK;
	default:
		return npf_tool_hint(&npf_command_bpf);
	}
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "stage", required_argument, NULL, STAGE },
		{ "all", no_argument, NULL, ALL },
		{ "passes", no_argument, NULL, PASSES_OPTION },
		{ "without", required_argument, NULL, WITHOUT },
		{ "graph", required_argument, NULL, GRAPH },
		{ "check", required_argument, NULL, CHECK },
		{ "link-type", required_argument, NULL, LINK_TYPE },
		{ "program", required_argument, NULL, 'F' },
		{ "json", no_argument, NULL, JSON },
		{ NULL, 0, NULL, 0 },
	};
	int option, code;

	while ((option = getopt_long(argc, argv, "+F:", long_options, NULL)) != -1) {
		code = take_option(options, option);
		if (code)
			return code;
	}
	if (options->check && (options->wanted || options->passes || options->graph ||
			       options->program || options->json || optind < argc))
		return npf_tool_usage(&npf_command_bpf,
				      "--check takes its programs from a file: but --without "
				      "nothing goes with it");
	if (options->program && optind < argc)
		return npf_tool_usage(&npf_command_bpf, "'%s': -F stands in the place of a filter",
				      argv[optind]);
	if (options->json && options->graph && !strcmp(options->graph, "-"))
		return npf_tool_usage(&npf_command_bpf,
				      "--graph - and --json both want standard output");
	if (!options->wanted && !options->passes && !options->graph) {
		/* What fits on a screen or two; programs have no screen. */
		options->wanted = options->json ? ALL_STAGES : FIRST_STAGES;
		options->counts = !options->json;
	}
	options->expression = npf_join_words(argv + optind, argc - optind);
	return options->expression ? EXIT_OK : fail("out of memory");
}

static int run_work(struct work *work)
{
	int code;

	if (work->options.check)
		return npf_bpf_check(&npf_command_bpf, work->options.check,
				     work->options.passes_off);
	npf_terminal_init(&work->terminal, stdout);
	code = make_program(work);
	if (!code)
		code = make_forms(work);
	if (!code && work->options.graph)
		code = write_graph(work);
	return code ? code : show(work);
}

static int run(int argc, char **argv)
{
	struct work *work = calloc(1, sizeof(*work));
	int code;

	/* dot may be missing, and a pager may have seen enough. */
	if (!work || npf_signals_init()) {
		free(work);
		return fail("out of memory");
	}
	work->options.link_type = 1;
	code = parse(&work->options, argc, argv);
	if (!code)
		code = run_work(work);
	npf_expression_free(&work->compiled);
	free(work->spaces[0]);
	free(work->spaces[1]);
	free(work->options.expression);
	free(work);
	return npf_tool_flushed(&npf_command_bpf, npf_flush(stdout), code);
}

const struct npf_command npf_command_bpf = {
	.name = "bpf",
	.run = run,
	.summary = "show a filter at every stage, down to machine code",
	.codes = NPF_CODES_ALL,
	.help = "usage: npf bpf [OPTION...] [FILTER]\n"
		"       npf bpf [--without PASS] --check FILE\n\n"
		"Compile FILTER (tcpdump's language) and show the program, what the optimiser\n"
		"made of it, and how long the other stages are.\n\n"
		"      --stage NAME       only this stage; may be given several times:\n"
		"                         cbpf            what libpcap makes of FILTER\n"
		"                         form            the form that all back ends share\n"
		"                         optimised       the same, optimised\n"
		"                         cbpf-optimised  classic BPF again (may be longer)\n"
		"                         ebpf            for the kernel, packets read directly\n"
		"                         ebpf-peek       ... on packet sockets\n"
		"                         ebpf-copy       ... before Linux 6.2, from a copy\n"
		"                         x86             machine code for one packet\n"
		"                         vector          ... for many at once\n"
		"                         c               C\n"
		"      --all              every stage; with --json the default\n"
		"      --passes           what each pass of the optimiser did\n"
		"      --without PASS     leave out a pass, by its name in --passes; may be given\n"
		"                         several times (not for x86 and vector)\n"
		"      --graph FILE       the control flow for the program dot, or as a picture\n"
		"                         when FILE ends in .svg\n"
		"      --link-type N      the savefile's number of the link type (default 1,\n"
		"                         Ethernet)\n"
		"  -F, --program FILE     a program instead of FILTER: numbers as tcpdump -ddd\n"
		"                         writes them; - is standard input\n"
		"      --check FILE       run the programs and packets of FILE through every\n"
		"                         engine, the kernel too (as root) and C (by cc)\n"
		"      --json             for programs\n\n"
		"examples:\n"
		"  npf bpf tcp port 80\n"
		"  npf bpf --stage ebpf tcp port 80\n"
		"  npf bpf --passes 'tcp port 80 or 443 or 8080'\n"
		"  npf bpf --graph web.svg tcp port 80\n"
		"  tcpdump -ddd icmp | npf bpf -F - --stage x86\n",
};
