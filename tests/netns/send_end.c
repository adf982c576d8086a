/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends that end early on real interfaces, because the adapter goes, goes down, or somebody says so:
 * what is claimed, what failed and what arrived add up, to the frame.
 */
#include "netns/sending.h"

#include <pthread.h>

/* Or until the send is over, of which the test hears. */
static void wait_for_frames(struct bench *bench, uint64_t n)
{
	struct npf_stats far;

	do
		assert_int_equal(npf_get_stats(bench->far, &far), 0);
	while (far.received < n && !__atomic_load_n(&bench->over, __ATOMIC_ACQUIRE));
}

/* The send has returned. */
static void end_thread(struct bench *bench, pthread_t thread)
{
	__atomic_store_n(&bench->over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	bench->over = false;
}

/* ---- the adapter ends it --------------------------------------------------------------------- */

/* Or until the send is over. */
static void wait_for_confirmed(struct bench *bench, uint64_t n)
{
	struct npf_send_stats near;

	do
		assert_int_equal(npf_get_send_stats(bench->near, &near), 0);
	while (near.confirmed < n && !__atomic_load_n(&bench->over, __ATOMIC_ACQUIRE));
}

static void *delete_soon(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 400);
	wait_for_confirmed(bench, 50);
	net_run(&bench->net, NET_HERE, "ip link del va");
	return NULL;
}

/* What waits in a backlog for the peer, when that goes as well, was handed over and is not received; and
 * Linux 6.1 says OK for frames that find no peer any more. */
#define ON_THE_WAY 1000u

/* A frame a millisecond; what is reported as sent is what arrived. */
static void item_13_an_adapter_that_goes_half_way(void **state)
{
	enum { N = 20000 };
	struct bench *bench = *state;
	struct npf_send_frame *frames = calloc(N, sizeof(*frames));
	uint8_t frame[100];
	struct npf_stats far;
	pthread_t thread;
	size_t sent;
	uint64_t start = npf_send_clock(bench->near);

	make_frame(1, frame, sizeof(frame));
	for (uint64_t i = 0; i < N; i++)
		frames[i] = (struct npf_send_frame){ frame, sizeof(frame), start + i * 1000000 };
	assert_int_equal(pthread_create(&thread, NULL, delete_soon, bench), 0);
	assert_int_equal(npf_send_frames(bench->near, frames, N, &sent), -ENODEV);
	end_thread(bench, thread);
	assert_in_range(sent, 400, N - 1);
	assert_int_equal(npf_get_stats(bench->far, &far), 0);
	assert_in_range(sent, far.received, far.received + ON_THE_WAY);
	assert_int_equal(stats_of(bench->near).handed, sent);
	assert_in_range(stats_of(bench->near).confirmed, 50, sent);
	assert_int_equal(stats_of(bench->near).failed, N - sent);
	assert_int_equal(npf_send_frames(bench->near, frames, 1, &sent), -ENODEV);
	assert_true(stats_of(bench->near).failed_by[NPF_SEND_FAILED_GONE] > 0);
	free(frames);
}

static void *delete_early(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 10);
	net_run(&bench->net, NET_HERE, "ip link del va");
	return NULL;
}

/* What arrived was confirmed: an adapter that goes says what it had counted. But that of a peer with gro
 * is counted there, and known up to the last look. */
static void an_adapter_that_goes_early(void **state)
{
	enum { N = 20000 };
	struct bench *bench = *state;
	struct npf_send_frame *frames = calloc(N, sizeof(*frames));
	uint8_t frame[100];
	struct npf_send_stats near;
	struct npf_stats far;
	pthread_t thread;
	size_t sent;
	uint64_t start = npf_send_clock(bench->near);

	set_polling(bench, false);
	make_frame(1, frame, sizeof(frame));
	for (uint64_t i = 0; i < N; i++)
		frames[i] = (struct npf_send_frame){ frame, sizeof(frame), start + i * 10000 };
	assert_int_equal(pthread_create(&thread, NULL, delete_early, bench), 0);
	assert_int_equal(npf_send_frames(bench->near, frames, N, &sent), -ENODEV);
	end_thread(bench, thread);
	assert_int_equal(npf_get_stats(bench->far, &far), 0);
	near = stats_of(bench->near);
	assert_int_equal(near.handed, sent);
	assert_in_range(near.confirmed, far.received, near.handed);
	free(frames);
}

static void *delete_after_a_look(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 20000);
	wait_for_confirmed(bench, 1);
	net_run(&bench->net, NET_HERE, "ip link del va");
	return NULL;
}

static void *delete_at_once(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 20000);
	net_run(&bench->net, NET_HERE, "ip link del va");
	return NULL;
}

static void *bring_down(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 20000);
	net_run(&bench->net, NET_HERE, "ip link set va down");
	return NULL;
}

/* It takes the kernel a moment. */
static void wait_for_carrier(struct bench *bench)
{
	struct npf_adapter adapter;

	do
		assert_int_equal(npf_instance_adapter(bench->near, &adapter), 0);
	while (!(adapter.flags & NPF_ADAPTER_RUNNING));
}

/* A repetition without end, until the thread has done its work; what the writer hears. */
static int64_t repeat_until(struct bench *bench, void *(*thread_main)(void *arg))
{
	uint8_t frame[100];
	pthread_t thread;

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(bench->near, UINT32_MAX), 0);
	assert_int_equal(pthread_create(&thread, NULL, thread_main, bench), 0);
	int64_t err = npf_write(bench->near, frame, sizeof(frame));

	end_thread(bench, thread);
	return err;
}

static void repeat_to_the_end(struct bench *bench, void *(*thread_main)(void *arg), int wanted)
{
	int64_t err = repeat_until(bench, thread_main);

	if (err != wanted)
		fail_msg("%lld: %s", (long long)err, npf_error(bench->near));
}

/* Frames of one run, what waits in the peer's queues, and what goes while the kernel has parted both but
 * not said so, which a busy machine draws out; few of all that were asked for. */
#define MAY_BE_LOST 4000000u

/* What was on its way into the peer when both went was handed over and not received. */
static void a_repetition_whose_adapter_goes(struct bench *bench, enum npf_send_path path)
{
	uint8_t frame[100];

	need_path(bench->near, path);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_buffer(bench->far, 0), 0);
	repeat_to_the_end(bench, delete_after_a_look, -ENODEV);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENODEV);

	struct npf_send_stats near = stats_of(bench->near);
	struct npf_stats far;

	assert_int_equal(npf_get_stats(bench->far, &far), 0);
	assert_int_equal(near.asked, 2 * (uint64_t)UINT32_MAX);
	assert_true(near.failed_by[NPF_SEND_FAILED_GONE] >= UINT32_MAX);
	assert_int_equal(near.failed, near.failed_by[NPF_SEND_FAILED_GONE]);
	printf("%llu handed, %llu confirmed, %llu received\n", (unsigned long long)near.handed,
	       (unsigned long long)near.confirmed, (unsigned long long)far.received);
	assert_in_range(near.handed, far.received, far.received + MAY_BE_LOST);
	assert_in_range(near.confirmed, 1, near.handed);
}

static void an_adapter_that_goes_during_a_repetition(void **state)
{
	a_repetition_whose_adapter_goes(*state, NPF_SEND_AUTO);
}

static void an_adapter_that_goes_during_clones(void **state)
{
	a_repetition_whose_adapter_goes(*state, NPF_SEND_CLONE);
}

/* It is still there to be asked: by every path, nothing is confirmed that it did not count. */
static void an_adapter_that_goes_down_during_a_repetition(void **state)
{
	struct bench *bench = *state;
	struct npf_stats far;

	assert_int_equal(npf_set_buffer(bench->far, 0), 0);
	for (size_t p = 0; p < N_OF(paths); p++) {
		if (!take_path(bench->near, paths[p]))
			continue;

		uint64_t sent = net_counters(&bench->net, NET_HERE, "va").tx_packets;
		uint64_t arrived = net_counters(&bench->net, NET_THERE, "vb").rx_packets;
		struct npf_send_stats near;

		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_set_buffer(bench->far, 0), 0); /* counts from zero */
		repeat_to_the_end(bench, bring_down, -ENETDOWN);
		assert_int_equal(npf_wait_sent(bench->near, PATIENCE_MS * UINT64_C(1000000)), 0);
		near = stats_of(bench->near);
		sent = net_counters(&bench->net, NET_HERE, "va").tx_packets - sent;
		arrived = net_counters(&bench->net, NET_THERE, "vb").rx_packets - arrived;
		assert_int_equal(npf_get_stats(bench->far, &far), 0);
		assert_int_equal(near.asked, UINT32_MAX);
		assert_int_equal(near.failed, near.failed_by[NPF_SEND_FAILED_DOWN]);
		assert_int_equal(near.confirmed, sent);
		assert_true(sent <= near.handed);
		assert_true(far.received <= arrived);
		assert_true(arrived <= near.handed);
		net_run(&bench->net, NET_HERE, "ip link set va up");
		wait_for_carrier(bench);
	}
}

