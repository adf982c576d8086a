/* SPDX-License-Identifier: BSD-3-Clause */
/* Live captures of libwpcap: what libpcap documents, on NPF. */
#include "wpcap/capture.h"

#include <dirent.h>
#include <linux/capability.h>
#include <errno.h>
#include <pthread.h>
#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- opening ------------------------------------------------------------------------------- */

static void what_does_not_exist_is_told_as_libpcap_does(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_create("nothing", state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_activate(p), PCAP_ERROR_NO_SUCH_DEVICE);
	pcap_close(p);
	assert_null(pcap_open_live("nothing", 100, 1, 10, state->errbuf));
	assert_non_null(strstr(state->errbuf, "nothing: No such device exists"));
	net_run(&state->net, NET_HERE, "ip link set va down");
	p = pcap_create("va", state->errbuf);
	assert_int_equal(pcap_activate(p), PCAP_ERROR_IFACE_NOT_UP);
	pcap_close(p);
}

static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static void descriptors_are_closed(void **in)
{
	struct state *state = *in;
	int before = 0, *types;

	for (int i = 0; i < 10; i++) {
		pcap_t *p = pcap_open_live("va", 100, 1, 10, state->errbuf);

		assert_int_equal(pcap_can_set_rfmon(p), 0);
		pcap_free_tstamp_types(pcap_list_tstamp_types(p, &types) > 0 ? types : NULL);
		pcap_close(p);
		pcap_close(pcap_create("va", state->errbuf));
		p = pcap_create("va", state->errbuf);
		pcap_breakloop(p);
		pcap_close(p);
		assert_null(pcap_open_live("nothing", 100, 1, 10, state->errbuf));
		pcap_close(pcap_open_live("any", 100, 0, 10, state->errbuf));
		if (i == 1) /* what is made once is there */
			before = descriptors();
	}
	assert_int_equal(descriptors(), before);
}

/* All rights but a packet socket's: packets come by the tpacket hook, which has a thread. */
static void lend_rights(bool all)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	data[0].effective = all ? data[0].permitted : 1u << CAP_NET_RAW;
	data[1].effective = all ? data[1].permitted : 0;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/* Also of those that are opened beside another one. */
static void descriptors_are_closed_beside_our_thread(void **in)
{
	struct state *state = *in;
	pcap_t *lasting;
	int before;

	lend_rights(false);
	lasting = pcap_open_live("va", 100, 1, 10, state->errbuf);
	assert_non_null(lasting);
	assert_int_equal(system("grep -qx npf-tpacket /proc/$PPID/task/*/comm"), 0);
	before = descriptors();
	for (int i = 0; i < 20; i++) {
		pcap_t *p = pcap_open_live("va", 100, 1, 10, state->errbuf);

		assert_non_null(p);
		pcap_close(p);
	}
	assert_int_equal(descriptors(), before);
	pcap_close(lasting);
	lend_rights(true);
}

