/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs on libwpcap beside themselves on libpcap. At full rate the one whose tap costs less gets
 * more packets to read, and who loses some is said to need less CPU: so they are compared at a rate
 * that both can take, which the sender keeps.
 */
#include <dlfcn.h>
#include <err.h>
#include <limits.h>
#include <math.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"
#include "npf/npf.h"

#define RATE      400000u /* packets a second */
#define BURST_X   3       /* bursts are longer than those for cost */
#define DRAIN_MS  1200    /* libpcap's readers get a partly filled block after a second */
#define MOST_CPU  1.00    /* of the same program's on libpcap */
#define LEAST_TX  0.95    /* of what the driver sends of the same queue */
#define QUEUED    4000
#define QUEUE_BUF (QUEUED * (16 + MAX_FRAME))

static char self[PATH_MAX];

#define NPF_RUN "NPF", "run", "--"
#define TCPDUMP "tcpdump", "-i", "vb", "-n", "-Z", "root", "-w", "/dev/null", "-B", "16384"
#define DUMPCAP "dumpcap", "-q", "-i", "vb", "-w", "/dev/null", "-B", "16"
#define READER  self, "pcap-reader"

static const char *const tcpdump[][16] = { { TCPDUMP }, { NPF_RUN, TCPDUMP } };
static const char *const dumpcap[][16] = { { DUMPCAP }, { NPF_RUN, DUMPCAP } };
static const char *const loop[][8] = { { READER, "loop", "vb" }, { NPF_RUN, READER, "loop", "vb" } };
static const char *const all[][8] = { { READER, "dispatch", "vb" },
				      { NPF_RUN, READER, "dispatch", "vb" } };
static const char *const one[][8] = { { READER, "one", "vb" }, { NPF_RUN, READER, "one", "vb" } };
static const char *const next[][8] = { { READER, "next", "vb" }, { NPF_RUN, READER, "next", "vb" } };

enum { THEIRS, OURS, N_SIDES };
static const char *const sides[N_SIDES] = { "libpcap", "libwpcap" };

#define BOTH(label, key, argv, captured, dropped)                                                  \
	{                                                                                          \
		{ label, key, (argv)[0], captured, dropped },                                      \
		{                                                                                  \
			label, key, (argv)[1], captured, dropped                                   \
		}                                                                                  \
	}
static const struct tool programs[][N_SIDES] = {
	BOTH("tcpdump", "tcpdump", tcpdump, "# packets captured", "# packets dropped"),
	BOTH("dumpcap", "dumpcap", dumpcap, "Packets captured: #", "/# (pcap:"),
	BOTH("pcap_loop", "pcap_loop", loop, "# packets captured", "# packets dropped"),
	BOTH("pcap_dispatch", "pcap_dispatch", all, "# packets captured", "# packets dropped"),
	BOTH("pcap_dispatch, one", "pcap_dispatch_1", one, "# packets captured",
	     "# packets dropped"),
	BOTH("pcap_next_ex", "pcap_next_ex", next, "# packets captured", "# packets dropped"),
};
#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

struct row {
	struct series ns;
	uint64_t delivered, captured; /* all rounds */
};

struct library_bench {
	const struct library_options *options;
	struct row rows[N_PROGRAMS][N_SIDES][N_SIZES];
	struct series tx[N_SIDES][N_SIZES]; /* Mpps: the driver's, and by libwpcap */
	const char *tx_missing;
};

/* ---- readers -------------------------------------------------------------------------------- */

static void measure_reader(struct library_bench *bench, unsigned int program, unsigned int side,
			   unsigned int s)
{
	const struct library_options *options = bench->options;
	const struct tool *tool = &programs[program][side];
	struct row *row = &bench->rows[program][side][s];
	struct children children;
	struct outcome outcome;
	struct burst sent;
	char why[160];

	if (!children_start(&children, options->world, tool, 1, options->npf, why, sizeof(why))) {
		warnx("%s on %s: %s", tool->label, sides[side], why);
		return;
	}
	options->sender->pps = RATE;
	sender_burst(options->sender, SENDMMSG, frame_sizes[s], options->ms * BURST_X, &sent);
	options->sender->pps = 0;
	children_settle(&children, DRAIN_MS);
	children_stop(&children, &outcome);
	if (!outcome.reported)
		return;
	row->delivered += sent.delivered;
	row->captured += outcome.captured < sent.delivered ? outcome.captured : sent.delivered;
	if (outcome.captured)
		series_add(&row->ns, (double)outcome.cpu_ns / (double)outcome.captured);
}

/* ---- send queues ---------------------------------------------------------------------------- */

/* libwpcap, loaded beside the libpcap that this program is linked with. */
static struct {
	pcap_t *(*open_live)(const char *device, int snaplen, int promisc, int ms, char *errbuf);
	u_int (*transmit)(pcap_t *p, void *queue, int sync);
	void (*close)(pcap_t *p);
} wpcap;

/* As WinPcap has it. */
struct send_queue {
	u_int maxlen, len;
	char *buffer;
};

