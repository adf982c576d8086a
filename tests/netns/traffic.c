/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic of every kind, and a comparison of savefiles, for equals_tcpdump.sh. No test by itself.
 *
 *	traffic veth NAMESPACE   between va (here, 192.0.2.1) and vb (there, 192.0.2.2): frames of
 *	                         many protocols both ways, with and without VLAN tags, then TCP
 *	                         transfers both ways in packets as long as the adapters take
 *	traffic lo               over the loopback device
 *	traffic greet NAMESPACE  one packet each way that the two commands below leave out
 *	traffic count FILE       packets in a savefile, 0 as long as there is none
 *	traffic compare A B      the same packets, apart from their time stamps?
 *
 * All of it happens on one CPU. Then each direction has one order, whoever looks; between the
 * directions the order depends on where in the stack one looks, so they are compared apart.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS         20u
#define TRANSFER_BYTES (4u << 20)
#define LONGEST        1518u

static const char here[] = "192.0.2.1";
static const uint8_t va_address[6] = { 2, 0, 0, 0, 0, 0x0a },
		     vb_address[6] = { 2, 0, 0, 0, 0, 0x0b };

/* ---- building frames ------------------------------------------------------------------------ */

struct frame {
	uint32_t length;
	uint8_t bytes[LONGEST];
};

static void add(struct frame *frame, const void *bytes, size_t n)
{
	memcpy(frame->bytes + frame->length, bytes, n);
	frame->length += (uint32_t)n;
}

