/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf send on real interfaces: one frame or the frames of a template, as many as were asked, and
 * as the far end sees them.
 */
#include "netns/tool.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SEND "send", "-i", "va", "--json"
/* Frame 7 of tool.h is 60 bytes; a short one by hand: vb's and va's address, our type, its number. */
#define HEX "02000000000b 02:00:00:00:00:0a 88b5 00000007"

static struct tool *of(void **state)
{
	return *state;
}

static void expect_copies(struct tool *tool, const uint8_t *frame, uint32_t size, uint64_t n)
{
	struct npf_packet packet;
	uint64_t seen = 0;

	TOOL_UNTIL(tool_received(tool) >= tool->taken + n);
	while (npf_batch_begin(tool->far) > 0) {
		for (; npf_batch_next(tool->far, &packet); seen++) {
			assert_int_equal(packet.len, size);
			assert_memory_equal(packet.data, frame, size);
		}
		npf_batch_end(tool->far);
	}
	assert_int_equal(seen, n);
	tool->taken += n;
	tool_expect_no_more(tool);
}

/* What HEX says. */
static void hex_frame(uint8_t frame[18])
{
	static const uint8_t number[] = { NET_ETHERTYPE >> 8, NET_ETHERTYPE & 0xFF, 0, 0, 0, 7 };

	memcpy(frame, net_vb_address, 6);
	memcpy(frame + 6, net_va_address, 6);
	memcpy(frame + 12, number, 6);
}

static void repeats(void **state)
{
	static const struct {
		const char *text;
		uint64_t n;
	} counts[] = { { "1", 1 }, { "2", 2 }, { "1.5k", 1500 }, { "0.2M", 200000 } };
	static const char *const paths[] = { "auto", "socket", "clone" };
	struct tool *tool = of(state);
	uint8_t frame[18];

	hex_frame(frame);
	for (size_t i = 0; i < N_OF(counts); i++) {
		for (size_t p = 0; p < N_OF(paths); p++) {
			tool_run(tool, 0,
				 WORDS(SEND, "--hex", HEX, "-n", counts[i].text, "--path",
				       paths[p]));
			assert_int_equal(tool_number(tool, "asked"), counts[i].n);
			tool_counts(tool, counts[i].n);
			expect_copies(tool, frame, 18, counts[i].n);
		}
	}
}

static void rate(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[18];

	hex_frame(frame);
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "3000", "--rate", "20kpps"));
	tool_counts(tool, 3000);
	assert_int_equal(tool_number(tool, "paced"), 3000);
	expect_copies(tool, frame, 18, 3000);

	/* A number alone is seconds. */
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "--rate", "1000", "--late", "2"));
	assert_int_equal(tool_number(tool, "limit_ns"), UINT64_C(2000000000));
	expect_copies(tool, frame, 18, 1);
}

/* The last packet's gap belongs to the time as the others do: so none goes faster than asked, however few
 * there are, for no packet leaves before its time. One alone has no rate. */
static void rates_of_a_few(void **state)
{
	static const struct {
		const char *rate, *count;
		double seconds;
		uint64_t n;
	} cases[] = { { "10", "2", 0.2, 2 }, { "720bps", "2", 0.4, 2 }, { "100", "3", 0.03, 3 } };
	struct tool *tool = of(state);
	uint8_t frame[18];

	hex_frame(frame);
	for (size_t i = 0; i < N_OF(cases); i++) {
		double seconds, pps, n = (double)cases[i].n;

		tool_run(tool, 0,
			 WORDS(SEND, "--hex", HEX, "--rate", cases[i].rate, "-n", cases[i].count));
		seconds = tool_real(tool, "seconds");
		pps = tool_real(tool, "packets_per_second");
		assert_true(seconds >= cases[i].seconds);
		assert_true(pps > 0 && pps <= n / cases[i].seconds);
		assert_true(pps * seconds > 0.999 * n && pps * seconds < 1.001 * n);
		assert_true(tool_real(tool, "bits_per_second") <= n * 144 / cases[i].seconds);
		expect_copies(tool, frame, 18, cases[i].n);
	}
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "--rate", "10"));
	assert_true(tool_real(tool, "packets_per_second") == 0);
	tool_run(tool, 0, WORDS("send", "-i", "va", "--hex", HEX, "--rate", "10"));
	assert_non_null(strstr(tool->said, "\npath socket, as all timed packets\n"));
	/* Microseconds show. */
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX));
	assert_true(tool_real(tool, "seconds") > 0);
	expect_copies(tool, frame, 18, 3);
}

