/* SPDX-License-Identifier: BSD-3-Clause */
/* List the devices with their addresses. */
#include <pcap.h>
#include <tchar.h>
#include <ws2tcpip.h>

#pragma comment(lib, "wpcap.lib")
#pragma comment(lib, "ws2_32.lib")

static void show_address(const char *what, const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN];

	if (!address)
		return;
	if (address->sa_family == AF_INET)
		InetNtop(AF_INET, &((SOCKADDR_IN *)address)->sin_addr, text, sizeof(text));
	else if (address->sa_family == AF_INET6)
		InetNtop(AF_INET6, &((SOCKADDR_IN6 *)address)->sin6_addr, text, sizeof(text));
	else
		return;
	printf("\t%s: %s\n", what, text);
}

int _tmain(int argc, _TCHAR *argv[])
{
	char source[] = PCAP_SRC_IF_STRING, errbuf[PCAP_ERRBUF_SIZE];
	pcap_if_t *devices, *device;
	pcap_addr_t *address;
	WSADATA wsa;

	if (WSAStartup(MAKEWORD(2, 2), &wsa) != 0)
		return 1;
	if (pcap_findalldevs_ex(source, NULL, &devices, errbuf) == -1) {
		fprintf(stderr, "pcap_findalldevs_ex: %s\n", errbuf);
		return 1;
	}
	for (device = devices; device; device = device->next) {
		printf("%s\n", device->name);
		if (device->description)
			printf("\tDescription: %s\n", device->description);
		printf("\tLoopback: %s\n", device->flags & PCAP_IF_LOOPBACK ? "yes" : "no");
		for (address = device->addresses; address; address = address->next) {
			show_address("Address", address->addr);
			show_address("Netmask", address->netmask);
		}
	}
	pcap_freealldevs(devices);
	WSACleanup();
	return 0;
}
