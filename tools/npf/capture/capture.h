/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf capture's options, and its two sources: an adapter and a savefile.
 */
#ifndef NPF_CAPTURE_H
#define NPF_CAPTURE_H

#include "expression/expression.h"
#include "ui/output.h"
#include "ui/set_options.h"

struct npf_capture_options {
	const char *adapter; /* NULL: pick one */
	const char *read;    /* savefile to read instead */
	const char *expression;
	uint64_t count; /* packets to take, UINT64_MAX all */
	uint32_t snaplen;
	uint32_t buffer;
	uint32_t min_to_copy;
	int32_t timeout; /* ms, as npf_set_timeout() */
	bool promiscuous;
	bool force; /* write over whatever is there */
	enum npf_direction direction;
	enum npf_hook hook;
	struct npf_output_options output;
	struct npf_set_options sets;
};

/* Both return an exit code. */
int npf_capture_live(const struct npf_command *command, const struct npf_capture_options *options);
int npf_capture_offline(const struct npf_command *command,
			const struct npf_capture_options *options);

#endif
