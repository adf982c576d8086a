/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a filter costs in user space, ns a packet: libpcap's interpreter, a C compiler, and ours, one
 * packet at a time and in batches. All run in turn over the same packets, in an order that is new
 * for each round: otherwise the processor learns it by heart. Every answer is compared.
 *
 * Where code lies decides what its calls and returns cost: the very same few instructions take five
 * cycles or seven, depending on what the processor remembers of the branches around. So all code is
 * at a new place in each round, a compiler's as ours, and is called by one and the same loop.
 */
#include "engine.h"

#include <err.h>
#include <math.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "npf/npf.h"

#define DRAWS         16384u /* packets of one measurement */
#define COMPILE_TIMES 41u
#define N_GROUPS      2u

static const uint32_t group_sizes[N_GROUPS] = { 8, 15 }; /* of filters on one packet */

enum engine { LIBPCAP, COMPILER, SCALAR, BATCH, BATCH_AVX2, N_ENGINES };
static const char *const engine_names[N_ENGINES] = { "libpcap", "gcc -O3", "scalar", "batch",
						     "batch AVX2" };

struct subject {
	struct filter *filter;
	uint32_t (*compiled)(const uint8_t *, uint32_t, uint32_t); /* NULL: no compiler */
	struct npf_jit_filter *jit, *jit_avx2;
	struct series ns[N_ENGINES];
	struct series compile, compile_batch; /* us */
	double matches;                       /* share of the packets */
	unsigned int mismatches;
};

/* Packets in the order of a round. */
struct draw {
	const uint8_t *packet[DRAWS];
	uint32_t length[DRAWS], wire_length[DRAWS], verdict[DRAWS];
};

struct engine_run {
	struct npf_host *host;
	struct filter filters[MAX_FILTERS];
	struct subject subjects[MAX_FILTERS];
	struct filter_group groups[N_GROUPS];
	unsigned int n;
	struct packets packets;
	struct compiled *compiled;
	struct draw draw;
	unsigned int rounds;
};

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void shuffle(struct engine_run *run)
{
	for (uint32_t i = 0; i < DRAWS; i++) {
		uint32_t k = (uint32_t)(engine_random() % PACKETS);

		run->draw.packet[i] = run->packets.slots + (size_t)k * PACKET_SLOT;
		run->draw.length[i] = run->packets.length[k];
		run->draw.wire_length[i] = run->packets.wire_length[k];
	}
}

/* ---- the engines ----------------------------------------------------------------------------- */

static void run_libpcap(const struct npf_program *program, struct draw *draw)
{
	const struct bpf_insn *insns = (const void *)program->insns;

	for (uint32_t i = 0; i < DRAWS; i++)
		draw->verdict[i] = bpf_filter(insns, draw->packet[i], draw->wire_length[i],
					      draw->length[i]);
}

static void run_function(uint32_t (*function)(const uint8_t *, uint32_t, uint32_t),
			 struct draw *draw)
{
	for (uint32_t i = 0; i < DRAWS; i++)
		draw->verdict[i] = function(draw->packet[i], draw->wire_length[i], draw->length[i]);
}

/* false: it cannot run here. */
static bool run_engine(const struct subject *subject, enum engine engine, struct draw *draw)
{
	const struct npf_jit_filter *jit = engine == BATCH_AVX2 ? subject->jit_avx2 : subject->jit;
	uint32_t (*function)(const uint8_t *, uint32_t,
			     uint32_t) = engine == COMPILER ? subject->compiled : jit->function;

	switch (engine) {
	case LIBPCAP:
		run_libpcap(&subject->filter->program, draw);
		return true;
	case COMPILER:
	case SCALAR:
		/* One call in one loop for both. */
		if (function)
			run_function(function, draw);
		return function;
	default:
		npf_jit_run_batch(jit, draw->packet, draw->wire_length, draw->length, DRAWS,
				  draw->verdict);
		return true;
	}
}

static void measure(struct subject *subject, enum engine engine, struct draw *draw)
{
	double start = now_ns();

	if (run_engine(subject, engine, draw))
		series_add(&subject->ns[engine], (now_ns() - start) / DRAWS);
}

/* ---- compiling ------------------------------------------------------------------------------- */

static void compile_one(struct engine_run *run, struct subject *subject, uint32_t flags,
			struct series *us)
{
	struct npf_jit_filter *jit;
	char error[NPF_ERROR_SIZE];

