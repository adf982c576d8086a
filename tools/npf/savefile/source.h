/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a file, one after the other: read into a buffer that the processor's cache holds,
 * unpacked when they turn out to be gzip's or zstd's. Not mapped: to map pages costs the kernel as
 * much as to copy them, or twice as much where the page cache holds the file in small pieces
 * (CAVEATS.md, "npf filter beside tcpdump"); whoever looks at every packet of a mapping waits for the
 * memory at each, while the copy streams through all of it; and a file that becomes shorter meanwhile
 * is a short read instead of a signal.
 */
#ifndef NPF_TOOL_SOURCE_H
#define NPF_TOOL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_SLACK 128u /* readable bytes behind what there is: the engine loads ahead */

struct unpacker;

/* Waits until fd, which is no regular file, is readable; false: reading shall end. */
struct source_waiter {
	bool (*wait)(void *data, int fd);
	void *data;
};

struct source {
	const uint8_t *at; /* n bytes are here now */
	size_t n;
	bool ended;    /* and no more will come */
	uint64_t size; /* of the file, 0 not known */
	uint64_t done; /* bytes of it that were taken in */

	int fd;
	bool regular;
	struct source_waiter waiter;
	uint8_t *memory;
	size_t capacity;
	struct unpacker *unpacker; /* NULL: as they are */
	char error[160];
};

/* "-" is standard input. waiter NULL: until a signal comes (signals.h). Negative errno,
 * source->error is the reason. */
int source_open(struct source *source, const char *name, const struct source_waiter *waiter);
/* The same in two steps: the bytes as they are, of which what tells the file's kind is here; and unpacked
 * from here on if they turn out to be packed, while nothing was skipped. */
int source_open_plain(struct source *source, const char *name, const struct source_waiter *waiter);
int source_recognise(struct source *source);
void source_close(struct source *source);

/* See to it that need bytes are there, or that the file has ended. Moves them: what pointed at
 * them is void. Negative errno as above, -EINTR when reading shall end. */
int source_fill(struct source *source, size_t need);
void source_skip(struct source *source, size_t n);

#endif
