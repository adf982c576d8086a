/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The views of npf stat.
 */
#include "stat_view.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ui/json.h"

#define FIXED_COLUMNS 77 /* of a table row, in front of the plot */

/* What terminals understand. */
#define END_OF_LINE "\033[K" /* nothing is left of a longer line that stood there */
#define CUT_LINES   "\033[?7l"
#define WRAP_LINES  "\033[?7h"

struct rates {
	uint64_t packets, bytes; /* in the interval */
	double packets_per_second, bits_per_second;
};

static double seconds(const struct npf_stat_view *view)
{
	uint64_t from = view->before.time, to = view->now.time;

	return to > from ? (double)(to - from) / 1e9 : 1e-9;
}

static struct rates rates(const struct npf_stat_view *view, uint32_t i)
{
	struct rates result = {
		.packets = view->now.stats[i].packets - view->before.stats[i].packets,
		.bytes = view->now.stats[i].bytes - view->before.stats[i].bytes,
	};

	result.packets_per_second = (double)result.packets / seconds(view);
	result.bits_per_second = (double)result.bytes * 8 / seconds(view);
	return result;
}

static void remember(struct npf_stat_view *view)
{
	for (uint32_t i = 0; i < view->n_classes; i++)
		view->history[i][view->shown % NPF_HISTORY] = rates(view, i).packets_per_second;
	view->shown++;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_class(struct npf_json *json, const struct npf_stat_view *view, uint32_t i)
{
	struct rates now = rates(view, i);

	npf_json_object(json, NULL);
	npf_json_string(json, "name", view->classes[i].name);
	npf_json_unsigned(json, "packets", now.packets);
	npf_json_unsigned(json, "bytes", now.bytes);
	npf_json_real(json, "packets_per_second", now.packets_per_second);
	npf_json_real(json, "bits_per_second", now.bits_per_second);
	npf_json_unsigned(json, "total_packets", view->now.stats[i].packets);
	npf_json_unsigned(json, "total_bytes", view->now.stats[i].bytes);
	npf_json_object_end(json);
}

static void show_json(const struct npf_stat_view *view)
{
	struct npf_json json = { .out = stdout };

	npf_json_object(&json, NULL);
	npf_json_unsigned(&json, "time_ns", view->now.time);
	npf_json_unsigned(&json, "interval_ns", view->now.time - view->before.time);
	npf_json_string(&json, "adapter", view->adapter);
	npf_json_string(&json, "hook", view->hook);
	npf_json_array(&json, "classes");
	for (uint32_t i = 0; i < view->n_classes; i++)
		json_class(&json, view, i);
	npf_json_array_end(&json);
	npf_json_object_end(&json);
	npf_json_line(&json);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void format_clock(char out[16], uint64_t time)
{
	time_t second = (time_t)(time / 1000000000u);
	struct tm local;

	if (!localtime_r(&second, &local) || !strftime(out, 16, "%H:%M:%S", &local))
		strcpy(out, "-");
}

/* A name is one column. */
static void join_name(char *name)
{
	for (; *name; name++)
		*name = *name == ' ' ? '_' : *name;
}

/* One line per class, columns that cut and awk understand. */
static void show_lines(const struct npf_stat_view *view)
{
	char clock[16], name[NPF_NAME_SIZE];

	if (!view->shown)
		printf("# time class packets/s bit/s packets bytes\n");
	format_clock(clock, view->now.time);
	for (uint32_t i = 0; i < view->n_classes; i++) {
		struct rates now = rates(view, i);

		npf_clean_text(name, sizeof(name), view->classes[i].name);
		join_name(name);
		printf("%s %s %.0f %.0f %" PRIu64 " %" PRIu64 "\n", clock, name,
		       now.packets_per_second, now.bits_per_second, view->now.stats[i].packets,
		       view->now.stats[i].bytes);
	}
}

/* ---- table ----------------------------------------------------------------------------------- */

/* The newest sample stands at the right; the highest of the row fills a character. */
static void plot(const struct npf_stat_view *view, uint32_t i, unsigned int width)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { " ", ".", ":", "-", "=", "+", "*", "%", "#" };
	const char *const *marks = view->terminal.unicode ? blocks : ascii;
	uint64_t n = view->shown < width ? view->shown : width;
	double highest = 0;

	for (uint64_t k = 0; k < NPF_HISTORY; k++)
		highest = view->history[i][k] > highest ? view->history[i][k] : highest;
	for (uint64_t k = view->shown - n; k < view->shown; k++) {
		double rate = view->history[i][k % NPF_HISTORY];
		int level = highest > 0 ? (int)(rate / highest * 8 + 0.5) : 0;

		fputs(marks[rate > 0 && !level ? 1 : level], stdout);
	}
}

static void show_row(const struct npf_stat_view *view, uint32_t i, unsigned int width)
{
	struct rates now = rates(view, i);
	char name[NPF_NAME_SIZE], packets[24], bits[24], total[24], bytes[24];

	npf_clean_text(name, sizeof(name), view->classes[i].name);
	npf_format_si(packets, sizeof(packets), now.packets_per_second, "");
	npf_format_si(bits, sizeof(bits), now.bits_per_second, "bit/s");
	npf_format_si(total, sizeof(total), (double)view->now.stats[i].packets, "");
	npf_format_si(bytes, sizeof(bytes), (double)view->now.stats[i].bytes, "B");
	printf("%-16.31s %12s %14s %14s %12s", name, packets, bits, total, bytes);
	if (!view->single) {
		printf("   %s", npf_colour(&view->terminal, NPF_GREEN));
		plot(view, i, width);
		printf("%s", npf_colour(&view->terminal, NPF_PLAIN));
	}
	puts(END_OF_LINE);
}

static void show_head(const struct npf_stat_view *view)
{
	char clock[16], name[NPF_NAME_SIZE];

	format_clock(clock, view->now.time);
	npf_clean_text(name, sizeof(name), view->adapter);
	printf("%s, hook %s, %s" END_OF_LINE "\n", name, view->hook, clock);
	printf("%s%-16s %12s %14s %14s %12s%s%s" END_OF_LINE "\n",
	       npf_colour(&view->terminal, NPF_BOLD), "CLASS", "PACKETS/s", "BITS/s", "PACKETS",
	       "BYTES", view->single ? "" : "   PACKETS/s", npf_colour(&view->terminal, NPF_PLAIN));
}

/* Redrawn in place as long as it fits the window; the rest of the classes is counted all the same.
 * Lines too long for it are cut at its margin: a row that went on in the next would put the cursor
 * off by one line when it goes back. */
static void show_table(struct npf_stat_view *view)
{
	unsigned int columns, rows, width;
	uint32_t n = view->n_classes;

	npf_terminal_size(&view->terminal, &columns, &rows);
	width = columns > FIXED_COLUMNS ? columns - FIXED_COLUMNS : 0;
	width = width < NPF_HISTORY ? width : NPF_HISTORY;
	if (!view->single && n + 4 > rows)
		n = rows > 4 ? rows - 4 : 1;
	fputs(CUT_LINES, stdout);
	if (view->drawn)
		printf("\033[%uA", view->drawn);
	show_head(view);
	for (uint32_t i = 0; i < n; i++)
		show_row(view, i, width);
	if (n < view->n_classes)
		printf("... and %u more class%s" END_OF_LINE "\n", view->n_classes - n,
		       view->n_classes - n == 1 ? "" : "es");
	if (!view->single) {
		printf("\033[J");
		view->drawn = n + 2 + (n < view->n_classes);
	}
	fputs(WRAP_LINES, stdout);
}

int npf_stat_view_show(struct npf_stat_view *view)
{
	bool table = view->terminal.tty && !view->json;

	if (view->json)
		show_json(view);
	else if (!table)
		show_lines(view);
	remember(view);
	if (table)
		show_table(view);
	return npf_flush(stdout);
}
