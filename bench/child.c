/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs under test as child processes: pinned, in the tap's namespace, ended with us
 * whatever happens, and asked in the end what they captured.
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define READY_MS     10000 /* a tool that has no tap by then has failed */
#define CALM_MS      40
#define MOST_CALM_MS 2000
#define STOP_MS      5000
#define LOG_SIZE     16384

static void become(const struct world *world, const struct tool *tool, const char *npf, int log,
		   pid_t parent)
{
	const char *argv[32];
	cpu_set_t cpu;
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_DFL); /* a background job inherits that it be ignored */
	CPU_ZERO(&cpu);
	CPU_SET(world->tap_cpu, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		_exit(1);
	world_enter_tap(world);
	for (; tool->argv[n] && n < 31; n++)
		argv[n] = strcmp(tool->argv[n], "NPF") ? tool->argv[n] : npf;
	argv[n] = NULL;
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(log, 1);
	dup2(log, 2);
	execvp(argv[0], (char *const *)argv);
	warn("%s", argv[0]);
	_exit(127);
}

static void start_one(struct child *child, const struct world *world, const struct tool *tool,
		      const char *npf)
{
	pid_t self = getpid();

	child->log = memfd_create("log", MFD_CLOEXEC);
	if (child->log < 0)
		err(1, "memfd_create");
	child->pid = fork();
	if (child->pid < 0)
		err(1, "fork");
	if (!child->pid)
		become(world, tool, npf, child->log, self);
	if (clock_getcpuclockid(child->pid, &child->clock))
		errx(1, "no CPU clock of a child process");
}

static bool has_ended(const struct child *child)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	       info.si_pid == child->pid;
}

static bool any_ended(const struct children *children)
{
	for (unsigned int i = 0; i < children->n; i++) {
		if (has_ended(&children->child[i]))
			return true;
	}
	return false;
}

uint64_t children_cpu(const struct children *children)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < children->n; i++)
		sum += clock_ns(children->child[i].clock);
	return sum;
}

/* Not running, and not waiting either: for a CPU, or in the kernel for the end of what it began there,
 * as who loads and attaches eBPF programs does. */
static bool sleeps(const struct child *child)
{
	char path[32], state = 'S';
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)child->pid);
	stat = fopen(path, "re");
	if (!stat)
		return true;
	if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
		state = 'S';
	fclose(stat);
	return state == 'S';
}

static bool all_sleep(const struct children *children)
{
	for (unsigned int i = 0; i < children->n; i++) {
		if (!sleeps(&children->child[i]))
			return false;
	}
	return true;
}

/* Tools that wake up by a timer are never quite calm: a hundredth of a CPU is calm enough. */
static void wait_calm(const struct children *children)
{
	uint64_t last, now = children_cpu(children);

	for (int ms = 0; ms < MOST_CALM_MS; ms += CALM_MS) {
		last = now;
		sleep_ms(CALM_MS);
		now = children_cpu(children);
		if (now - last < CALM_MS * 10000 && all_sleep(children))
			return;
	}
}

void children_settle(const struct children *children, unsigned int ms)
{
	sleep_ms(ms);
	wait_calm(children);
}

static bool wait_ready(const struct children *children, const struct world *world,
		       unsigned int wanted)
{
	for (unsigned int ms = 0; ms < READY_MS; ms += 5) {
		if (any_ended(children))
			return false;
		if (world_taps(world) >= wanted) {
			wait_calm(children);
			return !any_ended(children);
		}
		sleep_ms(5);
	}
	return false;
}

/* Wait for the end of a process; false when it takes too long. */
static bool wait_end(pid_t pid, int timeout_ms)
{
	struct pollfd end = { .events = POLLIN };
	int ready;

	end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0)
		return false;
	do
		ready = poll(&end, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	close(end.fd);
	return ready > 0;
}

/* All its CPU time. */
static uint64_t reap(pid_t pid)
{
	struct rusage usage;
	int status;

	if (wait4(pid, &status, 0, &usage) != pid)
		err(1, "wait4");
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/* Matches "PREFIX#SUFFIX" anywhere in text; # is a decimal number. */
static bool find_number(const char *text, const char *pattern, uint64_t *number)
{
	size_t before = strcspn(pattern, "#");
	const char *suffix = pattern + before + 1, *at = text, *end;

	for (; *at; at = end + !isdigit((unsigned char)*at)) {
		end = at;
		if (!isdigit((unsigned char)*at))
			continue;
		end += strspn(at, "0123456789");
		if ((size_t)(at - text) < before || memcmp(at - before, pattern, before) ||
		    strncmp(end, suffix, strlen(suffix)))
			continue;
		*number = strtoull(at, NULL, 10);
		return true;
	}
	return false;
}

static void read_log(const struct child *child, char text[LOG_SIZE])
{
	ssize_t n = pread(child->log, text, LOG_SIZE - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
}

static void take_report(const struct tool *tool, const char *text, struct outcome *outcome)
{
	uint64_t captured, dropped;

	if (!tool->captured || !find_number(text, tool->captured, &captured) ||
	    !find_number(text, tool->dropped, &dropped)) {
		outcome->reported = false;
		return;
	}
	outcome->captured += captured;
	outcome->dropped += dropped;
}

static void stop_one(struct child *child, const struct tool *tool, struct outcome *outcome)
{
	char text[LOG_SIZE];
	uint64_t cpu;

	if (!wait_end(child->pid, STOP_MS))
		kill(child->pid, SIGKILL);
	cpu = reap(child->pid);
	outcome->cpu_all_ns += cpu;
	outcome->cpu_ns += cpu > child->cpu_at_ready ? cpu - child->cpu_at_ready : 0;
	read_log(child, text);
	take_report(tool, text, outcome);
	close(child->log);
}

void children_stop(struct children *children, struct outcome *outcome)
{
	*outcome = (struct outcome){ .reported = true };
	for (unsigned int i = 0; i < children->n; i++)
		kill(children->child[i].pid, SIGINT);
	for (unsigned int i = 0; i < children->n; i++)
		stop_one(&children->child[i], children->tool, outcome);
	children->n = 0;
}

static void last_line(const struct child *child, char *line, size_t size)
{
	char text[LOG_SIZE], *start;
	size_t n;

	read_log(child, text);
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	start = strrchr(text, '\n');
	start = start ? start + 1 : text;
	snprintf(line, size, "%s", *start ? start : "no tap appeared, and it does not say why");
}

bool children_start(struct children *children, const struct world *world, const struct tool *tool,
		    unsigned int n, const char *npf, char *why, size_t size)
{
	unsigned int wanted = world_taps(world) + n;
	struct outcome ignored;

	children->tool = tool;
	for (children->n = 0; children->n < n; children->n++)
		start_one(&children->child[children->n], world, tool, npf);
	if (!wait_ready(children, world, wanted)) {
		wait_end(children->child[0].pid, CALM_MS);
		last_line(&children->child[0], why, size);
		children_stop(children, &ignored);
		return false;
	}
	for (unsigned int i = 0; i < n; i++)
		children->child[i].cpu_at_ready = clock_ns(children->child[i].clock);
	return true;
}
