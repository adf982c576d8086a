/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending for the commands: in pieces, so that a terminal sees it go on; times are absolute, so
 * that pieces change nothing.
 */
#include "sending.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "send_report.h"
#include "ui/signals.h"

#define SHOWN        UINT64_C(200000000)  /* ns that a call may take where somebody watches */
#define DRAIN        UINT64_C(2000000000) /* ns for what is in the adapter's queue */
#define NAP          2000000L             /* ns between looks whether they have left */
#define DEFAULT_LATE UINT64_C(100000)
#define MOST_LATE    UINT64_C(3600000000000) /* ns */
/* Soon sent, however slow the adapter is. NPF_SEND_MANY at once, for which AUTO prepares, would show
 * nothing for long on a slow one, and that it is slow shows only when its queue is full. So where somebody
 * watches, nearly as many go by socket before. */
#define FIRST_COPIES 256u
#define MOST_COPIES  (1u << 30) /* of one call */

/* ---- options --------------------------------------------------------------------------------- */

void npf_sending_defaults(struct npf_sending_options *options)
{
	*options = (struct npf_sending_options){ .late = DEFAULT_LATE };
}

bool npf_sending_times(const char *text, uint64_t *times)
{
	uint64_t count = 0;

	if (strcmp(text, "forever") != 0 && !npf_parse_count(text, 0, UINT64_MAX - 1, &count))
		return false;
	*times = count ? count : UINT64_MAX;
	return true;
}

int npf_sending_option(struct npf_sending_options *options, const struct npf_command *command,
		       int option)
{
	switch (option) {
	case 'i':
		if (options->adapter)
			return npf_tool_usage(command,
					      "-i %s: one adapter sends, and -i %s was given",
					      optarg, options->adapter);
		options->adapter = optarg;
		return EXIT_OK;
	case NPF_SENDING_PATH:
		if (npf_parse_send_path(optarg, &options->path))
			return EXIT_OK;
		return npf_tool_usage(command, "--path '%s': not auto, socket, xsk, clone or xdp",
				      optarg);
	case NPF_SENDING_NO_LOOPBACK:
		options->no_loopback = true;
		return EXIT_OK;
	case NPF_SENDING_LATE:
		if (!npf_parse_time(optarg, MOST_LATE, &options->late))
			return npf_tool_usage(command,
					      "--late '%s': not a time such as 50us or 1ms",
					      optarg);
		return EXIT_OK;
	case NPF_SENDING_DURATION:
		if (!npf_parse_time(optarg, UINT64_MAX, &options->duration) || !options->duration)
			return npf_tool_usage(command,
					      "--duration '%s': not a time such as 500ms or 10s",
					      optarg);
		return EXIT_OK;
	case NPF_SENDING_JSON:
		options->json = true;
		return EXIT_OK;
	default:
		return -1;
	}
}

/* ---- opening --------------------------------------------------------------------------------- */

static int prepare(struct npf_sending *sending)
{
	struct npf_instance *instance = sending->session.instance;
	int err = npf_set_late_limit(instance, sending->options.late);

	if (err)
		return npf_session_fail(&sending->session, err, "--late");
	if (sending->options.path != NPF_SEND_AUTO) {
		err = npf_set_send_path(instance, sending->options.path);
		if (err)
			return npf_session_fail(&sending->session, err, "--path");
	} else if (sending->options.no_loopback) {
		err = npf_set_send_path(instance, NPF_SEND_FASTEST);
		if (err)
			return npf_session_fail(&sending->session, err, "--no-loopback");
	}
	return EXIT_OK;
}

