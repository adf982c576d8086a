/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps to many files: rotation by each limit and by request, limits of all files, what pcapng tells
 * besides, and what is refused.
 */
#include "driver/core.h"
#include "sim/dump_files.h"

/* ---- rotation ------------------------------------------------------------------------------ */

static void files_of_so_many_packets(void **state)
{
	struct world *world = *state;
	static struct files files;

	for (uint32_t each = 1; each < 40; each++) {
		struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);

		options.file_packets = each;
		start(world, &options);
		send_range(world, 0, 200, 300);
		assert_int_equal(npf_dump_stop(world->instance), 0);
		assert_int_equal(check_all(&files, 200).packets, 200);
		assert_int_equal(files.n_done, (200 + each - 1) / each);
		for (uint32_t n = 0; n + 1 < files.n_done; n++) {
			assert_int_equal(files.done[n].packets, each);
			assert_int_equal(files.done[n].end, NPF_DUMP_PACKETS);
		}
		if (each < 39)
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		world = *state;
	}
}

static void files_of_so_many_bytes(void **state)
{
	struct world *world = *state;
	static struct files files;

	for (uint32_t bytes = 500; bytes < 40000; bytes += 1237) {
		struct npf_dump_options options = options_for(&files, world, bytes % 3);

		options.file_bytes = bytes;
		start(world, &options);
		send_range(world, 0, 150, 250);
		assert_int_equal(npf_dump_stop(world->instance), 0);
		assert_int_equal(check_all(&files, 150).packets, 150);
		for (uint32_t n = 0; n + 1 < files.n_done; n++) {
			assert_true(files.done[n].bytes <= bytes);
			assert_true(files.done[n].bytes + 300 > bytes);
			assert_int_equal(files.done[n].end, NPF_DUMP_BYTES);
		}
		if (bytes + 1237 < 40000)
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		world = *state;
	}
}

static void packet_longer_than_a_file_gets_one_of_its_own(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);

	options.file_bytes = 200;
	start(world, &options);
	send_range(world, 0, 10, 1000);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 10).packets, 10);
	assert_int_equal(files.n_done, 10);
}

/* A packet of a millisecond each; the stamp decides, not when the thread looks. */
static void files_of_so_long(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);

	options.file_ns = 50 * MS;
	start(world, &options);
	send_range(world, 0, 1000, 100);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 1000).packets, 1000);
	assert_int_equal(files.n_done, 20);
	for (uint32_t n = 0; n < files.n_done; n++) {
		assert_int_equal(files.done[n].packets, 50);
		if (n)
			assert_int_equal(files.done[n].time - files.done[n - 1].time, 50 * MS);
	}
}

static void windows_of_the_provider_are_kept(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);

	npf_sim_advance(world->host, 33 * MS + 7);
	files.window = 100 * MS;
	start(world, &options);
	send_range(world, 0, 500, 100);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 500).packets, 500);
	assert_int_equal(files.n_done, 6);
	assert_int_equal(files.done[0].packets, 67);
	for (uint32_t n = 1; n < 5; n++)
		assert_int_equal(files.done[n].packets, 100);
}

/* Nobody waits for the end of a file that has its time behind it, and none is made for nothing. */
static void silence_ends_a_file_and_begins_none(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);

	options.file_ns = 50 * MS;
	start(world, &options);
	send_range(world, 0, 10, 100);
	npf_sim_advance(world->host, 5000 * MS);
	assert_int_equal(files.n_done, 1);
	assert_int_equal(files.asked, 1);
	assert_int_equal(files.done[0].end, NPF_DUMP_TIME);
	send_range(world, 10, 20, 100);
	let_pass(world);
	assert_int_equal(files.asked, 2);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 20).packets, 20);
	assert_int_equal(files.n_done, 2);
}

static void next_on_request(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);

	start(world, &options);
	for (uint32_t i = 0; i < 20; i++) {
		send_range(world, 10 * i, 10 * i + 10, 100 + i);
		assert_int_equal(npf_dump_rotate(world->instance), 0);
		assert_int_equal(npf_dump_rotate(world->instance), 0);
		let_pass(world);
	}
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 200).packets, 200);
	assert_int_equal(files.n_done, 20);
	assert_int_equal(files.done[3].end, NPF_DUMP_ROTATED);
	assert_fails(world->instance, npf_dump_rotate(world->instance), -EINVAL);
}

