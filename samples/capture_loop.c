/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture with a callback: capture_loop ADAPTER [COUNT]; Ctrl-C ends it. */
#include <conio.h>
#include <pcap.h>
#include <time.h>
#include <windows.h>

static pcap_t *handle;

static BOOL WINAPI on_ctrl(DWORD event)
{
	pcap_breakloop(handle);
	return TRUE;
}

static void on_packet(u_char *param, const struct pcap_pkthdr *header, const u_char *data)
{
	time_t seconds = header->ts.tv_sec;
	struct tm parts;
	char text[16];

	(void)param;
	(void)data;
	localtime_s(&parts, &seconds);
	strftime(text, sizeof(text), "%H:%M:%S", &parts);
	printf("%s,%.6ld len:%u\n", text, (long)header->ts.tv_usec, header->len);
}

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];

	if (argc < 2) {
		fprintf(stderr, "capture_loop ADAPTER [COUNT]\n");
		return 2;
	}
	handle = pcap_open_live(argv[1], 65536, 1, 1000, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	SetConsoleCtrlHandler(on_ctrl, TRUE);
	printf("listening on %s...\n", argv[1]);
	fflush(stdout);
	pcap_loop(handle, argc > 2 ? atoi(argv[2]) : 0, on_packet, NULL);
	pcap_close(handle);
	return 0;
}
