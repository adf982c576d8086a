/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers, counts, sizes, durations and names from the command line. Everything or nothing: a text that is
 * not understood to its last character, or that does not fit, is refused.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tool.h"

#define PARTS              UINT64_C(1000000000000000) /* of one: millionths, with G before them */
#define PARTS_OF_MILLIONTH UINT64_C(1000000000)

/* Digits at *text; moves behind them. */
static bool take_digits(const char **text, uint64_t *value)
{
	const char *at = *text;

	*value = 0;
	for (; isdigit((unsigned char)*at); at++) {
		if (__builtin_mul_overflow(*value, 10u, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
			return false;
	}
	if (at == *text)
		return false;
	*text = at;
	return true;
}

/* The digits behind a decimal point, in PARTS of one. What is finer is lost, and *exact says whether. */
static bool take_fraction(const char **text, uint64_t *parts, bool *exact)
{
	uint64_t digit = PARTS;
	const char *at = *text;

	*parts = 0;
	*exact = true;
	if (*at != '.')
		return true;
	for (at++; isdigit((unsigned char)*at); at++) {
		digit /= 10;
		*parts += digit * (uint64_t)(*at - '0');
		*exact &= digit || *at == '0';
	}
	if (at == *text + 1)
		return false;
	*text = at;
	return true;
}

/* k, M or G in either case: nothing is counted in thousandths. */
static uint64_t take_thousands(const char **text)
{
	static const char letters[] = "kmg";
	const char *letter = **text ? strchr(letters, tolower((unsigned char)**text)) : NULL;
	uint64_t unit = 1;

	for (const char *l = letters; letter && l <= letter; l++)
		unit *= 1000;
	*text += letter != NULL;
	return unit;
}

bool npf_take_decimal(const char **text, struct npf_decimal *decimal)
{
	const char *at = *text;
	unsigned __int128 fraction;
	uint64_t whole, parts, unit;
	bool exact;

	if (!take_digits(&at, &whole) || !take_fraction(&at, &parts, &exact))
		return false;
	unit = take_thousands(&at);
	fraction = (unsigned __int128)parts * unit;
	if (__builtin_mul_overflow(whole, unit, &whole) ||
	    __builtin_add_overflow(whole, (uint64_t)(fraction / PARTS), &whole))
		return false;
	parts = (uint64_t)(fraction % PARTS);
	*decimal = (struct npf_decimal){ whole, (uint32_t)(parts / PARTS_OF_MILLIONTH),
					 exact && !(parts % PARTS_OF_MILLIONTH) };
	*text = at;
	return true;
}

bool npf_parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *count)
{
	struct npf_decimal decimal;

	if (!npf_take_decimal(&text, &decimal) || *text || decimal.millionths || !decimal.exact ||
	    decimal.whole < min || decimal.whole > max)
		return false;
	*count = decimal.whole;
	return true;
}

bool npf_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t number;

	if (!take_digits(&text, &number) || *text || number < min || number > max)
		return false;
	*value = number;
	return true;
}

void npf_option_text(char text[NPF_NAME_SIZE], int letter, const char *name)
{
	if (name)
		snprintf(text, NPF_NAME_SIZE, "--%s", name);
	else
		snprintf(text, NPF_NAME_SIZE, "-%c", letter);
}

static bool size_unit(const char *text, uint64_t *unit)
{
	static const char letters[] = "KMG";
	const char *letter;

	*unit = 1;
	if (!*text || !strcasecmp(text, "B"))
		return true;
	letter = strchr(letters, toupper((unsigned char)*text));
	if (!letter)
		return false;
	*unit = UINT64_C(1) << (10 * (letter - letters + 1));
	text++;
	return !*text || !strcasecmp(text, "B") || !strcasecmp(text, "iB");
}

bool npf_parse_size(const char *text, uint64_t max, uint64_t *bytes)
{
	uint64_t number, unit;

	if (!take_digits(&text, &number) || !size_unit(text, &unit) ||
	    __builtin_mul_overflow(number, unit, &number) || number > max)
		return false;
	*bytes = number;
	return true;
}

static bool time_unit(const char *text, uint64_t *ns)
{
	const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "", 1000000000u },     { "us", 1000 },          { "ms", 1000000 },
		      { "s", 1000000000u },    { "min", 60000000000u }, { "h", 3600000000000u },
		      { "d", 86400000000000u } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(text, units[i].name)) {
			*ns = units[i].ns;
			return true;
		}
	}
	return false;
}

bool npf_parse_time(const char *text, uint64_t max, uint64_t *ns)
{
	uint64_t number, parts, unit;
	bool exact;

	if (!take_digits(&text, &number) || !take_fraction(&text, &parts, &exact) ||
	    !time_unit(text, &unit) || __builtin_mul_overflow(number, unit, &number) ||
	    __builtin_add_overflow(number, unit / 1000 * (parts / PARTS_OF_MILLIONTH) / 1000,
				   &number) ||
	    number > max)
		return false;
	*ns = number;
	return true;
}

bool npf_parse_hook(const char *text, enum npf_hook *hook)
{
	if (!strcmp(text, "auto")) {
		*hook = NPF_HOOK_AUTO;
		return true;
	}
	for (enum npf_hook one = NPF_HOOK_TCX; one <= NPF_HOOK_TPACKET; one++) {
		if (!strcmp(text, npf_hook_name(one))) {
			*hook = one;
			return true;
		}
	}
	return false;
}

bool npf_parse_send_path(const char *text, enum npf_send_path *path)
{
	for (enum npf_send_path one = NPF_SEND_AUTO; one < NPF_SEND_PATHS; one++) {
		if (!strcmp(text, npf_send_path_name(one))) {
			*path = one;
			return true;
		}
	}
	return false;
}

char *npf_join_words(char *const *words, int n)
{
	size_t size = 1;
	char *text, *at;

	for (int i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	text = malloc(size);
	if (!text)
		return NULL;
	at = text;
	for (int i = 0; i < n; i++) {
		if (i)
			*at++ = ' ';
		at = stpcpy(at, words[i]);
	}
	*at = '\0';
	return text;
}
