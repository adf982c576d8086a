/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Terminals and readable numbers.
 */
#include "terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void npf_terminal_init(struct npf_terminal *terminal, FILE *out)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *kind = getenv("TERM");

	terminal->out = out;
	terminal->tty = isatty(fileno(out)) && kind && strcmp(kind, "dumb");
	terminal->colours = terminal->tty && !(no_colour && *no_colour);
	terminal->unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

const char *npf_colour(const struct npf_terminal *terminal, enum npf_colour colour)
{
	static const char *const codes[] = {
		[NPF_PLAIN] = "\033[0m", [NPF_BOLD] = "\033[1m",   [NPF_DIM] = "\033[2m",
		[NPF_RED] = "\033[31m",  [NPF_GREEN] = "\033[32m", [NPF_YELLOW] = "\033[33m",
	};

	return terminal->colours ? codes[colour] : "";
}

void npf_terminal_size(const struct npf_terminal *terminal, unsigned int *columns,
		       unsigned int *rows)
{
	struct winsize size = { 0 };

	*columns = 80;
	*rows = 24;
	if (ioctl(fileno(terminal->out), TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
		return;
	*columns = size.ws_col;
	*rows = size.ws_row;
}

int npf_flush(FILE *out)
{
	int err;

	errno = 0;
	if (!fflush(out) && !ferror(out))
		return 0;
	err = errno ? -errno : -EIO;
	clearerr(out);
	return err;
}

/* Length by the first byte; the smallest code point that needs it rules out padded encodings. */
size_t npf_utf8_length(const char *text)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)*text;
	size_t n = first < 0x80       ? 1
		   : first >> 5 == 6  ? 2
		   : first >> 4 == 14 ? 3
		   : first >> 3 == 30 ? 4
				      : 0;
	uint32_t point = n > 1 ? first & (0x7fu >> n) : first;

	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)text[i];

		if (next >> 6 != 2)
			return 0;
		point = point << 6 | (next & 0x3fu);
	}
	if (!n || point < smallest[n] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	return n;
}

void npf_clean_text(char *out, size_t size, const char *text)
{
	char *end = out + size - 1;

	while (*text) {
		size_t n = npf_utf8_length(text);
		bool bad = !n || (unsigned char)*text < 0x20 || *text == 0x7f ||
			   (n == 2 && (unsigned char)*text == 0xc2 && (unsigned char)text[1] < 0xa0);

		n = n ? n : 1;
		if ((size_t)(end - out) < (bad ? 1 : n))
			break;
		if (bad)
			*out++ = '?';
		else
			out = mempcpy(out, text, n);
		text += n;
	}
	*out = '\0';
}

const char *npf_short_path(char shown[NPF_PATH_SHOWN], const char *path)
{
	size_t n = strlen(path), cut = n < NPF_PATH_SHOWN ? 0 : n - (NPF_PATH_SHOWN - 4);

	while (((unsigned char)path[cut] & 0xc0) == 0x80) /* amid a character */
		cut++;
	snprintf(shown, NPF_PATH_SHOWN, "%s%s", cut ? "..." : "", path + cut);
	return shown;
}

const char *npf_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

void npf_format_si(char *out, size_t size, double value, const char *unit)
{
	static const char *const prefixes[] = { "", "k", "M", "G", "T", "P" };
	size_t i = 0;
	int digits;

	for (; value >= 999.5 && i + 1 < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		value /= 1000;
	digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	if (!i && value == (double)(uint64_t)value)
		digits = 0;
	snprintf(out, size, "%.*f %s%s", digits, value, prefixes[i], unit);
}

void npf_format_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "byte", "KiB", "MiB", "GiB" };
	size_t i = 0;

	for (; i + 1 < sizeof(units) / sizeof(units[0]) && bytes && !(bytes % 1024); i++)
		bytes /= 1024;
	snprintf(out, size, "%" PRIu64 " %s%s", bytes, units[i], i ? "" : npf_plural(bytes));
}
