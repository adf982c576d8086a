/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf replay on real interfaces: what a file holds arrives, byte by byte, in order, as often as
 * was asked and never more; whatever ends it early, the counts are what the far end has seen.
 */
#include "netns/tool.h"

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <zlib.h>

#define REPLAY "replay", "-i", "va", "--json"

static struct tool *of(void **state)
{
	return *state;
}

/* ---- everything arrives ---------------------------------------------------------------------- */

static void counts_of_all_kinds(void **state)
{
	static const uint32_t counts[] = { 1, 2, 1000, 100000 };
	static const char *const modes[][3] = {
		{ "-t", "--json", "--json" },
		{ "-t", "-K", "--json" },
		{ "-t", "--path", "socket" },
		{ "-K", "--path", "socket" }, /* 1 us between packets */
	};
	struct tool *tool = of(state);
	struct trace trace;

	for (size_t i = 0; i < N_OF(counts); i++) {
		trace_make(&trace, TRACE_MICRO, counts[i]);
		for (size_t m = 0; m < N_OF(modes); m++) {
			tool_run(tool, 0,
				 WORDS(REPLAY, modes[m][0], modes[m][1], modes[m][2], trace.path));
			tool_counts(tool, counts[i]);
			tool_expect(tool, 0, counts[i], 1);
			tool_expect_no_more(tool);
		}
		trace_free(&trace);
	}
}

static void formats(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	for (int format = TRACE_MICRO; format <= TRACE_NG; format++) {
		trace_make(&trace, (enum trace_format)format, 500);
		tool_run(tool, 0, WORDS(REPLAY, trace.path));
		tool_counts(tool, 500);
		tool_expect(tool, 0, 500, 1);
		trace_free(&trace);
	}
	tool_expect_no_more(tool);
}

static void several_files(void **state)
{
	struct tool *tool = of(state);
	struct trace first, second;

	trace_make(&first, TRACE_NANO, 300);
	trace_make(&second, TRACE_NG, 200);
	tool_run(tool, 0, WORDS(REPLAY, first.path, "-l", "2", second.path));
	tool_counts(tool, 1000);
	for (int pass = 0; pass < 2; pass++) {
		tool_expect(tool, 0, 300, 1);
		tool_expect(tool, 0, 200, 1);
	}
	tool_expect_no_more(tool);
	trace_free(&first);
	trace_free(&second);
}

static void filters(void **state)
{
	static const char *const keep[] = { "-K", "-t" };
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_MICRO, 1000);
	for (size_t i = 0; i < N_OF(keep); i++) {
		tool_run(tool, 0,
			 WORDS(REPLAY, keep[i], trace.path, "--", "ether[17]", "&", "1", "=", "1"));
		tool_counts(tool, 500);
		assert_int_equal(tool_number(tool, "filtered"), 500);
		tool_expect(tool, 1, 500, 2);
	}
	tool_run(tool, 0, WORDS(REPLAY, trace.path, "-l", "0", "--", "tcp"));
	tool_counts(tool, 0);
	tool_run(tool, 2, WORDS(REPLAY, trace.path, "--", "no", "such", "filter"));
	tool_assert_complains(tool, "filter 'no such filter': ");
	tool_expect_no_more(tool);
	trace_free(&trace);
}

static void rounds_and_limits(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_MICRO, 100);
	tool_run(tool, 0, WORDS(REPLAY, "-t", "-l", "300", trace.path));
	tool_counts(tool, 30000);
	for (int pass = 0; pass < 300; pass++)
		tool_expect(tool, 0, 100, 1);
	tool_run(tool, 0, WORDS(REPLAY, "-l", "0", "-L", "250", trace.path));
	tool_counts(tool, 250);
	tool_expect(tool, 0, 100, 1);
	tool_expect(tool, 0, 100, 1);
	tool_expect(tool, 0, 50, 1);
	tool_run(tool, 0, WORDS(REPLAY, "-L", "7", trace.path));
	tool_counts(tool, 7);
	tool_expect(tool, 0, 7, 1);
	tool_expect_no_more(tool);
	trace_free(&trace);
}

