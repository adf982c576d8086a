/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dump to disk from real interfaces, on every hook: floods from two CPUs through changes of files,
 * file systems that refuse direct writes or get full, adapters that go, readers of pipes that do
 * not read, and what other programs say about the files.
 *
 * $NPF_TEST_PACKETS is the number of frames of each flood; $TMPDIR (/var/tmp) where files go.
 */
#include "lib/savefile.h"
#include "netns/wire.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PACKETS     200000u
#define MOST_FILES  4096u
#define MAX_SENDERS 2u
#define BUFFER      (16u << 20)

static char directory[200];

static const char *path_of(const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static uint32_t flood_size(void)
{
	const char *packets = getenv("NPF_TEST_PACKETS");

	return packets ? (uint32_t)atoi(packets) : PACKETS;
}

/* ---- the files ----------------------------------------------------------------------------- */

struct files {
	const char *place; /* a directory */
	uint32_t asked, n_done;
	struct npf_dump_file done[MOST_FILES];
};

static const char *file_path(const struct files *files, uint64_t number)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/f%llu", files->place, (unsigned long long)number);
	return path;
}

static int next_file(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	struct files *files = arg;

	file->fd = open(file_path(files, file->number), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
			0600);
	if (file->fd < 0)
		return snprintf(error, NPF_ERROR_SIZE, "no file"), -errno;
	files->asked++;
	return 0;
}

static void file_done(void *arg, const struct npf_dump_file *file)
{
	struct files *files = arg;

	if (files->n_done < MOST_FILES)
		files->done[files->n_done++] = *file;
	close(file->fd);
}

static struct npf_dump_options options_for(struct files *files, enum npf_dump_format format)
{
	memset(files, 0, sizeof(*files));
	files->place = directory;
	return (struct npf_dump_options){
		.size = sizeof(struct npf_dump_options),
		.format = format,
		.next = next_file,
		.done = file_done,
		.arg = files,
	};
}

static void start(struct wire *wire, const struct npf_dump_options *options)
{
	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	if (npf_dump_start(wire->instance, options))
		fail_msg("%s", npf_error(wire->instance));
}

static int into_descriptor(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	(void)error;
	file->fd = *(int *)arg;
	return 0;
}

static void start_into(struct wire *wire, int *fd)
{
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = NPF_DUMP_PCAP_NS,
		.next = into_descriptor,
		.arg = fd,
	};

	start(wire, &options);
}

static struct npf_dump_status status_of(struct wire *wire)
{
	struct npf_dump_status status;

	assert_int_equal(npf_dump_get_status(wire->instance, &status), 0);
	return status;
}

/* ---- what is in them ----------------------------------------------------------------------- */

struct mapping {
	uint8_t *data;
	size_t size;
};

static struct mapping map_file(const char *path)
{
	struct mapping mapping = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	mapping.size = (size_t)status.st_size;
	if (mapping.size)
		mapping.data = mmap(NULL, mapping.size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(mapping.data != MAP_FAILED);
	close(fd);
	return mapping;
}

static void unmap_file(struct mapping *mapping)
{
	if (mapping->data)
		munmap(mapping->data, mapping->size);
}

struct contents {
	uint64_t packets, bytes;
	uint64_t next[MAX_SENDERS]; /* number of the sender's next frame, at least */
	uint64_t time;
};

/* A frame of the flood, byte by byte as it was sent, behind those of its sender before it. */
static void check_frame(const struct savefile *save, uint32_t length, struct contents *contents)
{
	uint64_t sequence;
	uint32_t sender;

	assert_int_equal(save->caplen, length);
	assert_int_equal(save->length, length);
	assert_true(net_flood_read(save->data, save->caplen, &sender, &sequence));
	assert_true(sender < MAX_SENDERS);
	assert_true(sequence >= contents->next[sender]);
	contents->next[sender] = sequence + 1;
	assert_true(save->time >= contents->time);
	contents->time = save->time;
	contents->packets++;
}

/* whole: bytes of it that are to be whole, 0: all. */
static uint64_t check_contents(const char *path, uint32_t length, uint64_t whole,
			       struct contents *contents)
{
	struct mapping mapping = map_file(path);
	uint64_t before = contents->packets;
	size_t size = whole ? whole : mapping.size;
	struct savefile save;

