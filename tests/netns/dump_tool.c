/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump as people use it: dump_tool NPF. Whatever the options, all files together hold every
 * frame of a flood exactly once and in order; every end is clean.
 */
#include "netns/dump_tool.h"

/* ---- rotation and limits --------------------------------------------------------------------- */

static const char *const formats[] = { "pcap", "pcap-ns", "pcapng" };

static void rotations(const char *options, uint64_t most_bytes, size_t least_files)
{
	struct list list;

	for (size_t i = 0; i < N_OF(formats); i++) {
		pid_t pid = START_DUMP("-w r%zu.pcap --format %s %s", i, formats[i], options);
		char suffix[16];

		flood(frames);
		ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
		assert_int_equal(said("0 packets dropped"), 1);
		snprintf(suffix, sizeof(suffix), ".part");
		find_files(&list, ".", suffix);
		assert_int_equal(list.n, 0);
		find_files(&list, ".", ".pcap");
		if (list.n < least_files)
			fail_msg("%zu files, %zu expected", list.n, least_files);
		assert_flood(&list, 0, frames);
		for (size_t k = 0; k < list.n; k++)
			assert_true(size_of(list.names[k]) <= most_bytes);
		assert_readable(list.names[0]);
		assert_readable(list.names[list.n - 1]);
		assert_int_equal(system("rm -f *.pcap"), 0);
	}
}

static void one_file(void **state)
{
	(void)state;
	rotations("", UINT64_MAX, 1);
}

static void by_packets(void **state)
{
	(void)state;
	rotations("--rotate-packets 1000", 24 + 1000 * (64 + LENGTH) + 4096, frames / 1000);
}

static void by_size(void **state)
{
	(void)state;
	rotations("--rotate-size 1000000", 1000000, frames * LENGTH / 1000000);
}

static void by_time(void **state)
{
	(void)state;
	rotations("--rotate-time 10ms", UINT64_MAX, 2);
}

static void ring_of_files(void **state)
{
	pid_t pid = START_DUMP("-w ring.pcap --rotate-packets 1000 --files 3");
	struct list list;
	char name[32];

	(void)state;
	flood(frames + 500);
	ASSERT_CODE(stop(pid, SIGTERM), EXIT_OK);
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 3);
	snprintf(name, sizeof(name), "ring-%05" PRIu64 ".pcap", frames / 1000 + 1);
	assert_string_equal(list.names[2], name);
	assert_flood(&list, frames - 2000, frames + 500);
	/* A second run overwrites nothing of the first. */
	pid = START_DUMP("-w ring.pcap --rotate-packets 1000 -c 10");
	flood(10);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_true(exists("ring-00001.pcap"));
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 4);
}

static void limits(void **state)
{
	struct list list;
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w a.pcap -c 1234");

	(void)state;
	flood(5000);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(read_file("a.pcap", &next), 1234);
	pid = START_DUMP("-w b.pcap --max-size 100001 --rotate-packets 100");
	flood(5000);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	find_files(&list, ".", ".pcap");
	next = 0;
	for (size_t i = 1; i < list.n; i++)
		read_file(list.names[i], &next);
	/* Four files of a hundred, and a fifth with what still fits. */
	assert_int_equal(next, (100001 - 5 * 24) / (16 + LENGTH));
	pid = START_DUMP("-w c.pcap --duration 300ms");
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(size_of("c.pcap"), 24);
	assert_int_equal(said("the time asked for is over"), 1);
}

static uint64_t count_packets(const char *name)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(name, error);
	struct pcap_pkthdr *header;
	const u_char *data;
	uint64_t n = 0;

	if (!pcap)
		fail_msg("%s: %s", name, error);
	while (pcap_next_ex(pcap, &header, &data) == 1)
		n++;
	pcap_close(pcap);
	return n;
}

/* What the summary says holds together, and is what the files hold. */
static void assert_conserved(void)
{
	struct list list;
	uint64_t packets = 0;

	assert_int_equal(told("received"), told("filtered") + told("captured") + told("dropped"));
	assert_int_equal(told("captured"), told("packets") + told("lost"));
	find_files(&list, ".", ".pcap");
	for (size_t i = 0; i < list.n; i++)
		packets += count_packets(list.names[i]);
	assert_int_equal(packets, told("packets"));
}

