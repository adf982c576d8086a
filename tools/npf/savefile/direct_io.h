/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing past the page cache.
 */
#ifndef NPF_DIRECT_IO_H
#define NPF_DIRECT_IO_H

#include <stdbool.h>
#include <stddef.h>

/* Is there anything behind the page cache? */
bool npf_direct_io_has_disk(int fd);
/* Turn O_DIRECT on or off; false: it could not be done, errno. */
bool npf_direct_io_set(int fd, bool on);

enum npf_direct_io { NPF_DIRECT_IO_WORKS, NPF_DIRECT_IO_FAILS, NPF_DIRECT_IO_UNKNOWN };
/* Does a directory take such files? Tried with a file that has no name and leaves nothing behind.
 * why_not: a sentence, unless it works. */
enum npf_direct_io npf_direct_io_try(const char *directory, char *why_not, size_t size);

#endif
