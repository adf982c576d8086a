/* SPDX-License-Identifier: BSD-3-Clause */
/* See scan.h. Formats: pcap-savefile(5), and the IETF's draft of pcapng. */
#include "scan.h"

#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"
#include "stamps.h"

#define WINDOW        (1u << 20)
#define MAGIC_MICRO   0xA1B2C3D4u
#define MAGIC_NANO    0xA1B23C4Du
#define FILE_HEADER   24u
#define PACKET_HEADER 16u
#define MOST_CAPTURED 262144u      /* what readers allow whatever a file's snap length says */
#define MOST_SNAPLEN  (256u << 20) /* a header that says more is not believed */
#define NS_PER_S      1000000000ull

#define BLOCK_SECTION   0x0A0D0D0Au
#define BLOCK_INTERFACE 1u
#define BLOCK_SIMPLE    3u
#define BLOCK_ENHANCED  6u
#define BYTE_ORDER_MARK 0x1A2B3C4Du
#define LEAST_BLOCK     12u
#define MOST_BLOCK      (MOST_SNAPLEN + (1u << 20))
#define MOST_INTERFACES 65536u

struct walk {
	const struct npf_scan_source *source;
	struct npf_scan *scan;
	uint8_t *window;
	uint64_t start; /* offset of the window's first byte */
	size_t held;    /* bytes in it */
	int err;
	bool swapped; /* the file, or the section at hand, has the other byte order */
	uint32_t most_captured;
	struct npf_stamps *interfaces; /* of the section at hand */
	uint32_t n_interfaces, room;
};

/* What the bytes at the end of the walk are. */
enum step { WHOLE, CUT, WRONG };

/* size bytes at offset; NULL behind the end of the file and, with walk->err, when reading failed. */
static const uint8_t *look(struct walk *walk, uint64_t offset, size_t size)
{
	int64_t n;

	if (offset > walk->source->size || walk->source->size - offset < size)
		return NULL;
	if (offset >= walk->start && offset - walk->start + size <= walk->held)
		return walk->window + (offset - walk->start);
	walk->held = 0;
	walk->start = offset;
	n = walk->source->read(walk->source->context, walk->window, WINDOW, offset);
	if (n < 0 || (size_t)n < size) {
		walk->err = n < 0 ? (int)n : -EIO; /* shrunk while we looked */
		return NULL;
	}
	walk->held = (size_t)n;
	return walk->window;
}

static uint32_t get32(const struct walk *walk, const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return walk->swapped ? bswap_32(value) : value;
}

static uint16_t get16(const struct walk *walk, const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return walk->swapped ? bswap_16(value) : value;
}

static void note_packet(struct walk *walk, uint64_t time)
{
	if (!walk->scan->packets++)
		walk->scan->first = time;
	walk->scan->last = time;
}

/* ---- pcap ------------------------------------------------------------------------------------ */

static bool read_pcap_header(struct walk *walk)
{
	const uint8_t *header = look(walk, 0, FILE_HEADER);
	uint32_t magic, snaplen;

	if (!header)
		return false;
	memcpy(&magic, header, sizeof(magic));
	walk->swapped = magic == bswap_32(MAGIC_MICRO) || magic == bswap_32(MAGIC_NANO);
	magic = get32(walk, header);
	snaplen = get32(walk, header + 16);
	if ((magic != MAGIC_MICRO && magic != MAGIC_NANO) || get16(walk, header + 4) != 2)
		return false;
	walk->scan->format = magic == MAGIC_NANO ? NPF_SCAN_PCAP_NS : NPF_SCAN_PCAP;
	walk->scan->link_type = get32(walk, header + 20) & NPF_KIND_LINK_TYPE;
	walk->most_captured = MOST_CAPTURED;
	if (snaplen > MOST_CAPTURED && snaplen <= MOST_SNAPLEN)
		walk->most_captured = snaplen;
	walk->scan->end = FILE_HEADER;
	return true;
}

static enum step step_pcap(struct walk *walk)
{
	bool nano = walk->scan->format == NPF_SCAN_PCAP_NS;
	const uint8_t *header = look(walk, walk->scan->end, PACKET_HEADER);
	uint32_t seconds, fraction, caplen, length;

	if (!header)
		return CUT;
	seconds = get32(walk, header);
	fraction = get32(walk, header + 4);
	caplen = get32(walk, header + 8);
	length = get32(walk, header + 12);
	/* A packet without bytes does not exist: those are zeros that were never written. */
	if (fraction >= (nano ? NS_PER_S : NS_PER_S / 1000) || caplen > walk->most_captured ||
	    caplen > length || !length)
		return WRONG;
	if (walk->source->size - walk->scan->end - PACKET_HEADER < caplen)
		return CUT;
	note_packet(walk, seconds * NS_PER_S + fraction * (nano ? 1ull : 1000ull));
	walk->scan->end += PACKET_HEADER + caplen;
	return WHOLE;
}

/* ---- pcapng ---------------------------------------------------------------------------------- */

static bool section_order(struct walk *walk, const uint8_t *block)
{
	uint32_t mark;

	memcpy(&mark, block + 8, sizeof(mark));
	if (mark != BYTE_ORDER_MARK && mark != bswap_32(BYTE_ORDER_MARK))
		return false;
	walk->swapped = mark != BYTE_ORDER_MARK;
	return true;
}

static enum step take_interface(struct walk *walk, uint32_t length)
{
	struct npf_stamps stamps, *more;
	const uint8_t *block = length <= WINDOW ? look(walk, walk->scan->end, length) : NULL;

