/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What NPF promises about capturing, reading, counting and ending, on real interfaces: the same
 * list for every hook. The simulator's tests know more cases; these show that the hosts keep them.
 * Names begin with the number of the conformance list's item that they belong to.
 */
#include "lib/refusals.h"
#include "netns/wire.h"

#include <dirent.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define BUFFER (1u << 20)

/* Bytes that a packet takes in the circular buffer: what MinToCopy counts. */
#define RING_BYTES(caplen) ((24u + (caplen) + 7u) & ~7u)

static const struct npf_insn odd_numbers[] = {
	INSN_LD_B(FRAME_NUMBER_AT + 3),
	{ .code = 0x54, .k = 1 }, /* and */
	INSN_JEQ(1, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_program odd = PROGRAM(odd_numbers);

static struct wire *capturing(void **state)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	return wire;
}

/* Exactly the frames first, first + step ... of a size. */
static void expect_plain(struct wire *wire, uint32_t first, uint32_t n, uint32_t step, uint32_t size)
{
	struct records records = wire_read(wire, wire->instance);

	for (uint32_t i = 0; i < n; i++) {
		assert_true(records_next(&records));
		assert_int_equal(records.hdr.datalen, size);
		assert_int_equal(records.hdr.caplen, size);
		wire_assert_plain(records.data, size, first + i * step, size);
	}
	assert_int_equal(records.left, 0);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void defaults(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_stats stats = wire_stats(wire->instance);
	const struct npf_stats zero = { 0 };

	assert_int_equal(npf_instance_hook(wire->instance), wire->hook);
	assert_memory_equal(&stats, &zero, sizeof(zero));
	assert_int_equal(npf_read(wire->instance, wire->buffer, sizeof(wire->buffer)), -EINVAL);
	assert_true(npf_error(wire->instance)[0]);

	wire_send_plain(wire, 0, 5, 100);
	wire_received(wire->instance, 5);
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.dropped_by[NPF_DROP_NO_BUFFER], 5);

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(wire_stats(wire->instance).received, 0);
	assert_int_equal(wire_stats(wire->instance).buffer_size, BUFFER);
	wire_send_plain(wire, 5, 3, 100);
	wire_received(wire->instance, 3);
	expect_plain(wire, 5, 3, 1, 100);
}

static void bad_names(void **state)
{
	static const char *const names[] = {
		"",      "nonesuch", "va ",      "VA",  "va\n",
		"../va", "va%s%n",   "\xff\xfe", "va0", "a name much longer than any interface has",
	};
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = NULL;

	for (size_t i = 0; i < N_OF(names); i++) {
		assert_int_equal(wire_try_open(wire, names[i], &instance), -ENODEV);
		assert_null(instance);
		assert_true(wire->error[0]);
	}
}

/* ---- filtering and records ------------------------------------------------------------------ */

static void counted_before_filter(void **state)
{
	struct wire *wire = capturing(state);
	struct npf_stats stats;

	assert_int_equal(npf_set_filter(wire->instance, &odd), 0);
	wire_send_plain(wire, 0, 100, 80);
	wire_received(wire->instance, 100);
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.filtered, 50);
	assert_int_equal(stats.captured, 50);
	assert_int_equal(stats.dropped, 0);
	expect_plain(wire, 1, 50, 2, 80);
}

static void every_length(void **state)
{
	struct wire *wire = capturing(state);
	struct records records;
	uint32_t n = 1514 - 14 + 1;

	assert_int_equal(npf_set_buffer(wire->instance, 4 * BUFFER), 0);
	for (uint32_t i = 0; i < n; i++)
		wire_send_plain(wire, i, 1, 14 + i);
	wire_received(wire->instance, n);
	records.left = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!records.left)
			records = wire_read(wire, wire->instance);
		assert_true(records_next(&records));
		assert_int_equal(records.hdr.caplen, 14 + i);
		assert_int_equal(records.hdr.datalen, 14 + i);
		wire_assert_plain(records.data, 14 + i, i, 14 + i);
	}
	assert_int_equal(records.left, 0);
	assert_int_equal(wire_stats(wire->instance).buffer_used, 0);
}

