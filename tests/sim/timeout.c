/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a reader wakes: MinToCopy, the timeout, the flush timer. The clock is virtual, so moments
 * are exact.
 */
#include "lib/world.h"

#define RECORD 88u /* bytes that a frame of 60 takes in the buffer, header included */

static void item_06_reader_wakes_with_the_byte_that_fulfils_min_to_copy(void **state)
{
	static const uint32_t needs[] = { 0, 1, RECORD, RECORD + 1, 5 * RECORD, 5 * RECORD + 1 };
	static const uint32_t packets[] = { 1, 1, 1, 2, 5, 6 };
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 1000), 0);
	for (size_t i = 0; i < N_OF(needs); i++) {
		uint64_t start = world_now(world);
		uint32_t n = 0;

		assert_int_equal(npf_set_min_to_copy(world->instance, needs[i]), 0);
		for (uint32_t seq = 0; seq < 10; seq++)
			send_at(world, start + (seq + 1) * MS, 0, 60, seq);

		struct records records = read_records(world);

		assert_int_equal(world_now(world), start + packets[i] * MS);
		while (records_next(&records))
			n++;
		assert_int_equal(n, packets[i]);
		npf_sim_advance(world->host, 20 * MS);
		assert_int_equal(npf_set_min_to_copy(world->instance, 0), 0);
		read_records(world);
	}
}

static void item_06_what_is_pending_counts_before_the_read(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 1000), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 3 * RECORD), 0);
	send_many(world, 3, 60, 0);

	uint64_t start = world_now(world);

	assert_int_equal(read_records(world).left, 3 * 80);
	assert_int_equal(world_now(world), start);
}

static void item_06_timeout_minus_one_returns_at_once(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, -1), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 10000), 0);
	send_at(world, 5 * MS, 0, 60, 0);
	assert_int_equal(read_records(world).left, 0);
	assert_int_equal(world_now(world), 0);
	npf_sim_advance(world->host, 5 * MS);
	assert_int_equal(read_records(world).left, 80);
	assert_int_equal(world_now(world), 5 * MS);
}

static void item_06_timeout_zero_waits_until_there_is_enough(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 2 * RECORD), 0);
	send_at(world, MS, 0, 60, 0);
	send_at(world, 3600000 * MS, 0, 60, 1);
	assert_int_equal(read_records(world).left, 160);
	assert_int_equal(world_now(world), 3600000 * MS);
	/* The simulator's word for "this would last for ever". */
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), -EDEADLK);
}

static void item_06_timeout_passes_without_packets(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 250), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(read_records(world).left, 0);
		assert_int_equal(world_now(world), (2 * i - 1) * 250 * MS);
		assert_int_equal(npf_batch_begin(world->instance), 0);
		assert_int_equal(world_now(world), 2 * i * 250 * MS);
	}
}

static void item_06_packets_below_the_threshold_come_with_the_timeout(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 100), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 60000), 0);
	send_at(world, 30 * MS, 0, 60, 0);
	send_at(world, 80 * MS, 1, 60, 1);
	assert_int_equal(read_records(world).left, 160);
	assert_int_equal(world_now(world), 100 * MS);
}

static void item_06_packet_that_waited_before_the_read_is_flushed_in_time(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 100), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 60000), 0);
	send_at(world, 30 * MS, 0, 60, 0);
	npf_sim_advance(world->host, 90 * MS);
	assert_int_equal(read_records(world).left, 80);
	assert_int_equal(world_now(world), 130 * MS);
	/* And one that waited too long already, at once. */
	send_at(world, 140 * MS, 0, 60, 0);
	npf_sim_advance(world->host, 400 * MS);
	assert_int_equal(read_records(world).left, 80);
	assert_int_equal(world_now(world), 530 * MS);
}

static void item_06_threshold_beyond_the_buffer_still_wakes(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, UINT32_MAX), 0);
	for (uint32_t seq = 0; seq < 2000; seq++)
		send_at(world, (seq + 1) * MS, 0, 60, seq);
	assert_true(read_records(world).left > 0);
	assert_int_equal(stats_of(world->instance).dropped, 0);
}

/* Longer ones leave more unused, also where the buffer need not be made anew for them. */
static void item_06_threshold_beyond_the_buffer_of_longer_packets_still_wakes(void **state)
{
	struct world *world = *state;

	npf_sim_adapter(world->host, "eth0")->max_receive = 3000;
	assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, UINT32_MAX), 0);
	for (uint32_t i = 0; i < 40; i++)
		send_at(world, (i + 1) * MS, 0, 2020, i);
	assert_true(read_records(world).left > 0);
}

