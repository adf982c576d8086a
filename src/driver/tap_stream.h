/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tap's part in dump mode: a packet becomes a record of the savefile at its place in the
 * stream. Part of tap.h, which includes it; more primitives of the includer:
 *
 *   uint32_t npf_env_stream_size(env)            bytes of the ring, 0: this is no dump
 *   uint32_t npf_env_stream_format(env)          NPF_FORMAT_*
 *   uint32_t npf_env_stream_most(env)            bytes of the longest record
 *   uint32_t npf_env_region_shift(env)           log2 of the bytes of a region of the ring
 *   uint8_t *npf_env_region(env, n)              where region n begins, NULL: nowhere
 *   void npf_env_spill(env, to, from, n)         copy n bytes within the ring's memory
 *   void npf_env_put(to, value)                  store 32 bits where nothing is aligned
 *
 * Behind each region there is room for one record: the one that crosses the region's end is written
 * whole, and its overflow then copied to the head of the next, so that each region is a pure piece
 * of the stream.
 */
#ifndef NPF_TAP_STREAM_H
#define NPF_TAP_STREAM_H

#include "driver/stream_layout.h"

#define TAP_NS_PER_S  1000000000ull
#define TAP_NS_PER_US 1000u

/* Somebody moves the cursor at each failed attempt: this many in a row do not happen. */
#define TAP_STREAM_TRIES 64

enum { TAP_RESERVED, TAP_CLOSED, TAP_NO_ROOM };

/* Room for a record: its place in the ring, and its stamp. */
NPF_TAP_INLINE int npf_reserve(struct npf_tap_env *env, struct npf_control *control, uint32_t size,
			       uint64_t *place, uint64_t *time)
{
	uint64_t capacity = npf_env_stream_size(env);
	uint32_t coarse = NPF_LOAD(&control->config.coarse_clock);

	for (int i = 0; i < TAP_STREAM_TRIES; i++) {
		/* In this order: whoever closes the stream moves the cursor afterwards. */
		uint64_t cursor = NPF_LOAD_FIRST(&control->stream.cursor);

		if (!NPF_LOAD(&control->stream.open))
			return TAP_CLOSED;
		if (((cursor - NPF_LOAD_FIRST(&control->stream.head)) & NPF_STREAM_MASK) + size >
		    capacity)
			return TAP_NO_ROOM;
		*time = npf_env_now(env, coarse);
		if (NPF_CAS(&control->stream.cursor, cursor, cursor + NPF_STREAM_RECORD + size)) {
			*place = cursor & (capacity - 1);
			return TAP_RESERVED;
		}
	}
	return TAP_NO_ROOM;
}

NPF_TAP_INLINE void npf_put_pcap_header(struct npf_cpu *cpu, uint32_t format, uint8_t *to,
					uint64_t wall, uint32_t cap, uint32_t length)
{
	uint64_t fraction = wall - cpu->second * TAP_NS_PER_S;

	/* A division per packet would cost more than all the rest of the header. */
	if (fraction >= TAP_NS_PER_S) {
		cpu->second = wall / TAP_NS_PER_S;
		fraction = wall - cpu->second * TAP_NS_PER_S;
	}
	if (format == NPF_FORMAT_PCAP)
		fraction = (uint32_t)fraction / TAP_NS_PER_US;
	npf_env_put(to, (uint32_t)cpu->second);
	npf_env_put(to + 4, (uint32_t)fraction);
	npf_env_put(to + NPF_PCAP_CAPLEN, cap);
	npf_env_put(to + NPF_PCAP_LENGTH, length);
}

/* Bits 0-1 direction; bits 2-4 how it was addressed: unicast 1, multicast 2, broadcast 3, and 4 to
 * somebody else. */
NPF_TAP_INLINE uint32_t npf_epb_flags(uint32_t packet_type)
{
	switch (packet_type) {
	case NPF_FROM_HOST:
		return NPF_EPB_OUTBOUND;
	case NPF_TO_BROADCAST:
		return NPF_EPB_INBOUND | 3u << 2;
	case NPF_TO_MULTICAST:
		return NPF_EPB_INBOUND | 2u << 2;
	case NPF_TO_OTHER:
		return NPF_EPB_INBOUND | 4u << 2;
	default:
		return NPF_EPB_INBOUND | 1u << 2;
	}
}