static void end_of_the_provider_ends_the_dump(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);
	struct npf_dump_status status;

	options.file_packets = 10;
	files.most = 3;
	start(world, &options);
	send_range(world, 0, 50, 100);
	let_pass(world);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_FILES);
	assert_int_equal(check_all(&files, 0).packets, 30);
	assert_int_equal(npf_dump_stop(world->instance), 0);
}

static void failure_of_the_provider_ends_the_dump(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);
	struct npf_dump_status status;

	options.file_packets = 10;
	files.fail = -EACCES;
	start(world, &options);
	for (uint32_t i = 0; i < 50; i++)
		send_numbered(world, 0, 100, i);
	let_pass(world);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_FAILED);
	assert_int_equal(status.error, -EACCES);
	assert_string_equal(status.message, "the provider had enough");
	assert_int_equal(status.lost, 40);
	assert_int_equal(check_all(&files, 50).packets, 10);
	assert_fails(world->instance, npf_dump_stop(world->instance), -EACCES);
}

/* ---- limits of all files ------------------------------------------------------------------- */

static void bytes_of_all_files_are_limited(void **state)
{
	struct world *world = *state;
	static struct files files;

	for (uint32_t bytes = 2000; bytes < 12000; bytes += 1111) {
		struct npf_dump_options options = options_for(&files, world, bytes % 3);

		options.file_bytes = 1500;
		options.max_bytes = bytes;
		start(world, &options);
		send_range(world, 0, 300, 100);
		let_pass(world);
		assert_true(npf_dump_stop(world->instance) == 0);

		struct sum sum = check_all(&files, 0);

		assert_true(sum.bytes <= bytes);
		assert_true(sum.bytes + 600 > bytes);
		if (bytes + 1111 < 12000)
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
		world = *state;
	}
}

static void packets_of_all_files_are_limited(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);
	struct npf_dump_status status;

	options.file_packets = 7;
	options.max_packets = 21;
	start(world, &options);
	send_range(world, 0, 100, 100);
	let_pass(world);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_PACKETS);
	assert_int_equal(check_all(&files, 0).packets, 21);
	assert_int_equal(files.n_done, 3);
}

static void time_of_all_files_is_limited(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);
	struct npf_dump_status status;

	options.max_ns = 123 * MS;
	start(world, &options);
	send_range(world, 0, 400, 100);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_TIME);
	assert_int_equal(check_all(&files, 0).packets, 123);
}

static void time_ends_silence(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);
	struct npf_dump_status status;

	options.max_ns = 70 * MS;
	start(world, &options);
	npf_sim_advance(world->host, 71 * MS);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_TIME);
	assert_int_equal(check_all(&files, 0).packets, 0);
	assert_int_equal(files.n_done, 1);
}

/* Somebody sets the clock of the wall, by hours: limits of time do not care. */
static void time_is_no_matter_of_the_wall_clock(void **state)
{
	static const int64_t steps[] = { 3600000 * (int64_t)MS, -3600000 * (int64_t)MS };
	static struct files files;

	for (size_t i = 0; i < N_OF(steps); i++) {
		struct world *world = *state;
		struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);
		struct npf_dump_status status;

		files.clock_set = true;
		options.max_ns = 1000 * MS;
		start(world, &options);
		send_range(world, 0, 300, 100);
		npf_sim_step_wall(world->host, steps[i]);
		send_range(world, 300, 900, 100);
		assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
		assert_int_equal(status.end, NPF_DUMP_RUNNING);
		send_range(world, 900, 1200, 100);
		assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
		assert_int_equal(status.end, NPF_DUMP_TIME);
		assert_int_equal(check_all(&files, 0).packets, 1000);
		if (i + 1 < N_OF(steps))
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
	}
}

/* Set back while a CPU is in the tap, so that the thread looks often before it may take anything:
 * what was stamped by the clock of before is still of now. */
static void clock_is_set_while_a_cpu_is_in_the_tap(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);
	struct npf_cpu *cpu;
	struct npf_dump_status status;

	files.clock_set = true;
	options.max_ns = 60 * 1000 * (uint64_t)MS;
	options.file_packets = 30; /* so that each packet is looked at */
	start(world, &options);
	let_pass(world);
	cpu = (struct npf_cpu *)(uintptr_t)&world->instance->view.cpus[1];
	for (uint32_t i = 0; i < 50; i++)
		send_numbered(world, 0, 100, i);
	cpu->begun++;
	npf_sim_step_wall(world->host, -3600000 * (int64_t)MS);
	npf_sim_advance(world->host, 200 * MS);
	cpu->done++;
	npf_sim_advance(world->host, 200 * MS);
	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_equal(status.end, NPF_DUMP_RUNNING);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 50).packets, 50);
}

