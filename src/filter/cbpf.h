/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the two files that write classic BPF: to_cbpf.c, and cbpf_words.c, which says what lies in
 * scratch words. */
#ifndef NPF_CBPF_H
#define NPF_CBPF_H

#include "filter/ir.h"

#define NPF_CBPF_NO_WORD 0xFFu

struct npf_cbpf_words {
	const struct npf_ir *ir;
	uint8_t *words;  /* each value: its scratch word, NO_WORD */
	uint8_t *tops;   /* each block: scratch words from here on are free in it */
	uint16_t *homes; /* each value: its block */
	uint32_t *last;  /* each value: the last place where it is read */
	uint8_t *costs;  /* each value: instructions that compute it from the packet again */
	/* What costs more, and is wanted more than once, gets a scratch word. */
	uint32_t cheap;
	/* So do all parameters, not only those of blocks that have several. */
	bool keeps_params;
};

/* 4 * (byte k & 15)? */
bool npf_cbpf_is_msh(const struct npf_ir *ir, uint16_t value, uint32_t *k);

/* Loaded by one instruction that touches nothing but A? */
bool npf_cbpf_is_load(const struct npf_ir *ir, uint16_t value);

/* Give scratch words to the values that want any. -ENOSPC: there are too few. */
int npf_cbpf_give_words(struct npf_cbpf_words *w);

#endif
