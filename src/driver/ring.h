/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The circular buffer seen from the reader's side. Layout and rules: tap_layout.h. Pure: works on
 * memory it is given, asks nothing of any host.
 */
#ifndef NPF_RING_H
#define NPF_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "driver/tap_layout.h"

/* Another look at what a CPU in the tap is about to write; false: there were enough. Between two of
 * them a hypervisor may run that CPU. */
static inline bool npf_look_again(uint32_t *tries)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
	return --*tries;
}

/* The cut of a buffer into chunks; or, for a dump, one stream (stream.h). */
struct npf_ring_geometry {
	uint32_t chunk_size; /* bytes, a power of two; a record never exceeds a chunk */
	uint32_t n_chunks;   /* 0: no buffer, or a stream */
	uint32_t n_cpus;
	uint32_t stream_size;   /* bytes, a power of two; 0: no stream */
	uint32_t stream_format; /* NPF_FORMAT_* */
};

/*
 * Cut a buffer of bytes for n_cpus taps and records of up to max_frame bytes of data. One busy CPU
 * can fill bytes even while every other CPU holds a chunk. bytes 0: no buffer. false: too large.
 */
bool npf_ring_cut(struct npf_ring_geometry *geometry, uint32_t bytes, uint32_t n_cpus,
		  uint32_t max_frame);

/*
 * Where a host put the parts. Chunks lie in regions so that the kernel's verifier, which limits
 * variable offsets, can follow: chunk id (from 1) is at
 *   chunks + (id - 1) / chunks_per_region * region_stride + (id - 1) % chunks_per_region * size
 */
struct npf_ring_view {
	struct npf_ring_geometry geometry;
	struct npf_control *control;
	const struct npf_cpu *cpus; /* n_cpus of them */
	const uint8_t *chunks;
	uint32_t chunks_per_region;
	size_t region_stride;
	uint32_t region_size; /* of a stream: region n is at chunks + n * region_stride */
};

/* Put all chunks on the free stack. Before the tap runs. */
void npf_ring_fill_pool(const struct npf_ring_geometry *geometry, struct npf_control *control);

const struct npf_chunk *npf_ring_chunk(const struct npf_ring_view *view, uint32_t id);

/* Counters summed over the CPUs, each CPU's taken while its tap was not inside. */
struct npf_ring_totals {
	uint64_t received, captured, bytes, reentered;
	uint64_t dropped[NPF_TAP_DROPS];
};
void npf_ring_totals(const struct npf_ring_view *view, struct npf_ring_totals *totals);
void npf_ring_class_totals(const struct npf_ring_view *view, struct npf_class_counters *counters,
			   uint32_t n);

/* A reader's place in one CPU's chain. */
struct npf_ring_cursor {
	const uint8_t *base; /* of chunk */
	uint32_t chunk;      /* 0: the chain has not begun */
	uint32_t offset;     /* of the next record */
	uint32_t end;        /* of what is known to be published in chunk */
	uint32_t released;   /* oldest chunk not given back; == chunk when none */
	uint64_t time;       /* stamp of the next record, while the chain is active */
	uint32_t active;     /* entry of the list of chains with records left in this batch */
};

/* The one reader of a ring. Memory of cursors: n_cpus entries, the caller's. */
struct npf_ring_reader {
	const struct npf_ring_view *view;
	struct npf_ring_cursor *cursors;
	uint64_t consumed; /* bytes of records walked */
	uint64_t horizon;  /* records stamped later wait for the next batch */
	uint64_t oldest;   /* when the first pending record came, if it was looked for */
	uint64_t looked;   /* when so many bytes were consumed */
	bool holds;        /* npf_ring_end() gives nothing back */
	uint32_t n_active; /* chains with records left: cursors[0 .. n_active).active names them */
	uint32_t entry;    /* of that list: the chain whose next record is the oldest, */
	struct npf_ring_cursor *nearest; /* and its cursor; NULL: no record is left */
};

void npf_ring_reader_init(struct npf_ring_reader *reader, const struct npf_ring_view *view,
			  struct npf_ring_cursor *cursors);

/* Bytes published and not walked yet. */
uint64_t npf_ring_pending(const struct npf_ring_reader *reader);

/* Of these, what no CPU has counted for the wish of this number (npf_waiter.arm). */
uint64_t npf_ring_uncounted(const struct npf_ring_reader *reader, uint32_t arm);

/* When the first pending record came, if it is stamped up to horizon; 0: there is none. Not in a
 * batch. */
uint64_t npf_ring_oldest(struct npf_ring_reader *reader, uint64_t horizon);

/* Begin a batch of the records stamped up to horizon (ns, the tap's clock). They are complete when
 * npf_host.store_delay has passed since. */
void npf_ring_begin(struct npf_ring_reader *reader, uint64_t horizon);

/* The next record in order of arrival, NULL at the end of the batch. npf_ring_peek leaves it. */
static inline const struct npf_record *npf_ring_peek(const struct npf_ring_reader *reader)
{
	const struct npf_ring_cursor *cursor = reader->nearest;

	return cursor ? (const void *)(cursor->base + cursor->offset) : NULL;
}

/* Behind a record of the nearest chain: which is the nearest now? */
void npf_ring_turn(struct npf_ring_reader *reader);

static inline const struct npf_record *npf_ring_next(struct npf_ring_reader *reader)
{
	const struct npf_record *record = npf_ring_peek(reader), *next;
	struct npf_ring_cursor *cursor = reader->nearest;

	if (!record)
		return NULL;
	cursor->offset += record->size;
	reader->consumed += record->size;
	next = npf_ring_peek(reader);
	if (reader->n_active > 1 || cursor->offset >= cursor->end || next->time > reader->horizon)
		npf_ring_turn(reader);
	return record;
}

/* End a batch: chunks walked to their end go back to the tap. Records become invalid. */
void npf_ring_end(struct npf_ring_reader *reader);

#endif
