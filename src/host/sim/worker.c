/* SPDX-License-Identifier: BSD-3-Clause */
/* A simulated worker is no thread: its step is one of the things that happen as time passes. */
#include <errno.h>

#include "host/sim/internal.h"

static int start_locked(struct npf_nic *nic, uint64_t (*step)(void *arg), void *arg,
			struct npf_worker **out)
{
	struct npf_host *host = &nic->sim->base;
	int err = npf_sim_operation(nic->sim);

	if (err)
		return err;

	struct npf_worker *worker = host->system->alloc(host, sizeof(*worker));

	if (!worker)
		return -ENOMEM;
	*worker = (struct npf_worker){
		.nic = nic,
		.step = step,
		.arg = arg,
		.due = nic->sim->now,
	};
	nic->worker = worker;
	*out = worker;
	return 0;
}

static int start(struct npf_nic *nic, uint64_t (*step)(void *arg), void *arg,
		 struct npf_worker **worker)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = start_locked(nic, step, arg, worker);

	pthread_mutex_unlock(&nic->sim->lock);
	return err;
}

/* Nobody forks in a simulation. */
static bool is_here(const struct npf_worker *worker)
{
	(void)worker;
	return true;
}

static void wake(struct npf_worker *worker)
{
	struct npf_sim *sim = worker->nic->sim;

	pthread_mutex_lock(&sim->lock);
	if (!worker->done)
		worker->due = sim->now;
	pthread_mutex_unlock(&sim->lock);
}

void npf_sim_run_worker(struct npf_worker *worker)
{
	uint64_t due = worker->step(worker->arg);

	worker->done = due == NPF_WORKER_DONE;
	worker->due = worker->done ? NPF_WAIT_FOR_EVER : due;
}

/* Whoever joins has ordered the end: it takes no time. */
static void join(struct npf_worker *worker)
{
	struct npf_nic *nic = worker->nic;
	struct npf_host *host = &nic->sim->base;

	pthread_mutex_lock(&nic->sim->lock);
	while (!worker->done)
		npf_sim_run_worker(worker);
	if (nic->worker == worker)
		nic->worker = NULL;
	host->system->free(host, worker, sizeof(*worker));
	pthread_mutex_unlock(&nic->sim->lock);
}

const struct npf_worker_ops npf_sim_workers = {
	.start = start,
	.is_here = is_here,
	.wake = wake,
	.join = join,
};
