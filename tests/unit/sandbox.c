/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Within the sandbox of a dump: files can be made, written and named, threads come and go; programs,
 * sockets, code and other users do not exist any more, for threads that were there before neither.
 */
#include "lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../tools/npf/ui/sandbox.h"

static sem_t go;

/* In the child a check that fails is the line it stands in. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 255 + 1);                                                 \
	} while (0)

static void *be_confined(void *before)
{
	if (before)
		sem_wait(&go);
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == ENOSYS);
	return NULL;
}

static void files_work(void)
{
	char name[64], other[80];
	struct stat status;
	struct tm local;
	time_t now = time(NULL);
	int fd;

	snprintf(name, sizeof(name), "/tmp/npf-sandbox-%d", (int)getpid());
	snprintf(other, sizeof(other), "%s.other", name);
	fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, "bytes", 5, 0) == 5 && !ftruncate(fd, 3) && !fdatasync(fd));
	CHECK(!fstat(fd, &status) && status.st_size == 3);
	CHECK(!renameat2(AT_FDCWD, name, AT_FDCWD, other, RENAME_NOREPLACE));
	CHECK(!unlinkat(AT_FDCWD, other, 0));
	CHECK(localtime_r(&now, &local) != NULL);
	CHECK(!close(fd));
}

static _Noreturn void confine(void)
{
	char *const argv[] = { (char *)"true", NULL };
	pthread_t before, after;
	int err;

	sem_init(&go, 0, 0);
	CHECK(!pthread_create(&before, NULL, be_confined, &go));
	err = npf_sandbox_enter();
	if (err == -ENOSYS)
		_exit(0); /* not in this build, or not on this machine */
	CHECK(!err);
	sem_post(&go);
	CHECK(!pthread_join(before, NULL));
	CHECK(!pthread_create(&after, NULL, be_confined, NULL));
	CHECK(!pthread_join(after, NULL));
	files_work();
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	      MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	      MAP_FAILED);
	CHECK(setuid(getuid()) < 0);
	CHECK(fork() < 0 && errno == ENOSYS);
	CHECK(execv("/bin/true", argv) < 0 && errno == ENOSYS);
	_exit(0);
}

static void only_what_a_dump_needs(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		confine();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("status %x: the line is %d, or so many times 255 more", status,
			 WEXITSTATUS(status) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_what_a_dump_needs) };

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
