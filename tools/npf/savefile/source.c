/* SPDX-License-Identifier: BSD-3-Clause */
/* See source.h. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "kind.h"
#include "ui/signals.h"

/* Of reading. Larger ones leave the caches next to the processor, smaller ones cost calls; twice as
 * much on a huge page makes no difference. */
#define BLOCK        (256u << 10)
#define PAGE         4096u
#define GZIP_OR_ZLIB 47 /* inflateInit2(): recognise the header, largest window */

/* zstd's hint of what to give it next has the header of the next block in it. */
#define ZSTD_BLOCK_HEADER 3u
#define ZSTD_FRAME_BEGIN  5u

struct unpacker {
	bool is_zstd;
	bool within;        /* a packed stream has begun and not ended */
	const char *damage; /* behind what was unpacked; NULL none that is known */
	z_stream gzip;
	ZSTD_DStream *zstd;
	size_t hint;  /* of zstd */
	bool pending; /* zstd may have more to give without more input */
	size_t at, n; /* what is left in packed */
	uint8_t packed[BLOCK];
};

static int fail(struct source *source, int err, const char *text)
{
	snprintf(source->error, sizeof(source->error), "%s", text);
	return err;
}

static int fail_errno(struct source *source)
{
	int err = errno ? -errno : -EIO;

	return fail(source, err, strerror(-err));
}

/* ---- reading -------------------------------------------------------------------------------- */

static ssize_t read_some(struct source *source, uint8_t *to, size_t size)
{
	ssize_t n;

	do {
		/* A pipe may have nothing for long, or somebody else took it. */
		if (!source->regular && !source->waiter.wait(source->waiter.data, source->fd))
			return fail(source, -EINTR, "interrupted");
		n = read(source->fd, to, size);
	} while (n < 0 && (errno == EINTR || (errno == EAGAIN && !source->regular)));
	if (n < 0)
		return fail_errno(source);
	source->done += (uint64_t)n;
	return n;
}

/* Room for `more` bytes behind what is left, on a page of its own: pages of a file are copied
 * fastest to pages. */
static int make_room(struct source *source, size_t more)
{
	size_t front = (source->n + PAGE - 1) / PAGE * PAGE;
	size_t wanted = (front + more + SOURCE_SLACK + PAGE - 1) / PAGE * PAGE;
	uint8_t *memory = source->memory;

	if (wanted > source->capacity)
		memory = aligned_alloc(PAGE, wanted);
	if (!memory)
		return fail(source, -ENOMEM, "out of memory");
	if (source->n)
		memmove(memory + front - source->n, source->at, source->n);
	if (memory != source->memory) {
		free(source->memory);
		source->memory = memory;
		source->capacity = wanted;
	}
	source->at = memory + front - source->n;
	return 0;
}

/* ---- unpacking ------------------------------------------------------------------------------ */

static int start_unpacking(struct source *source, bool is_zstd)
{
	struct unpacker *unpacker = calloc(1, sizeof(*unpacker));

	if (!unpacker)
		return fail(source, -ENOMEM, "out of memory");
	unpacker->is_zstd = is_zstd;
	source->unpacker = unpacker;
	if (is_zstd)
		unpacker->zstd = ZSTD_createDStream();
	if (is_zstd ? !unpacker->zstd : inflateInit2(&unpacker->gzip, GZIP_OR_ZLIB) != Z_OK)
		return fail(source, -ENOMEM, "out of memory");
	return 0;
}

/* What was unpacked before the damage comes first. */
static ssize_t damaged(struct source *source, size_t unpacked, const char *text)
{
	source->unpacker->damage = text;
	return unpacked ? (ssize_t)unpacked : fail(source, -EBADMSG, text);
}

static ssize_t gunzip(struct source *source, uint8_t *to, size_t size)
{
	struct unpacker *unpacker = source->unpacker;
	z_stream *gzip = &unpacker->gzip;
	int result;

	/* A file may be several streams in a row. */
	if (!unpacker->within && inflateReset(gzip) != Z_OK)
		return fail(source, -EBADMSG, "unpacking failed");
	gzip->next_in = unpacker->packed + unpacker->at;
	gzip->avail_in = (uInt)unpacker->n;
	gzip->next_out = to;
	gzip->avail_out = (uInt)size;
	result = inflate(gzip, Z_NO_FLUSH);
	if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
		return damaged(source, size - gzip->avail_out, "the gzip data is damaged");
	unpacker->within = result != Z_STREAM_END;
	unpacker->at += unpacker->n - gzip->avail_in;
	unpacker->n = gzip->avail_in;
	return (ssize_t)(size - gzip->avail_out);
}

/* A call that fails does not say what it has unpacked before. So each gets a header or the body of a
 * block, never a body and the header that follows, and nothing while it still has something to give. */
static size_t next_for_zstd(const struct unpacker *unpacker)
{
	size_t hint = unpacker->hint ? unpacker->hint : ZSTD_FRAME_BEGIN;

	if (unpacker->pending)
		return 0;
	if (hint > ZSTD_BLOCK_HEADER)
		hint -= ZSTD_BLOCK_HEADER;
	return hint < unpacker->n ? hint : unpacker->n;
}