/* Around a small ring many times, with frames of each length: nothing of it gets lost. */
static void fill_and_drain(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_stats stats;
	uint32_t n = 4, sent = 0;

	wire_one_cpu();
	assert_int_equal(npf_set_buffer(wire->instance, 65536), 0);
	for (uint32_t size = 14; size <= 1514; size++) {
		wire_send_plain(wire, sent, n, size);
		sent += n;
		wire_received(wire->instance, sent);
		expect_plain(wire, sent - n, n, 1, size);
		assert_int_equal(wire_stats(wire->instance).buffer_used, 0);
	}
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.captured, sent);
	assert_int_equal(stats.dropped, 0);
}

static void snaplen(void **state)
{
	static const struct npf_insn beginning[] = { INSN_RET(37) };
	static const struct npf_program program = PROGRAM(beginning);
	struct wire *wire = capturing(state);
	struct records records;

	assert_int_equal(npf_set_filter(wire->instance, &program), 0);
	for (uint32_t i = 0; i < 50; i++)
		wire_send_plain(wire, i, 1, 20 + i);
	wire_received(wire->instance, 50);
	records = wire_read(wire, wire->instance);
	for (uint32_t i = 0; i < 50; i++) {
		uint32_t kept = 20 + i < 37 ? 20 + i : 37;

		assert_true(records_next(&records));
		assert_int_equal(records.hdr.caplen, kept);
		assert_int_equal(records.hdr.datalen, 20 + i);
		wire_assert_plain(records.data, kept, i, 20 + i);
	}
	assert_int_equal(records.left, 0);
}

static void filter_swap(void **state)
{
	struct wire *wire = capturing(state);
	struct npf_stats stats;

	assert_int_equal(npf_set_filter(wire->instance, &odd), 0);
	wire_send_plain(wire, 0, 10, 80);
	wire_received(wire->instance, 10);

	all_refused_by(wire->instance);
	wire_send_plain(wire, 10, 10, 80);
	wire_received(wire->instance, 20);
	assert_int_equal(wire_stats(wire->instance).captured, 10);

	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETF, odd_numbers,
					sizeof(odd_numbers), NULL, 0, NULL),
			 0);
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.received + stats.captured + stats.filtered + stats.buffer_used, 0);
	assert_int_equal(wire_read(wire, wire->instance).left, 0);
	wire_send_plain(wire, 20, 10, 80);
	wire_received(wire->instance, 10);
	expect_plain(wire, 21, 5, 2, 80);
}

/* ---- time ---------------------------------------------------------------------------------- */

#define MARGIN 50000000ull /* ns; the coarse clock steps once per tick */

static uint64_t wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A packet's stamp is the time of its arrival, in every mode. */
static void time_stamps(void **state)
{
	static const uint32_t modes[] = { NPF_TIMESTAMP_SINGLE_SYNC, NPF_TIMESTAMP_COARSE,
					  NPF_TIMESTAMP_PRECISE };
	struct wire *wire = capturing(state);

	assert_int_equal(npf_set_timestamp_mode(wire->instance, 1), -EINVAL);
	for (uint32_t i = 0; i < N_OF(modes); i++) {
		uint64_t before = wall_clock(), after;
		struct npf_packet packet;

		assert_int_equal(npf_set_timestamp_mode(wire->instance, modes[i]), 0);
		wire_send_plain(wire, i, 1, 100);
		wire_received(wire->instance, i + 1);
		after = wall_clock();
		assert_true(npf_batch_begin(wire->instance) > 0);
		assert_true(npf_batch_next(wire->instance, &packet));
		assert_true(packet.time >= before - MARGIN);
		assert_true(packet.time <= after + MARGIN);
		assert_false(npf_batch_next(wire->instance, &packet));
		npf_batch_end(wire->instance);
	}
}

/* ---- the full buffer ------------------------------------------------------------------------ */

