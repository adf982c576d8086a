/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors under the names they have on Windows. Files are binary always. */
#ifndef NPF_IO_H
#define NPF_IO_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef O_BINARY
#define O_BINARY 0
#endif
#define O_TEXT    0
#define _O_BINARY O_BINARY
#define _O_TEXT   O_TEXT
#define _O_RDONLY O_RDONLY
#define _O_WRONLY O_WRONLY
#define _O_RDWR   O_RDWR
#define _O_CREAT  O_CREAT
#define _O_TRUNC  O_TRUNC
#define _O_APPEND O_APPEND
#define _O_EXCL   O_EXCL
#define _S_IREAD  0400
#define _S_IWRITE 0200

#define _open   open
#define _close  close
#define _read   read
#define _write  write
#define _lseek  lseek
#define _dup    dup
#define _dup2   dup2
#define _access access
#define _unlink unlink
#define _fileno fileno
#define _isatty isatty
#define _commit fsync

static __inline int _setmode(int fd, int mode)
{
	(void)fd;
	return mode;
}

#define setmode _setmode

#endif
