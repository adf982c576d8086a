/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames with times of their own, how late they were, what became of them by the adapter's counters,
 * and several writers at once.
 */
#include "sim/queue.h"

#include <pthread.h>

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

/* Frames of others stand in for lost ones in the adapter's counter, not in what is confirmed. */
static void what_others_sent_does_not_confirm_what_was_lost(void **state)
{
	/* Neither bound alone says how many were lost; the lower is the nearer. */
	static const struct {
		uint64_t lost, first, second, confirmed;
	} cases[] = { { 20, 0, 7, 30 }, { 20, 9, 7, 23 },     { 0, 0, 0, 50 },   { 50, 0, 0, 0 },
		      { 0, 9, 0, 50 },  { 1, 1000, 1000, 0 }, { 0, 0, 1000, 50 } };
	struct world *world = *state;
	struct npf_adapter *adapter = npf_sim_adapter(world->host, "eth0");
	uint8_t frame[60] = { 0 };

	assert_int_equal(npf_set_write_repeat(world->instance, 50), 0);
	for (size_t i = 0; i < N_OF(cases); i++) {
		assert_int_equal(npf_reset_send_stats(world->instance), 0);
		assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
		npf_sim_lose_sent(world->host, "eth0", cases[i].lost, cases[i].first,
				  cases[i].second);
		adapter->tx_packets += 500;
		assert_int_equal(send_stats(world).confirmed, cases[i].confirmed);
	}
}

/* What it loses when nothing of ours is under way is not ours; what was confirmed stays so. */
static void what_others_lose_takes_nothing_back(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };

	assert_int_equal(npf_set_write_repeat(world->instance, 50), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
		npf_sim_adapter(world->host, "eth0")->tx_packets += 100;
		npf_sim_lose_sent(world->host, "eth0", 10, 0, 0);
		assert_int_equal(send_stats(world).confirmed, 40 * i);
		npf_sim_lose_sent(world->host, "eth0", 0, 1000, 1000);
		assert_int_equal(send_stats(world).confirmed, 40 * i);
	}
}

/* A send that lasts has its account closed at its end, whether somebody asks or not. */
static void the_account_is_closed_when_a_send_ends(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	struct npf_send_frame frames[] = { { frame, 60, 0 },
					   { frame, 60, world_now(world) + 20 * MS } };

	assert_int_equal(npf_send_frames(world->instance, frames, 2, NULL), 0);
	npf_sim_lose_sent(world->host, "eth0", 0, 1000, 1000);
	assert_int_equal(send_stats(world).confirmed, 2);
}

/* What waits has not left; what was refused never went, so it is no loss. */
static void what_waits_or_was_refused_is_told_apart(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };

	assert_int_equal(npf_set_write_repeat(world->instance, 50), 0);
	npf_sim_hold(world->host, "eth0", 20);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	npf_sim_adapter(world->host, "eth0")->tx_packets += 500;
	assert_int_equal(send_stats(world).confirmed, 30);
	npf_sim_lose_sent(world->host, "eth0", 10, 0, 0); /* of those that waited */
	npf_sim_hold(world->host, "eth0", 5);
	assert_int_equal(send_stats(world).confirmed, 35);
	npf_sim_hold(world->host, "eth0", 0);
	npf_sim_refuse_sent(world->host, "eth0", 7);
	assert_int_equal(send_stats(world).confirmed, 40);
}

static void remove_adapter(void *arg)
{
	npf_sim_remove_adapter(((struct world *)arg)->host, "eth0");
}

/* A frame each 10 ms: looked at after 100 ms, 200 ms, ...; gone after 555 ms. */
static void what_was_confirmed_is_kept_when_the_adapter_goes(void **state)
{
	enum { N = 100 };
	struct world *world = *state;
	struct npf_send_frame frames[N];
	uint8_t bytes[60] = { 0 };
	struct npf_send_stats stats;
	uint64_t start = world_now(world);
	size_t sent;

	for (uint64_t i = 0; i < N; i++)
		frames[i] = (struct npf_send_frame){ bytes, sizeof(bytes), start + i * 10 * MS };
	assert_int_equal(npf_sim_at(world->host, start + 555 * MS, remove_adapter, world), 0);
	assert_int_equal(npf_send_frames(world->instance, frames, N, &sent), -ENODEV);
	stats = send_stats(world);
	assert_int_equal(stats.handed, sent);
	assert_int_equal(sent, 56);
	assert_in_range(stats.confirmed, 41, 56);
}

