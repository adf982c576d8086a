/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf stat: traffic counted in the kernel, per class, shown at intervals. No packet is copied.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "expression/expression.h"
#include "ui/filter_text.h"
#include "ui/signals.h"
#include "stat_view.h"
#include "tool.h"

#define MAX_INTERVAL (UINT64_C(24) * 3600 * NPF_SECOND)
#define MIN_INTERVAL (10 * NPF_MILLISECOND)

enum { INTERVAL = 256, ONCE, JSON, HOOK };

struct options {
	const char *adapter;
	enum npf_hook hook;
	uint64_t interval; /* ns */
	uint64_t count;    /* intervals to show */
	bool promiscuous;
	bool json;
};

struct request {
	const char *name;
	const char *expression;
};

/* What people ask first. Classes that make no sense on a link are left out there. */
static const struct request standard[] = {
	{ "all", "" },
	{ "ip", "ip" },
	{ "ip6", "ip6" },
	{ "arp", "arp" },
	{ "tcp", "tcp" },
	{ "udp", "udp" },
	{ "icmp", "icmp or icmp6" },
	{ "other", "not ip and not ip6 and not arp" },
	{ "broadcast", "ether broadcast" },
	{ "multicast", "ether multicast and not ether broadcast" },
};
#define N_STANDARD (sizeof(standard) / sizeof(standard[0]))

struct classes {
	uint32_t n;
	struct npf_class list[NPF_MAX_CLASSES];
	struct npf_compiled compiled[NPF_MAX_CLASSES];
};

static int add_class(struct classes *classes, struct npf_compiler *compiler, const char *name,
		     size_t name_length, const char *expression, char *error)
{
	struct npf_class *class = &classes->list[classes->n];
	struct npf_compiled *compiled = &classes->compiled[classes->n];
	int err = npf_compiler_compile(compiler, expression, compiled, error);

	if (err)
		return err;
	snprintf(class->name, sizeof(class->name), "%.*s", (int)name_length, name);
	class->program = compiled->program;
	classes->n++;
	return 0;
}

static void add_standard(struct classes *classes, struct npf_compiler *compiler)
{
	char unused[NPF_ERROR_SIZE];

	for (size_t i = 0; i < N_STANDARD; i++)
		add_class(classes, compiler, standard[i].name, strlen(standard[i].name),
			  standard[i].expression, unused);
}

/* The form of NAME=FILTER arguments, checked before anything is opened. */
static int check_arguments(int n, char *const *arguments)
{
	if (n > NPF_MAX_CLASSES)
		return npf_tool_usage(&npf_command_stat, "%d classes, at most %d are counted", n,
				      NPF_MAX_CLASSES);
	for (int i = 0; i < n; i++) {
		size_t length = strcspn(arguments[i], "=");

		if (!length || !arguments[i][length])
			return npf_tool_usage(&npf_command_stat,
					      "'%s': not NAME=FILTER, such as dns='port 53'",
					      arguments[i]);
		for (int k = 0; k < i; k++) {
			if (!strncmp(arguments[i], arguments[k], length + 1))
				return npf_tool_usage(&npf_command_stat,
						      "'%s': a class of that name is there already",
						      arguments[i]);
		}
		if (length >= NPF_NAME_SIZE)
			return npf_tool_usage(&npf_command_stat,
					      "'%s': a name has at most %d characters",
					      arguments[i], NPF_NAME_SIZE - 1);
	}
	return EXIT_OK;
}

static int add_arguments(struct classes *classes, struct npf_compiler *compiler, int n,
			 char *const *arguments)
{
	char error[NPF_ERROR_SIZE], told[NPF_ERROR_SIZE];

	for (int i = 0; i < n; i++) {
		size_t length = strcspn(arguments[i], "=");

		if (add_class(classes, compiler, arguments[i], length, arguments[i] + length + 1,
			      error))
			return npf_tool_fail(&npf_command_stat, EXIT_USAGE, "class %.*s: %s",
					     (int)length, arguments[i],
					     npf_filter_wrong(arguments[i] + length + 1, error,
							      told));
	}
	return EXIT_OK;
}

