/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time stamps of savefiles: how the packets of a file, or of one pcapng interface, count time.
 */
#ifndef NPF_TOOL_STAMPS_H
#define NPF_TOOL_STAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct npf_stamps {
	uint64_t units; /* per second; 0: more than 64 bits hold */
	int64_t offset; /* s */
};

struct npf_stamp {
	int64_t seconds; /* since 1970 */
	uint32_t ns;
	bool exact; /* nothing finer was left out */
};

/* The value of an option of a pcapng block, which has that length; NULL: there is none. */
const uint8_t *npf_option_find(const uint8_t *options, size_t size, bool swapped, uint16_t code,
			       uint16_t length);

/* What the options of a pcapng interface say; microseconds where they say nothing. */
void npf_stamps_read(struct npf_stamps *stamps, const uint8_t *options, size_t size, bool swapped);

/* stamps->units must not be 0. */
struct npf_stamp npf_stamps_time(const struct npf_stamps *stamps, uint64_t value);

#endif
