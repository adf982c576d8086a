/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The adapters, as rtnetlink tells them: links, then their addresses, then (ethtool.c) what only
 * the driver knows. And the news of links that come and go.
 * Questions are asked in the network namespace of the thread that asks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <linux/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/linux.h"

/* Messages of a dump are packed into what the reader offers, up to this. */
#define BUFFER_SIZE 32768u

/* A dump that changes in the middle is begun again, so often. */
#define DUMP_TRIES 16

/* From <linux/if_link.h> of kernel 6.3; older headers lack them. */
#define LINK_GSO_IPV4_MAX_SIZE 63
#define LINK_GRO_IPV4_MAX_SIZE 64

/* From <net/if_arp.h> of the kernel. */
#define HATYPE_RAWIP    519
#define HATYPE_RADIOTAP 803
#define HATYPE_IP6GRE   823

#define ETHERNET_HEADER 14u
#define VLAN_TAG        4u

/* Longest packet that the stack merges unless it is told otherwise, IP header included. */
#define MERGED_PACKET 65536u

#define UNKNOWN_LINK_TYPE UINT32_MAX

/* ---- link types ---------------------------------------------------------------------------- */

struct link_kind {
	uint16_t hatype;
	uint16_t header;    /* bytes in front of the MTU */
	uint32_t link_type; /* LINKTYPE_ */
	uint32_t medium;
	const char *text;
};

static const struct link_kind link_kinds[] = {
	{ ARPHRD_ETHER, ETHERNET_HEADER + VLAN_TAG, 1, NPF_MEDIUM_802_3, "Ethernet" },
	{ ARPHRD_LOOPBACK, ETHERNET_HEADER, 1, NPF_MEDIUM_802_3, "Loopback" },
	{ ARPHRD_IEEE80211, 0, 105, NPF_MEDIUM_BARE80211, "802.11 monitor" },
	{ HATYPE_RADIOTAP, 0, 127, NPF_MEDIUM_RADIO80211, "802.11 monitor" },
};

/* Those whose frames begin with the IP header. */
static const uint16_t raw_hatypes[] = {
	ARPHRD_NONE,  HATYPE_RAWIP,  ARPHRD_TUNNEL,  ARPHRD_TUNNEL6, ARPHRD_SIT,
	ARPHRD_IPGRE, HATYPE_IP6GRE, ARPHRD_PPP,     ARPHRD_SLIP,    ARPHRD_CSLIP,
	ARPHRD_SLIP6, ARPHRD_CSLIP6, ARPHRD_RAWHDLC,
};

static const struct link_kind raw_kind = {
	.link_type = 101,
	.medium = NPF_MEDIUM_IP,
	.text = "IP",
};

static const struct link_kind unknown_kind = {
	.link_type = UNKNOWN_LINK_TYPE,
	.medium = NPF_MEDIUM_NULL,
	.text = "unknown link",
};

static const struct link_kind *link_kind_of(uint32_t hatype)
{
	for (size_t i = 0; i < sizeof(link_kinds) / sizeof(link_kinds[0]); i++) {
		if (link_kinds[i].hatype == hatype)
			return &link_kinds[i];
	}
	for (size_t i = 0; i < sizeof(raw_hatypes) / sizeof(raw_hatypes[0]); i++) {
		if (raw_hatypes[i] == hatype)
			return &raw_kind;
	}
	return &unknown_kind;
}

/* ---- one link ------------------------------------------------------------------------------ */

/* What is told of a link and has no place in struct npf_adapter. */
struct link {
	struct npf_adapter *adapter;
	char kind[32];   /* "veth", "tun"; empty for hardware */
	uint32_t merged; /* longest packet that the stack hands on in one piece */
	uint8_t state;   /* IF_OPER_... */
};

/* An attribute's text, which nobody promised to be terminated. */
static void copy_text(char *to, size_t size, const struct nlattr *attr)
{
	size_t n = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

	if (n > size - 1)
		n = size - 1;
	memcpy(to, mnl_attr_get_payload(attr), n);
	to[n] = '\0';
}

static uint32_t read_u32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ? mnl_attr_get_u32(attr) : 0;
}

/* Addresses that are longer than ours (InfiniBand) are left out. */
static uint8_t copy_address(uint8_t to[8], const struct nlattr *attr)
{
	uint16_t n = mnl_attr_get_payload_len(attr);

	if (n > 8)
		return 0;
	memcpy(to, mnl_attr_get_payload(attr), n);
	return (uint8_t)n;
}

