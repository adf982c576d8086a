/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filter expressions, compiled by libpcap with and without its optimiser, through every engine: on
 * a mix of packets that is made here, and on the traces of $NPF_TESTDATA/pcaps. Every packet lies
 * in memory of exactly its size.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "../lib/engines.h"
#include "../lib/expressions.h"
#include "../lib/filter_random.h"
#include "../lib/group.h"
#include "../lib/testdata.h"
#include "npf/npf.h"

#define SNAPLEN      262144
#define SYNTHETIC    1200
#define FROM_A_TRACE 6
#define MAX_PACKETS  12000

struct packets {
	uint32_t n;
	struct npf_frame frames[MAX_PACKETS];
	uint8_t *data[MAX_PACKETS];
	struct engine_run runs[MAX_PACKETS];
};

static struct packets packets;

static void add_packet(const uint8_t *data, uint32_t length, uint32_t wire_length)
{
	uint32_t i = packets.n++;

	packets.data[i] = malloc(length ? length : 1);
	assert_non_null(packets.data[i]);
	memcpy(packets.data[i], data, length);
	packets.frames[i] = (struct npf_frame){ .length = length, .wire_length = wire_length };
	packets.runs[i] = (struct engine_run){ .frame = &packets.frames[i],
					       .data = packets.data[i] };
}

static int drop_packets(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < packets.n; i++)
		free(packets.data[i]);
	packets.n = 0;
	return 0;
}

/* ---- packets made here ---------------------------------------------------------------------- */

struct maker {
	struct filter_random random;
	uint8_t data[256];
	uint32_t at;
};

static uint32_t one_of(struct maker *m, const uint32_t *list, uint32_t n)
{
	return filter_random(&m->random, 10) ? list[filter_random(&m->random, n)]
					     : filter_random(&m->random, UINT32_MAX);
}

static void put(struct maker *m, uint32_t size, uint64_t value)
{
	while (size--)
		m->data[m->at++] = (uint8_t)(value >> 8 * size);
}

static void put_port(struct maker *m)
{
	static const uint32_t ports[] = { 80, 53, 443, 22, 21, 25, 1023, 1024, 1500, 5005, 123 };

	put(m, 2, one_of(m, ports, 11));
}

static void put_address(struct maker *m)
{
	static const uint32_t addresses[] = { 0x0A000001, 0x0A000002, 0x0A000005, 0xC0A80107,
					      0xC0A80205, 0x8D8EDC76, 0xAC100001, 0x01020304,
					      0xFFFFFFFF, 0xE0000001 };

	put(m, 4, one_of(m, addresses, 10));
}

static void put_transport(struct maker *m)
{
	static const uint32_t flags[] = { 2, 18, 16, 17, 24, 4 };
	static const uint32_t words[] = { 0x47455420, 0x504F5354, 0 };

	put_port(m);
	put_port(m);
	put(m, 4, filter_random(&m->random, UINT32_MAX));
	put(m, 4, filter_random(&m->random, 3));
	put(m, 1, filter_random(&m->random, 4) ? 0x50 : 0x80);
	put(m, 1, one_of(m, flags, 6));
	put(m, 6, 0);
	put(m, 4, one_of(m, words, 3));
}

static void put_ip(struct maker *m)
{
	static const uint32_t protocols[] = { 6, 6, 6, 17, 17, 1, 132, 2, 50, 47 };
	uint32_t words = filter_random(&m->random, 6) ? 5 : 5 + filter_random(&m->random, 11);

	put(m, 1, 0x40 | words);
	put(m, 1, filter_random(&m->random, 2) ? 0 : 0xB8);
	put(m, 2, filter_random(&m->random, 1600));
	put(m, 2, 0);
	put(m, 2, filter_random(&m->random, 5) ? 0x4000 : filter_random(&m->random, 0x4000));
	put(m, 1, filter_random(&m->random, 2) ? 64 : filter_random(&m->random, 256));
	put(m, 1, one_of(m, protocols, 10));
	put(m, 2, 0);
	put_address(m);
	put_address(m);
	m->at += 4 * (words - 5);
	put_transport(m);
}

