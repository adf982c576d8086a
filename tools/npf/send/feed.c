/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From files to batches. Reading ahead, two batches go round between the reading thread and the
 * sender; each side waits on a semaphore for the other's. Kept in memory, there are as many batches
 * as it takes, and one more whose frames point into them, so that many short passes go out as few
 * long batches.
 */
#include "feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ui/signals.h"
#include "ui/terminal.h"
#include "tool.h"

#define ALIGN 8u /* of a frame in its batch */
/* Passes through files that are smaller together read them once. */
#define KEEP_BYTES (64u << 20)

#define RAW_IP   101u
#define RAW_IPV4 228u
#define RAW_IPV6 229u

/* ---- batches --------------------------------------------------------------------------------- */

static void free_batch(struct npf_batch *batch)
{
	if (!batch)
		return;
	free(batch->frames);
	free(batch->times);
	free(batch->bytes);
	free(batch);
}

static struct npf_batch *new_batch(void)
{
	struct npf_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return NULL;
	batch->frames = malloc(NPF_BATCH_FRAMES * sizeof(*batch->frames));
	batch->times = malloc(NPF_BATCH_FRAMES * sizeof(*batch->times));
	batch->bytes = malloc(NPF_BATCH_BYTES);
	if (batch->frames && batch->times && batch->bytes)
		return batch;
	free_batch(batch);
	return NULL;
}

static int out_of_memory(struct npf_feed *feed)
{
	snprintf(feed->error, sizeof(feed->error), "out of memory");
	return -ENOMEM;
}

/* One more batch, to be filled now. */
static int add_batch(struct npf_feed *feed)
{
	struct npf_batch *batch = new_batch();

	if (!batch)
		return out_of_memory(feed);
	if (feed->current)
		feed->current->next = batch;
	else
		feed->batches = batch;
	feed->current = batch;
	return 0;
}

static bool has_room(const struct npf_batch *batch, uint32_t size)
{
	return batch->n < NPF_BATCH_FRAMES && size <= NPF_BATCH_BYTES - batch->used;
}

static void put_packet(struct npf_batch *batch, const struct npf_packet *packet, uint64_t time)
{
	uint8_t *at = batch->bytes + batch->used;
	size_t used = batch->used + ((packet->caplen + (ALIGN - 1)) & ~(size_t)(ALIGN - 1));

	memcpy(at, packet->data, packet->caplen);
	batch->frames[batch->n] = (struct npf_send_frame){ .data = at, .size = packet->caplen };
	batch->times[batch->n++] = time;
	batch->used = used < NPF_BATCH_BYTES ? used : NPF_BATCH_BYTES;
}

/* ---- semaphores ------------------------------------------------------------------------------ */

static void post(int fd)
{
	const uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one)); /* counts to two: never full */
}

