/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths that are set: obeyed or refused, and waited for where another has what they take.
 */
#include "sim/queue.h"

static void paths_are_obeyed_or_refused(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	char reason[NPF_ERROR_SIZE];

	assert_int_equal(npf_get_send_path(world->instance), NPF_SEND_AUTO);
	assert_fails(world->instance, npf_set_send_path(world->instance, NPF_SEND_XSK), -ENOTSUP);
	assert_fails(world->instance,
		     npf_set_send_path(world->instance, (enum npf_send_path)NPF_SEND_PATHS),
		     -EINVAL);
	assert_int_equal(npf_check_send_path(world->instance, NPF_SEND_XSK, reason), -ENOTSUP);
	assert_true(strlen(reason) > 10);
	assert_int_equal(npf_check_send_path(world->instance, NPF_SEND_XDP, reason), 0);
	assert_int_equal(reason[0], '\0');
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_send_path(world->instance), NPF_SEND_SOCKET);
	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_XDP), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_send_path(world->instance), NPF_SEND_XDP);
	assert_int_equal(send_stats(world).by_path[NPF_SEND_XDP], 1);
	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_FASTEST), 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(send_stats(world).by_path[NPF_SEND_XDP], 2);
	for (int i = -1; i <= NPF_SEND_PATHS; i++)
		assert_true(npf_send_path_name((enum npf_send_path)i)[0]);
	for (int i = -1; i <= NPF_SEND_FAILED_N; i++)
		assert_true(npf_send_failure_name((enum npf_send_failure)i)[0]);
}

/* ---- a path that only one can have ----------------------------------------------------------- */

/* Who asks for it, and who sends by it, has it once the other has let go. */
static void a_path_is_waited_for(void **state)
{
	struct world *world = *state;
	uint64_t free = world_now(world) + 300 * MS;
	uint8_t frame[60] = { 0 };
	char reason[NPF_ERROR_SIZE];

	npf_sim_keep_path(world->host, NPF_SEND_XDP, free);
	assert_int_equal(npf_check_send_path(world->instance, NPF_SEND_XDP, reason), 0);
	assert_in_range(world_now(world), free, free + 1 * MS);
	free = world_now(world) + 300 * MS;
	npf_sim_keep_path(world->host, NPF_SEND_XDP, free);
	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_XDP), 0);
	assert_in_range(world_now(world), free, free + 1 * MS);
	free = world_now(world) + 300 * MS;
	npf_sim_keep_path(world->host, NPF_SEND_XDP, free);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
	assert_in_range(world_now(world), free, free + 1 * MS);
	assert_int_equal(send_stats(world).by_path[NPF_SEND_XDP], 1);
	assert_int_equal(send_stats(world).failed, 0);
}

static void a_path_is_not_waited_for_longer(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	char reason[NPF_ERROR_SIZE];
	uint64_t began;

	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_XDP), 0);
	began = world_now(world);
	npf_sim_keep_path(world->host, NPF_SEND_XDP, UINT64_MAX);
	assert_int_equal(npf_check_send_path(world->instance, NPF_SEND_XDP, reason), -ENOTSUP);
	assert_true(strlen(reason) > 10);
	assert_int_equal(world_now(world), began + 500 * MS);
	assert_fails(world->instance, npf_set_send_path(world->instance, NPF_SEND_XDP), -ENOTSUP);
	assert_int_equal(world_now(world), began + 1000 * MS);
	assert_fails(world->instance, npf_write(world->instance, frame, sizeof(frame)), -ENOTSUP);
	assert_int_equal(world_now(world), began + 1500 * MS);
	assert_int_equal(send_stats(world).failed, 1);
	assert_int_equal(send_stats(world).handed, 0);
	npf_sim_keep_path(world->host, NPF_SEND_XDP, 0);
	assert_int_equal(npf_write(world->instance, frame, sizeof(frame)), sizeof(frame));
}

static void stop_sending(void *arg)
{
	npf_stop_sending(((struct world *)arg)->instance);
}

static void a_stop_ends_the_wait_for_a_path(void **state)
{
	struct world *world = *state;
	uint8_t frame[60] = { 0 };
	uint64_t began = world_now(world);

	npf_sim_keep_path(world->host, NPF_SEND_XDP, UINT64_MAX);
	assert_int_equal(npf_sim_at(world->host, began + 100 * US, stop_sending, world), 0);
	assert_fails(world->instance, npf_set_send_path(world->instance, NPF_SEND_XDP), -EINTR);
	assert_int_equal(world_now(world), began + 100 * US);
	npf_sim_keep_path(world->host, NPF_SEND_XDP, 0);
	assert_int_equal(npf_set_send_path(world->instance, NPF_SEND_XDP), 0);
	npf_sim_keep_path(world->host, NPF_SEND_XDP, UINT64_MAX);
	assert_int_equal(npf_sim_at(world->host, began + 3 * MS, stop_sending, world), 0);
	assert_fails(world->instance, npf_write(world->instance, frame, sizeof(frame)), -EINTR);
	assert_int_equal(world_now(world), began + 3 * MS);
	assert_int_equal(send_stats(world).failed_by[NPF_SEND_FAILED_STOPPED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(paths_are_obeyed_or_refused),
		IN_WORLD(a_path_is_waited_for),
		IN_WORLD(a_path_is_not_waited_for_longer),
		IN_WORLD(a_stop_ends_the_wait_for_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
