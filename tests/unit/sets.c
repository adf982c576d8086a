/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of networks and ports against a search through the lists they were made of; packets taken
 * apart; files with lists, good and bad.
 */
#include "lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "expression/set_file.h"
#include "filter/sets.h"

#define ETHERNET 1u
#define RAW      101u

static uint64_t seed = 0x5E75;

static uint32_t next_random(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 16) % below);
}

/* ---- sets ----------------------------------------------------------------------------------- */

static void add_set(struct npf_match *match, const struct npf_set *set)
{
	size_t size = npf_set_size(set), used;
	void *table = aligned_alloc(64, (size + 63) / 64 * 64);
	void *space = malloc(npf_set_space(set));

	assert_non_null(table);
	assert_non_null(space);
	assert_int_equal(npf_set_build(set, match, table, space, &used), 0);
	assert_true(used <= size);
	free(space);
	/* Exactly as long as said, so that a sanitizer sees every step over its end. */
	match->tables[match->shapes.n - 1] = malloc(used);
	memcpy(match->tables[match->shapes.n - 1], table, used);
	free(table);
}

static void free_sets(struct npf_match *match)
{
	for (uint32_t i = 0; i < match->shapes.n; i++)
		free(match->tables[i]);
	*match = (struct npf_match){ 0 };
}

static bool is_in_net(const struct npf_net *net, uint8_t family, const uint8_t *address)
{
	if (net->family != family)
		return false;
	for (uint32_t bit = 0; bit < net->prefix; bit++) {
		if ((net->address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	}
	return true;
}

static bool is_in_list(const struct npf_net *nets, uint32_t n, uint8_t family,
		       const uint8_t *address)
{
	for (uint32_t i = 0; i < n; i++) {
		if (is_in_net(&nets[i], family, address))
			return true;
	}
	return false;
}

/* A raw IP packet without payload. */
static uint32_t make_packet(uint8_t packet[40], uint8_t family, const uint8_t *source,
			    const uint8_t *destination)
{
	memset(packet, 0, 40);
	packet[0] = family == 4 ? 0x45 : 0x60;
	memcpy(packet + (family == 4 ? 12 : 8), source, family == 4 ? 4 : 16);
	memcpy(packet + (family == 4 ? 16 : 24), destination, family == 4 ? 4 : 16);
	return family == 4 ? 20 : 40;
}

/* Few different bytes, so that random addresses meet random networks. */
static void random_address(uint8_t address[16], uint8_t family)
{
	static const uint8_t bytes[] = { 0, 1, 0x7F, 0x80, 0xFE, 0xFF };

	memset(address, 0, 16);
	for (int i = 0; i < (family == 4 ? 4 : 16); i++)
		address[i] = bytes[next_random(sizeof(bytes))];
}

static void check_address(const struct npf_match *match, enum npf_side side,
			  const struct npf_net *nets, uint32_t n)
{
	uint8_t family = next_random(2) ? 4 : 6, packet[40], source[16], destination[16];
	bool from, to, expected;
	uint32_t length;

	random_address(source, family);
	random_address(destination, family);
	if (!next_random(3))
		memcpy(source, nets[next_random(n)].address, 16);
	length = make_packet(packet, family, source, destination);
	from = is_in_list(nets, n, family, source);
	to = is_in_list(nets, n, family, destination);
	expected = side == NPF_SIDE_SOURCE ? from : side == NPF_SIDE_DESTINATION ? to : from || to;
	assert_int_equal(npf_match_run(match, packet, length), expected);
	/* What is cut off is in no set. */
	assert_false(npf_match_run(match, packet, length - 1));
}

static void check_nets(uint32_t n, uint32_t family)
{
	struct npf_net *nets = calloc(n, sizeof(*nets));
	enum npf_side side = (enum npf_side)next_random(3);
	const struct npf_set set = { .side = side, .n_nets = n, .nets = nets };
	struct npf_match match = { 0 };

	assert_non_null(nets);
	for (uint32_t i = 0; i < n; i++) {
		nets[i].family = family ? (uint8_t)family : next_random(2) ? 4 : 6;
		random_address(nets[i].address, nets[i].family);
		nets[i].prefix = (uint8_t)(next_random(4)
						   ? (nets[i].family == 4 ? 32 : 128)
						   : next_random(nets[i].family == 4 ? 33 : 129));
		/* The whole address space would leave nothing to get wrong. */
		if (nets[i].prefix < 6 && next_random(20))
			nets[i].prefix += 16;
	}
	assert_int_equal(npf_sets_link(&match.shapes, RAW), 0);
	add_set(&match, &set);
	for (int i = 0; i < 300; i++)
		check_address(&match, side, nets, n);
	free_sets(&match);
	free(nets);
}

static void finds_what_the_list_has(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 200; round++) {
		check_nets(1 + next_random(4), 0);
		check_nets(1 + next_random(60), round % 3 ? 4 : 6);
		check_nets(1 + next_random(500), 0);
	}
}

static void holds_many(void **state)
{
	const uint32_t n = 50000;
	struct npf_net *nets = calloc(n, sizeof(*nets));
	const struct npf_set set = { .n_nets = n, .nets = nets };
	struct npf_match match = { 0 };
	uint8_t packet[40], other[16] = { 0xFD };

	(void)state;
	assert_non_null(nets);
	for (uint32_t i = 0; i < n; i++) {
		nets[i] = (struct npf_net){ .family = i % 2 ? 4 : 6, .prefix = i % 2 ? 32 : 128 };
		for (int byte = 1; byte < 16; byte++)
			nets[i].address[byte] = (uint8_t)next_random(256);
	}
	assert_int_equal(npf_sets_link(&match.shapes, RAW), 0);
	add_set(&match, &set);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t length = make_packet(packet, nets[i].family, other, nets[i].address);

		if (!npf_match_run(&match, packet, length))
			fail_msg("entry %u is not in the set", i);
		packet[i % 2 ? 16 : 24] ^= 0x80; /* the first byte of all entries is 0 */
		assert_false(npf_match_run(&match, packet, length));
	}
	free_sets(&match);
	free(nets);
}

