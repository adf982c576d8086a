/* SPDX-License-Identifier: BSD-3-Clause */
/* The IP helper's list of adapters, from getifaddrs() and the table of routes. */
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdbool.h>

#include "iphlpapi.h"

#define UNSET "0.0.0.0"

static bool is_adapter(const struct ifaddrs *entry)
{
	return entry->ifa_addr && entry->ifa_addr->sa_family == AF_PACKET &&
	       !(entry->ifa_flags & IFF_LOOPBACK);
}

/* An address of this adapter: after it, its next one. */
static const struct ifaddrs *next_address(const struct ifaddrs *entry, const char *adapter)
{
	for (; entry; entry = entry->ifa_next) {
		if (entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET &&
		    entry->ifa_netmask && !strcmp(entry->ifa_name, adapter))
			return entry;
	}
	return NULL;
}

/* ---- size ---------------------------------------------------------------------------------- */

static ULONG size_of(const struct ifaddrs *all)
{
	ULONG size = 0;

	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		const struct ifaddrs *address = is_adapter(at) ? next_address(all, at->ifa_name)
							       : NULL;

		size += is_adapter(at) ? (ULONG)sizeof(IP_ADAPTER_INFO) : 0;
		/* The first has its place in the structure. */
		while (address && (address = next_address(address->ifa_next, at->ifa_name)))
			size += (ULONG)sizeof(IP_ADDR_STRING);
	}
	return size;
}

/* ---- contents ------------------------------------------------------------------------------ */

static void put_text(char to[16], const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;

	inet_ntop(AF_INET, &v4->sin_addr, to, 16);
}

static void clear(IP_ADDR_STRING *address)
{
	strcpy(address->IpAddress.String, UNSET);
	strcpy(address->IpMask.String, UNSET);
}

/* More of them go to `more`, which is behind the structures. */
static IP_ADDR_STRING *put_addresses(IP_ADDR_STRING *first, IP_ADDR_STRING *more,
				     const struct ifaddrs *all, const char *adapter)
{
	const struct ifaddrs *from = next_address(all, adapter);
	IP_ADDR_STRING *to = first;

	while (from) {
		put_text(to->IpAddress.String, from->ifa_addr);
		put_text(to->IpMask.String, from->ifa_netmask);
		from = next_address(from->ifa_next, adapter);
		if (!from)
			break;
		to->Next = more;
		to = more++;
		memset(to, 0, sizeof(*to));
	}
	return more;
}

/* The route to everything; /proc/net/route has addresses in the host's order of bytes. */
static void put_gateway(IP_ADDR_STRING *to, const char *adapter)
{
	char line[256], name[32];
	FILE *routes = fopen("/proc/net/route", "re");
	unsigned int destination, gateway;
	struct in_addr address;

	while (routes && fgets(line, sizeof(line), routes)) {
		if (sscanf(line, "%31s %x %x", name, &destination, &gateway) != 3 || destination ||
		    !gateway || strcmp(name, adapter) != 0)
			continue;
		memcpy(&address, &gateway, sizeof(address));
		inet_ntop(AF_INET, &address, to->IpAddress.String, sizeof(to->IpAddress.String));
		break;
	}
	if (routes)
		fclose(routes);
}

static UINT type_of(unsigned short hatype)
{
	switch (hatype) {
	case ARPHRD_ETHER:
		return MIB_IF_TYPE_ETHERNET;
	case ARPHRD_PPP:
		return MIB_IF_TYPE_PPP;
	}
	return MIB_IF_TYPE_OTHER;
}

static void put_adapter(IP_ADAPTER_INFO *to, const struct ifaddrs *from)
{
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)from->ifa_addr;

	memset(to, 0, sizeof(*to));
	snprintf(to->AdapterName, sizeof(to->AdapterName), "%s", from->ifa_name);
	snprintf(to->Description, sizeof(to->Description), "%s", from->ifa_name);
	if (link->sll_halen <= sizeof(to->Address))
		to->AddressLength = link->sll_halen;
	memcpy(to->Address, link->sll_addr, to->AddressLength);
	to->Index = to->ComboIndex = (DWORD)link->sll_ifindex;
	to->Type = type_of(link->sll_hatype);
	clear(&to->IpAddressList);
	clear(&to->GatewayList);
	clear(&to->DhcpServer);
	put_gateway(&to->GatewayList, from->ifa_name);
}

static void put_all(IP_ADAPTER_INFO *to, const struct ifaddrs *all)
{
	IP_ADAPTER_INFO *last = NULL;
	IP_ADDR_STRING *more;
	size_t n = 0;

	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		n += is_adapter(at);
	more = (IP_ADDR_STRING *)(void *)(to + n);
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		if (!is_adapter(at))
			continue;
		put_adapter(to, at);
		more = put_addresses(&to->IpAddressList, more, all, at->ifa_name);
		if (last)
			last->Next = to;
		last = to++;
	}
}

DWORD GetAdaptersInfo(PIP_ADAPTER_INFO adapters, PULONG size)
{
	struct ifaddrs *all;
	DWORD result = NO_ERROR;
	ULONG needed;

	if (!size)
		return ERROR_INVALID_PARAMETER;
	if (getifaddrs(&all))
		return GetLastError();
	needed = size_of(all);
	if (!needed)
		result = ERROR_NO_DATA;
	else if (!adapters || *size < needed)
		result = ERROR_BUFFER_OVERFLOW;
	else
		put_all(adapters, all);
	*size = needed;
	freeifaddrs(all);
	return result;
}
