/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See dump_files.h. Two threads: the dump's, which calls next and done and must not wait for the
 * disk, and the finisher, which does nothing else. Between them a bounded queue of jobs.
 *
 * What others could do in a directory that they may write to: files are created and never
 * opened, links are not followed, and the directory is held by a descriptor from the first file on.
 */
#include "dump_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump_names.h"
#include "savefile/file_name.h"
#include "tool.h"
#include "ui/terminal.h"

#define QUEUE       256 /* jobs; each complete file holds a descriptor */
#define FEW         4   /* files that are synced one by one: beyond, the file system at once */
#define MOST_TAKEN  1000000u
#define DESCRIPTORS "/dev/fd/"

enum kind { BEGIN, FINISH, REMOVE };

struct job {
	enum kind kind;
	char name[NAME_MAX + 1]; /* final; empty: nothing to rename */
	struct npf_dump_file file;
};

struct npf_dump_files {
	struct npf_dump_files_options options;
	struct npf_names names;
	int directory; /* -1 before the first file */
	/* An older file of this name, or of the compressed one's, makes room when the new one is
	 * complete. */
	bool replace, replace_compressed;

	/* Of the dump's thread. */
	struct job current; /* the file at hand */
	uint64_t sequence;
	struct npf_name_ring ring;
	uint64_t begun;

	struct npf_compress *compress;
	pthread_t finisher;
	bool started;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	struct job queue[QUEUE];
	unsigned int first, n;
	bool closing;
	struct npf_dump_files_report report;
};

/* ---- setting up ------------------------------------------------------------------------------ */

bool npf_dump_files_inherited(const char *path, int *descriptor)
{
	uint64_t number;

	*descriptor = STDOUT_FILENO;
	if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
		return true;
	if (strncmp(path, DESCRIPTORS, strlen(DESCRIPTORS)))
		return false;
	*descriptor = npf_parse_number(path + strlen(DESCRIPTORS), 0, INT_MAX, &number)
			      ? (int)number
			      : -1;
	return true;
}

int npf_dump_files_init(struct npf_dump_files **made, const struct npf_dump_files_options *options,
			char error[NPF_ERROR_SIZE])
{
	struct npf_dump_files *files = calloc(1, sizeof(*files));
	int err = files ? 0 : -ENOMEM;

	if (!err) {
		files->options = *options;
		files->directory = -1;
		err = npf_names_init(&files->names, options->path, options->several, error);
	}
	if (!err) {
		err = npf_name_ring_init(&files->ring, options->keep);
		if (err)
			snprintf(error, NPF_ERROR_SIZE, "%s", strerror(-err));
	}
	if (err) {
		free(files);
		return err;
	}
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->changed, NULL);
	*made = files;
	return 0;
}

static int tell(int err, char error[NPF_ERROR_SIZE], const char *what, const char *why)
{
	char shown[NPF_PATH_SHOWN];

	snprintf(error, NPF_ERROR_SIZE, "%s: %.150s", npf_short_path(shown, what),
		 why ? why : strerror(-err));
	return err;
}

/* ---- the finisher ---------------------------------------------------------------------------- */

static void note_failure(struct npf_dump_files *files, const struct job *job, const char *what,
			 int err)
{
	static const char *const states[] = { "has begun", "is complete", "is removed" };
	struct npf_dump_files_report *report = &files->report;

	pthread_mutex_lock(&files->lock);
	if (!report->failed++) {
		report->error = err;
		snprintf(report->message, sizeof(report->message),
			 "%.150s %s but could not be %s: %s", *job->name ? job->name : "the output",
			 states[job->kind], what, strerror(-err));
	}
	pthread_mutex_unlock(&files->lock);
}

static bool is_regular(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISREG(status.st_mode);
}

/* Its end is no whole packet, and could not be cut off. */
static bool is_uncut(const struct job *job)
{
	struct stat status;

	return !fstat(job->file.fd, &status) && S_ISREG(status.st_mode) &&
	       (uint64_t)status.st_size > job->file.bytes;
}