/* Too large to be kept: every pass reads the file, which is more than all memory that there is. */
static void passes_through_a_large_file(void **state)
{
	enum { N = 50000, EACH = 1400 };
	const struct npf_insn head[] = { INSN_RET(TOOL_LEAST) };
	const struct npf_program program = PROGRAM(head);
	struct tool *tool = of(state);
	uint8_t frame[EACH], wanted[EACH];
	struct npf_packet packet;
	struct trace trace;
	uint32_t seen = 0;

	trace_begin(&trace, TRACE_NANO, 1);
	for (uint32_t i = 0; i < N; i++) {
		tool_frame(i, frame, EACH);
		trace_put(&trace, i, frame, EACH, EACH);
	}
	trace_put(&trace, N, frame, EACH, EACH + 1);
	trace_ready(&trace);
	assert_int_equal(npf_set_filter(tool->far, &program), 0);
#ifndef NPF_SANITIZED
	tool->memory = 48u << 20;
	tool_run(tool, 1, WORDS(REPLAY, "-t", "-K", trace.path));
	assert_non_null(strstr(tool->complained, "out of memory"));
#endif
	tool_run(tool, 0, WORDS(REPLAY, "-t", "-l", "2", trace.path));
	tool->memory = 0;
	tool_counts(tool, 2 * N);
	assert_int_equal(tool_number(tool, "cut"), 2);
	TOOL_UNTIL(tool_received(tool) >= 2 * N);
	while (npf_batch_begin(tool->far) > 0) {
		for (; npf_batch_next(tool->far, &packet); seen++) {
			tool_frame(seen % N, wanted, EACH);
			assert_int_equal(packet.len, EACH);
			assert_memory_equal(packet.data, wanted, TOOL_LEAST);
		}
		npf_batch_end(tool->far);
	}
	assert_int_equal(seen, 2 * N);
	trace_free(&trace);
}

/* ---- times ------------------------------------------------------------------------------------ */

/* However fast: all in order, and the report counts each of them as timed. */
static void every_pace(void **state)
{
	static const char *const paces[][2] = {
		{ "-x", "1000" },
		{ "--pps", "100k" },
		{ "--mbps", "1000" },
		{ "--multiplier", "0.1" },
	};
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_NANO, 2000);
	for (size_t i = 0; i < N_OF(paces); i++) {
		tool_run(tool, 0, WORDS(REPLAY, paces[i][0], paces[i][1], trace.path));
		tool_counts(tool, 2000);
		assert_int_equal(tool_number(tool, "paced"), 2000);
		assert_non_null(strstr(tool->said, "\"path\":\"socket\""));
		tool_expect(tool, 0, 2000, 1);
	}
	trace_free(&trace);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* No packet before its time since the start, as the far end stamped them. */
static void times(void **state)
{
	static const uint64_t gaps[] = { 0, 20000, 500000, 1000, 0, 3000000, 70000 };
	enum { N = 400 };
	struct tool *tool = of(state);
	uint8_t frame[TOOL_LONGEST];
	uint64_t due[N], at = 0, start;
	struct npf_packet packet;
	struct trace trace;
	size_t seen = 0;

	trace_begin(&trace, TRACE_NANO, 1);
	for (uint32_t i = 0; i < N; i++) {
		at += i ? gaps[i % N_OF(gaps)] : 0;
		due[i] = at;
		tool_frame(i, frame, tool_size(i));
		trace_put(&trace, 5000 + at, frame, tool_size(i), tool_size(i));
	}
	trace_ready(&trace);
	start = read_clock(CLOCK_REALTIME);
	tool_run(tool, 0, WORDS(REPLAY, trace.path));
	tool_counts(tool, N);
	TOOL_UNTIL(tool_received(tool) >= N);
	while (npf_batch_begin(tool->far) > 0) {
		for (; npf_batch_next(tool->far, &packet); seen++) {
			tool_frame((uint32_t)seen, frame, tool_size((uint32_t)seen));
			assert_int_equal(packet.len, tool_size((uint32_t)seen));
			assert_memory_equal(packet.data, frame, packet.len);
			assert_true(packet.time >= start + due[seen]);
		}
		npf_batch_end(tool->far);
	}
	assert_int_equal(seen, N);
	trace_free(&trace);
}

static void backwards(void **state)
{
	static const uint64_t times[] = { 5000, 9000, 2000, 9500, 9400 };
	struct tool *tool = of(state);
	uint8_t frame[TOOL_LONGEST];
	struct trace trace;

	trace_begin(&trace, TRACE_NANO, 1);
	for (uint32_t i = 0; i < N_OF(times); i++) {
		tool_frame(i, frame, tool_size(i));
		trace_put(&trace, times[i], frame, tool_size(i), tool_size(i));
	}
	trace_ready(&trace);
	tool_run(tool, 0, WORDS(REPLAY, trace.path));
	tool_counts(tool, N_OF(times));
	assert_int_equal(tool_number(tool, "backwards"), 2);
	tool_expect(tool, 0, N_OF(times), 1);
	trace_free(&trace);
}

