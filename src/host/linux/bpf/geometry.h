/* SPDX-License-Identifier: BSD-3-Clause */
/* What the loader tells the kernel's tap once and for all: constants to the verifier. */
#ifndef NPF_BPF_GEOMETRY_H
#define NPF_BPF_GEOMETRY_H

#include <stdint.h>

struct npf_tap_geometry {
	uint32_t n_cpus;
	uint32_t n_chunks;     /* 0: a dump's stream */
	uint32_t chunk_shift;  /* log2 of a chunk's bytes */
	uint32_t region_shift; /* log2 of the chunks of a region */
	uint32_t region_bytes; /* of one region, slack excluded */
	uint32_t loopback;     /* 1: the adapter is a loopback device */
	uint32_t hatype;       /* ARPHRD_ of the adapter */
	uint32_t stream_size;  /* of the ring of a dump, a power of two; 0: no dump */
	uint32_t stream_format;
	uint32_t stream_shift; /* log2 of region_bytes then */
};

/* Constants that mark what filters take the place of. */
#define NPF_FILTER_MARK   0x4E504631
#define NPF_CLASSIFY_MARK 0x4E504632

/* Entries of the map of programs that follow. */
#define NPF_NEXT_OF_EGRESS  0
#define NPF_NEXT_OF_INGRESS 1

#endif
