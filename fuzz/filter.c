/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter engine on arbitrary programs and packets: what the validator lets through must be
 * interpreted without touching a byte beside the packet, give the same answer for a stripped tag
 * as for one in the bytes, and translate into the promised space.
 *
 * Input: flags (1 the dialect, 2 tagged), number of instructions, the tag, instructions, packet.
 */
#include "base/bytes.h"
#include "filter/ebpf.h"
#include "filter/filter.h"
#include "fuzz.h"
#include "lib/ebpf_jumps.h"

#define HEADER 6

static void interpret(const struct npf_program *program, struct npf_frame *frame,
		      const uint8_t *packet)
{
	uint8_t *data = copy(packet, frame->length);
	uint32_t answer = npf_filter_run(program, frame, data);

	check(answer == npf_filter_run(program, frame, data));
	free(data);
	if (!frame->shift || frame->length < NPF_TAG_OFFSET)
		return;

	uint8_t *wire = allocate(frame->length + NPF_TAG_SIZE);

	memcpy(wire, packet, NPF_TAG_OFFSET);
	npf_put_be16(wire + NPF_TAG_OFFSET, frame->tag_tpid);
	npf_put_be16(wire + NPF_TAG_OFFSET + 2, frame->tag_tci);
	memcpy(wire + NPF_TAG_OFFSET + NPF_TAG_SIZE, packet + NPF_TAG_OFFSET,
	       frame->length - NPF_TAG_OFFSET);
	check(answer ==
	      npf_bpf_filter(program, wire, frame->wire_length, frame->length + NPF_TAG_SIZE));
	free(wire);
}

static void translate(const struct npf_program *program)
{
	size_t size = npf_ir_space(program->length);
	void *memory = allocate(size), *space;
	const struct npf_program *const programs[] = { program, program };
	size_t joined_size = npf_ir_join_space(programs, 2);
	void *joined_memory = allocate(joined_size);
	struct npf_ir ir, joined;
	const struct npf_ir *list[] = { &ir, &ir, &joined };
	bool is_joined = !npf_ir_join(&joined, programs, 2, joined_memory, joined_size);
	static const struct npf_ebpf_peek peek = { .bytes_at = 64 };
	struct npf_ebpf_code code = { .peek = &peek };

	check(npf_ir_build(&ir, program, memory, size) == 0);
	npf_ir_optimise(&ir, NPF_PASS_DEFAULT | NPF_PASS_HEADER, NULL);
	if (is_joined)
		npf_ir_optimise(&joined, NPF_PASS_DEFAULT | NPF_PASS_HEADER, NULL);
	size = npf_ebpf_space(list, 2 + is_joined);
	space = allocate(size);
	code.capacity = npf_ebpf_capacity(list, 2 + is_joined);
	code.insns = allocate(code.capacity * sizeof(*code.insns));
	for (int access = NPF_EBPF_COPY; access <= NPF_EBPF_PEEK; access++) {
		code.length = 0;
		if (!npf_irs_to_ebpf(list, 2, is_joined, (enum npf_ebpf_access)access, &code, space,
				     size))
			check(ebpf_jumps_are_sound(&code));
		code.length = 0;
		if (!npf_ir_to_ebpf(&ir, (enum npf_ebpf_access)access, &code, space, size))
			check(ebpf_jumps_are_sound(&code));
	}
	free(code.insns);
	free(space);
	free(joined_memory);
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
		.tag_tpid = npf_get_be16(input + 2),
		.tag_tci = npf_get_be16(input + 4),
		.tagged = input[0] >> 1 & 1,
	};
	char error[64];

	if (!npf_filter_validate(&in.program, error, sizeof(error))) {
		interpret(&in.program, &frame, in.packet);
		translate(&in.program);
	} else {
		check(error[0] != '\0' && memchr(error, '\0', sizeof(error)) != NULL);
	}
	free(in.insns);
	return 0;
}
