/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated machine: its memory, its parking lot, its adapters, its faults. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter/x86.h"
#include "host/sim/internal.h"

int npf_sim_operation(struct npf_sim *sim)
{
	sim->operations++;
	if (sim->interrupt)
		sim->interrupt(sim->interrupt_arg);
	return sim->operations == sim->fail_at ? sim->fail_with : 0;
}

/* ---- system -------------------------------------------------------------------------------- */

static void *sim_alloc(struct npf_host *host, size_t size)
{
	struct npf_sim *sim = npf_sim_of(host);
	void *memory = NULL;

	pthread_mutex_lock(&sim->lock);
	if (!npf_sim_operation(sim) && size <= NPF_SIM_MEMORY - sim->memory &&
	    !posix_memalign(&memory, NPF_LINE, size ? size : 1)) {
		memset(memory, 0, size);
		sim->memory += size;
	}
	pthread_mutex_unlock(&sim->lock);
	return memory;
}

static void sim_free(struct npf_host *host, void *memory, size_t size)
{
	struct npf_sim *sim = npf_sim_of(host);

	if (!memory)
		return;
	pthread_mutex_lock(&sim->lock);
	sim->memory -= size;
	pthread_mutex_unlock(&sim->lock);
	free(memory);
}

static uint64_t sim_now(struct npf_host *host)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	uint64_t now = sim->now;

	pthread_mutex_unlock(&sim->lock);
	return now;
}

static uint64_t sim_wall(struct npf_host *host)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	uint64_t wall = NPF_SIM_EPOCH + sim->now + (uint64_t)sim->wall_offset;

	pthread_mutex_unlock(&sim->lock);
	return wall;
}

void npf_sim_futex_wait(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void npf_sim_futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* A signal handler may be the caller of these two. */
static void sim_park(struct npf_host *host, uint32_t *word, uint32_t value)
{
	int saved = errno;

	(void)host;
	npf_sim_futex_wait(word, value);
	errno = saved;
}

static void sim_unpark(struct npf_host *host, uint32_t *word)
{
	struct npf_sim *sim = npf_sim_of(host);
	int saved = errno;

	npf_sim_futex_wake(word);
	__atomic_fetch_add(&sim->changes, 1, __ATOMIC_SEQ_CST);
	npf_sim_futex_wake(&sim->changes);
	errno = saved;
}

/* One step: what is due happens and may end the sleep, or the clock reaches the time. */
static bool sleep_step(struct npf_sim *sim, uint64_t time, const uint32_t *word, uint32_t value)
{
	if (sim->now >= time || __atomic_load_n(word, __ATOMIC_SEQ_CST) != value)
		return false;
	if (sim->threaded || npf_sim_step(sim, time))
		return true;
	npf_sim_advance(&sim->base, time - sim->now);
	return false;
}

/* Threaded, the clock's movement wakes it; and so must a change of the word. */
static void sim_sleep_until(struct npf_host *host, uint64_t time, uint32_t *word, uint32_t value)
{
	struct npf_sim *sim = npf_sim_of(host);
	bool again;

	do {
		uint32_t seen = __atomic_load_n(&sim->changes, __ATOMIC_SEQ_CST);

		pthread_mutex_lock(&sim->lock);
		again = sleep_step(sim, time, word, value);
		pthread_mutex_unlock(&sim->lock);
		if (again && sim->threaded)
			npf_sim_futex_wait(&sim->changes, seen);
	} while (again);
}

static int alloc_code(struct npf_host *host, size_t size, struct npf_code *code, char *error)
{
	return npf_arena_alloc(&npf_sim_of(host)->arena, size, code, error);
}

static void free_code(struct npf_host *host, const struct npf_code *code)
{
	npf_arena_free(&npf_sim_of(host)->arena, code);
}

static void *borrow(struct npf_host *host, size_t size)
{
	return npf_arena_borrow(&npf_sim_of(host)->arena, size);
}

static void give_back(struct npf_host *host, void *memory)
{
	npf_arena_give_back(&npf_sim_of(host)->arena, memory);
}

static const struct npf_code_ops code_ops = {
	.alloc = alloc_code,
	.free = free_code,
	.borrow = borrow,
	.give_back = give_back,
};

static const struct npf_system_ops system_ops = {
	.alloc = sim_alloc,
	.free = sim_free,
	.now = sim_now,
	.wall = sim_wall,
	.park = sim_park,
	.unpark = sim_unpark,
	.sleep_until = sim_sleep_until,
};

/* ---- adapters ------------------------------------------------------------------------------ */

struct npf_sim_adapter *npf_sim_find(struct npf_sim *sim, const char *name)
{
	struct npf_sim_adapter *at = sim->adapters;

	while (at && strcmp(at->adapter.name, name) != 0)
		at = at->next;
	return at;
}

struct npf_sim_adapter *npf_sim_find_index(struct npf_sim *sim, uint32_t index)
{
	struct npf_sim_adapter *at = sim->adapters;

	while (at && at->adapter.index != index)
		at = at->next;
	return at;
}

static int list_locked(struct npf_sim *sim,
		       int (*each)(void *arg, const struct npf_adapter *adapter), void *arg)
{
	int err = npf_sim_operation(sim);

	for (struct npf_sim_adapter *at = sim->adapters; at && !err; at = at->next)
		err = each(arg, &at->adapter);
	return err;
}

static int list(struct npf_host *host, int (*each)(void *arg, const struct npf_adapter *adapter),
		void *arg)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	int err = list_locked(sim, each, arg);

	pthread_mutex_unlock(&sim->lock);
	return err;
}

