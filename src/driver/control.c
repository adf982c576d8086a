/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control codes (manual: NPF_IoControl): one row per code, one small handler each. The
 * dispatcher counts the call in, checks the sizes and holds the lock. docs/ioctl.md is the same
 * table for people.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"
#include "filter/filter.h"
#include "driver/trace.h"

#define LONGEST_PATH 4096u

struct request {
	const void *in;
	size_t in_size;
	void *out;
	size_t out_size;
	size_t returned; /* bytes written to out */
};

static uint32_t in_u32(const struct request *request)
{
	uint32_t value;

	memcpy(&value, request->in, sizeof(value));
	return value;
}

static int32_t in_i32(const struct request *request)
{
	int32_t value;

	memcpy(&value, request->in, sizeof(value));
	return value;
}

static void answer(struct request *request, const void *from, size_t size)
{
	memcpy(request->out, from, size);
	request->returned = size;
}

/* ---- capture ------------------------------------------------------------------------------- */

static int hide_own(struct npf_instance *instance, bool hide)
{
	uint64_t hidden;
	int err = instance->host->nic->hide_own(instance->nic, hide, &hidden);

	if (err)
		return npf_fail_host(instance, err, "changing the visibility of own sends failed");
	instance->config.hidden = hidden;
	npf_apply_config(instance);
	return 0;
}

static int set_loopback(struct npf_instance *instance, struct request *request)
{
	uint32_t behaviour = in_u32(request);
	int err;

	if (behaviour == NPF_ENABLE_LOOPBACK)
		return hide_own(instance, false);
	if (behaviour != NPF_DISABLE_LOOPBACK)
		return npf_fail_value(instance, -EINVAL, "loopback behaviour ", behaviour,
				      " does not exist; use 1 to hide own sends, 2 to show them");
	err = npf_check_no_batch(instance);
	if (!err)
		err = hide_own(instance, true);
	if (err)
		return err;
	npf_reset(instance);
	npf_update_readiness(instance);
	return 0;
}

/* Into dump mode, out of it, or neither. */
static int change_dumping(struct npf_instance *instance, bool dumping)
{
	int err = npf_check_no_batch(instance);

	if (err || dumping == instance->dumping)
		return err;
	if (!dumping)
		return npf_leave_dump_mode(instance);
	err = npf_enter_dump_mode(instance, NPF_FORMAT_PCAP);
	if (!err)
		npf_open_stream(instance);
	return err;
}

static void enter_mode(struct npf_instance *instance, bool statistics)
{
	instance->config.statistics = statistics;
	npf_apply_config(instance);
	if (statistics)
		npf_monitor_restart(instance);
	npf_update_readiness(instance);
}

static int set_mode(struct npf_instance *instance, struct request *request)
{
	uint32_t mode = in_u32(request);

	if ((mode & ~NPF_MODE_DUMP) == NPF_MODE_MON)
		return npf_fail(instance, -ENOTSUP,
				"the traffic engine does not exist; use statistics mode (1)");
	/* Values without a known bit were always taken, and change nothing. */
	if (mode != NPF_MODE_CAPT && !(mode & (NPF_MODE_STAT | NPF_MODE_DUMP)))
		return 0;

	int err = change_dumping(instance, mode & NPF_MODE_DUMP);

	if (!err)
		enter_mode(instance, mode & NPF_MODE_STAT);
	return err;
}

static int set_filter(struct npf_instance *instance, struct request *request)
{
	size_t length = request->in_size / sizeof(struct npf_insn);
	size_t size = length * sizeof(struct npf_insn);
	struct npf_program program = { .length = (uint32_t)length, .insns = request->in };
	const char *misfit;
	int err;

	if (length > NPF_MAX_INSNS)
		program.length = NPF_MAX_INSNS + 1;
	misfit = npf_filter_misfit(&program);
	if (misfit)
		return npf_refuse_filter(instance, misfit);

	/* The caller's array may have any alignment. */
	struct npf_insn *insns = npf_alloc(instance->host, size);

	if (!insns)
		return npf_fail_host(instance, -ENOMEM, "installing the filter failed");
	memcpy(insns, request->in, size);
	program.insns = insns;
	err = npf_install_filter(instance, &program);
	npf_free(instance->host, insns, size);
	return err;
}

