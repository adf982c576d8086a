/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks and sleeping. */
#include <errno.h>
#include <time.h>

#include "windows.h"

#define NS_PER_S      1000000000ll
#define NS_PER_MS     1000000ll
#define FILETIME_1970 116444736000000000ll /* 100 ns since 1601 */

static int64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void Sleep(DWORD ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };
	int saved = errno;

	if (ms == INFINITE)
		left.tv_sec = INT32_MAX;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
	errno = saved;
}

ULONGLONG GetTickCount64(void)
{
	return (ULONGLONG)(read_clock(CLOCK_BOOTTIME) / NS_PER_MS);
}

DWORD GetTickCount(void)
{
	return (DWORD)GetTickCount64();
}

BOOL QueryPerformanceCounter(LARGE_INTEGER *count)
{
	count->QuadPart = read_clock(CLOCK_MONOTONIC);
	return TRUE;
}

BOOL QueryPerformanceFrequency(LARGE_INTEGER *frequency)
{
	frequency->QuadPart = NS_PER_S;
	return TRUE;
}

void GetSystemTimeAsFileTime(LPFILETIME time)
{
	uint64_t units = (uint64_t)(read_clock(CLOCK_REALTIME) / 100 + FILETIME_1970);

	time->dwLowDateTime = (DWORD)units;
	time->dwHighDateTime = (DWORD)(units >> 32);
}

static void split(LPSYSTEMTIME to, struct tm *(*convert)(const time_t *time, struct tm *parts))
{
	int64_t now = read_clock(CLOCK_REALTIME);
	time_t seconds = (time_t)(now / NS_PER_S);
	struct tm parts;

	convert(&seconds, &parts);
	*to = (SYSTEMTIME){
		.wYear = (WORD)(parts.tm_year + 1900),
		.wMonth = (WORD)(parts.tm_mon + 1),
		.wDayOfWeek = (WORD)parts.tm_wday,
		.wDay = (WORD)parts.tm_mday,
		.wHour = (WORD)parts.tm_hour,
		.wMinute = (WORD)parts.tm_min,
		.wSecond = (WORD)parts.tm_sec,
		.wMilliseconds = (WORD)(now % NS_PER_S / NS_PER_MS),
	};
}

void GetSystemTime(LPSYSTEMTIME time)
{
	split(time, gmtime_r);
}

void GetLocalTime(LPSYSTEMTIME time)
{
	split(time, localtime_r);
}
