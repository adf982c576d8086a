/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing captured packets to a savefile, pcap or pcapng, straight from the circular buffer.
 * libpcap's pcap_dump() would copy each packet through stdio, which costs more than capturing it;
 * here long packets go to the kernel from where they lie, and only short ones are gathered.
 */
#ifndef NPF_TOOL_SAVEFILE_H
#define NPF_TOOL_SAVEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "npf/npf.h"

#define SAVEFILE_PARTS   1000         /* of one write; below IOV_MAX */
#define SAVEFILE_GATHERS (256u << 10) /* bytes of headers and short packets per write */

/* The check sequence behind each packet, which is a part of its bytes. */
struct npf_fcs {
	bool known;
	uint8_t bits;
};

struct savefile_form {
	uint32_t link_type, snaplen;
	bool nano;          /* time stamps in ns, not us */
	bool ng;            /* pcapng, not pcap */
	struct npf_fcs fcs; /* one that savefile_has_fcs() */
};

/* Can such a file tell that? pcap counts in 16 bits, up to 15 of them. */
bool savefile_has_fcs(const struct savefile_form *form, const struct npf_fcs *fcs);

/* The bytes of such a file, of this machine's order: its header, and what stands in front of a packet's
 * data and behind. Each returns how many it put. */
#define SAVEFILE_HEAD        68u
#define SAVEFILE_PACKET_HEAD 28u
#define SAVEFILE_PACKET_END  7u
size_t savefile_put_head(const struct savefile_form *form, uint8_t *to);
size_t savefile_put_packet(const struct savefile_form *form, const struct npf_packet *packet,
			   uint8_t *to);
size_t savefile_put_end(const struct savefile_form *form, uint32_t caplen, uint8_t *to);

struct savefile {
	int fd;
	bool regular; /* can be cut back to its last whole packet */
	struct savefile_form form;
	uint64_t packets; /* whole ones in the file */
	uint64_t bytes;   /* of the file up to the last of them */
	uint64_t waiting; /* packets added and not written yet */
	int n_parts;
	uint32_t gathered;
	struct iovec parts[SAVEFILE_PARTS];
	uint8_t gather[SAVEFILE_GATHERS];
};

/* Create or replace a file, "-" is standard output, and write the header. A new one is its owner's
 * alone, for packets are private. Negative errno. */
int savefile_open(struct savefile *file, const char *name, const struct savefile_form *form);

/* Add a packet; its data must stay until savefile_flush(). Negative errno as there. */
int savefile_add(struct savefile *file, const struct npf_packet *packet);

/* Write what was added. When that fails (-ENOSPC, -EPIPE, ...) a regular file is cut back to whole
 * packets and packets says how many it holds. */
int savefile_flush(struct savefile *file);

/* Flush and close; the first error of both. */
int savefile_close(struct savefile *file);

#endif
