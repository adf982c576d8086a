/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket whose buffer is full, and a discipline that is: only what the latter refuses is among its drops,
 * and so only that is no loss. This program stands in front of the call that sends many.
 */
#include "netns/sending.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#define OTHERS 8u

/* The next batch finds room for so many. */
static unsigned int room = UINT32_MAX;

/* In place of the C library's. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	unsigned int most = n < room ? n : room;

	room = UINT32_MAX;
	return (int)syscall(SYS_sendmmsg, fd, messages, most, flags);
}

static void make_others(uint64_t number, uint8_t frame[100])
{
	struct net_flood flood = { .side = NET_HERE, .sender = OTHERS, .length = 100 };

	net_flood_frame(&flood, number, frame);
}

/* Slow, then fast, so that all that is held leaves. */
static void let_go(struct bench *bench)
{
	net_run(&bench->net, NET_HERE,
		"tc qdisc change dev va root handle 1: tbf rate 100mbit burst 16000 limit 1000000");
	assert_int_equal(npf_wait_sent(bench->near, UINT64_C(60000000000)), 0);
}

static uint64_t count_sent(struct bench *bench)
{
	return net_counters(&bench->net, NET_HERE, "va").tx_packets;
}

/* How many of ours arrived, until all that the adapter sent since then had. Others' frames wait behind them, and
 * the last of those is the last of all. */
static uint64_t count_ours(struct bench *bench, uint64_t before, uint64_t last)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint64_t ours = 0, seen = 0, sequence;
	struct npf_packet packet;
	bool ended = false;
	uint32_t sender;

	while ((!ended || seen != count_sent(bench) - before) && now_ms() < deadline) {
		if (npf_batch_begin(bench->far) <= 0)
			continue;
		for (; npf_batch_next(bench->far, &packet); seen++) {
			assert_true(net_flood_read(packet.data, packet.caplen, &sender, &sequence));
			ours += sender != OTHERS;
			ended |= sender == OTHERS && sequence == last;
		}
		npf_batch_end(bench->far);
	}
	assert_true(ended);
	assert_int_equal(seen, count_sent(bench) - before);
	return ours;
}

/* What waits for room in the buffer was refused by nobody: it hides none of ours that others pushed out. */
static void a_full_buffer_hides_no_loss(void **state)
{
	enum { OTHER = 50 };
	struct bench *bench = *state;
	int other = net_sender(&bench->net, NET_HERE, "va");
	uint64_t arrived, before = count_sent(bench);
	struct npf_send_stats stats;
	uint8_t frame[1400];

	need_run(bench, "tc qdisc add dev va root handle 1: tbf rate 4kbit burst 1600 limit 100000");
	need_run(bench, "tc qdisc add dev va parent 1:1 pfifo_head_drop limit 100");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(bench->near, 1000), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENOBUFS);
	for (int i = 1; i <= OTHER; i++) {
		make_others((uint64_t)i, frame);
		(void)!send(other, frame, 100, 0); /* OK or congestion: it is in the queue */
	}
	let_go(bench);
	arrived = count_ours(bench, before, OTHER);
	stats = stats_of(bench->near);
	printf("%llu handed, %llu confirmed, %llu arrived\n", (unsigned long long)stats.handed,
	       (unsigned long long)stats.confirmed, (unsigned long long)arrived);
	assert_true(arrived < stats.handed);
	assert_int_equal(stats.confirmed, arrived);
	close(other);
}

/* What follows on a batch that found no more room, and is refused, was refused once: what the discipline
 * dropped of others, who are three short of what went, is still taken for ours. */
static void a_refusal_behind_a_full_buffer_counts_once(void **state)
{
	enum { LOST = 3 };
	struct bench *bench = *state;
	int other = net_sender(&bench->net, NET_HERE, "va");
	struct npf_send_stats stats;
	uint8_t frame[1000];

	need_run(bench,
		 "tc qdisc add dev va root handle 1: tbf rate 800bit burst 1600 limit 100000");
	need_run(bench, "tc qdisc add dev va parent 1:1 pfifo limit 10");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(bench->near, 1000), 0);
	room = 11; /* one leaves at once, the others fill it */
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENOBUFS);
	assert_int_equal(room, UINT32_MAX);
	make_others(1, frame);
	for (int refused = 0; refused < LOST;)
		refused += send(other, frame, 100, 0) < 0 && errno == ENOBUFS;
	let_go(bench);
	stats = stats_of(bench->near);
	printf("%llu handed, %llu confirmed\n", (unsigned long long)stats.handed,
	       (unsigned long long)stats.confirmed);
	assert_int_equal(stats.confirmed, stats.handed - LOST);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(a_full_buffer_hides_no_loss),
		SEND_TEST(a_refusal_behind_a_full_buffer_counts_once),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
