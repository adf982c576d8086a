/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stop that ends a queue half-way, with several writers on one instance: he whose queue it was
 * hears of it when he comes with the rest next, and nobody else does.
 */
#include "lib/world.h"

#define US      1000ull
#define RECORDS 10
#define RECORD  76u /* header included */
#define SIZE    (RECORDS * RECORD)
#define WENT    4

/* Frames one millisecond apart, filled with a number. */
static void make_queue(uint8_t queue[SIZE], uint8_t number)
{
	for (uint32_t i = 0; i < RECORDS; i++) {
		struct npf_sf_pkthdr header = { 0, 1000 * (int32_t)i, 60, 60 };

		memcpy(queue + i * RECORD, &header, sizeof(header));
		memset(queue + i * RECORD + sizeof(header), number, 60);
	}
}

static void stop(void *arg)
{
	npf_stop_sending(((struct world *)arg)->instance);
}

/* Some go, then comes the stop. */
static void stop_half_way(struct world *world, const uint8_t queue[SIZE])
{
	assert_int_equal(npf_sim_at(world->host, world_now(world) + 3500 * US, stop, world), 0);
	assert_int_equal(npf_buffered_write(world->instance, queue, SIZE, true), WENT * RECORD);
}

static int64_t write_rest(struct world *world, const uint8_t queue[SIZE])
{
	return npf_buffered_write(world->instance, queue + WENT * RECORD, SIZE - WENT * RECORD,
				  true);
}

static size_t count_sent(const struct world *world, uint8_t number)
{
	size_t n = 0;

	for (const struct npf_sim_sent *at = npf_sim_sent(world->host, 0); at; at = at->next)
		n += at->data[0] == number;
	return n;
}

static void expect_account(struct world *world, uint64_t handed, uint64_t stopped)
{
	struct npf_send_stats stats;

	assert_int_equal(npf_get_send_stats(world->instance, &stats), 0);
	assert_int_equal(stats.asked, stats.handed + stats.failed);
	assert_int_equal(stats.handed, handed);
	assert_int_equal(stats.failed_by[NPF_SEND_FAILED_STOPPED], stopped);
}

static void he_hears_of_it_and_may_go_on(void **state)
{
	struct world *world = *state;
	uint8_t mine[SIZE];

	make_queue(mine, 1);
	stop_half_way(world, mine);
	assert_fails(world->instance, write_rest(world, mine), -EINTR);
	assert_int_equal(write_rest(world, mine), SIZE - WENT * RECORD);
	assert_int_equal(count_sent(world, 1), RECORDS);
	expect_account(world, RECORDS, 2 * (RECORDS - WENT));
}

static void another_writer_does_not_hear_of_it(void **state)
{
	struct world *world = *state;
	uint8_t mine[SIZE], others[SIZE], frame[60] = { 9 };
	struct npf_send_frame one = { frame, sizeof(frame), 0 };

	make_queue(mine, 1);
	make_queue(others, 2);
	stop_half_way(world, mine);
	assert_int_equal(npf_buffered_write(world->instance, others, SIZE, true), SIZE);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_send_frames(world->instance, &one, 1, NULL), 0);
	assert_int_equal(count_sent(world, 1), WENT);
	assert_int_equal(count_sent(world, 2), RECORDS);
	expect_account(world, WENT + RECORDS + 2, RECORDS - WENT);
}

static void send_queue(struct world *world)
{
	uint8_t queue[SIZE];

	make_queue(queue, 2);
	assert_int_equal(npf_buffered_write(world->instance, queue, SIZE, false), SIZE);
}

static void send_frame(struct world *world)
{
	uint8_t frame[60] = { 9 };

	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
}

static void send_frames(struct world *world)
{
	uint8_t frame[60] = { 9 };
	struct npf_send_frame one = { frame, sizeof(frame), 0 };

	assert_int_equal(npf_send_frames(world->instance, &one, 1, NULL), 0);
}

static void stop_another(struct world *world)
{
	uint8_t queue[SIZE];

	make_queue(queue, 2);
	stop_half_way(world, queue);
}

/* What lies later where the rest lay is another queue. */
static void whatever_is_sent_ends_the_memory(void **state)
{
	static void (*const others[])(struct world *) = { send_queue, send_frame, send_frames,
							  stop_another };
	struct world *world = *state;
	uint8_t mine[SIZE];

	make_queue(mine, 1);
	for (size_t i = 0; i < N_OF(others); i++) {
		stop_half_way(world, mine);
		others[i](world);
		assert_int_equal(write_rest(world, mine), SIZE - WENT * RECORD);
		assert_int_equal(count_sent(world, 1), (i + 1) * RECORDS);
	}
}