	if (!mapping.size)
		return 0; /* there was no room for its header */
	assert_true(size <= mapping.size);
	savefile_open(&save, mapping.data, size);
	while (savefile_next(&save))
		check_frame(&save, length, contents);
	contents->bytes += size;
	unmap_file(&mapping);
	return contents->packets - before;
}

static struct contents check_files(struct wire *wire, const struct files *files, uint32_t length)
{
	struct npf_dump_status status = status_of(wire);
	struct contents contents = { 0 };
	bool uncut = strstr(status.message, "npf repair");

	assert_int_equal(files->asked, files->n_done);
	assert_int_equal(status.files, files->n_done);
	for (uint32_t i = 0; i < files->n_done; i++) {
		assert_int_equal(check_contents(file_path(files, i), length,
						uncut ? files->done[i].bytes : 0, &contents),
				 files->done[i].packets);
		unlink(file_path(files, i));
	}
	assert_int_equal(status.packets, contents.packets);
	assert_int_equal(status.bytes, contents.bytes);
	return contents;
}

/* ---- floods -------------------------------------------------------------------------------- */

static const struct plan {
	const char *name;
	uint32_t size, n_senders;
	enum npf_dump_format format;
	uint64_t file_bytes, file_packets;
} plans[] = {
	{ "64 bytes, 2 senders, pcap", 64, 2, NPF_DUMP_PCAP, 0, 0 },
	{ "64 bytes, 2 senders, files of 1 MB, pcap ns", 64, 2, NPF_DUMP_PCAP_NS, 1000000, 0 },
	{ "594 bytes, 1 sender, files of 999 packets, pcapng", 594, 1, NPF_DUMP_PCAPNG, 0, 999 },
	{ "1514 bytes, 2 senders, files of 10 MB, pcapng", 1514, 2, NPF_DUMP_PCAPNG, 10000000, 0 },
	{ "1514 bytes, 2 senders, files of 70 packets", 1514, 2, NPF_DUMP_PCAP_NS, 0, 70 },
};

static void send_flood(struct wire *wire, const struct plan *plan, uint64_t count)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t senders[MAX_SENDERS];

	for (uint32_t i = 0; i < plan->n_senders; i++) {
		struct net_flood flood = {
			.side = NET_THERE,
			.name = "vb",
			.cpu = (int)(i % cpus),
			.sender = i,
			.length = plan->size,
			.count = count / plan->n_senders,
		};

		senders[i] = net_flood_start(&wire->net, &flood);
	}
	for (uint32_t i = 0; i < plan->n_senders; i++)
		net_flood_join(senders[i]);
}

static void flood(void **state)
{
	static struct files files;
	struct wire *wire = wire_of(state);
	const struct plan *plan = &plans[wire->place];
	struct npf_dump_options options = options_for(&files, plan->format);
	uint64_t count = flood_size() / plan->n_senders * plan->n_senders;
	struct npf_stats stats;

	options.file_bytes = plan->file_bytes;
	options.file_packets = plan->file_packets;
	start(wire, &options);
	send_flood(wire, plan, count);
	WIRE_UNTIL(wire_stats(wire->instance).received >= count);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	stats = wire_stats(wire->instance);

	struct contents contents = check_files(wire, &files, plan->size);

	assert_int_equal(stats.received, count);
	assert_int_equal(stats.captured, contents.packets);
	assert_int_equal(count, stats.filtered + contents.packets + stats.dropped);
	if (!stats.dropped) {
		for (uint32_t i = 0; i < plan->n_senders; i++)
			assert_int_equal(contents.next[i], count / plan->n_senders);
	}
	for (uint32_t i = 0; i + 1 < files.n_done && plan->file_packets; i++)
		assert_int_equal(files.done[i].packets, plan->file_packets);
	for (uint32_t i = 0; i < files.n_done && plan->file_bytes; i++)
		assert_true(files.done[i].bytes <= plan->file_bytes);
	print_message("    %llu sent = %llu filtered + %llu written + %llu dropped; %u files%s\n",
		      (unsigned long long)count, (unsigned long long)stats.filtered,
		      (unsigned long long)contents.packets, (unsigned long long)stats.dropped,
		      files.n_done, status_of(wire).direct ? ", direct" : "");
}

