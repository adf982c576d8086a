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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/linux/linux.h"

#define PAGE 4096u

/* A pipe takes this much at once or says that it would wait. */
#define PIPE_STEP 4096u
#define LOOK_MS   100 /* how often a sleeping writer looks whether it is to hurry, */
#define PATIENCE  20  /* and how many looks without progress it then waits for */

struct npf_file {
	int fd;
	int flags; /* of the descriptor as it came */
	bool owned;
	bool in_sequence;
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
	struct statfs system;

	if (!wanted)
		return "it was asked for";
	if (file->in_sequence)
		return "this is no regular file";
	/* Newer ones take the flag, and copy all the same. */
	if (!fstatfs(file->fd, &system) && system.f_type == TMPFS_MAGIC)
		return "tmpfs has no disk";
	if (switch_direct(file, true))
		return "the file system cannot";
	file->direct = true;
	file->aligned = true;
	return NULL;
}

static struct npf_file *new_file(int fd, bool owned, const uint32_t *hurry)
{
	struct npf_file *file = calloc(1, sizeof(*file));

	if (file)
		*file = (struct npf_file){ .fd = fd, .owned = owned, .hurry = hurry };
	return file;
}

static int adopt(struct npf_host *host, int fd, bool direct, const uint32_t *hurry,
		 struct npf_file **out, char *error)
{
	struct stat status;
	int flags = fcntl(fd, F_GETFL);

	(void)host;
	if (flags < 0 || fstat(fd, &status))
		return npf_linux_error(error, -errno, "descriptor %d cannot be written to: %s", fd,
				       strerror(errno));
	if ((flags & O_ACCMODE) == O_RDONLY)
		return npf_linux_error(error, -EBADF, "descriptor %d is open for reading only", fd);

	struct npf_file *file = new_file(fd, false, hurry);

	if (!file)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	file->flags = flags;
	file->in_sequence = !S_ISREG(status.st_mode) || status.st_size || flags & O_APPEND ||
			    lseek(fd, 0, SEEK_CUR);
	file->why_not = try_direct(file, direct);
	*out = file;
	return 0;
}

/* A file that exists is emptied only if it is surely this user's: in a directory that others may
 * write to, somebody could have put it, or a link, in the place of the name. */
static int open_existing(const char *path, char *error)
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
	if (ftruncate(fd, 0)) {
		int err = -errno;

		close(fd);
		return npf_linux_error(error, err, "emptying %.150s failed: %s", path,
				       strerror(-err));
	}
	return fd;
}

static int open_path(const char *path, char *error)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
	int fd = open(path, flags, S_IRUSR | S_IWUSR);

	if (fd >= 0)
		return fd;
	if (errno == EEXIST)
		return open_existing(path, error);
	return npf_linux_error(error, -errno, "creating %.150s failed: %s", path, strerror(errno));
}

static int create(struct npf_host *host, const char *path, bool direct, const uint32_t *hurry,
		  struct npf_file **out, char *error)
{
	int fd = open_path(path, error);

	(void)host;
	if (fd < 0)
		return fd;

	struct npf_file *file = new_file(fd, true, hurry);

	if (!file) {
		close(fd);
		return npf_linux_error(error, -ENOMEM, "out of memory");
	}
	file->flags = fcntl(fd, F_GETFL);
	file->why_not = try_direct(file, direct);
	*out = file;
	return 0;
}

static void close_file(struct npf_file *file)
{
	if (file->owned)
		close(file->fd);
	else
		fcntl(file->fd, F_SETFL, file->flags);
	free(file);
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
	while (*written < size) {
		size_t left = size - *written;
		int err = wait_for_room(file);

		if (err)
			return err;

		ssize_t n = write(file->fd, data + *written, left < PIPE_STEP ? left : PIPE_STEP);

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

static int write_file(struct npf_file *file, const void *data, size_t size, uint64_t offset,
		      size_t *written)
{
	*written = 0;
	if (file->in_sequence)
		return write_in_sequence(file, data, size, written);
	while (*written < size) {
		const uint8_t *from = (const uint8_t *)data + *written;
		bool direct = can_go_directly(file, from, size - *written, offset + *written);
		int err = switch_direct(file, direct);

		if (err)
			return err;

		ssize_t n = pwrite(file->fd, from, size - *written, (off_t)(offset + *written));

		if (n > 0) {
			*written += (size_t)n;
		} else if (n < 0 && errno == EINVAL && direct) {
			file->direct = false;
			file->why_not = "the file system refused it";
		} else if (n == 0 || errno != EINTR) {
			return n ? -errno : -EIO;
		}
	}
	return 0;
}

static int read_file(struct npf_file *file, void *data, size_t size, uint64_t offset)
{
	size_t done = 0;
	int err = file->in_sequence ? -ESPIPE : switch_direct(file, false);

	while (!err && done < size) {
		ssize_t n = pread(file->fd, (uint8_t *)data + done, size - done,
				  (off_t)(offset + done));

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			err = n ? -errno : -EIO;
	}
	return err;
}

static int truncate_file(struct npf_file *file, uint64_t size)
{
	if (file->in_sequence)
		return -ESPIPE;
	return ftruncate(file->fd, (off_t)size) ? -errno : 0;
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
};
