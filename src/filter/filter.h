/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter engine: check a classic BPF program, interpret it, translate it for the kernel.
 * Knows no adapter and no instance. Freestanding: nothing but mem* from the C library.
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

/* ---- eBPF ---------------------------------------------------------------------------------- */

/* The kernel's struct bpf_insn. */
struct npf_ebpf_insn {
	uint8_t code;
	uint8_t dst : 4, src : 4;
	int16_t off;
	int32_t imm;
};

/*
 * Calls: code JMP|CALL, src NPF_EBPF_TAP_CALL. off tells two kinds apart:
 *   0                  a real call inside the generated code, imm is its distance: leave it alone
 *   NPF_EBPF_TAP_MARK  of a function of the tap that the loader resolves: imm is one of the numbers
 *                      below; the loader puts the distance there and clears off
 * The tap's functions take (context, frame *, u64 offset) and return the value in host order, or a
 * negative number when the packet does not hold all of its bytes.
 */
#define NPF_EBPF_TAP_CALL 1 /* BPF_PSEUDO_CALL */
#define NPF_EBPF_TAP_MARK 1
enum npf_ebpf_call { NPF_EBPF_LOAD_B = 1, NPF_EBPF_LOAD_H, NPF_EBPF_LOAD_W };

/* Code under construction, memory of the caller. */
struct npf_ebpf_code {
	struct npf_ebpf_insn *insns;
	uint32_t capacity; /* entries at insns */
	uint32_t length;   /* entries used */
};

/* Enough for a valid program of n instructions; for classes, the sum of every program's. */
#define NPF_EBPF_MAX_EXPANSION 8u
#define NPF_EBPF_CAPACITY(n)   ((n)*NPF_EBPF_MAX_EXPANSION + 64u)

/* Programs that one mask can tell apart. */
#define NPF_EBPF_MAX_CLASSES 64u

/*
 * Append a function u32 f(context, struct npf_frame *): same answers as npf_filter_run().
 * program NULL accepts all. -ENOSPC, and nothing appended, when capacity is short.
 */
int npf_filter_to_ebpf(const struct npf_program *program, struct npf_ebpf_code *code);

/*
 * Append a function u64 f(context, struct npf_frame *): bit i is set when program i accepts; each
 * is a function of its own behind it, reached by calls relative to this code. n 1 to
 * NPF_EBPF_MAX_CLASSES, else -EINVAL; an entry of length 0 accepts all. -ENOSPC as above.
 */
int npf_classes_to_ebpf(const struct npf_program *const *programs, uint32_t n,
			struct npf_ebpf_code *code);

#endif
