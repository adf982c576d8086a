/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Senders that are not alone, and adapters that lose frames behind their OK: no frame of another stands
 * in for one of ours that got lost, or that still waits. Tun and tap devices drop what their reader
 * leaves no room for, and queueing disciplines whatever they like.
 */
#include "netns/egress.h"

#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

/* ---- tun and tap ----------------------------------------------------------------------------- */

/* Frames without a link header, read back from the device's other end; the order is all of them. */
static void tun_sends_raw_packets(void **state)
{
	struct bench *bench = *state;
	uint8_t packet[60] = { 0x45, 0, 0, 60 }, got[100];
	struct npf_instance *tun;

	if (!net_has_tun())
		return;

	int fd = net_tun(&bench->net, NET_HERE, "t0", IFF_TUN | IFF_NO_PI);

	tun = open_on(bench, NET_HERE, "t0", NPF_OPEN_SEND_ONLY);
	for (uint8_t i = 0; i < 100; i++) {
		packet[20] = i;
		assert_int_equal(npf_write(tun, packet, 40 + i % 20), 40 + i % 20);
		assert_int_equal(read(fd, got, sizeof(got)), 40 + i % 20);
		assert_int_equal(got[20], i);
	}
	assert_int_equal(stats_of(tun).confirmed, 100);
	close_on(bench, tun);
	close(fd);
}

/* Nobody reads: the device takes what its queue holds and drops the rest, which it then tells. */
static void tap_that_nobody_reads_confirms_what_it_took(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *tap;
	uint8_t frame[100];

	if (!net_has_tun())
		return;

	int fd = net_tun(&bench->net, NET_HERE, "t1", IFF_TAP | IFF_NO_PI);

	make_frame(1, frame, sizeof(frame));
	tap = open_on(bench, NET_HERE, "t1", NPF_OPEN_SEND_ONLY);
	assert_int_equal(npf_set_send_path(tap, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(tap, 3000), 0);
	(void)npf_write(tap, frame, sizeof(frame)); /* a failure is right, and so is a count */

	uint64_t arrived = 0;
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	assert_int_equal(stats_of(tap).confirmed, 0); /* it counts what is read from it */
	while (poll(&readable, 1, 0) == 1 && read(fd, frame, sizeof(frame)) == sizeof(frame))
		arrived++;

	struct npf_send_stats stats = stats_of(tap);

	assert_in_range(arrived, 1, 2999);
	assert_int_equal(stats.confirmed, arrived);
	assert_int_equal(stats.handed - stats.confirmed, stats.device_dropped);
	close_on(bench, tap);
	close(fd);
}

struct reader {
	struct npf_instance *sender;
	int fd;
	uint64_t n; /* to read */
	bool wrong;
};

/* However slow the sender is: nobody reads before the device's queue is full. */
static void await_drop(struct npf_instance *sender)
{
	struct npf_send_stats stats = { 0 };

	for (int i = 0; i < PATIENCE_MS && !stats.device_dropped; i++) {
		usleep(1000);
		npf_get_send_stats(sender, &stats);
	}
}

/* Slower than most senders: later, too, the queue is full most of the time. */
static void *read_slowly(void *arg)
{
	struct reader *reader = arg;
	uint8_t frame[2048];

	await_drop(reader->sender);
	for (uint64_t i = 0; i < reader->n && !reader->wrong; i++) {
		struct pollfd readable = { .fd = reader->fd, .events = POLLIN };
		ssize_t size = poll(&readable, 1, PATIENCE_MS) == 1
				       ? read(reader->fd, frame, sizeof(frame))
				       : -1;
		uint32_t sender;
		uint64_t sequence;

		reader->wrong = size != (ssize_t)small(i) ||
				!net_flood_read(frame, (size_t)size, &sender, &sequence) ||
				sequence != i;
		if (i % 100 == 99)
			usleep(500);
	}
	return NULL;
}

/* Frames that find the queue full are dropped, which these two ways know, frame by frame. */
static void a_slow_receiver_gets_all_in_order(void **state)
{
	static const enum npf_send_path exact[] = { NPF_SEND_XSK, NPF_SEND_XDP };
	struct bench *bench = *state;
	size_t tried = 0;
	uint64_t n = 20000;
	size_t size;
	uint8_t *queue = make_queue(0, n, small, &size);

	for (size_t i = 0; i < N_OF(exact) && net_has_tun(); i++) {
		struct reader reader = { .n = n };
		struct npf_instance *tap;
		pthread_t thread;

		reader.fd = net_tun(&bench->net, NET_HERE, "t2", IFF_TAP | IFF_NO_PI);
		tap = open_on(bench, NET_HERE, "t2", NPF_OPEN_SEND_ONLY);
		if (take_path(tap, exact[i])) {
			tried++;
			reader.sender = tap;
			assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);

			int64_t written = npf_buffered_write(tap, queue, size, false);

			pthread_join(thread, NULL);
			assert_int_equal(written, size);
			assert_false(reader.wrong);
			assert_int_equal(stats_of(tap).confirmed, n);
			assert_int_equal(stats_of(tap).by_path[exact[i]], n);
			assert_true(stats_of(tap).device_dropped > 0);
		}
		close_on(bench, tap);
		close(reader.fd);
	}
	free(queue);
	if (tried < N_OF(exact))
		skip();
}

