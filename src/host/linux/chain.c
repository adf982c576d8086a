/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See chain.h. Each program ends with a tail call by a map of its own (bpf/npf.bpf.c), whose one entry
 * is the program that follows; an entry that is empty ends the chain. The kernel exchanges an entry, or
 * the first program of a link, in one step, so that a packet takes either way and never half of one:
 *   - who comes is put behind the last: a packet meets it or does not;
 *   - who goes is stepped over: the entry before it gets what its own holds. A packet that is in there
 *     goes on by its own entry, which therefore stays as it is until no packet can be in there;
 *   - a new filter takes the old one's place before it, and has the same entry behind it.
 * Nobody changes places, so no packet comes to the same instance twice, or past one.
 *
 * Where all have filters that can be asked in one form, a head stands before the first (chain_head.c). It
 * answers for the programs that it was made of: so it goes before anything is changed behind it, in one
 * step as well, and another comes when that is done. To packets it makes no difference which way they go.
 *
 * Forks have the same descriptors and may go on with some of the instances while others are closed. So
 * the order of a chain is in memory that they share, under a lock of its own, and nobody is taken out
 * while any process has its instance open. Each process knows the members that were there when it was
 * forked, and could not take out later ones if the other is killed: nobody adds to a chain that has been
 * through a fork.
 */
#include "host/linux/chain.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/linux/process.h"
#include "npf/bpf.h"

/* From <linux/bpf.h> of kernel 6.6; older headers lack it. */
#define BEFORE_OTHERS (1u << 3)

/* What runs, in its order: the same for all processes. */
struct order {
	pthread_mutex_t lock;
	bool changing;
	bool unknown;     /* a process died amid a change: nothing is changed any more */
	bool headed;      /* the link calls a head, which jumps on to the first */
	uint32_t numbers; /* given to members so far */
	uint32_t n;       /* atomic */
	struct {
		uint32_t member, program; /* number and id */
	} list[NPF_CHAIN_MOST];
};

/* What this process knows of a member. */
struct npf_chain_member {
	struct npf_chain *chain;
	struct npf_chain_member *next;
	struct npf_chain_entry entry; /* the descriptors are duplicates */
	uint32_t number;
	uint32_t id; /* of the program of entry, which another process may have exchanged since */
	bool left;   /* by this process */
	struct npf_chain_filter filter;
	struct npf_program program; /* that of filter, a copy */
};

struct npf_chain {
	struct npf_chain *next;
	uint32_t forks; /* when it began */
	int link;
	uint32_t link_id;
	struct order *order;
	struct npf_chain_member *first;
	uint32_t n_open;  /* members not left */
	int head_next;    /* PROG_ARRAY of heads; -1: there has been none */
	bool head_tried;  /* since the last change */
	uint32_t dear_at; /* members whose head took the verifier too long; 0: none did */
};

/* The parts of union bpf_attr and of struct bpf_link_info that tcx wants; the rest must be zero. */
struct link_create {
	uint32_t program, ifindex, attach_type, flags;
	uint64_t zero[8];
};

struct link_info {
	uint32_t type, id, program, padding;
	uint32_t ifindex, attach_type;
};

struct query {
	uint32_t ifindex, attach_type, flags, attach_flags;
	uint64_t programs;
	uint32_t count, padding;
	uint64_t program_flags, links, link_flags, revision;
};

/* Who has been taken out, to be freed without the lock. */
struct gone {
	struct npf_chain_member *first;
	bool passed; /* a packet may still be in one of them that is to go on to others */
};

/* ---- asking the kernel ---------------------------------------------------------------------- */

static int membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* Wait until no packet is in a program that was taken out. */
static bool await_packets(void)
{
	return !membarrier(MEMBARRIER_CMD_GLOBAL);
}

/* Tickless systems cannot. */
static bool can_await_packets(void)
{
	int commands = membarrier(MEMBARRIER_CMD_QUERY);

	return commands >= 0 && commands & MEMBARRIER_CMD_GLOBAL;
}

static int ask_link(int link, struct link_info *info)
{
	uint32_t size = sizeof(*info);

	*info = (struct link_info){ 0 };
	return bpf_obj_get_info_by_fd(link, info, &size) ? -errno : 0;
}

