/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding and loading libpcap itself; see real.h. */
#include "real.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static struct real table;
static char missing[256];

/* ---- when there is none -------------------------------------------------------------------- */

static long missing_integer(void)
{
	return -1;
}

static void *missing_pointer(void)
{
	return NULL;
}

static unsigned int missing_nothing(void)
{
	return 0;
}

/* ---- finding ------------------------------------------------------------------------------- */

/* Where it is: as the environment says, else where it was when this was built, else the usual. */
static const char *const places[] = {
	LIBPCAP_DIR "/libpcap.so.0.8", LIBPCAP_DIR "/libpcap.so.1",   "/usr/lib/libpcap.so.1",
	"/usr/lib64/libpcap.so.1",     "/usr/local/lib/libpcap.so.1",
};

static bool is_us(const struct stat *file)
{
	struct stat us;
	Dl_info info;

	return dladdr(&table, &info) && !stat(info.dli_fname, &us) && us.st_dev == file->st_dev &&
	       us.st_ino == file->st_ino;
}

static bool usable(const char *path)
{
	struct stat file;

	return path && !stat(path, &file) && !is_us(&file);
}

static const char *find_library(void)
{
	const char *path = secure_getenv("NPF_LIBPCAP");

	if (usable(path))
		return path;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (usable(places[i]))
			return places[i];
	}
	return NULL;
}

/* ---- loading ------------------------------------------------------------------------------- */

/* dlopen() may be ours: it would give us. */
static void *open_library(const char *path, int flags)
{
	return dlmopen(LM_ID_BASE, path, flags);
}

/* The dynamic linker knows files by their inode; this is another one. */
static int copy_file(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("libpcap", MFD_CLOEXEC);
	struct stat file;
	ssize_t n = 1;

	if (from < 0 || to < 0 || fstat(from, &file))
		n = -1;
	for (off_t left = n < 0 ? 0 : file.st_size; left > 0 && n > 0; left -= n)
		n = sendfile(to, from, NULL, (size_t)left);
	if (from >= 0)
		close(from);
	if (n > 0)
		return to;
	if (to >= 0)
		close(to);
	return -1;
}

/* The program is linked with libpcap and we were loaded before it: then its own calls of itself
 * come to us. A copy of it is not in that situation. */
static void *load_copy(const char *path)
{
	int fd = copy_file(path);
	char name[40];
	void *library;

	if (fd < 0)
		return NULL;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	library = open_library(name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	close(fd);
	return library;
}

static void *load(const char *path)
{
	void *loaded = open_library(path, RTLD_NOW | RTLD_NOLOAD);

	if (!loaded)
		return open_library(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	dlclose(loaded);
	return load_copy(path);
}

static void *symbol(void *library, const char *name, void *otherwise)
{
	void *found = library ? dlsym(library, name) : NULL;

	return found ? found : otherwise;
}

static void load_once(void)
{
	const char *path = find_library();
	void *library = path ? load(path) : NULL;

	if (!path)
		snprintf(missing, sizeof(missing),
			 "libpcap is not installed, and NPF hands to it what it does not do itself "
			 "(NPF_LIBPCAP=path names it)");
	else if (!library)
		snprintf(missing, sizeof(missing), "%s cannot be loaded: %s", path, dlerror());
#define REAL_LOAD(name, kind)                                                                      \
	*(void **)&table.name = symbol(library, #name, *(void **)&(void *){ missing_##kind });
	REAL_FUNCTIONS(REAL_LOAD)
#undef REAL_LOAD
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const struct real *wpcap_real_loaded;

const struct real *wpcap_real_load(void)
{
	pthread_once(&once, load_once);
	__atomic_store_n(&wpcap_real_loaded, &table, __ATOMIC_RELEASE);
	return &table;
}

const char *wpcap_real_missing(void)
{
	pthread_once(&once, load_once);
	return missing[0] ? missing : NULL;
}
