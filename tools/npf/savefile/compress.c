/* SPDX-License-Identifier: BSD-3-Clause */
/* See compress.h. */
#include "compress.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "tool.h"

#define READ_SIZE       (1u << 20)
#define IOPRIO_WHO_SELF 1
#define IOPRIO_IDLE     (3 << 13)
#define IOPRIO_NONE     0

struct entry {
	char name[NAME_MAX + 1];
	uint64_t number;
	bool replace;
};

struct npf_compress {
	int directory, level;
	pthread_t thread;
	atomic_bool hurry; /* leave what is not done */
	/* By the thread alone. */
	ZSTD_CCtx *context;
	void *in, *out;
	size_t out_size;

	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t changed;
	struct entry queue[NPF_COMPRESS_QUEUE];
	unsigned int first, n; /* the first is being worked on */
	bool closing;
	bool forgotten; /* anything yet? */
	uint64_t last_forgotten;
	struct npf_compress_report report;
};

int npf_compress_levels(void)
{
	return ZSTD_maxCLevel();
}

/* ---- one file -------------------------------------------------------------------------------- */

static int write_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

/* One piece through zstd, to the end of it or of the frame. */
static int put(struct npf_compress *compress, int to, size_t size, ZSTD_EndDirective directive,
	       uint64_t *written)
{
	ZSTD_inBuffer in = { compress->in, size, 0 };
	size_t left;
	int err;

	do {
		ZSTD_outBuffer out = { compress->out, compress->out_size, 0 };

		left = ZSTD_compressStream2(compress->context, &out, &in, directive);
		if (ZSTD_isError(left))
			return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? -ENOMEM
										       : -EIO;
		err = write_all(to, out.dst, out.pos);
		if (err)
			return err;
		*written += out.pos;
	} while (directive == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return 0;
}

static int put_file(struct npf_compress *compress, int from, int to, uint64_t *read_bytes,
		    uint64_t *written)
{
	struct stat status;

	if (fstat(from, &status))
		return -errno;
	posix_fadvise(from, 0, 0, POSIX_FADV_SEQUENTIAL);
	ZSTD_CCtx_reset(compress->context, ZSTD_reset_session_only);
	if (S_ISREG(status.st_mode))
		ZSTD_CCtx_setPledgedSrcSize(compress->context, (unsigned long long)status.st_size);
	for (;;) {
		ssize_t n = read(from, compress->in, READ_SIZE);
		int err;

		if (n < 0)
			return -errno;
		if (atomic_load(&compress->hurry))
			return -ECANCELED;
		err = put(compress, to, (size_t)n, n ? ZSTD_e_continue : ZSTD_e_end, written);
		if (err)
			return err;
		if (!n)
			break;
		*read_bytes += (uint64_t)n;
		/* Read once and never again: make room for what others need. */
		posix_fadvise(from, 0, (off_t)*read_bytes, POSIX_FADV_DONTNEED);
	}
	futimens(to, (struct timespec[]){ status.st_atim, status.st_mtim });
	return fsync(to) ? -errno : 0;
}

static int open_and_put(struct npf_compress *compress, const char *name, const char *part,
			uint64_t *read_bytes, uint64_t *written)
{
	int from = openat(compress->directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int to, err;

	if (from < 0)
		return -errno;
	to = openat(compress->directory, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	err = to < 0 ? -errno : put_file(compress, from, to, read_bytes, written);
	if (to >= 0 && close(to) && !err)
		err = -errno;
	close(from);
	if (to >= 0 && err)
		unlinkat(compress->directory, part, 0);
	return err;
}

static bool is_forgotten(const struct npf_compress *compress, uint64_t number)
{
	return compress->forgotten && number <= compress->last_forgotten;
}

/* Under the lock: a file that is forgotten between the question and the rename would come back. */
static int exchange(struct npf_compress *compress, const struct entry *entry, const char *part,
		    const char *final)
{
	if (is_forgotten(compress, entry->number)) {
		unlinkat(compress->directory, part, 0);
		return -ECANCELED;
	}
	if (renameat2(compress->directory, part, compress->directory, final,
		      entry->replace ? 0 : RENAME_NOREPLACE)) {
		int err = -errno;

		unlinkat(compress->directory, part, 0);
		return err;
	}
	if (unlinkat(compress->directory, entry->name, 0) || fsync(compress->directory))
		return -errno;
	return 0;
}

static void note(struct npf_compress *compress, const struct entry *entry, int err,
		 uint64_t read_bytes, uint64_t written)
{
	struct npf_compress_report *report = &compress->report;

	if (!err) {
		report->files++;
		report->bytes_in += read_bytes;
		report->bytes_out += written;
		memcpy(report->last, entry->name, sizeof(report->last));
	} else if (is_forgotten(compress, entry->number)) {
		return;
	} else if (err == -ECANCELED) {
		report->left++;
	} else {
		report->failed++;
		report->error = report->error ? report->error : err;
	}
}

static void compress_one(struct npf_compress *compress, const struct entry *entry)
{
	char final[NAME_MAX + 1 + sizeof(NPF_ZSTD_SUFFIX)];
	char part[sizeof(final) + sizeof(NPF_PART_SUFFIX)];
	uint64_t read_bytes = 0, written = 0;
	int err;

	snprintf(final, sizeof(final), "%s" NPF_ZSTD_SUFFIX, entry->name);
	snprintf(part, sizeof(part), "%s" NPF_PART_SUFFIX, final);
	err = open_and_put(compress, entry->name, part, &read_bytes, &written);
	pthread_mutex_lock(&compress->lock);
	if (!err)
		err = exchange(compress, entry, part, final);
	note(compress, entry, err, read_bytes, written);
	pthread_mutex_unlock(&compress->lock);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Of this thread; nothing depends on whether the kernel agrees. */
static void be_modest(void)
{
	struct sched_param none = { 0 };

	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	syscall(SYS_ioprio_set, IOPRIO_WHO_SELF, 0, IOPRIO_IDLE);
}

static void *work(void *argument)
{
	struct npf_compress *compress = argument;
	struct timespec cpu;

	be_modest();
	pthread_mutex_lock(&compress->lock);
	while (compress->n || !compress->closing) {
		struct entry entry;

		if (!compress->n) {
			pthread_cond_wait(&compress->changed, &compress->lock);
			continue;
		}
		entry = compress->queue[compress->first];
		pthread_mutex_unlock(&compress->lock);
		compress_one(compress, &entry);
		pthread_mutex_lock(&compress->lock);
		compress->first = (compress->first + 1) % NPF_COMPRESS_QUEUE;
		compress->n--;
		if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu))
			compress->report.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u +
						  (uint64_t)cpu.tv_nsec;
		pthread_cond_broadcast(&compress->changed);
	}
	pthread_mutex_unlock(&compress->lock);
	return NULL;
}

static void free_all(struct npf_compress *compress)
{
	ZSTD_freeCCtx(compress->context);
	free(compress->in);
	free(compress->out);
	free(compress);
}

int npf_compress_start(struct npf_compress **made, int directory, int level)
{
	struct npf_compress *compress = calloc(1, sizeof(*compress));
	pthread_condattr_t attributes;
	int err;

	if (!compress)
		return -ENOMEM;
	compress->directory = directory;
	compress->out_size = ZSTD_CStreamOutSize();
	compress->context = ZSTD_createCCtx();
	compress->in = malloc(READ_SIZE);
	compress->out = malloc(compress->out_size);
	if (!compress->context || !compress->in || !compress->out) {
		free_all(compress);
		return -ENOMEM;
	}
	ZSTD_CCtx_setParameter(compress->context, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(compress->context, ZSTD_c_checksumFlag, 1);
	pthread_mutex_init(&compress->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&compress->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	err = pthread_create(&compress->thread, NULL, work, compress);
	if (err) {
		free_all(compress);
		return -err;
	}
	*made = compress;
	return 0;
}

bool npf_compress_add(struct npf_compress *compress, const char *name, uint64_t number, bool replace)
{
	struct entry *entry;
	bool room;

	pthread_mutex_lock(&compress->lock);
	room = compress->n < NPF_COMPRESS_QUEUE && !atomic_load(&compress->hurry);
	if (room) {
		entry = &compress->queue[(compress->first + compress->n++) % NPF_COMPRESS_QUEUE];
		snprintf(entry->name, sizeof(entry->name), "%s", name);
		entry->number = number;
		entry->replace = replace;
		pthread_cond_broadcast(&compress->changed);
	} else {
		compress->report.left++;
	}
	pthread_mutex_unlock(&compress->lock);
	return room;
}

void npf_compress_forget(struct npf_compress *compress, uint64_t number)
{
	pthread_mutex_lock(&compress->lock);
	compress->forgotten = true;
	compress->last_forgotten = number;
	pthread_mutex_unlock(&compress->lock);
}

void npf_compress_get_report(struct npf_compress *compress, struct npf_compress_report *report)
{
	pthread_mutex_lock(&compress->lock);
	*report = compress->report;
	report->waiting = compress->n;
	pthread_mutex_unlock(&compress->lock);
}

static void be_quick(struct npf_compress *compress)
{
	struct sched_param none = { 0 };

	pthread_setschedparam(compress->thread, SCHED_OTHER, &none);
}

bool npf_compress_finish(struct npf_compress *compress, unsigned int wait_ms)
{
	struct timespec end;
	bool empty;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += wait_ms / 1000;
	end.tv_nsec += wait_ms % 1000 * 1000000L;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	pthread_mutex_lock(&compress->lock);
	if (!compress->closing)
		be_quick(compress);
	compress->closing = true;
	pthread_cond_broadcast(&compress->changed);
	while (compress->n && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&compress->changed, &compress->lock, &end);
	empty = !compress->n;
	pthread_mutex_unlock(&compress->lock);
	return empty;
}

void npf_compress_end(struct npf_compress *compress, struct npf_compress_report *report)
{
	pthread_mutex_lock(&compress->lock);
	atomic_store(&compress->hurry, true);
	compress->closing = true;
	pthread_cond_broadcast(&compress->changed);
	pthread_mutex_unlock(&compress->lock);
	pthread_join(compress->thread, NULL);
	if (report)
		*report = compress->report;
	pthread_cond_destroy(&compress->changed);
	pthread_mutex_destroy(&compress->lock);
	free_all(compress);
}
