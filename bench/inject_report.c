/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Injection's tables and promises.
 */
#include <math.h>

#include "bench.h"

#define LEAST_REPEAT_TCPREPLAY 4.0 /* times */
#define LEAST_REPEAT_LIVE      0.95
#define LEAST_REPEAT_TRAFGEN   2.8
#define LEAST_DISTINCT_64      2.5
#define LEAST_DISTINCT_1514    1.4
#define MOST_P50               0.1 /* us */
#define MOST_P99               10.0
#define MOST_DRIFT             20.0
#define MOST_CPU               10.0 /* percent */

static const struct {
	const char *what;
	unsigned int ours, theirs;
	double least;
	const char *unit;
} races[] = {
	{ "repeat, received by the stack: npf send", RATE_SEND, RATE_TCPREPLAY_ONE,
	  LEAST_REPEAT_TCPREPLAY, "x tcpreplay" },
	{ "repeat, received by the stack: npf send", RATE_SEND, RATE_TRAFGEN, LEAST_REPEAT_TRAFGEN,
	  "x trafgen" },
	{ "repeat, received by the stack: npf send", RATE_SEND, RATE_LIVE, LEAST_REPEAT_LIVE,
	  "x bare" },
	{ "repeat, received by the stack, from many: npf send", RATE_SEND, RATE_TCPREPLAY,
	  LEAST_REPEAT_TCPREPLAY, "x tcpreplay" },
	{ "repeat, dropped in XDP: npf send", RATE_SEND_DROPPED, RATE_TCPREPLAY_ONE_DROPPED,
	  LEAST_REPEAT_TCPREPLAY, "x tcpreplay" },
	{ "repeat, dropped in XDP: npf send", RATE_SEND_DROPPED, RATE_TRAFGEN_DROPPED,
	  LEAST_REPEAT_TRAFGEN, "x trafgen" },
	{ "repeat, dropped in XDP, from many: npf send", RATE_SEND_DROPPED, RATE_TCPREPLAY_DROPPED,
	  LEAST_REPEAT_TCPREPLAY, "x tcpreplay" },
	{ "distinct packets, 64 B: npf replay", RATE_REPLAY_64, RATE_TCPREPLAY_64,
	  LEAST_DISTINCT_64, "x tcpreplay" },
	{ "distinct packets, 1514 B: npf replay", RATE_REPLAY_1514, RATE_TCPREPLAY_1514,
	  LEAST_DISTINCT_1514, "x tcpreplay" },
};
#define N_RACES (sizeof(races) / sizeof(races[0]))

/* The one that a sender is compared with in the table: tcpreplay, frames as long, same receiver. */
static unsigned int peer(unsigned int r)
{
	if (r >= RATE_DROPPED)
		return RATE_TCPREPLAY_64_DROPPED;
	return rate_injectors[r].size == 64 ? RATE_TCPREPLAY_64 : RATE_TCPREPLAY_1514;
}

static void print_rates(const struct injection *injection, FILE *out)
{
	fprintf(out,
		"\nInjection on one CPU: packets that the receiving device counted\n"
		"%-32s%8s%10s%10s%10s%17s\n",
		"received by the stack", "bytes", "Mpps", "least", "most", "x tcpreplay -K");
	for (unsigned int r = 0; r < N_RATES; r++) {
		const struct series *rate = &injection->rate[r];
		double mpps = series_median(rate);

		if (r == RATE_DROPPED)
			fprintf(out, "dropped in XDP\n");
		fprintf(out, "%-32s%8zu", rate_injectors[r].label, rate_injectors[r].size);
		if (isnan(mpps))
			fprintf(out, "%10s\n", "-");
		else
			fprintf(out, "%10.2f%10.2f%10.2f%17.2f\n", mpps, series_min(rate),
				series_max(rate), mpps / series_median(&injection->rate[peer(r)]));
	}
}

static void print_paced(const struct injection *injection, FILE *out)
{
	fprintf(out,
		"\nPaced replay, gaps of 10 to 500 us, seen at the receiver; CPU at gaps of 1 ms\n"
		"%-32s%12s%12s%12s%12s%18s\n",
		"", "p50 us", "p99 us", "drift us", "CPU %", "arrived");
	for (unsigned int p = 0; p < N_PACED; p++) {
		const struct paced *paced = &injection->paced[p];

		fprintf(out, "%-32s", paced_injectors[p].label);
		if (!paced->p50.n) {
			fprintf(out, "%12s\n", "-");
			continue;
		}
		fprintf(out, "%12.3f%12.2f%12.1f%12.1f%10llu of %llu\n", series_median(&paced->p50),
			series_median(&paced->p99), series_median(&paced->drift),
			series_median(&paced->cpu_percent), (unsigned long long)paced->arrived,
			(unsigned long long)paced->wanted);
	}
}

void inject_print(const struct results *results, FILE *out)
{
	print_rates(&results->injection, out);
	print_paced(&results->injection, out);
}

unsigned int inject_judge(const struct results *results, struct verdict *verdicts)
{
	const struct injection *injection = &results->injection;
	const struct paced *paced = &injection->paced[PACED_REPLAY];
	unsigned int n = 0;

	for (; n < N_RACES; n++) {
		verdicts[n] = (struct verdict){
			.measured = series_median(&injection->rate[races[n].ours]) /
				    series_median(&injection->rate[races[n].theirs]),
			.limit = races[n].least,
			.unit = races[n].unit,
			.at_least = true,
		};
		snprintf(verdicts[n].what, sizeof(verdicts[n].what), "%s", races[n].what);
	}
	verdicts[n++] = (struct verdict){ "gap error, median: npf replay",
					  series_median(&paced->p50), MOST_P50, "us", false };
	verdicts[n++] = (struct verdict){ "gap error, 99 %: npf replay", series_median(&paced->p99),
					  MOST_P99, "us", false };
	verdicts[n++] = (struct verdict){ "drift over the run: npf replay",
					  series_median(&paced->drift), MOST_DRIFT, "us", false };
	verdicts[n++] = (struct verdict){ "CPU at gaps of 1 ms: npf replay",
					  series_median(&paced->cpu_percent), MOST_CPU, "%",
					  false };
	return n;
}