static int ask_program(int program, uint32_t *id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &size))
		return -errno;
	*id = info.id;
	return 0;
}

/* The link that the kernel calls first at a place; 0: none. */
static uint32_t first_link(const struct npf_chain_entry *entry)
{
	uint32_t link = 0, program = 0;
	struct query attr = {
		.ifindex = entry->ifindex,
		.attach_type = entry->attach_type,
		.programs = (uintptr_t)&program,
		.count = 1,
		.links = (uintptr_t)&link,
	};

	/* -ENOSPC: there are more. */
	if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) && errno != ENOSPC)
		return 0;
	return link;
}

/* Nobody has its instance open, in any process. */
static bool is_forsaken(const struct npf_chain_member *member)
{
	struct pollfd pollfd = { .fd = member->entry.holder };

	return member->left && poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLHUP;
}

/* ---- members -------------------------------------------------------------------------------- */

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void free_member(struct npf_chain_member *member)
{
	close_one(member->entry.program);
	close_one(member->entry.next);
	close_one(member->entry.holder);
	free((void *)member->program.insns);
	free(member);
}

static int make_member(const struct npf_chain_entry *entry, struct npf_chain_member **out)
{
	struct npf_chain_member *member = calloc(1, sizeof(*member));
	int err;

	if (!member)
		return -ENOMEM;
	member->entry = *entry;
	member->entry.program = duplicate(entry->program);
	member->entry.next = duplicate(entry->next);
	member->entry.holder = duplicate(entry->holder);
	*out = member;
	if (member->entry.program < 0)
		err = member->entry.program;
	else if (member->entry.next < 0)
		err = member->entry.next;
	else if (member->entry.holder < 0)
		err = member->entry.holder;
	else
		err = ask_program(entry->program, &member->id);
	if (err)
		free_member(member);
	return err;
}

/* ---- the order of a chain ------------------------------------------------------------------- */

