/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for handles: poll(), then take what was found. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "objects.h"

/* ---- taking -------------------------------------------------------------------------------- */

static bool draw(HANDLE handle)
{
	uint64_t count;

	return read(NPF_HANDLE_DESCRIPTOR(handle), &count, sizeof(count)) == sizeof(count);
}

static bool owns(const struct object *object)
{
	return object->kind == OBJECT_MUTEX && object->count &&
	       pthread_equal(object->owner, pthread_self());
}

static bool take_mutex(HANDLE handle, struct object *object)
{
	if (!owns(object) && !draw(handle))
		return false;
	object->owner = pthread_self();
	object->count++;
	return true;
}

static bool take_semaphore(HANDLE handle, struct object *object)
{
	if (!draw(handle))
		return false;
	object->count--;
	return true;
}

static bool take(HANDLE handle, struct object *object)
{
	switch (object->kind) {
	case OBJECT_MUTEX:
		return take_mutex(handle, object);
	case OBJECT_SEMAPHORE:
		return take_semaphore(handle, object);
	case OBJECT_EVENT:
		return object->manual || draw(handle);
	default:
		return true;
	}
}

bool object_take(HANDLE handle)
{
	struct object *object = objects_lock(handle);
	bool taken = take(handle, object);

	objects_unlock();
	return taken;
}

static bool is_mine(HANDLE handle)
{
	bool mine = owns(objects_lock(handle));

	objects_unlock();
	return mine;
}

/* ---- time ---------------------------------------------------------------------------------- */

static ULONGLONG deadline_of(DWORD ms)
{
	return ms == INFINITE ? UINT64_MAX : GetTickCount64() + ms;
}

static int left_until(ULONGLONG deadline)
{
	ULONGLONG now = GetTickCount64();

	if (deadline == UINT64_MAX)
		return -1;
	if (now >= deadline)
		return 0;
	return deadline - now < INT32_MAX ? (int)(deadline - now) : INT32_MAX;
}

/* ---- waiting ------------------------------------------------------------------------------- */

#define NOTHING (-1)
#define BROKEN  (-2)

/* poll() with signals taken for nothing. */
static int poll_until(struct pollfd *all, nfds_t n, ULONGLONG deadline)
{
	int ready;

	do {
		ready = poll(all, n, left_until(deadline));
	} while (ready < 0 && errno == EINTR);
	return ready;
}

static void fill(struct pollfd *all, DWORD n, const HANDLE *handles)
{
	for (DWORD i = 0; i < n; i++)
		all[i] = (struct pollfd){ .fd = NPF_HANDLE_DESCRIPTOR(handles[i]),
					  .events = POLLIN };
}

/* The first that can be taken now. */
static int take_first(const struct pollfd *all, DWORD n, const HANDLE *handles)
{
	for (DWORD i = 0; i < n; i++) {
		if (all[i].revents & POLLNVAL) {
			SetLastError(ERROR_INVALID_HANDLE);
			return BROKEN;
		}
		if ((all[i].revents || is_mine(handles[i])) && object_take(handles[i]))
			return (int)i;
	}
	return NOTHING;
}

static DWORD wait_any(DWORD n, const HANDLE *handles, ULONGLONG deadline)
{
	struct pollfd all[MAXIMUM_WAIT_OBJECTS];
	ULONGLONG until = 0; /* first without waiting: a mutex of one's own is not readable */

	fill(all, n, handles);
	for (;;) {
		int ready = poll_until(all, n, until);
		int taken = ready < 0 ? BROKEN : take_first(all, n, handles);

		if (taken == BROKEN)
			return WAIT_FAILED;
		if (taken >= 0)
			return WAIT_OBJECT_0 + (DWORD)taken;
		if (!ready && !left_until(deadline))
			return WAIT_TIMEOUT;
		until = deadline;
	}
}

/* One after the other. Windows takes all at one moment; the difference shows only to who waits for
 * some of them elsewhere meanwhile. */
static DWORD wait_all(DWORD n, const HANDLE *handles, ULONGLONG deadline)
{
	for (DWORD i = 0; i < n; i++) {
		DWORD result = wait_any(1, &handles[i], deadline);

		if (result != WAIT_OBJECT_0)
			return result;
	}
	return WAIT_OBJECT_0;
}

DWORD WaitForMultipleObjects(DWORD n, const HANDLE *handles, BOOL all, DWORD ms)
{
	if (!n || n > MAXIMUM_WAIT_OBJECTS || !handles) {
		SetLastError(ERROR_INVALID_PARAMETER);
		return WAIT_FAILED;
	}
	return all ? wait_all(n, handles, deadline_of(ms)) : wait_any(n, handles, deadline_of(ms));
}

DWORD WaitForSingleObject(HANDLE handle, DWORD ms)
{
	return WaitForMultipleObjects(1, &handle, FALSE, ms);
}
