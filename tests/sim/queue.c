/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of frames and frames with times, on the virtual clock: the schedule to the nanosecond, what
 * is refused, what is resumed, and that every frame goes once however a send ends.
 */
#include "lib/world.h"

#include <pthread.h>

#define US       1000ull
#define S        1000000000ull
#define MAX_SIZE (1u << 20)

struct queue {
	size_t size, n;
	uint8_t *bytes;
};

static void queue_begin(struct queue *queue)
{
	*queue = (struct queue){ .bytes = malloc(MAX_SIZE) };
	assert_non_null(queue->bytes);
}

static void queue_end(struct queue *queue)
{
	free(queue->bytes);
}

/* Frame number n, of a length; the number on the wire means nothing. */
static void queue_add(struct queue *queue, int32_t sec, int32_t usec, uint32_t length)
{
	struct npf_sf_pkthdr header = { sec, usec, length, 99999 };
	uint8_t frame[FRAME_MAX];

	assert_true(queue->size + sizeof(header) + length <= MAX_SIZE);
	frame_fill(frame, length, (uint32_t)queue->n++);
	memcpy(queue->bytes + queue->size, &header, sizeof(header));
	memcpy(queue->bytes + queue->size + sizeof(header), frame, length);
	queue->size += sizeof(header) + length;
}

static size_t count_sent(const struct world *world)
{
	size_t n = 0;

	for (const struct npf_sim_sent *at = npf_sim_sent(world->host, 0); at; at = at->next)
		n++;
	return n;
}

/* Frames 0, 1, ... each once. */
static void expect_in_order(const struct world *world, size_t n)
{
	const struct npf_sim_sent *at = npf_sim_sent(world->host, 0);

	for (size_t i = 0; i < n; i++, at = at->next) {
		assert_non_null(at);
		assert_true(frame_is(at->data, (uint32_t)at->size, (uint32_t)i));
	}
	assert_null(at);
}

static struct npf_send_stats send_stats(struct world *world)
{
	struct npf_send_stats stats;

	assert_int_equal(npf_get_send_stats(world->instance, &stats), 0);
	assert_int_equal(stats.asked, stats.handed + stats.failed);
	return stats;
}

static uint32_t mixed(size_t i)
{
	return 60 + (uint32_t)(i * 37 % 1400);
}

/* ---- at once -------------------------------------------------------------------------------- */

static void item_11_queues_of_any_length_go_in_order(void **state)
{
	static const size_t lengths[] = { 1, 2, 3, 64, 700 };
	struct world *world = *state;

	for (size_t i = 0; i < N_OF(lengths); i++) {
		struct queue queue;
		void *fresh;

		assert_int_equal(world_setup(&fresh), 0);
		world = fresh;
		queue_begin(&queue);
		for (size_t k = 0; k < lengths[i]; k++)
			queue_add(&queue, (int32_t)k, 0, mixed(k));
		assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, false),
				 queue.size);
		expect_in_order(world, lengths[i]);
		assert_int_equal(world_now(world), 0);
		assert_int_equal(send_stats(world).bytes,
				 queue.size - NPF_SF_PKTHDR_SIZE * lengths[i]);
		queue_end(&queue);
		assert_int_equal(world_teardown(&fresh), 0);
	}
}

static void item_11_a_million_frames_in_windows(void **state)
{
	enum { PER_CALL = 10000, CALLS = 100 };
	struct world *world = *state;
	struct queue queue;
	const struct npf_sim_sent *at;

	queue_begin(&queue);
	for (size_t i = 0; i < PER_CALL; i++)
		queue_add(&queue, 0, 0, 20);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, false),
				 queue.size);
	at = npf_sim_sent(world->host, 0);
	for (size_t i = 0; i < (size_t)PER_CALL * CALLS; i++, at = at->next)
		assert_true(frame_is(at->data, 20, (uint32_t)(i % PER_CALL)));
	assert_null(at);
	assert_int_equal(send_stats(world).confirmed, PER_CALL * CALLS);
	queue_end(&queue);
}

