/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending by packet socket, many frames in one system call. The kernel copies each, shows it to
 * every capture on the adapter and hands it to the queueing discipline.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "host/linux/linux.h"

#define BATCH   64
#define SINGLY  1024 /* frames that go alone after a refusal: of each the kernel tells */
#define WAIT_MS 10   /* for room in the socket's buffer */

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

static bool finds_room(int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };

	return poll(&room, 1, WAIT_MS) == 1 && room.revents & POLLOUT;
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

/* What ended a batch the kernel keeps to itself, a full buffer or a refusal; only the latter is counted
 * when it is met again, and then once, though it may have been two. */
static int try_batch(struct npf_nic *nic, struct batch *batch, unsigned int n, bool *waited)
{
	int fd = sender_of(nic);
	int sent = send_batch(fd, batch, n);

	if (sent == -EAGAIN) {
		*waited = true;
		if (!finds_room(fd)) /* nobody refused it */
			return -EAGAIN;
		sent = send_batch(fd, batch, n);
	}
	if (sent == -ENETDOWN && is_old_news(nic, sent))
		sent = send_batch(fd, batch, n);
	if (sent == -ENOBUFS) {
		npf_send_egress_refused(nic);
		nic->singly = SINGLY;
	} else if (sent > 0) {
		nic->singly -= nic->singly > 0;
	}
	nic->cut = sent > 0 && (unsigned int)sent < n;
	return sent == -ENXIO ? -ENODEV : sent;
}

/* Why it took only some the kernel keeps to itself; of one frame it tells. */
static unsigned int fill(const struct npf_nic *nic, struct batch *batch,
			 const struct npf_transmission *what, size_t from)
{
	size_t left = what->n - from;
	size_t most = nic->cut || nic->singly ? 1 : BATCH;
	unsigned int n = (unsigned int)(left < most ? left : most);

	for (unsigned int i = 0; i < n; i++)
		set_frame(batch, i, &what->frames[what->repeat ? 0 : from + i]);
	return n;
}

int64_t npf_send_by_socket(struct npf_nic *nic, struct npf_transmission *what)
{
	struct npf_host *host = &nic->host->base;
	uint64_t began = 0;
	struct batch batch;
	size_t sent = 0;
	int n = 0;

	while (sent < what->n) {
		n = try_batch(nic, &batch, fill(nic, &batch, what, sent), &what->waited);
		if (n < 0)
			break;
		sent += (size_t)n;
		if (sent == what->n)
			break;
		if (!began)
			began = host->system->now(host);
		else if (!nic->cut && host->system->now(host) - began > NPF_SLICE_NS)
			break;
	}
	return sent ? (int64_t)sent : n;
}

/* ---- until it is time ----------------------------------------------------------------------- */

/* The kernel wakes a sleeper late, within this in 99 of 100 cases; at a frame per millisecond so
 * much watching is a sixteenth of a CPU. Waits that are not longer than the other are watched from
 * their beginning: whoever slept finds his caches, and what the processor keeps of the address
 * space, taken by others, and is half a microsecond later than one who did not. */
#define WATCH_NS 60000u
#define SLEEP_NS 600000u
/* While watching, the way of a frame is walked so often, but not right before it goes. */
#define WALK_NS    2000u
#define NO_WALK_NS 1500u
/* A clock that jumps so far because the scheduler took this CPU away: somebody else wants it. Whoever
 * sleeps is let on as soon as he wakes; whoever only watches is made to wait. So sleep whenever
 * possible, for a while. (Less is the kernel's own short work, and a machine below us that takes the
 * CPU away is not moved by sleeping.) */
#define JUMP_NS    500000u
#define CROWDED_NS 200000000u
/* A wait of less leaves no time for a look at the link or at the scheduler. */
#define LOOK_NS 5000u

/* As far as the copy from user space, which fails: there is nothing at NULL. */
static void walk(int fd)
{
	struct iovec nothing = { .iov_base = NULL, .iov_len = 64 };
	struct msghdr message = { .msg_iov = &nothing, .msg_iovlen = 1 };

	(void)!sendmsg(fd, &message, MSG_DONTWAIT);
}

/* How often this thread was made to wait for another. */
static long count_evictions(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nivcsw;
}

static void watch(struct npf_nic *nic, uint64_t time, const uint32_t *word, uint32_t value)
{
	struct npf_host *host = &nic->host->base;
	long evictions = count_evictions();
	uint64_t last, walked, now = host->system->now(host);

	for (walked = now; now < time && __atomic_load_n(word, __ATOMIC_ACQUIRE) == value;) {
		if (time - now >= NO_WALK_NS && now - walked >= WALK_NS) {
			walk(sender_of(nic));
			walked = now;
		}
		last = now;
		now = host->system->now(host);
		if (now - last > JUMP_NS && count_evictions() != evictions)
			nic->crowded_until = now + CROWDED_NS;
	}
}

void npf_linux_await(struct npf_nic *nic, uint64_t time, uint32_t *word, uint32_t value)
{
	struct npf_host *host = &nic->host->base;
	uint64_t now = host->system->now(host);

	if (time > now && time - now > (now < nic->crowded_until ? WATCH_NS : SLEEP_NS)) {
		host->system->sleep_until(host, time - WATCH_NS, word, value);
		now = host->system->now(host);
	}
	if (time > now && time - now > LOOK_NS) {
		npf_linux_link_ahead(nic, time);
		watch(nic, time, word, value);
	}
	while (host->system->now(host) < time && __atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		continue;
}
