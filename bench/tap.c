/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark: what our tap and others cost, side by side in one run. Rounds are interleaved,
 * each begins with another tool, and a tap is always compared with the same sender some moments
 * before it was there. Results are medians, ratios those of medians.
 */
#include <err.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"
#include "kernel.h"
#include "library.h"
#include "savefile.h"

#define QUIET         0.05 /* share of all CPUs that others may use */
#define SHARE         0.80 /* of its CPU that a sender should have */
#define READER_X      3    /* bursts that measure readers are longer than those for cost, */
#define READER_LESS   2    /* and rounds fewer */
#define ENGINE_ROUNDS 8    /* rounds are short there */
#define DRAIN_MS      1200 /* libpcap's readers get a partly filled block after a second */

const size_t frame_sizes[N_SIZES] = { 64, 1514 };

/* The same buffer for all, 16 MiB. -Z keeps tcpdump from changing its user. */
#define TCPDUMP        "tcpdump", "-i", "vb", "-n", "-Z", "root", "-w", "/dev/null"
#define DUMPCAP        "dumpcap", "-q", "-i", "vb", "-w", "/dev/null", "-B", "16"
#define NPF_RUN        "NPF", "run", "--"
#define NPF(hook)      "NPF", "capture", "-i", "vb", "-q", "-w", "/dev/null", "-B16M", "--hook", hook
#define NPF_STAT       "NPF", "stat", "-i", "vb", "--interval", "1s", "--json"
#define REJECT         "tcp port 80"
#define PCAP_REPORT    "# packets captured", "# packets dropped"
#define DUMPCAP_REPORT "Packets captured: #", "/# (pcap:"

static const char *const tcpdump[] = { TCPDUMP, "-B", "16384", NULL };
static const char *const tcpdump_small[] = { TCPDUMP, NULL };
static const char *const tcpdump_reject[] = { TCPDUMP, "-B", "16384", REJECT, NULL };
static const char *const npf_tcx[] = { NPF("tcx"), NULL };
static const char *const npf_socket[] = { NPF("socket"), NULL };
static const char *const npf_tpacket[] = { NPF("tpacket"), NULL };
static const char *const npf_reject[] = { NPF("auto"), REJECT, NULL };
static const char *const npf_stat[] = { NPF_STAT, NULL };
static const char *const npf_stat_all[] = { NPF_STAT, "all=", NULL };
static const char *const npf_stat_udp[] = { NPF_STAT, "udp=udp", NULL };
static const char *const dumpcap[] = { DUMPCAP, NULL };
static const char *const run_tcpdump[] = { NPF_RUN, TCPDUMP, "-B", "16384", NULL };
static const char *const run_dumpcap[] = { NPF_RUN, DUMPCAP, NULL };
static const char *const netsniff[] = {
	"netsniff-ng", "-s", "-i", "vb", "-o", "/dev/null", "--ring-size", "16MiB", NULL,
};

const struct tool cost_tools[N_COSTS] = {
	[COST_NONE] = { "no tap, again", "none", NULL, NULL, NULL },
	[COST_TCPDUMP] = { "tcpdump", "tcpdump", tcpdump, PCAP_REPORT },
	[COST_TCPDUMP_SMALL] = { "tcpdump, its own 2 MiB", "tcpdump_2m", tcpdump_small,
				 PCAP_REPORT },
	[COST_NPF] = { "npf capture, tcx", "npf_tcx", npf_tcx, PCAP_REPORT },
	[COST_NPF + 1] = { "npf capture, socket", "npf_socket", npf_socket, PCAP_REPORT },
	[COST_NPF + 2] = { "npf capture, tpacket", "npf_tpacket", npf_tpacket, PCAP_REPORT },
	[COST_STAT] = { "npf stat, one filter", "npf_stat", npf_stat_udp, NULL, NULL },
	[COST_RUN_TCPDUMP] = { "tcpdump by npf run", "run_tcpdump", run_tcpdump, PCAP_REPORT },
	[COST_DUMPCAP] = { "dumpcap", "dumpcap", dumpcap, DUMPCAP_REPORT },
	[COST_RUN_DUMPCAP] = { "dumpcap by npf run", "run_dumpcap", run_dumpcap, DUMPCAP_REPORT },
};

