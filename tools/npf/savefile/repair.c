/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf repair: savefiles that a kill or a power cut left behind. Says what is whole, and cuts off
 * or leaves behind what is not. Nothing is changed before it was told whether it may be.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ui/json.h"
#include "kind.h"
#include "scan.h"
#include "ui/terminal.h"
#include "tool.h"

#define COPY_SIZE (1u << 20)

struct options {
	const char *out; /* write the whole part there instead of cutting */
	bool check, force, rename, json;
	int told; /* 0, or why something did not get to standard output: negative errno */
};

/* One file on its way. */
struct job {
	struct options *options;
	const char *name;
	int fd;
	struct npf_scan scan;
	uint64_t size;
	const char *done; /* what was done to it, for the report; NULL nothing */
	char final[4096]; /* name it got; empty: kept its own */
};

static int fail(const struct job *job, int code, const char *text)
{
	return npf_tool_fail(&npf_command_repair, code, "%s: %s", job->name, text);
}

static int fail_errno(const struct job *job)
{
	return fail(job, EXIT_FAILED, strerror(errno));
}

static int fail_write(const char *name, int err)
{
	return npf_tool_fail(&npf_command_repair, npf_tool_write_code(-err), "%s: %s", name,
			     strerror(err));
}

/* ---- looking --------------------------------------------------------------------------------- */

