/* SPDX-License-Identifier: BSD-3-Clause */
/* /proc/net/softnet_stat of machines with more CPUs than one call of read brings lines for. */
#include "lib/check.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/linux/linux.h"

/* A line as the kernel writes it; all numbers but the second are there to be mistaken for it. */
static void put_line(FILE *file, uint32_t dropped)
{
	fprintf(file, "%08x %08x", 0xffffffffu, dropped);
	for (int i = 0; i < 13; i++)
		fprintf(file, " %08x", 0xabcdef01u);
	fputc('\n', file);
}

/* The file of so many CPUs; the sum of what they dropped, in 32 bits as they count. */
static FILE *make_file(uint32_t cpus, uint32_t first, uint32_t *sum)
{
	int fd = memfd_create("softnet_stat", MFD_CLOEXEC);
	FILE *file = fdopen(fd, "w+");

	assert_non_null(file);
	*sum = 0;
	for (uint32_t i = 0; i < cpus; i++) {
		put_line(file, first + i);
		*sum += first + i;
	}
	assert_int_equal(fflush(file), 0);
	return file;
}

static void all_cpus_count(void **state)
{
	static const uint32_t cpus[] = { 1, 2, 29, 30, 31, 61, 512, 8192 };
	static const uint32_t firsts[] = { 0, 1, 0xabcdef, 0xffffff00 };

	(void)state;
	for (size_t i = 0; i < N_OF(cpus) * N_OF(firsts); i++) {
		uint32_t expected, got = 0;
		FILE *file = make_file(cpus[i / N_OF(firsts)], firsts[i % N_OF(firsts)], &expected);

		for (int again = 0; again < 2; again++) {
			assert_true(npf_send_counters_overrun(fileno(file), &got));
			assert_int_equal(got, expected);
		}
		fclose(file);
	}
}

static void nothing_is_no_number(void **state)
{
	uint32_t sum, got = 4711;
	FILE *file = make_file(0, 0, &sum);

	(void)state;
	assert_false(npf_send_counters_overrun(fileno(file), &got));
	assert_false(npf_send_counters_overrun(-1, &got));
	assert_int_equal(got, 4711);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cpus_count),
		cmocka_unit_test(nothing_is_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
