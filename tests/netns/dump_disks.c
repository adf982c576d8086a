/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where dumps go, on every hook: file systems that refuse direct writes, get full or fail, and names
 * that are somebody else's.
 */
#include "netns/dump.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* ---- file systems -------------------------------------------------------------------------- */

static bool own_mounts; /* nobody else's business */

static bool mount_tmpfs(const char *place)
{
	mkdir(place, 0700);
	if (own_mounts && !mount("none", place, "tmpfs", 0, "size=4m"))
		return true;
	rmdir(place);
	return false;
}

static bool mount_image(const char *place)
{
	char command[700];

	mkdir(place, 0700);
	snprintf(command, sizeof(command), "mount -o loop %s/image %s 2>/dev/null", directory,
		 place);
	if (own_mounts && !system(command))
		return true;
	rmdir(place);
	return false;
}

/* A file system in a file; make: what makes it, of the file. */
static bool mount_new_image(const char *place, unsigned int mib, const char *make)
{
	char command[1400];

	snprintf(command, sizeof(command),
		 "cd %s && rm -f image && truncate -s %uM image && %s image >/dev/null 2>&1",
		 directory, mib, make);
	if (!system(command) && mount_image(place))
		return true;
	unlink(path_of("image"));
	return false;
}

static void unmount_image(const char *place)
{
	umount2(place, MNT_DETACH);
	rmdir(place);
	unlink(path_of("image"));
}

static const char plain_ext4[] = "mkfs.ext4 -q -O ^has_journal";

/* What is written behind the new end of the device is an I/O error. */
static const char shorten_image[] =
	"truncate -s 14M image && losetup -c $(losetup -n -O NAME -j image)";

static void run_here(const char *command)
{
	char text[400];

	snprintf(text, sizeof(text), "cd %s && %s", directory, command);
	assert_int_equal(system(text), 0);
}

/* More than it has room for: whole files, the cause, and not one packet unaccounted for. meanwhile:
 * a command that makes trouble once the dump goes. */
static void fill(struct wire *wire, const char *place, bool direct, int err, const char *meanwhile)
{
	static const struct plan plan = { .size = 1514, .n_senders = 1 };
	static struct files files;
	struct npf_dump_options options = options_for(&files, NPF_DUMP_PCAP_NS);

	files.place = place;
	options.file_bytes = 1 << 20;
	start(wire, &options);
	if (meanwhile)
		run_here(meanwhile);
	FLOOD_UNTIL(wire, &plan, 20000, has_ended(wire));
	assert_int_equal(npf_dump_stop(wire->instance), err);

	struct npf_dump_status status = status_of(wire);
	struct npf_stats stats = wire_stats(wire->instance);
	struct contents contents = check_files(wire, &files, 1514);

	assert_int_equal(status.end, err == -EIO ? NPF_DUMP_FAILED : NPF_DUMP_FULL);
	assert_int_equal(status.error, err);
	assert_int_equal(status.direct, direct);
	assert_true(strlen(status.message) > 10);
	assert_int_equal(stats.received, contents.packets + status.lost + stats.dropped);
	assert_true(contents.packets > 1500);
	print_message("    %llu received = %llu written + %llu lost + %llu dropped\n",
		      (unsigned long long)stats.received, (unsigned long long)contents.packets,
		      (unsigned long long)status.lost, (unsigned long long)stats.dropped);
}

static void full_tmpfs(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300];

	snprintf(place, sizeof(place), "%s", path_of("tmpfs"));
	if (!mount_tmpfs(place)) {
		print_message("tmpfs cannot be mounted\n");
		skip();
	}
	fill(wire, place, false, -ENOSPC, NULL);
	umount(place);
	rmdir(place);
}

static void full_ext4(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300];

	snprintf(place, sizeof(place), "%s", path_of("ext4"));
	if (!mount_new_image(place, 16, plain_ext4)) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	fill(wire, place, true, -ENOSPC, NULL);
	unmount_image(place);
}

static void failing_disk(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300];

	snprintf(place, sizeof(place), "%s", path_of("failing"));
	if (!mount_new_image(place, 64, plain_ext4)) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	fill(wire, place, true, -EIO, shorten_image);
	unmount_image(place);
}

