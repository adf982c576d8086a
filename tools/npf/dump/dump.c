/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump: the command line.
 */
#include "dump.h"

#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "savefile/file_name.h"
#include "ui/signals.h"

#define DEFAULT_BUFFER (64u << 20)
#define LEAST_BUFFER   65536u
#define DEFAULT_LEVEL  3

enum {
	FORMAT = 256,
	MAX_SIZE,
	DURATION,
	ROTATE_SIZE,
	ROTATE_TIME,
	ROTATE_PACKETS,
	FILES,
	COMPRESS,
	USER,
	HOOK,
	INTERVAL,
	JSON,
	BUFFERED,
	FORCE,
};

struct parser {
	struct npf_dump_settings settings;
	bool format_given;
	char typed[NPF_NAME_SIZE]; /* the option at hand */
};

static int bad_value(const struct parser *parser, const char *value, const char *wanted)
{
	return npf_tool_usage(&npf_command_dump, "%s '%s': not %s", parser->typed, value, wanted);
}

static int take_count(const struct parser *parser, const char *value, uint64_t *count)
{
	return npf_parse_count(value, 1, UINT64_MAX, count)
		       ? EXIT_OK
		       : bad_value(parser, value, "a count such as 1000 or 10M, at least 1");
}

static int take_size(const struct parser *parser, const char *value, uint64_t *bytes)
{
	return npf_parse_size(value, INT64_MAX, bytes) && *bytes
		       ? EXIT_OK
		       : bad_value(parser, value, "a size such as 500M or 2G");
}

static int take_period(const struct parser *parser, const char *value, uint64_t *ns)
{
	return npf_parse_time(value, UINT64_MAX, ns) && *ns
		       ? EXIT_OK
		       : bad_value(parser, value, "a time such as 90s or 1h");
}

/* 0 means the longest, as everywhere. */
static int take_snaplen(struct parser *parser, const char *value)
{
	uint64_t bytes;

	if (!npf_parse_size(value, NPF_SNAPLEN_MAX, &bytes))
		return bad_value(parser, value, "a number of bytes, at most 262144");
	parser->settings.snaplen = bytes ? (uint32_t)bytes : NPF_SNAPLEN_MAX;
	return EXIT_OK;
}

static int take_buffer(struct parser *parser, const char *value)
{
	uint64_t bytes;

	if (!npf_parse_size(value, NPF_MAX_BUFFER, &bytes) || bytes < LEAST_BUFFER)
		return bad_value(parser, value, "a size from 64K to 1G, such as 256M");
	parser->settings.buffer = (uint32_t)bytes;
	return EXIT_OK;
}

static int take_format(struct parser *parser, const char *value)
{
	static const struct {
		const char *name;
		enum npf_dump_format format;
	} formats[] = { { "pcap", NPF_DUMP_PCAP },
			{ "pcap-ns", NPF_DUMP_PCAP_NS },
			{ "pcapng", NPF_DUMP_PCAPNG } };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!strcmp(value, formats[i].name)) {
			parser->settings.dump.format = formats[i].format;
			parser->format_given = true;
			return EXIT_OK;
		}
	}
	return bad_value(parser, value, "pcap, pcap-ns or pcapng");
}

static int take_direction(struct parser *parser, const char *value)
{
	if (!strcmp(value, "in"))
		parser->settings.direction = NPF_DIRECTION_IN;
	else if (!strcmp(value, "out"))
		parser->settings.direction = NPF_DIRECTION_OUT;
	else if (!strcmp(value, "inout"))
		parser->settings.direction = NPF_DIRECTION_BOTH;
	else
		return bad_value(parser, value, "in, out or inout");
	return EXIT_OK;
}

static int take_files(struct parser *parser, const char *value)
{
	uint64_t n;

	if (!npf_parse_count(value, 1, NPF_MOST_KEPT, &n))
		return bad_value(parser, value, "a number of files, 1 to 1000000");
	parser->settings.files.keep = (uint32_t)n;
	return EXIT_OK;
}

static int take_compression(struct parser *parser, const char *value)
{
	uint64_t level = DEFAULT_LEVEL;
	size_t name = strcspn(value, ":");

	if (strncmp(value, "zstd", name) || name != 4 ||
	    (value[name] &&
	     !npf_parse_number(value + name + 1, 1, (uint64_t)npf_compress_levels(), &level)))
		return bad_value(parser, value, "zstd, or zstd:LEVEL with a level from 1 to 22");
	parser->settings.files.compress = (int)level;
	return EXIT_OK;
}

static int take_hook(struct parser *parser, const char *value)
{
	return npf_parse_hook(value, &parser->settings.hook)
		       ? EXIT_OK
		       : bad_value(parser, value, "auto, tcx, socket or tpacket");
}

