/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf capture on an adapter: set up the instance, walk batches where they lie in the circular
 * buffer, and end in order: on a count, a signal, a broken output, or when the adapter goes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "ui/session_filter.h"
#include "ui/signals.h"
#include "ui/terminal.h"

/* How the loop stands, besides a negative errno value of the driver. */
enum { GOING_ON, ENDED_COUNT, ENDED_SIGNAL, ENDED_OUTPUT };

static int prepare(struct npf_session *session, const struct npf_capture_options *options)
{
	int code = npf_session_filter(session, options->expression, options->snaplen,
				      options->direction);
	int err;

	if (!code && options->sets.n) {
		err = npf_set_sets(session->instance, options->sets.sets, options->sets.n);
		if (err)
			code = npf_session_fail(session, err, "cannot install the sets");
	}
	if (!code)
		code = npf_session_promiscuous(session, options->promiscuous);
	if (code)
		return code;
	err = npf_set_min_to_copy(session->instance, options->min_to_copy);
	if (err)
		return npf_session_fail(session, err, "cannot set MinToCopy");
	err = npf_set_timeout(session->instance, options->timeout);
	return err ? npf_session_fail(session, err, "cannot set the timeout") : EXIT_OK;
}

/* Emptying the buffer comes last of what may fail before an older savefile is replaced. Packets are taken
 * from then on; they wait in it until the output is there. */
static int start(struct npf_session *session, const struct npf_capture_options *options,
		 struct npf_output *output)
{
	struct npf_output_options output_options = options->output;
	int err = npf_set_buffer(session->instance, options->buffer);

	if (err)
		return npf_session_fail(session, err, "cannot empty the buffer");
	output_options.link_type = session->adapter.link_type;
	output_options.snaplen = options->snaplen;
	return npf_output_open(output, session->command, &output_options);
}

static void tell_start(const struct npf_session *session, const struct npf_capture_options *options)
{
	char name[NPF_NAME_SIZE], size[32];

	if (options->output.quiet)
		return;
	npf_clean_text(name, sizeof(name), session->adapter.name);
	npf_format_bytes(size, sizeof(size), options->buffer);
	fprintf(stderr, "npf: listening on %s (%s), hook %s, buffer %s\n", name,
		npf_link_name(session->adapter.link_type),
		npf_hook_name(npf_instance_hook(session->instance)), size);
	npf_session_tell_down(session);
}

/* Take what one batch holds, but no more than limit packets in all. */
static int take_batch(struct npf_instance *instance, struct npf_output *output, uint64_t limit)
{
	struct npf_packet packet;
	int64_t pending = npf_batch_begin(instance);
	bool good = true;

	if (pending < 0)
		return (int)pending;
	while (pending && good && output->packets < limit && npf_batch_next(instance, &packet))
		good = npf_output_packet(output, &packet);
	good = npf_output_batch_end(output) && good;
	if (pending)
		npf_batch_end(instance); /* only now: the output may still point into the buffer */
	if (!good)
		return ENDED_OUTPUT;
	return pending ? GOING_ON : -ETIMEDOUT;
}

static int take_all(struct npf_instance *instance, struct npf_output *output, uint64_t limit)
{
	while (output->packets < limit && !npf_signals_stopped()) {
		int result = take_batch(instance, output, limit);

		if (result == ENDED_OUTPUT ||
		    (result < 0 && result != -ETIMEDOUT && result != -EINTR))
			return result;
	}
	return output->packets < limit ? ENDED_SIGNAL : ENDED_COUNT;
}

/* After a signal: what was captured until now is delivered, what still arrives is not. */
static int take_buffered(struct npf_instance *instance, struct npf_output *output, uint64_t limit)
{
	int result = GOING_ON;

	if (npf_set_timeout(instance, -1))
		return ENDED_SIGNAL;
	while (output->packets < limit && (result == GOING_ON || result == -EINTR))
		result = take_batch(instance, output, limit);
	return result == ENDED_OUTPUT ? ENDED_OUTPUT : ENDED_SIGNAL;
}

/* wanted: how many were to be written, where the savefile ended before that, else 0. */
static void tell_end(const struct npf_stats *stats, uint64_t packets, uint64_t wanted)
{
	uint64_t due = stats->captured < wanted ? stats->captured : wanted;

	npf_output_tell(packets, "captured");
	if (due > packets)
		npf_output_tell(due - packets, "captured and not written");
	npf_output_tell(stats->received, "received");
	npf_output_tell(stats->dropped, "dropped");
	for (int reason = 0; reason < NPF_DROP_N; reason++) {
		if (stats->dropped_by[reason])
			fprintf(stderr, "    %" PRIu64 " %s\n", stats->dropped_by[reason],
				npf_drop_name((enum npf_drop)reason));
	}
}

static int ended(struct npf_session *session, int result)
{
	char name[NPF_NAME_SIZE];

	if (result >= 0)
		return EXIT_OK;
	if (result != -ENODEV)
		return npf_session_fail(session, result, "reading failed");
	npf_clean_text(name, sizeof(name), session->adapter.name);
	return npf_tool_fail(session->command, EXIT_GONE, "the interface %s has gone", name);
}

static int capture(struct npf_session *session, const struct npf_capture_options *options,
		   struct npf_output *output)
{
	struct npf_stats stats = { 0 };
	int result, code, output_code;
	bool cut_short;

	npf_signals_watch(session->instance);
	result = output->err ? ENDED_OUTPUT : take_all(session->instance, output, options->count);
	npf_get_stats(session->instance, &stats);
	if (result == ENDED_SIGNAL)
		result = take_buffered(session->instance, output,
				       stats.captured < options->count ? stats.captured
								       : options->count);
	npf_signals_watch(NULL);
	code = ended(session, result);
	output_code = npf_output_close(output);
	cut_short = options->output.file && (result == ENDED_OUTPUT || output_code);
	tell_end(&stats, output->packets, cut_short ? options->count : 0);
	return output_code ? output_code : code;
}

static int run(struct npf_session *session, const struct npf_capture_options *options)
{
	struct npf_output output;
	int code = npf_session_open(session, options->adapter, options->hook, options->buffer);

	if (!code)
		code = prepare(session, options);
	if (!code)
		code = start(session, options, &output);
	if (code)
		return code;
	tell_start(session, options);
	return capture(session, options, &output);
}

int npf_capture_live(const struct npf_command *command, const struct npf_capture_options *options)
{
	struct npf_session session;
	int code = npf_session_start(&session, command);

	if (code)
		return code;
	code = run(&session, options);
	npf_session_end(&session);
	return code;
}
