/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf filter: one savefile to another, through a filter. A block of the input, taken apart into
 * batches, judged, and what is kept copied on in stretches, all while it is in the processor's cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "expression/expression.h"
#include "file_name.h"
#include "pieces.h"
#include "ui/filter_text.h"
#include "ui/progress.h"
#include "ui/set_options.h"
#include "ui/signals.h"
#include "sink.h"
#include "source.h"
#include "tool.h"

#define MOST_LINK_TYPES 16u
#define EIGHT           8u
#define VECTOR          64u
#define LINK_ETHERNET   1u

enum { FORCE = 256 };

_Static_assert(TRACE_PIECES % VECTOR == 0, "keep[] is filled by whole vectors");

struct options {
	const char *in, *out; /* out NULL: only count */
	char *expression;
	bool count, invert, quiet, force;
	struct npf_set_options sets;
};

/* The filter for one link type; a pcapng file may have several. */
struct link_filter {
	uint32_t link_type;
	struct npf_jit_filter *filter;
	struct npf_match *sets; /* NULL: none */
};

struct work {
	struct options options;
	struct source source;
	struct sink sink;
	bool converts; /* OUT's format is not IN's */
	struct convert convert;
	struct trace trace;
	struct trace_batch batches[TRACE_BATCHES];
	uint32_t verdicts[TRACE_PIECES];
	uint8_t keep[TRACE_PIECES + EIGHT]; /* 1 or 0, and zeros */
	uint32_t edges[TRACE_PIECES + 2]; /* pieces where what is kept begins, and ends, and ... */
	struct npf_host *host;            /* memory that code may run from */
	struct link_filter links[MOST_LINK_TYPES];
	uint32_t n_links;
	uint64_t kept;
	bool unread; /* nobody reads the output any more */
	struct npf_progress progress;
};

static const char *display(const char *name)
{
	return strcmp(name, "-") ? name : "standard input";
}

/* A reader of standard output that goes away ends the work, and is no failure. */
static int fail_out(struct work *work, int err)
{
	const char *out = work->options.out;

	npf_progress_end(&work->progress);
	work->unread = err == -EPIPE;
	if (work->unread)
		return EXIT_DISK;
	if (work->convert.error[0])
		return npf_tool_fail(&npf_command_filter, EXIT_USAGE, "%s: %s", out,
				     work->convert.error);
	return npf_tool_fail(&npf_command_filter, npf_tool_write_code(err), "%s: %s",
			     strcmp(out, "-") ? out : "standard output", work->sink.error);
}

/* -EINTR: a signal came; nothing is wrong with the input. */
static int fail_in(struct work *work, int err, const char *why)
{
	npf_progress_end(&work->progress);
	if (err == -EINTR)
		return npf_tool_fail(&npf_command_filter, EXIT_STOPPED, "interrupted%s",
				     work->trace.begun && work->options.out
					     ? "; what was kept until then is there"
					     : "");
	return npf_tool_fail(&npf_command_filter, npf_tool_read_code(err), "%s: %s",
			     display(work->options.in), why);
}

/* ---- filters -------------------------------------------------------------------------------- */

static int make_filter(struct work *work, uint32_t link_type, struct link_filter **out)
{
	struct link_filter *link = &work->links[work->n_links];
	struct npf_compiled compiled;
	char error[NPF_ERROR_SIZE], told[NPF_ERROR_SIZE];
	int err;

	if (work->n_links == MOST_LINK_TYPES)
		return fail_in(work, -ENOTSUP, "more than 16 link types in one file");
	err = npf_expression_compile_offline(work->options.expression, link_type,
					     work->trace.swapped, &compiled, error);
	if (!err) {
		err = bpf_jitter(work->host, &compiled.program, NPF_JIT_BATCH, &link->filter, error);
		npf_expression_free(&compiled);
	}
	if (err)
		return npf_tool_fail(&npf_command_filter, err == -EINVAL ? EXIT_USAGE : EXIT_FAILED,
				     "%s", npf_filter_wrong(work->options.expression, error, told));
	link->link_type = link_type;
	work->n_links++;
	*out = link;
	return npf_set_options_match(&work->options.sets, &npf_command_filter, link_type,
				     &link->sets);
}

