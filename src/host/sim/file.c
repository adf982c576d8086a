/* SPDX-License-Identifier: BSD-3-Clause */
/* Simulated files: memory, with a disk that can be full. They outlive who wrote them, to be looked
 * at. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/sim/internal.h"

struct npf_file {
	struct npf_sim *sim;
	struct npf_sim_file *file;
	uint32_t alignment;
	bool to_empty; /* before the first write */
	bool by_path;  /* to be synced, and closed, by us */
	bool is_new;   /* nothing was there before */
	bool written;
};

static struct npf_sim_file *find(const struct npf_sim *sim, const char *path)
{
	struct npf_sim_file *file = sim->files;

	while (file && strcmp(file->path, path) != 0)
		file = file->next;
	return file;
}

static struct npf_sim_file *find_number(const struct npf_sim *sim, int number)
{
	struct npf_sim_file *file = sim->files;

	while (file && file->number != number)
		file = file->next;
	return file;
}

static struct npf_sim_file *new_file(struct npf_sim *sim, const char *path)
{
	struct npf_sim_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	snprintf(file->path, sizeof(file->path), "%s", path);
	file->number = ++sim->last_file;
	file->next = sim->files;
	sim->files = file;
	return file;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int open_file(struct npf_sim *sim, struct npf_sim_file *file, bool direct,
		     struct npf_file **out)
{
	struct npf_file *handle = sim->base.system->alloc(&sim->base, sizeof(*handle));

	if (!handle)
		return -ENOMEM;
	*handle = (struct npf_file){
		.sim = sim,
		.file = file,
		.alignment = direct && !sim->no_direct ? NPF_STREAM_ALIGN : 1,
	};
	file->opens++;
	*out = handle;
	return 0;
}

static void shrink(struct npf_sim *sim, struct npf_sim_file *file, uint64_t size)
{
	if (size >= file->size)
		return;
	sim->disk_used -= file->size - size;
	file->size = size;
}

static void free_unused(struct npf_sim *sim, struct npf_sim_file *file)
{
	if (!file->removed || file->opens)
		return;
	shrink(sim, file, 0);
	free(file->data);
	free(file);
}

/* The name goes at once, the file when nobody has it open. */
static void remove_file(struct npf_sim *sim, struct npf_sim_file *file)
{
	struct npf_sim_file **at = &sim->files;

	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
	file->removed = true;
}

static int create_locked(struct npf_sim *sim, const char *path, bool direct, struct npf_file **out)
{
	int err = npf_sim_operation(sim);
	struct npf_sim_file *file = find(sim, path);
	bool is_new = !file;

	if (err)
		return err;
	if (!file)
		file = new_file(sim, path);
	if (!file)
		return -ENOMEM;
	err = open_file(sim, file, direct, out);
	if (err && is_new)
		remove_file(sim, file);
	if (err) {
		free_unused(sim, file);
		return err;
	}
	(*out)->to_empty = true;
	(*out)->by_path = true;
	(*out)->is_new = is_new;
	return 0;
}

static int create(struct npf_host *host, const char *path, bool again, bool direct,
		  const uint32_t *hurry, struct npf_file **out, char *error)
{
	struct npf_sim *sim = npf_sim_of(host);

	(void)again;
	(void)hurry;
	pthread_mutex_lock(&sim->lock);
	int err = create_locked(sim, path, direct, out);

	pthread_mutex_unlock(&sim->lock);
	if (err)
		snprintf(error, NPF_ERROR_SIZE, "creating %.100s failed", path);
	return err;
}

static int adopt_locked(struct npf_sim *sim, int fd, bool direct, struct npf_file **out)
{
	struct npf_sim_file *file = find_number(sim, fd);
	int err = npf_sim_operation(sim);

	if (err)
		return err;
	return file ? open_file(sim, file, direct, out) : -EBADF;
}

static int adopt(struct npf_host *host, int fd, bool direct, const uint32_t *hurry,
		 struct npf_file **out, char *error)
{
	struct npf_sim *sim = npf_sim_of(host);

	(void)hurry;
	pthread_mutex_lock(&sim->lock);
	int err = adopt_locked(sim, fd, direct, out);

