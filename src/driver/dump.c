/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Begin and end of a dump, its limits, its status (manual: NPF_StartDump; the modes and control
 * codes of dumping). The work is done by its thread, dump_thread.c.
 */
#include "driver/dump.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

#define DEFAULT_FLUSH NPF_NS_PER_S

/* The manual's MinToCopy of dump mode: half of a small buffer, or this. */
#define MIN_TO_COPY  1000000u
#define SMALL_BUFFER 2000000u

/* ---- errors -------------------------------------------------------------------------------- */

int npf_dump_fail(struct npf_dump *dump, int err, const char *sentence)
{
	struct npf_text text;

	npf_lock_take(dump->host, &dump->text_lock);
	if (!dump->error) {
		npf_text_init(&text, dump->message, sizeof(dump->message));
		npf_text_add(&text, sentence);
		__atomic_store_n(&dump->error, err, __ATOMIC_RELAXED);
	}
	npf_lock_release(dump->host, &dump->text_lock);
	return err;
}

static const char *meaning(int err)
{
	switch (-err) {
	case ENOSPC:
		return "the disk is full; make room or choose another";
	case EDQUOT:
		return "the quota is used up; make room or choose another place";
	case EFBIG:
		return "the file is as large as it can be there; limit the size of the files";
	case EIO:
		return "the disk failed; see the kernel's log";
	case EBUSY:
		return "somebody else writes the file, or repairs it";
	case EPIPE:
		return "the program that was reading has gone";
	case ETIMEDOUT:
		return "the program that reads does not";
	default:
		return NULL;
	}
}

int npf_dump_fail_host(struct npf_dump *dump, int err, const char *doing)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add_failure(&text, doing, meaning(err), err);
	return npf_dump_fail(dump, err, sentence);
}

