/* SPDX-License-Identifier: BSD-3-Clause */
/* The adapter vanishes: what was captured is delivered, then all say so, and closing works. */
#include "lib/world.h"

static void unplug(void *arg)
{
	assert_int_equal(npf_sim_remove_adapter(arg, "eth0"), 0);
}

static void item_13_blocked_read_returns(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_sim_at(world->host, 40 * MS, unplug, world->host), 0);
	assert_fails(world->instance, npf_read(world->instance, world->buffer, 1000), -ENODEV);
	assert_int_equal(world_now(world), 40 * MS);
	assert_fails(world->instance, npf_read(world->instance, world->buffer, 1000), -ENODEV);
	assert_fails(world->instance, npf_batch_begin(world->instance), -ENODEV);
}

static void item_13_buffered_packets_are_delivered_first(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	assert_int_equal(npf_set_timeout(world->instance, 0), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 60000), 0);
	send_many(world, 4, 100, 0);
	unplug(world->host);
	assert_int_equal(npf_batch_begin(world->instance) > 0, true);
	assert_true(npf_batch_next(world->instance, &packet));
	assert_true(frame_is(packet.data, 100, 0));
	npf_batch_end(world->instance);
	assert_int_equal(npf_read(world->instance, world->buffer, 130), 120);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 240);
	assert_int_equal(npf_read(world->instance, world->buffer, 1000), -ENODEV);
	assert_int_equal(stats_of(world->instance).captured, 4);
}

static void item_13_last_statistics_are_delivered_first(void **state)
{
	struct world *world = *state;
	int64_t packets;

	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_int_equal(npf_set_timeout(world->instance, 10000), 0);
	send_many(world, 3, 60, 0);
	unplug(world->host);
	assert_int_equal(npf_read(world->instance, world->buffer, 36), 36);
	memcpy(&packets, world->buffer + NPF_STAT_PACKETS_OFFSET, sizeof(packets));
	assert_int_equal(packets, 3);
	assert_true(world_now(world) < MS);
	assert_int_equal(npf_read(world->instance, world->buffer, 36), -ENODEV);
}

static void item_13_everything_else_says_so(void **state)
{
	struct npf_oid_data oid[2] = { { .oid = NPF_OID_GEN_LINK_SPEED, .length = 4 } };
	struct world *world = *state;
	struct npf_instance *again;
	struct npf_adapter adapter;

	unplug(world->host);
	assert_fails(world->instance, npf_write(world->instance, "frame", 5), -ENODEV);
	assert_fails(world->instance,
		     npf_io_control(world->instance, NPF_BIOCQUERYOID, oid, sizeof(oid), oid,
				    sizeof(oid), NULL),
		     -ENODEV);
	assert_fails(world->instance, npf_set_hw_filter(world->instance, NPF_FILTER_PROMISCUOUS),
		     -ENODEV);
	assert_int_equal(npf_instance_adapter(world->instance, &adapter), -ENODEV);
	assert_string_equal(adapter.name, "eth0");
	assert_int_equal(npf_open(world->driver, "eth0", NULL, &again, NULL), -ENODEV);
}

static void item_13_what_needs_no_adapter_still_works(void **state)
{
	struct npf_insn all[] = { INSN_RET(UINT32_MAX) };
	struct npf_program program = PROGRAM(all);
	struct world *world = *state;

	send_many(world, 2, 60, 0);
	unplug(world->host);
	assert_int_equal(stats_of(world->instance).captured, 2);
	assert_int_equal(npf_set_timeout(world->instance, 5), 0);
	assert_int_equal(npf_set_min_to_copy(world->instance, 5), 0);
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	assert_int_equal(npf_set_buffer(world->instance, 4096), 0);
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_STAT), 0);
	assert_int_equal(stats_of(world->instance).received, 0);
}

static void item_13_adapter_of_the_same_name_is_another(void **state)
{
	struct world *world = *state;
	struct npf_instance *again;

	unplug(world->host);
	assert_int_equal(npf_sim_add_adapter(world->host, "eth0"), 0);
	assert_int_equal(npf_open(world->driver, "eth0", NULL, &again, NULL), 0);
	send_now(world, 60, 0);
	assert_int_equal(stats_of(world->instance).received, 0);
	assert_int_equal(stats_of(again).received, 1);
	assert_fails(world->instance, npf_read(world->instance, world->buffer, 1000), -ENODEV);
	npf_close(again);
}

static void item_13_closing_is_safe_and_twice_is_fine(void **state)
{
	struct world *world = *state;

	send_many(world, 2, 60, 0);
	unplug(world->host);
	npf_cleanup(world->instance);
	npf_cleanup(world->instance);
	assert_fails(world->instance, npf_read(world->instance, world->buffer, 1000), -ECANCELED);
	npf_close(world->instance);
	npf_close(NULL);
	assert_int_equal(npf_sim_bindings(world->host), 0);
	world->instance = NULL;
}

static void what_was_known_of_the_adapter_goes_with_its_last_instance(void **state)
{
	struct world *world = *state;
	size_t memory = npf_sim_memory(world->host);
	struct npf_instance *instance;
	struct npf_adapter *list;
	size_t n;

	assert_int_equal(npf_open(world->driver, "eth1", NULL, &instance, NULL), 0);
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth1"), 0);
	assert_int_equal(npf_get_adapters_list(world->driver, &list, &n), 0);
	npf_free_adapters_list(world->driver, list);
	npf_close(instance);
	assert_true(npf_sim_memory(world->host) < memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_13_blocked_read_returns),
		CAPTURING(item_13_buffered_packets_are_delivered_first),
		IN_WORLD(item_13_last_statistics_are_delivered_first),
		CAPTURING(item_13_everything_else_says_so),
		CAPTURING(item_13_what_needs_no_adapter_still_works),
		CAPTURING(item_13_adapter_of_the_same_name_is_another),
		CAPTURING(item_13_closing_is_safe_and_twice_is_fine),
		IN_WORLD(what_was_known_of_the_adapter_goes_with_its_last_instance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
