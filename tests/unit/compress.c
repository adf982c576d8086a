/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressing finished files: what comes out is what went in, nothing is overwritten, a full queue
 * is told, and a file that is removed meanwhile does not come back.
 */
#include "lib/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "../../tools/npf/savefile/compress.h"

#define SIZE     (3u << 20) /* more than is read at once */
#define FOREVER  60000
#define TOO_MANY (NPF_COMPRESS_QUEUE + 10)

static char home[64];
static int directory;

static int make_directory(void **state)
{
	(void)state;
	strcpy(home, "/tmp/npf-compress-XXXXXX");
	if (!mkdtemp(home) || chdir(home))
		return -1;
	directory = open(".", O_RDONLY | O_DIRECTORY);
	return directory < 0;
}

static int remove_directory(void **state)
{
	char command[96];

	(void)state;
	close(directory);
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return chdir("/") || system(command);
}

static void write_file(const char *name, uint32_t size, uint32_t seed)
{
	uint8_t *bytes = malloc(size);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_non_null(bytes);
	frame_fill(bytes, size, seed);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
	free(bytes);
}

static void assert_compressed(const char *name, uint32_t size, uint32_t seed)
{
	size_t room = size + 1024;
	uint8_t *packed = malloc(room), *bytes = malloc(room);
	int fd = open(name, O_RDONLY);
	ssize_t n;

	assert_true(packed && bytes && fd >= 0);
	n = read(fd, packed, room);
	assert_true(n > 0);
	assert_int_equal(ZSTD_decompress(bytes, room, packed, (size_t)n), size);
	assert_true(frame_is(bytes, size, seed));
	close(fd);
	free(packed);
	free(bytes);
}

static bool exists(const char *name)
{
	return !access(name, F_OK);
}

static void there_and_back(void **state)
{
	struct npf_compress *compress;
	struct npf_compress_report report;

	(void)state;
	write_file("a", SIZE, 1);
	write_file("b", 0, 2);
	assert_int_equal(npf_compress_start(&compress, directory, 1), 0);
	assert_true(npf_compress_add(compress, "a", 0, false));
	assert_true(npf_compress_add(compress, "b", 1, false));
	assert_true(npf_compress_finish(compress, FOREVER));
	npf_compress_end(compress, &report);
	assert_int_equal(report.files, 2);
	assert_int_equal(report.bytes_in, SIZE);
	assert_string_equal(report.last, "b");
	assert_int_equal(report.left + report.failed, 0);
	assert_true(report.cpu_ns > 0);
	assert_compressed("a.zst", SIZE, 1);
	assert_compressed("b.zst", 0, 2);
	assert_false(exists("a") || exists("a.zst.part"));
}

/* What is in the way stays, and so does the file. */
static void nothing_is_overwritten(void **state)
{
	struct npf_compress *compress;
	struct npf_compress_report report;

	(void)state;
	write_file("c", 1000, 3);
	assert_int_equal(symlink("target", "c.zst"), 0);
	write_file("d", 1000, 4);
	assert_int_equal(symlink("target", "d.zst.part"), 0);
	assert_int_equal(npf_compress_start(&compress, directory, 1), 0);
	assert_true(npf_compress_add(compress, "c", 0, false));
	assert_true(npf_compress_add(compress, "d", 1, false));
	assert_true(npf_compress_add(compress, "missing", 2, false));
	assert_true(npf_compress_finish(compress, FOREVER));
	npf_compress_end(compress, &report);
	assert_int_equal(report.failed, 3);
	assert_int_equal(report.error, -EEXIST);
	assert_true(exists("c") && exists("d"));
	assert_false(exists("target"));
}

/* Unless that was asked for. */
static void older_one_is_replaced(void **state)
{
	struct npf_compress *compress;
	struct npf_compress_report report;

	(void)state;
	write_file("i", 1000, 5);
	write_file("i.zst", 70, 6);
	assert_int_equal(npf_compress_start(&compress, directory, 1), 0);
	assert_true(npf_compress_add(compress, "i", 0, true));
	assert_true(npf_compress_finish(compress, FOREVER));
	npf_compress_end(compress, &report);
	assert_int_equal(report.files, 1);
	assert_compressed("i.zst", 1000, 5);
	assert_false(exists("i"));
}

