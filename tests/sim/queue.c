/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of frames on the virtual clock: the schedule to the nanosecond, what is refused, what is
 * resumed.
 */
#include "sim/queue.h"

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
	assert_fails(world->instance, npf_write(world->instance, queue.bytes, 0), -EINVAL);
	while (at < queue.size) {
		int64_t n = npf_buffered_write(world->instance, queue.bytes + at, queue.size - at,
					       true);

		assert_int_equal(n, 2 * 76); /* one second's worth: the third is due in two */
		if (!at)                     /* and not the error of the call before */
			assert_string_equal(npf_error(world->instance), "");
		at += (size_t)n;
		calls++;
	}
	assert_int_equal(calls, 10);
	expect_in_order(world, 20);
	for (size_t i = 0; i < 20; i++) /* a call's first at once, its second a second later */
		assert_int_equal(npf_sim_sent(world->host, i)->time, (i / 2 + i % 2) * S);
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
		assert_non_null(strstr(npf_error(world->instance), "; nothing was sent"));
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

static void set_mtu(struct world *world, uint32_t mtu)
{
	npf_sim_adapter(world->host, "eth0")->mtu = mtu;
	npf_sim_adapter(world->host, "eth0")->max_frame = mtu + 14;
}

/* What the adapter sends counts at the call, not at open. */
static void item_11_a_lowered_mtu_refuses_the_whole_queue(void **state)
{
	struct world *world = *state;
	struct npf_send_frame frames[2];
	struct queue queue;
	size_t sent;

	queue_begin(&queue);
	queue_add(&queue, 0, 0, 60);
	queue_add(&queue, 0, 1, 1015);
	for (size_t i = 0; i < N_OF(frames); i++)
		frames[i] = (struct npf_send_frame){ queue.bytes + NPF_SF_PKTHDR_SIZE,
						     i ? 1015 : 60, 0 };
	set_mtu(world, 1000);
	for (int sync = 0; sync < 2; sync++) {
		assert_fails(world->instance,
			     npf_buffered_write(world->instance, queue.bytes, queue.size, sync),
			     -EMSGSIZE);
		assert_non_null(strstr(npf_error(world->instance), "record 2 at byte 76"));
		assert_non_null(strstr(npf_error(world->instance), "1014 bytes"));
	}
	assert_fails(world->instance, npf_send_frames(world->instance, frames, 2, &sent), -EMSGSIZE);
	assert_int_equal(sent, 0);
	assert_int_equal(count_sent(world), 0);
	assert_int_equal(send_stats(world).asked, 0);
	set_mtu(world, 1001);
	assert_int_equal(npf_buffered_write(world->instance, queue.bytes, queue.size, true),
			 queue.size);
	expect_in_order(world, 2);
	queue_end(&queue);
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
		IN_WORLD(item_11_a_lowered_mtu_refuses_the_whole_queue),
		IN_WORLD(only_tagged_frames_may_be_four_bytes_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