static void nobody_reads_and_nothing_more_is_claimed(void **state)
{
	static const enum npf_send_path exact[] = { NPF_SEND_XSK, NPF_SEND_XDP };
	struct bench *bench = *state;
	size_t tried = 0;
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	for (size_t i = 0; i < N_OF(exact) && net_has_tun(); i++) {
		int fd = net_tun(&bench->net, NET_HERE, "t3", IFF_TAP | IFF_NO_PI);
		struct npf_instance *tap = open_on(bench, NET_HERE, "t3", NPF_OPEN_SEND_ONLY);
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		uint64_t arrived = 0;

		if (take_path(tap, exact[i])) {
			tried++;
			assert_int_equal(npf_set_write_repeat(tap, 100000), 0);
			assert_int_equal(npf_write(tap, frame, sizeof(frame)), -ENOBUFS);
			while (poll(&readable, 1, 0) == 1 &&
			       read(fd, frame, sizeof(frame)) == sizeof(frame))
				arrived++;
			assert_true(arrived > 0);
			assert_int_equal(stats_of(tap).handed, arrived);
			assert_int_equal(stats_of(tap).confirmed, arrived);
		}
		close_on(bench, tap);
		close(fd);
	}
	if (tried < N_OF(exact))
		skip();
}

#define OTHERS 8u /* the sender's number in their frames */

static void make_others(uint8_t frame[100])
{
	struct net_flood flood = { .side = NET_HERE, .sender = OTHERS, .length = 100 };

	net_flood_frame(&flood, 1, frame);
}

static bool is_readable(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	return poll(&readable, 1, 0) == 1;
}

/* Until there is nothing; how many of them were ours. */
static uint64_t read_tap(int fd)
{
	uint64_t ours = 0, sequence;
	uint8_t frame[2048];
	uint32_t sender;
	ssize_t size;

	while (is_readable(fd)) {
		size = read(fd, frame, sizeof(frame));
		if (size > 0 && net_flood_read(frame, (size_t)size, &sender, &sequence))
			ours += sender != OTHERS;
	}
	return ours;
}

/* Others send through the tap what its reader takes, so many that nothing drops before. */
static void send_others(int sender, int fd, unsigned int n)
{
	uint8_t frame[100];

	make_others(frame);
	for (unsigned int i = 0; i < n;) {
		if (send(sender, frame, sizeof(frame), 0) < 0)
			continue;
		while (!is_readable(fd))
			continue;
		assert_int_equal(read_tap(fd), 0);
		i++;
	}
}

