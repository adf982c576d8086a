/* SPDX-License-Identifier: BSD-3-Clause */
/* Heaps: there is one. */
#include "windows.h"

/* Not NULL, and nothing to be closed. */
HANDLE GetProcessHeap(void)
{
	return (HANDLE)(LONG_PTR)-1;
}

static LPVOID allocate(SIZE_T bytes, unsigned int zeros)
{
	SIZE_T size = bytes ? bytes : 1;

	return zeros ? calloc(1, size) : malloc(size);
}

LPVOID HeapAlloc(HANDLE heap, DWORD flags, SIZE_T bytes)
{
	(void)heap;
	return allocate(bytes, flags & HEAP_ZERO_MEMORY);
}

BOOL HeapFree(HANDLE heap, DWORD flags, LPVOID memory)
{
	(void)heap;
	(void)flags;
	free(memory);
	return TRUE;
}

HGLOBAL GlobalAlloc(UINT flags, SIZE_T bytes)
{
	return allocate(bytes, flags & GMEM_ZEROINIT);
}

HGLOBAL GlobalFree(HGLOBAL memory)
{
	free(memory);
	return NULL;
}

HLOCAL LocalAlloc(UINT flags, SIZE_T bytes)
{
	return allocate(bytes, flags & GMEM_ZEROINIT);
}