/* Another pair, which a thread deletes once frames of a sender go there. */
struct pair {
	struct bench *bench;
	struct npf_instance *sender;
	unsigned int index;
	uint64_t after; /* so many frames */
	bool replace;   /* by one with the same name and index */
};

static void *delete_pair(void *arg)
{
	const struct pair *pair = arg;
	struct npf_send_stats stats;

	do {
		usleep(100); /* who begins to send must get the lock that it looks with */
		assert_int_equal(npf_get_send_stats(pair->sender, &stats), 0);
	} while (stats.handed < pair->after);
	net_run(&pair->bench->net, NET_HERE, "ip link del ea");
	if (pair->replace)
		add_pair(pair->bench, pair->index);
	return NULL;
}

static int send_without_end(struct npf_instance *sender, bool queue)
{
	static struct npf_send_frame frames[4096];
	static uint8_t frame[100];
	int err = 0;

	make_frame(1, frame, sizeof(frame));
	for (size_t i = 0; i < N_OF(frames); i++)
		frames[i] = (struct npf_send_frame){ frame, sizeof(frame), 0 };
	assert_int_equal(npf_set_write_repeat(sender, UINT32_MAX), 0);
	if (!queue)
		return (int)npf_write(sender, frame, sizeof(frame));
	while (!err)
		err = npf_send_frames(sender, frames, N_OF(frames), NULL);
	return err;
}

/* What the sender hears is that its adapter went, whatever way its frames took. */
static void send_to_pair(struct bench *bench, enum npf_send_path path, bool queue, bool replace)
{
	struct pair pair = { .bench = bench, .index = 4711, .after = 20000, .replace = replace };
	uint64_t refused;
	pthread_t thread;
	int err;

	add_pair(bench, pair.index);
	pair.sender = open_on(bench, NET_HERE, "ea", NPF_OPEN_SEND_ONLY);
	if (take_path(pair.sender, path)) {
		assert_int_equal(pthread_create(&thread, NULL, delete_pair, &pair), 0);
		err = send_without_end(pair.sender, queue);
		pthread_join(thread, NULL);
		if (err != -ENODEV)
			fail_msg("%s: %d: %s", npf_send_path_name(path), err,
				 npf_error(pair.sender));
		assert_int_equal(send_without_end(pair.sender, queue), -ENODEV);
		refused = stats_of(pair.sender).failed_by[NPF_SEND_FAILED_REFUSED];
		assert_int_equal(refused, 0);
		if (replace)
			assert_int_equal(net_counters(&bench->net, NET_HERE, "ea").tx_packets, 0);
	}
	close_on(bench, pair.sender);
	(void)net_try(&bench->net, NET_HERE, "ip link del ea"); /* if there is one */
}

/* An index is free again once its adapter has gone. */
static void another_adapter_with_the_same_index_gets_nothing(void **state)
{
	for (size_t p = 0; p < N_OF(paths); p++) {
		send_to_pair(*state, paths[p], false, true);
		send_to_pair(*state, paths[p], true, true);
	}
}

/* The kernel has other words for that, and which of them depends on the moment. */
static void an_adapter_that_goes_is_never_called_anything_else(void **state)
{
	for (int i = 0; i < 20; i++) {
		send_to_pair(*state, NPF_SEND_CLONE, i % 2, false);
		send_to_pair(*state, NPF_SEND_AUTO, i % 2, false);
	}
}

