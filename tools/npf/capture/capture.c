/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf capture: the command line.
 */
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "savefile/file_name.h"
#include "ui/signals.h"

#define DEFAULT_BUFFER  (16u << 20)
#define DEFAULT_TIMEOUT 250        /* ms */
#define LEAST_BUFFER    24u        /* the driver takes less for no buffer at all */
#define MOST_TO_COPY    (1u << 20) /* default MinToCopy: an eighth of the buffer, at most this */

enum { MIN_TO_COPY = 256, TIMEOUT, IMMEDIATE, MICRO, NANO, HOOK, FORCE };

struct parser {
	struct npf_capture_options options;
	char typed[NPF_NAME_SIZE]; /* the option at hand */
	bool immediate;
	bool min_to_copy_given;
	bool live_only; /* an option that a savefile has no use for */
};

static int bad_value(const struct parser *parser, const char *value, const char *wanted)
{
	return npf_tool_usage(&npf_command_capture, "%s '%s': not %s", parser->typed, value, wanted);
}

static int parse_count(struct parser *parser, const char *value)
{
	return npf_parse_count(value, 1, UINT64_MAX, &parser->options.count)
		       ? EXIT_OK
		       : bad_value(parser, value, "a count such as 1000 or 10M, at least 1");
}

/* 0 means the longest, as everywhere. */
static int parse_snaplen(struct parser *parser, const char *value)
{
	uint64_t bytes;

	if (!npf_parse_size(value, NPF_SNAPLEN_MAX, &bytes))
		return bad_value(parser, value, "a number of bytes, at most 262144");
	parser->options.snaplen = bytes ? (uint32_t)bytes : NPF_SNAPLEN_MAX;
	return EXIT_OK;
}

static int parse_buffer(struct parser *parser, const char *value)
{
	uint64_t bytes;

	if (!npf_parse_size(value, NPF_MAX_BUFFER, &bytes) || bytes < LEAST_BUFFER)
		return bad_value(parser, value, "a size from 24 bytes to 1G, such as 4M");
	parser->options.buffer = (uint32_t)bytes;
	return EXIT_OK;
}

static int parse_min_to_copy(struct parser *parser, const char *value)
{
	uint64_t bytes;

	if (!npf_parse_size(value, NPF_MAX_BUFFER, &bytes))
		return bad_value(parser, value, "a size up to 1G, such as 64K");
	parser->options.min_to_copy = (uint32_t)bytes;
	parser->min_to_copy_given = true;
	return EXIT_OK;
}

/* Rounded up: a time that is not zero stays so, since zero waits for ever. */
static int parse_timeout(struct parser *parser, const char *value)
{
	uint64_t ns;

	if (!npf_parse_time(value, (uint64_t)INT32_MAX * NPF_MILLISECOND, &ns))
		return bad_value(parser, value, "a time such as 250ms or 2s");
	parser->options.timeout = (int32_t)((ns + NPF_MILLISECOND - 1) / NPF_MILLISECOND);
	return EXIT_OK;
}

static int parse_direction(struct parser *parser, const char *value)
{
	if (!strcmp(value, "in"))
		parser->options.direction = NPF_DIRECTION_IN;
	else if (!strcmp(value, "out"))
		parser->options.direction = NPF_DIRECTION_OUT;
	else if (!strcmp(value, "inout"))
		parser->options.direction = NPF_DIRECTION_BOTH;
	else
		return bad_value(parser, value, "in, out or inout");
	return EXIT_OK;
}

static int parse_hook(struct parser *parser, const char *value)
{
	return npf_parse_hook(value, &parser->options.hook)
		       ? EXIT_OK
		       : bad_value(parser, value, "auto, tcx, socket or tpacket");
}

/* Options that shape the output, and switches. */
static int take_switch(struct parser *parser, int option)
{
	struct npf_capture_options *options = &parser->options;

	switch (option) {
	case 'w':
		options->output.file = optarg;
		break;
	case 'r':
		options->read = optarg;
		break;
	case FORCE:
		options->force = true;
		break;
	case 'p':
		options->promiscuous = false;
		break;
	case 'n': /* names are never looked up; accepted because fingers type it */
		break;
	case 'q':
		options->output.quiet = true;
		break;
	case 'e':
		options->output.link_header = true;
		break;
	case 'x':
		options->output.hex = true;
		break;
	case 'U':
	case IMMEDIATE:
		parser->immediate = true;
		break;
	case MICRO:
	case NANO:
		options->output.nano = option == NANO;
		options->output.micro = option == MICRO;
		break;
	default:
		return npf_tool_hint(&npf_command_capture);
	}
	return EXIT_OK;
}

