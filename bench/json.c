/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The results as JSON, every round's value included. What was not measured is null or empty.
 */
#include <math.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"

static void put_number(FILE *out, const char *name, double value)
{
	if (isnan(value))
		fprintf(out, "\"%s\": null", name);
	else
		fprintf(out, "\"%s\": %.10g", name, value);
}

void json_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text >= 0x20)
			fputc(*text, out);
	}
	fputc('"', out);
}

/* "name": {"median": m, "min": ..., "max": ..., "rounds": [...]} */
static void put_series(FILE *out, const char *name, const struct series *series)
{
	fprintf(out, "\"%s\": {", name);
	put_number(out, "median", series_median(series));
	fputs(", ", out);
	put_number(out, "min", series_min(series));
	fputs(", ", out);
	put_number(out, "max", series_max(series));
	fputs(", \"rounds\": [", out);
	for (unsigned int i = 0; i < series->n; i++)
		fprintf(out, "%s%.10g", i ? ", " : "", series->values[i]);
	fputs("]}", out);
}

static void put_cost(FILE *out, const char *key, unsigned int generator, unsigned int size,
		     const struct cost *cost, double ratio)
{
	fprintf(out, "    {\"tap\": \"%s\", \"load\": \"%s\", \"bytes\": %zu,\n     ", key,
		generator_names[generator], frame_sizes[size]);
	put_series(out, "base_ns", &cost->base);
	fputs(",\n     ", out);
	put_series(out, "added_ns", &cost->added);
	fputs(",\n     ", out);
	put_series(out, "added_wall_ns", &cost->added_wall);
	fputs(",\n     ", out);
	put_number(out, "ratio", ratio);
	fputc('}', out);
}

static void put_costs(FILE *out, const struct results *results)
{
	fputs("  \"cost\": [\n", out);
	for (unsigned int i = 0; i < N_COSTS * N_GENERATORS * N_SIZES; i++) {
		unsigned int t = i / (N_GENERATORS * N_SIZES), g = i / N_SIZES % N_GENERATORS;

		fputs(i ? ",\n" : "", out);
		put_cost(out, cost_tools[t].key, g, i % N_SIZES, &results->cost[t][g][i % N_SIZES],
			 cost_ratio(results, t, g, i % N_SIZES));
	}
	fputs("\n  ],\n  \"cost_losses\": [\n", out);
	for (unsigned int t = 0; t < N_COSTS; t++)
		fprintf(out, "%s    {\"tap\": \"%s\", \"received\": %llu, \"dropped\": %llu}",
			t ? ",\n" : "", cost_tools[t].key,
			(unsigned long long)results->cost_delivered[t],
			(unsigned long long)results->cost_dropped[t]);
	fputs("\n  ],\n", out);
}

static void put_reader(FILE *out, const char *key, size_t size, const struct reader *reader,
		       double ratio)
{
	fprintf(out,
		"    {\"tap\": \"%s\", \"bytes\": %zu, \"received\": %llu, \"captured\": %llu, "
		"\"dropped\": %llu,\n     ",
		key, size, (unsigned long long)reader->delivered,
		(unsigned long long)reader->captured, (unsigned long long)reader->dropped);
	put_series(out, "mpps", &reader->mpps);
	fputs(",\n     ", out);
	put_series(out, "cpu_ns", &reader->ns);
	fputs(",\n     ", out);
	put_series(out, "cpu_ns_with_start", &reader->ns_all);
	fputs(",\n     ", out);
	put_number(out, "ratio", ratio);
	fputc('}', out);
}

static void put_readers(FILE *out, const struct results *results)
{
	fputs("  \"reader\": [\n", out);
	for (unsigned int i = 0; i < N_READERS * N_SIZES; i++) {
		fputs(i ? ",\n" : "", out);
		put_reader(out, reader_tools[i / N_SIZES].key, frame_sizes[i % N_SIZES],
			   &results->reader[i / N_SIZES][i % N_SIZES],
			   reader_ratio(results, i / N_SIZES, i % N_SIZES));
	}
	fputs("\n  ],\n", out);
}