/* Records in the bytes that went, which must be whole ones. */
static uint64_t count_records(const uint8_t *queue, size_t size)
{
	struct npf_sf_pkthdr header;
	uint64_t n = 0;
	size_t at = 0;

	for (; at < size; at += sizeof(header) + header.caplen, n++)
		memcpy(&header, queue + at, sizeof(header));
	assert_int_equal(at, size);
	return n;
}

/* What has arrived is the beginning of what was handed over, each frame once, whole and in order; of its end
 * some were on their way. */
static void expect_beginning(struct npf_instance *capture, uint64_t handed, check_frame is_right)
{
	struct npf_packet packet;
	struct npf_stats far;
	uint64_t got = 0;

	assert_int_equal(npf_get_stats(capture, &far), 0);
	if (far.dropped) { /* of a buffer that got too small, who knows which */
		printf("%llu of %llu did not fit\n", (unsigned long long)far.dropped,
		       (unsigned long long)handed);
		return;
	}
	while (npf_batch_begin(capture) > 0) {
		for (; npf_batch_next(capture, &packet); got++) {
			if (!is_right(&packet, got))
				fail_msg("frame %llu of %llu is not the one that was sent",
					 (unsigned long long)got, (unsigned long long)handed);
		}
		npf_batch_end(capture);
	}
	assert_int_equal(got, far.captured);
	assert_in_range(got, 1, handed);
	assert_in_range(far.received + MAY_BE_LOST, handed, handed + MAY_BE_LOST);
}

/* false: the adapter was there to the end, for the deletion was late. */
static bool adapter_goes_amid_a_queue(struct bench *bench, enum npf_send_path path)
{
	enum { N = 1000000 };
	size_t size;
	uint8_t *queue = make_queue(0, N, small, &size);
	struct npf_send_stats near;
	pthread_t thread;
	int64_t went;
	uint64_t n;

	if (!take_path(bench->near, path)) {
		free(queue);
		skip();
	}
	assert_int_equal(pthread_create(&thread, NULL, delete_at_once, bench), 0);
	went = npf_buffered_write(bench->near, queue, size, false);
	end_thread(bench, thread);
	if (went == (int64_t)size) {
		free(queue);
		return false;
	}
	assert_in_range(went, 1, size - 1);
	n = count_records(queue, (size_t)went);
	/* Unbound, a queue is an error: success and no bytes would be asked again for ever (B3). */
	assert_int_equal(npf_buffered_write(bench->near, queue + went, size - (size_t)went, false),
			 -ENODEV);
	assert_int_equal(npf_buffered_write(bench->near, queue + went, size - (size_t)went, true),
			 -ENODEV);
	near = stats_of(bench->near);
	assert_int_equal(near.handed, n);
	assert_int_equal(near.failed, 3 * (N - n));
	assert_true(near.confirmed <= near.handed);
	expect_beginning(bench->far, n, is_next_small);
	free(queue);
	return true;
}

static void a_queue_whose_adapter_goes(void **state, enum npf_send_path path)
{
	while (!adapter_goes_amid_a_queue(*state, path)) {
		teardown(state);
		setup(state);
	}
}

static void item_13_a_queue_whose_adapter_goes(void **state)
{
	a_queue_whose_adapter_goes(state, NPF_SEND_AUTO);
}

static void item_13_a_queue_by_socket_whose_adapter_goes(void **state)
{
	a_queue_whose_adapter_goes(state, NPF_SEND_SOCKET);
}

static void item_13_a_queue_of_clones_whose_adapter_goes(void **state)
{
	a_queue_whose_adapter_goes(state, NPF_SEND_CLONE);
}

static void item_13_a_queue_by_xsk_whose_adapter_goes(void **state)
{
	a_queue_whose_adapter_goes(state, NPF_SEND_XSK);
}

static void item_13_a_queue_by_xdp_whose_adapter_goes(void **state)
{
	a_queue_whose_adapter_goes(state, NPF_SEND_XDP);
}

/* What an adapter that goes half-way is given, and what of it arrives. */
enum content { COPIES, QUEUE, NUMBERED, N_CONTENTS };

