/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clones that the kernel makes, of one frame or of each of a queue: nobody can tell them from frames of a packet socket, at either end,
 * and they are not sent where something could hold them back or lose them without a word.
 */
#include "netns/sending.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include "driver/host.h"

/* More than goes in one run of the program, and no multiple of that. */
#define COPIES 1001u

static bool can_clone(struct npf_instance *instance)
{
	char reason[NPF_ERROR_SIZE] = "";
	int err = npf_check_send_path(instance, NPF_SEND_CLONE, reason);

	if (err)
		printf("no clones: %s\n", reason);
	return !err;
}

static void need_clones(struct npf_instance *instance)
{
	if (!can_clone(instance))
		skip();
}

static void expect_refused(struct npf_instance *instance, const char *word)
{
	char reason[NPF_ERROR_SIZE] = "";

	assert_int_equal(npf_check_send_path(instance, NPF_SEND_CLONE, reason), -ENOTSUP);
	if (!strstr(reason, word))
		fail_msg("'%s', not '%s'", reason, word);
}

/* ---- what others see ------------------------------------------------------------------------- */

/* What a packet socket is told of a frame. */
struct sight {
	ssize_t size;
	uint16_t protocol, tag, tag_status;
	uint8_t kind; /* PACKET_* */
	int checksum_ready;
	uint8_t bytes[2048];
};

static int listen_on(struct bench *bench, enum net_side side, const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd, on = 1, room = 64 << 20;

	net_enter(&bench->net, side);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	address.sll_ifindex = name ? (int)if_nametoindex(name) : 0;
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	net_enter(&bench->net, NET_HERE);
	return fd;
}

static bool look(int fd, struct sight *sight)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct sockaddr_ll from = { 0 };
	struct iovec piece = { sight->bytes, sizeof(sight->bytes) };
	struct msghdr message = { .msg_name = &from,
				  .msg_namelen = sizeof(from),
				  .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct tpacket_auxdata data;

	memset(sight, 0, sizeof(*sight));
	sight->size = recvmsg(fd, &message, MSG_DONTWAIT);
	if (sight->size < 0)
		return false;
	assert_non_null(CMSG_FIRSTHDR(&message));
	memcpy(&data, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(data));
	sight->protocol = from.sll_protocol;
	sight->kind = from.sll_pkttype;
	sight->tag = data.tp_vlan_tci;
	sight->tag_status = data.tp_status & (TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID);
	sight->checksum_ready = (data.tp_status & TP_STATUS_CSUMNOTREADY) != 0;
	return true;
}

static void expect_sights(int fd, const struct sight *wanted, uint64_t n)
{
	struct sight got;

	for (uint64_t i = 0; i < n; i++) {
		assert_true(look(fd, &got));
		assert_memory_equal(&got, wanted, sizeof(got));
	}
	assert_false(look(fd, &got));
}

static const struct {
	const char *what;
	uint8_t to[6];
	uint16_t type;
	uint32_t size;
	uint16_t inner; /* type behind a tag */
} kinds[] = {
	{ "of no protocol", { 2, 0, 0, 0, 0, 9 }, NET_ETHERTYPE, 60, 0 },
	{ "to the receiver", { 2, 0, 0, 0, 0, 0x0b }, NET_ETHERTYPE, 61, 0 },
	{ "to all", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, ETH_P_IP, 200, 0 },
	{ "to some", { 1, 0, 0x5e, 0, 0, 1 }, ETH_P_IPV6, 1514, 0 },
	{ "to nobody", { 0 }, ETH_P_ARP, 42, 0 },
	{ "of the lowest type", { 2, 0, 0, 0, 0, 9 }, 0x0600, 60, 0 },
	{ "with a tag", { 2, 0, 0, 0, 0, 9 }, ETH_P_8021Q, 64, ETH_P_IP },
	{ "with a tag, longest", { 2, 0, 0, 0, 0, 9 }, ETH_P_8021Q, 1518, ETH_P_IP },
	{ "shortest", { 2, 0, 0, 0, 0, 9 }, NET_ETHERTYPE, 15, 0 },
	{ "shortest IPv4", { 2, 0, 0, 0, 0, 9 }, ETH_P_IP, 34, 0 },
	{ "shortest IPv6", { 2, 0, 0, 0, 0, 9 }, ETH_P_IPV6, 54, 0 },
};

