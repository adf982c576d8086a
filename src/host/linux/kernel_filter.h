/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel as a filter engine: translates a program, wraps it into a harness that hands it a
 * frame, loads it and runs it without any adapter (BPF_PROG_TEST_RUN).
 */
#ifndef NPF_LINUX_KERNEL_FILTER_H
#define NPF_LINUX_KERNEL_FILTER_H

#include <stdint.h>

#include "filter/filter.h"
#include "host/linux/peek.h"
#include "host/linux/translate.h"

/* A loaded filter: the program, and the map through which it gets the frame and its window. */
struct npf_kernel_filter {
	int program, map;
	uint32_t length; /* instructions of the filter, the harness not counted */
};

/* May this process load programs of this kind, and can the kernel do it? 0 or a negative errno
 * value. peek, here and below: what npf_peek_find() told; NULL: PEEK is -ENOTSUP. */
int npf_kernel_filter_probe(enum npf_ebpf_access access, const struct npf_ebpf_peek *peek);

/* 0, or a negative errno value; -E2BIG: more than the kernel's verifier is willing to walk
 * through. */
int npf_kernel_filter_load(const struct npf_program *program, enum npf_ebpf_access access,
			   const struct npf_ebpf_peek *peek, struct npf_kernel_filter *kernel);

/* The same for one half of a class mask: word 0 the low 32 bits, 1 the high ones. */
int npf_kernel_filter_load_classes(const struct npf_program *const *programs, uint32_t n, int word,
				   const struct npf_translation *way,
				   struct npf_kernel_filter *kernel);

/* For a socket (SO_ATTACH_BPF) that throws away what it is sent, once the filter has looked. */
int npf_kernel_filter_load_socket(const struct npf_program *program, enum npf_ebpf_access access,
				  const struct npf_ebpf_peek *peek, const struct npf_frame *frame,
				  struct npf_kernel_filter *kernel);

/* Run it. 0 or a negative errno value; -EINVAL: no packet that the kernel takes for a test run, which
 * are those of about a page. */
int npf_kernel_filter_run(const struct npf_kernel_filter *kernel, const struct npf_frame *frame,
			  const uint8_t *data, uint32_t *result);

/* The same `repeat` times; what one took on average of this thread's time, in ns, goes to *ns. */
int npf_kernel_filter_time(const struct npf_kernel_filter *kernel, const struct npf_frame *frame,
			   const uint8_t *data, uint32_t repeat, uint32_t *result, double *ns);

void npf_kernel_filter_close(struct npf_kernel_filter *kernel);

#endif
