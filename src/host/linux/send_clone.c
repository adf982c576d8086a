/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many frames by few system calls, seen by every capture: bpf/clone.bpf.c makes them in the kernel, of
 * one packet, and sends them the way that packet sockets do, twice as fast.
 *
 * The kernel says what a packet is when it makes it, by its type; a clone is the same. So what a call
 * sends is of one type.
 *
 * But not on a packet socket's account: nobody waits for room in a queue, and a queueing discipline
 * that is full may drop an earlier copy than the one it tells of. So this is for adapters that hand
 * on at once (npf_send_rule_clones), and tell what they did not take. Loopback with RPS does not tell:
 * the backlog of another CPU may overrun behind its OK.
 *
 * Captures cannot tell a clone from a socket's frame. What looks at the socket finds none.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/if_arp.h>
#include <stdlib.h>

#include "host/linux/bpf/clone_state.h"
#include "host/linux/bpf/send_state.h"
#include "host/linux/ebpf.h"
#include "clone.skel.h"

/* The packet, its room and its book-keeping fit into a page. */
#define LONGEST NPF_SEND_LONGEST

#define CALL     2048u /* clones of one system call: about a millisecond */
#define ALIKE    8u    /* frames of one type, on average, that are worth a system call */
#define TAG_SIZE 4

struct npf_clone_sender {
	struct clone_bpf *skel;
	struct npf_send_queue queue;
};

/* ---- loading -------------------------------------------------------------------------------- */

static int give_up(struct npf_nic *nic, int err, const char *why)
{
	return npf_send_obstacle(nic, &nic->fast.clone_obstacle, false, err, why);
}

static int put_off(struct npf_nic *nic, int err, const char *why)
{
	return npf_send_obstacle(nic, &nic->fast.clone_obstacle, true, err, why);
}

static void destroy(struct npf_clone_sender *clone)
{
	if (!clone)
		return;
	npf_send_queue_close(&clone->queue);
	clone_bpf__destroy(clone->skel);
	free(clone);
}

static int load_program(struct npf_nic *nic, struct npf_clone_sender *clone)
{
	uint32_t key = 0, index = nic->adapter.index;
	int err;

	clone->skel = clone_bpf__open_and_load();
	if (!clone->skel)
		return -errno;
	err = bpf_map_update_elem(bpf_map__fd(clone->skel->maps.device), &key, &index, BPF_ANY);
	if (err)
		return err == -ENOMEM ? err : -ENODEV;
	if (npf_linux_replaced(nic))
		return -ENODEV;
	return npf_send_queue_open(&clone->queue, clone->skel->maps.queue);
}

static int load(struct npf_nic *nic, struct npf_clone_sender *clone)
{
	struct npf_hush before;
	int err;

	npf_linux_hush(&before);
	err = load_program(nic, clone);
	npf_linux_unhush(&before);
	if (err == -EPERM || err == -EACCES)
		return give_up(nic, -EPERM, "clones need CAP_BPF and CAP_NET_ADMIN (run as root)");
	if (err == -ENOMEM)
		return put_off(nic, -ENOTSUP, "the kernel has no memory for the program");
	if (err == -ENODEV)
		return give_up(nic, -ENOTSUP, "the adapter has gone");
	if (err)
		return give_up(nic, -ENOTSUP,
			       "the kernel (5.12 and later do) cannot load the program");
	clone->skel->data_state->state.index = nic->adapter.index;
	return 0;
}

static int prepare(struct npf_nic *nic)
{
	struct npf_clone_sender *clone;
	int err;

	if (nic->adapter.hatype != ARPHRD_ETHER && nic->adapter.hatype != ARPHRD_LOOPBACK)
		return give_up(nic, -ENOTSUP, "clones are for Ethernet adapters, not the loopback");
	if (npf_send_rule_elsewhere(nic))
		return put_off(nic, -ENOTSUP,
			       "this thread is in another network namespace than the adapter");
	clone = calloc(1, sizeof(*clone));
	if (!clone)
		return put_off(nic, -ENOTSUP, "out of memory");
	err = load(nic, clone);
	if (err) {
		destroy(clone);
		return err;
	}
	nic->fast.clone = clone;
	return 0;
}

int npf_send_clone_prepare(struct npf_nic *nic, char *reason)
{
	int err = npf_send_obstructed(nic, &nic->fast.clone_obstacle, reason);

	if (err)
		return err;
	if (!nic->fast.clone && (err = prepare(nic)))
		return npf_linux_error(reason, err, "%s", nic->fast.clone_obstacle.reason);
	return npf_send_rule_clones(nic, reason);
}

void npf_send_clone_close(struct npf_nic *nic)
{
	destroy(nic->fast.clone);
	nic->fast.clone = NULL;
}

/* ---- sending -------------------------------------------------------------------------------- */

static uint16_t type_of(const struct npf_send_frame *frame)
{
	const uint8_t *type = (const uint8_t *)frame->data + 2 * ETH_ALEN;

	return (uint16_t)(type[0] << 8 | type[1]);
}

