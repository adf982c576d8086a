/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists in filters, which generated code looks up as sets: every form that a set may have (x86_set.h),
 * one packet at a time and in each lane of both widths.
 */
#include "lib/check.h"

#include <stdio.h>

#include "base/bytes.h"
#include "filter/filter.h"
#include "filter/opcodes.h"
#include "lib/engine_x86.h"
#include "lib/filter_random.h"
#include "lib/host.h"
#include "lib/x86_image.h"
#include "npf/npf.h"

#define PACKETS   64u
#define BYTES     40u
#define MOST_KEYS 2045u /* with what stands before the list, as long as a program may be */
#define FOUND     77u   /* verdicts of those that are found, at least */

static bool has_lanes(const struct npf_jit_filter *filter)
{
	return strstr(npf_jit_engine(filter), "at once");
}

/* Code for many packets, if there is any, which consists of what it may consist of. */
static struct npf_jit_filter *jit(const struct npf_program *program, uint32_t flags)
{
	static struct x86_image *image;
	struct npf_jit_filter *filter;
	char error[NPF_ERROR_SIZE] = "";
	const char *fault;

	if (bpf_jitter(host, program, NPF_JIT_BATCH | flags, &filter, error))
		fail_msg("%s", error);
	if (!has_lanes(filter))
		return filter;
	if (!image)
		image = x86_image_new();
	assert_non_null(image);
	assert_int_equal(x86_image_make(image, host, program, NPF_JIT_BATCH | flags), 0);
	fault = x86_image_fault(image);
	if (fault)
		fail_msg("%s", fault);
	return filter;
}

/* ---- lists of every shape -------------------------------------------------------------------- */

/* The key of a shape at place i. */
static uint32_t sparse(struct filter_random *random, uint32_t i)
{
	(void)i;
	return filter_random(random, 0xFFFFFFFF);
}

static uint32_t in_one_network(struct filter_random *random, uint32_t i)
{
	(void)i;
	return 0x0A140000 | filter_random(random, 0x10000);
}

static uint32_t same_lower_half(struct filter_random *random, uint32_t i)
{
	(void)random;
	return i * 31 << 16 | 0x0050;
}

/* As dense as numbers can be that are no range. */
static uint32_t dense(struct filter_random *random, uint32_t i)
{
	(void)random;
	return 1024 + 2 * i;
}

static uint32_t far_apart(struct filter_random *random, uint32_t i)
{
	(void)random;
	return i << 21 | i >> 11;
}

static uint32_t ports(struct filter_random *random, uint32_t i)
{
	return i % 8 ? filter_random(random, 0x10000) : 0xFFFF - i;
}

static const struct shape {
	uint32_t (*key)(struct filter_random *random, uint32_t i);
	bool half; /* numbers of two bytes are looked up */
} shapes[] = {
	{ sparse, false }, { in_one_network, false }, { same_lower_half, false },
	{ dense, false },  { far_apart, false },      { ports, false },
	{ ports, true },   { dense, true },
};

/* What a program looks like while it is written. */
struct writer {
	struct npf_insn insns[NPF_MAX_INSNS];
	uint32_t n;
};

static void put(struct writer *writer, struct npf_insn insn)
{
	assert_true(writer->n < NPF_MAX_INSNS);
	writer->insns[writer->n++] = insn;
}

/* Return `verdict` where the number at byte `at` is one of the keys. */
static void put_list(struct writer *writer, const uint32_t *keys, uint32_t n, bool half,
		     uint32_t at, uint32_t verdict)
{
	put(writer, (struct npf_insn){ .code = half ? 0x28 : 0x20, .k = at });
	for (uint32_t i = 0; i < n; i++) {
		put(writer, (struct npf_insn)INSN_JEQ(keys[i], 0, 1));
		put(writer, (struct npf_insn)INSN_RET(verdict));
	}
}

