/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readiness, reading, batches (manual: NPF_Read).
 *
 * A read is ready when MinToCopy bytes are pending, when the timeout has passed since the first
 * pending packet's arrival, or when something ended. The same condition is the level of the poll
 * descriptor. While it holds, the level is left raised; while it does not, the level is down and
 * the tap is armed: it knows how many bytes are missing and how long the first packet may wait.
 *
 * No wake-up is lost. Arming races with the tap on other CPUs: in their order,
 *
 *	tap                                  reader
 *	T1  store: begun                     R1  store: the wish (need, timeout, arm)
 *	T2  store: the record, bytes         R2  full barrier
 *	T3  load:  arm                       R3  wait store_delay
 *	T4  store: done                      R4  load: what is pending
 *
 * The tap has no barrier between T2 and T3, so T3 may be served while T2 is still in the CPU's store
 * buffer. But a store is seen by all when store_delay has passed, whatever its CPU does meanwhile:
 * the buffer empties by itself, and before a CPU is given to somebody else. Let T3 not have seen the
 * wish. Then it was served before R2 ended, T2 had been executed before it, and is seen after R3: the
 * record is pending at R4. In other words, a record that R4 does not count belongs to a tap that saw,
 * or will see, the wish. A CPU that is stopped anywhere, however long, changes nothing of this.
 * (Locked instructions are barriers: the dump's arming needs no R3, its T2 is a compare-and-swap.)
 *
 * What a CPU that was stopped behind T3 does for an old wish harms no later one: `fired` then holds an
 * old number, which wakes once more; `timed` and `pending` are exchanged by compare-and-swap only. A
 * wake-up that fails takes `fired` back, and the timer tries again (npf_fulfil in tap.h).
 * tests/netns/wakeup.c tries.
 */
#include <errno.h>
#include <string.h>

#include "driver/core.h"

#define MUCH (256u << 10) /* bytes pending that show that more is coming */

/* ---- time ---------------------------------------------------------------------------------- */

uint64_t npf_time_offset(const struct npf_instance *instance)
{
	if (instance->timestamp_mode == NPF_TIMESTAMP_SINGLE_SYNC)
		return instance->driver->time_base;
	return npf_clock_offset(instance->host, instance->offset);
}

void npf_put_header(uint8_t *to, uint64_t time, uint32_t caplen, uint32_t datalen)
{
	struct npf_bpf_hdr header = {
		.tv_sec = (int32_t)(time / NPF_NS_PER_S),
		.tv_usec = (int32_t)(time % NPF_NS_PER_S / NPF_NS_PER_US),
		.caplen = caplen,
		.datalen = datalen,
		.hdrlen = NPF_BPF_HDR_SIZE,
	};

	memcpy(to, &header, sizeof(header));
}

/* ---- the records of this moment ------------------------------------------------------------ */

uint64_t npf_await_stores(const struct npf_instance *instance)
{
	uint64_t now = npf_now(instance);

	while (npf_now(instance) - now < instance->host->store_delay)
		;
	return now;
}

/* Begin a batch of all that was stamped until now. */
static void begin_now(struct npf_instance *instance)
{
	npf_ring_begin(&instance->reader, npf_await_stores(instance));
}

/* Begin a batch to read from: of all that is pending, but of much of it without a wait for the
 * youngest. */
static void begin(struct npf_instance *instance)
{
	struct npf_ring_reader *reader = &instance->reader;

	if (npf_ring_pending(reader) >= MUCH) {
		npf_ring_begin(reader, npf_now(instance) - instance->host->store_delay);
		if (npf_ring_peek(reader))
			return;
	}
	begin_now(instance);
}

/* ---- the condition ------------------------------------------------------------------------- */

/* Bytes that make a reader ready. More than the buffer is sure to hold would never come. */
static uint64_t threshold(const struct npf_instance *instance)
{
	uint32_t bytes = instance->min_to_copy;

	if (instance->timeout < 0)
		return 1;
	if (bytes > instance->surely_held)
		bytes = instance->surely_held;
	return bytes ? bytes : 1;
}

static uint64_t timeout_ns(const struct npf_instance *instance)
{
	return instance->timeout > 0 ? (uint64_t)instance->timeout * NPF_NS_PER_MS : 0;
}

/* When the first pending packet has waited long enough; 0: there is none, or no such time. */
static uint64_t flush_time(struct npf_instance *instance)
{
	uint64_t now, came;

	if (instance->timeout <= 0)
		return 0;
	now = npf_now(instance);
	came = npf_ring_oldest(&instance->reader, now - instance->host->store_delay);
	if (!came && npf_ring_pending(&instance->reader))
		came = now; /* this moment */
	return came ? came + timeout_ns(instance) : 0;
}

/* Readers of a dump wait for its end, or for a record of statistics. */
static bool only_dumping(const struct npf_instance *instance)
{
	return instance->dumping && !instance->config.statistics;
}

static bool ready(struct npf_instance *instance)
{
	uint64_t pending = npf_ring_pending(&instance->reader);

	if (only_dumping(instance))
		return npf_dump_ended(instance);
	/* Packets of an earlier capture go first. */
	if (instance->config.statistics)
		return pending || npf_now(instance) >= npf_monitor_due(instance);
	if (!pending)
		return false;
	if (pending >= threshold(instance))
		return true;

	uint64_t flush = flush_time(instance);

	return flush && npf_now(instance) >= flush;
}

static bool gone(const struct npf_instance *instance)
{
	return instance->host->nic->gone(instance->nic);
}

static bool called_off(const struct npf_instance *instance)
{
	return npf_closing(instance) || __atomic_load_n(&instance->stop, __ATOMIC_ACQUIRE);
}

/* ---- arming -------------------------------------------------------------------------------- */

/* R2 to R4 of the head comment, begin_now() being the wait; and CPUs that are inside the tap leave, so
 * that what they do for an older wish is mostly over. */
static void settle(struct npf_instance *instance)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	begin_now(instance);
	npf_ring_end(&instance->reader);
}

