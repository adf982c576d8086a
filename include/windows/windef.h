/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The types of Windows' headers, with their sizes there: LONG, ULONG and DWORD have 32 bits. For
 * programs that were written for WinPcap; only what `pkg-config --cflags wpcap` names sees it.
 */
#ifndef NPF_WINDEF_H
#define NPF_WINDEF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <wchar.h>

/* #pragma comment(lib, ...) and #pragma warning(...) mean nothing here. */
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

/* ---- words of the compiler ----------------------------------------------------------------- */

#define WINAPI
#define WINAPIV
#define APIENTRY
#define CALLBACK
#define PASCAL
#define __cdecl
#define __stdcall
#define __fastcall
#define _cdecl
#define _stdcall
/* What is not among these is an error, so that nothing that matters is lost. */
#define __declspec(what) npf_declspec_##what
#define npf_declspec_align(n)   __attribute__((aligned(n)))
#define npf_declspec_deprecated __attribute__((deprecated))
#define npf_declspec_dllexport
#define npf_declspec_dllimport
#define npf_declspec_noinline __attribute__((noinline))
#define npf_declspec_noreturn __attribute__((noreturn))
#define npf_declspec_nothrow
#define npf_declspec_thread __thread
#define DECLSPEC_IMPORT
#define __forceinline static inline
#ifndef __cplusplus
#define _inline inline
#endif
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define FAR
#define NEAR

/* ---- integers ------------------------------------------------------------------------------ */

#define VOID void
typedef char CHAR;
typedef signed char INT8;
typedef unsigned char UCHAR, BYTE, UINT8, BOOLEAN;
typedef int16_t SHORT, INT16;
typedef uint16_t USHORT, WORD, UINT16;
typedef int32_t LONG, INT32, LONG32;
typedef uint32_t ULONG, DWORD, UINT32, ULONG32, DWORD32;
typedef int INT, BOOL;
typedef unsigned int UINT;
__extension__ typedef long long LONGLONG, LONG64, INT64;
__extension__ typedef unsigned long long ULONGLONG, DWORDLONG, ULONG64, DWORD64, UINT64;
typedef intptr_t LONG_PTR, INT_PTR, SSIZE_T;
typedef uintptr_t ULONG_PTR, UINT_PTR, DWORD_PTR;
typedef size_t SIZE_T;
typedef float FLOAT;
typedef wchar_t WCHAR;
typedef int errno_t;

typedef CHAR *PCHAR, *LPSTR, *PSTR, *LPCH;
typedef const CHAR *LPCSTR, *PCSTR, *LPCCH, *PCCH;
typedef WCHAR *PWCHAR, *LPWSTR, *PWSTR;
typedef const WCHAR *LPCWSTR, *PCWSTR;
typedef UCHAR *PUCHAR;
typedef BYTE *PBYTE, *LPBYTE;
typedef BOOLEAN *PBOOLEAN;
typedef BOOL *PBOOL, *LPBOOL;
typedef SHORT *PSHORT;
typedef USHORT *PUSHORT;
typedef WORD *PWORD, *LPWORD;
typedef INT *PINT, *LPINT;
typedef UINT *PUINT;
typedef LONG *PLONG, *LPLONG;
typedef ULONG *PULONG;
typedef DWORD *PDWORD, *LPDWORD;
typedef LONGLONG *PLONGLONG;
typedef ULONGLONG *PULONGLONG;
typedef void *PVOID, *LPVOID;
typedef const void *LPCVOID;

/* Generic text: narrow here. */
typedef CHAR TCHAR, *PTCHAR, *LPTSTR, *PTSTR;
typedef const CHAR *LPCTSTR, *PCTSTR;
#define TEXT(text) text

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef MAX_PATH
#define MAX_PATH 260
#endif
#define _MAX_PATH 4096

typedef union _LARGE_INTEGER {
	__extension__ struct {
		DWORD LowPart;
		LONG HighPart;
	};
	struct {
		DWORD LowPart;
		LONG HighPart;
	} u;
	LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
	__extension__ struct {
		DWORD LowPart;
		DWORD HighPart;
	};
	struct {
		DWORD LowPart;
		DWORD HighPart;
	} u;
	ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

/* ---- handles ------------------------------------------------------------------------------- */

/* What can be waited for is a descriptor in a pointer's clothes: poll() takes
 * NPF_HANDLE_DESCRIPTOR(handle), WaitForSingleObject() the handle. */
typedef void *HANDLE;
typedef HANDLE *PHANDLE, *LPHANDLE;
typedef HANDLE HINSTANCE, HMODULE, HWND, HKEY, HLOCAL, HGLOBAL;
typedef INT_PTR (*FARPROC)(void);
#define INVALID_HANDLE_VALUE          ((HANDLE)(LONG_PTR)-1)
#define NPF_HANDLE_DESCRIPTOR(handle) ((int)(LONG_PTR)(handle))

typedef struct _OVERLAPPED {
	ULONG_PTR Internal;
	ULONG_PTR InternalHigh;
	DWORD Offset;
	DWORD OffsetHigh;
	HANDLE hEvent;
} OVERLAPPED, *LPOVERLAPPED;

typedef struct _SECURITY_ATTRIBUTES {
	DWORD nLength;
	LPVOID lpSecurityDescriptor;
	BOOL bInheritHandle;
} SECURITY_ATTRIBUTES, *PSECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;

#define LOBYTE(w)      ((BYTE)((DWORD_PTR)(w)&0xFF))
#define HIBYTE(w)      ((BYTE)((DWORD_PTR)(w) >> 8 & 0xFF))
#define LOWORD(l)      ((WORD)((DWORD_PTR)(l)&0xFFFF))
#define HIWORD(l)      ((WORD)((DWORD_PTR)(l) >> 16 & 0xFFFF))
#define MAKEWORD(a, b) ((WORD)((BYTE)(a) | (WORD)(BYTE)(b) << 8))
#define MAKELONG(a, b) ((LONG)((WORD)(a) | (DWORD)(WORD)(b) << 16))

#endif
