/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dump mode the manual's way: file name, limits, the question whether it has ended, statistics with
 * the file's length, what reads do meanwhile, the end.
 */
#include "sim/dump_files.h"

#include <poll.h>

#define FILE_HEADER   24u
#define RECORD_HEADER 16u

static uint32_t length_of(uint32_t number)
{
	return 20 + number * 37 % 1400;
}

static void send_mixed(struct world *world, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		send_numbered(world, i % N_CPUS, length_of(i), i);
		npf_sim_advance(world->host, 1000);
	}
}

static int set_name(struct world *world, const char *path)
{
	return npf_io_control(world->instance, NPF_BIOCSETDUMPFILENAME, path, strlen(path) + 1,
			      NULL, 0, NULL);
}

static int set_limits(struct world *world, uint32_t bytes, uint32_t packets)
{
	uint32_t limits[] = { bytes, packets };

	return npf_io_control(world->instance, NPF_BIOCSETDUMPLIMITS, limits, sizeof(limits), NULL,
			      0, NULL);
}

static uint32_t is_ended(struct world *world)
{
	uint32_t ended = 7;

	assert_int_equal(npf_io_control(world->instance, NPF_BIOCISDUMPENDED, NULL, 0, &ended,
					sizeof(ended), NULL),
			 0);
	return ended;
}

static bool readable(struct world *world)
{
	struct pollfd level = { .fd = npf_poll_fd(world->instance), .events = POLLIN };

	return poll(&level, 1, 0) == 1;
}

static void begin(struct world *world, const char *path)
{
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_DUMP), 0);
	assert_int_equal(set_name(world, path), 0);
}

static const struct npf_sim_file *file_of(struct world *world, const char *path)
{
	const struct npf_sim_file *file = npf_sim_file(world->host, path);

	assert_non_null(file);
	return file;
}

/* The file holds the frames from `from` on, whole; how many. */
static uint32_t check_file(struct world *world, const char *path, uint32_t from)
{
	const struct npf_sim_file *file = file_of(world, path);
	struct savefile save;
	uint32_t n = 0;

	savefile_open(&save, file->data, file->size);
	assert_int_equal(save.format, NPF_DUMP_PCAP);
	assert_int_equal(save.link_type, 1);
	while (savefile_next(&save)) {
		assert_int_equal(savefile_frame(&save), from + n);
		assert_int_equal(save.length, length_of(from + n));
		assert_int_equal(save.caplen, save.length);
		n++;
	}
	return n;
}

/* ---- item 14: the file --------------------------------------------------------------------- */

static void item_14_file_holds_what_came(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 500);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	assert_int_equal(check_file(world, "a", 0), 500);
	assert_int_equal(file_of(world, "a")->opens, 0);
}

static void item_14_whole_pages_go_straight_to_the_disk(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 500);
	npf_sim_advance(world->host, 200 * MS);

	const struct npf_sim_file *file = file_of(world, "a");

	assert_true(file->direct_writes > 0);
	assert_int_equal(file->writes - file->direct_writes, 1); /* the header, at once */
}

static void item_14_filter_and_cut_apply(void **state)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(2, 0, 1), INSN_RET(30), INSN_RET(0) };
	struct npf_program program = PROGRAM(insns);
	struct world *world = *state;
	struct savefile save;

	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	begin(world, "a");
	for (uint32_t i = 0; i < 4; i++)
		send_numbered(world, 0, 100, i);
	npf_cleanup(world->instance);
	savefile_open(&save, file_of(world, "a")->data, file_of(world, "a")->size);
	assert_true(savefile_next(&save));
	assert_int_equal(savefile_frame(&save), 2);
	assert_int_equal(save.caplen, 30);
	assert_int_equal(save.length, 100);
	assert_false(savefile_next(&save));
}

