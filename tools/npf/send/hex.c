/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading hexadecimal text. A line is a dump's when it begins with an offset: digits and a colon,
 * or as many bytes as were read so far followed by a gap. Only a dump's line has a column of text
 * behind its bytes, and lines in front of the first, where a packet's headline stands.
 */
#include "hex.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_LINE     16 /* bytes in a line of a dump */
#define OFFSET_DIGITS 4  /* an offset has at least so many */
#define TEXT_GAP      3  /* blanks that only stand before the column of text */

struct reader {
	const char *line; /* where the line begins */
	const char *at;
	unsigned int number; /* of the line, from 1 */
	bool dump;           /* the line began with an offset */
	bool colon;          /* and a colon behind it */
	bool dumped;         /* a line before it did */
	size_t line_bytes;   /* read from it */
	uint8_t *out;
	size_t n, size;
	char *error;
};

static int complain(const struct reader *reader, int err, const char *what)
{
	snprintf(reader->error, NPF_ERROR_SIZE, "line %u, column %zu: %s", reader->number,
		 (size_t)(reader->at - reader->line) + 1, what);
	return err;
}

static bool ends_line(char c)
{
	return !c || c == '\n';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

static size_t count_digits(const char *at)
{
	size_t n = 0;

	while (isxdigit((unsigned char)at[n]))
		n++;
	return n;
}

static const char *skip_prefix(const char *at)
{
	bool prefixed = at[0] == '0' && (at[1] == 'x' || at[1] == 'X') &&
			isxdigit((unsigned char)at[2]);

	return prefixed ? at + 2 : at;
}

/* "0010:", "0x0010:", but not "00:11": an address is no offset. */
static bool has_colon_offset(const char *at, size_t digits)
{
	return digits >= OFFSET_DIGITS && at[digits] == ':' &&
	       !isxdigit((unsigned char)at[digits + 1]);
}

/* "0010  45 00" or "000010 45 00", where 16 bytes were read; the last line of a dump may be an
 * offset alone. */
static bool has_bare_offset(const struct reader *reader, const char *at, size_t digits)
{
	const char *next = skip_blanks(at + digits);
	bool alone = ends_line(*next);

	if (digits < OFFSET_DIGITS || strtoull(at, NULL, 16) != reader->n)
		return false;
	if (alone)
		return digits > OFFSET_DIGITS && reader->n;
	return is_blank(at[digits]) && count_digits(next) == 2 &&
	       (next - at - (ptrdiff_t)digits > 1 || digits > OFFSET_DIGITS);
}

static int begin_line(struct reader *reader)
{
	const char *at = skip_prefix(skip_blanks(reader->at));
	size_t digits = count_digits(at);
	bool colon = has_colon_offset(at, digits);

	reader->line_bytes = 0;
	reader->colon = colon;
	reader->dumped |= reader->dump;
	reader->dump = colon || has_bare_offset(reader, at, digits);
	if (!reader->dump)
		return 0;
	if (strtoull(at, NULL, 16) != reader->n)
		return complain(reader, -EINVAL, "the offset is not the number of bytes before it");
	reader->at = at + digits + colon;
	return 0;
}

static unsigned int nibble(char c)
{
	return isdigit((unsigned char)c) ? (unsigned int)(c - '0')
					 : (unsigned int)(tolower((unsigned char)c) - 'a' + 10);
}

static bool ends_group(char c)
{
	return ends_line(c) || is_blank(c) || strchr(":-,|>", c);
}

static int complain_of_digit(struct reader *reader, size_t digits)
{
	char what[] = "'?' is not a hexadecimal digit";

	reader->at += digits;
	if (!isprint((unsigned char)*reader->at))
		return complain(reader, -EINVAL, "not a hexadecimal digit");
	what[1] = *reader->at;
	return complain(reader, -EINVAL, what);
}

static int take_group(struct reader *reader)
{
	size_t digits;

	reader->at = skip_prefix(reader->at);
	digits = count_digits(reader->at);
	if (!digits || !ends_group(reader->at[digits]))
		return complain_of_digit(reader, digits);
	if (digits % 2)
		return complain(reader, -EINVAL, "an odd number of digits; a byte has two");
	for (; digits; digits -= 2, reader->at += 2) {
		if (reader->n == reader->size)
			return complain(reader, -EMSGSIZE, "more bytes than a frame can have");
		reader->out[reader->n++] = (uint8_t)(nibble(reader->at[0]) << 4 |
						     nibble(reader->at[1]));
		reader->line_bytes++;
	}
	return 0;
}

/* xxd, with a colon and lines of any length: as many characters as bytes. What follows a gap amid the
 * bytes of a line is longer. */
static bool is_text_of_line(const struct reader *reader)
{
	return reader->colon && strcspn(reader->at, "\r\n") == reader->line_bytes;
}

/* Does the column of text begin after a gap of so many blanks? */
static bool text_begins(const struct reader *reader, size_t gap)
{
	if (!reader->dump || !reader->line_bytes)
		return false;
	if (gap > 1 && (reader->line_bytes >= DUMP_LINE || is_text_of_line(reader)))
		return true;
	return gap >= TEXT_GAP || *reader->at == '|' || *reader->at == '>';
}

static int take_line(struct reader *reader)
{
	int err = begin_line(reader);

	while (!err) {
		const char *gap = reader->at;

		reader->at = skip_blanks(gap);
		if (ends_line(*reader->at) || text_begins(reader, (size_t)(reader->at - gap)))
			break;
		if (strchr(":-,", *reader->at))
			reader->at++;
		else
			err = take_group(reader);
	}
	return err;
}

/* Does a dump, whose offsets have colons, begin below this line? */
static bool is_above_dump(const struct reader *reader)
{
	const char *at = reader->line;

	while (*(at += strcspn(at, "\n"))) {
		const char *offset = skip_prefix(skip_blanks(++at));

		if (has_colon_offset(offset, count_digits(offset)))
			return !strtoull(offset, NULL, 16);
	}
	return false;
}

/* A line that cannot be read is a headline, of tcpdump's for one, when the dump begins below it. */
static int take_line_or_headline(struct reader *reader)
{
	size_t before = reader->n;
	int err = take_line(reader);

	if (err != -EINVAL || reader->dump)
		return err;
	if (reader->dumped) {
		reader->at = reader->line;
		return complain(reader, err, "no line of the dump above it; one packet is sent");
	}
	if (!is_above_dump(reader))
		return err;
	reader->n = before;
	return 0;
}

int64_t npf_hex_parse(const char *text, uint8_t *out, size_t size, char error[NPF_ERROR_SIZE])
{
	struct reader reader = { .at = text, .out = out, .size = size, .error = error };

	while (*reader.at) {
		int err;

		reader.line = reader.at;
		reader.number++;
		err = take_line_or_headline(&reader);
		if (err)
			return err;
		reader.at += strcspn(reader.at, "\n");
		reader.at += *reader.at == '\n';
	}
	if (reader.n)
		return (int64_t)reader.n;
	snprintf(error, NPF_ERROR_SIZE, "there are no bytes");
	return -EINVAL;
}
