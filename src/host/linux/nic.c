/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A binding to one adapter: picks the hook, joins what the hardware filter asks for, notices the
 * adapter's end.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/linux.h"

static const struct npf_linux_hook_ops *const hooks[] = {
	&npf_hook_tcx,
	&npf_hook_socket,
	&npf_hook_tpacket,
};
#define N_HOOKS (sizeof(hooks) / sizeof(hooks[0]))

#define UNKNOWN_LINK_TYPE UINT32_MAX

/* ---- the adapter's end ---------------------------------------------------------------------- */

/* Whoever asks sees the news, and one of them tells it. */
static bool gone(struct npf_nic *nic)
{
	struct npf_last_counters last = { 0 };

	if (!__atomic_load_n(&nic->gone, __ATOMIC_ACQUIRE) &&
	    npf_linux_monitor_deleted(nic->monitor, nic->adapter.index, &last) &&
	    !__atomic_exchange_n(&nic->ends, true, __ATOMIC_ACQ_REL)) {
		nic->last = last;
		if (nic->ops)
			nic->ops->lost(nic); /* what the hook still holds is in the ring now */
		__atomic_store_n(&nic->gone, true, __ATOMIC_RELEASE);
		npf_event_set(&nic->event);
	}
	return __atomic_load_n(&nic->gone, __ATOMIC_ACQUIRE);
}

/* From now on nothing but its end is news. What came before is read here: two processes that did so would
 * take each other's. */
static int watch_end(struct npf_nic *nic)
{
	int err = npf_linux_monitor_only(nic->monitor, nic->adapter.index);

	if (!err)
		(void)gone(nic);
	return err;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int open_sender(struct npf_nic *nic, char *error)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)nic->adapter.index,
	};

	/* Protocol 0: it never receives. */
	nic->sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (nic->sender < 0 && errno == EPERM)
		return npf_linux_not_permitted(error, "opening an adapter", NPF_RIGHT(CAP_NET_RAW));
	if (nic->sender < 0)
		return npf_linux_error(error, -errno, "opening a packet socket failed: %s",
				       strerror(errno));
	if (bind(nic->sender, (struct sockaddr *)&address, sizeof(address)))
		return npf_linux_error(error, -errno, "binding to %s failed: %s", nic->adapter.name,
				       strerror(errno));
	return 0;
}

static int open_monitor(struct npf_nic *nic, char *error)
{
	nic->monitor = npf_linux_monitor();
	if (nic->monitor < 0)
		return npf_linux_error(error, nic->monitor, "watching the adapters failed: %s",
				       strerror(-nic->monitor));

	int err = npf_event_add(&nic->event, nic->monitor);

	return err ? npf_linux_error(error, err, "watching the adapters failed: %s", strerror(-err))
		   : 0;
}

static void close_nic(struct npf_nic *nic)
{
	if (nic->ops)
		nic->ops->close(nic);
	npf_send_xdp_close(nic);
	npf_send_xsk_close(nic);
	npf_send_clone_close(nic);
	npf_send_rule_close(nic);
	npf_send_counters_close(nic);
	if (nic->monitor >= 0)
		close(nic->monitor);
	if (nic->sender >= 0)
		close(nic->sender);
	npf_event_fini(&nic->event);
	free(nic);
}