/* In each packet another mixture of lanes: keys, numbers near them, anything. */
static void fill(struct filter_random *random, uint8_t *packet, const uint32_t *keys, uint32_t n,
		 bool half, uint32_t at)
{
	uint32_t number = keys[filter_random(random, n)], kind = filter_random(random, 4);

	if (kind == 2)
		number ^= 1u << filter_random(random, half ? 16 : 32);
	else if (kind == 3)
		number = filter_random(random, 0xFFFFFFFF);
	if (half)
		npf_put_be16(packet + at, (uint16_t)number);
	else
		npf_put_be32(packet + at, number);
}

struct batch {
	uint8_t data[PACKETS][BYTES];
	const uint8_t *at[PACKETS];
	uint32_t lengths[PACKETS], verdicts[PACKETS];
};

/* All packets, of which some are cut, as the interpreter answers. How many were found. */
static uint32_t compare(struct filter_random *random, const struct npf_jit_filter *filter,
			const struct npf_program *program, struct batch *batch)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < PACKETS; i++) {
		batch->at[i] = batch->data[i];
		batch->lengths[i] = filter_random(random, 16) ? BYTES
							      : filter_random(random, BYTES);
	}
	memset(batch->verdicts, 0xA5, sizeof(batch->verdicts));
	npf_jit_run_batch(filter, batch->at, batch->lengths, batch->lengths, PACKETS,
			  batch->verdicts);
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t length = batch->lengths[i];
		uint32_t expected = npf_bpf_filter(program, batch->at[i], length, length);

		assert_int_equal(batch->verdicts[i], expected);
		assert_int_equal(npf_jit_run(filter, batch->at[i], length, length), expected);
		found += expected >= FOUND;
	}
	return found;
}

/* Packets whose first byte is 1 are looked up; all others have left the lanes before. */
static void try_list(const struct shape *shape, uint32_t n, uint32_t flags)
{
	struct filter_random random = { .state = 99 + n };
	static struct writer writer;
	static struct batch batch;
	struct npf_jit_filter *filter;
	struct npf_program program;
	uint32_t keys[MOST_KEYS], found = 0;

	for (uint32_t i = 0; i < n; i++)
		keys[i] = shape->key(&random, i);
	writer.n = 0;
	put(&writer, (struct npf_insn)INSN_LD_B(0));
	put(&writer, (struct npf_insn)INSN_JEQ(1, 1, 0));
	put(&writer, (struct npf_insn)INSN_RET(5));
	put_list(&writer, keys, n, shape->half, 2, FOUND);
	put(&writer, (struct npf_insn)INSN_RET(0));
	program = (struct npf_program){ .length = writer.n, .insns = writer.insns };
	filter = jit(&program, flags);
	assert_true(has_lanes(filter));
	for (uint32_t round = 0; round < n / 16 + 4; round++) {
		for (uint32_t i = 0; i < PACKETS; i++) {
			batch.data[i][0] = filter_random(&random, 8) ? 1 : 2;
			fill(&random, batch.data[i], keys, n, shape->half, 2);
		}
		found += compare(&random, filter, &program, &batch);
	}
	assert_true(found > PACKETS);
	bpf_destroy_jit_filter(filter);
}

static void lists_of_every_shape(void **state)
{
	static const uint32_t sizes[] = { 1,   2,   3,   4,    7,    10,   11,   16,   23,
					  24,  25,  32,  33,   64,   65,   128,  300,  512,
					  513, 700, 999, 1000, 1024, 1025, 1500, 2000, MOST_KEYS };

	(void)state;
	for (size_t k = 0; k < N_OF(shapes); k++) {
		for (size_t i = 0; i < N_OF(sizes); i++) {
			try_list(&shapes[k], sizes[i], 0);
			try_list(&shapes[k], sizes[i], NPF_JIT_AVX2);
		}
	}
}

/* ---- several in one filter ------------------------------------------------------------------- */

#define LISTS 5u

struct lists {
	uint32_t keys[LISTS][64];
	uint32_t n[LISTS];
	bool half[LISTS];
	uint32_t at[LISTS];
};

