/* SPDX-License-Identifier: BSD-3-Clause */
/* The trace: which functions of the driver open, control and close, in which order and depth. */
#include "lib/world.h"

#include <stdio.h>

static char heard[4096];
static int depth;

static void listen_to(struct npf_host *host, const char *function, const char *what, bool begins)
{
	size_t used = strlen(heard);

	(void)host;
	if (begins)
		snprintf(heard + used, sizeof(heard) - used, "%*s%s%s%s\n", depth, "", function,
			 what ? " " : "", what ? what : "");
	depth += begins ? 1 : -1;
}

static int listening_setup(void **state)
{
	int err = world_setup(state);

	if (!err)
		((struct world *)*state)->host->trace = listen_to;
	heard[0] = '\0';
	depth = 0;
	return err;
}

#define LISTENING(test) cmocka_unit_test_setup_teardown(test, listening_setup, world_teardown)

static void opening_is_a_chain(void **state)
{
	struct world *world = *state;
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "eth1", NULL, &instance, NULL), 0);
	assert_string_equal(heard, "npf_open eth1\n"
				   " nic.open eth1\n");
	assert_int_equal(depth, 0);
	npf_close(instance);
}

static void closing_is_a_chain(void **state)
{
	struct world *world = *state;

	npf_close(world->instance);
	world->instance = NULL;
	assert_string_equal(heard, "npf_close\n"
				   " npf_cleanup\n"
				   "  npf_close_open_instance\n"
				   "  npf_close_binding\n"
				   "   nic.close\n"
				   "   npf_release_open_instance_resources\n");
	assert_int_equal(depth, 0);
}

static void what_fails_comes_back_up_too(void **state)
{
	struct world *world = *state;
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "nothing", NULL, &instance, NULL), -ENODEV);
	assert_int_equal(npf_open(world->driver, "", NULL, &instance, NULL), -ENODEV);
	assert_string_equal(heard, "npf_open nothing\n"
				   " nic.open nothing\n"
				   "npf_open \n");
	assert_int_equal(depth, 0);
}

static void control_codes_are_named(void **state)
{
	struct world *world = *state;

	assert_int_equal(npf_set_min_to_copy(world->instance, 100), 0);
	assert_int_equal(npf_io_control(world->instance, 1, NULL, 0, NULL, 0, NULL), -ENOTTY);
	assert_string_equal(heard, "npf_io_control BIOCSMINTOCOPY\n"
				   "npf_io_control of an unknown code\n");
}

static void the_driver_comes_and_goes(void **state)
{
	struct world *world = *state;
	struct npf_driver *driver;

	assert_int_equal(npf_driver_entry(world->host, &driver), 0);
	assert_int_equal(npf_unload(driver), 0);
	assert_string_equal(heard, "npf_driver_entry\nnpf_unload\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LISTENING(opening_is_a_chain),           LISTENING(closing_is_a_chain),
		LISTENING(what_fails_comes_back_up_too), LISTENING(control_codes_are_named),
		LISTENING(the_driver_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
