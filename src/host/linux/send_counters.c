/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the adapter counted of what it was given. One that has gone told that with its end, unless it
 * keeps count at its peer (a veth whose peer has gro), which it was parted from before.
 *
 * Loopback says OK whatever becomes of a frame. It leaves it to the backlog of a CPU, of another one
 * with RPS, which drops what it has no room for. That is counted in two places, in both together
 * with other things: for each CPU, whatever adapter and namespace the frame was of; and as dropped by
 * the adapter, as frames are that no protocol wants.
 *
 * A tun or tap device says OK, too, and counts as dropped what the queue for its reader has no room
 * for. A queueing discipline may drop what it took before, and counts that; what the adapter drops behind
 * one only the adapter counts. An ifb counts what was not redirected to it as received, and drops it.
 */
#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <fcntl.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/linux.h"
#include "host/linux/process.h"

void npf_send_counters_open(struct npf_nic *nic)
{
	nic->counting.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	nic->counting.process = npf_process_number();
	nic->counting.backlogs = open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC);
}

void npf_send_counters_close(struct npf_nic *nic)
{
	if (nic->counting.netlink >= 0)
		close(nic->counting.netlink);
	if (nic->counting.backlogs >= 0)
		close(nic->counting.backlogs);
}

/* A fork that asked by its parent's socket would read the parent's answers. In another network namespace
 * than the adapter's it cannot ask at all. */
static void renew(struct npf_nic *nic)
{
	if (nic->counting.process == npf_process_number())
		return;
	npf_send_counters_close(nic);
	if (npf_send_rule_elsewhere(nic))
		nic->counting.netlink = nic->counting.backlogs = -1;
	else
		npf_send_counters_open(nic);
}

/* ---- the adapter ---------------------------------------------------------------------------- */

static int read_stats(const struct nlmsghdr *message, void *arg)
{
	struct rtnl_link_stats64 *stats = arg;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWSTATS)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(struct if_stats_msg)) {
		size_t n = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == IFLA_STATS_LINK_64)
			memcpy(stats, mnl_attr_get_payload(attr),
			       n < sizeof(*stats) ? n : sizeof(*stats));
	}
	return MNL_CB_OK;
}

static int ask_stats(const struct npf_nic *nic, int netlink, uint32_t sequence,
		     struct rtnl_link_stats64 *stats)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[4096];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct if_stats_msg *link;

	message->nlmsg_type = RTM_GETSTATS;
	message->nlmsg_flags = NLM_F_REQUEST;
	link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
	link->ifindex = nic->adapter.index;
	link->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	message->nlmsg_seq = sequence;
	return npf_linux_ask(netlink, message, sizeof(buffer), read_stats, stats);
}

int npf_send_counters_packets(const struct npf_nic *nic, int netlink, uint64_t *packets)
{
	struct rtnl_link_stats64 stats = { 0 };
	int err = ask_stats(nic, netlink, 0, &stats);

	*packets = stats.tx_packets;
	return err;
}

bool npf_send_counters_tap(const struct npf_nic *nic)
{
	return !strncmp(nic->adapter.description, "tun ", 4);
}

bool npf_send_counters_veth(const struct npf_nic *nic)
{
	return !strncmp(nic->adapter.description, "veth", 4);
}

/* ---- its queueing discipline ---------------------------------------------------------------- */

/* Those whose count holds all that they refused, and that what is below them refused. Not so cbs and
 * taprio. */
static const char *const telling[] = { "pfifo_fast", "pfifo", "bfifo", "pfifo_head_drop",
				       "codel",      "fq",    "htb",   "fq_codel",
				       "sfq",        "tbf",   "hfsc",  "prio",
				       "drr",        "red",   "netem", "mq" };

#define MANY 16 /* disciplines take longer than a look at one link */

struct discipline {
	uint32_t index; /* of the adapter */
	uint32_t handle;
	char kind[NPF_NAME_SIZE];
	uint32_t drops;
	uint32_t held; /* frames of whomever */
	bool orphans;  /* it or one below takes frames off their socket's charge */
	size_t seen;   /* of all adapters */
};

static bool tells(const char *kind)
{
	for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
		if (!strcmp(kind, telling[i]))
			return true;
	}
	return false;
}

/* netem, whatever it does to frames. */
static bool is_orphaning(const struct nlattr *kind)
{
	return !strncmp(mnl_attr_get_payload(kind), "netem", mnl_attr_get_payload_len(kind));
}

