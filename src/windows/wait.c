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

/* Whom is waited for. Of a thread that is the descriptor of its own: its handle may be closed
 * meanwhile, and is at its end when _beginthread() made it. */
struct wait {
	DWORD n;
	const HANDLE *handles;
	struct pollfd all[MAXIMUM_WAIT_OBJECTS];
	struct windows_thread *threads[MAXIMUM_WAIT_OBJECTS];
};

static void begin(struct wait *wait, DWORD n, const HANDLE *handles)
{
	wait->n = n;
	wait->handles = handles;
	for (DWORD i = 0; i < n; i++) {
		struct object *object = objects_lock(handles[i]);
		bool is_thread = object->kind == OBJECT_THREAD;

		wait->threads[i] = is_thread ? object->thread : NULL;
		wait->all[i] = (struct pollfd){
			.fd = is_thread ? thread_hold(object->thread)
					: NPF_HANDLE_DESCRIPTOR(handles[i]),
			.events = POLLIN,
		};
		objects_unlock();
	}
}

static void end(struct wait *wait)
{
	for (DWORD i = 0; i < wait->n; i++) {
		if (wait->threads[i])
			thread_release(wait->threads[i]);
	}
}

static bool take_at(const struct wait *wait, DWORD i)
{
	if (wait->threads[i])
		return wait->all[i].revents && thread_ended(wait->threads[i]);
	return (wait->all[i].revents || is_mine(wait->handles[i])) && object_take(wait->handles[i]);
}

/* The first that can be taken now. */
static int take_first(const struct wait *wait)
{
	for (DWORD i = 0; i < wait->n; i++) {
		if (wait->all[i].revents & POLLNVAL) {
			SetLastError(ERROR_INVALID_HANDLE);
			return BROKEN;
		}
		if (take_at(wait, i))
			return (int)i;
	}
	return NOTHING;
}

static DWORD wait_for_any(struct wait *wait, ULONGLONG deadline)
{
	ULONGLONG until = 0; /* first without waiting: a mutex of one's own is not readable */

	for (;;) {
		int ready = poll_until(wait->all, wait->n, until);
		int taken = ready < 0 ? BROKEN : take_first(wait);

		if (taken == BROKEN)
			return WAIT_FAILED;
		if (taken >= 0)
			return WAIT_OBJECT_0 + (DWORD)taken;
		if (!ready && !left_until(deadline))
			return WAIT_TIMEOUT;
		until = deadline;
	}
}

static DWORD wait_any(DWORD n, const HANDLE *handles, ULONGLONG deadline)
{
	struct wait wait;
	DWORD result;

	begin(&wait, n, handles);
	result = wait_for_any(&wait, deadline);
	end(&wait);
	return result;
}

/* One after the other. Windows takes all at one moment: that some are taken while others are waited
 * for shows to who waits for those elsewhere meanwhile, but not after a wait that was for nothing. */
static DWORD wait_all(DWORD n, const HANDLE *handles, ULONGLONG deadline)
{
	DWORD result = WAIT_OBJECT_0, taken = 0;

	while (taken < n && result == WAIT_OBJECT_0) {
		result = wait_any(1, &handles[taken], deadline);
		taken += result == WAIT_OBJECT_0;
	}
	if (result == WAIT_OBJECT_0)
		return result;
	while (taken)
		object_give_back(handles[--taken]);
	return result;
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
