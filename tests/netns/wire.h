/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests on real interfaces share: a world of two namespaces (lib/net.h) with a driver in
 * it that captures on "va" while frames come from "vb", frames, and waiting for what must come.
 * Every test runs once per hook, in a world of its own.
 *
 * $NPF_TEST_HOOKS names the hooks to test, separated by commas; without it all. A hook that this
 * kernel has not is skipped, unless $NPF_TEST_REQUIRE names it: then its tests fail.
 */
#ifndef NPF_WIRE_H
#define NPF_WIRE_H

#include "lib/check.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/net.h"
#include "npf/npf.h"

/* Until when something that must happen has happened: long, for only a failure waits for it. */
#define PATIENCE_MS 300000u

struct wire {
	enum npf_hook hook;
	size_t place; /* of the test in its list, for functions that stand there more than once */
	struct net_world net;
	int far;  /* sends from vb towards the capture */
	int near; /* sends from va, as a protocol of the capturing host would */
	struct npf_host *host;
	struct npf_driver *driver;
	struct npf_instance *instance; /* on va; NULL: this kernel has not the hook */
	char error[NPF_ERROR_SIZE];
	uint8_t buffer[1 << 20]; /* for reads */
};

/* ---- the hooks ----------------------------------------------------------------------------- */

static const enum npf_hook wire_hooks[] = { NPF_HOOK_TCX, NPF_HOOK_SOCKET, NPF_HOOK_TPACKET };

static inline bool wire_names(const char *names, enum npf_hook hook)
{
	char all[64], wanted[32];

	snprintf(all, sizeof(all), ",%s,", names);
	snprintf(wanted, sizeof(wanted), ",%s,", npf_hook_name(hook));
	return strstr(all, wanted);
}

static inline bool wire_wants(enum npf_hook hook)
{
	const char *names = getenv("NPF_TEST_HOOKS");

	return !names || wire_names(names, hook);
}

static inline bool wire_requires(enum npf_hook hook)
{
	const char *names = getenv("NPF_TEST_REQUIRE");

	return names && wire_names(names, hook);
}

/* ---- the driver ---------------------------------------------------------------------------- */

/* What a test begins with. */
struct wire_start {
	enum npf_hook hook;
	size_t place;
};

static inline int wire_try_open(struct wire *wire, const char *adapter,
				struct npf_instance **instance)
{
	struct npf_open_options options = { .size = sizeof(options), .hook = wire->hook };

	return npf_open(wire->driver, adapter, &options, instance, wire->error);
}

static inline struct npf_instance *wire_open(struct wire *wire, const char *adapter)
{
	struct npf_instance *instance = NULL;

	if (wire_try_open(wire, adapter, &instance))
		fail_msg("%s: %s", adapter, wire->error);
	return instance;
}

static inline int wire_setup(void **state)
{
	const struct wire_start *start = *state;
	struct wire *wire = calloc(1, sizeof(*wire));
	int err;

	assert_non_null(wire);
	wire->hook = start->hook;
	wire->place = start->place;
	net_world_create(&wire->net);
	wire->far = net_sender(&wire->net, NET_THERE, "vb");
	wire->near = net_sender(&wire->net, NET_HERE, "va");
	wire->host = npf_host_linux();
	assert_non_null(wire->host);
	assert_int_equal(npf_driver_entry(wire->host, &wire->driver), 0);
	err = wire_try_open(wire, "va", &wire->instance);
	if (err && err != -ENOTSUP)
		fail_msg("%s", wire->error);
	*state = wire;
	return 0;
}

static inline int wire_teardown(void **state)
{
	struct wire *wire = *state;

	if (wire->instance)
		npf_batch_end(wire->instance); /* an assertion may have failed amid one */
	npf_close(wire->instance);
	assert_int_equal(npf_unload(wire->driver), 0);
	npf_host_linux_free(wire->host);
	close(wire->far);
	close(wire->near);
	net_world_destroy(&wire->net);
	free(wire);
	return 0;
}

/* Worlds that a test ran in. */
static uint32_t wire_worlds;

/* The world of a test; the test ends here where the kernel has not its hook. */
static inline struct wire *wire_of(void **state)
{
	struct wire *wire = *state;

	if (!wire->instance) {
		if (wire_requires(wire->hook))
			fail_msg("%s is required: %s", npf_hook_name(wire->hook), wire->error);
		print_message("%s: %s\n", npf_hook_name(wire->hook), wire->error);
		skip();
	}
	wire_worlds++;
	return wire;
}

/* And it captures. */
#define WIRE_BUFFER (1u << 20)

static inline struct wire *wire_capturing(void **state)
{
	struct wire *wire = wire_of(state);

	assert_int_equal(npf_set_buffer(wire->instance, WIRE_BUFFER), 0);
	return wire;
}

/* ---- frames -------------------------------------------------------------------------------- */

#define FRAME_NUMBER_AT 14u /* a big-endian word */
#define FRAME_HEAD      18u

/* Frame with a number, from vb to va unless one swaps the addresses. */
static inline void wire_frame(uint32_t number, uint8_t *frame, uint32_t size)
{
	uint8_t head[FRAME_HEAD] = {
		[12] = NET_ETHERTYPE >> 8,
		[13] = NET_ETHERTYPE & 0xFF,
		[FRAME_NUMBER_AT] = (uint8_t)(number >> 24),
		[FRAME_NUMBER_AT + 1] = (uint8_t)(number >> 16),
		[FRAME_NUMBER_AT + 2] = (uint8_t)(number >> 8),
		[FRAME_NUMBER_AT + 3] = (uint8_t)number,
	};

	memcpy(head, net_va_address, 6);
	memcpy(head + 6, net_vb_address, 6);
	for (uint32_t i = FRAME_HEAD; i < size; i++)
		frame[i] = (uint8_t)(i * 7 + size);
	memcpy(frame, head, size < FRAME_HEAD ? size : FRAME_HEAD);
}

