/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See sandbox.h. What is not listed answers ENOSYS, as on a kernel that is older than it: the C
 * library then takes what it used before. Nobody is killed for it, because a capture that goes on is
 * worth more than the news that some library asks for more than was known here.
 */
#include "sandbox.h"

#include <errno.h>

#ifdef NPF_SANITIZED /* the sanitizers' own threads and reports need more than is listed */

int npf_sandbox_enter(void)
{
	return -ENOSYS;
}

#else

#include <sched.h>
#include <seccomp.h>
#include <stddef.h>

static const int needed[] = {
	/* files: written, synced, named, removed */
	SCMP_SYS(openat),
	SCMP_SYS(close),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(writev),
	SCMP_SYS(lseek),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fcntl),
	SCMP_SYS(flock),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(syncfs),
	SCMP_SYS(fadvise64),
	SCMP_SYS(utimensat),
	SCMP_SYS(renameat), /* renameat2() without flags */
	SCMP_SYS(renameat2),
	SCMP_SYS(unlinkat),
	/* what is open already: waited for, asked, let go */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(dup),
	SCMP_SYS(dup3),
	/* time */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	/* memory and threads */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(capget), /* a thread of the host gives up what it has */
	SCMP_SYS(capset),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_setscheduler),
	SCMP_SYS(ioprio_set),
	SCMP_SYS(getrandom),
	SCMP_SYS(membarrier),
	/* signals, the end */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(tgkill),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

#define PROT_RUN 4u /* PROT_EXEC */

/* Memory, but none that code runs from. */
static int allow_memory(scmp_filter_ctx filter)
{
	static const int calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	const struct scmp_arg_cmp data = {
		.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_RUN, .datum_b = 0
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && !err; i++)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], 1, &data);
	return err;
}

/* Threads, but no processes. clone3's flags lie in memory, where a filter cannot look: it does not
 * exist, and clone is what the C library takes instead. */
static int allow_threads(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp thread = {
		.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = CLONE_THREAD
	};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread);
}

/* Is it a terminal, how wide is it? What has a socket not sent yet? */
static int allow_questions(scmp_filter_ctx filter)
{
	static const unsigned int requests[] = { 0x5401 /* TCGETS */, 0x5411 /* TIOCOUTQ */,
						 0x5413 /* TIOCGWINSZ */ };
	int err = 0;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]) && !err; i++) {
		const struct scmp_arg_cmp same = { .arg = 1,
						   .op = SCMP_CMP_EQ,
						   .datum_a = requests[i] };

		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &same);
	}
	return err;
}

static int fill(scmp_filter_ctx filter)
{
	int err = allow_memory(filter);

	if (!err)
		err = allow_threads(filter);
	if (!err)
		err = allow_questions(filter);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, needed[i], 0);
	return err;
}

int npf_sandbox_enter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int err;

	if (!filter)
		return -ENOMEM;
	/* All threads get it, and with it the promise to gain no new privileges. */
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = fill(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

#endif
