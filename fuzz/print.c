/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a packet of any link type: nothing outside them may be read, and the line must stay
 * in its buffer. Input: a byte that picks the link type, a byte of cut-off length, the packet.
 */
#include "fuzz.h"

#include "../tools/npf/capture/print_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t link_types[] = { 1, 1, 1, 101, 0, 108, 113, 276, 105, 127, 9999 };
	struct npf_line line;

	if (size < 2 || size > 4096)
		return 0;
	npf_line_clear(&line);
	npf_print_packet(&line, link_types[data[0] % (sizeof(link_types) / sizeof(link_types[0]))],
			 data + 2, (uint32_t)size - 2, (uint32_t)size - 2 + data[1],
			 data[0] & 0x80);
	check(line.length < NPF_LINE_SIZE && strlen(line.text) == line.length);
	return 0;
}
