/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When packets are due: exact to the nanosecond, however many went before. And rates as text.
 */
#include "lib/check.h"

#include "../../tools/npf/send/pace.h"

#define MILLION 1000000u

static void rates(void **state)
{
	static const struct {
		const char *text;
		enum npf_pace_kind kind;
		uint64_t millionths;
	} good[] = {
		{ "1", NPF_PACE_PACKETS, MILLION },
		{ "2500", NPF_PACE_PACKETS, 2500u * (uint64_t)MILLION },
		{ "10kpps", NPF_PACE_PACKETS, 10000u * (uint64_t)MILLION },
		{ "10Kpps", NPF_PACE_PACKETS, 10000u * (uint64_t)MILLION },
		{ "0.5pps", NPF_PACE_PACKETS, MILLION / 2 },
		{ "0.000001", NPF_PACE_PACKETS, 1 },
		{ "1.25Mp/s", NPF_PACE_PACKETS, 1250000u * (uint64_t)MILLION },
		{ "100Mbps", NPF_PACE_BITS, UINT64_C(100000000) * MILLION },
		{ "2.5Gbit/s", NPF_PACE_BITS, UINT64_C(2500000000) * MILLION },
		{ "64kbit", NPF_PACE_BITS, UINT64_C(64000) * MILLION },
		{ "1MBit/s", NPF_PACE_BITS, UINT64_C(1000000) * MILLION },
		{ "10mbps", NPF_PACE_BITS, UINT64_C(10000000) * MILLION },
		{ "1gbps", NPF_PACE_BITS, UINT64_C(1000000000) * MILLION },
		{ "100M", NPF_PACE_PACKETS, UINT64_C(100000000) * MILLION },
		{ "1000G", NPF_PACE_PACKETS, UINT64_C(1000000000000) * MILLION },
	};
	static const char *const bad[] = {
		"",        "0",       "0.0000001", "-1",   "pps",   "1.pps", ".5",
		"10 kpps", "10mmpps", "10kkpps",   "1xps", "1001G", "1e6",   "99999999999999999999",
		"100MBps", "1BPS",    "1MB/s",     "1MB",
	};
	struct npf_pace pace = { NPF_PACE_TOP, 42 };

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(npf_parse_rate(bad[i], &pace));
	assert_int_equal(pace.kind, NPF_PACE_TOP);
	assert_int_equal(pace.millionths, 42);
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(npf_parse_rate(good[i].text, &pace));
		assert_int_equal(pace.kind, good[i].kind);
		assert_int_equal(pace.millionths, good[i].millionths);
	}
}

static void decimals(void **state)
{
	uint64_t millionths = 42;

	(void)state;
	assert_false(npf_parse_decimal("0", &millionths));
	assert_false(npf_parse_decimal("2x", &millionths));
	assert_int_equal(millionths, 42);
	assert_true(npf_parse_decimal("2.5", &millionths));
	assert_int_equal(millionths, 2500000);
	assert_true(npf_parse_decimal("1.2345678", &millionths));
	assert_int_equal(millionths, 1234567);
	assert_true(npf_parse_decimal("1.2345678k", &millionths));
	assert_int_equal(millionths, 1234567800);
}

/* A third of a second each: the error of one step would show after three. */
static void packets_do_not_drift(void **state)
{
	struct npf_schedule schedule;

	(void)state;
	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_PACKETS, 3 * MILLION });
	for (uint64_t i = 0; i < 3000; i++)
		assert_int_equal(npf_schedule_next(&schedule, 77, 60), i * UINT64_C(1000000000) / 3);
}

static void bits_follow_lengths(void **state)
{
	static const uint32_t lengths[] = { 60, 1514, 100, 60 };
	struct npf_schedule schedule;
	uint64_t bits = 0;

	(void)state;
	npf_schedule_init(&schedule,
			  (struct npf_pace){ NPF_PACE_BITS, UINT64_C(8000000) * MILLION });
	for (uint64_t i = 0; i < 4000; i++) {
		uint32_t length = lengths[i % N_OF(lengths)];

		/* 8 Mbit/s: one byte each microsecond */
		assert_int_equal(npf_schedule_next(&schedule, 0, length), bits / 8 * 1000);
		bits += (uint64_t)length * 8;
	}
}

static void top_speed_is_at_once(void **state)
{
	struct npf_schedule schedule;

	(void)state;
	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_TOP, 0 });
	assert_int_equal(npf_schedule_next(&schedule, 5, 60), 0);
	assert_int_equal(npf_schedule_next(&schedule, 500, 60), 0);
}