const struct tool reader_tools[N_READERS] = {
	[READER_TCPDUMP] = { "tcpdump", "tcpdump", tcpdump, PCAP_REPORT },
	[READER_DUMPCAP] = { "dumpcap", "dumpcap", dumpcap, DUMPCAP_REPORT },
	[READER_NETSNIFF] = { "netsniff-ng", "netsniff", netsniff, "#  packets passed filter",
			      "#  packets failed filter" },
	[READER_NPF] = { "npf capture, tcx", "npf_tcx", npf_tcx, PCAP_REPORT },
	[READER_NPF + 1] = { "npf capture, socket", "npf_socket", npf_socket, PCAP_REPORT },
	[READER_NPF + 2] = { "npf capture, tpacket", "npf_tpacket", npf_tpacket, PCAP_REPORT },
	[READER_RUN_TCPDUMP] = { "tcpdump by npf run", "run_tcpdump", run_tcpdump, PCAP_REPORT },
	[READER_RUN_DUMPCAP] = { "dumpcap by npf run", "run_dumpcap", run_dumpcap, DUMPCAP_REPORT },
	[READER_SAME_TCPDUMP] = { "tcpdump, same rate", "same_tcpdump", run_tcpdump, PCAP_REPORT },
	[READER_SAME_DUMPCAP] = { "dumpcap, same rate", "same_dumpcap", run_dumpcap,
				  DUMPCAP_REPORT },
};

const struct tool monitor_tools[N_MONITORS] = {
	[MONITOR_ALL] = { "npf stat, every packet", "all", npf_stat_all, NULL, NULL },
	[MONITOR_FILTER] = { "npf stat, one filter", "filter", npf_stat_udp, NULL, NULL },
	[MONITOR_STANDARD] = { "npf stat, its standard set", "standard", npf_stat, NULL, NULL },
};

const struct tool crowd_tools[N_CROWDS] = {
	[CROWD_TCPDUMP] = { "1 tcpdump", "tcpdump", tcpdump_reject, PCAP_REPORT },
	[CROWD_NPF] = { "1 npf capture", "npf", npf_reject, PCAP_REPORT },
	[CROWD_TCPDUMP_4] = { "4 tcpdump", "tcpdump", tcpdump_reject, PCAP_REPORT },
	[CROWD_NPF_4] = { "4 npf capture", "npf", npf_reject, PCAP_REPORT },
};
const unsigned int crowd_instances[N_CROWDS] = { 1, 1, 4, 4 };

struct bench {
	struct world world;
	struct sender sender;
	struct results results;
	const char *npf, *json, *traces;
	struct savefile_options savefile;
};

/* ---- help for all --------------------------------------------------------------------------- */

static void note(void *data, const char *label, const char *why)
{
	note_missing(&((struct bench *)data)->results, label, why);
}

/* n of a tool; false when it cannot run here, which is told once. */
static bool start(struct bench *bench, struct children *children, const struct tool *tool,
		  unsigned int n)
{
	struct results *results = &bench->results;
	char why[160];

	if (is_missing(results, tool->label))
		return false;
	if (children_start(children, &bench->world, tool, n, bench->npf, why, sizeof(why)))
		return true;
	note_missing(results, tool->label, why);
	return false;
}

static void burst(struct bench *bench, enum generator generator, size_t size, unsigned int ms,
		  struct burst *burst)
{
	double share;

	sender_burst(&bench->sender, generator, size, ms, burst);
	share = (double)burst->cpu_ns / (double)burst->wall_ns;
	bench->results.sender_share = fmin(bench->results.sender_share, share);
}

static double per_packet(uint64_t ns, uint64_t packets)
{
	return packets ? (double)ns / (double)packets : NAN;
}

static double cpu_per_packet(const struct burst *burst)
{
	return per_packet(burst->cpu_ns, burst->delivered);
}

static double wall_per_packet(const struct burst *burst)
{
	return per_packet(burst->wall_ns, burst->delivered);
}