static void options_are_refused_after_activation(void **in)
{
	struct state *state = *in;
	int *types = NULL;

	assert_int_equal(pcap_activate(state->p), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_snaplen(state->p, 10), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_promisc(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_rfmon(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_timeout(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_immediate_mode(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_buffer_size(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_tstamp_precision(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_tstamp_type(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_protocol_linux(state->p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_can_set_rfmon(state->p), 0);
	assert_true(strlen(pcap_geterr(state->p)) > 10);
	assert_true(pcap_list_tstamp_types(state->p, &types) >= 0);
	pcap_free_tstamp_types(types);
}

static void calls_before_activation_say_so(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_create("va", state->errbuf);
	struct pcap_stat stats;

	assert_int_equal(pcap_datalink(p), PCAP_ERROR_NOT_ACTIVATED);
	assert_int_equal(pcap_snapshot(p), PCAP_ERROR_NOT_ACTIVATED);
	assert_int_equal(pcap_stats(p, &stats), PCAP_ERROR_NOT_ACTIVATED);
	assert_int_equal(pcap_dispatch(p, 1, NULL, NULL), PCAP_ERROR_NOT_ACTIVATED);
	assert_null(pcap_getevent(p));
	pcap_close(p);
}

static void monitor_mode_is_refused(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_create("va", state->errbuf);

	assert_int_equal(pcap_can_set_rfmon(p), 0);
	assert_int_equal(pcap_set_rfmon(p, 1), 0);
	assert_int_equal(pcap_activate(p), PCAP_ERROR_RFMON_NOTSUP);
	pcap_close(p);
}

static void what_a_capture_is(void **in)
{
	struct state *state = *in;
	int *types = NULL;

	assert_int_equal(pcap_datalink(state->p), DLT_EN10MB);
	assert_int_equal(pcap_snapshot(state->p), 65535);
	assert_int_equal(pcap_is_swapped(state->p), 0);
	assert_null(pcap_file(state->p));
	assert_int_equal(pcap_get_tstamp_precision(state->p), PCAP_TSTAMP_PRECISION_MICRO);
	assert_int_equal(pcap_list_datalinks(state->p, &types), 2);
	assert_int_equal(types[0], DLT_EN10MB);
	assert_int_equal(types[1], DLT_DOCSIS);
	pcap_free_datalinks(types);
	assert_int_equal(pcap_set_datalink(state->p, DLT_DOCSIS), 0);
	assert_int_equal(pcap_datalink(state->p), DLT_DOCSIS);
	assert_int_equal(pcap_set_datalink(state->p, DLT_NULL), PCAP_ERROR);
	assert_string_equal(pcap_geterr(state->p),
			    "NULL is not one of the DLTs supported by this device");
}

static void what_npf_does_not_drive_is_libpcaps(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_open_live("any", 100, 0, 10, state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_datalink(p), DLT_LINUX_SLL);
	assert_null(pcap_getevent(p));
	assert_int_equal(pcap_major_version(state->p), pcap_major_version(p));
	assert_int_equal(pcap_minor_version(state->p), pcap_minor_version(p));
	pcap_close(p);
}

static void a_tun_device_is_raw_ip(void **in)
{
	static const uint8_t packet[20] = { 0x45, [3] = 20, [8] = 64, [9] = 253 };
	struct state *state = *in;
	const u_char *data = NULL;
	struct pcap_pkthdr *header;
	pcap_t *p;
	int tun, n = 0;

	if (!net_has_tun())
		skip();
	tun = net_tun(&state->net, NET_HERE, "tun7", 0x0001 | 0x1000); /* IFF_TUN, IFF_NO_PI */
	p = pcap_open_live("tun7", 100, 1, 50, state->errbuf);
	assert_non_null(p);
	assert_non_null(pcap_getevent(p));
	assert_int_equal(pcap_datalink(p), DLT_RAW);
	assert_int_equal(write(tun, packet, sizeof(packet)), sizeof(packet));
	/* Others of the host may come before it. */
	while (n != 1 || header->len != sizeof(packet))
		n = pcap_next_ex(p, &header, &data);
	assert_memory_equal(data, packet, sizeof(packet));
	pcap_close(p);
	close(tun);
}

/* ---- reading ------------------------------------------------------------------------------- */

struct seen {
	uint64_t next, stop_at;
	pcap_t *p;
};

static void see(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct seen *seen = (struct seen *)user;

	assert_frame(header, data, seen->next++);
	if (seen->next == seen->stop_at)
		pcap_breakloop(seen->p);
}

static void a_loop_ends_after_its_count(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };

	send_far(state, 0, 30);
	assert_int_equal(pcap_loop(state->p, 20, see, (u_char *)&seen), 0);
	assert_int_equal(seen.next, 20);
	assert_frames(state, 20, 10);
}

static void dispatch_takes_what_is_there(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };

	send_far(state, 0, 30);
	assert_int_equal(pcap_dispatch(state->p, 7, see, (u_char *)&seen), 7);
	while (seen.next < 30)
		assert_true(pcap_dispatch(state->p, -1, see, (u_char *)&seen) >= 0);
	/* The timeout. */
	assert_int_equal(pcap_dispatch(state->p, -1, see, (u_char *)&seen), 0);
}

static void next_gives_packets_in_place(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header, copy;
	const u_char *data;

	assert_int_equal(pcap_next_ex(state->p, &header, &data), 0);
	assert_null(pcap_next(state->p, &copy));
	send_far(state, 0, 300);
	assert_frames(state, 0, 299);
	while (!(data = pcap_next(state->p, &copy)))
		;
	assert_frame(&copy, data, 299);
}

static void breakloop_in_a_callback(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p, .stop_at = 5 };

	send_far(state, 0, 10);
	assert_int_equal(pcap_loop(state->p, -1, see, (u_char *)&seen), PCAP_ERROR_BREAK);
	assert_int_equal(seen.next, 5);
	seen.stop_at = 6;
	assert_int_equal(pcap_dispatch(state->p, 1, see, (u_char *)&seen), PCAP_ERROR_BREAK);
	assert_frames(state, 6, 4);
}

static void *break_it(void *arg)
{
	pcap_breakloop(arg);
	return NULL;
}

static void breakloop_from_another_thread(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, break_it, state->p), 0);
	assert_int_equal(pcap_loop(state->p, -1, see, (u_char *)&seen), PCAP_ERROR_BREAK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* Once. */
	send_far(state, 0, 1);
	assert_frames(state, 0, 1);
}

static pcap_t *breaks;

static void on_alarm(int number)
{
	(void)number;
	pcap_breakloop(breaks);
}

static void breakloop_from_a_signal_handler(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };

	breaks = state->p;
	signal(SIGUSR1, on_alarm);
	raise(SIGUSR1);
	assert_int_equal(pcap_loop(state->p, -1, see, (u_char *)&seen), PCAP_ERROR_BREAK);
	raise(SIGUSR1);
	assert_int_equal(pcap_dispatch(state->p, -1, see, (u_char *)&seen), PCAP_ERROR_BREAK);
	signal(SIGUSR1, SIG_DFL);
}

static void without_blocking_and_with_poll(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };
	struct pollfd pollfd = { .fd = pcap_get_selectable_fd(state->p), .events = POLLIN };

	assert_int_equal(pcap_getnonblock(state->p, state->errbuf), 0);
	assert_int_equal(pcap_setnonblock(state->p, 1, state->errbuf), 0);
	assert_int_equal(pcap_getnonblock(state->p, state->errbuf), 1);
	assert_null(pcap_get_required_select_timeout(state->p));
	assert_int_equal(pcap_fileno(state->p), pollfd.fd);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
	assert_int_equal(pcap_dispatch(state->p, -1, see, (u_char *)&seen), 0);
	send_far(state, 0, 5);
	assert_int_equal(poll(&pollfd, 1, -1), 1);
	assert_int_equal(pcap_dispatch(state->p, 2, see, (u_char *)&seen), 2);
	while (seen.next < 5) {
		assert_int_equal(poll(&pollfd, 1, -1), 1);
		assert_true(pcap_dispatch(state->p, -1, see, (u_char *)&seen) >= 0);
	}
	assert_int_equal(poll(&pollfd, 1, 0), 0);
}

/* Between calls the rest stays where it is, and whoever waits learns of it. */
static void one_packet_at_a_time_and_poll(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };
	struct pollfd pollfd = { .fd = pcap_get_selectable_fd(state->p), .events = POLLIN };
	struct pcap_pkthdr *header;
	const u_char *data;

	send_far(state, 0, 40);
	while (seen.next < 30) {
		assert_int_equal(poll(&pollfd, 1, -1), 1);
		assert_in_range(pcap_dispatch(state->p, 1, see, (u_char *)&seen), 0, 1);
	}
	/* Both ways to read go on where the other was. */
	while (seen.next < 39) {
		assert_int_equal(poll(&pollfd, 1, -1), 1);
		if (pcap_next_ex(state->p, &header, &data) == 1)
			assert_frame(header, data, seen.next++);
		assert_in_range(pcap_dispatch(state->p, 1, see, (u_char *)&seen), 0, 1);
	}
	while (seen.next < 40)
		assert_true(pcap_dispatch(state->p, 1, see, (u_char *)&seen) >= 0);
	assert_int_equal(pcap_dispatch(state->p, 1, see, (u_char *)&seen), 0);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
}

/* What was read is given back before all of it was. */
static void a_small_buffer_is_used_again(void **in)
{
	struct state *state = *in;
	struct seen seen = { 0 };
	pcap_t *p = pcap_create("va", state->errbuf);

	assert_int_equal(pcap_set_buffer_size(p, 4096), 0);
	assert_int_equal(pcap_set_timeout(p, 50), 0);
	assert_int_equal(pcap_activate(p), 0);
	assert_int_equal(pcap_bufsize(p), 4096);
	seen.p = p;
	for (uint64_t i = 0; i < 200; i += 20) {
		send_far(state, i, 20);
		while (seen.next < i + 20)
			assert_true(pcap_dispatch(p, -1, see, (u_char *)&seen) >= 0);
	}
	pcap_close(p);
}

static void the_buffer_is_no_smaller_than_libpcaps(void **in)
{
	struct state *state = *in;

	assert_in_range(pcap_bufsize(state->p), 2 << 20, 16 << 20);
}

static void a_departed_interface_ends_the_loop(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p };

	send_far(state, 0, 3);
	net_run(&state->net, NET_HERE, "ip link del va");
	assert_int_equal(pcap_loop(state->p, -1, see, (u_char *)&seen), PCAP_ERROR);
	assert_int_equal(seen.next, 3);
	assert_string_equal(pcap_geterr(state->p), "The interface disappeared");
}

