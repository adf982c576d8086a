/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of an instance: open, cleanup, close (manual: NPF_Open, NPF_Cleanup, NPF_Close). The rules
 * are told at the head of core.h.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"
#include "driver/trace.h"

/* ---- open ---------------------------------------------------------------------------------- */

static int refuse(char *error, int err, const char *sentence)
{
	struct npf_text text;

	npf_text_init(&text, error, error ? NPF_ERROR_SIZE : 0);
	npf_text_add(&text, sentence);
	return err;
}

static int check_name(const char *name, char *error)
{
	size_t length = 0;

	if (!name)
		return refuse(error, -ENODEV, "no adapter was named; npf list shows them");
	while (length < NPF_NAME_SIZE && name[length])
		length++;
	if (!length || length == NPF_NAME_SIZE)
		return refuse(error, -ENODEV,
			      "the name of an adapter has 1 to 31 bytes; npf list shows them");
	return 0;
}

/* An options structure of a later version is fine as long as what is unknown here is zero. */
static int check_options(const struct npf_open_options *options, char *error)
{
	const uint8_t *bytes = (const uint8_t *)options;

	if (!options)
		return 0;
	if (options->size < sizeof(*options))
		return refuse(error, -EINVAL,
			      "npf_open_options.size is too small; set it to the structure's size");
	for (size_t i = sizeof(*options); i < options->size; i++) {
		if (bytes[i])
			return refuse(error, -EINVAL,
				      "npf_open_options asks for something this version has not");
	}
	if ((unsigned int)options->hook > NPF_HOOK_TPACKET)
		return refuse(error, -EINVAL,
			      "there is no such hook; use auto, tcx, socket or tpacket");
	if (options->flags & ~NPF_OPEN_SEND_ONLY)
		return refuse(error, -EINVAL,
			      "npf_open_options.flags asks for something this version has not");
	if (!(options->flags & NPF_OPEN_SEND_ONLY))
		return 0;
	if (options->hook != NPF_HOOK_AUTO)
		return refuse(error, -EINVAL,
			      "an instance that only sends has no hook; leave it at auto");
	if (options->buffer)
		return refuse(error, -EINVAL, "an instance that only sends has no buffer");
	return 0;
}

static enum npf_hook wanted_hook(const struct npf_open_options *options)
{
	return options->flags & NPF_OPEN_SEND_ONLY ? NPF_HOOK_NONE : options->hook;
}

/* What the adapter decides. */
static int ask_adapter(struct npf_instance *instance, struct npf_adapter *adapter)
{
	const struct npf_nic_ops *ops = instance->host->nic;
	int err = ops->info(instance->nic, adapter);

	if (err)
		return err;
	instance->n_cpus = ops->cpus(instance->nic);
	npf_learn_limits(instance, adapter);
	instance->max_receive = adapter->max_receive;
	instance->lookahead = adapter->max_receive;
	instance->loopback = adapter->flags & NPF_ADAPTER_LOOPBACK;
	return 0;
}

static int open_nic(struct npf_instance *instance, const char *adapter, enum npf_hook hook,
		    char *error)
{
	NPF_TRACED_AS(instance->host, "nic.open", adapter);

	return instance->host->nic->open(instance->host, adapter, hook, &instance->nic, error);
}

static void close_nic(struct npf_instance *instance)
{
	NPF_TRACED_AS(instance->host, "nic.close", NULL);

	instance->host->nic->close(instance->nic);
}

/* Everything else is zero after open. */
static void set_defaults(struct npf_instance *instance)
{
	instance->timeout = -1;
	instance->sending.copies = 1;
	instance->sending.late_limit = NPF_LATE_LIMIT;
	instance->timestamp_mode = NPF_TIMESTAMP_PRECISE;
	npf_accept(instance, NPF_FILTER_DEFAULT);
}

static size_t cursors_size(const struct npf_instance *instance)
{
	return instance->n_cpus * sizeof(struct npf_ring_cursor);
}

/* A bound nic becomes an instance that captures. */
static int start(struct npf_instance *instance, const struct npf_open_options *options, char *error)
{
	struct npf_host *host = instance->host;
	struct npf_adapter adapter;
	int err = ask_adapter(instance, &adapter);

	if (err == -ENOMEM)
		return refuse(error, err, "out of memory");
	if (err)
		return refuse(error, err, "the adapter vanished while it was opened");

	err = -ENOMEM;
	instance->cursors = npf_alloc(host, cursors_size(instance));
	if (!instance->cursors)
		goto fail;
	instance->filters = npf_filters_none(host);
	if (!instance->filters)
		goto free_cursors;
	if (npf_driver_join(instance, adapter.index))
		goto free_filters;

	set_defaults(instance);
	instance->send_only = options->flags & NPF_OPEN_SEND_ONLY;
	err = npf_first_buffer(instance, options->buffer);
	if (err) {
		refuse(error, err, instance->error);
		goto leave;
	}
	instance->hook = host->nic->hook(instance->nic);
	return 0;

leave:
	npf_driver_unbind(instance);
	npf_driver_leave(instance);
free_filters:
	npf_free(host, instance->filters, instance->filters->size);
free_cursors:
	npf_free(host, instance->cursors, cursors_size(instance));
fail:
	return err == -ENOMEM ? refuse(error, err, "memory is short; nothing was opened") : err;
}

