/* SPDX-License-Identifier: BSD-3-Clause */
/* See user.h. */
#include "user.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
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

/* What the process still is, asked of the kernel. */
static bool has_become(const struct npf_user *user)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) || getresgid(&gid[0], &gid[1], &gid[2]))
		return false;
	for (int i = 0; i < 3; i++) {
		if (uid[i] != user->uid || gid[i] != user->gid)
			return false;
	}
	capng_get_caps_process();
	return capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE && setuid(0) < 0;
}

int npf_user_become(const struct npf_user *user, char error[NPF_ERROR_SIZE])
{
	int err;

	capng_clear(CAPNG_SELECT_BOTH);
	/* The bounding set may stay: nothing is gained by executing something any more. */
	err = capng_change_id((int)user->uid, (int)user->gid, CAPNG_INIT_SUPP_GRP);
	if (!err && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && has_become(user))
		return 0;
	snprintf(error, NPF_ERROR_SIZE, "cannot become user '%s'; start as root, or without --user",
		 user->name);
	return -EPERM;
}

void npf_user_give_up(void)
{
	if (!geteuid())
		return;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	capng_clear(CAPNG_SELECT_BOTH);
	capng_apply(CAPNG_SELECT_CAPS);
}
