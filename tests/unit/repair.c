/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf repair: savefiles of each format and byte order, cut at every byte, with zeros and with
 * rubbish behind them; and the command itself on real files.
 */
#include "lib/check.h"

#include <byteswap.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../tools/npf/savefile/scan.h"
#include "../../tools/npf/tool.h"

#define MOST_BYTES   4096u
#define MOST_RECORDS 32u

/* ---- savefiles in memory --------------------------------------------------------------------- */

struct file {
	uint8_t bytes[MOST_BYTES];
	size_t size;
	bool swapped;
	size_t ends[MOST_RECORDS]; /* of the header and of each record */
	size_t packets[MOST_RECORDS];
	size_t n, n_packets;
};

static void put32(struct file *file, uint32_t value)
{
	value = file->swapped ? bswap_32(value) : value;
	memcpy(file->bytes + file->size, &value, sizeof(value));
	file->size += sizeof(value);
}

static void put16(struct file *file, uint16_t value)
{
	value = file->swapped ? bswap_16(value) : value;
	memcpy(file->bytes + file->size, &value, sizeof(value));
	file->size += sizeof(value);
}

static void put_frame(struct file *file, uint32_t length, uint32_t seq)
{
	frame_fill(file->bytes + file->size, length, seq);
	file->size += length;
}

static void end_record(struct file *file, bool packet)
{
	file->n_packets += packet;
	file->packets[file->n] = file->n_packets;
	file->ends[file->n++] = file->size;
}

static void make_pcap(struct file *file, bool nano, bool swapped)
{
	static const uint32_t lengths[] = { 60, 1, 0, 77, 14, 128 };

	memset(file, 0, sizeof(*file));
	file->swapped = swapped;
	put32(file, nano ? 0xA1B23C4D : 0xA1B2C3D4);
	put16(file, 2);
	put16(file, 4);
	put32(file, 0);
	put32(file, 0);
	put32(file, 262144);
	put32(file, 1);
	end_record(file, false);
	for (uint32_t i = 0; i < N_OF(lengths); i++) {
		put32(file, 1700000000 + i);
		put32(file, nano ? 999999999 : 999999);
		put32(file, lengths[i]);
		put32(file, lengths[i] + 1 + i % 2); /* cut by a snap length, some of them */
		put_frame(file, lengths[i], i);
		end_record(file, true);
	}
}

static void put_block(struct file *file, uint32_t type, const uint32_t *words, size_t n,
		      uint32_t frame)
{
	uint32_t length = (uint32_t)(12 + n * 4 + ((frame + 3) & ~3u));

	put32(file, type);
	put32(file, length);
	for (size_t i = 0; i < n; i++)
		put32(file, words[i]);
	put_frame(file, frame, 1);
	while (file->size % 4)
		file->bytes[file->size++] = 0;
	put32(file, length);
	end_record(file, type == 6 || type == 3);
}

/* Two sections, the second in the other byte order; time stamps in ns. */
static void make_pcapng(struct file *file, bool swapped)
{
	const uint64_t time = 1700000000000000007ull;

	memset(file, 0, sizeof(*file));
	for (int section = 0; section < 2; section++) {
		const uint32_t frames[] = { 60, 61, 62, 63 };

		file->swapped = swapped != (section == 1);
		put_block(file, 0x0A0D0D0A, (uint32_t[]){ 0x1A2B3C4D, 0, 0xFFFFFFFF, 0xFFFFFFFF },
			  4, 0);
		/* The version and the link type are two halves of a word each. */
		memset(file->bytes + file->size - 16, 0, 4);
		file->bytes[file->size - (file->swapped ? 15 : 16)] = 1;
		size_t at = file->size;

		put_block(file, 1, (uint32_t[]){ 0, 0, 0, 0 }, 4, 0);
		file->bytes[at + (file->swapped ? 9 : 8)] = 1;
		file->bytes[at + (file->swapped ? 17 : 16)] = 9; /* if_tsresol */
		file->bytes[at + (file->swapped ? 19 : 18)] = 1;
		file->bytes[at + 20] = 9;
		for (size_t i = 0; i < N_OF(frames); i++)
			put_block(file, 6,
				  (uint32_t[]){ 0, (uint32_t)(time >> 32), (uint32_t)time + i,
						frames[i], frames[i] },
				  5, frames[i]);
		put_block(file, 0x80001234, (uint32_t[]){ 7 }, 1, 0); /* of nobody we know */
	}
}

