/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream of dump mode, tap and writer's side, without a driver: its cut, its cursor at the ends
 * of its numbers, the seam, closing under fire, and threads that store while one looks.
 */
#include "lib/savefile.h"

#include <pthread.h>

#include "driver/dump.h"
#include "driver/tap_user.h"
#include "host/sim/sim.h"

#define N_CPUS    4u
#define MAX_FRAME 1518u

struct stream {
	struct npf_host *host;
	struct npf_user_tap tap;
	struct npf_ring_view view;
};

static int no_wake(void *arg)
{
	(void)arg;
	return 0;
}

static void no_timer(void *arg, uint64_t ns)
{
	(void)arg, (void)ns;
}

static const struct npf_user_tap_host tap_host = { .wake = no_wake, .start_timer = no_timer };

static void stream_init(struct stream *stream, uint32_t bytes, uint32_t format)
{
	struct npf_ring_geometry geometry;

	*stream = (struct stream){ .host = npf_host_sim(N_CPUS) };
	npf_user_tap_init(&stream->tap, stream->host, &tap_host, NULL);
	assert_true(npf_stream_cut(&geometry, bytes, N_CPUS, MAX_FRAME, format));
	assert_int_equal(npf_user_tap_set_ring(&stream->tap, &geometry, &stream->view), 0);
	stream->view.control->config.accept_types = ~0u;
	stream->view.control->stream.open = 1;
}

static void stream_fini(struct stream *stream)
{
	npf_user_tap_fini(&stream->tap);
	assert_int_equal(npf_sim_memory(stream->host), 0);
	npf_host_sim_free(stream->host);
}

static void deliver(struct stream *stream, uint32_t length, uint32_t number, uint32_t cpu)
{
	struct npf_frame frame = { .length = length, .wire_length = length };
	uint8_t data[MAX_FRAME];

	numbered_frame(data, length, number);
	npf_user_tap_deliver(&stream->tap, &frame, data, number, cpu, 0);
}

/* The record at a position must be that frame; its size. */
static uint32_t expect(struct stream *stream, uint64_t position, uint32_t length, uint32_t number)
{
	uint32_t format = stream->view.geometry.stream_format;
	uint32_t head = format == NPF_FORMAT_PCAPNG ? NPF_EPB_HEADER : NPF_PCAP_HEADER;
	uint8_t record[2048], data[MAX_FRAME];

	assert_true(head + length <= sizeof(record));
	npf_stream_copy(&stream->view, position, record, head + length);
	numbered_frame(data, length, number);
	assert_int_equal(npf_dump_record_time(format, record), number);
	assert_memory_equal(record + head, data, length);
	return npf_dump_record_size(format, record, stream->view.geometry.chunk_size);
}

/* ---- the cut ------------------------------------------------------------------------------- */

static void cut_holds_what_was_asked(void **state)
{
	struct npf_ring_geometry geometry;

	(void)state;
	for (uint32_t bytes = 1; bytes && bytes <= 1u << 30; bytes = bytes * 3 + 1) {
		assert_true(npf_stream_cut(&geometry, bytes, 2, 70000, NPF_FORMAT_PCAPNG));
		assert_true(geometry.stream_size >= bytes);
		assert_true(geometry.stream_size >= NPF_STREAM_SMALLEST);
		assert_int_equal(geometry.stream_size & (geometry.stream_size - 1), 0);
		assert_true(geometry.stream_size >= 2 * geometry.chunk_size);
		assert_true(geometry.chunk_size >= 70000 + NPF_STREAM_OVERHEAD);
		assert_int_equal(geometry.n_chunks, 0);
	}
	assert_false(npf_stream_cut(&geometry, (1u << 30) + 1, 2, 1518, NPF_FORMAT_PCAP));
	assert_false(npf_stream_cut(&geometry, 1 << 20, 2, 1u << 30, NPF_FORMAT_PCAP));
}

/* ---- records ------------------------------------------------------------------------------- */

