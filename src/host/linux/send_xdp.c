/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fastest way: an XDP program whose frames the kernel makes itself (kernel 5.18) and hands to
 * the adapter's driver in bulk. bpf/send.bpf.c tells how that is done and how it is known what the
 * adapter took.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/bpf/send_state.h"
#include "host/linux/ebpf.h"
#include "send.skel.h"

/* From <linux/bpf.h> of kernel 5.18; older headers lack it. */
#define LIVE_FRAMES (1u << 1)

#define LOOPBACK_INDEX 1   /* in every network namespace */
#define VETH_INDEX     100 /* ours; its peer takes the lowest */

/* Frames that are made before any is handed on. One bulk of the kernel's where the order matters:
 * of a bulk that the adapter takes in part, what follows has not been made yet. */
#define BATCH_ORDERED 16
#define BATCH_REPEAT  128

/* A receiver that works on another CPU (a veth's with threaded NAPI) may not work at all just now, and what
 * its ring has no room for is made in vain: so runs are short then, of so many frames at least. */
#define LEAST 256u

struct npf_xdp_sender {
	struct send_bpf *skel;
	struct npf_send_queue queue;
	int garage, parked; /* see park(); -1 */
	bool proved;        /* a frame has left this way */
	uint32_t most;      /* frames of the next run */
};

/* ---- loading -------------------------------------------------------------------------------- */

/*
 * For every BPF_PROG_RUN the kernel enters the program into its dispatcher and takes it out again,
 * and waits for all CPUs each time, some 10 ms: longer than the run itself. What is in already is
 * only counted. So the program is attached where no packet ever comes, in an empty network namespace,
 * which only our descriptor holds: to a veth's driver, and where there is none to the loopback
 * device, in generic mode, which costs every packet that any adapter receives some ns meanwhile.
 */
static int park_on(struct npf_xdp_sender *xdp, uint32_t index, uint32_t mode)
{
	int program = bpf_program__fd(xdp->skel->progs.npf_send);
	LIBBPF_OPTS(bpf_link_create_opts, options);

	options.flags = mode;
	return bpf_link_create(program, (int)index, BPF_XDP, &options);
}

static int make_veth(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint8_t buffer[8192];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n = -1;

	if (netlink < 0)
		return -errno;
	message->nlmsg_type = RTM_NEWLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;

	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));

	link->ifi_index = VETH_INDEX;

	struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);

	mnl_attr_put_str(message, IFLA_INFO_KIND, "veth");
	mnl_attr_nest_end(message, info);
	/* The kernel has answered when the request is through. */
	if (sendto(netlink, message, message->nlmsg_len, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) >= 0)
		n = recv(netlink, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n >= 0)
		n = mnl_cb_run(buffer, (size_t)n, 0, 0, NULL, NULL);

	int err = n < 0 ? -errno : 0;

	close(netlink);
	return err;
}

static void *park_in_garage(void *arg)
{
	struct npf_xdp_sender *xdp = arg;

	if (unshare(CLONE_NEWNET))
		return NULL;
	xdp->garage = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (xdp->garage < 0)
		return NULL;
	if (!make_veth())
		xdp->parked = park_on(xdp, VETH_INDEX, XDP_FLAGS_DRV_MODE);
	if (xdp->parked < 0)
		xdp->parked = park_on(xdp, LOOPBACK_INDEX, XDP_FLAGS_SKB_MODE);
	return NULL;
}

/* Another network namespace is a thread's matter, and the caller's thread is not ours to move. */
static int park(struct npf_xdp_sender *xdp)
{
	sigset_t all, old;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);

	int err = pthread_create(&thread, NULL, park_in_garage, xdp);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_join(thread, NULL);
	return xdp->parked >= 0 ? 0 : -EPERM;
}

static int load(struct npf_nic *nic, struct npf_xdp_sender *xdp)
{
	uint32_t key = 0, index = nic->adapter.index;
	int err;

	xdp->skel = send_bpf__open();
	if (!xdp->skel)
		return -errno;
	bpf_program__set_autoattach(xdp->skel->progs.npf_send, false);
	if ((err = send_bpf__load(xdp->skel)) || (err = send_bpf__attach(xdp->skel)) ||
	    (err = park(xdp)))
		return err;
	err = bpf_map_update_elem(bpf_map__fd(xdp->skel->maps.device), &key, &index, BPF_ANY);
	if (err)
		return err;
	if (npf_linux_replaced(nic))
		return -ENODEV;
	return npf_send_queue_open(&xdp->queue, xdp->skel->maps.queue);
}

static void destroy(struct npf_xdp_sender *xdp)
{
	if (!xdp)
		return;
	npf_send_queue_close(&xdp->queue);
	if (xdp->parked >= 0)
		close(xdp->parked);
	if (xdp->garage >= 0)
		close(xdp->garage);
	send_bpf__destroy(xdp->skel);
	free(xdp);
}

/* It will not change while this binding lasts. */
static int give_up(struct npf_nic *nic, int err, const char *why)
{
	return npf_send_obstacle(nic, &nic->fast.xdp_obstacle, false, err, why);
}

static int put_off(struct npf_nic *nic, int err, const char *why)
{
	return npf_send_obstacle(nic, &nic->fast.xdp_obstacle, true, err, why);
}

static int explain(struct npf_nic *nic, int err)
{
	if (err == -EPERM || err == -EACCES)
		return give_up(nic, -EPERM, "live frames need CAP_SYS_ADMIN (run as root)");
	if (err == -ENOMEM)
		return put_off(nic, -ENOTSUP, "the kernel has no memory for the program");
	if (err == -ENODEV)
		return give_up(nic, -ENOTSUP, "the adapter has gone");
	return give_up(nic, -ENOTSUP, "the kernel (5.18 and later do) cannot load the program");
}