int npf_open(struct npf_driver *driver, const char *adapter, const struct npf_open_options *options,
	     struct npf_instance **out, char error[NPF_ERROR_SIZE])
{
	static const struct npf_open_options usual;
	struct npf_host *host = driver->host;
	char sentence[NPF_ERROR_SIZE] = "";
	int err = check_name(adapter, error);

	NPF_TRACED(host, adapter);
	if (!err)
		err = check_options(options, error);
	if (err)
		return err;
	if (!options)
		options = &usual;

	struct npf_instance *instance = npf_alloc(host, sizeof(*instance));

	if (!instance)
		return refuse(error, -ENOMEM, "memory is short; nothing was opened");
	instance->host = host;
	instance->driver = driver;

	err = open_nic(instance, adapter, wanted_hook(options), sentence);
	if (err)
		goto free_instance;
	err = start(instance, options, sentence);
	if (err)
		goto close_nic;
	*out = instance;
	return 0;

close_nic:
	close_nic(instance);
free_instance:
	npf_free(host, instance, sizeof(*instance));
	return refuse(error, err, sentence[0] ? sentence : "opening the adapter failed");
}

/* ---- end ----------------------------------------------------------------------------------- */

/* The reader that waits must see the end, or cleanup would wait for its timeout. */
static void wake_reader(struct npf_instance *instance)
{
	if (!npf_start_using_binding(instance))
		return;
	instance->host->nic->set(instance->nic);
	npf_stop_using_binding(instance);
}

void npf_close_open_instance(struct npf_instance *instance)
{
	NPF_TRACED(instance->host, NULL);

	bool inside = npf_refuse_calls(instance);

	npf_end_sending(instance);
	/* With nobody there it would be somebody else's: a fork has the same descriptor. */
	if (inside)
		wake_reader(instance);
	npf_await_calls(instance);
}

/* What npf_open() made and nobody can reach without a binding. */
static void npf_release_open_instance_resources(struct npf_instance *instance)
{
	struct npf_host *host = instance->host;

	NPF_TRACED(host, NULL);
	npf_sets_free(host, instance->filters->set.match);
	npf_free(host, instance->filters, instance->filters->size);
	npf_free(host, instance->cursors, cursors_size(instance));
}

void npf_close_binding(struct npf_instance *instance)
{
	NPF_TRACED(instance->host, NULL);
	if (!npf_begin_unbinding(instance))
		return;
	npf_drain_last(instance);

	npf_free_dump(instance);
	close_nic(instance);
	npf_release_open_instance_resources(instance);
	npf_driver_unbind(instance);
	npf_end_unbinding(instance);
}

void npf_cleanup(struct npf_instance *instance)
{
	NPF_TRACED(instance->host, NULL);

	npf_close_open_instance(instance);
	npf_close_binding(instance);
}

void npf_close(struct npf_instance *instance)
{
	if (!instance)
		return;

	NPF_TRACED(instance->host, NULL);

	npf_cleanup(instance);
	npf_driver_leave(instance);
	npf_free(instance->host, instance, sizeof(*instance));
}

/* ---- asking -------------------------------------------------------------------------------- */

enum npf_hook npf_instance_hook(const struct npf_instance *instance)
{
	return instance->hook;
}

const char *npf_hook_name(enum npf_hook hook)
{
	static const char *const names[] = {
		[NPF_HOOK_AUTO] = "auto",     [NPF_HOOK_TCX] = "tcx",
		[NPF_HOOK_SOCKET] = "socket", [NPF_HOOK_TPACKET] = "tpacket",
		[NPF_HOOK_NONE] = "none",
	};

	if ((unsigned int)hook >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[hook];
}

int npf_instance_adapter(struct npf_instance *instance, struct npf_adapter *adapter)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_lock_take(instance->host, &instance->lock);
	err = instance->host->nic->info(instance->nic, adapter);
	npf_lock_release(instance->host, &instance->lock);
	if (err)
		npf_fail_host(instance, err, "asking for the adapter's state failed");
	npf_stop_using_open_instance(instance);
	return err;
}
