/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Linux host, private. One concern per file:
 *   linux.c         the host object, memory, clocks, parking
 *   adapters.c      the list of adapters and their properties, from rtnetlink (and ethtool.c)
 *   nic.c           a binding: picks the hook, hardware filter, departure
 *   link.c          the link of a nic: the same adapter, up, how long frames may be
 *   send.c          transmission: which path frames take
 *   send_order.c    what waits for what before it takes another path
 *   send_socket.c   ... a packet socket
 *   send_clone.c    ... clones of a packet in the kernel
 *   send_queue.c    what the programs of the fast ways send
 *   send_xsk.c      ... AF_XDP
 *   send_xdp.c      ... live frames of an XDP program
 *   send_counters.c what the adapter counted of them
 *   send_rule.c     who would miss frames that go a way that captures do not see
 *   send_egress.c   what may drop frames, or see them, on their way out
 *   event.c         readiness: one descriptor over wake-ups, timers and departure
 *   file.c          files of a dump; worker.c the thread that writes them, sync.c the one that
 *                   brings them to the disk
 *   ebpf.c          the kernel's tap: load, ring maps, filters; translate.c makes a filter's code,
 *                   splice.c puts it into the tap, set_maps.c its sets
 *   peek.c          what the kernel tells of how a socket's filter may read a packet in place
 *   kernel_filter.c a filter run by the kernel without an adapter, to be compared or timed
 *   process.c       forks: which process is this?
 *   rights.c        what the thread may: giving it up, naming what is missing
 *   trace.c         tells of functions that begin and end (NPF_TRACE)
 *   hook_tcx.c      where it is attached, in a chain with others of this process (chain.c), which a
 *                   program that asks all their filters may head (chain_head.c) ...
 *   hook_socket.c
 *   hook_tpacket.c  ... or, without eBPF, packets brought to the tap in user space
 *   hook_none.c     ... or nothing at all, for who only sends
 */
#ifndef NPF_LINUX_H
#define NPF_LINUX_H

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <pthread.h>

#include "driver/host.h"
#include "host/common/arena.h"
#include "host/linux/chain.h"

#define NPF_SYNC_QUEUE 8u

struct npf_sync {
	const struct npf_file *file;
	int fd; /* -1: nothing to do any more */
};

struct npf_syncer {
	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t changed;
	pthread_t thread;
	bool started, ending;
	struct npf_sync queue[NPF_SYNC_QUEUE]; /* the first is being synced */
	unsigned int first, n;
};

struct npf_linux_host {
	struct npf_host base;
	uint32_t process; /* whose the rest is, for none of it may be shared with a fork; atomic */
	int monitor; /* rtnetlink socket, member of the link group; -1 when it could not be made */
	struct npf_arena arena; /* filters that run in this process */
	struct npf_syncer syncer;
	struct npf_chain *chains; /* of the tcx hook */
};

/* linux.c: what of it is this process' alone may be used now; in a fork it has begun anew. Everybody
 * else takes only what a fork can share. */
struct npf_linux_host *npf_linux_host_here(struct npf_host *host);

/* ---- event.c ------------------------------------------------------------------------------- */

/* All descriptors -1 when not open. */
struct npf_event {
	int poller;     /* epoll: readable while any of the others is */
	int flag;       /* eventfd: set() */
	int clock;      /* timerfd: timer() */
	uint32_t forks; /* that there had been when it was made */
	uint64_t sets;  /* of the flag, begun and not read back: 0 is down; atomic */
};
int npf_event_init(struct npf_event *event);
void npf_event_fini(struct npf_event *event);
/* Let another descriptor raise the level too (edge of its own lowering is its owner's matter). */
int npf_event_add(struct npf_event *event, int fd);
void npf_event_remove(struct npf_event *event, int fd);
int npf_event_wait(struct npf_event *event, uint64_t now, uint64_t deadline);
void npf_event_set(struct npf_event *event);
void npf_event_clear(struct npf_event *event); /* flag and clock only */
void npf_event_timer(struct npf_event *event, uint64_t at);

/* ---- hooks --------------------------------------------------------------------------------- */

