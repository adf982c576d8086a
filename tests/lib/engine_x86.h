/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of engines.c for generated x86-64 code. */
#ifndef ENGINE_X86_H
#define ENGINE_X86_H

#include "engines.h"

const char *engine_x86_why_not(void);
const char *engine_x86_why_not_avx2(void);
const char *engine_x86_why_not_avx512(void);
void *engine_x86_prepare(const struct npf_program *program);
void *engine_x86_prepare_avx2(const struct npf_program *program);
void *engine_x86_prepare_avx512(const struct npf_program *program);
void engine_x86_run(void *prepared, struct engine_run *runs, uint32_t n);
void engine_x86_run_batch(void *prepared, struct engine_run *runs, uint32_t n);
void engine_x86_drop(void *prepared);

#endif
