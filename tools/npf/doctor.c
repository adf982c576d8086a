/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf doctor: does capturing work here, by which hook, and if not, what is missing and how to get
 * it; and which ways of sending there are. Every hook is tried for real; nothing is guessed from
 * version numbers.
 */
#include <cap-ng.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "savefile/direct_io.h"
#include "ui/json.h"
#include "ui/terminal.h"
#include "tool.h"

#define TRY_BUFFER (64u << 10)
#define N_HOOKS    3
#define N_SENDS    (NPF_SEND_PATHS - 1)
#define JIT_FILE   "/proc/sys/net/core/bpf_jit_enable"

static const struct {
	unsigned int number;
	const char *name;
	const char *use;
	bool of_machine; /* counts only if had outside of user namespaces */
} capabilities[] = {
	{ CAP_BPF, "cap_bpf", "load the tap", true },
	{ CAP_NET_ADMIN, "cap_net_admin", "attach it to an adapter", false },
	{ CAP_NET_RAW, "cap_net_raw", "open packet sockets, send", false },
	{ CAP_PERFMON, "cap_perfmon", "let the tap read packets freely", true },
};
#define N_CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

struct trial {
	enum npf_hook hook;
	int err; /* 0 it works */
	char error[NPF_ERROR_SIZE];
};

/* A way of sending, fastest first. */
struct send_trial {
	enum npf_send_path path;
	int err; /* 0 it works, -EBUSY it works and auto does not take it now */
	char error[NPF_ERROR_SIZE];
};

struct findings {
	char adapter[NPF_NAME_SIZE];
	bool chosen; /* by -i */
	struct utsname kernel;
	struct trial trials[N_HOOKS];
	enum npf_hook automatic; /* what auto takes; NPF_HOOK_AUTO none */
	struct send_trial sends[N_SENDS];
	bool capable[N_CAPABILITIES];
	bool contained; /* in a user namespace, where some of them do not count */
	int jit;        /* 0, 1, 2; negative errno: not known */
	bool btf;
	uint64_t memlock; /* bytes, UINT64_MAX unlimited */
	bool native;      /* filters run as machine code in this process */
	char engine[NPF_ERROR_SIZE];
	char program[PATH_MAX];
	enum npf_direct_io direct; /* are dumps here written past the page cache? */
	char why_not_direct[96];
};

/* ---- looking --------------------------------------------------------------------------------- */

/* "WHAT is not permitted: X is missing (..., or see npf doctor)": here this is npf doctor, and what is
 * tried stands before it. */
static void shorten(char *error)
{
	char *hint = strstr(error, " (run as root"), *why = strstr(error, "not permitted: ");

	if (hint)
		*hint = '\0';
	if (why)
		memmove(error, why + 15, strlen(why + 15) + 1);
}

static int try_hook(struct npf_driver *driver, const char *adapter, enum npf_hook hook,
		    enum npf_hook *used, char *error)
{
	const struct npf_open_options options = { .size = sizeof(options), .hook = hook };
	struct npf_instance *instance;
	int err = npf_open(driver, adapter, &options, &instance, error);

	if (err)
		return err;
	err = npf_set_buffer(instance, TRY_BUFFER);
	if (err)
		snprintf(error, NPF_ERROR_SIZE, "%s", npf_error(instance));
	*used = npf_instance_hook(instance);
	npf_close(instance);
	return err;
}

static void try_hooks(struct findings *findings, struct npf_driver *driver)
{
	char unused[NPF_ERROR_SIZE];
	enum npf_hook used;

	for (int i = 0; i < N_HOOKS; i++) {
		struct trial *trial = &findings->trials[i];

		trial->hook = (enum npf_hook)(NPF_HOOK_TCX + i);
		trial->err = try_hook(driver, findings->adapter, trial->hook, &used, trial->error);
		if (trial->err && !*trial->error)
			snprintf(trial->error, sizeof(trial->error), "%s", strerror(-trial->err));
		shorten(trial->error);
	}
	if (!try_hook(driver, findings->adapter, NPF_HOOK_AUTO, &used, unused))
		findings->automatic = used;
}

