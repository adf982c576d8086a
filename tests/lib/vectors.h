/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vector files (tools/npf/bpf/vectors.h) that are not part of this tree.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "lib/check.h"

#include <stdio.h>

#include "../../tools/npf/bpf/vectors.h"

static const char *const vector_files[] = { "linux_test_bpf.txt", "netbsd_bpfjit.txt" };

/* Read bpf/FILE of the directory $NPF_TESTDATA; where there is none the test is skipped. */
static inline void vectors_load(const char *file, struct vectors *vectors)
{
	const char *dir = getenv("NPF_TESTDATA");
	char path[4096];
	int err;

	snprintf(path, sizeof(path), "%s/bpf/%s", dir ? dir : "", file);
	err = dir && *dir ? npf_vectors_read(path, vectors) : -ENOENT;
	if (err == -ENOENT) {
		print_message("set NPF_TESTDATA to a directory of vector files\n");
		skip();
	}
	if (err)
		fail_msg("%s:%lu: %s", path, vectors->line, strerror(-err));
}

static inline void vectors_free(struct vectors *vectors)
{
	npf_vectors_free(vectors);
}

static inline bool vector_has_tag(const struct vector *vector, const char *tag)
{
	return npf_vector_has_tag(vector, tag);
}

#endif