static void full_buffer(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_bpf_stat old;
	struct npf_stats stats;
	size_t returned;

	wire_one_cpu();
	assert_int_equal(npf_set_buffer(wire->instance, 100000), 0);
	wire_send_plain(wire, 0, 1000, 1000);
	wire_received(wire->instance, 1000);
	stats = wire_stats(wire->instance);
	/* At least nine tenths of what was asked for are used by the one busy CPU. */
	assert_in_range(stats.captured, 90000 / RING_BYTES(1000), 999);
	assert_int_equal(stats.dropped_by[NPF_DROP_FULL], 1000 - stats.captured);
	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCGSTATS, NULL, 0, &old, sizeof(old),
					&returned),
			 0);
	assert_int_equal(returned, 16);
	assert_int_equal(old.bs_recv, 1000);
	assert_int_equal(old.bs_capt, stats.captured);
	assert_int_equal(old.bs_drop, 1000 - stats.captured);
	assert_int_equal(old.ps_ifdrop, 0);

	expect_plain(wire, 0, (uint32_t)stats.captured, 1, 1000);
	wire_send_plain(wire, 1000, 20, 1000);
	wire_received(wire->instance, 1020);
	expect_plain(wire, 1000, 20, 1, 1000);
}

/* ---- readiness ------------------------------------------------------------------------------ */

static void min_to_copy(void **state)
{
	struct wire *wire = capturing(state);
	int fd = npf_poll_fd(wire->instance);

	wire_one_cpu();
	assert_int_equal(npf_set_min_to_copy(wire->instance, 10 * RING_BYTES(100)), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	for (uint32_t round = 0; round < 3; round++) {
		wire_send_plain(wire, 0, 9, 100);
		wire_received(wire->instance, round * 10 + 9);
		assert_false(wire_readable(fd));
		wire_send_plain(wire, 9, 1, 100);
		assert_true(wire_becomes_readable(fd));
		expect_plain(wire, 0, 10, 1, 100);
		assert_false(wire_readable(fd));
	}
}

static void level(void **state)
{
	struct wire *wire = capturing(state);
	int fd = npf_poll_fd(wire->instance);

	assert_false(wire_readable(fd));
	wire_send_plain(wire, 0, 2, 100);
	wire_received(wire->instance, 2);
	for (int i = 0; i < 2; i++) {
		assert_true(wire_becomes_readable(fd));
		assert_int_equal(npf_read(wire->instance, wire->buffer, 130), 120);
	}
	assert_false(wire_readable(fd));
	assert_int_equal(wire_read(wire, wire->instance).left, 0);

	wire_send_plain(wire, 2, 1, 100);
	assert_true(wire_becomes_readable(fd));
	assert_int_equal(npf_set_min_to_copy(wire->instance, BUFFER / 2), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	assert_false(wire_readable(fd));
	assert_int_equal(npf_set_min_to_copy(wire->instance, 0), 0);
	assert_true(wire_readable(fd));
}

/* The timer starts with the first packet: not before, and it comes. */
static void flush_timer(void **state)
{
	struct wire *wire = capturing(state);
	int fd = npf_poll_fd(wire->instance);
	uint64_t before;

	assert_int_equal(npf_set_min_to_copy(wire->instance, BUFFER / 2), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 100), 0);
	for (uint32_t round = 0; round < 3; round++) {
		assert_false(wire_readable(fd));
		before = wire_ms();
		wire_send_plain(wire, round, 1, 100);
		assert_true(wire_becomes_readable(fd));
		assert_true(wire_ms() - before >= 99);
		expect_plain(wire, round, 1, 1, 100);
	}
	/* Nothing comes: a read gives up by itself. */
	before = wire_ms();
	assert_int_equal(npf_read(wire->instance, wire->buffer, sizeof(wire->buffer)), 0);
	assert_true(wire_ms() - before >= 99);
	assert_int_equal(npf_set_timeout(wire->instance, -1), 0);
	assert_int_equal(npf_read(wire->instance, wire->buffer, sizeof(wire->buffer)), 0);
}

static void event_handle(void **state)
{
	struct wire *wire = capturing(state);
	int epoll = epoll_create1(EPOLL_CLOEXEC), bad = -1;
	struct epoll_event event;

	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETEVENTHANDLE, &bad, sizeof(bad),
					NULL, 0, NULL),
			 -EBADF);
	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETEVENTHANDLE, &epoll, 3, NULL, 0,
					NULL),
			 -EINVAL);
	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETEVENTHANDLE, &epoll,
					sizeof(epoll), NULL, 0, NULL),
			 0);
	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETEVENTHANDLE, &epoll,
					sizeof(epoll), NULL, 0, NULL),
			 -EINVAL);
	assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
	wire_send_plain(wire, 0, 1, 100);
	assert_int_equal(epoll_wait(epoll, &event, 1, (int)PATIENCE_MS), 1);
	assert_int_equal(epoll_wait(epoll, &event, 1, (int)PATIENCE_MS), 1);
	wire_received(wire->instance, 1);
	expect_plain(wire, 0, 1, 1, 100);
	assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
	close(epoll);
}