static int64_t read_at(void *context, void *buffer, size_t size, uint64_t offset)
{
	const struct job *job = context;
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(job->fd, (uint8_t *)buffer + done, size - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

/* Somebody who writes a file holds a lock on it; to look at it is no harm. */
static int open_file(struct job *job)
{
	const struct options *options = job->options;
	bool changes = !options->check && !options->out;
	struct stat status;

	job->fd = open(job->name,
		       (changes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (job->fd < 0 && errno == EROFS)
		return fail_write(job->name, errno);
	if (job->fd < 0)
		return errno == ELOOP
			       ? fail(job, EXIT_FAILED, "a symbolic link; name the file itself")
			       : fail_errno(job);
	if (fstat(job->fd, &status))
		return fail_errno(job);
	if (!S_ISREG(status.st_mode))
		return fail(job, EXIT_FAILED, "no regular file");
	if (changes && flock(job->fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? fail(job, EXIT_FAILED,
						   "it is being written; end that program first")
					    : fail_errno(job);
	job->size = (uint64_t)status.st_size;
	return EXIT_OK;
}

static const char *why_none(struct job *job)
{
	uint8_t head[NPF_KIND_BYTES];
	int64_t n = read_at(job, head, sizeof(head), 0);

	switch (npf_kind_of(head, n > 0 ? (size_t)n : 0)) {
	case NPF_KIND_EMPTY:
		return "empty; there is nothing to save";
	case NPF_KIND_GZIP:
		return "compressed; decompress it first: gzip -d";
	case NPF_KIND_ZSTD:
		return "compressed; decompress it first: zstd -d";
	default:
		return "no pcap or pcapng file, or its header is not whole; there is nothing to "
		       "save";
	}
}

static int look(struct job *job)
{
	const struct npf_scan_source source = { read_at, job, job->size };
	int err = npf_scan(&source, &job->scan);

	if (err) {
		errno = -err;
		return fail_errno(job);
	}
	if (job->scan.format != NPF_SCAN_NONE)
		return EXIT_OK;
	return fail(job, EXIT_NO_SAVEFILE, why_none(job));
}

/* ---- doing ----------------------------------------------------------------------------------- */

static int copy_part(struct job *job, int to)
{
	uint8_t *buffer = malloc(COPY_SIZE);
	uint64_t offset = 0;

	if (!buffer)
		return -ENOMEM;
	while (offset < job->scan.end) {
		uint64_t left = job->scan.end - offset;
		int64_t n = read_at(job, buffer, left < COPY_SIZE ? (size_t)left : COPY_SIZE,
				    offset);
		ssize_t written = n > 0 ? write(to, buffer, (size_t)n) : -1;

		if (n <= 0 || (written < 0 && errno != EINTR)) {
			n = n < 0 ? n : n ? -errno : -EIO;
			free(buffer);
			return (int)n;
		}
		offset += written > 0 ? (uint64_t)written : 0;
	}
	free(buffer);
	return fsync(to) ? -errno : 0;
}

static int write_out(struct job *job)
{
	const char *out = job->options->out;
	int to = open(out, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int err;

	if (to < 0 && errno == EEXIST)
		return npf_tool_fail(&npf_command_repair, EXIT_FAILED,
				     "%s: exists already; it is not replaced", out);
	if (to < 0)
		return fail_write(out, errno);
	err = copy_part(job, to);
	if (close(to) && !err)
		err = -errno;
	if (err) {
		unlink(out);
		return fail_write(out, -err);
	}
	job->done = "written to another file";
	return EXIT_OK;
}

static int cut(struct job *job)
{
	if (ftruncate(job->fd, (off_t)job->scan.end) || fsync(job->fd))
		return fail_write(job->name, errno);
	job->done = "cut";
	return EXIT_OK;
}

/* The directory too: otherwise a power cut could still take the name back. */
static int sync_directory(struct job *job)
{
	const char *slash = strrchr(job->name, '/');
	char directory[sizeof(job->final)] = ".";
	int fd, err;

	if (slash)
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - job->name) + 1,
			 job->name);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(job);
	err = fsync(fd) ? errno : 0;
	close(fd);
	return err ? fail_write(directory, err) : EXIT_OK;
}

static int give_name(struct job *job)
{
	size_t length = strlen(job->name), rest = strlen(NPF_PART_SUFFIX);

	if (length <= rest || strcmp(job->name + length - rest, NPF_PART_SUFFIX))
		return EXIT_OK;
	if (length - rest >= sizeof(job->final))
		return fail(job, EXIT_FAILED, strerror(ENAMETOOLONG));
	memcpy(job->final, job->name, length - rest);
	job->final[length - rest] = '\0';
	if (!renameat2(AT_FDCWD, job->name, AT_FDCWD, job->final, RENAME_NOREPLACE))
		return sync_directory(job);
	length = (size_t)errno;
	fail(job, EXIT_FAILED,
	     length == EEXIST ? "its final name is taken; it keeps this one"
			      : strerror((int)length));
	*job->final = '\0';
	return EXIT_FAILED;
}

static int change(struct job *job)
{
	const struct options *options = job->options;
	int code = EXIT_OK;

	if (options->out)
		return write_out(job);
	if (job->scan.tail == NPF_TAIL_OTHER && !options->force)
		return fail(job, EXIT_DAMAGED,
			    "not cut, because data follows that is no record: -o OUT writes the "
			    "whole part elsewhere, --force cuts");
	if (job->scan.tail != NPF_TAIL_NONE)
		code = cut(job);
	if (!code && options->rename)
		code = give_name(job);
	return code;
}

/* ---- telling --------------------------------------------------------------------------------- */

static const char *tail_name(enum npf_scan_tail tail)
{
	static const char *const names[] = {
		[NPF_TAIL_NONE] = "none",
		[NPF_TAIL_CUT] = "cut",
		[NPF_TAIL_ZEROS] = "zeros",
		[NPF_TAIL_OTHER] = "other",
	};

	return names[tail];
}

static const char *tail_text(enum npf_scan_tail tail)
{
	static const char *const texts[] = {
		[NPF_TAIL_NONE] = "",
		[NPF_TAIL_CUT] = "of a record that was cut off",
		[NPF_TAIL_ZEROS] = "of zeros, never written",
		[NPF_TAIL_OTHER] = "that are no record",
	};

	return texts[tail];
}

static void format_time(char *out, size_t size, uint64_t time)
{
	time_t second = (time_t)(time / 1000000000u);
	struct tm local;
	char text[48];

	if (!localtime_r(&second, &local) || !strftime(text, sizeof(text), "%F %T", &local))
		strcpy(text, "?");
	snprintf(out, size, "%s.%09" PRIu64, text, time % 1000000000u);
}

static void tell_text(const struct job *job)
{
	const struct npf_scan *scan = &job->scan;
	char name[512], first[64], last[64];

	npf_clean_text(name, sizeof(name), job->name);
	printf("%s: %s, %s\n", name, npf_scan_format_name(scan->format),
	       npf_link_name(scan->link_type));
	printf("  %" PRIu64 " packet%s, whole up to byte %" PRIu64 "\n", scan->packets,
	       npf_plural(scan->packets), scan->end);
	if (scan->packets) {
		format_time(first, sizeof(first), scan->first);
		format_time(last, sizeof(last), scan->last);
		printf("  from %s to %s\n", first, last);
	}
	if (scan->tail == NPF_TAIL_NONE)
		puts("  nothing behind the last record: the file is whole");
	else
		printf("  then %" PRIu64 " byte%s %s\n", job->size - scan->end,
		       npf_plural(job->size - scan->end), tail_text(scan->tail));
}

static void tell_done(const struct job *job)
{
	char name[512];

	if (job->options->out && job->done) {
		npf_clean_text(name, sizeof(name), job->options->out);
		printf("  written to %s\n", name);
	} else if (job->done) {
		puts("  cut to the last whole record");
	}
	if (*job->final) {
		npf_clean_text(name, sizeof(name), job->final);
		printf("  now called %s\n", name);
	}
}

static void tell_json(const struct job *job, int code)
{
	const struct npf_scan *scan = &job->scan;
	bool known = scan->format != NPF_SCAN_NONE;
	struct npf_json json = { .out = stdout };

	npf_json_object(&json, NULL);
	npf_json_string(&json, "file", job->name);
	npf_json_unsigned(&json, "code", (uint64_t)code);
	npf_json_string(&json, "format", known ? npf_scan_format_name(scan->format) : NULL);
	npf_json_unsigned(&json, "link_type", scan->link_type);
	npf_json_unsigned(&json, "packets", scan->packets);
	npf_json_unsigned(&json, "size", job->size);
	npf_json_unsigned(&json, "whole", scan->end);
	npf_json_string(&json, "tail", known ? tail_name(scan->tail) : NULL);
	npf_json_unsigned(&json, "first_ns", scan->first);
	npf_json_unsigned(&json, "last_ns", scan->last);
	npf_json_string(&json, "done", job->done);
	npf_json_string(&json, "renamed", *job->final ? job->final : NULL);
	npf_json_object_end(&json);
	npf_json_line(&json);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int work(struct job *job)
{
	struct options *options = job->options;
	int code = open_file(job), err;

	if (!code)
		code = look(job);
	if (code)
		return code;
	if (!options->json)
		tell_text(job);
	err = npf_flush(stdout); /* before what goes wrong is told on standard error */
	options->told = options->told ? options->told : err;
	if (options->check)
		return job->scan.tail == NPF_TAIL_NONE ? EXIT_OK : EXIT_DAMAGED;
	code = change(job);
	if (!options->json)
		tell_done(job);
	return code;
}

static int repair(struct options *options, const char *name)
{
	struct job job = { .options = options, .name = name, .fd = -1 };
	int code = work(&job);

	if (job.fd >= 0)
		close(job.fd);
	if (options->json)
		tell_json(&job, code);
	return code;
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "check", no_argument, NULL, 'c' },  { "output", required_argument, NULL, 'o' },
		{ "rename", no_argument, NULL, 'r' }, { "force", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },   { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "co:rfj", long_options, NULL)) != -1) {
		if (option == 'c')
			options->check = true;
		else if (option == 'o')
			options->out = optarg;
		else if (option == 'r')
			options->rename = true;
		else if (option == 'f')
			options->force = true;
		else if (option == 'j')
			options->json = true;
		else
			return npf_tool_hint(&npf_command_repair);
	}
	if (optind == argc)
		return npf_tool_usage(&npf_command_repair, "which file?");
	if (options->out && optind + 1 < argc)
		return npf_tool_usage(&npf_command_repair, "-o takes one file at a time");
	if (options->check + (options->out != NULL) + (options->rename || options->force) > 1)
		return npf_tool_usage(&npf_command_repair,
				      "--check changes nothing and -o leaves the file alone: they go "
				      "with nothing else");
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { 0 };
	int code = parse(&options, argc, argv), err;

	if (code)
		return code;
	setlocale(LC_CTYPE, "");
	for (int i = optind; i < argc; i++) {
		int of_file = repair(&options, argv[i]);

		code = of_file > code ? of_file : code;
	}
	err = npf_flush(stdout);
	return npf_tool_flushed(&npf_command_repair, options.told ? options.told : err, code);
}

const struct npf_command npf_command_repair = {
	.name = "repair",
	.run = run,
	.summary = "make savefiles whole that a kill or a power cut left behind",
	.codes = NPF_CODES_ALL | NPF_CODES_SAVEFILE,
	.help = "usage: npf repair [OPTION...] FILE...\n\n"
		"Find the end of the last whole record of pcap and pcapng files, say what is\n"
		"there, and cut off what follows. A file that is whole is left as it is.\n\n"
		"  -c, --check          only say what is there\n"
		"  -o, --output OUT     write the whole part to OUT, a new file; FILE is left\n"
		"                       alone\n"
		"  -r, --rename         then give FILE.part its final name, FILE\n"
		"  -f, --force          cut even where data follows that is no record\n"
		"  -j, --json           one JSON object per file\n\n"
		"The exit code is 0 when the files are whole now (--check: are whole), and the\n"
		"highest of several files'.\n\n"
		"examples:\n"
		"  npf repair --check trace.pcap.part\n"
		"  npf repair --rename *.part\n"
		"  npf repair -o whole.pcapng damaged.pcapng\n",
};
