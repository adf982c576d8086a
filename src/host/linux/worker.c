/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: a thread that serves one binding. While it exists the tap's wake-ups are for it; it
 * takes no signals, which are for the application's own threads.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "host/linux/linux.h"
#include "host/linux/process.h"

struct npf_worker {
	struct npf_nic *nic;
	struct npf_event event;
	uint64_t (*step)(void *arg);
	void *arg;
	pthread_t thread;
	uint32_t process; /* whose thread it is */
};

static void *run(void *arg)
{
	struct npf_worker *worker = arg;
	struct npf_nic *nic = worker->nic;
	struct npf_host *host = &nic->host->base;

	for (;;) {
		/* What comes from here on is for the next round. */
		npf_event_clear(&worker->event);
		nic->ops->clear(nic);

		uint64_t due = worker->step(worker->arg);

		if (due == NPF_WORKER_DONE)
			return NULL;
		npf_event_wait(&worker->event, host->system->now(host), due);
	}
}

/* SIGPIPE, too: it would be sent to the thread that writes. */
static int start_thread(struct npf_worker *worker)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);

	int err = pthread_create(&worker->thread, NULL, run, worker);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static int listen_to(struct npf_nic *nic, struct npf_event *event)
{
	int err = nic->ops->listen(nic, event);

	if (!err)
		__atomic_store_n(&nic->tapped, event, __ATOMIC_RELEASE);
	return err;
}

static int start(struct npf_nic *nic, uint64_t (*step)(void *arg), void *arg,
		 struct npf_worker **out)
{
	struct npf_worker *worker = calloc(1, sizeof(*worker));
	struct npf_event *before = nic->tapped;
	int err;

	if (!worker)
		return -ENOMEM;
	worker->nic = nic;
	worker->step = step;
	worker->arg = arg;
	worker->process = npf_process_number();
	err = npf_event_init(&worker->event);
	if (err)
		goto free_worker;
	err = listen_to(nic, &worker->event);
	if (err)
		goto fini_event;
	*out = worker;
	err = start_thread(worker);
	if (!err)
		return 0;

	listen_to(nic, before);
fini_event:
	npf_event_fini(&worker->event);
free_worker:
	free(worker);
	return err;
}

static bool is_here(const struct npf_worker *worker)
{
	return worker->process == npf_process_number();
}

static void wake(struct npf_worker *worker)
{
	npf_event_set(&worker->event);
}

/* In a fork its descriptors are closed, and what they stand for stays as it is. */
static void join(struct npf_worker *worker)
{
	if (is_here(worker))
		pthread_join(worker->thread, NULL);
	if (is_here(worker) && worker->nic->tapped == &worker->event)
		listen_to(worker->nic, &worker->nic->event);
	npf_event_fini(&worker->event);
	free(worker);
}

const struct npf_worker_ops npf_linux_workers = {
	.start = start,
	.is_here = is_here,
	.wake = wake,
	.join = join,
};
