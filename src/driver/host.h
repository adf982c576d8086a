/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port: everything the driver needs from what it runs on, as NDIS and the operating system
 * were for the original. Two hosts implement it: host/linux and host/sim.
 *
 * Rules for all operations: pointers are not NULL unless said; results are 0 or a negative errno
 * value; on failure nothing changed. Nothing here is called between wire and ring.
 */
#ifndef NPF_HOST_H
#define NPF_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/ring.h"
#include "filter/sets.h"
#include "npf/npf.h"

struct npf_nic; /* one binding to one adapter; each host has its own */

/* The programs a tap runs. Immutable; the driver owns it and keeps it until the host has let go. */
struct npf_filter_set {
	const struct npf_program *filter; /* NULL accepts all */
	uint32_t n_classes;
	const struct npf_program *classes[NPF_MAX_CLASSES]; /* length 0 accepts all */
	const struct npf_match *match; /* what a packet must be in besides; NULL nothing */
};

struct npf_system_ops {
	/* Zeroed memory on a cache-line boundary, NULL when short. free takes NULL. */
	void *(*alloc)(struct npf_host *host, size_t size);
	void (*free)(struct npf_host *host, void *memory, size_t size);

	/* ns. now is monotonic and is the clock of the tap's records; wall counts since 1970. */
	uint64_t (*now)(struct npf_host *host);
	uint64_t (*wall)(struct npf_host *host);

	/* Sleep while *word == value (may return early); wake all who sleep on word. unpark is
	 * async-signal-safe. */
	void (*park)(struct npf_host *host, uint32_t *word, uint32_t value);
	void (*unpark)(struct npf_host *host, uint32_t *word);
	/* Sleep until now() has reached time, and as much longer as the host's timers are late, or
	 * *word is not value any more (may return early otherwise, too). */
	void (*sleep_until)(struct npf_host *host, uint64_t time, uint32_t *word, uint32_t value);

	/* No process is forked in between, but by the thread itself. NULL: none ever is. */
	void (*hold_forks)(struct npf_host *host);
	void (*let_forks)(struct npf_host *host);
};

struct npf_adapter_ops {
	/* Call each for every adapter, ordered by index; stop when it returns not 0 and return
	 * that. The adapter is valid during the call. */
	int (*list)(struct npf_host *host,
		    int (*each)(void *arg, const struct npf_adapter *adapter), void *arg);
	/* Readable after the list changed, until the next list(). -1: none. */
	int (*fd)(struct npf_host *host);
};

#define NPF_WAIT_FOR_EVER UINT64_MAX

/* What is to be sent by one call of transmit. */
struct npf_transmission {
	const struct npf_send_frame *frames; /* their times are not looked at */
	size_t n;                            /* at least 1 */
	bool repeat;             /* n copies of the first frame, which is all there is */
	bool begins;             /* the first of a call: what was known of captures is old */
	enum npf_send_path path; /* AUTO: the host chooses by the loopback rule of npf.h */
	enum npf_send_path used; /* out: the one that was tried */
	bool full;   /* out: part went, and the queue is full; the next call had better wait */
	bool waited; /* out: for room, before the last frame went */
};

/* The adapter's own counters of what it sends, whoever had it sent. */
struct npf_sent_counters {
	uint64_t packets;
	uint64_t dropped; /* errors included */
	/* Where it may lose frames that it has taken, without a word: each of the two counts all of
	 * these, and other things besides. */
	uint64_t lost[2];
	uint64_t told;     /* counted in both, and whoever sent them was told: they never went */
	uint64_t sure;     /* frames of this binding that are not among these: it knows of each */
	uint64_t waiting;  /* frames of this binding that have not come to it, at most */
	uint64_t again;    /* of dropped: refused, and who sent them was told; read behind it */
	uint64_t trailing; /* frames of this binding that it counts when their receiver takes them */
};

struct npf_nic_ops {
	/* Bind to an adapter (NdisOpenAdapter). Nothing is tapped before the first set_ring(); with
	 * NPF_HOOK_NONE nothing ever will be. error: a sentence on failure, NPF_ERROR_SIZE bytes.
	 * -ENODEV, -EPERM, -ENOTSUP, -ENOMEM; the first set_ring() answers the same. */
	int (*open)(struct npf_host *host, const char *name, enum npf_hook hook,
		    struct npf_nic **nic, char *error);
	/* Stop tapping, free the ring, unbind. */
	void (*close)(struct npf_nic *nic);

	/* Known once there is a ring. */
	enum npf_hook (*hook)(struct npf_nic *nic);
	/* CPUs the tap may run on, numbered from 0. */
	uint32_t (*cpus)(struct npf_nic *nic);
	/* The adapter as it is now. -ENODEV: gone, adapter holds the last known state. */
	int (*info)(struct npf_nic *nic, struct npf_adapter *adapter);
	/* Its MTU as it is now, cheap; 0: not known. Not beside transmit. */
	uint32_t (*mtu)(struct npf_nic *nic);
	/* Cheap, any thread: has the adapter gone? */
	bool (*gone)(struct npf_nic *nic);

