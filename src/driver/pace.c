/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Working off a job: which frames go together, when, and when to give up.
 *
 * The schedule is absolute: how late one frame was moves no other. A paced frame goes alone unless
 * others are due as well; then they go together, few enough that each can be told its lateness.
 */
#include <errno.h>

#include "base/text.h"
#include "driver/core.h"

/* Frames without a time in one run: what a host can send in the milliseconds it may take. */
#define RUN_MAX 16384u
/* Frames that are due together. */
#define DUE_MAX 16u

/* Nothing went for so long: the adapter's queue will not drain any more. */
#define PATIENCE NPF_NS_PER_S
/* But a try tells of no more than this, however late it comes: who was kept from the CPU, and whoever drains the
 * queue with him, has not waited meanwhile. */
#define TRY (20 * NPF_NS_PER_MS)
/* How long to leave a full queue alone. */
#define PAUSE (50 * NPF_NS_PER_US)
/* A wait looks this often whether the adapter is still there. */
#define LOOK (100 * NPF_NS_PER_MS)
/* Who closes a path that only one can have is rid of it some milliseconds later; tries go so far apart. */
#define LET_GO (500 * NPF_NS_PER_MS)
#define RETRY  NPF_NS_PER_MS
/* In a wait of this length there is time to ask for the adapter's counters. */
#define ROOM (20 * NPF_NS_PER_US)

/* ---- when to end ---------------------------------------------------------------------------- */

/* A stop that was asked for ends one send; the one that sees it. */
static int stopped(struct npf_instance *instance)
{
	uint32_t *word = &instance->sending.stop;
	uint32_t stop = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	if (stop & NPF_STOP_CLOSE)
		return -ECANCELED;
	if (!stop)
		return 0;
	__atomic_fetch_and(word, ~NPF_STOP_ASKED, __ATOMIC_ACQ_REL);
	return -EINTR;
}

static void sleep_until(struct npf_instance *instance, uint64_t time)
{
	struct npf_host *host = instance->host;

	host->system->sleep_until(host, time, &instance->sending.stop, 0);
}

bool npf_has_gone(struct npf_instance *instance)
{
	npf_lock_take(instance->host, &instance->lock);
	bool gone = instance->host->nic->gone(instance->nic);

	npf_lock_release(instance->host, &instance->lock);
	return gone;
}

static int wait_for(struct npf_instance *instance, uint64_t now, uint64_t time)
{
	if (time - now >= ROOM)
		npf_refresh_confirmed(instance, now, time - now);
	/* The last stretch is never so short that the one before it, late as timers are, meets it. */
	if (time - now <= 2 * LOOK) {
		instance->host->nic->await(instance->nic, time, &instance->sending.stop, 0);
		return 0;
	}
	sleep_until(instance, now + LOOK);
	return npf_has_gone(instance) ? -ENODEV : 0;
}

int npf_sleep_until_due(struct npf_instance *instance, uint64_t time)
{
	uint64_t now;
	int err;

	while (!(err = stopped(instance)) && (now = npf_now(instance)) < time) {
		bool last = time - now <= LOOK;

		sleep_until(instance, last ? time : now + LOOK);
		if (!last && npf_has_gone(instance))
			return -ENODEV;
	}
	return err;
}

/* ---- one run -------------------------------------------------------------------------------- */

static size_t count_untimed(const struct npf_job *job)
{
	size_t left = job->n - job->sent;
	size_t most = left < RUN_MAX ? left : RUN_MAX;
	size_t n = 1;

	if (job->repeat)
		return most;
	while (n < most && !job->frames[job->sent + n].at)
		n++;
	return n;
}

static size_t count_due(const struct npf_job *job, uint64_t now)
{
	size_t left = job->n - job->sent;
	size_t most = left < DUE_MAX ? left : DUE_MAX;
	size_t n = 1;

	while (n < most && job->frames[job->sent + n].at && job->frames[job->sent + n].at <= now)
		n++;
	return n;
}

/* That was set. */
static enum npf_send_path path_of(const struct npf_instance *instance)
{
	return (enum npf_send_path)__atomic_load_n(&instance->sending.path, __ATOMIC_RELAXED);
}

