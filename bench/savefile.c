/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Savefiles through a filter: CPU time of `npf filter` and of tcpdump, which write the same bytes.
 * The input is made here from the synthetic mix, at full length, and is in the page cache. Filters
 * that keep next to nothing, some, and all but nothing: what is kept has to be written by both, and
 * writing costs both the same.
 */
#include "savefile.h"

#include <err.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"

#define LEAST_RATIO   5.0
#define RECORD_HEADER 16u
#define BLOCK         (4u << 20)
#define LONGEST       2048u

enum reader_tool { TCPDUMP, NPF, N_TOOLS };
static const char *const tool_names[N_TOOLS] = { "tcpdump", "npf filter" };

static const char *const expressions[] = {
	"host 192.0.2.77", /* nobody */
	"tcp port 80",
	"udp port 53",
	"ip",
};
#define N_EXPRESSIONS (sizeof(expressions) / sizeof(expressions[0]))

struct savefile {
	const struct savefile_options *options;
	char in[4096], out[N_TOOLS][4096];
	struct series user[N_EXPRESSIONS][N_TOOLS], system[N_EXPRESSIONS][N_TOOLS]; /* ms */
	struct series cpu[N_EXPRESSIONS][N_TOOLS];
	double kept[N_EXPRESSIONS]; /* share of the input's bytes */
	bool same[N_EXPRESSIONS];
	uint64_t size;
};

/* ---- the input ------------------------------------------------------------------------------ */

static size_t put_record(uint8_t *to, const struct packets *packets, uint64_t number)
{
	uint32_t i = (uint32_t)(engine_random() % PACKETS);
	uint32_t length = packets->wire_length[i];
	const uint32_t header[4] = { (uint32_t)(number / 1000000), (uint32_t)(number % 1000000),
				     length, length };

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

static void become(const struct savefile *savefile, enum reader_tool tool, const char *expression)
{
	int nowhere = open("/dev/null", O_RDWR);

	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	if (tool == TCPDUMP)
		execlp("tcpdump", "tcpdump", "-Z", "root", "-r", savefile->in, "-w",
		       savefile->out[tool], expression, NULL);
	else
		execlp(savefile->options->npf, "npf", "filter", "-q", savefile->in,
		       savefile->out[tool], expression, NULL);
	_exit(127);
}

static double ms(const struct timeval *time)
{
	return (double)time->tv_sec * 1e3 + (double)time->tv_usec / 1e3;
}

static void measure(struct savefile *savefile, unsigned int e, enum reader_tool tool)
{
	struct rusage usage;
	pid_t pid;
	int status;

	unlink(savefile->out[tool]);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		become(savefile, tool, expressions[e]);
	if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		warnx("%s failed on %s", tool_names[tool], expressions[e]);
		return;
	}
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
	uint64_t size;

	for (unsigned int round = 0; round < savefile->options->rounds; round++) {
		progress("savefiles through a filter", round, savefile->options->rounds);
		for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
			for (unsigned int i = 0; i < N_TOOLS; i++)
				measure(savefile, e, (round + i) % N_TOOLS);
			if (round)
				continue;
			savefile->same[e] = is_same(savefile, &size);
			savefile->kept[e] = (double)size / (double)savefile->size;
		}
	}
}

/* ---- telling -------------------------------------------------------------------------------- */

static double ratio(const struct savefile *savefile, unsigned int e)
{
	return series_median(&savefile->cpu[e][TCPDUMP]) / series_median(&savefile->cpu[e][NPF]);
}

static void print(const struct savefile *savefile, FILE *out)
{
	struct verdict verdict = { .limit = LEAST_RATIO, .at_least = true };

	fprintf(out, "\nA savefile of %u MiB in %s through a filter: ms of CPU\n%-18s%8s",
		savefile->options->mib, savefile->options->directory, "", "kept");
	for (unsigned int t = 0; t < N_TOOLS; t++)
		fprintf(out, "%12s%8s%8s", tool_names[t], "user", "system");
	fputc('\n', out);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		fprintf(out, "%-18s%7.1f%%", expressions[e], 100 * savefile->kept[e]);
		for (unsigned int t = 0; t < N_TOOLS; t++)
			fprintf(out, "%12.0f%8.0f%8.0f", series_median(&savefile->cpu[e][t]),
				series_median(&savefile->user[e][t]),
				series_median(&savefile->system[e][t]));
		fputs(savefile->same[e] ? "\n" : "  NOT THE SAME OUTPUT\n", out);
	}
	fputc('\n', out);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		verdict.measured = ratio(savefile, e);
		fprintf(out, "%-18s%7.2f times less than tcpdump, at least %.2f  %s\n",
			expressions[e], verdict.measured, verdict.limit, report_word(&verdict));
	}
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
	static const char *const keys[N_TOOLS] = { "tcpdump_cpu_ms", "npf_cpu_ms" };
	FILE *out = fopen(path, "we");

	if (!out)
		err(1, "%s", path);
	fprintf(out, "{\"mib\": %u, \"filters\": [", savefile->options->mib);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		fprintf(out, "%s\n  {\"filter\": \"%s\", \"kept\": %.4f, \"same\": %s",
			e ? "," : "", expressions[e], savefile->kept[e],
			savefile->same[e] ? "true" : "false");
		for (unsigned int t = 0; t < N_TOOLS; t++)
			put_values(&savefile->cpu[e][t], keys[t], out);
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
	for (unsigned int t = 0; t < N_TOOLS; t++)
		snprintf(savefile.out[t], sizeof(savefile.out[t]), "%s/out.%u.pcap", folder, t);
	make_input(&savefile);
	measure_all(&savefile);
	unlink(savefile.in);
	for (unsigned int t = 0; t < N_TOOLS; t++)
		unlink(savefile.out[t]);
	rmdir(folder);
	print(&savefile, out);
	if (json)
		put_json(&savefile, json);
}
