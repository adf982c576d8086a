/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a savefile: no byte beside them is read, pieces follow each other without a gap, and
 * the end comes. Input: the file.
 */
#include "fuzz.h"

#include "../tools/npf/savefile/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace_batch batch;
	struct npf_stamp stamp;
	struct trace trace;
	size_t at = 0, need;
	int64_t taken;

	trace_init(&trace);
	do {
		const uint8_t *next = data + at;

		taken = trace_take(&trace, next, size - at, &batch, &need);
		check(batch.n <= TRACE_PIECES && batch.at[0] == next);
		for (uint32_t i = 0; i < batch.n; i++) {
			const uint8_t *end = batch.at[i + 1];

			check(end > batch.at[i] && batch.data[i] >= batch.at[i]);
			check(batch.caplen[i] <= (size_t)(end - batch.data[i]));
			check(batch.packet[i] || !batch.caplen[i]);
			check(!batch.packet[i] || !trace_look(&trace, &batch, i, &stamp) ||
			      stamp.ns < 1000000000);
		}
		next = batch.at[batch.n];
		check(taken < 0 ? next == data + at + need : next == data + at + taken);
		at += taken > 0 ? (size_t)taken : 0;
		check(at <= size);
	} while (taken > 0);
	check(taken == 0 || trace.error[0]);
	check(taken < 0 || size - at == 0 || trace_end(&trace, size - at)[0]);
	trace_fini(&trace);
	return 0;
}
