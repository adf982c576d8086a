/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check that a program passes before anything else touches it. What passed terminates, stays
 * inside its instructions and its scratch words, and means the same to every engine.
 */
#include <errno.h>
#include <stdbool.h>

#include "base/text.h"
#include "filter/ancillary.h"
#include "filter/filter.h"
#include "filter/opcodes.h"

static bool is_load(uint16_t code)
{
	switch (code) {
	case NPF_LD | NPF_IMM:
	case NPF_LD | NPF_MEM:
	case NPF_LD | NPF_LEN:
	case NPF_LD | NPF_ABS | NPF_W:
	case NPF_LD | NPF_ABS | NPF_H:
	case NPF_LD | NPF_ABS | NPF_B:
	case NPF_LD | NPF_IND | NPF_W:
	case NPF_LD | NPF_IND | NPF_H:
	case NPF_LD | NPF_IND | NPF_B:
	case NPF_LDX | NPF_IMM:
	case NPF_LDX | NPF_MEM:
	case NPF_LDX | NPF_LEN:
	case NPF_LDX | NPF_MSH | NPF_B:
		return true;
	default:
		return false;
	}
}

static bool is_arithmetic(uint16_t code)
{
	switch (code & ~NPF_X) {
	case NPF_ALU | NPF_ADD:
	case NPF_ALU | NPF_SUB:
	case NPF_ALU | NPF_MUL:
	case NPF_ALU | NPF_DIV:
	case NPF_ALU | NPF_MOD:
	case NPF_ALU | NPF_AND:
	case NPF_ALU | NPF_OR:
	case NPF_ALU | NPF_XOR:
	case NPF_ALU | NPF_LSH:
	case NPF_ALU | NPF_RSH:
		return true;
	default:
		return code == (NPF_ALU | NPF_NEG);
	}
}

static bool is_branch(uint16_t code)
{
	switch (code & ~NPF_X) {
	case NPF_JMP | NPF_JEQ:
	case NPF_JMP | NPF_JGT:
	case NPF_JMP | NPF_JGE:
	case NPF_JMP | NPF_JSET:
		return true;
	default:
		return false;
	}
}

static bool is_return(uint16_t code)
{
	return code == (NPF_RET | NPF_K) || code == (NPF_RET | NPF_A);
}

static bool is_known(uint16_t code)
{
	return is_load(code) || is_arithmetic(code) || is_branch(code) || is_return(code) ||
	       code == NPF_ST || code == NPF_STX || code == (NPF_JMP | NPF_JA) ||
	       code == (NPF_MISC | NPF_TAX) || code == (NPF_MISC | NPF_TXA);
}

static bool uses_scratch(uint16_t code)
{
	return code == NPF_ST || code == NPF_STX || code == (NPF_LD | NPF_MEM) ||
	       code == (NPF_LDX | NPF_MEM);
}

static bool divides_by_k(uint16_t code)
{
	return code == (NPF_ALU | NPF_DIV | NPF_K) || code == (NPF_ALU | NPF_MOD | NPF_K);
}

/* Would Linux read something that not every engine here can give? */
static bool is_foreign(const struct npf_insn *insn)
{
	if (insn->k < NPF_LINUX_SPECIAL_OFFSET)
		return false;
	if (insn->code == (NPF_LDX | NPF_MSH | NPF_B))
		return true;
	return is_load(insn->code) && NPF_MODE(insn->code) == NPF_ABS &&
	       !npf_ancillary_find(insn->k);
}

/*
 * What there is to check of most instructions, so that long programs are checked in no time: an
 * opcode that is always right, or a branch whose distances are. Everything else is looked at
 * closely.
 */
enum shape { CLOSELY, ALWAYS_RIGHT, BRANCH };

