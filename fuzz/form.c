/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The intermediate form on arbitrary programs, packets and choices of passes: it keeps its rules,
 * gives the interpreter's answers, on packets cut anywhere too, and the classic BPF written from it
 * is valid and gives them again. Twice in one form it accepts twice.
 *
 * Input: flags (1 the dialect, 2 tagged), number of instructions, the passes, the tag, instructions,
 * packet.
 *
 *	clang -std=gnu11 -g -O1 -Iinclude -Isrc -fsanitize=fuzzer,address,undefined \
 *		-fno-sanitize-recover=undefined -o /tmp/fuzz-form fuzz/form.c \
 *		src/filter/{validate,interp,ir_*,opt*,to_c,to_cbpf}.c
 *	/tmp/fuzz-form -max_total_time=60 /tmp/new-corpus fuzz/corpus/filter
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "filter/filter.h"
#include "filter/ir.h"

#define HEADER 8

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void *allocate(size_t size)
{
	void *memory = malloc(size ? size : 1);

	check(memory != NULL, "no memory");
	return memory;
}

/* The packet and some of its beginnings, each in memory of exactly its size. */
static void compare(const struct npf_ir *ir, const struct npf_program *program,
		    const struct npf_frame *frame, const uint8_t *packet, void *work)
{
	uint32_t least = frame->tagged ? NPF_TAG_OFFSET : 0;
	uint32_t step = 1 + frame->length / 16;

	for (uint32_t length = frame->length; length >= least; length -= step) {
		struct npf_frame cut = *frame, again = *frame;
		uint8_t *data = allocate(length);

		memcpy(data, packet, length);
		cut.length = length;
		again.length = length;
		check(npf_filter_run(program, &cut, data) == npf_ir_run(ir, &again, data, work),
		      "another answer");
		check(cut.shift == again.shift, "another place of the tag");
		free(data);
		if (length < step)
			break;
	}
}

static void write_classic(const struct npf_ir *ir, const struct npf_program *program,
			  const struct npf_frame *frame, const uint8_t *packet)
{
	struct npf_insn *insns = allocate(NPF_MAX_INSNS * sizeof(*insns));
	struct npf_program written = *program;
	struct npf_frame first = *frame, second = *frame;

	written.length = NPF_MAX_INSNS;
	written.insns = insns;
	if (!npf_ir_to_cbpf(ir, insns, &written.length)) {
		check(!npf_filter_validate(&written, NULL, 0), "an invalid program");
		check(npf_filter_run(program, &first, packet) ==
			      npf_filter_run(&written, &second, packet),
		      "another answer of the written program");
	}
	free(insns);
}

/* Text is cut where the buffer ends, and enough room is enough. */
static void write_text(const struct npf_ir *ir)
{
	size_t size = npf_ir_c_space(ir);
	char *text = allocate(size);

	npf_ir_to_c(ir, "filter", text, size);
	check(strlen(text) + 1 < size && !strcmp(text + strlen(text) - 2, "}\n"), "C was cut");
	npf_ir_to_text(ir, text, 40);
	npf_ir_to_dot(ir, text, 40);
	free(text);
}

static void check_form(const struct npf_program *program, uint32_t passes,
		       const struct npf_frame *frame, const uint8_t *packet)
{
	size_t size = npf_ir_space(program->length);
	void *memory = allocate(size), *work;
	const char *fault;
	uint32_t where;
	struct npf_ir ir;

	check(npf_ir_build(&ir, program, memory, size) == 0, "not built");
	for (int optimised = 0; optimised < 2; optimised++) {
		if (optimised)
			npf_ir_optimise(&ir, passes, NULL);
		work = allocate(npf_ir_run_space(&ir));
		fault = npf_ir_verify(&ir, &where, work);
		check(!fault, fault);
		compare(&ir, program, frame, packet, work);
		free(work);
	}
	write_text(&ir);
	write_classic(&ir, program, frame, packet);
	free(memory);
}

/* The program as number 0 and number 2 of a form: it may leave the answer open, with 0. */
static void check_joined(const struct npf_program *program, uint32_t passes,
			 const struct npf_frame *frame, const uint8_t *packet)
{
	const struct npf_program *const programs[] = { program, NULL, program };
	size_t size = npf_ir_join_space(programs, 3);
	void *memory = allocate(size), *work;
	struct npf_frame first = *frame, second = *frame;
	const char *fault;
	uint32_t where, mask, answer;
	struct npf_ir ir;

	if (npf_ir_join(&ir, programs, 3, memory, size)) {
		free(memory);
		return;
	}
	for (int optimised = 0; optimised < 2; optimised++) {
		if (optimised)
			npf_ir_optimise(&ir, passes, NULL);
		work = allocate(npf_ir_run_space(&ir));
		fault = npf_ir_verify(&ir, &where, work);
		check(!fault, fault);
		answer = npf_ir_run(&ir, &first, packet, work);
		mask = npf_filter_run(program, &second, packet) ? 5 : 0;
		check(!answer || answer == (NPF_IR_JOINED | mask), "another answer of two");
		free(work);
	}
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	if (size < HEADER)
		return 0;

	size_t room = (size - HEADER) / sizeof(struct npf_insn);
	uint32_t n = input[1] < room ? input[1] : (uint32_t)room;
	struct npf_insn *insns = allocate(n * sizeof(*insns));
	const struct npf_program program = {
		.length = n,
		.dialect = input[0] & 1 ? NPF_DIALECT_LINUX : NPF_DIALECT_WIRE,
		.insns = insns,
	};
	uint32_t length = (uint32_t)(size - HEADER - n * sizeof(*insns));
	struct npf_frame frame = {
		.length = length,
		.wire_length = (uint32_t)size,
		.tag_tpid = npf_get_be16(input + 4),
		.tag_tci = npf_get_be16(input + 6),
		.tagged = (input[0] >> 1 & 1) && length >= NPF_TAG_OFFSET,
	};

	memcpy(insns, input + HEADER, n * sizeof(*insns));
	uint32_t passes = npf_get_be16(input + 2) & ((1u << NPF_N_PASSES) - 1);
	const uint8_t *packet = input + HEADER + n * sizeof(*insns);

	if (!npf_filter_validate(&program, NULL, 0)) {
		check_form(&program, passes, &frame, packet);
		if (!frame.tagged)
			check_joined(&program, passes, &frame, packet);
	}
	free(insns);
	return 0;
}
