/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter programs as NPF takes them: classic BPF, the machine of McCanne and Jacobson's paper
 * (manual, "Packet Capture"). struct npf_insn has the layout of pcap's struct bpf_insn and the
 * kernel's struct sock_filter, so an array of either may be cast.
 */
#ifndef NPF_BPF_H
#define NPF_BPF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One instruction, 8 bytes. */
struct npf_insn {
	uint16_t code; /* class, size, mode: the classic encodings */
	uint8_t jt;    /* instructions to skip when a jump's condition holds */
	uint8_t jf;    /* and when it does not */
	uint32_t k;    /* constant */
};

/*
 * How a program counts the bytes of a frame whose VLAN tag the adapter stripped.
 *
 * NPF_DIALECT_WIRE: as on the wire. The tag is seen in its place at byte 12; an offset past the
 * end of the packet, however large, rejects it. This is what BIOCSETF takes.
 *
 * NPF_DIALECT_LINUX: as Linux's socket filters. The stripped tag is not in the bytes; ancillary
 * loads (k = SKF_AD_OFF + ..., see docs/filter-semantics.md) tell about it. Programs that libpcap
 * compiles for a live Linux interface are written in this dialect.
 */
enum npf_dialect { NPF_DIALECT_WIRE = 0, NPF_DIALECT_LINUX = 1 };

/* A program: borrowed instructions, never kept by a function that takes it. */
struct npf_program {
	uint32_t length; /* instructions, 1 to NPF_MAX_INSNS */
	enum npf_dialect dialect;
	const struct npf_insn *insns;
};

#define NPF_MAX_INSNS 4096u /* longest program that is accepted */
#define NPF_MEM_WORDS 16    /* scratch words M[] */

#ifdef __cplusplus
}
#endif
#endif
