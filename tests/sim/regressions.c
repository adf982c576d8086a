/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults of the original and of its successors that must not come back. The b numbers follow the
 * catalogue of its bugs; each test says in one line what used to happen. Elsewhere: b10, dumps, in
 * dump.c (item 14); b13, sampling and send queues of wpcap, in tests/wpcap/extensions.c; queues with
 * malformed headers in queue.c (item 11). b12 cannot come back: no packet is completed later.
 */
#include "lib/asleep.h"
#include "lib/world.h"

#include <poll.h>
#include <pthread.h>

static bool is_ready(struct world *world)
{
	struct pollfd level = { .fd = npf_poll_fd(world->instance), .events = POLLIN };

	return poll(&level, 1, 0) == 1;
}

/* The padding of the last record went past a buffer whose size is no multiple of 4. */
static void b01_padding_stays_inside_odd_buffers(void **state)
{
	struct world *world = *state;

	for (uint32_t length = 1; length <= 9; length++) {
		for (size_t size = NPF_BPF_HDR_SIZE + length; size < 150; size++) {
			uint8_t *guarded = malloc(size + 8);
			uint32_t seq = 0;
			int64_t n;

			memset(guarded, 0xA5, size + 8);
			send_many(world, 6, length, 0);
			while ((n = npf_read(world->instance, guarded, size)) > 0) {
				struct records records = { .at = guarded, .left = (size_t)n };

				assert_true((size_t)n <= size);
				while (records_next(&records))
					assert_true(frame_is(records.data, length, seq++));
				for (size_t i = size; i < size + 8; i++)
					assert_int_equal(guarded[i], 0xA5);
			}
			assert_int_equal(seq, 6);
			free(guarded);
		}
	}
}

/* ---- threads ------------------------------------------------------------------------------- */

struct reader {
	struct npf_instance *instance;
	pid_t number;     /* the thread's, once it runs */
	uint32_t done;    /* 1: end */
	uint32_t strange; /* answers that should not have come */
};

static void *read_on(void *arg)
{
	struct reader *reader = arg;
	uint8_t buffer[4096];

	__atomic_store_n(&reader->number, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&reader->done, __ATOMIC_ACQUIRE)) {
		int64_t n = npf_read(reader->instance, buffer, sizeof(buffer));

		if (n < 0 && n != -EINTR)
			reader->strange++;
	}
	return NULL;
}

