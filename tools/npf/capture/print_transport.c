/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet printer's transport layer: TCP, UDP, ICMP, ICMPv6, and tunnels.
 */
#include <stdio.h>
#include <string.h>

#include "print_layers.h"

#define TCP_HEADER 20
#define UDP_HEADER 8

enum { ICMP = 1, IPIP = 4, TCP = 6, UDP = 17, IP6IP = 41, ICMP6 = 58 };

struct number_name {
	uint8_t number;
	const char *name;
};

static const char *lookup(const struct number_name *names, size_t n, uint8_t number)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i].number == number)
			return names[i].name;
	}
	return NULL;
}
#define LOOKUP(names, number) lookup(names, sizeof(names) / sizeof((names)[0]), number)

const char *npf_protocol_name(uint8_t protocol)
{
	static const struct number_name names[] = {
		{ ICMP, "ICMP" }, { 2, "IGMP" },   { IPIP, "IPIP" },    { TCP, "TCP" },
		{ UDP, "UDP" },   { 33, "DCCP" },  { IP6IP, "IP6IP" },  { 47, "GRE" },
		{ 50, "ESP" },    { 51, "AH" },    { ICMP6, "ICMP6" },  { 59, "no next header" },
		{ 88, "EIGRP" },  { 89, "OSPF" },  { 103, "PIM" },      { 112, "VRRP" },
		{ 115, "L2TP" },  { 132, "SCTP" }, { 136, "UDP-Lite" },
	};

	return LOOKUP(names, protocol);
}

