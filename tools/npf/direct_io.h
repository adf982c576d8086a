/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does a directory take files that are written past the page cache?
 */
#ifndef NPF_DIRECT_IO_H
#define NPF_DIRECT_IO_H

#include <stdbool.h>
#include <stddef.h>

/* Tried with a file that has no name and leaves nothing behind. Why not: a sentence. */
bool npf_direct_io_works(const char *directory, char *why_not, size_t size);

#endif
