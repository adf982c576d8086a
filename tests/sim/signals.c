/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A signal handler asks for the statistics while its thread is in a call: it is answered at once, with
 * what was counted when the call began, or after its reset, and never with a mixture.
 */
#include "lib/world.h"

#include <pthread.h>
#include <signal.h>

#include "lib/ask.h"

/* ---- in every operation of the host that a call makes --------------------------------------- */

#define SENT   5u
#define BUFFER 65536u

struct asker {
	struct npf_instance *instance;
	uint32_t answers, refusals, strange;
};

/* What was, or nothing behind a reset. */
static bool is_right(const struct npf_stats *stats)
{
	if (stats->buffer_size != BUFFER && stats->buffer_size != 2 * BUFFER)
		return false;
	if (!stats->received)
		return !stats->filtered && !stats->captured && !stats->dropped;
	return stats->received == SENT && stats->filtered == 1 && stats->captured == SENT - 1 &&
	       !stats->dropped;
}

static void ask(void *arg)
{
	struct asker *asker = arg;
	struct npf_stats stats = { 0 };

	if (npf_get_stats(asker->instance, &stats)) {
		asker->refusals++;
		return;
	}
	asker->answers++;
	asker->strange += !is_right(&stats);
}

static const struct npf_insn not_the_first[] = { INSN_LD_B(14), INSN_JEQ(0, 0, 1), INSN_RET(0),
						 INSN_RET(UINT32_MAX) };
static const struct npf_program filter = PROGRAM(not_the_first);

static int set_filter(struct npf_instance *instance)
{
	return npf_set_filter(instance, &filter);
}

static int exchange_filter(struct npf_instance *instance)
{
	return npf_exchange_filter(instance, &filter, NULL);
}

static int set_buffer(struct npf_instance *instance)
{
	return npf_set_buffer(instance, 2 * BUFFER);
}

static int set_classes(struct npf_instance *instance)
{
	const struct npf_class class = { .name = "all but the first", .program = filter };

	return npf_set_classes(instance, &class, 1);
}

static int hide_own(struct npf_instance *instance)
{
	return control_u32(instance, NPF_BIOCISETLOBBEH, NPF_DISABLE_LOOPBACK);
}

static int set_hw_filter(struct npf_instance *instance)
{
	return npf_set_hw_filter(instance, NPF_FILTER_PROMISCUOUS);
}

static int begin_dump(struct npf_instance *instance)
{
	return npf_dump_prepare(instance, NPF_DUMP_PCAP);
}

static int set_dump_mode(struct npf_instance *instance)
{
	return npf_set_mode(instance, NPF_MODE_DUMP);
}

static int start_dump(struct npf_instance *instance)
{
	const struct npf_dump_options options = { .size = sizeof(options), .path = "file" };
	int err = npf_dump_start(instance, &options);

	return err ? err : npf_dump_stop(instance);
}

static const struct call {
	const char *name;
	int (*act)(struct npf_instance *instance);
} calls[] = {
	{ "npf_set_filter", set_filter },        { "npf_exchange_filter", exchange_filter },
	{ "npf_set_buffer", set_buffer },        { "npf_set_classes", set_classes },
	{ "BIOCISETLOBBEH", hide_own },          { "npf_set_hw_filter", set_hw_filter },
	{ "npf_dump_prepare", begin_dump },      { "BIOCSMODE", set_dump_mode },
	{ "npf_dump_start, _stop", start_dump },
};

static void ask_amid(const struct call *call)
{
	struct asker asker = { 0 };
	struct world *world;
	void *state;
	int err;

	assert_int_equal(capturing_setup(&state), 0);
	world = state;
	assert_int_equal(npf_set_filter(world->instance, &filter), 0);
	send_many(world, SENT, 60, 0);
	asker.instance = world->instance;
	npf_sim_interrupt(world->host, ask, &asker);
	err = call->act(world->instance);
	npf_sim_interrupt(world->host, NULL, NULL);
	if (err || !asker.answers || asker.refusals || asker.strange)
		fail_msg("%s: %d; %u answers, of which %u strange, %u refusals", call->name, err,
			 asker.answers, asker.strange, asker.refusals);
	assert_int_equal(world_teardown(&state), 0);
}

static void is_answered_amid_every_call(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(calls); i++)
		ask_amid(&calls[i]);
}

/* ---- at any instruction ---------------------------------------------------------------------- */

#define ROUNDS  2000u
#define FRAMES  4u /* of each */
#define ANSWERS 1000

static uint32_t sent; /* atomic */

/* Packets come meanwhile, and somebody else wants the lock. */
static void *send_and_read(void *arg)
{
	struct world *world = arg;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		send_many(world, FRAMES, 60, round * FRAMES);
		stats_of(world->instance);
		npf_read(world->instance, world->buffer, sizeof(world->buffer));
	}
	__atomic_store_n(&sent, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* None of them lets the counters restart. The handler asks the host as well, which is not made to be
 * interrupted: this thread is in it amid these calls only. */
static void control(struct npf_instance *instance, uint32_t round)
{
	step();
	if (round % 16 == 0)
		assert_int_equal(npf_exchange_filter(instance, &filter, NULL), 0);
	step();
	assert_int_equal(npf_pass_unfiltered(instance, round & 1 ? UINT32_MAX : 0, NULL), 0);
	step();
	assert_int_equal(npf_set_min_to_copy(instance, round % 100), 0);
	step();
	assert_int_equal(npf_set_timeout(instance, -1), 0);
	step();
	assert_int_equal(set_hw_filter(instance), 0);
}

static void is_answered_at_any_time(void **state)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct world *world = *state;
	pthread_t signaller, sender;
	uint32_t round = 0;

	assert_int_equal(npf_set_timeout(world->instance, -1), 0);
	asked = world->instance;
	caller = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	npf_sim_set_threaded(world->host, true);
	assert_int_equal(pthread_create(&sender, NULL, send_and_read, world), 0);
	assert_int_equal(pthread_create(&signaller, NULL, send_signals, NULL), 0);
	while (!__atomic_load_n(&sent, __ATOMIC_ACQUIRE) || answers + refusals < ANSWERS)
		control(world->instance, round++);
	__atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
	pthread_join(signaller, NULL);
	pthread_join(sender, NULL);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(stats_of(world->instance).received, ROUNDS * FRAMES);
	assert_int_equal(refusals, 0);
	assert_int_equal(backwards, 0);
	assert_int_equal(unsound, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_answered_amid_every_call),
		CAPTURING(is_answered_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
