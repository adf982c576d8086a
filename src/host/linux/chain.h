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
struct npf_program;

#define NPF_CHAIN_MOST 32u /* members: the kernel allows 33 jumps, one of them the head's */

/* What is put into a chain. */
struct npf_chain_entry {
	uint32_t ifindex, attach_type;
	int program;
	int next;      /* PROG_ARRAY: whom the program jumps to, */
	uint32_t slot; /* at this place of it */
	int holder;    /* hangs up once no process has the instance open any more */
};

/* Of a member's program: what lets the head answer for it. */
struct npf_chain_filter {
	const struct npf_program *program; /* NULL: the head cannot */
	int control, cpus;                 /* maps of its tap, */
	uint32_t hatype;                   /* and what it takes the adapter for */
};

/* All chains of the process are under its lock (process.h), the last that is taken but that of a chain's
 * order. `chains` are those of a host, NULL at first. */

/* Behind those that are there, or, if that cannot be, alone and before all other programs there.
 * Negative errno: that of attaching. The descriptors stay the caller's. */
int npf_chain_join(struct npf_chain **chains, const struct npf_chain_entry *entry,
		   struct npf_chain_member **member);
/* In one step. The maps of the filter stay until the next exchange, or the member leaves. One that fails
 * leaves the program as it was, for which no head answers then. -ENOLINK: the adapter has gone. -EBUSY: the
 * order is not known any more. */
int npf_chain_exchange(struct npf_chain_member *member, int program,
		       const struct npf_chain_filter *filter);
/* n of them, NULL or not, whose instance this process has closed. */
void npf_chain_leave(struct npf_chain **chains, struct npf_chain_member *const *members, uint32_t n);
/* Do packets come to others by the same link? Takes no lock. */
bool npf_chain_shared(const struct npf_chain_member *member);

/* ---- chain_head.c --------------------------------------------------------------------------- */

/* More members, or instructions that the verifier looks at to load it, and a head is not worth it. */
#define NPF_CHAIN_HEAD_MOST     16u
#define NPF_CHAIN_HEAD_VERIFIED 4096u

struct npf_chain_head {
	uint32_t attach_type;
	int next; /* PROG_ARRAY: the first member, at 0 */
	uint32_t n;
	struct npf_chain_filter filters[NPF_CHAIN_HEAD_MOST]; /* of one hatype */
};

/* A program before n members, from 2 on. Its descriptor, or a negative errno value: it cannot be. -EFBIG:
 * the verifier looked at it for too long. */
int npf_chain_head_load(const struct npf_chain_head *head);

#endif
