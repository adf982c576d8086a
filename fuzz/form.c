/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The intermediate form on arbitrary programs, packets and choices of passes: it keeps its rules,
 * gives the interpreter's answers, on packets cut anywhere too, and the classic BPF written from it
 * is valid, gives them again and is taken by Linux if the program is. Twice in one form it accepts
 * twice.
 *
 * Input: flags (1 the dialect, 2 tagged), number of instructions, the passes, the tag, instructions,
 * packet.
 */
#include "base/bytes.h"
#include "filter/filter.h"
#include "filter/ir.h"
#include "fuzz.h"
#include "lib/linux_check.h"

#define HEADER 8

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
		check(npf_filter_run(program, &cut, data) == npf_ir_run(ir, &again, data, work));
		check(cut.shift == again.shift);
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
		check(!npf_filter_validate(&written, NULL, 0));
		check(!linux_takes(program) || linux_takes(&written));
		check(npf_filter_run(program, &first, packet) ==
		      npf_filter_run(&written, &second, packet));
	}
	free(insns);
}

/* Text is cut where the buffer ends, and enough room is enough. */
static void write_text(const struct npf_ir *ir)
{
	size_t size = npf_ir_c_space(ir);
	char *text = allocate(size);

	npf_ir_to_c(ir, "filter", text, size);
	check(strlen(text) + 1 < size && !strcmp(text + strlen(text) - 2, "}\n"));
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

	check(npf_ir_build(&ir, program, memory, size) == 0);
	for (int optimised = 0; optimised < 2; optimised++) {
		if (optimised)
			npf_ir_optimise(&ir, passes, NULL);
		work = allocate(npf_ir_run_space(&ir));
		fault = npf_ir_verify(&ir, &where, work);
		check_that(!fault, fault);
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
		check_that(!fault, fault);
		answer = npf_ir_run(&ir, &first, packet, work);
		mask = npf_filter_run(program, &second, packet) ? 5 : 0;
		check(!answer || answer == (NPF_IR_JOINED | mask));
		free(work);
	}
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	if (size < HEADER)
		return 0;

	struct fuzz_input in = take_input(input, size, HEADER);
	struct npf_frame frame = {
		.length = in.length,
		.wire_length = (uint32_t)size,
		.tag_tpid = npf_get_be16(input + 4),
		.tag_tci = npf_get_be16(input + 6),
		.tagged = (input[0] >> 1 & 1) && in.length >= NPF_TAG_OFFSET,
	};
	uint32_t passes = npf_get_be16(input + 2) & ((1u << NPF_N_PASSES) - 1);

	if (!npf_filter_validate(&in.program, NULL, 0)) {
		check_form(&in.program, passes, &frame, in.packet);
		if (!frame.tagged)
			check_joined(&in.program, passes, &frame, in.packet);
	}
	free(in.insns);
	return 0;
}
