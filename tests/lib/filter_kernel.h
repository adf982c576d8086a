/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel as a filter engine: translates a program, wraps it into a harness that hands it a
 * frame, loads it and runs it without any adapter (BPF_PROG_TEST_RUN).
 */
#ifndef FILTER_KERNEL_H
#define FILTER_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "filter/ebpf.h"
#include "filter/filter.h"

/* A loaded filter: the program, and the map through which it gets the frame and its window. */
struct filter_kernel {
	int program, map;
	uint32_t length; /* instructions of the filter, the harness not counted */
};

/* May this process load programs of this kind, and can the kernel do it? 0 or a negative errno
 * value; -ENOTSUP: it shows nothing to peek at. */
int filter_kernel_probe(enum npf_ebpf_access access);

/* Is a test to fail where packets cannot be peeked at? From Linux 6.2 on, when $NPF_TEST_REQUIRE
 * names the hook that does. */
bool filter_kernel_must_peek(void);

/* 0, or a negative errno value; -E2BIG: more than the kernel's verifier is willing to walk
 * through. */
int filter_kernel_load(const struct npf_program *program, enum npf_ebpf_access access,
		       struct filter_kernel *kernel);

/* The same for one half of a class mask: word 0 the low 32 bits, 1 the high ones. */
int filter_kernel_load_classes(const struct npf_program *const *programs, uint32_t n, int word,
			       enum npf_ebpf_access access, struct filter_kernel *kernel);

/* For a socket (SO_ATTACH_BPF) that throws away what it is sent, once the filter has looked. */
int filter_kernel_load_socket(const struct npf_program *program, enum npf_ebpf_access access,
			      const struct npf_frame *frame, struct filter_kernel *kernel);

/* Run it. 0 or a negative errno value. */
int filter_kernel_run(const struct filter_kernel *kernel, const struct npf_frame *frame,
		      const uint8_t *data, uint32_t *result);

/* The same `repeat` times; what one took on average of this thread's time, in ns, goes to *ns. */
int filter_kernel_time(const struct filter_kernel *kernel, const struct npf_frame *frame,
		       const uint8_t *data, uint32_t repeat, uint32_t *result, double *ns);

void filter_kernel_close(struct filter_kernel *kernel);

#endif
