/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics mode: the manual's record through read, and classes counted in one pass. */
#include "lib/world.h"

struct record {
	struct npf_bpf_hdr hdr;
	int64_t packets;
	int64_t bytes;
};

static struct record read_record(struct world *world)
{
	struct record record;

	assert_int_equal(npf_read(world->instance, world->buffer, sizeof(world->buffer)),
			 NPF_STAT_RECORD_SIZE);
	memcpy(&record.hdr, world->buffer, NPF_BPF_HDR_SIZE);
	memcpy(&record.packets, world->buffer + NPF_STAT_PACKETS_OFFSET, 8);
	memcpy(&record.bytes, world->buffer + NPF_STAT_BYTES_OFFSET, 8);
	assert_int_equal(record.hdr.hdrlen, NPF_BPF_HDR_SIZE);
	assert_int_equal(record.hdr.caplen, 16);
	assert_int_equal(record.hdr.datalen, 16);
	return record;
}

static int counting_setup(void **state)
{
	struct world *world;
	int err = world_setup(state);

	world = *state;
	if (!err)
		err = npf_set_timeout(world->instance, 100);
	return err ? err : npf_set_mode(world->instance, NPF_MODE_STAT);
}
#define COUNTING(test) cmocka_unit_test_setup_teardown(test, counting_setup, world_teardown)

static void item_09_record_each_interval_then_counters_restart(void **state)
{
	struct world *world = *state;

	for (uint32_t seq = 0; seq < 25; seq++)
		send_at(world, (seq * 10 + 5) * MS, seq % N_CPUS, 40 + seq * 2, seq);
	for (uint32_t i = 0; i < 3; i++) {
		struct record record = read_record(world);
		int64_t bytes = 0, n = 0;

		for (uint32_t seq = i * 10; seq < 25 && seq < (i + 1) * 10; seq++) {
			uint32_t length = 40 + seq * 2;

			bytes += (length < 60 ? 60 : length) + 12;
			n++;
		}
		assert_int_equal(world_now(world), (i + 1) * 100 * MS);
		assert_int_equal(record.packets, n);
		assert_int_equal(record.bytes, bytes);
		assert_int_equal(record.hdr.tv_sec * 1000000ull + (uint64_t)record.hdr.tv_usec,
				 NPF_SIM_EPOCH / 1000 + (i + 1) * 100000);
	}
	assert_int_equal(read_record(world).packets, 0);
}

static void item_09_interval_holds_when_a_reader_is_late(void **state)
{
	struct world *world = *state;

	read_record(world);
	npf_sim_advance(world->host, 130 * MS);
	read_record(world);
	assert_int_equal(world_now(world), 230 * MS);
	read_record(world);
	assert_int_equal(world_now(world), 300 * MS);
}

static void item_09_only_what_the_filter_accepts_is_counted(void **state)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(3, 0, 1), INSN_RET(1), INSN_RET(0) };
	struct npf_program program = PROGRAM(insns);
	struct world *world = *state;
	struct record record;

	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	send_many(world, 10, 100, 0);
	record = read_record(world);
	assert_int_equal(record.packets, 1);
	assert_int_equal(record.bytes, 112);
}

static void statistics_need_no_buffer_and_store_nothing(void **state)
{
	struct world *world = *state;
	struct npf_stats stats;

	send_many(world, 10, 100, 0);
	assert_int_equal(read_record(world).packets, 10);
	assert_int_equal(npf_get_stats(world->instance, &stats), 0);
	assert_int_equal(stats.received, 10);
	assert_int_equal(stats.captured, 0);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(stats.filtered, 0);
}

static void timeout_zero_means_a_second_and_minus_one_at_once(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	read_record(world);
	assert_int_equal(world_now(world), 1000 * MS);
	assert_int_equal(npf_set_timeout(world->instance, -1), 0);
	read_record(world);
	read_record(world);
	assert_int_equal(world_now(world), 1000 * MS);
}

