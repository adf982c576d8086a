/* SPDX-License-Identifier: BSD-3-Clause */
/* See kind.h. */
#include "kind.h"

#include <stdbool.h>
#include <string.h>

static const struct {
	enum npf_kind kind;
	size_t n;
	uint8_t bytes[NPF_KIND_BYTES];
} magics[] = {
	{ NPF_KIND_PCAP, 4, { 0xD4, 0xC3, 0xB2, 0xA1 } }, /* microseconds */
	{ NPF_KIND_PCAP, 4, { 0xA1, 0xB2, 0xC3, 0xD4 } },
	{ NPF_KIND_PCAP, 4, { 0x4D, 0x3C, 0xB2, 0xA1 } }, /* nanoseconds */
	{ NPF_KIND_PCAP, 4, { 0xA1, 0xB2, 0x3C, 0x4D } },
	{ NPF_KIND_PCAP, 4, { 0x34, 0xCD, 0xB2, 0xA1 } }, /* longer records of old kernels */
	{ NPF_KIND_PCAP, 4, { 0xA1, 0xB2, 0xCD, 0x34 } },
	{ NPF_KIND_PCAPNG, 4, { 0x0A, 0x0D, 0x0D, 0x0A } },
	{ NPF_KIND_GZIP, 2, { 0x1F, 0x8B } },
	{ NPF_KIND_ZSTD, 4, { 0x28, 0xB5, 0x2F, 0xFD } },
	{ NPF_KIND_BZIP2, 3, { 'B', 'Z', 'h' } },
	{ NPF_KIND_XZ, 6, { 0xFD, '7', 'z', 'X', 'Z', 0 } },
	{ NPF_KIND_LZ4, 4, { 0x04, 0x22, 0x4D, 0x18 } },
};

static bool is_text(const uint8_t *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool line_end = at[i] >= '\t' && at[i] <= '\r';

		if (!line_end && (at[i] < ' ' || at[i] > '~'))
			return false;
	}
	return true;
}

enum npf_kind npf_kind_of(const uint8_t *at, size_t n)
{
	if (!n)
		return NPF_KIND_EMPTY;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (n >= magics[i].n && !memcmp(at, magics[i].bytes, magics[i].n))
			return magics[i].kind;
	}
	return is_text(at, n) ? NPF_KIND_TEXT : NPF_KIND_OTHER;
}

const char *npf_kind_no_savefile(enum npf_kind kind)
{
	static const char *const sentences[] = {
		[NPF_KIND_OTHER] = "this is neither pcap nor pcapng",
		[NPF_KIND_EMPTY] = "the file is empty",
		[NPF_KIND_PCAP] = "the file ends within its header",
		[NPF_KIND_PCAPNG] = "the file ends within its header",
		[NPF_KIND_GZIP] = "packed by gzip twice; unpack it first",
		[NPF_KIND_ZSTD] = "packed by zstd twice; unpack it first",
		[NPF_KIND_BZIP2] = "packed by bzip2; unpack it first: only gzip and zstd are read",
		[NPF_KIND_XZ] = "packed by xz; unpack it first: only gzip and zstd are read",
		[NPF_KIND_LZ4] = "packed by lz4; unpack it first: only gzip and zstd are read",
		[NPF_KIND_TEXT] = "this is text, neither pcap nor pcapng",
	};

	return sentences[kind];
}