struct npf_linux_hook_ops {
	enum npf_hook hook;
	/* Make what the hook needs; nothing is tapped before set_ring. When that or the first
	 * set_ring fails, with a sentence in error, the next hook is tried. nic->hook_state is the
	 * hook's. */
	int (*open)(struct npf_nic *nic, char *error);
	void (*close)(struct npf_nic *nic); /* also after a failed open */
	int (*set_ring)(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
			struct npf_ring_view *view, char *error);
	void (*let_go)(struct npf_nic *nic);
	int (*set_filters)(struct npf_nic *nic, const struct npf_filter_set *filters, char *error);
	int (*hide_own)(struct npf_nic *nic, bool hide, uint64_t *hidden);
	uint64_t (*lost)(struct npf_nic *nic);
	void (*clear)(struct npf_nic *nic); /* lower what the hook itself raised */
	/* What the hook raises shall be raised there, no longer at nic->tapped. */
	int (*listen)(struct npf_nic *nic, struct npf_event *event);
};
extern const struct npf_linux_hook_ops npf_hook_tcx, npf_hook_socket, npf_hook_tpacket,
	npf_hook_none;

/* hook_tcx.c: does another instance of ours see what is sent, by the same link? */
bool npf_tcx_shared(const struct npf_nic *nic);

/* ---- the fast ways to send ------------------------------------------------------------------ */

struct npf_clone_sender;
struct npf_xdp_sender;
struct npf_xsk_sender;

/* What is known against a way. Some of it passes: another program, a peer's setting, memory. */
struct npf_obstacle {
	int err;        /* 0: nothing */
	uint64_t until; /* looked at again then, ns */
	char reason[NPF_TEXT_SIZE];
};

/* Frames that lie in the ring of a veth's peer, which others go past; see send_order.c. */
struct npf_in_ring {
	bool asked;      /* base is known */
	uint64_t base;   /* the adapter's counter, when none was there */
	uint64_t handed; /* frames since, by whatever path */
	uint64_t least;  /* that were there, as seen while somebody waited */
	uint64_t since;  /* when that was first seen, ns */
};

struct npf_fast {
	uint32_t process;         /* whose all that is open below is: see npf_process_number() */
	char name[NPF_NAME_SIZE]; /* of the adapter, as last asked */
	uint64_t link_seen;       /* when the link was last seen up, ns */
	uint64_t stuck;  /* since when nothing goes, or the carrier was asked for, ns; 0: it goes */
	uint64_t volume; /* frames without a time so far: is it worth the preparation? */

	/* The order: see send_order.c. */
	enum npf_send_path last; /* by which frames went last; NPF_SEND_AUTO none did */
	unsigned int few;        /* calls of few frames, one after the other */
	uint64_t leaving; /* since when another path waits for what went by that, ns; 0: none */

	/* The rule: see send_rule.c. */
	int packets;          /* /proc/net/packet of our network namespace, -1 */
	int netlink;          /* rtnetlink socket in it, -1 */
	uint64_t namespace;   /* its inode */
	uint64_t ruled;       /* when the rule was last asked, ns; 0 never */
	int verdict;          /* what it said */
	uint64_t queue_ruled; /* the same, of queues */
	int queue_verdict;
	uint64_t egress_asked; /* the same, of what may refuse frames: see send_egress.c */
	bool egress_free;

	/* Clones. */
	struct npf_clone_sender *clone;
	struct npf_obstacle clone_obstacle;
	bool retags; /* a VLAN, whose frames of a socket go by the type behind their tag */

	/* XDP. */
	struct npf_xdp_sender *xdp; /* loaded at first need */
	struct npf_obstacle xdp_obstacle;
	struct npf_in_ring in_ring;

	/* AF_XDP. */
	struct npf_xsk_sender *xsk;
	struct npf_obstacle xsk_obstacle;
};

/* What an adapter had counted when it was deleted. */
struct npf_last_counters {
	bool known;
	struct rtnl_link_stats64 stats;
};

/* See send_counters.c. */
struct npf_counting {
	uint32_t process;  /* whose the descriptors are */
	int netlink;       /* rtnetlink socket in the adapter's network namespace, -1 */
	int backlogs;      /* /proc/net/softnet_stat, -1 */
	uint32_t sequence; /* of the last question */
	uint32_t overrun; /* what the backlogs of all CPUs have dropped, as they count: 32 bits ... */
	uint64_t lost;    /* ... and more, since it was first asked */
	bool many;        /* adapters have queueing disciplines */
	bool queues;      /* it has a queueing discipline, */
	bool tells;       /* which counts what it refuses, */
	uint32_t handle; /* which is this one, */
	char kind[NPF_NAME_SIZE];
	uint32_t queue_drops; /* and has dropped so many; 32 bits ... */
	uint64_t queue_lost;  /* ... and more, with what it lost behind it */
	uint64_t dropped;     /* by the adapter, at the last look */
	uint64_t told;        /* of what the socket was refused, what is among these */
};

