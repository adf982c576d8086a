/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Savefiles taken apart: pcap in both byte orders, pcapng with several interfaces and sections, in
 * bites of any size, and what is damaged.
 */
#include "lib/check.h"

#include <stdio.h>

#include "../../tools/npf/savefile/pieces.h"

struct image {
	uint8_t bytes[4096];
	size_t n;
	bool swapped;
};

static void put32(struct image *image, uint32_t value)
{
	value = image->swapped ? __builtin_bswap32(value) : value;
	memcpy(image->bytes + image->n, &value, sizeof(value));
	image->n += sizeof(value);
}

static void put16(struct image *image, uint16_t value)
{
	value = image->swapped ? __builtin_bswap16(value) : value;
	memcpy(image->bytes + image->n, &value, sizeof(value));
	image->n += sizeof(value);
}

static void put_data(struct image *image, uint32_t caplen, uint8_t fill)
{
	memset(image->bytes + image->n, fill, caplen);
	image->n += caplen;
}

/* Packets of 0, 7, 14, ... bytes. */
static void make_pcap(struct image *image, uint32_t magic, bool swapped, uint32_t packets)
{
	*image = (struct image){ .swapped = swapped };
	put32(image, magic);
	put16(image, 2);
	put16(image, 4);
	put32(image, 0);
	put32(image, 0);
	put32(image, 65535);
	put32(image, 101);
	for (uint32_t i = 0; i < packets; i++) {
		put32(image, 1000 + i);
		put32(image, i);
		put32(image, 7 * i);
		put32(image, 7 * i + 1);
		put_data(image, 7 * i, (uint8_t)i);
	}
}

static void put_section(struct image *image, bool swapped)
{
	image->swapped = swapped;
	put32(image, 0x0A0D0D0A);
	put32(image, 28);
	put32(image, 0x1A2B3C4D);
	put16(image, 1);
	put16(image, 0);
	put32(image, 0xFFFFFFFF);
	put32(image, 0xFFFFFFFF);
	put32(image, 28);
}

static void put_interface(struct image *image, uint16_t link_type, uint32_t snaplen)
{
	put32(image, 1);
	put32(image, 20);
	put16(image, link_type);
	put16(image, 0);
	put32(image, snaplen);
	put32(image, 20);
}

static void put_packet(struct image *image, uint32_t interface, uint32_t caplen, uint8_t fill)
{
	uint32_t padded = (caplen + 3) & ~3u;

	put32(image, 6);
	put32(image, 32 + padded);
	put32(image, interface);
	put32(image, 1);
	put32(image, 2);
	put32(image, caplen);
	put32(image, caplen + 5);
	put_data(image, padded, fill);
	put32(image, 32 + padded);
}

static void put_simple(struct image *image, uint32_t length, uint32_t held)
{
	uint32_t padded = (held + 3) & ~3u;

	put32(image, 3);
	put32(image, 16 + padded);
	put32(image, length);
	put_data(image, padded, 9);
	put32(image, 16 + padded);
}

/* What the packets were, as text that can be compared: link type, lengths, first byte. */
struct found {
	uint32_t n;
	uint64_t bytes, sum;
	char error[160];
};

/* Hand over the bytes in bites, each on the heap at its exact length. */
static struct found walk(const struct image *image, size_t bite)
{
	static struct trace_batch batch;
	struct found found = { 0 };
	struct trace trace;
	size_t at = 0, need = 1;
	int64_t taken = 0;

	trace_init(&trace);
	while (taken >= 0 && image->n - at >= need) {
		size_t n = need < bite ? bite : need;
		uint8_t *copy;

		if (n > image->n - at)
			n = image->n - at;
		copy = malloc(n);
		assert_non_null(copy);
		memcpy(copy, image->bytes + at, n);
		taken = trace_take(&trace, copy, n, &batch, &need);
		assert_ptr_equal(batch.at[0], copy);
		for (uint32_t i = 0; i < batch.n; i++) {
			assert_true(batch.at[i] < batch.at[i + 1] && batch.at[i + 1] <= copy + n);
			assert_true(batch.data[i] >= batch.at[i]);
			assert_true(batch.data[i] + batch.caplen[i] <= batch.at[i + 1]);
			found.bytes += (uint64_t)(batch.at[i + 1] - batch.at[i]);
			if (!batch.packet[i])
				continue;
			found.n++;
			found.sum = found.sum * 31 + batch.link_type;
			found.sum = found.sum * 31 + batch.caplen[i];
			found.sum = found.sum * 31 + batch.len[i];
			found.sum = found.sum * 31 + (batch.caplen[i] ? batch.data[i][0] : 0);
		}
		assert_ptr_equal(batch.at[batch.n], copy + (taken < 0 ? need : (size_t)taken));
		free(copy);
		assert_true(taken || need > n); /* or it would not go on */
		at += taken > 0 ? (size_t)taken : 0;
		need = need ? need : 1;
	}
	snprintf(found.error, sizeof(found.error), "%s",
		 taken < 0 ? trace.error : trace_end(&trace, image->n - at));
	trace_fini(&trace);
	return found;
}

