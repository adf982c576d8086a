/* SPDX-License-Identifier: BSD-3-Clause */
/* Dump to disk: the driver writes the file; here its name is made absolute and its end awaited. */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "packet.h"

#define LONGEST_NAME 1023 /* characters, as it always was */

/* ---- the name ------------------------------------------------------------------------------ */

struct name {
	const ADAPTER *adapter;
	char text[LONGEST_NAME + 1]; /* UTF-8 */
	size_t length;
};

static bool add(struct name *name, const char *bytes, size_t n)
{
	if (n > LONGEST_NAME - name->length)
		return packet_fail(
			name->adapter, ENAMETOOLONG,
			"the name of the file has more than 1023 bytes, its folder included");
	memcpy(name->text + name->length, bytes, n);
	name->length += n;
	name->text[name->length] = '\0';
	return true;
}

static bool add_code_point(struct name *name, uint32_t c)
{
	char bytes[4];

	if (c < 0x80) {
		bytes[0] = (char)c;
		return add(name, bytes, 1);
	}
	if (c < 0x800) {
		bytes[0] = (char)(0xC0 | c >> 6);
		bytes[1] = (char)(0x80 | (c & 0x3F));
		return add(name, bytes, 2);
	}
	if (c < 0x10000) {
		bytes[0] = (char)(0xE0 | c >> 12);
		bytes[1] = (char)(0x80 | (c >> 6 & 0x3F));
		bytes[2] = (char)(0x80 | (c & 0x3F));
		return add(name, bytes, 3);
	}
	bytes[0] = (char)(0xF0 | (c >> 18 & 7));
	bytes[1] = (char)(0x80 | (c >> 12 & 0x3F));
	bytes[2] = (char)(0x80 | (c >> 6 & 0x3F));
	bytes[3] = (char)(0x80 | (c & 0x3F));
	return add(name, bytes, 4);
}

static uint32_t unit(const uint8_t *from, size_t i, size_t width)
{
	uint16_t half;
	uint32_t whole;

	if (width == sizeof(whole)) {
		memcpy(&whole, from + i * width, sizeof(whole));
		return whole;
	}
	memcpy(&half, from + i * width, sizeof(half));
	return half;
}

/* A wide name of `size` bytes, which may end earlier at a NUL. */
static bool add_wide(struct name *name, const uint8_t *from, size_t size, size_t width)
{
	size_t n = size / width;

	for (size_t i = 0; i < n; i++) {
		uint32_t c = unit(from, i, width);
		uint32_t low = i + 1 < n && width == 2 ? unit(from, i + 1, width) : 0;

		if (!c)
			break;
		if (c >= 0xD800 && c < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
			c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
			i++;
		}
		if (!add_code_point(name, c))
			return false;
	}
	return true;
}

/* By the second byte, as the original did; wchar_t has two more zeros. */
static bool read_name(struct name *name, const void *from, int length)
{
	const uint8_t *bytes = from;
	size_t size = length > 0 ? (size_t)length : 0;

	if (!from || !size || !bytes[0])
		return packet_fail(name->adapter, EINVAL, "the name of the file is empty");
	if (size < 2 || bytes[1])
		return add(name, from, strnlen(from, LONGEST_NAME + 1));
	if (size >= 4 && !bytes[2] && !bytes[3])
		return add_wide(name, bytes, size, 4);
	return add_wide(name, bytes, size, 2);
}

/* The driver does not know the caller's folder. */
static bool make_absolute(struct name *name)
{
	struct name relative = *name;
	char folder[PATH_MAX];

	if (name->text[0] == '/')
		return true;
	if (!getcwd(folder, sizeof(folder)))
		return packet_fail(name->adapter, errno,
				   "the current folder is gone; give the whole path of the file");
	name->length = 0;
	return add(name, folder, strlen(folder)) && add(name, "/", 1) &&
	       add(name, relative.text, relative.length);
}

PACKET_EXPORT BOOLEAN PacketSetDumpName(LPADAPTER adapter, void *name, int length)
{
	PACKET_TRACED(NULL);

	struct name path = { .adapter = adapter };

	if (!read_name(&path, name, length) || !make_absolute(&path))
		return FALSE;
	return packet_result(npf_io_control(packet_instance(adapter), NPF_BIOCSETDUMPFILENAME,
					    path.text, path.length + 1, NULL, 0, NULL));
}

/* ---- limits and the end -------------------------------------------------------------------- */

PACKET_EXPORT BOOLEAN PacketSetDumpLimits(LPADAPTER adapter, UINT max_bytes, UINT max_packets)
{
	PACKET_TRACED(NULL);

	uint32_t limits[] = { max_bytes, max_packets };

	return packet_result(npf_io_control(packet_instance(adapter), NPF_BIOCSETDUMPLIMITS, limits,
					    sizeof(limits), NULL, 0, NULL));
}

PACKET_EXPORT BOOLEAN PacketIsDumpEnded(LPADAPTER adapter, BOOLEAN sync)
{
	struct pollfd event = { .fd = NPF_HANDLE_DESCRIPTOR(adapter->ReadEvent), .events = POLLIN };
	struct npf_dump_status status;
	uint32_t ended;

	/* Its end would never come, and packets would wake who waits for it. */
	if (npf_dump_get_status(packet_instance(adapter), &status) == -EINVAL)
		return packet_fail(adapter, EINVAL, "no dump was started; give its file a name");
	do {
		if (npf_io_control(packet_instance(adapter), NPF_BIOCISDUMPENDED, NULL, 0, &ended,
				   sizeof(ended), NULL))
			return TRUE;
	} while (sync && !ended && (poll(&event, 1, -1) >= 0 || errno == EINTR));
	return ended != 0;
}