static int take_option(struct parser *parser, int option)
{
	struct npf_capture_options *options = &parser->options;

	if (npf_set_options_has(option))
		return npf_set_options_take(&options->sets, &npf_command_capture, option, optarg);
	parser->live_only |= option < 256 ? strchr("iBQpsU", option) != NULL
					  : option != MICRO && option != NANO && option != FORCE;
	switch (option) {
	case 'i':
		options->adapter = optarg;
		return EXIT_OK;
	case 'c':
		return parse_count(parser, optarg);
	case 's':
		return parse_snaplen(parser, optarg);
	case 'B':
		return parse_buffer(parser, optarg);
	case 'Q':
		return parse_direction(parser, optarg);
	case MIN_TO_COPY:
		return parse_min_to_copy(parser, optarg);
	case TIMEOUT:
		return parse_timeout(parser, optarg);
	case HOOK:
		return parse_hook(parser, optarg);
	default:
		return take_switch(parser, option);
	}
}

/* A terminal, or a pipe to a program that reads lines. */
static bool is_watched(int fd)
{
	struct stat status;

	return isatty(fd) || (!fstat(fd, &status) && S_ISFIFO(status.st_mode));
}

/* Somebody who watches wants each packet at once; a file wants few, large batches. */
static void settle(struct parser *parser)
{
	struct npf_capture_options *options = &parser->options;
	bool watched = !options->output.file && !options->output.quiet && is_watched(STDOUT_FILENO);
	uint32_t share = options->buffer / 8;

	if (parser->immediate || (watched && !parser->min_to_copy_given))
		options->min_to_copy = 0;
	else if (!parser->min_to_copy_given)
		options->min_to_copy = share < MOST_TO_COPY ? share : MOST_TO_COPY;
}

/* Packing while packets wait in the buffer would lose some where the CPU is short. */
static int check_output(const struct npf_capture_options *options)
{
	const char *name = options->output.file;

	if (!name)
		return EXIT_OK;
	if (!strcmp(name, "-") && isatty(STDOUT_FILENO))
		return npf_tool_usage(&npf_command_capture, "a savefile does not go to a terminal");
	if (npf_file_name_of(name).pack != NPF_KIND_OTHER)
		return npf_tool_usage(&npf_command_capture,
				      "-w %s: capture does not pack; npf filter IN OUT.zst does it "
				      "afterwards, npf dump --compress zstd meanwhile",
				      name);
	if (npf_file_is_precious(AT_FDCWD, name) && !options->force)
		return npf_tool_usage(&npf_command_capture,
				      "-w %s: that is there and no savefile; --force writes over it",
				      name);
	return EXIT_OK;
}

static int parse(struct parser *parser, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "interface", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'c' },
		{ "write", required_argument, NULL, 'w' },
		{ "read", required_argument, NULL, 'r' },
		{ "snaplen", required_argument, NULL, 's' },
		{ "buffer", required_argument, NULL, 'B' },
		{ "direction", required_argument, NULL, 'Q' },
		{ "no-promiscuous", no_argument, NULL, 'p' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "link-header", no_argument, NULL, 'e' },
		{ "hex", no_argument, NULL, 'x' },
		{ "packet-buffered", no_argument, NULL, 'U' },
		{ "min-to-copy", required_argument, NULL, MIN_TO_COPY },
		{ "timeout", required_argument, NULL, TIMEOUT },
		{ "immediate", no_argument, NULL, IMMEDIATE },
		{ "micro", no_argument, NULL, MICRO },
		{ "nano", no_argument, NULL, NANO },
		{ "hook", required_argument, NULL, HOOK },
		{ "force", no_argument, NULL, FORCE },
		NPF_SET_LONG_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option, index = -1;

	/* "+": the filter may hold words that look like options. */
	while ((option = getopt_long(argc, argv, "+i:c:w:r:s:B:Q:pnqexU", long_options, &index)) !=
	       -1) {
		npf_option_text(parser->typed, option, index < 0 ? NULL : long_options[index].name);

		int code = take_option(parser, option);

		if (code)
			return code;
		index = -1;
	}
	if (parser->options.read && parser->live_only)
		return npf_tool_usage(&npf_command_capture,
				      "-r reads a file, its packets as they are: -s and options of "
				      "adapters and of their buffers do not go with it");
	settle(parser);
	return check_output(&parser->options);
}

