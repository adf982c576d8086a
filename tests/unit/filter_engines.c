/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every back end gives the interpreter's answers: on the table of rules, on test vectors, and on
 * random programs (NPF_RANDOM_PROGRAMS of them; with NPF_RANDOM_SEED others). NPF_ENGINE=name compares
 * only that one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/engines.h"
#include "../lib/filter_cases.h"
#include "../lib/filter_random_long.h"
#include "../lib/vectors.h"
#include "filter/opcodes.h"

#define RANDOM_PROGRAMS 20000
#define RANDOM_PACKETS  12
#define ONE_IS_LONG     50 /* of so many random programs */

/* ---- the table ------------------------------------------------------------------------------ */

#define CASES 4000 /* more than there are */

struct table {
	const struct engine *engine;
	/* Those that the engine takes, in order, if it prepares many. */
	struct npf_program programs[CASES];
	void *prepared[CASES];
	uint32_t n;

	uint32_t at;      /* cases that the engine has answered */
	uint32_t skipped; /* cases that it knows nothing of */
};

static bool takes_case(const struct engine *engine, const struct npf_program *program,
		       const struct npf_frame *frame)
{
	return engine_takes(engine, program) && (!frame->tagged || engine->sees_frames);
}

static uint32_t interpret(const struct npf_program *program, const struct npf_frame *frame,
			  const uint8_t *data)
{
	struct npf_frame copy = *frame;

	return npf_filter_run(program, &copy, data);
}

static uint32_t collect_case(void *arg, const struct npf_program *program,
			     const struct npf_frame *frame, const uint8_t *data)
{
	struct table *table = arg;
	struct npf_program *copy = &table->programs[table->n];
	size_t size = program->length * sizeof(program->insns[0]);
	struct npf_insn *insns;

	if (!takes_case(table->engine, program, frame))
		return interpret(program, frame, data);
	assert_true(table->n < CASES);
	insns = malloc(size);
	assert_non_null(insns);
	memcpy(insns, program->insns, size);
	*copy = *program;
	copy->insns = insns;
	table->n++;
	return interpret(program, frame, data);
}

static uint32_t run_case(void *arg, const struct npf_program *program,
			 const struct npf_frame *frame, const uint8_t *data)
{
	struct table *table = arg;
	const struct engine *engine = table->engine;
	struct engine_run run = { .frame = frame, .data = data };
	void *prepared;

	if (!takes_case(engine, program, frame)) {
		table->skipped++;
		return interpret(program, frame, data);
	}
	prepared = engine->prepare_many ? table->prepared[table->at] : engine->prepare(program);
	assert_non_null(prepared);
	table->at++;
	engine->run(prepared, &run, 1);
	engine->drop(prepared);
	assert_false(run.skipped);
	return run.answer;
}

static void prepare_table(struct table *table)
{
	const struct filter_engine collector = { .run = collect_case, .arg = table };
	const struct engine *engine = table->engine;

	if (!engine->prepare_many)
		return;
	assert_int_equal(filter_cases_run(&collector), 0);
	engine->prepare_many(table->programs, table->n, table->prepared);
	for (uint32_t i = 0; i < table->n; i++)
		free((void *)(uintptr_t)table->programs[i].insns);
}

static void answers_the_table(void **state)
{
	(void)state;
	for (const struct engine *engine = engines; engine->name; engine++) {
		struct table *table;

		if (!engine_is_wanted(engine))
			continue;
		table = calloc(1, sizeof(*table));
		assert_non_null(table);
		table->engine = engine;
		prepare_table(table);
		if (filter_cases_run(&(struct filter_engine){ .run = run_case, .arg = table }))
			fail_msg("%s answers the table wrongly", engine->name);
		assert_true(table->at > 0);
		print_message("%s: %u cases, %u skipped\n", engine->name, table->at, table->skipped);
		free(table);
	}
}

/* ---- random programs ------------------------------------------------------------------------ */

static uint32_t random_programs(void)
{
	const char *wish = getenv("NPF_RANDOM_PROGRAMS");

	return wish ? (uint32_t)strtoul(wish, NULL, 10) : RANDOM_PROGRAMS;
}

