/* SPDX-License-Identifier: BSD-3-Clause */
/* See pieces.h. */
#include "pieces.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"

#define MAGIC_MICRO    0xA1B2C3D4u
#define MAGIC_NANO     0xA1B23C4Du
#define MAGIC_MODIFIED 0xA1B2CD34u /* eight more bytes in every record's header */
#define FILE_HEADER    24u
#define RECORD_HEADER  16u
#define GUESSES        2048u /* places that are tried for a header */
#define TELLING        16u   /* packets, of how long they usually are */
#define MOST_USUALLY   262144u
#define MOST_EVER      (128u << 20)
#define FCS_KNOWN      0x04000000u /* beside pcap's link type */
#define FCS_SHIFT      28
#define FCS_UNIT       16u /* bits */

#define SECTION_BLOCK    0x0A0D0D0Au
#define INTERFACE_BLOCK  1u
#define OLD_PACKET_BLOCK 2u
#define SIMPLE_BLOCK     3u
#define PACKET_BLOCK     6u
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du
#define BLOCK_LEAST      12u
#define MOST_INTERFACES  65536u
#define OPTION_FCSLEN    13u

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

static uint32_t load32(const uint8_t *at, bool swapped)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return swapped ? __builtin_bswap32(value) : value;
}

static uint32_t get32(const struct trace *trace, const uint8_t *at)
{
	return load32(at, trace->swapped);
}

static uint16_t get16(const struct trace *trace, const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return trace->swapped ? __builtin_bswap16(value) : value;
}

static int add_interface(struct trace *trace, const struct trace_interface *interface)
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
	trace->interfaces[trace->n_interfaces++] = *interface;
	return 0;
}

static void put_other(struct trace_batch *batch, const uint8_t *at, uint32_t size)
{
	uint32_t n = batch->n++;

	batch->data[n] = at;
	batch->caplen[n] = batch->len[n] = 0;
	batch->packet[n] = false;
	batch->at[n] = at;
	batch->at[n + 1] = at + size;
}

/* ---- pcap ----------------------------------------------------------------------------------- */

/* A few link types carry what is no packet of a network and may be long. */
uint32_t trace_longest(uint32_t link_type)
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

/* The file's header is a piece. */
static int begin_pcap(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		      size_t *need)
{
	struct trace_interface interface = { .stamps.units = 1000000 };
	uint32_t link;
	int err;

	*need = FILE_HEADER;
	if (n < FILE_HEADER)
		return 0;
	if (get16(trace, at + 4) != 2 || get16(trace, at + 6) != 4) {
		fail(trace, "pcap format %u.%u: only 2.4 is read", get16(trace, at + 4),
		     get16(trace, at + 6));
		return -EMEDIUMTYPE;
	}
	link = get32(trace, at + 20);
	interface.link_type = link & NPF_KIND_LINK_TYPE;
	interface.fcs.known = link & FCS_KNOWN;
	if (interface.fcs.known)
		interface.fcs.bits = (uint8_t)((link >> FCS_SHIFT) * FCS_UNIT);
	interface.snaplen = get32(trace, at + 16);
	if (get32(trace, at) == MAGIC_NANO)
		interface.stamps.units = 1000000000;
	err = add_interface(trace, &interface);
	if (err)
		return err;
	trace->most = trace_longest(interface.link_type);
	trace->begun = true;
	put_other(batch, at, FILE_HEADER);
	return 0;
}

static int fail_length(struct trace *trace, const struct trace_batch *batch, uint32_t caplen)
{
	return fail(trace,
		    "packet %" PRIu64 " at byte %" PRIu64
		    " claims %u bytes: the file is damaged there",
		    trace->packets + batch->packets + 1,
		    trace->at + (uint64_t)(batch->at[batch->n] - batch->at[0]), caplen);
}

/* What takes records: the limits of the file and of the bytes that are here. */
struct walk {
	const uint8_t *end;
	uint32_t header, most;
};