struct npf_nic {
	struct npf_linux_host *host;
	const struct npf_linux_hook_ops *ops; /* NULL: before the first ring */
	void *hook_state;
	enum npf_hook wanted;
	/* As it was opened: whoever sends or counts reads it without a lock. */
	struct npf_adapter adapter;
	struct npf_adapter latest; /* as last asked; for who has the instance's lock */
	bool ends;                 /* somebody found that it has gone, and tells it; atomic */
	bool gone;
	struct npf_last_counters last; /* written before gone is */
	struct npf_event event;
	struct npf_event *tapped; /* what the hook raises: event, or a worker's; atomic */
	/* A packet socket that receives nothing: memberships (hardware filter) and own sends. */
	int sender;
	/* What own sends go through instead while they are hidden; -1: the same. Owned by the hook.
	 * The kernel never loops a socket's sends back to itself. */
	int hidden_sender;
	bool hiding;            /* own sends are hidden from the tap */
	int monitor;            /* rtnetlink socket that hears of this adapter's end; in event */
	uint32_t memberships;   /* joined by sender, bit per PACKET_MR_* */
	uint64_t crowded_until; /* only await's */
	struct npf_fast fast;   /* only transmit's and check_path's */
	struct npf_counting counting; /* only sent's */
	bool cut;            /* a socket took only some of the last frames; only transmit's */
	unsigned int singly; /* frames that go alone: a discipline refused one; only transmit's */
	uint64_t told;       /* frames that a tap dropped and told us of; atomic */
	uint64_t refused; /* the same of a discipline, most likely, since the last look; atomic */
	uint64_t nftables_lack; /* until when the kernel is believed to have none; atomic */
	uint64_t sure;          /* frames that a tap took, as we know of each; atomic */
	uint64_t again;         /* frames that a veth refused, and counted as dropped; atomic */
	uint64_t live; /* live frames since a veth's ring was empty; atomic, written by transmit */
};

/* ---- adapters.c, ethtool.c ----------------------------------------------------------------- */

extern const struct npf_adapter_ops npf_linux_adapters;
/* One adapter by name or index, fresh. -ENODEV. */
int npf_linux_adapter(const char *name, uint32_t index, struct npf_adapter *adapter);
/* An rtnetlink socket that hears of link changes (non-blocking); negative errno. */
int npf_linux_monitor(void);
/* Have it hear of the end of this adapter only. */
int npf_linux_monitor_only(int monitor, uint32_t index);
/* Read what is waiting on it up to the end of adapter index, which stays; true: it was deleted. */
bool npf_linux_monitor_deleted(int monitor, uint32_t index, struct npf_last_counters *last);
/* Speed (bit/s, 0 unknown), driver name into text, permanent address where the driver knows. */
void npf_linux_ethtool(struct npf_adapter *adapter);
/* Does the adapter itself cut what the stack sends in one piece (TSO)? */
bool npf_linux_segments(const char *name);

/* ---- link.c --------------------------------------------------------------------------------- */

/* 0, or -ENETDOWN: the adapter is down or has no carrier, and would drop what it is given. */
int npf_linux_link_up(struct npf_nic *nic);
/* Is the adapter still the one that was opened? Another may have its name and index. */
bool npf_linux_bound(const struct npf_nic *nic);
/* Has the adapter gone? Another may have its index already. */
bool npf_linux_replaced(struct npf_nic *nic);
/* Look now, so that a frame of that time need not wait for it. */
void npf_linux_link_ahead(struct npf_nic *nic, uint64_t time);
/* Its driver's word, which comes before that of the kernel. */
bool npf_linux_no_carrier(struct npf_nic *nic);
/* Of struct npf_nic_ops. */
uint32_t npf_linux_mtu(struct npf_nic *nic);

/* ---- send_order.c --------------------------------------------------------------------------- */

/* Past the stack, and so beside what waits in it. */
static inline bool npf_send_unseen(enum npf_send_path path)
{
	return path == NPF_SEND_XDP || path == NPF_SEND_XSK;
}
/* Before the first frame. */
void npf_send_begin_order(struct npf_nic *nic);
/* May a frame go by this path now, and overtake none that went before? */
bool npf_send_in_order(struct npf_nic *nic, enum npf_send_path path);
/* n frames have gone. */
void npf_send_count_in_order(struct npf_nic *nic, uint64_t n, enum npf_send_path path);

