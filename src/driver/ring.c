/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader's side of the circular buffer: cutting it, following the chains, merging them in
 * order of arrival, giving chunks back, reading the counters.
 */
#include "driver/ring.h"

#define SMALLEST_CHUNK 4096u
#define ORDINARY_CHUNK (64u << 10) /* few of them in use stay in a CPU's cache */
#define ORDINARY_FRAME 1518u
#define MOST_BYTES     (1u << 30)

/* How long to wait for a CPU that is inside the tap. It leaves within a microsecond unless its
 * (virtual) processor was taken away, which lasts some milliseconds, on a crowded machine a hundred;
 * after this many looks, a fifth of a second, delivery goes before order. */
#define PATIENCE (1u << 22)

static uint32_t power_of_two_above(uint32_t n)
{
	uint32_t power = SMALLEST_CHUNK;

	while (power < n)
		power <<= 1;
	return power;
}

bool npf_ring_cut(struct npf_ring_geometry *geometry, uint32_t bytes, uint32_t n_cpus,
		  uint32_t max_frame)
{
	if (bytes > MOST_BYTES || max_frame > MOST_BYTES / 2)
		return false;

	uint32_t ordinary = max_frame < ORDINARY_FRAME ? max_frame : ORDINARY_FRAME;
	uint32_t wanted = bytes / 16 < ORDINARY_CHUNK ? bytes / 16 : ORDINARY_CHUNK;

	/* Larger where one record needs it, or a large buffer. */
	if (wanted < bytes / (NPF_MAX_CHUNKS / 2))
		wanted = bytes / (NPF_MAX_CHUNKS / 2);

	uint32_t record = NPF_CHUNK_HEADER + NPF_RECORD_SIZE(max_frame);
	uint32_t size = power_of_two_above(wanted > record ? wanted : record);
	/* A record that does not fit leaves the end of a chunk unused. */
	uint32_t usable = size - NPF_CHUNK_HEADER - NPF_RECORD_SIZE(ordinary) + 8;
	uint32_t n = bytes ? (bytes + usable - 1) / usable + n_cpus : 0;

	if (n > NPF_MAX_CHUNKS)
		return false;
	*geometry = (struct npf_ring_geometry){
		.chunk_size = size,
		.n_chunks = n,
		.n_cpus = n_cpus,
	};
	return true;
}

void npf_ring_fill_pool(const struct npf_ring_geometry *geometry, struct npf_control *control)
{
	for (uint32_t id = 1; id <= geometry->n_chunks; id++)
		control->pool_next[id] = id < geometry->n_chunks ? id + 1 : 0;
	control->pool = geometry->n_chunks ? 1 : 0;
}

const struct npf_chunk *npf_ring_chunk(const struct npf_ring_view *view, uint32_t id)
{
	uint32_t n = id - 1;
	const uint8_t *at = view->chunks + n / view->chunks_per_region * view->region_stride +
			    (size_t)(n % view->chunks_per_region) * view->geometry.chunk_size;

	return (const struct npf_chunk *)at;
}

