/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress line.
 */
#include "progress.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define INTERVAL UINT64_C(200000000) /* ns between two looks */
#define SECOND   1e9
#define BAR      24 /* cells */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void npf_progress_init(struct npf_progress *progress)
{
	memset(progress, 0, sizeof(*progress));
	npf_terminal_init(&progress->terminal, stderr);
	progress->begun = progress->shown = now();
}

static void show_bar(const struct npf_terminal *terminal, double share)
{
	int full = (int)(share * BAR);

	fprintf(stderr, "%3d %% ", (int)(share * 100));
	for (int i = 0; i < BAR; i++) {
		if (terminal->unicode)
			fputs(i < full ? "\u2588" : "\u2591", stderr);
		else
			fputc(i < full ? '#' : '.', stderr);
	}
	fputs("  ", stderr);
}

static void show_left(double share, double elapsed)
{
	uint64_t left = (uint64_t)(elapsed / share - elapsed) + 1;

	fprintf(stderr, ", %" PRIu64 ":%02u left", left / 60, (unsigned int)(left % 60));
}

void npf_progress_show(struct npf_progress *progress, double share, uint64_t packets)
{
	uint64_t time;
	double elapsed;
	char text[32];

	if (!progress->terminal.tty)
		return;
	time = now();
	if (time - progress->shown < INTERVAL)
		return;
	elapsed = (double)(time - progress->begun) / SECOND;
	share = share > 1 ? 1 : share;
	fputs("\r\033[K", stderr);
	if (share >= 0)
		show_bar(&progress->terminal, share);
	npf_format_si(text, sizeof(text), (double)packets, packets == 1 ? "packet" : "packets");
	fputs(text, stderr);
	npf_format_si(text, sizeof(text),
		      (double)(packets - progress->packets) * SECOND /
			      (double)(time - progress->shown),
		      "pps");
	fprintf(stderr, ", %s", text);
	if (share > 0.001)
		show_left(share, elapsed);
	fflush(stderr);
	progress->drawn = true;
	progress->shown = time;
	progress->packets = packets;
}

void npf_progress_end(struct npf_progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = false;
}
