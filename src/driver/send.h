/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending, private: what an instance keeps for it, and what write.c, queue.c, pace.c and
 * send_stats.c ask of each other.
 *
 * A call that sends makes a job: frames, or copies of one. The job is worked off in runs, each one
 * call of the host: what has no time and follows each other, or what is due together. Between two
 * runs the job looks whether it shall end.
 */
#ifndef NPF_SEND_H
#define NPF_SEND_H

#include "driver/host.h"
#include "driver/lock.h"

struct npf_instance;

/* npf_sending.stop. */
#define NPF_STOP_ASKED 0x1u /* npf_stop_sending(): ends one send */
#define NPF_STOP_CLOSE 0x2u /* cleanup has begun: ends all */

/* A queue that went does not wait longer for its frames to leave the adapter; and who closes does not
 * wait for an adapter that nothing has left for so long. */
#define NPF_DRAIN_NS NPF_NS_PER_S

#define NPF_LATE_LIMIT 100000u /* ns, unless the caller sets another */

/* Lateness in ns: exact below 16, then 16 steps to each doubling. */
#define NPF_LATE_STEPS   16u
#define NPF_LATE_BUCKETS (61u * NPF_LATE_STEPS)

struct npf_send_counters {
	struct npf_send_stats stats; /* without what is computed when asked for */
	uint64_t late[NPF_LATE_BUCKETS];
	struct npf_sent_counters last; /* the adapter's, as last seen */
	uint64_t risen;                /* its counter of sent frames, since the first of ours */
	uint64_t dropped;              /* the same of its drops */
	uint64_t refused;              /* of these, and we know of each */
	uint64_t trailing;             /* frames that it has taken and will count, when last seen */
	uint64_t missing;              /* of these, waited for in vain */
	uint64_t owed; /* of those of before a reset: what it counts first is theirs */
	bool began;    /* last is known */
	/* The account of what it lost of ours: closed up to here, when nothing was under way. */
	struct npf_sent_counters closed_at;
	uint64_t closed; /* frames handed by then */
	uint64_t lost;   /* of these, at most */
};

/* What was left of a queue when a stop ended it: who comes with exactly this, before anything else is
 * sent, hears of the stop. Later another queue may lie in the same memory. */
struct npf_rest {
	const uint8_t *data; /* NULL: none; only compared */
	size_t size;
};

struct npf_sending {
	struct npf_lock lock; /* one writer at a time */
	bool begins;          /* nothing of this call went yet; lock */
	uint32_t stop;        /* NPF_STOP_*; what a writer that waits sleeps on; atomic */
	uint32_t copies;      /* BIOCSWRITEREP; atomic */
	uint32_t path;        /* enum npf_send_path that was set; atomic */
	uint32_t used;        /* the one last used; atomic */
	uint64_t late_limit;  /* ns; atomic */

	/* Lengths that the adapter sends, as last asked; lock. */
	uint32_t mtu;
	uint32_t max_frame;    /* of a frame with a VLAN tag */
	uint32_t max_untagged; /* of any other */
	uint32_t min_frame;

	struct npf_rest rest; /* lock */

	struct npf_lock look_lock; /* one look at the adapter's counters at a time */
	uint64_t looked;           /* when the last began, ns; atomic */
	uint64_t began;            /* when the first of those that count did; atomic */
	uint64_t took;             /* how long the last took, ns; look_lock */
	uint64_t takes;            /* what the next will at least, by the last two; atomic */
	struct npf_lock stats_lock;
	struct npf_send_counters counters;
};

struct npf_job {
	const struct npf_send_frame *frames;
	size_t n;
	bool repeat;     /* n copies of frames[0] */
	size_t sent;     /* of n, in order */
	uint64_t stuck;  /* when nothing more went last, ns; 0: it goes */
	uint64_t waited; /* for that, ns */
	bool awaited;    /* its path was, which comes once at most */
};

/* ---- write.c ------------------------------------------------------------------------------- */

