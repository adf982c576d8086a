/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends that come to an end, or to a halt, before their last frame: adapters that go, stops, faults,
 * a queue of the adapter that is full. Every frame goes once however a send ends.
 */
#include "sim/queue.h"

/* ---- interrupted ---------------------------------------------------------------------------- */

static void unplug(void *arg)
{
	struct world *world = arg;

	npf_sim_remove_adapter(world->host, "eth0");
}

static void bring_down(void *arg)
{
	struct world *world = arg;

	npf_sim_adapter(world->host, "eth0")->flags = 0;
}

static void lower_mtu(void *arg)
{
	struct npf_adapter *adapter = npf_sim_adapter(((struct world *)arg)->host, "eth0");

	adapter->mtu = 45;
	adapter->max_frame = 59;
}

static void stop(void *arg)
{
	npf_stop_sending(((struct world *)arg)->instance);
}

/* Ten frames, a millisecond apart; something happens behind the fourth. */
static size_t interrupted_queue(struct world *world, struct queue *queue, void (*what)(void *arg))
{
	queue_begin(queue);
	for (int32_t i = 0; i < 10; i++)
		queue_add(queue, 0, 1000 * i, 60);
	assert_int_equal(npf_sim_at(world->host, world_now(world) + 3500 * US, what, world), 0);

	int64_t n = npf_buffered_write(world->instance, queue->bytes, queue->size, true);

	assert_int_equal(n, 4 * 76);
	expect_in_order(world, 4);
	return (size_t)n;
}

static void expect_error_for_rest(struct world *world, void (*what)(void *arg), int err,
				  enum npf_send_failure reason)
{
	struct queue queue;
	size_t at = interrupted_queue(world, &queue, what);

	assert_int_equal(send_stats(world).failed_by[reason], 6);
	assert_fails(world->instance,
		     npf_buffered_write(world->instance, queue.bytes + at, queue.size - at, true),
		     err);
	assert_int_equal(count_sent(world), 4);
	queue_end(&queue);
}

static void item_13_a_queue_ends_when_the_adapter_goes(void **state)
{
	expect_error_for_rest(*state, unplug, -ENODEV, NPF_SEND_FAILED_GONE);
}

static void a_queue_ends_when_the_adapter_goes_down(void **state)
{
	expect_error_for_rest(*state, bring_down, -ENETDOWN, NPF_SEND_FAILED_DOWN);
}

static void item_11_a_queue_ends_when_the_mtu_is_lowered(void **state)
{
	expect_error_for_rest(*state, lower_mtu, -EMSGSIZE, NPF_SEND_FAILED_REFUSED);
}

/* More frames than are looked up at once, paced or not: all were asked for, and all but those that
 * went have failed. */
static void every_record_of_a_queue_is_asked_for(void **state)
{
	enum { PACED = 200, FAST = 9000, WENT = 30 };
	struct world *world = *state;

	for (int sync = 0; sync < 2; sync++) {
		size_t n = sync ? PACED : FAST;
		struct npf_send_stats stats;
		struct queue queue;

		queue_begin(&queue);
		for (size_t i = 0; i < n; i++)
			queue_add(&queue, 0, 0, 20);
		assert_int_equal(npf_reset_send_stats(world->instance), 0);
		npf_sim_set_room(world->host, "eth0", WENT);
		assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, sync),
				 (int64_t)WENT * (20 + NPF_SF_PKTHDR_SIZE));
		stats = send_stats(world);
		assert_int_equal(stats.asked, n);
		assert_int_equal(stats.handed, WENT);
		assert_int_equal(stats.failed_by[NPF_SEND_FAILED_FULL], n - WENT);
		assert_non_null(strstr(npf_error(world->instance),
				       sync ? "after 30 of 200 frames" : "after 30 of 9000 frames"));
		queue_end(&queue);
	}
}

/* The caller comes with the rest at once: it hears of the stop, and only then may go on. */
static void a_stop_is_told_once(void **state)
{
	struct world *world = *state;
	struct queue queue;
	size_t at = interrupted_queue(world, &queue, stop);

	assert_fails(world->instance,
		     npf_buffered_write(world->instance, queue.bytes + at, queue.size - at, true),
		     -EINTR);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes + at, queue.size - at,
					    true),
			 queue.size - at);
	expect_in_order(world, 10);
	assert_int_equal(send_stats(world).failed_by[NPF_SEND_FAILED_STOPPED], 12);
	queue_end(&queue);
}