static enum generator best_generator(const struct bench *bench)
{
	return sender_has(&bench->sender, LIVE_FRAMES) ? LIVE_FRAMES : SENDMMSG;
}

/* ---- 1. what a tap adds to a packet's way --------------------------------------------------- */

static void bursts(struct bench *bench, size_t size, struct burst bursts[N_GENERATORS])
{
	for (enum generator g = 0; g < N_GENERATORS; g++) {
		bursts[g] = (struct burst){ 0 };
		if (sender_has(&bench->sender, g))
			burst(bench, g, size, bench->results.ms, &bursts[g]);
	}
}

static void measure_cost(struct bench *bench, unsigned int t, unsigned int s)
{
	struct results *results = &bench->results;
	struct burst base[N_GENERATORS], tapped[N_GENERATORS];
	struct children children;
	struct outcome outcome = { 0 };

	if (is_missing(results, cost_tools[t].label))
		return;
	bursts(bench, frame_sizes[s], base);
	if (t != COST_NONE && !start(bench, &children, &cost_tools[t], 1))
		return;
	bursts(bench, frame_sizes[s], tapped);
	if (t != COST_NONE)
		children_stop(&children, &outcome);
	results->cost_dropped[t] += outcome.dropped;
	for (enum generator g = 0; g < N_GENERATORS; g++) {
		struct cost *cost = &results->cost[t][g][s];

		results->cost_delivered[t] += tapped[g].delivered;
		series_add(&cost->base, cpu_per_packet(&base[g]));
		series_add(&cost->added, cpu_per_packet(&tapped[g]) - cpu_per_packet(&base[g]));
		series_add(&cost->added_wall,
			   wall_per_packet(&tapped[g]) - wall_per_packet(&base[g]));
	}
}

static void measure_costs(struct bench *bench)
{
	for (unsigned int round = 0; round < bench->results.rounds; round++) {
		progress("cost added per packet", round, bench->results.rounds);
		for (unsigned int i = 0; i < N_COSTS * N_SIZES; i++)
			measure_cost(bench, (round + i / N_SIZES) % N_COSTS, i % N_SIZES);
	}
}

/* ---- 2. and 3. the reader's CPU, and loss --------------------------------------------------- */

/* A program by npf run leaves the sender more time, and gets more packets than on libpcap; who loses
 * less is seen where both get as many. Packets a second, 0: as fast as it goes. */
static unsigned int rate_for(const struct results *results, unsigned int t, unsigned int s)
{
	unsigned int itself = t == READER_SAME_TCPDUMP ? READER_TCPDUMP : READER_DUMPCAP;

	if (t < READER_SAME_TCPDUMP)
		return 0;
	return (unsigned int)(1e6 * fmax(0, series_median(&results->reader[itself][s].mpps)));
}

static void measure_reader(struct bench *bench, unsigned int t, unsigned int s)
{
	struct reader *reader = &bench->results.reader[t][s];
	unsigned int rate = rate_for(&bench->results, t, s);
	struct children children;
	struct outcome outcome;
	struct burst sent;

	if ((t >= READER_SAME_TCPDUMP && !rate) || !start(bench, &children, &reader_tools[t], 1))
		return;
	bench->sender.pps = rate;
	burst(bench, best_generator(bench), frame_sizes[s], bench->results.ms * READER_X, &sent);
	bench->sender.pps = 0;
	children_settle(&children, DRAIN_MS);
	children_stop(&children, &outcome);
	if (!outcome.reported)
		return;
	reader->delivered += sent.delivered;
	reader->captured += outcome.captured;
	reader->dropped += outcome.dropped;
	series_add(&reader->mpps, (double)sent.delivered * 1e3 / (double)sent.wall_ns);
	series_add(&reader->ns, per_packet(outcome.cpu_ns, outcome.captured));
	series_add(&reader->ns_all, per_packet(outcome.cpu_all_ns, outcome.captured));
}

