/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What NPF promises about statistics mode, own sends, objects of the adapter and closing, on real
 * interfaces: conformance_read.c's list goes on.
 */
#include "netns/wire.h"

#include <dirent.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ---- statistics mode ------------------------------------------------------------------------ */

static uint64_t class_packets(struct npf_instance *instance)
{
	struct npf_class_stats stats;
	uint32_t n = 1;

	assert_int_equal(npf_get_class_stats(instance, &stats, &n, NULL), 0);
	return stats.packets;
}

static void expect_record(struct wire *wire, int64_t packets, int64_t bytes)
{
	struct npf_bpf_hdr hdr;
	int64_t counted[2];

	assert_int_equal(npf_read(wire->instance, wire->buffer, sizeof(wire->buffer)), 36);
	memcpy(&hdr, wire->buffer, sizeof(hdr));
	memcpy(counted, wire->buffer + NPF_STAT_PACKETS_OFFSET, sizeof(counted));
	assert_int_equal(hdr.caplen, 16);
	assert_int_equal(hdr.datalen, 16);
	assert_int_equal(hdr.hdrlen, 20);
	assert_int_equal(counted[0], packets);
	assert_int_equal(counted[1], bytes);
}

static void statistics(void **state)
{
	static const uint32_t sizes[] = { 14, 42, 59, 60, 61, 64, 594, 1514 };
	struct wire *wire = wire_of(state);
	int64_t bytes = 0;
	uint64_t before;

	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
	for (size_t i = 0; i < N_OF(sizes); i++) {
		wire_send_plain(wire, (uint32_t)i, 1, sizes[i]);
		bytes += (sizes[i] < 60 ? 60 : sizes[i]) + 12;
	}
	WIRE_UNTIL(class_packets(wire->instance) == N_OF(sizes));
	assert_int_equal(npf_read(wire->instance, wire->buffer, 35), -ENOBUFS);
	expect_record(wire, N_OF(sizes), bytes);
	expect_record(wire, 0, 0);

	before = wire_ms();
	assert_int_equal(npf_set_timeout(wire->instance, 100), 0);
	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
	wire_send_plain(wire, 0, 4, 60);
	WIRE_UNTIL(class_packets(wire->instance) == 4);
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	assert_true(wire_ms() - before >= 99);
	expect_record(wire, 4, 4 * 72);
}

static void many_classes(void **state)
{
	struct wire *wire = wire_of(state);
	static struct npf_class classes[40];
	static struct npf_insn insns[40][4];
	struct npf_class_stats stats[40];
	uint32_t n = 40;

	for (uint32_t i = 0; i < 40; i++) {
		const struct npf_insn equal[] = { INSN_LD_B(FRAME_NUMBER_AT + 3), INSN_JEQ(i, 0, 1),
						  INSN_RET(1), INSN_RET(0) };

		memcpy(insns[i], equal, sizeof(equal));
		snprintf(classes[i].name, sizeof(classes[i].name), "class %u", i);
		classes[i].program = (struct npf_program){ .length = 4, .insns = insns[i] };
	}
	classes[39].program.length = 0; /* everything */
	assert_int_equal(npf_set_classes(wire->instance, classes, 40), 0);
	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_STAT), 0);
	for (uint32_t i = 0; i < 39; i++)
		wire_send_plain(wire, i, 1, 60 + i);
	do {
		assert_int_equal(npf_get_class_stats(wire->instance, stats, &n, NULL), 0);
	} while (stats[39].packets < 39);
	/* The classes of one answer may be of different moments. */
	assert_int_equal(npf_get_class_stats(wire->instance, stats, &n, NULL), 0);
	for (uint32_t i = 0; i < 39; i++) {
		assert_int_equal(stats[i].packets, 1);
		assert_int_equal(stats[i].bytes, 60 + i);
		assert_int_equal(stats[i].line_bytes, 72 + i);
	}
}

/* ---- own sends ------------------------------------------------------------------------------ */

static void set_loopback(struct npf_instance *instance, uint32_t behaviour)
{
	assert_int_equal(npf_io_control(instance, NPF_BIOCISETLOBBEH, &behaviour, sizeof(behaviour),
					NULL, 0, NULL),
			 0);
}

