/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap's interface as it is, and WinPcap's additions to it. What `pkg-config --cflags wpcap`
 * names comes before the system's folders, so that <pcap.h> is this.
 */
#ifndef NPF_WPCAP_PCAP_H
#define NPF_WPCAP_PCAP_H

/* As there, pcap.h brings Windows' names with it. First: struct in_addr. */
#include <winsock2.h>

/* pcap_stats_ex() answers in a structure that is longer on Windows. pcap_stats() fills what it has
 * on Linux, the first three fields. */
#define ps_ifdrop                                                                                  \
	ps_ifdrop;                                                                                 \
	u_int ps_capt;                                                                             \
	u_int ps_sent;                                                                             \
	u_int ps_netdrop
#include <pcap/pcap.h>
#undef ps_ifdrop

#ifdef __cplusplus
extern "C" {
#endif

#define MODE_CAPT 0
#define MODE_STAT 1
#define MODE_MON  2

/* ---- buffers and modes --------------------------------------------------------------------- */

/* Of live captures on NPF; -1 with a text otherwise. */
int pcap_setbuff(pcap_t *p, int bytes);       /* kernel's buffer; what it holds is lost */
int pcap_setuserbuffer(pcap_t *p, int bytes); /* taken, and not needed: packets are not copied */
int pcap_setmintocopy(pcap_t *p, int bytes);
int pcap_setmode(pcap_t *p, int mode);
HANDLE pcap_getevent(pcap_t *p); /* waitable; NULL where there is none */

/* *size: bytes of the answer, which belongs to the handle. NULL where there is none. */
struct pcap_stat *pcap_stats_ex(pcap_t *p, int *size);

/* 0, or a negative value with a text. *length: in the room at data, out the bytes there. */
int pcap_oid_get_request(pcap_t *p, bpf_u_int32 oid, void *data, size_t *length);
int pcap_oid_set_request(pcap_t *p, bpf_u_int32 oid, const void *data, size_t *length);

/* ---- sending ------------------------------------------------------------------------------- */

/* buffer holds the packets as the driver takes them: each behind 16 bytes (struct dump_bpf_hdr of
 * Packet32.h), without padding. */
typedef struct pcap_send_queue {
	u_int maxlen;
	u_int len;
	char *buffer;
} pcap_send_queue;

pcap_send_queue *pcap_sendqueue_alloc(u_int bytes);
void pcap_sendqueue_destroy(pcap_send_queue *queue);
int pcap_sendqueue_queue(pcap_send_queue *queue, const struct pcap_pkthdr *header,
			 const u_char *data);
/* Bytes sent; less than queue->len is an error. sync: at the distances of the time stamps. */
u_int pcap_sendqueue_transmit(pcap_t *p, pcap_send_queue *queue, int sync);

/* ---- dump by the driver -------------------------------------------------------------------- */

int pcap_live_dump(pcap_t *p, char *name, int max_bytes, int max_packets);
int pcap_live_dump_ended(pcap_t *p, int sync); /* 1 ended, 0 not, -1 */

/* ---- savefiles ----------------------------------------------------------------------------- */

/* A descriptor instead of Windows' handle; closed with the capture. */
pcap_t *pcap_hopen_offline(intptr_t handle, char *errbuf);

#ifdef __cplusplus
}
#endif
#endif