static void measure_readers(struct bench *bench)
{
	unsigned int rounds = (bench->results.rounds + READER_LESS - 1) / READER_LESS;

	for (unsigned int round = 0; round < rounds; round++) {
		progress("reader's CPU per packet and loss", round, rounds);
		for (unsigned int i = 0; i < N_READERS * N_SIZES; i++)
			measure_reader(bench, (round + i / N_SIZES) % N_READERS, i % N_SIZES);
	}
}

/* ---- 4. statistics mode --------------------------------------------------------------------- */

/* Send, and take the account of the programs that are not in account->before. */
static void observe(struct bench *bench, struct account *account, struct burst *sent,
		    struct monitor *monitor)
{
	programs_list(&account->earlier);
	burst(bench, best_generator(bench), frame_sizes[0], bench->results.ms * READER_X, sent);
	programs_list(&account->later);
	account->packets = sent->delivered;
	series_add(&monitor->program, programs_cost(account));
	series_add(&monitor->test_run,
		   programs_test_run(account, bench->sender.frame, frame_sizes[0]));
}

static void measure_empty(struct bench *bench)
{
	struct account account;
	struct burst sent;
	int link;

	programs_list(&account.before);
	link = programs_attach_empty(&bench->world);
	if (link < 0)
		return;
	observe(bench, &account, &sent, &bench->results.empty);
	close(link);
}

static void measure_stat(struct bench *bench, unsigned int m)
{
	struct monitor *monitor = &bench->results.monitor[m];
	struct children children;
	struct outcome outcome;
	struct account account;
	struct burst sent;
	uint64_t cpu, elapsed;

	programs_list(&account.before);
	if (!start(bench, &children, &monitor_tools[m], 1))
		return;
	cpu = children_cpu(&children);
	elapsed = clock_ns(CLOCK_MONOTONIC);
	observe(bench, &account, &sent, monitor);
	cpu = children_cpu(&children) - cpu;
	elapsed = clock_ns(CLOCK_MONOTONIC) - elapsed;
	children_stop(&children, &outcome);
	series_add(&monitor->cpu_ns, per_packet(cpu, sent.delivered));
	series_add(&monitor->cpu_percent, 100.0 * (double)cpu / (double)elapsed);
}

static void measure_monitor(struct bench *bench)
{
	unsigned int rounds = (bench->results.rounds + READER_LESS - 1) / READER_LESS;
	int account = programs_account();

	if (account < 0)
		return;
	for (unsigned int round = 0; round < rounds; round++) {
		progress("statistics mode", round, rounds);
		measure_empty(bench);
		for (unsigned int m = 0; m < N_MONITORS; m++)
			measure_stat(bench, m);
	}
	close(account);
}

/* ---- 5. instances that reject everything ---------------------------------------------------- */

static void measure_crowd(struct bench *bench, unsigned int c)
{
	enum generator generator = best_generator(bench);
	struct results *results = &bench->results;
	struct children children;
	struct outcome outcome;
	struct burst base, tapped;
	double added;

	burst(bench, generator, frame_sizes[0], results->ms, &base);
	if (!start(bench, &children, &crowd_tools[c], crowd_instances[c]))
		return;
	burst(bench, generator, frame_sizes[0], results->ms, &tapped);
	children_stop(&children, &outcome);
	added = cpu_per_packet(&tapped) - cpu_per_packet(&base);
	series_add(&results->crowd[c].each, added / crowd_instances[c]);
}

static void measure_crowds(struct bench *bench)
{
	for (unsigned int round = 0; round < bench->results.rounds; round++) {
		progress("rejecting instances", round, bench->results.rounds);
		for (unsigned int i = 0; i < N_CROWDS; i++)
			measure_crowd(bench, (round + i) % N_CROWDS);
		throngs_measure(&bench->world, &bench->sender, bench->results.ms,
				bench->results.throng);
	}
}

/* ---- all together --------------------------------------------------------------------------- */