static void make_kind(size_t k, uint8_t *frame)
{
	for (uint32_t i = 0; i < kinds[k].size; i++)
		frame[i] = (uint8_t)(i * 7);
	memcpy(frame, kinds[k].to, 6);
	frame[6] = 2;
	frame[12] = (uint8_t)(kinds[k].type >> 8);
	frame[13] = (uint8_t)kinds[k].type;
	if (kinds[k].inner) {
		frame[14] = 0;
		frame[15] = 7;
		frame[16] = (uint8_t)(kinds[k].inner >> 8);
		frame[17] = (uint8_t)kinds[k].inner;
	}
	frame[kinds[k].inner ? 18 : 14] = 0x45; /* IPv4's first byte, if it is that */
}

static void compare(struct npf_instance *sender, const int fds[2], size_t k)
{
	struct sight wanted[2];
	uint8_t frame[1600];
	const uint32_t size = kinds[k].size;

	make_kind(k, frame);
	assert_int_equal(npf_set_send_path(sender, NPF_SEND_SOCKET), 0);
	assert_int_equal(npf_set_write_repeat(sender, 1), 0);
	assert_int_equal(npf_write(sender, frame, size), size);
	for (int i = 0; i < 2; i++) {
		assert_true(look(fds[i], &wanted[i]));
		expect_sights(fds[i], &wanted[i], 0);
	}
	assert_int_equal(wanted[0].kind, PACKET_OUTGOING);

	assert_int_equal(npf_reset_send_stats(sender), 0);
	assert_int_equal(npf_set_send_path(sender, NPF_SEND_CLONE), 0);
	assert_int_equal(npf_set_write_repeat(sender, COPIES), 0);
	if (npf_write(sender, frame, size) != size)
		fail_msg("%s: %s", kinds[k].what, npf_error(sender));
	assert_int_equal(stats_of(sender).by_path[NPF_SEND_CLONE], COPIES);
	assert_int_equal(stats_of(sender).confirmed, COPIES);
	for (int i = 0; i < 2; i++)
		expect_sights(fds[i], &wanted[i], COPIES);
}

static void a_clone_looks_like_a_frame_of_a_socket(void **state)
{
	struct bench *bench = *state;
	int fds[2];

	need_clones(bench->near);
	fds[0] = listen_on(bench, NET_HERE, "va");
	fds[1] = listen_on(bench, NET_THERE, "vb");
	for (size_t k = 0; k < N_OF(kinds); k++)
		compare(bench->near, fds, k);
	close(fds[0]);
	close(fds[1]);
}

static void a_clone_of_a_vlan_gets_its_tag(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *vlan;
	uint8_t frame[1600];
	int fds[2];

	need_clones(bench->near);
	need_run(bench, "ip link add va.7 link va type vlan id 7");
	net_run(&bench->net, NET_HERE, "ip link set va.7 up");
	vlan = open_on(bench, NET_HERE, "va.7", NPF_OPEN_SEND_ONLY);
	fds[0] = listen_on(bench, NET_HERE, "va.7");
	fds[1] = listen_on(bench, NET_THERE, "vb");
	for (size_t k = 0; k < N_OF(kinds); k++) {
		if (!kinds[k].inner) {
			compare(vlan, fds, k);
			continue;
		}
		/* Captures are told another protocol of a socket's frame with two tags. */
		make_kind(k, frame);
		assert_int_equal(npf_set_send_path(vlan, NPF_SEND_CLONE), 0);
		assert_int_equal(npf_set_write_repeat(vlan, COPIES), 0);
		assert_int_equal(npf_write(vlan, frame, kinds[k].size), -ENOTSUP);
	}
	close(fds[0]);
	close(fds[1]);
	close_on(bench, vlan);
}