static int read_info(const struct nlattr *attr, void *arg)
{
	struct link *link = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		copy_text(link->kind, sizeof(link->kind), attr);
	return MNL_CB_OK;
}

static void read_counters(struct npf_adapter *adapter, const struct nlattr *attr)
{
	struct rtnl_link_stats64 counters = { 0 };
	size_t n = mnl_attr_get_payload_len(attr);

	memcpy(&counters, mnl_attr_get_payload(attr), n < sizeof(counters) ? n : sizeof(counters));
	adapter->rx_packets = counters.rx_packets;
	adapter->tx_packets = counters.tx_packets;
	adapter->rx_errors = counters.rx_errors;
	adapter->tx_errors = counters.tx_errors;
	adapter->rx_dropped = counters.rx_dropped;
}

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct link *link = arg;
	struct npf_adapter *adapter = link->adapter;
	uint32_t merged;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		copy_text(adapter->name, sizeof(adapter->name), attr);
		break;
	case IFLA_OPERSTATE:
		link->state = mnl_attr_get_u8(attr);
		break;
	case IFLA_MTU:
		adapter->mtu = read_u32(attr);
		break;
	case IFLA_ADDRESS:
		adapter->address_length = copy_address(adapter->address, attr);
		break;
	case IFLA_PERM_ADDRESS:
		copy_address(adapter->permanent_address, attr);
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attr, read_info, link);
		break;
	case IFLA_STATS64:
		read_counters(adapter, attr);
		break;
	case IFLA_GSO_MAX_SIZE:
	case IFLA_GRO_MAX_SIZE:
	case LINK_GSO_IPV4_MAX_SIZE:
	case LINK_GRO_IPV4_MAX_SIZE:
		merged = read_u32(attr);
		if (merged > link->merged)
			link->merged = merged;
		break;
	}
	return MNL_CB_OK;
}

/* IFF_RUNNING comes from the state, and that follows the carrier when a worker of the kernel has run, up to
 * a second later. States that only a lost carrier makes are old where there is one. */
static bool is_running(unsigned int flags, uint8_t state)
{
	if (!(flags & IFF_LOWER_UP))
		return false;
	return flags & IFF_RUNNING || state == IF_OPER_DOWN || state == IF_OPER_LOWERLAYERDOWN;
}

static uint32_t adapter_flags(unsigned int flags, uint8_t state)
{
	return (flags & IFF_UP ? NPF_ADAPTER_UP : 0) |
	       (is_running(flags, state) ? NPF_ADAPTER_RUNNING : 0) |
	       (flags & IFF_LOOPBACK ? NPF_ADAPTER_LOOPBACK : 0);
}

/* "veth Ethernet", "virtio_net Ethernet", "tun IP", "Loopback". */
static void describe(struct link *link, const char *text)
{
	struct npf_adapter *adapter = link->adapter;
	char driver[sizeof(link->kind)];

	if (adapter->flags & NPF_ADAPTER_LOOPBACK) {
		snprintf(adapter->description, sizeof(adapter->description), "%s", text);
		return;
	}
	snprintf(driver, sizeof(driver), "%.31s", link->kind[0] ? link->kind : adapter->description);
	snprintf(adapter->description, sizeof(adapter->description), "%s%s%s", driver,
		 driver[0] ? " " : "", text);
}

static void read_link(const struct nlmsghdr *message, struct npf_adapter *adapter)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct link_kind *kind = link_kind_of(info->ifi_type);
	struct link link = { .adapter = adapter, .merged = MERGED_PACKET };

	memset(adapter, 0, sizeof(*adapter));
	adapter->index = (uint32_t)info->ifi_index;
	adapter->hatype = info->ifi_type;
	adapter->link_type = kind->link_type;
	adapter->medium = kind->medium;
	mnl_attr_parse(message, sizeof(*info), read_attribute, &link);
	adapter->flags = adapter_flags(info->ifi_flags, link.state);
	if (adapter->mtu > link.merged)
		link.merged = adapter->mtu;
	adapter->min_frame = kind->header ? ETHERNET_HEADER : 1;
	adapter->max_frame = adapter->mtu + kind->header;
	adapter->max_receive = link.merged + ETHERNET_HEADER + 2 * VLAN_TAG;
	npf_linux_ethtool(adapter);
	describe(&link, kind->text);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static void copy_ip(uint8_t to[16], const struct nlattr *attr)
{
	uint16_t n = mnl_attr_get_payload_len(attr);

	memcpy(to, mnl_attr_get_payload(attr), n < 16 ? n : 16);
}

/* The attributes of an address that matter. */
struct ip {
	const struct nlattr *address, *local, *broadcast;
};