static int prepare(struct npf_nic *nic)
{
	struct npf_xdp_sender *xdp;
	struct npf_hush before;
	int err;

	if (nic->adapter.hatype != ARPHRD_ETHER)
		return give_up(nic, -ENOTSUP,
			       "live frames are for Ethernet adapters, not the loopback");
	if (npf_send_rule_elsewhere(nic))
		return put_off(nic, -ENOTSUP,
			       "this thread is in another network namespace than the adapter");
	xdp = calloc(1, sizeof(*xdp));
	if (!xdp)
		return put_off(nic, -ENOTSUP, "out of memory");
	xdp->garage = -1;
	xdp->parked = -1;
	xdp->most = UINT32_MAX;
	npf_linux_hush(&before);
	err = load(nic, xdp);
	npf_linux_unhush(&before);
	if (err) {
		destroy(xdp);
		return explain(nic, err);
	}
	nic->fast.xdp = xdp;
	return 0;
}

int npf_send_xdp_prepare(struct npf_nic *nic, char *reason)
{
	int err = npf_send_obstructed(nic, &nic->fast.xdp_obstacle, reason);

	if (err || nic->fast.xdp)
		return err;
	err = prepare(nic);
	return err ? npf_linux_error(reason, err, "%s", nic->fast.xdp_obstacle.reason) : 0;
}

void npf_send_xdp_close(struct npf_nic *nic)
{
	destroy(nic->fast.xdp);
	nic->fast.xdp = NULL;
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool fits(const struct npf_send_frame *frame)
{
	return frame->size >= NPF_SEND_SHORTEST && frame->size <= NPF_SEND_LONGEST;
}

size_t npf_send_xdp_fits(const struct npf_transmission *what)
{
	size_t n = 0;

	if (what->repeat)
		return fits(what->frames) ? what->n : 0;
	while (n < what->n && fits(&what->frames[n]))
		n++;
	return n;
}

/* n frames of a length that the program then changes. */
static int run(struct npf_xdp_sender *xdp, uint32_t length, uint32_t n, uint32_t batch)
{
	static const uint8_t blank[NPF_SEND_LONGEST];
	struct xdp_md context = { .data_end = length };
	LIBBPF_OPTS(bpf_test_run_opts, options);

	options.data_in = blank;
	options.data_size_in = length;
	options.ctx_in = &context;
	options.ctx_size_in = sizeof(context);
	options.repeat = (int)n;
	options.flags = LIVE_FRAMES;
	options.batch_size = batch;
	return bpf_prog_test_run_opts(bpf_program__fd(xdp->skel->progs.npf_send), &options);
}

/* The driver does not take them. A veth's does not say more than that its peer cannot. */
static int64_t refuse(struct npf_nic *nic, bool just_now)
{
	bool veth = npf_send_counters_veth(nic);

	nic->fast.xdp->proved = false;
	return put_off(nic, -EOPNOTSUPP,
		       veth ? "the veth's peer takes no live frames; it must be up, with gro on "
			      "(ethtool -K PEER gro on)"
		       : just_now ? "the adapter's driver takes no live frames just now"
				  : "the adapter's driver takes no live frames");
}

/* Nothing went: is it the moment, or the adapter? */
static int64_t judge(struct npf_nic *nic, int err)
{
	const struct npf_send_state *state = &nic->fast.xdp->skel->data_state->state;

	if (!state->failed) {
		if (!err || err == -EINTR)
			return -EAGAIN;
		if (err == -ENOMEM)
			return put_off(nic, -EOPNOTSUPP, "the kernel has no memory for live frames");
		return give_up(nic, -EOPNOTSUPP, "the kernel cannot make live frames");
	}
	switch (state->error) {
	case 0:
		return -ENOBUFS;
	case -ENETDOWN:
	case -ENODEV:
	case -EMSGSIZE:
		return state->error;
	default:
		return refuse(nic, state->error == -ENXIO);
	}
}

static uint32_t twice(uint64_t n)
{
	return n > UINT32_MAX / 2 ? UINT32_MAX : (uint32_t)(2 * n);
}

/* What the last run tells of how many the next should be; true: leave the adapter alone for a while. */
static bool adapt(struct npf_xdp_sender *xdp)
{
	const struct npf_send_state *state = &xdp->skel->data_state->state;

	if (state->hold != NPF_SEND_REST) {
		xdp->most = twice(xdp->most);
		return false;
	}
	xdp->most = state->sent > LEAST / 2 ? twice(state->sent) : LEAST;
	return true;
}

int64_t npf_send_by_xdp(struct npf_nic *nic, struct npf_transmission *what)
{
	struct npf_xdp_sender *xdp = nic->fast.xdp;
	struct npf_send_state *state = &xdp->skel->data_state->state;
	uint32_t most = what->n < xdp->most ? (uint32_t)what->n : xdp->most;
	uint32_t n = xdp->proved ? most : 1; /* one frame shows whether it works */
	uint32_t records = what->repeat ? 1 : n;
	uint32_t length = npf_send_queue_fill(&xdp->queue, what->frames, &records);
	int err;

	if (!what->repeat)
		n = records;
	*state = (struct npf_send_state){ .repeat = what->repeat };
	err = run(xdp, length, n, what->repeat ? BATCH_REPEAT : BATCH_ORDERED);
	if (npf_send_counters_tap(nic)) /* which counts one frame of a bulk */
		npf_send_counters_told(nic, state->cut);
	if (npf_send_counters_veth(nic))
		__atomic_fetch_add(&nic->again, state->full, __ATOMIC_RELEASE);
	what->full = adapt(xdp);
	if (!state->sent)
		return judge(nic, err);
	xdp->proved = true;
	return (int64_t)(state->sent < n ? state->sent : n);
}
