/* SPDX-License-Identifier: BSD-3-Clause */
/* Own sends: visible, hidden, what hiding empties. */
#include "lib/world.h"

static int hide(struct npf_instance *instance, uint32_t behaviour)
{
	return control_u32(instance, NPF_BIOCISETLOBBEH, behaviour);
}

static void write_frame(struct npf_instance *instance, uint32_t seq)
{
	uint8_t frame[60];

	frame_fill(frame, sizeof(frame), seq);
	assert_int_equal(npf_write(instance, frame, sizeof(frame)), sizeof(frame));
}

static struct npf_instance *open_other(struct world *world)
{
	struct npf_instance *other;

	assert_int_equal(npf_open(world->driver, "eth0", NULL, &other, NULL), 0);
	assert_int_equal(npf_set_buffer(other, 65536), 0);
	return other;
}

static void item_12_own_sends_are_visible_at_first(void **state)
{
	struct world *world = *state;
	struct npf_instance *other = open_other(world);

	write_frame(world->instance, 1);
	write_frame(other, 2);
	assert_int_equal(read_all(world, 60, 1), 2);
	npf_close(other);
}

static void item_12_hidden_own_sends_are_invisible_others_are_not(void **state)
{
	struct world *world = *state;
	struct npf_instance *other = open_other(world);

	assert_int_equal(hide(world->instance, NPF_DISABLE_LOOPBACK), 0);
	write_frame(world->instance, 1);
	write_frame(other, 2);
	send_now(world, 60, 3);
	assert_int_equal(stats_of(world->instance).received, 2);
	assert_int_equal(stats_of(other).received, 3);
	assert_int_equal(read_all(world, 60, 2), 2);

	assert_int_equal(hide(world->instance, NPF_ENABLE_LOOPBACK), 0);
	write_frame(world->instance, 4);
	assert_int_equal(read_all(world, 60, 4), 1);
	npf_close(other);
}

static void item_12_hiding_empties_the_ring_showing_does_not(void **state)
{
	struct world *world = *state;

	send_many(world, 5, 60, 0);
	assert_int_equal(hide(world->instance, NPF_DISABLE_LOOPBACK), 0);
	assert_int_equal(stats_of(world->instance).received, 0);
	assert_int_equal(read_all(world, 60, 0), 0);
	send_many(world, 5, 60, 0);
	assert_int_equal(hide(world->instance, NPF_ENABLE_LOOPBACK), 0);
	assert_int_equal(stats_of(world->instance).received, 5);
	assert_int_equal(read_all(world, 60, 0), 5);
}

static void item_12_odd_behaviours_change_nothing(void **state)
{
	static const uint32_t odd[] = { 0, 3, 0x10001, UINT32_MAX };
	struct world *world = *state;

	send_many(world, 5, 60, 0);
	for (size_t i = 0; i < N_OF(odd); i++)
		assert_fails(world->instance, hide(world->instance, odd[i]), -EINVAL);
	write_frame(world->instance, 5);
	assert_int_equal(read_all(world, 60, 0), 6);
}

static void item_12_hiding_survives_a_new_buffer(void **state)
{
	struct world *world = *state;

	assert_int_equal(hide(world->instance, NPF_DISABLE_LOOPBACK), 0);
	assert_int_equal(npf_set_buffer(world->instance, 32768), 0);
	write_frame(world->instance, 1);
	assert_int_equal(stats_of(world->instance).received, 0);
}

static void loopback_adapter_shows_each_packet_once(void **state)
{
	struct world *world = *state;
	struct npf_sim_frame frame = { .data = "a packet to itself", .length = 18 };
	struct npf_instance *instance;

	assert_int_equal(npf_sim_add_adapter(world->host, "lo"), 0);
	npf_sim_adapter(world->host, "lo")->flags |= NPF_ADAPTER_LOOPBACK;
	assert_int_equal(npf_open(world->driver, "lo", NULL, &instance, NULL), 0);
	assert_int_equal(npf_set_buffer(instance, 4096), 0);
	frame.packet_type = NPF_FROM_HOST;
	assert_int_equal(npf_sim_send(world->host, "lo", 0, &frame), 0);
	frame.packet_type = NPF_TO_HOST;
	assert_int_equal(npf_sim_send(world->host, "lo", 0, &frame), 0);
	assert_int_equal(stats_of(instance).received, 1);
	npf_close(instance);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_12_own_sends_are_visible_at_first),
		CAPTURING(item_12_hidden_own_sends_are_invisible_others_are_not),
		CAPTURING(item_12_hiding_empties_the_ring_showing_does_not),
		CAPTURING(item_12_odd_behaviours_change_nothing),
		CAPTURING(item_12_hiding_survives_a_new_buffer),
		IN_WORLD(loopback_adapter_shows_each_packet_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
