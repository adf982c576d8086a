/* SPDX-License-Identifier: BSD-3-Clause */
/* Libraries that programs load while they run, and the machine. */
#include <dlfcn.h>
#include <sched.h>

#include "windows.h"

#define FOLDER "/usr/lib"

static const struct {
	const char *theirs, *ours;
} libraries[] = {
	{ "wpcap.dll", "libwpcap.so.0" },
	{ "wpcap", "libwpcap.so.0" },
	{ "packet.dll", "libpacket.so.0" },
	{ "packet", "libpacket.so.0" },
};

static const char *without_folder(const char *path)
{
	const char *name = path;

	for (; *path; path++) {
		if (*path == '\\' || *path == '/')
			name = path + 1;
	}
	return name;
}

static const char *our_name(const char *name)
{
	const char *file = without_folder(name);

	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		if (!strcasecmp(file, libraries[i].theirs))
			return libraries[i].ours;
	}
	return name;
}

HMODULE GetModuleHandleA(LPCSTR name)
{
	HMODULE library = dlopen(name ? our_name(name) : NULL, RTLD_LAZY | RTLD_NOLOAD);

	if (library)
		dlclose(library); /* nobody will free it */
	else
		SetLastError(ERROR_FILE_NOT_FOUND);
	return library;
}

HMODULE LoadLibraryA(LPCSTR name)
{
	HMODULE library = dlopen(our_name(name), RTLD_NOW);

	if (!library)
		SetLastError(ERROR_FILE_NOT_FOUND);
	return library;
}

FARPROC GetProcAddress(HMODULE library, LPCSTR name)
{
	FARPROC found;

	*(void **)&found = dlsym(library, name);
	if (!found)
		SetLastError(ERROR_INVALID_FUNCTION);
	return found;
}

BOOL FreeLibrary(HMODULE library)
{
	return library && !dlclose(library);
}

UINT GetSystemDirectoryA(LPSTR to, UINT size)
{
	if (size < sizeof(FOLDER))
		return sizeof(FOLDER);
	memcpy(to, FOLDER, sizeof(FOLDER));
	return sizeof(FOLDER) - 1;
}

void GetSystemInfo(LPSYSTEM_INFO info)
{
	*info = (SYSTEM_INFO){
		.dwPageSize = (DWORD)sysconf(_SC_PAGESIZE),
		.dwNumberOfProcessors = (DWORD)sysconf(_SC_NPROCESSORS_ONLN),
	};
}

BOOL SwitchToThread(void)
{
	return !sched_yield();
}