/* As npf send does with a template: the next numbers, a chunk at a time. */
static int send_numbers(struct npf_instance *sender)
{
	static struct npf_send_frame frames[4096];
	static uint8_t bytes[4096][NET_LEAST_FRAME + 64];
	uint64_t next = 0;
	int err = 0;

	while (!err) {
		for (size_t i = 0; i < N_OF(frames); i++, next++) {
			make_frame(next, bytes[i], small(next));
			frames[i] = (struct npf_send_frame){ bytes[i], small(next), 0 };
		}
		err = npf_send_frames(sender, frames, N_OF(frames), NULL);
	}
	return err;
}

/* The queue again and again, should the adapter be there to its end. */
static int send_content(struct npf_instance *sender, enum content content, const uint8_t *queue,
			size_t size)
{
	int64_t went;

	if (content == COPIES)
		return send_without_end(sender, false);
	if (content == NUMBERED)
		return send_numbers(sender);
	do
		went = npf_buffered_write(sender, queue, size, false);
	while (went == (int64_t)size);
	return went < 0 ? (int)went
			: (int)npf_buffered_write(sender, queue + went, size - (size_t)went, false);
}

#define QUEUED 1000000u

static bool is_next_queued(const struct npf_packet *packet, uint64_t n)
{
	return is_next_small(packet, n % QUEUED);
}

/* The far end has exactly the first of them, unchanged. */
static void expect_content(struct bench *bench, enum npf_send_path path, enum content content,
			   const uint8_t *queue, size_t size)
{
	struct pair pair = { .bench = bench, .index = 4711, .after = many(60000) };
	struct npf_instance *capture;
	struct npf_send_stats near;
	pthread_t thread;

	add_pair(bench, pair.index);
	capture = open_on(bench, NET_HERE, "eb", 0);
	assert_int_equal(npf_set_buffer(capture, far_buffer()), 0);
	pair.sender = open_on(bench, NET_HERE, "ea", NPF_OPEN_SEND_ONLY);
	if (take_path(pair.sender, path)) {
		assert_int_equal(pthread_create(&thread, NULL, delete_pair, &pair), 0);
		assert_int_equal(send_content(pair.sender, content, queue, size), -ENODEV);
		pthread_join(thread, NULL);
		near = stats_of(pair.sender);
		printf("%s, %d: %llu handed, %llu confirmed\n", npf_send_path_name(path), content,
		       (unsigned long long)near.handed, (unsigned long long)near.confirmed);
		assert_in_range(near.confirmed, 0, near.handed);
		expect_beginning(capture, near.handed,
				 content == COPIES  ? is_the_same
				 : content == QUEUE ? is_next_queued
						    : is_next_small);
	}
	close_on(bench, pair.sender);
	close_on(bench, capture);
	(void)net_try(&bench->net, NET_HERE, "ip link del ea"); /* if there is one */
}

static void what_an_adapter_that_goes_was_given_arrives_unchanged(void **state)
{
	size_t size;
	uint8_t *queue = make_queue(0, QUEUED, small, &size);

	/* Emulated machines have two minutes for all of this program. */
	enum content first = getenv("NPF_TEST_PACKETS") ? NUMBERED : COPIES;

	for (size_t p = 1; p < N_OF(paths); p++) { /* auto is one of them */
		for (enum content content = first; content < N_CONTENTS; content++)
			expect_content(*state, paths[p], content, queue, size);
	}
	free(queue);
}

/* ---- frames become too long ------------------------------------------------------------------ */

#define SHORT_MTU 200u

static uint32_t with_long_ones(uint64_t n)
{
	return n % 8 == 7 ? 1000 : small(n);
}

static bool is_next_of_them(const struct npf_packet *packet, uint64_t n)
{
	return is_next(packet, with_long_ones(n), n);
}

static void *lower_mtu(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 20000);
	net_run(&bench->net, NET_HERE, "ip link set va mtu %u", SHORT_MTU);
	return NULL;
}

