/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Savefiles through a filter: CPU time of `npf filter` and of tcpdump, which write the same bytes,
 * and of reading the file and writing as much as is kept by nothing but read() and write(), past the
 * page cache where there is a disk: nothing that filters can do with less. The input is made here
 * from the synthetic mix, at full length, and is in the page cache. Filters that keep next to nothing,
 * some, and all but nothing.
 */
#include "savefile.h"

#include <err.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"

#define LEAST_RATIO   5.0 /* of tcpdump's CPU time, */
#define MOST_RATIO    1.2 /* or where that is less than reading and writing alone take: of theirs */
#define READ          (256u << 10)
#define RECORD_HEADER 16u
#define BLOCK         (4u << 20)
#define LONGEST       2048u
#define FIRST_SECOND  1760000000u

enum reader_tool { TCPDUMP, NPF, N_TOOLS, ALONE = N_TOOLS, N_ROWS };
static const char *const row_names[N_ROWS] = { "tcpdump", "npf filter", "only read, write" };

static const char *const expressions[] = {
	"host 192.0.2.77", /* nobody */
	"tcp port 80",
	"udp port 53",
	"ip",
};
#define N_EXPRESSIONS (sizeof(expressions) / sizeof(expressions[0]))

struct savefile {
	const struct savefile_options *options;
	char in[4096], out[N_ROWS][4096];
	struct series user[N_EXPRESSIONS][N_ROWS], system[N_EXPRESSIONS][N_ROWS]; /* ms */
	struct series cpu[N_EXPRESSIONS][N_ROWS], wall[N_EXPRESSIONS][N_ROWS];
	uint64_t kept[N_EXPRESSIONS]; /* bytes */
	bool same[N_EXPRESSIONS];
	uint64_t size;
};

/* ---- the input ------------------------------------------------------------------------------ */

static size_t put_record(uint8_t *to, const struct packets *packets, uint64_t number)
{
	uint32_t i = (uint32_t)(engine_random() % PACKETS);
	uint32_t length = packets->wire_length[i];
	const uint32_t header[4] = { FIRST_SECOND + (uint32_t)(number / 1000000),
				     (uint32_t)(number % 1000000), length, length };

	memcpy(to, header, sizeof(header));
	memset(to + RECORD_HEADER, 0, length);
	memcpy(to + RECORD_HEADER, packets->slots + (size_t)i * PACKET_SLOT, packets->length[i]);
	return RECORD_HEADER + length;
}

static void make_input(struct savefile *savefile)
{
	static const uint32_t header[6] = { 0xA1B2C3D4, 2 | 4 << 16, 0, 0, 262144, 1 };
	uint64_t wanted = (uint64_t)savefile->options->mib << 20, number = 0;
	uint8_t *block = malloc(BLOCK + LONGEST);
	FILE *file = fopen(savefile->in, "we");
	struct packets packets;

	if (!block || !file)
		err(1, "%s", savefile->in);
	packets_synthetic(&packets);
	fwrite(header, sizeof(header), 1, file);
	savefile->size = sizeof(header);
	while (savefile->size < wanted) {
		size_t n = 0;

		while (n < BLOCK)
			n += put_record(block + n, &packets, number++);
		if (fwrite(block, n, 1, file) != 1)
			err(1, "%s", savefile->in);
		savefile->size += n;
	}
	if (fclose(file))
		err(1, "%s", savefile->in);
	packets_free(&packets);
	free(block);
}

/* ---- the runs ------------------------------------------------------------------------------- */

