/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a program of libpcap sees: this one is linked with libpcap and writes down every answer, so
 * that differential.sh can compare what libpcap says with what libwpcap says in its place. Packets
 * are its own, sent on one end of a veth pair and captured on the other.
 */
#include <dirent.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HERE   "va"
#define THERE  "vb"
#define FRAMES 5
#define SIZE   100
#define NOBODY 65534
#define LONG   5000 /* instructions of a filter that no kernel takes */

static char errbuf[PCAP_ERRBUF_SIZE];

#define TELL(p, call) tell(#call, (call), p)

static void tell(const char *what, int result, pcap_t *p)
{
	printf("%s = %d", what, result);
	if (result < 0 && p)
		printf(" (%s)", pcap_geterr(p));
	puts("");
}

/* ---- handles ------------------------------------------------------------------------------- */

static void tell_not_activated(void)
{
	pcap_t *p = pcap_create(HERE, errbuf);
	struct bpf_program program;
	struct pcap_stat stats;
	int *types = NULL;

	TELL(p, pcap_datalink(p));
	TELL(p, pcap_snapshot(p));
	TELL(p, pcap_stats(p, &stats));
	TELL(p, pcap_inject(p, "x", 1));
	TELL(p, pcap_dispatch(p, 1, NULL, NULL));
	TELL(p, pcap_list_datalinks(p, &types));
	TELL(p, pcap_compile(p, &program, "ip", 1, 0));
	TELL(p, pcap_setdirection(p, PCAP_D_IN));
	TELL(p, pcap_set_snaplen(p, 0));
	TELL(p, pcap_set_timeout(p, -5));
	TELL(p, pcap_set_buffer_size(p, -5));
	TELL(p, pcap_set_tstamp_precision(p, 7));
	TELL(p, pcap_set_tstamp_type(p, 77));
	TELL(p, pcap_can_set_rfmon(p));
	TELL(p, pcap_list_tstamp_types(p, &types));
	pcap_close(p);
}

static void tell_failing(void)
{
	pcap_t *p = pcap_create("nothing", errbuf);
	int status = pcap_activate(p);

	printf("nothing: %d %s (%s)\n", status, pcap_statustostr(status), pcap_geterr(p));
	pcap_close(p);
	p = pcap_open_live("nothing", 100, 0, 10, errbuf);
	printf("open_live nothing: %d (%s)\n", p != NULL, errbuf);
	p = pcap_open_live("vdown", 100, 0, 10, errbuf);
	printf("open_live vdown: %d (%s)\n", p != NULL, errbuf);
	p = pcap_open_offline("/nonexistent", errbuf);
	printf("offline: %d (%s)\n", p != NULL, errbuf);
	p = pcap_create(HERE, errbuf);
	TELL(p, pcap_set_rfmon(p, 1));
	TELL(p, pcap_activate(p));
	pcap_close(p);
}

static void tell_handle(const char *device)
{
	pcap_t *p = pcap_open_live(device, 200, 1, 50, errbuf);
	struct bpf_program program;
	int *types, n;

	if (!p) {
		printf("%s: %s\n", device, errbuf);
		return;
	}
	printf("-- %s\n", device);
	TELL(p, pcap_activate(p));
	TELL(p, pcap_set_snaplen(p, 10));
	TELL(p, pcap_set_rfmon(p, 0));
	TELL(p, pcap_datalink(p));
	TELL(p, pcap_datalink_ext(p));
	TELL(p, pcap_snapshot(p));
	TELL(p, pcap_is_swapped(p));
	TELL(p, pcap_major_version(p));
	TELL(p, pcap_minor_version(p));
	TELL(p, pcap_get_tstamp_precision(p));
	TELL(p, pcap_getnonblock(p, errbuf));
	TELL(p, pcap_setnonblock(p, 1, errbuf));
	TELL(p, pcap_getnonblock(p, errbuf));
	n = pcap_list_datalinks(p, &types);
	for (int i = 0; i < n; i++)
		printf("link type %s\n", pcap_datalink_val_to_name(types[i]));
	pcap_free_datalinks(types);
	TELL(p, pcap_set_datalink(p, DLT_NULL));
	TELL(p, pcap_set_datalink(p, 9999));
	TELL(p, pcap_compile(p, &program, "garbage here", 1, 0));
	TELL(p, pcap_compile(p, &program, "tcp port 99999", 1, 0));
	TELL(p, pcap_compile(p, &program, "wlan type mgt", 1, 0));
	TELL(p, pcap_compile(p, &program, "vlan 5 and tcp", 1, 0));
	printf("%u instructions\n", program.bf_len);
	TELL(p, pcap_setfilter(p, &program));
	pcap_freecode(&program);
	TELL(p, pcap_setfilter(p, &(struct bpf_program){ 0 }));
	TELL(p, pcap_dispatch(p, -1, NULL, NULL));
	printf("file %d, selectable %d, timeout %d\n", pcap_file(p) != NULL,
	       pcap_get_selectable_fd(p) >= 0, pcap_get_required_select_timeout(p) != NULL);
	pcap_close(p);
}