static int compile_classes(struct classes *classes, uint32_t link_type, int n,
			   char *const *arguments)
{
	struct npf_compiler compiler;
	char error[NPF_ERROR_SIZE];
	int code = EXIT_OK;

	if (npf_compiler_open(&compiler, link_type, NPF_SNAPLEN_MAX, error))
		return npf_tool_fail(&npf_command_stat, EXIT_FAILED, "%s", error);
	if (n)
		code = add_arguments(classes, &compiler, n, arguments);
	else
		add_standard(classes, &compiler);
	npf_compiler_close(&compiler);
	return code;
}

static void free_classes(struct classes *classes)
{
	for (uint32_t i = 0; i < classes->n; i++)
		npf_expression_free(&classes->compiled[i]);
	free(classes);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static int sample(struct npf_session *session, struct npf_stat_sample *out, uint32_t n_classes)
{
	uint32_t n = n_classes;
	int err = npf_get_class_stats(session->instance, out->stats, &n, &out->time);

	return err ? npf_session_fail(session, err, "cannot read the counters") : EXIT_OK;
}

static uint64_t monotonic(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int gone(struct npf_session *session)
{
	struct npf_adapter adapter;

	if (npf_instance_adapter(session->instance, &adapter) != -ENODEV)
		return EXIT_OK;
	return npf_tool_fail(session->command, EXIT_GONE, "the interface %s has gone",
			     session->adapter.name);
}

static int watch(struct npf_session *session, const struct options *options,
		 struct npf_stat_view *view)
{
	uint64_t deadline = monotonic();
	int code = sample(session, &view->before, view->n_classes), err = 0;

	npf_signals_watch_output(STDOUT_FILENO);
	/* A signal ends an interval early: what was counted in it is shown all the same. */
	for (uint64_t i = 0; !code && i < options->count; i++) {
		deadline += options->interval;
		npf_signals_wait(-1, deadline);
		code = sample(session, &view->now, view->n_classes);
		if (!code)
			err = npf_stat_view_show(view);
		if (code || err || npf_signals_stopped())
			break;
		view->before = view->now;
		code = gone(session);
	}
	return npf_tool_flushed(session->command, err, code);
}

static int show(struct npf_session *session, const struct options *options,
		const struct classes *classes)
{
	struct npf_stat_view *view = calloc(1, sizeof(*view));
	int code;

	if (!view)
		return npf_tool_fail(session->command, EXIT_FAILED, "out of memory");
	view->adapter = session->adapter.name;
	view->hook = npf_hook_name(npf_instance_hook(session->instance));
	view->classes = classes->list;
	view->n_classes = classes->n;
	view->json = options->json;
	view->single = options->count == 1;
	npf_terminal_init(&view->terminal, stdout);
	code = watch(session, options, view);
	free(view);
	return code;
}

static int start(struct npf_session *session, const struct options *options,
		 const struct classes *classes)
{
	int code = npf_session_promiscuous(session, options->promiscuous), err;

	if (code)
		return code;
	err = npf_set_classes(session->instance, classes->list, classes->n);
	if (err)
		return npf_session_fail(session, err, "cannot install the classes");
	err = npf_set_mode(session->instance, NPF_MODE_STAT);
	return err ? npf_session_fail(session, err, "cannot count") : EXIT_OK;
}

static int count(struct npf_session *session, const struct options *options, int n,
		 char *const *arguments)
{
	struct classes *classes = calloc(1, sizeof(*classes));
	int code;

	if (!classes)
		return npf_tool_fail(session->command, EXIT_FAILED, "out of memory");
	code = compile_classes(classes, session->adapter.link_type, n, arguments);
	if (!code)
		code = start(session, options, classes);
	if (!code) {
		npf_session_tell_down(session);
		code = show(session, options, classes);
	}
	free_classes(classes);
	return code;
}

/* ---- command line ---------------------------------------------------------------------------- */

static int take_option(struct options *options, int option, const char *name)
{
	char typed[NPF_NAME_SIZE];

	switch (option) {
	case 'i':
		options->adapter = optarg;
		return EXIT_OK;
	case 'p':
		options->promiscuous = false;
		return EXIT_OK;
	case 'c':
		if (npf_parse_count(optarg, 1, UINT64_MAX, &options->count))
			return EXIT_OK;
		npf_option_text(typed, option, name);
		return npf_tool_usage(&npf_command_stat,
				      "%s '%s': not a number of intervals, at least 1", typed,
				      optarg);
	case ONCE:
		options->count = 1;
		return EXIT_OK;
	case JSON:
		options->json = true;
		return EXIT_OK;
	case INTERVAL:
		if (npf_parse_time(optarg, MAX_INTERVAL, &options->interval) &&
		    options->interval >= MIN_INTERVAL)
			return EXIT_OK;
		return npf_tool_usage(&npf_command_stat,
				      "--interval '%s': not a time from 10 ms to a day", optarg);
	case HOOK:
		if (npf_parse_hook(optarg, &options->hook))
			return EXIT_OK;
		return npf_tool_usage(&npf_command_stat,
				      "--hook '%s': not auto, tcx, socket or tpacket", optarg);
	default:
		return npf_tool_hint(&npf_command_stat);
	}
}

static int run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "interface", required_argument, NULL, 'i' },
		{ "no-promiscuous", no_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'c' },
		{ "interval", required_argument, NULL, INTERVAL },
		{ "once", no_argument, NULL, ONCE },
		{ "json", no_argument, NULL, JSON },
		{ "hook", required_argument, NULL, HOOK },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .interval = NPF_SECOND,
				   .count = UINT64_MAX,
				   .promiscuous = true };
	struct npf_session session;
	int option, index = -1, code = EXIT_OK;

	while (!code && (option = getopt_long(argc, argv, "i:pc:", long_options, &index)) != -1) {
		code = take_option(&options, option, index < 0 ? NULL : long_options[index].name);
		index = -1;
	}
	if (!code)
		code = check_arguments(argc - optind, argv + optind);
	if (code)
		return code;
	setlocale(LC_CTYPE, "");
	if (npf_signals_init())
		return npf_tool_fail(&npf_command_stat, EXIT_FAILED, "out of descriptors");
	code = npf_session_start(&session, &npf_command_stat);
	if (code)
		return code;
	code = npf_session_open(&session, options.adapter, options.hook, 0);
	if (!code)
		code = count(&session, &options, argc - optind, argv + optind);
	npf_session_end(&session);
	return code;
}