static void give(struct npf_control *control, uint32_t id)
{
	uint64_t head = __atomic_load_n(&control->pool, __ATOMIC_RELAXED);
	uint64_t new;

	do {
		__atomic_store_n(&control->pool_next[id], (uint32_t)head, __ATOMIC_RELAXED);
		new = ((head >> 32) + 1) << 32 | id;
	} while (!__atomic_compare_exchange_n(&control->pool, &head, new, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
}

/* ---- counters ------------------------------------------------------------------------------ */

static void add_cpu(struct npf_ring_totals *totals, const struct npf_cpu *cpu)
{
	struct npf_ring_totals one = { 0 };
	uint64_t done, begun;
	uint32_t tries = PATIENCE;

	do {
		done = __atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE);
		one.received = __atomic_load_n(&cpu->received, __ATOMIC_RELAXED);
		one.captured = __atomic_load_n(&cpu->captured, __ATOMIC_RELAXED);
		one.bytes = __atomic_load_n(&cpu->bytes, __ATOMIC_RELAXED);
		for (uint32_t i = 0; i < NPF_TAP_DROPS; i++)
			one.dropped[i] = __atomic_load_n(&cpu->dropped[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		begun = __atomic_load_n(&cpu->begun, __ATOMIC_RELAXED);
	} while (begun != done && npf_look_again(&tries));

	totals->received += one.received;
	totals->captured += one.captured;
	totals->bytes += one.bytes;
	totals->reentered += __atomic_load_n(&cpu->reentered, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < NPF_TAP_DROPS; i++)
		totals->dropped[i] += one.dropped[i];
}

void npf_ring_totals(const struct npf_ring_view *view, struct npf_ring_totals *totals)
{
	*totals = (struct npf_ring_totals){ 0 };
	for (uint32_t i = 0; i < view->geometry.n_cpus; i++)
		add_cpu(totals, &view->cpus[i]);
}

static struct npf_class_counters read_class(const struct npf_cpu *cpu, uint32_t number)
{
	const struct npf_class_counters *from = &cpu->classes[number];
	struct npf_class_counters one;
	uint64_t done, begun;
	uint32_t tries = PATIENCE;

	do {
		done = __atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE);
		one.packets = __atomic_load_n(&from->packets, __ATOMIC_RELAXED);
		one.bytes = __atomic_load_n(&from->bytes, __ATOMIC_RELAXED);
		one.line_bytes = __atomic_load_n(&from->line_bytes, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		begun = __atomic_load_n(&cpu->begun, __ATOMIC_RELAXED);
	} while (begun != done && npf_look_again(&tries));
	return one;
}

void npf_ring_class_totals(const struct npf_ring_view *view, struct npf_class_counters *counters,
			   uint32_t n)
{
	for (uint32_t number = 0; number < n; number++) {
		struct npf_class_counters *sum = &counters[number];

		*sum = (struct npf_class_counters){ 0 };
		for (uint32_t i = 0; i < view->geometry.n_cpus; i++) {
			struct npf_class_counters one = read_class(&view->cpus[i], number);

			sum->packets += one.packets;
			sum->bytes += one.bytes;
			sum->line_bytes += one.line_bytes;
		}
	}
}

/* ---- reading ------------------------------------------------------------------------------- */

void npf_ring_reader_init(struct npf_ring_reader *reader, const struct npf_ring_view *view,
			  struct npf_ring_cursor *cursors)
{
	*reader = (struct npf_ring_reader){ .view = view, .cursors = cursors };
	for (uint32_t i = 0; i < view->geometry.n_cpus; i++)
		cursors[i] = (struct npf_ring_cursor){ 0 };
}

uint64_t npf_ring_pending(const struct npf_ring_reader *reader)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < reader->view->geometry.n_cpus; i++)
		bytes += __atomic_load_n(&reader->view->cpus[i].bytes, __ATOMIC_ACQUIRE);
	return bytes - reader->consumed;
}

/* Bytes that this CPU published and did not count for a wish: looked at while its tap is not inside.
 * Where it never leaves, none count as counted. */
static uint64_t uncounted(const struct npf_cpu *cpu, uint32_t arm)
{
	uint64_t done, begun, bytes, since;
	uint32_t tries = PATIENCE, armed;

	do {
		done = __atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE);
		bytes = __atomic_load_n(&cpu->bytes, __ATOMIC_RELAXED);
		armed = __atomic_load_n(&cpu->armed, __ATOMIC_RELAXED);
		since = __atomic_load_n(&cpu->since, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		begun = __atomic_load_n(&cpu->begun, __ATOMIC_RELAXED);
	} while (begun != done && npf_look_again(&tries));

	return armed == arm && begun == done ? bytes - since : bytes;
}

uint64_t npf_ring_uncounted(const struct npf_ring_reader *reader, uint32_t arm)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < reader->view->geometry.n_cpus; i++)
		bytes += uncounted(&reader->view->cpus[i], arm);
	return bytes - reader->consumed;
}

/* Wait until the frame that this CPU's tap works on, if any, is complete. */
static void settle(const struct npf_cpu *cpu)
{
	uint64_t begun = __atomic_load_n(&cpu->begun, __ATOMIC_ACQUIRE);
	uint32_t tries = PATIENCE;

	while ((int64_t)(__atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE) - begun) < 0 &&
	       npf_look_again(&tries))
		;
}

