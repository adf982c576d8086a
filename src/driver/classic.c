/* SPDX-License-Identifier: BSD-3-Clause */
/* Classic BPF programs made better, for who hands them to somebody else: npf_bpf_optimise(). */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"
#include "filter/filter.h"
#include "filter/ir.h"

int npf_bpf_optimise(struct npf_host *host, const struct npf_program *program,
		     struct npf_insn *insns, uint32_t *length, char *error)
{
	int err = npf_filter_validate(program, error, error ? NPF_ERROR_SIZE : 0);
	struct npf_text text;
	struct npf_ir ir;
	size_t size;
	void *space;

	if (err)
		return err;
	size = npf_ir_space(program->length);
	space = npf_alloc(host, size);
	if (!space) {
		npf_text_init(&text, error, NPF_ERROR_SIZE);
		npf_text_add(&text, "out of memory");
		return -ENOMEM;
	}
	/* What comes out longer than it went in does not fit. */
	*length = program->length;
	err = npf_ir_build(&ir, program, space, size);
	if (!err) {
		npf_ir_optimise(&ir, NPF_PASS_CBPF, NULL);
		err = npf_ir_to_cbpf(&ir, insns, length);
	}
	npf_free(host, space, size);
	if (!err)
		return 0;
	memmove(insns, program->insns, program->length * sizeof(*insns));
	*length = program->length;
	return 0;
}
