/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances that a fork has as well: each process sends its own frames, all of them and no others, by
 * ways of its own, and claims what it sent; the other's go on as if it were alone.
 */
#include "lib/forks.h"
#include "netns/sending.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define WINDOW  600u /* frames of a call: worth a fast way */
#define WARM    NPF_SEND_MANY
#define MOST    60000u /* frames of one sender */
#define WAIT_NS (PATIENCE_MS * UINT64_C(1000000))

enum { PARENT, CHILD, SENDERS };

/* What a fork tells, in memory that both have. */
struct report {
	uint32_t said, heard; /* words to the child and from it; atomic */
	int err;
	char error[NPF_ERROR_SIZE];
	uint64_t went;
	struct npf_send_stats before, stats; /* of this process alone, stats without those before */
	uint64_t wrong;
};

/* And one behind it. */
static struct report *new_report(void)
{
	struct report *report = mmap(NULL, 2 * sizeof(*report), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(report != MAP_FAILED);
	return report;
}

static void say(uint32_t *word)
{
	__atomic_fetch_add(word, 1, __ATOMIC_RELEASE);
}

static bool is_said(const uint32_t *word, uint32_t n)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) >= n;
}

/* Of the parent, without which no child lives. */
static void await_word(const uint32_t *word, uint32_t n)
{
	while (!is_said(word, n))
		usleep(200);
}

/* Of a child, which may have died. */
static void await_child(pid_t child, const uint32_t *word, uint32_t n)
{
	siginfo_t end = { 0 };

	while (!is_said(word, n) && !end.si_pid) {
		assert_int_equal(waitid(P_PID, (id_t)child, &end, WEXITED | WNOHANG | WNOWAIT), 0);
		usleep(200);
	}
	assert_true(is_said(word, n));
}

/* ---- sending -------------------------------------------------------------------------------- */

static uint32_t length_of(uint64_t n)
{
	return NET_LEAST_FRAME + (uint32_t)(n * 13 % 400);
}

/* n frames of this sender, of which the first is number first. */
static int send_from(struct npf_instance *instance, uint32_t sender, uint64_t first, uint64_t n,
		     struct report *report)
{
	static uint8_t bytes[WINDOW][NET_LEAST_FRAME + 400];
	struct npf_send_frame frames[WINDOW];
	size_t sent = WINDOW;
	int err = 0;

	for (uint64_t at = 0; at < n && !err; at += sent) {
		size_t some = n - at < WINDOW ? n - at : WINDOW;

		for (size_t i = 0; i < some; i++) {
			struct net_flood flood = { .side = NET_HERE,
						   .sender = sender,
						   .length = length_of(first + at + i) };

			net_flood_frame(&flood, first + at + i, bytes[i]);
			frames[i] = (struct npf_send_frame){ bytes[i], flood.length, 0 };
		}
		err = npf_send_frames(instance, frames, some, &sent);
		report->went += sent;
	}
	if (err)
		snprintf(report->error, sizeof(report->error), "%s", npf_error(instance));
	return err;
}

/* Send, and tell what this process claims of it; conclude() once nobody sends beside it any more: frames in
 * the socket that both have count as its own. */
static void begin(struct npf_instance *instance, uint32_t sender, uint64_t first, uint64_t n,
		  struct report *report)
{
	report->err = npf_get_send_stats(instance, &report->before);
	if (!report->err)
		report->err = send_from(instance, sender, first, n, report);
}

static void conclude(struct npf_instance *instance, struct report *report)
{
	struct npf_send_stats *stats = &report->stats;
	int err = npf_wait_sent(instance, WAIT_NS);

	report->err = report->err ? report->err : err;
	err = npf_get_send_stats(instance, stats);
	report->err = report->err ? report->err : err;
	stats->asked -= report->before.asked;
	stats->handed -= report->before.handed;
	stats->confirmed -= report->before.confirmed;
	for (size_t i = 0; i < NPF_SEND_PATHS; i++)
		stats->by_path[i] -= report->before.by_path[i];
}

static void send_all(struct npf_instance *instance, uint32_t sender, uint64_t first, uint64_t n,
		     struct report *report)
{
	begin(instance, sender, first, n, report);
	conclude(instance, report);
}