static void usage(FILE *out)
{
	fputs("usage: npf-bench [OPTION...]\n"
	      "  -n, --npf PATH     the npf to measure (default: npf)\n"
	      "  -r, --rounds N     interleaved rounds (default 5)\n"
	      "  -m, --ms N         length of a burst in ms (default 300)\n"
	      "  -p, --phases LIST  of c(ost) r(eader) s(tatistics) i(nstances) (in)j(ection) d(ump)\n"
	      "                     e(ngine) (default crsijdefkl); k: filters in the (k)ernel,\n"
	      "                     f: save(f)iles, l: programs of (l)ibpcap; e and f need no root\n"
	      "  -t, --traces DIR   Ethernet traces for e beside the synthetic mix (default:\n"
	      "                     $NPF_TESTDATA/pcaps)\n"
	      "      --dump-dir DIR     where dumps are written, on the disk to measure\n"
	      "                         (default .)\n"
	      "      --dump-rounds N    rounds of the dump (default 2)\n"
	      "      --dump-ms N        length of its bursts in ms (default 10000),\n"
	      "      --dump-mb N        or so many MB, whichever comes first (default 5600)\n"
	      "      --file-dir DIR     where savefiles are made and filtered (default .)\n"
	      "      --file-mib N       size of the savefile (default 2048)\n"
	      "  -o, --output FILE  write the results as JSON\n",
	      out);
}

static unsigned int number(const char *text, unsigned int min, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || value < min || value > max)
		errx(2, "%s: a number from %u to %u is wanted", text, min, max);
	return (unsigned int)value;
}

enum { DUMP_DIR = 256, DUMP_ROUNDS, DUMP_MS, DUMP_MB, FILE_DIR, FILE_MIB };

