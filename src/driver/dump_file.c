/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One file of a dump: opened, filled from the stream, ended on a whole record (manual:
 * NPF_OpenDumpFile, NPF_WriteDumpFile, NPF_CloseDumpFile). dump.h explains phase, stage and seam.
 *
 * After a failed write the file ends at the last whole record that is in it. Where that is need not
 * be known before: it is read back from the file, from the last place that is known.
 */
#include <errno.h>
#include <string.h>

#include "driver/dump.h"

#define MOST_WRITE (4u << 20) /* bytes: the ring gets its space back in steps of this */

/* ---- writing ------------------------------------------------------------------------------- */

/* Sixteen buckets for each doubling. */
static uint32_t bucket_of(uint64_t ns)
{
	if (ns < 16)
		return (uint32_t)ns;

	uint32_t exponent = 63u - (uint32_t)__builtin_clzll(ns);

	return (exponent - 3) * 16 + (uint32_t)(ns >> (exponent - 4) & 15);
}

static void note_latency(struct npf_dump *dump, uint64_t ns)
{
	uint32_t *bucket = &dump->latency[bucket_of(ns)];

	__atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
	npf_dump_set(&dump->writes, dump->writes + 1);
	if (ns > dump->write_max)
		npf_dump_set(&dump->write_max, ns);
}

static void note_directness(struct npf_dump *dump)
{
	const char *why = dump->host->files->why_not_direct(dump->file);

	npf_lock_take(dump->host, &dump->text_lock);
	for (size_t i = 0; i + 1 < sizeof(dump->why_not_direct); i++) {
		dump->why_not_direct[i] = why ? *why : 0;
		if (why && *why)
			why++;
	}
	npf_lock_release(dump->host, &dump->text_lock);
	__atomic_store_n(&dump->is_direct, !why, __ATOMIC_RELAXED);
}

int npf_write_dump_file(struct npf_dump *dump, const void *data, size_t size, uint64_t offset)
{
	const struct npf_host *host = dump->host;
	uint64_t before = host->system->now(dump->host);
	size_t written = 0;
	int err = host->files->write(dump->file, data, size, offset, &written);

	note_latency(dump, host->system->now(dump->host) - before);
	if (offset + written > dump->stored) {
		dump->stored = offset + written;
		dump->flush_at = NPF_NEVER;
	}
	if (dump->is_direct && host->files->why_not_direct(dump->file))
		note_directness(dump);
	return err ? npf_dump_fail_host(dump, err, "writing the dump failed") : 0;
}

/* ---- the stage ----------------------------------------------------------------------------- */

static uint64_t stage_offset(const struct npf_dump *dump)
{
	return dump->out - dump->staged;
}

/* Whole pages leave the stage, the rest moves to its front. */
static int empty_stage(struct npf_dump *dump)
{
	uint32_t whole = dump->staged & ~(dump->alignment - 1);
	int err = whole ? npf_write_dump_file(dump, dump->stage, whole, stage_offset(dump)) : 0;

	if (err)
		return err;
	dump->staged -= whole;
	memmove(dump->stage, dump->stage + whole, dump->staged);
	return 0;
}

static bool in_phase(const struct npf_dump *dump)
{
	return !((dump->head ^ dump->out) & (dump->alignment - 1));
}

static void release_to_tap(struct npf_dump *dump)
{
	__atomic_store_n(&dump->instance->view.control->stream.head, dump->head, __ATOMIC_RELEASE);
}

static void copy_to_stage(struct npf_dump *dump, uint32_t n)
{
	npf_stream_copy(&dump->instance->view, dump->head, dump->stage + dump->staged, n);
	dump->staged += n;
	dump->head += n;
	dump->out += n;
	release_to_tap(dump);
}

/* In phase: up to the end of the file's page. Else: what fits. Staged pages that are whole go first,
 * in either case. */
