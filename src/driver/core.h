/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver, private: its structures and what its files ask of each other.
 *   driver.c    the driver object, devices, the time base
 *   instance.c  lifetime of an instance; doors.c who is inside; setup.c its ring, the tap's
 *               configuration
 *   error.c     the sentence about its last failure
 *   read.c      readiness, reading, batches
 *   write.c     one frame, or several; who may send and when to stop
 *   queue.c     queues of frames; pace.c when each frame goes; send_stats.c how it went
 *   control.c   the table of control codes; oid.c the table of object identifiers
 *   filters.c   installation of filters and classes; sets.c of sets
 *   monitor.c   statistics mode; stats.c the counters of capturing
 *   dump*.c     dump mode, see dump.h; stream.c the writer's side of its buffer
 *   ring.c      the reader's side of the buffer; tap_user.c the tap where packets come in user space
 *   jit.c       filters as machine code, for the tap there and for callers; classic.c as classic BPF
 *
 * Lifetime of an instance. A call is let in by npf_start_using_open_instance(), which counts it,
 * and refused once npf_cleanup() has begun. Cleanup wakes the reader and parks until the last call
 * has left; a batch counts as one call from its begin to its end.
 *
 * Lifetime of its binding, the state that the manual keeps beside it:
 *
 *   BOUND ──► UNBINDING ──► UNBOUND
 *
 * BOUND: the nic may be used between npf_start_using_binding() and npf_stop_using_binding(), which
 * take no lock, so that a signal handler may. UNBINDING: whoever made this step waits for the users
 * inside, admits no new ones, closes the nic and frees what depended on it; others who want to
 * close wait for him. UNBOUND: all that is left is the memory of the instance.
 * An adapter that vanishes does not unbind: what was captured stays readable.
 *
 * Locks, in the order of taking: driver.lock, instance.sending.lock, instance.sending.look_lock,
 * instance.lock, instance.sending.stats_lock, instance.error_lock. The host's own come after these, and
 * may be the process', for which a fork waits (host/linux/process.h); a fork does not wait for those above,
 * but for driver.lock, around which the process' is held.
 * No lock but sending.lock is held while a reader waits or walks a batch, or a writer sends.
 */
#ifndef NPF_CORE_H
#define NPF_CORE_H

#include "driver/host.h"
#include "driver/lock.h"
#include "driver/ring.h"
#include "driver/send.h"
#include "driver/stream.h"
#include "npf/npf.h"

#define NPF_NS_PER_S  1000000000ull
#define NPF_NS_PER_MS 1000000ull
#define NPF_NS_PER_US 1000ull

/* npf_instance.use: calls inside in the low bits, and this once cleanup has begun. */
#define NPF_CLOSING 0x80000000u

/* npf_instance.binding: users in the low bits, and the state: neither bit is BOUND. */
#define NPF_UNBINDING 0x40000000u
#define NPF_UNBOUND   0x80000000u

/* An adapter as the driver knows it (createDevice). Lives until the adapter has gone and the last
 * instance of it was cleaned up. */
struct npf_device {
	struct npf_device *next; /* in npf_driver.devices */
	uint32_t index;          /* interface number: the identity, for names can change */
	uint32_t n_open;         /* instances that are bound to it */
	bool present;            /* in the last list of adapters */
};

struct npf_driver {
	struct npf_host *host;
	struct npf_lock lock;       /* the fields below */
	struct npf_device *devices; /* one per adapter */
	uint32_t n_instances;       /* not yet closed: what npf_unload() refuses for */
	uint32_t n_bound;           /* not yet cleaned up: who shares time_base */
	uint64_t time_base;         /* wall clock minus monotonic when n_bound left 0, ns */
};

/* Installed programs: one allocation, immutable. set is what the host is given. */
struct npf_filters {
	struct npf_filter_set set;
	struct npf_program programs[1 + NPF_MAX_CLASSES]; /* the filter, then the classes */
	size_t size;                                      /* bytes of the allocation */
	struct npf_insn insns[];
};

/* What the counters showed when they were last reset; the tap's own are never written. */
struct npf_baseline {
	struct npf_ring_totals totals;
	struct npf_class_counters matched; /* class 0: frames that statistics mode counted */
	uint64_t lost;
};

/* Statistics mode. Only what npf_config.n_classes says is used of the array. */
struct npf_monitor_state {
	struct npf_class_counters base[NPF_MAX_CLASSES]; /* when the mode or the classes were set */
	struct npf_class_counters record;                /* class 0 at the last record of a read */
	uint64_t last; /* when that record was due, ns monotonic */
};

struct npf_instance {
	struct npf_host *host;
	struct npf_driver *driver;
	struct npf_device *device;
	struct npf_nic *nic; /* valid while the binding is not UNBOUND */
	enum npf_hook hook;  /* in use; outlives the nic */

	uint32_t use;     /* see NPF_CLOSING */
	uint32_t binding; /* see NPF_UNBINDING */
	uint32_t reading; /* a reader is inside, and may touch the reader's fields */
	uint32_t stop;    /* 1: npf_stop_waiting() was called and no reader has seen it */