static int64_t transmit(struct npf_instance *instance, struct npf_run *run)
{
	struct npf_sending *sending = &instance->sending;
	struct npf_transmission what = {
		.frames = run->frames,
		.n = run->n,
		.repeat = run->repeat,
		.begins = sending->begins,
		.path = path_of(instance),
	};

	if (run->paced && (what.path == NPF_SEND_AUTO || what.path == NPF_SEND_FASTEST))
		what.path = NPF_SEND_SOCKET;

	int64_t n = instance->host->nic->transmit(instance->nic, &what);

	sending->begins = false;
	run->path = what.used;
	run->full = what.full;
	run->waited = what.waited;
	if (n > 0)
		__atomic_store_n(&sending->used, what.used, __ATOMIC_RELAXED);
	return n;
}

/* A queue that is full may drain; everything else that keeps a frame back ends the job. */
static int be_patient(struct npf_instance *instance, struct npf_job *job, int err)
{
	uint64_t now = npf_now(instance);

	if (err != -ENOBUFS && err != -EAGAIN)
		return err;
	if (job->stuck)
		job->waited += now - job->stuck < TRY ? now - job->stuck : TRY;
	job->stuck = now;
	if (job->waited >= PATIENCE)
		return -ENOBUFS;
	sleep_until(instance, now + PAUSE);
	return 0;
}

static int send_run(struct npf_instance *instance, struct npf_job *job, struct npf_run *run)
{
	int64_t n = transmit(instance, run);

	if (n <= 0)
		return be_patient(instance, job, n ? (int)n : -EAGAIN);
	if (run->paced && (n > 1 || run->waited)) /* the last of them went just now */
		run->time = npf_now(instance);
	run->n = (size_t)n;
	npf_count_run(instance, run);
	npf_refresh_confirmed(instance, run->paced ? run->time : npf_now(instance),
			      run->paced ? 0 : UINT64_MAX);
	job->sent += run->n;
	job->stuck = 0;
	job->waited = 0;
	if (run->full && job->sent < job->n)
		sleep_until(instance, npf_now(instance) + PAUSE);
	return 0;
}

static int send_next(struct npf_instance *instance, struct npf_job *job)
{
	const struct npf_send_frame *next = &job->frames[job->repeat ? 0 : job->sent];
	struct npf_run run = { .frames = next, .repeat = job->repeat, .paced = next->at != 0 };

	if (run.paced) {
		run.time = npf_now(instance);
		if (next->at > run.time)
			return wait_for(instance, run.time, next->at);
		run.n = count_due(job, run.time);
	} else {
		run.n = count_untimed(job);
	}
	return send_run(instance, job, &run);
}

/* ---- a path that was set -------------------------------------------------------------------- */

int npf_await_path(struct npf_instance *instance, enum npf_send_path path, char *reason)
{
	const struct npf_nic_ops *ops = instance->host->nic;
	uint64_t began = npf_now(instance);
	struct npf_text text;
	int err;

	do {
		err = ops->check_path(instance->nic, path, reason);
		if (err != -EAGAIN)
			return err;
		if (npf_now(instance) - began >= LET_GO)
			return -ENOTSUP;
		sleep_until(instance, npf_now(instance) + RETRY);
	} while (!(err = stopped(instance)));
	npf_text_init(&text, reason, NPF_ERROR_SIZE);
	npf_text_add(&text, "the wait for another sender to let go was stopped");
	return err;
}

/* It does not take what comes next: perhaps another has it, and is letting go. 0: try once more. */
static int await_path(struct npf_instance *instance, struct npf_job *job)
{
	char reason[NPF_ERROR_SIZE];
	int err;

	if (job->awaited)
		return -ENOTSUP;
	job->awaited = true;
	err = npf_await_path(instance, path_of(instance), reason);
	return err == -EBUSY ? 0 : err;
}

/* ---- the job -------------------------------------------------------------------------------- */

/* A path that was set and does not do: what the host knows about it, or else it is the frame. */
static const char *ask_path(struct npf_instance *instance, char sentence[NPF_ERROR_SIZE])
{
	enum npf_send_path path = path_of(instance);
	struct npf_text text;

	sentence[0] = '\0';

	int err = instance->host->nic->check_path(instance->nic, path, sentence);

	if (err && err != -EBUSY && sentence[0])
		return sentence;
	npf_text_init(&text, sentence, NPF_ERROR_SIZE);
	npf_text_add(&text, "path ");
	npf_text_add(&text, npf_send_path_name(path));
	npf_text_add(&text,
		     " takes no frame like the next one (its length or type); path auto does");
	return sentence;
}

