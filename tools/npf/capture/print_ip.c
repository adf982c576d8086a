/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet printer's network layer: ARP, IPv4, IPv6 with its extension headers.
 */
#include <string.h>

#include "print_layers.h"
#include "ui/terminal.h"

#define IPV4_HEADER     20
#define IPV6_HEADER     40
#define FRAGMENT_HEADER 8
#define MAX_EXTENSIONS  16

/* Protocol numbers that are headers of IPv6 itself. */
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, DESTINATION = 60 };

/* ---- ARP ------------------------------------------------------------------------------------- */

static void print_arp_ipv4(struct npf_line *line, struct npf_rest rest, uint16_t operation)
{
	char sender[NPF_ADDRESS_TEXT], target[NPF_ADDRESS_TEXT];

	npf_print_ip_address(sender, 4, rest.at + 14);
	npf_print_ip_address(target, 4, rest.at + 24);
	if (operation == 1 && !memcmp(rest.at + 14, rest.at + 24, 4))
		npf_line_add(line, "announcement %s", sender);
	else if (operation == 1)
		npf_line_add(line, "who-has %s tell %s", target, sender);
	else
		npf_line_add(line, "reply %s is-at " NPF_MAC_FORMAT, sender,
			     NPF_MAC_ARGS(rest.at + 8));
	npf_line_add(line, ", length %u", rest.length);
}

void npf_print_arp(struct npf_line *line, struct npf_rest rest)
{
	uint16_t operation;

	npf_line_add(line, "ARP, ");
	if (!npf_rest_holds(line, rest, 8, "arp"))
		return;
	operation = npf_get_be16(rest.at + 6);
	if (npf_get_be16(rest.at + 2) != 0x0800 || rest.at[4] != 6 || rest.at[5] != 4 ||
	    operation < 1 || operation > 2) {
		npf_line_add(line, "hardware %u, protocol 0x%04x, operation %u, length %u",
			     npf_get_be16(rest.at), npf_get_be16(rest.at + 2), operation,
			     rest.length);
		return;
	}
	if (npf_rest_holds(line, rest, 28, "arp"))
		print_arp_ipv4(line, rest, operation);
}

/* ---- IPv4 ------------------------------------------------------------------------------------ */

static void print_fragment(struct npf_line *line, const struct npf_ends *ends, uint8_t protocol,
			   uint32_t offset, bool more, uint32_t length)
{
	const char *name = npf_protocol_name(protocol);

	npf_print_ends(line, ends);
	npf_line_add(line, "frag %u%s, ", offset, more ? "+" : "");
	if (name)
		npf_line_add(line, "%s, length %u", name, length);
	else
		npf_line_add(line, "protocol %u, length %u", protocol, length);
}

/* The length in the header; 0 is a super-packet that was too long for the field. */
static struct npf_rest trim_ip(struct npf_line *line, struct npf_rest rest, uint32_t length)
{
	if (length > rest.length)
		npf_line_add(line, "[%u byte%s missing] ", length - rest.length,
			     npf_plural(length - rest.length));
	return length ? npf_rest_trim(rest, length) : rest;
}

void npf_print_ipv4(struct npf_line *line, struct npf_rest rest)
{
	struct npf_ends ends;
	uint16_t fragment;
	uint32_t header;
	uint8_t protocol;

	npf_line_add(line, "IP ");
	if (!npf_rest_holds(line, rest, IPV4_HEADER, "ip"))
		return;
	header = (rest.at[0] & 15u) * 4;
	if (rest.at[0] >> 4 != 4 || header < IPV4_HEADER) {
		npf_line_add(line, "[bad header 0x%02x], length %u", rest.at[0], rest.length);
		return;
	}
	rest = trim_ip(line, rest, npf_get_be16(rest.at + 2));
	if (!npf_rest_holds(line, rest, header, "ip"))
		return;
	npf_print_ip_address(ends.source, 4, rest.at + 12);
	npf_print_ip_address(ends.destination, 4, rest.at + 16);
	fragment = npf_get_be16(rest.at + 6);
	protocol = rest.at[9];
	rest = npf_rest_skip(rest, header);
	if (fragment & 0x3fff)
		print_fragment(line, &ends, protocol, (fragment & 0x1fffu) * 8, fragment & 0x2000,
			       rest.length);
	else
		npf_print_transport(line, &ends, protocol, rest);
}

/* ---- IPv6 ------------------------------------------------------------------------------------ */

static const char *extension_name(uint8_t protocol)
{
	switch (protocol) {
	case HOP_BY_HOP:
		return "HBH";
	case ROUTING:
		return "RT6";
	case FRAGMENT:
		return "frag";
	case AUTHENTICATION:
		return "AH";
	case DESTINATION:
		return "DSTOPT";
	default:
		return NULL;
	}
}

static uint32_t extension_size(uint8_t protocol, const uint8_t *header)
{
	if (protocol == FRAGMENT)
		return FRAGMENT_HEADER;
	return protocol == AUTHENTICATION ? (header[1] + 2u) * 4 : (header[1] + 1u) * 8;
}

/* A fragment's offset field, or 0 when the packet is whole after all. */
static uint16_t fragment_field(uint8_t protocol, const uint8_t *header)
{
	return protocol == FRAGMENT ? npf_get_be16(header + 2) & 0xfff9 : 0;
}

static void print_payload6(struct npf_line *line, const struct npf_ends *ends, uint8_t protocol,
			   struct npf_rest rest)
{
	const char *name = extension_name(protocol);

	for (int i = 0; name && i < MAX_EXTENSIONS; i++, name = extension_name(protocol)) {
		const uint8_t *header = rest.at;
		uint16_t fragment;

		if (!npf_rest_holds(line, rest, 8, "ip6-ext"))
			return;
		fragment = fragment_field(protocol, header);
		rest = npf_rest_skip(rest, extension_size(protocol, header));
		if (fragment) {
			print_fragment(line, ends, header[0], fragment & 0xfff8, fragment & 1,
				       rest.length);
			return;
		}
		npf_line_add(line, "%s ", name);
		protocol = header[0];
	}
	npf_print_transport(line, ends, protocol, rest);
}

void npf_print_ipv6(struct npf_line *line, struct npf_rest rest)
{
	struct npf_ends ends;
	uint32_t payload;
	uint8_t protocol;

	npf_line_add(line, "IP6 ");
	if (!npf_rest_holds(line, rest, IPV6_HEADER, "ip6"))
		return;
	if (rest.at[0] >> 4 != 6) {
		npf_line_add(line, "[bad header 0x%02x], length %u", rest.at[0], rest.length);
		return;
	}
	npf_print_ip_address(ends.source, 6, rest.at + 8);
	npf_print_ip_address(ends.destination, 6, rest.at + 24);
	payload = npf_get_be16(rest.at + 4);
	protocol = rest.at[6];
	rest = trim_ip(line, npf_rest_skip(rest, IPV6_HEADER), payload);
	print_payload6(line, &ends, protocol, rest);
}

void npf_print_ip(struct npf_line *line, struct npf_rest rest)
{
	if (!npf_rest_holds(line, rest, 1, "ip"))
		return;
	if (rest.at[0] >> 4 == 4)
		npf_print_ipv4(line, rest);
	else if (rest.at[0] >> 4 == 6)
		npf_print_ipv6(line, rest);
	else
		npf_line_add(line, "not IP (0x%02x), length %u", rest.at[0], rest.length);
}