/* Between these two nobody else of the instance sends. -ECANCELED, -ENODEV with a sentence. */
int npf_start_sending(struct npf_instance *instance);
void npf_finish_sending(struct npf_instance *instance);
/* Make senders leave, for good. */
void npf_end_sending(struct npf_instance *instance);

/* How long frames may be, by what the adapter says. */
void npf_learn_limits(struct npf_instance *instance, const struct npf_adapter *adapter);
/* Learn them anew if its MTU has changed: before more than one frame is checked. (A frame alone the
 * adapter refuses, and nothing has gone.) */
void npf_renew_limits(struct npf_instance *instance);
/* 0, -EINVAL or -EMSGSIZE with a sentence that begins with `which`. */
int npf_check_frame(struct npf_instance *instance, const void *data, size_t size, const char *which);

/* ---- queue.c: inside an instance that is in use --------------------------------------------- */

int64_t npf_write_queue(struct npf_instance *instance, const void *queue, size_t size, bool sync);

/* ---- pace.c: between start and finish ------------------------------------------------------- */

/* Send what is left of a job. job->sent is right whatever is returned; the sentence says how many
 * went of how many. */
int npf_do_job(struct npf_instance *instance, struct npf_job *job);
/* check_path() of the host; where another has what the path takes, wait a while for him to let go.
 * -EINTR, -ECANCELED as well. A sentence in reason, NPF_ERROR_SIZE bytes, when it is not 0. */
int npf_await_path(struct npf_instance *instance, enum npf_send_path path, char *reason);
/* Its parts, for who has not all frames at hand at once: send what is left, uncounted; and for the
 * whole, whose frames were counted as asked before, count what did not go and say so. Returns err. */
int npf_work_off(struct npf_instance *instance, struct npf_job *job);
int npf_end_job(struct npf_instance *instance, const struct npf_job *job, int err);
bool npf_has_gone(struct npf_instance *instance);
/* For who is not between start and finish, so that others send meanwhile. -EINTR, -ECANCELED, -ENODEV. */
int npf_sleep_until_due(struct npf_instance *instance, uint64_t time);
/* Until the adapter's queue holds nothing of ours, at most ns. -ETIMEDOUT, -EINTR, -ECANCELED. */
int npf_drain(struct npf_instance *instance, uint64_t ns);
/* Until it has counted what it took, the same; or nothing more for NPF_DRAIN_NS, then that is lost. */
int npf_drain_trailing(struct npf_instance *instance, uint64_t ns);
/* The first for who closes and is alone: as long as something leaves, and no stop ends it. */
void npf_drain_last(struct npf_instance *instance);

/* Whatever is sent now is not the rest of a queue that was stopped, or he who has it was told. */
static inline void npf_forget_rest(struct npf_sending *sending)
{
	sending->rest.data = NULL;
}

/* ---- send_stats.c --------------------------------------------------------------------------- */

/* Frames that went together: n of a job, at a time (0: they had none), by a path. */
struct npf_run {
	const struct npf_send_frame *frames;
	size_t n;
	bool repeat;
	bool paced;
	bool full;   /* behind them there was no room */
	bool waited; /* before them there was none */
	enum npf_send_path path;
	uint64_t time;
};
void npf_count_asked(struct npf_instance *instance, size_t n);
void npf_count_run(struct npf_instance *instance, const struct npf_run *run);
/* Look at the adapter's counters, if that was not done lately: takes some microseconds. room: until somebody
 * waits, ns; without the time for it only when it is overdue. */
void npf_refresh_confirmed(struct npf_instance *instance, uint64_t now, uint64_t room);
void npf_count_failed(struct npf_instance *instance, size_t n, int err);
/* How many frames an adapter that counts late, asked now, has still to count; and: take them for lost. */
uint64_t npf_count_trailing(struct npf_instance *instance);
void npf_count_missing(struct npf_instance *instance);
/* Read the adapter's counters now. Whether it told them. */
bool npf_look_at_adapter(struct npf_instance *instance);
/* Nothing is under way: what the adapter loses from now on was not of it. */
void npf_close_account(struct npf_instance *instance);

#endif
