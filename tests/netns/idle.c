/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture that has nothing to do does nothing: a reader that waits without a timeout sleeps, while
 * nothing comes and while packets come that its filter rejects. How often it slept anew the kernel
 * counts. The pause is for what would wake it by the clock; that it is too short could only hide a
 * fault.
 */
#include "netns/wire.h"

#include <pthread.h>

#include "lib/asleep.h"

#define REJECTED 2000u
#define PAUSE_NS 300000000

struct reader {
	struct wire *wire;
	bool polls;
	pid_t thread; /* atomic; 0: not begun */
	pthread_t id;
	int64_t result;
};

static void *wait_for_packets(void *arg)
{
	struct reader *reader = arg;
	struct npf_instance *instance = reader->wire->instance;
	struct pollfd pollfd = { .fd = npf_poll_fd(instance), .events = POLLIN };

	__atomic_store_n(&reader->thread, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	reader->result = reader->polls ? poll(&pollfd, 1, -1) : npf_batch_begin(instance);
	return NULL;
}

static struct npf_stats counted(struct wire *wire)
{
	struct npf_stats stats;

	assert_int_equal(npf_get_stats(wire->instance, &stats), 0);
	return stats;
}

static void expect_sleep(void **state, bool polls, int32_t ms)
{
	static const struct npf_insn insns[] = { INSN_RET(0) };
	static const struct npf_program nothing = PROGRAM(insns);
	struct wire *wire = wire_capturing(state);
	struct reader reader = { .wire = wire, .polls = polls };
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	unsigned long before;
	char now;

	assert_int_equal(npf_set_filter(wire->instance, &nothing), 0);
	assert_int_equal(npf_set_min_to_copy(wire->instance, 0), 0);
	assert_int_equal(npf_set_timeout(wire->instance, ms), 0);
	assert_int_equal(pthread_create(&reader.id, NULL, wait_for_packets, &reader), 0);
	before = asleep(&reader.thread);
	wire_send_and_keep_up(wire, 0, REJECTED, 60);
	assert_int_equal(counted(wire).filtered, REJECTED);
	nanosleep(&pause, NULL);
	assert_int_equal(sleeps_of(reader.thread, &now), before);
	npf_stop_waiting(wire->instance);
	pthread_join(reader.id, NULL);
	assert_int_equal(reader.result, polls ? 1 : -EINTR);
	assert_int_equal(counted(wire).captured, 0);
}

static void a_read_sleeps(void **state)
{
	expect_sleep(state, false, 0);
}

/* The descriptor is for packets: the timeout is that of the first of them. */
static void a_poll_sleeps(void **state)
{
	expect_sleep(state, true, 0);
}

static void a_poll_sleeps_over_the_timeout(void **state)
{
	expect_sleep(state, true, 20);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "a read sleeps", a_read_sleeps },
		{ "a poll sleeps", a_poll_sleeps },
		{ "a poll sleeps over the timeout", a_poll_sleeps_over_the_timeout },
	};

	return wire_run("idle", tests, N_OF(tests), N_OF(wire_hooks));
}
