/* SPDX-License-Identifier: BSD-3-Clause */
/* See user.h. */
#include "user.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRY_SIZE 16384

int npf_user_find(struct npf_user *user, const char *name, char error[NPF_ERROR_SIZE])
{
	char space[ENTRY_SIZE];
	struct passwd entry, *found;
	int err = getpwnam_r(name, &entry, space, sizeof(space), &found);

	if (err || !found) {
		snprintf(error, NPF_ERROR_SIZE, "there is no user '%s'%s%s", name, err ? ": " : "",
			 err ? strerror(err) : "");
		return -EINVAL;
	}
	if (!entry.pw_uid) {
		snprintf(error, NPF_ERROR_SIZE,
			 "'%s' may do everything; a user who may less is wanted", name);
		return -EINVAL;
	}
	*user = (struct npf_user){ .name = name, .uid = entry.pw_uid, .gid = entry.pw_gid };
	return 0;
}

/* ---- what the process still is, asked of the kernel ------------------------------------------ */

/* Of one thread. */
struct rights {
	unsigned long long uid[4], gid[4];
	unsigned long long capabilities; /* of all its sets but the bounding one */
	char groups[4096];
};

static void take_line(struct rights *rights, const char *line)
{
	static const char *const sets[] = { "CapInh:", "CapPrm:", "CapEff:", "CapAmb:" };
	const char *colon = strchr(line, ':');
	unsigned long long *ids = !strncmp(line, "Uid:", 4)   ? rights->uid
				  : !strncmp(line, "Gid:", 4) ? rights->gid
							      : NULL;

	if (ids)
		sscanf(colon + 1, "%llu %llu %llu %llu", &ids[0], &ids[1], &ids[2], &ids[3]);
	if (!strncmp(line, "Groups:", 7))
		snprintf(rights->groups, sizeof(rights->groups), "%s", colon + 1);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (!strncmp(line, sets[i], strlen(sets[i])))
			rights->capabilities |= strtoull(colon + 1, NULL, 16);
	}
}

static bool read_rights(const char *thread, struct rights *rights)
{
	char path[320], line[sizeof(rights->groups)];
	FILE *file;

	memset(rights, 0xff, sizeof(*rights));
	rights->capabilities = 0;
	rights->groups[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		take_line(rights, line);
	return !fclose(file);
}

/* Does every thread have what the wanted one has, and nothing else? Threads that were started
 * before may have kept what this one gave up. */
static bool every_thread_is(const struct rights *wanted)
{
	DIR *threads = opendir("/proc/self/task");
	struct dirent *entry;
	struct rights found;
	bool right = threads != NULL;

	while (right && (entry = readdir(threads))) {
		if (*entry->d_name == '.')
			continue;
		right = read_rights(entry->d_name, &found) &&
			!memcmp(found.uid, wanted->uid, sizeof(found.uid)) &&
			!memcmp(found.gid, wanted->gid, sizeof(found.gid)) &&
			!strcmp(found.groups, wanted->groups) && !found.capabilities;
	}
	if (threads)
		closedir(threads);
	return right;
}

/* This thread, by the system's own calls. */
static bool has_become(const struct npf_user *user)
{
	gid_t wanted[NGROUPS_MAX + 1], groups[NGROUPS_MAX + 1];
	int n_wanted = NGROUPS_MAX + 1, n = getgroups(NGROUPS_MAX + 1, groups);
	uid_t uid[3];
	gid_t gid[3];

	if (n < 0 || getresuid(&uid[0], &uid[1], &uid[2]) || getresgid(&gid[0], &gid[1], &gid[2]))
		return false;
	for (int i = 0; i < 3; i++) {
		if (uid[i] != user->uid || gid[i] != user->gid)
			return false;
	}
	if (getgrouplist(user->name, user->gid, wanted, &n_wanted) < 0)
		return false;
	for (int i = 0, k; i < n; i++) {
		for (k = 0; k < n_wanted && groups[i] != wanted[k]; k++)
			;
		if (k == n_wanted)
			return false;
	}
	return setuid(0) < 0;
}

static bool nothing_new(void)
{
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static bool all_are_so(void)
{
	struct rights mine;
	char self[32];

	snprintf(self, sizeof(self), "%ld", (long)syscall(SYS_gettid));
	return read_rights(self, &mine) && every_thread_is(&mine);
}

/* ---- becoming less --------------------------------------------------------------------------- */

int npf_user_become(const struct npf_user *user, char error[NPF_ERROR_SIZE])
{
	int err;

	capng_clear(CAPNG_SELECT_BOTH);
	/* The bounding set may stay: nothing is gained by executing something any more. */
	err = capng_change_id((int)user->uid, (int)user->gid, CAPNG_INIT_SUPP_GRP);
	if (!err && nothing_new() && has_become(user) && all_are_so())
		return 0;
	snprintf(error, NPF_ERROR_SIZE, "cannot become user '%s'; start as root, or without --user",
		 user->name);
	return -EPERM;
}

int npf_user_give_up(char error[NPF_ERROR_SIZE])
{
	if (nothing_new() && !geteuid())
		return 0;
	capng_clear(CAPNG_SELECT_BOTH);
	if (!capng_apply(CAPNG_SELECT_CAPS) && nothing_new() && all_are_so())
		return 0;
	snprintf(error, NPF_ERROR_SIZE,
		 "cannot give up the capabilities that are not needed any more");
	return -EPERM;
}
