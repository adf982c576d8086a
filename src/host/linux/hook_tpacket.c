/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The third hook, where eBPF is not to be had: a packet socket with a TPACKET_V3 ring, and a thread
 * that hands what arrives there to the tap in user space. Needs CAP_NET_RAW only.
 *
 * The thread alone touches tap and feed; others leave it an order. An order is carried out when
 * everything that had arrived before it has been through the tap, so that new rings, new filters
 * and questions for what was lost fall between the same two packets as they do with the other
 * hooks. What is between the wire and the tap is known exactly: the socket counts what it queues.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/tap_user.h"
#include "filter/frame.h"
#include "host/linux/linux.h"
#include "host/linux/process.h"

#define LEAST_FEED   (4u << 20)
#define MOST_FEED    (64u << 20)
#define LEAST_BLOCK  (256u << 10)
#define LEAST_BLOCKS 8u

/* A block that began to fill is handed over after this even if it is not full. The least the
 * kernel can do: it is how much later than with the other hooks a packet becomes readable, and at
 * rates where a thousand wake-ups a second would hurt, blocks fill sooner. */
#define RETIRE_MS 1

#define NS_PER_S 1000000000ull

/* A socket and the memory it shares with the kernel, a ring of blocks. */
struct feed {
	int socket;
	uint8_t *blocks;
	uint32_t block_size, n_blocks;
	uint32_t next; /* block that the kernel will hand over next */
};

struct tpacket;

/* Lives on the stack of who waits for it. */
struct order {
	int (*run)(struct tpacket *tpacket, struct order *order);
	bool accepted; /* due is set */
	bool done;
	uint64_t due; /* tpacket.walked at which it may run */
	int err;

	const struct npf_ring_geometry *geometry;
	struct npf_ring_view *view;
	struct npf_user_filters *filters; /* to change to, the old ones in return */
	struct feed *feed;                /* to change to, the old one in return; NULL: no change */
	uint64_t lost;
};

struct tpacket {
	struct npf_nic *nic;

	/* The thread's. */
	struct npf_user_tap tap;
	struct feed feed;
	uint64_t walked; /* frames handed to the tap */
	uint64_t queued; /* frames that the socket has put into blocks, as last asked */
	uint64_t lost;   /* frames that found no block */
	uint64_t last;   /* time stamp of the last frame: the next is not earlier */
	uint64_t offset; /* wall clock minus monotonic, as last known */

	int bell; /* eventfd: look at the fields below */
	pthread_t thread;
	uint32_t process; /* whose thread it is */
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct order *order; /* one at a time */
	bool stop;
};

/* ---- the feed ------------------------------------------------------------------------------ */

/* A loopback device shows each packet twice, sent and received. Refused by the socket the second
 * counts as neither received nor lost. */
static int keep_sent_only(int fd)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ? -errno : 0;
}

/* Blocks hold several of the longest packets: one that does not fit ends its block early. */
static uint32_t block_size_for(uint32_t max_receive)
{
	uint32_t size = LEAST_BLOCK;

	while (size < MOST_FEED / LEAST_BLOCKS && size / 2 < max_receive)
		size *= 2;
	return size;
}

/* As large as the buffer, within bounds: both are filled while the reader is away. */
static uint32_t feed_size_for(const struct npf_ring_geometry *geometry, uint32_t max_receive)
{
	uint64_t ring = (uint64_t)geometry->chunk_size * geometry->n_chunks + geometry->stream_size;
	uint32_t blocks = block_size_for(max_receive) * LEAST_BLOCKS;
	uint32_t size = blocks > LEAST_FEED ? blocks : LEAST_FEED;

	while (size < ring && size < MOST_FEED)
		size *= 2;
	return size;
}

/* Less when the kernel has not that much, down to two blocks. */
static int make_ring(struct feed *feed, uint32_t size)
{
	struct tpacket_req3 request = {
		.tp_block_size = feed->block_size,
		.tp_frame_size = feed->block_size, /* without meaning in this version */
		.tp_retire_blk_tov = RETIRE_MS,
	};
	int err = -ENOMEM;

	for (uint32_t n = size / feed->block_size; n >= 2 && err == -ENOMEM; n /= 2) {
		request.tp_block_nr = n;
		request.tp_frame_nr = n;
		err = setsockopt(feed->socket, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request))
			      ? -errno
			      : 0;
		feed->n_blocks = n;
	}
	return err;
}

