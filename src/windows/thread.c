/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads and critical sections. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "objects.h"
#include "process.h"

/* Shared by the thread, its handle and who waits for it, whichever lives longest. */
struct windows_thread {
	unsigned int users;
	int done; /* the handle's counter, under a descriptor of the thread's own */
	DWORD code;
	DWORD id;
	HANDLE handle;
	bool closes; /* the handle, at its end: _beginthread() gave it to nobody to close */
	LPTHREAD_START_ROUTINE start;
	LPVOID argument;
	pthread_mutex_t lock;
	pthread_cond_t started, resumed;
	bool suspended, terminated, ended;
};

static _Thread_local struct windows_thread *self;

static void free_thread(struct windows_thread *thread)
{
	pthread_mutex_destroy(&thread->lock);
	pthread_cond_destroy(&thread->started);
	pthread_cond_destroy(&thread->resumed);
	if (thread->done >= 0)
		close(thread->done);
	free(thread);
}

int thread_hold(struct windows_thread *thread)
{
	__atomic_add_fetch(&thread->users, 1, __ATOMIC_RELAXED);
	return thread->done;
}

bool thread_ended(const struct windows_thread *thread)
{
	return __atomic_load_n(&thread->ended, __ATOMIC_ACQUIRE);
}

void thread_release(struct windows_thread *thread)
{
	if (!__atomic_sub_fetch(&thread->users, 1, __ATOMIC_ACQ_REL))
		free_thread(thread);
}

/* ---- running ------------------------------------------------------------------------------- */

/* Unless the program closed it, which is wrong, and the number is another's. */
static void close_own_handle(const struct windows_thread *thread)
{
	const struct object *object = objects_lock(thread->handle);
	bool is_own = object->kind == OBJECT_THREAD && object->thread == thread;

	objects_unlock();
	if (is_own)
		CloseHandle(thread->handle);
}

static void finish(void *arg)
{
	struct windows_thread *thread = arg;
	uint64_t one = 1;

	__atomic_store_n(&thread->ended, true, __ATOMIC_RELEASE);
	if (write(thread->done, &one, sizeof(one)) < 0)
		thread->code = (DWORD)errno;
	if (thread->closes)
		close_own_handle(thread);
	thread_release(thread);
}

static void set_code(struct windows_thread *thread, DWORD code)
{
	__atomic_store_n(&thread->code, code, __ATOMIC_RELEASE);
}

static void *run(void *arg)
{
	struct windows_thread *thread = arg;

	self = thread;
	pthread_cleanup_push(finish, thread);
	pthread_mutex_lock(&thread->lock);
	thread->id = GetCurrentThreadId();
	pthread_cond_signal(&thread->started);
	while (thread->suspended)
		pthread_cond_wait(&thread->resumed, &thread->lock);
	pthread_mutex_unlock(&thread->lock);
	if (!thread->terminated)
		set_code(thread, thread->start(thread->argument));
	pthread_cleanup_pop(1);
	return NULL;
}

/* Start it detached and wait until it knows its number. */
static int launch(struct windows_thread *thread, SIZE_T stack)
{
	pthread_attr_t attributes;
	pthread_t id;
	int err;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (stack)
		pthread_attr_setstacksize(&attributes, stack < 65536 ? 65536 : stack);
	pthread_mutex_lock(&thread->lock);
	err = pthread_create(&id, &attributes, run, thread);
	while (!err && !thread->id)
		pthread_cond_wait(&thread->started, &thread->lock);
	pthread_mutex_unlock(&thread->lock);
	pthread_attr_destroy(&attributes);
	return err;
}

static int start_thread(struct windows_thread *thread, SIZE_T stack, LPDWORD id)
{
	int err;

	thread_hold(thread); /* it may end before launch() does */
	err = launch(thread, stack);
	if (!err && id)
		*id = thread->id;
	thread_release(thread);
	return err;
}

static struct windows_thread *new_thread(LPTHREAD_START_ROUTINE start, LPVOID argument)
{
	struct windows_thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		return NULL;
	thread->users = 2;
	thread->done = -1;
	thread->code = STILL_ACTIVE;
	thread->start = start;
	thread->argument = argument;
	pthread_mutex_init(&thread->lock, NULL);
	pthread_cond_init(&thread->started, NULL);
	pthread_cond_init(&thread->resumed, NULL);
	return thread;
}

