/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of a dump (manual: NPF_DumpThread, NPF_SaveCurrentBuffer): takes what the stream has,
 * finds where limits cut it, brings it to the files. Between two marks nobody looks at packets:
 * the cursor tells how many there are. Only where a limit falls in between are records walked.
 */
#include <errno.h>

#include "driver/dump.h"

#define PERIOD       (100 * NPF_NS_PER_MS) /* clock, adapter and files are looked at so often */
#define SOON         (50 * NPF_NS_PER_US)  /* a CPU was inside the tap */
#define COARSE_SLACK (10 * NPF_NS_PER_MS)  /* a stamp of the coarse clock may be so old */

/* ---- places -------------------------------------------------------------------------------- */

uint64_t npf_dump_past_seam(const struct npf_dump *dump, uint64_t position)
{
	return position == dump->seam_from ? dump->seam_to : position;
}

uint64_t npf_dump_offset(const struct npf_dump *dump, uint64_t position)
{
	uint64_t to = npf_dump_past_seam(dump, position);
	uint64_t offset = dump->out + (to - dump->head);

	if (dump->head < dump->seam_to && to >= dump->seam_to)
		offset -= dump->seam_to - dump->seam_from;
	return offset;
}

/* The head of the record at a position; the position, the seam being passed. */
static uint64_t look_at(const struct npf_dump *dump, uint64_t position, uint8_t *head)
{
	position = npf_dump_past_seam(dump, position);
	npf_stream_copy(&dump->instance->view, position, head, NPF_DUMP_RECORD_HEAD);
	return position;
}

/* ---- limits -------------------------------------------------------------------------------- */

/* Why and where a file ends before what was asked for. */
struct cut {
	enum npf_dump_end end; /* NPF_DUMP_RUNNING: it does not */
	bool all;              /* the dump ends with it */
	struct npf_stream_mark at;
};

