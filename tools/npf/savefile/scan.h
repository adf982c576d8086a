/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a savefile's last whole record ends. A walk from the first byte, record by record, by the
 * rules of the format alone: a record is whole or it is not, nothing is searched for or assumed.
 * Reads through a callback with a small window, so that files of any size and any bytes will do.
 */
#ifndef NPF_SCAN_H
#define NPF_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum npf_scan_format { NPF_SCAN_NONE, NPF_SCAN_PCAP, NPF_SCAN_PCAP_NS, NPF_SCAN_PCAPNG };

/* What follows the last whole record. */
enum npf_scan_tail {
	NPF_TAIL_NONE,  /* the end of the file */
	NPF_TAIL_CUT,   /* the beginning of a record that the end of the file cuts off */
	NPF_TAIL_ZEROS, /* nothing but zeros: space that was never written */
	NPF_TAIL_OTHER, /* something that is no record, with bytes behind it */
};

struct npf_scan_source {
	/* Up to size bytes at offset into buffer: bytes, less only at the end of the file, or a
	 * negative errno value. */
	int64_t (*read)(void *context, void *buffer, size_t size, uint64_t offset);
	void *context;
	uint64_t size; /* of the file */
};

struct npf_scan {
	enum npf_scan_format format; /* NPF_SCAN_NONE: no savefile, or its header is not whole */
	uint32_t link_type;          /* of the first interface */
	uint64_t end;                /* bytes up to the end of the last whole record */
	uint64_t packets;            /* in them */
	uint64_t first, last;        /* ns since 1970, of the first and the last packet */
	enum npf_scan_tail tail;
};

/* 0, or what reading or -ENOMEM answered. */
int npf_scan(const struct npf_scan_source *source, struct npf_scan *scan);

const char *npf_scan_format_name(enum npf_scan_format format);

#endif
