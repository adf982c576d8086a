/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NPF, the NetGroup Packet Filter: the driver's entry points (manual, "NPF functions").
 *
 * Every function that can fail returns 0 (or a count) or a negative errno value, changes nothing
 * when it fails, and leaves one readable sentence in npf_error(). Nothing here prints or exits.
 *
 * Threads: a driver may be used from several threads. An instance takes one reader at a time
 * (npf_read or a batch); control calls, writes and npf_stop_waiting() may run beside it. Writers of
 * one instance follow each other.
 *
 * Forks: what is open when a process forks both have open, and each may go on with it. An instance is read by
 * one of them. Both may send by it, also at the same time (see npf_set_send_path()). Closing it in one of
 * them is not felt by the other. What needs a thread a fork has not: it is refused with -ESRCH to change a
 * capture on tpacket, which fills in the parent only, and to end the parent's dump. No other thread may be
 * inside a call of the driver when a process forks whose child goes on with its instances, and a fork without
 * the C library (the clone system call by itself, vfork) must not use any.
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
	uint32_t min_frame;   /* shortest frame that can be sent: a link header, or 1 */
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
 * the host has none. Owned by the driver. A fork hears for itself from its first call of either on, and is
 * told then to look once; until that it has the parent's. */
int npf_adapters_fd(struct npf_driver *driver);

/* ---- opening and closing ------------------------------------------------------------------- */

/* Where packets are tapped. */
enum npf_hook {
	NPF_HOOK_AUTO = 0,   /* the best that works, in this order (tcx where it shows the wire): */
	NPF_HOOK_TCX = 1,    /* eBPF on tcx, ingress and egress */
	NPF_HOOK_SOCKET = 2, /* eBPF socket filter on a packet socket */
	NPF_HOOK_TPACKET = 3, /* TPACKET_V3 and the tap in user space */
	NPF_HOOK_NONE = 4,    /* nowhere: what NPF_OPEN_SEND_ONLY gives; cannot be asked for */
};

/* For sending: nothing is tapped, so that there can be no buffer and nothing is ever read or
 * counted; CAP_NET_RAW is enough. hook must be NPF_HOOK_AUTO. */
#define NPF_OPEN_SEND_ONLY 0x1u

struct npf_open_options {
	size_t size; /* sizeof(struct npf_open_options) */
	enum npf_hook hook;
	uint32_t flags;  /* NPF_OPEN_* */
	uint32_t buffer; /* bytes, 0 none: as npf_set_buffer(), which would load the tap once more */
};

/*
 * Open an adapter (NPF_Open). options may be NULL. After it: no filter (all accepted, whole),
 * capture mode, no buffer (reads fail until BIOCSETBUFFERSIZE), MinToCopy 0, no waiting in reads,
 * one write each, NPF_FILTER_DEFAULT, own sends visible.
 * -ENODEV no such adapter, -EPERM a capability is missing (error says which), -ENOTSUP link type or
 * hook, -ENOMEM, -EINVAL for the options. error may be NULL.
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

/* The same, but what was captured stays in the buffer, statistics go on, and a batch may be open (then
 * its owner calls). *earlier (may be NULL): so many of the packets that reads and batches give from now
 * on may not have passed this filter, but what was there before; they are the next ones. */
int npf_exchange_filter(struct npf_instance *instance, const struct npf_program *program,
			uint64_t *earlier);

/* Do not ask the filter, and keep so many bytes of every packet; with 0, ask it again. Needs no
 * privileges, so that a program can put its filter in place, give them up and have it act later.
 * npf_set_filter() ends it, npf_exchange_filter() does not. Classes are asked as ever. *earlier as
 * there. */
int npf_pass_unfiltered(struct npf_instance *instance, uint32_t keep, uint64_t *earlier);

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
#define NPF_PACKET_TAGGED   0x4u /* its VLAN tag had been taken out, and is in data again */

struct npf_packet {
	uint64_t time;       /* ns since 1970 */
	uint32_t caplen;     /* bytes at data */
	uint32_t len;        /* bytes on the wire */
	uint32_t flags;      /* NPF_PACKET_* */
	const uint8_t *data; /* in the circular buffer itself, valid until npf_batch_end() */
};

