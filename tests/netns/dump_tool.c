/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump as people use it, on real interfaces and real file systems: dump_tool NPF. Whatever the
 * options, all files together hold every frame of a flood exactly once and in order; every end is
 * clean; and nobody can make it write somewhere else.
 *
 * $NPF_TEST_PACKETS, where it is less than usual, makes floods shorter for machines that are slow.
 */
#include "netns/wire.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../tools/npf/tool.h"

#define FRAMES    60000u /* of a flood; a multiple of 1000 */
#define LEAST     20000u
#define LENGTH    200u
#define MOST_ARGS 32
#define MOST_LIST 512
#define LOG       "said"

/* The lowest byte of a frame's sequence number, as net_flood_frame() puts it. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SEQUENCE_LOW 22u
#else
#define SEQUENCE_LOW 29u
#endif

static const char *npf; /* the program */
static uint64_t frames = FRAMES;
static struct net_world world; /* npf captures on va, frames come from vb */
static char home[64];          /* each test's directory */

/* ---- files ----------------------------------------------------------------------------------- */

/* Names that end with a suffix, sorted. */
struct list {
	size_t n;
	char names[MOST_LIST][NAME_MAX + 1];
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void find_files(struct list *list, const char *directory, const char *suffix)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;

	assert_non_null(stream);
	list->n = 0;
	while ((entry = readdir(stream))) {
		size_t length = strlen(entry->d_name);

		if (length < strlen(suffix) ||
		    strcmp(entry->d_name + length - strlen(suffix), suffix))
			continue;
		assert_true(list->n < MOST_LIST);
		strcpy(list->names[list->n++], entry->d_name);
	}
	closedir(stream);
	qsort(list->names, list->n, sizeof(list->names[0]), by_name);
}

static bool exists(const char *name)
{
	return !access(name, F_OK);
}

static uint64_t size_of(const char *name)
{
	struct stat status;

	assert_int_equal(stat(name, &status), 0);
	return (uint64_t)status.st_size;
}

/* How often a text stands in a file. */
static unsigned int said(const char *text)
{
	char all[65536];
	int fd = open(LOG, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, all, sizeof(all) - 1);
	unsigned int found = 0;

	if (fd >= 0)
		close(fd);
	all[n < 0 ? 0 : n] = '\0';
	for (const char *at = strstr(all, text); at; at = strstr(at + 1, text))
		found++;
	return found;
}

/* ---- the program ----------------------------------------------------------------------------- */

