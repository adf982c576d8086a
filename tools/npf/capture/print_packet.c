/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet printer: time stamps, hexadecimal dumps and the link layer.
 */
#include "print_packet.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "print_layers.h"

#define ETHERNET_HEADER 14
#define MAX_TAGS        8

void npf_print_time(struct npf_line *line, struct npf_print_clock *clock, uint64_t time)
{
	time_t second = (time_t)(time / 1000000000u);
	struct tm local;

	if (!*clock->text || clock->second != time / 1000000000u) {
		clock->second = time / 1000000000u;
		if (!localtime_r(&second, &local) ||
		    !strftime(clock->text, sizeof(clock->text), "%H:%M:%S", &local))
			strcpy(clock->text, "--:--:--");
	}
	npf_line_add(line, "%s.%09" PRIu64 " ", clock->text, time % 1000000000u);
}

void npf_print_hex(FILE *out, const uint8_t *data, uint32_t caplen)
{
	for (uint32_t row = 0; row < caplen; row += 16) {
		uint32_t n = caplen - row < 16 ? caplen - row : 16;

		fprintf(out, "\t0x%04x: ", row);
		for (uint32_t i = 0; i < 16; i++) {
			if (!(i % 2))
				fputc(' ', out);
			if (i < n)
				fprintf(out, "%02x", data[row + i]);
			else
				fputs("  ", out);
		}
		fputs("  ", out);
		for (uint32_t i = 0; i < n; i++)
			fputc(isascii(data[row + i]) && isprint(data[row + i]) ? data[row + i] : '.',
			      out);
		fputc('\n', out);
	}
}

/* ---- link layer ------------------------------------------------------------------------------ */

static const char *ethertype_name(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {
		{ 0x0800, "IPv4" },    { 0x0806, "ARP" },      { 0x8035, "RARP" },
		{ 0x8100, "802.1Q" },  { 0x86dd, "IPv6" },     { 0x8808, "PAUSE" },
		{ 0x8809, "LACP" },    { 0x8847, "MPLS" },     { 0x8848, "MPLS" },
		{ 0x8863, "PPPoE D" }, { 0x8864, "PPPoE S" },  { 0x888e, "EAPOL" },
		{ 0x88a8, "802.1ad" }, { 0x88cc, "LLDP" },     { 0x88e5, "MACsec" },
		{ 0x88f7, "PTP" },     { 0x9000, "Loopback" }, { 0x9100, "QinQ" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].type == type)
			return names[i].name;
	}
	return NULL;
}

static void print_stp(struct npf_line *line, struct npf_rest rest)
{
	static const char *const versions[] = { "802.1d", "?", "802.1w", "802.1s" };

	npf_line_add(line, "STP ");
	if (!npf_rest_holds(line, rest, 4, "stp"))
		return;
	npf_line_add(line, "%s, ", versions[rest.at[2] & 3]);
	if (rest.at[3] == 0x80) {
		npf_line_add(line, "topology change, length %u", rest.length);
		return;
	}
	if (!npf_rest_holds(line, rest, 27, "stp"))
		return;
	npf_line_add(line,
		     "root %04x." NPF_MAC_FORMAT ", cost %u, bridge %04x." NPF_MAC_FORMAT
		     ", port %04x, length %u",
		     npf_get_be16(rest.at + 5), NPF_MAC_ARGS(rest.at + 7),
		     npf_get_be32(rest.at + 13), npf_get_be16(rest.at + 17),
		     NPF_MAC_ARGS(rest.at + 19), npf_get_be16(rest.at + 25), rest.length);
}

static void print_llc(struct npf_line *line, struct npf_rest rest)
{
	if (!npf_rest_holds(line, rest, 3, "llc"))
		return;
	if (rest.at[0] == 0x42 && rest.at[1] == 0x42) {
		print_stp(line, npf_rest_skip(rest, 3));
		return;
	}
	if (rest.at[0] == 0xaa && rest.at[1] == 0xaa && rest.held >= 8) {
		npf_line_add(line, "SNAP, oui 0x%02x%02x%02x, ethertype 0x%04x, length %u",
			     rest.at[3], rest.at[4], rest.at[5], npf_get_be16(rest.at + 6),
			     rest.length);
		return;
	}
	npf_line_add(line, "LLC, dsap 0x%02x, ssap 0x%02x, ctrl 0x%02x, length %u", rest.at[0],
		     rest.at[1], rest.at[2], rest.length);
}

