/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf replay: packets of files onto an adapter, on time or as fast as it goes.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feed.h"
#include "sending.h"
#include "ui/filter_text.h"
#include "ui/signals.h"

#define LEAD     UINT64_C(2000000) /* ns from start to the first timed packet */
#define MEGA     UINT64_C(1000000)
#define MOST_BPS UINT64_C(1000000000000)

enum { CUT = 256, FORCE };

struct options {
	struct npf_sending_options sending;
	struct npf_feed_options feed;
	int paces; /* options that say how fast */
};

/* ---- replaying ------------------------------------------------------------------------------- */

/* Until all is sent, or something ends it: what reading says, or what sending has noted. */
static int send_all(struct npf_sending *sending, struct npf_feed *feed)
{
	bool paced = feed->options.pace.kind != NPF_PACE_TOP;
	struct npf_batch *batch;
	uint64_t start = 0;
	int err;

	while (!(err = npf_feed_next(feed, &batch)) && batch) {
		if (!start)
			start = npf_send_clock(sending->session.instance) + (paced ? LEAD : 0);
		for (size_t i = 0; paced && i < batch->n; i++)
			batch->frames[i].at = npf_time_add(batch->frames[i].at, start);
		if (npf_sending_frames(sending, batch->frames, batch->n, batch->done))
			return 0;
	}
	if (err == -ENODEV && npf_sending_gone(sending))
		return 0;
	if (err == -EINTR)
		npf_sending_stopped(sending);
	return err;
}

static int replay(struct npf_sending *sending, struct npf_feed *feed)
{
	struct npf_account account = { .skipped = &feed->counts };
	int err;

	err = send_all(sending, feed);
	npf_feed_close(feed);
	account.paced = feed->options.pace.kind != NPF_PACE_TOP;
	account.endless = feed->options.loops == UINT64_MAX && feed->options.limit == UINT64_MAX;
	account.backwards = feed->schedule.backwards;
	account.error = err && err != -EINTR ? feed->error : NULL;
	account.code = npf_tool_read_code(err);
	return npf_sending_end(sending, &account);
}

static int open_feed(struct npf_sending *sending, struct npf_feed *feed,
		     struct npf_feed_options *options)
{
	int err;

	options->adapter = &sending->session.adapter;
	options->ended_fd = npf_poll_fd(sending->session.instance);
	err = npf_feed_open(feed, options);
	if (!err)
		return EXIT_OK;
	npf_feed_close(feed);
	return npf_tool_fail(&npf_command_replay, npf_tool_read_code(err), "%s", feed->error);
}

static int run_with(struct options *options)
{
	struct npf_feed *feed = malloc(sizeof(*feed));
	struct npf_sending sending;
	int code;

	if (!feed)
		return npf_tool_fail(&npf_command_replay, EXIT_FAILED, "out of memory");
	code = npf_sending_open(&sending, &npf_command_replay, &options->sending);
	if (!code) {
		code = open_feed(&sending, feed, &options->feed);
		if (code)
			npf_sending_close(&sending);
		else
			code = replay(&sending, feed);
	}
	free(feed);
	return code;
}

/* ---- command line ---------------------------------------------------------------------------- */

static int bad_value(const char *name, const char *value, const char *wanted)
{
	return npf_tool_usage(&npf_command_replay, "%s '%s': not %s", name, value, wanted);
}

static int take_pace(struct options *options, enum npf_pace_kind kind, const char *name,
		     uint64_t most, uint64_t unit)
{
	struct npf_pace *pace = &options->feed.pace;

	options->paces++;
	pace->kind = kind;
	if (kind == NPF_PACE_TOP)
		return EXIT_OK;
	if (!npf_parse_decimal(optarg, &pace->millionths) || pace->millionths > most * MEGA)
		return bad_value(name, optarg,
				 most == MOST_BPS
					 ? "a number above 0, such as 2.5 or 10k, up to 1000G"
					 : "a number above 0, such as 2.5 or 10k, up to 1M");
	pace->millionths *= unit;
	return EXIT_OK;
}

static int take_option(struct options *options, int option)
{
	struct npf_feed_options *feed = &options->feed;
	int code = npf_sending_option(&options->sending, &npf_command_replay, option);

	if (code >= 0)
		return code;
	switch (option) {
	case 't':
		return take_pace(options, NPF_PACE_TOP, "--topspeed", 0, 1);
	case 'p':
		return take_pace(options, NPF_PACE_PACKETS, "--pps", MOST_BPS, 1);
	case 'M':
		return take_pace(options, NPF_PACE_BITS, "--mbps", MOST_BPS / MEGA, MEGA);
	case 'x':
		return take_pace(options, NPF_PACE_RECORDED, "--multiplier", MOST_BPS, 1);
	case 'l':
		return npf_sending_times(optarg, &feed->loops)
			       ? EXIT_OK
			       : bad_value("--loop", optarg,
					   "a count such as 100 or 1k, or forever");
	case 'L':
		return npf_parse_count(optarg, 1, UINT64_MAX - 1, &feed->limit)
			       ? EXIT_OK
			       : bad_value("--limit", optarg,
					   "a count such as 1000 or 10M, at least 1");
	case 'K':
		feed->preload = true;
		return EXIT_OK;
	case CUT:
		feed->cut = true;
		return EXIT_OK;
	case FORCE:
		feed->force = true;
		return EXIT_OK;
	default:
		return npf_tool_hint(&npf_command_replay);
	}
}

