/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dump to disk: who writes every packet to the same file system at the highest rate there is, and
 * what it costs. Rounds are interleaved, each begins with another tool, and each run begins with a
 * page cache that holds nothing dirty. Frames that are larger than the disk can keep up with show
 * what share of the disk's own speed arrives.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CALM_DIRTY    (64u << 10) /* KiB of dirty pages that disturb nobody */
#define CALM_MS       20000       /* the longest wait for it */
#define DRAIN_MS      1200        /* libpcap's readers get a partly filled block after a second */
#define QUIET_MS      300         /* a file that does not grow for so long is at its end */
#define DRAIN_MOST    15000
#define DD_MIB        2048
#define SPARE_MB      512 /* that others may need of the disk meanwhile, */
#define FORMAT_SHARE  2   /* and what a file may have for a byte of frames: 64 of 80 */
#define NAME          "npf-bench-"
#define LONGEST_FRAME 3000
#define FRAME_EXTRA   16 /* bytes that each format needs at least besides a frame */

const struct dump_load dump_loads[N_DUMP_LOADS] = {
	[DUMP_SMALL] = { 64, LIVE_FRAMES },
	[DUMP_LARGE] = { 1514, LIVE_FRAMES },
	[DUMP_LARGE_SOCKET] = { 1514, SENDMMSG },
	[DUMP_BEYOND] = { LONGEST_FRAME, LIVE_FRAMES },
};

/* FILE stands for the path of the file. The same buffer for all, 256 MiB. */
static const char *const tcpdump[] = { "tcpdump", "-i",     "vb", "-n",   "-Z", "root",
				       "-B",      "262144", "-w", "FILE", NULL };
static const char *const dumpcap[] = {
	"dumpcap", "-q", "-i", "vb", "-B", "256", "-w", "FILE", NULL
};
static const char *const netsniff[] = { "netsniff-ng", "-s",          "-i",     "vb", "-o",
					"FILE",        "--ring-size", "256MiB", NULL };
static const char *const npf[] = { "NPF", "dump", "-i", "vb", "-B256M", "-w", "FILE", NULL };
static const char *const npf_pcapng[] = { "NPF",      "dump",   "-i", "vb",   "-B256M",
					  "--format", "pcapng", "-w", "FILE", NULL };

const struct tool dump_tools[N_DUMPS] = {
	[DUMP_TCPDUMP] = { "tcpdump -w", "tcpdump", tcpdump, "# packets captured",
			   "# packets dropped" },
	[DUMP_DUMPCAP] = { "dumpcap -w", "dumpcap", dumpcap, "Packets captured: #", "/# (pcap:" },
	[DUMP_NETSNIFF] = { "netsniff-ng -o", "netsniff", netsniff, "#  packets passed filter",
			    "#  packets failed filter" },
	[DUMP_NPF] = { "npf dump", "npf_pcap", npf, "# packets written", "# packets dropped" },
	[DUMP_NPF_PCAPNG] = { "npf dump, pcapng", "npf_pcapng", npf_pcapng, "# packets written",
			      "# packets dropped" },
};

struct dump_bench {
	struct world *world;
	struct sender *sender;
	struct results *results;
	const char *npf;
	int directory;
	unsigned int dd_mib;
	char path[4096], part[4104];
};

/* ---- the disk -------------------------------------------------------------------------------- */

static unsigned long dirty_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long sum = 0, kib;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Dirty: %lu", &kib) == 1 ||
		    sscanf(line, "Writeback: %lu", &kib) == 1)
			sum += kib;
	}
	if (file)
		fclose(file);
	return sum;
}

/* Nothing of the run before is left to be written. */
static void calm_disk(const struct dump_bench *bench)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	unlink(bench->path);
	unlink(bench->part);
	syncfs(bench->directory);
	while (dirty_kib() > CALM_DIRTY &&
	       clock_ns(CLOCK_MONOTONIC) - start < (uint64_t)CALM_MS * 1000000)
		sleep_ms(20);
	sleep_ms(100);
}

