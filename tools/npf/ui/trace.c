/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading pcap and pcapng files.
 */
#include "trace.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "expression/expression.h"
#include "filter_text.h"
#include "savefile/kind.h"
#include "send/pace.h"

#define STREAM_SIZE (64u << 10) /* on top of the source's, which is a cache's size */

/* ---- the stream below libpcap ---------------------------------------------------------------- */

/* Wait for a pipe. False when reading shall end. */
static bool wait_readable(void *data, int fd)
{
	struct npf_trace *trace = data;
	struct pollfd polled[] = { { fd, POLLIN, 0 }, { trace->stop_fd, POLLIN, 0 } };

	if (poll(polled, 2, 0) == 0 && trace->idle)
		trace->idle(trace->data);
	while (poll(polled, 2, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	return !polled[1].revents;
}

static ssize_t read_stream(void *cookie, char *buffer, size_t size)
{
	struct npf_trace *trace = cookie;
	struct source *source = &trace->source;
	int err = source_fill(source, 1);
	size_t n = source->n < size ? source->n : size;

	if (err)
		trace->err = err;
	if (err && err != -EINTR) {
		errno = -err;
		return -1;
	}
	memcpy(buffer, source->at, n);
	source_skip(source, n);
	return (ssize_t)n;
}

static int close_stream(void *cookie)
{
	struct npf_trace *trace = cookie;

	source_close(&trace->source);
	return 0;
}

/* kind: of what is in it, unpacked. */
static int open_stream(struct npf_trace *trace, const char *name, enum npf_kind *kind, FILE **file)
{
	const cookie_io_functions_t functions = { .read = read_stream, .close = close_stream };
	const struct source_waiter waiter = { wait_readable, trace };
	struct source *source = &trace->source;
	int err = source_open(source, name, &waiter);

	if (!err)
		err = source_fill(source, NPF_KIND_BYTES);
	if (err)
		return err;
	*kind = npf_kind_of(source->at, source->n);
	*file = fopencookie(trace, "r", functions);
	if (!*file) {
		snprintf(source->error, sizeof(source->error), "out of memory");
		return -ENOMEM;
	}
	setvbuf(*file, NULL, _IOFBF, STREAM_SIZE);
	return 0;
}

/* ---- packets --------------------------------------------------------------------------------- */

static int set_filter(struct npf_trace *trace, const char *expression, char *error)
{
	struct bpf_program *program;

	if (!expression || !*expression)
		return 0;
	program = calloc(1, sizeof(*program));
	if (!program) {
		snprintf(error, NPF_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	if (pcap_compile(trace->handle, program, expression, 1, PCAP_NETMASK_UNKNOWN)) {
		npf_filter_wrong(expression, pcap_geterr(trace->handle), error);
		free(program);
		return -EINVAL;
	}
	trace->filter = program;
	return 0;
}

static int tell(int err, const char *name, const char *why, char error[NPF_ERROR_SIZE])
{
	snprintf(error, NPF_ERROR_SIZE, "%.100s: %.150s",
		 strcmp(name, "-") ? name : "standard input", why);
	return err;
}

/* What libpcap says of something that is no savefile helps nobody. */
static int no_savefile(struct npf_trace *trace, enum npf_kind kind, const char *name,
		       const char *text, char error[NPF_ERROR_SIZE])
{
	bool has_header = kind == NPF_KIND_PCAP || kind == NPF_KIND_PCAPNG;

	if (trace->err)
		return tell(trace->err, name, trace->source.error, error);
	return tell(-EMEDIUMTYPE, name, has_header ? text : npf_kind_no_savefile(kind), error);
}

int npf_trace_open(struct npf_trace *trace, const char *name, const char *expression,
		   char error[NPF_ERROR_SIZE])
{
	char text[PCAP_ERRBUF_SIZE];
	enum npf_kind kind;
	FILE *file;
	int err;

	trace->handle = NULL;
	trace->filter = NULL;
	trace->filtered = 0;
	trace->err = 0;
	err = open_stream(trace, name, &kind, &file);
	if (err) {
		tell(err, name, trace->source.error, error);
		source_close(&trace->source);
		return err;
	}
	trace->handle = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO,
								 text);
	if (!trace->handle) {
		err = no_savefile(trace, kind, name, text, error);
		fclose(file);
		return err;
	}
	trace->link_type = npf_expression_link_type(pcap_datalink(trace->handle));
	trace->snaplen = (uint32_t)pcap_snapshot(trace->handle);
	err = set_filter(trace, expression, error);
	if (err)
		npf_trace_close(trace);
	return err;
}

int npf_trace_next(struct npf_trace *trace, struct npf_packet *packet, char error[NPF_ERROR_SIZE])
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int result;

	for (;;) {
		result = pcap_next_ex(trace->handle, &header, &data);
		if (result != 1)
			break;
		if (trace->filter && !pcap_offline_filter(trace->filter, header, data)) {
			trace->filtered++;
			continue;
		}
		*packet = (struct npf_packet){
			.time = npf_time_of((uint64_t)header->ts.tv_sec,
					    (uint64_t)header->ts.tv_usec),
			.caplen = header->caplen,
			.len = header->len,
			.data = data,
		};
		return 1;
	}
	if (result == PCAP_ERROR_BREAK ||
	    trace->err == -EINTR) /* libpcap's end of a file, or ours */
		return 0;
	snprintf(error, NPF_ERROR_SIZE, "%s",
		 trace->err ? trace->source.error : pcap_geterr(trace->handle));
	return -EBADMSG;
}

void npf_trace_close(struct npf_trace *trace)
{
	if (trace->filter) {
		pcap_freecode(trace->filter);
		free(trace->filter);
		trace->filter = NULL;
	}
	if (trace->handle)
		pcap_close(trace->handle); /* closes the stream too */
	trace->handle = NULL;
}
