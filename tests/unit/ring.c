/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The circular buffer: what the user space tap wrote, seen through the ring's reader. Order,
 * exact use of the room, exact counting, and a tap that survives a reader that lies.
 */
#include "lib/check.h"

#include "driver/tap_user.h"
#include "host/sim/sim.h"

#define MAX_CPUS 8

struct ring {
	struct npf_host *host;
	struct npf_user_tap tap;
	struct npf_ring_view view;
	struct npf_ring_reader reader;
	struct npf_ring_cursor cursors[MAX_CPUS];
	uint64_t now;
	uint32_t wakes;
	uint32_t failures; /* of the next wake-ups */
	uint32_t timers;
	uint64_t timeout;
};

static int count_wake(void *arg)
{
	struct ring *ring = arg;

	if (ring->failures) {
		ring->failures--;
		return -1;
	}
	ring->wakes++;
	return 0;
}

static void count_timer(void *arg, uint64_t ns)
{
	struct ring *ring = arg;

	ring->timers++;
	ring->timeout = ns;
}

static const struct npf_user_tap_host counters = { .wake = count_wake, .start_timer = count_timer };

static void ring_init(struct ring *ring, uint32_t bytes, uint32_t n_cpus, uint32_t max_frame)
{
	struct npf_ring_geometry geometry;

	*ring = (struct ring){ .host = npf_host_sim(n_cpus) };
	npf_user_tap_init(&ring->tap, ring->host, &counters, ring);
	assert_true(npf_ring_cut(&geometry, bytes, n_cpus, max_frame));
	assert_int_equal(npf_user_tap_set_ring(&ring->tap, &geometry, &ring->view), 0);
	npf_ring_reader_init(&ring->reader, &ring->view, ring->cursors);
	ring->tap.control->config.accept_types = ~0u;
}

static void ring_fini(struct ring *ring)
{
	npf_user_tap_fini(&ring->tap);
	assert_int_equal(npf_sim_memory(ring->host), 0);
	npf_host_sim_free(ring->host);
}

/* Frame number seq, a nanosecond after the one before. */
static void put(struct ring *ring, uint32_t cpu, uint32_t length, uint32_t seq)
{
	uint8_t *data = malloc(length ? length : 1);
	struct npf_frame frame = { .length = length, .wire_length = length };

	frame_fill(data, length, seq);
	npf_user_tap_deliver(&ring->tap, &frame, data, ++ring->now, cpu, 0);
	free(data);
}

static struct npf_ring_totals totals(const struct ring *ring)
{
	struct npf_ring_totals sum;

	npf_ring_totals(&ring->view, &sum);
	return sum;
}

/* Frames seq, seq + 1, ... of one length until the first drop; how many were stored. */
static uint32_t fill(struct ring *ring, uint32_t cpu, uint32_t length, uint32_t seq)
{
	uint64_t dropped = totals(ring).dropped[NPF_DROP_FULL];
	uint32_t n = 0;

	for (;; n++) {
		put(ring, cpu, length, seq + n);
		if (totals(ring).dropped[NPF_DROP_FULL] != dropped)
			return n;
	}
}

/* The whole batch up to now must be frames seq, seq + 1, ...; how many there were. */
static uint32_t drain(struct ring *ring, uint32_t length, uint32_t seq)
{
	const struct npf_record *record;
	uint32_t n = 0;

	npf_ring_begin(&ring->reader, ring->now);
	while ((record = npf_ring_next(&ring->reader))) {
		const uint8_t *data = (const uint8_t *)record + NPF_RECORD_HEADER;

		assert_int_equal((uintptr_t)record % 8, 0);
		assert_int_equal(record->caplen, length);
		assert_int_equal(record->length, length);
		assert_int_equal(record->size, NPF_RECORD_SIZE(length));
		assert_true(frame_is(data, length, seq + n));
		for (uint32_t i = NPF_RECORD_HEADER + length; i < record->size; i++)
			assert_int_equal(((const uint8_t *)record)[i], 0);
		n++;
	}
	npf_ring_end(&ring->reader);
	return n;
}

static uint32_t free_chunks(const struct ring *ring)
{
	const struct npf_control *control = ring->tap.control;
	uint32_t n = 0;

	for (uint32_t id = (uint32_t)control->pool; id; id = control->pool_next[id]) {
		assert_true(id <= ring->view.geometry.n_chunks);
		n++;
	}
	return n;
}

