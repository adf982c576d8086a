/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmission: which path do frames take, what has not left yet.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "host/linux/linux.h"
#include "host/linux/process.h"

/* ---- the path ------------------------------------------------------------------------------ */

/* What is worth more than a few system calls; what is worth loading a program for is NPF_SEND_MANY. */
#define FAST_LEAST 256
/* Calls of less, one after the other, for which it is not worth staying on a fast way: each takes 20 times
 * as long there as by socket, and to leave it takes a wait. */
#define FEW_MOST 64u

#define TAG_SIZE 4u

/* The fast ways, fastest first. */
static const struct way {
	enum npf_send_path path;
	bool unseen; /* goes past captures, tc and queueing discipline */
	int (*prepare)(struct npf_nic *nic, char *reason);
	size_t (*fits)(const struct npf_transmission *what);
	bool (*pays)(const struct npf_transmission *what); /* NULL: always */
	int64_t (*send)(struct npf_nic *nic, struct npf_transmission *what);
} ways[] = {
	{ NPF_SEND_XDP, true, npf_send_xdp_prepare, npf_send_xdp_fits, NULL, npf_send_by_xdp },
	{ NPF_SEND_CLONE, false, npf_send_clone_prepare, npf_send_clone_fits, npf_send_clone_pays,
	  npf_send_by_clone },
	{ NPF_SEND_XSK, true, npf_send_xsk_prepare, npf_send_xsk_fits, NULL, npf_send_by_xsk },
};
#define N_WAYS (sizeof(ways) / sizeof(ways[0]))

#define OBSTACLE_NS 1000000000u /* one that passes holds so long */

int npf_send_obstacle(struct npf_nic *nic, struct npf_obstacle *obstacle, bool passes, int err,
		      const char *reason)
{
	struct npf_host *host = &nic->host->base;

	obstacle->err = err;
	obstacle->until = passes ? host->system->now(host) + OBSTACLE_NS : UINT64_MAX;
	snprintf(obstacle->reason, sizeof(obstacle->reason), "%s", reason);
	return err;
}

int npf_send_obstructed(struct npf_nic *nic, const struct npf_obstacle *obstacle, char *reason)
{
	struct npf_host *host = &nic->host->base;

	if (!obstacle->err || host->system->now(host) >= obstacle->until)
		return 0;
	return npf_linux_error(reason, obstacle->err, "%s", obstacle->reason);
}

static const struct way *way_of(enum npf_send_path path)
{
	const struct way *way = ways;

	while (way->path != path)
		way++;
	return way;
}

static int64_t send_by_socket(struct npf_nic *nic, struct npf_transmission *what)
{
	what->used = NPF_SEND_SOCKET;
	return npf_send_in_order(nic, NPF_SEND_SOCKET) ? npf_send_by_socket(nic, what) : -EAGAIN;
}

static bool is_tagged(const struct npf_nic *nic, const struct npf_send_frame *frame)
{
	const uint8_t *type = (const uint8_t *)frame->data + 2 * ETH_ALEN;

	return nic->adapter.hatype == ARPHRD_ETHER && frame->size > ETH_HLEN &&
	       (type[0] << 8 | type[1]) == ETH_P_8021Q;
}

/* What goes past the stack goes past its look at lengths, and somebody may have lowered the MTU. How
 * many in front of these are short enough. */
static size_t count_short(struct npf_nic *nic, const struct npf_transmission *what)
{
	uint32_t mtu = npf_linux_mtu(nic);
	size_t n = 0, frames = what->repeat ? 1 : what->n;

	if (!mtu)
		return what->n;

	uint32_t tagged = mtu + nic->adapter.max_frame - nic->adapter.mtu;
	uint32_t untagged = tagged - (nic->adapter.hatype == ARPHRD_ETHER ? TAG_SIZE : 0);

	for (; n < frames; n++) {
		const struct npf_send_frame *frame = &what->frames[n];

		if (frame->size > untagged && (frame->size > tagged || !is_tagged(nic, frame)))
			return n;
	}
	return what->n;
}

/* The frames in front that it takes. -EOPNOTSUPP: none went. */
static int64_t send_by(struct npf_nic *nic, const struct way *way, struct npf_transmission *what)
{
	struct npf_transmission part = *what;
	int64_t sent;

	part.n = way->fits(what);
	if (!part.n || way->prepare(nic, NULL))
		return -EOPNOTSUPP;
	what->used = way->path;
	if (way->unseen && !(part.n = count_short(nic, &part)))
		return -EMSGSIZE;
	if (!npf_send_in_order(nic, way->path))
		return -EAGAIN;
	sent = way->send(nic, &part);
	what->full = sent > 0 && part.full; /* of one that refuses nothing is known */
	return sent;
}

/* What was sent last past the stack may wait for its receiver, and what comes another way must wait until it
 * does no more, as far as can be known. So the rest of a call, and a few frames more, go the same way. */
static bool stays(const struct npf_nic *nic, enum npf_send_path path)
{
	return npf_send_unseen(path) && path == nic->fast.last && nic->fast.few <= FEW_MOST;
}

static bool pays(const struct npf_nic *nic, const struct way *way,
		 const struct npf_transmission *what)
{
	struct npf_transmission part = *what;

	if (stays(nic, way->path))
		return true;
	part.n = way->fits(what);
	return part.n >= FAST_LEAST && (!way->pays || way->pays(&part));
}

static bool is_worth_it(struct npf_nic *nic, const struct npf_transmission *what)
{
	bool prepared = nic->fast.xdp || nic->fast.clone || nic->fast.xsk;

	nic->fast.volume += what->n;
	if (what->begins)
		nic->fast.few = what->n < FAST_LEAST ? nic->fast.few + 1 : 0;
	if (stays(nic, nic->fast.last))
		return true;
	return what->n >= FAST_LEAST && (prepared || nic->fast.volume >= NPF_SEND_MANY);
}