/* Asked for, a path is taken for packets with times, too, and not because all take it. */
static void timed_packets_on_another_path(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[18];

	hex_frame(frame);
	tool_run(tool, 0,
		 WORDS("send", "-i", "va", "--hex", HEX, "--rate", "1000", "-n", "5", "--path",
		       "clone"));
	assert_non_null(strstr(tool->said, ", path clone\n"));
	tool_run(tool, 0,
		 WORDS("send", "-i", "va", "--hex", HEX, "--rate", "1000", "-n", "5",
		       "--no-loopback"));
	assert_non_null(strstr(tool->said, ", path socket, as all timed packets\n"));
	expect_copies(tool, frame, 18, 10);
}

static void files(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[TOOL_LONGEST];
	struct trace trace;

	for (int format = TRACE_MICRO; format <= TRACE_NG; format++) {
		trace_make(&trace, (enum trace_format)format, 3);
		tool_run(tool, 0, WORDS(SEND, "--file", trace.path, "-n", "2"));
		tool_counts(tool, 2);
		tool_frame(0, frame, tool_size(0));
		expect_copies(tool, frame, tool_size(0), 2);
		tool->input = open(trace.path, O_RDONLY | O_CLOEXEC);
		assert_true(tool->input > 0);
		tool_run(tool, 0, WORDS(SEND, "--file", "-"));
		expect_copies(tool, frame, tool_size(0), 1);
		close(tool->input);
		tool->input = 0;
		trace_free(&trace);
	}

	/* The bytes themselves. */
	int fd = memfd_create("frame", 0);
	char path[40];

	tool_frame(9, frame, 300);
	assert_int_equal(write(fd, frame, 300), 300);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	tool_run(tool, 0, WORDS(SEND, "--file", path));
	expect_copies(tool, frame, 300, 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	tool->input = fd;
	tool_run(tool, 0, WORDS(SEND, "--file", "-"));
	tool->input = 0;
	expect_copies(tool, frame, 300, 1);
	close(fd);
}

static void put_in(struct tool *tool, const void *bytes, size_t n)
{
	assert_int_equal(write(tool->in, bytes, n), n);
}

static void put_in_and_wait(struct tool *tool, const void *bytes, size_t n)
{
	int unread;

	put_in(tool, bytes, n);
	TOOL_UNTIL(!ioctl(tool->in, FIONREAD, &unread) && !unread);
}

/* A frame may come through a pipe, in pieces. */
static void pipes(void **state)
{
	static const char *const ways[] = { "--raw", "--file" };
	struct tool *tool = of(state);
	uint8_t frame[18];
	int in;

	hex_frame(frame);
	for (size_t i = 0; i < N_OF(ways); i++) {
		tool_start(tool, true, WORDS(SEND, ways[i], "-"));
		put_in_and_wait(tool, frame, 7);
		put_in(tool, frame + 7, 11);
		assert_int_equal(tool_wait(tool), 0);
		expect_copies(tool, frame, 18, 1);
	}

	/* Nothing under /dev opens a socket. */
	for (size_t i = 0; i < N_OF(ways); i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		assert_int_equal(write(ends[0], frame, 18), 18);
		close(ends[0]);
		tool->input = ends[1];
		tool_run(tool, 0, WORDS(SEND, ways[i], "-"));
		tool->input = 0;
		close(ends[1]);
		expect_copies(tool, frame, 18, 1);
	}

	/* It reads, so a signal finds it prepared; the pipe stays open. */
	for (size_t i = 0; i < N_OF(ways); i++) {
		tool_start(tool, true, WORDS(SEND, ways[i], "-"));
		put_in_and_wait(tool, frame, 7);
		in = tool->in;
		tool->in = -1;
		kill(tool->pid, SIGINT);
		tool_await_end(tool);
		assert_int_equal(tool_wait(tool), 10);
		close(in);
	}
	tool_expect_no_more(tool);
}

/* The first packet of a savefile in a pipe goes when it is there: who writes need not end for that, nor be
 * waited for. */
static void savefiles_in_pipes(void **state)
{
	static const uint32_t header[] = { 0xA1B2C3D4, 2 | 4u << 16, 0, 0, 65535, 1 };
	static const uint32_t record[] = { 1, 2, 18, 18 };
	struct tool *tool = of(state);
	char bytes[sizeof(header) + sizeof(record) + 18], path[40];
	uint8_t frame[18];
	int in, fifo;

	hex_frame(frame);
	memcpy(bytes, header, sizeof(header));
	memcpy(bytes + sizeof(header), record, sizeof(record));
	memcpy(bytes + sizeof(bytes) - 18, frame, 18);
	tool_start(tool, true, WORDS(SEND, "--file", "-"));
	put_in_and_wait(tool, bytes, 3);
	put_in_and_wait(tool, bytes + 3, 40);
	put_in(tool, bytes + 43, sizeof(bytes) - 43);
	in = tool->in;
	tool->in = -1;
	tool_await_end(tool);
	assert_int_equal(tool_wait(tool), 0);
	close(in);
	assert_string_equal(tool->complained, "");
	expect_copies(tool, frame, 18, 1);

	/* A FIFO by its name, and a second packet that is there already. */
	snprintf(path, sizeof(path), "/tmp/npf-fifo-%d", (int)getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	fifo = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fifo >= 0);
	unlink(path);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fifo);
	assert_int_equal(write(fifo, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(write(fifo, bytes + sizeof(header), sizeof(record) + 18),
			 sizeof(record) + 18);
	tool_run(tool, 0, WORDS(SEND, "--file", path));
	close(fifo);
	tool_assert_complains(tool, "its first packet is the frame; npf replay sends all of them");
	expect_copies(tool, frame, 18, 1);

	/* No packet, because the file ends, it ends too early, or a signal came. */
	tool_start(tool, true, WORDS(SEND, "--file", "-"));
	put_in(tool, header, sizeof(header));
	assert_int_equal(tool_wait(tool), 1);
	tool_assert_complains(tool, "standard input: there is no packet in it");
	tool_start(tool, true, WORDS(SEND, "--file", "-"));
	put_in(tool, bytes, sizeof(bytes) - 1);
	assert_int_equal(tool_wait(tool), 8);
	for (size_t n = 10; n <= 30; n += 10) {
		tool_start(tool, true, WORDS(SEND, "--file", "-"));
		put_in_and_wait(tool, bytes, n);
		in = tool->in;
		tool->in = -1;
		kill(tool->pid, SIGINT);
		tool_await_end(tool);
		assert_int_equal(tool_wait(tool), 10);
		assert_string_equal(tool->complained, "");
		close(in);
	}
	tool_expect_no_more(tool);
}

static void padding(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[100] = { 0 };

	hex_frame(frame);
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "--pad", "100"));
	expect_copies(tool, frame, 100, 1);
}

