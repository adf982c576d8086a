/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every operation of the host fails once, at each place where it is called: the code comes back,
 * what was before goes on, nothing leaks. A scenario is one call into the driver; it is repeated
 * with its first, second, ... operation failing until one run meets no fault any more.
 */
#include "lib/world.h"

#include <sys/epoll.h>
#include <unistd.h>

#define FAULT (-EIO) /* what operations answer; an allocation's failure becomes -ENOMEM */

struct scenario {
	int (*act)(struct world *world);
	/* Is the state the new one, or else the old one, entirely? */
	void (*verify)(struct world *world, bool done);
};

/* A filter for frames number 1, of which one is pending behind two that were rejected. */
static int accept_only(struct npf_instance *instance, uint32_t n)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(n, 0, 1), INSN_RET(UINT32_MAX),
				    INSN_RET(0) };
	struct npf_program program = PROGRAM(insns);

	return npf_set_filter(instance, &program);
}

static void prepare(struct world *world)
{
	assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
	assert_int_equal(accept_only(world->instance, 1), 0);
	send_many(world, 3, 60, 0);
}

static void expect_old_capture(struct world *world)
{
	struct npf_stats stats = stats_of(world->instance);

	assert_int_equal(stats.received, 3);
	assert_int_equal(stats.captured, 1);
	assert_int_equal(stats.filtered, 2);
	assert_int_equal(stats.buffer_size, 65536);
	assert_int_equal(read_all(world, 60, 1), 1);
	send_many(world, 3, 60, 0);
	assert_int_equal(read_all(world, 60, 1), 1);
}

/* Run with the nth operation failing; was there an nth? */
static bool run_with_fault(const struct scenario *scenario, uint64_t nth)
{
	void *state;

	assert_int_equal(world_setup(&state), 0);

	struct world *world = state;

	prepare(world);

	size_t memory = npf_sim_memory(world->host);
	uint64_t before = npf_sim_operations(world->host);

	npf_sim_fail(world->host, nth, FAULT);

	int err = scenario->act(world);
	bool met = npf_sim_operations(world->host) - before >= nth;

	npf_sim_fail(world->host, 0, 0);
	assert_true(err == 0 || err == FAULT || err == -ENOMEM);
	assert_true(met || err == 0);
	if (err)
		assert_int_equal(npf_sim_memory(world->host), memory);
	scenario->verify(world, err == 0);
	assert_int_equal(world_teardown(&state), 0);
	return met;
}

static void run(const struct scenario *scenario)
{
	uint64_t nth = 1;

	while (run_with_fault(scenario, nth))
		nth++;
	assert_true(nth > 1);
}

/* ---- open ---------------------------------------------------------------------------------- */

static int open_eth1(struct world *world)
{
	struct npf_instance *instance = NULL;
	char error[NPF_ERROR_SIZE] = "";
	int err = npf_open(world->driver, "eth1", NULL, &instance, error);

	if (err) {
		assert_null(instance);
		assert_true(strlen(error) > 10);
	}
	npf_close(instance);
	return err;
}

static void verify_open(struct world *world, bool done)
{
	(void)done;
	assert_int_equal(npf_sim_bindings(world->host), 1);
	expect_old_capture(world);
	assert_int_equal(open_eth1(world), 0);
}

static void open_survives_every_fault(void **state)
{
	const struct scenario scenario = { open_eth1, verify_open };

	(void)state;
	run(&scenario);
}

static int list_adapters(struct world *world)
{
	struct npf_adapter *list = NULL;
	size_t n;

	npf_sim_add_adapter(world->host, "eth2");
	npf_sim_remove_adapter(world->host, "eth1");

	int err = npf_get_adapters_list(world->driver, &list, &n);

	if (!err)
		assert_int_equal(n, 2);
	npf_free_adapters_list(world->driver, list);
	return err;
}

static bool list_with_fault(uint64_t nth)
{
	void *state;

	assert_int_equal(world_setup(&state), 0);

	struct world *world = state;
	uint64_t before = npf_sim_operations(world->host);

	npf_sim_fail(world->host, nth, FAULT);

	int err = list_adapters(world);
	bool met = npf_sim_operations(world->host) - before >= nth;

	assert_int_equal(err != 0, met);
	npf_sim_fail(world->host, 0, 0);
	assert_int_equal(world_teardown(&state), 0);
	return met;
}