	/* Put a new, empty ring under the tap and free the old one. Its npf_config is zero:
	 * nothing is accepted until the driver writes it. view lives until the next success. The
	 * records of the old one can be read until let_go(), also when others follow meanwhile. */
	int (*set_ring)(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
			struct npf_ring_view *view, char *error);
	void (*let_go)(struct npf_nic *nic);
	/* Swap the programs. After it returns 0 no CPU runs the old ones. */
	int (*set_filters)(struct npf_nic *nic, const struct npf_filter_set *filters, char *error);

	/* NPF_FILTER_* bits: what the adapter shall hand up. */
	int (*set_hw_filter)(struct npf_nic *nic, uint32_t bits);
	/* Hide this instance's own sends from its tap, or show them. On success *hidden is what
	 * npf_config.hidden must hold (0 where the host arranges it by itself). */
	int (*hide_own)(struct npf_nic *nic, bool hide, uint64_t *hidden);
	/* Frames lost before the tap since open, monotonic. All that arrived before the call is in
	 * the tap's counters after it. */
	uint64_t (*lost)(struct npf_nic *nic);

	/* Send from the first frame on, in order, for some milliseconds at most. How many went, at
	 * least 1; or, none went, a negative errno: -ENETDOWN, -ENODEV, -EMSGSIZE and -EINVAL for
	 * the first frame, -ENOBUFS the queue is full at the moment, what the device answers. One
	 * call at a time. */
	int64_t (*transmit)(struct npf_nic *nic, struct npf_transmission *what);
	/* Wait for a frame's time as system->sleep_until() does, but end to well below a microsecond
	 * at it, with what the frame will go through still warm. Not beside transmit. */
	void (*await)(struct npf_nic *nic, uint64_t time, uint32_t *word, uint32_t value);
	/* Bytes of frames that went and have not left the adapter's queue yet. */
	uint64_t (*unsent)(struct npf_nic *nic);
	/* -ENODEV: gone. Once gone() has said so, what was counted last where that is known; then
	 * -ENODEV is for good. May run beside transmit. */
	int (*sent)(struct npf_nic *nic, struct npf_sent_counters *counters);
	/* npf_check_send_path(), and -EAGAIN, with a sentence, too: another has what it takes, or is
	 * letting go of it. Not beside transmit. */
	int (*check_path)(struct npf_nic *nic, enum npf_send_path path, char *reason);

	/* Readiness: one level, raised by the tap (npf_env_wake), its flush timer, set(), timer(),
	 * and the adapter's end; lowered by clear() only, and not any more after that end.
	 * wait: until raised or deadline (ns of now()); 0 raised, -ETIMEDOUT. */
	int (*fd)(struct npf_nic *nic); /* readable while raised; -1 none */
	int (*wait)(struct npf_nic *nic, uint64_t deadline);
	void (*set)(struct npf_nic *nic); /* async-signal-safe, any thread */
	void (*clear)(struct npf_nic *nic);
	void (*timer)(struct npf_nic *nic, uint64_t at); /* raise at that time; 0 cancels */
	/* Report readiness to a poller of the caller's as well. -EBADF, -EINVAL. */
	int (*join)(struct npf_nic *nic, int poller);
};

struct npf_file; /* where a dump goes; each host has its own */

/*
 * Files of a dump. The driver writes each from its start to its end without gaps; it may write
 * the last, partial page again once that has grown. Used by one thread at a time.
 */
struct npf_file_ops {
	/* By path: created with mode 0600, or taken over if it is a regular file of the same user
	 * and no symbolic link; the first write empties it. again: this path's file is ours
	 * already, and closed before the first write to the new one. By descriptor: empty, and its
	 * owner's; it outlives the file. direct: without page cache where possible. *hurry: once
	 * not 0, writes do not wait long for the reader of a pipe. -EBUSY: somebody writes it or
	 * repairs it. error as with npf_nic_ops.open. */
	int (*create)(struct npf_host *host, const char *path, bool again, bool direct,
		      const uint32_t *hurry, struct npf_file **file, char *error);
	int (*adopt)(struct npf_host *host, int fd, bool direct, const uint32_t *hurry,
		     struct npf_file **file, char *error);
	/* Leave it as it is, and nothing touches it any more. What was created is closed, and removed
	 * if nothing was there before and nothing has been written; negative errno where it cannot be
	 * brought to the disk. Of a descriptor its owner hears that when he syncs it: 0. In a fork of
	 * who opened it nothing but its memory and what was created is closed: 0. */
	int (*close)(struct npf_file *file);