/* The counter is the number of the frame, so that order and completeness show. */
static void templates(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[TOOL_LONGEST], wanted[18];
	uint32_t size, sum = 0;

	hex_frame(wanted);
	tool_run(tool, 0,
		 WORDS(SEND, "--hex", HEX, "--pad", "30", "--set", "14:4=counter:0", "--set",
		       "18:1=random", "--set", "19:1=77", "-n", "10000"));
	tool_counts(tool, 10000);
	TOOL_UNTIL(tool_received(tool) >= 10000);
	for (uint32_t i = 0; i < 10000; i++) {
		assert_true(tool_next(tool, frame, &size));
		assert_int_equal(size, 30);
		assert_memory_equal(frame, wanted, 14);
		assert_int_equal((uint32_t)frame[16] << 8 | frame[17], i);
		assert_int_equal(frame[19], 77);
		sum += frame[18];
	}
	/* Of ten thousand random bytes, give or take twenty times what chance does. */
	assert_in_range(sum, 10000 * 127.5 - 150000, 10000 * 127.5 + 150000);
	tool_expect_no_more(tool);
}

/* Each of a million packets is the next, from its first byte to its last. */
static void a_template_a_million_times(void **state)
{
	struct tool *tool = of(state);
	struct npf_packet packet;
	uint8_t wanted[60] = { 0 };
	uint32_t n = 1000000, seen = 0;
	const char *smaller = getenv("NPF_TEST_PACKETS");
	char count[16];

	if (smaller)
		n = (uint32_t)strtoul(smaller, NULL, 10);
	snprintf(count, sizeof(count), "%u", n);
	hex_frame(wanted);
	tool_run(tool, 0,
		 WORDS(SEND, "--hex", HEX, "--pad", "60", "--set", "20:4=counter:0", "-n", count));
	tool_counts(tool, n);
	TOOL_UNTIL(tool_received(tool) >= n);
	while (npf_batch_begin(tool->far) > 0) {
		for (; npf_batch_next(tool->far, &packet); seen++) {
			uint32_t number = htonl(seen);

			memcpy(wanted + 20, &number, sizeof(number));
			assert_int_equal(packet.len, sizeof(wanted));
			assert_memory_equal(packet.data, wanted, sizeof(wanted));
		}
		npf_batch_end(tool->far);
	}
	assert_int_equal(seen, n);
	tool->taken += n;
	tool_expect_no_more(tool);
}