static ssize_t unzstd(struct source *source, uint8_t *to, size_t size)
{
	struct unpacker *unpacker = source->unpacker;
	ZSTD_inBuffer in = { unpacker->packed + unpacker->at, next_for_zstd(unpacker), 0 };
	ZSTD_outBuffer out = { to, size, 0 };
	size_t result = ZSTD_decompressStream(unpacker->zstd, &out, &in);

	if (ZSTD_isError(result))
		return damaged(source, 0, "the zstd data is damaged");
	unpacker->within = result != 0;
	unpacker->hint = result;
	unpacker->pending = result && out.pos == out.size;
	unpacker->at += in.pos;
	unpacker->n -= in.pos;
	return (ssize_t)out.pos;
}

/* Zeros fill the last block of a tape, or of a disk: they may stand behind a packed stream. */
static void skip_zeros(struct unpacker *unpacker)
{
	while (unpacker->n && !unpacker->packed[unpacker->at]) {
		unpacker->at++;
		unpacker->n--;
	}
}

/* Bytes unpacked, 0 at the end. */
static ssize_t unpack_some(struct source *source, uint8_t *to, size_t size)
{
	struct unpacker *unpacker = source->unpacker;

	if (unpacker->damage)
		return fail(source, -EBADMSG, unpacker->damage);
	for (;;) {
		ssize_t n;

		if (!unpacker->within)
			skip_zeros(unpacker);
		if (!unpacker->n && !unpacker->pending) {
			n = read_some(source, unpacker->packed, BLOCK);
			if (n < 0)
				return n;
			unpacker->at = 0;
			unpacker->n = (size_t)n;
			if (!n && unpacker->within)
				return fail(source, -EBADMSG, "the packed data is cut short");
			if (!n)
				return 0;
			continue;
		}
		n = unpacker->is_zstd ? unzstd(source, to, size) : gunzip(source, to, size);
		if (n || unpacker->damage)
			return n;
	}
}

static void stop_unpacking(struct source *source)
{
	if (!source->unpacker)
		return;
	if (source->unpacker->is_zstd)
		ZSTD_freeDStream(source->unpacker->zstd);
	else
		inflateEnd(&source->unpacker->gzip);
	free(source->unpacker);
	source->unpacker = NULL;
}

/* ---- all ------------------------------------------------------------------------------------ */

/* Is the file packed? Then what was looked at becomes the unpacker's. */
int source_recognise(struct source *source)
{
	enum npf_kind kind = npf_kind_of(source->at, source->n);
	int err;

	if (kind != NPF_KIND_ZSTD && kind != NPF_KIND_GZIP)
		return 0;
	err = start_unpacking(source, kind == NPF_KIND_ZSTD);
	if (err)
		return err;
	memcpy(source->unpacker->packed, source->at, source->n);
	source->unpacker->n = source->n;
	source->unpacker->within = true;
	source->n = 0;
	source->ended = false;
	return 0;
}

static bool wait_for_signals(void *data, int fd)
{
	(void)data;
	return npf_signals_wait(fd, UINT64_MAX);
}

int source_open_plain(struct source *source, const char *name, const struct source_waiter *waiter)
{
	struct stat status;

	memset(source, 0, sizeof(*source));
	source->waiter = waiter ? *waiter : (struct source_waiter){ .wait = wait_for_signals };
	/* A FIFO that nobody writes to is opened all the same: the waiter waits, and can be ended. */
	source->fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
				       : STDIN_FILENO;
	if (source->fd < 0 || fstat(source->fd, &status))
		return fail_errno(source);
	if (S_ISDIR(status.st_mode))
		return fail(source, -EISDIR, strerror(EISDIR));
	source->regular = S_ISREG(status.st_mode);
	if (source->regular && status.st_size > 0) {
		source->size = (uint64_t)status.st_size;
		posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return source_fill(source, NPF_KIND_BYTES);
}

int source_open(struct source *source, const char *name, const struct source_waiter *waiter)
{
	int err = source_open_plain(source, name, waiter);

	return err ? err : source_recognise(source);
}

void source_close(struct source *source)
{
	stop_unpacking(source);
	free(source->memory);
	if (source->fd > STDIN_FILENO)
		close(source->fd);
	memset(source, 0, sizeof(*source));
	source->fd = -1;
}

int source_fill(struct source *source, size_t need)
{
	size_t room;
	int err;

	if (source->n >= need || source->ended)
		return 0;
	room = need - source->n > BLOCK ? need - source->n : BLOCK;
	err = make_room(source, room);
	while (!err && source->n < need && !source->ended) {
		uint8_t *to = source->memory + (source->at - source->memory) + source->n;
		ssize_t n = source->unpacker ? unpack_some(source, to, room)
					     : read_some(source, to, room);

		if (n < 0)
			return (int)n;
		source->n += (size_t)n;
		room -= (size_t)n;
		source->ended = !n;
		memset(to + n, 0, SOURCE_SLACK);
	}
	return err;
}

void source_skip(struct source *source, size_t n)
{
	source->at += n;
	source->n -= n;
}
