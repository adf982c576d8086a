/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the benchmark share. tap.c is the programme of measurements; the others are
 * its instruments: a world of two network namespaces, a sender, the tools under test as child
 * processes, a look at loaded eBPF programs, samples, and the report.
 */
#ifndef NPF_BENCH_H
#define NPF_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#define MAX_ROUNDS   50
#define MAX_FRAME    3072
#define MAX_CHILDREN 8

/* ---- clock.c -------------------------------------------------------------------------------- */

uint64_t clock_ns(clockid_t clock);
void sleep_ms(unsigned int ms);

/* Tell somebody who waits how far it is. */
void progress(const char *what, unsigned int round, unsigned int rounds);

/* ---- sample.c ------------------------------------------------------------------------------- */

/* One value per round. A round that could not be measured adds none. */
struct series {
	double values[MAX_ROUNDS];
	unsigned int n;
};

void series_add(struct series *series, double value);
double series_median(const struct series *series); /* NAN when empty */
double series_min(const struct series *series);
double series_max(const struct series *series);
/* By how much the median may be off: about two standard errors, from the width of the middle half.
 * NAN when there are not three. */
double series_doubt(const struct series *series);
/* NAN when one of them is: fmax() would pass over what was not measured. */
double larger(double a, double b);
/* Of the medians: one odd round moves it less than a median of ratios. NAN where there is none, or the
 * divisor is not clearly above zero. */
double series_ratio(const struct series *ours, const struct series *theirs);

/* ---- world.c -------------------------------------------------------------------------------- */

/*
 *   sender's namespace        tap's namespace
 *   va  <---- veth ---->  vb  (GRO on: without NAPI, veth drops live frames)
 *
 * This process lives in the sender's. Both have no name and end with the last process in them, so
 * nothing is left behind however the benchmark ends.
 */
struct world {
	int sender_ns, tap_ns;
	unsigned int va, vb; /* interface numbers */
	int device_counters; /* /proc/net/dev of the tap's namespace */
	int packet_sockets;  /* /proc/net/packet of the tap's namespace */
	int sender_cpu, tap_cpu;
	pid_t softirqd; /* kernel thread that takes over the sender's softirqs; 0: unknown */
};

void world_create(struct world *world);
/* Packets that vb has received. */
uint64_t world_delivered(const struct world *world);
/* Packet sockets that listen on vb, and tcx programs on its ingress. */
unsigned int world_taps(const struct world *world);
/* An XDP program on vb that takes every packet away, in the driver, until the descriptor is closed.
 * Negative errno. */
int world_drop_packets(const struct world *world);
void world_enter_tap(const struct world *world);
void world_leave_tap(const struct world *world);
/* Share of all CPUs that was busy for half a second. */
double world_busy(void);

/* ---- sender.c ------------------------------------------------------------------------------- */

enum generator { LIVE_FRAMES, SENDMMSG, N_GENERATORS };
extern const char *const generator_names[N_GENERATORS];

struct sender {
	const struct world *world;
	int program; /* XDP, redirects to va; negative: no live frames here */
	int paces;   /* its map */
	int socket;
	uint64_t live_frame_ns; /* what a live frame took last, never 0 */
	bool segments;          /* TCP instead of UDP */
	uint64_t most;          /* bytes after which a burst ends before its time; 0: none */
	unsigned int pps;       /* most packets a second; 0: as fast as it goes */
	uint8_t frame[MAX_FRAME];
};

/* What came of sending for a while. */
struct burst {
	uint64_t sent, delivered;
	uint64_t cpu_ns; /* of this thread and of softirqd */
	uint64_t wall_ns;
};

/* A UDP packet to a station that does not exist. */
void sender_make_frame(uint8_t *frame, size_t size);
void sender_create(struct sender *sender, const struct world *world);
bool sender_has(const struct sender *sender, enum generator generator);
void sender_burst(struct sender *sender, enum generator generator, size_t size, unsigned int ms,
		  struct burst *burst);

/* ---- child.c -------------------------------------------------------------------------------- */

/* A program under test. In argv "NPF" stands for the path of ours. */
struct tool {
	const char *label;
	const char *key; /* its name in the JSON */
	const char *const *argv;
	const char *captured, *dropped; /* how it reports: '#' is the number; NULL: it does not */
};

struct child {
	pid_t pid;
	clockid_t clock; /* CPU time of the whole process */
	uint64_t cpu_at_ready;
	int log; /* its stdout and stderr */
};

/* n processes of one tool. */
struct children {
	const struct tool *tool;
	struct child child[MAX_CHILDREN];
	unsigned int n;
};

/* How they ended, added up. */
struct outcome {
	uint64_t captured, dropped;
	bool reported;       /* captured and dropped are known */
	uint64_t cpu_ns;     /* from ready to end */
	uint64_t cpu_all_ns; /* from start to end */
};

/* Start, pin, and wait until the taps are in place and all is calm. On failure nothing is left,
 * and why (size bytes) has the last line that the tool said. */
