/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening: what an instance is like then, what is refused, adapters that come and go. */
#include "lib/world.h"

static void item_01_read_fails_until_there_is_a_buffer(void **state)
{
	struct world *world = *state;

	assert_fails(world->instance, npf_read(world->instance, world->buffer, 65536), -EINVAL);
	assert_fails(world->instance, npf_batch_begin(world->instance), -EINVAL);
	send_now(world, 60, 0);
	assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
	send_now(world, 60, 1);
	assert_int_equal(read_all(world, 60, 1), 1);
}

static void item_01_no_filter_accepts_all_whole(void **state)
{
	struct world *world = *state;

	send_many(world, 20, 1514, 0);
	assert_int_equal(read_all(world, 1514, 0), 20);
	assert_int_equal(stats_of(world->instance).filtered, 0);
}

static void item_01_statistics_begin_at_zero(void **state)
{
	static const struct npf_stats zero;
	struct world *world = *state;
	struct npf_stats stats = stats_of(world->instance);

	assert_memory_equal(&stats, &zero, sizeof(stats));
	send_now(world, 60, 0);
	stats = stats_of(world->instance);
	assert_int_equal(stats.received, 1);
	assert_int_equal(stats.dropped_by[NPF_DROP_NO_BUFFER], 1);
}

static void item_01_reads_do_not_wait_and_writes_go_once(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_read(world->instance, world->buffer, 1000), 0);
	assert_int_equal(world_now(world), 0);
	assert_int_equal(npf_write(world->instance, "a frame", 7), 7);
	assert_non_null(npf_sim_sent(world->host, 0));
	assert_null(npf_sim_sent(world->host, 1));
}

static void item_01_hardware_filter_is_what_the_host_sees(void **state)
{
	struct npf_oid_data oid[2] = { { .oid = NPF_OID_GEN_CURRENT_PACKET_FILTER, .length = 4 } };
	struct world *world = *state;
	uint32_t bits;

	assert_int_equal(npf_io_control(world->instance, NPF_BIOCQUERYOID, oid, sizeof(oid), oid,
					sizeof(oid), NULL),
			 0);
	memcpy(&bits, oid[0].data, sizeof(bits));
	assert_int_equal(bits, NPF_FILTER_DEFAULT);
}

static void instances_are_independent(void **state)
{
	struct npf_insn nothing[] = { INSN_RET(0) };
	struct npf_program program = PROGRAM(nothing);
	struct world *world = *state;
	struct npf_instance *other, *elsewhere;

	assert_int_equal(npf_open(world->driver, "eth0", NULL, &other, NULL), 0);
	assert_int_equal(npf_open(world->driver, "eth1", NULL, &elsewhere, NULL), 0);
	assert_int_equal(npf_set_buffer(other, 4096), 0);
	assert_int_equal(npf_set_buffer(elsewhere, 4096), 0);
	assert_int_equal(npf_set_filter(other, &program), 0);

	send_many(world, 5, 100, 0);
	assert_int_equal(stats_of(world->instance).captured, 5);
	assert_int_equal(stats_of(other).filtered, 5);
	assert_int_equal(stats_of(elsewhere).received, 0);
	npf_close(other);
	npf_close(elsewhere);
	assert_int_equal(read_all(world, 100, 0), 5);
}

static void every_hook_can_be_asked_for(void **state)
{
	static const char *const names[] = { "auto", "tcx", "socket", "tpacket" };
	struct world *world = *state;

	for (int hook = NPF_HOOK_AUTO; hook <= NPF_HOOK_TPACKET; hook++) {
		struct npf_open_options options = { .size = sizeof(options),
						    .hook = (enum npf_hook)hook };
		struct npf_instance *instance;

		assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, NULL), 0);
		if (hook != NPF_HOOK_AUTO)
			assert_int_equal(npf_instance_hook(instance), hook);
		assert_int_not_equal(npf_instance_hook(instance), NPF_HOOK_AUTO);
		assert_string_equal(npf_hook_name((enum npf_hook)hook), names[hook]);
		npf_close(instance);
	}
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void unknown_adapters_and_odd_names_are_refused(void **state)
{
	static const char *const names[] = {
		"",
		"eth2",
		"eth",
		"eth00",
		"ETH0",
		"eth0 ",
		" eth0",
		"eth0\n",
		"../eth0",
		"%s%n%x",
		"\xff\xfe\x01",
		"caf\xc3\xa9",
		"a name of exactly 32 bytes, oops",
		"a name that is far longer than any interface's name can ever be, by a lot",
	};
	struct world *world = *state;
	size_t memory = npf_sim_memory(world->host);

	for (size_t i = 0; i < N_OF(names); i++) {
		struct npf_instance *instance = (void *)world;
		char error[NPF_ERROR_SIZE] = "";

		assert_int_equal(npf_open(world->driver, names[i], NULL, &instance, error), -ENODEV);
		assert_true(strlen(error) > 10);
		assert_ptr_equal(instance, world);
		assert_int_equal(npf_open(world->driver, names[i], NULL, &instance, NULL), -ENODEV);
	}
	assert_int_equal(npf_sim_memory(world->host), memory);
	assert_int_equal(npf_sim_bindings(world->host), 1);
}

