/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtual time, and what is scripted to happen in it: frames, calls, and the bindings' timers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/sim/internal.h"

#define ETHERNET_HEADER 14u

/* What the stack takes for the protocol: the EtherType behind the addresses. */
static uint32_t protocol_of(const struct npf_sim_frame *frame)
{
	const uint8_t *data = frame->data;

	if (frame->length < ETHERNET_HEADER)
		return 0;
	return (uint32_t)data[12] << 8 | data[13];
}

void npf_sim_deliver(struct npf_sim *sim, uint32_t ifindex, const struct npf_sim_frame *frame,
		     uint64_t sender)
{
	uint32_t tag = frame->tpid ? NPF_TAG_SIZE : 0;

	for (struct npf_nic *nic = sim->nics; nic; nic = nic->next) {
		struct npf_frame seen = {
			.length = frame->length,
			.wire_length = frame->wire_length ? frame->wire_length : frame->length + tag,
			.tag_tpid = frame->tpid,
			.tag_tci = frame->tci,
			.tagged = frame->tpid != 0,
			.packet_type = frame->packet_type,
			.protocol = protocol_of(frame),
			.ifindex = ifindex,
			.hatype = nic->adapter.hatype,
		};

		if (nic->adapter.index == ifindex && !nic->gone && nic->hook != NPF_HOOK_NONE)
			npf_user_tap_deliver(&nic->tap, &seen, frame->data, sim->now, frame->cpu,
					     sender);
	}
}

static void run(struct npf_sim *sim, struct npf_sim_event *event)
{
	if (event->call)
		event->call(event->arg);
	else
		npf_sim_deliver(sim, event->ifindex, &event->frame, 0);
	free(event);
}

/* The timer that is due first, of all bindings; NULL: none runs. */
static uint64_t *first_timer(struct npf_sim *sim, struct npf_nic **owner)
{
	uint64_t *first = NULL;

	for (struct npf_nic *nic = sim->nics; nic; nic = nic->next) {
		uint64_t *timers[] = { &nic->timer, &nic->flush };

		for (int i = 0; i < 2; i++) {
			if (!*timers[i] || (first && *timers[i] >= *first))
				continue;
			first = timers[i];
			*owner = nic;
		}
	}
	return first;
}

/* The worker that is due first; NULL: none. */
static struct npf_worker *first_worker(struct npf_sim *sim)
{
	struct npf_worker *first = NULL;

	for (struct npf_nic *nic = sim->nics; nic; nic = nic->next) {
		if (nic->worker && (!first || nic->worker->due < first->due))
			first = nic->worker;
	}
	return first;
}

static void move_clock(struct npf_sim *sim, uint64_t to)
{
	if (to <= sim->now)
		return;
	sim->now = to;
	__atomic_fetch_add(&sim->changes, 1, __ATOMIC_SEQ_CST);
	npf_sim_futex_wake(&sim->changes);
}

bool npf_sim_step(struct npf_sim *sim, uint64_t limit)
{
	struct npf_nic *owner = NULL;
	uint64_t *timer = first_timer(sim, &owner);
	struct npf_sim_event *event = sim->events;

	struct npf_worker *worker = first_worker(sim);
	uint64_t before = worker ? worker->due : UINT64_MAX;

	if (event && event->at <= limit && (!timer || event->at <= *timer) && event->at <= before) {
		sim->events = event->next;
		sim->idle = 0;
		move_clock(sim, event->at);
		run(sim, event);
		return true;
	}
	if (timer && *timer <= limit && *timer <= before) {
		move_clock(sim, *timer);
		*timer = 0;
		sim->idle = 0;
		npf_sim_raise(owner);
		return true;
	}
	if (before <= limit && before != UINT64_MAX) {
		move_clock(sim, before);
		npf_sim_run_worker(worker);
		sim->idle++;
		return true;
	}
	return false;
}

void npf_sim_advance(struct npf_host *host, uint64_t ns)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	uint64_t end = sim->now + ns;

	while (npf_sim_step(sim, end))
		;
	move_clock(sim, end);
	pthread_mutex_unlock(&sim->lock);
}

void npf_sim_step_wall(struct npf_host *host, int64_t ns)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	sim->wall_offset += ns;
	pthread_mutex_unlock(&sim->lock);
}

void npf_sim_set_threaded(struct npf_host *host, bool threaded)
{
	npf_sim_of(host)->threaded = threaded;
}

/* ---- scripting ----------------------------------------------------------------------------- */

static void schedule(struct npf_sim *sim, struct npf_sim_event *event)
{
	struct npf_sim_event **at = &sim->events;

	if (event->at <= sim->now) {
		run(sim, event);
		return;
	}
	while (*at && (*at)->at <= event->at)
		at = &(*at)->next;
	event->next = *at;
	*at = event;
}

int npf_sim_at(struct npf_host *host, uint64_t at, void (*call)(void *arg), void *arg)
{
	struct npf_sim *sim = npf_sim_of(host);
	struct npf_sim_event *event = calloc(1, sizeof(*event));

	if (!event)
		return -ENOMEM;
	event->at = at;
	event->call = call;
	event->arg = arg;
	pthread_mutex_lock(&sim->lock);
	schedule(sim, event);
	pthread_mutex_unlock(&sim->lock);
	return 0;
}

int npf_sim_send(struct npf_host *host, const char *adapter, uint64_t at,
		 const struct npf_sim_frame *frame)
{
	struct npf_sim *sim = npf_sim_of(host);
	struct npf_sim_event *event = calloc(1, sizeof(*event) + frame->length);

	if (!event)
		return -ENOMEM;
	event->at = at;
	event->frame = *frame;
	event->frame.data = event->data;
	if (frame->length)
		memcpy(event->data, frame->data, frame->length);

	pthread_mutex_lock(&sim->lock);
	struct npf_sim_adapter *on = npf_sim_find(sim, adapter);

	if (on) {
		event->ifindex = on->adapter.index;
		schedule(sim, event);
	} else {
		free(event);
	}
	pthread_mutex_unlock(&sim->lock);
	return on ? 0 : -ENODEV;
}

void npf_sim_drop_events(struct npf_sim *sim)
{
	while (sim->events) {
		struct npf_sim_event *event = sim->events;

		sim->events = event->next;
		free(event);
	}
}
