/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a filter costs in the kernel. First alone: our translation in test runs, an empty program
 * taken off, and the same expression as SO_ATTACH_FILTER on a socket that throws away what it is
 * sent, one that asks for no byte taken off. Then whole, on veth: what a capture that rejects
 * everything adds for the sender, beside tcpdump with the same expression, and with a set of 10,000
 * hosts. Last, how long such a set takes to be in place.
 */
#include "kernel.h"

#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <math.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/filter_kernel.h"
#include "npf/npf.h"

#define PACKET     128u
#define TEST_RUNS  300000u
#define SENDS      4000u
#define PAIRS      41u
#define HOSTS      10000u
#define LEAST_80   5.0  /* times cheaper, tcp port 80 on veth */
#define MOST_EVER  1.0  /* of the cost of SO_ATTACH_FILTER */
#define MOST_HOSTS 40.0 /* ns */
#define MOST_LOAD  50.0 /* ms */

enum form { DIRECT, COPY, ATTACH, N_FORMS };
static const char *const form_names[N_FORMS] = { "direct", "window", "attach" };

static const char *const expressions[] = {
	"ip",
	"tcp port 80",
	"host 10.0.0.1",
	"udp port 53",
	"tcp port 80 and host 10.0.0.1",
	"net 10.0.0.0/8",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
	"portrange 1-1023",
	"tcp port 21 or 22 or 23 or 25 or 53 or 110 or 143 or 443 or 8080 or 80",
	"not arp and not icmp",
	"ip6 net 2001:db8::/32",
};
#define N_EXPRESSIONS (sizeof(expressions) / sizeof(expressions[0]))

/* A segment of a connection to port 80, from 192.168.1.10 to 10.0.0.1. */
static const uint8_t packet[PACKET] = {
	0x02, 1,   2,    3,    4,    5,  0x02, 7, 8, 9, 10,  11,  8, 0,  0x45, 0,
	0,    114, 0,    0,    0x40, 0,  64,   6, 0, 0, 192, 168, 1, 10, 10,   0,
	0,    1,   0x30, 0x39, 0,    80, 0,    0, 0, 1, 0,   0,   0, 2,  0x50, 0x18,
};
static const struct npf_frame frame = { .length = PACKET,
					.wire_length = PACKET,
					.protocol = 0x0800 };

/* On veth every one of them rejects the sender's frames. */
#define REPORT "# packets captured", "# packets dropped"
#define TCPDUMP(...)                                                                               \
	"tcpdump", "-i", "vb", "-n", "-Z", "root", "-w", "/dev/null", "-B", "16384", __VA_ARGS__
#define NPF(...) "NPF", "capture", "-i", "vb", "-q", "-w", "/dev/null", "-B16M", __VA_ARGS__

static char hosts_path[] = "/tmp/npf-bench-hosts-XXXXXX";
static const char *const tcpdump_80[] = { TCPDUMP("tcp port 80"), NULL };
static const char *const npf_80[] = { NPF("tcp port 80"), NULL };
static const char *const tcpdump_host[] = { TCPDUMP("host 198.51.100.7"), NULL };
static const char *const npf_host[] = { NPF("host 198.51.100.7"), NULL };
static const char *const npf_hosts[] = { NPF("--hosts", hosts_path), NULL };

enum { TCPDUMP_80, NPF_80, TCPDUMP_HOST, NPF_HOST, NPF_HOSTS, N_TAPS };
static const struct tool taps[N_TAPS] = {
	[TCPDUMP_80] = { "tcpdump, tcp port 80", "tcpdump_tcp_port_80", tcpdump_80, REPORT },
	[NPF_80] = { "npf capture, tcp port 80", "npf_tcp_port_80", npf_80, REPORT },
	[TCPDUMP_HOST] = { "tcpdump, one host", "tcpdump_host", tcpdump_host, REPORT },
	[NPF_HOST] = { "npf capture, one host", "npf_host", npf_host, REPORT },
	[NPF_HOSTS] = { "npf capture, 10,000 hosts", "npf_hosts", npf_hosts, REPORT },
};

struct kernel_bench {
	const struct kernel_options *options;
	struct series ns[N_EXPRESSIONS][N_FORMS];
	struct series added[N_TAPS];
	struct series load; /* ms */
	struct npf_net hosts[HOSTS];
};

/* ---- alone ---------------------------------------------------------------------------------- */

static double test_run(const struct npf_program *program, enum npf_ebpf_access access)
{
	struct filter_kernel kernel;
	uint32_t result, ns;
	double value = NAN;

	if (filter_kernel_load(program, access, &kernel))
		return NAN;
	if (!filter_kernel_time(&kernel, &frame, packet, TEST_RUNS, &result, &ns))
		value = ns;
	filter_kernel_close(&kernel);
	return value;
}