/* Far from those of the next seeds; 0 without one. */
static uint64_t random_seed(void)
{
	const char *wish = getenv("NPF_RANDOM_SEED");

	return wish ? strtoull(wish, NULL, 10) * 0x9E3779B97F4A7C15 : 0;
}

struct packets {
	uint8_t data[RANDOM_PACKETS][FILTER_RANDOM_BYTES];
	struct npf_frame frames[RANDOM_PACKETS];
};

/* Packets that the engine can see. */
static uint32_t choose_runs(const struct engine *engine, const struct packets *packets,
			    struct engine_run *runs)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < RANDOM_PACKETS; i++) {
		if (packets->frames[i].tagged && !engine->sees_frames)
			continue;
		runs[n++] = (struct engine_run){
			.frame = &packets->frames[i],
			.data = packets->data[i],
		};
	}
	return n;
}

static void compare_engines(const char *name, const struct npf_program *program,
			    const struct packets *packets, uint32_t number)
{
	struct engine_run runs[RANDOM_PACKETS];

	for (const struct engine *engine = engines; engine->name; engine++) {
		if (!engine_is_wanted(engine) || !engine_takes(engine, program))
			continue;
		if (engine->one_of && number % engine->one_of)
			continue;
		engine_compare(engine, name, program, runs, choose_runs(engine, packets, runs));
	}
}

static void compare_short(struct filter_random *random, uint32_t number)
{
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	struct npf_program program;
	struct packets packets;
	char name[48];

	filter_random_program(random, insns, &program);
	assert_int_equal(npf_filter_validate(&program, NULL, 0), 0);
	for (uint32_t j = 0; j < RANDOM_PACKETS; j++)
		filter_random_packet(random, packets.data[j], &packets.frames[j]);
	snprintf(name, sizeof(name), "random program %u", number);
	compare_engines(name, &program, &packets, number);
}

static void compare_long(struct filter_random *random, uint32_t number)
{
	static struct npf_insn insns[NPF_MAX_INSNS];
	struct filter_random_long l;
	struct npf_program program;
	struct packets packets;
	char name[48];

	filter_random_long_program(random, &l, insns, &program);
	assert_int_equal(npf_filter_validate(&program, NULL, 0), 0);
	for (uint32_t j = 0; j < RANDOM_PACKETS; j++)
		filter_random_long_packet(&l, packets.data[j], &packets.frames[j]);
	snprintf(name, sizeof(name), "long random program %u", number);
	compare_engines(name, &program, &packets, number);
}

/* One after the other, and another sequence for each kind: what is found in few is found in many. */
static void equal_the_interpreter_on_random_programs(void **state)
{
	struct filter_random random = { .state = 0x4E5046 + random_seed() };
	struct filter_random long_random = { .state = 0x10E6 + random_seed() };

	(void)state;
	engine_mistakes = 0;
	for (uint32_t i = 0; i < random_programs() && !engine_mistakes; i++) {
		compare_short(&random, i);
		if (i % ONE_IS_LONG == 0)
			compare_long(&long_random, i / ONE_IS_LONG);
	}
	assert_int_equal(engine_mistakes, 0);
}

/* ---- sets ------------------------------------------------------------------------------------ */

#define MOST_KEYS 8

/* Sets that hold the least and the greatest number are turned round: neighbours and both ends. */
static const struct {
	uint32_t n;
	uint32_t keys[MOST_KEYS];
} key_sets[] = {
	{ 2, { 0, UINT32_MAX } },
	{ 3, { 0, 1, UINT32_MAX } },
	{ 4, { 0, UINT32_MAX, 0x0a000001, 0x0a000002 } },
	{ 4, { 0, UINT32_MAX, 0x0a000001, 0x0a000003 } },
	{ 5, { UINT32_MAX, 7, 0, UINT32_MAX - 1, 1 } },
	{ 7, { 0, 0x100, 0x101, 0x102, 0x8000, 0x8001, UINT32_MAX } },
	{ 8, { 0, UINT32_MAX, 2, 3, 0x80000000, 0x7fffffff, 0x10000, 0xffff } },
};