static void adapters_may_have_odd_names(void **state)
{
	static const char name[] = "%s \xff\xc3;rm";
	struct world *world = *state;
	struct npf_instance *instance;

	assert_int_equal(npf_sim_add_adapter(world->host, name), 0);
	assert_int_equal(npf_open(world->driver, name, NULL, &instance, NULL), 0);
	npf_close(instance);
}

static void odd_options_are_refused(void **state)
{
	struct later {
		struct npf_open_options known;
		uint64_t unknown;
	} later = { .known = { .size = sizeof(later) } };
	struct npf_open_options options = { .size = sizeof(options) - 1 };
	struct world *world = *state;
	struct npf_instance *instance;
	char error[NPF_ERROR_SIZE] = "";

	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, error), -EINVAL);
	assert_true(strlen(error) > 10);
	options.size = 0;
	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, error), -EINVAL);
	options = (struct npf_open_options){ .size = sizeof(options), .hook = (enum npf_hook)4 };
	assert_true(npf_open(world->driver, "eth0", &options, &instance, error) < 0);

	assert_int_equal(npf_open(world->driver, "eth0", &later.known, &instance, error), 0);
	npf_close(instance);
	later.unknown = 1;
	assert_int_equal(npf_open(world->driver, "eth0", &later.known, &instance, error), -EINVAL);
}

static struct npf_instance *open_buffered(struct world *world, uint32_t bytes)
{
	const struct npf_open_options options = { .size = sizeof(options), .buffer = bytes };
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, NULL), 0);
	return instance;
}

static void a_buffer_may_be_there_from_the_beginning(void **state)
{
	struct world *world = *state;
	struct npf_instance *without = world->instance;

	world->instance = open_buffered(world, 65536);
	assert_int_equal(stats_of(world->instance).buffer_size, 65536);
	send_many(world, 20, 1000, 0);
	assert_int_equal(read_all(world, 1000, 0), 20);
	assert_int_equal(stats_of(without).dropped_by[NPF_DROP_NO_BUFFER], 20);
	npf_close(world->instance);

	/* Too small for a packet. */
	world->instance = open_buffered(world, 1);
	assert_int_equal(stats_of(world->instance).buffer_size, 0);
	assert_fails(world->instance, npf_batch_begin(world->instance), -EINVAL);
	npf_close(world->instance);
	world->instance = without;
}

static void a_buffer_that_cannot_be_is_no_opening(void **state)
{
	struct npf_open_options options = { .size = sizeof(options), .buffer = NPF_MAX_BUFFER + 1 };
	struct world *world = *state;
	struct npf_instance *instance = (void *)world;
	size_t memory = npf_sim_memory(world->host);
	char error[NPF_ERROR_SIZE] = "";

	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, error), -EINVAL);
	assert_non_null(strstr(error, "too large"));
	options.buffer = 65536;
	options.flags = NPF_OPEN_SEND_ONLY;
	assert_int_equal(npf_open(world->driver, "eth0", &options, &instance, error), -EINVAL);
	assert_ptr_equal(instance, world);
	assert_int_equal(npf_sim_memory(world->host), memory);
	assert_int_equal(npf_sim_bindings(world->host), 1);
}