static void timeout_set_after_the_packet_counts_from_the_packet(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 60000), 0);
	send_at(world, 10 * MS, 0, 60, 0);
	npf_sim_advance(world->host, 30 * MS);
	assert_int_equal(npf_set_timeout(world->instance, 50), 0);
	assert_int_equal(read_records(world).left, 80);
	assert_int_equal(world_now(world), 60 * MS);
}

static void timeouts_are_checked(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 50), 0);
	assert_fails(world->instance, npf_set_timeout(world->instance, -2), -EINVAL);
	assert_fails(world->instance, npf_set_timeout(world->instance, INT32_MIN), -EINVAL);
	assert_int_equal(read_records(world).left, 0);
	assert_int_equal(world_now(world), 50 * MS);
	assert_int_equal(npf_set_timeout(world->instance, INT32_MAX), 0);
	assert_int_equal(read_records(world).left, 0);
	assert_int_equal(world_now(world), 50 * MS + INT32_MAX * MS);
}

static void lower_threshold_now(void *arg)
{
	assert_int_equal(npf_set_min_to_copy(arg, 1), 0);
}

static void lower_threshold_wakes_who_waits(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 60000), 0);
	send_at(world, 10 * MS, 0, 60, 0);
	assert_int_equal(npf_sim_at(world->host, 20 * MS, lower_threshold_now, world->instance), 0);
	assert_int_equal(read_records(world).left, 80);
	assert_int_equal(world_now(world), 20 * MS);
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void stop(void *arg)
{
	npf_stop_waiting(arg);
}

static void stopped_wait_returns_once(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_sim_at(world->host, 7 * MS, stop, world->instance), 0);
	send_at(world, 9 * MS, 0, 60, 0);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), -EINTR);
	assert_int_equal(world_now(world), 7 * MS);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 80);
	assert_int_equal(world_now(world), 9 * MS);
}

static void stop_before_the_read_stops_it(void **state)
{
	struct world *world = *state;

	npf_stop_waiting(world->instance);
	npf_stop_waiting(world->instance);
	assert_int_equal(npf_batch_begin(world->instance), -EINTR);
	assert_int_equal(npf_batch_begin(world->instance), 0);
}

/* Whatever is there, however little; and nothing is a matter of time. */
static void a_batch_that_does_not_wait_takes_what_is_there(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	assert_int_equal(npf_set_timeout(world->instance, 1000), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 10000), 0);
	assert_int_equal(npf_batch_begin_now(world->instance), 0);
	for (uint32_t seq = 0; seq < 3; seq++) {
		uint64_t start;

		send_now(world, 60, seq);
		start = world_now(world);
		assert_true(npf_batch_begin_now(world->instance) > 0);
		assert_true(npf_batch_next(world->instance, &packet));
		assert_true(frame_is(packet.data, 60, seq));
		assert_false(npf_batch_next(world->instance, &packet));
		npf_batch_end(world->instance);
		assert_int_equal(npf_batch_begin_now(world->instance), 0);
		assert_int_equal(world_now(world), start);
	}
	npf_stop_waiting(world->instance);
	assert_fails(world->instance, npf_batch_begin_now(world->instance), -EINTR);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_fails(world->instance, npf_batch_begin_now(world->instance), -EINVAL);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);

	/* Of an adapter that has gone what is left, and no more. */
	send_now(world, 60, 3);
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth0"), 0);
	assert_true(npf_batch_begin_now(world->instance) > 0);
	assert_true(npf_batch_next(world->instance, &packet));
	npf_batch_end(world->instance);
	assert_fails(world->instance, npf_batch_begin_now(world->instance), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_06_reader_wakes_with_the_byte_that_fulfils_min_to_copy),
		CAPTURING(item_06_what_is_pending_counts_before_the_read),
		CAPTURING(item_06_timeout_minus_one_returns_at_once),
		CAPTURING(item_06_timeout_zero_waits_until_there_is_enough),
		CAPTURING(item_06_timeout_passes_without_packets),
		CAPTURING(item_06_packets_below_the_threshold_come_with_the_timeout),
		CAPTURING(item_06_packet_that_waited_before_the_read_is_flushed_in_time),
		CAPTURING(item_06_threshold_beyond_the_buffer_still_wakes),
		CAPTURING(item_06_threshold_beyond_the_buffer_of_longer_packets_still_wakes),
		CAPTURING(timeout_set_after_the_packet_counts_from_the_packet),
		CAPTURING(timeouts_are_checked),
		CAPTURING(lower_threshold_wakes_who_waits),
		CAPTURING(stopped_wait_returns_once),
		CAPTURING(stop_before_the_read_stops_it),
		CAPTURING(a_batch_that_does_not_wait_takes_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
