/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf list: the adapters of this moment, and their coming and going.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ui/json.h"
#include "ui/signals.h"
#include "ui/terminal.h"
#include "tool.h"

#define ADDRESS_TEXT (INET6_ADDRSTRLEN + 4) /* "/128" */

struct options {
	bool json;
	bool follow;
};

struct adapters {
	struct npf_adapter *list;
	size_t n;
};

static const char *state(const struct npf_adapter *adapter)
{
	if (!(adapter->flags & NPF_ADAPTER_UP))
		return "down";
	return adapter->flags & NPF_ADAPTER_RUNNING ? "up" : "no carrier";
}

static enum npf_colour state_colour(const struct npf_adapter *adapter)
{
	if (!(adapter->flags & NPF_ADAPTER_UP))
		return NPF_DIM;
	return adapter->flags & NPF_ADAPTER_RUNNING ? NPF_GREEN : NPF_YELLOW;
}

static void format_mac(char out[24], const uint8_t *address, uint8_t length)
{
	char *at = out;

	*out = '\0';
	for (uint8_t i = 0; i < length && i < 8; i++)
		at += sprintf(at, i ? ":%02x" : "%02x", address[i]);
}

static void format_address(char out[ADDRESS_TEXT], const struct npf_address *address)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->address, text, sizeof(text));
	snprintf(out, ADDRESS_TEXT, "%s/%u", text, address->prefix);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_addresses(struct npf_json *json, const struct npf_adapter *adapter)
{
	char text[ADDRESS_TEXT];

	npf_json_array(json, "addresses");
	for (uint8_t i = 0; i < adapter->n_addresses; i++) {
		format_address(text, &adapter->addresses[i]);
		npf_json_string(json, NULL, text);
	}
	npf_json_array_end(json);
}

static void json_members(struct npf_json *json, const struct npf_adapter *adapter)
{
	char mac[24];

	format_mac(mac, adapter->address, adapter->address_length);
	npf_json_string(json, "name", adapter->name);
	npf_json_unsigned(json, "index", adapter->index);
	npf_json_string(json, "description", adapter->description);
	npf_json_string(json, "state", state(adapter));
	npf_json_bool(json, "loopback", adapter->flags & NPF_ADAPTER_LOOPBACK);
	npf_json_string(json, "link", npf_link_name(adapter->link_type));
	npf_json_unsigned(json, "link_type", adapter->link_type);
	npf_json_unsigned(json, "speed", adapter->speed);
	npf_json_string(json, "mac", *mac ? mac : NULL);
	npf_json_unsigned(json, "mtu", adapter->mtu);
	json_addresses(json, adapter);
	npf_json_unsigned(json, "rx_packets", adapter->rx_packets);
	npf_json_unsigned(json, "tx_packets", adapter->tx_packets);
	npf_json_unsigned(json, "rx_errors", adapter->rx_errors);
	npf_json_unsigned(json, "tx_errors", adapter->tx_errors);
	npf_json_unsigned(json, "rx_dropped", adapter->rx_dropped);
}

static void print_json(const struct adapters *adapters)
{
	struct npf_json json = { .out = stdout };

	npf_json_array(&json, NULL);
	for (size_t i = 0; i < adapters->n; i++) {
		npf_json_object(&json, NULL);
		json_members(&json, &adapters->list[i]);
		npf_json_object_end(&json);
	}
	npf_json_array_end(&json);
	npf_json_line(&json);
}

/* ---- table ----------------------------------------------------------------------------------- */

enum column { NAME, STATE, LINK, SPEED, MAC, MTU, ADDRESSES, DESCRIPTION, N_COLUMNS };

/* One row; of several addresses the first. */
struct row {
	char cells[N_COLUMNS][NPF_TEXT_SIZE];
};

static const struct row titles = {
	{ "NAME", "STATE", "LINK", "SPEED", "MAC", "MTU", "ADDRESSES", "DESCRIPTION" },
};

static void fill(struct row *row, const struct npf_adapter *adapter)
{
	for (int i = 0; i < N_COLUMNS; i++)
		strcpy(row->cells[i], "-");
	npf_clean_text(row->cells[NAME], NPF_TEXT_SIZE, adapter->name);
	strcpy(row->cells[STATE], state(adapter));
	strcpy(row->cells[LINK], npf_link_name(adapter->link_type));
	if (adapter->speed)
		npf_format_si(row->cells[SPEED], NPF_TEXT_SIZE, (double)adapter->speed, "bit/s");
	if (adapter->address_length)
		format_mac(row->cells[MAC], adapter->address, adapter->address_length);
	snprintf(row->cells[MTU], NPF_TEXT_SIZE, "%u", adapter->mtu);
	if (adapter->n_addresses)
		format_address(row->cells[ADDRESSES], &adapter->addresses[0]);
	npf_clean_text(row->cells[DESCRIPTION], NPF_TEXT_SIZE, adapter->description);
}

