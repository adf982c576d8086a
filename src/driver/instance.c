/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of an instance: open, the counting of calls and of users of the binding, cleanup, close
 * (manual: NPF_Open, NPF_Cleanup, NPF_Close and the Start/StopUsing pairs); its ring and the tap's
 * configuration. The rules are told at the head of core.h.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"
#include "driver/trace.h"
#include "filter/frame.h"

/* ---- reference counting -------------------------------------------------------------------- */

/* Count in unless one of the bits `closed` is set. */
static bool count_in(uint32_t *word, uint32_t closed)
{
	uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

	do {
		if (seen & closed)
			return false;
	} while (!__atomic_compare_exchange_n(word, &seen, seen + 1, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return true;
}

/* Count out; the last one out wakes who waits to close. The word may be gone behind the counting,
 * which is why only its address is used then. */
static void count_out(struct npf_host *host, uint32_t *word, uint32_t closing)
{
	if (__atomic_sub_fetch(word, 1, __ATOMIC_RELEASE) == closing)
		host->system->unpark(host, word);
}

/* Park until everybody counted out. */
static void drain(struct npf_host *host, uint32_t *word, uint32_t closing)
{
	uint32_t seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != closing)
		host->system->park(host, word, seen);
}

bool npf_start_using_open_instance(struct npf_instance *instance)
{
	return count_in(&instance->use, NPF_CLOSING);
}

void npf_stop_using_open_instance(struct npf_instance *instance)
{
	count_out(instance->host, &instance->use, NPF_CLOSING);
}

bool npf_start_using_binding(struct npf_instance *instance)
{
	return count_in(&instance->binding, NPF_UNBINDING | NPF_UNBOUND);
}

void npf_stop_using_binding(struct npf_instance *instance)
{
	count_out(instance->host, &instance->binding, NPF_UNBINDING);
}

bool npf_closing(const struct npf_instance *instance)
{
	return __atomic_load_n(&instance->use, __ATOMIC_ACQUIRE) & NPF_CLOSING;
}

int npf_enter(struct npf_instance *instance)
{
	if (npf_start_using_open_instance(instance))
		return 0;
	return npf_fail(instance, -ECANCELED,
			"the instance is being closed; open the adapter again");
}

/* ---- ring and configuration ---------------------------------------------------------------- */

/* Bytes of records that fit even when every one leaves the most unused behind it. One chunk per
 * CPU may be held without holding anything. */
static uint32_t surely_held(const struct npf_ring_geometry *geometry, uint32_t bytes,
			    uint32_t max_frame)
{
	if (!geometry->n_chunks)
		return 0;

	uint32_t usable = geometry->chunk_size - NPF_CHUNK_HEADER - NPF_RECORD_SIZE(max_frame) + 8;
	uint64_t held = (uint64_t)(geometry->n_chunks - geometry->n_cpus) * usable;

	return held < bytes ? (uint32_t)held : bytes;
}

int npf_replace_ring(struct npf_instance *instance, uint32_t bytes)
{
	struct npf_adapter adapter;
	struct npf_ring_geometry geometry;
	struct npf_ring_view view;
	char error[NPF_ERROR_SIZE] = "";

	/* Somebody may have allowed longer frames meanwhile. */
	if (!instance->host->nic->info(instance->nic, &adapter))
		instance->max_receive = adapter.max_receive;
	if (instance->dumping && bytes
		    ? !npf_stream_cut(&geometry, bytes, instance->n_cpus, instance->max_receive,
				      instance->stream_format)
		    : !npf_ring_cut(&geometry, bytes, instance->n_cpus, instance->max_receive))
		return npf_fail_value(instance, -EINVAL, "a buffer of ", bytes,
				      " bytes cannot be cut into chunks; ask for less");

	int err = instance->host->nic->set_ring(instance->nic, &geometry, &view, error);

	if (err)
		return error[0] ? npf_fail(instance, err, error)
				: npf_fail_host(instance, err, "making the buffer failed");
	if (!instance->left)
		instance->host->nic->let_go(instance->nic);
	instance->view = view;
	npf_ring_reader_init(&instance->reader, &instance->view, instance->cursors);
	instance->buffer_size = bytes;
	instance->surely_held = surely_held(&geometry, bytes, instance->max_receive);
	instance->walked = 0;
	instance->released = 0;
	instance->armed = false;
	npf_reset(instance);
	npf_apply_config(instance);
	return 0;
}

void npf_apply_config(struct npf_instance *instance)
{
	const struct npf_config *from = &instance->config;
	struct npf_config *to = &instance->view.control->config;

	__atomic_store_n(&to->statistics, from->statistics, __ATOMIC_RELAXED);
	__atomic_store_n(&to->n_classes, from->n_classes, __ATOMIC_RELAXED);
	__atomic_store_n(&to->coarse_clock, from->coarse_clock, __ATOMIC_RELAXED);
	__atomic_store_n(&to->hidden, from->hidden, __ATOMIC_RELAXED);
	__atomic_store_n(&to->unfiltered, from->unfiltered, __ATOMIC_RELAXED);
	/* Last: on a new ring it is what opens the tap. */
	__atomic_store_n(&to->accept_types, from->accept_types, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Which packet types each bit of the hardware filter lets through. */
static const struct {
	uint32_t bit;
	uint32_t types;
} accepted[] = {
	{ NPF_FILTER_DIRECTED, 1u << NPF_TO_HOST },
	{ NPF_FILTER_MULTICAST, 1u << NPF_TO_MULTICAST },
	{ NPF_FILTER_ALL_MULTICAST, 1u << NPF_TO_MULTICAST },
	{ NPF_FILTER_BROADCAST, 1u << NPF_TO_BROADCAST },
	{ NPF_FILTER_PROMISCUOUS, 1u << NPF_TO_HOST | 1u << NPF_TO_BROADCAST |
					  1u << NPF_TO_MULTICAST | 1u << NPF_TO_OTHER |
					  1u << NPF_FROM_HOST },
	{ NPF_FILTER_ALL_LOCAL, 1u << NPF_TO_HOST | 1u << NPF_TO_BROADCAST |
					1u << NPF_TO_MULTICAST | 1u << NPF_FROM_HOST },
};

void npf_accept(struct npf_instance *instance, uint32_t hw_filter)
{
	uint32_t types = 0;

	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		if (hw_filter & accepted[i].bit)
			types |= accepted[i].types;
	}
	if (instance->loopback)
		types &= ~(1u << NPF_FROM_HOST);
	instance->hw_filter = hw_filter;
	instance->config.accept_types = types;
}

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
	if (options->flags & NPF_OPEN_SEND_ONLY && options->hook != NPF_HOOK_AUTO)
		return refuse(error, -EINVAL,
			      "an instance that only sends has no hook; leave it at auto");
	return 0;
}

static enum npf_hook wanted_hook(const struct npf_open_options *options)
{
	if (!options)
		return NPF_HOOK_AUTO;
	return options->flags & NPF_OPEN_SEND_ONLY ? NPF_HOOK_NONE : options->hook;
}

/* What the adapter decides. */
static int ask_adapter(struct npf_instance *instance, struct npf_adapter *adapter)
{
	const struct npf_nic_ops *ops = instance->host->nic;
	int err = ops->info(instance->nic, adapter);

	if (err)
		return err;
	instance->hook = ops->hook(instance->nic);
	instance->n_cpus = ops->cpus(instance->nic);
	instance->send_only = instance->hook == NPF_HOOK_NONE;
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
static int start(struct npf_instance *instance, char *error)
{
	struct npf_host *host = instance->host;
	struct npf_adapter adapter;
	int err = ask_adapter(instance, &adapter);

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
	err = npf_replace_ring(instance, 0);
	if (err) {
		refuse(error, err, instance->error);
		goto leave;
	}
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
	struct npf_host *host = driver->host;
	char sentence[NPF_ERROR_SIZE] = "";
	int err = check_name(adapter, error);

	NPF_TRACED(host, adapter);
	if (!err)
		err = check_options(options, error);
	if (err)
		return err;

	struct npf_instance *instance = npf_alloc(host, sizeof(*instance));

	if (!instance)
		return refuse(error, -ENOMEM, "memory is short; nothing was opened");
	instance->host = host;
	instance->driver = driver;

	err = open_nic(instance, adapter, wanted_hook(options), sentence);
	if (err)
		goto free_instance;
	err = start(instance, sentence);
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

	__atomic_fetch_or(&instance->use, NPF_CLOSING, __ATOMIC_SEQ_CST);
	npf_end_sending(instance);
	wake_reader(instance);
	drain(instance->host, &instance->use, NPF_CLOSING);
}

/* Make the step from BOUND to UNBINDING, or wait until who made it is through. */
static bool begin_unbinding(struct npf_instance *instance)
{
	uint32_t *word = &instance->binding;
	uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	while (!(seen & NPF_UNBOUND)) {
		if (seen & NPF_UNBINDING) {
			instance->host->system->park(instance->host, word, seen);
			seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		} else if (__atomic_compare_exchange_n(word, &seen, seen | NPF_UNBINDING, false,
						       __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
			return true;
		}
	}
	return false;
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
	struct npf_host *host = instance->host;

	NPF_TRACED(host, NULL);
	if (!begin_unbinding(instance))
		return;
	drain(host, &instance->binding, NPF_UNBINDING);
	npf_drain_last(instance);

	npf_free_dump(instance);
	close_nic(instance);
	npf_release_open_instance_resources(instance);
	npf_driver_unbind(instance);

	__atomic_store_n(&instance->binding, NPF_UNBOUND, __ATOMIC_RELEASE);
	host->system->unpark(host, &instance->binding);
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
