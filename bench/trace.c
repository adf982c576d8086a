/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The traces that senders replay: made here, in memory, so that nothing is left behind.
 */
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trace.h"

#define MAGIC_NANO 0xA1B23C4Du
#define BASE_TIME  1700000000u /* seconds; any will do */
#define SECOND     UINT64_C(1000000000)

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snaplen, link_type;
};

struct packet_header {
	uint32_t seconds, nanoseconds, caplen, len;
};

void trace_create(struct trace *trace)
{
	const struct file_header header = { MAGIC_NANO, 2, 4, 0, 0, 65535, 1 };

	trace->fd = memfd_create("trace", 0);
	if (trace->fd < 0)
		err(1, "memfd_create");
	snprintf(trace->path, sizeof(trace->path), "/proc/%d/fd/%d", (int)getpid(), trace->fd);
	trace->file = fdopen(dup(trace->fd), "w");
	if (!trace->file || fwrite(&header, sizeof(header), 1, trace->file) != 1)
		err(1, "trace");
}

void trace_add(struct trace *trace, uint64_t time, const uint8_t *frame, size_t size)
{
	const struct packet_header header = { BASE_TIME + (uint32_t)(time / SECOND),
					      (uint32_t)(time % SECOND), (uint32_t)size,
					      (uint32_t)size };

	if (fwrite(&header, sizeof(header), 1, trace->file) != 1 ||
	    fwrite(frame, size, 1, trace->file) != 1)
		err(1, "trace");
	trace->packets++;
}

void trace_finish(struct trace *trace)
{
	if (fclose(trace->file))
		err(1, "trace");
	trace->file = NULL;
}

/* A different packet each: only the payload, so that their way is the same. */
static void number_frame(uint8_t *frame, uint32_t number)
{
	memcpy(frame + TRACE_NUMBER_AT, &number, sizeof(number));
}

void trace_distinct(struct trace *trace, size_t size, unsigned int n)
{
	uint8_t frame[MAX_FRAME];

	sender_make_frame(frame, size);
	trace_create(trace);
	for (unsigned int i = 0; i < n; i++) {
		number_frame(frame, i);
		trace_add(trace, i * UINT64_C(1000), frame, size);
	}
	trace_finish(trace);
}

/* Gaps between shortest and longest, as many of each magnitude; always the same ones. */
void trace_gaps(struct trace *trace, uint64_t shortest, uint64_t longest, uint64_t length)
{
	uint8_t frame[MAX_FRAME];
	uint32_t random = 1;

	sender_make_frame(frame, 64);
	trace_create(trace);
	for (uint64_t time = 0; time < length;) {
		number_frame(frame, trace->packets);
		trace_add(trace, time, frame, 64);
		random = random * 1664525u + 1013904223u;
		time += (uint64_t)((double)shortest * pow((double)longest / (double)shortest,
							  (random >> 8) / 16777216.0));
	}
	trace_finish(trace);
}

uint64_t *trace_times(int fd, size_t *n)
{
	struct file_header file;
	struct packet_header header;
	uint64_t *times = NULL;
	size_t room = 0;
	off_t at = sizeof(file);

	*n = 0;
	if (pread(fd, &file, sizeof(file), 0) != sizeof(file) || file.magic != MAGIC_NANO)
		return NULL;
	for (; pread(fd, &header, sizeof(header), at) == sizeof(header);
	     at += (off_t)(sizeof(header) + header.caplen)) {
		if (*n == room) {
			room = room ? room * 2 : 4096;
			times = realloc(times, room * sizeof(*times));
			if (!times)
				err(1, "realloc");
		}
		times[(*n)++] = header.seconds * SECOND + header.nanoseconds;
	}
	return times;
}
