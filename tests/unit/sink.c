/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Output of npf filter: what is added in stretches of any length arrives, past the page cache or
 * through it, also when the way changes in the middle, and a file that could not be written is not
 * there.
 */
#include "lib/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../tools/npf/savefile/direct_io.h"
#include "../../tools/npf/savefile/sink.h"

#define SIZE   (11u << 20) /* blocks of all kinds, and a rest */
#define MIDDLE (6u << 20)

static uint8_t bytes[SIZE], back[SIZE];
static char name[64];

static int make_bytes(void **state)
{
	(void)state;
	frame_fill(bytes, sizeof(bytes), 7);
	strcpy(name, "npf-sink-XXXXXX");
	close(mkstemp(name)); /* where the test runs: a disk, most likely */
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	unlink(name);
	return 0;
}

static void add(struct sink *sink, size_t from, size_t to)
{
	size_t n = 1;

	for (; from < to; from += n) {
		n = n * 5 % 99991;
		n = n < to - from ? n : to - from;
		assert_int_equal(sink_add(sink, bytes + from, n), 0);
	}
}

static void assert_written(void)
{
	int fd = open(name, O_RDONLY);

	assert_int_equal(read(fd, back, SIZE), SIZE);
	assert_int_equal(lseek(fd, 0, SEEK_END), SIZE);
	close(fd);
	assert_memory_equal(back, bytes, SIZE);
}

static bool can_be_direct(const struct sink *sink)
{
	char why_not[160];

	return npf_direct_io_has_disk(sink->fd) &&
	       npf_direct_io_try(".", why_not, sizeof(why_not)) == NPF_DIRECT_IO_WORKS;
}

static void writes_past_the_page_cache(void **state)
{
	struct sink sink;

	(void)state;
	assert_int_equal(sink_open(&sink, name, NULL), 0);
	add(&sink, 0, MIDDLE);
	if (can_be_direct(&sink))
		assert_true(sink.direct && sink.blocks == 1);
	else
		assert_false(sink.direct);
	add(&sink, MIDDLE, SIZE);
	assert_int_equal(sink_close(&sink, true), 0);
	assert_written();
}

static void leaves_a_slow_disk_to_the_page_cache(void **state)
{
	struct sink sink;

	(void)state;
	assert_int_equal(sink_open(&sink, name, NULL), 0);
	sink.waited = UINT64_MAX / 2;
	add(&sink, 0, MIDDLE);
	assert_false(sink.direct || sink.may_be_direct);
	assert_int_equal(fcntl(sink.fd, F_GETFL) & O_DIRECT, 0);
	add(&sink, MIDDLE, SIZE);
	assert_int_equal(sink_close(&sink, true), 0);
	assert_written();
}

/* The disk is full in the middle of a block: bytes, not whole pages. */
static void throws_away_what_is_not_whole(void **state)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	const struct rlimit limit = { MIDDLE + 512, RLIM_INFINITY };
	struct sink sink;
	int err = 0;

	(void)state;
	unlink(name);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(sink_open(&sink, name, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (size_t at = 0; at < SIZE && !err; at += 4096)
		err = sink_add(&sink, bytes + at, 4096);
	setrlimit(RLIMIT_FSIZE, &none);
	assert_int_equal(err, -EFBIG);
	assert_string_equal(sink.error, strerror(EFBIG));
	assert_int_equal(access(sink.working, F_OK), 0);
	sink_close(&sink, false);
	assert_int_equal(access(name, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_past_the_page_cache),
		cmocka_unit_test(leaves_a_slow_disk_to_the_page_cache),
		cmocka_unit_test(throws_away_what_is_not_whole),
	};

	return cmocka_run_group_tests(tests, make_bytes, remove_file);
}
