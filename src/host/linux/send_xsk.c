/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending by AF_XDP, in the mode that every adapter has: the kernel copies frames from memory that
 * it shares with us and hands each to the adapter's driver, past captures and queueing discipline.
 *
 * The kernel says with -EBUSY that the driver dropped the frame it was at. What we put behind that
 * one must not overtake it: the descriptors that are left are made invalid, which the kernel skips.
 * Nobody but our own system calls makes it look at them.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/linux/linux.h"

#define N_CHUNKS   1024u /* frames under way at most; a power of two */
#define CHUNK_SIZE 4096u /* bytes of the longest frame */
#define N_FILL     2u    /* of a ring that we never use: nothing is received */
#define BATCH      32u   /* what the kernel sends in one system call */
#define TRIES      64 /* system calls that skip what was taken back: some kernels skip one each */
#define NOWHERE    UINT64_MAX

struct ring {
	uint32_t *producer, *consumer;
	void *entries;
	void *memory;
	size_t size;
};

struct npf_xsk_sender {
	int fd;
	uint8_t *chunks;
	struct ring tx, done;
	uint64_t free[N_CHUNKS]; /* addresses of chunks that are not under way */
	uint32_t n_free;
};

/* ---- making it ------------------------------------------------------------------------------ */

static int option(int fd, int name, uint32_t value)
{
	return setsockopt(fd, SOL_XDP, name, &value, sizeof(value)) ? -errno : 0;
}

static int map_ring(int fd, struct ring *ring, const struct xdp_ring_offset *offsets,
		    uint32_t entries, size_t entry_size, off_t where)
{
	ring->size = offsets->desc + entries * entry_size;
	ring->memory = mmap(NULL, ring->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			    where);
	if (ring->memory == MAP_FAILED)
		return -errno;
	ring->producer = (void *)((uint8_t *)ring->memory + offsets->producer);
	ring->consumer = (void *)((uint8_t *)ring->memory + offsets->consumer);
	ring->entries = (uint8_t *)ring->memory + offsets->desc;
	return 0;
}

static int map_rings(struct npf_xsk_sender *xsk)
{
	struct xdp_mmap_offsets offsets;
	socklen_t size = sizeof(offsets);
	int err;

	if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size))
		return -errno;
	err = map_ring(xsk->fd, &xsk->tx, &offsets.tx, N_CHUNKS, sizeof(struct xdp_desc),
		       XDP_PGOFF_TX_RING);
	return err ? err
		   : map_ring(xsk->fd, &xsk->done, &offsets.cr, N_CHUNKS, sizeof(uint64_t),
			      (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
}

static int share_memory(struct npf_xsk_sender *xsk)
{
	struct xdp_umem_reg region = { .len = (uint64_t)N_CHUNKS * CHUNK_SIZE,
				       .chunk_size = CHUNK_SIZE };

	xsk->chunks = mmap(NULL, region.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (xsk->chunks == MAP_FAILED)
		return -errno;
	region.addr = (uint64_t)(uintptr_t)xsk->chunks;
	return setsockopt(xsk->fd, SOL_XDP, XDP_UMEM_REG, &region, sizeof(region)) ? -errno : 0;
}

static int take_queue(struct npf_nic *nic, const struct npf_xsk_sender *xsk)
{
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP,
					.sxdp_flags = XDP_COPY,
					.sxdp_ifindex = nic->adapter.index };

	return bind(xsk->fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

static int make(struct npf_nic *nic, struct npf_xsk_sender *xsk)
{
	int err;

	if (npf_send_rule_elsewhere(nic))
		return -ENODEV;
	xsk->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xsk->fd < 0)
		return -errno;
	if ((err = share_memory(xsk)) || (err = option(xsk->fd, XDP_UMEM_FILL_RING, N_FILL)) ||
	    (err = option(xsk->fd, XDP_UMEM_COMPLETION_RING, N_CHUNKS)) ||
	    (err = option(xsk->fd, XDP_TX_RING, N_CHUNKS)) || (err = map_rings(xsk)) ||
	    (err = take_queue(nic, xsk)))
		return err;
	return npf_linux_replaced(nic) ? -ENODEV : 0;
}

static void unmap(void *memory, size_t size)
{
	if (memory && memory != MAP_FAILED)
		munmap(memory, size);
}

static void destroy(struct npf_xsk_sender *xsk)
{
	if (!xsk)
		return;
	unmap(xsk->tx.memory, xsk->tx.size);
	unmap(xsk->done.memory, xsk->done.size);
	if (xsk->fd >= 0)
		close(xsk->fd);
	unmap(xsk->chunks, (size_t)N_CHUNKS * CHUNK_SIZE);
	free(xsk);
}

/* What keeps us from it is the moment's, or for as long as this binding lasts. */
static int give_up(struct npf_nic *nic, int err)
{
	static const struct {
		int err;
		bool passes;
		const char *why;
	} reasons[] = {
		{ -EPERM, false, "AF_XDP needs CAP_NET_RAW" },
		{ -EAFNOSUPPORT, false, "this kernel has no AF_XDP" },
		{ -ENOSYS, false, "AF_XDP does not tell before Linux 6.17 what it sent" },
		{ -EBUSY, true,
		  "another program sends or receives by AF_XDP here, or did a moment ago" },
		{ -ENETDOWN, true, "the adapter is down" },
		{ -ENOBUFS, true, "AF_XDP needs more locked memory (ulimit -l)" },
		{ -ENOMEM, true, "out of memory" },
		{ -ENODEV, true, "the adapter has gone, or is in another network namespace" },
	};
	struct npf_obstacle *obstacle = &nic->fast.xsk_obstacle;
	int answer = err == -EPERM ? err : err == -EBUSY ? -EAGAIN : -ENOTSUP;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].err == err)
			return npf_send_obstacle(nic, obstacle, reasons[i].passes, answer,
						 reasons[i].why);
	}
	return npf_send_obstacle(nic, obstacle, nic->fast.xsk != NULL, -ENOTSUP,
				 "this adapter or kernel cannot send by AF_XDP");
}

