/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Samples of repeated measurements, and their median.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void series_add(struct series *series, double value)
{
	if (series->n < MAX_ROUNDS && !isnan(value))
		series->values[series->n++] = value;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value that share (0..1) of the others do not exceed; between two values, their mean. */
static double quantile(const struct series *series, double share)
{
	double sorted[MAX_ROUNDS], at;

	if (!series->n)
		return NAN;
	memcpy(sorted, series->values, series->n * sizeof(sorted[0]));
	qsort(sorted, series->n, sizeof(sorted[0]), by_size);
	at = share * (series->n - 1);
	return (sorted[(size_t)floor(at)] + sorted[(size_t)ceil(at)]) / 2;
}

double series_median(const struct series *series)
{
	return quantile(series, 0.5);
}

double series_ratio(const struct series *ours, const struct series *theirs)
{
	double divisor = series_median(theirs);

	return divisor >= 1 ? series_median(ours) / divisor : NAN;
}

double series_min(const struct series *series)
{
	return quantile(series, 0);
}

double series_max(const struct series *series)
{
	return quantile(series, 1);
}

double series_doubt(const struct series *series)
{
	if (series->n < 3)
		return NAN;
	return 2 * (quantile(series, 0.75) - quantile(series, 0.25)) / sqrt(series->n);
}

double larger(double a, double b)
{
	return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}