/* ---- room ---------------------------------------------------------------------------------- */

static void all_sizes_fill_and_drain_keep_free_exact(void **state)
{
	struct ring ring;
	uint32_t seq = 0;
	uint32_t dropped = 0;

	(void)state;
	ring_init(&ring, 32768, 1, 1514);
	for (uint32_t length = 1; length <= 1514; length++) {
		uint32_t n = fill(&ring, 0, length, seq);

		dropped++;
		assert_true(n > 0);
		assert_int_equal(npf_ring_pending(&ring.reader),
				 (uint64_t)n * NPF_RECORD_SIZE(length));
		assert_int_equal(drain(&ring, length, seq), n);
		assert_int_equal(npf_ring_pending(&ring.reader), 0);
		/* All but the one being written. */
		assert_int_equal(free_chunks(&ring), ring.view.geometry.n_chunks - 1);
		seq += n;
	}
	assert_int_equal(totals(&ring).captured, seq);
	assert_int_equal(totals(&ring).dropped[NPF_DROP_FULL], dropped);
	assert_int_equal(totals(&ring).received, seq + dropped);
	ring_fini(&ring);
}

static void one_busy_cpu_uses_the_whole_buffer(void **state)
{
	static const uint32_t sizes[] = { 65536, 1000000, 4 << 20 };
	static const uint32_t lengths[] = { 60, 594, 1514 };
	struct ring ring;

	(void)state;
	for (size_t i = 0; i < N_OF(sizes) * N_OF(lengths); i++) {
		uint32_t size = sizes[i / N_OF(lengths)];
		uint32_t length = lengths[i % N_OF(lengths)];

		ring_init(&ring, size, MAX_CPUS, 1518);
		for (uint32_t cpu = 1; cpu < MAX_CPUS; cpu++)
			put(&ring, cpu, length, 0);

		uint64_t stored = (uint64_t)fill(&ring, 0, length, 0) * NPF_RECORD_SIZE(length);

		assert_true(stored >= size / 10 * 9);
		ring_fini(&ring);
	}
}

static void full_ring_drops_the_newest_and_counts_exactly(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);

	uint32_t n = fill(&ring, 0, 1000, 0);

	for (uint32_t i = 0; i < 41; i++)
		put(&ring, 0, 1000, 100000 + i);
	assert_int_equal(totals(&ring).dropped[NPF_DROP_FULL], 42);
	assert_int_equal(totals(&ring).captured, n);
	assert_int_equal(drain(&ring, 1000, 0), n);
	put(&ring, 0, 1000, 7);
	assert_int_equal(drain(&ring, 1000, 7), 1);
	assert_int_equal(totals(&ring).dropped[NPF_DROP_FULL], 42);
	ring_fini(&ring);
}

static void no_buffer_drops_by_its_own_reason(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 0, 2, 1514);
	assert_int_equal(ring.view.geometry.n_chunks, 0);
	put(&ring, 0, 60, 0);
	put(&ring, 1, 60, 1);
	assert_int_equal(totals(&ring).received, 2);
	assert_int_equal(totals(&ring).dropped[NPF_DROP_NO_BUFFER], 2);
	assert_int_equal(drain(&ring, 60, 0), 0);
	ring_fini(&ring);
}

static void record_beyond_a_chunk_is_cut_and_stalls_nothing(void **state)
{
	const struct npf_record *record;
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 1, 1514);

	uint32_t most = ring.view.geometry.chunk_size - NPF_CHUNK_HEADER - NPF_RECORD_HEADER;

	put(&ring, 0, 60, 0);
	put(&ring, 0, 70000, 1);
	put(&ring, 0, most, 2);
	put(&ring, 0, 60, 3);

	npf_ring_begin(&ring.reader, ring.now);
	assert_int_equal(npf_ring_next(&ring.reader)->caplen, 60);
	record = npf_ring_next(&ring.reader);
	assert_int_equal(record->caplen, most);
	assert_int_equal(record->length, 70000);
	assert_true(record->flags & NPF_PACKET_CUT);
	assert_true(frame_is((const uint8_t *)record + NPF_RECORD_HEADER, most, 1));
	record = npf_ring_next(&ring.reader);
	assert_int_equal(record->caplen, most);
	assert_false(record->flags & NPF_PACKET_CUT);
	assert_int_equal(npf_ring_next(&ring.reader)->caplen, 60);
	assert_null(npf_ring_next(&ring.reader));
	npf_ring_end(&ring.reader);
	ring_fini(&ring);
}

