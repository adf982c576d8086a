// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * Copies of one frame, seen by everybody: the kernel is told to run npf_clone on a packet of ours
 * (BPF_PROG_RUN), and each run hands NPF_CLONE_RUN copies of it to the adapter, where they go as
 * those of a packet socket do. The kernel says of each what became of it.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_packet.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>

#include "host/linux/bpf/clone_state.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct npf_clone_state state SEC(".data.state");

SEC("tc")
int npf_clone(struct __sk_buff *skb)
{
	uint32_t mtu = 0;

	if (state.error)
		return 0;
	/* The kernel took the packet for one that it received. */
	state.error = (int32_t)bpf_skb_change_type(skb, PACKET_HOST);
	if (!state.error && bpf_check_mtu(skb, state.index, &mtu, state.tag, 0))
		state.error = -EMSGSIZE;
	for (int i = 0; i < NPF_CLONE_RUN && state.left && !state.error; i++) {
		state.error = (int32_t)bpf_clone_redirect(skb, state.index, 0);
		if (!state.error)
			state.left--;
	}
	return 0;
}