static void a_tap_confirms_no_frame_that_it_dropped(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *tap;
	struct npf_send_stats stats;
	uint64_t arrived = 0;
	uint8_t frame[100];
	int fd, other;

	if (!net_has_tun())
		skip();
	fd = net_tun(&bench->net, NET_HERE, "t4", IFF_TAP | IFF_NO_PI);
	tap = open_on(bench, NET_HERE, "t4", NPF_OPEN_SEND_ONLY);
	other = net_sender(&bench->net, NET_HERE, "t4");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(tap, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(tap, 3000), 0);
	for (int round = 0; round < 3; round++) {
		(void)npf_write(tap, frame, sizeof(frame));
		arrived += read_tap(fd);
		assert_int_equal(stats_of(tap).confirmed, arrived);
		send_others(other, fd, 3000);
		stats = stats_of(tap);
		assert_true(stats.handed > arrived);
		assert_int_equal(stats.confirmed, arrived);
	}
	close_on(bench, tap);
	close(other);
	close(fd);
}

struct crowd {
	int sender, fd;
	bool over; /* atomic */
	uint64_t ours;
};

/* Sends as fast as it can, and reads five of seven. */
static void *crowd_in(void *arg)
{
	struct crowd *crowd = arg;
	uint8_t frame[2048];
	uint64_t sequence;
	uint32_t sender;

	make_others(frame);
	while (!__atomic_load_n(&crowd->over, __ATOMIC_ACQUIRE)) {
		for (int i = 0; i < 7; i++)
			(void)!send(crowd->sender, frame, 100, MSG_DONTWAIT);
		for (int i = 0; i < 5 && is_readable(crowd->fd); i++) {
			uint8_t got[2048];
			ssize_t size = read(crowd->fd, got, sizeof(got));

			if (size > 0 && net_flood_read(got, (size_t)size, &sender, &sequence))
				crowd->ours += sender != OTHERS;
		}
	}
	return NULL;
}

/* Into a queue that is full of others' frames most of the time. */
static void send_in_a_crowd(struct bench *bench, enum npf_send_path way)
{
	struct crowd crowd = { .fd = net_tun(&bench->net, NET_HERE, "t5", IFF_TAP | IFF_NO_PI) };
	struct npf_instance *tap = open_on(bench, NET_HERE, "t5", NPF_OPEN_SEND_ONLY);
	uint8_t frame[100];
	pthread_t thread;

	make_frame(1, frame, sizeof(frame));
	crowd.sender = net_sender(&bench->net, NET_HERE, "t5");
	if (take_path(tap, way)) {
		assert_int_equal(npf_set_write_repeat(tap, 5000), 0);
		assert_int_equal(pthread_create(&thread, NULL, crowd_in, &crowd), 0);
		for (int round = 0; round < 5; round++)
			(void)npf_write(tap, frame, sizeof(frame));
		__atomic_store_n(&crowd.over, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		crowd.ours += read_tap(crowd.fd);
		send_others(crowd.sender, crowd.fd, 2000);
		printf("%s: %llu handed, %llu confirmed, %llu arrived\n", npf_send_path_name(way),
		       (unsigned long long)stats_of(tap).handed,
		       (unsigned long long)stats_of(tap).confirmed, (unsigned long long)crowd.ours);
		assert_in_range(stats_of(tap).confirmed, 0, crowd.ours);
		if (way != NPF_SEND_SOCKET) { /* they know each */
			assert_int_equal(stats_of(tap).handed, crowd.ours);
			assert_int_equal(stats_of(tap).confirmed, crowd.ours);
		}
	}
	close_on(bench, tap);
	close(crowd.sender);
	close(crowd.fd);
}

/* By each path. */
static void a_crowded_tap_confirms_no_more_than_arrived(void **state)
{
	static const enum npf_send_path ways[] = { NPF_SEND_SOCKET, NPF_SEND_XSK, NPF_SEND_XDP };

	if (!net_has_tun())
		skip();
	for (size_t i = 0; i < N_OF(ways); i++)
		send_in_a_crowd(*state, ways[i]);
}

/* ---- what drops frames on their way out ------------------------------------------------------- */

static bool (*const droppers[])(struct bench *bench, const char *name) = {
	drop_by_tcx,
	drop_by_tc,
	drop_by_police,
	drop_by_nftables,
};

/* Refused like by a queue that is full, but no counter holds it; so it hides none of what the tap drops, which
 * nobody reads. */
static void refusals_of_programs_hide_no_loss(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[100];
	size_t tried = 0;

	if (!net_has_tun())
		skip();
	make_frame(1, frame, sizeof(frame));
	for (size_t i = 0; i < N_OF(droppers); i++) {
		int fd = net_tun(&bench->net, NET_HERE, "t6", IFF_TAP | IFF_NO_PI);
		struct npf_instance *tap = open_on(bench, NET_HERE, "t6", NPF_OPEN_SEND_ONLY);
		int other = net_sender(&bench->net, NET_HERE, "t6");
		struct npf_send_stats stats;
		uint64_t arrived;

		assert_int_equal(npf_set_send_path(tap, NPF_SEND_SOCKET), 0);
		assert_int_equal(npf_set_write_repeat(tap, 3000), 0);
		if (droppers[i](bench, "t6")) {
			tried++;
			(void)npf_write(tap, frame, sizeof(frame));
			arrived = read_tap(fd);
			send_others(other, fd, 3000);
			stats = stats_of(tap);
			printf("%llu handed, %llu confirmed, %llu arrived\n",
			       (unsigned long long)stats.handed,
			       (unsigned long long)stats.confirmed, (unsigned long long)arrived);
			assert_true(stats.handed > arrived);
			assert_int_equal(stats.confirmed, arrived);
		}
		close_on(bench, tap);
		close(other);
		close(fd);
	}
	if (tried < N_OF(droppers))
		skip();
}

/* ---- queueing disciplines -------------------------------------------------------------------- */

/* Past the queueing discipline, so that they are counted before what waits there. */
static int open_bypass(struct bench *bench, const char *name)
{
	int fd = net_sender(&bench->net, NET_HERE, name), on = 1;

	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)), 0);
	return fd;
}

