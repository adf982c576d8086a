/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link of the adapter that a nic sends on: is it the same still, is it up, how long may frames be.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "host/linux/linux.h"

/* A link that was up is looked at again after this. */
#define LINK_NS 1000000u

/* The name that the adapter has now. */
static int ask_name(const struct npf_nic *nic, char name[IFNAMSIZ])
{
	struct ifreq request = { .ifr_ifindex = (int)nic->adapter.index };

	if (ioctl(nic->sender, SIOCGIFNAME, &request))
		return -errno;
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return 0;
}

/* It is asked by name, and by its index whether it had that name: another may have taken it. */
static int ask_link(struct npf_nic *nic, unsigned long code, struct ifreq *request)
{
	char name[IFNAMSIZ];
	int answer, err;

	memcpy(name, nic->fast.name, IFNAMSIZ);
	do {
		memcpy(nic->fast.name, name, IFNAMSIZ);
		memcpy(request->ifr_name, name, IFNAMSIZ);
		answer = ioctl(nic->sender, code, request) ? -errno : 0;
		err = ask_name(nic, name);
		if (err)
			return err;
	} while (strcmp(name, nic->fast.name) != 0);
	return answer;
}

enum carrier { CARRIER_UNKNOWN, CARRIER_NONE, CARRIER_THERE };

static enum carrier ask_carrier(struct npf_nic *nic)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq request = { .ifr_data = (void *)&link };

	if (ask_link(nic, SIOCETHTOOL, &request))
		return CARRIER_UNKNOWN;
	return link.data ? CARRIER_THERE : CARRIER_NONE;
}

/* The kernel takes the socket from an adapter that goes; another may get its name and index. */
bool npf_linux_bound(const struct npf_nic *nic)
{
	struct sockaddr_ll address = { 0 };
	socklen_t size = sizeof(address);

	return !getsockname(nic->sender, (struct sockaddr *)&address, &size) &&
	       address.sll_ifindex == (int)nic->adapter.index;
}

bool npf_linux_no_carrier(struct npf_nic *nic)
{
	return ask_carrier(nic) == CARRIER_NONE;
}

static int look_at_link(struct npf_nic *nic)
{
	struct ifreq request = { 0 };
	int err = npf_linux_bound(nic) ? ask_link(nic, SIOCGIFFLAGS, &request) : -ENODEV;

	if (err)
		return err;
	if (!(request.ifr_flags & IFF_UP))
		return -ENETDOWN;
	/* One that waits for its protocols (dormant) is not running and yet has a carrier. */
	return request.ifr_flags & IFF_RUNNING || ask_carrier(nic) == CARRIER_THERE ? 0 : -ENETDOWN;
}

/* Without a carrier the kernel takes frames, says nothing and throws them away. */
int npf_linux_link_up(struct npf_nic *nic)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);
	int err;

	if (nic->fast.link_seen && now - nic->fast.link_seen < LINK_NS)
		return 0;
	err = look_at_link(nic);
	nic->fast.link_seen = err ? 0 : now;
	return err;
}

bool npf_linux_replaced(struct npf_nic *nic)
{
	nic->fast.link_seen = 0;
	return npf_linux_link_up(nic) == -ENODEV;
}

void npf_linux_link_ahead(struct npf_nic *nic, uint64_t time)
{
	if (time - nic->fast.link_seen < LINK_NS)
		return;
	nic->fast.link_seen = 0;
	(void)npf_linux_link_up(nic); /* a link that is down will be told by who sends */
}

uint32_t npf_linux_mtu(struct npf_nic *nic)
{
	struct ifreq request = { 0 };

	return ask_link(nic, SIOCGIFMTU, &request) || request.ifr_mtu < 0
		       ? 0
		       : (uint32_t)request.ifr_mtu;
}
