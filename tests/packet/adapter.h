/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of libpacket share: two namespaces (lib/net.h), frames that come from "vb", and an
 * adapter that is open on "va". The library's driver is stopped after every test, so that the next
 * one finds its own world.
 */
#ifndef NPF_TEST_ADAPTER_H
#define NPF_TEST_ADAPTER_H

#define NOMINMAX
#include "Packet32.h"

#include "lib/check.h"

#include <poll.h>
#include <stdio.h>

#include "lib/net.h"

#define LENGTH 100u
#define BUFFER (1 << 20)

struct state {
	struct net_world net;
	int far; /* sends from vb towards va */
	LPADAPTER adapter;
	LPPACKET packet;
	uint8_t buffer[1 << 18];
};

static inline int setup(void **out)
{
	struct state *state = calloc(1, sizeof(*state));

	assert_non_null(state);
	net_world_create(&state->net);
	state->far = net_sender(&state->net, NET_THERE, "vb");
	state->adapter = PacketOpenAdapter((PCHAR) "va");
	if (!state->adapter)
		fail_msg("%s", PacketGetErrorText(NULL));
	state->packet = PacketAllocatePacket();
	assert_non_null(state->packet);
	PacketInitPacket(state->packet, state->buffer, sizeof(state->buffer));
	*out = state;
	return 0;
}

static inline int teardown(void **in)
{
	struct state *state = *in;

	PacketFreePacket(state->packet);
	PacketCloseAdapter(state->adapter);
	assert_true(PacketStopDriver());
	close(state->far);
	net_world_destroy(&state->net);
	free(state);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* A failure with its errno. */
#define assert_refused(call, error)                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_false(call);                                                                \
		assert_int_equal(errno, (error));                                                  \
	} while (0)

/* Frames first ... first + n - 1 of a flood of test frames, from vb. */
static inline void send_far(struct state *state, uint64_t first, uint64_t n)
{
	const struct net_flood flood = { .side = NET_THERE, .name = "vb", .length = LENGTH };
	uint8_t frame[LENGTH];

	for (uint64_t i = first; i < first + n; i++) {
		net_flood_frame(&flood, i, frame);
		net_send(state->far, frame, sizeof(frame));
	}
}

/* Everything that is captured from now on, at once. */
static inline void capture(struct state *state)
{
	assert_true(PacketSetBuff(state->adapter, BUFFER));
	assert_true(PacketSetHwFilter(state->adapter, NDIS_PACKET_TYPE_PROMISCUOUS));
}

/* One read as records. */
static inline struct records receive(struct state *state)
{
	PacketInitPacket(state->packet, state->buffer, sizeof(state->buffer));
	if (!PacketReceivePacket(state->adapter, state->packet, TRUE))
		fail_msg("receiving: %s", PacketGetErrorText(state->adapter));
	return (struct records){ .at = state->packet->Buffer,
				 .left = state->packet->ulBytesReceived };
}

/* Frames first ... first + n - 1 come, in order and whole. */
static inline void assert_frames(struct state *state, uint64_t first, uint64_t n)
{
	uint64_t next = first;

	while (next < first + n) {
		struct records records = receive(state);

		while (records_next(&records)) {
			uint64_t sequence;
			uint32_t sender;

			assert_int_equal(records.hdr.caplen, LENGTH);
			assert_int_equal(records.hdr.datalen, LENGTH);
			assert_true(net_flood_read(records.data, LENGTH, &sender, &sequence));
			assert_int_equal(sequence, next);
			next++;
		}
	}
}

static inline int descriptor_of(LPADAPTER adapter)
{
	return NPF_HANDLE_DESCRIPTOR(PacketGetReadEvent(adapter));
}

static inline bool readable(int fd, int ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, ms) == 1;
}

#endif
