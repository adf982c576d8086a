/* SPDX-License-Identifier: BSD-3-Clause */
/* The drop-in's select(): what it answers by itself, and what it leaves to the kernel. */
#include "lib/check.h"

#include <sys/select.h>
#include <unistd.h>

#include "wpcap/dropin/dropin.h"

/* Two pipes that nobody writes to; the kernel says that there is nothing to read. */
static int first, second;

static int setup(void **state)
{
	int a[2], b[2];

	(void)state;
	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	first = a[0];
	second = b[0];
	return 0;
}

static int ask(int n, bool both, bool write)
{
	struct timeval timeout = { 0 };
	fd_set read, writes;

	FD_ZERO(&read);
	FD_ZERO(&writes);
	FD_SET(first, &read);
	if (both)
		FD_SET(second, &read);

	int result = select(n, &read, write ? &writes : NULL, NULL, &timeout);

	assert_int_equal(FD_ISSET(first, &read) != 0, result == 1);
	return result;
}

static void a_descriptor_with_packets_at_hand_is_readable(void **state)
{
	(void)state;
	assert_int_equal(ask(second + 1, false, false), 0);
	npf_dropin_at_hand[first] = 1;
	assert_int_equal(ask(first + 1, false, false), 1);
	assert_int_equal(ask(FD_SETSIZE, false, false), 1);
	npf_dropin_at_hand[first] = 0;
	assert_int_equal(ask(first + 1, false, false), 0);
}

static void all_else_is_the_kernels(void **state)
{
	struct timeval timeout = { 0 };

	(void)state;
	npf_dropin_at_hand[first] = 1;
	assert_int_equal(ask(second + 1, true, false), 0);
	assert_int_equal(ask(first + 1, false, true), 0);
	assert_int_equal(select(0, NULL, NULL, NULL, &timeout), 0);
	npf_dropin_at_hand[first] = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_with_packets_at_hand_is_readable),
		cmocka_unit_test(all_else_is_the_kernels),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
