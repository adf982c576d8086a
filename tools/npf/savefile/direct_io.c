/* SPDX-License-Identifier: BSD-3-Clause */
/* See direct_io.h. */
#include "direct_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/linux/direct.h"

#define PAGE 4096

/* tmpfs takes the flag since Linux 6.6, and copies all the same. */
bool npf_direct_io_has_disk(int fd)
{
	struct statfs system;

	return !fstatfs(fd, &system) && system.f_type != TMPFS_MAGIC;
}

bool npf_direct_io_set(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

static int write_page(int fd)
{
	void *page;
	ssize_t n;

	if (posix_memalign(&page, PAGE, PAGE))
		return ENOMEM;
	memset(page, 0, PAGE);
	n = pwrite(fd, page, PAGE, 0);
	free(page);
	return n == PAGE ? 0 : n < 0 ? errno : EIO;
}

enum npf_direct_io npf_direct_io_try(const char *directory, char *why_not, size_t size)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), err;
	const char *why;

	if (fd < 0) {
		snprintf(why_not, size, "not known: no file can be made here: %s", strerror(errno));
		return NPF_DIRECT_IO_UNKNOWN;
	}
	why = npf_direct_io_has_disk(fd) ? npf_why_not_direct(fd, PAGE) : "tmpfs has no disk";
	if (why) {
		snprintf(why_not, size, "%s", why);
		close(fd);
		return NPF_DIRECT_IO_FAILS;
	}
	err = npf_direct_io_set(fd, true) ? write_page(fd) : errno;
	if (err)
		snprintf(why_not, size, "the file system cannot: %s", strerror(err));
	close(fd);
	return err ? NPF_DIRECT_IO_FAILS : NPF_DIRECT_IO_WORKS;
}
