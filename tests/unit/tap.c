/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tap, in its user space target: whom it sees, what it stores of a frame, what it does when it
 * is entered while it works, and how it counts in statistics mode.
 */
#include "lib/check.h"

#include "driver/tap_user.h"
#include "filter/filter.h"
#include "host/sim/sim.h"

#define N_CPUS 2

struct tap {
	struct npf_host *host;
	struct npf_user_tap tap;
	struct npf_ring_view view;
	struct npf_ring_reader reader;
	struct npf_ring_cursor cursors[N_CPUS];
	struct npf_filter_set filters;
	uint32_t nested_cpu; /* where the frame arrives that interrupts a wake-up */
	uint32_t wakes;
};

static void deliver(struct tap *tap, struct npf_frame *frame, uint32_t cpu, uint64_t sender)
{
	static uint8_t data[FRAME_MAX];

	frame_fill(data, frame->length, 1);
	npf_user_tap_deliver(&tap->tap, frame, data, 1, cpu, sender);
}

/* The wake-up happens inside the tap, with its record just published: a frame arrives. */
static int interrupt(void *arg)
{
	struct tap *tap = arg;
	struct npf_frame frame = { .length = 60, .wire_length = 60 };

	if (!tap->wakes++)
		deliver(tap, &frame, tap->nested_cpu, 0);
	return 0;
}

static void no_timer(void *arg, uint64_t ns)
{
	(void)arg;
	(void)ns;
}

static const struct npf_user_tap_host interrupting = { .wake = interrupt, .start_timer = no_timer };

static void tap_init(struct tap *tap)
{
	struct npf_ring_geometry geometry;

	*tap = (struct tap){ .host = npf_host_sim(N_CPUS) };
	npf_user_tap_init(&tap->tap, tap->host, &interrupting, tap);
	assert_true(npf_ring_cut(&geometry, 65536, N_CPUS, 1518));
	assert_int_equal(npf_user_tap_set_ring(&tap->tap, &geometry, &tap->view), 0);
	npf_ring_reader_init(&tap->reader, &tap->view, tap->cursors);
	tap->tap.control->config.accept_types = ~0u;
}

/* Run what tap->filters says. */
static void install(struct tap *tap)
{
	struct npf_user_filters *filters = npf_user_filters_make(tap->host, &tap->filters);

	assert_non_null(filters);
	assert_null(npf_user_tap_set_filters(&tap->tap, filters));
}

static void tap_fini(struct tap *tap)
{
	npf_user_tap_fini(&tap->tap);
	assert_int_equal(npf_sim_memory(tap->host), 0);
	npf_host_sim_free(tap->host);
}

static struct npf_ring_totals totals(const struct tap *tap)
{
	struct npf_ring_totals sum;

	npf_ring_totals(&tap->view, &sum);
	return sum;
}

static const struct npf_record *take(struct tap *tap)
{
	npf_ring_begin(&tap->reader, UINT64_MAX);

	const struct npf_record *record = npf_ring_next(&tap->reader);

	npf_ring_end(&tap->reader);
	return record;
}

/* ---- whom it sees -------------------------------------------------------------------------- */

static void accepts_by_packet_type(void **state)
{
	struct tap tap;

	(void)state;
	for (uint32_t accepted = 0; accepted < 32; accepted++) {
		tap_init(&tap);
		tap.tap.control->config.accept_types = accepted;
		for (uint32_t type = NPF_TO_HOST; type <= NPF_FROM_HOST; type++) {
			uint64_t before = totals(&tap).received;
			struct npf_frame frame = { .length = 60,
						   .wire_length = 60,
						   .packet_type = type };

			deliver(&tap, &frame, 0, 0);
			assert_int_equal(totals(&tap).received - before, accepted >> type & 1);
		}
		assert_int_equal(totals(&tap).captured, totals(&tap).received);
		tap_fini(&tap);
	}
}

