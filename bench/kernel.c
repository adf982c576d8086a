/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a filter costs in the kernel. First alone: our translations in test runs, an empty program
 * taken off, and on a socket that throws away what it is sent, the harness without a filter taken
 * off, as the same expression is by SO_ATTACH_FILTER, a filter that asks for no byte taken off.
 * Sockets of all these kinds stand side by side and are sent to by turns; second ones without a
 * filter tell how much of a difference is noise. Then on veth: what a capture that rejects everything
 * adds for the sender, beside tcpdump with the same expression, and what of that is the filter: what
 * one that looks at no byte adds is taken off. With a set of 10,000 hosts likewise; last, how long
 * such a set takes to be in place.
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

#include "engine.h"
#include "host/linux/kernel_filter.h"
#include "npf/npf.h"

#define PACKET      128u
#define TEST_RUNS   100000u
#define TEST_PAIRS  5u
#define SENDS       250u /* of one turn */
#define TURNS       12u  /* of each socket: twice their kinds */
#define SOCKETS     48u  /* of each kind */
#define HOSTS       10000u
#define LISTED      1000u
#define MOST_PEEKED 2560u /* instructions, as in src/host/linux/ebpf.c */
#define LEAST_80    5.0   /* times cheaper, tcp port 80 */
#define MOST_MORE   2.0   /* ns: not dearer, as far as can be told */
#define MOST_NOISE  2     /* times that limit */
#define MOST_HOSTS  40.0  /* ns */
#define MOST_LOAD   50.0  /* ms */

/* Translations in test runs, in the order of enum npf_ebpf_access; on sockets the best for them, the
 * classic filter, by how much that is cheaper, and nothing. */
enum form { BY_WINDOW, BY_DIRECT, BY_PEEK, BY_SOCKET, BY_CLASSIC, DEARER, BY_NOTHING, N_FORMS };
static const char *const form_names[N_FORMS] = { "window",  "direct", "peek", "socket",
						 "classic", "dearer", "noise" };

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
	NULL, /* a list of hosts, which libpcap would compile for minutes */
};
#define TCP_PORT_80 1

static const char *name_of(unsigned int e)
{
	return expressions[e] ? expressions[e] : "1000 hosts in a list";
}
#define N_EXPRESSIONS (sizeof(expressions) / sizeof(expressions[0]))

/* Classes of statistics mode, the first so many of these. */
#define N_GROUPS     3u
#define MOST_CLASSES 15u
static const uint32_t group_sizes[N_GROUPS] = { 1, 8, MOST_CLASSES };
static const char *const classes[MOST_CLASSES] = {
	"tcp port 80",
	"udp port 53",
	"tcp port 443",
	"arp",
	"ip6",
	"icmp",
	"net 192.168.0.0/16",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"host 10.0.0.1",
	"tcp port 22",
	"udp port 123",
	"portrange 1-1023",
	"ether broadcast",
	"not ip and not ip6 and not arp",
	"tcp port 25 or 110 or 143",
};
enum group_form { DIRECT_APART, DIRECT_JOINED, PEEK_APART, PEEK_JOINED, N_GROUP_FORMS };
static const char *const group_forms[N_GROUP_FORMS] = { "direct, apart", "direct, joined",
							"peek, apart", "peek, joined" };

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
/* No packet is as long: of a filter nothing but that it is there. */
#define NO_BYTE "greater 70000"
static const char *const tcpdump_none[] = { TCPDUMP(NO_BYTE), NULL };
static const char *const npf_none[] = { NPF(NO_BYTE), NULL };
static const char *const socket_none[] = { NPF("--hook", "socket", NO_BYTE), NULL };
static const char *const tcpdump_80[] = { TCPDUMP("tcp port 80"), NULL };
static const char *const npf_80[] = { NPF("tcp port 80"), NULL };
static const char *const socket_80[] = { NPF("--hook", "socket", "tcp port 80"), NULL };
static const char *const tcpdump_host[] = { TCPDUMP("host 198.51.100.7"), NULL };
static const char *const npf_host[] = { NPF("host 198.51.100.7"), NULL };
static const char *const npf_hosts[] = { NPF("--hosts", hosts_path), NULL };