/* One socket sees a frame go and, once the kernel has received it, come. */
static void a_clone_on_loopback_looks_like_a_frame_of_a_socket(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *lo;
	struct sight wanted[2], got;
	uint8_t frame[1600];
	int fd;

	need_clones(bench->near);
	lo = open_on(bench, NET_HERE, "lo", NPF_OPEN_SEND_ONLY);
	fd = listen_on(bench, NET_HERE, "lo");
	for (size_t k = 0; k < N_OF(kinds); k++) {
		uint64_t seen[2] = { 0 };

		make_kind(k, frame);
		assert_int_equal(npf_set_send_path(lo, NPF_SEND_SOCKET), 0);
		assert_int_equal(npf_set_write_repeat(lo, 1), 0);
		assert_int_equal(npf_write(lo, frame, kinds[k].size), kinds[k].size);
		assert_true(look(fd, &wanted[0]));
		assert_true(look(fd, &wanted[1]));
		expect_sights(fd, &wanted[0], 0);
		assert_int_equal(npf_set_send_path(lo, NPF_SEND_CLONE), 0);
		assert_int_equal(npf_set_write_repeat(lo, COPIES), 0);
		assert_int_equal(npf_write(lo, frame, kinds[k].size), kinds[k].size);
		while (look(fd, &got)) {
			bool came = got.kind != PACKET_OUTGOING;

			assert_memory_equal(&got, &wanted[came], sizeof(got));
			seen[came]++;
		}
		assert_int_equal(seen[0], COPIES);
		assert_int_equal(seen[1], COPIES);
	}
	close(fd);
	close_on(bench, lo);
}

static bool is_this_frame(const struct npf_packet *packet, uint64_t n)
{
	return packet->caplen == 100 && is_the_same(packet, n);
}

/* Ours, by each hook: bytes and times, in order. */
static void captures_beside_the_sender_get_them(void **state)
{
	static const enum npf_hook hooks[] = { NPF_HOOK_TCX, NPF_HOOK_SOCKET, NPF_HOOK_TPACKET };
	struct bench *bench = *state;
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	need_path(bench->near, NPF_SEND_CLONE);
	for (size_t i = 0; i < N_OF(hooks); i++) {
		struct npf_open_options options = { .size = sizeof(options), .hook = hooks[i] };
		struct npf_instance *beside;
		uint64_t seen = 0;

		if (npf_open(bench->drivers[NET_HERE], "va", &options, &beside, NULL))
			continue;
		keep(bench, beside);
		assert_int_equal(npf_set_buffer(beside, 16 << 20), 0);
		assert_int_equal(npf_set_timeout(beside, 50), 0);
		assert_int_equal(npf_set_write_repeat(bench->near, COPIES), 0);
		assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
		expect_at(beside, &seen, COPIES, is_this_frame);
		close_on(bench, beside);
	}
}

/* ---- a receiver that loses them --------------------------------------------------------------- */

#define SLOW      4000u /* instructions: more time than a clone takes */
#define OTHER     0x88B6
#define A_BACKLOG 500u /* fits into one, unless somebody has changed that */

/* Counts what it receives of a type; that takes it so many instructions each. */
static int count_on(const char *name, uint16_t type, unsigned int instructions)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(type) };
	struct sock_filter code[SLOW + 1];
	struct sock_fprog program = { .len = (uint16_t)(instructions + 1), .filter = code };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	for (unsigned int i = 0; i < instructions; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, i);
	code[instructions] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 1);
	address.sll_ifindex = (int)if_nametoindex(name);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Since it was last asked. */
static uint64_t take_count(int fd)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);

	assert_int_equal(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size), 0);
	return stats.tp_packets; /* with those that it had no room for */
}

/* Whatever the adapter has counted arrives. */
static uint64_t await_count(int fd, uint64_t n)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint64_t arrived = take_count(fd);

	while (arrived < n && now_ms() < deadline)
		arrived += take_count(fd);
	assert_int_equal(arrived, n);
	return arrived;
}

