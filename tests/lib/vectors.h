/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vector files (tools/npf/bpf/vectors.h) that are not part of this tree.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "lib/check.h"
#include "lib/testdata.h"

#include <stdio.h>

#include "../../tools/npf/bpf/vectors.h"

static const char *const vector_files[] = { "linux_test_bpf.txt", "netbsd_bpfjit.txt" };

/* Read bpf/FILE of the directory $NPF_TESTDATA; where none is named the test is skipped. */
static inline void vectors_load(const char *file, struct vectors *vectors)
{
	char name[64], path[TESTDATA_PATH];
	int err;

	snprintf(name, sizeof(name), "bpf/%s", file);
	if (!testdata_path(path, name))
		skip();
	err = npf_vectors_read(path, vectors);
	if (err == -ENOENT) {
		print_message("there is no %s\n", path);
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
