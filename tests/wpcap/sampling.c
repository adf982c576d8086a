/* SPDX-License-Identifier: BSD-3-Clause */
/* pcap_setsampling() on savefiles, by each way to read them. */
#include "wpcap/savefile.h"

#define N 20

static int setup(void **out)
{
	struct saved *saved = calloc(1, sizeof(*saved));

	assert_non_null(saved);
	saved_create(saved, N);
	*out = saved;
	return 0;
}

static int teardown(void **in)
{
	saved_remove(*in);
	free(*in);
	return 0;
}

static pcap_t *open_sampled(struct saved *saved, int method, int value)
{
	pcap_t *p = saved_open(saved);

	assert_int_equal(pcap_setsampling(p)->method, PCAP_SAMP_NOSAMP);
	pcap_setsampling(p)->method = method;
	pcap_setsampling(p)->value = value;
	return p;
}

static void a_loop_gives_one_in_n(void **in)
{
	static const uint8_t wanted[] = { 4, 9, 14, 19 };
	pcap_t *p = open_sampled(*in, PCAP_SAMP_1_EVERY_N, 5);
	struct saved_seen seen = { .p = p };

	assert_int_equal(pcap_loop(p, -1, saved_see, (u_char *)&seen), 0);
	assert_int_equal(seen.n, 4);
	assert_memory_equal(seen.numbers, wanted, 4);
	pcap_close(p);
}

static void a_count_counts_what_was_taken(void **in)
{
	pcap_t *p = open_sampled(*in, PCAP_SAMP_1_EVERY_N, 5);
	struct saved_seen seen = { .p = p };

	assert_int_equal(pcap_loop(p, 2, saved_see, (u_char *)&seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(pcap_dispatch(p, 1, saved_see, (u_char *)&seen), 1);
	assert_int_equal(seen.numbers[2], 14);
	assert_int_equal(pcap_dispatch(p, -1, saved_see, (u_char *)&seen), 1);
	assert_int_equal(seen.numbers[3], 19);
	assert_int_equal(pcap_dispatch(p, 5, saved_see, (u_char *)&seen), 0);
	assert_int_equal(pcap_loop(p, 5, saved_see, (u_char *)&seen), 0);
	assert_int_equal(seen.n, 4);
	pcap_close(p);
}

static void single_packets_are_sampled(void **in)
{
	pcap_t *p = open_sampled(*in, PCAP_SAMP_1_EVERY_N, 7);
	struct pcap_pkthdr *header, copy;
	const u_char *data;

	assert_int_equal(pcap_next_ex(p, &header, &data), 1);
	assert_int_equal(data[14], 6);
	data = pcap_next(p, &copy);
	assert_non_null(data);
	assert_int_equal(data[14], 13);
	assert_int_equal(copy.caplen, SAVED_LENGTH);
	assert_int_equal(pcap_next_ex(p, &header, &data), PCAP_ERROR_BREAK);
	assert_null(pcap_next(p, &copy));
	pcap_close(p);
}

/* Packets are 10 ms apart. */
static void the_first_after_a_time(void **in)
{
	static const uint8_t wanted[] = { 0, 5, 10, 15 };
	pcap_t *p = open_sampled(*in, PCAP_SAMP_FIRST_AFTER_N_MS, 45);
	struct saved_seen seen = { .p = p };

	assert_int_equal(pcap_dispatch(p, -1, saved_see, (u_char *)&seen), 4);
	assert_memory_equal(seen.numbers, wanted, 4);
	pcap_close(p);
}

static void nanoseconds_are_no_microseconds(void **in)
{
	struct saved *saved = *in;
	pcap_t *p = pcap_open_offline_with_tstamp_precision(saved->path, PCAP_TSTAMP_PRECISION_NANO,
							    saved->errbuf);
	struct saved_seen seen = { .p = p };

	assert_non_null(p);
	pcap_setsampling(p)->method = PCAP_SAMP_FIRST_AFTER_N_MS;
	pcap_setsampling(p)->value = 95;
	assert_int_equal(pcap_loop(p, 0, saved_see, (u_char *)&seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.numbers[1], 10);
	pcap_close(p);
}

static void a_break_is_told_once(void **in)
{
	pcap_t *p = open_sampled(*in, PCAP_SAMP_1_EVERY_N, 2);
	struct saved_seen seen = { .p = p, .stop_at = 2 };

	assert_int_equal(pcap_dispatch(p, 5, saved_see, (u_char *)&seen), 2);
	assert_int_equal(pcap_dispatch(p, 5, saved_see, (u_char *)&seen), PCAP_ERROR_BREAK);
	assert_int_equal(pcap_dispatch(p, 1, saved_see, (u_char *)&seen), 1);
	assert_int_equal(seen.numbers[2], 5);
	seen.stop_at = 4;
	assert_int_equal(pcap_loop(p, -1, saved_see, (u_char *)&seen), PCAP_ERROR_BREAK);
	assert_int_equal(seen.n, 4);
	pcap_close(p);
}

static void a_cut_file_is_an_error(void **in)
{
	struct saved *saved = *in;
	pcap_t *p = open_sampled(saved, PCAP_SAMP_1_EVERY_N, 2);
	struct saved_seen seen = { .p = p };

	assert_int_equal(truncate(saved->path, 24 + 3 * (16 + SAVED_LENGTH) + 20), 0);
	pcap_close(p);
	p = open_sampled(saved, PCAP_SAMP_1_EVERY_N, 2);
	seen.p = p;
	assert_int_equal(pcap_dispatch(p, -1, saved_see, (u_char *)&seen), PCAP_ERROR);
	assert_non_null(strstr(pcap_geterr(p), "truncated"));
	assert_int_equal(seen.n, 1);
	pcap_close(p);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_loop_gives_one_in_n),           TEST(a_count_counts_what_was_taken),
		TEST(single_packets_are_sampled),      TEST(the_first_after_a_time),
		TEST(nanoseconds_are_no_microseconds), TEST(a_break_is_told_once),
		TEST(a_cut_file_is_an_error),
	};

	if (sanitized())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