/* Nothing of it went. */
static void what_is_refused_does_not(void **state)
{
	struct world *world = *state;
	uint8_t mine[SIZE], others[SIZE];

	make_queue(mine, 1);
	make_queue(others, 2);
	stop_half_way(world, mine);
	assert_fails(world->instance, npf_buffered_write(world->instance, others, SIZE - 1, true),
		     -EINVAL);
	assert_fails(world->instance, npf_write(world->instance, others, 0), -EINVAL);
	assert_fails(world->instance, write_rest(world, mine), -EINTR);
}

/* The short count was answer enough. */
static void who_does_not_come_back_may_begin_anew(void **state)
{
	struct world *world = *state;
	uint8_t queue[SIZE];

	make_queue(queue, 1);
	stop_half_way(world, queue);
	assert_int_equal(npf_buffered_write(world->instance, queue, SIZE, true), SIZE);
	assert_int_equal(count_sent(world, 1), WENT + RECORDS);
}

/* ---- in the gap before the rest -------------------------------------------------------------- */

#define HOUR (US * 1000000 * 3600)
#define LATE (US * 1000000 * 1800)

static void remove_adapter(void *arg)
{
	assert_int_equal(npf_sim_remove_adapter(((struct world *)arg)->host, "eth0"), 0);
}

static int wait_for_rest(struct world *world, const uint8_t queue[SIZE], uint64_t time)
{
	return npf_wait_for_rest(world->instance, queue + WENT * RECORD, SIZE - WENT * RECORD, time);
}

static void its_time_comes(void **state)
{
	struct world *world = *state;
	uint64_t time = world_now(world) + HOUR;
	uint8_t queue[SIZE];

	assert_int_equal(wait_for_rest(world, queue, time), 0);
	assert_true(world_now(world) >= time);
	assert_int_equal(wait_for_rest(world, queue, 0), 0);
	expect_account(world, 0, 0);
}

static void a_stop_comes_first(void **state)
{
	struct world *world = *state;
	uint64_t at = world_now(world) + LATE;
	uint8_t queue[SIZE];

	assert_int_equal(npf_sim_at(world->host, at, stop, world), 0);
	assert_fails(world->instance, wait_for_rest(world, queue, at + HOUR), -EINTR);
	assert_int_equal(world_now(world), at);
	/* Once; and one that came before is heard of whatever the time. */
	assert_int_equal(wait_for_rest(world, queue, 0), 0);
	stop(world);
	assert_fails(world->instance, wait_for_rest(world, queue, 0), -EINTR);
	make_queue(queue, 1);
	assert_int_equal(npf_buffered_write(world->instance, queue, SIZE, true), SIZE);
}

static void the_adapter_goes_first(void **state)
{
	struct world *world = *state;
	uint64_t at = world_now(world) + LATE;
	uint8_t queue[SIZE];

	assert_int_equal(npf_sim_at(world->host, at, remove_adapter, world), 0);
	assert_fails(world->instance, wait_for_rest(world, queue, at + HOUR), -ENODEV);
	assert_true(world_now(world) <= at + 100 * 1000 * US);
}

/* All went that was due, and does not leave the adapter. */
static void a_stop_comes_while_it_drains(void **state)
{
	struct npf_sf_pkthdr header = { 3600, 0, 60, 60 };
	struct world *world = *state;
	uint8_t queue[SIZE];
	uint64_t now;

	make_queue(queue, 1);
	memcpy(queue + WENT * RECORD, &header, sizeof(header));
	npf_sim_hold(world->host, "eth0", 60);
	assert_int_equal(npf_sim_at(world->host, world_now(world) + 50000 * US, stop, world), 0);
	assert_int_equal(npf_buffered_write(world->instance, queue, SIZE, true), WENT * RECORD);
	npf_sim_hold(world->host, "eth0", 0);
	now = world_now(world);
	assert_fails(world->instance, wait_for_rest(world, queue, now + HOUR), -EINTR);
	assert_int_equal(world_now(world), now);
	expect_account(world, WENT, 0);
}

static void who_was_stopped_does_not_wait(void **state)
{
	struct world *world = *state;
	uint8_t queue[SIZE];
	uint64_t now;

	make_queue(queue, 1);
	stop_half_way(world, queue);
	now = world_now(world);
	assert_fails(world->instance, wait_for_rest(world, queue, now + HOUR), -EINTR);
	assert_int_equal(world_now(world), now);
	assert_int_equal(write_rest(world, queue), SIZE - WENT * RECORD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(he_hears_of_it_and_may_go_on),
		IN_WORLD(another_writer_does_not_hear_of_it),
		IN_WORLD(whatever_is_sent_ends_the_memory),
		IN_WORLD(what_is_refused_does_not),
		IN_WORLD(who_does_not_come_back_may_begin_anew),
		IN_WORLD(its_time_comes),
		IN_WORLD(a_stop_comes_first),
		IN_WORLD(the_adapter_goes_first),
		IN_WORLD(a_stop_comes_while_it_drains),
		IN_WORLD(who_was_stopped_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
