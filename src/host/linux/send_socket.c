/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending by packet socket, many frames in one system call. The kernel copies each, shows it to
 * every capture on the adapter and hands it to the queueing discipline.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "host/linux/linux.h"

#define BATCH   64
#define WAIT_MS 10 /* for room in the socket's buffer */

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec frames[BATCH];
};

static int sender_of(const struct npf_nic *nic)
{
	bool hiding = __atomic_load_n(&nic->hiding, __ATOMIC_RELAXED);

	return hiding && nic->hidden_sender >= 0 ? nic->hidden_sender : nic->sender;
}

static void set_frame(struct batch *batch, size_t i, const struct npf_send_frame *frame)
{
	batch->frames[i] = (struct iovec){ .iov_base = (void *)frame->data, .iov_len = frame->size };
	batch->messages[i] = (struct mmsghdr){
		.msg_hdr = { .msg_iov = &batch->frames[i], .msg_iovlen = 1 },
	};
}

static int wait_for_room(int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };

	return poll(&room, 1, WAIT_MS) == 1 && room.revents & POLLOUT ? 0 : -ENOBUFS;
}

/* How many of the batch went; negative errno: none. */
static int send_batch(int fd, struct batch *batch, unsigned int n)
{
	int sent = n == 1 ? (int)sendmsg(fd, &batch->messages[0].msg_hdr, MSG_DONTWAIT)
			  : sendmmsg(fd, batch->messages, n, MSG_DONTWAIT);

	if (sent < 0)
		return -errno;
	return n == 1 ? 1 : sent;
}

/* An adapter that was down leaves its error with the socket, for the next to hear; that it is up
 * again the socket does not know. */
static bool is_old_news(struct npf_nic *nic, int err)
{
	nic->fast.link_seen = 0;
	return err == -ENETDOWN && !npf_linux_link_up(nic);
}

static int try_batch(struct npf_nic *nic, struct batch *batch, unsigned int n)
{
	int fd = sender_of(nic);
	int sent = send_batch(fd, batch, n);

	if (sent == -EAGAIN) {
		sent = wait_for_room(fd);
		if (!sent)
			sent = send_batch(fd, batch, n);
	}
	if (sent == -ENETDOWN && is_old_news(nic, sent))
		sent = send_batch(fd, batch, n);
	return sent == -ENXIO ? -ENODEV : sent;
}

static unsigned int fill(struct batch *batch, const struct npf_transmission *what, size_t from)
{
	size_t left = what->n - from;
	unsigned int n = left < BATCH ? (unsigned int)left : BATCH;

	for (unsigned int i = 0; i < n; i++)
		set_frame(batch, i, &what->frames[what->repeat ? 0 : from + i]);
	return n;
}

int64_t npf_send_by_socket(struct npf_nic *nic, const struct npf_transmission *what)
{
	struct npf_host *host = &nic->host->base;
	uint64_t began = 0;
	struct batch batch;
	size_t sent = 0;
	int n = 0;

	while (sent < what->n) {
		n = try_batch(nic, &batch, fill(&batch, what, sent));
		if (n < 0)
			break;
		sent += (size_t)n;
		if (sent == what->n)
			break;
		if (!began)
			began = host->system->now(host);
		else if (host->system->now(host) - began > NPF_SLICE_NS)
			break;
	}
	return sent ? (int64_t)sent : n;
}