static void move_to_cpu(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* Somebody else's, none of which gets lost. */
static void send_others(struct bench *bench, uint64_t n)
{
	int counter = count_on("lo", OTHER, 0), sender = net_sender(&bench->net, NET_HERE, "lo");
	uint8_t frame[60] = { [12] = OTHER >> 8, [13] = OTHER & 0xff };

	for (uint64_t sent = 0; sent < n; sent += A_BACKLOG) {
		for (uint64_t i = 0; i < A_BACKLOG; i++)
			net_send(sender, frame, sizeof(frame));
		await_count(counter, A_BACKLOG);
	}
	close(counter);
	close(sender);
}

/* Until some have been lost, by the counter of who sends alone; how many arrived. */
static uint64_t overrun(struct bench *bench, struct npf_instance *lo, int counter)
{
	uint64_t before = net_counters(&bench->net, NET_HERE, "lo").tx_packets;
	uint64_t arrived = 0;
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(lo, 20000), 0);
	for (int i = 0; i < 50 && stats_of(lo).handed == arrived; i++) {
		assert_int_equal(npf_write(lo, frame, sizeof(frame)), sizeof(frame));
		arrived += await_count(counter,
				       net_counters(&bench->net, NET_HERE, "lo").tx_packets -
					       before - arrived);
		assert_int_equal(stats_of(lo).confirmed, arrived);
	}
	return arrived;
}

/* Another instance's, most of which get lost. */
static void overrun_by_others(struct bench *bench)
{
	struct npf_instance *other = open_on(bench, NET_HERE, "lo", NPF_OPEN_SEND_ONLY);
	uint8_t frame[100];

	make_frame(2, frame, sizeof(frame));
	assert_true(take_path(other, NPF_SEND_CLONE));
	assert_int_equal(npf_set_write_repeat(other, 20000), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(npf_write(other, frame, sizeof(frame)), sizeof(frame));
	close_on(bench, other);
}

#define LO_RPS "/sys/class/net/lo/queues/rx-0/rps_cpus"

/* Before lo goes: a map that goes with its adapter leaves RPS switched on in the kernel until it
 * boots, and every packet of this machine pays for it. */
static int teardown_rps(void **state)
{
	struct bench *bench = *state;

	net_write_sys(&bench->net, NET_HERE, LO_RPS, "0");
	return teardown(state);
}

/* With RPS loopback's frames wait for another CPU, which loses those it has no room for, behind the
 * driver's OK. Frames of another sender, in the same counter, do not stand in for them. */
static void what_loopback_loses_is_not_confirmed(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *lo;
	struct npf_send_stats stats;
	uint64_t arrived;
	cpu_set_t before;
	int counter;

	need_clones(bench->near);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 ||
	    !net_write_sys(&bench->net, NET_HERE, LO_RPS, "2")) {
		printf("no RPS here\n");
		skip();
	}
	lo = open_on(bench, NET_HERE, "lo", NPF_OPEN_SEND_ONLY);
	assert_true(take_path(lo, NPF_SEND_CLONE));
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	move_to_cpu(0);
	counter = count_on("lo", NET_ETHERTYPE, SLOW);
	arrived = overrun(bench, lo, counter);
	send_others(bench, stats_of(lo).handed - arrived);
	stats = stats_of(lo);
	printf("%llu handed, %llu confirmed, %llu arrived\n", (unsigned long long)stats.handed,
	       (unsigned long long)stats.confirmed, (unsigned long long)arrived);
	assert_int_equal(stats.confirmed, arrived);
	overrun_by_others(bench);
	assert_int_equal(stats_of(lo).confirmed, arrived);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	close(counter);
	close_on(bench, lo);
	if (arrived == stats.handed)
		skip();
}

/* ---- queues of different frames -------------------------------------------------------------- */

/* Frame i of a queue of one type: of every size that the kind allows, by turns, and each with other
 * bytes. */
static uint32_t make_member(size_t k, uint32_t i, uint8_t *frame)
{
	uint32_t least = kinds[k].type == ETH_P_IP ? 34 : kinds[k].type == ETH_P_IPV6 ? 54 : 22;
	uint32_t most = kinds[k].inner ? 1518 : 1514;
	uint32_t size = least + i * 733 % (most - least + 1);

	make_kind(k, frame);
	for (uint32_t at = 22; at < size; at++)
		frame[at] = (uint8_t)(at * 5 + i * 11 + (i >> 8));
	return size;
}

