/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters on the socket hook that read packets where they lie: that they do, and what happens where
 * the socket has no memory for the longer code.
 */
#include "netns/wire.h"

#include <inttypes.h>

#include "driver/core.h"
#include "host/linux/ebpf.h"

#define BUFFER   (1u << 20)
#define N_FRAMES 8u
#define SIZE     100u
#define WANTED   5u

#define PLENTY 1048576u /* bytes of net.core.optmem_max */

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

	return ebpf->access;
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
	struct wire *wire = wire_of(state);
	uint32_t little = 0, enough = PLENTY;

	if (!may_hold(wire, PLENTY)) {
		print_message("net.core.optmem_max is no setting of a namespace here (Linux 6.8)\n");
		skip();
	}
	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	if (!peeks_with(wire, enough)) {
		print_message("packets cannot be read where they lie here\n");
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
	static const struct wire_test tests[] = {
		{ "little memory for sockets", little_memory },
	};

	return wire_run_on("reading packets where they lie", tests, N_OF(tests), &socket_hook, 1);
}
