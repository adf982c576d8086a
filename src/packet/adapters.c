/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of adapters. It is asked for anew each time: a question to rtnetlink costs less than an
 * adapter that is missing because it came after the program.
 */
#include <stdlib.h>
#include <string.h>

#include "packet.h"

#define UNKNOWN_LINK_TYPE UINT32_MAX

struct list {
	struct npf_driver *driver;
	struct npf_adapter *adapters;
	size_t n;
};

/* Without a driver it is told why there is none. */
static bool open_list(struct list *list, struct npf_driver *driver)
{
	int err;

	*list = (struct list){ .driver = driver };
	if (!driver)
		return false;
	err = npf_get_adapters_list(driver, &list->adapters, &list->n);
	return err ? packet_fail(NULL, -err, "the kernel does not list its adapters") : true;
}

static void close_list(struct list *list)
{
	int saved = errno;

	if (list->driver)
		npf_free_adapters_list(list->driver, list->adapters);
	errno = saved;
}

/* A link type that NPF cannot open is not exported, as FireWire was not. */
static bool exported(const struct npf_adapter *adapter)
{
	return adapter->link_type != UNKNOWN_LINK_TYPE;
}

static const struct npf_adapter *find(const struct list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++) {
		if (exported(&list->adapters[i]) && !strcmp(list->adapters[i].name, name))
			return &list->adapters[i];
	}
	return NULL;
}

static bool exists(void *arg, const char *name)
{
	return find(arg, name);
}

bool packet_find_adapter(struct npf_driver *driver, const char *name, struct npf_adapter *adapter)
{
	char linux_name[NPF_NAME_SIZE];
	const struct npf_adapter *found = NULL;
	struct list list;

	if (!open_list(&list, driver))
		return false;
	if (packet_adapter_name(linux_name, name, exists, &list))
		found = find(&list, linux_name);
	if (found)
		*adapter = *found;
	else
		packet_fail(NULL, ENODEV, "there is no such adapter; npf list shows them");
	close_list(&list);
	return found;
}

/* The same for who does not hold the lock. */
static bool ask(const char *name, struct npf_adapter *adapter)
{
	bool found = packet_find_adapter(packet_driver_lock(), name, adapter);

	packet_driver_unlock();
	return found;
}

/* ---- names --------------------------------------------------------------------------------- */

static size_t text_size(const struct npf_adapter *adapter)
{
	return strlen(adapter->name) + 1 + strlen(adapter->description) + 1;
}

static size_t names_size(const struct list *list)
{
	size_t size = 2; /* the NUL behind the names, and that behind the descriptions */

	for (size_t i = 0; i < list->n; i++)
		size += exported(&list->adapters[i]) ? text_size(&list->adapters[i]) : 0;
	return size;
}

static char *put(char *to, const char *text)
{
	size_t size = strlen(text) + 1;

	memcpy(to, text, size);
	return to + size;
}

static void put_names(const struct list *list, char *to)
{
	for (size_t i = 0; i < list->n; i++)
		to = exported(&list->adapters[i]) ? put(to, list->adapters[i].name) : to;
	*to++ = '\0';
	for (size_t i = 0; i < list->n; i++)
		to = exported(&list->adapters[i]) ? put(to, list->adapters[i].description) : to;
	*to = '\0';
}

static BOOLEAN get_names(const struct list *list, char *names, ULONG *size)
{
	size_t needed = names_size(list);

	if (needed == 2) {
		*size = 0;
		return packet_fail(NULL, ENODEV, "there are no adapters");
	}
	if (!names || *size < needed) {
		*size = (ULONG)needed;
		return packet_fail(NULL, ENOBUFS,
				   "the names take more room; the size says how much");
	}
	put_names(list, names);
	*size = (ULONG)needed;
	return TRUE;
}

PACKET_EXPORT BOOLEAN PacketGetAdapterNames(PCHAR names, PULONG size)
{
	PACKET_TRACED(NULL);

	struct list list;
	BOOLEAN result = FALSE;

	if (!size)
		return packet_fail(NULL, EINVAL, "there is nowhere to tell the size of the names");
	if (open_list(&list, packet_driver_lock()))
		result = get_names(&list, names, size);
	close_list(&list);
	packet_driver_unlock();
	return result;
}

/* ---- addresses ----------------------------------------------------------------------------- */

static void put_address(struct sockaddr_storage *to, uint8_t family, const uint8_t *bytes)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	memset(to, 0, sizeof(*to));
	if (family == 4) {
		memcpy(&v4.sin_addr, bytes, sizeof(v4.sin_addr));
		memcpy(to, &v4, sizeof(v4));
	} else {
		memcpy(&v6.sin6_addr, bytes, sizeof(v6.sin6_addr));
		memcpy(to, &v6, sizeof(v6));
	}
}

static void put_mask(struct sockaddr_storage *to, uint8_t family, uint8_t prefix)
{
	uint8_t bytes[16] = { 0 };

	for (uint8_t i = 0; i < prefix && i < 128; i++)
		bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	put_address(to, family, bytes);
}

static void put_if_addr(npf_if_addr *to, const struct npf_address *from)
{
	static const uint8_t none[16];

	put_address(&to->IPAddress, from->family, from->address);
	put_mask(&to->SubnetMask, from->family, from->prefix);
	put_address(&to->Broadcast, from->family, from->broadcast);
	if (!memcmp(from->broadcast, none, sizeof(none)))
		to->Broadcast.ss_family = 0;
}

PACKET_EXPORT BOOLEAN PacketGetNetInfoEx(PCHAR name, npf_if_addr *addresses, PLONG n)
{
	PACKET_TRACED(NULL);

	struct npf_adapter adapter;
	LONG i;

	if (!n || *n < 0 || (!addresses && *n))
		return packet_fail(
			NULL, EINVAL,
			"the number of addresses is negative, or there is no room for them");
	if (!ask(name, &adapter))
		return FALSE;
	for (i = 0; i < *n && i < adapter.n_addresses; i++)
		put_if_addr(&addresses[i], &adapter.addresses[i]);
	*n = i;
	return TRUE;
}

/* ---- kinds --------------------------------------------------------------------------------- */

PACKET_EXPORT BOOLEAN PacketIsLoopbackAdapter(PCCH name)
{
	struct npf_adapter adapter;

	return ask(name, &adapter) && adapter.flags & NPF_ADAPTER_LOOPBACK;
}

PACKET_EXPORT int PacketGetMonitorMode(PCCH name)
{
	struct npf_adapter adapter;

	if (!ask(name, &adapter))
		return -1;
	return adapter.medium == NPF_MEDIUM_BARE80211 || adapter.medium == NPF_MEDIUM_RADIO80211;
}

PACKET_EXPORT int PacketIsMonitorModeSupported(PCCH name)
{
	return PacketGetMonitorMode(name);
}

PACKET_EXPORT int PacketSetMonitorMode(PCCH name, int mode)
{
	int now = PacketGetMonitorMode(name);

	if (now < 0)
		return -1;
	if (now == !!mode)
		return 1;
	return packet_fail(NULL, ENOTSUP,
			   "NPF does not switch monitor mode; iw dev NAME set monitor does");
}

PACKET_EXPORT BOOLEAN PacketGetNetType(LPADAPTER adapter, NetType *type)
{
	PACKET_TRACED(NULL);

	struct npf_adapter now;

	if (!packet_result(npf_instance_adapter(packet_instance(adapter), &now)))
		return FALSE;
	type->LinkType = now.medium;
	type->LinkSpeed = now.speed;
	return TRUE;
}
