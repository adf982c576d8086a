/* SPDX-License-Identifier: BSD-3-Clause */
/* See set_options.h. */
#include "set_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool npf_set_options_has(int option)
{
	return option >= OPTION_HOSTS && option <= OPTION_PORTS;
}

int npf_set_options_take(struct npf_set_options *options, const struct npf_command *command,
			 int option, const char *argument)
{
	enum npf_side side = NPF_SIDE_EITHER;
	struct npf_set_file *file;
	char error[NPF_ERROR_SIZE];
	int err;

	if (options->n == NPF_MAX_SETS)
		return npf_tool_usage(command, "more than %d sets", NPF_MAX_SETS);
	if (!strncmp(argument, "src:", 4))
		side = NPF_SIDE_SOURCE;
	else if (!strncmp(argument, "dst:", 4))
		side = NPF_SIDE_DESTINATION;
	if (side != NPF_SIDE_EITHER)
		argument += 4;
	file = &options->files[options->n];
	err = npf_set_file_read(file, argument, (enum npf_set_kind)(option - OPTION_HOSTS), error);
	if (err)
		return npf_tool_fail(command, err == -EINVAL ? EXIT_USAGE : EXIT_FAILED, "%s",
				     error);
	file->set.side = side;
	options->sets[options->n++] = file->set;
	return EXIT_OK;
}

void npf_set_options_free(struct npf_set_options *options)
{
	while (options->n)
		npf_set_file_free(&options->files[--options->n]);
}

static int add(struct npf_match *match, const struct npf_set *set)
{
	void *table = aligned_alloc(64, (npf_set_size(set) + 63) & ~(size_t)63);
	void *space = malloc(npf_set_space(set));
	size_t used;
	int err = -ENOMEM;

	if (table && space)
		err = npf_set_build(set, match, table, space, &used);
	free(space);
	if (err)
		free(table);
	return err;
}

int npf_set_options_match(const struct npf_set_options *options, const struct npf_command *command,
			  uint32_t link_type, struct npf_match **out)
{
	struct npf_match *match;

	*out = NULL;
	if (!options->n)
		return EXIT_OK;
	match = calloc(1, sizeof(*match));
	if (!match)
		return npf_tool_fail(command, EXIT_FAILED, "out of memory");
	if (npf_sets_link(&match->shapes, link_type)) {
		npf_set_options_match_free(match);
		return npf_tool_fail(command, EXIT_FAILED,
				     "sets are not possible for link type %u (%s): where its packets "
				     "have their addresses is not known",
				     link_type, npf_link_name(link_type));
	}
	for (uint32_t i = 0; i < options->n; i++) {
		if (!add(match, &options->sets[i]))
			continue;
		npf_set_options_match_free(match);
		return npf_tool_fail(command, EXIT_FAILED, "no memory for the sets");
	}
	*out = match;
	return EXIT_OK;
}

void npf_set_options_match_free(struct npf_match *match)
{
	for (uint32_t i = 0; match && i < match->shapes.n; i++)
		free(match->tables[i]);
	free(match);
}
