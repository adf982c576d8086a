/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Senders as child processes, all on the sender's CPU and through the same device. Rates are the
 * receiving device's counter over a time in the middle of a run, so that neither starting nor
 * reading files is part of them. Times are the kernel's receive stamps at the far end.
 *
 * What the receiver does with a packet happens on the sender's CPU, and takes longer than sending it
 * the fastest way. So a repeated frame is measured with two receivers: the kernel's stack, and a
 * program that takes packets away before it. Beside them the bench's own live frames, from a program
 * that redirects and does nothing else: no program that sends this way can be faster.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "trace.h"

#define READY_MS   5000 /* a sender whose packets have not come by then has failed */
#define STOP_MS    5000
#define WARM_MS    100
#define RATE_X     2 /* times as long as other bursts */
#define DRAIN_MS   20
#define DISTINCT   20000
#define LONG_ONES  4000
#define PACED_NS   UINT64_C(2000000000)
#define US         UINT64_C(1000)
#define DRIFT_N    100   /* packets at either end that tell of drift */
#define PACED_MOST 30000 /* ms that a paced run may take */

#define RECEIVER_ROOM (256 << 20) /* bytes of a packet socket: all packets of a paced run */

enum { TRACE_ONE, TRACE_64, TRACE_1514, TRACE_GAPS, TRACE_MILLI, N_TRACES };
static const char *const trace_names[N_TRACES] = { "ONE", "MANY-64", "MANY-1514", "GAPS", "MILLI" };

#define TCPREPLAY "tcpreplay", "-q", "-i", "va", "-K"
#define REPLAY    "NPF", "replay", "-i", "va", "-K"

static const char *const send_one[] = { "NPF", "send", "-i",      "va", "--file",
					"ONE", "-n",   "forever", NULL };
static const char *const send_socket[] = { "NPF", "send",    "-i",     "va",     "--file", "ONE",
					   "-n",  "forever", "--path", "socket", NULL };
static const char *const send_clone[] = { "NPF", "send",    "-i",     "va",    "--file", "ONE",
					  "-n",  "forever", "--path", "clone", NULL };
/* Its default is the way past the queueing discipline. FRAME is what the others send. */
static const char *const trafgen[] = {
	"trafgen", "-o", "va", "--cpus", "1", "-n", "0", "FRAME", NULL,
};
static const char *const tcpreplay_repeat[] = { "tcpreplay", "-q",       "-i",      "va",
						"-t",        "--loop=0", "MANY-64", NULL };
static const char *const tcpreplay_one[] = { "tcpreplay", "-q",       "-i",  "va",
					     "-t",        "--loop=0", "ONE", NULL };
static const char *const tcpreplay_64[] = { TCPREPLAY, "-t", "--loop=0", "MANY-64", NULL };
static const char *const tcpreplay_1514[] = { TCPREPLAY, "-t", "--loop=0", "MANY-1514", NULL };
static const char *const replay_64[] = { REPLAY, "-t", "-l", "0", "MANY-64", NULL };
static const char *const replay_64_socket[] = { REPLAY,    "-t",     "-l",     "0",
						"MANY-64", "--path", "socket", NULL };
static const char *const replay_64_clone[] = { REPLAY,    "-t",     "-l",    "0",
					       "MANY-64", "--path", "clone", NULL };
static const char *const replay_1514[] = { REPLAY, "-t", "-l", "0", "MANY-1514", NULL };
static const char *const replay_1514_socket[] = { REPLAY,      "-t",     "-l",     "0",
						  "MANY-1514", "--path", "socket", NULL };
static const char *const replay_1514_clone[] = { REPLAY,      "-t",     "-l",    "0",
						 "MANY-1514", "--path", "clone", NULL };
static const char *const tcpreplay_gaps[] = { TCPREPLAY, "GAPS", NULL };
static const char *const replay_gaps[] = { REPLAY, "GAPS", NULL };