/* ---- long packets --------------------------------------------------------------------------- */

static void short_user_buffer(void **state)
{
	struct wire *wire = capturing(state);
	struct npf_bpf_hdr hdr;

	wire_send_plain(wire, 0, 3, 1000);
	wire_received(wire->instance, 3);
	assert_int_equal(npf_read(wire->instance, wire->buffer, 19), -ENOBUFS);
	assert_int_equal(npf_read(wire->instance, NULL, 1000), -ENOBUFS);
	assert_int_equal(npf_read(wire->instance, wire->buffer, 101), 101);
	memcpy(&hdr, wire->buffer, sizeof(hdr));
	assert_int_equal(hdr.caplen, 81);
	assert_int_equal(hdr.datalen, 1000);
	wire_assert_plain(wire->buffer + NPF_BPF_HDR_SIZE, 81, 0, 1000);
	expect_plain(wire, 1, 2, 1, 1000);
}

#define MERGED_PAYLOAD 60000u
#define MERGED_HEADERS (14u + 20u + 20u)

/* A TCP packet that the adapter is to cut into segments: longer than any frame on the wire. */
static void send_merged(struct wire *wire)
{
	static const uint8_t headers[MERGED_HEADERS] = {
		2,
		0,
		0,
		0,
		0,
		0x0a,
		2,
		0,
		0,
		0,
		0,
		0x0b,
		0x08,
		0x00,
		0x45,
		0,
		(MERGED_PAYLOAD + 40) >> 8,
		(MERGED_PAYLOAD + 40) & 0xFF,
		0,
		1,
		0x40,
		0,
		64,
		6,
		0,
		0,
		192,
		0,
		2,
		2,
		192,
		0,
		2,
		1,
		4,
		0,
		4,
		1,
		0,
		0,
		0,
		1,
		0,
		0,
		0,
		1,
		0x50,
		0x10,
		1,
		0,
		0,
		0,
		0,
		0,
	};
	struct virtio_net_hdr offload = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = MERGED_HEADERS,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	static uint8_t packet[sizeof(offload) + MERGED_HEADERS + MERGED_PAYLOAD];
	int fd = net_sender(&wire->net, NET_THERE, "vb"), on = 1;

	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	memcpy(packet, &offload, sizeof(offload));
	memcpy(packet + sizeof(offload), headers, sizeof(headers));
	memset(packet + sizeof(offload) + sizeof(headers), 'x', MERGED_PAYLOAD);
	net_send(fd, packet, sizeof(packet));
	close(fd);
}

static void merged_packet(void **state)
{
	struct wire *wire = capturing(state);
	struct npf_bpf_hdr hdr;
	struct records records;

	send_merged(wire);
	send_merged(wire);
	wire_send_plain(wire, 7, 1, 100);
	wire_received(wire->instance, 3);
	assert_int_equal(npf_read(wire->instance, wire->buffer, 1000), 1000);
	memcpy(&hdr, wire->buffer, sizeof(hdr));
	assert_int_equal(hdr.caplen, 980);
	assert_int_equal(hdr.datalen, MERGED_HEADERS + MERGED_PAYLOAD);
	records = wire_read(wire, wire->instance);
	assert_true(records_next(&records));
	assert_int_equal(records.hdr.caplen, MERGED_HEADERS + MERGED_PAYLOAD);
	for (uint32_t i = MERGED_HEADERS; i < records.hdr.caplen; i++)
		assert_int_equal(records.data[i], 'x');
	assert_true(records_next(&records));
	wire_assert_plain(records.data, 100, 7, 100);
	assert_int_equal(records.left, 0);
}

