/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where npf filter's bytes go: stretches of the input, written from where they lie, packed by gzip
 * or zstd when the name ends so. A regular file appears under its name only when it is finished.
 */
#ifndef NPF_TOOL_SINK_H
#define NPF_TOOL_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SINK_PARTS   1000         /* of one write; below IOV_MAX */
#define SINK_GATHERS (256u << 10) /* bytes of short stretches per write */

struct packer;

struct sink {
	int fd;
	char *name;    /* of the finished file; NULL: written in place */
	char *working; /* until then */
	struct packer *packer;
	const uint8_t *run; /* the stretch at hand */
	size_t run_size;
	size_t gathered;
	int n_parts;
	struct iovec parts[SINK_PARTS];
	uint8_t gather[SINK_GATHERS];
	char error[160];
};

/* "-" is standard output. input: a file that must not be written over, NULL none. Negative errno,
 * sink->error is the reason. */
int sink_open(struct sink *sink, const char *name, const struct stat *input);
/* Add n bytes, which stay until sink_flush(). */
int sink_add(struct sink *sink, const uint8_t *at, size_t n);
int sink_flush(struct sink *sink);
/* Finish: the file gets its name. keep false: it is thrown away. */
int sink_close(struct sink *sink, bool keep);

#endif
