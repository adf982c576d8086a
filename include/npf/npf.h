/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NPF, the NetGroup Packet Filter: the driver's entry points (manual, "NPF functions").
 *
 * Every function that can fail returns 0 (or a count) or a negative errno value, changes nothing
 * when it fails, and leaves one readable sentence in npf_error(). Nothing here prints or exits.
 *
 * Threads: a driver may be used from several threads. An instance takes one reader at a time
 * (npf_read or a batch); control calls, writes and npf_stop_waiting() may run beside it.
 */
#ifndef NPF_NPF_H
#define NPF_NPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "npf/bpf.h"
#include "npf/ioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NPF_ERROR_SIZE    256 /* bytes of an error text, NUL included */
#define NPF_NAME_SIZE     32
#define NPF_TEXT_SIZE     128
#define NPF_MAX_ADDRESSES 16
#define NPF_MAX_CLASSES   64
#define NPF_MAX_BUFFER    (1u << 30) /* largest circular buffer, bytes */

struct npf_host; /* what the driver runs on: npf_host_linux() or the simulator */
struct npf_driver;
struct npf_instance; /* one opening of one adapter: the manual's OPEN_INSTANCE */

/* ---- the host ------------------------------------------------------------------------------ */

/* The Linux host. Needs no privilege by itself. NULL with errno set when memory is short. */
struct npf_host *npf_host_linux(void);
void npf_host_linux_free(struct npf_host *host); /* after npf_unload(); NULL is fine */

/* ---- the driver ---------------------------------------------------------------------------- */

/* Start a driver on a host, which must outlive it (DriverEntry). -ENOMEM, or what the list of
 * adapters answers. */
int npf_driver_entry(struct npf_host *host, struct npf_driver **driver);

/* Stop it (NPF_Unload). Every instance must be closed; -EBUSY and no change otherwise. */
int npf_unload(struct npf_driver *driver);

/* "npf 0.1.0". */
const char *npf_version(void);

/* ---- adapters ------------------------------------------------------------------------------ */

struct npf_address {
	uint8_t family; /* 4 or 6; 0 = unused entry */
	uint8_t prefix; /* bits of the network part */
	uint8_t address[16];
	uint8_t broadcast[16]; /* zero where there is none */
};

#define NPF_ADAPTER_UP       0x1u
#define NPF_ADAPTER_RUNNING  0x2u /* carrier, or a device that knows none */
#define NPF_ADAPTER_LOOPBACK 0x4u

struct npf_adapter {
	char name[NPF_NAME_SIZE];
	char description[NPF_TEXT_SIZE]; /* driver or kind, for people */
	uint32_t index;       /* interface number; a re-created interface gets a new one */
	uint32_t flags;       /* NPF_ADAPTER_* */
	uint32_t link_type;   /* LINKTYPE_ value of savefiles (1 Ethernet, 101 raw IP, ...) */
	uint32_t medium;      /* NPF_MEDIUM_* */
	uint32_t mtu;         /* bytes, link header excluded */
	uint32_t max_frame;   /* longest frame that can be sent, link header included */
	uint32_t max_receive; /* longest that can be received, merged packets included */
	uint32_t hatype;      /* ARPHRD_ value */
	uint64_t speed;       /* bit/s, 0 unknown */
	uint8_t address[8];   /* link-layer address */
	uint8_t permanent_address[8];
	uint8_t address_length; /* 0 where the link has none */
	uint8_t n_addresses;
	struct npf_address addresses[NPF_MAX_ADDRESSES];
	uint64_t rx_packets, tx_packets, rx_errors, tx_errors, rx_dropped;
};

/* The adapters of this moment (getAdaptersList), ordered by index. *list is freed with
 * npf_free_adapters_list(). */
int npf_get_adapters_list(struct npf_driver *driver, struct npf_adapter **list, size_t *n);
void npf_free_adapters_list(struct npf_driver *driver, struct npf_adapter *list);

/* Readable when an adapter came, went or changed since the last npf_get_adapters_list(); -1 where
 * the host has none. Owned by the driver. */
int npf_adapters_fd(struct npf_driver *driver);

/* ---- opening and closing ------------------------------------------------------------------- */

/* Where packets are tapped. */
enum npf_hook {
	NPF_HOOK_AUTO = 0,   /* the best that works, in this order (tcx where it shows the wire): */
	NPF_HOOK_TCX = 1,    /* eBPF on tcx, ingress and egress */
	NPF_HOOK_SOCKET = 2, /* eBPF socket filter on a packet socket */
	NPF_HOOK_TPACKET = 3, /* TPACKET_V3 and the tap in user space */
};

struct npf_open_options {
	size_t size; /* sizeof(struct npf_open_options) */
	enum npf_hook hook;
};

