/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory to run generated code from. Each region of it is mapped twice, once to write and once to
 * run, so no page is ever writable and executable, and no page changes what it may: the region's
 * file is sealed against further writable mappings and then forgotten. What is not code is int3.
 *
 * Where generated code may not be run (a security module, a seccomp filter, memfds that may not be
 * executed) the first allocation fails with a sentence, and changes nothing.
 */
#ifndef NPF_HOST_ARENA_H
#define NPF_HOST_ARENA_H

#include <pthread.h>
#include <stdbool.h>

#include "driver/host.h"

/* A slot that was given back stays as it is until so many bytes were given back after it: who runs
 * it against the rules finds the old code, and not half of another filter. */
#define NPF_ARENA_GRACE (1u << 20)

/* Pieces of memory to compile in that are kept for the next time. */
#define NPF_ARENA_SPARES 3

struct npf_arena_region;
struct npf_arena_slot;

/* Stands before it. */
struct npf_arena_spare {
	size_t size;
	_Alignas(16) uint8_t memory[];
};

struct npf_arena {
	pthread_mutex_t lock;
	struct npf_arena_region *regions; /* the newest, which is the largest, first */
	struct npf_arena_slot *free;
	struct npf_arena_slot *oldest; /* given back, in that order */
	struct npf_arena_slot **newest;
	size_t waiting; /* bytes of these */
	struct npf_arena_spare *spares[NPF_ARENA_SPARES];
	bool can_sync; /* the kernel makes all threads look at their instructions anew */
};

void npf_arena_init(struct npf_arena *arena);
/* In a fork, before anything else of these: what is there stays as it is, for the parent runs it and will
 * write to it; what is made from now on is the fork's. */
void npf_arena_leave(struct npf_arena *arena);
/* After the last user of its code is out. */
void npf_arena_fini(struct npf_arena *arena);

/* Room for size bytes of code, on a cache line. -EACCES: not allowed here, -ENOMEM; error (may be
 * NULL) has a sentence. Any thread. */
int npf_arena_alloc(struct npf_arena *arena, size_t size, struct npf_code *code, char *error);
/* Nobody enters it any more. Any thread. */
void npf_arena_free(struct npf_arena *arena, const struct npf_code *code);

/* Memory that is not cleared, NULL when short. Any thread. */
void *npf_arena_borrow(struct npf_arena *arena, size_t size);
void npf_arena_give_back(struct npf_arena *arena, void *memory);

#endif
