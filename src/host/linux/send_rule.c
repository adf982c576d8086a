/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loopback rule's question: would anybody notice that frames go past packet sockets, tc programs
 * and the queueing discipline? Who listens is looked up where the kernel tells it; what cannot be
 * looked up counts as somebody.
 *
 * And the clones' question: does anything between the adapter and its receiver hold frames back, or
 * treat clones in another way than frames of a socket?
 */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/linux/linux.h"
#include "host/linux/process.h"

/* Within a call a verdict holds so long: a capture that starts meanwhile misses that much at most. */
#define VERDICT_NS 10000000u

/* VLANs on VLANs that are followed down to what they are made on. */
#define MAX_STACKED 4

/* Queueing disciplines that pass on what they get, in order. */
static const char *const plain[] = { "noop",  "noqueue",  "pfifo_fast", "pfifo",
				     "bfifo", "fq_codel", "fq",         "mq" };

/* ---- the network namespace ------------------------------------------------------------------ */

/* Numbers of interfaces mean something else in another one. */
static uint64_t own_namespace(void)
{
	struct stat file;

	return stat("/proc/thread-self/ns/net", &file) ? 0 : file.st_ino;
}

static void open_sources(struct npf_nic *nic)
{
	nic->fast.packets = open("/proc/thread-self/net/packet", O_RDONLY | O_CLOEXEC);
	nic->fast.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

void npf_send_rule_open(struct npf_nic *nic)
{
	nic->fast.process = npf_process_number();
	nic->fast.namespace = own_namespace();
	open_sources(nic);
}

void npf_send_rule_close(struct npf_nic *nic)
{
	if (nic->fast.packets >= 0)
		close(nic->fast.packets);
	if (nic->fast.netlink >= 0)
		close(nic->fast.netlink);
}

bool npf_send_rule_elsewhere(const struct npf_nic *nic)
{
	return !nic->fast.namespace || nic->fast.namespace != own_namespace();
}

/* By those of the parent each would read the other's answers, and on from where the other was. */
void npf_send_rule_renew(struct npf_nic *nic)
{
	npf_send_rule_close(nic);
	nic->fast.packets = nic->fast.netlink = -1;
	if (!npf_send_rule_elsewhere(nic)) {
		open_sources(nic);
		nic->fast.process = npf_process_number();
	}
	npf_send_rule_forget(nic);
	nic->fast.egress_asked = 0;
}

static int ask_namespace(const struct npf_nic *nic, char *reason)
{
	if (!npf_send_rule_elsewhere(nic))
		return 0;
	return npf_linux_error(reason, -EBUSY,
			       "this thread is not in the network namespace of %s any more",
			       nic->fast.name);
}

/* ---- packet sockets ------------------------------------------------------------------------- */

static uint64_t inode_of(int fd)
{
	struct stat file;

	return fd < 0 || fstat(fd, &file) ? 0 : file.st_ino;
}

/* A line: address, references, type, protocol (hexadecimal, 0: it receives nothing), interface (0:
 * all), running, memory, user, inode. */
static bool is_listener(const struct npf_nic *nic, const char *line, uint64_t own)
{
	unsigned int protocol, interface;
	unsigned long long inode;

	if (sscanf(line, "%*s %*s %*s %x %u %*s %*s %*s %llu", &protocol, &interface, &inode) != 3)
		return false;
	if (!protocol || (interface && interface != nic->adapter.index))
		return false;
	return inode != own;
}

static int ask_sockets(const struct npf_nic *nic, char *reason)
{
	/* With own sends hidden our own listener sends them, and so does not see them. */
	uint64_t own = inode_of(nic->hidden_sender);
	int fd = dup(nic->fast.packets);
	FILE *list = fd < 0 || lseek(fd, 0, SEEK_SET) ? NULL : fdopen(fd, "re");
	char line[256];
	bool listener = false;

	if (!list) {
		if (fd >= 0)
			close(fd);
		return npf_linux_error(reason, -EBUSY,
				       "/proc/net/packet cannot be read, so there may be captures");
	}
	while (!listener && fgets(line, sizeof(line), list))
		listener = is_listener(nic, line, own);
	fclose(list);
	return listener ? npf_linux_error(reason, -EBUSY,
					  "a packet socket (a capture, or a service such as DHCP) "
					  "listens on %s",
					  nic->fast.name)
			: 0;
}

/* ---- links ------------------------------------------------------------------------------------- */

struct link {
	char kind[NPF_NAME_SIZE], qdisc[NPF_NAME_SIZE];
	uint32_t lower; /* the link that it hands its frames to */
	int32_t where;  /* the namespace of that; HERE */
	bool generic; /* an XDP program sees what it receives, which the stack runs, not the driver */
};
#define HERE (-1)

static void copy_name(char name[NPF_NAME_SIZE], const struct nlattr *attr)
{
	snprintf(name, NPF_NAME_SIZE, "%.*s", (int)mnl_attr_get_payload_len(attr),
		 (const char *)mnl_attr_get_payload(attr));
}

static bool is_generic(uint8_t attached)
{
	return attached == XDP_ATTACHED_SKB || attached == XDP_ATTACHED_MULTI;
}

static int read_link(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *attr, *inner;
	struct link *link = arg;

	if (message->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(struct ifinfomsg)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_QDISC:
			copy_name(link->qdisc, attr);
			break;
		case IFLA_LINK:
			link->lower = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			link->where = (int32_t)mnl_attr_get_u32(attr);
			break;
		case IFLA_LINKINFO:
			mnl_attr_for_each_nested(inner, attr)
				if (mnl_attr_get_type(inner) == IFLA_INFO_KIND)
					copy_name(link->kind, inner);
			break;
		case IFLA_XDP:
			mnl_attr_for_each_nested(inner, attr)
				if (mnl_attr_get_type(inner) == IFLA_XDP_ATTACHED)
					link->generic = is_generic(mnl_attr_get_u8(inner));
			break;
		default:
			break;
		}
	}
	return MNL_CB_OK;
}

