/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf: capture, count, look at and send packets with the NetGroup Packet Filter. This file finds the
 * command and knows how to teach; everything else is the command's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ui/terminal.h"
#include "tool.h"

/* clang-format off */
static const struct npf_command *const commands[] = {
	&npf_command_list,
	&npf_command_capture,
	&npf_command_stat,
	&npf_command_send,
	&npf_command_replay,
	&npf_command_dump,
	&npf_command_repair,
	&npf_command_doctor,
	&npf_command_filter,
	&npf_command_bpf,
	&npf_command_run,
};
/* clang-format on */
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *const code_texts[EXIT_CODES] = {
	[EXIT_OK] = "ended as asked",
	[EXIT_FAILED] = "something else went wrong",
	[EXIT_USAGE] = "the command line makes no sense",
	[EXIT_PRIVILEGE] = "a capability is missing",
	[EXIT_NO_ADAPTER] = "there is no such adapter",
	[EXIT_DISK_FULL] = "the disk, or the quota, is full",
	[EXIT_DISK] = "writing failed",
	[EXIT_GONE] = "the adapter has gone",
	[EXIT_DAMAGED] = "a savefile is damaged or cut short",
	[EXIT_NO_SAVEFILE] = "a file is no savefile",
	[EXIT_STOPPED] = "a signal came before all was done",
};

static void print_codes(FILE *out, uint32_t codes)
{
	fputs("\nexit codes:\n", out);
	for (int code = 0; code < EXIT_CODES; code++) {
		if (codes & NPF_CODE(code))
			fprintf(out, "  %2d  %s\n", code, code_texts[code]);
	}
}

static const struct npf_command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	}
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("npf: capture and count packets in the kernel, and send them\n\n"
	      "usage: npf COMMAND [OPTION...]\n\n"
	      "commands:\n",
	      out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
	fputs("  help      explain a command: npf help capture\n\n"
	      "first steps:\n"
	      "  npf doctor                     does capturing work here, and if not why\n"
	      "  npf list                       which adapters are there\n"
	      "  npf capture -i lo -c 10        show ten packets\n"
	      "  npf stat -i lo                 watch the traffic\n"
	      "  npf replay -i lo FILE          send what was captured\n",
	      out);
	print_codes(out, UINT32_MAX);
}

static void explain(const struct npf_command *command)
{
	fputs(command->help, stdout);
	if (command->codes)
		print_codes(stdout, command->codes);
}

static int unknown(const char *name)
{
	return npf_tool_fail(NULL, EXIT_USAGE, "there is no command '%s'; 'npf help' lists them",
			     name);
}

static int finish(void)
{
	return npf_tool_flushed(NULL, npf_flush(stdout), EXIT_OK);
}

static int help(int argc, char **argv)
{
	const struct npf_command *command;

	if (argc < 2 || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return finish();
	}
	command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	explain(command);
	return finish();
}

/* A program's own --help is the program's. */
static bool wants_help(const struct npf_command *command, int argc, char **argv)
{
	bool foreign = command == &npf_command_run;

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
		if (foreign && *argv[i] != '-')
			return false;
	}
	return false;
}

/* Names and arguments come from outside: nothing in them may steer the terminal. */
static void complain(const struct npf_command *command, const char *format, va_list arguments)
{
	char text[1024], clean[sizeof(text)];

	vsnprintf(text, sizeof(text), format, arguments);
	npf_clean_text(clean, sizeof(clean), text);
	fprintf(stderr, "npf%s%s: %s\n", command ? " " : "", command ? command->name : "", clean);
}

int npf_tool_fail(const struct npf_command *command, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(command, format, arguments);
	va_end(arguments);
	return code;
}

int npf_tool_flushed(const struct npf_command *command, int err, int code)
{
	if (!err || err == -EPIPE)
		return code;
	return npf_tool_fail(command, npf_tool_write_code(err), "standard output: %s",
			     strerror(-err));
}

int npf_tool_usage(const struct npf_command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(command, format, arguments);
	va_end(arguments);
	return npf_tool_hint(command);
}

int npf_tool_hint(const struct npf_command *command)
{
	fprintf(stderr, "try 'npf help %s'\n", command->name);
	return EXIT_USAGE;
}

/* A standard descriptor that is closed would become the first file or socket that is opened, and get
 * what is meant for the terminal. Its place is kept by what can be neither read nor written. */
static void keep_standard_places(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_PATH | O_CLOEXEC);
	}
}

/* A reader who leaves is an error of the write, and leaves nothing half done. A program that is run
 * finds the signal as it was. */
static void ignore_broken_pipes(const char *name)
{
	if (strcmp(name, npf_command_run.name))
		signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	const struct npf_command *command;
	char title[32];

	keep_standard_places();
	ignore_broken_pipes(argc > 1 ? argv[1] : "");
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts(npf_version());
		return finish();
	}
	command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	if (wants_help(command, argc - 1, argv + 1)) {
		explain(command);
		return finish();
	}
	/* getopt's own messages begin with argv[0]. */
	snprintf(title, sizeof(title), "npf %s", command->name);
	argv[1] = title;
	return command->run(argc - 1, argv + 1);
}