static void every_length_in_every_format(void **state)
{
	(void)state;
	for (uint32_t format = NPF_FORMAT_PCAP_NS; format <= NPF_FORMAT_PCAPNG; format++) {
		struct stream stream;
		uint64_t position = 0;

		stream_init(&stream, 4u << 20, format);
		for (uint32_t length = 4; length <= MAX_FRAME; length++)
			deliver(&stream, length, length, length % N_CPUS);
		for (uint32_t length = 4; length <= MAX_FRAME; length++)
			position += expect(&stream, position, length, length);
		assert_int_equal(npf_stream_end(&stream.view, 0).position, position);
		assert_int_equal(npf_stream_end(&stream.view, 0).records, MAX_FRAME - 3);
		stream_fini(&stream);
	}
}

static void stamps_across_a_second(void **state)
{
	static const uint64_t times[] = { 0, 999999999, 1000000000, 999999000, 4200000000123456789 };
	struct npf_frame frame = { .length = 4, .wire_length = 4 };

	(void)state;
	for (uint32_t format = NPF_FORMAT_PCAP; format <= NPF_FORMAT_PCAPNG; format++) {
		uint8_t record[NPF_DUMP_RECORD_HEAD];
		struct stream stream;

		stream_init(&stream, 65536, format);
		stream.view.control->stream.offset = 7000;
		for (size_t i = 0; i < N_OF(times); i++) {
			uint64_t at = npf_stream_end(&stream.view, 0).position;
			uint64_t wall = times[i] + 7000;

			npf_user_tap_deliver(&stream.tap, &frame, record, times[i], 0, 0);
			npf_stream_copy(&stream.view, at, record, sizeof(record));
			if (format == NPF_FORMAT_PCAP)
				wall -= wall % 1000;
			assert_int_equal(npf_dump_record_time(format, record), wall);
		}
		stream_fini(&stream);
	}
}

/* Records cross the end of the ring at every distance. */
static void end_of_the_ring_is_nothing_special(void **state)
{
	struct stream stream;
	uint64_t position = 0;

	(void)state;
	stream_init(&stream, 65536, NPF_FORMAT_PCAP_NS);
	for (uint32_t number = 0; number < 20000; number++) {
		uint32_t length = 4 + number % 1500;

		deliver(&stream, length, number, 0);
		position += expect(&stream, position, length, number);
		stream.view.control->stream.head = position;
	}
	assert_int_equal(stream.view.cpus[0].dropped[NPF_DROP_FULL], 0);
	stream_fini(&stream);
}

static void full_ring_drops_the_newest(void **state)
{
	struct stream stream;

	(void)state;
	stream_init(&stream, 65536, NPF_FORMAT_PCAP_NS);
	for (uint32_t number = 0; number < 100; number++)
		deliver(&stream, 1008, number, 0);
	assert_int_equal(stream.view.cpus[0].captured, 64);
	assert_int_equal(stream.view.cpus[0].dropped[NPF_DROP_FULL], 36);
	assert_int_equal(npf_stream_end(&stream.view, 0).position, 65536);
	for (uint32_t number = 0; number < 64; number++)
		expect(&stream, number * 1024, 1008, number);
	stream.view.control->stream.head = 1024;
	deliver(&stream, 1008, 100, 1);
	expect(&stream, 65536, 1008, 100);
	stream_fini(&stream);
}

/* ---- the cursor ---------------------------------------------------------------------------- */

/* Positions pass 2^36 again and again, records 2^28, in whatever combination. */
static void numbers_of_the_cursor_wrap(void **state)
{
	static const uint64_t positions[] = { NPF_STREAM_MASK - 5000, 5 * (NPF_STREAM_MASK + 1) - 1,
					      (1ull << 63) - 70000, UINT64_MAX - 100000 };
	static const uint64_t counts[] = { 0, (1ull << 28) - 50, (1ull << 27) };

	(void)state;
	for (size_t i = 0; i < N_OF(positions) * N_OF(counts); i++) {
		uint64_t position = positions[i % N_OF(positions)];
		struct npf_stream_mark mark = { position, counts[i / N_OF(positions)] };
		struct stream stream;

		stream_init(&stream, 65536, NPF_FORMAT_PCAPNG);
		stream.view.control->stream.cursor = position + (mark.records << NPF_STREAM_BITS);
		stream.view.control->stream.head = position;
		for (uint32_t number = 0; number < 300; number++) {
			uint32_t length = 4 + number * 7 % 800;
			struct npf_stream_mark end;

			deliver(&stream, length, number, 0);
			position += expect(&stream, position, length, number);
			end = npf_stream_end(&stream.view, stream.view.control->stream.head);
			assert_int_equal(end.position, position);
			assert_int_equal(npf_stream_records(&mark, &end), number + 1);
			stream.view.control->stream.head = position;
		}
		assert_int_equal(stream.view.cpus[0].dropped[NPF_DROP_FULL], 0);
		stream_fini(&stream);
	}
}