static void want(struct npf_instance *instance, uint64_t pending)
{
	uint64_t wanted = threshold(instance);
	uint64_t need = wanted > pending ? wanted - pending : 1;

	__atomic_store_n(&instance->view.control->waiter.need, (uint32_t)need, __ATOMIC_RELAXED);
}

/* A number that the tap has not fulfilled. */
static uint32_t next_arm(struct npf_instance *instance)
{
	uint32_t fired = __atomic_load_n(&instance->view.control->signal.fired, __ATOMIC_RELAXED);

	if (++instance->arm == fired)
		instance->arm++;
	return instance->arm;
}

/* The tap counts bytes from the moment it sees the wish. Some that came just before may be missing in
 * what was thought to be pending; then the wish is made smaller, by these and no others: a reader that
 * is woken early would do all this again. */
static void arm_tap(struct npf_instance *instance)
{
	struct npf_waiter *waiter = &instance->view.control->waiter;
	uint64_t pending = npf_ring_pending(&instance->reader);
	/* With packets pending the clock of the host is set; the tap need not start its own. */
	uint64_t timeout = pending ? 0 : timeout_ns(instance);

	want(instance, pending);
	__atomic_store_n(&waiter->timeout, timeout, __ATOMIC_RELAXED);
	__atomic_store_n(&waiter->arm, next_arm(instance), __ATOMIC_RELEASE);
	settle(instance);

	uint64_t before = npf_ring_uncounted(&instance->reader, instance->arm);

	if (before != pending) {
		want(instance, before);
		settle(instance);
	}
}

/* Nothing in statistics mode wakes but the clock. */
static void disarm_tap(struct npf_instance *instance)
{
	struct npf_control *control = instance->view.control;
	uint32_t fired = __atomic_load_n(&control->signal.fired, __ATOMIC_RELAXED);

	__atomic_store_n(&control->waiter.arm, fired, __ATOMIC_RELEASE);
}