static void widen(int widths[N_COLUMNS], const struct row *row)
{
	for (int i = 0; i < N_COLUMNS; i++) {
		int length = (int)strlen(row->cells[i]);

		widths[i] = length > widths[i] ? length : widths[i];
	}
}

/* Each column is as wide as what stands in it. */
static void measure(int widths[N_COLUMNS], const struct adapters *adapters)
{
	struct row row;

	widen(widths, &titles);
	for (size_t i = 0; i < adapters->n; i++) {
		fill(&row, &adapters->list[i]);
		widen(widths, &row);
		for (uint8_t k = 1; k < adapters->list[i].n_addresses; k++) {
			format_address(row.cells[ADDRESSES], &adapters->list[i].addresses[k]);
			widen(widths, &row);
		}
	}
}

static int start_of(const int widths[N_COLUMNS], enum column column)
{
	int start = 0;

	for (int i = 0; i < (int)column; i++)
		start += widths[i] + 2;
	return start;
}

/* What stands in a row last needs no blanks behind it. */
static void print_row(const struct npf_terminal *terminal, const int widths[N_COLUMNS], int n,
		      const struct row *row, enum npf_colour colour)
{
	for (int i = 0; i < n; i++) {
		bool coloured = i == STATE && colour != NPF_PLAIN;
		int width = i + 1 < n || i == MTU ? widths[i] : 0;

		printf("%s%s%*s%s", i ? "  " : "", coloured ? npf_colour(terminal, colour) : "",
		       i == MTU ? width : -width, row->cells[i],
		       coloured ? npf_colour(terminal, NPF_PLAIN) : "");
	}
	putchar('\n');
}

/* A line of its own, further to the left where the window ends too early for it. */
static void print_address(int start, int columns, const char *text)
{
	int length = (int)strlen(text);

	if (length > columns - start)
		start = length < columns ? columns - length : 0;
	printf("%*s%s\n", start, "", text);
}

static void print_adapter(const struct npf_terminal *terminal, const int widths[N_COLUMNS], int n,
			  int columns, const struct npf_adapter *adapter)
{
	int start = start_of(widths, ADDRESSES);
	char text[ADDRESS_TEXT];
	struct row row = { 0 };
	bool fits;

	fill(&row, adapter);
	fits = n > DESCRIPTION || (int)strlen(row.cells[ADDRESSES]) <= columns - start;
	print_row(terminal, widths, fits ? n : ADDRESSES, &row, state_colour(adapter));
	for (uint8_t i = fits ? 1 : 0; i < adapter->n_addresses; i++) {
		format_address(text, &adapter->addresses[i]);
		print_address(start, columns, text);
	}
}

/* On a terminal that is too narrow for all of it without what drives the adapters. */
static void print_table(const struct npf_terminal *terminal, const struct adapters *adapters)
{
	int widths[N_COLUMNS] = { 0 }, n = N_COLUMNS, window = INT_MAX;
	unsigned int columns, rows;

	measure(widths, adapters);
	npf_terminal_size(terminal, &columns, &rows);
	if (terminal->tty)
		window = (int)columns;
	if (start_of(widths, DESCRIPTION) + widths[DESCRIPTION] > window)
		n = DESCRIPTION;
	printf("%s", npf_colour(terminal, NPF_BOLD));
	print_row(terminal, widths, n, &titles, NPF_PLAIN);
	printf("%s", npf_colour(terminal, NPF_PLAIN));
	for (size_t i = 0; i < adapters->n; i++)
		print_adapter(terminal, widths, n, window, &adapters->list[i]);
}

/* ---- following ------------------------------------------------------------------------------- */

static void print_event(const struct options *options, const char *event,
			const struct npf_adapter *adapter)
{
	struct npf_json json = { .out = stdout };
	char name[NPF_NAME_SIZE], when[16];
	time_t now = time(NULL);
	struct tm local;

	if (options->json) {
		npf_json_object(&json, NULL);
		npf_json_string(&json, "event", event);
		json_members(&json, adapter);
		npf_json_object_end(&json);
		npf_json_line(&json);
		return;
	}
	npf_clean_text(name, sizeof(name), adapter->name);
	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &local));
	printf("%s %-8s %s (%s, %s)\n", when, event, name, npf_link_name(adapter->link_type),
	       state(adapter));
}

