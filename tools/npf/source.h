/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a file, one after the other: mapped where that is possible, read in large blocks
 * from pipes, unpacked when they turn out to be gzip's or zstd's.
 */
#ifndef NPF_TOOL_SOURCE_H
#define NPF_TOOL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_SLACK 128u /* readable bytes behind what there is: the engine loads ahead */

struct unpacker;

struct source {
	const uint8_t *at; /* n bytes are here now */
	size_t n;
	bool ended;    /* and no more will come */
	uint64_t size; /* of the file, 0 not known */
	uint64_t done; /* bytes of it that were taken in */

	int fd;
	uint8_t *memory; /* the mapping, or the buffer that is read into */
	size_t capacity;
	size_t populated; /* bytes of the mapping that the kernel was asked to make present */
	bool mapped;
	struct unpacker *unpacker; /* NULL: as they are */
	char error[160];
};

/* "-" is standard input. Negative errno, source->error is the reason. */
int source_open(struct source *source, const char *name);
void source_close(struct source *source);

/* See to it that need bytes are there, or that the file has ended. Moves them: what pointed at
 * them is void, unless source->mapped. Negative errno as above. */
int source_fill(struct source *source, size_t need);
void source_skip(struct source *source, size_t n);

#endif