/* Frames that follow each other closely; the adapter goes, and does not say what it had counted. */
static void expect_looks(struct world *world, uint64_t gap, uint64_t end, uint64_t confirmed)
{
	enum { N = 5000 };
	struct npf_send_frame *frames = calloc(N, sizeof(*frames));
	uint8_t bytes[60] = { 0 };
	struct npf_send_stats stats;
	uint64_t start = world_now(world);
	size_t sent;

	assert_non_null(frames);
	for (uint64_t i = 0; i < N; i++)
		frames[i] = (struct npf_send_frame){ bytes, sizeof(bytes), start + i * gap };
	assert_int_equal(npf_sim_at(world->host, start + end, remove_adapter, world), 0);
	assert_int_equal(npf_send_frames(world->instance, frames, N, &sent), -ENODEV);
	stats = send_stats(world);
	assert_int_equal(stats.handed, sent);
	assert_int_equal(sent, end / gap + 1);
	assert_int_equal(stats.confirmed, confirmed);
	assert_int_equal(stats.late_max, 0);
	free(frames);
}

/* Looked at after 1, 2 and 4 ms, while the next frame is waited for. */
static void short_gaps_have_time_for_a_look(void **state)
{
	expect_looks(*state, 100 * US, 5050 * US, 41);
}

/* When it is overdue: after 2, 6 and 18 ms. */
static void gaps_without_time_are_looked_into_all_the_same(void **state)
{
	expect_looks(*state, 10 * US, 30005 * US, 1801);
}

/* Frames at a distance, while a look takes long; how many of them are late by more than 0.1 ms. */
static uint64_t send_while_looks_take(struct world *world, uint64_t takes, uint64_t gap, uint64_t n)
{
	struct npf_send_frame *frames = calloc(n, sizeof(*frames));
	uint8_t bytes[60] = { 0 };
	struct npf_send_stats stats;
	uint64_t start;

	assert_non_null(frames);
	npf_sim_delay_counters(world->host, "eth0", takes);
	send_stats(world);
	send_stats(world);
	start = world_now(world) + 10 * MS;
	for (uint64_t i = 0; i < n; i++)
		frames[i] = (struct npf_send_frame){ bytes, sizeof(bytes), start + i * gap };
	assert_int_equal(npf_reset_send_stats(world->instance), 0);
	assert_int_equal(npf_send_frames(world->instance, frames, n, NULL), 0);
	stats = send_stats(world);
	assert_int_equal(stats.handed, n);
	assert_int_equal(stats.confirmed, n);
	free(frames);
	return stats.late;
}

/* Thousands of adapters: they wait for a gap that is long enough, or are seldom: each delays 20 frames. */
static void looks_that_take_long_delay_few_frames(void **state)
{
	assert_int_equal(send_while_looks_take(*state, 1500 * US, 10 * MS, 500), 0);
	assert_in_range(send_while_looks_take(*state, 1500 * US, 100 * US, 50000), 0, 100);
}

/* Between the calls, when each sends at once. */
static void many_short_sends_are_looked_at(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };

	for (int i = 0; i < 10; i++) {
		assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
		npf_sim_advance(world->host, 30 * MS);
	}
	remove_adapter(world);
	assert_in_range(send_stats(world).confirmed, 6, 10);
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