static void item_14_stamps_are_of_the_arrival(void **state)
{
	struct world *world = *state;
	struct savefile save;

	begin(world, "a");
	npf_sim_advance(world->host, 1234567);
	send_numbered(world, 0, 60, 0);
	npf_sim_advance(world->host, 3 * MS);
	npf_cleanup(world->instance);
	savefile_open(&save, file_of(world, "a")->data, file_of(world, "a")->size);
	assert_true(savefile_next(&save));
	assert_int_equal(save.time, NPF_SIM_EPOCH + 1234000);
}

static void item_14_packets_before_the_name_are_in_it(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_DUMP), 0);
	send_mixed(world, 0, 10);
	assert_int_equal(set_name(world, "a"), 0);
	send_mixed(world, 10, 20);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 20);
}

/* The clock of a machine may begin anywhere, and the first packets be there before it moves. */
static void item_14_no_time_is_special(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	for (uint32_t i = 0; i < 60; i++)
		send_numbered(world, 0, 900, i);
	npf_sim_advance(world->host, 0);
	assert_int_equal(world_now(world), 0);
	assert_int_equal(is_ended(world), 0);
	assert_true(file_of(world, "a")->size > 32768);
}

static void item_14_closing_flushes(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	for (uint32_t i = 0; i < 20; i++)
		send_numbered(world, i % N_CPUS, length_of(i), i);
	npf_cleanup(world->instance); /* without a moment for the thread */
	assert_int_equal(check_file(world, "a", 0), 20);
}

static void item_14_a_packet_is_not_kept_longer_than_a_second(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	npf_sim_advance(world->host, 1);
	assert_int_equal(file_of(world, "a")->size, FILE_HEADER);
	send_numbered(world, 0, length_of(0), 0);
	npf_sim_advance(world->host, 1200 * MS);
	assert_int_equal(check_file(world, "a", 0), 1);
	send_numbered(world, 0, length_of(1), 1);
	npf_sim_advance(world->host, 1200 * MS);
	assert_int_equal(check_file(world, "a", 0), 2);
	send_mixed(world, 2, 100);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 100);
}

/* The disk is asked for what is there about once a second, and only when there is more. */
static void item_14_disk_is_asked_to_keep_it(void **state)
{
	struct world *world = *state;
	const struct npf_sim_file *file;

	begin(world, "a");
	npf_sim_advance(world->host, 200 * MS);
	file = file_of(world, "a");
	assert_int_equal(file->syncs, 1);
	assert_int_equal(file->synced, FILE_HEADER);
	for (uint32_t i = 0; i < 1000; i++) {
		send_numbered(world, 0, 1400, i);
		npf_sim_advance(world->host, 10 * MS);
	}
	npf_sim_advance(world->host, 2500 * MS);
	assert_in_range(file->syncs, 10, 13);
	assert_int_equal(file->synced, file->size);
	assert_int_equal(file->size, FILE_HEADER + 1000 * (RECORD_HEADER + 1400));
	npf_sim_advance(world->host, 60000 * MS);
	assert_in_range(file->syncs, 10, 13);
	npf_cleanup(world->instance);
}

/* A busy disk is asked again later, and nobody waits. */
static void item_14_disk_that_is_busy_is_asked_again(void **state)
{
	struct world *world = *state;
	const struct npf_sim_file *file;

	begin(world, "a");
	npf_sim_advance(world->host, 200 * MS);
	file = file_of(world, "a");
	send_mixed(world, 0, 5);
	npf_sim_fail(world->host, 2, -EBUSY); /* after the write */
	npf_sim_advance(world->host, 1300 * MS);
	assert_int_equal(file->syncs, 1);
	npf_sim_advance(world->host, 1100 * MS);
	assert_int_equal(file->syncs, 2);
	assert_int_equal(file->synced, file->size);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 5);
}

