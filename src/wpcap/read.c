/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets, in place: callbacks get pointers into the kernel's buffer. A batch of the driver is open
 * from the first packet of it until all were handed out, and for pcap_next() until the next call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wpcap/wpcap.h"

#define NS_PER_S  1000000000u
#define NS_PER_US 1000u

/* A batch ends after this part of the buffer: the room of what was read is wanted. */
#define WALK_SHARE 4
#define OVERHEAD   32 /* of a packet there, about */

/* Without a bound: as many as there are. */
#define ALL (-1)

/* ---- batches ------------------------------------------------------------------------------- */

/* To whoever selects, in a program that knows nothing of us. */
static void tell_at_hand(const pcap_t *p, bool at_hand)
{
	if (p->at_hand)
		__atomic_store_n(p->at_hand, at_hand, __ATOMIC_RELAXED);
}

static void forget_batch(pcap_t *p)
{
	p->batch = false;
	p->has_ahead = false;
	p->walked = 0;
	tell_at_hand(p, false);
}

static void end_batch(pcap_t *p)
{
	if (!p->batch)
		return;

	WPCAP_IN_DRIVER(p);

	npf_batch_end(p->instance);
	forget_batch(p);
}

void wpcap_leave_batch(pcap_t *p)
{
	if (!p->batch)
		return;

	WPCAP_IN_DRIVER(p);

	npf_batch_leave(p->instance);
	forget_batch(p);
	p->left = true;
}

void wpcap_discard_packets(pcap_t *p)
{
	struct npf_packet packet;
	struct npf_stats stats;

	while (p->to_discard && !npf_get_stats(p->instance, &stats) && stats.buffer_used &&
	       npf_batch_begin(p->instance) > 0) {
		while (npf_batch_next(p->instance, &packet))
			;
		npf_batch_end(p->instance);
	}
	p->to_discard = false;
}

static bool readable(pcap_t *p)
{
	struct pollfd event = { .fd = pcap_get_selectable_fd(p), .events = POLLIN };

	return poll(&event, 1, 0) > 0;
}

/* Asked for every packet: a look costs less than an exchange. */
bool wpcap_was_broken(pcap_t *p)
{
	return __atomic_load_n(&p->broken, __ATOMIC_RELAXED) &&
	       __atomic_exchange_n(&p->broken, 0, __ATOMIC_ACQ_REL);
}

static int fail_read(pcap_t *p, int64_t err)
{
	if (err == -ENODEV)
		return wpcap_fail(p, PCAP_ERROR, "The interface disappeared");
	return wpcap_fail_adapter(p, PCAP_ERROR, "reading failed");
}

/* A negative timeout is no wait, as WinPcap has it. */
static bool waits(const pcap_t *p)
{
	return !p->nonblocking && p->options.timeout >= 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* When to wait no longer; -1: never. Without a timeout nothing but packets, a break or the adapter's end
 * wakes us. */
static int64_t deadline_of(const pcap_t *p)
{
	if (!waits(p))
		return 0;
	return p->options.timeout ? now_ms() + p->options.timeout : -1;
}

static int left_until(int64_t deadline)
{
	int64_t left = deadline <= 0 ? deadline : deadline - now_ms();

	return deadline > 0 && left < 0 ? 0 : (int)left;
}

/* 1: a batch is open; 0: time has passed; PCAP_ERROR, PCAP_ERROR_BREAK. */
static int begin_batch(pcap_t *p)
{
	int64_t deadline = deadline_of(p), pending;
	int ready;

	p->reading = true;
	p->left = false;
	do {
		ready = wpcap_await(p, left_until(deadline));
		if (ready < 0 || (!ready && !waits(p)))
			return ready;

		WPCAP_IN_DRIVER(p);

		/* When time has passed, or a signal came, younger ones may be there than who waits is told of. */
		pending = npf_batch_begin_now(p->instance);
	} while (pending == -EINTR || (!pending && ready && waits(p)));
	if (pending < 0)
		return fail_read(p, pending);
	p->batch = pending > 0;
	p->lasting = false;
	p->longest_walk = (uint32_t)p->options.buffer_size / WALK_SHARE + 1;
	return p->batch;
}

/* ---- one packet ---------------------------------------------------------------------------- */

static struct timeval time_of(const pcap_t *p, uint64_t ns)
{
	uint64_t seconds = ns / NS_PER_S, part = ns - seconds * NS_PER_S;

	if (p->options.precision != PCAP_TSTAMP_PRECISION_NANO)
		part /= NS_PER_US;
	return (struct timeval){ .tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)part };
}

