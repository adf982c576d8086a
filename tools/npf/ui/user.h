/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Becoming somebody who may less, for good.
 */
#ifndef NPF_USER_H
#define NPF_USER_H

#include <sys/types.h>

#include "npf/npf.h"

struct npf_user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

/* Look a user up, while the files that say so can be read. -EINVAL: no such user, or one that
 * gives nothing up; with a sentence in error. */
int npf_user_find(struct npf_user *user, const char *name, char error[NPF_ERROR_SIZE]);

/* Become this user, with his groups and without any capability, every thread of the process, and make
 * sure of it: there is no way back. -EPERM with a sentence in error: not all of that is so, and
 * nothing is to be done any more. */
int npf_user_become(const struct npf_user *user, char error[NPF_ERROR_SIZE]);

/* Keep the user, give up every capability, likewise; root, whose rights do not rest on them alone,
 * keeps his. */
int npf_user_give_up(char error[NPF_ERROR_SIZE]);

#endif