static int ask_link(int netlink, uint32_t index, int32_t where, struct link *link)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[8192];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST;

	struct ifinfomsg *ask = mnl_nlmsg_put_extra_header(message, sizeof(*ask));

	ask->ifi_index = (int)index;
	mnl_attr_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (where != HERE)
		mnl_attr_put_u32(message, IFLA_TARGET_NETNSID, (uint32_t)where);
	*link = (struct link){ .where = HERE };
	return npf_linux_ask(netlink, message, sizeof(buffer), read_link, link);
}

/* ---- queueing disciplines ------------------------------------------------------------------- */

static bool is_plain(const char *kind)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (!strcmp(kind, plain[i]))
			return true;
	}
	return false;
}

int npf_send_rule_discipline(const struct npf_nic *nic, int netlink, char kind[NPF_NAME_SIZE])
{
	struct link link;
	int err = ask_link(netlink, nic->adapter.index, HERE, &link);

	if (!err)
		memcpy(kind, link.qdisc, sizeof(link.qdisc));
	return err;
}

static int ask_qdisc(const struct npf_nic *nic, char *reason)
{
	char kind[NPF_NAME_SIZE];
	int err = npf_send_rule_discipline(nic, nic->fast.netlink, kind);

	if (err)
		return npf_linux_error(reason, -EBUSY,
				       "asking for the queueing discipline failed: %s",
				       strerror(-err));
	if (!is_plain(kind))
		return npf_linux_error(reason, -EBUSY,
				       "the queueing discipline %s shapes what %s sends", kind,
				       nic->fast.name);
	return 0;
}

/* ---- queues ------------------------------------------------------------------------------------ */

static int refuse_link(const struct npf_nic *nic, char *reason, int err)
{
	return npf_linux_error(reason, -ENOTSUP, "asking for what is below %s failed: %s",
			       nic->fast.name, strerror(-err));
}