static void expect_handed(const struct report *report, uint64_t n)
{
	if (report->err)
		fail_msg("%d: %s", report->err, report->error);
	assert_int_equal(report->went, n);
	assert_int_equal(report->stats.asked, n);
	assert_int_equal(report->stats.handed, n);
	assert_in_range(report->stats.confirmed, 0, n);
}

static void expect_claimed(const struct report *report, uint64_t n)
{
	expect_handed(report, n);
	assert_int_equal(report->stats.confirmed, n);
}

static void expect_path(const struct report *report, enum npf_send_path path)
{
	if (path != NPF_SEND_AUTO)
		assert_int_equal(report->stats.by_path[path], report->stats.handed);
}

/* Have the parent make its ways. */
static void warm(struct bench *bench)
{
	struct report report = { 0 };

	assert_int_equal(send_from(bench->near, 7, bench->seen, WARM, &report), 0);
	bench->seen += WARM;
	assert_int_equal(npf_wait_sent(bench->near, WAIT_NS), 0);
}

/* ---- the far end ---------------------------------------------------------------------------- */

struct arrived {
	bool frames[SENDERS][MOST];
	uint64_t n[SENDERS], warm, total;
	bool mixed; /* two processes are one sender */
};

static void count_frame(struct arrived *arrived, const struct npf_packet *packet)
{
	uint32_t sender;
	uint64_t sequence;

	assert_true(net_flood_read(packet->data, packet->caplen, &sender, &sequence));
	assert_true(has_addresses(packet));
	assert_int_equal(packet->len, length_of(sequence));
	arrived->total++;
	if (sender == 7) {
		arrived->warm++;
		return;
	}
	assert_true(sender < SENDERS && sequence < MOST);
	assert_false(arrived->frames[sender][sequence]);
	if (!arrived->mixed)
		assert_int_equal(sequence, arrived->n[sender]);
	arrived->frames[sender][sequence] = true;
	arrived->n[sender]++;
}

static void expect_frames_of(struct bench *bench, uint64_t parent, uint64_t child, bool mixed)
{
	struct arrived *arrived = calloc(1, sizeof(*arrived));
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct npf_packet packet;

	assert_non_null(arrived);
	arrived->mixed = mixed;
	while (arrived->total < parent + child + bench->seen && now_ms() < deadline) {
		if (npf_batch_begin(bench->far) <= 0)
			continue;
		while (npf_batch_next(bench->far, &packet))
			count_frame(arrived, &packet);
		npf_batch_end(bench->far);
	}
	assert_int_equal(npf_batch_begin(bench->far), 0);
	assert_int_equal(arrived->warm, bench->seen);
	assert_int_equal(arrived->n[PARENT], parent);
	assert_int_equal(arrived->n[CHILD], child);
	for (uint64_t i = 0; i < parent; i++)
		assert_true(arrived->frames[PARENT][i]);
	for (uint64_t i = 0; i < child; i++)
		assert_true(arrived->frames[CHILD][i]);
	bench->seen = 0;
	free(arrived);
}

/* The first so many of each have come since the last time, each once and in order, and nothing else but
 * what warmed. */
static void expect_arrived(struct bench *bench, uint64_t parent, uint64_t child)
{
	expect_frames_of(bench, parent, child, false);
}

/* ---- forks ---------------------------------------------------------------------------------- */

typedef void (*child_runs)(struct bench *bench, uint64_t n, struct report *report);

static pid_t start(struct bench *bench, child_runs run, uint64_t n, struct report *report)
{
	pid_t pid = forks_begin();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody waiting */
	run(bench, n, report);
	fflush(NULL);
	_exit(0);
}

static void child_sends_and_closes(struct bench *bench, uint64_t n, struct report *report)
{
	send_all(bench->near, CHILD, 0, n, report);
	npf_close(bench->near);
}

/* While the parent has the queue nobody else sends by AF_XDP: forced, that is refused, and AUTO has
 * other ways. */