void npf_dump_explain(struct npf_dump *dump, const char *more)
{
	char before[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_lock_take(dump->host, &dump->text_lock);
	memcpy(before, dump->message, sizeof(before));
	npf_text_init(&text, dump->message, sizeof(dump->message));
	npf_text_add(&text, before);
	npf_text_add(&text, more);
	npf_lock_release(dump->host, &dump->text_lock);
}

enum npf_dump_end npf_dump_failure(const struct npf_dump *dump)
{
	return dump->error == -ENOSPC || dump->error == -EDQUOT ? NPF_DUMP_FULL : NPF_DUMP_FAILED;
}

const char *npf_dump_end_name(enum npf_dump_end end)
{
	static const char *const names[NPF_DUMP_END_N] = {
		[NPF_DUMP_RUNNING] = "running",      [NPF_DUMP_STOPPED] = "stopped",
		[NPF_DUMP_BYTES] = "limit of bytes", [NPF_DUMP_PACKETS] = "limit of packets",
		[NPF_DUMP_TIME] = "limit of time",   [NPF_DUMP_ROTATED] = "next file asked for",
		[NPF_DUMP_FILES] = "no more files",  [NPF_DUMP_GONE] = "adapter gone",
		[NPF_DUMP_FULL] = "no space left",   [NPF_DUMP_FAILED] = "failed",
	};

	return (unsigned int)end < NPF_DUMP_END_N ? names[end] : "unknown";
}

/* ---- asking -------------------------------------------------------------------------------- */

static struct npf_dump *dump_of(const struct npf_instance *instance)
{
	return __atomic_load_n(&instance->dump, __ATOMIC_ACQUIRE);
}

bool npf_dump_ended(const struct npf_instance *instance)
{
	const struct npf_dump *dump = dump_of(instance);

	return dump && __atomic_load_n(&dump->ended, __ATOMIC_ACQUIRE);
}

static bool runs(const struct npf_instance *instance)
{
	return dump_of(instance) && !npf_dump_ended(instance);
}

/* One that runs, by a thread of the process that this one is a fork of. */
static bool runs_elsewhere(const struct npf_instance *instance)
{
	const struct npf_dump *dump = dump_of(instance);

	return runs(instance) && dump->worker && !dump->host->workers->is_here(dump->worker);
}

static int check_here(struct npf_instance *instance)
{
	if (!runs_elsewhere(instance))
		return 0;
	return npf_fail(instance, -ESRCH,
			"the dump is of the process that this one is a fork of, which ends it; close "
			"the instance here");
}

int npf_check_no_dump(struct npf_instance *instance)
{
	if (!runs(instance))
		return 0;
	return npf_fail(instance, -EBUSY,
			"packets are being dumped to a file; end that (npf_dump_stop) first");
}

static uint64_t get(const uint64_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

uint64_t npf_dump_position(const struct npf_instance *instance)
{
	const struct npf_dump *dump = dump_of(instance);

	return dump ? get(&dump->file_size) : 0;
}

uint64_t npf_dump_pending(const struct npf_instance *instance)
{
	uint64_t head = get(&instance->view.control->stream.head);

	return npf_stream_end(&instance->view, head).position - head;
}

/* The middle of a bucket, see bucket_of() of dump_file.c. */
static uint64_t middle_of(uint32_t bucket)
{
	if (bucket < 32)
		return bucket;

	uint32_t shift = bucket / 16 - 1;

	return ((16ull + bucket % 16) << shift) + (1ull << shift) / 2;
}

/* What `part` of a thousand writes did not exceed. */
static uint64_t percentile(const uint32_t *counts, uint64_t total, uint64_t part)
{
	uint64_t below = 0;

	for (uint32_t i = 0; i < NPF_DUMP_BUCKETS && total; i++) {
		below += counts[i];
		if (below * 1000 >= total * part)
			return middle_of(i);
	}
	return 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void fill_latency(const struct npf_dump *dump, struct npf_dump_status *status)
{
	uint32_t counts[NPF_DUMP_BUCKETS];
	uint64_t total = 0;

	for (uint32_t i = 0; i < NPF_DUMP_BUCKETS; i++) {
		counts[i] = __atomic_load_n(&dump->latency[i], __ATOMIC_RELAXED);
		total += counts[i];
	}
	status->writes = get(&dump->writes);
	status->write_max = get(&dump->write_max);
	status->write_p50 = smaller(percentile(counts, total, 500), status->write_max);
	status->write_p99 = smaller(percentile(counts, total, 990), status->write_max);
}

static void fill_status(struct npf_instance *instance, struct npf_dump *dump,
			struct npf_dump_status *status)
{
	const struct npf_stream *stream = &instance->view.control->stream;

	*status = (struct npf_dump_status){
		.packets = get(&dump->packets),
		.bytes = get(&dump->bytes),
		.files = get(&dump->files),
		.lost = get(&dump->lost),
		.file_bytes = get(&dump->file_size),
		.file_packets = get(&dump->file_count),
		.buffer_most = get(&dump->buffer_most),
		.direct = __atomic_load_n(&dump->is_direct, __ATOMIC_RELAXED),
	};
	if (npf_dump_ended(instance))
		status->end = dump->end;
	if (instance->dumping) {
		status->buffer_size = instance->view.geometry.stream_size;
		status->buffer_used = npf_dump_pending(instance);
		status->blank = get(&stream->blank);
	}
	fill_latency(dump, status);
	npf_lock_take(instance->host, &dump->text_lock);
	status->error = dump->error;
	memcpy(status->message, dump->message, sizeof(status->message));
	memcpy(status->why_not_direct, dump->why_not_direct, sizeof(status->why_not_direct));
	npf_lock_release(instance->host, &dump->text_lock);
}

static int nothing_started(struct npf_instance *instance)
{
	return npf_fail(instance, -EINVAL, "no dump was started; npf_dump_start does that");
}

int npf_dump_get_status(struct npf_instance *instance, struct npf_dump_status *status)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_lock_take(instance->host, &instance->lock);
	if (instance->dump)
		fill_status(instance, instance->dump, status);
	else
		err = nothing_started(instance);
	npf_lock_release(instance->host, &instance->lock);
	npf_stop_using_open_instance(instance);
	return err;
}

/* ---- the modes ----------------------------------------------------------------------------- */

/* The first file is in phase with a new stream: its header's length is left out. */
static void begin_stream(struct npf_instance *instance, uint32_t header_size)
{
	struct npf_stream *stream = &instance->view.control->stream;

	instance->stream_at = (struct npf_stream_mark){
		.position = header_size & (NPF_STREAM_ALIGN - 1),
	};
	instance->stream_seam_from = instance->stream_seam_to = 0;
	__atomic_store_n(&stream->head, instance->stream_at.position, __ATOMIC_RELAXED);
	__atomic_store_n(&stream->cursor, instance->stream_at.position, __ATOMIC_RELEASE);
}

static void store(struct npf_instance *instance)
{
	struct npf_stream *stream = &instance->view.control->stream;

	__atomic_store_n(&stream->offset, npf_time_offset(instance), __ATOMIC_RELAXED);
	__atomic_store_n(&stream->open, 1, __ATOMIC_SEQ_CST);
}

#define PCAP_FILE_HEADER 24u

void npf_open_stream(struct npf_instance *instance)
{
	begin_stream(instance, PCAP_FILE_HEADER);
	store(instance);
}

static int change_ring(struct npf_instance *instance, bool dumping, uint32_t format)
{
	bool was = instance->dumping;
	uint32_t old = instance->stream_format;

	instance->dumping = dumping;
	instance->stream_format = format;

	int err = npf_replace_ring(instance, instance->buffer_size);

	if (err) {
		instance->dumping = was;
		instance->stream_format = old;
	}
	return err;
}

static void set_min_to_copy(struct npf_instance *instance)
{
	uint32_t size = instance->buffer_size;

	__atomic_store_n(&instance->min_to_copy, size < SMALL_BUFFER ? size / 2 : MIN_TO_COPY,
			 __ATOMIC_RELAXED);
}

int npf_enter_dump_mode(struct npf_instance *instance, uint32_t format)
{
	int err = npf_check_no_batch(instance);

	if (!err)
		err = change_ring(instance, true, format);
	if (err)
		return err;
	begin_stream(instance, 0); /* where an earlier stream ended is no place in this one */
	set_min_to_copy(instance);
	return 0;
}

/* ---- making one ---------------------------------------------------------------------------- */

static uint64_t or_never(uint64_t limit)
{
	return limit ? limit : NPF_NEVER;
}

/* A later version's options are fine as long as what is unknown here is zero. */
static int check_size(struct npf_instance *instance, const struct npf_dump_options *options)
{
	const uint8_t *bytes = (const uint8_t *)options;

	if (options->size < sizeof(*options))
		return npf_fail(instance, -EINVAL,
				"npf_dump_options.size is too small; set it to the "
				"structure's size");
	for (size_t i = sizeof(*options); i < options->size; i++) {
		if (bytes[i])
			return npf_fail(instance, -EINVAL,
					"npf_dump_options asks for something this version has "
					"not");
	}
	return 0;
}

static int check_format(struct npf_instance *instance, enum npf_dump_format format)
{
	if ((unsigned int)format <= NPF_DUMP_PCAPNG)
		return 0;
	return npf_fail(instance, -EINVAL,
			"there is no such format; use pcap, pcap with nanoseconds or pcapng");
}

static int check_options(struct npf_instance *instance, const struct npf_dump_options *options)
{
	bool limits = options->file_bytes || options->file_packets || options->file_ns;
	int err = check_format(instance, options->format);

	if (err)
		return err;
	if (!options->path == !options->next)
		return npf_fail(instance, -EINVAL, "name a path, or give a provider of files");
	if (options->path && !*options->path)
		return npf_fail(instance, -EINVAL, "the path of the file is empty");
	if (options->path && limits)
		return npf_fail(instance, -EINVAL,
				"limits of a file need a provider that has a next one (next)");
	return 0;
}

static size_t text_size(const char *text)
{
	size_t n = 0;

	while (text && text[n])
		n++;
	return text ? n + 1 : 0;
}

/* Behind the structure lie the header and the path. */
static size_t dump_size(const struct npf_dump_options *options)
{
	return sizeof(struct npf_dump) + NPF_DUMP_HEADER + text_size(options->path);
}

static void set_limits(struct npf_dump *dump, const struct npf_dump_options *options)
{
	dump->max_bytes = or_never(options->max_bytes);
	dump->max_packets = or_never(options->max_packets);
	dump->file_bytes = or_never(options->file_bytes);
	dump->file_packets = or_never(options->file_packets);
	dump->file_ns = or_never(options->file_ns);
	dump->flush_ns = options->flush_ns ? options->flush_ns : DEFAULT_FLUSH;
	dump->deadline = npf_dump_later(dump->now - dump->offset, or_never(options->max_ns));
}

/* Memory that writes without a page cache can take begins on a page. */
static uint8_t *stage_memory(const struct npf_dump *dump)
{
	return dump->stage - dump->stage_skew;
}

static int make_stage(struct npf_dump *dump)
{
	uint8_t *memory = npf_alloc(dump->host, NPF_DUMP_STAGE + NPF_STREAM_ALIGN);

	if (!memory)
		return -ENOMEM;
	dump->stage_skew = (uint32_t)(-(uintptr_t)memory & (NPF_STREAM_ALIGN - 1));
	dump->stage = memory + dump->stage_skew;
	return 0;
}

static void free_dump(struct npf_dump *dump)
{
	if (!dump)
		return;
	if (dump->stage)
		npf_free(dump->host, stage_memory(dump), NPF_DUMP_STAGE + NPF_STREAM_ALIGN);
	npf_free(dump->host, dump, dump->size);
}

static int too_long(struct npf_instance *instance)
{
	return npf_fail(instance, -EINVAL,
			"the texts for the file's header are too long; 15 KiB are possible");
}

static int fill_dump(struct npf_instance *instance, struct npf_dump *dump,
		     const struct npf_dump_options *options)
{
	struct npf_adapter adapter;
	int err = instance->host->nic->info(instance->nic, &adapter);

	if (err)
		return npf_fail_host(instance, err, "asking for the adapter failed");
	dump->instance = instance;
	dump->nic = instance->nic;
	dump->format = (uint32_t)options->format;
	dump->direct = !options->buffered;
	dump->next = options->next;
	dump->done = options->done;
	dump->arg = options->arg;
	dump->offset = dump->offset_most = dump->offset_before = npf_time_offset(instance);
	dump->now = npf_now(instance) + dump->offset;
	dump->flush_at = NPF_NEVER;
	set_limits(dump, options);
	dump->header = (uint8_t *)(dump + 1);
	dump->header_size = npf_dump_header(dump->header, options, &adapter);
	dump->trailer_size = npf_dump_trailer_size(dump->format);
	if (options->path) {
		dump->path = (char *)dump->header + NPF_DUMP_HEADER;
		memcpy(dump->path, options->path, text_size(options->path));
	}
	if (!dump->header_size)
		return too_long(instance);
	if (dump->max_bytes < dump->header_size + dump->trailer_size)
		return npf_fail_value(instance, -EINVAL, "the limit is too small; a file has ",
				      dump->header_size + dump->trailer_size,
				      " bytes without a packet");
	return 0;
}

/* On failure *dump is partly made, to be freed. */
static int make_dump(struct npf_instance *instance, const struct npf_dump_options *options,
		     struct npf_dump **out)
{
	size_t size = dump_size(options);
	struct npf_dump *dump = npf_alloc(instance->host, size);

	*out = dump;
	if (!dump)
		return npf_fail_host(instance, -ENOMEM, "beginning the dump failed");
	dump->host = instance->host;
	dump->size = size;

	int err = fill_dump(instance, dump, options);

	if (err)
		return err;
	return make_stage(dump) ? npf_fail_host(instance, -ENOMEM, "beginning the dump failed") : 0;
}

/* ---- beginning ----------------------------------------------------------------------------- */

static void order(struct npf_dump *dump, uint32_t what)
{
	__atomic_store_n(&dump->order, what, __ATOMIC_RELEASE);
	dump->host->workers->wake(dump->worker);
}

/* The file was opened, and nothing comes of it. */
static void give_back(struct npf_dump *dump)
{
	dump->host->files->close(dump->file);
	dump->given.end = NPF_DUMP_FAILED;
	if (!dump->path && dump->done)
		dump->done(dump->arg, &dump->given);
}

/* The file and the thread, which waits for its order. */
static int npf_start_dump(struct npf_instance *instance, struct npf_dump *dump)
{
	int err = npf_open_dump_file(dump, dump->now);

	if (err > 0)
		return npf_fail(instance, -EINVAL, "the provider gave no file at all");
	if (err)
		return npf_fail(instance, err, dump->message);
	err = dump->host->workers->start(dump->nic, npf_dump_thread, dump, &dump->worker);
	if (!err)
		return 0;
	give_back(dump);
	return npf_fail_host(instance, err, "starting the thread of the dump failed");
}

static void quit(struct npf_dump *dump)
{
	order(dump, NPF_ORDER_QUIT);
	dump->host->workers->join(dump->worker);
	give_back(dump);
}

/* Let it run from where the stream begins for it. */
static void launch(struct npf_instance *instance, struct npf_dump *dump)
{
	free_dump(instance->dump);
	dump->head = instance->stream_at.position;
	dump->mark = instance->stream_at;
	dump->seam_from = instance->stream_seam_from;
	dump->seam_to = instance->stream_seam_to;
	__atomic_store_n(&instance->dump, dump, __ATOMIC_RELEASE);
	store(instance);
	order(dump, NPF_ORDER_RUN);
	npf_update_readiness(instance);
}

/* Wait for the thread of a dump that ended or was told to. */
static void join(struct npf_instance *instance)
{
	struct npf_dump *dump = instance->dump;

	if (!dump || !dump->worker)
		return;
	dump->host->workers->join(dump->worker);
	dump->worker = NULL;
	instance->stream_at = dump->mark;
	instance->stream_seam_from = dump->seam_from;
	instance->stream_seam_to = dump->seam_to;
}

static int check_state(struct npf_instance *instance)
{
	int err = npf_check_no_dump(instance);

	if (!err)
		err = npf_check_no_batch(instance);
	if (!err && !instance->buffer_size)
		err = npf_fail(instance, -EINVAL,
			       "there is no buffer; set its size (npf_set_buffer) first");
	return err;
}

/* A stream into which nothing was ever stored: npf_dump_prepare() was here. */
static bool is_prepared(const struct npf_instance *instance, uint32_t format)
{
	const struct npf_stream *stream = &instance->view.control->stream;

	return instance->dumping && instance->stream_format == format &&
	       !__atomic_load_n(&stream->cursor, __ATOMIC_RELAXED);
}

int npf_dump_prepare(struct npf_instance *instance, enum npf_dump_format format)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = check_format(instance, format);
	if (!err)
		err = check_state(instance);
	if (!err) {
		join(instance);
		err = npf_enter_dump_mode(instance, (uint32_t)format);
	}
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}

static int start_locked(struct npf_instance *instance, const struct npf_dump_options *options)
{
	struct npf_dump *dump = NULL;
	int err = check_size(instance, options);

	if (err || (err = check_options(instance, options)) || (err = check_state(instance)))
		return err;
	join(instance);
	if ((err = make_dump(instance, options, &dump)) || (err = npf_start_dump(instance, dump)))
		goto free_it;
	/* Last, because it cannot be undone. */
	if (!is_prepared(instance, dump->format))
		err = npf_enter_dump_mode(instance, dump->format);
	if (err)
		goto quit_it;
	begin_stream(instance, dump->header_size);
	launch(instance, dump);
	return 0;

quit_it:
	quit(dump);
free_it:
	free_dump(dump);
	return err;
}

int npf_dump_start(struct npf_instance *instance, const struct npf_dump_options *options)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = start_locked(instance, options);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}

