/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of a dump. A regular file is written past the page cache (O_DIRECT) where its file system
 * allows that; what is not whole pages goes through the cache, for which the flag is taken off for
 * a moment. Pipes, terminals and files that are appended to are written in sequence.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/linux/direct.h"
#include "host/linux/linux.h"
#include "host/linux/process.h"

#define PAGE 4096u

/* A pipe takes this much at once or says that it would wait. */
#define PIPE_STEP 4096u
#define FILE_STEP (1u << 20)
#define LOOK_MS   100 /* how often a sleeping writer looks whether it is to hurry, */
#define PATIENCE  20  /* and how many looks without progress it then waits for */

struct npf_file {
	struct npf_linux_host *host;
	uint32_t process; /* that writes it */
	int fd;
	int reader; /* the same file, where fd is for writing only; -1: not needed yet */
	int flags;  /* of the descriptor as it came */
	bool owned;
	char *created;          /* the path, where nothing was there before; else NULL */
	bool to_lock, to_empty; /* before the first write */
	bool regular;
	bool in_sequence;
	uint64_t base;  /* what stood in the file before, in sequence */
	uint64_t end;   /* bytes that were written */
	bool direct;    /* may be written past the page cache */
	bool direct_on; /* and the descriptor's flag says so now */
	bool aligned;   /* was direct at first */
	const char *why_not;
	const uint32_t *hurry;
};

/* ---- opening ------------------------------------------------------------------------------- */

static int switch_direct(struct npf_file *file, bool on)
{
	int flags = file->flags & ~(O_DIRECT | O_APPEND);

	if (file->direct_on == on)
		return 0;
	if (fcntl(file->fd, F_SETFL, on ? flags | O_DIRECT : flags))
		return -errno;
	file->direct_on = on;
	return 0;
}

static const char *try_direct(struct npf_file *file, bool wanted)
{
	const char *why = npf_why_not_direct(file->fd, PAGE);
	struct statfs system;

	if (!wanted)
		return "it was asked for";
	if (file->in_sequence)
		return file->regular ? "it is appended to a file" : "this is no regular file";
	/* Newer ones take the flag, and copy all the same. */
	if (!fstatfs(file->fd, &system) && system.f_type == TMPFS_MAGIC)
		return "tmpfs has no disk";
	if (why)
		return why;
	if (switch_direct(file, true))
		return "the file system cannot";
	file->direct = true;
	file->aligned = true;
	return NULL;
}

static struct npf_file *new_file(struct npf_host *host, int fd, bool owned, const uint32_t *hurry)
{
	struct npf_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	*file = (struct npf_file){
		.host = npf_linux_host_here(host),
		.process = npf_process_number(),
		.fd = fd,
		.reader = -1,
		.owned = owned,
		.hurry = hurry,
		.regular = true,
	};
	return file;
}

static int adopt(struct npf_host *host, int fd, bool direct, const uint32_t *hurry,
		 struct npf_file **out, char *error)
{
	struct stat status;
	int flags = fcntl(fd, F_GETFL);
	off_t at;

	if (flags < 0 || fstat(fd, &status))
		return npf_linux_error(error, -errno, "descriptor %d cannot be written to: %s", fd,
				       strerror(errno));
	if ((flags & O_ACCMODE) == O_RDONLY)
		return npf_linux_error(error, -EBADF, "descriptor %d is open for reading only", fd);

	struct npf_file *file = new_file(host, fd, false, hurry);

	if (!file)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	at = lseek(fd, 0, SEEK_CUR);
	file->flags = flags;
	file->regular = S_ISREG(status.st_mode) && at >= 0;
	file->in_sequence = !file->regular || status.st_size || flags & O_APPEND || at;
	file->base = (uint64_t)(flags & O_APPEND ? status.st_size : at);
	file->why_not = try_direct(file, direct);
	*out = file;
	return 0;
}

