/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real interfaces to send through: an instance on va that only sends, a capture on vb that knows
 * what it is to see, and what both and the adapter have counted.
 */
#ifndef NPF_SENDING_TEST_H
#define NPF_SENDING_TEST_H

#include "lib/check.h"

#include <linux/ethtool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/net.h"
#include "npf/npf.h"

#define PATIENCE_MS 300000
#define PAYLOAD_AT  14u

/* What holds all frames of a test; smaller on machines that are slow, which mostly clear it. */
static inline size_t far_buffer(void)
{
	return getenv("NPF_TEST_PACKETS") ? 96u << 20 : 256u << 20;
}

struct bench {
	struct net_world net;
	struct npf_host *hosts[NET_SIDES];
	struct npf_driver *drivers[NET_SIDES];
	struct npf_instance *near, *far; /* near only sends */
	struct npf_instance *open[8];    /* these and others */
	uint64_t seen;                   /* frames that far has read */
	bool over;                       /* what a thread waits for will not come any more */
};

/* Have the teardown close it if the test does not come to that. */
static inline void keep(struct bench *bench, struct npf_instance *instance)
{
	size_t i = 0;

	while (bench->open[i])
		assert_in_range(++i, 0, N_OF(bench->open) - 1);
	bench->open[i] = instance;
}

static inline void close_on(struct bench *bench, struct npf_instance *instance)
{
	for (size_t i = 0; i < N_OF(bench->open); i++) {
		if (bench->open[i] == instance)
			bench->open[i] = NULL;
	}
	npf_close(instance);
}

static inline struct npf_instance *open_on(struct bench *bench, enum net_side side,
					   const char *name, uint32_t flags)
{
	struct npf_open_options options = { .size = sizeof(options), .flags = flags };
	char error[NPF_ERROR_SIZE] = "";
	struct npf_instance *instance = NULL;

	net_enter(&bench->net, side);
	if (!bench->hosts[side]) {
		bench->hosts[side] = npf_host_linux();
		assert_non_null(bench->hosts[side]);
		assert_int_equal(npf_driver_entry(bench->hosts[side], &bench->drivers[side]), 0);
	}
	if (npf_open(bench->drivers[side], name, &options, &instance, error))
		fail_msg("%s", error);
	net_enter(&bench->net, NET_HERE);
	keep(bench, instance);
	return instance;
}

/* Does the peer take live frames? Only a veth whose peer polls (gro) does. */
static inline void set_polling(struct bench *bench, bool on)
{
	net_offload(&bench->net, NET_THERE, "vb", ETHTOOL_SGRO, on);
}

static inline int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	net_world_create(&bench->net);
	set_polling(bench, true);
	bench->near = open_on(bench, NET_HERE, "va", NPF_OPEN_SEND_ONLY);
	bench->far = open_on(bench, NET_THERE, "vb", 0);
	assert_int_equal(npf_set_buffer(bench->far, far_buffer()), 0);
	assert_int_equal(npf_set_timeout(bench->far, 50), 0);
	*state = bench;
	return 0;
}

static inline int teardown(void **state)
{
	struct bench *bench = *state;

	npf_batch_end(bench->far); /* an assertion may have failed amid one */
	for (size_t i = 0; i < N_OF(bench->open); i++)
		npf_close(bench->open[i]);
	for (int i = 0; i < NET_SIDES; i++) {
		if (bench->drivers[i])
			assert_int_equal(npf_unload(bench->drivers[i]), 0);
		npf_host_linux_free(bench->hosts[i]);
	}
	net_world_destroy(&bench->net);
	free(bench);
	return 0;
}

static inline int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static inline struct npf_send_stats stats_of(struct npf_instance *instance)
{
	struct npf_send_stats stats;

	assert_int_equal(npf_get_send_stats(instance, &stats), 0);
	assert_int_equal(stats.asked, stats.handed + stats.failed);
	return stats;
}

/* Another pair on this side, of a given index, which is free again when it is deleted. */
static inline void add_pair(struct bench *bench, unsigned int index)
{
	net_run(&bench->net, NET_HERE,
		"ip link add ea index %u type veth peer name eb address 02:00:00:00:00:0b", index);
	net_offload(&bench->net, NET_HERE, "eb", ETHTOOL_SGRO, true);
	net_run(&bench->net, NET_HERE, "ip link set eb up");
	net_run(&bench->net, NET_HERE, "ip link set ea up");
}

/* ---- frames --------------------------------------------------------------------------------- */

static const uint32_t sizes[] = { 60, 1514, 64, 590, NET_LEAST_FRAME, 128, 61, 300, 1000 };

static inline uint32_t mixed(uint64_t n)
{
	return sizes[(n * 7 + n / 10) % N_OF(sizes)];
}

static inline uint32_t small(uint64_t n)
{
	return NET_LEAST_FRAME + (uint32_t)(n * 13 % 64);
}

static inline void make_frame(uint64_t n, uint8_t *frame, uint32_t size)
{
	struct net_flood flood = { .side = NET_HERE, .sender = 7, .length = size };

	net_flood_frame(&flood, n, frame);
}

