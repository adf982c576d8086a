/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --hosts, --nets and --ports, as every command that filters takes them.
 */
#ifndef NPF_TOOL_SET_OPTIONS_H
#define NPF_TOOL_SET_OPTIONS_H

#include "expression/set_file.h"
#include "filter/sets.h"
#include "tool.h"

/* getopt_long() values, apart from every command's own. */
enum { OPTION_HOSTS = 512, OPTION_NETS, OPTION_PORTS };

#define NPF_SET_LONG_OPTIONS                                                                       \
	{ "hosts", required_argument, NULL, OPTION_HOSTS },                                        \
		{ "nets", required_argument, NULL, OPTION_NETS },                                  \
	{                                                                                          \
		"ports", required_argument, NULL, OPTION_PORTS                                     \
	}

#define NPF_SET_HELP                                                                               \
	"  --hosts, --nets, --ports [src:|dst:]FILE\n"                                             \
	"                         only packets with a host, network or port of FILE, one\n"        \
	"                         a line, any number of them; all sets and FILTER must\n"          \
	"                         accept\n"

/* All zero: none. */
struct npf_set_options {
	uint32_t n;
	struct npf_set_file files[NPF_MAX_SETS];
	struct npf_set sets[NPF_MAX_SETS];
};

/* Is it one of these options? */
bool npf_set_options_has(int option);
/* Read its file. An exit code; failures were told. */
int npf_set_options_take(struct npf_set_options *options, const struct npf_command *command,
			 int option, const char *argument);
void npf_set_options_free(struct npf_set_options *options);

/* For packets of one link type that come from a file. An exit code; *match NULL: there are no
 * sets. */
int npf_set_options_match(const struct npf_set_options *options, const struct npf_command *command,
			  uint32_t link_type, struct npf_match **match);
void npf_set_options_match_free(struct npf_match *match);

#endif