static void item_11_codes_do_the_same(void **state)
{
	static const uint32_t codes[] = { NPF_BIOCSENDPACKETSNOSYNC, NPF_BIOCSENDPACKETSSYNC };
	struct world *world = *state;
	struct queue queue;
	size_t returned;

	queue_begin(&queue);
	for (size_t i = 0; i < N_OF(codes); i++) {
		queue_add(&queue, 0, 10 * (int32_t)i, 60);
		assert_int_equal(npf_io_control(world->instance, codes[i], queue.bytes, queue.size,
						NULL, 0, &returned),
				 0);
		assert_int_equal(returned, queue.size);
		assert_int_equal(npf_io_control(world->instance, codes[i], queue.bytes, 75, NULL, 0,
						&returned),
				 -EINVAL);
		assert_int_equal(returned, 0);
	}
	assert_int_equal(count_sent(world), 3);
	queue_end(&queue);
}

static void an_empty_queue_is_sent_at_once(void **state)
{
	struct world *world = *state;
	uint8_t none;

	for (int sync = 0; sync < 2; sync++) {
		assert_int_equal(npf_buffered_write(world->instance, &none, 0, sync), 0);
		assert_int_equal(npf_buffered_write(world->instance, NULL, 0, sync), 0);
		assert_int_equal(npf_buffered_write(world->instance, NULL, 100, sync), 0);
	}
	assert_int_equal(count_sent(world), 0);
}

static void queues_may_have_any_alignment(void **state)
{
	struct world *world = *state;
	struct queue queue;

	queue_begin(&queue);
	for (size_t i = 0; i < 50; i++)
		queue_add(&queue, 0, 0, 60 + (uint32_t)i % 7);
	memmove(queue.bytes + 1, queue.bytes, queue.size);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes + 1, queue.size, false),
			 queue.size);
	expect_in_order(world, 50);
	queue_end(&queue);
}

/* ---- on time -------------------------------------------------------------------------------- */

struct stamped {
	int32_t sec, usec;
	uint64_t due; /* ns behind the first */
};

/* One call sends the first n; returns where it stopped. */
static void expect_schedule(struct world *world, const struct stamped *frames, size_t n,
			    size_t n_sent)
{
	const struct npf_sim_sent *at = npf_sim_sent(world->host, count_sent(world));
	size_t before = count_sent(world), bytes = 0;
	uint64_t start;
	struct queue queue;

	queue_begin(&queue);
	for (size_t i = 0; i < n; i++) {
		queue_add(&queue, frames[i].sec, frames[i].usec, mixed(i));
		if (i < n_sent)
			bytes = queue.size;
	}
	npf_sim_advance(world->host, 12345);
	start = world_now(world);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, true), bytes);
	at = npf_sim_sent(world->host, before);
	for (size_t i = 0; i < n_sent; i++, at = at->next) {
		assert_non_null(at);
		assert_int_equal(at->time - start, frames[i].due);
		assert_true(frame_is(at->data, (uint32_t)at->size, (uint32_t)i));
	}
	assert_null(at);
	assert_int_equal(send_stats(world).late_max, 0);
	queue_end(&queue);
}

static void item_11_frames_go_at_their_times(void **state)
{
	static const struct stamped frames[] = {
		{ 1000, 999990, 0 },
		{ 1000, 999991, 1 * US },
		{ 1000, 999991, 1 * US },
		{ 1001, 0, 10 * US },
		{ 1001, 499990, 500 * MS },
		{ 1001, 500000, 500010 * US },
		{ 1001, 999999, 1000009 * US },
	};

	expect_schedule(*state, frames, N_OF(frames), N_OF(frames));
}

static void item_11_times_that_go_back_do_not_wait(void **state)
{
	static const struct stamped frames[] = {
		{ 50, 100, 0 },         { 50, 300, 200 * US }, { 50, 200, 200 * US },
		{ 49, 0, 200 * US },    { -5, 7, 200 * US },   { 50, 350, 250 * US },
		{ 51, 100, 1000 * MS },
	};

	expect_schedule(*state, frames, N_OF(frames), N_OF(frames));
}

/* More than one whole second past the first ends the call, whatever the distance. */
static void item_11_long_gaps_end_the_call(void **state)
{
	static const struct stamped near[] = {
		{ 7, 900000, 0 }, { 8, 999999, 1099999 * US }, { 9, 0, 0 }, { 8, 0, 0 }
	};
	static const struct stamped far[] = { { 7, 0, 0 }, { INT32_MAX, 0, 0 } };
	static const struct stamped before[] = { { -1, 500000, 0 },
						 { 0, 999999, 1499999 * US },
						 { 1, 0, 0 } };

	expect_schedule(*state, near, N_OF(near), 2);
	expect_schedule(*state, far, N_OF(far), 1);
	expect_schedule(*state, before, N_OF(before), 2);
}

