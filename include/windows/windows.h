/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What programs written for WinPcap use of Windows: time, threads, events and waiting, critical
 * sections, Ctrl-C, the last error, and Microsoft's additions to the C library. Functions are in
 * libwpcap-windows.a, which `pkg-config --libs wpcap` names.
 */
#ifndef NPF_WINDOWS_H
#define NPF_WINDOWS_H

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "windef.h"

#include "fileapi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the last error ------------------------------------------------------------------------ */

/* It lives in errno: GetLastError() says errno in Windows' numbers. */
DWORD GetLastError(void);
void SetLastError(DWORD error);

#define NO_ERROR                   0u
#define ERROR_SUCCESS              0u
#define ERROR_INVALID_FUNCTION     1u
#define ERROR_FILE_NOT_FOUND       2u
#define ERROR_PATH_NOT_FOUND       3u
#define ERROR_TOO_MANY_OPEN_FILES  4u
#define ERROR_ACCESS_DENIED        5u
#define ERROR_INVALID_HANDLE       6u
#define ERROR_NOT_ENOUGH_MEMORY    8u
#define ERROR_BAD_UNIT             20u
#define ERROR_GEN_FAILURE          31u
#define ERROR_NOT_SUPPORTED        50u
#define ERROR_FILE_EXISTS          80u
#define ERROR_INVALID_PARAMETER    87u
#define ERROR_DISK_FULL            112u
#define ERROR_INSUFFICIENT_BUFFER  122u
#define ERROR_BUFFER_OVERFLOW      111u
#define ERROR_BUSY                 170u
#define ERROR_ALREADY_EXISTS       183u
#define ERROR_FILENAME_EXCED_RANGE 206u
#define ERROR_NO_DATA              232u
#define ERROR_MORE_DATA            234u
#define ERROR_NOT_OWNER            288u
#define ERROR_TOO_MANY_POSTS       298u
#define ERROR_OPERATION_ABORTED    995u
#define ERROR_IO_DEVICE            1117u
#define ERROR_NETWORK_DOWN         1222u
#define ERROR_NO_SYSTEM_RESOURCES  1450u
#define ERROR_TIMEOUT              1460u
#define ERROR_DEVICE_REMOVED       1617u

#define FORMAT_MESSAGE_ALLOCATE_BUFFER 0x0100u
#define FORMAT_MESSAGE_IGNORE_INSERTS  0x0200u
#define FORMAT_MESSAGE_FROM_SYSTEM     0x1000u
#define LANG_NEUTRAL                   0
#define SUBLANG_DEFAULT                1
#define MAKELANGID(p, s)               ((WORD)((s) << 10 | (p)))
/* Only FORMAT_MESSAGE_FROM_SYSTEM. Characters written, 0 on failure. */
DWORD FormatMessageA(DWORD flags, LPCVOID source, DWORD message, DWORD language, LPSTR buffer,
		     DWORD size, va_list *arguments);
#define FormatMessage FormatMessageA
HLOCAL LocalFree(HLOCAL memory);

/* ---- time ---------------------------------------------------------------------------------- */

typedef struct _FILETIME {
	DWORD dwLowDateTime;
	DWORD dwHighDateTime;
} FILETIME, *PFILETIME, *LPFILETIME;

typedef struct _SYSTEMTIME {
	WORD wYear, wMonth, wDayOfWeek, wDay, wHour, wMinute, wSecond, wMilliseconds;
} SYSTEMTIME, *PSYSTEMTIME, *LPSYSTEMTIME;

void Sleep(DWORD ms);
DWORD GetTickCount(void);
ULONGLONG GetTickCount64(void);
BOOL SwitchToThread(void);
BOOL QueryPerformanceCounter(LARGE_INTEGER *count);
BOOL QueryPerformanceFrequency(LARGE_INTEGER *frequency);
void GetSystemTimeAsFileTime(LPFILETIME time);
void GetSystemTime(LPSYSTEMTIME time);
void GetLocalTime(LPSYSTEMTIME time);

/* ---- waiting ------------------------------------------------------------------------------- */

#define INFINITE             0xFFFFFFFFu
#define WAIT_OBJECT_0        0u
#define WAIT_TIMEOUT         258u
#define WAIT_FAILED          0xFFFFFFFFu
#define MAXIMUM_WAIT_OBJECTS 64

