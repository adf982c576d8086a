/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending on real interfaces: a capture at the far end proves content, order and number, and the
 * adapter's own counters that nothing is claimed which did not leave; by every path, and by the one
 * that is chosen, which is never one that somebody would notice.
 */
#include "netns/copies.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sys/socket.h>

/* ---- repetition and queues, by each path ---------------------------------------------------- */

static bool can_be_fast(struct bench *bench)
{
	char reason[NPF_ERROR_SIZE];
	int err = npf_check_send_path(bench->near, NPF_SEND_XDP, reason);

	if (err == -ENOTSUP || err == -EPERM) {
		printf("no live frames: %s\n", reason);
		return false;
	}
	assert_int_equal(err, 0);
	return true;
}

static void item_10_repeated_frames_arrive(void **state)
{
	static const uint32_t counts[] = { 1, 2, 1000, 20000 };
	struct bench *bench = *state;
	uint8_t frame[100];
	size_t tried = 0;

	make_frame(1, frame, sizeof(frame));
	for (size_t p = 0; p < N_OF(paths); p++) {
		if (!take_path(bench->near, paths[p]))
			continue;
		tried++;
		for (size_t i = 0; i < N_OF(counts); i++) {
			uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;

			assert_int_equal(npf_reset_send_stats(bench->near), 0);
			assert_int_equal(npf_set_write_repeat(bench->near, counts[i]), 0);
			assert_int_equal(npf_write(bench->near, frame, sizeof(frame)),
					 sizeof(frame));
			expect_frames(bench, counts[i], is_the_same);
			expect_counted(bench, before, counts[i]);
		}
	}
	assert_true(tried >= 2);
}

static void item_11_queues_arrive_in_order(void **state)
{
	static const uint64_t counts[] = { 1, 2, 1000, 30000 };
	struct bench *bench = *state;

	for (size_t p = 0; p < N_OF(paths); p++) {
		if (!take_path(bench->near, paths[p]))
			continue;
		for (size_t i = 0; i < N_OF(counts); i++) {
			uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
			size_t size;
			uint8_t *queue = make_queue(bench->seen, counts[i], mixed, &size);

			assert_int_equal(npf_reset_send_stats(bench->near), 0);
			assert_int_equal(npf_buffered_write(bench->near, queue, size, false), size);
			expect_frames(bench, counts[i], is_next_mixed);
			expect_counted(bench, before, counts[i]);
			free(queue);
		}
	}
}

/* As the far capture's buffer holds a million of them, from the shortest to the longest. */
static uint32_t wide(uint64_t n)
{
	return n % 64 == 63 ? 1514 : n % 16 == 7 ? 590 : n % 16 == 11 ? 300 : small(n);
}

static bool is_next_wide(const struct npf_packet *packet, uint64_t n)
{
	return is_next(packet, wide(n), n);
}

static void item_11_a_million_frames_in_one_queue(void **state)
{
	static const enum npf_send_path ways[] = { NPF_SEND_AUTO, NPF_SEND_SOCKET };
	struct bench *bench = *state;
	uint64_t n = many(1000000);
	size_t size;
	uint8_t *queue = make_queue(0, n, wide, &size);

	for (size_t i = 0; i < N_OF(ways); i++) {
		uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;

		assert_int_equal(npf_set_send_path(bench->near, ways[i]), 0);
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		bench->seen = 0;
		assert_int_equal(npf_buffered_write(bench->near, queue, size, false), size);
		expect_frames(bench, n, is_next_wide);
		expect_counted(bench, before, n);
	}
	free(queue);
}

static void item_10_ten_million_copies_arrive(void **state)
{
	struct bench *bench = *state;
	uint64_t there = 0;
	uint8_t frame[COPY], other[COPY + 1];

	make_frame(1, frame, sizeof(frame));
	count_copies(bench, frame);
	for (size_t p = 0; p < N_OF(paths); p++) {
		uint64_t n = many(paths[p] == NPF_SEND_AUTO ? 10000000 : 1000000);
		uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;

		if (!take_path(bench->near, paths[p]))
			continue;
		there += n;
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_set_write_repeat(bench->near, (uint32_t)n), 0);
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
		expect_counted(bench, before, n);
		expect_copies(bench, there, 0);
		assert_int_equal(net_counters(&bench->net, NET_THERE, "vb").rx_packets, there);
		if (paths[p] == NPF_SEND_AUTO && can_be_fast(bench))
			assert_true(stats_of(bench->near).by_path[NPF_SEND_XDP] > 0);
	}

	/* It would have noticed any byte. */
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(bench->near, 1), 0);
	for (size_t i = 0; i <= COPY; i++) {
		memcpy(other, frame, COPY);
		other[COPY] = 0;
		other[i] ^= 1;
		assert_int_equal(npf_write(bench->near, other, i < COPY ? COPY : COPY + 1),
				 i < COPY ? COPY : COPY + 1);
	}
	expect_copies(bench, there + COPY + 1, COPY + 1);
}