/* ---- packets ------------------------------------------------------------------------------- */

static void see(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	printf("packet %d: %u of %u, %02x %02x\n", ++*(int *)user, header->caplen, header->len,
	       data[14], data[header->caplen - 1]);
}

static void send_frames(pcap_t *p, int n)
{
	unsigned char frame[SIZE] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2,
				      0,    0,    0,    0,    1,    0x88, 0xb5 };

	for (int i = 0; i < n; i++) {
		frame[14] = (unsigned char)i;
		TELL(p, pcap_sendpacket(p, frame, SIZE));
	}
}

static void tell_packets(int snaplen, const char *expression, int direction)
{
	pcap_t *p = pcap_open_live(HERE, snaplen, 1, 50, errbuf);
	pcap_t *other = pcap_open_live(direction == PCAP_D_OUT ? HERE : THERE, 100, 0, 50, errbuf);
	struct bpf_program program;
	struct pcap_stat stats;
	int n = 0;

	printf("-- %d bytes, %s, direction %d\n", snaplen, expression, direction);
	TELL(p, pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN));
	TELL(p, pcap_setfilter(p, &program));
	pcap_freecode(&program);
	TELL(p, pcap_setdirection(p, (pcap_direction_t)direction));
	send_frames(other, FRAMES);
	TELL(p, pcap_loop(p, FRAMES - 1, see, (u_char *)&n));
	while (n < FRAMES) {
		struct pcap_pkthdr *header;
		const u_char *data;

		if (pcap_next_ex(p, &header, &data) == 1)
			see((u_char *)&n, header, data);
	}
	TELL(p, pcap_stats(p, &stats));
	printf("received %u, dropped %u, by the interface %u\n", stats.ps_recv, stats.ps_drop,
	       stats.ps_ifdrop);
	pcap_close(other);
	pcap_close(p);
}

/* Not promiscuous, and the adapter receives what is for others all the same. */
static void tell_for_others(void)
{
	static const unsigned char frame[SIZE] = { 2, 0, 0, 0, 0, 99, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
	pcap_t *p = pcap_open_live(HERE, 65535, 0, 50, errbuf);
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	struct bpf_program program;
	int n = 0;

	printf("-- not promiscuous\n");
	TELL(p, pcap_compile(p, &program, "ether proto 0x88b5", 1, 0));
	TELL(p, pcap_setfilter(p, &program));
	pcap_freecode(&program);
	TELL(p, pcap_sendpacket(other, frame, SIZE));
	send_frames(other, 1);
	while (n < 2)
		pcap_dispatch(p, -1, see, (u_char *)&n);
	pcap_close(other);
	pcap_close(p);
}

/* ---- ways to read -------------------------------------------------------------------------- */

static pcap_t *open_with(const char *device, void (*set)(pcap_t *p))
{
	pcap_t *p = pcap_create(device, errbuf);

	TELL(p, pcap_set_snaplen(p, 200));
	TELL(p, pcap_set_promisc(p, 1));
	TELL(p, pcap_set_timeout(p, 50));
	set(p);
	TELL(p, pcap_activate(p));
	return p;
}

static void set_nothing(pcap_t *p)
{
	(void)p;
}

static void set_immediate(pcap_t *p)
{
	TELL(p, pcap_set_timeout(p, 100000));
	TELL(p, pcap_set_immediate_mode(p, 1));
}

static void set_nano(pcap_t *p)
{
	TELL(p, pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO));
}