static void parse(struct bench *bench, int argc, char **argv)
{
	static const struct option options[] = {
		{ "npf", required_argument, NULL, 'n' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "ms", required_argument, NULL, 'm' },
		{ "phases", required_argument, NULL, 'p' },
		{ "output", required_argument, NULL, 'o' },
		{ "dump-dir", required_argument, NULL, DUMP_DIR },
		{ "dump-rounds", required_argument, NULL, DUMP_ROUNDS },
		{ "dump-ms", required_argument, NULL, DUMP_MS },
		{ "dump-mb", required_argument, NULL, DUMP_MB },
		{ "file-dir", required_argument, NULL, FILE_DIR },
		{ "file-mib", required_argument, NULL, FILE_MIB },
		{ "traces", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *phases;
	int option;

	while ((option = getopt_long(argc, argv, "n:r:m:p:o:t:h", options, NULL)) != -1) {
		if (option == 'n')
			bench->npf = optarg;
		else if (option == 'r')
			bench->results.rounds = number(optarg, 1, MAX_ROUNDS);
		else if (option == 'm')
			bench->results.ms = number(optarg, 10, 60000);
		else if (option == 'p')
			bench->results.phases = optarg;
		else if (option == 'o')
			bench->json = optarg;
		else if (option == DUMP_DIR)
			bench->results.dump_directory = optarg;
		else if (option == DUMP_ROUNDS)
			bench->results.dump_rounds = number(optarg, 1, MAX_ROUNDS);
		else if (option == DUMP_MS)
			bench->results.dump_ms = number(optarg, 100, 60000);
		else if (option == DUMP_MB)
			bench->results.dump_mb = number(optarg, LEAST_DUMP_MB, 100000);
		else if (option == FILE_DIR)
			bench->savefile.directory = optarg;
		else if (option == FILE_MIB)
			bench->savefile.mib = number(optarg, 16, 1u << 20);
		else if (option == 't')
			bench->traces = optarg;
		else
			usage(option == 'h' ? stdout : stderr), exit(option == 'h' ? 0 : 2);
	}
	phases = bench->results.phases;
	if (optind < argc || strspn(phases, "crsijdefkl") != strlen(phases))
		usage(stderr), exit(2);
}

static void measure(struct bench *bench)
{
	const char *phases = bench->results.phases;

	if (strchr(phases, 'c'))
		measure_costs(bench);
	if (strchr(phases, 'r'))
		measure_readers(bench);
	if (strchr(phases, 's'))
		measure_monitor(bench);
	if (strchr(phases, 'i'))
		measure_crowds(bench);
	if (strchr(phases, 'j'))
		inject_measure(&bench->results.injection, &bench->sender, bench->npf,
			       bench->results.rounds, bench->results.ms, note, bench);
	if (strchr(phases, 'd'))
		dump_measure(&bench->world, &bench->sender, bench->npf, &bench->results);
	if (isatty(2))
		fputs("\r\033[K", stderr);
}

/* Where traces are unless told, NULL: nowhere. */
static char *usual_traces(void)
{
	const char *data = getenv("NPF_TESTDATA");
	char *folder = NULL;

	if (data && asprintf(&folder, "%s/pcaps", data) < 0)
		err(1, "traces");
	return folder;
}

/* Some phases have a file of their own for their values: what.json, what.engine.json. */
static char *own_json(const struct bench *bench, const char *phase)
{
	const char *base = bench->json ? bench->json : "", *dot = strrchr(base, '.');
	int stem = dot ? (int)(dot - base) : (int)strlen(base);
	char *json = NULL;

	if (bench->json && asprintf(&json, "%.*s.%s.json", stem, base, phase) < 0)
		err(1, "%s", base);
	return json;
}

static void measure_engine(const struct bench *bench)
{
	char *usual = usual_traces(), *json = own_json(bench, "engine");

	engine_bench(bench->traces ? bench->traces : usual, ENGINE_ROUNDS * bench->results.rounds,
		     stdout, json);
	free(json);
	free(usual);
}

static void measure_savefile(struct bench *bench)
{
	char *json = own_json(bench, "savefile");

	bench->savefile.npf = bench->npf;
	bench->savefile.rounds = bench->results.rounds;
	savefile_bench(&bench->savefile, stdout, json);
	free(json);
}

static void measure_kernel(struct bench *bench)
{
	const struct kernel_options options = { &bench->world, &bench->sender, bench->npf,
						bench->results.rounds, bench->results.ms };
	char *json = own_json(bench, "kernel");

	kernel_bench(&options, stdout, json);
	free(json);
}

static void measure_library(struct bench *bench)
{
	const struct library_options options = { &bench->world, &bench->sender, bench->npf,
						 bench->results.rounds, bench->results.ms };
	char *json = own_json(bench, "library");

	library_bench(&options, stdout, json);
	free(json);
}

static void warn_of_noise(const struct results *results)
{
	if (results->busy > QUIET)
		warnx("warning: the machine was not quiet, %.0f %% of its CPUs were in use before",
		      results->busy * 100);
	if (results->sender_share < SHARE)
		warnx("warning: in some burst the sender had only %.0f %% of its CPU: "
		      "figures and verdicts mean little",
		      results->sender_share * 100);
}

int main(int argc, char **argv)
{
	static struct bench bench = { .npf = "npf",
				      .results = { .phases = "crsijdefkl",
						   .rounds = 5,
						   .ms = 300,
						   .dump_directory = ".",
						   .dump_file_system = "",
						   .dump_rounds = 2,
						   .dump_ms = 10000,
						   .dump_mb = 5600,
						   .sender_share = 1 },
				      .savefile = { .directory = ".", .mib = 2048 } };

	if (argc > 1 && !strcmp(argv[1], "pcap-reader"))
		return library_reader(argc, argv);
	parse(&bench, argc, argv);
	if (strchr(bench.results.phases, 'e'))
		measure_engine(&bench);
	if (strchr(bench.results.phases, 'f'))
		measure_savefile(&bench);
	if (!strpbrk(bench.results.phases, "crsijdkl"))
		return 0;
	/* A shell that is killed must not leave us behind. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	bench.results.busy = world_busy();
	world_create(&bench.world);
	sender_create(&bench.sender, &bench.world);
	if (strchr(bench.results.phases, 'k'))
		measure_kernel(&bench);
	if (strchr(bench.results.phases, 'l'))
		measure_library(&bench);
	if (!strpbrk(bench.results.phases, "crsijd"))
		return 0;
	measure(&bench);
	report_print(&bench.results, stdout);
	fflush(stdout);
	warn_of_noise(&bench.results);
	if (bench.json && !report_json(&bench.results, bench.json))
		err(1, "%s", bench.json);
	return 0;
}
