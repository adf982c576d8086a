/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf_bpf_optimise(): its programs are valid and no longer, mean the same, and Linux takes them for
 * sockets, where they give the interpreter's answers: a local socket keeps as many bytes of a datagram
 * as its filter says.
 */
#include "lib/check.h"

#include <linux/filter.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/filter.h"
#include "filter/opcodes.h"
#include "lib/filter_random_long.h"
#include "lib/linux_check.h"
#include "npf/npf.h"

#define PROGRAMS      3000
#define LONG_PROGRAMS 300
#define MANY_PROGRAMS 200000
#define PACKETS       8

static struct npf_host *host;
static int ends[2]; /* sends, receives with the filter */

static int setup(void **state)
{
	(void)state;
	host = npf_host_linux();
	return host ? socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) : -1;
}

static int teardown(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	npf_host_linux_free(host);
	return 0;
}

static struct npf_program optimise(const struct npf_program *program, struct npf_insn *insns)
{
	struct npf_program better = { .dialect = program->dialect, .insns = insns };
	char error[NPF_ERROR_SIZE] = "";

	assert_int_equal(npf_bpf_optimise(host, program, insns, &better.length, error), 0);
	assert_string_equal(error, "");
	assert_in_range(better.length, 1, program->length);
	assert_int_equal(npf_filter_validate(&better, NULL, 0), 0);
	return better;
}

static bool is_same(const struct npf_program *a, const struct npf_program *b)
{
	return a->length == b->length &&
	       !memcmp(a->insns, b->insns, a->length * sizeof(a->insns[0]));
}

/* ---- on a socket ----------------------------------------------------------------------------- */