/* UDP over IPv4 with a source address that counts: both checksums hold in each packet. */
static void checksums(void **state)
{
	static const char udp[] =
		"02000000000b02000000000a0800 4500001e0001000040110000c0000201c0000202"
		"0035 0036 000a 0000 1234";
	struct tool *tool = of(state);
	uint8_t frame[TOOL_LONGEST];
	uint32_t size;

	tool_run(tool, 0,
		 WORDS(SEND, "--hex", udp, "--set", "26:4=counter:10.0.0.1", "--checksums", "-n",
		       "1000"));
	TOOL_UNTIL(tool_received(tool) >= 1000);
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t header = 0, udp_sum = 17 + 10;

		assert_true(tool_next(tool, frame, &size));
		for (size_t k = 14; k < 34; k += 2)
			header += (uint32_t)frame[k] << 8 | frame[k + 1];
		for (size_t k = 26; k < 44; k += 2)
			udp_sum += (uint32_t)frame[k] << 8 | frame[k + 1];
		header = (header & 0xFFFF) + (header >> 16);
		udp_sum = (udp_sum & 0xFFFF) + (udp_sum >> 16);
		assert_int_equal((header & 0xFFFF) + (header >> 16), 0xFFFF);
		assert_int_equal((udp_sum & 0xFFFF) + (udp_sum >> 16), 0xFFFF);
	}
}

/* Until Ctrl-C; then what it says is what came. */
static void for_ever(void **state)
{
	static const char *const ways[][2] = {
		{ "--path", "socket" }, { "--path", "clone" },      { "--path", "auto" },
		{ "--rate", "10kpps" }, { "--set", "18:4=random" },
	};
	struct tool *tool = of(state);
	uint64_t before, sent;

	/* Endless at full speed is more than any buffer holds: only counted. */
	assert_int_equal(npf_set_mode(tool->far, NPF_MODE_STAT), 0);
	for (size_t i = 0; i < N_OF(ways); i++) {
		before = tool_received(tool);
		tool_start(tool, false,
			   WORDS(SEND, "--hex", HEX, "--pad", "60", "-n", "forever", ways[i][0],
				 ways[i][1]));
		TOOL_UNTIL(tool_received(tool) >= before + 1000);
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), 0);
		sent = tool_number(tool, "handed");
		tool_counts(tool, sent);
		TOOL_UNTIL(tool_received(tool) >= before + sent);
		assert_int_equal(tool_received(tool), before + sent);
	}
}

/* No longer than was asked, which is no stop: what is left then was not asked for. A slow machine may send
 * less, but no packet of a later time. */