static void send_some(struct world *world, uint32_t n)
{
	uint8_t frame[60] = { 0 };

	assert_int_equal(npf_set_write_repeat(world->instance, n), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
}

/* Of all that was sent so many frames are not counted yet. */
static void trail(struct world *world, uint64_t n)
{
	npf_sim_trail(world->host, "eth0", n);
}

static void take_some(void *arg)
{
	trail(arg, 5);
}

static void take_all(void *arg)
{
	trail(arg, 0);
}

static void reset_behind(struct world *world, uint32_t n, uint64_t trailing)
{
	send_some(world, n);
	trail(world, trailing);
	assert_int_equal(npf_reset_send_stats(world->instance), 0);
}

static void expect_confirmed(struct world *world, uint64_t trailing, uint64_t confirmed)
{
	trail(world, trailing);
	assert_int_equal(send_stats(world).confirmed, confirmed);
}

static void what_a_receiver_has_not_taken_is_waited_for(void **state)
{
	struct world *world = *state;
	uint64_t began = world_now(world);

	send_some(world, 10);
	expect_confirmed(world, 7, 3);
	assert_fails(world->instance, npf_wait_sent(world->instance, 10 * MS), -ETIMEDOUT);
	assert_int_equal(world_now(world), began + 10 * MS);
	npf_stop_sending(world->instance);
	assert_fails(world->instance, npf_wait_sent(world->instance, 10 * MS), -EINTR);
	/* Longer than a second, in which something is taken. */
	assert_int_equal(npf_sim_at(world->host, began + 900 * MS, take_some, world), 0);
	assert_int_equal(npf_sim_at(world->host, began + 1800 * MS, take_all, world), 0);
	assert_int_equal(npf_wait_sent(world->instance, 60000 * MS), 0);
	assert_in_range(world_now(world), began + 1800 * MS, began + 1801 * MS);
	assert_int_equal(send_stats(world).confirmed, 10);
}

static void what_a_receiver_lost_is_waited_for_once(void **state)
{
	struct world *world = *state;
	uint64_t began;

	send_some(world, 10);
	trail(world, 4);
	began = world_now(world);
	assert_int_equal(npf_wait_sent(world->instance, 60000 * MS), 0);
	assert_in_range(world_now(world), began + 1000 * MS, began + 1001 * MS);
	assert_int_equal(send_stats(world).confirmed, 6);
	began = world_now(world);
	send_some(world, 10);
	assert_int_equal(npf_wait_sent(world->instance, 0), 0);
	assert_int_equal(world_now(world), began);
	assert_int_equal(send_stats(world).confirmed, 16);
}

/* Frames of before a reset, counted later, are none of after. */
static void what_trails_a_reset_confirms_nothing(void **state)
{
	struct world *world = *state;

	reset_behind(world, 10, 4);
	send_some(world, 5);
	expect_confirmed(world, 5, 0);
	expect_confirmed(world, 2, 3);
	expect_confirmed(world, 0, 5);
}

/* Resets without a send between them are as one. */
static void what_trails_two_resets_confirms_nothing(void **state)
{
	struct world *world = *state;

	reset_behind(world, 10, 10);
	assert_int_equal(npf_reset_send_stats(world->instance), 0);
	send_some(world, 5);
	expect_confirmed(world, 5, 0); /* the ten of before */
	expect_confirmed(world, 0, 5);
}

/* Some of the first trail two resets, before each of which others were sent. */
static void what_trails_each_of_two_resets_adds_up(void **state)
{
	struct world *world = *state;

	reset_behind(world, 10, 10);
	reset_behind(world, 10, 16); /* four of the first came */
	send_some(world, 5);
	expect_confirmed(world, 5, 0);
	expect_confirmed(world, 2, 3);
}

/* What came between a reset and the next send is not awaited from that. */
static void what_comes_behind_a_reset_is_owed_no_more(void **state)
{
	struct world *world = *state;
	uint64_t began;

	reset_behind(world, 10, 10);
	trail(world, 3);
	send_some(world, 5);
	expect_confirmed(world, 1, 4); /* the last three, and four */
	expect_confirmed(world, 0, 5);
	began = world_now(world);
	assert_int_equal(npf_wait_sent(world->instance, 0), 0);
	assert_int_equal(world_now(world), began);
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
		IN_WORLD(frames_go_at_their_times_or_at_once),
		IN_WORLD(lateness_is_told_to_a_sixteenth),
		IN_WORLD(what_the_adapter_did_not_count_is_not_confirmed),
		IN_WORLD(what_others_sent_does_not_confirm_what_was_lost),
		IN_WORLD(what_others_lose_takes_nothing_back),
		IN_WORLD(the_account_is_closed_when_a_send_ends),
		IN_WORLD(what_waits_or_was_refused_is_told_apart),
		IN_WORLD(what_was_confirmed_is_kept_when_the_adapter_goes),
		IN_WORLD(short_gaps_have_time_for_a_look),
		IN_WORLD(gaps_without_time_are_looked_into_all_the_same),
		IN_WORLD(looks_that_take_long_delay_few_frames),
		IN_WORLD(many_short_sends_are_looked_at),
		IN_WORLD(an_adapter_may_count_from_zero_again),
		IN_WORLD(counters_are_reset_amid_a_send),
		IN_WORLD(an_instance_that_only_sends_taps_nothing),
		IN_WORLD(what_a_receiver_has_not_taken_is_waited_for),
		IN_WORLD(what_a_receiver_lost_is_waited_for_once),
		IN_WORLD(what_trails_a_reset_confirms_nothing),
		IN_WORLD(what_trails_two_resets_confirms_nothing),
		IN_WORLD(what_trails_each_of_two_resets_adds_up),
		IN_WORLD(what_comes_behind_a_reset_is_owed_no_more),
		IN_WORLD(item_10_writers_follow_each_other),
		IN_WORLD(cleanup_ends_a_writer_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