/* ---- several writers ------------------------------------------------------------------------- */

#define WRITERS  4u
#define ROUNDS   200u
#define TOGETHER 8u

struct writer {
	struct npf_instance *instance;
	uint64_t first; /* of its frames' numbers */
};

static void *write_rounds(void *arg)
{
	static const uint32_t length = 64;
	const struct writer *writer = arg;
	uint8_t bytes[TOGETHER][64];
	struct npf_send_frame frames[TOGETHER];

	for (uint64_t round = 0; round < ROUNDS; round++) {
		for (uint64_t i = 0; i < TOGETHER; i++) {
			make_frame(writer->first + round * TOGETHER + i, bytes[i], length);
			frames[i] = (struct npf_send_frame){ bytes[i], length, 0 };
		}
		assert_int_equal(npf_send_frames(writer->instance, frames, TOGETHER, NULL), 0);
	}
	return NULL;
}

/* Frames of one call, which go together; where each writer's next call begins. */
static uint64_t writers_next[WRITERS];

static bool is_of_a_call(const struct npf_packet *packet, uint64_t n)
{
	static uint64_t writer, number;
	uint32_t sender;
	uint64_t sequence;

	if (packet->len != 64 || !net_flood_read(packet->data, 64, &sender, &sequence))
		return false;
	if (n % TOGETHER)
		return sequence == ++number;
	writer = sequence / (ROUNDS * TOGETHER);
	number = sequence;
	if (writer >= WRITERS || number != writers_next[writer])
		return false;
	writers_next[writer] += TOGETHER;
	return true;
}

/* Of all writers, in any order, each once: a veth whose peer does not poll leaves what two CPUs send to a
 * backlog for each. */
static bool is_of_the_writers(const struct npf_packet *packet, uint64_t n)
{
	static bool arrived[WRITERS * ROUNDS * TOGETHER];
	uint32_t sender;
	uint64_t sequence;

	if (!n)
		memset(arrived, 0, sizeof(arrived));
	if (packet->len != 64 || !net_flood_read(packet->data, 64, &sender, &sequence) ||
	    sequence >= N_OF(arrived) || arrived[sequence])
		return false;
	arrived[sequence] = true;
	return true;
}

/* In what order frames go shows where they go. */
static void item_10_writers_follow_each_other(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *beside = open_on(bench, NET_HERE, "va", 0);
	uint64_t seen = 0;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];

	assert_int_equal(npf_set_buffer(beside, 16 << 20), 0);
	assert_int_equal(npf_set_timeout(beside, 50), 0);
	for (uint64_t i = 0; i < WRITERS; i++) {
		writers_next[i] = i * ROUNDS * TOGETHER;
		writers[i] = (struct writer){ bench->near, writers_next[i] };
		assert_int_equal(pthread_create(&threads[i], NULL, write_rounds, &writers[i]), 0);
	}
	for (uint64_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	expect_at(beside, &seen, WRITERS * ROUNDS * TOGETHER, is_of_a_call);
	expect_frames(bench, WRITERS * ROUNDS * TOGETHER, is_of_the_writers);
	expect_counted(bench, 0, WRITERS * ROUNDS * TOGETHER);
	close_on(bench, beside);
}

/* ---- what the adapter can and cannot -------------------------------------------------------- */

static void a_peer_that_does_not_poll_gets_everything(void **state)
{
	struct bench *bench = *state;
	uint64_t n = 30000;
	size_t size;
	uint8_t *queue = make_queue(0, n, small, &size);

	set_polling(bench, false);
	assert_int_equal(npf_buffered_write(bench->near, queue, size, false), size);
	expect_frames(bench, n, is_next_small);
	expect_counted(bench, 0, n);
	assert_int_equal(stats_of(bench->near).by_path[NPF_SEND_XDP], 0);
	free(queue);
}

