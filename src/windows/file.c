/* SPDX-License-Identifier: BSD-3-Clause */
/* Files by handles. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "objects.h"

#define MODE 0666

/* ---- opening ------------------------------------------------------------------------------- */

static int access_flags(DWORD access)
{
	switch (access & (GENERIC_READ | GENERIC_WRITE)) {
	case GENERIC_READ | GENERIC_WRITE:
		return O_RDWR | O_CLOEXEC;
	case GENERIC_WRITE:
		return O_WRONLY | O_CLOEXEC;
	}
	return O_RDONLY | O_CLOEXEC;
}

/* A file that is there is told as an error, of a call that succeeded. */
static int create_or_open(LPCSTR name, int flags, int truncate)
{
	int fd = open(name, flags | O_CREAT | O_EXCL, MODE);
	bool existed = fd < 0 && errno == EEXIST;

	if (existed)
		fd = open(name, flags | truncate);
	if (fd >= 0)
		SetLastError(existed ? ERROR_ALREADY_EXISTS : NO_ERROR);
	return fd;
}

static int open_as(LPCSTR name, DWORD disposition, int flags)
{
	switch (disposition) {
	case CREATE_NEW:
		return open(name, flags | O_CREAT | O_EXCL, MODE);
	case CREATE_ALWAYS:
		return create_or_open(name, flags, O_TRUNC);
	case OPEN_EXISTING:
		return open(name, flags);
	case OPEN_ALWAYS:
		return create_or_open(name, flags, 0);
	case TRUNCATE_EXISTING:
		return open(name, flags | O_TRUNC);
	}
	SetLastError(ERROR_INVALID_PARAMETER);
	return -1;
}

HANDLE CreateFileA(LPCSTR name, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES security,
		   DWORD disposition, DWORD flags, HANDLE copy)
{
	const struct object object = { .kind = OBJECT_FILE };
	HANDLE handle;
	DWORD error;
	int fd;

	(void)share;
	(void)security;
	(void)copy;
	if (flags & FILE_FLAG_OVERLAPPED) {
		SetLastError(ERROR_NOT_SUPPORTED);
		return INVALID_HANDLE_VALUE;
	}
	fd = open_as(name, disposition, access_flags(access));
	error = GetLastError();
	handle = object_adopt(&object, fd);
	if (handle)
		SetLastError(error);
	return handle ? handle : INVALID_HANDLE_VALUE;
}

BOOL DeleteFileA(LPCSTR name)
{
	return !unlink(name);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static BOOL answer(ssize_t n, LPDWORD done, LPOVERLAPPED overlapped)
{
	if (done)
		*done = n > 0 ? (DWORD)n : 0;
	if (overlapped)
		SetLastError(ERROR_NOT_SUPPORTED);
	return n >= 0 && !overlapped;
}

BOOL ReadFile(HANDLE file, LPVOID to, DWORD n, LPDWORD done, LPOVERLAPPED overlapped)
{
	ssize_t got;

	do {
		got = overlapped ? 0 : read(NPF_HANDLE_DESCRIPTOR(file), to, n);
	} while (got < 0 && errno == EINTR);
	return answer(got, done, overlapped);
}

/* All of it, as there. */
BOOL WriteFile(HANDLE file, LPCVOID from, DWORD n, LPDWORD done, LPOVERLAPPED overlapped)
{
	ssize_t written = 0, part;

	while (!overlapped && written < (ssize_t)n) {
		part = write(NPF_HANDLE_DESCRIPTOR(file), (const char *)from + written,
			     n - (size_t)written);
		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return answer(part, done, overlapped);
		written += part;
	}
	return answer(written, done, overlapped);
}

BOOL FlushFileBuffers(HANDLE file)
{
	return !fsync(NPF_HANDLE_DESCRIPTOR(file));
}

DWORD SetFilePointer(HANDLE file, LONG distance, PLONG high, DWORD from)
{
	static const int places[] = { SEEK_SET, SEEK_CUR, SEEK_END };
	off_t by = high ? (off_t)((uint64_t)(DWORD)*high << 32 | (DWORD)distance) : distance;
	off_t at;

	if (from > FILE_END) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return INVALID_SET_FILE_POINTER;
	}
	at = lseek(NPF_HANDLE_DESCRIPTOR(file), by, places[from]);
	if (at < 0)
		return INVALID_SET_FILE_POINTER;
	if (high)
		*high = (LONG)(at >> 32);
	SetLastError(NO_ERROR);
	return (DWORD)at;
}

DWORD GetFileSize(HANDLE file, LPDWORD high)
{
	struct stat status;

	if (fstat(NPF_HANDLE_DESCRIPTOR(file), &status))
		return INVALID_FILE_SIZE;
	if (high)
		*high = (DWORD)(status.st_size >> 32);
	SetLastError(NO_ERROR);
	return (DWORD)status.st_size;
}