/* Handles of this header's objects, and any descriptor that poll() takes, such as the read event
 * of an adapter: that one is ready while it is readable. */
DWORD WaitForSingleObject(HANDLE handle, DWORD ms);
DWORD WaitForMultipleObjects(DWORD n, const HANDLE *handles, BOOL all, DWORD ms);

HANDLE CreateEventA(LPSECURITY_ATTRIBUTES security, BOOL manual_reset, BOOL set, LPCSTR name);
#define CreateEvent CreateEventA
BOOL SetEvent(HANDLE event);
BOOL ResetEvent(HANDLE event);

HANDLE CreateMutexA(LPSECURITY_ATTRIBUTES security, BOOL owned, LPCSTR name);
#define CreateMutex CreateMutexA
BOOL ReleaseMutex(HANDLE mutex);

HANDLE CreateSemaphoreA(LPSECURITY_ATTRIBUTES security, LONG count, LONG most, LPCSTR name);
#define CreateSemaphore CreateSemaphoreA
BOOL ReleaseSemaphore(HANDLE semaphore, LONG n, LPLONG before);

/* Of what this header created. The read event is its adapter's. */
BOOL CloseHandle(HANDLE handle);

/* ---- threads ------------------------------------------------------------------------------- */

typedef DWORD(WINAPI *LPTHREAD_START_ROUTINE)(LPVOID argument);
#define STILL_ACTIVE 259u

#define CREATE_SUSPENDED 0x04u
/* flags: 0, or CREATE_SUSPENDED until ResumeThread(); stack 0 is the system's default. */
HANDLE CreateThread(LPSECURITY_ATTRIBUTES security, SIZE_T stack, LPTHREAD_START_ROUTINE start,
		    LPVOID argument, DWORD flags, LPDWORD id);
void ExitThread(DWORD code) __attribute__((noreturn));
/* 1 when it was suspended, 0 when not, (DWORD)-1 when it is no thread. */
DWORD ResumeThread(HANDLE thread);
BOOL GetExitCodeThread(HANDLE thread, LPDWORD code);
/* The caller, or one that was not resumed yet. Of one that runs FALSE and ERROR_NOT_SUPPORTED: it may hold
 * a lock of the C library or of libwpcap. */
BOOL TerminateThread(HANDLE thread, DWORD code);
DWORD GetCurrentThreadId(void);

/* These two name the caller only. */
HANDLE GetCurrentThread(void);
HANDLE GetCurrentProcess(void);
#define THREAD_PRIORITY_IDLE          (-15)
#define THREAD_PRIORITY_LOWEST        (-2)
#define THREAD_PRIORITY_BELOW_NORMAL  (-1)
#define THREAD_PRIORITY_NORMAL        0
#define THREAD_PRIORITY_ABOVE_NORMAL  1
#define THREAD_PRIORITY_HIGHEST       2
#define THREAD_PRIORITY_TIME_CRITICAL 15
#define IDLE_PRIORITY_CLASS           0x40u
#define BELOW_NORMAL_PRIORITY_CLASS   0x4000u
#define NORMAL_PRIORITY_CLASS         0x20u
#define ABOVE_NORMAL_PRIORITY_CLASS   0x8000u
#define HIGH_PRIORITY_CLASS           0x80u
#define REALTIME_PRIORITY_CLASS       0x100u
/* As nice values; to raise one wants CAP_SYS_NICE. */
BOOL SetThreadPriority(HANDLE thread, int priority);
BOOL SetPriorityClass(HANDLE process, DWORD level);
DWORD GetCurrentProcessId(void);
void ExitProcess(UINT code) __attribute__((noreturn));

typedef pthread_mutex_t CRITICAL_SECTION, *PCRITICAL_SECTION, *LPCRITICAL_SECTION;
void InitializeCriticalSection(LPCRITICAL_SECTION section);
void DeleteCriticalSection(LPCRITICAL_SECTION section);
void EnterCriticalSection(LPCRITICAL_SECTION section);
BOOL TryEnterCriticalSection(LPCRITICAL_SECTION section);
void LeaveCriticalSection(LPCRITICAL_SECTION section);
#define InitializeCriticalSectionAndSpinCount(section, n)                                          \
	(InitializeCriticalSection(section), (void)(n), TRUE)