static _Noreturn void become(char **argv, int out)
{
	int log = open(LOG, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(out < 0 ? log : out, 1);
	dup2(log, 2);
	signal(SIGINT, SIG_DFL);
	execv(npf, argv);
	_exit(127);
}

/* npf with a line of arguments, single blanks between them; its standard output goes to out. */
static pid_t start_npf(int out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static pid_t start_npf(int out, const char *format, ...)
{
	char line[1024], *argv[MOST_ARGS] = { "npf" }, *rest = NULL, *word;
	size_t n = 1;
	va_list arguments;
	pid_t pid;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	for (word = strtok_r(line, " ", &rest); word && n + 1 < MOST_ARGS;
	     word = strtok_r(NULL, " ", &rest))
		argv[n++] = word;
	argv[n] = NULL;
	unlink(LOG);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		become(argv, out);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == pid;
}

/* A dump that listens. */
#define START_DUMP(...)                                                                            \
	({                                                                                         \
		pid_t pid_ = start_npf(-1, "dump -i va " __VA_ARGS__);                             \
		WIRE_UNTIL(said("dumping from") || has_ended(pid_));                               \
		pid_;                                                                              \
	})

static int run_npf(const char *line)
{
	return end_of(start_npf(-1, "%s", line));
}

static void flood_with(uint64_t count, uint32_t length)
{
	const struct net_flood flood = { .side = NET_THERE,
					 .name = "vb",
					 .cpu = -1,
					 .sender = 1,
					 .length = length,
					 .count = count };

	net_flood_run(&world, &flood);
}

static void flood(uint64_t count)
{
	flood_with(count, LENGTH);
}

static int stop(pid_t pid, int signal_number)
{
	assert_int_equal(kill(pid, signal_number), 0);
	return end_of(pid);
}

static void show_log(void)
{
	int status = system("cat " LOG);

	(void)status;
}

#define ASSERT_CODE(code, wanted)                                                                  \
	do {                                                                                       \
		int code_ = (code);                                                                \
		if (code_ != (wanted)) {                                                           \
			show_log();                                                                \
			fail_msg("status %d, not %d", code_, (wanted));                            \
		}                                                                                  \
	} while (0)

/* ---- what is in the files -------------------------------------------------------------------- */

/* Packets of one file; each is the flood's next one, after *next. */
static uint64_t read_file(const char *name, uint64_t *next)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(name, error);
	struct pcap_pkthdr *header;
	const u_char *data;
	uint64_t n = 0, sequence;
	uint32_t sender;
	int more;

	if (!pcap)
		fail_msg("%s: %s", name, error);
	while ((more = pcap_next_ex(pcap, &header, &data)) == 1) {
		assert_int_equal(header->caplen, header->len);
		if (!net_flood_read(data, header->caplen, &sender, &sequence))
			fail_msg("%s: packet %llu is not what was sent", name,
				 (unsigned long long)n);
		assert_int_equal(sequence, *next);
		*next += 1;
		n++;
	}
	if (more != PCAP_ERROR_BREAK)
		fail_msg("%s: %s", name, pcap_geterr(pcap));
	pcap_close(pcap);
	return n;
}

/* The flood's frames first ... end - 1, over all files in the order of their names. */
static void assert_flood(const struct list *list, uint64_t first, uint64_t end)
{
	for (size_t i = 0; i < list->n; i++)
		read_file(list->names[i], &first);
	assert_int_equal(first, end);
}

static bool installed(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return !system(command);
}

/* Other programs read it to its end and complain of nothing. */
static void assert_readable(const char *name)
{
	static const struct {
		const char *program, *arguments;
	} readers[] = { { "tcpdump", "-n -r %s >/dev/null 2>others" },
			{ "capinfos", "%s >/dev/null 2>others" },
			{ "tshark", "-r %s -c 100000 >/dev/null 2>others" },
			{ "editcap", "-F pcapng %s edited >/dev/null 2>others" },
			{ "mergecap", "-w merged %s %1$s >/dev/null 2>others" } };
	char command[1024], arguments[512];

	for (size_t i = 0; i < N_OF(readers); i++) {
		if (!installed(readers[i].program)) {
			print_message("    %s is not installed\n", readers[i].program);
			continue;
		}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(arguments, sizeof(arguments), readers[i].arguments, name);
#pragma GCC diagnostic pop
		/* What they always say is no complaint. */
		snprintf(command, sizeof(command),
			 "%s %s && ! grep -vE '^reading from|^Running as user|^dropped privs' others",
			 readers[i].program, arguments);
		if (system(command))
			fail_msg("%s complains of %s", readers[i].program, name);
	}
}

/* ---- each test's surroundings ---------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	/* A disk, where there is one: /tmp is memory on many machines. */
	strcpy(home, "/var/tmp/npf-dump-tool-XXXXXX");
	if (access("/var/tmp", W_OK))
		strcpy(home, "/tmp/npf-dump-tool-XXXXXX");
	if (!mkdtemp(home) || chmod(home, 0755) || chdir(home))
		return -1;
	net_world_create(&world);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	net_world_destroy(&world);
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return chdir("/") || system(command);
}

/* A file system of this test's own at ./fs; what does not outlive it needs no unmounting. */
static bool mount_here(const char *command)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		print_message("    no mount namespaces here\n");
		return false;
	}
	assert_int_equal(mkdir("fs", 0777), 0);
	if (!system(command))
		return true;
	print_message("    cannot mount: %s\n", command);
	return false;
}

static void unmount_here(void)
{
	assert_int_equal(umount2("fs", MNT_DETACH), 0);
}

/* ---- rotation and limits --------------------------------------------------------------------- */

static const char *const formats[] = { "pcap", "pcap-ns", "pcapng" };