/* n frames of which the first is number first; *size in bytes. */
static inline uint8_t *make_queue(uint64_t first, uint64_t n, uint32_t (*length)(uint64_t n),
				  size_t *size)
{
	uint8_t *queue;
	size_t at = 0;

	*size = 0;
	for (uint64_t i = 0; i < n; i++)
		*size += sizeof(struct npf_sf_pkthdr) + length(first + i);
	queue = malloc(*size);
	assert_non_null(queue);
	for (uint64_t i = 0; i < n; i++) {
		struct npf_sf_pkthdr header = { .caplen = length(first + i) };

		memcpy(queue + at, &header, sizeof(header));
		make_frame(first + i, queue + at + sizeof(header), header.caplen);
		at += sizeof(header) + header.caplen;
	}
	return queue;
}

/* ---- the far end ---------------------------------------------------------------------------- */

typedef bool (*check_frame)(const struct npf_packet *packet, uint64_t n);

/* A capture gets exactly n more frames, each as it should be, none with a time before the last one's;
 * *seen: those before. */
static inline void expect_at(struct npf_instance *capture, uint64_t *seen, uint64_t n,
			     check_frame is_right)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct npf_packet packet;
	uint64_t got = 0, last = 0;

	while (got < n && now_ms() < deadline) {
		if (npf_batch_begin(capture) <= 0)
			continue;
		while (npf_batch_next(capture, &packet)) {
			if (!is_right(&packet, *seen))
				fail_msg("frame %llu, %u bytes, is not the one that was sent",
					 (unsigned long long)*seen, packet.len);
			assert_true(packet.time >= last);
			last = packet.time;
			++*seen;
			got++;
		}
		npf_batch_end(capture);
	}
	assert_int_equal(got, n);
	assert_int_equal(npf_batch_begin(capture), 0); /* and not one more */
}

/* They arrive. */
static inline void expect_frames(struct bench *bench, uint64_t n, check_frame is_right)
{
	expect_at(bench->far, &bench->seen, n, is_right);
}

/* The bytes that net_flood_read() does not look at. */
static inline bool has_addresses(const struct npf_packet *packet)
{
	return !memcmp(packet->data, net_vb_address, 6) &&
	       !memcmp(packet->data + 6, net_va_address, 6);
}

static inline bool is_the_same(const struct npf_packet *packet, uint64_t n)
{
	uint32_t sender;
	uint64_t sequence;

	(void)n;
	return net_flood_read(packet->data, packet->caplen, &sender, &sequence) && sender == 7 &&
	       sequence == 1 && packet->len == 100 && has_addresses(packet);
}

static inline bool is_next(const struct npf_packet *packet, uint32_t size, uint64_t n)
{
	uint32_t sender;
	uint64_t sequence;

	return packet->len == size && packet->caplen == size &&
	       net_flood_read(packet->data, size, &sender, &sequence) && sequence == n &&
	       has_addresses(packet);
}

static inline bool is_next_mixed(const struct npf_packet *packet, uint64_t n)
{
	return is_next(packet, mixed(n), n);
}

static inline bool is_next_small(const struct npf_packet *packet, uint64_t n)
{
	return is_next(packet, small(n), n);
}

/* ---- paths and counts ----------------------------------------------------------------------- */

static const enum npf_send_path paths[] = { NPF_SEND_AUTO, NPF_SEND_SOCKET, NPF_SEND_CLONE,
					    NPF_SEND_XSK, NPF_SEND_XDP };

/* false: this kernel cannot, and says why. */
static inline bool take_path(struct npf_instance *instance, enum npf_send_path path)
{
	int err = npf_set_send_path(instance, path);

	if (err)
		printf("%s: %s\n", npf_send_path_name(path), npf_error(instance));
	return !err;
}

/* Skips what cannot be tested without it; the reason is printed. */
static inline void need_path(struct npf_instance *instance, enum npf_send_path path)
{
	if (!take_path(instance, path))
		skip();
}

/* A command that needs a module which this kernel may lack. Who goes on without it skips at the end. */
static inline bool can_run(struct bench *bench, const char *command)
{
	if (net_try(&bench->net, NET_HERE, "%s", command))
		return true;
	printf("fails here: %s\n", command);
	return false;
}

static inline void need_run(struct bench *bench, const char *command)
{
	if (!can_run(bench, command))
		skip();
}

static inline void expect_counted(struct bench *bench, uint64_t before, uint64_t n)
{
	struct npf_send_stats stats;

	assert_int_equal(npf_wait_sent(bench->near, PATIENCE_MS * UINT64_C(1000000)), 0);
	stats = stats_of(bench->near);
	assert_int_equal(stats.handed, n);
	assert_int_equal(stats.confirmed, n);
	assert_int_equal(stats.failed, 0);
	assert_int_equal(net_counters(&bench->net, NET_HERE, "va").tx_packets - before, n);
}

static inline uint64_t many(uint64_t n)
{
	const char *wanted = getenv("NPF_TEST_PACKETS");

	return wanted ? strtoull(wanted, NULL, 10) : n;
}

#define SEND_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