static void child_is_refused(struct bench *bench, uint64_t n, struct report *report)
{
	send_all(bench->near, CHILD, 0, n, report);
	report->wrong = report->err != -ENOTSUP || report->went || report->stats.handed;
	report->wrong += npf_set_send_path(bench->near, NPF_SEND_XSK) != -ENOTSUP;
	report->wrong += npf_set_send_path(bench->near, NPF_SEND_FASTEST) != 0;
	*report = (struct report){ .wrong = report->wrong };
	send_all(bench->near, CHILD, 0, n, report);
	npf_close(bench->near);
}

static child_runs runs_by(enum npf_send_path path)
{
	return path == NPF_SEND_XSK ? child_is_refused : child_sends_and_closes;
}

static void expect_child(const struct report *report, uint64_t n, enum npf_send_path path)
{
	assert_int_equal(report->wrong, 0);
	expect_handed(report, n);
	if (path != NPF_SEND_XSK)
		expect_path(report, path);
	else
		assert_int_equal(report->stats.by_path[NPF_SEND_XSK], 0);
}

static void expect_lone_child(const struct report *report, uint64_t n, enum npf_send_path path)
{
	expect_child(report, n, path);
	expect_claimed(report, n);
}

static uint64_t some(void)
{
	uint64_t n = many(3 * WARM);

	return n < MOST ? n : MOST;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void child_alone(struct bench *bench, enum npf_send_path path)
{
	struct report *report = new_report();

	warm(bench);
	forks_join(start(bench, runs_by(path), some(), report));
	expect_lone_child(report, some(), path);
	expect_arrived(bench, 0, some());
}

static void child_sends_one(struct bench *bench, uint64_t n, struct report *report)
{
	send_all(bench->near, CHILD, 0, n, report);
}

/* It has none of the parent's ways, and makes none for so little. */
static void a_single_frame_of_a_child_goes_by_socket(void **state)
{
	struct bench *bench = *state;
	struct report *report = new_report();

	need_path(bench->near, NPF_SEND_XDP);
	assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_AUTO), 0);
	warm(bench);
	warm(bench);
	assert_int_equal(npf_get_send_path(bench->near), NPF_SEND_XDP);
	forks_join(start(bench, child_sends_one, 1, report));
	expect_claimed(report, 1);
	expect_path(report, NPF_SEND_SOCKET);
	expect_arrived(bench, 0, 1);
}

/* What the child did and closed is not felt by the parent. */
static void parent_afterwards(struct bench *bench, enum npf_send_path path)
{
	struct report *report = new_report(), own = { 0 };

	warm(bench);
	for (int round = 0; round < 2; round++) {
		*report = own = (struct report){ 0 };
		forks_join(start(bench, runs_by(path), some(), report));
		expect_lone_child(report, some(), path);
		send_all(bench->near, PARENT, 0, some(), &own);
		expect_claimed(&own, some());
		expect_path(&own, path);
		expect_arrived(bench, some(), some());
	}
}

static void both_at_once(struct bench *bench, enum npf_send_path path)
{
	struct report *report = new_report(), own = { 0 };
	pid_t pid;

	warm(bench);
	pid = start(bench, runs_by(path), some(), report);
	begin(bench->near, PARENT, 0, some(), &own);
	forks_join(pid);
	conclude(bench->near, &own);
	expect_child(report, some(), path);
	expect_claimed(&own, some());
	expect_path(&own, path);
	expect_arrived(bench, some(), some());
}

/* What the parent had is free when it has closed it, and the child has let go. */
static void child_inherits(struct bench *bench, uint64_t n, struct report *report)
{
	enum npf_send_path path = (enum npf_send_path)report->wrong;

	await_word(&report->said, 1);
	(void)npf_set_send_path(bench->near, NPF_SEND_CLONE); /* lets go at the latest here */
	while (path != NPF_SEND_AUTO && npf_set_send_path(bench->near, path))
		usleep(1000);
	send_all(bench->near, CHILD, 0, n, report);
	npf_close(bench->near);
}

static void child_outlives(struct bench *bench, enum npf_send_path path)
{
	struct report *report = new_report();
	pid_t pid;

	warm(bench);
	report->wrong = path;
	pid = start(bench, child_inherits, some(), report);
	close_on(bench, bench->near);
	bench->near = NULL;
	say(&report->said);
	forks_join(pid);
	report->wrong = 0;
	expect_claimed(report, some());
	expect_path(report, path);
	expect_arrived(bench, 0, some());
}