static const struct {
	const char *name;
	enum npf_scan_format format;
	bool swapped;
} kinds[] = {
	{ "pcap", NPF_SCAN_PCAP, false },       { "pcap, swapped", NPF_SCAN_PCAP, true },
	{ "pcap ns", NPF_SCAN_PCAP_NS, false }, { "pcap ns, swapped", NPF_SCAN_PCAP_NS, true },
	{ "pcapng", NPF_SCAN_PCAPNG, false },   { "pcapng, swapped", NPF_SCAN_PCAPNG, true },
};

static void make(struct file *file, size_t kind)
{
	if (kinds[kind].format == NPF_SCAN_PCAPNG)
		make_pcapng(file, kinds[kind].swapped);
	else
		make_pcap(file, kinds[kind].format == NPF_SCAN_PCAP_NS, kinds[kind].swapped);
}

static int64_t read_bytes(void *context, void *buffer, size_t size, uint64_t offset)
{
	const struct file *file = context;

	if (offset >= file->size)
		return 0;
	if (size > file->size - offset)
		size = file->size - offset;
	memcpy(buffer, file->bytes + offset, size);
	return (int64_t)size;
}

static struct npf_scan scan(struct file *file, size_t size)
{
	const size_t whole = file->size;
	const struct npf_scan_source source = { read_bytes, file, size };
	struct npf_scan result;

	file->size = size;
	assert_int_equal(npf_scan(&source, &result), 0);
	file->size = whole;
	return result;
}

