/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptions of packets, and receiving into them. */
#include <stdlib.h>
#include <string.h>

#include "packet.h"

PACKET_EXPORT LPPACKET PacketAllocatePacket(void)
{
	PACKET_TRACED(NULL);

	return calloc(1, sizeof(PACKET));
}

PACKET_EXPORT void PacketInitPacket(LPPACKET packet, PVOID buffer, UINT length)
{
	packet->Buffer = buffer;
	packet->Length = length;
	packet->ulBytesReceived = 0;
	packet->bIoComplete = FALSE;
}

PACKET_EXPORT void PacketFreePacket(LPPACKET packet)
{
	PACKET_TRACED(NULL);

	free(packet);
}

/* One read; the driver waits as the timeout says. After it the adapter may be gone, closed by
 * another thread. */
PACKET_EXPORT BOOLEAN PacketReceivePacket(LPADAPTER adapter, LPPACKET packet, BOOLEAN Sync)
{
	int64_t n;

	(void)Sync;
	packet->hEvent = adapter->ReadEvent;
	n = npf_read(packet_instance(adapter), packet->Buffer, packet->Length);
	packet->ulBytesReceived = n > 0 ? (DWORD)n : 0;
	return packet_result(n);
}