static void put_lists(struct filter_random *random, struct lists *lists, struct writer *writer)
{
	writer->n = 0;
	for (uint32_t i = 0; i < LISTS; i++) {
		const struct shape *shape = &shapes[filter_random(random, N_OF(shapes))];

		lists->half[i] = shape->half;
		lists->n[i] = 2 + filter_random(random, 63);
		lists->at[i] = filter_random(random, BYTES - 4);
		for (uint32_t k = 0; k < lists->n[i]; k++)
			lists->keys[i][k] = shape->key(random, k);
		put_list(writer, lists->keys[i], lists->n[i], shape->half, lists->at[i], FOUND + i);
	}
	put(writer, (struct npf_insn)INSN_RET(0));
}

/* More vectors than there are registers to keep them in. */
static void lists_one_behind_the_other(void **state)
{
	struct filter_random random = { .state = 4711 };
	static struct writer writer;
	static struct lists lists;
	static struct batch batch;
	uint32_t found = 0, in_lanes = 0;

	(void)state;
	for (uint32_t round = 0; round < 120; round++) {
		struct npf_program program;
		struct npf_jit_filter *filter;

		put_lists(&random, &lists, &writer);
		program = (struct npf_program){ .length = writer.n, .insns = writer.insns };
		filter = jit(&program, round % 2 ? NPF_JIT_AVX2 : 0);
		in_lanes += has_lanes(filter);
		for (uint32_t again = 0; again < 8; again++) {
			for (uint32_t i = 0; i < PACKETS; i++) {
				uint32_t k = filter_random(&random, LISTS);

				for (uint32_t j = 0; j < BYTES; j++)
					batch.data[i][j] = (uint8_t)filter_random(&random, 256);
				fill(&random, batch.data[i], lists.keys[k], lists.n[k],
				     lists.half[k], lists.at[k]);
			}
			found += compare(&random, filter, &program, &batch);
		}
		bpf_destroy_jit_filter(filter);
	}
	assert_true(found > 120 * PACKETS);
	assert_true(in_lanes > 80);
}

/* One list of two fields, as that of the ports is; the second look-up is of who was not found. */
static void one_list_of_two_fields(void **state)
{
	static const uint32_t sizes[] = { 4, 10, 11, 24, 25, 33, 500 };
	struct filter_random random = { .state = 815 };
	static struct writer writer;
	static struct batch batch;

	(void)state;
	for (uint32_t round = 0; round < 4 * N_OF(shapes) * N_OF(sizes); round++) {
		const struct shape *shape = &shapes[round / 4 % N_OF(shapes)];
		uint32_t n = sizes[round / 4 / N_OF(shapes)], keys[MOST_KEYS], found = 0;
		struct npf_program program;
		struct npf_jit_filter *filter;

		for (uint32_t k = 0; k < n; k++)
			keys[k] = shape->key(&random, k);
		writer.n = 0;
		put_list(&writer, keys, n, shape->half, 4, FOUND);
		put_list(&writer, keys, n, shape->half, 8, FOUND);
		put(&writer, (struct npf_insn)INSN_RET(0));
		program = (struct npf_program){ .length = writer.n, .insns = writer.insns };
		filter = jit(&program, round % 2 ? NPF_JIT_AVX2 : 0);
		for (uint32_t i = 0; i < PACKETS; i++) {
			fill(&random, batch.data[i], keys, n, shape->half, 4);
			fill(&random, batch.data[i], keys, n, shape->half, 8);
		}
		found = compare(&random, filter, &program, &batch);
		assert_true(has_lanes(filter));
		assert_in_range(found, PACKETS / 4, PACKETS - 1);
		bpf_destroy_jit_filter(filter);
	}
}

/* ---- what follows a list --------------------------------------------------------------------- */

/* A list that leads on: to where land() is called. The load is before it. */
static void put_way(struct writer *writer, const uint32_t *keys, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		put(writer, (struct npf_insn)INSN_JEQ(keys[i], 0, 1));
		put(writer, (struct npf_insn){ .code = NPF_JMP | NPF_JA });
	}
}

static void land(struct writer *writer, uint32_t first, uint32_t n)
{
	for (uint32_t i = first + 1; i < first + 2 * n; i += 2)
		writer->insns[i].k = writer->n - i - 1;
}

