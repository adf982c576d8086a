/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closing while others are inside: nobody hangs, nothing leaks, late calls are told. Threads meet
 * at a barrier and not at a time; what they find there differs from round to round, and every
 * order must be right.
 */
#include "lib/world.h"

#include <pthread.h>
#include <sched.h>

#define ROUNDS 150

static void item_18_calls_after_cleanup_are_cancelled(void **state)
{
	struct npf_insn all[] = { INSN_RET(UINT32_MAX) };
	struct npf_program program = PROGRAM(all);
	struct world *world = *state;
	struct npf_instance *at = world->instance;
	struct npf_adapter adapter;
	struct npf_class_stats stats;
	struct npf_stats counters;
	uint32_t n = 1;

	npf_cleanup(at);
	npf_cleanup(at);
	assert_fails(at, npf_read(at, world->buffer, 1000), -ECANCELED);
	assert_fails(at, npf_batch_begin(at), -ECANCELED);
	assert_fails(at, npf_write(at, "frame", 5), -ECANCELED);
	assert_fails(at, npf_set_filter(at, &program), -ECANCELED);
	assert_fails(at, npf_set_buffer(at, 4096), -ECANCELED);
	assert_fails(at, npf_io_control(at, 12345, NULL, 0, NULL, 0, NULL), -ECANCELED);
	assert_fails(at, npf_set_classes(at, NULL, 0), -ECANCELED);
	assert_fails(at, npf_get_stats(at, &counters), -ECANCELED);
	assert_fails(at, npf_get_class_stats(at, &stats, &n, NULL), -ECANCELED);
	assert_fails(at, npf_instance_adapter(at, &adapter), -ECANCELED);
	assert_int_equal(npf_poll_fd(at), -1);
	npf_stop_waiting(at);
	npf_batch_end(at);
	assert_int_equal(npf_sim_bindings(world->host), 0);
}

static void item_18_captured_packets_are_freed(void **state)
{
	struct world *world = *state;

	send_many(world, 100, 500, 0);
	assert_true(npf_sim_memory(world->host) > 65536);
	npf_close(world->instance);
	world->instance = NULL;
	assert_true(npf_sim_memory(world->host) < 4096);
}

/* ---- threads ------------------------------------------------------------------------------- */

struct worker {
	struct npf_instance *instance;
	pthread_barrier_t *start;
	int (*work)(struct npf_instance *instance);
	int last; /* what ended the work */
};

static void *work_until_refused(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(worker->start);
	do {
		worker->last = worker->work(worker->instance);
	} while (worker->last != -ECANCELED);
	return NULL;
}

static int work_read(struct npf_instance *instance)
{
	uint8_t buffer[256];

	return (int)npf_read(instance, buffer, sizeof(buffer));
}

static int work_batch(struct npf_instance *instance)
{
	struct npf_packet packet;
	int64_t n = npf_batch_begin(instance);

	while (n > 0 && npf_batch_next(instance, &packet))
		;
	if (n > 0)
		npf_batch_end(instance);
	return n < 0 ? (int)n : 0;
}

static int work_control(struct npf_instance *instance)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(0, 0, 1), INSN_RET(99), INSN_RET(1) };
	struct npf_program program = PROGRAM(insns);
	struct npf_stats stats;

	npf_set_filter(instance, &program);
	npf_set_min_to_copy(instance, 1000);
	npf_get_stats(instance, &stats);
	npf_set_mode(instance, NPF_MODE_STAT);
	npf_set_hw_filter(instance, NPF_FILTER_PROMISCUOUS);
	npf_set_mode(instance, NPF_MODE_CAPT);
	control_u32(instance, NPF_BIOCISETLOBBEH, NPF_DISABLE_LOOPBACK);
	control_u32(instance, NPF_BIOCISETLOBBEH, NPF_ENABLE_LOOPBACK);
	return npf_set_buffer(instance, 8192);
}

static int work_write(struct npf_instance *instance)
{
	return (int)npf_write(instance, "a frame of some bytes", 21);
}

static int work_stop(struct npf_instance *instance)
{
	struct npf_stats stats;

	npf_stop_waiting(instance);
	sched_yield();
	return npf_get_stats(instance, &stats);
}

/* One instance, one thread for each work, closed in the middle of it. */
static void close_during(struct world *world, int (*const *works)(struct npf_instance *), size_t n,
			 uint32_t round)
{
	struct worker workers[4];
	pthread_t threads[4];
	pthread_barrier_t start;
	struct npf_instance *instance;

	assert_int_equal(npf_open(world->driver, "eth0", NULL, &instance, NULL), 0);
	assert_int_equal(npf_set_buffer(instance, 8192), 0);
	assert_int_equal(npf_set_timeout(instance, 0), 0);
	pthread_barrier_init(&start, NULL, (unsigned int)n + 1);
	for (size_t i = 0; i < n; i++) {
		workers[i] =
			(struct worker){ .instance = instance, .start = &start, .work = works[i] };
		assert_int_equal(pthread_create(&threads[i], NULL, work_until_refused, &workers[i]),
				 0);
	}
	pthread_barrier_wait(&start);
	for (uint32_t i = 0; i < round % 16; i++)
		send_now(world, 60, i);
	npf_cleanup(instance);
	for (size_t i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].last, -ECANCELED);
	}
	npf_close(instance);
	pthread_barrier_destroy(&start);
}

