/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the calling thread may: giving it up, and naming what it lacks.
 */
#include "host/linux/linux.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_SETS _LINUX_CAPABILITY_U32S_3

static int get(struct __user_cap_data_struct sets[N_SETS])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, sets) ? -errno : 0;
}

/* Changing the user stays: when the program does, the C library has every thread do it, and ends the
 * program if one cannot. */
void npf_linux_shed_rights(void)
{
	static const uint32_t kept = 1u << CAP_SETUID | 1u << CAP_SETGID;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[N_SETS];

	if (get(sets))
		return;
	for (int i = 0; i < N_SETS; i++) {
		sets[i].effective &= i ? 0 : kept;
		sets[i].permitted &= i ? 0 : kept;
		sets[i].inheritable = 0;
	}
	syscall(SYS_capset, &header, sets);
}

/* ---- naming ---------------------------------------------------------------------------------- */

static const struct {
	uint64_t right;
	const char *name;
	bool of_administrator; /* CAP_SYS_ADMIN is as good */
} rights[] = {
	{ NPF_RIGHT(CAP_NET_RAW), "CAP_NET_RAW", false },
	{ NPF_RIGHT(CAP_BPF), "CAP_BPF", true },
	{ NPF_RIGHT(CAP_PERFMON), "CAP_PERFMON", true },
	{ NPF_RIGHT(CAP_NET_ADMIN), "CAP_NET_ADMIN", false },
};
#define N_RIGHTS (sizeof(rights) / sizeof(rights[0]))

uint64_t npf_linux_missing(uint64_t wanted)
{
	struct __user_cap_data_struct sets[N_SETS];
	uint64_t missing = 0, held;

	if (get(sets))
		return wanted;
	held = sets[0].effective | (uint64_t)sets[1].effective << 32;
	for (size_t i = 0; i < N_RIGHTS; i++) {
		if (!(held & rights[i].right) &&
		    !(rights[i].of_administrator && held & NPF_RIGHT(CAP_SYS_ADMIN)))
			missing |= wanted & rights[i].right;
	}
	return missing;
}

/* "A", "A and B", "A, B and C". Returns how many. */
static int list(char text[NPF_NAME_SIZE * N_RIGHTS], uint64_t which)
{
	int n = __builtin_popcountll(which), left = n;

	*text = '\0';
	for (size_t i = 0; i < N_RIGHTS; i++) {
		if (!(which & rights[i].right))
			continue;
		strcat(text, rights[i].name);
		left--;
		strcat(text, left > 1 ? ", " : left ? " and " : "");
	}
	return n;
}

int npf_linux_not_permitted(char *error, const char *what, uint64_t wanted)
{
	uint64_t missing = npf_linux_missing(wanted);
	char names[NPF_NAME_SIZE * N_RIGHTS];
	int n = list(names, missing ? missing : wanted);

	if (!missing)
		return npf_linux_error(error, -EPERM,
				       "%s is not permitted: %s %s not count in this user namespace "
				       "or container",
				       what, names, n == 1 ? "does" : "do");
	return npf_linux_error(error, -EPERM,
			       "%s is not permitted: %s %s missing (run as root, or see npf doctor)",
			       what, names, n == 1 ? "is" : "are");
}
