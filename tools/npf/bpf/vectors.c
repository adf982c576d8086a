/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reader of the vector files described in vectors.h. Strict: a line that it does not know makes
 * the whole file fail, so that no vector is left out unseen.
 */
#include "vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One more, zeroed entry at the end of an array; NULL: no memory, the array is as it was. */
static void *append(void *array, uint32_t *n, size_t size)
{
	void **base = array;
	void *larger = realloc(*base, (*n + 1) * size);

	if (!larger)
		return NULL;
	*base = larger;
	memset((char *)larger + *n * size, 0, size);
	return (char *)larger + (*n)++ * size;
}

static int read_insn(struct vector *vector, const char *line)
{
	struct npf_insn *insn = append(&vector->insns, &vector->n_insns, sizeof(*insn));

	if (!insn)
		return -ENOMEM;
	if (sscanf(line, "i %" SCNx16 " %" SCNu8 " %" SCNu8 " %" SCNx32, &insn->code, &insn->jt,
		   &insn->jf, &insn->k) != 4)
		return -EBADMSG;
	return 0;
}

static int read_hex(struct vector_run *run, const char *hex)
{
	unsigned int byte;

	for (uint32_t i = 0; hex[0] != '-' && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++) {
		if (i == run->length)
			return -EBADMSG;
		run->data[i] = (uint8_t)byte;
	}
	return 0;
}

static int read_packet(struct vector *vector, const char *line)
{
	struct vector_run *run = append(&vector->runs, &vector->n_runs, sizeof(*run));
	int hex = 0;

	if (!run)
		return -ENOMEM;
	if (sscanf(line, "p %" SCNu32 " %" SCNu32 " %n", &run->wire_length, &run->length, &hex) != 2)
		return -EBADMSG;
	/* Exactly as long as said, so that a sanitizer sees every read behind it. */
	run->data = calloc(1, run->length ? run->length : 1);
	return run->data ? read_hex(run, line + hex) : -ENOMEM;
}

static int read_result(struct vector *vector, const char *line)
{
	if (!vector->n_runs ||
	    sscanf(line, "r %" SCNx32, &vector->runs[vector->n_runs - 1].expected) != 1)
		return -EBADMSG;
	return 0;
}

static int read_line(struct vectors *vectors, const char *line)
{
	struct vector *vector = vectors->n ? &vectors->list[vectors->n - 1] : NULL;
	uint32_t n = (uint32_t)vectors->n;

	if (!*line || *line == '#' || !strcmp(line, "end"))
		return 0;
	if (!strncmp(line, "case ", 5)) {
		vector = append(&vectors->list, &n, sizeof(*vector));
		vectors->n = n;
		if (!vector)
			return -ENOMEM;
		snprintf(vector->name, sizeof(vector->name), "%s", line + 5);
		return 0;
	}
	if (!vector)
		return -EBADMSG;
	if (!strncmp(line, "tags ", 5)) {
		snprintf(vector->tags, sizeof(vector->tags), "%s ", line + 4);
		return 0;
	}
	if (!strncmp(line, "reject", 6)) {
		vector->reject = true;
		return 0;
	}
	if (line[1] != ' ')
		return -EBADMSG;
	switch (line[0]) {
	case 'i':
		return read_insn(vector, line);
	case 'p':
		return read_packet(vector, line);
	case 'r':
		return read_result(vector, line);
	default:
		return -EBADMSG;
	}
}

int npf_vectors_read(const char *file, struct vectors *vectors)
{
	FILE *stream = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	int err = 0;

	*vectors = (struct vectors){ 0 };
	if (!stream)
		return -errno;
	while (!err && (length = getline(&line, &size, stream)) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		vectors->line++;
		err = read_line(vectors, line);
	}
	free(line);
	fclose(stream);
	return err;
}

void npf_vectors_free(struct vectors *vectors)
{
	for (size_t i = 0; i < vectors->n; i++) {
		struct vector *vector = &vectors->list[i];

		for (uint32_t j = 0; j < vector->n_runs; j++)
			free(vector->runs[j].data);
		free(vector->runs);
		free(vector->insns);
	}
	free(vectors->list);
	*vectors = (struct vectors){ 0 };
}

bool npf_vector_has_tag(const struct vector *vector, const char *tag)
{
	char padded[64];

	snprintf(padded, sizeof(padded), " %s ", tag);
	return strstr(vector->tags, padded) != NULL;
}
