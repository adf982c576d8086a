/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scanf_s and its kin: each place for text has its size behind it. They become scanf, with the sizes as
 * widths in the format: all that is left to hand on is pointers.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "windows.h"

#define MOST_PLACES 16
#define LONGEST     512 /* bytes of a format */

struct scan {
	char format[LONGEST];
	size_t used;
	void *places[MOST_PLACES];
	size_t n;
};

static bool put(struct scan *scan, const char *bytes, size_t n)
{
	if (n >= sizeof(scan->format) - scan->used)
		return false;
	memcpy(scan->format + scan->used, bytes, n);
	scan->used += n;
	scan->format[scan->used] = '\0';
	return true;
}

/* What "[...]" takes, its brackets included; a "]" that comes first is one of its characters. The last
 * may be missing. */
static size_t set_length(const char *set)
{
	size_t n = 1 + (set[1] == '^');

	n += set[n] == ']';
	n += strcspn(set + n, "]");
	return n + (set[n] == ']');
}

/* Of text the width, at most what its place has room for. */
static bool put_width(struct scan *scan, unsigned long width, unsigned int size, char kind)
{
	unsigned long most = kind == 'c' ? size : size - 1;
	char text[24];

	if (!size || (kind == 'c' && width > size) || (kind != 'c' && !most))
		return false;
	if (!width)
		width = kind == 'c' ? 1 : most;
	snprintf(text, sizeof(text), "%lu", width < most ? width : most);
	return put(scan, text, strlen(text));
}

/* One directive behind its '%'; what follows it, or NULL. */
static const char *directive(struct scan *scan, const char *at, va_list *arguments)
{
	bool skipped = *at == '*';
	unsigned long width;
	char *digits_end;
	size_t length;
	bool is_text;

	at += skipped;
	width = strtoul(at, &digits_end, 10);
	length = strspn(digits_end, "hlLqjzt");
	is_text = digits_end[length] && strchr("sc[", digits_end[length]) && !skipped;
	if (!put(scan, "%*", 1 + (size_t)skipped))
		return NULL;
	if (!skipped) {
		if (scan->n == MOST_PLACES)
			return NULL;
		scan->places[scan->n++] = va_arg(*arguments, void *);
	}
	if (is_text && !put_width(scan, width, va_arg(*arguments, unsigned int), digits_end[length]))
		return NULL;
	if (!is_text && !put(scan, at, (size_t)(digits_end - at)))
		return NULL;
	at = digits_end;
	length += at[length] == '[' ? set_length(at + length) : at[length] != '\0';
	return put(scan, at, length) ? at + length : NULL;
}

static bool translate(struct scan *scan, const char *format, va_list *arguments)
{
	while (format && *format) {
		size_t n = strcspn(format, "%");

		if (format[n] == '%' && format[n + 1] == '%')
			n += 2;
		if (n && !put(scan, format, n))
			return false;
		format += n;
		if (!n)
			format = directive(scan, format + 1, arguments);
	}
	return format;
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#define SCAN(function, from, scan)                                                                 \
	function(from, (scan).format, (scan).places[0], (scan).places[1], (scan).places[2],        \
		 (scan).places[3], (scan).places[4], (scan).places[5], (scan).places[6],           \
		 (scan).places[7], (scan).places[8], (scan).places[9], (scan).places[10],          \
		 (scan).places[11], (scan).places[12], (scan).places[13], (scan).places[14],       \
		 (scan).places[15])

static int scan_file(FILE *file, const char *format, va_list *arguments)
{
	struct scan scan = { .used = 0 };

	if (translate(&scan, format, arguments))
		return SCAN(fscanf, file, scan);
	errno = EINVAL;
	return EOF;
}

int sscanf_s(const char *text, const char *format, ...)
{
	struct scan scan = { .used = 0 };
	va_list arguments;
	bool done;

	va_start(arguments, format);
	done = translate(&scan, format, &arguments);
	va_end(arguments);
	if (done)
		return SCAN(sscanf, text, scan);
	errno = EINVAL;
	return EOF;
}

int fscanf_s(FILE *file, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = scan_file(file, format, &arguments);
	va_end(arguments);
	return n;
}

int scanf_s(const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = scan_file(stdin, format, &arguments);
	va_end(arguments);
	return n;
}
