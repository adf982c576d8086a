/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outputs. Both gather what a batch brings and hand it on together, so that the loop over
 * packets makes no system calls of its own.
 */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "savefile/file_name.h"
#include "terminal.h"

#define STREAM_BUFFER (256 * 1024)

static const char *name_of(const struct npf_output *output)
{
	const char *file = output->options.file;

	return file && strcmp(file, "-") ? file : "standard output";
}

static int open_savefile(struct npf_output *output)
{
	const struct npf_output_options *options = &output->options;
	const bool ng = npf_file_name_of(options->file).form == NPF_KIND_PCAPNG;
	const struct savefile_form form = {
		.link_type = options->link_type,
		.snaplen = options->snaplen,
		.nano = options->nano || (ng && !options->micro),
		.ng = ng,
	};
	int err;

	output->file = malloc(sizeof(*output->file));
	if (!output->file)
		return npf_tool_fail(output->command, EXIT_FAILED, "out of memory");
	err = savefile_open(output->file, options->file, &form);
	if (!err)
		return EXIT_OK;
	free(output->file);
	output->file = NULL;
	output->err = err;
	if (err == -EPIPE) /* as if its reader had left a moment later */
		return EXIT_OK;
	return npf_tool_fail(output->command, npf_tool_write_code(err), "%s: %s", name_of(output),
			     strerror(-err));
}

int npf_output_open(struct npf_output *output, const struct npf_command *command,
		    const struct npf_output_options *options)
{
	memset(output, 0, sizeof(*output));
	output->options = *options;
	output->command = command;
	if (options->file)
		return open_savefile(output);
	if (options->quiet)
		return EXIT_OK;
	output->stream = stdout;
	setvbuf(stdout, NULL, _IOFBF, STREAM_BUFFER);
	__fsetlocking(stdout, FSETLOCKING_BYCALLER); /* one thread: locks cost and buy nothing */
	return EXIT_OK;
}

static void note(struct npf_output *output, int err)
{
	if (err && !output->err)
		output->err = err;
}

/* Ask at once after a write: the next call may overwrite errno. */
static int stream_error(FILE *stream)
{
	if (!ferror_unlocked(stream))
		return 0;
	return errno ? -errno : -EIO;
}

static int print(struct npf_output *output, const struct npf_packet *packet)
{
	struct npf_line *line = &output->line;

	npf_line_clear(line);
	npf_print_time(line, &output->clock, packet->time);
	npf_print_packet(line, output->options.link_type, packet->data, packet->caplen, packet->len,
			 output->options.link_header);
	fwrite_unlocked(line->text, 1, line->length, output->stream);
	putc_unlocked('\n', output->stream);
	if (output->options.hex)
		npf_print_hex(output->stream, packet->data, packet->caplen);
	return stream_error(output->stream);
}

bool npf_output_packet(struct npf_output *output, const struct npf_packet *packet)
{
	output->packets++;
	if (output->file)
		note(output, savefile_add(output->file, packet));
	else if (output->stream)
		note(output, print(output, packet));
	return !output->err;
}

bool npf_output_batch_end(struct npf_output *output)
{
	if (output->err)
		return false;
	if (output->file)
		note(output, savefile_flush(output->file));
	else if (output->stream && fflush_unlocked(output->stream))
		note(output, stream_error(output->stream));
	return !output->err;
}

int npf_output_close(struct npf_output *output)
{
	npf_output_batch_end(output);
	if (output->file) {
		note(output, savefile_close(output->file));
		output->packets = output->file->packets;
		free(output->file);
	}
	if (!output->err || output->err == -EPIPE)
		return EXIT_OK;
	return npf_tool_fail(output->command, npf_tool_write_code(output->err), "%s: %s",
			     name_of(output), strerror(-output->err));
}

void npf_output_tell(uint64_t n, const char *what)
{
	fprintf(stderr, "%" PRIu64 " packet%s %s\n", n, npf_plural(n), what);
}
