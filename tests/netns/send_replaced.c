/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An adapter that stands where another was. A way of sending is prepared by the adapter's index; meanwhile
 * the adapter goes, and another gets that index. It gets no frame. This program stands in front of the
 * calls that name the index. And: the adapter is renamed, and another gets its name, which tells nothing
 * of the first.
 */
#include "netns/sending.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define INDEX  4711u
#define ROUNDS 8 /* of renaming */

/* Replace the adapter at the next such call: right before it, or after. */
static struct {
	struct bench *bench; /* NULL: not at all */
	bool after;
	unsigned int done;
} trap;

static void spring(bool after)
{
	struct bench *bench = trap.bench;

	if (!bench || after != trap.after)
		return;
	trap.bench = NULL;
	trap.done++;
	net_run(&bench->net, NET_HERE, "ip link del ea");
	add_pair(bench, INDEX);
}

/* In place of libbpf's: live frames and clones name the adapter by it. */
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	union bpf_attr attributes = { .map_fd = (__u32)fd,
				      .key = (__u64)(uintptr_t)key,
				      .value = (__u64)(uintptr_t)value,
				      .flags = flags };

	spring(false);

	int err = syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof(attributes)) ? -errno
											 : 0;

	spring(true);
	return err;
}

/* In place of the C library's: AF_XDP does. */
int bind(int fd, const struct sockaddr *address, socklen_t size)
{
	bool names = address->sa_family == AF_XDP;

	if (names)
		spring(false);

	int err = (int)syscall(SYS_bind, fd, address, size);

	if (names)
		spring(true);
	return err;
}

static void send_past_a_trap(struct bench *bench, enum npf_send_path path, bool after)
{
	struct npf_instance *sender;
	uint8_t frame[100];

	add_pair(bench, INDEX);
	sender = open_on(bench, NET_HERE, "ea", NPF_OPEN_SEND_ONLY);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(sender, 100000), 0);
	trap.bench = bench;
	trap.after = after;
	if (path == NPF_SEND_AUTO || !npf_set_send_path(sender, path))
		assert_true(npf_write(sender, frame, sizeof(frame)) < 0);
	trap.bench = NULL;
	(void)npf_set_send_path(sender, NPF_SEND_AUTO);
	assert_true(npf_write(sender, frame, sizeof(frame)) < 0 || !trap.done);
	assert_int_equal(net_counters(&bench->net, NET_HERE, "ea").tx_packets, 0);
	assert_int_equal(stats_of(sender).handed, 0);
	close_on(bench, sender);
	net_run(&bench->net, NET_HERE, "ip link del ea");
}

static void what_takes_the_index_meanwhile_gets_nothing(void **state)
{
	static const enum npf_send_path ways[] = { NPF_SEND_XSK, NPF_SEND_XDP, NPF_SEND_CLONE,
						   NPF_SEND_AUTO };
	struct bench *bench = *state;
	bool all = true, can = false;

	for (size_t i = 0; i < N_OF(ways); i++) {
		if (ways[i] == NPF_SEND_AUTO ? !can : !take_path(bench->near, ways[i])) {
			all = false;
			continue;
		}
		can |= ways[i] != NPF_SEND_XSK; /* which auto takes last */
		for (int after = 0; after < 2; after++) {
			trap.done = 0;
			send_past_a_trap(bench, ways[i], after);
			assert_int_equal(trap.done, 1);
		}
	}
	if (!all)
		skip();
}

/* ---- names ---------------------------------------------------------------------------------- */

static void rename_near(struct bench *bench, const char *from, const char *to)
{
	net_run(&bench->net, NET_HERE, "ip link set %s down", from);
	net_run(&bench->net, NET_HERE, "ip link set %s name %s", from, to);
	net_run(&bench->net, NET_HERE, "ip link set %s up", to);
}

static void send_some(struct bench *bench, uint32_t size, int64_t result)
{
	uint8_t frame[1500];
	int64_t sent;

	make_frame(1, frame, size);
	for (size_t i = 0; i < N_OF(paths); i++) {
		if (!take_path(bench->near, paths[i]))
			continue;
		sent = npf_write(bench->near, frame, size);
		if (sent != result)
			fail_msg("%s: %lld, %s", npf_send_path_name(paths[i]), (long long)sent,
				 npf_error(bench->near));
	}
}

static void what_takes_the_name_tells_nothing_of_it(void **state)
{
	struct bench *bench = *state;

	send_some(bench, 100, 100);
	rename_near(bench, "va", "vx");
	net_run(&bench->net, NET_HERE, "ip link add ea type veth peer name va");
	net_run(&bench->net, NET_HERE, "ip link set va mtu 9000");
	send_some(bench, 100, 100);
	net_run(&bench->net, NET_HERE, "ip link set ea up");
	net_run(&bench->net, NET_HERE, "ip link set va up");
	net_run(&bench->net, NET_HERE, "ip link set vx mtu 1400");
	assert_int_equal(npf_set_write_repeat(bench->near, 20000), 0);
	send_some(bench, 1500, -EMSGSIZE);
	assert_int_equal(npf_set_write_repeat(bench->near, 1), 0);
	net_run(&bench->net, NET_HERE, "ip link set vx down");
	send_some(bench, 100, -ENETDOWN);
	rename_near(bench, "vx", "vy");
	send_some(bench, 100, 100);
	net_run(&bench->net, NET_HERE, "ip link del vy");
	send_some(bench, 100, -ENODEV);
}

/* Why not by a faster path: not of the name that it had. */
static void reasons_name_it_as_it_is_called(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *capture;
	char reason[NPF_ERROR_SIZE];
	uint8_t frame[100];
	int err;

	rename_near(bench, "va", "vx");
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	capture = open_on(bench, NET_HERE, "vx", 0);
	err = npf_check_send_path(bench->near, NPF_SEND_XDP, reason);
	close_on(bench, capture);
	if (err != -EBUSY)
		skip();
	if (!strstr(reason, " vx") || strstr(reason, " va"))
		fail_msg("%s", reason);
}

static void *count_and_ask(void *arg)
{
	struct bench *bench = arg;
	struct npf_send_stats stats;
	struct npf_adapter adapter;

	while (!__atomic_load_n(&bench->over, __ATOMIC_ACQUIRE)) {
		(void)npf_get_send_stats(bench->near, &stats);
		(void)npf_instance_adapter(bench->near, &adapter);
	}
	return NULL;
}

/* The thread sanitizer looks on. */
static void a_name_changes_beside_who_counts(void **state)
{
	struct bench *bench = *state;
	pthread_t thread;
	uint8_t frame[100];
	int sent = 0;

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(pthread_create(&thread, NULL, count_and_ask, bench), 0);
	for (int i = 0; i < ROUNDS; i++) {
		rename_near(bench, i % 2 ? "vx" : "va", i % 2 ? "va" : "vx");
		sent += npf_write(bench->near, frame, sizeof(frame)) == sizeof(frame);
	}
	__atomic_store_n(&bench->over, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sent, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(what_takes_the_index_meanwhile_gets_nothing),
		SEND_TEST(what_takes_the_name_tells_nothing_of_it),
		SEND_TEST(reasons_name_it_as_it_is_called),
		SEND_TEST(a_name_changes_beside_who_counts),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
