/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control codes of the driver and the structures that cross its boundary.
 * Numbers and layouts are WinPcap 4.1.3's, little-endian, with a 2 x 32-bit time stamp whatever the
 * host's struct timeval is, so that programs written for it find what they expect. Source: manual,
 * "NPF I/O control codes" and "NPF structures and definitions".
 */
#ifndef NPF_IOCTL_H
#define NPF_IOCTL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Control codes for npf_io_control(). Sizes and errors: docs/ioctl.md. */
#define NPF_BIOCISETLOBBEH        7410u /* in u32: 1 hide own sends, 2 show them (default) */
#define NPF_BIOCISDUMPENDED       7411u /* out u32: 1 when a dump limit was reached */
#define NPF_BIOCSMODE             7412u /* in u32: NPF_MODE_* */
#define NPF_BIOCSWRITEREP         7413u /* in u32: how often npf_write() sends a packet */
#define NPF_BIOCSMINTOCOPY        7414u /* in u32: bytes that make a reader ready */
#define NPF_BIOCGEVNAME           7415u /* obsolete: always refused */
#define NPF_BIOCSRTIMEOUT         7416u /* in i32: ms; 0 waits for ever, -1 not at all */
#define NPF_BIOCSETEVENTHANDLE    7920u /* in i32: an epoll descriptor to report readiness; once */
#define NPF_BIOCSETDUMPFILENAME   9029u /* in: a path; its last byte is taken for the NUL */
#define NPF_BIOCSETF              9030u /* in struct npf_insn[] */
#define NPF_BIOCGSTATS            9031u /* out struct npf_bpf_stat */
#define NPF_BIOCSENDPACKETSNOSYNC 9032u /* in: a queue, sent at once; returned: bytes of it */
#define NPF_BIOCSENDPACKETSSYNC   9033u /* the same, each frame at its time stamp */
#define NPF_BIOCSETDUMPLIMITS     9034u /* in u32[2]: bytes, packets; 0 none */
#define NPF_BIOCSETBUFFERSIZE     9592u /* in u32: bytes; 0 removes the buffer */
#define NPF_BIOCSETOID            0x80000000u /* in and out struct npf_oid_data */
#define NPF_BIOCQUERYOID          0x80000004u /* in and out struct npf_oid_data */

/* Npcap's later codes, same behaviour. */
#define NPF_BIOCSTIMESTAMPMODE  7428u /* in u32: NPF_TIMESTAMP_* */
#define NPF_BIOCGTIMESTAMPMODES 7429u /* out u32[]: count, then the modes */

/* Working modes (BIOCSMODE). Any odd value selects statistics, as in WinPcap. */
#define NPF_MODE_CAPT      0u
#define NPF_MODE_STAT      1u
#define NPF_MODE_MON       2u /* WinPcap's traffic engine: refused, as by every release since 4.0.2 */
#define NPF_MODE_DUMP      0x10u
#define NPF_MODE_STAT_DUMP 0x11u

/* Loopback behaviour (BIOCISETLOBBEH). */
#define NPF_DISABLE_LOOPBACK 1u
#define NPF_ENABLE_LOOPBACK  2u

/* Time stamps. Nanoseconds inside in every mode. */
#define NPF_TIMESTAMP_SINGLE_SYNC 0u /* monotonic clock plus its offset at the first open */
#define NPF_TIMESTAMP_COARSE      2u /* wall clock at the resolution of the timer tick, cheapest */
#define NPF_TIMESTAMP_PRECISE     4u /* wall clock, followed when it is stepped (default) */

/* Hardware filter bits (OID_GEN_CURRENT_PACKET_FILTER). */
#define NPF_FILTER_DIRECTED      0x01u
#define NPF_FILTER_MULTICAST     0x02u
#define NPF_FILTER_ALL_MULTICAST 0x04u
#define NPF_FILTER_BROADCAST     0x08u
#define NPF_FILTER_PROMISCUOUS   0x20u
#define NPF_FILTER_ALL_LOCAL     0x80u     /* what the host itself sends */
#define NPF_FILTER_OTHERS        0x100000u /* to other hosts, if the adapter receives it anyway */
/* What an instance has after open: everything the host's own protocols see. */
#define NPF_FILTER_DEFAULT                                                                         \
	(NPF_FILTER_DIRECTED | NPF_FILTER_MULTICAST | NPF_FILTER_BROADCAST | NPF_FILTER_ALL_LOCAL)

