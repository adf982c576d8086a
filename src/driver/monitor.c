/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statistics mode: the tap counts and stores nothing. Here its counters become the manual's record
 * of 36 bytes, once per interval, and the 64-bit numbers of npf_get_class_stats(). A record holds
 * the increments since the one before; nothing is reset, hence nothing is lost in between.
 */
#include <errno.h>
#include <string.h>

#include "driver/core.h"

#define DEFAULT_INTERVAL NPF_NS_PER_S /* where the read timeout says "for ever" */

static uint32_t class_count(const struct npf_instance *instance)
{
	return instance->config.n_classes ? instance->config.n_classes : 1;
}

void npf_monitor_restart(struct npf_instance *instance)
{
	struct npf_monitor_state *monitor = &instance->monitor;

	npf_ring_class_totals(&instance->view, monitor->base, class_count(instance));
	monitor->record = monitor->base[0];
	monitor->last = npf_now(instance);
}

static uint64_t interval(const struct npf_instance *instance)
{
	if (instance->timeout < 0)
		return 0;
	if (!instance->timeout)
		return DEFAULT_INTERVAL;
	return (uint64_t)instance->timeout * NPF_NS_PER_MS;
}

uint64_t npf_monitor_due(const struct npf_instance *instance)
{
	uint64_t length = interval(instance);

	return length ? instance->monitor.last + length : 0;
}

bool npf_monitor_news(const struct npf_instance *instance)
{
	struct npf_class_counters counters;

	npf_ring_class_totals(&instance->view, &counters, 1);
	return counters.packets != instance->monitor.record.packets;
}

/* The next record is due one interval after this one was, not after it was read: the rhythm holds
 * unless a whole interval was missed. */
static void advance(struct npf_instance *instance, uint64_t now)
{
	struct npf_monitor_state *monitor = &instance->monitor;
	uint64_t length = interval(instance);

	if (now - monitor->last < length)
		return; /* the last record of an adapter that has gone, ahead of its time */
	monitor->last += length;
	if (now - monitor->last >= length)
		monitor->last = now;
}

uint32_t npf_monitor_record_size(const struct npf_instance *instance)
{
	return instance->dumping ? NPF_STAT_DUMP_RECORD_SIZE : NPF_STAT_RECORD_SIZE;
}

int64_t npf_monitor_record(struct npf_instance *instance, uint8_t *buffer)
{
	struct npf_monitor_state *monitor = &instance->monitor;
	uint64_t now = npf_now(instance);
	struct npf_class_counters counters;

	npf_ring_class_totals(&instance->view, &counters, 1);

	int64_t packets = (int64_t)(counters.packets - monitor->record.packets);
	int64_t bytes = (int64_t)(counters.line_bytes - monitor->record.line_bytes);

	uint32_t size = npf_monitor_record_size(instance);
	uint32_t data = size - NPF_STAT_PACKETS_OFFSET;

	npf_put_header(buffer, now + npf_time_offset(instance), data, data);
	memcpy(buffer + NPF_STAT_PACKETS_OFFSET, &packets, sizeof(packets));
	memcpy(buffer + NPF_STAT_BYTES_OFFSET, &bytes, sizeof(bytes));
	if (instance->dumping) {
		uint64_t position = npf_dump_position(instance);

		memcpy(buffer + NPF_STAT_DUMP_OFFSET, &position, sizeof(position));
	}
	monitor->record = counters;
	advance(instance, now);
	return size;
}

static int copy_class_stats(struct npf_instance *instance, struct npf_class_stats *stats,
			    uint32_t *n)
{
	struct npf_class_counters counters[NPF_MAX_CLASSES];
	uint32_t capacity = *n;

	*n = class_count(instance);
	if (capacity < *n)
		return npf_fail_value(instance, -ENOBUFS, "there are ", *n,
				      " classes; give room for all of them");

	npf_ring_class_totals(&instance->view, counters, *n);
	for (uint32_t i = 0; i < *n; i++) {
		const struct npf_class_counters *base = &instance->monitor.base[i];

		stats[i].packets = counters[i].packets - base->packets;
		stats[i].bytes = counters[i].bytes - base->bytes;
		stats[i].line_bytes = counters[i].line_bytes - base->line_bytes;
	}
	return 0;
}

int npf_get_class_stats(struct npf_instance *instance, struct npf_class_stats *stats, uint32_t *n,
			uint64_t *time)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_lock_take(instance->host, &instance->lock);
	err = copy_class_stats(instance, stats, n);
	if (!err && time)
		*time = npf_now(instance) + npf_time_offset(instance);
	npf_lock_release(instance->host, &instance->lock);
	npf_stop_using_open_instance(instance);
	return err;
}
