/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulator, private: sim.c the machine and its adapters, wire.c time and what happens in it,
 * nic.c a binding, file.c and worker.c what a dump needs. One recursive mutex covers everything but readiness, which must be safe in a
 * signal handler; recursive, because taps, scripts and the ring's memory call back.
 */
#ifndef NPF_SIM_INTERNAL_H
#define NPF_SIM_INTERNAL_H

#include <pthread.h>

#include "driver/tap_user.h"
#include "host/common/arena.h"
#include "host/sim/sim.h"

struct npf_sim_adapter {
	struct npf_sim_adapter *next;
	struct npf_adapter adapter;
	uint64_t room; /* frames that its queue still takes */
	uint64_t tx_dropped;
	uint64_t tx_lost[2];
	uint64_t tx_told;  /* of these */
	uint64_t unsent;   /* bytes that it holds back */
	uint64_t trailing; /* frames that it has sent and not counted */
	uint64_t delay;    /* of who asks for its counters, ns */
};

/* Something scripted: a call, or a frame for an adapter. */
struct npf_sim_event {
	struct npf_sim_event *next;
	uint64_t at;
	void (*call)(void *arg);
	void *arg;
	uint32_t ifindex;
	struct npf_sim_frame frame;
	uint8_t data[];
};

struct npf_sim {
	struct npf_host base;
	pthread_mutex_t lock;
	uint32_t n_cpus;
	bool threaded;
	uint64_t now;
	int64_t wall_offset;
	uint32_t last_index;
	uint64_t last_binding;
	uint32_t changes; /* raises and steps of the clock: what threaded waits sleep on */
	struct npf_sim_adapter *adapters;
	struct npf_sim_event *events; /* ordered by time */
	struct npf_nic *nics;
	uint64_t kept[NPF_SEND_PATHS]; /* another's until then */
	struct npf_sim_sent *sent;
	struct npf_sim_sent **sent_end;
	uint64_t operations;
	uint64_t fail_at; /* value of operations that fails, 0 none */
	int fail_with;
	void (*interrupt)(void *arg); /* in every operation; NULL: nothing */
	void *interrupt_arg;
	size_t memory;
	uint32_t idle; /* steps of workers since anything else happened */
	struct npf_sim_file *files;
	int last_file;
	uint64_t disk_size, disk_used;
	bool no_direct;
	struct npf_arena arena;
};

struct npf_worker {
	struct npf_nic *nic;
	uint64_t (*step)(void *arg);
	void *arg;
	uint64_t due;
	bool done;
};

struct npf_nic {
	struct npf_nic *next;
	struct npf_sim *sim;
	uint64_t id; /* who sends, and 0 is nobody */
	enum npf_hook hook;
	struct npf_adapter adapter; /* last known */
	bool gone;
	struct npf_user_tap tap;
	uint32_t hw_filter;
	uint64_t lost;  /* frames before the tap */
	int raised;     /* eventfd: the level */
	uint64_t timer; /* driver's and tap's, 0 none */
	uint64_t flush;
	struct npf_worker *worker; /* NULL: none */
};

static inline struct npf_sim *npf_sim_of(struct npf_host *host)
{
	return (struct npf_sim *)host;
}

/* ---- sim.c --------------------------------------------------------------------------------- */

/* Count an operation; the error it shall fail with, or 0. Locked. */
int npf_sim_operation(struct npf_sim *sim);
struct npf_sim_adapter *npf_sim_find(struct npf_sim *sim, const char *name);
struct npf_sim_adapter *npf_sim_find_index(struct npf_sim *sim, uint32_t index);
void npf_sim_futex_wait(uint32_t *word, uint32_t value);
void npf_sim_futex_wake(uint32_t *word);

/* ---- wire.c -------------------------------------------------------------------------------- */

/* Until something is due at or before limit happens, which moves the clock there; false: nothing.
 * Locked. */
bool npf_sim_step(struct npf_sim *sim, uint64_t limit);
/* Put a frame before the taps of an adapter, now. Locked. */
void npf_sim_deliver(struct npf_sim *sim, uint32_t ifindex, const struct npf_sim_frame *frame,
		     uint64_t sender);
void npf_sim_drop_events(struct npf_sim *sim);

/* ---- nic.c --------------------------------------------------------------------------------- */

extern const struct npf_nic_ops npf_sim_nic;
extern const struct npf_file_ops npf_sim_files;
extern const struct npf_worker_ops npf_sim_workers;
void npf_sim_run_worker(struct npf_worker *worker);
void npf_sim_drop_files(struct npf_sim *sim);
void npf_sim_raise(struct npf_nic *nic);

#endif