/* Is the word at the packet's begin one of n keys? */
static void ask_for_keys(const uint32_t *keys, uint32_t n, struct npf_insn *insns)
{
	*insns++ = (struct npf_insn){ .code = NPF_LD | NPF_W | NPF_ABS };
	for (uint32_t i = 0; i < n; i++)
		*insns++ = (struct npf_insn)INSN_JEQ(keys[i], n - 1 - i, i + 1 == n);
	*insns++ = (struct npf_insn)INSN_RET(1);
	*insns = (struct npf_insn)INSN_RET(0);
}

static void equal_the_interpreter_on_sets_with_both_ends(void **state)
{
	struct npf_insn insns[MOST_KEYS + 3];
	struct npf_frame frames[3 * MOST_KEYS];
	uint8_t data[3 * MOST_KEYS][8] = { { 0 } };

	(void)state;
	engine_mistakes = 0;
	for (size_t k = 0; k < sizeof(key_sets) / sizeof(key_sets[0]); k++) {
		struct npf_program program = { .length = key_sets[k].n + 3, .insns = insns };
		uint32_t n = 3 * key_sets[k].n;

		ask_for_keys(key_sets[k].keys, key_sets[k].n, insns);
		assert_int_equal(npf_filter_validate(&program, NULL, 0), 0);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t word = key_sets[k].keys[i / 3] + i % 3 - 1;

			for (uint32_t b = 0; b < 4; b++)
				data[i][b] = (uint8_t)(word >> (24 - 8 * b));
			frames[i] = (struct npf_frame){ .length = 8, .wire_length = 8 };
		}
		for (const struct engine *engine = engines; engine->name; engine++) {
			struct engine_run runs[3 * MOST_KEYS] = { { 0 } };

			if (!engine_is_wanted(engine))
				continue;
			for (uint32_t i = 0; i < n; i++)
				runs[i] = (struct engine_run){ .frame = &frames[i],
							       .data = data[i] };
			engine_compare(engine, "keys with both ends", &program, runs, n);
		}
	}
	assert_int_equal(engine_mistakes, 0);
}

/* ---- vectors -------------------------------------------------------------------------------- */

#define VECTOR_RUNS 256

static void run_vector(const struct engine *engine, const struct vector *vector, uint32_t *n_runs)
{
	const struct npf_program program = { .length = vector->n_insns, .insns = vector->insns };
	struct npf_frame frames[VECTOR_RUNS];
	struct engine_run runs[VECTOR_RUNS];

	assert_in_range(vector->n_runs, 0, VECTOR_RUNS);
	for (uint32_t i = 0; i < vector->n_runs; i++) {
		frames[i] = (struct npf_frame){ .length = vector->runs[i].length,
						.wire_length = vector->runs[i].wire_length };
		runs[i] = (struct engine_run){ .frame = &frames[i], .data = vector->runs[i].data };
	}
	if (engine_compare(engine, vector->name, &program, runs, vector->n_runs))
		*n_runs += vector->n_runs;
}

/* Whatever a vector is about: the programs that pass are run, the answers are the interpreter's
 * (filter_interp compares those with the vectors). */
static void equal_the_interpreter_on_the_vectors(void **state)
{
	uint32_t runs = 0;

	(void)state;
	engine_mistakes = 0;
	for (size_t f = 0; f < N_OF(vector_files); f++) {
		struct vectors vectors;

		vectors_load(vector_files[f], &vectors);
		for (size_t i = 0; i < vectors.n; i++) {
			const struct vector *vector = &vectors.list[i];
			const struct npf_program program = { .length = vector->n_insns,
							     .insns = vector->insns };

			if (npf_filter_validate(&program, NULL, 0))
				continue;
			for (const struct engine *engine = engines; engine->name; engine++) {
				if (engine_is_wanted(engine) &&
				    (engine->one_of < 100 || i % 40 == 0))
					run_vector(engine, vector, &runs);
			}
		}
		vectors_free(&vectors);
	}
	print_message("%u runs\n", runs);
	assert_true(runs > 0);
	assert_int_equal(engine_mistakes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_the_table),
		cmocka_unit_test(equal_the_interpreter_on_random_programs),
		cmocka_unit_test(equal_the_interpreter_on_sets_with_both_ends),
		cmocka_unit_test(equal_the_interpreter_on_the_vectors),
	};

	for (const struct engine *engine = engines; engine->name; engine++) {
		if (engine->why_not())
			print_message("%s: not compared: %s\n", engine->name, engine->why_not());
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