static void put_timeless(struct trace *trace, uint32_t n)
{
	const uint32_t size = tool_size(n), padded = (size + 3) & ~3u;
	const uint32_t head[] = { 3, 16 + padded, size };
	uint8_t frame[TOOL_LONGEST + 3] = { 0 };

	tool_frame(n, frame, size);
	put_words(trace, head, N_OF(head));
	assert_int_equal(fwrite(frame, 1, padded, trace->file), padded);
	put_words(trace, &head[1], 1);
}

/* Simple packet blocks of pcapng: none of them waits, and none makes others wait, for 1970. */
static void packets_without_a_time(void **state)
{
	static const char *const keep[] = { "--multiplier=1", "--preload" };
	struct tool *tool = of(state);
	struct trace trace;

	trace_begin(&trace, TRACE_NG, 1);
	put_timeless(&trace, 0);
	put_timeless(&trace, 1);
	trace_frames(&trace, 2, 3);
	put_timeless(&trace, 5);
	trace_frames(&trace, 6, 1);
	trace_ready(&trace);
	for (size_t i = 0; i < N_OF(keep); i++) {
		tool_run(tool, 0, WORDS(REPLAY, keep[i], trace.path, trace.path));
		tool_counts(tool, 14);
		assert_int_equal(tool_number(tool, "backwards"), 0);
		tool_expect(tool, 0, 7, 1);
		tool_expect(tool, 0, 7, 1);
	}
	tool_expect_no_more(tool);
	trace_free(&trace);
}

/* ---- what is left out ------------------------------------------------------------------------- */

static void odd_packets(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[4000], got[65536];
	struct trace trace;
	uint32_t size;

	trace_begin(&trace, TRACE_MICRO, 1);
	tool_frame(0, frame, sizeof(frame));
	trace_put(&trace, 1000, frame, 100, 1000); /* cut */
	trace_put(&trace, 2000, frame, 2000, 2000);
	trace_put(&trace, 3000, frame, 13, 13);
	trace_put(&trace, 4000, frame, 0, 0);
	trace_put(&trace, 5000, frame, 60, 60);
	trace_ready(&trace);

	tool_run(tool, 0, WORDS(REPLAY, trace.path));
	tool_counts(tool, 1);
	assert_int_equal(tool_number(tool, "cut"), 1);
	assert_int_equal(tool_number(tool, "longer"), 1);
	assert_int_equal(tool_number(tool, "shorter"), 2);
	TOOL_UNTIL(tool_received(tool) >= 1);
	assert_true(tool_next(tool, got, &size));
	assert_int_equal(size, 60);
	assert_memory_equal(got, frame, 60);

	tool_run(tool, 0, WORDS(REPLAY, "--cut", trace.path));
	tool_counts(tool, 2);
	TOOL_UNTIL(tool_received(tool) >= 3);
	assert_true(tool_next(tool, got, &size));
	assert_int_equal(size, 100);
	assert_memory_equal(got, frame, 100);
	assert_true(tool_next(tool, got, &size));
	tool_expect_no_more(tool);
	trace_free(&trace);
}

/* In every round, whether the file is read again or kept in memory. */
static void left_out_of_every_round(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[2000];
	struct trace trace;

	trace_begin(&trace, TRACE_MICRO, 1);
	tool_frame(0, frame, sizeof(frame));
	trace_put(&trace, 1000, frame, 100, 1000); /* cut */
	trace_put(&trace, 2000, frame, 2000, 2000);
	trace_put(&trace, 3000, frame, 13, 13);
	trace_frames(&trace, 0, 2);
	trace_ready(&trace);
	tool_run(tool, 0,
		 WORDS(REPLAY, "-t", "-l", "3", trace.path, "--", "len", "<", "18", "or",
		       "ether[17]", "!=", "1"));
	tool_counts(tool, 3);
	assert_int_equal(tool_number(tool, "cut"), 3);
	assert_int_equal(tool_number(tool, "longer"), 3);
	assert_int_equal(tool_number(tool, "shorter"), 3);
	assert_int_equal(tool_number(tool, "filtered"), 3);
	/* The third round never begins. */
	tool_run(tool, 0, WORDS(REPLAY, "-t", "-l", "0", "-L", "4", trace.path));
	tool_counts(tool, 4);
	assert_int_equal(tool_number(tool, "cut"), 2);
	trace_free(&trace);
}