static void for_so_long(void **state)
{
	static const char *const ways[][2] = {
		{ "--path", "socket" },
		{ "--path", "clone" },
		{ "--path", "auto" },
		{ "--set", "18:4=random" },
	};
	static const char *const counts[] = { "forever", "100G" };
	struct tool *tool = of(state);
	uint64_t before, sent;

	assert_int_equal(npf_set_mode(tool->far, NPF_MODE_STAT), 0);
	for (size_t i = 0; i < 2 * N_OF(ways); i++) {
		before = tool_received(tool);
		tool_run(tool, 0,
			 WORDS(SEND, "--hex", HEX, "--pad", "60", "-n", counts[i % 2],
			       ways[i / 2][0], ways[i / 2][1], "--duration", "20ms"));
		sent = tool_number(tool, "handed");
		tool_counts(tool, sent);
		assert_int_equal(tool_number(tool, "asked"), sent);
		assert_non_null(strstr(tool->said, "\"stopped\":false,\"error\":null"));
		assert_string_equal(tool->complained, "");
		TOOL_UNTIL(tool_received(tool) >= before + sent);
		assert_int_equal(tool_received(tool), before + sent);
	}
	/* One at each tenth of a second from the first on. */
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "9", "--rate", "10", "--duration", "0.3"));
	assert_in_range(tool_number(tool, "handed"), 0, 3);
	assert_int_equal(tool_number(tool, "failed"), 0);
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "5", "--duration", "1h"));
	tool_counts(tool, 5);
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "5", "--rate", "1k", "--duration", "1h"));
	tool_counts(tool, 5);
	/* Ctrl-C before it is one. */
	before = tool_received(tool);
	tool_start(tool, false,
		   WORDS(SEND, "--hex", HEX, "-n", "100", "--rate", "1", "--duration", "1h"));
	TOOL_UNTIL(tool_received(tool) > before);
	kill(tool->pid, SIGINT);
	assert_int_equal(tool_wait(tool), 10);
	assert_int_equal(tool_number(tool, "asked"), 100);
}

static void interrupted(void **state)
{
	struct tool *tool = of(state);
	uint64_t sent;
	uint8_t frame[18];

	hex_frame(frame);
	tool_start(tool, false, WORDS(SEND, "--hex", HEX, "-n", "1000000", "--rate", "1kpps"));
	TOOL_UNTIL(tool_received(tool) >= 20);
	kill(tool->pid, SIGTERM);
	assert_int_equal(tool_wait(tool), 10);
	sent = tool_number(tool, "handed");
	tool_counts(tool, sent);
	assert_int_equal(tool_number(tool, "asked"), 1000000);
	assert_int_equal(tool_number(tool, "failed"), 1000000 - sent);
	assert_int_equal(tool_number(tool, "stopped"), 1000000 - sent);
	expect_copies(tool, frame, 18, sent);
}

/* A quarter of an hour before the next is due. */
static void the_adapter_goes_in_a_gap(void **state)
{
	struct tool *tool = of(state);

	tool_start(tool, false, WORDS(SEND, "--hex", HEX, "-n", "5", "--rate", "0.001pps"));
	tool_expect_gone_after_one(tool, 4);
}

/* By each way the text, the exit code and the account agree: it has gone, though it was down before. */
static void the_adapter_goes_at_full_speed(void **state)
{
	static const char *const ways[] = { "auto", "socket", "clone" };
	struct tool *tool;

	for (size_t i = 0; i < N_OF(ways); i++) {
		tool = of(state);
		assert_int_equal(npf_set_mode(tool->far, NPF_MODE_STAT), 0);
		tool_start(tool, false,
			   WORDS(SEND, "--hex", HEX, "--pad", "60", "-n", "forever", "--path",
				 ways[i]));
		TOOL_UNTIL(tool_received(tool) >= 1000);
		net_run(&tool->net, NET_HERE, "ip link delete va");
		assert_int_equal(tool_wait(tool), 7);
		tool_assert_complains(tool, "has gone");
		assert_int_equal(tool_number(tool, "adapter gone"), tool_number(tool, "failed"));
		tool_teardown(state);
		tool_setup(state);
	}
}

/* What a queueing discipline holds leaves at two frames a second: who does not want to wait is told how
 * to end it, after the account. */
static void a_slow_end_can_be_cut_short(void **state)
{
	static const int ways[] = { SIGINT, SIGHUP };
	struct tool *tool = of(state);
	int status;

	if (!net_try(&tool->net, NET_HERE,
		     "tc qdisc add dev va root tbf rate 16kbit burst 1600 limit 1000000"))
		skip();
	for (size_t i = 0; i < N_OF(ways); i++) {
		char said[256] = "";

		tool_start(tool, false, WORDS(SEND, "--hex", HEX, "--pad", "1000", "-n", "50"));
		TOOL_UNTIL(pread(tool->err, said, sizeof(said) - 1, 0) > 0 &&
			   strstr(said, "Ctrl-C ends it now"));
		kill(tool->pid, ways[i]);
		assert_int_equal(waitpid(tool->pid, &status, 0), tool->pid);
		tool->pid = 0;
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == ways[i]);
		tool_read(tool->out, tool->said);
		tool_read(tool->err, tool->complained);
		assert_int_equal(tool_number(tool, "handed"), 50);
		assert_in_range(tool_number(tool, "confirmed"), 0, 49);
	}
}