static int sort_address(const struct nlattr *attr, void *arg)
{
	struct ip *ip = arg;

	switch (mnl_attr_get_type(attr)) {
	case IFA_ADDRESS:
		ip->address = attr;
		break;
	case IFA_LOCAL:
		ip->local = attr;
		break;
	case IFA_BROADCAST:
		ip->broadcast = attr;
		break;
	}
	return MNL_CB_OK;
}

/* On a point-to-point link IFA_ADDRESS is the other end's: the own is then IFA_LOCAL. */
static void read_address(const struct nlmsghdr *message, struct npf_adapter *adapter)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct ip ip = { 0 };

	mnl_attr_parse(message, sizeof(*info), sort_address, &ip);
	if (ip.local)
		ip.address = ip.local;
	if (!ip.address || adapter->n_addresses == NPF_MAX_ADDRESSES)
		return;

	struct npf_address *to = &adapter->addresses[adapter->n_addresses++];

	to->family = info->ifa_family == AF_INET ? 4 : 6;
	to->prefix = info->ifa_prefixlen;
	copy_ip(to->address, ip.address);
	if (ip.broadcast)
		copy_ip(to->broadcast, ip.broadcast);
}

/* ---- asking -------------------------------------------------------------------------------- */

struct collection {
	struct npf_adapter *adapters;
	size_t n, capacity;
};

static struct npf_adapter *find(struct collection *collection, uint32_t index)
{
	for (size_t i = 0; i < collection->n; i++) {
		if (collection->adapters[i].index == index)
			return &collection->adapters[i];
	}
	return NULL;
}

/* The adapter of an index, added when it is new. */
static struct npf_adapter *place(struct collection *collection, uint32_t index)
{
	struct npf_adapter *known = find(collection, index);

	if (known)
		return known;
	if (collection->n == collection->capacity) {
		size_t capacity = collection->capacity ? collection->capacity * 2 : 8;
		void *more = realloc(collection->adapters, capacity * sizeof(*known));

		if (!more)
			return NULL;
		collection->adapters = more;
		collection->capacity = capacity;
	}
	return &collection->adapters[collection->n++];
}

static int take(const struct nlmsghdr *message, void *arg)
{
	struct collection *collection = arg;
	struct npf_adapter *adapter;

	if (message->nlmsg_type == RTM_NEWLINK) {
		const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);

		adapter = place(collection, (uint32_t)info->ifi_index);
		if (!adapter) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
		read_link(message, adapter);
	} else if (message->nlmsg_type == RTM_NEWADDR) {
		const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);

		adapter = find(collection, info->ifa_index);
		if (adapter)
			read_address(message, adapter);
	}
	return MNL_CB_OK;
}

/* Send a request and take its answers. */
static int ask(struct mnl_socket *netlink, struct nlmsghdr *request, struct collection *collection)
{
	unsigned int port = mnl_socket_get_portid(netlink);
	char buffer[BUFFER_SIZE];
	int more = MNL_CB_OK;

	request->nlmsg_seq++;
	if (mnl_socket_sendto(netlink, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));

		if (n < 0)
			return -errno;
		more = mnl_cb_run(buffer, (size_t)n, request->nlmsg_seq, port, take, collection);
	}
	return more < 0 ? -errno : 0;
}

/* On a socket of its own: what an answer left over cannot confuse the next question. */
static int ask_once(struct nlmsghdr *request, struct collection *collection)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!netlink)
		return -errno;

	int err = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) ? -errno : 0;

	if (!err)
		err = ask(netlink, request, collection);
	mnl_socket_close(netlink);
	return err;
}

static int ask_links(const char *name, uint32_t index, struct collection *collection)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;
	bool one = name || index;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | (one ? NLM_F_ACK : NLM_F_DUMP);
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = name ? 0 : (int)index;
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	return ask_once(request, collection);
}

static int ask_addresses(struct collection *collection)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *info;

	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifa_family = AF_UNSPEC;
	return ask_once(request, collection);
}

static int ask_both(const char *name, uint32_t index, struct collection *collection)
{
	collection->n = 0;

	int err = ask_links(name, index, collection);

	return err ? err : ask_addresses(collection);
}

/* One adapter by name or index, or with neither all of them. */
static int collect(const char *name, uint32_t index, struct collection *collection)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++)
		err = ask_both(name, index, collection);
	return err;
}