const struct injector rate_injectors[N_RATES] = {
	[RATE_SEND] = { "npf send", "npf_send", 64, send_one },
	[RATE_SEND_SOCKET] = { "npf send, by socket", "npf_send_socket", 64, send_socket },
	[RATE_SEND_CLONE] = { "npf send, as clones", "npf_send_clone", 64, send_clone },
	[RATE_TRAFGEN] = { "trafgen", "trafgen", 64, trafgen },
	[RATE_TCPREPLAY] = { "tcpreplay --topspeed", "tcpreplay_64_from_file", 64,
			     tcpreplay_repeat },
	[RATE_TCPREPLAY_ONE] = { "tcpreplay --topspeed, one packet", "tcpreplay_one_packet", 64,
				 tcpreplay_one },
	[RATE_LIVE] = { "live frames, bare", "live_frames", 64, NULL },
	[RATE_TCPREPLAY_64] = { "tcpreplay --topspeed -K", "tcpreplay_64", 64, tcpreplay_64 },
	[RATE_REPLAY_64] = { "npf replay -t -K", "npf_replay_64", 64, replay_64 },
	[RATE_REPLAY_64_SOCKET] = { "npf replay -t -K, by socket", "npf_replay_64_socket", 64,
				    replay_64_socket },
	[RATE_REPLAY_64_CLONE] = { "npf replay -t -K, as clones", "npf_replay_64_clone", 64,
				   replay_64_clone },
	[RATE_TCPREPLAY_1514] = { "tcpreplay --topspeed -K", "tcpreplay_1514", 1514,
				  tcpreplay_1514 },
	[RATE_REPLAY_1514] = { "npf replay -t -K", "npf_replay_1514", 1514, replay_1514 },
	[RATE_REPLAY_1514_SOCKET] = { "npf replay -t -K, by socket", "npf_replay_1514_socket", 1514,
				      replay_1514_socket },
	[RATE_REPLAY_1514_CLONE] = { "npf replay -t -K, as clones", "npf_replay_1514_clone", 1514,
				     replay_1514_clone },
	[RATE_SEND_DROPPED] = { "npf send", "npf_send_dropped", 64, send_one },
	[RATE_TRAFGEN_DROPPED] = { "trafgen", "trafgen_dropped", 64, trafgen },
	[RATE_TCPREPLAY_DROPPED] = { "tcpreplay --topspeed", "tcpreplay_64_from_file_dropped", 64,
				     tcpreplay_repeat },
	[RATE_TCPREPLAY_ONE_DROPPED] = { "tcpreplay --topspeed, one packet",
					 "tcpreplay_one_packet_dropped", 64, tcpreplay_one },
	[RATE_TCPREPLAY_64_DROPPED] = { "tcpreplay --topspeed -K", "tcpreplay_64_dropped", 64,
					tcpreplay_64 },
	[RATE_LIVE_DROPPED] = { "live frames, bare", "live_frames_dropped", 64, NULL },
};
const struct injector paced_injectors[N_PACED] = {
	[PACED_TCPREPLAY] = { "tcpreplay -K", "tcpreplay", 0, tcpreplay_gaps },
	[PACED_REPLAY] = { "npf replay -K", "npf_replay", 0, replay_gaps },
};

struct inject {
	struct injection *injection;
	struct sender *sender;
	const struct world *world;
	const char *npf;
	unsigned int ms;
	void (*missing)(void *data, const char *label, const char *why);
	void *data;
	struct trace traces[N_TRACES];
	char frame[64 * 6 + 8]; /* in trafgen's words */
	bool broken_rate[N_RATES], broken_paced[N_PACED];
};

struct sending_child {
	pid_t pid;
	int end; /* readable when it has ended */
	int log;
	clockid_t clock;
};

/* ---- child processes ------------------------------------------------------------------------- */

static const char *resolve(const struct inject *inject, const char *word)
{
	if (!strcmp(word, "NPF"))
		return inject->npf;
	if (!strcmp(word, "FRAME"))
		return inject->frame;
	for (int i = 0; i < N_TRACES; i++) {
		if (!strcmp(word, trace_names[i]))
			return inject->traces[i].path;
	}
	return word;
}

