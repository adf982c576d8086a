/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings, statistics and OID requests: each a control code of the driver. */
#include <stdlib.h>
#include <string.h>

#include "packet.h"

/* What the driver wants beside the data: its rule since the first version. */
#define OID_REQUEST_HEADER 11u

BOOLEAN packet_control(const ADAPTER *adapter, uint32_t code, uint32_t value)
{
	return packet_result(npf_io_control(packet_instance(adapter), code, &value, sizeof(value),
					    NULL, 0, NULL));
}

/* Sizes and counts come as int; the sentence is for one below 0. */
static BOOLEAN control_size(const ADAPTER *adapter, uint32_t code, int value, const char *sentence)
{
	if (value < 0)
		return packet_fail(adapter, EINVAL, sentence);
	return packet_control(adapter, code, (uint32_t)value);
}

/* ---- settings ------------------------------------------------------------------------------ */

PACKET_EXPORT BOOLEAN PacketSetBuff(LPADAPTER adapter, int bytes)
{
	PACKET_TRACED(NULL);

	return control_size(adapter, NPF_BIOCSETBUFFERSIZE, bytes,
			    "the size of the buffer is negative; 0 is none");
}

PACKET_EXPORT BOOLEAN PacketSetMinToCopy(LPADAPTER adapter, int bytes)
{
	PACKET_TRACED(NULL);

	return control_size(adapter, NPF_BIOCSMINTOCOPY, bytes,
			    "MinToCopy is negative; 0 is the first packet");
}

/* The wait is the driver's: its clock starts at the first pending packet, so that packets are
 * never stranded below MinToCopy, and the read event says the same. */
PACKET_EXPORT BOOLEAN PacketSetReadTimeout(LPADAPTER adapter, int ms)
{
	PACKET_TRACED(NULL);

	if (!packet_control(adapter, NPF_BIOCSRTIMEOUT, (uint32_t)ms))
		return FALSE;
	adapter->ReadTimeOut = (UINT)ms;
	return TRUE;
}

PACKET_EXPORT BOOLEAN PacketSetMode(LPADAPTER adapter, int mode)
{
	PACKET_TRACED(NULL);

	return packet_control(adapter, NPF_BIOCSMODE, (uint32_t)mode);
}

PACKET_EXPORT BOOLEAN PacketSetNumWrites(LPADAPTER adapter, int n)
{
	PACKET_TRACED(NULL);

	if (!control_size(adapter, NPF_BIOCSWRITEREP, n,
			  "the number of copies is negative; 0 sends nothing"))
		return FALSE;
	adapter->NumWrites = n;
	return TRUE;
}

PACKET_EXPORT BOOLEAN PacketSetLoopbackBehavior(LPADAPTER adapter, UINT behaviour)
{
	PACKET_TRACED(NULL);

	return packet_control(adapter, NPF_BIOCISETLOBBEH, behaviour);
}

PACKET_EXPORT BOOLEAN PacketSetBpf(LPADAPTER adapter, struct bpf_program *program)
{
	PACKET_TRACED(NULL);

	return packet_result(
		npf_io_control(packet_instance(adapter), NPF_BIOCSETF, program->bf_insns,
			       program->bf_len * sizeof(struct bpf_insn), NULL, 0, NULL));
}

PACKET_EXPORT INT PacketSetSnapLen(LPADAPTER adapter, int snaplen)
{
	(void)adapter;
	(void)snaplen;
	return 0;
}

PACKET_EXPORT BOOLEAN PacketSetTimestampMode(LPADAPTER adapter, ULONG mode)
{
	PACKET_TRACED(NULL);

	return packet_control(adapter, NPF_BIOCSTIMESTAMPMODE, mode);
}

PACKET_EXPORT BOOLEAN PacketGetTimestampModes(LPADAPTER adapter, PULONG modes)
{
	PACKET_TRACED(NULL);

	uint32_t all[8];

	if (!packet_result(npf_io_control(packet_instance(adapter), NPF_BIOCGTIMESTAMPMODES, NULL,
					  0, all, sizeof(all), NULL)))
		return FALSE;
	if (modes[0] < all[0] + 1) {
		modes[0] = all[0] + 1;
		return packet_fail(
			adapter, ENOBUFS,
			"there are more modes than entries; the first says how many it takes");
	}
	memcpy(modes, all, (all[0] + 1) * sizeof(all[0]));
	return TRUE;
}

/* ---- OID requests -------------------------------------------------------------------------- */

/* The driver's buffers are longer than the caller's, by what it adds. */
PACKET_EXPORT BOOLEAN PacketRequest(LPADAPTER adapter, BOOLEAN Set, PPACKET_OID_DATA data)
{
	PACKET_TRACED(NULL);

	size_t header = offsetof(PACKET_OID_DATA, Data);
	size_t size = OID_REQUEST_HEADER + (size_t)data->Length;
	uint8_t *request;
	BOOLEAN done;

	/* 12 bytes are the least that it takes. */
	if (size < sizeof(PACKET_OID_DATA))
		size = sizeof(PACKET_OID_DATA);
	request = calloc(1, size);
	if (!request)
		return packet_fail(adapter, ENOMEM, "memory is short; nothing was asked");
	memcpy(request, data, header + data->Length);
	done = packet_result(npf_io_control(packet_instance(adapter),
					    Set ? NPF_BIOCSETOID : NPF_BIOCQUERYOID, request, size,
					    request, size, NULL));
	if (done) {
		ULONG length;

		memcpy(&length, request + offsetof(PACKET_OID_DATA, Length), sizeof(length));
		memcpy(data, request, header + length);
	}
	free(request);
	return done;
}

PACKET_EXPORT BOOLEAN PacketSetHwFilter(LPADAPTER adapter, ULONG filter)
{
	PACKET_TRACED(NULL);

	ULONG request[] = { OID_GEN_CURRENT_PACKET_FILTER, sizeof(ULONG), filter };

	return PacketRequest(adapter, TRUE, (PPACKET_OID_DATA)request);
}

/* ---- statistics ---------------------------------------------------------------------------- */

PACKET_EXPORT BOOLEAN PacketGetStatsEx(LPADAPTER adapter, struct bpf_stat *stats)
{
	struct npf_bpf_stat now;

	if (!packet_result(npf_io_control(packet_instance(adapter), NPF_BIOCGSTATS, NULL, 0, &now,
					  sizeof(now), NULL)))
		return FALSE;
	*stats = (struct bpf_stat){
		.bs_recv = now.bs_recv,
		.bs_drop = now.bs_drop,
		.ps_ifdrop = now.ps_ifdrop,
		.bs_capt = now.bs_capt,
	};
	return TRUE;
}

/* The two fields that it had first; callers may have room for no more. */
PACKET_EXPORT BOOLEAN PacketGetStats(LPADAPTER adapter, struct bpf_stat *stats)
{
	struct bpf_stat all;

	if (!PacketGetStatsEx(adapter, &all))
		return FALSE;
	stats->bs_recv = all.bs_recv;
	stats->bs_drop = all.bs_drop;
	return TRUE;
}