static int take_limit(struct parser *parser, int option, const char *value)
{
	struct npf_dump_options *dump = &parser->settings.dump;

	switch (option) {
	case 'c':
		return take_count(parser, value, &dump->max_packets);
	case MAX_SIZE:
		return take_size(parser, value, &dump->max_bytes);
	case DURATION:
		return take_period(parser, value, &dump->max_ns);
	case ROTATE_SIZE:
		return take_size(parser, value, &dump->file_bytes);
	case ROTATE_TIME:
		return take_period(parser, value, &dump->file_ns);
	case ROTATE_PACKETS:
		return take_count(parser, value, &dump->file_packets);
	default:
		return npf_tool_hint(&npf_command_dump);
	}
}

static int take_value(struct parser *parser, int option, const char *value)
{
	struct npf_dump_settings *settings = &parser->settings;

	switch (option) {
	case 'i':
		settings->adapter = value;
		return EXIT_OK;
	case 'w':
		settings->files.path = value;
		return EXIT_OK;
	case USER:
		settings->user = value;
		return EXIT_OK;
	case 's':
		return take_snaplen(parser, value);
	case 'B':
		return take_buffer(parser, value);
	case 'Q':
		return take_direction(parser, value);
	case FORMAT:
		return take_format(parser, value);
	case FILES:
		return take_files(parser, value);
	case COMPRESS:
		return take_compression(parser, value);
	case HOOK:
		return take_hook(parser, value);
	case INTERVAL:
		return take_period(parser, value, &settings->interval);
	default:
		return take_limit(parser, option, value);
	}
}

static int take_option(struct parser *parser, int option)
{
	struct npf_dump_settings *settings = &parser->settings;

	switch (option) {
	case 'p':
		settings->promiscuous = false;
		return EXIT_OK;
	case 'n': /* names are never looked up; accepted because fingers type it */
		return EXIT_OK;
	case 'q':
		settings->quiet = true;
		return EXIT_OK;
	case JSON:
		settings->json = true;
		return EXIT_OK;
	case BUFFERED:
		settings->dump.buffered = true;
		return EXIT_OK;
	case FORCE:
		settings->files.force = true;
		return EXIT_OK;
	default:
		return take_value(parser, option, optarg);
	}
}

/* What is written is what the name says. */
static int check_name(struct parser *parser)
{
	struct npf_dump_settings *settings = &parser->settings;
	struct npf_file_name name = npf_file_name_of(settings->files.path);

	if (name.pack != NPF_KIND_OTHER)
		return npf_tool_usage(&npf_command_dump,
				      "-w %s: --compress zstd makes NAME.zst of NAME once it is "
				      "complete; give the NAME without the ending",
				      settings->files.path);
	if (name.form == NPF_KIND_PCAPNG && !parser->format_given)
		settings->dump.format = NPF_DUMP_PCAPNG;
	return EXIT_OK;
}

/* Options that do not go together. */
static int check(struct parser *parser)
{
	struct npf_dump_settings *settings = &parser->settings;
	const struct npf_dump_options *dump = &settings->dump;
	struct npf_dump_files_options *files = &settings->files;
	const struct npf_command *command = &npf_command_dump;
	int descriptor;

	files->several = dump->file_bytes || dump->file_packets || dump->file_ns;
	if (!files->path)
		return npf_tool_usage(command, "-w FILE is missing: where shall it go?");
	if (files->keep && !files->several)
		return npf_tool_usage(command, "--files needs a --rotate option");
	if (!npf_dump_files_inherited(files->path, &descriptor))
		return check_name(parser);
	if (files->several || files->compress)
		return npf_tool_usage(command,
				      "standard output, or another descriptor, is one file: "
				      "it goes with no --rotate option and no --compress");
	if (descriptor != STDOUT_FILENO)
		return EXIT_OK;
	if (settings->json)
		return npf_tool_usage(command, "--json and the packets both want standard output");
	if (isatty(STDOUT_FILENO))
		return npf_tool_usage(command, "a savefile does not go to a terminal");
	return EXIT_OK;
}

