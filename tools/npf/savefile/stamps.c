/* SPDX-License-Identifier: BSD-3-Clause */
/* See stamps.h. */
#include "stamps.h"

#include <byteswap.h>
#include <string.h>

#define OPTION_END      0u
#define OPTION_TSRESOL  9u
#define OPTION_TSOFFSET 14u
#define MICROSECONDS    1000000u
#define NS_PER_S        1000000000ull

static uint16_t get16(const uint8_t *at, bool swapped)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return swapped ? bswap_16(value) : value;
}

static int64_t get64(const uint8_t *at, bool swapped)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return (int64_t)(swapped ? bswap_64(value) : value);
}

/* Powers of 10, or with the highest bit of 2. */
static uint64_t units_of(uint8_t resolution)
{
	uint64_t units = 1;

	if (resolution & 0x80)
		return (resolution & 0x7F) < 64 ? 1ull << (resolution & 0x7F) : 0;
	for (; resolution && units; resolution--)
		units = __builtin_mul_overflow(units, 10u, &units) ? 0 : units;
	return units;
}

const uint8_t *npf_option_find(const uint8_t *options, size_t size, bool swapped, uint16_t code,
			       uint16_t length)
{
	while (size >= 4) {
		uint16_t here = get16(options, swapped), bytes = get16(options + 2, swapped);
		size_t padded = 4 + ((bytes + 3u) & ~3u);

		if (here == OPTION_END || padded > size)
			return NULL;
		if (here == code && bytes == length)
			return options + 4;
		options += padded;
		size -= padded;
	}
	return NULL;
}

void npf_stamps_read(struct npf_stamps *stamps, const uint8_t *options, size_t size, bool swapped)
{
	const uint8_t *resolution = npf_option_find(options, size, swapped, OPTION_TSRESOL, 1);
	const uint8_t *offset = npf_option_find(options, size, swapped, OPTION_TSOFFSET, 8);

	*stamps = (struct npf_stamps){
		.units = resolution ? units_of(*resolution) : MICROSECONDS,
		.offset = offset ? get64(offset, swapped) : 0,
	};
}

struct npf_stamp npf_stamps_time(const struct npf_stamps *stamps, uint64_t value)
{
	uint64_t part = value % stamps->units;
	unsigned __int128 scaled = (unsigned __int128)part * NS_PER_S;

	return (struct npf_stamp){
		/* A sum that no 64 bits hold wraps, and is no time that anybody believes. */
		.seconds = (int64_t)(value / stamps->units + (uint64_t)stamps->offset),
		.ns = (uint32_t)(scaled / stamps->units),
		.exact = !(scaled % stamps->units),
	};
}