/* COPIES frames of each of these kinds, so many of one kind together. */
static struct npf_send_frame *make_mixture(const size_t *which, size_t n, uint32_t together)
{
	struct npf_send_frame *frames = calloc(n * COPIES, sizeof(*frames));

	assert_non_null(frames);
	for (uint32_t i = 0; i < n * COPIES; i++) {
		size_t k = which[i / together % n];
		uint8_t *bytes = malloc(1600);

		assert_non_null(bytes);
		frames[i].data = bytes;
		frames[i].size = make_member(k, i, bytes);
	}
	return frames;
}

static void free_mixture(struct npf_send_frame *frames, size_t n)
{
	for (size_t i = 0; i < n * COPIES; i++)
		free((void *)(uintptr_t)frames[i].data);
	free(frames);
}

static void send_mixture(struct npf_instance *sender, const struct npf_send_frame *frames, size_t n,
			 enum npf_send_path path)
{
	size_t sent;

	assert_int_equal(npf_reset_send_stats(sender), 0);
	assert_int_equal(npf_set_send_path(sender, path), 0);
	if (npf_send_frames(sender, frames, n, &sent))
		fail_msg("%s", npf_error(sender));
	assert_int_equal(sent, n);
	assert_int_equal(stats_of(sender).by_path[path], n);
	assert_int_equal(stats_of(sender).confirmed, n);
}

/* Each at both ends as those of a packet socket, in the same order. */
static void compare_mixture(struct npf_instance *sender, const int fds[2], const size_t *which,
			    size_t n, uint32_t together)
{
	struct npf_send_frame *frames = make_mixture(which, n, together);
	struct sight *wanted = calloc(n * COPIES, sizeof(*wanted)), got;

	assert_non_null(wanted);
	for (int end = 0; end < 2; end++) {
		while (look(fds[0], &got) || look(fds[1], &got))
			continue;
		send_mixture(sender, frames, n * COPIES, NPF_SEND_SOCKET);
		for (size_t i = 0; i < n * COPIES; i++)
			assert_true(look(fds[end], &wanted[i]));
		while (look(fds[0], &got) || look(fds[1], &got))
			continue;
		send_mixture(sender, frames, n * COPIES, NPF_SEND_CLONE);
		for (size_t i = 0; i < n * COPIES; i++) {
			assert_true(look(fds[end], &got));
			assert_memory_equal(&got, &wanted[i], sizeof(got));
		}
		assert_false(look(fds[end], &got));
	}
	free(wanted);
	free_mixture(frames, n);
}

static void a_queue_of_clones_looks_like_one_of_a_socket(void **state)
{
	static const size_t all[] = { 0, 1, 2, 3, 4, 5, 6 };
	struct bench *bench = *state;
	int fds[2];

	need_clones(bench->near);
	fds[0] = listen_on(bench, NET_HERE, "va");
	fds[1] = listen_on(bench, NET_THERE, "vb");
	for (size_t k = 0; k < N_OF(all); k++)
		compare_mixture(bench->near, fds, &all[k], 1, 1);
	compare_mixture(bench->near, fds, all, N_OF(all), 50);
	compare_mixture(bench->near, fds, all, N_OF(all), 1);
	close(fds[0]);
	close(fds[1]);
}

/* Beside a capture, what is of few types, however many sizes it has, is cloned; the rest is not. */
static void queues_are_cloned_where_that_pays(void **state)
{
	static const size_t two[] = { 0, 4 };
	static const uint32_t together[] = { 100, 1 };
	struct bench *bench = *state;
	size_t n = N_OF(two) * COPIES, sent;
	int listener;

	need_clones(bench->near);
	listener = listen_on(bench, NET_HERE, "va");
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_AUTO), 0);
	for (size_t i = 0; i < N_OF(together); i++) {
		struct npf_send_frame *frames = make_mixture(two, N_OF(two), together[i]);
		uint64_t cloned;

		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		for (int again = 0; again < 5; again++) /* few prepare nothing */
			assert_int_equal(npf_send_frames(bench->near, frames, n, &sent), 0);
		cloned = stats_of(bench->near).by_path[NPF_SEND_CLONE];
		assert_int_equal(stats_of(bench->near).confirmed, 5 * n);
		assert_int_equal(cloned + stats_of(bench->near).by_path[NPF_SEND_SOCKET], 5 * n);
		assert_true(i ? !cloned : cloned >= 3 * n);
		free_mixture(frames, N_OF(two));
	}
	close(listener);
}

