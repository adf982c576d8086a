/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet printer against lines that were read and approved: one packet of each kind, whole,
 * cut off and malformed. A change of the printer that changes a line here has to change it on
 * purpose.
 */
#include "lib/check.h"

#include <stdio.h>

#include "../../tools/npf/capture/print_packet.h"

static const struct {
	const char *name;
	uint32_t link_type;
	uint32_t length; /* on the wire */
	bool link_header;
	const char *hex; /* what was captured */
	const char *line;
} packets[] = {
	{ .name = "tcp_syn",
	  .link_type = 1,
	  .length = 74,
	  .hex = "02000000000202000000000108004500003c00010000400600000a0000010a00"
		 "000204d200500000006400000000a002faf000000000020405b40402080a0000"
		 "00010000000001030307",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [S], seq 100, win 64240, options [mss "
		  "1460,sackOK,TS 1 0,wscale 7], length 0" },
	{ .name = "tcp_syn_ack",
	  .link_type = 1,
	  .length = 54,
	  .hex = "02000000000202000000000108004500002800010000400600000a0000010a00"
		 "000204d2005000000064000000655012faf000000000",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [S.], seq 100, ack 101, win 64240, len"
		  "gth 0" },
	{ .name = "tcp_data",
	  .link_type = 1,
	  .length = 59,
	  .hex = "02000000000202000000000108004500002d00010000400600000a0000010a00"
		 "000204d2005000000064000000075018faf00000000068656c6c6f",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [P.], seq 100:105, ack 7, win 64240, l"
		  "ength 5" },
	{ .name = "tcp_ack_padded",
	  .link_type = 1,
	  .length = 60,
	  .hex = "02000000000202000000000108004500002800010000400600000a0000010a00"
		 "000204d2005000000064000000075010faf000000000000000000000",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [.], ack 7, win 64240, length 0" },
	{ .name = "tcp_no_flags",
	  .link_type = 1,
	  .length = 54,
	  .hex = "02000000000202000000000108004500002800010000400600000a0000010a00"
		 "000204d2005000000064000000005000faf000000000",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [none], win 64240, length 0" },
	{ .name = "tcp_urgent",
	  .link_type = 1,
	  .length = 55,
	  .hex = "02000000000202000000000108004500002900010000400600000a0000010a00"
		 "000204d2005000000064000000005038faf00000000178",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [PU.], seq 100:101, ack 0, win 64240, "
		  "urg 1, length 1" },
	{ .name = "tcp_bad_header",
	  .link_type = 1,
	  .length = 54,
	  .hex = "02000000000202000000000108004500002800010000400600000a0000010a00"
		 "000204d2005000000064000000001002faf000000000",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [bad header length 4], length 20" },
	{ .name = "tcp_bad_option",
	  .link_type = 1,
	  .length = 58,
	  .hex = "02000000000202000000000108004500002c00010000400600000a0000010a00"
		 "000204d2005000000064000000006002faf00000000002090000",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [S], seq 100, win 64240, options [...]"
		  ", length 0" },
	{ .name = "tcp_cut",
	  .link_type = 1,
	  .length = 74,
	  .hex = "02000000000202000000000108004500003c00010000400600000a0000010a00"
		 "000204d20050000000640000",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: [|tcp]" },
	{ .name = "tcp_cut_ports",
	  .link_type = 1,
	  .length = 74,
	  .hex = "02000000000202000000000108004500003c00010000400600000a0000010a00"
		 "000204d200",
	  .line = "IP 10.0.0.1 > 10.0.0.2: [|tcp]" },
	{ .name = "udp",
	  .link_type = 1,
	  .length = 54,
	  .hex = "02000000000202000000000108004500002800010000401100000a0000010a00"
		 "000214e9003500140000616161616161616161616161",
	  .line = "IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 12" },
	{ .name = "udp_bad_length",
	  .link_type = 1,
	  .length = 43,
	  .hex = "02000000000202000000000108004500001d00010000401100000a0000010a00"
		 "000214e900350003000061",
	  .line = "IP 10.0.0.1.5353 > 10.0.0.2.53: UDP [bad length 3], length 9" },
	{ .name = "icmp_echo",
	  .link_type = 1,
	  .length = 98,
	  .link_header = true,
	  .hex = "02000000000202000000000108004500005400010000400100000a0000010a00"
		 "0002080000000007000378787878787878787878787878787878787878787878"
		 "7878787878787878787878787878787878787878787878787878787878787878"
		 "7878",
	  .line = "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 98:"
		  " IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 3, length 64" },
	{ .name = "icmp_unreachable",
	  .link_type = 1,
	  .length = 70,
	  .hex = "02000000000202000000000108004500003800010000400100000a0000010a00"
		 "0002030300000000000078787878787878787878787878787878787878787878"
		 "787878787878",
	  .line = "IP 10.0.0.1 > 10.0.0.2: ICMP unreachable, code 3, length 36" },
	{ .name = "fragment_first",
	  .link_type = 1,
	  .length = 66,
	  .hex = "02000000000202000000000108004500003400012000401100000a0000010a00"
		 "000214e9003507d0000061616161616161616161616161616161616161616161"
		 "6161",
	  .line = "IP 10.0.0.1 > 10.0.0.2: frag 0+, UDP, length 32" },
	{ .name = "fragment_last",
	  .link_type = 1,
	  .length = 58,
	  .hex = "02000000000202000000000108004500002c000100b9401100000a0000010a00"
		 "0002616161616161616161616161616161616161616161616161",
	  .line = "IP 10.0.0.1 > 10.0.0.2: frag 1480, UDP, length 24" },
	{ .name = "ip_missing",
	  .link_type = 1,
	  .length = 46,
	  .hex = "02000000000202000000000108004500006400010000401100000a0000010a00"
		 "000214e90035000c000061616161",
	  .line = "IP [68 bytes missing] 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 4" },
	{ .name = "ip_super_packet",
	  .link_type = 1,
	  .length = 154,
	  .hex = "02000000000202000000000108004500000000010000400600000a0000010a00"
		 "000204d2005000000064000000005010faf00000000079797979797979797979"
		 "7979797979797979797979797979797979797979797979797979797979797979"
		 "7979797979797979797979797979797979797979797979797979797979797979"
		 "7979797979797979797979797979797979797979797979797979",
	  .line = "IP 10.0.0.1.1234 > 10.0.0.2.80: TCP [.], seq 100:200, ack 0, win 64240, le"
		  "ngth 100" },
	{ .name = "ip_options",
	  .link_type = 1,
	  .length = 46,
	  .hex = "02000000000202000000000108004600002000010000401100000a0000010a00"
		 "00029404000014e9003500080000",
	  .line = "IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 0" },
	{ .name = "ip_bad_header",
	  .link_type = 1,
	  .length = 42,
	  .hex = "02000000000202000000000108004200001c00010000401100000a0000010a00"
		 "000214e9003500080000",
	  .line = "IP [bad header 0x42], length 28" },
	{ .name = "ip_cut",
	  .link_type = 1,
	  .length = 42,
	  .hex = "02000000000202000000000108004500001c0001",
	  .line = "IP [|ip]" },
	{ .name = "ip_in_ip",
	  .link_type = 1,
	  .length = 62,
	  .hex = "02000000000202000000000108004500003000010000400400000a0000010a00"
		 "00024500001c0001000040110000c0000201c000020214e9003500080000",
	  .line = "IP 10.0.0.1 > 10.0.0.2: IP 192.0.2.1.5353 > 192.0.2.2.53: UDP, length 0" },
	{ .name = "gre",
	  .link_type = 1,
	  .length = 66,
	  .hex = "02000000000202000000000108004500003400010000402f00000a0000010a00"
		 "0002000008004500001c00010000401100000a0000010a00000214e900350008"
		 "0000",
	  .line = "IP 10.0.0.1 > 10.0.0.2: GRE, length 32" },
	{ .name = "unknown_protocol",
	  .link_type = 1,
	  .length = 36,
	  .hex = "0200000000020200000000010800450000160001000040fd00000a0000010a00"
		 "00026162",
	  .line = "IP 10.0.0.1 > 10.0.0.2: protocol 253, length 2" },
	{ .name = "ip6_udp",
	  .link_type = 1,
	  .length = 64,
	  .hex = "02000000000202000000000186dd60000000000a114020010db8000000000000"
		 "00000000000120010db800000000000000000000000214e90035000a00006162",
	  .line = "IP6 2001:db8::1.5353 > 2001:db8::2.53: UDP, length 2" },
	{ .name = "ip6_neighbour",
	  .link_type = 1,
	  .length = 86,
	  .hex = "02000000000202000000000186dd6000000000203a40fe800000000000000000"
		 "000000000001ff0200000000000000000000000000018700000000000000fe80"
		 "00000000000000000000000000020101020000000001",
	  .line = "IP6 fe80::1 > ff02::1: ICMP6 neighbor solicitation, who has fe80::2, lengt"
		  "h 32" },
	{ .name = "ip6_listener_report",
	  .link_type = 1,
	  .length = 90,
	  .hex = "02000000000202000000000186dd6000000000240040fe800000000000000000"
		 "000000000001ff0200000000000000000000000000013a000502000001008f00"
		 "00000000000104000000ff020000000000000000000000000002",
	  .line = "IP6 HBH fe80::1 > ff02::1: ICMP6 multicast listener report v2, length 28" },
	{ .name = "ip6_fragment",
	  .link_type = 1,
	  .length = 70,
	  .hex = "02000000000202000000000186dd6000000000102c40fe800000000000000000"
		 "000000000001ff020000000000000000000000000001110005c9000000097a7a"
		 "7a7a7a7a7a7a",
	  .line = "IP6 fe80::1 > ff02::1: frag 1480+, UDP, length 8" },
	{ .name = "ip6_atomic_fragment",
	  .link_type = 1,
	  .length = 71,
	  .hex = "02000000000202000000000186dd6000000000112c40fe800000000000000000"
		 "000000000001ff020000000000000000000000000001110000000000000914e9"
		 "00350009000071",
	  .line = "IP6 frag fe80::1.5353 > ff02::1.53: UDP, length 1" },
	{ .name = "ip6_cut",
	  .link_type = 1,
	  .length = 62,
	  .hex = "02000000000202000000000186dd6000000000081140fe800000000000000000"
		 "000000000001ff0200000000000000000000",
	  .line = "IP6 [|ip6]" },
	{ .name = "arp_request",
	  .link_type = 1,
	  .length = 42,
	  .link_header = true,
	  .hex = "ffffffffffff020000000001080600010800060400010200000000010a000001"
		 "0000000000000a000002",
	  .line = "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: "
		  "ARP, who-has 10.0.0.2 tell 10.0.0.1, length 28" },
	{ .name = "arp_reply",
	  .link_type = 1,
	  .length = 42,
	  .hex = "020000000002020000000001080600010800060400020200000000010a000001"
		 "0200000000020a000002",
	  .line = "ARP, reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28" },
	{ .name = "arp_announcement",
	  .link_type = 1,
	  .length = 42,
	  .hex = "020000000002020000000001080600010800060400010200000000010a000001"
		 "0000000000000a000001",
	  .line = "ARP, announcement 10.0.0.1, length 28" },
	{ .name = "arp_strange",
	  .link_type = 1,
	  .length = 46,
	  .hex = "0200000000020200000000010806000608000804000900000000000000000000"
		 "0000000000000000000000000000",
	  .line = "ARP, hardware 6, protocol 0x0800, operation 9, length 32" },
	{ .name = "arp_cut",
	  .link_type = 1,
	  .length = 42,
	  .hex = "02000000000202000000000108060001080006040001",
	  .line = "ARP, [|arp]" },
	{ .name = "vlan",
	  .link_type = 1,
	  .length = 46,
	  .link_header = true,
	  .hex = "0200000000020200000000018100600508004500001c00010000401100000a00"
		 "00010a00000214e9003500080000",
	  .line = "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 4"
		  "6: vlan 5, p 3, IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 0" },
	{ .name = "qinq",
	  .link_type = 1,
	  .length = 70,
	  .hex = "02000000000202000000000188a8000a8100101486dd6000000000081140fe80"
		 "0000000000000000000000000001ff02000000000000000000000000000114e9"
		 "003500080000",
	  .line = "vlan 10, vlan 20, DEI, IP6 fe80::1.5353 > ff02::1.53: UDP, length 0" },
	{ .name = "vlan_cut",
	  .link_type = 1,
	  .length = 18,
	  .hex = "020000000002020000000001810000",
	  .line = "[|vlan]" },
	{ .name = "vlan_many",
	  .link_type = 1,
	  .length = 50,
	  .hex = "0200000000020200000000018100000181000001810000018100000181000001"
		 "810000018100000181000001810000018100",
	  .line = "vlan 1, vlan 1, vlan 1, vlan 1, vlan 1, vlan 1, vlan 1, vlan 1, [|vlan]" },
	{ .name = "stp",
	  .link_type = 1,
	  .length = 52,
	  .link_header = true,
	  .hex = "0180c20000000200000000010026424203000002023c80000200000000010000"
		 "0004800002000000000380010100140002000f00",
	  .line = "02:00:00:00:00:01 > 01:80:c2:00:00:00, 802.3, length 52: STP 802.1w, root "
		  "8000.02:00:00:00:00:01, cost 4, bridge 8000.02:00:00:00:00:03, port 8001, "
		  "length 35" },
	{ .name = "snap",
	  .link_type = 1,
	  .length = 22,
	  .hex = "0200000000020200000000010008aaaa0300000c2000",
	  .line = "SNAP, oui 0x00000c, ethertype 0x2000, length 8" },
	{ .name = "llc",
	  .link_type = 1,
	  .length = 17,
	  .hex = "0200000000020200000000010003e0e003",
	  .line = "LLC, dsap 0xe0, ssap 0xe0, ctrl 0x03, length 3" },
	{ .name = "lldp",
	  .link_type = 1,
	  .length = 25,
	  .hex = "02000000000202000000000188cc0207040200000000010000",
	  .line = "LLDP, length 11" },
	{ .name = "unknown_ethertype",
	  .link_type = 1,
	  .length = 18,
	  .link_header = true,
	  .hex = "02000000000202000000000188b561626364",
	  .line = "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype unknown (0x88b5), length "
		  "18: ethertype 0x88b5, length 4" },
	{ .name = "ethernet_cut", .link_type = 1, .length = 60, .hex = "010203", .line = "[|ether]" },
	{ .name = "ethernet_short",
	  .link_type = 1,
	  .length = 3,
	  .hex = "010203",
	  .line = "[ether too short: 3 bytes]" },
	{ .name = "raw_ip",
	  .link_type = 101,
	  .length = 28,
	  .link_header = true,
	  .hex = "4500001c00010000401100000a0000010a00000214e9003500080000",
	  .line = "raw, length 28: IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 0" },
	{ .name = "raw_ip6",
	  .link_type = 101,
	  .length = 48,
	  .hex = "6000000000083a40fe800000000000000000000000000001ff02000000000000"
		 "00000000000000018000000000010002",
	  .line = "IP6 fe80::1 > ff02::1: ICMP6 echo request, id 1, seq 2, length 8" },
	{ .name = "raw_not_ip",
	  .link_type = 101,
	  .length = 2,
	  .hex = "0000",
	  .line = "not IP (0x00), length 2" },
	{ .name = "raw_empty",
	  .link_type = 101,
	  .length = 0,
	  .hex = "",
	  .line = "[ip too short: 0 bytes]" },
	{ .name = "null_host_order",
	  .link_type = 0,
	  .length = 32,
	  .link_header = true,
	  .hex = "020000004500001c00010000401100000a0000010a00000214e9003500080000",
	  .line = "AF 2, length 32: IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 0" },
	{ .name = "loopback",
	  .link_type = 108,
	  .length = 32,
	  .hex = "000000024500001c00010000401100000a0000010a00000214e9003500080000",
	  .line = "IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 0" },
	{ .name = "cooked",
	  .link_type = 113,
	  .length = 44,
	  .hex = "000000010006020000000001000008004500001c00010000401100000a000001"
		 "0a00000214e9003500080000",
	  .line = "IP 10.0.0.1.5353 > 10.0.0.2.53: UDP, length 0" },
	{ .name = "cooked2",
	  .link_type = 276,
	  .length = 48,
	  .hex = "0806000000000003000100060200000000010000000108000604000202000000"
		 "00010a0000010200000000020a000002",
	  .line = "ARP, reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28" },
	{ .name = "radiotap",
	  .link_type = 127,
	  .length = 20,
	  .hex = "0000000000000000000000000000000000000000",
	  .line = "802.11 radiotap, length 20" },
	{ .name = "unknown_link",
	  .link_type = 9999,
	  .length = 20,
	  .hex = "0000000000000000000000000000000000000000",
	  .line = "link type 9999, length 20" },
};

static uint32_t from_hex(uint8_t *out, const char *hex)
{
	uint32_t n = 0;

	for (; *hex; hex += 2) {
		unsigned int byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		out[n++] = (uint8_t)byte;
	}
	return n;
}

/* On memory of its exact size, so that a sanitizer sees a read beyond it. */
static void print(struct npf_line *line, size_t i)
{
	size_t size = strlen(packets[i].hex) / 2;
	uint8_t *data = malloc(size ? size : 1);
	uint32_t caplen;

	assert_non_null(data);
	caplen = from_hex(data, packets[i].hex);
	npf_line_clear(line);
	npf_print_packet(line, packets[i].link_type, data, caplen, packets[i].length,
			 packets[i].link_header);
	free(data);
}

static void lines(void **state)
{
	struct npf_line line;
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < N_OF(packets); i++) {
		print(&line, i);
		if (!strcmp(line.text, packets[i].line))
			continue;
		print_error("%s\n  is       %s\n  wanted   %s\n", packets[i].name, line.text,
			    packets[i].line);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests_name("golden print", tests, NULL, NULL);
}
