/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending one frame several times, or several once (manual: NPF_Write, BIOCSWRITEREP): who may send
 * and what, and how a send is made to end. Writers of one instance follow each other; the original
 * refused the second.
 */
#include <errno.h>

#include "base/text.h"
#include "driver/core.h"

#define ETHERNET        1u /* link type */
#define ETHERNET_HEADER 14u
#define TAG_AT          12u
#define TAG_FIRST       0x81u /* of 0x8100, the one tag that may make a frame longer */

/* ---- who may send --------------------------------------------------------------------------- */

int npf_start_sending(struct npf_instance *instance)
{
	if (!npf_start_using_binding(instance))
		return npf_fail_host(instance, -ENODEV, "sending failed");
	npf_lock_take(instance->host, &instance->sending.lock);
	instance->sending.begins = true;
	return 0;
}

void npf_finish_sending(struct npf_instance *instance)
{
	npf_lock_release(instance->host, &instance->sending.lock);
	npf_stop_using_binding(instance);
}

static void stop(struct npf_instance *instance, uint32_t bit)
{
	__atomic_fetch_or(&instance->sending.stop, bit, __ATOMIC_SEQ_CST);
	instance->host->system->unpark(instance->host, &instance->sending.stop);
}

void npf_stop_sending(struct npf_instance *instance)
{
	stop(instance, NPF_STOP_ASKED);
}

void npf_end_sending(struct npf_instance *instance)
{
	stop(instance, NPF_STOP_CLOSE);
}

/* ---- what may be sent ----------------------------------------------------------------------- */

void npf_learn_limits(struct npf_instance *instance, const struct npf_adapter *adapter)
{
	struct npf_sending *sending = &instance->sending;

	sending->mtu = adapter->mtu;
	sending->max_frame = adapter->max_frame;
	sending->max_untagged = adapter->max_frame;
	sending->min_frame = adapter->min_frame;
	if (adapter->link_type == ETHERNET && adapter->mtu + ETHERNET_HEADER < adapter->max_frame)
		sending->max_untagged = adapter->mtu + ETHERNET_HEADER;
}

/* What was asked at open may be outdated: somebody may have changed the MTU. */
static void refresh_limits(struct npf_instance *instance)
{
	struct npf_adapter adapter;

	npf_lock_take(instance->host, &instance->lock);
	if (!instance->host->nic->info(instance->nic, &adapter))
		npf_learn_limits(instance, &adapter);
	npf_lock_release(instance->host, &instance->lock);
}

void npf_renew_limits(struct npf_instance *instance)
{
	uint32_t mtu = instance->host->nic->mtu(instance->nic);

	if (mtu && mtu != instance->sending.mtu)
		refresh_limits(instance);
}

static uint32_t longest(const struct npf_sending *sending, const uint8_t *data, size_t size)
{
	bool tagged = size > TAG_AT + 1 && data[TAG_AT] == TAG_FIRST && !data[TAG_AT + 1];

	return tagged ? sending->max_frame : sending->max_untagged;
}

static int refuse_size(struct npf_instance *instance, int err, const char *which,
		       const char *problem, uint64_t limit)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, which);
	npf_text_add(&text, problem);
	npf_text_add_unsigned(&text, limit);
	npf_text_add(&text, " bytes; nothing was sent");
	return npf_fail(instance, err, sentence);
}

int npf_check_frame(struct npf_instance *instance, const void *data, size_t size, const char *which)
{
	struct npf_sending *sending = &instance->sending;

	if (!data || !size)
		return refuse_size(instance, -EINVAL, which, " is empty; give at least ",
				   sending->min_frame);
	if (size < sending->min_frame)
		return refuse_size(instance, -EINVAL, which,
				   " is too short for a link header; give at least ",
				   sending->min_frame);
	if (size <= longest(sending, data, size))
		return 0;
	refresh_limits(instance);
	if (size <= longest(sending, data, size))
		return 0;
	return refuse_size(instance, -EMSGSIZE, which, " is too long; the adapter sends up to ",
			   longest(sending, data, size));
}

/* "frame 12": numbers begin with 1, as people count. */
static int check_frames(struct npf_instance *instance, const struct npf_send_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct npf_send_frame *frame = &frames[i];
		char which[NPF_NAME_SIZE];
		struct npf_text text;
		int err;

		if (frame->data && frame->size >= instance->sending.min_frame &&
		    frame->size <= instance->sending.max_untagged)
			continue;
		npf_text_init(&text, which, sizeof(which));
		npf_text_add(&text, "frame ");
		npf_text_add_unsigned(&text, i + 1);
		err = npf_check_frame(instance, frame->data, frame->size, which);
		if (err)
			return err;
	}
	return 0;
}

/* ---- sending -------------------------------------------------------------------------------- */

