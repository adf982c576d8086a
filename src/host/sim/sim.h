/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A deterministic host over plain memory: the driver's own code runs in it without privilege,
 * without an interface and without waiting. Time stands still until somebody moves it.
 *
 * What it omits: frames take no time on the wire and are lost there only on order; there is one way
 * to send, which every path but AF_XDP's stands for; filters run in user space, compiled or
 * interpreted, so no program is refused for its size; the hardware filter is recorded but every scripted frame
 * reaches every binding; each hook that is asked for works; memory ends at NPF_SIM_MEMORY bytes;
 * there is no descriptor that tells of changed adapters. Readiness, though, is a real descriptor,
 * so that poll() can be tested.
 */
#ifndef NPF_SIM_H
#define NPF_SIM_H

#include "driver/host.h"
#include "filter/frame.h"

#define NPF_SIM_MEMORY (64u << 20)            /* bytes that alloc() has to give */
#define NPF_SIM_EPOCH  1700000000000000000ull /* wall clock when now() is 0 */

/* A machine of n_cpus without adapters, at time 0. NULL when memory is short. */
struct npf_host *npf_host_sim(uint32_t n_cpus);
/* After every binding is closed. NULL is fine. */
void npf_host_sim_free(struct npf_host *host);

/* ---- adapters: "Ethernet", MTU 1500, up and running, and a number that is never used again ---- */

int npf_sim_add_adapter(struct npf_host *host, const char *name);
/* Its bindings are gone from this moment. -ENODEV. */
int npf_sim_remove_adapter(struct npf_host *host, const char *name);
/* To look at and to change in place; NULL when there is none. Valid until it is removed. */
struct npf_adapter *npf_sim_adapter(struct npf_host *host, const char *name);
/* NPF_FILTER_* bits that the bindings of an adapter ask for together. */
uint32_t npf_sim_hw_filter(struct npf_host *host, const char *name);
/* Its queue takes n more frames, and is full then; UINT64_MAX, as at first: any number. */
void npf_sim_set_room(struct npf_host *host, const char *name, uint64_t n);
/* n of the frames that it took were dropped after all. */
void npf_sim_drop_sent(struct npf_host *host, const char *name, uint64_t n);
/* n of them it lost without a word; its two bounds count these and so many other things. */
void npf_sim_lose_sent(struct npf_host *host, const char *name, uint64_t n, uint64_t first,
		       uint64_t second);
/* It refused n, said so, and counts them as lost nevertheless. */
void npf_sim_refuse_sent(struct npf_host *host, const char *name, uint64_t n);
/* It holds so many bytes back that were sent. */
void npf_sim_hold(struct npf_host *host, const char *name, uint64_t bytes);
/* Of the frames that it sent so many lie at their receiver and are not counted yet. */
void npf_sim_trail(struct npf_host *host, const char *name, uint64_t n);
/* Who asks for its counters is so much later when he has them. */
void npf_sim_delay_counters(struct npf_host *host, const char *name, uint64_t ns);
/* A path is another's until then (ns of now()). */
void npf_sim_keep_path(struct npf_host *host, enum npf_send_path path, uint64_t until);
/* n frames are lost before the tap. */
void npf_sim_lose(struct npf_host *host, const char *name, uint64_t n);

/* ---- time ---------------------------------------------------------------------------------- */

/* Let ns pass: all that is due happens, in order of time, then in order of scripting. */
void npf_sim_advance(struct npf_host *host, uint64_t ns);
/* Step the wall clock, not the monotonic one. */
void npf_sim_step_wall(struct npf_host *host, int64_t ns);
/* Call at a time (ns of now()); immediately when it has passed. The machine is locked meanwhile,
 * so a call into the driver is for tests of one thread. -ENOMEM. */
int npf_sim_at(struct npf_host *host, uint64_t at, void (*call)(void *arg), void *arg);

/*
 * What a wait without a deadline does when nothing more is scripted. Not threaded: it would last
 * for ever, so it ends with -EDEADLK; a wait also moves the clock. Threaded: the clock is moved
 * by npf_sim_advance() only, and waits last until another thread raises or moves it.
 */
void npf_sim_set_threaded(struct npf_host *host, bool threaded);

/* ---- the wire ------------------------------------------------------------------------------ */

struct npf_sim_frame {
	const void *data;
	uint32_t length;      /* bytes at data */
	uint32_t wire_length; /* 0: length, and the tag's bytes if there is one */
	uint32_t packet_type; /* NPF_TO_HOST ... NPF_FROM_HOST */
	uint32_t cpu;         /* that handles it */
	uint16_t tpid, tci;   /* tag that the adapter stripped; tpid 0: none */
};

/* A frame on an adapter at a time (ns of now()), copied; immediately when it has passed. Frames of
 * an adapter that is gone by then vanish. -ENODEV, -ENOMEM. */
int npf_sim_send(struct npf_host *host, const char *adapter, uint64_t at,
		 const struct npf_sim_frame *frame);

/* The nth frame (from 0) that was transmitted, NULL past the last. Valid until the host ends. */
struct npf_sim_sent {
	struct npf_sim_sent *next;
	uint32_t ifindex;
	uint64_t time;
	size_t size;
	uint8_t data[];
};
const struct npf_sim_sent *npf_sim_sent(struct npf_host *host, size_t nth);

/* ---- files ---------------------------------------------------------------------------------- */

/* What was written; outlives its writer. */
struct npf_sim_file {
	struct npf_sim_file *next;
	char path[64];
	int number; /* what a provider of files gives for a descriptor */
	int opens;
	bool removed; /* has no name any more */
	uint8_t *data;
	size_t size, capacity;
	uint32_t writes, direct_writes; /* of these, by alignment: past the cache */
	uint32_t syncs;
	size_t synced; /* size at the last of them */
};

/* NULL: there is none. */
const struct npf_sim_file *npf_sim_file(struct npf_host *host, const char *path);
/* A new, empty one; its number. */
int npf_sim_make_file(struct npf_host *host, const char *path);
/* Room for all files together. */
void npf_sim_set_disk(struct npf_host *host, uint64_t bytes);
/* Whether writes need alignment to be fast; true at first. */
void npf_sim_set_direct(struct npf_host *host, bool possible);

/* ---- faults and leaks ---------------------------------------------------------------------- */

/* Operations of the host so far that could have failed. */
uint64_t npf_sim_operations(struct npf_host *host);
/* Fail the nth from now (1: the next) with err, once. 0: none. alloc() fails with NULL. */
void npf_sim_fail(struct npf_host *host, uint64_t nth, int err);
/* Call handler in every operation from now on, where a signal handler might be. NULL: no more. */
void npf_sim_interrupt(struct npf_host *host, void (*handler)(void *arg), void *arg);
/* Bytes allocated and not freed, bindings included. */
size_t npf_sim_memory(struct npf_host *host);
/* Bindings open. */
size_t npf_sim_bindings(struct npf_host *host);

#endif