/* ---- ending -------------------------------------------------------------------------------- */

/* The parent's goes on, and its file is the parent's. */
static void leave_elsewhere(struct npf_dump *dump)
{
	if (dump->file)
		dump->host->files->close(dump->file);
	dump->file = NULL;
	dump->host->workers->join(dump->worker);
	dump->worker = NULL;
}

static void end_running(struct npf_instance *instance, uint32_t what)
{
	struct npf_dump *dump = instance->dump;

	if (!dump || !dump->worker)
		return;
	if (runs_elsewhere(instance))
		return leave_elsewhere(dump);
	/* What has arrived is in the stream after this. */
	if (what == NPF_ORDER_STOP)
		instance->host->nic->lost(instance->nic);
	__atomic_store_n(&dump->hurry, 1, __ATOMIC_RELAXED);
	order(dump, what);
	join(instance);
}

static int stop_locked(struct npf_instance *instance)
{
	int err = check_here(instance);

	if (err)
		return err;
	if (!instance->dump)
		return nothing_started(instance);
	end_running(instance, NPF_ORDER_STOP);
	npf_update_readiness(instance);
	return instance->dump->error
		       ? npf_fail(instance, instance->dump->error, instance->dump->message)
		       : 0;
}

int npf_dump_stop(struct npf_instance *instance)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = stop_locked(instance);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}

