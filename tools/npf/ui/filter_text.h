/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters as people type them.
 */
#ifndef NPF_TOOL_FILTER_TEXT_H
#define NPF_TOOL_FILTER_TEXT_H

#include <stdbool.h>

#include "npf/npf.h"

/* Does it begin as filters do, with a word of their language? No proof, for files may be called so. */
bool npf_filter_begins(const char *text);

/* "filter 'TEXT': WHY", and where in it, as far as WHY (libpcap's words) tells. Returns error. */
const char *npf_filter_wrong(const char *text, const char *why, char error[NPF_ERROR_SIZE]);

#endif