static void rotations(const char *options, uint64_t most_bytes, size_t least_files)
{
	struct list list;

	for (size_t i = 0; i < N_OF(formats); i++) {
		pid_t pid = START_DUMP("-w r%zu.pcap --format %s %s", i, formats[i], options);
		char suffix[16];

		flood(frames);
		ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
		assert_int_equal(said("0 packets dropped"), 1);
		snprintf(suffix, sizeof(suffix), ".part");
		find_files(&list, ".", suffix);
		assert_int_equal(list.n, 0);
		find_files(&list, ".", ".pcap");
		if (list.n < least_files)
			fail_msg("%zu files, %zu expected", list.n, least_files);
		assert_flood(&list, 0, frames);
		for (size_t k = 0; k < list.n; k++)
			assert_true(size_of(list.names[k]) <= most_bytes);
		assert_readable(list.names[0]);
		assert_readable(list.names[list.n - 1]);
		assert_int_equal(system("rm -f *.pcap"), 0);
	}
}

static void one_file(void **state)
{
	(void)state;
	rotations("", UINT64_MAX, 1);
}

static void by_packets(void **state)
{
	(void)state;
	rotations("--rotate-packets 1000", 24 + 1000 * (64 + LENGTH) + 4096, frames / 1000);
}

static void by_size(void **state)
{
	(void)state;
	rotations("--rotate-size 1000000", 1000000, frames * LENGTH / 1000000);
}

static void by_time(void **state)
{
	(void)state;
	rotations("--rotate-time 10ms", UINT64_MAX, 2);
}

static void ring_of_files(void **state)
{
	pid_t pid = START_DUMP("-w ring.pcap --rotate-packets 1000 --files 3");
	struct list list;
	char name[32];

	(void)state;
	flood(frames + 500);
	ASSERT_CODE(stop(pid, SIGTERM), EXIT_OK);
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 3);
	snprintf(name, sizeof(name), "ring-%05" PRIu64 ".pcap", frames / 1000 + 1);
	assert_string_equal(list.names[2], name);
	assert_flood(&list, frames - 2000, frames + 500);
	/* A second run overwrites nothing of the first. */
	pid = START_DUMP("-w ring.pcap --rotate-packets 1000 -c 10");
	flood(10);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_true(exists("ring-00001.pcap"));
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 4);
}

static void limits(void **state)
{
	struct list list;
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w a.pcap -c 1234");

	(void)state;
	flood(5000);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(read_file("a.pcap", &next), 1234);
	pid = START_DUMP("-w b.pcap --max-size 100001 --rotate-packets 100");
	flood(5000);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	find_files(&list, ".", ".pcap");
	next = 0;
	for (size_t i = 1; i < list.n; i++) {
		read_file(list.names[i], &next);
		next = size_of(list.names[i]) > 24 ? next : next;
	}
	/* Four files of a hundred, and a fifth with what still fits. */
	assert_int_equal(next, (100001 - 5 * 24) / (16 + LENGTH));
	pid = START_DUMP("-w c.pcap --duration 300ms");
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(size_of("c.pcap"), 24);
	assert_int_equal(said("the time asked for is over"), 1);
}

/* A number of the summary in JSON. */
static uint64_t told(const char *key)
{
	char all[65536], pattern[64];
	const char *at;
	int fd = open(LOG, O_RDONLY);
	ssize_t n = read(fd, all, sizeof(all) - 1);

	close(fd);
	all[n < 0 ? 0 : n] = '\0';
	at = strstr(all, "\"type\":\"end\"");
	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	at = at ? strstr(at, pattern) : NULL;
	if (!at)
		fail_msg("the summary has no %s", key);
	return strtoull(at + strlen(pattern), NULL, 10);
}

static uint64_t count_packets(const char *name)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(name, error);
	struct pcap_pkthdr *header;
	const u_char *data;
	uint64_t n = 0;

	if (!pcap)
		fail_msg("%s: %s", name, error);
	while (pcap_next_ex(pcap, &header, &data) == 1)
		n++;
	pcap_close(pcap);
	return n;
}

/* What the summary says holds together, and is what the files hold. */
static void assert_conserved(void)
{
	struct list list;
	uint64_t packets = 0;

	assert_int_equal(told("received"), told("filtered") + told("captured") + told("dropped"));
	assert_int_equal(told("captured"), told("packets") + told("lost"));
	find_files(&list, ".", ".pcap");
	for (size_t i = 0; i < list.n; i++)
		packets += count_packets(list.names[i]);
	assert_int_equal(packets, told("packets"));
}

#define FRUGAL "-w c.pcap -B 64K --rotate-packets 700 --json --interval 1h "