/* Lower the level and arm; when the tap or the clock will raise it again, 0 for no clock. */
static uint64_t lower(struct npf_instance *instance)
{
	instance->raised = false;
	instance->host->nic->clear(instance->nic);
	if (instance->dumping) /* the tap wakes the dump's thread */
		return instance->config.statistics ? npf_monitor_due(instance) : 0;
	if (instance->config.statistics) {
		disarm_tap(instance);
		return npf_monitor_due(instance);
	}
	arm_tap(instance);
	return flush_time(instance);
}

static void raise(struct npf_instance *instance)
{
	if (!instance->raised)
		instance->host->nic->set(instance->nic);
	instance->raised = true;
}

/* Make the level true, and arm where it is down. true: up. */
static bool rearm(struct npf_instance *instance)
{
	uint64_t due;

	instance->armed = false;
	if (ready(instance) || called_off(instance)) {
		raise(instance);
		return true;
	}
	due = lower(instance);
	/* Again, for what came before the tap knew of the wish. An adapter's end raises by itself. */
	if (ready(instance) || called_off(instance)) {
		raise(instance);
		return true;
	}
	if (due)
		instance->host->nic->timer(instance->nic, due);
	instance->armed = true;
	return false;
}

void npf_update_readiness(struct npf_instance *instance)
{
	if (instance->batch)
		return; /* its end will do it */
	if (instance->waiting) {
		/* The reader sleeps for what it knew before; it arms anew when it wakes. */
		instance->armed = false;
		instance->host->nic->set(instance->nic);
		return;
	}
	rearm(instance);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static int no_buffer(struct npf_instance *instance)
{
	return npf_fail(instance, -EINVAL,
			"there is no circular buffer; set its size (BIOCSETBUFFERSIZE) first");
}

/* Would a read return a record of statistics now? */
static bool record_is_next(const struct npf_instance *instance)
{
	return instance->config.statistics && !npf_ring_pending(&instance->reader);
}

/* Reasons not to read at all. */
static int refused(struct npf_instance *instance)
{
	if (npf_closing(instance))
		return npf_fail(instance, -ECANCELED, "the instance is being closed");
	if (__atomic_exchange_n(&instance->stop, 0, __ATOMIC_ACQ_REL)) {
		instance->armed = false;
		return npf_fail(instance, -EINTR, "the wait was stopped, as asked");
	}
	if (!instance->config.statistics && !instance->buffer_size)
		return no_buffer(instance);
	return 0;
}

/* Is there anything left to deliver of an adapter that has gone? */
static bool leftover(struct npf_instance *instance)
{
	return npf_ring_pending(&instance->reader) ||
	       (instance->config.statistics && npf_monitor_news(instance));
}

static int nothing_left(struct npf_instance *instance)
{
	return npf_fail_host(instance, -ENODEV, "nothing is left to read");
}

static uint64_t deadline_of(const struct npf_instance *instance, uint64_t start)
{
	if (instance->config.statistics)
		return npf_monitor_due(instance);
	if (instance->timeout < 0)
		return start;
	return instance->timeout ? start + timeout_ns(instance) : NPF_WAIT_FOR_EVER;
}

/* Without the lock, for control calls go on beside it. -ETIMEDOUT leaves everything armed. */
static int sleep_until(struct npf_instance *instance, uint64_t deadline)
{
	struct npf_host *host = instance->host;
	int err;

	instance->waiting = true;
	npf_lock_release(host, &instance->lock);
	err = host->nic->wait(instance->nic, deadline);
	npf_lock_take(host, &instance->lock);
	instance->waiting = false;
	if (err == -ETIMEDOUT)
		return err;
	instance->armed = false;
	return err ? npf_fail_host(instance, err, "waiting for packets failed") : 0;
}

/* With the lock: wait until a read has something to say. Settings are looked at in every round,
 * for they may change meanwhile. */
static int wait_ready(struct npf_instance *instance)
{
	uint64_t start = npf_now(instance);

	for (;;) {
		int err = refused(instance);

		if (err)
			return err;

		bool now = ready(instance);
		uint64_t deadline = deadline_of(instance, start);

		if (now && !record_is_next(instance))
			return 0;

		bool sleeps = !now && npf_now(instance) < deadline;

		/* While armed, the adapter's end lets nobody sleep. */
		if (!(sleeps && instance->armed) && gone(instance))
			return leftover(instance) ? 0 : nothing_left(instance);
		if (!sleeps)
			return 0;
		if (!instance->armed && rearm(instance))
			continue;
		err = sleep_until(instance, deadline);
		if (err)
			return err == -ETIMEDOUT ? refused(instance) : err;
	}
}

/* The same without the wait. Where nothing is pending the level may be up for what was there before. */
static int look(struct npf_instance *instance)
{
	int err = refused(instance);

	if (err)
		return err;
	if (!npf_ring_pending(&instance->reader))
		instance->armed = false;
	return gone(instance) && !leftover(instance) ? nothing_left(instance) : 0;
}

void npf_stop_waiting(struct npf_instance *instance)
{
	if (!npf_start_using_binding(instance))
		return;
	__atomic_store_n(&instance->stop, 1, __ATOMIC_RELEASE);
	instance->host->nic->set(instance->nic);
	npf_stop_using_binding(instance);
}

int npf_poll_fd(struct npf_instance *instance)
{
	if (!npf_start_using_binding(instance))
		return -1;

	int fd = instance->host->nic->fd(instance->nic);

	npf_stop_using_binding(instance);
	return fd;
}

/* ---- the one reader ------------------------------------------------------------------------ */

/* What the last batch left is looked at no more. */
static void forget_left(struct npf_instance *instance)
{
	if (!instance->left)
		return;
	instance->left = false;
	instance->host->nic->let_go(instance->nic);
	instance->reader.holds = false;
	npf_ring_end(&instance->reader);
}

static int enter_reader(struct npf_instance *instance)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	if (__atomic_exchange_n(&instance->reading, 1, __ATOMIC_ACQUIRE)) {
		npf_stop_using_open_instance(instance);
		return npf_fail(instance, -EBUSY,
				"another read is going on; end it, or its batch, first");
	}
	npf_lock_take(instance->host, &instance->lock);
	forget_left(instance);
	return 0;
}

