/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading pcap and pcapng files.
 */
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "expression/expression.h"
#include "filter_text.h"
#include "send/pace.h"
#include "terminal.h"
#include "tool.h"

#define LINK_ETHERNET 1u

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

static int end(struct npf_trace *trace, int err, const char *why)
{
	trace->err = err;
	trace->why = why;
	return err;
}

/* Bytes for the next piece are needed. 0: they are here; else the end, or what is wrong. */
static int fill(struct npf_trace *trace, size_t need)
{
	const char *why;
	int err = source_fill(&trace->source, need);

	if (err)
		return end(trace, err, trace->source.error);
	if (trace->source.n >= need)
		return 0;
	why = trace_end(&trace->pieces, trace->source.n);
	if (!*why)
		return end(trace, -ENODATA, why);
	return end(trace, trace->pieces.begun ? -EBADMSG : -EMEDIUMTYPE, why);
}

/* The next batch, which may hold no packet; those before are void. Negative errno: none comes, -ENODATA
 * at the end of the file. */
static int take_batch(struct npf_trace *trace)
{
	struct trace_batch *batch = &trace->batch;
	struct source *source = &trace->source;
	size_t need = 1;
	int64_t taken = 0;
	int err = trace->err;

	source_skip(source, batch->n ? (size_t)(batch->at[batch->n] - batch->at[0]) : 0);
	batch->n = trace->next = 0;
	while (!err && !taken) {
		err = fill(trace, need);
		if (!err)
			taken = trace_take(&trace->pieces, source->at, source->n, batch, &need);
	}
	if (taken < 0)
		end(trace, (int)taken, trace->pieces.error);
	return batch->n ? 0 : trace->err;
}

/* The BSDs' number for raw IP is in some files. */
static uint32_t link_of(uint32_t in_file)
{
	return npf_expression_link_type((int)in_file);
}

/* ---- the filter ------------------------------------------------------------------------------ */

static int make_filter(struct npf_trace *trace, uint32_t link_type, struct npf_jit_filter **filter,
		       char error[NPF_ERROR_SIZE])
{
	struct npf_trace_filter *made = &trace->filters[trace->n_filters];
	struct npf_compiled compiled;
	char why[NPF_ERROR_SIZE], told[NPF_ERROR_SIZE];
	int err;

	if (trace->n_filters == NPF_TRACE_LINKS) {
		snprintf(error, NPF_ERROR_SIZE, "more than %u link types in one file",
			 NPF_TRACE_LINKS);
		return -ENOTSUP;
	}
	err = npf_expression_compile_offline(trace->expression, link_type, trace->pieces.swapped,
					     &compiled, why);
	if (!err) {
		err = bpf_jitter(trace->host, &compiled.program, 0, &made->filter, why);
		npf_expression_free(&compiled);
	}
	if (err) {
		npf_filter_wrong(trace->expression, why, told);
		if (link_type == trace->link_type)
			memcpy(error, told, NPF_ERROR_SIZE);
		else
			snprintf(error, NPF_ERROR_SIZE, "packets of link type %u (%s): %.180s",
				 link_type, npf_link_name(link_type), told);
		return err;
	}
	made->link_type = link_type;
	*filter = made->filter;
	trace->n_filters++;
	return 0;
}

static int find_filter(struct npf_trace *trace, uint32_t link_type, struct npf_jit_filter **filter,
		       char error[NPF_ERROR_SIZE])
{
	for (uint32_t i = 0; i < trace->n_filters; i++) {
		*filter = trace->filters[i].filter;
		if (trace->filters[i].link_type == link_type)
			return 0;
	}
	return make_filter(trace, link_type, filter, error);
}

/* ---- for callers ----------------------------------------------------------------------------- */

static int tell(int err, const char *name, const char *why, char error[NPF_ERROR_SIZE])
{
	char shown[NPF_PATH_SHOWN];

	snprintf(error, NPF_ERROR_SIZE, "%s: %.150s",
		 strcmp(name, "-") ? npf_short_path(shown, name) : "standard input", why);
	return err;
}

/* Packets may come whose interface allows more than those that are known: so it is no less than what
 * readers take. */