/* What the stack takes for redirected no such program of the receiver sees. */
static int ask_receiver(const struct npf_nic *nic, const struct link *receiver, char *reason)
{
	if (!receiver->generic)
		return 0;
	return npf_linux_error(reason, -ENOTSUP,
			       "an XDP program in generic mode, which would not see clones, is "
			       "where %s hands its frames to",
			       nic->fast.name);
}

/* Does it hand what it is given to a receiver at once, and say when it did not? Of kinds that do not
 * queue by themselves, as long as nobody gave them a queueing discipline. */
static int ask_queue(struct npf_nic *nic, char *reason)
{
	uint32_t index = nic->adapter.index;
	struct link link, peer;
	int err;

	for (int depth = 0; depth < MAX_STACKED; depth++, index = link.lower) {
		err = ask_link(nic->fast.netlink, index, HERE, &link);
		if (err)
			return refuse_link(nic, reason, err);
		if (!depth)
			nic->fast.retags = !strcmp(link.kind, "vlan");
		if (strcmp(link.qdisc, "noqueue") != 0)
			return npf_linux_error(reason, -ENOTSUP,
					       "clones would overrun the queue (%s) that frames of %s "
					       "wait in",
					       link.qdisc, nic->fast.name);
		if (nic->adapter.hatype == ARPHRD_LOOPBACK)
			return ask_receiver(nic, &link, reason);
		if (!strcmp(link.kind, "dummy"))
			return 0;
		if (!strcmp(link.kind, "veth")) {
			err = ask_link(nic->fast.netlink, link.lower, link.where, &peer);
			return err ? refuse_link(nic, reason, err)
				   : ask_receiver(nic, &peer, reason);
		}
		if (strcmp(link.kind, "vlan") != 0 || link.where != HERE)
			break;
	}
	return npf_linux_error(reason, -ENOTSUP,
			       "clones are for loopback, veth, dummy, and VLANs on these, which have "
			       "no queue to overrun");
}

int npf_send_rule_clones(struct npf_nic *nic, char *reason)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);

	if (__atomic_load_n(&nic->hiding, __ATOMIC_RELAXED) && nic->ops->hook != NPF_HOOK_NONE)
		return npf_linux_error(reason, -ENOTSUP,
				       "own sends are hidden from this instance, which cannot tell "
				       "clones from others");
	if (npf_send_rule_elsewhere(nic))
		return npf_linux_error(
			reason, -ENOTSUP,
			"this thread is in another network namespace than the adapter");
	if (reason || !nic->fast.queue_ruled || now - nic->fast.queue_ruled >= VERDICT_NS) {
		nic->fast.queue_verdict = ask_queue(nic, reason);
		nic->fast.queue_ruled = now;
	}
	return nic->fast.queue_verdict;
}

/* ---- the rule ------------------------------------------------------------------------------- */

static int ask_all(struct npf_nic *nic, char *reason)
{
	bool hiding = __atomic_load_n(&nic->hiding, __ATOMIC_RELAXED);
	int err;

	if (nic->ops->hook != NPF_HOOK_NONE && !hiding)
		return npf_linux_error(reason, -EBUSY,
				       "this instance captures and is to see its own sends (open "
				       "it to send only, or hide them)");
	if ((err = ask_namespace(nic, reason)) || (err = ask_sockets(nic, reason)) ||
	    (err = npf_send_egress_ask(nic, nic->fast.netlink, reason)))
		return err;
	return ask_qdisc(nic, reason);
}

int npf_send_rule_ask(struct npf_nic *nic, char *reason)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);

	if (!reason && nic->fast.ruled && now - nic->fast.ruled < VERDICT_NS)
		return nic->fast.verdict;
	nic->fast.verdict = ask_all(nic, reason);
	nic->fast.ruled = now;
	return nic->fast.verdict;
}