/* Verdicts before a list, behind it, and behind another one; what is loaded behind them may be outside
 * of the packet, and lies somewhere else in each. */
static void put_ways(struct writer *writer, const uint32_t *keys, uint32_t n,
		     const uint32_t *others, uint32_t m)
{
	uint32_t first;

	writer->n = 0;
	put(writer, (struct npf_insn)INSN_LD_B(0));
	put(writer, (struct npf_insn)INSN_JEQ(2, 0, 1));
	put(writer, (struct npf_insn)INSN_RET(5));
	put(writer, (struct npf_insn){ .code = NPF_ST });
	put(writer, (struct npf_insn){ .code = 0x20, .k = 4 });
	first = writer->n;
	put_way(writer, keys, n);
	put(writer, (struct npf_insn){ .code = NPF_LD | NPF_W | NPF_LEN });
	put(writer, (struct npf_insn){ .code = 0x16 });
	land(writer, first, n);
	put(writer, (struct npf_insn)INSN_LD_B(3));
	put(writer, (struct npf_insn){ .code = NPF_ALU | NPF_AND | NPF_K, .k = 31 });
	put(writer, (struct npf_insn){ .code = NPF_MISC | NPF_TAX });
	put(writer, (struct npf_insn){ .code = NPF_LD | NPF_B | NPF_IND, .k = 2 });
	put(writer, (struct npf_insn)INSN_JEQ(7, 0, 2));
	put(writer, (struct npf_insn){ .code = NPF_LD | NPF_MEM });
	put(writer, (struct npf_insn){ .code = 0x16 });
	put(writer, (struct npf_insn)INSN_LD_H(20));
	first = writer->n;
	put_way(writer, others, m);
	put(writer, (struct npf_insn)INSN_LD_H(36));
	put(writer, (struct npf_insn){ .code = 0x16 });
	land(writer, first, m);
	put(writer, (struct npf_insn){ .code = 0x20, .k = 32 });
	put(writer, (struct npf_insn){ .code = 0x16 });
}

static void what_follows_a_list_is_of_the_same_packet(void **state)
{
	static const uint32_t sizes[] = { 8, 24, 25, 40, 200, 900 };
	struct filter_random random = { .state = 1066 };
	static struct writer writer;
	static struct batch batch;
	uint32_t keys[MOST_KEYS], others[MOST_KEYS];

	(void)state;
	for (uint32_t round = 0; round < 4 * N_OF(sizes) * N_OF(sizes); round++) {
		uint32_t n = sizes[round / 4 % N_OF(sizes)], m = sizes[round / 4 / N_OF(sizes)];
		struct npf_program program;
		struct npf_jit_filter *filter;

		for (uint32_t i = 0; i < n; i++)
			keys[i] = sparse(&random, i);
		for (uint32_t i = 0; i < m; i++)
			others[i] = ports(&random, i);
		put_ways(&writer, keys, n, others, m);
		program = (struct npf_program){ .length = writer.n, .insns = writer.insns };
		filter = jit(&program, round % 2 ? NPF_JIT_AVX2 : 0);
		assert_true(has_lanes(filter));
		for (uint32_t again = 0; again < 12; again++) {
			for (uint32_t i = 0; i < PACKETS; i++) {
				for (uint32_t k = 0; k < BYTES; k++)
					batch.data[i][k] = (uint8_t)filter_random(&random, 8);
				fill(&random, batch.data[i], keys, n, false, 4);
				fill(&random, batch.data[i], others, m, true, 20);
			}
			compare(&random, filter, &program, &batch);
		}
		bpf_destroy_jit_filter(filter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_every_shape),
		cmocka_unit_test(lists_one_behind_the_other),
		cmocka_unit_test(one_list_of_two_fields),
		cmocka_unit_test(what_follows_a_list_is_of_the_same_packet),
	};

	if (engine_x86_why_not_avx2()) {
		fprintf(stderr, "%s\n", engine_x86_why_not_avx2());
		return 77;
	}
	return cmocka_run_group_tests(tests, open_host, close_host);
}
