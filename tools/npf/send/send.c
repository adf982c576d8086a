/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf send: one frame, once or again and again, always the same or made from a template.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checksum.h"
#include "hex.h"
#include "savefile/kind.h"
#include "sending.h"
#include "ui/signals.h"
#include "ui/terminal.h"
#include "template.h"

#define FRAME_ROOM (256u << 10) /* no adapter sends longer ones */
#define CHUNK      4096u        /* frames made before they are sent */
#define CHUNK_SIZE (4u << 20)   /* bytes of them, at most */
#define LEAD       UINT64_C(1000000)

enum { HEX = 256, FILE_NAME, RAW, SET, SEED, PAD, CHECKSUMS, RATE, FORCE };

struct options {
	struct npf_sending_options sending;
	const char *hex, *file, *raw; /* one of them */
	struct npf_template template;
	struct npf_pace pace; /* NPF_PACE_TOP when none was given */
	uint64_t repeat;      /* UINT64_MAX without end */
	uint64_t pad;
	bool checksums, force;
	bool unfixed; /* out: a packet had no checksums that could be put right */
};

struct frame {
	uint8_t bytes[FRAME_ROOM + 1];
	size_t size;
	uint32_t link_type; /* of the file it came from */
	bool from_trace;
};

/* ---- the frame ------------------------------------------------------------------------------- */

static const char *shown(const char *name)
{
	return strcmp(name, "-") ? name : "standard input";
}

static int fail(const char *format, const char *name, const char *text)
{
	return npf_tool_fail(&npf_command_send, EXIT_FAILED, format, shown(name), text);
}

/* One frame goes out; whoever wanted all of the file finds them with npf replay. */
static void tell_more(struct npf_trace *trace, const char *name)
{
	struct npf_packet packet;
	char error[NPF_ERROR_SIZE];

	if (npf_trace_next(trace, &packet, error) == 1)
		npf_tool_fail(&npf_command_send, EXIT_OK,
			      "%s: its first packet is the frame; npf replay sends all of them",
			      shown(name));
}

/* A pipe may be silent for as long as its writer likes: who has the frame waits for no more of it. */
static bool wait_for_frame(void *data, int fd)
{
	const struct frame *frame = data;

	return !frame->from_trace && npf_signals_wait(fd, UINT64_MAX);
}

static int take_packet(struct frame *frame, struct npf_trace *trace, const char *name)
{
	struct npf_packet packet;
	char error[NPF_ERROR_SIZE];
	int result = npf_trace_next(trace, &packet, error);

	if (!result)
		return npf_signals_stopped() ? EXIT_STOPPED
					     : fail("%s: %s", name, "there is no packet in it");
	if (result < 0)
		return npf_tool_fail(&npf_command_send, npf_tool_read_code(result), "%s: %s",
				     shown(name), error);
	if (packet.caplen < packet.len || packet.caplen > FRAME_ROOM)
		return fail("%s: %s", name, "its first packet was cut short by the capture");
	memcpy(frame->bytes, packet.data, packet.caplen);
	frame->size = packet.caplen;
	frame->link_type = trace->link_type;
	frame->from_trace = true;
	tell_more(trace, name);
	return EXIT_OK;
}

/* Takes the source over. */
static int first_packet(struct frame *frame, const struct source *source, const char *name)
{
	struct npf_trace trace = { .stop_fd = -1 };
	char error[NPF_ERROR_SIZE];
	int code, err = npf_trace_open_source(&trace, source, name, NULL, error);

	if (err == -EINTR)
		return EXIT_STOPPED;
	if (err)
		return npf_tool_fail(&npf_command_send, npf_tool_read_code(err), "%s", error);
	code = take_packet(frame, &trace, name);
	npf_trace_close(&trace);
	return code;
}

static int fail_read(const struct source *source, const char *name, int err)
{
	return err == -EINTR ? EXIT_STOPPED : fail("%s: %s", name, source->error);
}