static void leave_reader(struct npf_instance *instance)
{
	if (!instance->armed)
		rearm(instance);
	npf_lock_release(instance->host, &instance->lock);
	__atomic_store_n(&instance->reading, 0, __ATOMIC_RELEASE);
	npf_stop_using_open_instance(instance);
}

static void begin_records(struct npf_instance *instance)
{
	instance->offset = npf_time_offset(instance);
	begin(instance);
}

static void end_records(struct npf_instance *instance)
{
	npf_ring_end(&instance->reader);
	instance->released = instance->reader.consumed;
	instance->armed = false;
}

void npf_discard(struct npf_instance *instance, uint64_t walked)
{
	begin_now(instance);
	while (instance->walked < walked && npf_ring_next(&instance->reader))
		instance->walked++;
	end_records(instance);
}

/* ---- read ---------------------------------------------------------------------------------- */

/* Copy one packet to the start of `room` bytes; bytes used, padding included, which is cut where
 * the buffer ends. room holds at least a header. */
static size_t copy_packet(const struct npf_instance *instance, const struct npf_record *record,
			  uint8_t *to, size_t room)
{
	size_t most = room - NPF_BPF_HDR_SIZE;
	uint32_t caplen = record->caplen < most ? record->caplen : (uint32_t)most;
	size_t end = NPF_BPF_HDR_SIZE + caplen;
	size_t padded = NPF_WORDALIGN((size_t)end);

	if (padded > room)
		padded = room;
	npf_put_header(to, record->time + instance->offset, caplen, record->length);
	memcpy(to + NPF_BPF_HDR_SIZE, (const uint8_t *)record + NPF_RECORD_HEADER, caplen);
	memset(to + end, 0, padded - end);
	return padded;
}