static int find_filter(struct work *work, uint32_t link_type, struct link_filter **out)
{
	for (uint32_t i = 0; i < work->n_links; i++) {
		*out = &work->links[i];
		if (work->links[i].link_type == link_type)
			return EXIT_OK;
	}
	return make_filter(work, link_type, out);
}

static void free_filters(struct work *work)
{
	for (uint32_t i = 0; i < work->n_links; i++) {
		bpf_destroy_jit_filter(work->links[i].filter);
		npf_set_options_match_free(work->links[i].sets);
	}
}

/* ---- a batch -------------------------------------------------------------------------------- */

/* A verdict for each piece of the batch; those that are no packets get one that means nothing. */
static int judge(struct work *work, const struct trace_batch *batch)
{
	struct link_filter *link = NULL;
	int code;

	if (!batch->packets)
		return EXIT_OK;
	code = find_filter(work, batch->link_type, &link);
	if (code)
		return code;
	npf_jit_run_batch(link->filter, batch->data, batch->len, batch->caplen, batch->n,
			  work->verdicts);
	for (uint32_t i = 0; link->sets && i < batch->n; i++) {
		if (work->verdicts[i] &&
		    !npf_match_run(link->sets, batch->data[i], batch->caplen[i]))
			work->verdicts[i] = 0;
	}
	return EXIT_OK;
}

/* One VECTOR of pieces, with nothing in it that would keep compilers from making it vectors. */
static void choose_vector(uint8_t *restrict keep, const uint32_t *restrict verdicts,
			  const uint8_t *restrict packet, uint8_t invert)
{
	for (uint32_t i = 0; i < VECTOR; i++)
		keep[i] = (uint8_t)(((verdicts[i] ? 1 : 0) ^ invert) | (packet[i] ^ 1));
}

/* Keep which pieces? Packets that pass, and all that is no packet; what lies behind the last piece is
 * not kept. */
static void choose(struct work *work, const struct trace_batch *batch)
{
	for (uint32_t i = 0; i < batch->n; i += VECTOR)
		choose_vector(work->keep + i, work->verdicts + i, batch->packet + i,
			      work->options.invert);
	memset(work->keep + batch->n, 0, EIGHT);
}

/* Where stretches of what is kept begin and end. Eight pieces at once where nothing changes, and no
 * branch on a single one, since nothing could predict it. */
static uint32_t find_edges(struct work *work, const struct trace_batch *batch)
{
	uint64_t before = 0, ones = 0x0101010101010101, eight;
	uint32_t n = 0;

	for (uint32_t i = 0; i < batch->n; i += EIGHT) {
		memcpy(&eight, work->keep + i, sizeof(eight));
		if (eight == before * ones)
			continue;
		for (uint32_t j = i; j < i + EIGHT; j++) {
			work->edges[n] = j;
			n += work->keep[j] ^ before;
			before = work->keep[j];
		}
	}
	if (n % 2)
		work->edges[n++] = batch->n;
	return n;
}

static int write_pieces(struct work *work, const struct trace_batch *batch, uint32_t from,
			uint32_t to)
{
	int err;

	if (!work->options.out)
		return EXIT_OK;
	err = work->converts
		      ? convert_add(&work->convert, &work->trace, batch, from, to, &work->sink)
		      : sink_add(&work->sink, batch->at[from],
				 (size_t)(batch->at[to] - batch->at[from]));
	return err ? fail_out(work, err) : EXIT_OK;
}

