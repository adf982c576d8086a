/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel says of direct I/O on a file: for the dump, and for npf, which tries a disk. */
#ifndef NPF_HOST_LINUX_DIRECT_H
#define NPF_HOST_LINUX_DIRECT_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Some take O_DIRECT and copy all the same, or refuse what is not aligned to more than a page. The
 * kernel tells since 6.1. NULL: nothing against it. */
static inline const char *npf_why_not_direct(int fd, uint32_t page)
{
#ifdef STATX_DIOALIGN
	struct statx what;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &what) || !(what.stx_mask & STATX_DIOALIGN))
		return NULL;
	if (!what.stx_dio_mem_align || !what.stx_dio_offset_align)
		return "the file system cannot, for this file";
	if (what.stx_dio_mem_align > page || what.stx_dio_offset_align > page)
		return "the file system wants larger pieces than a page";
#else
	(void)fd;
	(void)page;
#endif
	return NULL;
}

#endif
