/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream of dump mode seen from the writer's side. Layout and rules: stream_layout.h. Pure:
 * works on memory it is given, asks nothing of any host.
 */
#ifndef NPF_STREAM_H
#define NPF_STREAM_H

#include "driver/ring.h"

/* Cut a stream of at least bytes for records of up to max_frame bytes of data. false: too large. */
bool npf_stream_cut(struct npf_ring_geometry *geometry, uint32_t bytes, uint32_t n_cpus,
		    uint32_t max_frame, uint32_t format);

/* A place between two records: bytes and records (modulo 2^28) below it. */
struct npf_stream_mark {
	uint64_t position;
	uint64_t records;
};

/* The end of what is reserved; `from` is a position at most a ring's size before it. */
struct npf_stream_mark npf_stream_end(const struct npf_ring_view *view, uint64_t from);

/* Records between two marks. */
uint64_t npf_stream_records(const struct npf_stream_mark *from, const struct npf_stream_mark *to);

/* Have all CPUs left the tap that were inside after the end was looked at? Then everything below
 * it is complete. Waits a moment for them. */
bool npf_stream_settled(const struct npf_ring_view *view);

/* Leave `skip` bytes out at the very end, which was seen at `end`. false: it has moved. */
bool npf_stream_skip(const struct npf_ring_view *view, const struct npf_stream_mark *end,
		     uint64_t skip);

/* Stop storing, exactly: all there will ever be is below the end that is returned. What is stored
 * after a new opening begins NPF_STREAM_ALIGN bytes later. */
struct npf_stream_mark npf_stream_close(const struct npf_ring_view *view, uint64_t from);

/* The bytes at a position; *n: how many of them lie in a row. */
const uint8_t *npf_stream_at(const struct npf_ring_view *view, uint64_t position, size_t *n);

/* Copy n bytes from a position on. */
void npf_stream_copy(const struct npf_ring_view *view, uint64_t position, void *to, size_t n);

#endif