/* A value for each thread. */
#define TLS_OUT_OF_INDEXES 0xFFFFFFFFu
DWORD TlsAlloc(void);
BOOL TlsFree(DWORD index);
BOOL TlsSetValue(DWORD index, LPVOID value);
LPVOID TlsGetValue(DWORD index); /* NULL until it is set */

#define InterlockedIncrement(at)                 __sync_add_and_fetch((at), 1)
#define InterlockedDecrement(at)                 __sync_sub_and_fetch((at), 1)
#define InterlockedExchangeAdd(at, n)            __sync_fetch_and_add((at), (n))
#define InterlockedExchange(at, n)               __atomic_exchange_n((at), (n), __ATOMIC_SEQ_CST)
#define InterlockedCompareExchange(at, to, from) __sync_val_compare_and_swap((at), (from), (to))

/* ---- the console --------------------------------------------------------------------------- */

#define CTRL_C_EVENT        0u
#define CTRL_BREAK_EVENT    1u
#define CTRL_CLOSE_EVENT    2u
#define CTRL_LOGOFF_EVENT   5u
#define CTRL_SHUTDOWN_EVENT 6u
typedef BOOL(WINAPI *PHANDLER_ROUTINE)(DWORD event);

/* Handlers run in a thread of their own, the newest first, until one returns TRUE; when none does
 * the process ends. SIGINT, SIGQUIT, SIGHUP and SIGTERM are events 0, 1, 2 and 6. With NULL, add
 * TRUE ignores Ctrl-C. */
BOOL SetConsoleCtrlHandler(PHANDLER_ROUTINE handler, BOOL add);

#define STD_INPUT_HANDLE  ((DWORD)-10)
#define STD_OUTPUT_HANDLE ((DWORD)-11)
#define STD_ERROR_HANDLE  ((DWORD)-12)
HANDLE GetStdHandle(DWORD which);

typedef struct _COORD {
	SHORT X, Y;
} COORD, *PCOORD;
typedef struct _SMALL_RECT {
	SHORT Left, Top, Right, Bottom;
} SMALL_RECT, *PSMALL_RECT;
typedef struct _CONSOLE_SCREEN_BUFFER_INFO {
	COORD dwSize;
	COORD dwCursorPosition; /* 0,0: a terminal does not tell without being read from */
	WORD wAttributes;
	SMALL_RECT srWindow;
	COORD dwMaximumWindowSize;
} CONSOLE_SCREEN_BUFFER_INFO, *PCONSOLE_SCREEN_BUFFER_INFO;

#define FOREGROUND_BLUE      0x01
#define FOREGROUND_GREEN     0x02
#define FOREGROUND_RED       0x04
#define FOREGROUND_INTENSITY 0x08
#define BACKGROUND_BLUE      0x10
#define BACKGROUND_GREEN     0x20
#define BACKGROUND_RED       0x40
#define BACKGROUND_INTENSITY 0x80
/* FALSE where the handle is no terminal: nothing is written to files and pipes. */
BOOL GetConsoleScreenBufferInfo(HANDLE console, PCONSOLE_SCREEN_BUFFER_INFO info);
BOOL SetConsoleCursorPosition(HANDLE console, COORD position);
BOOL SetConsoleTextAttribute(HANDLE console, WORD attributes);
BOOL SetConsoleTitleA(LPCSTR title);
/* The locale says; programs ask for UTF-8 (65001). */
#define CP_ACP                   0u
#define CP_UTF8                  65001u
#define SetConsoleOutputCP(page) ((void)(page), TRUE)
#define SetConsoleCP(page)       ((void)(page), TRUE)
#define SetConsoleTitle          SetConsoleTitleA

/* ---- memory -------------------------------------------------------------------------------- */

