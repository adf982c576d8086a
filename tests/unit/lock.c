/* SPDX-License-Identifier: BSD-3-Clause */
/* A lock knows whether this thread holds it, and is nobody else's. */
#include "lib/check.h"

#include <pthread.h>

#include "driver/lock.h"
#include "host/sim/sim.h"

#define ROUNDS  20000u
#define THREADS 3u

static void is_told_from_others(void **state)
{
	struct npf_host *host = npf_host_sim(1);
	struct npf_lock lock = { 0 };

	(void)state;
	assert_false(npf_lock_is_mine(&lock));
	npf_lock_take(host, &lock);
	assert_true(npf_lock_is_mine(&lock));
	lock.state |= NPF_LOCK_PARKED;
	assert_true(npf_lock_is_mine(&lock));
	npf_lock_release(host, &lock);
	assert_false(npf_lock_is_mine(&lock));
	/* Any other address is another thread's. */
	for (uint32_t bit = 1; bit < 8 * sizeof(lock.state); bit++) {
		lock.state = npf_lock_mark() ^ (uintptr_t)1 << bit;
		assert_false(npf_lock_is_mine(&lock));
	}
	npf_host_sim_free(host);
}

struct shared {
	struct npf_host *host;
	struct npf_lock lock;
	uint32_t count, strange;
};

static void *take_often(void *arg)
{
	struct shared *shared = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		npf_lock_take(shared->host, &shared->lock);
		shared->count++;
		shared->strange += !npf_lock_is_mine(&shared->lock);
		npf_lock_release(shared->host, &shared->lock);
	}
	return NULL;
}

static void one_at_a_time(void **state)
{
	struct shared shared = { .host = npf_host_sim(1) };
	pthread_t threads[THREADS];

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_often, &shared), 0);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared.count, THREADS * ROUNDS);
	assert_int_equal(shared.strange, 0);
	assert_int_equal(shared.lock.state, 0);
	npf_host_sim_free(shared.host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_told_from_others),
		cmocka_unit_test(one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