/* Changing the size freed the memory that a reader was copying from. */
static void b02_buffer_changes_under_a_reader(void **state)
{
	struct world *world = *state;
	struct reader reader = { .instance = world->instance };
	pthread_t thread;

	npf_sim_set_threaded(world->host, true);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
	for (uint32_t i = 0; i < 300; i++) {
		assert_int_equal(npf_set_buffer(world->instance, 4096 + i % 7 * 10000), 0);
		send_many(world, 5, 500, 0);
	}
	__atomic_store_n(&reader.done, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(reader.strange, 0);
}

/* Without an adapter a queue was answered with 0 bytes and no error: its sender tried for ever. */
static void b03_queue_without_an_adapter_is_an_error(void **state)
{
	struct {
		struct npf_sf_pkthdr header;
		uint8_t data[60];
	} queue = { .header = { .caplen = 60, .len = 60 } };
	struct world *world = *state;

	assert_int_equal(npf_buffered_write(world->instance, &queue, sizeof(queue), false),
			 sizeof(queue));
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth0"), 0);
	for (int sync = 0; sync < 2; sync++)
		assert_fails(world->instance,
			     npf_buffered_write(world->instance, &queue, sizeof(queue), sync),
			     -ENODEV);
	npf_cleanup(world->instance);
	assert_fails(world->instance,
		     npf_buffered_write(world->instance, &queue, sizeof(queue), false), -ECANCELED);
}

/* A packet larger than the caller's buffer stayed at the head for ever. */
static void b04_oversized_packet_does_not_stall(void **state)
{
	struct world *world = *state;

	send_now(world, 1514, 0);
	send_now(world, 50, 1);
	assert_int_equal(npf_read(world->instance, world->buffer, 100), 100);
	assert_int_equal(npf_read(world->instance, world->buffer, 100), 72);
	assert_int_equal(npf_read(world->instance, world->buffer, 100), 0);
}

/* The event was cleared while packets remained: they waited for the next one. */
static void b05_event_stays_while_packets_remain(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	send_many(world, 10, 60, 0);
	for (int left = 10; left > 0; left--) {
		assert_true(is_ready(world));
		assert_int_equal(npf_read(world->instance, world->buffer, 99), 80);
	}
	assert_false(is_ready(world));
}

/* A refused filter left none at all, and an empty buffer. */
static void b06_refused_filter_keeps_filter_and_buffer(void **state)
{
	struct npf_insn nothing[] = { INSN_LD_B(14), INSN_JEQ(1, 0, 1), INSN_RET(60), INSN_RET(0) };
	struct npf_insn bad[] = { { .code = 0x34, .k = 0 }, INSN_RET(60) };
	struct npf_program program = PROGRAM(nothing);
	struct world *world = *state;

	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	send_many(world, 2, 60, 0);
	assert_fails(world->instance,
		     npf_io_control(world->instance, NPF_BIOCSETF, bad, sizeof(bad), NULL, 0, NULL),
		     -EINVAL);
	send_many(world, 1, 60, 0);
	assert_int_equal(stats_of(world->instance).filtered, 2);
	assert_int_equal(read_all(world, 60, 1), 1);
}

/* Each OID request of a wrong size used one of 32 slots up. */
static void b07_wrong_oid_sizes_use_no_slot_up(void **state)
{
	struct npf_oid_data oid[2] = { { .oid = NPF_OID_GEN_LINK_SPEED, .length = 4 } };
	struct world *world = *state;

	for (size_t i = 0; i < 100; i++)
		assert_int_equal(npf_io_control(world->instance, NPF_BIOCQUERYOID, oid, i % 15, oid,
						i % 15, NULL),
				 -ENOBUFS);
	assert_int_equal(npf_io_control(world->instance, NPF_BIOCQUERYOID, oid, sizeof(oid), oid,
					sizeof(oid), NULL),
			 0);
}

/* Of three packets with 0x80000001 at byte 14, how many the program keeps. */
static uint64_t keeps(struct world *world, const struct npf_insn *insns, uint32_t n)
{
	const struct npf_program program = { .length = n, .insns = insns };
	const uint8_t data[60] = { [14] = 0x80, [17] = 0x01 };
	const struct npf_sim_frame frame = { .data = data, .length = sizeof(data) };

	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	return stats_of(world->instance).captured;
}

/* Compiled filters began with whatever A, X and M[] held, and compared as signed numbers. */
static void b08_compiled_filters_begin_at_zero_and_compare_unsigned(void **state)
{
	struct npf_insn a[] = { { .code = 0x16 } };                   /* return A */
	struct npf_insn x[] = { { .code = 0x87 }, { .code = 0x16 } }; /* return X */
	struct npf_insn memory[] = {
		INSN_LD_B(14),            /* 0x80: the next packet must not see it */
		{ .code = 0x02, .k = 3 }, /* M[3] = A */
		{ .code = 0x61, .k = 3 },
		{ .code = 0x87 }, /* X = M[3], A = X */
		INSN_JEQ(0x80, 0, 1),
		INSN_RET(60),
		INSN_RET(0),
	};
	struct npf_insn greater[] = {
		{ .code = 0x20, .k = 14 },                           /* ld [14]: 0x80000001 */
		{ .code = 0x25, .k = 0x7FFFFFFF, .jt = 0, .jf = 1 }, /* > */
		INSN_RET(60),
		INSN_RET(0),
	};
	struct world *world = *state;

	assert_int_equal(keeps(world, a, N_OF(a)), 0);
	assert_int_equal(keeps(world, memory, N_OF(memory)), 3);
	assert_int_equal(keeps(world, a, N_OF(a)), 0);
	assert_int_equal(keeps(world, x, N_OF(x)), 0);
	assert_int_equal(keeps(world, greater, N_OF(greater)), 3);
	greater[1].code = 0x35; /* >= */
	greater[1].k = 0x80000002;
	assert_int_equal(keeps(world, greater, N_OF(greater)), 0);
}

struct sender {
	struct world *world;
	uint32_t frames;
};

static void *send_frames(void *arg)
{
	struct sender *sender = arg;
	struct npf_sim_frame frame = { .data = "sixty or less", .length = 13, .cpu = 1 };

	for (uint32_t i = 0; i < sender->frames; i++)
		npf_sim_send(sender->world->host, "eth0", 0, &frame);
	return NULL;
}

/* Statistics needed a buffer, and lost what was counted between reading and zeroing. */
static void b09_statistics_lose_nothing_and_need_no_buffer(void **state)
{
	struct world *world = *state;
	struct sender sender = { .world = world, .frames = 20000 };
	pthread_t thread;
	int64_t sum = 0, bytes = 0;
	bool over = false;

	npf_sim_set_threaded(world->host, true);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_frames, &sender), 0);
	while (!over) {
		int64_t counters[2];

		over = sum > 0 && pthread_tryjoin_np(thread, NULL) == 0;
		assert_int_equal(npf_read(world->instance, world->buffer, 36), 36);
		memcpy(counters, world->buffer + NPF_STAT_PACKETS_OFFSET, sizeof(counters));
		sum += counters[0];
		bytes += counters[1];
	}
	assert_int_equal(sum, sender.frames);
	assert_int_equal(bytes, sender.frames * 72ll);
}

