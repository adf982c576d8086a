/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs such as dumpcap wait in select() before each packet, which takes longer than all else they
 * do with it. While libwpcap has packets of a capture at hand, its descriptor is readable, and who
 * waits for that one only is told so here.
 */
#include "wpcap/dropin/dropin.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <sys/select.h>

uint8_t npf_dropin_at_hand[DROPIN_DESCRIPTORS];

typedef int select_function(int n, fd_set *read, fd_set *write, fd_set *except,
			    struct timeval *timeout);

static select_function *libcs(void)
{
	static select_function *found;

	if (!found)
		*(void **)&found = dlsym(RTLD_NEXT, "select");
	return found;
}

/* The only descriptor of a set; -1: there are none, or others. */
static int only_one(int n, const fd_set *set)
{
	const size_t bits = 8 * sizeof(set->fds_bits[0]);
	int found = -1;

	for (size_t i = 0; i * bits < (size_t)n; i++) {
		unsigned long word = (unsigned long)set->fds_bits[i];

		if (!word)
			continue;
		if (found >= 0 || word & (word - 1))
			return -1;
		found = (int)(i * bits) + __builtin_ctzl(word);
	}
	return found < n ? found : -1;
}

DROPIN_EXPORT int select(int n, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout)
{
	if (read && !write && !except && n > 0 && n <= DROPIN_DESCRIPTORS) {
		int fd = only_one(n, read);

		if (fd >= 0 && __atomic_load_n(&npf_dropin_at_hand[fd], __ATOMIC_RELAXED))
			return 1;
	}
	return libcs()(n, read, write, except, timeout);
}
