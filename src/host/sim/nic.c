/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated binding: the user space tap, transmission that every binding of the adapter sees,
 * and readiness as the level of an eventfd.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/sim/internal.h"

/* A worker looks around from time to time: that alone will end no wait. */
#define IDLE_STEPS 1000u

/* ---- readiness ----------------------------------------------------------------------------- */

void npf_sim_raise(struct npf_nic *nic)
{
	int saved = errno; /* a signal handler may be our caller */

	eventfd_write(nic->raised, 1);
	__atomic_fetch_add(&nic->sim->changes, 1, __ATOMIC_SEQ_CST);
	npf_sim_futex_wake(&nic->sim->changes);
	errno = saved;
}

static bool is_raised(const struct npf_nic *nic)
{
	struct pollfd level = { .fd = nic->raised, .events = POLLIN };

	return poll(&level, 1, 0) == 1;
}

static void nic_clear(struct npf_nic *nic)
{
	eventfd_t count;

	pthread_mutex_lock(&nic->sim->lock);
	nic->timer = 0;
	if (!nic->gone)
		eventfd_read(nic->raised, &count);
	pthread_mutex_unlock(&nic->sim->lock);
}

static void nic_timer(struct npf_nic *nic, uint64_t at)
{
	pthread_mutex_lock(&nic->sim->lock);
	nic->timer = at;
	if (at && at <= nic->sim->now) {
		nic->timer = 0;
		npf_sim_raise(nic);
	}
	pthread_mutex_unlock(&nic->sim->lock);
}

static int nic_fd(struct npf_nic *nic)
{
	return nic->raised;
}

static int join_locked(struct npf_nic *nic, int poller)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = nic };
	int err = npf_sim_operation(nic->sim);

	if (err)
		return err;
	return epoll_ctl(poller, EPOLL_CTL_ADD, nic->raised, &event) ? -errno : 0;
}

static int nic_join(struct npf_nic *nic, int poller)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = join_locked(nic, poller);

	pthread_mutex_unlock(&nic->sim->lock);
	return err;
}

/* One look: 0, -ETIMEDOUT, or -EAGAIN to look again. The wait's part of the clock: sim.h. */
static int wait_step(struct npf_nic *nic, uint64_t deadline)
{
	struct npf_sim *sim = nic->sim;

	if (is_raised(nic))
		return 0;
	if (sim->now >= deadline)
		return -ETIMEDOUT;
	if (deadline == NPF_WAIT_FOR_EVER && sim->idle > IDLE_STEPS)
		return -EDEADLK;
	if (sim->threaded || npf_sim_step(sim, deadline))
		return -EAGAIN;
	if (deadline == NPF_WAIT_FOR_EVER)
		return -EDEADLK;
	npf_sim_advance(&sim->base, deadline - sim->now);
	return -ETIMEDOUT;
}

static int nic_wait(struct npf_nic *nic, uint64_t deadline)
{
	struct npf_sim *sim = nic->sim;
	int err;

	for (;;) {
		uint32_t seen = __atomic_load_n(&sim->changes, __ATOMIC_SEQ_CST);

		pthread_mutex_lock(&sim->lock);
		err = wait_step(nic, deadline);
		pthread_mutex_unlock(&sim->lock);
		if (err != -EAGAIN)
			return err;
		if (sim->threaded)
			npf_sim_futex_wait(&sim->changes, seen);
	}
}

/* ---- the tap ------------------------------------------------------------------------------- */

static int tap_wake(void *arg)
{
	struct npf_nic *nic = arg;

	if (nic->worker)
		npf_sim_workers.wake(nic->worker);
	else
		npf_sim_raise(nic);
	return 0;
}

static void tap_start_timer(void *arg, uint64_t ns)
{
	struct npf_nic *nic = arg;

	nic->flush = nic->sim->now + ns;
}

static const struct npf_user_tap_host tap_host = { .wake = tap_wake,
						   .start_timer = tap_start_timer };

static int nic_set_ring(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
			struct npf_ring_view *view, char *error)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = npf_sim_operation(nic->sim);

	if (!err)
		err = npf_user_tap_set_ring(&nic->tap, geometry, view);
	if (!err)
		nic->flush = 0;
	pthread_mutex_unlock(&nic->sim->lock);
	if (err)
		snprintf(error, NPF_ERROR_SIZE, "no memory for the buffer");
	return err;
}

static void nic_let_go(struct npf_nic *nic)
{
	npf_user_tap_let_go(&nic->tap);
}

static int nic_set_filters(struct npf_nic *nic, const struct npf_filter_set *filters, char *error)
{
	struct npf_user_filters *made = npf_user_filters_make(&nic->sim->base, filters);

	if (!made)
		return -ENOMEM;
	pthread_mutex_lock(&nic->sim->lock);
	int err = npf_sim_operation(nic->sim);

	if (!err)
		made = npf_user_tap_set_filters(&nic->tap, made);
	pthread_mutex_unlock(&nic->sim->lock);
	npf_user_filters_free(&nic->sim->base, made);
	if (err)
		snprintf(error, NPF_ERROR_SIZE, "the filter was refused");
	return err;
}

