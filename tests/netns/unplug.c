/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The adapter goes while it is captured from: what was buffered is delivered, then the end is told
 * and told again; counters stay, sending fails, closing is safe.
 */
#include "netns/wire.h"

#include <net/if.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER (1u << 20)

static void unplug(struct wire *wire)
{
	net_run(&wire->net, NET_HERE, "ip link del va");
}

static void expect_end(struct wire *wire, struct npf_instance *instance)
{
	assert_true(wire_becomes_readable(npf_poll_fd(instance)));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(npf_read(instance, wire->buffer, sizeof(wire->buffer)), -ENODEV);
		assert_true(npf_error(instance)[0]);
		assert_int_equal(npf_batch_begin(instance), -ENODEV);
	}
	assert_true(wire_readable(npf_poll_fd(instance)));
}

static void buffered_packets(void **state)
{
	struct wire *wire = wire_of(state);
	struct records records;

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_set_min_to_copy(wire->instance, BUFFER / 2), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	wire_send_and_keep_up(wire, 0, 50, 200);
	assert_false(wire_readable(npf_poll_fd(wire->instance)));
	unplug(wire);

	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	for (uint32_t i = 0; i < 50; i += 10) { /* in several reads */
		int64_t n = npf_read(wire->instance, wire->buffer, 10 * 220);

		assert_int_equal(n, 10 * 220);
		records = (struct records){ .at = wire->buffer, .left = (size_t)n };
		for (uint32_t k = i; k < i + 10; k++) {
			assert_true(records_next(&records));
			wire_assert_plain(records.data, 200, k, 200);
		}
		assert_true(wire_readable(npf_poll_fd(wire->instance)));
	}
	expect_end(wire, wire->instance);
}

static void everything_else(void **state)
{
	static const struct npf_insn all[] = { INSN_RET(1) };
	static const struct npf_program program = PROGRAM(all);
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire->instance;
	uint32_t hide = NPF_DISABLE_LOOPBACK, oid[4] = { NPF_OID_GEN_MAXIMUM_FRAME_SIZE, 4 };
	struct npf_adapter adapter;
	struct npf_stats stats;
	uint8_t frame[100];

	assert_int_equal(npf_set_buffer(instance, BUFFER), 0);
	wire_send_plain(wire, 0, 7, 100);
	wire_received(instance, 7);
	unplug(wire);
	assert_true(wire_becomes_readable(npf_poll_fd(instance)));

	stats = wire_stats(instance);
	assert_int_equal(stats.received, 7);
	assert_int_equal(stats.captured, 7);
	assert_int_equal(npf_instance_adapter(instance, &adapter), -ENODEV);
	assert_string_equal(adapter.name, "va");
	assert_int_equal(adapter.mtu, 1500);

	wire_frame(0, frame, sizeof(frame));
	assert_int_equal(npf_write(instance, frame, sizeof(frame)), -ENODEV);
	assert_int_equal(npf_io_control(instance, NPF_BIOCQUERYOID, oid, sizeof(oid), oid,
					sizeof(oid), NULL),
			 -ENODEV);
	assert_int_equal(npf_set_hw_filter(instance, NPF_FILTER_PROMISCUOUS), -ENODEV);
	assert_int_equal(npf_io_control(instance, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL, 0,
					NULL),
			 -ENODEV);
	/* Whether they succeed is the hook's matter; that they end is not. */
	(void)npf_set_filter(instance, &program);
	(void)npf_set_buffer(instance, 2 * BUFFER);
	(void)npf_set_mode(instance, NPF_MODE_STAT);
	assert_int_equal(wire_try_open(wire, "va", &(struct npf_instance *){ NULL }), -ENODEV);
}

static void *read_to_the_end(void *arg)
{
	struct npf_instance *instance = arg;
	uint8_t buffer[4096];
	int64_t n;

	do
		n = npf_read(instance, buffer, sizeof(buffer));
	while (n >= 0);
	return (void *)(intptr_t)n;
}

static void waiting_reader(void **state)
{
	struct wire *wire = wire_of(state);
	pthread_t thread;
	void *result;

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	pthread_create(&thread, NULL, read_to_the_end, wire->instance);
	wire_send_plain(wire, 0, 10, 100);
	unplug(wire);
	pthread_join(thread, &result);
	assert_int_equal((int)(intptr_t)result, -ENODEV);
}

/* A fork that hears of it first takes it from nobody. */
static void two_processes(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_adapter adapter;
	int status;
	pid_t pid;

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	unplug(wire);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(npf_instance_adapter(wire->instance, &adapter) != -ENODEV);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_end(wire, wire->instance);
}