static int set_buffer(struct npf_instance *instance, struct request *request)
{
	uint32_t bytes = in_u32(request);
	int err = npf_check_no_batch(instance);

	if (!err)
		err = npf_check_no_dump(instance);
	if (err)
		return err;
	if (instance->send_only)
		return npf_fail(instance, -ENOTSUP,
				"this instance only sends; open another to capture");
	err = npf_change_buffer(instance, bytes);
	if (err)
		return err;
	if (instance->dumping)
		npf_open_stream(instance);
	npf_update_readiness(instance);
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int set_min_to_copy(struct npf_instance *instance, struct request *request)
{
	__atomic_store_n(&instance->min_to_copy, in_u32(request), __ATOMIC_RELAXED);
	npf_update_readiness(instance);
	return 0;
}

static int set_timeout(struct npf_instance *instance, struct request *request)
{
	int32_t ms = in_i32(request);

	if (ms < -1)
		return npf_fail(instance, -EINVAL,
				"a timeout is -1 (no waiting), 0 (for ever) or milliseconds");
	instance->timeout = ms;
	npf_update_readiness(instance);
	return 0;
}

static int set_event_handle(struct npf_instance *instance, struct request *request)
{
	int err;

	if (instance->joined)
		return npf_fail(instance, -EINVAL,
				"an event was set before; only one can be, for good");
	err = instance->host->nic->join(instance->nic, in_i32(request));
	if (err)
		return npf_fail_host(instance, err, "joining the epoll descriptor failed");
	instance->joined = true;
	return 0;
}

static int set_timestamp_mode(struct npf_instance *instance, struct request *request)
{
	uint32_t mode = in_u32(request);

	if (mode != NPF_TIMESTAMP_SINGLE_SYNC && mode != NPF_TIMESTAMP_COARSE &&
	    mode != NPF_TIMESTAMP_PRECISE)
		return npf_fail_value(instance, -EINVAL, "time stamp mode ", mode,
				      " does not exist; use 0, 2 or 4");
	__atomic_store_n(&instance->timestamp_mode, mode, __ATOMIC_RELAXED);
	instance->config.coarse_clock = mode == NPF_TIMESTAMP_COARSE;
	npf_apply_config(instance);
	return 0;
}

static const uint32_t timestamp_modes[] = { 3, NPF_TIMESTAMP_SINGLE_SYNC, NPF_TIMESTAMP_COARSE,
					    NPF_TIMESTAMP_PRECISE };

static int get_timestamp_modes(struct npf_instance *instance, struct request *request)
{
	(void)instance;
	answer(request, timestamp_modes, sizeof(timestamp_modes));
	return 0;
}

/* ---- counting ------------------------------------------------------------------------------ */

static uint32_t saturate(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static int get_stats(struct npf_instance *instance, struct request *request)
{
	const struct npf_stats *stats = npf_known_stats(instance);
	uint64_t before = stats->dropped_by[NPF_DROP_BACKLOG];
	struct npf_bpf_stat old = {
		.bs_recv = saturate(stats->received),
		.bs_drop = saturate(stats->dropped - before),
		.ps_ifdrop = saturate(before),
		.bs_capt = saturate(stats->captured),
	};

	answer(request, &old, sizeof(old));
	return 0;
}

/* ---- sending, adapter ---------------------------------------------------------------------- */

static int set_write_repetition(struct npf_instance *instance, struct request *request)
{
	__atomic_store_n(&instance->sending.copies, in_u32(request), __ATOMIC_RELAXED);
	return 0;
}

static int send_queue(struct npf_instance *instance, struct request *request, bool sync)
{
	int64_t n = npf_write_queue(instance, request->in, request->in_size, sync);

	if (n < 0)
		return (int)n;
	request->returned = (size_t)n;
	return 0;
}

static int send_queue_at_once(struct npf_instance *instance, struct request *request)
{
	return send_queue(instance, request, false);
}

static int send_queue_on_time(struct npf_instance *instance, struct request *request)
{
	return send_queue(instance, request, true);
}

static int query_oid(struct npf_instance *instance, struct request *request)
{
	return npf_oid_query(instance, request->in, request->in_size, request->out,
			     request->out_size, &request->returned);
}

static int set_oid(struct npf_instance *instance, struct request *request)
{
	return npf_oid_set(instance, request->in, request->in_size, request->out, request->out_size,
			   &request->returned);
}

/* ---- dump to disk -------------------------------------------------------------------------- */

static int set_dump_file_name(struct npf_instance *instance, struct request *request)
{
	char *path;
	int err;

	if (!instance->dumping)
		return npf_fail(instance, -EINVAL,
				"this is not dump mode; set it first (BIOCSMODE with 16)");
	if (!request->in_size || request->in_size > LONGEST_PATH)
		return npf_fail_value(instance, -EINVAL, "the name of a dump file has 1 to ",
				      LONGEST_PATH, " bytes, NUL included");
	path = npf_alloc(instance->host, request->in_size);
	if (!path)
		return npf_fail_host(instance, -ENOMEM, "beginning the dump failed");
	memcpy(path, request->in, request->in_size);
	path[request->in_size - 1] = 0;
	err = npf_dump_to(instance, path);
	npf_free(instance->host, path, request->in_size);
	return err;
}

static int set_dump_limits(struct npf_instance *instance, struct request *request)
{
	uint32_t limits[2];

	memcpy(limits, request->in, sizeof(limits));
	return npf_limit_dump(instance, limits[0], limits[1]);
}

static int is_dump_ended(struct npf_instance *instance, struct request *request)
{
	uint32_t ended = npf_dump_ended(instance);

	answer(request, &ended, sizeof(ended));
	return 0;
}

/* ---- refused ------------------------------------------------------------------------------- */

static int no_event_name(struct npf_instance *instance, struct request *request)
{
	(void)request;
	return npf_fail(instance, -ENOTSUP,
			"events have no names; use npf_poll_fd or BIOCSETEVENTHANDLE");
}

/* ---- the table ----------------------------------------------------------------------------- */

#define EXACT   0x1u /* in must have min_in bytes, not more */
#define BINDING 0x2u /* refused once the adapter has gone */
#define LONG    0x4u /* runs without the lock: it takes what it needs */

static const struct control {
	uint32_t code;
	const char *name;
	size_t min_in;
	size_t min_out;
	uint32_t flags;
	int (*handle)(struct npf_instance *instance, struct request *request);
} controls[] = {
	{ NPF_BIOCISETLOBBEH, "BIOCISETLOBBEH", 4, 0, BINDING, set_loopback },
	{ NPF_BIOCISDUMPENDED, "BIOCISDUMPENDED", 0, 4, 0, is_dump_ended },
	{ NPF_BIOCSMODE, "BIOCSMODE", 4, 0, 0, set_mode },
	{ NPF_BIOCSWRITEREP, "BIOCSWRITEREP", 4, 0, 0, set_write_repetition },
	{ NPF_BIOCSMINTOCOPY, "BIOCSMINTOCOPY", 4, 0, 0, set_min_to_copy },
	{ NPF_BIOCGEVNAME, "BIOCGEVNAME", 0, 0, 0, no_event_name },
	{ NPF_BIOCSRTIMEOUT, "BIOCSRTIMEOUT", 4, 0, 0, set_timeout },
	{ NPF_BIOCSTIMESTAMPMODE, "BIOCSTIMESTAMPMODE", 4, 0, 0, set_timestamp_mode },
	{ NPF_BIOCGTIMESTAMPMODES, "BIOCGTIMESTAMPMODES", 0, sizeof(timestamp_modes), 0,
	  get_timestamp_modes },
	{ NPF_BIOCSETEVENTHANDLE, "BIOCSETEVENTHANDLE", 4, 0, EXACT, set_event_handle },
	{ NPF_BIOCSETDUMPFILENAME, "BIOCSETDUMPFILENAME", 1, 0, 0, set_dump_file_name },
	{ NPF_BIOCSETF, "BIOCSETF", 1, 0, 0, set_filter },
	{ NPF_BIOCGSTATS, "BIOCGSTATS", 0, sizeof(struct npf_bpf_stat), 0, get_stats },
	{ NPF_BIOCSENDPACKETSNOSYNC, "BIOCSENDPACKETSNOSYNC", 0, 0, LONG, send_queue_at_once },
	{ NPF_BIOCSENDPACKETSSYNC, "BIOCSENDPACKETSSYNC", 0, 0, LONG, send_queue_on_time },
	{ NPF_BIOCSETDUMPLIMITS, "BIOCSETDUMPLIMITS", 8, 0, 0, set_dump_limits },
	{ NPF_BIOCSETBUFFERSIZE, "BIOCSETBUFFERSIZE", 4, 0, 0, set_buffer },
	{ NPF_BIOCSETOID, "BIOCSETOID", 0, 0, BINDING, set_oid },
	{ NPF_BIOCQUERYOID, "BIOCQUERYOID", 0, 0, BINDING, query_oid },
};

static const struct control *find_control(uint32_t code)
{
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		if (controls[i].code == code)
			return &controls[i];
	}
	return NULL;
}

/* "NAME wants at least N bytes of input". */
static int wrong_size(struct npf_instance *instance, int err, const struct control *control,
		      const char *wants, size_t bytes, const char *what)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, control->name);
	npf_text_add(&text, wants);
	npf_text_add_unsigned(&text, bytes);
	npf_text_add(&text, what);
	return npf_fail(instance, err, sentence);
}

