/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf capture -r: a savefile through the same filter and the same outputs.
 */
#include <errno.h>
#include <sys/stat.h>

#include "capture.h"
#include "ui/signals.h"
#include "ui/trace.h"

/* A pipe has nothing now: somebody may wait for what came until here. */
static void hand_on(void *data)
{
	struct npf_output *output = data;

	if (output->command)
		npf_output_batch_end(output);
}

/* What npf_trace_next() said last. read: packets that were looked at. */
static int copy_packets(struct npf_trace *trace, const struct npf_match *sets, uint64_t count,
			struct npf_output *output, uint64_t *read, char error[NPF_ERROR_SIZE])
{
	struct npf_packet packet;
	int result = 0;

	while (output->packets < count && !npf_signals_stopped() &&
	       (result = npf_trace_next(trace, &packet, error)) == 1) {
		++*read;
		if (sets && !npf_match_run(sets, packet.data, packet.caplen))
			continue;
		/* A savefile is written from where packets lie, and libpcap reuses the memory. */
		if (!npf_output_packet(output, &packet) ||
		    (output->file && !npf_output_batch_end(output)))
			break;
	}
	*read += trace->filtered;
	return result;
}

static int copy(const struct npf_command *command, const struct npf_capture_options *options,
		struct npf_trace *trace, struct npf_output *output)
{
	struct npf_output_options output_options = options->output;
	char error[NPF_ERROR_SIZE];
	struct npf_match *sets;
	uint64_t read = 0, accepted;
	int code, result;

	output_options.link_type = trace->link_type;
	output_options.snaplen = trace->snaplen;
	code = npf_set_options_match(&options->sets, command, output_options.link_type, &sets);
	if (!code)
		code = npf_output_open(output, command, &output_options);
	if (code) {
		npf_set_options_match_free(sets);
		return code;
	}
	result = copy_packets(trace, sets, options->count, output, &read, error);
	npf_set_options_match_free(sets);
	accepted = output->packets;
	code = npf_output_close(output);
	npf_output_tell(output->packets, "accepted");
	if (accepted > output->packets)
		npf_output_tell(accepted - output->packets, "accepted and not written");
	npf_output_tell(read, "read");
	if (result < 0)
		return npf_tool_fail(command, npf_tool_read_code(result), "%s: %s", options->read,
				     error);
	return code;
}

/* Opening the output would empty the input. */
static bool is_own_input(const struct npf_capture_options *options)
{
	struct stat input, output;

	return options->output.file && !stat(options->read, &input) &&
	       !stat(options->output.file, &output) && S_ISREG(input.st_mode) &&
	       input.st_dev == output.st_dev && input.st_ino == output.st_ino;
}

int npf_capture_offline(const struct npf_command *command, const struct npf_capture_options *options)
{
	struct npf_output output = { .command = NULL };
	struct npf_trace trace = { .stop_fd = npf_signals_fd(), .idle = hand_on, .data = &output };
	char error[NPF_ERROR_SIZE];
	int code, err;

	if (is_own_input(options))
		return npf_tool_fail(command, EXIT_USAGE,
				     "%s: that is the input: choose another file",
				     options->output.file);
	err = npf_trace_open(&trace, options->read, options->expression, error);
	if (err == -EINTR) /* ended as asked, before the first packet */
		return EXIT_OK;
	if (err)
		return npf_tool_fail(command, npf_tool_read_code(err), "%s", error);
	code = copy(command, options, &trace, &output);
	npf_trace_close(&trace);
	return code;
}
