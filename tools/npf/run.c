/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf run: another program, with libwpcap in the place of libpcap. The dynamic linker does it: the
 * drop-in (src/wpcap/dropin) is loaded first, and its functions are found before libpcap's.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool.h"

#define LIBRARY "libpcap.so.0.8"

/* As env(1) and shells have it. */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127

/* ---- the library --------------------------------------------------------------------------- */

static bool readable(const char *path)
{
	return !access(path, R_OK);
}

/* Beside this program while it is not installed. */
static bool beside(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return snprintf(path, PATH_MAX, "%s/../src/wpcap/dropin/" LIBRARY, self) < PATH_MAX &&
	       readable(path);
}

static bool find_library(char path[PATH_MAX])
{
	const char *named = getenv("NPF_LIBWPCAP");

	if (named) {
		snprintf(path, PATH_MAX, "%s", named);
		return strchr(path, '/') && readable(path);
	}
	if (beside(path))
		return true;
	snprintf(path, PATH_MAX, "%s", NPF_LIBDIR "/npf-libpcap/" LIBRARY);
	return readable(path);
}

/* Before what the variable says already. */
static int put_first(const char *variable, const char *what)
{
	const char *others = getenv(variable);
	char *all;
	int err;

	if (asprintf(&all, "%s%s%s", what, others && *others ? ":" : "", others ? others : "") < 0)
		return -1;
	err = setenv(variable, all, 1);
	free(all);
	return err;
}

/* The dynamic linker takes a blank for the end of a name, but not of a folder's. */
static int preload(char *library)
{
	char *slash = strrchr(library, '/');

	if (!strchr(library, ' '))
		return put_first("LD_PRELOAD", library);
	*slash = '\0';
	return put_first("LD_LIBRARY_PATH", library) || put_first("LD_PRELOAD", slash + 1);
}

/* ---- the program --------------------------------------------------------------------------- */

static bool has_rights(const char *path)
{
	struct stat file;

	return !stat(path, &file) && (file.st_mode & (S_ISUID | S_ISGID) ||
				      getxattr(path, "security.capability", NULL, 0) > 0);
}

/* Where the shell's rules find a program; false: nowhere. */
static bool find_program(const char *name, char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return !access(path, F_OK);
	}
	while (at && *at) {
		int n = (int)strcspn(at, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", n ? n : 1, n ? at : ".", name) < PATH_MAX &&
		    !access(path, X_OK))
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static int run_program(char **argv)
{
	const struct npf_command *command = &npf_command_run;
	char library[PATH_MAX], program[PATH_MAX];

	if (!find_library(library))
		return npf_tool_fail(command, EXIT_FAILED,
				     "there is no %s; install it, or let NPF_LIBWPCAP name it",
				     library);
	if (strpbrk(library, strchr(library, ' ') ? ":;" : ":"))
		return npf_tool_fail(command, EXIT_FAILED,
				     "%s: the dynamic linker takes a colon for the end of a name; "
				     "install it elsewhere",
				     library);
	if (!find_program(argv[0], program))
		return npf_tool_fail(command, EXIT_NOT_FOUND, "there is no program %s", argv[0]);
	/* For these the dynamic linker ignores what others want preloaded. */
	if (geteuid() && has_rights(program))
		return npf_tool_fail(command, EXIT_CANNOT_RUN,
				     "%s has rights of its own, so nothing can be loaded into it; "
				     "run this as root",
				     program);
	/* Those that the file npf has end with it, and handing them on would give them to any program. */
	if (geteuid() && getauxval(AT_SECURE))
		npf_tool_fail(command, EXIT_OK,
			      "the capabilities of npf are not handed on to %s: run this as root",
			      argv[0]);
	if (preload(library))
		return npf_tool_fail(command, EXIT_FAILED, "%s", strerror(errno));
	execv(program, argv);
	return npf_tool_fail(command, EXIT_CANNOT_RUN, "%s: %s", program, strerror(errno));
}

/* ---- the command --------------------------------------------------------------------------- */

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "trace", no_argument, NULL, 't' },
		{ "drop-rights", no_argument, NULL, 'd' },
		{ 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "+td", options, NULL)) != -1) {
		if (letter == 't')
			setenv("NPF_TRACE", "1", 1);
		else if (letter == 'd')
			setenv("NPF_DROP_RIGHTS", "1", 1);
		else
			return npf_tool_hint(&npf_command_run);
	}
	if (optind == argc)
		return npf_tool_usage(&npf_command_run, "which program? npf run -- tcpdump -i lo");
	return run_program(argv + optind);
}

const struct npf_command npf_command_run = {
	.name = "run",
	.run = run,
	.summary = "run a program that uses libpcap on NPF instead",
	.help = "usage: npf run [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
		"Runs an installed program as it is, with libwpcap in the place of libpcap:\n"
		"Ethernet, loopback and raw IP adapters are captured by NPF; everything else\n"
		"(any, USB, Bluetooth, savefiles, expressions) libpcap does as before.\n\n"
		"options:\n"
		"  -t, --trace        show which functions open, control and close, on standard\n"
		"                     error\n"
		"  -d, --drop-rights  a program that gives up all rights but those of a packet\n"
		"                     socket gives up CAP_BPF and CAP_PERFMON, too: its packets\n"
		"                     then take the slower way through one (hook tpacket)\n\n"
		"The exit code is the program's; 127: there is no such program; 126: it cannot\n"
		"be run so. Statically linked programs cannot be helped. NPF_LIBWPCAP names\n"
		"another library, NPF_LIBPCAP another libpcap behind it.\n\n"
		"examples:\n"
		"  npf run -- tcpdump -i eth0 -w web.pcap 'tcp port 80'\n"
		"  npf run -- dumpcap -i eth0 -w all.pcapng\n"
		"  npf run --trace -- tcpdump -i lo -c 1\n",
};