/* The page cache takes all, and the disk does not: that is heard of when the file is complete. */
static void failing_behind_the_cache(void **state)
{
	static const struct plan plan = { .size = 1514, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	char place[300], path[320];
	struct npf_dump_options options = {
		.size = sizeof(options),
		.path = path,
		.buffered = true,
	};

	snprintf(place, sizeof(place), "%s", path_of("cached"));
	snprintf(path, sizeof(path), "%s/a", place);
	if (!mount_new_image(place, 64, plain_ext4)) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	start(wire, &options);
	run_here(shorten_image);
	send_flood(wire, &plan, 20000);
	WIRE_UNTIL(wire_stats(wire->instance).received >= 20000);
	assert_int_equal(npf_dump_stop(wire->instance), -EIO);
	assert_int_equal(status_of(wire).end, NPF_DUMP_FAILED);
	assert_int_equal(status_of(wire).error, -EIO);
	assert_non_null(strstr(status_of(wire).message, "to the disk"));
	assert_false(status_of(wire).direct);
	unmount_image(place);
}

/* Once the end is told nothing holds the file system any more, and all of it is on the disk. */
static void unmounted_at_the_end(void **state)
{
	static const struct plan plan = { .size = 1514, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	char place[300], path[320];

	snprintf(place, sizeof(place), "%s", path_of("unmounted"));
	snprintf(path, sizeof(path), "%s/a", place);
	if (!mount_new_image(place, 32, plain_ext4)) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	for (int limited = 0; limited < 2; limited++) {
		struct npf_dump_options options = {
			.size = sizeof(options),
			.path = path,
			.max_packets = limited ? 1000 : 0,
			.buffered = !limited,
		};
		struct contents contents = { 0 };

		start(wire, &options);
		if (limited) {
			FLOOD_UNTIL(wire, &plan, 2000, has_ended(wire));
		} else {
			FLOOD_UNTIL(wire, &plan, 2000, wire_stats(wire->instance).captured >= 1000);
			assert_int_equal(npf_dump_stop(wire->instance), 0);
		}
		assert_int_equal(umount(place), 0);
		assert_int_equal(npf_dump_stop(wire->instance), 0);
		assert_true(mount_image(place));
		assert_int_equal(check_contents(path, 1514, 0, &contents), status_of(wire).packets);
		assert_true(contents.packets >= 1000);
	}
	unmount_image(place);
}

/* btrfs refuses even to cut a file then: it is longer than what is whole of it, and that is told. */
static void quota_used_up(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300], command[1024];

	snprintf(place, sizeof(place), "%s", path_of("quota"));
	if (!mount_new_image(place, 256, "mkfs.btrfs -q")) {
		print_message("btrfs cannot be mounted\n");
		skip();
	}
	snprintf(command, sizeof(command),
		 "{ btrfs quota enable %s && btrfs qgroup limit 8M %s; } >/dev/null 2>&1", place,
		 place);
	if (system(command)) {
		print_message("btrfs has no quotas here\n");
		unmount_image(place);
		skip();
	}
	fill(wire, place, true, -EDQUOT, NULL);
	unmount_image(place);
}

/* It takes the flag, and copies all the same. */
static void disk_that_only_seems_direct(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300], path[320];
	struct npf_dump_options options = { .size = sizeof(options), .path = path };

	snprintf(place, sizeof(place), "%s", path_of("journal"));
	snprintf(path, sizeof(path), "%s/a", place);
	if (!mount_new_image(place, 32, "mkfs.ext4 -q image && tune2fs -o journal_data")) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	start(wire, &options);
	assert_false(status_of(wire).direct);
	assert_true(strlen(status_of(wire).why_not_direct) > 5);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	unmount_image(place);
}

/* Behind what is in a file already, as by >>: it stays, and what has no room is taken back. */
static void appended(struct wire *wire, const char *path, int err, uint64_t least)
{
	static const struct plan plan = { .size = 1514, .n_senders = 1 };
	struct contents contents = { 0 };
	struct savefile save;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "before", 6), 6);
	start_into(wire, &fd);
	if (err)
		FLOOD_UNTIL(wire, &plan, 5000, has_ended(wire));
	else
		send_flood(wire, &plan, 5000);
	assert_int_equal(npf_dump_stop(wire->instance), err);
	close(fd);

	struct mapping mapping = map_file(path);

	assert_memory_equal(mapping.data, "before", 6);
	savefile_open(&save, mapping.data + 6, mapping.size - 6);
	while (savefile_next(&save)) /* which wants whole records */
		check_frame(&save, 1514, &contents);
	assert_int_equal(contents.packets, status_of(wire).packets);
	assert_int_equal(status_of(wire).bytes, mapping.size - 6);
	assert_true(contents.packets + wire_stats(wire->instance).dropped >= least);
	unmap_file(&mapping);
	unlink(path);
}