static void seam_leaves_bytes_out_and_no_record(void **state)
{
	struct stream stream;
	struct npf_stream_mark end, before = { 0 };

	(void)state;
	stream_init(&stream, 65536, NPF_FORMAT_PCAP_NS);
	deliver(&stream, 100, 1, 0);
	end = npf_stream_end(&stream.view, 0);
	deliver(&stream, 100, 2, 0);
	assert_false(npf_stream_skip(&stream.view, &end, 1000)); /* it has moved */
	end = npf_stream_end(&stream.view, 0);
	assert_true(npf_stream_skip(&stream.view, &end, 1000));
	deliver(&stream, 100, 3, 0);
	expect(&stream, end.position + 1000, 100, 3);
	end = npf_stream_end(&stream.view, 0);
	assert_int_equal(end.position, 3 * 116 + 1000);
	assert_int_equal(npf_stream_records(&before, &end), 3);
	stream_fini(&stream);
}

static void closed_stream_sees_nothing(void **state)
{
	struct stream stream;

	(void)state;
	stream_init(&stream, 65536, NPF_FORMAT_PCAP_NS);
	deliver(&stream, 100, 1, 0);
	assert_int_equal(npf_stream_close(&stream.view, 0).position, 116);
	deliver(&stream, 100, 2, 0);
	assert_int_equal(stream.view.cpus[0].received, 1);
	assert_int_equal(npf_stream_end(&stream.view, 0).position, 116 + NPF_STREAM_ALIGN);
	stream.view.control->config.statistics = 1; /* they count on */
	deliver(&stream, 100, 3, 0);
	assert_int_equal(stream.view.cpus[0].received, 2);
	assert_int_equal(stream.view.cpus[0].classes[0].packets, 1);
	assert_int_equal(npf_stream_end(&stream.view, 0).records, 1);
	stream_fini(&stream);
}

/* Regions with something between them, as the kernel's memory has it. */
static void regions_are_one_stream(void **state)
{
	static uint8_t memory[4 * 9000];
	struct npf_ring_view view = { .geometry = { .stream_size = 4 * 8192 },
				      .chunks = memory,
				      .region_size = 8192,
				      .region_stride = 9000 };
	uint8_t copy[30000];

	(void)state;
	for (uint32_t i = 0; i < 4 * 8192; i++)
		memory[i / 8192 * 9000 + i % 8192] = (uint8_t)(i * 7 + i / 251);
	for (uint64_t position = 0; position < 3 * 4 * 8192; position += 1234) {
		npf_stream_copy(&view, position, copy, sizeof(copy));
		for (uint32_t k = 0; k < sizeof(copy); k++) {
			uint32_t i = (uint32_t)(position + k) % (4 * 8192);

			assert_int_equal(copy[k], (uint8_t)(i * 7 + i / 251));
		}
	}
}

/* ---- threads ------------------------------------------------------------------------------- */

#define EACH 40000u

struct sender {
	struct stream *stream;
	uint32_t cpu;
	uint32_t done; /* atomic */
	pthread_t thread;
};

static void *send_many(void *arg)
{
	struct sender *sender = arg;

	for (uint32_t i = 0; i < EACH; i++)
		deliver(sender->stream, 8 + (i + sender->cpu) % 300, i * N_CPUS + sender->cpu,
			sender->cpu);
	__atomic_store_n(&sender->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static bool all_done(const struct sender *senders)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < N_CPUS; i++)
		n += __atomic_load_n(&senders[i].done, __ATOMIC_ACQUIRE);
	return n == N_CPUS;
}

struct reader {
	struct stream *stream;
	struct npf_stream_mark mark;
	uint64_t records;
	uint32_t next[N_CPUS];
	uint64_t skipped;
};

