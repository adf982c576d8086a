/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The npf command run on real interfaces: traces of numbered frames for it to send, a capture at
 * the far end (lib/net.h: from va to vb) that knows each of them, and what the command said.
 */
#ifndef NPF_TOOL_WIRE_H
#define NPF_TOOL_WIRE_H

#include "lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/net.h"
#include "npf/npf.h"

#define TOOL_PATIENCE_MS 300000u
#define TOOL_SAID        65536u
#define TOOL_LONGEST     1514u
#define TOOL_LEAST       20u
#define TOOL_NUMBER_AT   14u

/* Path of the program under test: the test's first argument. */
static const char *tool_npf;

struct tool {
	struct net_world net;
	struct npf_host *host;
	struct npf_driver *driver;
	struct npf_instance *far; /* captures on vb */
	uint64_t taken;           /* packets read from it */
	pid_t pid;                /* of npf, 0 not running */
	int out, err, in;         /* what it says; in: a pipe to its standard input, or -1 */
	int input;                /* what it shall have for standard input, 0 that pipe */
	int terminal;             /* what it shall have for standard error, 0 none */
	size_t memory; /* bytes of its own that it may have, 0 all; not under sanitizers */
	char said[TOOL_SAID], complained[TOOL_SAID];
};

/* For main(): go on only where such tests can run. */
static inline void tool_require(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s NPF\n", argv[0]);
		exit(2);
	}
	tool_npf = argv[1];
	net_require();
}

/* ---- frames -------------------------------------------------------------------------------- */

/* Of frame number n in a trace of mixed sizes. */
static inline uint32_t tool_size(uint32_t n)
{
	static const uint32_t sizes[] = { 60, 1514, 64, 590, 20, 128, 1514, 61, 300, 1000 };

	return sizes[(n * 7 + n / 10) % N_OF(sizes)];
}

static inline void tool_frame(uint32_t n, uint8_t *frame, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		frame[i] = (uint8_t)(n * 131 + i * 7 + (n >> 8));
	memcpy(frame, net_vb_address, 6);
	memcpy(frame + 6, net_va_address, 6);
	frame[12] = NET_ETHERTYPE >> 8;
	frame[13] = NET_ETHERTYPE & 0xFF;
	frame[TOOL_NUMBER_AT] = (uint8_t)(n >> 24);
	frame[TOOL_NUMBER_AT + 1] = (uint8_t)(n >> 16);
	frame[TOOL_NUMBER_AT + 2] = (uint8_t)(n >> 8);
	frame[TOOL_NUMBER_AT + 3] = (uint8_t)n;
}

/* ---- traces -------------------------------------------------------------------------------- */

enum trace_format { TRACE_MICRO, TRACE_NANO, TRACE_SWAPPED, TRACE_NG };

/* In memory, with a name that other processes of ours can open. */
struct trace {
	enum trace_format format;
	uint32_t link_type;
	uint32_t interface; /* TRACE_NG: of the packets that are put */
	FILE *file;
	char path[40];
};

static inline void put_words(struct trace *trace, const uint32_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t word = trace->format == TRACE_SWAPPED ? __builtin_bswap32(words[i])
							       : words[i];

		assert_int_equal(fwrite(&word, sizeof(word), 1, trace->file), 1);
	}
}

/* Section header and an interface with nanoseconds. */
static inline void put_interface(struct trace *trace, uint32_t link_type)
{
	const uint32_t words[] = { 1, 32, link_type, 65535, 9 | 1u << 16, 9, 0, 32 };

	put_words(trace, words, N_OF(words));
}

static inline void trace_begin(struct trace *trace, enum trace_format format, uint32_t link_type)
{
	static const uint32_t section[] = { 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, ~0u, ~0u, 28 };
	const uint32_t header[] = {
		format == TRACE_NANO ? 0xA1B23C4D : 0xA1B2C3D4,
		2 | 4u << 16,
		0,
		0,
		65535,
		link_type,
	};
	const uint32_t swapped[] = { header[0], 2u << 16 | 4, 0, 0, 65535, link_type };
	int fd = memfd_create("trace", 0);

	assert_true(fd >= 0);
	trace->format = format;
	trace->link_type = link_type;
	trace->interface = 0;
	snprintf(trace->path, sizeof(trace->path), "/proc/%d/fd/%d", (int)getpid(), fd);
	trace->file = fdopen(fd, "w+");
	assert_non_null(trace->file);
	if (format == TRACE_NG) {
		put_words(trace, section, N_OF(section));
		put_interface(trace, link_type);
	} else {
		put_words(trace, format == TRACE_SWAPPED ? swapped : header, N_OF(header));
	}
}

