/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Linux asks of a program before it takes it for a socket, beyond npf_filter_validate(): shifts
 * below 32, only fields that it has, and no scratch word that is read before it is written, as far
 * as one look from the first instruction to the last can tell. That look does not forget at a return
 * which words were written there.
 */
#ifndef LINUX_CHECK_H
#define LINUX_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "filter/filter.h"
#include "filter/opcodes.h"

#define LINUX_FIRST_FIELD 0xFFFFF000u
#define LINUX_LAST_FIELD  0xFFFFF03Cu /* every fourth is one */

static inline bool linux_takes_operand(const struct npf_insn *insn)
{
	switch (insn->code) {
	case NPF_ALU | NPF_LSH | NPF_K:
	case NPF_ALU | NPF_RSH | NPF_K:
		return insn->k < 32;
	case NPF_LD | NPF_ABS | NPF_W:
	case NPF_LD | NPF_ABS | NPF_H:
	case NPF_LD | NPF_ABS | NPF_B:
		return insn->k < LINUX_FIRST_FIELD ||
		       (insn->k <= LINUX_LAST_FIELD && insn->k % 4 == 0);
	default:
		return true;
	}
}

/* written: scratch words that are known to be written before instruction i; on leaving, behind it.
 * known: the same for each instruction that a jump leads to. */
static inline bool linux_takes_words(const struct npf_program *program, uint32_t i,
				     uint16_t *written, uint16_t *known)
{
	const struct npf_insn *insn = &program->insns[i];

	switch (NPF_CLASS(insn->code)) {
	case NPF_ST:
	case NPF_STX:
		*written |= (uint16_t)(1u << insn->k);
		return true;
	case NPF_LD:
	case NPF_LDX:
		return NPF_MODE(insn->code) != NPF_MEM || (*written >> insn->k & 1);
	case NPF_JMP:
		if (insn->code == (NPF_JMP | NPF_JA)) {
			known[i + 1 + insn->k] &= *written;
		} else {
			known[i + 1 + insn->jt] &= *written;
			known[i + 1 + insn->jf] &= *written;
		}
		*written = 0xFFFF;
		return true;
	default:
		return true;
	}
}

/* The program has passed npf_filter_validate(). */
static inline bool linux_takes(const struct npf_program *program)
{
	uint16_t known[NPF_MAX_INSNS], written = 0;

	memset(known, 0xFF, sizeof(known));
	for (uint32_t i = 0; i < program->length; i++) {
		written &= known[i];
		if (!linux_takes_operand(&program->insns[i]) ||
		    !linux_takes_words(program, i, &written, known))
			return false;
	}
	return true;
}

#endif
