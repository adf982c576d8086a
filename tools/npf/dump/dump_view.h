/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How npf dump tells what it does: a line while it runs, a summary in the end, both as text for
 * people or as JSON for programs.
 */
#ifndef NPF_DUMP_VIEW_H
#define NPF_DUMP_VIEW_H

#include <stdatomic.h>

#include "dump.h"
#include "ui/terminal.h"

/* All counters of one moment. */
struct npf_dump_sample {
	uint64_t time;   /* ns, CLOCK_MONOTONIC */
	uint64_t cpu_ns; /* of this process, compressing taken off */
	struct npf_dump_status status;
	struct npf_stats stats;
	struct npf_dump_files_report files;
};

struct npf_dump_view {
	const struct npf_dump_settings *settings;
	const struct npf_session *session;
	struct npf_terminal terminal; /* standard error */
	struct npf_dump_sample start, before;
	bool line;       /* one stands on the terminal */
	atomic_int told; /* 0, or why an object did not get to standard output: negative errno */
};

void npf_dump_view_start(struct npf_dump_view *view, const struct npf_dump_sample *start);
/* ns between two lines, 0 none are wanted. */
uint64_t npf_dump_view_interval(const struct npf_dump_view *view);
void npf_dump_view_line(struct npf_dump_view *view, const struct npf_dump_sample *now);
void npf_dump_view_compressing(struct npf_dump_view *view, const struct npf_dump_sample *now);
/* A complete file, as npf_dump_files_options.finished; arg is the view. */
void npf_dump_view_file(void *view, const char *name, const struct npf_dump_file *file);
void npf_dump_view_end(struct npf_dump_view *view, const struct npf_dump_sample *end, int code);

#endif
