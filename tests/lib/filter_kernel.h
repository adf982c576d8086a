/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel as a filter engine: translates a program, wraps it into a harness that takes the frame
 * from the head of the packet, loads it and runs it without any adapter (BPF_PROG_TEST_RUN).
 */
#ifndef FILTER_KERNEL_H
#define FILTER_KERNEL_H

#include <stdint.h>

#include "filter/filter.h"

/* May this process load programs? 0 or a negative errno value. */
int filter_kernel_probe(void);

/* A descriptor of the loaded program, or a negative errno value; -E2BIG: more than the kernel's
 * verifier is willing to walk through. */
int filter_kernel_load(const struct npf_program *program);

/* The same for one half of a class mask: word 0 the low 32 bits, 1 the high ones. */
int filter_kernel_load_classes(const struct npf_program *const *programs, uint32_t n, int word);

/* Run it. 0 or a negative errno value. */
int filter_kernel_run(int fd, const struct npf_frame *frame, const uint8_t *data, uint32_t *result);

#endif
