/* SPDX-License-Identifier: BSD-3-Clause */
/* A bridge between two adapters, one thread each way: bridge ADAPTER ADAPTER; Ctrl-C ends it. */
#include <pcap.h>
#include <windows.h>

static struct way {
	pcap_t *from, *to;
	DWORD packets;
} ways[2];
static CRITICAL_SECTION print;
static HANDLE over;

static BOOL WINAPI on_ctrl(DWORD event)
{
	SetEvent(over);
	return TRUE;
}

static DWORD WINAPI forward(LPVOID param)
{
	struct way *way = param;
	struct pcap_pkthdr *header;
	const u_char *data;
	int result;

	while ((result = pcap_next_ex(way->from, &header, &data)) >= 0) {
		if (result == 0)
			continue;
		if (pcap_sendpacket(way->to, data, header->caplen) != 0) {
			EnterCriticalSection(&print);
			fprintf(stderr, "%s\n", pcap_geterr(way->to));
			LeaveCriticalSection(&print);
			continue;
		}
		way->packets++;
	}
	return 0;
}

static pcap_t *open_adapter(const char *name)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_open(name, 65536,
				   PCAP_OPENFLAG_PROMISCUOUS | PCAP_OPENFLAG_NOCAPTURE_LOCAL |
					   PCAP_OPENFLAG_MAX_RESPONSIVENESS,
				   500, NULL, errbuf);

	if (handle == NULL)
		fprintf(stderr, "%s\n", errbuf);
	return handle;
}

int main(int argc, char **argv)
{
	HANDLE threads[2];
	int i;

	if (argc < 3) {
		fprintf(stderr, "bridge ADAPTER ADAPTER\n");
		return 2;
	}
	over = CreateEvent(NULL, TRUE, FALSE, NULL);
	InitializeCriticalSection(&print);
	SetConsoleCtrlHandler(on_ctrl, TRUE);
	ways[0].from = ways[1].to = open_adapter(argv[1]);
	ways[0].to = ways[1].from = open_adapter(argv[2]);
	if (ways[0].from == NULL || ways[0].to == NULL)
		return 1;
	for (i = 0; i < 2; i++)
		threads[i] = CreateThread(NULL, 0, forward, &ways[i], 0, NULL);
	printf("listening on both...\n");
	fflush(stdout);
	WaitForSingleObject(over, INFINITE);
	for (i = 0; i < 2; i++)
		pcap_breakloop(ways[i].from);
	WaitForMultipleObjects(2, threads, TRUE, INFINITE);
	printf("%u packets there, %u back\n", ways[0].packets, ways[1].packets);
	for (i = 0; i < 2; i++) {
		CloseHandle(threads[i]);
		pcap_close(ways[i].from);
	}
	DeleteCriticalSection(&print);
	return 0;
}