/* The kernel throws live frames for such a peer away. They must not be claimed. */
static void live_frames_that_are_lost_are_not_claimed(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[64];

	make_frame(1, frame, sizeof(frame));
	need_path(bench->near, NPF_SEND_XDP);
	set_polling(bench, false);
	assert_int_equal(npf_set_write_repeat(bench->near, 1000), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENOTSUP);
	assert_non_null(strstr(npf_error(bench->near), "ethtool -K PEER gro on"));
	assert_int_equal(stats_of(bench->near).handed, 0);
	assert_int_equal(stats_of(bench->near).failed, 1000);
	expect_frames(bench, 0, is_the_same);
}

/* Nothing is full: frames so long the receiver does not take. */
static void a_receiver_with_a_smaller_mtu_is_named(void **state)
{
	static const enum npf_send_path ways[] = { NPF_SEND_AUTO, NPF_SEND_CLONE };
	struct bench *bench = *state;
	uint8_t frame[1514];

	make_frame(1, frame, sizeof(frame));
	net_run(&bench->net, NET_THERE, "ip link set vb mtu 1000");
	assert_int_equal(npf_set_write_repeat(bench->near, 1000), 0);
	for (size_t i = 0; i < N_OF(ways); i++) {
		if (!take_path(bench->near, ways[i]))
			continue;
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENOBUFS);
		assert_non_null(strstr(npf_error(bench->near), "compare the MTUs of both ends"));
		assert_int_equal(stats_of(bench->near).confirmed, 0);
	}
}

static void a_peer_that_stops_polling_gets_the_rest(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 4; i++) {
		uint64_t n = 20000;
		size_t size;
		uint8_t *queue = make_queue(bench->seen, n, small, &size);

		set_polling(bench, i < 2);
		assert_int_equal(npf_buffered_write(bench->near, queue, size, false), size);
		expect_frames(bench, n, is_next_small);
		free(queue);
	}
	assert_int_equal(stats_of(bench->near).confirmed, 80000);
}

/* Both are told so that somebody can do something about it, and are tried again when it is gone. */
static void what_keeps_a_way_closed_may_pass(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *other = open_on(bench, NET_HERE, "va", NPF_OPEN_SEND_ONLY);
	char reason[NPF_ERROR_SIZE] = "";
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	bool xsk = take_path(bench->near, NPF_SEND_XSK);

	if (xsk) {
		assert_int_equal(npf_check_send_path(other, NPF_SEND_XSK, reason), -ENOTSUP);
		assert_non_null(strstr(reason, "another program"));
		close_on(bench, bench->near);
		bench->near = open_on(bench, NET_HERE, "va", NPF_OPEN_SEND_ONLY);
		while (npf_check_send_path(other, NPF_SEND_XSK, reason))
			continue; /* the kernel lets go later, and the answer holds a second */
	}
	close_on(bench, other);

	need_path(bench->near, NPF_SEND_XDP);
	set_polling(bench, false);
	do /* what was found holds a second */
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENOTSUP);
	while (!npf_check_send_path(bench->near, NPF_SEND_XDP, reason));
	assert_non_null(strstr(reason, "ethtool -K PEER gro on"));
	set_polling(bench, true);
	while (npf_write(bench->near, frame, sizeof(frame)) == -ENOTSUP)
		continue;
	expect_frames(bench, 1, is_the_same);
	if (!xsk)
		skip();
}

/* The kernel lets go of a closed socket some time after it was closed. */
static void who_sends_by_xsk_may_follow_at_once(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	need_path(bench->near, NPF_SEND_XSK);
	for (int i = 0; i < 20; i++) {
		close_on(bench, bench->near);
		bench->near = open_on(bench, NET_HERE, "va", NPF_OPEN_SEND_ONLY);
		assert_true(take_path(bench->near, NPF_SEND_XSK));
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	}
	expect_frames(bench, 20, is_the_same);
}

static uint32_t jumbo(uint64_t n)
{
	static const uint32_t lengths[] = { 9014, 60, 3072, 3073, 64, 1514, 9000, 100, 2000 };

	return n % 1000 < 500 ? mixed(n) : lengths[(n * 5) % N_OF(lengths)];
}

static bool is_next_jumbo(const struct npf_packet *packet, uint64_t n)
{
	return is_next(packet, jumbo(n), n);
}