	if (length < 20 || !block || walk->n_interfaces == MOST_INTERFACES)
		return WRONG;
	npf_stamps_read(&stamps, block + 16, length - 20, walk->swapped);
	if (!walk->scan->packets && !walk->n_interfaces)
		walk->scan->link_type = get16(walk, block + 8);
	if (walk->n_interfaces == walk->room) {
		walk->room = walk->room ? walk->room * 2 : 4;
		more = realloc(walk->interfaces, walk->room * sizeof(*more));
		if (!more) {
			walk->err = -ENOMEM;
			return WRONG;
		}
		walk->interfaces = more;
	}
	walk->interfaces[walk->n_interfaces++] = stamps;
	return WHOLE;
}

static enum step take_packet(struct walk *walk, uint32_t length)
{
	const uint8_t *block = look(walk, walk->scan->end, length < 32 ? length : 32);
	const struct npf_stamps *stamps;
	struct npf_stamp stamp = { 0 };
	uint64_t value;
	uint32_t caplen;

	if (length < 32 || !block)
		return WRONG;
	caplen = get32(walk, block + 20);
	value = (uint64_t)get32(walk, block + 12) << 32 | get32(walk, block + 16);
	if (get32(walk, block + 8) >= walk->n_interfaces || caplen > length - 32)
		return WRONG;
	stamps = &walk->interfaces[get32(walk, block + 8)];
	if (stamps->units)
		stamp = npf_stamps_time(stamps, value);
	note_packet(walk, (uint64_t)stamp.seconds * NS_PER_S + stamp.ns);
	return WHOLE;
}

static enum step take_block(struct walk *walk, uint32_t type, uint32_t length)
{
	switch (type) {
	case BLOCK_SECTION:
		if (length < 28)
			return WRONG;
		walk->n_interfaces = 0;
		return WHOLE;
	case BLOCK_INTERFACE:
		return take_interface(walk, length);
	case BLOCK_ENHANCED:
		return take_packet(walk, length);
	case BLOCK_SIMPLE:
		if (length < 16 || !walk->n_interfaces)
			return WRONG;
		note_packet(walk, 0);
		return WHOLE;
	default: /* readers skip what they do not know */
		return WHOLE;
	}
}

/* A block is whole when its length stands at both ends. */
static enum step step_pcapng(struct walk *walk)
{
	const uint8_t *at = look(walk, walk->scan->end, LEAST_BLOCK);
	uint64_t left = walk->source->size - walk->scan->end;
	bool swapped = walk->swapped;
	uint32_t type, length;
	enum step step = WRONG;

	if (!at)
		return CUT;
	memcpy(&type, at, sizeof(type)); /* of a section the same in both byte orders */
	if (type != BLOCK_SECTION)
		type = get32(walk, at);
	else if (!section_order(walk, at))
		return WRONG;
	length = get32(walk, at + 4);
	if (length < LEAST_BLOCK || length % 4 || length > MOST_BLOCK)
		goto restore;
	step = CUT;
	if (length > left)
		goto restore;
	step = WRONG;
	at = look(walk, walk->scan->end + length - 4, 4);
	if (!at || get32(walk, at) != length)
		goto restore;
	step = take_block(walk, type, length);
	if (step == WHOLE) {
		walk->scan->end += length;
		return WHOLE;
	}
restore:
	walk->swapped = swapped;
	return step;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool begins(struct walk *walk, enum step (**step)(struct walk *))
{
	uint32_t magic;
	const uint8_t *at = look(walk, 0, sizeof(magic));

	if (!at)
		return false;
	memcpy(&magic, at, sizeof(magic));
	if (magic != BLOCK_SECTION) {
		*step = step_pcap;
		return read_pcap_header(walk);
	}
	*step = step_pcapng;
	if (step_pcapng(walk) != WHOLE)
		return false;
	walk->scan->format = NPF_SCAN_PCAPNG;
	return true;
}

/* Zeros to the end of the file? In the middle of a record's header the format decides. */
static bool zeros_follow(struct walk *walk)
{
	uint64_t offset = walk->scan->end;

	while (offset < walk->source->size) {
		uint64_t left = walk->source->size - offset;
		size_t n = left < WINDOW ? (size_t)left : WINDOW;
		const uint8_t *at = look(walk, offset, n);

		if (!at || at[0] || memcmp(at, at + 1, n - 1))
			return false;
		offset += n;
	}
	return true;
}

static void judge_tail(struct walk *walk, enum step step)
{
	struct npf_scan *scan = walk->scan;

	if (scan->end == walk->source->size)
		scan->tail = NPF_TAIL_NONE;
	else if (zeros_follow(walk))
		scan->tail = NPF_TAIL_ZEROS;
	else
		scan->tail = step == CUT ? NPF_TAIL_CUT : NPF_TAIL_OTHER;
}

int npf_scan(const struct npf_scan_source *source, struct npf_scan *scan)
{
	struct walk walk = { .source = source, .scan = scan };
	enum step (*next)(struct walk *), step = WHOLE;

	memset(scan, 0, sizeof(*scan));
	walk.window = malloc(WINDOW);
	if (!walk.window)
		return -ENOMEM;
	if (begins(&walk, &next)) {
		while (step == WHOLE && scan->end < source->size)
			step = next(&walk);
		if (!walk.err)
			judge_tail(&walk, step);
	}
	free(walk.interfaces);
	free(walk.window);
	return walk.err;
}

const char *npf_scan_format_name(enum npf_scan_format format)
{
	static const char *const names[] = {
		[NPF_SCAN_NONE] = "no savefile",
		[NPF_SCAN_PCAP] = "pcap, microseconds",
		[NPF_SCAN_PCAP_NS] = "pcap, nanoseconds",
		[NPF_SCAN_PCAPNG] = "pcapng",
	};

	return names[format];
}