	/* What memory, offset and size of fast writes are multiples of; 1: no matter. Constant. */
	uint32_t (*alignment)(struct npf_file *file);
	/* Why there is a page cache, NULL: there is none. A write may find out that there is. */
	const char *(*why_not_direct)(struct npf_file *file);

	/* All of it, at an offset up to the end. Other than by alignment it is slow, and right all
	 * the same. *written: how much of it is in the file, also on failure. -ENOSPC, -EDQUOT,
	 * -EFBIG, -EPIPE, -EIO, -ETIMEDOUT the reader of a pipe slept. */
	int (*write)(struct npf_file *file, const void *data, size_t size, uint64_t offset,
		     size_t *written);
	/* What was written, any place and size. -EBADF: it is open for writing only. */
	int (*read)(struct npf_file *file, void *data, size_t size, uint64_t offset);
	/* -ESPIPE where what is written is gone, -EBUSY where somebody else has written behind it. */
	int (*truncate)(struct npf_file *file, uint64_t size);
	/* What was written so far shall outlive a power cut, soon: nobody waits for it. -EBUSY: the
	 * time before it has not come to its end yet. */
	int (*sync)(struct npf_file *file);
};

struct npf_worker; /* a thread that serves one binding */

#define NPF_WORKER_DONE 0u

struct npf_worker_ops {
	/* Call step(arg) again and again: now, after wake(), when the tap wakes (which from now on
	 * is for the worker, no longer raising the readers' level), and at the time that it
	 * returned, ns of now(). Until it returns NPF_WORKER_DONE. Never two calls at once. A
	 * second worker takes the wake-ups from the first, which is joined before it. */
	int (*start)(struct npf_nic *nic, uint64_t (*step)(void *arg), void *arg,
		     struct npf_worker **worker);
	/* Is its thread in this process? A fork has a worker without one. */
	bool (*is_here)(const struct npf_worker *worker);
	void (*wake)(struct npf_worker *worker); /* any thread */
	/* Wait until it is done, free it. The tap's wake-ups, if they were its own, are the
	 * readers' again. Where it is not here: free it only. */
	void (*join)(struct npf_worker *worker);
};

/* Memory that generated code runs from, seen twice. No page can ever be written and run. */
struct npf_code {
	uint8_t *write;     /* here it is written */
	const uint8_t *run; /* and here the same bytes are run */
	size_t size;
	void *slot; /* the host's */
};

struct npf_code_ops {
	/* On a cache line. -EACCES: not allowed here, -ENOMEM; error (may be NULL) says it in a
	 * sentence. */
	int (*alloc)(struct npf_host *host, size_t size, struct npf_code *code, char *error);
	/* Nobody enters it any more. */
	void (*free)(struct npf_host *host, const struct npf_code *code);

	/* Memory to compile in, for a while: not cleared, and kept for the next compilation,
	 * because clearing it and giving it back would take longer than compiling. NULL when
	 * memory is short. give_back takes NULL. */
	void *(*borrow)(struct npf_host *host, size_t size);
	void (*give_back)(struct npf_host *host, void *memory);
};

/* A host begins with this. */
struct npf_host {
	const struct npf_system_ops *system;
	const struct npf_adapter_ops *adapters;
	const struct npf_nic_ops *nic;
	/* ns after which a store of any CPU is seen by all others. */
	uint32_t store_delay;
	const struct npf_file_ops *files;
	const struct npf_worker_ops *workers;
	/* Hear when a function of the manual begins and ends; what (may be NULL) explains. NULL:
	 * nobody listens. */
	void (*trace)(struct npf_host *host, const char *function, const char *what, bool begins);
	const struct npf_code_ops *code; /* NULL: filters that run here are interpreted */
	uint32_t features;               /* of the processor, as npf_x86_features() says */
};

#define NPF_CLOCK_TRIES 8
#define NPF_CLOCK_GOOD  1000u /* ns between two looks: nobody came between them */

/*
 * Wall clock minus monotonic. Two clocks cannot be read at one moment: the truth lies within as much
 * below what they differ by as it took to read them. Of some tries the one that took least counts.
 *
 * The least that it can be is what stays: a closer look later only raises that. So time stamps never
 * go back, unless somebody sets the wall clock back: then what was known is more than can be true.
 */
static inline uint64_t npf_clock_offset(struct npf_host *host, uint64_t known)
{
	uint64_t most = 0, width = UINT64_MAX;

	for (int i = 0; i < NPF_CLOCK_TRIES && width > NPF_CLOCK_GOOD; i++) {
		uint64_t before = host->system->now(host);
		uint64_t wall = host->system->wall(host);
		uint64_t took = host->system->now(host) - before;

		if (took < width) {
			width = took;
			most = wall - before;
		}
	}
	return most - known <= width ? known : most - width;
}

#endif