static inline bool is_whole(const struct walk *walk, const uint8_t *at, uint32_t caplen)
{
	return caplen <= walk->most && caplen <= (size_t)(walk->end - at) - walk->header;
}

static inline const uint8_t *put_record(struct trace_batch *batch, uint32_t n,
					const struct walk *walk, const uint8_t *at, uint32_t caplen,
					bool swapped)
{
	batch->at[n] = at;
	batch->data[n] = at + walk->header;
	batch->len[n] = load32(at + 12, swapped);
	batch->caplen[n] = caplen;
	return at + walk->header + caplen;
}

static void end_batch(struct trace *trace, struct trace_batch *batch, const uint8_t *at, uint32_t n)
{
	batch->at[n] = at;
	batch->n = batch->packets = n;
	batch->link_type = trace->interfaces[0].link_type;
	memset(batch->packet, true, n);
}

/* What three quarters of a batch are, by the packets that were found last: enough of them to tell. */
static void note_usual(struct trace *trace, size_t bytes, uint64_t packets)
{
	if (packets >= TELLING)
		trace->usual = bytes / packets * TRACE_PIECES / 4 * 3;
}

/* Records up to `to`, which a header fits in front of the end of all. */
static inline __attribute__((always_inline)) const uint8_t *walk_on(const struct walk *walk,
								    const uint8_t *at,
								    const uint8_t *to,
								    struct trace_batch *batch,
								    uint32_t *n, const bool swapped)
{
	while (*n < TRACE_PIECES && at < to) {
		uint32_t caplen = load32(at + 8, swapped);

		if (!is_whole(walk, at, caplen))
			break;
		at = put_record(batch, (*n)++, walk, at, caplen, swapped);
	}
	return at;
}

/* Behind the last place where a header is whole. */
static const uint8_t *last_header(const struct walk *walk, const uint8_t *at)
{
	return (size_t)(walk->end - at) < walk->header ? at : walk->end - walk->header + 1;
}

static int take_pcap(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		     size_t *need)
{
	const struct walk walk = { at + n, trace->record_header, trace->most };
	const uint8_t *to = last_header(&walk, at);
	uint32_t found = 0, caplen;

	at = trace->swapped ? walk_on(&walk, at, to, batch, &found, true)
			    : walk_on(&walk, at, to, batch, &found, false);
	end_batch(trace, batch, at, found);
	*need = walk.header;
	if (found < TRACE_PIECES && at < to) {
		caplen = get32(trace, at + 8);
		if (caplen > walk.most)
			return fail_length(trace, batch, caplen);
		*need = walk.header + caplen;
	}
	return 0;
}

/* ---- pcap, by several cursors --------------------------------------------------------------- */

/* A record's header? Only a guess: the seconds are about those of a header that is known, the
 * lengths are possible, and so is what follows. */
static bool looks_right(const struct trace *trace, const struct walk *walk, const uint8_t *at,
			uint32_t raw_seconds, uint32_t mask)
{
	uint32_t caplen = get32(trace, at + 8), next;

	/* Zeros are no header. */
	if (!caplen || !is_whole(walk, at, caplen) || caplen > get32(trace, at + 12))
		return false;
	at += walk->header + caplen;
	if ((size_t)(walk->end - at) < walk->header)
		return false;
	memcpy(&next, at, sizeof(next));
	return !((next ^ raw_seconds) & mask);
}

static const uint8_t *guess(const struct trace *trace, const struct walk *walk,
			    const uint8_t *known, const uint8_t *from)
{
	uint32_t mask = trace->swapped ? 0x0000FFFF : 0xFFFF0000, seconds, here; /* 18 hours */
	const uint32_t highest = trace->swapped ? 0 : 3; /* byte, which none of them changes */
	const uint8_t *at = from + highest, *end = at + GUESSES;

	memcpy(&seconds, known, sizeof(seconds));
	while ((at = memchr(at, known[highest], (size_t)(end - at)))) {
		const uint8_t *begin = at++ - highest;

		memcpy(&here, begin, sizeof(here));
		if (!((here ^ seconds) & mask) && looks_right(trace, walk, begin, seconds, mask))
			return begin;
	}
	return NULL;
}

