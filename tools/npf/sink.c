/* SPDX-License-Identifier: BSD-3-Clause */
/* See sink.h. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SHORT       512u /* bytes up to which copying costs less than a part of its own */
#define PACKED      (256u << 10)
#define GZIP_BITS   (15 + 16) /* deflateInit2(): largest window, gzip's header */
#define GZIP_MEMORY 8

struct packer {
	bool is_zstd;
	z_stream gzip;
	ZSTD_CCtx *zstd;
	uint8_t packed[PACKED];
};

static int fail(struct sink *sink, int err, const char *text)
{
	snprintf(sink->error, sizeof(sink->error), "%s", text);
	return err;
}

static int fail_errno(struct sink *sink)
{
	int err = errno ? -errno : -EIO;

	return fail(sink, err, strerror(-err));
}

/* ---- writing -------------------------------------------------------------------------------- */

static int write_parts(struct sink *sink, struct iovec *parts, int n)
{
	while (n) {
		ssize_t written = writev(sink->fd, parts, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return fail_errno(sink);
		for (; n && (size_t)written >= parts->iov_len; parts++, n--)
			written -= (ssize_t)parts->iov_len;
		if (n) {
			parts->iov_base = (uint8_t *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
	return 0;
}

static int write_packed(struct sink *sink, size_t n)
{
	struct iovec part = { sink->packer->packed, n };

	return n ? write_parts(sink, &part, 1) : 0;
}

/* ---- packing -------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

static int start_packing(struct sink *sink, const char *name)
{
	bool is_zstd = ends_with(name, ".zst");
	struct packer *packer;
	bool good;

	if (!is_zstd && !ends_with(name, ".gz"))
		return 0;
	packer = calloc(1, sizeof(*packer));
	if (!packer)
		return fail(sink, -ENOMEM, "out of memory");
	packer->is_zstd = is_zstd;
	if (is_zstd) {
		packer->zstd = ZSTD_createCCtx();
		good = packer->zstd != NULL;
	} else {
		good = deflateInit2(&packer->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_BITS,
				    GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
	}
	if (!good) {
		free(packer);
		return fail(sink, -ENOMEM, "out of memory");
	}
	sink->packer = packer;
	return 0;
}

static int deflate_bytes(struct sink *sink, const struct iovec *part, bool last)
{
	struct packer *packer = sink->packer;
	z_stream *gzip = &packer->gzip;
	size_t left = part->iov_len;
	int result = Z_OK, err;

	gzip->next_in = part->iov_base;
	while (left || last) {
		/* zlib counts in 32 bits. */
		uInt chunk = left < (1u << 30) ? (uInt)left : 1u << 30;

		gzip->avail_in = chunk;
		gzip->next_out = packer->packed;
		gzip->avail_out = PACKED;
		result = deflate(gzip, last && chunk == left ? Z_FINISH : Z_NO_FLUSH);
		left -= chunk - gzip->avail_in;
		err = write_packed(sink, PACKED - gzip->avail_out);
		if (err)
			return err;
		if (result == Z_STREAM_END)
			break;
	}
	return 0;
}

static int zstd_bytes(struct sink *sink, const struct iovec *part, bool last)
{
	struct packer *packer = sink->packer;
	ZSTD_inBuffer in = { part->iov_base, part->iov_len, 0 };
	size_t left = 1;
	int err;

	while (in.pos < in.size || (last && left)) {
		ZSTD_outBuffer out = { packer->packed, PACKED, 0 };

		left = ZSTD_compressStream2(packer->zstd, &out, &in,
					    last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return fail(sink, -ENOMEM, "packing failed");
		err = write_packed(sink, out.pos);
		if (err)
			return err;
	}
	return 0;
}

static int pack(struct sink *sink, const struct iovec *part, bool last)
{
	return sink->packer->is_zstd ? zstd_bytes(sink, part, last)
				     : deflate_bytes(sink, part, last);
}

static void stop_packing(struct sink *sink)
{
	if (!sink->packer)
		return;
	if (sink->packer->is_zstd)
		ZSTD_freeCCtx(sink->packer->zstd);
	else
		deflateEnd(&sink->packer->gzip);
	free(sink->packer);
	sink->packer = NULL;
}

/* ---- stretches ------------------------------------------------------------------------------ */

static int hand_on(struct sink *sink)
{
	int err = 0;

	if (!sink->packer)
		err = write_parts(sink, sink->parts, sink->n_parts);
	for (int i = 0; sink->packer && i < sink->n_parts && !err; i++)
		err = pack(sink, &sink->parts[i], false);
	sink->n_parts = 0;
	sink->gathered = 0;
	return err;
}

/* The stretch at hand becomes a part; short ones are copied together. */
static int end_run(struct sink *sink)
{
	struct iovec *last = sink->n_parts ? &sink->parts[sink->n_parts - 1] : NULL;
	uint8_t *to = sink->gather + sink->gathered;
	int err = 0;

	if (!sink->run_size)
		return 0;
	if (sink->run_size > SHORT) {
		sink->parts[sink->n_parts++] = (struct iovec){ (void *)(uintptr_t)sink->run,
							       sink->run_size };
	} else {
		memcpy(to, sink->run, sink->run_size);
		sink->gathered += sink->run_size;
		if (last && (uint8_t *)last->iov_base + last->iov_len == to)
			last->iov_len += sink->run_size;
		else
			sink->parts[sink->n_parts++] = (struct iovec){ to, sink->run_size };
	}
	sink->run_size = 0;
	if (sink->n_parts == SINK_PARTS || sink->gathered + SHORT > SINK_GATHERS)
		err = hand_on(sink);
	return err;
}

int sink_add(struct sink *sink, const uint8_t *at, size_t n)
{
	int err;

	if (sink->run_size && sink->run + sink->run_size == at) {
		sink->run_size += n;
		return 0;
	}
	err = end_run(sink);
	sink->run = at;
	sink->run_size = n;
	return err;
}

int sink_flush(struct sink *sink)
{
	int err = end_run(sink);

	return err ? err : hand_on(sink);
}

/* ---- the file ------------------------------------------------------------------------------- */

/* A file beside the one that it will replace, with the mode that a new file gets. */
static int open_working(struct sink *sink, const char *name)
{
	mode_t mask = umask(0);
	char *resolved = realpath(name, NULL); /* a link stays, what it leads to is replaced */

	umask(mask);
	sink->name = resolved ? resolved : strdup(name);
	if (!sink->name || asprintf(&sink->working, "%s.XXXXXX", sink->name) < 0) {
		sink->working = NULL;
		return fail(sink, -ENOMEM, "out of memory");
	}
	sink->fd = mkostemp(sink->working, O_CLOEXEC);
	if (sink->fd < 0) {
		int err = fail_errno(sink);

		free(sink->working);
		sink->working = NULL;
		return err;
	}
	fchmod(sink->fd, 0666 & ~mask);
	return 0;
}

int sink_open(struct sink *sink, const char *name, const struct stat *input)
{
	struct stat status;
	int err;

	memset(sink, 0, offsetof(struct sink, parts));
	sink->fd = -1;
	sink->error[0] = '\0';
	if (!strcmp(name, "-")) {
		sink->fd = STDOUT_FILENO;
		if (input && !fstat(sink->fd, &status) && S_ISREG(status.st_mode) &&
		    status.st_dev == input->st_dev && status.st_ino == input->st_ino)
			return fail(sink, -EINVAL, "that is the input: choose another file");
		return 0;
	}
	if (!stat(name, &status)) {
		if (input && status.st_dev == input->st_dev && status.st_ino == input->st_ino &&
		    S_ISREG(status.st_mode))
			return fail(sink, -EINVAL, "that is the input: choose another file");
		if (S_ISDIR(status.st_mode))
			return fail(sink, -EISDIR, strerror(EISDIR));
		if (!S_ISREG(status.st_mode)) {
			sink->fd = open(name, O_WRONLY | O_CLOEXEC);
			return sink->fd < 0 ? fail_errno(sink) : start_packing(sink, name);
		}
	}
	err = open_working(sink, name);
	return err ? err : start_packing(sink, name);
}

static int rename_working(struct sink *sink, bool keep)
{
	int err = 0;

	if (!sink->working)
		return 0;
	if (keep && rename(sink->working, sink->name))
		err = fail_errno(sink);
	if (!keep || err)
		unlink(sink->working);
	return err;
}

int sink_close(struct sink *sink, bool keep)
{
	const struct iovec nothing = { 0 };
	int err = 0, renamed;

	if (keep) {
		err = sink_flush(sink);
		if (!err && sink->packer)
			err = pack(sink, &nothing, true);
	}
	stop_packing(sink);
	if (sink->fd > STDOUT_FILENO && close(sink->fd) && !err)
		err = fail_errno(sink);
	renamed = rename_working(sink, keep && !err);
	free(sink->name);
	free(sink->working);
	sink->name = sink->working = NULL;
	sink->fd = -1;
	return err ? err : renamed;
}
