/* SPDX-License-Identifier: BSD-3-Clause */
/* See translate.h. */
#include "host/linux/translate.h"

#include <errno.h>
#include <stdlib.h>

#define RET_K 0x06

struct forms {
	uint32_t n;
	struct npf_ir ir[NPF_EBPF_MAX_CLASSES];
	const struct npf_ir *list[NPF_EBPF_MAX_CLASSES];
	void *spaces[NPF_EBPF_MAX_CLASSES];
};

static int build(struct forms *forms, const struct npf_program *program)
{
	static const struct npf_insn accept = { RET_K, 0, 0, 0xFFFFFFFF };
	static const struct npf_program all = { .length = 1, .insns = &accept };
	uint32_t i = forms->n;
	size_t size;

	if (!program || !program->length)
		program = &all;
	size = npf_ir_space(program->length);
	forms->spaces[i] = malloc(size);
	if (!forms->spaces[i])
		return -ENOMEM;
	forms->n++;
	forms->list[i] = &forms->ir[i];
	if (npf_ir_build(&forms->ir[i], program, forms->spaces[i], size))
		return -E2BIG;
	npf_ir_optimise(&forms->ir[i], NPF_TRANSLATE_PASSES, NULL);
	return 0;
}

static void drop(struct forms *forms)
{
	while (forms->n)
		free(forms->spaces[--forms->n]);
	free(forms);
}

static int generate(const struct forms *forms, bool is_mask, enum npf_ebpf_access access,
		    struct npf_ebpf_code *code)
{
	size_t size = npf_ebpf_space(forms->list, forms->n);
	void *space = malloc(size);
	int err = -ENOMEM;

	code->length = 0;
	code->capacity = npf_ebpf_capacity(forms->list, forms->n);
	code->insns = malloc(code->capacity * sizeof(*code->insns));
	if (space && code->insns)
		err = is_mask ? npf_irs_to_ebpf(forms->list, forms->n, access, code, space, size)
			      : npf_ir_to_ebpf(forms->list[0], access, code, space, size);
	free(space);
	if (!err)
		return 0;
	free(code->insns);
	code->insns = NULL;
	return err == -ENOSPC ? -E2BIG : err;
}

int npf_translate(const struct npf_program *const *programs, uint32_t n, bool is_mask,
		  enum npf_ebpf_access access, const struct npf_ebpf_peek *peek,
		  struct npf_ebpf_code *code)
{
	struct forms *forms = calloc(1, sizeof(*forms));
	int err = 0;

	*code = (struct npf_ebpf_code){ .peek = peek };
	if (!forms)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !err; i++)
		err = build(forms, programs[i]);
	if (!err)
		err = generate(forms, is_mask, access, code);
	drop(forms);
	return err;
}
