/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps to many files that have it hard: at random and in bursts, under every fault of every
 * operation, on a disk that gets full.
 */
#include "sim/dump_files.h"

#define RECORD_HEADER 16u
#define FAULT         (-EIO)

/* ---- at random ----------------------------------------------------------------------------- */

static uint32_t draw(uint64_t *seed, uint32_t n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33) % n;
}

/* grid: records whose sizes are multiples of it, so that files begin in phase by chance. */
static void send_burst(struct world *world, uint64_t *seed, uint32_t *number, uint32_t grid)
{
	uint32_t n = draw(seed, 12) ? draw(seed, 30) : draw(seed, 300);
	uint32_t most = 1 + draw(seed, 1500);

	while (n--)
		send_numbered(world, draw(seed, N_CPUS),
			      grid ? grid * (1 + draw(seed, 3)) - RECORD_HEADER
				   : 4 + draw(seed, most),
			      (*number)++);
}

static void run_at_random(void **state, uint64_t seed)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, draw(&seed, 3));
	uint32_t number = 0;
	uint32_t grid = draw(&seed, 2) ? 0 : 64u << draw(&seed, 4);

	npf_sim_set_direct(world->host, draw(&seed, 4));
	if (draw(&seed, 2))
		options.file_packets = 1 + draw(&seed, 60);
	if (draw(&seed, 2))
		options.file_bytes = 200 + draw(&seed, 60000);
	if (draw(&seed, 3) == 0)
		options.file_ns = (1 + draw(&seed, 400)) * MS;
	if (draw(&seed, 5) == 0)
		options.max_packets = 1 + draw(&seed, 3000);
	if (draw(&seed, 5) == 0)
		options.max_bytes = 1000 + draw(&seed, 900000);
	start(world, &options);
	for (int step = 0; step < 150 && files.n_done < MOST_FILES - 400; step++) {
		send_burst(world, &seed, &number, grid);
		if (draw(&seed, 20) == 0)
			npf_dump_rotate(world->instance);
		if (draw(&seed, 3))
			npf_sim_advance(world->host,
					draw(&seed, 20) ? draw(&seed, 5 * (int)MS) : 1500 * MS);
	}
	assert_int_equal(npf_dump_stop(world->instance), 0);

	bool limited = options.max_packets || options.max_bytes;
	struct sum sum = check_all(&files, limited ? 0 : number);

	if (options.max_packets)
		assert_true(sum.packets <= options.max_packets);
	if (options.max_bytes)
		assert_true(sum.bytes <= options.max_bytes);
	for (uint32_t n = 0; n < files.n_done; n++) {
		if (options.file_packets)
			assert_true(files.done[n].packets <= options.file_packets);
		if (options.file_bytes && files.done[n].packets > 1)
			assert_true(files.done[n].bytes <= options.file_bytes);
	}
}

static void anything_at_random_adds_up(void **state)
{
	for (uint64_t seed = 1; seed <= 800; seed++) {
		if (seed > 1)
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		run_at_random(state, seed);
	}
}

/* ---- faults -------------------------------------------------------------------------------- */

/* A busy dump over several files; the nth operation of the host fails. true: there was an nth. */
static bool dump_with_fault(void **state, uint64_t nth, enum npf_dump_format format, bool direct)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, format);
	struct npf_dump_status status;
	uint32_t sent = 0;

	options.file_bytes = 30000;
	npf_sim_set_direct(world->host, direct);

	size_t memory = npf_sim_memory(world->host);
	uint64_t before = npf_sim_operations(world->host);

	npf_sim_fail(world->host, nth, FAULT);

	int err = npf_dump_start(world->instance, &options);

	if (err) {
		assert_true(err == FAULT || err == -ENOMEM);
		assert_true(strlen(npf_error(world->instance)) > 10);
		assert_int_equal(files.asked, files.n_done);
		assert_int_equal(npf_sim_memory(world->host), memory);
		npf_sim_fail(world->host, 0, 0);
		send_many(world, 3, 60, 0);
		assert_int_equal(read_all(world, 60, 0), 3); /* capture goes on */
		return true;
	}
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 12; i++, sent++)
			send_numbered(world, sent % N_CPUS, 60 + sent * 53 % 700, sent);
		npf_sim_advance(world->host, round % 5 ? MS : 1300 * MS);
	}
	err = npf_dump_stop(world->instance);

	bool met = npf_sim_operations(world->host) - before >= nth;

	npf_sim_fail(world->host, 0, 0);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(err, status.error);
	assert_true(!err || status.end == NPF_DUMP_FAILED);
	assert_true(!err == !status.message[0]);
	assert_int_equal(files.asked, files.n_done);
	check_all(&files, err ? 0 : sent);
	return met;
}

