/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames with times on real interfaces, as the far end sees them: each once, in order, as it was,
 * stamped no earlier than it was due and no earlier than the one before. How much later is the
 * scheduler's matter and decides nothing; on the simulated host it is 0 ns (tests/sim/queue.c).
 */
#include "netns/sending.h"

#define US 1000ull

static uint64_t read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Wall clock minus monotonic, not too large. Two clocks cannot be read at once, here or in the
 * driver; but of many tries the quickest is wrong by less than a frame takes to arrive. */
static uint64_t clock_offset(void)
{
	uint64_t best = 0, width = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = read_clock(CLOCK_MONOTONIC);
		uint64_t wall = read_clock(CLOCK_REALTIME);
		uint64_t after = read_clock(CLOCK_MONOTONIC);

		if (after - before >= width)
			continue;
		width = after - before;
		best = wall - after;
	}
	return best;
}

/* The next n at the far end, against when they were due (monotonic). */
static void expect_on_time(struct bench *bench, const uint64_t *due, uint64_t n, uint64_t offset)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct npf_packet packet;
	uint64_t got = 0, last = 0;

	while (got < n && now_ms() < deadline) {
		if (npf_batch_begin(bench->far) <= 0)
			continue;
		for (; npf_batch_next(bench->far, &packet); got++) {
			assert_true(got < n);
			assert_true(is_next_mixed(&packet, bench->seen++));
			assert_true(packet.time - offset >= due[got]);
			assert_true(packet.time >= last);
			last = packet.time;
		}
		npf_batch_end(bench->far);
	}
	assert_int_equal(got, n);
	assert_int_equal(npf_batch_begin(bench->far), 0);
}

/* Together, a microsecond apart, and up to longer than is watched from the beginning. */
static uint64_t gap(uint64_t n)
{
	static const uint64_t gaps[] = { 10, 0, 0, 1, 300, 77, 500, 11, 23, 900, 1, 1, 150, 5, 48 };

	return gaps[n % N_OF(gaps)] * US;
}

static void item_11_frames_arrive_no_earlier_than_due(void **state)
{
	enum { N = 500 };
	static uint8_t bytes[N][1514];
	struct bench *bench = *state;
	struct npf_send_frame frames[N];
	uint64_t due[N], offset = clock_offset();

	for (size_t p = 0; p < N_OF(paths); p++) {
		uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets, at;
		size_t sent;

		if (!take_path(bench->near, paths[p]))
			continue;
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		at = npf_send_clock(bench->near) + 1000 * US;
		for (uint64_t i = 0; i < N; i++) {
			uint32_t size = mixed(bench->seen + i);

			make_frame(bench->seen + i, bytes[i], size);
			at += gap(i);
			due[i] = at;
			frames[i] = (struct npf_send_frame){ bytes[i], size, at };
		}
		assert_int_equal(npf_send_frames(bench->near, frames, N, &sent), 0);
		assert_int_equal(sent, N);
		expect_on_time(bench, due, N, offset);
		expect_counted(bench, before, N);
		assert_int_equal(stats_of(bench->near).paced, N);
	}
}

/* A queue's times count from the call. */
static void item_11_a_queue_arrives_no_earlier_than_due(void **state)
{
	enum { N = 500 };
	struct bench *bench = *state;
	uint64_t due[N], offset = clock_offset(), at = 0;
	struct npf_sf_pkthdr header;
	size_t size, where = 0;
	uint8_t *queue = make_queue(0, N, mixed, &size);

	for (uint64_t i = 0; i < N; i++) {
		at += i ? gap(i) : 0;
		due[i] = at;
		memcpy(&header, queue + where, sizeof(header));
		header.tv_sec = 1000;
		header.tv_usec = (int32_t)(at / US);
		memcpy(queue + where, &header, sizeof(header));
		where += sizeof(header) + header.caplen;
	}

	uint64_t start = npf_send_clock(bench->near);

	for (uint64_t i = 0; i < N; i++)
		due[i] += start;
	assert_int_equal(npf_buffered_write(bench->near, queue, size, true), size);
	expect_on_time(bench, due, N, offset);
	expect_counted(bench, 0, N);
	free(queue);
}

/* ---- malformed queues ------------------------------------------------------------------------ */

/* Three good records and one that says it is so long, with so many bytes behind its header. */
static void refuse_record(struct bench *bench, uint32_t caplen, size_t behind, int err)
{
	size_t size, good;
	uint8_t *queue = make_queue(0, 3, small, &good);
	struct npf_sf_pkthdr header = { .caplen = caplen };

	size = good + sizeof(header) + behind;
	queue = realloc(queue, size);
	assert_non_null(queue);
	memset(queue + good, 0, size - good);
	memcpy(queue + good, &header, sizeof(header));
	for (int sync = 0; sync < 2; sync++) {
		assert_int_equal(npf_buffered_write(bench->near, queue, size, sync), err);
		assert_non_null(strstr(npf_error(bench->near), "record 4 at byte"));
	}
	free(queue);
}

static void refuse_short_header(struct bench *bench, size_t bytes)
{
	size_t good;
	uint8_t *queue = make_queue(0, 4, small, &good);

	good -= sizeof(struct npf_sf_pkthdr) + small(3);
	for (int sync = 0; sync < 2; sync++)
		assert_int_equal(npf_buffered_write(bench->near, queue, good + bytes, sync),
				 -EINVAL);
	free(queue);
}

static void item_11_malformed_queues_send_nothing(void **state)
{
	struct bench *bench = *state;

	for (size_t p = 0; p < N_OF(paths); p++) {
		uint64_t before = net_counters(&bench->net, NET_HERE, "va").tx_packets;

		if (!take_path(bench->near, paths[p]))
			continue;
		for (size_t bytes = 1; bytes < sizeof(struct npf_sf_pkthdr); bytes++)
			refuse_short_header(bench, bytes);
		refuse_record(bench, 0, 0, -EINVAL);
		refuse_record(bench, 0, 100, -EINVAL);
		refuse_record(bench, 13, 13, -EINVAL);
		refuse_record(bench, 61, 60, -EINVAL);
		refuse_record(bench, 1515, 1515, -EMSGSIZE);
		refuse_record(bench, 65536, 65536, -EMSGSIZE);
		refuse_record(bench, INT32_MAX, 1514, -EINVAL);
		refuse_record(bench, UINT32_MAX - 15, 1514, -EINVAL);
		refuse_record(bench, UINT32_MAX, 1514, -EINVAL);
		assert_int_equal(stats_of(bench->near).asked, 0);
		assert_int_equal(net_counters(&bench->net, NET_HERE, "va").tx_packets, before);
		expect_frames(bench, 0, is_next_small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(item_11_frames_arrive_no_earlier_than_due),
		SEND_TEST(item_11_a_queue_arrives_no_earlier_than_due),
		SEND_TEST(item_11_malformed_queues_send_nothing),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
