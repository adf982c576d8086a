/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real interfaces for tests, out of everybody's way: two network namespaces of the test's own,
 * joined by a pair of virtual Ethernet devices, without any traffic but what the test sends.
 *
 *	 NET_HERE              NET_THERE
 *	   va  <--------------->  vb
 *	   02:00:00:00:00:0a      02:00:00:00:00:0b
 *
 * The thread that made the world is in NET_HERE. All that a namespace holds vanishes with it.
 * What must not fail ends the program (exit 99); a world that may not be made skips it (exit 77).
 */
#ifndef NPF_NET_H
#define NPF_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum net_side { NET_HERE, NET_THERE, NET_SIDES };

struct net_world {
	int home; /* namespace of the thread before */
	int sides[NET_SIDES];
};

extern const uint8_t net_va_address[6], net_vb_address[6];

/* Exit 77 with the reason unless this process may make namespaces. For the beginning of main. */
void net_require(void);

void net_world_create(struct net_world *world);
void net_world_destroy(struct net_world *world); /* the thread is where it was before */

/* Move the calling thread. */
void net_enter(const struct net_world *world, enum net_side side);

/* Run a command on one side: words separated by single blanks, no quoting. */
void net_run(const struct net_world *world, enum net_side side, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same where failure is an answer. */
bool net_try(const struct net_world *world, enum net_side side, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Write a setting of one side under /proc/sys/net; false when this kernel has none such. */
bool net_write(const struct net_world *world, enum net_side side, const char *path,
	       const char *value);

/* Write a setting of one side under /sys; false when this kernel has none such. */
bool net_write_sys(const struct net_world *world, enum net_side side, const char *path,
		   const char *value);

/* Set an offload by its ethtool command (ETHTOOL_SGRO, ETHTOOL_STSO, ETHTOOL_STXCSUM, ...). */
void net_offload(const struct net_world *world, enum net_side side, const char *name,
		 uint32_t command, bool on);

/* False, with the reason on standard output, where there is no /dev/net/tun. */
bool net_has_tun(void);
/* Make a tun (IFF_TUN) or tap (IFF_TAP) device that is up; what is written to the descriptor the
 * device receives. flags as TUNSETIFF takes them; it is gone when the descriptor is closed. */
int net_tun(const struct net_world *world, enum net_side side, const char *name, int flags);

struct net_counters {
	uint64_t rx_packets, rx_bytes, rx_dropped;
	uint64_t tx_packets, tx_bytes, tx_dropped;
};
struct net_counters net_counters(const struct net_world *world, enum net_side side,
				 const char *name);

/* ---- sending ------------------------------------------------------------------------------- */

/* A packet socket that sends through an interface and receives nothing. */
int net_sender(const struct net_world *world, enum net_side side, const char *name);
void net_send(int sender, const void *frame, size_t size);

/* Frames that tell their sender and their place in order, and whose other bytes follow from it. */
#define NET_ETHERTYPE     0x88B5 /* for local experiments */
#define NET_LEAST_FRAME   30u
#define NET_LONGEST_FRAME 65549u

struct net_flood {
	enum net_side side;
	const char *name; /* interface */
	int cpu;          /* to send on, -1 any */
	uint32_t sender;  /* number that its frames carry */
	uint32_t length;  /* of each frame */
	uint64_t first;   /* number of its first frame */
	uint64_t count;
};

/* Frame number sequence of a flood; frame has room for length bytes. */
void net_flood_frame(const struct net_flood *flood, uint64_t sequence, uint8_t *frame);

/* Who sent a frame as its how-manieth. false: not a flood's, or not as it was sent. */
bool net_flood_read(const uint8_t *frame, size_t size, uint32_t *sender, uint64_t *sequence);

/* Send a flood to its end, as fast as it goes, or in a process of its own. All of its frames were
 * handed to the interface when it returns. */
void net_flood_run(const struct net_world *world, const struct net_flood *flood);
pid_t net_flood_start(const struct net_world *world, const struct net_flood *flood);
void net_flood_join(pid_t pid);

#endif