static void new_ring_accepts_nothing(void **state)
{
	struct npf_ring_geometry geometry;
	struct npf_frame frame = { .length = 60, .wire_length = 60 };
	struct tap tap;

	(void)state;
	tap_init(&tap);
	geometry = tap.tap.geometry;
	assert_int_equal(npf_user_tap_set_ring(&tap.tap, &geometry, &tap.view), 0);
	deliver(&tap, &frame, 0, 0);
	assert_int_equal(totals(&tap).received, 0);
	tap_fini(&tap);
}

static void failed_ring_keeps_the_old_one(void **state)
{
	struct npf_frame frame = { .length = 60, .wire_length = 60 };
	struct npf_ring_view view;
	struct tap tap;

	(void)state;
	tap_init(&tap);
	deliver(&tap, &frame, 0, 0);
	for (uint64_t nth = 1; nth <= 3; nth++) {
		npf_sim_fail(tap.host, nth, -ENOMEM);
		assert_int_equal(npf_user_tap_set_ring(&tap.tap, &tap.view.geometry, &view),
				 -ENOMEM);
	}
	deliver(&tap, &frame, 0, 0);
	assert_int_equal(totals(&tap).captured, 2);
	assert_non_null(take(&tap));
	tap_fini(&tap);
}

static void hidden_sender_is_invisible(void **state)
{
	struct npf_frame frame = { .length = 60, .wire_length = 60, .packet_type = NPF_FROM_HOST };
	struct tap tap;

	(void)state;
	tap_init(&tap);
	deliver(&tap, &frame, 0, 7);
	assert_int_equal(totals(&tap).received, 1);
	tap.tap.control->config.hidden = 7;
	deliver(&tap, &frame, 0, 7);
	assert_int_equal(totals(&tap).received, 1);
	deliver(&tap, &frame, 0, 8);
	deliver(&tap, &frame, 0, 0);
	assert_int_equal(totals(&tap).received, 3);
	assert_int_equal(take(&tap)->flags, NPF_PACKET_OUTGOING);
	tap_fini(&tap);
}

/* ---- re-entry ------------------------------------------------------------------------------ */

static void reentry_on_the_same_cpu_is_counted_and_harmless(void **state)
{
	struct npf_frame frame = { .length = 100, .wire_length = 100 };
	const struct npf_record *record;
	struct tap tap;

	(void)state;
	tap_init(&tap);
	tap.tap.control->waiter.need = 1;
	tap.tap.control->waiter.arm = 1;
	deliver(&tap, &frame, 0, 0);
	assert_int_equal(tap.wakes, 1);
	assert_int_equal(totals(&tap).reentered, 1);
	assert_int_equal(totals(&tap).received, 1);
	assert_int_equal(totals(&tap).captured, 1);

	record = take(&tap);
	assert_int_equal(record->caplen, 100);
	assert_true(frame_is((const uint8_t *)record + NPF_RECORD_HEADER, 100, 1));
	assert_null(take(&tap));
	deliver(&tap, &frame, 0, 0);
	assert_int_equal(totals(&tap).captured, 2);
	tap_fini(&tap);
}

static void entry_on_another_cpu_is_ordinary(void **state)
{
	struct npf_frame frame = { .length = 100, .wire_length = 100 };
	struct tap tap;

	(void)state;
	tap_init(&tap);
	tap.nested_cpu = 1;
	tap.tap.control->waiter.need = 1;
	tap.tap.control->waiter.arm = 1;
	deliver(&tap, &frame, 0, 0);
	assert_int_equal(totals(&tap).reentered, 0);
	assert_int_equal(totals(&tap).captured, 2);
	tap_fini(&tap);
}

/* ---- what it stores ------------------------------------------------------------------------ */

