/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing an adapter, in the steps of the original. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "packet.h"

struct npf_instance *packet_instance(const ADAPTER *adapter)
{
	return adapter->hFile;
}

static int descriptor(const ADAPTER *adapter)
{
	return NPF_HANDLE_DESCRIPTOR(adapter->ReadEvent);
}

static HANDLE handle(int fd)
{
	return (HANDLE)(LONG_PTR)fd;
}

/* ---- the read event ------------------------------------------------------------------------ */

/* An epoll descriptor that the driver joins. Not 0: as a handle that would be NULL. */
static int create_event(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	while (fd == 0) {
		int other = dup(fd);

		close(fd);
		fd = other;
	}
	return fd;
}

static BOOLEAN PacketSetReadEvt(LPADAPTER adapter)
{
	PACKET_TRACED(NULL);

	int fd = create_event();

	if (fd < 0)
		return packet_fail(adapter, errno,
				   "the read event cannot be made: descriptors or memory are short");
	if (!packet_control(adapter, NPF_BIOCSETEVENTHANDLE, (uint32_t)fd)) {
		close(fd);
		return FALSE;
	}
	adapter->ReadEvent = handle(fd);
	return TRUE;
}

/* Somebody may sleep in poll() on the event that is about to be closed. What ends his sleep must
 * be readable for ever, or he might find it gone when he looks what woke him. */
static int always_readable = -1;

static void make_always_readable(void)
{
	always_readable = eventfd(1, EFD_CLOEXEC);
}

static void release_waiters(const ADAPTER *adapter)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct epoll_event interest = { .events = EPOLLIN };

	pthread_once(&once, make_always_readable);
	epoll_ctl(descriptor(adapter), EPOLL_CTL_ADD, always_readable, &interest);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* As far as the adapter lets: the tap sees whole packets anyway. */
static void PacketSetMaxLookaheadsize(LPADAPTER adapter)
{
	PACKET_TRACED(NULL);

	ULONG request[4] = { OID_GEN_MAXIMUM_LOOKAHEAD, sizeof(ULONG) };
	int saved = errno;

	if (PacketRequest(adapter, FALSE, (PPACKET_OID_DATA)request)) {
		request[0] = OID_GEN_CURRENT_LOOKAHEAD;
		PacketRequest(adapter, TRUE, (PPACKET_OID_DATA)request);
	}
	errno = saved;
}

static LPADAPTER new_adapter(struct npf_instance *instance, const char *name)
{
	LPADAPTER adapter = calloc(1, sizeof(*adapter));

	if (!adapter)
		return NULL;
	adapter->hFile = instance;
	adapter->NumWrites = 1;
	adapter->ReadEvent = handle(-1);
	adapter->Flags = INFO_FLAG_NDIS_ADAPTER;
	snprintf(adapter->Name, sizeof(adapter->Name), "%s", name);
	return adapter;
}

static struct npf_instance *create_file(struct npf_driver *driver, const char *name, uint32_t buffer)
{
	const struct npf_open_options options = { .size = sizeof(options), .buffer = buffer };
	struct npf_instance *instance;
	char error[NPF_ERROR_SIZE];
	int err;

	npf_trace("CreateFile", NULL, true);
	err = npf_open(driver, name, &options, &instance, error);
	npf_trace("CreateFile", NULL, false);
	if (!err)
		return instance;
	packet_fail(NULL, -err, error);
	return NULL;
}

static bool set_up(LPADAPTER adapter)
{
	NetType type;

	if (!PacketSetReadEvt(adapter) || !PacketSetReadTimeout(adapter, 0))
		return false;
	PacketSetMaxLookaheadsize(adapter);
	/* One that has gone meanwhile has none. */
	return PacketGetNetType(adapter, &type);
}

static struct npf_driver *find_adapter(const char *name, struct npf_adapter *found)
{
	struct npf_driver *driver = packet_driver();

	return packet_find_adapter(driver, name, found) ? driver : NULL;
}

static LPADAPTER PacketOpenAdapterNPF(const char *name, uint32_t buffer)
{
	PACKET_TRACED(NULL);

	struct npf_adapter found;
	struct npf_driver *driver = find_adapter(name, &found);
	struct npf_instance *instance = driver ? create_file(driver, found.name, buffer) : NULL;

	if (!instance)
		return NULL;

	LPADAPTER adapter = new_adapter(instance, found.name);

	if (!adapter) {
		npf_close(instance);
		packet_fail(NULL, ENOMEM, "memory is short; nothing was opened");
		return NULL;
	}
	if (!set_up(adapter)) {
		packet_fail(NULL, errno, PacketGetErrorText(adapter));
		npf_close(instance);
		if (descriptor(adapter) >= 0)
			close(descriptor(adapter));
		free(adapter);
		return NULL;
	}
	packet_forget_errors();
	return adapter;
}

/* The step of the original, whoever takes it. */
static LPADAPTER open_adapter(const char *name, uint32_t buffer)
{
	struct packet_traced traced __attribute__((cleanup(packet_traced_end), unused)) =
		packet_traced_begin("PacketOpenAdapter", NULL);
	LPADAPTER adapter;

	packet_lock();
	adapter = PacketOpenAdapterNPF(name, buffer);
	packet_driver_unlock();
	return adapter;
}

PACKET_EXPORT LPADAPTER PacketOpenAdapter(PCHAR name)
{
	return open_adapter(name, 0);
}

PACKET_EXPORT LPADAPTER PacketOpenAdapterBuffered(PCHAR name, int bytes)
{
	if (bytes < 0) {
		packet_fail(NULL, EINVAL, "the size of the buffer is negative; 0 is none");
		return NULL;
	}
	return open_adapter(name, (uint32_t)bytes);
}

/* ---- closing ------------------------------------------------------------------------------- */

static void close_file(struct npf_instance *instance)
{
	npf_trace("CloseHandle", NULL, true);
	npf_close(instance);
	npf_trace("CloseHandle", NULL, false);
}

PACKET_EXPORT void PacketCloseAdapter(LPADAPTER adapter)
{
	PACKET_TRACED(adapter ? adapter->Name : NULL);

	if (!adapter)
		return;
	release_waiters(adapter);
	/* The instance first: who receives must have left before the event goes. */
	close_file(packet_instance(adapter));
	close(descriptor(adapter));
	free(adapter);
}

PACKET_EXPORT HANDLE PacketGetReadEvent(LPADAPTER adapter)
{
	return adapter->ReadEvent;
}

PACKET_EXPORT PAirpcapHandle PacketGetAirPcapHandle(LPADAPTER adapter)
{
	(void)adapter;
	return NULL;
}
