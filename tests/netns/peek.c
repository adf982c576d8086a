/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters on the socket hook that read packets where they lie: that they do, also when only the head
 * of a packet lies there, and what happens where the socket has no memory for the longer code. Several
 * filters in one form on all hooks of the kernel, with the same packets.
 */
#include "netns/wire.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "driver/core.h"
#include "host/linux/ebpf.h"
#include "lib/engines.h"

#define BUFFER   (1u << 20)
#define N_FRAMES 8u
#define SIZE     100u
#define WANTED   5u

#define SKIPPED 77
#define PLENTY  1048576u /* bytes of net.core.optmem_max */

static const struct npf_insn by_number[] = {
	INSN_LD_H(12),          INSN_JEQ(NET_ETHERTYPE, 0, 3), INSN_LD_B(FRAME_NUMBER_AT + 3),
	INSN_JEQ(WANTED, 0, 1), INSN_RET(0xFFFFFFFF),          INSN_RET(0),
};
static const struct npf_program one_of_them = PROGRAM(by_number);
static const struct npf_insn accepts[] = { INSN_RET(0xFFFFFFFF) };
static const struct npf_program every_packet = PROGRAM(accepts);

/* How the filters in place read packets. */
static enum npf_ebpf_access access_of(const struct wire *wire)
{
	const struct npf_ebpf *ebpf = wire->instance->nic->hook_state;

	return ebpf->way.access;
}

static uint32_t read_numbers(struct wire *wire)
{
	struct records records = wire_read(wire, wire->instance);
	uint32_t found = 0;

	while (records_next(&records))
		found |= 1u << records.data[FRAME_NUMBER_AT + 3];
	return found;
}

static void assert_filters(struct wire *wire)
{
	wire_send_plain(wire, 0, N_FRAMES, SIZE);
	wire_received(wire->instance, N_FRAMES);
	assert_int_equal(read_numbers(wire), 1u << WANTED);
}

/* The test ends here where the kernel does not show packets. */
static struct wire *peeking(void **state)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_set_filter(wire->instance, &one_of_them), 0);
	if (access_of(wire) == NPF_EBPF_PEEK)
		return wire;
	if (engine_must_peek())
		fail_msg("packets are copied, not read where they lie");
	print_message("packets cannot be read where they lie here\n");
	skip();
	return NULL;
}

static void whole(void **state)
{
	assert_filters(peeking(state));
}

/* ---- packets in pieces ---------------------------------------------------------------------- */

/* What a packet socket sends from a ring stays in the ring's pages, but for a head as long as the
 * sender says: that alone is the packet's linear part. */
#define RING_FRAME 2048u
#define RING_BLOCK 4096u
#define LEAST_HEAD 14u

struct ring {
	int fd;
	uint8_t *frames;
};

static void set(int fd, int name, const void *value, socklen_t size)
{
	assert_int_equal(setsockopt(fd, SOL_PACKET, name, value, size), 0);
}

