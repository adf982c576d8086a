/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finished files made smaller (zstd), by a thread of its own that runs when nobody else wants the
 * CPU or the disk. Whoever comes to a full queue is told so and goes uncompressed.
 */
#ifndef NPF_COMPRESS_H
#define NPF_COMPRESS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define NPF_ZSTD_SUFFIX    ".zst"
#define NPF_COMPRESS_QUEUE 64 /* files that may wait */

struct npf_compress;

struct npf_compress_report {
	uint64_t files, bytes_in, bytes_out; /* compressed */
	char last[NAME_MAX + 1];             /* the newest of these, by its name before */
	uint64_t left;                       /* files that stay as they are: queue full, or hurry */
	uint64_t failed;
	int error; /* negative errno of the first failure */
	uint64_t waiting;
	uint64_t cpu_ns;
};

int npf_compress_levels(void); /* the highest */

/* Start the thread; files are those of a directory. Negative errno. */
int npf_compress_start(struct npf_compress **compress, int directory, int level);

/* Make name into name.zst and remove it. number orders the files. replace: a name.zst that is there
 * makes room. False when the queue is full. */
bool npf_compress_add(struct npf_compress *compress, const char *name, uint64_t number,
		      bool replace);

/* Files up to this number have been, or are going to be, removed: forget them. Afterwards no
 * name.zst of theirs will appear. */
void npf_compress_forget(struct npf_compress *compress, uint64_t number);

void npf_compress_get_report(struct npf_compress *compress, struct npf_compress_report *report);

/* No more files will come: go on at full speed. True once the queue is empty. */
bool npf_compress_finish(struct npf_compress *compress, unsigned int wait_ms);

/* End the thread, leaving as they are the files that are not done. report may be NULL. */
void npf_compress_end(struct npf_compress *compress, struct npf_compress_report *report);

#endif
