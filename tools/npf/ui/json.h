/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A JSON writer: values go to a stream one after the other, commas and escapes are its matter.
 * key is NULL inside an array and at the top.
 */
#ifndef NPF_JSON_H
#define NPF_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct npf_json {
	FILE *out;
	bool comma; /* a value stands before the next one */
};

void npf_json_object(struct npf_json *json, const char *key);
void npf_json_object_end(struct npf_json *json);
void npf_json_array(struct npf_json *json, const char *key);
void npf_json_array_end(struct npf_json *json);

/* Bytes that are not UTF-8 become U+FFFD. value NULL writes null. */
void npf_json_string(struct npf_json *json, const char *key, const char *value);
void npf_json_unsigned(struct npf_json *json, const char *key, uint64_t value);
void npf_json_real(struct npf_json *json, const char *key, double value);
void npf_json_bool(struct npf_json *json, const char *key, bool value);

/* End a top-level value: the next one begins on a line of its own. */
void npf_json_line(struct npf_json *json);

#endif