/* Older kernels do not publish how far they came when a frame is dropped: what went would go twice. */
static bool counts_well(void)
{
	struct utsname kernel;

	return !uname(&kernel) && strverscmp(kernel.release, "6.17") >= 0;
}

static int prepare(struct npf_nic *nic)
{
	struct npf_xsk_sender *xsk = calloc(1, sizeof(*xsk));
	int err;

	if (!xsk)
		return give_up(nic, -ENOMEM);
	if (!counts_well()) {
		free(xsk);
		return give_up(nic, -ENOSYS);
	}
	for (uint32_t i = 0; i < N_CHUNKS; i++)
		xsk->free[xsk->n_free++] = (uint64_t)i * CHUNK_SIZE;
	err = make(nic, xsk);
	if (err) {
		destroy(xsk);
		return give_up(nic, err);
	}
	nic->fast.xsk = xsk;
	nic->fast.xsk_obstacle.err = 0;
	return 0;
}

int npf_send_xsk_prepare(struct npf_nic *nic, char *reason)
{
	int err = npf_send_obstructed(nic, &nic->fast.xsk_obstacle, reason);

	/* The kernel lets go of a closed socket some ms later, and who asks may be waiting for that. */
	if (err == -EAGAIN && reason)
		err = 0;
	if (err || nic->fast.xsk)
		return err;
	err = prepare(nic);
	return err ? npf_linux_error(reason, err, "%s", nic->fast.xsk_obstacle.reason) : 0;
}

/* ---- frames under way ----------------------------------------------------------------------- */

static void reclaim(struct npf_xsk_sender *xsk)
{
	const uint64_t *addresses = xsk->done.entries;
	uint32_t end = __atomic_load_n(xsk->done.producer, __ATOMIC_ACQUIRE);
	uint32_t at = *xsk->done.consumer;

	for (; at != end; at++) {
		uint64_t address = addresses[at % N_CHUNKS];

		if (address != NOWHERE) /* newer kernels complete what was taken back as well */
			xsk->free[xsk->n_free++] = address;
	}
	__atomic_store_n(xsk->done.consumer, end, __ATOMIC_RELEASE);
}

uint64_t npf_send_xsk_unsent(struct npf_nic *nic)
{
	struct npf_xsk_sender *xsk = nic->fast.xsk;

	if (!xsk)
		return 0;
	reclaim(xsk);
	return (uint64_t)(N_CHUNKS - xsk->n_free) * CHUNK_SIZE;
}

static struct xdp_desc *descriptor(const struct npf_xsk_sender *xsk, uint32_t at)
{
	return (struct xdp_desc *)xsk->tx.entries + at % N_CHUNKS;
}