static pcap_t *open_with(struct state *state, int precision, int snaplen, int immediate, int ms)
{
	pcap_t *p = pcap_create("va", state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_set_tstamp_precision(p, precision), 0);
	assert_int_equal(pcap_set_snaplen(p, snaplen), 0);
	assert_int_equal(pcap_set_immediate_mode(p, immediate), 0);
	assert_int_equal(pcap_set_timeout(p, ms), 0);
	assert_int_equal(pcap_activate(p), 0);
	return p;
}

static void the_snap_length_cuts(void **in)
{
	struct state *state = *in;
	pcap_t *p = open_with(state, PCAP_TSTAMP_PRECISION_MICRO, 50, 0, 100);
	struct pcap_pkthdr *header;

	send_far(state, 0, 1);
	(void)next_on(p, &header);
	assert_int_equal(header->caplen, 50);
	assert_int_equal(header->len, LENGTH);
	pcap_close(p);
}

static void time_stamps_have_the_precision_asked_for(void **in)
{
	struct state *state = *in;
	pcap_t *p = open_with(state, PCAP_TSTAMP_PRECISION_NANO, 100, 0, 100);
	struct timespec before, after;
	struct pcap_pkthdr *header;
	int64_t stamp;

	assert_int_equal(pcap_get_tstamp_precision(p), PCAP_TSTAMP_PRECISION_NANO);
	clock_gettime(CLOCK_REALTIME, &before);
	send_far(state, 0, 1);
	(void)next_on(p, &header);
	clock_gettime(CLOCK_REALTIME, &after);
	stamp = header->ts.tv_sec * 1000000000ll + header->ts.tv_usec;
	/* A microsecond for the offset of two clocks. */
	assert_true(stamp >= before.tv_sec * 1000000000ll + before.tv_nsec - 1000);
	assert_true(stamp <= after.tv_sec * 1000000000ll + after.tv_nsec + 1000);
	pcap_close(p);
}

