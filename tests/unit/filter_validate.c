/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The validator: every opcode there is, every limit from both sides, the sentence that names the
 * instruction, and programs that others refuse. What it refuses, so do bpf_jitter() and bpf_to_x86().
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
#include "../lib/host.h"
#include "../lib/vectors.h"
#include "npf/npf.h"

/* With the same sentence. */
static void refused_by_the_jit(const struct npf_program *program, const char *sentence)
{
	static const uint32_t flags[] = { 0, NPF_JIT_BATCH };
	struct npf_jit_filter *filter;
	char error[NPF_ERROR_SIZE];
	uint32_t size;

	for (size_t i = 0; i < N_OF(flags); i++) {
		assert_int_equal(bpf_jitter(host, program, flags[i], &filter, error), -EINVAL);
		assert_null(filter);
		assert_string_equal(error, sentence);
		assert_int_equal(bpf_to_x86(host, program, flags[i], NULL, 0, &size, error),
				 -EINVAL);
		assert_string_equal(error, sentence);
	}
}

static int validate(const struct npf_insn *insns, uint32_t length, enum npf_dialect dialect)
{
	const struct npf_program program = { .length = length, .dialect = dialect, .insns = insns };
	char error[128];
	int err = npf_filter_validate(&program, error, sizeof(error));

	assert_int_equal(err != 0, error[0] != '\0');
	if (err)
		refused_by_the_jit(&program, error);
	return err;
}

/* The instruction, then two returns. */
static int validate_one(struct npf_insn insn, enum npf_dialect dialect)
{
	const struct npf_insn insns[] = { insn, { NPF_RET, 0, 0, 0 }, { NPF_RET, 0, 0, 0 } };

	return validate(insns, N_OF(insns), dialect);
}

/* clang-format off */
static const uint16_t accepted_codes[] = {
	0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80,             /* ld */
	0x01, 0x61, 0x81, 0xb1,                                           /* ldx */
	0x02, 0x03,                                                       /* st, stx */
	0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xa4, /* alu k, neg */
	0x0c, 0x1c, 0x2c, 0x3c, 0x4c, 0x5c, 0x6c, 0x7c, 0x9c, 0xac,       /* alu x */
	0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d,             /* jumps */
	0x06, 0x16,                                                       /* ret */
	0x07, 0x87,                                                       /* tax, txa */
};
/* clang-format on */

static void knows_exactly_its_opcodes(void **state)
{
	bool accepted[0x10000] = { false };

	(void)state;
	for (size_t i = 0; i < N_OF(accepted_codes); i++)
		accepted[accepted_codes[i]] = true;
	for (uint32_t code = 0; code < N_OF(accepted); code++) {
		const struct npf_insn insn = { .code = (uint16_t)code, .k = 1 };
		int err = validate_one(insn, NPF_DIALECT_WIRE);

		if ((err == 0) != accepted[code])
			fprintf(stderr, "opcode 0x%x: %d\n", code, err);
		assert_int_equal(err, accepted[code] ? 0 : -EINVAL);
	}
}

static void limits_the_length(void **state)
{
	struct npf_insn *insns = calloc(NPF_MAX_INSNS + 1, sizeof(*insns));

	(void)state;
	assert_non_null(insns);
	for (uint32_t i = 0; i <= NPF_MAX_INSNS; i++)
		insns[i].code = NPF_RET;
	assert_int_equal(validate(insns, 0, 0), -EINVAL);
	assert_int_equal(validate(insns, 1, 0), 0);
	assert_int_equal(validate(insns, NPF_MAX_INSNS, 0), 0);
	assert_int_equal(validate(insns, NPF_MAX_INSNS + 1, 0), -EINVAL);
	assert_int_equal(validate(insns, UINT32_MAX, 0), -EINVAL);
	free(insns);
	assert_int_equal(validate(NULL, 1, 0), -EINVAL);
	assert_int_equal(npf_filter_validate(NULL, NULL, 0), -EINVAL);
}

static void knows_two_dialects(void **state)
{
	const struct npf_insn ret = { NPF_RET, 0, 0, 0 };

	(void)state;
	assert_int_equal(validate(&ret, 1, NPF_DIALECT_LINUX), 0);
	assert_int_equal(validate(&ret, 1, (enum npf_dialect)2), -EINVAL);
}