/* Frames that no clone is made for stand between those that fit: all go, in order. */
static void queues_with_frames_that_do_not_fit_go_in_order(void **state)
{
	enum { N = 30000 };
	struct bench *bench = *state;
	struct npf_send_frame *frames = calloc(N, sizeof(*frames));
	struct sight got;
	uint8_t *bytes = calloc(N, 64);
	int fds[2];
	size_t sent;

	assert_true(frames && bytes);
	need_clones(bench->near);
	fds[0] = listen_on(bench, NET_HERE, "va");
	fds[1] = listen_on(bench, NET_THERE, "vb");
	for (uint32_t i = 0; i < N; i++) {
		uint8_t *frame = bytes + (size_t)i * 64;

		make_kind(0, frame);
		if (i % 3000 == 1000) { /* a length instead of a type */
			frame[12] = 0;
			frame[13] = 46;
		}
		memcpy(frame + 20, &i, sizeof(i));
		frames[i] = (struct npf_send_frame){ frame, 60, 0 };
	}
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_AUTO), 0);
	assert_int_equal(npf_send_frames(bench->near, frames, N, &sent), 0);
	assert_int_equal(sent, N);
	assert_in_range(stats_of(bench->near).by_path[NPF_SEND_CLONE], N / 2, N - N / 3000);
	expect_counted(bench, 0, N);
	for (int end = 0; end < 2; end++) {
		for (uint32_t i = 0; i < N; i++) {
			assert_true(look(fds[end], &got));
			assert_int_equal(got.size, 60);
			assert_memory_equal(got.bytes, frames[i].data, 60);
		}
		assert_false(look(fds[end], &got));
		close(fds[end]);
	}
	free(frames);
	free(bytes);
}

/* ---- where it is not for --------------------------------------------------------------------- */

static void frames_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		size_t size;
		int result;
	} cases[] = { { 14, -ENOTSUP }, { 15, 0 }, { 3072, 0 }, { 3073, -ENOTSUP } };
	struct bench *bench = *state;
	uint8_t frame[4000] = { 0 };

	net_run(&bench->net, NET_HERE, "ip link set va mtu 9000");
	net_run(&bench->net, NET_THERE, "ip link set vb mtu 9000");
	make_frame(1, frame, 100);
	need_path(bench->near, NPF_SEND_CLONE);
	assert_int_equal(npf_set_write_repeat(bench->near, COPIES), 0);
	for (size_t i = 0; i < N_OF(cases); i++) {
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		assert_int_equal(npf_write(bench->near, frame, cases[i].size),
				 cases[i].result ? cases[i].result : (int64_t)cases[i].size);
		assert_int_equal(stats_of(bench->near).confirmed, cases[i].result ? 0 : COPIES);
	}
	/* With a length instead of a type: the kernel tells captures another protocol of what it received
	 * than of what a socket sent. */
	frame[12] = 0;
	frame[13] = 46;
	assert_int_equal(npf_reset_send_stats(bench->near), 0);
	assert_int_equal(npf_write(bench->near, frame, 60), -ENOTSUP);
	assert_non_null(strstr(npf_error(bench->near), "path clone takes no frame like the next"));
	assert_int_equal(stats_of(bench->near).failed_by[NPF_SEND_FAILED_REFUSED], COPIES);
	/* Unless it was forced, another way is taken. */
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_AUTO), 0);
	assert_int_equal(npf_write(bench->near, frame, 3073), 3073);
}