/* Where somebody watches, the driver is asked in small pieces: not so that it shows in the account. */
static void interrupted_on_a_terminal(void **state)
{
	static const struct {
		const char *count;
		uint64_t asked; /* 0: what was sent */
		int code;
	} cases[] = { { "4000000000", 4000000000, 10 }, { "forever", 0, 0 } };
	struct tool *tool = of(state);
	int keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), screen;

	assert_true(keyboard >= 0 && !grantpt(keyboard) && !unlockpt(keyboard));
	screen = open(ptsname(keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(screen >= 0);
	assert_int_equal(npf_set_mode(tool->far, NPF_MODE_STAT), 0);
	for (size_t i = 0; i < 2 * N_OF(cases); i++) {
		uint64_t before = tool_received(tool), sent, asked;

		tool->terminal = i % 2 ? screen : 0;
		tool_start(tool, false, WORDS(SEND, "--hex", HEX, "-n", cases[i / 2].count));
		TOOL_UNTIL(tool_received(tool) >= before + 1000);
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), cases[i / 2].code);
		sent = tool_number(tool, "handed");
		asked = cases[i / 2].asked ? cases[i / 2].asked : sent;
		tool_counts(tool, sent);
		assert_int_equal(tool_number(tool, "asked"), asked);
		assert_int_equal(tool_number(tool, "failed"), asked - sent);
	}
	tool->terminal = 0;
	close(screen);
	close(keyboard);
}

/* It is sent all the same, and somebody is told. */
static void checksums_of_nothing(void **state)
{
	struct tool *tool = of(state);

	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "--checksums"));
	tool_counts(tool, 1);
	tool_assert_complains(tool, "--checksums: the frame has no TCP, UDP or ICMP");
	tool_run(tool, 0,
		 WORDS(SEND, "--hex", HEX, "--pad", "60", "--checksums", "-n", "3", "--set",
		       "20:1=random"));
	tool_counts(tool, 3);
	tool_assert_complains(tool, "--checksums: some packets have no");
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX));
	assert_string_equal(tool->complained, "");
}

/* What its reader has not taken yet a tun device has not counted, and the summary waits. The reader takes
 * it when npf has ended, too early, or goes on after all was sent. Should it be kept from that for longer
 * than npf waits, another try does. */
static void a_reader_that_is_late(void **state)
{
	static const char packet[] = "4500001c0001000040017cde7f0000017f000001 0800f7fd00010001";
	struct tool *tool = of(state);
	uint64_t confirmed = 0;
	uint8_t got[100];
	int tun;

	if (!net_has_tun())
		skip();
	tun = net_tun(&tool->net, NET_HERE, "t0", IFF_TUN | IFF_NO_PI);
	for (int i = 0; i < 10 && !confirmed; i++) {
		struct pollfd readable = { .fd = tun, .events = POLLIN };
		siginfo_t ended = { 0 };
		uint64_t start;

		tool_start(tool, false, WORDS("send", "-i", "t0", "--json", "--hex", packet));
		assert_int_equal(poll(&readable, 1, TOOL_PATIENCE_MS), 1);
		start = tool_ms();
		while (!ended.si_pid && tool_ms() - start < 300)
			waitid(P_PID, (id_t)tool->pid, &ended, WEXITED | WNOHANG | WNOWAIT);
		assert_int_equal(read(tun, got, sizeof(got)), 28);
		assert_int_equal(tool_wait(tool), 0);
		assert_int_equal(tool_number(tool, "handed"), 1);
		confirmed = tool_number(tool, "confirmed");
	}
	close(tun);
	assert_int_equal(confirmed, 1);
}