static int bind_nic(struct npf_nic *nic, const char *name, char *error)
{
	int err = npf_event_init(&nic->event);

	if (err)
		return npf_linux_error(error, err, "no descriptors left: %s", strerror(-err));
	/* The monitor first, so that an end is not missed between look-up and watch. */
	err = open_monitor(nic, error);
	if (err)
		return err;
	err = npf_linux_adapter(name, 0, &nic->adapter);
	if (err == -ENODEV && !strcmp(name, "any"))
		return npf_linux_error(error, err,
				       "one adapter at a time; npf run -- tcpdump -i any has all");
	if (err == -ENODEV)
		return npf_linux_error(error, err, "there is no adapter %.31s (npf list shows all)",
				       name);
	if (err)
		return npf_linux_error(error, err, "asking for adapter %.31s failed: %s", name,
				       strerror(-err));
	nic->latest = nic->adapter;
	memcpy(nic->fast.name, nic->adapter.name, sizeof(nic->fast.name));
	err = watch_end(nic);
	if (err)
		return npf_linux_error(error, err, "watching %s failed: %s", nic->adapter.name,
				       strerror(-err));
	if (nic->adapter.link_type == UNKNOWN_LINK_TYPE)
		return npf_linux_error(error, -ENOTSUP, "the link type of %s is not supported",
				       nic->adapter.name);
	return open_sender(nic, error);
}

static int open_nic(struct npf_host *host, const char *name, enum npf_hook hook,
		    struct npf_nic **out, char *error)
{
	struct npf_nic *nic = calloc(1, sizeof(*nic));

	if (!nic)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	nic->host = (struct npf_linux_host *)host;
	nic->wanted = hook;
	nic->event = (struct npf_event){ .poller = -1, .flag = -1, .clock = -1 };
	nic->tapped = &nic->event;
	npf_send_rule_open(nic);
	npf_send_counters_open(nic);
	nic->sender = -1;
	nic->hidden_sender = -1;
	nic->monitor = -1;

	int err = bind_nic(nic, name, error);

	if (err) {
		close_nic(nic);
		return err;
	}
	*out = nic;
	return 0;
}

/* ---- the adapter --------------------------------------------------------------------------- */

static int info(struct npf_nic *nic, struct npf_adapter *adapter)
{
	int err = gone(nic) ? -ENODEV : npf_linux_adapter(NULL, nic->adapter.index, &nic->latest);

	*adapter = nic->latest;
	return err;
}

static enum npf_hook hook_of(struct npf_nic *nic)
{
	return nic->ops->hook;
}

static uint32_t cpus(struct npf_nic *nic)
{
	int n = libbpf_num_possible_cpus();

	(void)nic;
	return n > 0 ? (uint32_t)n : 1;
}

static int membership(struct npf_nic *nic, int option, uint16_t type)
{
	struct packet_mreq request = { .mr_ifindex = (int)nic->adapter.index, .mr_type = type };

	if (setsockopt(nic->sender, SOL_PACKET, option, &request, sizeof(request)))
		return -errno;
	nic->memberships ^= 1u << type;
	return 0;
}

static int set_membership(struct npf_nic *nic, uint16_t type, bool wanted)
{
	if (wanted == !!(nic->memberships & 1u << type))
		return 0;
	return membership(nic, wanted ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, type);
}

static int set_hw_filter(struct npf_nic *nic, uint32_t bits)
{
	bool promiscuous = bits & NPF_FILTER_PROMISCUOUS;
	bool was = nic->memberships & 1u << PACKET_MR_PROMISC;
	int err = set_membership(nic, PACKET_MR_PROMISC, promiscuous);

	if (err)
		return err;
	err = set_membership(nic, PACKET_MR_ALLMULTI, bits & NPF_FILTER_ALL_MULTICAST);
	if (err)
		set_membership(nic, PACKET_MR_PROMISC, was);
	return err;
}

/* ---- sending ------------------------------------------------------------------------------- */

static int hide_own(struct npf_nic *nic, bool hide, uint64_t *hidden)
{
	int err = nic->ops->hide_own(nic, hide, hidden);

	if (!err)
		__atomic_store_n(&nic->hiding, hide, __ATOMIC_RELAXED);
	return err;
}

/* ---- the hook's part ------------------------------------------------------------------------ */

/* Where the stack cuts super-packets behind tcx, before they leave (no TSO, or more than loopback
 * takes at once), what that hook sees sent is not what goes over the wire. */
static bool shows_wire(const struct npf_nic *nic, const struct npf_linux_hook_ops *ops)
{
	if (ops->hook != NPF_HOOK_TCX)
		return true;
	return nic->adapter.hatype != ARPHRD_LOOPBACK && npf_linux_segments(nic->adapter.name);
}

