/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs to eBPF in one step: through the intermediate form and its optimiser, with memory of
 * the process.
 */
#ifndef NPF_LINUX_TRANSLATE_H
#define NPF_LINUX_TRANSLATE_H

#include "filter/ebpf.h"

/* What the optimiser shall do for the kernel. */
#define NPF_TRANSLATE_PASSES (NPF_PASS_DEFAULT | NPF_PASS_HEADER)

struct npf_translation {
	enum npf_ebpf_access access;
	bool join;                        /* several programs in one form; not by NPF_EBPF_COPY */
	const struct npf_ebpf_peek *peek; /* for NPF_EBPF_PEEK */
};

/*
 * The function of one program (NULL or of length 0 accepts all), or with is_mask the one that tells
 * n of them apart. -ENOMEM, -E2BIG (also: they cannot be joined); otherwise code is the caller's, by
 * npf_translate_free(), but not before the kernel has taken it: the map of its tables is its.
 */
int npf_translate(const struct npf_program *const *programs, uint32_t n, bool is_mask,
		  const struct npf_translation *way, struct npf_ebpf_code *code);
void npf_translate_free(struct npf_ebpf_code *code);

#endif
