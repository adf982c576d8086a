/* SPDX-License-Identifier: BSD-3-Clause */
/* See translate.h. */
#include "host/linux/translate.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <unistd.h>

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

/* A map for the tables of large sets. Where there is none they are searched in code. */
static void make_tables(const struct forms *forms, struct npf_ebpf_code *code)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	uint32_t size = npf_ebpf_tables(forms->list, forms->n);

	options.map_flags = BPF_F_RDONLY_PROG;
	code->tables_map = -1;
	code->tables = size ? calloc(1, size) : NULL;
	if (!code->tables)
		return;
	code->tables_map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "npf_tables", sizeof(uint32_t), size,
					  1, &options);
	code->tables_capacity = code->tables_map < 0 ? 0 : size;
}

static int fill_tables(const struct npf_ebpf_code *code)
{
	const uint32_t zero = 0;

	if (!code->tables_length)
		return 0;
	return bpf_map_update_elem(code->tables_map, &zero, code->tables, BPF_ANY) ? -errno : 0;
}

static int generate(const struct forms *forms, bool is_mask, enum npf_ebpf_access access,
		    struct npf_ebpf_code *code)
{
	size_t size = npf_ebpf_space(forms->list, forms->n);
	void *space = malloc(size);
	int err = -ENOMEM;

	code->capacity = npf_ebpf_capacity(forms->list, forms->n);
	code->insns = malloc(code->capacity * sizeof(*code->insns));
	make_tables(forms, code);
	if (space && code->insns)
		err = is_mask ? npf_irs_to_ebpf(forms->list, forms->n, access, code, space, size)
			      : npf_ir_to_ebpf(forms->list[0], access, code, space, size);
	if (!err)
		err = fill_tables(code);
	free(space);
	free(code->tables);
	code->tables = NULL;
	if (!err)
		return 0;
	npf_translate_free(code);
	return err == -ENOSPC ? -E2BIG : err;
}

/* One that was never made is all zero. */
void npf_translate_free(struct npf_ebpf_code *code)
{
	if (code->capacity && code->tables_map >= 0)
		close(code->tables_map);
	free(code->insns);
	*code = (struct npf_ebpf_code){ 0 };
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
