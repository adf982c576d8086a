/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of the adapter's own net only: subnet ADAPTER COUNT. */
#include <pcap.h>

static void on_packet(u_char *param, const struct pcap_pkthdr *header, const u_char *data)
{
	printf("%d.%d.%d.%d -> %d.%d.%d.%d\n", data[26], data[27], data[28], data[29], data[30],
	       data[31], data[32], data[33]);
}

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE], expression[64];
	int used;
	struct bpf_program program;
	bpf_u_int32 net, mask;
	struct in_addr address;
	pcap_t *handle;

	if (argc < 3) {
		fprintf(stderr, "subnet ADAPTER COUNT\n");
		return 2;
	}
	if (pcap_lookupnet(argv[1], &net, &mask, errbuf) < 0) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	address.S_un.S_addr = net;
	used = _snprintf(expression, sizeof(expression), "ip and net %s mask ", inet_ntoa(address));
	address.S_un.S_addr = mask;
	_snprintf(expression + used, sizeof(expression) - used, "%s", inet_ntoa(address));
	handle = pcap_open_live(argv[1], 100, 1, 20, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	if (pcap_compile(handle, &program, expression, 1, mask) < 0 ||
	    pcap_setfilter(handle, &program) < 0) {
		fprintf(stderr, "%s\n", pcap_geterr(handle));
		return 1;
	}
	pcap_freecode(&program);
	printf("listening for %s...\n", expression);
	fflush(stdout);
	pcap_loop(handle, atoi(argv[2]), on_packet, NULL);
	pcap_close(handle);
	return 0;
}
