/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets as maps of the kernel, and a program of the tap made to use them instead of the empty ones
 * that it was loaded with.
 */
#ifndef NPF_LINUX_SET_MAPS_H
#define NPF_LINUX_SET_MAPS_H

#include <bpf/libbpf.h>

#include "filter/sets.h"

#define NPF_SET_MAPS (1 + NPF_MATCH_SETS) /* the shapes, then the tables */

/* Descriptors, -1 none. */
struct npf_set_maps {
	int fds[NPF_SET_MAPS];
};

/* Negative errno; nothing is open then. match NULL: none are made. */
int npf_set_maps_make(const struct npf_match *match, struct npf_set_maps *maps);
void npf_set_maps_close(struct npf_set_maps *maps);
/* In n instructions, put these maps in the place of those of the same position in old. */
void npf_set_maps_patch(struct bpf_insn *insns, size_t n, const int old[NPF_SET_MAPS],
			const struct npf_set_maps *maps);

#endif
