/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second hook: the tap as the filter of a packet socket (kernel 5.15). It stores what it wants
 * and tells the kernel to queue nothing, so that no packet is ever cloned for the socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/ebpf.h"

struct socket_hook {
	struct npf_ebpf ebpf;
	int fd;
	bool bound;
};

/* Only a socket whose filter is in place is told to listen. */
static int listen_to(struct npf_nic *nic, int fd)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)nic->adapter.index,
	};

	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

static int put(struct npf_nic *nic, int slot, int program, const struct npf_chain_filter *filter,
	       char *error)
{
	struct socket_hook *hook = nic->hook_state;
	int err;

	(void)slot, (void)filter;
	err = setsockopt(hook->fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) ? -errno
											 : 0;
	if (err == -ENOMEM)
		return npf_linux_error(error, err,
				       "the filter is too long for a packet socket: shorten it, or "
				       "raise net.core.optmem_max");
	if (err)
		return npf_linux_error(error, err,
				       "attaching the tap to a packet socket failed: %s",
				       strerror(-err));
	if (hook->bound)
		return 0;
	err = listen_to(nic, hook->fd);
	if (err)
		return npf_linux_error(error, err, "listening on %s failed: %s", nic->adapter.name,
				       strerror(-err));
	hook->bound = true;
	return 0;
}

static int open_socket(struct npf_nic *nic, char *error)
{
	struct socket_hook *hook = calloc(1, sizeof(*hook));

	nic->hook_state = hook;
	if (!hook)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	hook->ebpf.put = put;
	hook->ebpf.rights = NPF_RIGHT(CAP_BPF) | NPF_RIGHT(CAP_PERFMON);
	hook->ebpf.peeks = true;
	hook->ebpf.n_slots = 1;
	hook->ebpf.programs[0] = "npf_socket";
	hook->ebpf.next = -1;
	hook->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (hook->fd < 0 && errno == EPERM)
		return npf_linux_not_permitted(error, "capturing", NPF_RIGHT(CAP_NET_RAW));
	if (hook->fd < 0)
		return npf_linux_error(error, -errno, "opening a packet socket failed: %s",
				       strerror(errno));
	nic->hidden_sender = hook->fd;
	npf_ebpf_open(&hook->ebpf);
	return 0;
}

static void close_socket(struct npf_nic *nic)
{
	struct socket_hook *hook = nic->hook_state;

	if (!hook)
		return;
	if (hook->fd >= 0)
		close(hook->fd);
	npf_ebpf_close(nic, &hook->ebpf);
	nic->hidden_sender = -1;
	free(hook);
	nic->hook_state = NULL;
}

/* The kernel never shows a packet socket what was sent through it: nic.c sends through ours. */
static int hide_own(struct npf_nic *nic, bool hide, uint64_t *hidden)
{
	(void)nic, (void)hide;
	*hidden = 0;
	return 0;
}

static uint64_t lost(struct npf_nic *nic)
{
	(void)nic;
	return 0;
}

const struct npf_linux_hook_ops npf_hook_socket = {
	.hook = NPF_HOOK_SOCKET,
	.open = open_socket,
	.close = close_socket,
	.set_ring = npf_ebpf_set_ring,
	.let_go = npf_ebpf_let_go,
	.set_filters = npf_ebpf_set_filters,
	.hide_own = hide_own,
	.lost = lost,
	.clear = npf_ebpf_clear,
	.listen = npf_ebpf_listen,
};