enum naming { NAMED, KEPT, GONE };

/* Only a file that is complete gets its final name; what could not be cut waits for npf repair under
 * the name it has. */
static int give_name(const struct npf_dump_files *files, const struct job *job, const char *part)
{
	/* Not even the header could be written. */
	if (!job->file.bytes)
		return unlinkat(files->directory, part, 0) ? -errno : GONE;
	if (is_uncut(job))
		return KEPT;
	if (renameat2(files->directory, part, files->directory, job->name,
		      files->replace ? 0 : RENAME_NOREPLACE))
		return -errno;
	return NAMED;
}

static int sync_and_name(struct npf_dump_files *files, const struct job *job, const char *part,
			 bool synced)
{
	int err = synced || !fdatasync(job->file.fd) ? 0 : -errno;

	if (err) {
		note_failure(files, job, "synced; it keeps the suffix " NPF_PART_SUFFIX, err);
		return KEPT;
	}
	err = give_name(files, job, part);
	if (err >= 0)
		return err;
	note_failure(files, job, "renamed; it keeps the suffix " NPF_PART_SUFFIX, err);
	return KEPT;
}

/* What is said of a file names one that is there. */
static void correct_last(struct npf_dump_files *files, const struct job *job, const char *name)
{
	pthread_mutex_lock(&files->lock);
	if (!strcmp(files->report.last, job->name))
		snprintf(files->report.last, sizeof(files->report.last), "%s", name ? name : "");
	pthread_mutex_unlock(&files->lock);
}

static void finish_file(struct npf_dump_files *files, const struct job *job, bool synced)
{
	char part[sizeof(job->name) + sizeof(NPF_PART_SUFFIX)];
	const char *name = NULL;
	int naming = GONE;

	snprintf(part, sizeof(part), "%s" NPF_PART_SUFFIX, job->name);
	if (*job->name) {
		naming = sync_and_name(files, job, part, synced);
		name = naming == NAMED ? job->name : naming == KEPT ? part : NULL;
		correct_last(files, job, name);
	} else if (is_regular(job->file.fd) && fdatasync(job->file.fd)) {
		note_failure(files, job, "synced", -errno);
	}
	close(job->file.fd);
	if (files->options.finished)
		files->options.finished(files->options.arg, name, &job->file);
	if (files->compress && naming == NAMED)
		npf_compress_add(files->compress, job->name, job->file.number,
				 files->replace_compressed);
	pthread_mutex_lock(&files->lock);
	files->report.finished++;
	pthread_mutex_unlock(&files->lock);
}

/* Whatever became of it: complete, compressed, or neither when finishing failed. */
static void remove_file(struct npf_dump_files *files, const struct job *job)
{
	static const char *const suffixes[] = { "", NPF_ZSTD_SUFFIX, NPF_PART_SUFFIX };
	char name[sizeof(job->name) + 16];
	bool gone = false;

	if (files->compress)
		npf_compress_forget(files->compress, job->file.number);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", job->name, suffixes[i]);
		gone |= !unlinkat(files->directory, name, 0);
	}
	pthread_mutex_lock(&files->lock);
	files->report.removed += gone;
	pthread_mutex_unlock(&files->lock);
}

static const struct job *last_finished(const struct job *jobs, unsigned int n)
{
	for (unsigned int i = n; i--;) {
		if (jobs[i].kind == FINISH)
			return &jobs[i];
	}
	return NULL;
}

static unsigned int count_finished(const struct job *jobs, unsigned int n)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < n; i++)
		found += jobs[i].kind == FINISH;
	return found;
}

/* All that waits, with one sync of the directory in the end, which is all that a file that begins
 * wants: its name shall outlive a power cut. */
