/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter engine: check a classic BPF program and interpret it. The compilers are beside it.
 * Knows no adapter and no instance. Freestanding: nothing but mem* from the C library.
 *   validate.c, interp.c      what is declared here
 *   ir.h, ir_*.c              the form between a program and every back end: made, joined, checked,
 *                             run, printed
 *   optimise.h, opt_*.c       the passes over it, see docs/filter-passes.md
 *   to_ebpf.c, ebpf*          back ends: the kernel's instructions,
 *   x86*                      machine code, for one packet (x86_scalar.c) or for many (x86_vector.c),
 *   to_cbpf.c, cbpf_words.c   classic BPF again
 *   to_c.c                    C
 *   sets.c, match.h           sets of hosts, networks and ports
 */
#ifndef NPF_FILTER_H
#define NPF_FILTER_H

#include <stddef.h>

#include "filter/frame.h"
#include "npf/bpf.h"

/* What the interpreter and the translations return for "the whole packet". */
#define NPF_ACCEPT_ALL 0xFFFFFFFFu

/* Check a program completely. 0, or -EINVAL with "instruction N: reason" in error (at least
 * error_size bytes, may be NULL). Every other function here wants a program that passed. */
int npf_filter_validate(const struct npf_program *program, char *error, size_t error_size);

/* What is wrong with a program before its instructions are looked at: what must hold before it is
 * copied. NULL: nothing. npf_filter_validate() asks this, too. */
const char *npf_filter_misfit(const struct npf_program *program);

/* Interpret: bytes to keep, 0 rejects. data holds frame->length readable bytes. program NULL
 * accepts all. frame->shift is overwritten. The reference that every back end must equal. */
uint32_t npf_filter_run(const struct npf_program *program, struct npf_frame *frame,
			const uint8_t *data);

/* The manual's plain form: no out-of-band tag, wire_length and captured length apart. */
uint32_t npf_bpf_filter(const struct npf_program *program, const uint8_t *data,
			uint32_t wire_length, uint32_t length);

/* Ancillary loads of NPF_DIALECT_LINUX that every path answers alike (k of LD ABS). */
#define NPF_AD_OFFSET       0xFFFFF000u
#define NPF_AD_PROTOCOL     (NPF_AD_OFFSET + 0u)
#define NPF_AD_PKTTYPE      (NPF_AD_OFFSET + 4u)
#define NPF_AD_IFINDEX      (NPF_AD_OFFSET + 8u)
#define NPF_AD_HATYPE       (NPF_AD_OFFSET + 28u)
#define NPF_AD_VLAN_TAG     (NPF_AD_OFFSET + 44u)
#define NPF_AD_VLAN_PRESENT (NPF_AD_OFFSET + 48u)
#define NPF_AD_VLAN_TPID    (NPF_AD_OFFSET + 60u)

#endif