/* The files around the step may be longer or shorter, no others. */
static void files_of_so_long_under_a_clock_that_is_set(void **state)
{
	static const int64_t steps[] = { 3600000 * (int64_t)MS, -3600000 * (int64_t)MS };
	static struct files files;

	for (size_t i = 0; i < N_OF(steps); i++) {
		struct world *world = *state;
		struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP_NS);

		files.clock_set = true;
		options.file_ns = 200 * MS;
		start(world, &options);
		send_range(world, 0, 1050, 100);
		npf_sim_step_wall(world->host, steps[i]);
		send_range(world, 1050, 2000, 100);
		assert_int_equal(npf_dump_stop(world->instance), 0);
		assert_int_equal(check_all(&files, 2000).packets, 2000);
		assert_in_range(files.n_done, 9, 12);
		for (uint32_t n = 0; n + 1 < files.n_done; n++)
			if (n < 5 || n > 7)
				assert_int_equal(files.done[n].packets, 200);
		if (i + 1 < N_OF(steps))
			assert_int_equal(world_teardown(state) || capturing_setup(state), 0);
	}
}

/* ---- pcapng -------------------------------------------------------------------------------- */

static void direction_and_counters_are_told(void **state)
{
	static const struct {
		uint32_t type, flags;
	} cases[] = {
		{ NPF_TO_HOST, 1 | 1 << 2 },
		{ NPF_TO_BROADCAST, 1 | 3 << 2 },
		{ NPF_TO_MULTICAST, 1 | 2 << 2 },
		{ NPF_TO_OTHER, 1 | 4 << 2 },
		{ NPF_FROM_HOST, 2 },
	};
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);
	struct savefile save;
	uint8_t data[61];

	options.filter = "udp port 53";
	options.application = "a test";
	options.comment = "nothing";
	options.os = "none";
	options.hardware = "less";
	options.snaplen = 1234;
	assert_int_equal(npf_set_hw_filter(world->instance, NPF_FILTER_PROMISCUOUS), 0);
	start(world, &options);
	for (uint32_t i = 0; i < N_OF(cases); i++) {
		struct npf_sim_frame frame = { .data = data,
					       .length = 57 + i,
					       .packet_type = cases[i].type };

		numbered_frame(data, frame.length, i);
		assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	}
	assert_int_equal(npf_dump_stop(world->instance), 0);
	savefile_open(&save, numbered(world, 0)->data, numbered(world, 0)->size);
	assert_int_equal(save.snaplen, 1234);
	assert_int_equal(save.link_type, 1);
	for (uint32_t i = 0; i < N_OF(cases); i++) {
		assert_true(savefile_next(&save));
		assert_int_equal(savefile_frame(&save), i);
		assert_int_equal(save.flags, cases[i].flags);
	}
	assert_false(savefile_next(&save));
	assert_true(save.ended);
	assert_int_equal(save.received, N_OF(cases));
	assert_int_equal(save.dropped, 0);
}

static void header_longer_than_a_page(void **state)
{
	struct world *world = *state;
	static struct files files;
	static char text[9000];
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);

	memset(text, 'x', sizeof(text) - 1);
	options.filter = text;
	options.file_packets = 50;
	start(world, &options);
	send_range(world, 0, 200, 700);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 200).packets, 200);
	assert_int_equal(files.n_done, 4);
}

static void header_longer_than_possible_is_refused(void **state)
{
	struct world *world = *state;
	static struct files files;
	static char text[70000];
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);

	memset(text, 'x', sizeof(text) - 1);
	options.filter = text;
	assert_fails(world->instance, npf_dump_start(world->instance, &options), -EINVAL);
	options.filter = NULL;
	options.comment = text;
	assert_fails(world->instance, npf_dump_start(world->instance, &options), -EINVAL);
	assert_int_equal(files.asked, 0);
}

/* ---- bad requests -------------------------------------------------------------------------- */

static void refuse(struct world *world, const struct npf_dump_options *options)
{
	assert_fails(world->instance, npf_dump_start(world->instance, options), -EINVAL);
}

