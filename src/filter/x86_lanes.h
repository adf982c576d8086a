/* SPDX-License-Identifier: BSD-3-Clause */
/* The instructions of both widths, for the files that write them: x86_lanes.c and x86_lanes_sets.c. */
#ifndef NPF_X86_LANES_H
#define NPF_X86_LANES_H

#include "filter/x86_vector.h"

#define K_CURRENT 1
#define K_SECOND  6
#define K_EDGE    7

#define V66(map, code) (NPF_X86_66 | (map) | (code))

#define VMOVDQU_LOAD  (NPF_X86_F3 | NPF_X86_0F | 0x6Fu)
#define VMOVDQU_STORE (NPF_X86_F3 | NPF_X86_0F | 0x7Fu)
#define VBROADCAST    V66(NPF_X86_0F38, 0x58u)
#define VPMOVZXDQ     V66(NPF_X86_0F38, 0x35u)
#define VPADDQ        V66(NPF_X86_0F, 0xD4u)
#define VPGATHERDD    V66(NPF_X86_0F38, 0x90u)
#define VPGATHERQD    V66(NPF_X86_0F38, 0x91u)
#define VPANDN        V66(NPF_X86_0F, 0xDFu)
#define VPCMPEQD      V66(NPF_X86_0F, 0x76u)
#define VPMAXUD       V66(NPF_X86_0F38, 0x3Fu)
#define VPMINUD       V66(NPF_X86_0F38, 0x3Bu)
#define VPBLENDVB     V66(NPF_X86_0F3A, 0x4Cu)
#define VMOVMSKPS     (NPF_X86_0F | 0x50u)
#define VINSERT128    V66(NPF_X86_0F3A, 0x38u)
#define VINSERT256    (V66(NPF_X86_0F3A, 0x3Au) | NPF_X86_W)
#define VEXTRACT128   V66(NPF_X86_0F3A, 0x39u)
#define VEXTRACT256   (V66(NPF_X86_0F3A, 0x3Bu) | NPF_X86_W)
#define VPCMPUD       V66(NPF_X86_0F3A, 0x1Eu)
#define VPTESTMD      V66(NPF_X86_0F38, 0x27u)
#define VPERMD        V66(NPF_X86_0F38, 0x36u)
#define VPERMI2D      V66(NPF_X86_0F38, 0x76u)
#define VBLENDVPS     V66(NPF_X86_0F3A, 0x4Au)
#define VMOVQ_IN      (V66(NPF_X86_0F, 0x6Eu) | NPF_X86_W) /* from a general register */
#define VMOVQ_OUT     (V66(NPF_X86_0F, 0x7Eu) | NPF_X86_W)
#define VPINSRQ       (V66(NPF_X86_0F3A, 0x22u) | NPF_X86_W)
#define VPEXTRQ       (V66(NPF_X86_0F3A, 0x16u) | NPF_X86_W)
#define SHIFT_GROUP   V66(NPF_X86_0F, 0x72u)

#define KMOVW     (NPF_X86_0F | 0x90u) /* from k or memory */
#define KMOVW_TO  (NPF_X86_0F | 0x91u)
#define KMOVW_IN  (NPF_X86_0F | 0x92u) /* from a general register */
#define KMOVW_OUT (NPF_X86_0F | 0x93u)
#define KORW      (NPF_X86_0F | NPF_X86_L256 | 0x45u)
#define KXORW     (NPF_X86_0F | NPF_X86_L256 | 0x47u)
#define KXNORW    (NPF_X86_0F | NPF_X86_L256 | 0x46u)
#define KANDNW    (NPF_X86_0F | NPF_X86_L256 | 0x42u)
#define KORTESTW  (NPF_X86_0F | 0x98u)
#define KSHIFTRW  (V66(NPF_X86_0F3A, 0x30u) | NPF_X86_W)

#define MOV_LOAD    0x8Bu
#define OR64        (NPF_X86_W | 0x0Bu)
#define SHIFT64     (NPF_X86_W | 0xC1u)
#define SHIFT_LEFT  4
#define SHIFT_RIGHT 5

enum { PREDICATE_EQ = 0, PREDICATE_LT = 1, PREDICATE_LE = 2, PREDICATE_GE = 5, PREDICATE_GT = 6 };

/* A constant as an operand; *op learns that it is one lane for all. */
struct npf_x86_operand npf_x86_lanes_constant(struct npf_x86_lanes *g, uint32_t imm, uint32_t *op);

void npf_x86_lanes_k_op(struct npf_x86_lanes *g, uint32_t op, int to, int a, int b);

/* k = mask and a predicate b. */
void npf_x86_lanes_compare_wide(struct npf_x86_lanes *g, int k, int mask, int predicate, int a,
				struct npf_x86_operand b, uint32_t flags);

/* to = a predicate b, as a vector; b is read twice at most. */
void npf_x86_lanes_compare_narrow(struct npf_x86_lanes *g, int to, int predicate, int a,
				  struct npf_x86_operand b);

#endif