static void list_of_adapters_survives_every_fault(void **state)
{
	uint64_t nth = 1;

	(void)state;
	while (list_with_fault(nth))
		nth++;
	assert_true(nth > 3);
}

static void driver_entry_survives_every_fault(void **state)
{
	struct npf_host *host = npf_host_sim(2);
	struct npf_driver *driver;
	uint64_t nth = 1;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(npf_sim_add_adapter(host, "eth"), 0);
	for (;; nth++) {
		npf_sim_fail(host, nth, FAULT);

		int err = npf_driver_entry(host, &driver);

		if (!err)
			break;
		assert_true(err == FAULT || err == -ENOMEM);
		assert_int_equal(npf_sim_memory(host), 0);
	}
	assert_true(nth > 20);
	assert_int_equal(npf_unload(driver), 0);
	assert_int_equal(npf_sim_memory(host), 0);
	npf_host_sim_free(host);
}

/* ---- filter and buffer --------------------------------------------------------------------- */

static int set_filter(struct world *world)
{
	return accept_only(world->instance, 2);
}

static int set_filter_by_code(struct world *world)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(2, 0, 1), INSN_RET(UINT32_MAX),
				    INSN_RET(0) };

	return npf_io_control(world->instance, NPF_BIOCSETF, insns, sizeof(insns), NULL, 0, NULL);
}

static void verify_filter(struct world *world, bool done)
{
	if (!done) {
		expect_old_capture(world);
		return;
	}
	assert_int_equal(stats_of(world->instance).received, 0);
	send_many(world, 3, 60, 0);
	assert_int_equal(read_all(world, 60, 2), 1);
}

static void filter_survives_every_fault(void **state)
{
	const struct scenario plain = { set_filter, verify_filter };
	const struct scenario by_code = { set_filter_by_code, verify_filter };

	(void)state;
	run(&plain);
	run(&by_code);
}

static int set_buffer(struct world *world)
{
	return npf_set_buffer(world->instance, 131072);
}

static int remove_buffer(struct world *world)
{
	return npf_set_buffer(world->instance, 0);
}

static void verify_buffer(struct world *world, bool done)
{
	if (!done) {
		expect_old_capture(world);
		return;
	}
	assert_int_equal(stats_of(world->instance).buffer_size, 131072);
	assert_int_equal(stats_of(world->instance).received, 0);
	send_many(world, 3, 60, 0);
	assert_int_equal(read_all(world, 60, 1), 1);
}

static void verify_no_buffer(struct world *world, bool done)
{
	if (!done) {
		expect_old_capture(world);
		return;
	}
	send_many(world, 3, 60, 0);
	assert_int_equal(stats_of(world->instance).dropped_by[NPF_DROP_NO_BUFFER], 1);
}

static void buffer_survives_every_fault(void **state)
{
	const struct scenario larger = { set_buffer, verify_buffer };
	const struct scenario none = { remove_buffer, verify_no_buffer };

	(void)state;
	run(&larger);
	run(&none);
}

/* ---- classes ------------------------------------------------------------------------------- */

static int set_classes(struct world *world)
{
	struct npf_insn insns[] = { INSN_RET(1) };
	struct npf_class classes[] = {
		{ .name = "one", .program = PROGRAM(insns) },
		{ .name = "all" },
	};

	return npf_set_classes(world->instance, classes, N_OF(classes));
}

static void verify_classes(struct world *world, bool done)
{
	struct npf_class_stats stats[2];
	uint32_t n = 2;

	assert_int_equal(npf_get_class_stats(world->instance, stats, &n, NULL), 0);
	assert_int_equal(n, done ? 2 : 1);
	expect_old_capture(world);
}

static void classes_survive_every_fault(void **state)
{
	const struct scenario scenario = { set_classes, verify_classes };

	(void)state;
	run(&scenario);
}

/* ---- the adapter --------------------------------------------------------------------------- */

static int set_hw_filter(struct world *world)
{
	return npf_set_hw_filter(world->instance, NPF_FILTER_PROMISCUOUS);
}

static void verify_hw_filter(struct world *world, bool done)
{
	struct npf_sim_frame foreign = { .data = "not for us",
					 .length = 10,
					 .packet_type = NPF_TO_OTHER };
	uint32_t asked = npf_sim_hw_filter(world->host, "eth0");

	assert_int_equal(asked, done ? NPF_FILTER_PROMISCUOUS : 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &foreign), 0);
	assert_int_equal(stats_of(world->instance).received, done ? 4 : 3);
	if (!done)
		expect_old_capture(world);
}

