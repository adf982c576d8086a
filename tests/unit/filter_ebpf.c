/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translated filters in the kernel itself: the shared table, test vectors, random programs compared
 * with the interpreter, and masks of many classes. Needs the right to load programs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../lib/engines.h"
#include "../lib/filter_cases.h"
#include "../lib/filter_random.h"
#include "../lib/vectors.h"
#include "host/linux/kernel_filter.h"

#define SKIP            77
#define RANDOM_PROGRAMS 4000
#define RANDOM_PACKETS  8
#define RANDOM_GROUPS   150
#define MOST_GROUPED    40
#define NOT_RUN         0xDEADBEEF /* no case expects it */

static const enum npf_ebpf_access accesses[] = { NPF_EBPF_COPY, NPF_EBPF_DIRECT, NPF_EBPF_PEEK };
static struct npf_ebpf_peek peek;
static size_t n_accesses = N_OF(accesses); /* less where the kernel cannot peek */

static uint32_t run_once(void *arg, const struct npf_program *program,
			 const struct npf_frame *frame, const uint8_t *data)
{
	const enum npf_ebpf_access *access = arg;
	struct npf_kernel_filter kernel;
	uint32_t result = NOT_RUN;

	assert_int_equal(npf_kernel_filter_load(program, *access, &peek, &kernel), 0);
	assert_int_equal(npf_kernel_filter_run(&kernel, frame, data, &result), 0);
	npf_kernel_filter_close(&kernel);
	return result;
}

static void answers_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_accesses; i++) {
		const struct filter_engine engine = { .run = run_once,
						      .arg = (void *)(uintptr_t)&accesses[i] };

		assert_int_equal(filter_cases_run(&engine), 0);
	}
}

static void accepts_all_without_a_program(void **state)
{
	const struct npf_frame frame = { .length = 1, .wire_length = 1 };
	const struct npf_program empty = { 0 };

	(void)state;
	for (size_t i = 0; i < n_accesses; i++) {
		enum npf_ebpf_access access = accesses[i];

		assert_int_equal(run_once(&access, NULL, &frame, (const uint8_t *)"x"),
				 NPF_ACCEPT_ALL);
		assert_int_equal(run_once(&access, &empty, &frame, (const uint8_t *)"x"),
				 NPF_ACCEPT_ALL);
	}
}

/* Compare kernel and interpreter; the number of packets that differ. */
static int compare(const struct npf_kernel_filter *kernel, const struct npf_program *program,
		   const struct npf_frame *frame, const uint8_t *data, const char *name)
{
	struct npf_frame copy = *frame;
	uint32_t expected = npf_filter_run(program, &copy, data);
	uint32_t result = NOT_RUN;

	assert_int_equal(npf_kernel_filter_run(kernel, frame, data, &result), 0);
	if (result != expected)
		fprintf(stderr, "%s: 0x%x instead of 0x%x\n", name, result, expected);
	return result != expected;
}

static uint32_t random_programs(void)
{
	const char *wish = getenv("NPF_RANDOM_PROGRAMS");

	return wish ? (uint32_t)strtoul(wish, NULL, 10) : RANDOM_PROGRAMS;
}

static void equals_the_interpreter_on_random_programs(void **state)
{
	struct filter_random random = { .state = 0x4E5046 };
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	uint8_t data[FILTER_RANDOM_BYTES];
	struct npf_program program;
	struct npf_frame frame;
	int wrong = 0;

	(void)state;
	for (uint32_t i = 0; i < random_programs(); i++) {
		char name[32];
		enum npf_ebpf_access access = accesses[i % n_accesses];
		struct npf_kernel_filter kernel;
		int err;

		filter_random_program(&random, insns, &program);
		assert_int_equal(npf_filter_validate(&program, NULL, 0), 0);
		snprintf(name, sizeof(name), "random program %u", i);
		err = npf_kernel_filter_load(&program, access, &peek, &kernel);
		if (err)
			fprintf(stderr, "%s: %s\n", name, strerror(-err));
		assert_int_equal(err, 0);
		for (int j = 0; j < RANDOM_PACKETS; j++) {
			filter_random_packet(&random, data, &frame);
			wrong += compare(&kernel, &program, &frame, data, name);
		}
		npf_kernel_filter_close(&kernel);
	}
	assert_int_equal(wrong, 0);
}