static void put_ip6(struct maker *m)
{
	static const uint32_t headers[] = { 6, 6, 17, 58, 0, 44, 132 };
	static const uint32_t prefixes[] = { 0x20010DB8, 0xFE800000, 0, 0xFF020000 };

	put(m, 4, 0x60000000);
	put(m, 2, filter_random(&m->random, 300));
	put(m, 1, one_of(m, headers, 7));
	put(m, 1, 64);
	for (int i = 0; i < 2; i++) {
		put(m, 4, one_of(m, prefixes, 4));
		put(m, 8, 0);
		put(m, 4, filter_random(&m->random, 3));
	}
	put_transport(m);
}

static void put_arp(struct maker *m)
{
	put(m, 6, 0);
	put(m, 2, 1 + filter_random(&m->random, 2));
	m->at += 6;
	put_address(m);
	m->at += 6;
	put_address(m);
}

static void put_network(struct maker *m)
{
	switch (filter_random(&m->random, 9)) {
	case 0:
		put(m, 2, 0x0806);
		put_arp(m);
		break;
	case 1:
	case 2:
		put(m, 2, 0x86DD);
		put_ip6(m);
		break;
	case 3:
		put(m, 2, filter_random(&m->random, 0x10000));
		put_ip(m);
		break;
	default:
		put(m, 2, 0x0800);
		put_ip(m);
		break;
	}
}

static void make_packet(struct maker *m)
{
	memset(m->data, 0, sizeof(m->data));
	m->at = 0;
	put(m, 4, filter_random(&m->random, 3) ? 0x02000000 : UINT32_MAX);
	put(m, 2, filter_random(&m->random, 3));
	put(m, 6, 0);
	if (!filter_random(&m->random, 6)) {
		put(m, 2, 0x8100);
		put(m, 2, filter_random(&m->random, 2) ? 100 : filter_random(&m->random, 4096));
	}
	put_network(m);
}

/* Whole packets, and packets cut anywhere. */
static int make_mix(void **state)
{
	struct maker m = { .random = { .state = 0x313 } };

	(void)state;
	while (packets.n < SYNTHETIC) {
		uint32_t length;

		make_packet(&m);
		length = m.at + filter_random(&m.random, 60);
		if (!filter_random(&m.random, 4))
			length = filter_random(&m.random, length + 1);
		add_packet(m.data, length, length + filter_random(&m.random, 3) * 100);
	}
	return 0;
}

/* ---- traces --------------------------------------------------------------------------------- */

static void read_trace(const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *trace = pcap_open_offline(path, error);
	struct pcap_pkthdr *header;
	const uint8_t *data;

	if (!trace)
		return;
	if (pcap_datalink(trace) == DLT_EN10MB) {
		for (int i = 0; i < FROM_A_TRACE && packets.n < MAX_PACKETS &&
				pcap_next_ex(trace, &header, &data) == 1;
		     i++)
			add_packet(data, header->caplen, header->len);
	}
	pcap_close(trace);
}

static void read_folder(const char *path)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		char inner[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			read_folder(inner);
		else
			read_trace(inner);
	}
	closedir(folder);
}

/* ---- comparing ------------------------------------------------------------------------------ */

struct tally {
	uint32_t programs;
	uint32_t refused;  /* by libpcap for this link type, or longer than NPF takes */
	uint32_t accepted; /* answers that were not 0 */
	uint64_t runs;
};

static void compare_program(const char *text, const struct npf_program *program, struct tally *tally)
{
	uint32_t i = tally->programs++;

	for (const struct engine *engine = engines; engine->name; engine++) {
		if (!engine_is_wanted(engine) || (engine->one_of && i % (engine->one_of / 10 + 1)))
			continue;
		if (engine_compare(engine, text, program, packets.runs, packets.n))
			tally->runs += packets.n;
	}
	for (uint32_t p = 0; p < packets.n; p++)
		tally->accepted += packets.runs[p].answer != 0;
}

static void compare_expression(pcap_t *handle, const char *text, int optimise, struct tally *tally)
{
	struct bpf_program compiled;
	struct npf_program program = { 0 };

	if (pcap_compile(handle, &compiled, text, optimise, PCAP_NETMASK_UNKNOWN)) {
		tally->refused++;
		return;
	}
	program.length = compiled.bf_len;
	program.insns = (const struct npf_insn *)compiled.bf_insns;
	if (npf_filter_validate(&program, NULL, 0))
		tally->refused++;
	else
		compare_program(text, &program, tally);
	pcap_freecode(&compiled);
}