static bool is_locked(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

/* A file that exists is taken only if it is surely this user's: in a directory that others may
 * write to, somebody could have put it, or a link, in the place of the name. */
static int open_existing(const char *path, bool again, char *error)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 && errno == ELOOP)
		return npf_linux_error(error, -ELOOP,
				       "%.150s is a symbolic link: name the file itself", path);
	if (fd < 0)
		return npf_linux_error(error, -errno, "opening %.150s failed: %s", path,
				       strerror(errno));
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return npf_linux_error(error, -EINVAL, "%.150s is no regular file", path);
	}
	if (status.st_uid != geteuid()) {
		close(fd);
		return npf_linux_error(error, -EPERM,
				       "%.150s belongs to somebody else: choose another name",
				       path);
	}
	if (status.st_nlink != 1) {
		close(fd);
		return npf_linux_error(error, -EMLINK,
				       "%.150s has other names (hard links): choose another name",
				       path);
	}
	if (!again && is_locked(fd)) {
		close(fd);
		return npf_linux_error(error, -EBUSY,
				       "somebody else writes %.150s, or repairs it: choose another "
				       "name",
				       path);
	}
	return fd;
}

/* Who writes a file holds a lock on it: npf repair then leaves it alone. */
static int open_path(const char *path, bool again, bool *existed, char *error)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
	int fd = open(path, flags, S_IRUSR | S_IWUSR);

	*existed = fd < 0 && errno == EEXIST;
	if (*existed)
		return open_existing(path, again, error);
	if (fd >= 0) {
		flock(fd, LOCK_EX | LOCK_NB);
		return fd;
	}
	return npf_linux_error(error, -errno, "creating %.150s failed: %s", path, strerror(errno));
}

static int create(struct npf_host *host, const char *path, bool again, bool direct,
		  const uint32_t *hurry, struct npf_file **out, char *error)
{
	bool existed;
	int fd = open_path(path, again, &existed, error);

	if (fd < 0)
		return fd;

	struct npf_file *file = new_file(host, fd, true, hurry);

	if (!file) {
		if (!existed)
			unlink(path);
		close(fd);
		return npf_linux_error(error, -ENOMEM, "out of memory");
	}
	file->flags = fcntl(fd, F_GETFL);
	file->created = existed ? NULL : strdup(path);
	file->to_empty = existed;
	file->to_lock = existed && again;
	file->why_not = try_direct(file, direct);
	*out = file;
	return 0;
}

static void give_back(struct npf_file *file)
{
	fcntl(file->fd, F_SETFL, file->flags);
	/* Whoever writes to it next does so behind us. */
	if (file->regular && !file->in_sequence)
		lseek(file->fd, (off_t)file->end, SEEK_SET);
}

/* A name that we made, and nothing came of it. */
static void remove_created(const struct npf_file *file)
{
	struct stat ours, there;

	if (!file->created || file->end || fstat(file->fd, &ours) || lstat(file->created, &there))
		return;
	if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		unlink(file->created);
}

/* Nobody else will sync it and hear of what the kernel met when it wrote back. */
static int close_own(struct npf_file *file)
{
	int err = file->end && fdatasync(file->fd) ? -errno : 0;

	remove_created(file);
	if (close(file->fd) && errno != EINTR && !err)
		err = -errno;
	free(file->created);
	return err;
}

/* In a fork: the opening is the parent's as well, with its flags and its place. */
static void let_go(struct npf_file *file)
{
	if (file->owned)
		close(file->fd);
	free(file->created);
}

static int close_file(struct npf_file *file)
{
	bool here = file->process == npf_process_number();
	int err = 0;

	if (here)
		npf_syncer_drain(&file->host->syncer, file);
	if (!here)
		let_go(file);
	else if (file->owned)
		err = close_own(file);
	else
		give_back(file);
	if (file->reader >= 0)
		close(file->reader);
	free(file);
	return err;
}

/* What stood there before goes when something comes in its place. */
static int take_over(struct npf_file *file)
{
	if (file->to_lock && is_locked(file->fd))
		return -EBUSY;
	file->to_lock = false;
	if (file->to_empty && ftruncate(file->fd, 0))
		return -errno;
	file->to_empty = false;
	return 0;
}

/* ---- asking -------------------------------------------------------------------------------- */

static uint32_t alignment(struct npf_file *file)
{
	return file->aligned ? PAGE : 1;
}

static const char *why_not_direct(struct npf_file *file)
{
	return file->why_not;
}

/* ---- writing in sequence ------------------------------------------------------------------- */

