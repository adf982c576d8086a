/* SPDX-License-Identifier: BSD-3-Clause */
/* See sink.h. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "direct_io.h"
#include "file_name.h"

#define DIRECT    (4u << 20) /* bytes of a write past the page cache: few, long ones cost least */
#define CACHED    (256u << 10)
#define HUGE_PAGE (2u << 20)
#define PACKED    (256u << 10)
/* What a disk may take for each DIRECT bytes, and beyond that in all, ns. Slower ones are left to the
 * page cache: half a gigabyte a second is what copying through it attains. */
#define PACE        8000000u
#define GRACE       100000000u
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

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void give_up_direct(struct sink *sink)
{
	npf_direct_io_set(sink->fd, false);
	sink->direct = sink->may_be_direct = false;
	sink->size = CACHED;
}

/* Only whole blocks may go past the page cache: what ends the file is none. */
static void choose_way(struct sink *sink, size_t n)
{
	bool direct = sink->may_be_direct && n == DIRECT;

	if (direct == sink->direct)
		return;
	if (npf_direct_io_set(sink->fd, direct))
		sink->direct = direct;
	else
		give_up_direct(sink);
}

static int write_all(struct sink *sink, const uint8_t *at, size_t n)
{
	while (n) {
		ssize_t written = write(sink->fd, at, n);

		if (written < 0 && errno == EINTR)
			continue;
		/* Not this way, or not all: what is left is not whole blocks of the disk. */
		if (sink->direct && (written >= 0 ? (size_t)written < n : errno == EINVAL)) {
			give_up_direct(sink);
			written = written < 0 ? 0 : written;
		}
		if (written < 0)
			return fail_errno(sink);
		at += written;
		n -= (size_t)written;
	}
	return 0;
}

static int write_block(struct sink *sink)
{
	size_t n = sink->filled;
	uint64_t began = now();
	int err;

	sink->filled = 0;
	choose_way(sink, n);
	err = write_all(sink, sink->block, n);
	if (sink->direct) {
		sink->blocks++;
		sink->waited += now() - began;
		if (sink->waited > GRACE + sink->blocks * PACE)
			give_up_direct(sink);
	}
	return err;
}

static int put(struct sink *sink, const uint8_t *at, size_t n)
{
	int err = 0;

	while (n > sink->size - sink->filled && !err) {
		size_t part = sink->size - sink->filled;

		memcpy(sink->block + sink->filled, at, part);
		sink->filled += part;
		at += part;
		n -= part;
		err = write_block(sink);
	}
	if (err)
		return err;
	memcpy(sink->block + sink->filled, at, n);
	sink->filled += n;
	return 0;
}

/* ---- packing -------------------------------------------------------------------------------- */

