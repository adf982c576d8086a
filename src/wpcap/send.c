/* SPDX-License-Identifier: BSD-3-Clause */
/* Send queues: packets laid out as the driver takes them, sent with one call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wpcap/wpcap.h"

#define NAP_NS 100000L
#define NAPS   50000 /* most: five seconds */

WPCAP_EXPORT pcap_send_queue *pcap_sendqueue_alloc(u_int bytes)
{
	pcap_send_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->buffer = malloc(bytes ? bytes : 1);
	if (!queue->buffer) {
		free(queue);
		return NULL;
	}
	queue->maxlen = bytes;
	return queue;
}

WPCAP_EXPORT void pcap_sendqueue_destroy(pcap_send_queue *queue)
{
	if (!queue)
		return;
	free(queue->buffer);
	free(queue);
}

/* In 64 bits: the original's sum could wrap. */
WPCAP_EXPORT int pcap_sendqueue_queue(pcap_send_queue *queue, const struct pcap_pkthdr *header,
				      const u_char *data)
{
	struct dump_bpf_hdr head = {
		.ts = { (LONG)header->ts.tv_sec, (LONG)header->ts.tv_usec },
		.caplen = header->caplen,
		.len = header->len,
	};
	char *to = queue->buffer + queue->len;

	if ((uint64_t)queue->len + sizeof(head) + header->caplen > queue->maxlen)
		return -1;
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), data, header->caplen);
	queue->len += (u_int)sizeof(head) + header->caplen;
	return 0;
}

/* Who saw a queue being sent may not have stopped it yet. A handler of this thread has; another thread
 * is let run. Not for ever: one that is stopped amid its call never ends it. */
static void let_break(const pcap_t *p)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };

	for (int i = 0; i < NAPS && wpcap_counted(&p->breaking); i++)
		nanosleep(&nap, NULL);
}

/* pcap_breakloop() may have come when all had gone: the next send shall not end for it. */
static void end_transmit(pcap_t *p, uint32_t process)
{
	if (wpcap_count_out(&p->transmitting, process))
		return;
	let_break(p);
	(void)npf_wait_for_rest(p->instance, NULL, 0, 0);
}

WPCAP_EXPORT u_int pcap_sendqueue_transmit(pcap_t *p, pcap_send_queue *queue, int sync)
{
	uint32_t process;
	INT sent;

	if (!wpcap_is_live(p)) {
		wpcap_fail(p, 0, "pcap_sendqueue_transmit works on live captures only");
		return 0;
	}

	WPCAP_IN_DRIVER(p);

	wpcap_count_in(&p->transmitting, &process);
	sent = PacketSendPackets(p->adapter, queue->buffer, queue->len, (BOOLEAN) !!sync);
	if ((u_int)sent < queue->len)
		wpcap_fail_adapter(p, 0, "sending the queue failed");
	end_transmit(p, process);
	return (u_int)sent;
}