/* What no fast way takes goes by socket: all of it, or up to where enough frames follow each other
 * that are short enough for one. */
static size_t count_slow(const struct npf_transmission *what, const struct way *way)
{
	size_t fitting = 0;

	if (what->repeat)
		return what->n;
	for (size_t i = 0; i < what->n; i++) {
		const struct npf_transmission one = { .frames = &what->frames[i], .n = 1 };

		fitting = way->fits(&one) ? fitting + 1 : 0;
		if (fitting == FAST_LEAST && i >= FAST_LEAST)
			return i + 1 - FAST_LEAST;
	}
	return what->n;
}

static int64_t send_automatically(struct npf_nic *nic, struct npf_transmission *what)
{
	struct npf_transmission part = *what;
	int64_t sent = -EOPNOTSUPP;
	bool unseen;

	if (!is_worth_it(nic, what))
		return send_by_socket(nic, what);
	unseen = what->path == NPF_SEND_FASTEST || !npf_send_rule_ask(nic, NULL);
	for (size_t i = 0; i < N_WAYS && sent == -EOPNOTSUPP; i++) {
		if ((unseen || !ways[i].unseen) && pays(nic, &ways[i], what))
			sent = send_by(nic, &ways[i], what);
	}
	if (sent != -EOPNOTSUPP)
		return sent;
	part.n = count_slow(what, way_of(unseen ? NPF_SEND_XDP : NPF_SEND_CLONE));
	sent = send_by_socket(nic, &part);
	what->used = part.used;
	what->waited = part.waited;
	return sent;
}

/* Forced: what does not fit is refused, not sent another way. */
static int64_t send_forced(struct npf_nic *nic, struct npf_transmission *what)
{
	const struct way *way;
	int64_t sent;
	int err;

	if (what->path == NPF_SEND_SOCKET)
		return send_by_socket(nic, what);
	way = way_of(what->path);
	if (!way->fits(what))
		return -ENOTSUP;
	sent = send_by(nic, way, what);
	if (sent != -EOPNOTSUPP)
		return sent;
	/* An adapter that went meanwhile cannot do anything any more. */
	nic->fast.link_seen = 0;
	err = npf_linux_link_up(nic);
	return err ? err : -ENOTSUP;
}

#define STUCK_NS 100000000u

/* A queue that does not drain may be that of a link that went down: the kernel takes a second to say that
 * it is not running, as long as who sends has patience. Its driver knows at once. */
static int64_t name_obstruction(struct npf_nic *nic, int64_t err)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);

	if (err != -ENOBUFS && err != -EAGAIN)
		return err;
	if (!nic->fast.stuck)
		nic->fast.stuck = now;
	if (now - nic->fast.stuck < STUCK_NS)
		return err;
	nic->fast.stuck = now;
	return npf_linux_no_carrier(nic) ? -ENETDOWN : err;
}

/* What a fork has of the fast ways is its parent's: both would write what the kernel reads as one's, and
 * AF_XDP's frames it reads from the parent's memory whoever gives them. A fork lets go, which the parent
 * does not notice, and makes its own when they are worth it: it is on none to stay on. What lies in a veth's
 * ring is there for both. */
static void settle(struct npf_nic *nic)
{
	if (nic->fast.process == npf_process_number())
		return;
	npf_send_xdp_close(nic);
	npf_send_xsk_close(nic);
	npf_send_clone_close(nic);
	npf_send_rule_renew(nic);
	nic->fast.last = NPF_SEND_AUTO;
	nic->fast.few = 0;
	nic->fast.leaving = 0;
}

/* The stack's answer is OK when a tap drops a frame; the others hear of it. */
static bool is_sure(const struct npf_nic *nic, enum npf_send_path used)
{
	return (used == NPF_SEND_XSK || used == NPF_SEND_XDP) && npf_send_counters_tap(nic);
}

int64_t npf_linux_transmit(struct npf_nic *nic, struct npf_transmission *what)
{
	int64_t n = npf_linux_link_up(nic);

	settle(nic);
	what->used = what->path;
	if (what->begins)
		npf_send_rule_forget(nic);
	if (n)
		return n;
	npf_send_begin_order(nic);
	n = what->path == NPF_SEND_AUTO || what->path == NPF_SEND_FASTEST
		    ? send_automatically(nic, what)
		    : send_forced(nic, what);
	if (n <= 0)
		return name_obstruction(nic, n);
	nic->fast.stuck = 0;
	npf_send_count_in_order(nic, (uint64_t)n, what->used);
	if (is_sure(nic, what->used))
		__atomic_fetch_add(&nic->sure, (uint64_t)n, __ATOMIC_RELEASE);
	return n;
}

int npf_linux_check_path(struct npf_nic *nic, enum npf_send_path path, char *reason)
{
	const struct way *way;
	int err;

	if (path == NPF_SEND_AUTO || path == NPF_SEND_SOCKET || path == NPF_SEND_FASTEST)
		return 0;
	settle(nic);
	way = way_of(path);
	err = way->prepare(nic, reason);
	return err || !way->unseen ? err : npf_send_rule_ask(nic, reason);
}

/* ---- what became of it --------------------------------------------------------------------- */

static uint64_t queued_by(int fd)
{
	int bytes = 0;

	return fd >= 0 && !ioctl(fd, SIOCOUTQ, &bytes) && bytes > 0 ? (uint64_t)bytes : 0;
}

uint64_t npf_linux_unsent(struct npf_nic *nic)
{
	settle(nic);
	return queued_by(nic->sender) + queued_by(nic->hidden_sender) + npf_send_xsk_unsent(nic);
}
