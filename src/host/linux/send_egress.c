/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands between packet sockets and the queueing discipline, and may drop, change or only see what
 * the adapter is to send: programs of tcx and of tc, and chains of nftables.
 *
 * The kernel's answer to who sent is the same as when a discipline has no room (ENOBUFS), but no
 * counter of losses holds these. So such an answer explains a loss only while none of them is there.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/linux.h"

/* From <linux/bpf.h> of kernel 6.6 and <linux/netfilter.h> of 5.16; older headers lack them. */
#define TCX_EGRESS    47
#define NETDEV_EGRESS 1
/* From <linux/netfilter.h>, which does not go together with <netinet/in.h>. */
#define NETDEV_FAMILY 5

/* An answer holds so long; and that the kernel lacks nftables, which it loads whenever it is asked. */
#define ANSWER_NS  10000000u
#define LACKING_NS 1000000000u

/* ---- asking the kernel ---------------------------------------------------------------------- */

/* It has answered when the request is through; nothing stays for the next question. */
int npf_linux_ask(int netlink, struct nlmsghdr *message, size_t room,
		  int (*read)(const struct nlmsghdr *message, void *to), void *to)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint32_t sequence = message->nlmsg_seq;
	int err = 0;
	ssize_t n;

	if (sendto(netlink, message, message->nlmsg_len, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	while ((n = recv(netlink, message, room, MSG_DONTWAIT)) > 0) {
		if (mnl_cb_run(message, (size_t)n, sequence, 0, read, to) < 0)
			err = -errno;
	}
	return n < 0 && errno != EAGAIN ? -errno : err;
}

/* ---- tcx ------------------------------------------------------------------------------------ */

static int ask_tcx(const struct npf_nic *nic, char *reason)
{
	LIBBPF_OPTS(bpf_prog_query_opts, query);
	uint32_t own = nic->ops->hook == NPF_HOOK_TCX && !npf_tcx_shared(nic);
	int err = bpf_prog_query_opts((int)nic->adapter.index, (enum bpf_attach_type)TCX_EGRESS,
				      &query);

	if (err == -EINVAL) /* a kernel without tcx */
		return 0;
	if (err)
		return npf_linux_error(reason, -EBUSY,
				       "asking for tcx programs failed (%s), so there may be some",
				       strerror(-err));
	return query.prog_cnt > own
		       ? npf_linux_error(reason, -EBUSY,
					 "a tcx program sees what %s sends (npf capture, or other)",
					 nic->fast.name)
		       : 0;
}

/* ---- tc ------------------------------------------------------------------------------------- */

/* The place of clsact for what is sent, and one that it has not; ingress, which has only one place, takes
 * every number for that. */
#define EGRESS  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)
#define NOWHERE TC_H_MAKE(TC_H_CLSACT, 1)

static int count_filter(const struct nlmsghdr *message, void *arg)
{
	size_t *n = arg;

	*n += message->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

/* Of this adapter only, however many there are. */
static int count_filters(const struct npf_nic *nic, int netlink, uint32_t parent, size_t *n)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[8192];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct tcmsg *place;

	message->nlmsg_type = RTM_GETTFILTER;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	place = mnl_nlmsg_put_extra_header(message, sizeof(*place));
	place->tcm_family = AF_UNSPEC;
	place->tcm_ifindex = (int)nic->adapter.index;
	place->tcm_parent = parent;
	*n = 0;
	return npf_linux_ask(netlink, message, sizeof(buffer), count_filter, n);
}

static int ask_filters(const struct npf_nic *nic, int netlink, char *reason)
{
	size_t here, nowhere = 0;
	int err = count_filters(nic, netlink, EGRESS, &here);

	if (!err && here)
		err = count_filters(nic, netlink, NOWHERE, &nowhere);
	if (err)
		return npf_linux_error(reason, -EBUSY,
				       "asking for tc programs failed (%s), so there may be some",
				       strerror(-err));
	return here && !nowhere
		       ? npf_linux_error(reason, -EBUSY, "a tc program (clsact) sees what %s sends",
					 nic->fast.name)
		       : 0;
}

int npf_send_egress_ask(const struct npf_nic *nic, int netlink, char *reason)
{
	int err = ask_tcx(nic, reason);

	return err ? err : ask_filters(nic, netlink, reason);
}

/* ---- nftables ------------------------------------------------------------------------------- */

static int find_egress(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *attr, *inner;
	bool *found = arg;

	if (NFNL_MSG_TYPE(message->nlmsg_type) != NFT_MSG_NEWCHAIN)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) != NFTA_CHAIN_HOOK)
			continue;
		mnl_attr_for_each_nested(inner, attr) {
			if (mnl_attr_get_type(inner) == NFTA_HOOK_HOOKNUM)
				*found |= mnl_attr_get_u32(inner) == htonl(NETDEV_EGRESS);
		}
	}
	return MNL_CB_OK;
}

/* Chains for egress, of whatever adapter. Only their family can see frames of packet sockets. */
static int ask_chains(int netlink, bool *found)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[8192];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *family;

	message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	family = mnl_nlmsg_put_extra_header(message, sizeof(*family));
	family->nfgen_family = NETDEV_FAMILY;
	family->version = NFNETLINK_V0;
	return npf_linux_ask(netlink, message, sizeof(buffer), find_egress, found);
}

/* A kernel without them has none. */
static bool has_chains(struct npf_nic *nic)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);
	bool found = false;
	int fd, err;

	if (now < __atomic_load_n(&nic->nftables_lack, __ATOMIC_RELAXED))
		return false;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return errno != EPROTONOSUPPORT;
	err = ask_chains(fd, &found);
	close(fd);
	if (err == -EINVAL)
		__atomic_store_n(&nic->nftables_lack, now + LACKING_NS, __ATOMIC_RELAXED);
	return found || (err && err != -EINVAL);
}

/* ---- refusals ------------------------------------------------------------------------------- */

bool npf_send_egress_free(struct npf_nic *nic, int netlink)
{
	return !npf_send_rule_elsewhere(nic) && !npf_send_egress_ask(nic, netlink, NULL) &&
	       !has_chains(nic);
}

void npf_send_egress_refused(struct npf_nic *nic)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);

	if (!nic->fast.egress_asked || now - nic->fast.egress_asked >= ANSWER_NS) {
		nic->fast.egress_free = npf_send_egress_free(nic, nic->fast.netlink);
		nic->fast.egress_asked = now;
	}
	if (nic->fast.egress_free)
		__atomic_fetch_add(&nic->refused, 1, __ATOMIC_RELEASE);
}