static const uint8_t shapes[256] = {
	[NPF_LD | NPF_IMM] = ALWAYS_RIGHT,          [NPF_LD | NPF_LEN] = ALWAYS_RIGHT,
	[NPF_LD | NPF_IND | NPF_W] = ALWAYS_RIGHT,  [NPF_LD | NPF_IND | NPF_H] = ALWAYS_RIGHT,
	[NPF_LD | NPF_IND | NPF_B] = ALWAYS_RIGHT,  [NPF_LDX | NPF_IMM] = ALWAYS_RIGHT,
	[NPF_LDX | NPF_LEN] = ALWAYS_RIGHT,         [NPF_ALU | NPF_ADD | NPF_K] = ALWAYS_RIGHT,
	[NPF_ALU | NPF_ADD | NPF_X] = ALWAYS_RIGHT, [NPF_ALU | NPF_AND | NPF_K] = ALWAYS_RIGHT,
	[NPF_ALU | NPF_LSH | NPF_K] = ALWAYS_RIGHT, [NPF_ALU | NPF_RSH | NPF_K] = ALWAYS_RIGHT,
	[NPF_MISC | NPF_TAX] = ALWAYS_RIGHT,        [NPF_MISC | NPF_TXA] = ALWAYS_RIGHT,
	[NPF_RET | NPF_K] = ALWAYS_RIGHT,           [NPF_RET | NPF_A] = ALWAYS_RIGHT,
	[NPF_JMP | NPF_JEQ | NPF_K] = BRANCH,       [NPF_JMP | NPF_JGT | NPF_K] = BRANCH,
	[NPF_JMP | NPF_JGE | NPF_K] = BRANCH,       [NPF_JMP | NPF_JSET | NPF_K] = BRANCH,
};

/* behind: instructions that follow, at least 1. */
static bool is_plainly_right(const struct npf_insn *insn, uint32_t behind)
{
	if (insn->code >= sizeof(shapes))
		return false;
	if (shapes[insn->code] == BRANCH)
		return insn->jt < behind && insn->jf < behind;
	return shapes[insn->code] == ALWAYS_RIGHT;
}

/* What is wrong with instruction i, NULL: nothing. */
static const char *find_fault(const struct npf_program *program, uint32_t i)
{
	const struct npf_insn *insn = &program->insns[i];
	uint32_t behind = program->length - 1 - i; /* instructions that follow */

	if (!is_known(insn->code))
		return "unknown opcode";
	if (uses_scratch(insn->code) && insn->k >= NPF_MEM_WORDS)
		return "no such scratch word";
	if (divides_by_k(insn->code) && insn->k == 0)
		return "division by zero";
	if (insn->code == (NPF_JMP | NPF_JA) && insn->k >= behind)
		return "jump out of the program";
	if (is_branch(insn->code) && (insn->jt >= behind || insn->jf >= behind))
		return "jump out of the program";
	if (program->dialect == NPF_DIALECT_LINUX && is_foreign(insn))
		return "unsupported Linux extension";
	if (!behind && !is_return(insn->code))
		return "the last instruction does not return";
	return NULL;
}

const char *npf_filter_misfit(const struct npf_program *program)
{
	if (!program || !program->insns || !program->length)
		return "the program is empty; to accept all, return -1";
	if (program->length > NPF_MAX_INSNS)
		return "the program is longer than 4096 instructions";
	if (program->dialect != NPF_DIALECT_WIRE && program->dialect != NPF_DIALECT_LINUX)
		return "unknown dialect";
	return NULL;
}

static void tell_fault(struct npf_text *text, const struct npf_insn *insn, uint32_t i,
		       const char *fault)
{
	npf_text_add(text, "instruction ");
	npf_text_add_unsigned(text, i);
	npf_text_add(text, ": ");
	npf_text_add(text, fault);
	npf_text_add(text, " (code ");
	npf_text_add_hex(text, insn->code, 2);
	npf_text_add(text, ", k ");
	npf_text_add_hex(text, insn->k, 1);
	npf_text_add(text, ")");
}

int npf_filter_validate(const struct npf_program *program, char *error, size_t error_size)
{
	const char *misfit = npf_filter_misfit(program);
	struct npf_text text;

	npf_text_init(&text, error, error_size);
	if (misfit) {
		npf_text_add(&text, misfit);
		return -EINVAL;
	}

	for (uint32_t i = 0; i < program->length; i++) {
		uint32_t behind = program->length - 1 - i;
		const char *fault;

		if (behind && is_plainly_right(&program->insns[i], behind))
			continue;
		fault = find_fault(program, i);
		if (!fault)
			continue;
		tell_fault(&text, &program->insns[i], i, fault);
		return -EINVAL;
	}
	return 0;
}
