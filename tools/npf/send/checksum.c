/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums of IP and of what it carries (RFC 1071, 768, 793, 792, 4443).
 */
#include "checksum.h"

#include "base/bytes.h"

#define LINK_ETHERNET 1u
#define LINK_RAW      101u

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86DDu
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88A8u

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u

enum { HOP_BY_HOP = 0, ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, DESTINATION_OPTIONS = 60 };

static uint32_t add_bytes(uint32_t sum, const uint8_t *at, size_t size)
{
	for (; size > 1; at += 2, size -= 2)
		sum += npf_get_be16(at);
	return size ? sum + ((uint32_t)*at << 8) : sum;
}

/* At most 64 KiB are added up: 32 bits hold the sum. */
static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

/* sum: of the pseudo header, 0 where there is none. */
static void fix_at(uint8_t *field, uint32_t sum, const uint8_t *at, size_t size)
{
	npf_put_be16(field, 0);
	npf_put_be16(field, fold(add_bytes(sum, at, size)));
}

static bool fix_udp(uint32_t addresses, uint8_t *at, size_t size)
{
	size_t length = size < 8 ? 0 : npf_get_be16(at + 4);

	if (length < 8 || length > size)
		return false;
	fix_at(at + 6, addresses + UDP + (uint32_t)length, at, length);
	if (!npf_get_be16(at + 6))
		npf_put_be16(at + 6, 0xFFFF); /* zero would mean: none */
	return true;
}

/* addresses: the sum of both. */
static bool fix_transport(uint32_t addresses, unsigned int protocol, uint8_t *at, size_t size)
{
	uint32_t pseudo = addresses + protocol + (uint32_t)size;

	switch (protocol) {
	case TCP:
		if (size < 20)
			return false;
		fix_at(at + 16, pseudo, at, size);
		return true;
	case UDP:
		return fix_udp(addresses, at, size);
	case ICMP:
	case ICMPV6:
		if (size < 4)
			return false;
		fix_at(at + 2, protocol == ICMP ? 0 : pseudo, at, size);
		return true;
	default:
		return false;
	}
}

static bool fix_ipv4(uint8_t *at, size_t size)
{
	size_t header = (at[0] & 15u) * 4u, length;

	if (size < IPV4_HEADER || header < IPV4_HEADER || header > size)
		return false;
	fix_at(at + 10, 0, at, header);
	length = npf_get_be16(at + 2);
	if (length < header || length > size || npf_get_be16(at + 6) & 0x3FFF)
		return false;
	return fix_transport(add_bytes(0, at + 12, 8), at[9], at + header, length - header);
}

static bool fix_ipv6(uint8_t *at, size_t size)
{
	uint32_t addresses;
	unsigned int protocol;
	size_t left;

	if (size < IPV6_HEADER || npf_get_be16(at + 4) > size - IPV6_HEADER)
		return false;
	addresses = add_bytes(0, at + 8, 32);
	protocol = at[6];
	left = npf_get_be16(at + 4);
	at += IPV6_HEADER;
	while (protocol == HOP_BY_HOP || protocol == DESTINATION_OPTIONS) {
		size_t option = left < 8 ? 8 : (at[1] + 1u) * 8u;

		if (option > left)
			return false;
		protocol = at[0];
		at += option;
		left -= option;
	}
	return fix_transport(addresses, protocol, at, left);
}

/* Where the network layer begins; size when there is none. */
static size_t network_layer(uint32_t link_type, const uint8_t *frame, size_t size)
{
	size_t at = 12;

	if (link_type == LINK_RAW)
		return 0;
	if (link_type != LINK_ETHERNET)
		return size;
	while (at + 2 <= size) {
		unsigned int type = npf_get_be16(frame + at);

		if (type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6)
			return at + 2;
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ)
			break;
		at += 4;
	}
	return size;
}

bool npf_checksum_fix(uint32_t link_type, uint8_t *frame, size_t size)
{
	size_t at = network_layer(link_type, frame, size);

	if (at >= size)
		return false;
	switch (frame[at] >> 4) {
	case 4:
		return fix_ipv4(frame + at, size - at);
	case 6:
		return fix_ipv6(frame + at, size - at);
	default:
		return false;
	}
}