/* The last record that ends at or before size; -1 not even the header does. */
static int last_whole(const struct file *file, size_t size)
{
	int last = -1;

	for (size_t i = 0; i < file->n && file->ends[i] <= size; i++)
		last = (int)i;
	return last;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void every_truncation(void **state)
{
	struct file file;

	(void)state;
	for (size_t kind = 0; kind < N_OF(kinds); kind++) {
		make(&file, kind);
		for (size_t size = 0; size <= file.size; size++) {
			struct npf_scan result = scan(&file, size);
			int last = last_whole(&file, size);

			if (last < 0) {
				assert_int_equal(result.format, NPF_SCAN_NONE);
				continue;
			}
			assert_int_equal(result.format, kinds[kind].format);
			assert_int_equal(result.end, file.ends[last]);
			assert_int_equal(result.packets, file.packets[last]);
			assert_int_equal(result.tail == NPF_TAIL_NONE, file.ends[last] == size);
			if (result.tail != NPF_TAIL_NONE && result.tail != NPF_TAIL_ZEROS)
				assert_int_equal(result.tail, NPF_TAIL_CUT);
		}
	}
}

static void what_is_there(void **state)
{
	struct file file;
	struct npf_scan result;

	(void)state;
	for (size_t kind = 0; kind < N_OF(kinds); kind++) {
		bool pcapng = kinds[kind].format == NPF_SCAN_PCAPNG;
		bool nano = kinds[kind].format == NPF_SCAN_PCAP_NS;

		make(&file, kind);
		result = scan(&file, file.size);
		assert_int_equal(result.link_type, 1);
		assert_int_equal(result.first, pcapng ? 1700000000000000007ull
					       : nano ? 1700000000999999999ull
						      : 1700000000999999000ull);
		assert_int_equal(result.last, pcapng ? 1700000000000000010ull
					      : nano ? 1700000005999999999ull
						     : 1700000005999999000ull);
	}
}

/* 26 bits; what stands above them tells of a check sequence. */
static void link_types(void **state)
{
	struct file file;

	(void)state;
	for (uint32_t fcs = 0; fcs <= 0x24000000; fcs += 0x24000000) {
		make(&file, 0);
		file.size = 20;
		put32(&file, fcs | 0x10001);
		assert_int_equal(scan(&file, file.size).link_type, 0x10001);
	}
}

/* Zeros behind any record are no packets; rubbish is told apart from them. */
static void tails(void **state)
{
	struct file file;
	struct npf_scan result;

	(void)state;
	for (size_t kind = 0; kind < N_OF(kinds); kind++) {
		make(&file, kind);
		for (size_t i = 0; i < file.n; i++) {
			struct file tailed = file;

			memset(tailed.bytes + file.ends[i], 0, MOST_BYTES - file.ends[i]);
			for (size_t more = 1; more < 600; more += 7) {
				result = scan(&tailed, file.ends[i] + more);
				assert_int_equal(result.end, file.ends[i]);
				assert_int_equal(result.tail, NPF_TAIL_ZEROS);
			}
			memset(tailed.bytes + file.ends[i], 0xFF, 300);
			result = scan(&tailed, file.ends[i] + 300);
			assert_int_equal(result.end, file.ends[i]);
			assert_int_equal(result.tail, NPF_TAIL_OTHER);
		}
	}
}

/* A block of pcapng whose two lengths differ is none. */
static void lengths_differ(void **state)
{
	struct file file;
	struct npf_scan result;

	(void)state;
	make_pcapng(&file, false);
	file.bytes[file.ends[3] - 4] ^= 4;
	result = scan(&file, file.size);
	assert_int_equal(result.end, file.ends[2]);
	assert_int_equal(result.tail, NPF_TAIL_OTHER);
}

static int64_t read_fails(void *context, void *buffer, size_t size, uint64_t offset)
{
	(void)buffer, (void)size;
	return offset >= *(uint64_t *)context ? -EIO : 0;
}

static void reading_fails(void **state)
{
	uint64_t from = 0;
	const struct npf_scan_source source = { read_fails, &from, 4096 };
	struct npf_scan result;

	(void)state;
	assert_int_equal(npf_scan(&source, &result), -EIO);
	from = 4096; /* the file shrank meanwhile */
	assert_int_equal(npf_scan(&source, &result), -EIO);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* main.c's, without the words. */
int npf_tool_fail(const struct npf_command *command, int code, const char *format, ...)
{
	(void)command, (void)format;
	return code;
}

int npf_tool_usage(const struct npf_command *command, const char *format, ...)
{
	(void)command, (void)format;
	return EXIT_USAGE;
}

int npf_tool_hint(const struct npf_command *command)
{
	(void)command;
	return EXIT_USAGE;
}

int npf_tool_flushed(const struct npf_command *command, int err, int code)
{
	(void)command, (void)err;
	return code;
}

static char directory[64];

static void write_file(const char *name, const uint8_t *bytes, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void assert_file(const char *name, const uint8_t *bytes, size_t size)
{
	uint8_t found[MOST_BYTES];
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, found, sizeof(found)), size);
	assert_memory_equal(found, bytes, size);
	close(fd);
}

/* In the test's directory, its report to nowhere. */
static int command(const char *a, const char *b, const char *c)
{
	char *argv[] = { "npf repair", (char *)a, (char *)b, (char *)c, NULL };
	int out = dup(1), null = open("/dev/null", O_WRONLY | O_CLOEXEC), argc = 1, code;

	for (; argv[argc]; argc++)
		;
	fflush(stdout);
	dup2(null, 1);
	optind = 0;
	code = npf_command_repair.run(argc, argv);
	fflush(stdout);
	dup2(out, 1);
	close(out);
	close(null);
	return code;
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/npf-repair-XXXXXX");
	return mkdtemp(directory) && !chdir(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char text[96];

	(void)state;
	snprintf(text, sizeof(text), "rm -rf %s", directory);
	return chdir("/") || system(text);
}

static void cuts_and_renames(void **state)
{
	struct file file;

	(void)state;
	make_pcap(&file, true, false);
	write_file("a.pcap.part", file.bytes, file.size - 1);
	assert_int_equal(command("--check", "a.pcap.part", NULL), EXIT_DAMAGED);
	assert_file("a.pcap.part", file.bytes, file.size - 1);
	assert_int_equal(command("a.pcap.part", NULL, NULL), EXIT_OK);
	assert_file("a.pcap.part", file.bytes, file.ends[file.n - 2]);
	assert_int_equal(command("--check", "a.pcap.part", NULL), EXIT_OK);
	assert_int_equal(command("--rename", "a.pcap.part", NULL), EXIT_OK);
	assert_file("a.pcap", file.bytes, file.ends[file.n - 2]);
	assert_int_not_equal(access("a.pcap.part", F_OK), 0);
	/* A name that is taken stays with its owner. */
	write_file("a.pcap.part", file.bytes, file.size);
	assert_int_equal(command("--rename", "a.pcap.part", NULL), EXIT_FAILED);
	assert_file("a.pcap", file.bytes, file.ends[file.n - 2]);
	assert_file("a.pcap.part", file.bytes, file.size);
}

static void writes_elsewhere(void **state)
{
	struct file file;

	(void)state;
	make_pcapng(&file, false);
	write_file("b", file.bytes, file.size - 3);
	assert_int_equal(command("-oout", "b", NULL), EXIT_OK);
	assert_file("b", file.bytes, file.size - 3);
	assert_file("out", file.bytes, file.ends[file.n - 2]);
	assert_int_equal(command("-oout", "b", NULL), EXIT_FAILED);
	assert_int_equal(command("-oother", "b", "out"), EXIT_USAGE);
}

static void data_behind_is_kept(void **state)
{
	struct file file;

	(void)state;
	make_pcap(&file, false, false);
	memset(file.bytes + file.ends[2], 0, 40);
	write_file("c", file.bytes, file.size);
	assert_int_equal(command("c", NULL, NULL), EXIT_DAMAGED);
	assert_file("c", file.bytes, file.size);
	assert_int_equal(command("--force", "c", NULL), EXIT_OK);
	assert_file("c", file.bytes, file.ends[2]);
}

static void leaves_others_alone(void **state)
{
	static const uint8_t zstd[] = { 0x28, 0xB5, 0x2F, 0xFD, 0, 0 };
	struct file file;
	int fd;

	(void)state;
	make_pcap(&file, false, false);
	write_file("d", file.bytes, file.size - 1);
	assert_int_equal(symlink("d", "link"), 0);
	assert_int_equal(command("link", NULL, NULL), EXIT_FAILED);
	fd = open("d", O_RDONLY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(command("d", NULL, NULL), EXIT_FAILED);
	assert_int_equal(command("--check", "d", NULL), EXIT_DAMAGED);
	close(fd);
	assert_file("d", file.bytes, file.size - 1);
	write_file("e", zstd, sizeof(zstd));
	assert_int_equal(command("e", NULL, NULL), EXIT_NO_SAVEFILE);
	write_file("e", zstd, 0);
	assert_int_equal(command("e", NULL, NULL), EXIT_NO_SAVEFILE);
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_int_equal(command("pipe", NULL, NULL), EXIT_FAILED);
	assert_int_equal(command("nothing", NULL, NULL), EXIT_FAILED);
	assert_int_equal(command(NULL, NULL, NULL), EXIT_USAGE);
	assert_int_equal(command("--check", "--force", "d"), EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation),    cmocka_unit_test(what_is_there),
		cmocka_unit_test(link_types),          cmocka_unit_test(tails),
		cmocka_unit_test(lengths_differ),      cmocka_unit_test(reading_fails),
		cmocka_unit_test(cuts_and_renames),    cmocka_unit_test(writes_elsewhere),
		cmocka_unit_test(data_behind_is_kept), cmocka_unit_test(leaves_others_alone),
	};

	return cmocka_run_group_tests_name("repair", tests, make_directory, remove_directory);
}
