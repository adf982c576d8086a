/* SPDX-License-Identifier: BSD-3-Clause */
/* Let the driver write the file: kernel_dump ADAPTER FILE PACKETS. */
#include <pcap.h>

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *handle;

	if (argc < 4) {
		fprintf(stderr, "kernel_dump ADAPTER FILE PACKETS\n");
		return 2;
	}
	handle = pcap_open(argv[1], 65536, PCAP_OPENFLAG_PROMISCUOUS, 1000, NULL, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	if (pcap_live_dump(handle, argv[2], 0, atoi(argv[3])) == -1) {
		fprintf(stderr, "Unable to start the dump, %s\n", pcap_geterr(handle));
		return 1;
	}
	printf("listening on %s...\n", argv[1]);
	fflush(stdout);
	pcap_live_dump_ended(handle, TRUE);
	pcap_close(handle);
	printf("done\n");
	return 0;
}
