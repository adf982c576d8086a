/* SPDX-License-Identifier: BSD-3-Clause */
#include <err.h>
#include <fts.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine.h"

uint64_t engine_random(void)
{
	static uint64_t state = 0x9E3779B97F4A7C15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 11;
}

static void make_slots(struct packets *packets)
{
	packets->slots = aligned_alloc(64, (size_t)PACKETS * PACKET_SLOT / 64 * 64 + 64);
	if (!packets->slots)
		err(1, "packets");
}

static void put(struct packets *packets, uint32_t i, const uint8_t *data, uint32_t caplen,
		uint32_t length)
{
	packets->length[i] = caplen < PACKET_SNAP ? caplen : PACKET_SNAP;
	packets->wire_length[i] = length;
	memcpy(packets->slots + (size_t)i * PACKET_SLOT, data, packets->length[i]);
}

/* ---- traces ---------------------------------------------------------------------------------- */

/* Every packet that was ever seen has the same chance to be among those that are kept. */
static void draw_from_file(struct packets *packets, const char *path, const char *name)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *file = packets->n_traces < MAX_TRACES ? pcap_open_offline(path, error) : NULL;
	uint64_t before = packets->seen;
	struct pcap_pkthdr *header;
	const uint8_t *data;

	if (!file)
		return;
	while (pcap_datalink(file) == DLT_EN10MB && pcap_next_ex(file, &header, &data) == 1) {
		uint64_t seen = packets->seen++;
		uint64_t at = seen < PACKETS ? seen : engine_random() % (seen + 1);

		if (at < PACKETS)
			put(packets, (uint32_t)at, data, header->caplen, header->len);
	}
	pcap_close(file);
	if (packets->seen == before)
		return;
	packets->traces[packets->n_traces] = strdup(name);
	if (!packets->traces[packets->n_traces++])
		err(1, "traces");
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

bool packets_from_traces(struct packets *packets, const char *folder)
{
	char *paths[] = { (char *)(uintptr_t)folder, NULL };
	FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	size_t folder_length = strlen(folder);
	FTSENT *entry;

	if (!tree)
		return false;
	make_slots(packets);
	while ((entry = fts_read(tree))) {
		if (entry->fts_info == FTS_F)
			draw_from_file(packets, entry->fts_path,
				       entry->fts_path + folder_length +
					       strspn(entry->fts_path + folder_length, "/"));
	}
	fts_close(tree);
	packets->origin = "traces";
	if (packets->seen >= PACKETS)
		return true;
	packets_free(packets);
	return false;
}

/* ---- the synthetic mix ----------------------------------------------------------------------- */

static uint16_t pick_port(void)
{
	static const uint16_t usual[] = { 80,  443, 443, 443, 53,   22,   25,   8080,
					  993, 123, 445, 139, 3389, 5060, 1883, 3306 };

	if (engine_random() % 2)
		return usual[engine_random() % (sizeof(usual) / sizeof(usual[0]))];
	return (uint16_t)(1024 + engine_random() % 60000);
}

/* A few hosts talk most. */
static uint32_t pick_host(void)
{
	uint32_t rank = (uint32_t)(engine_random() % 64 * (engine_random() % 64) / 64);

	return 0x0A000000 | (rank % 5) << 16 | (rank / 5 + 1);
}

static uint32_t put_ports(uint8_t *at, uint8_t protocol)
{
	bool to_server = engine_random() % 2;
	uint16_t usual = pick_port(), other = (uint16_t)(32768 + engine_random() % 28000);

	npf_put_be16(at, to_server ? other : usual);
	npf_put_be16(at + 2, to_server ? usual : other);
	if (protocol != 6)
		return 8;
	at[12] = engine_random() % 4 ? 0x80 : 0x50;
	at[13] = engine_random() % 16 ? 0x10 : engine_random() % 2 ? 0x02 : 0x11;
	if (engine_random() % 8 == 0)
		memcpy(at + (at[12] >> 4) * 4, "GET / HTTP/1.1", 14);
	return 20;
}