static void without_a_timeout_packets_come_too(void **in)
{
	struct state *state = *in;
	pcap_t *p = open_with(state, PCAP_TSTAMP_PRECISION_MICRO, 100, 0, 0);
	struct pcap_pkthdr *header;

	send_far(state, 0, 1);
	(void)next_on(p, &header);
	pcap_close(p);
}

/* ---- filters ------------------------------------------------------------------------------- */

static void set_filter(struct state *state, const char *expression)
{
	struct bpf_program program;

	if (pcap_compile(state->p, &program, expression, 1, PCAP_NETMASK_UNKNOWN))
		fail_msg("%s: %s", expression, pcap_geterr(state->p));
	if (pcap_setfilter(state->p, &program))
		fail_msg("%s: %s", expression, pcap_geterr(state->p));
	pcap_freecode(&program);
}

static void filters_select(void **in)
{
	struct state *state = *in;
	struct bpf_program program;
	struct pcap_stat stats;

	set_filter(state, "ether proto 0x88b5 and ether[14] = 0");
	send_far(state, 0, 3);
	set_filter(state, "ip");
	send_far(state, 0, 3);
	set_filter(state, "ether proto 0x88b5");
	send_far(state, 5, 2);
	assert_frames(state, 0, 3); /* only "ip" ever rejected any */
	assert_frames(state, 5, 2);
	assert_int_equal(pcap_compile(state->p, &program, "no such thing", 1, 0), PCAP_ERROR);
	assert_string_equal(pcap_geterr(state->p), "can't parse filter expression: syntax error");
	assert_int_equal(pcap_setfilter(state->p, NULL), PCAP_ERROR);
	program = (struct bpf_program){ 0 };
	assert_int_equal(pcap_setfilter(state->p, &program), PCAP_ERROR);
	assert_int_equal(pcap_stats(state->p, &stats), 0);
	assert_true(stats.ps_recv >= 2);
	assert_int_equal(stats.ps_drop, 0);
}