static uint64_t limit(const uint64_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static uint64_t left_of(const uint64_t *number, uint64_t used)
{
	uint64_t most = limit(number);

	if (most == NPF_NEVER)
		return NPF_NEVER;
	return most > used ? most - used : 0;
}

/* Of the current file. */
struct limits {
	uint64_t all_bytes, all_packets;
	uint64_t bytes, packets;
	uint64_t deadline, until;
};

/* The stamp from which on a packet lies behind a time of now(). */
static uint64_t stamp_of(const struct npf_dump *dump, uint64_t time)
{
	uint64_t offset = dump->offset_most > dump->offset_before ? dump->offset_most
								  : dump->offset_before;

	return npf_dump_later(offset, time);
}

static void get_limits(const struct npf_dump *dump, struct limits *limits)
{
	*limits = (struct limits){
		.all_bytes = left_of(&dump->max_bytes, dump->base_bytes),
		.all_packets = left_of(&dump->max_packets, dump->base_packets),
		.bytes = limit(&dump->file_bytes),
		.packets = limit(&dump->file_packets),
		.deadline = stamp_of(dump, dump->deadline),
		.until = dump->given.until ? dump->given.until : stamp_of(dump, dump->until),
	};
}

static bool cut_here(struct cut *cut, enum npf_dump_end end, bool all)
{
	cut->end = end;
	cut->all = all;
	return true;
}

/* File 0 waits for no packet; each other was asked for because there was one for it. */
static bool may_end_empty(const struct npf_dump *dump, uint64_t packets)
{
	return packets || !dump->given.number;
}

/* Does the file end before a record of that size and stamp, the packets'th from 0? */
static bool ends_before(const struct npf_dump *dump, const struct limits *limits, uint64_t offset,
			uint64_t packets, uint32_t size, uint64_t time, struct cut *cut)
{
	uint64_t after = offset + size + dump->trailer_size;

	if (packets >= limits->all_packets)
		return cut_here(cut, NPF_DUMP_PACKETS, true);
	if (after > limits->all_bytes)
		return cut_here(cut, NPF_DUMP_BYTES, true);
	if (time >= limits->deadline)
		return cut_here(cut, NPF_DUMP_TIME, true);
	if (packets >= limits->packets)
		return cut_here(cut, NPF_DUMP_PACKETS, false);
	if (after > limits->bytes && packets)
		return cut_here(cut, NPF_DUMP_BYTES, false);
	if (time >= limits->until && may_end_empty(dump, packets))
		return cut_here(cut, NPF_DUMP_TIME, false);
	return false;
}

/* When the file's time is over, ns of now(). */
static uint64_t end_of_file(const struct npf_dump *dump)
{
	if (!dump->given.until)
		return dump->until;
	return dump->given.until > dump->offset ? dump->given.until - dump->offset : 0;
}

/* And behind the last one that there is? By the clock that nobody sets. */
static bool ends_here(const struct npf_dump *dump, const struct limits *limits, uint64_t packets,
		      struct cut *cut)
{
	uint64_t now = dump->now - dump->offset;

	now = now > dump->lateness ? now - dump->lateness : 0;
	if (packets >= limits->all_packets)
		return cut_here(cut, NPF_DUMP_PACKETS, true);
	if (now >= dump->deadline)
		return cut_here(cut, NPF_DUMP_TIME, true);
	if (packets >= limits->packets)
		return cut_here(cut, NPF_DUMP_PACKETS, false);
	if (now >= end_of_file(dump) && may_end_empty(dump, packets))
		return cut_here(cut, NPF_DUMP_TIME, false);
	return false;
}

/* Nor does anything that there is come to a limit of time. */
static bool in_time(const struct npf_dump *dump)
{
	uint64_t later = dump->later - dump->offset;

	return later < dump->deadline && later < dump->until &&
	       (!dump->given.until || stamp_of(dump, later) < dump->given.until);
}

/* No record up to the end can come to a limit. */
static bool far_away(const struct npf_dump *dump, const struct limits *limits,
		     const struct npf_stream_mark *end)
{
	uint64_t packets = dump->file_count + npf_stream_records(&dump->mark, end);
	uint64_t bytes = npf_dump_offset(dump, end->position) + dump->trailer_size;

	return packets < limits->packets && packets < limits->all_packets &&
	       bytes <= limits->bytes && bytes <= limits->all_bytes && in_time(dump);
}

/* The kernel's half wrote it, and only it can write there. */
static int damaged(struct npf_dump *dump)
{
	return npf_dump_fail(dump, -EIO, "the buffer holds what is no packet; this is a bug");
}

static int find_cut(struct npf_dump *dump, const struct npf_stream_mark *end, struct cut *cut)
{
	uint32_t most = dump->instance->view.geometry.chunk_size;
	uint64_t packets = dump->file_count;
	struct limits limits;

	*cut = (struct cut){ .at = *end };
	get_limits(dump, &limits);
	if (far_away(dump, &limits, end))
		return 0;

	struct npf_stream_mark at = dump->mark;

	while (npf_stream_records(&at, end)) {
		uint8_t head[NPF_DUMP_RECORD_HEAD];

		at.position = look_at(dump, at.position, head);

		uint32_t size = npf_dump_record_size(dump->format, head, most);
		uint64_t time = npf_dump_record_time(dump->format, head);

		if (!size)
			return damaged(dump);
		if (ends_before(dump, &limits, npf_dump_offset(dump, at.position), packets, size,
				time, cut)) {
			cut->at = at;
			return 0;
		}
		at.position += size;
		at.records++;
		packets++;
	}
	ends_here(dump, &limits, packets, cut);
	return 0;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Everything up to there is on its way: count it. */
static void advance(struct npf_dump *dump, const struct npf_stream_mark *to)
{
	uint64_t packets = npf_stream_records(&dump->mark, to);
	uint64_t offset = npf_dump_offset(dump, to->position);

	dump->taken += packets;
	dump->mark = *to;
	dump->mark.position = npf_dump_past_seam(dump, to->position);
	if (!dump->file)
		return;
	if (dump->previous.offset <= dump->stored)
		dump->safe = dump->previous;
	dump->previous = (struct npf_dump_place){ .offset = offset,
						  .packets = dump->file_count + packets };
	npf_dump_set(&dump->file_size, offset);
	npf_dump_set(&dump->file_count, dump->file_count + packets);
	npf_dump_set(&dump->bytes, dump->base_bytes + offset);
	npf_dump_set(&dump->packets, dump->base_packets + dump->file_count);
}

/* A file for the record at mark. RUNNING: there is one. */
static enum npf_dump_end next_file(struct npf_dump *dump)
{
	uint8_t head[NPF_DUMP_RECORD_HEAD];

	look_at(dump, dump->mark.position, head);

	uint32_t size = npf_dump_record_size(dump->format, head,
					     dump->instance->view.geometry.chunk_size);
	uint64_t time = npf_dump_record_time(dump->format, head);
	struct limits limits;
	struct cut cut = { 0 };

	if (!size) {
		damaged(dump);
		return NPF_DUMP_FAILED;
	}
	get_limits(dump, &limits);
	if (ends_before(dump, &limits, dump->header_size, 0, size, time, &cut) && cut.all)
		return cut.end;

	int err = npf_open_dump_file(dump, time);

	if (err > 0)
		return NPF_DUMP_FILES;
	return err ? NPF_DUMP_FAILED : NPF_DUMP_RUNNING;
}

/* Everything up to the end goes to its files. RUNNING: and the dump goes on. */
enum npf_dump_end npf_save_current_buffer(struct npf_dump *dump, const struct npf_stream_mark *end)
{
	for (;;) {
		enum npf_dump_end over = NPF_DUMP_RUNNING;
		struct cut cut;

		if (!dump->file && !npf_stream_records(&dump->mark, end))
			return NPF_DUMP_RUNNING;
		if (!dump->file)
			over = next_file(dump);
		if (over)
			return over;
		if (find_cut(dump, end, &cut) || npf_dump_save(dump, cut.at.position))
			return npf_dump_failure(dump);
		advance(dump, &cut.at);
		if (!cut.end)
			return NPF_DUMP_RUNNING;
		if (npf_close_dump_file(dump, cut.end))
			return npf_dump_failure(dump);
		if (cut.all)
			return cut.end;
	}
}

/* ---- the end ------------------------------------------------------------------------------- */

static void stop_storing(struct npf_dump *dump)
{
	if (dump->closed)
		return;
	dump->final = npf_stream_close(&dump->instance->view, dump->head);
	dump->closed = true;
}

static uint64_t end_dump(struct npf_dump *dump, enum npf_dump_end end, bool keep_rest)
{
	struct npf_nic *nic = dump->nic;

	if (!keep_rest)
		stop_storing(dump);
	if (dump->file)
		npf_close_dump_file(dump, end);
	if (dump->error && (end == NPF_DUMP_STOPPED || end == NPF_DUMP_GONE))
		end = npf_dump_failure(dump);
	if (dump->error) /* nobody takes over from here */
		stop_storing(dump);
	if (dump->closed) {
		uint64_t all = dump->taken + npf_stream_records(&dump->mark, &dump->final);

		npf_dump_set(&dump->lost, all - dump->packets);
		dump->mark = dump->final;
		dump->mark.position += NPF_STREAM_ALIGN;
		dump->head = dump->mark.position;
		dump->seam_from = dump->seam_to = 0;
		__atomic_store_n(&dump->instance->view.control->stream.head, dump->head,
				 __ATOMIC_RELEASE);
	} else {
		npf_dump_set(&dump->lost, dump->taken - dump->packets);
	}
	__atomic_store_n(&dump->end, end, __ATOMIC_RELAXED);
	__atomic_store_n(&dump->ended, 1, __ATOMIC_RELEASE);
	dump->host->nic->set(nic);
	return NPF_WORKER_DONE;
}

/* ---- pace ---------------------------------------------------------------------------------- */

static uint32_t enough(const struct npf_dump *dump)
{
	const struct npf_instance *instance = dump->instance;
	uint32_t bytes = __atomic_load_n(&instance->min_to_copy, __ATOMIC_RELAXED);
	uint32_t half = instance->view.geometry.stream_size / 2;

	if (bytes > half)
		bytes = half;
	return bytes < NPF_STREAM_ALIGN ? NPF_STREAM_ALIGN : bytes;
}

static uint64_t pending(const struct npf_dump *dump)
{
	return npf_stream_end(&dump->instance->view, dump->head).position - dump->head;
}

/* Let the tap wake us when there is enough. false: there is. */
static bool arm(struct npf_dump *dump)
{
	struct npf_control *control = dump->instance->view.control;
	uint32_t bytes = enough(dump);
	uint64_t there = pending(dump);

	if (there >= bytes)
		return false;
	if (++dump->arm == __atomic_load_n(&control->signal.fired, __ATOMIC_RELAXED))
		dump->arm++;
	__atomic_store_n(&control->waiter.need, (uint32_t)(bytes - there), __ATOMIC_RELAXED);
	__atomic_store_n(&control->waiter.timeout, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&control->waiter.arm, dump->arm, __ATOMIC_SEQ_CST);
	return pending(dump) < bytes;
}

/* In the terms of the monotonic clock, and not before now. */
static uint64_t earlier(uint64_t due, uint64_t now, uint64_t at)
{
	if (at >= due)
		return due;
	return at > now ? at : now;
}

/* Once a while for all files: the complete ones are their owner's. */
static void sync_now_and_then(struct npf_dump *dump, uint64_t now)
{
	if (!dump->file || dump->stored == dump->synced || now < dump->sync_at)
		return;
	dump->sync_at = now + dump->flush_ns;
	if (!dump->host->files->sync(dump->file))
		dump->synced = dump->stored;
}

/* When to look again, the incomplete page being on the disk in time. 0: a write failed. */
static uint64_t come_back(struct npf_dump *dump)
{
	uint64_t now = dump->now > dump->offset ? dump->now - dump->offset : 1; /* 0 is no time */
	uint64_t due = now + PERIOD;

	sync_now_and_then(dump, now);
	if (!arm(dump))
		return now;
	due = earlier(due, now, npf_dump_later(dump->deadline, dump->lateness));
	if (!dump->file)
		return due;
	if (dump->stored >= dump->file_size)
		dump->flush_at = NPF_NEVER;
	else if (dump->flush_at == NPF_NEVER) /* a new file shows its header at once */
		dump->flush_at = dump->stored ? now + dump->flush_ns : now;
	if (now >= dump->flush_at && npf_dump_flush(dump))
		return 0;
	due = earlier(due, now, dump->flush_at);
	if (may_end_empty(dump, dump->file_count))
		due = earlier(due, now, npf_dump_later(end_of_file(dump), dump->lateness));
	return due;
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void follow_clock(struct npf_dump *dump)
{
	struct npf_instance *instance = dump->instance;
	uint32_t mode = __atomic_load_n(&instance->timestamp_mode, __ATOMIC_RELAXED);

	if (mode == NPF_TIMESTAMP_SINGLE_SYNC)
		dump->offset = instance->driver->time_base;
	else
		dump->offset = npf_clock_offset(dump->host, dump->offset);
	if (dump->offset > dump->offset_most)
		dump->offset_most = dump->offset;
	dump->lateness = mode == NPF_TIMESTAMP_COARSE ? COARSE_SLACK : 0;
	if (instance->hook == NPF_HOOK_TPACKET)
		dump->lateness = PERIOD;
	__atomic_store_n(&instance->view.control->stream.offset, dump->offset, __ATOMIC_RELAXED);
}

static void note_fill(struct npf_dump *dump, uint64_t position)
{
	if (position - dump->head > dump->buffer_most)
		npf_dump_set(&dump->buffer_most, position - dump->head);
}

static void rotate(struct npf_dump *dump)
{
	uint32_t order = NPF_ORDER_ROTATE;

	__atomic_compare_exchange_n(&dump->order, &order, NPF_ORDER_RUN, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	if (dump->file && dump->file_count)
		npf_close_dump_file(dump, NPF_DUMP_ROTATED);
}

uint64_t npf_dump_thread(void *arg)
{
	struct npf_dump *dump = arg;
	const struct npf_host *host = dump->host;
	uint32_t order = __atomic_load_n(&dump->order, __ATOMIC_ACQUIRE);

	if (order == NPF_ORDER_HOLD)
		return NPF_WAIT_FOR_EVER;
	if (order == NPF_ORDER_QUIT)
		return NPF_WORKER_DONE;

	bool gone = host->nic->gone(dump->nic);

	dump->order_seen = order;
	follow_clock(dump);
	dump->now = host->system->now(dump->host) + dump->offset;
	if (order == NPF_ORDER_STOP || gone)
		stop_storing(dump);

	struct npf_stream_mark end = dump->closed
					     ? dump->final
					     : npf_stream_end(&dump->instance->view, dump->head);

	/* Every record below the end was stamped before this, and every later one after dump->now. */
	dump->later = host->system->now(dump->host) + dump->offset;
	if (!npf_stream_settled(&dump->instance->view))
		return dump->now - dump->offset + SOON;
	note_fill(dump, end.position);

	enum npf_dump_end over = npf_save_current_buffer(dump, &end);

	/* A CPU that was in the tap when the end was looked at has stored behind it, and was not
	 * there one such step before. */
	dump->offset_before = dump->offset_most;
	dump->offset_most = dump->offset;
	if (!over && gone)
		over = NPF_DUMP_GONE;
	if (!over && order >= NPF_ORDER_CUT)
		over = NPF_DUMP_STOPPED;
	if (over)
		return end_dump(dump, over, order == NPF_ORDER_CUT && over == NPF_DUMP_STOPPED);
	if (order == NPF_ORDER_ROTATE)
		rotate(dump);

	uint64_t due = dump->error ? 0 : come_back(dump);

	return due ? due : end_dump(dump, npf_dump_failure(dump), false);
}