static void send_past(struct bench *bench, int fd, unsigned int n)
{
	struct npf_stats before, stats;
	uint8_t frame[100];

	make_others(frame);
	assert_int_equal(npf_get_stats(bench->far, &before), 0);
	for (unsigned int i = 0; i < n; i++)
		net_send(fd, frame, sizeof(frame));
	do
		assert_int_equal(npf_get_stats(bench->far, &stats), 0);
	while (stats.received < before.received + n);
}

#define HELD 50 /* by a discipline that lets one a second go */

/* At a frame a second: what waits is not confirmed by frames of others, nor what is thrown away then. */
static void what_waits_in_a_queue_is_not_confirmed(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[1000];
	uint64_t before, left;
	int other;

	need_run(bench, "tc qdisc add dev va root tbf rate 8kbit burst 1600 limit 1000000");
	other = open_bypass(bench, "va");
	make_frame(1, frame, sizeof(frame));
	before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
	assert_int_equal(npf_set_write_repeat(bench->near, HELD), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	send_past(bench, other, 200);
	assert_int_equal(stats_of(bench->near).handed, HELD);
	/* A later count of what left is no less. */
	left = stats_of(bench->near).confirmed;
	assert_in_range(left, 0,
			net_counters(&bench->net, NET_HERE, "va").tx_packets - before - 200);
	net_run(&bench->net, NET_HERE, "tc qdisc del dev va root"); /* closing would wait for it */
	close(other);
}

/* The oldest in a queue that is full makes room, and nobody is told. */
static void expect_drops_to_be_known(struct bench *bench)
{
	enum { N = 2000 };
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint8_t frame[100];
	uint64_t arrived, before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
	int other;

	need_run(bench, "tc qdisc add dev va root handle 1: tbf rate 1mbit burst 1600 limit 100000");
	need_run(bench, "tc qdisc add dev va parent 1:1 pfifo_head_drop limit 10");
	other = open_bypass(bench, "va");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(bench->near, N), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_wait_sent(bench->near, 1000000000), 0);
	assert_int_equal(stats_of(bench->near).handed, N);
	arrived = net_counters(&bench->net, NET_HERE, "va").tx_packets - before;
	assert_in_range(arrived, 1, N - 1);
	while (stats_of(bench->near).confirmed != arrived && now_ms() < deadline)
		continue;
	assert_int_equal(stats_of(bench->near).confirmed, arrived);
	send_past(bench, other, N);
	assert_int_equal(stats_of(bench->near).confirmed, arrived);
	close(other);
}

