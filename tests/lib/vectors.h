/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vector files (tools/npf/bpf/vectors.h) that are not part of this tree.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../tools/npf/bpf/vectors.h"

/* Read bpf/FILE of the directory $NPF_TESTDATA. 0, -ENOENT: there is none, other negative errno
 * values: it cannot be read or understood. */
static inline int vectors_load(const char *file, struct vectors *vectors)
{
	const char *dir = getenv("NPF_TESTDATA");
	char path[4096];
	int err;

	if (!dir || !*dir)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/bpf/%s", dir, file);
	err = npf_vectors_read(path, vectors);
	if (err == -EBADMSG)
		fprintf(stderr, "%s:%lu: not understood\n", path, vectors->line);
	if (err)
		npf_vectors_free(vectors);
	return err;
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