static int run(int argc, char **argv)
{
	struct parser parser = { .options = { .count = UINT64_MAX,
					      .snaplen = NPF_SNAPLEN_MAX,
					      .buffer = DEFAULT_BUFFER,
					      .timeout = DEFAULT_TIMEOUT,
					      .promiscuous = true } };
	char *expression;
	int code = parse(&parser, argc, argv);

	if (code) {
		npf_set_options_free(&parser.options.sets);
		return code;
	}
	expression = npf_join_words(argv + optind, argc - optind);
	if (!expression || npf_signals_init()) {
		free(expression);
		npf_set_options_free(&parser.options.sets);
		return npf_tool_fail(&npf_command_capture, EXIT_FAILED, "out of memory");
	}
	setlocale(LC_CTYPE, "");
	parser.options.expression = expression;
	code = parser.options.read ? npf_capture_offline(&npf_command_capture, &parser.options)
				   : npf_capture_live(&npf_command_capture, &parser.options);
	free(expression);
	npf_set_options_free(&parser.options.sets);
	return code;
}

const struct npf_command npf_command_capture = {
	.name = "capture",
	.run = run,
	.summary = "take packets from an adapter: show or save them",
	.codes = NPF_CODES_ADAPTER | NPF_CODES_SAVEFILE,
	.help = "usage: npf capture [OPTION...] [FILTER]\n\n"
		"Capture the packets that FILTER (tcpdump's language) accepts, and show one line\n"
		"each or save them. Ctrl-C ends, and says how many were captured, received and\n"
		"dropped.\n\n"
		"source:\n"
		"  -i, --interface NAME   adapter; else the first that is up and carries traffic\n"
		"  -p, --no-promiscuous   only what the host itself sees\n"
		"  -Q, --direction DIR    in, out or inout (default)\n"
		"      --hook HOOK        auto (default), tcx, socket or tpacket\n"
		"  -r, --read FILE        a savefile instead of an adapter, also packed by gzip\n"
		"                         or zstd; - is standard input\n"
		"output:\n"
		"  -w, --write FILE       save in pcap format, or pcapng where the name ends so;\n"
		"                         - is standard output\n"
		"      --force            over a file that is no savefile, too\n"
		"      --nano, --micro    resolution of the savefile's time stamps (default\n"
		"                         micro, of pcapng nano)\n"
		"  -U, --packet-buffered  hand on every packet at once, the same as --immediate\n"
		"  -e, --link-header      show link-layer addresses\n"
		"  -x, --hex              dump the bytes too\n"
		"  -q, --quiet            show no packets, only the counts\n"
		"selection, besides FILTER:\n" NPF_SET_HELP "limits:\n"
		"  -c, --count N          stop after N packets; k, M and G are powers of 1000\n"
		"  -s, --snaplen BYTES    keep at most this much of each packet (default 262144)\n"
		"buffering:\n"
		"  -B, --buffer SIZE      circular buffer; K, M and G are powers of 1024 (default\n"
		"                         16M)\n"
		"      --min-to-copy SIZE wake up for this much\n"
		"      --timeout TIME     ... or this long after a packet (default 250ms)\n"
		"      --immediate        wake up for every packet\n\n"
		"examples:\n"
		"  npf capture -i eth0 -c 20 port 53\n"
		"  npf capture -i eth0 -w web.pcap -s 128 'tcp port 80 or tcp port 443'\n"
		"  npf capture -i eth0 -w - | wireshark -k -i -\n"
		"  npf capture -Q in -e vlan 5\n"
		"  npf capture -r web.pcap 'tcp[tcpflags] & tcp-syn != 0'\n",
};