static void a_stop_waits_for_the_next_send(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };

	npf_stop_sending(world->instance);
	npf_stop_sending(world->instance);
	assert_fails(world->instance, npf_write(world->instance, frame, sizeof(frame)), -EINTR);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(count_sent(world), 1);
}

static void a_stop_ends_a_long_wait(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	struct npf_send_frame later = { .data = frame, .size = 60, .at = 3600 * S };

	assert_int_equal(npf_sim_at(world->host, 77 * MS, stop, world), 0);
	assert_fails(world->instance, npf_send_frames(world->instance, &later, 1, NULL), -EINTR);
	assert_int_equal(world_now(world), 77 * MS);
	assert_int_equal(npf_sim_at(world->host, 5 * S, unplug, world), 0);
	assert_fails(world->instance, npf_send_frames(world->instance, &later, 1, NULL), -ENODEV);
	assert_true(world_now(world) < 6 * S);
}

/* Whatever operation of the host fails: what is returned is what went, and nothing goes twice. */
static void every_fault_leaves_a_border_between_records(void **state)
{
	bool met = true;

	(void)state;
	for (uint64_t nth = 1; met; nth++) {
		struct queue queue;
		struct world *world;
		void *fresh;
		size_t at = 0;

		assert_int_equal(world_setup(&fresh), 0);
		world = fresh;
		queue_begin(&queue);
		for (int32_t i = 0; i < 5; i++)
			queue_add(&queue, 0, i, mixed((size_t)i));

		uint64_t before = npf_sim_operations(world->host);

		npf_sim_fail(world->host, nth, -EIO);
		for (int tries = 0; at < queue.size && tries < 3; tries++) {
			int64_t n = npf_buffered_write(world->instance, queue.bytes + at,
						       queue.size - at, true);

			assert_true(n > 0 || n == -EIO || n == -ENOMEM);
			at += n > 0 ? (size_t)n : 0;
		}
		met = npf_sim_operations(world->host) - before >= nth;
		npf_sim_fail(world->host, 0, 0);
		assert_int_equal(at, queue.size);
		expect_in_order(world, 5);
		send_stats(world);
		queue_end(&queue);
		assert_int_equal(world_teardown(&fresh), 0);
	}
}

/* ---- a queue that is full ------------------------------------------------------------------- */

static void make_room(void *arg)
{
	npf_sim_set_room(((struct world *)arg)->host, "eth0", UINT64_MAX);
}

static void a_full_queue_is_waited_for(void **state)
{
	struct world *world = *state;
	struct queue queue;

	queue_begin(&queue);
	for (size_t i = 0; i < 10; i++)
		queue_add(&queue, 0, 0, 60);
	npf_sim_set_room(world->host, "eth0", 3);
	assert_int_equal(npf_sim_at(world->host, 900 * MS, make_room, world), 0);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, false),
			 queue.size);
	expect_in_order(world, 10);
	queue_end(&queue);
}

static void a_queue_that_stays_full_is_an_error(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };

	npf_sim_set_room(world->host, "eth0", 3);
	assert_int_equal(npf_set_write_repeat(world->instance, 10), 0);
	assert_fails(world->instance, npf_write(world->instance, frame, sizeof(frame)), -ENOBUFS);
	assert_non_null(strstr(npf_error(world->instance), "after 3 of 10"));
	assert_true(world_now(world) >= S && world_now(world) < S + MS);
	assert_int_equal(send_stats(world).failed_by[NPF_SEND_FAILED_FULL], 7);
	assert_int_equal(count_sent(world), 3);
}

static const struct npf_system_ops *in_time;

/* Of two seconds that somebody else has the CPU. */
static void sleep_longer(struct npf_host *host, uint64_t time, uint32_t *word, uint32_t value)
{
	in_time->sleep_until(host, time + 2 * S, word, value);
}