static bool is_tag(uint16_t type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* Tags are peeled off one by one; a packet made of nothing else ends somewhere too. */
static uint16_t peel_tags(struct npf_line *line, uint16_t type, struct npf_rest *rest)
{
	for (int i = 0; is_tag(type) && i < MAX_TAGS && rest->held >= 4; i++) {
		uint16_t tci = npf_get_be16(rest->at);

		npf_line_add(line, "vlan %u, ", tci & 0xfff);
		if (tci >> 13)
			npf_line_add(line, "p %u, ", tci >> 13);
		if (tci & 0x1000)
			npf_line_add(line, "DEI, ");
		type = npf_get_be16(rest->at + 2);
		*rest = npf_rest_skip(*rest, 4);
	}
	return type;
}

void npf_print_ethertype(struct npf_line *line, uint16_t type, struct npf_rest rest)
{
	const char *name;

	type = peel_tags(line, type, &rest);
	name = ethertype_name(type);
	if (type == 0x0800)
		npf_print_ipv4(line, rest);
	else if (type == 0x86dd)
		npf_print_ipv6(line, rest);
	else if (type == 0x0806)
		npf_print_arp(line, rest);
	else if (type <= 1500)
		print_llc(line, npf_rest_trim(rest, type));
	else if (is_tag(type))
		npf_line_add(line, "[|vlan]");
	else if (name)
		npf_line_add(line, "%s, length %u", name, rest.length);
	else
		npf_line_add(line, "ethertype 0x%04x, length %u", type, rest.length);
}

static void print_ethernet(struct npf_line *line, struct npf_rest rest, bool link_header)
{
	const char *name;
	uint16_t type;

	if (!npf_rest_holds(line, rest, ETHERNET_HEADER, "ether"))
		return;
	type = npf_get_be16(rest.at + 12);
	name = ethertype_name(type);
	if (link_header)
		npf_line_add(line, NPF_MAC_FORMAT " > " NPF_MAC_FORMAT ", ",
			     NPF_MAC_ARGS(rest.at + 6), NPF_MAC_ARGS(rest.at));
	if (link_header && type <= 1500)
		npf_line_add(line, "802.3, length %u: ", rest.length);
	else if (link_header)
		npf_line_add(line, "ethertype %s (0x%04x), length %u: ", name ? name : "unknown",
			     type, rest.length);
	npf_print_ethertype(line, type, npf_rest_skip(rest, ETHERNET_HEADER));
}

/* BSD's loopback: the address family in the byte order of whoever captured, or in the network's. */
static void print_null(struct npf_line *line, struct npf_rest rest, bool link_header)
{
	uint32_t family;

	if (!npf_rest_holds(line, rest, 4, "null"))
		return;
	family = npf_get_be32(rest.at);
	if (family > 0xffff)
		family = __builtin_bswap32(family);
	if (link_header)
		npf_line_add(line, "AF %u, length %u: ", family, rest.length);
	npf_print_ip(line, npf_rest_skip(rest, 4));
}

/* Linux "cooked" captures: where the header keeps its EtherType, and how long it is. */
static void print_cooked(struct npf_line *line, struct npf_rest rest, bool link_header,
			 uint32_t type_at, uint32_t header)
{
	if (!npf_rest_holds(line, rest, header, "sll"))
		return;
	if (link_header)
		npf_line_add(line, "cooked, length %u: ", rest.length);
	npf_print_ethertype(line, npf_get_be16(rest.at + type_at), npf_rest_skip(rest, header));
}

static void print_raw(struct npf_line *line, struct npf_rest rest, bool link_header)
{
	if (link_header)
		npf_line_add(line, "raw, length %u: ", rest.length);
	npf_print_ip(line, rest);
}

void npf_print_packet(struct npf_line *line, uint32_t link_type, const uint8_t *data,
		      uint32_t caplen, uint32_t len, bool link_header)
{
	struct npf_rest rest = { data, caplen, len > caplen ? len : caplen };

	switch (link_type) {
	case 1:
		print_ethernet(line, rest, link_header);
		break;
	case 0:
	case 108:
		print_null(line, rest, link_header);
		break;
	case 101:
	case 228:
	case 229:
		print_raw(line, rest, link_header);
		break;
	case 113:
		print_cooked(line, rest, link_header, 14, 16);
		break;
	case 276:
		print_cooked(line, rest, link_header, 0, 20);
		break;
	case 105:
		npf_line_add(line, "802.11, length %u", rest.length);
		break;
	case 127:
		npf_line_add(line, "802.11 radiotap, length %u", rest.length);
		break;
	default:
		npf_line_add(line, "link type %u, length %u", link_type, rest.length);
	}
}
