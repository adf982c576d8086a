/* SPDX-License-Identifier: BSD-3-Clause */
/* savefile write ADAPTER FILE COUNT stores packets, savefile read FILE shows them. */
#include <pcap.h>

static int write_file(const char *adapter, const char *file, int count)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_open_live(adapter, 65536, 1, 20, errbuf);
	pcap_dumper_t *dumper;

	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	dumper = pcap_dump_open(handle, file);
	if (dumper == NULL) {
		fprintf(stderr, "%s\n", pcap_geterr(handle));
		return 1;
	}
	printf("listening on %s...\n", adapter);
	fflush(stdout);
	pcap_loop(handle, count, pcap_dump, (u_char *)dumper);
	pcap_dump_close(dumper);
	pcap_close(handle);
	return 0;
}

static int read_file(const char *file)
{
	char source[PCAP_BUF_SIZE], errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *data;
	pcap_t *handle;
	int result;

	if (pcap_createsrcstr(source, PCAP_SRC_FILE, NULL, NULL, file, errbuf) ||
	    (handle = pcap_open(source, 65536, 0, 1000, NULL, errbuf)) == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	while ((result = pcap_next_ex(handle, &header, &data)) >= 0)
		printf("%u bytes\n", header->len);
	if (result == -1)
		fprintf(stderr, "%s\n", pcap_geterr(handle));
	pcap_close(handle);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !_stricmp(argv[1], "write"))
		return write_file(argv[2], argv[3], atoi(argv[4]));
	if (argc == 3 && !_stricmp(argv[1], "read"))
		return read_file(argv[2]);
	fprintf(stderr, "savefile write ADAPTER FILE COUNT | read FILE\n");
	return 2;
}
