/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The circular buffer as tap and reader share it. The same bytes in both targets of the tap: the
 * kernel's mapped arrays, and plain memory where packets arrive in user space.
 *
 * The buffer is a pool of equal chunks. Each CPU writes records into a chunk of its own and, when
 * it is full, seals it with the number of the next one it took from the pool: a chain per CPU. The
 * reader follows the chains, merges them by time stamp and gives emptied chunks back. The pool is
 * a stack, so that a reader who keeps up keeps the same few chunks in the CPU's cache.
 *
 *   pool.head ──► 7 ──► 3 ──► 9 ──► ...            free chunks
 *   cpu 0:  first 2 ──► 5 ──► 1 (being written)    sealed ... published up to state.end
 *   cpu 1:  first 4 (being written)
 *
 * Who writes what, and nobody else does:
 *   tap:    npf_cpu, npf_signal, chunk headers and records; takes from the pool
 *   reader: npf_config, npf_waiter; gives to the pool
 * The kernel's tap treats everything the reader writes as hostile: a wrong chunk number is a drop.
 */
#ifndef NPF_TAP_LAYOUT_H
#define NPF_TAP_LAYOUT_H

#include <stdint.h>

#include "driver/stream_layout.h"

#define NPF_MAX_CHUNKS 8192u
#define NPF_LINE       128u /* bytes kept apart: a cache line and the one prefetched beside it */

/* One packet. Records begin on 8-byte boundaries; bytes between data and the next are zero. */
struct npf_record {
	uint64_t time;   /* ns, the host's monotonic clock: the order of arrival */
	uint32_t caplen; /* bytes of data behind this header */
	uint32_t length; /* bytes on the wire */
	uint32_t size;   /* bytes to the next record: header, data, padding */
	uint32_t flags;  /* NPF_PACKET_* */
};
#define NPF_RECORD_HEADER    24u
#define NPF_RECORD_SIZE(cap) ((NPF_RECORD_HEADER + (cap) + 7u) & ~7u)

/* Heads a chunk. state: bit 63 sealed, bits 32-62 the next chunk when sealed, bits 0-31 the end
 * of what is published. One word, so that a reader never sees half of it. */
struct npf_chunk {
	uint64_t state;
	uint64_t unused[7];
};
#define NPF_CHUNK_HEADER      64u
#define NPF_CHUNK_SEALED      (1ull << 63)
#define NPF_CHUNK_END(state)  ((uint32_t)(state))
#define NPF_CHUNK_NEXT(state) ((uint32_t)((state) >> 32) & 0x7FFFFFFFu)

/* Reasons a tap itself can drop for; enum npf_drop of the public header names them. */
#define NPF_TAP_DROPS 4u

struct npf_class_counters {
	uint64_t packets;
	uint64_t bytes;
	uint64_t line_bytes;
};
#define NPF_TAP_CLASSES 64u
#define NPF_TAP_WINDOW  256u

/* One CPU's half of the tap. begun and done bracket every packet: equal means nobody is inside. */
struct npf_cpu {
	uint64_t begun;
	uint64_t done;
	uint64_t received; /* frames, before the filter */
	uint64_t captured; /* records published */
	uint64_t bytes; /* of records published: what is pending, once the reader's are taken off */
	uint64_t dropped[NPF_TAP_DROPS];
	uint64_t reentered; /* frames that found the tap busy on this CPU: received and dropped */
	uint32_t chunk;     /* being written, 0 none yet */
	uint32_t offset;    /* of the next record in it */
	uint32_t first;     /* head of the chain: where a reader starts */
	uint32_t armed;     /* npf_waiter.arm that the two fields below belong to */
	uint64_t since;     /* bytes published since then */
	uint64_t seen;      /* of these, when this CPU looked at all of them last, */
	uint64_t need;      /* and npf_waiter.need then */
	uint64_t second;    /* dump: the one that the last stamp fell into */
	struct npf_class_counters classes[NPF_TAP_CLASSES];
	uint8_t window[NPF_TAP_WINDOW]; /* of the filter, while it looks at a packet */
};
_Static_assert(sizeof(struct npf_cpu) % NPF_LINE == 0, "two CPUs share a cache line");

/* How the tap behaves. All zero: nothing is accepted. */
struct npf_config {
	uint32_t accept_types; /* bit per packet type */
	uint32_t statistics;   /* 1: count, store nothing */
	uint32_t n_classes; /* classes to count in statistics mode; 0: the filter is the one class */
	uint32_t coarse_clock; /* 1: read the cheap clock */
	uint64_t hidden;       /* sender whose frames are invisible, 0 none */
	uint32_t unfiltered;   /* the filter is not asked: bytes to keep of every frame; 0: it is */
	uint32_t unused;
};

/* A reader that wants to be woken. arm changes with every new wish. */
struct npf_waiter {
	uint32_t arm;
	uint32_t need;    /* bytes, from the moment of arming, that fulfil it; at least 1 */
	uint64_t timeout; /* ns after the first packet since arming; 0 none */
};

/* What the tap did about it. */
struct npf_signal {
	/* arm << 32 | a number that makes each value new << 27 | what a CPU may store until it looks
	 * at what all have, in units */
	uint64_t share;
	uint32_t fired; /* last arm that was fulfilled */
	uint32_t timed; /* last arm whose flush timer was started */
};
#define NPF_SHARE_UNIT    8u
#define NPF_SHARE_MOST    0x07FFFFFFu
#define NPF_SHARE_SERIAL  0x08000000u
#define NPF_SHARE_SERIALS 0xF8000000u

struct npf_control {
	_Alignas(NPF_LINE) struct npf_config config;
	_Alignas(NPF_LINE) struct npf_waiter waiter;
	_Alignas(NPF_LINE) struct npf_signal signal;
	_Alignas(NPF_LINE) struct npf_stream stream;
	/* Free chunks, numbered from 1: tag << 32 | top of the stack, 0 empty. The tag makes a
	 * take that was overtaken fail. */
	_Alignas(NPF_LINE) uint64_t pool;
	_Alignas(NPF_LINE) uint32_t pool_next[NPF_MAX_CHUNKS + 1];
};

#endif
