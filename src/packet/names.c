/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of adapters as callers write them. Programs of the time before Windows 95 went give wide
 * strings where the prototype says char; Packet.dll took a name for wide when its second byte was
 * zero. Wide means 16 bits there and 32 here (wchar_t), so both are understood.
 */
#include <string.h>

#include "packet.h"

static const char prefix[] = "\\Device\\NPF_";

/* Character i of a string of characters of `width` bytes; what is no byte's worth reads as '?'. */
static char character(const char *from, size_t i, size_t width)
{
	const unsigned char *at = (const unsigned char *)from + i * width;

	for (size_t k = 1; k < width; k++) {
		if (at[k])
			return '?';
	}
	return (char)at[0];
}

static size_t narrow(char *to, size_t size, const char *from, size_t width)
{
	size_t n = 0;
	char c;

	while (n < size - 1 && (c = character(from, n, width)))
		to[n++] = c;
	to[n] = '\0';
	return n;
}

/* "a\0" is a name of one letter, or the beginning of a wide one. */
static size_t width_of(const char *from)
{
	if (!from[0] || from[1])
		return 1;
	return from[2] || from[3] ? 2 : 4;
}

bool packet_adapter_name(char name[NPF_NAME_SIZE], const char *from,
			 bool (*exists)(void *arg, const char *name), void *arg)
{
	char whole[sizeof(prefix) + NPF_NAME_SIZE];
	const char *rest = whole;
	size_t n;

	errno = ENODEV;
	if (!from)
		return false;
	if (from[0] && !from[1] && exists(arg, from))
		n = narrow(whole, sizeof(whole), from, 1);
	else
		n = narrow(whole, sizeof(whole), from, width_of(from));
	if (!strncmp(whole, prefix, sizeof(prefix) - 1)) {
		rest += sizeof(prefix) - 1;
		n -= sizeof(prefix) - 1;
	}
	if (!n || n >= NPF_NAME_SIZE)
		return false;
	memcpy(name, rest, n + 1);
	return true;
}
