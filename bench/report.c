/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The results as tables for people, and the verdict on what was promised.
 */
#include <math.h>
#include <string.h>

#include "bench.h"

#define MOST_ADDED     0.60 /* of tcpdump's */
#define MOST_RUN_ADDED 0.65 /* of the same program's on libpcap */
#define MOST_READER    0.35 /* of tcpdump's */
#define MOST_PROGRAM   15.0 /* ns a packet */
#define MOST_FURTHER   0.10 /* of a packet socket */
#define MOST_CPU       1.0  /* ns a packet: nothing that grows with the traffic */
#define MOST_DUMP_64   0.50 /* of the best peer's CPU */
#define MOST_DUMP_1514 0.15
#define LEAST_OF_DISK  85.0 /* % of what dd writes */

void note_missing(struct results *results, const char *label, const char *why)
{
	if (results->n_missing < MAX_MISSING)
		snprintf(results->missing[results->n_missing++], sizeof(results->missing[0]),
			 "%s: %s", label, why);
}

bool is_missing(const struct results *results, const char *label)
{
	size_t length = strlen(label);

	for (unsigned int i = 0; i < results->n_missing; i++) {
		if (!strncmp(results->missing[i], label, length) &&
		    results->missing[i][length] == ':')
			return true;
	}
	return false;
}

double cost_ratio(const struct results *results, unsigned int t, unsigned int g, unsigned int s)
{
	return series_ratio(&results->cost[t][g][s].added, &results->cost[COST_TCPDUMP][g][s].added);
}

double reader_ratio(const struct results *results, unsigned int t, unsigned int s)
{
	return series_ratio(&results->reader[t][s].ns, &results->reader[READER_TCPDUMP][s].ns);
}

double crowd_ratio(const struct results *results, unsigned int c)
{
	unsigned int peer = crowd_instances[c] > 1 ? CROWD_TCPDUMP_4 : CROWD_TCPDUMP;

	return series_ratio(&results->crowd[c].each, &results->crowd[peer].each);
}

static void print_cell(FILE *out, const struct cost *cost, double times)
{
	double added = series_median(&cost->added);

	if (isnan(added))
		fprintf(out, "%12s      ", "-");
	else if (isnan(times))
		fprintf(out, "%+12.0f      ", added);
	else
		fprintf(out, "%+12.0f %4.2fx", added, times);
}

static void print_base(const struct results *results, FILE *out)
{
	fprintf(out, "%-24s", "no tap (absolute)");
	for (unsigned int i = 0; i < N_GENERATORS * N_SIZES; i++) {
		double base =
			series_median(&results->cost[COST_NONE][i / N_SIZES][i % N_SIZES].base);

		if (isnan(base))
			fprintf(out, "%12s      ", "-");
		else
			fprintf(out, "%12.0f      ", base);
	}
	fputc('\n', out);
}

static void print_costs(const struct results *results, FILE *out)
{
	fprintf(out,
		"\nKernel cost added per packet: ns of the sender's CPU, and times tcpdump's\n"
		"%-24s",
		"");
	for (unsigned int i = 0; i < N_GENERATORS * N_SIZES; i++) {
		char head[32];

		snprintf(head, sizeof(head), "%s %zu", generator_names[i / N_SIZES],
			 frame_sizes[i % N_SIZES]);
		fprintf(out, "%18s", head);
	}
	fprintf(out, "%10s\n", "lost");
	print_base(results, out);
	for (unsigned int t = 0; t < N_COSTS; t++) {
		fprintf(out, "%-24s", cost_tools[t].label);
		for (unsigned int i = 0; i < N_GENERATORS * N_SIZES; i++)
			print_cell(out, &results->cost[t][i / N_SIZES][i % N_SIZES],
				   cost_ratio(results, t, i / N_SIZES, i % N_SIZES));
		if (cost_tools[t].captured && results->cost_delivered[t])
			fprintf(out, "%8.2f %%",
				100.0 * (double)results->cost_dropped[t] /
					(double)results->cost_delivered[t]);
		fputc('\n', out);
	}
	fputs("lost: a packet that is dropped costs less than one that is kept\n", out);
}

static uint64_t lost(const struct reader *reader)
{
	return reader->delivered > reader->captured ? reader->delivered - reader->captured : 0;
}

static double share_lost(const struct reader *reader)
{
	return reader->ns.n ? 100.0 * (double)lost(reader) / (double)reader->delivered : NAN;
}