static void item_11_the_rest_is_resumed(void **state)
{
	struct world *world = *state;
	struct queue queue;
	size_t at = 0, calls = 0;

	queue_begin(&queue);
	for (int32_t i = 0; i < 20; i++)
		queue_add(&queue, i, 0, 60);
	while (at < queue.size) {
		int64_t n = npf_buffered_write(world->instance, queue.bytes + at, queue.size - at,
					       true);

		assert_int_equal(n, 2 * 76); /* one second's worth: the third is due in two */
		at += (size_t)n;
		calls++;
	}
	assert_int_equal(calls, 10);
	expect_in_order(world, 20);
	queue_end(&queue);
}

static void microseconds_may_be_any_number(void **state)
{
	static const struct stamped frames[] = { { 5, 0, 0 },
						 { 4, 1000001, 1 * US },
						 { 6, -1, 999999 * US },
						 { 3, 3000000, 1000000 * US },
						 { 0, INT32_MAX, 0 } };

	expect_schedule(*state, frames, N_OF(frames), 4);
}

/* ---- refused -------------------------------------------------------------------------------- */

static void expect_refused(struct world *world, const struct queue *queue, size_t size, int err)
{
	for (int sync = 0; sync < 2; sync++) {
		assert_fails(world->instance,
			     npf_buffered_write(world->instance, queue->bytes, size, sync), err);
		assert_non_null(strstr(npf_error(world->instance), "record 4 at byte 228"));
	}
	assert_int_equal(count_sent(world), 0);
	assert_int_equal(send_stats(world).asked, 0);
}

/* Three good records, one that claims to be so long, with so many bytes behind its header. */
static void refuse_record(struct world *world, uint32_t caplen, size_t bytes, int err)
{
	struct queue queue;

	queue_begin(&queue);
	for (int i = 0; i < 3; i++)
		queue_add(&queue, i * 100, 0, 60);
	queue_add(&queue, 300, 0, 1514);
	memcpy(queue.bytes + 228 + 8, &caplen, sizeof(caplen));
	expect_refused(world, &queue, 228 + NPF_SF_PKTHDR_SIZE + bytes, err);
	queue_end(&queue);
}

static void item_11_malformed_queues_send_nothing(void **state)
{
	struct world *world = *state;
	struct queue queue;

	queue_begin(&queue);
	for (int i = 0; i < 4; i++)
		queue_add(&queue, 0, 0, 60);
	for (size_t n = 1; n < NPF_SF_PKTHDR_SIZE; n++)
		expect_refused(world, &queue, 228 + n, -EINVAL);
	queue_end(&queue);

	refuse_record(world, 0, 0, -EINVAL);
	refuse_record(world, 0, 100, -EINVAL);
	refuse_record(world, 1, 0, -EINVAL);
	refuse_record(world, 101, 100, -EINVAL);
	refuse_record(world, UINT32_MAX, 1514, -EINVAL);
	refuse_record(world, UINT32_MAX - 15, 1514, -EINVAL);
	refuse_record(world, INT32_MAX, 1514, -EINVAL);
}

static void item_11_frames_the_adapter_cannot_send_are_refused(void **state)
{
	struct world *world = *state;
	struct npf_adapter *adapter = npf_sim_adapter(world->host, "eth0");

	uint8_t longest[1515] = { 0 };

	adapter->mtu = 1000;
	adapter->max_frame = 1018; /* asked again when a frame is too long for what was known */
	assert_fails(world->instance, npf_write(world->instance, longest, sizeof(longest)),
		     -EMSGSIZE);
	refuse_record(world, 1015, 1015, -EMSGSIZE);
	refuse_record(world, 1514, 1514, -EMSGSIZE);
	adapter->min_frame = 14;
	assert_fails(world->instance, npf_write(world->instance, longest, sizeof(longest)),
		     -EMSGSIZE);
	refuse_record(world, 13, 13, -EINVAL);
}