static int save_through_stage(struct npf_dump *dump, uint64_t end)
{
	uint64_t n = end - dump->head;
	uint64_t room = NPF_DUMP_STAGE - dump->staged;

	if (in_phase(dump))
		room = dump->alignment - (dump->out & (dump->alignment - 1));
	if (dump->staged && !(dump->staged & (dump->alignment - 1)))
		room = 0;
	copy_to_stage(dump, (uint32_t)(n < room ? n : room));
	return empty_stage(dump);
}

/* Whole pages, straight from the ring. */
static int save_pages(struct npf_dump *dump, uint64_t n)
{
	const struct npf_ring_view *view = &dump->instance->view;
	size_t most = view->geometry.stream_size / 4 < MOST_WRITE ? view->geometry.stream_size / 4
								  : MOST_WRITE;
	size_t row;
	const uint8_t *from = npf_stream_at(view, dump->head, &row);

	if (row > n)
		row = n;
	if (row > most)
		row = most;

	int err = npf_write_dump_file(dump, from, row, dump->out);

	if (err)
		return err;
	dump->head += row;
	dump->out += row;
	release_to_tap(dump);
	return 0;
}

/* ---- the seam ------------------------------------------------------------------------------ */

/* There is one ahead. Until it is passed there can be no other. */
static bool has_seam(const struct npf_dump *dump)
{
	return dump->head < dump->seam_to;
}

/* Leave out what brings the end of the stream, as it is now, back into phase. */
static void make_seam(struct npf_dump *dump)
{
	const struct npf_ring_view *view = &dump->instance->view;
	struct npf_stream_mark end;
	uint64_t skip;

	do {
		end = npf_stream_end(view, dump->head);
		skip = (dump->out - dump->head) & (dump->alignment - 1);
	} while (!npf_stream_skip(view, &end, skip));
	dump->seam_from = end.position;
	dump->seam_to = end.position + skip;
}

static void pass_seam(struct npf_dump *dump)
{
	uint64_t head = npf_dump_past_seam(dump, dump->head);

	if (head == dump->head)
		return;
	dump->head = head;
	release_to_tap(dump);
}

int npf_dump_save(struct npf_dump *dump, uint64_t end)
{
	int err = 0;

	while (!err) {
		pass_seam(dump);
		if (dump->head >= end)
			return 0;
		if (!in_phase(dump) && !has_seam(dump) && !dump->closed &&
		    dump->order_seen < NPF_ORDER_CUT)
			make_seam(dump);

		uint64_t stop = has_seam(dump) && end > dump->seam_from ? dump->seam_from : end;
		uint64_t pages = (stop - dump->head) & ~(uint64_t)(dump->alignment - 1);

		if (dump->staged || !in_phase(dump))
			err = save_through_stage(dump, stop);
		else if (pages)
			err = save_pages(dump, pages);
		else if (stop < end) /* in phase by chance, before the seam of another file */
			err = save_through_stage(dump, stop);
		else
			return 0; /* less than a page: it waits for more */
	}
	return err;
}

/* What save left in the ring: less than a page, which may end at the seam, and mark behind it. */
static void stage_rest(struct npf_dump *dump)
{
	uint64_t end = dump->mark.position;

	pass_seam(dump);
	if (has_seam(dump) && end > dump->seam_from)
		end = dump->seam_from;
	if (dump->head < end)
		copy_to_stage(dump, (uint32_t)(end - dump->head));
	pass_seam(dump);
}

int npf_dump_flush(struct npf_dump *dump)
{
	stage_rest(dump);
	if (dump->stored >= dump->out)
		return 0;

	int err = npf_write_dump_file(dump, dump->stage, dump->staged, stage_offset(dump));

	if (!err && dump->alignment == 1)
		dump->staged = 0;
	return err;
}

static uint64_t dropped(const struct npf_ring_totals *totals)
{
	uint64_t sum = totals->reentered;

	for (uint32_t i = 0; i < NPF_TAP_DROPS; i++)
		sum += totals->dropped[i];
	return sum;
}

