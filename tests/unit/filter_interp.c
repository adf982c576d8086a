/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interpreter: the shared table, test vectors, a tag in its place against the same bytes laid
 * out by hand, and random programs under the sanitizers.
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

#include "../lib/filter_cases.h"
#include "../lib/filter_random.h"
#include "../lib/vectors.h"

#define RANDOM_PROGRAMS 50000

static uint32_t interpret(void *arg, const struct npf_program *program,
			  const struct npf_frame *frame, const uint8_t *data)
{
	struct npf_frame copy = *frame;

	(void)arg;
	return npf_filter_run(program, &copy, data);
}

static void answers_the_table(void **state)
{
	const struct filter_engine engine = { .run = interpret };

	(void)state;
	assert_int_equal(filter_cases_run(&engine), 0);
}

static void accepts_all_without_a_program(void **state)
{
	struct npf_frame frame = { 0 };
	const struct npf_program empty = { 0 };

	(void)state;
	assert_int_equal(npf_filter_run(NULL, &frame, NULL), NPF_ACCEPT_ALL);
	assert_int_equal(npf_filter_run(&empty, &frame, NULL), NPF_ACCEPT_ALL);
	assert_int_equal(npf_bpf_filter(NULL, NULL, 0, 0), NPF_ACCEPT_ALL);
}

static void plain_form_keeps_both_lengths_apart(void **state)
{
	static const struct npf_insn insns[] = {
		{ NPF_LD | NPF_ABS | NPF_B, 0, 0, 3 },
		{ NPF_LD | NPF_LEN, 0, 0, 0 },
		{ NPF_RET | NPF_A, 0, 0, 0 },
	};
	static const uint8_t data[] = { 1, 2, 3, 4 };
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };

	(void)state;
	assert_int_equal(npf_bpf_filter(&program, data, 1500, 4), 1500);
	assert_int_equal(npf_bpf_filter(&program, data, 1500, 3), 0);
}

static void tells_where_the_tag_is(void **state)
{
	static const struct npf_insn insns[] = { { NPF_RET | NPF_K, 0, 0, 1 } };
	struct npf_program program = { .length = N_OF(insns), .insns = insns };
	struct npf_frame frame = { .tagged = 1, .shift = 99 };

	(void)state;
	npf_filter_run(&program, &frame, NULL);
	assert_int_equal(frame.shift, NPF_TAG_SIZE);
	program.dialect = NPF_DIALECT_LINUX;
	npf_filter_run(&program, &frame, NULL);
	assert_int_equal(frame.shift, 0);
	program.dialect = NPF_DIALECT_WIRE;
	frame.tagged = 0;
	npf_filter_run(&program, &frame, NULL);
	assert_int_equal(frame.shift, 0);
}

/* A program sees the same packet whether its tag is in the bytes or was stripped. */
static void stripped_tag_changes_nothing(void **state)
{
	struct filter_random random = { .state = 0x802 };
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	struct npf_program program;
	uint32_t accepted = 0;

	(void)state;
	for (int i = 0; i < RANDOM_PROGRAMS; i++) {
		uint8_t data[FILTER_RANDOM_BYTES];
		uint8_t wire[FILTER_RANDOM_BYTES + NPF_TAG_SIZE];
		struct npf_frame frame;
		uint32_t answer;

		filter_random_program(&random, insns, &program);
		program.dialect = NPF_DIALECT_WIRE;
		filter_random_packet(&random, data, &frame);
		frame.tagged = 1;
		memcpy(wire, data, NPF_TAG_OFFSET);
		wire[12] = (uint8_t)(frame.tag_tpid >> 8);
		wire[13] = (uint8_t)frame.tag_tpid;
		wire[14] = (uint8_t)(frame.tag_tci >> 8);
		wire[15] = (uint8_t)frame.tag_tci;
		memcpy(wire + 16, data + 12, sizeof(data) - 12);
		answer = npf_filter_run(&program, &frame, data);
		assert_int_equal(answer, npf_bpf_filter(&program, wire, frame.wire_length,
							frame.length + NPF_TAG_SIZE));
		accepted += answer != 0;
	}
	assert_in_range(accepted, RANDOM_PROGRAMS / 4, RANDOM_PROGRAMS);
}