static void buffer_below_a_record_is_refused(void **state)
{
	struct world *world = *state;

	send_many(world, 3, 60, 0);
	for (size_t size = 0; size < NPF_STAT_RECORD_SIZE; size++)
		assert_fails(world->instance, npf_read(world->instance, world->buffer, size),
			     -ENOBUFS);
	assert_int_equal(read_record(world).packets, 3);
	assert_fails(world->instance, npf_batch_begin(world->instance), -EINVAL);
}

static void packets_of_an_earlier_capture_come_first(void **state)
{
	struct world *world = *state;

	send_many(world, 4, 60, 0);
	assert_int_equal(npf_set_timeout(world->instance, 10), 0);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	send_many(world, 2, 60, 0);

	struct records records = read_records(world);

	for (uint32_t seq = 0; seq < 4; seq++) {
		assert_true(records_next(&records));
		assert_true(frame_is(records.data, 60, seq));
	}
	assert_false(records_next(&records));
	assert_int_equal(read_record(world).packets, 2);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	send_now(world, 60, 9);
	assert_int_equal(read_all(world, 60, 9), 1);
}

static void entering_the_mode_restarts_its_counters(void **state)
{
	struct world *world = *state;
	struct npf_class_stats stats;
	uint32_t n = 1;

	send_many(world, 4, 60, 0);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_int_equal(npf_get_class_stats(world->instance, &stats, &n, NULL), 0);
	assert_int_equal(stats.packets, 0);
	assert_int_equal(read_record(world).packets, 0);
}

/* ---- classes ------------------------------------------------------------------------------- */

/* Class i takes frames with number i in byte 14; one instruction set for all of them. */
struct classes {
	struct npf_insn insns[NPF_MAX_CLASSES][4];
	struct npf_class classes[NPF_MAX_CLASSES];
};

static void make_classes(struct classes *classes)
{
	for (uint32_t i = 0; i < NPF_MAX_CLASSES; i++) {
		const struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(i, 0, 1), INSN_RET(1),
						  INSN_RET(0) };

		memcpy(classes->insns[i], insns, sizeof(insns));
		classes->classes[i] = (struct npf_class){
			.name = { 'c', (char)('0' + i / 10), (char)('0' + i % 10) },
			.program = PROGRAM(classes->insns[i]),
		};
	}
}

static void all_classes_are_counted_in_one_pass(void **state)
{
	struct world *world = *state;
	struct classes classes;
	struct npf_class_stats stats[NPF_MAX_CLASSES];
	uint32_t n = NPF_MAX_CLASSES;
	uint64_t time;

	make_classes(&classes);
	classes.classes[63].program.length = 0;
	assert_int_equal(npf_set_classes(world->instance, classes.classes, NPF_MAX_CLASSES), 0);
	for (uint32_t i = 0; i < 4 * 63; i++) {
		if (i / 63 < i % 63 % 4)
			send_now(world, 50, i % 63);
	}
	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, &time), 0);
	assert_int_equal(n, NPF_MAX_CLASSES);
	assert_int_equal(time, NPF_SIM_EPOCH + world_now(world));
	for (uint32_t i = 0; i < 63; i++) {
		uint64_t packets = i % 4;

		assert_int_equal(stats[i].packets, packets);
		assert_int_equal(stats[i].bytes, packets * 50);
		assert_int_equal(stats[i].line_bytes, packets * 72);
	}
	assert_int_equal(stats[63].packets, 15 * 6 + 1 + 2);
}

static void class_counters_are_never_reset_by_reading(void **state)
{
	struct world *world = *state;
	struct npf_class_stats stats;
	uint32_t n = 1;

	send_many(world, 4, 60, 0);
	read_record(world);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(npf_get_class_stats(world->instance, &stats, &n, NULL), 0);
		assert_int_equal(n, 1);
		assert_int_equal(stats.packets, 4);
		assert_int_equal(stats.bytes, 240);
		assert_int_equal(stats.line_bytes, 288);
	}
}