static void set_protocol(pcap_t *p)
{
	TELL(p, pcap_set_protocol_linux(p, 0x88b5));
}

static void set_small(pcap_t *p)
{
	TELL(p, pcap_set_buffer_size(p, 100000));
}

static void set_smallest(pcap_t *p)
{
	TELL(p, pcap_set_buffer_size(p, 1));
}

static void filter_by(pcap_t *p, const char *expression)
{
	struct bpf_program program;

	TELL(p, pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN));
	TELL(p, pcap_setfilter(p, &program));
	pcap_freecode(&program);
}

static void filter_own(pcap_t *p)
{
	filter_by(p, "ether proto 0x88b5");
}

static void take(pcap_t *p, int *n, int until)
{
	while (*n < until) {
		struct pcap_pkthdr *header;
		const u_char *data;
		int result = pcap_next_ex(p, &header, &data);

		if (result == 1)
			see((u_char *)n, header, data);
		else if (result < 0)
			TELL(p, result);
	}
}

/* Without a filter there may be others. */
static void take_own(pcap_t *p, int *n, int until)
{
	while (*n < until) {
		struct pcap_pkthdr *header;
		const u_char *data;

		if (pcap_next_ex(p, &header, &data) == 1 && header->len == SIZE &&
		    data[12] == 0x88 && data[13] == 0xb5)
			see((u_char *)n, header, data);
	}
}

static void tell_mode(const char *what, void (*set)(pcap_t *p))
{
	pcap_t *other, *p;
	int n = 0;

	printf("-- %s\n", what);
	p = open_with(HERE, set);
	TELL(p, pcap_get_tstamp_precision(p));
	filter_own(p);
	other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	send_frames(other, FRAMES);
	take(p, &n, FRAMES);
	pcap_close(other);
	pcap_close(p);
}

/* It need not hold more than one packet. */
static void tell_smallest_buffer(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p;
	int n = 0;

	printf("-- the smallest buffer\n");
	p = open_with(HERE, set_smallest);
	filter_own(p);
	for (int i = 1; i <= FRAMES; i++) {
		send_frames(other, 1);
		take(p, &n, i);
	}
	pcap_close(other);
	pcap_close(p);
}

static pcap_t *to_break;

static void see_and_break(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	see(user, header, data);
	pcap_breakloop(to_break);
}

static void tell_breaks(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct pcap_pkthdr *header, copy;
	const u_char *data;
	int n = 0;

	printf("-- breaks\n");
	filter_own(p);
	to_break = p;
	pcap_breakloop(p);
	TELL(p, pcap_loop(p, 1, see, (u_char *)&n));
	pcap_breakloop(p);
	TELL(p, pcap_dispatch(p, 1, see, (u_char *)&n));
	pcap_breakloop(p);
	TELL(p, pcap_next_ex(p, &header, &data));
	pcap_breakloop(p);
	printf("next: %d\n", pcap_next(p, &copy) != NULL);
	send_frames(other, FRAMES);
	TELL(p, pcap_loop(p, -1, see_and_break, (u_char *)&n));
	take(p, &n, 2);
	TELL(p, pcap_loop(p, 1, see_and_break, (u_char *)&n));
	take(p, &n, FRAMES);
	pcap_close(other);
	pcap_close(p);
}

static void await_readable(pcap_t *p)
{
	struct pollfd pollfd = { .fd = pcap_get_selectable_fd(p), .events = POLLIN };

	while (poll(&pollfd, 1, -1) != 1)
		;
}