static void cut(struct npf_packet *packet, uint32_t most)
{
	if (packet->caplen > most)
		packet->caplen = most;
}

static bool passes(pcap_t *p, struct npf_packet *packet)
{
	uint32_t keep = wpcap_filter_here(p, packet);

	cut(packet, keep);
	return keep;
}

/* What the driver could not filter or cut. */
static bool wanted(pcap_t *p, struct npf_packet *packet)
{
	if (p->to_filter) {
		if (p->to_filter != WPCAP_ALL)
			p->to_filter--;
		if (!passes(p, packet))
			return false;
	}
	cut(packet, (uint32_t)p->options.snaplen);
	return !wpcap_is_sampled(p) || wpcap_sample(p, packet->time);
}

/* Find the next packet of the batch that is wanted, in p->found, p->header and p->data. */
static bool find_packet(pcap_t *p)
{
	struct npf_packet *packet = &p->found;

	while (p->walked < p->longest_walk && npf_batch_next(p->instance, packet)) {
		p->walked += packet->caplen + OVERHEAD;
		if (!wanted(p, packet))
			continue;
		p->header.ts = time_of(p, packet->time);
		p->header.caplen = packet->caplen;
		p->header.len = packet->len;
		p->data = packet->data;
		return true;
	}
	return false;
}

/* The one that is handed out next; none when no batch is open. */
static bool next_packet(pcap_t *p)
{
	if (!p->has_ahead)
		return find_packet(p);
	p->has_ahead = false;
	if (p->ahead_is_earlier && !passes(p, &p->found))
		return find_packet(p);
	p->header.caplen = p->found.caplen;
	return true;
}

/* ---- statistics mode ----------------------------------------------------------------------- */

/* 1: a record; 0: not yet; PCAP_ERROR, PCAP_ERROR_BREAK. */
static int read_record(pcap_t *p)
{
	struct pcap_pkthdr *header = &p->header;
	struct npf_bpf_hdr record;

	end_batch(p);
	p->left = false;
	wpcap_discard_packets(p);
	for (;;) {
		int ready = wpcap_await(p, p->nonblocking ? 0 : -1);

		if (ready <= 0)
			return ready;

		WPCAP_IN_DRIVER(p);

		PacketInitPacket(p->packet, p->record, sizeof(p->record));
		if (PacketReceivePacket(p->adapter, p->packet, TRUE))
			break;
		if (errno != EINTR)
			return fail_read(p, -errno);
	}
	if (p->packet->ulBytesReceived < sizeof(record))
		return 0;
	memcpy(&record, p->record, sizeof(record));
	header->ts = (struct timeval){ .tv_sec = record.tv_sec, .tv_usec = record.tv_usec };
	if (p->options.precision == PCAP_TSTAMP_PRECISION_NANO)
		header->ts.tv_usec *= NS_PER_US;
	header->caplen = record.caplen;
	header->len = record.datalen;
	p->data = p->record + record.hdrlen;
	return 1;
}

static int dispatch_record(pcap_t *p, pcap_handler callback, u_char *user)
{
	int result = read_record(p);

	if (result == 1)
		callback(user, &p->header, p->data);
	return result;
}

/* ---- many --------------------------------------------------------------------------------- */

/* While a batch is open the descriptor stays as it is: may it stay open until the next call? Not
 * without a packet for it, or who waits would be told of one in vain. */