static void put_monitor(FILE *out, const char *key, const struct monitor *monitor)
{
	fprintf(out, "    {\"tap\": \"%s\",\n     ", key);
	put_series(out, "program_ns", &monitor->program);
	fputs(",\n     ", out);
	put_series(out, "test_run_ns", &monitor->test_run);
	fputs(",\n     ", out);
	put_series(out, "cpu_ns", &monitor->cpu_ns);
	fputs(",\n     ", out);
	put_series(out, "cpu_percent", &monitor->cpu_percent);
	fputc('}', out);
}

static void put_monitors(FILE *out, const struct results *results)
{
	fputs("  \"statistics\": [\n", out);
	for (unsigned int m = 0; m < N_MONITORS; m++) {
		put_monitor(out, monitor_tools[m].key, &results->monitor[m]);
		fputs(",\n", out);
	}
	put_monitor(out, "empty_program", &results->empty);
	fputs("\n  ],\n", out);
}

static void put_crowds(FILE *out, const struct results *results)
{
	fputs("  \"instances\": [\n", out);
	for (unsigned int c = 0; c < N_CROWDS; c++) {
		fprintf(out, "%s    {\"tap\": \"%s\", \"instances\": %u,\n     ", c ? ",\n" : "",
			crowd_tools[c].key, crowd_instances[c]);
		put_series(out, "added_each_ns", &results->crowd[c].each);
		fputs(",\n     ", out);
		put_number(out, "ratio", crowd_ratio(results, c));
		fputc('}', out);
	}
	fputs("\n  ],\n", out);
}

static void put_throngs(FILE *out, const struct results *results)
{
	fputs("  \"instances_of_one_process\": [\n", out);
	for (unsigned int i = 0; i < N_THRONGS * N_THRONG_SIZES; i++) {
		unsigned int kind = i / N_THRONG_SIZES, s = i % N_THRONG_SIZES;

		fprintf(out, "%s    {\"tap\": \"%s\", \"instances\": %u,\n     ", i ? ",\n" : "",
			throng_labels[kind], throng_sizes[s]);
		put_series(out, "added_ns", &results->throng[kind][s]);
		fputc('}', out);
	}
	fputs("\n  ],\n", out);
}

static void put_rate(FILE *out, const struct injector *injector, const struct series *series)
{
	fprintf(out, "    {\"sender\": \"%s\", \"bytes\": %zu,\n     ", injector->key,
		injector->size);
	put_series(out, "mpps", series);
	fputc('}', out);
}

static void put_paced(FILE *out, const char *key, const struct paced *paced)
{
	fprintf(out, "    {\"sender\": \"%s\", \"packets\": %llu, \"arrived\": %llu,\n     ", key,
		(unsigned long long)paced->wanted, (unsigned long long)paced->arrived);
	put_series(out, "gap_error_p50_us", &paced->p50);
	fputs(",\n     ", out);
	put_series(out, "gap_error_p99_us", &paced->p99);
	fputs(",\n     ", out);
	put_series(out, "drift_us", &paced->drift);
	fputs(",\n     ", out);
	put_series(out, "cpu_percent_at_1ms", &paced->cpu_percent);
	fputc('}', out);
}

static void put_injection(FILE *out, const struct injection *injection)
{
	fputs("  \"injection\": [\n", out);
	for (unsigned int r = 0; r < N_RATES; r++) {
		fputs(r ? ",\n" : "", out);
		put_rate(out, &rate_injectors[r], &injection->rate[r]);
	}
	fputs("\n  ],\n  \"paced\": [\n", out);
	for (unsigned int p = 0; p < N_PACED; p++) {
		fputs(p ? ",\n" : "", out);
		put_paced(out, paced_injectors[p].key, &injection->paced[p]);
	}
	fputs("\n  ],\n", out);
}

