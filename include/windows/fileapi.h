/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files by handles, as far as programs around a capture write logs and read lists. Names are Linux'
 * names. windows.h brings this with it.
 */
#ifndef NPF_FILEAPI_H
#define NPF_FILEAPI_H

#include "windef.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GENERIC_READ              0x80000000u
#define GENERIC_WRITE             0x40000000u
#define FILE_SHARE_READ           0x1u
#define FILE_SHARE_WRITE          0x2u
#define FILE_SHARE_DELETE         0x4u
#define CREATE_NEW                1u
#define CREATE_ALWAYS             2u
#define OPEN_EXISTING             3u
#define OPEN_ALWAYS               4u
#define TRUNCATE_EXISTING         5u
#define FILE_ATTRIBUTE_NORMAL     0x80u
#define FILE_FLAG_SEQUENTIAL_SCAN 0x08000000u
#define FILE_FLAG_RANDOM_ACCESS   0x10000000u
#define FILE_BEGIN                0u
#define FILE_CURRENT              1u
#define FILE_END                  2u
#define INVALID_FILE_SIZE         0xFFFFFFFFu
#define INVALID_SET_FILE_POINTER  0xFFFFFFFFu

/* INVALID_HANDLE_VALUE on failure. share, security and copy mean nothing, nor do flags but
 * FILE_FLAG_OVERLAPPED, which is refused. Afterwards GetLastError() is ERROR_ALREADY_EXISTS where
 * CREATE_ALWAYS or OPEN_ALWAYS found a file. */
#define FILE_FLAG_OVERLAPPED 0x40000000u
HANDLE CreateFileA(LPCSTR name, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES security,
		   DWORD disposition, DWORD flags, HANDLE copy);
#define CreateFile CreateFileA

/* Any descriptor in a handle will do; overlapped must be NULL. At the end of a file *read is 0. */
BOOL ReadFile(HANDLE file, LPVOID to, DWORD n, LPDWORD read, LPOVERLAPPED overlapped);
BOOL WriteFile(HANDLE file, LPCVOID from, DWORD n, LPDWORD written, LPOVERLAPPED overlapped);
BOOL FlushFileBuffers(HANDLE file);

/* The lower half of the new place; *high, where it is not NULL, has the other in and out. */
DWORD SetFilePointer(HANDLE file, LONG distance, PLONG high, DWORD from);
DWORD GetFileSize(HANDLE file, LPDWORD high);

BOOL DeleteFileA(LPCSTR name);
#define DeleteFile DeleteFileA

#ifdef __cplusplus
}
#endif
#endif
