/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated machine with a driver on it: two CPUs, adapters "eth0" and "eth1", one instance open
 * on eth0 without a buffer. Torn down after every test, which fails when anything leaked.
 */
#ifndef NPF_WORLD_H
#define NPF_WORLD_H

#include "lib/check.h"

#include "host/sim/sim.h"
#include "npf/npf.h"

#define MS     1000000ull /* ns */
#define N_CPUS 2u

struct world {
	struct npf_host *host;
	struct npf_driver *driver;
	struct npf_instance *instance;
	uint8_t buffer[1 << 18]; /* for reads */
};

static inline int world_setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->host = npf_host_sim(N_CPUS);
	assert_non_null(world->host);
	assert_int_equal(npf_sim_add_adapter(world->host, "eth0"), 0);
	assert_int_equal(npf_sim_add_adapter(world->host, "eth1"), 0);
	assert_int_equal(npf_driver_entry(world->host, &world->driver), 0);
	assert_int_equal(npf_open(world->driver, "eth0", NULL, &world->instance, NULL), 0);
	*state = world;
	return 0;
}

static inline int world_teardown(void **state)
{
	struct world *world = *state;

	npf_close(world->instance);
	assert_int_equal(npf_unload(world->driver), 0);
	assert_int_equal(npf_sim_bindings(world->host), 0);
	assert_int_equal(npf_sim_memory(world->host), 0);
	npf_host_sim_free(world->host);
	free(world);
	return 0;
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

/* A buffer of 64 KiB, everything accepted, reads that do not wait. */
static inline int capturing_setup(void **state)
{
	int err = world_setup(state);

	return err ? err : npf_set_buffer(((struct world *)*state)->instance, 65536);
}

#define CAPTURING(test) cmocka_unit_test_setup_teardown(test, capturing_setup, world_teardown)

static inline uint64_t world_now(const struct world *world)
{
	return world->host->system->now(world->host);
}

/* Frame number seq on eth0, at a time. */
static inline void send_at(struct world *world, uint64_t at, uint32_t cpu, uint32_t length,
			   uint32_t seq)
{
	uint8_t data[FRAME_MAX];
	struct npf_sim_frame frame = { .data = data, .length = length, .cpu = cpu };

	assert_true(length <= sizeof(data));
	frame_fill(data, length, seq);
	assert_int_equal(npf_sim_send(world->host, "eth0", at, &frame), 0);
}

/* The same on CPU 0 a nanosecond from now, which passes. */
static inline void send_now(struct world *world, uint32_t length, uint32_t seq)
{
	send_at(world, world_now(world) + 1, 0, length, seq);
	npf_sim_advance(world->host, 1);
}

static inline void send_many(struct world *world, uint32_t n, uint32_t length, uint32_t seq)
{
	while (n--)
		send_now(world, length, seq++);
}

/* One npf_read() into the large buffer. */
static inline struct records read_records(struct world *world)
{
	int64_t n = npf_read(world->instance, world->buffer, sizeof(world->buffer));

	assert_true(n >= 0);
	return (struct records){ .at = world->buffer, .left = (size_t)n };
}

/* Everything pending must be frames seq, seq + 1, ... of one length; how many there were. */
static inline uint32_t read_all(struct world *world, uint32_t length, uint32_t seq)
{
	uint32_t n = 0;

	for (;;) {
		struct records records = read_records(world);

		if (!records.left)
			return n;
		while (records_next(&records)) {
			assert_int_equal(records.hdr.caplen, length);
			assert_int_equal(records.hdr.datalen, length);
			assert_true(frame_is(records.data, length, seq + n));
			n++;
		}
	}
}

static inline struct npf_stats stats_of(struct npf_instance *instance)
{
	struct npf_stats stats;

	assert_int_equal(npf_get_stats(instance, &stats), 0);
	assert_int_equal(stats.received, stats.filtered + stats.captured + stats.dropped);
	return stats;
}

static inline int control_u32(struct npf_instance *instance, uint32_t code, uint32_t value)
{
	return npf_io_control(instance, code, &value, sizeof(value), NULL, 0, NULL);
}

/* A failure must have left a sentence. */
#define assert_fails(instance, call, err)                                                          \
	do {                                                                                       \
		assert_int_equal((call), (err));                                                   \
		assert_true(strlen(npf_error(instance)) > 10);                                     \
	} while (0)

#endif