/* One heap, malloc()'s. */
#define HEAP_ZERO_MEMORY 0x08u
#define GMEM_FIXED       0x00u
#define GMEM_MOVEABLE    0x02u
#define GMEM_ZEROINIT    0x40u
#define GPTR             0x40u
#define GHND             0x42u
#define LPTR             0x40u
HANDLE GetProcessHeap(void);
LPVOID HeapAlloc(HANDLE heap, DWORD flags, SIZE_T bytes);
BOOL HeapFree(HANDLE heap, DWORD flags, LPVOID memory);
HGLOBAL GlobalAlloc(UINT flags, SIZE_T bytes);
HGLOBAL GlobalFree(HGLOBAL memory);
HLOCAL LocalAlloc(UINT flags, SIZE_T bytes);
#define GlobalLock(memory)           ((LPVOID)(memory))
#define GlobalUnlock(memory)         TRUE
#define GlobalAllocPtr(flags, bytes) ((LPVOID)GlobalAlloc((flags), (bytes)))
#define GlobalFreePtr(memory)        GlobalFree((HGLOBAL)(memory))

/* ---- the system ---------------------------------------------------------------------------- */

/* 10.0, of the line of Windows NT. */
#define GetVersion() ((DWORD)10)

typedef struct _SYSTEM_INFO {
	DWORD dwPageSize;
	DWORD dwNumberOfProcessors;
} SYSTEM_INFO, *LPSYSTEM_INFO;
void GetSystemInfo(LPSYSTEM_INFO info);

/* "wpcap.dll" and "Packet.dll" are libwpcap and libpacket, whatever folder is named; else dlopen(). */
HMODULE LoadLibraryA(LPCSTR name);
FARPROC GetProcAddress(HMODULE library, LPCSTR name);
BOOL FreeLibrary(HMODULE library);
/* Of a library that is loaded already; NULL is the program. */
HMODULE GetModuleHandleA(LPCSTR name);
#define GetModuleHandle GetModuleHandleA
/* For a debugger that listens: on Linux none does. */
#define OutputDebugStringA(text) ((void)(text))
#define OutputDebugString        OutputDebugStringA
/* Programs look for Npcap's folder in it. The linker knows where our libraries are. */
UINT GetSystemDirectoryA(LPSTR to, UINT size);
#define SetDllDirectoryA(folder) ((void)(folder), TRUE)
#define LoadLibrary              LoadLibraryA
#define GetSystemDirectory       GetSystemDirectoryA
#define SetDllDirectory          SetDllDirectoryA

/* ---- Microsoft's additions to the C library ------------------------------------------------ */

#define __max(a, b) ((a) > (b) ? (a) : (b))
#define __min(a, b) ((a) < (b) ? (a) : (b))
#define _TRUNCATE   ((size_t)-1)
#define STRUNCATE   80
#define _countof(a) (sizeof(a) / sizeof((a)[0]))

/* Formats may have Microsoft's "%I64u". The C library would take its I for a flag and 64 for a width;
 * it gets "%llu", except in formats of a kilobyte, and in a call among the arguments of another. To have
 * its functions untouched, define NPF_FORMATS_AS_THEY_ARE before the first header. They are where the
 * compiler was told to keep to a standard (-std=c11; gnu11 is another matter) or has no such macros, and
 * where _FORTIFY_SOURCE makes macros of them already, for clang. */
#if defined(__STRICT_ANSI__) || defined(printf) ||                                                 \
	(__STDC_VERSION__ + 0 < 199901L && __cplusplus + 0 < 201103L)
#undef NPF_FORMATS_AS_THEY_ARE
#define NPF_FORMATS_AS_THEY_ARE
#endif
#ifndef NPF_FORMATS_AS_THEY_ARE
static __inline __attribute__((format_arg(1), unused)) const char *npf_format(const char *format)
{
	static __thread char texts[4][1024]; /* what computes the arguments may print too */
	static __thread unsigned int used;
	char *text = texts[used % 4], *to = text;

	if (!strstr(format, "I64") || strlen(format) >= sizeof(texts[0]))
		return format;
	used++;
	while (*format) {
		size_t flags = *format == '%' ? 1 + strspn(format + 1, "-+ #0123456789.*") : 0;
		size_t n = flags + !flags;

		if (flags && format[flags] == '%') {
			n++;
			flags = 0;
		}
		memcpy(to, format, n);
		to += n;
		format += n;
		if (flags && !strncmp(format, "I64", 3)) {
			to = (char *)memcpy(to, "ll", 2) + 2;
			format += 3;
		}
	}
	*to = '\0';
	return text;
}