static void print_reader(FILE *out, const char *label, size_t size, const struct reader *reader,
			 double ratio)
{
	if (!reader->ns.n) {
		fprintf(out, "%-24s%6zu%10s\n", label, size, "-");
		return;
	}
	fprintf(out, "%-24s%6zu%10.2f%10.1f%10.1f%7.2fx%12llu%12llu%12llu%9.3f %%\n", label, size,
		series_median(&reader->mpps), series_median(&reader->ns),
		series_median(&reader->ns_all), ratio, (unsigned long long)reader->delivered,
		(unsigned long long)reader->captured, (unsigned long long)reader->dropped,
		share_lost(reader));
}

static void print_readers(const struct results *results, FILE *out)
{
	fprintf(out,
		"\nReader at full rate, to /dev/null: ns of its CPU per captured packet\n"
		"%-24s%6s%10s%10s%10s%8s%12s%12s%12s%11s\n",
		"", "bytes", "Mpps", "CPU ns", "w/ start", "ratio", "received", "captured",
		"dropped", "lost");
	for (unsigned int t = 0; t < N_READERS; t++) {
		for (unsigned int s = 0; s < N_SIZES; s++)
			print_reader(out, reader_tools[t].label, frame_sizes[s],
				     &results->reader[t][s], reader_ratio(results, t, s));
	}
	fputs("dropped: as the tool reports; lost: received by the device and not captured\n"
	      "same rate: by npf run, of as many packets a second as came while it ran on libpcap\n",
	      out);
}

/* What a program takes, the measuring itself taken off. */
static double net(const struct series *program, const struct series *empty)
{
	return series_median(program) - series_median(empty);
}

static void print_figure(FILE *out, double value)
{
	if (isnan(value))
		fprintf(out, "%16s", "-");
	else
		fprintf(out, "%16.2f", value);
}

static void print_monitors(const struct results *results, FILE *out)
{
	const struct monitor *monitor, *empty = &results->empty;

	fprintf(out, "\nStatistics mode, 64 B: ns a packet\n%-28s%16s%16s%16s%16s\n", "", "program",
		"test run", "CPU of tool", "% of a CPU");
	for (unsigned int m = 0; m < N_MONITORS; m++) {
		monitor = &results->monitor[m];
		fprintf(out, "%-28s", monitor_tools[m].label);
		print_figure(out, net(&monitor->program, &empty->program));
		print_figure(out, net(&monitor->test_run, &empty->test_run));
		print_figure(out, series_median(&monitor->cpu_ns));
		print_figure(out, series_median(&monitor->cpu_percent));
		fputc('\n', out);
	}
	fprintf(out, "%-28s", "an empty program (taken off)");
	print_figure(out, series_median(&empty->program));
	print_figure(out, series_median(&empty->test_run));
	fputc('\n', out);
}

static void print_crowds(const struct results *results, FILE *out)
{
	fputs("\nInstances that reject every packet, 64 B: ns added per instance\n", out);
	for (unsigned int c = 0; c < N_CROWDS; c++) {
		double each = series_median(&results->crowd[c].each);
		double times = crowd_ratio(results, c);

		fprintf(out, "%-24s", crowd_tools[c].label);
		if (isnan(each))
			fprintf(out, "%10s", "-");
		else
			fprintf(out, "%+10.1f", each);
		if (!isnan(times))
			fprintf(out, "%7.2fx", times);
		fputc('\n', out);
	}
}

static void print_throngs(const struct results *results, FILE *out)
{
	fputs("\nInstances of one process that reject every packet, 64 B: ns added by all of them\n",
	      out);
	fprintf(out, "%-24s", "");
	for (unsigned int s = 0; s < N_THRONG_SIZES; s++)
		fprintf(out, "%10u", throng_sizes[s]);
	fprintf(out, "%14s\n", "one more");
	for (unsigned int kind = 0; kind < N_THRONGS; kind++) {
		fprintf(out, "%-24s", throng_labels[kind]);
		for (unsigned int s = 0; s < N_THRONG_SIZES; s++)
			fprintf(out, "%+10.1f", series_median(&results->throng[kind][s]));
		fprintf(out, "%+14.1f\n", throng_further(results->throng[kind]));
	}
}

/* The cheapest of the peers that wrote anything; NAN none did. */
static double best_peer(const struct results *results, unsigned int l)
{
	double best = NAN;

	for (unsigned int t = 0; t < N_DUMP_PEERS; t++)
		best = fmin(best, series_median(&results->dump[t][l].ns));
	return best;
}