static void jumbo_frames_go_in_order_with_small_ones(void **state)
{
	struct bench *bench = *state;
	uint64_t n = 20000;
	size_t size;
	uint8_t *queue = make_queue(0, n, jumbo, &size);

	assert_int_equal(npf_buffered_write(bench->near, queue, size, false), -EMSGSIZE);
	net_run(&bench->net, NET_HERE, "ip link set va mtu 9000");
	net_run(&bench->net, NET_THERE, "ip link set vb mtu 9000");
	/* Both at once, the old one and the new, are more than small machines have. */
	assert_int_equal(npf_set_buffer(bench->far, 0), 0);
	assert_int_equal(npf_set_buffer(bench->far, far_buffer() / 2), 0);
	assert_int_equal(npf_buffered_write(bench->near, queue, size, false), size);
	expect_frames(bench, n, is_next_jumbo);
	expect_counted(bench, 0, n);
	assert_true(stats_of(bench->near).by_path[NPF_SEND_SOCKET] >= n / 2);
	free(queue);
}

static void sizes_are_checked_before_the_first_frame_goes(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[1600] = { 0 };
	struct npf_send_frame frames[3] = { { frame, 60, 0 }, { frame, 60, 0 }, { frame, 60, 0 } };
	size_t sent;

	static const struct {
		size_t size;
		bool tagged;
		int err;
	} cases[] = { { 1, false, -EINVAL },    { 13, false, -EINVAL },     { 14, false, 0 },
		      { 1514, false, 0 },       { 1515, false, -EMSGSIZE }, { 1518, true, 0 },
		      { 1519, true, -EMSGSIZE } };

	for (size_t i = 0; i < N_OF(cases); i++) {
		frames[2].size = cases[i].size;
		frame[12] = cases[i].tagged ? 0x81 : NET_ETHERTYPE >> 8;
		assert_int_equal(npf_send_frames(bench->near, frames, 3, &sent), cases[i].err);
		assert_int_equal(sent, cases[i].err ? 0 : 3);
	}
	assert_int_equal(stats_of(bench->near).confirmed, 9);
}

/* ---- where it cannot work ------------------------------------------------------------------- */

static void expect_down(struct bench *bench)
{
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(bench->near, 3), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENETDOWN);
	assert_int_equal(stats_of(bench->near).handed, 0);
	assert_int_equal(stats_of(bench->near).failed_by[NPF_SEND_FAILED_DOWN], 3);
}

static void a_device_that_is_down_sends_nothing(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	net_run(&bench->net, NET_HERE, "ip link set va down");
	expect_down(bench);
	net_run(&bench->net, NET_HERE, "ip link set va up");
	assert_int_equal(npf_set_write_repeat(bench->near, 1), 0);
	while (npf_write(bench->near, frame, sizeof(frame)) == -ENETDOWN)
		continue; /* the carrier takes a moment */
	expect_frames(bench, 1, is_the_same);
}

/* The kernel takes frames for such a device, says nothing and drops them. */
static void a_device_without_carrier_claims_nothing(void **state)
{
	struct bench *bench = *state;
	struct npf_adapter adapter;

	net_run(&bench->net, NET_THERE, "ip link set vb down");
	do /* the kernel tells it a moment later */
		assert_int_equal(npf_instance_adapter(bench->near, &adapter), 0);
	while (adapter.flags & NPF_ADAPTER_RUNNING);
	expect_down(bench);
}

/* ---- nobody notices ------------------------------------------------------------------------- */

#define MANY 20000u

/* By that path, but for a rest that is too small for it and goes by socket. */
static void send_many(struct bench *bench, struct npf_instance *from, enum npf_send_path path)
{
	uint8_t frame[100];
	struct npf_send_stats stats;

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_reset_send_stats(from), 0);
	assert_int_equal(npf_set_write_repeat(from, MANY), 0);
	assert_int_equal(npf_write(from, frame, sizeof(frame)), sizeof(frame));
	expect_frames(bench, MANY, is_the_same);
	stats = stats_of(from);
	assert_true(stats.by_path[path] > 0);
	assert_int_equal(path == NPF_SEND_SOCKET
				 ? stats.by_path[path]
				 : stats.by_path[path] + stats.by_path[NPF_SEND_SOCKET],
			 MANY);
}

static void expect_path(struct bench *bench, enum npf_send_path path)
{
	send_many(bench, bench->near, path);
}

/* Live frames would go past somebody; what goes is seen. */
static void expect_busy(struct bench *bench, const char *word, enum npf_send_path instead)
{
	char reason[NPF_ERROR_SIZE];

	assert_int_equal(npf_check_send_path(bench->near, NPF_SEND_XDP, reason), -EBUSY);
	assert_non_null(strstr(reason, word));
	send_many(bench, bench->near, instead);
}