static void add16(struct frame *frame, uint32_t value)
{
	add(frame, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static void add_filling(struct frame *frame, size_t n)
{
	for (size_t i = 0; i < n; i++)
		frame->bytes[frame->length++] = (uint8_t)('a' + i % 26);
}

static uint16_t checksum(const uint8_t *bytes, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)bytes[i] << 8 | (i + 1 < n ? bytes[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_checksum(struct frame *frame, uint32_t from, uint32_t n, uint32_t at)
{
	uint16_t sum = checksum(frame->bytes + from, n);

	frame->bytes[at] = (uint8_t)(sum >> 8);
	frame->bytes[at + 1] = (uint8_t)sum;
}

struct ends {
	const uint8_t *to, *from;     /* link-layer addresses */
	uint32_t source, destination; /* last byte of the IP addresses */
};

static void begin(struct frame *frame, const struct ends *ends)
{
	frame->length = 0;
	add(frame, ends->to, 6);
	add(frame, ends->from, 6);
}

static void add_ipv4(struct frame *frame, const struct ends *ends, uint8_t protocol,
		     uint32_t payload, uint32_t id)
{
	uint32_t at = frame->length + 2;
	const uint8_t rest[] = {
		64,  protocol, 0, 0,
		192, 0,        2, (uint8_t)ends->source,
		192, 0,        2, (uint8_t)ends->destination,
	};

	add16(frame, 0x0800);
	add(frame, (uint8_t[]){ 0x45, 0 }, 2);
	add16(frame, 20 + payload);
	add16(frame, id);
	add16(frame, 0);
	add(frame, rest, sizeof(rest));
	put_checksum(frame, at, 20, at + 10);
}

static void add_ipv6(struct frame *frame, const struct ends *ends, uint8_t protocol,
		     uint32_t payload)
{
	uint8_t address[16] = { 0x20, 0x01, 0x0d, 0xb8 };

	add16(frame, 0x86DD);
	add(frame, (uint8_t[]){ 0x60, 0, 0, 0 }, 4);
	add16(frame, payload);
	add(frame, (uint8_t[]){ protocol, 64 }, 2);
	address[15] = (uint8_t)ends->source;
	add(frame, address, sizeof(address));
	address[15] = (uint8_t)ends->destination;
	add(frame, address, sizeof(address));
}

static void add_udp(struct frame *frame, uint32_t port, uint32_t payload)
{
	add16(frame, 4000);
	add16(frame, port);
	add16(frame, 8 + payload);
	add16(frame, 0);
	add_filling(frame, payload);
}

static void add_tcp(struct frame *frame, uint32_t port, uint32_t sequence)
{
	static const uint8_t rest[] = { 0, 0, 0, 0, 0x50, 0x02, 0x10, 0, 0, 0, 0, 0 };

	add16(frame, 4000);
	add16(frame, port);
	add16(frame, 0);
	add16(frame, sequence);
	add(frame, rest, sizeof(rest));
}

static void add_echo(struct frame *frame, uint8_t type, uint32_t sequence)
{
	uint32_t at = frame->length;

	add(frame, (uint8_t[]){ type, 0, 0, 0, 0, 7 }, 6);
	add16(frame, sequence);
	add_filling(frame, 48);
	put_checksum(frame, at, 56, at + 2);
}

static void add_arp(struct frame *frame, const struct ends *ends)
{
	static const uint8_t head[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 }, zero[6];

	add(frame, head, sizeof(head));
	add(frame, ends->from, 6);
	add(frame, (uint8_t[]){ 192, 0, 2, (uint8_t)ends->source }, 4);
	add(frame, zero, 6);
	add(frame, (uint8_t[]){ 192, 0, 2, (uint8_t)ends->destination }, 4);
}

enum kind {
	UDP4,
	DNS4,
	TCP4,
	ICMP4,
	LONG4,
	FRAGMENT4,
	UDP6,
	DNS6,
	TCP6,
	ICMP6,
	ARP,
	LLC,
	SHORT,
	KINDS
};

static void add_kind(struct frame *frame, enum kind kind, const struct ends *ends, uint32_t n)
{
	static const uint8_t llc[] = { 0, 40, 0x42, 0x42, 3 };

	switch (kind) {
	case UDP4:
		add_ipv4(frame, ends, 17, 8 + n, n);
		add_udp(frame, 9, n);
		break;
	case DNS4:
		add_ipv4(frame, ends, 17, 8 + 40, n);
		add_udp(frame, 53, 40);
		break;
	case TCP4:
		add_ipv4(frame, ends, 6, 20, n);
		add_tcp(frame, 81, n);
		break;
	case ICMP4:
		add_ipv4(frame, ends, 1, 56, n);
		add_echo(frame, 8, n);
		break;
	case LONG4:
		add_ipv4(frame, ends, 17, 1472, n);
		add_udp(frame, 9, 1464);
		break;
	case FRAGMENT4:
		add_ipv4(frame, ends, 17, 64, n);
		frame->bytes[frame->length - 13] = 0x20; /* an offset: no ports here */
		add_filling(frame, 64);
		break;
	case UDP6:
		add_ipv6(frame, ends, 17, 8 + n);
		add_udp(frame, 9, n);
		break;
	case DNS6:
		add_ipv6(frame, ends, 17, 8 + 40);
		add_udp(frame, 53, 40);
		break;
	case TCP6:
		add_ipv6(frame, ends, 6, 20);
		add_tcp(frame, 81, n);
		break;
	case ICMP6:
		add_ipv6(frame, ends, 58, 56);
		add_echo(frame, 128, n);
		break;
	case ARP:
		add_arp(frame, ends);
		break;
	case LLC:
		add(frame, llc, sizeof(llc));
		add_filling(frame, 43);
		break;
	case SHORT:
	case KINDS:
		add16(frame, 0x88B5);
		break;
	}
}

/* ---- sending them --------------------------------------------------------------------------- */

static void enter(const char *namespace)
{
	int fd = open(namespace, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "entering %s", namespace);
	close(fd);
}

static int packet_socket(const char *adapter)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_ifindex = (int)if_nametoindex(adapter) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "a packet socket on %s", adapter);
	return fd;
}

static void send_frame(int fd, const struct frame *frame)
{
	if (send(fd, frame->bytes, frame->length, 0) != (ssize_t)frame->length)
		err(1, "sending %u bytes", frame->length);
}

/* Tags in front of what follows the addresses. */
static const struct {
	uint8_t bytes[8];
	size_t n;
} tags[] = {
	{ { 0 }, 0 },
	{ { 0x81, 0, 0, 5 }, 4 },
	{ { 0x81, 0, 0xA0, 6 }, 4 },
	{ { 0x81, 0, 0, 5, 0x81, 0, 0, 7 }, 8 },
	{ { 0x88, 0xA8, 0, 5, 0x81, 0, 0, 7 }, 8 },
	{ { 0x81, 0, 0, 0 }, 4 },
};
#define N_TAGS (sizeof(tags) / sizeof(tags[0]))

static void send_kinds(int fd, const struct ends *ends, uint32_t n)
{
	struct frame frame;

	for (size_t tag = 0; tag < N_TAGS; tag++) {
		for (int kind = 0; kind < KINDS; kind++) {
			if (tags[tag].n && (kind == LLC || kind == SHORT || kind == LONG4))
				continue;
			begin(&frame, ends);
			add(&frame, tags[tag].bytes, tags[tag].n);
			add_kind(&frame, (enum kind)kind, ends, n);
			send_frame(fd, &frame);
		}
	}
}

/* To the other side, to all, to a group, to a station that is neither. */
static void send_round(int near, int far, uint32_t n)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 },
			     group[6] = { 1, 0, 94, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 0x0c };
	const uint8_t *const destinations[] = { NULL, all, group, other };
	const uint8_t *to = destinations[n % 4];
	const struct ends in = { to ? to : va_address, vb_address, 2, 1 };
	const struct ends out = { to ? to : vb_address, va_address, 1, 2 };

	send_kinds(far, &in, n);
	send_kinds(near, &out, n);
}