static void become(const struct inject *inject, const char *const *words, int log, pid_t parent)
{
	const char *argv[32];
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	setpgid(0, 0); /* some send in processes of their own */
	signal(SIGINT, SIG_DFL);
	for (; words[n] && n < 31; n++)
		argv[n] = resolve(inject, words[n]);
	argv[n] = NULL;
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(log, 1);
	dup2(log, 2);
	execvp(argv[0], (char *const *)argv);
	warn("%s", argv[0]);
	_exit(127);
}

/* It inherits our CPU, which is the sender's, and our namespace. */
static void start(const struct inject *inject, struct sending_child *child, const char *const *words)
{
	pid_t self = getpid();

	child->log = memfd_create("log", MFD_CLOEXEC);
	if (child->log < 0)
		err(1, "memfd_create");
	child->pid = fork();
	if (child->pid < 0)
		err(1, "fork");
	if (!child->pid)
		become(inject, words, child->log, self);
	setpgid(child->pid, child->pid); /* whoever of us comes first */
	child->end = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->end < 0 || clock_getcpuclockid(child->pid, &child->clock))
		err(1, "a child process");
}

static bool wait_end(const struct sending_child *child, int ms)
{
	struct pollfd end = { .fd = child->end, .events = POLLIN };
	int ready;

	do
		ready = poll(&end, 1, ms);
	while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static void reap(struct sending_child *child)
{
	kill(-child->pid, SIGKILL); /* those that it left behind */
	waitpid(child->pid, NULL, 0);
	close(child->end);
	close(child->log);
}

static void stop(struct sending_child *child)
{
	kill(-child->pid, SIGINT);
	wait_end(child, STOP_MS);
	reap(child);
}

/* What it said last, before reap(). */
static void last_words(const struct sending_child *child, char *why, size_t size)
{
	char text[4096], *line;
	ssize_t n = pread(child->log, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	snprintf(why, size, "%.150s", *line ? line : "none of its packets came");
}

/* Until packets come; false when it ended before or never sends any. */
static bool wait_packets(const struct inject *inject, const struct sending_child *child,
			 uint64_t before)
{
	for (unsigned int ms = 0; ms < READY_MS; ms += 2) {
		if (world_delivered(inject->world) > before)
			return true;
		if (wait_end(child, 2))
			return world_delivered(inject->world) > before;
	}
	return false;
}

/* One that did not do what it should. Always false. */
static bool give_up(const struct inject *inject, struct sending_child *child, const char *label)
{
	char why[160];

	kill(-child->pid, SIGKILL);
	wait_end(child, STOP_MS);
	last_words(child, why, sizeof(why));
	inject->missing(inject->data, label, why);
	return false;
}

/* Let it end by itself. False when it does not, or not well. */
static bool finish(const struct inject *inject, struct sending_child *child, const char *label)
{
	siginfo_t info = { 0 };
	bool good = wait_end(child, PACED_MOST) &&
		    !waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) &&
		    info.si_code == CLD_EXITED && !info.si_status;

	good = good || give_up(inject, child, label);
	reap(child);
	return good;
}

/* ---- rates ----------------------------------------------------------------------------------- */

static void measure_live(struct inject *inject, unsigned int r)
{
	struct burst burst;

	if (!sender_has(inject->sender, LIVE_FRAMES))
		return;
	sender_burst(inject->sender, LIVE_FRAMES, rate_injectors[r].size, inject->ms * RATE_X,
		     &burst);
	series_add(&inject->injection->rate[r],
		   (double)burst.delivered * 1e3 / (double)burst.wall_ns);
}

static void measure_rate(struct inject *inject, unsigned int r)
{
	uint64_t before = world_delivered(inject->world), packets, time;
	struct sending_child child;

	if (!rate_injectors[r].argv) {
		measure_live(inject, r);
		return;
	}
	if (inject->broken_rate[r])
		return;
	start(inject, &child, rate_injectors[r].argv);
	if (!wait_packets(inject, &child, before)) {
		inject->broken_rate[r] = !give_up(inject, &child, rate_injectors[r].label);
		reap(&child);
		return;
	}
	sleep_ms(WARM_MS);
	packets = world_delivered(inject->world);
	time = clock_ns(CLOCK_MONOTONIC);
	sleep_ms(inject->ms * RATE_X);
	packets = world_delivered(inject->world) - packets;
	time = clock_ns(CLOCK_MONOTONIC) - time;
	stop(&child);
	series_add(&inject->injection->rate[r], (double)packets * 1e3 / (double)time);
}

/* Each round begins with another of the rows. */
static void measure_rates(struct inject *inject, unsigned int round, unsigned int from,
			  unsigned int to)
{
	for (unsigned int i = 0; i < to - from; i++)
		measure_rate(inject, from + (round + i) % (to - from));
}

static void measure_dropped(struct inject *inject, unsigned int round)
{
	int drop = world_drop_packets(inject->world);

	if (drop < 0) {
		if (!round)
			inject->missing(inject->data, "senders whose receiver drops in XDP",
					strerror(-drop));
		return;
	}
	measure_rates(inject, round, RATE_DROPPED, N_RATES);
	close(drop);
}

/* ---- times ----------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* How far n packets are from their times, in the median, us. */
static double offset(const uint64_t *wanted, const uint64_t *got, size_t n)
{
	double offsets[DRIFT_N];

	for (size_t i = 0; i < n; i++)
		offsets[i] = (double)(int64_t)(got[i] - wanted[i]) / 1e3;
	qsort(offsets, n, sizeof(*offsets), by_value);
	return offsets[n / 2];
}

static void judge_times(struct paced *paced, const uint64_t *wanted, size_t n, const uint64_t *got)
{
	double *errors = calloc(n, sizeof(*errors));

	if (!errors)
		err(1, "calloc");
	for (size_t i = 1; i < n; i++)
		errors[i - 1] = fabs((double)(int64_t)((got[i] - got[i - 1]) -
						       (wanted[i] - wanted[i - 1]))) /
				1e3;
	qsort(errors, n - 1, sizeof(*errors), by_value);
	series_add(&paced->p50, errors[(n - 1) / 2]);
	series_add(&paced->p99, errors[(n - 1) * 99 / 100]);
	series_add(&paced->drift, fabs(offset(wanted + n - DRIFT_N, got + n - DRIFT_N, DRIFT_N) -
				       offset(wanted, got, DRIFT_N)));
	free(errors);
}

/* Of the kernel, when the device received them. Nobody is woken and no timer set for the receiver's
 * sake: a capture would run on the sender's CPU just when the next packet is due. */
static int open_receiver(const struct inject *inject)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)inject->world->vb };
	int room = RECEIVER_ROOM, on = 1, fd;

	world_enter_tap(inject->world);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "packet socket on vb");
	world_leave_tap(inject->world);
	return fd;
}

