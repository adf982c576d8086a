/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON writer.
 */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "terminal.h"

static void put_text(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text) {
		unsigned char c = (unsigned char)*text;
		size_t n = npf_utf8_length(text);

		if (!n) {
			fputs("\\ufffd", out);
			n = 1;
		} else if (c == '"' || c == '\\') {
			fprintf(out, "\\%c", c);
		} else if (c < 0x20 || c == 0x7f) {
			fprintf(out, "\\u%04x", c);
		} else {
			fwrite(text, 1, n, out);
		}
		text += n;
	}
	fputc('"', out);
}

static void start(struct npf_json *json, const char *key)
{
	if (json->comma)
		fputc(',', json->out);
	json->comma = true;
	if (!key)
		return;
	put_text(json->out, key);
	fputc(':', json->out);
}

static void open_bracket(struct npf_json *json, const char *key, char bracket)
{
	start(json, key);
	fputc(bracket, json->out);
	json->comma = false;
}

static void close_bracket(struct npf_json *json, char bracket)
{
	fputc(bracket, json->out);
	json->comma = true;
}

void npf_json_object(struct npf_json *json, const char *key)
{
	open_bracket(json, key, '{');
}

void npf_json_object_end(struct npf_json *json)
{
	close_bracket(json, '}');
}

void npf_json_array(struct npf_json *json, const char *key)
{
	open_bracket(json, key, '[');
}

void npf_json_array_end(struct npf_json *json)
{
	close_bracket(json, ']');
}

void npf_json_string(struct npf_json *json, const char *key, const char *value)
{
	start(json, key);
	if (value)
		put_text(json->out, value);
	else
		fputs("null", json->out);
}

void npf_json_unsigned(struct npf_json *json, const char *key, uint64_t value)
{
	start(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void npf_json_real(struct npf_json *json, const char *key, double value)
{
	start(json, key);
	fprintf(json->out, "%.6f", isfinite(value) ? value : 0.0);
}

void npf_json_bool(struct npf_json *json, const char *key, bool value)
{
	start(json, key);
	fputs(value ? "true" : "false", json->out);
}

void npf_json_line(struct npf_json *json)
{
	fputc('\n', json->out);
	json->comma = false;
}