static struct order *make_order(void)
{
	struct order *order = mmap(NULL, sizeof(*order), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attributes;

	if (order == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&order->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return order;
}

/* With what locking said. False: another has it. */
static bool has_order(struct order *order, int err)
{
	if (err == EOWNERDEAD) {
		order->unknown |= order->changing;
		pthread_mutex_consistent(&order->lock);
	}
	return err != EBUSY;
}

static void lock_order(struct order *order)
{
	has_order(order, pthread_mutex_lock(&order->lock));
}

static bool try_lock_order(struct order *order)
{
	return has_order(order, pthread_mutex_trylock(&order->lock));
}

static void unlock_order(struct order *order)
{
	pthread_mutex_unlock(&order->lock);
}

static void set_n(struct order *order, uint32_t n)
{
	__atomic_store_n(&order->n, n, __ATOMIC_RELAXED);
}

static uint32_t place_of(const struct order *order, const struct npf_chain_member *member)
{
	uint32_t i = 0;

	while (i < order->n && order->list[i].member != member->number)
		i++;
	return i;
}

/* NULL: it came when this process was on its own already. */
static struct npf_chain_member *member_at(const struct npf_chain *chain, uint32_t i)
{
	struct npf_chain_member *member = chain->first;

	while (member && member->number != chain->order->list[i].member)
		member = member->next;
	return member;
}

/* Where heads jump to. */
static int lead_head(const struct npf_chain *chain, int program)
{
	const uint32_t zero = 0;

	return bpf_map_update_elem(chain->head_next, &zero, &program, BPF_ANY) ? -errno : 0;
}

/* A packet that is in a head that went just now may take either of the two. */
static int put_first(const struct npf_chain *chain, int program)
{
	int err = bpf_link_update(chain->link, program, NULL);

	if (!err && chain->head_next >= 0)
		lead_head(chain, program);
	return err;
}

/* Put a program (-1: nothing) at a place of the chain. */
static int put_at(const struct npf_chain *chain, uint32_t i, int program)
{
	const struct npf_chain_member *before = i ? member_at(chain, i - 1) : NULL;

	if (!i)
		return put_first(chain, program);
	if (!before)
		return -EBUSY;
	if (program < 0)
		return bpf_map_delete_elem(before->entry.next, &before->entry.slot) ? -errno : 0;
	return bpf_map_update_elem(before->entry.next, &before->entry.slot, &program, BPF_ANY)
		       ? -errno
		       : 0;
}

/* -ENOLINK: the adapter has gone, and nothing runs. */
static int check_link(const struct npf_chain *chain)
{
	struct link_info info;
	int err = ask_link(chain->link, &info);

	return !err && !info.ifindex ? -ENOLINK : err;
}

/* Before a change. (While there is a head nobody has changed the first.) */
static int drop_head(struct npf_chain *chain)
{
	struct order *order = chain->order;
	const struct npf_chain_member *first = member_at(chain, 0);
	int err;

	chain->head_tried = false;
	if (!order->headed)
		return 0;
	if (!first)
		return -EBUSY;
	err = bpf_link_update(chain->link, first->entry.program, NULL);
	order->headed = err && err != -ENOLINK;
	return order->headed ? err : 0;
}

/* Put a member, or its new program, at a place that may be the end. */
static int place(struct npf_chain *chain, uint32_t i, uint32_t number, int program, uint32_t id)
{
	struct order *order = chain->order;
	int err;

	if (order->unknown)
		return -EBUSY;
	err = check_link(chain);
	if (err)
		return err;
	order->changing = true;
	err = drop_head(chain);
	if (!err)
		err = put_at(chain, i, program);
	if (!err) {
		order->list[i].member = number;
		order->list[i].program = id;
		if (i == order->n)
			set_n(order, i + 1);
	}
	order->changing = false;
	return err;
}

/* Step over who is at a place, if there are others, and we can. */
static bool step_over(struct npf_chain *chain, uint32_t i)
{
	struct order *order = chain->order;
	bool is_last = i + 1 == order->n;
	const struct npf_chain_member *after = is_last ? NULL : member_at(chain, i + 1);
	int err;

	if (order->n < 2 || order->unknown)
		return false;
	if (!is_last && (!after || after->id != order->list[i + 1].program))
		return false;
	order->changing = true;
	err = drop_head(chain);
	if (!err)
		err = put_at(chain, i, after ? after->entry.program : -1);
	if (!err || err == -ENOLINK) {
		for (uint32_t k = i; k + 1 < order->n; k++)
			order->list[k] = order->list[k + 1];
		set_n(order, order->n - 1);
	}
	order->changing = false;
	return !err || err == -ENOLINK;
}

/* ---- the head ------------------------------------------------------------------------------- */

/* False: one cannot be answered for, or another process may change one. */
static bool gather(const struct npf_chain *chain, struct npf_chain_head *head)
{
	const struct order *order = chain->order;

	if (order->n < 2 || order->n > NPF_CHAIN_HEAD_MOST || order->unknown ||
	    chain->forks != npf_process_forks())
		return false;
	for (uint32_t i = 0; i < order->n; i++) {
		const struct npf_chain_member *member = member_at(chain, i);

		if (!member || member->left || !member->filter.program)
			return false;
		head->filters[i] = member->filter;
		head->attach_type = member->entry.attach_type;
		if (head->filters[i].hatype != head->filters[0].hatype)
			return false;
	}
	head->n = order->n;
	return true;
}

static int make_head_next(struct npf_chain *chain)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);

	if (chain->head_next < 0)
		chain->head_next = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "next", sizeof(uint32_t),
						  sizeof(uint32_t), 1, &options);
	return chain->head_next;
}

static void put_head(struct npf_chain *chain, int program)
{
	struct order *order = chain->order;

	order->changing = true;
	order->headed = !lead_head(chain, member_at(chain, 0)->entry.program) &&
			!bpf_link_update(chain->link, program, NULL);
	order->changing = false;
}

/* One that took the verifier long would do so again with the next change: no other is tried before
 * half the members have gone. */
static bool is_dear(struct npf_chain *chain)
{
	if (chain->order->n <= chain->dear_at / 2)
		chain->dear_at = 0;
	return chain->dear_at;
}

