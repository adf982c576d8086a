/* SPDX-License-Identifier: BSD-3-Clause */
/* See filter_text.h. */
#include "filter_text.h"

#include <stdio.h>
#include <string.h>

/* What an expression of pcap-filter(7) may begin with, besides numbers, addresses and names. */
static const char *const words[] = {
	"aarp",      "addr1",     "addr2",     "addr3",   "addr4",  "ah",       "and",
	"arp",       "atalk",     "broadcast", "carp",    "clnp",   "decnet",   "dir",
	"direction", "dst",       "esis",      "esp",     "ether",  "fddi",     "gateway",
	"geneve",    "greater",   "host",      "icmp",    "icmp6",  "iface",    "igmp",
	"igrp",      "inbound",   "ip",        "ip6",     "ipx",    "isis",     "iso",
	"lat",       "len",       "less",      "link",    "llc",    "mopdl",    "moprc",
	"mpls",      "multicast", "net",       "netbeui", "not",    "outbound", "pim",
	"port",      "portrange", "ppp",       "pppoed",  "pppoes", "proto",    "protochain",
	"radio",     "rarp",      "sctp",      "slip",    "src",    "stp",      "subtype",
	"tcp",       "tr",        "type",      "udp",     "vlan",   "vrrp",     "vxlan",
	"wlan",
};

bool npf_filter_begins(const char *text)
{
	size_t n;

	text += strspn(text, " (!");
	n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i]) == n && !memcmp(text, words[i], n))
			return true;
	}
	return false;
}

/* The place of what stands in quotes in why, from 1; 0 not told, or not at one place only. */
static size_t place_of(const char *text, const char *why)
{
	const char *from = strchr(why, '\''), *to = from ? strchr(from + 1, '\'') : NULL, *at;
	char quoted[NPF_ERROR_SIZE];

	if (!to || to == from + 1)
		return 0;
	snprintf(quoted, sizeof(quoted), "%.*s", (int)(to - from - 1), from + 1);
	at = strstr(text, quoted);
	return !at || strstr(at + 1, quoted) ? 0 : (size_t)(at - text) + 1;
}

const char *npf_filter_wrong(const char *text, const char *why, char error[NPF_ERROR_SIZE])
{
	size_t place = place_of(text, why);
	char at[40] = "";

	if (place)
		snprintf(at, sizeof(at), " (at character %zu)", place);
	snprintf(error, NPF_ERROR_SIZE, "filter '%.100s%s': %.100s%s", text,
		 strlen(text) > 100 ? "..." : "", why, at);
	return error;
}
