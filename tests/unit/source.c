/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes of packed files: all that stands before a damage comes, and then the damage; zeros behind
 * the end are none. And what is no regular file keeps nobody waiting who does not want to.
 */
#include "lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "../../tools/npf/savefile/source.h"

#define MOST (1u << 20)

static uint8_t bytes[MOST];

struct image {
	uint8_t *at;
	size_t n, room;
};

static void add(struct image *image, const void *at, size_t n)
{
	if (image->n + n > image->room) {
		image->room = 2 * (image->n + n);
		image->at = realloc(image->at, image->room);
		assert_non_null(image->at);
	}
	memcpy(image->at + image->n, at, n);
	image->n += n;
}

/* ---- packing ---------------------------------------------------------------------------------- */

/* Each part ends at a byte, so that anything may follow; the stream ends behind the last if finish. */
static void gzip(struct image *image, const size_t *parts, size_t n_parts, bool finish)
{
	z_stream gzip = { .next_in = bytes };
	uint8_t out[4096];

	assert_int_equal(deflateInit2(&gzip, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	for (size_t i = 0; i < n_parts; i++) {
		int flush = finish && i + 1 == n_parts ? Z_FINISH : Z_FULL_FLUSH;

		gzip.avail_in = (uInt)parts[i];
		do {
			gzip.next_out = out;
			gzip.avail_out = sizeof(out);
			assert_true(deflate(&gzip, flush) >= 0);
			add(image, out, sizeof(out) - gzip.avail_out);
		} while (!gzip.avail_out);
	}
	deflateEnd(&gzip);
}

static void zstd(struct image *image, const size_t *parts, size_t n_parts, bool finish)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t left, total = 0;
	uint8_t out[4096];

	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	for (size_t i = 0; i < n_parts; i++)
		total += parts[i];
	if (finish) /* readers may take a short cut where they know */
		ZSTD_CCtx_setPledgedSrcSize(context, total);
	total = 0;
	for (size_t i = 0; i < n_parts; i++) {
		ZSTD_inBuffer in = { bytes + total, parts[i], 0 };

		total += parts[i];
		do {
			ZSTD_outBuffer to = { out, sizeof(out), 0 };

			left = ZSTD_compressStream2(context, &to, &in,
						    finish && i + 1 == n_parts ? ZSTD_e_end
									       : ZSTD_e_flush);
			assert_false(ZSTD_isError(left));
			add(image, out, to.pos);
		} while (left);
	}
	ZSTD_freeCCtx(context);
}

static const struct packing {
	void (*pack)(struct image *image, const size_t *parts, size_t n_parts, bool finish);
	size_t checksum_at; /* from the end */
	uint8_t bad_block[3];
} packings[] = {
	{ gzip, 8, { 7, 0xFF, 0xFF } },
	{ zstd, 4, { 7, 0xFF, 0xFF } },
};

/* ---- reading ---------------------------------------------------------------------------------- */

static void open_image(struct source *source, const struct image *image)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	char name[40];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, image->at, image->n), image->n);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	assert_int_equal(source_open(source, name, NULL), 0);
	close(fd);
}

/* n bytes come, `rounds` times over, and then the end, or this damage. */
static void expect_bytes(struct source *source, size_t need, size_t n, int rounds,
			 const char *damage)
{
	size_t at = 0;
	int err = 0;

	while (!err && !(source->ended && !source->n)) {
		err = source_fill(source, need);
		for (; source->n; source_skip(source, 1)) {
			if (at == n * (size_t)rounds)
				fail_msg("more than %zu bytes", at);
			if (*source->at != bytes[at++ % n])
				fail_msg("byte %zu of %zu is wrong", at - 1, n);
		}
	}
	assert_int_equal(at, n * (size_t)rounds);
	assert_int_equal(err, damage ? -EBADMSG : 0);
	if (damage && !strstr(source->error, damage))
		fail_msg("'%s' instead of '%s'", source->error, damage);
}

static void expect_image(const struct image *image, size_t n, int rounds, const char *damage)
{
	static const size_t needs[] = { 1, 100000, 300000 };

	for (size_t i = 0; i < N_OF(needs); i++) {
		struct source source;

		open_image(&source, image);
		expect_bytes(&source, needs[i], n, rounds, damage);
		source_close(&source);
	}
}

static int make_bytes(void **state)
{
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; i < MOST; i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(random >> (random >> 31 ? 24 : 30)); /* some of it packs */
	}
	return 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static const size_t sizes[] = { 1, 100, 5000, 131072, 131073, 300000, MOST };

