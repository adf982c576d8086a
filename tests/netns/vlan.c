/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tag that the receiving stack took out of the frame is where the wire had it, for the filter
 * and for the reader; and programs in Linux's dialect find it beside the frame. What is sent keeps
 * its tag in the frame, and is seen so.
 */
#include "netns/wire.h"

#include "filter/filter.h"

#define SIZE 100u

enum { UNTAGGED, TAGGED_5, TAGGED_6, PRIORITY, TAGGED_TWICE, SERVICE, KINDS };

/* Frame of a kind; its kind is in the last byte. */
static void make(uint32_t kind, uint8_t *frame)
{
	static const uint8_t tags[KINDS][8] = {
		[TAGGED_5] = { 0x81, 0x00, 0xE0, 5, 0x88, 0xB5 },
		[TAGGED_6] = { 0x81, 0x00, 0x00, 6, 0x88, 0xB5 },
		[PRIORITY] = { 0x81, 0x00, 0x00, 0, 0x88, 0xB5 },
		[TAGGED_TWICE] = { 0x81, 0x00, 0x00, 5, 0x81, 0x00, 0x00, 7 },
		[SERVICE] = { 0x88, 0xA8, 0x00, 5, 0x81, 0x00, 0x00, 7 },
	};

	wire_frame(0, frame, SIZE);
	if (kind != UNTAGGED)
		memcpy(frame + 12, tags[kind], sizeof(tags[kind]));
	frame[SIZE - 1] = (uint8_t)kind;
}

static void send_kinds(struct wire *wire, int fd)
{
	uint8_t frame[SIZE];

	for (uint32_t kind = 0; kind < KINDS; kind++) {
		make(kind, frame);
		net_send(fd, frame, SIZE);
	}
	wire_received(wire->instance, KINDS);
}

/* Bit per kind that is there; each must be as it was sent. */
static uint32_t read_kinds(struct wire *wire)
{
	struct records records = wire_read(wire, wire->instance);
	uint8_t frame[SIZE];
	uint32_t found = 0;

	while (records_next(&records)) {
		uint32_t kind = records.data[SIZE - 1];

		assert_int_equal(records.hdr.caplen, SIZE);
		assert_int_equal(records.hdr.datalen, SIZE);
		assert_in_range(kind, 0, KINDS - 1);
		make(kind, frame);
		assert_memory_equal(records.data, frame, SIZE);
		found |= 1u << kind;
	}
	return found;
}