static void refuses_nonsense(void **state)
{
	const struct npf_net wrong[] = { { .family = 4, .prefix = 33 }, { .family = 5 } };
	const struct npf_port_range range = { 1, 2 }, empty = { 2, 1 };
	struct npf_match_shapes shapes = { 0 };

	(void)state;
	assert_int_equal(npf_set_size(&(struct npf_set){ 0 }), 0);
	assert_int_equal(npf_set_size(&(struct npf_set){ .n_nets = 1, .nets = &wrong[0] }), 0);
	assert_int_equal(npf_set_size(&(struct npf_set){ .n_nets = 1, .nets = &wrong[1] }), 0);
	assert_int_equal(npf_set_size(&(struct npf_set){ .n_ports = 1, .ports = &empty }), 0);
	assert_int_equal(npf_set_size(&(struct npf_set){
				 .n_ports = 1, .ports = &range, .n_nets = 1, .nets = wrong }),
			 0);
	assert_int_equal(npf_sets_link(&shapes, 105), -ENOTSUP);
}

/* ---- packets -------------------------------------------------------------------------------- */

struct packet_case {
	const char *name;
	const char *hex;
	bool address, port; /* is 192.0.2.1 or 2001:db8::1 in it; port 80 */
};

#define MACS                                                                                       \
	"020000000001"                                                                             \
	"020000000002"
#define IP4(protocol, fragment)                                                                    \
	"45000028"                                                                                 \
	"0000" fragment "40" protocol "0000"                                                       \
	"c0000201"                                                                                 \
	"c0000202"
#define IP6(next)                                                                                  \
	"60000000"                                                                                 \
	"0014" next "40"                                                                           \
	"20010db8000000000000000000000001"                                                         \
	"20010db8000000000000000000000002"
#define PORTS                                                                                      \
	"30390050"                                                                                 \
	"00000000"

