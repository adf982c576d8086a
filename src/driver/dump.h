/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dump mode, private to the driver:
 *   dump.c         begin and end of a dump, orders to its thread, its status
 *   dump_thread.c  the thread: what of the stream goes to which file, limits
 *   dump_file.c    one file: opened, written, ended on a whole record
 *   dump_format.c  headers and records of the formats
 *
 * Who touches what: the thread everything below "the thread's"; others give orders by one word and
 * read the status, whose numbers are written by the thread alone.
 *
 * From the stream to the file. Where position and offset of a byte agree in their remainders of the
 * file's alignment ("in phase"), whole pages go from the ring to the disk as they are. All else
 * goes through the stage, which holds the bytes of the file's last, incomplete page: its header,
 * what a flush has written ahead of time, the beginning of a file that was changed within the
 * stream. A new file is out of phase at first; the thread then leaves out some bytes at the very
 * end of the stream (the seam), so that everything behind is in phase again.
 *
 *   head            mark          seam                   end
 *   ─┼───────────────┼─────────────┼┈┈┼───────────────────┼──
 *    │ to be written │ to be looked at │  │                │
 */
#ifndef NPF_DUMP_H
#define NPF_DUMP_H

#include "driver/core.h"
#include "driver/stream.h"

#define NPF_DUMP_STAGE   (512u << 10) /* bytes; more than the longest header, trailer and a page */
#define NPF_DUMP_HEADER  16384u       /* bytes of the longest header */
#define NPF_DUMP_BUCKETS 1024u

#define NPF_NEVER UINT64_MAX

/* Some time later; NPF_NEVER where no clock gets to. */
static inline uint64_t npf_dump_later(uint64_t time, uint64_t ns)
{
	return ns < NPF_NEVER - time ? time + ns : NPF_NEVER;
}

/* What the thread is to do; a higher order replaces a lower. */
enum {
	NPF_ORDER_HOLD, /* wait, nothing is set up yet */
	NPF_ORDER_RUN,
	NPF_ORDER_ROTATE,
	NPF_ORDER_CUT,  /* end here; what comes now is for the next dump of this stream */
	NPF_ORDER_STOP, /* store no more, write all, end */
	NPF_ORDER_QUIT, /* the beginning failed: end at once */
};

/* A place where the file could end. */
struct npf_dump_place {
	uint64_t offset;
	uint64_t packets; /* of this file, below */
};

struct npf_dump {
	struct npf_instance *instance;
	struct npf_host *host;
	struct npf_nic *nic;
	struct npf_worker *worker; /* NULL: none, or joined */
	size_t size;               /* of this allocation, which ends with the path */

	/* As it was asked for. Limits can change while it runs. */
	uint32_t format;
	bool direct;
	int (*next)(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE]);
	void (*done)(void *arg, const struct npf_dump_file *file);
	void *arg;
	uint64_t max_bytes, max_packets, file_bytes, file_packets; /* NPF_NEVER: none */
	uint64_t file_ns;                                          /* NPF_NEVER: none */
	uint64_t deadline; /* of all, ns of now(); NPF_NEVER: none */
	uint64_t flush_ns;
	uint64_t lateness; /* ns from a packet's stamp to its record, at most */
	uint32_t header_size, trailer_size;
	uint8_t *header; /* in the allocation */
	char *path;      /* in it too; NULL: next */
	bool again;      /* the dump before, which ends first, writes to the same path */

	uint32_t order; /* NPF_ORDER_* */
	uint32_t hurry; /* 1: the end was ordered */
	uint32_t ended; /* 1: the thread has done its last step */

	/* The thread's: the file. */
	struct npf_file *file; /* NULL: none at the moment */
	struct npf_dump_file given;
	uint64_t until; /* when it ends: ns of now() for our own limit; NPF_NEVER: it has none */
	uint32_t alignment;
	uint64_t out;                   /* offset of the byte at head */
	uint64_t stored;                /* bytes that are in the file */
	uint64_t synced;                /* and which of them the disk was asked to keep */
	uint64_t sync_at;               /* when it is asked next */
	struct npf_dump_place safe;     /* the last that is in the file surely */
	struct npf_dump_place previous; /* the mark before the last one */
	uint8_t *stage;                 /* aligned; the staged bytes before out */
	uint32_t staged;
	uint32_t stage_skew; /* bytes before it in its memory */
	uint64_t flush_at;   /* when what is not stored yet shall be; NPF_NEVER: no time was set */

	/* The thread's: the stream. */
	uint64_t head;               /* position of the next byte for the file */
	struct npf_stream_mark mark; /* everything below was dealt with */
	uint64_t seam_from, seam_to; /* bytes to leave out, the last ones that there were */
	uint32_t order_seen;
	bool closed; /* nothing is stored any more, `final` is the end */
	struct npf_stream_mark final;
	uint64_t now;                      /* wall clock before the end was looked at, */
	uint64_t later;                    /* and after that */
	uint64_t taken;                    /* records below mark since the dump began */
	uint64_t base_packets, base_bytes; /* of the files before this one */
	uint64_t offset;                   /* wall clock minus monotonic */
	/* The largest since the last step that found no CPU in the tap, and up to that from the one
	 * before: what is pending may be of then. */
	uint64_t offset_most, offset_before;
	uint32_t arm;

	/* The status: written by the thread, read by anybody, number by number. */
	enum npf_dump_end end;
	int error;
	uint64_t packets, bytes, files, lost;
	uint64_t file_size, file_count;
	uint64_t buffer_most;
	uint64_t writes, write_max;
	uint32_t latency[NPF_DUMP_BUCKETS];
	uint32_t is_direct;
	struct npf_lock text_lock;
	char message[NPF_ERROR_SIZE];
	char why_not_direct[NPF_TEXT_SIZE];
};

