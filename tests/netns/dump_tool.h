/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf dump run on real interfaces and real file systems: floods of numbered frames for it, what it
 * said, and what is in its files.
 *
 * $NPF_TEST_PACKETS, where it is less than usual, makes floods shorter for machines that are slow.
 */
#ifndef NPF_DUMP_TOOL_H
#define NPF_DUMP_TOOL_H

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
#include <sys/resource.h>
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

static inline int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static inline void find_files(struct list *list, const char *directory, const char *suffix)
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

static inline bool exists(const char *name)
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
static inline unsigned int said(const char *text)
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

static inline _Noreturn void become(char **argv, int out)
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
static inline pid_t start_npf(int out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline pid_t start_npf(int out, const char *format, ...)
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

static inline int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline bool has_ended(pid_t pid)
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

static inline int run_npf(const char *line)
{
	return end_of(start_npf(-1, "%s", line));
}

static inline void flood_with(uint64_t count, uint32_t length)
{
	const struct net_flood flood = { .side = NET_THERE,
					 .name = "vb",
					 .cpu = -1,
					 .sender = 1,
					 .length = length,
					 .count = count };

	net_flood_run(&world, &flood);
}

static inline void flood(uint64_t count)
{
	flood_with(count, LENGTH);
}

static inline int stop(pid_t pid, int signal_number)
{
	assert_int_equal(kill(pid, signal_number), 0);
	return end_of(pid);
}

static inline void show_log(void)
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
static inline void assert_flood(const struct list *list, uint64_t first, uint64_t end)
{
	for (size_t i = 0; i < list->n; i++)
		read_file(list->names[i], &first);
	assert_int_equal(first, end);
}

static inline int system_quietly(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline int system_quietly(const char *format, ...)
{
	char command[1024];
	va_list arguments;
	size_t n;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	n = strlen(command);
	snprintf(command + n, sizeof(command) - n, " >/dev/null 2>&1");
	return system(command);
}

static inline bool installed(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return !system(command);
}

/* Other programs read it to its end and complain of nothing. */
static inline void assert_readable(const char *name)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
	char command[128];

	(void)state;
	net_world_destroy(&world);
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return chdir("/") || system(command);
}

/* A file system of this test's own at ./fs (what: for who reads why not); what does not outlive it needs no unmounting. */
static inline bool mount_here(const char *what, const char *command)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		print_message("    no mount namespaces here\n");
		return false;
	}
	assert_int_equal(mkdir("fs", 0777), 0);
	if (!system(command))
		return true;
	print_message("    cannot make and mount %s here\n", what);
	return false;
}

static inline void unmount_here(void)
{
	assert_int_equal(umount2("fs", MNT_DETACH), 0);
}

/* A number of the summary in JSON. */
static inline uint64_t told(const char *key)
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

/* main() of a program of such tests, which gets the path of npf. */
static inline int run_dump_tests(int argc, char **argv, const char *name,
				 const struct CMUnitTest *tests, size_t n)
{
	const char *slow = getenv("NPF_TEST_PACKETS");

	if (argc != 2) {
		fprintf(stderr, "usage: %s NPF\n", argv[0]);
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
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