static const struct packet_case packet_cases[] = {
	{ "TCP", MACS "0800" IP4("06", "0000") PORTS, true, true },
	{ "UDP", MACS "0800" IP4("11", "0000") PORTS, true, true },
	{ "SCTP", MACS "0800" IP4("84", "0000") PORTS, true, true },
	{ "ICMP has no ports", MACS "0800" IP4("01", "0000") PORTS, true, false },
	{ "first fragment", MACS "0800" IP4("06", "2000") PORTS, true, true },
	{ "later fragment", MACS "0800" IP4("06", "2001") PORTS, true, false },
	{ "tag",
	  MACS "81000005"
	       "0800" IP4("06", "0000") PORTS,
	  true, true },
	{ "two tags",
	  MACS "88a80005"
	       "81000005"
	       "0800" IP4("06", "0000") PORTS,
	  true, true },
	{ "three tags",
	  MACS "88a80005"
	       "81000005"
	       "81000006"
	       "0800" IP4("06", "0000") PORTS,
	  false, false },
	{ "ARP",
	  MACS "0806"
	       "0001080006040001"
	       "020000000001"
	       "c0000201"
	       "000000000000"
	       "c0000202",
	  true, false },
	{ "IPv6", MACS "86dd" IP6("06") PORTS, true, true },
	{ "IPv6, hop-by-hop", MACS "86dd" IP6("00") "0600000000000000" PORTS, true, true },
	{ "IPv6, routing of 16",
	  MACS "86dd" IP6("2b") "1101000000000000"
				"0000000000000000" PORTS,
	  true, true },
	{ "IPv6, first fragment", MACS "86dd" IP6("2c") "0600000100000001" PORTS, true, true },
	{ "IPv6, later fragment", MACS "86dd" IP6("2c") "0600000900000001" PORTS, true, false },
	{ "IPv6, authentication",
	  MACS "86dd" IP6("33") "060400000000000000000000"
				"000000000000000000000000" PORTS,
	  true, true },
	{ "IPv6, six headers",
	  MACS "86dd" IP6("3c") "3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"0600000000000000" PORTS,
	  true, true },
	{ "IPv6, seven headers",
	  MACS "86dd" IP6("3c") "3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"3c00000000000000"
				"0600000000000000" PORTS,
	  true, false },
	{ "another protocol", MACS "88cc" IP4("06", "0000") PORTS, false, false },
	{ "no version",
	  MACS "0800"
	       "05000028"
	       "00000000"
	       "40060000"
	       "c0000201"
	       "c0000202" PORTS,
	  false, false },
};