/* What went is the queue's beginning, up to a frame that is too long by then; the rest has failed. */
static void item_11_a_queue_whose_adapter_sends_less_than_before(void **state)
{
	enum { N = 200000 };
	struct bench *bench = *state;
	size_t size;
	uint8_t *queue = make_queue(0, N, with_long_ones, &size);
	size_t tried = 0;

	for (size_t p = 0; p < N_OF(paths); p++) {
		struct npf_send_stats near;
		pthread_t thread;
		int64_t went;
		uint64_t n;

		if (!take_path(bench->near, paths[p]))
			continue;
		tried++;
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_set_buffer(bench->far, 0), 0); /* counts from zero */
		assert_int_equal(npf_set_buffer(bench->far, far_buffer()), 0);
		bench->seen = 0;
		assert_int_equal(pthread_create(&thread, NULL, lower_mtu, bench), 0);
		went = npf_buffered_write(bench->near, queue, size, false);
		end_thread(bench, thread);
		assert_in_range(went, 1, size);
		n = count_records(queue, (size_t)went);
		near = stats_of(bench->near);
		printf("%s: %llu of %d went\n", npf_send_path_name(paths[p]), (unsigned long long)n,
		       N);
		assert_int_equal(near.handed, n);
		assert_int_equal(near.failed, N - n);
		assert_int_equal(near.failed_by[NPF_SEND_FAILED_REFUSED], N - n);
		if (n < N) {
			assert_true(with_long_ones(n) > SHORT_MTU);
			assert_int_equal(npf_buffered_write(bench->near, queue + went,
							    size - (size_t)went, false),
					 -EMSGSIZE);
		}
		expect_frames(bench, n, is_next_of_them);
		net_run(&bench->net, NET_HERE, "ip link set va mtu 1500");
	}
	free(queue);
	assert_true(tried >= 2);
}

/* The MTU is lowered behind our back: by every path the packet socket's answer, of one and of many. */
static void frames_that_became_too_long_are_refused(void **state)
{
	static const struct {
		uint32_t mtu;
		bool tagged;
		int64_t result;
	} cases[] = { { 1500, false, 1514 },      { 1500, true, 1514 },
		      { 1496, false, -EMSGSIZE }, { 1496, true, 1514 },
		      { 1495, true, -EMSGSIZE },  { 1000, false, -EMSGSIZE },
		      { 1000, true, -EMSGSIZE } };
	static const uint32_t counts[] = { 1, 1001 };
	struct bench *bench = *state;
	uint8_t frame[1514] = { 0 };
	struct npf_send_frame one = { frame, sizeof(frame), 0 };

	make_frame(1, frame, sizeof(frame));
	for (size_t p = 0; p < N_OF(paths); p++) {
		if (!take_path(bench->near, paths[p]))
			continue;
		for (size_t i = 0; i < N_OF(cases) * N_OF(counts); i++) {
			int64_t result = cases[i / N_OF(counts)].result;
			uint32_t n = counts[i % N_OF(counts)];

			net_run(&bench->net, NET_HERE, "ip link set va mtu 1500");
			frame[12] = NET_ETHERTYPE >> 8;
			assert_int_equal(npf_set_write_repeat(bench->near, 20000), 0);
			assert_int_equal(npf_write(bench->near, frame, sizeof(frame)),
					 sizeof(frame));
			net_run(&bench->net, NET_HERE, "ip link set va mtu %u",
				cases[i / N_OF(counts)].mtu);
			frame[12] = cases[i / N_OF(counts)].tagged ? 0x81 : NET_ETHERTYPE >> 8;
			frame[13] = cases[i / N_OF(counts)].tagged ? 0 : NET_ETHERTYPE & 0xff;
			assert_int_equal(npf_reset_send_stats(bench->near), 0);
			assert_int_equal(npf_set_write_repeat(bench->near, n), 0);
			assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), result);
			assert_int_equal(stats_of(bench->near).handed, result < 0 ? 0 : n);
			assert_int_equal(stats_of(bench->near).failed_by[NPF_SEND_FAILED_REFUSED],
					 result < 0 ? n : 0);
			assert_int_equal(npf_send_frames(bench->near, &one, 1, NULL),
					 result < 0 ? result : 0);
		}
	}
}

/* ---- somebody ends it ------------------------------------------------------------------------ */

static void *stop_it(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 30000);
	npf_stop_sending(bench->near);
	return NULL;
}

static void *close_it(void *arg)
{
	struct bench *bench = arg;

	wait_for_frames(bench, 30000);
	npf_cleanup(bench->near);
	return NULL;
}

