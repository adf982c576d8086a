/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Linux host: the object itself, memory, the two clocks, parking, and texts for failures.
 * What it has open is the socket that hears of changes of the adapters, nothing more.
 */
#include "filter/x86.h"
#include "host/linux/linux.h"
#include "host/linux/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull

/* From this size on memory comes straight from the kernel: zeroed, and only what is touched. */
#define LARGE (1u << 20)

/* A store waits in its CPU's buffer behind those before it, each for a cache line at most: well
 * below a microsecond. No processor promises it; were one later, records would change places or a
 * reader wake up one packet late. */
#define STORE_DELAY 2000u /* ns */

/* ---- memory -------------------------------------------------------------------------------- */

static size_t whole_lines(size_t size)
{
	return size ? (size + NPF_LINE - 1) / NPF_LINE * NPF_LINE : NPF_LINE;
}

static void *alloc(struct npf_host *host, size_t size)
{
	void *memory;

	(void)host;
	if (size >= LARGE) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
		return memory == MAP_FAILED ? NULL : memory;
	}
	memory = aligned_alloc(NPF_LINE, whole_lines(size));
	return memory ? memset(memory, 0, whole_lines(size)) : NULL;
}

static void release(struct npf_host *host, void *memory, size_t size)
{
	(void)host;
	if (memory && size >= LARGE)
		munmap(memory, size);
	else
		free(memory);
}

/* ---- time and parking ---------------------------------------------------------------------- */

static uint64_t read_clock(clockid_t id)
{
	struct timespec time;

	clock_gettime(id, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static uint64_t now(struct npf_host *host)
{
	(void)host;
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t wall(struct npf_host *host)
{
	(void)host;
	return read_clock(CLOCK_REALTIME);
}

/* A signal handler may be the caller of these two. */
static void park(struct npf_host *host, uint32_t *word, uint32_t value)
{
	int saved = errno;

	(void)host;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	errno = saved;
}

static void unpark(struct npf_host *host, uint32_t *word)
{
	int saved = errno;

	(void)host;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	errno = saved;
}

/* The kernel may delay a timer by the thread's slack, 50 us unless told otherwise. It is told for
 * this one sleep only: the thread is the caller's. */
static void sleep_roughly(uint32_t *word, uint32_t value, uint64_t time)
{
	struct timespec until = { .tv_sec = (time_t)(time / NS_PER_S),
				  .tv_nsec = (long)(time % NS_PER_S) };
	int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, &until, NULL,
		FUTEX_BITSET_MATCH_ANY);
	if (slack > 0)
		prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
}

static void sleep_until(struct npf_host *host, uint64_t time, uint32_t *word, uint32_t value)
{
	while (now(host) < time && __atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		sleep_roughly(word, value, time);
}

static void hold_forks(struct npf_host *host)
{
	(void)host;
	npf_process_lock();
}

static void let_forks(struct npf_host *host)
{
	(void)host;
	npf_process_unlock();
}

static const struct npf_system_ops system_ops = {
	.alloc = alloc,
	.free = release,
	.now = now,
	.wall = wall,
	.park = park,
	.unpark = unpark,
	.sleep_until = sleep_until,
	.hold_forks = hold_forks,
	.let_forks = let_forks,
};

/* ---- generated code ------------------------------------------------------------------------- */

static int alloc_code(struct npf_host *host, size_t size, struct npf_code *code, char *error)
{
	return npf_arena_alloc(&npf_linux_host_here(host)->arena, size, code, error);
}

static void free_code(struct npf_host *host, const struct npf_code *code)
{
	npf_arena_free(&npf_linux_host_here(host)->arena, code);
}

static void *borrow(struct npf_host *host, size_t size)
{
	return npf_arena_borrow(&npf_linux_host_here(host)->arena, size);
}

static void give_back(struct npf_host *host, void *memory)
{
	npf_arena_give_back(&npf_linux_host_here(host)->arena, memory);
}

static const struct npf_code_ops code_ops = {
	.alloc = alloc_code,
	.free = free_code,
	.borrow = borrow,
	.give_back = give_back,
};

/* ---- the object ---------------------------------------------------------------------------- */

/* The list tells addresses too, so their changes are news. Without them it is still a list. */
static void hear_of_addresses(int monitor)
{
	const int groups[] = { RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR };

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		setsockopt(monitor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			   sizeof(groups[i]));
}

static int open_monitor(void)
{
	int monitor = npf_linux_monitor();

	if (monitor < 0)
		return -1;
	hear_of_addresses(monitor);
	return monitor;
}

/* What the parent has read, or will, is news for this process as well: an answer to nothing makes it look
 * at the list once. The descriptor keeps its number. */
static void renew_monitor(int monitor)
{
	const struct nlmsghdr nothing = { .nlmsg_len = sizeof(nothing),
					  .nlmsg_type = NLMSG_NOOP,
					  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };
	int own = monitor < 0 ? -1 : open_monitor();

	if (own < 0)
		return;
	if (send(own, &nothing, sizeof(nothing), 0) == sizeof(nothing))
		dup3(own, monitor, O_CLOEXEC);
	close(own);
}

/* What another thread was amid is left as it is, and its lock. */
static void begin_anew(struct npf_linux_host *host)
{
	npf_arena_leave(&host->arena);
	npf_syncer_init(&host->syncer);
	renew_monitor(host->monitor);
}

struct npf_linux_host *npf_linux_host_here(struct npf_host *base)
{
	struct npf_linux_host *host = (struct npf_linux_host *)base;
	uint32_t process = npf_process_number();

	if (__atomic_load_n(&host->process, __ATOMIC_ACQUIRE) == process)
		return host;
	npf_process_lock();
	if (host->process != process) {
		begin_anew(host);
		__atomic_store_n(&host->process, process, __ATOMIC_RELEASE);
	}
	npf_process_unlock();
	return host;
}

struct npf_host *npf_host_linux(void)
{
	struct npf_linux_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->base.system = &system_ops;
	host->base.store_delay = STORE_DELAY;
	host->base.adapters = &npf_linux_adapters;
	host->base.nic = &npf_linux_nic;
	host->base.files = &npf_linux_files;
	host->base.workers = &npf_linux_workers;
	host->base.trace = npf_linux_tracing() ? npf_linux_trace : NULL;
	host->base.code = &code_ops;
	host->base.features = npf_x86_features();
	npf_arena_init(&host->arena);
	npf_syncer_init(&host->syncer);
	host->monitor = open_monitor();
	host->process = npf_process_number();
	return &host->base;
}

void npf_host_linux_free(struct npf_host *base)
{
	struct npf_linux_host *host = base ? npf_linux_host_here(base) : NULL;

	if (!host)
		return;
	if (host->monitor >= 0)
		close(host->monitor);
	npf_syncer_fini(&host->syncer);
	npf_arena_fini(&host->arena);
	free(host);
}

/* ---- texts --------------------------------------------------------------------------------- */

int npf_linux_error(char *error, int err, const char *format, ...)
{
	va_list arguments;

	if (!error)
		return err;
	va_start(arguments, format);
	vsnprintf(error, NPF_ERROR_SIZE, format, arguments);
	va_end(arguments);
	return err;
}