static void own_sends(struct wire *wire, struct npf_instance *one, struct npf_instance *other)
{
	uint8_t frame[100];

	wire_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_buffer(one, WIRE_BUFFER), 0);
	assert_int_equal(npf_set_buffer(other, WIRE_BUFFER), 0);
	assert_int_equal(npf_write(one, frame, sizeof(frame)), sizeof(frame));
	wire_received(one, 1);
	wire_received(other, 1);

	set_loopback(one, NPF_DISABLE_LOOPBACK);
	assert_int_equal(wire_stats(one).received, 0);
	assert_int_equal(wire_read(wire, one).left, 0);
	assert_int_equal(npf_write(one, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_write(other, frame, sizeof(frame)), sizeof(frame));
	wire_received(other, 3);
	wire_received(one, 1);

	set_loopback(one, NPF_ENABLE_LOOPBACK);
	assert_int_equal(npf_write(one, frame, sizeof(frame)), sizeof(frame));
	wire_received(other, 4);
	wire_received(one, 2);
}

static void own_sends_on_veth(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *other = wire_open(wire, "va");

	own_sends(wire, wire->instance, other);
	wire_send_plain(wire, 0, 1, 100);
	wire_received(wire->instance, 3);
	npf_close(other);
}

/* And each packet once there, as received. */
static void own_sends_on_loopback(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *one = wire_open(wire, "lo"), *other = wire_open(wire, "lo");
	struct npf_packet packet;

	own_sends(wire, one, other);
	assert_true(npf_batch_begin(other) > 0);
	while (npf_batch_next(other, &packet)) {
		assert_int_equal(packet.flags & NPF_PACKET_OUTGOING, 0);
		wire_assert_plain(packet.data, 100, 1, 100);
	}
	npf_batch_end(other);
	npf_close(one);
	npf_close(other);
}

static void direction(void **state)
{
	struct wire *wire = wire_capturing(state);
	struct npf_packet packet;
	uint8_t frame[100];

	wire_frame(0, frame, sizeof(frame));
	net_send(wire->far, frame, sizeof(frame));
	wire_received(wire->instance, 1);
	net_send(wire->near, frame, sizeof(frame));
	wire_received(wire->instance, 2);
	assert_true(npf_batch_begin(wire->instance) > 0);
	assert_true(npf_batch_next(wire->instance, &packet));
	assert_int_equal(packet.flags, 0);
	assert_true(npf_batch_next(wire->instance, &packet));
	assert_int_equal(packet.flags, NPF_PACKET_OUTGOING);
	assert_false(npf_batch_next(wire->instance, &packet));
	npf_batch_end(wire->instance);
}

/* ---- objects -------------------------------------------------------------------------------- */

static int query(struct npf_instance *instance, uint32_t oid, void *value, uint32_t length)
{
	uint32_t request[2 + 32] = { oid, length };
	size_t size = length < 4 ? 12 : 11 + length;
	int err = npf_io_control(instance, NPF_BIOCQUERYOID, request, size, request, size, NULL);

	if (!err) {
		assert_in_range(request[1], 1, length);
		memcpy(value, request + 2, request[1]);
	}
	return err;
}

static uint32_t query_u32(struct npf_instance *instance, uint32_t oid)
{
	uint32_t value = 0;

	if (query(instance, oid, &value, sizeof(value)))
		fail_msg("OID %x: %s", oid, npf_error(instance));
	return value;
}

static uint32_t mtu_of(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFMTU, &request), 0);
	close(fd);
	return (uint32_t)request.ifr_mtu;
}