	pthread_mutex_unlock(&sim->lock);
	if (err)
		snprintf(error, NPF_ERROR_SIZE, "file %d cannot be written to", fd);
	return err;
}

static int close_file(struct npf_file *handle)
{
	struct npf_sim *sim = handle->sim;

	pthread_mutex_lock(&sim->lock);
	int err = handle->by_path && handle->written ? npf_sim_operation(sim) : 0;

	handle->file->opens--;
	if (handle->is_new && !handle->file->size && !handle->file->removed)
		remove_file(sim, handle->file);
	free_unused(sim, handle->file);
	sim->base.system->free(&sim->base, handle, sizeof(*handle));
	pthread_mutex_unlock(&sim->lock);
	return err;
}

static uint32_t alignment(struct npf_file *handle)
{
	return handle->alignment;
}

static const char *why_not_direct(struct npf_file *handle)
{
	return handle->alignment == 1 || handle->sim->no_direct ? "it is simulated so" : NULL;
}

/* ---- writing and reading ------------------------------------------------------------------- */

static bool reserve(struct npf_sim_file *file, size_t size)
{
	size_t capacity = file->capacity ? file->capacity : 4096;

	if (size <= file->capacity)
		return true;
	while (capacity < size)
		capacity *= 2;

	uint8_t *data = realloc(file->data, capacity);

	if (!data)
		return false;
	file->data = data;
	file->capacity = capacity;
	return true;
}

/* What the disk has room for. */
static size_t fitting(const struct npf_sim *sim, const struct npf_sim_file *file, size_t size,
		      uint64_t offset)
{
	size_t end = offset + size;
	uint64_t room = sim->disk_size > sim->disk_used ? sim->disk_size - sim->disk_used : 0;

	if (end <= file->size || end - file->size <= room)
		return size;
	end = file->size + room;
	return end > offset ? end - offset : 0;
}

static void put(struct npf_sim *sim, struct npf_sim_file *file, const void *data, size_t size,
		uint64_t offset)
{
	if (size)
		memcpy(file->data + offset, data, size);
	if (offset + size <= file->size)
		return;
	sim->disk_used += offset + size - file->size;
	file->size = offset + size;
}

static bool is_aligned(const struct npf_file *handle, const void *data, size_t size, uint64_t offset)
{
	return !(((uintptr_t)data | size | offset) & (handle->alignment - 1));
}

/* A failing write has done half of its work. */
static int write_locked(struct npf_file *handle, const void *data, size_t size, uint64_t offset,
			size_t *written)
{
	struct npf_sim_file *file = handle->file;
	int err = npf_sim_operation(handle->sim);

	if (handle->to_empty)
		shrink(handle->sim, file, 0);
	handle->to_empty = false;
	handle->written = true;

	size_t n = fitting(handle->sim, file, err ? size / 2 : size, offset);

	if (offset > file->size || !reserve(file, offset + size))
		abort(); /* a gap: its bytes would be no packet */
	put(handle->sim, file, data, n, offset);
	file->direct_writes += is_aligned(handle, data, size, offset);
	file->writes++;
	*written = n;
	if (err)
		return err;
	return n < size ? -ENOSPC : 0;
}

static int write_file(struct npf_file *handle, const void *data, size_t size, uint64_t offset,
		      size_t *written)
{
	pthread_mutex_lock(&handle->sim->lock);
	int err = write_locked(handle, data, size, offset, written);

	pthread_mutex_unlock(&handle->sim->lock);
	return err;
}

static int read_file(struct npf_file *handle, void *data, size_t size, uint64_t offset)
{
	const struct npf_sim_file *file = handle->file;

	pthread_mutex_lock(&handle->sim->lock);
	int err = npf_sim_operation(handle->sim);

	if (!err && offset + size > file->size)
		err = -EIO;
	if (!err)
		memcpy(data, file->data + offset, size);
	pthread_mutex_unlock(&handle->sim->lock);
	return err;
}

static int truncate_file(struct npf_file *handle, uint64_t size)
{
	struct npf_sim_file *file = handle->file;

	pthread_mutex_lock(&handle->sim->lock);
	int err = npf_sim_operation(handle->sim);

	if (!err)
		shrink(handle->sim, file, size);
	pthread_mutex_unlock(&handle->sim->lock);
	return err;
}

static int sync_file(struct npf_file *handle)
{
	pthread_mutex_lock(&handle->sim->lock);
	int err = npf_sim_operation(handle->sim);

	if (!err) {
		handle->file->syncs++;
		handle->file->synced = handle->file->size;
	}
	pthread_mutex_unlock(&handle->sim->lock);
	return err;
}

const struct npf_file_ops npf_sim_files = {
	.create = create,
	.adopt = adopt,
	.close = close_file,
	.alignment = alignment,
	.why_not_direct = why_not_direct,
	.write = write_file,
	.read = read_file,
	.truncate = truncate_file,
	.sync = sync_file,
};

/* ---- for tests ----------------------------------------------------------------------------- */

const struct npf_sim_file *npf_sim_file(struct npf_host *host, const char *path)
{
	return find(npf_sim_of(host), path);
}

int npf_sim_make_file(struct npf_host *host, const char *path)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	struct npf_sim_file *file = new_file(sim, path);

	pthread_mutex_unlock(&sim->lock);
	return file ? file->number : -ENOMEM;
}

void npf_sim_set_disk(struct npf_host *host, uint64_t bytes)
{
	npf_sim_of(host)->disk_size = bytes;
}

void npf_sim_set_direct(struct npf_host *host, bool possible)
{
	npf_sim_of(host)->no_direct = !possible;
}

void npf_sim_drop_files(struct npf_sim *sim)
{
	while (sim->files) {
		struct npf_sim_file *file = sim->files;

		sim->files = file->next;
		free(file->data);
		free(file);
	}
}
