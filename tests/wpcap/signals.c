/* SPDX-License-Identifier: BSD-3-Clause */
/* A signal handler asks for the statistics, as tcpdump's does, whatever it interrupts. */
#include "wpcap/capture.h"

#include <pthread.h>
#include <signal.h>

#define FRAMES 50000u

static struct state *asked;
static volatile sig_atomic_t answers, backwards;
static volatile u_int last;

static void ask(int number)
{
	struct pcap_stat stats;

	(void)number;
	if (pcap_stats(asked->p, &stats))
		return;
	answers++;
	backwards += stats.ps_recv < last;
	last = stats.ps_recv;
}

static uint32_t sent; /* all of them; atomic */

static void *send_frames(void *arg)
{
	(void)arg;
	send_far(asked, 0, FRAMES);
	__atomic_store_n(&sent, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Apart from the sender, so that they come wherever the reader is. */
static void *send_signals(void *reader)
{
	while (!__atomic_load_n(&sent, __ATOMIC_ACQUIRE))
		pthread_kill(*(pthread_t *)reader, SIGUSR1);
	return NULL;
}

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)header;
	(void)data;
	++*(u_int *)user;
}

static void statistics_in_a_signal_handler(void **in)
{
	const struct sigaction action = { .sa_handler = ask, .sa_flags = SA_RESTART };
	pthread_t reader = pthread_self(), sender, signaller;
	struct pcap_stat stats;
	u_int seen = 0;
	bool done;
	int n;

	asked = *in;
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pcap_setmintocopy(asked->p, 0), 0);
	assert_int_equal(pthread_create(&sender, NULL, send_frames, NULL), 0);
	assert_int_equal(pthread_create(&signaller, NULL, send_signals, &reader), 0);
	do {
		done = __atomic_load_n(&sent, __ATOMIC_ACQUIRE);
		n = pcap_dispatch(asked->p, 1, count, (u_char *)&seen);
		assert_true(n >= 0);
	} while (!done || n);
	assert_int_equal(pthread_join(sender, NULL), 0);
	assert_int_equal(pthread_join(signaller, NULL), 0);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(pcap_stats(asked->p, &stats), 0);
	assert_int_equal(stats.ps_recv, FRAMES);
	assert_int_equal(seen + stats.ps_drop, FRAMES);
	assert_true(answers > 0);
	assert_int_equal(backwards, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(statistics_in_a_signal_handler),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