/* Until there is room. The reader may never come again; who wants to end waits a while only. */
static int wait_for_room(struct npf_file *file)
{
	struct pollfd pipe = { .fd = file->fd, .events = POLLOUT };

	for (int looks = 0; looks < PATIENCE;) {
		int n = poll(&pipe, 1, LOOK_MS);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		looks += __atomic_load_n(file->hurry, __ATOMIC_RELAXED) != 0;
	}
	return -ETIMEDOUT;
}

static int write_in_sequence(struct npf_file *file, const uint8_t *data, size_t size,
			     size_t *written)
{
	const size_t step = file->regular ? FILE_STEP : PIPE_STEP;

	while (*written < size) {
		size_t left = size - *written;
		int err = file->regular ? 0 : wait_for_room(file);

		if (err)
			return err;

		ssize_t n = write(file->fd, data + *written, left < step ? left : step);

		if (n >= 0)
			*written += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

/* ---- writing at a place -------------------------------------------------------------------- */

static bool can_go_directly(const struct npf_file *file, const void *data, size_t size,
			    uint64_t offset)
{
	return file->direct && !(((uintptr_t)data | size | offset) & (PAGE - 1));
}

static int write_at(struct npf_file *file, const void *data, size_t size, uint64_t offset,
		    size_t *written)
{
	bool refused = false;

	while (*written < size) {
		const uint8_t *from = (const uint8_t *)data + *written;
		bool direct = !refused &&
			      can_go_directly(file, from, size - *written, offset + *written);
		int err = switch_direct(file, direct);

		if (err)
			return err;

		ssize_t n = pwrite(file->fd, from, size - *written, (off_t)(offset + *written));

		if (n > 0) {
			*written += (size_t)n;
		} else if (n < 0 && errno == EINVAL && direct) {
			refused = true;
		} else if (n == 0 || errno != EINTR) {
			return n ? -errno : -EIO;
		}
	}
	/* What a limit of the file's size shortened was refused, too; but it does not get here. */
	if (refused) {
		file->direct = false;
		file->why_not = "the file system refused it";
	}
	return 0;
}

static int write_file(struct npf_file *file, const void *data, size_t size, uint64_t offset,
		      size_t *written)
{
	int err = take_over(file);

	*written = 0;
	if (err)
		return err;
	err = file->in_sequence ? write_in_sequence(file, data, size, written)
				: write_at(file, data, size, offset, written);
	if (offset + *written > file->end)
		file->end = offset + *written;
	return err;
}

/* A shell's > and >> open for writing only. */
static int reading_end(struct npf_file *file)
{
	char path[32];

	if ((file->flags & O_ACCMODE) == O_RDWR)
		return file->fd;
	if (file->reader < 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
		file->reader = open(path, O_RDONLY | O_CLOEXEC);
	}
	return file->reader;
}

static int read_file(struct npf_file *file, void *data, size_t size, uint64_t offset)
{
	size_t done = 0;
	int err = file->regular ? switch_direct(file, false) : -ESPIPE;
	int fd = err ? -1 : reading_end(file);

	offset += file->base;
	while (!err && done < size) {
		ssize_t n = pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			err = n ? -errno : -EIO;
	}
	return err;
}

/* In sequence: unless it is no file, or somebody else has written behind us. */
static int may_be_cut(const struct npf_file *file)
{
	struct stat status;

	if (!file->in_sequence)
		return 0;
	if (!file->regular)
		return -ESPIPE;
	if (fstat(file->fd, &status))
		return -errno;
	return (uint64_t)status.st_size == file->base + file->end ? 0 : -EBUSY;
}

static int truncate_file(struct npf_file *file, uint64_t size)
{
	off_t end = (off_t)(file->base + size);
	int err = take_over(file);

	if (!err)
		err = may_be_cut(file);
	if (err)
		return err;
	if (ftruncate(file->fd, end) || (file->in_sequence && lseek(file->fd, end, SEEK_SET) < 0))
		return -errno;
	file->end = size;
	return 0;
}

static int sync_file(struct npf_file *file)
{
	return file->regular ? npf_syncer_add(&file->host->syncer, file, file->fd) : 0;
}

const struct npf_file_ops npf_linux_files = {
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