static void link_types(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	trace_begin(&trace, TRACE_MICRO, 101);
	trace_frames(&trace, 0, 5);
	trace_ready(&trace);
	tool_run(tool, 2, WORDS(REPLAY, trace.path));
	tool_assert_complains(tool, "raw IP");
	tool_run(tool, 0, WORDS(REPLAY, "--force", trace.path));
	tool_counts(tool, 5);
	tool_expect(tool, 0, 5, 1);
	tool_expect_no_more(tool);
	trace_free(&trace);
}

/* Whatever their snap lengths are, packets of the adapter's link type go, and a filter need make
 * sense for these alone. */
static void interfaces_of_pcapng(void **state)
{
	static const uint32_t short_one[] = { 1, 20, 1, 40, 20 };
	struct tool *tool = of(state);
	struct trace trace;

	trace_begin(&trace, TRACE_NG, 1);
	trace_frames(&trace, 0, 10);
	put_interface(&trace, 101);
	put_words(&trace, short_one, N_OF(short_one));
	trace.interface = 2;
	trace_frames(&trace, 10, 10);
	trace.interface = 1;
	trace_frames(&trace, 20, 5);
	trace_ready(&trace);
	tool_run(tool, 0, WORDS(REPLAY, "-t", trace.path));
	tool_counts(tool, 20);
	assert_int_equal(tool_number(tool, "other_link"), 5);
	tool_expect(tool, 0, 20, 1);

	tool_run(tool, 0,
		 WORDS(REPLAY, "-t", trace.path, "--", "ether[17]", "&", "1", "=", "1", "or", "arp",
		       "or", "vlan"));
	tool_counts(tool, 10);
	assert_int_equal(tool_number(tool, "other_link"), 5);
	assert_int_equal(tool_number(tool, "filtered"), 10);
	tool_expect(tool, 1, 10, 2);

	tool_run(tool, 0, WORDS(REPLAY, "-t", "--force", trace.path));
	tool_counts(tool, 25);
	tool_expect(tool, 0, 25, 1);
	tool_run(tool, 2,
		 WORDS(REPLAY, "-t", "--force", trace.path, "--", "not", "arp", "or", "vlan"));
	tool_assert_complains(tool, "packets of link type 101 (raw IP): ");
	tool_expect(tool, 0, 20, 1);
	tool_expect_no_more(tool);
	trace_free(&trace);
}

/* ---- early ends -------------------------------------------------------------------------------- */

static void damaged_files(void **state)
{
	static const char *const keep[] = { "-t", "-K" };
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_MICRO, 40000);
	assert_int_equal(ftruncate(fileno(trace.file), ftell(trace.file) - 5), 0);
	for (size_t i = 0; i < N_OF(keep); i++) {
		tool_run(tool, 8, WORDS(REPLAY, keep[i], "-l", i ? "5" : "1", trace.path));
		tool_counts(tool, 39999);
		tool_assert_complains(tool, "cut short after packet 39999");
		tool_assert_complains(tool, "39999 packets before it went");
		assert_non_null(strstr(tool->said, "cut short"));
		tool_expect(tool, 0, 39999, 1);
	}
	tool_expect_no_more(tool);
	trace_free(&trace);
}