static void expect_socket(struct npf_instance *instance, uint32_t n)
{
	uint8_t frame[100];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_send_path(instance, NPF_SEND_AUTO), 0);
	assert_int_equal(npf_set_write_repeat(instance, n), 0);
	assert_int_equal(npf_write(instance, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_send_path(instance), NPF_SEND_SOCKET);
	assert_int_equal(stats_of(instance).by_path[NPF_SEND_CLONE], 0);
}

/* A queueing discipline of the adapter, or below it, may hold frames and drop them. Somebody listens
 * everywhere, so that no other fast way is open. */
static void nothing_that_queues_is_overrun(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *vlan;
	int listener;

	need_clones(bench->near);
	need_run(bench, "tc qdisc add dev va root pfifo limit 100000");
	listener = listen_on(bench, NET_HERE, NULL);
	expect_refused(bench->near, "queue (pfifo)");
	expect_socket(bench->near, 20000);
	if (!can_run(bench, "ip link add va.7 link va type vlan id 7")) {
		close(listener);
		skip();
	}
	net_run(&bench->net, NET_HERE, "ip link set va.7 up");
	vlan = open_on(bench, NET_HERE, "va.7", NPF_OPEN_SEND_ONLY);
	expect_refused(vlan, "queue (pfifo)");
	expect_socket(vlan, 20000);
	net_run(&bench->net, NET_HERE, "tc qdisc del dev va root");
	assert_true(can_clone(vlan));
	close_on(bench, vlan);
	close(listener);
}

static void bridges_are_left_alone(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *other;

	need_clones(bench->near);
	need_run(bench, "ip link add br0 type bridge");
	net_run(&bench->net, NET_HERE, "ip link set br0 up");
	other = open_on(bench, NET_HERE, "br0", NPF_OPEN_SEND_ONLY);
	expect_refused(other, "clones are for loopback, veth");
	close_on(bench, other);
}

static void tun_and_tap_are_left_alone(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *other;
	int tap, tun;

	need_clones(bench->near);
	if (!net_has_tun())
		skip();
	tap = net_tun(&bench->net, NET_HERE, "t0", IFF_TAP | IFF_NO_PI);
	tun = net_tun(&bench->net, NET_HERE, "t1", IFF_TUN | IFF_NO_PI);
	other = open_on(bench, NET_HERE, "t0", NPF_OPEN_SEND_ONLY);
	expect_refused(other, "queue (");
	close_on(bench, other);
	other = open_on(bench, NET_HERE, "t1", NPF_OPEN_SEND_ONLY);
	expect_refused(other, "Ethernet");
	close_on(bench, other);
	close(tap);
	close(tun);
}

static void dummies_take_clones(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *other;
	uint8_t frame[100];

	need_clones(bench->near);
	need_run(bench, "ip link add d0 type dummy");
	net_run(&bench->net, NET_HERE, "ip link set d0 up");
	other = open_on(bench, NET_HERE, "d0", NPF_OPEN_SEND_ONLY);
	make_frame(1, frame, sizeof(frame));
	assert_true(take_path(other, NPF_SEND_CLONE));
	assert_int_equal(npf_set_write_repeat(other, COPIES), 0);
	assert_int_equal(npf_write(other, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(stats_of(other).confirmed, COPIES);
	close_on(bench, other);
}

/* A program that lets everything pass, until the descriptor is closed. */
static int attach_xdp(struct bench *bench, enum net_side side, const char *name, uint32_t mode)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = mode);
	int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "Dual BSD/GPL", code, N_OF(code),
				    NULL);
	int link;

	assert_true(program >= 0);
	net_enter(&bench->net, side);
	link = bpf_link_create(program, (int)if_nametoindex(name), BPF_XDP, &options);
	net_enter(&bench->net, NET_HERE);
	assert_true(link >= 0);
	close(program);
	return link;
}

