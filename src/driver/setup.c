/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands between the tap and an instance: a ring of the size asked for, and the configuration
 * that the tap reads in it.
 */
#include <errno.h>

#include "driver/core.h"
#include "filter/frame.h"

#define SMALLEST_BUFFER NPF_RECORD_HEADER /* less cannot hold a packet: it means no buffer */

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

static int cut(struct npf_instance *instance, uint32_t bytes, struct npf_ring_geometry *geometry)
{
	struct npf_adapter adapter;

	/* Somebody may have allowed longer frames meanwhile. */
	if (!instance->host->nic->info(instance->nic, &adapter))
		instance->max_receive = adapter.max_receive;
	if (instance->dumping && bytes
		    ? npf_stream_cut(geometry, bytes, instance->n_cpus, instance->max_receive,
				     instance->stream_format)
		    : npf_ring_cut(geometry, bytes, instance->n_cpus, instance->max_receive))
		return 0;
	return npf_fail_value(instance, -EINVAL, "a buffer of ", bytes,
			      " bytes cannot be cut into chunks; ask for less");
}

static int exchange_ring(struct npf_instance *instance, const struct npf_ring_geometry *geometry,
			 uint32_t bytes)
{
	struct npf_ring_view view;
	char error[NPF_ERROR_SIZE] = "";
	int err = instance->host->nic->set_ring(instance->nic, geometry, &view, error);

	if (err)
		return error[0] ? npf_fail(instance, err, error)
				: npf_fail_host(instance, err, "making the buffer failed");
	if (!instance->left)
		instance->host->nic->let_go(instance->nic);
	instance->view = view;
	npf_ring_reader_init(&instance->reader, &instance->view, instance->cursors);
	instance->buffer_size = bytes;
	instance->surely_held = surely_held(geometry, bytes, instance->max_receive);
	instance->walked = 0;
	instance->released = 0;
	instance->armed = false;
	npf_reset(instance);
	npf_apply_config(instance);
	return 0;
}

int npf_replace_ring(struct npf_instance *instance, uint32_t bytes)
{
	struct npf_ring_geometry geometry;
	int err = cut(instance, bytes, &geometry);

	return err ? err : exchange_ring(instance, &geometry, bytes);
}

static bool is_cut_alike(const struct npf_ring_geometry *a, const struct npf_ring_geometry *b)
{
	return a->chunk_size == b->chunk_size && a->n_chunks == b->n_chunks;
}

/* The caller's number, with 0 for none. */
static int check_buffer(struct npf_instance *instance, uint32_t *bytes)
{
	if (*bytes > NPF_MAX_BUFFER)
		return npf_fail_value(instance, -EINVAL, "the buffer is too large; at most ",
				      NPF_MAX_BUFFER, " bytes are possible");
	if (*bytes < SMALLEST_BUFFER)
		*bytes = 0;
	return 0;
}

int npf_first_buffer(struct npf_instance *instance, uint32_t bytes)
{
	int err = check_buffer(instance, &bytes);

	return err ? err : npf_replace_ring(instance, bytes);
}

/* A ring like the one that is there need only be emptied: a new one costs the kernel some ten
 * milliseconds. A stream has to begin anew, and where packets are still looked at their room is missing. */
int npf_change_buffer(struct npf_instance *instance, uint32_t bytes)
{
	struct npf_ring_geometry geometry;
	int err = check_buffer(instance, &bytes);

	if (!err)
		err = cut(instance, bytes, &geometry);
	if (err)
		return err;
	if (instance->dumping || instance->left || bytes != instance->buffer_size ||
	    !is_cut_alike(&geometry, &instance->view.geometry))
		return exchange_ring(instance, &geometry, bytes);
	instance->surely_held = surely_held(&geometry, bytes, instance->max_receive);
	npf_reset(instance);
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
	{ NPF_FILTER_OTHERS, 1u << NPF_TO_OTHER },
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