static int take_batch(struct work *work, const struct trace_batch *batch)
{
	int code = judge(work, batch);
	uint32_t n;

	if (code)
		return code;
	choose(work, batch);
	n = find_edges(work, batch);
	for (uint32_t i = 0; i < n && !code; i += 2) {
		work->kept += work->edges[i + 1] - work->edges[i];
		code = write_pieces(work, batch, work->edges[i], work->edges[i + 1]);
	}
	work->kept -= batch->n - batch->packets; /* those that are no packets are always kept */
	return code;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void show_progress(struct work *work)
{
	const struct source *source = &work->source;
	double share = source->size ? (double)source->done / (double)source->size : -1;

	npf_progress_show(&work->progress, share, work->trace.packets);
}

/* The next pieces. *need 0: there may be more; else: of the next piece, which is not whole. */
static int take_some(struct work *work, size_t *need)
{
	struct source *source = &work->source;
	struct trace_batch *batches = work->batches;
	uint32_t n = trace_take_several(&work->trace, source->at, source->n, batches);
	int64_t taken = 1;
	int code = EXIT_OK;

	if (!n) {
		taken = trace_take(&work->trace, source->at, source->n, batches, need);
		n = 1;
	}
	for (uint32_t i = 0; i < n && !code; i++)
		code = take_batch(work, &batches[i]);
	if (!code && taken < 0)
		code = fail_in(work, (int)taken, work->trace.error);
	source_skip(source, (size_t)(batches[n - 1].at[batches[n - 1].n] - source->at));
	if (taken)
		*need = 0;
	return code;
}

static int take_pieces(struct work *work, size_t *need)
{
	int code;

	do
		code = take_some(work, need);
	while (!code && !*need && !npf_signals_stopped());
	return code;
}

static int fill(struct work *work, size_t need)
{
	int err = work->options.out ? sink_pause(&work->sink) : 0;

	if (err)
		return fail_out(work, err);
	err = source_fill(&work->source, need);
	if (err && !(err == -EINTR && npf_signals_stopped()))
		return fail_in(work, err, work->source.error);
	show_progress(work);
	return EXIT_OK;
}

static int take_all(struct work *work)
{
	size_t need = 1;
	int code = EXIT_OK;

	while (!code && !npf_signals_stopped()) {
		code = fill(work, need);
		if (code || npf_signals_stopped())
			break;
		if (work->source.n < need) {
			const char *why = trace_end(&work->trace, work->source.n);

			if (!*why)
				return EXIT_OK;
			return fail_in(work, work->trace.begun ? -EBADMSG : -EMEDIUMTYPE, why);
		}
		code = take_pieces(work, &need);
	}
	return !code && npf_signals_stopped() ? fail_in(work, -EINTR, NULL) : code;
}

/* What the other format has no place for. */
static void tell_loss(const struct work *work)
{
	const struct convert *convert = &work->convert;

	if (convert->shortened)
		fprintf(stderr, "%" PRIu64 " time stamp%s cut to %s\n", convert->shortened,
			npf_plural(convert->shortened),
			convert->form.nano ? "nanoseconds" : "microseconds");
	if (convert->timeless)
		fprintf(stderr, "%" PRIu64 " packet%s without a time, of 1970 now\n",
			convert->timeless, npf_plural(convert->timeless));
	if (convert->fcs_lost)
		fprintf(stderr,
			"%" PRIu64 " packet%s whose check sequence (FCS) has not the length that "
			"the file says\n",
			convert->fcs_lost, npf_plural(convert->fcs_lost));
}

static int tell(const struct work *work)
{
	if (work->options.count) {
		printf("%" PRIu64 "\n", work->kept);
		return npf_tool_flushed(&npf_command_filter, npf_flush(stdout), EXIT_OK);
	}
	if (work->options.quiet)
		return EXIT_OK;
	fprintf(stderr, "%" PRIu64 " of %" PRIu64 " packet%s kept\n", work->kept,
		work->trace.packets, npf_plural(work->trace.packets));
	tell_loss(work);
	return EXIT_OK;
}

/* What was good before a damage, or before Ctrl-C, is kept; nothing where nothing was read, or where
 * not all of it could be written. */
static int finish(struct work *work, int code)
{
	bool keep = (code == EXIT_OK || (code != EXIT_USAGE && work->trace.begun)) &&
		    !work->sink.error[0];
	int told, err, closed;

	npf_progress_end(&work->progress);
	err = keep && work->converts ? convert_end(&work->convert, &work->trace, &work->sink) : 0;
	closed = work->options.out ? sink_close(&work->sink, keep && !err) : 0;
	err = err ? err : closed;
	if (err && keep && code == EXIT_OK)
		code = fail_out(work, err);
	if (work->unread)
		return EXIT_OK;
	told = keep && !err ? tell(work) : EXIT_OK;
	return code ? code : told;
}

/* OUT is what its name says; where that says nothing, what IN is. */
static int choose_form(struct work *work)
{
	enum npf_kind wanted = npf_file_name_of(work->options.out).form, found;
	int err = source_fill(&work->source, NPF_KIND_BYTES);

	if (err)
		return fail_in(work, err, work->source.error);
	found = npf_kind_of(work->source.at, work->source.n);
	work->convert.ng = wanted == NPF_KIND_PCAPNG;
	work->converts = wanted != NPF_KIND_OTHER && wanted != found;
	return EXIT_OK;
}

static int open_out(struct work *work)
{
	struct stat status;
	int err = sink_open(&work->sink, work->options.out,
			    fstat(work->source.fd, &status) ? NULL : &status);

	if (err == -EINVAL)
		return npf_tool_fail(&npf_command_filter, EXIT_USAGE, "%s: %s", work->options.out,
				     work->sink.error);
	return err ? fail_out(work, err) : EXIT_OK;
}

static int run_work(struct work *work)
{
	int code, err = source_open(&work->source, work->options.in, NULL);

	if (err)
		return fail_in(work, err, work->source.error);
	code = work->options.out ? choose_form(work) : EXIT_OK;
	if (!code && work->options.out)
		code = open_out(work);
	if (code)
		return code;
	npf_progress_init(&work->progress);
	work->progress.terminal.tty &= !work->options.quiet;
	code = take_all(work);
	return finish(work, code);
}

/* ---- the command line ----------------------------------------------------------------------- */

static int take_option(struct options *options, int option)
{
	if (npf_set_options_has(option))
		return npf_set_options_take(&options->sets, &npf_command_filter, option, optarg);
	switch (option) {
	case 'c':
		options->count = true;
		return EXIT_OK;
	case 'v':
		options->invert = true;
		return EXIT_OK;
	case 'q':
		options->quiet = true;
		return EXIT_OK;
	case FORCE:
		options->force = true;
		return EXIT_OK;
	default:
		return npf_tool_hint(&npf_command_filter);
	}
}

/* Do these words make a filter, the first of which should be a file? */
static bool is_filter(char *const *words, int n)
{
	char *text = npf_join_words(words, n), error[NPF_ERROR_SIZE];
	struct npf_compiled compiled;
	bool right = text && npf_filter_begins(text) &&
		     !npf_expression_compile_offline(text, LINK_ETHERNET, false, &compiled, error);

	if (right)
		npf_expression_free(&compiled);
	free(text);
	return right;
}

static int take_output(struct options *options, char *const *words, int n)
{
	const char *name = words[0];
	struct npf_file_name says = npf_file_name_of(name);
	bool named = strchr(name, '/') || says.form != NPF_KIND_OTHER ||
		     says.pack != NPF_KIND_OTHER;

	options->out = name;
	if (!strcmp(name, "-"))
		return isatty(STDOUT_FILENO)
			       ? npf_tool_usage(&npf_command_filter,
						"a savefile does not go to a terminal")
			       : EXIT_OK;
	if (!named && access(name, F_OK) && is_filter(words, n))
		return npf_tool_usage(&npf_command_filter,
				      "there is no file to write before the filter: npf filter IN OUT "
				      "%s%s; or --count; or ./%s if a file shall have that name",
				      name, n > 1 ? " ..." : "", name);
	if (says.pack != NPF_KIND_OTHER && says.pack != NPF_KIND_GZIP && says.pack != NPF_KIND_ZSTD)
		return npf_tool_usage(&npf_command_filter, "%s: packs to .gz and .zst only", name);
	if (npf_file_is_precious(AT_FDCWD, name) && !options->force)
		return npf_tool_usage(&npf_command_filter,
				      "%s: that is there and no savefile; --force writes over it",
				      name);
	return EXIT_OK;
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "count", no_argument, NULL, 'c' },
		{ "invert", no_argument, NULL, 'v' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "force", no_argument, NULL, FORCE },
		NPF_SET_LONG_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option, code;

	while ((option = getopt_long(argc, argv, "+cvq", long_options, NULL)) != -1) {
		code = take_option(options, option);
		if (code)
			return code;
	}
	if (optind >= argc)
		return npf_tool_usage(&npf_command_filter, "there is no file to read");
	options->in = argv[optind++];
	if (!options->count) {
		if (optind >= argc)
			return npf_tool_usage(&npf_command_filter, "there is no file to write");
		code = take_output(options, argv + optind, argc - optind);
		if (code)
			return code;
		optind++;
	}
	options->expression = npf_join_words(argv + optind, argc - optind);
	return options->expression
		       ? EXIT_OK
		       : npf_tool_fail(&npf_command_filter, EXIT_FAILED, "out of memory");
}

