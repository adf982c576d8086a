/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libwpcap, private. A handle is either libpcap's, with all calls handed to it, or a live capture
 * on NPF:
 *
 *   pcap_create ──► libpcap's handle, which checks and keeps the options
 *        │ pcap_activate
 *        ├── NPF drives the adapter and knows the options ──► a live capture of ours; libpcap's
 *        │                                                    handle gives way to a dead one that
 *        │                                                    compiles and opens savefiles
 *        └── else ──► it is activated, and stays
 *
 *   real.c        libpcap, loaded privately; unused.c its handles that are not activated
 *   forward.c     what needs no handle
 *   handle.c      handles: create, options, close, and what both kinds answer
 *   process.c     counts of threads, which a fork has not all of
 *   place.c       waiting for packets, and closing meanwhile
 *   activate.c    opening on NPF, in the steps of the original
 *   read.c        packets: loop, dispatch, next; sampling.c some of them only
 *   filter.c      compiling and installing; filter_here.c filtering what was read; engine.c
 *                 bpf_filter() and pcap_offline_filter()
 *   extensions.c  WinPcap's additions; send.c send queues; source.c source strings
 *   dropin        libwpcap in libpcap's place
 */
#ifndef NPF_WPCAP_H
#define NPF_WPCAP_H

#define NOMINMAX
#define NPF_FORMATS_AS_THEY_ARE
#include <stdbool.h>

#include <pcap.h>

#include "Packet32.h"
#include "npf/npf.h"
#include "wpcap/real.h"

#define WPCAP_LARGEST_SNAPLEN 262144u

#define WPCAP_ALL UINT64_MAX

#define WPCAP_EXPORT __attribute__((visibility("default")))

struct options {
	int snaplen;
	int timeout; /* ms */
	int buffer_size;
	int tstamp_type;
	int precision;
	int protocol;
	bool promiscuous, rfmon, immediate;
	bool show_own; /* capture what this handle sends: as WinPcap, and not as libpcap */
	bool only_its; /* without promiscuous mode nothing for other hosts: likewise */
};

/* libpcap's, of a handle that is not activated; id -1: not known. */
struct wpcap_event {
	int fd, id;
};

/* Threads of this process; see process.c. */
struct wpcap_count {
	uint32_t word; /* atomic */
};

struct counters {
	uint64_t received, dropped, lost;
};

struct pcap {
	pcap_t *real;             /* libpcap's, which does everything; or NULL: ours */
	struct wpcap_event event; /* of it, until it is activated */
	char *device;             /* of a handle from pcap_create; NULL otherwise */
	struct options options;

	/* A live capture on NPF. */
	LPADAPTER adapter;
	struct npf_instance *instance;
	LPPACKET packet;  /* of statistics; captured ones are handed out where they are */
	pcap_t *dead;     /* libpcap's, of the same link type: compiles, opens savefiles */
	pcap_t *compiler; /* a live one, for expressions that need it; NULL until one does */
	int link_type;
	bool ethernet; /* has DOCSIS as another link type */
	bool nonblocking;
	bool min_to_copy_set; /* by pcap_setmintocopy() */
	pcap_direction_t direction;
	uint32_t broken;                 /* pcap_breakloop() was called; atomic */
	struct wpcap_count waiting;      /* threads that wait for packets */
	struct wpcap_count transmitting; /* threads that send a queue */
	struct wpcap_count breaking;     /* calls of pcap_breakloop() that may stop one of them */
	bool closed; /* by a signal handler amid such a wait, which looks at it */
	/* Who reads, once it is activated, for pcap_breakloop(); one at most, atomic. */
	pcap_t *real_reader;
	struct npf_instance *reader;
	int mode;     /* MODE_CAPT, MODE_STAT */
	bool dumping; /* the driver is in dump mode, whichever of these it is otherwise */

