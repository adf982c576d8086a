/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs such as dumpcap keep, of all rights, those that a packet socket wants, before they open an
 * adapter. NPF wants two more, so those stay as long as the packet socket's do.
 */
#include "wpcap/dropin/dropin.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* As <sys/capability.h> has them; libcap's headers are not wanted for two calls. */
typedef struct _cap_struct *cap_t;
enum { EFFECTIVE, PERMITTED };

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF     39
#endif

int cap_set_proc(cap_t caps);

static struct {
	int (*set_proc)(cap_t caps);
	cap_t (*dup)(cap_t caps);
	int (*free)(void *caps);
	int (*get_flag)(cap_t caps, int cap, int flag, int *value);
	int (*set_flag)(cap_t caps, int flag, int n, const int *list, int value);
} libcap;

/* A plug-in's libcap (RTLD_LOCAL) is behind nobody: it is found by its name. It stays, once asked. */
static void *find(const char *name)
{
	static void *library;
	void *found = dlsym(RTLD_NEXT, name);

	if (found)
		return found;
	if (!library)
		library = dlopen("libcap.so.2", RTLD_NOLOAD | RTLD_LAZY);
	return library ? dlsym(library, name) : NULL;
}

static bool find_libcap(void)
{
	*(void **)&libcap.set_proc = find("cap_set_proc");
	*(void **)&libcap.dup = find("cap_dup");
	*(void **)&libcap.free = find("cap_free");
	*(void **)&libcap.get_flag = find("cap_get_flag");
	*(void **)&libcap.set_flag = find("cap_set_flag");
	return libcap.set_proc && libcap.dup && libcap.free && libcap.get_flag && libcap.set_flag;
}

static bool captures(cap_t caps, int flag)
{
	int value = 0;

	return !libcap.get_flag(caps, CAP_NET_RAW, flag, &value) && value;
}

static int set_with_more(cap_t caps)
{
	static const int more[] = { CAP_BPF, CAP_PERFMON };
	cap_t copy = libcap.dup(caps);
	int result = -1;

	if (!copy)
		return -1;
	for (int flag = EFFECTIVE; flag <= PERMITTED; flag++) {
		if (captures(caps, flag))
			libcap.set_flag(copy, flag, 2, more, 1);
	}
	result = libcap.set_proc(copy);
	libcap.free(copy);
	return result;
}

DROPIN_EXPORT int cap_set_proc(cap_t caps)
{
	if (!find_libcap()) {
		errno = ENOSYS;
		return -1;
	}
	/* Who has not got them cannot keep them. */
	if (!getenv("NPF_DROP_RIGHTS") && captures(caps, PERMITTED) && !set_with_more(caps))
		return 0;
	return libcap.set_proc(caps);
}
