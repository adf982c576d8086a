/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From pcap to pcapng and back: each packet gets the header of the other format. What pcap has no
 * place for is left out: blocks that are no packets, options, several interfaces. What it cannot say
 * otherwise, as two link types in one file, is refused.
 */
#ifndef NPF_TOOL_CONVERT_H
#define NPF_TOOL_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "pieces.h"
#include "savefile.h"
#include "sink.h"

struct convert {
	bool ng;    /* what the packets become; the caller's to set, all else zero */
	bool begun; /* the file's header is written */
	struct savefile_form form;
	uint64_t shortened; /* stamps that lost digits */
	uint64_t timeless;  /* packets without a time, which are of 1970 now */
	uint64_t fcs_lost;  /* packets whose check sequence has another length than the file says */
	char error[320];    /* why a packet does not fit into the file */
};

/* Packets of the batch that was taken last, those that are none among them left out. Negative errno:
 * convert->error is the reason, or where that is empty the sink's. */
int convert_add(struct convert *convert, const struct trace *trace, const struct trace_batch *batch,
		uint32_t from, uint32_t to, struct sink *sink);

/* At the end: a file without packets has a header too. */
int convert_end(struct convert *convert, const struct trace *trace, struct sink *sink);

#endif
