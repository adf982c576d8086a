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

/* Become this user, with his groups and without any capability, and make sure that there is no way
 * back. Negative errno with a sentence in error. */
int npf_user_become(const struct npf_user *user, char error[NPF_ERROR_SIZE]);

/* Keep the user, give up every capability; for root, whose rights do not rest on them alone,
 * nothing. */
void npf_user_give_up(void);

#endif
