/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See process.h. What stays unseen are forks that the C library is not asked for: clone() and vfork().
 */
#include "host/linux/process.h"

#include <pthread.h>

/* Its child would have it locked for ever if a fork did not wait: hence one for the process, as
 * pthread_atfork() knows no other. */
static pthread_mutex_t lock;
static uint32_t forks;
static uint32_t number; /* forks when this process began: its child's is one more at least */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Recursive: a signal's handler that forks may have interrupted who holds it. */
static void make_lock(void)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
	__atomic_store_n(&forks, forks + 1, __ATOMIC_RELAXED);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* It was locked by a thread of another number: this one may not unlock it. */
static void in_child(void)
{
	number = forks;
	make_lock();
}

static void prepare(void)
{
	make_lock();
	pthread_atfork(before_fork, in_parent, in_child);
}

void npf_process_lock(void)
{
	pthread_once(&once, prepare);
	pthread_mutex_lock(&lock);
}

void npf_process_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

uint32_t npf_process_forks(void)
{
	return __atomic_load_n(&forks, __ATOMIC_RELAXED);
}

uint32_t npf_process_number(void)
{
	pthread_once(&once, prepare);
	return number;
}