static void put_dumps(FILE *out, const struct results *results)
{
	fputs("  \"dump\": {\"directory\": ", out);
	json_text(out, results->dump_directory);
	fprintf(out, ", \"file_system\": \"%s\", \"burst_ms\": %u, \"burst_mb\": %u,\n   ",
		results->dump_file_system, results->dump_ms, results->dump_mb);
	put_series(out, "dd_mb_s", &results->dd_mb_s);
	fputs(",\n   \"tools\": [\n", out);
	for (unsigned int i = 0; i < N_DUMPS * N_DUMP_LOADS; i++) {
		const struct dump *dump = &results->dump[i / N_DUMP_LOADS][i % N_DUMP_LOADS];

		fprintf(out,
			"%s    {\"tool\": \"%s\", \"load\": \"%s\", \"bytes\": %zu, "
			"\"received\": %llu, \"written\": %llu, \"dropped\": %llu,\n     ",
			i ? ",\n" : "", dump_tools[i / N_DUMP_LOADS].key,
			generator_names[dump_loads[i % N_DUMP_LOADS].generator],
			dump_loads[i % N_DUMP_LOADS].size, (unsigned long long)dump->delivered,
			(unsigned long long)dump->captured, (unsigned long long)dump->dropped);
		put_series(out, "mpps", &dump->mpps);
		fputs(",\n     ", out);
		put_series(out, "mb_s", &dump->mb_s);
		fputs(",\n     ", out);
		put_series(out, "cpu_ns", &dump->ns);
		fputc('}', out);
	}
	fputs("\n  ]},\n", out);
}

static void put_missing(FILE *out, const struct results *results)
{
	fputs("  \"missing\": [", out);
	for (unsigned int i = 0; i < results->n_missing; i++) {
		fputs(i ? ", " : "", out);
		json_text(out, results->missing[i]);
	}
	fputs("],\n", out);
}

static void put_verdicts(FILE *out, const struct results *results)
{
	struct verdict verdicts[MAX_VERDICTS];
	unsigned int n = report_judge(results, verdicts);

	fputs("  \"promised\": [\n", out);
	for (unsigned int i = 0; i < n; i++) {
		fprintf(out, "%s    {\"what\": \"%s\", ", i ? ",\n" : "", verdicts[i].what);
		put_number(out, "measured", verdicts[i].measured);
		fprintf(out, ", \"%s\": %g, \"unit\": \"%s\", \"verdict\": \"%s\"}",
			verdicts[i].at_least ? "at_least" : "at_most", verdicts[i].limit,
			verdicts[i].unit, report_word(&verdicts[i]));
	}
	fputs("\n  ]\n", out);
}

static void put_conditions(FILE *out, const struct results *results)
{
	struct utsname name = { 0 };

	uname(&name);
	fprintf(out, "  \"time\": %lld, \"kernel\": \"%s\", \"machine\": \"%s\",\n",
		(long long)time(NULL), name.release, name.machine);
	fprintf(out, "  \"rounds\": %u, \"burst_ms\": %u, \"busy_before\": %.4f, ", results->rounds,
		results->ms, results->busy);
	fprintf(out, "\"sender_share\": %.4f,\n", results->sender_share);
}

bool report_json(const struct results *results, const char *path)
{
	FILE *out = fopen(path, "we");
	bool failed;

	if (!out)
		return false;
	fputs("{\n", out);
	put_conditions(out, results);
	put_costs(out, results);
	put_readers(out, results);
	put_monitors(out, results);
	put_crowds(out, results);
	put_throngs(out, results);
	put_injection(out, &results->injection);
	put_dumps(out, results);
	put_missing(out, results);
	put_verdicts(out, results);
	fputs("}\n", out);
	failed = ferror(out);
	return !fclose(out) && !failed;
}
