/* SPDX-License-Identifier: BSD-3-Clause */
/* Send with Packet.dll alone: packet_send ADAPTER COPIES. */
#include <Packet32.h>
#include <stdio.h>

#include "frame.h"

int main(int argc, char **argv)
{
	unsigned char frame[FRAME_SIZE];
	LPADAPTER adapter;
	LPPACKET packet;

	if (argc < 3) {
		fprintf(stderr, "packet_send ADAPTER COPIES\n");
		return 2;
	}
	adapter = PacketOpenAdapter(argv[1]);
	if (!adapter) {
		fprintf(stderr, "Unable to open the adapter, error code %u\n", GetLastError());
		return 1;
	}
	packet = PacketAllocatePacket();
	make_frame(frame, 0);
	PacketInitPacket(packet, frame, sizeof(frame));
	if (!PacketSetNumWrites(adapter, atoi(argv[2])) ||
	    !PacketSendPacket(adapter, packet, TRUE)) {
		fprintf(stderr, "Error sending the packets!\n");
		return 1;
	}
	printf("sent %d copies\n", adapter->NumWrites);
	PacketFreePacket(packet);
	PacketCloseAdapter(adapter);
	return 0;
}