/* ---- send.c, send_socket.c ------------------------------------------------------------------ */

/* These serve as struct npf_nic_ops. */
int64_t npf_linux_transmit(struct npf_nic *nic, struct npf_transmission *what);
uint64_t npf_linux_unsent(struct npf_nic *nic);
int npf_linux_check_path(struct npf_nic *nic, enum npf_send_path path, char *reason);

/* A call of transmit ends after this, so that its caller may look whether to go on. */
#define NPF_SLICE_NS 5000000u

/* The results of transmit. */
int64_t npf_send_by_socket(struct npf_nic *nic, struct npf_transmission *what);
/* Of struct npf_nic_ops. */
void npf_linux_await(struct npf_nic *nic, uint64_t time, uint32_t *word, uint32_t value);

/* An obstacle for good, or one that is looked at again in a second. Returns err. */
int npf_send_obstacle(struct npf_nic *nic, struct npf_obstacle *obstacle, bool passes, int err,
		      const char *reason);
/* What is known just now: 0, or its error with its sentence. */
int npf_send_obstructed(struct npf_nic *nic, const struct npf_obstacle *obstacle, char *reason);

/* ---- send_counters.c ----------------------------------------------------------------------- */

/* Failures are met again when the counters are asked for. */
void npf_send_counters_open(struct npf_nic *nic);
void npf_send_counters_close(struct npf_nic *nic);
/* A frame of ours did not go, which is counted where silent losses are. */
static inline void npf_send_counters_told(struct npf_nic *nic, uint64_t n)
{
	__atomic_fetch_add(&nic->told, n, __ATOMIC_RELEASE);
}
/* What the backlogs of all CPUs have dropped, of softnet_stat. false: it cannot be read. */
bool npf_send_counters_overrun(int fd, uint32_t *overrun);
/* A tun or tap device: it counts what it has no room for, and says OK. */
bool npf_send_counters_tap(const struct npf_nic *nic);
/* Its frames lie in a ring of its peer, where that polls, and are counted when that has taken them. */
bool npf_send_counters_veth(const struct npf_nic *nic);
/* The adapter's counter of sent frames, by a socket of the caller's; negative errno. */
int npf_send_counters_packets(const struct npf_nic *nic, int netlink, uint64_t *packets);
/* Of struct npf_nic_ops. */
int npf_linux_sent(struct npf_nic *nic, struct npf_sent_counters *counters);

/* ---- send_egress.c ------------------------------------------------------------------------- */

/* A question by netlink and all of its answer, which read is given; message has room for its parts. */
int npf_linux_ask(int netlink, struct nlmsghdr *message, size_t room,
		  int (*read)(const struct nlmsghdr *message, void *to), void *to);
/* 0: no program sees what the adapter sends. -EBUSY, with a sentence when reason is given. */
int npf_send_egress_ask(const struct npf_nic *nic, int netlink, char *reason);
/* Nothing but the adapter and its queueing discipline refuses frames. */
bool npf_send_egress_free(struct npf_nic *nic, int netlink);
/* A packet socket was refused a frame; who did it is looked up before it counts. Only transmit's. */
void npf_send_egress_refused(struct npf_nic *nic);

/* ---- send_rule.c --------------------------------------------------------------------------- */

/* Failures only mean that the fast ways stay closed. */
void npf_send_rule_open(struct npf_nic *nic);
void npf_send_rule_close(struct npf_nic *nic);
/* In a fork: ask by descriptors of our own from now on, or by none where this thread is elsewhere. */
void npf_send_rule_renew(struct npf_nic *nic);
/* The kind of the adapter's root queueing discipline; -ENODEV, ... */
int npf_send_rule_discipline(const struct npf_nic *nic, int netlink, char kind[NPF_NAME_SIZE]);
/* Ask anew when it is next of interest: a call begins, and what is there by now is to see all of it. */
static inline void npf_send_rule_forget(struct npf_nic *nic)
{
	nic->fast.ruled = 0;
	nic->fast.queue_ruled = 0;
}
/* 0: nobody would see the difference. -EBUSY, with a sentence when reason is given. */
int npf_send_rule_ask(struct npf_nic *nic, char *reason);
/* 0: clones, which no queue holds back and nothing marks as ours, may be sent. -ENOTSUP, likewise. */
int npf_send_rule_clones(struct npf_nic *nic, char *reason);
/* Is the calling thread in another network namespace than the one that opened? */
bool npf_send_rule_elsewhere(const struct npf_nic *nic);