enum {
	TCPDUMP_NONE,
	NPF_NONE,
	SOCKET_NONE,
	TCPDUMP_80,
	NPF_80,
	SOCKET_80,
	TCPDUMP_HOST,
	NPF_HOST,
	NPF_HOSTS,
	N_TAPS
};
static const struct tool taps[N_TAPS] = {
	[TCPDUMP_NONE] = { "tcpdump, a filter of no byte", "tcpdump_none", tcpdump_none, REPORT },
	[NPF_NONE] = { "npf capture, a filter of no byte", "npf_none", npf_none, REPORT },
	[SOCKET_NONE] = { "npf capture --hook socket, no byte", "npf_socket_none", socket_none,
			  REPORT },
	[TCPDUMP_80] = { "tcpdump, tcp port 80", "tcpdump_tcp_port_80", tcpdump_80, REPORT },
	[NPF_80] = { "npf capture, tcp port 80", "npf_tcp_port_80", npf_80, REPORT },
	[SOCKET_80] = { "npf capture --hook socket, tcp port 80", "npf_socket_tcp_port_80",
			socket_80, REPORT },
	[TCPDUMP_HOST] = { "tcpdump, one host", "tcpdump_host", tcpdump_host, REPORT },
	[NPF_HOST] = { "npf capture, one host", "npf_host", npf_host, REPORT },
	[NPF_HOSTS] = { "npf capture, 10,000 hosts", "npf_hosts", npf_hosts, REPORT },
};
/* What a tap has besides its filter. */
static const unsigned int bare[N_TAPS] = {
	[TCPDUMP_80] = TCPDUMP_NONE,   [NPF_80] = NPF_NONE,   [SOCKET_80] = SOCKET_NONE,
	[TCPDUMP_HOST] = TCPDUMP_NONE, [NPF_HOST] = NPF_NONE, [NPF_HOSTS] = NPF_NONE,
};

struct kernel_bench {
	const struct kernel_options *options;
	struct series ns[N_EXPRESSIONS][N_FORMS];
	struct series classes[N_GROUPS][N_GROUP_FORMS];
	struct series added[N_TAPS];
	struct series load; /* ms */
	struct npf_net hosts[HOSTS];
};

/* ---- alone ---------------------------------------------------------------------------------- */

/* NULL: impossible here. */
static const struct npf_ebpf_peek *find_peek(void)
{
	static struct npf_ebpf_peek peek;
	static int err = 1;

	if (err > 0)
		err = npf_peek_find(&peek);
	return err ? NULL : &peek;
}

static double test_once(const struct npf_kernel_filter *kernel)
{
	uint32_t result;
	double ns;

	return npf_kernel_filter_time(kernel, &frame, packet, TEST_RUNS, &result, &ns) ? NAN : ns;
}

/* Always right after one that accepts all: the machine changes its pace. */
static double test_runs(const struct npf_program *program, enum npf_ebpf_access access)
{
	struct npf_kernel_filter with, without;
	struct series series = { 0 };

	if (npf_kernel_filter_load(program, access, find_peek(), &with))
		return NAN;
	if (!npf_kernel_filter_load(NULL, access, find_peek(), &without)) {
		for (unsigned int i = 0; i < TEST_PAIRS; i++) {
			double base = test_once(&without);

			series_add(&series, test_once(&with) - base);
		}
		npf_kernel_filter_close(&without);
	}
	npf_kernel_filter_close(&with);
	return series_median(&series);
}

/* Beside no class at all. */
static double test_classes(const struct npf_program *const *programs, uint32_t n,
			   enum group_form form)
{
	const struct npf_translation way = { form < PEEK_APART ? NPF_EBPF_DIRECT : NPF_EBPF_PEEK,
					     form % 2, find_peek() };
	struct npf_kernel_filter with, without;
	struct series series = { 0 };

	if (npf_kernel_filter_load_classes(programs, n, 0, &way, &with))
		return NAN;
	if (!npf_kernel_filter_load_classes(programs, 0, 0, &way, &without)) {
		for (unsigned int i = 0; i < TEST_PAIRS; i++) {
			double base = test_once(&without);

			series_add(&series, test_once(&with) - base);
		}
		npf_kernel_filter_close(&without);
	}
	npf_kernel_filter_close(&with);
	return series_median(&series);
}