static int parse(struct parser *parser, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "interface", required_argument, NULL, 'i' },
		{ "write", required_argument, NULL, 'w' },
		{ "count", required_argument, NULL, 'c' },
		{ "snaplen", required_argument, NULL, 's' },
		{ "buffer", required_argument, NULL, 'B' },
		{ "direction", required_argument, NULL, 'Q' },
		{ "no-promiscuous", no_argument, NULL, 'p' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "format", required_argument, NULL, FORMAT },
		{ "max-size", required_argument, NULL, MAX_SIZE },
		{ "duration", required_argument, NULL, DURATION },
		{ "rotate-size", required_argument, NULL, ROTATE_SIZE },
		{ "rotate-time", required_argument, NULL, ROTATE_TIME },
		{ "rotate-packets", required_argument, NULL, ROTATE_PACKETS },
		{ "files", required_argument, NULL, FILES },
		{ "compress", required_argument, NULL, COMPRESS },
		{ "user", required_argument, NULL, USER },
		{ "hook", required_argument, NULL, HOOK },
		{ "interval", required_argument, NULL, INTERVAL },
		{ "json", no_argument, NULL, JSON },
		{ "buffered", no_argument, NULL, BUFFERED },
		{ "force", no_argument, NULL, FORCE },
		{ NULL, 0, NULL, 0 },
	};
	int option, index = -1;

	/* "+": the filter may hold words that look like options. */
	while ((option = getopt_long(argc, argv, "+i:w:c:s:B:Q:npq", long_options, &index)) != -1) {
		npf_option_text(parser->typed, option, index < 0 ? NULL : long_options[index].name);

		int code = take_option(parser, option);

		if (code)
			return code;
		index = -1;
	}
	return check(parser);
}

static int run(int argc, char **argv)
{
	struct parser parser = { .settings = { .snaplen = NPF_SNAPLEN_MAX,
					       .buffer = DEFAULT_BUFFER,
					       .promiscuous = true,
					       .dump = { .size = sizeof(parser.settings.dump) } } };
	char *expression;
	int code = parse(&parser, argc, argv);

	if (code)
		return code;
	expression = npf_join_words(argv + optind, argc - optind);
	if (!expression || npf_signals_init_patient()) {
		free(expression);
		return npf_tool_fail(&npf_command_dump, EXIT_FAILED, "out of memory");
	}
	setlocale(LC_CTYPE, "");
	parser.settings.expression = expression;
	code = npf_dump_live(&npf_command_dump, &parser.settings);
	free(expression);
	return code;
}

const struct npf_command npf_command_dump = {
	.name = "dump",
	.run = run,
	.summary = "write packets to disk as fast as they come",
	.codes = NPF_CODES_ADAPTER,
	.help = "usage: npf dump -w FILE [OPTION...] [FILTER]\n\n"
		"Write the packets that FILTER (tcpdump's language) accepts from the kernel's\n"
		"buffer straight to the disk. Ctrl-C ends: all that was captured until then is\n"
		"in the file. A file is called FILE.part until it is complete.\n\n"
		"source:\n"
		"  -i, --interface NAME   adapter; else the first that is up and carries traffic\n"
		"  -p, --no-promiscuous   only what the host itself sees\n"
		"  -Q, --direction DIR    in, out or inout (default)\n"
		"      --hook HOOK        auto (default), tcx, socket or tpacket\n"
		"  -s, --snaplen BYTES    keep at most this much of each packet (default 262144)\n"
		"  -B, --buffer SIZE      buffer that bridges the disk's pauses (default 64M)\n"
		"output:\n"
		"  -w, --write FILE       a name, with %Y, %m, %d, %H, %M, %S and the like for\n"
		"                         the time and %i for the file's number; a pipe; - is\n"
		"                         standard output\n"
		"      --format FORMAT    pcap, pcap-ns (nanoseconds) or pcapng; default: pcapng\n"
		"                         where FILE ends in .pcapng, else pcap\n"
		"      --compress zstd[:LEVEL]   compress complete files, when the CPU is idle\n"
		"      --buffered         through the page cache, even where that can be avoided\n"
		"      --force            replace FILE even if it is no savefile\n"
		"      --user NAME        become NAME before the first byte is written\n"
		"the end:\n"
		"  -c, --count N          after N packets; k, M and G behind a count are powers\n"
		"                         of 1000, behind a SIZE of 1024\n"
		"      --max-size SIZE    before all files together would exceed SIZE\n"
		"      --duration TIME    after TIME: seconds, or such as 500ms, 10min, 2h, 1d\n"
		"several files:\n"
		"      --rotate-size SIZE    a new one before a file would exceed SIZE\n"
		"      --rotate-time TIME    a new one every TIME\n"
		"      --rotate-packets N    a new one every N packets\n"
		"      --files N             keep the newest N, remove older ones\n"
		"telling:\n"
		"  -q, --quiet            nothing but errors\n"
		"      --interval TIME    a line this often (default 1s on a terminal)\n"
		"      --json             the summary as a JSON object; with --interval one more\n"
		"                         each\n\n"
		"examples:\n"
		"  npf dump -i eth0 -w trace.pcap\n"
		"  npf dump -i eth0 -w '/var/dump/%Y%m%d-%H%M%S.pcap' --rotate-size 1G --files 24\n"
		"  npf dump -i eth0 -w web.pcap --compress zstd --duration 1h 'tcp port 443'\n"
		"  npf dump -i eth0 -w - --format pcapng | ssh elsewhere 'cat >trace.pcapng'\n"
		"  npf dump -i eth0 -w /var/dump/trace.pcap --user nobody\n",
};
