/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last error is errno, told in Windows' numbers. Codes that have no errno are kept in it above
 * a mark, so that what a program set is what it gets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "windows.h"

#define OURS 0x40000000

/* The first row of an errno, or of a code, is the one that counts. */
static const struct {
	DWORD code;
	int error;
} codes[] = {
	{ ERROR_SUCCESS, 0 },
	{ ERROR_INVALID_FUNCTION, ENOTTY },
	{ ERROR_FILE_NOT_FOUND, ENOENT },
	{ ERROR_PATH_NOT_FOUND, ENOTDIR },
	{ ERROR_TOO_MANY_OPEN_FILES, EMFILE },
	{ ERROR_TOO_MANY_OPEN_FILES, ENFILE },
	{ ERROR_ACCESS_DENIED, EPERM },
	{ ERROR_ACCESS_DENIED, EACCES },
	{ ERROR_INVALID_HANDLE, EBADF },
	{ ERROR_NOT_ENOUGH_MEMORY, ENOMEM },
	{ ERROR_BAD_UNIT, ENODEV },
	{ ERROR_GEN_FAILURE, EIO },
	{ ERROR_NOT_SUPPORTED, ENOTSUP },
	{ ERROR_NOT_SUPPORTED, ENOSYS },
	{ ERROR_FILE_EXISTS, EEXIST },
	{ ERROR_INVALID_PARAMETER, EINVAL },
	{ ERROR_DISK_FULL, ENOSPC },
	{ ERROR_INSUFFICIENT_BUFFER, ENOBUFS },
	{ ERROR_BUSY, EBUSY },
	{ ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG },
	{ ERROR_MORE_DATA, EMSGSIZE },
	{ ERROR_OPERATION_ABORTED, ECANCELED },
	{ ERROR_OPERATION_ABORTED, EINTR },
	{ ERROR_NETWORK_DOWN, ENETDOWN },
	{ ERROR_TIMEOUT, ETIMEDOUT },
	{ ERROR_DEVICE_REMOVED, ENXIO },
};
#define N_CODES (sizeof(codes) / sizeof(codes[0]))

DWORD GetLastError(void)
{
	if (errno & OURS)
		return (DWORD)(errno & ~OURS);
	for (size_t i = 0; i < N_CODES; i++) {
		if (codes[i].error == errno)
			return codes[i].code;
	}
	return ERROR_GEN_FAILURE;
}

void SetLastError(DWORD code)
{
	for (size_t i = 0; i < N_CODES; i++) {
		if (codes[i].code == code) {
			errno = codes[i].error;
			return;
		}
	}
	errno = (int)(code & (OURS - 1)) | OURS;
}

static const char *text_of(DWORD code)
{
	for (size_t i = 0; i < N_CODES; i++) {
		if (codes[i].code == code)
			return strerror(codes[i].error);
	}
	return NULL;
}

DWORD FormatMessageA(DWORD flags, LPCVOID source, DWORD message, DWORD language, LPSTR buffer,
		     DWORD size, va_list *arguments)
{
	const char *known = text_of(message);
	char text[128];
	int n = known ? snprintf(text, sizeof(text), "%s.\r\n", known)
		      : snprintf(text, sizeof(text), "Error %u.\r\n", message);

	(void)source;
	(void)language;
	(void)arguments;
	if (!(flags & FORMAT_MESSAGE_FROM_SYSTEM) || !buffer || n < 0) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return 0;
	}
	if (flags & FORMAT_MESSAGE_ALLOCATE_BUFFER) {
		char *copy = strdup(text);

		/* There `buffer` is the address of the caller's pointer. */
		memcpy(buffer, &copy, sizeof(copy));
		/* cppcheck-suppress memleak ; the caller frees it with LocalFree() */
		return copy ? (DWORD)n : 0;
	}
	if ((DWORD)n >= size) {
		SetLastError(ERROR_INSUFFICIENT_BUFFER);
		return 0;
	}
	memcpy(buffer, text, (size_t)n + 1);
	return (DWORD)n;
}

HLOCAL LocalFree(HLOCAL memory)
{
	free(memory);
	return NULL;
}