/* The packet is exactly as long as said: a sanitizer sees any read beside it. */
static void reads_nothing_beside_the_packet(void **state)
{
	struct filter_random random = { .state = 0xB1 };
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	struct npf_program program;

	(void)state;
	for (int i = 0; i < RANDOM_PROGRAMS; i++) {
		uint8_t data[FILTER_RANDOM_BYTES];
		struct npf_frame frame;
		uint8_t *exact;

		filter_random_program(&random, insns, &program);
		filter_random_packet(&random, data, &frame);
		exact = malloc(frame.length);
		assert_non_null(exact);
		memcpy(exact, data, frame.length);
		npf_filter_run(&program, &frame, exact);
		free(exact);
	}
}

/* Rules of Linux's own filters that docs/filter-semantics.md says are not followed. */
static bool follows_other_rules(const struct vector *vector)
{
	return vector_has_tag(vector, "linux-semantics") || vector_has_tag(vector, "ancillary");
}

static uint32_t run_vector(const struct vector *vector)
{
	const struct npf_program program = { .length = vector->n_insns, .insns = vector->insns };

	for (uint32_t i = 0; i < vector->n_runs; i++) {
		const struct vector_run *run = &vector->runs[i];
		uint32_t answer = npf_bpf_filter(&program, run->data, run->wire_length, run->length);

		if (answer != run->expected)
			fprintf(stderr, "%s, packet %u\n", vector->name, i);
		assert_int_equal(answer, run->expected);
	}
	return vector->n_runs;
}

/* Ancillary vectors whose every load is supported, on the frame that they were made for. */
static uint32_t run_ancillary_vector(const struct vector *vector)
{
	const struct npf_program program = { .length = vector->n_insns,
					     .dialect = NPF_DIALECT_LINUX,
					     .insns = vector->insns };

	if (npf_filter_validate(&program, NULL, 0))
		return 0;
	for (uint32_t i = 0; i < vector->n_runs; i++) {
		const struct vector_run *run = &vector->runs[i];
		struct npf_frame frame = {
			.length = run->length,
			.wire_length = run->wire_length,
			.tagged = 1,
			.tag_tci = 0xFFFF,
			.packet_type = 3,
			.protocol = 0x0800,
			.ifindex = 577,
			.hatype = 588,
		};
		uint32_t answer = npf_filter_run(&program, &frame, run->data);

		if (answer != run->expected)
			fprintf(stderr, "%s, packet %u\n", vector->name, i);
		assert_int_equal(answer, run->expected);
	}
	return vector->n_runs;
}

static void answers_the_vectors(void **state)
{
	uint32_t runs = 0, ancillary = 0, others = 0;

	(void)state;
	for (size_t f = 0; f < N_OF(vector_files); f++) {
		struct vectors vectors;

		vectors_load(vector_files[f], &vectors);
		for (size_t i = 0; i < vectors.n; i++) {
			const struct vector *vector = &vectors.list[i];

			if (vector->reject || !vector->n_insns)
				continue;
			if (vector_has_tag(vector, "ancillary"))
				ancillary += run_ancillary_vector(vector);
			else if (follows_other_rules(vector))
				others++;
			else
				runs += run_vector(vector);
		}
		vectors_free(&vectors);
	}
	print_message("%u runs, %u ancillary; %u programs follow other rules\n", runs, ancillary,
		      others);
	assert_true(runs > 0);
	assert_true(ancillary > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_the_table),
		cmocka_unit_test(accepts_all_without_a_program),
		cmocka_unit_test(plain_form_keeps_both_lengths_apart),
		cmocka_unit_test(tells_where_the_tag_is),
		cmocka_unit_test(stripped_tag_changes_nothing),
		cmocka_unit_test(reads_nothing_beside_the_packet),
		cmocka_unit_test(answers_the_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