/* Byte i of frame 1 with a tag of 0x8100, 0xA123 back in its place. */
static uint8_t tagged_byte(uint32_t i)
{
	static const uint8_t tag[] = { 0x81, 0x00, 0xA1, 0x23 };

	if (i < NPF_TAG_OFFSET)
		return frame_byte(1, i);
	if (i < NPF_TAG_OFFSET + NPF_TAG_SIZE)
		return tag[i - NPF_TAG_OFFSET];
	return frame_byte(1, i - NPF_TAG_SIZE);
}

static void stripped_tag_returns_at_every_cap(void **state)
{
	struct tap tap;

	(void)state;
	for (uint32_t cap = 0; cap <= 20; cap++) {
		struct npf_insn keep[] = { INSN_RET(cap) };
		struct npf_program program = PROGRAM(keep);
		struct npf_frame frame = {
			.length = 60,
			.wire_length = 64,
			.tagged = 1,
			.tag_tpid = 0x8100,
			.tag_tci = 0xA123,
		};

		tap_init(&tap);
		tap.filters.filter = &program;
		install(&tap);
		memset(tap.tap.chunks, 0xFF,
		       (size_t)tap.tap.geometry.n_chunks * tap.tap.geometry.chunk_size);
		deliver(&tap, &frame, 0, 0);

		const struct npf_record *record = take(&tap);

		assert_int_equal(record != NULL, cap > 0);
		if (record) {
			const uint8_t *data = (const uint8_t *)record + NPF_RECORD_HEADER;

			assert_int_equal(record->caplen, cap);
			assert_int_equal(record->length, 64);
			for (uint32_t i = 0; i < cap; i++)
				assert_int_equal(data[i], tagged_byte(i));
			for (uint32_t i = cap; i < record->size - NPF_RECORD_HEADER; i++)
				assert_int_equal(data[i], 0);
		}
		tap_fini(&tap);
	}
}

static void whole_tagged_frame_is_four_bytes_longer(void **state)
{
	struct npf_frame frame = {
		.length = 60,
		.wire_length = 64,
		.tagged = 1,
		.tag_tpid = 0x8100,
		.tag_tci = 0xA123,
	};
	struct tap tap;

	(void)state;
	tap_init(&tap);
	deliver(&tap, &frame, 0, 0);

	const struct npf_record *record = take(&tap);
	const uint8_t *data = (const uint8_t *)record + NPF_RECORD_HEADER;

	assert_int_equal(record->caplen, 64);
	assert_int_equal(record->flags, NPF_PACKET_TAGGED);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(data[i], tagged_byte(i));
	tap_fini(&tap);
}

/* Shorter than where the tag belongs: nothing is read past its end. */
static void tagged_runt_is_dropped_or_whole(void **state)
{
	struct tap tap;

	(void)state;
	for (uint32_t length = 0; length < 20; length++) {
		uint8_t *data = malloc(length ? length : 1);
		struct npf_frame frame = { .length = length,
					   .wire_length = length + 4,
					   .tagged = 1 };

		tap_init(&tap);
		memset(data, 0x55, length);
		npf_user_tap_deliver(&tap.tap, &frame, data, 1, 0, 0);
		assert_int_equal(totals(&tap).captured, length >= NPF_TAG_OFFSET);
		assert_int_equal(totals(&tap).dropped[NPF_DROP_COPY], length < NPF_TAG_OFFSET);
		free(data);
		tap_fini(&tap);
	}
}

static void filter_verdict_is_the_cap(void **state)
{
	static const uint32_t verdicts[] = { 1, 14, 59, 60, 61, 0x7FFFFFFF, UINT32_MAX };
	struct tap tap;

	(void)state;
	for (size_t i = 0; i < N_OF(verdicts); i++) {
		struct npf_insn keep[] = { INSN_RET(verdicts[i]) };
		struct npf_program program = PROGRAM(keep);
		struct npf_frame frame = { .length = 60, .wire_length = 1000 };

		tap_init(&tap);
		tap.filters.filter = &program;
		install(&tap);
		deliver(&tap, &frame, 0, 0);

		const struct npf_record *record = take(&tap);

		assert_int_equal(record->caplen, verdicts[i] < 60 ? verdicts[i] : 60);
		assert_int_equal(record->length, 1000);
		tap_fini(&tap);
	}
}

