/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world the measurements happen in: two unnamed network namespaces joined by a veth pair, one
 * CPU for the sender and one for the program under test.
 */
#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define TCX_INGRESS ((enum bpf_attach_type)46) /* newer than the headers of Debian 12 */

/* In whatever namespace this process is now. */
static void run(const char *command)
{
	int status = system(command);

	if (status)
		errx(1, "failed: %s", command);
}

static int open_here(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int new_namespace(void)
{
	if (unshare(CLONE_NEWNET))
		err(1, "a network namespace (root is needed)");
	return open_here("/proc/self/ns/net");
}

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		err(1, "setns");
}

void world_enter_tap(const struct world *world)
{
	enter(world->tap_ns);
}

void world_leave_tap(const struct world *world)
{
	enter(world->sender_ns);
}

/* Nothing but our frames on the wire: no router solicitations, no address detection. */
static void quieten(void)
{
	run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	run("ip link set lo up");
}

static void pick_cpus(struct world *world)
{
	cpu_set_t allowed, sender;
	int found = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		err(1, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		*(found++ ? &world->tap_cpu : &world->sender_cpu) = cpu;
	}
	if (found < 2)
		errx(1, "two CPUs are needed, one to send and one to capture");
	CPU_ZERO(&sender);
	CPU_SET(world->sender_cpu, &sender);
	if (sched_setaffinity(0, sizeof(sender), &sender))
		err(1, "sched_setaffinity");
}

static bool has_name(const char *pid, const char *name)
{
	char path[300], line[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return !strcmp(line, name);
}

static pid_t find_softirqd(int cpu)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	char name[32];
	pid_t found = 0;

	if (!proc)
		return 0;
	snprintf(name, sizeof(name), "ksoftirqd/%d\n", cpu);
	while (!found && (entry = readdir(proc))) {
		if (isdigit((unsigned char)entry->d_name[0]) && has_name(entry->d_name, name))
			found = atoi(entry->d_name);
	}
	closedir(proc);
	return found;
}

static void make_veth(struct world *world)
{
	char command[160];

	snprintf(command, sizeof(command),
		 "ip link add vb type veth peer name va netns /proc/%d/fd/%d && "
		 "ip link set vb up && ethtool -K vb gro on",
		 (int)getpid(), world->sender_ns);
	run(command);
	world->vb = if_nametoindex("vb");
}

void world_create(struct world *world)
{
	pick_cpus(world);
	world->softirqd = find_softirqd(world->sender_cpu);
	world->sender_ns = new_namespace();
	quieten();
	world->tap_ns = new_namespace();
	quieten();
	make_veth(world);
	/* An open file of /proc/net stays in the namespace it was opened in. */
	world->device_counters = open_here("/proc/net/dev");
	world->packet_sockets = open_here("/proc/net/packet");
	world_leave_tap(world);
	run("ip link set va up");
	world->va = if_nametoindex("va");
}

static void read_again(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	if (n < 0)
		err(1, "/proc/net");
	text[n] = '\0';
}

uint64_t world_delivered(const struct world *world)
{
	unsigned long long bytes, packets;
	char text[4096], *line;

	read_again(world->device_counters, text, sizeof(text));
	line = strstr(text, "vb:");
	if (!line || sscanf(line, "vb: %llu %llu", &bytes, &packets) != 2)
		errx(1, "vb is not in /proc/net/dev");
	return packets;
}

static unsigned int listening_sockets(const struct world *world)
{
	unsigned int found = 0, protocol, device, running;
	char text[8192], *line, *rest = NULL;

	read_again(world->packet_sockets, text, sizeof(text));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%*s %*s %*s %x %u %u", &protocol, &device, &running) == 3 &&
		    protocol && device == world->vb && running)
			found++;
	}
	return found;
}

static unsigned int tcx_programs(const struct world *world)
{
	uint32_t ids[MAX_CHILDREN * 2], n = sizeof(ids) / sizeof(ids[0]), flags;
	int failed;

	world_enter_tap(world);
	failed = bpf_prog_query((int)world->vb, TCX_INGRESS, 0, &flags, ids, &n);
	world_leave_tap(world);
	return failed ? 0 : n;
}

unsigned int world_taps(const struct world *world)
{
	return listening_sockets(world) + tcx_programs(world);
}

int world_drop_packets(const struct world *world)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_link_create_opts, driver, .flags = XDP_FLAGS_DRV_MODE);
	int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "bench_drop", "Dual BSD/GPL", code,
				    sizeof(code) / sizeof(code[0]), NULL);
	int link;

	if (program < 0)
		return program;
	world_enter_tap(world);
	link = bpf_link_create(program, (int)world->vb, BPF_XDP, &driver);
	world_leave_tap(world);
	close(program);
	return link;
}

static void read_cpu_times(uint64_t *idle, uint64_t *all)
{
	unsigned long long t[8] = { 0 };
	FILE *stat = fopen("/proc/stat", "re");

	if (!stat || fscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1],
			    &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8)
		errx(1, "/proc/stat cannot be read");
	fclose(stat);
	*idle = t[3] + t[4];
	*all = 0;
	for (int i = 0; i < 8; i++)
		*all += t[i];
}

double world_busy(void)
{
	uint64_t idle, all, idle_later, all_later;

	read_cpu_times(&idle, &all);
	sleep_ms(500);
	read_cpu_times(&idle_later, &all_later);
	if (all_later == all)
		return 0;
	return 1 - (double)(idle_later - idle) / (double)(all_later - all);
}
