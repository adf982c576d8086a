/* SPDX-License-Identifier: BSD-3-Clause */
/* See dump_view.h. */
#include "dump_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/json.h"

#define NS_PER_S 1000000000.0
#define MANY     100000 /* packets from which on the cost of one means something */

/* ---- what both ways of telling need ---------------------------------------------------------- */

static double per_second(uint64_t before, uint64_t now, uint64_t ns)
{
	return ns ? (double)(now - before) * NS_PER_S / (double)ns : 0;
}

static double seconds(uint64_t ns)
{
	return (double)ns / NS_PER_S;
}

static double per_packet(uint64_t ns, uint64_t packets)
{
	return packets ? (double)ns / (double)packets : 0;
}

uint64_t npf_dump_view_interval(const struct npf_dump_view *view)
{
	const struct npf_dump_settings *settings = view->settings;

	if (settings->interval)
		return settings->interval;
	return view->terminal.tty && !settings->quiet && !settings->json ? 1000000000u : 0;
}

/* A reader of standard output that goes away is how pipes end, no failure. */
static bool reader_has_gone(const struct npf_dump_status *status)
{
	return status->end == NPF_DUMP_FAILED && status->error == -EPIPE;
}

static const char *end_sentence(const struct npf_dump_status *status)
{
	if (reader_has_gone(status))
		return "who read the output has gone";
	switch (status->end) {
	case NPF_DUMP_STOPPED:
		return "stopped";
	case NPF_DUMP_BYTES:
		return "the size asked for is reached";
	case NPF_DUMP_PACKETS:
		return "all packets asked for are there";
	case NPF_DUMP_TIME:
		return "the time asked for is over";
	case NPF_DUMP_GONE:
		return "the adapter has gone";
	case NPF_DUMP_FULL:
		return "the disk is full";
	case NPF_DUMP_FAILED:
		return "writing failed";
	default:
		return npf_dump_end_name(status->end);
	}
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A line at once: files are told on a thread of their own. */
static FILE *begin_json(struct npf_json *json, char **text, size_t *size)
{
	*json = (struct npf_json){ .out = open_memstream(text, size) };
	return json->out;
}

/* Who reads them may be gone, or the disk full that they go to: the dump goes on. */
static void end_json(struct npf_dump_view *view, struct npf_json *json, char **text, size_t *size)
{
	int err, none = 0;

	npf_json_line(json);
	if (!fclose(json->out))
		fwrite(*text, 1, *size, stdout);
	free(*text);
	err = npf_flush(stdout);
	atomic_compare_exchange_strong(&view->told, &none, err);
}

static void put_counters(struct npf_json *json, const struct npf_dump_sample *sample)
{
	npf_json_unsigned(json, "packets", sample->status.packets);
	npf_json_unsigned(json, "bytes", sample->status.bytes);
	npf_json_unsigned(json, "files", sample->status.files);
	npf_json_unsigned(json, "received", sample->stats.received);
	npf_json_unsigned(json, "filtered", sample->stats.filtered);
	npf_json_unsigned(json, "captured", sample->stats.captured);
	npf_json_unsigned(json, "dropped", sample->stats.dropped);
	npf_json_unsigned(json, "lost", sample->status.lost);
	npf_json_unsigned(json, "blank", sample->status.blank);
}

static void put_disk(struct npf_json *json, const struct npf_dump_status *status)
{
	npf_json_unsigned(json, "buffer_size", status->buffer_size);
	npf_json_unsigned(json, "buffer_used", status->buffer_used);
	npf_json_unsigned(json, "buffer_most", status->buffer_most);
	npf_json_unsigned(json, "writes", status->writes);
	npf_json_unsigned(json, "write_ns_p50", status->write_p50);
	npf_json_unsigned(json, "write_ns_p99", status->write_p99);
	npf_json_unsigned(json, "write_ns_max", status->write_max);
}

/* Packets are taken from here on. */
static void json_start(struct npf_dump_view *view)
{
	const struct npf_session *session = view->session;
	struct npf_json json;
	char *text;
	size_t size;

	if (!begin_json(&json, &text, &size))
		return;
	npf_json_object(&json, NULL);
	npf_json_string(&json, "type", "start");
	npf_json_string(&json, "adapter", session->adapter.name);
	npf_json_string(&json, "hook", npf_hook_name(npf_instance_hook(session->instance)));
	npf_json_string(&json, "file", view->settings->files.path);
	npf_json_unsigned(&json, "buffer_size", view->start.status.buffer_size);
	npf_json_bool(&json, "direct", view->start.status.direct);
	npf_json_object_end(&json);
	end_json(view, &json, &text, &size);
}

static void json_line(struct npf_dump_view *view, const struct npf_dump_sample *now)
{
	uint64_t ns = now->time - view->before.time;
	struct npf_json json;
	char *text;
	size_t size;

	if (!begin_json(&json, &text, &size))
		return;
	npf_json_object(&json, NULL);
	npf_json_string(&json, "type", "interval");
	npf_json_real(&json, "seconds", seconds(now->time - view->start.time));
	put_counters(&json, now);
	npf_json_real(&json, "packets_per_second",
		      per_second(view->before.status.packets, now->status.packets, ns));
	npf_json_real(&json, "bytes_per_second",
		      per_second(view->before.status.bytes, now->status.bytes, ns));
	put_disk(&json, &now->status);
	npf_json_unsigned(&json, "compress_waiting", now->files.compress.waiting);
	npf_json_object_end(&json);
	end_json(view, &json, &text, &size);
}

static void put_drops(struct npf_json *json, const struct npf_stats *stats)
{
	npf_json_object(json, "dropped_by");
	for (int reason = 0; reason < NPF_DROP_N; reason++)
		npf_json_unsigned(json, npf_drop_name((enum npf_drop)reason),
				  stats->dropped_by[reason]);
	npf_json_object_end(json);
}

static void put_compression(struct npf_json *json, const struct npf_compress_report *report)
{
	npf_json_object(json, "compressed");
	npf_json_unsigned(json, "files", report->files);
	npf_json_unsigned(json, "bytes_in", report->bytes_in);
	npf_json_unsigned(json, "bytes_out", report->bytes_out);
	npf_json_unsigned(json, "left", report->left);
	npf_json_unsigned(json, "failed", report->failed);
	npf_json_real(json, "cpu_seconds", seconds(report->cpu_ns));
	npf_json_object_end(json);
}

static void json_end(struct npf_dump_view *view, const struct npf_dump_sample *end, int code)
{
	const struct npf_dump_status *status = &end->status;
	struct npf_json json;
	char *text;
	size_t size;

	if (!begin_json(&json, &text, &size))
		return;
	npf_json_object(&json, NULL);
	npf_json_string(&json, "type", "end");
	npf_json_string(&json, "end",
			reader_has_gone(status) ? "reader gone" : npf_dump_end_name(status->end));
	npf_json_unsigned(&json, "code", (uint64_t)code);
	npf_json_string(&json, "message", *status->message ? status->message : NULL);
	npf_json_string(&json, "adapter", view->session->adapter.name);
	npf_json_string(&json, "hook", npf_hook_name(npf_instance_hook(view->session->instance)));
	npf_json_real(&json, "seconds", seconds(end->time - view->start.time));
	put_counters(&json, end);
	put_drops(&json, &end->stats);
	put_disk(&json, status);
	npf_json_bool(&json, "direct", status->direct);
	npf_json_string(&json, "why_not_direct", status->direct ? NULL : status->why_not_direct);
	npf_json_real(&json, "cpu_seconds", seconds(end->cpu_ns - view->start.cpu_ns));
	npf_json_real(&json, "cpu_ns_per_packet",
		      per_packet(end->cpu_ns - view->start.cpu_ns, status->packets));
	npf_json_unsigned(&json, "files_finished", end->files.finished);
	npf_json_unsigned(&json, "files_removed", end->files.removed);
	npf_json_unsigned(&json, "files_failed", end->files.failed);
	npf_json_string(&json, "last_file", *end->files.last ? end->files.last : NULL);
	if (view->settings->files.compress)
		put_compression(&json, &end->files.compress);
	npf_json_object_end(&json);
	end_json(view, &json, &text, &size);
}

void npf_dump_view_file(void *argument, const char *name, const struct npf_dump_file *file)
{
	struct npf_dump_view *view = argument;
	struct npf_json json;
	char *text;
	size_t size;

	if (!view->settings->json || !npf_dump_view_interval(view) ||
	    !begin_json(&json, &text, &size))
		return;
	npf_json_object(&json, NULL);
	npf_json_string(&json, "type", "file");
	npf_json_string(&json, "file", name);
	npf_json_unsigned(&json, "number", file->number);
	npf_json_unsigned(&json, "bytes", file->bytes);
	npf_json_unsigned(&json, "packets", file->packets);
	npf_json_unsigned(&json, "dropped", file->dropped);
	npf_json_unsigned(&json, "first_ns", file->time);
	npf_json_unsigned(&json, "ended_ns", file->ended);
	npf_json_string(&json, "end", npf_dump_end_name(file->end));
	npf_json_object_end(&json);
	end_json(view, &json, &text, &size);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* A line that the next one replaces, on a terminal; else one among others. */
static void put_line(struct npf_dump_view *view, const char *text)
{
	unsigned int columns, rows;

	if (!view->terminal.tty) {
		fprintf(stderr, "%s\n", text);
		return;
	}
	npf_terminal_size(&view->terminal, &columns, &rows);
	fprintf(stderr, "\r%.*s\033[K", (int)columns - 1, text);
	fflush(stderr);
	view->line = true;
}

static void clear_line(struct npf_dump_view *view)
{
	if (view->line)
		fputs("\r\033[K", stderr);
	view->line = false;
}

static void format_latency(char *out, size_t size, uint64_t ns)
{
	if (ns < 1000000)
		snprintf(out, size, "%.0f us", (double)ns / 1e3);
	else
		snprintf(out, size, "%.1f ms", (double)ns / 1e6);
}

/* What matters most stands first: a narrow window cuts the end off. */
static void text_line(struct npf_dump_view *view, const struct npf_dump_sample *now)
{
	const struct npf_dump_status *status = &now->status;
	uint64_t ns = now->time - view->before.time;
	char packets[24], rate[24], speed[24], slow[24], text[256];
	double full = status->buffer_size
			      ? 100.0 * (double)status->buffer_used / (double)status->buffer_size
			      : 0.0;

	npf_format_si(packets, sizeof(packets), (double)status->packets,
		      status->packets == 1 ? "packet" : "packets");
	npf_format_si(rate, sizeof(rate),
		      per_second(view->before.status.packets, status->packets, ns), "pps");
	npf_format_si(speed, sizeof(speed),
		      per_second(view->before.status.bytes, status->bytes, ns), "B/s");
	format_latency(slow, sizeof(slow), status->write_p99);
	snprintf(text, sizeof(text),
		 "%s  %s  %s  %" PRIu64 " dropped  buffer %.0f %%  disk %s  file %" PRIu64, packets,
		 rate, speed, now->stats.dropped, full, slow, status->files);
	put_line(view, text);
}

void npf_dump_view_start(struct npf_dump_view *view, const struct npf_dump_sample *start)
{
	const struct npf_session *session = view->session;
	char name[NPF_NAME_SIZE], size[32], path[256];
	int descriptor;

	view->start = view->before = *start;
	if (view->settings->json && npf_dump_view_interval(view))
		json_start(view);
	if (view->settings->quiet || view->settings->json)
		return;
	npf_clean_text(name, sizeof(name), session->adapter.name);
	npf_clean_text(path, sizeof(path),
		       npf_dump_files_inherited(view->settings->files.path, &descriptor) &&
				       descriptor == STDOUT_FILENO
			       ? "standard output"
			       : view->settings->files.path);
	npf_format_bytes(size, sizeof(size), start->status.buffer_size);
	fprintf(stderr, "npf: dumping from %s (%s) to %s, hook %s, buffer %s, %s%s\n", name,
		npf_link_name(session->adapter.link_type), path,
		npf_hook_name(npf_instance_hook(session->instance)), size,
		start->status.direct ? "direct I/O" : "no direct I/O: ",
		start->status.direct ? "" : start->status.why_not_direct);
	npf_session_tell_down(session);
}

void npf_dump_view_line(struct npf_dump_view *view, const struct npf_dump_sample *now)
{
	if (view->settings->json)
		json_line(view, now);
	else
		text_line(view, now);
	view->before = *now;
}

void npf_dump_view_compressing(struct npf_dump_view *view, const struct npf_dump_sample *now)
{
	uint64_t waiting = now->files.compress.waiting;
	char text[128];

	if (!view->terminal.tty || view->settings->quiet || view->settings->json)
		return;
	snprintf(text, sizeof(text), "compressing: %" PRIu64 " file%s left (Ctrl-C: leave %s)",
		 waiting, npf_plural(waiting), waiting == 1 ? "it" : "them");
	put_line(view, text);
}

/* "1234 packets written". */
static void tell_count(uint64_t n, const char *what)
{
	fprintf(stderr, "%" PRIu64 " packet%s %s\n", n, npf_plural(n), what);
}

static void tell_files(const struct npf_dump_sample *end)
{
	char bytes[24], name[NAME_MAX + 1];

	npf_format_si(bytes, sizeof(bytes), (double)end->status.bytes, "B");
	npf_clean_text(name, sizeof(name), end->files.last);
	fprintf(stderr, "    %s in %" PRIu64 " file%s%s%s", bytes, end->status.files,
		npf_plural(end->status.files), *name ? ", the last " : "", name);
	if (end->files.removed)
		fprintf(stderr, "; %" PRIu64 " older removed", end->files.removed);
	fputc('\n', stderr);
}

static bool reached_limit(const struct npf_dump_status *status)
{
	return status->end == NPF_DUMP_PACKETS || status->end == NPF_DUMP_BYTES ||
	       status->end == NPF_DUMP_TIME;
}

static void tell_losses(const struct npf_dump_sample *end)
{
	tell_count(end->stats.received, "received");
	tell_count(end->stats.filtered, "filtered");
	tell_count(end->stats.dropped, "dropped");
	for (int reason = 0; reason < NPF_DROP_N; reason++) {
		if (end->stats.dropped_by[reason])
			fprintf(stderr, "    %" PRIu64 " %s\n", end->stats.dropped_by[reason],
				npf_drop_name((enum npf_drop)reason));
	}
	if (end->status.lost)
		tell_count(end->status.lost, reached_limit(&end->status)
						     ? "came after the last that was asked for"
						     : "captured and not written");
	if (end->status.blank)
		tell_count(end->status.blank, "written with zeros for data: the kernel could not "
					      "read them");
}

static void tell_disk(const struct npf_dump_view *view, const struct npf_dump_sample *end)
{
	const struct npf_dump_status *status = &end->status;
	uint64_t cpu = end->cpu_ns - view->start.cpu_ns;
	char p50[24], p99[24], most[24];

	format_latency(p50, sizeof(p50), status->write_p50);
	format_latency(p99, sizeof(p99), status->write_p99);
	format_latency(most, sizeof(most), status->write_max);
	fprintf(stderr, "%s%s%s: %" PRIu64 " write%s, median %s, 99 %% below %s, longest %s\n",
		status->direct ? "direct I/O" : "no direct I/O (",
		status->direct ? "" : status->why_not_direct, status->direct ? "" : ")",
		status->writes, npf_plural(status->writes), p50, p99, most);
	fprintf(stderr, "buffer at most %.0f %% full; CPU %.2f s",
		status->buffer_size
			? 100.0 * (double)status->buffer_most / (double)status->buffer_size
			: 0.0,
		seconds(cpu));
	if (status->packets >= MANY)
		fprintf(stderr, ", %.0f ns a packet", per_packet(cpu, status->packets));
	fputc('\n', stderr);
}

static void tell_compression(const struct npf_compress_report *report)
{
	char in[24], out[24];

	npf_format_si(in, sizeof(in), (double)report->bytes_in, "B");
	npf_format_si(out, sizeof(out), (double)report->bytes_out, "B");
	fprintf(stderr, "zstd: %" PRIu64 " file%s, %s became %s, CPU %.2f s\n", report->files,
		npf_plural(report->files), in, out, seconds(report->cpu_ns));
	if (report->left)
		fprintf(stderr,
			"    %" PRIu64 " left uncompressed: compressing could not keep up\n",
			report->left);
	if (report->failed)
		fprintf(stderr, "    %" PRIu64 " could not be compressed: %s\n", report->failed,
			strerror(-report->error));
}

static void text_end(const struct npf_dump_view *view, const struct npf_dump_sample *end)
{
	fprintf(stderr, "ended: %s\n", end_sentence(&end->status));
	tell_count(end->status.packets, "written");
	tell_files(end);
	tell_losses(end);
	tell_disk(view, end);
	if (view->settings->files.compress)
		tell_compression(&end->files.compress);
}

void npf_dump_view_end(struct npf_dump_view *view, const struct npf_dump_sample *end, int code)
{
	clear_line(view);
	if (view->settings->json)
		json_end(view, end, code);
	else if (!view->settings->quiet)
		text_end(view, end);
}