/* Everything below the end is whole, in the order of each CPU. */
static void read_to(struct reader *reader, const struct npf_stream_mark *end)
{
	struct npf_ring_view *view = &reader->stream->view;

	reader->records += npf_stream_records(&reader->mark, end);
	for (uint64_t n = npf_stream_records(&reader->mark, end); n; n--) {
		uint8_t head[NPF_DUMP_RECORD_HEAD];
		uint32_t number, cpu;

		npf_stream_copy(view, reader->mark.position, head, sizeof(head));
		number = (uint32_t)npf_dump_record_time(NPF_FORMAT_PCAP_NS, head);
		cpu = number % N_CPUS;
		assert_true(number / N_CPUS >= reader->next[cpu]);
		reader->next[cpu] = number / N_CPUS + 1;
		reader->mark.position += expect(reader->stream, reader->mark.position,
						8 + (number / N_CPUS + cpu) % 300, number);
	}
	assert_int_equal(reader->mark.position, end->position);
	reader->mark = *end;
	__atomic_store_n(&view->control->stream.head, end->position, __ATOMIC_RELEASE);
}

static void read_some(struct reader *reader)
{
	struct npf_ring_view *view = &reader->stream->view;
	struct npf_stream_mark end = npf_stream_end(view, reader->mark.position);

	if (npf_stream_settled(view))
		read_to(reader, &end);
	/* Make a seam now and then: the senders go on behind it. */
	end = npf_stream_end(view, reader->mark.position);
	if (end.position == reader->mark.position && npf_stream_skip(view, &end, 100)) {
		reader->mark.position += 100;
		reader->skipped += 100;
		__atomic_store_n(&view->control->stream.head, reader->mark.position,
				 __ATOMIC_RELEASE);
	}
}

static void run_threads(bool close_early)
{
	struct sender senders[N_CPUS];
	struct npf_stream_mark final;
	struct npf_ring_totals totals;
	struct stream stream;
	struct reader reader = { .stream = &stream };

	stream_init(&stream, 65536, NPF_FORMAT_PCAP_NS);
	for (uint32_t i = 0; i < N_CPUS; i++) {
		senders[i] = (struct sender){ .stream = &stream, .cpu = i };
		pthread_create(&senders[i].thread, NULL, send_many, &senders[i]);
	}
	while (!all_done(senders) && !(close_early && reader.records > EACH / 4))
		read_some(&reader);
	if (!close_early) {
		for (uint32_t i = 0; i < N_CPUS; i++)
			pthread_join(senders[i].thread, NULL);
	}
	final = npf_stream_close(&stream.view, reader.mark.position);
	while (!npf_stream_settled(&stream.view))
		;
	read_to(&reader, &final);
	for (uint32_t i = 0; i < N_CPUS && close_early; i++)
		pthread_join(senders[i].thread, NULL);

	struct npf_stream_mark end = npf_stream_end(&stream.view, final.position);

	assert_int_equal(end.position, final.position + NPF_STREAM_ALIGN);
	assert_int_equal(end.records, final.records);
	npf_ring_totals(&stream.view, &totals);
	assert_int_equal(totals.captured, reader.records);
	assert_int_equal(totals.received, totals.captured + totals.dropped[NPF_DROP_FULL]);
	if (!close_early)
		assert_int_equal(totals.received, N_CPUS * EACH);
	stream_fini(&stream);
}

static void threads_store_whole_records_in_order(void **state)
{
	(void)state;
	run_threads(false);
}

static void closing_under_fire_is_exact(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		run_threads(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_holds_what_was_asked),
		cmocka_unit_test(every_length_in_every_format),
		cmocka_unit_test(stamps_across_a_second),
		cmocka_unit_test(end_of_the_ring_is_nothing_special),
		cmocka_unit_test(full_ring_drops_the_newest),
		cmocka_unit_test(numbers_of_the_cursor_wrap),
		cmocka_unit_test(seam_leaves_bytes_out_and_no_record),
		cmocka_unit_test(closed_stream_sees_nothing),
		cmocka_unit_test(regions_are_one_stream),
		cmocka_unit_test(threads_store_whole_records_in_order),
		cmocka_unit_test(closing_under_fire_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