/* Without a copy: wait as npf_read() does, walk the packets, give them back together.
 * npf_batch_begin: bytes pending, 0 on timeout (no batch is open then), errors as npf_read().
 * npf_batch_next: false at the end of the batch. npf_batch_end releases what was walked; what was
 * not stays for the next. */
int64_t npf_batch_begin(struct npf_instance *instance);
/* Without waiting, of whatever is there: for who has waited himself. 0: nothing is. */
int64_t npf_batch_begin_now(struct npf_instance *instance);
bool npf_batch_next(struct npf_instance *instance, struct npf_packet *packet);
void npf_batch_end(struct npf_instance *instance);

/* The same, but what the batch gave can be looked at until the next read or batch begins, whatever
 * becomes of the buffer; so much of its room is missing until then. */
void npf_batch_leave(struct npf_instance *instance);

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
/* In a signal handler, too: amid a control call it tells what was counted when that began. */
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

/* ---- dump to disk -------------------------------------------------------------------------- */

/*
 * Packets go from the kernel's buffer to the file system without another copy: the tap writes the
 * file's own records into one stream of bytes that all CPUs share, and a thread of the driver hands
 * its pages to the disk (manual, "Dump to disk"). npf_dump_start() is the whole of it; the control
 * codes BIOCSMODE, BIOCSETDUMPLIMITS and BIOCSETDUMPFILENAME do the same the manual's way.
 *
 * Every file ends on a whole packet and keeps its limits; a change of files loses no packet. Packets
 * lie in the file in the order of their time stamps, whatever CPU they came from.
 * After a crash a file may end within a packet, never with bytes that are no packet.
 */
enum npf_dump_format {
	NPF_DUMP_PCAP = 0,    /* microseconds; what the control codes write */
	NPF_DUMP_PCAP_NS = 1, /* nanoseconds */
	NPF_DUMP_PCAPNG = 2,  /* nanoseconds, direction, counters of loss */
};

/* Why a dump, or one file of it, is at its end. */
enum npf_dump_end {
	NPF_DUMP_RUNNING = 0,
	NPF_DUMP_STOPPED, /* npf_dump_stop(), npf_close(), another file's name, another mode */
	NPF_DUMP_BYTES,   /* a limit */
	NPF_DUMP_PACKETS, /* a limit */
	NPF_DUMP_TIME,    /* a limit */
	NPF_DUMP_ROTATED, /* npf_dump_rotate(): of a file only */
	NPF_DUMP_FILES,   /* next() had no more */
	NPF_DUMP_GONE,    /* the adapter has gone */
	NPF_DUMP_FULL,    /* no space left, or no quota */
	NPF_DUMP_FAILED,  /* the file could not be written, or next() failed */
	NPF_DUMP_END_N
};
const char *npf_dump_end_name(enum npf_dump_end end);

/* One file, as the provider gives it and gets it back. */
struct npf_dump_file {
	/* For next() to know. */
	uint64_t number; /* 0, 1, 2, ... */
	uint64_t time;   /* ns since 1970: of its first packet; of file 0 when the dump began */
	/* For next() to set; they are -1 and 0 before. */
	int fd;         /* empty, open for writing (better: for both), at its start; the caller's */
	uint64_t until; /* first packet stamped then or later goes to the next file; 0: file_ns */
	/* For done() to know. */
	/* The file's size, header included. It is longer when its end is no whole packet and could
	 * not be cut off: some quotas refuse even that. */
	uint64_t bytes;
	uint64_t packets; /* in it */
	uint64_t dropped; /* lost since the dump began, before this file's last packet */
	uint64_t ended;   /* ns since 1970 */
	enum npf_dump_end end;
};

struct npf_dump_options {
	size_t size; /* sizeof(struct npf_dump_options) */
	enum npf_dump_format format;

