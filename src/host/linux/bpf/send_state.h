/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * What send.bpf.c and its loader share: the queue, a run of records {size, data, padding to 8}, which
 * clone.bpf.c has as well, and the state of one run of the program over it.
 */
#ifndef NPF_SEND_STATE_H
#define NPF_SEND_STATE_H

#include <stdint.h>

#define NPF_SEND_QUEUE    (1u << 21) /* bytes; a power of two */
#define NPF_SEND_LONGEST  3072u /* bytes of a frame: what fits into a page with its book-keeping */
#define NPF_SEND_SHORTEST 14u
#define NPF_SEND_SHORT    128u /* what is written word by word */

struct npf_send_record {
	uint32_t size;
	uint32_t unused;
	uint8_t data[];
};
#define NPF_SEND_RECORD(size) (((size) + sizeof(struct npf_send_record) + 7u) & ~7u)

/* When the adapter has no room for copies so many are thrown away, some microseconds, in which a receiver
 * at work on another CPU makes room for some. Where it did not so often, it does not work just now. */
#define NPF_SEND_PAUSE 128u
#define NPF_SEND_VAIN  12u
#define NPF_SEND_REST  UINT32_MAX /* hold: all of this run */

struct npf_send_state {
	/* Written before a run. */
	uint32_t repeat; /* the first record again and again; the order is of no matter then */
	/* The run's. */
	uint32_t next;   /* where in the queue the next record begins */
	uint32_t queued; /* frames that the kernel collects for the adapter just now */
	uint32_t hold;   /* frames to be thrown away first */
	uint32_t vain; /* bulks of copies, one after the other, that the adapter had no room for */
	int32_t error; /* why the last of `failed` did, 0 unknown: the adapter had no room */
	uint64_t task; /* who runs: the tracepoints fire for everybody */
	uint64_t sent; /* the adapter took them */
	uint64_t failed;
	uint64_t full; /* of failed: the adapter had no room */
	uint64_t cut;  /* bulks that the adapter did not take whole */
};

#endif
