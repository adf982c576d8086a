// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * Frames that everybody sees: the kernel is told to run a program on a packet of ours (BPF_PROG_RUN),
 * and each run hands NPF_CLONE_RUN clones of it to the adapter, where they go as those of a packet
 * socket do. The kernel says of each what became of it. npf_clone sends copies of that packet;
 * npf_clone_queue makes it the next record of a mapped queue before each clone, whose bytes the kernel
 * has parted from it by then.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_packet.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>

#include "host/linux/bpf/clone_state.h"
#include "host/linux/bpf/send_state.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct npf_clone_state state SEC(".data.state");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, NPF_SEND_QUEUE + NPF_SEND_RECORD(NPF_SEND_LONGEST));
} queue SEC(".maps");

/* Holds the adapter until that goes; an index may then be another's. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} device SEC(".maps");

static inline __attribute__((always_inline)) int begin(struct __sk_buff *skb)
{
	uint32_t key = 0;

	if (!bpf_map_lookup_elem(&device, &key))
		return -ENODEV;
	/* The kernel took the packet for one that it received. */
	return (int)bpf_skb_change_type(skb, PACKET_HOST);
}

/* The kernel answers above 0 when the frame is too long, below when there is no such adapter any more. */
static inline __attribute__((always_inline)) long check_mtu(struct __sk_buff *skb)
{
	uint32_t mtu = 0;
	long err = bpf_check_mtu(skb, state.index, &mtu, state.tag, 0);

	return err > 0 ? -EMSGSIZE : err;
}

SEC("tc")
int npf_clone(struct __sk_buff *skb)
{
	if (state.error)
		return 0;
	state.error = begin(skb);
	if (!state.error)
		state.error = (int32_t)check_mtu(skb);
	for (int i = 0; i < NPF_CLONE_RUN && state.left && !state.error; i++) {
		state.error = (int32_t)bpf_clone_redirect(skb, state.index, 0);
		if (!state.error)
			state.left--;
	}
	return 0;
}

/* The packet becomes the next record, and a clone of it goes. */
static inline __attribute__((always_inline)) int send_record(struct __sk_buff *skb,
							     const uint8_t *records)
{
	uint32_t at = state.next & (NPF_SEND_QUEUE - 1);
	const struct npf_send_record *record = (const void *)(records + at);
	uint32_t size = record->size;
	long err;

	if (size < NPF_SEND_SHORTEST || size > NPF_SEND_LONGEST)
		return -EINVAL;
	if (skb->len != size && (err = bpf_skb_change_tail(skb, size, 0)))
		return (int)err;
	err = check_mtu(skb);
	if (err)
		return (int)err;
	err = bpf_skb_store_bytes(skb, 0, record->data, size, 0);
	if (!err)
		err = bpf_clone_redirect(skb, state.index, 0);
	if (err)
		return (int)err;
	state.next = at + NPF_SEND_RECORD(size);
	state.left--;
	return 0;
}

SEC("tc")
int npf_clone_queue(struct __sk_buff *skb)
{
	uint32_t key = 0;
	const uint8_t *records = bpf_map_lookup_elem(&queue, &key);

	if (state.error)
		return 0;
	state.error = records ? begin(skb) : -EINVAL;
	for (int i = 0; i < NPF_CLONE_RUN && state.left && !state.error && records; i++)
		state.error = send_record(skb, records);
	return 0;
}