static int adapters_fd(struct npf_host *host)
{
	(void)host;
	return -1;
}

static const struct npf_adapter_ops adapter_ops = { .list = list, .fd = adapters_fd };

static const struct npf_adapter ordinary = {
	.description = "simulated",
	.flags = NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING,
	.link_type = 1,
	.medium = NPF_MEDIUM_802_3,
	.mtu = 1500,
	.min_frame = 1,
	.max_frame = 1514,
	.max_receive = 1518,
	.hatype = 1,
	.speed = 1000000000,
	.address = { 0x02, 0x00, 0x5E, 0x10, 0x00, 0x01 },
	.permanent_address = { 0x02, 0x00, 0x5E, 0x10, 0x00, 0x02 },
	.address_length = 6,
};

int npf_sim_add_adapter(struct npf_host *host, const char *name)
{
	struct npf_sim *sim = npf_sim_of(host);
	struct npf_sim_adapter *adapter = calloc(1, sizeof(*adapter));

	if (!adapter)
		return -ENOMEM;
	adapter->adapter = ordinary;
	adapter->room = UINT64_MAX;
	snprintf(adapter->adapter.name, sizeof(adapter->adapter.name), "%s", name);

	pthread_mutex_lock(&sim->lock);
	struct npf_sim_adapter **end = &sim->adapters;

	while (*end)
		end = &(*end)->next;
	adapter->adapter.index = ++sim->last_index;
	*end = adapter;
	pthread_mutex_unlock(&sim->lock);
	return 0;
}

static void unplug(struct npf_sim *sim, uint32_t index)
{
	for (struct npf_nic *nic = sim->nics; nic; nic = nic->next) {
		if (nic->adapter.index != index)
			continue;
		nic->adapter = npf_sim_find_index(sim, index)->adapter;
		nic->gone = true;
		npf_sim_raise(nic);
	}
}

int npf_sim_remove_adapter(struct npf_host *host, const char *name)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	struct npf_sim_adapter *adapter = npf_sim_find(sim, name);

	if (adapter) {
		struct npf_sim_adapter **at = &sim->adapters;

		unplug(sim, adapter->adapter.index);
		while (*at != adapter)
			at = &(*at)->next;
		*at = adapter->next;
		free(adapter);
	}
	pthread_mutex_unlock(&sim->lock);
	return adapter ? 0 : -ENODEV;
}

struct npf_adapter *npf_sim_adapter(struct npf_host *host, const char *name)
{
	struct npf_sim_adapter *adapter = npf_sim_find(npf_sim_of(host), name);

	return adapter ? &adapter->adapter : NULL;
}

uint32_t npf_sim_hw_filter(struct npf_host *host, const char *name)
{
	const struct npf_adapter *adapter = npf_sim_adapter(host, name);
	uint32_t bits = 0;

	for (struct npf_nic *nic = npf_sim_of(host)->nics; adapter && nic; nic = nic->next)
		bits |= nic->adapter.index == adapter->index ? nic->hw_filter : 0;
	return bits;
}

void npf_sim_lose(struct npf_host *host, const char *name, uint64_t n)
{
	struct npf_sim *sim = npf_sim_of(host);

	pthread_mutex_lock(&sim->lock);
	const struct npf_sim_adapter *adapter = npf_sim_find(sim, name);

	for (struct npf_nic *nic = sim->nics; adapter && nic; nic = nic->next)
		nic->lost += nic->adapter.index == adapter->adapter.index ? n : 0;
	pthread_mutex_unlock(&sim->lock);
}

