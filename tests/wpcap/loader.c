/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loader NAME: loads a library while it runs, as Scapy does libpcap, and captures with it a packet that
 * it sends itself on lo. With "" it uses what it is linked with.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void *library;

static void *find(const char *name)
{
	void *found = dlsym(library, name);

	if (found)
		return found;
	printf("loaded, without %s\n", name);
	exit(0);
}

#define FIND(name) __typeof__(name) *my_##name = __extension__(__typeof__(name) *) find(#name)

static void send_datagram(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to));
}

static void capture(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	struct bpf_program program;
	const u_char *data;
	FIND(pcap_open_live);
	FIND(pcap_compile);
	FIND(pcap_setfilter);
	FIND(pcap_next_ex);
	FIND(pcap_close);
	pcap_t *p = my_pcap_open_live("lo", 100, 0, 10, errbuf);

	if (!p || my_pcap_compile(p, &program, "udp port 9", 1, 0) || my_pcap_setfilter(p, &program))
		exit(1);
	send_datagram();
	while (my_pcap_next_ex(p, &header, &data) != 1)
		;
	printf("%u of %u bytes\n", header->caplen, header->len);
	my_pcap_close(p);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	library = dlopen(name[0] ? name : NULL, RTLD_NOW);
	if (!library) {
		puts(dlerror());
		return 1;
	}
	FIND(pcap_lib_version);
	puts(my_pcap_lib_version());
	capture();
	return 0;
}