#define printf(format, ...)            printf(npf_format(format), ##__VA_ARGS__)
#define fprintf(file, format, ...)     fprintf((file), npf_format(format), ##__VA_ARGS__)
#define sprintf(to, format, ...)       sprintf((to), npf_format(format), ##__VA_ARGS__)
#define snprintf(to, n, format, ...)   snprintf((to), (n), npf_format(format), ##__VA_ARGS__)
#define vprintf(format, list)          vprintf(npf_format(format), (list))
#define vfprintf(file, format, list)   vfprintf((file), npf_format(format), (list))
#define vsprintf(to, format, list)     vsprintf((to), npf_format(format), (list))
#define vsnprintf(to, n, format, list) vsnprintf((to), (n), npf_format(format), (list))
#endif

/* Always terminated, unlike there. */
#define _snprintf  snprintf
#define _vsnprintf vsnprintf
#define sprintf_s  snprintf
#define vsprintf_s vsnprintf
/* Behind the place for %s, %c and %[ is its size. A word that is too long is cut there. */
int sscanf_s(const char *text, const char *format, ...);
int scanf_s(const char *format, ...);
int fscanf_s(FILE *file, const char *format, ...);

/* Commands of cmd.exe that console programs give: "pause", "cls"; others are the shell's. */
const char *npf_command(const char *command);
#ifndef system
#define system(command) system(npf_command(command))
#endif
#ifndef CLK_TCK
#define CLK_TCK CLOCKS_PER_SEC
#endif

#define _stricmp   strcasecmp
#define stricmp    strcasecmp
#define _strcmpi   strcasecmp
#define strcmpi    strcasecmp
#define _strnicmp  strncasecmp
#define strnicmp   strncasecmp
#define _strdup    strdup
#define strtok_s   strtok_r
#define itoa       _itoa
#define strupr     _strupr
#define strlwr     _strlwr
#define _atoi64    atoll
#define _strtoi64  strtoll
#define _strtoui64 strtoull
#define _getpid    getpid
#define _stat      stat
#define _stat64    stat
#define _stati64   stat
#define _fstat     fstat

#define lstrlen  strlen
#define lstrcpy  strcpy
#define lstrcat  strcat
#define lstrcmp  strcmp
#define lstrcmpi strcasecmp
#define wsprintf sprintf

#define ARRAYSIZE(a)              _countof(a)
#define UNREFERENCED_PARAMETER(p) ((void)(p))

/* 0, or ERANGE with an empty destination when the text does not fit. With _TRUNCATE as much as fits is
 * there: STRUNCATE. */
errno_t strcpy_s(char *to, size_t size, const char *from);
errno_t strcat_s(char *to, size_t size, const char *from);
errno_t strncpy_s(char *to, size_t size, const char *from, size_t n);
errno_t memcpy_s(void *to, size_t size, const void *from, size_t n);
errno_t strerror_s(char *to, size_t size, int error);
errno_t fopen_s(FILE **file, const char *name, const char *mode);
errno_t localtime_s(struct tm *to, const time_t *time);
errno_t gmtime_s(struct tm *to, const time_t *time);
errno_t strncat_s(char *to, size_t size, const char *from, size_t n);
errno_t ctime_s(char *to, size_t size, const time_t *time);
errno_t asctime_s(char *to, size_t size, const struct tm *time);
/* Up to n characters, or with _TRUNCATE as many as fit; -1 when it was cut. */
int _snprintf_s(char *to, size_t size, size_t n, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int _vsnprintf_s(char *to, size_t size, size_t n, const char *format, va_list arguments);
char *_itoa(int value, char *to, int base);
char *_strupr(char *text);
char *_strlwr(char *text);

#define ZeroMemory(to, n)       memset((to), 0, (n))
#define FillMemory(to, n, b)    memset((to), (b), (n))
#define CopyMemory(to, from, n) memcpy((to), (from), (n))
#define MoveMemory(to, from, n) memmove((to), (from), (n))
#define RtlZeroMemory           ZeroMemory
#define RtlCopyMemory           CopyMemory

#if !defined(NOMINMAX) && !defined(__cplusplus)
#ifndef max
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif
#ifndef min
#define min(a, b) ((a) < (b) ? (a) : (b))
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
