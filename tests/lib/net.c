/* SPDX-License-Identifier: BSD-3-Clause */
/* Real interfaces for tests. */
#include "lib/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIP  77
#define EXIT_ERROR 99

#define MOST_WORDS 32
#define BATCH      64u /* frames per system call of a flood */

extern char **environ;

const uint8_t net_va_address[6] = { 2, 0, 0, 0, 0, 0x0a };
const uint8_t net_vb_address[6] = { 2, 0, 0, 0, 0, 0x0b };

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	int err = errno;
	va_list arguments;

	fputs("net: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (%s)\n", strerror(err));
	exit(EXIT_ERROR);
}

/* ---- namespaces ---------------------------------------------------------------------------- */

static int this_namespace(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("opening this thread's network namespace failed");
	return fd;
}

static void move_to(int namespace)
{
	if (setns(namespace, CLONE_NEWNET))
		die("entering a network namespace failed");
}

static int new_namespace(void)
{
	if (unshare(CLONE_NEWNET))
		die("making a network namespace failed");
	return this_namespace();
}

void net_require(void)
{
	int home = this_namespace();

	if (unshare(CLONE_NEWNET)) {
		printf("skipped: a network namespace cannot be made: %s\n", strerror(errno));
		exit(EXIT_SKIP);
	}
	move_to(home);
	close(home);
}

void net_enter(const struct net_world *world, enum net_side side)
{
	move_to(world->sides[side]);
}

/* Go to a side and come back. */
static int visit(const struct net_world *world, enum net_side side)
{
	int from = this_namespace();

	net_enter(world, side);
	return from;
}