static void run_vector(const struct vector *vector, enum npf_ebpf_access access, uint32_t *runs,
		       uint32_t *complex)
{
	struct npf_program program = { .length = vector->n_insns, .insns = vector->insns };
	struct npf_kernel_filter kernel;
	int err;

	if (!vector->n_insns || npf_filter_validate(&program, NULL, 0))
		return;
	err = npf_kernel_filter_load(&program, access, &peek, &kernel);
	if (err == -E2BIG && vector_has_tag(vector, "generated")) {
		(*complex)++;
		return;
	}
	if (err)
		fprintf(stderr, "%s: %s\n", vector->name, strerror(-err));
	assert_int_equal(err, 0);
	for (uint32_t i = 0; i < vector->n_runs; i++) {
		const struct vector_run *run = &vector->runs[i];
		const struct npf_frame frame = { .length = run->length,
						 .wire_length = run->wire_length };

		assert_int_equal(compare(&kernel, &program, &frame, run->data, vector->name), 0);
		(*runs)++;
	}
	npf_kernel_filter_close(&kernel);
}

static void equals_the_interpreter_on_vectors(void **state)
{
	uint32_t runs = 0, complex = 0;

	(void)state;
	for (size_t f = 0; f < N_OF(vector_files); f++) {
		struct vectors vectors;

		vectors_load(vector_files[f], &vectors);
		for (size_t i = 0; i < vectors.n; i++)
			for (size_t a = 0; a < n_accesses; a++)
				run_vector(&vectors.list[i], accesses[a], &runs, &complex);
		vectors_free(&vectors);
	}
	print_message("%u runs equal, %u programs too complex for the verifier\n", runs, complex);
	assert_true(runs > 0);
}

/* Class i accepts IPv4 with i behind the header (a source port), as real classes do. */
static void fill_class(struct npf_insn *insns, uint32_t i)
{
	insns[0] = (struct npf_insn){ NPF_LD | NPF_ABS | NPF_H, 0, 0, 12 };
	insns[1] = (struct npf_insn){ NPF_JMP | NPF_JEQ | NPF_K, 0, 4, 0x0800 };
	insns[2] = (struct npf_insn){ NPF_LDX | NPF_MSH | NPF_B, 0, 0, 14 };
	insns[3] = (struct npf_insn){ NPF_LD | NPF_IND | NPF_H, 0, 0, 14 };
	insns[4] = (struct npf_insn){ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, i };
	insns[5] = (struct npf_insn){ NPF_RET | NPF_K, 0, 0, 0x40000 };
	insns[6] = (struct npf_insn){ NPF_RET | NPF_K, 0, 0, 0 };
}

static void class_masks(uint32_t n, const struct npf_translation *way)
{
	struct npf_insn insns[NPF_EBPF_MAX_CLASSES][7];
	struct npf_program programs[NPF_EBPF_MAX_CLASSES] = { 0 };
	const struct npf_program *list[NPF_EBPF_MAX_CLASSES];
	uint8_t data[40] = { [12] = 8, [14] = 0x45 };
	const struct npf_frame frame = { .length = sizeof(data), .wire_length = sizeof(data) };

	for (uint32_t i = 0; i < n; i++) {
		fill_class(insns[i], i);
		programs[i].insns = insns[i];
		programs[i].length = i == n / 2 ? 0 : 7; /* one accepts all */
		list[i] = &programs[i];
	}
	for (int word = 0; word < 2; word++) {
		struct npf_kernel_filter kernel;
		int err = npf_kernel_filter_load_classes(list, n, word, way, &kernel);

		if (err)
			fprintf(stderr, "%u classes: %s\n", n, strerror(-err));
		assert_int_equal(err, 0);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t expected = 1ull << i | 1ull << n / 2;
			uint32_t result = NOT_RUN;

			data[14 + 20 + 1] = (uint8_t)i;
			assert_int_equal(npf_kernel_filter_run(&kernel, &frame, data, &result), 0);
			assert_int_equal(result, (uint32_t)(expected >> 32 * word));
		}
		npf_kernel_filter_close(&kernel);
	}
}

