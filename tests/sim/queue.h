/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of numbered frames on the simulated host, and what of them was sent.
 */
#ifndef NPF_SIM_QUEUE_H
#define NPF_SIM_QUEUE_H

#include "lib/world.h"

#define US       1000ull
#define S        1000000000ull
#define MAX_SIZE (1u << 20)

struct queue {
	size_t size, n;
	uint8_t *bytes;
};

static inline void queue_begin(struct queue *queue)
{
	*queue = (struct queue){ .bytes = malloc(MAX_SIZE) };
	assert_non_null(queue->bytes);
}

static inline void queue_end(struct queue *queue)
{
	free(queue->bytes);
}

/* Frame number n, of a length; the number on the wire means nothing. */
static inline void queue_add(struct queue *queue, int32_t sec, int32_t usec, uint32_t length)
{
	struct npf_sf_pkthdr header = { sec, usec, length, 99999 };
	uint8_t frame[FRAME_MAX];

	assert_true(queue->size + sizeof(header) + length <= MAX_SIZE);
	frame_fill(frame, length, (uint32_t)queue->n++);
	memcpy(queue->bytes + queue->size, &header, sizeof(header));
	memcpy(queue->bytes + queue->size + sizeof(header), frame, length);
	queue->size += sizeof(header) + length;
}

static inline size_t count_sent(const struct world *world)
{
	size_t n = 0;

	for (const struct npf_sim_sent *at = npf_sim_sent(world->host, 0); at; at = at->next)
		n++;
	return n;
}

/* Frames 0, 1, ... each once. */
static inline void expect_in_order(const struct world *world, size_t n)
{
	const struct npf_sim_sent *at = npf_sim_sent(world->host, 0);

	for (size_t i = 0; i < n; i++, at = at->next) {
		assert_non_null(at);
		assert_true(frame_is(at->data, (uint32_t)at->size, (uint32_t)i));
	}
	assert_null(at);
}

static inline struct npf_send_stats send_stats(struct world *world)
{
	struct npf_send_stats stats;

	assert_int_equal(npf_get_send_stats(world->instance, &stats), 0);
	assert_int_equal(stats.asked, stats.handed + stats.failed);
	return stats;
}

static inline uint32_t mixed(size_t i)
{
	return 60 + (uint32_t)(i * 37 % 1400);
}

#endif