#define FRUGAL "-w c.pcap -B 64K --rotate-packets 700 --json --interval 1h "

/* With a filter, a buffer that is too small, rotation and a limit nothing is unaccounted for. */
static void conservation(void **state)
{
	pid_t pid = start_npf(-1, "dump -i va " FRUGAL "ether[%u] & 1 = 0", SEQUENCE_LOW);

	(void)state;
	WIRE_UNTIL(said("\"type\":\"start\""));
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(told("received"), frames);
	assert_int_equal(told("filtered"), frames / 2);
	assert_conserved();
	assert_int_equal(system("rm -f *.pcap"), 0);
	pid = start_npf(-1, "dump -i va -c 777 " FRUGAL "ether[%u] & 1 = 0", SEQUENCE_LOW);
	WIRE_UNTIL(said("\"type\":\"start\""));
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(told("packets"), 777);
	assert_conserved();
}

/* The names of files and what is in them, compressed. */
static void compressed(void **state)
{
	pid_t pid = START_DUMP("-w z.pcap --compress zstd:1 --rotate-packets %" PRIu64, frames / 4);
	struct list list;

	(void)state;
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("zstd: 4 files"), 1);
	assert_int_equal(said("in 4 files, the last z-00004.pcap.zst\n"), 1);
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 0);
	find_files(&list, ".", ".zst");
	assert_int_equal(list.n, 4);
	if (!installed("zstd")) {
		print_message("    zstd is not installed\n");
		return;
	}
	assert_int_equal(system("zstd -q -d --rm *.zst"), 0);
	find_files(&list, ".", ".pcap");
	assert_flood(&list, 0, frames);
}

/* A second run under the same name replaces what the first made, as without compression; and what
 * would be in the way is known before the first packet. */
