/* SPDX-License-Identifier: BSD-3-Clause */
/* See pieces.h. */
#include "pieces.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC_MICRO    0xA1B2C3D4u
#define MAGIC_NANO     0xA1B23C4Du
#define MAGIC_MODIFIED 0xA1B2CD34u /* eight more bytes in every record's header */
#define FILE_HEADER    24u
#define RECORD_HEADER  16u
#define LINK_TYPE_MASK 0x03FFFFFFu /* above it: how long the checksum is */
#define MOST_USUALLY   262144u
#define MOST_EVER      (128u << 20)
#define AHEAD          4096u
#define LINE           64u

#define SECTION_BLOCK    0x0A0D0D0Au
#define INTERFACE_BLOCK  1u
#define OLD_PACKET_BLOCK 2u
#define SIMPLE_BLOCK     3u
#define PACKET_BLOCK     6u
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du
#define BLOCK_LEAST      12u
#define MOST_INTERFACES  65536u

void trace_init(struct trace *trace)
{
	memset(trace, 0, sizeof(*trace));
}

void trace_fini(struct trace *trace)
{
	free(trace->interfaces);
	trace_init(trace);
}

__attribute__((format(printf, 2, 3))) static int fail(struct trace *trace, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trace->error, sizeof(trace->error), format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

static uint32_t get32(const struct trace *trace, const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return trace->swapped ? __builtin_bswap32(value) : value;
}

static uint16_t get16(const struct trace *trace, const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return trace->swapped ? __builtin_bswap16(value) : value;
}

static int add_interface(struct trace *trace, uint32_t link_type, uint32_t snaplen)
{
	struct trace_interface *larger;

	if (trace->n_interfaces == trace->max_interfaces) {
		uint32_t more = trace->max_interfaces ? 2 * trace->max_interfaces : 4;

		if (more > MOST_INTERFACES)
			return fail(trace, "more than %u interfaces in one section",
				    MOST_INTERFACES);
		larger = realloc(trace->interfaces, more * sizeof(*larger));
		if (!larger) {
			fail(trace, "out of memory");
			return -ENOMEM;
		}
		trace->interfaces = larger;
		trace->max_interfaces = more;
	}
	trace->interfaces[trace->n_interfaces++] = (struct trace_interface){ link_type, snaplen };
	return 0;
}

/* ---- pcap ----------------------------------------------------------------------------------- */

/* A few link types carry what is no packet of a network and may be long. */
static uint32_t longest(uint32_t link_type)
{
	static const uint16_t long_ones[] = { 189, 220, 231, 249, 279 };

	for (size_t i = 0; i < sizeof(long_ones) / sizeof(long_ones[0]); i++) {
		if (long_ones[i] == link_type)
			return MOST_EVER;
	}
	return MOST_USUALLY;
}

static bool is_pcap(struct trace *trace, uint32_t magic)
{
	for (int swapped = 0; swapped < 2; swapped++) {
		trace->swapped = swapped;
		trace->record_header = RECORD_HEADER + (magic == MAGIC_MODIFIED ? 8 : 0);
		if (magic == MAGIC_MICRO || magic == MAGIC_NANO || magic == MAGIC_MODIFIED)
			return true;
		magic = __builtin_bswap32(magic);
	}
	trace->swapped = false;
	return false;
}

/* The file's header as a piece. */
static int64_t begin_pcap(struct trace *trace, const uint8_t *at, size_t n, size_t *need)
{
	uint32_t link_type;
	int err;

	*need = FILE_HEADER;
	if (n < FILE_HEADER)
		return 0;
	if (get16(trace, at + 4) != 2 || get16(trace, at + 6) != 4)
		return fail(trace, "pcap format %u.%u: only 2.4 is read", get16(trace, at + 4),
			    get16(trace, at + 6));
	link_type = get32(trace, at + 20) & LINK_TYPE_MASK;
	err = add_interface(trace, link_type, get32(trace, at + 16));
	if (err)
		return err;
	trace->most = longest(link_type);
	trace->begun = true;
	return FILE_HEADER;
}

/* Each header tells where the next one is, so nothing comes from memory in time by itself: as many
 * bytes as were taken are asked for that are some records further on. */
static void fetch_ahead(const uint8_t *at, uint32_t size)
{
	for (uint32_t i = 0; i < size; i += LINE)
		__builtin_prefetch(at + AHEAD + i);
}

static int64_t take_pcap(struct trace *trace, const uint8_t *at, size_t n,
			 struct trace_batch *batch, size_t *need)
{
	const uint32_t header = trace->record_header;
	const uint8_t *begin = at;

	batch->link_type = trace->interfaces[0].link_type;
	*need = header;
	while (batch->n < TRACE_PIECES && n >= header) {
		uint32_t caplen = get32(trace, at + 8);
		struct trace_piece *piece = &batch->pieces[batch->n];

		if (caplen > trace->most)
			return fail(trace,
				    "packet %" PRIu64 " at byte %" PRIu64
				    " claims %u bytes: the file is damaged there",
				    trace->packets + 1, trace->at + (uint64_t)(at - begin), caplen);
		if (n - header < caplen) {
			*need = header + caplen;
			break;
		}
		*piece = (struct trace_piece){ .at = at,
					       .size = header + caplen,
					       .caplen = caplen,
					       .len = get32(trace, at + 12),
					       .data = at + header };
		batch->n++;
		trace->packets++;
		if (n > AHEAD + piece->size)
			fetch_ahead(at, piece->size);
		at += piece->size;
		n -= piece->size;
	}
	return at - begin;
}

/* ---- pcapng --------------------------------------------------------------------------------- */

static int begin_section(struct trace *trace, const uint8_t *at)
{
	uint32_t order;

	memcpy(&order, at + 8, sizeof(order));
	if (order != BYTE_ORDER_MAGIC && order != __builtin_bswap32(BYTE_ORDER_MAGIC))
		return fail(trace, "the section at byte %" PRIu64 " has no byte order", trace->at);
	trace->swapped = order != BYTE_ORDER_MAGIC;
	trace->n_interfaces = 0;
	trace->begun = true;
	return 0;
}

/* Bytes of the block at the head of the n there are; 0: not all of its head is here. */
static int64_t block_size(struct trace *trace, const uint8_t *at, size_t n, size_t *need)
{
	uint32_t type, size;
	int err;

	*need = BLOCK_LEAST;
	if (n < BLOCK_LEAST)
		return 0;
	memcpy(&type, at, sizeof(type));
	if (type == SECTION_BLOCK && (err = begin_section(trace, at)))
		return err;
	size = get32(trace, at + 4);
	if (size < BLOCK_LEAST || size % 4 || size > TRACE_MAX_PIECE)
		return fail(trace,
			    "the block at byte %" PRIu64 " claims %u bytes: the file is damaged "
			    "there",
			    trace->at, size);
	*need = size;
	return size;
}

/* What a packet's block says; false when the block is too short for what it says. */
static bool fill_packet(const struct trace *trace, uint32_t type, struct trace_piece *piece,
			uint32_t *interface)
{
	const uint8_t *at = piece->at;
	uint32_t head = type == SIMPLE_BLOCK ? 12 : 28, room;

	if (piece->size < head + 4)
		return false;
	room = piece->size - head - 4;
	piece->data = at + head;
	if (type == SIMPLE_BLOCK) {
		*interface = 0;
		piece->len = get32(trace, at + 8);
		piece->caplen = piece->len < room ? piece->len : room;
		if (trace->n_interfaces && trace->interfaces[0].snaplen &&
		    piece->caplen > trace->interfaces[0].snaplen)
			piece->caplen = trace->interfaces[0].snaplen;
		return true;
	}
	*interface = type == PACKET_BLOCK ? get32(trace, at + 8) : get16(trace, at + 8);
	piece->caplen = get32(trace, at + 20);
	piece->len = get32(trace, at + 24);
	return piece->caplen <= room;
}

static int take_interface(struct trace *trace, const uint8_t *at, uint32_t size)
{
	if (size < 20)
		return fail(trace, "the interface at byte %" PRIu64 " is cut short", trace->at);
	return add_interface(trace, get16(trace, at + 8), get32(trace, at + 12));
}

/* Look into a whole block. 0, 1 when it belongs to another link type than the batch. */
static int look_into(struct trace *trace, struct trace_piece *piece, struct trace_batch *batch,
		     bool *packets)
{
	uint32_t type = get32(trace, piece->at), interface;

	if (get32(trace, piece->at + piece->size - 4) != piece->size)
		return fail(trace, "the block at byte %" PRIu64 " is damaged: its sizes differ",
			    trace->at);
	if (type == INTERFACE_BLOCK)
		return take_interface(trace, piece->at, piece->size);
	if (type != PACKET_BLOCK && type != SIMPLE_BLOCK && type != OLD_PACKET_BLOCK)
		return 0;
	if (!fill_packet(trace, type, piece, &interface))
		return fail(trace, "packet %" PRIu64 " at byte %" PRIu64 " does not fit its block",
			    trace->packets + 1, trace->at);
	if (interface >= trace->n_interfaces)
		return fail(trace,
			    "packet %" PRIu64 " at byte %" PRIu64
			    " is of interface %u, which the file does not describe",
			    trace->packets + 1, trace->at, interface);
	if (*packets && trace->interfaces[interface].link_type != batch->link_type)
		return 1;
	batch->link_type = trace->interfaces[interface].link_type;
	*packets = true;
	trace->packets++;
	return 0;
}

static int64_t take_ng(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		       size_t *need)
{
	const uint64_t first = trace->at;
	bool packets = false;

	while (batch->n < TRACE_PIECES) {
		struct trace_piece *piece = &batch->pieces[batch->n];
		int64_t size = block_size(trace, at, n, need);
		int result;

		if (size < 0) {
			trace->at = first;
			return size;
		}
		if (!size || (uint64_t)size > n)
			break;
		*piece = (struct trace_piece){ .at = at, .size = (uint32_t)size };
		result = look_into(trace, piece, batch, &packets);
		if (result < 0) {
			trace->at = first;
			return result;
		}
		if (result)
			break;
		batch->n++;
		trace->at += (uint64_t)size;
		at += size;
		n -= (size_t)size;
	}

	int64_t taken = (int64_t)(trace->at - first);

	trace->at = first;
	return taken;
}

/* ---- both ----------------------------------------------------------------------------------- */

/* pcap's header is a piece of its own; pcapng begins with a block like all others. */
static int64_t begin(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		     size_t *need)
{
	uint32_t magic;
	int64_t size;

	*need = sizeof(magic);
	if (n < sizeof(magic))
		return 0;
	memcpy(&magic, at, sizeof(magic));
	if (magic == SECTION_BLOCK) {
		trace->ng = true;
		return take_ng(trace, at, n, batch, need);
	}
	if (!is_pcap(trace, magic))
		return fail(trace, "this is neither pcap nor pcapng");
	size = begin_pcap(trace, at, n, need);
	if (size <= 0)
		return size;
	batch->pieces[batch->n++] = (struct trace_piece){ .at = at, .size = (uint32_t)size };
	batch->link_type = trace->interfaces[0].link_type;
	return size;
}

static size_t batch_size(const struct trace_batch *batch)
{
	size_t size = 0;

	for (uint32_t i = 0; i < batch->n; i++)
		size += batch->pieces[i].size;
	return size;
}

int64_t trace_take(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		   size_t *need)
{
	int64_t size;

	batch->n = 0;
	batch->link_type = 0;
	if (!trace->begun)
		size = begin(trace, at, n, batch, need);
	else if (trace->ng)
		size = take_ng(trace, at, n, batch, need);
	else
		size = take_pcap(trace, at, n, batch, need);
	if (size < 0)
		*need = batch_size(batch);
	trace->at += size < 0 ? *need : (uint64_t)size;
	return size;
}

const char *trace_end(struct trace *trace, size_t left)
{
	if (!trace->begun)
		fail(trace,
		     trace->at || left ? "the file ends within its header" : "the file is empty");
	else if (left)
		fail(trace,
		     "the file is cut short after packet %" PRIu64 ": %zu bytes are left over",
		     trace->packets, left);
	return trace->error;
}
