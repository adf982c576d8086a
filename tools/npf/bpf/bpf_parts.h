/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of npf bpf.
 */
#ifndef NPF_TOOL_BPF_PARTS_H
#define NPF_TOOL_BPF_PARTS_H

#include <stdio.h>

#include "filter/ir.h"
#include "tool.h"

/* ---- bpf_listing.c: instructions as text, one a line ---------------------------------------- */

void npf_list_cbpf(FILE *out, const struct npf_insn *insns, uint32_t n);
struct npf_ebpf_insn;
void npf_list_ebpf(FILE *out, const struct npf_ebpf_insn *insns, uint32_t n);

/* ---- bpf_code.c ------------------------------------------------------------------------------ */

/* The number of instructions; out NULL: only that. */
uint32_t npf_list_x86(FILE *out, const uint8_t *code, size_t size);

/* ---- bpf_check.c ---------------------------------------------------------------------------- */

/* Run a file of vectors through every engine: an exit code. passes_off: left out of those that make
 * the optimised form, and so the classic BPF and the C text. */
int npf_bpf_check(const struct npf_command *command, const char *file, uint32_t passes_off);

#endif
