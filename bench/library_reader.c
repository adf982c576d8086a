/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that takes packets by one of libpcap's ways and does nothing with them: what is left is
 * the cost of the way. It says at its end what tcpdump does.
 */
#include <err.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <string.h>

#include "library.h"

#define SNAPLEN    262144
#define TIMEOUT_MS 1000
#define BUFFER     (16 << 20)

static pcap_t *capture;
static unsigned long long taken;

static void on_signal(int number)
{
	(void)number;
	pcap_breakloop(capture);
}

static void take(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)user;
	taken += header->caplen && data[0] != 0xFE;
}

static int by_next_ex(void)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int result;

	while ((result = pcap_next_ex(capture, &header, &data)) >= 0) {
		if (result)
			take(NULL, header, data);
	}
	return result;
}

static int by_dispatch(int count)
{
	int result;

	while ((result = pcap_dispatch(capture, count, take, NULL)) >= 0)
		;
	return result;
}

static int by_way(const char *way)
{
	if (!strcmp(way, "next"))
		return by_next_ex();
	if (!strcmp(way, "one"))
		return by_dispatch(1);
	if (!strcmp(way, "dispatch"))
		return by_dispatch(-1);
	return pcap_loop(capture, -1, take, NULL);
}

int library_reader(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_stat stats = { 0 };

	if (argc != 4)
		errx(2, "pcap-reader loop|dispatch|one|next ADAPTER");
	capture = pcap_create(argv[3], errbuf);
	if (!capture)
		errx(1, "%s", errbuf);
	pcap_set_snaplen(capture, SNAPLEN);
	pcap_set_promisc(capture, 1);
	pcap_set_timeout(capture, TIMEOUT_MS);
	pcap_set_buffer_size(capture, BUFFER);
	signal(SIGINT, on_signal);
	if (pcap_activate(capture) < 0 || by_way(argv[2]) == PCAP_ERROR)
		errx(1, "%s", pcap_geterr(capture));
	pcap_stats(capture, &stats);
	printf("%llu packets captured\n%u packets dropped\n", taken, stats.ps_drop);
	pcap_close(capture);
	return 0;
}
