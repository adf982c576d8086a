/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes written in hexadecimal by people: plain digits, groups with blanks or colons between them,
 * and whole dumps with offsets and a column of text, as tcpdump, xxd, hexdump and Wireshark show.
 */
#ifndef NPF_HEX_H
#define NPF_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "npf/npf.h"

/* The bytes of text into at most size of out. Their number, or -EINVAL (-EMSGSIZE: more than size)
 * with a sentence that names line and column. */
int64_t npf_hex_parse(const char *text, uint8_t *out, size_t size, char error[NPF_ERROR_SIZE]);

#endif