/* The descriptor promises nothing after the last packet, which stays valid. */
static void next_ends_with_its_last(void **in)
{
	struct state *state = *in;
	struct pollfd event = { .fd = pcap_get_selectable_fd(state->p), .events = POLLIN };
	struct pcap_pkthdr *header;
	const u_char *data;

	assert_int_equal(pcap_setmintocopy(state->p, 0), 0);
	send_far(state, 0, 3);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(poll(&event, 1, -1), 1);
		assert_int_equal(pcap_next_ex(state->p, &header, &data), 1);
		assert_frame(header, data, i);
	}
	assert_int_equal(poll(&event, 1, 0), 0);
	send_far(state, 3, 1);
	assert_frame(header, data, 2);
	assert_frames(state, 3, 1);
}

/* What is there already is not exchanged: nothing is lost, nothing counted anew. */
static void a_filter_that_is_there_stays(void **in)
{
	struct state *state = *in;
	struct pcap_stat stats;

	set_filter(state, "ether proto 0x88b5");
	send_far(state, 0, 3);
	set_filter(state, "ether proto 0x88b5");
	assert_frames(state, 0, 3);
	assert_int_equal(pcap_stats(state->p, &stats), 0);
	assert_int_equal(stats.ps_recv, 3);
}

/* Also of one that was handed out in part: the packet that was found ahead is not lost. */
static void a_filter_that_is_there_leaves_the_batch(void **in)
{
	struct state *state = *in;
	struct seen seen = { .p = state->p, .stop_at = UINT64_MAX };

	set_filter(state, "ether proto 0x88b5");
	assert_int_equal(pcap_setmintocopy(state->p, 0), 0);
	send_far(state, 0, 5);
	assert_int_equal(pcap_dispatch(state->p, 1, see, (u_char *)&seen), 1);
	set_filter(state, "ether proto 0x88b5");
	assert_int_equal(pcap_setdirection(state->p, PCAP_D_INOUT), 0);
	assert_frames(state, 1, 4);
}

