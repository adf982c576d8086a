/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of the files of one dump: a pattern of strftime(3)'s conversions and %i, a number that
 * counts the files. Only the last part of a path is a pattern; its directory is taken as it is.
 */
#ifndef NPF_DUMP_NAMES_H
#define NPF_DUMP_NAMES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "npf/npf.h"

struct npf_names {
	char directory[PATH_MAX];
	char pattern[NAME_MAX + 8]; /* with what was added */
	bool counted;               /* %i is in it: one name per number */
};

/* Take a path apart. With several files to come a pattern without %i gets -%i before its
 * extension. -EINVAL or -ENAMETOOLONG with a sentence in error. */
int npf_names_init(struct npf_names *names, const char *path, bool several,
		   char error[NPF_ERROR_SIZE]);

/* The name of file number sequence that begins at time (ns since 1970). -ENAMETOOLONG, also when
 * no suffix would fit any more, -EINVAL when it is no name of a file. */
int npf_names_make(const struct npf_names *names, uint64_t sequence, uint64_t time,
		   char name[NAME_MAX + 1]);

/* ---- the newest names, so that older files can go ------------------------------------------- */

struct npf_name_ring {
	char (*names)[NAME_MAX + 1];
	uint32_t size, first, n;
};

/* 0 or -ENOMEM. Size 0: nothing is remembered. */
int npf_name_ring_init(struct npf_name_ring *ring, uint32_t size);
void npf_name_ring_free(struct npf_name_ring *ring);
/* The oldest name, which leaves the ring, when it is full; else NULL. Valid until the next push. */
const char *npf_name_ring_pop(struct npf_name_ring *ring);
void npf_name_ring_push(struct npf_name_ring *ring, const char *name);

#endif
