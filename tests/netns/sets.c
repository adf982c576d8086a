/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets on every hook: of frames of all kinds and lengths those are captured that the sets' own code,
 * asked in this process, says are in them. Large sets are installed in the kernel, and a failure changes
 * nothing.
 */
#include "netns/wire.h"

#include "filter/sets.h"

#define BUFFER     (1u << 20)
#define N_FRAMES   400u
#define FRAME_SIZE 140u /* shorter and longer than what the tap copies by itself */
#define LEAST_SIZE 26u  /* two tags and a type: shorter ones the kernel would not take */
#define NUMBER_AT  8u
#define N_NETS     10000u

static uint64_t seed;

static uint32_t next_random(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 16) % below);
}

/* ---- frames --------------------------------------------------------------------------------- */

static void put_ipv4(uint8_t *at)
{
	at[0] = (uint8_t)(0x45 + next_random(3));
	at[6] = next_random(4) ? 0 : 0x20;
	at[7] = next_random(4) ? 0 : 1;
	at[9] = next_random(4) ? 6 : 17;
	for (int i = 12; i < 20; i++)
		at[i] = (uint8_t)next_random(4);
	at[20] = at[22] = 0;
}

static void put_ipv6(uint8_t *at)
{
	uint8_t *payload = at + 40;

	at[0] = 0x60;
	at[6] = next_random(2) ? 17 : 0;
	for (int i = 8; i < 40; i++)
		at[i] = 0;
	at[8] = at[24] = 0x20;
	at[23] = (uint8_t)next_random(64);
	at[39] = (uint8_t)next_random(64);
	payload[0] = at[6] ? 0 : 17;
	payload[1] = at[6] ? (uint8_t)next_random(200) : 0;
	payload[8] = payload[10] = 0;
}

/* The number is the sender's. */
static uint32_t make_frame(uint8_t frame[FRAME_SIZE], uint32_t number)
{
	static const uint8_t macs[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 0xBB };
	uint8_t *at = frame + sizeof(macs);

	for (uint32_t i = 0; i < FRAME_SIZE; i++)
		frame[i] = (uint8_t)next_random(200);
	memcpy(frame, macs, sizeof(macs));
	for (uint32_t tags = next_random(3); tags; tags--) {
		at[0] = 0x81;
		at[1] = 0;
		at += 4;
	}
	at[0] = 0x08;
	at[1] = 0;
	if (next_random(2)) {
		put_ipv4(at + 2);
	} else if (next_random(4)) {
		at[0] = 0x86;
		at[1] = 0xDD;
		put_ipv6(at + 2);
	} else {
		at[1] = 0x06;
		for (int i = 16; i < 30; i++)
			at[i] = (uint8_t)next_random(4);
	}
	frame[NUMBER_AT] = (uint8_t)(number >> 8);
	frame[NUMBER_AT + 1] = (uint8_t)number;
	return next_random(3) ? FRAME_SIZE : LEAST_SIZE + next_random(FRAME_SIZE - LEAST_SIZE);
}

/* ---- sets ----------------------------------------------------------------------------------- */

static struct npf_net nets[N_NETS];
static struct npf_net wide[N_NETS]; /* the same with prefixes of many lengths */
static const struct npf_port_range ports[] = { { 0, 20 }, { 100, 150 }, { 4000, 65535 } };

static void make_nets(void)
{
	for (uint32_t i = 0; i < N_NETS; i++) {
		struct npf_net *net = &nets[i];

		*net = (struct npf_net){ .family = next_random(2) ? 4 : 6 };
		net->prefix = net->family == 4 ? 32 : 128;
		/* Some that frames have, most that none has. */
		if (i < 100) {
			for (int byte = 0; byte < 4; byte++)
				net->address[net->family == 4 ? byte : 12 + byte] =
					net->family == 4 || byte == 3 ? (uint8_t)next_random(4) : 0;
			net->address[0] = net->family == 4 ? net->address[0] : 0x20;
			net->prefix -= (uint8_t)next_random(3);
		} else {
			for (int byte = 0; byte < 16; byte++)
				net->address[byte] = (uint8_t)(64 + next_random(190));
		}
		wide[i] = *net;
		if (i % 3)
			wide[i].prefix -= (uint8_t)next_random(12);
	}
}

