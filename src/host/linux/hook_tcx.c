/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The best hook: tcx links (kernel 6.6) on ingress and egress, before all other programs there.
 * They are links, so the kernel takes them off with our last descriptor. Instances of one process
 * share them (chain.h).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/bpf/geometry.h"
#include "host/linux/chain.h"
#include "host/linux/ebpf.h"

/* From <linux/bpf.h> of kernel 6.6; older headers lack them. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47

/* Slots, and so entries of the map by which the programs in them jump on (bpf/geometry.h). */
#define EGRESS NPF_NEXT_OF_EGRESS

#define RIGHTS (NPF_RIGHT(CAP_BPF) | NPF_RIGHT(CAP_PERFMON) | NPF_RIGHT(CAP_NET_ADMIN))

struct tcx {
	struct npf_ebpf ebpf;
	int attach_types[NPF_EBPF_SLOTS];
	struct npf_chain_member *members[NPF_EBPF_SLOTS]; /* NULL: not attached yet */
	int holder, open; /* a pipe, whose end `open` no process has any more once all closed us */
};

static int join(struct npf_nic *nic, struct tcx *tcx, int slot, int program)
{
	const struct npf_chain_entry entry = {
		.ifindex = nic->adapter.index,
		.attach_type = (uint32_t)tcx->attach_types[slot],
		.program = program,
		.next = tcx->ebpf.next,
		.slot = (uint32_t)slot,
		.holder = tcx->holder,
	};

	return npf_chain_join(&nic->host->chains, &entry, &tcx->members[slot]);
}

static int explain_join(int err, char *error)
{
	if (!err)
		return 0;
	if (err == -EINVAL)
		return npf_linux_error(error, -ENOTSUP, "this kernel has no tcx (6.6 and later do)");
	if (err == -EPERM)
		return npf_linux_not_permitted(error, "attaching to tcx", RIGHTS);
	return npf_linux_error(error, err, "attaching to tcx failed: %s", strerror(-err));
}

static int explain_exchange(struct npf_nic *nic, int err, char *error)
{
	if (!err)
		return 0;
	/* A link whose adapter has gone: nothing to exchange. */
	if (err == -ENOLINK)
		return npf_linux_error(error, -ENODEV, "the adapter %s has gone", nic->adapter.name);
	if (err == -EBUSY)
		return npf_linux_error(error, err,
				       "a fork was killed amid changes of the taps: open it anew");
	return npf_linux_error(error, err, "exchanging the tap failed: %s", strerror(-err));
}

static int put(struct npf_nic *nic, int slot, int program, const struct npf_chain_filter *filter,
	       char *error)
{
	struct tcx *tcx = nic->hook_state;
	struct npf_chain_member *member = tcx->members[slot];

	if (!member)
		return explain_join(join(nic, tcx, slot, program), error);
	return explain_exchange(nic, npf_chain_exchange(member, program, filter), error);
}

/* What others need to follow us. */
static int make_ends(struct tcx *tcx)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	tcx->holder = ends[0];
	tcx->open = ends[1];
	tcx->ebpf.next = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "next", sizeof(uint32_t),
					sizeof(uint32_t), NPF_EBPF_SLOTS, &options);
	return tcx->ebpf.next < 0 ? tcx->ebpf.next : 0;
}

static int open_tcx(struct npf_nic *nic, char *error)
{
	struct tcx *tcx = calloc(1, sizeof(*tcx));
	int err;

	nic->hook_state = tcx;
	if (!tcx)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	tcx->ebpf.put = put;
	tcx->ebpf.rights = RIGHTS;
	tcx->ebpf.direct = true;
	tcx->ebpf.next = tcx->holder = tcx->open = -1;
	err = make_ends(tcx);
	if (err == -EPERM)
		return npf_linux_not_permitted(error, "loading the eBPF tap", RIGHTS);
	if (err)
		return npf_linux_error(error, err, "preparing the tap failed: %s", strerror(-err));

	tcx->attach_types[tcx->ebpf.n_slots] = TCX_EGRESS;
	tcx->ebpf.programs[tcx->ebpf.n_slots++] = "npf_egress";
	if (nic->adapter.hatype != ARPHRD_LOOPBACK) {
		tcx->attach_types[tcx->ebpf.n_slots] = TCX_INGRESS;
		tcx->ebpf.programs[tcx->ebpf.n_slots++] = "npf_ingress";
	}
	npf_ebpf_open(&tcx->ebpf);
	return 0;
}

static void close_end(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* A packet that is in our programs goes on to others by the map: it is closed after that. */
static void close_tcx(struct npf_nic *nic)
{
	struct tcx *tcx = nic->hook_state;

	if (!tcx)
		return;
	close_end(tcx->open);
	npf_chain_leave(&nic->host->chains, tcx->members, NPF_EBPF_SLOTS);
	npf_ebpf_close(nic, &tcx->ebpf);
	close_end(tcx->ebpf.next);
	close_end(tcx->holder);
	free(tcx);
	nic->hook_state = NULL;
}

bool npf_tcx_shared(const struct npf_nic *nic)
{
	const struct tcx *tcx = nic->hook_state;

	return npf_chain_shared(tcx->members[EGRESS]);
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