/* Of a file that is small: all of it is unpacked at once. */
static void damaged_packed_file(void **state)
{
	static const uint8_t zeros[512];
	struct tool *tool = of(state);
	struct trace trace, packed;
	uint8_t bytes[200000], checksum;
	size_t n;
	gzFile gzip;

	trace_make(&trace, TRACE_MICRO, 100);
	n = (size_t)pread(fileno(trace.file), bytes, sizeof(bytes), 0);
	trace_begin(&packed, TRACE_MICRO, 1);
	trace_ready(&packed);
	assert_int_equal(ftruncate(fileno(packed.file), 0), 0);
	rewind(packed.file);
	gzip = gzdopen(dup(fileno(packed.file)), "w");
	assert_non_null(gzip);
	assert_int_equal(gzwrite(gzip, bytes, (unsigned int)n), n);
	assert_int_equal(gzclose(gzip), Z_OK);
	n = (size_t)lseek(fileno(packed.file), 0, SEEK_END);

	assert_int_equal(write(fileno(packed.file), zeros, sizeof(zeros)), sizeof(zeros));
	tool_run(tool, 0, WORDS(REPLAY, packed.path));
	tool_counts(tool, 100);
	tool_expect(tool, 0, 100, 1);

	assert_int_equal(pread(fileno(packed.file), &checksum, 1, (off_t)n - 8), 1);
	checksum ^= 1;
	assert_int_equal(pwrite(fileno(packed.file), &checksum, 1, (off_t)n - 8), 1);
	tool_run(tool, 8, WORDS(REPLAY, packed.path));
	tool_counts(tool, 100);
	tool_assert_complains(tool, "the gzip data is damaged; 100 packets before it went");
	tool_expect(tool, 0, 100, 1);
	tool_expect_no_more(tool);
	trace_free(&packed);
	trace_free(&trace);
}

static void no_trace_at_all(void **state)
{
	struct tool *tool = of(state);
	struct trace trace, other;

	trace_make(&trace, TRACE_MICRO, 10);
	trace_begin(&other, TRACE_MICRO, 1);
	trace_ready(&other);
	char path[300];

	/* Of a long path the end is told. */
	snprintf(path, sizeof(path), "/%0200d/nowhere.pcap", 0);
	tool_run(tool, 1, WORDS(REPLAY, path));
	tool_assert_complains(tool, "0/nowhere.pcap: No such file");

	/* Nothing goes when one of several cannot be read. */
	tool_run(tool, 1, WORDS(REPLAY, trace.path, "/nowhere.pcap"));
	tool_assert_complains(tool, "/nowhere.pcap");
	assert_int_equal(ftruncate(fileno(other.file), 10), 0);
	tool_run(tool, 9, WORDS(REPLAY, trace.path, other.path));
	tool_expect_no_more(tool);
	trace_free(&other);
	/* A file without packets is no failure. */
	trace_begin(&other, TRACE_NANO, 1);
	trace_ready(&other);
	tool_run(tool, 0, WORDS(REPLAY, "-l", "0", other.path));
	tool_counts(tool, 0);
	trace_free(&other);
	trace_free(&trace);
}

/* Interrupted, it has sent what it says, to the packet. */
static void interrupted(void **state)
{
	static const struct {
		const char *pace[2];
		int code; /* 5: there was more to send; 0: there is no end */
	} cases[] = {
		{ { "--pps", "5000" }, 10 },
		{ { "-t", "-l0" }, 0 },
		{ { "-x", "0.00001" }, 10 }, /* 100 ms between packets */
	};
	struct tool *tool = of(state);
	struct trace trace;
	uint64_t sent;

	trace_make(&trace, TRACE_MICRO, 50000);
	for (size_t i = 0; i < N_OF(cases); i++) {
		uint64_t before = tool_received(tool);

		tool_start(tool, false,
			   WORDS(REPLAY, cases[i].pace[0], cases[i].pace[1], "--path", "socket",
				 trace.path));
		TOOL_UNTIL(tool_received(tool) > before + 3);
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), cases[i].code);
		sent = tool_number(tool, "handed");
		tool_counts(tool, sent);
		assert_non_null(strstr(tool->said, "\"stopped\":true"));
		for (uint64_t left = sent; left; left -= left < 50000 ? left : 50000)
			tool_expect(tool, 0, left < 50000 ? (uint32_t)left : 50000, 1);
		tool_expect_no_more(tool);
	}
	trace_free(&trace);
}

/* Who reads the summary is told, unless a signal is the only end that there is. */
static void interrupted_before_people(void **state)
{
	static const char *const rounds[] = { "-l1", "-l0" };
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_MICRO, 50000);
	for (size_t i = 0; i < N_OF(rounds); i++) {
		uint64_t before = tool_received(tool);

		tool_start(tool, false,
			   WORDS("replay", "-i", "va", "--pps", "10", rounds[i], trace.path));
		TOOL_UNTIL(tool_received(tool) > before);
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), i ? 0 : 10);
		assert_int_equal(!strstr(tool->said, "\nstopped by a signal before the end\n"), i);
	}
	trace_free(&trace);
}