static void page_cache_that_is_used_after_all_is_told(void **state)
{
	struct world *world = *state;
	struct npf_dump_status status;

	begin(world, "a");
	send_mixed(world, 0, 100);
	npf_sim_advance(world->host, 1200 * MS);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_true(status.direct);
	assert_string_equal(status.why_not_direct, "");
	npf_sim_set_direct(world->host, false);
	send_mixed(world, 100, 200);
	npf_sim_advance(world->host, 1200 * MS);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_false(status.direct);
	assert_true(strlen(status.why_not_direct) > 5);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 200);
}

/* ---- item 14: limits ----------------------------------------------------------------------- */

/* Bytes of a file with the first n frames. */
static uint32_t size_of(uint32_t n)
{
	uint32_t size = FILE_HEADER;

	for (uint32_t i = 0; i < n; i++)
		size += RECORD_HEADER + length_of(i);
	return size;
}

static void item_14_no_file_exceeds_its_bytes(void **state)
{
	struct world *world = *state;

	for (uint32_t limit = FILE_HEADER; limit < 30000; limit += 171) {
		assert_int_equal(npf_set_mode(world->instance, NPF_MODE_DUMP), 0);
		assert_int_equal(set_limits(world, limit, 0), 0);
		assert_int_equal(set_name(world, "a"), 0);
		assert_int_equal(is_ended(world), 0);
		send_mixed(world, 0, 60);
		npf_sim_advance(world->host, MS * 100);
		assert_int_equal(is_ended(world), 1);
		assert_true(readable(world));

		uint32_t n = check_file(world, "a", 0);

		assert_int_equal(file_of(world, "a")->size, size_of(n));
		assert_true(size_of(n) <= limit);
		assert_true(size_of(n + 1) > limit);
		assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	}
}

static void item_14_packets_are_limited_exactly(void **state)
{
	struct world *world = *state;

	for (uint32_t limit = 1; limit < 60; limit++) {
		assert_int_equal(npf_set_mode(world->instance, NPF_MODE_DUMP), 0);
		assert_int_equal(set_limits(world, 0, limit), 0);
		assert_int_equal(set_name(world, "a"), 0);
		send_mixed(world, 0, limit - 1);
		npf_sim_advance(world->host, 200 * MS);
		assert_int_equal(is_ended(world), 0);
		assert_false(readable(world));
		send_mixed(world, limit - 1, limit);
		npf_sim_advance(world->host, 200 * MS);
		assert_int_equal(is_ended(world), 1);
		send_mixed(world, limit, limit + 5);
		npf_sim_advance(world->host, 200 * MS);
		assert_int_equal(check_file(world, "a", 0), limit);
		assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	}
}

static void item_14_limits_can_follow_the_name(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 3);
	assert_int_equal(set_limits(world, 0, 5), 0);
	send_mixed(world, 3, 9);
	npf_sim_advance(world->host, 200 * MS);
	assert_int_equal(is_ended(world), 1);
	assert_int_equal(check_file(world, "a", 0), 5);
}

static void item_14_what_comes_after_the_end_is_not_there(void **state)
{
	struct world *world = *state;
	struct npf_dump_status status;

	assert_int_equal(set_limits(world, 0, 2), 0);
	begin(world, "a");
	for (uint32_t i = 0; i < 5; i++)
		send_numbered(world, 0, length_of(i), i);
	npf_sim_advance(world->host, 200 * MS);
	send_mixed(world, 5, 50);

	struct npf_stats stats = stats_of(world->instance);

	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_PACKETS);
	assert_int_equal(status.packets, 2);
	assert_int_equal(status.lost, 3);
	assert_int_equal(stats.received, 5);
	assert_int_equal(stats.captured, 5);
	assert_int_equal(stats.buffer_used, 0);
}

static void item_14_short_or_absurd_limits_are_refused(void **state)
{
	struct world *world = *state;
	uint32_t limit = 5;

	assert_fails(world->instance,
		     npf_io_control(world->instance, NPF_BIOCSETDUMPLIMITS, &limit, 4, NULL, 0,
				    NULL),
		     -ENOBUFS);
	assert_fails(world->instance, set_limits(world, FILE_HEADER - 1, 0), -EINVAL);
}