NPF_TAP_INLINE void npf_put_epb(uint8_t *to, const struct npf_frame *frame, uint64_t wall,
				uint32_t cap, uint32_t size)
{
	uint8_t *end = to + NPF_EPB_HEADER + ((cap + 3u) & ~3u);

	npf_env_put(to, NPF_EPB_TYPE);
	npf_env_put(to + NPF_EPB_TOTAL, size);
	npf_env_put(to + 8, 0);
	npf_env_put(to + NPF_EPB_TIME, (uint32_t)(wall >> 32));
	npf_env_put(to + NPF_EPB_TIME + 4, (uint32_t)wall);
	npf_env_put(to + NPF_EPB_CAPLEN, cap);
	npf_env_put(to + NPF_EPB_LENGTH, frame->wire_length);
	/* The padding, with the last bytes of the data, which come later. */
	npf_env_put(end - 4, 0);
	npf_env_put(end, NPF_EPB_FLAGS);
	npf_env_put(end + 4, npf_epb_flags(frame->packet_type));
	npf_env_put(end + 8, 0);
	npf_env_put(end + 12, size);
}

/* Store a packet as a record of the savefile. */
NPF_TAP_INLINE void npf_put_stream(struct npf_tap_env *env, struct npf_control *control,
				   struct npf_cpu *cpu, const struct npf_frame *frame,
				   uint32_t verdict)
{
	uint32_t format = npf_env_stream_format(env);
	uint32_t held = frame->length + (frame->tagged ? NPF_TAG_SIZE : 0);
	uint32_t cap = verdict < held ? verdict : held;
	uint32_t most = npf_env_stream_most(env) - NPF_STREAM_OVERHEAD;
	uint64_t place, time;

	if (cap > most)
		cap = most;

	uint32_t size = npf_stream_record_size(format, cap);
	int reserved = npf_reserve(env, control, size, &place, &time);

	if (reserved == TAP_NO_ROOM)
		npf_drop(cpu, TAP_DROP_FULL);
	/* It came too late: as if it had never been seen, unless it is counted anyway. */
	if (reserved == TAP_CLOSED && !NPF_LOAD(&control->config.statistics))
		NPF_COUNT(&cpu->received, (uint64_t)-1);
	if (reserved != TAP_RESERVED)
		return;

	uint32_t shift = npf_env_region_shift(env);
	uint32_t region_size = 1u << shift;
	uint32_t offset = (uint32_t)place & (region_size - 1);
	uint32_t region = (uint32_t)(place >> shift);
	uint8_t *base = npf_env_region(env, region);

	if (!base)
		return; /* the regions cover every place */

	uint8_t *to = base + offset;
	uint64_t wall = time + NPF_LOAD(&control->stream.offset);
	uint32_t header = NPF_PCAP_HEADER;

	if (format == NPF_FORMAT_PCAPNG) {
		header = NPF_EPB_HEADER;
		npf_put_epb(to, frame, wall, cap, size);
	} else {
		npf_put_pcap_header(cpu, format, to, wall, cap, frame->wire_length);
	}
	/* The place is taken: what cannot be read is left as zeros, and counted. */
	if (npf_copy_frame(env, frame, to + header, cap))
		NPF_ADD(&control->stream.blank, 1);

	if (offset + size > region_size) {
		uint32_t regions = npf_env_stream_size(env) >> shift;
		uint8_t *head = npf_env_region(env, (region + 1) & (regions - 1));

		if (head)
			npf_env_spill(env, head, base + region_size, offset + size - region_size);
	}
	NPF_COUNT(&cpu->captured, 1);
	npf_signal(env, control, cpu, size);
}

/* A dump that has not begun, or has ended: nobody looks at the packet. */
NPF_TAP_INLINE int npf_dump_closed(const struct npf_control *control)
{
	return !NPF_LOAD(&control->stream.open) && !NPF_LOAD(&control->config.statistics);
}

#endif