static int start_packing(struct sink *sink, const char *name)
{
	enum npf_kind pack = npf_file_name_of(name).pack;
	bool is_zstd = pack == NPF_KIND_ZSTD, good;
	struct packer *packer;

	if (!is_zstd && pack != NPF_KIND_GZIP)
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

static int deflate_bytes(struct sink *sink, const uint8_t *at, size_t left, bool last)
{
	struct packer *packer = sink->packer;
	z_stream *gzip = &packer->gzip;
	int result = Z_OK, err;

	gzip->next_in = (uint8_t *)(uintptr_t)at;
	while (left || last) {
		/* zlib counts in 32 bits. */
		uInt chunk = left < (1u << 30) ? (uInt)left : 1u << 30;

		gzip->avail_in = chunk;
		gzip->next_out = packer->packed;
		gzip->avail_out = PACKED;
		result = deflate(gzip, last && chunk == left ? Z_FINISH : Z_NO_FLUSH);
		left -= chunk - gzip->avail_in;
		err = put(sink, packer->packed, PACKED - gzip->avail_out);
		if (err)
			return err;
		if (result == Z_STREAM_END)
			break;
	}
	return 0;
}

static int zstd_bytes(struct sink *sink, const uint8_t *at, size_t n, bool last)
{
	struct packer *packer = sink->packer;
	ZSTD_inBuffer in = { at, n, 0 };
	size_t left = 1;
	int err;

	while (in.pos < in.size || (last && left)) {
		ZSTD_outBuffer out = { packer->packed, PACKED, 0 };

		left = ZSTD_compressStream2(packer->zstd, &out, &in,
					    last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return fail(sink, -ENOMEM, "packing failed");
		err = put(sink, packer->packed, out.pos);
		if (err)
			return err;
	}
	return 0;
}

static int pack(struct sink *sink, const uint8_t *at, size_t n, bool last)
{
	return sink->packer->is_zstd ? zstd_bytes(sink, at, n, last)
				     : deflate_bytes(sink, at, n, last);
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

/* ---- all ------------------------------------------------------------------------------------ */

int sink_add(struct sink *sink, const uint8_t *at, size_t n)
{
	return sink->packer ? pack(sink, at, n, false) : put(sink, at, n);
}

int sink_pause(struct sink *sink)
{
	return sink->working ? 0 : write_block(sink);
}

/* ---- the file ------------------------------------------------------------------------------- */

/* A file beside the one that it will replace, whose mode it gets; a new one is its owner's alone, for
 * packets are private. */
static int open_working(struct sink *sink, const char *name, const struct stat *replaced)
{
	char *resolved = realpath(name, NULL); /* a link stays, what it leads to is replaced */

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
	if (replaced)
		fchmod(sink->fd, replaced->st_mode & 0777);
	sink->may_be_direct = npf_direct_io_has_disk(sink->fd);
	return 0;
}

static int make_block(struct sink *sink)
{
	sink->size = sink->may_be_direct ? DIRECT : CACHED;
	sink->block = aligned_alloc(HUGE_PAGE, DIRECT);
	if (!sink->block)
		return fail(sink, -ENOMEM, "out of memory");
	madvise(sink->block, sink->size, MADV_HUGEPAGE);
	return 0;
}

static int open_file(struct sink *sink, const char *name, const struct stat *input)
{
	struct stat status;
	bool there;

	if (!strcmp(name, "-")) {
		sink->fd = STDOUT_FILENO;
		if (input && !fstat(sink->fd, &status) && S_ISREG(status.st_mode) &&
		    status.st_dev == input->st_dev && status.st_ino == input->st_ino)
			return fail(sink, -EINVAL, "that is the input: choose another file");
		return 0;
	}
	there = !stat(name, &status);
	if (there) {
		if (input && status.st_dev == input->st_dev && status.st_ino == input->st_ino &&
		    S_ISREG(status.st_mode))
			return fail(sink, -EINVAL, "that is the input: choose another file");
		if (S_ISDIR(status.st_mode))
			return fail(sink, -EISDIR, strerror(EISDIR));
		if (!S_ISREG(status.st_mode)) {
			sink->fd = open(name, O_WRONLY | O_CLOEXEC);
			return sink->fd < 0 ? fail_errno(sink) : 0;
		}
	}
	return open_working(sink, name, there ? &status : NULL);
}

int sink_open(struct sink *sink, const char *name, const struct stat *input)
{
	int err;

	memset(sink, 0, sizeof(*sink));
	sink->fd = -1;
	err = open_file(sink, name, input);
	if (!err)
		err = make_block(sink);
	if (!err)
		err = start_packing(sink, name);
	if (err)
		sink_close(sink, false);
	return err;
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
	int err = 0, renamed;

	if (keep && sink->packer)
		err = pack(sink, NULL, 0, true);
	if (keep && !err)
		err = write_block(sink);
	stop_packing(sink);
	if (sink->fd > STDOUT_FILENO && close(sink->fd) && !err)
		err = fail_errno(sink);
	renamed = rename_working(sink, keep && !err);
	free(sink->block);
	free(sink->name);
	free(sink->working);
	sink->block = NULL;
	sink->name = sink->working = NULL;
	sink->fd = -1;
	return err ? err : renamed;
}