static void tell_without_blocking(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct pcap_pkthdr *header, copy;
	const u_char *data;
	int n = 0;

	printf("-- without blocking\n");
	filter_own(p);
	TELL(p, pcap_setnonblock(p, 1, errbuf));
	TELL(p, pcap_dispatch(p, -1, see, (u_char *)&n));
	TELL(p, pcap_next_ex(p, &header, &data));
	printf("next: %d\n", pcap_next(p, &copy) != NULL);
	send_frames(other, FRAMES);
	while (n < FRAMES) {
		await_readable(p);
		if (pcap_dispatch(p, 2, see, (u_char *)&n) < 0)
			TELL(p, -1);
	}
	TELL(p, pcap_dispatch(p, -1, see, (u_char *)&n));
	TELL(p, pcap_setnonblock(p, 0, errbuf));
	TELL(p, pcap_getnonblock(p, errbuf));
	pcap_close(other);
	pcap_close(p);
}

static void set_without_blocking(pcap_t *p)
{
	TELL(p, pcap_getnonblock(p, errbuf));
	TELL(p, pcap_setnonblock(p, 1, errbuf));
	TELL(p, pcap_getnonblock(p, errbuf));
}

static void tell_without_blocking_before(const char *device)
{
	pcap_t *p;
	int n = 0;

	printf("-- without blocking before it is activated: %s\n", device);
	p = open_with(device, set_without_blocking);
	TELL(p, pcap_getnonblock(p, errbuf));
	filter_own(p);
	TELL(p, pcap_dispatch(p, 1, see, (u_char *)&n));
	pcap_close(p);
}

static void break_without_blocking(pcap_t *p)
{
	TELL(p, pcap_setnonblock(p, 1, errbuf));
	pcap_breakloop(p);
}

static void tell_broken_before(void (*breaks)(pcap_t *p))
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	struct pcap_pkthdr *header;
	const u_char *data;
	pcap_t *p;
	int n = 0;

	printf("-- broken before it is activated\n");
	p = open_with(HERE, breaks);
	filter_own(p);
	/* libpcap breaks with the first packet only. */
	send_frames(other, 1);
	await_readable(p);
	TELL(p, pcap_next_ex(p, &header, &data));
	take(p, &n, 1);
	pcap_close(other);
	pcap_close(p);
}

static void tell_other_filter(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct bpf_program program;
	int n = 0;

	printf("-- another filter\n");
	filter_own(p);
	send_frames(other, FRAMES);
	TELL(p, pcap_compile(p, &program, "ether proto 0x88b5 and ether[14] > 2", 1, 0));
	TELL(p, pcap_setfilter(p, &program));
	pcap_freecode(&program);
	send_frames(other, FRAMES);
	take(p, &n, 2);
	TELL(p, pcap_compile(p, &program, "ip broadcast", 1, PCAP_NETMASK_UNKNOWN));
	TELL(p, pcap_compile(p, &program, "host no-such-host.invalid", 1, 0));
	TELL(p, pcap_compile(p, &program, "ether host 10", 1, 0));
	TELL(p, pcap_compile(p, &program, "port ssh2000", 1, 0));
	TELL(p, pcap_compile(p, &program, "inbound", 1, 0));
	pcap_freecode(&program);
	pcap_close(other);
	pcap_close(p);
}

static void tell_counts(pcap_t *p)
{
	struct pcap_stat stats;

	TELL(p, pcap_stats(p, &stats));
	printf("received %u, dropped %u\n", stats.ps_recv, stats.ps_drop);
}

/* What was captured before a filter is filtered by it all the same, and nothing else is lost. */
static void tell_earlier_packets(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	int n = 0;

	printf("-- packets of before a filter\n");
	filter_own(p);
	send_frames(other, FRAMES);
	filter_by(p, "ether proto 0x88b5 and ether[14] != 1");
	filter_by(p, "ether proto 0x88b5 and ether[14] < 3");
	send_frames(other, FRAMES);
	take(p, &n, 5);
	tell_counts(p);
	pcap_close(p);
	n = 0;
	p = open_with(HERE, set_nothing);
	filter_own(p);
	send_frames(other, FRAMES);
	TELL(p, pcap_setdirection(p, PCAP_D_OUT));
	send_frames(p, 1); /* which it does not see */
	send_frames(other, FRAMES);
	TELL(p, pcap_setdirection(p, PCAP_D_IN));
	send_frames(other, 1);
	take(p, &n, 1);
	pcap_close(other);
	pcap_close(p);
}