static struct found walk_all_ways(const struct image *image)
{
	struct found whole = walk(image, sizeof(image->bytes));

	for (size_t bite = 1; bite < 100; bite++) {
		struct found found = walk(image, bite);

		assert_int_equal(found.n, whole.n);
		assert_int_equal(found.bytes, whole.bytes);
		assert_int_equal(found.sum, whole.sum);
		assert_string_equal(found.error, whole.error);
	}
	return whole;
}

static void takes_pcap(void **state)
{
	static const uint32_t magics[] = { 0xA1B2C3D4, 0xA1B23C4D };
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct image image;
		struct found found;

		make_pcap(&image, magics[i % 2], i / 2, 20);
		found = walk_all_ways(&image);
		assert_string_equal(found.error, "");
		assert_int_equal(found.n, 20);
		assert_int_equal(found.bytes, image.n);
		assert_true(!i || found.sum == sum);
		sum = found.sum;
	}
}

static void takes_pcapng(void **state)
{
	struct image image = { 0 };
	struct found found;

	(void)state;
	put_section(&image, false);
	put_interface(&image, 1, 0);
	put_interface(&image, 101, 0);
	put_packet(&image, 0, 10, 1);
	put_packet(&image, 1, 13, 2);
	put_packet(&image, 0, 0, 3);
	put_section(&image, true); /* the interfaces of the first are forgotten */
	put_interface(&image, 113, 12);
	put_packet(&image, 0, 21, 4);
	put_simple(&image, 30, 12);
	found = walk_all_ways(&image);
	assert_string_equal(found.error, "");
	assert_int_equal(found.n, 5);
	assert_int_equal(found.bytes, image.n);
}

static void check_damage(const struct image *image, uint32_t packets, const char *error)
{
	struct found found = walk_all_ways(image);

	assert_int_equal(found.n, packets);
	if (!strstr(found.error, error))
		fail_msg("'%s' instead of '%s'", found.error, error);
}

static void names_the_damage(void **state)
{
	struct image image;

	(void)state;
	make_pcap(&image, 0xA1B2C3D4, false, 5);
	image.n -= 3;
	check_damage(&image, 4, "cut short after packet 4");
	image.n = 20;
	check_damage(&image, 0, "ends within its header");
	image.n = 0;
	check_damage(&image, 0, "is empty");
	make_pcap(&image, 0xA1B2C3D4, false, 2);
	memset(image.bytes + 24 + 16 + 8, 0xFF, 4);
	check_damage(&image, 1, "packet 2 at byte 40 claims 4294967295 bytes");
	make_pcap(&image, 0x12345678, false, 1);
	check_damage(&image, 0, "neither pcap nor pcapng");
	make_pcap(&image, 0xA1B2C3D4, false, 1);
	image.bytes[4] = 1;
	check_damage(&image, 0, "only 2.4 is read");

	image.n = 0;
	put_section(&image, false);
	put_interface(&image, 1, 0);
	put_packet(&image, 1, 4, 1);
	check_damage(&image, 0, "is of interface 1");
	image.n -= 36;
	put_packet(&image, 0, 4, 1);
	image.bytes[image.n - 1] = 1;
	check_damage(&image, 0, "its sizes differ");
	image.n -= 36;
	put32(&image, 6);
	put32(&image, 7);
	put32(&image, 0);
	check_damage(&image, 0, "claims 7 bytes");
}

/* ---- by several cursors ---------------------------------------------------------------------- */

#define LONG (1u << 20)

struct long_image {
	uint8_t bytes[LONG + 4096];
	size_t n;
	uint32_t packets;
};

/* Packets of 0 to 1999 bytes, one each second or many; those of a liar hold what looks like the
 * header of a record, ending where the next one begins or anywhere. */
static void make_long(struct long_image *image, bool swapped, uint32_t per_second, bool liar)
{
	struct image header;
	uint32_t random = 1;

	make_pcap(&header, 0xA1B2C3D4, swapped, 0);
	memcpy(image->bytes, header.bytes, header.n);
	image->n = header.n;
	for (image->packets = 0; image->n < LONG; image->packets++) {
		struct image record = { .swapped = swapped };
		uint32_t size, seconds = 1760000000 + image->packets / per_second;

		random = random * 1664525 + 1013904223;
		size = (random >> 8) % (random >> 28 ? 400 : 2000);
		put32(&record, seconds);
		put32(&record, image->packets);
		put32(&record, size);
		put32(&record, size);
		put_data(&record, size, (uint8_t)image->packets);
		for (uint32_t at = 16; liar && at + 32 < size; at += 40) {
			struct image lie = { .swapped = swapped };
			uint32_t claims = random >> 30 ? size - at - 16 : (random >> 16) % 3000;

			put32(&lie, seconds);
			put32(&lie, 7);
			put32(&lie, claims);
			put32(&lie, claims);
			memcpy(record.bytes + 16 + at, lie.bytes, 16);
		}
		memcpy(image->bytes + image->n, record.bytes, record.n);
		image->n += record.n;
	}
}

