/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readiness of a binding: an epoll descriptor over a flag (eventfd), a clock (timerfd) and whatever
 * else raises it: the kernel tap's wake-ups, the news of the adapter's end. Being an epoll
 * descriptor it can itself be polled, and it is level-triggered.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "host/linux/linux.h"
#include "host/linux/process.h"

#define NS_PER_S 1000000000ull

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

int npf_event_add(struct npf_event *event, int fd)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(event->poller, EPOLL_CTL_ADD, fd, &interest) ? -errno : 0;
}

void npf_event_remove(struct npf_event *event, int fd)
{
	epoll_ctl(event->poller, EPOLL_CTL_DEL, fd, NULL);
}

int npf_event_init(struct npf_event *event)
{
	int err;

	*event = (struct npf_event){ .flag = -1, .clock = -1, .forks = npf_process_forks() };
	event->poller = epoll_create1(EPOLL_CLOEXEC);
	if (event->poller < 0)
		return -errno;
	event->flag = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event->clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (event->flag < 0 || event->clock < 0) {
		err = -errno;
		goto fini;
	}
	if ((err = npf_event_add(event, event->flag)) || (err = npf_event_add(event, event->clock)))
		goto fini;
	return 0;

fini:
	npf_event_fini(event);
	return err;
}

void npf_event_fini(struct npf_event *event)
{
	int *fds[] = { &event->clock, &event->flag, &event->poller };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int npf_event_wait(struct npf_event *event, uint64_t now, uint64_t deadline)
{
	struct pollfd poller = { .fd = event->poller, .events = POLLIN };
	struct timespec left = to_timespec(deadline > now ? deadline - now : 0);
	int n = ppoll(&poller, 1, deadline == NPF_WAIT_FOR_EVER ? NULL : &left, NULL);

	/* A signal is no readiness, but the caller must look whether it is to stop. */
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

void npf_event_set(struct npf_event *event)
{
	uint64_t one = 1;
	int saved = errno; /* a signal handler may be our caller */

	__atomic_fetch_add(&event->sets, 1, __ATOMIC_ACQ_REL);
	if (write(event->flag, &one, sizeof(one)) < 0)
		errno = saved; /* EAGAIN: it is raised already */
}

/* A flag that is down is left alone: the call would take as long as many packets. But a fork may have
 * raised it. */
void npf_event_clear(struct npf_event *event)
{
	uint64_t count;

	if ((__atomic_load_n(&event->sets, __ATOMIC_ACQUIRE) ||
	     npf_process_forks() != event->forks) &&
	    read(event->flag, &count, sizeof(count)) == (ssize_t)sizeof(count))
		__atomic_fetch_sub(&event->sets, count, __ATOMIC_ACQ_REL);
	npf_event_timer(event, 0);
}

void npf_event_timer(struct npf_event *event, uint64_t at)
{
	struct itimerspec when = { .it_value = to_timespec(at) };

	/* Setting it takes back an expiry that was not read. */
	timerfd_settime(event->clock, TFD_TIMER_ABSTIME, &when, NULL);
}
