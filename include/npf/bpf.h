/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter programs as NPF takes them: classic BPF, the machine of McCanne and Jacobson's paper
 * (manual, "Packet Capture"). struct npf_insn has the layout of pcap's struct bpf_insn and the
 * kernel's struct sock_filter, so an array of either may be cast.
 */
#ifndef NPF_BPF_H
#define NPF_BPF_H

#include <stddef.h>
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

struct npf_host; /* npf/npf.h */

/* ---- better programs ------------------------------------------------------------------------ */

/*
 * An equivalent program (by docs/filter-semantics.md) that is no longer and asks less, for who
 * attaches it himself: one of NPF_DIALECT_LINUX to a socket by SO_ATTACH_FILTER, whose limit is
 * NPF_MAX_INSNS too. Linux takes what it would have taken. Where that cannot be had it is the program
 * itself. insns: room for program->length instructions, may be the program's own; *length of them are
 * written. -EINVAL names the instruction, -ENOMEM; error holds NPF_ERROR_SIZE bytes, may be NULL.
 */
int npf_bpf_optimise(struct npf_host *host, const struct npf_program *program,
		     struct npf_insn *insns, uint32_t *length, char *error);

/* ---- the just-in-time compiler -------------------------------------------------------------- */

/*
 * A compiled filter (the manual's JIT_BPF_Filter). `function` takes a packet, its bytes on the wire
 * and the bytes that are held of it, and returns how many to keep, 0 to reject; it reads no byte
 * outside the packet. It is NULL where generated code may not be run: npf_jit_run() and
 * npf_jit_run_batch() then interpret the program, with the same answers, and npf_jit_engine() says
 * so.
 */
struct npf_jit_filter {
	uint32_t (*function)(const uint8_t *packet, uint32_t wire_length, uint32_t buffer_length);
};

#define NPF_JIT_BATCH 0x1u /* for npf_jit_run_batch() as well, where the processor has AVX2 */
#define NPF_JIT_AVX2  0x2u /* no AVX-512, for comparison */

/*
 * Compile a program (BPF_jitter). The program is copied. A program of NPF_DIALECT_LINUX is one for
 * packets without a stripped tag; ancillary loads are refused with -ENOTSUP. -EINVAL names the
 * instruction, -ENOMEM; error holds NPF_ERROR_SIZE bytes, may be NULL.
 */
int bpf_jitter(struct npf_host *host, const struct npf_program *program, uint32_t flags,
	       struct npf_jit_filter **filter, char *error);

/*
 * Free a filter (BPF_Destroy_JIT_Filter). NULL is fine. Whoever runs the filter in another thread
 * holds it meanwhile: npf_jit_hold() before the first packet, npf_jit_release() after the last, not
 * for every packet; the last of all frees. Code that was freed stays as it is until a mebibyte more
 * was freed.
 */
void bpf_destroy_jit_filter(struct npf_jit_filter *filter);
void npf_jit_hold(struct npf_jit_filter *filter);
void npf_jit_release(struct npf_jit_filter *filter);

/* One packet; n packets. Each array has one entry for each packet. */
uint32_t npf_jit_run(const struct npf_jit_filter *filter, const uint8_t *packet,
		     uint32_t wire_length, uint32_t buffer_length);
void npf_jit_run_batch(const struct npf_jit_filter *filter, const uint8_t *const *packets,
		       const uint32_t *wire_lengths, const uint32_t *buffer_lengths, uint32_t n,
		       uint32_t *verdicts);

/* What runs: "x86-64", "x86-64, 16 packets at once", or "interpreter: WHY". */
const char *npf_jit_engine(const struct npf_jit_filter *filter);

/*
 * Several filters on one packet: up to NPF_JIT_GROUP_MOST compiled ones, joined into functions of up
 * to 31 filters that load a field and check a length once for all of them, and pass by most of
 * what an earlier filter has answered. npf_jit_group_run() tells in bit i whether filters[i] accepts; the
 * bit of a filter that is NULL stays clear. Of a packet that is cut short, or where code is not run,
 * each filter is asked by itself, with the same answers.
 *
 * The group holds its filters: the caller may destroy his. Who has the group, and each thread
 * that runs it while another might let go of it, holds it as he holds a filter; the last release
 * frees. npf_jit_group_engine(): "x86-64, 8 filters together", or "each filter alone". -EINVAL: too
 * many filters; -ENOMEM.
 */
struct npf_jit_group;
#define NPF_JIT_GROUP_MOST 64u
int npf_jit_join(struct npf_host *host, struct npf_jit_filter *const *filters, uint32_t n,
		 struct npf_jit_group **group, char *error);
uint64_t npf_jit_group_run(const struct npf_jit_group *group, const uint8_t *packet,
			   uint32_t wire_length, uint32_t buffer_length);
void npf_jit_group_hold(struct npf_jit_group *group);
void npf_jit_group_release(struct npf_jit_group *group);
const char *npf_jit_group_engine(const struct npf_jit_group *group);

/*
 * The machine code of a program (BPFtoX86), to look at: flags as above; with NPF_JIT_BATCH the
 * vector code alone. Bytes in all, of which the first *code_size are instructions and the rest
 * tables; written to code if size is enough. -EINVAL, -ENOTSUP, -ENOMEM.
 */
int64_t bpf_to_x86(struct npf_host *host, const struct npf_program *program, uint32_t flags,
		   void *code, size_t size, uint32_t *code_size, char *error);

#ifdef __cplusplus
}
#endif
#endif
