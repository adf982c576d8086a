/* SPDX-License-Identifier: BSD-3-Clause */
/* The formats of savefiles: pcap with micro- and nanoseconds, pcapng with nanoseconds. All numbers
 * are in the byte order of this machine, which the formats allow. */
#include <string.h>

#include "driver/dump.h"

#define PCAP_MAGIC    0xA1B2C3D4u
#define PCAP_NS_MAGIC 0xA1B23C4Du
#define MOST_SNAPLEN  262144u /* what readers take for everything */

#define BLOCK_SECTION    0x0A0D0D0Au
#define BLOCK_INTERFACE  1u
#define BLOCK_STATISTICS 5u
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du

enum {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_HARDWARE = 2,
	SECTION_OS = 3,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_SPEED = 8,
	INTERFACE_RESOLUTION = 9,
	INTERFACE_FILTER = 11,
	INTERFACE_OS = 12,
	STATISTICS_BEGUN = 2,
	STATISTICS_ENDED = 3,
	STATISTICS_RECEIVED = 4,
	STATISTICS_DROPPED = 5,
	STATISTICS_ACCEPTED = 6,
	STATISTICS_WRITTEN = 8,
};

/* ---- appending ----------------------------------------------------------------------------- */

/* Bytes that are built; full once something did not fit. */
struct builder {
	uint8_t *to;
	size_t size, used;
	size_t block; /* where the current block begins */
	bool full;
};

static void add(struct builder *builder, const void *from, size_t n)
{
	if (builder->full || n > builder->size - builder->used) {
		builder->full = true;
		return;
	}
	memcpy(builder->to + builder->used, from, n);
	builder->used += n;
}

static void add_u16(struct builder *builder, uint16_t value)
{
	add(builder, &value, sizeof(value));
}

static void add_u32(struct builder *builder, uint32_t value)
{
	add(builder, &value, sizeof(value));
}

static void pad(struct builder *builder)
{
	static const uint8_t zeros[4];

	add(builder, zeros, -builder->used & 3);
}

static void begin_block(struct builder *builder, uint32_t type)
{
	builder->block = builder->used;
	add_u32(builder, type);
	add_u32(builder, 0); /* the length, known at its end */
}

static void end_block(struct builder *builder)
{
	add_u16(builder, OPTION_END);
	add_u16(builder, 0);

	uint32_t length = (uint32_t)(builder->used - builder->block) + 4;

	add_u32(builder, length);
	if (!builder->full)
		memcpy(builder->to + builder->block + 4, &length, sizeof(length));
}

static void add_option(struct builder *builder, uint16_t code, const void *value, size_t n)
{
	if (n > UINT16_MAX) {
		builder->full = true;
		return;
	}
	add_u16(builder, code);
	add_u16(builder, (uint16_t)n);
	add(builder, value, n);
	pad(builder);
}