/* Twice the gaps of the file, with a packet that is stamped too early in between. */
static void time_stamps(void **state)
{
	static const struct {
		uint64_t time, due;
	} packets[] = { { 1000, 0 }, { 1017, 8 }, { 1010, 8 }, { 1017, 8 }, { 2001, 500 } };
	struct npf_schedule schedule;

	(void)state;
	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_RECORDED, 2 * MILLION });
	for (size_t i = 0; i < N_OF(packets); i++)
		assert_int_equal(npf_schedule_next(&schedule, packets[i].time, 60), packets[i].due);
	assert_int_equal(schedule.backwards, 1);
}

/* Ten packets every 100 ns, a thousand times over: the gap between rounds is one of theirs. */
static void rounds_follow_without_a_seam(void **state)
{
	struct npf_schedule schedule;

	(void)state;
	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_RECORDED, MILLION });
	for (uint64_t round = 0; round < 1000; round++) {
		for (uint64_t i = 0; i < 10; i++)
			assert_int_equal(npf_schedule_next(&schedule, 5000 + i * 100, 60),
					 (round * 10 + i) * 100);
		npf_schedule_pass(&schedule);
	}
	assert_int_equal(schedule.backwards, 0);
}

/* A pass of one packet has no gap, and one of none takes no time. */
static void short_rounds(void **state)
{
	struct npf_schedule schedule;

	(void)state;
	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_RECORDED, MILLION });
	assert_int_equal(npf_schedule_next(&schedule, 9000, 60), 0);
	npf_schedule_pass(&schedule);
	npf_schedule_pass(&schedule);
	assert_int_equal(npf_schedule_next(&schedule, 100, 60), 0);
	assert_int_equal(npf_schedule_next(&schedule, 150, 60), 50);
	npf_schedule_pass(&schedule);
	assert_int_equal(npf_schedule_next(&schedule, 100, 60), 100);
}

/* What does not fit is later than everything: a wrapped time would go at once. */
static void far_times_stay_far(void **state)
{
	const uint64_t gap = UINT64_C(4000000000) * 1000000000u;
	struct npf_schedule schedule;

	(void)state;
	assert_true(npf_time_add(UINT64_MAX - 1, 1) == UINT64_MAX);
	assert_true(npf_time_add(UINT64_MAX, UINT64_MAX) == UINT64_MAX);
	assert_int_equal(npf_time_add(3, 4), 7);
	assert_int_equal(npf_time_of(3, 4), UINT64_C(3000000004));
	assert_true(npf_time_of(UINT64_MAX / 1000, 0) == UINT64_MAX);
	assert_true(npf_time_of(UINT64_MAX / 1000000000u, 999999999) == UINT64_MAX);

	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_RECORDED, 1 });
	assert_int_equal(npf_schedule_next(&schedule, 0, 60), 0);
	assert_true(npf_schedule_next(&schedule, gap, 60) == UINT64_MAX);

	npf_schedule_init(&schedule, (struct npf_pace){ NPF_PACE_RECORDED, MILLION });
	for (uint64_t round = 0, least = 0; round < 20; round++) {
		uint64_t due;

		npf_schedule_next(&schedule, 0, 60);
		due = npf_schedule_next(&schedule, gap, 60);
		assert_true(due >= least);
		least = due;
		npf_schedule_pass(&schedule);
	}
}

/* The first packet behind a plan must still be ahead when the next is made, late as timers are. */
static void plans_overlap(void **state)
{
	const uint64_t late = 50000000;

	(void)state;
	for (uint64_t now = 1; now < UINT64_C(1) << 62; now *= 2) {
		assert_true(npf_plan_again(now) > now);
		assert_true(npf_plan_again(now) + late < npf_plan_until(now));
	}
	assert_true(npf_plan_until(UINT64_MAX) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates),
		cmocka_unit_test(decimals),
		cmocka_unit_test(packets_do_not_drift),
		cmocka_unit_test(bits_follow_lengths),
		cmocka_unit_test(top_speed_is_at_once),
		cmocka_unit_test(time_stamps),
		cmocka_unit_test(rounds_follow_without_a_seam),
		cmocka_unit_test(short_rounds),
		cmocka_unit_test(far_times_stay_far),
		cmocka_unit_test(plans_overlap),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
