/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture without a callback: capture ADAPTER COUNT; a key ends it. */
#include <conio.h>
#include <pcap.h>

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *data;
	int left, result;
	pcap_t *handle;

	if (argc < 3) {
		fprintf(stderr, "capture ADAPTER COUNT\n");
		return 2;
	}
	handle = pcap_open(argv[1], 65536, PCAP_OPENFLAG_PROMISCUOUS, 200, NULL, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	printf("listening on %s...\n", argv[1]);
	fflush(stdout);
	left = atoi(argv[2]);
	while (left > 0 && (result = pcap_next_ex(handle, &header, &data)) >= 0) {
		if (_kbhit())
			break;
		if (result == 0)
			continue; /* the timeout */
		printf("%u bytes, first byte %02x\n", header->len, data[0]);
		left--;
	}
	if (left > 0)
		fprintf(stderr, "%s\n", pcap_geterr(handle));
	pcap_close(handle);
	return 0;
}
