/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A signal handler asks for the statistics whatever it interrupts, reads, control calls and questions
 * for the statistics: it is always answered, and what it is told never goes backwards.
 */
#include "netns/wire.h"

#include <signal.h>

#include "lib/ask.h"

#define ROUNDS 300u
#define FRAMES 8u /* of each */

/* None of them lets the counters restart. */
static void call_all(struct wire *wire, uint32_t round)
{
	static const struct npf_insn insns[] = { INSN_RET(UINT32_MAX) };
	static const struct npf_program all = PROGRAM(insns);
	struct npf_instance *instance = wire->instance;
	struct npf_stats stats;
	struct npf_packet packet;

	step();
	if (round % 16 == 0)
		assert_int_equal(npf_exchange_filter(instance, &all, NULL), 0);
	step();
	assert_int_equal(npf_set_min_to_copy(instance, 0), 0);
	assert_int_equal(npf_set_timeout(instance, -1), 0);
	step();
	assert_int_equal(npf_get_stats(instance, &stats), 0);
	step();
	if (npf_batch_begin(instance) <= 0)
		return;
	while (npf_batch_next(instance, &packet))
		;
	npf_batch_end(instance);
}

static void are_answered(void **state)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct wire *wire = wire_capturing(state);
	pthread_t signaller;
	struct npf_stats stats;
	uint32_t round = 0;

	asked = wire->instance;
	answers = refusals = backwards = unsound = 0;
	last = 0;
	ended = 0;
	caller = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&signaller, NULL, send_signals, NULL), 0);
	for (; round < ROUNDS || answers + refusals < (int)ROUNDS; round++) {
		wire_send_plain(wire, round * FRAMES, FRAMES, 60);
		call_all(wire, round);
	}
	__atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
	pthread_join(signaller, NULL);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(npf_get_stats(wire->instance, &stats), 0);
	assert_int_equal(stats.received, round * FRAMES);
	assert_int_equal(refusals, 0);
	assert_int_equal(backwards, 0);
	assert_int_equal(unsound, 0);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "questions are answered", are_answered },
	};

	return wire_run("signals", tests, N_OF(tests), N_OF(wire_hooks));
}
