/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the adapter counted of what it was given. One that has gone told that with its end, unless it
 * keeps count at its peer (a veth whose peer has gro), which it was parted from before.
 *
 * Loopback says OK whatever becomes of a frame. It leaves it to the backlog of a CPU, of another one
 * with RPS, which drops what it has no room for. That is counted in two places, in both together
 * with other things: for each CPU, whatever adapter and namespace the frame was of; and as dropped by
 * the adapter, as frames are that no protocol wants.
 */
#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/linux.h"

void npf_send_counters_open(struct npf_nic *nic)
{
	nic->counting.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

void npf_send_counters_close(struct npf_nic *nic)
{
	if (nic->counting.netlink >= 0)
		close(nic->counting.netlink);
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

/* The kernel has answered when the request is through. */
static int ask_stats(struct npf_nic *nic, struct rtnl_link_stats64 *stats)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_Alignas(struct nlmsghdr) uint8_t buffer[4096];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct if_stats_msg *ask;
	ssize_t n;

	message->nlmsg_type = RTM_GETSTATS;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = ++nic->counting.sequence;
	ask = mnl_nlmsg_put_extra_header(message, sizeof(*ask));
	ask->ifindex = nic->adapter.index;
	ask->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	if (sendto(nic->counting.netlink, message, message->nlmsg_len, 0,
		   (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	n = recv(nic->counting.netlink, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return mnl_cb_run(buffer, (size_t)n, nic->counting.sequence, 0, read_stats, stats) < 0
		       ? -errno
		       : 0;
}

/* ---- backlogs ------------------------------------------------------------------------------- */

/* What those of all CPUs have dropped: the second number of each line. */
static bool read_overrun(uint32_t *overrun)
{
	FILE *file = fopen("/proc/net/softnet_stat", "re");
	uint32_t dropped, sum = 0;
	char line[512];

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		sum += sscanf(line, "%*x %" SCNx32, &dropped) == 1 ? dropped : 0;
	fclose(file);
	*overrun = sum;
	return true;
}

/* The adapter's own count will do alone where the other cannot be read. */
static void bound_losses(struct npf_counting *counting, struct npf_sent_counters *counters,
			 uint64_t rx_dropped)
{
	uint32_t overrun;

	counters->lost[0] = counters->lost[1] = rx_dropped;
	if (!read_overrun(&overrun))
		return;
	counting->lost += overrun - counting->overrun;
	counting->overrun = overrun;
	counters->lost[1] = counting->lost;
}

static int find_stats(struct npf_nic *nic, struct rtnl_link_stats64 *stats)
{
	int err = ask_stats(nic, stats);

	if (err != -ENODEV || !__atomic_load_n(&nic->gone, __ATOMIC_ACQUIRE) || !nic->last.known)
		return err;
	*stats = nic->last.stats;
	return 0;
}

int npf_linux_sent(struct npf_nic *nic, struct npf_sent_counters *counters)
{
	struct rtnl_link_stats64 stats = { 0 };
	int err = find_stats(nic, &stats);

	if (err)
		return err;
	*counters = (struct npf_sent_counters){ .packets = stats.tx_packets,
						.dropped = stats.tx_dropped + stats.tx_errors };
	if (nic->adapter.hatype == ARPHRD_LOOPBACK)
		bound_losses(&nic->counting, counters, stats.rx_dropped);
	return 0;
}