/* A filter that looks and then keeps nothing. */
static void attach(int socket, const struct bpf_program *program)
{
	struct sock_filter *insns = calloc(program->bf_len, sizeof(*insns));
	struct sock_fprog filter = { (unsigned short)program->bf_len, insns };

	if (!insns)
		err(1, "filter");
	memcpy(insns, program->bf_insns, program->bf_len * sizeof(*insns));
	for (unsigned int i = 0; i < program->bf_len; i++) {
		if (BPF_CLASS(insns[i].code) == BPF_RET)
			insns[i] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, 0 };
	}
	if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		err(1, "SO_ATTACH_FILTER");
	free(insns);
}

static void open_pair(int pair[2], const struct bpf_program *program)
{
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		err(1, "socketpair");
	attach(pair[1], program);
}

static double send_through(const int pair[2])
{
	uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned int i = 0; i < SENDS; i++)
		(void)!send(pair[0], packet, PACKET, MSG_DONTWAIT);
	return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / SENDS;
}

/* Always right after one without: the machine changes its pace. */
static double attached(const struct bpf_program *program)
{
	struct bpf_insn none = { BPF_RET | BPF_K, 0, 0, 0 };
	const struct bpf_program empty = { 1, &none };
	struct series series = { 0 };
	int with[2], without[2];

	open_pair(with, program);
	open_pair(without, &empty);
	while (series.n < PAIRS) {
		double base = send_through(without);

		series_add(&series, send_through(with) - base);
	}
	for (int i = 0; i < 2; i++) {
		close(with[i]);
		close(without[i]);
	}
	return series_median(&series);
}

static void measure_alone(struct kernel_bench *bench, pcap_t *pcap, unsigned int e)
{
	struct bpf_program compiled;
	struct npf_program program = { .dialect = NPF_DIALECT_WIRE };

	if (pcap_compile(pcap, &compiled, expressions[e], 1, PCAP_NETMASK_UNKNOWN))
		errx(1, "%s: %s", expressions[e], pcap_geterr(pcap));
	program.length = compiled.bf_len;
	program.insns = (const void *)compiled.bf_insns;
	series_add(&bench->ns[e][DIRECT],
		   test_run(&program, NPF_EBPF_DIRECT) - test_run(NULL, NPF_EBPF_DIRECT));
	series_add(&bench->ns[e][COPY],
		   test_run(&program, NPF_EBPF_COPY) - test_run(NULL, NPF_EBPF_COPY));
	series_add(&bench->ns[e][ATTACH], attached(&compiled));
	pcap_freecode(&compiled);
}

/* ---- whole ---------------------------------------------------------------------------------- */

static double cpu_per_packet(struct kernel_bench *bench)
{
	struct sender *sender = bench->options->sender;
	enum generator generator = sender_has(sender, LIVE_FRAMES) ? LIVE_FRAMES : SENDMMSG;
	struct burst burst;

	sender_burst(sender, generator, 64, bench->options->ms, &burst);
	return burst.delivered ? (double)burst.cpu_ns / (double)burst.delivered : NAN;
}

static void measure_tap(struct kernel_bench *bench, unsigned int t)
{
	const struct kernel_options *options = bench->options;
	struct children children;
	struct outcome outcome;
	char why[160];
	double base = cpu_per_packet(bench);

	if (!children_start(&children, options->world, &taps[t], 1, options->npf, why,
			    sizeof(why))) {
		warnx("%s: %s", taps[t].label, why);
		return;
	}
	series_add(&bench->added[t], cpu_per_packet(bench) - base);
	children_stop(&children, &outcome);
}

/* ---- sets ----------------------------------------------------------------------------------- */

/* Spread over 10.0.0.0/8, and in a file. */
static void make_hosts(struct kernel_bench *bench)
{
	int fd = mkstemp(hosts_path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file)
		err(1, "%s", hosts_path);
	for (uint32_t i = 0; i < HOSTS; i++) {
		uint32_t number = i * 1663 + 1;
		struct npf_net *host = &bench->hosts[i];

		*host = (struct npf_net){ 4,
					  32,
					  { 10, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
					    (uint8_t)number } };
		fprintf(file, "%u.%u.%u.%u\n", host->address[0], host->address[1], host->address[2],
			host->address[3]);
	}
	if (fclose(file))
		err(1, "%s", hosts_path);
}