/* ---- TCP ------------------------------------------------------------------------------------ */

static struct sockaddr_in at(const char *address, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, address, &sin.sin_addr);
	return sin;
}

static int listen_at(const char *address, uint16_t port)
{
	struct sockaddr_in sin = at(address, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) || listen(fd, 1))
		err(1, "listening at %s", address);
	return fd;
}

static int connect_to(const char *address, uint16_t port)
{
	struct sockaddr_in sin = at(address, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)))
		err(1, "connecting to %s", address);
	return fd;
}

/* Move bytes from one end to the other, in pieces longer than a packet. */
static void pump(int from, int to)
{
	static uint8_t piece[256 << 10];
	size_t sent = 0, arrived = 0;

	fcntl(from, F_SETFL, O_NONBLOCK);
	fcntl(to, F_SETFL, O_NONBLOCK);
	while (arrived < TRANSFER_BYTES) {
		struct pollfd fds[] = { { from, sent < TRANSFER_BYTES ? POLLOUT : 0, 0 },
					{ to, POLLIN, 0 } };
		size_t left = TRANSFER_BYTES - sent;
		ssize_t n;

		if (poll(fds, 2, 100000) <= 0)
			errx(1, "a TCP transfer stands still after %zu bytes", arrived);
		if (fds[0].revents & POLLOUT) {
			n = write(from, piece, left < sizeof(piece) ? left : sizeof(piece));
			sent += n > 0 ? (size_t)n : 0;
		}
		if (fds[1].revents & POLLIN) {
			n = read(to, piece, sizeof(piece));
			arrived += n > 0 ? (size_t)n : 0;
		}
	}
}

static void transfer(int listener, int client)
{
	int server = accept(listener, NULL, NULL);

	if (server < 0)
		err(1, "accept");
	pump(client, server);
	pump(server, client);
	close(client);
	close(server);
	close(listener);
}

/* ---- the scenes ----------------------------------------------------------------------------- */

static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "sched_setaffinity");
}

static void play_veth(const char *namespace)
{
	int near = packet_socket("va"), listener = listen_at(here, 5001);
	int far, client;

	enter(namespace);
	far = packet_socket("vb");
	for (uint32_t n = 0; n < ROUNDS; n++)
		send_round(near, far, n);
	client = connect_to(here, 5001);
	transfer(listener, client);
}

#define GREETING_PORT 7777u

static void greet(const char *namespace)
{
	const struct ends in = { va_address, vb_address, 2, 1 };
	const struct ends out = { vb_address, va_address, 1, 2 };
	int near = packet_socket("va");
	struct frame frame;

	begin(&frame, &out);
	add_ipv4(&frame, &out, 17, 8, 0);
	add_udp(&frame, GREETING_PORT, 0);
	send_frame(near, &frame);
	enter(namespace);
	begin(&frame, &in);
	add_ipv4(&frame, &in, 17, 8, 0);
	add_udp(&frame, GREETING_PORT, 0);
	send_frame(packet_socket("vb"), &frame);
}

static void play_loopback(void)
{
	static const char *const words[] = { "one", "two", "and a longer third" };
	struct sockaddr_in sin = at("127.0.0.1", 53);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int listener = listen_at("127.0.0.1", 5001);

	for (size_t i = 0; i < 60; i++) {
		/* Every other one is refused: nobody listens, and the socket is told. */
		sendto(udp, words[i % 3], strlen(words[i % 3]), 0, (struct sockaddr *)&sin,
		       sizeof(sin));
	}
	transfer(listener, connect_to("127.0.0.1", 5001));
	close(udp);
}

/* ---- savefiles ------------------------------------------------------------------------------ */

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, precision, snaplen, link_type;
};

struct packet_header {
	uint32_t seconds, fraction, caplen, len;
};

struct savefile {
	const char *name;
	uint8_t *bytes;
	size_t size, at;
	uint32_t link_type;
	uint32_t number; /* of the packet taken last */
	struct packet_header header;
	const uint8_t *data;
};