/* Who took a packet too late for it to be counted, or never, is not waited for when the device has gone. */
static void a_reader_that_leaves(void **state)
{
	static const char packet[] = "4500001c0001000040017cde7f0000017f000001 0800f7fd00010001";
	struct tool *tool = of(state);
	uint64_t took;
	int tun;

	if (!net_has_tun())
		skip();
	/* Two seconds are waited for a reader that stays: one try of some shows it on any machine. */
	for (int i = 0; i < 10; i++) {
		struct pollfd readable;

		tun = net_tun(&tool->net, NET_HERE, "t0", IFF_TUN | IFF_NO_PI);
		readable = (struct pollfd){ .fd = tun, .events = POLLIN };
		tool_start(tool, false, WORDS("send", "-i", "t0", "--json", "--hex", packet));
		assert_int_equal(poll(&readable, 1, TOOL_PATIENCE_MS), 1);
		usleep(50000);
		close(tun);
		took = tool_ms();
		tool_wait(tool);
		took = tool_ms() - took;
		if (took < 1000)
			return;
	}
	fail_msg("it waited %" PRIu64 " ms for the reader of a device that has gone", took);
}

/* The summary asks nothing that would have to be prepared. */
static void a_few_prepare_nothing(void **state)
{
	struct tool *tool = of(state);

	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "10"));
	assert_non_null(strstr(tool->said, "\"xdp\":\"it does not pay for so few\""));
	assert_non_null(strstr(tool->said, "\"xsk\":\"it does not pay for so few\""));
	/* Nobody who sends a packet wonders about them. */
	tool_run(tool, 0, WORDS("send", "-i", "va", "--hex", HEX));
	assert_non_null(strstr(tool->said, "path socket\n"));
	assert_null(strstr(tool->said, "    not "));
}

/* A million of them are of one type, which is no reason against it: there is no packet behind the header. */
static void headers_are_not_cloned(void **state)
{
	struct tool *tool = of(state);

	net_offload(&tool->net, NET_THERE, "vb", ETHTOOL_SGRO, false);
	tool_run(tool, 0, WORDS(SEND, "--hex", "02000000000b02000000000a88b5", "-n", "20000"));
	tool_counts(tool, 20000);
	assert_int_equal(tool_number(tool, "clone"), 0);
	assert_non_null(strstr(tool->said, "not all fit (their length or type)"));
}

/* Whoever captures, and whatever the adapter can. */
static void nobody_needs_to_see_it(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[18];
	int listener;

	hex_frame(frame);
	net_enter(&tool->net, NET_HERE);
	listener = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(listener >= 0);
	for (int polls = 1; polls >= 0; polls--) {
		net_offload(&tool->net, NET_THERE, "vb", ETHTOOL_SGRO, polls);
		tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "20000", "--no-loopback"));
		tool_counts(tool, 20000);
		assert_true(tool_number(tool, "xdp") == (polls ? 20000 : 0) ||
			    tool_number(tool, "socket") == 20000);
		expect_copies(tool, frame, 18, 20000);
	}
	close(listener);
}

static void refused(void **state)
{
	struct tool *tool = of(state);

	tool_run(tool, 1, WORDS(SEND, "--hex", HEX, "--pad", "1515"));
	tool_assert_complains(tool, "1515 bytes, va sends 1514 at most");
	tool_run(tool, 1, WORDS(SEND, "--hex", "0200"));
	tool_assert_complains(tool, "--pad");
	tool_run(tool, 1, WORDS(SEND, "--file", "/nowhere"));
	tool_run(tool, 1, WORDS(SEND, "--file", "/"));
	tool_assert_complains(tool, "/: Is a directory\n");
	/* Its bytes are no frame either. */
	tool_run(tool, 9, WORDS(SEND, "--file", "/dev/null"));
	tool_assert_complains(tool, "/dev/null: the file is empty\n");
	tool_run(tool, 4, WORDS("send", "-i", "nosuch", "--hex", HEX));
	net_run(&tool->net, NET_HERE, "ip link set va down");
	tool_run(tool, 1, WORDS(SEND, "--hex", HEX));
	tool_assert_complains(tool, "down");
	tool_counts(tool, 0);
	assert_int_equal(tool_number(tool, "asked"), 1);
	assert_int_equal(tool_number(tool, "adapter down"), 1);
	net_run(&tool->net, NET_HERE, "ip link set va up");
	tool_expect_no_more(tool);
}