static void absurd_options_are_refused(void **state)
{
	struct world *world = *state;
	static struct files files;
	const struct npf_dump_options good = options_for(&files, world, NPF_DUMP_PCAP);
	struct npf_dump_options bad = good;
	struct {
		struct npf_dump_options options;
		uint32_t more;
	} later = { .options = good, .more = 1 };

	later.options.size = sizeof(later);
	refuse(world, &later.options);
	bad.size = 8;
	refuse(world, &bad);
	bad = good;
	bad.format = 3;
	refuse(world, &bad);
	bad = good;
	bad.path = "x";
	refuse(world, &bad);
	bad.next = NULL;
	bad.path = "";
	refuse(world, &bad);
	bad.path = NULL;
	refuse(world, &bad);
	bad.path = "x";
	bad.file_packets = 1;
	refuse(world, &bad);
	bad = good;
	bad.max_bytes = 23;
	refuse(world, &bad);
	assert_int_equal(files.asked, 0);
	assert_fails(world->instance, npf_dump_stop(world->instance), -EINVAL);
	send_many(world, 3, 60, 0);
	assert_int_equal(read_all(world, 60, 0), 3);
}

/* What needs privileges is done beforehand: the start makes no ring any more. */
static void prepared_dump_needs_no_new_buffer(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAPNG);
	uint64_t before;

	assert_fails(world->instance, npf_dump_prepare(world->instance, (enum npf_dump_format)3),
		     -EINVAL);
	for (int round = 0; round < 2; round++) {
		options = options_for(&files, world, NPF_DUMP_PCAPNG);
		assert_int_equal(npf_dump_prepare(world->instance, NPF_DUMP_PCAPNG), 0);
		send_range(world, 0, 10, 100);
		assert_int_equal(stats_of(world->instance).received, 0);
		before = npf_sim_operations(world->host);
		start(world, &options);
		/* The adapter, the dump, its stage, its file and what that is, its worker twice. */
		assert_int_equal(npf_sim_operations(world->host) - before, 7);
		assert_fails(world->instance, npf_dump_prepare(world->instance, NPF_DUMP_PCAP),
			     -EBUSY);
		send_range(world, 10, 20, 100);
		assert_int_equal(npf_dump_stop(world->instance), 0);
		assert_int_equal(check_all(&files, 10).packets, 10);
	}
	assert_int_equal(npf_dump_prepare(world->instance, NPF_DUMP_PCAP), 0);
	options = options_for(&files, world, NPF_DUMP_PCAPNG);
	start(world, &options); /* of another format: it prepares by itself */
	send_range(world, 0, 10, 100);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 10).packets, 10);
}

static void one_dump_at_a_time(void **state)
{
	struct world *world = *state;
	static struct files files;
	struct npf_dump_options options = options_for(&files, world, NPF_DUMP_PCAP);

	start(world, &options);
	assert_fails(world->instance, npf_dump_start(world->instance, &options), -EBUSY);
	send_range(world, 0, 10, 100);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(npf_dump_stop(world->instance), 0);
	assert_int_equal(check_all(&files, 10).packets, 10);
	options = options_for(&files, world, NPF_DUMP_PCAPNG);
	start(world, &options);
	send_range(world, 0, 10, 100);
	npf_cleanup(world->instance);
	assert_int_equal(files.n_done, 1);
	assert_int_equal(files.done[0].packets, 10);
	assert_fails(world->instance, npf_dump_stop(world->instance), -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(files_of_so_many_packets),
		CAPTURING(files_of_so_many_bytes),
		CAPTURING(packet_longer_than_a_file_gets_one_of_its_own),
		CAPTURING(files_of_so_long),
		CAPTURING(windows_of_the_provider_are_kept),
		CAPTURING(silence_ends_a_file_and_begins_none),
		CAPTURING(next_on_request),
		CAPTURING(end_of_the_provider_ends_the_dump),
		CAPTURING(failure_of_the_provider_ends_the_dump),
		CAPTURING(bytes_of_all_files_are_limited),
		CAPTURING(packets_of_all_files_are_limited),
		CAPTURING(time_of_all_files_is_limited),
		CAPTURING(time_ends_silence),
		CAPTURING(time_is_no_matter_of_the_wall_clock),
		CAPTURING(clock_is_set_while_a_cpu_is_in_the_tap),
		CAPTURING(files_of_so_long_under_a_clock_that_is_set),
		CAPTURING(direction_and_counters_are_told),
		CAPTURING(header_longer_than_a_page),
		CAPTURING(header_longer_than_possible_is_refused),
		CAPTURING(absurd_options_are_refused),
		CAPTURING(prepared_dump_needs_no_new_buffer),
		CAPTURING(one_dump_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
