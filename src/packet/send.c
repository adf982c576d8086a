/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending: one packet, and queues. The driver takes as much of a queue as one call may last and
 * tells how much that was; what is left is waited for and sent from here.
 */
#include <string.h>

#include "packet.h"

#define NS_PER_S  1000000000ll
#define NS_PER_US 1000ll

PACKET_EXPORT BOOLEAN PacketSendPacket(LPADAPTER adapter, LPPACKET packet, BOOLEAN Sync)
{
	(void)Sync;
	return packet_result(npf_write(packet_instance(adapter), packet->Buffer, packet->Length));
}

/* ---- queues -------------------------------------------------------------------------------- */

struct queue {
	struct npf_instance *instance;
	const uint8_t *packets;
	size_t size;
	size_t sent;
	uint64_t start; /* ns of npf_send_clock() */
};

/* Time stamp of the packet at an offset that is known to hold a header, ns. */
static int64_t stamp_at(const struct queue *queue, size_t offset)
{
	struct npf_sf_pkthdr header;

	memcpy(&header, queue->packets + offset, sizeof(header));
	return header.tv_sec * NS_PER_S + header.tv_usec * NS_PER_US;
}

/* Until the next packet's place in the schedule of the whole queue. */
static int wait_for_next(const struct queue *queue)
{
	size_t left = queue->size - queue->sent;
	int64_t after;

	if (left < sizeof(struct npf_sf_pkthdr))
		return 0;
	after = stamp_at(queue, queue->sent) - stamp_at(queue, 0);
	return npf_wait_for_rest(queue->instance, queue->packets + queue->sent, left,
				 queue->start + (after > 0 ? (uint64_t)after : 0));
}

PACKET_EXPORT INT PacketSendPackets(LPADAPTER adapter, PVOID packets, ULONG size, BOOLEAN Sync)
{
	struct queue queue = {
		.instance = packet_instance(adapter),
		.packets = packets,
		.size = size,
	};
	uint32_t code = Sync ? NPF_BIOCSENDPACKETSSYNC : NPF_BIOCSENDPACKETSNOSYNC;

	if (size > INT32_MAX) {
		packet_fail(adapter, EMSGSIZE, "a queue has 2 GiB at most; send it in parts");
		return 0;
	}
	if (queue.size) /* nothing goes by any adapter, also by one that cannot send */
		queue.start = npf_send_clock(queue.instance);
	while (queue.sent < queue.size) {
		size_t consumed = 0;

		if (queue.sent && Sync && !packet_result(wait_for_next(&queue)))
			break;
		if (!packet_result(npf_io_control(queue.instance, code, queue.packets + queue.sent,
						  queue.size - queue.sent, NULL, 0, &consumed)))
			break;
		/* Success without progress: the adapter has gone. Not for ever. */
		if (!consumed) {
			packet_fail(adapter, ENODEV, "the adapter takes nothing any more");
			break;
		}
		queue.sent += consumed;
	}
	return (INT)queue.sent;
}
