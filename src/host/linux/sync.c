/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a dump has written is brought to the disk while it goes on, by a thread that does nothing
 * else: bytes that went past the page cache are on the disk, but that they belong to the file is not
 * before its metadata are. The thread that writes never waits for that.
 *
 * A file is opened anew for it: an error that the kernel met while writing back is told once per
 * opening, and whoever syncs the complete file is to hear of it too.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "host/linux/linux.h"

static void *run(void *arg)
{
	struct npf_syncer *syncer = arg;

	npf_linux_shed_rights();
	pthread_mutex_lock(&syncer->lock);
	while (syncer->n || !syncer->ending) {
		int fd;

		if (!syncer->n) {
			pthread_cond_wait(&syncer->changed, &syncer->lock);
			continue;
		}
		fd = syncer->queue[syncer->first].fd;
		pthread_mutex_unlock(&syncer->lock);
		if (fd >= 0) {
			fdatasync(fd);
			close(fd);
		}
		pthread_mutex_lock(&syncer->lock);
		syncer->first = (syncer->first + 1) % NPF_SYNC_QUEUE;
		syncer->n--;
		pthread_cond_broadcast(&syncer->changed);
	}
	pthread_mutex_unlock(&syncer->lock);
	return NULL;
}

void npf_syncer_init(struct npf_syncer *syncer)
{
	*syncer = (struct npf_syncer){ 0 };
	pthread_mutex_init(&syncer->lock, NULL);
	pthread_cond_init(&syncer->changed, NULL);
}

/* Nothing waits: each file was drained. */
void npf_syncer_fini(struct npf_syncer *syncer)
{
	pthread_mutex_lock(&syncer->lock);
	syncer->ending = true;
	pthread_cond_broadcast(&syncer->changed);
	pthread_mutex_unlock(&syncer->lock);
	if (syncer->started)
		pthread_join(syncer->thread, NULL);
	pthread_cond_destroy(&syncer->changed);
	pthread_mutex_destroy(&syncer->lock);
}

/* Signals are for the application's own threads. */
static int start_thread(struct npf_syncer *syncer)
{
	sigset_t all, old;
	int err;

	if (syncer->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&syncer->thread, NULL, run, syncer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	syncer->started = !err;
	return -err;
}

/* An opening of its own, and nothing else: a second descriptor of the same one would share the lock,
 * and hear of errors in the owner's stead. */
static int open_again(int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return again < 0 ? -errno : again;
}

static struct npf_sync *entry_at(struct npf_syncer *syncer, unsigned int i)
{
	return &syncer->queue[(syncer->first + i) % NPF_SYNC_QUEUE];
}

static bool waits(struct npf_syncer *syncer, const struct npf_file *file)
{
	for (unsigned int i = 0; i < syncer->n; i++) {
		if (entry_at(syncer, i)->file == file)
			return true;
	}
	return false;
}

int npf_syncer_add(struct npf_syncer *syncer, const struct npf_file *file, int fd)
{
	int again, err;

	pthread_mutex_lock(&syncer->lock);
	err = syncer->n == NPF_SYNC_QUEUE || waits(syncer, file) ? -EBUSY : start_thread(syncer);
	again = err ? err : open_again(fd);
	if (again >= 0) {
		*entry_at(syncer, syncer->n++) = (struct npf_sync){ .file = file, .fd = again };
		pthread_cond_broadcast(&syncer->changed);
	}
	pthread_mutex_unlock(&syncer->lock);
	return again < 0 ? again : 0;
}

void npf_syncer_drain(struct npf_syncer *syncer, const struct npf_file *file)
{
	pthread_mutex_lock(&syncer->lock);
	for (unsigned int i = 1; i < syncer->n; i++) {
		struct npf_sync *entry = entry_at(syncer, i);

		if (entry->file != file)
			continue;
		close(entry->fd);
		*entry = (struct npf_sync){ .fd = -1 };
	}
	while (syncer->n && entry_at(syncer, 0)->file == file)
		pthread_cond_wait(&syncer->changed, &syncer->lock);
	pthread_mutex_unlock(&syncer->lock);
}