/* ---- send_queue.c -------------------------------------------------------------------------- */

struct bpf_map;

struct npf_send_queue {
	uint8_t *bytes; /* the map's; NULL: not open */
	size_t size;
};

int npf_send_queue_open(struct npf_send_queue *queue, const struct bpf_map *map);
void npf_send_queue_close(struct npf_send_queue *queue);
/* From its beginning, as many of *n frames as there is room for; the length of the longest. */
uint32_t npf_send_queue_fill(struct npf_send_queue *queue, const struct npf_send_frame *frames,
			     uint32_t *n);

/* ---- send_xdp.c ---------------------------------------------------------------------------- */

/* Load what it takes. -ENOTSUP, -EPERM with a sentence: this adapter or process cannot. */
int npf_send_xdp_prepare(struct npf_nic *nic, char *reason);
void npf_send_xdp_close(struct npf_nic *nic);
/* The first frames of what that fit; 0: the first does not. */
size_t npf_send_xdp_fits(const struct npf_transmission *what);
/* The results of transmit. -EOPNOTSUPP: none went, and none ever will; fast.xdp_reason says why. */
int64_t npf_send_by_xdp(struct npf_nic *nic, struct npf_transmission *what);

/* ---- send_xsk.c: the same ------------------------------------------------------------------- */

/* -EAGAIN as well: another has it, or did a moment ago. */
int npf_send_xsk_prepare(struct npf_nic *nic, char *reason);
void npf_send_xsk_close(struct npf_nic *nic);
size_t npf_send_xsk_fits(const struct npf_transmission *what);
int64_t npf_send_by_xsk(struct npf_nic *nic, struct npf_transmission *what);
/* Bytes, about. Not beside transmit. */
uint64_t npf_send_xsk_unsent(struct npf_nic *nic);

/* ---- send_clone.c: the same ------------------------------------------------------------------ */

int npf_send_clone_prepare(struct npf_nic *nic, char *reason);
void npf_send_clone_close(struct npf_nic *nic);
size_t npf_send_clone_fits(const struct npf_transmission *what);
/* Is it quicker than a packet socket with these, which fit? */
bool npf_send_clone_pays(const struct npf_transmission *what);
int64_t npf_send_by_clone(struct npf_nic *nic, struct npf_transmission *what);

/* ---- nic.c --------------------------------------------------------------------------------- */

extern const struct npf_nic_ops npf_linux_nic;

/* ---- file.c, worker.c ---------------------------------------------------------------------- */

extern const struct npf_file_ops npf_linux_files;
extern const struct npf_worker_ops npf_linux_workers;

/* ---- sync.c -------------------------------------------------------------------------------- */

void npf_syncer_init(struct npf_syncer *syncer);
void npf_syncer_fini(struct npf_syncer *syncer);
/* Sync what was written to a file until now, soon; the descriptor stays the caller's. -EBUSY: this
 * file's sync before has not ended, or too many files wait. */
int npf_syncer_add(struct npf_syncer *syncer, const struct npf_file *file, int fd);
/* Forget a file, which nothing touches any more afterwards. */
void npf_syncer_drain(struct npf_syncer *syncer, const struct npf_file *file);

/* ---- trace.c ------------------------------------------------------------------------------- */

/* Does the environment ask for the trace? */
bool npf_linux_tracing(void);
void npf_linux_trace(struct npf_host *host, const char *function, const char *what, bool begins);

/* ---- rights.c ------------------------------------------------------------------------------- */

/* Give up what this thread will not need, so that nothing is left in it when the program gives up its
 * rights. For threads that run nothing but our code. */
void npf_linux_shed_rights(void);
#define NPF_RIGHT(capability) (UINT64_C(1) << (capability))
/* Which of these capabilities the thread has not. */
uint64_t npf_linux_missing(uint64_t wanted);
/* "WHAT is not permitted: ", and which of the wanted ones are missing. Returns -EPERM. */
int npf_linux_not_permitted(char *error, const char *what, uint64_t wanted);

/* ---- for error texts ------------------------------------------------------------------------ */

/* snprintf into an error buffer of NPF_ERROR_SIZE; error may be NULL. Returns err. */
int npf_linux_error(char *error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
