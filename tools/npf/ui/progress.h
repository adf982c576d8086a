/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line on the terminal that tells how far long work has come. Nothing where there is none.
 */
#ifndef NPF_PROGRESS_H
#define NPF_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "terminal.h"

struct npf_progress {
	struct npf_terminal terminal;
	uint64_t begun, shown; /* ns, monotonic */
	uint64_t packets;      /* when it was shown */
	bool drawn;            /* it stands there */
};

void npf_progress_init(struct npf_progress *progress);
/* Show it, a few times a second at most. share: 0 to 1, negative where it is not known. */
void npf_progress_show(struct npf_progress *progress, double share, uint64_t packets);
/* Take the line away. */
void npf_progress_end(struct npf_progress *progress);

#endif