static void cut_refuses_what_does_not_fit(void **state)
{
	struct npf_ring_geometry geometry;

	(void)state;
	assert_false(npf_ring_cut(&geometry, NPF_MAX_BUFFER + 1, 1, 1514));
	assert_false(npf_ring_cut(&geometry, UINT32_MAX, 1, 1514));
	assert_false(npf_ring_cut(&geometry, 1000000, 1, UINT32_MAX));
	assert_true(npf_ring_cut(&geometry, NPF_MAX_BUFFER, 64, 1514));
	assert_true(npf_ring_cut(&geometry, 1, 1, 1514));
	assert_true(geometry.n_chunks > 0);
}

static void padding_is_zero_in_used_memory(void **state)
{
	struct ring ring;
	uint32_t seq = 0;

	(void)state;
	ring_init(&ring, 16384, 1, 1514);
	for (uint32_t length = 0; length <= 64; length++) {
		/* Only free chunks: the head of one that is in use belongs to the tap. */
		for (uint32_t id = (uint32_t)ring.tap.control->pool; id;
		     id = ring.tap.control->pool_next[id])
			memset((void *)npf_ring_chunk(&ring.view, id), 0xFF,
			       ring.view.geometry.chunk_size);

		uint32_t n = fill(&ring, 0, length, seq);

		assert_int_equal(drain(&ring, length, seq), n);
		seq += n;
	}
	ring_fini(&ring);
}

/* ---- order --------------------------------------------------------------------------------- */

static uint32_t random_below(uint32_t *state, uint32_t limit)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)*state * limit >> 32);
}

static void order_is_that_of_arrival_over_cpus(void **state)
{
	struct ring ring;
	uint32_t dice = 1;
	uint32_t sent = 0;
	uint32_t got = 0;

	(void)state;
	ring_init(&ring, 262144, MAX_CPUS, 1514);
	for (int round = 0; round < 200; round++) {
		uint32_t n = random_below(&dice, 200);

		while (n--)
			put(&ring, random_below(&dice, MAX_CPUS), 300, sent++);
		got += drain(&ring, 300, got);
		assert_int_equal(got, sent);
	}
	assert_int_equal(totals(&ring).dropped[NPF_DROP_FULL], 0);
	ring_fini(&ring);
}

static void batch_ends_at_its_horizon(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);
	for (uint32_t seq = 0; seq < 10; seq++)
		put(&ring, seq % 2, 100, seq);

	npf_ring_begin(&ring.reader, 4);
	for (uint32_t seq = 0; seq < 4; seq++) {
		assert_ptr_equal(npf_ring_peek(&ring.reader), npf_ring_peek(&ring.reader));
		assert_int_equal(npf_ring_peek(&ring.reader)->time, seq + 1);
		assert_int_equal(npf_ring_next(&ring.reader)->time, seq + 1);
	}
	assert_null(npf_ring_peek(&ring.reader));
	assert_null(npf_ring_next(&ring.reader));
	npf_ring_end(&ring.reader);
	assert_int_equal(npf_ring_pending(&ring.reader), 6 * NPF_RECORD_SIZE(100));
	assert_int_equal(drain(&ring, 100, 4), 6);
	ring_fini(&ring);
}

static void what_was_not_walked_stays(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);
	for (uint32_t seq = 0; seq < 20; seq++)
		put(&ring, seq % 2, 1400, seq);
	npf_ring_begin(&ring.reader, ring.now);
	for (uint32_t seq = 0; seq < 7; seq++)
		npf_ring_next(&ring.reader);
	npf_ring_end(&ring.reader);
	assert_int_equal(drain(&ring, 1400, 7), 13);
	ring_fini(&ring);
}

/* ---- a reader that lies -------------------------------------------------------------------- */

static void flood(struct ring *ring)
{
	for (uint32_t i = 0; i < 600; i++)
		put(ring, i % 3, 1 + i * 2, i);
}

