/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eBPF back end without a kernel: the promised space suffices for every program, a shorter one
 * is never exceeded and leaves nothing behind, jumps stay inside.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/ebpf_jumps.h"
#include "../lib/filter_cases.h"
#include "../lib/filter_random.h"
#include "filter/ebpf.h"

/* A program's form and memory for the generator. */
struct form {
	struct npf_ir ir;
	const struct npf_ir *list[NPF_EBPF_MAX_CLASSES + 1];
	void *memory, *joined_memory, *space;
	struct npf_ir joined;
	size_t size;
	uint32_t n;
	bool is_joined; /* it comes behind the n others */
};

/* The same program n times, joined. Not all can be. */
static void join(struct form *form, const struct npf_program *program, uint32_t n)
{
	const struct npf_program *programs[NPF_EBPF_MAX_CLASSES];
	uint32_t most = n < NPF_IR_MOST_JOINED ? n : NPF_IR_MOST_JOINED;
	size_t size;

	for (uint32_t i = 0; i < n; i++)
		programs[i] = program;
	size = npf_ir_join_space(programs, most);
	form->joined_memory = malloc(size);
	assert_non_null(form->joined_memory);
	form->is_joined = !npf_ir_join(&form->joined, programs, most, form->joined_memory, size);
	if (!form->is_joined)
		return;
	form->joined.dialect = program->dialect;
	npf_ir_optimise(&form->joined, NPF_PASS_DEFAULT | NPF_PASS_HEADER, NULL);
	form->list[n] = &form->joined;
}

static void make_form(struct form *form, const struct npf_program *program, uint32_t n)
{
	size_t size = npf_ir_space(program->length);

	*form = (struct form){ .n = n };
	assert_int_equal(npf_filter_validate(program, NULL, 0), 0);
	form->memory = malloc(size);
	assert_non_null(form->memory);
	assert_int_equal(npf_ir_build(&form->ir, program, form->memory, size), 0);
	npf_ir_optimise(&form->ir, NPF_PASS_DEFAULT | NPF_PASS_HEADER, NULL);
	for (uint32_t i = 0; i < n; i++)
		form->list[i] = &form->ir;
	if (n > 1 && n <= NPF_EBPF_MAX_CLASSES)
		join(form, program, n);
	form->size = npf_ebpf_space(form->list, n + form->is_joined);
	form->space = malloc(form->size);
	assert_non_null(form->space);
}

static void free_form(struct form *form)
{
	free(form->memory);
	free(form->joined_memory);
	free(form->space);
}

static struct npf_ebpf_code allocate(uint32_t capacity)
{
	static const struct npf_ebpf_peek peek = { .bytes_at = 64 };
	struct npf_ebpf_code code = {
		.peek = &peek,
		.insns = malloc((capacity ? capacity : 1) * sizeof(*code.insns)),
		.capacity = capacity,
	};

	assert_non_null(code.insns);
	return code;
}

static int generate(const struct form *form, enum npf_ebpf_access access, struct npf_ebpf_code *code)
{
	return form->n > 1 ? npf_irs_to_ebpf(form->list, form->n, form->is_joined, access, code,
					     form->space, form->size)
			   : npf_ir_to_ebpf(&form->ir, access, code, form->space, form->size);
}

static void check_jumps(const struct npf_ebpf_code *code)
{
	uint8_t last = code->insns[code->length - 1].code;

	assert_true(last == (NPF_JMP | 0x90) || last == (NPF_JMP | NPF_JA)); /* exit, or a jump */
	assert_true(ebpf_jumps_are_sound(code));
}