static int write_copies(struct npf_instance *instance, const struct npf_send_frame *frame,
			uint32_t copies)
{
	struct npf_job job = { .frames = frame, .n = copies, .repeat = true };
	int err = npf_start_sending(instance);

	if (err)
		return err;
	err = npf_check_frame(instance, frame->data, frame->size, "the frame");
	if (!err)
		err = npf_do_job(instance, &job);
	npf_finish_sending(instance);
	return err;
}

int64_t npf_write(struct npf_instance *instance, const void *data, size_t size)
{
	struct npf_send_frame frame = { .data = data, .size = size };
	int err = npf_enter(instance);

	if (err)
		return err;

	uint32_t copies = __atomic_load_n(&instance->sending.copies, __ATOMIC_RELAXED);

	if (copies)
		err = write_copies(instance, &frame, copies);
	npf_stop_using_open_instance(instance);
	if (err)
		return err;
	return copies ? (int64_t)size : 0;
}

static int send_frames(struct npf_instance *instance, struct npf_job *job)
{
	int err = npf_start_sending(instance);

	if (err)
		return err;
	if (job->n > 1)
		npf_renew_limits(instance);
	err = check_frames(instance, job->frames, job->n);
	if (!err)
		err = npf_do_job(instance, job);
	npf_finish_sending(instance);
	return err;
}

int npf_send_frames(struct npf_instance *instance, const struct npf_send_frame *frames, size_t n,
		    size_t *sent)
{
	struct npf_job job = { .frames = frames, .n = n };
	int err = npf_enter(instance);

	if (!err) {
		err = send_frames(instance, &job);
		npf_stop_using_open_instance(instance);
	}
	if (sent)
		*sent = job.sent;
	return err;
}

int npf_wait_sent(struct npf_instance *instance, uint64_t ns)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	err = npf_start_sending(instance);
	if (!err) {
		uint64_t began = npf_now(instance), took;

		err = npf_drain(instance, ns);
		took = npf_now(instance) - began;
		if (!err)
			err = npf_drain_trailing(instance, took < ns ? ns - took : 0);
		npf_finish_sending(instance);
	}
	npf_stop_using_open_instance(instance);
	return err;
}

uint64_t npf_send_clock(const struct npf_instance *instance)
{
	return npf_now(instance);
}

/* ---- paths ---------------------------------------------------------------------------------- */

static bool path_exists(struct npf_instance *instance, enum npf_send_path path)
{
	if ((unsigned int)path < NPF_SEND_PATHS || path == NPF_SEND_FASTEST)
		return true;
	npf_fail(instance, -EINVAL, "there is no such path; use auto, socket, xsk, clone or xdp");
	return false;
}

static int check_path(struct npf_instance *instance, enum npf_send_path path, char *reason)
{
	int err = npf_start_sending(instance);

	if (err)
		return err;
	err = npf_await_path(instance, path, reason);
	npf_finish_sending(instance);
	return err && reason[0] ? npf_fail(instance, err, reason) : err;
}

static int set_path(struct npf_instance *instance, enum npf_send_path path)
{
	char reason[NPF_ERROR_SIZE] = "";
	int err = path_exists(instance, path) ? 0 : -EINVAL;

	if (!err && path != NPF_SEND_AUTO && path != NPF_SEND_FASTEST)
		err = check_path(instance, path, reason);
	/* Somebody would miss the frames: who forces a path knows that. */
	if (err && err != -EBUSY)
		return err;
	__atomic_store_n(&instance->sending.path, path, __ATOMIC_RELAXED);
	return 0;
}

int npf_set_send_path(struct npf_instance *instance, enum npf_send_path path)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	err = set_path(instance, path);
	npf_stop_using_open_instance(instance);
	return err;
}

int npf_check_send_path(struct npf_instance *instance, enum npf_send_path path,
			char reason[NPF_ERROR_SIZE])
{
	char sentence[NPF_ERROR_SIZE] = "";
	struct npf_text text;
	int err = npf_enter(instance);

	if (!err) {
		err = path_exists(instance, path) ? check_path(instance, path, sentence) : -EINVAL;
		npf_stop_using_open_instance(instance);
	}
	npf_text_init(&text, reason, reason ? NPF_ERROR_SIZE : 0);
	if (err)
		npf_text_add(&text, sentence[0] ? sentence : npf_error(instance));
	return err;
}

enum npf_send_path npf_get_send_path(const struct npf_instance *instance)
{
	return (enum npf_send_path)__atomic_load_n(&instance->sending.used, __ATOMIC_RELAXED);
}

const char *npf_send_path_name(enum npf_send_path path)
{
	static const char *const names[NPF_SEND_PATHS] = {
		[NPF_SEND_AUTO] = "auto",   [NPF_SEND_SOCKET] = "socket", [NPF_SEND_XSK] = "xsk",
		[NPF_SEND_CLONE] = "clone", [NPF_SEND_XDP] = "xdp",
	};

	return (unsigned int)path < NPF_SEND_PATHS ? names[path] : "unknown";
}