static void hostile_pool_never_breaks_the_tap(void **state)
{
	static const uint32_t tops[] = {
		0,          1,          2,         5, 100, NPF_MAX_CHUNKS, NPF_MAX_CHUNKS + 1,
		0x7FFFFFFF, 0x80000000, UINT32_MAX
	};
	struct ring ring;

	(void)state;
	for (size_t i = 0; i < N_OF(tops) * N_OF(tops); i++) {
		ring_init(&ring, 32768, 3, 1514);
		put(&ring, 0, 60, 0);
		ring.tap.control->pool = ~0ull << 32 | tops[i / N_OF(tops)];
		for (uint32_t id = 0; id <= NPF_MAX_CHUNKS; id++)
			ring.tap.control->pool_next[id] = tops[i % N_OF(tops)];
		flood(&ring);

		struct npf_ring_totals sum = totals(&ring);

		assert_int_equal(sum.received, 601);
		/* Whether there ever was a buffer is the pool's word, too. */
		assert_int_equal(sum.captured + sum.dropped[NPF_DROP_FULL] +
					 sum.dropped[NPF_DROP_NO_BUFFER],
				 601);
		ring_fini(&ring);
	}
}

static void hostile_waiter_never_breaks_the_tap(void **state)
{
	static const uint32_t needs[] = { 0, 1, 7, 8, 0x80000000, UINT32_MAX };
	struct ring ring;

	(void)state;
	for (size_t i = 0; i < N_OF(needs) * N_OF(needs); i++) {
		ring_init(&ring, 32768, 3, 1514);
		for (uint32_t round = 0; round < 20; round++) {
			ring.tap.control->waiter.arm = needs[i / N_OF(needs)] + round;
			ring.tap.control->waiter.need = needs[i % N_OF(needs)];
			ring.tap.control->waiter.timeout = UINT64_MAX - round;
			ring.tap.control->signal.share = UINT64_MAX << round;
			flood(&ring);
		}
		assert_int_equal(totals(&ring).received, 20 * 600);
		ring_fini(&ring);
	}
}

static void cpu_out_of_range_is_ignored(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 32768, 2, 1514);
	put(&ring, 2, 60, 0);
	put(&ring, UINT32_MAX, 60, 0);
	assert_int_equal(totals(&ring).received, 0);
	ring_fini(&ring);
}

/* ---- waking -------------------------------------------------------------------------------- */

static void arm(struct ring *ring, uint32_t need, uint64_t timeout)
{
	ring->tap.control->waiter.need = need;
	ring->tap.control->waiter.timeout = timeout;
	ring->tap.control->waiter.arm++;
}

static void wake_comes_with_the_byte_that_fulfils_the_wish(void **state)
{
	static const uint32_t needs[] = { 1, 84, 88, 89, 1000, 8800, 8801, 20000 };
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 1, 1514);
	for (size_t i = 0; i < N_OF(needs); i++) {
		uint64_t stored = 0;

		arm(&ring, needs[i], 0);
		ring.wakes = 0;
		for (uint32_t seq = 0; seq < 300; seq++) {
			put(&ring, 0, 60, seq);
			stored += NPF_RECORD_SIZE(60);
			assert_int_equal(ring.wakes, stored >= needs[i]);
		}
		assert_int_equal(drain(&ring, 60, 0), 300);
	}
	assert_int_equal(ring.timers, 0);
	ring_fini(&ring);
}

static void what_no_wish_has_counted_is_told(void **state)
{
	const uint64_t size = NPF_RECORD_SIZE(60);
	struct ring ring;
	uint32_t wish;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);
	put(&ring, 0, 60, 0);
	put(&ring, 1, 60, 1);
	assert_int_equal(npf_ring_uncounted(&ring.reader, 1), 2 * size);
	arm(&ring, 100000, 0);
	wish = ring.tap.control->waiter.arm;
	assert_int_equal(npf_ring_uncounted(&ring.reader, wish), 2 * size);
	put(&ring, 0, 60, 2);
	put(&ring, 0, 60, 3);
	assert_int_equal(npf_ring_pending(&ring.reader), 4 * size);
	assert_int_equal(npf_ring_uncounted(&ring.reader, wish), 2 * size);
	/* Of another wish, nothing was counted. */
	assert_int_equal(npf_ring_uncounted(&ring.reader, wish + 1), 4 * size);
	/* A CPU that does not leave the tap may be about to count. */
	((struct npf_cpu *)ring.view.cpus)[0].begun++;
	assert_int_equal(npf_ring_uncounted(&ring.reader, wish), 4 * size);
	((struct npf_cpu *)ring.view.cpus)[0].begun--;
	assert_int_equal(drain(&ring, 60, 0), 4);
	put(&ring, 1, 60, 4);
	assert_int_equal(npf_ring_uncounted(&ring.reader, wish + 1), size);
	ring_fini(&ring);
}