	/* Reading. */
	bool batch;                /* one is open: a packet of it was handed out */
	uint32_t walked;           /* bytes of it */
	uint32_t longest_walk;     /* bytes after which it ends */
	bool lasting;              /* it is known that the descriptor is readable meanwhile */
	struct npf_packet found;   /* last, */
	struct pcap_pkthdr header; /* and how it is handed out, */
	const u_char *data;
	bool left;                /* the packet of one that was left may still be looked at, */
	bool to_discard;          /* and these, which are not wanted, go with it */
	bool has_ahead;           /* which was not done yet, */
	bool ahead_is_earlier;    /* and there is another filter since */
	struct pcap_pkthdr shown; /* what pcap_next_ex() gave, */
	const u_char *shown_data;
	uint8_t *last;      /* room for a copy of it; NULL until wanted */
	uint8_t *at_hand;   /* dropin.h's, of our descriptor; NULL: not there */
	uint8_t record[64]; /* of statistics */
	struct pcap_samp sampling;
	uint32_t sampled;      /* packets since the last that was taken */
	uint64_t sample_after; /* ns: the next one that is taken */

	/* Filtering. */
	struct bpf_program filter; /* as it was set; bf_len 0: none */
	struct npf_insn *given;    /* what the driver has; NULL: nothing, it keeps all */
	uint32_t n_given;
	uint64_t to_filter; /* packets to come that the driver did not filter; WPCAP_ALL: nor will it */
	bool unfiltered; /* what the driver has does not act: all comes, or so many bytes of all */
	bool libpcaps;   /* libpcap filters: it is no program for the driver at all */
	bool reading;    /* packets were asked for */
	uint8_t *untagged; /* room for a packet without its tag; NULL until wanted */
	uint32_t ifindex, hatype;

	/* Counting. */
	struct counters counted;  /* before the last restart of the driver's counters */
	struct counters held;     /* of while they restart: */
	uint32_t holds;           /* pcap_stats() in a signal handler tells these; atomic */
	uint64_t adapter_dropped; /* by the adapter when it was opened */
	struct pcap_stat stats;   /* of pcap_stats_ex() */

	char error[PCAP_ERRBUF_SIZE];
};

/* A scope that the trace shows. */
static inline void wpcap_traced_end(const char **function)
{
	npf_trace(*function, NULL, false);
}
static inline const char *wpcap_traced_begin(const char *function, const char *what)
{
	npf_trace(function, what, true);
	return function;
}
#define WPCAP_TRACED(what)                                                                         \
	const char *wpcap_traced_ __attribute__((cleanup(wpcap_traced_end), unused)) =             \
		wpcap_traced_begin(__func__, what)

/* ---- process.c ----------------------------------------------------------------------------- */

/* Another than that of every process that this one is a fork of. */
uint32_t wpcap_process(void);
/* In, and out with what came in told; those of this process that are left. A signal handler may. */
void wpcap_count_in(struct wpcap_count *count, uint32_t *process);
uint32_t wpcap_count_out(struct wpcap_count *count, uint32_t process);
uint32_t wpcap_counted(const struct wpcap_count *count);

/* ---- place.c ------------------------------------------------------------------------------- */

/* Which handle this thread is about, for signal handlers: they interrupt it anywhere. */
struct wpcap_place {
	const pcap_t *p;
	bool in_driver; /* else it waits for packets */
	int cancels;    /* of pthread_setcancelstate() */
};
struct wpcap_place wpcap_go(const pcap_t *p, bool in_driver);
void wpcap_go_back(const struct wpcap_place *before);
/* A scope that calls the driver: neither is the thread cancelled there, nor will pcap_close() in a signal
 * handler wait for what it interrupts. */
#define WPCAP_IN_DRIVER(p)                                                                         \
	const struct wpcap_place wpcap_before_                                                     \
		__attribute__((cleanup(wpcap_go_back), unused)) = wpcap_go((p), true)
/* Wait for packets. A program may end this wait for good: by pthread_cancel(), by a jump out of a signal
 * handler, by pcap_close() in one. Nothing of the driver is held meanwhile. 1: there are some, or a
 * signal came; 0: time has passed; PCAP_ERROR_BREAK, and the handle may be gone. */
int wpcap_await(pcap_t *p, int ms);
/* End a live capture; false: the handle is still looked at. */
bool wpcap_end(pcap_t *p);

/* ---- handle.c ------------------------------------------------------------------------------ */

