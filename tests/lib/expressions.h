/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter expressions for comparing engines: written out ones, and all pairs of some short ones
 * joined by "and", "or" and "and not".
 */
#ifndef EXPRESSIONS_H
#define EXPRESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

static const char *const written_expressions[] = {
	"ip",
	"ip6",
	"arp",
	"rarp",
	"tcp",
	"udp",
	"icmp",
	"icmp6",
	"sctp",
	"igmp",
	"esp",
	"ip proto 47",
	"ip6 proto 58",
	"ip protochain 6",
	"ip6 protochain 17",
	"ether proto 0x88cc",
	"ether multicast",
	"ether broadcast",
	"ip multicast",
	"ip broadcast",
	"ip6 multicast",
	"ether host 00:11:22:33:44:55",
	"ether src 02:00:00:00:00:01",
	"ether dst ff:ff:ff:ff:ff:ff",
	"ether[0] & 1 != 0",
	"host 10.0.0.1",
	"src host 10.0.0.1",
	"dst host 192.168.1.7",
	"src or dst host 10.0.0.2",
	"src and dst host 10.0.0.2",
	"host 10.0.0.1 and host 10.0.0.2",
	"host 10.0.0.1 and not host 10.0.0.2",
	"host ::1",
	"host fe80::1",
	"src host 2001:db8::1 or dst host 2001:db8::2",
	"net 10.0.0.0/8",
	"src net 192.168.0.0/16",
	"dst net 172.16.0.0/12",
	"net 141.142.0.0/16",
	"net 10.1.0.0/16 or net 10.3.0.0/16 or net 192.168.2.0/24",
	"src net 10.0.0.0/8 or src net 172.16.0.0/12 or src net 192.168.0.0/16",
	"ip6 net 2001:db8::/32",
	"net 2001:db8:1::/48 or net fe80::/10",
	"port 80",
	"src port 53",
	"dst port 443",
	"tcp port 80",
	"udp port 53",
	"sctp port 38412",
	"tcp src port 80",
	"tcp dst port 22",
	"port 80 or port 443 or port 8080",
	"tcp port 21 or tcp port 22 or tcp port 23 or tcp port 25",
	"tcp and (port 20 or 21 or 22 or 23 or 25 or 53 or 80 or 110 or 143 or 443 or 993)",
	"udp and (port 53 or 67 or 68 or 69 or 123 or 137 or 138 or 161 or 500 or 514 or 1900)",
	"tcp dst port 80 or 81 or 82 or 83 or 84 or 85 or 86 or 87 or 88 or 90 or 91 or 99",
	"portrange 1-1023",
	"tcp portrange 1024-65535",
	"udp src portrange 32768-60999",
	"dst portrange 5000-5010 or dst portrange 6000-6010",
	"not port 22",
	"not arp and not icmp",
	"not (arp or icmp or udp port 53 or udp port 123 or udp port 137 or udp port 5353)",
	"tcp port 80 and host 10.0.0.1",
	"tcp port 80 and net 141.142.0.0/16",
	"src host 10.0.0.1 and tcp dst port 80",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack == 0",
	"tcp[tcpflags] == tcp-syn",
	"tcp[13] = 18",
	"tcp[13] & 7 != 0 and not src and dst net 10.0.0.0/8",
	"icmp[icmptype] == icmp-echo or icmp[icmptype] == icmp-echoreply",
	"icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply",
	"icmp[0] = 3 and icmp[1] = 4",
	"icmp6[0] = 135 or icmp6[0] = 136",
	"icmp6 and ip6[40] = 128",
	"tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
	"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
	"tcp port 80 and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354",
	"udp[8:2] & 0x8000 = 0 and udp dst port 53",
	"udp[4:2] > 100",
	"udp[4:2] - 8 >= 512",
	"ip[0] & 0xf != 5",
	"ip[0] & 0xf > 5 and tcp",
	"ip[6:2] & 0x1fff != 0",
	"ip[6:2] & 0x3fff != 0",
	"ip[6] & 0x40 != 0",
	"ip[8] < 5",
	"ip[8] > 63 and ip[8] <= 64",
	"ip[1] & 0xfc == 0xb8",
	"ip[9] = 6 or ip[9] = 17 or ip[9] = 1",
	"ip[12:4] = 0x0a000001",
	"ip[12:4] & 0xffffff00 = 0x0a000000",
	"ip[12:4] = ip[16:4]",
	"ip[2:2] > 1400",
	"ip[2:2] * 2 > 1000",
	"ip[2:2] / 4 > 100",
	"ip[2:2] % 8 = 4",
	"ip[2:2] ^ 0x5a5a > 0x4000",
	"ip[2:2] << 3 > 4096",
	"ip[2:2] >> 3 > 40",
	"ip[8] | 1 = 65",
	"-ip[8] & 0xff = 192",
	"ip[ip[8]] = 0",
	"tcp[tcp[12] >> 2] != 0",
	"ether[12:2] = 0x0800 and ether[23] = 6",
	"ether[12:2] > 1500",
	"ether[60:4] != 0",
	"ether[1500:4] = 0",
	"len > 100",
	"len <= 60",
	"greater 200",
	"less 80",
	"len = 60 or len = 64",
	"len - 14 = ip[2:2]",
	"vlan",
	"vlan 100",
	"vlan and tcp port 80",
	"vlan 100 and host 10.0.0.1",
	"vlan and vlan and ip",
	"(vlan and udp) or (udp and port 53)",
	"mpls",
	"mpls 100000 and ip",
	"pppoes",
	"pppoes and ip and tcp",
	"geneve",
	"gateway 10.0.0.1 or arp",
	"ip and not ip[6:2] & 0x1fff = 0 or arp",
	"ip6 and ip6[6] = 17 and ip6[40:2] = 53",
	"ip6[4:2] > 100",
	"ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 60",
	"arp[6:2] = 1",
	"arp[6:2] = 2 and arp[14:4] = 0x0a000001",
	"src host 10.0.0.1 or 10.0.0.2 or 10.0.0.3 or 10.0.0.4 or 10.0.0.5 or 10.0.0.9",
	"host 10.0.0.1 or 10.0.0.3 or 10.0.0.5 or 192.168.1.7 or 141.142.220.118",
	"src host 10.0.0.1 or src net 10.0.0.0/30 or src net 192.168.0.0/16 or src host 1.2.3.4",
	"dst host 10.0.0.1 and (tcp port 80 or tcp port 443) and tcp[13] & 2 != 0",
	"(tcp or udp) and (port 53 or port 80) and not net 192.168.0.0/16",
	"tcp or udp or icmp or sctp or igmp or esp or ah or pim",
	"stp",
	"llc",
	"isis",
	"ether proto \\ip and ip proto \\tcp",
	"iso",
	"ip or ip6 or arp or rarp or vlan",
	"",
};

