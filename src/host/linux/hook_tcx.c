/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The best hook: tcx links (kernel 6.6) on ingress and egress, before all other programs there.
 * They are links, so the kernel takes them off with our last descriptor.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/linux/ebpf.h"

/* From <linux/bpf.h> of kernel 6.6; older headers lack them. */
#define TCX_INGRESS   46
#define TCX_EGRESS    47
#define BEFORE_OTHERS (1u << 3)

#define RIGHTS (NPF_RIGHT(CAP_BPF) | NPF_RIGHT(CAP_PERFMON) | NPF_RIGHT(CAP_NET_ADMIN))

struct tcx {
	struct npf_ebpf ebpf;
	int attach_types[NPF_EBPF_SLOTS];
};

/* The part of union bpf_attr that BPF_LINK_CREATE takes for tcx; the rest must be zero. */
struct link_create {
	uint32_t program, ifindex, attach_type, flags;
	uint64_t zero[8];
};

static int attach(struct npf_nic *nic, int attach_type, int program)
{
	struct link_create attr = {
		.program = (uint32_t)program,
		.ifindex = nic->adapter.index,
		.attach_type = (uint32_t)attach_type,
		.flags = BEFORE_OTHERS,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

static int put(struct npf_nic *nic, int slot, int program, char *error)
{
	struct tcx *tcx = nic->hook_state;
	int *link = &tcx->ebpf.attached[slot];
	int err;

	if (*link >= 0) {
		err = bpf_link_update(*link, program, NULL);
		/* A link whose adapter has gone: nothing to exchange. */
		if (err == -ENOLINK)
			return npf_linux_error(error, -ENODEV, "the adapter %s has gone",
					       nic->adapter.name);
		return err ? npf_linux_error(error, err, "exchanging the tap failed: %s",
					     strerror(-err))
			   : 0;
	}
	err = attach(nic, tcx->attach_types[slot], program);
	if (err >= 0) {
		*link = err;
		return 0;
	}
	if (err == -EINVAL)
		return npf_linux_error(error, -ENOTSUP, "this kernel has no tcx (6.6 and later do)");
	if (err == -EPERM)
		return npf_linux_not_permitted(error, "attaching to tcx", RIGHTS);
	return npf_linux_error(error, err, "attaching to tcx failed: %s", strerror(-err));
}

static int open_tcx(struct npf_nic *nic, char *error)
{
	struct tcx *tcx = calloc(1, sizeof(*tcx));

	nic->hook_state = tcx;
	if (!tcx)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	tcx->ebpf.put = put;
	tcx->ebpf.rights = RIGHTS;
	tcx->ebpf.direct = true;
	for (int i = 0; i < NPF_EBPF_SLOTS; i++)
		tcx->ebpf.attached[i] = -1;

	tcx->attach_types[tcx->ebpf.n_slots] = TCX_EGRESS;
	tcx->ebpf.programs[tcx->ebpf.n_slots++] = "npf_egress";
	if (nic->adapter.hatype != ARPHRD_LOOPBACK) {
		tcx->attach_types[tcx->ebpf.n_slots] = TCX_INGRESS;
		tcx->ebpf.programs[tcx->ebpf.n_slots++] = "npf_ingress";
	}
	return npf_ebpf_open(nic, &tcx->ebpf, error);
}

static void close_tcx(struct npf_nic *nic)
{
	struct tcx *tcx = nic->hook_state;

	if (!tcx)
		return;
	for (int i = 0; i < NPF_EBPF_SLOTS; i++) {
		if (tcx->ebpf.attached[i] >= 0)
			close(tcx->ebpf.attached[i]);
	}
	npf_ebpf_close(nic, &tcx->ebpf);
	free(tcx);
	nic->hook_state = NULL;
}

/* On egress the tap can ask which socket a frame comes from. */
static int hide_own(struct npf_nic *nic, bool hide, uint64_t *hidden)
{
	socklen_t size = sizeof(*hidden);

	*hidden = 0;
	if (hide && getsockopt(nic->sender, SOL_SOCKET, SO_COOKIE, hidden, &size))
		return -errno;
	return 0;
}

/* Nothing lies between the wire and the tap. */
static uint64_t lost(struct npf_nic *nic)
{
	(void)nic;
	return 0;
}

const struct npf_linux_hook_ops npf_hook_tcx = {
	.hook = NPF_HOOK_TCX,
	.open = open_tcx,
	.close = close_tcx,
	.set_ring = npf_ebpf_set_ring,
	.let_go = npf_ebpf_let_go,
	.set_filters = npf_ebpf_set_filters,
	.hide_own = hide_own,
	.lost = lost,
	.clear = npf_ebpf_clear,
	.listen = npf_ebpf_listen,
};
