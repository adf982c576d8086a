/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load: one UDP packet to a station that does not exist, as often as it goes. Two ways, because
 * what a tap adds depends on how packets arrive: XDP live frames (the kernel itself repeats one
 * frame into the peer; least noise, highest rate) and sendmmsg (a plain sender's socket).
 *
 * veth receives on the CPU that sends, so the cost of a tap is the sender's CPU time with the tap
 * minus without.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <err.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"

#define LIVE_LEAST    65536 /* frames per call, whose end costs a wait for RCU (20 ms) */
#define SENDMMSG_SIZE 64
#define IP_AT         14
#define UDP_AT        34

const char *const generator_names[N_GENERATORS] = { "live frames", "sendmmsg" };

static void put16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t ip_checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

/* 192.0.2.1:9 to 192.0.2.2:9, no UDP checksum. */
void sender_make_frame(uint8_t *frame, size_t size)
{
	static const uint8_t head[UDP_AT + 4] = {
		0x02, 0,    0, 0,  0,  0xFE, 0x02, 0,   0, 0, 0, 0x01, 0x08, 0x00, 0x45, 0, 0, 0, 0,
		0,    0x40, 0, 64, 17, 0,    0,    192, 0, 2, 1, 192,  0,    2,    2,    0, 9, 0, 9,
	};

	memset(frame, 0, size);
	memcpy(frame, head, sizeof(head));
	put16(frame + IP_AT + 2, (unsigned int)(size - IP_AT));
	put16(frame + UDP_AT + 4, (unsigned int)(size - UDP_AT));
	put16(frame + IP_AT + 10, ip_checksum(frame + IP_AT));
}

/* The same packet as a TCP segment with nothing but an acknowledgement. */
static void make_segment(uint8_t *frame)
{
	static const uint8_t control[] = { 0x50, 0x10 };

	frame[IP_AT + 9] = IPPROTO_TCP;
	put16(frame + IP_AT + 10, 0);
	put16(frame + IP_AT + 10, ip_checksum(frame + IP_AT));
	put16(frame + UDP_AT + 4, 0);
	memcpy(frame + UDP_AT + 12, control, sizeof(control));
}

/* What the program keeps a rate by: when the next frame may go, and the ns between two, 0 as fast as it
 * goes. */
struct pace {
	uint64_t next, gap;
};
#define PACE_LEAD 6 /* log2 of how many frames it catches up with, of those it came too late for */

#define INSN(c, d, s, o, i)                                                                        \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}

/* return it is not time yet ? XDP_DROP : bpf_redirect(va, 0): what is dropped is sent again. */
static int load_redirect(unsigned int va, int paces)
{
	const struct bpf_insn code[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, 6, BPF_PSEUDO_MAP_VALUE, 0, paces),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 7, 6, offsetof(struct pace, gap), 0),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 10, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, offsetof(struct pace, next), 0),
		INSN(BPF_JMP | BPF_JLT | BPF_X, 0, 1, 11, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 7, 0, 0),
		INSN(BPF_ALU64 | BPF_LSH | BPF_K, 2, 0, 0, PACE_LEAD),
		INSN(BPF_ALU64 | BPF_SUB | BPF_X, 0, 2, 0, 0),
		INSN(BPF_JMP | BPF_JGE | BPF_X, 1, 0, 1, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 1, 7, 0, 0),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 1, offsetof(struct pace, next), 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, (int)va),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "bench_sender", "Dual BSD/GPL", code,
			     sizeof(code) / sizeof(code[0]), NULL);
}

static int open_socket(unsigned int va)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int)va };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "packet socket on va");
	return fd;
}

static int live_frames(struct sender *sender, size_t size, unsigned int n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = sender->frame,
		    .data_size_in = (uint32_t)size, .repeat = (int)n,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return bpf_prog_test_run_opts(sender->program, &opts);
}

/* In as few calls as can be: as many at once as the last call's rate promises to fill the time. */
static uint64_t send_live(struct sender *sender, size_t size, uint64_t remaining_ns)
{
	uint64_t n = remaining_ns / sender->live_frame_ns, start = clock_ns(CLOCK_MONOTONIC);

	if (n < LIVE_LEAST)
		n = LIVE_LEAST;
	if (live_frames(sender, size, (unsigned int)n))
		err(1, "sending live frames");
	sender->live_frame_ns = (clock_ns(CLOCK_MONOTONIC) - start) / n + 1;
	return n;
}