static bool lasts(pcap_t *p)
{
	if (!p->lasting)
		p->lasting = readable(p);
	p->has_ahead = p->lasting && find_packet(p);
	p->ahead_is_earlier = false;
	tell_at_hand(p, p->has_ahead);
	return p->has_ahead;
}

/* Hand out up to count packets of the batch. It ends with its last; before that it stays open for the
 * next call, if who waits for the descriptor will learn of it. */
static int walk(pcap_t *p, int count, pcap_handler callback, u_char *user)
{
	int n = 0;

	while (next_packet(p)) {
		callback(user, &p->header, p->data);
		n++;
		/* As on libpcap's interfaces: at once, whatever was handed out. */
		if (wpcap_was_broken(p))
			n = PCAP_ERROR_BREAK;
		if (n < 0 || n == count) {
			if (lasts(p))
				return n;
			break;
		}
	}
	end_batch(p);
	return n;
}

static int dispatch(pcap_t *p, int count, pcap_handler callback, u_char *user)
{
	bool begun = false;
	int n;

	if (p->mode == MODE_STAT)
		return dispatch_record(p, callback, user);
	if (wpcap_was_broken(p))
		return PCAP_ERROR_BREAK;
	for (;;) {
		n = p->batch ? walk(p, count, callback, user) : 0;
		if (n)
			return n;
		if (begun)
			return wpcap_was_broken(p) ? PCAP_ERROR_BREAK : 0;
		n = begin_batch(p);
		if (n <= 0)
			return n;
		begun = true;
	}
}

/* ---- with a callback ----------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_dispatch(pcap_t *p, int count, pcap_handler callback, u_char *user)
{
	if (p->real)
		return wpcap_real_dispatch(p, count, callback, user);
	return dispatch(p, count > 0 ? count : ALL, callback, user);
}

WPCAP_EXPORT int pcap_loop(pcap_t *p, int count, pcap_handler callback, u_char *user)
{
	if (p->real)
		return wpcap_real_loop(p, count, callback, user);
	for (;;) {
		int n = dispatch(p, count > 0 ? count : ALL, callback, user);

		if (n < 0)
			return n;
		if (count > 0 && (count -= n) <= 0)
			return 0;
	}
}

/* Flags only, a write and a wake-up: a signal handler may, and another thread, also while it is activated. What
 * is not activated yet breaks then. */
WPCAP_EXPORT void pcap_breakloop(pcap_t *p)
{
	struct npf_instance *reader;
	uint32_t process;
	pcap_t *real;

	__atomic_store_n(&p->broken, 1, __ATOMIC_SEQ_CST);
	reader = __atomic_load_n(&p->reader, __ATOMIC_ACQUIRE);
	real = __atomic_load_n(&p->real_reader, __ATOMIC_SEQ_CST);
	wpcap_count_in(&p->breaking, &process);
	if (reader && wpcap_counted(&p->transmitting))
		npf_stop_sending(reader);
	wpcap_count_out(&p->breaking, process);
	if (reader)
		npf_stop_waiting(reader);
	else if (real)
		REAL(pcap_breakloop)(real);
}

/* ---- without one --------------------------------------------------------------------------- */

/* Hand out a copy of the last packet of a batch, and end the batch: otherwise who waits for the
 * descriptor would be told of packets until the next call, which would find none. Without memory for it
 * the packet stays where it is. */
static void hand_out_copy(pcap_t *p)
{
	if (!p->last)
		p->last = malloc(WPCAP_LARGEST_SNAPLEN);
	if (!p->last)
		return;
	memcpy(p->last, p->shown_data, p->shown.caplen);
	p->shown_data = p->last;
	end_batch(p);
}

/* The packet that was found, in p->shown and p->shown_data; and find the next one. */
static void show(pcap_t *p)
{
	p->shown = p->header;
	p->shown_data = p->data;
	if (p->mode == MODE_STAT)
		return;
	p->has_ahead = find_packet(p);
	p->ahead_is_earlier = false;
	if (!p->has_ahead)
		hand_out_copy(p);
}