/* Object identifiers that BIOCQUERYOID answers; S = BIOCSETOID takes it too. */
#define NPF_OID_GEN_SUPPORTED_LIST        0x00010101u /* u32[] */
#define NPF_OID_GEN_HARDWARE_STATUS       0x00010102u /* u32: 0 ready, 4 not ready */
#define NPF_OID_GEN_MEDIA_SUPPORTED       0x00010103u /* u32: NPF_MEDIUM_* */
#define NPF_OID_GEN_MEDIA_IN_USE          0x00010104u /* u32: NPF_MEDIUM_* */
#define NPF_OID_GEN_MAXIMUM_LOOKAHEAD     0x00010105u /* u32 bytes */
#define NPF_OID_GEN_MAXIMUM_FRAME_SIZE    0x00010106u /* u32 bytes, link header excluded: the MTU */
#define NPF_OID_GEN_LINK_SPEED            0x00010107u /* u32 in 100 bit/s */
#define NPF_OID_GEN_VENDOR_ID             0x0001010Cu /* u32: first three bytes of the address */
#define NPF_OID_GEN_VENDOR_DESCRIPTION    0x0001010Du /* text, NUL included */
#define NPF_OID_GEN_CURRENT_PACKET_FILTER 0x0001010Eu /* u32 NPF_FILTER_*; S */
#define NPF_OID_GEN_CURRENT_LOOKAHEAD     0x0001010Fu /* u32 bytes; S (kept, without effect) */
#define NPF_OID_GEN_DRIVER_VERSION        0x00010110u /* u16 */
#define NPF_OID_GEN_MAXIMUM_TOTAL_SIZE    0x00010111u /* u32 bytes, link header included */
#define NPF_OID_GEN_MEDIA_CONNECT_STATUS  0x00010114u /* u32: 0 connected, 1 not */
#define NPF_OID_GEN_XMIT_OK               0x00020101u /* u64 frames */
#define NPF_OID_GEN_RCV_OK                0x00020102u /* u64 frames */
#define NPF_OID_GEN_XMIT_ERROR            0x00020103u /* u64 frames */
#define NPF_OID_GEN_RCV_ERROR             0x00020104u /* u64 frames */
#define NPF_OID_GEN_RCV_NO_BUFFER         0x00020105u /* u64 frames */
#define NPF_OID_802_3_PERMANENT_ADDRESS   0x01010101u /* 6 bytes */
#define NPF_OID_802_3_CURRENT_ADDRESS     0x01010102u /* 6 bytes */

/* NDIS media (and WinPcap's own negative ones). */
#define NPF_MEDIUM_802_3      0u
#define NPF_MEDIUM_LOOPBACK   17u
#define NPF_MEDIUM_IP         19u
#define NPF_MEDIUM_NULL       0xFFFFFFFFu
#define NPF_MEDIUM_BARE80211  0xFFFFFFFCu
#define NPF_MEDIUM_RADIO80211 0xFFFFFFFBu

/* Heads every packet that npf_read() returns; the data begins hdrlen bytes on. 20 bytes. */
struct npf_bpf_hdr {
	int32_t tv_sec;
	int32_t tv_usec;
	uint32_t caplen;  /* bytes that follow */
	uint32_t datalen; /* bytes the packet had on the wire */
	uint16_t hdrlen;  /* NPF_BPF_HDR_SIZE */
	uint16_t pad;
};
#define NPF_BPF_HDR_SIZE 20u

/* The next record of a read begins at NPF_WORDALIGN(hdrlen + caplen) from this one. */
#define NPF_ALIGNMENT    4u
#define NPF_WORDALIGN(x) (((x) + (NPF_ALIGNMENT - 1u)) & ~(NPF_ALIGNMENT - 1u))

/* A statistics record of npf_read(): npf_bpf_hdr, then two counters, 36 bytes. The counters lie
 * on 4-byte boundaries only: copy them out. */
#define NPF_STAT_RECORD_SIZE    36u
#define NPF_STAT_PACKETS_OFFSET 20u
#define NPF_STAT_BYTES_OFFSET   28u

/* With NPF_MODE_STAT_DUMP 44 bytes: behind the two, how long the dump's file is. */
#define NPF_STAT_DUMP_RECORD_SIZE 44u
#define NPF_STAT_DUMP_OFFSET      36u

/* Heads each packet of a send queue and of a savefile. 16 bytes, no padding between packets, so
 * that it may have any alignment. */
struct npf_sf_pkthdr {
	int32_t tv_sec;
	int32_t tv_usec;
	uint32_t caplen; /* bytes that follow */
	uint32_t len;    /* bytes on the wire; without meaning in a send queue */
};
#define NPF_SF_PKTHDR_SIZE 16u

/* BIOCGSTATS. Saturates where the 64-bit counters of npf_get_stats() do not fit. */
struct npf_bpf_stat {
	uint32_t bs_recv;   /* frames seen, before the filter */
	uint32_t bs_drop;   /* accepted by the filter, and lost */
	uint32_t ps_ifdrop; /* lost before the filter could see them */
	uint32_t bs_capt;   /* stored in the buffer */
};

/* BIOCQUERYOID and BIOCSETOID: header, then length bytes. */
struct npf_oid_data {
	uint32_t oid;
	uint32_t length;
	uint8_t data[1];
};
#define NPF_OID_HEADER_SIZE 8u

#ifdef __cplusplus
}
#endif
#endif
