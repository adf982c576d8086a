/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the layers of the packet printer. Each layer takes what it knows off the front of the
 * bytes and hands the rest on.
 */
#ifndef NPF_PRINT_LAYERS_H
#define NPF_PRINT_LAYERS_H

#include "base/bytes.h"
#include "print_packet.h"

#define NPF_MAX_NESTED 4 /* tunnels within tunnels that are shown */

/* What is left of a packet. */
struct npf_rest {
	const uint8_t *at;
	uint32_t held;   /* bytes there are */
	uint32_t length; /* bytes there were on the wire; at least held */
};

static inline struct npf_rest npf_rest_skip(struct npf_rest rest, uint32_t n)
{
	uint32_t held = n < rest.held ? n : rest.held;

	n = n < rest.length ? n : rest.length;
	return (struct npf_rest){ rest.at + held, rest.held - held, rest.length - n };
}

/* A layer that says how long it is: padding behind it is not looked at. */
static inline struct npf_rest npf_rest_trim(struct npf_rest rest, uint32_t length)
{
	length = length < rest.length ? length : rest.length;
	return (struct npf_rest){ rest.at, rest.held < length ? rest.held : length, length };
}

/* Are n bytes held? Says "[|name]" when the capture cut them off, or that they never were. */
bool npf_rest_holds(struct npf_line *line, struct npf_rest rest, uint32_t n, const char *name);

#define NPF_MAC_FORMAT  "%02x:%02x:%02x:%02x:%02x:%02x"
#define NPF_MAC_ARGS(a) (a)[0], (a)[1], (a)[2], (a)[3], (a)[4], (a)[5]

#define NPF_ADDRESS_TEXT 48
void npf_print_ip_address(char out[NPF_ADDRESS_TEXT], int version, const uint8_t *address);

void npf_print_ethertype(struct npf_line *line, uint16_t type, struct npf_rest rest);
void npf_print_arp(struct npf_line *line, struct npf_rest rest);
void npf_print_ipv4(struct npf_line *line, struct npf_rest rest);
void npf_print_ipv6(struct npf_line *line, struct npf_rest rest);
/* Either, by the version in the first byte. */
void npf_print_ip(struct npf_line *line, struct npf_rest rest);

/* The two ends of a conversation, printed once it is known whether there are ports. */
struct npf_ends {
	char source[NPF_ADDRESS_TEXT];
	char destination[NPF_ADDRESS_TEXT];
};
void npf_print_ends(struct npf_line *line, const struct npf_ends *ends);
/* The payload of IP: protocol's number and bytes. Begins with the ends. */
void npf_print_transport(struct npf_line *line, const struct npf_ends *ends, uint8_t protocol,
			 struct npf_rest rest);
const char *npf_protocol_name(uint8_t protocol); /* NULL unknown */

#endif