/* Around a handle of libpcap's; NULL, and it is closed, when memory is short. NULL gives NULL. */
pcap_t *wpcap_wrap(pcap_t *real, char *errbuf);
/* Is it a live capture on NPF? */
static inline bool wpcap_is_live(const pcap_t *p)
{
	return !p->real;
}
/* Keep a text; returns result. */
int wpcap_fail(pcap_t *p, int result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with what the adapter says. */
int wpcap_fail_adapter(pcap_t *p, int result, const char *doing);
/* Keep the text of a libpcap handle that worked for us. */
int wpcap_fail_as(pcap_t *p, int result, pcap_t *worker);

/* ---- unused.c ------------------------------------------------------------------------------ */

pcap_t *wpcap_create_unused(const char *device, char *errbuf, struct wpcap_event *event);
void wpcap_close_unused(pcap_t *real, const struct wpcap_event *event);

/* ---- activate.c ---------------------------------------------------------------------------- */

/* Does NPF drive this device with these options? */
bool wpcap_drives(const char *device);
/* Open on NPF: 0, or -1 and nothing has changed. */
int pcap_activate_win32(pcap_t *p);
void pcap_cleanup_win32(pcap_t *p);
/* How much wakes the reader, unless somebody said: as it fits the buffer. */
BOOLEAN wpcap_set_min_to_copy(const pcap_t *p);
/* How long packets wait for more at most. */
BOOLEAN wpcap_set_timeout(const pcap_t *p);
/* For filters and savefiles as well: 0, or -1 and nothing has changed. */
int wpcap_set_link_type(pcap_t *p, int type);

/* ---- filter.c ------------------------------------------------------------------------------ */

/* With or without a filter: cut to the snap length, one direction. 0, -1 with a text. */
int wpcap_install(pcap_t *p, const struct bpf_program *filter);
/* libpcap's handle, to which ours is none any more: in libpcap's place it compiles from now on. */
void wpcap_take_over(pcap_t *p, pcap_t *real);
void wpcap_forget_filters(pcap_t *p);

/* ---- filter_here.c ------------------------------------------------------------------------- */

/* Is it none for the driver, but for libpcap's bpf_filter(): does it jump back, or is it too long? */
bool wpcap_is_libpcaps(const struct bpf_program *filter);
bool wpcap_can_filter_here(const struct bpf_program *filter);
/* Bytes to keep of a packet, by direction and filter; 0: none. */
uint32_t wpcap_filter_here(pcap_t *p, const struct npf_packet *packet);

/* ---- sampling.c ----------------------------------------------------------------------------- */

static inline bool wpcap_is_sampled(const pcap_t *p)
{
	return p->sampling.method != PCAP_SAMP_NOSAMP;
}
/* Is the next packet, of this time (ns), one that is taken? */
bool wpcap_sample(pcap_t *p, uint64_t time);
/* With libpcap's handle. */
int wpcap_real_dispatch(pcap_t *p, int count, pcap_handler callback, u_char *user);
int wpcap_real_loop(pcap_t *p, int count, pcap_handler callback, u_char *user);
int wpcap_real_next_ex(pcap_t *p, struct pcap_pkthdr **header, const u_char **data);
const u_char *wpcap_real_next(pcap_t *p, struct pcap_pkthdr *header);

/* ---- read.c -------------------------------------------------------------------------------- */

/* Was it broken? Not any more then. */
bool wpcap_was_broken(pcap_t *p);

/* Before anything that changes the buffer: nothing more is handed out of this batch. What was can be
 * looked at until the next read. */
void wpcap_leave_batch(pcap_t *p);
/* If p->to_discard: the driver reads packets of an earlier capture before records of statistics, and a
 * program would take them for records. */
void wpcap_discard_packets(pcap_t *p);
/* What the adapter had no room for, since it exists. */
uint64_t wpcap_adapter_missed(const pcap_t *p);
/* Around what may let the driver's counters restart: those of pcap_stats() go on, also in a signal
 * handler meanwhile. 0, or -1 with a text. */
int wpcap_hold_counters(pcap_t *p);
void wpcap_let_counters_go(pcap_t *p, bool restarted);

#endif
