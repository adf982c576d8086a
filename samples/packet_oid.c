/* SPDX-License-Identifier: BSD-3-Clause */
/* Names, addresses and OIDs of all adapters, with Packet.dll alone. */
#include <Packet32.h>
#include <ntddndis.h>
#include <stdio.h>

static void show_adapter(char *name, const char *description)
{
	CHAR room[sizeof(PACKET_OID_DATA) + 128];
	PPACKET_OID_DATA oid = (PPACKET_OID_DATA)room;
	npf_if_addr addresses[MAX_NETWORK_ADDRESSES];
	LONG i, n = MAX_NETWORK_ADDRESSES;
	LPADAPTER adapter;
	NetType type;

	printf("%s (%s)%s\n", name, description, PacketIsLoopbackAdapter(name) ? ", loopback" : "");
	if (PacketGetNetInfoEx(name, addresses, &n)) {
		for (i = 0; i < n; i++) {
			if (addresses[i].IPAddress.ss_family == AF_INET)
				printf("\tAddress: %s\n",
				       inet_ntoa(
					       ((SOCKADDR_IN *)&addresses[i].IPAddress)->sin_addr));
		}
	}
	adapter = PacketOpenAdapter(name);
	if (!adapter)
		return;
	oid->Oid = OID_802_3_CURRENT_ADDRESS;
	oid->Length = 6;
	if (PacketRequest(adapter, FALSE, oid))
		printf("\tMAC: %02x:%02x:%02x:%02x:%02x:%02x\n", oid->Data[0], oid->Data[1],
		       oid->Data[2], oid->Data[3], oid->Data[4], oid->Data[5]);
	if (PacketGetNetType(adapter, &type))
		printf("\tMedium %u, %llu bit/s\n", type.LinkType, type.LinkSpeed);
	PacketCloseAdapter(adapter);
}

int main(int argc, char **argv)
{
	char names[8192], *name, *description;
	ULONG size = sizeof(names);

	printf("Packet.dll %s, driver %s\n", PacketGetVersion(), PacketGetDriverVersion());
	if (!PacketGetAdapterNames(names, &size)) {
		fprintf(stderr, "Unable to retrieve the list of the adapters!\n");
		return 1;
	}
	/* The descriptions begin behind the empty name. */
	for (description = names; *description; description += strlen(description) + 1)
		;
	description++;
	for (name = names; *name; name += strlen(name) + 1) {
		show_adapter(name, description);
		description += strlen(description) + 1;
	}
	return 0;
}