/* All cursors step together: none waits for the memory that another one asked for. */
static inline __attribute__((always_inline)) void walk_together(
	const struct walk *walk, const uint8_t *at[TRACE_BATCHES],
	const uint8_t *const to[TRACE_BATCHES], struct trace_batch batches[TRACE_BATCHES],
	uint32_t found[TRACE_BATCHES], const bool swapped)
{
	const uint8_t *a = at[0], *b = at[1], *c = at[2], *d = at[3];
	uint32_t n;

	for (n = 0; n < TRACE_PIECES; n++) {
		uint32_t in_a, in_b, in_c, in_d;

		if (a >= to[0] || b >= to[1] || c >= to[2] || d >= to[3])
			break;
		in_a = load32(a + 8, swapped);
		in_b = load32(b + 8, swapped);
		in_c = load32(c + 8, swapped);
		in_d = load32(d + 8, swapped);
		if (!is_whole(walk, a, in_a) || !is_whole(walk, b, in_b) ||
		    !is_whole(walk, c, in_c) || !is_whole(walk, d, in_d))
			break;
		a = put_record(&batches[0], n, walk, a, in_a, swapped);
		b = put_record(&batches[1], n, walk, b, in_b, swapped);
		c = put_record(&batches[2], n, walk, c, in_c, swapped);
		d = put_record(&batches[3], n, walk, d, in_d, swapped);
	}
	at[0] = a, at[1] = b, at[2] = c, at[3] = d;
	for (uint32_t i = 0; i < TRACE_BATCHES; i++) {
		found[i] = n;
		at[i] = walk_on(walk, at[i], to[i], &batches[i], &found[i], swapped);
	}
}

/* Where the cursors begin, and how far each may go; false: no guess. */
static bool place_cursors(struct trace *trace, const struct walk *walk, const uint8_t *at,
			  const uint8_t *begins[TRACE_BATCHES], const uint8_t *to[TRACE_BATCHES])
{
	size_t part = (size_t)(walk->end - at) / TRACE_BATCHES;

	part = part < trace->usual ? part : trace->usual;
	if (part < 2 * GUESSES)
		return false;
	begins[0] = at;
	for (uint32_t i = 1; i < TRACE_BATCHES; i++) {
		begins[i] = guess(trace, walk, at, at + i * part);
		if (!begins[i]) {
			trace->guess_again = trace->packets + 2 * TRACE_PIECES;
			return false;
		}
		to[i - 1] = begins[i];
	}
	to[TRACE_BATCHES - 1] = last_header(walk, begins[TRACE_BATCHES - 1]);
	return true;
}

uint32_t trace_take_several(struct trace *trace, const uint8_t *at, size_t n,
			    struct trace_batch batches[TRACE_BATCHES])
{
	const struct walk walk = { at + n, trace->record_header, trace->most };
	const uint8_t *begins[TRACE_BATCHES], *to[TRACE_BATCHES], *ends[TRACE_BATCHES];
	uint32_t found[TRACE_BATCHES], good = 0;
	uint64_t before = trace->packets;