static uint64_t file_size(const struct dump_bench *bench)
{
	struct stat status;

	if (stat(bench->path, &status) && stat(bench->part, &status))
		return 0;
	return (uint64_t)status.st_size;
}

/* Whoever lags behind may write on. */
static void drain(const struct dump_bench *bench)
{
	uint64_t size = file_size(bench), last;

	sleep_ms(DRAIN_MS);
	for (unsigned int ms = 0; ms < DRAIN_MOST; ms += QUIET_MS) {
		last = size;
		size = file_size(bench);
		if (size == last)
			return;
		sleep_ms(QUIET_MS);
	}
}

static const char *file_system(int directory)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} names[] = { { 0xEF53, "ext4" },      { 0x58465342, "xfs" },  { 0x9123683E, "btrfs" },
		      { 0x01021994, "tmpfs" }, { 0xF2F52010, "f2fs" }, { 0x794C7630, "overlay" },
		      { 0x6969, "nfs" } };
	struct statfs status;

	if (!fstatfs(directory, &status)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (names[i].magic == (unsigned long)status.f_type)
				return names[i].name;
		}
	}
	return "other";
}

/* The disk's own speed: the same directory, past the page cache. */
static void measure_dd(struct dump_bench *bench)
{
	char of[sizeof(bench->path) + 8], count[32];
	uint64_t start;
	int status;
	pid_t pid;

	calm_disk(bench);
	snprintf(of, sizeof(of), "of=%s", bench->path);
	snprintf(count, sizeof(count), "count=%u", bench->dd_mib);
	start = clock_ns(CLOCK_MONOTONIC);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		execlp("dd", "dd", "if=/dev/zero", of, "bs=1M", count, "oflag=direct",
		       "status=none", NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	if (status)
		return;
	series_add(&bench->results->dd_mb_s, (double)bench->dd_mib * 1048576 * 1e3 /
						     (double)(clock_ns(CLOCK_MONOTONIC) - start));
}

/* ---- one run --------------------------------------------------------------------------------- */

static bool start(struct dump_bench *bench, const struct tool *tool, struct tool *filled,
		  const char **argv, struct children *children)
{
	struct results *results = bench->results;
	char why[160];
	size_t n = 0;

	if (is_missing(results, tool->label))
		return false;
	for (; tool->argv[n]; n++)
		argv[n] = strcmp(tool->argv[n], "FILE") ? tool->argv[n] : bench->path;
	argv[n] = NULL;
	*filled = *tool;
	filled->argv = argv;
	if (children_start(children, bench->world, filled, 1, bench->npf, why, sizeof(why)))
		return true;
	note_missing(results, tool->label, why);
	return false;
}

static void measure_one(struct dump_bench *bench, unsigned int t, unsigned int l)
{
	const size_t size = dump_loads[l].size;
	struct dump *dump = &bench->results->dump[t][l];
	struct children children;
	struct outcome outcome;
	struct burst sent;
	struct tool tool;
	const char *argv[32];
	uint64_t written, most;

	if (!sender_has(bench->sender, dump_loads[l].generator))
		return;
	calm_disk(bench);
	if (!start(bench, &dump_tools[t], &tool, argv, &children))
		return;
	/* A burst may end a tenth before its time, and this one is not to be shorter. */
	sender_burst(bench->sender, dump_loads[l].generator, size,
		     bench->results->dump_ms * 10 / 9 + 1, &sent);
	written = file_size(bench);
	drain(bench);
	children_stop(&children, &outcome);
	if (!outcome.reported)
		return;
	/* What is not in the file was not written, whatever the tool says. */
	most = file_size(bench) / (size + FRAME_EXTRA);
	if (outcome.captured > most)
		outcome.captured = most;
	if (written > outcome.captured * size)
		written = outcome.captured * size;
	dump->delivered += sent.delivered;
	dump->captured += outcome.captured;
	dump->dropped += outcome.dropped;
	series_add(&dump->mpps, (double)sent.delivered * 1e3 / (double)sent.wall_ns);
	series_add(&dump->mb_s, (double)written * 1e3 / (double)sent.wall_ns);
	if (outcome.captured)
		series_add(&dump->ns, (double)outcome.cpu_ns / (double)outcome.captured);
}

/* Only we are measured where the disk is the limit, and in one format where it is not. */
static void measure_wanted(struct dump_bench *bench, unsigned int t, unsigned int l)
{
	if ((l == DUMP_BEYOND && t != DUMP_NPF) || (l == DUMP_LARGE_SOCKET && t == DUMP_NPF_PCAPNG))
		return;
	measure_one(bench, t, l);
}

/* ---- all ------------------------------------------------------------------------------------- */

static void set_mtu(const struct dump_bench *bench)
{
	static const char command[] = "ip link set %s mtu %d";
	char text[64];

	snprintf(text, sizeof(text), command, "va", LONGEST_FRAME);
	if (system(text))
		errx(1, "failed: %s", text);
	world_enter_tap(bench->world);
	snprintf(text, sizeof(text), command, "vb", LONGEST_FRAME);
	if (system(text))
		errx(1, "failed: %s", text);
	world_leave_tap(bench->world);
}

/* Files of a run before that was killed; its number is in their names. */
static void remove_old(const char *directory)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		int pid = 0;

		if (sscanf(entry->d_name, NAME "%d.pcap", &pid) == 1 && kill(pid, 0) &&
		    errno == ESRCH)
			unlinkat(dirfd(stream), entry->d_name, 0);
	}
	if (stream)
		closedir(stream);
}