static void print_ports(struct npf_line *line, const struct npf_ends *ends, const uint8_t *header)
{
	npf_line_add(line, "%s.%u > %s.%u: ", ends->source, npf_get_be16(header), ends->destination,
		     npf_get_be16(header + 2));
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void print_flags(struct npf_line *line, uint8_t bits)
{
	static const char letters[] = "FSRP.UEW"; /* from bit 0; the dot is ACK */

	npf_line_add(line, "TCP [");
	for (int i = 0; i < 8; i++) {
		if (i != 4 && bits & 1 << i)
			npf_line_add(line, "%c", letters[i]);
	}
	npf_line_add(line, "%s]", bits & 0x10 ? "." : bits ? "" : "none");
}

static void print_option(struct npf_line *line, const uint8_t *option, uint32_t size)
{
	if (option[0] == 2 && size == 4)
		npf_line_add(line, "mss %u", npf_get_be16(option + 2));
	else if (option[0] == 3 && size == 3)
		npf_line_add(line, "wscale %u", option[2]);
	else if (option[0] == 4 && size == 2)
		npf_line_add(line, "sackOK");
	else if (option[0] == 5 && size >= 10)
		npf_line_add(line, "sack %u", (size - 2) / 8);
	else if (option[0] == 8 && size == 10)
		npf_line_add(line, "TS %u %u", npf_get_be32(option + 2), npf_get_be32(option + 6));
	else
		npf_line_add(line, "opt-%u", option[0]);
}

static void print_options(struct npf_line *line, struct npf_rest rest)
{
	const char *separator = "";

	npf_line_add(line, ", options [");
	while (rest.held && rest.at[0] != 0) {
		uint32_t size = rest.at[0] == 1 ? 1 : rest.held > 1 ? rest.at[1] : 0;

		if (size > rest.held || (size < 2 && rest.at[0] != 1)) {
			npf_line_add(line, "%s...", separator);
			break;
		}
		if (rest.at[0] != 1) {
			npf_line_add(line, "%s", separator);
			print_option(line, rest.at, size);
			separator = ",";
		}
		rest = npf_rest_skip(rest, size);
	}
	npf_line_add(line, "]");
}

static void print_sequence(struct npf_line *line, const uint8_t *tcp, uint32_t payload)
{
	uint32_t sequence = npf_get_be32(tcp + 4);
	uint8_t bits = tcp[13];

	print_flags(line, bits);
	if (payload)
		npf_line_add(line, ", seq %u:%u", sequence, sequence + payload);
	else if (bits & 0x07)
		npf_line_add(line, ", seq %u", sequence);
	if (bits & 0x10)
		npf_line_add(line, ", ack %u", npf_get_be32(tcp + 8));
	npf_line_add(line, ", win %u", npf_get_be16(tcp + 14));
	if (bits & 0x20)
		npf_line_add(line, ", urg %u", npf_get_be16(tcp + 18));
}

static void print_tcp(struct npf_line *line, const struct npf_ends *ends, struct npf_rest rest)
{
	uint32_t header, payload;

	if (rest.held < 4) {
		npf_print_ends(line, ends);
		npf_rest_holds(line, rest, TCP_HEADER, "tcp");
		return;
	}
	print_ports(line, ends, rest.at);
	if (!npf_rest_holds(line, rest, TCP_HEADER, "tcp"))
		return;
	header = (rest.at[12] >> 4) * 4u;
	if (header < TCP_HEADER || header > rest.length) {
		npf_line_add(line, "TCP [bad header length %u], length %u", header, rest.length);
		return;
	}
	payload = rest.length - header;
	print_sequence(line, rest.at, payload);
	if (header > TCP_HEADER)
		print_options(line,
			      npf_rest_trim(npf_rest_skip(rest, TCP_HEADER), header - TCP_HEADER));
	npf_line_add(line, ", length %u", payload);
}

/* ---- UDP ------------------------------------------------------------------------------------- */

static void print_udp(struct npf_line *line, const struct npf_ends *ends, struct npf_rest rest)
{
	uint32_t length;

	if (rest.held < 4) {
		npf_print_ends(line, ends);
		npf_rest_holds(line, rest, UDP_HEADER, "udp");
		return;
	}
	print_ports(line, ends, rest.at);
	if (!npf_rest_holds(line, rest, UDP_HEADER, "udp"))
		return;
	length = npf_get_be16(rest.at + 4);
	if (length && length < UDP_HEADER)
		npf_line_add(line, "UDP [bad length %u], length %u", length, rest.length);
	else
		npf_line_add(line, "UDP, length %u", (length ? length : rest.length) - UDP_HEADER);
}

/* ---- ICMP ------------------------------------------------------------------------------------ */

static void print_icmp_type(struct npf_line *line, uint8_t type, const char *name)
{
	if (name)
		npf_line_add(line, "%s", name);
	else
		npf_line_add(line, "type %u", type);
}

static void print_icmp(struct npf_line *line, struct npf_rest rest)
{
	static const struct number_name names[] = {
		{ 0, "echo reply" },           { 3, "unreachable" },
		{ 4, "source quench" },        { 5, "redirect" },
		{ 8, "echo request" },         { 9, "router advertisement" },
		{ 10, "router solicitation" }, { 11, "time exceeded" },
		{ 12, "parameter problem" },   { 13, "timestamp request" },
		{ 14, "timestamp reply" },
	};

	npf_line_add(line, "ICMP ");
	if (!npf_rest_holds(line, rest, 8, "icmp"))
		return;
	print_icmp_type(line, rest.at[0], LOOKUP(names, rest.at[0]));
	if (rest.at[0] == 0 || rest.at[0] == 8)
		npf_line_add(line, ", id %u, seq %u", npf_get_be16(rest.at + 4),
			     npf_get_be16(rest.at + 6));
	else if (rest.at[1])
		npf_line_add(line, ", code %u", rest.at[1]);
	npf_line_add(line, ", length %u", rest.length);
}

static void print_neighbour(struct npf_line *line, struct npf_rest rest)
{
	char target[NPF_ADDRESS_TEXT];

	if (rest.held < 24)
		return;
	npf_print_ip_address(target, 6, rest.at + 8);
	npf_line_add(line, rest.at[0] == 135 ? ", who has %s" : ", tgt is %s", target);
}

static void print_icmp6(struct npf_line *line, struct npf_rest rest)
{
	static const struct number_name names[] = {
		{ 1, "unreachable" },
		{ 2, "packet too big" },
		{ 3, "time exceeded" },
		{ 4, "parameter problem" },
		{ 128, "echo request" },
		{ 129, "echo reply" },
		{ 130, "multicast listener query" },
		{ 131, "multicast listener report" },
		{ 132, "multicast listener done" },
		{ 133, "router solicitation" },
		{ 134, "router advertisement" },
		{ 135, "neighbor solicitation" },
		{ 136, "neighbor advertisement" },
		{ 137, "redirect" },
		{ 143, "multicast listener report v2" },
	};

	npf_line_add(line, "ICMP6 ");
	if (!npf_rest_holds(line, rest, 8, "icmp6"))
		return;
	print_icmp_type(line, rest.at[0], LOOKUP(names, rest.at[0]));
	if (rest.at[0] == 128 || rest.at[0] == 129)
		npf_line_add(line, ", id %u, seq %u", npf_get_be16(rest.at + 4),
			     npf_get_be16(rest.at + 6));
	else if (rest.at[0] == 2)
		npf_line_add(line, ", mtu %u", npf_get_be32(rest.at + 4));
	else if (rest.at[0] == 135 || rest.at[0] == 136)
		print_neighbour(line, rest);
	npf_line_add(line, ", length %u", rest.length);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void print_other(struct npf_line *line, uint8_t protocol, uint32_t length)
{
	const char *name = npf_protocol_name(protocol);

	if (name)
		npf_line_add(line, "%s, length %u", name, length);
	else
		npf_line_add(line, "protocol %u, length %u", protocol, length);
}

void npf_print_transport(struct npf_line *line, const struct npf_ends *ends, uint8_t protocol,
			 struct npf_rest rest)
{
	if (protocol == TCP) {
		print_tcp(line, ends, rest);
		return;
	}
	if (protocol == UDP) {
		print_udp(line, ends, rest);
		return;
	}
	npf_print_ends(line, ends);
	if (protocol == ICMP)
		print_icmp(line, rest);
	else if (protocol == ICMP6)
		print_icmp6(line, rest);
	else if ((protocol == IPIP || protocol == IP6IP) && line->nested++ < NPF_MAX_NESTED)
		npf_print_ip(line, rest);
	else
		print_other(line, protocol, rest.length);
}