/* ---- the adapter --------------------------------------------------------------------------- */

static enum npf_hook nic_hook(struct npf_nic *nic)
{
	return nic->hook;
}

static uint32_t nic_cpus(struct npf_nic *nic)
{
	return nic->sim->n_cpus;
}

static int nic_info(struct npf_nic *nic, struct npf_adapter *adapter)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = npf_sim_operation(nic->sim);

	if (!nic->gone)
		nic->adapter = npf_sim_find_index(nic->sim, nic->adapter.index)->adapter;
	else
		err = -ENODEV;
	*adapter = nic->adapter;
	pthread_mutex_unlock(&nic->sim->lock);
	return err;
}

static bool nic_gone(struct npf_nic *nic)
{
	pthread_mutex_lock(&nic->sim->lock);
	bool gone = nic->gone;

	pthread_mutex_unlock(&nic->sim->lock);
	return gone;
}

static int nic_set_hw_filter(struct npf_nic *nic, uint32_t bits)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = nic->gone ? -ENODEV : npf_sim_operation(nic->sim);

	if (!err)
		nic->hw_filter = bits;
	pthread_mutex_unlock(&nic->sim->lock);
	return err;
}

static int nic_hide_own(struct npf_nic *nic, bool hide, uint64_t *hidden)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = npf_sim_operation(nic->sim);

	if (!err)
		*hidden = hide ? nic->id : 0;
	pthread_mutex_unlock(&nic->sim->lock);
	return err;
}

static uint64_t nic_lost(struct npf_nic *nic)
{
	pthread_mutex_lock(&nic->sim->lock);
	uint64_t lost = nic->lost;

	pthread_mutex_unlock(&nic->sim->lock);
	return lost;
}

static int may_transmit(struct npf_nic *nic, size_t size)
{
	int err = npf_sim_operation(nic->sim);

	if (err)
		return err;
	if (nic->gone)
		return -ENODEV;

	struct npf_sim_adapter *on = npf_sim_find_index(nic->sim, nic->adapter.index);

	if (!(on->adapter.flags & NPF_ADAPTER_UP))
		return -ENETDOWN;
	if (size > on->adapter.max_frame)
		return -EMSGSIZE;
	if (!on->room)
		return -ENOBUFS;
	on->room -= on->room != UINT64_MAX;
	on->adapter.tx_packets++;
	return 0;
}

static int transmit_one(struct npf_nic *nic, const void *data, size_t size)
{
	struct npf_sim *sim = nic->sim;
	struct npf_sim_frame frame = { .data = data,
				       .length = (uint32_t)size,
				       .packet_type = NPF_FROM_HOST };
	int err = may_transmit(nic, size);

	if (err)
		return err;

	struct npf_sim_sent *sent = malloc(sizeof(*sent) + size);

	if (!sent)
		return -ENOBUFS;
	*sent = (struct npf_sim_sent){ .ifindex = nic->adapter.index,
				       .time = sim->now,
				       .size = size };
	memcpy(sent->data, data, size);
	*sim->sent_end = sent;
	sim->sent_end = &sent->next;
	npf_sim_deliver(sim, nic->adapter.index, &frame, nic->id);
	return 0;
}

static uint32_t nic_mtu(struct npf_nic *nic)
{
	pthread_mutex_lock(&nic->sim->lock);
	const struct npf_sim_adapter *on = npf_sim_find_index(nic->sim, nic->adapter.index);
	uint32_t mtu = on ? on->adapter.mtu : 0;

	pthread_mutex_unlock(&nic->sim->lock);
	return mtu;
}

static bool is_kept(const struct npf_sim *sim, enum npf_send_path path)
{
	return (unsigned int)path < NPF_SEND_PATHS && sim->now < sim->kept[path];
}

static int64_t nic_transmit(struct npf_nic *nic, struct npf_transmission *what)
{
	size_t n = 0;
	int err;

	what->used = what->path == NPF_SEND_AUTO      ? NPF_SEND_SOCKET
		     : what->path == NPF_SEND_FASTEST ? NPF_SEND_XDP
						      : what->path;
	pthread_mutex_lock(&nic->sim->lock);
	err = is_kept(nic->sim, what->used) ? -ENOTSUP : 0;
	while (n < what->n && !err) {
		const struct npf_send_frame *frame = &what->frames[what->repeat ? 0 : n];

		err = transmit_one(nic, frame->data, frame->size);
		n += !err;
	}
	pthread_mutex_unlock(&nic->sim->lock);
	return n ? (int64_t)n : err;
}

