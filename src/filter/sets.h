/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of match.h: built from lists of networks and ports, asked in user space. Memory is the
 * caller's.
 */
#ifndef NPF_SETS_H
#define NPF_SETS_H

#include <stdbool.h>
#include <stddef.h>

#include "filter/match.h"
#include "npf/npf.h"

/* Several sets, of which a packet must be in each. */
struct npf_match {
	struct npf_match_shapes shapes;
	void *tables[NPF_MATCH_SETS];
	size_t sizes[NPF_MATCH_SETS];
};

/* Where the network layer begins on a link, in shapes. -ENOTSUP: not known for this link type. */
int npf_sets_link(struct npf_match_shapes *shapes, uint32_t link_type);

/* Bytes that the table of a set takes at most, and bytes of memory to build it in; 0: the set is
 * not valid: it has neither networks nor ports, or both, or a network of no family. */
size_t npf_set_size(const struct npf_set *set);
size_t npf_set_space(const struct npf_set *set);

/* Build set number shapes->n; table has npf_set_size() bytes and is on a cache line or at least on
 * 8. *used: what of it is wanted. -ENOSPC: the networks do not fit the hash table. */
int npf_set_build(const struct npf_set *set, struct npf_match *match, void *table, void *space,
		  size_t *used);

/* Is a packet in all sets? */
bool npf_match_run(const struct npf_match *match, const uint8_t *data, uint32_t length);

#endif