/* Reads in pieces that stay in the processor's cache, writes few long ones. */
static void read_and_write(const struct savefile *savefile, uint64_t kept)
{
	uint8_t *block = aligned_alloc(BLOCK, BLOCK);
	int in = open(savefile->in, O_RDONLY);
	int out = open(savefile->out[ALONE], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct statfs system;
	bool disk = !fstatfs(out, &system) && system.f_type != TMPFS_MAGIC &&
		    !fcntl(out, F_SETFL, O_DIRECT);
	ssize_t n = 1;

	if (!block || in < 0 || out < 0)
		_exit(1);
	while (n > 0)
		n = read(in, block, READ);
	memset(block, 1, disk ? BLOCK : READ);
	for (; kept && n >= 0; kept -= (uint64_t)n) {
		uint64_t most = disk ? BLOCK : READ;

		if (kept < most && disk)
			fcntl(out, F_SETFL, 0);
		n = write(out, block, kept < most ? kept : most);
	}
	_exit(n < 0);
}

static void become(const struct savefile *savefile, enum reader_tool tool, unsigned int e)
{
	int nowhere = open("/dev/null", O_RDWR);

	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	if (tool == TCPDUMP)
		execlp("tcpdump", "tcpdump", "-Z", "root", "-r", savefile->in, "-w",
		       savefile->out[tool], expressions[e], NULL);
	else if (tool == NPF)
		execlp(savefile->options->npf, "npf", "filter", "-q", savefile->in,
		       savefile->out[tool], expressions[e], NULL);
	else
		read_and_write(savefile, savefile->kept[e]);
	_exit(127);
}

static double ms(const struct timeval *time)
{
	return (double)time->tv_sec * 1e3 + (double)time->tv_usec / 1e3;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void measure(struct savefile *savefile, unsigned int e, enum reader_tool tool)
{
	struct rusage usage;
	double begin;
	pid_t pid;
	int status;

	unlink(savefile->out[tool]);
	sync(); /* nobody waits for what another one wrote */
	begin = now_ms();
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		become(savefile, tool, e);
	if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		warnx("%s failed on %s", row_names[tool], expressions[e]);
		return;
	}
	series_add(&savefile->wall[e][tool], now_ms() - begin);
	series_add(&savefile->user[e][tool], ms(&usage.ru_utime));
	series_add(&savefile->system[e][tool], ms(&usage.ru_stime));
	series_add(&savefile->cpu[e][tool], ms(&usage.ru_utime) + ms(&usage.ru_stime));
}

static bool is_same(const struct savefile *savefile, uint64_t *size)
{
	static uint8_t blocks[N_TOOLS][1 << 16];
	FILE *file[N_TOOLS];
	size_t n[N_TOOLS] = { 0 };
	bool same = true;

	*size = 0;
	for (int i = 0; i < N_TOOLS; i++)
		file[i] = fopen(savefile->out[i], "re");
	while (same && file[0] && file[1]) {
		for (int i = 0; i < N_TOOLS; i++)
			n[i] = fread(blocks[i], 1, sizeof(blocks[i]), file[i]);
		same = n[0] == n[1] && !memcmp(blocks[0], blocks[1], n[0]);
		*size += n[0];
		if (!n[0])
			break;
	}
	same &= file[0] && file[1];
	for (int i = 0; i < N_TOOLS; i++) {
		if (file[i])
			fclose(file[i]);
	}
	return same;
}

static void measure_all(struct savefile *savefile)
{
	for (unsigned int round = 0; round < savefile->options->rounds; round++) {
		progress("savefiles through a filter", round, savefile->options->rounds);
		for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
			for (unsigned int i = 0; i < N_TOOLS; i++)
				measure(savefile, e, (round + i) % N_TOOLS);
			if (!round)
				savefile->same[e] = is_same(savefile, &savefile->kept[e]);
			measure(savefile, e, ALONE);
			for (unsigned int i = 0; i < N_ROWS; i++)
				unlink(savefile->out[i]);
		}
	}
}

/* ---- telling -------------------------------------------------------------------------------- */

static double share(const struct savefile *savefile, unsigned int e)
{
	return (double)savefile->kept[e] / (double)savefile->size;
}

