/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How sending went: what was asked for, what the kernel took, what the adapter says it sent, what
 * failed and why, and how late the paced frames were.
 */
#include <errno.h>

#include "driver/core.h"

/* The adapter's counters are looked at so often while sends last, at first oftener: what they showed is
 * known when the adapter goes. */
#define LOOK_AGAIN (100 * NPF_NS_PER_MS)
#define LOOK_SOON  NPF_NS_PER_MS
/* A look that takes as long as DEAR (an adapter with a queueing discipline among thousands) takes at most one
 * in SHARE of the time, and delays a frame that has no time for it so much more seldom. */
#define DEAR       (100 * NPF_NS_PER_US)
#define DEAR_TIMES 16
#define SHARE      32
/* After the last frame of a send, unless it was done within this. */
#define LOOK_LAST (10 * NPF_NS_PER_MS)

/* ---- lateness ------------------------------------------------------------------------------- */

#define STEP_BITS 4 /* log2 of NPF_LATE_STEPS */

static uint32_t bucket_of(uint64_t ns)
{
	if (ns < NPF_LATE_STEPS)
		return (uint32_t)ns;

	uint32_t shift = 63u - STEP_BITS - (uint32_t)__builtin_clzll(ns);

	return (shift + 1) * NPF_LATE_STEPS + (uint32_t)(ns >> shift & (NPF_LATE_STEPS - 1));
}

/* The longest that falls into it. */
static uint64_t bucket_end(uint32_t bucket)
{
	if (bucket < 2 * NPF_LATE_STEPS)
		return bucket;

	uint32_t shift = bucket / NPF_LATE_STEPS - 1;
	uint64_t step = NPF_LATE_STEPS + bucket % NPF_LATE_STEPS;

	return (step << shift) + ((1ull << shift) - 1);
}

/* The lateness that so many per cent of the paced frames did not exceed. */
static uint64_t percentile(const struct npf_send_counters *counters, uint32_t percent)
{
	uint64_t paced = counters->stats.paced;
	uint64_t rank = paced / 100 * percent + (paced % 100 * percent + 99) / 100;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < NPF_LATE_BUCKETS; i++) {
		seen += counters->late[i];
		if (seen < rank || !seen)
			continue;
		uint64_t end = bucket_end(i);

		return end < counters->stats.late_max ? end : counters->stats.late_max;
	}
	return counters->stats.late_max;
}

static void count_late(struct npf_send_counters *counters, uint64_t late, uint64_t limit)
{
	counters->stats.paced++;
	counters->late[bucket_of(late)]++;
	if (late > limit)
		counters->stats.late++;
	if (late > counters->stats.late_max)
		counters->stats.late_max = late;
}

/* ---- counting ------------------------------------------------------------------------------- */

static struct npf_send_counters *lock(struct npf_instance *instance)
{
	npf_lock_take(instance->host, &instance->sending.stats_lock);
	return &instance->sending.counters;
}