	/*
	 * Where to: a path, or a provider of files. A path is created or, if it is a file of the
	 * same user, emptied; a symbolic link in its place is refused; mode 0600.
	 *
	 * next() gives a file by its descriptor: a regular file, a pipe, whatever takes bytes. 0;
	 * 1: there are no more, the dump ends cleanly; negative errno with a sentence in error: it
	 * ends with that. A file is asked for when there is a packet for it, file 0 at once.
	 * done() gives it back, complete, to be synced, renamed, closed. Each file gets one.
	 * File 0 is asked for by the thread of npf_dump_start(), before it returns; all else is
	 * called on the dump's own thread, one at a time, and may not call the driver. While next()
	 * or done() works, the buffer fills: long work belongs elsewhere.
	 */
	const char *path;
	int (*next)(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE]);
	void (*done)(void *arg, const struct npf_dump_file *file);
	void *arg;

	/* Limits, 0: none. Those of a file need next(). Bytes are sizes of files: headers count.
	 * A packet that alone exceeds file_bytes gets a file of its own. Time is that of the packets'
	 * stamps, by a clock that nobody sets; a file whose time has passed ends without waiting for
	 * a packet. */
	uint64_t file_bytes, file_packets, file_ns;
	uint64_t max_bytes, max_packets, max_ns;

	/* A packet is in the file after this at the latest, and so often the disk is asked to keep
	 * what is there, without waiting for it; 0: one second. */
	uint64_t flush_ns;
	bool buffered; /* write through the page cache even where that could be avoided */

	uint32_t snaplen; /* for the header: the most the filter keeps; 0: everything */
	/* pcapng: options of its headers, NULL where not wanted. */
	const char *filter, *application, *os, *hardware, *comment;
};

/*
 * Begin. Needs a buffer (npf_set_buffer(), rounded up to a power of two here); changes the mode to
 * NPF_MODE_DUMP, or NPF_MODE_STAT_DUMP from NPF_MODE_STAT. What was captured and not read is gone.
 * Until the end the buffer stays as it is (-EBUSY), another mode ends the dump, filters may change,
 * and npf_read() returns no packets: it waits for the end (or, with statistics, for a record).
 * npf_poll_fd() is readable once the dump has ended.
 * -EINVAL, -EBUSY one is running, -ENOMEM, and what opening the file answers.
 */
int npf_dump_start(struct npf_instance *instance, const struct npf_dump_options *options);

/* Change the mode beforehand: all of npf_dump_start() that needs privileges. One that follows, of
 * the same format, needs none, so that they can be given up before a file is opened. Until then
 * packets are neither stored nor counted. Errors as there. */
int npf_dump_prepare(struct npf_instance *instance, enum npf_dump_format format);

/* End it: everything that arrived until now is in the file, then the file is given back. 0 also
 * when it had ended before, by itself; the error where not all could be written (the status says
 * more). -EINVAL nothing was started. */
int npf_dump_stop(struct npf_instance *instance);

/* End the current file here and go on in the next. */
int npf_dump_rotate(struct npf_instance *instance);

struct npf_dump_status {
	enum npf_dump_end end;
	int error;                    /* negative errno, or 0 */
	char message[NPF_ERROR_SIZE]; /* about error; empty without */

	/* Counted since npf_dump_start(); received, filtered and dropped are in npf_get_stats(),
	 * and captured = packets + lost, once it has ended. */
	uint64_t packets; /* written */
	uint64_t bytes;   /* of all files, headers included */
	uint64_t files;   /* begun */
	uint64_t lost;    /* captured, and then beyond a limit, or not to be written */
	uint64_t blank;   /* of packets: their data are zeros, the kernel could not read them */

	uint64_t file_bytes; /* of the current or last file (the manual's dump offset) */
	uint64_t file_packets;

	uint64_t buffer_size;
	uint64_t buffer_used;
	uint64_t buffer_most; /* highest buffer_used that was seen */

	uint64_t writes;                    /* to the disk */
	uint64_t write_p50, write_p99;      /* ns one took, to about 6 % */
	uint64_t write_max;                 /* ns, exactly */
	bool direct;                        /* no page cache in between */
	char why_not_direct[NPF_TEXT_SIZE]; /* empty when direct */
};
/* Of the dump that runs, or of the last one. -EINVAL there was none. */
int npf_dump_get_status(struct npf_instance *instance, struct npf_dump_status *status);

/* ---- sending ------------------------------------------------------------------------------- */

/* How frames leave. */
enum npf_send_path {
	NPF_SEND_AUTO = 0, /* the fastest whose difference nobody can see; see below */
	/* Packet socket, sendmmsg: every capture on the adapter sees the frames. */
	NPF_SEND_SOCKET = 1,
	NPF_SEND_XSK = 2,      /* AF_XDP: past the queueing discipline; no capture here sees them */
	NPF_SEND_CLONE = 3,    /* made in the kernel from one packet; captures see them */
	NPF_SEND_XDP = 4,      /* XDP live frames: as AF_XDP, fastest; Ethernet drivers that can */
	NPF_SEND_FASTEST = 16, /* to be set only: as AUTO, but whoever captures */
};
#define NPF_SEND_PATHS 5
/* AUTO prepares the fast ones, which takes milliseconds, once so many frames were given without a
 * time. */