static void only_tagged_frames_may_be_four_bytes_longer(void **state)
{
	struct world *world = *state;
	uint8_t frame[1518] = { 0 };
	struct npf_send_frame two[] = { { .data = frame, .size = 60 },
					{ .data = frame, .size = 1518 } };
	size_t sent = 9;

	npf_sim_adapter(world->host, "eth0")->max_frame = 1518;
	assert_fails(world->instance, npf_send_frames(world->instance, two, 2, &sent), -EMSGSIZE);
	assert_non_null(strstr(npf_error(world->instance), "frame 2"));
	assert_int_equal(sent, 0);
	assert_int_equal(count_sent(world), 0);
	frame[12] = 0x81;
	assert_int_equal(npf_send_frames(world->instance, two, 2, &sent), 0);
	assert_int_equal(sent, 2);
}

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

/* ---- frames with times ---------------------------------------------------------------------- */

static void frames_go_at_their_times_or_at_once(void **state)
{
	struct world *world = *state;
	uint8_t bytes[60] = { 0 };
	struct npf_send_frame frames[] = {
		{ bytes, 60, 2 * MS }, { bytes, 60, 0 },          { bytes, 60, 1 * MS },
		{ bytes, 60, 5 * MS }, { bytes, 60, 5 * MS + 1 }, { bytes, 60, 0 },
	};
	static const uint64_t times[] = { 2 * MS, 2 * MS, 2 * MS, 5 * MS, 5 * MS + 1, 5 * MS + 1 };
	size_t sent;

	assert_int_equal(npf_send_frames(world->instance, frames, N_OF(frames), &sent), 0);
	assert_int_equal(sent, N_OF(frames));
	for (size_t i = 0; i < N_OF(times); i++)
		assert_int_equal(npf_sim_sent(world->host, i)->time, times[i]);
	assert_int_equal(npf_send_clock(world->instance), world_now(world));

	struct npf_send_stats stats = send_stats(world);

	assert_int_equal(stats.paced, 4);
	assert_int_equal(stats.late_max, 1 * MS);
	assert_int_equal(stats.late, 1);
}

static void lateness_is_told_to_a_sixteenth(void **state)
{
	struct world *world = *state;
	uint8_t bytes[60] = { 0 };
	struct npf_send_stats stats;

	npf_sim_advance(world->host, 10 * S);
	assert_int_equal(npf_set_late_limit(world->instance, 60000), 0);
	for (uint64_t i = 1; i <= 100; i++) { /* 1 to 100 us late, one each */
		struct npf_send_frame frame = { bytes, 60, world_now(world) - i * US };

		assert_int_equal(npf_send_frames(world->instance, &frame, 1, NULL), 0);
	}
	stats = send_stats(world);
	assert_int_equal(stats.paced, 100);
	assert_int_equal(stats.late, 40);
	assert_int_equal(stats.late_max, 100 * US);
	assert_in_range(stats.late_p50, 50 * US, 50 * US * 17 / 16);
	assert_in_range(stats.late_p99, 99 * US, 100 * US);

	struct npf_send_frame worst = { bytes, 60, 1 };

	assert_int_equal(npf_send_frames(world->instance, &worst, 1, NULL), 0);
	assert_int_equal(send_stats(world).late_max, 10 * S - 1);
	assert_int_equal(npf_reset_send_stats(world->instance), 0);
	stats = send_stats(world);
	assert_int_equal(stats.asked + stats.paced + stats.late_max + stats.late_p99, 0);
}

/* ---- accounting ----------------------------------------------------------------------------- */