static size_t mapped_size(const struct feed *feed)
{
	return (size_t)feed->block_size * feed->n_blocks;
}

static int map_ring(struct feed *feed)
{
	void *blocks = mmap(NULL, mapped_size(feed), PROT_READ | PROT_WRITE, MAP_SHARED,
			    feed->socket, 0);

	if (blocks == MAP_FAILED)
		return -errno;
	feed->blocks = blocks;
	return 0;
}

static void unmap_feed(struct feed *feed)
{
	if (feed->blocks)
		munmap(feed->blocks, mapped_size(feed));
	feed->blocks = NULL;
}

static void close_feed(struct feed *feed)
{
	unmap_feed(feed);
	if (feed->socket >= 0)
		close(feed->socket);
	feed->socket = -1;
}

static int prepare_feed(struct feed *feed, const struct npf_adapter *adapter, uint32_t size)
{
	int version = TPACKET_V3;
	int err = 0;

	if (setsockopt(feed->socket, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)))
		return -errno;
	if (adapter->hatype == ARPHRD_LOOPBACK)
		err = keep_sent_only(feed->socket);
	if (err)
		return err;
	err = make_ring(feed, size);
	return err ? err : map_ring(feed);
}

/* Complete, but deaf until listen_to(). */
static int open_feed(struct feed *feed, const struct npf_adapter *adapter, uint32_t size,
		     char *error)
{
	int err;

	*feed = (struct feed){ .block_size = block_size_for(adapter->max_receive) };
	feed->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (feed->socket < 0 && errno == EPERM)
		return npf_linux_not_permitted(error, "capturing", NPF_RIGHT(CAP_NET_RAW));
	if (feed->socket < 0)
		return npf_linux_error(error, -errno, "opening a packet socket failed: %s",
				       strerror(errno));
	err = prepare_feed(feed, adapter, size);
	if (err) {
		close_feed(feed);
		return npf_linux_error(error, err, "making a packet ring (TPACKET_V3) failed: %s",
				       strerror(-err));
	}
	return 0;
}

static int listen_to(const struct feed *feed, const struct npf_adapter *adapter, char *error)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)adapter->index,
	};

	if (!bind(feed->socket, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	return npf_linux_error(error, -errno, "listening on %s failed: %s", adapter->name,
			       strerror(errno));
}

/* ---- from block to tap ---------------------------------------------------------------------- */

/* The kernel counts in 32 bits and from zero again whenever it is asked. */
static void read_counters(struct tpacket *tpacket)
{
	struct tpacket_stats_v3 counters = { 0 };
	socklen_t size = sizeof(counters);

	if (getsockopt(tpacket->feed.socket, SOL_PACKET, PACKET_STATISTICS, &counters, &size))
		return;
	tpacket->lost += counters.tp_drops;
	tpacket->queued += counters.tp_packets - counters.tp_drops;
}

/* The span that records' time stamps of a block must fall into, and what takes them there. */
struct clocks {
	uint64_t now;    /* monotonic */
	uint64_t offset; /* wall clock minus monotonic */
};

static struct clocks read_clocks(struct tpacket *tpacket)
{
	struct npf_host *host = &tpacket->nic->host->base;

	tpacket->offset = npf_clock_offset(host, tpacket->offset);
	return (struct clocks){ .now = host->system->now(host), .offset = tpacket->offset };
}

/* The wall clock may have been stepped since; order and past are kept whatever it says. */
static uint64_t stamp(struct tpacket *tpacket, const struct tpacket3_hdr *packet,
		      const struct clocks *clocks)
{
	uint64_t time = packet->tp_sec * NS_PER_S + packet->tp_nsec - clocks->offset;

	if (time > clocks->now)
		time = clocks->now;
	if (time < tpacket->last)
		time = tpacket->last;
	tpacket->last = time;
	return time;
}

static void deliver(struct tpacket *tpacket, const struct tpacket3_hdr *packet,
		    const struct clocks *clocks)
{
	const uint8_t *base = (const uint8_t *)packet;
	const struct sockaddr_ll *from = (const void *)(base + TPACKET_ALIGN(sizeof(*packet)));
	bool loopback = from->sll_hatype == ARPHRD_LOOPBACK;
	struct npf_frame frame = {
		.length = packet->tp_snaplen,
		.wire_length = packet->tp_len,
		.packet_type = loopback ? NPF_TO_HOST : from->sll_pkttype,
		.protocol = ntohs(from->sll_protocol),
		.ifindex = (uint32_t)from->sll_ifindex,
		.hatype = from->sll_hatype,
	};

	if (packet->tp_status & TP_STATUS_VLAN_VALID) {
		frame.tagged = 1;
		frame.tag_tci = (uint16_t)packet->hv1.tp_vlan_tci;
		frame.tag_tpid = packet->tp_status & TP_STATUS_VLAN_TPID_VALID
					 ? packet->hv1.tp_vlan_tpid
					 : ETH_P_8021Q;
		frame.wire_length += NPF_TAG_SIZE;
	}
	npf_user_tap_deliver(&tpacket->tap, &frame, base + packet->tp_mac,
			     stamp(tpacket, packet, clocks), 0, 0);
}

/* The next block, if the kernel has handed it over. */
static struct tpacket_block_desc *full_block(const struct feed *feed)
{
	struct tpacket_block_desc *block =
		(void *)(feed->blocks + (size_t)feed->next * feed->block_size);
	uint32_t status = __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE);

	return status & TP_STATUS_USER ? block : NULL;
}

