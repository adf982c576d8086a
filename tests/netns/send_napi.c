/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A receiver that works beside the sender, and more slowly: a veth whose peer has threaded NAPI. Its ring is
 * full most of the time, and what it has no room for is sent again: everything arrives once, in order,
 * and is claimed when it has left. And one that throws away what its ring holds, and is believed nothing.
 */
#include "netns/copies.h"

#include <pthread.h>

#define WAIT_NS UINT64_C(60000000000)

static const uint64_t counts[] = { 1, 1000, 1000000 };

static bool set_threaded(struct bench *bench)
{
	if (net_write_sys(&bench->net, NET_THERE, "/sys/class/net/vb/threaded", "1"))
		return true;
	printf("no threaded NAPI here: /sys/class/net/vb/threaded cannot be written\n");
	return false;
}

/* Nothing of what a send asked for is anywhere but at the far end. */
static void expect_all(struct bench *bench, uint64_t before, uint64_t n, enum npf_send_path path)
{
	struct npf_send_stats stats;

	expect_counted(bench, before, n);
	stats = stats_of(bench->near);
	assert_int_equal(stats.asked, n);
	/* What was refused, and went later, is no loss. */
	if (path == NPF_SEND_XDP) {
		assert_int_equal(stats.by_path[NPF_SEND_XDP], n);
		assert_int_equal(stats.device_dropped, 0);
	}
}

static void item_10_copies_arrive_at_a_slow_receiver(void **state)
{
	struct bench *bench = *state;
	uint64_t there = 0;
	uint8_t frame[COPY];

	if (!set_threaded(bench))
		skip();
	make_frame(1, frame, sizeof(frame));
	count_copies(bench, frame);
	for (size_t i = 0; i < N_OF(paths) * N_OF(counts); i++) {
		enum npf_send_path path = paths[i / N_OF(counts)];
		uint64_t n = counts[i % N_OF(counts)];
		uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;

		n = n < many(n) ? n : many(n);
		if (!take_path(bench->near, path))
			continue;
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_set_write_repeat(bench->near, (uint32_t)n), 0);
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
		expect_all(bench, before, n, path);
		there += n;
		expect_copies(bench, there, 0);
		assert_int_equal(net_counters(&bench->net, NET_THERE, "vb").rx_packets, there);
	}
}

static void item_11_queues_arrive_in_order_at_a_slow_receiver(void **state)
{
	struct bench *bench = *state;

	if (!set_threaded(bench))
		skip();
	for (size_t i = 0; i < N_OF(paths) * N_OF(counts); i++) {
		enum npf_send_path path = paths[i / N_OF(counts)];
		uint64_t n = counts[i % N_OF(counts)];
		uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
		uint8_t *queue;
		size_t size;

		n = n < many(n) ? n : many(n);
		if (!take_path(bench->near, path))
			continue;
		queue = make_queue(bench->seen, n, small, &size);
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_buffered_write(bench->near, queue, size, false), size);
		expect_all(bench, before, n, path);
		expect_frames(bench, n, is_next_small);
		free(queue);
	}
}

/* ---- a receiver that throws away ------------------------------------------------------------ */

struct toggler {
	struct bench *bench;
	uint64_t at; /* what the adapter has sent by then */
};

/* A peer that stops to poll frees what lies in its ring. */
static void *toggle(void *arg)
{
	const struct toggler *toggler = arg;
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (net_counters(&toggler->bench->net, NET_HERE, "va").tx_packets < toggler->at &&
	       now_ms() < deadline)
		continue;
	set_polling(toggler->bench, false);
	set_polling(toggler->bench, true);
	return NULL;
}

/* The peer counts frames before it hands the last of them up. */
static uint64_t count_arrived(struct bench *bench, uint64_t least)
{
	struct npf_class_stats stats[N_CLASSES];
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint32_t room;

	do {
		room = N_CLASSES;
		assert_int_equal(npf_get_class_stats(bench->far, stats, &room, NULL), 0);
		assert_int_equal(stats[OTHERS].packets, 0);
	} while (stats[COPIES].packets < least && now_ms() < deadline);
	return stats[COPIES].packets;
}

static void what_a_receiver_throws_away_is_not_confirmed(void **state)
{
	struct bench *bench = *state;
	struct npf_send_stats stats;
	uint64_t n = many(1000000), arrived;
	struct toggler toggler = { .bench = bench, .at = n / 4 };
	uint8_t frame[COPY];
	pthread_t thread;

	if (!set_threaded(bench))
		skip();
	make_frame(1, frame, sizeof(frame));
	count_copies(bench, frame);
	assert_int_equal(npf_set_write_repeat(bench->near, (uint32_t)n), 0);
	assert_int_equal(pthread_create(&thread, NULL, toggle, &toggler), 0);
	int64_t sent = npf_write(bench->near, frame, sizeof(frame));

	pthread_join(thread, NULL);
	assert_int_equal(sent, sizeof(frame));
	assert_int_equal(npf_wait_sent(bench->near, WAIT_NS), 0);
	stats = stats_of(bench->near);
	arrived = count_arrived(bench, stats.confirmed);
	printf("%llu handed, %llu confirmed, %llu arrived; %llu by live frames\n",
	       (unsigned long long)stats.handed, (unsigned long long)stats.confirmed,
	       (unsigned long long)arrived, (unsigned long long)stats.by_path[NPF_SEND_XDP]);
	assert_int_equal(stats.handed, n);
	assert_true(stats.confirmed <= arrived);
	/* Who was told that they are lost is not made to wait for them again, and new ones count. */
	assert_int_equal(npf_set_write_repeat(bench->near, 1000), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_wait_sent(bench->near, WAIT_NS), 0);
	assert_int_equal(stats_of(bench->near).confirmed, stats.confirmed + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(item_10_copies_arrive_at_a_slow_receiver),
		SEND_TEST(item_11_queues_arrive_in_order_at_a_slow_receiver),
		SEND_TEST(what_a_receiver_throws_away_is_not_confirmed),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
