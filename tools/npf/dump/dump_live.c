/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump at work: open the adapter with all rights, give them up, start the dump, watch, and end
 * in order whatever ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "dump_view.h"
#include "ui/sandbox.h"
#include "ui/session_filter.h"
#include "ui/signals.h"
#include "ui/user.h"

#define COMPRESS_LOOK_MS 200

struct dump {
	const struct npf_dump_settings *settings;
	struct npf_session session;
	struct npf_user user; /* to become, when settings->user */
	struct npf_dump_files *files;
	struct npf_dump_view view;
	int file_error; /* of the first file, negative errno */
	char error[NPF_ERROR_SIZE];
};

/* ---- the files ------------------------------------------------------------------------------- */

static int next_file(void *argument, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	struct dump *dump = argument;
	int err = npf_dump_files_next(dump->files, file, error);

	if (err < 0 && !file->number) {
		dump->file_error = err;
		snprintf(dump->error, sizeof(dump->error), "%s", error);
	}
	return err;
}

static void done_file(void *argument, const struct npf_dump_file *file)
{
	struct dump *dump = argument;

	npf_dump_files_done(dump->files, file);
}

/* ---- looking --------------------------------------------------------------------------------- */

static uint64_t clock_now(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		return 0;
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void look(const struct dump *dump, struct npf_dump_sample *sample)
{
	memset(sample, 0, sizeof(*sample));
	sample->time = clock_now(CLOCK_MONOTONIC);
	npf_dump_get_status(dump->session.instance, &sample->status);
	npf_get_stats(dump->session.instance, &sample->stats);
	npf_dump_files_get_report(dump->files, &sample->files);
	sample->cpu_ns = clock_now(CLOCK_PROCESS_CPUTIME_ID) - sample->files.compress.cpu_ns;
}

/* ---- the run --------------------------------------------------------------------------------- */

static int prepare(struct dump *dump)
{
	const struct npf_dump_settings *settings = dump->settings;
	struct npf_session *session = &dump->session;
	struct npf_dump_files_options options = settings->files;
	char error[NPF_ERROR_SIZE] = "";
	int code, err;

	options.finished = npf_dump_view_file;
	options.arg = &dump->view;
	if (npf_dump_files_init(&dump->files, &options, error))
		return npf_tool_fail(session->command, EXIT_USAGE, "-w: %s", error);
	if (settings->user && npf_user_find(&dump->user, settings->user, error))
		return npf_tool_fail(session->command, EXIT_USAGE, "--user: %s", error);
	code = npf_session_open(session, settings->adapter, settings->hook, settings->buffer);
	if (code)
		return code;
	/* Before there is a filter, which would have to be loaded twice. */
	err = npf_dump_prepare(session->instance, settings->dump.format);
	if (err)
		return npf_session_fail(session, err, "cannot make the buffer");
	code = npf_session_filter(session, settings->expression, settings->snaplen,
				  settings->direction);
	return code ? code : npf_session_promiscuous(session, settings->promiscuous);
}

/* From here on nothing needs rights but the files, and those are the user's. */
static int give_up_rights(struct dump *dump)
{
	char error[NPF_ERROR_SIZE] = "";
	int err = dump->settings->user ? npf_user_become(&dump->user, error)
				       : npf_user_give_up(error);

	return err ? npf_tool_fail(dump->session.command, EXIT_PRIVILEGE, "%s", error) : EXIT_OK;
}

/* And from here on most of what the system can do is not needed either. */
static void confine(const struct dump *dump)
{
	int err = npf_sandbox_enter();

	if (err && err != -ENOSYS)
		npf_tool_fail(dump->session.command, EXIT_OK,
			      "goes on without a seccomp filter: %s", strerror(-err));
}

static int start(struct dump *dump)
{
	const struct npf_dump_settings *settings = dump->settings;
	struct npf_dump_options options = settings->dump;
	struct utsname system = { 0 };
	char os[sizeof(system.sysname) + sizeof(system.release) + 2];
	int err;

	uname(&system);
	snprintf(os, sizeof(os), "%s %s", system.sysname, system.release);
	options.next = next_file;
	options.done = done_file;
	options.arg = dump;
	options.snaplen = settings->snaplen;
	options.filter = *settings->expression ? settings->expression : NULL;
	options.application = npf_version();
	options.os = os;
	options.hardware = *system.machine ? system.machine : NULL;
	err = npf_dump_start(dump->session.instance, &options);
	if (!err)
		return EXIT_OK;
	if (dump->file_error == -EINTR)
		return EXIT_OK; /* asked to end while it waited for a pipe's reader */
	if (dump->file_error)
		return npf_tool_fail(dump->session.command, npf_tool_write_code(dump->file_error),
				     "%s%s%s%s", dump->error, settings->user ? " (as user '" : "",
				     settings->user ? settings->user : "",
				     settings->user ? "' of --user)" : "");
	return npf_session_fail(&dump->session, err, "cannot start the dump");
}

/* Until it ends by itself or somebody asks for it. */
static void watch(struct dump *dump)
{
	uint64_t interval = npf_dump_view_interval(&dump->view);
	uint64_t next = clock_now(CLOCK_MONOTONIC) + interval;
	struct npf_dump_sample sample;

	while (!npf_signals_wait(npf_poll_fd(dump->session.instance),
				 interval ? next : UINT64_MAX) &&
	       !npf_signals_stopped()) {
		look(dump, &sample);
		npf_dump_view_line(&dump->view, &sample);
		next += interval;
	}
}

/* The second signal leaves files as they are. */
static void compress_rest(struct dump *dump)
{
	struct npf_dump_sample sample;
	unsigned int asked = npf_signals_count();

	while (!npf_dump_files_compressed(dump->files, COMPRESS_LOOK_MS) &&
	       npf_signals_count() == asked) {
		look(dump, &sample);
		npf_dump_view_compressing(&dump->view, &sample);
	}
}

static int failed(struct dump *dump, const struct npf_dump_sample *end)
{
	const struct npf_dump_status *status = &end->status;
	const struct npf_command *command = dump->session.command;
	char name[NPF_NAME_SIZE];

	switch (status->end) {
	case NPF_DUMP_GONE:
		npf_clean_text(name, sizeof(name), dump->session.adapter.name);
		return npf_tool_fail(command, EXIT_GONE, "the interface %s has gone", name);
	case NPF_DUMP_FULL:
	case NPF_DUMP_FAILED:
		if (status->error == -EPIPE) /* a reader that goes away is none */
			break;
		return npf_tool_fail(command,
				     status->end == NPF_DUMP_FULL
					     ? EXIT_DISK_FULL
					     : npf_tool_write_code(status->error),
				     "%s",
				     *status->message ? status->message : strerror(-status->error));
	default:
		break;
	}
	if (end->files.failed)
		return npf_tool_fail(command, npf_tool_write_code(end->files.error), "%s",
				     end->files.message);
	if (end->files.compress.failed)
		return npf_tool_fail(command, npf_tool_write_code(end->files.compress.error),
				     "compressing failed, the file stays as it is: %s",
				     strerror(-end->files.compress.error));
	return EXIT_OK;
}

static int run(struct dump *dump)
{
	struct npf_dump_sample sample;
	int code = prepare(dump);

	if (!code)
		code = give_up_rights(dump);
	if (!code)
		code = start(dump);
	if (code || dump->file_error)
		return code;
	confine(dump);
	look(dump, &sample);
	npf_dump_view_start(&dump->view, &sample);
	watch(dump);
	npf_dump_stop(dump->session.instance);
	npf_dump_files_finish(dump->files);
	look(dump, &sample);
	compress_rest(dump);
	npf_dump_files_free(dump->files, &sample.files);
	dump->files = NULL;
	code = failed(dump, &sample);
	npf_dump_view_end(&dump->view, &sample, code);
	return code;
}

int npf_dump_live(const struct npf_command *command, const struct npf_dump_settings *settings)
{
	struct dump dump = { .settings = settings };
	int code = npf_session_start(&dump.session, command);

	if (code)
		return code;
	dump.view.settings = settings;
	dump.view.session = &dump.session;
	npf_terminal_init(&dump.view.terminal, stderr);
	code = run(&dump);
	npf_session_end(&dump.session);
	if (dump.files)
		npf_dump_files_free(dump.files, NULL);
	return npf_tool_flushed(command, atomic_load(&dump.view.told), code);
}
