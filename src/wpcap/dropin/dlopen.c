/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that load libpcap while they run (Scapy, masscan) look into what dlopen() gave them, not
 * for who was loaded first, and may name a file. libpcap itself beside us would be worse than useless:
 * what it calls by its own names is ours.
 */
#include "wpcap/dropin/dropin.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define NAME "libpcap.so"

typedef void *dlopen_function(const char *name, int flags);

static dlopen_function *libcs(void)
{
	static dlopen_function *found;

	if (!found)
		*(void **)&found = dlsym(RTLD_NEXT, "dlopen");
	return found;
}

/* libpcap.so, libpcap.so.1, /usr/lib/libpcap.so.0.8 */
static bool is_libpcap(const char *name)
{
	const char *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name;
	size_t n = strlen(NAME);

	return !strncmp(file, NAME, n) && (!file[n] || file[n] == '.');
}

static const char *this_file(void)
{
	Dl_info info;

	return dladdr(NAME, &info) ? info.dli_fname : NAME;
}

/* The C library's looks where its caller says that libraries are: it must not be called from here, but
 * jumped to. An optimising compiler does that (meson.build), and a test notices. */
DROPIN_EXPORT void *dlopen(const char *name, int flags)
{
	if (name && is_libpcap(name))
		name = this_file();
	return libcs()(name, flags);
}
