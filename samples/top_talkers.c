/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top_talkers ADAPTER PACKETS: who sent how much; then two reports of the traffic as the driver
 * counts it.
 */
#include <pcap.h>

#define HOSTS 1024

static struct host {
	struct in_addr address;
	DWORD packets;
	ULONGLONG bytes;
} hosts[HOSTS];
static int used;

static void on_packet(u_char *param, const struct pcap_pkthdr *header, const u_char *data)
{
	struct in_addr address;
	int i;

	memcpy(&address, data + 26, sizeof(address));
	for (i = 0; i < used && hosts[i].address.S_un.S_addr != address.S_un.S_addr; i++)
		;
	if (i == HOSTS)
		return;
	if (i == used)
		hosts[used++].address = address;
	hosts[i].packets++;
	hosts[i].bytes += header->len;
}

static int more(const void *a, const void *b)
{
	const struct host *left = a, *right = b;

	return left->bytes < right->bytes ? 1 : left->bytes > right->bytes ? -1 : 0;
}

static void on_report(u_char *param, const struct pcap_pkthdr *header, const u_char *data)
{
	LONGLONG packets, bytes;

	memcpy(&packets, data, sizeof(packets));
	memcpy(&bytes, data + 8, sizeof(bytes));
	printf("report: %lld packets, %lld bytes\n", packets, bytes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct bpf_program program;
	struct pcap_stat *stats;
	pcap_t *handle;
	int i, size;

	if (argc < 3) {
		fprintf(stderr, "top_talkers ADAPTER PACKETS\n");
		return 2;
	}
	handle = pcap_open(argv[1], 65536, PCAP_OPENFLAG_PROMISCUOUS, 100, NULL, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	if (pcap_compile(handle, &program, "ip", 1, 0) < 0 || pcap_setfilter(handle, &program) < 0) {
		fprintf(stderr, "%s\n", pcap_geterr(handle));
		return 1;
	}
	printf("listening on %s...\n", argv[1]);
	fflush(stdout);
	pcap_loop(handle, atoi(argv[2]), on_packet, NULL);
	qsort(hosts, used, sizeof(hosts[0]), more);
	for (i = 0; i < used && i < 10; i++)
		printf("%-15s %6u packets %8llu bytes\n", inet_ntoa(hosts[i].address),
		       hosts[i].packets, hosts[i].bytes);
	stats = pcap_stats_ex(handle, &size);
	if (stats != NULL && size >= (int)sizeof(*stats))
		printf("captured %u, dropped %u\n", stats->ps_capt, stats->ps_drop);
	if (pcap_setmode(handle, MODE_STAT) < 0) {
		fprintf(stderr, "%s\n", pcap_geterr(handle));
		return 1;
	}
	pcap_loop(handle, 2, on_report, NULL);
	pcap_close(handle);
	return 0;
}