static void what_a_discipline_drops_is_not_confirmed(void **state)
{
	expect_drops_to_be_known(*state);
}

/* Of these, too, the first questions are others. */
static void what_one_of_many_disciplines_drops_is_not_confirmed(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[100];

	for (int i = 0; i < 20; i++) {
		net_run(&bench->net, NET_HERE, "ip link add m%d type veth peer name n%d", i, i);
		net_run(&bench->net, NET_HERE, "ip link set m%d up", i);
		net_run(&bench->net, NET_HERE, "ip link set n%d up", i);
	}
	make_frame(1, frame, sizeof(frame));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
		assert_int_equal(stats_of(bench->near).confirmed, i + 1);
	}
	assert_int_equal(npf_reset_send_stats(bench->near), 0);
	expect_drops_to_be_known(bench);
}

static void send_others_past(int fd, unsigned int n)
{
	uint8_t frame[100];

	make_others(frame);
	for (unsigned int i = 0; i < n; i++)
		net_send(fd, frame, sizeof(frame));
}

static struct npf_instance *send_to_be_held(struct bench *bench)
{
	struct npf_instance *sender;
	uint8_t frame[1000];

	add_pair(bench, 4711);
	net_offload(&bench->net, NET_HERE, "eb", ETHTOOL_SGRO, false); /* ea keeps its own count */
	need_run(bench, "tc qdisc add dev ea root tbf rate 8kbit burst 1600 limit 1000000");
	sender = open_on(bench, NET_HERE, "ea", NPF_OPEN_SEND_ONLY);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(sender, HELD), 0);
	assert_int_equal(npf_write(sender, frame, sizeof(frame)), sizeof(frame));
	return sender;
}

/* With the adapter it is thrown away, and whoever is counted with its end stands in for none. */
static void what_was_held_when_the_adapter_went_is_not_confirmed(void **state)
{
	enum { OTHER = 200 };
	struct bench *bench = *state;
	struct npf_instance *sender = send_to_be_held(bench);
	int other = open_bypass(bench, "ea");
	uint64_t left;

	(void)stats_of(sender);
	send_others_past(other, OTHER);
	left = net_counters(&bench->net, NET_HERE, "ea").tx_packets;
	assert_in_range(left, OTHER, OTHER + HELD - 1);
	net_run(&bench->net, NET_HERE, "ip link del ea");
	for (int i = 0; i < 2; i++)
		assert_in_range(stats_of(sender).confirmed, 0, left - OTHER);
	close(other);
	close_on(bench, sender);
}

static void another_adapter_with_the_same_index_confirms_nothing(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *sender = send_to_be_held(bench);
	uint64_t left;
	int other;

	(void)stats_of(sender);
	left = net_counters(&bench->net, NET_HERE, "ea").tx_packets;
	assert_in_range(left, 0, HELD - 1);
	net_run(&bench->net, NET_HERE, "ip link del ea");
	add_pair(bench, 4711);
	other = net_sender(&bench->net, NET_HERE, "ea");
	send_others_past(other, 200);
	assert_true(net_counters(&bench->net, NET_HERE, "ea").tx_packets >= 200);
	for (int i = 0; i < 2; i++)
		assert_in_range(stats_of(sender).confirmed, 0, left);
	close(other);
	close_on(bench, sender);
	net_run(&bench->net, NET_HERE, "ip link del ea");
}

/* It takes them off their socket's charge; they are as little sent as others that wait. */
static void what_netem_delays_is_not_confirmed(void **state)
{
	static const char *const places[] = { "root", "parent 1:1" };
	struct bench *bench = *state;
	int other = open_bypass(bench, "va");
	struct npf_send_stats stats;
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(bench->near, HELD), 0);
	for (size_t i = 0; i < N_OF(places); i++) {
		char command[100];

		if (i)
			need_run(bench, "tc qdisc add dev va root handle 1: prio");
		snprintf(command, sizeof(command),
			 "tc qdisc add dev va %s netem delay 200s limit 100000", places[i]);
		need_run(bench, command);
		for (int band = 2; i && band <= 3; band++) {
			snprintf(command, sizeof(command),
				 "tc qdisc add dev va parent 1:%d netem delay 200s limit 100000",
				 band);
			need_run(bench, command);
		}
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
		send_past(bench, other, 200);
		stats = stats_of(bench->near);
		assert_int_equal(stats.handed, HELD);
		assert_int_equal(stats.confirmed, 0);
		net_run(&bench->net, NET_HERE, "tc qdisc del dev va root");
	}
	close(other);
}