/* A ring so small that every record crosses its end soon, and much is lost. */
static void overflow(void **state)
{
	static const struct plan plan = { .size = 1000, .n_senders = 2 };
	static struct files files;
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = options_for(&files, NPF_DUMP_PCAPNG);
	uint64_t count = flood_size() / 2 * 2;

	options.file_packets = 5000;
	assert_int_equal(npf_set_buffer(wire->instance, 1 << 16), 0);
	assert_int_equal(npf_dump_start(wire->instance, &options), 0);
	send_flood(wire, &plan, count);
	WIRE_UNTIL(wire_stats(wire->instance).received >= count);
	assert_int_equal(npf_dump_stop(wire->instance), 0);

	struct npf_stats stats = wire_stats(wire->instance);

	assert_int_equal(count, check_files(wire, &files, 1000).packets + stats.dropped);
}

/* ---- other programs ------------------------------------------------------------------------ */

static bool program_exists(const char *name)
{
	char command[100];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return !system(command);
}

/* It succeeds, and has nothing to complain about. */
static void run_program(const char *name, const char *format, const char *path)
{
	char command[1400], arguments[500];

	if (!program_exists(name))
		return print_message("    no %s here\n", name);
	snprintf(arguments, sizeof(arguments), format, path, directory);
	snprintf(command, sizeof(command),
		 "%s %s 2>%s/complaints >%s/answer && "
		 "! grep -iqE 'warning|error|cut short|damaged|truncated|bogus' %s/complaints",
		 name, arguments, directory, directory, directory);
	if (system(command))
		fail_msg("%s complains: %s", name, command);
}

static void programs_read_it(void **state)
{
	struct wire *wire = wire_of(state);
	char path[300];

	snprintf(path, sizeof(path), "%s", path_of("readable"));
	for (unsigned int format = NPF_DUMP_PCAP; format <= NPF_DUMP_PCAPNG; format++) {
		struct npf_dump_options options = {
			.size = sizeof(options),
			.format = (enum npf_dump_format)format,
			.path = path,
			.filter = "ether proto 0x88b5",
			.application = "test",
			.snaplen = 262144,
		};

		start(wire, &options);
		for (uint32_t size = 60; size < 1514; size += 7)
			wire_send_plain(wire, size, 1, size);
		wire_received(wire->instance, 208);
		assert_int_equal(npf_dump_stop(wire->instance), 0);
		assert_int_equal(status_of(wire).packets, 208);
		run_program("tcpdump", "-Z root -nr %s",
			    path); /* not its own user: there may be none */
		run_program("capinfos", "%s", path);
		run_program("tshark", "-nr %s", path);
		run_program("editcap", "%s %s/copy", path);
		run_program("mergecap", "-w %2$s/copy %1$s %1$s", path);
		unlink(path);
	}
	unlink(path_of("copy"));
	unlink(path_of("answer"));
	unlink(path_of("complaints"));
}

static void direction_is_told(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = NPF_DUMP_PCAPNG,
		.path = path_of("direction"),
	};
	uint8_t frame[100];
	struct savefile save;

	start(wire, &options);
	wire_send_plain(wire, 0, 1, 100);
	wire_received(wire->instance, 1);
	wire_frame(1, frame, sizeof(frame));
	net_send(wire->near, frame, sizeof(frame));
	wire_received(wire->instance, 2);
	assert_int_equal(npf_dump_stop(wire->instance), 0);

	struct mapping mapping = map_file(options.path);

	savefile_open(&save, mapping.data, mapping.size);
	assert_true(savefile_next(&save));
	assert_int_equal(save.flags & 3, 1);
	assert_true(savefile_next(&save));
	assert_int_equal(save.flags & 3, 2);
	assert_false(savefile_next(&save));
	assert_int_equal(save.received, 2);
	unmap_file(&mapping);
	unlink(options.path);
}