static void unlock(struct npf_instance *instance)
{
	npf_lock_release(instance->host, &instance->sending.stats_lock);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A driver that was reset counts from zero again: what is below the last look has not risen. */
static uint64_t rise(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

/* All that may have been lost without a word was ours, as far as we had something under way. */
static uint64_t bound_lost(const struct npf_send_counters *counters,
			   const struct npf_sent_counters *now)
{
	const struct npf_sent_counters *then = &counters->closed_at;
	uint64_t given = counters->stats.asked - counters->stats.failed - counters->closed;
	uint64_t open = given - least(given, now->sure - then->sure);
	uint64_t lost = least(rise(then->lost[0], now->lost[0]), rise(then->lost[1], now->lost[1]));

	return counters->lost + least(open, lost - least(lost, now->told - then->told));
}

static void close_at(struct npf_send_counters *counters, const struct npf_sent_counters *now,
		     uint64_t lost)
{
	counters->closed_at = *now;
	counters->closed = counters->stats.handed;
	counters->lost = lost;
}

/* What has gone is confirmed for good: no more than the adapter counted, which others may have sent, and
 * no more than is left when all that was lost, or waits, was ours. before: handed when it was asked. */
static void take_look(struct npf_send_counters *counters, const struct npf_sent_counters *now,
		      uint64_t before)
{
	struct npf_send_stats *stats = &counters->stats;

	if (!counters->began) { /* what came meanwhile was sent before */
		counters->owed -= least(counters->owed, rise(counters->last.packets, now->packets));
		close_at(counters, now, 0);
	} else {
		counters->risen += rise(counters->last.packets, now->packets);
		counters->dropped += rise(counters->last.dropped, now->dropped);
		counters->refused += rise(counters->last.again, now->again);
		stats->device_dropped = most(stats->device_dropped,
					     rise(counters->refused, counters->dropped));
	}
	counters->last = *now;
	counters->began = true;

	uint64_t lost = bound_lost(counters, now);
	uint64_t left = least(before, stats->handed); /* less after a reset */

	left -= least(left, lost + now->waiting);
	stats->confirmed = most(stats->confirmed,
				least(left, rise(counters->owed, counters->risen)));
	counters->trailing = least(now->trailing, rise(stats->confirmed, left));
	counters->missing = least(counters->missing, counters->trailing);
	if (before == stats->asked - stats->failed && !now->waiting)
		close_at(counters, now, lost);
}

static int ask_adapter(struct npf_instance *instance, struct npf_sent_counters *now)
{
	const struct npf_nic_ops *ops = instance->host->nic;
	int err = ops->sent(instance->nic, now);

	if (err != -ENODEV || !npf_has_gone(instance))
		return err;
	return ops->sent(instance->nic, now);
}

/* One that was interrupted is no measure. */
static void note_time(struct npf_sending *sending, uint64_t took)
{
	__atomic_store_n(&sending->takes, least(took, sending->took), __ATOMIC_RELAXED);
	sending->took = took;
}

/* Asked without the lock of the counting: it takes the time of some frames. An adapter that has
 * gone may tell nothing; what was known stays. The look_lock is taken, and given back. Whether
 * it answered. */
static bool look_alone(struct npf_instance *instance)
{
	struct npf_sent_counters now;
	uint64_t before, began;
	int err;

	began = npf_now(instance);
	__atomic_store_n(&instance->sending.looked, began, __ATOMIC_RELAXED);
	before = lock(instance)->stats.handed;
	unlock(instance);
	err = ask_adapter(instance, &now);
	if (!err) {
		take_look(lock(instance), &now, before);
		unlock(instance);
	}
	note_time(&instance->sending, npf_now(instance) - began);
	npf_lock_release(instance->host, &instance->sending.look_lock);
	return !err;
}

bool npf_look_at_adapter(struct npf_instance *instance)
{
	npf_lock_take(instance->host, &instance->sending.look_lock);
	return look_alone(instance);
}

static bool has_begun(struct npf_instance *instance)
{
	bool began = lock(instance)->began;

	unlock(instance);
	return began;
}

/* A tenth of a second, or as long as it is that somebody began to look. */
static uint64_t between_looks(const struct npf_sending *sending, uint64_t looked, uint64_t takes)
{
	uint64_t age = looked - __atomic_load_n(&sending->began, __ATOMIC_RELAXED);

	return most(SHARE * takes, age < LOOK_SOON    ? LOOK_SOON
				   : age < LOOK_AGAIN ? age
						      : LOOK_AGAIN);
}

void npf_refresh_confirmed(struct npf_instance *instance, uint64_t now, uint64_t room)
{
	const struct npf_sending *sending = &instance->sending;
	uint64_t looked = __atomic_load_n(&sending->looked, __ATOMIC_RELAXED);
	uint64_t takes = __atomic_load_n(&sending->takes, __ATOMIC_RELAXED);
	uint64_t between = between_looks(sending, looked, takes);

	if (!room || room < 2 * takes)
		between *= takes < DEAR ? 2 : DEAR_TIMES;
	/* Who sends does not wait for others that look all the time. */
	if (now - looked >= between && npf_lock_try(&instance->sending.look_lock))
		look_alone(instance);
}

void npf_close_account(struct npf_instance *instance)
{
	uint64_t looked = __atomic_load_n(&instance->sending.looked, __ATOMIC_RELAXED);

	if (npf_now(instance) - looked >= LOOK_LAST)
		npf_look_at_adapter(instance);
}

/* Who cannot ask any more waits for nothing. */
uint64_t npf_count_trailing(struct npf_instance *instance)
{
	struct npf_send_counters *counters = &instance->sending.counters;
	uint64_t trailing;

	if (!has_begun(instance) || !npf_look_at_adapter(instance))
		return 0;
	lock(instance);
	trailing = rise(counters->missing, counters->trailing);
	unlock(instance);
	return trailing;
}

void npf_count_missing(struct npf_instance *instance)
{
	struct npf_send_counters *counters = lock(instance);

	counters->missing = counters->trailing;
	unlock(instance);
}

static void begin_to_look(struct npf_instance *instance)
{
	__atomic_store_n(&instance->sending.began, npf_now(instance), __ATOMIC_RELAXED);
	npf_look_at_adapter(instance);
}

void npf_count_asked(struct npf_instance *instance, size_t n)
{
	uint64_t looked = __atomic_load_n(&instance->sending.looked, __ATOMIC_RELAXED);

	if (!has_begun(instance) || npf_now(instance) - looked >= LOOK_AGAIN)
		begin_to_look(instance);
	lock(instance)->stats.asked += n;
	unlock(instance);
}

static uint64_t sum_bytes(const struct npf_run *run)
{
	uint64_t bytes = 0;

	if (run->repeat)
		return run->n * run->frames->size;
	for (size_t i = 0; i < run->n; i++)
		bytes += run->frames[i].size;
	return bytes;
}

void npf_count_run(struct npf_instance *instance, const struct npf_run *run)
{
	uint64_t limit = __atomic_load_n(&instance->sending.late_limit, __ATOMIC_RELAXED);
	uint64_t bytes = sum_bytes(run);
	struct npf_send_counters *counters = lock(instance);

	counters->stats.handed += run->n;
	counters->stats.bytes += bytes;
	counters->stats.by_path[run->path] += run->n;
	for (size_t i = 0; i < run->n && run->paced; i++)
		count_late(counters, run->time - run->frames[i].at, limit);
	unlock(instance);
}

static enum npf_send_failure failure_of(int err)
{
	switch (-err) {
	case ENETDOWN:
		return NPF_SEND_FAILED_DOWN;
	case ENODEV:
		return NPF_SEND_FAILED_GONE;
	case ENOBUFS:
		return NPF_SEND_FAILED_FULL;
	case EINVAL:
	case EMSGSIZE:
	case ENOTSUP:
		return NPF_SEND_FAILED_REFUSED;
	case EINTR:
	case ECANCELED:
		return NPF_SEND_FAILED_STOPPED;
	default:
		return NPF_SEND_FAILED_OTHER;
	}
}

void npf_count_failed(struct npf_instance *instance, size_t n, int err)
{
	struct npf_send_counters *counters = lock(instance);

	counters->stats.failed_by[failure_of(err)] += n;
	counters->stats.failed += n;
	unlock(instance);
}

/* ---- asking --------------------------------------------------------------------------------- */

static void compute(struct npf_instance *instance, struct npf_send_stats *stats)
{
	if (has_begun(instance))
		npf_look_at_adapter(instance);

	struct npf_send_counters *counters = lock(instance);

	*stats = counters->stats;
	stats->late_p50 = percentile(counters, 50);
	stats->late_p99 = percentile(counters, 99);
	unlock(instance);
}

int npf_get_send_stats(struct npf_instance *instance, struct npf_send_stats *stats)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	compute(instance, stats);
	npf_stop_using_open_instance(instance);
	return 0;
}

/* Frames that a send is still about stay asked for: they will be counted as handed or failed. */
static void forget(struct npf_send_counters *counters)
{
	const struct npf_send_stats *stats = &counters->stats;
	uint64_t under_way = stats->asked - stats->handed - stats->failed;

	*counters = (struct npf_send_counters){
		.stats = { .asked = under_way },
		.last = counters->last,
		.began = counters->began && under_way,
		.closed_at = counters->last,
		.owed = rise(counters->risen, counters->owed) +
			rise(counters->missing, counters->trailing),
	};
}

int npf_reset_send_stats(struct npf_instance *instance)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	if (has_begun(instance))
		npf_look_at_adapter(instance);
	forget(lock(instance));
	unlock(instance);
	npf_stop_using_open_instance(instance);
	return 0;
}

int npf_set_late_limit(struct npf_instance *instance, uint64_t ns)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	__atomic_store_n(&instance->sending.late_limit, ns, __ATOMIC_RELAXED);
	npf_stop_using_open_instance(instance);
	return 0;
}

const char *npf_send_failure_name(enum npf_send_failure reason)
{
	static const char *const names[NPF_SEND_FAILED_N] = {
		[NPF_SEND_FAILED_DOWN] = "adapter down", [NPF_SEND_FAILED_GONE] = "adapter gone",
		[NPF_SEND_FAILED_FULL] = "queue full",   [NPF_SEND_FAILED_REFUSED] = "refused",
		[NPF_SEND_FAILED_STOPPED] = "stopped",   [NPF_SEND_FAILED_OTHER] = "other",
	};

	return (unsigned int)reason < NPF_SEND_FAILED_N ? names[reason] : "unknown";
}