/* Users of tcpdump write a filter where files are expected. */
static int check_files(const struct npf_feed_options *feed)
{
	for (size_t i = 0; i < feed->n_files; i++) {
		const char *name = feed->files[i];

		if (npf_filter_begins(name) && access(name, F_OK))
			return npf_tool_usage(&npf_command_replay,
					      "'%s' is no file; a filter goes behind --: npf replay "
					      "-i NAME FILE... -- %s%s",
					      name, name, i + 1 < feed->n_files ? " ..." : "");
	}
	return EXIT_OK;
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		NPF_SENDING_LONG_OPTIONS,
		{ "topspeed", no_argument, NULL, 't' },
		{ "pps", required_argument, NULL, 'p' },
		{ "mbps", required_argument, NULL, 'M' },
		{ "multiplier", required_argument, NULL, 'x' },
		{ "loop", required_argument, NULL, 'l' },
		{ "limit", required_argument, NULL, 'L' },
		{ "preload", no_argument, NULL, 'K' },
		{ "cut", no_argument, NULL, CUT },
		{ "force", no_argument, NULL, FORCE },
		{ NULL, 0, NULL, 0 },
	};
	int option, code;

	while ((option = getopt_long(argc, argv, NPF_SENDING_LETTERS "tp:M:x:l:L:K", long_options,
				     NULL)) != -1) {
		code = take_option(options, option);
		if (code)
			return code;
	}
	options->feed.files = argv + optind;
	options->feed.n_files = (size_t)(argc - optind);
	if (options->paces > 1)
		return npf_tool_usage(&npf_command_replay,
				      "one of --topspeed, --pps, --mbps and --multiplier");
	if (optind == argc)
		return npf_tool_usage(&npf_command_replay, "there is no file to replay");
	return check_files(&options->feed);
}

/* Arguments up to "--", which getopt shall not see: behind it is the filter. */
static int count_own(int argc, char **argv)
{
	int n = 1;

	while (n < argc && strcmp(argv[n], "--"))
		n++;
	return n;
}

static int run(int argc, char **argv)
{
	struct options options = {
		.feed = { .loops = 1, .limit = UINT64_MAX, .pace = { NPF_PACE_RECORDED, MEGA } }
	};
	int own = count_own(argc, argv), code;
	char *expression;

	npf_sending_defaults(&options.sending);
	code = parse(&options, own, argv);
	if (code)
		return code;
	setlocale(LC_CTYPE, "");
	expression = own < argc ? npf_join_words(argv + own + 1, argc - own - 1) : strdup("");
	if (!expression || npf_signals_init()) {
		free(expression);
		return npf_tool_fail(&npf_command_replay, EXIT_FAILED, "out of memory");
	}
	options.feed.expression = expression;
	code = run_with(&options);
	free(expression);
	return code;
}

const struct npf_command npf_command_replay = {
	.name = "replay",
	.run = run,
	.summary = "send the packets of a file, on time or as fast as it goes",
	.codes = NPF_CODES_ADAPTER | NPF_CODES_SAVEFILE | NPF_CODE(EXIT_STOPPED),
	.help = "usage: npf replay -i NAME [OPTION...] FILE... [-- FILTER]\n\n"
		"Send the packets of pcap and pcapng files that FILTER (tcpdump's language)\n"
		"accepts, one file after the other, each packet at its recorded time; those\n"
		"packed by gzip or zstd are unpacked. - is standard input. Ctrl-C ends. The\n"
		"summary tells what was asked, handed over and confirmed by the adapter's\n"
		"counter, and how late packets were.\n\n"
		"  -i, --interface NAME   adapter to send on\n"
		"how fast:\n"
		"  -x, --multiplier X     so many times as fast as recorded; 0.5 is half as\n"
		"                         fast (default 1)\n"
		"  -p, --pps N            so many packets a second, such as 2500 or 10k\n"
		"  -M, --mbps N           so many Mbit/s, frames without preamble and checksum\n"
		"  -t, --topspeed         as fast as it goes\n"
		"how much:\n"
		"  -l, --loop N           all files N times, 0 or forever without end (default 1)\n"
		"  -L, --limit N          stop after N packets. Behind any N here k, M and G\n"
		"                         are powers of 1000\n"
		"      --duration TIME    no longer than this from the first packet on: seconds,\n"
		"                         or such as 500ms, 10min\n"
		"  -K, --preload          read all files before the first packet; passes through\n"
		"                         less than 64 MiB do so by themselves\n"
		"      --cut              packets that the capture cut short go as they are;\n"
		"                         else they are left out and counted\n"
		"      --force            send packets of another link type too\n" NPF_SENDING_HELP
		"\n"
		"examples:\n"
		"  npf replay -i eth0 trace.pcap\n"
		"  npf replay -i eth0 -t -K -l 100 trace.pcapng\n"
		"  npf replay -i eth0 --pps 10k --limit 1M trace.pcap -- udp port 53\n"
		"  npf replay -i eth0 -x 2 monday.pcap tuesday.pcap\n"
		"  ssh host npf capture -i eth1 -U -w - | npf replay -i eth0 -\n",
};
