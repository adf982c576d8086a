/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How npf stat shows two samples of the counters: a table that is redrawn on a terminal, plain
 * lines elsewhere, JSON when asked for.
 */
#ifndef NPF_STAT_VIEW_H
#define NPF_STAT_VIEW_H

#include "npf/npf.h"
#include "ui/terminal.h"

#define NPF_HISTORY 60 /* intervals in the plot */

struct npf_stat_sample {
	uint64_t time; /* ns since 1970 */
	struct npf_class_stats stats[NPF_MAX_CLASSES];
};

struct npf_stat_view {
	const char *adapter;
	const char *hook;
	const struct npf_class *classes;
	uint32_t n_classes;
	bool json;
	bool single; /* one interval only: nothing to redraw, no history */
	struct npf_terminal terminal;
	struct npf_stat_sample before, now;
	/* The last rates (packets per second) of each class, newest at shown - 1, a circle. */
	double history[NPF_MAX_CLASSES][NPF_HISTORY];
	uint64_t shown;     /* intervals so far */
	unsigned int drawn; /* lines on the terminal to go back over */
};

/* Show the interval from before to now. Negative errno when standard output is broken. */
int npf_stat_view_show(struct npf_stat_view *view);

#endif
