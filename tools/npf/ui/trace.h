/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packets of a file, pcap or pcapng, packed or not, from its beginning to its end or to where it
 * is damaged. Interfaces of a pcapng may differ in everything; each link type gets a filter of its
 * own. Reading a pipe can be ended, and its idle moments used.
 */
#ifndef NPF_TRACE_H
#define NPF_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "npf/npf.h"
#include "savefile/pieces.h"
#include "savefile/source.h"

#define NPF_TRACE_LINKS 16u /* types in one file that can be filtered */

struct npf_trace_filter {
	uint32_t link_type;
	struct npf_jit_filter *filter;
};

struct npf_trace {
	bool open;
	uint32_t link_type; /* of the first packet, or of the first interface of a file without any */
	uint32_t snaplen;   /* no packet is longer */
	uint32_t of_packet; /* link type of the packet that was given last */
	bool timeless;      /* the file says no time of that packet, which has 0 */
	uint64_t filtered;  /* packets that the filter rejected */
	/* The filter judges packets of this link type, others are given as they are; NULL all. */
	bool (*judges)(void *data, uint32_t link_type);
	/* For what is not a regular file. */
	int stop_fd;              /* reading ends when this is readable; -1 none */
	void (*idle)(void *data); /* called before reading has to wait; NULL nothing */
	void *data;               /* for both */

	/* trace.c's own */
	struct source source;
	struct trace pieces;
	struct trace_batch batch;
	uint32_t next;   /* of the batch */
	int err;         /* what comes behind the batch */
	const char *why; /* of err */
	struct npf_host *host;
	const char *expression;
	struct npf_trace_filter filters[NPF_TRACE_LINKS];
	uint32_t n_filters;
};

/* judges, stop_fd, idle and data are the caller's to set before, all else is set here. "-" is standard
 * input. expression stays the caller's until the end. Negative errno with a sentence that names the
 * file: -EMEDIUMTYPE it is no savefile, -EINVAL the expression is none, -EINTR stop_fd came first. */
int npf_trace_open(struct npf_trace *trace, const char *name, const char *expression,
		   char error[NPF_ERROR_SIZE]);
/* The same of what was opened before, plain, as `name`, whose waiter stays: the source is the trace's from now
 * on, also after an error. */
int npf_trace_open_source(struct npf_trace *trace, const struct source *source, const char *name,
			  const char *expression, char error[NPF_ERROR_SIZE]);
/* 1 and a packet, valid until the next call; 0 at the end; negative errno with a sentence, -EBADMSG
 * where the file is damaged. */
int npf_trace_next(struct npf_trace *trace, struct npf_packet *packet, char error[NPF_ERROR_SIZE]);
void npf_trace_close(struct npf_trace *trace);

#endif
