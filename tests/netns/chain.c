/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances of one process on one adapter share the kernel's call where the hook can (tcx), and are
 * what they would be alone all the same: each sees every frame that its filter takes, once and in
 * order, whoever beside it opens, closes, takes another filter, forks or is killed.
 */
#include "netns/wire.h"

#include <bpf/bpf.h>
#include <cap-ng.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SIZE        100u
#define FEW         20u
#define TCX_INGRESS 46
#define TCX_EGRESS  47

/* ---- filters: every n-th frame --------------------------------------------------------------- */

static const struct npf_insn all_insns[] = { INSN_RET(0xFFFFFFFF) };
static const struct npf_insn none_insns[] = { INSN_LD_B(0), INSN_RET(0) };
static const struct npf_program none = PROGRAM(none_insns);

static const struct every {
	uint32_t step, rest;
	struct npf_program program;
} filters[] = {
	{ 1, 0, PROGRAM(all_insns) },
	{ 2, 1, PROGRAM(wire_odd_insns) },
	{ 4, 0, PROGRAM(wire_fourth_insns) },
};

static bool takes(const struct every *filter, uint32_t number)
{
	return number % filter->step == filter->rest;
}

static uint32_t number_of(const uint8_t *frame)
{
	const uint8_t *at = frame + FRAME_NUMBER_AT;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- instances one after the other ----------------------------------------------------------- */

static struct npf_instance *open_with(struct wire *wire, const struct every *filter)
{
	struct npf_instance *instance = wire_open(wire, "va");

	assert_int_equal(npf_set_buffer(instance, 1u << 16), 0);
	assert_int_equal(npf_set_filter(instance, &filter->program), 0);
	assert_int_equal(npf_set_timeout(instance, -1), 0);
	return instance;
}

/* Of frames first ... first + n - 1 those that it takes are there, and nothing else. */
static void expect(struct wire *wire, struct npf_instance *instance, const struct every *filter,
		   uint32_t first, uint32_t n)
{
	struct records records = wire_read(wire, instance);

	for (uint32_t i = first; i < first + n; i++) {
		if (!takes(filter, i))
			continue;
		assert_true(records_next(&records));
		wire_assert_plain(records.data, records.hdr.caplen, i, SIZE);
		assert_int_equal(records.hdr.datalen, SIZE);
	}
	assert_false(records_next(&records));
}

/* How many programs the kernel calls at a place; 0 where it knows no such place. */
static uint32_t programs_at(int place)
{
	LIBBPF_OPTS(bpf_prog_query_opts, query);

	if (bpf_prog_query_opts((int)if_nametoindex("va"), (enum bpf_attach_type)place, &query))
		return 0;
	return query.prog_cnt;
}

static void expect_links(const struct wire *wire, uint32_t n)
{
	if (wire->hook != NPF_HOOK_TCX)
		return;
	assert_int_equal(programs_at(TCX_INGRESS), n);
	assert_int_equal(programs_at(TCX_EGRESS), n);
}

#define MOST 40u

/* Instances, and what was sent since each of them counts. */
struct row {
	struct wire *wire;
	uint32_t n, sent;
	struct npf_instance *instances[MOST];
	const struct every *filters[MOST];
	uint32_t received[MOST];
};

static void row_open(struct row *row, const struct every *filter)
{
	assert_true(row->n < MOST);
	row->instances[row->n] = open_with(row->wire, filter);
	row->filters[row->n] = filter;
	row->received[row->n++] = 0;
}

static void row_close(struct row *row, uint32_t which)
{
	npf_close(row->instances[which]);
	row->n--;
	for (uint32_t i = which; i < row->n; i++) {
		row->instances[i] = row->instances[i + 1];
		row->filters[i] = row->filters[i + 1];
		row->received[i] = row->received[i + 1];
	}
}

static void row_filter(struct row *row, uint32_t which, const struct every *filter)
{
	assert_int_equal(npf_set_filter(row->instances[which], &filter->program), 0);
	row->filters[which] = filter;
	row->received[which] = 0;
}

/* n frames from first on have come to all. */
static void row_expect(struct row *row, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < row->n; i++) {
		row->received[i] += n;
		wire_received(row->instances[i], row->received[i]);
		expect(row->wire, row->instances[i], row->filters[i], first, n);
	}
	row->sent = first + n;
}