int npf_sending_open(struct npf_sending *sending, const struct npf_command *command,
		     const struct npf_sending_options *options)
{
	int code;

	memset(sending, 0, sizeof(*sending));
	sending->options = *options;
	if (!options->adapter)
		return npf_tool_usage(command, "-i says which adapter to send on; npf list shows "
					       "them");
	code = npf_session_start(&sending->session, command);
	if (code)
		return code;
	code = npf_session_open_sender(&sending->session, options->adapter);
	if (!code)
		code = prepare(sending);
	if (code) {
		npf_session_end(&sending->session);
		return code;
	}
	npf_signals_watch(sending->session.instance);
	npf_progress_init(&sending->progress);
	sending->at_once = sending->progress.terminal.tty ? FIRST_COPIES : MOST_COPIES;
	return EXIT_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Of "sending ended after 3 of 9 copies: why" only why: it was asked for piece by piece, and the
 * summary tells how many went. */
static const char *reason_of(const char *text)
{
	const char *why = text && !strncmp(text, "sending ended", 13) ? strstr(text, ": ") : NULL;

	return why ? why + 2 : text;
}

/* Keep what ends the sending. -EINTR without a signal ends nothing. */
static int note(struct npf_sending *sending, int err)
{
	const char *text = reason_of(npf_error(sending->session.instance));

	if (err == -EINTR && !npf_signals_stopped())
		return 0;
	if (!err)
		return 0;
	sending->err = err;
	snprintf(sending->error, sizeof(sending->error), "%s",
		 text && *text ? text : strerror(-err));
	return err;
}

bool npf_sending_stopped(struct npf_sending *sending)
{
	return npf_signals_stopped() && note(sending, -EINTR);
}

bool npf_sending_gone(struct npf_sending *sending)
{
	struct npf_adapter adapter;

	return npf_instance_adapter(sending->session.instance, &adapter) == -ENODEV &&
	       note(sending, -ENODEV);
}

/* Meanwhile the driver has no frame to notice the adapter's end by. */
static int wait_until(struct npf_sending *sending, uint64_t time)
{
	struct npf_instance *instance = sending->session.instance;
	bool ended = npf_signals_wait(npf_poll_fd(instance), time) &&
		     npf_send_clock(instance) < time;

	return ended && npf_sending_gone(sending) ? -ENODEV : 0;
}

/* Waiting for the first packet, and for what comes behind the last one, is no time of sending. A packet
 * with a time counts from that. */
static void note_sent(struct npf_sending *sending, uint64_t began, uint64_t ended)
{
	if (!sending->begun)
		sending->begun = began;
	sending->ended = ended;
}

static void note_frames(struct npf_sending *sending, const struct npf_send_frame *frames, size_t n,
			size_t sent, uint64_t began)
{
	uint64_t now = npf_send_clock(sending->session.instance);

	if (!sent)
		return;
	/* Was the wait for the next cut short? */
	if (sent < n && frames[sent].at > now)
		now = frames[sent - 1].at;
	note_sent(sending, frames->at ? frames->at : began, now);
}

/* How many of them are due by then; times never decrease. */
static size_t due_by(const struct npf_send_frame *frames, size_t n, uint64_t time)
{
	size_t low = 0;

	if (frames[n - 1].at <= time)
		return n;
	while (low < n) {
		size_t middle = low + (n - low) / 2;

		if (frames[middle].at <= time)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Where somebody watches, calls are as long as it takes to show something; else as long as can
 * be. */
static void note_speed(struct npf_sending *sending, uint64_t began)
{
	uint64_t ns = npf_send_clock(sending->session.instance) - began;

	if (!sending->progress.terminal.tty)
		return;
	if (ns < SHOWN)
		sending->at_once = least(sending->at_once * 2, MOST_COPIES);
	else if (ns > 4 * SHOWN && sending->at_once > 1)
		sending->at_once /= 2;
}

/* The clock that ends it starts with the first packet; `first` is its time, 0 at once. */
static void start_clock(struct npf_sending *sending, uint64_t first)
{
	uint64_t now = npf_send_clock(sending->session.instance);
	uint64_t duration = sending->options.duration;

	if (sending->end)
		return;
	first = first > now ? first : now;
	sending->end = duration ? npf_time_add(first, duration) : UINT64_MAX;
	if (duration)
		npf_signals_end_after(sending->end - now);
}

int npf_sending_frames(struct npf_sending *sending, const struct npf_send_frame *frames, size_t n,
		       double share)
{
	struct npf_instance *instance = sending->session.instance;
	double per_frame = (share - sending->share) / (double)n;
	int err = 0;

	start_clock(sending, frames->at);
	while (n && !err && !npf_sending_stopped(sending)) {
		uint64_t now = npf_send_clock(instance), until = npf_plan_until(now);
		size_t due = due_by(frames, n, least(until, sending->end - 1)), sent = 0;
		bool timed = frames->at != 0;

		due = timed ? due : least(due, sending->at_once);
		if (due) {
			err = npf_send_frames(instance, frames, due, &sent);
			note_frames(sending, frames, due, sent, now);
			frames += sent;
			n -= sent;
			sending->packets += sent;
			if (!timed)
				note_speed(sending, now);
		} else {
			err = wait_until(sending, npf_plan_again(now));
		}
		err = note(sending, err);
		sending->share = share < 0 ? share : share - per_frame * (double)n;
		npf_progress_show(&sending->progress, sending->share, sending->packets);
	}
	return n ? sending->err : 0;
}

void npf_sending_repeat(struct npf_sending *sending, const void *frame, size_t size, uint64_t copies)
{
	struct npf_instance *instance = sending->session.instance;
	uint64_t left = copies;
	int err = 0;

	start_clock(sending, 0);
	while (left && !err && !npf_sending_stopped(sending)) {
		uint64_t now = npf_send_clock(instance), n = least(left, sending->at_once);
		int64_t sent;

		err = npf_set_write_repeat(instance, (uint32_t)n);
		sent = err ? err : npf_write(instance, frame, size);
		note_sent(sending, now, npf_send_clock(instance));
		err = note(sending, sent < 0 ? (int)sent : 0);
		if (err)
			break;
		sending->packets += n;
		left -= copies == UINT64_MAX ? 0 : n;
		npf_progress_show(&sending->progress,
				  copies == UINT64_MAX ? -1 : 1 - (double)left / (double)copies,
				  sending->packets);
		note_speed(sending, now);
	}
}

/* ---- the end --------------------------------------------------------------------------------- */

static int exit_code(const struct npf_sending *sending, const struct npf_account *account)
{
	const struct npf_command *command = sending->session.command;

	if (account->error)
		return npf_tool_fail(command, account->code, "%s; %" PRIu64 " packet%s went before",
				     account->error, sending->packets,
				     npf_plural(sending->packets));
	if (!sending->err || (sending->err == -EINTR && account->endless))
		return EXIT_OK;
	if (sending->err == -EINTR)
		return EXIT_STOPPED;
	if (sending->err == -ENODEV)
		return npf_tool_fail(command, EXIT_GONE, "the interface %s has gone",
				     sending->options.adapter);
	return npf_tool_fail(command, EXIT_FAILED, "sending on %s: %s", sending->options.adapter,
			     sending->error);
}

void npf_sending_close(struct npf_sending *sending)
{
	npf_signals_watch(NULL);
	npf_session_end(&sending->session);
}

/* Closing waits as long as something leaves the queue, should that be what was waited for in vain; everything
 * has been told by now. */
static void close_slowly(struct npf_sending *sending)
{
	npf_signals_let_kill();
	fprintf(stderr,
		"npf: closing waits while frames leave the adapter's queue; Ctrl-C ends it now\n");
	npf_sending_close(sending);
}

/* A tun or tap device counts a frame when its reader takes it, which may be a moment after the driver
 * was done; what it had no room for it has told by then. */
static void wait_for_reader(struct npf_sending *sending)
{
	const struct timespec nap = { .tv_nsec = NAP };
	struct npf_instance *instance = sending->session.instance;
	uint64_t end = npf_time_add(npf_send_clock(instance), DRAIN);
	unsigned int signals = npf_signals_count();
	struct npf_send_stats stats;
	struct npf_adapter adapter;

	if (strncmp(sending->session.adapter.description, "tun ", 4) != 0)
		return;
	while (!npf_get_send_stats(instance, &stats) &&
	       stats.confirmed + stats.device_dropped < stats.handed &&
	       npf_signals_count() == signals && npf_send_clock(instance) < end &&
	       npf_instance_adapter(instance, &adapter) != -ENODEV)
		nanosleep(&nap, NULL);
}

/* Ended by its time, it has done all that was wanted. */
static void settle_duration(struct npf_sending *sending, struct npf_account *account)
{
	if (sending->err != -EINTR || !npf_signals_expired())
		return;
	sending->err = 0;
	account->wanted = 0;
}

int npf_sending_end(struct npf_sending *sending, struct npf_account *account)
{
	struct npf_instance *instance = sending->session.instance;
	int code, err, held;

	settle_duration(sending, account);
	npf_progress_end(&sending->progress);
	/* What a signal stops may be this wait, once. */
	held = npf_wait_sent(instance, DRAIN);
	if (held == -EINTR)
		held = npf_wait_sent(instance, DRAIN);
	if (!held)
		wait_for_reader(sending);
	err = npf_send_report(sending, account);
	code = npf_tool_flushed(sending->session.command, err, exit_code(sending, account));
	if (held == -ETIMEDOUT || held == -EINTR)
		close_slowly(sending);
	else
		npf_sending_close(sending);
	return code;
}