static void tells_classes_apart(void **state)
{
	static const uint32_t numbers[] = { 1, 2, 33, NPF_EBPF_MAX_CLASSES };

	(void)state;
	for (size_t i = 0; i < N_OF(numbers); i++) {
		for (size_t a = 0; a < 2 * n_accesses; a++) {
			const struct npf_translation way = { accesses[a / 2], a % 2, &peek };

			class_masks(numbers[i], &way);
		}
	}
}

struct group {
	struct npf_insn insns[MOST_GROUPED][FILTER_RANDOM_INSNS];
	struct npf_program programs[MOST_GROUPED];
	const struct npf_program *list[MOST_GROUPED];
	uint32_t n;
};

/* Of one dialect; one of eight accepts all. */
static void draw_group(struct filter_random *random, struct group *group)
{
	enum npf_dialect dialect = filter_random(random, 2) ? NPF_DIALECT_WIRE : NPF_DIALECT_LINUX;

	group->n = 2 + filter_random(random, filter_random(random, 4) ? 8 : MOST_GROUPED - 1);
	for (uint32_t i = 0; i < group->n; i++) {
		struct npf_program *program = &group->programs[i];

		do
			filter_random_program(random, group->insns[i], program);
		while (program->dialect != dialect);
		group->list[i] = filter_random(random, 8) ? program : NULL;
	}
}

static uint64_t each_alone(const struct group *group, const struct npf_frame *frame,
			   const uint8_t *data)
{
	uint64_t matched = 0;

	for (uint32_t i = 0; i < group->n; i++) {
		struct npf_frame copy = *frame;

		if (!group->list[i] || npf_filter_run(group->list[i], &copy, data))
			matched |= 1ull << i;
	}
	return matched;
}

static int compare_group(struct filter_random *random, const struct group *group, bool glances,
			 int word, const struct npf_kernel_filter *kernel)
{
	int wrong = 0;

	for (int i = 0; i < RANDOM_PACKETS; i++) {
		uint8_t data[FILTER_RANDOM_BYTES];
		uint32_t expected, result = NOT_RUN;
		struct npf_frame frame;

		filter_random_packet(random, data, &frame);
		expected = (uint32_t)(each_alone(group, &frame, data) >> 32 * word);
		assert_int_equal(npf_kernel_filter_run(kernel, &frame, data, &result), 0);
		if (result == expected || (glances && result == UINT32_MAX))
			continue;
		wrong++;
		fprintf(stderr, "%u classes: 0x%x instead of 0x%x\n", group->n, result, expected);
	}
	return wrong;
}

/* Joined, if nothing is too long for that, and some of them apart. */
static void classes_answer_as_each_alone(void **state)
{
	struct filter_random random = { .state = 0x4A4F494E };
	static struct group group;
	uint32_t joined = 0, refused = 0, glanced = 0;
	int wrong = 0;

	(void)state;
	for (uint32_t i = 0; i < RANDOM_GROUPS; i++) {
		struct npf_translation way = { accesses[1 + i % (n_accesses - 1)], i % 4 != 3,
					       &peek };
		bool glances = i % 3 == 2;

		draw_group(&random, &group);
		if (glances)
			way = (struct npf_translation){ .access = NPF_EBPF_GLANCE, .join = true };
		for (int word = 0; word < 1 + (group.n > 32); word++) {
			struct npf_kernel_filter kernel;
			int err = npf_kernel_filter_load_classes(group.list, group.n, word, &way,
								 &kernel);

			assert_true(!err || err == -E2BIG);
			refused += err && !glances;
			if (err)
				continue;
			joined += way.join && !glances;
			glanced += glances;
			wrong += compare_group(&random, &group, glances, word, &kernel);
			npf_kernel_filter_close(&kernel);
		}
	}
	print_message("%u groups joined, %u refused, %u without a copy\n", joined, refused, glanced);
	assert_int_equal(wrong, 0);
	assert_true(glanced > RANDOM_GROUPS / 5);
	assert_true(joined > 4 * refused);
}