static bool attach(const struct npf_program *program)
{
	struct sock_fprog filter = { .len = (unsigned short)program->length,
				     .filter = (struct sock_filter *)(uintptr_t)program->insns };

	return !setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

/* Bytes that arrive of the packet; 0: it does not. */
static uint32_t pass(const uint8_t *data, uint32_t length)
{
	uint8_t buffer[FILTER_RANDOM_BYTES];
	ssize_t n;

	assert_int_equal(send(ends[0], data, length, 0), length);
	n = recv(ends[1], buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	else
		assert_memory_equal(buffer, data, n);
	return n < 0 ? 0 : (uint32_t)n;
}

static void equal_on_the_socket(const struct npf_program *program, const uint8_t *data,
				uint32_t length)
{
	struct npf_frame frame = { .length = length, .wire_length = length };
	uint32_t answer = npf_filter_run(program, &frame, data);

	assert_int_equal(pass(data, length), answer < length ? answer : length);
}

/* Where Linux goes by rules of its own (docs/filter-semantics.md), or asks what a local datagram has
 * not: where it comes from. */
static bool means_the_same_to_linux(const struct npf_program *program)
{
	for (uint32_t i = 0; i < program->length; i++) {
		const struct npf_insn *insn = &program->insns[i];
		uint16_t op = insn->code & 0xF0;

		if (NPF_CLASS(insn->code) == NPF_ALU && (op == NPF_LSH || op == NPF_RSH) &&
		    insn->code & NPF_X)
			return false;
		if (NPF_CLASS(insn->code) == NPF_LD && NPF_MODE(insn->code) == NPF_IND)
			return false;
		if (insn->k == NPF_AD_IFINDEX || insn->k == NPF_AD_HATYPE)
			return false;
	}
	return true;
}

static void answers_on_sockets(void **state)
{
	struct filter_random random = { .state = 1993 };
	struct npf_insn insns[FILTER_RANDOM_INSNS], room[FILTER_RANDOM_INSNS];
	uint8_t data[FILTER_RANDOM_BYTES];
	uint32_t attached = 0, shorter = 0, passed = 0;

	(void)state;
	for (int i = 0; i < PROGRAMS; i++) {
		struct npf_program program, better;
		struct npf_frame frame;

		filter_random_program(&random, insns, &program);
		program.dialect = NPF_DIALECT_LINUX;
		if (npf_filter_validate(&program, NULL, 0) || !means_the_same_to_linux(&program))
			continue;
		better = optimise(&program, room);
		assert_int_equal(attach(&program), linux_takes(&program));
		assert_int_equal(attach(&better), linux_takes(&better));
		if (!linux_takes(&better)) {
			/* Such as scratch words that are read and were never written. */
			assert_true(is_same(&program, &better));
			continue;
		}
		attached++;
		shorter += better.length < program.length;
		for (int k = 0; k < PACKETS; k++) {
			filter_random_packet(&random, data, &frame);
			equal_on_the_socket(&program, data, frame.length);
			frame.tagged = 0;
			passed += npf_filter_run(&program, &frame, data) > 0;
		}
	}
	print_message("%u attached, %u shorter, %u packets passed\n", attached, shorter, passed);
	assert_true(attached > PROGRAMS / 10 && shorter > attached / 2 && passed > attached);
}

/* What Linux takes it still takes when it has been made better. */
static void linux_takes_what_it_took(void **state)
{
	struct filter_random random = { .state = 7 * UINT64_C(0x9E3779B97F4A7C15) };
	struct npf_insn insns[FILTER_RANDOM_INSNS], room[FILTER_RANDOM_INSNS];
	uint32_t taken = 0;

	(void)state;
	for (int i = 0; i < MANY_PROGRAMS; i++) {
		struct npf_program program, better;

		filter_random_program(&random, insns, &program);
		if (!linux_takes(&program))
			continue;
		taken++;
		better = optimise(&program, room);
		if (!linux_takes(&better))
			fail_msg("program %d is refused", i);
	}
	assert_true(taken > MANY_PROGRAMS / 10);
}

/* Word 1 is always written before it is read, but not where the return stands before that. */
static void looks_as_linux_does(void **state)
{
	static const struct npf_insn insns[] = {
		INSN_LD_B(0),
		INSN_JEQ(1, 0, 2),
		{ .code = NPF_ST, .k = 1 },
		{ .code = NPF_JMP | NPF_JA, .k = 1 },
		INSN_RET(1),
		{ .code = NPF_LD | NPF_MEM, .k = 1 },
		{ .code = NPF_RET | NPF_A },
	};
	const struct npf_program program = PROGRAM(insns);

	(void)state;
	assert_int_equal(npf_filter_validate(&program, NULL, 0), 0);
	assert_false(linux_takes(&program));
	assert_false(attach(&program));
}

/* Linux takes some offsets beyond all packets for something else, and refuses others. */
static void far_offsets_reject(void **state)
{
	static const uint32_t offsets[] = { 0xFFE00000, 0xFFEFFFFF, 0xFFF00000, 0xFFFFF000,
					    0xFFFFF014, 0xFFFFF041, 0xFFFFFFFF };

	(void)state;
	for (size_t i = 0; i < N_OF(offsets); i++) {
		const struct npf_insn insns[] = { INSN_LD_B(0), INSN_JEQ(1, 0, 2),
						  INSN_LD_B(offsets[i]), INSN_RET(60),
						  INSN_RET(30) };
		const struct npf_program program = PROGRAM(insns);
		struct npf_insn room[N_OF(insns)];
		struct npf_program better = optimise(&program, room);

		assert_true(attach(&better));
		for (uint8_t first = 0; first < 2; first++) {
			uint8_t packet[60] = { first };

			equal_on_the_socket(&program, packet, sizeof(packet));
			assert_int_equal(pass(packet, sizeof(packet)), first ? 0 : 30);
		}
	}
}

/* ---- alone ----------------------------------------------------------------------------------- */

static void means_the_same(void **state)
{
	struct filter_random random = { .state = 4 };
	struct npf_insn insns[FILTER_RANDOM_INSNS], room[FILTER_RANDOM_INSNS];
	uint8_t data[FILTER_RANDOM_BYTES];

	(void)state;
	for (int i = 0; i < PROGRAMS; i++) {
		struct npf_program program, better;
		struct npf_frame frame, again;

		filter_random_program(&random, insns, &program);
		better = optimise(&program, room);
		for (int k = 0; k < PACKETS; k++) {
			filter_random_packet(&random, data, &frame);
			again = frame;
			assert_int_equal(npf_filter_run(&program, &frame, data),
					 npf_filter_run(&better, &again, data));
		}
	}
}

/* Scratch words are used again and again, and what there are too few of is computed again. */
static void hardly_any_long_one_stays(void **state)
{
	static struct npf_insn insns[NPF_MAX_INSNS], room[NPF_MAX_INSNS];
	struct filter_random random = { .state = 44 };
	uint8_t data[FILTER_RANDOM_BYTES];
	struct filter_random_long l;
	uint32_t stay = 0;

	(void)state;
	for (int i = 0; i < LONG_PROGRAMS; i++) {
		struct npf_program program, better;
		struct npf_frame frame, again;

		filter_random_long_program(&random, &l, insns, &program);
		better = optimise(&program, room);
		stay += is_same(&program, &better);
		for (int k = 0; k < PACKETS; k++) {
			filter_random_long_packet(&l, data, &frame);
			again = frame;
			assert_int_equal(npf_filter_run(&program, &frame, data),
					 npf_filter_run(&better, &again, data));
		}
	}
	print_message("%u of %d stay as they are\n", stay, LONG_PROGRAMS);
	assert_true(stay < LONG_PROGRAMS / 50);
}

/* A, X and 16 scratch words arrive by two ways: 18 words would be wanted. */
static void what_there_is_no_room_for_stays(void **state)
{
	struct npf_insn insns[128], room[N_OF(insns)];
	struct npf_program program = { .insns = insns };
	uint8_t data[FILTER_RANDOM_BYTES];
	struct filter_random random = { .state = 18 };
	struct npf_frame frame, again;
	uint32_t n = 0;

	(void)state;
	insns[n++] = (struct npf_insn)INSN_LD_B(0);
	insns[n++] = (struct npf_insn)INSN_JEQ(0, 0, 2 * NPF_MEM_WORDS + 4);
	for (uint32_t way = 0; way < 2; way++) {
		for (uint32_t i = 0; i < NPF_MEM_WORDS; i++) {
			insns[n++] = (struct npf_insn)INSN_LD_B(2 * i + way);
			insns[n++] = (struct npf_insn){ .code = NPF_ST, .k = i };
		}
		insns[n++] = (struct npf_insn)INSN_LD_B(40 + way);
		insns[n++] = (struct npf_insn){ .code = NPF_MISC | NPF_TAX };
		insns[n++] = (struct npf_insn)INSN_LD_B(50 + way);
		if (!way)
			insns[n++] = (struct npf_insn){ .code = NPF_JMP | NPF_JA,
							.k = 2 * NPF_MEM_WORDS + 3 };
	}
	for (uint32_t i = 0; i <= NPF_MEM_WORDS; i++) {
		insns[n++] = (struct npf_insn){ .code = NPF_ALU | NPF_XOR | NPF_X };
		if (i < NPF_MEM_WORDS)
			insns[n++] = (struct npf_insn){ .code = NPF_LDX | NPF_MEM, .k = i };
	}
	insns[n++] = (struct npf_insn){ .code = NPF_RET | NPF_A };
	program.length = n;
	assert_in_range(n, 1, N_OF(insns));

	struct npf_program better = optimise(&program, room);

	assert_true(is_same(&program, &better));
	for (int k = 0; k < PACKETS; k++) {
		filter_random_packet(&random, data, &frame);
		data[0] = k & 1;
		again = frame;
		assert_int_equal(npf_filter_run(&program, &frame, data),
				 npf_filter_run(&better, &again, data));
	}
}

/* Asked twice, and stored for nothing; in its own place. */
static void asks_less(void **state)
{
	struct npf_insn insns[] = {
		INSN_LD_H(12),         { .code = NPF_ST, .k = 3 },
		INSN_JEQ(0x800, 0, 5), INSN_LD_H(12),
		INSN_JEQ(0x800, 0, 3), INSN_LD_B(23),
		INSN_JEQ(6, 0, 1),     INSN_RET(100),
		INSN_RET(0),
	};
	const struct npf_program program = { .length = N_OF(insns),
					     .dialect = NPF_DIALECT_LINUX,
					     .insns = insns };
	struct npf_program better = optimise(&program, insns);

	(void)state;
	assert_int_equal(better.length, 6);
	assert_true(attach(&better));
	for (uint32_t i = 0; i < 8; i++) {
		uint8_t packet[60] = { [12] = i & 1 ? 8 : 9, [23] = i & 2 ? 6 : 17 };

		equal_on_the_socket(&better, packet, 60);
		assert_int_equal(pass(packet, 60), (i & 3) == 3 ? 60 : 0);
	}
}

static void what_is_best_stays(void **state)
{
	static const struct npf_insn insns[] = { INSN_LD_B(9), INSN_JEQ(6, 0, 1), INSN_RET(1),
						 INSN_RET(0) };
	const struct npf_program program = PROGRAM(insns);
	struct npf_insn room[N_OF(insns)];
	struct npf_program better = optimise(&program, room);

	(void)state;
	assert_true(is_same(&program, &better));
}

static void the_longest_comes_back(void **state)
{
	struct npf_insn *insns = calloc(NPF_MAX_INSNS, sizeof(*insns));
	struct npf_program program = { .length = NPF_MAX_INSNS,
				       .dialect = NPF_DIALECT_LINUX,
				       .insns = insns };
	uint8_t packet[60] = { [59] = 1 };

	(void)state;
	assert_non_null(insns);
	for (uint32_t i = 0; i + 1 < NPF_MAX_INSNS; i += 2) {
		insns[i] = (struct npf_insn)INSN_LD_B(i % 60);
		insns[i + 1] = (struct npf_insn){ .code = NPF_MISC | NPF_TAX };
	}
	insns[NPF_MAX_INSNS - 1] = (struct npf_insn){ .code = NPF_RET | NPF_A };

	struct npf_program better = optimise(&program, insns);

	assert_true(attach(&better));
	equal_on_the_socket(&better, packet, sizeof(packet));
	free(insns);
}

static void refuses_what_is_no_program(void **state)
{
	static const struct npf_insn endless[] = { INSN_LD_B(0) };
	const struct npf_program bad = PROGRAM(endless);
	struct npf_insn room[1] = { { .k = 77 } };
	char error[NPF_ERROR_SIZE] = "";
	uint32_t length = 99;

	(void)state;
	assert_int_equal(npf_bpf_optimise(host, &bad, room, &length, error), -EINVAL);
	assert_non_null(strstr(error, "instruction 0"));
	assert_int_equal(npf_bpf_optimise(host, &bad, room, &length, NULL), -EINVAL);
	assert_int_equal(room[0].k, 77);
	assert_int_equal(length, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_on_sockets),
		cmocka_unit_test(linux_takes_what_it_took),
		cmocka_unit_test(looks_as_linux_does),
		cmocka_unit_test(far_offsets_reject),
		cmocka_unit_test(means_the_same),
		cmocka_unit_test(hardly_any_long_one_stays),
		cmocka_unit_test(what_there_is_no_room_for_stays),
		cmocka_unit_test(asks_less),
		cmocka_unit_test(what_is_best_stays),
		cmocka_unit_test(the_longest_comes_back),
		cmocka_unit_test(refuses_what_is_no_program),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
