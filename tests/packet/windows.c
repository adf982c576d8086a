/* SPDX-License-Identifier: BSD-3-Clause */
/* What windows.h and its relatives promise. */
#include <conio.h>
#include <direct.h>
#include <io.h>
#include <mmsystem.h>
#include <process.h>
#include <tchar.h>
#include <windows.h>
#include <winsock2.h>
#include <ws2tcpip.h>

#include "lib/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#pragma comment(lib, "ws2_32.lib")

/* ---- errors -------------------------------------------------------------------------------- */

static void the_last_error_is_errno_in_other_words(void **in)
{
	(void)in;
	errno = ENODEV;
	assert_int_equal(GetLastError(), ERROR_BAD_UNIT);
	SetLastError(ERROR_INSUFFICIENT_BUFFER);
	assert_int_equal(errno, ENOBUFS);
	SetLastError(ERROR_SUCCESS);
	assert_int_equal(errno, 0);
	/* A code without an errno comes back as well. */
	SetLastError(ERROR_NO_SYSTEM_RESOURCES);
	assert_int_equal(GetLastError(), ERROR_NO_SYSTEM_RESOURCES);
	SetLastError(1u << 29 | 77);
	assert_int_equal(GetLastError(), 1u << 29 | 77);
	errno = EDOM;
	assert_int_equal(GetLastError(), ERROR_GEN_FAILURE);
}

static void errors_have_a_text(void **in)
{
	LPSTR text = NULL;
	char own[100], small[5];
	DWORD system = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS;

	(void)in;
	assert_true(FormatMessage(system, NULL, ERROR_ACCESS_DENIED, 0, own, sizeof(own), NULL));
	assert_string_equal(own, "Operation not permitted.\r\n");
	assert_int_equal(FormatMessage(system | FORMAT_MESSAGE_ALLOCATE_BUFFER, NULL, 4711, 0,
				       (LPSTR)&text, 0, NULL),
			 strlen("Error 4711.\r\n"));
	assert_string_equal(text, "Error 4711.\r\n");
	LocalFree(text);
	assert_int_equal(FormatMessage(system, NULL, 5, 0, small, sizeof(small), NULL), 0);
	assert_int_equal(GetLastError(), ERROR_INSUFFICIENT_BUFFER);
	assert_int_equal(FormatMessage(0, NULL, 5, 0, own, sizeof(own), NULL), 0);
}

/* ---- time ---------------------------------------------------------------------------------- */

