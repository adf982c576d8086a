/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf replay on real interfaces: what a file holds arrives, byte by byte, in order, as often as
 * was asked and never more. What ends it early is in tool_replay_ends.c.
 */
#include "netns/tool.h"

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
	tool_run(tool, 0, WORDS(REPLAY, "-t", "-l", "0.3k", trace.path));
	tool_counts(tool, 30000);
	for (int pass = 0; pass < 300; pass++)
		tool_expect(tool, 0, 100, 1);
	tool_run(tool, 0, WORDS(REPLAY, "-l", "forever", "-L", "0.25k", trace.path));
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
	start = tool_ns(CLOCK_REALTIME);
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
		{ "replay", "-i", "va", "-l", "", "a.pcap" },
		{ "replay", "-i", "va", "-l", "99999999999G", "a.pcap" },
		{ "replay", "-i", "va", "-L", "0", "a.pcap" },
		{ "replay", "-i", "va", "-L", "0.0001k", "a.pcap" },
		{ "replay", "-i", "va", "--path", "pigeon", "a.pcap" },
		{ "replay", "-i", "va", "--duration", "0s", "a.pcap" },
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
		TEST(mistakes),
		TEST(summary_for_people),
	};

	tool_require(argc, argv);
	return cmocka_run_group_tests_name("npf replay", tests, NULL, NULL);
}
