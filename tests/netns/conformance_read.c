/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What NPF promises about opening, filters, and what comes out of a capture and when, on real
 * interfaces: the same list for every hook. The simulator's tests know more cases; these show that
 * the hosts keep them. Names begin with the number of the conformance list's item that they belong
 * to.
 */
#include "lib/refusals.h"
#include "netns/wire.h"

#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Bytes that a packet takes in the circular buffer: what MinToCopy counts. */
#define RING_BYTES(caplen) ((24u + (caplen) + 7u) & ~7u)

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

	assert_int_equal(npf_set_buffer(wire->instance, WIRE_BUFFER), 0);
	assert_int_equal(wire_stats(wire->instance).received, 0);
	assert_int_equal(wire_stats(wire->instance).buffer_size, WIRE_BUFFER);
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
	struct wire *wire = wire_capturing(state);
	struct npf_stats stats;

	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	wire_send_and_keep_up(wire, 0, 100, 80);
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.filtered, 50);
	assert_int_equal(stats.captured, 50);
	assert_int_equal(stats.dropped, 0);
	expect_plain(wire, 1, 50, 2, 80);
}

static void every_length(void **state)
{
	struct wire *wire = wire_capturing(state);
	struct records records;
	uint32_t n = 1514 - 14 + 1;

	assert_int_equal(npf_set_buffer(wire->instance, 4 * WIRE_BUFFER), 0);
	for (uint32_t i = 0; i < n; i++) {
		wire_send_plain(wire, i, 1, 14 + i);
		wire_keep_up(wire->instance, i + 1);
	}
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
	struct wire *wire = wire_capturing(state);
	struct records records;

	assert_int_equal(npf_set_filter(wire->instance, &program), 0);
	for (uint32_t i = 0; i < 50; i++) {
		wire_send_plain(wire, i, 1, 20 + i);
		wire_keep_up(wire->instance, i + 1);
	}
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
	struct wire *wire = wire_capturing(state);
	struct npf_stats stats;

	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	wire_send_plain(wire, 0, 10, 80);
	wire_received(wire->instance, 10);

	all_refused_by(wire->instance);
	wire_send_plain(wire, 10, 10, 80);
	wire_received(wire->instance, 20);
	assert_int_equal(wire_stats(wire->instance).captured, 10);

	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETF, wire_odd_insns,
					sizeof(wire_odd_insns), NULL, 0, NULL),
			 0);
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.received + stats.captured + stats.filtered + stats.buffer_used, 0);
	assert_int_equal(wire_read(wire, wire->instance).left, 0);
	wire_send_plain(wire, 20, 10, 80);
	wire_received(wire->instance, 10);
	expect_plain(wire, 21, 5, 2, 80);
}

/* ---- time ---------------------------------------------------------------------------------- */

#define MARGIN         50000000ull /* ns; the coarse clock steps once per tick */
#define COARSE_PACKETS 200

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
	struct wire *wire = wire_capturing(state);

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

/* Coarse stamps step with the clock's tick: of so many packets some have the same. Others never have.
 * Packets of the tpacket hook are stamped by the kernel, always precisely. */
static void coarse_stamps(void **state)
{
	struct wire *wire = wire_capturing(state);
	struct npf_packet packet;
	uint64_t last = 0;
	uint32_t same = 0;

	if (wire->hook == NPF_HOOK_TPACKET)
		return;
	wire_one_cpu();
	assert_int_equal(npf_set_timestamp_mode(wire->instance, NPF_TIMESTAMP_COARSE), 0);
	wire_send_plain(wire, 0, COARSE_PACKETS, 100);
	wire_received(wire->instance, COARSE_PACKETS);
	assert_true(npf_batch_begin(wire->instance) > 0);
	while (npf_batch_next(wire->instance, &packet)) {
		assert_true(packet.time >= last);
		same += packet.time == last;
		last = packet.time;
	}
	npf_batch_end(wire->instance);
	assert_true(same > 0);
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
	wire_send_and_keep_up(wire, 0, 1000, 1000);
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
	struct wire *wire = wire_capturing(state);
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
	struct wire *wire = wire_capturing(state);
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
	assert_int_equal(npf_set_min_to_copy(wire->instance, WIRE_BUFFER / 2), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	assert_false(wire_readable(fd));
	assert_int_equal(npf_set_min_to_copy(wire->instance, 0), 0);
	assert_true(wire_readable(fd));
}

/* The timer starts with the first packet: not before, and it comes. */
static void flush_timer(void **state)
{
	struct wire *wire = wire_capturing(state);
	int fd = npf_poll_fd(wire->instance);
	uint64_t before;

	assert_int_equal(npf_set_min_to_copy(wire->instance, WIRE_BUFFER / 2), 0);
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
	struct wire *wire = wire_capturing(state);
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
	struct wire *wire = wire_capturing(state);
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
	/* clang-format off */
	static const uint8_t headers[MERGED_HEADERS] = {
		2, 0, 0, 0, 0, 0x0a, 2, 0, 0, 0, 0, 0x0b, 0x08, 0x00,
		0x45, 0, (MERGED_PAYLOAD + 40) >> 8, (MERGED_PAYLOAD + 40) & 0xFF, 0, 1, 0x40, 0,
		64, 6, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1,
		4, 0, 4, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
	};
	/* clang-format on */
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
	struct wire *wire = wire_capturing(state);
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
		{ "coarse time stamps", coarse_stamps },
		{ "item 05: full buffer", full_buffer },
		{ "item 06: MinToCopy", min_to_copy },
		{ "item 17: level-triggered readiness", level },
		{ "item 06: flush timer", flush_timer },
		{ "item 17: event handle", event_handle },
		{ "item 07: short user buffer", short_user_buffer },
		{ "item 07: merged packets", merged_packet },
	};

	return wire_run("conformance of reads", tests, N_OF(tests), N_OF(wire_hooks));
}