static size_t length_of(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

static void add_text(struct builder *builder, uint16_t code, const char *text)
{
	if (text && *text)
		add_option(builder, code, text, length_of(text));
}

static void add_number(struct builder *builder, uint16_t code, uint64_t value)
{
	add_option(builder, code, &value, sizeof(value));
}

/* Stamps consist of two halves, the higher one first. */
static void add_time(struct builder *builder, uint64_t time)
{
	add_u32(builder, (uint32_t)(time >> 32));
	add_u32(builder, (uint32_t)time);
}

static void add_time_option(struct builder *builder, uint16_t code, uint64_t time)
{
	uint32_t halves[] = { (uint32_t)(time >> 32), (uint32_t)time };

	add_option(builder, code, halves, sizeof(halves));
}

/* ---- headers ------------------------------------------------------------------------------- */

static void add_pcap(struct builder *builder, const struct npf_dump_options *options,
		     uint32_t link_type)
{
	add_u32(builder, options->format == NPF_DUMP_PCAP_NS ? PCAP_NS_MAGIC : PCAP_MAGIC);
	add_u16(builder, 2);
	add_u16(builder, 4);
	add_u32(builder, 0);
	add_u32(builder, 0);
	add_u32(builder, options->snaplen ? options->snaplen : MOST_SNAPLEN);
	add_u32(builder, link_type);
}

static void add_section(struct builder *builder, const struct npf_dump_options *options)
{
	static const uint64_t unknown_length = UINT64_MAX;

	begin_block(builder, BLOCK_SECTION);
	add_u32(builder, BYTE_ORDER_MAGIC);
	add_u16(builder, 1);
	add_u16(builder, 0);
	add(builder, &unknown_length, sizeof(unknown_length));
	add_text(builder, OPTION_COMMENT, options->comment);
	add_text(builder, SECTION_HARDWARE, options->hardware);
	add_text(builder, SECTION_OS, options->os);
	add_text(builder, SECTION_APPLICATION, options->application);
	end_block(builder);
}

/* The text of a filter has a byte before it that says it is text. */
static void add_filter(struct builder *builder, const char *filter)
{
	if (!filter || !*filter)
		return;

	size_t n = length_of(filter) + 1;

	if (n > UINT16_MAX) {
		builder->full = true;
		return;
	}
	add_u16(builder, INTERFACE_FILTER);
	add_u16(builder, (uint16_t)n);
	add(builder, "", 1);
	add(builder, filter, n - 1);
	pad(builder);
}

static void add_interface(struct builder *builder, const struct npf_dump_options *options,
			  const struct npf_adapter *adapter)
{
	static const uint8_t nanoseconds = 9;

	begin_block(builder, BLOCK_INTERFACE);
	add_u16(builder, (uint16_t)adapter->link_type);
	add_u16(builder, 0);
	add_u32(builder, options->snaplen);
	add_text(builder, INTERFACE_NAME, adapter->name);
	if (adapter->speed)
		add_number(builder, INTERFACE_SPEED, adapter->speed);
	add_option(builder, INTERFACE_RESOLUTION, &nanoseconds, sizeof(nanoseconds));
	add_filter(builder, options->filter);
	add_text(builder, INTERFACE_OS, options->os);
	end_block(builder);
}

uint32_t npf_dump_header(uint8_t *to, const struct npf_dump_options *options,
			 const struct npf_adapter *adapter)
{
	struct builder builder = { .to = to, .size = NPF_DUMP_HEADER };

	if (options->format == NPF_DUMP_PCAPNG) {
		add_section(&builder, options);
		add_interface(&builder, options, adapter);
	} else {
		add_pcap(&builder, options, adapter->link_type);
	}
	return builder.full ? 0 : (uint32_t)builder.used;
}

/* ---- the end of a file --------------------------------------------------------------------- */

/* Block 12, interface 4, stamp 8, six options of 12, the end of options 4. */
#define STATISTICS_SIZE (12u + 4u + 8u + 6u * 12u + 4u)
_Static_assert(STATISTICS_SIZE <= NPF_DUMP_TRAILER, "the trailer's room is too small");

uint32_t npf_dump_trailer_size(uint32_t format)
{
	return format == NPF_FORMAT_PCAPNG ? STATISTICS_SIZE : 0;
}

void npf_dump_trailer(uint8_t *to, const struct npf_dump_counts *counts)
{
	struct builder builder = { .to = to, .size = STATISTICS_SIZE };

	begin_block(&builder, BLOCK_STATISTICS);
	add_u32(&builder, 0);
	add_time(&builder, counts->ended);
	add_time_option(&builder, STATISTICS_BEGUN, counts->begun);
	add_time_option(&builder, STATISTICS_ENDED, counts->ended);
	add_number(&builder, STATISTICS_RECEIVED, counts->received);
	add_number(&builder, STATISTICS_DROPPED, counts->dropped);
	add_number(&builder, STATISTICS_ACCEPTED, counts->accepted);
	add_number(&builder, STATISTICS_WRITTEN, counts->written);
	end_block(&builder);
}

/* ---- records ------------------------------------------------------------------------------- */

static uint32_t get(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return value;
}

uint32_t npf_dump_record_size(uint32_t format, const uint8_t *head, uint32_t most)
{
	uint32_t size;

	if (format == NPF_FORMAT_PCAPNG) {
		size = get(head + NPF_EPB_TOTAL);
		if (get(head) != NPF_EPB_TYPE || size < NPF_EPB_HEADER + NPF_EPB_TRAILER)
			return 0;
	} else {
		uint32_t caplen = get(head + NPF_PCAP_CAPLEN);

		size = caplen < most ? NPF_PCAP_HEADER + caplen : UINT32_MAX;
	}
	return size <= most ? size : 0;
}

uint64_t npf_dump_record_time(uint32_t format, const uint8_t *head)
{
	if (format == NPF_FORMAT_PCAPNG)
		return (uint64_t)get(head + NPF_EPB_TIME) << 32 | get(head + NPF_EPB_TIME + 4);

	uint64_t fraction = get(head + 4);

	return get(head) * NPF_NS_PER_S +
	       (format == NPF_FORMAT_PCAP ? fraction * NPF_NS_PER_US : fraction);
}
