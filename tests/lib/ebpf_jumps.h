/* SPDX-License-Identifier: BSD-3-Clause */
/* Jumps of generated eBPF code. */
#ifndef NPF_TEST_EBPF_JUMPS_H
#define NPF_TEST_EBPF_JUMPS_H

#include <stdbool.h>

#include "filter/ebpf.h"
#include "filter/opcodes.h"

static inline bool ebpf_is_jump(const struct npf_ebpf_insn *insn)
{
	uint8_t class = insn->code & 0x07, op = insn->code & 0xf0;

	return class == 0x06 || (class == 0x05 && op != 0x80 && op != 0x90);
}

/* All stay inside and lead forward, but for those from the main part to the copy: that begins behind
 * the jump to the main part, and stands before it. So the code ends. */
static inline bool ebpf_jumps_are_sound(const struct npf_ebpf_code *code)
{
	for (uint32_t i = 0; i < code->length; i++) {
		const struct npf_ebpf_insn *insn = &code->insns[i];
		int64_t to = (int64_t)i + 1 + insn->off;

		if (!ebpf_is_jump(insn))
			continue;
		if (to < 0 || to >= code->length)
			return false;
		if (to > i)
			continue;
		if (!to || !ebpf_is_jump(&code->insns[to - 1]) ||
		    to + code->insns[to - 1].off > (int64_t)i)
			return false;
	}
	return true;
}

#endif
