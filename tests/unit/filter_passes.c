/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The passes can be switched off one by one: every subset leaves a form that keeps its rules and
 * gives the interpreter's answers. (filter_engines takes another subset for each of many programs.)
 */
#include "lib/check.h"

#include "filter/filter.h"
#include "filter/ir.h"
#include "filter/opcodes.h"
#include "lib/filter_random_long.h"

#define SUBSETS  (1u << NPF_N_PASSES)
#define PROGRAMS 150
#define LONG     2
#define PACKETS  8

static uint8_t data[PACKETS][FILTER_RANDOM_BYTES];
static struct npf_frame frames[PACKETS];

static void check_answers(const struct npf_program *program, const struct npf_ir *ir, void *work)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct npf_frame frame = frames[i], again = frames[i];

		assert_int_equal(npf_ir_run(ir, &frame, data[i], work),
				 npf_filter_run(program, &again, data[i]));
	}
}

static void check_subset(const struct npf_program *program, uint32_t passes, void *space,
			 size_t size)
{
	struct npf_ir ir;
	const char *fault;
	uint32_t where;
	void *work;

	assert_int_equal(npf_ir_build(&ir, program, space, size), 0);
	npf_ir_optimise(&ir, passes, NULL);
	work = malloc(npf_ir_run_space(&ir));
	assert_non_null(work);
	fault = npf_ir_verify(&ir, &where, work);
	if (fault)
		fail_msg("passes 0x%x: block %u: %s", passes, where, fault);
	check_answers(program, &ir, work);
	free(work);
}

static void check_subsets(const struct npf_program *program)
{
	size_t size = npf_ir_space(program->length);
	void *space = malloc(size);

	assert_non_null(space);
	assert_int_equal(npf_filter_validate(program, NULL, 0), 0);
	for (uint32_t passes = 0; passes < SUBSETS; passes++)
		check_subset(program, passes, space, size);
	free(space);
}

static void keep_rules_and_answers(void **state)
{
	struct filter_random random = { .state = 20270301 };
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	struct npf_program program;

	(void)state;
	for (uint32_t i = 0; i < PROGRAMS; i++) {
		filter_random_program(&random, insns, &program);
		for (uint32_t k = 0; k < PACKETS; k++)
			filter_random_packet(&random, data[k], &frames[k]);
		check_subsets(&program);
	}
}

static void keep_them_in_long_programs(void **state)
{
	static struct npf_insn insns[NPF_MAX_INSNS];
	struct filter_random random = { .state = 20270302 };
	struct filter_random_long l;
	struct npf_program program;

	(void)state;
	for (uint32_t i = 0; i < LONG; i++) {
		do
			filter_random_long_program(&random, &l, insns, &program);
		while (program.length < 200 || program.length > 1000);
		for (uint32_t k = 0; k < PACKETS; k++)
			filter_random_long_packet(&l, data[k], &frames[k]);
		check_subsets(&program);
	}
}

/* A length that HEADER made 20, in a sum that is shown as a constant, and nobody who folds. */
static void keep_a_guard_for_each_base(void **state)
{
	static const struct npf_insn insns[] = {
		{ NPF_LDX | NPF_MSH | NPF_B, 0, 0, 5 },
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 60 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, 2048 },
		{ NPF_RET | NPF_K, 0, 0, 1 },
		{ NPF_JMP | NPF_JGT | NPF_K, 2, 0, 58 },
		{ NPF_LD | NPF_IND | NPF_H, 0, 0, 36 },
		{ NPF_JMP | NPF_JA, 0, 0, 2 },
		{ NPF_LD | NPF_ABS | NPF_B, 0, 0, 32 },
		{ NPF_RET | NPF_A, 0, 0, 0 },
		{ NPF_LD | NPF_IND | NPF_H, 0, 0, 17 },
		{ NPF_RET | NPF_A, 0, 0, 0 },
	};
	const struct npf_program program = PROGRAM(insns);
	struct filter_random random = { .state = 5 };

	(void)state;
	for (uint32_t i = 0; i < PACKETS; i++) {
		filter_random_packet(&random, data[i], &frames[i]);
		data[i][5] = i % 4 ? 0x45 : 0x4F;
		memset(data[i] + 60, 0, 4);
	}
	check_subsets(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keep_rules_and_answers),
		cmocka_unit_test(keep_them_in_long_programs),
		cmocka_unit_test(keep_a_guard_for_each_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