static void keeps_jumps_inside(void **state)
{
	static const uint16_t branches[] = { 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d };
	static const uint32_t outside[] = { 2,          3,          0x7FFFFFFF, 0x80000000,
					    0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF };
	const uint16_t ja = NPF_JMP | NPF_JA;

	(void)state;
	assert_int_equal(validate_one((struct npf_insn){ ja, 0, 0, 0 }, 0), 0);
	assert_int_equal(validate_one((struct npf_insn){ ja, 0, 0, 1 }, 0), 0);
	assert_int_equal(validate_one((struct npf_insn){ ja, 255, 255, 1 }, 0), 0);
	for (size_t i = 0; i < N_OF(outside); i++)
		assert_int_equal(validate_one((struct npf_insn){ ja, 0, 0, outside[i] }, 0),
				 -EINVAL);
	for (size_t i = 0; i < N_OF(branches); i++) {
		const uint16_t code = branches[i];

		assert_int_equal(validate_one((struct npf_insn){ code, 1, 1, 9 }, 0), 0);
		assert_int_equal(validate_one((struct npf_insn){ code, 2, 0, 9 }, 0), -EINVAL);
		assert_int_equal(validate_one((struct npf_insn){ code, 0, 2, 9 }, 0), -EINVAL);
		assert_int_equal(validate_one((struct npf_insn){ code, 255, 0, 9 }, 0), -EINVAL);
	}
}

static void keeps_scratch_inside(void **state)
{
	static const uint16_t codes[] = { NPF_ST, NPF_STX, NPF_LD | NPF_MEM, NPF_LDX | NPF_MEM };

	(void)state;
	for (size_t i = 0; i < N_OF(codes); i++) {
		assert_int_equal(validate_one((struct npf_insn){ codes[i], 0, 0, 15 }, 0), 0);
		assert_int_equal(validate_one((struct npf_insn){ codes[i], 0, 0, 16 }, 0), -EINVAL);
		assert_int_equal(validate_one((struct npf_insn){ codes[i], 0, 0, UINT32_MAX }, 0),
				 -EINVAL);
	}
}

static void refuses_division_by_constant_zero(void **state)
{
	static const uint16_t codes[] = { NPF_ALU | NPF_DIV, NPF_ALU | NPF_MOD };

	(void)state;
	for (size_t i = 0; i < N_OF(codes); i++) {
		assert_int_equal(validate_one((struct npf_insn){ codes[i], 0, 0, 0 }, 0), -EINVAL);
		assert_int_equal(validate_one((struct npf_insn){ codes[i], 0, 0, 1 }, 0), 0);
		/* by X it is found out when it happens */
		assert_int_equal(validate_one((struct npf_insn){ codes[i] | NPF_X, 0, 0, 0 }, 0), 0);
	}
}

static void takes_any_shift(void **state)
{
	(void)state;
	assert_int_equal(validate_one((struct npf_insn){ NPF_ALU | NPF_LSH, 0, 0, 32 }, 0), 0);
	assert_int_equal(validate_one((struct npf_insn){ NPF_ALU | NPF_RSH, 0, 0, 0xFFFFFFFF }, 0),
			 0);
}

static void wants_a_return_at_the_end(void **state)
{
	static const uint16_t codes[] = { 0x00, 0x02, 0x04, 0x07, 0x0e, 0x1e };

	(void)state;
	for (size_t i = 0; i < N_OF(codes); i++) {
		const struct npf_insn insns[] = { { NPF_RET, 0, 0, 0 }, { codes[i], 0, 0, 0 } };

		assert_int_equal(validate(insns, 2, 0), -EINVAL);
	}
}

static void checks_the_unreachable_too(void **state)
{
	const struct npf_insn insns[] = { { NPF_RET, 0, 0, 0 },
					  { 0xFF, 0, 0, 0 },
					  { NPF_RET, 0, 0, 0 } };

	(void)state;
	assert_int_equal(validate(insns, N_OF(insns), 0), -EINVAL);
}

