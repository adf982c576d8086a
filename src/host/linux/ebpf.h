/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's tap as the eBPF hooks use it. A hook says which programs go where and how one is
 * put there; loading, rings, filters and swapping are the same for all.
 */
#ifndef NPF_LINUX_EBPF_H
#define NPF_LINUX_EBPF_H

#include <bpf/libbpf.h>
#include <pthread.h>
#include <signal.h>

#include "host/linux/linux.h"
#include "host/linux/translate.h"

#define NPF_EBPF_SLOTS 2

struct npf_kernel_tap; /* one loaded object: programs, maps, mappings */

struct npf_ebpf {
	/* Set by the hook before npf_ebpf_open(). */
	int n_slots;
	uint64_t rights;                      /* that loading its programs takes, NPF_RIGHT() */
	bool direct;                          /* its programs may read packets directly */
	bool peeks;                           /* or where the kernel's own structures show them */
	const char *programs[NPF_EBPF_SLOTS]; /* names in npf.bpf.c */
	/* Attach a program to a slot, or replace the one there, in one step. The filter tells what the
	 * program does. */
	int (*put)(struct npf_nic *nic, int slot, int program,
		   const struct npf_chain_filter *filter, char *error);
	int next; /* PROG_ARRAY: whom the program of a slot jumps to; -1: they do not */

	pthread_mutex_t lock; /* tap, for the thread that lowers what it raised */
	struct npf_kernel_tap *tap;
	uint8_t *old_chunks; /* of a ring before, until npf_ebpf_let_go() */
	size_t old_size;
	int current[NPF_EBPF_SLOTS]; /* programs in place; owned unless they are the tap's own */
	const struct npf_filter_set *filters;
	struct npf_translation way; /* of the filters in place */
	struct npf_ebpf_peek peek;
	enum { NPF_PEEK_UNKNOWN, NPF_PEEK_KNOWN, NPF_PEEK_IMPOSSIBLE } peek_state;
};

/* Around calls of libbpf that may fail: it prints nothing between the two, and no signal comes to this
 * thread, for which the kernel would stop looking at a program. */
struct npf_hush {
	libbpf_print_fn_t printer;
	sigset_t signals;
};
void npf_linux_hush(struct npf_hush *before);
void npf_linux_unhush(const struct npf_hush *before);
/* So: a program's descriptor, or a negative errno value. */
struct bpf_insn;
int npf_linux_load(enum bpf_prog_type type, const char *name, const struct bpf_insn *insns,
		   size_t n);

/* Nothing is loaded before the first ring. */
void npf_ebpf_open(struct npf_ebpf *ebpf);
/* Everything but what the hook attached, which it closes first. */
void npf_ebpf_close(struct npf_nic *nic, struct npf_ebpf *ebpf);

/* These serve as struct npf_linux_hook_ops; nic->hook_state begins with a npf_ebpf. */
int npf_ebpf_set_ring(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
		      struct npf_ring_view *view, char *error);
void npf_ebpf_let_go(struct npf_nic *nic);
int npf_ebpf_set_filters(struct npf_nic *nic, const struct npf_filter_set *filters, char *error);
void npf_ebpf_clear(struct npf_nic *nic);
int npf_ebpf_listen(struct npf_nic *nic, struct npf_event *event);

/* splice.c: a copy of a loaded program with the filters where it carries marks. -E2BIG, -ENOMEM;
 * -EPROTO: it has none. Otherwise to be freed once the kernel has taken it. */
#define NPF_SPLICES 2

struct npf_spliced {
	struct bpf_insn *insns;
	size_t n;
	struct npf_ebpf_code parts[NPF_SPLICES]; /* the filters' share */
};
int npf_splice(const struct bpf_insn *in, size_t n_in, const struct npf_filter_set *filters,
	       const struct npf_translation *way, struct npf_spliced *out);
void npf_spliced_free(struct npf_spliced *spliced);

#endif
