/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the npf command share: the table of commands, exit codes, and how arguments
 * are read and failures told. Each command lives in a file of its own.
 */
#ifndef NPF_TOOL_H
#define NPF_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "npf/npf.h"

/* The same for all commands, but that doctor and run have meanings of their own. What they say is in
 * main.c, in npf(1), and in the help of each command that may end so. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_PRIVILEGE = 3,
	EXIT_NO_ADAPTER = 4,
	EXIT_DISK_FULL = 5,
	EXIT_DISK = 6,
	EXIT_GONE = 7,
	EXIT_DAMAGED = 8,
	EXIT_NO_SAVEFILE = 9,
	EXIT_STOPPED = 10,
	EXIT_CODES
};
#define NPF_CODE(code) (1u << (code))
/* Of every command that writes to standard output. */
#define NPF_CODES_ALL                                                                              \
	(NPF_CODE(EXIT_OK) | NPF_CODE(EXIT_FAILED) | NPF_CODE(EXIT_USAGE) |                        \
	 NPF_CODE(EXIT_DISK_FULL) | NPF_CODE(EXIT_DISK))
/* And opens an adapter. */
#define NPF_CODES_ADAPTER                                                                          \
	(NPF_CODES_ALL | NPF_CODE(EXIT_PRIVILEGE) | NPF_CODE(EXIT_NO_ADAPTER) | NPF_CODE(EXIT_GONE))
/* Reads savefiles. */
#define NPF_CODES_SAVEFILE (NPF_CODE(EXIT_DAMAGED) | NPF_CODE(EXIT_NO_SAVEFILE))

struct npf_command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the name; returns an exit code */
	const char *summary;               /* one line, for the list of commands */
	const char *help;                  /* usage, options and examples */
	uint32_t codes;                    /* NPF_CODE() of how it may end; 0: help tells them */
};

extern const struct npf_command npf_command_list, npf_command_capture, npf_command_stat,
	npf_command_send, npf_command_replay, npf_command_repair, npf_command_doctor,
	npf_command_filter, npf_command_dump, npf_command_run, npf_command_bpf;

/* Of a savefile that is not complete; it gets its final name by losing this. */
#define NPF_PART_SUFFIX ".part"

/* "npf COMMAND: text" on stderr. Returns code, so that a caller can return it on. */
int npf_tool_fail(const struct npf_command *command, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for a mistake in the command line, with a hint where help is. */
int npf_tool_usage(const struct npf_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Only the hint, after getopt told what is wrong. */
int npf_tool_hint(const struct npf_command *command);
/* The exit code once standard output was flushed: code, unless err (negative errno) is a failure,
 * which it then tells. A reader that went away is none. command NULL: no command in particular. */
int npf_tool_flushed(const struct npf_command *command, int err, int code);
/* The exit code that tells of a negative errno value: from the driver, from reading a savefile (-EBADMSG
 * it is damaged, -EMEDIUMTYPE it is none), from writing. */
int npf_tool_exit_code(int err);
int npf_tool_read_code(int err);
int npf_tool_write_code(int err);

/* ---- arguments.c ----------------------------------------------------------------------------- */

/* Whole number in min..max, decimal. */
bool npf_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);
/* DIGITS[.DIGITS][k|M|G], powers of 1000 in either case, as counts and rates are written. */
struct npf_decimal {
	uint64_t whole;
	uint32_t millionths;
	bool exact; /* nothing finer was lost */
};
/* Moves *text behind it. */
bool npf_take_decimal(const char **text, struct npf_decimal *decimal);
/* Such a number and nothing behind it, whole and in min..max. */
bool npf_parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *count);
/* An option as it was typed: "--name", or "-c" where getopt_long() met no long one (name NULL). */
void npf_option_text(char text[NPF_NAME_SIZE], int letter, const char *name);
/* Bytes with an optional K, M or G (powers of 1024, either case, "iB" or "B" may follow). */
bool npf_parse_size(const char *text, uint64_t max, uint64_t *bytes);
/* Time in seconds, or with us, ms, s, min, h or d; a fraction is allowed, of which what is finer than
 * a millionth is lost. Result in ns. */
bool npf_parse_time(const char *text, uint64_t max, uint64_t *ns);
#define NPF_MILLISECOND 1000000u /* ns */
#define NPF_SECOND      1000000000u
bool npf_parse_hook(const char *text, enum npf_hook *hook);
bool npf_parse_send_path(const char *text, enum npf_send_path *path);
/* Join words with blanks into memory of the caller's to free(); NULL when short. */
char *npf_join_words(char *const *words, int n);

/* ---- session.c ------------------------------------------------------------------------------- */

/* One driver, and the instance a command works with. All zero: nothing is open. */
struct npf_session {
	const struct npf_command *command;
	struct npf_host *host;
	struct npf_driver *driver;
	struct npf_instance *instance;
	struct npf_adapter adapter; /* as it was at open */
};

/* Start a driver. An exit code; failures were told on stderr. */
int npf_session_start(struct npf_session *session, const struct npf_command *command);
/* Open an adapter by name, with a buffer of so many bytes (0: none yet); NULL picks the first that is up,
 * carries traffic and is not the loopback, else the loopback. */
int npf_session_open(struct npf_session *session, const char *name, enum npf_hook hook,
		     uint32_t buffer);
/* The same for sending only: nothing is tapped. The name must be one. */
int npf_session_open_sender(struct npf_session *session, const char *name);
/* See all traffic of the segment, or what the host itself sees. */
int npf_session_promiscuous(struct npf_session *session, bool promiscuous);
/* Say so where nothing can come because the adapter is down or has no carrier. */
void npf_session_tell_down(const struct npf_session *session);
/* "npf COMMAND: WHAT: what the driver says" and the exit code for err. */
int npf_session_fail(struct npf_session *session, int err, const char *what);
void npf_session_end(struct npf_session *session);

/* The longest frame like this one that the adapter sends: a VLAN tag makes room for itself. */
uint32_t npf_longest_frame(const struct npf_adapter *adapter, const uint8_t *frame, size_t size);

/* Name of a savefile's link type, for people. */
const char *npf_link_name(uint32_t link_type);
/* Say that the packets of a file are not the adapter's. */
void npf_link_mismatch(char error[NPF_ERROR_SIZE], const char *file, uint32_t of_file,
		       uint32_t of_adapter);

#endif