static void print_rows(const struct savefile *savefile, FILE *out)
{
	fprintf(out,
		"\nA savefile of %u MiB in %s through a filter: ms\n%-18s%8s  %-18s%8s%8s%8s%8s\n",
		savefile->options->mib, savefile->options->directory, "", "kept", "", "CPU", "user",
		"system", "wall");
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		for (unsigned int t = 0; t < N_ROWS; t++) {
			if (t)
				fprintf(out, "%26s", "");
			else
				fprintf(out, "%-18s%7.1f%%", expressions[e],
					100 * share(savefile, e));
			fprintf(out, "  %-18s%8.0f%8.0f%8.0f%8.0f\n", row_names[t],
				series_median(&savefile->cpu[e][t]),
				series_median(&savefile->user[e][t]),
				series_median(&savefile->system[e][t]),
				series_median(&savefile->wall[e][t]));
		}
		if (!savefile->same[e])
			fputs("NOT THE SAME OUTPUT\n", out);
	}
	fputc('\n', out);
}

/* Five times less than tcpdump, unless reading and writing alone cost more than that: then they are
 * the measure. */
static void print_verdict(const struct savefile *savefile, unsigned int e, FILE *out)
{
	double tcpdump = series_median(&savefile->cpu[e][TCPDUMP]);
	double npf = series_median(&savefile->cpu[e][NPF]);
	double alone = series_median(&savefile->cpu[e][ALONE]);
	struct verdict less = { .measured = tcpdump / npf, .limit = LEAST_RATIO, .at_least = true };
	struct verdict more = { .measured = npf / alone, .limit = MOST_RATIO };
	bool bounded = LEAST_RATIO * alone > tcpdump;

	fprintf(out, "%-18s%7.2f times less than tcpdump, at least %.2f; ", expressions[e],
		less.measured, less.limit);
	fprintf(out, "%.2f times only reading and writing, at most %.2f  %s\n", more.measured,
		more.limit, report_word(bounded ? &more : &less));
}

static void print(const struct savefile *savefile, FILE *out)
{
	print_rows(savefile, out);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++)
		print_verdict(savefile, e, out);
	fflush(out);
}

static void put_values(const struct series *series, const char *key, FILE *out)
{
	fprintf(out, ", \"%s\": [", key);
	for (unsigned int i = 0; i < series->n; i++)
		fprintf(out, "%s%.3f", i ? ", " : "", series->values[i]);
	fputc(']', out);
}

static void put_json(const struct savefile *savefile, const char *path)
{
	static const char *const keys[N_ROWS] = { "tcpdump", "npf", "alone" };
	FILE *out = fopen(path, "we");
	char key[32];

	if (!out)
		err(1, "%s", path);
	fprintf(out, "{\"mib\": %u, \"filters\": [", savefile->options->mib);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		fprintf(out, "%s\n  {\"filter\": \"%s\", \"kept\": %.4f, \"same\": %s",
			e ? "," : "", expressions[e], share(savefile, e),
			savefile->same[e] ? "true" : "false");
		for (unsigned int t = 0; t < N_ROWS; t++) {
			snprintf(key, sizeof(key), "%s_cpu_ms", keys[t]);
			put_values(&savefile->cpu[e][t], key, out);
			snprintf(key, sizeof(key), "%s_wall_ms", keys[t]);
			put_values(&savefile->wall[e][t], key, out);
		}
		fputc('}', out);
	}
	fputs("\n]}\n", out);
	fclose(out);
}

void savefile_bench(const struct savefile_options *options, FILE *out, const char *json)
{
	static struct savefile savefile;
	char folder[2048];

	savefile.options = options;
	snprintf(folder, sizeof(folder), "%s/npf-bench-XXXXXX", options->directory);
	if (!mkdtemp(folder))
		err(1, "%s", folder);
	snprintf(savefile.in, sizeof(savefile.in), "%s/in.pcap", folder);
	for (unsigned int t = 0; t < N_ROWS; t++)
		snprintf(savefile.out[t], sizeof(savefile.out[t]), "%s/out.%u.pcap", folder, t);
	make_input(&savefile);
	measure_all(&savefile);
	unlink(savefile.in);
	rmdir(folder);
	print(&savefile, out);
	if (json)
		put_json(&savefile, json);
}
