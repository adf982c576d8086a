/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters of capturing. The tap counts from the making of its ring and nobody else writes
 * there; what users see is the difference to a baseline. Resetting takes a baseline of which every
 * CPU's counters belong together, and empties the ring of as many records as it counts: from then
 * on what is counted as captured is what can be read.
 */
#include <errno.h>

#include "driver/core.h"

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Who is interrupted while the next is written, or after, has a whole one to give. */
static struct npf_stats *next_known(struct npf_instance *instance)
{
	return &instance->known[1 - instance->known_at];
}

static void publish_known(struct npf_instance *instance)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&instance->known_at, 1 - instance->known_at, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void npf_reset(struct npf_instance *instance)
{
	struct npf_baseline *baseline = &instance->baseline;

	baseline->lost = instance->host->nic->lost(instance->nic);
	npf_ring_totals(&instance->view, &baseline->totals);
	npf_ring_class_totals(&instance->view, &baseline->matched, 1);
	npf_discard(instance, baseline->totals.captured);
	npf_monitor_restart(instance);
	*next_known(instance) = (struct npf_stats){ .buffer_size = instance->buffer_size };
	publish_known(instance);
}

static void count_drops(struct npf_stats *stats, const struct npf_ring_totals *now,
			const struct npf_ring_totals *base)
{
	for (uint32_t i = 0; i < NPF_TAP_DROPS; i++)
		stats->dropped_by[i] = now->dropped[i] - base->dropped[i];
	stats->dropped_by[NPF_DROP_REENTRY] += now->reentered - base->reentered;
}

static void count(struct npf_instance *instance, struct npf_stats *stats)
{
	const struct npf_baseline *base = &instance->baseline;
	struct npf_ring_totals now;
	struct npf_class_counters matched;
	uint64_t lost = instance->host->nic->lost(instance->nic);

	/* What is contained in another counter is read before it, so that differences hold. */
	npf_ring_class_totals(&instance->view, &matched, 1);
	npf_ring_totals(&instance->view, &now);

	*stats = (struct npf_stats){ .captured = now.captured - base->totals.captured };
	count_drops(stats, &now, &base->totals);
	stats->dropped_by[NPF_DROP_BACKLOG] = lost - base->lost;
	for (uint32_t i = 0; i < NPF_DROP_N; i++)
		stats->dropped += stats->dropped_by[i];

	/* The two kinds of frames that never reach the tap's own count. */
	stats->received = now.received - base->totals.received +
			  (now.reentered - base->totals.reentered) +
			  stats->dropped_by[NPF_DROP_BACKLOG];
	/* What is neither stored nor lost nor counted by statistics mode was rejected. A dump with
	 * statistics stores what it counts. */
	uint64_t counted = instance->dumping ? 0 : matched.packets - base->matched.packets;

	stats->filtered = minus(stats->received, stats->captured + stats->dropped + counted);
	stats->buffer_size = instance->buffer_size;
	stats->buffer_used = instance->dumping ? npf_dump_pending(instance)
					       : minus(now.bytes, instance->released);
}

/* From now on a signal handler is told what is known: nothing it could look at is whole. */
static void hold_known(struct npf_instance *instance, uint32_t hold)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&instance->known_holds, hold, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void renew_known(struct npf_instance *instance)
{
	count(instance, next_known(instance));
	publish_known(instance);
}

void npf_begin_control(struct npf_instance *instance)
{
	npf_lock_take(instance->host, &instance->lock);
	hold_known(instance, 1);
	renew_known(instance);
}

void npf_end_control(struct npf_instance *instance)
{
	hold_known(instance, 0);
	npf_lock_release(instance->host, &instance->lock);
}

const struct npf_stats *npf_known_stats(const struct npf_instance *instance)
{
	return &instance->known[instance->known_at];
}

/* With the lock, or in a handler that interrupts who has it: a read, and whoever takes it without
 * npf_begin_control(), does nothing that counting would mind. */
static void tell_stats(struct npf_instance *instance, struct npf_stats *stats)
{
	if (__atomic_load_n(&instance->known_holds, __ATOMIC_RELAXED)) {
		*stats = *npf_known_stats(instance);
		return;
	}
	hold_known(instance, 1);
	renew_known(instance);
	*stats = *npf_known_stats(instance);
	hold_known(instance, 0);
}

int npf_get_stats(struct npf_instance *instance, struct npf_stats *stats)
{
	int err = npf_enter(instance);

	if (err)
		return err;

	bool interrupts = npf_lock_is_mine(&instance->lock);

	if (!interrupts)
		npf_lock_take(instance->host, &instance->lock);
	tell_stats(instance, stats);
	if (!interrupts)
		npf_lock_release(instance->host, &instance->lock);
	npf_stop_using_open_instance(instance);
	return 0;
}

const char *npf_drop_name(enum npf_drop reason)
{
	static const char *const names[NPF_DROP_N] = {
		[NPF_DROP_NO_BUFFER] = "no buffer",         [NPF_DROP_FULL] = "buffer full",
		[NPF_DROP_COPY] = "packet unreadable",      [NPF_DROP_REENTRY] = "tap busy",
		[NPF_DROP_BACKLOG] = "lost before the tap",
	};

	return (unsigned int)reason < NPF_DROP_N ? names[reason] : "unknown";
}