static void mistakes(void **state)
{
	static const char *const bad[][10] = {
		{ "send" },
		{ "send", "--hex", "00" },
		{ "send", "-i", "va" },
		{ "send", "-i", "va", "--hex", "00", "--file", "x" },
		{ "send", "-i", "va", "--file", "x", "--file", "y" },
		{ "send", "-i", "va", "--raw", "x", "--raw", "x" },
		{ "send", "-i", "va", "-i", "va", "--hex", HEX },
		{ "send", "-i", "va", "--hex", "0" },
		{ "send", "-i", "va", "--hex", "00", "more" },
		{ "send", "-i", "va", "--nonsense" },
		{ "send", "-i", "va", "--hex", HEX, "--rate", "fast" },
		{ "send", "-i", "va", "--hex", HEX, "-n", "-1" },
		{ "send", "-i", "va", "--hex", HEX, "-n", "1.5" },
		{ "send", "-i", "va", "--hex", HEX, "-n", "1kpps" },
		{ "send", "-i", "va", "--hex", HEX, "-n", "99999999999G" },
		{ "send", "-i", "va", "--hex", HEX, "--set", "0:1" },
		{ "send", "-i", "va", "--hex", HEX, "--set", "17:2=1" },
		{ "send", "-i", "va", "--hex", HEX, "--pad", "1G" },
		{ "send", "-i", "va", "--hex", HEX, "--duration", "0" },
		{ "send", "-i", "va", "--hex", HEX, "--duration", "1k" },
		{ "send", "-i", "va", "--hex", HEX, "--path", "pigeon" },
	};
	struct tool *tool = of(state);

	for (size_t i = 0; i < N_OF(bad); i++) {
		tool_run(tool, 2, bad[i]);
		tool_assert_complains(tool, "try 'npf help send'");
		assert_string_equal(tool->said, "");
	}
	tool_run(tool, 2, WORDS(SEND, "--hex", "02:00:zz"));
	tool_assert_complains(tool, "line 1, column 7");
	tool_run(tool, 2, WORDS(SEND, "--hex", HEX, "--rate", "100MBps"));
	tool_assert_complains(tool, "a capital B is bytes");
	tool_run(tool, 2, WORDS(SEND, "--hex", HEX, "--hex", HEX));
	tool_assert_complains(tool, "given once by --hex");
	tool_expect_no_more(tool);
}

/* Captures here see clones and what goes by socket, and auto takes care of them. */
static void captures_see_it(void **state)
{
	struct tool *tool = of(state);
	const struct npf_open_options options = { .size = sizeof(options) };
	struct npf_host *host = npf_host_linux();
	struct npf_driver *driver;
	struct npf_instance *near;
	struct npf_stats stats;
	char error[NPF_ERROR_SIZE];

	assert_non_null(host);
	assert_int_equal(npf_driver_entry(host, &driver), 0);
	if (npf_open(driver, "va", &options, &near, error))
		fail_msg("%s", error);
	assert_int_equal(npf_set_buffer(near, 64u << 20), 0);
	tool_run(tool, 0, WORDS(SEND, "--hex", HEX, "-n", "100000"));
	assert_non_null(strstr(tool->said, "\"path\":\"clone\""));
	tool_counts(tool, 100000);
	assert_int_equal(npf_get_stats(near, &stats), 0);
	assert_int_equal(stats.received, 100000);
	npf_close(near);
	npf_unload(driver);
	npf_host_linux_free(host);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tool_setup, tool_teardown)
	const struct CMUnitTest tests[] = {
		TEST(repeats),
		TEST(rate),
		TEST(rates_of_a_few),
		TEST(timed_packets_on_another_path),
		TEST(files),
		TEST(pipes),
		TEST(savefiles_in_pipes),
		TEST(padding),
		TEST(templates),
		TEST(a_template_a_million_times),
		TEST(checksums),
		TEST(for_ever),
		TEST(for_so_long),
		TEST(interrupted),
		TEST(the_adapter_goes_in_a_gap),
		TEST(the_adapter_goes_at_full_speed),
		TEST(a_slow_end_can_be_cut_short),
		TEST(refused),
		TEST(mistakes),
		TEST(captures_see_it),
		TEST(interrupted_on_a_terminal),
		TEST(checksums_of_nothing),
		TEST(nobody_needs_to_see_it),
		TEST(a_few_prepare_nothing),
		TEST(headers_are_not_cloned),
		TEST(a_reader_that_is_late),
		TEST(a_reader_that_leaves),
	};

	tool_require(argc, argv);
	return cmocka_run_group_tests_name("npf send", tests, NULL, NULL);
}