static void try_sending(struct findings *findings, struct npf_driver *driver)
{
	const struct npf_open_options options = { .size = sizeof(options),
						  .flags = NPF_OPEN_SEND_ONLY };
	struct npf_instance *instance;
	char error[NPF_ERROR_SIZE];
	int err = npf_open(driver, findings->adapter, &options, &instance, error);

	for (int i = 0; i < N_SENDS; i++) {
		struct send_trial *trial = &findings->sends[i];

		trial->path = (enum npf_send_path)(NPF_SEND_PATHS - 1 - i);
		trial->err = err ? err : npf_check_send_path(instance, trial->path, trial->error);
		if (err)
			memcpy(trial->error, error, sizeof(trial->error));
		shorten(trial->error);
	}
	if (!err)
		npf_close(instance);
}

static int read_jit(void)
{
	FILE *file = fopen(JIT_FILE, "re");
	int value;

	if (!file)
		return -errno;
	if (fscanf(file, "%d", &value) != 1)
		value = -EIO;
	fclose(file);
	return value;
}

/* What runs a filter where the kernel does not: savefiles, the tpacket hook. */
static void look_at_engine(struct findings *findings, struct npf_host *host)
{
	static const struct npf_insn accept = { .code = 0x06, .k = UINT32_MAX };
	static const struct npf_program program = { .length = 1, .insns = &accept };
	struct npf_jit_filter *filter;

	if (bpf_jitter(host, &program, NPF_JIT_BATCH, &filter, findings->engine))
		return;
	findings->native = filter->function;
	snprintf(findings->engine, sizeof(findings->engine), "%s", npf_jit_engine(filter));
	bpf_destroy_jit_filter(filter);
}

/* Only the first one knows all users there are. */
static bool is_contained(void)
{
	FILE *map = fopen("/proc/self/uid_map", "re");
	unsigned int inside = 0, outside = 0, n = UINT32_MAX;

	if (!map)
		return false;
	if (fscanf(map, "%u %u %u", &inside, &outside, &n) != 3)
		n = UINT32_MAX;
	fclose(map);
	return inside || outside || n != UINT32_MAX;
}

static void look_around(struct findings *findings)
{
	struct rlimit limit;
	ssize_t n = readlink("/proc/self/exe", findings->program, sizeof(findings->program) - 1);

	findings->program[n > 0 ? n : 0] = '\0';
	uname(&findings->kernel);
	findings->direct = npf_direct_io_try(".", findings->why_not_direct,
					     sizeof(findings->why_not_direct));
	capng_get_caps_process();
	findings->contained = is_contained();
	for (size_t i = 0; i < N_CAPABILITIES; i++)
		findings->capable[i] = !(findings->contained && capabilities[i].of_machine) &&
				       capng_have_capability(CAPNG_EFFECTIVE,
							     capabilities[i].number);
	findings->jit = read_jit();
	findings->btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	findings->memlock = UINT64_MAX;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		findings->memlock = limit.rlim_cur;
}

static bool is_capable(const struct findings *findings)
{
	for (size_t i = 0; i < N_CAPABILITIES; i++) {
		if (!findings->capable[i])
			return false;
	}
	return true;
}