/* The first file is a pipe that nobody writes to, which keeps the thread where the test wants it. */
static void hold(const char *name)
{
	assert_int_equal(mkfifo(name, 0600), 0);
}

static void release(const char *name)
{
	int fd = open(name, O_WRONLY);

	assert_true(fd >= 0);
	close(fd);
}

static void a_full_queue(void **state)
{
	struct npf_compress *compress;
	struct npf_compress_report report;
	uint64_t taken = 0;
	char name[16];

	(void)state;
	hold("pipe");
	assert_int_equal(npf_compress_start(&compress, directory, 1), 0);
	assert_true(npf_compress_add(compress, "pipe", 0, false));
	for (unsigned int i = 0; i < TOO_MANY; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		write_file(name, 100, i);
		taken += npf_compress_add(compress, name, i + 1, false);
	}
	assert_int_equal(taken, NPF_COMPRESS_QUEUE - 1);
	npf_compress_get_report(compress, &report);
	assert_int_equal(report.waiting, NPF_COMPRESS_QUEUE);
	assert_int_equal(report.left, TOO_MANY - taken);
	release("pipe");
	assert_true(npf_compress_finish(compress, FOREVER));
	npf_compress_end(compress, &report);
	assert_int_equal(report.files, taken + 1);
	assert_true(exists("f0.zst"));
	assert_true(exists("f70"));
}

static void removed_ones_stay_removed(void **state)
{
	struct npf_compress *compress;
	struct npf_compress_report report;

	(void)state;
	hold("pipe2");
	write_file("g1", 100, 1);
	write_file("g2", 100, 2);
	assert_int_equal(npf_compress_start(&compress, directory, 1), 0);
	assert_true(npf_compress_add(compress, "pipe2", 0, false));
	assert_true(npf_compress_add(compress, "g1", 1, false));
	assert_true(npf_compress_add(compress, "g2", 2, false));
	npf_compress_forget(compress, 1);
	release("pipe2");
	assert_true(npf_compress_finish(compress, FOREVER));
	npf_compress_end(compress, &report);
	assert_int_equal(report.files, 1);
	assert_int_equal(report.failed, 0);
	assert_false(exists("pipe2.zst") || exists("g1.zst"));
	assert_true(exists("g2.zst"));
}

/* A process whose end is the reader's. */
static pid_t write_for_ever(const char *name)
{
	static const char text[4096];
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	fd = open(name, O_WRONLY);
	while (write(fd, text, sizeof(text)) > 0)
		;
	_exit(0);
}

/* Asked to hurry, what waits stays as it is. */
static void hurry(void **state)
{
	struct npf_compress *compress;
	struct npf_compress_report report;
	pid_t writer;

	(void)state;
	hold("pipe3");
	writer = write_for_ever("pipe3");
	write_file("h", 100, 1);
	assert_int_equal(npf_compress_start(&compress, directory, 1), 0);
	assert_true(npf_compress_add(compress, "pipe3", 0, false));
	assert_true(npf_compress_add(compress, "h", 1, false));
	assert_false(npf_compress_finish(compress, 1));
	npf_compress_end(compress, &report);
	assert_int_equal(waitpid(writer, NULL, 0), writer);
	assert_int_equal(report.left, 2);
	assert_true(exists("h"));
	assert_false(exists("h.zst") || exists("pipe3.zst.part"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(nothing_is_overwritten),
		cmocka_unit_test(older_one_is_replaced),
		cmocka_unit_test(a_full_queue),
		cmocka_unit_test(hurry),
		cmocka_unit_test(removed_ones_stay_removed),
	};

	return cmocka_run_group_tests_name("compress", tests, make_directory, remove_directory);
}