static void empty_frame_is_a_record_without_data(void **state)
{
	struct npf_frame frame = { .length = 0, .wire_length = 60 };
	struct tap tap;

	(void)state;
	tap_init(&tap);
	deliver(&tap, &frame, 0, 0);

	const struct npf_record *record = take(&tap);

	assert_int_equal(record->caplen, 0);
	assert_int_equal(record->size, NPF_RECORD_HEADER);
	tap_fini(&tap);
}

/* ---- statistics ---------------------------------------------------------------------------- */

static void statistics_count_and_store_nothing(void **state)
{
	static const uint32_t lengths[] = { 1, 59, 60, 61, 1514 };
	struct npf_class_counters counters;
	uint64_t bytes = 0, line = 0;
	struct tap tap;

	(void)state;
	tap_init(&tap);
	tap.tap.control->config.statistics = 1;
	tap.tap.control->waiter.need = 1;
	tap.tap.control->waiter.arm = 1;
	for (uint32_t i = 0; i < N_OF(lengths); i++) {
		struct npf_frame frame = { .length = lengths[i], .wire_length = lengths[i] };

		deliver(&tap, &frame, i % N_CPUS, 0);
		bytes += lengths[i];
		line += (lengths[i] < 60 ? 60 : lengths[i]) + 12;
	}
	npf_ring_class_totals(&tap.view, &counters, 1);
	assert_int_equal(counters.packets, N_OF(lengths));
	assert_int_equal(counters.bytes, bytes);
	assert_int_equal(counters.line_bytes, line);
	assert_int_equal(totals(&tap).received, N_OF(lengths));
	assert_int_equal(totals(&tap).captured, 0);
	assert_int_equal(tap.wakes, 0);
	assert_null(take(&tap));
	tap_fini(&tap);
}

static void statistics_need_no_buffer(void **state)
{
	struct npf_ring_geometry none = { .n_cpus = N_CPUS };
	struct npf_frame frame = { .length = 60, .wire_length = 60 };
	struct npf_class_counters counters;
	struct tap tap;

	(void)state;
	tap_init(&tap);
	assert_int_equal(npf_user_tap_set_ring(&tap.tap, &none, &tap.view), 0);
	tap.tap.control->config.accept_types = ~0u;
	tap.tap.control->config.statistics = 1;
	deliver(&tap, &frame, 0, 0);
	npf_ring_class_totals(&tap.view, &counters, 1);
	assert_int_equal(counters.packets, 1);
	assert_int_equal(totals(&tap).dropped[NPF_DROP_NO_BUFFER], 0);
	tap_fini(&tap);
}

static void count_classes(bool tagged)
{
	/* Class i keeps "first byte modulo i + 1" bytes: no multiple of it. The last takes all. */
	struct npf_insn code[NPF_MAX_CLASSES][3];
	struct npf_program classes[NPF_MAX_CLASSES];
	struct npf_class_counters counters[NPF_MAX_CLASSES];
	uint32_t bytes = 60 + (tagged ? NPF_TAG_SIZE : 0);
	struct tap tap;

	tap_init(&tap);
	for (uint32_t i = 0; i < NPF_MAX_CLASSES; i++) {
		const struct npf_insn remainder[] = { INSN_LD_B(0),
						      { .code = 0x94, .k = i + 1 },
						      { .code = 0x16 } };

		memcpy(code[i], remainder, sizeof(remainder));
		classes[i] = (struct npf_program)PROGRAM(code[i]);
		tap.filters.classes[i] = &classes[i];
	}
	classes[NPF_MAX_CLASSES - 1].length = 0;
	tap.filters.n_classes = NPF_MAX_CLASSES;
	install(&tap);
	tap.tap.control->config.statistics = 1;
	tap.tap.control->config.n_classes = NPF_MAX_CLASSES;

	for (uint32_t first = 0; first < 256; first++) {
		uint8_t data[60] = { (uint8_t)first };
		struct npf_frame frame = { .length = sizeof(data),
					   .wire_length = bytes,
					   .tagged = tagged,
					   .tag_tpid = 0x8100 };

		npf_user_tap_deliver(&tap.tap, &frame, data, 1, first % N_CPUS, 0);
	}
	npf_ring_class_totals(&tap.view, counters, NPF_MAX_CLASSES);
	for (uint32_t i = 0; i < NPF_MAX_CLASSES - 1; i++) {
		assert_int_equal(counters[i].packets, 256 - (255 / (i + 1) + 1));
		assert_int_equal(counters[i].bytes, counters[i].packets * bytes);
	}
	assert_int_equal(counters[NPF_MAX_CLASSES - 1].packets, 256);
	tap_fini(&tap);
}