/* ---- item 14: another name ----------------------------------------------------------------- */

static void item_14_second_name_goes_on_without_loss(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 21);
	for (uint32_t i = 21; i < 30; i++)
		send_numbered(world, 0, length_of(i), i);
	assert_int_equal(set_name(world, "b"), 0);
	for (uint32_t i = 30; i < 40; i++)
		send_numbered(world, 0, length_of(i), i);
	send_mixed(world, 40, 400);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 30);
	assert_int_equal(check_file(world, "b", 30), 370);
	assert_true(file_of(world, "b")->direct_writes > 0);
}

static void item_14_second_name_after_a_limit(void **state)
{
	struct world *world = *state;

	assert_int_equal(set_limits(world, 0, 10), 0);
	begin(world, "a");
	send_mixed(world, 0, 15);
	npf_sim_advance(world->host, 200 * MS);
	assert_int_equal(is_ended(world), 1);
	assert_int_equal(set_name(world, "b"), 0);
	assert_int_equal(is_ended(world), 0);
	assert_false(readable(world));
	send_mixed(world, 100, 105);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 10);
	assert_int_equal(check_file(world, "b", 100), 5);
}

/* Preparing makes a new stream: a name that follows begins there, not where the old one ended. */
static void item_14_name_after_preparing(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 50);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	npf_sim_set_disk(world->host, 1 << 20);
	assert_int_equal(npf_dump_prepare(world->instance, NPF_DUMP_PCAP), 0);
	assert_int_equal(set_name(world, "b"), 0);
	send_mixed(world, 50, 60);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_file(world, "a", 0), 50);
	assert_int_equal(check_file(world, "b", 50), 10);
}

static void item_14_same_name_begins_anew(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 50);
	assert_int_equal(set_name(world, "a"), 0);
	send_mixed(world, 50, 60);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 50), 10);
}

/* What the system learns when it brings the file to the disk is told at the end. */
static void what_the_disk_refuses_in_the_end_is_told(void **state)
{
	struct world *world = *state;
	struct npf_dump_status status;
	uint64_t before;

	begin(world, "a");
	send_mixed(world, 0, 20);
	before = npf_sim_operations(world->host);
	assert_int_equal(npf_dump_stop(world->instance), 0);

	uint64_t last = npf_sim_operations(world->host) - before;

	assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
	world = *state;
	begin(world, "a");
	send_mixed(world, 0, 20);
	npf_sim_fail(world->host, last, -EIO);
	assert_int_equal(npf_dump_stop(world->instance), -EIO);
	npf_sim_fail(world->host, 0, 0);
	assert_non_null(strstr(npf_error(world->instance), "bringing the dump to the disk failed"));
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_FAILED);
	assert_int_equal(status.error, -EIO);
	assert_int_equal(check_file(world, "a", 0), 20);
}

/* Everything that another name needs fails in turn: the dump before goes on as if nothing had been
 * asked, or ends with an error that is told; no packet is unaccounted for. */