/* ---- statistics mode ------------------------------------------------------------------------ */

static uint64_t class_packets(struct npf_instance *instance)
{
	struct npf_class_stats stats;
	uint32_t n = 1;

	assert_int_equal(npf_get_class_stats(instance, &stats, &n, NULL), 0);
	return stats.packets;
}

static void expect_record(struct wire *wire, int64_t packets, int64_t bytes)
{
	struct npf_bpf_hdr hdr;
	int64_t counted[2];

	assert_int_equal(npf_read(wire->instance, wire->buffer, sizeof(wire->buffer)), 36);
	memcpy(&hdr, wire->buffer, sizeof(hdr));
	memcpy(counted, wire->buffer + NPF_STAT_PACKETS_OFFSET, sizeof(counted));
	assert_int_equal(hdr.caplen, 16);
	assert_int_equal(hdr.datalen, 16);
	assert_int_equal(hdr.hdrlen, 20);
	assert_int_equal(counted[0], packets);
	assert_int_equal(counted[1], bytes);
}

static void statistics(void **state)
{
	static const uint32_t sizes[] = { 14, 42, 59, 60, 61, 64, 594, 1514 };
	struct wire *wire = wire_of(state);
	int64_t bytes = 0;
	uint64_t before;

	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
	for (size_t i = 0; i < N_OF(sizes); i++) {
		wire_send_plain(wire, (uint32_t)i, 1, sizes[i]);
		bytes += (sizes[i] < 60 ? 60 : sizes[i]) + 12;
	}
	WIRE_UNTIL(class_packets(wire->instance) == N_OF(sizes));
	assert_int_equal(npf_read(wire->instance, wire->buffer, 35), -ENOBUFS);
	expect_record(wire, N_OF(sizes), bytes);
	expect_record(wire, 0, 0);

	before = wire_ms();
	assert_int_equal(npf_set_timeout(wire->instance, 100), 0);
	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
	wire_send_plain(wire, 0, 4, 60);
	WIRE_UNTIL(class_packets(wire->instance) == 4);
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	assert_true(wire_ms() - before >= 99);
	expect_record(wire, 4, 4 * 72);
}

static void many_classes(void **state)
{
	struct wire *wire = wire_of(state);
	static struct npf_class classes[40];
	static struct npf_insn insns[40][4];
	struct npf_class_stats stats[40];
	uint32_t n = 40;

	for (uint32_t i = 0; i < 40; i++) {
		const struct npf_insn equal[] = { INSN_LD_B(FRAME_NUMBER_AT + 3), INSN_JEQ(i, 0, 1),
						  INSN_RET(1), INSN_RET(0) };

		memcpy(insns[i], equal, sizeof(equal));
		snprintf(classes[i].name, sizeof(classes[i].name), "class %u", i);
		classes[i].program = (struct npf_program){ .length = 4, .insns = insns[i] };
	}
	classes[39].program.length = 0; /* everything */
	assert_int_equal(npf_set_classes(wire->instance, classes, 40), 0);
	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
	for (uint32_t i = 0; i < 39; i++)
		wire_send_plain(wire, i, 1, 60 + i);
	do {
		assert_int_equal(npf_get_class_stats(wire->instance, stats, &n, NULL), 0);
	} while (stats[39].packets < 39);
	/* The classes of one answer may be of different moments. */
	assert_int_equal(npf_get_class_stats(wire->instance, stats, &n, NULL), 0);
	for (uint32_t i = 0; i < 39; i++) {
		assert_int_equal(stats[i].packets, 1);
		assert_int_equal(stats[i].bytes, 60 + i);
		assert_int_equal(stats[i].line_bytes, 72 + i);
	}
}

/* ---- own sends ------------------------------------------------------------------------------ */

static void set_loopback(struct npf_instance *instance, uint32_t behaviour)
{
	assert_int_equal(npf_io_control(instance, NPF_BIOCISETLOBBEH, &behaviour, sizeof(behaviour),
					NULL, 0, NULL),
			 0);
}

