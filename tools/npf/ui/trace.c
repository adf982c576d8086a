/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading pcap and pcapng files.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expression/expression.h"
#include "send/pace.h"

#define STREAM_SIZE (256u << 10)

/* ---- the stream below libpcap ---------------------------------------------------------------- */

/* Wait for a pipe. False when reading shall end. */
static bool wait_readable(struct npf_trace *trace)
{
	struct pollfd polled[] = { { trace->fd, POLLIN, 0 }, { trace->stop_fd, POLLIN, 0 } };

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
	ssize_t n;

	if (!trace->regular && !wait_readable(trace))
		return 0;
	do
		n = read(trace->fd, buffer, size);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		trace->offset += (uint64_t)n;
	return n;
}

static int close_stream(void *cookie)
{
	struct npf_trace *trace = cookie;
	int fd = trace->fd;

	trace->fd = -1;
	return fd == STDIN_FILENO ? 0 : close(fd);
}

static FILE *open_stream(struct npf_trace *trace, const char *name)
{
	const cookie_io_functions_t functions = { .read = read_stream, .close = close_stream };
	struct stat status;
	FILE *file;

	trace->fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (trace->fd < 0)
		return NULL;
	trace->regular = !fstat(trace->fd, &status) && S_ISREG(status.st_mode);
	trace->size = trace->regular ? (uint64_t)status.st_size : 0;
	file = fopencookie(trace, "r", functions);
	if (!file)
		close_stream(trace);
	else
		setvbuf(file, NULL, _IOFBF, STREAM_SIZE);
	return file;
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
		snprintf(error, NPF_ERROR_SIZE, "filter: %s", pcap_geterr(trace->handle));
		free(program);
		return -EINVAL;
	}
	trace->filter = program;
	return 0;
}

int npf_trace_open(struct npf_trace *trace, const char *name, const char *expression,
		   char error[NPF_ERROR_SIZE])
{
	char text[PCAP_ERRBUF_SIZE];
	FILE *file;
	int err;

	trace->handle = NULL;
	trace->filter = NULL;
	trace->offset = 0;
	trace->filtered = 0;
	file = open_stream(trace, name);
	if (!file) {
		err = -errno;
		snprintf(error, NPF_ERROR_SIZE, "%.120s: %s", name, strerror(-err));
		return err;
	}
	trace->handle = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO,
								 text);
	if (!trace->handle) {
		fclose(file);
		snprintf(error, NPF_ERROR_SIZE, "%.80s: %.160s", name, text);
		return -EBADMSG;
	}
	trace->link_type = npf_expression_link_type(pcap_datalink(trace->handle));
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
	if (result == PCAP_ERROR_BREAK) /* libpcap's end of a file */
		return 0;
	snprintf(error, NPF_ERROR_SIZE, "%s", pcap_geterr(trace->handle));
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

bool npf_trace_magic(const uint8_t magic[4])
{
	static const uint8_t magics[][4] = {
		{ 0xd4, 0xc3, 0xb2, 0xa1 }, { 0xa1, 0xb2, 0xc3, 0xd4 }, /* pcap, microseconds */
		{ 0x4d, 0x3c, 0xb2, 0xa1 }, { 0xa1, 0xb2, 0x3c, 0x4d }, /* nanoseconds */
		{ 0x0a, 0x0d, 0x0d, 0x0a },                             /* pcapng */
	};

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (!memcmp(magic, magics[i], 4))
			return true;
	}
	return false;
}