/* A classic filter that looks and then keeps nothing. */
static void attach_classic(int socket, const struct npf_program *program)
{
	struct sock_filter *insns = calloc(program->length, sizeof(*insns));
	struct sock_fprog filter = { (unsigned short)program->length, insns };

	if (!insns)
		err(1, "filter");
	memcpy(insns, program->insns, program->length * sizeof(*insns));
	for (uint32_t i = 0; i < program->length; i++) {
		if (BPF_CLASS(insns[i].code) == BPF_RET)
			insns[i] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, 0 };
	}
	if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		err(1, "SO_ATTACH_FILTER");
	free(insns);
}

/* Ours, as the socket hook has it: long filters, and those of kernels that do not show packets, by
 * the copy. NULL: the harness alone. */
static bool load_ours(const struct npf_program *program, struct npf_kernel_filter *kernel)
{
	if (!npf_kernel_filter_load_socket(program, NPF_EBPF_PEEK, find_peek(), &frame, kernel)) {
		if (kernel->length <= MOST_PEEKED)
			return true;
		npf_kernel_filter_close(kernel);
	}
	return !npf_kernel_filter_load_socket(program, NPF_EBPF_COPY, find_peek(), &frame, kernel);
}

static bool attach_ours(int socket, const struct npf_kernel_filter *kernel)
{
	return !setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &kernel->program,
			   sizeof(kernel->program));
}

static double send_through(const int pair[2])
{
	uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned int i = 0; i < SENDS; i++)
		(void)!send(pair[0], packet, PACKET, MSG_DONTWAIT);
	return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / SENDS;
}

/* Sockets that are compared: filters, what they have around them, and that once more. */
enum stand { OURS, HARNESS, HARNESS_AGAIN, CLASSIC, NOTHING, NOTHING_AGAIN, N_STANDS };

struct contest {
	const struct npf_program *program;
	struct npf_kernel_filter ours[CLASSIC]; /* by stand */
	struct series ns[N_FORMS];              /* a value for each set of sockets */
};

static bool open_stand(const struct contest *contest, enum stand stand, int pair[2])
{
	static const struct npf_insn none = { BPF_RET | BPF_K, 0, 0, 0 };
	static const struct npf_program nothing = { .length = 1, .insns = &none };

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		err(1, "socketpair");
	if (stand < CLASSIC)
		return attach_ours(pair[1], &contest->ours[stand]);
	attach_classic(pair[1], stand == CLASSIC ? contest->program : &nothing);
	return true;
}

/* The noise is that of a difference of differences, as the others'. */
static void add_values(struct series ns[N_FORMS], const double least[N_STANDS])
{
	double ours = least[OURS] - least[HARNESS], classic = least[CLASSIC] - least[NOTHING];

	series_add(&ns[BY_SOCKET], ours);
	series_add(&ns[BY_CLASSIC], classic);
	series_add(&ns[DEARER], ours - classic);
	series_add(&ns[BY_NOTHING],
		   least[HARNESS_AGAIN] - least[HARNESS] - (least[NOTHING_AGAIN] - least[NOTHING]));
}

/* Where a socket lies in memory makes a difference of some ns, where the kernel puts a program's code
 * does, and so does which was used before: many sets of sockets, each with programs of its own, opened
 * and used in every order. The least of a socket's turns counts. */
static void attach_and_send(struct contest *contest, unsigned int first)
{
	int pairs[N_STANDS][2];
	double least[N_STANDS];

	for (unsigned int i = 0; i < N_STANDS; i++) {
		unsigned int stand = (first + i) % N_STANDS;

		least[stand] = open_stand(contest, stand, pairs[stand]) ? INFINITY : NAN;
	}
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		for (unsigned int i = 0; i < N_STANDS; i++) {
			unsigned int by = turn / N_STANDS % 2 ? N_STANDS - 1 : 1;
			unsigned int stand = (first + turn + i * by) % N_STANDS;

			double ns = send_through(pairs[stand]);

			if (ns < least[stand])
				least[stand] = ns;
		}
	}
	for (unsigned int i = 0; i < N_STANDS; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	add_values(contest->ns, least);
}