HANDLE CreateThread(LPSECURITY_ATTRIBUTES security, SIZE_T stack, LPTHREAD_START_ROUTINE start,
		    LPVOID argument, DWORD flags, LPDWORD id)
{
	struct object object = { .kind = OBJECT_THREAD };
	HANDLE handle;
	int err;

	(void)security;
	if (flags & ~CREATE_SUSPENDED) {
		SetLastError(ERROR_NOT_SUPPORTED);
		return NULL;
	}
	object.thread = new_thread(start, argument);
	if (!object.thread)
		return NULL;
	handle = object_create(&object, 0, 0);
	if (!handle) {
		free_thread(object.thread);
		return NULL;
	}
	object.thread->handle = handle;
	object.thread->suspended = flags & CREATE_SUSPENDED;
	object.thread->done = fcntl(NPF_HANDLE_DESCRIPTOR(handle), F_DUPFD_CLOEXEC, 1);
	err = object.thread->done < 0 ? errno : start_thread(object.thread, stack, id);
	if (!err)
		return handle;
	thread_release(object.thread); /* the thread's share */
	CloseHandle(handle);
	errno = err;
	return NULL;
}

DWORD ResumeThread(HANDLE handle)
{
	struct object *object = objects_lock(handle);
	struct windows_thread *thread = object->kind == OBJECT_THREAD ? object->thread : NULL;
	DWORD was = (DWORD)-1;

	if (thread) {
		pthread_mutex_lock(&thread->lock);
		was = thread->suspended;
		thread->suspended = false;
		pthread_cond_signal(&thread->resumed);
		pthread_mutex_unlock(&thread->lock);
	}
	objects_unlock();
	if (!thread)
		SetLastError(ERROR_INVALID_HANDLE);
	return was;
}

/* With its code, as if it had run. */
static DWORD terminate_suspended(struct windows_thread *thread, DWORD code)
{
	bool waits;

	pthread_mutex_lock(&thread->lock);
	waits = thread->suspended;
	if (waits) {
		set_code(thread, code);
		thread->terminated = true;
		thread->suspended = false;
		pthread_cond_signal(&thread->resumed);
	}
	pthread_mutex_unlock(&thread->lock);
	return waits ? NO_ERROR : ERROR_NOT_SUPPORTED;
}

BOOL TerminateThread(HANDLE handle, DWORD code)
{
	struct object *object = objects_lock(handle);
	struct windows_thread *thread = object->kind == OBJECT_THREAD ? object->thread : NULL;
	bool is_self = handle == GetCurrentThread() || (thread && thread == self);
	DWORD error = ERROR_INVALID_HANDLE;

	if (thread && !is_self)
		error = terminate_suspended(thread, code);
	objects_unlock();
	if (is_self)
		ExitThread(code);
	if (error)
		SetLastError(error);
	return !error;
}

void ExitThread(DWORD code)
{
	if (self)
		set_code(self, code);
	pthread_exit(NULL);
}

BOOL GetExitCodeThread(HANDLE handle, LPDWORD code)
{
	struct object *object = objects_lock(handle);
	bool is_thread = object->kind == OBJECT_THREAD;

	if (is_thread)
		*code = __atomic_load_n(&object->thread->code, __ATOMIC_ACQUIRE);
	objects_unlock();
	if (!is_thread)
		SetLastError(ERROR_INVALID_HANDLE);
	return is_thread;
}

DWORD GetCurrentThreadId(void)
{
	return (DWORD)syscall(SYS_gettid);
}

DWORD GetCurrentProcessId(void)
{
	return (DWORD)getpid();
}

void ExitProcess(UINT code)
{
	exit((int)code);
}

/* ---- as the C library starts them ---------------------------------------------------------- */

struct start {
	unsigned int (*with_code)(void *);
	void (*plain)(void *);
	void *argument;
};

static DWORD run_start(LPVOID arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	if (start.with_code)
		return start.with_code(start.argument);
	self->closes = true;
	start.plain(start.argument);
	return 0;
}