static void work_off(struct npf_dump_files *files, const struct job *jobs, unsigned int n)
{
	const struct job *last = last_finished(jobs, n);
	bool synced = count_finished(jobs, n) > FEW && files->directory >= 0 &&
		      !syncfs(files->directory);

	for (unsigned int i = 0; i < n; i++) {
		if (jobs[i].kind == FINISH)
			finish_file(files, &jobs[i], synced);
		else if (jobs[i].kind == REMOVE)
			remove_file(files, &jobs[i]);
	}
	if (files->directory >= 0 && fsync(files->directory))
		note_failure(files, last ? last : &jobs[n - 1], "made lasting", -errno);
}

static void *run_finisher(void *argument)
{
	static const unsigned int most = QUEUE / 4;
	struct npf_dump_files *files = argument;
	struct job jobs[QUEUE / 4];

	pthread_mutex_lock(&files->lock);
	while (files->n || !files->closing) {
		unsigned int n = files->n < most ? files->n : most;

		if (!n) {
			pthread_cond_wait(&files->changed, &files->lock);
			continue;
		}
		for (unsigned int i = 0; i < n; i++)
			jobs[i] = files->queue[(files->first + i) % QUEUE];
		files->first = (files->first + n) % QUEUE;
		files->n -= n;
		pthread_cond_broadcast(&files->changed);
		pthread_mutex_unlock(&files->lock);
		work_off(files, jobs, n);
		pthread_mutex_lock(&files->lock);
	}
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

/* Waits only when the disk is so slow that a hundred files are not finished. */
static void enqueue(struct npf_dump_files *files, const struct job *job)
{
	pthread_mutex_lock(&files->lock);
	while (files->n == QUEUE)
		pthread_cond_wait(&files->changed, &files->lock);
	files->queue[(files->first + files->n++) % QUEUE] = *job;
	pthread_cond_broadcast(&files->changed);
	pthread_mutex_unlock(&files->lock);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int start(struct npf_dump_files *files, char error[NPF_ERROR_SIZE])
{
	const struct npf_dump_files_options *options = &files->options;
	int descriptor, err;

	if (!npf_dump_files_inherited(options->path, &descriptor)) {
		files->directory = open(files->names.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (files->directory < 0)
			return tell(-errno, error, files->names.directory, NULL);
	}
	if (options->compress) {
		err = npf_compress_start(&files->compress, files->directory, options->compress);
		if (err)
			return tell(err, error, "cannot start compressing", NULL);
	}
	err = -pthread_create(&files->finisher, NULL, run_finisher, files);
	if (err)
		return tell(err, error, "cannot start a thread", NULL);
	files->started = true;
	return 0;
}

static bool exists(const struct npf_dump_files *files, const char *name, const char *suffix)
{
	char whole[NAME_MAX + 32];
	struct stat status;

	snprintf(whole, sizeof(whole), "%s%s", name, suffix);
	return !fstatat(files->directory, whole, &status, AT_SYMLINK_NOFOLLOW);
}

static int create(const struct npf_dump_files *files, const char *name)
{
	char part[NAME_MAX + 32];
	int fd;

	snprintf(part, sizeof(part), "%s" NPF_PART_SUFFIX, name);
	fd = openat(files->directory, part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;
	flock(fd,
	      LOCK_EX | LOCK_NB); /* so that npf repair leaves it alone; nobody else can have it */
	return fd;
}

/* A name that nobody has yet, be it ours of an earlier run: numbers go on from there. */
static int open_numbered(struct npf_dump_files *files, uint64_t time, char error[NPF_ERROR_SIZE])
{
	char *name = files->current.name;
	int err = -EEXIST;

	for (uint32_t i = 0; i < MOST_TAKEN && err == -EEXIST; i++) {
		err = npf_names_make(&files->names, ++files->sequence, time, name);
		if (err)
			break;
		if (exists(files, name, "") || exists(files, name, NPF_ZSTD_SUFFIX) ||
		    exists(files, name, NPF_ZSTD_SUFFIX NPF_PART_SUFFIX))
			err = -EEXIST;
		else
			err = create(files, name);
	}
	return err < 0 ? tell(err, error, *name ? name : files->options.path, NULL) : err;
}

/* Where others may put something, what stands there already is not to be trusted. */
static bool is_planted(const struct npf_dump_files *files, const struct stat *found)
{
	struct stat directory;

	if (fstat(files->directory, &directory))
		return true;
	return directory.st_mode & (S_IWGRP | S_IWOTH) && found->st_uid != geteuid();
}

/* A pipe or a device is written to as it is. */
static int open_special(struct npf_dump_files *files, const char *name, char error[NPF_ERROR_SIZE])
{
	int fd = openat(files->directory, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
	struct stat status;

	if (fd < 0)
		return tell(-errno, error, files->options.path, NULL);
	if (files->options.compress) {
		close(fd);
		return tell(-EINVAL, error, files->options.path,
			    "only regular files are compressed");
	}
	if (!fstat(fd, &status) && !S_ISREG(status.st_mode) && !is_planted(files, &status))
		return fd;
	close(fd);
	return tell(-EPERM, error, files->options.path,
		    "it belongs to somebody else, in a directory that others may write to");
}

/* NAME.zst of an earlier run makes room as NAME does, when the new one is complete. What that would
 * fail on is to be known before the dump, not after. */
static bool can_compress(struct npf_dump_files *files, const char *name)
{
	char whole[NAME_MAX + 32];
	struct stat status;

	snprintf(whole, sizeof(whole), "%s" NPF_ZSTD_SUFFIX, name);
	if (!fstatat(files->directory, whole, &status, AT_SYMLINK_NOFOLLOW)) {
		if (!S_ISREG(status.st_mode) || is_planted(files, &status))
			return false;
		files->replace_compressed = true;
	}
	return !exists(files, name, NPF_ZSTD_SUFFIX NPF_PART_SUFFIX);
}

static int open_single(struct npf_dump_files *files, uint64_t time, char error[NPF_ERROR_SIZE])
{
	char *name = files->current.name;
	const char *path = files->options.path;
	struct stat status;
	int err = npf_names_make(&files->names, ++files->sequence, time, name), fd;

	if (err)
		return tell(err, error, path, NULL);
	if (!fstatat(files->directory, name, &status, AT_SYMLINK_NOFOLLOW)) {
		if (S_ISLNK(status.st_mode))
			return tell(-ELOOP, error, path,
				    "a symbolic link, which is not followed; name the file itself");
		if (S_ISDIR(status.st_mode))
			return tell(-EISDIR, error, path, NULL);
		/* Before it is opened: a pipe without a reader would hold us for ever. */
		if (is_planted(files, &status))
			return tell(-EPERM, error, path,
				    "a file of somebody else, in a directory that others may "
				    "write to; remove it or take another name");
		if (!S_ISREG(status.st_mode)) {
			fd = open_special(files, name, error);
			*name = '\0';
			return fd;
		}
		if (!files->options.force && npf_file_is_precious(files->directory, name))
			return tell(-EEXIST, error, path,
				    "that is there and no savefile; --force replaces it");
		files->replace = true;
	}
	if (files->options.compress && !can_compress(files, name))
		return tell(-EEXIST, error, path,
			    "what its compressed file would replace is no file of yours, or its "
			    ".zst.part exists: another dump is writing it, or one was killed: remove "
			    "it or take another name");
	fd = create(files, name);
	if (fd == -EEXIST)
		return tell(fd, error, path,
			    "its .part exists: another dump is writing it, or one was killed: "
			    "npf repair --rename makes a file of that, or remove it");
	return fd < 0 ? tell(fd, error, path, NULL) : fd;
}

/* /dev/fd/N, as shells write >(command): a link, but to what the caller opened. */
static int open_descriptor(const struct npf_dump_files *files, int descriptor,
			   char error[NPF_ERROR_SIZE])
{
	const char *name = descriptor == STDOUT_FILENO ? "standard output" : files->options.path;
	int flags = fcntl(descriptor, F_GETFL), fd;

	/* The place of one that was closed is kept by what can be neither read nor written. */
	if (flags >= 0 && (flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY))
		return tell(-EBADF, error, name, NULL);
	fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? tell(-errno, error, name, NULL) : fd;
}

static int open_one(struct npf_dump_files *files, uint64_t time, char error[NPF_ERROR_SIZE])
{
	int descriptor;

	*files->current.name = '\0';
	if (npf_dump_files_inherited(files->options.path, &descriptor))
		return open_descriptor(files, descriptor, error);
	return files->names.counted ? open_numbered(files, time, error)
				    : open_single(files, time, error);
}

/* Make room before a file begins, so that there are never more than were asked for. */
static void remove_oldest(struct npf_dump_files *files)
{
	const char *oldest = npf_name_ring_pop(&files->ring);
	struct job job = { .kind = REMOVE };

	if (!oldest)
		return;
	snprintf(job.name, sizeof(job.name), "%s", oldest);
	job.file.number = files->begun - files->options.keep;
	enqueue(files, &job);
}

int npf_dump_files_next(void *argument, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	struct npf_dump_files *files = argument;
	int err = files->started ? 0 : start(files, error);

	if (err)
		return err;
	if (files->begun && !files->options.several)
		return 1;
	remove_oldest(files);
	file->fd = open_one(files, file->time, error);
	if (file->fd < 0)
		return file->fd;
	files->current.kind = BEGIN;
	enqueue(files, &files->current);
	files->current.kind = FINISH;
	npf_name_ring_push(&files->ring, files->current.name);
	files->begun++;
	pthread_mutex_lock(&files->lock);
	memcpy(files->report.last, files->current.name, sizeof(files->report.last));
	pthread_mutex_unlock(&files->lock);
	return 0;
}

void npf_dump_files_done(void *argument, const struct npf_dump_file *file)
{
	struct npf_dump_files *files = argument;

	files->current.file = *file;
	enqueue(files, &files->current);
}

/* ---- the end --------------------------------------------------------------------------------- */

void npf_dump_files_finish(struct npf_dump_files *files)
{
	if (!files->started)
		return;
	pthread_mutex_lock(&files->lock);
	files->closing = true;
	pthread_cond_broadcast(&files->changed);
	pthread_mutex_unlock(&files->lock);
	pthread_join(files->finisher, NULL);
	files->started = false;
}

bool npf_dump_files_compressed(struct npf_dump_files *files, unsigned int wait_ms)
{
	return !files->compress || npf_compress_finish(files->compress, wait_ms);
}

/* The newest file, by the name that it has by now. */
static void add_compression(struct npf_dump_files_report *report,
			    const struct npf_compress_report *compress)
{
	size_t length = strlen(report->last);

	report->compress = *compress;
	if (length && !strcmp(report->last, compress->last))
		snprintf(report->last + length, sizeof(report->last) - length, NPF_ZSTD_SUFFIX);
}

void npf_dump_files_get_report(struct npf_dump_files *files, struct npf_dump_files_report *report)
{
	struct npf_compress_report compress;

	pthread_mutex_lock(&files->lock);
	*report = files->report;
	pthread_mutex_unlock(&files->lock);
	if (!files->compress)
		return;
	npf_compress_get_report(files->compress, &compress);
	add_compression(report, &compress);
}

void npf_dump_files_free(struct npf_dump_files *files, struct npf_dump_files_report *report)
{
	struct npf_compress_report compress;

	npf_dump_files_finish(files);
	if (files->compress) {
		npf_compress_end(files->compress, &compress);
		add_compression(&files->report, &compress);
	}
	if (report)
		*report = files->report;
	if (files->directory >= 0)
		close(files->directory);
	npf_name_ring_free(&files->ring);
	pthread_cond_destroy(&files->changed);
	pthread_mutex_destroy(&files->lock);
	free(files);
}