static void run_all_faults(void **state, enum npf_dump_format format, bool direct)
{
	uint64_t nth = 1;

	while (dump_with_fault(state, nth, format, direct)) {
		assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		nth++;
	}
	assert_true(nth > 40);
}

static void every_fault_leaves_whole_files(void **state)
{
	run_all_faults(state, NPF_DUMP_PCAP_NS, true);
}

static void every_fault_leaves_whole_files_pcapng(void **state)
{
	run_all_faults(state, NPF_DUMP_PCAPNG, true);
}

static void every_fault_leaves_whole_files_cached(void **state)
{
	run_all_faults(state, NPF_DUMP_PCAPNG, false);
}

/* The disk has room for so much and not more. */
static void fill_disk(void **state, uint64_t bytes, enum npf_dump_format format)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, format);
	struct npf_dump_status status;
	uint32_t sent = 0;

	options.file_packets = 60;
	npf_sim_set_disk(world->host, bytes);
	start(world, &options);
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 12; i++, sent++)
			send_numbered(world, 0, 60 + sent * 53 % 700, sent);
		npf_sim_advance(world->host, round % 5 ? MS : 1300 * MS);
	}
	assert_fails(world->instance, npf_dump_stop(world->instance), -ENOSPC);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_FULL);
	assert_int_equal(files.done[files.n_done - 1].end, NPF_DUMP_FULL);

	struct sum sum = check_all(&files, 0);

	assert_true(sum.bytes <= bytes);
	/* All that fits: but for a record, and the page that had no room. */
	assert_true(sum.bytes + 900 + 4096 > bytes);
}

static void full_disk_ends_on_a_whole_record(void **state)
{
	for (uint64_t bytes = 0; bytes < 120000; bytes += 1999) {
		if (bytes)
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		fill_disk(state, bytes, bytes % 3);
	}
}

/* The disk is full, and something else fails as well: taking back what is no whole packet, for one. */
static void full_disk_that_does_not_even_shrink(void **state)
{
	unsigned int told = 0;

	for (uint64_t nth = 1; nth < 60; nth++) {
		struct world *world = *state;
		static struct files files;
		struct npf_dump_options options = options_for(&files, world, nth % 3);
		struct npf_dump_status status;

		files.uncut = true;
		npf_sim_set_disk(world->host, 30000);
		start(world, &options);
		npf_sim_fail(world->host, nth, -EDQUOT);
		send_range(world, 0, 60, 1000);
		assert_true(npf_dump_stop(world->instance) < 0);
		npf_sim_fail(world->host, 0, 0);
		assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
		assert_int_equal(status.end, NPF_DUMP_FULL);
		check_all(&files, 0);
		told += strstr(status.message, "npf repair") != NULL;
		if (nth < 59)
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
	}
	assert_in_range(told, 1, 5);
}

/* The part of the trailer that there was room for cannot be taken back: it is told as well. */
static bool fill_disk_with_fault(void **state, uint64_t bytes, uint64_t nth, uint32_t *rests)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);
	struct npf_dump_status status;
	uint64_t rest = 0;

	npf_sim_set_direct(world->host, true);
	npf_sim_set_disk(world->host, bytes);
	start(world, &options);

	uint64_t before = npf_sim_operations(world->host);

	npf_sim_fail(world->host, nth, FAULT);
	send_range(world, 0, 30, 600);
	assert_true(npf_dump_stop(world->instance) < 0);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	for (uint32_t i = 0; i < files.n_done; i++)
		rest += numbered(world, i)->size - files.done[i].bytes;
	assert_true(!rest || strstr(status.message, "npf repair"));
	assert_int_equal(files.n_done, files.asked);
	*rests += !!rest;
	return npf_sim_operations(world->host) - before >= nth;
}

static void full_disk_that_keeps_half_a_trailer(void **state)
{
	uint32_t rests = 0;
	uint64_t nth = 1;

	for (uint64_t bytes = 8400; bytes < 9100; nth++) {
		if (!fill_disk_with_fault(state, bytes, nth, &rests)) {
			assert_true(nth > 5);
			bytes += 30;
			nth = 0;
		}
		assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
	}
	assert_true(rests > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(anything_at_random_adds_up),
		CAPTURING(every_fault_leaves_whole_files),
		CAPTURING(every_fault_leaves_whole_files_pcapng),
		CAPTURING(every_fault_leaves_whole_files_cached),
		CAPTURING(full_disk_ends_on_a_whole_record),
		CAPTURING(full_disk_that_does_not_even_shrink),
		CAPTURING(full_disk_that_keeps_half_a_trailer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