static void clocks_go_on(void **in)
{
	LARGE_INTEGER before, after, frequency;
	DWORD ticks = GetTickCount();
	SYSTEMTIME now;
	FILETIME file;

	(void)in;
	assert_true(QueryPerformanceFrequency(&frequency));
	assert_true(QueryPerformanceCounter(&before));
	Sleep(2);
	assert_true(QueryPerformanceCounter(&after));
	assert_true((after.QuadPart - before.QuadPart) * 1000 >= 2 * frequency.QuadPart);
	assert_true(GetTickCount() - ticks >= 1);
	assert_true(timeGetTime() >= ticks);
	GetSystemTime(&now);
	assert_true(now.wYear >= 2024 && now.wMonth >= 1 && now.wMonth <= 12);
	GetLocalTime(&now);
	assert_true(now.wMilliseconds < 1000);
	GetSystemTimeAsFileTime(&file);
	/* 2024 in 100 ns since 1601, its upper half. */
	assert_true(file.dwHighDateTime >= 31079000);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void events_reset_by_hand_or_by_waiting(void **in)
{
	HANDLE by_hand = CreateEvent(NULL, TRUE, TRUE, NULL);
	HANDLE by_wait = CreateEvent(NULL, FALSE, FALSE, NULL);

	(void)in;
	assert_int_equal(WaitForSingleObject(by_hand, 0), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(by_hand, 0), WAIT_OBJECT_0);
	assert_true(ResetEvent(by_hand));
	assert_int_equal(WaitForSingleObject(by_hand, 0), WAIT_TIMEOUT);
	assert_int_equal(WaitForSingleObject(by_wait, 1), WAIT_TIMEOUT);
	assert_true(SetEvent(by_wait));
	assert_true(SetEvent(by_wait));
	assert_int_equal(WaitForSingleObject(by_wait, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(by_wait, 0), WAIT_TIMEOUT);
	assert_true(CloseHandle(by_hand));
	assert_true(CloseHandle(by_wait));
	assert_false(SetEvent(by_wait));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(CloseHandle(by_wait));
	assert_int_equal(WaitForSingleObject(by_wait, 0), WAIT_FAILED);
	assert_null(CreateEvent(NULL, TRUE, TRUE, "shared"));
}

static void semaphores_count(void **in)
{
	HANDLE semaphore = CreateSemaphore(NULL, 1, 2, NULL);
	LONG before = 0;

	(void)in;
	assert_true(ReleaseSemaphore(semaphore, 1, &before));
	assert_int_equal(before, 1);
	assert_false(ReleaseSemaphore(semaphore, 1, NULL));
	assert_int_equal(GetLastError(), ERROR_TOO_MANY_POSTS);
	assert_int_equal(WaitForSingleObject(semaphore, 0), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(semaphore, 0), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(semaphore, 0), WAIT_TIMEOUT);
	assert_true(CloseHandle(semaphore));
	assert_null(CreateSemaphore(NULL, 3, 2, NULL));
}

static void several_are_waited_for(void **in)
{
	HANDLE events[] = { CreateEvent(NULL, FALSE, FALSE, NULL),
			    CreateEvent(NULL, FALSE, TRUE, NULL),
			    CreateEvent(NULL, FALSE, TRUE, NULL) };

	(void)in;
	assert_int_equal(WaitForMultipleObjects(3, events, TRUE, 1), WAIT_TIMEOUT);
	assert_int_equal(WaitForMultipleObjects(3, events, FALSE, INFINITE), WAIT_OBJECT_0 + 1);
	assert_int_equal(WaitForMultipleObjects(3, events, FALSE, INFINITE), WAIT_OBJECT_0 + 2);
	assert_int_equal(WaitForMultipleObjects(3, events, FALSE, 0), WAIT_TIMEOUT);
	for (size_t i = 0; i < N_OF(events); i++)
		assert_true(SetEvent(events[i]));
	assert_int_equal(WaitForMultipleObjects(3, events, TRUE, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(WaitForMultipleObjects(3, events, FALSE, 0), WAIT_TIMEOUT);
	assert_int_equal(WaitForMultipleObjects(0, events, FALSE, 0), WAIT_FAILED);
	for (size_t i = 0; i < N_OF(events); i++)
		CloseHandle(events[i]);
}

/* What was taken already is there for others again. */
static void a_wait_for_all_that_is_for_nothing_takes_nothing(void **in)
{
	HANDLE never = CreateEvent(NULL, FALSE, FALSE, NULL);
	HANDLE event = CreateEvent(NULL, FALSE, TRUE, NULL);
	HANDLE semaphore = CreateSemaphore(NULL, 1, 1, NULL);
	HANDLE mutex = CreateMutex(NULL, FALSE, NULL);
	HANDLE owned = CreateMutex(NULL, TRUE, NULL);
	HANDLE late[] = { event, semaphore, mutex, owned, never };
	HANDLE wrong[] = { event, semaphore, mutex, owned, (HANDLE)(LONG_PTR)9999 };
	LONG before = 7;

	(void)in;
	assert_int_equal(WaitForMultipleObjects(N_OF(late), late, TRUE, 1), WAIT_TIMEOUT);
	assert_int_equal(WaitForMultipleObjects(N_OF(wrong), wrong, TRUE, 1), WAIT_FAILED);
	assert_false(ReleaseMutex(mutex));
	assert_true(ReleaseMutex(owned));
	assert_false(ReleaseMutex(owned));
	assert_false(ReleaseSemaphore(semaphore, 1, NULL));
	assert_int_equal(WaitForMultipleObjects(4, late, TRUE, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(event, 0), WAIT_TIMEOUT);
	assert_true(ReleaseSemaphore(semaphore, 1, &before));
	assert_int_equal(before, 0);
	assert_true(ReleaseMutex(mutex));
	assert_true(ReleaseMutex(owned));
	for (size_t i = 0; i < N_OF(late); i++)
		assert_true(CloseHandle(late[i]));
}

static void any_descriptor_can_be_waited_for(void **in)
{
	HANDLE handle;
	int way[2];

	(void)in;
	assert_int_equal(pipe(way), 0);
	handle = (HANDLE)(LONG_PTR)way[0];
	assert_int_equal(WaitForSingleObject(handle, 0), WAIT_TIMEOUT);
	assert_int_equal(write(way[1], "x", 1), 1);
	assert_int_equal(WaitForSingleObject(handle, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(handle, INFINITE), WAIT_OBJECT_0);
	assert_false(CloseHandle(handle));
	close(way[0]);
	close(way[1]);
}

/* ---- threads ------------------------------------------------------------------------------- */

#define TURNS 1000

struct shared {
	CRITICAL_SECTION section;
	HANDLE mutex;
	LONG counter, interlocked;
};

static DWORD WINAPI count(LPVOID arg)
{
	struct shared *shared = arg;

	for (int i = 0; i < TURNS; i++) {
		EnterCriticalSection(&shared->section);
		EnterCriticalSection(&shared->section);
		shared->counter++;
		LeaveCriticalSection(&shared->section);
		LeaveCriticalSection(&shared->section);
		InterlockedIncrement(&shared->interlocked);
		if (WaitForSingleObject(shared->mutex, INFINITE) != WAIT_OBJECT_0)
			return 1;
		shared->counter++;
		if (!ReleaseMutex(shared->mutex))
			return 2;
	}
	return 7;
}

static void threads_run_and_end(void **in)
{
	struct shared shared = { .mutex = CreateMutex(NULL, TRUE, NULL) };
	HANDLE threads[2];
	DWORD id = 0, code = 0;

	(void)in;
	InitializeCriticalSection(&shared.section);
	/* The mutex may be taken twice, and is not before it was given back as often. */
	assert_int_equal(WaitForSingleObject(shared.mutex, 0), WAIT_OBJECT_0);
	EnterCriticalSection(&shared.section);
	threads[0] = CreateThread(NULL, 0, count, &shared, 0, &id);
	assert_non_null(threads[0]);
	assert_int_not_equal(id, GetCurrentThreadId());
	assert_true(GetExitCodeThread(threads[0], &code));
	assert_int_equal(code, STILL_ACTIVE);
	LeaveCriticalSection(&shared.section);
	assert_true(ReleaseMutex(shared.mutex));
	assert_int_equal(WaitForSingleObject(threads[0], 1), WAIT_TIMEOUT);
	assert_true(ReleaseMutex(shared.mutex));
	assert_false(ReleaseMutex(shared.mutex));
	assert_int_equal(WaitForSingleObject(threads[0], INFINITE), WAIT_OBJECT_0);
	assert_true(GetExitCodeThread(threads[0], &code));
	assert_int_equal(code, 7);
	assert_int_equal(shared.counter, 2 * TURNS);
	assert_int_equal(shared.interlocked, TURNS);
	threads[1] = CreateThread(NULL, 100000, count, &shared, 0, NULL);
	assert_int_equal(WaitForMultipleObjects(2, threads, TRUE, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(shared.counter, 4 * TURNS);
	assert_true(CloseHandle(threads[0]));
	assert_true(CloseHandle(threads[1]));
	assert_false(GetExitCodeThread(threads[1], &code));
	assert_null(CreateThread(NULL, 0, count, &shared, 8, NULL));
	CloseHandle(shared.mutex);
	DeleteCriticalSection(&shared.section);
}

static unsigned int __stdcall leave_early(void *arg)
{
	(void)arg;
	_endthreadex(42);
}

static void set_event(void *event)
{
	SetEvent(event);
}

static unsigned int __stdcall set_and_leave(void *event)
{
	SetEvent(event);
	return 0;
}

static void a_suspended_thread_waits_to_be_resumed(void **in)
{
	HANDLE event = CreateEvent(NULL, FALSE, FALSE, NULL);
	unsigned int id = 0;
	HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, set_and_leave, event, CREATE_SUSPENDED, &id);

	(void)in;
	assert_non_null(thread);
	assert_int_not_equal(id, 0);
	assert_int_equal(WaitForSingleObject(event, 20), WAIT_TIMEOUT);
	assert_int_equal(ResumeThread(thread), 1);
	assert_int_equal(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(WaitForSingleObject(event, 0), WAIT_OBJECT_0);
	assert_int_equal(ResumeThread(thread), 0);
	assert_int_equal(ResumeThread(event), (DWORD)-1);
	CloseHandle(thread);
	CloseHandle(event);
}

struct waiter {
	DWORD id;
	LONG waits;
};

static bool sleeps(DWORD id)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", id);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (file)
		fclose(file);
	return state == 'S';
}

static void end_when_waited_for(void *arg)
{
	struct waiter *waiter = arg;

	while (!InterlockedExchangeAdd(&waiter->waits, 0) || !sleeps(waiter->id))
		SwitchToThread();
}

/* Its end closes the handle, also under who waits for it. */
static void a_thread_that_nobody_closes_can_be_waited_for(void **in)
{
	(void)in;
	for (int i = 0; i < 20; i++) {
		struct waiter waiter = { .id = GetCurrentThreadId() };
		HANDLE thread = (HANDLE)_beginthread(end_when_waited_for, 0, &waiter);

		assert_ptr_not_equal(thread, INVALID_HANDLE_VALUE);
		assert_int_equal(WaitForSingleObject(thread, 0), WAIT_TIMEOUT);
		InterlockedIncrement(&waiter.waits);
		assert_int_equal(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0);
		while (WaitForSingleObject(thread, 0) != WAIT_FAILED)
			SwitchToThread();
	}
}

static void threads_of_the_c_library(void **in)
{
	HANDLE event = CreateEvent(NULL, FALSE, FALSE, NULL);
	HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, leave_early, NULL, 0, NULL);
	DWORD code;

	(void)in;
	assert_non_null(thread);
	assert_int_equal(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0);
	assert_true(GetExitCodeThread(thread, &code));
	assert_int_equal(code, 42);
	CloseHandle(thread);
	assert_true(_beginthread(set_event, 0, event) != (uintptr_t)-1);
	assert_int_equal(WaitForSingleObject(event, INFINITE), WAIT_OBJECT_0);
	CloseHandle(event);
}

/* ---- the console --------------------------------------------------------------------------- */

static HANDLE handled;
static DWORD handled_event;

static BOOL WINAPI handle(DWORD event)
{
	handled_event = event;
	SetEvent(handled);
	return TRUE;
}

static BOOL WINAPI pass_on(DWORD event)
{
	(void)event;
	return FALSE;
}

static void control_handlers_are_asked_in_turn(void **in)
{
	(void)in;
	handled = CreateEvent(NULL, FALSE, FALSE, NULL);
	assert_true(SetConsoleCtrlHandler(handle, TRUE));
	assert_true(SetConsoleCtrlHandler(pass_on, TRUE));
	kill(getpid(), SIGINT);
	assert_int_equal(WaitForSingleObject(handled, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(handled_event, CTRL_C_EVENT);
	kill(getpid(), SIGHUP);
	assert_int_equal(WaitForSingleObject(handled, INFINITE), WAIT_OBJECT_0);
	assert_int_equal(handled_event, CTRL_CLOSE_EVENT);
	assert_true(SetConsoleCtrlHandler(pass_on, FALSE));
	assert_false(SetConsoleCtrlHandler(pass_on, FALSE));
	assert_true(SetConsoleCtrlHandler(NULL, TRUE));
	kill(getpid(), SIGINT);
	assert_true(SetConsoleCtrlHandler(NULL, FALSE));
	assert_int_equal(WaitForSingleObject(handled, 0), WAIT_TIMEOUT);
	assert_true(SetConsoleCtrlHandler(handle, FALSE));
	CloseHandle(handled);
}

static void without_a_taker_the_process_ends(void **in)
{
	int status = 0;
	pid_t child;

	(void)in;
#ifdef __SANITIZE_THREAD__
	print_message("the thread sanitizer does not want threads in a child\n");
	skip();
#endif
	child = fork();
	if (!child) {
		SetConsoleCtrlHandler(pass_on, TRUE);
		kill(getpid(), SIGTERM);
		for (;;)
			pause();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* Another standard input; what it was. */
static int redirect(int fd)
{
	int before = dup(STDIN_FILENO);

	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	close(fd);
	return before;
}

static void keys_come_from_standard_input(void **in)
{
	int way[2], before;

	(void)in;
	assert_int_equal(pipe(way), 0);
	before = redirect(way[0]);
	assert_false(_kbhit());
	assert_int_equal(write(way[1], "ab", 2), 2);
	assert_true(kbhit());
	assert_int_equal(_getch(), 'a');
	assert_int_equal(getch(), 'b');
	assert_false(_kbhit());
	close(way[1]);
	/* As where there is no keyboard: a loop until a key goes on. */
	assert_false(_kbhit());
	assert_int_equal(_getch(), -1);
	close(redirect(open("/dev/null", O_RDONLY)));
	assert_false(_kbhit());
	assert_int_equal(_getch(), -1);
	close(redirect(before));
}

/* Before Enter, and without what the terminal was set to being changed. */
static void keys_come_from_a_terminal(void **in)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY), before;
	struct termios mode, after;

	(void)in;
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) {
		print_message("no pseudo-terminals here\n");
		skip();
	}
	before = redirect(open(ptsname(terminal), O_RDWR | O_NOCTTY));
	assert_int_equal(tcgetattr(STDIN_FILENO, &mode), 0);
	assert_true(mode.c_lflag & ICANON);
	assert_false(_kbhit());
	assert_int_equal(write(terminal, "q", 1), 1);
	while (!_kbhit())
		;
	assert_int_equal(_getch(), 'q');
	assert_false(_kbhit());
	assert_int_equal(tcgetattr(STDIN_FILENO, &after), 0);
	assert_memory_equal(&after.c_lflag, &mode.c_lflag, sizeof(mode.c_lflag));
	close(redirect(before));
	close(terminal);
}

/* ---- the C library ------------------------------------------------------------------------- */

static void bounded_copies_say_when_it_does_not_fit(void **in)
{
	char text[6] = "old";

	(void)in;
	assert_int_equal(strcpy_s(text, sizeof(text), "12345"), 0);
	assert_string_equal(text, "12345");
	assert_int_equal(strcpy_s(text, sizeof(text), "123456"), ERANGE);
	assert_string_equal(text, "");
	assert_int_equal(strcpy_s(text, sizeof(text), NULL), EINVAL);
	assert_int_equal(strcpy_s(text, sizeof(text), "ab"), 0);
	assert_int_equal(strcat_s(text, sizeof(text), "cde"), 0);
	assert_string_equal(text, "abcde");
	assert_int_equal(strcat_s(text, sizeof(text), "f"), ERANGE);
	assert_int_equal(strncpy_s(text, sizeof(text), "123456", 5), 0);
	assert_string_equal(text, "12345");
	assert_int_equal(strncpy_s(text, sizeof(text), "123456", _TRUNCATE), STRUNCATE);
	assert_string_equal(text, "12345");
	assert_int_equal(strncpy_s(text, sizeof(text), "1234", _TRUNCATE), 0);
	assert_int_equal(memcpy_s(text, 2, "abc", 3), ERANGE);
	assert_int_equal(memcpy_s(text, 3, "abc", 3), 0);
	assert_memory_equal(text, "abc", 3);
	assert_int_equal(strerror_s(text, sizeof(text), ENOENT), 0);
	assert_string_equal(text, "No su");
}

static void names_of_microsoft(void **in)
{
	char words[] = "a,b", text[40], *rest = NULL;
	time_t epoch = 0;
	struct _stat folder;
	struct tm parts;
	FILE *file;

	(void)in;
	assert_string_equal(strtok_s(words, ",", &rest), "a");
	assert_string_equal(strtok_s(NULL, ",", &rest), "b");
	assert_int_equal(_snprintf(text, sizeof(text), "%d", 5), 1);
	assert_int_equal(_stricmp("Ab", "aB"), 0);
	assert_int_equal(gmtime_s(&parts, &epoch), 0);
	assert_int_equal(parts.tm_year, 70);
	assert_int_equal(localtime_s(&parts, &epoch), 0);
	assert_int_equal(fopen_s(&file, "/nonexistent/x", "r"), ENOENT);
	assert_null(file);
	assert_string_equal(_itoa(-255, text, 10), "-255");
	assert_string_equal(_itoa(255, text, 16), "ff");
	assert_int_equal(_tcslen(_T("abc")), 3);
	assert_int_equal(max(1, 2), 2);
	assert_int_equal(_setmode(_fileno(stdout), _O_BINARY), 0);
	assert_non_null(_getcwd(text, sizeof(text)));
	assert_int_equal(_stat("/", &folder), 0);
	assert_true(S_ISDIR(folder.st_mode));
}

static void texts_of_microsoft(void **in)
{
	char text[8] = "ab", when[26];
	time_t epoch = 0;
	struct tm parts;

	(void)in;
	assert_int_equal(strncat_s(text, sizeof(text), "cdef", 2), 0);
	assert_string_equal(text, "abcd");
	assert_int_equal(strncat_s(text, sizeof(text), "efghi", _TRUNCATE), STRUNCATE);
	assert_string_equal(text, "abcdefg");
	assert_int_equal(strncat_s(text, sizeof(text), "h", 1), ERANGE);
	assert_string_equal(text, "");
	assert_int_equal(_snprintf_s(text, sizeof(text), _TRUNCATE, "%d", 1234567), 7);
	assert_int_equal(_snprintf_s(text, sizeof(text), _TRUNCATE, "%d", 12345678), -1);
	assert_string_equal(text, "1234567");
	assert_int_equal(_snprintf_s(text, sizeof(text), 3, "%d", 12345678), -1);
	assert_string_equal(text, "123");
	assert_int_equal(_snprintf_s(text, sizeof(text), sizeof(text), "%d", 12345678), -1);
	assert_string_equal(text, "");
	assert_string_equal(_strupr(strcpy(text, "aB1")), "AB1");
	assert_string_equal(_strlwr(text), "ab1");
	assert_int_equal(gmtime_s(&parts, &epoch), 0);
	assert_int_equal(asctime_s(when, sizeof(when), &parts), 0);
	assert_string_equal(when, "Thu Jan  1 00:00:00 1970\n");
	assert_int_equal(asctime_s(when, 25, &parts), EINVAL);
	assert_int_equal(ctime_s(when, sizeof(when), &epoch), 0);
	assert_int_equal(when[24], '\n');
	assert_int_equal(lstrlen(lstrcat(lstrcpy(text, "a"), "b")), 2);
	assert_int_equal(wsprintf(text, TEXT("%u"), 7u), 1);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"

static int print_list(char *to, size_t size, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = _vsnprintf(to, size, format, list);
	va_end(list);
	return n;
}

static int print_inner(unsigned __int64 value)
{
	char inner[64];

	return snprintf(inner, sizeof(inner), "%2I64u", value);
}

/* In WinPcap's tutorial of the statistics, for one. */
static void formats_of_microsoft(void **in)
{
	unsigned __int64 large = 5000000000;
	__int64 negative = -large;
	char text[64], *whole;
	FILE *file = tmpfile();

	(void)in;
#ifdef NPF_FORMATS_AS_THEY_ARE
	print_message("clang with _FORTIFY_SOURCE\n");
	skip();
#endif
	sprintf(text, "BPS=%I64u %s", large, "x");
	assert_string_equal(text, "BPS=5000000000 x");
	_snprintf(text, sizeof(text), "%-12I64d|%.12I64x|%*I64X", negative, large, 10, large);
	assert_string_equal(text, "-5000000000 |00012a05f200| 12A05F200");
	sprintf_s(text, sizeof(text), "%%I64u I64 %d%%%I64u", 7, large);
	assert_string_equal(text, "%I64u I64 7%5000000000");
	_snprintf_s(text, sizeof(text), _TRUNCATE, "%I64u", large);
	assert_string_equal(text, "5000000000");
	print_list(text, sizeof(text), "%I64u %s", large, "y");
	assert_string_equal(text, "5000000000 y");
	snprintf(text, sizeof(text), "%I64u %d", large, print_inner(large));
	assert_string_equal(text, "5000000000 10");
	assert_int_equal(fprintf(file, "%I64u", large), 10);
	assert_int_equal(fprintf(file, "%s", "plain"), 5);
	whole = malloc(3000);
	memset(whole, 'x', 2999);
	whole[2999] = '\0';
	assert_int_equal(fprintf(file, whole), 2999);
	free(whole);
	fclose(file);
}

#pragma GCC diagnostic pop

static __declspec(thread) int of_the_thread = 1;

static unsigned int __stdcall set_own(void *arg)
{
	UNREFERENCED_PARAMETER(arg);
	of_the_thread = 2;
	return 0;
}

static void declarations_of_microsoft(void **in)
{
	static __declspec(align(64)) char aligned[ARRAYSIZE("abc")];
	HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, set_own, NULL, 0, NULL);
	LPCTSTR narrow = TEXT("text");
	CRITICAL_SECTION section;

	(void)in;
	assert_int_equal(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0);
	CloseHandle(thread);
	assert_int_equal(of_the_thread, 1);
	assert_int_equal((uintptr_t)aligned % 64, 0);
	assert_int_equal(sizeof(*narrow), sizeof(TCHAR));
	assert_true(InitializeCriticalSectionAndSpinCount(&section, 1000));
	EnterCriticalSection(&section);
	LeaveCriticalSection(&section);
	DeleteCriticalSection(&section);
}

static void the_system_is_a_new_one(void **in)
{
	SYSTEM_INFO info;
	char folder[64];
	UINT length;

	(void)in;
	assert_true(LOBYTE(LOWORD(GetVersion())) >= 5);
	assert_true(GetVersion() < 0x80000000);
	GetSystemInfo(&info);
	assert_true(info.dwNumberOfProcessors >= 1);
	assert_int_equal(info.dwPageSize, sysconf(_SC_PAGESIZE));
	assert_true(SwitchToThread());
	length = GetSystemDirectory(folder, sizeof(folder));
	assert_int_equal(length, strlen(folder));
	assert_int_equal(GetSystemDirectory(folder, length), length + 1);
	assert_true(SetDllDirectory(folder));
}

static void libraries_are_loaded(void **in)
{
	HMODULE library = LoadLibrary("libc.so.6");

	(void)in;
	assert_non_null(library);
	assert_ptr_equal((void *)GetProcAddress(library, "getppid"), (void *)getppid);
	assert_null(GetProcAddress(library, "no such function"));
	assert_ptr_equal(GetModuleHandle("libc.so.6"), library);
	assert_non_null(GetModuleHandle(NULL));
	assert_null(GetModuleHandle("nothing.dll"));
	OutputDebugString("nobody listens");
	assert_true(FreeLibrary(library));
	assert_null(LoadLibrary("nothing.dll"));
	assert_int_equal(GetLastError(), ERROR_FILE_NOT_FOUND);
	assert_false(FreeLibrary(NULL));
}

static void sockets_of_windows(void **in)
{
	SOCKADDR_IN address = { .sin_family = AF_INET };
	SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
	u_long yes = 1;
	WSADATA data;
	char byte;

	(void)in;
	assert_int_equal(WSAStartup(MAKEWORD(2, 2), &data), 0);
	assert_int_equal(HIBYTE(data.wVersion), 2);
	address.sin_addr.S_un.S_addr = inet_addr("127.0.0.1");
	assert_int_equal(address.sin_addr.S_un.S_un_b.s_b1, 127);
	assert_int_equal(address.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_true(s != INVALID_SOCKET);
	assert_int_equal(ioctlsocket(s, FIONBIO, &yes), 0);
	assert_int_equal(recv(s, &byte, 1, 0), SOCKET_ERROR);
	assert_int_equal(WSAGetLastError(), WSAEWOULDBLOCK);
	assert_int_equal(closesocket(s), 0);
	assert_int_equal(WSACleanup(), 0);
}

_Static_assert(sizeof(struct in_addr) == 4, "as before");

/* ---- memory, the screen, priorities -------------------------------------------------------- */

static void there_is_one_heap(void **state)
{
	char *a = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, 100);
	char *b = GlobalAllocPtr(GHND, 100), *c = LocalAlloc(LPTR, 0);

	(void)state;
	assert_non_null(GetProcessHeap());
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	for (int i = 0; i < 100; i++)
		assert_int_equal(a[i] | b[i], 0);
	assert_true(HeapFree(GetProcessHeap(), 0, a));
	assert_null(GlobalFreePtr(b));
	assert_null(LocalFree(c));
}

/* Files and pipes get no escape sequences. */
static void a_file_is_no_screen(void **state)
{
	CONSOLE_SCREEN_BUFFER_INFO info;
	COORD position = { 1, 2 };
	FILE *file = tmpfile();
	HANDLE console = (HANDLE)(LONG_PTR)fileno(file);

	(void)state;
	assert_false(GetConsoleScreenBufferInfo(console, &info));
	assert_false(SetConsoleCursorPosition(console, position));
	assert_false(SetConsoleTextAttribute(console, FOREGROUND_RED));
	assert_int_equal(lseek(fileno(file), 0, SEEK_END), 0);
	fclose(file);
	assert_int_equal(NPF_HANDLE_DESCRIPTOR(GetStdHandle(STD_ERROR_HANDLE)), STDERR_FILENO);
	assert_ptr_equal(GetStdHandle(7), INVALID_HANDLE_VALUE);
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
}

/* NULL would be none. */
static void standard_input_is_a_handle(void **state)
{
	HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
	struct stat theirs, ours;

	(void)state;
	assert_non_null(input);
	assert_ptr_not_equal(input, INVALID_HANDLE_VALUE);
	assert_ptr_equal(GetStdHandle(STD_INPUT_HANDLE), input);
	assert_int_equal(fstat(STDIN_FILENO, &theirs), 0);
	assert_int_equal(fstat(NPF_HANDLE_DESCRIPTOR(input), &ours), 0);
	assert_true(ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino);
}

static void a_terminal_is_a_screen(void **state)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct winsize size = { .ws_row = 30, .ws_col = 90 };
	CONSOLE_SCREEN_BUFFER_INFO info;
	static const char expected[] = "\033[3;5H\033[0;91;44m";
	COORD position = { 4, 2 };
	char said[64] = "";
	size_t n = 0;

	(void)state;
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) {
		print_message("no pseudo-terminals here\n");
		skip();
	}
	slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	if (slave < 0)
		skip();
	assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
	assert_true(GetConsoleScreenBufferInfo((HANDLE)(LONG_PTR)slave, &info));
	assert_int_equal(info.dwSize.X, 90);
	assert_int_equal(info.srWindow.Bottom, 29);
	assert_true(SetConsoleCursorPosition((HANDLE)(LONG_PTR)slave, position));
	assert_true(SetConsoleTextAttribute((HANDLE)(LONG_PTR)slave, FOREGROUND_RED |
									     FOREGROUND_INTENSITY |
									     BACKGROUND_BLUE));
	/* The kernel hands on what each write brought when it comes to it. */
	while (n < sizeof(expected) - 1) {
		ssize_t more = read(terminal, said + n, sizeof(said) - 1 - n);

		assert_true(more > 0);
		n += (size_t)more;
	}
	assert_string_equal(said, expected);
	close(slave);
	close(terminal);
}

static void priorities_are_nice_values(void **state)
{
	(void)state;
	/* What anybody may. */
	assert_true(SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_BELOW_NORMAL));
	assert_int_equal(getpriority(PRIO_PROCESS, 0), 5);
	assert_true(SetPriorityClass(GetCurrentProcess(), IDLE_PRIORITY_CLASS));
	assert_int_equal(getpriority(PRIO_PROCESS, 0), 19);
	assert_false(SetPriorityClass(GetCurrentProcess(), 7));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_false(SetThreadPriority((HANDLE)(LONG_PTR)3, THREAD_PRIORITY_LOWEST));
	assert_int_equal(GetLastError(), ERROR_NOT_SUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_error_is_errno_in_other_words),
		cmocka_unit_test(errors_have_a_text),
		cmocka_unit_test(clocks_go_on),
		cmocka_unit_test(events_reset_by_hand_or_by_waiting),
		cmocka_unit_test(semaphores_count),
		cmocka_unit_test(several_are_waited_for),
		cmocka_unit_test(a_wait_for_all_that_is_for_nothing_takes_nothing),
		cmocka_unit_test(any_descriptor_can_be_waited_for),
		cmocka_unit_test(threads_run_and_end),
		cmocka_unit_test(a_suspended_thread_waits_to_be_resumed),
		cmocka_unit_test(a_thread_that_nobody_closes_can_be_waited_for),
		cmocka_unit_test(threads_of_the_c_library),
		cmocka_unit_test(control_handlers_are_asked_in_turn),
		cmocka_unit_test(without_a_taker_the_process_ends),
		cmocka_unit_test(keys_come_from_standard_input),
		cmocka_unit_test(keys_come_from_a_terminal),
		cmocka_unit_test(bounded_copies_say_when_it_does_not_fit),
		cmocka_unit_test(names_of_microsoft),
		cmocka_unit_test(texts_of_microsoft),
		cmocka_unit_test(formats_of_microsoft),
		cmocka_unit_test(declarations_of_microsoft),
		cmocka_unit_test(the_system_is_a_new_one),
		cmocka_unit_test(libraries_are_loaded),
		cmocka_unit_test(sockets_of_windows),
		cmocka_unit_test(there_is_one_heap),
		cmocka_unit_test(a_file_is_no_screen),
		cmocka_unit_test(standard_input_is_a_handle),
		cmocka_unit_test(a_terminal_is_a_screen),
		cmocka_unit_test(priorities_are_nice_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
