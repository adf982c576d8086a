/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stop that ends a queue half-way, with several writers on one instance: he whose queue it was
 * hears of it when he comes with the rest, and nobody else does.
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
	assert_fails(world->instance, write_rest(world, mine), -EINTR);
	assert_int_equal(write_rest(world, mine), SIZE - WENT * RECORD);
	assert_int_equal(count_sent(world, 1), RECORDS);
	assert_int_equal(count_sent(world, 2), RECORDS);
	expect_account(world, 2 * RECORDS + 2, 2 * (RECORDS - WENT));
}

static void each_of_two_hears_of_his_own(void **state)
{
	struct world *world = *state;
	uint8_t mine[SIZE], others[SIZE];

	make_queue(mine, 1);
	make_queue(others, 2);
	stop_half_way(world, mine);
	stop_half_way(world, others);
	for (int i = 0; i < 2; i++) {
		assert_fails(world->instance, write_rest(world, i ? mine : others), -EINTR);
		assert_int_equal(write_rest(world, i ? mine : others), SIZE - WENT * RECORD);
	}
	assert_int_equal(count_sent(world, 1), RECORDS);
	assert_int_equal(count_sent(world, 2), RECORDS);
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

/* Of many that never come back the oldest is forgotten, and no other. */
static void the_rests_of_many_are_kept(void **state)
{
	enum { WRITERS = 9, KEPT = 8 };
	static uint8_t queues[WRITERS][SIZE];
	struct world *world = *state;

	for (uint8_t i = 0; i < WRITERS; i++) {
		make_queue(queues[i], i);
		stop_half_way(world, queues[i]);
	}
	for (uint8_t i = WRITERS - KEPT; i < WRITERS; i++)
		assert_fails(world->instance, write_rest(world, queues[i]), -EINTR);
	for (uint8_t i = 0; i < WRITERS; i++) {
		assert_int_equal(write_rest(world, queues[i]), SIZE - WENT * RECORD);
		assert_int_equal(count_sent(world, i), RECORDS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(another_writer_does_not_hear_of_it),
		IN_WORLD(each_of_two_hears_of_his_own),
		IN_WORLD(who_does_not_come_back_may_begin_anew),
		IN_WORLD(the_rests_of_many_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
