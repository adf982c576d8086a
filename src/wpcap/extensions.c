/* SPDX-License-Identifier: BSD-3-Clause */
/* WinPcap's additions for live captures: buffers, modes, statistics, OIDs, dump by the driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wpcap/wpcap.h"

/* Refuse what is no live capture on NPF. */
static int check_live(pcap_t *p, const char *what)
{
	if (wpcap_is_live(p))
		return 0;
	return wpcap_fail(p, -1, "%s works on live captures only", what);
}

static int answer(pcap_t *p, BOOLEAN done, const char *doing)
{
	return done ? 0 : wpcap_fail_adapter(p, -1, doing);
}

static int check_size(pcap_t *p, int bytes, const char *what)
{
	return bytes >= 0 ? 0 : wpcap_fail(p, -1, "%s must not be negative", what);
}

/* ---- buffers ------------------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_setbuff(pcap_t *p, int bytes)
{
	BOOLEAN done;

	if (check_live(p, "pcap_setbuff") || check_size(p, bytes, "the size of the buffer"))
		return -1;
	wpcap_leave_batch(p);
	if (wpcap_hold_counters(p))
		return -1;
	done = PacketSetBuff(p->adapter, bytes);
	wpcap_let_counters_go(p, done);
	if (answer(p, done, "setting the buffer failed"))
		return -1;
	p->options.buffer_size = bytes;
	return answer(p, p->min_to_copy_set || wpcap_set_min_to_copy(p), "setting MinToCopy failed");
}

WPCAP_EXPORT int pcap_setuserbuffer(pcap_t *p, int bytes)
{
	if (check_live(p, "pcap_setuserbuffer"))
		return -1;
	return bytes > 0 ? 0 : wpcap_fail(p, -1, "the size of the user buffer must be positive");
}

WPCAP_EXPORT int pcap_setmintocopy(pcap_t *p, int bytes)
{
	if (check_live(p, "pcap_setmintocopy") || check_size(p, bytes, "MinToCopy"))
		return -1;
	if (answer(p, PacketSetMinToCopy(p->adapter, bytes), "setting MinToCopy failed"))
		return -1;
	p->min_to_copy_set = true;
	return 0;
}

WPCAP_EXPORT HANDLE pcap_getevent(pcap_t *p)
{
	return check_live(p, "pcap_getevent") ? NULL : PacketGetReadEvent(p->adapter);
}

/* ---- modes --------------------------------------------------------------------------------- */

/* Of the records: 0 is the driver's second. */
static BOOLEAN set_interval(const pcap_t *p)
{
	return PacketSetReadTimeout(p->adapter, p->options.timeout > 0 ? p->options.timeout : 0);
}

/* Into dump mode and out of it the buffer is a new one, and the driver's counters begin anew. */
static BOOLEAN set_mode(pcap_t *p, int mode)
{
	bool known = mode == MODE_CAPT || mode & (MODE_STAT | PACKET_MODE_DUMP);
	bool dumping = known ? mode & PACKET_MODE_DUMP : p->dumping;
	BOOLEAN done;

	if (wpcap_hold_counters(p))
		return FALSE;
	done = PacketSetMode(p->adapter, mode);
	wpcap_let_counters_go(p, done && dumping != p->dumping);
	if (done)
		p->dumping = dumping;
	return done;
}

WPCAP_EXPORT int pcap_setmode(pcap_t *p, int mode)
{
	if (check_live(p, "pcap_setmode"))
		return -1;
	wpcap_leave_batch(p);
	if (answer(p, set_mode(p, mode), "setting the mode failed"))
		return -1;
	p->mode = mode & MODE_STAT;
	p->to_discard = mode == MODE_STAT; /* with a dump there is a new buffer */
	if (!p->left)
		wpcap_discard_packets(p);
	return answer(p, p->mode == MODE_STAT ? set_interval(p) : wpcap_set_timeout(p),
		      "setting the read timeout failed");
}

/* ---- statistics ---------------------------------------------------------------------------- */

WPCAP_EXPORT struct pcap_stat *pcap_stats_ex(pcap_t *p, int *size)
{
	struct bpf_stat now;

	if (check_live(p, "pcap_stats_ex"))
		return NULL;
	if (!PacketGetStatsEx(p->adapter, &now)) {
		wpcap_fail_adapter(p, 0, "asking for the statistics failed");
		return NULL;
	}
	p->stats = (struct pcap_stat){
		.ps_recv = now.bs_recv,
		.ps_drop = now.bs_drop,
		.ps_ifdrop = now.ps_ifdrop,
		.ps_capt = now.bs_capt,
	};
	*size = (int)sizeof(p->stats);
	return &p->stats;
}

/* ---- OID requests -------------------------------------------------------------------------- */

static int oid_request(pcap_t *p, BOOLEAN set, bpf_u_int32 oid, void *data, size_t *length)
{
	size_t header = offsetof(PACKET_OID_DATA, Data);
	PACKET_OID_DATA *request;
	int result;

	if (*length > UINT16_MAX)
		return wpcap_fail(p, PCAP_ERROR, "an OID has no %zu bytes", *length);
	request = calloc(1, sizeof(*request) + *length);
	if (!request)
		return wpcap_fail(p, PCAP_ERROR, "malloc: %s", strerror(errno));
	request->Oid = oid;
	request->Length = (ULONG)*length;
	memcpy((char *)request + header, data, *length);
	result = answer(p, PacketRequest(p->adapter, set, request), "the OID request failed");
	if (!result) {
		*length = request->Length;
		if (!set)
			memcpy(data, (char *)request + header, request->Length);
	}
	free(request);
	return result;
}

WPCAP_EXPORT int pcap_oid_get_request(pcap_t *p, bpf_u_int32 oid, void *data, size_t *length)
{
	if (check_live(p, "pcap_oid_get_request"))
		return PCAP_ERROR;
	return oid_request(p, FALSE, oid, data, length);
}

WPCAP_EXPORT int pcap_oid_set_request(pcap_t *p, bpf_u_int32 oid, const void *data, size_t *length)
{
	if (check_live(p, "pcap_oid_set_request"))
		return PCAP_ERROR;
	return oid_request(p, TRUE, oid, (void *)(uintptr_t)data, length);
}

/* ---- dump by the driver -------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_live_dump(pcap_t *p, char *name, int max_bytes, int max_packets)
{
	if (check_live(p, "pcap_live_dump"))
		return -1;
	wpcap_leave_batch(p);
	if (max_bytes < 0 || max_packets < 0)
		return wpcap_fail(p, -1, "limits of a dump are not negative; 0 is none");
	if (answer(p, set_mode(p, PACKET_MODE_DUMP), "dump mode was refused"))
		return -1;
	if (!answer(p, PacketSetDumpName(p->adapter, name, (int)strlen(name)),
		    "the dump's file was refused") &&
	    !answer(p, PacketSetDumpLimits(p->adapter, (UINT)max_bytes, (UINT)max_packets),
		    "the dump's limits were refused"))
		return 0;
	/* As it was, so that packets come. */
	set_mode(p, p->mode);
	return -1;
}

WPCAP_EXPORT int pcap_live_dump_ended(pcap_t *p, int sync)
{
	if (check_live(p, "pcap_live_dump_ended"))
		return -1;

	WPCAP_IN_DRIVER(p);

	return PacketIsDumpEnded(p->adapter, (BOOLEAN) !!sync);
}