static uint32_t consumed(const struct npf_xsk_sender *xsk)
{
	return __atomic_load_n(xsk->tx.consumer, __ATOMIC_ACQUIRE);
}

static int kick(const struct npf_xsk_sender *xsk)
{
	return sendto(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0;
}

static void put(struct npf_xsk_sender *xsk, uint32_t at, const struct npf_send_frame *frame)
{
	uint64_t address = xsk->free[--xsk->n_free];

	memcpy(xsk->chunks + address, frame->data, frame->size);
	*descriptor(xsk, at) = (struct xdp_desc){ .addr = address, .len = (uint32_t)frame->size };
}

/* Have the kernel pass over what was taken back. It does not look while the adapter is down: then that
 * is the answer, and what is left is passed over before the next batch. -EIO: it does not let go. */
static int pass_over(struct npf_xsk_sender *xsk)
{
	uint32_t end = *xsk->tx.producer;
	int err = 0;

	for (int i = 0; i < TRIES && consumed(xsk) != end; i++)
		err = kick(xsk);
	if (consumed(xsk) == end)
		return 0;
	return err == -ENETDOWN || err == -ENXIO ? err : -EIO;
}

/* Take back what lies in the ring from a place on. */
static int take_back(struct npf_xsk_sender *xsk, uint32_t from)
{
	uint32_t end = *xsk->tx.producer;

	for (uint32_t at = from; at != end; at++) {
		xsk->free[xsk->n_free++] = descriptor(xsk, at)->addr;
		descriptor(xsk, at)->addr = NOWHERE;
	}
	return pass_over(xsk);
}

/* How many of n the driver took; *err: why not all. */
static uint32_t send_batch(struct npf_xsk_sender *xsk, const struct npf_transmission *what,
			   size_t first, uint32_t n, int *err)
{
	uint32_t begin = *xsk->tx.producer;
	uint32_t lost = 0, sent;

	/* What is sent is told by how far the kernel came: from here. */
	*err = pass_over(xsk);
	if (*err)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		put(xsk, begin + i, &what->frames[what->repeat ? 0 : first + i]);
	__atomic_store_n(xsk->tx.producer, begin + n, __ATOMIC_RELEASE);
	*err = kick(xsk);
	sent = consumed(xsk) - begin;
	if (*err == -EBUSY) { /* the last that it looked at, which it tells only of later ones */
		lost = 1;
		sent -= sent != 0;
	}
	if (sent + lost < n || lost) {
		int stuck = take_back(xsk, begin + sent + lost);

		*err = stuck ? stuck : *err;
	}
	return sent;
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool fits(const struct npf_send_frame *frame)
{
	return frame->size <= CHUNK_SIZE;
}

size_t npf_send_xsk_fits(const struct npf_transmission *what)
{
	size_t n = 0;

	if (what->repeat)
		return fits(what->frames) ? what->n : 0;
	while (n < what->n && fits(&what->frames[n]))
		n++;
	return n;
}

static int judge(struct npf_nic *nic, int err)
{
	switch (err) {
	case -ENXIO:
		return -ENODEV;
	case -ENETDOWN:
		return err;
	case 0:
	case -EBUSY:
	case -EAGAIN:
	case -ENOBUFS:
		return -ENOBUFS;
	default:
		give_up(nic, err);
		return -EOPNOTSUPP;
	}
}

int64_t npf_send_by_xsk(struct npf_nic *nic, struct npf_transmission *what)
{
	struct npf_host *host = &nic->host->base;
	struct npf_xsk_sender *xsk = nic->fast.xsk;
	uint64_t began = host->system->now(host);
	size_t sent = 0;
	int err = 0;

	do {
		size_t n = what->n - sent < BATCH ? what->n - sent : BATCH;

		reclaim(xsk);
		n = n < xsk->n_free ? n : xsk->n_free;
		if (!n)
			break;
		sent += send_batch(xsk, what, sent, (uint32_t)n, &err);
	} while (sent < what->n && !err && host->system->now(host) - began < NPF_SLICE_NS);
	if (err == -EBUSY && npf_send_counters_tap(nic))
		npf_send_counters_told(nic, 1);
	return sent ? (int64_t)sent : judge(nic, err);
}

void npf_send_xsk_close(struct npf_nic *nic)
{
	destroy(nic->fast.xsk);
	nic->fast.xsk = NULL;
}
