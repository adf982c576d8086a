/* SPDX-License-Identifier: BSD-3-Clause */
/* Files by handles, values of threads, scanning with sizes, commands of cmd.exe. */
#include <stdlib.h>
#include <windows.h>

#include "lib/check.h"

#include <unistd.h>

struct state {
	char folder[32], path[64];
};

static int setup(void **out)
{
	struct state *state = calloc(1, sizeof(*state));

	strcpy(state->folder, "/tmp/npf-windows-XXXXXX");
	assert_non_null(mkdtemp(state->folder));
	snprintf(state->path, sizeof(state->path), "%s/file", state->folder);
	*out = state;
	return 0;
}

static int teardown(void **in)
{
	struct state *state = *in;

	unlink(state->path);
	assert_int_equal(rmdir(state->folder), 0);
	free(state);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* ---- files --------------------------------------------------------------------------------- */

static HANDLE open_file(const struct state *state, DWORD access, DWORD disposition)
{
	return CreateFile(state->path, access, FILE_SHARE_READ, NULL, disposition,
			  FILE_ATTRIBUTE_NORMAL, NULL);
}

static void write_file(const struct state *state, const char *text)
{
	HANDLE file = open_file(state, GENERIC_WRITE, CREATE_ALWAYS);
	DWORD n = 0;

	assert_true(file != INVALID_HANDLE_VALUE);
	assert_true(WriteFile(file, text, (DWORD)strlen(text), &n, NULL));
	assert_int_equal(n, strlen(text));
	assert_true(FlushFileBuffers(file));
	assert_true(CloseHandle(file));
}

static void files_are_written_and_read(void **in)
{
	struct state *state = *in;
	char text[20] = { 0 };
	HANDLE file;
	DWORD n, high = 7;
	LONG upper = 0;

	write_file(state, "0123456789");
	file = open_file(state, GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING);
	assert_int_equal(GetFileSize(file, &high), 10);
	assert_int_equal(high, 0);
	assert_true(ReadFile(file, text, 4, &n, NULL));
	assert_int_equal(n, 4);
	assert_string_equal(text, "0123");
	assert_int_equal(SetFilePointer(file, -2, NULL, FILE_END), 8);
	assert_true(ReadFile(file, text, sizeof(text), &n, NULL));
	assert_int_equal(n, 2);
	assert_true(ReadFile(file, text, sizeof(text), &n, NULL));
	assert_int_equal(n, 0);
	assert_int_equal(SetFilePointer(file, 1, NULL, FILE_BEGIN), 1);
	assert_int_equal(SetFilePointer(file, -1, NULL, FILE_CURRENT), 0);
	upper = 1;
	assert_int_equal(SetFilePointer(file, 5, &upper, FILE_BEGIN), 5);
	assert_int_equal(upper, 1);
	/* Waiting for a file is no wait, as there. */
	assert_int_equal(WaitForSingleObject(file, 0), WAIT_OBJECT_0);
	assert_true(CloseHandle(file));
	assert_true(DeleteFile(state->path));
	assert_false(DeleteFile(state->path));
	assert_int_equal(GetLastError(), ERROR_FILE_NOT_FOUND);
}

static void dispositions_differ(void **in)
{
	struct state *state = *in;
	HANDLE file;

	assert_true(open_file(state, GENERIC_READ, OPEN_EXISTING) == INVALID_HANDLE_VALUE);
	assert_int_equal(GetLastError(), ERROR_FILE_NOT_FOUND);
	assert_true(open_file(state, GENERIC_WRITE, TRUNCATE_EXISTING) == INVALID_HANDLE_VALUE);
	file = open_file(state, GENERIC_WRITE, OPEN_ALWAYS);
	assert_int_equal(GetLastError(), NO_ERROR);
	CloseHandle(file);
	assert_true(open_file(state, GENERIC_WRITE, CREATE_NEW) == INVALID_HANDLE_VALUE);
	assert_int_equal(GetLastError(), ERROR_FILE_EXISTS);
	write_file(state, "text");
	file = open_file(state, GENERIC_WRITE, OPEN_ALWAYS);
	assert_int_equal(GetLastError(), ERROR_ALREADY_EXISTS);
	assert_int_equal(GetFileSize(file, NULL), 4);
	CloseHandle(file);
	file = open_file(state, GENERIC_WRITE, CREATE_ALWAYS);
	assert_int_equal(GetLastError(), ERROR_ALREADY_EXISTS);
	assert_int_equal(GetFileSize(file, NULL), 0);
	CloseHandle(file);
}

static void files_fail_as_there(void **in)
{
	struct state *state = *in;
	HANDLE file;
	OVERLAPPED later = { 0 };
	char byte = 0;
	DWORD n = 7;

	assert_true(open_file(state, GENERIC_READ, 9) == INVALID_HANDLE_VALUE);
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_true(CreateFile(state->path, GENERIC_READ, 0, NULL, OPEN_ALWAYS,
			       FILE_FLAG_OVERLAPPED, NULL) == INVALID_HANDLE_VALUE);
	assert_int_equal(GetLastError(), ERROR_NOT_SUPPORTED);
	file = open_file(state, GENERIC_READ, OPEN_ALWAYS);
	assert_false(WriteFile(file, &byte, 1, &n, NULL));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_int_equal(n, 0);
	assert_false(ReadFile(file, &byte, 1, &n, &later));
	assert_int_equal(GetLastError(), ERROR_NOT_SUPPORTED);
	assert_int_equal(SetFilePointer(file, 0, NULL, 3), INVALID_SET_FILE_POINTER);
	assert_int_equal(SetFilePointer(file, -1, NULL, FILE_BEGIN), INVALID_SET_FILE_POINTER);
	assert_true(CloseHandle(file));
	assert_false(CloseHandle(file));
	assert_int_equal(GetFileSize(file, NULL), INVALID_FILE_SIZE);
	assert_false(FlushFileBuffers(file));
}

/* ---- threads ------------------------------------------------------------------------------- */

static DWORD slot;

static DWORD WINAPI count_alone(LPVOID argument)
{
	DWORD before = TlsGetValue(slot) != NULL;

	TlsSetValue(slot, argument);
	return before + (TlsGetValue(slot) == argument ? 10 : 0);
}

static DWORD wait_for_code(HANDLE thread)
{
	DWORD code = 0;

	assert_int_equal(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0);
	assert_true(GetExitCodeThread(thread, &code));
	CloseHandle(thread);
	return code;
}

static void each_thread_has_its_value(void **in)
{
	int here, there;

	(void)in;
	slot = TlsAlloc();
	assert_int_not_equal(slot, TLS_OUT_OF_INDEXES);
	assert_null(TlsGetValue(slot));
	assert_true(TlsSetValue(slot, &here));
	assert_int_equal(wait_for_code(CreateThread(NULL, 0, count_alone, &there, 0, NULL)), 10);
	assert_ptr_equal(TlsGetValue(slot), &here);
	assert_true(TlsFree(slot));
	assert_false(TlsFree(slot));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_false(TlsSetValue(slot, &here));
}

static DWORD WINAPI terminate_self(LPVOID argument)
{
	(void)argument;
	TerminateThread(GetCurrentThread(), 5);
	return 6;
}

static DWORD WINAPI wait_for(LPVOID event)
{
	WaitForSingleObject(event, INFINITE);
	return 7;
}

static void threads_are_terminated_where_it_is_safe(void **in)
{
	HANDLE event = CreateEvent(NULL, TRUE, FALSE, NULL), thread;

	(void)in;
	assert_int_equal(wait_for_code(CreateThread(NULL, 0, terminate_self, NULL, 0, NULL)), 5);
	thread = CreateThread(NULL, 0, wait_for, event, CREATE_SUSPENDED, NULL);
	assert_true(TerminateThread(thread, 8));
	assert_int_equal(wait_for_code(thread), 8);
	thread = CreateThread(NULL, 0, wait_for, event, 0, NULL);
	assert_false(TerminateThread(thread, 8));
	assert_int_equal(GetLastError(), ERROR_NOT_SUPPORTED);
	assert_true(SetEvent(event));
	assert_int_equal(wait_for_code(thread), 7);
	assert_false(TerminateThread(event, 0));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	CloseHandle(event);
}

/* ---- the C library ------------------------------------------------------------------------- */

static void texts_are_scanned_into_their_size(void **in)
{
	char word[4] = "xyz", set[8], letters[3] = { 0 };
	int number = 0, n = 0;
	double real = 0;
	long long large;
	unsigned int size = sizeof(word);

	(void)in;
	assert_int_equal(sscanf_s("abcdef 12", "%s %d", word, size, &number), 1);
	assert_string_equal(word, "abc"); /* the rest is no number */
	assert_int_equal(sscanf_s("ab 12 0.5", "%s%d%lf", word, size, &number, &real), 3);
	assert_string_equal(word, "ab");
	assert_int_equal(number, 12);
	assert_true(real == 0.5);
	assert_int_equal(sscanf_s("abc", "%1s%2c", word, size, letters, 2u), 2);
	assert_string_equal(word, "a");
	assert_memory_equal(letters, "bc", 2);
	assert_int_equal(sscanf_s("]]x5%", "%[]]x%i%%%n", set, (unsigned int)sizeof(set), &number,
				  &n),
			 2);
	assert_string_equal(set, "]]");
	assert_int_equal(number, 5);
	assert_int_equal(n, 5);
	assert_int_equal(sscanf_s("7 skipped 8", "%*d %*s %lld", &large), 1);
	assert_true(large == 8);
	assert_int_equal(sscanf_s("ab^c", "%[^^]", set, (unsigned int)sizeof(set)), 1);
	assert_string_equal(set, "ab");
	/* No room at all, or more places than there are. */
	assert_int_equal(sscanf_s("a", "%s", word, 0u), EOF);
	assert_int_equal(sscanf_s("a", "%s", word, 1u), EOF);
	assert_int_equal(sscanf_s("abc", "%3c", word, 2u), EOF);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(sscanf_s("", "%d", &number), EOF);

	/* A set that nothing ends: what lies behind the format is not looked at. */
	char *open_set = strdup("%[a");

	assert_non_null(open_set);
	assert_true(sscanf_s("b", open_set, word, size) <= 0);
	free(open_set);
}

static void files_are_scanned(void **in)
{
	struct state *state = *in;
	char word[8];
	FILE *file;

	write_file(state, "word 1\nother 2\n");
	file = fopen(state->path, "re");
	for (int i = 1; i <= 2; i++) {
		int number = 0;

		assert_int_equal(fscanf_s(file, "%s %d", word, (unsigned int)sizeof(word), &number),
				 2);
		assert_int_equal(number, i);
	}
	assert_string_equal(word, "other");
	assert_int_equal(fscanf_s(file, "%s", word, (unsigned int)sizeof(word)), EOF);
	fclose(file);
	file = freopen(state->path, "re", stdin);
	assert_non_null(file);
	assert_int_equal(scanf_s("%7s", word, (unsigned int)sizeof(word)), 1);
	assert_string_equal(word, "word");
}

static void commands_of_windows_are_understood(void **in)
{
	(void)in;
	assert_non_null(freopen("/dev/null", "re", stdin));
	assert_int_equal(system("pause >/dev/null") != 0, 1); /* none of ours, and nobody's */
	assert_int_equal(system("PAUSE"), 0);
	assert_int_equal(system("cls"), 0);
	assert_int_equal(WEXITSTATUS(system("exit 3")), 3);
	assert_true(system(NULL) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_are_written_and_read),
		TEST(dispositions_differ),
		TEST(files_fail_as_there),
		TEST(each_thread_has_its_value),
		TEST(threads_are_terminated_where_it_is_safe),
		TEST(texts_are_scanned_into_their_size),
		TEST(files_are_scanned),
		TEST(commands_of_windows_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