struct sender {
	int socket;
	bool stop;
};

static void *send_on(void *arg)
{
	struct sender *sender = arg;
	uint8_t frame[200];

	wire_frame(0, frame, sizeof(frame));
	while (!__atomic_load_n(&sender->stop, __ATOMIC_RELAXED))
		(void)!send(sender->socket, frame, sizeof(frame), MSG_DONTWAIT);
	return NULL;
}

/* In the middle of a flood nothing is unaccounted for either. */
static void flood(void **state)
{
	struct wire *wire = wire_of(state);
	struct sender sender = { .socket = wire->far };
	struct npf_stats stats;
	struct records records;
	pthread_t thread;
	uint64_t n = 0;
	int64_t size;

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	pthread_create(&thread, NULL, send_on, &sender);
	WIRE_UNTIL(wire_stats(wire->instance).received > 1000);
	unplug(wire);
	while ((size = npf_read(wire->instance, wire->buffer, sizeof(wire->buffer))) >= 0) {
		records = (struct records){ .at = wire->buffer, .left = (size_t)size };
		for (; records_next(&records); n++)
			wire_assert_plain(records.data, 200, 0, 200);
	}
	__atomic_store_n(&sender.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(size, -ENODEV);
	stats = wire_stats(wire->instance);
	assert_int_equal(stats.captured, n);
	assert_int_equal(stats.received, stats.filtered + stats.captured + stats.dropped);
	assert_int_equal(stats.filtered, 0);
	expect_end(wire, wire->instance);
}

/* A new adapter of the same name is another one. */
static void same_name_again(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *again;

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	unplug(wire);
	net_run(&wire->net, NET_HERE,
		"ip link add va address 02:00:00:00:00:0a type veth peer name vb netns /proc/%d/fd/%d",
		(int)getpid(), wire->net.sides[NET_THERE]);
	net_run(&wire->net, NET_HERE, "ip link set va up");
	net_run(&wire->net, NET_THERE, "ip link set vb up");
	close(wire->far);
	wire->far = net_sender(&wire->net, NET_THERE, "vb");

	again = wire_open(wire, "va");
	assert_int_equal(npf_set_buffer(again, BUFFER), 0);
	wire_send_plain(wire, 0, 3, 100);
	wire_received(again, 3);
	expect_end(wire, wire->instance);
	assert_int_equal(wire_stats(wire->instance).received, 0);
	npf_close(again);
}

static bool listed(struct wire *wire, const char *name)
{
	struct npf_adapter *list;
	bool found = false;
	size_t n;

	assert_int_equal(npf_get_adapters_list(wire->driver, &list, &n), 0);
	for (size_t i = 0; i < n; i++)
		found |= !strcmp(list[i].name, name);
	npf_free_adapters_list(wire->driver, list);
	return found;
}

static void adapter_list(void **state)
{
	struct wire *wire = wire_of(state);
	int fd = npf_adapters_fd(wire->driver);

	assert_true(fd >= 0);
	assert_true(listed(wire, "va"));
	assert_true(listed(wire, "lo"));
	assert_false(listed(wire, "vc"));
	WIRE_UNTIL(listed(wire, "va") && !wire_readable(fd));

	net_run(&wire->net, NET_HERE, "ip link add vc type veth peer name vd");
	assert_true(wire_becomes_readable(fd));
	assert_true(listed(wire, "vc"));
	WIRE_UNTIL(listed(wire, "vc") && !wire_readable(fd));

	unplug(wire);
	assert_true(wire_becomes_readable(fd));
	assert_false(listed(wire, "va"));
}

/* News of other adapters are nothing to read: neither their coming and going nor a change here. */
static void others_come_and_go(void **state)
{
	struct wire *wire = wire_of(state);
	int fd = npf_poll_fd(wire->instance);

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	net_run(&wire->net, NET_HERE, "ip link add vc type veth peer name vd");
	net_run(&wire->net, NET_HERE, "ip link set va mtu 1400");
	net_run(&wire->net, NET_HERE, "ip link del vc");
	assert_false(wire_readable(fd));
	unplug(wire);
	assert_true(wire_becomes_readable(fd));
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "item 13: buffered packets", buffered_packets },
		{ "item 13: everything else", everything_else },
		{ "item 13: a waiting reader", waiting_reader },
		{ "two processes have it", two_processes },
		{ "item 13: in a flood", flood },
		{ "the same name again", same_name_again },
		{ "the list of adapters", adapter_list },
		{ "others come and go", others_come_and_go },
	};

	return wire_run("unplug", tests, N_OF(tests), N_OF(wire_hooks));
}