/* In every order, too, for the kernel puts one behind the other. */
static bool load_all(struct contest *contest, unsigned int first)
{
	unsigned int loaded = 0;

	for (; loaded < CLASSIC; loaded++) {
		unsigned int stand = (first + loaded) % CLASSIC;

		if (!load_ours(stand == OURS ? contest->program : NULL, &contest->ours[stand]))
			break;
	}
	if (loaded == CLASSIC)
		return true;
	while (loaded-- > 0)
		npf_kernel_filter_close(&contest->ours[(first + loaded) % CLASSIC]);
	return false;
}

static void compare_attached(const struct npf_program *program, struct series ns[N_FORMS])
{
	struct contest contest = { .program = program };

	for (unsigned int i = 0; i < SOCKETS; i++) {
		if (!load_all(&contest, i))
			break;
		attach_and_send(&contest, i);
		for (unsigned int stand = 0; stand < CLASSIC; stand++)
			npf_kernel_filter_close(&contest.ours[stand]);
	}
	for (enum form form = BY_SOCKET; form < N_FORMS; form++)
		series_add(&ns[form], series_median(&contest.ns[form]));
}

/* Its instructions are the caller's, by free(). */
static struct npf_program compile(pcap_t *pcap, const char *expression)
{
	struct npf_program program = { .dialect = NPF_DIALECT_WIRE };
	struct bpf_program compiled;
	struct npf_insn *insns;
	struct filter list;

	if (!expression) {
		filter_hosts(&list, LISTED, 0x0A000001, "");
		return list.program;
	}
	if (pcap_compile(pcap, &compiled, expression, 1, PCAP_NETMASK_UNKNOWN))
		errx(1, "%s: %s", expression, pcap_geterr(pcap));
	insns = calloc(compiled.bf_len, sizeof(*insns));
	if (!insns)
		err(1, "filter");
	memcpy(insns, compiled.bf_insns, compiled.bf_len * sizeof(*insns));
	program.length = compiled.bf_len;
	program.insns = insns;
	pcap_freecode(&compiled);
	return program;
}

static void measure_alone(struct kernel_bench *bench, pcap_t *pcap, unsigned int e)
{
	const struct npf_program program = compile(pcap, expressions[e]);
	struct series *ns = bench->ns[e];

	for (int access = NPF_EBPF_COPY; access <= NPF_EBPF_PEEK; access++)
		series_add(&ns[access], test_runs(&program, (enum npf_ebpf_access)access));
	compare_attached(&program, ns);
	free((void *)(uintptr_t)program.insns);
}

static void measure_classes(struct kernel_bench *bench, pcap_t *pcap)
{
	struct npf_program programs[MOST_CLASSES];
	const struct npf_program *list[MOST_CLASSES];

	for (unsigned int i = 0; i < MOST_CLASSES; i++) {
		programs[i] = compile(pcap, classes[i]);
		list[i] = &programs[i];
	}
	for (unsigned int i = 0; i < N_GROUPS; i++) {
		for (enum group_form form = 0; form < N_GROUP_FORMS; form++)
			series_add(&bench->classes[i][form],
				   test_classes(list, group_sizes[i], form));
	}
	for (unsigned int i = 0; i < MOST_CLASSES; i++)
		free((void *)(uintptr_t)programs[i].insns);
}

/* ---- whole ---------------------------------------------------------------------------------- */

static double cpu_per_packet(struct kernel_bench *bench)
{
	struct sender *sender = bench->options->sender;
	enum generator generator = sender_has(sender, LIVE_FRAMES) ? LIVE_FRAMES : SENDMMSG;
	struct burst burst;

	sender->segments = true;
	sender_burst(sender, generator, 64, bench->options->ms, &burst);
	sender->segments = false;
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

/* How much more the worst filter costs than by SO_ATTACH_FILTER. Test runs have no socket beside
 * them: there it is a difference of medians. */
static double most_more(const struct kernel_bench *bench, enum form form)
{
	double most = 0;

	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		const struct series *ns = bench->ns[e];
		double more = form == BY_SOCKET
				      ? series_median(&ns[DEARER])
				      : series_median(&ns[form]) - series_median(&ns[BY_CLASSIC]);

		most = larger(most, more);
	}
	return most;
}

