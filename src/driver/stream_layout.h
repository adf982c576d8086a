/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The buffer of dump mode as tap and writer share it: one ring of bytes for all CPUs, which hold
 * records of a savefile as they will lie on the disk. The same bytes in both targets of the tap.
 *
 *            head                                  cursor
 *   ──────────┼───────────────────────────────────────┼────────────────
 *    free     │ record │ record │ being written │ rec  │ free
 *
 * A CPU reserves its record's place by a compare-and-swap that moves the cursor, and fills it. So
 * the order of places is the order of arrival, and nothing is merged. The clock is read between
 * looking at the cursor and moving it: stamps never go backwards along the stream. What is below
 * a cursor is complete as soon as every CPU that was seen inside the tap afterwards has left it.
 *
 * One shared cursor, which the capture ring avoids: here the disk is the limit. A line that moves
 * between CPUs costs some tens of nanoseconds per packet, and a merge by the writer would cost
 * more, for it touches every packet; the direct path to the disk touches none.
 *
 * Positions count all bytes since the ring was made; a position lies in the ring at its remainder
 * of the ring's size, a power of two. The cursor holds position and number of records in one word,
 *
 *   cursor = position + (records << NPF_STREAM_BITS)        (modulo 2^64)
 *
 * so that one addition moves it, and whoever looks knows how many records are below.
 */
#ifndef NPF_STREAM_LAYOUT_H
#define NPF_STREAM_LAYOUT_H

#include <stdint.h>

/* A ring is far smaller than 2^36 bytes and holds fewer than 2^28 records: differences are exact. */
#define NPF_STREAM_BITS   36
#define NPF_STREAM_MASK   ((1ull << NPF_STREAM_BITS) - 1)
#define NPF_STREAM_RECORD (1ull << NPF_STREAM_BITS)

#define NPF_STREAM_ALIGN    4096u        /* regions begin on such boundaries, in memory too */
#define NPF_STREAM_SMALLEST 65536u       /* bytes of a ring */
#define NPF_STREAM_REGION   (256u << 20) /* a larger ring consists of several regions */

/* Who writes what: tap and writer the cursor, by compare-and-swap; the writer all else. The kernel's
 * tap survives any value. */
struct npf_stream {
	uint64_t cursor;
	uint64_t unused[15];
	uint64_t head;   /* bytes below are free */
	uint64_t offset; /* wall clock minus monotonic, ns */
	uint32_t open;   /* 0: nothing is stored, and nothing lost by that */
	uint32_t pad;
	uint64_t blank; /* by the tap: records whose packet could not be read; their data are zero */
	uint64_t unused_too[12];
};

/* The formats of records; enum npf_dump_format names them. */
#define NPF_FORMAT_PCAP    0u
#define NPF_FORMAT_PCAP_NS 1u
#define NPF_FORMAT_PCAPNG  2u

/* pcap: seconds, fraction, caplen, length; then the data, without padding. */
#define NPF_PCAP_HEADER 16u
#define NPF_PCAP_CAPLEN 8u
#define NPF_PCAP_LENGTH 12u

/* pcapng, an enhanced packet block: type, total length, interface, two halves of the stamp, caplen,
 * length; the data, padded to four; flags; the end of options; total length. */
#define NPF_EPB_TYPE    6u
#define NPF_EPB_HEADER  28u
#define NPF_EPB_TOTAL   4u
#define NPF_EPB_TIME    12u
#define NPF_EPB_CAPLEN  20u
#define NPF_EPB_LENGTH  24u
#define NPF_EPB_TRAILER 16u /* flags 8, end of options 4, total length 4 */

#define NPF_EPB_FLAGS    0x00040002u /* option 2, 4 bytes */
#define NPF_EPB_INBOUND  1u
#define NPF_EPB_OUTBOUND 2u

/* What a record has beside its data, at most. */
#define NPF_STREAM_OVERHEAD (NPF_EPB_HEADER + 3u + NPF_EPB_TRAILER)

static inline __attribute__((always_inline)) uint32_t npf_stream_record_size(uint32_t format,
									     uint32_t caplen)
{
	return format == NPF_FORMAT_PCAPNG
		       ? NPF_EPB_HEADER + ((caplen + 3u) & ~3u) + NPF_EPB_TRAILER
		       : NPF_PCAP_HEADER + caplen;
}

#endif