static bool may_be(const struct npf_nic *nic, const struct npf_linux_hook_ops *ops)
{
	return nic->wanted == NPF_HOOK_AUTO ? shows_wire(nic, ops) : nic->wanted == ops->hook;
}

static int start_hook(struct npf_nic *nic, const struct npf_linux_hook_ops *ops,
		      const struct npf_ring_geometry *geometry, struct npf_ring_view *view,
		      char *error)
{
	int err = ops->open(nic, error);

	if (!err)
		err = ops->set_ring(nic, geometry, view, error);
	if (err)
		ops->close(nic);
	else
		nic->ops = ops;
	return err;
}

/* The first that works. What the last one says is what the user reads: it needs least. A buffer for which
 * there is no memory is a matter for who wants it, and no reason for another hook. */
static int pick_hook(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
		     struct npf_ring_view *view, char *error)
{
	int err = npf_linux_error(error, -EINVAL, "there is no hook number %d", nic->wanted);

	for (size_t i = 0; i < N_HOOKS; i++) {
		if (!may_be(nic, hooks[i]))
			continue;
		err = start_hook(nic, hooks[i], geometry, view, error);
		if (!err || (err == -ENOMEM && geometry->n_chunks))
			break;
	}
	return err;
}

static int set_ring(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
		    struct npf_ring_view *view, char *error)
{
	if (nic->ops)
		return nic->ops->set_ring(nic, geometry, view, error);
	if (nic->wanted == NPF_HOOK_NONE)
		return start_hook(nic, &npf_hook_none, geometry, view, error);
	return pick_hook(nic, geometry, view, error);
}

static void let_go(struct npf_nic *nic)
{
	nic->ops->let_go(nic);
}

static int set_filters(struct npf_nic *nic, const struct npf_filter_set *filters, char *error)
{
	return nic->ops->set_filters(nic, filters, error);
}

static uint64_t lost(struct npf_nic *nic)
{
	return nic->ops->lost(nic);
}

/* ---- readiness ------------------------------------------------------------------------------ */

static int fd(struct npf_nic *nic)
{
	return nic->event.poller;
}

static int wait_nic(struct npf_nic *nic, uint64_t deadline)
{
	return npf_event_wait(&nic->event, nic->host->base.system->now(&nic->host->base), deadline);
}

static void set(struct npf_nic *nic)
{
	npf_event_set(&nic->event);
}

static void clear(struct npf_nic *nic)
{
	npf_event_clear(&nic->event);
	if (nic->tapped == &nic->event)
		nic->ops->clear(nic);
	if (gone(nic)) /* never sleeps again */
		npf_event_set(&nic->event);
}

static void timer(struct npf_nic *nic, uint64_t at)
{
	npf_event_timer(&nic->event, at);
}

static int join(struct npf_nic *nic, int poller)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.fd = nic->event.poller };

	if (epoll_ctl(poller, EPOLL_CTL_ADD, nic->event.poller, &interest))
		return errno == EBADF ? -EBADF : -EINVAL;
	return 0;
}

const struct npf_nic_ops npf_linux_nic = {
	.open = open_nic,
	.close = close_nic,
	.hook = hook_of,
	.cpus = cpus,
	.info = info,
	.mtu = npf_linux_mtu,
	.gone = gone,
	.set_ring = set_ring,
	.let_go = let_go,
	.set_filters = set_filters,
	.set_hw_filter = set_hw_filter,
	.hide_own = hide_own,
	.lost = lost,
	.transmit = npf_linux_transmit,
	.await = npf_linux_await,
	.unsent = npf_linux_unsent,
	.sent = npf_linux_sent,
	.check_path = npf_linux_check_path,
	.fd = fd,
	.wait = wait_nic,
	.set = set,
	.clear = clear,
	.timer = timer,
	.join = join,
};