/* With a filter, a buffer that is too small, rotation and a limit nothing is unaccounted for. */
static void conservation(void **state)
{
	pid_t pid = start_npf(-1, "dump -i va " FRUGAL "ether[%u] & 1 = 0", SEQUENCE_LOW);

	(void)state;
	WIRE_UNTIL(said("\"type\":\"start\""));
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(told("received"), frames);
	assert_int_equal(told("filtered"), frames / 2);
	assert_conserved();
	assert_int_equal(system("rm -f *.pcap"), 0);
	pid = start_npf(-1, "dump -i va -c 777 " FRUGAL "ether[%u] & 1 = 0", SEQUENCE_LOW);
	WIRE_UNTIL(said("\"type\":\"start\""));
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(told("packets"), 777);
	assert_conserved();
}

/* The names of files and what is in them, compressed. */
static void compressed(void **state)
{
	pid_t pid = START_DUMP("-w z.pcap --compress zstd:1 --rotate-packets %" PRIu64, frames / 4);
	struct list list;

	(void)state;
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("zstd: 4 files"), 1);
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 0);
	find_files(&list, ".", ".zst");
	assert_int_equal(list.n, 4);
	if (!installed("zstd")) {
		print_message("    zstd is not installed\n");
		return;
	}
	assert_int_equal(system("zstd -q -d --rm *.zst"), 0);
	find_files(&list, ".", ".pcap");
	assert_flood(&list, 0, frames);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void signals(void **state)
{
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w twice.pcap");

	(void)state;
	assert_true(exists("twice.pcap.part"));
	assert_false(exists("twice.pcap"));
	flood(5000);
	assert_int_equal(kill(pid, SIGINT), 0);
	kill(pid, SIGINT);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(read_file("twice.pcap", &next), 5000);
	pid = start_npf(-1, "dump -i va -w term.pcap --json --interval 1h");
	WIRE_UNTIL(said("\"type\":\"start\""));
	next = 0;
	flood(5000);
	ASSERT_CODE(stop(pid, SIGTERM), EXIT_OK);
	assert_int_equal(read_file("term.pcap", &next), 5000);
	assert_int_equal(said("\"end\":\"stopped\",\"code\":0"), 1);
}

static void killed(void **state)
{
	struct list list;
	uint64_t next;

	(void)state;
	for (size_t i = 0; i < N_OF(formats); i++) {
		pid_t pid = START_DUMP("-w k.pcap --format %s", formats[i]);

		flood(frames);
		/* Some of it is on the disk. */
		WIRE_UNTIL(size_of("k.pcap.part") > 1000000);
		ASSERT_CODE(stop(pid, SIGKILL), 128 + SIGKILL);
		assert_false(exists("k.pcap"));
		/* Nothing of it gets lost by a new dump. */
		ASSERT_CODE(run_npf("dump -i va -w k.pcap --duration 10ms"), EXIT_DISK);
		ASSERT_CODE(run_npf("repair --rename k.pcap.part"), EXIT_OK);
		ASSERT_CODE(run_npf("repair --check k.pcap"), EXIT_OK);
		next = 0;
		assert_true(read_file("k.pcap", &next) > 3000);
		assert_readable("k.pcap");
		assert_int_equal(unlink("k.pcap"), 0);
	}
	find_files(&list, ".", ".part");
	assert_int_equal(list.n, 0);
}

static void repair_waits_for_the_dump(void **state)
{
	pid_t pid = START_DUMP("-w l.pcap");
	int fd = open("l.pcap.part", O_RDONLY);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	ASSERT_CODE(run_npf("repair l.pcap.part"), EXIT_FAILED);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
}

static void adapter_goes(void **state)
{
	uint64_t next = 0;
	pid_t pid = START_DUMP("-w gone.pcap");

	(void)state;
	flood(3000);
	net_run(&world, NET_HERE, "ip link delete va");
	ASSERT_CODE(end_of(pid), EXIT_GONE);
	assert_int_equal(read_file("gone.pcap", &next), 3000);
}

static void older_file_stays_until_the_end(void **state)
{
	pid_t pid;
	uint64_t next = 0;

	(void)state;
	assert_int_equal(system("echo old >o.pcap"), 0);
	pid = START_DUMP("-w o.pcap");
	flood(100);
	assert_int_equal(size_of("o.pcap"), 4);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(read_file("o.pcap", &next), 100);
}