static void row_check(struct row *row)
{
	wire_send_plain(row->wire, row->sent, FEW, SIZE);
	row_expect(row, row->sent, FEW);
}

static void row_end(struct row *row)
{
	while (row->n)
		row_close(row, 0);
}

static void one_link(void **state)
{
	struct row row = { .wire = wire_of(state) };

	/* The wire's own instance, which nothing was asked of, is the first. */
	for (uint32_t i = 0; i < 5; i++) {
		row_open(&row, &filters[i % N_OF(filters)]);
		row_check(&row);
		expect_links(row.wire, 1);
	}
	for (uint32_t i = 0; i < 5; i++) {
		row_filter(&row, i, &filters[(i + 1) % N_OF(filters)]);
		row_check(&row);
	}
	assert_int_equal(npf_set_buffer(row.instances[2], 1u << 17), 0);
	row.received[2] = 0;
	row_check(&row);

	row_close(&row, 2); /* amid others */
	row_check(&row);
	row_close(&row, 3); /* the last */
	row_check(&row);
	npf_close(row.wire->instance); /* the first */
	row.wire->instance = NULL;
	row_check(&row);
	expect_links(row.wire, 1);
	row_close(&row, 0); /* the first again */
	row_open(&row, &filters[0]);
	row_check(&row);
	expect_links(row.wire, 1);
	row_end(&row);
	expect_links(row.wire, 0);
	row.wire->instance = open_with(row.wire, &filters[0]);
}

/* More than the kernel allows to jump. */
static void many(void **state)
{
	const struct rlimit files = { 1 << 14, 1 << 14 };
	struct row row = { .wire = wire_of(state) };

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	while (row.n < MOST)
		row_open(&row, &filters[row.n % N_OF(filters)]);
	expect_links(row.wire, 2);
	row_check(&row);
	while (row.n > 4) {
		row_close(&row, row.n * 7 % row.n);
		row_close(&row, row.n / 2);
		row_close(&row, row.n - 1);
	}
	row_check(&row);
	row_end(&row);
	expect_links(row.wire, 1);
}

/* Another program came before us: who is opened then comes before it, as if alone. */
static void behind_another(void **state)
{
	static const struct npf_insn reject[] = { INSN_RET(0) };
	struct row row = { .wire = wire_of(state) };
	struct npf_driver *driver;
	struct npf_instance *other;
	struct npf_open_options options = { .size = sizeof(options), .hook = row.wire->hook };
	struct npf_program program = PROGRAM(reject);

	row_open(&row, &filters[0]);
	expect_links(row.wire, 1);

	/* A host of its own: nothing that the first may jump to. */
	struct npf_host *host = npf_host_linux();

	assert_non_null(host);
	assert_int_equal(npf_driver_entry(host, &driver), 0);
	assert_int_equal(npf_open(driver, "va", &options, &other, NULL), 0);
	assert_int_equal(npf_set_filter(other, &program), 0);
	expect_links(row.wire, 2);
	row_open(&row, &filters[1]);
	expect_links(row.wire, 3);
	row_open(&row, &filters[2]);
	expect_links(row.wire, 3);
	row_check(&row);
	npf_close(other);
	expect_links(row.wire, 2);
	row_check(&row);
	row_end(&row);
	assert_int_equal(npf_unload(driver), 0);
	npf_host_linux_free(host);
}

/* ---- other processes ------------------------------------------------------------------------- */

/* A world whose instances a fork can use: on tpacket it lacks their thread. */
static struct wire *wire_that_forks(void **state)
{
	struct wire *wire = wire_of(state);