static void what_the_adapter_did_not_count_is_not_confirmed(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	struct npf_send_stats stats;

	npf_sim_adapter(world->host, "eth0")->tx_packets = 1000;
	assert_int_equal(npf_set_write_repeat(world->instance, 50), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	npf_sim_drop_sent(world->host, "eth0", 20);
	stats = send_stats(world);
	assert_int_equal(stats.handed, 50);
	assert_int_equal(stats.confirmed, 30);
	assert_int_equal(stats.device_dropped, 20);
	npf_sim_adapter(world->host, "eth0")->tx_packets += 500; /* somebody else's */
	stats = send_stats(world);
	assert_int_equal(stats.confirmed, 50);
	assert_int_equal(stats.device_dropped, 20);
	assert_int_equal(stats.by_path[NPF_SEND_SOCKET], 50);
	npf_sim_remove_adapter(world->host, "eth0");
	assert_int_equal(send_stats(world).confirmed, 50);
}

/* As a driver does that is reset. */
static void an_adapter_may_count_from_zero_again(void **state)
{
	struct world *world = *state;
	struct npf_adapter *adapter = npf_sim_adapter(world->host, "eth0");
	uint8_t frame[60] = { 0 };
	struct npf_send_stats stats;

	adapter->tx_packets = 1000;
	assert_int_equal(npf_set_write_repeat(world->instance, 50), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	npf_sim_drop_sent(world->host, "eth0", 20);
	send_stats(world);
	adapter->tx_packets = 0;
	stats = send_stats(world);
	assert_int_equal(stats.confirmed, 30);
	assert_int_equal(stats.device_dropped, 20);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	npf_sim_drop_sent(world->host, "eth0", 10);
	stats = send_stats(world);
	assert_int_equal(stats.handed, 100);
	assert_int_equal(stats.confirmed, 70);
	assert_int_equal(stats.device_dropped, 30);
}

static void reset_stats(void *arg)
{
	assert_int_equal(npf_reset_send_stats(((struct world *)arg)->instance), 0);
}

/* Behind the fourth of ten. */
static void counters_are_reset_amid_a_send(void **state)
{
	struct world *world = *state;
	struct npf_send_stats stats;
	struct queue queue;

	queue_begin(&queue);
	for (int32_t i = 0; i < 10; i++)
		queue_add(&queue, 0, 1000 * i, 60);
	assert_int_equal(npf_sim_at(world->host, 3500 * US, reset_stats, world), 0);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, true),
			 queue.size);
	stats = send_stats(world);
	assert_int_equal(stats.asked, 6);
	assert_int_equal(stats.handed, 6);
	assert_int_equal(stats.confirmed, 6);
	assert_int_equal(stats.paced, 6);
	queue_end(&queue);
}

static void paths_are_obeyed_or_refused(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	char reason[NPF_ERROR_SIZE];

	assert_int_equal(npf_get_send_path(world->instance), NPF_SEND_AUTO);
	assert_fails(world->instance, npf_set_send_path(world->instance, NPF_SEND_XSK), -ENOTSUP);
	assert_fails(world->instance, npf_set_send_path(world->instance, (enum npf_send_path)4),
		     -EINVAL);
	assert_int_equal(npf_check_send_path(world->instance, NPF_SEND_XSK, reason), -ENOTSUP);
	assert_true(strlen(reason) > 10);
	assert_int_equal(npf_check_send_path(world->instance, NPF_SEND_XDP, reason), 0);
	assert_int_equal(reason[0], '\0');
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_send_path(world->instance), NPF_SEND_SOCKET);
	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_XDP), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_send_path(world->instance), NPF_SEND_XDP);
	assert_int_equal(send_stats(world).by_path[NPF_SEND_XDP], 1);
	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_FASTEST), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(send_stats(world).by_path[NPF_SEND_XDP], 2);
	for (int i = -1; i <= NPF_SEND_PATHS; i++)
		assert_true(npf_send_path_name((enum npf_send_path)i)[0]);
	for (int i = -1; i <= NPF_SEND_FAILED_N; i++)
		assert_true(npf_send_failure_name((enum npf_send_failure)i)[0]);
}

/* ---- who only sends ------------------------------------------------------------------------- */

static void an_instance_that_only_sends_taps_nothing(void **state)
{
	struct world *world = *state;
	struct npf_open_options options = { .size = sizeof(options), .flags = NPF_OPEN_SEND_ONLY };
	struct npf_instance *instance;
	uint8_t frame[60] = { 0 };

	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, NULL), 0);
	assert_int_equal(npf_instance_hook(instance), NPF_HOOK_NONE);
	assert_fails(instance, npf_set_buffer(instance, 65536), -ENOTSUP);
	assert_int_equal(npf_write(instance, frame, sizeof(frame)), sizeof(frame));
	send_now(world, 60, 0);
	assert_int_equal(stats_of(instance).received, 0);
	assert_int_equal(stats_of(world->instance).received, 2);
	npf_close(instance);

	options.hook = NPF_HOOK_TCX;
	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, NULL), -EINVAL);
	options = (struct npf_open_options){ .size = sizeof(options), .flags = 2 };
	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, NULL), -EINVAL);
	options = (struct npf_open_options){ .size = sizeof(options), .hook = NPF_HOOK_NONE };
	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, NULL), -EINVAL);
}