static uint64_t dump_lost(const struct dump *dump)
{
	return dump->delivered > dump->captured ? dump->delivered - dump->captured : 0;
}

static void print_dump(FILE *out, const struct results *results, unsigned int t, unsigned int l)
{
	const struct dump *dump = &results->dump[t][l];

	if (!dump->mpps.n)
		return;
	fprintf(out, "%-18s%-12s%6zu%8.2f%8.0f%8.1f", dump_tools[t].label,
		generator_names[dump_loads[l].generator], dump_loads[l].size,
		series_median(&dump->mpps), series_median(&dump->mb_s), series_median(&dump->ns));
	if (isnan(best_peer(results, l)))
		fprintf(out, "%8s", "-");
	else
		fprintf(out, "%7.2fx", series_median(&dump->ns) / best_peer(results, l));
	fprintf(out, "%12llu%12llu%9.3f %%\n", (unsigned long long)dump->delivered,
		(unsigned long long)dump->captured,
		100.0 * (double)dump_lost(dump) / (double)dump->delivered);
}

static void print_dumps(const struct results *results, FILE *out)
{
	fprintf(out,
		"\nDump to disk at full rate, to %s (%s), 256 MiB of buffer each\n"
		"%-30s%6s%8s%8s%8s%8s%12s%12s%11s\n",
		results->dump_directory, results->dump_file_system, "", "bytes", "Mpps", "MB/s",
		"CPU ns", "ratio", "received", "written", "lost");
	for (unsigned int l = 0; l < N_DUMP_LOADS; l++) {
		for (unsigned int t = 0; t < N_DUMPS; t++)
			print_dump(out, results, t, l);
	}
	if (results->dd_mb_s.n)
		fprintf(out, "%-30s%22.0f\n", "dd oflag=direct", series_median(&results->dd_mb_s));
	fputs("MB/s: in the file when the last packet came; ratio: to the CPU of the cheapest peer; "
	      "lost:\nreceived by the device and never in the file\n",
	      out);
}

/* ---- verdicts ------------------------------------------------------------------------------- */

/* The hook that auto takes on a veth: the first of ours that could be measured. */
static unsigned int judged_hook(const struct results *results)
{
	for (unsigned int t = COST_NPF; t < COST_NPF_END; t++) {
		for (enum generator g = 0; g < N_GENERATORS; g++) {
			if (results->cost[t][g][0].added.n)
				return t;
		}
	}
	return COST_NPF;
}

static void judge_costs(const struct results *results, unsigned int t, struct verdict *verdicts)
{
	for (unsigned int i = 0; i < N_GENERATORS * N_SIZES; i++) {
		struct verdict *verdict = &verdicts[i];

		snprintf(verdict->what, sizeof(verdict->what), "cost added, %zu B, %s: %s",
			 frame_sizes[i % N_SIZES], generator_names[i / N_SIZES],
			 cost_tools[t].label);
		verdict->measured = cost_ratio(results, t, i / N_SIZES, i % N_SIZES);
		verdict->limit = MOST_ADDED;
		verdict->unit = "x tcpdump";
	}
}

static void judge_readers(const struct results *results, unsigned int t, struct verdict *verdicts)
{
	for (unsigned int s = 0; s < N_SIZES; s++) {
		snprintf(verdicts[s].what, sizeof(verdicts[s].what), "reader CPU, %zu B: %s",
			 frame_sizes[s], reader_tools[t].label);
		verdicts[s].measured = reader_ratio(results, t, s);
		verdicts[s].limit = MOST_READER;
		verdicts[s].unit = "x tcpdump";
	}
}

static void judge_monitor(const struct results *results, unsigned int m, struct verdict verdicts[2])
{
	const struct monitor *monitor = &results->monitor[m];

	snprintf(verdicts[0].what, sizeof(verdicts[0].what), "program, 64 B: %s",
		 monitor_tools[m].label);
	verdicts[0].measured = net(&monitor->program, &results->empty.program);
	verdicts[0].limit = MOST_PROGRAM;
	verdicts[0].unit = "ns";
	snprintf(verdicts[1].what, sizeof(verdicts[1].what), "reader CPU, 64 B: %s",
		 monitor_tools[m].label);
	verdicts[1].measured = series_median(&monitor->cpu_ns);
	verdicts[1].limit = MOST_CPU;
	verdicts[1].unit = "ns";
}