	if (wire->hook == NPF_HOOK_TPACKET) {
		printf("no thread of tpacket is in a fork\n");
		skip();
	}
	return wire;
}

/* Run in a fork, which fails as the test does. */
static void in_fork(void (*run)(struct row *row), struct row *row)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		run(row);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void close_all(struct row *row)
{
	row_end(row);
	npf_close(row->wire->instance);
}

static void open_own(struct row *row)
{
	row->n = 0;
	row_open(row, &filters[0]);
	row_check(row);
	expect_links(row->wire, 2);
	row_end(row);
}

/* What a fork does with what it inherited is not felt by who opened it. */
static void forks_that_close(void **state)
{
	struct row row = { .wire = wire_that_forks(state) };

	for (uint32_t i = 0; i < 3; i++)
		row_open(&row, &filters[i]);
	in_fork(close_all, &row);
	row_check(&row);
	in_fork(open_own, &row);
	row_expect(&row, row.sent, FEW);
	row_filter(&row, 1, &filters[0]);
	row_close(&row, 0);
	row_check(&row);
	expect_links(row.wire, 1);
	row_end(&row);
}

static void await_word(int pipe)
{
	char word;

	assert_int_equal(read(pipe, &word, 1), 1);
}

/* The middle of three, which the parent has closed by now; then it has gone wholly. */
static void go_on(struct row *row, int go)
{
	npf_close(row->wire->instance);
	row_close(row, 2);
	row_close(row, 0);
	await_word(go);
	row_expect(row, 0, FEW);
	row_filter(row, 0, &filters[1]);
	row_check(row);
	await_word(go);
	wire_read(row->wire, row->instances[0]);
	row_filter(row, 0, &filters[2]);
	row_check(row);
	row_end(row);
}

