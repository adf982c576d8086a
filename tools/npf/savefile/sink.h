/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where npf filter's bytes go: gathered into blocks, packed by gzip or zstd when the name ends so. A
 * regular file appears under its name only when it is finished; what is long is written past the
 * page cache, which costs a tenth of having the kernel find memory for it.
 */
#ifndef NPF_TOOL_SINK_H
#define NPF_TOOL_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct packer;

struct sink {
	int fd;
	char *name;    /* of the finished file; NULL: written in place */
	char *working; /* until then */
	struct packer *packer;
	uint8_t *block;
	size_t filled, size; /* of the block: bytes in it, and when it is written */
	bool may_be_direct;  /* a disk's file that nobody else has */
	bool direct;
	uint64_t blocks, waited; /* written directly, and ns that they took */
	char error[160];
};

/* "-" is standard output. input: a file that must not be written over, NULL none. Negative errno,
 * sink->error is the reason; -EINVAL it is the input. */
int sink_open(struct sink *sink, const char *name, const struct stat *input);
int sink_add(struct sink *sink, const uint8_t *at, size_t n);
/* Before waiting for input: somebody who reads at the other end gets what there is. */
int sink_pause(struct sink *sink);
/* Finish: the file gets its name. keep false: it is thrown away. */
int sink_close(struct sink *sink, bool keep);

#endif