/* The header that its type says must be there, or the kernel does not take it for a packet. */
static size_t shortest(uint16_t type)
{
	return type == ETH_P_IP     ? ETH_HLEN + sizeof(struct iphdr)
	       : type == ETH_P_IPV6 ? ETH_HLEN + sizeof(struct ipv6hdr)
				    : ETH_HLEN + 1;
}

/* A frame with a length instead of a type the kernel calls by another protocol than a socket's. */
static bool fits(const struct npf_send_frame *frame)
{
	return frame->size > ETH_HLEN && frame->size <= LONGEST &&
	       type_of(frame) >= ETH_P_802_3_MIN && frame->size >= shortest(type_of(frame));
}

size_t npf_send_clone_fits(const struct npf_transmission *what)
{
	size_t n = 0;

	if (what->repeat)
		return fits(what->frames) ? what->n : 0;
	while (n < what->n && fits(&what->frames[n]))
		n++;
	return n;
}

/* Frames with a tag of their own a socket of a VLAN calls by the type behind it; clones keep the
 * tag's. */
static bool is_called_otherwise(const struct npf_nic *nic, const struct npf_send_frame *frame)
{
	return nic->fast.retags &&
	       (type_of(frame) == ETH_P_8021Q || type_of(frame) == ETH_P_8021AD);
}

bool npf_send_clone_pays(const struct npf_transmission *what)
{
	size_t changes = 0;

	for (size_t i = 1; !what->repeat && i < what->n; i++)
		changes += type_of(&what->frames[i]) != type_of(&what->frames[i - 1]);
	return changes <= what->n / ALIKE;
}

/* How many of n clones of a packet went; *err: what the call, or else the program, met. */
static size_t run(struct npf_clone_sender *clone, const struct bpf_program *program,
		  const struct npf_send_frame *packet, size_t n, int *err)
{
	struct npf_clone_state *state = &clone->skel->data_state->state;
	LIBBPF_OPTS(bpf_test_run_opts, options);

	state->tag = type_of(packet) == ETH_P_8021Q ? -TAG_SIZE : 0;
	state->left = n;
	state->next = 0;
	state->error = 0;
	options.data_in = packet->data;
	options.data_size_in = (uint32_t)packet->size;
	options.repeat = (int)((n + NPF_CLONE_RUN - 1) / NPF_CLONE_RUN);
	*err = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
	if (state->error)
		*err = state->error;
	return n - (state->left < n ? state->left : n);
}

static size_t run_copies(struct npf_clone_sender *clone, const struct npf_send_frame *frame,
			 size_t n, int *err)
{
	return run(clone, clone->skel->progs.npf_clone, frame, n < CALL ? n : CALL, err);
}

/* The frames in front, as far as they are of the first's type and there is room. The packet is of that
 * type and has room for the longest; its other bytes are of no matter. */
static size_t run_queue(struct npf_clone_sender *clone, const struct npf_send_frame *frames,
			size_t n, int *err)
{
	const struct npf_send_record *first = (const void *)clone->queue.bytes;
	struct npf_send_frame packet = { .data = first->data };
	uint32_t alike = 1;

	while (alike < n && alike < CALL && type_of(&frames[alike]) == type_of(frames))
		alike++;
	packet.size = npf_send_queue_fill(&clone->queue, frames, &alike);
	return run(clone, clone->skel->progs.npf_clone_queue, &packet, alike, err);
}

/* Nothing went. */
static int judge(struct npf_nic *nic, int err)
{
	int link;

	if (err == -EINTR)
		return -EAGAIN;
	/* An adapter that went, or went down, meanwhile has many words for that, "too long" as well. */
	nic->fast.link_seen = 0;
	link = npf_linux_link_up(nic);
	if (link)
		return link;
	if (err == -EMSGSIZE || err == -ENODEV)
		return err;
	if (err > 0 || err == -ENOMEM || err == -ENETDOWN)
		return -ENOBUFS;
	return put_off(nic, -EOPNOTSUPP, "the kernel did not send a clone");
}

int64_t npf_send_by_clone(struct npf_nic *nic, struct npf_transmission *what)
{
	struct npf_host *host = &nic->host->base;
	uint64_t began = host->system->now(host);
	size_t sent = 0;
	int err = 0;

	for (size_t i = 0; i < (what->repeat ? 1 : what->n); i++) {
		if (is_called_otherwise(nic, &what->frames[i]))
			return -EOPNOTSUPP;
	}
	/* Once at least, however late this thread is: nothing sent would be taken for a failure. */
	do {
		size_t left = what->n - sent;

		sent += what->repeat ? run_copies(nic->fast.clone, what->frames, left, &err)
				     : run_queue(nic->fast.clone, what->frames + sent, left, &err);
	} while (sent < what->n && !err && host->system->now(host) - began < NPF_SLICE_NS);
	return sent ? (int64_t)sent : judge(nic, err);
}