static void enter_chunk(const struct npf_ring_view *view, struct npf_ring_cursor *cursor,
			uint32_t id)
{
	cursor->chunk = id;
	cursor->base = (const uint8_t *)npf_ring_chunk(view, id);
	cursor->offset = NPF_CHUNK_HEADER;
	cursor->end = NPF_CHUNK_HEADER;
}

/* Learn of more in this chunk, or step into the chain's next. false: nothing more. */
static bool extend(const struct npf_ring_view *view, struct npf_ring_cursor *cursor)
{
	for (;;) {
		const struct npf_chunk *chunk = (const void *)cursor->base;
		uint64_t state = __atomic_load_n(&chunk->state, __ATOMIC_ACQUIRE);

		cursor->end = NPF_CHUNK_END(state);
		if (cursor->offset < cursor->end)
			return true;
		if (!(state & NPF_CHUNK_SEALED))
			return false;
		enter_chunk(view, cursor, NPF_CHUNK_NEXT(state));
	}
}

static const struct npf_record *record_at(const struct npf_ring_cursor *cursor)
{
	return (const void *)(cursor->base + cursor->offset);
}

/* Is there a record left in this batch? Then its time is noted for the merge. */
static inline bool has_record(const struct npf_ring_reader *reader, struct npf_ring_cursor *cursor)
{
	if (cursor->offset >= cursor->end && !extend(reader->view, cursor))
		return false;
	cursor->time = record_at(cursor)->time;
	return cursor->time <= reader->horizon;
}

/* The same for a chain that may not have begun. */
static bool chain_has_record(const struct npf_ring_reader *reader, uint32_t cpu)
{
	struct npf_ring_cursor *cursor = &reader->cursors[cpu];

	if (!cursor->chunk) {
		uint32_t first = __atomic_load_n(&reader->view->cpus[cpu].first, __ATOMIC_ACQUIRE);

		if (!first)
			return false;
		enter_chunk(reader->view, cursor, first);
		cursor->released = first;
	}
	return has_record(reader, cursor);
}

static void find_nearest(struct npf_ring_reader *reader)
{
	struct npf_ring_cursor *cursors = reader->cursors;
	uint32_t best = 0;

	for (uint32_t i = 1; i < reader->n_active; i++) {
		if (cursors[cursors[i].active].time < cursors[cursors[best].active].time)
			best = i;
	}
	reader->entry = best;
	reader->nearest = reader->n_active ? &cursors[cursors[best].active] : NULL;
}

void npf_ring_begin(struct npf_ring_reader *reader, uint64_t horizon)
{
	const struct npf_ring_view *view = reader->view;

	reader->horizon = horizon;
	reader->n_active = 0;
	/* A tap enters (begun) before it reads the clock, and by now its entry is visible: one that
	 * is not inside after this barrier stamps later than the horizon. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < view->geometry.n_cpus; i++)
		settle(&view->cpus[i]);
	for (uint32_t i = 0; i < view->geometry.n_cpus; i++) {
		if (chain_has_record(reader, i))
			reader->cursors[reader->n_active++].active = i;
	}
	find_nearest(reader);
}

void npf_ring_turn(struct npf_ring_reader *reader)
{
	if (!has_record(reader, reader->nearest)) {
		reader->n_active--;
		reader->cursors[reader->entry].active = reader->cursors[reader->n_active].active;
	}
	find_nearest(reader);
}

void npf_ring_end(struct npf_ring_reader *reader)
{
	const struct npf_ring_view *view = reader->view;

	for (uint32_t i = 0; i < view->geometry.n_cpus && !reader->holds; i++) {
		struct npf_ring_cursor *cursor = &reader->cursors[i];

		while (cursor->released != cursor->chunk) {
			uint32_t id = cursor->released;

			cursor->released = NPF_CHUNK_NEXT(npf_ring_chunk(view, id)->state);
			give(view->control, id);
		}
	}
	reader->n_active = 0;
	reader->nearest = NULL;
}

uint64_t npf_ring_oldest(struct npf_ring_reader *reader, uint64_t horizon)
{
	const struct npf_record *first;

	if (reader->oldest && reader->looked == reader->consumed)
		return reader->oldest;
	npf_ring_begin(reader, horizon);
	first = npf_ring_peek(reader);
	reader->oldest = first ? first->time : 0;
	reader->looked = reader->consumed;
	npf_ring_end(reader);
	return reader->oldest;
}