/* false: there is none. */
static bool walk_block(struct tpacket *tpacket)
{
	struct feed *feed = &tpacket->feed;
	struct tpacket_block_desc *block = full_block(feed);

	if (!block)
		return false;

	struct clocks clocks = read_clocks(tpacket);
	const uint8_t *at = (const uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;

	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *packet = (const void *)at;

		deliver(tpacket, packet, &clocks);
		at += packet->tp_next_offset;
	}
	tpacket->walked += block->hdr.bh1.num_pkts;
	__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	feed->next = (feed->next + 1) % feed->n_blocks;
	read_counters(tpacket); /* often enough that they do not wrap */
	return true;
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* What arrived before the order must be through the tap first. */
static void accept_order(struct tpacket *tpacket, struct order *order)
{
	if (order->accepted)
		return;
	read_counters(tpacket);
	order->due = tpacket->queued;
	order->accepted = true;
}

/* false: it is time to end. */
static bool look_for_orders(struct tpacket *tpacket)
{
	pthread_mutex_lock(&tpacket->lock);

	struct order *order = tpacket->order;
	bool stop = tpacket->stop;

	if (order)
		accept_order(tpacket, order);
	if (order && tpacket->walked >= order->due) {
		order->err = order->run(tpacket, order);
		order->done = true;
		tpacket->order = NULL;
		pthread_cond_broadcast(&tpacket->changed);
	}
	pthread_mutex_unlock(&tpacket->lock);
	return !stop;
}

/* An adapter that goes down or away makes the socket report an error, once it was read. */
static void sleep_until_news(struct tpacket *tpacket)
{
	struct pollfd fds[] = {
		{ .fd = tpacket->feed.socket, .events = POLLIN },
		{ .fd = tpacket->bell, .events = POLLIN },
	};
	socklen_t size = sizeof(int);
	uint64_t rings;
	int error;

	if (poll(fds, 2, -1) <= 0)
		return;
	if (fds[0].revents & POLLERR)
		getsockopt(tpacket->feed.socket, SOL_SOCKET, SO_ERROR, &error, &size);
	if (fds[1].revents && read(tpacket->bell, &rings, sizeof(rings)) < 0)
		return;
}

static void *receive(void *arg)
{
	struct tpacket *tpacket = arg;

	npf_linux_shed_rights();
	while (look_for_orders(tpacket)) {
		if (!walk_block(tpacket))
			sleep_until_news(tpacket);
	}
	return NULL;
}

static void ring_bell(const struct tpacket *tpacket)
{
	/* Cannot fail: it would take 2^64 rings that nobody answers. */
	eventfd_write(tpacket->bell, 1);
}

static void block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

/* A fork lacks the thread, which may have held the lock. The ring that it has is a copy that nobody fills. */
static bool has_thread(const struct tpacket *tpacket)
{
	return tpacket->process == npf_process_number();
}

/* Have the thread carry out an order and wait for it. A signal handler may ask for what was lost: it
 * shall not find this thread amid another order. */
static int give_order(struct tpacket *tpacket, struct order *order)
{
	sigset_t old;

	if (!has_thread(tpacket))
		return -ESRCH;
	block_signals(&old);
	pthread_mutex_lock(&tpacket->lock);
	while (tpacket->order)
		pthread_cond_wait(&tpacket->changed, &tpacket->lock);
	tpacket->order = order;
	ring_bell(tpacket);
	while (!order->done)
		pthread_cond_wait(&tpacket->changed, &tpacket->lock);
	pthread_mutex_unlock(&tpacket->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return order->err;
}

/* By it libwpcap knows whose thread it is (wpcap/unused.c). */
#define THREAD_NAME "npf-tpacket"

/* Signals are the program's; none shall find this thread. */
static int start_thread(struct tpacket *tpacket, char *error)
{
	sigset_t old;

	block_signals(&old);

	int err = pthread_create(&tpacket->thread, NULL, receive, tpacket);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return npf_linux_error(error, -err, "starting the receiving thread failed: %s",
				       strerror(err));
	pthread_setname_np(tpacket->thread, THREAD_NAME);
	tpacket->process = npf_process_number();
	tpacket->running = true;
	return 0;
}

static void stop_thread(struct tpacket *tpacket)
{
	if (!tpacket->running || !has_thread(tpacket))
		return;
	pthread_mutex_lock(&tpacket->lock);
	tpacket->stop = true;
	ring_bell(tpacket);
	pthread_mutex_unlock(&tpacket->lock);
	pthread_join(tpacket->thread, NULL);
	tpacket->running = false;
}

/* ---- the hook ------------------------------------------------------------------------------- */

static int wake(void *arg)
{
	struct npf_nic *nic = arg;

	npf_event_set(__atomic_load_n(&nic->tapped, __ATOMIC_ACQUIRE));
	return 0;
}

static void start_timer(void *arg, uint64_t ns)
{
	struct npf_nic *nic = arg;
	struct npf_host *host = &nic->host->base;

	npf_event_timer(__atomic_load_n(&nic->tapped, __ATOMIC_ACQUIRE),
			host->system->now(host) + ns);
}

static const struct npf_user_tap_host tap_host = { .wake = wake, .start_timer = start_timer };

static int open_tpacket(struct npf_nic *nic, char *error)
{
	static const struct npf_ring_geometry no_ring;
	struct tpacket *tpacket = calloc(1, sizeof(*tpacket));

	nic->hook_state = tpacket;
	if (!tpacket)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	tpacket->nic = nic;
	tpacket->feed.socket = -1;
	pthread_mutex_init(&tpacket->lock, NULL);
	pthread_cond_init(&tpacket->changed, NULL);
	npf_user_tap_init(&tpacket->tap, &nic->host->base, &tap_host, nic);
	tpacket->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tpacket->bell < 0)
		return npf_linux_error(error, -errno, "no descriptors left: %s", strerror(errno));

	uint32_t size = feed_size_for(&no_ring, nic->latest.max_receive);
	int err = open_feed(&tpacket->feed, &nic->latest, size, error);

	if (err)
		return err;
	nic->hidden_sender = tpacket->feed.socket;
	return start_thread(tpacket, error);
}

static void close_tpacket(struct npf_nic *nic)
{
	struct tpacket *tpacket = nic->hook_state;

	if (!tpacket)
		return;
	stop_thread(tpacket);
	close_feed(&tpacket->feed);
	npf_user_tap_fini(&tpacket->tap);
	if (tpacket->bell >= 0)
		close(tpacket->bell);
	pthread_cond_destroy(&tpacket->changed);
	pthread_mutex_destroy(&tpacket->lock);
	free(tpacket);
	nic->hook_state = NULL;
	nic->hidden_sender = -1;
}

/* The new feed takes over the old one's descriptor, through which own sends may just be going.
 * Should that fail the old one goes on: its size is no matter of right or wrong. What is not used
 * is left in feed, for the caller to close: that takes longer than packets can wait. */
static void change_feed(struct tpacket *tpacket, struct feed *feed)
{
	struct feed old = tpacket->feed;
	int fd = old.socket;

	old.socket = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (old.socket < 0)
		return;
	if (dup3(feed->socket, fd, O_CLOEXEC) < 0) {
		close(old.socket);
		return;
	}
	close(feed->socket);
	tpacket->feed = *feed;
	tpacket->feed.socket = fd;
	tpacket->walked = 0;
	tpacket->queued = 0;
	*feed = old;
}

static int run_set_ring(struct tpacket *tpacket, struct order *order)
{
	int err = npf_user_tap_set_ring(&tpacket->tap, order->geometry, order->view);

	if (!err && order->feed)
		change_feed(tpacket, order->feed);
	return err;
}

static int no_thread(char *error)
{
	return npf_linux_error(error, -ESRCH,
			       "the receiving thread is in the process that this one is a fork of: "
			       "open the adapter again");
}

/* The first ring begins the listening. A ring of another size gets a feed of another size; for a
 * moment both feeds are filled, so that nothing falls between them. */
static int set_ring(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
		    struct npf_ring_view *view, char *error)
{
	struct tpacket *tpacket = nic->hook_state;
	struct order order = { .run = run_set_ring, .geometry = geometry, .view = view };
	struct feed feed = { .socket = -1 };
	uint32_t size = feed_size_for(geometry, nic->latest.max_receive);
	bool change = size != mapped_size(&tpacket->feed);
	int err = 0;

	if (!has_thread(tpacket))
		return no_thread(error);
	if (change) {
		err = open_feed(&feed, &nic->latest, size, error);
		order.feed = &feed;
	}
	if (err)
		return err;
	err = listen_to(change ? &feed : &tpacket->feed, &nic->latest, error);
	if (err)
		goto close_unused;
	err = give_order(tpacket, &order);
	if (err)
		npf_linux_error(error, err, "no memory for the buffer");

close_unused:
	close_feed(&feed);
	return err;
}

/* The thread does not look at it. */
static void let_go(struct npf_nic *nic)
{
	struct tpacket *tpacket = nic->hook_state;

	npf_user_tap_let_go(&tpacket->tap);
}

static int run_set_filters(struct tpacket *tpacket, struct order *order)
{
	order->filters = npf_user_tap_set_filters(&tpacket->tap, order->filters);
	return 0;
}

static int set_filters(struct npf_nic *nic, const struct npf_filter_set *filters, char *error)
{
	struct npf_host *host = &nic->host->base;
	struct order order = { .run = run_set_filters };
	int err;

	if (!has_thread(nic->hook_state))
		return no_thread(error);
	order.filters = npf_user_filters_make(host, filters);
	if (!order.filters)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	err = give_order(nic->hook_state, &order);
	npf_user_filters_free(host, order.filters);
	return err;
}

static int run_nothing(struct tpacket *tpacket, struct order *order)
{
	order->lost = tpacket->lost;
	return 0;
}

/* A packet socket is never shown what was sent through it: nic.c sends through ours. What was sent
 * until now through the other is to be seen. */
static int hide_own(struct npf_nic *nic, bool hide, uint64_t *hidden)
{
	struct order order = { .run = run_nothing };

	(void)hide;
	*hidden = 0;
	return give_order(nic->hook_state, &order);
}

/* And, as a consequence: all that arrived before the call is in the tap's counters after it. A fork has no
 * thread to ask. */
static uint64_t lost(struct npf_nic *nic)
{
	struct tpacket *tpacket = nic->hook_state;
	struct order order = { .run = run_nothing };

	return give_order(tpacket, &order) ? tpacket->lost : order.lost;
}

static void clear(struct npf_nic *nic)
{
	(void)nic;
}

/* Once an order that was given later has been carried out, the old one is not touched any more. */
static int listen_elsewhere(struct npf_nic *nic, struct npf_event *event)
{
	struct order order = { .run = run_nothing };

	if (!has_thread(nic->hook_state))
		return -ESRCH;
	__atomic_store_n(&nic->tapped, event, __ATOMIC_RELEASE);
	return give_order(nic->hook_state, &order);
}

const struct npf_linux_hook_ops npf_hook_tpacket = {
	.hook = NPF_HOOK_TPACKET,
	.open = open_tpacket,
	.close = close_tpacket,
	.set_ring = set_ring,
	.let_go = let_go,
	.set_filters = set_filters,
	.hide_own = hide_own,
	.lost = lost,
	.clear = clear,
	.listen = listen_elsewhere,
};