static void judge_loss(const struct reader *reader, struct verdict *verdict)
{
	*verdict = (struct verdict){ "lost at full rate, 64 B, all rounds",
				     reader->ns.n ? (double)lost(reader) : NAN, 0, "packets",
				     false };
}

static void judge_same(const struct results *results, unsigned int t, unsigned int itself,
		       struct verdict *verdicts)
{
	for (unsigned int s = 0; s < N_SIZES; s++) {
		struct verdict *verdict = &verdicts[s];

		snprintf(verdict->what, sizeof(verdict->what),
			 "lost, %zu B, full rate of libpcap: %.7s", frame_sizes[s],
			 reader_tools[t].label);
		verdict->measured = share_lost(&results->reader[t][s]);
		/* JSON has no word for what was not measured. */
		verdict->limit = results->reader[itself][s].ns.n
					 ? share_lost(&results->reader[itself][s])
					 : 0;
		verdict->unit = "%, itself";
	}
}

/* The most that a peer got to the disk. */
static double best_speed(const struct results *results, unsigned int l)
{
	double best = NAN;

	for (unsigned int t = 0; t < N_DUMP_PEERS; t++)
		best = fmax(best, series_median(&results->dump[t][l].mb_s));
	return best;
}

static void judge_writer(const struct results *results, unsigned int l, double most,
			 struct verdict *verdict)
{
	*verdict = (struct verdict){ .measured = series_median(&results->dump[DUMP_NPF][l].ns) /
						 best_peer(results, l),
				     .limit = most,
				     .unit = "x best peer" };
	snprintf(verdict->what, sizeof(verdict->what), "writer's CPU, %zu B, %s: npf dump",
		 dump_loads[l].size, generator_names[dump_loads[l].generator]);
}

static void judge_dump_loss(const struct results *results, unsigned int l, struct verdict *verdict)
{
	const struct dump *ours = &results->dump[DUMP_NPF][l];

	*verdict = (struct verdict){ .measured = ours->mpps.n ? (double)dump_lost(ours) : NAN,
				     .unit = "packets" };
	snprintf(verdict->what, sizeof(verdict->what), "lost, %zu B, %s: npf dump",
		 dump_loads[l].size, generator_names[dump_loads[l].generator]);
}

/* Live frames of 1514 bytes are more than many a disk takes. Shares of loss say little there,
 * because whoever costs more slows the sender down: what arrives is judged as well. */
static void judge_dump_speed(const struct results *results, unsigned int l, struct verdict *verdict)
{
	const struct dump *ours = &results->dump[DUMP_NPF][l];

	*verdict = (struct verdict){ .measured = series_median(&ours->mb_s) / best_speed(results, l),
				     .limit = 1,
				     .unit = "x best peer",
				     .at_least = true };
	snprintf(verdict->what, sizeof(verdict->what), "written, %zu B, %s: npf dump",
		 dump_loads[l].size, generator_names[dump_loads[l].generator]);
}

static unsigned int judge_dump(const struct results *results, struct verdict *verdicts)
{
	static const double most[] = {
		[DUMP_SMALL] = MOST_DUMP_64, [DUMP_LARGE] = MOST_DUMP_1514, [DUMP_LARGE_SOCKET] = MOST_DUMP_1514
	};
	const struct dump *beyond = &results->dump[DUMP_NPF][DUMP_BEYOND];
	unsigned int n = 0;

	for (unsigned int l = DUMP_SMALL; l <= DUMP_LARGE_SOCKET; l++) {
		judge_dump_loss(results, l, &verdicts[n++]);
		if (l == DUMP_LARGE && dump_lost(&results->dump[DUMP_NPF][l]))
			judge_dump_speed(results, l, &verdicts[n++]);
		judge_writer(results, l, most[l], &verdicts[n++]);
	}
	verdicts[n] = (struct verdict){ "throughput where the disk is the limit: npf dump", NAN,
					LEAST_OF_DISK, "% of dd", true };
	if (dump_lost(beyond))
		verdicts[n].measured = 100.0 * series_median(&beyond->mb_s) /
				       series_median(&results->dd_mb_s);
	return n + 1;
}