static int listen_on(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = name ? (int)if_nametoindex(name) : 0 };

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void a_packet_socket_is_not_bypassed(void **state)
{
	static const char *const names[] = { "va", NULL };
	struct bench *bench = *state;

	if (!can_be_fast(bench))
		skip();
	for (size_t i = 0; i < N_OF(names); i++) {
		expect_path(bench, NPF_SEND_XDP);

		int fd = listen_on(names[i]);
		uint8_t byte;

		expect_busy(bench, "packet socket", NPF_SEND_CLONE);
		assert_int_equal(recv(fd, &byte, 1, MSG_TRUNC | MSG_DONTWAIT), 100);
		close(fd);
	}

	int other = listen_on("lo");

	expect_path(bench, NPF_SEND_XDP);
	close(other);
}

static void another_instance_is_not_bypassed(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *other;
	struct npf_stats stats;

	if (!can_be_fast(bench))
		skip();
	other = open_on(bench, NET_HERE, "va", 0);
	expect_busy(bench, "", NPF_SEND_CLONE);
	assert_int_equal(npf_get_stats(other, &stats), 0);
	assert_int_equal(stats.received, MANY);
	close_on(bench, other);
	expect_path(bench, NPF_SEND_XDP);
}

/* The rule for the sender's own capture: seen, unless own sends are hidden from it. */
static void item_12_own_sends_are_seen_unless_hidden(void **state)
{
	static const enum npf_hook hooks[] = { NPF_HOOK_TCX, NPF_HOOK_SOCKET, NPF_HOOK_TPACKET };
	struct bench *bench = *state;
	uint32_t hide = NPF_DISABLE_LOOPBACK;

	for (size_t i = 0; i < N_OF(hooks); i++) {
		struct npf_open_options options = { .size = sizeof(options), .hook = hooks[i] };
		struct npf_instance *own, *other;
		char reason[NPF_ERROR_SIZE] = "";
		struct npf_stats stats;
		bool fast = !npf_check_send_path(bench->near, NPF_SEND_XDP, NULL);
		bool cloned = !npf_check_send_path(bench->near, NPF_SEND_CLONE, NULL);

		if (npf_open(bench->drivers[NET_HERE], "va", &options, &own, NULL))
			continue;
		keep(bench, own);
		send_many(bench, own, cloned ? NPF_SEND_CLONE : NPF_SEND_SOCKET);
		assert_int_equal(npf_get_stats(own, &stats), 0);
		assert_int_equal(stats.received, MANY);

		assert_int_equal(npf_io_control(own, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL,
						0, NULL),
				 0);
		send_many(bench, own, fast ? NPF_SEND_XDP : NPF_SEND_SOCKET);
		assert_int_equal(npf_get_stats(own, &stats), 0);
		assert_int_equal(stats.received, 0);
		/* A capture beside it is to see them, and this one not: that no clone can do. */
		other = open_on(bench, NET_HERE, "va", 0);
		assert_int_equal(npf_check_send_path(own, NPF_SEND_CLONE, reason), -ENOTSUP);
		assert_non_null(strstr(reason, cloned ? "hidden" : ""));
		send_many(bench, own, NPF_SEND_SOCKET);
		assert_int_equal(npf_get_stats(own, &stats), 0);
		assert_int_equal(stats.received, 0);
		assert_int_equal(npf_get_stats(other, &stats), 0);
		assert_int_equal(stats.received, MANY);
		close_on(bench, other);
		close_on(bench, own);
	}
}

#define FILTER   "tc filter add dev va "
#define SEES_ALL " protocol all u32 match u32 0 0 classid 1:1"

static void queueing_disciplines_and_programs_are_not_bypassed(void **state)
{
	struct bench *bench = *state;
	bool all = true;

	if (!can_be_fast(bench))
		skip();
	if (can_run(bench, "tc qdisc add dev va root netem limit 100000")) {
		expect_busy(bench, "netem", NPF_SEND_SOCKET);
		net_run(&bench->net, NET_HERE, "tc qdisc del dev va root");
	} else {
		all = false;
	}
	if (can_run(bench, "tc qdisc add dev va root pfifo limit 100000")) {
		expect_path(bench, NPF_SEND_XDP);
		net_run(&bench->net, NET_HERE, "tc qdisc del dev va root");
	} else {
		all = false;
	}
	if (can_run(bench, "tc qdisc add dev va clsact")) {
		expect_path(bench, NPF_SEND_XDP);
		all &= can_run(bench, FILTER "ingress" SEES_ALL);
		expect_path(bench, NPF_SEND_XDP);
		if (can_run(bench, FILTER "egress" SEES_ALL))
			expect_busy(bench, "clsact", NPF_SEND_CLONE);
		else
			all = false;
		net_run(&bench->net, NET_HERE, "tc qdisc del dev va clsact");
	} else {
		all = false;
	}
	need_run(bench, "tc qdisc add dev va ingress");
	expect_path(bench, NPF_SEND_XDP);
	all &= can_run(bench, FILTER "ingress" SEES_ALL);
	expect_path(bench, NPF_SEND_XDP);
	if (!all)
		skip();
}

