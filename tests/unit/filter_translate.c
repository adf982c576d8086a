/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The translator without a kernel: the promised space suffices for every program, a shorter one is
 * never exceeded and leaves nothing behind, jumps stay inside, the unreachable is left out.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/filter_cases.h"
#include "../lib/filter_random.h"

static struct npf_ebpf_code allocate(uint32_t capacity)
{
	struct npf_ebpf_code code = {
		.insns = malloc((capacity ? capacity : 1) * sizeof(*code.insns)),
		.capacity = capacity,
	};

	assert_non_null(code.insns);
	return code;
}

static bool is_jump(const struct npf_ebpf_insn *insn)
{
	uint8_t class = insn->code & 0x07, op = insn->code & 0xf0;

	return class == 0x06 || (class == 0x05 && op != 0x80 && op != 0x90);
}

static void check_jumps(const struct npf_ebpf_code *code)
{
	assert_int_equal(code->insns[code->length - 1].code, 0x95); /* exit */
	for (uint32_t i = 0; i < code->length; i++) {
		if (!is_jump(&code->insns[i]))
			continue;
		assert_true(code->insns[i].off >= 0);
		assert_true(i + 1 + (uint32_t)code->insns[i].off < code->length);
	}
}

/* n instructions of one kind, then a return. */
static void check_uniform(struct npf_insn insn, uint32_t n)
{
	struct npf_insn *insns = calloc(n + 1, sizeof(*insns));
	const struct npf_program program = { .length = n + 1, .insns = insns };
	struct npf_ebpf_code code = allocate(NPF_EBPF_CAPACITY(program.length));

	assert_non_null(insns);
	for (uint32_t i = 0; i < n; i++)
		insns[i] = insn;
	insns[n].code = NPF_RET;
	assert_int_equal(npf_filter_validate(&program, NULL, 0), 0);
	assert_int_equal(npf_filter_to_ebpf(&program, &code), 0);
	check_jumps(&code);
	free(code.insns);
	free(insns);
}