static uint64_t send_socket(struct sender *sender, size_t size, uint64_t remaining_ns)
{
	struct iovec piece = { sender->frame, size };
	struct mmsghdr messages[SENDMMSG_SIZE] = { 0 };
	int n;

	(void)remaining_ns;
	for (int i = 0; i < SENDMMSG_SIZE; i++) {
		messages[i].msg_hdr.msg_iov = &piece;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(sender->socket, messages, SENDMMSG_SIZE, 0);
	if (n < 0)
		err(1, "sendmmsg");
	return (uint64_t)n;
}

void sender_create(struct sender *sender, const struct world *world)
{
	uint64_t before = world_delivered(world);

	sender->world = world;
	sender->live_frame_ns = 1000;
	sender->socket = open_socket(world->va);
	sender->paces = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench_paces", sizeof(uint32_t),
				       sizeof(struct pace), 1, NULL);
	sender->program = load_redirect(world->va, sender->paces);
	if (sender->program < 0) {
		warn("no live frames, the redirecting program cannot be loaded");
		return;
	}
	sender_make_frame(sender->frame, 64);
	if (live_frames(sender, 64, 64) || world_delivered(world) == before) {
		warnx("no live frames: none arrived (kernel 5.18 is needed)");
		sender->program = -1;
	}
}

bool sender_has(const struct sender *sender, enum generator generator)
{
	return generator != LIVE_FRAMES || sender->program >= 0;
}

static uint64_t softirqd_ns(const struct world *world)
{
	clockid_t clock;

	if (!world->softirqd || clock_getcpuclockid(world->softirqd, &clock))
		return 0;
	return clock_ns(clock);
}

/* What was sent last may still wait for softirqd. */
static uint64_t delivered_at_rest(const struct world *world)
{
	uint64_t last, now = world_delivered(world);

	do {
		last = now;
		sleep_ms(2);
		now = world_delivered(world);
	} while (now != last);
	return now;
}

/* ns until the burst is over, at the rate of the last frames when it is so many bytes. */
static uint64_t left_of(const struct sender *sender, size_t size, const struct burst *burst,
			uint64_t length)
{
	uint64_t ns = length > burst->wall_ns ? length - burst->wall_ns : 0;
	uint64_t frames = sender->most / size;

	if (!sender->most)
		return ns;
	frames = frames > burst->sent ? (frames - burst->sent) * sender->live_frame_ns : 0;
	return frames < ns ? frames : ns;
}

static bool is_over(const struct sender *sender, size_t size, const struct burst *burst,
		    uint64_t length)
{
	return burst->wall_ns >= length * 9 / 10 ||
	       (sender->most && burst->sent * size >= sender->most / 10 * 9);
}

/* Live frames: the program keeps the rate. */
static void set_pace(const struct sender *sender)
{
	const struct pace pace = { .gap = sender->pps ? 1000000000 / sender->pps : 0 };
	uint32_t zero = 0;

	if (sender->program >= 0 && bpf_map_update_elem(sender->paces, &zero, &pace, BPF_ANY))
		err(1, "the sender's pace");
}

/* Until the rate that is kept allows the next. */
static void keep_rate(const struct sender *sender, uint64_t start, uint64_t sent)
{
	while (sender->pps && clock_ns(CLOCK_MONOTONIC) - start < sent * 1000000000 / sender->pps)
		;
}

void sender_burst(struct sender *sender, enum generator generator, size_t size, unsigned int ms,
		  struct burst *burst)
{
	uint64_t (*send)(struct sender *, size_t,
			 uint64_t) = generator == LIVE_FRAMES ? send_live : send_socket;
	uint64_t length = (uint64_t)ms * 1000000, live_frame_ns = sender->live_frame_ns;
	uint64_t before = delivered_at_rest(sender->world);
	uint64_t softirqd = softirqd_ns(sender->world);
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	sender_make_frame(sender->frame, size);
	if (sender->segments)
		make_segment(sender->frame);
	set_pace(sender);
	burst->sent = 0;
	burst->wall_ns = 0;
	do {
		burst->sent += send(sender, size, left_of(sender, size, burst, length));
		if (generator == SENDMMSG)
			keep_rate(sender, start, burst->sent);
		burst->wall_ns = clock_ns(CLOCK_MONOTONIC) - start;
	} while (!is_over(sender, size, burst, length));
	if (sender->pps) /* what was not sent in time took least */
		sender->live_frame_ns = live_frame_ns;
	burst->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	burst->delivered = delivered_at_rest(sender->world) - before;
	burst->cpu_ns += softirqd_ns(sender->world) - softirqd;
	if (!burst->delivered)
		errx(1, "%s: sent %llu packets of %zu bytes, none arrived",
		     generator_names[generator], (unsigned long long)burst->sent, size);
}