/* Set anew the buffer is empty, whole and counts from zero, whether it is another one or not. */
static void the_size_that_it_has_empties_the_buffer(void **state)
{
	struct world *world = *state;
	uint32_t fits;

	assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
	send_many(world, 200, 1000, 0);
	fits = (uint32_t)stats_of(world->instance).captured;
	assert_true(fits >= 64 && fits < 200);
	for (uint32_t bytes = 65536; bytes <= 65537; bytes++) {
		assert_int_equal(npf_set_buffer(world->instance, bytes), 0);
		assert_int_equal(stats_of(world->instance).received, 0);
		assert_int_equal(stats_of(world->instance).buffer_used, 0);
		assert_int_equal(read_all(world, 1000, 0), 0);
		send_many(world, 64, 1000, 7);
		assert_int_equal(stats_of(world->instance).dropped, 0);
		assert_int_equal(stats_of(world->instance).buffer_size, bytes);
		assert_int_equal(read_all(world, 1000, 7), 64);
		send_many(world, 10, 1000, 0);
	}
}

/* ---- adapters ------------------------------------------------------------------------------ */

static bool listed(struct world *world, const char *name, uint32_t *index)
{
	struct npf_adapter *list;
	bool found = false;
	size_t n;

	assert_int_equal(npf_get_adapters_list(world->driver, &list, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(!i || list[i - 1].index < list[i].index);
		if (strcmp(list[i].name, name) != 0)
			continue;
		*index = list[i].index;
		found = true;
	}
	npf_free_adapters_list(world->driver, list);
	return found;
}

static void adapters_come_and_go_while_the_driver_runs(void **state)
{
	struct world *world = *state;
	struct npf_instance *instance;
	uint32_t first, again;

	assert_true(listed(world, "eth1", &first));
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth1"), 0);
	assert_false(listed(world, "eth1", &first));
	assert_int_equal(npf_open(world->driver, "eth1", NULL, &instance, NULL), -ENODEV);
	assert_int_equal(npf_sim_add_adapter(world->host, "eth1"), 0);
	assert_int_equal(npf_open(world->driver, "eth1", NULL, &instance, NULL), 0);
	assert_true(listed(world, "eth1", &again));
	assert_true(again > first);
	npf_close(instance);
}

static void many_adapters_are_listed(void **state)
{
	struct world *world = *state;
	struct npf_adapter *list;
	size_t n;

	for (int i = 0; i < 100; i++)
		assert_int_equal(npf_sim_add_adapter(world->host, "more"), 0);
	assert_int_equal(npf_get_adapters_list(world->driver, &list, &n), 0);
	assert_int_equal(n, 102);
	npf_free_adapters_list(world->driver, list);
}

static void adapter_is_described_as_it_is_now(void **state)
{
	struct world *world = *state;
	struct npf_adapter adapter;

	assert_int_equal(npf_instance_adapter(world->instance, &adapter), 0);
	assert_string_equal(adapter.name, "eth0");
	assert_int_equal(adapter.mtu, 1500);
	npf_sim_adapter(world->host, "eth0")->mtu = 9000;
	assert_int_equal(npf_instance_adapter(world->instance, &adapter), 0);
	assert_int_equal(adapter.mtu, 9000);
}

static void driver_with_instances_does_not_unload(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_unload(world->driver), -EBUSY);
	send_now(world, 60, 0);
	assert_int_equal(stats_of(world->instance).received, 1);
	npf_cleanup(world->instance);
	assert_int_equal(npf_unload(world->driver), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(item_01_read_fails_until_there_is_a_buffer),
		CAPTURING(item_01_no_filter_accepts_all_whole),
		IN_WORLD(item_01_statistics_begin_at_zero),
		CAPTURING(item_01_reads_do_not_wait_and_writes_go_once),
		IN_WORLD(item_01_hardware_filter_is_what_the_host_sees),
		CAPTURING(instances_are_independent),
		IN_WORLD(every_hook_can_be_asked_for),
		IN_WORLD(unknown_adapters_and_odd_names_are_refused),
		IN_WORLD(adapters_may_have_odd_names),
		IN_WORLD(odd_options_are_refused),
		IN_WORLD(a_buffer_may_be_there_from_the_beginning),
		IN_WORLD(a_buffer_that_cannot_be_is_no_opening),
		IN_WORLD(the_size_that_it_has_empties_the_buffer),
		IN_WORLD(adapters_come_and_go_while_the_driver_runs),
		IN_WORLD(many_adapters_are_listed),
		IN_WORLD(adapter_is_described_as_it_is_now),
		IN_WORLD(driver_with_instances_does_not_unload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