static void put_frames(int fd, uint32_t first, uint32_t n)
{
	struct trace trace = { .format = TRACE_MICRO, .file = fdopen(dup(fd), "w") };

	assert_non_null(trace.file);
	trace_frames(&trace, first, n);
	assert_int_equal(fclose(trace.file), 0);
}

static int bytes_in(int pipe)
{
	int n;

	assert_int_equal(ioctl(pipe, FIONREAD, &n), 0);
	return n;
}

/* A pipe that is slower than the sender: what is there goes at once, and nothing waits for more. */
static void standard_input(void **state)
{
	struct tool *tool = of(state);
	const uint32_t header[] = { 0xA1B2C3D4, 2 | 4u << 16, 0, 0, 65535, 1 };
	int in;

	tool_start(tool, true, WORDS(REPLAY, "-t", "-"));
	assert_int_equal(write(tool->in, header, sizeof(header)), sizeof(header));
	put_frames(tool->in, 0, 3);
	tool_expect(tool, 0, 3, 1);
	put_frames(tool->in, 3, 1);
	tool_expect(tool, 3, 1, 1);
	put_frames(tool->in, 4, 5000);
	assert_int_equal(tool_wait(tool), 0);
	tool_counts(tool, 5004);
	tool_expect(tool, 4, 5000, 1);

	/* Interrupted while nothing comes: the pipe stays open, its end would be the file's. */
	tool_start(tool, true, WORDS(REPLAY, "-"));
	assert_int_equal(write(tool->in, header, sizeof(header)), sizeof(header));
	put_frames(tool->in, 0, 3);
	tool_expect(tool, 0, 3, 1);
	in = tool->in;
	tool->in = -1;
	kill(tool->pid, SIGINT);
	assert_int_equal(tool_wait(tool), 10);
	close(in);
	tool_counts(tool, 3);
	tool_expect_no_more(tool);

	/* The same where all of it would be read first, within the header and behind it. */
	for (size_t given = 3; given <= sizeof(header); given += sizeof(header) - 3) {
		tool_start(tool, true, WORDS(REPLAY, "-K", "-"));
		assert_int_equal(write(tool->in, header, given), given);
		TOOL_UNTIL(!bytes_in(tool->in));
		in = tool->in;
		tool->in = -1;
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), 10);
		close(in);
		tool_counts(tool, 0);
		assert_non_null(strstr(tool->said, "\"stopped\":true"));
	}

	tool_run(tool, 2, WORDS(REPLAY, "-l", "2", "-"));
	tool_assert_complains(tool, "--preload");
}

/* What comes late through a pipe takes the time of who writes it, not of sending: none went before this
 * test wrote the first, long after the file had begun. */
static void waits_for_the_first_packet_do_not_count(void **state)
{
	static const char *const paces[] = { "--topspeed", "--pps=1000" };
	const uint32_t header[] = { 0xA1B2C3D4, 2 | 4u << 16, 0, 0, 65535, 1 };
	struct tool *tool = of(state);
	int unread;

	for (size_t i = 0; i < N_OF(paces); i++) {
		uint64_t start;

		tool_start(tool, true, WORDS(REPLAY, paces[i], "-"));
		assert_int_equal(write(tool->in, header, sizeof(header)), sizeof(header));
		TOOL_UNTIL(!ioctl(tool->in, FIONREAD, &unread) && !unread);
		start = read_clock(CLOCK_MONOTONIC);
		TOOL_UNTIL(read_clock(CLOCK_MONOTONIC) - start >= 700000000);
		start = read_clock(CLOCK_MONOTONIC);
		put_frames(tool->in, 0, 10);
		assert_int_equal(tool_wait(tool), 0);
		tool_counts(tool, 10);
		/* 10 packets have 9 gaps between them, and one more was added. */
		assert_true(tool_real(tool, "seconds") * 0.9 * 1e9 <=
			    (double)(read_clock(CLOCK_MONOTONIC) - start));
		assert_true(tool_real(tool, "seconds") > 0);
		tool_expect(tool, 0, 10, 1);
	}
}

static void device_down(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_MICRO, 10);
	net_run(&tool->net, NET_HERE, "ip link set va down");
	tool_run(tool, 1, WORDS(REPLAY, trace.path));
	tool_assert_complains(tool, "down");
	tool_counts(tool, 0);
	net_run(&tool->net, NET_HERE, "ip link set va up");
	tool_run(tool, 4, WORDS("replay", "-i", "nosuch", trace.path));
	tool_expect_no_more(tool);
	trace_free(&trace);
}

