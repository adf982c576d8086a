/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of libwpcap share: two namespaces (lib/net.h), a capture on "va", frames from
 * "vb". */
#ifndef NPF_TEST_CAPTURE_H
#define NPF_TEST_CAPTURE_H

#define NOMINMAX
#include <pcap.h>

#include "lib/check.h"

#include <poll.h>
#include <stdio.h>

#include "lib/net.h"
#include "wpcap/sanitized.h"

#define LENGTH 100u

struct state {
	struct net_world net;
	int far; /* sends from vb towards va */
	pcap_t *p;
	char errbuf[PCAP_ERRBUF_SIZE];
};

static inline int setup(void **out)
{
	struct state *state = calloc(1, sizeof(*state));

	assert_non_null(state);
	net_world_create(&state->net);
	state->far = net_sender(&state->net, NET_THERE, "vb");
	state->p = pcap_open_live("va", 65535, 1, 100, state->errbuf);
	if (!state->p)
		fail_msg("%s", state->errbuf);
	/* It is ours, and not libpcap's. */
	if (!pcap_getevent(state->p))
		fail_msg("%s", "va is not captured by NPF");
	*out = state;
	return 0;
}

static inline int teardown(void **in)
{
	struct state *state = *in;

	if (state->p)
		pcap_close(state->p);
	close(state->far);
	net_world_destroy(&state->net);
	free(state);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static inline void send_far(struct state *state, uint64_t first, uint64_t n)
{
	const struct net_flood flood = { .side = NET_THERE, .name = "vb", .length = LENGTH };
	uint8_t frame[LENGTH];

	for (uint64_t i = first; i < first + n; i++) {
		net_flood_frame(&flood, i, frame);
		net_send(state->far, frame, sizeof(frame));
	}
}

static inline void assert_frame(const struct pcap_pkthdr *header, const u_char *data,
				uint64_t sequence)
{
	uint64_t found;
	uint32_t sender;

	assert_int_equal(header->caplen, LENGTH);
	assert_int_equal(header->len, LENGTH);
	assert_true(net_flood_read(data, LENGTH, &sender, &found));
	assert_int_equal(found, sequence);
}

/* The next packet, however long it takes. */
static inline const u_char *next_on(pcap_t *p, struct pcap_pkthdr **header)
{
	const u_char *data;
	int result;

	while (!(result = pcap_next_ex(p, header, &data)))
		;
	if (result != 1)
		fail_msg("pcap_next_ex: %d, %s", result, pcap_geterr(p));
	return data;
}

static inline const u_char *next_of(struct state *state, struct pcap_pkthdr **header)
{
	return next_on(state->p, header);
}

static inline void assert_frames(struct state *state, uint64_t first, uint64_t n)
{
	struct pcap_pkthdr *header;

	for (uint64_t i = first; i < first + n; i++) {
		const u_char *data = next_of(state, &header);

		assert_frame(header, data, i);
	}
}

#endif