/* What the owner of a file is told of its end, however that came. */
static void note_end(struct npf_dump *dump, struct npf_ring_totals *totals)
{
	npf_ring_totals(&dump->instance->view, totals);
	dump->given.dropped = dropped(totals);
	dump->given.ended = dump->host->system->now(dump->host) + dump->offset;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int take_file(struct npf_dump *dump, char *error)
{
	const struct npf_file_ops *ops = dump->host->files;

	if (dump->path)
		return ops->create(dump->host, dump->path, dump->again, dump->direct, &dump->hurry,
				   &dump->file, error);
	return ops->adopt(dump->host, dump->given.fd, dump->direct, &dump->hurry, &dump->file,
			  error);
}

static int ask_for_file(struct npf_dump *dump, uint64_t first)
{
	char error[NPF_ERROR_SIZE] = "";
	struct npf_ring_totals totals;
	int err;

	dump->given = (struct npf_dump_file){ .number = dump->files, .time = first, .fd = -1 };
	err = dump->path ? 0 : dump->next(dump->arg, &dump->given, error);
	if (err > 0)
		return 1;
	if (err)
		return npf_dump_fail(dump, err, error[0] ? error : "there was no next file");
	err = take_file(dump, error);
	if (!err)
		return 0;
	npf_dump_fail(dump, err, error[0] ? error : "opening the dump's file failed");
	if (!dump->path && dump->done) {
		note_end(dump, &totals);
		dump->given.end = NPF_DUMP_FAILED;
		dump->done(dump->arg, &dump->given);
	}
	return err;
}

/* Of our own limit. A packet that was stamped before the wall clock was set back seems to be of the
 * future: then it counts from now. */
static uint64_t file_end(const struct npf_dump *dump)
{
	uint64_t now = dump->now - dump->offset, begun = dump->given.time - dump->offset;

	if (dump->given.until)
		return NPF_NEVER;
	return npf_dump_later(begun > now + NPF_NS_PER_S ? now : begun, dump->file_ns);
}

int npf_open_dump_file(struct npf_dump *dump, uint64_t first)
{
	int err = ask_for_file(dump, first);

	if (err)
		return err;
	dump->until = file_end(dump);
	dump->alignment = dump->host->files->alignment(dump->file);
	note_directness(dump);
	memcpy(dump->stage, dump->header, dump->header_size);
	dump->staged = dump->header_size;
	dump->out = dump->header_size;
	dump->stored = dump->synced = 0;
	dump->safe = dump->previous = (struct npf_dump_place){ .offset = dump->header_size };
	npf_dump_set(&dump->files, dump->files + 1);
	npf_dump_set(&dump->file_size, dump->header_size);
	npf_dump_set(&dump->file_count, 0);
	npf_dump_set(&dump->bytes, dump->base_bytes + dump->header_size);
	return 0;
}

/* ---- ending -------------------------------------------------------------------------------- */

/* A window on the file, for looking at what was written. Takes the stage. */
struct window {
	uint64_t offset;
	uint32_t n;
};

/* The head of the record at a place, NULL: no more is there, or it cannot be read. */
static const uint8_t *look(struct npf_dump *dump, struct window *window, uint64_t at)
{
	uint64_t left = dump->stored - at;

	if (at >= dump->stored || left < NPF_PCAP_HEADER)
		return NULL;
	if (at < window->offset || at + NPF_DUMP_RECORD_HEAD > window->offset + window->n) {
		window->offset = at;
		window->n = left < NPF_DUMP_STAGE ? (uint32_t)left : NPF_DUMP_STAGE;
		if (dump->host->files->read(dump->file, dump->stage, window->n, at))
			return NULL;
	}
	return dump->stage + (at - window->offset);
}

/* From the last place that is safe on, as far as whole records reach. */
static struct npf_dump_place last_whole_record(struct npf_dump *dump)
{
	uint32_t most = dump->instance->view.geometry.chunk_size;
	struct npf_dump_place place = dump->safe;
	struct window window = { 0 };
	const uint8_t *head;

	while ((head = look(dump, &window, place.offset))) {
		uint32_t size = npf_dump_record_size(dump->format, head, most);

		if (!size || size > dump->stored - place.offset)
			break;
		place.offset += size;
		place.packets++;
	}
	return place;
}

static void count_file(struct npf_dump *dump, uint64_t size, uint64_t packets)
{
	npf_dump_set(&dump->file_size, size);
	npf_dump_set(&dump->file_count, packets);
	npf_dump_set(&dump->bytes, dump->base_bytes + size);
	npf_dump_set(&dump->packets, dump->base_packets + packets);
}

/* The counters of the moment, in the stage's free part. */
static uint32_t put_trailer(struct npf_dump *dump, uint8_t *to)
{
	struct npf_ring_totals totals;

	note_end(dump, &totals);
	if (!dump->trailer_size)
		return 0;

	struct npf_dump_counts counts = {
		.begun = dump->given.time,
		.ended = dump->given.ended,
		.received = totals.received + totals.reentered,
		.dropped = dump->given.dropped,
		.accepted = totals.captured + dump->given.dropped,
		.written = dump->packets,
	};

	npf_dump_trailer(to, &counts);
	return dump->trailer_size;
}

static int end_whole(struct npf_dump *dump)
{
	uint32_t trailer;

	stage_rest(dump);
	/* A stage full of a long record's start has no room for the trailer yet. */
	int err = empty_stage(dump);

	if (err)
		return err;
	trailer = put_trailer(dump, dump->stage + dump->staged);
	dump->staged += trailer;
	dump->out += trailer;
	return dump->stored < dump->out
		       ? npf_write_dump_file(dump, dump->stage, dump->staged, stage_offset(dump))
		       : 0;
}

static void explain_rest(struct npf_dump *dump)
{
	npf_dump_explain(dump, "; nor could what follows the last whole packet be cut off, which "
			       "npf repair does");
}

/* The trailer, too, if there is room for it; else not. */
static uint64_t end_cut(struct npf_dump *dump)
{
	const struct npf_file_ops *ops = dump->host->files;
	struct npf_dump_place place = { 0 };
	struct npf_ring_totals totals;
	uint8_t trailer[NPF_DUMP_TRAILER];
	size_t written = 0;
	int err;

	note_end(dump, &totals);
	if (dump->previous.offset <= dump->stored)
		dump->safe = dump->previous;
	if (dump->stored >= dump->header_size)
		place = last_whole_record(dump);
	count_file(dump, place.offset, place.packets);
	err = ops->truncate(dump->file, place.offset);
	if (err == -ESPIPE)
		return dump->stored; /* it is gone */
	if (err) {
		explain_rest(dump);
		return place.offset;
	}

	uint32_t n = place.offset ? put_trailer(dump, trailer) : 0;

	if (n && !ops->write(dump->file, trailer, n, place.offset, &written))
		return place.offset + n;
	if (n && written && ops->truncate(dump->file, place.offset))
		explain_rest(dump); /* a part of the trailer */
	return place.offset;
}

int npf_close_dump_file(struct npf_dump *dump, enum npf_dump_end end)
{
	int err = dump->error ? 0 : end_whole(dump);
	uint64_t size = dump->error ? end_cut(dump) : dump->out;
	struct npf_file *file = dump->file;
	int close_err;

	count_file(dump, size, dump->file_count);
	dump->base_bytes += size;
	dump->base_packets += dump->file_count;
	dump->file = NULL; /* before it is none: a fork made here lets it be */
	close_err = dump->host->files->close(file);
	if (close_err && !dump->error)
		err = npf_dump_fail_host(dump, close_err, "bringing the dump to the disk failed");
	dump->staged = 0;
	dump->flush_at = NPF_NEVER;

	dump->given.bytes = size;
	dump->given.packets = dump->file_count;
	dump->given.end = dump->error ? npf_dump_failure(dump) : end;
	if (!dump->path && dump->done)
		dump->done(dump->arg, &dump->given);
	return err;
}
