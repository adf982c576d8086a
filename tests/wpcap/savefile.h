/* SPDX-License-Identifier: BSD-3-Clause */
/* Savefiles for the tests of libwpcap: numbered packets, one every 10 ms. */
#ifndef NPF_TEST_WPCAP_SAVEFILE_H
#define NPF_TEST_WPCAP_SAVEFILE_H

#define NOMINMAX
#include <pcap.h>

#include "lib/check.h"

#include <stdio.h>
#include <unistd.h>

#include "wpcap/sanitized.h"

#define SAVED_LENGTH 60u
#define SAVED_GAP_US 10000u

struct saved {
	char path[64];
	char errbuf[PCAP_ERRBUF_SIZE];
};

static inline void saved_header(struct pcap_pkthdr *header, uint32_t i)
{
	uint64_t us = (uint64_t)i * SAVED_GAP_US;

	*header = (struct pcap_pkthdr){
		.ts = { .tv_sec = (time_t)(1000 + us / 1000000),
			.tv_usec = (suseconds_t)(us % 1000000) },
		.caplen = SAVED_LENGTH,
		.len = SAVED_LENGTH + 40,
	};
}

/* n packets, the number of each in byte 14. */
static inline void saved_create(struct saved *saved, uint32_t n)
{
	uint8_t frame[SAVED_LENGTH] = { [12] = 0x08 };
	struct pcap_pkthdr header;
	pcap_dumper_t *dumper;
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
	int fd;

	snprintf(saved->path, sizeof(saved->path), "/tmp/npf-saved-XXXXXX");
	fd = mkstemp(saved->path);
	assert_true(fd >= 0);
	close(fd);
	dumper = pcap_dump_open(dead, saved->path);
	assert_non_null(dumper);
	for (uint32_t i = 0; i < n; i++) {
		saved_header(&header, i);
		frame[14] = (uint8_t)i;
		pcap_dump((u_char *)dumper, &header, frame);
	}
	pcap_dump_close(dumper);
	pcap_close(dead);
}

static inline pcap_t *saved_open(struct saved *saved)
{
	pcap_t *p = pcap_open_offline(saved->path, saved->errbuf);

	if (!p)
		fail_msg("%s", saved->errbuf);
	return p;
}

static inline void saved_remove(struct saved *saved)
{
	unlink(saved->path);
}

/* What callbacks saw. */
struct saved_seen {
	pcap_t *p;
	uint32_t n, stop_at;
	uint8_t numbers[256];
};

static inline void saved_see(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct saved_seen *seen = (struct saved_seen *)user;

	assert_int_equal(header->caplen, SAVED_LENGTH);
	seen->numbers[seen->n++] = data[14];
	if (seen->n == seen->stop_at)
		pcap_breakloop(seen->p);
}

#endif