const struct npf_command npf_command_stat = {
	.name = "stat",
	.run = run,
	.summary = "count traffic by class, live",
	.codes = NPF_CODES_ADAPTER,
	.help = "usage: npf stat [OPTION...] [NAME=FILTER...]\n\n"
		"Count packets and bytes in the kernel and show rates, totals and the last\n"
		"minute as a plot, for each class (up to 64). A class is a name and a filter in\n"
		"tcpdump's language; without any, a standard set is counted. Packets are not\n"
		"copied. Ctrl-C ends, and shows what the last interval has until then.\n\n"
		"  -i, --interface NAME   adapter; else the first that is up and carries traffic\n"
		"  -p, --no-promiscuous   only what the host itself sees\n"
		"      --interval TIME    between two lines, such as 250ms (default 1s)\n"
		"  -c, --count N          stop after N intervals; k, M and G are powers of 1000\n"
		"      --once             one interval, the same as -c 1\n"
		"      --json             one JSON object per interval and line\n"
		"      --hook HOOK        auto (default), tcx, socket or tpacket\n\n"
		"examples:\n"
		"  npf stat -i eth0\n"
		"  npf stat -i eth0 web='tcp port 80 or 443' dns='port 53' rest='not ip'\n"
		"  npf stat -i eth0 --interval 250ms -c 40 --json > load.json\n",
};