static bool load_wpcap(const char *npf)
{
	char path[PATH_MAX];
	void *library;

	snprintf(path, sizeof(path), "%.*s/../src/wpcap/libwpcap.so.0",
		 (int)(strrchr(npf, '/') ? strrchr(npf, '/') - npf : 0), npf);
	library = dlopen(access(path, R_OK) ? "libwpcap.so.0" : path,
			 RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!library)
		return false;
	*(void **)&wpcap.open_live = dlsym(library, "pcap_open_live");
	*(void **)&wpcap.transmit = dlsym(library, "pcap_sendqueue_transmit");
	*(void **)&wpcap.close = dlsym(library, "pcap_close");
	return wpcap.open_live && wpcap.transmit && wpcap.close;
}

/* Packets that differ in their last bytes, each behind 16 bytes. */
static void fill_queue(struct send_queue *queue, size_t size)
{
	uint8_t frame[MAX_FRAME];

	queue->len = 0;
	sender_make_frame(frame, size);
	for (uint32_t i = 0; i < QUEUED; i++) {
		const uint32_t head[] = { 0, 0, (uint32_t)size, (uint32_t)size };

		memcpy(frame + size - sizeof(i), &i, sizeof(i));
		memcpy(queue->buffer + queue->len, head, sizeof(head));
		memcpy(queue->buffer + queue->len + sizeof(head), frame, size);
		queue->len += (u_int)(sizeof(head) + size);
	}
}

