/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing: how often a frame goes, and what is refused. */
#include "lib/world.h"

static void item_10_frames_go_as_often_as_asked(void **state)
{
	static const uint32_t times[] = { 1, 5, 2 };
	struct world *world = *state;
	uint8_t frame[60];
	size_t sent = 0;

	frame_fill(frame, sizeof(frame), 9);
	for (size_t i = 0; i < N_OF(times); i++) {
		assert_int_equal(control_u32(world->instance, NPF_BIOCSWRITEREP, times[i]), 0);
		assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
		for (uint32_t k = 0; k < times[i]; k++, sent++) {
			assert_true(frame_is(npf_sim_sent(world->host, sent)->data, 60, 9));
			assert_int_equal(npf_sim_sent(world->host, sent)->time, i * 777);
		}
		assert_null(npf_sim_sent(world->host, sent));
		npf_sim_advance(world->host, 777);
	}
	assert_int_equal(control_u32(world->instance, NPF_BIOCSWRITEREP, 0), 0);
	assert_int_equal(npf_write(world->instance, "frame", 5), 0);
	assert_null(npf_sim_sent(world->host, sent));
}

static void item_10_sizes_the_adapter_cannot_send_are_refused(void **state)
{
	struct world *world = *state;
	uint8_t frame[FRAME_MAX] = { 0 };

	assert_fails(world->instance, npf_write(world->instance, frame, 0), -EINVAL);
	assert_fails(world->instance, npf_write(world->instance, NULL, 60), -EINVAL);
	assert_fails(world->instance, npf_write(world->instance, frame, 1515), -EMSGSIZE);
	assert_fails(world->instance, npf_write(world->instance, frame, SIZE_MAX), -EMSGSIZE);
	assert_null(npf_sim_sent(world->host, 0));
	assert_int_equal(npf_write(world->instance, frame, 1514), 1514);
	assert_int_equal(npf_write(world->instance, frame, 1), 1);
	npf_sim_adapter(world->host, "eth0")->mtu = 1986;
	npf_sim_adapter(world->host, "eth0")->max_frame = 2000;
	assert_int_equal(npf_write(world->instance, frame, 2000), 2000);
	npf_sim_adapter(world->host, "eth0")->max_frame = 1000;
	assert_fails(world->instance, npf_write(world->instance, frame, 1001), -EMSGSIZE);
	npf_sim_adapter(world->host, "eth0")->flags = 0;
	assert_fails(world->instance, npf_write(world->instance, frame, 60), -ENETDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(item_10_frames_go_as_often_as_asked),
		CAPTURING(item_10_sizes_the_adapter_cannot_send_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
