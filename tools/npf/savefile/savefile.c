/* SPDX-License-Identifier: BSD-3-Clause */
/* See savefile.h. */
#include "savefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC_MICRO      0xA1B2C3D4u
#define MAGIC_NANO       0xA1B23C4Du
#define BLOCK_SECTION    0x0A0D0D0Au
#define BLOCK_INTERFACE  1u
#define BLOCK_PACKET     6u
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du
#define RESOLUTION       9u          /* if_tsresol, an option of an interface: a power of ten */
#define FCS_LENGTH       13u         /* if_fcslen, another: in bits */
#define FCS_KNOWN        0x04000000u /* pcap, beside the link type */
#define FCS_SHIFT        28
#define FCS_UNIT         16u
#define SHORT            256u /* bytes up to which copying costs less than a part of its own */
#define NS_PER_S         1000000000ull

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

struct byte_option {
	uint16_t code, length;
	uint8_t value, padding[3];
};

/* pcapng: a section and its one interface. */
struct section_header {
	uint32_t type, length;
	uint32_t byte_order;
	uint16_t major, minor;
	uint32_t section_length[2];
	uint32_t length_again;
	uint32_t interface_type, interface_length;
	uint16_t link_type, reserved;
	uint32_t snaplen;
	struct byte_option resolution;
};

/* Behind its options. */
struct section_end {
	uint32_t end_of_options;
	uint32_t interface_length_again;
};
_Static_assert(sizeof(struct section_header) + sizeof(struct byte_option) +
			       sizeof(struct section_end) ==
		       SAVEFILE_HEAD,
	       "blocks have no gaps");

struct block_header {
	uint32_t type, length;
	uint32_t interface;
	uint32_t time_high, time_low;
	uint32_t caplen, len;
};

/* Of a packet's block, with its data. */
#define BLOCK_BYTES(caplen) ((uint32_t)sizeof(struct block_header) + (((caplen) + 3) & ~3u) + 4)
/* Of one packet, at most. */
#define MOST_GATHERED BLOCK_BYTES(SHORT)