	for (unsigned int i = 0; i < COMPILE_TIMES; i++) {
		double start = now_ns();

		if (bpf_jitter(run->host, &subject->filter->program, flags, &jit, error))
			errx(1, "%s: %s", subject->filter->label, error);
		series_add(us, (now_ns() - start) / 1000);
		bpf_destroy_jit_filter(jit);
	}
}

static void compile_at_new_place(struct engine_run *run, struct subject *subject, uint32_t flags,
				 struct npf_jit_filter **jit)
{
	struct npf_jit_filter *old = *jit;
	char error[NPF_ERROR_SIZE];

	if (bpf_jitter(run->host, &subject->filter->program, NPF_JIT_BATCH | flags, jit, error))
		errx(1, "%s: %s", subject->filter->label, error);
	if (old)
		bpf_destroy_jit_filter(old);
}

static void place_anew(struct engine_run *run, unsigned int i, unsigned int place)
{
	struct subject *subject = &run->subjects[i];

	if (run->compiled)
		subject->compiled = cc_function(run->compiled, place, i);
	compile_at_new_place(run, subject, 0, &subject->jit);
	compile_at_new_place(run, subject, NPF_JIT_AVX2, &subject->jit_avx2);
}

static void prepare(struct engine_run *run, unsigned int i)
{
	struct subject *subject = &run->subjects[i];

	*subject = (struct subject){ .filter = &run->filters[i] };
	compile_one(run, subject, 0, &subject->compile);
	compile_one(run, subject, NPF_JIT_BATCH, &subject->compile_batch);
	place_anew(run, i, 0);
}

/* Every engine on every packet, once, against libpcap. */
static void compare(struct engine_run *run, struct subject *subject)
{
	static uint32_t expected[DRAWS];

	shuffle(run);
	run_engine(subject, LIBPCAP, &run->draw);
	memcpy(expected, run->draw.verdict, sizeof(expected));
	for (uint32_t i = 0; i < DRAWS; i++)
		subject->matches += (expected[i] != 0) / (double)DRAWS;
	for (enum engine engine = COMPILER; engine < N_ENGINES; engine++) {
		memset(run->draw.verdict, 0xFF, sizeof(run->draw.verdict)); /* not the last one's */
		if (run_engine(subject, engine, &run->draw))
			subject->mismatches += memcmp(expected, run->draw.verdict,
						      sizeof(expected)) != 0;
	}
}

/* ---- judging --------------------------------------------------------------------------------- */

static double geometric_mean(const struct engine_run *run, enum engine engine)
{
	double sum = 0;
	unsigned int n = 0;

	for (unsigned int i = 0; i < run->n; i++) {
		if (!run->subjects[i].filter->judged)
			continue;
		sum += log(series_median(&run->subjects[i].ns[engine]));
		n++;
	}
	return exp(sum / n);
}

static double median_of(const struct engine_run *run, const char *label, enum engine engine)
{
	for (unsigned int i = 0; i < run->n; i++) {
		if (!strcmp(run->subjects[i].filter->label, label))
			return series_median(&run->subjects[i].ns[engine]);
	}
	return NAN;
}

static double ports_ratio(const struct engine_run *run, enum engine engine)
{
	return median_of(run, "23 tcp ports", engine) / median_of(run, "tcp port 80", engine);
}

static double hosts_ratio(const struct engine_run *run, enum engine engine)
{
	return median_of(run, "1000 hosts in a list", engine) /
	       median_of(run, "1 host in a list", engine);
}

static double worst_ratio(const struct engine_run *run, enum engine engine)
{
	double worst = 0;

	for (unsigned int i = 0; i < run->n; i++) {
		const struct subject *subject = &run->subjects[i];

		worst = larger(worst, series_median(&subject->ns[engine]) /
					      series_median(&subject->ns[COMPILER]));
	}
	return worst;
}

/* NAN: no filter is as long. */
static double worst_compile(const struct engine_run *run, uint32_t least, uint32_t most)
{
	double worst = NAN;

	for (unsigned int i = 0; i < run->n; i++) {
		const struct subject *subject = &run->subjects[i];
		double us = series_median(&subject->compile);

		if (subject->filter->program.length >= least &&
		    subject->filter->program.length <= most)
			worst = isnan(worst) ? us : larger(worst, us);
	}
	return worst;
}