int npf_linux_adapter(const char *name, uint32_t index, struct npf_adapter *adapter)
{
	struct collection collection = { 0 };

	/* No adapter has such a name; the kernel would find fault with the question. */
	if (name ? !name[0] || strlen(name) >= IFNAMSIZ : !index)
		return -ENODEV;

	int err = collect(name, index, &collection);

	if (!err && !collection.n)
		err = -ENODEV;
	if (!err)
		*adapter = collection.adapters[0];
	free(collection.adapters);
	return err;
}

/* ---- the list ------------------------------------------------------------------------------ */

static int by_index(const void *a, const void *b)
{
	uint32_t left = ((const struct npf_adapter *)a)->index;
	uint32_t right = ((const struct npf_adapter *)b)->index;

	return (left > right) - (left < right);
}

static int list(struct npf_host *base, int (*each)(void *arg, const struct npf_adapter *adapter),
		void *arg)
{
	struct npf_linux_host *host = npf_linux_host_here(base);
	struct collection collection = { 0 };
	struct npf_last_counters last;

	/* Before asking: what changes from now on is news again. */
	if (host->monitor >= 0)
		npf_linux_monitor_deleted(host->monitor, 0, &last);

	int err = collect(NULL, 0, &collection);

	if (!err && collection.n)
		qsort(collection.adapters, collection.n, sizeof(collection.adapters[0]), by_index);
	for (size_t i = 0; i < collection.n && !err; i++)
		err = each(arg, &collection.adapters[i]);
	free(collection.adapters);
	return err;
}

static int fd(struct npf_host *base)
{
	return npf_linux_host_here(base)->monitor;
}

const struct npf_adapter_ops npf_linux_adapters = { .list = list, .fd = fd };

/* ---- news ---------------------------------------------------------------------------------- */

int npf_linux_monitor(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/*
 * The socket is part of a readiness that must mean this adapter's end only: let the kernel drop all
 * other news. Loads of this machine are big-endian, netlink is not.
 */
int npf_linux_monitor_only(int monitor, uint32_t index)
{
	const uint32_t at = NLMSG_HDRLEN;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at + offsetof(struct ifinfomsg, ifi_family)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNSPEC, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at + offsetof(struct ifinfomsg, ifi_index)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(index), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return setsockopt(monitor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno
											    : 0;
}

/* A bridge reports a port that leaves it in the same words, but as its own family. */
static bool tells_end(const struct nlmsghdr *message, uint32_t index)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);

	return message->nlmsg_type == RTM_DELLINK && info->ifi_family == AF_UNSPEC &&
	       (uint32_t)info->ifi_index == index;
}

/* What it had counted, which the kernel tells with its end. */
static void copy_last_counters(const struct nlmsghdr *message, struct npf_last_counters *last)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct ifinfomsg)) {
		size_t n = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) != IFLA_STATS64)
			continue;
		memcpy(&last->stats, mnl_attr_get_payload(attr),
		       n < sizeof(last->stats) ? n : sizeof(last->stats));
		last->known = true;
	}
}

static bool find_end(const void *news, ssize_t size, uint32_t index, struct npf_last_counters *last)
{
	int left = (int)size;

	for (const struct nlmsghdr *message = news; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		if (!tells_end(message, index))
			continue;
		copy_last_counters(message, last);
		return true;
	}
	return false;
}

/* 1: the end of index is next, and stays: a fork has the same socket and must hear of it as well.
 * 0: something else was read. Negative errno: there is nothing. */
static int read_news(int monitor, uint32_t index, struct npf_last_counters *last)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	struct sockaddr_nl from = { 0 };
	socklen_t from_size = sizeof(from);
	ssize_t n = recvfrom(monitor, buffer, sizeof(buffer), MSG_PEEK, (struct sockaddr *)&from,
			     &from_size);

	if (n < 0)
		return -errno;
	if (!from.nl_pid && find_end(buffer, n, index, last)) /* the kernel says so */
		return 1;
	return recv(monitor, NULL, 0, 0) < 0 ? -errno : 0;
}

static bool exists(uint32_t index)
{
	struct npf_adapter adapter;

	return npf_linux_adapter(NULL, index, &adapter) != -ENODEV;
}

bool npf_linux_monitor_deleted(int monitor, uint32_t index, struct npf_last_counters *last)
{
	bool deleted = false, overflowed = false;
	int news = 0;

	while (!news || news == -EINTR || news == -ENOBUFS) {
		news = read_news(monitor, index, last);
		deleted |= news == 1;
		overflowed |= news == -ENOBUFS;
	}
	/* News were lost, maybe this one. */
	if (overflowed && !deleted && index)
		deleted = !exists(index);
	return deleted;
}
