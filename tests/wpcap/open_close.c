/* SPDX-License-Identifier: BSD-3-Clause */
/* What trace.sh traces: a capture that is opened and closed, by pcap_open() and by Packet.dll. */
#include <stdio.h>
#include <string.h>

#include <pcap.h>

#include "Packet32.h"

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	LPADAPTER adapter;
	pcap_t *p;

	if (argc > 1 && !strcmp(argv[1], "packet")) {
		adapter = PacketOpenAdapter((PCHAR) "lo");
		PacketCloseAdapter(adapter);
		return adapter ? 0 : 1;
	}
	p = pcap_open("rpcap://lo", 100, PCAP_OPENFLAG_PROMISCUOUS, 20, NULL, errbuf);
	if (!p) {
		puts(errbuf);
		return 1;
	}
	pcap_close(p);
	return 0;
}
