/* SPDX-License-Identifier: BSD-3-Clause */
/* See savefile.h. */
#include "savefile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC_MICRO 0xA1B2C3D4u
#define MAGIC_NANO  0xA1B23C4Du
#define SHORT       256u /* bytes up to which copying costs less than a part of its own */
#define NS_PER_S    1000000000ull

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy;
	uint32_t snaplen;
	uint32_t link_type;
};

struct packet_header {
	uint32_t seconds, fraction;
	uint32_t caplen, len;
};

/* Write all parts, whatever the kernel takes at a time. */
static int write_parts(int fd, struct iovec *parts, int n)
{
	while (n) {
		ssize_t written = writev(fd, parts, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		for (; n && (size_t)written >= parts->iov_len; parts++, n--)
			written -= (ssize_t)parts->iov_len;
		if (n) {
			parts->iov_base = (uint8_t *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
	return 0;
}

static size_t parts_size(const struct savefile *file)
{
	size_t size = 0;

	for (int i = 0; i < file->n_parts; i++)
		size += file->parts[i].iov_len;
	return size;
}

int savefile_open(struct savefile *file, const char *name, uint32_t link_type, uint32_t snaplen,
		  bool nano)
{
	struct file_header header = {
		.magic = nano ? MAGIC_NANO : MAGIC_MICRO,
		.major = 2,
		.minor = 4,
		.snaplen = snaplen,
		.link_type = link_type,
	};
	struct iovec part = { .iov_base = &header, .iov_len = sizeof(header) };
	struct stat status;

	file->fd = strcmp(name, "-") ? open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
				     : STDOUT_FILENO;
	if (file->fd < 0)
		return -errno;
	file->regular = !fstat(file->fd, &status) && S_ISREG(status.st_mode);
	file->nano = nano;
	file->packets = 0;
	file->bytes = sizeof(header);
	file->waiting = 0;
	file->n_parts = 0;
	file->gathered = 0;

	int err = write_parts(file->fd, &part, 1);

	/* Standard output may stand somewhere behind older bytes: those are not ours to cut. */
	if (!err && file->regular)
		file->bytes = (uint64_t)lseek(file->fd, 0, SEEK_CUR);
	if (err && file->fd != STDOUT_FILENO)
		close(file->fd);
	return err;
}

/* Room for bytes that are gathered; they extend the last part when they lie behind it. */
static uint8_t *gather(struct savefile *file, uint32_t size)
{
	uint8_t *to = file->gather + file->gathered;
	struct iovec *last = file->n_parts ? &file->parts[file->n_parts - 1] : NULL;

	file->gathered += size;
	if (last && (uint8_t *)last->iov_base + last->iov_len == to)
		last->iov_len += size;
	else
		file->parts[file->n_parts++] = (struct iovec){ .iov_base = to, .iov_len = size };
	return to;
}

int savefile_add(struct savefile *file, const struct npf_packet *packet)
{
	uint32_t fraction = (uint32_t)(packet->time % NS_PER_S);
	struct packet_header header = {
		.seconds = (uint32_t)(packet->time / NS_PER_S),
		.fraction = file->nano ? fraction : fraction / 1000,
		.caplen = packet->caplen,
		.len = packet->len,
	};

	if (file->n_parts + 2 > SAVEFILE_PARTS ||
	    file->gathered + sizeof(header) + SHORT > SAVEFILE_GATHERS) {
		int err = savefile_flush(file);

		if (err)
			return err;
	}

	bool is_short = packet->caplen <= SHORT;
	uint8_t *to = gather(file, sizeof(header) + (is_short ? packet->caplen : 0));

	memcpy(to, &header, sizeof(header));
	if (is_short)
		memcpy(to + sizeof(header), packet->data, packet->caplen);
	else
		file->parts[file->n_parts++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)packet->data, .iov_len = packet->caplen
		};
	file->waiting++;
	return 0;
}

/* After a failed write: only whole packets stay. Best effort, the write's error is what counts. */
static void cut_back(struct savefile *file)
{
	if (!file->regular || ftruncate(file->fd, (off_t)file->bytes))
		return;
	lseek(file->fd, (off_t)file->bytes, SEEK_SET);
}

int savefile_flush(struct savefile *file)
{
	size_t size = parts_size(file);
	int err = write_parts(file->fd, file->parts, file->n_parts);

	if (err) {
		cut_back(file);
	} else {
		file->packets += file->waiting;
		file->bytes += size;
	}
	file->waiting = 0;
	file->n_parts = 0;
	file->gathered = 0;
	return err;
}

int savefile_close(struct savefile *file)
{
	int err = savefile_flush(file);

	if (file->fd != STDOUT_FILENO && close(file->fd) && !err)
		err = -errno;
	return err;
}