/* false: there is none any more. */
static bool receive_time(int fd, uint64_t *time)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(struct timespec))];
	} control;
	struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *at;
	struct timespec stamp;

	if (recvmsg(fd, &message, MSG_DONTWAIT) < 0)
		return false;
	at = CMSG_FIRSTHDR(&message);
	if (!at || at->cmsg_type != SCM_TIMESTAMPNS)
		errx(1, "a packet without a time stamp");
	memcpy(&stamp, CMSG_DATA(at), sizeof(stamp));
	*time = (uint64_t)stamp.tv_sec * 1000000000 + (uint64_t)stamp.tv_nsec;
	return true;
}

static void compare_times(struct inject *inject, struct paced *paced, int receiver)
{
	size_t n, arrived = 0;
	uint64_t *wanted = trace_times(inject->traces[TRACE_GAPS].fd, &n);
	uint64_t *got = calloc(n + 1, sizeof(*got));

	if (!wanted || !got)
		errx(1, "the times of a trace");
	while (arrived <= n && receive_time(receiver, &got[arrived]))
		arrived++;
	paced->wanted += n;
	paced->arrived += arrived;
	if (n > 2 * DRIFT_N && arrived == n)
		judge_times(paced, wanted, n, got);
	free(wanted);
	free(got);
}