static void device_vanishes(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;
	uint64_t sent;

	trace_make(&trace, TRACE_MICRO, 50000);
	tool_start(tool, false, WORDS(REPLAY, "--pps", "5000", trace.path));
	TOOL_UNTIL(tool_received(tool) >= 100);
	net_run(&tool->net, NET_HERE, "ip link delete va");
	assert_int_equal(tool_wait(tool), 7);
	sent = tool_number(tool, "handed");
	assert_true(sent >= 100 && sent < 50000);
	tool_expect(tool, 0, (uint32_t)tool_received(tool), 1);
	/* Those on their way while the device goes may be lost. */
	assert_true(tool->taken <= sent);
	assert_int_equal(tool_number(tool, "asked"), sent + 1);
	assert_int_equal(tool_number(tool, "failed"), 1);
	assert_int_equal(tool_number(tool, "adapter gone"), 1);
	trace_free(&trace);
}

/* An hour before the next packet is due. */
static void device_vanishes_in_a_gap(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[TOOL_LONGEST];
	struct trace trace;

	trace_begin(&trace, TRACE_MICRO, 1);
	for (uint32_t i = 0; i < 2; i++) {
		tool_frame(i, frame, tool_size(i));
		trace_put(&trace, i * UINT64_C(3600000000000), frame, tool_size(i), tool_size(i));
	}
	trace_ready(&trace);
	tool_start(tool, false, WORDS(REPLAY, trace.path));
	tool_expect_gone_after_one(tool, 1);
	trace_free(&trace);
}

/* Before who writes it comes to the next packet. */
static void device_vanishes_while_the_input_stalls(void **state)
{
	static const char *const paces[] = { "--topspeed", "--multiplier=1" };
	const uint32_t header[] = { 0xA1B2C3D4, 2 | 4u << 16, 0, 0, 65535, 1 };
	struct tool *tool = of(state);

	for (size_t i = 0; i < N_OF(paces); i++) {
		tool_start(tool, true, WORDS(REPLAY, paces[i], "-"));
		assert_int_equal(write(tool->in, header, sizeof(header)), sizeof(header));
		put_frames(tool->in, 0, 1);
		tool_expect_gone_after_one(tool, 1);
		if (i + 1 < N_OF(paces)) {
			tool_teardown(state);
			tool_setup(state);
			tool = of(state);
		}
	}
}

/* Has npf opened it? */
static bool has_open(struct tool *tool, const char *path)
{
	struct stat wanted, here;
	struct dirent *entry;
	bool found = false;
	char name[64];
	DIR *folder;

	assert_int_equal(stat(path, &wanted), 0);
	snprintf(name, sizeof(name), "/proc/%d/fd", (int)tool->pid);
	folder = opendir(name);
	while (folder && !found && (entry = readdir(folder)))
		found = !fstatat(dirfd(folder), entry->d_name, &here, 0) &&
			here.st_dev == wanted.st_dev && here.st_ino == wanted.st_ino;
	if (folder)
		closedir(folder);
	return found;
}

/* A FIFO without a writer: what stood before it has gone, and both ends are noticed. */
static void nobody_writes_the_fifo(void **state)
{
	static const char *const keep[] = { "--topspeed", "--preload" };
	char folder[] = "/tmp/npf-replay-XXXXXX", fifo[64];
	struct tool *tool = of(state);
	struct trace trace;

	assert_non_null(mkdtemp(folder));
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	trace_make(&trace, TRACE_MICRO, 3);
	for (size_t i = 0; i < N_OF(keep); i++) {
		tool_start(tool, false, WORDS(REPLAY, keep[i], trace.path, fifo));
		TOOL_UNTIL(has_open(tool, fifo));
		if (!i)
			tool_expect(tool, 0, 3, 1);
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), 10);
		tool_counts(tool, i ? 0 : 3);
		assert_non_null(strstr(tool->said, "\"stopped\":true"));
		assert_string_equal(tool->complained, "");
	}
	for (size_t i = 0; i < N_OF(keep); i++) {
		tool_teardown(state);
		tool_setup(state);
		tool = of(state);
		tool_start(tool, false, WORDS(REPLAY, keep[i], fifo));
		TOOL_UNTIL(has_open(tool, fifo));
		net_run(&tool->net, NET_HERE, "ip link delete va");
		tool_await_end(tool);
		assert_int_equal(tool_wait(tool), 7);
		tool_assert_complains(tool, "has gone");
		assert_int_equal(tool_number(tool, "handed"), 0);
	}
	unlink(fifo);
	rmdir(folder);
	trace_free(&trace);
}

