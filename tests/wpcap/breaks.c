/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcap_breakloop() at every time of a handle's life, from other threads: the next read, or the one that
 * waits, returns for it; the same where NPF reads ("va") and where libpcap does ("any").
 */
#include "npf/npf.h"
#include "wpcap/capture.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

#define ROUNDS 40

static const char *const devices[] = { "va", "any" };

static void see(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)user;
	(void)header;
	(void)data;
}

/* Nobody sends: without a break they would wait for ever. */
static int by_next(pcap_t *p)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	return pcap_next_ex(p, &header, &data);
}

static int by_dispatch(pcap_t *p)
{
	return pcap_dispatch(p, -1, see, NULL);
}

static int by_loop(pcap_t *p)
{
	return pcap_loop(p, -1, see, NULL);
}

static int (*const ways[])(pcap_t *p) = { by_next, by_dispatch, by_loop };

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

static pcap_t *create(struct state *state, const char *device)
{
	pcap_t *p = pcap_create(device, state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_set_snaplen(p, 200), 0);
	assert_int_equal(pcap_set_timeout(p, 0), 0);
	return p;
}

static void activate(pcap_t *p, const char *device)
{
	if (pcap_activate(p) < 0)
		fail_msg("%s: %s", device, pcap_geterr(p));
	assert_int_equal(pcap_getevent(p) != NULL, !strcmp(device, "va"));
}

static void *break_once(void *p)
{
	pcap_breakloop(p);
	return NULL;
}

static void break_from_a_thread(pcap_t *p)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, break_once, p), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void before_activation(void **in)
{
	struct state *state = *in;

	for (size_t i = 0; i < LENGTH_OF(devices) * LENGTH_OF(ways); i++) {
		const char *device = devices[i % LENGTH_OF(devices)];
		pcap_t *p = create(state, device);

		break_from_a_thread(p);
		activate(p, device);
		assert_int_equal(ways[i / LENGTH_OF(devices)](p), PCAP_ERROR_BREAK);
		pcap_close(p);
	}
}

static void before_the_first_read(void **in)
{
	struct state *state = *in;

	for (size_t i = 0; i < LENGTH_OF(devices) * LENGTH_OF(ways); i++) {
		const char *device = devices[i % LENGTH_OF(devices)];
		pcap_t *p = create(state, device);

		activate(p, device);
		break_from_a_thread(p);
		assert_int_equal(ways[i / LENGTH_OF(devices)](p), PCAP_ERROR_BREAK);
		pcap_close(p);
	}
}

static void without_blocking(void **in)
{
	struct state *state = *in;

	for (int late = 0; late < 2; late++) {
		pcap_t *p = create(state, "va");

		if (!late)
			assert_int_equal(pcap_setnonblock(p, 1, state->errbuf), 0);
		pcap_breakloop(p);
		activate(p, "va");
		if (late)
			assert_int_equal(pcap_setnonblock(p, 1, state->errbuf), 0);
		assert_int_equal(by_next(p), PCAP_ERROR_BREAK);
		assert_int_equal(by_next(p), 0);
		pcap_breakloop(p);
		assert_int_equal(by_dispatch(p), PCAP_ERROR_BREAK);
		assert_int_equal(by_dispatch(p), 0);
		pcap_close(p);
	}
}

/* What stopped the wait is no reason to wait: it would be for a quarter of an hour. */
static void without_blocking_no_read_waits(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_create("va", state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_set_timeout(p, 1000 * 1000), 0);
	activate(p, "va");
	assert_int_equal(pcap_setnonblock(p, 1, state->errbuf), 0);
	for (int i = 0; i < 2; i++) {
		pcap_breakloop(p);
		assert_int_equal(by_next(p), PCAP_ERROR_BREAK);
		assert_int_equal(by_next(p), 0);
		assert_int_equal(by_dispatch(p), 0);
		assert_int_equal(pcap_setmode(p, MODE_STAT), 0);
	}
	pcap_close(p);
}

static void a_negative_timeout_is_no_wait(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_create("va", state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_set_timeout(p, -1), 0);
	activate(p, "va");
	assert_int_equal(by_next(p), 0);
	assert_int_equal(by_dispatch(p), 0);
	pcap_close(state->p);
	state->p = p;
	send_far(state, 0, 3);
	assert_frames(state, 0, 3);
}