/* Nothing is lost by it either. */
static void a_filter_that_is_only_compiled_does_not_filter(void **in)
{
	struct state *state = *in;
	struct bpf_program program;

	send_far(state, 0, 2);
	assert_int_equal(pcap_compile(state->p, &program, "ip", 1, 0), 0);
	assert_frames(state, 0, 2);
	assert_int_equal(pcap_compile(state->p, &program, "ip", 1, 0), 0);
	pcap_freecode(&program);
	assert_int_equal(pcap_setnonblock(state->p, 1, state->errbuf), 0);
	assert_int_equal(pcap_dispatch(state->p, -1, see, NULL), 0);
	send_far(state, 0, 2);
	assert_int_equal(pcap_setnonblock(state->p, 0, state->errbuf), 0);
	assert_frames(state, 0, 2);
}

static void vlan_finds_tags(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;
	uint8_t frame[60] = { [12] = 0x81, [15] = 7, [16] = 0x88, [17] = 0xb5 };
	const u_char *data;

	memcpy(frame, net_va_address, 6);
	memcpy(frame + 6, net_vb_address, 6);
	set_filter(state, "vlan 7 and ether proto 0x88b5");
	send_far(state, 0, 1);
	net_send(state->far, frame, sizeof(frame));
	data = next_of(state, &header);
	assert_int_equal(header->caplen, sizeof(frame));
	assert_memory_equal(data, frame, sizeof(frame));
}

static void directions_are_told_apart(void **in)
{
	struct state *state = *in;
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	int near = net_sender(&state->net, NET_HERE, "va");
	uint8_t frame[LENGTH];

	assert_int_equal(pcap_setdirection(state->p, PCAP_D_OUT), 0);
	send_far(state, 0, 1);
	net_flood_frame(&flood, 8, frame);
	/* Its own packets a handle does not see, as with libpcap. */
	assert_int_equal(pcap_inject(state->p, frame, LENGTH), LENGTH);
	net_flood_frame(&flood, 9, frame);
	net_send(near, frame, LENGTH);
	assert_frames(state, 9, 1);
	assert_int_equal(pcap_setdirection(state->p, PCAP_D_IN), 0);
	assert_int_equal(pcap_sendpacket(state->p, frame, LENGTH), 0);
	net_send(near, frame, LENGTH);
	close(near);
	send_far(state, 3, 1);
	assert_frames(state, 3, 1);
	assert_int_equal(pcap_setdirection(state->p, PCAP_D_INOUT), 0);
	send_far(state, 4, 1);
	assert_frames(state, 4, 1);
	assert_int_equal(pcap_setdirection(state->p, (pcap_direction_t)7), PCAP_ERROR);
}

/* ---- counting, sending --------------------------------------------------------------------- */

static void statistics_go_on_over_filters(void **in)
{
	struct state *state = *in;
	struct pcap_stat stats;
	int size = 0;

	set_filter(state, "ether proto 0x88b5");
	send_far(state, 0, 4);
	assert_frames(state, 0, 4);
	set_filter(state, "ether proto 0x88b5 and greater 10");
	send_far(state, 4, 3);
	assert_frames(state, 4, 3);
	assert_int_equal(pcap_stats(state->p, &stats), 0);
	assert_int_equal(stats.ps_recv, 7);
	assert_int_equal(stats.ps_drop, 0);
	assert_non_null(pcap_stats_ex(state->p, &size));
	assert_int_equal(size, 6 * sizeof(u_int));
	assert_int_equal(pcap_stats_ex(state->p, &size)->ps_capt, 7);
	/* Nor does what fails change them. */
	assert_int_equal(pcap_setbuff(state->p, INT_MAX), -1);
	assert_int_equal(pcap_stats(state->p, &stats), 0);
	assert_int_equal(stats.ps_recv, 7);
}