/* As daemon() does it. */
static void child_goes_on(struct bench *bench, uint64_t n, struct report *report)
{
	await_word(&report->said, 1);
	send_all(bench->near, CHILD, 0, n, report);
	npf_close(bench->near);
}

/* The last of the parent's queue is closed by the child, and the kernel lets go of it some time later. */
static void a_parent_that_ends(void **state)
{
	struct bench *bench = *state;
	struct report *report = new_report();
	pid_t pid;

	need_path(bench->near, NPF_SEND_XSK);
	warm(bench);
	pid = start(bench, child_goes_on, some(), report);
	close_on(bench, bench->near);
	bench->near = NULL;
	say(&report->said);
	forks_join(pid);
	expect_claimed(report, some());
	expect_path(report, NPF_SEND_XSK);
	expect_arrived(bench, 0, some());
}

/* ---- a fork of a fork ------------------------------------------------------------------------ */

#define SHARE (4 * WINDOW)

static void grandchild_sends(struct bench *bench, uint64_t n, struct report *report)
{
	send_all(bench->near, CHILD, n, n, report + 1);
}

static void child_forks(struct bench *bench, uint64_t n, struct report *report)
{
	struct report last = { 0 };
	int status = -1;
	pid_t pid;

	send_all(bench->near, CHILD, 0, n, report);
	pid = start(bench, grandchild_sends, n, report);
	send_all(bench->near, CHILD, 2 * n, n, &last);
	report->wrong = waitpid(pid, &status, 0) != pid || status || last.went != n;
}

static void three_generations(struct bench *bench, enum npf_send_path path)
{
	struct report *reports = new_report(), own = { 0 };
	pid_t pid;

	if (path == NPF_SEND_XSK) /* one process only has it */
		assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_FASTEST), 0);
	warm(bench);
	pid = start(bench, child_forks, SHARE, reports);
	begin(bench->near, PARENT, 0, SHARE, &own);
	forks_join(pid);
	conclude(bench->near, &own);
	assert_int_equal(reports[0].wrong, 0);
	expect_handed(&reports[0], SHARE);
	expect_handed(&reports[1], SHARE);
	expect_claimed(&own, SHARE);
	expect_frames_of(bench, SHARE, 3 * SHARE, true);
}

/* ---- another namespace ----------------------------------------------------------------------- */

static void elsewhere_sends(struct bench *bench, uint64_t n, struct report *report)
{
	report->wrong = unshare(CLONE_NEWNET) != 0;
	report->wrong += npf_check_send_path(bench->near, NPF_SEND_CLONE, report->error) !=
			 -ENOTSUP;
	send_all(bench->near, CHILD, 0, n, report);
	npf_close(bench->near);
}

/* Who cannot ask the adapter claims nothing of it, and disturbs nobody who can. */
static void a_child_in_another_namespace(void **state)
{
	struct bench *bench = *state;
	struct report *report = new_report(), own = { 0 };
	pid_t pid;

	warm(bench);
	pid = start(bench, elsewhere_sends, some(), report);
	begin(bench->near, PARENT, 0, some(), &own);
	forks_join(pid);
	conclude(bench->near, &own);
	expect_claimed(&own, some());
	assert_int_equal(report->wrong, 0);
	assert_int_equal(report->err, 0);
	assert_int_equal(report->went, some());
	assert_int_equal(report->stats.by_path[NPF_SEND_SOCKET], some());
	assert_int_equal(report->stats.confirmed, 0);
	expect_arrived(bench, some(), some());
}

/* ---- questions ------------------------------------------------------------------------------- */

/* How often the kernel's answer is another. */
static uint64_t ask_often(struct npf_instance *instance, uint64_t n, int right)
{
	struct npf_send_stats stats;
	uint64_t wrong = 0;
	char reason[NPF_ERROR_SIZE];

	for (uint64_t i = 0; i < n; i++) {
		wrong += npf_check_send_path(instance, NPF_SEND_CLONE, reason) != 0;
		wrong += npf_check_send_path(instance, NPF_SEND_XDP, reason) != right;
		wrong += npf_get_send_stats(instance, &stats) != 0;
	}
	return wrong;
}

