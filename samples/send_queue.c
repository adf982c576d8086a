/* SPDX-License-Identifier: BSD-3-Clause */
/* Send a queue of packets: send_queue ADAPTER COUNT [sync]; with sync a millisecond apart. */
#include <pcap.h>
#include <windows.h>

#include "frame.h"

int main(int argc, char **argv)
{
	LARGE_INTEGER before, after, frequency;
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr header;
	u_char frame[FRAME_SIZE];
	pcap_send_queue *queue;
	pcap_t *handle;
	int i, count;
	u_int sent;

	if (argc < 3) {
		fprintf(stderr, "send_queue ADAPTER COUNT [sync]\n");
		return 2;
	}
	handle = pcap_open(argv[1], 100, 0, 1000, NULL, errbuf);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", errbuf);
		return 1;
	}
	count = atoi(argv[2]);
	queue = pcap_sendqueue_alloc(count * (16 + FRAME_SIZE));
	memset(&header, 0, sizeof(header));
	header.caplen = header.len = FRAME_SIZE;
	for (i = 0; i < count; i++) {
		make_frame(frame, i);
		header.ts.tv_sec = i / 1000;
		header.ts.tv_usec = i % 1000 * 1000;
		if (pcap_sendqueue_queue(queue, &header, frame) == -1) {
			fprintf(stderr, "the queue is full\n");
			return 1;
		}
	}
	QueryPerformanceFrequency(&frequency);
	QueryPerformanceCounter(&before);
	sent = pcap_sendqueue_transmit(handle, queue, argc > 3);
	QueryPerformanceCounter(&after);
	if (sent < queue->len) {
		fprintf(stderr, "Error sending the queue: %s\n", pcap_geterr(handle));
		return 1;
	}
	printf("sent %u bytes of %d packets in %lld us\n", sent, count,
	       (after.QuadPart - before.QuadPart) * 1000000 / frequency.QuadPart);
	pcap_sendqueue_destroy(queue);
	pcap_close(handle);
	return 0;
}