bool children_start(struct children *children, const struct world *world, const struct tool *tool,
		    unsigned int n, const char *npf, char *why, size_t size);
/* Wait for at least ms, and until they have nothing left to do. */
void children_settle(const struct children *children, unsigned int ms);
uint64_t children_cpu(const struct children *children);
/* As Ctrl-C would. */
void children_stop(struct children *children, struct outcome *outcome);

/* ---- programs.c ----------------------------------------------------------------------------- */

#define MAX_PROGRAMS 64

/* eBPF programs by id, with the kernel's own account of their running time. */
struct programs {
	struct program {
		uint32_t id, type;
		uint64_t run_ns, runs;
	} program[MAX_PROGRAMS];
	unsigned int n;
};

/* A tap's account: the programs before it was there, and before and after some packets. */
struct account {
	struct programs before, earlier, later;
	uint64_t packets;
};

int programs_account(void); /* a descriptor: running time is counted while it is open */
void programs_list(struct programs *programs);
/* ns a packet of the tap's programs; NAN when none ran. */
double programs_cost(const struct account *account);
/* Run them on one frame, in the kernel, a million times. ns of the dearest; NAN when none can. */
double programs_test_run(const struct account *account, const uint8_t *frame, size_t size);
/* An empty program on vb's ingress: what the accounting itself costs. A link, or -1. */
int programs_attach_empty(const struct world *world);

/* ---- the results ----------------------------------------------------------------------------- */

#define N_SIZES     2
#define MAX_MISSING 32

/* Positions in the tables of tools (tap.c). */
enum {
	COST_NONE,
	COST_TCPDUMP,
	COST_TCPDUMP_SMALL, /* with its own default buffer */
	COST_NPF,           /* one per hook from here */
	COST_NPF_END = COST_NPF + 3,
	COST_STAT = COST_NPF_END,
	COST_RUN_TCPDUMP, /* on libwpcap */
	COST_DUMPCAP,
	COST_RUN_DUMPCAP,
	N_COSTS
};
enum {
	READER_TCPDUMP,
	READER_DUMPCAP,
	READER_NETSNIFF,
	READER_NPF, /* one per hook from here */
	READER_RUN_TCPDUMP = READER_NPF + 3,
	READER_RUN_DUMPCAP,
	READER_SAME_TCPDUMP, /* at the rate that came where it is on libpcap */
	READER_SAME_DUMPCAP,
	N_READERS
};
enum { MONITOR_ALL, MONITOR_FILTER, MONITOR_STANDARD, N_MONITORS };
#define LEAST_DUMP_MB 256 /* of a burst: below, it says nothing */

/* Loads of the dump: what the machine can send, and more than a disk takes. */
enum { DUMP_SMALL, DUMP_LARGE, DUMP_LARGE_SOCKET, DUMP_BEYOND, N_DUMP_LOADS };
enum { DUMP_TCPDUMP, DUMP_DUMPCAP, DUMP_NETSNIFF, DUMP_NPF, DUMP_NPF_PCAPNG, N_DUMPS };
#define N_DUMP_PEERS DUMP_NPF
enum { CROWD_TCPDUMP, CROWD_NPF, CROWD_TCPDUMP_4, CROWD_NPF_4, N_CROWDS };

extern const size_t frame_sizes[N_SIZES];
extern const struct tool cost_tools[N_COSTS], reader_tools[N_READERS];
extern const struct tool monitor_tools[N_MONITORS], crowd_tools[N_CROWDS];
extern const unsigned int crowd_instances[N_CROWDS];
extern const struct dump_load {
	size_t size;
	enum generator generator;
} dump_loads[N_DUMP_LOADS];
extern const struct tool dump_tools[N_DUMPS];

/* What a tap adds for the sender, ns a packet. */
struct cost {
	struct series base, added, added_wall;
};

/* What the reading program uses, ns a captured packet: while packets came, and with its start. */
struct reader {
	struct series mpps, ns, ns_all;
	uint64_t delivered, captured, dropped; /* all rounds */
};

/* Several instances that reject all: added cost per instance. */
struct crowd {
	struct series each;
};

/* Instances of one process that reject all, beside packet sockets (instances.c). */
enum { THRONG_SOCKETS, THRONG_TCX, THRONG_SOCKET_HOOK, THRONG_EMPTY, N_THRONGS };
#define N_THRONG_SIZES 4
#define MOST_THRONG    8
extern const unsigned int throng_sizes[N_THRONG_SIZES];
extern const char *const throng_labels[N_THRONGS];

/* Statistics mode, ns a packet. */
struct monitor {
	struct series program, test_run;
	struct series cpu_ns, cpu_percent; /* of npf stat */
};