static void take(int fd)
{
	uint64_t one;

	while (read(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* ---- handing over ---------------------------------------------------------------------------- */

static double share_done(const struct npf_feed *feed)
{
	const struct npf_feed_options *options = &feed->options;
	double files = (double)feed->file;

	if (options->limit != UINT64_MAX)
		return (double)feed->taken / (double)options->limit;
	if (options->loops == UINT64_MAX)
		return -1;
	if (feed->trace.open && !feed->trace.source.size)
		return -1;
	if (feed->trace.open)
		files += (double)feed->trace.source.done / (double)feed->trace.source.size;
	return ((double)feed->pass + files / (double)options->n_files) / (double)options->loops;
}

static void publish(struct npf_feed *feed)
{
	feed->current->done = share_done(feed);
	atomic_fetch_add(&feed->published, 1);
	post(feed->full_fd);
}

/* Hand the batch over, and go on with the other once the sender is done with it. */
static void hand_over(struct npf_feed *feed)
{
	if (!feed->current->n)
		return;
	publish(feed);
	feed->current = feed->current->next;
	take(feed->empty_fd);
	feed->current->n = feed->current->used = 0;
}

/* A pipe holds nothing now: the sender gets what there is. */
static void on_idle(void *data)
{
	hand_over(data);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int make_room(struct npf_feed *feed, uint32_t size)
{
	if (has_room(feed->current, size))
		return 0;
	if (!feed->threaded)
		return add_batch(feed);
	hand_over(feed);
	return 0;
}

static bool belongs(const struct npf_feed_options *options, uint32_t link_type)
{
	if (options->adapter->link_type == link_type || options->force)
		return true;
	return options->adapter->link_type == RAW_IP &&
	       (link_type == RAW_IPV4 || link_type == RAW_IPV6);
}

/* Shall it be sent? The counts say why not. */
static bool is_wanted(struct npf_feed *feed, const struct npf_packet *packet)
{
	const struct npf_feed_options *options = &feed->options;
	uint64_t *reason = NULL;

	if (!belongs(options, feed->trace.of_packet))
		reason = &feed->counts.other_link;
	else if (packet->caplen < packet->len && !options->cut)
		reason = &feed->counts.cut;
	else if (packet->caplen > npf_longest_frame(options->adapter, packet->data, packet->caplen))
		reason = &feed->counts.longer;
	else if (packet->caplen < options->adapter->min_frame)
		reason = &feed->counts.shorter;
	if (reason)
		++*reason;
	return !reason;
}

/* When the next packet is due. One without a time goes with the one before it, or when its pass begins;
 * then the pass counts its time from the first that has one. */
static uint64_t due(struct npf_schedule *schedule, uint64_t time, uint32_t size)
{
	bool first = !schedule->taken;
	uint64_t at;

	if (time != NPF_NO_TIME)
		return npf_schedule_next(schedule, time, size);
	at = npf_schedule_next(schedule, schedule->last, size);
	if (first)
		schedule->taken = 0;
	return at;
}

/* One that is later than can be told is still one. */
static uint64_t time_of(const struct npf_feed *feed, const struct npf_packet *packet)
{
	if (feed->trace.timeless)
		return NPF_NO_TIME;
	return packet->time == NPF_NO_TIME ? NPF_NO_TIME - 1 : packet->time;
}

static int take_packet(struct npf_feed *feed, const struct npf_packet *packet)
{
	uint64_t time = time_of(feed, packet);
	int err;

	if (!is_wanted(feed, packet))
		return 0;
	err = make_room(feed, packet->caplen);
	if (err)
		return err;
	put_packet(feed->current, packet, time);
	if (feed->threaded)
		feed->current->frames[feed->current->n - 1].at = due(&feed->schedule, time,
								     packet->caplen);
	feed->taken++;
	return 0;
}

static bool shall_stop(const struct npf_feed *feed)
{
	return atomic_load(&feed->stopped) || npf_signals_stopped() ||
	       feed->taken >= feed->options.limit;
}

static int read_packets(struct npf_feed *feed)
{
	struct npf_packet packet;
	int result = 0;

	while (!shall_stop(feed)) {
		result = npf_trace_next(&feed->trace, &packet, feed->error);
		if (result == 1)
			result = take_packet(feed, &packet);
		else if (!result)
			break;
		if (result)
			break;
	}
	return result;
}

/* A filter that makes no sense for packets that are left out anyway ends nothing. */
static bool shall_judge(void *data, uint32_t link_type)
{
	const struct npf_feed *feed = data;

	return belongs(&feed->options, link_type);
}

static int open_file(struct npf_feed *feed)
{
	const struct npf_feed_options *options = &feed->options;
	const char *name = options->files[feed->file];
	int err = npf_trace_open(&feed->trace, name, options->expression, feed->error);

	if (err || belongs(options, feed->trace.link_type))
		return err;
	npf_link_mismatch(feed->error, name, feed->trace.link_type, options->adapter->link_type);
	npf_trace_close(&feed->trace);
	return -EINVAL;
}

static int read_file(struct npf_feed *feed)
{
	const char *name = feed->options.files[feed->file];
	char why[NPF_ERROR_SIZE], shown[NPF_PATH_SHOWN];
	int err = open_file(feed);

	if (err)
		return err;
	err = read_packets(feed);
	feed->counts.filtered += feed->trace.filtered;
	npf_trace_close(&feed->trace);
	if (!err)
		return 0;
	memcpy(why, feed->error, sizeof(why));
	snprintf(feed->error, sizeof(feed->error), "%s: %.150s", npf_short_path(shown, name), why);
	return err;
}

/* ---- a thread that reads ahead --------------------------------------------------------------- */

static int read_pass(struct npf_feed *feed)
{
	uint64_t before = feed->taken;
	int err = 0;

	for (feed->file = 0; !err && feed->file < feed->options.n_files && !shall_stop(feed);
	     feed->file++) {
		err = read_file(feed);
		npf_schedule_pass(&feed->schedule);
	}
	if (feed->taken == before)
		feed->options.loops = feed->pass + 1; /* another one would not help */
	feed->pass++;
	return err;
}

static void *read_ahead(void *data)
{
	struct npf_feed *feed = data;

	while (!feed->err && feed->pass < feed->options.loops && !shall_stop(feed))
		feed->err = read_pass(feed);
	feed->file = 0;
	if (feed->current->n)
		publish(feed);
	post(feed->full_fd); /* without a batch: the end */
	return NULL;
}

static int wait_for(struct npf_feed *feed, int fd)
{
	struct epoll_event readable = { .events = EPOLLIN };

	return fd >= 0 && epoll_ctl(feed->wait_fd, EPOLL_CTL_ADD, fd, &readable);
}

static bool is_readable(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	return poll(&readable, 1, 0) == 1;
}

static int start_thread(struct npf_feed *feed)
{
	int err = add_batch(feed);

	if (!err)
		err = add_batch(feed);
	if (err)
		return err;
	feed->full_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	feed->empty_fd = eventfd(1, EFD_CLOEXEC | EFD_SEMAPHORE);
	feed->stop_fd = eventfd(0, EFD_CLOEXEC);
	feed->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (feed->full_fd < 0 || feed->empty_fd < 0 || feed->stop_fd < 0 ||
	    wait_for(feed, feed->full_fd) || wait_for(feed, feed->options.ended_fd))
		return out_of_memory(feed);
	feed->trace.stop_fd = feed->stop_fd;
	feed->trace.idle = on_idle;
	feed->batches->next->next = feed->batches;
	feed->current = feed->batches;
	feed->threaded = true;
	if (!pthread_create(&feed->thread, NULL, read_ahead, feed))
		return 0;
	feed->threaded = false;
	feed->batches->next->next = NULL;
	return out_of_memory(feed);
}

static int next_read(struct npf_feed *feed, struct npf_batch **batch)
{
	if (feed->sending)
		post(feed->empty_fd);
	if (!npf_signals_wait(feed->wait_fd, UINT64_MAX))
		return -EINTR;
	if (!is_readable(feed->full_fd))
		return -ENODEV;
	take(feed->full_fd);
	if (feed->received == atomic_load(&feed->published))
		return feed->err;
	feed->received++;
	feed->sending = feed->sending ? feed->sending->next : feed->batches;
	*batch = feed->sending;
	return 0;
}

/* ---- all in memory --------------------------------------------------------------------------- */

static int keep_file(struct npf_feed *feed)
{
	int err = add_batch(feed);

	if (err)
		return err;
	err = read_file(feed);
	feed->current->ends_file = true;
	return err;
}

/* What ends waiting for a pipe: a signal, or the adapter's end. */
static int watch_ends(struct npf_feed *feed)
{
	feed->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (feed->wait_fd < 0 || wait_for(feed, npf_signals_fd()) ||
	    wait_for(feed, feed->options.ended_fd))
		return out_of_memory(feed);
	feed->trace.stop_fd = feed->wait_fd;
	return 0;
}

/* What stands before a damaged place is sent once, and then the damage told. */
static int keep_all(struct npf_feed *feed)
{
	struct npf_batch *out;
	int err = watch_ends(feed);

	if (err)
		return err;
	for (; !feed->err && feed->file < feed->options.n_files && !shall_stop(feed); feed->file++)
		feed->err = keep_file(feed);
	if (feed->err == -EINTR) /* npf_feed_next() tells what came */
		feed->err = 0;
	if (feed->err && feed->err != -EBADMSG)
		return feed->err;
	feed->kept = feed->taken;
	feed->skipped = feed->counts;
	feed->taken = 0;
	if (feed->err)
		feed->options.loops = 1;
	out = new_batch();
	if (!out)
		return out_of_memory(feed);
	feed->sending = out;
	feed->from = feed->batches;
	return 0;
}

static void next_kept(struct npf_feed *feed)
{
	feed->from_frame = 0;
	if (feed->from->ends_file)
		npf_schedule_pass(&feed->schedule);
	feed->from = feed->from->next;
	if (feed->from)
		return;
	feed->from = feed->batches;
	feed->pass++;
}

static void copy_kept(struct npf_feed *feed, struct npf_batch *out)
{
	const struct npf_batch *from = feed->from;
	size_t i = feed->from_frame;

	for (; i < from->n && out->n < NPF_BATCH_FRAMES && feed->taken < feed->options.limit; i++) {
		struct npf_send_frame *frame = &out->frames[out->n++];

		*frame = from->frames[i];
		frame->at = due(&feed->schedule, from->times[i], (uint32_t)frame->size);
		feed->taken++;
	}
	feed->from_frame = i;
}

/* What every pass leaves out; reading has counted that of the first. */
static void count_skipped(struct npf_feed *feed)
{
	const struct npf_feed_counts *skipped = &feed->skipped;
	bool begins = feed->from == feed->batches && !feed->from_frame;

	if (!feed->pass || !begins)
		return;
	feed->counts.filtered += skipped->filtered;
	feed->counts.other_link += skipped->other_link;
	feed->counts.cut += skipped->cut;
	feed->counts.longer += skipped->longer;
	feed->counts.shorter += skipped->shorter;
}

static double share_sent(const struct npf_feed *feed)
{
	if (feed->options.limit != UINT64_MAX)
		return (double)feed->taken / (double)feed->options.limit;
	if (feed->options.loops == UINT64_MAX)
		return -1;
	return (double)feed->taken / (double)feed->kept / (double)feed->options.loops;
}

static int next_from_memory(struct npf_feed *feed, struct npf_batch **batch)
{
	struct npf_batch *out = feed->sending;

	out->n = 0;
	while (feed->kept && out->n < NPF_BATCH_FRAMES && feed->pass < feed->options.loops &&
	       feed->taken < feed->options.limit) {
		count_skipped(feed);
		copy_kept(feed, out);
		if (feed->from_frame == feed->from->n)
			next_kept(feed);
	}
	if (npf_signals_stopped())
		return -EINTR;
	if (!feed->kept && is_readable(feed->wait_fd))
		return -ENODEV;
	if (!out->n)
		return feed->err;
	out->done = share_sent(feed);
	*batch = out;
	return 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Bytes of a regular file, -1 for what can be read only once; 0 where opening it tells what is wrong. */
static int64_t file_size(const char *name)
{
	struct stat status;
	int err = strcmp(name, "-") ? stat(name, &status) : fstat(STDIN_FILENO, &status);

	if (err || S_ISDIR(status.st_mode))
		return 0;
	return S_ISREG(status.st_mode) && strcmp(name, "-") ? (int64_t)status.st_size : -1;
}

/* Errors in any file come before the first packet goes; *total is the size of all. */
static int check_files(struct npf_feed *feed, uint64_t *total)
{
	int err = 0;

	*total = 0;
	for (feed->file = 0; !err && feed->file < feed->options.n_files; feed->file++) {
		int64_t size = file_size(feed->options.files[feed->file]);

		if (size < 0) {
			*total = UINT64_MAX;
			continue;
		}
		if (*total != UINT64_MAX)
			*total += (uint64_t)size;
		err = open_file(feed);
		if (!err)
			npf_trace_close(&feed->trace);
	}
	feed->file = 0;
	return err;
}

int npf_feed_open(struct npf_feed *feed, const struct npf_feed_options *options)
{
	uint64_t total;
	int err;

	memset(feed, 0, sizeof(*feed));
	feed->options = *options;
	feed->full_fd = feed->empty_fd = feed->stop_fd = feed->trace.stop_fd = -1;
	feed->wait_fd = -1;
	feed->trace.judges = shall_judge;
	feed->trace.data = feed;
	npf_schedule_init(&feed->schedule, options->pace);
	err = check_files(feed, &total);
	if (err)
		return err;
	if (options->preload || (options->loops > 1 && total <= KEEP_BYTES))
		return keep_all(feed);
	if (options->loops == 1 || total != UINT64_MAX)
		return start_thread(feed);
	snprintf(feed->error, sizeof(feed->error),
		 "a pipe can be read only once; --preload keeps it in memory for --loop");
	return -EINVAL;
}

int npf_feed_next(struct npf_feed *feed, struct npf_batch **batch)
{
	*batch = NULL;
	return feed->threaded ? next_read(feed, batch) : next_from_memory(feed, batch);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void free_batches(struct npf_feed *feed)
{
	struct npf_batch *batch = feed->batches, *next;

	if (feed->threaded)
		feed->batches->next->next = NULL;
	else
		free_batch(feed->sending);
	for (; batch; batch = next) {
		next = batch->next;
		free_batch(batch);
	}
	feed->batches = feed->current = feed->sending = NULL;
}

void npf_feed_close(struct npf_feed *feed)
{
	if (feed->threaded) {
		atomic_store(&feed->stopped, true);
		post(feed->stop_fd);
		post(feed->empty_fd);
		pthread_join(feed->thread, NULL);
	}
	free_batches(feed);
	close_fd(&feed->full_fd);
	close_fd(&feed->empty_fd);
	close_fd(&feed->wait_fd);
	close_fd(&feed->stop_fd);
}