static bool second_name_with_fault(void **state, uint64_t nth, const char *second)
{
	struct world *world = *state;
	struct npf_dump_status status;
	struct npf_stats stats;

	begin(world, "a");
	send_mixed(world, 0, 21);
	for (uint32_t i = 21; i < 30; i++)
		send_numbered(world, 0, length_of(i), i);

	uint64_t before = npf_sim_operations(world->host);

	npf_sim_fail(world->host, nth, -EIO);

	int err = set_name(world, second);
	bool met = npf_sim_operations(world->host) - before >= nth;

	npf_sim_fail(world->host, 0, 0);
	assert_true(!err || strlen(npf_error(world->instance)) > 10);
	if (err && strcmp(second, "a") != 0) /* nor is a name left of it */
		assert_null(npf_sim_file(world->host, second));
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	for (uint32_t i = 30; i < 40; i++)
		send_numbered(world, 0, length_of(i), i);
	npf_sim_advance(world->host, 1200 * MS);
	stats = stats_of(world->instance);
	if (err && status.end == NPF_DUMP_RUNNING) {
		assert_int_equal(status.error, 0);
		npf_cleanup(world->instance);
		assert_int_equal(check_file(world, "a", 0), 40);
		return met;
	}
	if (err) { /* its own end failed */
		assert_int_equal(err, -EIO);
		assert_int_equal(status.error, -EIO);
		assert_int_equal(status.end, NPF_DUMP_FAILED);
		assert_int_equal(is_ended(world), 1);
		assert_true(readable(world));
		assert_int_equal(stats.received, 30);
		assert_int_equal(stats.captured, 30);
		assert_int_equal(status.packets + status.lost, 30);
		assert_int_equal(check_file(world, "a", 0), status.packets);
		assert_int_equal(set_name(world, "c"), 0);
		send_mixed(world, 40, 45);
		npf_cleanup(world->instance);
		assert_int_equal(check_file(world, "c", 40), 5);
		return met;
	}
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, second, 30), 10);
	return met;
}

static void second_name_with_every_fault(void **state, const char *second)
{
	uint64_t nth = 1;

	while (second_name_with_fault(state, nth, second)) {
		assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		nth++;
	}
	assert_true(nth > 6);
}

static void item_14_second_name_fails_and_changes_nothing(void **state)
{
	second_name_with_every_fault(state, "b");
}

static void item_14_same_name_fails_and_changes_nothing(void **state)
{
	second_name_with_every_fault(state, "a");
}

/* The dump before has written nothing and takes its name away, while the new one has the file open. */
static void item_14_same_name_on_a_full_disk(void **state)
{
	struct world *world = *state;

	npf_sim_set_disk(world->host, 0);
	begin(world, "a");
	assert_fails(world->instance, set_name(world, "a"), -ENOSPC);
	assert_null(npf_sim_file(world->host, "a"));
	npf_sim_set_disk(world->host, 1 << 20);
	assert_int_equal(set_name(world, "a"), 0);
	send_mixed(world, 0, 4);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 4);
}

/* A file that exists is emptied by its first byte, not by a call that fails. */
static void item_14_name_that_fails_empties_nothing(void **state)
{
	struct world *world = *state;

	begin(world, "b");
	send_mixed(world, 0, 5);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	begin(world, "a");
	send_mixed(world, 0, 7);
	/* Up to the worker, when the file is open already. */
	for (uint64_t nth = 1; nth <= 7; nth++) {
		npf_sim_fail(world->host, nth, -EIO);
		assert_true(set_name(world, "b") < 0);
		npf_sim_fail(world->host, 0, 0);
		assert_int_equal(is_ended(world), 0);
		assert_int_equal(check_file(world, "b", 0), 5);
	}
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 7);
}

static void item_14_name_wants_dump_mode_and_a_buffer(void **state)
{
	struct world *world = *state;
	char longest[5000];

	assert_fails(world->instance, set_name(world, "a"), -EINVAL);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_fails(world->instance, set_name(world, "a"), -EINVAL);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_DUMP), 0);
	assert_fails(world->instance, set_name(world, ""), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	assert_fails(world->instance, set_name(world, longest), -EINVAL);
	assert_int_equal(npf_set_buffer(world->instance, 0), 0);
	assert_fails(world->instance, set_name(world, "a"), -EINVAL);
	assert_null(npf_sim_file(world->host, "a"));
}

/* The last byte becomes the NUL, whatever it is. */
static void item_14_name_is_terminated(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_DUMP), 0);
	assert_int_equal(npf_io_control(world->instance, NPF_BIOCSETDUMPFILENAME, "abc", 3, NULL, 0,
					NULL),
			 0);
	assert_non_null(npf_sim_file(world->host, "ab"));
}

/* ---- item 14: reading meanwhile ------------------------------------------------------------ */

