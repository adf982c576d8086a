/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads as Microsoft's C library starts them. */
#ifndef NPF_PROCESS_H
#define NPF_PROCESS_H

#include "windows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 (_beginthreadex) or -1 (_beginthread) with errno set on failure. The handle of the first is
 * the caller's to close, that of the second is closed by the thread's end: it may be waited for while
 * the thread runs. */
uintptr_t _beginthreadex(void *security, unsigned int stack, unsigned int (*start)(void *),
			 void *argument, unsigned int flags, unsigned int *id);
uintptr_t _beginthread(void (*start)(void *), unsigned int stack, void *argument);
void _endthreadex(unsigned int code) __attribute__((noreturn));
void _endthread(void) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif
