/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wall clock and monotonic clock, which cannot be read at one moment: whatever time passes between
 * two looks, what they differ by never shrinks unless somebody sets the wall clock back.
 */
#include "lib/check.h"

#include "driver/host.h"

#define TRUTH  1700000000000000000ull
#define LOOKS  2000
#define SECOND 1000000000ull

struct clocks {
	struct npf_host host;
	uint64_t time, truth;
	uint64_t random;
	uint64_t longest; /* between two looks */
};

static void pass(struct clocks *clocks)
{
	clocks->random = clocks->random * 6364136223846793005ull + 1442695040888963407ull;
	clocks->time += (clocks->random >> 33) % (clocks->longest + 1);
}

static uint64_t now(struct npf_host *host)
{
	struct clocks *clocks = (struct clocks *)host;

	pass(clocks);
	return clocks->time;
}

static uint64_t wall(struct npf_host *host)
{
	struct clocks *clocks = (struct clocks *)host;

	pass(clocks);
	return clocks->time + clocks->truth;
}

static const struct npf_system_ops ticking = { .now = now, .wall = wall };

static struct clocks clocks_that_take(uint64_t longest)
{
	return (struct clocks){
		.host.system = &ticking,
		.time = 12345,
		.truth = TRUTH,
		.random = longest,
		.longest = longest,
	};
}

static const uint64_t takes[] = { 0, 1, 30, 400, 5000, 20000000 };

static void never_goes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(takes); i++) {
		struct clocks clocks = clocks_that_take(takes[i]);
		uint64_t known = npf_clock_offset(&clocks.host, 0);

		for (int look = 0; look < LOOKS; look++) {
			uint64_t offset = npf_clock_offset(&clocks.host, known);

			assert_true(offset >= known);
			assert_true(offset <= TRUTH);
			known = offset;
		}
		assert_true(TRUTH - known <= takes[i]);
	}
}

/* A first look that something came between is mended by the next. */
static void comes_closer(void **state)
{
	struct clocks clocks = clocks_that_take(20000000);
	uint64_t known = npf_clock_offset(&clocks.host, 0);

	(void)state;
	assert_true(TRUTH - known > NPF_CLOCK_GOOD);
	clocks.longest = 30;
	assert_in_range(npf_clock_offset(&clocks.host, known), TRUTH - 60, TRUTH);
}

static void follows_steps(void **state)
{
	static const int64_t steps[] = { -1, 1, -3600, 7200, -400000 };

	(void)state;
	for (size_t i = 0; i < N_OF(takes); i++) {
		struct clocks clocks = clocks_that_take(takes[i]);
		uint64_t known = npf_clock_offset(&clocks.host, 0);

		for (size_t step = 0; step < N_OF(steps); step++) {
			clocks.truth += (uint64_t)steps[step] * SECOND;
			known = npf_clock_offset(&clocks.host, known);
			assert_in_range(known, clocks.truth - 2 * takes[i], clocks.truth);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_goes_back),
		cmocka_unit_test(comes_closer),
		cmocka_unit_test(follows_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
