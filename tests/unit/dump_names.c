/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of dump files: patterns, numbers, what is refused, and the ring of the newest.
 */
#include "lib/check.h"

#include <stdio.h>
#include <time.h>

#include "../../tools/npf/dump/dump_names.h"

#define TIME (1700000000ull * 1000000000u + 123456789u) /* 2023-11-14 22:13:20 UTC */

static void patterns(void **state)
{
	static const struct {
		const char *path;
		bool several;
		uint64_t sequence;
		const char *directory, *name;
	} cases[] = {
		{ "trace.pcap", false, 1, ".", "trace.pcap" },
		{ "trace.pcap", true, 1, ".", "trace-00001.pcap" },
		{ "trace", true, 99999, ".", "trace-99999" },
		{ ".hidden", true, 100000, ".", ".hidden-100000" },
		{ "a.b/trace.old.pcapng", true, 12, "a.b", "trace.old-00012.pcapng" },
		{ "/trace.pcap", false, 1, "/", "trace.pcap" },
		{ "/var/100%/%i.pcap", true, 7, "/var/100%", "00007.pcap" },
		{ "../t-%Y%m%d-%H%M%S-%i.pcap", true, 3, "..", "t-20231114-221320-00003.pcap" },
		{ "t-%Y%m%d-%H%M%S.pcap", true, 3, ".", "t-20231114-221320-00003.pcap" },
		{ "%s%%%j", false, 1, ".", "1700000000%318" },
		{ "%%i", true, 4, ".", "%i-00004" },
		{ "%F_%T", false, 1, ".", "2023-11-14_22:13:20" },
	};
	struct npf_names names;
	char error[NPF_ERROR_SIZE], name[NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		assert_int_equal(npf_names_init(&names, cases[i].path, cases[i].several, error), 0);
		assert_string_equal(names.directory, cases[i].directory);
		assert_int_equal(npf_names_make(&names, cases[i].sequence, TIME, name), 0);
		assert_string_equal(name, cases[i].name);
		assert_true(!cases[i].several || names.counted);
	}
}

static void refused(void **state)
{
	static const char *const bad[] = { "",       "/",       "dir/",    ".",  "..", "a/..",
					   "trace%", "%Q.pcap", "%D.pcap", "%c", "%n", "%E" };
	char longest[NAME_MAX + 1], error[NPF_ERROR_SIZE], name[NAME_MAX + 1];
	struct npf_names names;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		error[0] = '\0';
		assert_int_equal(npf_names_init(&names, bad[i], false, error), -EINVAL);
		assert_true(strlen(error) > 10);
	}
	/* Room for what is added to a name is kept. */
	memset(longest, 'a', NAME_MAX);
	longest[NAME_MAX] = '\0';
	assert_int_equal(npf_names_init(&names, longest, true, error), 0);
	assert_int_equal(npf_names_make(&names, 1, TIME, name), -ENAMETOOLONG);
	longest[NAME_MAX - 30] = '\0';
	assert_int_equal(npf_names_init(&names, longest, true, error), 0);
	assert_int_equal(npf_names_make(&names, 1, TIME, name), 0);
	/* Nothing but a conversion that leaves nothing, or a directory's name. */
	assert_int_equal(npf_names_init(&names, "%H", false, error), 0);
	assert_int_equal(npf_names_make(&names, 1, TIME, name), 0);
	assert_string_equal(name, "22");
}

static void ring(void **state)
{
	struct npf_name_ring ring;
	char name[16];

	(void)state;
	assert_int_equal(npf_name_ring_init(&ring, 3), 0);
	for (int i = 0; i < 100; i++) {
		const char *oldest = npf_name_ring_pop(&ring);

		if (i < 3) {
			assert_null(oldest);
		} else {
			snprintf(name, sizeof(name), "f%d", i - 3);
			assert_string_equal(oldest, name);
		}
		snprintf(name, sizeof(name), "f%d", i);
		npf_name_ring_push(&ring, name);
	}
	npf_name_ring_free(&ring);
	assert_int_equal(npf_name_ring_init(&ring, 0), 0);
	npf_name_ring_push(&ring, "a");
	assert_null(npf_name_ring_pop(&ring));
	npf_name_ring_free(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(refused),
		cmocka_unit_test(ring),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests_name("names of dump files", tests, NULL, NULL);
}