static inline void trace_put(struct trace *trace, uint64_t ns, const uint8_t *frame,
			     uint32_t caplen, uint32_t len)
{
	uint64_t unit = trace->format == TRACE_NANO ? 1 : 1000;
	const uint32_t header[] = { (uint32_t)(ns / 1000000000u),
				    (uint32_t)(ns % 1000000000u / unit), caplen, len };
	const uint32_t padded = (caplen + 3) & ~3u, whole = 32 + padded;
	const uint32_t block[] = {
		6, whole, trace->interface, (uint32_t)(ns >> 32), (uint32_t)ns, caplen, len
	};
	static const uint8_t zeros[4];

	if (trace->format == TRACE_NG)
		put_words(trace, block, N_OF(block));
	else
		put_words(trace, header, N_OF(header));
	assert_int_equal(fwrite(frame, 1, caplen, trace->file), caplen);
	if (trace->format != TRACE_NG)
		return;
	assert_int_equal(fwrite(zeros, 1, padded - caplen, trace->file), padded - caplen);
	put_words(trace, &whole, 1);
}

/* Frames first ... first + n - 1 of mixed sizes, 1 us apart. */
static inline void trace_frames(struct trace *trace, uint32_t first, uint32_t n)
{
	uint8_t frame[TOOL_LONGEST];

	for (uint32_t i = first; i < first + n; i++) {
		tool_frame(i, frame, tool_size(i));
		trace_put(trace, UINT64_C(1700000000000000000) + (uint64_t)i * 1000, frame,
			  tool_size(i), tool_size(i));
	}
}

static inline void trace_ready(struct trace *trace)
{
	assert_int_equal(fflush(trace->file), 0);
}

/* A file of n frames of mixed sizes. */
static inline void trace_make(struct trace *trace, enum trace_format format, uint32_t n)
{
	trace_begin(trace, format, 1);
	trace_frames(trace, 0, n);
	trace_ready(trace);
}

static inline void trace_free(struct trace *trace)
{
	fclose(trace->file);
}

/* ---- the world ----------------------------------------------------------------------------- */

static inline int tool_setup(void **state)
{
	struct tool *tool = calloc(1, sizeof(*tool));
	const struct npf_open_options options = { .size = sizeof(options) };
	char error[NPF_ERROR_SIZE];

	assert_non_null(tool);
	net_world_create(&tool->net);
	/* Without NAPI, veth cannot receive the frames of the fast paths. */
	net_offload(&tool->net, NET_THERE, "vb", ETHTOOL_SGRO, true);
	net_enter(&tool->net, NET_THERE);
	tool->host = npf_host_linux();
	assert_non_null(tool->host);
	assert_int_equal(npf_driver_entry(tool->host, &tool->driver), 0);
	if (npf_open(tool->driver, "vb", &options, &tool->far, error))
		fail_msg("%s", error);
	assert_int_equal(npf_set_buffer(tool->far, 192u << 20), 0);
	assert_int_equal(npf_set_timeout(tool->far, -1), 0);
	net_enter(&tool->net, NET_HERE);
	tool->in = -1;
	*state = tool;
	return 0;
}

static inline int tool_teardown(void **state)
{
	struct tool *tool = *state;

	if (tool->pid) {
		kill(tool->pid, SIGKILL);
		waitpid(tool->pid, NULL, 0);
	}
	npf_batch_end(tool->far); /* an assertion may have failed amid one */
	npf_close(tool->far);
	npf_unload(tool->driver);
	npf_host_linux_free(tool->host);
	net_world_destroy(&tool->net);
	free(tool);
	return 0;
}

static inline uint64_t tool_received(struct tool *tool)
{
	struct npf_stats stats;

	assert_int_equal(npf_get_stats(tool->far, &stats), 0);
	assert_int_equal(stats.dropped, 0);
	return stats.received;
}

