/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engines of npf bpf --check that are not in this process from the start: the kernel, and a C
 * compiler.
 */
#ifndef NPF_TOOL_BPF_CHECK_H
#define NPF_TOOL_BPF_CHECK_H

#include "filter/ir.h"

/* C text, compiled and loaded. */
struct npf_compiled {
	void *library;
	uint32_t (*run)(const uint8_t *packet, uint32_t wire_length, uint32_t length,
			const uint8_t *frame);
};

/* Is there a compiler, cc? */
bool npf_has_compiler(void);

/* 0, or a negative errno value; -ENOEXEC: the compiler does not take the text, and says why. */
int npf_compile(const struct npf_ir *ir, struct npf_compiled *compiled);
void npf_compiled_free(struct npf_compiled *compiled);

#endif
