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
	uint32_t n; /* with the joined one, which comes last */
	uint32_t n_programs;
	struct npf_ir ir[NPF_EBPF_MAX_CLASSES + 1];
	const struct npf_ir *list[NPF_EBPF_MAX_CLASSES + 1];
	void *spaces[NPF_EBPF_MAX_CLASSES + 1];
};

static const struct npf_insn accept = { RET_K, 0, 0, 0xFFFFFFFF };
static const struct npf_program all = { .length = 1, .insns = &accept };

static const struct npf_program *or_all(const struct npf_program *program)
{
	return program && program->length ? program : &all;
}

/* Memory for the next form; it counts once there is a form in it. */
static int add_space(struct forms *forms, size_t size)
{
	uint32_t i = forms->n;

	forms->spaces[i] = malloc(size);
	if (!forms->spaces[i])
		return -ENOMEM;
	forms->list[i] = &forms->ir[i];
	forms->n++;
	return 0;
}

static int build(struct forms *forms, const struct npf_program *program)
{
	struct npf_ir *ir = &forms->ir[forms->n];
	size_t size = npf_ir_space(program->length);
	int err = add_space(forms, size);

	if (err)
		return err;
	if (npf_ir_build(ir, program, forms->spaces[forms->n - 1], size))
		return -E2BIG;
	npf_ir_optimise(ir, NPF_TRANSLATE_PASSES, NULL);
	return 0;
}

/* The way in which all see the packet; a program that nobody wrote sees it in any. */
static int find_dialect(const struct npf_program *const *programs, uint32_t n,
			enum npf_dialect *dialect)
{
	const struct npf_program *first = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (programs[i] == &all)
			continue;
		if (first && programs[i]->dialect != first->dialect)
			return -E2BIG;
		first = programs[i];
	}
	*dialect = first ? first->dialect : NPF_DIALECT_WIRE;
	return 0;
}

/* The first of them once more, as one. */
static int join(struct forms *forms, const struct npf_program *const *programs)
{
	uint32_t n = forms->n < NPF_IR_MOST_JOINED ? forms->n : NPF_IR_MOST_JOINED;
	struct npf_ir *ir = &forms->ir[forms->n];
	size_t size = npf_ir_join_space(programs, n);
	enum npf_dialect dialect;
	int err = find_dialect(programs, n, &dialect);

	if (!err)
		err = add_space(forms, size);
	if (err)
		return err;
	err = npf_ir_join(ir, programs, n, forms->spaces[forms->n - 1], size);
	if (err)
		return err;
	ir->dialect = dialect;
	npf_ir_optimise(ir, NPF_TRANSLATE_PASSES, NULL);
	return 0;
}

static int build_all(struct forms *forms, const struct npf_program *const *programs, uint32_t n,
		     bool joined)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = build(forms, programs[i]);
	forms->n_programs = forms->n;
	if (!err && joined)
		err = join(forms, programs);
	return err;
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
		err = is_mask ? npf_irs_to_ebpf(forms->list, forms->n_programs,
						forms->n > forms->n_programs, access, code, space,
						size)
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
		  const struct npf_translation *way, struct npf_ebpf_code *code)
{
	const struct npf_program *list[NPF_EBPF_MAX_CLASSES];
	struct forms *forms = calloc(1, sizeof(*forms));
	int err;

	*code = (struct npf_ebpf_code){ .peek = way->peek };
	if (!forms)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		list[i] = or_all(programs[i]);
	err = build_all(forms, list, n, way->join && n > 1 && way->access != NPF_EBPF_COPY);
	if (!err)
		err = generate(forms, is_mask, way->access, code);
	drop(forms);
	return err;
}
