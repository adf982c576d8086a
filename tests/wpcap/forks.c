/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fork lacks its parent's other threads: it waits for none of them, whatever they were amid, and what it
 * closes nobody hears of in the parent.
 */
#include "npf/npf.h"
#include "wpcap/capture.h"

#include <Packet32.h>

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "lib/asleep.h"
#include "lib/forks.h"

#define HANGS 300 /* seconds, for a fork that ends in none */

/* ---- in place of others ----------------------------------------------------------------------- */

static atomic_int naps;

int nanosleep(const struct timespec *time, struct timespec *left)
{
	int (*real)(const struct timespec *, struct timespec *) = dlsym(RTLD_NEXT, "nanosleep");

	atomic_fetch_add(&naps, 1);
	return real(time, left);
}

/* A thread that comes here stays until it is let go. */
static atomic_bool holds, held;

static void hold(void)
{
	if (!atomic_load(&holds))
		return;
	atomic_store(&held, true);
	while (atomic_load(&holds))
		usleep(1000);
	atomic_store(&held, false);
}

void npf_stop_sending(struct npf_instance *instance)
{
	void (*real)(struct npf_instance *) = dlsym(RTLD_NEXT, "npf_stop_sending");

	real(instance);
	hold();
}

int npf_get_adapters_list(struct npf_driver *driver, struct npf_adapter **list, size_t *n)
{
	int (*real)(struct npf_driver *, struct npf_adapter **,
		    size_t *) = dlsym(RTLD_NEXT, "npf_get_adapters_list");

	hold();
	return real(driver, list, n);
}

/* ---- forks ------------------------------------------------------------------------------------ */

/* What the function returns must be 0, in the fork. */
static void in_fork(struct state *state, int (*run)(struct state *state))
{
	pid_t pid = forks_begin();

	if (!pid) {
		alarm(HANGS);
		atomic_store(&holds, false);
		atomic_store(&naps, 0);
		_exit(run(state));
	}
	forks_join(pid);
}

static void await(atomic_bool *what)
{
	while (!atomic_load(what))
		usleep(1000);
}

static bool is_readable(pcap_t *p)
{
	struct pollfd event = { .fd = pcap_get_selectable_fd(p), .events = POLLIN };

	return poll(&event, 1, 0) > 0;
}

/* ---- breaks ----------------------------------------------------------------------------------- */

static pcap_send_queue *make_queue(uint64_t n, time_t gap)
{
	const struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	struct pcap_pkthdr header = { .caplen = LENGTH, .len = LENGTH };
	pcap_send_queue *queue = pcap_sendqueue_alloc((u_int)n * (16 + LENGTH));
	uint8_t frame[LENGTH];

	assert_non_null(queue);
	for (uint64_t i = 0; i < n; i++) {
		net_flood_frame(&flood, i, frame);
		header.ts.tv_sec = (time_t)i * gap;
		assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), 0);
	}
	return queue;
}

static int send_queue(struct state *state)
{
	pcap_send_queue *queue = make_queue(1, 0);

	return pcap_sendqueue_transmit(state->p, queue, 1) != queue->len || atomic_load(&naps);
}

static void *transmit(void *arg)
{
	struct state *state = arg;
	pcap_send_queue *queue = make_queue(2, 3600);

	pcap_sendqueue_transmit(state->p, queue, 1);
	pcap_sendqueue_destroy(queue);
	return NULL;
}

static void *break_it(void *arg)
{
	struct state *state = arg;

	pcap_breakloop(state->p);
	return NULL;
}

/* A thread stops another's queue; that one waits for it to be through. A fork that sends does not. */
static void amid_a_break(void **in)
{
	struct state *state = *in;
	pthread_t sender, breaker;

	atomic_store(&holds, true);
	assert_int_equal(pthread_create(&sender, NULL, transmit, state), 0);
	while (!net_counters(&state->net, NET_THERE, "vb").rx_packets)
		usleep(1000);
	atomic_store(&naps, 0);
	assert_int_equal(pthread_create(&breaker, NULL, break_it, state), 0);
	await(&held);
	while (!atomic_load(&naps))
		usleep(1000);
	in_fork(state, send_queue);
	atomic_store(&holds, false);
	assert_int_equal(pthread_join(breaker, NULL), 0);
	assert_int_equal(pthread_join(sender, NULL), 0);
}

/* ---- closing ---------------------------------------------------------------------------------- */

struct reader {
	struct state *state;
	pid_t thread; /* atomic */
	int result;
};

static void *read_one(void *arg)
{
	struct reader *reader = arg;
	struct pcap_pkthdr *header;
	const u_char *data;

	__atomic_store_n(&reader->thread, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	do {
		reader->result = pcap_next_ex(reader->state->p, &header, &data);
	} while (!reader->result);
	return NULL;
}

static int close_it(struct state *state)
{
	pcap_close(state->p);
	return atomic_load(&naps) != 0;
}

/* Neither does the fork wait for the reader, nor the reader hear of the fork. */
static void while_another_thread_reads(void **in)
{
	struct state *state = *in;
	struct reader reader = { .state = state };
	unsigned long sleeps;
	pthread_t thread;

	pcap_close(state->p);
	state->p = pcap_open_live("va", 65535, 1, 0, state->errbuf);
	assert_non_null(state->p);
	assert_int_equal(pthread_create(&thread, NULL, read_one, &reader), 0);
	sleeps = asleep(&reader.thread);
	in_fork(state, close_it);
	assert_int_equal(asleep(&reader.thread), sleeps);
	assert_false(is_readable(state->p));
	send_far(state, 0, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(reader.result, 1);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static void *list_all(void *arg)
{
	struct state *state = arg;
	char names[4096];
	ULONG size = sizeof(names);

	(void)state;
	PacketGetAdapterNames(names, &size);
	return NULL;
}

static int open_one(struct state *state)
{
	pcap_t *p = pcap_open_live("va", 65535, 1, 100, state->errbuf);

	if (!p)
		return 1;
	send_far(state, 0, 1);
	pcap_close(p);
	pcap_close(state->p);
	return !PacketStopDriver();
}

/* The process's driver is another's amid a list of adapters. */
static void while_another_thread_lists(void **in)
{
	struct state *state = *in;
	pthread_t thread;

	atomic_store(&holds, true);
	assert_int_equal(pthread_create(&thread, NULL, list_all, state), 0);
	await(&held);
	in_fork(state, open_one);
	atomic_store(&holds, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(amid_a_break),
		TEST(while_another_thread_reads),
		TEST(while_another_thread_lists),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
