/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a capture waits. A capture without a timeout that has nothing to do does nothing: it sleeps while no packet comes and
 * while packets come that its filter rejects, until one does that is wanted, or it is broken. How often
 * it slept anew the kernel counts. The pause is for what would wake it by the clock; that it is too
 * short could only hide a fault.
 */
#include "wpcap/capture.h"

#include <pthread.h>
#include <time.h>

#include "lib/asleep.h"

#define REJECTED 2000u
#define PAUSE_NS 300000000
/* For the driver, which lets packets wait for more, time passes once before the long sleep. */
#define ONCE_MORE 1u

struct reader {
	pcap_t *p;
	pid_t thread; /* atomic; 0: not begun */
	pthread_t id;
	int (*read)(pcap_t *p);
	int result;
};

static void ignore(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)user, (void)header, (void)data;
}

static int loop(pcap_t *p)
{
	return pcap_loop(p, 1, ignore, NULL);
}

static int dispatch(pcap_t *p)
{
	return pcap_dispatch(p, -1, ignore, NULL);
}

static int next_ex(pcap_t *p)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	return pcap_next_ex(p, &header, &data);
}

static void *read_packets(void *arg)
{
	struct reader *reader = arg;

	__atomic_store_n(&reader->thread, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	reader->result = reader->read(reader->p);
	return NULL;
}

/* Frames of the far side are no TCP. */
static void reject_all(pcap_t *p)
{
	struct bpf_program filter;

	assert_int_equal(pcap_compile(p, &filter, "tcp", 1, 0), 0);
	assert_int_equal(pcap_setfilter(p, &filter), 0);
	pcap_freecode(&filter);
}

static void open_without_timeout(struct state *state, int immediate)
{
	pcap_close(state->p);
	state->p = pcap_create("va", state->errbuf);
	assert_non_null(state->p);
	assert_int_equal(pcap_set_timeout(state->p, 0), 0);
	assert_int_equal(pcap_set_immediate_mode(state->p, immediate), 0);
	assert_int_equal(pcap_activate(state->p), 0);
	assert_non_null(pcap_getevent(state->p));
	reject_all(state->p);
}

static void expect_sleep(struct state *state, int immediate, int (*read)(pcap_t *p))
{
	struct reader reader = { .read = read };
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	unsigned long before;
	char now;

	open_without_timeout(state, immediate);
	reader.p = state->p;
	assert_int_equal(pthread_create(&reader.id, NULL, read_packets, &reader), 0);
	before = asleep(&reader.thread);
	send_far(state, 0, REJECTED);
	nanosleep(&pause, NULL);
	assert_true(sleeps_of(reader.thread, &now) <= before + ONCE_MORE);
	pcap_breakloop(state->p);
	pthread_join(reader.id, NULL);
	assert_int_equal(reader.result, PCAP_ERROR_BREAK);
}

static void a_loop_sleeps(void **in)
{
	expect_sleep(*in, 0, loop);
	expect_sleep(*in, 1, loop);
}

static void a_dispatch_sleeps(void **in)
{
	expect_sleep(*in, 0, dispatch);
	expect_sleep(*in, 1, dispatch);
}

static void a_read_of_one_sleeps(void **in)
{
	expect_sleep(*in, 0, next_ex);
	expect_sleep(*in, 1, next_ex);
}

#define SHORT_MS 50
#define LONG_MS  20000

static pcap_t *open_with_timeout(struct state *state, int ms)
{
	pcap_t *p = pcap_open_live("va", 65535, 1, ms, state->errbuf);

	assert_non_null(p);
	return p;
}

/* A packet that comes while a read waits is there when its time is over, but has not waited as long
 * itself. Where the machine is so slow that it comes later, there is more time for the next. */
static void a_timeout_gives_what_is_there(void **in)
{
	struct state *state = *in;
	struct reader reader = { .read = next_ex };

	pcap_close(state->p);
	state->p = NULL;
	for (int ms = SHORT_MS; ms < LONG_MS && reader.result != 1; ms *= 2) {
		reader.p = open_with_timeout(state, ms);
		reader.thread = 0;
		assert_int_equal(pthread_create(&reader.id, NULL, read_packets, &reader), 0);
		asleep(&reader.thread);
		send_far(state, 0, 1);
		pthread_join(reader.id, NULL);
		pcap_close(reader.p);
	}
	assert_int_equal(reader.result, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_loop_sleeps),
		TEST(a_dispatch_sleeps),
		TEST(a_read_of_one_sleeps),
		TEST(a_timeout_gives_what_is_there),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
