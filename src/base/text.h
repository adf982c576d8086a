/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounded text, for error sentences in code that has no C library. Text that does not fit is cut;
 * the buffer always ends in NUL. A buffer of NULL or of size 0 swallows everything, so callers
 * need not ask whether anybody wants to hear.
 *
 *	struct npf_text text;
 *
 *	npf_text_init(&text, error, error_size);
 *	npf_text_add(&text, "instruction ");
 *	npf_text_add_unsigned(&text, index);
 */
#ifndef NPF_TEXT_H
#define NPF_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct npf_text {
	char *at;    /* the NUL at the end of what was written */
	size_t left; /* characters that still fit before it */
};

static inline void npf_text_init(struct npf_text *text, char *buffer, size_t size)
{
	text->at = buffer;
	text->left = buffer && size ? size - 1 : 0;
	if (buffer && size)
		*buffer = '\0';
}

static inline void npf_text_add_char(struct npf_text *text, char c)
{
	if (!text->left)
		return;
	*text->at++ = c;
	*text->at = '\0';
	text->left--;
}

static inline void npf_text_add(struct npf_text *text, const char *string)
{
	while (*string)
		npf_text_add_char(text, *string++);
}

/* Digits of value, at least `digits` of them. base 2 to 16. */
static inline void npf_text_add_digits(struct npf_text *text, uint64_t value, unsigned int base,
				       unsigned int digits)
{
	char reversed[64];
	unsigned int n = 0;

	do {
		reversed[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);

	for (; digits > n; digits--)
		npf_text_add_char(text, '0');
	while (n)
		npf_text_add_char(text, reversed[--n]);
}

static inline void npf_text_add_unsigned(struct npf_text *text, uint64_t value)
{
	npf_text_add_digits(text, value, 10, 1);
}

static inline void npf_text_add_signed(struct npf_text *text, int64_t value)
{
	if (value < 0)
		npf_text_add_char(text, '-');
	npf_text_add_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* What was being done, and its cause; NULL: only the system's number for it is known. */
static inline void npf_text_add_failure(struct npf_text *text, const char *doing, const char *cause,
					int err)
{
	npf_text_add(text, doing);
	npf_text_add(text, ": ");
	npf_text_add(text, cause ? cause : "the system answered error ");
	if (!cause)
		npf_text_add_signed(text, -(int64_t)err);
}

/* 0x and at least `digits` hexadecimal digits. */
static inline void npf_text_add_hex(struct npf_text *text, uint64_t value, unsigned int digits)
{
	npf_text_add(text, "0x");
	npf_text_add_digits(text, value, 16, digits);
}

#endif