/* Which faster path there might have been is of no interest then, nor can it be asked. */
static void device_vanishes_at_top_speed(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	/* Or the fastest of all would be taken. */
	net_offload(&tool->net, NET_THERE, "vb", ETHTOOL_SGRO, false);
	trace_make(&trace, TRACE_MICRO, 5000);
	tool_start(tool, false, WORDS("replay", "-i", "va", "-t", "-l", "0", trace.path));
	TOOL_UNTIL(tool_received(tool) >= 100000);
	net_run(&tool->net, NET_HERE, "ip link delete va");
	assert_int_equal(tool_wait(tool), 7);
	tool_assert_complains(tool, "has gone");
	assert_non_null(strstr(tool->said, "path "));
	assert_null(strstr(tool->said, "    not "));
	trace_free(&trace);
}

/* ---- the command line ---------------------------------------------------------------------- */

static void mistakes(void **state)
{
	static const char *const bad[][8] = {
		{ "replay" },
		{ "replay", "-i", "va" },
		{ "replay", "a.pcap" },
		{ "replay", "-i", "va", "--nonsense", "a.pcap" },
		{ "replay", "-i", "va", "-t", "--pps", "5", "a.pcap" },
		{ "replay", "-i", "va", "--pps", "0", "a.pcap" },
		{ "replay", "-i", "va", "--pps", "x", "a.pcap" },
		{ "replay", "-i", "va", "--mbps", "2000000", "a.pcap" },
		{ "replay", "-i", "va", "-x", "-1", "a.pcap" },
		{ "replay", "-i", "va", "-l", "x", "a.pcap" },
		{ "replay", "-i", "va", "-L", "0", "a.pcap" },
		{ "replay", "-i", "va", "--path", "pigeon", "a.pcap" },
		{ "replay", "-i", "va", "--late", "soon", "a.pcap" },
	};
	struct tool *tool = of(state);

	for (size_t i = 0; i < N_OF(bad); i++) {
		tool_run(tool, 2, bad[i]);
		tool_assert_complains(tool, "try 'npf help replay'");
		assert_string_equal(tool->said, "");
	}
	tool_run(tool, 2, WORDS("replay", "-i", "va", "-M", "10M", "a.pcap"));
	tool_assert_complains(tool, "'10M': not a number above 0, such as 2.5 or 10k, up to 1M");
}

static void summary_for_people(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_MICRO, 10);
	tool_run(tool, 0, WORDS("replay", "-i", "va", "--late", "2", trace.path));
	assert_non_null(strstr(tool->said, "10 packets asked\n10 packets handed over\n"
					   "10 packets confirmed by the adapter\n"
					   "0 packets failed\n"));
	assert_non_null(strstr(tool->said, "late: half of them"));
	assert_non_null(strstr(tool->said, "more than 2.00 s\n"));
	assert_null(strstr(tool->said, "stopped"));
	assert_string_equal(tool->complained, "");
	trace_free(&trace);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tool_setup, tool_teardown)
	const struct CMUnitTest tests[] = {
		TEST(counts_of_all_kinds),
		TEST(formats),
		TEST(several_files),
		TEST(filters),
		TEST(rounds_and_limits),
		TEST(passes_through_a_large_file),
		TEST(every_pace),
		TEST(backwards),
		TEST(packets_without_a_time),
		TEST(times),
		TEST(odd_packets),
		TEST(left_out_of_every_round),
		TEST(link_types),
		TEST(interfaces_of_pcapng),
		TEST(damaged_files),
		TEST(damaged_packed_file),
		TEST(no_trace_at_all),
		TEST(interrupted),
		TEST(interrupted_before_people),
		TEST(standard_input),
		TEST(waits_for_the_first_packet_do_not_count),
		TEST(device_down),
		TEST(device_vanishes),
		TEST(device_vanishes_in_a_gap),
		TEST(device_vanishes_while_the_input_stalls),
		TEST(nobody_writes_the_fifo),
		TEST(device_vanishes_at_top_speed),
		TEST(mistakes),
		TEST(summary_for_people),
	};

	tool_require(argc, argv);
	return cmocka_run_group_tests_name("npf replay", tests, NULL, NULL);
}