	if (!trace->begun || trace->ng || trace->packets < trace->guess_again)
		return 0;
	if (!place_cursors(trace, &walk, at, begins, to))
		return 0;
	memcpy(ends, begins, sizeof(ends));
	if (trace->swapped)
		walk_together(&walk, ends, to, batches, found, true);
	else
		walk_together(&walk, ends, to, batches, found, false);
	if (!found[0])
		return 0;
	/* A guess was right when the cursor before it arrives just there. */
	do {
		end_batch(trace, &batches[good], ends[good], found[good]);
		trace->packets += found[good];
		trace->at += (uint64_t)(ends[good] - begins[good]);
		good++;
	} while (good < TRACE_BATCHES && ends[good - 1] == begins[good]);
	note_usual(trace, (size_t)(ends[good - 1] - at), trace->packets - before);
	return good;
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

/* A whole block. data NULL: no packet. */
struct block {
	const uint8_t *at, *data;
	uint32_t type, size;
	uint32_t interface, caplen, len;
};

/* What a packet's block says; false when the block is too short for what it says. */
static bool fill_packet(const struct trace *trace, struct block *block)
{
	uint32_t head = block->type == SIMPLE_BLOCK ? 12 : 28, room;

	if (block->size < head + 4)
		return false;
	room = block->size - head - 4;
	block->data = block->at + head;
	if (block->type == SIMPLE_BLOCK) {
		block->interface = 0;
		block->len = get32(trace, block->at + 8);
		block->caplen = block->len < room ? block->len : room;
		if (trace->n_interfaces && trace->interfaces[0].snaplen &&
		    block->caplen > trace->interfaces[0].snaplen)
			block->caplen = trace->interfaces[0].snaplen;
		return true;
	}
	block->interface = block->type == PACKET_BLOCK ? get32(trace, block->at + 8)
						       : get16(trace, block->at + 8);
	block->caplen = get32(trace, block->at + 20);
	block->len = get32(trace, block->at + 24);
	return block->caplen <= room;
}

static int take_interface(struct trace *trace, const struct block *block)
{
	struct trace_interface interface;
	const uint8_t *fcs;

	if (block->size < 20)
		return fail(trace, "the interface at byte %" PRIu64 " is cut short", trace->at);
	interface.link_type = get16(trace, block->at + 8);
	interface.snaplen = get32(trace, block->at + 12);
	npf_stamps_read(&interface.stamps, block->at + 16, block->size - 20, trace->swapped);
	fcs = npf_option_find(block->at + 16, block->size - 20, trace->swapped, OPTION_FCSLEN, 1);
	interface.fcs = (struct npf_fcs){ .known = fcs, .bits = fcs ? *fcs : 0 };
	return add_interface(trace, &interface);
}

static int look_into(struct trace *trace, struct block *block)
{
	block->type = get32(trace, block->at);
	if (get32(trace, block->at + block->size - 4) != block->size)
		return fail(trace, "the block at byte %" PRIu64 " is damaged: its sizes differ",
			    trace->at);
	if (block->type == INTERFACE_BLOCK)
		return take_interface(trace, block);
	if (block->type != PACKET_BLOCK && block->type != SIMPLE_BLOCK &&
	    block->type != OLD_PACKET_BLOCK)
		return 0;
	if (!fill_packet(trace, block))
		return fail(trace, "packet %" PRIu64 " at byte %" PRIu64 " does not fit its block",
			    trace->packets + 1, trace->at);
	if (block->interface >= trace->n_interfaces)
		return fail(trace,
			    "packet %" PRIu64 " at byte %" PRIu64
			    " is of interface %u, which the file does not describe",
			    trace->packets + 1, trace->at, block->interface);
	return 0;
}

/* False: its link type is not that of the packets before it. */
static bool put_block(struct trace *trace, struct trace_batch *batch, const struct block *block)
{
	uint32_t n = batch->n, link_type;

	if (!block->data) {
		put_other(batch, block->at, block->size);
		return true;
	}
	link_type = trace->interfaces[block->interface].link_type;
	if (batch->packets && link_type != batch->link_type)
		return false;
	batch->link_type = link_type;
	batch->data[n] = block->data;
	batch->caplen[n] = block->caplen;
	batch->len[n] = block->len;
	batch->packet[n] = true;
	batch->at[n] = block->at;
	batch->at[n + 1] = block->at + block->size;
	batch->n++;
	batch->packets++;
	trace->packets++;
	return true;
}

/* Of a batch a section is the first block: interfaces and byte order are those of one. */
static bool begins_section(const uint8_t *at, size_t n)
{
	static const uint8_t magic[] = { 0x0A, 0x0D, 0x0D, 0x0A };

	return n >= sizeof(magic) && !memcmp(at, magic, sizeof(magic));
}

/* Leaves trace->at behind what was taken: messages name it. */
static int take_ng(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		   size_t *need)
{
	while (batch->n < TRACE_PIECES && !(batch->n && begins_section(at, n))) {
		int64_t size = block_size(trace, at, n, need);
		struct block block = { .at = at, .size = (uint32_t)size };
		int err;

		if (size < 0)
			return (int)size;
		if (!size || (uint64_t)size > n)
			break;
		err = look_into(trace, &block);
		if (err)
			return err;
		if (!put_block(trace, batch, &block))
			break;
		trace->at += (uint64_t)size;
		at += size;
		n -= (size_t)size;
	}
	return 0;
}

/* ---- both ----------------------------------------------------------------------------------- */

/* pcap's header is a piece of its own; pcapng begins with a block like all others. */
static int begin(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		 size_t *need)
{
	uint32_t magic;

	*need = sizeof(magic);
	if (n < sizeof(magic))
		return 0;
	memcpy(&magic, at, sizeof(magic));
	if (magic == SECTION_BLOCK) {
		trace->ng = true;
		return take_ng(trace, at, n, batch, need);
	}
	if (!is_pcap(trace, magic)) {
		fail(trace, "%s", npf_kind_no_savefile(npf_kind_of(at, n)));
		return -EMEDIUMTYPE;
	}
	return begin_pcap(trace, at, n, batch, need);
}

int64_t trace_take(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		   size_t *need)
{
	const uint64_t first = trace->at, packets = trace->packets;
	size_t taken;
	int err;

	batch->n = batch->packets = 0;
	batch->link_type = 0;
	batch->at[0] = at;
	if (!trace->begun)
		err = begin(trace, at, n, batch, need);
	else if (trace->ng)
		err = take_ng(trace, at, n, batch, need);
	else
		err = take_pcap(trace, at, n, batch, need);
	taken = (size_t)(batch->at[batch->n] - at);
	trace->at = first + taken;
	trace->packets = packets + batch->packets;
	note_usual(trace, taken, batch->packets);
	if (err)
		*need = taken;
	return err ? err : (int64_t)taken;
}

const struct trace_interface *trace_interface_of(const struct trace *trace,
						 const struct trace_batch *batch, uint32_t i)
{
	const uint8_t *at = batch->at[i];
	uint32_t type = trace->ng ? get32(trace, at) : SIMPLE_BLOCK;

	if (type == SIMPLE_BLOCK)
		return &trace->interfaces[0];
	return &trace->interfaces[type == PACKET_BLOCK ? get32(trace, at + 8) : get16(trace, at + 8)];
}

bool trace_look(const struct trace *trace, const struct trace_batch *batch, uint32_t i,
		struct npf_stamp *stamp)
{
	const struct npf_stamps *stamps = &trace_interface_of(trace, batch, i)->stamps;
	const uint8_t *at = batch->at[i];

	if (!trace->ng) {
		*stamp = npf_stamps_time(stamps, get32(trace, at + 4));
		stamp->seconds += get32(trace, at);
		return true;
	}
	if (get32(trace, at) == SIMPLE_BLOCK || !stamps->units)
		return false;
	*stamp = npf_stamps_time(stamps,
				 (uint64_t)get32(trace, at + 12) << 32 | get32(trace, at + 16));
	return true;
}

const char *trace_end(struct trace *trace, size_t left)
{
	if (!trace->begun)
		fail(trace,
		     trace->at || left ? "the file ends within its header" : "the file is empty");
	else if (left)
		fail(trace, "the file is cut short after packet %" PRIu64 ": %zu byte%s left over",
		     trace->packets, left, left == 1 ? " is" : "s are");
	return trace->error;
}