/* What the comparison of nothing differs from 0, over all filters: the root mean square. (The most
 * would be that of many tries, and above what one of them is off.) */
static double typical_noise(const struct kernel_bench *bench)
{
	double sum = 0;

	for (unsigned int e = 0; e < N_EXPRESSIONS; e++)
		sum += pow(series_median(&bench->ns[e][BY_NOTHING]), 2);
	return sqrt(sum / N_EXPRESSIONS);
}

/* What costs less than one ns counts as one. */
static double times(double theirs, double ours)
{
	return theirs / larger(ours, 1);
}

/* What a tap costs more than one whose filter looks at no byte, round by round. Empty where a round
 * of one of them is missing. */
static struct series filters_own(const struct kernel_bench *bench, unsigned int t)
{
	const struct series *with = &bench->added[t], *without = &bench->added[bare[t]];
	struct series own = { 0 };

	for (unsigned int i = 0; i < with->n && with->n == without->n; i++)
		series_add(&own, with->values[i] - without->values[i]);
	return own;
}

/* What was promised, and what the noise in it may be at most; both in ns. Judged is what the hook gives
 * that auto takes on most adapters, the rest is only told. */
struct claim {
	struct verdict verdict;
	double noise, most_noise;
	bool only_told;
};

static unsigned int judge(const struct kernel_bench *bench, struct claim claims[MAX_VERDICTS])
{
	const struct series *alone = bench->ns[TCP_PORT_80];
	double classic_80 = series_median(&alone[BY_CLASSIC]);
	double noise = typical_noise(bench), noise_80 = fabs(series_median(&alone[BY_NOTHING]));
	struct series tcpdumps = filters_own(bench, TCPDUMP_80);
	struct series ours = filters_own(bench, NPF_80);
	const struct claim all[] = {
		{ { "alone, direct: the worst is dearer than SO_ATTACH_FILTER by",
		    most_more(bench, BY_DIRECT), MOST_MORE, "ns", false },
		  noise,
		  MOST_NOISE * MOST_MORE,
		  false },
		{ { "alone, on a socket: the worst is dearer than that by",
		    most_more(bench, BY_SOCKET), MOST_MORE, "ns", false },
		  noise,
		  MOST_NOISE * MOST_MORE,
		  true },
		{ { "alone, direct: tcp port 80, times cheaper",
		    times(classic_80, series_median(&alone[BY_DIRECT])), LEAST_80, "x", true },
		  noise_80,
		  classic_80 / LEAST_80,
		  false },
		{ { "alone, on a socket: tcp port 80, times cheaper",
		    times(classic_80, series_median(&alone[BY_SOCKET])), LEAST_80, "x", true },
		  noise_80,
		  classic_80 / LEAST_80,
		  true },
		{ { "15 classes joined, of apart",
		    series_median(&bench->classes[N_GROUPS - 1][DIRECT_JOINED]) /
			    series_median(&bench->classes[N_GROUPS - 1][DIRECT_APART]),
		    1, "x", false },
		  0,
		  0,
		  false },
		{ { "on veth: tcp port 80, times cheaper than tcpdump's",
		    times(series_median(&tcpdumps), series_median(&ours)), LEAST_80, "x", true },
		  larger(series_doubt(&tcpdumps), series_doubt(&ours)),
		  series_median(&tcpdumps) / LEAST_80,
		  false },
		{ { "on veth: a capture with tcp port 80, times cheaper than tcpdump",
		    times(series_median(&bench->added[TCPDUMP_80]),
			  series_median(&bench->added[NPF_80])),
		    1, "x", true },
		  0,
		  0,
		  false },
		{ { "on veth: a capture of one host, times cheaper than tcpdump",
		    times(series_median(&bench->added[TCPDUMP_HOST]),
			  series_median(&bench->added[NPF_HOST])),
		    1, "x", true },
		  0,
		  0,
		  false },
		{ { "10,000 hosts, more than one host",
		    series_median(&bench->added[NPF_HOSTS]) - series_median(&bench->added[NPF_HOST]),
		    MOST_HOSTS, "ns", false },
		  0,
		  0,
		  false },
		{ { "10,000 hosts in place after", series_median(&bench->load), MOST_LOAD, "ms",
		    false },
		  0,
		  0,
		  false },
	};

	memcpy(claims, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

static void print_claim(const struct claim *claim, FILE *out)
{
	const struct verdict *verdict = &claim->verdict;

	fprintf(out, "%-60s%8.2f %s %8.2f %-5s", verdict->what, verdict->measured,
		verdict->at_least ? "at least" : "at most ", verdict->limit, verdict->unit);
	if (claim->only_told)
		fprintf(out, "not judged: %s here\n", report_word(verdict));
	else if (isnan(verdict->measured) || claim->noise <= claim->most_noise)
		fprintf(out, "%s\n", report_word(verdict));
	else if (isnan(claim->noise))
		fputs("not measured: too few rounds to tell the noise\n", out);
	else
		fprintf(out, "not measured: noise %.1f ns\n", claim->noise);
}

static void print_own(struct series own, FILE *out)
{
	fprintf(out, "%+10.1f%10.1f", series_median(&own), series_doubt(&own));
}

static void print_classes(const struct kernel_bench *bench, FILE *out)
{
	fputs("\nClasses of statistics mode, in test runs: ns a packet\n", out);
	fprintf(out, "%-16s", "");
	for (unsigned int f = 0; f < N_GROUP_FORMS; f++)
		fprintf(out, "%16s", group_forms[f]);
	fputc('\n', out);
	for (unsigned int i = 0; i < N_GROUPS; i++) {
		fprintf(out, "%-16u", group_sizes[i]);
		for (unsigned int f = 0; f < N_GROUP_FORMS; f++)
			fprintf(out, "%16.1f", series_median(&bench->classes[i][f]));
		fputc('\n', out);
	}
}

static void print(const struct kernel_bench *bench, FILE *out)
{
	struct claim claims[MAX_VERDICTS];
	unsigned int n = judge(bench, claims);

	fputs("\nFilters in the kernel, alone: ns a packet\n"
	      "window, direct, peek: ours in test runs; socket: ours on a socket; classic: "
	      "SO_ATTACH_FILTER;\ndearer: ours on a socket than that, side by side; noise: "
	      "nothing compared likewise\n",
	      out);
	fprintf(out, "%-48s", "");
	for (unsigned int f = 0; f < N_FORMS; f++)
		fprintf(out, "%10s", form_names[f]);
	fputc('\n', out);
	for (unsigned int e = 0; e < N_EXPRESSIONS; e++) {
		fprintf(out, "%-48.47s", name_of(e));
		for (unsigned int f = 0; f < N_FORMS; f++)
			fprintf(out, "%10.1f", series_median(&bench->ns[e][f]));
		fputc('\n', out);
	}
	print_classes(bench, out);
	fputs("\nA capture that rejects every segment, 64 B: ns added for the sender\n", out);
	fprintf(out, "%-48s%10s%10s%10s%10s%10s\n", "", "median", "least", "most", "filter's",
		"+/-");
	for (unsigned int t = 0; t < N_TAPS; t++) {
		const struct series *added = &bench->added[t];

		fprintf(out, "%-48s%+10.1f%+10.1f%+10.1f", taps[t].label, series_median(added),
			series_min(added), series_max(added));
		if (t >= TCPDUMP_80)
			print_own(filters_own(bench, t), out);
		fputc('\n', out);
	}
	fputc('\n', out);
	for (unsigned int i = 0; i < n; i++)
		print_claim(&claims[i], out);
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
		fprintf(out, "%s\n  {\"filter\": \"%s\"", e ? "," : "", name_of(e));
		for (unsigned int f = 0; f < N_FORMS; f++)
			put_values(&bench->ns[e][f], form_names[f], out);
		fputc('}', out);
	}
	fputs("],\n \"classes_ns\": [", out);
	for (unsigned int i = 0; i < N_GROUPS; i++) {
		fprintf(out, "%s\n  {\"classes\": %u", i ? "," : "", group_sizes[i]);
		for (unsigned int f = 0; f < N_GROUP_FORMS; f++)
			put_values(&bench->classes[i][f], group_forms[f], out);
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
		measure_classes(&bench, pcap);
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