static const struct npf_adapter *find(const struct adapters *adapters, uint32_t index)
{
	for (size_t i = 0; i < adapters->n; i++) {
		if (adapters->list[i].index == index)
			return &adapters->list[i];
	}
	return NULL;
}

/* Counters move all the time; this is what people call a change. */
static bool differs(const struct npf_adapter *a, const struct npf_adapter *b)
{
	return a->flags != b->flags || a->mtu != b->mtu || a->n_addresses != b->n_addresses ||
	       strcmp(a->name, b->name) || memcmp(a->address, b->address, sizeof(a->address)) ||
	       memcmp(a->addresses, b->addresses, sizeof(a->addresses[0]) * a->n_addresses);
}

static void compare(const struct options *options, const struct adapters *before,
		    const struct adapters *after)
{
	for (size_t i = 0; i < before->n; i++) {
		if (!find(after, before->list[i].index))
			print_event(options, "departed", &before->list[i]);
	}
	for (size_t i = 0; i < after->n; i++) {
		const struct npf_adapter *old = find(before, after->list[i].index);

		if (!old)
			print_event(options, "arrived", &after->list[i]);
		else if (differs(old, &after->list[i]))
			print_event(options, "changed", &after->list[i]);
	}
}

static int get(struct npf_session *session, struct adapters *adapters)
{
	int err = npf_get_adapters_list(session->driver, &adapters->list, &adapters->n);

	if (!err)
		return EXIT_OK;
	return npf_tool_fail(session->command, npf_tool_exit_code(err),
			     "cannot list the adapters: %s", strerror(-err));
}

static int follow(struct npf_session *session, const struct options *options,
		  struct adapters *adapters)
{
	int fd = npf_adapters_fd(session->driver);
	struct adapters fresh;
	int err;

	if (fd < 0)
		return npf_tool_fail(session->command, EXIT_FAILED,
				     "adapters cannot be followed here");
	npf_signals_watch_output(STDOUT_FILENO);
	while (!(err = npf_flush(stdout)) && npf_signals_wait(fd, UINT64_MAX)) {
		if (get(session, &fresh))
			return EXIT_FAILED;
		compare(options, adapters, &fresh);
		npf_free_adapters_list(session->driver, adapters->list);
		*adapters = fresh;
	}
	return npf_tool_flushed(session->command, err, EXIT_OK);
}

static int list(struct npf_session *session, const struct options *options)
{
	struct npf_terminal terminal;
	struct adapters adapters;
	int code = get(session, &adapters);

	if (code)
		return code;
	npf_terminal_init(&terminal, stdout);
	if (!options->json)
		print_table(&terminal, &adapters);
	else if (!options->follow)
		print_json(&adapters);
	for (size_t i = 0; options->json && options->follow && i < adapters.n; i++)
		print_event(options, "present", &adapters.list[i]);
	if (options->follow)
		code = follow(session, options, &adapters);
	npf_free_adapters_list(session->driver, adapters.list);
	return npf_tool_flushed(session->command, npf_flush(stdout), code);
}

static int run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "follow", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { 0 };
	struct npf_session session;
	int option, code;

	while ((option = getopt_long(argc, argv, "jf", long_options, NULL)) != -1) {
		if (option == '?')
			return npf_tool_hint(&npf_command_list);
		options.json |= option == 'j';
		options.follow |= option == 'f';
	}
	if (optind < argc)
		return npf_tool_usage(&npf_command_list, "'%s' is not expected", argv[optind]);
	setlocale(LC_CTYPE, "");
	if (npf_signals_init())
		return npf_tool_fail(&npf_command_list, EXIT_FAILED, "out of descriptors");
	code = npf_session_start(&session, &npf_command_list);
	if (code)
		return code;
	code = list(&session, &options);
	npf_session_end(&session);
	return code;
}

const struct npf_command npf_command_list = {
	.name = "list",
	.run = run,
	.summary = "show the adapters",
	.codes = NPF_CODES_ALL,
	.help = "usage: npf list [-j] [-f]\n\n"
		"Show every network adapter: name, state, kind of link, speed, hardware address,\n"
		"MTU, addresses and what drives it. Needs no privilege.\n\n"
		"  -j, --json    as JSON: one array, or with --follow one object per line\n"
		"  -f, --follow  go on and tell which adapters arrive, depart or change\n\n"
		"examples:\n"
		"  npf list\n"
		"  npf list --json | jq -r '.[] | select(.state == \"up\") | .name'\n"
		"  npf list --follow\n",
};
