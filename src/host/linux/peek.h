/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What NPF_EBPF_PEEK has to know of the running kernel.
 */
#ifndef NPF_LINUX_PEEK_H
#define NPF_LINUX_PEEK_H

#include "filter/ebpf.h"

/* From the kernel's type information, some milliseconds. -ENOTSUP: it has none, or cannot do it. */
int npf_peek_find(struct npf_ebpf_peek *peek);

#endif
