/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of frames that go by more than one path.
 *
 * A veth whose peer polls puts live frames into a ring of it, and most others past that. A peer that
 * polls on another CPU (threaded NAPI) takes what comes past first; so that waits until the ring is empty,
 * which the adapter's counter tells: it counts frames of the ring when they are taken from it.
 */
#include "host/linux/linux.h"

/* The counter has not risen for so long: frames were lost there, or are counted nowhere. */
#define RING_NS 200000000u
/* Frames on an account that have not left by then may never do. */
#define LEAVE_NS 200000000u

static void empty_ring(struct npf_nic *nic, uint64_t counted)
{
	nic->fast.in_ring =
		(struct npf_in_ring){ .asked = true, .base = counted, .least = UINT64_MAX };
	__atomic_store_n(&nic->live, 0, __ATOMIC_RELEASE);
}

static bool is_ring_empty(struct npf_nic *nic)
{
	struct npf_in_ring *ring = &nic->fast.in_ring;
	struct npf_host *host = &nic->host->base;
	uint64_t counted, now = host->system->now(host);

	if (npf_send_counters_packets(nic, nic->fast.netlink, &counted))
		return true;

	uint64_t taken = counted - ring->base;
	uint64_t left = taken < ring->handed ? ring->handed - taken : 0;

	if (left && left < ring->least) {
		ring->least = left;
		ring->since = now;
	}
	if (left && now - ring->since < RING_NS)
		return false;
	empty_ring(nic, counted);
	return true;
}

/*
 * What went by socket or AF_XDP is on its account until it has come to a receiver, or has left a card.
 * From live frames to these, or back, it may be overtaken before. Not for long: somebody may hold it who
 * does not send it at all. A tun or tap device has one ring for all, and may have no reader.
 */
static bool has_left(struct npf_nic *nic, enum npf_send_path path)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now;

	if (!npf_send_unseen(path) && !npf_send_unseen(nic->fast.last))
		return true;
	if (npf_send_counters_tap(nic) || !npf_linux_unsent(nic))
		return true;
	now = host->system->now(host);
	if (!nic->fast.leaving)
		nic->fast.leaving = now;
	return now - nic->fast.leaving >= LEAVE_NS;
}

/* Who stays on a path overtakes nothing. */
bool npf_send_in_order(struct npf_nic *nic, enum npf_send_path path)
{
	if (path == nic->fast.last || nic->fast.last == NPF_SEND_AUTO)
		return true;
	if (path != NPF_SEND_XDP && nic->live && !is_ring_empty(nic))
		return false;
	return has_left(nic, path);
}

void npf_send_count_in_order(struct npf_nic *nic, uint64_t n, enum npf_send_path path)
{
	nic->fast.last = path;
	nic->fast.leaving = 0;
	nic->fast.in_ring.handed += n;
	/* A wait for the ring that was given up says nothing of these. */
	nic->fast.in_ring.least = UINT64_MAX;
	if (path != NPF_SEND_XDP || !npf_send_counters_veth(nic))
		return;
	__atomic_fetch_add(&nic->live, n, __ATOMIC_RELEASE);
}

void npf_send_begin_order(struct npf_nic *nic)
{
	uint64_t counted;

	if (nic->fast.in_ring.asked || !npf_send_counters_veth(nic))
		return;
	if (!npf_send_counters_packets(nic, nic->fast.netlink, &counted))
		empty_ring(nic, counted);
}