/* After changes. What fails leaves the chain as it is. */
static void renew_head(struct npf_chain *chain)
{
	struct npf_chain_head head;
	int program;

	if (chain->head_tried || chain->order->headed || is_dear(chain) || !gather(chain, &head))
		return;
	chain->head_tried = true;
	head.next = make_head_next(chain);
	program = head.next < 0 ? head.next : npf_chain_head_load(&head);
	if (program == -EFBIG)
		chain->dear_at = head.n;
	if (program < 0)
		return;
	put_head(chain, program);
	close(program);
}

/* ---- chains --------------------------------------------------------------------------------- */

static void take_out(struct npf_chain_member **at, struct gone *gone)
{
	struct npf_chain_member *member = *at;

	*at = member->next;
	member->next = gone->first;
	gone->first = member;
}

/* Step over whom nobody has open, and forget those that were stepped over by whomever. */
static void tidy(struct npf_chain *chain, struct gone *gone)
{
	struct npf_chain_member **at = &chain->first;

	while (*at) {
		uint32_t i = place_of(chain->order, *at);
		bool was_last = i + 1 >= chain->order->n;

		if (i == chain->order->n) {
			take_out(at, gone);
		} else if (is_forsaken(*at) && step_over(chain, i)) {
			gone->passed |= !was_last;
			take_out(at, gone);
		} else {
			at = &(*at)->next;
		}
	}
	renew_head(chain);
}

/* Who comes or goes elsewhere looks here as well, since nobody comes to chains that were forked. He does
 * not wait for whoever changes one. */
static void tidy_all(struct npf_chain *chain, struct gone *gone)
{
	for (; chain; chain = chain->next) {
		if (!try_lock_order(chain->order))
			continue;
		tidy(chain, gone);
		unlock_order(chain->order);
	}
}

/* Of those that we left, others may have some open, and with them the link. */
static void end(struct npf_chain **chains, struct npf_chain *chain, struct gone *gone)
{
	while (*chains != chain)
		chains = &(*chains)->next;
	*chains = chain->next;
	close(chain->link);
	close_one(chain->head_next);
	while (chain->first)
		take_out(&chain->first, gone);
	munmap(chain->order, sizeof(*chain->order));
	free(chain);
}

/* Where packets may be that are to go on, and we cannot wait for them, the entry stays. */
static void free_gone(struct gone *gone)
{
	bool keep = gone->passed && !await_packets();

	while (gone->first) {
		struct npf_chain_member *member = gone->first;

		gone->first = member->next;
		if (keep)
			member->entry.next = -1;
		free_member(member);
	}
}

static void append(struct npf_chain *chain, struct npf_chain_member *member)
{
	member->chain = chain;
	member->next = chain->first;
	chain->first = member;
	chain->n_open++;
}

/* Ours alone that the kernel calls before all others there. */
static struct npf_chain *find(struct npf_chain *chain, const struct npf_chain_entry *entry)
{
	uint32_t link = can_await_packets() ? first_link(entry) : 0;

	while (chain && chain->link_id != link)
		chain = chain->next;
	return link && chain && chain->forks == npf_process_forks() ? chain : NULL;
}

static int follow(struct npf_chain *chain, struct npf_chain_member *member)
{
	struct order *order = chain->order;
	int err = -EBUSY;

	lock_order(order);
	member->number = order->numbers + 1;
	if (order->n && order->n < NPF_CHAIN_MOST)
		err = place(chain, order->n, member->number, member->entry.program, member->id);
	if (!err)
		order->numbers++;
	unlock_order(order);
	if (!err)
		append(chain, member);
	return err;
}

static int attach(const struct npf_chain_entry *entry, struct npf_chain *chain)
{
	struct link_create attr = {
		.program = (uint32_t)entry->program,
		.ifindex = entry->ifindex,
		.attach_type = entry->attach_type,
		.flags = BEFORE_OTHERS,
	};
	struct link_info info;
	int err;

	chain->link = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (chain->link < 0)
		return -errno;
	err = ask_link(chain->link, &info);
	if (err)
		close(chain->link);
	chain->link_id = info.id;
	return err;
}