static inline uint64_t tool_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t tool_ms(void)
{
	return tool_ns(CLOCK_MONOTONIC) / 1000000;
}

#define TOOL_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t give_up_ = tool_ms() + TOOL_PATIENCE_MS;                                  \
		while (!(condition)) {                                                             \
			struct timespec nap_ = { .tv_nsec = 500000 };                              \
			if (tool_ms() > give_up_)                                                  \
				fail_msg("in vain: %s", #condition);                               \
			nanosleep(&nap_, NULL);                                                    \
		}                                                                                  \
	} while (0)

/* ---- what arrived -------------------------------------------------------------------------- */

/* The next frame that arrived; false when there is none now. */
static inline bool tool_next(struct tool *tool, uint8_t *frame, uint32_t *size)
{
	struct npf_packet packet;
	int64_t pending = npf_batch_begin(tool->far);
	bool found;

	if (pending <= 0)
		return false;
	found = npf_batch_next(tool->far, &packet);
	if (found) {
		assert_true(packet.caplen <= 65536);
		memcpy(frame, packet.data, packet.caplen);
		*size = packet.len;
		tool->taken++;
	}
	npf_batch_end(tool->far);
	return found;
}

/* Frames first, first + step, ... n of them, whole and in order, are what comes next. */
static inline void tool_expect(struct tool *tool, uint32_t first, uint32_t n, uint32_t step)
{
	uint8_t wanted[TOOL_LONGEST];
	struct npf_packet packet;
	uint32_t seen = 0;

	TOOL_UNTIL(tool_received(tool) >= tool->taken + n);
	while (seen < n && npf_batch_begin(tool->far) > 0) {
		while (seen < n && npf_batch_next(tool->far, &packet)) {
			uint32_t number = first + seen * step, size = tool_size(number);

			tool_frame(number, wanted, size);
			if (packet.len != size || packet.caplen != size ||
			    memcmp(packet.data, wanted, size))
				fail_msg("packet %u of %u is not frame %u", seen, n, number);
			seen++;
		}
		npf_batch_end(tool->far);
	}
	assert_int_equal(seen, n);
	tool->taken += n;
}

/* Nothing else came. For the end, when npf has ended and its packets have arrived. */
static inline void tool_expect_no_more(struct tool *tool)
{
	assert_int_equal(tool_received(tool), tool->taken);
}

/* ---- the command --------------------------------------------------------------------------- */

#define TOOL_WORDS 40

static inline void tool_exec(const struct tool *tool, const char *const *words, const int pipes[3])
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	const char *argv[TOOL_WORDS + 2] = { tool_npf };
	size_t n = 0;

	for (; words[n] && n < TOOL_WORDS; n++)
		argv[n + 1] = words[n];
	net_enter(&tool->net, NET_HERE);
	/* Ignored signals are inherited, from a script's background job and from nohup. */
	for (size_t i = 0; i < N_OF(signals); i++)
		signal(signals[i], SIG_DFL);
	if (tool->memory)
		setrlimit(RLIMIT_DATA, &(struct rlimit){ tool->memory, tool->memory });
	for (int i = 0; i < 3; i++)
		dup2(pipes[i], i);
	execv(tool_npf, (char *const *)argv);
	_exit(99);
}

/* Start npf on va's side. piped: tool->in is written to its standard input. */
static inline void tool_start(struct tool *tool, bool piped, const char *const *words)
{
	int in[2];

	tool->out = memfd_create("out", MFD_CLOEXEC);
	tool->err = memfd_create("err", MFD_CLOEXEC);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	tool->pid = fork();
	assert_true(tool->pid >= 0);
	if (!tool->pid)
		tool_exec(tool, words,
			  (const int[]){ tool->input ? tool->input : in[0], tool->out,
					 tool->terminal ? tool->terminal : tool->err });
	close(in[0]);
	if (piped)
		tool->in = in[1];
	else
		close(in[1]);
}

static inline void tool_read(int fd, char said[TOOL_SAID])
{
	ssize_t n = pread(fd, said, TOOL_SAID - 1, 0);

	assert_true(n >= 0);
	said[n] = '\0';
	close(fd);
}