/* ---- file systems -------------------------------------------------------------------------- */

static bool mount_tmpfs(const char *place)
{
	mkdir(place, 0700);
	return !mount("none", place, "tmpfs", 0, "size=4m");
}

/* A file system in a file; make: what makes it, of the file. */
static bool mount_image(const char *place, unsigned int mib, const char *make)
{
	char command[1400];

	mkdir(place, 0700);
	snprintf(command, sizeof(command),
		 "cd %s && rm -f image && truncate -s %uM image && %s image >/dev/null 2>&1 && "
		 "mount -o loop image %s 2>/dev/null",
		 directory, mib, make, place);
	return !system(command);
}

static void unmount_image(const char *place)
{
	umount2(place, MNT_DETACH);
	rmdir(place);
	unlink(path_of("image"));
}

static const char plain_ext4[] = "mkfs.ext4 -q -O ^has_journal";

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
	send_flood(wire, &plan, 20000);
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
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
	if (!mount_image(place, 16, plain_ext4)) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	fill(wire, place, true, -ENOSPC, NULL);
	unmount_image(place);
}

/* What is written behind the new end of the device is an I/O error. */
static void failing_disk(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300];

	snprintf(place, sizeof(place), "%s", path_of("failing"));
	if (!mount_image(place, 64, plain_ext4)) {
		print_message("a file system in a file cannot be mounted\n");
		skip();
	}
	fill(wire, place, true, -EIO,
	     "truncate -s 14M image && losetup -c $(losetup -n -O NAME -j image)");
	unmount_image(place);
}