/* ---- other adapters ------------------------------------------------------------------------- */

static void loopback_sees_itself(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *lo = open_on(bench, NET_HERE, "lo", 0);
	struct npf_instance *sender = open_on(bench, NET_HERE, "lo", NPF_OPEN_SEND_ONLY);
	uint8_t frame[100];
	struct npf_stats stats;

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(sender, 20000), 0);
	assert_int_equal(npf_write(sender, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_stats(lo, &stats), 0);
	assert_int_equal(stats.received, 20000);
	assert_int_equal(stats_of(sender).confirmed, 20000);
	assert_true(npf_check_send_path(sender, NPF_SEND_XDP, NULL) < 0);
	if (!npf_check_send_path(sender, NPF_SEND_CLONE, NULL))
		assert_true(stats_of(sender).by_path[NPF_SEND_CLONE] > 0);
	close_on(bench, lo);
	close_on(bench, sender);
}

static bool is_tagged(const struct npf_packet *packet, uint64_t n)
{
	static const uint8_t tag[] = { 0x81, 0, 0, 7 };
	uint8_t frame[100];
	const uint8_t *data = packet->data;

	(void)n;
	make_frame(1, frame, sizeof(frame));
	return packet->len == 104 && packet->caplen == 104 && !memcmp(data, frame, 12) &&
	       !memcmp(data + 12, tag, 4) && !memcmp(data + 16, frame + 12, 88);
}

static void vlan_devices_send_tagged(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *vlan;
	uint8_t frame[100];

	need_run(bench, "ip link add va.7 link va type vlan id 7");
	net_run(&bench->net, NET_HERE, "ip link set va.7 up");
	vlan = open_on(bench, NET_HERE, "va.7", NPF_OPEN_SEND_ONLY);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(vlan, 20000), 0);
	for (size_t p = 0; p < N_OF(paths); p++) {
		if (!take_path(vlan, paths[p]))
			continue;
		assert_int_equal(npf_reset_send_stats(vlan), 0);
		if (npf_write(vlan, frame, sizeof(frame)) == -ENOTSUP)
			continue; /* the driver takes no frames this way */
		expect_frames(bench, 20000, is_tagged);
		assert_int_equal(stats_of(vlan).confirmed, 20000);
	}
	close_on(bench, vlan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(item_10_repeated_frames_arrive),
		SEND_TEST(item_11_queues_arrive_in_order),
		SEND_TEST(item_11_a_million_frames_in_one_queue),
		SEND_TEST(item_10_ten_million_copies_arrive),
		SEND_TEST(item_10_writers_follow_each_other),
		SEND_TEST(a_peer_that_does_not_poll_gets_everything),
		SEND_TEST(live_frames_that_are_lost_are_not_claimed),
		SEND_TEST(a_receiver_with_a_smaller_mtu_is_named),
		SEND_TEST(a_peer_that_stops_polling_gets_the_rest),
		SEND_TEST(what_keeps_a_way_closed_may_pass),
		SEND_TEST(who_sends_by_xsk_may_follow_at_once),
		SEND_TEST(jumbo_frames_go_in_order_with_small_ones),
		SEND_TEST(sizes_are_checked_before_the_first_frame_goes),
		SEND_TEST(a_device_that_is_down_sends_nothing),
		SEND_TEST(a_device_without_carrier_claims_nothing),
		SEND_TEST(a_packet_socket_is_not_bypassed),
		SEND_TEST(another_instance_is_not_bypassed),
		SEND_TEST(item_12_own_sends_are_seen_unless_hidden),
		SEND_TEST(queueing_disciplines_and_programs_are_not_bypassed),
		SEND_TEST(loopback_sees_itself),
		SEND_TEST(vlan_devices_send_tagged),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