static void check_program(const struct npf_program *program, uint32_t n)
{
	static const enum npf_ebpf_access accesses[] = { NPF_EBPF_COPY, NPF_EBPF_DIRECT,
							 NPF_EBPF_PEEK };
	struct npf_ebpf_code code, small;
	struct form form;

	make_form(&form, program, n);
	code = allocate(npf_ebpf_capacity(form.list, n + form.is_joined));
	for (size_t i = 0; i < N_OF(accesses); i++) {
		int err = generate(&form, accesses[i], &code);

		/* Too long for a jump is allowed; too long for what was promised is not. */
		assert_true(!err || err == -E2BIG);
		if (err)
			continue;
		check_jumps(&code);
		small = allocate(code.length - 1);
		assert_int_equal(generate(&form, accesses[i], &small), -ENOSPC);
		assert_int_equal(small.length, 0);
		free(small.insns);
		code.length = 0;
	}
	assert_int_equal(npf_ir_to_ebpf(&form.ir, NPF_EBPF_COPY, &code, form.space,
					npf_ebpf_space(form.list, 1) - 1),
			 -ENOSPC);
	free(code.insns);
	free_form(&form);
}

/* n instructions of one kind, then a return. */
static void check_uniform(struct npf_insn insn, uint32_t n)
{
	struct npf_insn *insns = calloc(n + 1, sizeof(*insns));
	const struct npf_program program = { .length = n + 1, .insns = insns };

	assert_non_null(insns);
	for (uint32_t i = 0; i < n; i++)
		insns[i] = insn;
	insns[n].code = NPF_RET | NPF_A;
	check_program(&program, 1);
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
	for (int i = 0; i < 2000; i++) {
		filter_random_program(&random, insns, &program);
		check_program(&program, i % 50 ? 1 : i % 100 ? 7 : NPF_EBPF_MAX_CLASSES);
	}
}

static void appends_behind_what_is_there(void **state)
{
	static const struct npf_insn insns[] = {
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 12 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, 0x0800 },
		{ NPF_RET, 0, 0, 7 },
		{ NPF_RET, 0, 0, 8 },
	};
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	struct npf_ebpf_code code;
	struct form form;
	uint32_t once;

	(void)state;
	make_form(&form, &program, 1);
	code = allocate(2 * npf_ebpf_capacity(form.list, 1));
	assert_int_equal(generate(&form, NPF_EBPF_DIRECT, &code), 0);
	once = code.length;
	assert_int_equal(generate(&form, NPF_EBPF_DIRECT, &code), 0);
	assert_int_equal(code.length, 2 * once);
	assert_memory_equal(code.insns, code.insns + once, once * sizeof(*code.insns));
	free(code.insns);
	free_form(&form);
}

/* Loads by PEEK, which are at bytes_at and more: how many, and whether all are of four bytes. */
static uint32_t count_peeks(const struct npf_ebpf_code *code, bool *all_wide)
{
	uint32_t n = 0;

	*all_wide = true;
	for (uint32_t i = 0; i < code->length; i++) {
		const struct npf_ebpf_insn *insn = &code->insns[i];

		if ((insn->code & 0x07) != NPF_LDX || insn->src != 6 || insn->off < 64)
			continue;
		*all_wide &= (insn->code & 0x18) == NPF_W;
		n++;
	}
	return n;
}

/* Conditions of the part that peeks, which begins with a function of the kernel's. */
static uint32_t count_conditions(const struct npf_ebpf_code *code)
{
	uint32_t n = 0;
	bool peeks = false;

	for (uint32_t i = 0; i < code->length; i++) {
		peeks |= code->insns[i].code == (NPF_JMP | 0x80) && code->insns[i].src == 2;
		n += peeks && (code->insns[i].code & 0x07) == 0x06;
	}
	return n;
}

/* EtherType and header length, fragment and protocol, both ports; and fragment and protocol are one
 * condition of those: the length, EtherType, that, header length, two ports. */