static void item_14_read_waits_and_returns_nothing(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	assert_int_equal(npf_set_timeout(world->instance, 50), 0);
	send_mixed(world, 0, 5);

	uint64_t before = world_now(world);

	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 0);
	assert_int_equal(world_now(world), before + 50 * MS);
	assert_int_equal(npf_batch_begin(world->instance), 0);
	assert_int_equal(npf_set_timeout(world->instance, -1), 0);
	before = world_now(world);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 0);
	assert_int_equal(world_now(world), before);
}

static void item_14_reaching_a_limit_wakes(void **state)
{
	struct world *world = *state;

	assert_int_equal(set_limits(world, 0, 3), 0);
	begin(world, "a");
	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	for (uint32_t i = 0; i < 3; i++)
		send_at(world, world_now(world) + (i + 1) * MS, 0, 60, i);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 0);
	assert_int_equal(is_ended(world), 1);
	assert_true(world_now(world) < 200 * MS);
}

static void item_14_statistics_tell_the_length_of_the_file(void **state)
{
	struct world *world = *state;
	int64_t packets;
	uint64_t offset;

	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT_DUMP), 0);
	assert_int_equal(set_name(world, "a"), 0);
	assert_int_equal(npf_set_timeout(world->instance, 500), 0);
	send_mixed(world, 0, 30);
	assert_int_equal(npf_read(world->instance, world->buffer, NPF_STAT_RECORD_SIZE), -ENOBUFS);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), NPF_STAT_DUMP_RECORD_SIZE);
	memcpy(&packets, world->buffer + NPF_STAT_PACKETS_OFFSET, sizeof(packets));
	memcpy(&offset, world->buffer + NPF_STAT_DUMP_OFFSET, sizeof(offset));
	assert_int_equal(packets, 30);
	assert_int_equal(offset, size_of(30));

	struct npf_bpf_hdr header;

	memcpy(&header, world->buffer, sizeof(header));
	assert_int_equal(header.caplen, 24);
	npf_cleanup(world->instance);
	assert_int_equal(check_file(world, "a", 0), 30);
}

static void item_14_statistics_go_on_after_the_end(void **state)
{
	struct world *world = *state;
	int64_t packets;

	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT_DUMP), 0);
	assert_int_equal(set_limits(world, 0, 4), 0);
	assert_int_equal(set_name(world, "a"), 0);
	assert_int_equal(npf_set_timeout(world->instance, 500), 0);
	send_mixed(world, 0, 4);
	npf_sim_advance(world->host, 200 * MS);
	assert_int_equal(is_ended(world), 1);
	send_mixed(world, 4, 10);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), NPF_STAT_DUMP_RECORD_SIZE);
	memcpy(&packets, world->buffer + NPF_STAT_PACKETS_OFFSET, sizeof(packets));
	assert_int_equal(packets, 10);
	assert_int_equal(check_file(world, "a", 0), 4);
}

/* ---- modes and buffers --------------------------------------------------------------------- */

static void mode_sets_min_to_copy_and_capture_goes_on_after_it(void **state)
{
	struct world *world = *state;

	send_many(world, 3, 60, 0);
	begin(world, "a");
	assert_int_equal(stats_of(world->instance).received, 0);
	send_mixed(world, 0, 3);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	send_many(world, 3, 60, 7);
	assert_int_equal(read_all(world, 60, 7), 3);
}

static void buffer_of_a_running_dump_stays(void **state)
{
	struct world *world = *state;

	begin(world, "a");
	assert_fails(world->instance, npf_set_buffer(world->instance, 1 << 20), -EBUSY);
	send_mixed(world, 0, 30);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_file(world, "a", 0), 30);
	assert_int_equal(npf_set_buffer(world->instance, 1 << 20), 0);
	assert_int_equal(set_name(world, "b"), 0);
	send_mixed(world, 5, 30);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_file(world, "b", 5), 25);
}