/* ---- several writers ------------------------------------------------------------------------ */

#define WRITERS 4
#define ROUNDS  50
#define FRAMES  8

struct writer {
	struct world *world;
	uint8_t number;
};

static void *write_queues(void *arg)
{
	struct writer *writer = arg;
	uint8_t frame[60] = { writer->number };
	struct npf_send_frame frames[FRAMES];

	for (size_t i = 0; i < FRAMES; i++)
		frames[i] = (struct npf_send_frame){ .data = frame, .size = 40 + i };
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(npf_send_frames(writer->world->instance, frames, FRAMES, NULL), 0);
	return NULL;
}

/* The frames of one call stay together. */
static void item_10_writers_follow_each_other(void **state)
{
	struct world *world = *state;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	const struct npf_sim_sent *at;
	size_t n = 0;

	for (uint8_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .world = world, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, write_queues, &writers[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	for (at = npf_sim_sent(world->host, 0); at; n++) {
		uint8_t number = at->data[0];

		for (size_t i = 0; i < FRAMES; i++, at = at->next) {
			assert_int_equal(at->size, 40 + i);
			assert_int_equal(at->data[0], number);
		}
	}
	assert_int_equal(n, WRITERS * ROUNDS);
	assert_int_equal(send_stats(world).handed, WRITERS * ROUNDS * FRAMES);
}

static void *write_slowly(void *arg)
{
	struct world *world = arg;
	uint8_t frame[60] = { 0 };
	struct npf_send_frame later = { .data = frame, .size = 60, .at = UINT64_MAX };

	return (void *)(intptr_t)npf_send_frames(world->instance, &later, 1, NULL);
}

static void cleanup_ends_a_writer_that_waits(void **state)
{
	struct world *world = *state;
	pthread_t thread;
	void *result;

	npf_sim_set_threaded(world->host, true);
	assert_int_equal(pthread_create(&thread, NULL, write_slowly, world), 0);
	npf_cleanup(world->instance);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
	assert_int_equal(count_sent(world), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(item_11_queues_of_any_length_go_in_order),
		IN_WORLD(item_11_a_million_frames_in_windows),
		IN_WORLD(item_11_codes_do_the_same),
		IN_WORLD(an_empty_queue_is_sent_at_once),
		IN_WORLD(queues_may_have_any_alignment),
		IN_WORLD(item_11_frames_go_at_their_times),
		IN_WORLD(item_11_times_that_go_back_do_not_wait),
		IN_WORLD(item_11_long_gaps_end_the_call),
		IN_WORLD(item_11_the_rest_is_resumed),
		IN_WORLD(microseconds_may_be_any_number),
		IN_WORLD(item_11_malformed_queues_send_nothing),
		IN_WORLD(item_11_frames_the_adapter_cannot_send_are_refused),
		IN_WORLD(only_tagged_frames_may_be_four_bytes_longer),
		IN_WORLD(item_13_a_queue_ends_when_the_adapter_goes),
		IN_WORLD(a_queue_ends_when_the_adapter_goes_down),
		IN_WORLD(every_record_of_a_queue_is_asked_for),
		IN_WORLD(a_stop_is_told_once),
		IN_WORLD(a_stop_waits_for_the_next_send),
		IN_WORLD(a_stop_ends_a_long_wait),
		cmocka_unit_test(every_fault_leaves_a_border_between_records),
		IN_WORLD(a_full_queue_is_waited_for),
		IN_WORLD(a_queue_that_stays_full_is_an_error),
		IN_WORLD(frames_that_are_held_back_are_waited_for),
		IN_WORLD(close_waits_for_frames_that_are_held_back),
		IN_WORLD(close_does_not_wait_for_ever),
		IN_WORLD(frames_go_at_their_times_or_at_once),
		IN_WORLD(lateness_is_told_to_a_sixteenth),
		IN_WORLD(what_the_adapter_did_not_count_is_not_confirmed),
		IN_WORLD(an_adapter_may_count_from_zero_again),
		IN_WORLD(counters_are_reset_amid_a_send),
		IN_WORLD(paths_are_obeyed_or_refused),
		IN_WORLD(an_instance_that_only_sends_taps_nothing),
		IN_WORLD(item_10_writers_follow_each_other),
		IN_WORLD(cleanup_ends_a_writer_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
