/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is told of a send that had to wait. This program stands in front of the calls that it waits with.
 */
#include "netns/sending.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define MOST 10000 /* frames that a socket's buffer surely does not hold */

/* Once: let go of what the socket waits for, and note when that was. */
static struct {
	struct bench *bench; /* NULL: no more */
	uint64_t time;
} release;

/* In place of the C library's. */
int poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct timespec limit = { ms / 1000, ms % 1000 * 1000000 };
	struct bench *bench = release.bench;

	if (bench) {
		release.bench = NULL;
		net_run(&bench->net, NET_HERE, "tc qdisc del dev va root");
		release.time = npf_send_clock(bench->near);
	}
	return (int)syscall(SYS_ppoll, fds, n, ms < 0 ? NULL : &limit, NULL, 0);
}

/* The kernel looks at carriers a second after the last time; here it takes longer. */
static bool running_still;

/* In place of the C library's. */
int ioctl(int fd, unsigned long code, ...)
{
	struct ifreq *request;
	va_list arguments;
	int result;

	va_start(arguments, code);
	request = va_arg(arguments, void *);
	va_end(arguments);
	result = (int)syscall(SYS_ioctl, fd, code, request);
	if (!result && code == SIOCGIFFLAGS && running_still)
		request->ifr_flags |= IFF_RUNNING;
	return result;
}

static void a_link_that_went_down_is_no_full_queue(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[100];

	need_path(bench->near, NPF_SEND_XSK);
	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), sizeof(frame));
	running_still = true;
	net_run(&bench->net, NET_THERE, "ip link set vb down");
	assert_int_equal(npf_write(bench->near, frame, sizeof(frame)), -ENETDOWN);
	assert_int_equal(stats_of(bench->near).failed_by[NPF_SEND_FAILED_DOWN], 1);
	running_still = false;
	net_run(&bench->net, NET_THERE, "ip link set vb up");
}

static void lateness_holds_the_wait_for_room(void **state)
{
	struct bench *bench = *state;
	uint8_t frame[1514];
	struct npf_send_frame one = { frame, sizeof(frame), 0 };

	need_run(bench, "tc qdisc add dev va root tbf rate 8kbit burst 3kb limit 100mb");
	make_frame(1, frame, sizeof(frame));
	release.bench = bench;
	for (int i = 0; release.bench && i < MOST; i++) {
		assert_int_equal(npf_reset_send_stats(bench->near), 0);
		one.at = npf_send_clock(bench->near) + 100000;
		assert_int_equal(npf_send_frames(bench->near, &one, 1, NULL), 0);
	}
	assert_null(release.bench);
	assert_true(stats_of(bench->near).late_max >= release.time - one.at);
	assert_int_equal(stats_of(bench->near).paced, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(lateness_holds_the_wait_for_room),
		SEND_TEST(a_link_that_went_down_is_no_full_queue),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
