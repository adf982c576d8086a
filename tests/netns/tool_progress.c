/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress line of npf send, npf replay and npf filter, as a terminal gets it: what it says, that it says more
 * as more goes, and that it is taken away; and nothing of it where nobody watches.
 */
#include "netns/tool.h"

#include <regex.h>
#include <stdlib.h>

#define CLEAR  "\r\033[K"
#define CELLS  24
#define N      3000u
#define A_RATE "2kpps" /* N packets last longer than it takes until something is shown */
#define HEX    "02:00:00:00:00:0b 02:00:00:00:00:0a 88b5 0123"

static struct tool *of(void **state)
{
	return *state;
}

struct screen {
	int keyboard, screen;
	char text[65536];
	size_t size;
};

static void open_screen(struct screen *screen, struct tool *tool)
{
	screen->size = 0;
	screen->keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	assert_true(screen->keyboard >= 0 && !grantpt(screen->keyboard) &&
		    !unlockpt(screen->keyboard));
	screen->screen = open(ptsname(screen->keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(screen->screen >= 0);
	tool->terminal = screen->screen;
}

static void close_screen(struct screen *screen, struct tool *tool)
{
	tool->terminal = 0;
	close(screen->screen);
	close(screen->keyboard);
}

static const char *look_at(struct screen *screen)
{
	ssize_t n = read(screen->keyboard, screen->text + screen->size,
			 sizeof(screen->text) - 1 - screen->size);

	screen->size += n > 0 ? (size_t)n : 0;
	screen->text[screen->size] = '\0';
	return screen->text;
}

/* ---- what it says ---------------------------------------------------------------------------- */

/* A number as npf_format_si() writes it. */
#define SI(unit) "([0-9.]+) ?([kMGT]?)" unit

static const char *const patterns[] = {
	"^ *([0-9]+) % ([#.]{24})  " SI("packets") ", " SI("pps") "(, [0-9]+:[0-5][0-9] left)?$",
	"^()()" SI("packets") ", " SI("pps") "()$", /* how many there will be is not known */
};
enum { BAR, NO_BAR };
enum { PERCENT = 1, CELL, PACKETS, PREFIX, N_MATCHES = 8 };

static double number_at(const char *line, const regmatch_t matches[N_MATCHES], int which)
{
	return strtod(line + matches[which].rm_so, NULL);
}

static double packets_at(const char *line, const regmatch_t matches[N_MATCHES])
{
	double n = number_at(line, matches, PACKETS);

	switch (line[matches[PREFIX].rm_so]) {
	case 'k':
		return n * 1e3;
	case 'M':
		return n * 1e6;
	case 'G':
		return n * 1e9;
	default:
		return n;
	}
}

/* '#' and '.' for the cells that a terminal with Unicode gets. */
static void simplify(char *line)
{
	static const char *const cells[][2] = { { "\u2588", "#" }, { "\u2591", "." } };
	char *at;

	for (size_t i = 0; i < N_OF(cells); i++) {
		while ((at = strstr(line, cells[i][0]))) {
			*at = cells[i][1][0];
			memmove(at + 1, at + 3, strlen(at + 3) + 1);
		}
	}
}

static void check_bar(const char *line, const regmatch_t matches[N_MATCHES])
{
	const char *cells = line + matches[CELL].rm_so;
	double percent = number_at(line, matches, PERCENT);
	size_t full = strspn(cells, "#");

	assert_true(percent <= 100);
	assert_int_equal(full + strspn(cells + full, "."), CELLS);
	assert_in_range(full, (size_t)(percent * CELLS / 100),
			(size_t)((percent + 1) * CELLS / 100));
}

/* All that was shown: lines of that pattern, each in the place of the last; the last one removed.
 * Returns how many. */
static unsigned int check_lines(const char *text, int pattern)
{
	regmatch_t matches[N_MATCHES];
	double percent = 0, packets = 0;
	unsigned int n = 0;
	char line[512];
	regex_t expression;

	assert_int_equal(regcomp(&expression, patterns[pattern], REG_EXTENDED), 0);
	while (*text) {
		const char *end;

		assert_int_equal(strncmp(text, CLEAR, strlen(CLEAR)), 0);
		text += strlen(CLEAR);
		end = strstr(text, CLEAR);
		if (!end)
			break;
		assert_true((size_t)(end - text) < sizeof(line));
		memcpy(line, text, (size_t)(end - text));
		line[end - text] = '\0';
		simplify(line);
		if (regexec(&expression, line, N_MATCHES, matches, 0))
			fail_msg("'%s'", line);
		if (pattern == BAR)
			check_bar(line, matches);
		assert_true(number_at(line, matches, PERCENT) >= percent || pattern != BAR);
		assert_true(packets_at(line, matches) >= packets);
		percent = number_at(line, matches, PERCENT);
		packets = packets_at(line, matches);
		text = end;
		n++;
	}
	assert_int_equal(*text, '\0'); /* nothing stays */
	regfree(&expression);
	return n;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void watch(struct tool *tool, const char *const *words, const char *locale)
{
	struct screen screen;

	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", locale, 1);
	open_screen(&screen, tool);
	tool_run(tool, 0, words);
	assert_true(check_lines(look_at(&screen), BAR) >= 1);
	assert_true(!strstr(screen.text, "#") == !strcmp(locale, "C.UTF-8"));
	close_screen(&screen, tool);
	tool_counts(tool, N);
}

static void a_replay_shows_how_far_it_is(void **state)
{
	struct tool *tool = of(state);
	struct trace trace;

	trace_make(&trace, TRACE_NANO, N);
	watch(tool, WORDS("replay", "-i", "va", "--json", "--pps", "2k", trace.path), "C");
	watch(tool, WORDS("replay", "-i", "va", "--json", "--pps", "2k", "-K", trace.path),
	      "C.UTF-8");
	trace_free(&trace);
}

static void a_send_shows_how_far_it_is(void **state)
{
	watch(of(state),
	      WORDS("send", "-i", "va", "--json", "--hex", HEX, "-n", "3000", "--rate", A_RATE),
	      "C");
}

/* Copies at full speed, with and without an end that can be told. */
static void copies_are_counted_while_they_go(void **state)
{
	static const char *const counts[] = { [BAR] = "4000000000", [NO_BAR] = "forever" };
	struct tool *tool = of(state);
	struct screen screen;

	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C", 1);
	assert_int_equal(npf_set_mode(tool->far, NPF_MODE_STAT), 0);
	for (int i = BAR; i <= NO_BAR; i++) {
		open_screen(&screen, tool);
		tool_start(tool, false,
			   WORDS("send", "-i", "va", "--json", "--hex", HEX, "-n", counts[i]));
		TOOL_UNTIL(strstr(look_at(&screen), "pps"));
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), i == BAR ? 10 : 0);
		assert_true(check_lines(look_at(&screen), i) >= 1);
		close_screen(&screen, tool);
	}
}

/* Where a queueing discipline lets some 40 packets a second pass: hundreds take seconds, and thousands
 * more than this test would wait. */
static void slow_adapters_show_something_soon(void **state)
{
	struct tool *tool = of(state);
	uint8_t frame[100] = { 0 };
	struct screen screen;
	struct trace trace;

	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C", 1);
	if (!net_try(&tool->net, NET_HERE,
		     "tc qdisc add dev va root tbf rate 32kbit burst 1600 limit 4000"))
		skip();
	trace_begin(&trace, TRACE_NANO, 1);
	for (uint32_t i = 0; i < N; i++)
		trace_put(&trace, i, frame, sizeof(frame), sizeof(frame));
	trace_ready(&trace);
	for (int i = 0; i < 2; i++) {
		open_screen(&screen, tool);
		tool_start(tool, false,
			   i ? WORDS("send", "-i", "va", "--hex", HEX, "--pad", "100", "-n", "0")
			     : WORDS("replay", "-i", "va", "-t", "-l", "0", trace.path));
		TOOL_UNTIL(strstr(look_at(&screen), "pps"));
		kill(tool->pid, SIGINT);
		assert_int_equal(tool_wait(tool), 0);
		close_screen(&screen, tool);
	}
	trace_free(&trace);
}

/* What npf filter has to say does not stand behind the line. */
static void an_interrupted_filter_takes_it_away(void **state)
{
	static const uint32_t header[] = { 0xA1B2C3D4, 2 | 4u << 16, 0, 0, 65535, 1 };
	static const uint32_t record[] = { 1, 1, 0, 60 };
	struct tool *tool = of(state);
	struct screen screen;

	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C", 1);
	open_screen(&screen, tool);
	tool_start(tool, true, WORDS("filter", "--count", "-"));
	assert_int_equal(write(tool->in, header, sizeof(header)), sizeof(header));
	do
		assert_int_equal(write(tool->in, record, sizeof(record)), sizeof(record));
	while (!strstr(look_at(&screen), "pps"));
	kill(tool->pid, SIGINT);
	assert_int_equal(tool_wait(tool), 10);
	assert_non_null(strstr(look_at(&screen), CLEAR "npf filter: interrupted\r\n"));
	close_screen(&screen, tool);
}

static void nobody_watches(void **state)
{
	struct tool *tool = of(state);
	struct screen screen;

	/* A file, */
	setenv("TERM", "xterm", 1);
	tool_run(tool, 0,
		 WORDS("send", "-i", "va", "--json", "--hex", HEX, "-n", "3000", "--rate", A_RATE));
	assert_string_equal(tool->complained, "");
	/* and a terminal that cannot go back. */
	setenv("TERM", "dumb", 1);
	open_screen(&screen, tool);
	tool_run(tool, 0,
		 WORDS("send", "-i", "va", "--json", "--hex", HEX, "-n", "3000", "--rate", A_RATE));
	assert_string_equal(look_at(&screen), "");
	close_screen(&screen, tool);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tool_setup, tool_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_replay_shows_how_far_it_is),        TEST(a_send_shows_how_far_it_is),
		TEST(copies_are_counted_while_they_go),    TEST(slow_adapters_show_something_soon),
		TEST(an_interrupted_filter_takes_it_away), TEST(nobody_watches),
	};

	tool_require(argc, argv);
	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