/* One that is not set does nothing, however long it was compiled before. */
static void tell_compiled_only(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct bpf_program program;
	int n = 0;

	printf("-- a filter that is only compiled\n");
	TELL(p, pcap_setdirection(p, PCAP_D_IN));
	TELL(p, pcap_compile(p, &program, "ether proto 0x88b5 and ether[14] < 2", 1, 0));
	send_frames(p, 1);
	send_frames(other, FRAMES);
	take_own(p, &n, FRAMES);
	send_frames(other, FRAMES);
	take_own(p, &n, 2 * FRAMES);
	send_frames(other, FRAMES);
	TELL(p, pcap_setfilter(p, &program));
	send_frames(other, FRAMES);
	take(p, &n, 2 * FRAMES + 4);
	pcap_freecode(&program);
	pcap_close(other);
	pcap_close(p);
}

/* As tcpdump does it: compiled as root, set as somebody else, and others after it. */
static void tell_without_rights(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct bpf_program program;
	int n = 0;

	printf("-- filters without rights\n");
	TELL(p, pcap_compile(p, &program, "ether proto 0x88b5 and ether[14] < 2", 1, 0));
	TELL(NULL, seteuid(NOBODY));
	send_frames(other, FRAMES);
	TELL(p, pcap_setfilter(p, &program));
	send_frames(other, FRAMES);
	take(p, &n, 4);
	filter_by(p, "ether proto 0x88b5 and ether[14] > 3");
	send_frames(other, FRAMES);
	take(p, &n, 5);
	TELL(p, pcap_setdirection(p, PCAP_D_IN));
	send_frames(p, 1);
	send_frames(other, FRAMES);
	take(p, &n, 6);
	TELL(p, pcap_setfilter(p, &program));
	send_frames(other, FRAMES);
	take(p, &n, 8);
	TELL(NULL, seteuid(0));
	filter_own(p);
	send_frames(other, FRAMES);
	take(p, &n, 8 + FRAMES);
	pcap_freecode(&program);
	pcap_close(other);
	pcap_close(p);
}

static void send_tagged(pcap_t *p, int n)
{
	unsigned char frame[SIZE] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0,    0,
				      0,    0,    1,    0x81, 0,    0,    5, 0x88, 0xb5 };

	for (int i = 0; i < n; i++) {
		frame[SIZE - 1] = (unsigned char)(i + 1);
		TELL(p, pcap_sendpacket(p, frame, SIZE));
	}
}

