// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * Sending by XDP: the kernel is told to run npf_send n times on frames of its own making
 * (BPF_PROG_RUN, live frames). The program gives each frame the bytes of the next record of the
 * queue and redirects it to the adapter. (Of a repetition too: the pages go around, and who received
 * one may have written to it.)
 *
 * BPF_PROG_RUN does not tell what became of the frames. The tracepoints do: the kernel collects up to
 * 16 frames, hands them to the adapter's driver and reports how many, from the first, it took. All
 * that happens before the kernel lets anything else run on this CPU, so what is reported while
 * frames of ours are queued is about them. Where the order matters the rest of the run is thrown away
 * behind a frame that it did not take; the next run makes it anew. Of copies any other will do, a little later.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>

#include "host/linux/bpf/send_state.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct npf_send_state state SEC(".data.state");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, NPF_SEND_QUEUE + NPF_SEND_RECORD(NPF_SEND_LONGEST));
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} device SEC(".maps");

struct unaligned {
	uint64_t word;
} __attribute__((packed));

static inline __attribute__((always_inline)) int fail(int error)
{
	state.error = error;
	state.failed++;
	state.hold = NPF_SEND_REST;
	return XDP_DROP;
}

/* The bytes of a short frame, words first; for 64 bytes a third of what the helper takes. */
static inline __attribute__((always_inline)) int put_short(struct xdp_md *ctx,
							   const struct npf_send_record *record,
							   uint32_t size)
{
	uint8_t *to = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const uint8_t *from = record->data;
	const uint32_t last = size - 8;

#pragma unroll
	for (uint32_t at = 0; at < NPF_SEND_SHORT; at += 8) {
		if (to + at + 8 > end)
			break;
		*(uint64_t *)(to + at) = *(const uint64_t *)(from + at);
	}
	to += last;
	if (to + 8 > end)
		return -EMSGSIZE;
	*(struct unaligned *)to = *(const struct unaligned *)(from + last);
	return 0;
}

static inline __attribute__((always_inline)) int put(struct xdp_md *ctx,
						     struct npf_send_record *record, uint32_t size)
{
	if (size <= NPF_SEND_SHORT)
		return put_short(ctx, record, size);
	return (int)bpf_xdp_store_bytes(ctx, 0, record->data, size);
}

SEC("xdp")
int npf_send(struct xdp_md *ctx)
{
	uint32_t key = 0;
	uint8_t *records = bpf_map_lookup_elem(&queue, &key);

	if (!records)
		return fail(-EINVAL);
	if (state.hold) {
		state.hold -= state.hold != NPF_SEND_REST;
		return XDP_DROP;
	}

	uint32_t at = state.next & (NPF_SEND_QUEUE - 1);
	struct npf_send_record *record = (void *)(records + at);
	uint32_t size = record->size;

	if (size < NPF_SEND_SHORTEST || size > NPF_SEND_LONGEST)
		return fail(-EINVAL);

	/* Copies have the length that was asked for. */
	if (!state.repeat) {
		long change = (long)size - (long)bpf_xdp_get_buff_len(ctx);

		if (change && bpf_xdp_adjust_tail(ctx, (int)change))
			return fail(-EMSGSIZE);
	}
	if (put(ctx, record, size))
		return fail(-EMSGSIZE);
	if (bpf_redirect_map(&device, 0, XDP_DROP) != XDP_REDIRECT)
		return fail(-ENODEV);
	if (!state.repeat)
		state.next = at + NPF_SEND_RECORD(size);
	if (!state.task)
		state.task = bpf_get_current_task();
	state.queued++;
	return XDP_REDIRECT;
}

static inline __attribute__((always_inline)) int is_ours(void)
{
	return state.queued && state.task == bpf_get_current_task();
}

/* What follows a frame that did not go must not go either. */
static inline __attribute__((always_inline)) uint32_t hold_after(uint32_t sent)
{
	if (!state.repeat || state.error)
		return NPF_SEND_REST;
	state.vain = sent ? 0 : state.vain + 1;
	return state.vain < NPF_SEND_VAIN ? NPF_SEND_PAUSE : NPF_SEND_REST;
}

/* Arguments: from, to, sent, dropped, error. */
SEC("raw_tracepoint/xdp_devmap_xmit")
int npf_send_done(struct bpf_raw_tracepoint_args *ctx)
{
	uint32_t sent = (uint32_t)ctx->args[2], dropped = (uint32_t)ctx->args[3];

	if (!is_ours())
		return 0;
	state.queued -= sent + dropped;
	state.sent += sent;
	state.failed += dropped;
	if (dropped) {
		state.error = (int32_t)ctx->args[4];
		if (!state.error) {
			state.full += dropped;
			state.cut++;
		}
		state.hold = hold_after(sent);
	}
	return 0;
}

/* Arguments: from, program, target, error, and what the map was. */
SEC("raw_tracepoint/xdp_redirect_err")
int npf_send_refused(struct bpf_raw_tracepoint_args *ctx)
{
	if (!is_ours())
		return 0;
	state.queued--;
	state.failed++;
	state.error = (int32_t)ctx->args[3];
	state.hold = NPF_SEND_REST;
	return 0;
}
