/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the user space tap needs beside include/npf/bpf.h: filters that may fail to compile and are
 * interpreted then.
 */
#ifndef NPF_JIT_H
#define NPF_JIT_H

#include "npf/bpf.h"

/* A filter, or NULL when it cannot be run as code; nothing is copied that is not needed then. */
struct npf_jit_filter *npf_jit_try(struct npf_host *host, const struct npf_program *program);

#endif
