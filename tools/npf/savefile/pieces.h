/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A savefile as a sequence of pieces, found without copying: the records of pcap (both byte orders,
 * micro- and nanoseconds), the blocks of pcapng. Works on whatever bytes it is given and reads
 * none behind them.
 */
#ifndef NPF_TOOL_PIECES_H
#define NPF_TOOL_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "savefile.h"
#include "stamps.h"

#define TRACE_PIECES    256u         /* most that are found at once */
#define TRACE_BATCHES   4u           /* by trace_take_several() */
#define TRACE_MAX_PIECE (129u << 20) /* bytes; longer ones are taken for damage */

/*
 * Pieces of one link type and one section, one behind the other: piece i is the bytes from at[i] to
 * at[i + 1], what a copy of the file takes over. Packets as the engine takes them; a piece that is
 * none (a header, or a block that goes along) looks like a packet without bytes.
 */
struct trace_batch {
	uint32_t n;
	uint32_t packets; /* among them */
	uint32_t link_type;
	const uint8_t *at[TRACE_PIECES + 1];
	const uint8_t *data[TRACE_PIECES];
	uint32_t len[TRACE_PIECES], caplen[TRACE_PIECES];
	uint8_t packet[TRACE_PIECES]; /* 1 or 0 */
};

struct trace_interface {
	uint32_t link_type;
	uint32_t snaplen;
	struct npf_stamps stamps;
	struct npf_fcs fcs;
};

struct trace {
	bool begun, ng, swapped;
	uint32_t record_header; /* pcap: bytes before the data */
	uint32_t most;          /* pcap: longest packet that is believed */
	uint32_t n_interfaces;
	uint32_t max_interfaces;
	struct trace_interface *interfaces; /* of the section; pcap has one */
	uint64_t packets;                   /* found */
	uint64_t at;                        /* offset of the next piece in the file */
	size_t usual;                       /* bytes that three quarters of a batch lately had */
	uint64_t guess_again;               /* when this many packets have been found */
	char error[160];
};

void trace_init(struct trace *trace);
void trace_fini(struct trace *trace);

/*
 * Find the next pieces in the n bytes at `at`, which follow what was taken before. Returns the
 * bytes taken. 0: the next piece has not all of its bytes here, *need says how many it must have at
 * least. Negative errno (-EMEDIUMTYPE this is no savefile, -EBADMSG it is
 * damaged): trace->error is the reason; what was found before it is in the batch and
 * *need the bytes that it takes.
 */
int64_t trace_take(struct trace *trace, const uint8_t *at, size_t n, struct trace_batch *batch,
		   size_t *need);

/*
 * The same by several cursors, because one that goes from header to header does little but wait for
 * the memory. Returns the batches filled, each of which goes on where the one before it ends. 0: it
 * is trace_take()'s turn, which also is the one to find what is wrong.
 */
uint32_t trace_take_several(struct trace *trace, const uint8_t *at, size_t n,
			    struct trace_batch batches[TRACE_BATCHES]);

/* The longest packet that readers of pcap believe in. */
uint32_t trace_longest(uint32_t link_type);

/* Of a packet of the batch that was taken last. */
const struct trace_interface *trace_interface_of(const struct trace *trace,
						 const struct trace_batch *batch, uint32_t i);

/* When a packet of the batch that was taken last was captured; false: the file does not say. */
bool trace_look(const struct trace *trace, const struct trace_batch *batch, uint32_t i,
		struct npf_stamp *stamp);

/* The file ended with so many bytes of a piece left over; "" when that is no damage. */
const char *trace_end(struct trace *trace, size_t left);

#endif