static inline void npf_dump_set(uint64_t *number, uint64_t value)
{
	__atomic_store_n(number, value, __ATOMIC_RELAXED);
}

/* ---- dump.c -------------------------------------------------------------------------------- */

/* Note what went wrong; the first error stays. Returns err. */
int npf_dump_fail(struct npf_dump *dump, int err, const char *sentence);
int npf_dump_fail_host(struct npf_dump *dump, int err, const char *doing);
/* Add to that. */
void npf_dump_explain(struct npf_dump *dump, const char *more);
/* What that makes of the dump. */
enum npf_dump_end npf_dump_failure(const struct npf_dump *dump);

/* ---- dump_thread.c ------------------------------------------------------------------------- */

uint64_t npf_dump_thread(void *arg);
/* Everything up to the end goes to its files. RUNNING: and the dump goes on. */
enum npf_dump_end npf_save_current_buffer(struct npf_dump *dump, const struct npf_stream_mark *end);
/* Where the stream goes on at a position: elsewhere only at the seam. */
uint64_t npf_dump_past_seam(const struct npf_dump *dump, uint64_t position);
/* The place in the file of a position from head to the end. */
uint64_t npf_dump_offset(const struct npf_dump *dump, uint64_t position);

/* ---- dump_file.c: negative errno after npf_dump_fail ---------------------------------------- */

/* Get the next file and put its header into the stage. first: stamp of the packet it is for. 1: no
 * more files. */
int npf_open_dump_file(struct npf_dump *dump, uint64_t first);
/* Write bytes of the stage or the ring. */
int npf_write_dump_file(struct npf_dump *dump, const void *data, size_t size, uint64_t offset);
/* Bytes of the stream up to a position; what is less than a page stays. */
int npf_dump_save(struct npf_dump *dump, uint64_t end);
/* The incomplete page too, for those who look at the file now. Everything up to mark was saved. */
int npf_dump_flush(struct npf_dump *dump);
/* End the file at mark; after a failure, at the last whole record that is in it. */
int npf_close_dump_file(struct npf_dump *dump, enum npf_dump_end end);

/* ---- dump_format.c ------------------------------------------------------------------------- */

/* The header of each file; size 0: it is too long. to: NPF_DUMP_HEADER bytes. */
uint32_t npf_dump_header(uint8_t *to, const struct npf_dump_options *options,
			 const struct npf_adapter *adapter);
/* What ends each file. to: NPF_DUMP_TRAILER bytes. */
#define NPF_DUMP_TRAILER 128u
uint32_t npf_dump_trailer_size(uint32_t format);
struct npf_dump_counts {
	uint64_t begun, ended; /* ns since 1970 */
	uint64_t received, dropped, accepted, written;
};
void npf_dump_trailer(uint8_t *to, const struct npf_dump_counts *counts);
/* Of a record's first bytes: its size, 0: this is none; and its stamp, ns since 1970. */
#define NPF_DUMP_RECORD_HEAD 20u
uint32_t npf_dump_record_size(uint32_t format, const uint8_t *head, uint32_t most);
uint64_t npf_dump_record_time(uint32_t format, const uint8_t *head);

#endif