static void drop_the_oldest(struct bench *bench, int handle)
{
	net_run(&bench->net, NET_HERE,
		"tc qdisc replace dev va root handle %d: tbf rate 1mbit burst 1600 limit 100000",
		handle);
	net_run(&bench->net, NET_HERE, "tc qdisc add dev va parent %d:1 pfifo_head_drop limit 10",
		handle);
}

/* What comes in its place counts from zero, and more than nothing it is, though less than before. */
static void what_an_exchanged_discipline_drops_is_not_confirmed(void **state)
{
	struct bench *bench = *state;
	uint64_t left, before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
	uint8_t frame[100];
	int other;

	need_run(bench, "tc qdisc add dev va root handle 7: tbf rate 1mbit burst 1600 limit 1600");
	need_run(bench, "tc qdisc add dev va parent 7:1 pfifo_head_drop limit 10");
	other = open_bypass(bench, "va");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
	for (int handle = 1; handle <= 2; handle++) {
		drop_the_oldest(bench, handle);
		assert_int_equal(npf_set_write_repeat(bench->near, 4000 - 1000 * handle), 0);
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
		assert_int_equal(npf_wait_sent(bench->near, 1000000000), 0);
		(void)stats_of(bench->near);
	}
	left = net_counters(&bench->net, NET_HERE, "va").tx_packets - before;
	assert_in_range(left, 1, 2000);
	send_past(bench, other, 6000);
	assert_int_equal(stats_of(bench->near).handed, 5000);
	assert_in_range(stats_of(bench->near).confirmed, 1, left);
	close(other);
}

/* It says OK for its discipline, and drops behind it: here what is too long for its peer. */
static void what_is_dropped_behind_a_discipline_is_not_confirmed(void **state)
{
	enum { N = 1000 };
	struct bench *bench = *state;
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint8_t frame[1400];
	int other;

	need_run(bench, "tc qdisc add dev va root pfifo limit 1000");
	net_run(&bench->net, NET_THERE, "ip link set vb mtu 500");
	other = open_bypass(bench, "va");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(bench->near, N), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	while (stats_of(bench->near).device_dropped < N && now_ms() < deadline)
		continue;
	assert_int_equal(stats_of(bench->near).device_dropped, N);
	send_past(bench, other, 2 * N);
	assert_int_equal(stats_of(bench->near).handed, N);
	assert_int_equal(stats_of(bench->near).confirmed, 0);
	close(other);
}

/* It drops what was not redirected to it, as something received. */
static void what_an_ifb_drops_is_not_confirmed(void **state)
{
	enum { N = 1000 };
	struct bench *bench = *state;
	int64_t deadline = now_ms() + PATIENCE_MS;
	int other = net_sender(&bench->net, NET_HERE, "va");
	struct npf_instance *sender;
	uint8_t frame[100];

	need_run(bench, "ip link add ifb7 type ifb");
	need_run(bench, "ip link set ifb7 up");
	need_run(bench, "tc qdisc add dev va clsact");
	need_run(bench, "tc filter add dev va egress protocol all u32 match u32 0 0 "
			"action mirred egress redirect dev ifb7");
	sender = open_on(bench, NET_HERE, "ifb7", NPF_OPEN_SEND_ONLY);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(sender, N), 0);
	assert_int_equal(npf_write(sender, frame, sizeof(frame)), sizeof(frame));
	send_others_past(other, 2 * N);
	while (net_counters(&bench->net, NET_HERE, "ifb7").tx_packets < N && now_ms() < deadline)
		continue;
	assert_true(net_counters(&bench->net, NET_HERE, "ifb7").tx_packets >= N);
	assert_int_equal(stats_of(sender).handed, N);
	assert_int_equal(stats_of(sender).confirmed, 0);
	close_on(bench, sender);
	close(other);
}

