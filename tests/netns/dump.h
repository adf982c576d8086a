/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps to disk from real interfaces: a provider of files, floods that a plan describes, and what
 * must be in the files afterwards.
 *
 * $NPF_TEST_PACKETS is the number of frames of each flood; $TMPDIR (/var/tmp) where files go.
 */
#ifndef NPF_NETNS_DUMP_H
#define NPF_NETNS_DUMP_H

#include "lib/savefile.h"
#include "netns/wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

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

static inline uint32_t flood_size(void)
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

static inline int next_file(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	struct files *files = arg;

	file->fd = open(file_path(files, file->number), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
			0600);
	if (file->fd < 0)
		return snprintf(error, NPF_ERROR_SIZE, "no file"), -errno;
	files->asked++;
	return 0;
}

static inline void file_done(void *arg, const struct npf_dump_file *file)
{
	struct files *files = arg;

	if (files->n_done < MOST_FILES)
		files->done[files->n_done++] = *file;
	close(file->fd);
}

static inline struct npf_dump_options options_for(struct files *files, enum npf_dump_format format)
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

static inline void start(struct wire *wire, const struct npf_dump_options *options)
{
	assert_int_equal(npf_set_buffer(wire->instance, BUFFER), 0);
	if (npf_dump_start(wire->instance, options))
		fail_msg("%s", npf_error(wire->instance));
}

static inline int into_descriptor(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	(void)error;
	file->fd = *(int *)arg;
	return 0;
}

static inline void start_into(struct wire *wire, int *fd)
{
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = NPF_DUMP_PCAP_NS,
		.next = into_descriptor,
		.arg = fd,
	};

	start(wire, &options);
}

static inline struct npf_dump_status status_of(struct wire *wire)
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

static inline struct mapping map_file(const char *path)
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

static inline void unmap_file(struct mapping *mapping)
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
static inline void check_frame(const struct savefile *save, uint32_t length,
			       struct contents *contents)
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
static inline uint64_t check_contents(const char *path, uint32_t length, uint64_t whole,
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

static inline struct contents check_files(struct wire *wire, const struct files *files,
					  uint32_t length)
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

struct plan {
	const char *name;
	uint32_t size, n_senders;
	enum npf_dump_format format;
	uint64_t file_bytes, file_packets;
};

/* A flood goes on where another of the same plan ended: behind so many frames. */
static inline void send_flood_behind(struct wire *wire, const struct plan *plan, uint64_t before,
				     uint64_t count)
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
			.first = before / plan->n_senders,
			.count = count / plan->n_senders,
		};

		senders[i] = net_flood_start(&wire->net, &flood);
	}
	for (uint32_t i = 0; i < plan->n_senders; i++)
		net_flood_join(senders[i]);
}

static inline void send_flood(struct wire *wire, const struct plan *plan, uint64_t count)
{
	send_flood_behind(wire, plan, 0, count);
}

/* Floods until it is so: who counts on frames that arrive counts on none of those that are dropped
 * where the reader got no CPU, and one flood may lose most of its frames. */
#define FLOOD_UNTIL(wire, plan, count, condition)                                                  \
	do {                                                                                       \
		uint64_t give_up_ = wire_ms() + PATIENCE_MS, sent_ = 0;                            \
		do {                                                                               \
			if (wire_ms() > give_up_)                                                  \
				fail_msg("in vain: %s", #condition);                               \
			send_flood_behind(wire, plan, sent_, count);                               \
			sent_ += (count);                                                          \
		} while (!(condition));                                                            \
	} while (0)

static inline bool has_ended(struct wire *wire)
{
	return wire_readable(npf_poll_fd(wire->instance));
}

/* ---- running ------------------------------------------------------------------------------- */

static inline int make_directory(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%.150s/npf-dump-XXXXXX", place ? place : "/var/tmp");
	return mkdtemp(directory) ? 0 : -errno;
}

/* wire_run() with a directory for the files. */
static inline int run_dumps(const char *group, const struct wire_test *tests, size_t n)
{
	int failed;

	net_require();
	if (make_directory()) {
		print_message("skipped: no directory for the files\n");
		return 77;
	}
	failed = wire_run(group, tests, n, N_OF(wire_hooks));
	if (failed) {
		print_message("what is left of the files is in %s\n", directory);
	} else if (rmdir(directory)) {
		print_message("files are left in %s\n", directory);
		failed = 1;
	}
	return failed;
}

#endif