static void the_oldest_record_is_known(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);
	assert_int_equal(npf_ring_oldest(&ring.reader, ring.now), 0);
	put(&ring, 1, 60, 0);
	assert_int_equal(npf_ring_oldest(&ring.reader, ring.now - 1), 0);
	assert_int_equal(npf_ring_oldest(&ring.reader, ring.now), 1);
	put(&ring, 0, 60, 1);
	assert_int_equal(npf_ring_oldest(&ring.reader, ring.now), 1);
	npf_ring_begin(&ring.reader, ring.now);
	assert_int_equal(npf_ring_next(&ring.reader)->time, 1);
	npf_ring_end(&ring.reader);
	assert_int_equal(npf_ring_oldest(&ring.reader, ring.now), 2);
	assert_int_equal(drain(&ring, 60, 1), 1);
	assert_int_equal(npf_ring_oldest(&ring.reader, ring.now), 0);
	ring_fini(&ring);
}

static void without_a_wish_nobody_is_woken(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);
	flood(&ring);
	assert_int_equal(ring.wakes, 0);
	assert_int_equal(ring.timers, 0);
	ring_fini(&ring);
}

static void flush_timer_starts_once_at_the_first_packet(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 2, 1514);
	for (uint32_t round = 1; round <= 3; round++) {
		arm(&ring, 1 << 20, 5000);
		assert_int_equal(ring.timers, round - 1);
		for (uint32_t seq = 0; seq < 10; seq++) {
			put(&ring, seq % 2, 60, seq);
			assert_int_equal(ring.timers, round);
		}
		assert_int_equal(ring.timeout, 5000);
	}
	assert_int_equal(ring.wakes, 0);
	ring_fini(&ring);
}

static void failed_wake_up_is_tried_again(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 1, 1518);
	arm(&ring, 1, 0);
	ring.failures = 2;
	put(&ring, 0, 60, 1);
	assert_int_equal(ring.wakes, 0);
	assert_int_not_equal(ring.tap.control->signal.fired, ring.tap.control->waiter.arm);
	/* No packet may follow: the timer is the one that tries next, though none was wished. */
	assert_int_equal(ring.timers, 1);
	assert_int_equal(ring.tap.control->signal.timed, ring.tap.control->waiter.arm);
	/* And so again, its own start being no hindrance. */
	put(&ring, 0, 60, 2);
	assert_int_equal(ring.wakes, 0);
	assert_int_equal(ring.timers, 2);
	put(&ring, 0, 60, 3);
	assert_int_equal(ring.wakes, 1);
	put(&ring, 0, 60, 4);
	assert_int_equal(ring.wakes, 1);
	assert_int_equal(ring.timers, 2);
	ring_fini(&ring);
}

/* The timer of the wish is running, and may be far: it is brought forward. */
static void failed_wake_up_does_not_wait_for_the_timeout(void **state)
{
	struct ring ring;

	(void)state;
	ring_init(&ring, 65536, 1, 1518);
	arm(&ring, NPF_RECORD_SIZE(60) + 1, UINT64_MAX);
	put(&ring, 0, 60, 1);
	assert_int_equal(ring.timers, 1);
	assert_int_equal(ring.timeout, UINT64_MAX);
	ring.failures = 1;
	put(&ring, 0, 60, 2);
	assert_int_equal(ring.wakes, 0);
	assert_int_equal(ring.timers, 2);
	assert_true(ring.timeout < UINT64_MAX);
	ring_fini(&ring);
}