static const char *const short_expressions[] = {
	"tcp",
	"ip6",
	"udp port 53",
	"tcp port 80",
	"src host 10.0.0.1",
	"dst net 192.168.0.0/16",
	"portrange 1000-2000",
	"tcp[13] & 2 != 0",
	"ip[6:2] & 0x1fff = 0",
	"len > 100",
	"icmp",
	"vlan",
};

#define N_WRITTEN_EXPRESSIONS (sizeof(written_expressions) / sizeof(written_expressions[0]))
#define N_SHORT_EXPRESSIONS   (sizeof(short_expressions) / sizeof(short_expressions[0]))
#define N_EXPRESSIONS         (N_WRITTEN_EXPRESSIONS + 3 * N_SHORT_EXPRESSIONS * (N_SHORT_EXPRESSIONS - 1))

/* Expression number i, below N_EXPRESSIONS. */
static inline const char *expression(size_t i, char *buffer, size_t size)
{
	static const char *const words[] = { "and", "or", "and not" };
	size_t first, second;

	if (i < N_WRITTEN_EXPRESSIONS)
		return written_expressions[i];
	i -= N_WRITTEN_EXPRESSIONS;
	first = i / 3 / (N_SHORT_EXPRESSIONS - 1);
	second = i / 3 % (N_SHORT_EXPRESSIONS - 1);
	second += second >= first;
	snprintf(buffer, size, "(%s) %s (%s)", short_expressions[first], words[i % 3],
		 short_expressions[second]);
	return buffer;
}

#endif