#define NPF_SEND_MANY 8192u

/*
 * The loopback rule: frames that are sent are seen by every capture on the adapter, the sender's
 * own unless BIOCISETLOBBEH hides them from it. XDP and AF_XDP go behind the backs of captures, so
 * AUTO takes them only while there is none that should see the frames (no packet socket, no tcx or
 * clsact program) and no queueing discipline that would shape them. It looks when a call begins, and again every
 * few milliseconds. Frames with a time go by socket. A path that is set here is obeyed
 * whoever captures: -ENOTSUP or -EPERM when that cannot be, and npf_error() says why. What another sender by
 * AF_XDP has is waited for, half a second, by who asks for that path or sends by it; npf_stop_sending() ends
 * the wait: -EINTR.
 *
 * A fork sends by ways of its own, which it makes when it first needs them, with the rights that it has by
 * then; its frames and its parent's are in order each for themselves, and each counts its own, and stops by
 * itself. npf_wait_sent() waits for those of both in the packet socket's queue. AF_XDP is the process' that
 * prepared it: until that has closed the instance, and so has each fork that has not sent by it since, others
 * cannot use it, and are answered so where it is forced.
 */
int npf_set_send_path(struct npf_instance *instance, enum npf_send_path path);
/* The one last used; NPF_SEND_AUTO before anything was sent. */
enum npf_send_path npf_get_send_path(const struct npf_instance *instance);
/* Would AUTO take this path for many frames at once, now? 0, or -ENOTSUP (adapter or kernel), -EPERM
 * (a capability), -EBUSY (somebody would miss the frames) and why as a sentence, which may be NULL.
 * Sends nothing, so a driver that takes no frames this way shows only when sending. */
int npf_check_send_path(struct npf_instance *instance, enum npf_send_path path,
			char reason[NPF_ERROR_SIZE]);
/* "auto", "socket", "xsk", "clone", "xdp". */
const char *npf_send_path_name(enum npf_send_path path);

/* NPF_Write: send a frame as it is, BIOCSWRITEREP times. Returns size, or 0 when the repeat count
 * is 0. -EINVAL size 0, -EMSGSIZE longer than the adapter sends, -ENODEV, -ENETDOWN, -EINTR
 * npf_stop_sending(), and what the device answers: npf_error() says how many copies went. */
int64_t npf_write(struct npf_instance *instance, const void *frame, size_t size);
int npf_set_write_repeat(struct npf_instance *instance, uint32_t copies);

/*
 * NPF_BufferedWrite: send a queue of frames, each headed by a npf_sf_pkthdr, nothing between them.
 * sync: each at its time stamp, counted from the first record's; a record whose time lies before
 * goes at once. Otherwise all at once, whatever the stamps say.
 * Returns the bytes that went. Less than size, with sync and an empty npf_error(): the next record
 * is due in more than one whole second after the first (by its seconds). Call again with the rest
 * when npf_send_clock() is as far past what it was at this call as that record's time stamp is past
 * the first's: a call sends its first record at once. Less than size otherwise: npf_error() says
 * what happened after that record, as calling again would. (A stop is told to the next call that has
 * exactly the rest, at the same address, and to no other.)
 * -EINVAL or -EMSGSIZE, and nothing was sent: the error names the record that is malformed (header
 * or data cut off, caplen 0 or longer than the adapter sends). An empty queue gives 0.
 */
int64_t npf_buffered_write(struct npf_instance *instance, const void *queue, size_t size, bool sync);

/*
 * Wait until a time of npf_send_clock(), for who has the rest of a queue: 0 when it is time, -EINTR a stop
 * (of this wait, or the one that left this rest), -ECANCELED npf_cleanup(), -ENODEV the adapter has
 * gone. Others may send meanwhile.
 */
int npf_wait_for_rest(struct npf_instance *instance, const void *rest, size_t size, uint64_t time);

