/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No wake-up is lost. A reader that has nothing goes to sleep while, at that very moment, a frame
 * comes on another CPU; then nothing else comes. Whoever is not woken for it sleeps for ever, and the
 * test with him. Why that cannot be: src/driver/read.c.
 *
 * $NPF_TEST_ROUNDS is how often, for machines that are very slow. Where others want the CPUs as well a
 * round may take some of the scheduler's slices: a contest has as many as there is time for.
 */
#include "netns/wire.h"

#include <pthread.h>

#define ROUNDS   4000u
#define SIZE     60u
#define RECORD   88u /* bytes that such a frame takes in the circular buffer */
#define DELAYS   61u /* different moments; a prime, so that they meet everything else */
#define FRAMES   600u
#define FLUSH_MS 1
#define TIME_MS  20000u /* of a contest */

/* A frame of each sender per round, or so many of all. The round is what reader and senders tell each
 * other by. */
struct contest {
	struct wire *wire;
	uint32_t rounds; /* fewer once time is up */
	uint32_t round;  /* begun by the reader */
	uint32_t senders;
	uint32_t frames; /* of a round, of both senders; 0: one each */
};

struct sender {
	struct contest *contest;
	pthread_t thread;
	uint32_t number;
	int fd;
};

static uint32_t rounds(void)
{
	const char *number = getenv("NPF_TEST_ROUNDS");

	return number ? (uint32_t)atoi(number) : ROUNDS;
}

/* A little later each time, up to the length of a system call or two. */
static void dawdle(uint32_t round)
{
	for (volatile uint32_t i = 0; i < round % DELAYS * 16; i++)
		;
}

/* Shared out differently each time. */
static uint32_t frames_of(const struct sender *sender, uint32_t round)
{
	uint32_t all = sender->contest->frames, first = round * 37 % (all + 1);

	if (!all)
		return 1;
	return sender->number ? all - first : first;
}

static uint32_t frames_of_all(const struct contest *contest)
{
	return contest->frames ? contest->frames : contest->senders;
}

static void *send_in_each_round(void *arg)
{
	struct sender *sender = arg;
	struct contest *contest = sender->contest;
	uint8_t frame[SIZE];

	for (uint32_t round = 1;; round++) {
		while (__atomic_load_n(&contest->round, __ATOMIC_ACQUIRE) < round)
			sched_yield();
		if (round > contest->rounds)
			return NULL;
		dawdle(round + sender->number * 7);
		wire_frame(round, frame, SIZE);
		for (uint32_t i = frames_of(sender, round); i > 0; i--)
			net_send(sender->fd, frame, SIZE);
	}
}

static void on_cpu(uint32_t n)
{
	cpu_set_t all, one;
	uint32_t k = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	n %= (uint32_t)CPU_COUNT(&all);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all) || k++ != n)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void wait_by_poll(struct wire *wire)
{
	struct pollfd pollfd = { .fd = npf_poll_fd(wire->instance), .events = POLLIN };

	assert_int_equal(poll(&pollfd, 1, -1), 1);
}

/* The next round begins where the reader, on his way to sleep, looks for the last time. */
static void read_in_each_round(struct contest *contest, bool polls)
{
	struct wire *wire = contest->wire;
	struct npf_packet packet;
	uint32_t round = 1, got = 0;
	uint64_t end = wire_ms() + TIME_MS;

	__atomic_store_n(&contest->round, round, __ATOMIC_RELEASE);
	while (round <= contest->rounds) {
		if (polls)
			wait_by_poll(wire);
		if (!npf_batch_begin(wire->instance))
			continue;
		while (npf_batch_next(wire->instance, &packet)) {
			wire_assert_plain(packet.data, packet.caplen, round, SIZE);
			got++;
		}
		if (got == frames_of_all(contest)) {
			got = 0;
			if (wire_ms() > end)
				contest->rounds = round;
			__atomic_store_n(&contest->round, ++round, __ATOMIC_RELEASE);
		}
		npf_batch_end(wire->instance);
	}
}

static void run_contest(struct contest *contest, bool polls)
{
	struct sender senders[2];
	cpu_set_t all;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (uint32_t i = 0; i < contest->senders; i++) {
		senders[i] = (struct sender){
			.contest = contest,
			.number = i,
			.fd = net_sender(&contest->wire->net, NET_THERE, "vb"),
		};
		on_cpu(1 + i);
		assert_int_equal(pthread_create(&senders[i].thread, NULL, send_in_each_round,
						&senders[i]),
				 0);
		assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	}
	on_cpu(0);
	read_in_each_round(contest, polls);
	for (uint32_t i = 0; i < contest->senders; i++) {
		pthread_join(senders[i].thread, NULL);
		close(senders[i].fd);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(wire_stats(contest->wire->instance).captured,
			 frames_of_all(contest) * contest->rounds);
}

/* A reader for whom `bytes` are enough, and `ms` long enough. */
static struct wire *reading(void **state, uint32_t bytes, int32_t ms)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	assert_int_equal(npf_set_min_to_copy(wire->instance, bytes), 0);
	assert_int_equal(npf_set_timeout(wire->instance, ms), 0);
	return wire;
}

static void each_frame_wakes_a_read(void **state)
{
	struct contest contest = { .wire = reading(state, 0, 0), .rounds = rounds(), .senders = 1 };

	run_contest(&contest, false);
}

static void each_frame_wakes_a_poll(void **state)
{
	struct contest contest = { .wire = reading(state, 0, 0), .rounds = rounds(), .senders = 1 };

	run_contest(&contest, true);
}

/* Each has half of what is enough, at the same time as the other. */
static void two_cpus_wake_together(void **state)
{
	struct contest contest = {
		.wire = reading(state, 2 * RECORD, 0),
		.rounds = rounds(),
		.senders = 2,
	};

	run_contest(&contest, false);
}

/* Nobody knows who sends the last of them, and nothing comes behind it. */
static void the_last_byte_wakes(void **state)
{
	struct contest contest = {
		.wire = reading(state, FRAMES * RECORD, 0),
		.rounds = rounds() / 20,
		.senders = 2,
		.frames = FRAMES,
	};

	run_contest(&contest, false);
}

/* Never enough: the flush timer wakes, whoever started it. */
static void the_flush_timer_wakes(void **state)
{
	struct contest contest = {
		.wire = reading(state, 1 << 16, FLUSH_MS),
		.rounds = rounds() / 20,
		.senders = 2,
	};

	run_contest(&contest, true);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "each frame wakes a read", each_frame_wakes_a_read },
		{ "each frame wakes a poll", each_frame_wakes_a_poll },
		{ "two CPUs wake together", two_cpus_wake_together },
		{ "the last byte wakes", the_last_byte_wakes },
		{ "the flush timer wakes", the_flush_timer_wakes },
	};

	return wire_run("wakeup", tests, N_OF(tests), N_OF(wire_hooks));
}