static uint32_t unhex(const char *hex, uint8_t *bytes)
{
	uint32_t n = 0;
	unsigned int byte;

	for (; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		bytes[n] = (uint8_t)byte;
	return n;
}

static void check_packet(const struct npf_match *match, const struct packet_case *one, bool expected)
{
	uint8_t bytes[256], *copy;
	uint32_t n = unhex(one->hex, bytes);

	copy = malloc(n);
	assert_non_null(copy);
	memcpy(copy, bytes, n);
	if (npf_match_run(match, copy, n) != expected)
		fail_msg("%s: %s", one->name, expected ? "is not in the set" : "is in the set");
	free(copy);
	for (uint32_t cut = 0; cut < n; cut++) {
		copy = malloc(cut ? cut : 1);
		assert_non_null(copy);
		memcpy(copy, bytes, cut);
		npf_match_run(match, copy, cut); /* reads nothing behind its end */
		free(copy);
	}
}

static void takes_packets_apart(void **state)
{
	const struct npf_net nets[] = {
		{ 4, 32, { 192, 0, 2, 1 } },
		{ 6, 128, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
	};
	const struct npf_port_range web = { 80, 80 };
	const struct npf_set by_address = { .n_nets = 2, .nets = nets };
	const struct npf_set by_port = { .side = NPF_SIDE_DESTINATION, .n_ports = 1, .ports = &web };
	struct npf_match addresses = { 0 }, ports = { 0 }, both = { 0 };

	(void)state;
	npf_sets_link(&addresses.shapes, ETHERNET);
	npf_sets_link(&ports.shapes, ETHERNET);
	npf_sets_link(&both.shapes, ETHERNET);
	add_set(&addresses, &by_address);
	add_set(&ports, &by_port);
	add_set(&both, &by_address);
	add_set(&both, &by_port);
	for (size_t i = 0; i < N_OF(packet_cases); i++) {
		check_packet(&addresses, &packet_cases[i], packet_cases[i].address);
		check_packet(&ports, &packet_cases[i], packet_cases[i].port);
		check_packet(&both, &packet_cases[i],
			     packet_cases[i].address && packet_cases[i].port);
	}
	free_sets(&addresses);
	free_sets(&ports);
	free_sets(&both);
}

/* ---- files ---------------------------------------------------------------------------------- */

static int read_text(const char *text, enum npf_set_kind kind, struct npf_set_file *file,
		     char error[NPF_ERROR_SIZE])
{
	char name[] = "/tmp/npf-set-XXXXXX";
	int fd = mkstemp(name), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = npf_set_file_read(file, name, kind, error);
	unlink(name);
	return err;
}

static void reads_lists(void **state)
{
	struct npf_set_file file;
	char error[NPF_ERROR_SIZE];

	(void)state;
	assert_int_equal(read_text("# all\n\n192.0.2.1\r\n  2001:db8::1 # one\n192.0.2.1",
				   NPF_SET_HOSTS, &file, error),
			 0);
	assert_int_equal(file.set.n_nets, 3);
	assert_int_equal(file.nets[0].prefix, 32);
	assert_int_equal(file.nets[1].family, 6);
	npf_set_file_free(&file);

	assert_int_equal(read_text("10.0.0.0/8\n2001:db8::/32\n192.0.2.1\n0.0.0.0/0\n",
				   NPF_SET_NETS, &file, error),
			 0);
	assert_int_equal(file.set.n_nets, 4);
	assert_int_equal(file.nets[1].prefix, 32);
	assert_int_equal(file.nets[3].prefix, 0);
	npf_set_file_free(&file);

	assert_int_equal(read_text("80\n8000-8099\n65535\n0\n", NPF_SET_PORTS, &file, error), 0);
	assert_int_equal(file.set.n_ports, 4);
	assert_int_equal(file.ports[1].last, 8099);
	npf_set_file_free(&file);
}

static void names_the_bad_line(void **state)
{
	static const struct {
		const char *text;
		enum npf_set_kind kind;
		const char *error;
	} cases[] = {
		{ "192.0.2.1\n\n192.0.2.256\n", NPF_SET_HOSTS,
		  ":3: '192.0.2.256' is no IPv4 or IPv6 address" },
		{ "10.0.0.0/8\n", NPF_SET_HOSTS, ":1: '10.0.0.0/8' is a network" },
		{ "10.0.0.0/33\n", NPF_SET_NETS, ":1: '33' is no prefix length of 10.0.0.0/" },
		{ "::/129\n", NPF_SET_NETS, ":1: '129' is no prefix length of ::/" },
		{ "10.0.0.0/\n", NPF_SET_NETS, ":1: '' is no prefix length" },
		{ "# x\n10.1.0.0/8\n", NPF_SET_NETS,
		  ":2: 10.1.0.0 has bits behind its prefix of 8" },
		{ "1.1.1.1 2.2.2.2\n", NPF_SET_HOSTS, ":1: one entry a line" },
		{ "65536\n", NPF_SET_PORTS, ":1: '65536' is no port" },
		{ "80-\n", NPF_SET_PORTS, ":1: '' is no port" },
		{ "9-8\n", NPF_SET_PORTS, ":1: the range 9-8 is empty" },
		{ "http\n", NPF_SET_PORTS, ":1: 'http' is no port" },
		{ "# nothing\n", NPF_SET_PORTS, ": nothing is in it" },
	};
	struct npf_set_file file;
	char error[NPF_ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		assert_int_equal(read_text(cases[i].text, cases[i].kind, &file, error), -EINVAL);
		if (!strstr(error, cases[i].error))
			fail_msg("%s instead of %s", error, cases[i].error);
	}
	assert_int_equal(npf_set_file_read(&file, "/nowhere/at/all", NPF_SET_HOSTS, error), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_the_list_has),
		cmocka_unit_test(holds_many),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(takes_packets_apart),
		cmocka_unit_test(reads_lists),
		cmocka_unit_test(names_the_bad_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