static void leave(int from)
{
	move_to(from);
	close(from);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void split(char *command, char *words[MOST_WORDS])
{
	int n = 0;
	char *rest;

	for (char *word = strtok_r(command, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (n == MOST_WORDS - 1)
			die("too many words in a command");
		words[n++] = word;
	}
	words[n] = NULL;
}

/* The exit status of a command. */
static int run_words(char *words[MOST_WORDS], bool silent)
{
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	if (silent)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	errno = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
	if (errno)
		die("starting %s failed", words[0]);
	posix_spawn_file_actions_destroy(&actions);
	if (waitpid(pid, &status, 0) != pid)
		die("waiting for %s failed", words[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const struct net_world *world, enum net_side side, bool silent, const char *command)
{
	char text[1024], *words[MOST_WORDS];
	int from = visit(world, side);

	snprintf(text, sizeof(text), "%s", command);
	split(text, words);

	int status = run_words(words, silent);

	leave(from);
	return status;
}

void net_run(const struct net_world *world, enum net_side side, const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	errno = 0;
	if (run(world, side, false, command))
		die("'%s' failed", command);
}

bool net_try(const struct net_world *world, enum net_side side, const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return run(world, side, true, command) == 0;
}

/* ---- the world ----------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		die("%s cannot be set", path);
	close(fd);
	return true;
}

bool net_write(const struct net_world *world, enum net_side side, const char *path,
	       const char *value)
{
	int from = visit(world, side);
	bool written = write_file(path, value);

	leave(from);
	return written;
}

/* What /sys shows of interfaces is of the namespace that mounted it. */
static bool write_sys(const struct net_world *world, enum net_side side, const char *path,
		      const char *value)
{
	net_enter(world, side);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		return false;
	return write_file(path, value);
}

bool net_write_sys(const struct net_world *world, enum net_side side, const char *path,
		   const char *value)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(write_sys(world, side, path, value) ? 0 : EXIT_FAILURE);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("writing %s failed", path);
	return !status;
}

/* IPv6 speaks when an interface comes up: router and neighbour discovery. */
static int new_silent_side(void)
{
	int namespace = new_namespace();

	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return namespace;
}

void net_world_create(struct net_world *world)
{
	world->home = this_namespace();
	world->sides[NET_THERE] = new_silent_side();
	world->sides[NET_HERE] = new_silent_side();

	net_run(world, NET_HERE, "ip link set lo up");
	net_run(world, NET_THERE, "ip link set lo up");
	net_run(world, NET_HERE,
		"ip link add va address 02:00:00:00:00:0a type veth "
		"peer name vb address 02:00:00:00:00:0b netns /proc/%d/fd/%d",
		(int)getpid(), world->sides[NET_THERE]);
	net_run(world, NET_HERE, "ip link set va up");
	net_run(world, NET_THERE, "ip link set vb up");
}

void net_world_destroy(struct net_world *world)
{
	move_to(world->home);
	for (int i = 0; i < NET_SIDES; i++)
		close(world->sides[i]);
	close(world->home);
}

/* ---- devices ------------------------------------------------------------------------------- */

void net_offload(const struct net_world *world, enum net_side side, const char *name,
		 uint32_t command, bool on)
{
	struct ethtool_value value = { .cmd = command, .data = on };
	struct ifreq request = { .ifr_data = (void *)&value };
	int from = visit(world, side);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request))
		die("setting offload %#x of %s failed", command, name);
	close(fd);
	leave(from);
}

bool net_has_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("/dev/net/tun cannot be opened: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

int net_tun(const struct net_world *world, enum net_side side, const char *name, int flags)
{
	struct ifreq request = { .ifr_flags = (short)flags };
	int from = visit(world, side);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		die("making %s failed", name);
	leave(from);
	net_run(world, side, "ip link set %s up", name);
	return fd;
}

static bool read_counters(const char *line, const char *name, struct net_counters *counters)
{
	size_t length = strlen(name);

	line += strspn(line, " ");
	if (strncmp(line, name, length) || line[length] != ':')
		return false;
	return sscanf(line + length + 1,
		      "%" SCNu64 "%" SCNu64 "%*u%" SCNu64 "%*u%*u%*u%*u"
		      "%" SCNu64 "%" SCNu64 "%*u%" SCNu64,
		      &counters->rx_bytes, &counters->rx_packets, &counters->rx_dropped,
		      &counters->tx_bytes, &counters->tx_packets, &counters->tx_dropped) == 6;
}

struct net_counters net_counters(const struct net_world *world, enum net_side side, const char *name)
{
	struct net_counters counters;
	bool found = false;
	int from = visit(world, side);
	FILE *file = fopen("/proc/thread-self/net/dev", "re");
	char line[512];

	if (!file)
		die("opening the table of devices failed");
	while (!found && fgets(line, sizeof(line), file))
		found = read_counters(line, name, &counters);
	fclose(file);
	leave(from);
	if (!found)
		die("there is no device %s", name);
	return counters;
}

/* ---- sending ------------------------------------------------------------------------------- */

int net_sender(const struct net_world *world, enum net_side side, const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int from = visit(world, side);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	address.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("a socket that sends through %s cannot be made", name);
	leave(from);
	return fd;
}

void net_send(int sender, const void *frame, size_t size)
{
	ssize_t n;

	do
		n = send(sender, frame, size, 0);
	while (n < 0 && errno == ENOBUFS);
	if (n != (ssize_t)size)
		die("sending %zu bytes failed", size);
}

/* ---- floods -------------------------------------------------------------------------------- */

/* What a flood's frames carry behind the Ethernet header, in host order: they stay at home. */
struct mark {
	uint32_t sender;
	uint32_t length;
	uint64_t sequence;
} __attribute__((packed));

_Static_assert(sizeof(struct ethhdr) + sizeof(struct mark) == NET_LEAST_FRAME, "frame too short");

static uint8_t filling(const struct mark *mark, size_t i)
{
	return (uint8_t)(mark->sequence * 31 + mark->sender * 101 + i * 7);
}

void net_flood_frame(const struct net_flood *flood, uint64_t sequence, uint8_t *frame)
{
	struct ethhdr header = { .h_proto = htons(NET_ETHERTYPE) };
	struct mark mark = { .sender = flood->sender,
			     .length = flood->length,
			     .sequence = sequence };

	memcpy(header.h_source, flood->side == NET_HERE ? net_va_address : net_vb_address, 6);
	memcpy(header.h_dest, flood->side == NET_HERE ? net_vb_address : net_va_address, 6);
	memcpy(frame, &header, sizeof(header));
	memcpy(frame + sizeof(header), &mark, sizeof(mark));
	for (size_t i = NET_LEAST_FRAME; i < flood->length; i++)
		frame[i] = filling(&mark, i);
}

bool net_flood_read(const uint8_t *frame, size_t size, uint32_t *sender, uint64_t *sequence)
{
	struct ethhdr header;
	struct mark mark;

	if (size < NET_LEAST_FRAME)
		return false;
	memcpy(&header, frame, sizeof(header));
	memcpy(&mark, frame + sizeof(header), sizeof(mark));
	if (header.h_proto != htons(NET_ETHERTYPE) || mark.length != size)
		return false;
	for (size_t i = NET_LEAST_FRAME; i < size; i++) {
		if (frame[i] != filling(&mark, i))
			return false;
	}
	*sender = mark.sender;
	*sequence = mark.sequence;
	return true;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("moving to CPU %d failed", cpu);
}

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec pieces[BATCH];
	uint8_t *frames;
};

static void prepare_batch(struct batch *batch, uint32_t length)
{
	memset(batch, 0, sizeof(*batch));
	batch->frames = malloc((size_t)BATCH * length);
	if (!batch->frames)
		die("no memory for frames");
	for (uint32_t i = 0; i < BATCH; i++) {
		batch->pieces[i].iov_base = batch->frames + (size_t)i * length;
		batch->pieces[i].iov_len = length;
		batch->messages[i].msg_hdr.msg_iov = &batch->pieces[i];
		batch->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static void send_batch(int fd, struct batch *batch, uint32_t n)
{
	uint32_t done = 0;

	while (done < n) {
		int sent = sendmmsg(fd, batch->messages + done, n - done, 0);

		if (sent < 0 && errno != ENOBUFS && errno != EINTR)
			die("sending a flood failed");
		if (sent > 0)
			done += (uint32_t)sent;
	}
}

void net_flood_run(const struct net_world *world, const struct net_flood *flood)
{
	int fd = net_sender(world, flood->side, flood->name);
	struct batch batch;

	if (flood->cpu >= 0)
		pin(flood->cpu);
	prepare_batch(&batch, flood->length);
	for (uint64_t at = 0; at < flood->count; at += BATCH) {
		uint64_t left = flood->count - at;
		uint32_t n = left < BATCH ? (uint32_t)left : BATCH;

		for (uint32_t i = 0; i < n; i++)
			net_flood_frame(flood, flood->first + at + i, batch.pieces[i].iov_base);
		send_batch(fd, &batch, n);
	}
	free(batch.frames);
	close(fd);
}

pid_t net_flood_start(const struct net_world *world, const struct net_flood *flood)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("starting a sender failed");
	if (pid)
		return pid;
	net_flood_run(world, flood);
	_exit(0);
}

void net_flood_join(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die("a sender failed");
}
