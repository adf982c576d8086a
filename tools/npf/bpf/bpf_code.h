/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Machine code as text, by libcapstone, and what version 4 of that does not know.
 */
#ifndef NPF_TOOL_BPF_CODE_H
#define NPF_TOOL_BPF_CODE_H

#include <stddef.h>
#include <stdint.h>

/* The name of an instruction of AVX-512 that our generators write and libcapstone 4 does not know,
 * and its length; NULL: it is none of these. */
const char *npf_x86_name(const uint8_t *code, size_t size, size_t *length);

#endif
