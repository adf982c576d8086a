/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where captured packets go: a savefile, lines of text, or nowhere but into the count.
 */
#ifndef NPF_OUTPUT_H
#define NPF_OUTPUT_H

#include "capture/print_packet.h"
#include "savefile/savefile.h"
#include "tool.h"

struct npf_output_options {
	const char *file; /* savefile, "-" standard output; NULL prints lines */
	bool nano, micro; /* the savefile's resolution; neither: what is usual */
	bool quiet;       /* no lines */
	bool link_header;
	bool hex;
	uint32_t link_type;
	uint32_t snaplen;
};

struct npf_output {
	struct npf_output_options options;
	const struct npf_command *command;
	struct savefile *file; /* NULL: none */
	FILE *stream;          /* of the lines; NULL: none */
	uint64_t packets;      /* taken */
	int err;               /* the first failure, negative errno */
	struct npf_print_clock clock;
	struct npf_line line;
};

/* An exit code; failures were told. */
int npf_output_open(struct npf_output *output, const struct npf_command *command,
		    const struct npf_output_options *options);
/* False once the output is broken; npf_output_close() tells why. The packet's data must stay until
 * npf_output_batch_end(). */
bool npf_output_packet(struct npf_output *output, const struct npf_packet *packet);
/* Hand on what was taken. */
bool npf_output_batch_end(struct npf_output *output);
/* Finish. An exit code; a reader that went away is no failure. packets is then what really
 * arrived in a savefile. */
int npf_output_close(struct npf_output *output);

/* "N packets WHAT", a line on standard error. */
void npf_output_tell(uint64_t n, const char *what);

#endif