/* One that was installed for libpcap, through npf run, beside itself; phase l has its CPU. */
static unsigned int judge_run(const struct results *results, const unsigned int cost[2],
			      struct verdict *verdicts)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < N_GENERATORS * N_SIZES; i++) {
		unsigned int g = i / N_SIZES, s = i % N_SIZES;
		struct verdict *verdict = &verdicts[n++];

		snprintf(verdict->what, sizeof(verdict->what), "cost added, %zu B, %s: %s",
			 frame_sizes[s], generator_names[g], cost_tools[cost[1]].label);
		verdict->measured = series_ratio(&results->cost[cost[1]][g][s].added,
						 &results->cost[cost[0]][g][s].added);
		verdict->limit = MOST_RUN_ADDED;
		verdict->unit = "x itself";
	}
	return n;
}

static unsigned int judge_runs(const struct results *results, struct verdict *verdicts)
{
	static const unsigned int costs[][2] = { { COST_TCPDUMP, COST_RUN_TCPDUMP },
						 { COST_DUMPCAP, COST_RUN_DUMPCAP } };
	unsigned int n = judge_run(results, costs[0], verdicts);

	return n + judge_run(results, costs[1], verdicts + n);
}

static void judge_throng(const struct results *results, unsigned int kind, struct verdict *verdict)
{
	snprintf(verdict->what, sizeof(verdict->what), "one more that rejects, 64 B: %s",
		 throng_labels[kind]);
	verdict->measured = throng_further(results->throng[kind]) /
			    throng_further(results->throng[THRONG_SOCKETS]);
	verdict->limit = MOST_FURTHER;
	verdict->unit = "x a socket";
}

unsigned int report_judge(const struct results *results, struct verdict verdicts[MAX_VERDICTS])
{
	unsigned int hook = judged_hook(results) - COST_NPF, n = 0;

	memset(verdicts, 0, MAX_VERDICTS * sizeof(*verdicts));
	judge_costs(results, COST_NPF + hook, verdicts);
	n += N_GENERATORS * N_SIZES;
	judge_readers(results, READER_NPF + hook, verdicts + n);
	n += N_SIZES;
	judge_loss(&results->reader[READER_NPF + hook][0], &verdicts[n++]);
	for (unsigned int m = MONITOR_ALL; m <= MONITOR_FILTER; m++, n += 2)
		judge_monitor(results, m, verdicts + n);
	judge_throng(results, THRONG_TCX, &verdicts[n++]);
	n += inject_judge(results, verdicts + n);
	n += judge_runs(results, verdicts + n);
	judge_same(results, READER_SAME_TCPDUMP, READER_TCPDUMP, verdicts + n);
	judge_same(results, READER_SAME_DUMPCAP, READER_DUMPCAP, verdicts + n + N_SIZES);
	n += 2 * N_SIZES;
	return n + judge_dump(results, verdicts + n);
}

const char *report_word(const struct verdict *verdict)
{
	if (isnan(verdict->measured))
		return "not measured";
	if (verdict->measured < 0) /* nothing makes a packet's way shorter than no tap */
		return "noise";
	if (verdict->at_least)
		return verdict->measured >= verdict->limit ? "held" : "missed";
	return verdict->measured <= verdict->limit ? "held" : "missed";
}

static void print_verdicts(const struct results *results, FILE *out)
{
	struct verdict verdicts[MAX_VERDICTS];
	unsigned int n = report_judge(results, verdicts);

	fprintf(out, "\n%-52s%10s%19s\n", "Promised (the hook that auto takes)", "measured",
		"limit");
	for (unsigned int i = 0; i < n; i++) {
		const struct verdict *verdict = &verdicts[i];

		fprintf(out, "%-52s", verdict->what);
		if (isnan(verdict->measured))
			fprintf(out, "%10s", "-");
		else
			fprintf(out, "%10.2f", verdict->measured);
		fprintf(out, "%9s%10.2f %-12s%s\n", verdict->at_least ? "at least" : "at most",
			verdict->limit, verdict->unit, report_word(verdict));
	}
}

void report_print(const struct results *results, FILE *out)
{
	if (strchr(results->phases, 'c'))
		print_costs(results, out);
	if (strchr(results->phases, 'r'))
		print_readers(results, out);
	if (strchr(results->phases, 's'))
		print_monitors(results, out);
	if (strchr(results->phases, 'i'))
		print_crowds(results, out);
	if (strchr(results->phases, 'i'))
		print_throngs(results, out);
	if (strchr(results->phases, 'j'))
		inject_print(results, out);
	if (strchr(results->phases, 'd'))
		print_dumps(results, out);
	for (unsigned int i = 0; i < results->n_missing; i++)
		fprintf(out, "%snot measured: %s\n", i ? "" : "\n", results->missing[i]);
	print_verdicts(results, out);
}