static void nic_await(struct npf_nic *nic, uint64_t time, uint32_t *word, uint32_t value)
{
	struct npf_host *host = &nic->sim->base;

	host->system->sleep_until(host, time, word, value);
}

static uint64_t nic_unsent(struct npf_nic *nic)
{
	pthread_mutex_lock(&nic->sim->lock);
	const struct npf_sim_adapter *on = npf_sim_find_index(nic->sim, nic->adapter.index);
	uint64_t unsent = on ? on->unsent : 0;

	pthread_mutex_unlock(&nic->sim->lock);
	return unsent;
}

static int nic_sent(struct npf_nic *nic, struct npf_sent_counters *counters)
{
	pthread_mutex_lock(&nic->sim->lock);
	const struct npf_sim_adapter *on = npf_sim_find_index(nic->sim, nic->adapter.index);
	int err = on ? npf_sim_operation(nic->sim) : -ENODEV;
	uint64_t delay = on ? on->delay : 0;

	if (!err)
		*counters = (struct npf_sent_counters){ .packets = on->adapter.tx_packets -
								   on->trailing,
							.dropped = on->tx_dropped,
							.lost = { on->tx_lost[0], on->tx_lost[1] },
							.told = on->tx_told,
							.waiting = on->unsent,
							.trailing = on->trailing };
	pthread_mutex_unlock(&nic->sim->lock);
	if (delay)
		npf_sim_advance(&nic->sim->base, delay);
	return err;
}

static int nic_check_path(struct npf_nic *nic, enum npf_send_path path, char *reason)
{
	pthread_mutex_lock(&nic->sim->lock);
	int err = npf_sim_operation(nic->sim);

	if (!err)
		err = is_kept(nic->sim, path) ? -EAGAIN : path == NPF_SEND_XSK ? -ENOTSUP : 0;
	pthread_mutex_unlock(&nic->sim->lock);
	if (err)
		snprintf(reason, NPF_ERROR_SIZE, "this machine cannot send by that path");
	return err;
}

/* ---- open and close ------------------------------------------------------------------------ */

static int bind_locked(struct npf_sim *sim, const char *name, enum npf_hook hook,
		       struct npf_nic **bound)
{
	const struct npf_sim_adapter *adapter = npf_sim_find(sim, name);
	int err = npf_sim_operation(sim);

	if (err)
		return err;
	if (!adapter)
		return -ENODEV;
	if ((unsigned int)hook > NPF_HOOK_NONE)
		return -ENOTSUP;

	struct npf_nic *nic = sim->base.system->alloc(&sim->base, sizeof(*nic));

	if (!nic)
		return -ENOMEM;
	nic->raised = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nic->raised < 0) {
		err = -errno;
		goto free_nic;
	}
	nic->sim = sim;
	nic->id = ++sim->last_binding;
	nic->hook = hook == NPF_HOOK_AUTO ? NPF_HOOK_TCX : hook;
	nic->adapter = adapter->adapter;
	npf_user_tap_init(&nic->tap, &sim->base, &tap_host, nic);
	nic->next = sim->nics;
	sim->nics = nic;
	*bound = nic;
	return 0;

free_nic:
	sim->base.system->free(&sim->base, nic, sizeof(*nic));
	return err;
}

static int nic_open(struct npf_host *host, const char *name, enum npf_hook hook,
		    struct npf_nic **nic, char *error)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	int err = bind_locked(sim, name, hook, nic);

	pthread_mutex_unlock(&sim->lock);
	if (err)
		snprintf(error, NPF_ERROR_SIZE, "cannot bind to %.32s: %s", name, strerror(-err));
	return err;
}

static void nic_close(struct npf_nic *nic)
{
	struct npf_sim *sim = nic->sim;
	struct npf_nic **at = &sim->nics;

	pthread_mutex_lock(&sim->lock);
	while (*at != nic)
		at = &(*at)->next;
	*at = nic->next;
	npf_user_tap_fini(&nic->tap);
	close(nic->raised);
	sim->base.system->free(&sim->base, nic, sizeof(*nic));
	pthread_mutex_unlock(&sim->lock);
}

const struct npf_nic_ops npf_sim_nic = {
	.open = nic_open,
	.close = nic_close,
	.hook = nic_hook,
	.cpus = nic_cpus,
	.info = nic_info,
	.gone = nic_gone,
	.set_ring = nic_set_ring,
	.let_go = nic_let_go,
	.set_filters = nic_set_filters,
	.set_hw_filter = nic_set_hw_filter,
	.hide_own = nic_hide_own,
	.lost = nic_lost,
	.transmit = nic_transmit,
	.await = nic_await,
	.mtu = nic_mtu,
	.unsent = nic_unsent,
	.sent = nic_sent,
	.check_path = nic_check_path,
	.fd = nic_fd,
	.wait = nic_wait,
	.set = npf_sim_raise,
	.clear = nic_clear,
	.timer = nic_timer,
	.join = nic_join,
};