static int check_request(struct npf_instance *instance, const struct control *control,
			 const struct request *request)
{
	if (control->flags & EXACT && request->in_size != control->min_in)
		return wrong_size(instance, -EINVAL, control, " wants exactly ", control->min_in,
				  " bytes of input");
	if (request->in_size < control->min_in)
		return wrong_size(instance, -ENOBUFS, control, " wants at least ", control->min_in,
				  " bytes of input");
	if (request->out_size < control->min_out)
		return wrong_size(instance, -ENOBUFS, control, " wants room for ", control->min_out,
				  " bytes of output");
	if (control->flags & BINDING && instance->host->nic->gone(instance->nic))
		return npf_fail_host(instance, -ENODEV, control->name);
	return 0;
}

static int handle(struct npf_instance *instance, const struct control *control,
		  struct request *request)
{
	int err = check_request(instance, control, request);

	return err ? err : control->handle(instance, request);
}

static int dispatch(struct npf_instance *instance, uint32_t code, struct request *request)
{
	const struct control *control = find_control(code);

	if (control && control->flags & LONG)
		return handle(instance, control, request);

	npf_begin_control(instance);
	int err = control ? handle(instance, control, request)
			  : npf_fail_value(instance, -ENOTTY, "control code ", code,
					   " does not exist; include/npf/ioctl.h lists them");

	npf_end_control(instance);
	return err;
}