static void neighbours_come_together(void **state)
{
	static const struct npf_insn insns[] = {
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 12 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 11, 0x0800 },
		{ NPF_LD | NPF_ABS | NPF_B, 0, 0, 23 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 9, 6 },
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 20 },
		{ NPF_JMP | NPF_JSET | NPF_K, 7, 0, 0x1FFF },
		{ NPF_LD | NPF_ABS | NPF_B, 0, 0, 14 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 5, 0x45 },
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 34 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 2, 0, 80 },
		{ NPF_LD | NPF_ABS | NPF_H, 0, 0, 36 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, 80 },
		{ NPF_RET, 0, 0, 0xFFFF },
		{ NPF_RET, 0, 0, 0 },
	};
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	struct npf_ebpf_code code;
	struct form form;
	bool all_wide;

	(void)state;
	make_form(&form, &program, 1);
	code = allocate(npf_ebpf_capacity(form.list, 1));
	assert_int_equal(generate(&form, NPF_EBPF_PEEK, &code), 0);
	assert_int_equal(count_peeks(&code, &all_wide), 3);
	assert_true(all_wide);
	assert_int_equal(count_conditions(&code), 6);
	free(code.insns);
	free_form(&form);
}

/* Is the source address one of n? Bytes of code. */
static uint32_t length_of_list(uint32_t n, bool by_table)
{
	static struct npf_insn insns[2 * 1000 + 2];
	const struct npf_program program = { .length = 2 * n + 2, .insns = insns };
	struct npf_ebpf_code code;
	struct form form;
	uint32_t length;

	insns[0] = (struct npf_insn){ NPF_LD | NPF_ABS | NPF_W, 0, 0, 26 };
	for (uint32_t i = 0; i < n; i++) {
		insns[1 + 2 * i] = (struct npf_insn){ NPF_JMP | NPF_JEQ | NPF_K, 0, 1,
						      i * 0x9E3779B1u };
		insns[2 + 2 * i] = (struct npf_insn){ NPF_RET, 0, 0, 1 };
	}
	insns[1 + 2 * n] = (struct npf_insn){ NPF_RET, 0, 0, 0 };
	make_form(&form, &program, 1);
	code = allocate(npf_ebpf_capacity(form.list, 1));
	code.tables_capacity = by_table ? npf_ebpf_tables(form.list, 1) : 0;
	code.tables = malloc(npf_ebpf_tables(form.list, 1) + 1);
	assert_non_null(code.tables);
	assert_int_equal(generate(&form, NPF_EBPF_DIRECT, &code), 0);
	assert_true(code.tables_length <= code.tables_capacity);
	assert_int_equal(code.tables_length > 0, by_table && n > NPF_EBPF_SEARCHED);
	length = code.length;
	free(code.tables);
	free(code.insns);
	free_form(&form);
	return length;
}

static void large_sets_are_tables(void **state)
{
	(void)state;
	assert_int_equal(length_of_list(NPF_EBPF_SEARCHED, true),
			 length_of_list(NPF_EBPF_SEARCHED, false));
	assert_int_equal(length_of_list(100, true), length_of_list(1000, true));
	assert_true(length_of_list(1000, false) > 2000);
}

static void limits_the_classes(void **state)
{
	static const struct npf_insn accept = { NPF_RET, 0, 0, 1 };
	const struct npf_program program = { .length = 1, .insns = &accept };
	struct npf_ebpf_code code = allocate(64 * NPF_EBPF_MAX_CLASSES);
	struct form form;

	(void)state;
	make_form(&form, &program, NPF_EBPF_MAX_CLASSES + 1);
	assert_int_equal(generate(&form, NPF_EBPF_COPY, &code), -EINVAL);
	assert_int_equal(npf_irs_to_ebpf(form.list, 0, false, NPF_EBPF_COPY, &code, form.space,
					 form.size),
			 -EINVAL);
	assert_int_equal(code.length, 0);
	free(code.insns);
	free_form(&form);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_programs_fit),
		cmocka_unit_test(short_space_is_not_exceeded),
		cmocka_unit_test(appends_behind_what_is_there),
		cmocka_unit_test(neighbours_come_together),
		cmocka_unit_test(large_sets_are_tables),
		cmocka_unit_test(limits_the_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