static int read_discipline(const struct nlmsghdr *message, void *arg)
{
	const struct tcmsg *root = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr, *inner;
	struct gnet_stats_queue queue = { 0 };
	struct discipline *discipline = arg;

	discipline->seen++;
	if (message->nlmsg_type != RTM_NEWQDISC || root->tcm_ifindex != (int)discipline->index)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(struct tcmsg)) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			discipline->orphans |= is_orphaning(attr);
	}
	if (root->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(struct tcmsg)) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			snprintf(discipline->kind, sizeof(discipline->kind), "%.*s",
				 (int)mnl_attr_get_payload_len(attr),
				 (const char *)mnl_attr_get_payload(attr));
		if (mnl_attr_get_type(attr) != TCA_STATS2)
			continue;
		mnl_attr_for_each_nested(inner, attr) {
			size_t n = mnl_attr_get_payload_len(inner);

			if (mnl_attr_get_type(inner) == TCA_STATS_QUEUE)
				memcpy(&queue, mnl_attr_get_payload(inner),
				       n < sizeof(queue) ? n : sizeof(queue));
		}
	}
	discipline->handle = root->tcm_handle;
	discipline->drops = queue.drops;
	discipline->held = queue.qlen;
	return MNL_CB_OK;
}

static int ask_disciplines(struct npf_nic *nic, struct discipline *discipline)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[8192];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct tcmsg *all;

	message->nlmsg_type = RTM_GETQDISC;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	all = mnl_nlmsg_put_extra_header(message, sizeof(*all));
	all->tcm_family = AF_UNSPEC;
	message->nlmsg_seq = ++nic->counting.sequence;
	return npf_linux_ask(nic->counting.netlink, message, sizeof(buffer), read_discipline,
			     discipline);
}

/* Is there nothing to count? Cheaper to ask for where all disciplines are many. */
static bool has_none(const struct npf_nic *nic)
{
	char kind[NPF_NAME_SIZE];

	return !npf_send_rule_discipline(nic, nic->counting.netlink, kind) &&
	       !strcmp(kind, "noqueue");
}

/* What the kernel has for all adapters it tells us only; what it has for one it tells all who listen for
 * changes. It leaves out what is there by default. */
static int find_discipline(struct npf_nic *nic, struct discipline *discipline)
{
	bool none = nic->counting.many && has_none(nic);
	int err = none ? 0 : ask_disciplines(nic, discipline);

	if (!err)
		nic->counting.many = none || discipline->seen > MANY;
	return err;
}

/* One that comes new counts from zero. */
static void count_queue_drops(struct npf_counting *counting, const struct discipline *found)
{
	bool same = counting->handle == found->handle && !strcmp(counting->kind, found->kind) &&
		    counting->queue_drops <= found->drops;

	counting->queue_lost += found->drops - (same ? counting->queue_drops : 0);
	counting->queue_drops = found->drops;
	counting->handle = found->handle;
	memcpy(counting->kind, found->kind, sizeof(counting->kind));
	counting->queues = found->kind[0] && strcmp(found->kind, "noqueue") != 0;
	counting->tells = tells(found->kind);
}

/* Whoever sends through a discipline is not told what the adapter drops; without one he is. */
static void count_behind(struct npf_counting *counting, uint64_t dropped, bool queued)
{
	if (queued && dropped > counting->dropped)
		counting->queue_lost += dropped - counting->dropped;
	counting->dropped = dropped;
}

/* Frames that a socket was refused are among what was lost if the discipline, or a tap that has none, did
 * it: so nothing else may be there that refuses, neither then nor now. */
static void count_refused(struct npf_nic *nic, uint64_t refused)
{
	struct npf_counting *counting = &nic->counting;
	bool holds = counting->queues ? counting->tells : npf_send_counters_tap(nic);

	if (refused && holds && npf_send_egress_free(nic, counting->netlink))
		counting->told += refused;
}

/* No frame of a socket is less to it. */
#define LEAST_CHARGE 512u

static uint64_t count_charged(int fd)
{
	int bytes = 0;

	return fd >= 0 && !ioctl(fd, TIOCOUTQ, &bytes) && bytes > 0
		       ? ((uint64_t)bytes + LEAST_CHARGE - 1) / LEAST_CHARGE
		       : 0;
}

/* ---- backlogs ------------------------------------------------------------------------------- */