static int say_how_many(struct npf_instance *instance, const struct npf_job *job, int err)
{
	char sentence[NPF_ERROR_SIZE], doing[NPF_ERROR_SIZE];
	const char *reason = err == -EINTR       ? "it was stopped"
			     : err == -ECANCELED ? "the instance is being closed"
			     : err == -EINVAL    ? "the adapter refuses the next frame"
			     : err == -ENOTSUP   ? ask_path(instance, sentence)
						 : NULL;
	struct npf_text text;

	npf_text_init(&text, doing, sizeof(doing));
	npf_text_add(&text, "sending ended after ");
	npf_text_add_unsigned(&text, job->sent);
	npf_text_add(&text, " of ");
	npf_text_add_unsigned(&text, job->n);
	npf_text_add(&text, job->repeat ? " copies" : " frames");
	if (!reason)
		return npf_fail_host(instance, err, doing);
	npf_text_add(&text, ": ");
	npf_text_add(&text, reason);
	return npf_fail(instance, err, doing);
}

int npf_work_off(struct npf_instance *instance, struct npf_job *job)
{
	int err = 0;

	npf_forget_rest(&instance->sending);
	while (job->sent < job->n && !err) {
		err = stopped(instance);
		if (!err)
			err = send_next(instance, job);
		if (err == -ENOTSUP)
			err = await_path(instance, job);
	}
	return err;
}

/* An adapter that is being deleted is down first; who asks for its counters waits until it has gone. */
static int name_end(struct npf_instance *instance, int err)
{
	if (err != -ENETDOWN)
		return err;
	npf_look_at_adapter(instance);
	return npf_has_gone(instance) ? -ENODEV : err;
}

int npf_end_job(struct npf_instance *instance, const struct npf_job *job, int err)
{
	err = name_end(instance, err);
	if (err)
		npf_count_failed(instance, job->n - job->sent, err);
	npf_close_account(instance);
	return err ? say_how_many(instance, job, err) : 0;
}

int npf_do_job(struct npf_instance *instance, struct npf_job *job)
{
	npf_count_asked(instance, job->n);
	return npf_end_job(instance, job, npf_work_off(instance, job));
}

void npf_drain_last(struct npf_instance *instance)
{
	struct npf_host *host = instance->host;
	uint32_t *word = &instance->sending.stop;
	uint64_t unsent, least = UINT64_MAX, since = 0;

	while ((unsent = host->nic->unsent(instance->nic))) {
		uint64_t now = npf_now(instance);

		if (unsent < least) {
			least = unsent;
			since = now;
		}
		if (now - since >= NPF_DRAIN_NS)
			return;
		/* The word says "close" already: what it is now ends no sleep. */
		host->system->sleep_until(host, now + PAUSE, word,
					  __atomic_load_n(word, __ATOMIC_ACQUIRE));
	}
}

/* The original waited 256 times 100 ms; what drains at all drains within the caller's limit. */
int npf_drain(struct npf_instance *instance, uint64_t ns)
{
	const struct npf_nic_ops *ops = instance->host->nic;
	uint64_t began = npf_now(instance);

	while (ops->unsent(instance->nic)) {
		int err = stopped(instance);
		uint64_t now = npf_now(instance);

		if (err)
			return npf_fail(instance, err, "the wait for the adapter was stopped");
		if (now - began >= ns)
			return npf_fail(instance, -ETIMEDOUT,
					"the adapter still holds frames back; is the link up?");
		sleep_until(instance,
			    now + (ns - (now - began) < PAUSE ? ns - (now - began) : PAUSE));
	}
	return 0;
}

int npf_drain_trailing(struct npf_instance *instance, uint64_t ns)
{
	uint64_t began = npf_now(instance), since = began, least = UINT64_MAX, trailing;

	while ((trailing = npf_count_trailing(instance))) {
		int err = stopped(instance);
		uint64_t now = npf_now(instance);

		if (err)
			return npf_fail(instance, err, "the wait for the adapter was stopped");
		if (trailing < least) {
			least = trailing;
			since = now;
		}
		if (now - since >= NPF_DRAIN_NS) {
			npf_count_missing(instance);
			return 0;
		}
		if (now - began >= ns)
			return npf_fail(instance, -ETIMEDOUT,
					"the adapter has not counted all frames that it took yet");
		sleep_until(instance, now + PAUSE);
	}
	return 0;
}