static int verdict(const struct findings *findings)
{
	int working = 0;

	for (int i = 0; i < N_HOOKS; i++) {
		if (findings->trials[i].err == -ENODEV)
			return EXIT_NO_ADAPTER;
		working += !findings->trials[i].err;
	}
	if (!findings->trials[0].err)
		return EXIT_OK;
	return working ? EXIT_FAILED : EXIT_PRIVILEGE;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_line(const struct npf_terminal *terminal, enum npf_colour colour, const char *mark,
		      const char *what, const char *detail)
{
	printf("  %s%-4s%s %-15s %s\n", npf_colour(terminal, colour), mark,
	       npf_colour(terminal, NPF_PLAIN), what, detail);
}

static void tell(const struct npf_terminal *terminal, bool good, const char *what,
		 const char *detail)
{
	tell_line(terminal, good ? NPF_GREEN : NPF_RED, good ? "ok" : "no", what, detail);
}

/* auto does so where the stack cuts packets behind tcx: loopback, adapters without TSO. */
static bool leaves_tcx_out(const struct findings *findings)
{
	return !findings->trials[0].err && findings->automatic != NPF_HOOK_AUTO &&
	       findings->automatic != NPF_HOOK_TCX;
}

static void tell_hooks(const struct npf_terminal *terminal, const struct findings *findings)
{
	static const char *const descriptions[N_HOOKS] = {
		"eBPF on tcx, the best",
		"eBPF on a packet socket",
		"TPACKET_V3 and the tap in user space, the slowest",
	};

	printf("hooks, tried on %s%s\n", findings->adapter,
	       findings->chosen ? "" : " (-i NAME tries another)");
	for (int i = 0; i < N_HOOKS; i++) {
		const struct trial *trial = &findings->trials[i];

		tell(terminal, !trial->err, npf_hook_name(trial->hook),
		     trial->err ? trial->error : descriptions[i]);
	}
	printf("  auto takes %s on %s%s\n",
	       findings->automatic == NPF_HOOK_AUTO ? "none" : npf_hook_name(findings->automatic),
	       findings->adapter,
	       leaves_tcx_out(findings) ? ": tcx would show packets before the stack cuts them"
					: "");
}

/* A path that would work and is not taken now is nothing to mend. */
static void tell_sending(const struct npf_terminal *terminal, const struct findings *findings)
{
	static const char *const descriptions[NPF_SEND_PATHS] = {
		[NPF_SEND_SOCKET] = "packet socket, for every adapter",
		[NPF_SEND_XSK] = "AF_XDP, unseen by captures",
		[NPF_SEND_CLONE] = "made in the kernel from one packet, seen by captures",
		[NPF_SEND_XDP] = "XDP live frames, unseen by captures, the fastest",
	};

	printf("sending, tried on %s\n", findings->adapter);
	for (int i = 0; i < N_SENDS; i++) {
		const struct send_trial *trial = &findings->sends[i];
		const char *name = npf_send_path_name(trial->path);

		if (trial->err == -EBUSY)
			tell_line(terminal, NPF_YELLOW, "wait", name, trial->error);
		else
			tell(terminal, !trial->err, name,
			     trial->err ? trial->error : descriptions[trial->path]);
	}
}

static void tell_jit(const struct npf_terminal *terminal, const struct findings *findings)
{
	if (findings->jit < 0)
		tell_line(terminal, NPF_YELLOW, "?", "BPF JIT",
			  findings->jit == -ENOENT
				  ? "not known: only the first network namespace has " JIT_FILE
				  : "not known: " JIT_FILE " cannot be read");
	else
		tell(terminal, findings->jit, "BPF JIT",
		     findings->jit ? "on" : "off: as root: echo 1 >" JIT_FILE);
}

static void tell_kernel(const struct npf_terminal *terminal, const struct findings *findings)
{
	char memory[64] = "unlimited";

	if (findings->memlock != UINT64_MAX) {
		npf_format_bytes(memory, sizeof(memory), findings->memlock);
		strcat(memory, " (matters before Linux 5.11)");
	}
	printf("kernel %s %s\n", findings->kernel.sysname, findings->kernel.release);
	tell_jit(terminal, findings);
	tell(terminal, findings->btf, "BTF",
	     findings->btf ? "/sys/kernel/btf/vmlinux" : "the kernel was built without it");
	tell(terminal, true, "locked memory", memory);
	tell_line(terminal, findings->native ? NPF_GREEN : NPF_YELLOW,
		  findings->native ? "ok" : "?", "own filters", findings->engine);
}

static void tell_disk(const struct npf_terminal *terminal, const struct findings *findings)
{
	static const char *const marks[] = {
		[NPF_DIRECT_IO_WORKS] = "ok",
		[NPF_DIRECT_IO_FAILS] = "no",
		[NPF_DIRECT_IO_UNKNOWN] = "?",
	};

	printf("dump to disk, in this directory\n");
	tell_line(terminal, findings->direct == NPF_DIRECT_IO_WORKS ? NPF_GREEN : NPF_YELLOW,
		  marks[findings->direct], "direct I/O",
		  findings->direct == NPF_DIRECT_IO_WORKS ? "no page cache in between"
							  : findings->why_not_direct);
}

/* npf may run under a wrapper; the path of the file itself is what setcap wants. */
static void tell_cure(const struct findings *findings)
{
	const char *program = *findings->program ? findings->program : "npf";

	if (is_capable(findings))
		return;
	if (findings->contained) {
		puts("in a user namespace or container cap_bpf and cap_perfmon do not count: run npf "
		     "outside of it");
		return;
	}
	printf("to get what is missing, once, as root:\n  setcap ");
	for (size_t i = 0; i < N_CAPABILITIES; i++)
		printf("%s%s", i ? "," : "", capabilities[i].name);
	printf("+ep '%s'\nor run npf as root; npf run needs that in any case, for programs get none of a file's\n"
	       "capabilities from it\n",
	       program);
}

static void tell_capabilities(const struct npf_terminal *terminal, const struct findings *findings)
{
	printf("capabilities\n");
	for (size_t i = 0; i < N_CAPABILITIES; i++)
		tell(terminal, findings->capable[i], capabilities[i].name, capabilities[i].use);
}

static void tell_verdict(int code)
{
	static const char *const sentences[] = {
		[EXIT_OK] = "All is well.",
		[EXIT_FAILED] = "Capturing works, but not by the best hook.",
		[EXIT_PRIVILEGE] = "Capturing does not work here.",
	};

	puts(sentences[code]);
}

static void json_hooks(struct npf_json *json, const struct findings *findings)
{
	npf_json_array(json, "hooks");
	for (int i = 0; i < N_HOOKS; i++) {
		const struct trial *trial = &findings->trials[i];

		npf_json_object(json, NULL);
		npf_json_string(json, "name", npf_hook_name(trial->hook));
		npf_json_bool(json, "works", !trial->err);
		npf_json_string(json, "error", trial->err ? trial->error : NULL);
		npf_json_object_end(json);
	}
	npf_json_array_end(json);
}

static void json_sending(struct npf_json *json, const struct findings *findings)
{
	npf_json_array(json, "send_paths");
	for (int i = 0; i < N_SENDS; i++) {
		const struct send_trial *trial = &findings->sends[i];

		npf_json_object(json, NULL);
		npf_json_string(json, "name", npf_send_path_name(trial->path));
		npf_json_bool(json, "works", !trial->err || trial->err == -EBUSY);
		npf_json_bool(json, "taken_by_auto", !trial->err);
		npf_json_string(json, "error", trial->err ? trial->error : NULL);
		npf_json_object_end(json);
	}
	npf_json_array_end(json);
}

static void print_json(const struct findings *findings, int code)
{
	struct npf_json json = { .out = stdout };

	npf_json_object(&json, NULL);
	npf_json_string(&json, "version", npf_version());
	npf_json_unsigned(&json, "verdict", (uint64_t)code);
	npf_json_string(&json, "adapter", findings->adapter);
	json_hooks(&json, findings);
	npf_json_string(&json, "auto",
			findings->automatic == NPF_HOOK_AUTO ? NULL
							     : npf_hook_name(findings->automatic));
	json_sending(&json, findings);
	npf_json_string(&json, "kernel", findings->kernel.release);
	npf_json_object(&json, "capabilities");
	for (size_t i = 0; i < N_CAPABILITIES; i++)
		npf_json_bool(&json, capabilities[i].name, findings->capable[i]);
	npf_json_object_end(&json);
	if (findings->jit < 0)
		npf_json_string(&json, "bpf_jit", NULL);
	else
		npf_json_bool(&json, "bpf_jit", findings->jit);
	npf_json_bool(&json, "btf", findings->btf);
	npf_json_string(&json, "engine", findings->engine);
	if (findings->memlock == UINT64_MAX)
		npf_json_string(&json, "memlock", NULL);
	else
		npf_json_unsigned(&json, "memlock", findings->memlock);
	if (findings->direct == NPF_DIRECT_IO_UNKNOWN)
		npf_json_string(&json, "direct_io", NULL);
	else
		npf_json_bool(&json, "direct_io", findings->direct == NPF_DIRECT_IO_WORKS);
	npf_json_string(&json, "why_not_direct",
			findings->direct == NPF_DIRECT_IO_WORKS ? NULL : findings->why_not_direct);
	npf_json_object_end(&json);
	npf_json_line(&json);
}

static void print_text(const struct findings *findings, int code)
{
	struct npf_terminal terminal;

	npf_terminal_init(&terminal, stdout);
	printf("%s\n", npf_version());
	tell_hooks(&terminal, findings);
	tell_sending(&terminal, findings);
	tell_capabilities(&terminal, findings);
	tell_kernel(&terminal, findings);
	tell_disk(&terminal, findings);
	tell_cure(findings);
	tell_verdict(code);
}

static int run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "interface", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct findings findings = { .adapter = "lo" };
	struct npf_session session;
	bool json = false;
	int option, code;

	while ((option = getopt_long(argc, argv, "i:j", long_options, NULL)) != -1) {
		if (option != 'i' && option != 'j')
			return npf_tool_hint(&npf_command_doctor);
		if (option == 'j') {
			json = true;
			continue;
		}
		snprintf(findings.adapter, sizeof(findings.adapter), "%s", optarg);
		findings.chosen = true;
	}
	if (optind < argc)
		return npf_tool_usage(&npf_command_doctor,
				      "'%s' is not expected; -i NAME tries an adapter",
				      argv[optind]);
	setlocale(LC_CTYPE, "");
	code = npf_session_start(&session, &npf_command_doctor);
	if (code)
		return code;
	look_around(&findings);
	look_at_engine(&findings, session.host);
	try_hooks(&findings, session.driver);
	try_sending(&findings, session.driver);
	npf_session_end(&session);
	code = verdict(&findings);
	if (code == EXIT_NO_ADAPTER && !json) /* which every hook and way of sending would repeat */
		return npf_tool_fail(&npf_command_doctor, code, "%s", findings.trials[0].error);
	if (json)
		print_json(&findings, code);
	else
		print_text(&findings, code);
	return npf_tool_flushed(&npf_command_doctor, npf_flush(stdout), code);
}

const struct npf_command npf_command_doctor = {
	.name = "doctor",
	.run = run,
	.summary = "tell whether capturing and sending work here, and what is missing",
	.help = "usage: npf doctor [-i NAME] [-j]\n\n"
		"Try every hook and every way of sending on an adapter, and show capabilities\n"
		"and what matters of the kernel, with the command that gets what is missing.\n"
		"Also tells whether npf dump can write past the page cache in this directory.\n\n"
		"  -i, --interface NAME   adapter to try (default lo)\n"
		"  -j, --json             as one JSON object\n\n"
		"exit code: 0 tcx, the best hook, works, 1 only a lesser one, 3 none, 4 no such\n"
		"adapter, 5 or 6 the answer could not be written\n\n"
		"examples:\n"
		"  npf doctor\n"
		"  npf doctor -i eth0 --json | jq .auto\n",
};
