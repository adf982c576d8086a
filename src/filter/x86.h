/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs as x86-64 code. One packet at a time, for every processor:
 *
 *	uint32_t f(const uint8_t *packet, uint32_t wire_length, uint32_t length)
 *
 * and many packets at once, one per lane of AVX2 (8) or AVX-512 (16) registers:
 *
 *	void f(const struct npf_x86_batch *batch)
 *
 * Both answer exactly as npf_bpf_filter() does, for every program that reads nothing but the packet
 * (no NPF_IR_FIELD), and read no byte outside the packets. The code is a function that ends
 * by itself: it jumps forward only, or at most once around per group of packets and once more.
 */
#ifndef NPF_X86_H
#define NPF_X86_H

#include "filter/ir.h"
#include "filter/x86_asm.h"

/* What the vector code is called with. Packets that begin at one address are told by offset. */
struct npf_x86_batch {
	const uint8_t *const *packets;
	const uint32_t *lengths;      /* bytes held of each */
	const uint32_t *wire_lengths; /* bytes on the wire of each */
	uint32_t *verdicts;           /* written: one of each */
	uint32_t n;                   /* a multiple of the lanes */
};

/* A passage of code that an image consists of; data stands behind the code, on a cache line. */
struct npf_x86_image {
	uint32_t size;      /* bytes, data included */
	uint32_t code_size; /* bytes that are instructions */
};

/* What processors can do beside what all can. */
#define NPF_X86_AVX2   0x1u /* with BMI and the system's consent */
#define NPF_X86_AVX512 0x2u /* F, BW, DQ, VL; likewise */
uint32_t npf_x86_features(void);

/* Bytes of working memory, aligned for uint64_t, that either generator takes; need not be clear. */
size_t npf_x86_space(const struct npf_ir *ir);

/*
 * Generate into the assembler, which lies at the beginning of space afterwards; the image's size is
 * known then and npf_x86_write() puts it where it shall be. -ENOTSUP: the program reads what is
 * not in the packet. -ENOSPC: the code grew beyond all bounds.
 */
int npf_x86_scalar(const struct npf_ir *ir, void *space, size_t size, struct npf_x86_image *image);
int npf_x86_vector(const struct npf_ir *ir, uint32_t feature, void *space, size_t size,
		   struct npf_x86_image *image);

/* ---- for the generators --------------------------------------------------------------------- */

/* Working memory, from which pieces are taken. */
struct npf_x86_room {
	struct npf_x86_asm *as;
	void *set_work;
	uint8_t *at;
};

/* An assembler with its memory at the beginning of space, the rest to take. -ENOSPC. */
int npf_x86_furnish(const struct npf_ir *ir, void *space, size_t size, struct npf_x86_room *room);
void *npf_x86_take(struct npf_x86_room *room, size_t size);
/* Lay out what was assembled. -ENOSPC: it did not fit. */
int npf_x86_finish(struct npf_x86_asm *as, struct npf_x86_image *image);

/* The assembler of a generated image. */
static inline const struct npf_x86_asm *npf_x86_result(const void *space)
{
	return space;
}

#endif
