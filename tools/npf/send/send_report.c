/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling what was sent, by which path and why by that one, and how late it was.
 */
#include "send_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ui/json.h"
#include "ui/terminal.h"

#define SECOND 1e9
#define N_SKIP 5

struct report {
	const struct npf_sending *sending;
	const struct npf_account *account;
	struct npf_send_stats stats;
	double seconds, pps, bps;
	enum npf_send_path path;
	/* Faster paths that were not taken, fastest first: what keeps auto from them. */
	char why[NPF_SEND_PATHS][NPF_ERROR_SIZE];
	struct {
		const char *key, *text;
		uint64_t n;
	} skipped[N_SKIP];
};

/* ---- looking --------------------------------------------------------------------------------- */

/* The one that most went by: a rest that is too small for it goes by socket. */
static enum npf_send_path main_path(const struct npf_send_stats *stats)
{
	enum npf_send_path best = NPF_SEND_SOCKET;

	for (int path = best; path < NPF_SEND_PATHS; path++) {
		if (stats->by_path[path] > stats->by_path[best])
			best = (enum npf_send_path)path;
	}
	return best;
}

static void look_at_paths(struct report *report, struct npf_instance *instance)
{
	report->path = main_path(&report->stats);
	for (int path = NPF_SEND_PATHS - 1; path > (int)report->path; path--) {
		char *why = report->why[path];

		if (report->sending->options.path != NPF_SEND_AUTO || report->account->paced)
			continue;
		/* No path leads to an adapter that has gone, or goes. */
		if (report->sending->err == -ENODEV || report->sending->err == -ENETDOWN)
			continue;
		/* Whether it could be taken is not asked: that would prepare it. */
		if (report->stats.handed < NPF_SEND_MANY)
			snprintf(why, NPF_ERROR_SIZE, "it does not pay for so few");
		else if (!npf_check_send_path(instance, (enum npf_send_path)path, why))
			snprintf(why, NPF_ERROR_SIZE, "%s",
				 path == NPF_SEND_CLONE
					 ? "it pays for many packets of few types, and "
					   "not all fit (their length or type)"
					 : "it does not pay for so few");
	}
}

static void look_at_skipped(struct report *report)
{
	const struct npf_feed_counts *counts = report->account->skipped;

	if (!counts)
		return;
	report->skipped[0].key = "filtered";
	report->skipped[0].text = "rejected by the filter";
	report->skipped[0].n = counts->filtered;
	report->skipped[1].key = "cut";
	report->skipped[1].text = "cut by the capture; --cut sends them as they are";
	report->skipped[1].n = counts->cut;
	report->skipped[2].key = "longer";
	report->skipped[2].text = "longer than the adapter sends";
	report->skipped[2].n = counts->longer;
	report->skipped[3].key = "shorter";
	report->skipped[3].text = "shorter than a link header";
	report->skipped[3].n = counts->shorter;
	report->skipped[4].key = "other_link";
	report->skipped[4].text = "of another link type; --force sends them all the same";
	report->skipped[4].n = counts->other_link;
}

/* Why what was not sent was not. */
static enum npf_send_failure failure(const struct report *report)
{
	const struct npf_send_stats *stats = &report->stats;

	if (report->sending->err == -EINTR)
		return NPF_SEND_FAILED_STOPPED;
	if (report->sending->err ==
	    -ENODEV) /* which the driver need not have been asked to notice */
		return NPF_SEND_FAILED_GONE;
	for (int reason = 0; reason < NPF_SEND_FAILED_N; reason++) {
		if (reason != NPF_SEND_FAILED_STOPPED && stats->failed_by[reason])
			return (enum npf_send_failure)reason;
	}
	return NPF_SEND_FAILED_REFUSED; /* before any was counted: its size */
}

/* The driver was asked piece by piece, and how large a piece is depends on the time and on whether
 * somebody watches. What the user asked for does not: so many packets, or, where that is not known,
 * those that went and the one that did not. */
static void settle_counts(struct report *report)
{
	struct npf_send_stats *stats = &report->stats;
	uint64_t wanted = report->account->wanted;
	bool failed = report->sending->err && report->sending->err != -EINTR;
	enum npf_send_failure reason = failure(report);

	stats->failed = wanted ? wanted - stats->handed : failed;
	stats->asked = stats->handed + stats->failed;
	memset(stats->failed_by, 0, sizeof(stats->failed_by));
	stats->failed_by[reason] = stats->failed;
}