/*
 * Open an adapter (NPF_Open). options may be NULL. After it: no filter (all accepted, whole),
 * capture mode, no buffer (reads fail until BIOCSETBUFFERSIZE), MinToCopy 0, no waiting in reads,
 * one write each, NPF_FILTER_DEFAULT, own sends visible.
 * -ENODEV no such adapter, -EPERM a capability is missing (error says which), -ENOTSUP link type or
 * hook, -ENOMEM. error may be NULL.
 */
int npf_open(struct npf_driver *driver, const char *adapter, const struct npf_open_options *options,
	     struct npf_instance **instance, char error[NPF_ERROR_SIZE]);

/* End an instance's work: wakes its reader, waits until nobody is inside, leaves the adapter
 * (NPF_Cleanup). Calls that come later get -ECANCELED. Twice is fine. A batch counts as being
 * inside: end it first, from the thread that would clean up at the latest. */
void npf_cleanup(struct npf_instance *instance);

/* npf_cleanup(), then free it (NPF_Close). NULL is fine. */
void npf_close(struct npf_instance *instance);

/* The last failure of this instance as a sentence. Valid until the next call on it. */
const char *npf_error(const struct npf_instance *instance);

/* The hook in use, and the adapter as it is now (-ENODEV with the last known state once gone). */
enum npf_hook npf_instance_hook(const struct npf_instance *instance);
const char *npf_hook_name(enum npf_hook hook);
int npf_instance_adapter(struct npf_instance *instance, struct npf_adapter *adapter);

/* ---- control ------------------------------------------------------------------------------- */

/*
 * NPF_IoControl. *returned (may be NULL) is the number of bytes written to out.
 * -ENOTTY unknown code, -ENOBUFS a buffer is too short, -EINVAL a value is refused, -ENOTSUP the
 * code belongs to something this build has not.
 */
int npf_io_control(struct npf_instance *instance, uint32_t code, const void *in, size_t in_size,
		   void *out, size_t out_size, size_t *returned);

/* The same by name, where a plain call reads better. */
int npf_set_buffer(struct npf_instance *instance, uint32_t bytes);
int npf_set_min_to_copy(struct npf_instance *instance, uint32_t bytes);
int npf_set_timeout(struct npf_instance *instance, int32_t ms);
int npf_set_mode(struct npf_instance *instance, uint32_t mode);
int npf_set_hw_filter(struct npf_instance *instance, uint32_t bits);
int npf_set_timestamp_mode(struct npf_instance *instance, uint32_t mode);

/* Install a filter. On success the buffer is emptied and statistics restart; on failure (-EINVAL
 * with the instruction named in npf_error(), -ENOMEM) the old filter goes on. */
int npf_set_filter(struct npf_instance *instance, const struct npf_program *program);

/*
 * Sets of hosts, networks and ports, of tens of thousands of entries and more, at a cost that does
 * not grow with them. A packet must be in every set, and then pass the filter or a class.
 *
 * A host is a network of 32 or 128 bits. The addresses are those of IPv4, IPv6, and ARP (sender
 * and target), behind at most two VLAN tags. The ports are those of TCP, UDP and SCTP: of IPv4 in
 * the first fragment only, of IPv6 also behind extension headers. A packet without what a set is
 * about is not in it.
 */
#define NPF_MAX_SETS 4

enum npf_side { NPF_SIDE_EITHER = 0, NPF_SIDE_SOURCE = 1, NPF_SIDE_DESTINATION = 2 };

struct npf_net {
	uint8_t family; /* 4 or 6 */
	uint8_t prefix; /* bits that count; the others are ignored */
	uint8_t address[16];
};

struct npf_port_range {
	uint16_t first, last;
};

/* Networks or ports, one of the two. */
struct npf_set {
	enum npf_side side;
	uint32_t n_nets;
	const struct npf_net *nets;
	uint32_t n_ports;
	const struct npf_port_range *ports;
};

/* Replace the sets, none when n is 0. As npf_set_filter(): on success the buffer is emptied and
 * statistics restart, on failure (-EINVAL, -ENOTSUP for this link type, -ENOMEM) the old ones go
 * on. Nothing of the lists is kept. */
int npf_set_sets(struct npf_instance *instance, const struct npf_set *sets, uint32_t n);

/* ---- reading ------------------------------------------------------------------------------- */

/*
 * NPF_Read: copy as many whole packets as fit, each headed by npf_bpf_hdr, or one statistics
 * record. Returns bytes, 0 when the timeout passed with nothing. A packet that alone exceeds the
 * buffer is cut to fit (caplen says so) and consumed.
 * -ENOBUFS size below one header, -EINVAL no circular buffer, -EBUSY a batch is open, -ENODEV the
 * adapter is gone and everything was read, -ECANCELED closing, -EINTR npf_stop_waiting().
 */