static void injection_has_errors(void **in)
{
	static uint8_t frame[60000];
	struct state *state = *in;

	assert_int_equal(pcap_inject(state->p, frame, sizeof(frame)), PCAP_ERROR);
	assert_non_null(strstr(pcap_geterr(state->p), "send: "));
	assert_int_equal(pcap_inject(state->p, frame, 0), PCAP_ERROR);
	assert_int_equal(pcap_sendpacket(state->p, frame, -1), PCAP_ERROR);
}

/* ---- savefiles ----------------------------------------------------------------------------- */

static void savefiles_are_written_and_read(void **in)
{
	char name[] = "/tmp/npf-wpcap-XXXXXX";
	struct state *state = *in;
	pcap_dumper_t *dumper;
	struct pcap_pkthdr *header;
	const u_char *data;
	pcap_t *offline;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_null(pcap_dump_open(state->p, "/nonexistent/x"));
	assert_non_null(strstr(pcap_geterr(state->p), "/nonexistent/x"));
	dumper = pcap_dump_open(state->p, name);
	assert_non_null(dumper);
	send_far(state, 0, 3);
	for (int i = 0; i < 3; i++) {
		data = next_of(state, &header);
		pcap_dump((u_char *)dumper, header, data);
	}
	assert_int_equal(pcap_dump_flush(dumper), 0);
	assert_int_equal(pcap_dump_ftell(dumper), 24 + 3 * (16 + (int)LENGTH));
	pcap_dump_close(dumper);
	offline = pcap_hopen_offline(fd, state->errbuf);
	assert_non_null(offline);
	assert_int_equal(pcap_datalink(offline), DLT_EN10MB);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(pcap_next_ex(offline, &header, &data), 1);
		assert_frame(header, data, i);
	}
	assert_int_equal(pcap_next_ex(offline, &header, &data), PCAP_ERROR_BREAK);
	assert_int_equal(pcap_setbuff(offline, 1000), -1);
	assert_string_equal(pcap_geterr(offline), "pcap_setbuff works on live captures only");
	pcap_close(offline);
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_does_not_exist_is_told_as_libpcap_does),
		TEST(descriptors_are_closed),
		TEST(descriptors_are_closed_beside_our_thread),
		TEST(options_are_refused_after_activation),
		TEST(calls_before_activation_say_so),
		TEST(monitor_mode_is_refused),
		TEST(what_a_capture_is),
		TEST(what_npf_does_not_drive_is_libpcaps),
		TEST(a_tun_device_is_raw_ip),
		TEST(a_loop_ends_after_its_count),
		TEST(dispatch_takes_what_is_there),
		TEST(next_gives_packets_in_place),
		TEST(breakloop_in_a_callback),
		TEST(breakloop_from_another_thread),
		TEST(breakloop_from_a_signal_handler),
		TEST(without_blocking_and_with_poll),
		TEST(one_packet_at_a_time_and_poll),
		TEST(a_small_buffer_is_used_again),
		TEST(the_buffer_is_no_smaller_than_libpcaps),
		TEST(a_departed_interface_ends_the_loop),
		TEST(the_snap_length_cuts),
		TEST(time_stamps_have_the_precision_asked_for),
		TEST(without_a_timeout_packets_come_too),
		TEST(filters_select),
		TEST(next_ends_with_its_last),
		TEST(a_filter_that_is_there_stays),
		TEST(a_filter_that_is_there_leaves_the_batch),
		TEST(a_filter_that_is_only_compiled_does_not_filter),
		TEST(vlan_finds_tags),
		TEST(directions_are_told_apart),
		TEST(statistics_go_on_over_filters),
		TEST(injection_has_errors),
		TEST(savefiles_are_written_and_read),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