static void oids(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire->instance;
	uint8_t address[6], frame[FRAME_MAX];
	char text[NPF_TEXT_SIZE];

	net_run(&wire->net, NET_HERE, "ip link set va mtu 1400");
	assert_int_equal(query_u32(instance, NPF_OID_GEN_MAXIMUM_FRAME_SIZE), mtu_of("va"));
	assert_int_equal(query_u32(instance, NPF_OID_GEN_MEDIA_IN_USE), NPF_MEDIUM_802_3);
	assert_int_equal(query_u32(instance, NPF_OID_GEN_LINK_SPEED), 100000000);
	assert_int_equal(query_u32(instance, NPF_OID_GEN_VENDOR_ID), 2);
	assert_int_equal(query(instance, NPF_OID_802_3_CURRENT_ADDRESS, address, 6), 0);
	assert_memory_equal(address, net_va_address, 6);
	assert_int_equal(query(instance, NPF_OID_GEN_VENDOR_DESCRIPTION, text, sizeof(text) - 12),
			 0);
	assert_non_null(strstr(text, "veth"));

	uint32_t longest = query_u32(instance, NPF_OID_GEN_MAXIMUM_TOTAL_SIZE);

	wire_frame(0, frame, longest + 1);
	frame[12] = 0x81; /* where a tag makes the frame longer, with one */
	frame[13] = 0;
	assert_int_equal(npf_write(instance, frame, longest), longest);
	assert_int_equal(npf_write(instance, frame, longest + 1), -EMSGSIZE);
	assert_int_equal(npf_write(instance, frame, 0), -EINVAL);
	assert_int_equal(npf_write(instance, frame, 13), -EINVAL);
	assert_non_null(strstr(npf_error(instance), "link header"));

	assert_int_equal(query_u32(instance, NPF_OID_GEN_MEDIA_CONNECT_STATUS), 0);
	net_run(&wire->net, NET_THERE, "ip link set vb down");
	WIRE_UNTIL(query_u32(instance, NPF_OID_GEN_MEDIA_CONNECT_STATUS) == 1);
	net_run(&wire->net, NET_HERE, "ip link set va down");
	assert_int_equal(query_u32(instance, NPF_OID_GEN_HARDWARE_STATUS), 4);
	assert_int_equal(npf_write(instance, frame, 100), -ENETDOWN);
}

static void wrong_requests(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire->instance;
	uint32_t request[8] = { NPF_OID_GEN_MAXIMUM_FRAME_SIZE, 4 }, value;
	uint64_t counter;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(npf_io_control(instance, NPF_BIOCQUERYOID, request, 11, request,
						11, NULL),
				 -ENOBUFS);
		assert_int_equal(npf_io_control(instance, NPF_BIOCQUERYOID, request, 14, request,
						14, NULL),
				 -ENOBUFS);
		assert_int_equal(query(instance, 0x12345678, &value, 4), -ENOTSUP);
		assert_int_equal(query(instance, NPF_OID_GEN_XMIT_OK, &counter, 4), -ENOBUFS);
		assert_int_equal(npf_io_control(instance, 4711, NULL, 0, NULL, 0, NULL), -ENOTTY);
		assert_int_equal(npf_io_control(instance, NPF_BIOCSMODE, &value, 3, NULL, 0, NULL),
				 -ENOBUFS);
	}
	assert_int_equal(query_u32(instance, NPF_OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
	assert_int_equal(npf_set_buffer(instance, NPF_MAX_BUFFER + 1), -EINVAL);
	assert_int_equal(npf_set_hw_filter(instance, 0x40000000), -EINVAL);
	assert_int_equal(query_u32(instance, NPF_OID_GEN_CURRENT_PACKET_FILTER), NPF_FILTER_DEFAULT);
}

struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg link;
	uint8_t attributes[16000];
};

static void ask_link(const char *name, struct link_message *message)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	*message = (struct link_message){
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(message->link)),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.link = { .ifi_index = (int)if_nametoindex(name) },
	};
	assert_true(send(fd, message, message->header.nlmsg_len, 0) > 0);
	assert_true(recv(fd, message, sizeof(*message), 0) > 0);
	assert_int_equal(message->header.nlmsg_type, RTM_NEWLINK);
	close(fd);
}

static bool is_promiscuous(void)
{
	struct link_message message;
	size_t left;

	ask_link("va", &message);
	left = message.header.nlmsg_len - NLMSG_LENGTH(sizeof(message.link));
	for (struct rtattr *at = (void *)message.attributes; RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFLA_PROMISCUITY)
			return *(uint32_t *)RTA_DATA(at);
	}
	fail_msg("no promiscuity is told");
	return false;
}