static int run(int argc, char **argv)
{
	struct work *work = calloc(1, sizeof(*work));
	int code;

	if (work)
		work->host = npf_host_linux();
	if (!work || !work->host || npf_signals_init()) {
		free(work);
		return npf_tool_fail(&npf_command_filter, EXIT_FAILED, "out of memory");
	}
	setlocale(LC_CTYPE, "");
	work->source.fd = -1;
	trace_init(&work->trace);
	code = parse(&work->options, argc, argv);
	if (!code)
		code = run_work(work);
	source_close(&work->source);
	trace_fini(&work->trace);
	free_filters(work);
	npf_host_linux_free(work->host);
	npf_set_options_free(&work->options.sets);
	free(work->options.expression);
	free(work);
	return code;
}

const struct npf_command npf_command_filter = {
	.name = "filter",
	.run = run,
	.summary = "copy the packets of a savefile that a filter accepts",
	.codes = NPF_CODES_ALL | NPF_CODES_SAVEFILE | NPF_CODE(EXIT_STOPPED),
	.help = "usage: npf filter [OPTION...] IN OUT [FILTER]\n"
		"       npf filter --count [OPTION...] IN [FILTER]\n\n"
		"Copy the packets of the savefile IN that FILTER (tcpdump's language) accepts to\n"
		"OUT. Records are copied as they are: pcap keeps its byte order and resolution,\n"
		"pcapng its blocks; unless OUT's name ends in .pcap or .pcapng and IN is the\n"
		"other: then they are converted. - is standard input or output. Files packed by\n"
		"gzip or zstd are unpacked; OUT is packed when its name ends in .gz or .zst. OUT\n"
		"appears when it is complete.\n\n"
		"  -c, --count    write nothing, print the number of packets\n"
		"  -v, --invert   the packets that FILTER rejects\n"
		"  -q, --quiet    no progress, no counts\n"
		"      --force    write over OUT even if it is no savefile\n" NPF_SET_HELP "\n"
		"When IN is damaged or cut short, OUT gets what comes before the damage.\n\n"
		"examples:\n"
		"  npf filter big.pcap dns.pcap port 53\n"
		"  npf filter --count big.pcapng.zst 'tcp[tcpflags] & tcp-syn != 0'\n"
		"  npf filter all.pcapng web.pcap tcp port 80\n"
		"  npf filter -v trace.pcap.gz quiet.pcap.gz arp or icmp6\n"
		"  ssh host cat big.pcap | npf filter - web.pcap tcp port 80\n",
};
