/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of handles; events, semaphores and mutexes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "objects.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *table; /* by descriptor */
static size_t table_size;

/* ---- the table ----------------------------------------------------------------------------- */

struct object *objects_lock(HANDLE handle)
{
	static struct object foreign;
	size_t at = (size_t)(ULONG_PTR)handle;

	pthread_mutex_lock(&table_lock);
	if (at < table_size)
		return &table[at];
	foreign = (struct object){ .kind = OBJECT_FOREIGN };
	return &foreign;
}

void objects_unlock(void)
{
	pthread_mutex_unlock(&table_lock);
}

static bool put_object(size_t at, const struct object *object)
{
	if (at >= table_size) {
		size_t size = (at + 1) * 2;
		struct object *larger = realloc(table, size * sizeof(*table));

		if (!larger)
			return false;
		memset(larger + table_size, 0, (size - table_size) * sizeof(*table));
		table = larger;
		table_size = size;
	}
	table[at] = *object;
	return true;
}

/* Descriptor 0 as a handle would be NULL. */
static int not_0(int fd)
{
	int other;

	if (fd != 0)
		return fd;
	other = fcntl(fd, F_DUPFD_CLOEXEC, 1);
	close(fd);
	return other;
}

HANDLE object_adopt(const struct object *object, int fd)
{
	bool kept;

	fd = not_0(fd);
	if (fd < 0)
		return NULL;
	pthread_mutex_lock(&table_lock);
	kept = put_object((size_t)fd, object);
	pthread_mutex_unlock(&table_lock);
	if (kept)
		return (HANDLE)(LONG_PTR)fd;
	close(fd);
	errno = ENOMEM;
	return NULL;
}

HANDLE object_create(const struct object *object, unsigned int count, int flags)
{
	return object_adopt(object, eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK | flags));
}

BOOL CloseHandle(HANDLE handle)
{
	struct object *object = objects_lock(handle);
	struct object was = *object;

	object->kind = OBJECT_FOREIGN;
	objects_unlock();
	if (was.kind == OBJECT_FOREIGN) {
		SetLastError(ERROR_INVALID_HANDLE);
		return FALSE;
	}
	if (was.thread)
		thread_release(was.thread);
	close(NPF_HANDLE_DESCRIPTOR(handle));
	return TRUE;
}

static void raise(HANDLE handle, uint64_t by)
{
	/* Full means raised: a counter cannot be more so. */
	if (write(NPF_HANDLE_DESCRIPTOR(handle), &by, sizeof(by)) < 0)
		return;
}

void object_give_back(HANDLE handle)
{
	struct object *object = objects_lock(handle);

	switch (object->kind) {
	case OBJECT_MUTEX:
		if (!--object->count)
			raise(handle, 1);
		break;
	case OBJECT_SEMAPHORE:
		object->count++;
		raise(handle, 1);
		break;
	case OBJECT_EVENT:
		if (!object->manual)
			raise(handle, 1);
		break;
	default:
		break;
	}
	objects_unlock();
}

/* ---- events -------------------------------------------------------------------------------- */

/* Names would be for other processes: there are none to share with. */
static bool refuse_name(LPCSTR name)
{
	if (name)
		SetLastError(ERROR_NOT_SUPPORTED);
	return name;
}

HANDLE CreateEventA(LPSECURITY_ATTRIBUTES security, BOOL manual_reset, BOOL set, LPCSTR name)
{
	struct object object = { .kind = OBJECT_EVENT, .manual = manual_reset };

	(void)security;
	return refuse_name(name) ? NULL : object_create(&object, set ? 1 : 0, 0);
}

static BOOL change_event(HANDLE event, bool set)
{
	struct object *object = objects_lock(event);
	bool is_event = object->kind == OBJECT_EVENT;
	uint64_t count;

	if (is_event && set)
		raise(event, 1);
	else if (is_event && read(NPF_HANDLE_DESCRIPTOR(event), &count, sizeof(count)) < 0)
		errno = 0; /* it was not set */
	objects_unlock();
	if (!is_event)
		SetLastError(ERROR_INVALID_HANDLE);
	return is_event;
}

BOOL SetEvent(HANDLE event)
{
	return change_event(event, true);
}

BOOL ResetEvent(HANDLE event)
{
	return change_event(event, false);
}

/* ---- semaphores ---------------------------------------------------------------------------- */

HANDLE CreateSemaphoreA(LPSECURITY_ATTRIBUTES security, LONG count, LONG most, LPCSTR name)
{
	struct object object = { .kind = OBJECT_SEMAPHORE, .most = most, .count = count };

	(void)security;
	if (refuse_name(name))
		return NULL;
	if (count < 0 || most <= 0 || count > most) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return NULL;
	}
	return object_create(&object, (unsigned int)count, EFD_SEMAPHORE);
}

static DWORD release_semaphore(HANDLE handle, struct object *object, LONG n, LPLONG before)
{
	if (object->kind != OBJECT_SEMAPHORE)
		return ERROR_INVALID_HANDLE;
	if (n <= 0 || n > object->most - object->count)
		return ERROR_TOO_MANY_POSTS;
	if (before)
		*before = object->count;
	object->count += n;
	raise(handle, (uint64_t)n);
	return NO_ERROR;
}

BOOL ReleaseSemaphore(HANDLE semaphore, LONG n, LPLONG before)
{
	DWORD error = release_semaphore(semaphore, objects_lock(semaphore), n, before);

	objects_unlock();
	if (error)
		SetLastError(error);
	return !error;
}

/* ---- mutexes ------------------------------------------------------------------------------- */

HANDLE CreateMutexA(LPSECURITY_ATTRIBUTES security, BOOL owned, LPCSTR name)
{
	struct object object = { .kind = OBJECT_MUTEX, .count = !!owned, .owner = pthread_self() };

	(void)security;
	return refuse_name(name) ? NULL : object_create(&object, owned ? 0 : 1, EFD_SEMAPHORE);
}

BOOL ReleaseMutex(HANDLE mutex)
{
	struct object *object = objects_lock(mutex);
	bool owned = object->kind == OBJECT_MUTEX && object->count &&
		     pthread_equal(object->owner, pthread_self());

	if (owned && !--object->count)
		raise(mutex, 1);
	objects_unlock();
	if (!owned)
		SetLastError(ERROR_NOT_OWNER);
	return owned;
}
