/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tap for hosts whose packets arrive in user space: the simulator, and Linux where eBPF is not
 * allowed. Same source, same buffer as in the kernel.
 */
#ifndef NPF_TAP_USER_H
#define NPF_TAP_USER_H

#include "driver/host.h"
#include "driver/ring.h"
#include "filter/frame.h"

/* What the tap calls its host for. arg is the one given to npf_user_tap_init(). */
struct npf_user_tap_host {
	int (*wake)(void *arg); /* not 0: failed, the timer tries again */
	void (*start_timer)(void *arg, uint64_t ns);
};

/* A set of programs as this tap runs it: compiled where generated code may be run, interpreted
 * elsewhere. */
struct npf_user_filters;

/* NULL when memory is short. set must outlive it. */
struct npf_user_filters *npf_user_filters_make(struct npf_host *host,
					       const struct npf_filter_set *set);
/* No tap has it any more. NULL is fine. */
void npf_user_filters_free(struct npf_host *host, struct npf_user_filters *filters);

struct npf_user_tap {
	struct npf_host *host; /* memory */
	const struct npf_user_tap_host *ops;
	void *arg;
	struct npf_user_filters *filters; /* NULL: everything is accepted */
	struct npf_control *control;
	struct npf_cpu *cpus;
	uint8_t *memory; /* of the chunks, or of the stream with its slack */
	uint8_t *chunks; /* in it, aligned for a stream */
	uint8_t *old;    /* memory of a ring before, until npf_user_tap_let_go() */
	size_t old_size;
	struct npf_ring_geometry geometry;
};

void npf_user_tap_init(struct npf_user_tap *tap, struct npf_host *host,
		       const struct npf_user_tap_host *ops, void *arg);
void npf_user_tap_fini(struct npf_user_tap *tap);

/* Exchange the programs; the old ones, which may be freed at once. Not while deliver runs. */
struct npf_user_filters *npf_user_tap_set_filters(struct npf_user_tap *tap,
						  struct npf_user_filters *filters);

/* A new, empty ring; the old one is freed, but for its records (npf_nic_ops.set_ring). -ENOMEM keeps
 * the old. Not while deliver runs. */
int npf_user_tap_set_ring(struct npf_user_tap *tap, const struct npf_ring_geometry *geometry,
			  struct npf_ring_view *view);
void npf_user_tap_let_go(struct npf_user_tap *tap);

/* One frame: frame->length readable bytes at data, stamped time (ns, monotonic), handled on cpu.
 * sender: who sent it, 0 unknown. */
void npf_user_tap_deliver(struct npf_user_tap *tap, struct npf_frame *frame, const uint8_t *data,
			  uint64_t time, uint32_t cpu, uint64_t sender);

#endif
