/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Orderly ends. A handler has no argument, so this is the one place with state of the process.
 * The event descriptor stays readable once a signal came: a wait that starts later does not sleep.
 */
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic(struct npf_instance *) watched;
static atomic_uint signals;
static atomic_bool expired;
static int event = -1, output = -1;

/* Both are async-signal-safe, and each is nothing where nobody reads or sends. */
static void wake(struct npf_instance *instance)
{
	npf_stop_waiting(instance);
	npf_stop_sending(instance);
}

static void on_signal(int number)
{
	const uint64_t one = 1;
	struct npf_instance *instance = atomic_load(&watched);
	int saved = errno;

	(void)number;
	atomic_fetch_add(&signals, 1);
	if (instance)
		wake(instance);
	(void)!write(event, &one, sizeof(one)); /* fails when full only: readable all the same */
	errno = saved;
}

static void on_alarm(int number)
{
	if (!npf_signals_stopped())
		atomic_store(&expired, true);
	on_signal(number);
}

/* nohup(1) has it so, and so it stays. */
static bool ignores_hangups(void)
{
	struct sigaction now;

	return sigaction(SIGHUP, NULL, &now) || now.sa_handler == SIG_IGN;
}

static int watch(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event < 0)
		return -errno;
	sigemptyset(&action.sa_mask);
	sigemptyset(&ignore.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (!ignores_hangups()) /* the terminal goes away */
		sigaction(SIGHUP, &action, NULL);
	sigaction(SIGXFSZ, &ignore, NULL); /* a file that may not be larger: the write says so */
	return 0;
}

int npf_signals_init(void)
{
	return watch((int)SA_RESETHAND);
}

int npf_signals_init_patient(void)
{
	return watch(0);
}

void npf_signals_end_after(uint64_t ns)
{
	struct sigaction action = { .sa_handler = on_alarm };
	uint64_t us = ns / 1000 + !!(ns % 1000);
	struct itimerval timer = {
		.it_value = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) },
	};

	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

bool npf_signals_expired(void)
{
	return atomic_load(&expired);
}

void npf_signals_watch(struct npf_instance *instance)
{
	atomic_store(&watched, instance);
	if (instance && npf_signals_stopped())
		wake(instance);
}

void npf_signals_let_kill(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	if (!ignores_hangups())
		signal(SIGHUP, SIG_DFL);
}

void npf_signals_watch_output(int fd)
{
	output = fd;
}

bool npf_signals_stopped(void)
{
	return atomic_load(&signals) != 0;
}

unsigned int npf_signals_count(void)
{
	return atomic_load(&signals);
}

int npf_signals_fd(void)
{
	return event;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

bool npf_signals_wait(int fd, uint64_t deadline)
{
	struct pollfd polled[] = { { event, POLLIN, 0 }, { fd, POLLIN, 0 }, { output, 0, 0 } };

	while (!npf_signals_stopped()) {
		uint64_t start = now(), left = deadline > start ? deadline - start : 0;
		struct timespec time = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };

		if (ppoll(polled, 3, deadline == UINT64_MAX ? NULL : &time, NULL) >= 0 &&
		    (polled[1].revents || polled[2].revents || !left))
			return polled[1].revents;
	}
	return false;
}
