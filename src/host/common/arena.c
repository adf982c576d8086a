/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/common/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAST_REGION (256u << 10)
#define MOST_REGION  (16u << 20)
#define LINE         64u /* slots begin on cache lines */
#define INT3         0xCC

/* Newer than the headers of Debian 12. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum state { FREE, USED, WAITING };

/* A piece of a region. All pieces of a region are chained in the order of their places, and no two
 * neighbours are FREE. */
struct npf_arena_slot {
	struct npf_arena_region *region;
	struct npf_arena_slot *before, *after;
	struct npf_arena_slot *younger;         /* WAITING */
	struct npf_arena_slot *next, *previous; /* FREE: in the arena's list of these */
	size_t at, size;
	enum state state;
};

struct npf_arena_region {
	struct npf_arena_region *older;
	uint8_t *write;
	uint8_t *run;
	size_t size;
	struct npf_arena_slot *first;
	bool left; /* to the process that this one is a fork of */
};

/* ---- regions ------------------------------------------------------------------------------- */

static int tell(char *error, int err, const char *what)
{
	if (error)
		snprintf(error, NPF_ERROR_SIZE, "generated code cannot be run here: %s: %s", what,
			 strerror(err));
	return err == ENOMEM ? -ENOMEM : -EACCES;
}

/* The flag says that the file shall be executable; kernels before 6.3 do not know it. */
static int make_file(size_t size)
{
	int fd = memfd_create("npf-code", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("npf-code", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && ftruncate(fd, (off_t)size)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/* One mapping to write, no further ones, and one to run: made behind the seal, it can never be made
 * writable either. */
static int map_file(struct npf_arena_region *region, int fd, char *error)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
	int err;

	region->write = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (region->write == MAP_FAILED)
		return tell(error, errno, "mapping memory to write");
	if (fcntl(fd, F_ADD_SEALS, seals)) {
		err = tell(error, errno, "sealing memory");
		goto unmap;
	}
	region->run = mmap(NULL, region->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (region->run == MAP_FAILED) {
		err = tell(error, errno, "mapping memory to run");
		goto unmap;
	}
	memset(region->write, INT3, region->size);
	return 0;

unmap:
	munmap(region->write, region->size);
	return err;
}

static int fill_region(struct npf_arena_region *region, char *error)
{
	int fd = make_file(region->size);

	if (fd < 0)
		return tell(error, errno, "making an executable memfd");

	int err = map_file(region, fd, error);

	close(fd);
	return err;
}

static struct npf_arena_slot *new_slot(struct npf_arena_region *region, size_t at, size_t size)
{
	struct npf_arena_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->region = region;
	slot->at = at;
	slot->size = size;
	return slot;
}

static size_t region_size(const struct npf_arena *arena, size_t wanted)
{
	size_t size = arena->regions ? arena->regions->size * 2 : LEAST_REGION;

	if (size > MOST_REGION)
		size = MOST_REGION;
	while (size < wanted)
		size *= 2;
	return size;
}

static void list_free(struct npf_arena *arena, struct npf_arena_slot *slot)
{
	slot->state = FREE;
	slot->previous = NULL;
	slot->next = arena->free;
	if (slot->next)
		slot->next->previous = slot;
	arena->free = slot;
}

static void unlist_free(struct npf_arena *arena, struct npf_arena_slot *slot)
{
	if (slot->previous)
		slot->previous->next = slot->next;
	else
		arena->free = slot->next;
	if (slot->next)
		slot->next->previous = slot->previous;
}

static int add_region(struct npf_arena *arena, size_t wanted, char *error)
{
	struct npf_arena_region *region = calloc(1, sizeof(*region));

	if (!region)
		return tell(error, ENOMEM, "a region of code");
	region->size = region_size(arena, wanted);
	region->first = new_slot(region, 0, region->size);
	if (!region->first) {
		free(region);
		return tell(error, ENOMEM, "a region of code");
	}

	int err = fill_region(region, error);

	if (err) {
		free(region->first);
		free(region);
		return err;
	}
	region->older = arena->regions;
	arena->regions = region;
	list_free(arena, region->first);
	return 0;
}

static void free_region(struct npf_arena_region *region)
{
	for (struct npf_arena_slot *slot = region->first, *after; slot; slot = after) {
		after = slot->after;
		free(slot);
	}
	munmap(region->write, region->size);
	munmap(region->run, region->size);
	free(region);
}

/* ---- slots --------------------------------------------------------------------------------- */

/* Cut a free slot to size; what is left stays free. Without memory for that it is given whole. */
static void take(struct npf_arena *arena, struct npf_arena_slot *slot, size_t size)
{
	struct npf_arena_slot *rest = slot->size > size ? new_slot(slot->region, slot->at + size,
								   slot->size - size)
							: NULL;

	unlist_free(arena, slot);
	slot->state = USED;
	if (!rest)
		return;
	rest->before = slot;
	rest->after = slot->after;
	if (rest->after)
		rest->after->before = rest;
	slot->after = rest;
	slot->size = size;
	list_free(arena, rest);
}

/* Two free neighbours become one. */
static void join(struct npf_arena *arena, struct npf_arena_slot *slot, struct npf_arena_slot *next)
{
	if (!slot || !next || slot->state != FREE || next->state != FREE)
		return;
	unlist_free(arena, next);
	slot->size += next->size;
	slot->after = next->after;
	if (slot->after)
		slot->after->before = slot;
	free(next);
}

static void reuse(struct npf_arena *arena, struct npf_arena_slot *slot)
{
	memset(slot->region->write + slot->at, INT3, slot->size);
	list_free(arena, slot);
	join(arena, slot, slot->after);
	join(arena, slot->before, slot);
}

static int membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

/*
 * When enough waits, the older half becomes free. A processor may still hold instructions of them
 * that it fetched through the other mapping, so all threads are made to forget these first; where
 * the kernel cannot, slots are never used again.
 */
static void reuse_old(struct npf_arena *arena)
{
	if (arena->waiting <= NPF_ARENA_GRACE || !arena->can_sync)
		return;
	while (arena->waiting > NPF_ARENA_GRACE / 2) {
		struct npf_arena_slot *slot = arena->oldest;

		arena->oldest = slot->younger;
		if (!arena->oldest)
			arena->newest = &arena->oldest;
		arena->waiting -= slot->size;
		reuse(arena, slot);
	}
	membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
}

static struct npf_arena_slot *find(const struct npf_arena *arena, size_t size)
{
	struct npf_arena_slot *slot = arena->free;

	while (slot && slot->size < size)
		slot = slot->next;
	return slot;
}

static int alloc_locked(struct npf_arena *arena, size_t size, struct npf_code *code, char *error)
{
	size_t whole = (size + LINE - 1) / LINE * LINE;
	struct npf_arena_slot *slot = find(arena, whole);

	if (!slot) {
		int err = add_region(arena, whole, error);

		if (err)
			return err;
		slot = arena->regions->first;
	}
	take(arena, slot, whole);
	*code = (struct npf_code){ .write = slot->region->write + slot->at,
				   .run = slot->region->run + slot->at,
				   .size = size,
				   .slot = slot };
	return 0;
}

/* ---- memory to compile in -------------------------------------------------------------------- */

/* The smallest that is large enough, NULL: none is. */
static struct npf_arena_spare **find_spare(struct npf_arena *arena, size_t size)
{
	struct npf_arena_spare **best = NULL;

	for (int i = 0; i < NPF_ARENA_SPARES; i++) {
		struct npf_arena_spare **spare = &arena->spares[i];

		if (*spare && (*spare)->size >= size && (!best || (*spare)->size < (*best)->size))
			best = spare;
	}
	return best;
}

void *npf_arena_borrow(struct npf_arena *arena, size_t size)
{
	struct npf_arena_spare **found, *spare = NULL;

	pthread_mutex_lock(&arena->lock);
	found = find_spare(arena, size);
	if (found) {
		spare = *found;
		*found = NULL;
	}
	pthread_mutex_unlock(&arena->lock);
	if (!spare)
		spare = malloc(sizeof(*spare) + size);
	if (!spare)
		return NULL;
	if (!found)
		spare->size = size;
	return spare->memory;
}

/* The smallest gives way. */
void npf_arena_give_back(struct npf_arena *arena, void *memory)
{
	struct npf_arena_spare *spare, **least = &arena->spares[0];

	if (!memory)
		return;
	spare = (void *)((uint8_t *)memory - offsetof(struct npf_arena_spare, memory));
	pthread_mutex_lock(&arena->lock);
	for (int i = 0; i < NPF_ARENA_SPARES && *least; i++) {
		if (!arena->spares[i] || arena->spares[i]->size < (*least)->size)
			least = &arena->spares[i];
	}
	if (!*least || (*least)->size < spare->size) {
		struct npf_arena_spare *excess = *least;

		*least = spare;
		spare = excess;
	}
	pthread_mutex_unlock(&arena->lock);
	free(spare);
}

/* ---- the interface ------------------------------------------------------------------------- */

void npf_arena_init(struct npf_arena *arena)
{
	*arena = (struct npf_arena){ .newest = &arena->oldest };
	pthread_mutex_init(&arena->lock, NULL);
	arena->can_sync = !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
}

void npf_arena_leave(struct npf_arena *arena)
{
	pthread_mutex_init(&arena->lock, NULL);
	for (struct npf_arena_region *region = arena->regions; region; region = region->older)
		region->left = true;
	arena->free = NULL;
	arena->oldest = NULL;
	arena->newest = &arena->oldest;
	arena->waiting = 0;
}

void npf_arena_fini(struct npf_arena *arena)
{
	for (struct npf_arena_region *region = arena->regions, *older; region; region = older) {
		older = region->older;
		free_region(region);
	}
	for (int i = 0; i < NPF_ARENA_SPARES; i++)
		free(arena->spares[i]);
	pthread_mutex_destroy(&arena->lock);
}

int npf_arena_alloc(struct npf_arena *arena, size_t size, struct npf_code *code, char *error)
{
	pthread_mutex_lock(&arena->lock);

	int err = alloc_locked(arena, size, code, error);

	pthread_mutex_unlock(&arena->lock);
	return err;
}

void npf_arena_free(struct npf_arena *arena, const struct npf_code *code)
{
	struct npf_arena_slot *slot = code->slot;

	if (slot->region->left)
		return;
	pthread_mutex_lock(&arena->lock);
	slot->state = WAITING;
	slot->younger = NULL;
	*arena->newest = slot;
	arena->newest = &slot->younger;
	arena->waiting += slot->size;
	reuse_old(arena);
	pthread_mutex_unlock(&arena->lock);
}