/* Is the number of size bytes at LOOKED_AT one of n keys? Of bytes and halves every third number. */
#define LOOKED_AT 26u
static const struct npf_program *make_list(uint32_t n, uint32_t size)
{
	static struct npf_insn insns[NPF_MAX_INSNS];
	static struct npf_program program = { .insns = insns };
	uint8_t code = size == 4 ? NPF_W : size == 2 ? NPF_H : NPF_B;

	insns[0] = (struct npf_insn){ NPF_LD | NPF_ABS | code, 0, 0, LOOKED_AT };
	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = size == 4 ? i * 0x9E3779B1u : i * 3;

		insns[1 + 2 * i] = (struct npf_insn){ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, key };
		insns[2 + 2 * i] = (struct npf_insn){ NPF_RET | NPF_K, 0, 0, 7 };
	}
	/* The number is wanted behind the look-up, too. */
	insns[1 + 2 * n] = (struct npf_insn){ NPF_RET | NPF_A, 0, 0, 0 };
	program.length = 2 * n + 2;
	return &program;
}

static int look_up(const struct npf_kernel_filter *kernel, const struct npf_program *program,
		   uint32_t number, uint32_t size)
{
	uint8_t data[64] = { 0 };
	const struct npf_frame frame = { .length = sizeof(data), .wire_length = sizeof(data) };

	for (uint32_t i = 0; i < size; i++)
		data[LOOKED_AT + i] = (uint8_t)(number >> 8 * (size - 1 - i));
	return compare(kernel, program, &frame, data, "a long list");
}

static void looks_up_long_lists(void **state)
{
	static const struct {
		uint32_t n, size;
	} lists[] = { { 30, 4 }, { 200, 4 }, { 1500, 4 }, { 80, 2 }, { 1000, 2 }, { 60, 1 } };
	int wrong = 0;

	(void)state;
	for (size_t l = 0; l < N_OF(lists) * n_accesses; l++) {
		uint32_t n = lists[l / n_accesses].n, size = lists[l / n_accesses].size;
		const struct npf_program *program = make_list(n, size);
		struct npf_kernel_filter kernel;

		assert_int_equal(npf_kernel_filter_load(program, accesses[l % n_accesses], &peek,
							&kernel),
				 0);
		assert_true(kernel.length < 400);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t key = program->insns[1 + 2 * i].k;

			for (uint32_t beside = 0; beside < 3; beside++)
				wrong += look_up(&kernel, program, key + beside - 1, size);
		}
		wrong += look_up(&kernel, program, 0xFFFFFFFF, size);
		npf_kernel_filter_close(&kernel);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_the_table),
		cmocka_unit_test(accepts_all_without_a_program),
		cmocka_unit_test(equals_the_interpreter_on_random_programs),
		cmocka_unit_test(equals_the_interpreter_on_vectors),
		cmocka_unit_test(tells_classes_apart),
		cmocka_unit_test(classes_answer_as_each_alone),
		cmocka_unit_test(looks_up_long_lists),
	};
	int err = npf_kernel_filter_probe(NPF_EBPF_DIRECT, NULL);

	if (err == -EPERM || err == -ENOSYS) {
		printf("skipped: loading eBPF programs is not permitted here\n");
		return SKIP;
	}
	/* Any other failure is one of the code, and the tests find it. */
	if (npf_peek_find(&peek) && !engine_must_peek()) {
		printf("peeking is not tested: this kernel does not show its structures\n");
		n_accesses--;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
