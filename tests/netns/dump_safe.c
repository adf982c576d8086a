/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump where disks are full, fail or vanish, and where somebody wishes it ill: dump_safe NPF.
 * Every end is clean and told; nobody can make it write somewhere else, or have its rights.
 */
#include "netns/dump_tool.h"

/* ---- disks ----------------------------------------------------------------------------------- */

static void disk_full(void **state)
{
	struct list list;
	uint64_t next = 0;
	pid_t pid;

	(void)state;
	if (!installed("mkfs.ext4") ||
	    !mount_here("ext4 in a file",
			"truncate -s 8M image && mkfs.ext4 -q -m 0 image && mount -o loop image fs "
			"2>/dev/null"))
		skip();
	pid = START_DUMP("-w fs/full.pcap");
	flood(FRAMES);
	ASSERT_CODE(end_of(pid), EXIT_DISK_FULL);
	assert_true(said("the disk is full"));
	assert_true(read_file("fs/full.pcap", &next) > 10000);
	ASSERT_CODE(run_npf("repair --check fs/full.pcap"), EXIT_OK);
	assert_int_equal(unlink("fs/full.pcap"), 0);
	pid = START_DUMP("-w fs/ring.pcap --rotate-size 1M");
	flood(FRAMES);
	ASSERT_CODE(end_of(pid), EXIT_DISK_FULL);
	assert_int_equal(chdir("fs"), 0);
	find_files(&list, ".", ".pcap");
	next = 0;
	for (size_t i = 0; i < list.n; i++)
		read_file(list.names[i], &next);
	assert_true(next > 10000);
	find_files(&list, ".", ".part");
	assert_int_equal(list.n, 0);
	assert_int_equal(chdir(".."), 0);
	unmount_here();
}

/* No file may be larger: that is no death by a signal. */
static void largest_file(void **state)
{
	const struct rlimit limit = { .rlim_cur = 1000000, .rlim_max = 1000000 };
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w large.pcap");

	(void)state;
	assert_int_equal(prlimit(pid, RLIMIT_FSIZE, &limit, NULL), 0);
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_DISK);
	assert_true(said("as large as it can be"));
	/* That is no fault of the file system. */
	assert_false(said("the file system refused it"));
	assert_true(read_file("large.pcap", &next) > 4000);
	assert_true(size_of("large.pcap") <= 1000000);
}

/* Somebody else writes behind a dump that appends: what it began cannot be taken back, and is told. */
static void appended_by_two(void **state)
{
	const struct rlimit limit = { .rlim_cur = 1000000, .rlim_max = 1000000 };
	int fd = open("out", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t pid = start_npf(fd, "dump -i va -w -");

	(void)state;
	WIRE_UNTIL(said("dumping from") && size_of("out"));
	assert_int_equal(write(fd, "!", 1), 1);
	close(fd);
	assert_int_equal(prlimit(pid, RLIMIT_FSIZE, &limit, NULL), 0);
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_DISK);
	assert_true(said("npf repair"));
}

/* What could not be cut is no complete file: it keeps its .part, and the older file its own name. */
static void uncut_leaves_the_older_file(void **state)
{
	const struct rlimit limit = { .rlim_cur = 1000000, .rlim_max = 1000000 };
	pid_t pid;

	(void)state;
	assert_int_equal(system("echo old data >q.pcap"), 0);
	pid = start_npf(-1, "dump -i va -w q.pcap --force --json --interval 1h --compress zstd");
	WIRE_UNTIL(said("\"type\":\"start\"") || has_ended(pid));
	if (system_quietly("chattr +a q.pcap.part")) {
		print_message("    no file system with chattr +a\n");
		stop(pid, SIGINT);
		skip();
	}
	assert_int_equal(prlimit(pid, RLIMIT_FSIZE, &limit, NULL), 0);
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_DISK);
	assert_int_equal(system_quietly("chattr -a q.pcap.part"), 0);
	assert_int_equal(size_of("q.pcap"), 9);
	assert_false(exists("q.pcap.zst"));
	assert_int_equal(said("\"file\":\"q.pcap.part\",\"number\":0"), 1);
	assert_int_equal(said("\"last_file\":\"q.pcap.part\""), 1);
}