/* What it refuses it counts as dropped; that never went, and what was taken has left. Of the last of some
 * in one system call the kernel does not tell: those are few. */
static void what_a_full_discipline_refuses_is_no_loss(void **state)
{
	enum { N = 2000 };
	struct bench *bench = *state;
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct npf_send_stats stats;
	uint8_t frame[100];
	uint64_t before;

	need_run(bench,
		 "tc qdisc add dev va root handle 1: tbf rate 20mbit burst 1600 limit 100000");
	need_run(bench, "tc qdisc add dev va parent 1:1 pfifo limit 10");
	make_frame(1, frame, sizeof(frame));
	before = net_counters(&bench->net, NET_HERE, "va").tx_packets;
	assert_int_equal(npf_set_write_repeat(bench->near, N), 0);
	for (int i = 0; i < 3; i++)
		(void)npf_write(bench->near, frame,
				sizeof(frame)); /* all, or as many as go in a while */
	assert_int_equal(npf_wait_sent(bench->near, 1000000000), 0);
	do
		stats = stats_of(bench->near);
	while (stats.confirmed < stats.handed - stats.handed / 20 && now_ms() < deadline);
	assert_in_range(stats.handed, 100, 3 * N);
	assert_int_equal(net_counters(&bench->net, NET_HERE, "va").tx_packets - before,
			 stats.handed);
	assert_in_range(stats.confirmed, stats.handed - stats.handed / 20, stats.handed);
}

/* Who listens for changes of disciplines hears of none while they are looked at, to count or to choose a way. */
static void looks_are_heard_by_nobody(void **state)
{
	struct sockaddr_nl changes = { .nl_family = AF_NETLINK,
				       .nl_groups = 1u << (RTNLGRP_TC - 1) };
	struct bench *bench = *state;
	int listener = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char reason[NPF_ERROR_SIZE];
	uint8_t frame[100];

	need_run(bench, "tc qdisc add dev va root pfifo limit 1000");
	assert_int_equal(bind(listener, (struct sockaddr *)&changes, sizeof(changes)), 0);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	for (int i = 0; i < 10; i++) {
		assert_int_equal(stats_of(bench->near).handed, 1);
		(void)npf_check_send_path(bench->near, NPF_SEND_XDP, reason);
		(void)npf_check_send_path(bench->near, NPF_SEND_CLONE, reason);
	}
	assert_false(is_readable(listener));
	need_run(bench, "tc qdisc del dev va root");
	assert_true(is_readable(listener));
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(tun_sends_raw_packets),
		SEND_TEST(tap_that_nobody_reads_confirms_what_it_took),
		SEND_TEST(a_slow_receiver_gets_all_in_order),
		SEND_TEST(nobody_reads_and_nothing_more_is_claimed),
		SEND_TEST(a_tap_confirms_no_frame_that_it_dropped),
		SEND_TEST(a_crowded_tap_confirms_no_more_than_arrived),
		SEND_TEST(refusals_of_programs_hide_no_loss),
		SEND_TEST(what_waits_in_a_queue_is_not_confirmed),
		SEND_TEST(what_a_discipline_drops_is_not_confirmed),
		SEND_TEST(what_one_of_many_disciplines_drops_is_not_confirmed),
		SEND_TEST(what_was_held_when_the_adapter_went_is_not_confirmed),
		SEND_TEST(another_adapter_with_the_same_index_confirms_nothing),
		SEND_TEST(what_netem_delays_is_not_confirmed),
		SEND_TEST(what_an_exchanged_discipline_drops_is_not_confirmed),
		SEND_TEST(what_is_dropped_behind_a_discipline_is_not_confirmed),
		SEND_TEST(what_an_ifb_drops_is_not_confirmed),
		SEND_TEST(what_a_full_discipline_refuses_is_no_loss),
		SEND_TEST(looks_are_heard_by_nobody),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