static void hardware_filter(void **state)
{
	struct wire *wire = wire_capturing(state);
	uint8_t frame[100];

	wire_frame(0, frame, sizeof(frame));
	frame[5] ^= 1; /* for somebody else */
	net_send(wire->far, frame, sizeof(frame));
	wire_send_plain(wire, 0, 1, 100);
	wire_received(wire->instance, 1);
	assert_false(is_promiscuous());

	assert_int_equal(npf_set_hw_filter(wire->instance,
					   NPF_FILTER_DEFAULT | NPF_FILTER_PROMISCUOUS),
			 0);
	assert_true(is_promiscuous());
	net_send(wire->far, frame, sizeof(frame));
	wire_received(wire->instance, 2);

	assert_int_equal(npf_set_hw_filter(wire->instance, NPF_FILTER_BROADCAST), 0);
	assert_false(is_promiscuous());
	wire_send_plain(wire, 0, 1, 100);
	memset(frame, 0xFF, 6);
	net_send(wire->far, frame, sizeof(frame));
	wire_received(wire->instance, 3);
}

/* ---- ending --------------------------------------------------------------------------------- */

static uint32_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void *read_on(void *arg)
{
	uint8_t buffer[4096];

	while (npf_read(arg, buffer, sizeof(buffer)) >= 0)
		;
	return NULL;
}

static void *write_on(void *arg)
{
	uint8_t frame[100];

	wire_frame(0, frame, sizeof(frame));
	while (npf_write(arg, frame, sizeof(frame)) >= 0)
		;
	return NULL;
}

static void *control_on(void *arg)
{
	struct npf_stats stats;
	uint32_t n = 0;

	while (!npf_set_min_to_copy(arg, n++ % 1000) && !npf_get_stats(arg, &stats) &&
	       !npf_set_filter(arg, &wire_odd))
		;
	return NULL;
}

static void close_under_load(void **state)
{
	static void *(*const work[])(void *) = { read_on, write_on, control_on };
	struct wire *wire = wire_of(state);
	uint32_t open_before = descriptors();

	for (int round = 0; round < 5; round++) {
		struct npf_instance *instance = wire_open(wire, "va");
		pthread_t threads[N_OF(work)];
		struct npf_stats stats;

		assert_int_equal(npf_set_buffer(instance, WIRE_BUFFER), 0);
		assert_int_equal(npf_set_timeout(instance, 0), 0);
		for (size_t i = 0; i < N_OF(work); i++)
			pthread_create(&threads[i], NULL, work[i], instance);
		wire_nap();
		npf_cleanup(instance);
		for (size_t i = 0; i < N_OF(work); i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(npf_get_stats(instance, &stats), -ECANCELED);
		assert_int_equal(npf_poll_fd(instance), -1);
		npf_close(instance);
	}
	assert_int_equal(descriptors(), open_before);
}

/* A reader that waits for ever is let go. */
static void close_under_reader(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *instance = wire_open(wire, "va");
	pthread_t thread;

	assert_int_equal(npf_set_buffer(instance, WIRE_BUFFER), 0);
	assert_int_equal(npf_set_timeout(instance, 0), 0);
	pthread_create(&thread, NULL, read_on, instance);
	wire_nap();
	npf_cleanup(instance);
	pthread_join(thread, NULL);
	npf_close(instance);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "item 09: statistics mode", statistics },
		{ "item 09: many classes", many_classes },
		{ "item 12: own sends on veth", own_sends_on_veth },
		{ "item 12: own sends on loopback", own_sends_on_loopback },
		{ "direction", direction },
		{ "item 15: object identifiers", oids },
		{ "item 15: wrong requests", wrong_requests },
		{ "hardware filter", hardware_filter },
		{ "item 18: close under load", close_under_load },
		{ "item 18: close under a reader", close_under_reader },
	};

	return wire_run("conformance of control", tests, N_OF(tests), N_OF(wire_hooks));
}