static void a_repetition_can_be_stopped(void **state)
{
	struct bench *bench = *state;
	struct npf_stats far;

	for (size_t p = 0; p < N_OF(paths); p++) {
		if (!take_path(bench->near, paths[p]))
			continue;
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_set_buffer(bench->far, 0), 0); /* counts from zero */
		assert_int_equal(repeat_until(bench, stop_it), -EINTR);
		assert_int_equal(npf_wait_sent(bench->near, PATIENCE_MS * UINT64_C(1000000)), 0);
		wait_for_frames(bench, stats_of(bench->near).confirmed);
		assert_int_equal(npf_get_stats(bench->far, &far), 0);
		assert_int_equal(far.received, stats_of(bench->near).handed);
	}
}

static void closing_ends_a_repetition(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(npf_set_buffer(bench->far, 0), 0);
	assert_int_equal(repeat_until(bench, close_it), -ECANCELED);
}

/* ---- a queue that holds frames ---------------------------------------------------------------- */

#define HELD      50u
#define HELD_SIZE 1000u

static void send_held(struct bench *bench, uint32_t n)
{
	uint8_t frame[HELD_SIZE];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(bench->near, n), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
}

/* They leave within two seconds. */
static void closing_waits_for_what_is_queued(void **state)
{
	struct bench *bench = *state;
	uint64_t before;

	need_run(bench, "tc qdisc add dev va root tbf rate 200kbit burst 1600 limit 1000000");
	before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
	send_held(bench, HELD);
	npf_cleanup(bench->near);
	assert_int_equal(net_counters(&bench->net, NET_HERE, "va").tx_packets - before, HELD);
	wait_for_frames(bench, HELD);
}

/* At a frame a second: what the adapter has not counted is not confirmed, and who waits is told. */
static void a_wait_for_what_is_queued_ends(void **state)
{
	struct bench *bench = *state;
	struct npf_send_stats near;
	uint64_t before;

	need_run(bench, "tc qdisc add dev va root tbf rate 8kbit burst 1600 limit 1000000");
	before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
	send_held(bench, HELD);
	assert_int_equal(npf_wait_sent(bench->near, 10000000), -ETIMEDOUT);
	assert_int_equal(stats_of(bench->near).handed, HELD);
	assert_in_range(stats_of(bench->near).confirmed, 0, HELD - 1);
	net_run(&bench->net, NET_HERE, "tc qdisc del dev va root"); /* and what it holds */
	assert_int_equal(npf_wait_sent(bench->near, 1000000000), 0);
	near = stats_of(bench->near);
	assert_int_equal(near.handed, HELD);
	assert_int_equal(near.confirmed,
			 net_counters(&bench->net, NET_HERE, "va").tx_packets - before);
	assert_in_range(near.confirmed, 0, HELD - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(item_13_an_adapter_that_goes_half_way),
		SEND_TEST(an_adapter_that_goes_early),
		SEND_TEST(an_adapter_that_goes_during_a_repetition),
		SEND_TEST(an_adapter_that_goes_during_clones),
		SEND_TEST(an_adapter_that_goes_down_during_a_repetition),
		SEND_TEST(another_adapter_with_the_same_index_gets_nothing),
		SEND_TEST(an_adapter_that_goes_is_never_called_anything_else),
		SEND_TEST(item_13_a_queue_whose_adapter_goes),
		SEND_TEST(item_13_a_queue_by_socket_whose_adapter_goes),
		SEND_TEST(item_13_a_queue_of_clones_whose_adapter_goes),
		SEND_TEST(item_13_a_queue_by_xsk_whose_adapter_goes),
		SEND_TEST(item_13_a_queue_by_xdp_whose_adapter_goes),
		SEND_TEST(what_an_adapter_that_goes_was_given_arrives_unchanged),
		SEND_TEST(item_11_a_queue_whose_adapter_sends_less_than_before),
		SEND_TEST(frames_that_became_too_long_are_refused),
		SEND_TEST(a_repetition_can_be_stopped),
		SEND_TEST(closing_ends_a_repetition),
		SEND_TEST(closing_waits_for_what_is_queued),
		SEND_TEST(a_wait_for_what_is_queued_ends),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