/* The driver takes as much as one call may last. */
static bool write_all(struct npf_instance *instance, const struct send_queue *queue)
{
	for (size_t at = 0; at < queue->len;) {
		int64_t n = npf_buffered_write(instance, queue->buffer + at, queue->len - at, false);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Mpps that arrive while it is sent over and over; NAN when it is not. */
static double transmit(const struct library_options *options, struct send_queue *queue,
		       struct npf_instance *instance, pcap_t *p)
{
	uint64_t before = world_delivered(options->world), start = clock_ns(CLOCK_MONOTONIC), ns;

	do {
		if (instance ? !write_all(instance, queue)
			     : wpcap.transmit(p, queue, 0) != queue->len)
			return NAN;
		ns = clock_ns(CLOCK_MONOTONIC) - start;
	} while (ns < (uint64_t)options->ms * 1000000);
	return (double)(world_delivered(options->world) - before) * 1e3 / (double)ns;
}

static void measure_driver(struct library_bench *bench, struct send_queue *queue, unsigned int s)
{
	struct npf_open_options send_only = { .size = sizeof(send_only),
					      .flags = NPF_OPEN_SEND_ONLY };
	struct npf_host *host = npf_host_linux();
	struct npf_instance *instance;
	struct npf_driver *driver;
	char error[NPF_ERROR_SIZE];

	if (!host || npf_driver_entry(host, &driver))
		errx(1, "the driver does not start");
	if (npf_open(driver, "va", &send_only, &instance, error)) {
		warnx("va: %s", error);
	} else {
		series_add(&bench->tx[THEIRS][s], transmit(bench->options, queue, instance, NULL));
		npf_close(instance);
	}
	npf_unload(driver);
	npf_host_linux_free(host);
}

static void measure_wpcap(struct library_bench *bench, struct send_queue *queue, unsigned int s)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = wpcap.open_live("va", 65535, 0, 100, errbuf);

	if (!p) {
		bench->tx_missing = "va cannot be opened by libwpcap";
		return;
	}
	series_add(&bench->tx[OURS][s], transmit(bench->options, queue, NULL, p));
	wpcap.close(p);
}

static void measure_queues(struct library_bench *bench)
{
	struct send_queue queue = { .maxlen = QUEUE_BUF, .buffer = malloc(QUEUE_BUF) };

	if (!queue.buffer)
		err(1, "send queue");
	for (unsigned int s = 0; s < N_SIZES; s++) {
		fill_queue(&queue, frame_sizes[s]);
		measure_driver(bench, &queue, s);
		measure_wpcap(bench, &queue, s);
	}
	free(queue.buffer);
}

/* ---- the report ----------------------------------------------------------------------------- */

static double share_lost(const struct row *row)
{
	return row->delivered
		       ? 100.0 * (double)(row->delivered - row->captured) / (double)row->delivered
		       : NAN;
}

static void print_rows(const struct library_bench *bench, FILE *out)
{
	fprintf(out,
		"\nPrograms of libpcap, at %u kpps: ns of their CPU per packet\n"
		"%-24s%6s%12s%12s%8s%12s%12s\n",
		RATE / 1000, "", "bytes", sides[0], sides[1], "ratio", "lost", "lost");
	for (unsigned int i = 0; i < N_PROGRAMS * N_SIZES; i++) {
		unsigned int s = i % N_SIZES;
		const struct row *theirs = &bench->rows[i / N_SIZES][THEIRS][s];
		const struct row *ours = &bench->rows[i / N_SIZES][OURS][s];

		fprintf(out, "%-24s%6zu%12.1f%12.1f%7.2fx%10.3f %%%10.3f %%\n",
			programs[i / N_SIZES][0].label, frame_sizes[s], series_median(&theirs->ns),
			series_median(&ours->ns), series_ratio(&ours->ns, &theirs->ns),
			share_lost(theirs), share_lost(ours));
	}
	fprintf(out,
		"\nSend queues of %u packets, at once: Mpps at the receiver\n%-30s%12s%12s%8s\n",
		QUEUED, "", "driver", "libwpcap", "ratio");
	for (unsigned int s = 0; s < N_SIZES; s++)
		fprintf(out, "pcap_sendqueue_transmit %6zu%12.2f%12.2f%7.2fx\n", frame_sizes[s],
			series_median(&bench->tx[THEIRS][s]), series_median(&bench->tx[OURS][s]),
			series_median(&bench->tx[OURS][s]) / series_median(&bench->tx[THEIRS][s]));
	if (bench->tx_missing)
		fprintf(out, "not measured: %s\n", bench->tx_missing);
}

static void judge(FILE *out, const char *what, const char *label, size_t size, double measured,
		  const char *bound, double limit, bool held)
{
	char text[96];

	snprintf(text, sizeof(text), "%s, %zu B: %s", what, size, label);
	fprintf(out, "%-48s%10.2f %s %9.2f  %s\n", text, measured, bound, limit,
		isnan(measured) ? "not measured"
		: held          ? "held"
				: "MISSED");
}

static void print_verdicts(const struct library_bench *bench, FILE *out)
{
	fputc('\n', out);
	for (unsigned int i = 0; i < N_PROGRAMS * N_SIZES; i++) {
		unsigned int s = i % N_SIZES;
		const char *label = programs[i / N_SIZES][0].label;
		const struct row *theirs = &bench->rows[i / N_SIZES][THEIRS][s];
		const struct row *ours = &bench->rows[i / N_SIZES][OURS][s];
		double ratio = series_ratio(&ours->ns, &theirs->ns);

		judge(out, "CPU, of its own on libpcap", label, frame_sizes[s], ratio, "x at most",
		      MOST_CPU, ratio <= MOST_CPU);
		judge(out, "lost", label, frame_sizes[s], share_lost(ours), "% at most",
		      share_lost(theirs), share_lost(ours) <= share_lost(theirs));
	}
	for (unsigned int s = 0; s < N_SIZES; s++) {
		double ratio = series_median(&bench->tx[OURS][s]) /
			       series_median(&bench->tx[THEIRS][s]);

		judge(out, "send queue, of the driver's", "libwpcap", frame_sizes[s], ratio,
		      "x at least", LEAST_TX, ratio >= LEAST_TX);
	}
}

static void put_series(FILE *out, const char *key, const struct series *series)
{
	fprintf(out, ", \"%s\": [", key);
	for (unsigned int i = 0; i < series->n; i++)
		fprintf(out, "%s%.2f", i ? ", " : "", series->values[i]);
	fputc(']', out);
}

static void put_json(const struct library_bench *bench, const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out)
		err(1, "%s", path);
	fprintf(out, "{\"pps\": %u, \"programs\": [", RATE);
	for (unsigned int i = 0; i < N_PROGRAMS * N_SIDES * N_SIZES; i++) {
		unsigned int s = i % N_SIZES, side = i / N_SIZES % N_SIDES;
		unsigned int program = i / N_SIZES / N_SIDES;
		const struct row *row = &bench->rows[program][side][s];

		fprintf(out,
			"%s\n  {\"program\": \"%s\", \"on\": \"%s\", \"bytes\": %zu, "
			"\"received\": %llu, \"captured\": %llu",
			i ? "," : "", programs[program][0].key, sides[side], frame_sizes[s],
			(unsigned long long)row->delivered, (unsigned long long)row->captured);
		put_series(out, "cpu_ns", &row->ns);
		fputc('}', out);
	}
	fputs("],\n \"send_queues\": [", out);
	for (unsigned int s = 0; s < N_SIZES; s++) {
		fprintf(out, "%s\n  {\"bytes\": %zu", s ? "," : "", frame_sizes[s]);
		put_series(out, "driver_mpps", &bench->tx[THEIRS][s]);
		put_series(out, "libwpcap_mpps", &bench->tx[OURS][s]);
		fputc('}', out);
	}
	fputs("]}\n", out);
	fclose(out);
}

/* ---- the programme -------------------------------------------------------------------------- */

void library_bench(const struct library_options *options, FILE *out, const char *json)
{
	static struct library_bench bench;
	unsigned int n = N_PROGRAMS * N_SIDES * N_SIZES;

	bench.options = options;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		err(1, "/proc/self/exe");
	if (!load_wpcap(options->npf))
		bench.tx_missing = "libwpcap cannot be loaded";
	for (unsigned int round = 0; round < options->rounds; round++) {
		progress("programs on libwpcap", round, options->rounds);
		for (unsigned int i = 0; i < n; i++) {
			unsigned int at = (i + round) % n; /* each begins with another */

			measure_reader(&bench, at / N_SIDES % N_PROGRAMS, at % N_SIDES,
				       at / N_SIDES / N_PROGRAMS);
		}
		if (!bench.tx_missing)
			measure_queues(&bench);
	}
	print_rows(&bench, out);
	print_verdicts(&bench, out);
	if (json)
		put_json(&bench, json);
}