int64_t npf_read(struct npf_instance *instance, void *buffer, size_t size);

#define NPF_PACKET_OUTGOING 0x1u /* sent by this host */
#define NPF_PACKET_CUT      0x2u /* shorter than the filter asked: larger than the buffer's unit */

struct npf_packet {
	uint64_t time;       /* ns since 1970 */
	uint32_t caplen;     /* bytes at data */
	uint32_t len;        /* bytes on the wire */
	uint32_t flags;      /* NPF_PACKET_* */
	const uint8_t *data; /* in the circular buffer itself, valid until npf_batch_end() */
};

/* Without a copy: wait as npf_read() does, walk the packets, give them back together.
 * npf_batch_begin: bytes pending, 0 on timeout (no batch is open then), errors as npf_read(). npf_batch_next: false at the
 * end of the batch. npf_batch_end releases what was walked; what was not stays for the next. */
int64_t npf_batch_begin(struct npf_instance *instance);
bool npf_batch_next(struct npf_instance *instance, struct npf_packet *packet);
void npf_batch_end(struct npf_instance *instance);

/* A descriptor that poll() finds readable exactly while a read would not wait: MinToCopy reached,
 * the timeout since the first pending packet passed, or the adapter or the instance ended.
 * Owned by the instance; -1 where the host has none. */
int npf_poll_fd(struct npf_instance *instance);

/* Make the reader that waits now, or the next, return -EINTR once. Async-signal-safe. */
void npf_stop_waiting(struct npf_instance *instance);

/* ---- counting ------------------------------------------------------------------------------ */

enum npf_drop {
	NPF_DROP_NO_BUFFER, /* there is no circular buffer */
	NPF_DROP_FULL,      /* it is full: the newest packet is dropped */
	NPF_DROP_COPY,      /* the kernel could not read the packet */
	NPF_DROP_REENTRY,   /* the tap was entered again on the same CPU while it worked */
	NPF_DROP_BACKLOG,   /* lost before the tap (TPACKET hook only), not filtered */
	NPF_DROP_N
};
const char *npf_drop_name(enum npf_drop reason);

/* Since open, or the last npf_set_filter(), npf_set_buffer() or hiding of own sends.
 * received = filtered + captured + dropped in capture mode, to the packet. In statistics mode
 * filtered is what the filter, or of several classes the first, did not count.
 * The buffer consists of chunks, which hold at least what was asked: buffer_used may exceed
 * buffer_size somewhat. */
struct npf_stats {
	uint64_t received; /* before the filter */
	uint64_t filtered; /* rejected by the filter */
	uint64_t captured; /* stored */
	uint64_t dropped;  /* accepted and lost, all reasons */
	uint64_t dropped_by[NPF_DROP_N];
	uint64_t buffer_size; /* bytes of the circular buffer, as asked */
	uint64_t buffer_used; /* bytes not read yet, record headers included */
};
int npf_get_stats(struct npf_instance *instance, struct npf_stats *stats);

/* Statistics mode. One filter, or several named ones counted in one pass over the traffic. */
struct npf_class {
	char name[NPF_NAME_SIZE];
	struct npf_program program; /* length 0 counts everything */
};
struct npf_class_stats {
	uint64_t packets;
	uint64_t bytes;      /* as on the wire, without preamble and checksum */
	uint64_t line_bytes; /* max(length, 60) + 12 each: what the manual's record counts */
};

/* Replace the classes (n = 0: the instance's own filter is the one class). At most
 * NPF_MAX_CLASSES. On failure the old ones stay and npf_error() names class and instruction. */
int npf_set_classes(struct npf_instance *instance, const struct npf_class *classes, uint32_t n);

/* Counters since npf_set_mode(NPF_MODE_STAT), npf_set_classes() or whatever else restarts the
 * statistics (see struct npf_stats); never reset by reading.
 * *n: in the entries of stats, out the classes. *time (may be NULL): ns since 1970. The counters
 * are read while traffic goes on: the classes of one answer may be of slightly different moments. */
int npf_get_class_stats(struct npf_instance *instance, struct npf_class_stats *stats, uint32_t *n,
			uint64_t *time);

/* ---- writing ------------------------------------------------------------------------------- */

/* NPF_Write: send a frame as it is, BIOCSWRITEREP times. Returns size, or 0 when the repeat count
 * is 0. -EINVAL size 0, -EMSGSIZE longer than the adapter sends, -ENODEV, -ENETDOWN, and what the
 * device answers. */
int64_t npf_write(struct npf_instance *instance, const void *frame, size_t size);

#ifdef __cplusplus
}
#endif
#endif