/* The name of a file that is there when the dump begins makes room, and no other. */
static void only_what_was_there_is_replaced(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(system("echo old data >r.pcap.zst"), 0);
	pid = START_DUMP("-w r.pcap --compress zstd");
	assert_int_equal(system("echo new data >r.pcap"), 0);
	flood(1000);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_DISK);
	assert_true(said("r.pcap is complete but could not be renamed"));
	assert_true(exists("r.pcap.part"));
	assert_int_equal(size_of("r.pcap"), 9);
	assert_int_equal(size_of("r.pcap.zst"), 9);
}

/* btrfs lets nobody cut a file whose quota is used up; it is told, and repaired when there is room. */
static void quota(void **state)
{
	uint64_t next = 0;
	pid_t pid;

	(void)state;
	if (!installed("mkfs.btrfs") ||
	    !mount_here("btrfs in a file",
			"truncate -s 256M image && mkfs.btrfs -q image >/dev/null 2>&1 && mount -o "
			"loop image fs && btrfs quota enable fs && btrfs qgroup limit 8M fs"))
		skip();
	pid = START_DUMP("-w fs/q.pcap");
	flood(FRAMES);
	ASSERT_CODE(end_of(pid), EXIT_DISK_FULL);
	assert_true(said("the quota is used up"));
	assert_int_equal(system("btrfs qgroup limit none fs"), 0);
	if (exists("fs/q.pcap.part")) {
		assert_true(said("npf repair"));
		ASSERT_CODE(run_npf("repair --rename fs/q.pcap.part"), EXIT_OK);
	}
	assert_true(read_file("fs/q.pcap", &next) > 10000);
	unmount_here();
}

/* What a disk would hold if the power went now: the file system is mounted from a copy of it. */
static bool survives(uint64_t bytes)
{
	struct stat status;
	bool there;

	if (system_quietly("cp --sparse=always image copy && mount -o loop copy after"))
		return false;
	there = !stat("after/p.pcap.part", &status) && (uint64_t)status.st_size >= bytes;
	if (!there)
		umount2("after", 0);
	return there;
}

/* The file system itself brings nothing to the disk for an hour; the dump asks it to. */
static void power_cut(void **state)
{
	const uint64_t count = 5000;
	uint64_t next = 0;
	pid_t pid;

	(void)state;
	if (!installed("mkfs.ext4") ||
	    !mount_here("ext4 in a file",
			"truncate -s 64M image && mkfs.ext4 -q image && mount -o loop,commit=3600 "
			"image fs 2>/dev/null"))
		skip();
	assert_int_equal(mkdir("after", 0755), 0);
	pid = START_DUMP("-w fs/p.pcap");
	flood(count);
	WIRE_UNTIL(survives(24 + count * (16 + LENGTH)));
	ASSERT_CODE(run_npf("repair --rename after/p.pcap.part"), EXIT_OK);
	assert_int_equal(read_file("after/p.pcap", &next), count);
	umount2("after", MNT_DETACH);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	unmount_here();
}

static void memory_disk(void **state)
{
	uint64_t next = 0;
	pid_t pid;

	(void)state;
	if (!mount_here("tmpfs", "mount -t tmpfs none fs"))
		skip();
	pid = START_DUMP("-w fs/t.pcap");
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(read_file("fs/t.pcap", &next), frames);
	pid = start_npf(-1, "dump -i va -w fs/u.pcap --json");
	WIRE_UNTIL(exists("fs/u.pcap.part"));
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("\"direct\":false,\"why_not_direct\":\"tmpfs"), 1);
	pid = START_DUMP("-w fs/v.pcap --buffered");
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("no direct I/O ("), 1);
	unmount_here();
}