/* As many whole packets as fit. One that alone is too long is cut, or it would never leave. */
static int64_t copy_packets(struct npf_instance *instance, uint8_t *buffer, size_t size)
{
	const struct npf_record *record;
	size_t used = 0;

	begin_records(instance);
	while ((record = npf_ring_peek(&instance->reader))) {
		if (used && NPF_BPF_HDR_SIZE + (size_t)record->caplen > size - used)
			break;
		used += copy_packet(instance, record, buffer + used, size - used);
		npf_ring_next(&instance->reader);
		instance->walked++;
	}
	end_records(instance);
	return (int64_t)used;
}

static int check_size(struct npf_instance *instance, const void *buffer, size_t size)
{
	uint32_t least = record_is_next(instance) ? npf_monitor_record_size(instance)
						  : NPF_BPF_HDR_SIZE;

	if (buffer && size >= least)
		return 0;
	return npf_fail_value(instance, -ENOBUFS, "the buffer is too short; give at least ", least,
			      " bytes");
}

/* Twice the size is checked: waiting for what cannot be delivered would be in vain, and the mode
 * may change during the wait. */
static int64_t read_locked(struct npf_instance *instance, uint8_t *buffer, size_t size)
{
	int err = check_size(instance, buffer, size);

	if (!err)
		err = wait_ready(instance);
	if (!err)
		err = check_size(instance, buffer, size);
	if (err)
		return err;
	if (!record_is_next(instance))
		return copy_packets(instance, buffer, size);
	instance->armed = false;
	return npf_monitor_record(instance, buffer);
}

int64_t npf_read(struct npf_instance *instance, void *buffer, size_t size)
{
	int err = enter_reader(instance);

	if (err)
		return err;

	int64_t result = read_locked(instance, buffer, size);

	leave_reader(instance);
	return result;
}

/* ---- batches ------------------------------------------------------------------------------- */

int npf_check_no_batch(struct npf_instance *instance)
{
	if (!instance->batch)
		return 0;
	return npf_fail(instance, -EBUSY,
			"packets of the buffer are in use; end the batch (npf_batch_end) first");
}

static int64_t begin_locked(struct npf_instance *instance,
			    int (*wait)(struct npf_instance *instance))
{
	int err = wait(instance);

	if (err)
		return err;
	if (record_is_next(instance))
		return npf_fail(instance, -EINVAL,
				"statistics have no packets; take them with npf_read");

	int64_t pending = (int64_t)npf_ring_pending(&instance->reader);

	if (!pending)
		return 0;
	begin_records(instance);
	instance->batch = true;
	return pending;
}

static int64_t begin_batch(struct npf_instance *instance, int (*wait)(struct npf_instance *instance))
{
	int err = enter_reader(instance);

	if (err)
		return err;

	int64_t pending = begin_locked(instance, wait);

	if (pending > 0)
		npf_lock_release(instance->host, &instance->lock);
	else
		leave_reader(instance);
	return pending;
}

int64_t npf_batch_begin(struct npf_instance *instance)
{
	return begin_batch(instance, wait_ready);
}

int64_t npf_batch_begin_now(struct npf_instance *instance)
{
	return begin_batch(instance, look);
}

/* What is handed out is known before the step to the next: nothing need be kept over it. */
bool npf_batch_next(struct npf_instance *instance, struct npf_packet *packet)
{
	const struct npf_record *record = npf_ring_peek(&instance->reader);

	if (!instance->batch || !record)
		return false;
	*packet = (struct npf_packet){
		.time = record->time + instance->offset,
		.caplen = record->caplen,
		.len = record->length,
		.flags = record->flags,
		.data = (const uint8_t *)record + NPF_RECORD_HEADER,
	};
	instance->walked++;
	npf_ring_next(&instance->reader);
	return true;
}

static void end_batch(struct npf_instance *instance, bool leave)
{
	if (!instance->batch)
		return;
	npf_lock_take(instance->host, &instance->lock);
	instance->left = leave;
	instance->reader.holds = leave;
	end_records(instance);
	instance->batch = false;
	leave_reader(instance);
}

void npf_batch_end(struct npf_instance *instance)
{
	end_batch(instance, false);
}

void npf_batch_leave(struct npf_instance *instance)
{
	end_batch(instance, true);
}