	struct npf_lock lock; /* everything below that has no other owner */

	/* The ring. */
	struct npf_ring_view view;
	struct npf_ring_cursor *cursors; /* n_cpus of them */
	struct npf_ring_reader reader;   /* while a batch is open: the batch's owner's alone */
	uint32_t n_cpus;
	uint32_t max_receive; /* longest frame to make room for, as last asked */
	uint32_t buffer_size; /* bytes asked for, 0 none */
	uint32_t surely_held; /* bytes of records that fit however they fall */
	uint64_t walked;      /* records read or discarded since the ring was made */
	uint64_t released;    /* bytes of records given back */
	bool batch;           /* a batch is open: the ring may be neither emptied nor replaced */
	bool left;            /* the packets of the last one are still looked at */

	/* How the tap behaves: what view.control->config holds, kept for the next ring. */
	struct npf_config config;
	struct npf_filters *filters; /* never NULL */

	/* Waiting. */
	uint32_t min_to_copy;
	int32_t timeout; /* ms; 0 for ever, -1 not at all */
	uint32_t arm;    /* last number given to npf_waiter.arm */
	bool armed;      /* the tap or the clock will raise the level when there is something */
	bool raised;     /* the level is up for certain: nobody but us lowers it */
	bool waiting;    /* a reader sleeps in nic->wait */
	bool joined;     /* BIOCSETEVENTHANDLE was used */

	/* Time stamps. */
	uint32_t timestamp_mode; /* NPF_TIMESTAMP_* */
	uint64_t offset;         /* the reader's: wall clock minus monotonic for this read, ns */

	/* Counting. */
	struct npf_baseline baseline;
	struct npf_stats known[2]; /* the last that was counted is known[known_at] */
	uint32_t known_at;
	uint32_t known_holds; /* signal handlers are told that one */
	struct npf_monitor_state monitor;

	/* Dump mode. */
	bool dumping; /* the ring is a stream, stream_format its records' */
	uint32_t stream_format;
	struct npf_stream_mark stream_at;          /* where the next dump begins, */
	uint64_t stream_seam_from, stream_seam_to; /* and what it has to leave out */
	struct npf_dump *dump; /* the one that runs, or the last; NULL: none. Atomic, for readers */
	uint32_t dump_bytes;   /* BIOCSETDUMPLIMITS, 0: none */
	uint32_t dump_packets;

	/* The adapter, as set through this instance. */
	uint32_t hw_filter; /* NPF_FILTER_* */
	uint32_t lookahead; /* OID_GEN_CURRENT_LOOKAHEAD: kept, without effect */
	bool loopback;      /* every frame is seen twice, sent and received: the first is ignored */

	bool send_only;             /* NPF_OPEN_SEND_ONLY: nothing is ever tapped */
	struct npf_sending sending; /* see send.h */

	struct npf_lock error_lock;
	char error[NPF_ERROR_SIZE];
};

/* ---- driver.c ------------------------------------------------------------------------------ */

void *npf_alloc(struct npf_host *host, size_t size);
void npf_free(struct npf_host *host, void *memory, size_t size);
uint64_t npf_now(const struct npf_instance *instance);

/* Count an instance of the adapter of that index in; out in two steps, at cleanup and at close. */
int npf_driver_join(struct npf_instance *instance, uint32_t index);
void npf_driver_unbind(struct npf_instance *instance);
void npf_driver_leave(struct npf_instance *instance);

/* ---- error.c ------------------------------------------------------------------------------- */

/* Keep a sentence for npf_error(); return err. npf_fail_host: "doing: what err means". */
int npf_fail(struct npf_instance *instance, int err, const char *sentence);
int npf_fail_value(struct npf_instance *instance, int err, const char *before, uint64_t value,
		   const char *after);
int npf_fail_hex(struct npf_instance *instance, int err, const char *before, uint32_t value,
		 const char *after);
int npf_fail_host(struct npf_instance *instance, int err, const char *doing);

/* ---- doors.c ------------------------------------------------------------------------------- */

bool npf_start_using_open_instance(struct npf_instance *instance);
void npf_stop_using_open_instance(struct npf_instance *instance);
/* Refuse a call that came after cleanup began: -ECANCELED with its sentence. */
int npf_enter(struct npf_instance *instance);
/* From now on, and until the last of those inside has left. true: somebody is. */
bool npf_refuse_calls(struct npf_instance *instance);
void npf_await_calls(struct npf_instance *instance);
bool npf_closing(const struct npf_instance *instance);

bool npf_start_using_binding(struct npf_instance *instance);
void npf_stop_using_binding(struct npf_instance *instance);
/* True: it is the caller's to unbind, and nobody uses it any more. False: it is unbound. */
bool npf_begin_unbinding(struct npf_instance *instance);
void npf_end_unbinding(struct npf_instance *instance);

