/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets as tables behind the code, for the scalar and the vector back ends alike. The form follows
 * from the set and from how large the value can be that is looked up:
 *
 *   CHAIN    up to three keys or ranges: compared one by one
 *   BITMAP   the value has at most 16 bits: one bit for each
 *   HASH     keys: slot = key * multiplier >> shift, which no two keys share
 *   BUCKETS  many keys: a first hash finds the bucket's own multiplier for the second
 *   SEARCH   ranges: the last one that begins at or below the value, by halving
 *   PERMUTE  up to 24 keys: 16 buckets of one or two, which vectors look up in registers and not in
 *            memory
 *   SPREAD   33 to 2048 keys: 64 or 128 buckets, each with one byte, which vectors find as PERMUTE
 *            does and by which they multiply the hash: the slot, of four for each key or more
 */
#ifndef NPF_X86_SET_H
#define NPF_X86_SET_H

#include "filter/ir.h"
#include "filter/x86_asm.h"

enum npf_x86_set_form {
	NPF_X86_CHAIN,
	NPF_X86_BITMAP,
	NPF_X86_HASH,
	NPF_X86_BUCKETS,
	NPF_X86_SEARCH,
	NPF_X86_PERMUTE,
	NPF_X86_SPREAD,
};

#define NPF_X86_CHAIN_MAX    3u
#define NPF_X86_PERMUTED_MAX 24u /* keys */
#define NPF_X86_WORDS_16     16u /* that vectors choose from by four bits of a hash */

struct npf_x86_set {
	enum npf_x86_set_form form;
	bool built;
	bool is_range; /* CHAIN: lo and width; otherwise lo only */
	uint32_t n;    /* CHAIN: entries; SEARCH: of the table, a power of two; SPREAD: words */
	uint32_t lo[NPF_X86_CHAIN_MAX];
	uint32_t width[NPF_X86_CHAIN_MAX]; /* of a range: its last number - its first */
	/*
	 * BITMAP: words of 32 bits. HASH: the keys. BUCKETS, SPREAD: the buckets' multipliers or
	 * bytes; the keys follow at `second`. SEARCH: firsts; widths follow at `second`. PERMUTE: the
	 * first key of each bucket; the others follow at `second`, 0: there are none.
	 */
	uint32_t label;
	uint32_t second; /* bytes */
	uint32_t multiplier;
	uint8_t shift, second_shift;
};

/* Swap the lower size bytes: how a number stands in a packet that was loaded as it is. */
uint32_t npf_x86_swap(uint32_t value, unsigned int size);

/* Bytes of data that one form of a set may take, and of working memory for npf_x86_set_build(). */
uint32_t npf_x86_set_space(const struct npf_ir_set *set);
uint32_t npf_x86_set_work(const struct npf_ir_set *set);

/*
 * Build a set's table. bound: the largest value that is looked up. swapped: 0, or the size that
 * values were loaded in without swapping them (never with ranges other than as a bitmap).
 */
void npf_x86_set_build(struct npf_x86_asm *as, const struct npf_ir *ir, uint32_t set,
		       uint32_t bound, unsigned int swapped, void *work, struct npf_x86_set *out);

/* The same as PERMUTE or SPREAD. False: that is not possible. */
bool npf_x86_set_build_permuted(struct npf_x86_asm *as, const struct npf_ir *ir, uint32_t set,
				uint32_t bound, void *work, struct npf_x86_set *out);

#endif
