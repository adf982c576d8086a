/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps to files "0", "1", ... of the simulated host, by numbered frames. What holds in all of them:
 * each file is whole by its format, the files together have the frames in their order, and not one
 * is unaccounted for.
 */
#ifndef NPF_SIM_DUMP_FILES_H
#define NPF_SIM_DUMP_FILES_H

#include "lib/savefile.h"
#include "lib/world.h"

#include <stdio.h>

#define MOST_FILES 4000

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

static inline int next_file(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
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

static inline void file_done(void *arg, const struct npf_dump_file *file)
{
	struct files *files = arg;

	assert_int_equal(file->number, files->n_done);
	assert_true(files->n_done < MOST_FILES);
	files->done[files->n_done++] = *file;
}

static inline struct npf_dump_options options_for(struct files *files, struct world *world,
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

static inline void send_numbered(struct world *world, uint32_t cpu, uint32_t length, uint32_t number)
{
	uint8_t data[FRAME_MAX];
	struct npf_sim_frame frame = { .data = data, .length = length, .cpu = cpu };

	numbered_frame(data, length, number);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
}

static inline void send_range(struct world *world, uint32_t from, uint32_t to, uint32_t length)
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
static inline void check_one(struct files *files, uint32_t n, struct sum *sum)
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
static inline struct sum check_all(struct files *files, uint64_t sent)
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

static inline void start(struct world *world, const struct npf_dump_options *options)
{
	int err = npf_dump_start(world->instance, options);

	if (err)
		fail_msg("%s", npf_error(world->instance));
}

static inline void let_pass(struct world *world)
{
	npf_sim_advance(world->host, 200 * MS);
}

#endif
