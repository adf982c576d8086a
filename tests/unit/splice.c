/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters in the middle of another program: jumps and calls over them still lead where they led,
 * their stack lies below that of the other, and where they returned they go on behind the mark.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lib/filter_cases.h"
#include "host/linux/bpf/geometry.h"
#include "host/linux/ebpf.h"

#define FORM(c, d, s, o, i)                                                                        \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOVE(d, i)     FORM(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define COPY(d, s)     FORM(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define PLUS(d, i)     FORM(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define STORE(d, o, s) FORM(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define IF_ZERO(d, o)  FORM(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, 0)
#define CALL(i)        FORM(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, i)
#define EXIT           FORM(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#define DEEPEST (-72) /* of the stack below */
#define AT      6u    /* where the first mark is */

static const struct bpf_insn tap[] = {
	COPY(2, 10),
	PLUS(2, DEEPEST),
	STORE(10, -16, 1),
	COPY(3, 1),
	IF_ZERO(3, 7), /* over both marks, to the last MOVE */
	CALL(8),       /* likewise, to what follows the end */
	MOVE(0, NPF_FILTER_MARK),
	MOVE(0, -1),
	IF_ZERO(0, 3),
	MOVE(6, 1),
	MOVE(0, NPF_CLASSIFY_MARK),
	MOVE(0, 0),
	MOVE(7, 2),
	EXIT,
	MOVE(0, 3),
	EXIT,
};

static const struct npf_insn loads[] = {
	{ 0x28, 0, 0, 12 },
	{ 0x15, 0, 1, 0x800 },
	{ 0x06, 0, 0, 96 },
	{ 0x06, 0, 0, 0 },
};
static const struct npf_program program = { .length = N_OF(loads), .insns = loads };

static const struct npf_translation copying = { .access = NPF_EBPF_COPY };

static void splice(const struct npf_filter_set *filters, struct npf_spliced *out)
{
	assert_int_equal(npf_splice(tap, N_OF(tap), filters, &copying, out), 0);
}

static void assert_same(const struct bpf_insn *insn, const struct bpf_insn *expected)
{
	assert_memory_equal(insn, expected, sizeof(*insn));
}

static void assert_inside(const struct bpf_insn *code, uint32_t n)
{
	uint32_t loads_seen = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t class = BPF_CLASS(code[i].code), op = BPF_OP(code[i].code);
		uint32_t base = class == BPF_LDX ? code[i].src_reg : code[i].dst_reg;

		assert_true(code[i].code != (BPF_JMP | BPF_EXIT));
		if (class == BPF_JMP32 || (class == BPF_JMP && op != BPF_CALL))
			assert_in_range(i + 1 + code[i].off, i + 1, n);
		if ((class == BPF_LDX || class == BPF_STX) && base == 10) {
			assert_true(code[i].off < DEEPEST && code[i].off >= -512);
			loads_seen++;
		}
	}
	assert_true(loads_seen > 0);
}

static void without(void **state)
{
	const struct npf_filter_set none = { 0 };
	struct npf_spliced spliced;
	struct bpf_insn *out;
	size_t n;

	(void)state;
	splice(&none, &spliced);
	out = spliced.insns;
	n = spliced.n;
	assert_int_equal(n, N_OF(tap));
	assert_memory_equal(out, tap, sizeof(tap));
	npf_spliced_free(&spliced);
}

static void with_filter(void **state)
{
	const struct npf_filter_set filters = { .filter = &program };
	struct npf_spliced spliced;
	struct bpf_insn *out;
	uint32_t more;
	size_t n;

	(void)state;
	splice(&filters, &spliced);
	out = spliced.insns;
	n = spliced.n;
	more = (uint32_t)(n - N_OF(tap));
	for (uint32_t i = 0; i < AT - 2; i++)
		assert_same(&out[i], &tap[i]);
	assert_int_equal(out[4].off, tap[4].off + more);
	assert_int_equal(out[5].imm, tap[5].imm + more);
	assert_inside(out + AT, more + 2);
	for (uint32_t i = AT + 2; i < N_OF(tap); i++)
		assert_same(&out[i + more], &tap[i]);
	npf_spliced_free(&spliced);
}

static void with_classes(void **state)
{
	const struct npf_filter_set filters = {
		.filter = &program,
		.n_classes = 2,
		.classes = { &program, &program },
	};
	struct npf_spliced spliced;
	struct bpf_insn *out;
	uint32_t first, second;
	size_t n;

	(void)state;
	splice(&filters, &spliced);
	out = spliced.insns;
	n = spliced.n;
	for (first = 0; out[AT + first].code != tap[AT + 2].code || out[AT + first].dst_reg ||
			BPF_OP(out[AT + first].code) != BPF_JEQ || out[AT + first + 1].imm != 1;)
		first++;
	second = (uint32_t)n - first - (uint32_t)(N_OF(tap) - 4);
	assert_inside(out + AT, first);
	assert_int_equal(out[AT + first].off, tap[AT + 2].off + (int)second - 2);
	assert_inside(out + AT + first + 2, second);
	assert_int_equal(out[4].off, tap[4].off + (int)(first + second) - 4);
	assert_same(&out[n - 1], &tap[N_OF(tap) - 1]);
	npf_spliced_free(&spliced);
}

static void unmarked(void **state)
{
	const struct npf_filter_set filters = { .filter = &program };
	const struct bpf_insn plain[] = { MOVE(0, 0), EXIT };
	struct npf_spliced spliced;

	(void)state;
	assert_int_equal(npf_splice(plain, N_OF(plain), &filters, &copying, &spliced), -EPROTO);
	assert_null(spliced.insns);
}

/* A jump over code that is longer than jumps reach. */
static void too_long(void **state)
{
	static struct npf_insn insns[NPF_MAX_INSNS];
	const struct npf_program large = { .length = NPF_MAX_INSNS, .insns = insns };
	const struct npf_filter_set filters = { .filter = &large };
	struct npf_spliced spliced;

	(void)state;
	/* Each load is at an offset that depends on the one before. */
	insns[0] = (struct npf_insn){ 0x30, 0, 0, 0 };
	for (uint32_t i = 1; i + 3 < NPF_MAX_INSNS; i += 2) {
		insns[i] = (struct npf_insn){ 0x07, 0, 0, 0 };
		insns[i + 1] = (struct npf_insn){ 0x50, 0, 0, i };
	}
	insns[NPF_MAX_INSNS - 2] = (struct npf_insn){ 0x07, 0, 0, 0 };
	insns[NPF_MAX_INSNS - 1] = (struct npf_insn){ 0x16, 0, 0, 0 };
	insns[NPF_MAX_INSNS - 3] = (struct npf_insn){ 0x50, 0, 0, 1 };
	assert_int_equal(npf_splice(tap, N_OF(tap), &filters, &copying, &spliced), -E2BIG);
	assert_null(spliced.insns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without),      cmocka_unit_test(with_filter),
		cmocka_unit_test(with_classes), cmocka_unit_test(unmarked),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