/* Two tries that are seconds apart say little of what was between them. */
static void a_sender_that_is_late_waits_for_a_full_queue(void **state)
{
	struct world *world = *state;
	struct npf_system_ops system = *world->host->system;
	uint8_t frame[60] = { 0 };
	int64_t result;

	in_time = world->host->system;
	system.sleep_until = sleep_longer;
	npf_sim_set_room(world->host, "eth0", 3);
	assert_int_equal(npf_sim_at(world->host, 9 * S, make_room, world), 0);
	assert_int_equal(npf_set_write_repeat(world->instance, 10), 0);
	world->host->system = &system;
	result = npf_write(world->instance, frame, sizeof(frame));
	npf_sim_set_room(world->host, "eth0", 0);
	if (result == sizeof(frame)) /* not for ever */
		assert_fails(world->instance, npf_write(world->instance, frame, sizeof(frame)),
			     -ENOBUFS);
	world->host->system = in_time;
	assert_int_equal(result, sizeof(frame));
	assert_int_equal(count_sent(world), 10);
}

static void let_go(void *arg)
{
	npf_sim_hold(((struct world *)arg)->host, "eth0", 0);
}

static void frames_that_are_held_back_are_waited_for(void **state)
{
	struct world *world = *state;
	struct queue queue;

	queue_begin(&queue);
	queue_add(&queue, 0, 0, 60);
	npf_sim_hold(world->host, "eth0", 100);
	assert_fails(world->instance, npf_wait_sent(world->instance, 10 * MS), -ETIMEDOUT);
	assert_int_equal(world_now(world), 10 * MS);
	npf_stop_sending(world->instance);
	assert_fails(world->instance, npf_wait_sent(world->instance, 10 * MS), -EINTR);
	assert_int_equal(npf_sim_at(world->host, 300 * MS, let_go, world), 0);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, false), 76);
	assert_true(world_now(world) >= 300 * MS && world_now(world) < 301 * MS);
	assert_int_equal(npf_wait_sent(world->instance, 0), 0);
	queue_end(&queue);
}

static void close_waits_for_frames_that_are_held_back(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "eth0", NULL, &instance, NULL), 0);
	assert_int_equal(npf_write(instance, frame, sizeof(frame)), sizeof(frame));
	npf_sim_hold(world->host, "eth0", 100);
	assert_int_equal(npf_sim_at(world->host, 300 * MS, let_go, world), 0);
	npf_stop_sending(instance);
	npf_close(instance);
	assert_true(world_now(world) >= 300 * MS && world_now(world) < 301 * MS);
}

static void let_half_go(void *arg)
{
	npf_sim_hold(((struct world *)arg)->host, "eth0", 50);
}

static void close_waits_as_long_as_frames_leave(void **state)
{
	struct world *world = *state;
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "eth0", NULL, &instance, NULL), 0);
	npf_sim_hold(world->host, "eth0", 100);
	assert_int_equal(npf_sim_at(world->host, 900 * MS, let_half_go, world), 0);
	assert_int_equal(npf_sim_at(world->host, 1800 * MS, let_go, world), 0);
	npf_close(instance);
	assert_true(world_now(world) >= 1800 * MS && world_now(world) < 1801 * MS);
}

static void close_does_not_wait_for_ever(void **state)
{
	struct world *world = *state;
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "eth0", NULL, &instance, NULL), 0);
	npf_sim_hold(world->host, "eth0", 100);
	npf_close(instance);
	assert_true(world_now(world) >= S && world_now(world) < S + MS);
	npf_sim_hold(world->host, "eth0", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(item_13_a_queue_ends_when_the_adapter_goes),
		IN_WORLD(a_queue_ends_when_the_adapter_goes_down),
		IN_WORLD(item_11_a_queue_ends_when_the_mtu_is_lowered),
		IN_WORLD(every_record_of_a_queue_is_asked_for),
		IN_WORLD(a_stop_is_told_once),
		IN_WORLD(a_stop_waits_for_the_next_send),
		IN_WORLD(a_stop_ends_a_long_wait),
		cmocka_unit_test(every_fault_leaves_a_border_between_records),
		IN_WORLD(a_full_queue_is_waited_for),
		IN_WORLD(a_queue_that_stays_full_is_an_error),
		IN_WORLD(a_sender_that_is_late_waits_for_a_full_queue),
		IN_WORLD(frames_that_are_held_back_are_waited_for),
		IN_WORLD(close_waits_for_frames_that_are_held_back),
		IN_WORLD(close_waits_as_long_as_frames_leave),
		IN_WORLD(close_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
