/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs of one process at the same place of an adapter are a chain: the kernel calls the first, by
 * a link, and each jumps on to the next. A jump takes less than 1 ns, a call of the kernel's 21.
 */
#ifndef NPF_LINUX_CHAIN_H
#define NPF_LINUX_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

struct npf_chain;
struct npf_chain_member;

/* What is put into a chain. */
struct npf_chain_entry {
	uint32_t ifindex, attach_type;
	int program;
	int next;      /* PROG_ARRAY: whom the program jumps to, */
	uint32_t slot; /* at this place of it */
	int holder;    /* hangs up once no process has the instance open any more */
};

/* One lock for all chains of the process, the last that is taken but that of a chain's order; a fork waits
 * for it. `chains` are those of a host, NULL at first. */

/* Behind those that are there, or, if that cannot be, alone and before all other programs there.
 * Negative errno: that of attaching. The descriptors stay the caller's. */
int npf_chain_join(struct npf_chain **chains, const struct npf_chain_entry *entry,
		   struct npf_chain_member **member);
/* In one step. -ENOLINK: the adapter has gone. -EBUSY: the order is not known any more. */
int npf_chain_exchange(struct npf_chain_member *member, int program);
/* n of them, NULL or not, whose instance this process has closed. */
void npf_chain_leave(struct npf_chain **chains, struct npf_chain_member *const *members, uint32_t n);
/* Do packets come to others by the same link? Takes no lock. */
bool npf_chain_shared(const struct npf_chain_member *member);

#endif