static void room_for_fewer_classes_is_refused_and_tells_how_many(void **state)
{
	struct world *world = *state;
	struct classes classes;
	struct npf_class_stats stats[3];
	uint32_t n = 2;

	make_classes(&classes);
	assert_int_equal(npf_set_classes(world->instance, classes.classes, 3), 0);
	assert_fails(world->instance, npf_get_class_stats(world->instance, stats, &n, NULL),
		     -ENOBUFS);
	assert_int_equal(n, 3);
	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, NULL), 0);
}

static void refused_classes_leave_the_old_ones(void **state)
{
	struct world *world = *state;
	struct classes classes;
	struct npf_class_stats stats[3];
	uint32_t n = 3;
	struct npf_class *all = classes.classes;

	make_classes(&classes);
	assert_int_equal(npf_set_classes(world->instance, all, 3), 0);
	send_many(world, 3, 60, 0);

	assert_fails(world->instance, npf_set_classes(world->instance, all, 65), -EINVAL);
	assert_fails(world->instance, npf_set_classes(world->instance, all, UINT32_MAX), -EINVAL);
	assert_fails(world->instance, npf_set_classes(world->instance, NULL, 1), -EINVAL);
	classes.insns[1][1].jf = 200;
	assert_fails(world->instance, npf_set_classes(world->instance, all, 2), -EINVAL);
	assert_non_null(strstr(npf_error(world->instance), "c01"));
	assert_non_null(strstr(npf_error(world->instance), "instruction"));
	make_classes(&classes);
	memset(all[1].name, 'x', sizeof(all[1].name));
	assert_fails(world->instance, npf_set_classes(world->instance, all, 2), -EINVAL);
	memset(all[1].name, 0, sizeof(all[1].name));
	assert_fails(world->instance, npf_set_classes(world->instance, all, 2), -EINVAL);
	all[1] = all[0];
	assert_fails(world->instance, npf_set_classes(world->instance, all, 2), -EINVAL);
	all[1].program.length = NPF_MAX_INSNS + 1;
	assert_fails(world->instance, npf_set_classes(world->instance, all, 2), -EINVAL);

	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, NULL), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(stats[i].packets, 1);
	assert_int_equal(npf_set_classes(world->instance, NULL, 0), 0);
	n = 1;
	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, NULL), 0);
}

static void classes_and_filter_do_not_disturb_each_other(void **state)
{
	struct npf_insn nothing[] = { INSN_RET(0) };
	struct npf_program program = PROGRAM(nothing);
	struct world *world = *state;
	struct classes classes;
	struct npf_class_stats stats[2];
	uint32_t n = 2;

	make_classes(&classes);
	assert_int_equal(npf_set_classes(world->instance, classes.classes, 2), 0);
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	send_many(world, 2, 60, 0);
	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, NULL), 0);
	assert_int_equal(stats[0].packets, 1);
	assert_int_equal(npf_set_classes(world->instance, NULL, 0), 0);
	send_many(world, 2, 60, 0);
	n = 1;
	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, NULL), 0);
	assert_int_equal(stats[0].packets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		COUNTING(item_09_record_each_interval_then_counters_restart),
		COUNTING(item_09_interval_holds_when_a_reader_is_late),
		COUNTING(item_09_only_what_the_filter_accepts_is_counted),
		COUNTING(statistics_need_no_buffer_and_store_nothing),
		COUNTING(timeout_zero_means_a_second_and_minus_one_at_once),
		COUNTING(buffer_below_a_record_is_refused),
		CAPTURING(packets_of_an_earlier_capture_come_first),
		COUNTING(entering_the_mode_restarts_its_counters),
		COUNTING(all_classes_are_counted_in_one_pass),
		COUNTING(class_counters_are_never_reset_by_reading),
		COUNTING(room_for_fewer_classes_is_refused_and_tells_how_many),
		COUNTING(refused_classes_leave_the_old_ones),
		COUNTING(classes_and_filter_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