/* Frames first ... first + n - 1 from far. */
static inline void wire_send_plain(struct wire *wire, uint32_t first, uint32_t n, uint32_t size)
{
	uint8_t frame[FRAME_MAX];

	for (uint32_t i = first; i < first + n; i++) {
		wire_frame(i, frame, size);
		net_send(wire->far, frame, size);
	}
}

static inline void wire_assert_plain(const uint8_t *data, uint32_t caplen, uint32_t number,
				     uint32_t size)
{
	uint8_t frame[FRAME_MAX];

	wire_frame(number, frame, size);
	assert_memory_equal(data, frame, caplen);
}

/* Frames whose number is odd. */
static const struct npf_insn wire_odd_insns[] = {
	INSN_LD_B(FRAME_NUMBER_AT + 3),
	{ .code = 0x54, .k = 1 }, /* and */
	INSN_JEQ(1, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_program wire_odd = PROGRAM(wire_odd_insns);

/* Every fourth. */
static const struct npf_insn wire_fourth_insns[] = {
	INSN_LD_B(FRAME_NUMBER_AT + 3),
	{ .code = 0x54, .k = 3 }, /* and */
	INSN_JEQ(0, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_program wire_fourth = PROGRAM(wire_fourth_insns);

/* veth receives where it sends. On one CPU the tap's bounds are exact. */
static inline void wire_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* ---- waiting for what must come ------------------------------------------------------------ */

static inline uint64_t wire_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void wire_nap(void)
{
	struct timespec nap = { .tv_nsec = 500000 };

	nanosleep(&nap, NULL);
}

#define WIRE_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t give_up_ = wire_ms() + PATIENCE_MS;                                       \
		while (!(condition)) {                                                             \
			if (wire_ms() > give_up_)                                                  \
				fail_msg("in vain: %s", #condition);                               \
			wire_nap();                                                                \
		}                                                                                  \
	} while (0)

static inline struct npf_stats wire_stats(struct npf_instance *instance)
{
	struct npf_stats stats;

	assert_int_equal(npf_get_stats(instance, &stats), 0);
	return stats;
}

static inline void wire_received(struct npf_instance *instance, uint64_t n)
{
	WIRE_UNTIL(wire_stats(instance).received >= n);
	assert_int_equal(wire_stats(instance).received, n);
}

/* Called for each frame that was sent, n in all: every few of them all are counted before more go. The
 * tpacket hook's socket holds 16 blocks, which end by time, too: what is sent while its thread gets no
 * CPU may find none. */
static inline void wire_keep_up(struct npf_instance *instance, uint64_t n)
{
	if (n % 8 == 0)
		wire_received(instance, n);
}

static inline void wire_send_and_keep_up(struct wire *wire, uint32_t first, uint32_t n,
					 uint32_t size)
{
	uint64_t before = wire_stats(wire->instance).received;

	for (uint32_t i = 0; i < n; i++) {
		wire_send_plain(wire, first + i, 1, size);
		wire_keep_up(wire->instance, before + i + 1);
	}
	wire_received(wire->instance, before + n);
}

/* What is there, without waiting for more. */
static inline struct records wire_read(struct wire *wire, struct npf_instance *instance)
{
	int64_t n = npf_read(instance, wire->buffer, sizeof(wire->buffer));

	if (n < 0)
		fail_msg("read: %s", npf_error(instance));
	return (struct records){ .at = wire->buffer, .left = (size_t)n };
}

static inline bool wire_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLIN;
}

static inline bool wire_becomes_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, (int)PATIENCE_MS) == 1;
}

/* ---- running ------------------------------------------------------------------------------- */

struct wire_test {
	const char *name;
	void (*run)(void **state);
};

#define WIRE_MAX_TESTS (N_OF(wire_hooks) * 32)

/* Every test with each of the hooks; the exit status of the program. */
static inline int wire_run_on(const char *group, const struct wire_test *list, size_t n,
			      const enum npf_hook *hooks, size_t n_hooks)
{
	struct CMUnitTest tests[WIRE_MAX_TESTS] = { 0 };
	struct wire_start starts[WIRE_MAX_TESTS];
	char names[WIRE_MAX_TESTS][80];
	size_t used = 0;

	net_require();
	for (size_t i = 0; i < n_hooks * n; i++) {
		const struct wire_test *test = &list[i % n];
		enum npf_hook hook = hooks[i / n];

		if (!wire_wants(hook))
			continue;
		starts[used] = (struct wire_start){ hook, i % n };
		snprintf(names[used], sizeof(names[used]), "%s, %s", test->name,
			 npf_hook_name(hook));
		tests[used] = (struct CMUnitTest){
			.name = names[used],
			.test_func = test->run,
			.setup_func = wire_setup,
			.teardown_func = wire_teardown,
			.initial_state = &starts[used],
		};
		used++;
	}

	int failed = _cmocka_run_group_tests(group, tests, used, NULL, NULL);

	if (!failed && !wire_worlds) {
		print_message("skipped: no hook that could be tested\n");
		return 77;
	}
	return failed;
}

/* The same with the first n_hooks of all hooks. */
static inline int wire_run(const char *group, const struct wire_test *list, size_t n, size_t n_hooks)
{
	return wire_run_on(group, list, n, wire_hooks, n_hooks);
}

#endif