struct breaker {
	pcap_t *p;
	atomic_bool end;
};

static void *break_always(void *arg)
{
	struct breaker *breaker = arg;

	while (!atomic_load(&breaker->end))
		pcap_breakloop(breaker->p);
	return NULL;
}

/* From the handle's first moment to its last; nothing of it is used that is gone. */
static void at_any_time(void **in)
{
	struct state *state = *in;

	for (size_t i = 0; i < ROUNDS; i++) {
		const char *device = devices[i % LENGTH_OF(devices)];
		struct breaker breaker = { .p = create(state, device) };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, break_always, &breaker), 0);
		activate(breaker.p, device);
		for (size_t w = 0; w < LENGTH_OF(ways); w++)
			assert_int_equal(ways[w](breaker.p), PCAP_ERROR_BREAK);
		atomic_store(&breaker.end, true);
		assert_int_equal(pthread_join(thread, NULL), 0);
		pcap_close(breaker.p);
	}
}

/* ---- of who sends a queue ------------------------------------------------------------------- */

/* Two frames, so many seconds apart. */
static pcap_send_queue *make_queue(time_t gap)
{
	const struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	struct pcap_pkthdr header = { .caplen = LENGTH, .len = LENGTH };
	pcap_send_queue *queue = pcap_sendqueue_alloc(2 * (16 + LENGTH));
	uint8_t frame[LENGTH];

	assert_non_null(queue);
	for (uint64_t i = 0; i < 2; i++) {
		net_flood_frame(&flood, i, frame);
		header.ts.tv_sec = (time_t)i * gap;
		assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), 0);
	}
	return queue;
}

static void *break_amid_gap(void *arg)
{
	struct state *state = arg;

	while (!net_counters(&state->net, NET_THERE, "vb").rx_packets)
		usleep(1000);
	pcap_breakloop(state->p);
	return NULL;
}

static void amid_the_gap_of_a_queue(void **in)
{
	struct state *state = *in;
	pcap_send_queue *queue = make_queue(3600);
	uint8_t frame[LENGTH] = { 0 };
	pthread_t thread;

	/* One that comes before it starts is not for it. */
	pcap_breakloop(state->p);
	assert_int_equal(by_next(state->p), PCAP_ERROR_BREAK);
	assert_int_equal(pthread_create(&thread, NULL, break_amid_gap, state), 0);
	assert_int_equal(pcap_sendqueue_transmit(state->p, queue, 1), queue->len / 2);
	assert_non_null(strstr(pcap_geterr(state->p), "stopped"));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(by_next(state->p), PCAP_ERROR_BREAK);
	assert_int_equal(pcap_sendpacket(state->p, frame, sizeof(frame)), 0);
	pcap_sendqueue_destroy(queue);
}

/* In place of the driver's, which it goes on to: held there until a queue has gone. */
static struct state *held;

void npf_stop_sending(struct npf_instance *instance)
{
	void (*real)(struct npf_instance * instance) = dlsym(RTLD_NEXT, "npf_stop_sending");

	if (held) {
		while (net_counters(&held->net, NET_THERE, "vb").rx_packets < 2)
			usleep(1000);
		usleep(50000);
	}
	real(instance);
}

/* Who breaks may see a queue being sent and stop it when it has gone: what is sent next does not end for
 * that. */
static void what_follows_a_queue_is_not_stopped(void **in)
{
	struct state *state = *in;
	pcap_send_queue *queue = make_queue(1);
	uint8_t frame[LENGTH] = { 0 };
	pthread_t thread;

	held = state;
	assert_int_equal(pthread_create(&thread, NULL, break_amid_gap, state), 0);
	assert_int_equal(pcap_sendqueue_transmit(state->p, queue, 1), queue->len);
	assert_int_equal(pthread_join(thread, NULL), 0);
	held = NULL;
	assert_int_equal(pcap_sendpacket(state->p, frame, sizeof(frame)), 0);
	pcap_sendqueue_destroy(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_activation),
		TEST(before_the_first_read),
		TEST(without_blocking),
		TEST(without_blocking_no_read_waits),
		TEST(a_negative_timeout_is_no_wait),
		TEST(at_any_time),
		TEST(amid_the_gap_of_a_queue),
		TEST(what_follows_a_queue_is_not_stopped),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