static void longest_programs_fit(void **state)
{
	static const struct npf_insn kinds[] = {
		{ NPF_LDX | NPF_MSH | NPF_B, 0, 0, 14 }, { NPF_LD | NPF_IND | NPF_W, 0, 0, 14 },
		{ NPF_LD | NPF_MEM, 0, 0, 15 },          { NPF_ALU | NPF_LSH | NPF_X, 0, 0, 0 },
		{ NPF_ALU | NPF_DIV | NPF_X, 0, 0, 0 },  { NPF_JMP | NPF_JSET | NPF_X, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(kinds); i++)
		check_uniform(kinds[i], NPF_MAX_INSNS - 1);
}

static void short_space_is_not_exceeded(void **state)
{
	struct filter_random random = { .state = 0x5ACE };
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	struct npf_program program;

	(void)state;
	for (int i = 0; i < 500; i++) {
		struct npf_ebpf_code code, small;

		filter_random_program(&random, insns, &program);
		code = allocate(NPF_EBPF_CAPACITY(program.length));
		assert_int_equal(npf_filter_to_ebpf(&program, &code), 0);
		check_jumps(&code);

		small = allocate(code.length - 1);
		assert_int_equal(npf_filter_to_ebpf(&program, &small), -ENOSPC);
		assert_int_equal(small.length, 0);
		free(small.insns);
		free(code.insns);
	}
}

static void appends_behind_what_is_there(void **state)
{
	struct npf_ebpf_code code = allocate(2 * NPF_EBPF_CAPACITY(0));
	uint32_t once;

	(void)state;
	assert_int_equal(npf_filter_to_ebpf(NULL, &code), 0);
	once = code.length;
	assert_int_equal(npf_filter_to_ebpf(NULL, &code), 0);
	assert_int_equal(code.length, 2 * once);
	assert_memory_equal(code.insns, code.insns + once, once * sizeof(*code.insns));
	free(code.insns);
}

static void leaves_out_the_unreachable(void **state)
{
	static const struct npf_insn plain[] = {
		{ NPF_LD | NPF_IMM, 0, 0, 5 },
		{ NPF_RET, 0, 0, 7 },
	};
	static const struct npf_insn padded[] = {
		{ NPF_LD | NPF_IMM, 0, 0, 5 },
		{ NPF_JMP | NPF_JA, 0, 0, 3 },
		{ NPF_LD | NPF_ABS | NPF_W, 0, 0, 0 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, 1 },
		{ NPF_LD | NPF_MEM, 0, 0, 3 },
		{ NPF_RET, 0, 0, 7 },
		{ NPF_RET, 0, 0, 8 },
	};
	const struct npf_program first = { .length = N_OF(plain), .insns = plain };
	const struct npf_program second = { .length = N_OF(padded), .insns = padded };
	struct npf_ebpf_code a = allocate(NPF_EBPF_CAPACITY(N_OF(plain)));
	struct npf_ebpf_code b = allocate(NPF_EBPF_CAPACITY(N_OF(padded)));

	(void)state;
	assert_int_equal(npf_filter_to_ebpf(&first, &a), 0);
	assert_int_equal(npf_filter_to_ebpf(&second, &b), 0);
	assert_int_equal(a.length, b.length);
	assert_memory_equal(a.insns, b.insns, a.length * sizeof(*a.insns));
	free(a.insns);
	free(b.insns);
}

/* A real call has off 0 and leads to a function; a call of the tap carries the mark. */
static void tells_its_calls_from_the_tap_s(void **state)
{
	static const struct npf_insn insns[] = {
		{ NPF_LD | NPF_ABS | NPF_B, 0, 0, 0 },
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 0 },
		{ NPF_LD | NPF_ABS | NPF_W, 0, 0, 0 },
		{ NPF_RET | NPF_A, 0, 0, 0 },
	};
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	const struct npf_program *programs[] = { &program, &program };
	struct npf_ebpf_code code = allocate(2 * NPF_EBPF_CAPACITY(N_OF(insns)));
	int expected = NPF_EBPF_LOAD_B, own = 0, of_tap = 0;

	(void)state;
	assert_int_equal(npf_classes_to_ebpf(programs, 2, &code), 0);
	for (uint32_t i = 0; i < code.length; i++) {
		const struct npf_ebpf_insn *insn = &code.insns[i];

		if (insn->code != 0x85)
			continue;
		assert_int_equal(insn->src, NPF_EBPF_TAP_CALL);
		if (insn->off == NPF_EBPF_TAP_MARK) {
			assert_int_equal(insn->imm, expected);
			expected = expected == NPF_EBPF_LOAD_W ? NPF_EBPF_LOAD_B : expected + 1;
			of_tap++;
			continue;
		}
		assert_int_equal(insn->off, 0);
		assert_true(insn->imm > 0 && i + 1 + (uint32_t)insn->imm < code.length);
		own++;
	}
	assert_int_equal(own, 2);
	assert_int_equal(of_tap, 6);
	free(code.insns);
}

static void limits_the_classes(void **state)
{
	const struct npf_program empty = { 0 };
	const struct npf_program *programs[NPF_EBPF_MAX_CLASSES + 1];
	struct npf_ebpf_code code = allocate(NPF_EBPF_MAX_CLASSES * NPF_EBPF_CAPACITY(0));

	(void)state;
	for (size_t i = 0; i < N_OF(programs); i++)
		programs[i] = &empty;
	assert_int_equal(npf_classes_to_ebpf(programs, 0, &code), -EINVAL);
	assert_int_equal(npf_classes_to_ebpf(programs, N_OF(programs), &code), -EINVAL);
	assert_int_equal(code.length, 0);
	for (uint32_t n = 1; n <= NPF_EBPF_MAX_CLASSES; n++) {
		code.length = 0;
		code.capacity = n * NPF_EBPF_CAPACITY(0);
		assert_int_equal(npf_classes_to_ebpf(programs, n, &code), 0);
		code.capacity = code.length - 1;
		code.length = 0;
		assert_int_equal(npf_classes_to_ebpf(programs, n, &code), -ENOSPC);
		assert_int_equal(code.length, 0);
	}
	free(code.insns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_programs_fit),
		cmocka_unit_test(short_space_is_not_exceeded),
		cmocka_unit_test(appends_behind_what_is_there),
		cmocka_unit_test(leaves_out_the_unreachable),
		cmocka_unit_test(tells_its_calls_from_the_tap_s),
		cmocka_unit_test(limits_the_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