static void knows_linux_ancillary_loads(void **state)
{
	static const uint32_t known[] = {
		NPF_AD_PROTOCOL, NPF_AD_PKTTYPE,      NPF_AD_IFINDEX,   NPF_AD_HATYPE,
		NPF_AD_VLAN_TAG, NPF_AD_VLAN_PRESENT, NPF_AD_VLAN_TPID,
	};
	const struct npf_insn msh = { NPF_LDX | NPF_MSH | NPF_B, 0, 0, 0xFFE00000 };

	(void)state;
	for (uint32_t k = 0xFFFFEFF0; k != 0; k++) {
		const struct npf_insn insn = { NPF_LD | NPF_ABS | NPF_W, 0, 0, k };
		bool is_known = false;

		for (size_t i = 0; i < N_OF(known); i++)
			is_known |= known[i] == k;
		assert_int_equal(validate_one(insn, NPF_DIALECT_LINUX), is_known ? 0 : -EINVAL);
		assert_int_equal(validate_one(insn, NPF_DIALECT_WIRE), 0);
	}
	assert_int_equal(validate_one(msh, NPF_DIALECT_LINUX), -EINVAL);
	assert_int_equal(validate_one(msh, NPF_DIALECT_WIRE), 0);
	assert_int_equal(validate_one((struct npf_insn){ NPF_LD | NPF_ABS, 0, 0, 0xFFDFFFFF },
				      NPF_DIALECT_LINUX),
			 0);
	assert_int_equal(validate_one((struct npf_insn){ NPF_LD | NPF_IND, 0, 0, 0xFFFFFFFF },
				      NPF_DIALECT_LINUX),
			 0);
}

static void names_instruction_and_reason(void **state)
{
	const struct npf_insn insns[] = { { NPF_LD, 0, 0, 1 },
					  { NPF_ST, 0, 0, 16 },
					  { NPF_RET, 0, 0, 0 } };
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	char error[128], cut[15] = "??????????????";

	(void)state;
	assert_int_equal(npf_filter_validate(&program, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "instruction 1: no such scratch word (code 0x02, k 0x10)");
	assert_int_equal(npf_filter_validate(&program, cut, sizeof(cut)), -EINVAL);
	assert_string_equal(cut, "instruction 1:");
	assert_int_equal(npf_filter_validate(&program, NULL, 0), -EINVAL);
	assert_int_equal(npf_filter_validate(&program, error, 0), -EINVAL);
}

/* What others refuse for reasons of their own: accepted here, see docs/filter-semantics.md. */
static bool refused_elsewhere_only(const struct vector *vector)
{
	return vector_has_tag(vector, "uninit-mem") || vector_has_tag(vector, "bsd-accepts");
}

static void agrees_with_the_vectors(void **state)
{
	uint32_t accepted = 0, refused = 0;

	(void)state;
	for (size_t f = 0; f < N_OF(vector_files); f++) {
		struct vectors vectors;

		vectors_load(vector_files[f], &vectors);
		for (size_t i = 0; i < vectors.n; i++) {
			const struct vector *vector = &vectors.list[i];
			bool expected;
			int err;

			if (!vector->n_insns || refused_elsewhere_only(vector))
				continue;
			expected = vector->reject || vector_has_tag(vector, "const-div0");
			err = validate(vector->insns, vector->n_insns, NPF_DIALECT_WIRE);
			if ((err != 0) != expected)
				fprintf(stderr, "%s: %d\n", vector->name, err);
			assert_int_equal(err != 0, expected);
			refused += err != 0;
			accepted += err == 0;
		}
		vectors_free(&vectors);
	}
	print_message("%u accepted, %u refused\n", accepted, refused);
	assert_true(accepted && refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_exactly_its_opcodes),
		cmocka_unit_test(limits_the_length),
		cmocka_unit_test(knows_two_dialects),
		cmocka_unit_test(keeps_jumps_inside),
		cmocka_unit_test(keeps_scratch_inside),
		cmocka_unit_test(refuses_division_by_constant_zero),
		cmocka_unit_test(takes_any_shift),
		cmocka_unit_test(wants_a_return_at_the_end),
		cmocka_unit_test(checks_the_unreachable_too),
		cmocka_unit_test(knows_linux_ancillary_loads),
		cmocka_unit_test(names_instruction_and_reason),
		cmocka_unit_test(agrees_with_the_vectors),
	};

	return cmocka_run_group_tests(tests, open_host, close_host);
}