static void measure_load(struct kernel_bench *bench)
{
	const struct npf_set set = { .n_nets = HOSTS, .nets = bench->hosts };
	struct npf_host *host = npf_host_linux();
	struct npf_driver *driver = NULL;
	struct npf_instance *instance = NULL;
	char error[NPF_ERROR_SIZE] = "no memory";
	uint64_t start;

	world_enter_tap(bench->options->world);
	if (!host || npf_driver_entry(host, &driver) ||
	    npf_open(driver, "vb", NULL, &instance, error)) {
		warnx("loading sets: %s", error);
	} else {
		start = clock_ns(CLOCK_MONOTONIC);
		if (npf_set_sets(instance, &set, 1))
			warnx("loading sets: %s", npf_error(instance));
		else
			series_add(&bench->load, (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e6);
	}
	npf_close(instance);
	if (driver)
		npf_unload(driver);
	npf_host_linux_free(host);
	world_leave_tap(bench->options->world);
}

/* ---- telling -------------------------------------------------------------------------------- */

/* Of the medians; what costs nothing to speak of counts as half a ns. */
static double of_attach(const struct kernel_bench *bench, unsigned int e, enum form form)
{
	return fmax(series_median(&bench->ns[e][form]), 0.5) /
	       fmax(series_median(&bench->ns[e][ATTACH]), 0.5);
}

static double worst(const struct kernel_bench *bench, enum form form)
{
	double most = 0;

	for (unsigned int e = 0; e < N_EXPRESSIONS; e++)
		most = fmax(most, of_attach(bench, e, form));
	return most;
}

static unsigned int judge(const struct kernel_bench *bench, struct verdict verdicts[MAX_VERDICTS])
{
	const struct series *added = bench->added;
	const struct verdict all[] = {
		{ "alone, the worst filter, direct", worst(bench, DIRECT), MOST_EVER,
		  "x SO_ATTACH_FILTER", false },
		{ "alone, the worst filter, window", worst(bench, COPY), MOST_EVER,
		  "x SO_ATTACH_FILTER", false },
		{ "added on veth: tcp port 80, times cheaper than tcpdump",
		  series_ratio(&added[TCPDUMP_80], &added[NPF_80]), LEAST_80, "x", true },
		{ "added on veth: one host, times cheaper than tcpdump",
		  series_ratio(&added[TCPDUMP_HOST], &added[NPF_HOST]), 1, "x", true },
		{ "10,000 hosts, more than one host",
		  series_median(&added[NPF_HOSTS]) - series_median(&added[NPF_HOST]), MOST_HOSTS,
		  "ns", false },
		{ "10,000 hosts in place after", series_median(&bench->load), MOST_LOAD, "ms",
		  false },
	};

	memcpy(verdicts, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

static void print(const struct kernel_bench *bench, FILE *out)
{
	struct verdict verdicts[MAX_VERDICTS];
	unsigned int n = judge(bench, verdicts);

	fputs("\nFilters in the kernel, alone: ns a packet (attach: SO_ATTACH_FILTER)\n", out);
	fprintf(out, "%-48s", "");
	for (unsigned int f = 0; f < N_FORMS; f++)
		fprintf(out, "%10s", form_names[f]);
	fputc('\n', out);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		fprintf(out, "%-48.47s", expressions[e]);
		for (unsigned int f = 0; f < N_FORMS; f++)
			fprintf(out, "%10.1f", series_median(&bench->ns[e][f]));
		fputc('\n', out);
	}
	fputs("\nA capture that rejects every packet, 64 B: ns added for the sender\n", out);
	for (unsigned int t = 0; t < N_TAPS; t++)
		fprintf(out, "%-48s%+10.1f\n", taps[t].label, series_median(&bench->added[t]));
	fputc('\n', out);
	for (unsigned int i = 0; i < n; i++)
		fprintf(out, "%-56s%8.2f %s %8.2f %-20s%s\n", verdicts[i].what,
			verdicts[i].measured, verdicts[i].at_least ? "at least" : "at most ",
			verdicts[i].limit, verdicts[i].unit, report_word(&verdicts[i]));
	fflush(out);
}

static void put_values(const struct series *series, const char *key, FILE *out)
{
	fprintf(out, ", \"%s\": [", key);
	for (unsigned int i = 0; i < series->n; i++) {
		if (isnan(series->values[i]))
			fprintf(out, "%snull", i ? ", " : "");
		else
			fprintf(out, "%s%.3f", i ? ", " : "", series->values[i]);
	}
	fputc(']', out);
}

static void put_json(const struct kernel_bench *bench, const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out)
		err(1, "%s", path);
	fputs("{\"alone_ns\": [", out);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		fprintf(out, "%s\n  {\"filter\": \"%s\"", e ? "," : "", expressions[e]);
		for (unsigned int f = 0; f < N_FORMS; f++)
			put_values(&bench->ns[e][f], form_names[f], out);
		fputc('}', out);
	}
	fputs("],\n \"added_ns\": {\"bytes\": 64", out);
	for (unsigned int t = 0; t < N_TAPS; t++)
		put_values(&bench->added[t], taps[t].key, out);
	fprintf(out, "},\n \"sets\": {\"hosts\": %u", HOSTS);
	put_values(&bench->load, "load_ms", out);
	fputs("}}\n", out);
	fclose(out);
}

/* ---- the programme -------------------------------------------------------------------------- */

void kernel_bench(const struct kernel_options *options, FILE *out, const char *json)
{
	static struct kernel_bench bench;
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);

	if (!pcap)
		errx(1, "libpcap: no memory");
	bench.options = options;
	make_hosts(&bench);
	for (unsigned int round = 0; round < options->rounds; round++) {
		progress("filters in the kernel", round, options->rounds);
		for (unsigned int e = 0; e < N_EXPRESSIONS; e++)
			measure_alone(&bench, pcap, e);
		for (unsigned int t = 0; t < N_TAPS; t++)
			measure_tap(&bench, (round + t) % N_TAPS);
		measure_load(&bench);
	}
	unlink(hosts_path);
	pcap_close(pcap);
	print(&bench, out);
	if (json)
		put_json(&bench, json);
}