int npf_io_control(struct npf_instance *instance, uint32_t code, const void *in, size_t in_size,
		   void *out, size_t out_size, size_t *returned)
{
	struct request request = {
		.in = in,
		.in_size = in ? in_size : 0,
		.out = out,
		.out_size = out ? out_size : 0,
	};
	const struct control *control = find_control(code);

	NPF_TRACED(instance->host, control ? control->name : "of an unknown code");

	int err = npf_enter(instance);

	if (!err) {
		err = dispatch(instance, code, &request);
		npf_stop_using_open_instance(instance);
	}
	if (returned)
		*returned = err ? 0 : request.returned;
	return err;
}

/* ---- by name ------------------------------------------------------------------------------- */

static int control_u32(struct npf_instance *instance, uint32_t code, uint32_t value)
{
	return npf_io_control(instance, code, &value, sizeof(value), NULL, 0, NULL);
}

int npf_set_buffer(struct npf_instance *instance, uint32_t bytes)
{
	return control_u32(instance, NPF_BIOCSETBUFFERSIZE, bytes);
}

int npf_set_min_to_copy(struct npf_instance *instance, uint32_t bytes)
{
	return control_u32(instance, NPF_BIOCSMINTOCOPY, bytes);
}

int npf_set_timeout(struct npf_instance *instance, int32_t ms)
{
	return control_u32(instance, NPF_BIOCSRTIMEOUT, (uint32_t)ms);
}

int npf_set_write_repeat(struct npf_instance *instance, uint32_t copies)
{
	return control_u32(instance, NPF_BIOCSWRITEREP, copies);
}

int npf_set_mode(struct npf_instance *instance, uint32_t mode)
{
	return control_u32(instance, NPF_BIOCSMODE, mode);
}

int npf_set_timestamp_mode(struct npf_instance *instance, uint32_t mode)
{
	return control_u32(instance, NPF_BIOCSTIMESTAMPMODE, mode);
}

int npf_set_hw_filter(struct npf_instance *instance, uint32_t bits)
{
	uint32_t request[] = { NPF_OID_GEN_CURRENT_PACKET_FILTER, sizeof(bits), bits, 0 };

	return npf_io_control(instance, NPF_BIOCSETOID, request, sizeof(request), request,
			      sizeof(request), NULL);
}
