/* SPDX-License-Identifier: BSD-3-Clause */
/* Many filters on one packet, ns a packet: one after the other, and joined (npf_jit_join()). */
#include "engine.h"

#include <err.h>
#include <stdlib.h>
#include <time.h>

#include "npf/npf.h"

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void place(struct filter_group *group, struct npf_host *host, const struct filter *filters)
{
	char error[NPF_ERROR_SIZE];
	double start;

	for (uint32_t i = 0; i < group->n; i++) {
		if (bpf_jitter(host, &filters[i].program, 0, &group->filters[i], error))
			errx(1, "%s: %s", filters[i].label, error);
	}
	start = now_ns();
	if (npf_jit_join(host, group->filters, group->n, &group->code, error))
		errx(1, "%s", error);
	series_add(&group->compile_us, (now_ns() - start) / 1000);
}

void group_make(struct filter_group *group, struct npf_host *host, const struct filter *filters,
		uint32_t n)
{
	*group = (struct filter_group){ .n = n };
	place(group, host, filters);
}

void group_free(struct filter_group *group)
{
	npf_jit_group_release(group->code);
	for (uint32_t i = 0; i < group->n; i++)
		bpf_destroy_jit_filter(group->filters[i]);
}

void group_place_anew(struct filter_group *group, struct npf_host *host,
		      const struct filter *filters)
{
	struct filter_group old = *group;

	place(group, host, filters);
	group_free(&old);
}

static uint64_t each_alone(const struct filter_group *group, const struct group_packets *packets,
			   uint32_t k)
{
	uint64_t matched = 0;

	for (uint32_t i = 0; i < group->n; i++) {
		if (npf_jit_run(group->filters[i], packets->packet[k], packets->wire_length[k],
				packets->length[k]))
			matched |= 1ull << i;
	}
	return matched;
}

static void run_alone(const struct filter_group *group, const struct group_packets *packets,
		      uint64_t *answers)
{
	for (uint32_t k = 0; k < packets->n; k++)
		answers[k] = each_alone(group, packets, k);
}

static void run_together(const struct filter_group *group, const struct group_packets *packets,
			 uint64_t *answers)
{
	for (uint32_t k = 0; k < packets->n; k++)
		answers[k] = npf_jit_group_run(group->code, packets->packet[k],
					       packets->wire_length[k], packets->length[k]);
}

void group_measure(struct filter_group *group, const struct group_packets *packets)
{
	uint64_t *answers = calloc(2 * (size_t)packets->n, sizeof(*answers));
	struct group_packets few = *packets;
	double start, middle;

	if (!answers)
		err(1, "answers");
	few.n /= 64;
	/* Code that is new fetches its pages: a few packets, so that nobody learns their order. */
	run_alone(group, &few, answers);
	run_together(group, &few, answers);
	start = now_ns();
	run_alone(group, packets, answers);
	middle = now_ns();
	run_together(group, packets, answers + packets->n);
	series_add(&group->together, (now_ns() - middle) / packets->n);
	series_add(&group->alone, (middle - start) / packets->n);
	for (uint32_t k = 0; k < packets->n; k++)
		group->mismatches += answers[k] != answers[packets->n + k];
	free(answers);
}

double group_ratio(const struct filter_group *group)
{
	return series_median(&group->together) / series_median(&group->alone);
}

void group_print(const struct filter_group *group, FILE *out)
{
	fprintf(out,
		"%2u filters on a packet: each alone %.2f ns, together %.2f ns, %.2fx; joined in "
		"%.0f us: %s%s\n",
		group->n, series_median(&group->alone), series_median(&group->together),
		group_ratio(group), series_median(&group->compile_us),
		npf_jit_group_engine(group->code), group->mismatches ? "  WRONG" : "");
}
