/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that must be refused, and every way into an instance that must refuse them: with the
 * validator's sentence, whatever the host.
 */
#ifndef REFUSALS_H
#define REFUSALS_H

#include "lib/check.h"

#include <stdio.h>

#include "filter/filter.h"
#include "npf/ioctl.h"
#include "npf/npf.h"

static const struct refusal {
	struct npf_insn insns[4];
	uint32_t length;
} refusals[] = {
	{ { INSN_LD_B(0) }, 1 },                   /* ends without a return */
	{ { INSN_JEQ(0, 5, 0), INSN_RET(0) }, 2 }, /* jumps outside */
	{ { INSN_JEQ(0, 0, 255), INSN_RET(0) }, 2 },
	{ { { .code = 0x05, .k = 1 }, INSN_RET(0) }, 2 },
	{ { { .code = 0x05, .k = UINT32_MAX }, INSN_RET(0) }, 2 }, /* jumps back */
	{ { { .code = 0x25, .jt = 1, .jf = 1 }, INSN_RET(0) }, 2 },
	{ { { .code = 0x34, .k = 0 }, INSN_RET(0) }, 2 }, /* divides by zero */
	{ { { .code = 0x94, .k = 0 }, INSN_RET(0) }, 2 },
	{ { { .code = 0x02, .k = 16 }, INSN_RET(0) }, 2 }, /* memory outside */
	{ { { .code = 0x60, .k = 16 }, INSN_RET(0) }, 2 },
	{ { { .code = 0x03, .k = UINT32_MAX }, INSN_RET(0) }, 2 },
	{ { { .code = 0xFFFF }, INSN_RET(0) }, 2 }, /* no such instruction */
	{ { { .code = 0x1234 }, INSN_RET(0) }, 2 },
	{ { { .code = 0xFF }, INSN_RET(0) }, 2 },
	{ { INSN_RET(0), { .code = 0xF7 }, INSN_RET(0) }, 3 },
};

static inline void refused_with(struct npf_instance *instance, int err, const char *before,
				const char *sentence)
{
	char expected[NPF_ERROR_SIZE];

	assert_int_equal(err, -EINVAL);
	snprintf(expected, sizeof(expected), "%s%s", before, sentence);
	assert_string_equal(npf_error(instance), expected);
}

static inline void refused_by(struct npf_instance *instance, const struct npf_program *program)
{
	struct npf_class class = { .name = "bad", .program = *program };
	char sentence[NPF_ERROR_SIZE / 2];

	assert_int_equal(npf_filter_validate(program, sentence, sizeof(sentence)), -EINVAL);
	refused_with(instance, npf_set_filter(instance, program),
		     "the filter is refused: ", sentence);
	refused_with(instance, npf_set_classes(instance, &class, 1), "class 'bad': ", sentence);
	if (program->dialect == NPF_DIALECT_WIRE && program->insns)
		refused_with(instance,
			     npf_io_control(instance, NPF_BIOCSETF, program->insns,
					    program->length * sizeof(*program->insns), NULL, 0,
					    NULL),
			     "the filter is refused: ", sentence);
}

/* The table, and what is wrong before an instruction is looked at. */
static inline void all_refused_by(struct npf_instance *instance)
{
	static struct npf_insn insns[NPF_MAX_INSNS + 1];
	struct npf_program program;

	for (size_t i = 0; i < N_OF(refusals); i++) {
		program = (struct npf_program){ .length = refusals[i].length,
						.insns = refusals[i].insns };
		refused_by(instance, &program);
	}
	for (size_t i = 0; i < N_OF(insns); i++)
		insns[i] = (struct npf_insn)INSN_RET(0);
	program = (struct npf_program){ .length = N_OF(insns), .insns = insns };
	refused_by(instance, &program);
	program = (struct npf_program){ .length = 3 };
	refused_by(instance, &program);
	program = (struct npf_program){ .length = 1,
					.insns = insns,
					.dialect = (enum npf_dialect)77 };
	refused_by(instance, &program);
}

#endif