static uint32_t put_ipv4(uint8_t *at)
{
	uint32_t kind = (uint32_t)(engine_random() % 100), options = kind == 99 ? 4 : 0;

	at[0] = (uint8_t)(0x45 + options / 4);
	npf_put_be16(at + 2, (uint16_t)(40 + engine_random() % 1400));
	npf_put_be16(at + 6, kind == 98 ? 0x00B9 : 0x4000);
	at[8] = 64;
	at[9] = kind < 66 ? 6 : kind < 92 ? 17 : 1;
	npf_put_be32(at + 12, pick_host());
	npf_put_be32(at + 16, pick_host());
	return 20 + options + (kind < 92 ? put_ports(at + 20 + options, at[9]) : 8);
}

static uint32_t put_ipv6(uint8_t *at)
{
	at[0] = 0x60;
	npf_put_be16(at + 4, (uint16_t)(20 + engine_random() % 1400));
	at[6] = engine_random() % 3 ? 6 : engine_random() % 2 ? 17 : 58;
	at[7] = 64;
	npf_put_be32(at + 8, engine_random() % 8 ? 0x20010DB8 : 0xFE800000);
	npf_put_be32(at + 24, 0x20010DB8);
	at[39] = (uint8_t)engine_random();
	return 40 + (at[6] == 58 ? 8 : put_ports(at + 40, at[6]));
}

static uint32_t put_payload(uint8_t *at, uint16_t type)
{
	switch (type) {
	case 0x0800:
		return put_ipv4(at);
	case 0x86DD:
		return put_ipv6(at);
	default:
		at[7] = 1; /* ARP: a request */
		return 46;
	}
}

static uint32_t put_frame(uint8_t *frame)
{
	uint32_t kind = (uint32_t)(engine_random() % 100);
	uint16_t type = kind < 82 ? 0x0800 : kind < 95 ? 0x86DD : 0x0806;
	uint32_t at = 12;

	for (uint32_t i = 0; i < 12; i++)
		frame[i] = (uint8_t)(i % 6 ? engine_random() : 2);
	if (kind % 33 == 0) {
		npf_put_be16(frame + at, 0x8100);
		npf_put_be16(frame + at + 2, 100);
		at += 4;
	}
	npf_put_be16(frame + at, type);
	return at + 2 + put_payload(frame + at + 2, type);
}

void packets_synthetic(struct packets *packets)
{
	make_slots(packets);
	packets->origin = "synthetic mix";
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint8_t frame[PACKET_SNAP + 64] = { 0 };
		uint32_t headers = put_frame(frame), length;

		length = headers + (uint32_t)(engine_random() % 3 ? engine_random() % 1400 : 0);
		length = length < 60 ? 60 : length;
		put(packets, i, frame, length, length);
	}
}

void packets_free(struct packets *packets)
{
	for (unsigned int i = 0; i < packets->n_traces; i++)
		free(packets->traces[i]);
	packets->n_traces = 0;
	packets->seen = 0;
	free(packets->slots);
	packets->slots = NULL;
}

/* ---- what is in them ------------------------------------------------------------------------- */

/* The IPv4 source of a packet, 0: none. */
static uint32_t source_of(const struct packets *packets, uint32_t i)
{
	const uint8_t *data = packets->slots + (size_t)i * PACKET_SLOT;

	if (packets->length[i] < 34 || npf_get_be16(data + 12) != 0x0800)
		return 0;
	return npf_get_be32(data + 26);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint32_t packets_host(const struct packets *packets, double share)
{
	static uint32_t hosts[PACKETS];
	double best = 2;
	uint32_t host = 0;

	for (uint32_t i = 0; i < PACKETS; i++)
		hosts[i] = source_of(packets, i);
	qsort(hosts, PACKETS, sizeof(hosts[0]), by_number);
	for (uint32_t i = 0, next; i < PACKETS; i = next) {
		double far;

		for (next = i; next < PACKETS && hosts[next] == hosts[i];)
			next++;
		far = (double)(next - i) / PACKETS - share;
		far = far < 0 ? -far : far;
		if (hosts[i] && far < best) {
			best = far;
			host = hosts[i];
		}
	}
	return host;
}