static void hw_filter_survives_every_fault(void **state)
{
	const struct scenario scenario = { set_hw_filter, verify_hw_filter };

	(void)state;
	run(&scenario);
}

static int hide_own(struct world *world)
{
	return control_u32(world->instance, NPF_BIOCISETLOBBEH, NPF_DISABLE_LOOPBACK);
}

static void verify_hidden(struct world *world, bool done)
{
	if (!done)
		expect_old_capture(world);

	uint64_t before = stats_of(world->instance).received;

	assert_int_equal(npf_write(world->instance, "own", 3), 3);
	assert_int_equal(stats_of(world->instance).received - before, !done);
}

static void hiding_survives_every_fault(void **state)
{
	const struct scenario scenario = { hide_own, verify_hidden };

	(void)state;
	run(&scenario);
}

static int query_speed(struct world *world)
{
	struct npf_oid_data oid[2] = { { .oid = NPF_OID_GEN_LINK_SPEED, .length = 4 } };
	size_t returned;
	int err = npf_io_control(world->instance, NPF_BIOCQUERYOID, oid, sizeof(oid), oid,
				 sizeof(oid), &returned);

	assert_int_equal(returned > 0, err == 0);
	return err;
}

static int ask_adapter(struct world *world)
{
	struct npf_adapter adapter;

	return npf_instance_adapter(world->instance, &adapter);
}

static void verify_old(struct world *world, bool done)
{
	(void)done;
	expect_old_capture(world);
}

static void questions_survive_every_fault(void **state)
{
	const struct scenario oid = { query_speed, verify_old };
	const struct scenario adapter = { ask_adapter, verify_old };

	(void)state;
	run(&oid);
	run(&adapter);
}

static int write_frame(struct world *world)
{
	int64_t n = npf_write(world->instance, "short", 5);

	return n < 0 ? (int)n : 0;
}

static void verify_write(struct world *world, bool done)
{
	assert_int_equal(npf_sim_sent(world->host, 0) != NULL, done);
	assert_int_equal(write_frame(world), 0);
	assert_int_equal(read_all(world, 60, 1), 1);
}

static void writing_survives_every_fault(void **state)
{
	const struct scenario scenario = { write_frame, verify_write };

	(void)state;
	run(&scenario);
}

static int join(struct world *world)
{
	int32_t poller = epoll_create1(EPOLL_CLOEXEC);
	int err = npf_io_control(world->instance, NPF_BIOCSETEVENTHANDLE, &poller, sizeof(poller),
				 NULL, 0, NULL);

	close(poller);
	return err;
}

static void verify_join(struct world *world, bool done)
{
	assert_int_equal(join(world), done ? -EINVAL : 0);
	expect_old_capture(world);
}

static void event_survives_every_fault(void **state)
{
	const struct scenario scenario = { join, verify_join };

	(void)state;
	run(&scenario);
}

/* ---- what cannot fail ---------------------------------------------------------------------- */

static void reading_and_closing_need_nothing_that_can_fail(void **state)
{
	struct world *world = *state;

	prepare(world);

	uint64_t before = npf_sim_operations(world->host);

	assert_int_equal(npf_set_timeout(world->instance, 5), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 5), 0);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	assert_int_equal(npf_set_timestamp_mode(world->instance, NPF_TIMESTAMP_COARSE), 0);
	assert_int_equal(npf_read(world->instance, world->buffer, 20), 20);
	stats_of(world->instance);
	npf_cleanup(world->instance);
	assert_int_equal(npf_sim_operations(world->host), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_survives_every_fault),
		cmocka_unit_test(list_of_adapters_survives_every_fault),
		cmocka_unit_test(driver_entry_survives_every_fault),
		cmocka_unit_test(filter_survives_every_fault),
		cmocka_unit_test(buffer_survives_every_fault),
		cmocka_unit_test(classes_survive_every_fault),
		cmocka_unit_test(hw_filter_survives_every_fault),
		cmocka_unit_test(hiding_survives_every_fault),
		cmocka_unit_test(questions_survive_every_fault),
		cmocka_unit_test(writing_survives_every_fault),
		cmocka_unit_test(event_survives_every_fault),
		IN_WORLD(reading_and_closing_need_nothing_that_can_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