static void open_directory(struct dump_bench *bench)
{
	struct results *results = bench->results;
	const char *directory = results->dump_directory;

	bench->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bench->directory < 0)
		err(1, "%s", directory);
	results->dump_file_system = file_system(bench->directory);
	if (!strcmp(results->dump_file_system, "tmpfs"))
		warnx("warning: %s is in memory: choose a disk with --dump-dir", directory);
	snprintf(bench->path, sizeof(bench->path), "%.4000s/" NAME "%d.pcap", directory,
		 (int)getpid());
	snprintf(bench->part, sizeof(bench->part), "%s.part", bench->path);
	remove_old(directory);
}

/* One file at a time: a small disk gets shorter bursts. */
static bool has_room(struct dump_bench *bench)
{
	struct results *results = bench->results;
	unsigned long long mb;
	struct statfs status;
	char why[160];

	if (fstatfs(bench->directory, &status))
		err(1, "%s", results->dump_directory);
	mb = (unsigned long long)status.f_bavail * (unsigned long long)status.f_bsize / 1000000;
	mb = mb > SPARE_MB ? (mb - SPARE_MB) / FORMAT_SHARE : 0;
	bench->dd_mib = mb < DD_MIB ? (unsigned int)mb : DD_MIB;
	if (mb < results->dump_mb) {
		warnx("warning: %s has room for bursts of %llu MB only", results->dump_directory,
		      mb);
		results->dump_mb = (unsigned int)mb;
	}
	if (mb >= LEAST_DUMP_MB)
		return true;
	snprintf(why, sizeof(why), "%.100s has too little room for anything",
		 results->dump_directory);
	note_missing(results, "dump", why);
	return false;
}

void dump_measure(struct world *world, struct sender *sender, const char *npf_path,
		  struct results *results)
{
	struct dump_bench bench = {
		.world = world, .sender = sender, .results = results, .npf = npf_path
	};

	open_directory(&bench);
	if (!has_room(&bench)) {
		close(bench.directory);
		return;
	}
	set_mtu(&bench);
	sender->most = (uint64_t)results->dump_mb * 1000000;
	for (unsigned int round = 0; round < results->dump_rounds; round++) {
		progress("dump to disk", round, results->dump_rounds);
		measure_dd(&bench);
		for (unsigned int i = 0; i < N_DUMPS * N_DUMP_LOADS; i++)
			measure_wanted(&bench, (round + i / N_DUMP_LOADS) % N_DUMPS,
				       i % N_DUMP_LOADS);
	}
	sender->most = 0;
	calm_disk(&bench);
	close(bench.directory);
}