static void child_asks(struct bench *bench, uint64_t n, struct report *report)
{
	report->wrong = ask_often(bench->near, n, 0);
	say(&report->heard);
	await_word(&report->said, 1);
	report->wrong += ask_often(bench->near, n, -EBUSY);
}

/* Who would miss the frames each is told, though both ask at once. */
static void both_ask_at_once(void **state)
{
	struct bench *bench = *state;
	struct report *report = new_report();
	uint64_t n = many(1000) < 1000 ? many(1000) : 1000;
	uint64_t wrong;
	int listener;
	pid_t pid;

	need_path(bench->near, NPF_SEND_CLONE);
	need_path(bench->near, NPF_SEND_XDP);
	pid = start(bench, child_asks, n, report);
	wrong = ask_often(bench->near, n, 0);
	await_child(pid, &report->heard, 1);
	listener = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(listener >= 0);
	say(&report->said);
	wrong += ask_often(bench->near, n, -EBUSY);
	forks_join(pid);
	close(listener);
	assert_int_equal(wrong, 0);
	assert_int_equal(report->wrong, 0);
}

/* ---- the adapter's end ----------------------------------------------------------------------- */

static uint64_t count_confirmed(struct npf_instance *instance)
{
	struct npf_send_stats stats;

	return npf_get_send_stats(instance, &stats) ? 0 : stats.confirmed;
}

static void child_hears_of_the_end(struct bench *bench, uint64_t n, struct report *report)
{
	struct npf_adapter adapter;

	await_word(&report->said, 1);
	report->wrong = npf_instance_adapter(bench->near, &adapter) != -ENODEV;
	report->wrong += count_confirmed(bench->near) != n;
}

/* Whoever looks first takes it from nobody: not the news, and not what the adapter had counted. */
static void both_hear_of_the_end(void **state)
{
	static const uint8_t rest[NET_LEAST_FRAME];
	struct bench *bench = *state;
	struct report *report = new_report(), own = { 0 };
	struct npf_adapter adapter;
	pid_t pid;

	set_polling(bench,
		    false); /* it would count what its peer has taken, which is there till then only */
	assert_int_equal(send_from(bench->near, PARENT, 0, 10, &own), 0);
	pid = start(bench, child_hears_of_the_end, 10, report);
	net_run(&bench->net, NET_HERE, "ip link del va");
	say(&report->said);
	forks_join(pid);
	assert_int_equal(report->wrong, 0);
	assert_int_equal(npf_wait_for_rest(bench->near, rest, sizeof(rest),
					   npf_send_clock(bench->near) + WAIT_NS / 5),
			 -ENODEV);
	assert_int_equal(npf_instance_adapter(bench->near, &adapter), -ENODEV);
	assert_int_equal(count_confirmed(bench->near), 10);
}

/* ---- all paths ------------------------------------------------------------------------------- */

static void on_each_path(struct bench *bench,
			 void (*test)(struct bench *bench, enum npf_send_path path))
{
	for (size_t i = 0; i < N_OF(paths); i++) {
		if (!take_path(bench->near, paths[i]))
			continue;
		printf("by %s\n", npf_send_path_name(paths[i]));
		test(bench, paths[i]);
		if (bench->near)
			close_on(bench, bench->near);
		bench->near = open_on(bench, NET_HERE, "va", NPF_OPEN_SEND_ONLY);
	}
}

#define ON_EACH_PATH(test)                                                                         \
	static void test##_on_each_path(void **state)                                              \
	{                                                                                          \
		on_each_path(*state, test);                                                        \
	}

ON_EACH_PATH(child_alone)
ON_EACH_PATH(parent_afterwards)
ON_EACH_PATH(both_at_once)
ON_EACH_PATH(child_outlives)
ON_EACH_PATH(three_generations)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(child_alone_on_each_path),
		SEND_TEST(parent_afterwards_on_each_path),
		SEND_TEST(both_at_once_on_each_path),
		SEND_TEST(child_outlives_on_each_path),
		SEND_TEST(a_parent_that_ends),
		SEND_TEST(three_generations_on_each_path),
		SEND_TEST(a_child_in_another_namespace),
		SEND_TEST(both_ask_at_once),
		SEND_TEST(both_hear_of_the_end),
		SEND_TEST(a_single_frame_of_a_child_goes_by_socket),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