/* What both of the above are made of. */
struct npf_send_frame {
	const void *data;
	size_t size;
	uint64_t at; /* when, in ns of npf_send_clock(); 0: at once */
};

/*
 * Send frames in order, each not before its time; one whose time has passed goes at once, and what
 * is due together goes together. Times may be any distance ahead. All sizes are checked first.
 * *sent (may be NULL) is how many went, whatever is returned: 0 all of them, -EINTR
 * npf_stop_sending(), -ECANCELED npf_cleanup(), -EINVAL, -EMSGSIZE, -ENETDOWN, -ENODEV, -ENOBUFS.
 * The frames after that number did not go and can be given again.
 */
int npf_send_frames(struct npf_instance *instance, const struct npf_send_frame *frames, size_t n,
		    size_t *sent);

/* The clock of npf_send_frame.at: monotonic (on Linux CLOCK_MONOTONIC). */
uint64_t npf_send_clock(const struct npf_instance *instance);

/* Make the send (or the wait for a rest) that runs now, or the next, end early with -EINTR once. Async-signal-safe. */
void npf_stop_sending(struct npf_instance *instance);

/* Wait until what was handed over has left the adapter's queue (NPF_WaitEndOfBufferedWrite), at
 * most ns. npf_buffered_write() does this by itself, for a second at most; so does npf_close(), for
 * as long as something leaves, until nothing has for a second. -ETIMEDOUT, -EINTR.
 * And, only here, until an adapter that counts frames when their receiver takes them (a veth that was sent
 * live frames) has counted them, or has counted no more for a second: what is missing then got lost. */
int npf_wait_sent(struct npf_instance *instance, uint64_t ns);

enum npf_send_failure {
	NPF_SEND_FAILED_DOWN,    /* adapter down or without carrier */
	NPF_SEND_FAILED_GONE,    /* adapter removed */
	NPF_SEND_FAILED_FULL,    /* its queue stayed full */
	NPF_SEND_FAILED_REFUSED, /* too long, too short, malformed */
	NPF_SEND_FAILED_STOPPED, /* npf_stop_sending() or npf_cleanup() came first */
	NPF_SEND_FAILED_OTHER,
	NPF_SEND_FAILED_N
};
const char *npf_send_failure_name(enum npf_send_failure reason);

/*
 * Since open or npf_reset_send_stats(). asked = handed + failed between calls, to the frame; what is
 * refused before anything goes is not counted.
 * confirmed is what the adapter's own counter of sent frames has risen by, at most handed; it never
 * falls. The counter is shared: where the adapter may lose frames without a word (loopback, tun and
 * tap devices, queueing disciplines) no more is confirmed than is left when all losses were ours.
 * Adapters with a queue, and a veth, may need npf_wait_sent() before it is complete. A reset amid a send leaves
 * asked what that send has not counted yet.
 */
struct npf_send_stats {
	uint64_t asked;     /* frames, copies included */
	uint64_t handed;    /* the kernel took them for sending */
	uint64_t confirmed; /* the adapter counted them as sent */
	uint64_t failed;    /* did not go, all reasons */
	uint64_t failed_by[NPF_SEND_FAILED_N];
	uint64_t device_dropped; /* by the adapter meanwhile, anybody's; not live frames that it refused */
	uint64_t bytes;          /* of the frames handed over */
	uint64_t by_path[NPF_SEND_PATHS]; /* frames handed over by each path */
	uint64_t paced;                   /* frames that had a time, and went */
	uint64_t late;                    /* of them later than npf_set_late_limit() */
	uint64_t late_p50, late_p99;      /* ns behind their time, to 1/16 */
	uint64_t late_max;                /* exact */
};
int npf_get_send_stats(struct npf_instance *instance, struct npf_send_stats *stats);
int npf_reset_send_stats(struct npf_instance *instance);

/* ns from which a paced frame counts as late; 100 us unless set. */
int npf_set_late_limit(struct npf_instance *instance, uint64_t ns);

/* ---- the trace ----------------------------------------------------------------------------- */

/* With NPF_TRACE=1 in the environment the Linux host prints the chain of functions that open,
 * control and close to standard error, as it happens. This is for what lies above: tell that a
 * function begins or ends; what (may be NULL) explains. Does nothing without the variable. */
void npf_trace(const char *function, const char *what, bool begins);

#ifdef __cplusplus
}
#endif
#endif
