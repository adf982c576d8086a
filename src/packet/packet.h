/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpacket, private. What Packet.dll was between programs and NPF's device, this is between them
 * and libnpf; a call becomes at most a handful of the driver's.
 *   library.c   the process's driver: started when first needed; versions; errors
 *   names.c     names and texts in the encodings that callers use
 *   adapters.c  the list of adapters
 *   open.c      opening and closing
 *   receive.c   packets; send.c the other way
 *   control.c   settings, statistics, OID requests
 *   dump.c      dump to disk
 */
#ifndef NPF_PACKET_H
#define NPF_PACKET_H

#define NOMINMAX
#define NPF_FORMATS_AS_THEY_ARE
#include <errno.h>
#include <stdbool.h>

#include "Packet32.h"
#include "npf/npf.h"

#define PACKET_EXPORT __attribute__((visibility("default")))

/* ---- library.c ----------------------------------------------------------------------------- */

/* The driver, started if it is not running, under the lock that also guards the list of adapters
 * (g_AdaptersInfoMutex of the original). NULL with errno set; the lock is taken nevertheless. */
struct npf_driver *packet_driver_lock(void);
/* The same in two steps. */
void packet_lock(void);
struct npf_driver *packet_driver(void);
void packet_driver_unlock(void);

/* Set errno from a result of the driver, which has a sentence for each error of an instance; TRUE when it
 * is none. */
BOOLEAN packet_result(int64_t result);

/* Set errno, and this thread's sentence for PacketGetErrorText(): of an adapter, or with NULL of what has
 * none. FALSE. */
BOOLEAN packet_fail(const ADAPTER *adapter, int err, const char *sentence);
/* A new adapter may be where one was. */
void packet_forget_errors(void);

/* A scope that the trace shows (npf_trace). */
struct packet_traced {
	const char *function;
};
struct packet_traced packet_traced_begin(const char *function, const char *what);
void packet_traced_end(struct packet_traced *traced);
#define PACKET_TRACED(what)                                                                        \
	struct packet_traced packet_traced_ __attribute__((cleanup(packet_traced_end), unused)) =  \
		packet_traced_begin(__func__, what)

/* ---- names.c ------------------------------------------------------------------------------- */

/* Into Linux's name of an adapter: wide or narrow, with or without the device's prefix. An adapter
 * of one letter is asked for by `exists`, for a wide name begins in the same way. ENODEV. */
bool packet_adapter_name(char name[NPF_NAME_SIZE], const char *from,
			 bool (*exists)(void *arg, const char *name), void *arg);

/* ---- adapters.c ---------------------------------------------------------------------------- */

/* With the lock: look an adapter up, in a fresh list, under any of its names. ENODEV. */
bool packet_find_adapter(struct npf_driver *driver, const char *name, struct npf_adapter *adapter);

/* ---- an open adapter ----------------------------------------------------------------------- */

struct npf_instance *packet_instance(const ADAPTER *adapter);
/* A control code whose input is one number. */
BOOLEAN packet_control(const ADAPTER *adapter, uint32_t code, uint32_t value);

#endif