static void full_buffer_drops_and_counts(void **state)
{
	struct world *world = *state;
	struct npf_dump_status status;
	uint32_t n = 0;

	begin(world, "a");
	while (stats_of(world->instance).dropped < 10)
		send_numbered(world, 0, 1000, n++);
	npf_sim_advance(world->host, MS);

	struct npf_stats stats = stats_of(world->instance);

	assert_int_equal(stats.received, n);
	assert_int_equal(stats.dropped_by[NPF_DROP_FULL], 10);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.packets, n - 10);
	assert_int_equal(status.lost, 0);
	assert_true(status.buffer_most <= status.buffer_size);
	assert_true(status.buffer_most > status.buffer_size - 1100);
}

static void filter_can_change_under_a_dump(void **state)
{
	struct npf_insn insns[] = { INSN_RET(0) };
	struct npf_program program = PROGRAM(insns);
	struct world *world = *state;

	begin(world, "a");
	send_mixed(world, 0, 10);
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	send_mixed(world, 10, 20);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_file(world, "a", 0), 10);
}

static void adapter_that_goes_leaves_a_whole_file(void **state)
{
	struct world *world = *state;
	struct npf_dump_status status;

	begin(world, "a");
	for (uint32_t i = 0; i < 15; i++)
		send_numbered(world, 0, length_of(i), i);
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth0"), 0);
	npf_sim_advance(world->host, 200 * MS);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_GONE);
	assert_int_equal(status.error, 0);
	assert_int_equal(is_ended(world), 1);
	assert_int_equal(check_file(world, "a", 0), 15);
	assert_int_equal(npf_dump_stop(world->instance), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_14_file_holds_what_came),
		CAPTURING(item_14_whole_pages_go_straight_to_the_disk),
		CAPTURING(item_14_filter_and_cut_apply),
		CAPTURING(item_14_stamps_are_of_the_arrival),
		CAPTURING(item_14_packets_before_the_name_are_in_it),
		CAPTURING(item_14_no_time_is_special),
		CAPTURING(item_14_closing_flushes),
		CAPTURING(item_14_a_packet_is_not_kept_longer_than_a_second),
		CAPTURING(item_14_disk_is_asked_to_keep_it),
		CAPTURING(item_14_disk_that_is_busy_is_asked_again),
		CAPTURING(page_cache_that_is_used_after_all_is_told),
		CAPTURING(item_14_no_file_exceeds_its_bytes),
		CAPTURING(item_14_packets_are_limited_exactly),
		CAPTURING(item_14_limits_can_follow_the_name),
		CAPTURING(item_14_what_comes_after_the_end_is_not_there),
		CAPTURING(item_14_short_or_absurd_limits_are_refused),
		CAPTURING(item_14_second_name_goes_on_without_loss),
		CAPTURING(item_14_second_name_after_a_limit),
		CAPTURING(item_14_name_after_preparing),
		CAPTURING(item_14_same_name_begins_anew),
		CAPTURING(item_14_second_name_fails_and_changes_nothing),
		CAPTURING(what_the_disk_refuses_in_the_end_is_told),
		CAPTURING(item_14_same_name_fails_and_changes_nothing),
		CAPTURING(item_14_same_name_on_a_full_disk),
		CAPTURING(item_14_name_that_fails_empties_nothing),
		CAPTURING(item_14_name_wants_dump_mode_and_a_buffer),
		CAPTURING(item_14_name_is_terminated),
		CAPTURING(item_14_read_waits_and_returns_nothing),
		CAPTURING(item_14_reaching_a_limit_wakes),
		CAPTURING(item_14_statistics_tell_the_length_of_the_file),
		CAPTURING(item_14_statistics_go_on_after_the_end),
		CAPTURING(mode_sets_min_to_copy_and_capture_goes_on_after_it),
		CAPTURING(buffer_of_a_running_dump_stays),
		CAPTURING(full_buffer_drops_and_counts),
		CAPTURING(filter_can_change_under_a_dump),
		CAPTURING(adapter_that_goes_leaves_a_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
