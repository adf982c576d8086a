/* SPDX-License-Identifier: BSD-3-Clause */
/* Jumps of eBPF code and where they go. */
#include <errno.h>

#include "filter/ebpf_gen.h"

uint32_t npf_ebpf_local_label(struct npf_ebpf_gen *g)
{
	uint32_t label = LABEL_BLOCKS + g->ir->n_blocks + g->n_local++;

	if (label < g->n_labels)
		return label;
	g->err = -ENOSPC;
	return 0;
}

void npf_ebpf_put_label(struct npf_ebpf_gen *g, uint32_t label)
{
	g->label_at[label] = g->code->length - g->begin + 1;
}

void npf_ebpf_jump(struct npf_ebpf_gen *g, uint8_t op, uint8_t dst, uint8_t src, uint32_t k,
		   uint32_t label)
{
	if (g->n_fixups == g->max_fixups) {
		g->err = -ENOSPC;
		return;
	}
	g->label_used[label] = true;
	g->fixups[g->n_fixups++] = (struct npf_ebpf_fixup){ g->code->length - g->begin, label };
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){
				    .code = op, .dst = dst, .src = src, .imm = (int32_t)k });
}

void npf_ebpf_go_to(struct npf_ebpf_gen *g, uint32_t label)
{
	npf_ebpf_jump(g, NPF_JMP | NPF_JA, 0, 0, 0, label);
}

void npf_ebpf_jump_k(struct npf_ebpf_gen *g, uint8_t op, uint8_t dst, uint32_t k, uint32_t label)
{
	npf_ebpf_jump(g, E_JMP32 | op | NPF_K, dst, 0, k, label);
}

void npf_ebpf_jump_x(struct npf_ebpf_gen *g, uint8_t class_op, uint8_t dst, uint8_t src,
		     uint32_t label)
{
	npf_ebpf_jump(g, class_op | NPF_X, dst, src, 0, label);
}

void npf_ebpf_resolve(struct npf_ebpf_gen *g, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < g->n_fixups; i++) {
		const struct npf_ebpf_fixup fixup = g->fixups[i];
		int64_t distance = (int64_t)g->label_at[fixup.label] - 1 - fixup.at - 1;

		if (!all && fixup.label < LABEL_FAIL) {
			g->fixups[kept++] = fixup;
			continue;
		}
		if (!g->label_at[fixup.label])
			g->err = -EINVAL;
		else if (distance != (int16_t)distance)
			g->err = -E2BIG;
		else if (g->code->length <= g->code->capacity)
			g->code->insns[g->begin + fixup.at].off = (int16_t)distance;
	}
	g->n_fixups = kept;
}

void npf_ebpf_forget_labels(struct npf_ebpf_gen *g)
{
	uint32_t n = LABEL_BLOCKS + g->ir->n_blocks + g->n_local;

	for (uint32_t label = LABEL_FAIL; label < n && label < g->n_labels; label++) {
		g->label_at[label] = 0;
		g->label_used[label] = false;
	}
	g->n_local = 0;
}