static void appended_to_a_file(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300], path[320];

	appended(wire, path_of("appended"), 0, 5000);
	snprintf(place, sizeof(place), "%s", path_of("tmpfs"));
	snprintf(path, sizeof(path), "%s/a", place);
	if (!mount_tmpfs(place)) {
		print_message("tmpfs cannot be mounted\n");
		skip();
	}
	/* All but the page at the end, or a record. */
	appended(wire, path, -ENOSPC, ((4u << 20) - 4096 - 1530) / 1530);
	umount(place);
	rmdir(place);
}

static void largest_file(void **state)
{
	static const struct plan plan = { .size = 1514, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	struct rlimit old, small;
	struct contents contents = { 0 };
	struct npf_dump_options options = {
		.size = sizeof(options),
		.path = path_of("largest"),
	};

	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 1000000;
	start(wire, &options);
	setrlimit(RLIMIT_FSIZE, &small);
	FLOOD_UNTIL(wire, &plan, 5000, has_ended(wire));
	assert_int_equal(npf_dump_stop(wire->instance), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(status_of(wire).end, NPF_DUMP_FAILED);
	assert_int_equal(check_contents(options.path, 1514, 0, &contents), status_of(wire).packets);
	unlink(options.path);
}

/* ---- names --------------------------------------------------------------------------------- */

static void refuse(struct wire *wire, const char *path, int err)
{
	struct npf_dump_options options = { .size = sizeof(options), .path = path };

	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	assert_int_equal(npf_dump_start(wire->instance, &options), err);
	assert_true(strlen(npf_error(wire->instance)) > 10);
}

static void names_that_are_somebody_elses(void **state)
{
	struct wire *wire = wire_of(state);
	char path[300], link[300];
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "%s", path_of("precious"));
	snprintf(link, sizeof(link), "%s", path_of("link"));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	assert_int_equal(symlink(path, link), 0);
	refuse(wire, link, -ELOOP);
	assert_int_equal(fchown(fd, 12345, 12345), 0);
	refuse(wire, path, -EPERM);
	refuse(wire, directory, -EISDIR);
	refuse(wire, path_of("nowhere/at/all"), -ENOENT);
	refuse(wire, "/dev/null", -EINVAL);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, 8);
	close(fd);
	unlink(path);
	unlink(link);
}

/* npf repair, and any other dump, keep off a file that is being written. */
static void file_is_locked(void **state)
{
	struct wire *wire = wire_of(state);
	char a[300], b[300];
	int fd, other;

	snprintf(a, sizeof(a), "%s", path_of("a"));
	snprintf(b, sizeof(b), "%s", path_of("b"));
	fd = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	other = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "old", 3), 3);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	refuse(wire, a, -EBUSY);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3);
	assert_int_equal(flock(fd, LOCK_UN), 0);

	/* The manual's way; the second time under the same name. */
	assert_int_equal(npf_set_mode(wire->instance, NPF_MODE_DUMP), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETDUMPFILENAME, a,
						strlen(a) + 1, NULL, 0, NULL),
				 0);
		/* With its first write it takes the file over. */
		WIRE_UNTIL(status_of(wire).writes > 0);
		assert_int_equal(lseek(fd, 0, SEEK_END), 24);
		assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	}
	/* One that is taken changes nothing. */
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(npf_io_control(wire->instance, NPF_BIOCSETDUMPFILENAME, b, strlen(b) + 1,
					NULL, 0, NULL),
			 -EBUSY);
	wire_send_plain(wire, 0, 10, 100);
	wire_received(wire->instance, 10);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	assert_int_equal(status_of(wire).packets, 10);
	assert_int_equal(lseek(fd, 0, SEEK_END), 24 + 10 * 116);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	close(other);
	unlink(a);
	unlink(b);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "a full tmpfs", full_tmpfs },
		{ "a full ext4", full_ext4 },
		{ "a failing disk", failing_disk },
		{ "a disk that fails behind the cache", failing_behind_the_cache },
		{ "unmounted at the end", unmounted_at_the_end },
		{ "a quota", quota_used_up },
		{ "a disk that seems direct", disk_that_only_seems_direct },
		{ "appended to a file", appended_to_a_file },
		{ "the largest file", largest_file },
		{ "locks", file_is_locked },
		{ "names", names_that_are_somebody_elses },
	};

	net_require();
	/* In a chroot it cannot be: then only what needs no mounts is tested. */
	own_mounts = !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return run_dumps("dump to disks", tests, N_OF(tests));
}
