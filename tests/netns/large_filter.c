/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs of many packet loads on every hook: those that must be taken are, and filter. What the
 * kernel cannot take is refused with a sentence that says so, and the old filter goes on.
 *
 * $NPF_TEST_INSNS is the longest program to try, for machines whose verifier is very slow.
 */
#include "netns/wire.h"

#include <inttypes.h>

#define BUFFER      (1u << 20)
#define LOADS_BELOW 60u /* offsets that the loads read */
#define FRAME_SIZE  100u
#define N_FRAMES    10u
#define WANTED      4u /* the number of the frame that the large programs accept */

static const uint32_t lengths[] = { 64, 512, 2048, NPF_MAX_INSNS };

/* Loads, and in the end the one that decides. */
static void make_large(struct npf_insn *insns, uint32_t length)
{
	const struct npf_insn decision[] = {
		INSN_LD_B(FRAME_NUMBER_AT + 3),
		INSN_JEQ(WANTED, 0, 1),
		INSN_RET(0xFFFFFFFF),
		INSN_RET(0),
	};
	uint32_t n_loads = length - N_OF(decision);

	for (uint32_t i = 0; i < n_loads; i++)
		insns[i] = (struct npf_insn)INSN_LD_B(i % LOADS_BELOW);
	memcpy(insns + n_loads, decision, sizeof(decision));
}

/* Send frames 0, 1, ... of a size; which of them are captured: bit i for number i. */
static uint32_t captured(struct wire *wire, uint32_t size)
{
	uint64_t before = wire_stats(wire->instance).received;
	struct records records;
	uint32_t found = 0;

	wire_send_plain(wire, 0, N_FRAMES, size);
	wire_received(wire->instance, before + N_FRAMES);
	records = wire_read(wire, wire->instance);
	while (records_next(&records)) {
		uint32_t number = records.data[FRAME_NUMBER_AT + 3];

		assert_in_range(number, 0, N_FRAMES - 1);
		wire_assert_plain(records.data, records.hdr.caplen, number, size);
		found |= 1u << number;
	}
	return found;
}

static bool says_why(const char *error)
{
	return strstr(error, "too long") || strstr(error, "too complex") ||
	       strstr(error, "net.core.optmem_max");
}

/* The memory that a socket's filter may take: 20 KiB before Linux 6.8, and there it cannot always
 * be read inside a namespace. */
static uint32_t socket_memory(void)
{
	FILE *file = fopen("/proc/sys/net/core/optmem_max", "re");
	uint32_t bytes = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu32, &bytes) != 1)
		bytes = 0;
	fclose(file);
	return bytes;
}

/* Programs up to this length must be taken. */
static uint32_t must_take(enum npf_hook hook)
{
	if (hook == NPF_HOOK_TPACKET)
		return NPF_MAX_INSNS;
	if (hook == NPF_HOOK_TCX)
		return 2048;
	return socket_memory() < 128u << 10 ? 64 : 512;
}

static bool too_slow(uint32_t length)
{
	const char *longest = getenv("NPF_TEST_INSNS");

	return longest && length > (uint32_t)atoi(longest);
}

static void large(void **state)
{
	static struct npf_insn insns[NPF_MAX_INSNS];
	struct wire *wire = wire_of(state);
	const uint32_t length = lengths[wire->place];
	const struct npf_program program = { .length = length, .insns = insns };

	if (too_slow(length)) {
		print_message("NPF_TEST_INSNS forbids more than %s instructions\n",
			      getenv("NPF_TEST_INSNS"));
		skip();
	}
	make_large(insns, length);
	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	assert_int_equal(captured(wire, FRAME_SIZE), 0x2AA);
	if (!npf_set_filter(wire->instance, &program)) {
		assert_int_equal(captured(wire, FRAME_SIZE), 1u << WANTED);
		/* The loads are not left out: one is outside. */
		assert_int_equal(captured(wire, LOADS_BELOW - 1), 0);
		return;
	}
	print_message("    %s\n", npf_error(wire->instance));
	assert_true(length > must_take(wire->hook));
	assert_true(says_why(npf_error(wire->instance)));
	assert_int_equal(captured(wire, FRAME_SIZE), 0x2AA);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "64 instructions", large },
		{ "512 instructions", large },
		{ "2048 instructions", large },
		{ "4096 instructions", large },
	};

	return wire_run("large filters", tests, N_OF(tests), N_OF(wire_hooks));
}
