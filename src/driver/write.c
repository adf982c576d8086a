/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending one frame, once or several times (manual: NPF_Write, BIOCSWRITEREP). Writers of one
 * instance follow each other; the original refused the second.
 */
#include <errno.h>

#include "driver/core.h"

/* What was asked at open may be outdated: somebody may have changed the MTU. */
static void refresh_max_frame(struct npf_instance *instance)
{
	struct npf_adapter adapter;

	npf_lock_take(instance->host, &instance->lock);
	if (!instance->host->nic->info(instance->nic, &adapter))
		instance->max_frame = adapter.max_frame;
	npf_lock_release(instance->host, &instance->lock);
}

static int too_long(struct npf_instance *instance)
{
	return npf_fail_value(instance, -EMSGSIZE,
			      "the frame is too long; the adapter sends up to ",
			      instance->max_frame, " bytes");
}

static int check_frame(struct npf_instance *instance, const void *frame, size_t size)
{
	if (!frame || !size)
		return npf_fail(instance, -EINVAL, "there is nothing to send; give at least 1 byte");
	if (size <= instance->max_frame)
		return 0;
	refresh_max_frame(instance);
	return size <= instance->max_frame ? 0 : too_long(instance);
}

static int send_once(struct npf_instance *instance, const void *frame, size_t size)
{
	int err = instance->host->nic->transmit(instance->nic, frame, size);

	if (err == -EMSGSIZE) {
		refresh_max_frame(instance);
		return too_long(instance);
	}
	if (err == -EINVAL)
		return npf_fail(instance, err,
				"the adapter refuses the frame; it must hold a whole link header");
	return err ? npf_fail_host(instance, err, "sending failed") : 0;
}

/* A repetition of any length ends when the instance is being closed. */
static int send_copies(struct npf_instance *instance, const void *frame, size_t size, uint32_t n)
{
	int err = check_frame(instance, frame, size);

	for (uint32_t i = 0; i < n && !err; i++) {
		if (npf_closing(instance))
			return npf_fail(instance, -ECANCELED,
					"the instance was closed while it sent");
		err = send_once(instance, frame, size);
	}
	return err;
}

int64_t npf_write(struct npf_instance *instance, const void *frame, size_t size)
{
	int err = npf_enter(instance);

	if (err)
		return err;

	uint32_t n = __atomic_load_n(&instance->n_writes, __ATOMIC_RELAXED);
	int64_t sent = 0;

	if (!n)
		goto stop_using;
	if (!npf_start_using_binding(instance)) {
		sent = npf_fail_host(instance, -ENODEV, "sending failed");
		goto stop_using;
	}
	npf_lock_take(instance->host, &instance->write_lock);
	err = send_copies(instance, frame, size, n);
	npf_lock_release(instance->host, &instance->write_lock);
	npf_stop_using_binding(instance);
	sent = err ? err : (int64_t)size;

stop_using:
	npf_stop_using_open_instance(instance);
	return sent;
}