static void directory_removed(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	pid = START_DUMP("-w d/r.pcap --rotate-packets 1000");
	assert_int_equal(system("rm -rf d"), 0);
	flood(5000);
	ASSERT_CODE(end_of(pid), EXIT_DISK);
	/* Without rotation it is known in the end. */
	assert_int_equal(mkdir("d", 0755), 0);
	pid = START_DUMP("-w d/r.pcap");
	assert_int_equal(system("rm -rf d"), 0);
	flood(5000);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_DISK);
}

/* ---- users and links ------------------------------------------------------------------------- */

static void assert_line(const char *path, const char *key, unsigned long long wanted)
{
	char line[4096];
	FILE *file = fopen(path, "re");
	bool found = false;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		found = true;
		if (strtoull(line + strlen(key), NULL, 16) != wanted)
			fail_msg("%s: %s", path, line);
	}
	fclose(file);
	assert_true(found);
}

/* Each thread of a dump, also those that were there before: no capability in any set, no way to new
 * ones, and a short list of system calls. */
static void assert_harmless(pid_t pid, const struct passwd *user)
{
	static const char *const sets[] = { "CapInh:", "CapPrm:", "CapEff:", "CapAmb:" };
	char directory[64], path[400];
	struct dirent *entry;
	DIR *threads;

	snprintf(directory, sizeof(directory), "/proc/%d/task", (int)pid);
#ifndef NPF_SANITIZED
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	WIRE_UNTIL(!system_quietly("grep -q 'Seccomp:.*2' %s", path));
#endif
	threads = opendir(directory);
	assert_non_null(threads);
	while ((entry = readdir(threads))) {
		if (*entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/status", directory, entry->d_name);
		for (size_t i = 0; i < N_OF(sets); i++)
			assert_line(path, sets[i], 0);
#ifndef NPF_SANITIZED
		assert_line(path, "Seccomp:", 2);
		assert_line(path, "NoNewPrivs:", 1);
#endif
		assert_int_equal(system_quietly("grep -q '^Uid:.%d.%d.%d.%d$' %s",
						(int)user->pw_uid, (int)user->pw_uid,
						(int)user->pw_uid, (int)user->pw_uid, path),
				 0);
	}
	closedir(threads);
}

static void as_nobody(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	struct list list;
	struct stat status;
	pid_t pid;

	(void)state;
	if (!nobody) {
		print_message("    there is no user nobody\n");
		skip();
	}
	assert_int_equal(mkdir("mine", 0700), 0);
	assert_int_equal(mkdir("his", 0755), 0);
	assert_int_equal(chown("his", nobody->pw_uid, nobody->pw_gid), 0);
	/* Where nobody may not write, root's rights must not help. */
	ASSERT_CODE(run_npf("dump -i va -w mine/a.pcap --user nobody --duration 10ms"), EXIT_DISK);
	for (size_t i = 0; i < N_OF(wire_hooks); i++) {
		pid = START_DUMP("-w his/h%zu.pcap --user nobody --hook %s --compress zstd", i,
				 npf_hook_name(wire_hooks[i]));
		if (said("dumping from")) {
			assert_harmless(pid, nobody);
			flood(1000);
			ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
			assert_int_equal(said("1000 packets received"), 1);
			assert_int_equal(said("zstd: 1 file"), 1);
		} else {
			end_of(pid); /* no such hook here */
		}
	}
	pid = START_DUMP("-w his/a.pcap --user nobody --rotate-packets 1000 --files 5");
	assert_harmless(pid, nobody);
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("0 packets dropped"), 1);
	assert_int_equal(chdir("his"), 0);
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 5);
	assert_flood(&list, frames - 5000, frames);
	for (size_t i = 0; i < list.n; i++) {
		assert_int_equal(stat(list.names[i], &status), 0);
		assert_int_equal(status.st_uid, nobody->pw_uid);
		assert_int_equal(status.st_gid, nobody->pw_gid);
		assert_int_equal(status.st_mode & 077, 0);
	}
	assert_int_equal(chdir(".."), 0);
	ASSERT_CODE(run_npf("dump -i va -w his/b.pcap --user root"), EXIT_USAGE);
	ASSERT_CODE(run_npf("dump -i va -w his/b.pcap --user nosuchuser"), EXIT_USAGE);
}