/* Positions in the table of senders (inject.c). */
enum {
	RATE_SEND,
	RATE_SEND_SOCKET,
	RATE_SEND_CLONE,
	RATE_TRAFGEN,
	RATE_TCPREPLAY,
	RATE_TCPREPLAY_ONE,
	RATE_LIVE, /* what the kernel makes of the bench's own live frames */
	RATE_TCPREPLAY_64,
	RATE_REPLAY_64,
	RATE_REPLAY_64_SOCKET,
	RATE_REPLAY_64_CLONE,
	RATE_TCPREPLAY_1514,
	RATE_REPLAY_1514,
	RATE_REPLAY_1514_SOCKET,
	RATE_REPLAY_1514_CLONE,
	RATE_DROPPED, /* from here on the receiver drops in XDP */
	RATE_SEND_DROPPED = RATE_DROPPED,
	RATE_TRAFGEN_DROPPED,
	RATE_TCPREPLAY_DROPPED,
	RATE_TCPREPLAY_ONE_DROPPED,
	RATE_TCPREPLAY_64_DROPPED,
	RATE_LIVE_DROPPED,
	N_RATES
};
enum { PACED_TCPREPLAY, PACED_REPLAY, N_PACED };

/* A program that sends on va, or the bench itself where argv is NULL. In argv "NPF" is the path of ours,
 * and the names of traces theirs. */
struct injector {
	const char *label, *key;
	size_t size; /* of its frames; 0 of many sizes or one that does not matter */
	const char *const *argv;
};
extern const struct injector rate_injectors[N_RATES], paced_injectors[N_PACED];

/* On time: gaps of 10 to 500 us, then of 1 ms. */
struct paced {
	struct series p50, p99;    /* us, of |gap - wanted gap| */
	struct series drift;       /* us, of the whole run */
	struct series cpu_percent; /* at 1 ms */
	uint64_t wanted, arrived;  /* packets of all rounds */
};

struct injection {
	struct series rate[N_RATES]; /* Mpps at the receiver */
	struct paced paced[N_PACED];
};

/* Writing to a disk. */
struct dump {
	struct series mpps, mb_s, ns;          /* offered, written, CPU ns a written packet */
	uint64_t delivered, captured, dropped; /* all rounds */
};

struct results {
	struct cost cost[N_COSTS][N_GENERATORS][N_SIZES];
	uint64_t cost_delivered[N_COSTS], cost_dropped[N_COSTS]; /* all rounds */
	struct reader reader[N_READERS][N_SIZES];
	struct crowd crowd[N_CROWDS];
	struct series throng[N_THRONGS][N_THRONG_SIZES]; /* added by all of them */
	struct monitor monitor[N_MONITORS], empty;       /* empty: a program that does nothing */
	struct injection injection;
	struct dump dump[N_DUMPS][N_DUMP_LOADS];
	struct series dd_mb_s;        /* dd oflag=direct */
	const char *dump_directory;   /* where to */
	const char *dump_file_system; /* what is there */
	unsigned int dump_rounds, dump_ms, dump_mb;
	char missing[MAX_MISSING][200]; /* "LABEL: why it could not run" */
	unsigned int n_missing;
	const char *phases;      /* what was asked for: letters of "crsijd" */
	unsigned int rounds, ms; /* as well */
	double busy;             /* share of all CPUs that others used before it began */
	double sender_share;     /* of its CPU, in the worst burst */
};

/* ---- inject.c, inject_report.c --------------------------------------------------------------- */

/* npf: the path of ours. Says what cannot run by calling missing. */
void inject_measure(struct injection *injection, struct sender *sender, const char *npf,
		    unsigned int rounds, unsigned int ms,
		    void (*missing)(void *data, const char *label, const char *why), void *data);

struct verdict;
void inject_print(const struct results *results, FILE *out);
unsigned int inject_judge(const struct results *results, struct verdict *verdicts);

/* ---- instances.c ------------------------------------------------------------------------------ */

/* One round. */
void throngs_measure(const struct world *world, struct sender *sender, unsigned int ms,
		     struct series added[N_THRONGS][N_THRONG_SIZES]);
double throng_further(const struct series added[N_THRONG_SIZES]);

/* ---- dump.c ---------------------------------------------------------------------------------- */

void dump_measure(struct world *world, struct sender *sender, const char *npf,
		  struct results *results);

/* ---- report.c, json.c ------------------------------------------------------------------------ */

/* LABEL could not run, and why; was that said of it? */
void note_missing(struct results *results, const char *label, const char *why);
bool is_missing(const struct results *results, const char *label);

/* How many times tcpdump's it is, or as many tcpdumps'. */
double cost_ratio(const struct results *results, unsigned int t, unsigned int g, unsigned int s);
double reader_ratio(const struct results *results, unsigned int t, unsigned int s);
double crowd_ratio(const struct results *results, unsigned int c);

/* A figure that was promised. */
struct verdict {
	char what[96];
	double measured, limit;
	const char *unit;
	bool at_least; /* the limit is the least, not the most */
};
#define MAX_VERDICTS 64

/* Fills verdicts and returns how many. */
unsigned int report_judge(const struct results *results, struct verdict verdicts[MAX_VERDICTS]);
const char *report_word(const struct verdict *verdict); /* held, missed, noise, not measured */
void report_print(const struct results *results, FILE *out);
void json_text(FILE *out, const char *text); /* as JSON writes it */
bool report_json(const struct results *results, const char *path);

#endif