static void build(struct npf_match *match, const struct npf_set *sets, uint32_t n)
{
	*match = (struct npf_match){ 0 };
	assert_int_equal(npf_sets_link(&match->shapes, 1), 0);
	for (uint32_t i = 0; i < n; i++) {
		void *table = aligned_alloc(64, (npf_set_size(&sets[i]) + 63) / 64 * 64);
		void *space = malloc(npf_set_space(&sets[i]));
		size_t used;

		assert_non_null(table);
		assert_non_null(space);
		assert_int_equal(npf_set_build(&sets[i], match, table, space, &used), 0);
		free(space);
	}
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void send_and_compare(struct wire *wire, const struct npf_match *match)
{
	static uint8_t frames[N_FRAMES][FRAME_SIZE];
	static uint32_t sizes[N_FRAMES];
	uint64_t before = wire_stats(wire->instance).received;
	bool captured[N_FRAMES] = { false };
	uint32_t hits = 0;
	struct records records;

	for (uint32_t i = 0; i < N_FRAMES; i++) {
		sizes[i] = make_frame(frames[i], i);
		net_send(wire->far, frames[i], sizes[i]);
		wire_keep_up(wire->instance, before + i + 1);
	}
	wire_received(wire->instance, before + N_FRAMES);
	records = wire_read(wire, wire->instance);
	while (records_next(&records)) {
		const uint8_t *number = records.data + NUMBER_AT;
		uint32_t i = (uint32_t)number[0] << 8 | number[1];

		assert_true(i < N_FRAMES && records.hdr.caplen == sizes[i]);
		assert_memory_equal(records.data, frames[i], sizes[i]);
		captured[i] = true;
	}
	for (uint32_t i = 0; i < N_FRAMES; i++) {
		bool expected = !match || npf_match_run(match, frames[i], sizes[i]);

		assert_int_equal(captured[i], expected);
		hits += expected;
	}
	assert_in_range(hits, match ? 10 : N_FRAMES, match ? N_FRAMES - 10 : N_FRAMES);
}

static void keeps_what_is_in_the_sets(void **state)
{
	struct wire *wire = wire_of(state);
	const struct npf_set sets[][3] = {
		{ { .n_nets = N_NETS, .nets = nets } },
		{ { .n_nets = N_NETS, .nets = wide } },
		{ { .side = NPF_SIDE_SOURCE, .n_nets = N_NETS, .nets = nets } },
		{ { .side = NPF_SIDE_DESTINATION, .n_nets = 100, .nets = nets } },
		{ { .n_ports = N_OF(ports), .ports = ports } },
		{ { .side = NPF_SIDE_DESTINATION, .n_ports = N_OF(ports), .ports = ports },
		  { .n_nets = N_NETS, .nets = nets } },
	};

	seed = 0x5E7501;
	make_nets();
	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	for (size_t i = 0; i < N_OF(sets); i++) {
		uint32_t n = sets[i][1].n_nets ? 2 : 1;
		struct npf_match match;

		build(&match, sets[i], n);
		if (npf_set_sets(wire->instance, sets[i], n))
			fail_msg("%s", npf_error(wire->instance));
		send_and_compare(wire, &match);
		for (uint32_t k = 0; k < match.shapes.n; k++)
			free(match.tables[k]);
	}
	assert_int_equal(npf_set_sets(wire->instance, NULL, 0), 0);
	send_and_compare(wire, NULL);
}

static void a_failure_changes_nothing(void **state)
{
	struct wire *wire = wire_of(state);
	const struct npf_set good = { .n_ports = N_OF(ports), .ports = ports }, none = { 0 };
	const struct npf_set many[NPF_MAX_SETS + 1] = { good, good, good, good, good };
	struct npf_match match;

	seed = 0x5E7502;
	build(&match, &good, 1);
	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_set_sets(wire->instance, &good, 1), 0);
	assert_int_equal(npf_set_sets(wire->instance, &none, 1), -EINVAL);
	assert_non_null(strstr(npf_error(wire->instance), "set number 0"));
	assert_int_equal(npf_set_sets(wire->instance, many, N_OF(many)), -EINVAL);
	send_and_compare(wire, &match);
	assert_int_equal(npf_set_sets(wire->instance, many, NPF_MAX_SETS), 0);
	send_and_compare(wire, &match);
	free(match.tables[0]);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "keeps what is in the sets", keeps_what_is_in_the_sets },
		{ "a failure changes nothing", a_failure_changes_nothing },
	};

	return wire_run("sets", tests, N_OF(tests), N_OF(wire_hooks));
}