/* Packets of one length, and from the middle of the file on of another. */
static void make_lengths(struct long_image *image, uint32_t first, uint32_t then)
{
	struct image header;

	make_pcap(&header, 0xA1B2C3D4, false, 0);
	memcpy(image->bytes, header.bytes, header.n);
	image->n = header.n;
	for (image->packets = 0; image->n < LONG; image->packets++) {
		uint32_t size = image->n < LONG / 2 ? first : then;
		struct image record = { 0 };

		put32(&record, 1760000000);
		put32(&record, image->packets);
		put32(&record, size);
		put32(&record, size);
		put_data(&record, size, (uint8_t)image->packets);
		memcpy(image->bytes + image->n, record.bytes, record.n);
		image->n += record.n;
	}
}

/* Every packet's place and length must be that of the walk by one cursor. */
static uint32_t check_several(const struct long_image *image, size_t bite, const char *error)
{
	static struct trace_batch batches[TRACE_BATCHES], one;
	struct trace trace, simple;
	size_t at = 0, need;
	int64_t taken = 1;
	uint32_t by_several = 0;

	trace_init(&trace);
	trace_init(&simple);
	while (taken > 0 && at < image->n) {
		size_t n = bite < image->n - at ? bite : image->n - at;
		uint8_t *copy = malloc(n);
		uint32_t filled, seen = TRACE_PIECES;

		assert_non_null(copy);
		memcpy(copy, image->bytes + at, n);
		filled = trace_take_several(&trace, copy, n, batches);
		by_several += filled == TRACE_BATCHES;
		if (!filled) {
			taken = trace_take(&trace, copy, n, batches, &need);
			filled = 1;
		}
		one.n = 0;
		for (uint32_t b = 0; b < filled; b++) {
			for (uint32_t i = 0; i < batches[b].n; i++, seen++) {
				const uint8_t *piece = batches[b].at[i];

				if (seen >= one.n) {
					trace_take(&simple, piece, n - (size_t)(piece - copy), &one,
						   &need);
					seen = 0;
				}
				assert_ptr_equal(one.at[seen], piece);
				assert_ptr_equal(one.data[seen], batches[b].data[i]);
				assert_int_equal(one.caplen[seen], batches[b].caplen[i]);
				assert_int_equal(one.len[seen], batches[b].len[i]);
			}
			at += (size_t)(batches[b].at[batches[b].n] - batches[b].at[0]);
		}
		assert_int_equal(trace.at, at);
		free(copy);
	}
	if (taken >= 0)
		assert_int_equal(trace.packets, image->packets);
	assert_string_equal(trace.error, error);
	trace_fini(&trace);
	trace_fini(&simple);
	return by_several;
}

static void goes_by_several_cursors(void **state)
{
	static struct long_image image;

	(void)state;
	for (int swapped = 0; swapped < 2; swapped++) {
		make_long(&image, swapped, 1000, false);
		assert_true(check_several(&image, 100000, "") > 3);
		assert_true(check_several(&image, LONG, "") > 3);
		make_long(&image, swapped, 1, false);
		assert_true(check_several(&image, LONG, "") > 0);
		make_long(&image, swapped, 100, true);
		check_several(&image, 100000, "");
		check_several(&image, LONG, "");
	}
}

/* Also where a bite holds no whole batch of what is long, and when all becomes shorter. */
static void cursors_keep_to_the_length(void **state)
{
	static struct long_image image;

	(void)state;
	make_lengths(&image, 1500, 1500);
	assert_true(check_several(&image, 200000, "") > 3);
	make_lengths(&image, 1500, 60);
	assert_true(check_several(&image, LONG, "") > 6);
	make_lengths(&image, 60, 1500);
	assert_true(check_several(&image, LONG, "") > 6);
}

static void several_cursors_leave_damage_to_one(void **state)
{
	static struct long_image image;
	char error[160];

	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		struct trace trace;
		static struct trace_batch batch;
		size_t at = 0, need;
		int64_t taken = 1;

		make_long(&image, false, 1000, i % 2);
		memset(image.bytes + 400000 + 7777 * i, 0xFF, 3000);
		trace_init(&trace);
		for (; taken > 0; at += (size_t)taken)
			taken = trace_take(&trace, image.bytes + at, image.n - at, &batch, &need);
		assert_int_equal(taken, -EBADMSG);
		strcpy(error, trace.error);
		trace_fini(&trace);
		check_several(&image, LONG, error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_pcap),
		cmocka_unit_test(takes_pcapng),
		cmocka_unit_test(names_the_damage),
		cmocka_unit_test(goes_by_several_cursors),
		cmocka_unit_test(cursors_keep_to_the_length),
		cmocka_unit_test(several_cursors_leave_damage_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