/* btrfs refuses even to cut a file then: it is longer than what is whole of it, and that is told. */
static void quota_used_up(void **state)
{
	struct wire *wire = wire_of(state);
	char place[300], command[1024];

	snprintf(place, sizeof(place), "%s", path_of("quota"));
	if (!mount_image(place, 256, "mkfs.btrfs -q")) {
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
	if (!mount_image(place, 32, "mkfs.ext4 -q image && tune2fs -o journal_data")) {
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
	send_flood(wire, &plan, 5000);
	if (err)
		assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
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
	send_flood(wire, &plan, 5000);
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
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

/* ---- ends ---------------------------------------------------------------------------------- */

static void adapter_goes(void **state)
{
	static const struct plan plan = { .size = 300, .n_senders = 1 };
	static struct files files;
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = options_for(&files, NPF_DUMP_PCAPNG);

	start(wire, &options);
	send_flood(wire, &plan, 20000);
	net_run(&wire->net, NET_HERE, "ip link del va");
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	WIRE_UNTIL(status_of(wire).end == NPF_DUMP_GONE);
	assert_int_equal(npf_dump_stop(wire->instance), 0);

	struct npf_stats stats = wire_stats(wire->instance);

	assert_int_equal(stats.received, 20000);
	assert_int_equal(check_files(wire, &files, 300).packets + stats.dropped, 20000);
}

static void pipe_gets_all(void **state)
{
	static const struct plan plan = { .size = 300, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	struct contents contents = { 0 };
	char command[400];
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	snprintf(command, sizeof(command), "cat > %s", path_of("piped"));

	pid_t cat = fork();

	if (!cat) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(1);
	}
	close(ends[0]);
	start_into(wire, &ends[1]);
	send_flood(wire, &plan, 20000);
	WIRE_UNTIL(wire_stats(wire->instance).received >= 20000);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	assert_false(status_of(wire).direct);
	close(ends[1]);
	waitpid(cat, NULL, 0);

	struct npf_stats stats = wire_stats(wire->instance);

	assert_int_equal(check_contents(path_of("piped"), 300, 0, &contents) + stats.dropped, 20000);
	unlink(path_of("piped"));
}

static void pipe_without_a_reader(void **state)
{
	struct wire *wire = wire_of(state);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	start_into(wire, &ends[1]);
	WIRE_UNTIL(status_of(wire).writes > 0);
	close(ends[0]);
	wire_send_plain(wire, 0, 100, 1000);
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	assert_int_equal(npf_dump_stop(wire->instance), -EPIPE);
	assert_int_equal(status_of(wire).end, NPF_DUMP_FAILED);
	close(ends[1]);
}

/* It neither reads nor goes: stopping does not last for ever. */
static void pipe_whose_reader_sleeps(void **state)
{
	struct wire *wire = wire_of(state);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	start_into(wire, &ends[1]);
	wire_send_plain(wire, 0, 1000, 1000);
	wire_received(wire->instance, 1000);
	assert_int_equal(npf_dump_stop(wire->instance), -ETIMEDOUT);
	close(ends[0]);
	close(ends[1]);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static int keep_going(struct wire *wire, const char *path)
{
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = NPF_DUMP_PCAP_NS,
		.path = path,
	};

	if (npf_set_buffer(wire->instance, BUFFER) || npf_dump_start(wire->instance, &options))
		return 1;
	for (;;)
		pause();
}

/* The tap that the child inherits is the parent's; it opens its own. */
static pid_t start_victim(struct wire *wire, const char *path)
{
	pid_t pid = fork();

	if (pid)
		return pid;

	struct npf_host *host = npf_host_linux();
	struct wire own = { .hook = wire->hook };

	if (!host || npf_driver_entry(host, &own.driver) || wire_try_open(&own, "va", &own.instance))
		_exit(1);
	_exit(keep_going(&own, path));
}

/* What is in the file up to its last whole record is right; behind that is a part of one more. */
static void killed(void **state)
{
	static const struct plan plan = { .size = 300, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	struct contents contents = { 0 };
	struct savefile save;
	struct stat status;
	char path[300];

	snprintf(path, sizeof(path), "%s", path_of("killed"));

	pid_t victim = start_victim(wire, path);

	WIRE_UNTIL(!stat(path, &status) && status.st_size >= 24);
	send_flood(wire, &plan, 20000);
	WIRE_UNTIL(!stat(path, &status) && status.st_size > 20000 * 300 / 2);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);

	struct mapping mapping = map_file(path);

	savefile_open(&save, mapping.data, mapping.size);
	while (save.left >= 16 && save.left - 16 >= savefile_u32(save.at + 8) &&
	       savefile_next(&save))
		check_frame(&save, 300, &contents);
	assert_true(save.left < 316);
	assert_true(contents.packets * 316 >= mapping.size - 24 - 316);
	unmap_file(&mapping);
	unlink(path);
}

/* -------------------------------------------------------------------------------------------- */

static int make_directory(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%.150s/npf-dump-XXXXXX", place ? place : "/var/tmp");
	return mkdtemp(directory) ? 0 : -errno;
}

int main(void)
{
	static const struct wire_test others[] = {
		{ "a ring that overflows", overflow },
		{ "other programs read it", programs_read_it },
		{ "direction", direction_is_told },
		{ "a full tmpfs", full_tmpfs },
		{ "a full ext4", full_ext4 },
		{ "a failing disk", failing_disk },
		{ "a quota", quota_used_up },
		{ "a disk that seems direct", disk_that_only_seems_direct },
		{ "appended to a file", appended_to_a_file },
		{ "the largest file", largest_file },
		{ "locks", file_is_locked },
		{ "names", names_that_are_somebody_elses },
		{ "the adapter goes", adapter_goes },
		{ "a pipe", pipe_gets_all },
		{ "a pipe without a reader", pipe_without_a_reader },
		{ "a pipe whose reader sleeps", pipe_whose_reader_sleeps },
		{ "kill -9", killed },
	};
	struct wire_test tests[N_OF(plans) + N_OF(others)];

	for (size_t i = 0; i < N_OF(plans); i++)
		tests[i] = (struct wire_test){ plans[i].name, flood };
	memcpy(tests + N_OF(plans), others, sizeof(others));
	net_require();
	/* Mounts of ours are nobody else's business. */
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    make_directory()) {
		print_message("skipped: no mounts of our own, or no directory\n");
		return 77;
	}

	int failed = wire_run("dump", tests, N_OF(tests), N_OF(wire_hooks));

	if (failed)
		print_message("what is left of the files is in %s\n", directory);
	else
		rmdir(directory);
	return failed;
}