/* Cleanup waited for the reader's timeout before it woke him, and polled. */
static void b14_cleanup_wakes_a_reader_that_waits_for_ever(void **state)
{
	struct world *world = *state;
	struct reader reader = { .instance = world->instance };
	pthread_t thread;

	npf_sim_set_threaded(world->host, true);
	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
	asleep(&reader.number);
	npf_cleanup(world->instance);
	__atomic_store_n(&reader.done, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(npf_sim_bindings(world->host), 0);
}

/* Counters had 32 bits, and asking for one zeroed others. */
static void b15_counters_have_64_bits_and_saturate_in_the_old_form(void **state)
{
	struct world *world = *state;
	struct npf_sim_frame huge = { .data = "jumbogram", .length = 9, .wire_length = 0xFFFF0000 };
	struct npf_class_stats stats;
	struct npf_bpf_stat old;
	uint32_t n = 1;

	npf_sim_lose(world->host, "eth0", 1ull << 40);
	assert_int_equal(stats_of(world->instance).received, 1ull << 40);
	assert_int_equal(npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, 0, &old, sizeof(old),
					NULL),
			 0);
	assert_int_equal(old.bs_recv, UINT32_MAX);
	assert_int_equal(old.ps_ifdrop, UINT32_MAX);
	assert_int_equal(old.bs_drop, 0);

	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &huge), 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &huge), 0);
	assert_int_equal(npf_get_class_stats(world->instance, &stats, &n, NULL), 0);
	assert_int_equal(stats.bytes, 2ull * 0xFFFF0000);
	assert_int_equal(stats.line_bytes, 2ull * 0xFFFF0000 + 24);
}

/* ---- published ----------------------------------------------------------------------------- */