static void every_class_counts_what_it_accepts(void **state)
{
	(void)state;
	count_classes(false);
}

/* The function of all classes does not see a tag that was stripped. */
static void every_class_counts_tagged_frames(void **state)
{
	(void)state;
	count_classes(true);
}

/* Frames that end before what a class looks at, and a class that is no code. */
static void short_frames_are_asked_about_one_by_one(void **state)
{
	const struct npf_insn far[] = { INSN_LD_B(40), INSN_RET(1) };
	const struct npf_insn near[] = { INSN_LD_B(12), INSN_RET(1) };
	const struct npf_insn protocol[] = { { .code = 0x20, .k = NPF_AD_PROTOCOL },
					     { .code = 0x16 } };
	struct npf_program classes[] = { PROGRAM(far), PROGRAM(near), PROGRAM(protocol) };
	struct npf_class_counters counters[3];
	uint8_t data[60] = { 0 };
	struct tap tap;

	(void)state;
	tap_init(&tap);
	classes[2].dialect = NPF_DIALECT_LINUX;
	tap.filters.n_classes = 3;
	for (uint32_t i = 0; i < 3; i++)
		tap.filters.classes[i] = &classes[i];
	install(&tap);
	tap.tap.control->config.statistics = 1;
	tap.tap.control->config.n_classes = 3;
	for (uint32_t length = 0; length <= sizeof(data); length++) {
		struct npf_frame frame = { .length = length,
					   .wire_length = length,
					   .protocol = length & 1 };

		npf_user_tap_deliver(&tap.tap, &frame, data, 1, 0, 0);
	}
	npf_ring_class_totals(&tap.view, counters, 3);
	assert_int_equal(counters[0].packets, 20);
	assert_int_equal(counters[1].packets, 48);
	assert_int_equal(counters[2].packets, 30);
	tap_fini(&tap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_by_packet_type),
		cmocka_unit_test(new_ring_accepts_nothing),
		cmocka_unit_test(failed_ring_keeps_the_old_one),
		cmocka_unit_test(hidden_sender_is_invisible),
		cmocka_unit_test(reentry_on_the_same_cpu_is_counted_and_harmless),
		cmocka_unit_test(entry_on_another_cpu_is_ordinary),
		cmocka_unit_test(stripped_tag_returns_at_every_cap),
		cmocka_unit_test(whole_tagged_frame_is_four_bytes_longer),
		cmocka_unit_test(tagged_runt_is_dropped_or_whole),
		cmocka_unit_test(filter_verdict_is_the_cap),
		cmocka_unit_test(empty_frame_is_a_record_without_data),
		cmocka_unit_test(statistics_count_and_store_nothing),
		cmocka_unit_test(statistics_need_no_buffer),
		cmocka_unit_test(every_class_counts_what_it_accepts),
		cmocka_unit_test(every_class_counts_tagged_frames),
		cmocka_unit_test(short_frames_are_asked_about_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