/* Each process goes on with one of several, and closes the others. */
static void forks_that_go_on(void **state)
{
	struct row row = { .wire = wire_that_forks(state) };
	int go[2], status;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	for (uint32_t i = 0; i < 3; i++)
		row_open(&row, &filters[0]);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		go_on(&row, go[0]);
		_exit(0);
	}
	row_close(&row, 1);
	row_close(&row, 0);
	npf_close(row.wire->instance);
	row.wire->instance = NULL;
	row_check(&row);
	assert_int_equal(write(go[1], "!", 1), 1);
	row_expect(&row, FEW, FEW); /* of the fork */
	row_filter(&row, 0, &filters[1]);
	row_check(&row);
	row_end(&row);
	assert_int_equal(write(go[1], "!", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	expect_links(row.wire, 0);
}

/* Close one that a fork has open, too, and then end the fork. */
static void close_and_end_fork(struct row *row)
{
	char reason[NPF_ERROR_SIZE] = "";
	int go[2], status;
	pid_t pid;

	row_open(row, &filters[0]);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		await_word(go[0]);
		_exit(0);
	}
	row_end(row);
	assert_int_equal(npf_check_send_path(row->wire->instance, NPF_SEND_XDP, reason), -EBUSY);
	assert_int_equal(write(go[1], "!", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
}

/* It stays attached until both have closed it, and who remains notices when he changes something, or
 * opens another. Whether it is there is what the path for sends tells. */
static void forks_that_end_later(void **state)
{
	struct row row = { .wire = wire_that_forks(state) };
	const uint32_t hide = NPF_DISABLE_LOOPBACK;
	struct npf_instance *remains = row.wire->instance;
	char reason[NPF_ERROR_SIZE] = "";

	assert_int_equal(npf_io_control(remains, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL, 0,
					NULL),
			 0);
	if (npf_check_send_path(remains, NPF_SEND_XDP, reason)) {
		printf("%s\n", reason);
		skip();
	}
	close_and_end_fork(&row);
	assert_int_equal(npf_set_filter(remains, &none), 0);
	assert_int_equal(npf_check_send_path(remains, NPF_SEND_XDP, reason), 0);

	/* Opened since: nobody comes to a link that a fork has. */
	npf_close(remains);
	remains = row.wire->instance = wire_open(row.wire, "va");
	assert_int_equal(npf_io_control(remains, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL, 0,
					NULL),
			 0);
	close_and_end_fork(&row);
	row_open(&row, &filters[0]);
	row_end(&row);
	assert_int_equal(npf_check_send_path(remains, NPF_SEND_XDP, reason), 0);
}

#define FORKS 60u

/* Threads that open, change and close while others fork. */
struct bustle {
	struct wire *wire;
	bool over, failed; /* atomic */
};

static void *bustle(void *arg)
{
	struct bustle *b = arg;
	struct npf_open_options options = { .size = sizeof(options), .hook = b->wire->hook };
	struct npf_instance *instance;

	while (!__atomic_load_n(&b->over, __ATOMIC_ACQUIRE)) {
		if (npf_open(b->wire->driver, "va", &options, &instance, NULL)) {
			__atomic_store_n(&b->failed, true, __ATOMIC_RELEASE);
			break;
		}
		for (uint32_t i = 0; i < 4; i++) {
			if (npf_set_filter(instance, &filters[i % N_OF(filters)].program))
				__atomic_store_n(&b->failed, true, __ATOMIC_RELEASE);
		}
		npf_close(instance);
	}
	return NULL;
}

/* The alarm ends who hangs. */
static void close_in_time(struct row *row)
{
	alarm(600);
	row_end(row);
}

/* A fork closes what it inherited, whatever other threads were at when it was made. What it closes is of
 * a driver that they leave alone: the lock of theirs is a matter of its own (CAVEATS.md). */
static void forks_amid_changes(void **state)
{
	struct bustle busy = { .wire = wire_that_forks(state) };
	struct npf_open_options options = { .size = sizeof(options), .hook = busy.wire->hook };
	struct row row = { .wire = busy.wire, .n = 2 };
	struct npf_driver *driver;
	pthread_t threads[2];

	assert_int_equal(npf_driver_entry(busy.wire->host, &driver), 0);
	for (uint32_t i = 0; i < row.n; i++)
		assert_int_equal(npf_open(driver, "va", &options, &row.instances[i], NULL), 0);
	for (uint32_t i = 0; i < N_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, bustle, &busy), 0);
	for (uint32_t i = 0; i < FORKS; i++)
		in_fork(close_in_time, &row);
	__atomic_store_n(&busy.over, true, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < N_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_false(busy.failed);
	row_end(&row);
	assert_int_equal(npf_unload(driver), 0);
	expect_links(busy.wire, 1);
}

/* Open one, which a fork keeps until it is told, and one more; then be killed. */
static void open_and_be_killed(struct row *row, int ready, int go)
{
	pid_t pid;

	row_open(row, &filters[0]);
	pid = fork();
	assert_true(pid >= 0);
	alarm(600); /* for tests that fail */
	if (!pid) {
		await_word(go);
		row_end(row);
		assert_int_equal(write(ready, "!", 1), 1);
		_exit(0);
	}
	row_open(row, &filters[0]);
	assert_int_equal(write(ready, "!", 1), 1);
	for (;;)
		pause();
}

static void await_links(const struct wire *wire, uint32_t n)
{
	while (wire->hook == NPF_HOOK_TCX && programs_at(TCX_INGRESS) != n)
		wire_nap();
	expect_links(wire, n);
}

/* What was opened after a fork depends on no instance that the fork has: it goes with its process. */
static void killed_after_a_fork(void **state)
{
	struct row row = { .wire = wire_that_forks(state) };
	int ready[2], go[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		open_and_be_killed(&row, ready[1], go[0]);
	close(ready[1]);
	await_word(ready[0]);
	expect_links(row.wire, 3);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	await_links(row.wire, 2);
	assert_int_equal(write(go[1], "!", 1), 1);
	await_word(ready[0]);
	await_links(row.wire, 1);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

static void close_without_rights(struct row *row)
{
	for (uint32_t i = 0; i < 4; i++)
		row_open(row, &filters[i % N_OF(filters)]);
	expect_links(row->wire, 2);
	capng_clear(CAPNG_SELECT_BOTH);
	assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
	row_close(row, 1);
	row_close(row, 0);
	row_check(row);
	row_close(row, 1);
	row_check(row);
	row_end(row);
}

/* A process may give up its rights once all is open. */
static void rights_given_up(void **state)
{
	struct row row = { .wire = wire_of(state) };

	in_fork(close_without_rights, &row);
	expect_links(row.wire, 1);
}

/* Any number of them open, and one of them sends what another is to see: its own sends are hidden
 * from itself, and still do not go where captures see nothing. */
static void sends_are_seen_by_all(void **state)
{
	struct row row = { .wire = wire_of(state) };
	const uint32_t hide = NPF_DISABLE_LOOPBACK;
	struct npf_instance *sender = row.wire->instance;
	char reason[NPF_ERROR_SIZE] = "";
	int alone;

	assert_int_equal(npf_io_control(sender, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL, 0,
					NULL),
			 0);
	alone = npf_check_send_path(sender, NPF_SEND_XDP, reason);
	row_open(&row, &filters[0]);
	if (alone)
		print_message("    %s\n", reason);
	else
		assert_int_equal(npf_check_send_path(sender, NPF_SEND_XDP, reason), -EBUSY);
	row_end(&row);
	assert_int_equal(npf_check_send_path(sender, NPF_SEND_XDP, reason), alone);
}

/* ---- adapters that go ------------------------------------------------------------------------ */

/* Another adapter has the name and the number. */
static void make_another(struct row *row, uint32_t index)
{
	net_run(&row->wire->net, NET_HERE,
		"ip link add va address 02:00:00:00:00:0a index %u type veth peer name vc", index);
	net_run(&row->wire->net, NET_HERE, "ip link set va up");
	net_run(&row->wire->net, NET_HERE, "ip link set vc up");
	close(row->wire->far);
	row->wire->far = net_sender(&row->wire->net, NET_HERE, "vc");
}

static void after_the_end(struct row *row, uint32_t index)
{
	struct row again = { .wire = row->wire };

	make_another(row, index);
	row_open(&again, &filters[0]);
	expect_links(row->wire, 1);
	row_check(&again);
	row_open(&again, &filters[1]);
	row_check(&again);
	row_close(row, 1);
	row_check(&again);
	row_end(row);
	row_check(&again);
	row_end(&again);
	expect_links(row->wire, 0);
}

static void unplugged(void **state)
{
	struct row row = { .wire = wire_of(state) };
	uint32_t index = if_nametoindex("va");

	row_open(&row, &filters[0]);
	row_open(&row, &filters[1]);
	row_check(&row);
	net_run(&row.wire->net, NET_HERE, "ip link del va");
	if (row.wire->hook == NPF_HOOK_TCX)
		assert_int_equal(npf_set_filter(row.instances[1], &none), -ENODEV);
	after_the_end(&row, index);
}

/* The taps go along with it, and the place is another's. */
static void moved(void **state)
{
	struct row row = { .wire = wire_of(state) };
	uint32_t index = if_nametoindex("va");

	row_open(&row, &filters[0]);
	row_open(&row, &filters[1]);
	row_check(&row);
	net_run(&row.wire->net, NET_HERE, "ip link set va netns /proc/%d/fd/%d", (int)getpid(),
		row.wire->net.sides[NET_THERE]);
	after_the_end(&row, index);
}

/* ---- all at once ------------------------------------------------------------------------------ */

#define ACTORS  4u
#define LIVES   12u
#define STRETCH 200u  /* frames that a filter is looked at for, at least */
#define AHEAD   2000u /* how far the sender is before the last reader; the buffers hold more */
#define NOBODY  UINT32_MAX

struct actor {
	struct crowd *crowd;
	pthread_t thread;
	uint32_t seed;
	uint32_t at;     /* the number that it has read up to; NOBODY: it reads none now. Atomic */
	uint32_t looked; /* frames */
	const char *wrong; /* NULL: nothing */
	uint8_t buffer[1u << 18];
};

struct crowd {
	struct wire *wire;
	bool all_reject; /* some frames are nobody's: no filter takes all */
	struct actor actors[ACTORS];
	uint32_t sent; /* atomic */
	bool over;     /* atomic */
};

static uint32_t sent(const struct crowd *crowd)
{
	return __atomic_load_n(&crowd->sent, __ATOMIC_ACQUIRE);
}

static uint32_t slowest(const struct crowd *crowd)
{
	uint32_t least = NOBODY;

	for (uint32_t i = 0; i < ACTORS; i++) {
		uint32_t at = __atomic_load_n(&crowd->actors[i].at, __ATOMIC_ACQUIRE);

		least = at < least ? at : least;
	}
	return least;
}

static void *send_all(void *arg)
{
	struct crowd *crowd = arg;

	while (!__atomic_load_n(&crowd->over, __ATOMIC_ACQUIRE)) {
		uint32_t least = slowest(crowd), number = crowd->sent;

		if (least != NOBODY && number > least && number - least > AHEAD) {
			wire_nap();
			continue;
		}
		wire_send_plain(crowd->wire, number, 1, SIZE);
		__atomic_store_n(&crowd->sent, number + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static uint32_t next_random(struct actor *actor, uint32_t below)
{
	actor->seed = actor->seed * 1664525u + 1013904223u;
	return (actor->seed >> 16) % below;
}

/* Read what is there: it goes on from *expected. NOBODY is for the first, which comes after begun, where
 * one may have been on its way. */
static const char *look(struct actor *actor, struct npf_instance *instance,
			const struct every *filter, uint32_t begun, uint32_t *expected)
{
	int64_t n = npf_read(instance, actor->buffer, sizeof(actor->buffer));
	struct records records = { .at = actor->buffer, .left = (size_t)n };

	if (n < 0)
		return "a read failed";
	while (records.left && records_next(&records)) {
		uint32_t number = number_of(records.data);

		if (!takes(filter, number))
			return "a frame that the filter does not take";
		if (*expected == NOBODY && number > begun + filter->step)
			return "the first frames are missing";
		if (*expected != NOBODY && number > *expected)
			return "a frame is missing";
		if (*expected != NOBODY && number < *expected)
			return "a frame came twice, or late";
		*expected = number + filter->step;
		actor->looked++;
	}
	return NULL;
}

/* From one filter to the next. */
static const char *stretch(struct actor *actor, struct npf_instance *instance,
			   const struct every *filter)
{
	struct crowd *crowd = actor->crowd;
	uint32_t expected = NOBODY, begun, until;
	const char *wrong = NULL;
	struct npf_stats stats;

	__atomic_store_n(&actor->at, sent(crowd), __ATOMIC_RELEASE);
	if (npf_set_filter(instance, &filter->program))
		return npf_error(instance);
	begun = sent(crowd);
	__atomic_store_n(&actor->at, begun, __ATOMIC_RELEASE);
	until = begun + STRETCH + next_random(actor, STRETCH);
	while (!wrong && (expected == NOBODY || expected < until)) {
		if (__atomic_load_n(&crowd->over, __ATOMIC_ACQUIRE))
			return "the others ended";
		wrong = look(actor, instance, filter, begun, &expected);
		if (expected != NOBODY)
			__atomic_store_n(&actor->at, expected, __ATOMIC_RELEASE);
		sched_yield();
	}
	if (wrong)
		return wrong;
	if (npf_get_stats(instance, &stats))
		return "no statistics";
	if (stats.received != stats.filtered + stats.captured + stats.dropped)
		return "the counters disagree";
	return stats.dropped ? "a frame was dropped" : NULL;
}

static const struct every *any_filter(struct actor *actor)
{
	uint32_t first = actor->crowd->all_reject;

	return &filters[first + next_random(actor, N_OF(filters) - first)];
}

static const char *live(struct actor *actor)
{
	struct npf_open_options options = { .size = sizeof(options),
					    .hook = actor->crowd->wire->hook };
	uint32_t stretches = 1 + next_random(actor, 4);
	struct npf_instance *instance;
	const char *wrong = NULL;

	if (npf_open(actor->crowd->wire->driver, "va", &options, &instance, NULL))
		return "an open failed";
	if (npf_set_buffer(instance, 1u << 20) || npf_set_timeout(instance, -1))
		wrong = "no buffer";
	for (uint32_t i = 0; i < stretches && !wrong; i++)
		wrong = stretch(actor, instance, any_filter(actor));
	__atomic_store_n(&actor->at, NOBODY, __ATOMIC_RELEASE);
	npf_close(instance);
	return wrong;
}

static void *act(void *arg)
{
	struct actor *actor = arg;

	for (uint32_t i = 0; i < LIVES && !actor->wrong; i++)
		actor->wrong = live(actor);
	return NULL;
}

/* Each lives and dies while others do, so that each of them was first, amid others and last. */
static void run_crowd(struct crowd *crowd)
{
	uint32_t looked = 0;
	pthread_t sender;

	for (uint32_t i = 0; i < ACTORS; i++) {
		crowd->actors[i] = (struct actor){ .crowd = crowd, .seed = i, .at = NOBODY };
		assert_int_equal(pthread_create(&crowd->actors[i].thread, NULL, act,
						&crowd->actors[i]),
				 0);
	}
	assert_int_equal(pthread_create(&sender, NULL, send_all, crowd), 0);
	for (uint32_t i = 0; i < ACTORS; i++)
		pthread_join(crowd->actors[i].thread, NULL);
	__atomic_store_n(&crowd->over, true, __ATOMIC_RELEASE);
	pthread_join(sender, NULL);
	for (uint32_t i = 0; i < ACTORS; i++) {
		if (crowd->actors[i].wrong)
			print_message("%u: %s\n", i, crowd->actors[i].wrong);
		assert_null(crowd->actors[i].wrong);
		looked += crowd->actors[i].looked;
	}
	print_message("    %u of %u frames\n", looked, crowd->sent);
	expect_links(crowd->wire, 1);
}

static void all_at_once(void **state)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	assert_non_null(crowd);
	crowd->wire = wire_of(state);
	run_crowd(crowd);
	free(crowd);
}

/* All have filters that can be asked together, which only tcx does; one stays, and counts every frame. */
static void all_at_once_rejecting(void **state)
{
	struct wire *wire = wire_of(state);
	struct crowd *crowd;

	if (wire->hook != NPF_HOOK_TCX) {
		printf("about tcx alone\n");
		skip();
	}
	crowd = calloc(1, sizeof(*crowd));
	assert_non_null(crowd);
	crowd->wire = wire;
	crowd->all_reject = true;
	assert_int_equal(npf_set_filter(crowd->wire->instance, &none), 0);
	run_crowd(crowd);
	wire_received(crowd->wire->instance, crowd->sent);
	assert_int_equal(wire_stats(crowd->wire->instance).filtered, crowd->sent);
	free(crowd);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "one link", one_link },
		{ "more than may jump", many },
		{ "behind another program", behind_another },
		{ "forks that close", forks_that_close },
		{ "forks that go on", forks_that_go_on },
		{ "forks that end later", forks_that_end_later },
		{ "forks amid changes", forks_amid_changes },
		{ "killed after a fork", killed_after_a_fork },
		{ "rights given up", rights_given_up },
		{ "sends are seen by all", sends_are_seen_by_all },
		{ "the adapter goes, and another is its number", unplugged },
		{ "the adapter moves away", moved },
		{ "all at once", all_at_once },
		{ "all at once, with frames that nobody takes", all_at_once_rejecting },
	};

	return wire_run("chain", tests, N_OF(tests), N_OF(wire_hooks));
}