/* CVE-2007-3681: the statistics were written to whatever address and size the caller named. */
static void statistics_are_written_only_where_there_is_room(void **state)
{
	struct world *world = *state;
	uint8_t *exact = malloc(sizeof(struct npf_bpf_stat));

	assert_int_equal(npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, 0, exact,
					sizeof(struct npf_bpf_stat), NULL),
			 0);
	free(exact);
	assert_fails(world->instance,
		     npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, 0, NULL, 16, NULL),
		     -ENOBUFS);
	for (size_t size = 0; size < 16; size++) {
		exact = malloc(size + 1);
		assert_fails(world->instance,
			     npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, SIZE_MAX, exact,
					    size, NULL),
			     -ENOBUFS);
		free(exact);
	}
}

/* CVE-2007-5756: a filter's second part named entries of tables without a check. */
static void traffic_engine_s_input_is_refused(void **state)
{
	struct world *world = *state;
	struct npf_insn insns[8] = { INSN_RET(60), { .code = 0xFF } };

	for (uint32_t i = 2; i < N_OF(insns); i++)
		insns[i] = (struct npf_insn){ .code = 0x41, .jt = 0xFF, .k = UINT32_MAX - i };
	assert_fails(world->instance, npf_set_mode(world->instance, NPF_MODE_MON), -ENOTSUP);
	assert_fails(world->instance,
		     npf_io_control(world->instance, NPF_BIOCSETF, insns, sizeof(insns), NULL, 0,
				    NULL),
		     -EINVAL);
	send_many(world, 2, 60, 0);
	assert_int_equal(read_all(world, 60, 0), 2);
}

/* 4.1.3: loads near 2^32 passed the check of the offset; b11: so did negative ones, in the last
 * release as well. */
static void loads_near_the_end_of_the_numbers_reject(void **state)
{
	static const uint16_t loads[] = { 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1 };
	struct world *world = *state;

	for (uint32_t i = 0; i < N_OF(loads) * 24; i++) {
		uint32_t k = UINT32_MAX - i / N_OF(loads);
		struct npf_insn insns[] = {
			{ .code = 0x01, .k = 5 }, /* X = 5: indirect loads wrap */
			{ .code = loads[i % N_OF(loads)], .k = k },
			INSN_RET(UINT32_MAX),
		};
		struct npf_program program = PROGRAM(insns);
		bool wraps = i % N_OF(loads) >= 3 && i % N_OF(loads) < 6;

		assert_int_equal(npf_set_filter(world->instance, &program), 0);
		send_now(world, 60, 0);
		if (!wraps || k < UINT32_MAX - 8)
			assert_int_equal(stats_of(world->instance).captured, 0);
		else
			assert_int_equal(stats_of(world->instance).received, 1);
	}
}

/* After a change of the buffer's size the free space was not known and nothing was captured. */
static void capture_goes_on_after_every_resize(void **state)
{
	struct world *world = *state;

	for (uint32_t i = 0; i < 200; i++) {
		uint32_t size = 24 + i * i * 97 % 300000;

		assert_int_equal(npf_set_buffer(world->instance, size), 0);
		send_now(world, 400, i);
		assert_int_equal(read_all(world, 400, i), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(b01_padding_stays_inside_odd_buffers),
		CAPTURING(b02_buffer_changes_under_a_reader),
		CAPTURING(b03_queue_without_an_adapter_is_an_error),
		CAPTURING(b04_oversized_packet_does_not_stall),
		CAPTURING(b05_event_stays_while_packets_remain),
		CAPTURING(b06_refused_filter_keeps_filter_and_buffer),
		CAPTURING(b07_wrong_oid_sizes_use_no_slot_up),
		CAPTURING(b08_compiled_filters_begin_at_zero_and_compare_unsigned),
		IN_WORLD(b09_statistics_lose_nothing_and_need_no_buffer),
		CAPTURING(b14_cleanup_wakes_a_reader_that_waits_for_ever),
		CAPTURING(b15_counters_have_64_bits_and_saturate_in_the_old_form),
		IN_WORLD(statistics_are_written_only_where_there_is_room),
		CAPTURING(traffic_engine_s_input_is_refused),
		CAPTURING(loads_near_the_end_of_the_numbers_reject),
		CAPTURING(capture_goes_on_after_every_resize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