static void measure_gaps(struct inject *inject, unsigned int p)
{
	struct sending_child child;
	int receiver;

	if (inject->broken_paced[p])
		return;
	receiver = open_receiver(inject);
	start(inject, &child, paced_injectors[p].argv);
	inject->broken_paced[p] = !finish(inject, &child, paced_injectors[p].label);
	sleep_ms(DRAIN_MS);
	if (!inject->broken_paced[p])
		compare_times(inject, &inject->injection->paced[p], receiver);
	close(receiver);
}

/* The same command, but with the trace of 1 ms gaps. */
static void measure_cpu(struct inject *inject, unsigned int p)
{
	uint64_t before = world_delivered(inject->world), cpu, time, cpu_end;
	const char *argv[16];
	struct sending_child child;
	size_t n = 0;

	if (inject->broken_paced[p])
		return;
	for (; paced_injectors[p].argv[n + 1] && n < 14; n++)
		argv[n] = paced_injectors[p].argv[n];
	argv[n] = "MILLI";
	argv[n + 1] = NULL;
	start(inject, &child, argv);
	if (!wait_packets(inject, &child, before)) {
		inject->broken_paced[p] = !give_up(inject, &child, paced_injectors[p].label);
		reap(&child);
		return;
	}
	cpu = clock_ns(child.clock);
	time = clock_ns(CLOCK_MONOTONIC);
	sleep_ms((unsigned int)(PACED_NS / 1000000 * 3 / 4));
	cpu_end = clock_ns(child.clock);
	time = clock_ns(CLOCK_MONOTONIC) - time;
	stop(&child);
	if (cpu_end > cpu)
		series_add(&inject->injection->paced[p].cpu_percent,
			   100.0 * (double)(cpu_end - cpu) / (double)time);
}

/* ---- all together ---------------------------------------------------------------------------- */

static void describe_frame(char *text)
{
	uint8_t frame[64];

	sender_make_frame(frame, sizeof(frame));
	text += sprintf(text, "{");
	for (size_t i = 0; i < sizeof(frame); i++)
		text += sprintf(text, "%s0x%02x", i ? ", " : " ", frame[i]);
	strcpy(text, " }");
}

static void make_traces(struct inject *inject)
{
	describe_frame(inject->frame);
	trace_distinct(&inject->traces[TRACE_ONE], 64, 1);
	trace_distinct(&inject->traces[TRACE_64], 64, DISTINCT);
	trace_distinct(&inject->traces[TRACE_1514], 1514, LONG_ONES);
	trace_gaps(&inject->traces[TRACE_GAPS], 10 * US, 500 * US, PACED_NS);
	trace_gaps(&inject->traces[TRACE_MILLI], 1000 * US, 1000 * US, PACED_NS);
}

void inject_measure(struct injection *injection, struct sender *sender, const char *npf,
		    unsigned int rounds, unsigned int ms,
		    void (*missing)(void *data, const char *label, const char *why), void *data)
{
	static struct inject inject;

	inject.injection = injection;
	inject.sender = sender;
	inject.world = sender->world;
	inject.npf = npf;
	inject.ms = ms;
	inject.missing = missing;
	inject.data = data;
	make_traces(&inject);
	for (unsigned int round = 0; round < rounds; round++) {
		progress("injection", round, rounds);
		measure_rates(&inject, round, 0, RATE_DROPPED);
		measure_dropped(&inject, round);
		for (unsigned int i = 0; i < N_PACED; i++) {
			measure_gaps(&inject, (round + i) % N_PACED);
			measure_cpu(&inject, (round + i) % N_PACED);
		}
	}
	for (int i = 0; i < N_TRACES; i++)
		close(inject.traces[i].fd);
}