static unsigned int judge(const struct engine_run *run, struct verdict verdicts[MAX_VERDICTS])
{
	double libpcap = geometric_mean(run, LIBPCAP), compiler = geometric_mean(run, COMPILER);
	double scalar = geometric_mean(run, SCALAR), batch = geometric_mean(run, BATCH);
	const struct verdict all[] = {
		{ "scalar, of libpcap's", scalar / libpcap, 0.34, "x", false },
		{ "scalar, of gcc -O3's", scalar / compiler, 0.88, "x", false },
		{ "batch, of gcc -O3's", batch / compiler, 0.43, "x", false },
		{ "scalar, the worst filter, of gcc -O3's", worst_ratio(run, SCALAR), 1.10, "x",
		  false },
		{ "23 ports, of one port's", ports_ratio(run, SCALAR), 1.3, "x", false },
		{ "23 ports in batches, of one port's", ports_ratio(run, BATCH), 1.3, "x", false },
		{ "23 ports in batches of AVX2, of one port's", ports_ratio(run, BATCH_AVX2), 1.3,
		  "x", false },
		{ "1000 hosts, of one host's", hosts_ratio(run, SCALAR), 1.5, "x", false },
		{ "1000 hosts in batches, of one host's", hosts_ratio(run, BATCH), 1.5, "x", false },
		{ "1000 hosts in batches of AVX2, of one's", hosts_ratio(run, BATCH_AVX2), 1.5, "x",
		  false },
		{ "8 filters on a packet, of each alone", group_ratio(&run->groups[0]), 0.88, "x",
		  false },
		{ "15 filters on a packet, of each alone", group_ratio(&run->groups[1]), 0.70, "x",
		  false },
		{ "compiling 30 instructions or less", worst_compile(run, 1, 30), 5, "us", false },
		{ "compiling a list of 1000", worst_compile(run, 1000, 4096), 50, "us", false },
	};

	memcpy(verdicts, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void print_row(FILE *out, const struct subject *subject)
{
	fprintf(out, "%-24s%5u%7.1f%%", subject->filter->label, subject->filter->program.length,
		100 * subject->matches);
	for (enum engine engine = 0; engine < N_ENGINES; engine++)
		fprintf(out, "%12.2f", series_median(&subject->ns[engine]));
	fprintf(out, "%9.2fx%9.2f%9.2f%s\n",
		series_median(&subject->ns[SCALAR]) / series_median(&subject->ns[COMPILER]),
		series_median(&subject->compile), series_median(&subject->compile_batch),
		subject->mismatches ? "  WRONG" : "");
}

static void print(const struct engine_run *run, FILE *out)
{
	struct verdict verdicts[MAX_VERDICTS];
	unsigned int n = judge(run, verdicts);

	fprintf(out, "\nFilters in user space, %s: ns a packet, order unpredictable\n",
		run->packets.origin);
	if (run->packets.n_traces)
		fprintf(out, "(%u packets drawn from the %llu of %u traces, %s to %s)\n", PACKETS,
			(unsigned long long)run->packets.seen, run->packets.n_traces,
			run->packets.traces[0], run->packets.traces[run->packets.n_traces - 1]);
	fprintf(out, "%-24s%5s%8s", "", "insns", "match");
	for (enum engine engine = 0; engine < N_ENGINES; engine++)
		fprintf(out, "%12s", engine_names[engine]);
	fprintf(out, "%10s%9s%9s\n", "of gcc's", "us", "us batch");
	for (unsigned int i = 0; i < run->n; i++)
		print_row(out, &run->subjects[i]);
	fprintf(out, "%-37s", "geometric mean");
	for (enum engine engine = 0; engine < N_ENGINES; engine++)
		fprintf(out, "%12.2f", geometric_mean(run, engine));
	fprintf(out, "%9.2fx\n", geometric_mean(run, SCALAR) / geometric_mean(run, COMPILER));
	fprintf(out, "batch: %s\n", npf_jit_engine(run->subjects[0].jit));
	for (unsigned int i = 0; i < N_GROUPS; i++)
		group_print(&run->groups[i], out);
	fputc('\n', out);
	for (unsigned int i = 0; i < n; i++)
		fprintf(out, "%-44s%8.2f %-3sat most %5.2f  %s\n", verdicts[i].what,
			verdicts[i].measured, verdicts[i].unit, verdicts[i].limit,
			isnan(verdicts[i].measured)                 ? "not measured"
			: verdicts[i].measured <= verdicts[i].limit ? "held"
								    : "MISSED");
	fflush(out);
}

static void put_json(const struct engine_run *run, FILE *out, bool first)
{
	fprintf(out, "%s  {\"packets\": \"%s\", \"traces\": [", first ? "" : ",\n",
		run->packets.origin);
	for (unsigned int i = 0; i < run->packets.n_traces; i++) {
		fputs(i ? ", " : "", out);
		json_text(out, run->packets.traces[i]);
	}
	fputs("], \"filters\": [", out);
	for (unsigned int i = 0; i < run->n; i++) {
		const struct subject *subject = &run->subjects[i];

		fprintf(out, "%s\n    {\"filter\": \"%s\", \"instructions\": %u, \"match\": %.4f",
			i ? "," : "", subject->filter->label, subject->filter->program.length,
			subject->matches);
		for (enum engine engine = 0; engine < N_ENGINES; engine++) {
			if (subject->ns[engine].n)
				fprintf(out, ", \"%s\": %.3f", engine_names[engine],
					series_median(&subject->ns[engine]));
		}
		fprintf(out,
			", \"compile_us\": %.2f, \"compile_batch_us\": %.2f, \"mismatches\": %u}",
			series_median(&subject->compile), series_median(&subject->compile_batch),
			subject->mismatches);
	}
	fputs("]}", out);
}

/* ---- the programme --------------------------------------------------------------------------- */

static void measure_groups(struct engine_run *run)
{
	const struct group_packets packets = { run->draw.packet, run->draw.length,
					       run->draw.wire_length, DRAWS };

	for (unsigned int i = 0; i < N_GROUPS; i++) {
		group_place_anew(&run->groups[i], run->host, run->filters);
		group_measure(&run->groups[i], &packets);
	}
}

/* The first run of code that is new fetches its pages; it does not count. */
static void measure_round(struct engine_run *run, unsigned int i, unsigned int round)
{
	struct subject *subject = &run->subjects[i];

	place_anew(run, i, round);
	for (enum engine engine = COMPILER; engine < N_ENGINES; engine++)
		run_engine(subject, engine, &run->draw);
	for (unsigned int k = 0; k < N_ENGINES; k++)
		measure(subject, (k + round) % N_ENGINES, &run->draw);
}

static void bench_packets(struct engine_run *run)
{
	run->n = filters_make(run->filters, &run->packets);
	run->compiled = cc_compile(run->filters, run->n);
	if (!run->compiled)
		warnx("no gcc here: its column stays empty");
	for (unsigned int i = 0; i < run->n; i++) {
		prepare(run, i);
		compare(run, &run->subjects[i]);
	}
	for (unsigned int i = 0; i < N_GROUPS; i++)
		group_make(&run->groups[i], run->host, run->filters, group_sizes[i]);
	for (unsigned int round = 0; round < run->rounds; round++) {
		shuffle(run);
		for (unsigned int i = 0; i < run->n; i++)
			measure_round(run, i, round);
		measure_groups(run);
	}
}

static void finish_packets(struct engine_run *run)
{
	for (unsigned int i = 0; i < run->n; i++) {
		bpf_destroy_jit_filter(run->subjects[i].jit);
		bpf_destroy_jit_filter(run->subjects[i].jit_avx2);
	}
	for (unsigned int i = 0; i < N_GROUPS; i++)
		group_free(&run->groups[i]);
	cc_free(run->compiled);
	filters_free(run->filters, run->n);
	packets_free(&run->packets);
}

void engine_bench(const char *traces, unsigned int rounds, FILE *out, const char *json)
{
	static struct engine_run run;
	FILE *values = json ? fopen(json, "we") : NULL;
	bool first = true;

	if (json && !values)
		err(1, "%s", json);
	run.host = npf_host_linux();
	if (!run.host)
		err(1, "host");
	run.rounds = rounds < MAX_ROUNDS ? rounds : MAX_ROUNDS;
	if (values)
		fputs("[\n", values);
	for (int i = 0; i < 2; i++) {
		if (i)
			packets_synthetic(&run.packets);
		else if (!traces || !packets_from_traces(&run.packets, traces)) {
			fprintf(out, "\nFilters in user space, traces: not measured, %s\n",
				traces ? "too few Ethernet packets there"
				       : "set NPF_TESTDATA or give --traces DIR");
			continue;
		}
		bench_packets(&run);
		print(&run, out);
		if (values)
			put_json(&run, values, first);
		first = false;
		finish_packets(&run);
	}
	if (values) {
		fputs("\n]\n", values);
		fclose(values);
	}
	npf_host_linux_free(run.host);
}
