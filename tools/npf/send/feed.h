/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of files, brought into batches that npf_send_frames() takes: read ahead by a thread of
 * its own while the batch before is being sent, or all of them before the first is sent.
 */
#ifndef NPF_FEED_H
#define NPF_FEED_H

#include <pthread.h>
#include <stdatomic.h>

#include "npf/npf.h"
#include "pace.h"
#include "ui/trace.h"

#define NPF_BATCH_FRAMES 16384u
#define NPF_BATCH_BYTES  (4u << 20)
#define NPF_NO_TIME      UINT64_MAX

struct npf_feed_options {
	char *const *files;
	size_t n_files;
	const char *expression; /* "" all packets */
	struct npf_pace pace;
	uint64_t loops; /* passes through all files; UINT64_MAX without end */
	uint64_t limit; /* packets in all; UINT64_MAX without */
	bool preload;
	bool cut;   /* packets that the capture cut go as they are */
	bool force; /* whatever the link type */
	const struct npf_adapter *adapter;
	int ended_fd; /* readable when no packets are wanted any more, -1 none */
};

/* Packets that are not sent, and why, of all passes. One through what is kept in memory counts as a
 * whole once it has begun. */
struct npf_feed_counts {
	uint64_t filtered;
	uint64_t other_link; /* type than the adapter's */
	uint64_t cut;
	uint64_t longer, shorter; /* than the adapter takes */
};

/* Frames one after the other; at is relative to the start of all, 0 for the topmost speed. */
struct npf_batch {
	struct npf_send_frame *frames;
	uint64_t *times; /* of the recording, or NPF_NO_TIME */
	uint8_t *bytes;
	size_t n, used;
	bool ends_file;
	double done; /* share of everything that is over with this batch; negative: not known */
	struct npf_batch *next;
};

struct npf_feed {
	struct npf_feed_options options;
	struct npf_schedule schedule;
	struct npf_feed_counts counts;
	struct npf_trace trace;
	struct npf_batch *batches, *current; /* all there are, and the one being filled */
	uint64_t taken;                      /* packets put into batches, or with preload sent */
	uint64_t pass;                       /* rounds done */
	size_t file;                         /* being read */
	int err;                             /* how reading ended */
	char error[NPF_ERROR_SIZE];
	struct npf_batch *sending; /* what npf_feed_next() handed out last */
	/* Read ahead: two batches go round, the semaphores count the full and the empty ones. */
	bool threaded;
	pthread_t thread;
	int full_fd, empty_fd, stop_fd;
	int wait_fd;                    /* epoll: full_fd, or ended_fd */
	atomic_uint_fast64_t published; /* batches */
	uint64_t received;
	atomic_bool stopped;
	/* Kept in memory: the batches hold one pass. */
	struct npf_batch *from; /* where to go on */
	size_t from_frame;
	uint64_t kept;                  /* packets of a pass */
	struct npf_feed_counts skipped; /* of a pass */
};

/* Check that the files can be opened and belong to this link; read them with preload, or begin to.
 * Negative errno with a sentence in feed->error; -EINVAL is a mistake of who asked. */
int npf_feed_open(struct npf_feed *feed, const struct npf_feed_options *options);
/*
 * The next batch, the caller's until the next call: it makes the times absolute. NULL at the end:
 * 0 all was read, -EINTR a signal came, -ENODEV ended_fd did while the input was waited for, or what ended reading early, with a sentence in
 * feed->error. What was read before an error is handed out before it.
 */
int npf_feed_next(struct npf_feed *feed, struct npf_batch **batch);
/* Ends reading; counts and schedule are final then. Frees nothing else that is looked at. */
void npf_feed_close(struct npf_feed *feed);

#endif