static void ring_open(const struct wire *wire, struct ring *ring)
{
	const struct tpacket_req cut = { .tp_block_size = RING_BLOCK,
					 .tp_block_nr = 1,
					 .tp_frame_size = RING_FRAME,
					 .tp_frame_nr = RING_BLOCK / RING_FRAME };
	const int yes = 1, version = TPACKET_V2;
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(NET_ETHERTYPE) };

	net_enter(&wire->net, NET_THERE);
	ring->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	address.sll_ifindex = (int)if_nametoindex("vb");
	net_enter(&wire->net, NET_HERE);
	assert_true(ring->fd >= 0);
	set(ring->fd, PACKET_VERSION, &version, sizeof(version));
	set(ring->fd, PACKET_VNET_HDR, &yes, sizeof(yes));
	set(ring->fd, PACKET_TX_RING, &cut, sizeof(cut));
	ring->frames = mmap(NULL, RING_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	assert_ptr_not_equal(ring->frames, MAP_FAILED);
	assert_int_equal(bind(ring->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* The kernel goes from frame to frame of the ring, and so does place. */
static void ring_send(const struct ring *ring, uint32_t place, const uint8_t *frame, uint32_t size,
		      uint32_t head)
{
	uint8_t *at = ring->frames + place % (RING_BLOCK / RING_FRAME) * RING_FRAME;
	uint8_t *data = at + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
	const struct virtio_net_hdr offload = { .hdr_len = (uint16_t)head };
	struct tpacket2_hdr *header = (struct tpacket2_hdr *)at;

	memcpy(data, &offload, sizeof(offload));
	memcpy(data + sizeof(offload), frame, size);
	header->tp_len = (uint32_t)sizeof(offload) + size;
	__atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	assert_true(send(ring->fd, NULL, 0, 0) > 0);
	WIRE_UNTIL(__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) == TP_STATUS_AVAILABLE);
}

static void ring_close(const struct ring *ring)
{
	munmap(ring->frames, RING_BLOCK);
	close(ring->fd);
}

/* A byte at a place that the filter knows, at one that the packet tells, and the last one. */
#define TELLS_AT 20u
#define TOLD     40u

static const struct npf_insn by_told[] = {
	INSN_LD_B(TELLS_AT),      { .code = 0x07 }, /* tax */
	{ .code = 0x50, .k = 3 },                   /* ldb [x + 3] */
	INSN_JEQ(WANTED, 0, 1),   INSN_RET(0xFFFFFFFF), INSN_RET(0),
};
static const struct npf_insn by_last[] = {
	INSN_LD_B(SIZE - 1),
	INSN_JEQ(WANTED, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_program piece_filters[] = { PROGRAM(by_number), PROGRAM(by_told),
						    PROGRAM(by_last) };

/* Frame number `number`, which stands wherever the filters look. */
static void make_told(uint32_t number, uint8_t *frame)
{
	wire_frame(number, frame, SIZE);
	frame[TELLS_AT] = TOLD;
	frame[TOLD + 3] = (uint8_t)number;
	frame[SIZE - 1] = (uint8_t)number;
}

/* With a linear part of any length from the link header to all of the packet. */
static void in_pieces(void **state)
{
	struct wire *wire = peeking(state);
	uint8_t frame[SIZE];
	struct ring ring;
	uint32_t place = 0;

	ring_open(wire, &ring);
	for (size_t f = 0; f < N_OF(piece_filters); f++) {
		assert_int_equal(npf_set_filter(wire->instance, &piece_filters[f]), 0);
		assert_int_equal(access_of(wire), NPF_EBPF_PEEK);
		for (uint32_t head = LEAST_HEAD; head <= SIZE; head++) {
			for (uint32_t number = WANTED - 1; number <= WANTED + 1; number++) {
				make_told(number, frame);
				ring_send(&ring, place++, frame, SIZE, head);
			}
		}
		wire_received(wire->instance, 3 * (SIZE - LEAST_HEAD + 1));
		struct records records = wire_read(wire, wire->instance);

		make_told(WANTED, frame);
		for (uint32_t head = LEAST_HEAD; head <= SIZE; head++) {
			assert_true(records_next(&records));
			assert_int_equal(records.hdr.caplen, SIZE);
			assert_memory_equal(records.data, frame, SIZE);
		}
		assert_false(records_next(&records));
	}
	ring_close(&ring);
}

/* ---- several filters ------------------------------------------------------------------------ */

static bool are_joined(const struct wire *wire)
{
	const struct npf_ebpf *ebpf = wire->instance->nic->hook_state;

	return ebpf->way.join;
}

static void count_pieces(struct wire *wire, enum npf_dialect last)
{
	struct npf_class classes[N_OF(piece_filters)] = { 0 };

	for (size_t i = 0; i < N_OF(piece_filters); i++) {
		snprintf(classes[i].name, sizeof(classes[i].name), "class %zu", i);
		classes[i].program = piece_filters[i];
	}
	classes[N_OF(piece_filters) - 1].program.dialect = last;
	assert_int_equal(npf_set_classes(wire->instance, classes, N_OF(piece_filters)), 0);
	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
}

static void send_pieces(struct wire *wire)
{
	uint8_t frame[SIZE];
	struct ring ring;
	uint32_t place = 0;

	ring_open(wire, &ring);
	for (uint32_t head = LEAST_HEAD; head <= SIZE; head++) {
		for (uint32_t number = WANTED - 1; number <= WANTED + 1; number++) {
			make_told(number, frame);
			ring_send(&ring, place++, frame, SIZE, head);
		}
	}
	ring_close(&ring);
	wire_received(wire->instance, place);
}

static void assert_counted(struct wire *wire)
{
	struct npf_class_stats stats[N_OF(piece_filters)];
	uint32_t n = N_OF(stats);

	assert_int_equal(npf_get_class_stats(wire->instance, stats, &n, NULL), 0);
	assert_int_equal(n, N_OF(stats));
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(stats[i].packets, SIZE - LEAST_HEAD + 1);
}

/* One form of all, where packets are not copied; it leaves those that it cannot judge to each. */
static void joined_classes(void **state)
{
	struct wire *wire = wire_of(state);

	count_pieces(wire, NPF_DIALECT_WIRE);
	assert_int_equal(are_joined(wire), access_of(wire) != NPF_EBPF_COPY);
	send_pieces(wire);
	assert_counted(wire);
}

/* What sees packets in different ways is no one form, and counts all the same. */
static void classes_apart(void **state)
{
	struct wire *wire = wire_of(state);

	count_pieces(wire, NPF_DIALECT_LINUX);
	assert_false(are_joined(wire));
	send_pieces(wire);
	assert_counted(wire);
}

/* ---- memory of sockets ---------------------------------------------------------------------- */

static bool may_hold(struct wire *wire, uint32_t bytes)
{
	char text[16];

	snprintf(text, sizeof(text), "%" PRIu32, bytes);
	return net_write(&wire->net, NET_HERE, "/proc/sys/net/core/optmem_max", text);
}

/* Does a socket that may hold so much take the filter as it is best? */
static bool peeks_with(struct wire *wire, uint32_t bytes)
{
	assert_true(may_hold(wire, PLENTY));
	assert_int_equal(npf_set_filter(wire->instance, &every_packet), 0);
	assert_true(may_hold(wire, bytes));
	return !npf_set_filter(wire->instance, &one_of_them) && access_of(wire) == NPF_EBPF_PEEK;
}

/* Where the memory ends by one byte, the filter is there all the same. */
static void little_memory(void **state)
{
	struct wire *wire = peeking(state);
	uint32_t little = 0, enough = PLENTY;

	if (!may_hold(wire, PLENTY)) {
		print_message("net.core.optmem_max is no setting of a namespace here (Linux 6.8)\n");
		skip();
	}
	while (enough - little > 1) {
		uint32_t middle = little + (enough - little) / 2;

		if (peeks_with(wire, middle))
			enough = middle;
		else
			little = middle;
	}
	assert_false(peeks_with(wire, little));
	assert_int_equal(access_of(wire), NPF_EBPF_COPY);
	assert_filters(wire);
}

int main(void)
{
	static const enum npf_hook socket_hook = NPF_HOOK_SOCKET;
	static const enum npf_hook hooks[] = { NPF_HOOK_TCX, NPF_HOOK_SOCKET };
	static const struct wire_test classes[] = {
		{ "classes joined", joined_classes },
		{ "classes apart", classes_apart },
	};
	static const struct wire_test tests[] = {
		{ "whole packets", whole },
		{ "packets in pieces", in_pieces },
		{ "little memory for sockets", little_memory },
	};

	int failed = wire_run_on("reading packets where they lie", tests, N_OF(tests), &socket_hook,
				 1);
	int more = wire_run_on("several filters", classes, N_OF(classes), hooks, N_OF(hooks));

	return failed && failed != SKIPPED ? failed : more;
}