/* In p->header and p->data: 1, 0, PCAP_ERROR, PCAP_ERROR_BREAK. */
static int find_next(pcap_t *p)
{
	int begun;

	if (p->mode == MODE_STAT)
		return read_record(p);
	if (wpcap_was_broken(p))
		return PCAP_ERROR_BREAK;
	tell_at_hand(p, false);
	if (p->batch && next_packet(p))
		return 1;
	end_batch(p);
	begun = begin_batch(p);
	if (begun <= 0)
		return begun;
	if (next_packet(p))
		return 1;
	/* None of them was wanted. */
	end_batch(p);
	return 0;
}

static int next(pcap_t *p)
{
	int result = find_next(p);

	if (result == 1)
		show(p);
	return result;
}

WPCAP_EXPORT int pcap_next_ex(pcap_t *p, struct pcap_pkthdr **header, const u_char **data)
{
	int result;

	if (p->real)
		return wpcap_real_next_ex(p, header, data);
	result = next(p);
	*header = &p->shown;
	if (result == 1)
		*data = p->shown_data;
	return result;
}

WPCAP_EXPORT const u_char *pcap_next(pcap_t *p, struct pcap_pkthdr *header)
{
	if (p->real)
		return wpcap_real_next(p, header);
	if (next(p) != 1)
		return NULL;
	*header = p->shown;
	return p->shown_data;
}

/* ---- counting ------------------------------------------------------------------------------ */

/* 0, or a negative errno: the handle is being closed. */
static int count(const pcap_t *p, struct counters *counters)
{
	struct npf_stats now;
	int err;

	if (__atomic_load_n(&p->holds, __ATOMIC_SEQ_CST)) {
		*counters = p->held;
		return 0;
	}
	err = npf_get_stats(p->instance, &now);
	if (err)
		return err;

	uint64_t lost = now.dropped_by[NPF_DROP_BACKLOG];

	*counters = (struct counters){
		.received = p->counted.received + now.received - now.filtered,
		.dropped = p->counted.dropped + now.dropped - lost,
		.lost = p->counted.lost + lost,
	};
	return 0;
}

static int fail_count(pcap_t *p)
{
	return wpcap_fail_adapter(p, PCAP_ERROR, "asking for the statistics failed");
}

int wpcap_hold_counters(pcap_t *p)
{
	if (count(p, &p->held))
		return fail_count(p);
	__atomic_store_n(&p->holds, 1, __ATOMIC_SEQ_CST);
	return 0;
}

void wpcap_let_counters_go(pcap_t *p, bool restarted)
{
	if (restarted)
		p->counted = p->held;
	__atomic_store_n(&p->holds, 0, __ATOMIC_SEQ_CST);
}

/* rx_dropped would not do: there the kernel counts packets that no protocol wanted, too. */
uint64_t wpcap_adapter_missed(const pcap_t *p)
{
	char path[128], text[32];
	int saved = errno; /* a signal handler may be the caller */
	uint64_t missed;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%.32s/statistics/rx_missed_errors",
		 p->adapter->Name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	missed = strtoull(text, NULL, 10);
	errno = saved;
	return missed;
}

static uint64_t adapter_dropped(const pcap_t *p)
{
	uint64_t now = wpcap_adapter_missed(p);

	return now > p->adapter_dropped ? now - p->adapter_dropped : 0;
}

/* tcpdump calls it in a signal handler: no memory is taken, nor a lock that this thread may have. */
WPCAP_EXPORT int pcap_stats(pcap_t *p, struct pcap_stat *stats)
{
	struct counters counters;

	if (p->real)
		return REAL(pcap_stats)(p->real, stats);

	WPCAP_IN_DRIVER(p);

	if (p->mode == MODE_STAT)
		return wpcap_fail(p, PCAP_ERROR, "pcap_stats is not supported in statistics mode");
	if (count(p, &counters))
		return fail_count(p);
	/* Three fields: a libpcap program's structure has no more. */
	stats->ps_recv = (u_int)counters.received;
	stats->ps_drop = (u_int)counters.dropped;
	stats->ps_ifdrop = (u_int)(counters.lost + adapter_dropped(p));
	return 0;
}