/* Not root, but given what a capture needs: all of that is gone when it runs. */
static void with_capabilities_only(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	char command[1024];
	pid_t pid;

	(void)state;
	if (!nobody) {
		print_message("    there is no user nobody\n");
		skip();
	}
	if (!installed("setpriv")) {
		print_message("    setpriv is not installed\n");
		skip();
	}
	if (system_quietly("setpriv --reuid=nobody --clear-groups test -x %s", npf)) {
		print_message("    the user nobody may not run npf where it was built\n");
		skip();
	}
	assert_int_equal(chown(".", nobody->pw_uid, nobody->pw_gid), 0);
	snprintf(command, sizeof(command),
		 "exec setpriv --reuid=%d --clear-groups --inh-caps=-all,+net_raw "
		 "--ambient-caps=-all,+net_raw %s dump -i va -w c.pcap --hook tpacket 2>" LOG,
		 (int)nobody->pw_uid, npf);
	assert_int_equal(system(": >" LOG), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	WIRE_UNTIL(said("dumping from") || has_ended(pid));
	if (!said("dumping from"))
		show_log();
	assert_harmless(pid, nobody);
	flood(1000);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("1000 packets received"), 1);
}

/* What somebody planted in a directory that others may write to. */
static void planted(void **state)
{
	const uid_t somebody = 12345;

	(void)state;
	assert_int_equal(mkdir("shared", 0777), 0);
	assert_int_equal(chmod("shared", 01777), 0);
	assert_int_equal(system("echo precious >target"), 0);
	assert_int_equal(symlink("../target", "shared/a.pcap"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/a.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(said("symbolic link"), 1);
	assert_int_equal(symlink("../target", "shared/b.pcap.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/b.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(said(".part exists"), 1);
	assert_int_equal(symlink("../new", "shared/c.pcap.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/c.pcap --duration 10ms"), EXIT_DISK);
	assert_false(exists("new"));
	/* Numbers step aside. */
	assert_int_equal(symlink("../target", "shared/d-00001.pcap"), 0);
	assert_int_equal(symlink("../target", "shared/d-00002.pcap.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/d.pcap --rotate-size 1M --duration 10ms"),
		    EXIT_OK);
	assert_true(exists("shared/d-00003.pcap"));
	assert_int_equal(system("echo his >shared/e.pcap"), 0);
	assert_int_equal(chown("shared/e.pcap", somebody, somebody), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/e.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(said("somebody else"), 1);
	assert_int_equal(mkfifo("shared/f.pcap", 0666), 0);
	assert_int_equal(chown("shared/f.pcap", somebody, somebody), 0);
	/* Nobody reads it: to open it would take for ever. */
	ASSERT_CODE(run_npf("dump -i va -w shared/f.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(size_of("target"), 9);
	/* A group is others, too. */
	assert_int_equal(mkdir("group", 0770) || chmod("group", 0770), 0);
	assert_int_equal(system("echo his >group/g.pcap"), 0);
	assert_int_equal(chown("group/g.pcap", somebody, somebody), 0);
	ASSERT_CODE(run_npf("dump -i va -w group/g.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(size_of("group/g.pcap"), 4);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(disk_full),
		TEST(largest_file),
		TEST(appended_by_two),
		TEST(uncut_leaves_the_older_file),
		TEST(only_what_was_there_is_replaced),
		TEST(quota),
		TEST(power_cut),
		TEST(memory_disk),
		TEST(directory_removed),
		TEST(as_nobody),
		TEST(with_capabilities_only),
		TEST(planted),
	};

	return run_dump_tests(argc, argv, "npf dump, safety", tests, N_OF(tests));
}
