/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf replay on real interfaces: whatever ends it early, a damage, a signal, the input or the adapter, the
 * counts are what the far end has seen.
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
		tool_assert_complains(tool, "39999 packets went before");
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
	tool_assert_complains(tool, "the gzip data is damaged; 100 packets went before");
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
	assert_string_equal(tool->said, "");
	tool_run(tool, 1, WORDS(REPLAY, trace.path, "/"));
	tool_assert_complains(tool, "replay: /: Is a directory\n");
	assert_string_equal(tool->said, "");
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

/* However it goes, and whether packets wait in the file or it for packets: after its time all is done. */
static void for_so_long(void **state)
{
	static const uint32_t header[] = { 0xA1B2C3D4, 2 | 4u << 16, 0, 0, 65535, 1 };
	static const char *const ways[][3] = { { "-t", "-l0", "20ms" },
					       { "-x", "0.00001", "250ms" }, /* 100 ms apart */
					       { "-K", "-l0", "20ms" } };
	struct tool *tool = of(state);
	struct trace trace;
	uint64_t sent;
	int in;

	trace_make(&trace, TRACE_MICRO, 50000);
	for (size_t i = 0; i < N_OF(ways); i++) {
		tool_run(tool, 0,
			 WORDS(REPLAY, ways[i][0], ways[i][1], "--path", "socket", "--duration",
			       ways[i][2], trace.path));
		sent = tool_number(tool, "handed");
		assert_true(i != 1 || sent <= 3);
		tool_counts(tool, sent);
		assert_int_equal(tool_number(tool, "asked"), sent);
		assert_non_null(strstr(tool->said, "\"stopped\":false,\"error\":null"));
		for (uint64_t left = sent; left; left -= left < 50000 ? left : 50000)
			tool_expect(tool, 0, left < 50000 ? (uint32_t)left : 50000, 1);
		tool_expect_no_more(tool);
	}
	trace_free(&trace);

	tool_start(tool, true, WORDS(REPLAY, "--duration", "10ms", "-"));
	assert_int_equal(write(tool->in, header, sizeof(header)), sizeof(header));
	put_frames(tool->in, 0, 1);
	in = tool->in;
	tool->in = -1;
	tool_await_end(tool);
	assert_int_equal(tool_wait(tool), 0);
	close(in);
	assert_in_range(tool_number(tool, "asked"), 0, 1);
	tool_counts(tool, tool_number(tool, "asked"));
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
		start = tool_ns(CLOCK_MONOTONIC);
		TOOL_UNTIL(tool_ns(CLOCK_MONOTONIC) - start >= 700000000);
		start = tool_ns(CLOCK_MONOTONIC);
		put_frames(tool->in, 0, 10);
		assert_int_equal(tool_wait(tool), 0);
		tool_counts(tool, 10);
		/* 10 packets have 9 gaps between them, and one more was added. */
		assert_true(tool_real(tool, "seconds") * 0.9 * 1e9 <=
			    (double)(tool_ns(CLOCK_MONOTONIC) - start));
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

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tool_setup, tool_teardown)
	const struct CMUnitTest tests[] = {
		TEST(damaged_files),
		TEST(damaged_packed_file),
		TEST(no_trace_at_all),
		TEST(interrupted),
		TEST(for_so_long),
		TEST(interrupted_before_people),
		TEST(standard_input),
		TEST(waits_for_the_first_packet_do_not_count),
		TEST(device_down),
		TEST(device_vanishes),
		TEST(device_vanishes_in_a_gap),
		TEST(device_vanishes_while_the_input_stalls),
		TEST(nobody_writes_the_fifo),
		TEST(device_vanishes_at_top_speed),
	};

	tool_require(argc, argv);
	return cmocka_run_group_tests_name("npf replay, ended early", tests, NULL, NULL);
}
