/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fields of a template: their language, and their values packet by packet.
 */
#include "ui/terminal.h"
#include "template.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define TEXT_SIZE 64 /* of a value; longer ones are none */

static uint64_t most(uint32_t length)
{
	return length >= NPF_FIELD_WHOLE ? UINT64_MAX : (UINT64_C(1) << (8 * length)) - 1;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool take_number(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, text[1] == 'x' ? 16 : 10);
	return !errno && !*end;
}

static bool take_ipv4(const char *text, uint64_t *value)
{
	uint8_t bytes[4];

	if (inet_pton(AF_INET, text, bytes) != 1)
		return false;
	*value = npf_get_be32(bytes);
	return true;
}

static bool take_ethernet(const char *text, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < 6; i++) {
		size_t digits = strspn(text, "0123456789abcdefABCDEF");

		if (digits < 1 || digits > 2 || text[digits] != (i < 5 ? ':' : '\0'))
			return false;
		*value = *value << 8 | strtoul(text, NULL, 16);
		text += digits + 1;
	}
	return true;
}

/* The value of the n characters at text, as a field of this length. */
static bool take_value(const char *text, size_t n, uint32_t length, uint64_t *value)
{
	char copy[TEXT_SIZE];

	if (n >= sizeof(copy) || length > NPF_FIELD_WHOLE)
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (length == 4 && take_ipv4(copy, value))
		return true;
	if (length == 6 && take_ethernet(copy, value))
		return true;
	return take_number(copy, value) && *value <= most(length);
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* The part of a field that is wrong, and what about it. */
struct mistake {
	const char *part, *what;
	size_t size;
};

static bool wrong(struct mistake *mistake, const char *part, size_t size, const char *what)
{
	*mistake = (struct mistake){ part, what, size };
	return false;
}

static bool take_part(const char *text, size_t n, uint32_t length, uint64_t *value,
		      struct mistake *mistake)
{
	return take_value(text, n, length, value) ||
	       wrong(mistake, text, n,
		     length == 4   ? "is no number that fits, nor an IPv4 address"
		     : length == 6 ? "is no number that fits, nor an Ethernet address"
				   : "is no number that fits");
}

/* FIRST[-LAST]; without LAST it is the field's greatest. */
static bool take_range(const char *text, size_t n, struct npf_field *field, struct mistake *mistake)
{
	const char *dash = memchr(text, '-', n);
	size_t first = dash ? (size_t)(dash - text) : n;

	field->last = most(field->length);
	if (!take_part(text, first, field->length, &field->first, mistake))
		return false;
	if (dash && !take_part(dash + 1, n - first - 1, field->length, &field->last, mistake))
		return false;
	return field->first <= field->last || wrong(mistake, text, n, "ends before it begins");
}

static bool take_counter(const char *text, struct npf_field *field, struct mistake *mistake)
{
	size_t n = strcspn(text, "+");

	field->kind = NPF_FIELD_COUNTER;
	field->step = 1;
	if (!take_range(text, n, field, mistake))
		return false;
	field->next = field->first;
	return !text[n] || (take_number(text + n + 1, &field->step) && field->step) ||
	       wrong(mistake, text + n, strlen(text + n), "is no step: a number, at least 1");
}

static bool take_random(const char *text, struct npf_field *field, struct mistake *mistake)
{
	field->kind = NPF_FIELD_RANDOM;
	if (!strchr(text, '-'))
		return wrong(mistake, text, strlen(text), "is no range FIRST-LAST");
	return take_range(text, strlen(text), field, mistake);
}

static bool take_rest(const char *text, struct npf_field *field, struct mistake *mistake)
{
	if (!strcmp(text, "random")) {
		field->kind = NPF_FIELD_NOISE;
		return true;
	}
	if (field->length > NPF_FIELD_WHOLE)
		return wrong(mistake, text, strlen(text),
			     "fills at most 8 bytes; random fills more");
	if (!strncmp(text, "random:", 7))
		return take_random(text + 7, field, mistake);
	if (!strncmp(text, "counter:", 8))
		return take_counter(text + 8, field, mistake);
	field->kind = NPF_FIELD_FIXED;
	if (*text < '0' || *text > '9')
		return take_value(text, strlen(text), field->length, &field->first) ||
		       wrong(mistake, text, strlen(text),
			     "is no value, counter:FIRST[-LAST][+STEP] or random[:FIRST-LAST]");
	return take_part(text, strlen(text), field->length, &field->first, mistake);
}

/* As large as a number of two bytes, and written as one. */
static bool take_place(const char **text, char end, uint32_t *value)
{
	const char *stop = strchr(*text, end);
	uint64_t number;

	if (!stop || !take_value(*text, (size_t)(stop - *text), sizeof(uint16_t), &number))
		return false;
	*value = (uint32_t)number;
	*text = stop + 1;
	return true;
}

int npf_template_add(struct npf_template *template, const char *text, char error[NPF_ERROR_SIZE])
{
	struct npf_field field = { 0 };
	struct mistake mistake;
	const char *at = text;

	if (template->n == NPF_TEMPLATE_FIELDS) {
		snprintf(error, NPF_ERROR_SIZE, "'%s': there are %d fields already, the most", text,
			 NPF_TEMPLATE_FIELDS);
		return -E2BIG;
	}
	if (!take_place(&at, ':', &field.offset) || !take_place(&at, '=', &field.length) ||
	    !field.length) {
		snprintf(error, NPF_ERROR_SIZE, "'%s': not OFFSET:LENGTH=VALUE", text);
		return -EINVAL;
	}
	if (!take_rest(at, &field, &mistake)) {
		snprintf(error, NPF_ERROR_SIZE, "'%s', a field of %" PRIu32 " byte%s: '%.*s' %s",
			 text, field.length, npf_plural(field.length), (int)mistake.size,
			 mistake.part, mistake.what);
		return -EINVAL;
	}
	template->fields[template->n++] = field;
	return 0;
}

int npf_template_check(const struct npf_template *template, size_t size, char error[NPF_ERROR_SIZE])
{
	for (size_t i = 0; i < template->n; i++) {
		const struct npf_field *field = &template->fields[i];

		if (field->offset + field->length <= size)
			continue;
		snprintf(error, NPF_ERROR_SIZE,
			 "field %" PRIu32 ":%" PRIu32
			 " ends behind the frame, which has %zu byte%s",
			 field->offset, field->length, size, npf_plural(size));
		return -EINVAL;
	}
	return 0;
}

bool npf_template_varies(const struct npf_template *template)
{
	for (size_t i = 0; i < template->n; i++) {
		if (template->fields[i].kind != NPF_FIELD_FIXED)
			return true;
	}
	return false;
}

/* ---- packets --------------------------------------------------------------------------------- */

/* SplitMix64: any state will do, zero too. */
static uint64_t draw(struct npf_template *template)
{
	uint64_t z = template->random += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static void put(uint8_t *at, uint32_t length, uint64_t value)
{
	for (uint32_t i = length; i; i--, value >>= 8)
		at[i - 1] = (uint8_t)value;
}

static void put_noise(struct npf_template *template, uint8_t *at, uint32_t length)
{
	for (uint32_t i = 0; i < length; i += NPF_FIELD_WHOLE) {
		uint32_t left = length - i;

		put(at + i, left < NPF_FIELD_WHOLE ? left : NPF_FIELD_WHOLE, draw(template));
	}
}

static uint64_t draw_between(struct npf_template *template, uint64_t first, uint64_t last)
{
	uint64_t span = last - first + 1;

	return span ? first + draw(template) % span : draw(template);
}

static uint64_t count(struct npf_field *field)
{
	uint64_t value = field->next;

	field->next = field->last - value < field->step ? field->first : value + field->step;
	return value;
}

void npf_template_apply(struct npf_template *template, uint8_t *frame)
{
	for (size_t i = 0; i < template->n; i++) {
		struct npf_field *field = &template->fields[i];
		uint8_t *at = frame + field->offset;

		switch (field->kind) {
		case NPF_FIELD_FIXED:
			put(at, field->length, field->first);
			break;
		case NPF_FIELD_COUNTER:
			put(at, field->length, count(field));
			break;
		case NPF_FIELD_RANDOM:
			put(at, field->length, draw_between(template, field->first, field->last));
			break;
		case NPF_FIELD_NOISE:
			put_noise(template, at, field->length);
			break;
		}
	}
}