/* Packets with times have one gap less between them than they are: the last one's, which belongs to it
 * as well, is taken for the mean of the others. A single one has none, and no rate. */
static double seconds(const struct report *report)
{
	const struct npf_sending *sending = report->sending;
	double n = (double)report->stats.handed, between;

	if (!report->stats.handed || sending->ended < sending->begun)
		return 0;
	between = (double)(sending->ended - sending->begun) / SECOND;
	if (!report->account->paced)
		return between;
	return n > 1 ? between * n / (n - 1) : 0;
}

static void look(struct report *report, struct npf_instance *instance)
{
	/* Fails on closed instances only. */
	npf_get_send_stats(instance, &report->stats);
	settle_counts(report);
	report->seconds = seconds(report);
	if (report->seconds > 0) {
		report->pps = (double)report->stats.handed / report->seconds;
		report->bps = (double)report->stats.bytes * 8 / report->seconds;
	}
	look_at_paths(report, instance);
	look_at_skipped(report);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void tell_line(uint64_t n, const char *what)
{
	printf("%" PRIu64 " packet%s %s\n", n, npf_plural(n), what);
}

static void tell_counts(const struct report *report)
{
	const struct npf_send_stats *stats = &report->stats;

	tell_line(stats->asked, "asked");
	tell_line(stats->handed, "handed over");
	tell_line(stats->confirmed, "confirmed by the adapter");
	tell_line(stats->failed, "failed");
	for (int reason = 0; reason < NPF_SEND_FAILED_N; reason++) {
		if (stats->failed_by[reason])
			printf("    %" PRIu64 " %s\n", stats->failed_by[reason],
			       npf_send_failure_name((enum npf_send_failure)reason));
	}
	if (stats->device_dropped)
		tell_line(stats->device_dropped, "dropped by the adapter, of all senders");
}

static void tell_skipped(const struct report *report)
{
	uint64_t sum = 0;

	for (int i = 0; i < N_SKIP; i++)
		sum += report->skipped[i].n;
	if (sum)
		tell_line(sum, "left out");
	for (int i = 0; i < N_SKIP; i++) {
		if (report->skipped[i].n)
			printf("    %" PRIu64 " %s\n", report->skipped[i].n,
			       report->skipped[i].text);
	}
	if (report->account->backwards)
		tell_line(report->account->backwards,
			  "stamped earlier than one before: sent without a wait");
}

static void tell_rate(const struct report *report)
{
	char pps[32], bps[32];

	if (!report->stats.handed)
		return;
	npf_format_si(pps, sizeof(pps), report->pps, "pps");
	npf_format_si(bps, sizeof(bps), report->bps, "bit/s");
	if (report->seconds > 0)
		printf("in %.6f s: %s, %s, ", report->seconds, pps, bps);
	printf("path %s%s\n", npf_send_path_name(report->path),
	       report->account->paced && report->sending->options.path == NPF_SEND_AUTO
		       ? ", as all timed packets"
		       : "");
	/* One reason for all of them, and nobody asks for it after a single packet. */
	if (report->stats.handed < NPF_SEND_MANY)
		return;
	for (int path = NPF_SEND_PATHS - 1; path > (int)report->path; path--) {
		if (*report->why[path])
			printf("    not %s: %s\n", npf_send_path_name((enum npf_send_path)path),
			       report->why[path]);
	}
}

static void format_time(char text[32], uint64_t ns)
{
	static const char *const units[] = { "us", "ms", "s" };
	double value = (double)ns / 1e3;
	size_t i = 0;

	for (; value >= 1000 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		value /= 1000;
	snprintf(text, 32, value < 10 ? "%.2f %s" : "%.1f %s", value, units[i]);
}

static void tell_lateness(const struct report *report)
{
	const struct npf_send_stats *stats = &report->stats;
	char p50[32], p99[32], most[32], limit[32];

	if (!stats->paced)
		return;
	format_time(p50, stats->late_p50);
	format_time(p99, stats->late_p99);
	format_time(most, stats->late_max);
	format_time(limit, report->sending->options.late);
	printf("late: half of them up to %s, 99 %% up to %s, all up to %s; %" PRIu64
	       " more than %s\n",
	       p50, p99, most, stats->late, limit);
}

/* Of what was to be sent a number tells how much was stopped; of what a file holds none does. */
static void tell_stopped(const struct report *report)
{
	const struct npf_account *account = report->account;

	if (report->sending->err == -EINTR && !account->wanted && !account->endless)
		printf("stopped by a signal before the end\n");
}

static void print_text(const struct report *report)
{
	tell_counts(report);
	tell_stopped(report);
	tell_skipped(report);
	tell_rate(report);
	tell_lateness(report);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_counts(struct npf_json *json, const struct report *report)
{
	const struct npf_send_stats *stats = &report->stats;

	npf_json_unsigned(json, "asked", stats->asked);
	npf_json_unsigned(json, "handed", stats->handed);
	npf_json_unsigned(json, "confirmed", stats->confirmed);
	npf_json_unsigned(json, "failed", stats->failed);
	npf_json_object(json, "failed_by");
	for (int reason = 0; reason < NPF_SEND_FAILED_N; reason++)
		npf_json_unsigned(json, npf_send_failure_name((enum npf_send_failure)reason),
				  stats->failed_by[reason]);
	npf_json_object_end(json);
	npf_json_unsigned(json, "device_dropped", stats->device_dropped);
	npf_json_unsigned(json, "bytes", stats->bytes);
}

static void put_skipped(struct npf_json *json, const struct report *report)
{
	if (!report->account->skipped)
		return;
	npf_json_object(json, "left_out");
	for (int i = 0; i < N_SKIP; i++)
		npf_json_unsigned(json, report->skipped[i].key, report->skipped[i].n);
	npf_json_object_end(json);
	npf_json_unsigned(json, "backwards", report->account->backwards);
}

static void put_paths(struct npf_json *json, const struct report *report)
{
	npf_json_string(json, "path",
			report->stats.handed ? npf_send_path_name(report->path) : NULL);
	npf_json_object(json, "by_path");
	for (int path = NPF_SEND_SOCKET; path < NPF_SEND_PATHS; path++)
		npf_json_unsigned(json, npf_send_path_name((enum npf_send_path)path),
				  report->stats.by_path[path]);
	npf_json_object_end(json);
	npf_json_object(json, "not_taken");
	for (int path = NPF_SEND_PATHS - 1; path > (int)report->path; path--) {
		if (*report->why[path])
			npf_json_string(json, npf_send_path_name((enum npf_send_path)path),
					report->why[path]);
	}
	npf_json_object_end(json);
}

static void put_lateness(struct npf_json *json, const struct report *report)
{
	const struct npf_send_stats *stats = &report->stats;

	npf_json_object(json, "lateness");
	npf_json_unsigned(json, "paced", stats->paced);
	npf_json_unsigned(json, "late", stats->late);
	npf_json_unsigned(json, "limit_ns", report->sending->options.late);
	npf_json_unsigned(json, "p50_ns", stats->late_p50);
	npf_json_unsigned(json, "p99_ns", stats->late_p99);
	npf_json_unsigned(json, "max_ns", stats->late_max);
	npf_json_object_end(json);
}

static void print_json(const struct report *report)
{
	const struct npf_sending *sending = report->sending;
	struct npf_json json = { .out = stdout };

	npf_json_object(&json, NULL);
	npf_json_string(&json, "adapter", sending->session.adapter.name);
	put_counts(&json, report);
	put_skipped(&json, report);
	npf_json_real(&json, "seconds", report->seconds);
	npf_json_real(&json, "packets_per_second", report->pps);
	npf_json_real(&json, "bits_per_second", report->bps);
	put_paths(&json, report);
	put_lateness(&json, report);
	npf_json_bool(&json, "stopped", sending->err == -EINTR);
	npf_json_string(&json, "error",
			report->account->error                   ? report->account->error
			: sending->err && sending->err != -EINTR ? sending->error
								 : NULL);
	npf_json_object_end(&json);
	npf_json_line(&json);
}

int npf_send_report(struct npf_sending *sending, const struct npf_account *account)
{
	struct report report = { .sending = sending, .account = account };

	look(&report, sending->session.instance);
	if (sending->options.json)
		print_json(&report);
	else
		print_text(&report);
	return npf_flush(stdout);
}
