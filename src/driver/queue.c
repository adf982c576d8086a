/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of frames (manual: NPF_BufferedWrite, NPF_WaitEndOfBufferedWrite; BIOCSENDPACKETSNOSYNC and
 * BIOCSENDPACKETSSYNC). The whole queue is checked before its first frame goes, so that a malformed
 * one is refused with nothing sent; then it is walked once more, a window of frames at a time.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"

#define HEADER NPF_SF_PKTHDR_SIZE

/* Frames that are looked up at once: as many as the host likes to take together, but no more than
 * the shortest gaps of a paced queue leave time for. */
#define WINDOW       4096u
#define WINDOW_PACED 64u

#define US_PER_S 1000000

struct queue {
	const uint8_t *data;
	size_t size; /* bytes to go out */
	size_t at;   /* bytes whose frames went, a record's border */
	size_t n;    /* records to go out */
	size_t sent; /* records that went */
	bool sync;
	uint64_t start;  /* when the first record is due, ns */
	uint64_t latest; /* when any record so far is, ns */
	int64_t first;   /* time stamp of the first record, us */
};

static struct npf_sf_pkthdr header_at(const struct queue *queue, size_t at)
{
	struct npf_sf_pkthdr header;

	memcpy(&header, queue->data + at, sizeof(header));
	return header;
}

/* Whatever tv_usec holds, as one number. */
static int64_t stamp_us(const struct npf_sf_pkthdr *header)
{
	return (int64_t)header->tv_sec * US_PER_S + header->tv_usec;
}

static int64_t whole_seconds(int64_t us)
{
	return us / US_PER_S - (us % US_PER_S < 0);
}

/* ---- checking ------------------------------------------------------------------------------- */

/* "record 3 at byte 160" */
static void name_record(char name[NPF_TEXT_SIZE], size_t number, size_t at)
{
	struct npf_text text;

	npf_text_init(&text, name, NPF_TEXT_SIZE);
	npf_text_add(&text, "record ");
	npf_text_add_unsigned(&text, number);
	npf_text_add(&text, " at byte ");
	npf_text_add_unsigned(&text, at);
}

static int malformed(struct npf_instance *instance, const char *name, const char *problem,
		     size_t left)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, name);
	npf_text_add(&text, problem);
	npf_text_add_unsigned(&text, left);
	npf_text_add(&text, " bytes are left of the queue; nothing was sent");
	return npf_fail(instance, -EINVAL, sentence);
}

/* *size: what the record takes, header included. */
static int check_record(struct npf_instance *instance, const struct queue *queue, size_t at,
			size_t number, size_t *size)
{
	const struct npf_sending *sending = &instance->sending;
	size_t left = queue->size - at;
	char name[NPF_TEXT_SIZE];

	if (left < HEADER) {
		name_record(name, number, at);
		return malformed(instance, name, " has no whole header: ", left);
	}

	uint32_t caplen = header_at(queue, at).caplen;

	*size = HEADER + (size_t)caplen;
	if (caplen <= left - HEADER && caplen >= sending->min_frame &&
	    caplen <= sending->max_untagged)
		return 0;
	name_record(name, number, at);
	if (caplen > left - HEADER)
		return malformed(instance, name, " is longer than the queue: behind its header ",
				 left - HEADER);
	return npf_check_frame(instance, queue->data + at + HEADER, caplen, name);
}

/* Of all records, those behind the span of a paced call included. */
static int check_queue(struct npf_instance *instance, struct queue *queue)
{
	size_t size = 0;
	int err = 0;

	for (size_t at = 0; at < queue->size && !err; at += size)
		err = check_record(instance, queue, at, ++queue->n, &size);
	return err;
}

/* A paced call ends before the first record whose whole seconds are more than one past those of the
 * first record. */
static void cut_to_span(struct queue *queue)
{
	int64_t from = whole_seconds(queue->first);
	size_t n = 0;

	for (size_t at = 0; at < queue->size; n++) {
		struct npf_sf_pkthdr header = header_at(queue, at);

		if (whole_seconds(stamp_us(&header)) - from > 1) {
			queue->size = at;
			queue->n = n;
			return;
		}
		at += HEADER + header.caplen;
	}
}

/* ---- sending -------------------------------------------------------------------------------- */

/* A record whose time lies before its predecessor's goes with it. */
static uint64_t due(struct queue *queue, const struct npf_sf_pkthdr *header)
{
	int64_t behind = stamp_us(header) - queue->first;
	uint64_t at = queue->start + (behind > 0 ? (uint64_t)behind * NPF_NS_PER_US : 0);

	if (!queue->sync)
		return 0;
	if (at > queue->latest)
		queue->latest = at;
	return queue->latest;
}