static void wrong_checksum(void **state)
{
	(void)state;
	for (size_t p = 0; p < N_OF(packings); p++) {
		for (size_t i = 0; i < N_OF(sizes); i++) {
			struct image image = { 0 };

			packings[p].pack(&image, &sizes[i], 1, true);
			expect_image(&image, sizes[i], 1, NULL);
			image.at[image.n - packings[p].checksum_at] ^= 1;
			expect_image(&image, sizes[i], 1, "data is damaged");
			free(image.at);
		}
	}
}

/* A block that none can be, behind whole ones. */
static void damaged_block(void **state)
{
	static const size_t parts[] = { 100, 70000, 1, 200000, 131072, 3000, 4, 300000 };

	(void)state;
	for (size_t p = 0; p < N_OF(packings); p++) {
		size_t total = 0;

		for (size_t n = 1; n <= N_OF(parts); n++) {
			struct image image = { 0 };

			total += parts[n - 1];
			packings[p].pack(&image, parts, n, false);
			expect_image(&image, total, 1, "cut short");
			add(&image, packings[p].bad_block, sizeof(packings[p].bad_block));
			expect_image(&image, total, 1, "data is damaged");
			free(image.at);
		}
	}
}

/* Zeros behind a stream, or between two; and what is not zeros. */
static void behind_the_end(void **state)
{
	static const uint8_t zeros[600000];
	static const size_t counts[] = { 1, 3, 512, sizeof(zeros) };

	(void)state;
	for (size_t p = 0; p < N_OF(packings); p++) {
		for (size_t i = 0; i < N_OF(counts); i++) {
			struct image image = { 0 };

			packings[p].pack(&image, &sizes[2], 1, true);
			packings[p].pack(&image, &sizes[2], 1, true);
			add(&image, zeros, counts[i]);
			expect_image(&image, sizes[2], 2, NULL);
			packings[p].pack(&image, &sizes[2], 1, true);
			expect_image(&image, sizes[2], 3, NULL);
			add(&image, zeros, counts[i]);
			add(&image, "garbage", 7);
			expect_image(&image, sizes[2], 3, "data is damaged");
			free(image.at);
		}
	}
}

struct pipe_writer {
	const struct image *image;
	size_t at, bite;
	int fd;
};

static bool write_some(void *data, int fd)
{
	struct pipe_writer *writer = data;
	size_t left = writer->image->n - writer->at;
	size_t n = left < writer->bite ? left : writer->bite;

	(void)fd;
	if (!left) {
		close(writer->fd);
		writer->fd = -1;
		return true;
	}
	assert_int_equal(write(writer->fd, writer->image->at + writer->at, n), n);
	writer->at += n;
	return true;
}

static void through_a_pipe(void **state)
{
	static const size_t bites[] = { 1, 2, 7, 4096 };
	const size_t parts[] = { 3000, 50, 9000 };

	(void)state;
	for (size_t i = 0; i < N_OF(packings) * N_OF(bites); i++) {
		const struct packing *packing = &packings[i % N_OF(packings)];
		struct image image = { 0 };
		struct pipe_writer writer = { .image = &image, .bite = bites[i / N_OF(packings)] };
		struct source_waiter waiter = { write_some, &writer };
		struct source source;
		char name[40];
		int ends[2];

		packing->pack(&image, parts, N_OF(parts), true);
		image.at[image.n - packing->checksum_at] ^= 1;
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		writer.fd = ends[1];
		snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
		assert_int_equal(source_open(&source, name, &waiter), 0);
		close(ends[0]);
		expect_bytes(&source, 1, 12050, 1, "data is damaged");
		source_close(&source);
		close(writer.fd);
		free(image.at);
	}
}

static bool count_and_end(void *data, int fd)
{
	(void)fd;
	++*(int *)data;
	return false;
}

/* Whoever waits is asked, not kept. */
static void fifo_without_a_writer(void **state)
{
	char folder[] = "npf-source-XXXXXX", name[40];
	struct source source;
	int waits = 0;
	struct source_waiter waiter = { count_and_end, &waits };

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(name, sizeof(name), "%s/fifo", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(source_open(&source, name, &waiter), -EINTR);
	assert_int_equal(waits, 1);
	source_close(&source);
	unlink(name);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_checksum),        cmocka_unit_test(damaged_block),
		cmocka_unit_test(behind_the_end),        cmocka_unit_test(through_a_pipe),
		cmocka_unit_test(fifo_without_a_writer),
	};

	return cmocka_run_group_tests_name("source", tests, make_bytes, NULL);
}
