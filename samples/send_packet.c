/* SPDX-License-Identifier: BSD-3-Clause */
/* Send one packet: send_packet ADAPTER. */
#include <pcap.h>

#include "frame.h"

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	u_char frame[FRAME_SIZE];
	pcap_t *handle;

	if (argc < 2) {
		fprintf(stderr, "send_packet ADAPTER\n");
		return 2;
	}
	handle = pcap_open(argv[1], 100, 0, 1000, NULL, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	make_frame(frame, 0);
	if (pcap_sendpacket(handle, frame, FRAME_SIZE) != 0) {
		fprintf(stderr, "Error sending the packet: %s\n", pcap_geterr(handle));
		return 1;
	}
	printf("sent %d bytes\n", FRAME_SIZE);
	pcap_close(handle);
	return 0;
}