static int begin(struct npf_chain **chains, struct npf_chain_member *member)
{
	struct npf_chain *chain = calloc(1, sizeof(*chain));
	struct order *order = chain ? make_order() : NULL;
	int err = order ? attach(&member->entry, chain) : -ENOMEM;

	if (err) {
		if (order)
			munmap(order, sizeof(*order));
		free(chain);
		return err;
	}
	member->number = order->numbers = 1;
	order->list[0].member = 1;
	order->list[0].program = member->id;
	set_n(order, 1);
	chain->order = order;
	chain->head_next = -1;
	chain->forks = npf_process_forks();
	chain->next = *chains;
	*chains = chain;
	append(chain, member);
	return 0;
}

/* ---- what hooks use ------------------------------------------------------------------------- */

int npf_chain_join(struct npf_chain **chains, const struct npf_chain_entry *entry,
		   struct npf_chain_member **out)
{
	struct npf_chain_member *member;
	struct npf_chain *chain;
	struct gone gone = { 0 };
	int err = make_member(entry, &member);

	if (err)
		return err;
	npf_process_lock();
	tidy_all(*chains, &gone);
	chain = find(*chains, entry);
	if (!chain || follow(chain, member))
		err = begin(chains, member);
	npf_process_unlock();
	free_gone(&gone);
	if (err)
		free_member(member);
	else
		*out = member;
	return err;
}

/* A copy: who has the member may change its filter while others make a head. */
static void take_filter(struct npf_chain_member *member, const struct npf_chain_filter *filter)
{
	size_t size = filter->program ? filter->program->length * sizeof(struct npf_insn) : 0;
	struct npf_insn *insns = size ? malloc(size) : NULL;

	free((void *)member->program.insns);
	member->program = (struct npf_program){ 0 };
	member->filter = *filter;
	member->filter.program = NULL;
	if (!insns)
		return;
	memcpy(insns, filter->program->insns, size);
	member->program = *filter->program;
	member->program.insns = insns;
	member->filter.program = &member->program;
}

static int exchange(struct npf_chain_member *member, int program, uint32_t id,
		    const struct npf_chain_filter *filter, struct gone *gone)
{
	struct npf_chain *chain = member->chain;
	int err;

	lock_order(chain->order);
	err = place(chain, place_of(chain->order, member), member->number, program, id);
	if (!err) {
		close(member->entry.program);
		member->entry.program = program;
		member->id = id;
		take_filter(member, filter);
	}
	/* Now that we know who is at this place, we can step over who is before it. */
	tidy(chain, gone);
	unlock_order(chain->order);
	return err;
}

int npf_chain_exchange(struct npf_chain_member *member, int program,
		       const struct npf_chain_filter *filter)
{
	const struct npf_chain_filter none = { 0 };
	struct gone gone = { 0 };
	int copy = duplicate(program);
	int err = copy < 0 ? copy : 0;
	uint32_t id;

	if (!err)
		err = ask_program(copy, &id);
	npf_process_lock();
	if (!err)
		err = exchange(member, copy, id, filter, &gone);
	/* Who fails to bring the old one back closes the maps of the new one, which we have. */
	if (err)
		take_filter(member, &none);
	npf_process_unlock();
	free_gone(&gone);
	if (err)
		close_one(copy);
	return err;
}

static void leave(struct npf_chain **chains, struct npf_chain_member *member, struct gone *gone)
{
	struct npf_chain *chain = member->chain;

	member->left = true;
	chain->n_open--;
	lock_order(chain->order);
	tidy(chain, gone);
	unlock_order(chain->order);
	if (!chain->n_open)
		end(chains, chain, gone);
}

void npf_chain_leave(struct npf_chain **chains, struct npf_chain_member *const *members, uint32_t n)
{
	struct gone gone = { 0 };

	npf_process_lock();
	for (uint32_t i = 0; i < n; i++) {
		if (members[i])
			leave(chains, members[i], &gone);
	}
	tidy_all(*chains, &gone);
	npf_process_unlock();
	free_gone(&gone);
}

bool npf_chain_shared(const struct npf_chain_member *member)
{
	return __atomic_load_n(&member->chain->order->n, __ATOMIC_RELAXED) > 1;
}
