/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps to many files: rotation by each limit and by request, at random and in bursts, under every
 * fault of every operation, on a disk that gets full. What holds in all of them: each file is whole
 * by its format, the files together have the frames in their order, and not one is unaccounted for.
 */
#include "driver/core.h"
#include "lib/savefile.h"
#include "lib/world.h"

#include <stdio.h>

#define MOST_FILES    4000
#define RECORD_HEADER 16u
#define FAULT         (-EIO)

/* A provider of files "0", "1", ..., and what it learned. */
struct files {
	struct world *world;
	uint32_t asked, n_done;
	uint32_t most;   /* files that there are, 0: no end */
	int fail;        /* what next() answers instead, 0: nothing of that */
	bool uncut;      /* the last file may be longer than what is whole of it */
	bool clock_set;  /* somebody sets the clock: stamps may go back */
	uint64_t window; /* until is set to the end of such a window, 0: not */
	struct npf_dump_file done[MOST_FILES];
};

static int next_file(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	struct files *files = arg;
	char name[16];

	assert_int_equal(file->number, files->asked);
	assert_int_equal(file->fd, -1);
	if (files->most && files->asked == files->most)
		return 1;
	if (files->fail && files->asked) {
		snprintf(error, NPF_ERROR_SIZE, "the provider had enough");
		return files->fail;
	}
	snprintf(name, sizeof(name), "%u", files->asked++);
	file->fd = npf_sim_make_file(files->world->host, name);
	if (files->window)
		file->until = file->time - file->time % files->window + files->window;
	return 0;
}

static void file_done(void *arg, const struct npf_dump_file *file)
{
	struct files *files = arg;

	assert_int_equal(file->number, files->n_done);
	assert_true(files->n_done < MOST_FILES);
	files->done[files->n_done++] = *file;
}

static struct npf_dump_options options_for(struct files *files, struct world *world,
					   enum npf_dump_format format)
{
	memset(files, 0, sizeof(*files));
	files->world = world;
	return (struct npf_dump_options){
		.size = sizeof(struct npf_dump_options),
		.format = format,
		.next = next_file,
		.done = file_done,
		.arg = files,
	};
}

static void send_numbered(struct world *world, uint32_t cpu, uint32_t length, uint32_t number)
{
	uint8_t data[FRAME_MAX];
	struct npf_sim_frame frame = { .data = data, .length = length, .cpu = cpu };

	numbered_frame(data, length, number);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
}

static void send_range(struct world *world, uint32_t from, uint32_t to, uint32_t length)
{
	for (uint32_t i = from; i < to; i++) {
		send_numbered(world, i % N_CPUS, length, i);
		npf_sim_advance(world->host, MS);
	}
}

static const struct npf_sim_file *numbered(struct world *world, uint32_t n)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", n);

	const struct npf_sim_file *file = npf_sim_file(world->host, name);

	assert_non_null(file);
	return file;
}

struct sum {
	uint64_t packets, bytes;
	uint32_t last; /* number of the last frame, plus one */
};

/* Walk file n: frames ascend, its numbers are what done() was told. */
static void check_one(struct files *files, uint32_t n, struct sum *sum)
{
	const struct npf_sim_file *file = numbered(files->world, n);
	const struct npf_dump_file *told = &files->done[n];
	struct savefile save;
	uint64_t packets = 0;

	assert_int_equal(file->opens, 0);
	if (!files->clock_set)
		assert_true(told->ended >= told->time);
	assert_true(told->dropped <= stats_of(files->world->instance).dropped);
	if (files->uncut && n + 1 == files->n_done)
		assert_true(file->size >= told->bytes);
	else
		assert_int_equal(file->size, told->bytes);
	sum->bytes += told->bytes;
	if (!told->bytes)
		return; /* nothing could be written */
	savefile_open(&save, file->data, told->bytes);
	save.any_time = files->clock_set;
	while (savefile_next(&save)) {
		uint32_t number = savefile_frame(&save);

		assert_true(number >= sum->last);
		sum->last = number + 1;
		packets++;
	}
	assert_int_equal(packets, told->packets);
	sum->packets += packets;
	if (save.ended)
		assert_int_equal(save.written, sum->packets);
}

/* And all of them together: sent = written + dropped + lost. */
static struct sum check_all(struct files *files, uint64_t sent)
{
	struct world *world = files->world;
	struct npf_stats stats = stats_of(world->instance);
	struct npf_dump_status status;
	struct sum sum = { 0 };

	assert_int_equal(npf_dump_get_status(world->instance, &status), 0);
	assert_int_not_equal(status.end, NPF_DUMP_RUNNING);
	for (uint32_t n = 0; n < files->n_done; n++)
		check_one(files, n, &sum);
	assert_int_equal(status.packets, sum.packets);
	assert_int_equal(status.bytes, sum.bytes);
	assert_int_equal(stats.captured, sum.packets + status.lost);
	assert_int_equal(stats.received, stats.captured + stats.dropped);
	if (sent)
		assert_int_equal(sent, sum.packets + status.lost + stats.dropped);
	return sum;
}

static void start(struct world *world, const struct npf_dump_options *options)
{
	int err = npf_dump_start(world->instance, options);

	if (err)
		fail_msg("%s", npf_error(world->instance));
}

static void let_pass(struct world *world)
{
	npf_sim_advance(world->host, 200 * MS);
}

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
		CAPTURING(anything_at_random_adds_up),
		CAPTURING(direction_and_counters_are_told),
		CAPTURING(header_longer_than_a_page),
		CAPTURING(header_longer_than_possible_is_refused),
		CAPTURING(every_fault_leaves_whole_files),
		CAPTURING(every_fault_leaves_whole_files_pcapng),
		CAPTURING(every_fault_leaves_whole_files_cached),
		CAPTURING(full_disk_ends_on_a_whole_record),
		CAPTURING(full_disk_that_does_not_even_shrink),
		CAPTURING(full_disk_that_keeps_half_a_trailer),
		CAPTURING(absurd_options_are_refused),
		CAPTURING(prepared_dump_needs_no_new_buffer),
		CAPTURING(one_dump_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