/* The next frames that have not gone; how many. */
static size_t fill_window(struct queue *queue, struct npf_send_frame *frames, size_t most)
{
	size_t at = queue->at, n = 0;

	while (at < queue->size && n < most) {
		struct npf_sf_pkthdr header = header_at(queue, at);

		frames[n++] = (struct npf_send_frame){
			.data = queue->data + at + HEADER,
			.size = header.caplen,
			.at = due(queue, &header),
		};
		at += HEADER + header.caplen;
	}
	return n;
}

static int send_window(struct npf_instance *instance, struct queue *queue,
		       struct npf_send_frame *frames, size_t most)
{
	struct npf_job job = { .frames = frames, .n = fill_window(queue, frames, most) };
	int err = npf_work_off(instance, &job);

	for (size_t i = 0; i < job.sent; i++)
		queue->at += HEADER + frames[i].size;
	queue->sent += job.sent;
	return err;
}

static int send_all(struct npf_instance *instance, struct queue *queue)
{
	size_t most = queue->sync ? WINDOW_PACED : WINDOW;
	struct npf_send_frame *frames = npf_alloc(instance->host, most * sizeof(*frames));
	int err = 0;

	if (!frames)
		return npf_fail_host(instance, -ENOMEM, "sending a queue failed");
	npf_count_asked(instance, queue->n);
	queue->start = npf_now(instance);
	while (queue->at < queue->size && !err)
		err = send_window(instance, queue, frames, most);
	npf_free(instance->host, frames, most * sizeof(*frames));
	/* What does not leave in time is told by npf_get_send_stats(); a stop to who has the rest. */
	if (!err && npf_drain(instance, NPF_DRAIN_NS) == -EINTR)
		err = -EINTR;

	struct npf_job whole = { .n = queue->n, .sent = queue->sent };

	return npf_end_job(instance, &whole, err);
}

/* Part of it went, so the count is what the caller gets. He may come at once with the rest, and then
 * shall hear of the stop; he, and no other writer. */
static void keep_rest(struct npf_sending *sending, const struct queue *queue, size_t size)
{
	sending->rest = (struct npf_rest){ queue->data + queue->at, size - queue->at };
}

static bool is_stopped_rest(struct npf_sending *sending, const struct queue *queue)
{
	const struct npf_rest *rest = &sending->rest;

	if (!rest->data || rest->data != queue->data || rest->size != queue->size)
		return false;
	npf_forget_rest(sending);
	return true;
}

static int wait_for_rest(struct npf_instance *instance, const struct queue *rest, uint64_t time)
{
	int err = npf_start_sending(instance);
	bool is_stopped;

	if (err)
		return err;
	is_stopped = is_stopped_rest(&instance->sending, rest);
	npf_finish_sending(instance);
	if (!is_stopped)
		err = npf_sleep_until_due(instance, time);
	if (is_stopped || err == -EINTR)
		return npf_fail(instance, -EINTR, "the wait for the next record was stopped");
	return err ? npf_fail_host(instance, err, "the wait for the next record ended") : 0;
}

int npf_wait_for_rest(struct npf_instance *instance, const void *data, size_t size, uint64_t time)
{
	const struct queue rest = { .data = data, .size = size };
	int err = npf_enter(instance);

	if (err)
		return err;
	err = wait_for_rest(instance, &rest, time);
	npf_stop_using_open_instance(instance);
	return err;
}

static int send_queue(struct npf_instance *instance, struct queue *queue)
{
	int err = check_queue(instance, queue);

	if (err || !queue->size)
		return err;
	if (is_stopped_rest(&instance->sending, queue)) {
		struct npf_job none = { .n = queue->n };

		npf_count_asked(instance, queue->n);
		return npf_end_job(instance, &none, -EINTR);
	}
	if (queue->sync) {
		struct npf_sf_pkthdr first = header_at(queue, 0);

		queue->first = stamp_us(&first);
		cut_to_span(queue);
	}
	return send_all(instance, queue);
}

int64_t npf_write_queue(struct npf_instance *instance, const void *data, size_t size, bool sync)
{
	struct queue queue = { .data = data, .size = data ? size : 0, .sync = sync };
	int err = npf_start_sending(instance);

	if (err)
		return err;
	npf_renew_limits(instance);
	err = send_queue(instance, &queue);
	if (err == -EINTR && queue.at)
		keep_rest(&instance->sending, &queue, size);
	/* The error of an earlier call would look like this one's. */
	if (!err && queue.at < size)
		npf_fail(instance, 0, "");
	npf_finish_sending(instance);
	return err && !queue.at ? err : (int64_t)queue.at;
}

int64_t npf_buffered_write(struct npf_instance *instance, const void *queue, size_t size, bool sync)
{
	int err = npf_enter(instance);

	if (err)
		return err;

	int64_t n = npf_write_queue(instance, queue, size, sync);

	npf_stop_using_open_instance(instance);
	return n;
}