/* All of the file, or so much of it that it is longer than any frame. */
static int read_bytes(struct frame *frame, struct source *source, const char *name)
{
	int err = source_fill(source, sizeof(frame->bytes));

	if (err)
		return fail_read(source, name, err);
	frame->size = source->n < sizeof(frame->bytes) ? source->n : sizeof(frame->bytes);
	memcpy(frame->bytes, source->at, frame->size);
	return EXIT_OK;
}

/* A file that is no frame, most likely, is not sent as one by accident. */
static int check_kind(const struct frame *frame, const char *name)
{
	enum npf_kind kind = npf_kind_of(frame->bytes, frame->size);

	switch (kind) {
	case NPF_KIND_TEXT:
		return npf_tool_fail(&npf_command_send, EXIT_NO_SAVEFILE,
				     "%s: this is text, not a frame: --hex takes hexadecimal digits, "
				     "--raw sends the file's bytes as they are",
				     shown(name));
	case NPF_KIND_OTHER:
		return frame->size > FRAME_ROOM
			       ? fail("%s: %s", name, "longer than any frame, and not pcap either")
			       : EXIT_OK;
	case NPF_KIND_EMPTY:
		return npf_tool_fail(&npf_command_send, EXIT_NO_SAVEFILE, "%s: %s", shown(name),
				     npf_kind_no_savefile(kind));
	default:
		return npf_tool_fail(&npf_command_send, EXIT_NO_SAVEFILE,
				     "%s: %s; --raw sends its bytes as they are", shown(name),
				     npf_kind_no_savefile(kind));
	}
}

static bool is_savefile(const struct source *source)
{
	enum npf_kind kind = npf_kind_of(source->at, source->n);

	return kind == NPF_KIND_PCAP || kind == NPF_KIND_PCAPNG || kind == NPF_KIND_GZIP ||
	       kind == NPF_KIND_ZSTD;
}

static int read_file(struct frame *frame, const char *name, bool raw)
{
	const struct source_waiter waiter = { wait_for_frame, frame };
	struct source source;
	int code, err = source_open_plain(&source, name, &waiter);

	if (!err && !raw && is_savefile(&source))
		return first_packet(frame, &source, name);
	code = err ? fail_read(&source, name, err) : read_bytes(frame, &source, name);
	source_close(&source);
	if (code)
		return code;
	if (!raw)
		return check_kind(frame, name);
	return frame->size > FRAME_ROOM ? fail("%s: %s", name, "longer than any frame") : EXIT_OK;
}

static int read_frame(struct frame *frame, const struct options *options)
{
	char error[NPF_ERROR_SIZE];
	int64_t n;

	if (options->file)
		return read_file(frame, options->file, false);
	if (options->raw)
		return read_file(frame, options->raw, true);
	n = npf_hex_parse(options->hex, frame->bytes, FRAME_ROOM, error);
	if (n < 0)
		return npf_tool_usage(&npf_command_send, "--hex: %s", error);
	frame->size = (size_t)n;
	return EXIT_OK;
}

static int finish_frame(struct frame *frame, const struct options *options)
{
	char error[NPF_ERROR_SIZE];

	if (frame->size < options->pad) {
		memset(frame->bytes + frame->size, 0, options->pad - frame->size);
		frame->size = options->pad;
	}
	if (npf_template_check(&options->template, frame->size, error))
		return npf_tool_usage(&npf_command_send, "--set: %s", error);
	return EXIT_OK;
}