/* As dumpcap does it: compiled as somebody else, too. The driver takes tags out of what it filters. */
static void tell_tagged_without_rights(const char *from, const char *expression, int expected)
{
	pcap_t *other = pcap_open_live(from, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	int n = 0;

	printf("-- tags from %s without rights: %s\n", from, expression);
	TELL(NULL, seteuid(NOBODY));
	filter_by(p, expression);
	for (int i = 0; i < 2; i++) {
		send_tagged(other, FRAMES);
		send_frames(other, FRAMES);
	}
	take(p, &n, expected);
	TELL(NULL, seteuid(0));
	pcap_close(other);
	pcap_close(p);
}

static void see_and_filter(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	if (!*(int *)user)
		filter_by(to_break, "ether proto 0x88b5 and ether[14] = 4");
	see(user, header, data);
}

/* The packet that was given is still there after a new filter. */
static void tell_in_hand(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct pcap_pkthdr *header;
	const u_char *data;
	int n = 0;

	printf("-- packets in hand\n");
	to_break = p;
	filter_own(p);
	send_frames(other, FRAMES);
	TELL(p, pcap_loop(p, 2, see_and_filter, (u_char *)&n));
	filter_own(p);
	send_frames(other, FRAMES);
	while (!pcap_next_ex(p, &header, &data))
		;
	filter_by(p, "ether proto 0x88b5 and ether[14] = 7");
	send_frames(other, FRAMES);
	see((u_char *)&n, header, data);
	filter_own(p);
	send_frames(other, 1);
	take(p, &n, n + 1);
	tell_counts(p);
	pcap_close(other);
	pcap_close(p);
}

/* Longer than a kernel takes: libpcap filters it when it reads, too. */
static void set_long_filter(pcap_t *p, unsigned int accepts)
{
	static struct bpf_insn insns[LONG];
	struct bpf_program program = { .bf_len = LONG, .bf_insns = insns };

	for (int i = 0; i < LONG; i++)
		insns[i] = (struct bpf_insn){ BPF_LD | BPF_H | BPF_ABS, 0, 0, 12 };
	insns[LONG - 3] = (struct bpf_insn){ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x88b5 };
	insns[LONG - 2] = (struct bpf_insn){ BPF_RET | BPF_K, 0, 0, accepts };
	insns[LONG - 1] = (struct bpf_insn){ BPF_RET | BPF_K, 0, 0, 0 };
	TELL(p, pcap_setfilter(p, &program));
}

/* Filters that the kernel refuses, also after one that it has. */
static void tell_refused_filters(void)
{
	pcap_t *other = pcap_open_live(THERE, 100, 0, 50, errbuf);
	pcap_t *p = open_with(HERE, set_nothing);
	struct bpf_program program;
	int n = 0;

	printf("-- filters that the kernel refuses\n");
	TELL(p, pcap_compile(p, &program, "ether proto 0x88b5 or ip protochain 17", 1, 0));
	TELL(p, pcap_setfilter(p, &program));
	send_frames(other, FRAMES);
	take(p, &n, FRAMES);
	filter_own(p);
	TELL(p, pcap_setfilter(p, &program));
	pcap_freecode(&program);
	send_frames(other, FRAMES);
	take(p, &n, 2 * FRAMES);
	set_long_filter(p, 65535);
	send_frames(other, FRAMES);
	take(p, &n, 3 * FRAMES);
	filter_own(p);
	set_long_filter(p, 0);
	send_frames(other, FRAMES);
	filter_own(p);
	send_frames(other, 1);
	take(p, &n, 3 * FRAMES + 1);
	pcap_close(other);
	pcap_close(p);
}

static void tell_link_type(pcap_t *p, int type)
{
	struct bpf_program program;
	char path[] = "/tmp/npf-transcript-XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w");
	pcap_dumper_t *dumper;
	pcap_t *saved;

	TELL(p, pcap_set_datalink(p, type));
	TELL(p, pcap_datalink(p));
	TELL(p, pcap_compile(p, &program, "ip", 1, 0));
	TELL(p, pcap_compile(p, &program, "vlan 5", 1, 0));
	dumper = pcap_dump_fopen(p, file);
	printf("dump: %d\n", dumper != NULL);
	pcap_dump_close(dumper);
	saved = pcap_open_offline(path, errbuf);
	TELL(saved, pcap_datalink(saved));
	pcap_close(saved);
	unlink(path);
}

static void tell_link_types(void)
{
	pcap_t *p = open_with(HERE, set_nothing);

	printf("-- link types\n");
	tell_link_type(p, DLT_EN10MB);
	tell_link_type(p, DLT_DOCSIS);
	tell_link_type(p, DLT_EN10MB);
	pcap_close(p);
}

static void tell_wrong_calls(void)
{
	static u_char large[70000];
	pcap_t *p = open_with(HERE, set_nothing);

	printf("-- wrong calls\n");
	/* libpcap's text ends with whatever errno was. */
	TELL(NULL, pcap_inject(p, large, 0));
	TELL(p, pcap_inject(p, large, sizeof(large)));
	TELL(NULL, pcap_sendpacket(p, large, 0));
	TELL(p, pcap_sendpacket(p, large, sizeof(large)));
	TELL(p, pcap_setdirection(p, (pcap_direction_t)7));
	TELL(p, pcap_can_set_rfmon(p));
	TELL(p, pcap_set_tstamp_type(p, PCAP_TSTAMP_HOST));
	TELL(p, pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO));
	TELL(p, pcap_set_buffer_size(p, 1000));
	TELL(p, pcap_set_protocol_linux(p, 1));
	TELL(p, pcap_set_immediate_mode(p, 1));
	TELL(p, pcap_setfilter(p, NULL));
	printf("dump: %d (%s)\n", pcap_dump_open(p, "/nonexistent/x") != NULL, pcap_geterr(p));
	pcap_close(p);
}