static void find_form(struct npf_trace *trace)
{
	const struct trace *pieces = &trace->pieces;

	if (trace->batch.packets)
		trace->link_type = link_of(trace->batch.link_type);
	else
		trace->link_type = pieces->n_interfaces ? link_of(pieces->interfaces[0].link_type)
							: LINK_ETHERNET;
	trace->snaplen = trace_longest(trace->link_type);
	for (uint32_t i = 0; i < pieces->n_interfaces; i++) {
		if (pieces->interfaces[i].snaplen > trace->snaplen)
			trace->snaplen = pieces->interfaces[i].snaplen;
	}
}

/* Up to the first interface, or to the end of a file without any. */
static int begin(struct npf_trace *trace, const char *name, char error[NPF_ERROR_SIZE])
{
	struct npf_jit_filter *filter;
	int err = 0;

	while (!err && !trace->pieces.n_interfaces)
		err = take_batch(trace);
	if (err && !(err == -ENODATA && trace->pieces.begun))
		return tell(err, name, trace->why, error);
	find_form(trace);
	return trace->expression ? find_filter(trace, trace->link_type, &filter, error) : 0;
}

int npf_trace_open_source(struct npf_trace *trace, const struct source *source, const char *name,
			  const char *expression, char error[NPF_ERROR_SIZE])
{
	int err;

	trace->source = *source;
	trace->open = true;
	trace->filtered = 0;
	trace->err = 0;
	trace->batch.n = 0;
	trace->n_filters = 0;
	trace->host = NULL;
	trace->expression = expression && *expression ? expression : NULL;
	trace_init(&trace->pieces);
	err = source_recognise(&trace->source);
	if (err) {
		tell(err, name, trace->source.error, error);
		goto fail;
	}
	if (trace->expression && !(trace->host = npf_host_linux())) {
		err = tell(-ENOMEM, name, "out of memory", error);
		goto fail;
	}
	err = begin(trace, name, error);
	if (!err)
		return 0;
fail:
	npf_trace_close(trace);
	return err;
}

int npf_trace_open(struct npf_trace *trace, const char *name, const char *expression,
		   char error[NPF_ERROR_SIZE])
{
	const struct source_waiter waiter = { wait_readable, trace };
	struct source source;
	int err = source_open_plain(&source, name, &waiter);

	if (!err)
		return npf_trace_open_source(trace, &source, name, expression, error);
	tell(err, name, source.error, error);
	source_close(&source);
	return err;
}

/* 1: it is wanted. */
static int judge(struct npf_trace *trace, uint32_t i, char error[NPF_ERROR_SIZE])
{
	const struct trace_batch *batch = &trace->batch;
	uint32_t link_type = link_of(batch->link_type);
	struct npf_jit_filter *filter;
	int err;

	if (!trace->expression || (trace->judges && !trace->judges(trace->data, link_type)))
		return 1;
	err = find_filter(trace, link_type, &filter, error);
	if (err)
		return err;
	if (npf_jit_run(filter, batch->data[i], batch->len[i], batch->caplen[i]))
		return 1;
	trace->filtered++;
	return 0;
}

static void give(struct npf_trace *trace, uint32_t i, struct npf_packet *packet)
{
	const struct trace_batch *batch = &trace->batch;
	struct npf_stamp stamp = { 0 };

	trace->timeless = !trace_look(&trace->pieces, batch, i, &stamp);
	trace->of_packet = link_of(batch->link_type);
	*packet = (struct npf_packet){
		.time = stamp.seconds < 0 ? 0 : npf_time_of((uint64_t)stamp.seconds, stamp.ns),
		.caplen = batch->caplen[i],
		.len = batch->len[i],
		.data = batch->data[i],
	};
}

int npf_trace_next(struct npf_trace *trace, struct npf_packet *packet, char error[NPF_ERROR_SIZE])
{
	int result = 0;

	while (!result) {
		uint32_t i = trace->next++;

		if (i >= trace->batch.n)
			result = take_batch(trace);
		else if (trace->batch.packet[i])
			result = judge(trace, i, error);
		if (result == 1)
			give(trace, i, packet);
	}
	if (result == 1 || result != trace->err)
		return result;
	snprintf(error, NPF_ERROR_SIZE, "%s", trace->why);
	return result == -ENODATA || result == -EINTR ? 0 : result;
}

void npf_trace_close(struct npf_trace *trace)
{
	if (!trace->open)
		return;
	for (uint32_t i = 0; i < trace->n_filters; i++)
		bpf_destroy_jit_filter(trace->filters[i].filter);
	npf_host_linux_free(trace->host);
	trace_fini(&trace->pieces);
	source_close(&trace->source);
	trace->open = false;
}
