/* SPDX-License-Identifier: BSD-3-Clause */
/* See dump_names.h. */
#include "dump_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

#define LONGEST_SUFFIX 16 /* room that is kept for .zst and .part */

/* Those that strftime() makes a name of, whatever the locale, and the file's number. */
static const char conversions[] = "aAbBCdeFgGhHIjmMpsSTuUVwWyYzZi%";

static int check_pattern(const char *pattern, bool *counted, char error[NPF_ERROR_SIZE])
{
	*counted = false;
	for (const char *at = strchr(pattern, '%'); at; at = strchr(at + 2, '%')) {
		if (!at[1] || !strchr(conversions, at[1])) {
			snprintf(error, NPF_ERROR_SIZE,
				 "'%%%.1s' cannot stand in a file's name; a percent sign is %%%%",
				 at + 1);
			return -EINVAL;
		}
		*counted |= at[1] == 'i';
	}
	return 0;
}

/* trace.pcap becomes trace-%i.pcap. A dot at the beginning hides a file and ends no name. */
static void add_number(char *pattern, size_t size)
{
	char rest[NAME_MAX + 8];
	char *dot = strrchr(pattern, '.');

	if (!dot || dot == pattern)
		dot = pattern + strlen(pattern);
	strcpy(rest, dot);
	snprintf(dot, size - (size_t)(dot - pattern), "-%%i%s", rest);
}

int npf_names_init(struct npf_names *names, const char *path, bool several,
		   char error[NPF_ERROR_SIZE])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t before = slash ? (size_t)(slash - path) : 0;
	int err;

	if (before >= sizeof(names->directory) || strlen(base) > NAME_MAX) {
		snprintf(error, NPF_ERROR_SIZE, "the name is too long");
		return -ENAMETOOLONG;
	}
	if (!*base || !strcmp(base, ".") || !strcmp(base, "..")) {
		snprintf(error, NPF_ERROR_SIZE, "'%s' is a directory; a file's name is wanted",
			 path);
		return -EINVAL;
	}
	snprintf(names->directory, sizeof(names->directory), "%.*s", (int)before, path);
	if (!before)
		strcpy(names->directory, slash ? "/" : ".");
	strcpy(names->pattern, base);
	err = check_pattern(names->pattern, &names->counted, error);
	if (err || !several || names->counted)
		return err;
	add_number(names->pattern, sizeof(names->pattern));
	names->counted = true;
	return 0;
}

/* %i is ours, the rest strftime()'s: a text that it takes over as it is. */
static int put_number(const char *pattern, uint64_t sequence, char *out, size_t size)
{
	size_t n = 0;

	for (const char *at = pattern; *at; at++) {
		int added;

		if (at[0] == '%' && at[1] == 'i')
			added = snprintf(out + n, size - n, "%05" PRIu64, sequence);
		else if (at[0] == '%')
			added = snprintf(out + n, size - n, "%%%c", at[1]);
		else
			added = snprintf(out + n, size - n, "%c", at[0]);
		at += at[0] == '%';
		n += (size_t)added;
		if (n >= size)
			return -ENAMETOOLONG;
	}
	return 0;
}

int npf_names_make(const struct npf_names *names, uint64_t sequence, uint64_t time,
		   char name[NAME_MAX + 1])
{
	char numbered[NAME_MAX * 2];
	time_t second = (time_t)(time / 1000000000u);
	struct tm local;
	int err = put_number(names->pattern, sequence, numbered, sizeof(numbered));

	if (err)
		return err;
	if (!localtime_r(&second, &local))
		return -EINVAL;
	if (!strftime(name, NAME_MAX + 1 - LONGEST_SUFFIX, numbered, &local))
		return -ENAMETOOLONG;
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	return 0;
}

/* ---- the ring -------------------------------------------------------------------------------- */

int npf_name_ring_init(struct npf_name_ring *ring, uint32_t size)
{
	*ring = (struct npf_name_ring){ .size = size };
	if (size)
		ring->names = calloc(size, sizeof(*ring->names));
	return size && !ring->names ? -ENOMEM : 0;
}

void npf_name_ring_free(struct npf_name_ring *ring)
{
	free(ring->names);
	*ring = (struct npf_name_ring){ 0 };
}

const char *npf_name_ring_pop(struct npf_name_ring *ring)
{
	const char *oldest;

	if (!ring->size || ring->n < ring->size)
		return NULL;
	oldest = ring->names[ring->first];
	ring->first = (ring->first + 1) % ring->size;
	ring->n--;
	return oldest;
}

void npf_name_ring_push(struct npf_name_ring *ring, const char *name)
{
	if (ring->size)
		snprintf(ring->names[(ring->first + ring->n++) % ring->size], NAME_MAX + 1, "%s",
			 name);
}
