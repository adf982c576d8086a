/* SPDX-License-Identifier: BSD-3-Clause */
/* Several filters at once, compared with each alone: as a form, as code, and in the kernel. */
#ifndef GROUP_H
#define GROUP_H

#include "engines.h"

struct npf_host;

struct group_tally {
	uint64_t answers;  /* packets that groups looked at */
	uint64_t accepted; /* bits that were set */
	uint64_t unsure;   /* answers of the form that left it to the filters one by one */
	uint32_t forms;
	uint32_t in_kernel; /* programs loaded */
	uint64_t glances;   /* packets that were shown to forms without a copy, */
	uint64_t unjudged;  /* which could not judge so many */
	uint32_t mistakes;  /* told on stderr */
};

/* Programs (NULL: none) that read nothing but the packet, and packets without a stripped tag. */
void group_compare(struct npf_host *host, const struct npf_program *const *programs, uint32_t n,
		   const struct engine_run *runs, uint32_t n_runs, struct group_tally *tally);

/* The same in the kernel, as classes of statistics mode; where that is not permitted: nothing. */
void group_compare_in_kernel(const struct npf_program *const *programs, uint32_t n,
			     const struct engine_run *runs, uint32_t n_runs,
			     struct group_tally *tally);

#endif
