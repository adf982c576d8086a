/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A walk over a savefile in memory that checks every rule of its format. Frames of dumps carry
 * their number in their first four bytes.
 */
#ifndef NPF_SAVEFILE_H
#define NPF_SAVEFILE_H

#include "lib/check.h"

#include "npf/npf.h"

struct savefile {
	const uint8_t *at;
	size_t left;
	enum npf_dump_format format;
	uint32_t snaplen, link_type;
	/* Of the packet that was taken last. */
	uint64_t time; /* ns */
	bool any_time; /* for the caller to set: stamps may go back */
	uint32_t caplen, length, flags;
	const uint8_t *data;
	/* Of the statistics block, once it was passed. */
	bool ended;
	uint64_t received, dropped, written;
};

static inline uint32_t savefile_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint16_t savefile_u16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline const uint8_t *savefile_take(struct savefile *file, size_t n)
{
	const uint8_t *at = file->at;

	assert_true(n <= file->left);
	file->at += n;
	file->left -= n;
	return at;
}

/* A whole block; its body is what lies between the two lengths. */
static inline uint32_t savefile_block(struct savefile *file, const uint8_t **body, uint32_t *n)
{
	assert_true(file->left >= 12);

	uint32_t type = savefile_u32(file->at), size = savefile_u32(file->at + 4);

	assert_true(size >= 12 && size % 4 == 0 && size <= file->left);
	assert_int_equal(savefile_u32(file->at + size - 4), size);
	*body = savefile_take(file, size) + 8;
	*n = size - 12;
	return type;
}

/* The value of an option, NULL: it is not there. */
static inline const uint8_t *savefile_option(const uint8_t *at, uint32_t n, uint16_t code,
					     uint16_t *length)
{
	while (n >= 4) {
		uint16_t this = savefile_u16(at), size = savefile_u16(at + 2);
		uint32_t step = 4u + ((size + 3u) & ~3u);

		if (!this)
			break;
		assert_true(step <= n);
		for (uint32_t i = 4u + size; i < step; i++)
			assert_int_equal(at[i], 0);
		if (this == code) {
			*length = size;
			return at + 4;
		}
		at += step;
		n -= step;
	}
	return NULL;
}

static inline uint64_t savefile_number(const uint8_t *at, uint32_t n, uint16_t code)
{
	uint16_t length = 0;
	const uint8_t *value = savefile_option(at, n, code, &length);
	uint64_t number;

	assert_non_null(value);
	assert_int_equal(length, 8);
	memcpy(&number, value, sizeof(number));
	return number;
}

static inline void savefile_open(struct savefile *file, const uint8_t *data, size_t size)
{
	const uint8_t *body;
	uint32_t n;

	*file = (struct savefile){ .at = data, .left = size };
	assert_true(size >= 24);
	if (savefile_u32(data) == 0x0A0D0D0A) {
		uint16_t length = 0;

		file->format = NPF_DUMP_PCAPNG;
		assert_int_equal(savefile_block(file, &body, &n), 0x0A0D0D0A);
		assert_int_equal(savefile_u32(body), 0x1A2B3C4D);
		assert_int_equal(savefile_block(file, &body, &n), 1);
		file->link_type = savefile_u16(body);
		file->snaplen = savefile_u32(body + 4);

		const uint8_t *resolution = savefile_option(body + 8, n - 8, 9, &length);

		assert_true(resolution && length == 1 && *resolution == 9);
		return;
	}
	body = savefile_take(file, 24);
	assert_true(savefile_u32(body) == 0xA1B2C3D4 || savefile_u32(body) == 0xA1B23C4D);
	file->format = savefile_u32(body) == 0xA1B2C3D4 ? NPF_DUMP_PCAP : NPF_DUMP_PCAP_NS;
	assert_int_equal(savefile_u32(body + 4), 0x00040002);
	file->snaplen = savefile_u32(body + 16);
	file->link_type = savefile_u32(body + 20);
}

static inline void savefile_statistics(struct savefile *file, const uint8_t *body, uint32_t n)
{
	file->ended = true;
	file->received = savefile_number(body + 12, n - 12, 4);
	file->dropped = savefile_number(body + 12, n - 12, 5);
	file->written = savefile_number(body + 12, n - 12, 8);
	savefile_number(body + 12, n - 12, 2);
	savefile_number(body + 12, n - 12, 3);
	assert_int_equal(file->left, 0);
}

static inline bool savefile_next_block(struct savefile *file)
{
	const uint8_t *body;
	uint16_t length = 0;
	uint32_t n, type = savefile_block(file, &body, &n);

	if (type == 5) {
		savefile_statistics(file, body, n);
		return false;
	}
	assert_int_equal(type, 6);
	file->time = (uint64_t)savefile_u32(body + 4) << 32 | savefile_u32(body + 8);
	file->caplen = savefile_u32(body + 12);
	file->length = savefile_u32(body + 16);
	file->data = body + 20;

	uint32_t padded = (file->caplen + 3u) & ~3u;

	assert_true(20 + padded <= n);
	for (uint32_t i = file->caplen; i < padded; i++)
		assert_int_equal(file->data[i], 0);

	const uint8_t *flags = savefile_option(body + 20 + padded, n - 20 - padded, 2, &length);

	assert_true(flags && length == 4);
	file->flags = savefile_u32(flags);
	return true;
}

/* The next packet; false at the end, where nothing may be left over. */
static inline bool savefile_next(struct savefile *file)
{
	uint64_t before = file->time;

	if (!file->left)
		return false;
	if (file->format == NPF_DUMP_PCAPNG) {
		if (!savefile_next_block(file))
			return false;
	} else {
		const uint8_t *head = savefile_take(file, 16);
		uint32_t fraction = savefile_u32(head + 4);
		bool micro = file->format == NPF_DUMP_PCAP;

		assert_true(fraction < (micro ? 1000000u : 1000000000u));
		file->time = savefile_u32(head) * 1000000000ull + fraction * (micro ? 1000ull : 1);
		file->caplen = savefile_u32(head + 8);
		file->length = savefile_u32(head + 12);
		file->data = savefile_take(file, file->caplen);
	}
	assert_true(file->any_time || file->time >= before);
	return true;
}

/* ---- frames that carry their number -------------------------------------------------------- */

static inline void numbered_frame(uint8_t *frame, uint32_t length, uint32_t number)
{
	frame_fill(frame, length, number);
	memcpy(frame, &number, sizeof(number));
}

/* The number of the packet that was taken last; its bytes must be what they were. */
static inline uint32_t savefile_frame(const struct savefile *file)
{
	uint32_t number = savefile_u32(file->data);

	assert_true(file->caplen >= 4);
	for (uint32_t i = 4; i < file->caplen; i++) {
		if (file->data[i] != frame_byte(number, i))
			fail_msg("byte %u of frame %u differs", i, number);
	}
	return number;
}

#endif