static void compressed_again(void **state)
{
	uint64_t next = 0;

	(void)state;
	for (int run = 0; run < 2; run++) {
		pid_t pid = START_DUMP("-w z.pcap --compress zstd:1");

		flood(run ? 100 : 5000);
		ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
		assert_false(exists("z.pcap"));
	}
	if (installed("zstd")) {
		assert_int_equal(system("zstd -q -d z.pcap.zst"), 0);
		assert_int_equal(read_file("z.pcap", &next), 100);
	}
	assert_int_equal(system(": >z.pcap.zst.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w z.pcap --compress zstd --duration 10ms"), EXIT_DISK);
	assert_int_equal(unlink("z.pcap.zst.part"), 0);
	assert_int_equal(unlink("z.pcap.zst"), 0);
	assert_int_equal(symlink("target", "z.pcap.zst"), 0);
	ASSERT_CODE(run_npf("dump -i va -w z.pcap --compress zstd --duration 10ms"), EXIT_DISK);
	assert_false(exists("z.pcap.part"));
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void signals(void **state)
{
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w twice.pcap");

	(void)state;
	assert_true(exists("twice.pcap.part"));
	assert_false(exists("twice.pcap"));
	flood(5000);
	assert_int_equal(kill(pid, SIGINT), 0);
	kill(pid, SIGINT);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(read_file("twice.pcap", &next), 5000);
	pid = start_npf(-1, "dump -i va -w term.pcap --json --interval 1h");
	WIRE_UNTIL(said("\"type\":\"start\""));
	next = 0;
	flood(5000);
	ASSERT_CODE(stop(pid, SIGTERM), EXIT_OK);
	assert_int_equal(read_file("term.pcap", &next), 5000);
	assert_int_equal(said("\"end\":\"stopped\",\"code\":0"), 1);
}

static void killed(void **state)
{
	struct list list;
	uint64_t next;

	(void)state;
	for (size_t i = 0; i < N_OF(formats); i++) {
		pid_t pid = START_DUMP("-w k.pcap --format %s", formats[i]);

		flood(frames);
		/* Some of it is on the disk. */
		WIRE_UNTIL(size_of("k.pcap.part") > 1000000);
		ASSERT_CODE(stop(pid, SIGKILL), 128 + SIGKILL);
		assert_false(exists("k.pcap"));
		/* Nothing of it gets lost by a new dump. */
		ASSERT_CODE(run_npf("dump -i va -w k.pcap --duration 10ms"), EXIT_DISK);
		ASSERT_CODE(run_npf("repair --rename k.pcap.part"), EXIT_OK);
		ASSERT_CODE(run_npf("repair --check k.pcap"), EXIT_OK);
		next = 0;
		assert_true(read_file("k.pcap", &next) > 3000);
		assert_readable("k.pcap");
		assert_int_equal(unlink("k.pcap"), 0);
	}
	find_files(&list, ".", ".part");
	assert_int_equal(list.n, 0);
}

static void repair_waits_for_the_dump(void **state)
{
	pid_t pid = START_DUMP("-w l.pcap");
	int fd = open("l.pcap.part", O_RDONLY);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	ASSERT_CODE(run_npf("repair l.pcap.part"), EXIT_FAILED);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
}

static void adapter_goes(void **state)
{
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w gone.pcap");

	(void)state;
	flood(3000);
	net_run(&world, NET_HERE, "ip link delete va");
	ASSERT_CODE(end_of(pid), EXIT_GONE);
	assert_int_equal(read_file("gone.pcap", &next), 3000);
}

static void older_file_stays_until_the_end(void **state)
{
	pid_t pid;
	uint64_t next = 0;

	(void)state;
	assert_int_equal(system("echo old >o.pcap"), 0);
	pid = START_DUMP("-w o.pcap --force");
	flood(100);
	assert_int_equal(size_of("o.pcap"), 4);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(read_file("o.pcap", &next), 100);
}

/* What the caller has open: no directory, no second file. */
static void descriptors(void **state)
{
	static const char *const names[] = { "/dev/fd/1", "/dev/stdout", "-" };

	(void)state;
	for (size_t i = 0; i < N_OF(names); i++) {
		int fd = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		pid_t pid = start_npf(fd, "dump -i va -w %s -c 100", names[i]);
		uint64_t next = 0;

		WIRE_UNTIL(said("dumping from"));
		flood(100);
		ASSERT_CODE(end_of(pid), EXIT_OK);
		assert_int_equal(read_file("out", &next), 100);
		/* Who writes to it next does so behind the dump. */
		assert_int_equal(size_of("out"), 24 + 100 * (16 + LENGTH));
		assert_int_equal(write(fd, "!", 1), 1);
		assert_int_equal(size_of("out"), 24 + 100 * (16 + LENGTH) + 1);
		close(fd);
	}
	ASSERT_CODE(run_npf("dump -i va -w /dev/fd/1 --rotate-size 1M"), EXIT_USAGE);
	ASSERT_CODE(run_npf("dump -i va -w /dev/fd/1 --compress zstd"), EXIT_USAGE);
	ASSERT_CODE(run_npf("dump -i va -w /dev/stdout --rotate-size 1M"), EXIT_USAGE);
	ASSERT_CODE(run_npf("dump -i va -w /dev/fd/1 --json"), EXIT_USAGE);
	ASSERT_CODE(run_npf("dump -i va -w /dev/fd/77 --duration 10ms"), EXIT_DISK);
}

static void pipes(void **state)
{
	uint64_t next = 0;
	int ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(system(": >out"), 0);
	ends[1] = open("out", O_WRONLY | O_CLOEXEC);
	pid = start_npf(ends[1], "dump -i va -w - -c 2000");
	close(ends[1]);
	WIRE_UNTIL(said("dumping from"));
	flood(2000);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(read_file("out", &next), 2000);
	/* A reader that goes away ends it, and is no failure. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = start_npf(ends[1], "dump -i va -w -");
	close(ends[1]);
	WIRE_UNTIL(said("dumping from"));
	close(ends[0]);
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_OK);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(one_file),
		TEST(by_packets),
		TEST(by_size),
		TEST(by_time),
		TEST(ring_of_files),
		TEST(limits),
		TEST(conservation),
		TEST(compressed),
		TEST(compressed_again),
		TEST(signals),
		TEST(killed),
		TEST(repair_waits_for_the_dump),
		TEST(adapter_goes),
		TEST(older_file_stays_until_the_end),
		TEST(pipes),
		TEST(descriptors),
	};

	return run_dump_tests(argc, argv, "npf dump", tests, N_OF(tests));
}