/* What the adapter has to say about it. */
static int check_frame(const struct frame *frame, const struct options *options,
		       const struct npf_adapter *adapter)
{
	uint32_t longest = npf_longest_frame(adapter, frame->bytes, frame->size);
	char error[NPF_ERROR_SIZE];

	if (frame->from_trace && frame->link_type != adapter->link_type && !options->force) {
		npf_link_mismatch(error, options->file, frame->link_type, adapter->link_type);
		return npf_tool_fail(&npf_command_send, EXIT_USAGE, "%s", error);
	}
	if (frame->size > longest)
		return npf_tool_fail(&npf_command_send, EXIT_FAILED,
				     "the frame has %zu byte%s, %s sends %u at most", frame->size,
				     npf_plural(frame->size), adapter->name, longest);
	if (frame->size < adapter->min_frame)
		return npf_tool_fail(&npf_command_send, EXIT_FAILED,
				     "the frame has %zu byte%s, a link header alone %u; --pad makes it "
				     "longer",
				     frame->size, npf_plural(frame->size), adapter->min_frame);
	return EXIT_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Frames made ahead; without a template all are the one frame. */
struct chunk {
	struct npf_send_frame *frames;
	uint8_t *bytes; /* NULL: no template */
	size_t most;
};

static void make_frame(struct options *options, const struct frame *frame, uint32_t link_type,
		       uint8_t *out)
{
	memcpy(out, frame->bytes, frame->size);
	npf_template_apply(&options->template, out);
	if (options->checksums && !npf_checksum_fix(link_type, out, frame->size))
		options->unfixed = true;
}

static void fill_chunk(struct chunk *chunk, size_t n, struct npf_schedule *schedule, uint64_t start,
		       struct options *options, const struct frame *frame, uint32_t link_type)
{
	for (size_t i = 0; i < n; i++) {
		struct npf_send_frame *out = &chunk->frames[i];
		uint64_t due = npf_schedule_next(schedule, 0, (uint32_t)frame->size);
		uint8_t *at = chunk->bytes ? chunk->bytes + i * frame->size : NULL;

		if (at)
			make_frame(options, frame, link_type, at);
		out->data = at ? at : frame->bytes;
		out->size = frame->size;
		out->at = options->pace.kind == NPF_PACE_TOP ? 0 : npf_time_add(start, due);
	}
}

static int allocate_chunk(struct chunk *chunk, bool varies, size_t size)
{
	chunk->most = size * CHUNK <= CHUNK_SIZE ? CHUNK : CHUNK_SIZE / size;
	chunk->frames = calloc(chunk->most, sizeof(*chunk->frames));
	chunk->bytes = varies ? malloc(chunk->most * size) : NULL;
	return chunk->frames && (chunk->bytes || !varies) ? 0 : -ENOMEM;
}

static void send_chunks(struct npf_sending *sending, struct chunk *chunk, struct options *options,
			const struct frame *frame)
{
	uint32_t link_type = sending->session.adapter.link_type;
	uint64_t start = npf_send_clock(sending->session.instance) + LEAD;
	struct npf_schedule schedule;
	uint64_t left = options->repeat;
	bool endless = left == UINT64_MAX;
	int err = 0;

	npf_schedule_init(&schedule, options->pace);
	while (left && !err) {
		size_t n = left < chunk->most ? (size_t)left : chunk->most;

		fill_chunk(chunk, n, &schedule, start, options, frame, link_type);
		left -= endless ? 0 : n;
		err = npf_sending_frames(sending, chunk->frames, n,
					 endless ? -1 : 1 - (double)left / (double)options->repeat);
	}
}

static int send_made(struct npf_sending *sending, struct options *options, const struct frame *frame)
{
	struct chunk chunk;
	int code = EXIT_OK;

	if (allocate_chunk(&chunk, npf_template_varies(&options->template), frame->size))
		code = npf_tool_fail(&npf_command_send, EXIT_FAILED, "out of memory");
	else
		send_chunks(sending, &chunk, options, frame);
	free(chunk.frames);
	free(chunk.bytes);
	return code;
}

/* No reason not to send, but not what was asked for. */
static void tell_unfixed(const struct options *options)
{
	if (options->unfixed)
		npf_tool_fail(&npf_command_send, EXIT_OK,
			      "--checksums: %s no TCP, UDP or ICMP that is whole",
			      npf_template_varies(&options->template) ? "some packets have"
								      : "the frame has");
}

static int send_frame(struct npf_sending *sending, struct options *options, struct frame *frame)
{
	bool endless = options->repeat == UINT64_MAX;
	struct npf_account account = { .endless = endless,
				       .wanted = endless ? 0 : options->repeat,
				       .paced = options->pace.kind != NPF_PACE_TOP };
	bool varies = npf_template_varies(&options->template);
	int code;

	code = check_frame(frame, options, &sending->session.adapter);
	if (code) {
		npf_sending_close(sending);
		return code;
	}
	if (!varies)
		make_frame(options, frame, sending->session.adapter.link_type, frame->bytes);
	if (varies || account.paced)
		code = send_made(sending, options, frame);
	else
		npf_sending_repeat(sending, frame->bytes, frame->size, options->repeat);
	tell_unfixed(options);
	if (!code)
		return npf_sending_end(sending, &account);
	npf_sending_close(sending);
	return code;
}

static int run_with(struct options *options)
{
	struct frame *frame = calloc(1, sizeof(*frame));
	struct npf_sending sending;
	int code;

	if (!frame)
		return npf_tool_fail(&npf_command_send, EXIT_FAILED, "out of memory");
	code = read_frame(frame, options);
	if (!code)
		code = finish_frame(frame, options);
	if (!code)
		code = npf_sending_open(&sending, &npf_command_send, &options->sending);
	if (!code)
		code = send_frame(&sending, options, frame);
	free(frame);
	return code;
}

/* ---- command line ---------------------------------------------------------------------------- */

static int bad_value(const char *name, const char *wanted)
{
	return npf_tool_usage(&npf_command_send, "%s '%s': not %s", name, optarg, wanted);
}

/* Of several only one would go. */
static int take_frame(struct options *options, const char **from)
{
	if (options->hex || options->file || options->raw)
		return npf_tool_usage(&npf_command_send,
				      "one frame is sent, given once by --hex, --file or --raw; npf "
				      "replay sends all packets of a file");
	*from = optarg;
	return EXIT_OK;
}

static int take_field(struct options *options)
{
	char error[NPF_ERROR_SIZE];

	if (npf_template_add(&options->template, optarg, error))
		return npf_tool_usage(&npf_command_send, "--set %s", error);
	return EXIT_OK;
}

static int take_option(struct options *options, int option)
{
	int code = npf_sending_option(&options->sending, &npf_command_send, option);

	if (code >= 0)
		return code;
	switch (option) {
	case HEX:
		return take_frame(options, &options->hex);
	case FILE_NAME:
		return take_frame(options, &options->file);
	case RAW:
		return take_frame(options, &options->raw);
	case SET:
		return take_field(options);
	case SEED:
		return npf_parse_number(optarg, 0, UINT64_MAX, &options->template.random)
			       ? EXIT_OK
			       : bad_value("--seed", "a number");
	case PAD:
		return npf_parse_size(optarg, FRAME_ROOM, &options->pad)
			       ? EXIT_OK
			       : bad_value("--pad", "a number of bytes, at most 256K");
	case CHECKSUMS:
		options->checksums = true;
		return EXIT_OK;
	case 'n':
		return npf_sending_times(optarg, &options->repeat)
			       ? EXIT_OK
			       : bad_value("--repeat", "a count such as 1000 or 10M, or forever");
	case RATE:
		return npf_parse_rate(optarg, &options->pace)
			       ? EXIT_OK
			       : bad_value("--rate",
					   npf_rate_in_bytes(optarg)
						   ? "in bits a second, such as 100Mbps; a "
						     "capital B is bytes"
						   : "a rate such as 10kpps or 100Mbps");
	case FORCE:
		options->force = true;
		return EXIT_OK;
	default:
		return npf_tool_hint(&npf_command_send);
	}
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		NPF_SENDING_LONG_OPTIONS,
		{ "hex", required_argument, NULL, HEX },
		{ "file", required_argument, NULL, FILE_NAME },
		{ "raw", required_argument, NULL, RAW },
		{ "set", required_argument, NULL, SET },
		{ "seed", required_argument, NULL, SEED },
		{ "pad", required_argument, NULL, PAD },
		{ "checksums", no_argument, NULL, CHECKSUMS },
		{ "repeat", required_argument, NULL, 'n' },
		{ "rate", required_argument, NULL, RATE },
		{ "force", no_argument, NULL, FORCE },
		{ NULL, 0, NULL, 0 },
	};
	int option, code;

	while ((option = getopt_long(argc, argv, NPF_SENDING_LETTERS "n:", long_options, NULL)) !=
	       -1) {
		code = take_option(options, option);
		if (code)
			return code;
	}
	if (optind < argc)
		return npf_tool_usage(&npf_command_send, "'%s' is not expected", argv[optind]);
	if (!options->hex && !options->file && !options->raw)
		return npf_tool_usage(&npf_command_send,
				      "the frame is given by one of --hex, --file and --raw");
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { .repeat = 1, .pace = { .kind = NPF_PACE_TOP } };
	struct timespec now;
	int code;

	clock_gettime(CLOCK_REALTIME, &now);
	options.template.random = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	npf_sending_defaults(&options.sending);
	code = parse(&options, argc, argv);
	if (code)
		return code;
	setlocale(LC_CTYPE, "");
	if (npf_signals_init())
		return npf_tool_fail(&npf_command_send, EXIT_FAILED, "out of descriptors");
	return run_with(&options);
}