static void tell_end(const char *device, const char *command)
{
	pcap_t *p = open_with(device, set_nothing);
	struct pcap_pkthdr *header;
	const u_char *data;
	int result;

	printf("-- %s\n", command);
	if (system(command))
		puts("the command failed");
	while (!(result = pcap_next_ex(p, &header, &data)) || result == 1)
		;
	TELL(p, result);
	pcap_close(p);
}

/* ---- descriptors --------------------------------------------------------------------------- */

static int descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(all))
		n++;
	closedir(all);
	return n;
}

static void *await_end(void *done)
{
	sem_wait(done);
	return NULL;
}

/* What was opened is closed, beside other threads as well. */
static void tell_descriptors(const char *device)
{
	pthread_t thread;
	sem_t done;
	int before;

	printf("-- descriptors: %s\n", device);
	sem_init(&done, 0, 0);
	pthread_create(&thread, NULL, await_end, &done);
	pcap_close(open_with(device, set_nothing));
	before = descriptors();
	for (int i = 0; i < FRAMES; i++)
		pcap_close(open_with(device, set_immediate));
	printf("%d are left\n", descriptors() - before);
	sem_post(&done);
	pthread_join(thread, NULL);
	sem_destroy(&done);
}

static void tell_devices(void)
{
	bpf_u_int32 net = 1, mask = 1;
	pcap_if_t *devices;

	tell("pcap_findalldevs", pcap_findalldevs(&devices, errbuf), NULL);
	for (pcap_if_t *device = devices; device; device = device->next)
		printf("device %s %s %x\n", device->name,
		       device->description ? device->description : "-", device->flags);
	pcap_freealldevs(devices);
	tell("pcap_lookupnet", pcap_lookupnet("lo", &net, &mask, errbuf), NULL);
	printf("%x %x\n", net, mask);
	tell("pcap_lookupnet", pcap_lookupnet("nothing", &net, &mask, errbuf), NULL);
	printf("%s\n", errbuf);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Which of the two it was, for differential.sh to take out. */
	printf("library: %s\n", pcap_lib_version());
	tell_not_activated();
	tell_failing();
	tell_devices();
	tell_handle(HERE);
	tell_handle("lo");
	tell_handle("any");
	tell_packets(65535, "ether proto 0x88b5", PCAP_D_INOUT);
	tell_packets(60, "ether proto 0x88b5 and ether[14] < 9", PCAP_D_IN);
	tell_packets(65535, "ether proto 0x88b5", PCAP_D_OUT);
	tell_for_others();
	tell_mode("immediate", set_immediate);
	tell_mode("nanoseconds", set_nano);
	tell_mode("one protocol", set_protocol);
	tell_mode("a small buffer", set_small);
	tell_smallest_buffer();
	tell_breaks();
	tell_without_blocking();
	tell_without_blocking_before(HERE);
	tell_without_blocking_before("any");
	tell_broken_before(pcap_breakloop);
	tell_broken_before(break_without_blocking);
	tell_other_filter();
	tell_earlier_packets();
	tell_compiled_only();
	tell_without_rights();
	tell_tagged_without_rights(THERE, "vlan 5", 2 * FRAMES);
	tell_tagged_without_rights(HERE, "vlan 5", 2 * FRAMES);
	tell_tagged_without_rights(THERE, "ether proto 0x88b5", 4 * FRAMES);
	tell_tagged_without_rights(HERE, "ether proto 0x88b5", 2 * FRAMES);
	tell_tagged_without_rights(THERE, "ether proto 0x88b5 and not vlan", 2 * FRAMES);
	tell_tagged_without_rights(THERE, "ether proto 0x88b5 and vlan", 2 * FRAMES);
	tell_in_hand();
	tell_refused_filters();
	tell_link_types();
	tell_wrong_calls();
	tell_descriptors(HERE);
	tell_descriptors("lo");
	tell_descriptors("any");
	tell_end("vgone", "ip link del vgone");
	return 0;
}
