/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filtering what was read, when the driver could not be given the filter. A program for a live Linux
 * interface looks for a VLAN tag beside the packet; here it is in it again, and is taken out.
 */
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "wpcap/wpcap.h"

#define ROOM (1u << 18) /* the longest packet */

static uint32_t half(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* Who it was for. */
static uint32_t type_of(const pcap_t *p, const struct npf_packet *packet)
{
	static const uint8_t everybody[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };

	if (packet->flags & NPF_PACKET_OUTGOING)
		return NPF_FROM_HOST;
	if (p->link_type == DLT_RAW || packet->caplen < sizeof(everybody))
		return NPF_TO_HOST;
	if (!memcmp(packet->data, everybody, sizeof(everybody)))
		return NPF_TO_BROADCAST;
	return packet->data[0] & 1 ? NPF_TO_MULTICAST : NPF_TO_HOST;
}

/* The packet without its tag. */
static const uint8_t *take_tag(pcap_t *p, struct npf_frame *frame, const uint8_t *data)
{
	uint32_t behind = NPF_TAG_OFFSET + NPF_TAG_SIZE;

	if (!p->untagged)
		p->untagged = malloc(ROOM);
	if (!p->untagged || frame->length > ROOM)
		return data;
	frame->tagged = 1;
	frame->tag_tpid = (uint16_t)half(data + NPF_TAG_OFFSET);
	frame->tag_tci = (uint16_t)half(data + NPF_TAG_OFFSET + 2);
	memcpy(p->untagged, data, NPF_TAG_OFFSET);
	memcpy(p->untagged + NPF_TAG_OFFSET, data + behind, frame->length - behind);
	frame->length -= NPF_TAG_SIZE;
	return p->untagged;
}

/* One that was sent with its tag among its bytes is no different for the kernel's filters, either. */
static bool is_tagged(const struct npf_packet *packet)
{
	return packet->flags & NPF_PACKET_TAGGED &&
	       packet->caplen >= NPF_TAG_OFFSET + NPF_TAG_SIZE + 2;
}

static struct npf_program program_of(const struct bpf_program *filter)
{
	return (struct npf_program){
		.length = filter->bf_len,
		.dialect = NPF_DIALECT_LINUX,
		.insns = (const struct npf_insn *)(const void *)filter->bf_insns,
	};
}

static bool looks_beside_the_packet(const struct bpf_program *filter)
{
	for (u_int i = 0; i < filter->bf_len; i++) {
		const struct bpf_insn *insn = &filter->bf_insns[i];

		if (BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS &&
		    insn->k >= NPF_AD_OFFSET)
			return true;
	}
	return false;
}

bool wpcap_is_libpcaps(const struct bpf_program *filter)
{
	struct npf_program program = program_of(filter);

	return npf_filter_validate(&program, NULL, 0) != 0;
}

/* libpcap's bpf_filter() finds nothing beside a packet. */
bool wpcap_can_filter_here(const struct bpf_program *filter)
{
	return !wpcap_is_libpcaps(filter) || !looks_beside_the_packet(filter);
}

static uint32_t run(pcap_t *p, const struct npf_packet *packet)
{
	struct npf_program program = program_of(&p->filter);
	struct npf_frame frame = {
		.length = packet->caplen,
		.wire_length = packet->len,
		.packet_type = type_of(p, packet),
		.ifindex = p->ifindex,
		.hatype = p->hatype,
	};
	const uint8_t *data = packet->data;

	if (p->libpcaps)
		return REAL(bpf_filter)(p->filter.bf_insns, data, packet->len, packet->caplen);
	if (is_tagged(packet))
		data = take_tag(p, &frame, data);
	if (p->link_type != DLT_RAW && frame.length >= NPF_TAG_OFFSET + 2)
		frame.protocol = half(data + NPF_TAG_OFFSET);
	return npf_filter_run(&program, &frame, data);
}

uint32_t wpcap_filter_here(pcap_t *p, const struct npf_packet *packet)
{
	bool out = packet->flags & NPF_PACKET_OUTGOING;

	if ((p->direction == PCAP_D_IN && out) || (p->direction == PCAP_D_OUT && !out))
		return 0;
	return p->filter.bf_len ? run(p, packet) : NPF_ACCEPT_ALL;
}