static void compare_expressions(uint32_t least)
{
	pcap_t *handle = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	struct tally tally = { 0 };

	assert_non_null(handle);
	engine_mistakes = 0;
	for (size_t i = 0; i < N_EXPRESSIONS; i++) {
		char buffer[256];
		const char *text = expression(i, buffer, sizeof(buffer));

		compare_expression(handle, text, 1, &tally);
		compare_expression(handle, text, 0, &tally);
	}
	pcap_close(handle);
	print_message("%u programs (%u refused), %u packets, %llu runs\n", tally.programs,
		      tally.refused, packets.n, (unsigned long long)tally.runs);
	assert_int_equal(engine_mistakes, 0);
	assert_true(tally.programs >= least);
	assert_true(tally.accepted > packets.n);
}

/* ---- many at once --------------------------------------------------------------------------- */

struct compiled {
	uint32_t n;
	struct bpf_program code[N_EXPRESSIONS];
	struct npf_program programs[N_EXPRESSIONS];
};

static void compile_all(struct compiled *all, int optimise)
{
	pcap_t *handle = pcap_open_dead(DLT_EN10MB, SNAPLEN);

	assert_non_null(handle);
	for (size_t i = 0; i < N_EXPRESSIONS; i++) {
		struct bpf_program *code = &all->code[all->n];
		struct npf_program *program = &all->programs[all->n];
		char buffer[256];

		if (pcap_compile(handle, code, expression(i, buffer, sizeof(buffer)), optimise,
				 PCAP_NETMASK_UNKNOWN))
			continue;
		*program = (struct npf_program){
			.length = code->bf_len,
			.insns = (const struct npf_insn *)code->bf_insns,
		};
		if (npf_filter_validate(program, NULL, 0))
			pcap_freecode(code);
		else
			all->n++;
	}
	pcap_close(handle);
}

/* Groups of 2 to 40: of neighbours, which are alike, and of what the step brings together. */
static void compare_groups(struct npf_host *host, const struct compiled *all, uint32_t step,
			   struct group_tally *tally)
{
	for (uint32_t first = 0, n = 2; first + n <= all->n; first += n, n = n % 40 + 2) {
		const struct npf_program *programs[NPF_JIT_GROUP_MOST];

		for (uint32_t i = 0; i < n; i++)
			programs[i] = &all->programs[(first + i) * step % all->n];
		group_compare(host, programs, n, packets.runs, packets.n, tally);
		group_compare_in_kernel(programs, n, packets.runs, packets.n, tally);
	}
}

static void groups_answer_as_each_alone(void **state)
{
	struct npf_host *host = npf_host_linux();
	struct group_tally tally = { 0 };

	(void)state;
	assert_non_null(host);
	for (int optimise = 0; optimise < 2; optimise++) {
		struct compiled *all = calloc(1, sizeof(*all));

		assert_non_null(all);
		compile_all(all, optimise);
		compare_groups(host, all, 1, &tally);
		compare_groups(host, all, 37, &tally);
		while (all->n)
			pcap_freecode(&all->code[--all->n]);
		free(all);
	}
	print_message("%u forms, %llu answers, %llu of them unsure; %u programs in the kernel\n",
		      tally.forms, (unsigned long long)tally.answers,
		      (unsigned long long)tally.unsure, tally.in_kernel);
	assert_true(tally.unjudged < tally.glances / 2 + 1);
	assert_int_equal(tally.mistakes, 0);
	assert_true(tally.forms > 10);
	/* A fourth of the packets is cut anywhere. */
	assert_true(tally.unsure < tally.answers / 4);
	npf_host_linux_free(host);
}

static void equal_on_made_packets(void **state)
{
	(void)state;
	compare_expressions(400);
}

static void equal_on_traces(void **state)
{
	char path[TESTDATA_PATH];

	(void)state;
	if (!testdata_path(path, "pcaps"))
		skip();
	read_folder(path);
	if (!packets.n) {
		print_message("there are no savefiles in %s\n", path);
		skip();
	}
	compare_expressions(400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_on_made_packets, make_mix, drop_packets),
		cmocka_unit_test_teardown(equal_on_traces, drop_packets),
		cmocka_unit_test_setup_teardown(groups_answer_as_each_alone, make_mix, drop_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