void npf_free_dump(struct npf_instance *instance)
{
	end_running(instance, NPF_ORDER_STOP);
	free_dump(instance->dump);
	instance->dump = NULL;
}

int npf_leave_dump_mode(struct npf_instance *instance)
{
	int err = check_here(instance);

	if (err)
		return err;
	end_running(instance, NPF_ORDER_STOP);
	return change_ring(instance, false, 0);
}

static int rotate_locked(struct npf_instance *instance)
{
	struct npf_dump *dump = instance->dump;
	uint32_t running = NPF_ORDER_RUN;
	int err = check_here(instance);

	if (err)
		return err;
	if (!runs(instance))
		return nothing_started(instance);
	if (dump->path)
		return npf_fail(instance, -EINVAL,
				"there is no next file; give a provider (next) at the start");
	__atomic_compare_exchange_n(&dump->order, &running, NPF_ORDER_ROTATE, false,
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	dump->host->workers->wake(dump->worker);
	return 0;
}

int npf_dump_rotate(struct npf_instance *instance)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_lock_take(instance->host, &instance->lock);
	err = rotate_locked(instance);
	npf_lock_release(instance->host, &instance->lock);
	npf_stop_using_open_instance(instance);
	return err;
}

/* ---- the manual's way ---------------------------------------------------------------------- */

