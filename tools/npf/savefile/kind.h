/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a file is, by its first bytes: so that whoever takes savefiles can say what was given
 * instead, and what to do with it.
 */
#ifndef NPF_TOOL_KIND_H
#define NPF_TOOL_KIND_H

#include <stddef.h>
#include <stdint.h>

#define NPF_KIND_BYTES 6u /* that are enough for all but text */

/* pcap's link type; what stands above it says how long the check sequence behind each packet is. */
#define NPF_KIND_LINK_TYPE 0x03FFFFFFu

enum npf_kind {
	NPF_KIND_OTHER,
	NPF_KIND_EMPTY,
	NPF_KIND_PCAP, /* with micro- or nanoseconds, of either byte order */
	NPF_KIND_PCAPNG,
	NPF_KIND_GZIP, /* these two are unpacked on reading (source.h) */
	NPF_KIND_ZSTD,
	NPF_KIND_BZIP2, /* and these are not */
	NPF_KIND_XZ,
	NPF_KIND_LZ4,
	NPF_KIND_TEXT, /* nothing but printable characters, blanks and line ends */
};

/* The first n bytes of a file, the more of them the surer is text. */
enum npf_kind npf_kind_of(const uint8_t *at, size_t n);

/* Why a file of this kind is not read as a savefile: a sentence. */
const char *npf_kind_no_savefile(enum npf_kind kind);

#endif
