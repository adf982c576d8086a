/* SPDX-License-Identifier: BSD-3-Clause */
/* The bounded functions of Microsoft's C library. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "windows.h"

errno_t strncpy_s(char *to, size_t size, const char *from, size_t n)
{
	size_t length;

	if (!to || !size)
		return EINVAL;
	to[0] = '\0';
	if (!from)
		return EINVAL;
	length = strnlen(from, n == _TRUNCATE ? size - 1 : n);
	if (length >= size)
		return ERANGE;
	memcpy(to, from, length);
	to[length] = '\0';
	return n == _TRUNCATE && from[length] ? STRUNCATE : 0;
}

errno_t strcpy_s(char *to, size_t size, const char *from)
{
	size_t length = from ? strlen(from) : 0;

	return strncpy_s(to, size, from, length);
}

errno_t strcat_s(char *to, size_t size, const char *from)
{
	size_t used = to ? strnlen(to, size) : 0;
	errno_t err;

	if (!to || used == size)
		return EINVAL;
	err = strcpy_s(to + used, size - used, from);
	if (err)
		to[0] = '\0';
	return err;
}

errno_t strncat_s(char *to, size_t size, const char *from, size_t n)
{
	size_t used = to ? strnlen(to, size) : 0;
	errno_t err;

	if (!to || used == size)
		return EINVAL;
	err = strncpy_s(to + used, size - used, from, n);
	if (err && err != STRUNCATE)
		to[0] = '\0';
	return err;
}

int _vsnprintf_s(char *to, size_t size, size_t n, const char *format, va_list arguments)
{
	size_t room = n == _TRUNCATE || n >= size ? size : n + 1;
	int length = vsnprintf(to, room, format, arguments);

	if (length < 0 || (size_t)length < room)
		return length;
	/* What was to be printed whole and is not, is not there at all. */
	if (size && room == size && n != _TRUNCATE) {
		to[0] = '\0';
		errno = ERANGE;
	}
	return -1;
}

int _snprintf_s(char *to, size_t size, size_t n, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = _vsnprintf_s(to, size, n, format, arguments);
	va_end(arguments);
	return length;
}

errno_t memcpy_s(void *to, size_t size, const void *from, size_t n)
{
	if (!n)
		return 0;
	if (!to)
		return EINVAL;
	if (!from || n > size) {
		memset(to, 0, size);
		return from ? ERANGE : EINVAL;
	}
	memcpy(to, from, n);
	return 0;
}

errno_t strerror_s(char *to, size_t size, int error)
{
	errno_t err = strncpy_s(to, size, strerror(error), _TRUNCATE);

	return err == STRUNCATE ? 0 : err;
}

errno_t fopen_s(FILE **file, const char *name, const char *mode)
{
	*file = fopen(name, mode);
	return *file ? 0 : errno;
}

/* The arguments of the standard's functions, the other way round. */
errno_t localtime_s(struct tm *to, const time_t *time)
{
	return localtime_r(time, to) ? 0 : errno;
}

errno_t gmtime_s(struct tm *to, const time_t *time)
{
	return gmtime_r(time, to) ? 0 : errno;
}

#define TIME_SIZE 26 /* of what asctime() writes */

errno_t asctime_s(char *to, size_t size, const struct tm *time)
{
	char text[64];

	if (!to || !time || size < TIME_SIZE)
		return EINVAL;
	if (!asctime_r(time, text))
		return errno;
	return strcpy_s(to, size, text);
}

errno_t ctime_s(char *to, size_t size, const time_t *time)
{
	struct tm parts;
	errno_t err = localtime_s(&parts, time);

	return err ? err : asctime_s(to, size, &parts);
}

char *_strupr(char *text)
{
	for (char *at = text; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	return text;
}

char *_strlwr(char *text)
{
	for (char *at = text; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return text;
}

char *_itoa(int value, char *to, int base)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	unsigned int left = value < 0 && base == 10 ? 0u - (unsigned int)value
						    : (unsigned int)value;
	char reversed[40];
	size_t n = 0, used = 0;

	if (base < 2 || base > 36) {
		to[0] = '\0';
		return to;
	}
	do {
		reversed[n++] = digits[left % (unsigned int)base];
		left /= (unsigned int)base;
	} while (left);
	if (value < 0 && base == 10)
		to[used++] = '-';
	while (n)
		to[used++] = reversed[--n];
	to[used] = '\0';
	return to;
}