static void pipes(void **state)
{
	uint64_t next = 0;
	int ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(system(": >out"), 0);
	ends[1] = open("out", O_WRONLY | O_CLOEXEC);
	pid = start_npf(ends[1], "dump -i va -w - -c 2000");
	close(ends[1]);
	WIRE_UNTIL(said("dumping from"));
	flood(2000);
	ASSERT_CODE(end_of(pid), EXIT_OK);
	assert_int_equal(read_file("out", &next), 2000);
	/* A reader that goes away ends it, and is no failure. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = start_npf(ends[1], "dump -i va -w -");
	close(ends[1]);
	WIRE_UNTIL(said("dumping from"));
	close(ends[0]);
	flood(frames);
	ASSERT_CODE(end_of(pid), EXIT_OK);
}

/* ---- disks ----------------------------------------------------------------------------------- */

static void disk_full(void **state)
{
	struct list list;
	uint64_t next = 0;
	pid_t pid;

	(void)state;
	if (!installed("mkfs.ext4") ||
	    !mount_here("truncate -s 8M image && mkfs.ext4 -q -m 0 image && mount -o loop image fs "
			"2>/dev/null"))
		skip();
	pid = START_DUMP("-w fs/full.pcap");
	flood(FRAMES);
	ASSERT_CODE(end_of(pid), EXIT_DISK_FULL);
	assert_true(said("the disk is full"));
	assert_true(read_file("fs/full.pcap", &next) > 10000);
	ASSERT_CODE(run_npf("repair --check fs/full.pcap"), EXIT_OK);
	assert_int_equal(unlink("fs/full.pcap"), 0);
	pid = START_DUMP("-w fs/ring.pcap --rotate-size 1M");
	flood(FRAMES);
	ASSERT_CODE(end_of(pid), EXIT_DISK_FULL);
	assert_int_equal(chdir("fs"), 0);
	find_files(&list, ".", ".pcap");
	next = 0;
	for (size_t i = 0; i < list.n; i++)
		read_file(list.names[i], &next);
	assert_true(next > 10000);
	find_files(&list, ".", ".part");
	assert_int_equal(list.n, 0);
	assert_int_equal(chdir(".."), 0);
	unmount_here();
}

static void memory_disk(void **state)
{
	uint64_t next = 0;
	pid_t pid;

	(void)state;
	if (!mount_here("mount -t tmpfs none fs"))
		skip();
	pid = START_DUMP("-w fs/t.pcap");
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(read_file("fs/t.pcap", &next), frames);
	pid = start_npf(-1, "dump -i va -w fs/u.pcap --json");
	WIRE_UNTIL(exists("fs/u.pcap.part"));
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("\"direct\":false,\"why_not_direct\":\"tmpfs"), 1);
	pid = START_DUMP("-w fs/v.pcap --buffered");
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("no direct I/O ("), 1);
	unmount_here();
}

static void directory_removed(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	pid = START_DUMP("-w d/r.pcap --rotate-packets 1000");
	assert_int_equal(system("rm -rf d"), 0);
	flood(5000);
	ASSERT_CODE(end_of(pid), EXIT_DISK);
	/* Without rotation it is known in the end. */
	assert_int_equal(mkdir("d", 0755), 0);
	pid = START_DUMP("-w d/r.pcap");
	assert_int_equal(system("rm -rf d"), 0);
	flood(5000);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_DISK);
}

/* ---- users and links ------------------------------------------------------------------------- */

static unsigned long long status_line(pid_t pid, const char *key, int base)
{
	char path[64], line[256];
	unsigned long long value = 1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)))
			value = strtoull(line + strlen(key), NULL, base);
	}
	fclose(file);
	return value;
}

