/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame with fields that differ from packet to packet: counters, random numbers, fixed values.
 *
 *	OFFSET:LENGTH=VALUE                         a fixed value
 *	OFFSET:LENGTH=counter:FIRST[-LAST][+STEP]   FIRST, FIRST + STEP, ... LAST, and again
 *	OFFSET:LENGTH=random[:FIRST-LAST]           any, or one of a range
 *
 * VALUE, FIRST and LAST are numbers (decimal or 0x...), IPv4 addresses in four bytes, or Ethernet
 * addresses in six.
 */
#ifndef NPF_TEMPLATE_H
#define NPF_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "npf/npf.h"

#define NPF_TEMPLATE_FIELDS 32
#define NPF_FIELD_WHOLE     8u /* bytes of the longest field that is a number */

enum npf_field_kind { NPF_FIELD_FIXED, NPF_FIELD_COUNTER, NPF_FIELD_RANDOM, NPF_FIELD_NOISE };

struct npf_field {
	enum npf_field_kind kind;
	uint32_t offset, length;
	uint64_t first, last, step; /* NOISE, random in any length, has none of them */
	uint64_t next;              /* of a counter */
};

/* All zero: no fields. */
struct npf_template {
	struct npf_field fields[NPF_TEMPLATE_FIELDS];
	size_t n;
	uint64_t random; /* the generator's state: the same seed makes the same packets */
};

/* Add a field. -EINVAL or -E2BIG with a sentence. */
int npf_template_add(struct npf_template *template, const char *text, char error[NPF_ERROR_SIZE]);
/* All fields lie within a frame of this size; -EINVAL with a sentence that names the one. */
int npf_template_check(const struct npf_template *template, size_t size, char error[NPF_ERROR_SIZE]);
/* Do packets differ? */
bool npf_template_varies(const struct npf_template *template);
/* Write the next packet's values into a frame that npf_template_check() accepted. */
void npf_template_apply(struct npf_template *template, uint8_t *frame);

#endif
