/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump's options, and the run itself.
 */
#ifndef NPF_DUMP_H
#define NPF_DUMP_H

#include "dump_files.h"
#include "expression/expression.h"
#include "tool.h"

struct npf_dump_settings {
	const char *adapter; /* NULL: pick one */
	const char *expression;
	const char *user; /* to become; NULL: stay who we are */
	uint32_t snaplen;
	uint32_t buffer;
	bool promiscuous;
	enum npf_direction direction;
	enum npf_hook hook;
	struct npf_dump_options dump; /* format and limits */
	struct npf_dump_files_options files;
	uint64_t interval; /* ns between two lines; 0: one second on a terminal, else none */
	bool json, quiet;
};

/* An exit code. */
int npf_dump_live(const struct npf_command *command, const struct npf_dump_settings *settings);

#endif