static void as_nobody(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	struct list list;
	struct stat status;
	pid_t pid;

	(void)state;
	if (!nobody) {
		print_message("    there is no user nobody\n");
		skip();
	}
	assert_int_equal(mkdir("mine", 0700), 0);
	assert_int_equal(mkdir("his", 0755), 0);
	assert_int_equal(chown("his", nobody->pw_uid, nobody->pw_gid), 0);
	/* Where nobody may not write, root's rights must not help. */
	ASSERT_CODE(run_npf("dump -i va -w mine/a.pcap --user nobody --duration 10ms"), EXIT_DISK);
	pid = START_DUMP("-w his/a.pcap --user nobody --rotate-packets 1000 --files 5");
	assert_int_equal(status_line(pid, "Uid:", 10), nobody->pw_uid);
	assert_int_equal(status_line(pid, "Gid:", 10), nobody->pw_gid);
	assert_int_equal(status_line(pid, "CapEff:", 16), 0);
	assert_int_equal(status_line(pid, "CapPrm:", 16), 0);
	assert_int_equal(status_line(pid, "CapInh:", 16), 0);
	assert_int_equal(status_line(pid, "NoNewPrivs:", 10), 1);
	flood(frames);
	ASSERT_CODE(stop(pid, SIGINT), EXIT_OK);
	assert_int_equal(said("0 packets dropped"), 1);
	assert_int_equal(chdir("his"), 0);
	find_files(&list, ".", ".pcap");
	assert_int_equal(list.n, 5);
	assert_flood(&list, frames - 5000, frames);
	for (size_t i = 0; i < list.n; i++) {
		assert_int_equal(stat(list.names[i], &status), 0);
		assert_int_equal(status.st_uid, nobody->pw_uid);
		assert_int_equal(status.st_gid, nobody->pw_gid);
		assert_int_equal(status.st_mode & 077, 0);
	}
	assert_int_equal(chdir(".."), 0);
	ASSERT_CODE(run_npf("dump -i va -w his/b.pcap --user root"), EXIT_USAGE);
	ASSERT_CODE(run_npf("dump -i va -w his/b.pcap --user nosuchuser"), EXIT_USAGE);
}

/* What somebody planted in a directory that everybody may write to. */
static void planted(void **state)
{
	const uid_t somebody = 12345;

	(void)state;
	assert_int_equal(mkdir("shared", 0777), 0);
	assert_int_equal(chmod("shared", 01777), 0);
	assert_int_equal(system("echo precious >target"), 0);
	assert_int_equal(symlink("../target", "shared/a.pcap"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/a.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(said("symbolic link"), 1);
	assert_int_equal(symlink("../target", "shared/b.pcap.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/b.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(said(".part exists"), 1);
	assert_int_equal(symlink("../new", "shared/c.pcap.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/c.pcap --duration 10ms"), EXIT_DISK);
	assert_false(exists("new"));
	/* Numbers step aside. */
	assert_int_equal(symlink("../target", "shared/d-00001.pcap"), 0);
	assert_int_equal(symlink("../target", "shared/d-00002.pcap.part"), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/d.pcap --rotate-size 1M --duration 10ms"),
		    EXIT_OK);
	assert_true(exists("shared/d-00003.pcap"));
	assert_int_equal(system("echo his >shared/e.pcap"), 0);
	assert_int_equal(chown("shared/e.pcap", somebody, somebody), 0);
	ASSERT_CODE(run_npf("dump -i va -w shared/e.pcap --duration 10ms"), EXIT_DISK);
	assert_int_equal(said("somebody else"), 1);
	assert_int_equal(mkfifo("shared/f.pcap", 0666), 0);
	assert_int_equal(chown("shared/f.pcap", somebody, somebody), 0);
	int reader = open("shared/f.pcap", O_RDONLY | O_NONBLOCK);

	ASSERT_CODE(run_npf("dump -i va -w shared/f.pcap --duration 10ms"), EXIT_DISK);
	close(reader);
	assert_int_equal(size_of("target"), 9);
}

int main(int argc, char **argv)
{
	const char *slow = getenv("NPF_TEST_PACKETS");
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(one_file),
		TEST(by_packets),
		TEST(by_size),
		TEST(by_time),
		TEST(ring_of_files),
		TEST(limits),
		TEST(conservation),
		TEST(compressed),
		TEST(signals),
		TEST(killed),
		TEST(repair_waits_for_the_dump),
		TEST(adapter_goes),
		TEST(older_file_stays_until_the_end),
		TEST(pipes),
		TEST(disk_full),
		TEST(memory_disk),
		TEST(directory_removed),
		TEST(as_nobody),
		TEST(planted),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: dump_tool NPF\n");
		return 2;
	}
	npf = realpath(argv[1], NULL); /* the tests change the directory */
	if (!npf) {
		perror(argv[1]);
		return 2;
	}
	if (slow && strtoull(slow, NULL, 10) < FRAMES)
		frames = LEAST;
	net_require();
	return cmocka_run_group_tests_name("npf dump", tests, NULL, NULL);
}
