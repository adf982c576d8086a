/* SPDX-License-Identifier: BSD-3-Clause */
/* A signal handler asks for the statistics, as tcpdump's does, whatever it interrupts. */
#include "wpcap/capture.h"

#include "lib/signals.h"

#define FRAMES  50000u
#define FEW     100u
#define ANSWERS 1000

static struct state *asked;
static volatile sig_atomic_t answers, refusals, backwards;
static volatile u_int last;

static void ask(int number)
{
	struct pcap_stat stats;

	(void)number;
	if (pcap_stats(asked->p, &stats)) {
		refusals++;
		return;
	}
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

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)header;
	(void)data;
	++*(u_int *)user;
}

static void begin(struct state *state)
{
	asked = state;
	caller = pthread_self();
	answers = refusals = backwards = 0;
	last = 0;
	sent = 0;
	ended = 0;
}

static void statistics_in_a_signal_handler(void **in)
{
	const struct sigaction action = { .sa_handler = ask, .sa_flags = SA_RESTART };
	pthread_t sender, signaller;
	struct pcap_stat stats;
	u_int seen = 0;
	bool done;
	int n;

	begin(*in);
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pcap_setmintocopy(asked->p, 0), 0);
	assert_int_equal(pthread_create(&sender, NULL, send_frames, NULL), 0);
	assert_int_equal(pthread_create(&signaller, NULL, send_signals, NULL), 0);
	do {
		done = __atomic_load_n(&sent, __ATOMIC_ACQUIRE);
		step();
		n = pcap_dispatch(asked->p, 1, count, (u_char *)&seen);
		assert_true(n >= 0);
	} while (!done || n);
	__atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(sender, NULL), 0);
	assert_int_equal(pthread_join(signaller, NULL), 0);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(pcap_stats(asked->p, &stats), 0);
	assert_int_equal(stats.ps_recv, FRAMES);
	assert_int_equal(seen + stats.ps_drop, FRAMES);
	assert_true(answers > 0);
	assert_int_equal(refusals, 0);
	assert_int_equal(backwards, 0);
}

/* All that the driver has to do something for, a new buffer with new counters included. */
static void control(pcap_t *p, u_int round)
{
	struct bpf_program filter;

	step();
	assert_int_equal(pcap_setbuff(p, round & 1 ? 1 << 20 : 1 << 21), 0);
	step();
	assert_int_equal(pcap_setmintocopy(p, (int)round % 100), 0);
	step();
	assert_int_equal(pcap_setdirection(p, round & 1 ? PCAP_D_IN : PCAP_D_INOUT), 0);
	assert_int_equal(pcap_compile(p, &filter, round & 1 ? "udp" : "tcp", 1, 0), 0);
	step();
	assert_int_equal(pcap_setfilter(p, &filter), 0);
	pcap_freecode(&filter);
}

static void statistics_amid_control_calls(void **in)
{
	const struct sigaction action = { .sa_handler = ask, .sa_flags = SA_RESTART };
	pthread_t signaller;
	struct pcap_stat stats;
	u_int round = 0;

	begin(*in);
	send_far(asked, 0, FEW);
	do {
		assert_int_equal(pcap_stats(asked->p, &stats), 0);
	} while (stats.ps_recv < FEW);
	last = stats.ps_recv;
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&signaller, NULL, send_signals, NULL), 0);
	while (answers + refusals < ANSWERS)
		control(asked->p, round++);
	__atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(signaller, NULL), 0);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(pcap_stats(asked->p, &stats), 0);
	assert_int_equal(stats.ps_recv, FEW);
	assert_int_equal(last, FEW);
	assert_int_equal(refusals, 0);
	assert_int_equal(backwards, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(statistics_in_a_signal_handler),
		TEST(statistics_amid_control_calls),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