int npf_limit_dump(struct npf_instance *instance, uint32_t bytes, uint32_t packets)
{
	if (bytes && bytes < PCAP_FILE_HEADER)
		return npf_fail_value(instance, -EINVAL, "the limit is too small; a file has ",
				      PCAP_FILE_HEADER, " bytes without a packet");
	if (check_here(instance))
		return -ESRCH;
	instance->dump_bytes = bytes;
	instance->dump_packets = packets;
	if (!runs(instance))
		return 0;
	npf_dump_set(&instance->dump->max_bytes, or_never(bytes));
	npf_dump_set(&instance->dump->max_packets, or_never(packets));
	instance->host->workers->wake(instance->dump->worker);
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* The running dump ends, and the stream goes on. What went wrong at its very end nobody has heard
 * of, and would not any more once the other dump has taken its place. */
static int hand_over(struct npf_instance *instance)
{
	const struct npf_dump *old = runs(instance) ? instance->dump : NULL;

	end_running(instance, NPF_ORDER_CUT);
	return old && old->error ? npf_fail(instance, old->error, old->message) : 0;
}

/* All that can fail comes first; the old file is complete before the first byte goes to the new one,
 * which may be the same. */
int npf_dump_to(struct npf_instance *instance, const char *path)
{
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = (enum npf_dump_format)instance->stream_format,
		.path = path,
		.max_bytes = instance->dump_bytes,
		.max_packets = instance->dump_packets,
	};
	struct npf_dump *dump = NULL;
	int err = check_here(instance);

	if (!err)
		err = check_options(instance, &options);
	if (err)
		return err;
	if (!instance->buffer_size)
		return npf_fail(instance, -EINVAL,
				"there is no buffer; set its size (BIOCSETBUFFERSIZE) first");
	if ((err = make_dump(instance, &options, &dump)))
		goto free_it;
	dump->again = runs(instance) && instance->dump->path &&
		      same_text(instance->dump->path, path);
	if ((err = npf_start_dump(instance, dump)))
		goto free_it;
	if ((err = hand_over(instance)))
		goto quit_it;
	launch(instance, dump);
	return 0;

quit_it:
	quit(dump);
	npf_update_readiness(instance);
free_it:
	free_dump(dump);
	return err;
}