/* Write all parts, whatever the kernel takes at a time. *done: bytes that it took. */
static int write_parts(int fd, struct iovec *parts, int n, uint64_t *done)
{
	*done = 0;
	while (n) {
		ssize_t written = writev(fd, parts, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		*done += (uint64_t)written;
		for (; n && (size_t)written >= parts->iov_len; parts++, n--)
			written -= (ssize_t)parts->iov_len;
		if (n) {
			parts->iov_base = (uint8_t *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
	return 0;
}

bool savefile_has_fcs(const struct savefile_form *form, const struct npf_fcs *fcs)
{
	return form->ng || !fcs->known || fcs->bits % FCS_UNIT == 0;
}

static size_t put_file_header(const struct savefile_form *form, uint8_t *to)
{
	struct file_header header = {
		.magic = form->nano ? MAGIC_NANO : MAGIC_MICRO,
		.major = 2,
		.minor = 4,
		.snaplen = form->snaplen,
		.link_type = form->link_type,
	};

	if (form->fcs.known)
		header.link_type |= FCS_KNOWN | form->fcs.bits / FCS_UNIT << FCS_SHIFT;
	memcpy(to, &header, sizeof(header));
	return sizeof(header);
}

static size_t put_section(const struct savefile_form *form, uint8_t *to)
{
	const struct byte_option fcs = { .code = FCS_LENGTH, .length = 1, .value = form->fcs.bits };
	struct section_end end = { .interface_length_again = 32 + (form->fcs.known ? 8 : 0) };
	struct section_header section = {
		.type = BLOCK_SECTION,
		.length = 28,
		.byte_order = BYTE_ORDER_MAGIC,
		.major = 1,
		.section_length = { UINT32_MAX, UINT32_MAX }, /* not known */
		.length_again = 28,
		.interface_type = BLOCK_INTERFACE,
		.interface_length = end.interface_length_again,
		.link_type = (uint16_t)form->link_type,
		.snaplen = form->snaplen,
		.resolution = { .code = RESOLUTION, .length = 1, .value = form->nano ? 9 : 6 },
	};
	uint8_t *at = to;

	memcpy(at, &section, sizeof(section));
	at += sizeof(section);
	if (form->fcs.known) {
		memcpy(at, &fcs, sizeof(fcs));
		at += sizeof(fcs);
	}
	memcpy(at, &end, sizeof(end));
	return (size_t)(at - to) + sizeof(end);
}

size_t savefile_put_head(const struct savefile_form *form, uint8_t *to)
{
	return form->ng ? put_section(form, to) : put_file_header(form, to);
}

static int write_file_header(int fd, const struct savefile_form *form)
{
	uint8_t header[SAVEFILE_HEAD];
	struct iovec part = { .iov_base = header, .iov_len = savefile_put_head(form, header) };
	uint64_t done;

	return write_parts(fd, &part, 1, &done);
}

int savefile_open(struct savefile *file, const char *name, const struct savefile_form *form)
{
	struct stat status;
	int err;

	file->fd = strcmp(name, "-") ? open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
				     : STDOUT_FILENO;
	if (file->fd < 0)
		return -errno;
	file->regular = !fstat(file->fd, &status) && S_ISREG(status.st_mode);
	file->form = *form;
	file->packets = 0;
	file->bytes = 0;
	file->waiting = 0;
	file->n_parts = 0;
	file->gathered = 0;
	err = write_file_header(file->fd, form);
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

size_t savefile_put_packet(const struct savefile_form *form, const struct npf_packet *packet,
			   uint8_t *to)
{
	struct packet_header header = {
		.seconds = (uint32_t)(packet->time / NS_PER_S),
		.fraction = (uint32_t)(packet->time % NS_PER_S) / (form->nano ? 1 : 1000),
		.caplen = packet->caplen,
		.len = packet->len,
	};
	uint64_t time = packet->time / (form->nano ? 1 : 1000);
	struct block_header block = {
		.type = BLOCK_PACKET,
		.length = BLOCK_BYTES(packet->caplen),
		.time_high = (uint32_t)(time >> 32),
		.time_low = (uint32_t)time,
		.caplen = packet->caplen,
		.len = packet->len,
	};

	if (form->ng)
		memcpy(to, &block, sizeof(block));
	else
		memcpy(to, &header, sizeof(header));
	return form->ng ? sizeof(block) : sizeof(header);
}

/* pcapng: zeros up to the next word, and the block's length again. */
size_t savefile_put_end(const struct savefile_form *form, uint32_t caplen, uint8_t *to)
{
	uint32_t padding = -caplen & 3, length = BLOCK_BYTES(caplen);

	if (!form->ng)
		return 0;
	memset(to, 0, padding);
	memcpy(to + padding, &length, sizeof(length));
	return padding + sizeof(length);
}

int savefile_add(struct savefile *file, const struct npf_packet *packet)
{
	bool is_short = packet->caplen <= SHORT;
	uint32_t size = file->form.ng ? sizeof(struct block_header) : sizeof(struct packet_header);
	uint8_t *to;

	if (file->n_parts + 3 > SAVEFILE_PARTS ||
	    file->gathered + MOST_GATHERED > SAVEFILE_GATHERS) {
		int err = savefile_flush(file);

		if (err)
			return err;
	}
	to = gather(file, size + (is_short ? packet->caplen : 0));
	to += savefile_put_packet(&file->form, packet, to);
	if (is_short)
		memcpy(to, packet->data, packet->caplen);
	else
		file->parts[file->n_parts++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)packet->data, .iov_len = packet->caplen
		};
	if (file->form.ng)
		savefile_put_end(&file->form, packet->caplen,
				 gather(file, (-packet->caplen & 3) + sizeof(uint32_t)));
	file->waiting++;
	return 0;
}

/* Of the packets that are gathered, count those that the first bytes hold to their ends. */
static void count_whole(struct savefile *file, uint64_t bytes)
{
	bool ng = file->form.ng;
	uint32_t header = ng ? sizeof(struct block_header) : sizeof(struct packet_header);
	const uint8_t *at = file->gather;

	for (uint64_t i = 0; i < file->waiting; i++) {
		uint32_t caplen, size;

		memcpy(&caplen,
		       at + (ng ? offsetof(struct block_header, caplen)
				: offsetof(struct packet_header, caplen)),
		       sizeof(caplen));
		size = ng ? BLOCK_BYTES(caplen) : header + caplen;
		if (size > bytes)
			return;
		bytes -= size;
		file->bytes += size;
		file->packets++;
		at += caplen <= SHORT ? size : size - caplen;
	}
}

/* After a failed write: only whole packets stay. Best effort, the write's error is what counts. */
static void cut_back(struct savefile *file, uint64_t written)
{
	if (!file->regular)
		return;
	count_whole(file, written);
	if (!ftruncate(file->fd, (off_t)file->bytes))
		lseek(file->fd, (off_t)file->bytes, SEEK_SET);
}

int savefile_flush(struct savefile *file)
{
	uint64_t written;
	int err = write_parts(file->fd, file->parts, file->n_parts, &written);

	if (err) {
		cut_back(file, written);
	} else {
		file->packets += file->waiting;
		file->bytes += written;
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
