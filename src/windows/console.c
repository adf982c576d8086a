/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ctrl-C and its relatives. A signal handler may do next to nothing, handlers of Windows do
 * anything: so the signal goes through a pipe to a thread, which calls them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "windows.h"

#define MOST_HANDLERS 32

static const struct {
	int number;
	DWORD event;
} events[] = {
	{ SIGINT, CTRL_C_EVENT },
	{ SIGQUIT, CTRL_BREAK_EVENT },
	{ SIGHUP, CTRL_CLOSE_EVENT },
	{ SIGTERM, CTRL_SHUTDOWN_EVENT },
};
#define N_EVENTS (sizeof(events) / sizeof(events[0]))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static PHANDLER_ROUTINE handlers[MOST_HANDLERS]; /* the newest last */
static size_t n_handlers;
static int way[2] = { -1, -1 };
static pid_t dispatcher; /* process whose thread reads it: a child has none, until it asks */

/* As without us. */
static void end_process(int number)
{
	signal(number, SIG_DFL);
	kill(getpid(), number);
}

static void on_signal(int number)
{
	unsigned char byte = (unsigned char)number;
	int saved = errno;

	if (dispatcher != getpid()) {
		end_process(number);
		return;
	}
	/* Full: there are more events on their way than anybody pressed keys. */
	if (write(way[1], &byte, 1) < 0)
		errno = saved;
}

static bool handled(DWORD event)
{
	PHANDLER_ROUTINE now[MOST_HANDLERS];
	size_t n;

	pthread_mutex_lock(&lock);
	n = n_handlers;
	memcpy(now, handlers, sizeof(now));
	pthread_mutex_unlock(&lock);
	while (n) {
		if (now[--n](event))
			return true;
	}
	return false;
}

static DWORD event_of(int number)
{
	for (size_t i = 0; i < N_EVENTS; i++) {
		if (events[i].number == number)
			return events[i].event;
	}
	return CTRL_C_EVENT;
}

static void *dispatch(void *arg)
{
	unsigned char number;

	(void)arg;
	while (read(way[0], &number, 1) == 1) {
		if (!handled(event_of(number)))
			end_process(number);
	}
	return NULL;
}

/* Signals are not for the thread that handles them: a handler may wait for it. */
static int start_dispatcher(void)
{
	sigset_t all, before;
	pthread_t id;
	int err;

	if (pipe2(way, O_CLOEXEC))
		return errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&id, NULL, dispatch, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return err;
	pthread_detach(id);
	dispatcher = getpid();
	return 0;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	for (size_t i = 0; i < N_EVENTS; i++)
		sigaction(events[i].number, &action, NULL);
}

static int add_handler(PHANDLER_ROUTINE handler)
{
	int err = 0;

	if (n_handlers == MOST_HANDLERS)
		return ENOMEM;
	if (dispatcher != getpid())
		err = start_dispatcher();
	if (err)
		return err;
	catch_signals();
	handlers[n_handlers++] = handler;
	return 0;
}

static int remove_handler(PHANDLER_ROUTINE handler)
{
	for (size_t i = n_handlers; i; i--) {
		if (handlers[i - 1] != handler)
			continue;
		memmove(&handlers[i - 1], &handlers[i], (n_handlers - i) * sizeof(handlers[0]));
		n_handlers--;
		return 0;
	}
	return EINVAL;
}

/* Without a handler Ctrl-C can be ignored altogether, or not. */
static int ignore(bool wish)
{
	struct sigaction action = { .sa_handler = wish ? SIG_IGN : SIG_DFL };

	if (!wish && n_handlers)
		action.sa_handler = on_signal;
	return sigaction(SIGINT, &action, NULL) ? errno : 0;
}

BOOL SetConsoleCtrlHandler(PHANDLER_ROUTINE handler, BOOL add)
{
	int err;

	pthread_mutex_lock(&lock);
	if (!handler)
		err = ignore(add);
	else
		err = add ? add_handler(handler) : remove_handler(handler);
	pthread_mutex_unlock(&lock);
	if (err)
		errno = err;
	return !err;
}