/* Its exit code. */
static inline int tool_wait(struct tool *tool)
{
	int status;

	if (tool->in >= 0)
		close(tool->in);
	tool->in = -1;
	assert_int_equal(waitpid(tool->pid, &status, 0), tool->pid);
	tool->pid = 0;
	tool_read(tool->out, tool->said);
	tool_read(tool->err, tool->complained);
	if (!WIFEXITED(status))
		fail_msg("npf ended by signal %d: %s", WTERMSIG(status), tool->complained);
	return WEXITSTATUS(status);
}

/* Its end comes by itself, while its input stays open. */
static inline void tool_await_end(struct tool *tool)
{
	siginfo_t ended = { 0 };

	TOOL_UNTIL(!waitid(P_PID, (id_t)tool->pid, &ended, WEXITED | WNOHANG | WNOWAIT) &&
		   ended.si_pid);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Run npf to its end, which must be this exit code. */
static inline void tool_run(struct tool *tool, int wanted, const char *const *words)
{
	int code;

	tool_start(tool, false, words);
	code = tool_wait(tool);
	if (code != wanted)
		fail_msg("exit code %d, not %d\n%s%s", code, wanted, tool->said, tool->complained);
}

/* ---- what it said -------------------------------------------------------------------------- */

static inline const char *skip_value(const char *at, unsigned int depth);

static inline const char *skip_text(const char *at)
{
	assert_int_equal(*at, '"');
	for (at++; *at != '"'; at++) {
		assert_true((unsigned char)*at >= 0x20);
		at += *at == '\\';
	}
	return at + 1;
}

static inline const char *skip_members(const char *at, char end, unsigned int depth)
{
	if (*at == end)
		return at + 1;
	for (;; at++) {
		if (end == '}') {
			at = skip_text(at);
			assert_int_equal(*at++, ':');
		}
		at = skip_value(at, depth + 1);
		if (*at == end)
			return at + 1;
		assert_int_equal(*at, ',');
	}
}

static inline const char *skip_value(const char *at, unsigned int depth)
{
	static const char *const words[] = { "true", "false", "null" };

	assert_true(depth < 10);
	if (*at == '{')
		return skip_members(at + 1, '}', depth);
	if (*at == '[')
		return skip_members(at + 1, ']', depth);
	if (*at == '"')
		return skip_text(at);
	for (size_t i = 0; i < N_OF(words); i++) {
		if (!strncmp(at, words[i], strlen(words[i])))
			return at + strlen(words[i]);
	}
	char *number;

	strtod(at, &number);
	assert_true(number > at);
	return number;
}

/* Standard output is one JSON value and a newline. */
static inline void tool_said_json(const struct tool *tool)
{
	assert_string_equal(skip_value(tool->said, 0), "\n");
}

/* What stands behind "key": in it. */
static inline const char *tool_value(const struct tool *tool, const char *key)
{
	char wanted[64];
	const char *at;

	tool_said_json(tool);
	snprintf(wanted, sizeof(wanted), "\"%s\":", key);
	at = strstr(tool->said, wanted);
	if (!at)
		fail_msg("no %s in %s", key, tool->said);
	return at + strlen(wanted);
}

static inline uint64_t tool_number(const struct tool *tool, const char *key)
{
	return strtoull(tool_value(tool, key), NULL, 10);
}

static inline double tool_real(const struct tool *tool, const char *key)
{
	return strtod(tool_value(tool, key), NULL);
}

static inline void tool_counts(const struct tool *tool, uint64_t handed)
{
	assert_int_equal(tool_number(tool, "handed"), handed);
	assert_int_equal(tool_number(tool, "confirmed"), handed);
}

static inline void tool_assert_complains(const struct tool *tool, const char *text)
{
	if (!strstr(tool->complained, text))
		fail_msg("'%s' is not in: %s", text, tool->complained);
}

/* The adapter goes after the first frame: npf says so, and of how many it was the reason. */
static inline void tool_expect_gone_after_one(struct tool *tool, uint64_t failed)
{
	TOOL_UNTIL(tool_received(tool) >= 1);
	net_run(&tool->net, NET_HERE, "ip link delete va");
	tool_await_end(tool);
	assert_int_equal(tool_wait(tool), 7);
	tool_assert_complains(tool, "has gone");
	assert_int_equal(tool_number(tool, "handed"), 1);
	assert_int_equal(tool_number(tool, "adapter gone"), failed);
}

#endif