static const struct npf_insn wire_vlan_5[] = {
	INSN_LD_H(12),     INSN_JEQ(0x8100, 0, 4),
	INSN_LD_H(14),     { .code = 0x54, .k = 0x0FFF }, /* and */
	INSN_JEQ(5, 0, 1), INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_insn wire_inner_7[] = {
	INSN_LD_H(16),     INSN_JEQ(0x8100, 0, 3), INSN_LD_H(18),
	INSN_JEQ(7, 0, 1), INSN_RET(0xFFFFFFFF),   INSN_RET(0),
};
static const struct npf_insn wire_last_byte[] = {
	INSN_LD_B(SIZE - 1),
	INSN_JEQ(PRIORITY, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_insn wire_length[] = {
	{ .code = 0x80 }, /* ld len */
	INSN_JEQ(SIZE, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_insn linux_vlan_5[] = {
	INSN_LD_B(NPF_AD_VLAN_PRESENT),
	INSN_JEQ(1, 0, 4),
	INSN_LD_H(NPF_AD_VLAN_TAG),
	{ .code = 0x54, .k = 0x0FFF }, /* and */
	INSN_JEQ(5, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_insn linux_service[] = {
	INSN_LD_H(NPF_AD_VLAN_TPID),
	INSN_JEQ(0x88A8, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
/* Beside the frame means: not in it. */
static const struct npf_insn linux_untagged_bytes[] = {
	INSN_LD_H(12),
	INSN_JEQ(NET_ETHERTYPE, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};

#define WIRE_DIALECT(array)                                                                        \
	{                                                                                          \
		N_OF(array), NPF_DIALECT_WIRE, array                                               \
	}
#define LINUX_DIALECT(array)                                                                       \
	{                                                                                          \
		N_OF(array), NPF_DIALECT_LINUX, array                                              \
	}
#define KIND(kind) (1u << (kind))
#define EVERY_KIND (KIND(KINDS) - 1)

static const struct {
	const char *name;
	struct npf_program program;
	uint32_t received; /* kinds it accepts when their tag was stripped, */
	uint32_t sent;     /* and when it is in the frame */
} cases[] = {
	{ "vlan 5 on the wire", WIRE_DIALECT(wire_vlan_5), KIND(TAGGED_5) | KIND(TAGGED_TWICE),
	  KIND(TAGGED_5) | KIND(TAGGED_TWICE) },
	{ "the inner tag", WIRE_DIALECT(wire_inner_7), KIND(TAGGED_TWICE) | KIND(SERVICE),
	  KIND(TAGGED_TWICE) | KIND(SERVICE) },
	{ "the last byte", WIRE_DIALECT(wire_last_byte), KIND(PRIORITY), KIND(PRIORITY) },
	{ "the length", WIRE_DIALECT(wire_length), EVERY_KIND, EVERY_KIND },
	{ "vlan 5 beside the frame", LINUX_DIALECT(linux_vlan_5),
	  KIND(TAGGED_5) | KIND(TAGGED_TWICE) | KIND(SERVICE), 0 },
	{ "a service tag", LINUX_DIALECT(linux_service), KIND(SERVICE), 0 },
	{ "the frame without its tag", LINUX_DIALECT(linux_untagged_bytes),
	  KIND(UNTAGGED) | KIND(TAGGED_5) | KIND(TAGGED_6) | KIND(PRIORITY), KIND(UNTAGGED) },
};

static void try_filters(struct wire *wire, int fd, bool sent)
{
	for (size_t i = 0; i < N_OF(cases); i++) {
		uint32_t expected = sent ? cases[i].sent : cases[i].received;
		uint32_t found;

		assert_int_equal(npf_set_filter(wire->instance, &cases[i].program), 0);
		send_kinds(wire, fd);
		found = read_kinds(wire);
		if (found != expected)
			fail_msg("%s: kinds %x, not %x", cases[i].name, found, expected);
	}
}

static void stored(void **state)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	send_kinds(wire, wire->far);
	assert_int_equal(read_kinds(wire), EVERY_KIND);
	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	send_kinds(wire, wire->near);
	assert_int_equal(read_kinds(wire), EVERY_KIND);
}

static void filtered_received(void **state)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	try_filters(wire, wire->far, false);
}

static void filtered_sent(void **state)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	try_filters(wire, wire->near, true);
}

/* A packet that is cut inside the tag, or right behind it. */
static void cut(void **state)
{
	struct wire *wire = wire_of(state);
	uint8_t frame[SIZE];

	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	make(TAGGED_5, frame);
	for (uint32_t snaplen = 11; snaplen < 22; snaplen++) {
		const struct npf_insn beginning[] = { INSN_RET(snaplen) };
		const struct npf_program program = PROGRAM(beginning);
		struct records records;

		assert_int_equal(npf_set_filter(wire->instance, &program), 0);
		net_send(wire->far, frame, SIZE);
		wire_received(wire->instance, 1);
		records = wire_read(wire, wire->instance);
		assert_true(records_next(&records));
		assert_int_equal(records.hdr.caplen, snaplen);
		assert_int_equal(records.hdr.datalen, SIZE);
		assert_memory_equal(records.data, frame, snaplen);
	}
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "stored as on the wire", stored },
		{ "filters on what is received", filtered_received },
		{ "filters on what is sent", filtered_sent },
		{ "cut", cut },
	};

	return wire_run("VLAN tags", tests, N_OF(tests), N_OF(wire_hooks));
}