/* The kernel runs programs in generic mode for no packet that was redirected, as a clone is. */
static void no_receiver_is_bypassed(void **state)
{
	static const char *const names[] = { "lo", "vb" };
	struct bench *bench = *state;
	int listener, program;

	need_clones(bench->near);
	listener = listen_on(bench, NET_HERE, NULL);
	for (size_t i = 0; i < N_OF(names); i++) {
		struct npf_instance *sender = open_on(bench, NET_HERE, i ? "va" : "lo",
						      NPF_OPEN_SEND_ONLY);

		program = attach_xdp(bench, i ? NET_THERE : NET_HERE, names[i], XDP_FLAGS_SKB_MODE);
		expect_refused(sender, "generic mode");
		expect_socket(sender, 20000);
		close(program);
		assert_true(can_clone(sender));
		close_on(bench, sender);
	}
	expect_frames(bench, 20000, is_the_same);
	close(listener);
}

static void a_receiver_with_xdp_gets_everything(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[100];
	int program;

	need_path(bench->near, NPF_SEND_CLONE);
	program = attach_xdp(bench, NET_THERE, "vb", XDP_FLAGS_DRV_MODE);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(bench->near, 20000), 0);
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	expect_frames(bench, 20000, is_the_same);
	expect_counted(bench, 0, 20000);
	close(program);
}

/* The interface's number means another one there. */
static void a_thread_that_went_elsewhere_sends_nothing_there(void **state)
{
	struct bench *bench = *state;
	uint64_t before = net_counters(&bench->net, NET_THERE, "vb").tx_packets;
	uint8_t frame[100];
	int64_t result;

	make_frame(1, frame, sizeof(frame));
	need_path(bench->near, NPF_SEND_CLONE);
	assert_int_equal(npf_set_write_repeat(bench->near, COPIES), 0);
	net_enter(&bench->net, NET_THERE);
	result = npf_write(bench->near, frame, sizeof(frame));
	net_enter(&bench->net, NET_HERE);
	assert_int_equal(result, -ENOTSUP);
	assert_int_equal(stats_of(bench->near).handed, 0);
	assert_int_equal(net_counters(&bench->net, NET_THERE, "vb").tx_packets, before);
}

static const struct npf_system_ops *in_time;

/* A second passes between any two looks at the clock. */
static uint64_t late(struct npf_host *host)
{
	static uint64_t lag;

	lag += 1000000000;
	return in_time->now(host) + lag;
}

/* How long a call takes is looked at for those who want to end it; it must not decide what goes. */
static void a_thread_that_is_late_sends_all(void **state)
{
	struct bench *bench = *state;
	struct npf_host *host = bench->hosts[NET_HERE];
	struct npf_system_ops system = *host->system;
	uint8_t frame[100];
	int64_t result;

	in_time = host->system;
	system.now = late;
	make_frame(1, frame, sizeof(frame));
	need_path(bench->near, NPF_SEND_CLONE);
	assert_int_equal(npf_set_write_repeat(bench->near, COPIES), 0);
	host->system = &system;
	result = npf_write(bench->near, frame, sizeof(frame));
	host->system = in_time;
	assert_int_equal(result, sizeof(frame));
	assert_int_equal(stats_of(bench->near).handed, COPIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(a_clone_looks_like_a_frame_of_a_socket),
		SEND_TEST(a_clone_of_a_vlan_gets_its_tag),
		SEND_TEST(a_clone_on_loopback_looks_like_a_frame_of_a_socket),
		SEND_TEST(captures_beside_the_sender_get_them),
		cmocka_unit_test_setup_teardown(what_loopback_loses_is_not_confirmed, setup,
						teardown_rps),
		SEND_TEST(a_queue_of_clones_looks_like_one_of_a_socket),
		SEND_TEST(queues_are_cloned_where_that_pays),
		SEND_TEST(queues_with_frames_that_do_not_fit_go_in_order),
		SEND_TEST(frames_that_do_not_fit_are_refused),
		SEND_TEST(nothing_that_queues_is_overrun),
		SEND_TEST(bridges_are_left_alone),
		SEND_TEST(tun_and_tap_are_left_alone),
		SEND_TEST(dummies_take_clones),
		SEND_TEST(no_receiver_is_bypassed),
		SEND_TEST(a_receiver_with_xdp_gets_everything),
		SEND_TEST(a_thread_that_went_elsewhere_sends_nothing_there),
		SEND_TEST(a_thread_that_is_late_sends_all),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
