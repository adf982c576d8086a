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

/* The sets for packets of one link type; a file may have several. */
struct link_sets {
	uint32_t link_type;
	struct npf_match *sets;
};

struct work {
	const struct npf_command *command;
	const struct npf_capture_options *options;
	struct npf_trace *trace;
	struct npf_output *output;
	struct link_sets links[NPF_TRACE_LINKS];
	uint32_t n_links;
	uint64_t read; /* packets that were looked at */
	int code;      /* of what was told */
};

static void free_sets(struct work *work)
{
	for (uint32_t i = 0; i < work->n_links; i++)
		npf_set_options_match_free(work->links[i].sets);
}

/* An exit code; failures were told. */
static int find_sets(struct work *work, uint32_t link_type, struct npf_match **sets)
{
	struct link_sets *link = work->links;
	int code;

	for (; link < work->links + work->n_links; link++) {
		*sets = link->sets;
		if (link->link_type == link_type)
			return EXIT_OK;
	}
	if (work->n_links == NPF_TRACE_LINKS)
		return npf_tool_fail(work->command, EXIT_FAILED,
				     "%s: more than %u link types in one file", work->options->read,
				     NPF_TRACE_LINKS);
	code = npf_set_options_match(&work->options->sets, work->command, link_type, sets);
	if (!code)
		work->links[work->n_links++] = (struct link_sets){ link_type, *sets };
	return code;
}

/* A savefile that is written here has one interface; lines say what they are. */
static int fits_output(struct work *work)
{
	struct npf_output_options *out = &work->output->options;
	uint32_t link_type = work->trace->of_packet;

	if (work->output->file && link_type != out->link_type)
		return npf_tool_fail(work->command, EXIT_USAGE,
				     "%s: a packet of link type %u (%s) does not go into a file of "
				     "type %u (%s): let the filter keep one kind, or npf filter %s "
				     "OUT.pcapng copies both",
				     work->options->read, link_type, npf_link_name(link_type),
				     out->link_type, npf_link_name(out->link_type),
				     work->options->read);
	out->link_type = link_type;
	return EXIT_OK;
}

/* What npf_trace_next() said last; 1: the rest is not wanted, or does not go. */
static int copy_packets(struct work *work, char error[NPF_ERROR_SIZE])
{
	struct npf_output *output = work->output;
	struct npf_packet packet;
	struct npf_match *sets;
	int result = 0;

	while (output->packets < work->options->count && !npf_signals_stopped() &&
	       (result = npf_trace_next(work->trace, &packet, error)) == 1) {
		work->read++;
		work->code = find_sets(work, work->trace->of_packet, &sets);
		if (work->code)
			break;
		if (sets && !npf_match_run(sets, packet.data, packet.caplen))
			continue;
		work->code = fits_output(work);
		if (work->code)
			break;
		/* A savefile is written from where packets lie, and that is used again. */
		if (!npf_output_packet(output, &packet) ||
		    (output->file && !npf_output_batch_end(output)))
			break;
	}
	work->read += work->trace->filtered;
	return result;
}

static int copy(const struct npf_command *command, const struct npf_capture_options *options,
		struct npf_trace *trace, struct npf_output *output)
{
	struct work work = {
		.command = command, .options = options, .trace = trace, .output = output
	};
	struct npf_output_options output_options = options->output;
	char error[NPF_ERROR_SIZE];
	struct npf_match *sets;
	uint64_t accepted;
	int code, result;

	output_options.link_type = trace->link_type;
	output_options.snaplen = trace->snaplen;
	code = find_sets(&work, trace->link_type, &sets);
	if (!code)
		code = npf_output_open(output, command, &output_options);
	if (code) {
		free_sets(&work);
		return code;
	}
	result = copy_packets(&work, error);
	free_sets(&work);
	accepted = output->packets;
	code = npf_output_close(output);
	npf_output_tell(output->packets, "accepted");
	if (accepted > output->packets)
		npf_output_tell(accepted - output->packets, "accepted and not written");
	npf_output_tell(work.read, "read");
	if (result < 0)
		return npf_tool_fail(command, npf_tool_read_code(result), "%s: %s", options->read,
				     error);
	return code ? code : work.code;
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