static void own_sends(struct wire *wire, struct npf_instance *one, struct npf_instance *other)
{
	uint8_t frame[100];

	wire_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_buffer(one, BUFFER), 0);
	assert_int_equal(npf_set_buffer(other, BUFFER), 0);
	assert_int_equal(npf_write(one, frame, sizeof(frame)), sizeof(frame));
	wire_received(one, 1);
	wire_received(other, 1);

	set_loopback(one, NPF_DISABLE_LOOPBACK);
	assert_int_equal(wire_stats(one).received, 0);
	assert_int_equal(wire_read(wire, one).left, 0);
	assert_int_equal(npf_write(one, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_write(other, frame, sizeof(frame)), sizeof(frame));
	wire_received(other, 3);
	wire_received(one, 1);

	set_loopback(one, NPF_ENABLE_LOOPBACK);
	assert_int_equal(npf_write(one, frame, sizeof(frame)), sizeof(frame));
	wire_received(other, 4);
	wire_received(one, 2);
}

static void own_sends_on_veth(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *other = wire_open(wire, "va");

	own_sends(wire, wire->instance, other);
	wire_send_plain(wire, 0, 1, 100);
	wire_received(wire->instance, 3);
	npf_close(other);
}

/* And each packet once there, as received. */
static void own_sends_on_loopback(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *one = wire_open(wire, "lo"), *other = wire_open(wire, "lo");
	struct npf_packet packet;

	own_sends(wire, one, other);
	assert_true(npf_batch_begin(other) > 0);
	while (npf_batch_next(other, &packet)) {
		assert_int_equal(packet.flags & NPF_PACKET_OUTGOING, 0);
		wire_assert_plain(packet.data, 100, 1, 100);
	}
	npf_batch_end(other);
	npf_close(one);
	npf_close(other);
}

static void direction(void **state)
{
	struct wire *wire = capturing(state);
	struct npf_packet packet;
	uint8_t frame[100];

	wire_frame(0, frame, sizeof(frame));
	net_send(wire->far, frame, sizeof(frame));
	wire_received(wire->instance, 1);
	net_send(wire->near, frame, sizeof(frame));
	wire_received(wire->instance, 2);
	assert_true(npf_batch_begin(wire->instance) > 0);
	assert_true(npf_batch_next(wire->instance, &packet));
	assert_int_equal(packet.flags, 0);
	assert_true(npf_batch_next(wire->instance, &packet));
	assert_int_equal(packet.flags, NPF_PACKET_OUTGOING);
	assert_false(npf_batch_next(wire->instance, &packet));
	npf_batch_end(wire->instance);
}

/* ---- objects -------------------------------------------------------------------------------- */

static int query(struct npf_instance *instance, uint32_t oid, void *value, uint32_t length)
{
	uint32_t request[2 + 32] = { oid, length };
	size_t size = length < 4 ? 12 : 11 + length;
	int err = npf_io_control(instance, NPF_BIOCQUERYOID, request, size, request, size, NULL);

	if (!err) {
		assert_in_range(request[1], 1, length);
		memcpy(value, request + 2, request[1]);
	}
	return err;
}

static uint32_t query_u32(struct npf_instance *instance, uint32_t oid)
{
	uint32_t value = 0;

	if (query(instance, oid, &value, sizeof(value)))
		fail_msg("OID %x: %s", oid, npf_error(instance));
	return value;
}

static uint32_t mtu_of(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFMTU, &request), 0);
	close(fd);
	return (uint32_t)request.ifr_mtu;
}

