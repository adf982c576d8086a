/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a thread is when a signal comes, or another thread: waiting for packets, or amid a call of the
 * driver. Programs made for libpcap close a capture in a signal handler while the same thread reads
 * it, jump out of handlers, and cancel the thread that reads. The driver's calls would be waited for by
 * who closes, and so by themselves.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "wpcap/wpcap.h"

/* How often is looked whether the others are out, whom pcap_breakloop() wakes, and how many times. */
#define LOOK_NS 100000
#define LOOKS   2000

/* A handler asks for it: no memory is taken then. */
static _Thread_local volatile struct wpcap_place place __attribute__((tls_model("initial-exec")));

struct wpcap_place wpcap_go(const pcap_t *p, bool in_driver)
{
	struct wpcap_place before = { place.p, place.in_driver, PTHREAD_CANCEL_ENABLE };

	if (in_driver)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.cancels);
	place.in_driver = in_driver;
	place.p = p;
	return before;
}

void wpcap_go_back(const struct wpcap_place *before)
{
	bool in_driver = place.in_driver;

	place.p = before->p;
	place.in_driver = before->in_driver;
	if (in_driver)
		pthread_setcancelstate(before->cancels, NULL);
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct wait {
	pcap_t *p;
	struct wpcap_place before;
	uint32_t process;
};

/* The handle may be gone behind it. */
static void end_wait(void *arg)
{
	const struct wait *wait = arg;

	wpcap_go_back(&wait->before);
	wpcap_count_out(&wait->p->waiting, wait->process);
}

int wpcap_await(pcap_t *p, int ms)
{
	struct pollfd event = { .fd = pcap_get_selectable_fd(p), .events = POLLIN };
	struct wait wait = { .p = p, .before = wpcap_go(p, false) };
	bool broken;
	int n;

	wpcap_count_in(&p->waiting, &wait.process);
	pthread_cleanup_push(end_wait, &wait);
	broken = wpcap_was_broken(p);
	n = broken ? 0 : poll(&event, 1, ms);
	broken = p->closed || wpcap_was_broken(p) || broken;
	pthread_cleanup_pop(1);
	if (broken)
		return PCAP_ERROR_BREAK;
	return n != 0;
}

/* ---- closing ------------------------------------------------------------------------------- */

/* False: somebody is still counted. He may be late, or have jumped out of his wait by a signal handler,
 * and not come back ever. */
static bool await_others(pcap_t *p)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	if (!wpcap_counted(&p->waiting))
		return true;
	pcap_breakloop(p);
	for (int look = 0; look < LOOKS; look++) {
		if (!wpcap_counted(&p->waiting))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* What this thread is amid itself goes on when the signal handler returns, and is broken then; the wait
 * of another may, too. A call of the driver cannot be taken its adapter from; that is left to the end of
 * the process. */
bool wpcap_end(pcap_t *p)
{
	bool here = place.p == p, idle;

	if (here && place.in_driver) {
		pcap_breakloop(p);
		return false;
	}
	idle = !here && await_others(p);
	p->closed = true;
	__atomic_store_n(&p->reader, NULL, __ATOMIC_RELEASE);
	pcap_cleanup_win32(p);
	return idle;
}