static HANDLE begin_thread(const struct start *start, unsigned int stack, unsigned int flags,
			   unsigned int *id)
{
	struct start *copy = malloc(sizeof(*copy));
	HANDLE handle;

	if (!copy)
		return NULL;
	*copy = *start;
	handle = CreateThread(NULL, stack, run_start, copy, flags, id);
	if (!handle)
		free(copy);
	return handle;
}

uintptr_t _beginthreadex(void *security, unsigned int stack, unsigned int (*start)(void *),
			 void *argument, unsigned int flags, unsigned int *id)
{
	const struct start how = { .with_code = start, .argument = argument };

	(void)security;
	return (uintptr_t)begin_thread(&how, stack, flags, id);
}

uintptr_t _beginthread(void (*start)(void *), unsigned int stack, void *argument)
{
	const struct start how = { .plain = start, .argument = argument };
	HANDLE handle = begin_thread(&how, stack, 0, NULL);

	return handle ? (uintptr_t)handle : (uintptr_t)-1;
}

void _endthreadex(unsigned int code)
{
	ExitThread(code);
}

void _endthread(void)
{
	ExitThread(0);
}

/* ---- a value for each thread ---------------------------------------------------------------- */

DWORD TlsAlloc(void)
{
	pthread_key_t key;
	int err = pthread_key_create(&key, NULL);

	if (!err)
		return key;
	errno = err;
	return TLS_OUT_OF_INDEXES;
}

static BOOL succeeded(int err)
{
	if (err)
		errno = err;
	return !err;
}

BOOL TlsFree(DWORD index)
{
	return succeeded(pthread_key_delete(index));
}

BOOL TlsSetValue(DWORD index, LPVOID value)
{
	return succeeded(pthread_setspecific(index, value));
}

LPVOID TlsGetValue(DWORD index)
{
	SetLastError(NO_ERROR);
	return pthread_getspecific(index);
}

/* ---- critical sections --------------------------------------------------------------------- */

void InitializeCriticalSection(LPCRITICAL_SECTION section)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(section, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

void DeleteCriticalSection(LPCRITICAL_SECTION section)
{
	pthread_mutex_destroy(section);
}

void EnterCriticalSection(LPCRITICAL_SECTION section)
{
	pthread_mutex_lock(section);
}

BOOL TryEnterCriticalSection(LPCRITICAL_SECTION section)
{
	return !pthread_mutex_trylock(section);
}

void LeaveCriticalSection(LPCRITICAL_SECTION section)
{
	pthread_mutex_unlock(section);
}

/* ---- priorities ---------------------------------------------------------------------------- */

/* As there, -1 and -2, which nothing else is. */
HANDLE GetCurrentProcess(void)
{
	return (HANDLE)(LONG_PTR)-1;
}

HANDLE GetCurrentThread(void)
{
	return (HANDLE)(LONG_PTR)-2;
}

static BOOL set_nice(HANDLE who, HANDLE caller, int nice)
{
	if (who != caller) {
		SetLastError(ERROR_NOT_SUPPORTED);
		return FALSE;
	}
	/* Of a thread, on Linux. */
	return !setpriority(PRIO_PROCESS, 0, nice);
}

BOOL SetThreadPriority(HANDLE thread, int priority)
{
	int nice = priority == THREAD_PRIORITY_TIME_CRITICAL ? -20
		   : priority == THREAD_PRIORITY_IDLE        ? 19
							     : -5 * priority;

	return set_nice(thread, GetCurrentThread(), nice);
}

BOOL SetPriorityClass(HANDLE process, DWORD level)
{
	static const struct {
		DWORD level;
		int nice;
	} levels[] = {
		{ IDLE_PRIORITY_CLASS, 19 },  { BELOW_NORMAL_PRIORITY_CLASS, 5 },
		{ NORMAL_PRIORITY_CLASS, 0 }, { ABOVE_NORMAL_PRIORITY_CLASS, -5 },
		{ HIGH_PRIORITY_CLASS, -10 }, { REALTIME_PRIORITY_CLASS, -20 },
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (levels[i].level == level)
			return set_nice(process, GetCurrentProcess(), levels[i].nice);
	}
	SetLastError(ERROR_INVALID_PARAMETER);
	return FALSE;
}