static void close_during_each_round(struct world *world, int (*const *works)(struct npf_instance *),
				    size_t n)
{
	size_t memory;

	npf_close(world->instance);
	world->instance = NULL;
	npf_sim_set_threaded(world->host, true);
	memory = npf_sim_memory(world->host);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		close_during(world, works, n, round);
		assert_int_equal(npf_sim_memory(world->host), memory);
		assert_int_equal(npf_sim_bindings(world->host), 0);
	}
}

static void item_18_close_while_a_reader_waits(void **state)
{
	int (*const works[])(struct npf_instance *) = { work_read };

	close_during_each_round(*state, works, N_OF(works));
}

static void item_18_close_while_a_batch_is_walked(void **state)
{
	int (*const works[])(struct npf_instance *) = { work_batch, work_write };

	close_during_each_round(*state, works, N_OF(works));
}

static void item_18_close_while_controls_run(void **state)
{
	int (*const works[])(struct npf_instance *) = { work_control, work_control };

	close_during_each_round(*state, works, N_OF(works));
}

static void item_18_close_while_writes_run(void **state)
{
	int (*const works[])(struct npf_instance *) = { work_write, work_write };

	close_during_each_round(*state, works, N_OF(works));
}

static void item_18_close_while_all_of_them_run(void **state)
{
	int (*const works[])(struct npf_instance *) = { work_read, work_control, work_write,
							work_stop };

	close_during_each_round(*state, works, N_OF(works));
}

/* A repetition that would take hours ends with the instance. */
static void item_18_close_while_a_repetition_runs(void **state)
{
	struct world *world = *state;
	struct worker worker = { .instance = world->instance, .work = work_write };
	pthread_barrier_t start;
	pthread_t thread;
	struct npf_stats stats;

	pthread_barrier_init(&start, NULL, 2);
	worker.start = &start;
	assert_int_equal(control_u32(world->instance, NPF_BIOCSWRITEREP, UINT32_MAX), 0);
	assert_int_equal(pthread_create(&thread, NULL, work_until_refused, &worker), 0);
	pthread_barrier_wait(&start);
	do {
		sched_yield();
		assert_int_equal(npf_get_stats(world->instance, &stats), 0);
	} while (!stats.received);
	npf_cleanup(world->instance);
	pthread_join(thread, NULL);
	assert_int_equal(worker.last, -ECANCELED);
	pthread_barrier_destroy(&start);
}

static void *clean_up(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(worker->start);
	npf_cleanup(worker->instance);
	return NULL;
}

static void item_18_two_may_clean_up_at_once(void **state)
{
	struct world *world = *state;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct worker worker;
		pthread_barrier_t start;
		pthread_t thread;
		struct npf_instance *instance;

		assert_int_equal(npf_open(world->driver, "eth1", NULL, &instance, NULL), 0);
		pthread_barrier_init(&start, NULL, 2);
		worker = (struct worker){ .instance = instance, .start = &start };
		assert_int_equal(pthread_create(&thread, NULL, clean_up, &worker), 0);
		pthread_barrier_wait(&start);
		npf_cleanup(instance);
		assert_int_equal(npf_sim_bindings(world->host), 1);
		pthread_join(thread, NULL);
		npf_close(instance);
		pthread_barrier_destroy(&start);
	}
}

static void *unplug(void *arg)
{
	struct world *world = arg;

	npf_sim_remove_adapter(world->host, "eth1");
	return NULL;
}

static void item_18_close_while_the_adapter_vanishes(void **state)
{
	struct world *world = *state;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct npf_instance *instance;
		pthread_t thread;

		assert_int_equal(npf_open(world->driver, "eth1", NULL, &instance, NULL), 0);
		assert_int_equal(npf_set_buffer(instance, 4096), 0);
		assert_int_equal(pthread_create(&thread, NULL, unplug, world), 0);
		npf_write(instance, "frame", 5);
		npf_close(instance);
		pthread_join(thread, NULL);
		assert_int_equal(npf_sim_add_adapter(world->host, "eth1"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_18_calls_after_cleanup_are_cancelled),
		CAPTURING(item_18_captured_packets_are_freed),
		IN_WORLD(item_18_close_while_a_reader_waits),
		IN_WORLD(item_18_close_while_a_batch_is_walked),
		IN_WORLD(item_18_close_while_controls_run),
		IN_WORLD(item_18_close_while_writes_run),
		IN_WORLD(item_18_close_while_all_of_them_run),
		IN_WORLD(item_18_close_while_a_repetition_runs),
		IN_WORLD(item_18_two_may_clean_up_at_once),
		IN_WORLD(item_18_close_while_the_adapter_vanishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
