/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's side of the stream: its end, what of it is complete, its bytes. */
#include "driver/stream.h"

#include <string.h>

#define MOST_BYTES (1u << 30)

/* Looks at a CPU that is inside the tap. It leaves within a microsecond unless its (virtual)
 * processor was taken away; the writer then comes back later. */
#define PATIENCE (1u << 12)

static uint32_t power_of_two_above(uint32_t least, uint32_t n)
{
	uint32_t power = least;

	while (power < n)
		power <<= 1;
	return power;
}

bool npf_stream_cut(struct npf_ring_geometry *geometry, uint32_t bytes, uint32_t n_cpus,
		    uint32_t max_frame, uint32_t format)
{
	if (bytes > MOST_BYTES || max_frame > MOST_BYTES / 8)
		return false;

	uint32_t record = power_of_two_above(NPF_STREAM_ALIGN, max_frame + NPF_STREAM_OVERHEAD);

	/* Two records at least, so that none is too long for an empty ring. */
	if (bytes < 2 * record)
		bytes = 2 * record;
	*geometry = (struct npf_ring_geometry){
		.chunk_size = record,
		.n_cpus = n_cpus,
		.stream_size = power_of_two_above(NPF_STREAM_SMALLEST, bytes),
		.stream_format = format,
	};
	return true;
}

static struct npf_stream_mark decode(uint64_t cursor, uint64_t from)
{
	uint64_t position = from + ((cursor - from) & NPF_STREAM_MASK);

	return (struct npf_stream_mark){
		.position = position,
		.records = (cursor - position) >> NPF_STREAM_BITS,
	};
}

static uint64_t encode(const struct npf_stream_mark *mark)
{
	return mark->position + (mark->records << NPF_STREAM_BITS);
}

struct npf_stream_mark npf_stream_end(const struct npf_ring_view *view, uint64_t from)
{
	return decode(__atomic_load_n(&view->control->stream.cursor, __ATOMIC_ACQUIRE), from);
}

uint64_t npf_stream_records(const struct npf_stream_mark *from, const struct npf_stream_mark *to)
{
	return (to->records - from->records) & (UINT64_MAX >> NPF_STREAM_BITS);
}

static bool settled(const struct npf_cpu *cpu)
{
	uint64_t begun = __atomic_load_n(&cpu->begun, __ATOMIC_ACQUIRE);
	uint32_t tries = PATIENCE;

	do {
		if ((int64_t)(__atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE) - begun) >= 0)
			return true;
	} while (npf_look_again(&tries));
	return false;
}

bool npf_stream_settled(const struct npf_ring_view *view)
{
	for (uint32_t i = 0; i < view->geometry.n_cpus; i++) {
		if (!settled(&view->cpus[i]))
			return false;
	}
	return true;
}

bool npf_stream_skip(const struct npf_ring_view *view, const struct npf_stream_mark *end,
		     uint64_t skip)
{
	uint64_t cursor = encode(end);

	return __atomic_compare_exchange_n(&view->control->stream.cursor, &cursor, cursor + skip,
					   false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* A tap that saw the stream open makes its step from the cursor that it saw before that: it fails,
 * or was made before ours. */
struct npf_stream_mark npf_stream_close(const struct npf_ring_view *view, uint64_t from)
{
	struct npf_stream *stream = &view->control->stream;

	__atomic_store_n(&stream->open, 0, __ATOMIC_SEQ_CST);
	return decode(__atomic_fetch_add(&stream->cursor, NPF_STREAM_ALIGN, __ATOMIC_SEQ_CST), from);
}

const uint8_t *npf_stream_at(const struct npf_ring_view *view, uint64_t position, size_t *n)
{
	uint64_t place = position & (view->geometry.stream_size - 1);
	uint64_t region = place / view->region_size;

	place %= view->region_size;
	*n = view->region_size - place;
	return view->chunks + region * view->region_stride + place;
}

void npf_stream_copy(const struct npf_ring_view *view, uint64_t position, void *to, size_t n)
{
	uint8_t *at = to;

	while (n) {
		size_t row;
		const uint8_t *from = npf_stream_at(view, position, &row);

		if (row > n)
			row = n;
		memcpy(at, from, row);
		at += row;
		position += row;
		n -= row;
	}
}
