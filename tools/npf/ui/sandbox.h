/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a dump that runs still asks of the system: a short list. Everything else does not exist for
 * the process any more (seccomp): whoever took it over could write files, and little else.
 */
#ifndef NPF_SANDBOX_H
#define NPF_SANDBOX_H

/* For every thread that there is and will be, and for good. Negative errno; -ENOSYS: this build or
 * kernel has no such thing. */
int npf_sandbox_enter(void);

#endif