/* ---- instance.c ---------------------------------------------------------------------------- */

void npf_close_open_instance(struct npf_instance *instance);
void npf_close_binding(struct npf_instance *instance);

/* ---- setup.c ------------------------------------------------------------------------------- */

/* With the lock: a new ring of bytes, empty, counters zero; the tap's configuration. */
int npf_replace_ring(struct npf_instance *instance, uint32_t bytes);
/* The same of a size that a caller wants, checked; first: of an instance that nobody has yet. */
int npf_first_buffer(struct npf_instance *instance, uint32_t bytes);
int npf_change_buffer(struct npf_instance *instance, uint32_t bytes);
void npf_apply_config(struct npf_instance *instance);
void npf_accept(struct npf_instance *instance, uint32_t hw_filter);

/* ---- read.c: all with the lock ------------------------------------------------------------- */

/* Make the poll descriptor say what is true now, after something changed that decides it. */
void npf_update_readiness(struct npf_instance *instance);
/* Wait until all that any CPU has stored is seen; the time when that began. */
uint64_t npf_await_stores(const struct npf_instance *instance);
/* Throw away the oldest records until so many were walked in all. */
void npf_discard(struct npf_instance *instance, uint64_t walked);
/* -EBUSY while a batch is open. */
int npf_check_no_batch(struct npf_instance *instance);
/* Wall clock minus monotonic, by the instance's time stamp mode. */
uint64_t npf_time_offset(const struct npf_instance *instance);
/* The header of a record of npf_read() at `to`, which may have any alignment. */
void npf_put_header(uint8_t *to, uint64_t time, uint32_t caplen, uint32_t datalen);

/* ---- filters.c ----------------------------------------------------------------------------- */

struct npf_filters *npf_filters_none(struct npf_host *host);
/* With the lock. Exchange what packets must be in; the old one is the caller's to free. */
int npf_install_match(struct npf_instance *instance, const struct npf_match *match);
/* With the lock. */
int npf_install_filter(struct npf_instance *instance, const struct npf_program *program);
/* -EINVAL, with a sentence that ends in this reason. */
int npf_refuse_filter(struct npf_instance *instance, const char *reason);

/* ---- sets.c --------------------------------------------------------------------------------- */

/* NULL is fine. */
void npf_sets_free(struct npf_host *host, const struct npf_match *match);

/* ---- monitor.c: with the lock -------------------------------------------------------------- */

void npf_monitor_restart(struct npf_instance *instance);
/* When the next record is due; 0: at any time. */
uint64_t npf_monitor_due(const struct npf_instance *instance);
/* Has class 0 counted anything since the last record? */
bool npf_monitor_news(const struct npf_instance *instance);
uint32_t npf_monitor_record_size(const struct npf_instance *instance);
int64_t npf_monitor_record(struct npf_instance *instance, uint8_t *buffer);

/* ---- stats.c: with the lock ---------------------------------------------------------------- */

/* Empty the ring and let all statistics begin anew, at the same packet. */
void npf_reset(struct npf_instance *instance);
/* What npf_begin_control() counted. */
const struct npf_stats *npf_known_stats(const struct npf_instance *instance);
/* Take and release the lock, for who changes something that counting looks at: a signal handler of this
 * thread is told what was known before, or after a reset. */
void npf_begin_control(struct npf_instance *instance);
void npf_end_control(struct npf_instance *instance);

/* ---- dump.c: with the lock ----------------------------------------------------------------- */

/* A dump that runs; -EBUSY with its sentence. */
int npf_check_no_dump(struct npf_instance *instance);
/* The mode with or without a stream in the place of the ring: a new, empty one of buffer_size.
 * A dump that runs is ended. */
int npf_enter_dump_mode(struct npf_instance *instance, uint32_t format);
int npf_leave_dump_mode(struct npf_instance *instance);
/* The ring is new: let the tap store into it. */
void npf_open_stream(struct npf_instance *instance);
/* BIOCSETDUMPFILENAME, BIOCSETDUMPLIMITS, BIOCISDUMPENDED. */
int npf_dump_to(struct npf_instance *instance, const char *path);
int npf_limit_dump(struct npf_instance *instance, uint32_t bytes, uint32_t packets);
bool npf_dump_ended(const struct npf_instance *instance);
/* Bytes of the stream that are not in a file yet. */
uint64_t npf_dump_pending(const struct npf_instance *instance);
/* Bytes of the file, for the statistics record of STAT|DUMP. */
uint64_t npf_dump_position(const struct npf_instance *instance);
/* Without the lock, nobody is inside: end it, free what is left of it. */
void npf_free_dump(struct npf_instance *instance);

/* ---- oid.c: with the lock ------------------------------------------------------------------ */

int npf_oid_query(struct npf_instance *instance, const void *in, size_t in_size, void *out,
		  size_t out_size, size_t *returned);
int npf_oid_set(struct npf_instance *instance, const void *in, size_t in_size, void *out,
		size_t out_size, size_t *returned);

#endif