const struct npf_command npf_command_send = {
	.name = "send",
	.run = run,
	.summary = "send a frame, once or many times",
	.codes = NPF_CODES_ADAPTER | NPF_CODES_SAVEFILE | NPF_CODE(EXIT_STOPPED),
	.help = "usage: npf send -i NAME --hex BYTES | --file FILE | --raw FILE [OPTION...]\n\n"
		"Send one frame as it is, from its first address to its last byte, without the\n"
		"checksum of the link. Ctrl-C ends. The summary tells what was asked, handed\n"
		"over and confirmed by the adapter's counter.\n\n"
		"  -i, --interface NAME   adapter to send on\n"
		"the frame:\n"
		"      --hex BYTES        in hexadecimal; blanks, colons and the offsets and\n"
		"                         text of a dump are fine\n"
		"      --file FILE        the first packet of a savefile (pcap or pcapng, also\n"
		"                         packed by gzip or zstd), or a file that is the frame\n"
		"                         itself; text is refused. - is standard input\n"
		"      --raw FILE         a file that is the frame itself, whatever it looks like\n"
		"      --force            a packet of another link type too\n"
		"      --pad SIZE         zeros behind it until it has so many bytes\n"
		"      --set FIELD        a field, up to 32; each packet has the next value:\n"
		"                           OFFSET:LENGTH=VALUE\n"
		"                           OFFSET:LENGTH=counter:FIRST[-LAST][+STEP]\n"
		"                           OFFSET:LENGTH=random[:FIRST-LAST]\n"
		"                         in bytes, with numbers (0x for hexadecimal), IPv4 or\n"
		"                         Ethernet addresses\n"
		"      --seed N           the same random numbers again\n"
		"      --checksums        put right those of IPv4, TCP, UDP, ICMP and ICMPv6\n"
		"how much:\n"
		"  -n, --repeat N         so many packets, such as 1000 or 10M, powers of 1000;\n"
		"                         0 or forever: until Ctrl-C (default 1)\n"
		"      --duration TIME    no longer than this from the first packet on: seconds,\n"
		"                         or such as 500ms, 10min\n"
		"      --rate RATE        packets (10kpps, or a number alone) or bits (100Mbps) a\n"
		"                         second; without it as fast as it goes\n" NPF_SENDING_HELP
		"\n"
		"examples:\n"
		"  npf send -i eth0 --hex 'ffffffffffff 020000000001 88b5 68656c6c6f'\n"
		"  npf send -i eth0 --file syn.pcap -n 1M\n"
		"  npf send -i eth0 --file syn.pcap -n forever --rate 10kpps --checksums \\\n"
		"      --set 26:4=counter:10.0.0.1-10.0.255.254 --set 34:2=random:1024-65535\n"
		"  npf send -i eth0 --hex \"$(od -An -v -tx1 frame.bin)\" --rate 100Mbps -n 0\n",
};
