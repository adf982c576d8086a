/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture with Packet.dll alone: packet_capture ADAPTER COUNT. */
#include <Packet32.h>
#include <conio.h>
#include <stdio.h>

static int show(LPPACKET packet)
{
	char *buffer = packet->Buffer;
	ULONG at = 0;
	int n = 0;

	while (at < packet->ulBytesReceived) {
		struct bpf_hdr *header = (struct bpf_hdr *)(buffer + at);

		printf("Packet length, captured portion: %u, %u\n", header->bh_datalen,
		       header->bh_caplen);
		at = Packet_WORDALIGN(at + header->bh_hdrlen + header->bh_caplen);
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	static char buffer[256000];
	struct bpf_stat stats;
	LPADAPTER adapter;
	LPPACKET packet;
	DWORD error;
	int left;

	if (argc < 3) {
		fprintf(stderr, "packet_capture ADAPTER COUNT\n");
		return 2;
	}
	adapter = PacketOpenAdapter(argv[1]);
	if (!adapter || (adapter->hFile == INVALID_HANDLE_VALUE)) {
		error = GetLastError();
		fprintf(stderr, "Unable to open the adapter, error code %u\n", error);
		return 1;
	}
	packet = PacketAllocatePacket();
	if (packet == NULL)
		return 1;
	PacketInitPacket(packet, buffer, sizeof(buffer));
	if (!PacketSetHwFilter(adapter, NDIS_PACKET_TYPE_PROMISCUOUS) ||
	    !PacketSetBuff(adapter, 512000) || !PacketSetReadTimeout(adapter, 100)) {
		fprintf(stderr, "error code %u\n", GetLastError());
		return 1;
	}
	printf("listening on %s...\n", adapter->Name);
	fflush(stdout);
	for (left = atoi(argv[2]); left > 0 && !_kbhit();) {
		/* As a program with other things to wait for would. */
		WaitForSingleObject(PacketGetReadEvent(adapter), 1000);
		if (!PacketReceivePacket(adapter, packet, TRUE)) {
			fprintf(stderr, "PacketReceivePacket failed\n");
			return 1;
		}
		left -= show(packet);
	}
	PacketGetStats(adapter, &stats);
	printf("%u packets received, %u lost\n", stats.bs_recv, stats.bs_drop);
	PacketFreePacket(packet);
	PacketCloseAdapter(adapter);
	return 0;
}
