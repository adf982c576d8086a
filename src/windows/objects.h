/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a handle is. Every object is a descriptor that poll() finds readable while the object is
 * signalled; what more there is to know of it stands in a table by descriptor.
 *   event      an eventfd, 1 while set
 *   semaphore  an eventfd that counts
 *   mutex      a semaphore of one, with an owner
 *   thread     an eventfd that its thread sets at its end
 *   file       itself
 *   foreign    any other descriptor: nothing but waiting
 *
 * handle.c makes and closes them, wait.c waits for them, thread.c runs threads. The other files are
 * what else of Windows and of its C library programs ask for.
 */
#ifndef NPF_WINDOWS_OBJECTS_H
#define NPF_WINDOWS_OBJECTS_H

#include <stdbool.h>

#include "windows.h"

enum object_kind {
	OBJECT_FOREIGN = 0,
	OBJECT_EVENT,
	OBJECT_SEMAPHORE,
	OBJECT_MUTEX,
	OBJECT_THREAD,
	OBJECT_FILE,
};

struct windows_thread;

struct object {
	enum object_kind kind;
	bool manual;     /* event: waiting does not reset it */
	LONG most;       /* semaphore */
	LONG count;      /* semaphore: what it holds; mutex: how often its owner took it */
	pthread_t owner; /* mutex, while count is not 0 */
	struct windows_thread *thread;
};

/* ---- handle.c ------------------------------------------------------------------------------ */

/* Under the table's lock until objects_unlock(); OBJECT_FOREIGN for a descriptor not of ours. The
 * pointer is valid while the lock is held. */
struct object *objects_lock(HANDLE handle);
void objects_unlock(void);

/* A new object around an eventfd that begins with count; flags are eventfd's. NULL on failure. */
HANDLE object_create(const struct object *object, unsigned int count, int flags);
/* Around a descriptor, which is closed where that fails; -1 is passed on. */
HANDLE object_adopt(const struct object *object, int fd);

/* Undo object_take(). */
void object_give_back(HANDLE handle);

/* ---- wait.c -------------------------------------------------------------------------------- */

/* Take what is signalled, as waiting does. false: somebody else was faster. */
bool object_take(HANDLE handle);

/* ---- thread.c ------------------------------------------------------------------------------ */

/* Its descriptor, readable when it has ended, until thread_release(). */
int thread_hold(struct windows_thread *thread);
/* What it did is seen by who is told so. */
bool thread_ended(const struct windows_thread *thread);
void thread_release(struct windows_thread *thread);

#endif
