/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port: everything the driver needs from what it runs on, as NDIS and the operating system
 * were for the original. Two hosts implement it: host/linux and host/sim.
 *
 * Rules for all operations: pointers are not NULL unless said; results are 0 or a negative errno
 * value; on failure nothing changed. Nothing here is called between wire and ring.
 */
#ifndef NPF_HOST_H
#define NPF_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/ring.h"
#include "filter/sets.h"
#include "npf/npf.h"

struct npf_nic; /* one binding to one adapter; each host has its own */

/* The programs a tap runs. Immutable; the driver owns it and keeps it until the host has let go. */
struct npf_filter_set {
	const struct npf_program *filter; /* NULL accepts all */
	uint32_t n_classes;
	const struct npf_program *classes[NPF_MAX_CLASSES]; /* length 0 accepts all */
	const struct npf_match *match; /* what a packet must be in besides; NULL nothing */
};

struct npf_system_ops {
	/* Zeroed memory on a cache-line boundary, NULL when short. free takes NULL. */
	void *(*alloc)(struct npf_host *host, size_t size);
	void (*free)(struct npf_host *host, void *memory, size_t size);

	/* ns. now is monotonic and is the clock of the tap's records; wall counts since 1970. */
	uint64_t (*now)(struct npf_host *host);
	uint64_t (*wall)(struct npf_host *host);

	/* Sleep while *word == value (may return early); wake all who sleep on word. */
	void (*park)(struct npf_host *host, uint32_t *word, uint32_t value);
	void (*unpark)(struct npf_host *host, uint32_t *word);
};

struct npf_adapter_ops {
	/* Call each for every adapter, ordered by index; stop when it returns not 0 and return
	 * that. The adapter is valid during the call. */
	int (*list)(struct npf_host *host,
		    int (*each)(void *arg, const struct npf_adapter *adapter), void *arg);
	/* Readable after the list changed, until the next list(). -1: none. */
	int (*fd)(struct npf_host *host);
};

#define NPF_WAIT_FOR_EVER UINT64_MAX

struct npf_nic_ops {
	/* Bind to an adapter (NdisOpenAdapter). Nothing is tapped yet. error: a sentence on
	 * failure, NPF_ERROR_SIZE bytes. -ENODEV, -EPERM, -ENOTSUP, -ENOMEM. */
	int (*open)(struct npf_host *host, const char *name, enum npf_hook hook,
		    struct npf_nic **nic, char *error);
	/* Stop tapping, free the ring, unbind. */
	void (*close)(struct npf_nic *nic);

	enum npf_hook (*hook)(struct npf_nic *nic);
	/* CPUs the tap may run on, numbered from 0. */
	uint32_t (*cpus)(struct npf_nic *nic);
	/* The adapter as it is now. -ENODEV: gone, adapter holds the last known state. */
	int (*info)(struct npf_nic *nic, struct npf_adapter *adapter);
	/* Cheap: has the adapter gone? */
	bool (*gone)(struct npf_nic *nic);

	/* Put a new, empty ring under the tap and free the old one. Its npf_config is zero:
	 * nothing is accepted until the driver writes it. view lives until the next success. */
	int (*set_ring)(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
			struct npf_ring_view *view, char *error);
	/* Swap the programs. After it returns 0 no CPU runs the old ones. */
	int (*set_filters)(struct npf_nic *nic, const struct npf_filter_set *filters, char *error);

	/* NPF_FILTER_* bits: what the adapter shall hand up. */
	int (*set_hw_filter)(struct npf_nic *nic, uint32_t bits);
	/* Hide this instance's own sends from its tap, or show them. On success *hidden is what
	 * npf_config.hidden must hold (0 where the host arranges it by itself). */
	int (*hide_own)(struct npf_nic *nic, bool hide, uint64_t *hidden);
	/* Frames lost before the tap since open, monotonic. All that arrived before the call is in
	 * the tap's counters after it. */
	uint64_t (*lost)(struct npf_nic *nic);

	/* Send one frame. -ENETDOWN, -ENODEV, -ENOBUFS, -EMSGSIZE, what the device answers. */
	int (*transmit)(struct npf_nic *nic, const void *frame, size_t size);

	/* Readiness: one level, raised by the tap (npf_env_wake), its flush timer, set(), timer(),
	 * and the adapter's end; lowered by clear() only.
	 * wait: until raised or deadline (ns of now()); 0 raised, -ETIMEDOUT. */
	int (*fd)(struct npf_nic *nic); /* readable while raised; -1 none */
	int (*wait)(struct npf_nic *nic, uint64_t deadline);
	void (*set)(struct npf_nic *nic); /* async-signal-safe, any thread */
	void (*clear)(struct npf_nic *nic);
	void (*timer)(struct npf_nic *nic, uint64_t at); /* raise at that time; 0 cancels */
	/* Report readiness to a poller of the caller's as well. -EBADF, -EINVAL. */
	int (*join)(struct npf_nic *nic, int poller);
};

/* Memory that generated code runs from, seen twice. No page can ever be written and run. */
struct npf_code {
	uint8_t *write;     /* here it is written */
	const uint8_t *run; /* and here the same bytes are run */
	size_t size;
	void *slot; /* the host's */
};

struct npf_code_ops {
	/* On a cache line. -EACCES: not allowed here, -ENOMEM; error (may be NULL) says it in a
	 * sentence. */
	int (*alloc)(struct npf_host *host, size_t size, struct npf_code *code, char *error);
	/* Nobody enters it any more. */
	void (*free)(struct npf_host *host, const struct npf_code *code);

	/* Memory to compile in, for a while: not cleared, and kept for the next compilation,
	 * because clearing it and giving it back would take longer than compiling. NULL when
	 * memory is short. give_back takes NULL. */
	void *(*borrow)(struct npf_host *host, size_t size);
	void (*give_back)(struct npf_host *host, void *memory);
};

/* A host begins with this. */
struct npf_host {
	const struct npf_system_ops *system;
	const struct npf_adapter_ops *adapters;
	const struct npf_nic_ops *nic;
	const struct npf_code_ops *code; /* NULL: filters that run here are interpreted */
	uint32_t features; /* of the processor, as npf_x86_features() says */
};

#define NPF_CLOCK_TRIES 8
#define NPF_CLOCK_GOOD  1000u /* ns between two looks: nobody came between them */

/*
 * Wall clock minus monotonic. Two clocks cannot be read at one moment: of some tries the one that
 * took least counts. What was known before is kept unless it cannot be true, so that the time
 * stamps of one read do not lie before those of the last.
 */
static inline uint64_t npf_clock_offset(struct npf_host *host, uint64_t known)
{
	uint64_t best = 0, width = UINT64_MAX;

	for (int i = 0; i < NPF_CLOCK_TRIES && width > NPF_CLOCK_GOOD; i++) {
		uint64_t before = host->system->now(host);
		uint64_t wall = host->system->wall(host);
		uint64_t took = host->system->now(host) - before;

		if (took < width) {
			width = took;
			best = wall - before;
		}
	}
	/* The truth lies in best - width ... best. */
	return best - known <= width ? known : best - width / 2;
}

#endif