void npf_sim_set_room(struct npf_host *host, const char *name, uint64_t n)
{
	npf_sim_find(npf_sim_of(host), name)->room = n;
}

void npf_sim_drop_sent(struct npf_host *host, const char *name, uint64_t n)
{
	struct npf_sim_adapter *adapter = npf_sim_find(npf_sim_of(host), name);

	adapter->adapter.tx_packets -= n;
	adapter->tx_dropped += n;
}

void npf_sim_lose_sent(struct npf_host *host, const char *name, uint64_t n, uint64_t first,
		       uint64_t second)
{
	struct npf_sim_adapter *adapter = npf_sim_find(npf_sim_of(host), name);

	adapter->adapter.tx_packets -= n;
	adapter->tx_lost[0] += n + first;
	adapter->tx_lost[1] += n + second;
}

void npf_sim_refuse_sent(struct npf_host *host, const char *name, uint64_t n)
{
	struct npf_sim_adapter *adapter = npf_sim_find(npf_sim_of(host), name);

	adapter->tx_lost[0] += n;
	adapter->tx_lost[1] += n;
	adapter->tx_told += n;
}

void npf_sim_hold(struct npf_host *host, const char *name, uint64_t bytes)
{
	npf_sim_find(npf_sim_of(host), name)->unsent = bytes;
}

void npf_sim_trail(struct npf_host *host, const char *name, uint64_t n)
{
	npf_sim_find(npf_sim_of(host), name)->trailing = n;
}

void npf_sim_delay_counters(struct npf_host *host, const char *name, uint64_t ns)
{
	npf_sim_find(npf_sim_of(host), name)->delay = ns;
}

void npf_sim_keep_path(struct npf_host *host, enum npf_send_path path, uint64_t until)
{
	npf_sim_of(host)->kept[path] = until;
}

/* ---- faults and leaks ---------------------------------------------------------------------- */

uint64_t npf_sim_operations(struct npf_host *host)
{
	return npf_sim_of(host)->operations;
}

void npf_sim_fail(struct npf_host *host, uint64_t nth, int err)
{
	struct npf_sim *sim = npf_sim_of(host);

	sim->fail_at = nth ? sim->operations + nth : 0;
	sim->fail_with = err;
}

void npf_sim_interrupt(struct npf_host *host, void (*handler)(void *arg), void *arg)
{
	struct npf_sim *sim = npf_sim_of(host);

	sim->interrupt = handler;
	sim->interrupt_arg = arg;
}

size_t npf_sim_memory(struct npf_host *host)
{
	return npf_sim_of(host)->memory;
}

size_t npf_sim_bindings(struct npf_host *host)
{
	size_t n = 0;

	for (const struct npf_nic *nic = npf_sim_of(host)->nics; nic; nic = nic->next)
		n++;
	return n;
}

const struct npf_sim_sent *npf_sim_sent(struct npf_host *host, size_t nth)
{
	const struct npf_sim_sent *sent = npf_sim_of(host)->sent;

	while (sent && nth--)
		sent = sent->next;
	return sent;
}

/* ---- the host ------------------------------------------------------------------------------ */

struct npf_host *npf_host_sim(uint32_t n_cpus)
{
	struct npf_sim *sim = calloc(1, sizeof(*sim));
	pthread_mutexattr_t recursive;

	if (!sim)
		return NULL;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&sim->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	sim->base.system = &system_ops;
	sim->base.adapters = &adapter_ops;
	sim->base.nic = &npf_sim_nic;
	sim->base.files = &npf_sim_files;
	sim->base.workers = &npf_sim_workers;
	sim->disk_size = UINT64_MAX;
	sim->base.code = &code_ops;
	sim->base.features = npf_x86_features();
	npf_arena_init(&sim->arena);
	sim->n_cpus = n_cpus;
	sim->sent_end = &sim->sent;
	return &sim->base;
}

void npf_host_sim_free(struct npf_host *host)
{
	struct npf_sim *sim = npf_sim_of(host);

	if (!sim)
		return;
	npf_sim_drop_events(sim);
	npf_sim_drop_files(sim);
	while (sim->sent) {
		struct npf_sim_sent *sent = sim->sent;

		sim->sent = sent->next;
		free(sent);
	}
	while (sim->adapters) {
		struct npf_sim_adapter *adapter = sim->adapters;

		sim->adapters = adapter->next;
		free(adapter);
	}
	npf_arena_fini(&sim->arena);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
}
