/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a savefile: the walk stays inside them, and what it calls whole is whole, that is
 * to say it says the same of these bytes alone.
 */
#include "fuzz.h"

#include "../tools/npf/savefile/scan.h"

struct bytes {
	const uint8_t *data;
	size_t size;
};

static int64_t read_bytes(void *context, void *buffer, size_t size, uint64_t offset)
{
	const struct bytes *bytes = context;

	if (offset >= bytes->size)
		return 0;
	if (size > bytes->size - offset)
		size = bytes->size - offset;
	memcpy(buffer, bytes->data + offset, size);
	return (int64_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = { data, size };
	struct npf_scan_source source = { read_bytes, &bytes, size };
	struct npf_scan scan, again;

	check(!npf_scan(&source, &scan));
	check(scan.end <= size);
	check(scan.tail != NPF_TAIL_NONE || !scan.format || scan.end == size);
	if (!scan.format)
		return 0;
	bytes.size = source.size = scan.end;
	check(!npf_scan(&source, &again));
	check(again.end == scan.end && again.packets == scan.packets);
	check(again.tail == NPF_TAIL_NONE && again.format == scan.format);
	return 0;
}
