/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process's driver. Packet.dll found NPF's service or installed and started it; here the driver
 * is an object of the process, made when it is first needed (PacketInstallDriver) and kept until
 * PacketStopDriver or the end.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "packet.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct npf_host *host;
static struct npf_driver *driver; /* NULL while another is made or this one is ended */

/* Another thread of the parent may hold it. Whatever that was amid, the driver is whole or not named. */
static void in_child(void)
{
	pthread_mutex_init(&lock, NULL);
}

__attribute__((constructor)) static void prepare(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

/* ---- errors -------------------------------------------------------------------------------- */

/* What this library refused by itself, of the thread that asked. What the driver refuses it tells. */
static _Thread_local struct {
	const ADAPTER *adapter;
	char sentence[NPF_ERROR_SIZE];
} refusal;
/* The last failure of what has no adapter. */
static _Thread_local char without_adapter[NPF_ERROR_SIZE];

BOOLEAN packet_result(int64_t result)
{
	if (result >= 0)
		return TRUE;
	refusal.adapter = NULL;
	errno = (int)-result;
	return FALSE;
}

BOOLEAN packet_fail(const ADAPTER *adapter, int err, const char *sentence)
{
	refusal.adapter = adapter;
	snprintf(adapter ? refusal.sentence : without_adapter, NPF_ERROR_SIZE, "%s", sentence);
	errno = err;
	return FALSE;
}

void packet_forget_errors(void)
{
	refusal.adapter = NULL;
}

PACKET_EXPORT PCCH PacketGetErrorText(const ADAPTER *adapter)
{
	if (!adapter)
		return without_adapter;
	return refusal.adapter == adapter ? refusal.sentence : npf_error(packet_instance(adapter));
}

/* ---- the trace ----------------------------------------------------------------------------- */

struct packet_traced packet_traced_begin(const char *function, const char *what)
{
	npf_trace(function, what, true);
	return (struct packet_traced){ function };
}

void packet_traced_end(struct packet_traced *traced)
{
	npf_trace(traced->function, NULL, false);
}

/* ---- the driver ---------------------------------------------------------------------------- */

static bool PacketInstallDriver(void)
{
	PACKET_TRACED(NULL);

	struct npf_driver *made = NULL;
	int err;

	host = npf_host_linux();
	err = host ? npf_driver_entry(host, &made) : -errno;
	if (!err) {
		__atomic_store_n(&driver, made, __ATOMIC_RELEASE);
		return true;
	}
	npf_host_linux_free(host);
	host = NULL;
	return packet_fail(NULL, -err, "the driver cannot start: memory or descriptors are short");
}

void packet_lock(void)
{
	pthread_mutex_lock(&lock);
}

struct npf_driver *packet_driver(void)
{
	return driver || PacketInstallDriver() ? driver : NULL;
}

struct npf_driver *packet_driver_lock(void)
{
	packet_lock();
	return packet_driver();
}

void packet_driver_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static int stop_driver(void)
{
	struct npf_driver *old = driver;
	int err;

	if (!old)
		return 0;
	__atomic_store_n(&driver, NULL, __ATOMIC_RELEASE);
	err = npf_unload(old);
	if (err) {
		driver = old;
		return err;
	}
	npf_host_linux_free(host);
	host = NULL;
	return 0;
}

PACKET_EXPORT BOOL PacketStopDriver(void)
{
	PACKET_TRACED(NULL);

	pthread_mutex_lock(&lock);

	int err = stop_driver();

	pthread_mutex_unlock(&lock);
	return err ? packet_fail(NULL, -err, "adapters are open: close them first") : TRUE;
}

/* ---- who we are ---------------------------------------------------------------------------- */

PACKET_EXPORT char PacketLibraryVersion[64] = PACKET_VERSION;

PACKET_EXPORT PCHAR PacketGetVersion(void)
{
	return PacketLibraryVersion;
}

/* What follows the name in npf_version(). */
PACKET_EXPORT PCHAR PacketGetDriverVersion(void)
{
	const char *version = strchr(npf_version(), ' ');

	/* The original's type; nobody writes to it. */
	return (PCHAR)(uintptr_t)(version ? version + 1 : npf_version());
}

PACKET_EXPORT PCHAR PacketGetDriverName(void)
{
	static char name[] = "NPF";

	return name;
}