static void oids(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire->instance;
	uint8_t address[6], frame[FRAME_MAX];
	char text[NPF_TEXT_SIZE];

	net_run(&wire->net, NET_HERE, "ip link set va mtu 1400");
	assert_int_equal(query_u32(instance, NPF_OID_GEN_MAXIMUM_FRAME_SIZE), mtu_of("va"));
	assert_int_equal(query_u32(instance, NPF_OID_GEN_MEDIA_IN_USE), NPF_MEDIUM_802_3);
	assert_int_equal(query_u32(instance, NPF_OID_GEN_LINK_SPEED), 100000000);
	assert_int_equal(query_u32(instance, NPF_OID_GEN_VENDOR_ID), 2);
	assert_int_equal(query(instance, NPF_OID_802_3_CURRENT_ADDRESS, address, 6), 0);
	assert_memory_equal(address, net_va_address, 6);
	assert_int_equal(query(instance, NPF_OID_GEN_VENDOR_DESCRIPTION, text, sizeof(text) - 12),
			 0);
	assert_non_null(strstr(text, "veth"));

	uint32_t longest = query_u32(instance, NPF_OID_GEN_MAXIMUM_TOTAL_SIZE);

	wire_frame(0, frame, longest + 1);
	frame[12] = 0x81; /* where a tag makes the frame longer, with one */
	frame[13] = 0;
	assert_int_equal(npf_write(instance, frame, longest), longest);
	assert_int_equal(npf_write(instance, frame, longest + 1), -EMSGSIZE);
	assert_int_equal(npf_write(instance, frame, 0), -EINVAL);
	assert_int_equal(npf_write(instance, frame, 13), -EINVAL);
	assert_non_null(strstr(npf_error(instance), "link header"));

	assert_int_equal(query_u32(instance, NPF_OID_GEN_MEDIA_CONNECT_STATUS), 0);
	net_run(&wire->net, NET_THERE, "ip link set vb down");
	WIRE_UNTIL(query_u32(instance, NPF_OID_GEN_MEDIA_CONNECT_STATUS) == 1);
	net_run(&wire->net, NET_HERE, "ip link set va down");
	assert_int_equal(query_u32(instance, NPF_OID_GEN_HARDWARE_STATUS), 4);
	assert_int_equal(npf_write(instance, frame, 100), -ENETDOWN);
}

static void wrong_requests(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire->instance;
	uint32_t request[8] = { NPF_OID_GEN_MAXIMUM_FRAME_SIZE, 4 }, value;
	uint64_t counter;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(npf_io_control(instance, NPF_BIOCQUERYOID, request, 11, request,
						11, NULL),
				 -ENOBUFS);
		assert_int_equal(npf_io_control(instance, NPF_BIOCQUERYOID, request, 14, request,
						14, NULL),
				 -ENOBUFS);
		assert_int_equal(query(instance, 0x12345678, &value, 4), -ENOTSUP);
		assert_int_equal(query(instance, NPF_OID_GEN_XMIT_OK, &counter, 4), -ENOBUFS);
		assert_int_equal(npf_io_control(instance, 4711, NULL, 0, NULL, 0, NULL), -ENOTTY);
		assert_int_equal(npf_io_control(instance, NPF_BIOCSMODE, &value, 3, NULL, 0, NULL),
				 -ENOBUFS);
	}
	assert_int_equal(query_u32(instance, NPF_OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
	assert_int_equal(npf_set_buffer(instance, NPF_MAX_BUFFER + 1), -EINVAL);
	assert_int_equal(npf_set_hw_filter(instance, 0x40000000), -EINVAL);
	assert_int_equal(query_u32(instance, NPF_OID_GEN_CURRENT_PACKET_FILTER), NPF_FILTER_DEFAULT);
}

struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg link;
	uint8_t attributes[16000];
};

static void ask_link(const char *name, struct link_message *message)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	*message = (struct link_message){
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(message->link)),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.link = { .ifi_index = (int)if_nametoindex(name) },
	};
	assert_true(send(fd, message, message->header.nlmsg_len, 0) > 0);
	assert_true(recv(fd, message, sizeof(*message), 0) > 0);
	assert_int_equal(message->header.nlmsg_type, RTM_NEWLINK);
	close(fd);
}

static bool is_promiscuous(void)
{
	struct link_message message;
	size_t left;

	ask_link("va", &message);
	left = message.header.nlmsg_len - NLMSG_LENGTH(sizeof(message.link));
	for (struct rtattr *at = (void *)message.attributes; RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFLA_PROMISCUITY)
			return *(uint32_t *)RTA_DATA(at);
	}
	fail_msg("no promiscuity is told");
	return false;
}