/* false: not even a header yet. */
static bool load(struct savefile *file, const char *name)
{
	FILE *stream = fopen(name, "re");
	struct file_header header;

	*file = (struct savefile){ .name = name, .at = sizeof(header) };
	if (!stream)
		return false;
	fseek(stream, 0, SEEK_END);
	file->size = (size_t)ftell(stream);
	rewind(stream);
	file->bytes = malloc(file->size + 1);
	if (!file->bytes || fread(file->bytes, 1, file->size, stream) != file->size)
		err(1, "reading %s", name);
	fclose(stream);
	if (file->size < sizeof(header))
		return false;
	memcpy(&header, file->bytes, sizeof(header));
	if (header.magic != 0xA1B2C3D4)
		errx(1, "%s is no savefile of this machine", name);
	file->link_type = header.link_type;
	return true;
}

static bool next_record(struct savefile *file)
{
	if (file->size - file->at < sizeof(file->header))
		return false;
	memcpy(&file->header, file->bytes + file->at, sizeof(file->header));
	file->at += sizeof(file->header);
	if (file->size - file->at < file->header.caplen)
		return false;
	file->data = file->bytes + file->at;
	file->at += file->header.caplen;
	file->number++;
	return true;
}

/* And the answer of a host that has nobody at that port, which quotes it. */
static bool is_greeting(const struct savefile *file)
{
	static const uint32_t places[] = { 36, 64 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint32_t at = places[i];

		if (file->header.len < 80 && file->header.caplen >= at + 2 &&
		    file->data[at] == GREETING_PORT >> 8 &&
		    file->data[at + 1] == (GREETING_PORT & 0xFF))
			return true;
	}
	return false;
}

static bool next_packet(struct savefile *file)
{
	while (next_record(file)) {
		if (!is_greeting(file))
			return true;
	}
	return false;
}

static int count(const char *name)
{
	struct savefile file;
	uint32_t n = 0;

	if (load(&file, name)) {
		while (next_packet(&file))
			n++;
	}
	free(file.bytes);
	printf("%" PRIu32 "\n", n);
	return 0;
}

/* Sent by the capturing host: by its source address. On a loopback device there is none. */
static bool outgoing(const struct savefile *file)
{
	return file->header.caplen >= 12 && !memcmp(file->data + 6, va_address, 6);
}

static bool next_of(struct savefile *file, bool out)
{
	while (next_packet(file)) {
		if (outgoing(file) == out)
			return true;
	}
	return false;
}

static bool same_packet(const struct savefile *a, const struct savefile *b)
{
	return a->header.caplen == b->header.caplen && a->header.len == b->header.len &&
	       !memcmp(a->data, b->data, a->header.caplen);
}

/* The packets of one direction, in order. The number of those that are the same, or -1. */
static int64_t compare_direction(struct savefile *a, struct savefile *b, bool out)
{
	int64_t n = 0;

	a->at = b->at = sizeof(struct file_header);
	a->number = b->number = 0;
	for (;;) {
		bool in_a = next_of(a, out), in_b = next_of(b, out);

		if (!in_a && !in_b)
			return n;
		if (in_a != in_b || !same_packet(a, b)) {
			printf("%s packet %u of %s and %u of %s differ: caplen %u, %u, len %u, %u\n",
			       out ? "outgoing" : "incoming", a->number, a->name, b->number,
			       b->name, in_a ? a->header.caplen : 0, in_b ? b->header.caplen : 0,
			       in_a ? a->header.len : 0, in_b ? b->header.len : 0);
			return -1;
		}
		n++;
	}
}

static int compare(const char *first, const char *second)
{
	struct savefile a, b;

	if (!load(&a, first) || !load(&b, second))
		errx(1, "%s or %s is empty", first, second);
	if (a.link_type != b.link_type)
		errx(1, "link types %u and %u", a.link_type, b.link_type);

	int64_t in = compare_direction(&a, &b, false);
	int64_t out = compare_direction(&a, &b, true);

	free(a.bytes);
	free(b.bytes);
	if (in < 0 || out < 0)
		return 1;
	printf("%" PRId64 " incoming and %" PRId64 " outgoing packets are the same\n", in, out);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 3 && !strcmp(what, "count"))
		return count(argv[2]);
	if (argc == 4 && !strcmp(what, "compare"))
		return compare(argv[2], argv[3]);
	stay_on_one_cpu();
	if (argc == 3 && !strcmp(what, "veth"))
		play_veth(argv[2]);
	else if (argc == 3 && !strcmp(what, "greet"))
		greet(argv[2]);
	else if (argc == 2 && !strcmp(what, "lo"))
		play_loopback();
	else
		errx(2, "usage: traffic veth|greet NAMESPACE | lo | count FILE | compare A B");
	return 0;
}
