/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NPF_TEST_SANITIZED_H
#define NPF_TEST_SANITIZED_H

#include <stdbool.h>
#include <stdio.h>

/* Sanitizers refuse to load a library whose symbols are to be its own. */
static inline bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("skipped: libpcap cannot be loaded privately (RTLD_DEEPBIND) under this sanitizer");
	return true;
#else
	return false;
#endif
}

#endif
