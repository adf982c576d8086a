/* SPDX-License-Identifier: BSD-3-Clause */
/* Readiness: the level of the poll descriptor, and the caller's own poller. */
#include "lib/world.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RECORD 88u /* bytes that a frame of 60 takes in the buffer */

static bool is_ready(struct world *world)
{
	struct pollfd level = { .fd = npf_poll_fd(world->instance), .events = POLLIN };

	assert_true(level.fd >= 0);
	return poll(&level, 1, 0) == 1;
}

static void item_17_level_is_high_while_packets_are_pending(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 1000), 0);
	assert_false(is_ready(world));
	for (int round = 0; round < 3; round++) {
		send_many(world, 3, 60, 0);
		assert_true(is_ready(world));
		assert_true(is_ready(world));
		for (int i = 0; i < 2; i++) {
			assert_int_equal(npf_read(world->instance, world->buffer, 100), 80);
			assert_true(is_ready(world));
		}
		assert_int_equal(npf_read(world->instance, world->buffer, 100), 80);
		assert_false(is_ready(world));
	}
}

static void item_17_level_rises_with_min_to_copy(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 3 * RECORD), 0);
	for (int round = 0; round < 3; round++) {
		send_many(world, 2, 60, 0);
		assert_false(is_ready(world));
		send_now(world, 60, 2);
		assert_true(is_ready(world));
		assert_int_equal(npf_read(world->instance, world->buffer, 1000), 240);
		assert_false(is_ready(world));
	}
}

static void item_17_level_rises_with_the_flush_timer(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 100), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 60000), 0);
	for (int round = 0; round < 3; round++) {
		npf_sim_advance(world->host, 500 * MS);
		assert_false(is_ready(world));
		send_now(world, 60, 0);
		npf_sim_advance(world->host, 60 * MS);
		send_now(world, 60, 1);
		npf_sim_advance(world->host, 39 * MS);
		assert_false(is_ready(world));
		npf_sim_advance(world->host, 1 * MS);
		assert_true(is_ready(world));
		assert_int_equal(npf_read(world->instance, world->buffer, 1000), 160);
		assert_false(is_ready(world));
	}
}

static void item_17_level_rises_with_each_statistics_record(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 100), 0);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	for (int round = 0; round < 3; round++) {
		send_now(world, 60, 0);
		assert_false(is_ready(world));
		npf_sim_advance(world->host, 100 * MS);
		assert_true(is_ready(world));
		assert_int_equal(npf_read(world->instance, world->buffer, 1000),
				 NPF_STAT_RECORD_SIZE);
		assert_false(is_ready(world));
	}
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	npf_sim_advance(world->host, 1000 * MS);
	assert_false(is_ready(world));
}

static void item_17_level_follows_the_settings(void **state)
{
	struct world *world = *state;
	struct npf_insn all[] = { INSN_RET(UINT32_MAX) };
	struct npf_program program = PROGRAM(all);

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 1000), 0);
	send_now(world, 60, 0);
	assert_false(is_ready(world));
	assert_int_equal(npf_set_min_to_copy(world->instance, RECORD), 0);
	assert_true(is_ready(world));
	assert_int_equal(npf_set_min_to_copy(world->instance, RECORD + 1), 0);
	assert_false(is_ready(world));
	assert_int_equal(npf_set_timeout(world->instance, -1), 0);
	assert_true(is_ready(world));
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	assert_false(is_ready(world));
	send_now(world, 60, 0);
	assert_true(is_ready(world));
	assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
	assert_false(is_ready(world));
}

static void item_17_level_is_high_after_a_stop_until_it_is_seen(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 100), 0);
	npf_stop_waiting(world->instance);
	assert_true(is_ready(world));
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), -EINTR);
	assert_false(is_ready(world));
}

static void item_17_level_stays_high_when_the_adapter_has_gone(void **state)
{
	struct world *world = *state;

	send_now(world, 60, 0);
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth0"), 0);
	assert_true(is_ready(world));
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 80);
	assert_true(is_ready(world));
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), -ENODEV);
	assert_true(is_ready(world));
}

static void item_17_batches_keep_the_level_too(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	assert_int_equal(npf_set_timeout(world->instance, 100), 0);
	send_many(world, 2, 60, 0);
	assert_true(npf_batch_begin(world->instance) > 0);
	assert_true(npf_batch_next(world->instance, &packet));
	npf_batch_end(world->instance);
	assert_true(is_ready(world));
	assert_true(npf_batch_begin(world->instance) > 0);
	assert_true(npf_batch_next(world->instance, &packet));
	npf_batch_end(world->instance);
	assert_false(is_ready(world));
}

/* ---- the caller's poller ------------------------------------------------------------------- */

static int set_event(struct npf_instance *instance, int poller)
{
	int32_t handle = poller;

	return npf_io_control(instance, NPF_BIOCSETEVENTHANDLE, &handle, sizeof(handle), NULL, 0,
			      NULL);
}

static void item_17_event_is_set_once(void **state)
{
	struct world *world = *state;
	struct epoll_event event;
	int poller = epoll_create1(EPOLL_CLOEXEC);
	int other = epoll_create1(EPOLL_CLOEXEC);

	assert_int_equal(npf_set_timeout(world->instance, 1000), 0);
	assert_int_equal(set_event(world->instance, poller), 0);
	assert_fails(world->instance, set_event(world->instance, other), -EINVAL);
	assert_fails(world->instance, set_event(world->instance, poller), -EINVAL);
	assert_int_equal(epoll_wait(poller, &event, 1, 0), 0);
	send_now(world, 60, 0);
	assert_int_equal(epoll_wait(poller, &event, 1, 0), 1);
	assert_int_equal(epoll_wait(poller, &event, 1, 0), 1);
	assert_int_equal(epoll_wait(other, &event, 1, 0), 0);
	assert_int_equal(read_records(world).left, 80);
	assert_int_equal(epoll_wait(poller, &event, 1, 0), 0);
	close(poller);
	close(other);
}

static void item_17_odd_events_are_refused_and_use_nothing_up(void **state)
{
	struct world *world = *state;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int poller = epoll_create1(EPOLL_CLOEXEC);
	uint64_t wide = (uint64_t)poller;

	assert_fails(world->instance, set_event(world->instance, -1), -EBADF);
	assert_fails(world->instance, set_event(world->instance, INT32_MAX), -EBADF);
	assert_fails(world->instance, set_event(world->instance, null), -EINVAL);
	for (size_t size = 0; size <= 8; size++) {
		if (size != 4)
			assert_fails(world->instance,
				     npf_io_control(world->instance, NPF_BIOCSETEVENTHANDLE, &wide,
						    size, NULL, 0, NULL),
				     -EINVAL);
	}
	assert_int_equal(set_event(world->instance, poller), 0);
	close(poller);
	close(null);
}

/* A reader who finds nothing waits anew, and is woken as before. */
static void a_batch_that_does_not_wait_leaves_the_level_true(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	assert_int_equal(npf_set_timeout(world->instance, 1000), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 2 * RECORD), 0);
	send_many(world, 2, 60, 0);
	assert_true(is_ready(world));
	assert_true(npf_batch_begin_now(world->instance) > 0);
	while (npf_batch_next(world->instance, &packet))
		;
	npf_batch_end(world->instance);
	assert_int_equal(npf_batch_begin_now(world->instance), 0);
	assert_false(is_ready(world));
	send_now(world, 60, 2);
	assert_false(is_ready(world));
	send_now(world, 60, 3);
	assert_true(is_ready(world));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_17_level_is_high_while_packets_are_pending),
		CAPTURING(item_17_level_rises_with_min_to_copy),
		CAPTURING(item_17_level_rises_with_the_flush_timer),
		IN_WORLD(item_17_level_rises_with_each_statistics_record),
		CAPTURING(item_17_level_follows_the_settings),
		CAPTURING(item_17_level_is_high_after_a_stop_until_it_is_seen),
		CAPTURING(item_17_level_stays_high_when_the_adapter_has_gone),
		CAPTURING(item_17_batches_keep_the_level_too),
		CAPTURING(item_17_event_is_set_once),
		IN_WORLD(item_17_odd_events_are_refused_and_use_nothing_up),
		CAPTURING(a_batch_that_does_not_wait_leaves_the_level_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
