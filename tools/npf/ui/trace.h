/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file of packets, pcap or pcapng, packed or not, read from its beginning to its end or to where it
 * is damaged. libpcap reads; the stream below it is ours (source.h), so that reading a pipe can be
 * ended and its idle moments used.
 */
#ifndef NPF_TRACE_H
#define NPF_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "npf/npf.h"
#include "savefile/source.h"

struct npf_trace {
	void *handle; /* libpcap's */
	void *filter; /* libpcap's program; NULL all */
	uint32_t link_type;
	uint32_t snaplen;
	struct source source;
	int err;           /* of the source, negative errno */
	uint64_t filtered; /* packets that the filter rejected */
	/* For what is not a regular file. */
	int stop_fd;              /* reading ends when this is readable; -1 none */
	void (*idle)(void *data); /* called before reading has to wait; NULL nothing */
	void *data;               /* for it */
};

/* stop_fd, idle and data are the caller's to set before, all else is set here. "-" is standard
 * input. Negative errno with a sentence that names the file: -EMEDIUMTYPE it is no savefile, -EINVAL
 * the expression is none, -EINTR stop_fd came first. */
int npf_trace_open(struct npf_trace *trace, const char *name, const char *expression,
		   char error[NPF_ERROR_SIZE]);
/* 1 and a packet, valid until the next call; 0 at the end; negative errno with a sentence, -EBADMSG
 * where the file is damaged. */
int npf_trace_next(struct npf_trace *trace, struct npf_packet *packet, char error[NPF_ERROR_SIZE]);
void npf_trace_close(struct npf_trace *trace);

#endif