static uint32_t digit_of(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The second number of each line. A call brings a page at most. */
bool npf_send_counters_overrun(int fd, uint32_t *overrun)
{
	uint32_t sum = 0, number = 0, column = 0;
	char text[4096];
	off_t at = 0;
	ssize_t n = 0;

	while (fd >= 0 && (n = pread(fd, text, sizeof(text), at)) > 0) {
		at += n;
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] != ' ' && text[i] != '\n') {
				number = number << 4 | digit_of(text[i]);
				continue;
			}
			sum += column == 1 ? number : 0;
			number = 0;
			column = text[i] == ' ' ? column + 1 : 0;
		}
	}
	if (n < 0 || !at)
		return false;
	*overrun = sum;
	return true;
}

/* The adapter's own count will do alone where the other cannot be read. */
static void bound_losses(struct npf_counting *counting, struct npf_sent_counters *counters,
			 uint64_t rx_dropped)
{
	uint32_t overrun;

	counters->lost[0] = counters->lost[1] = rx_dropped;
	if (!npf_send_counters_overrun(counting->backlogs, &overrun))
		return;
	counting->lost += overrun - counting->overrun;
	counting->overrun = overrun;
	counters->lost[1] = counting->lost;
}

/* Of an adapter that is there. */
static void count_losses(struct npf_nic *nic, const struct rtnl_link_stats64 *stats,
			 const struct discipline *found)
{
	struct npf_counting *counting = &nic->counting;
	bool queued = counting->queues;

	count_queue_drops(counting, found);
	count_behind(counting, stats->tx_dropped + stats->tx_errors,
		     (queued || counting->queues) && !npf_send_counters_tap(nic));
}

static bool is_ifb(const struct npf_nic *nic)
{
	return !strncmp(nic->adapter.description, "ifb ", 4);
}

/* Has it gone? Asked after what may have been told of another, which has its index now. */
static int find_last(struct npf_nic *nic, struct rtnl_link_stats64 *stats)
{
	if (!npf_linux_nic.gone(nic) || !nic->last.known)
		return -ENODEV;
	*stats = nic->last.stats;
	return 0;
}

int npf_linux_sent(struct npf_nic *nic, struct npf_sent_counters *counters)
{
	struct npf_counting *counting = &nic->counting;
	struct discipline discipline = { .index = nic->adapter.index };
	struct rtnl_link_stats64 stats = { 0 };

	renew(nic);
	/* Before the losses, which they may become. */
	uint64_t told = __atomic_load_n(&nic->told, __ATOMIC_ACQUIRE);
	uint64_t refused = __atomic_exchange_n(&nic->refused, 0, __ATOMIC_ACQ_REL);
	uint64_t sure = __atomic_load_n(&nic->sure, __ATOMIC_ACQUIRE);
	uint64_t waiting = count_charged(nic->sender) + count_charged(nic->hidden_sender);
	int err = ask_stats(nic, counting->netlink, ++counting->sequence, &stats);
	bool found = !err && !find_discipline(nic, &discipline);
	bool gone = npf_linux_nic.gone(nic) || !npf_linux_bound(nic);

	if (gone)
		err = find_last(nic, &stats);
	if (err)
		return err;
	if (found && !gone)
		count_losses(nic, &stats, &discipline);
	if (!gone && discipline.orphans && waiting < discipline.held)
		waiting = discipline.held;
	/* What a discipline held when the adapter went nobody has counted. */
	if (gone && counting->queues)
		waiting = UINT32_MAX;
	*counters = (struct npf_sent_counters){ .packets = stats.tx_packets,
						.dropped = stats.tx_dropped + stats.tx_errors,
						.sure = sure,
						.waiting = waiting };
	counters->again = __atomic_load_n(&nic->again, __ATOMIC_ACQUIRE);
	counters->trailing = gone ? 0 : __atomic_load_n(&nic->live, __ATOMIC_ACQUIRE);
	if (nic->adapter.hatype == ARPHRD_LOOPBACK)
		bound_losses(counting, counters, stats.rx_dropped);
	else if (npf_send_counters_tap(nic))
		counters->lost[0] = counters->lost[1] = stats.tx_dropped;
	else if (is_ifb(nic))
		counters->lost[0] = counters->lost[1] = stats.rx_dropped;
	for (size_t i = 0; i < 2; i++)
		counters->lost[i] += counting->queue_lost;
	if (!gone)
		count_refused(nic, refused);
	counters->told = told + counting->told;
	return 0;
}