static void hardware_filter(void **state)
{
	struct wire *wire = capturing(state);
	uint8_t frame[100];

	wire_frame(0, frame, sizeof(frame));
	frame[5] ^= 1; /* for somebody else */
	net_send(wire->far, frame, sizeof(frame));
	wire_send_plain(wire, 0, 1, 100);
	wire_received(wire->instance, 1);
	assert_false(is_promiscuous());

	assert_int_equal(npf_set_hw_filter(wire->instance,
					   NPF_FILTER_DEFAULT | NPF_FILTER_PROMISCUOUS),
			 0);
	assert_true(is_promiscuous());
	net_send(wire->far, frame, sizeof(frame));
	wire_received(wire->instance, 2);

	assert_int_equal(npf_set_hw_filter(wire->instance, NPF_FILTER_BROADCAST), 0);
	assert_false(is_promiscuous());
	wire_send_plain(wire, 0, 1, 100);
	memset(frame, 0xFF, 6);
	net_send(wire->far, frame, sizeof(frame));
	wire_received(wire->instance, 3);
}

/* ---- ending --------------------------------------------------------------------------------- */

static uint32_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void *read_on(void *arg)
{
	uint8_t buffer[4096];

	while (npf_read(arg, buffer, sizeof(buffer)) >= 0)
		;
	return NULL;
}

static void *write_on(void *arg)
{
	uint8_t frame[100];

	wire_frame(0, frame, sizeof(frame));
	while (npf_write(arg, frame, sizeof(frame)) >= 0)
		;
	return NULL;
}

static void *control_on(void *arg)
{
	struct npf_stats stats;
	uint32_t n = 0;

	while (!npf_set_min_to_copy(arg, n++ % 1000) && !npf_get_stats(arg, &stats) &&
	       !npf_set_filter(arg, &odd))
		;
	return NULL;
}

static void close_under_load(void **state)
{
	static void *(*const work[])(void *) = { read_on, write_on, control_on };
	struct wire *wire = wire_of(state);
	uint32_t open_before = descriptors();

	for (int round = 0; round < 5; round++) {
		struct npf_instance *instance = wire_open(wire, "va");
		pthread_t threads[N_OF(work)];
		struct npf_stats stats;

		assert_int_equal(npf_set_buffer(instance, BUFFER), 0);
		assert_int_equal(npf_set_timeout(instance, 0), 0);
		for (size_t i = 0; i < N_OF(work); i++)
			pthread_create(&threads[i], NULL, work[i], instance);
		wire_nap();
		npf_cleanup(instance);
		for (size_t i = 0; i < N_OF(work); i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(npf_get_stats(instance, &stats), -ECANCELED);
		assert_int_equal(npf_poll_fd(instance), -1);
		npf_close(instance);
	}
	assert_int_equal(descriptors(), open_before);
}

/* A reader that waits for ever is let go. */
static void close_under_reader(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire_open(wire, "va");
	pthread_t thread;

	assert_int_equal(npf_set_buffer(instance, BUFFER), 0);
	assert_int_equal(npf_set_timeout(instance, 0), 0);
	pthread_create(&thread, NULL, read_on, instance);
	wire_nap();
	npf_cleanup(instance);
	pthread_join(thread, NULL);
	npf_close(instance);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "item 01: defaults", defaults },
		{ "bad names", bad_names },
		{ "item 02: received is counted before the filter", counted_before_filter },
		{ "item 03: every length", every_length },
		{ "item 03: snaplen", snaplen },
		{ "item 04: fill and drain", fill_and_drain },
		{ "item 08: filter swap", filter_swap },
		{ "time stamps", time_stamps },
		{ "item 05: full buffer", full_buffer },
		{ "item 06: MinToCopy", min_to_copy },
		{ "item 17: level-triggered readiness", level },
		{ "item 06: flush timer", flush_timer },
		{ "item 17: event handle", event_handle },
		{ "item 07: short user buffer", short_user_buffer },
		{ "item 07: merged packets", merged_packet },
		{ "item 09: statistics mode", statistics },
		{ "item 09: many classes", many_classes },
		{ "item 12: own sends on veth", own_sends_on_veth },
		{ "item 12: own sends on loopback", own_sends_on_loopback },
		{ "direction", direction },
		{ "item 15: object identifiers", oids },
		{ "item 15: wrong requests", wrong_requests },
		{ "hardware filter", hardware_filter },
		{ "item 18: close under load", close_under_load },
		{ "item 18: close under a reader", close_under_reader },
	};

	return wire_run("conformance", tests, N_OF(tests), N_OF(wire_hooks));
}