/* CPUs that stop for good anywhere included: with the packet that fulfils the wish, of whatever CPU. */
static void several_cpus_wake_with_the_byte_that_fulfils(void **state)
{
	static const uint32_t needs[] = { 1, 89, 1000, 16000, 100000, 200000 };
	uint32_t random = 1;
	struct ring ring;

	(void)state;
	ring_init(&ring, 1 << 20, MAX_CPUS, 1514);
	for (uint32_t round = 0; round < 400; round++) {
		uint32_t need = needs[round % N_OF(needs)], busy = 0;

		arm(&ring, need, 0);
		ring.wakes = 0;
		while (!ring.wakes) {
			uint64_t before = npf_ring_pending(&ring.reader);

			random = random * 1103515245 + 12345;
			if (random >> 16 & 31)
				busy = busy < MAX_CPUS ? busy : 0;
			else
				busy = random >> 24 & (MAX_CPUS - 1);
			put(&ring, round % 2 ? busy : random >> 24 & round & 7, 60 + (random >> 28),
			    0);
			assert_int_equal(ring.wakes, npf_ring_pending(&ring.reader) >= need);
			assert_true(before < need);
		}
		npf_ring_begin(&ring.reader, ring.now);
		while (npf_ring_next(&ring.reader))
			;
		npf_ring_end(&ring.reader);
	}
	ring_fini(&ring);
}

/* The reader may find that some came before the wish was seen, and needs less. */
static void a_wish_that_shrinks_is_seen(void **state)
{
	const uint32_t size = NPF_RECORD_SIZE(60);
	struct ring ring;

	(void)state;
	ring_init(&ring, 262144, 2, 1514);
	arm(&ring, 1000 * size, 0);
	put(&ring, 0, 60, 0);
	put(&ring, 1, 60, 1);
	ring.tap.control->waiter.need = 4 * size;
	put(&ring, 0, 60, 2);
	assert_int_equal(ring.wakes, 0);
	put(&ring, 1, 60, 3);
	assert_int_equal(ring.wakes, 1);
	ring_fini(&ring);
}

/* Looks are few, however the packets fall. */
static void looks_at_other_cpus_are_rare(void **state)
{
	struct ring ring;
	uint64_t share = 0;
	uint32_t looks = 0;

	(void)state;
	ring_init(&ring, 1 << 21, 2, 1514);
	arm(&ring, 1 << 20, 0);
	for (uint32_t seq = 0; !ring.wakes; seq++) {
		put(&ring, seq % 8 == 0, 60, seq);
		looks += ring.tap.control->signal.share != share;
		share = ring.tap.control->signal.share;
	}
	/* Of 12,000 packets; the last 4 KiB are looked at one by one. */
	assert_in_range(looks, 1, 2 * 2048 / NPF_RECORD_SIZE(60) + 60);
	ring_fini(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_sizes_fill_and_drain_keep_free_exact),
		cmocka_unit_test(one_busy_cpu_uses_the_whole_buffer),
		cmocka_unit_test(full_ring_drops_the_newest_and_counts_exactly),
		cmocka_unit_test(no_buffer_drops_by_its_own_reason),
		cmocka_unit_test(record_beyond_a_chunk_is_cut_and_stalls_nothing),
		cmocka_unit_test(cut_refuses_what_does_not_fit),
		cmocka_unit_test(padding_is_zero_in_used_memory),
		cmocka_unit_test(order_is_that_of_arrival_over_cpus),
		cmocka_unit_test(batch_ends_at_its_horizon),
		cmocka_unit_test(what_was_not_walked_stays),
		cmocka_unit_test(hostile_pool_never_breaks_the_tap),
		cmocka_unit_test(hostile_waiter_never_breaks_the_tap),
		cmocka_unit_test(cpu_out_of_range_is_ignored),
		cmocka_unit_test(wake_comes_with_the_byte_that_fulfils_the_wish),
		cmocka_unit_test(what_no_wish_has_counted_is_told),
		cmocka_unit_test(the_oldest_record_is_known),
		cmocka_unit_test(without_a_wish_nobody_is_woken),
		cmocka_unit_test(flush_timer_starts_once_at_the_first_packet),
		cmocka_unit_test(failed_wake_up_is_tried_again),
		cmocka_unit_test(failed_wake_up_does_not_wait_for_the_timeout),
		cmocka_unit_test(several_cpus_wake_with_the_byte_that_fulfils),
		cmocka_unit_test(a_wish_that_shrinks_is_seen),
		cmocka_unit_test(looks_at_other_cpus_are_rare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
