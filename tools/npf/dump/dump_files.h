/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files of a dump, as npf_dump_start() asks for them: named, created under a name that says
 * they are not complete, and finished behind the dump's back by a thread of their own: synced, given
 * their final names, removed when there are too many, compressed.
 */
#ifndef NPF_DUMP_FILES_H
#define NPF_DUMP_FILES_H

#include <limits.h>

#include "savefile/compress.h"
#include "npf/npf.h"

#define NPF_MOST_KEPT 1000000u

struct npf_dump_files_options {
	const char *path; /* a pattern (dump_names.h); "-" and /dev/fd/N: descriptors */
	bool several;     /* files will follow each other */
	uint32_t keep;    /* remove the oldest beyond so many, 0 none */
	int compress;     /* zstd's level, 0 not at all */
	bool force;       /* replace whatever has the name, not only savefiles */
	/* A file has ended; on a thread of the files' own. May be NULL. name: its last part, with the
	 * suffix of what is not complete if it keeps that; NULL where it has none of ours. */
	void (*finished)(void *arg, const char *name, const struct npf_dump_file *file);
	void *arg;
};

struct npf_dump_files_report {
	uint64_t finished, removed;
	uint64_t failed;              /* complete, but not synced or renamed */
	char message[NPF_ERROR_SIZE]; /* about the first of those */
	int error;                    /* its negative errno */
	char last[NAME_MAX + 32];     /* newest file; empty: no file of ours */
	struct npf_compress_report compress;
};

struct npf_dump_files;

/* Does a path name what the caller has open already, as - and the shell's >(command) do? Then there
 * is no directory, and one file only. descriptor: which, -1 none that can be. */
bool npf_dump_files_inherited(const char *path, int *descriptor);

/* Only looks at the options. -EINVAL, -ENAMETOOLONG, -ENOMEM, with a sentence in error. */
int npf_dump_files_init(struct npf_dump_files **files, const struct npf_dump_files_options *options,
			char error[NPF_ERROR_SIZE]);

/* For npf_dump_options, with the files as arg. Threads and directory are opened with the first
 * file, by the rights of that moment. */
int npf_dump_files_next(void *files, struct npf_dump_file *file, char error[NPF_ERROR_SIZE]);
void npf_dump_files_done(void *files, const struct npf_dump_file *file);

/* After the dump: wait until every file is finished; compressing may still go on. */
void npf_dump_files_finish(struct npf_dump_files *files);
/* Compress for so long; true when nothing is left to be. */
bool npf_dump_files_compressed(struct npf_dump_files *files, unsigned int wait_ms);
void npf_dump_files_get_report(struct npf_dump_files *files, struct npf_dump_files_report *report);
/* End: what is not compressed stays as it is. Fills report, which may be NULL. */
void npf_dump_files_free(struct npf_dump_files *files, struct npf_dump_files_report *report);

#endif
