/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fork does with what it has of its parent's: it lets go of it at once, and is refused what needs a
 * thread that it lacks. The parent's captures, dumps and news of adapters feel nothing of that.
 */
#include "driver/core.h"
#include "host/linux/ebpf.h"
#include "lib/forks.h"
#include "netns/dump.h"

#include <pthread.h>
#include <signal.h>

#define FEW   40u
#define FORKS 9

/* In a fork, which must not go on to the next test. */
#define FORK_HOLDS(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%d: in the fork: %s\n", __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

typedef void (*fork_runs)(struct wire *wire);

/* One that waits for a thread that it has not ends by the alarm. */
static pid_t start_fork(struct wire *wire, fork_runs run)
{
	pid_t pid = forks_begin();

	if (pid)
		return pid;
	alarm(PATIENCE_MS / 1000);
	run(wire);
	_exit(0);
}

static void in_fork(struct wire *wire, fork_runs run)
{
	forks_join(start_fork(wire, run));
}

/* ---- closing -------------------------------------------------------------------------------- */

static void close_all(struct wire *wire)
{
	npf_close(wire->instance);
	FORK_HOLDS(!npf_unload(wire->driver));
	npf_host_linux_free(wire->host);
}

/* The odd ones of FEW, and nobody is told of more. */
static void expect_odd(struct wire *wire, uint32_t first)
{
	struct records records = wire_read(wire, wire->instance);

	for (uint32_t i = first; i < first + FEW; i++) {
		if (i % 2 == 0)
			continue;
		assert_true(records_next(&records));
		wire_assert_plain(records.data, records.hdr.caplen, i, 60);
	}
	assert_false(records_next(&records));
	assert_int_equal(npf_read(wire->instance, wire->buffer, sizeof(wire->buffer)), 0);
	assert_false(wire_readable(npf_poll_fd(wire->instance)));
}

static void closes(void **state)
{
	struct wire *wire = wire_capturing(state);

	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	for (uint32_t round = 0; round < 3; round++) {
		wire_send_plain(wire, 2 * round * FEW, FEW, 60);
		wire_received(wire->instance, 2 * round * FEW + FEW);
		if (round)
			in_fork(wire, close_all);
		expect_odd(wire, 2 * round * FEW);
		in_fork(wire, close_all);
		assert_false(wire_readable(npf_poll_fd(wire->instance)));
		wire_send_plain(wire, (2 * round + 1) * FEW, FEW, 60);
		wire_received(wire->instance, (2 * round + 2) * FEW);
		expect_odd(wire, (2 * round + 1) * FEW);
	}
	assert_int_equal(wire_stats(wire->instance).dropped, 0);
}

/* Whatever is held and half done when the fork is made. */
static void closes_amid_a_flood(void **state)
{
	struct wire *wire = wire_capturing(state);
	struct net_flood flood = {
		.side = NET_THERE, .name = "vb", .cpu = -1, .length = 100, .count = flood_size()
	};
	pid_t forks[FORKS], sender = net_flood_start(&wire->net, &flood);
	struct npf_stats stats;

	for (int i = 0; i < FORKS; i++) {
		forks[i] = start_fork(wire, close_all);
		wire_read(wire, wire->instance);
	}
	for (int i = 0; i < FORKS; i++)
		forks_join(forks[i]);
	net_flood_join(sender);
	wire_received(wire->instance, flood.count);
	stats = wire_stats(wire->instance);
	assert_int_equal(flood.count, stats.filtered + stats.captured + stats.dropped);
	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	wire_send_plain(wire, 0, FEW, 60);
	wire_received(wire->instance, FEW);
	expect_odd(wire, 0);
}

/* ---- opening -------------------------------------------------------------------------------- */

static void open_own(struct wire *wire)
{
	struct npf_instance *inherited = wire->instance;

	FORK_HOLDS(!wire_try_open(wire, "va", &wire->instance));
	FORK_HOLDS(!npf_set_buffer(wire->instance, WIRE_BUFFER));
	FORK_HOLDS(!npf_set_filter(wire->instance, &wire_fourth));
	npf_close(wire->instance);
	wire->instance = inherited;
	close_all(wire);
}

static const struct npf_system_ops *usual;
static pthread_t lister;
static bool amid; /* atomic */

/* Linger where a device is made. */
static void *slow_alloc(struct npf_host *host, size_t size)
{
	if (size == sizeof(struct npf_device) && pthread_equal(pthread_self(), lister)) {
		__atomic_store_n(&amid, true, __ATOMIC_RELEASE);
		for (int i = 0; i < 200; i++)
			wire_nap();
	}
	return usual->alloc(host, size);
}

static void *list_once(void *arg)
{
	struct npf_driver *driver = arg;
	struct npf_adapter *list;
	size_t n;

	lister = pthread_self();
	if (!npf_get_adapters_list(driver, &list, &n))
		npf_free_adapters_list(driver, list);
	return NULL;
}

/* What another thread is amid in the driver a fork waits for: its own list and its end find that whole. */
static void amid_a_list(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_system_ops system = *wire->host->system;
	pthread_t thread;

	net_run(&wire->net, NET_HERE, "ip link add new type veth peer name peer");
	usual = wire->host->system;
	system.alloc = slow_alloc;
	wire->host->system = &system;
	amid = false;
	assert_int_equal(pthread_create(&thread, NULL, list_once, wire->driver), 0);
	while (!__atomic_load_n(&amid, __ATOMIC_ACQUIRE))
		wire_nap();
	in_fork(wire, close_all);
	assert_int_equal(pthread_join(thread, NULL), 0);
	wire->host->system = usual;
}

/* What another thread is loading a fork waits for, and can load by itself. */
static void *load_slowly(void *arg)
{
	struct npf_hush before;

	(void)arg;
	npf_linux_hush(&before);
	__atomic_store_n(&amid, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 200; i++)
		wire_nap();
	npf_linux_unhush(&before);
	return NULL;
}

static void amid_a_load(void **state)
{
	struct wire *wire = wire_of(state);
	pthread_t thread;

	amid = false;
	assert_int_equal(pthread_create(&thread, NULL, load_slowly, NULL), 0);
	while (!__atomic_load_n(&amid, __ATOMIC_ACQUIRE))
		wire_nap();
	in_fork(wire, open_own);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void expect_refusal(struct wire *wire, int err, const char *reason)
{
	FORK_HOLDS(err == -ESRCH);
	FORK_HOLDS(strstr(npf_error(wire->instance), reason));
}

static void change(struct wire *wire)
{
	struct npf_instance *instance = wire->instance;
	const uint32_t hide = NPF_DISABLE_LOOPBACK;
	struct npf_stats before, after;

	FORK_HOLDS(!npf_get_stats(instance, &before));
	expect_refusal(wire, npf_set_filter(instance, &wire_fourth), "thread");
	expect_refusal(wire, npf_set_buffer(instance, 2 * WIRE_BUFFER), "thread");
	expect_refusal(wire, npf_set_mode(instance, NPF_MODE_DUMP), "thread");
	FORK_HOLDS(npf_io_control(instance, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL, 0,
				  NULL) == -ESRCH);
	FORK_HOLDS(!npf_get_stats(instance, &after));
	FORK_HOLDS(after.captured == before.captured);
	close_all(wire);
}

static int words[2];

static void stay(struct wire *wire)
{
	char word;

	(void)wire;
	close(words[1]);
	FORK_HOLDS(read(words[0], &word, 1) == 0);
}

/* What woke the reader and was not read yet is left in a buffer that the fork still has. */
static void changes_beside_one(void **state)
{
	struct wire *wire = wire_capturing(state);
	int fd = npf_poll_fd(wire->instance);
	pid_t pid;

	assert_false(wire_readable(fd));
	wire_send_plain(wire, 0, FEW, 60);
	wire_received(wire->instance, FEW);
	assert_true(wire_becomes_readable(fd));
	assert_int_equal(pipe(words), 0);
	pid = start_fork(wire, stay);
	assert_int_equal(npf_set_buffer(wire->instance, 2 * WIRE_BUFFER), 0);
	assert_false(wire_readable(fd));
	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	wire_send_plain(wire, 0, FEW, 60);
	assert_true(wire_becomes_readable(fd));
	wire_received(wire->instance, FEW);
	expect_odd(wire, 0);
	close(words[1]);
	forks_join(pid);
	close(words[0]);
}

/* On tpacket, where they are a matter of the thread that a fork lacks. */
static void changes(void **state)
{
	struct wire *wire = wire_capturing(state);

	if (wire->hook != NPF_HOOK_TPACKET) {
		printf("about tpacket alone\n");
		skip();
	}
	assert_int_equal(npf_set_filter(wire->instance, &wire_odd), 0);
	wire_send_plain(wire, 0, FEW, 60);
	wire_received(wire->instance, FEW);
	in_fork(wire, change);
	expect_odd(wire, 0);
	in_fork(wire, open_own);
	wire_send_plain(wire, FEW, FEW, 60);
	wire_received(wire->instance, 2 * FEW);
	expect_odd(wire, FEW);
}

/* ---- dumps ---------------------------------------------------------------------------------- */

static void refuse_dump(struct wire *wire)
{
	struct npf_instance *instance = wire->instance;
	char path[300];

	expect_refusal(wire, npf_dump_stop(instance), "fork");
	expect_refusal(wire, npf_dump_rotate(instance), "fork");
	expect_refusal(wire, npf_set_mode(instance, NPF_MODE_CAPT), "fork");
	FORK_HOLDS(npf_dump_start(instance, &(struct npf_dump_options){
						    .size = sizeof(struct npf_dump_options),
						    .path = path_of("another") }) == -EBUSY);
	snprintf(path, sizeof(path), "%s", path_of("another"));
	FORK_HOLDS(access(path, F_OK));
	close_all(wire);
}

/* With a driver of the fork's own, and a dump of it by the host that it inherited. */
static void dump_beside(struct wire *wire)
{
	struct npf_dump_options options = { .size = sizeof(options), .flush_ns = 1000 };
	struct npf_instance *inherited = wire->instance;
	struct npf_dump_status status;
	char name[32];

	snprintf(name, sizeof(name), "beside-%d", (int)getpid());
	options.path = path_of(name);
	FORK_HOLDS(!wire_try_open(wire, "va", &wire->instance));
	FORK_HOLDS(!npf_set_buffer(wire->instance, WIRE_BUFFER));
	FORK_HOLDS(!npf_dump_start(wire->instance, &options));
	while (!npf_dump_get_status(wire->instance, &status) && !status.writes)
		wire_nap();
	wire_nap(); /* and the disk was most likely asked to keep it */
	FORK_HOLDS(!npf_dump_stop(wire->instance));
	FORK_HOLDS(!npf_dump_get_status(wire->instance, &status));
	FORK_HOLDS(status.end == NPF_DUMP_STOPPED);
	npf_close(wire->instance);
	unlink(path_of(name));
	wire->instance = inherited;
	close_all(wire);
}

/* A flood into files, and forks amid it. Of what they leave behind nothing is in a file, nor is any
 * shorter, written by another way or removed. */
static void dumps(void **state)
{
	static const struct plan plan = { .size = 594, .n_senders = 2 };
	static struct files files;
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = options_for(&files, NPF_DUMP_PCAPNG);
	uint64_t count = flood_size() / 2 * 2;
	fork_runs runs[] = { refuse_dump, close_all, dump_beside };
	pid_t forks[FORKS];
	struct contents contents;
	struct npf_stats stats;

	options.file_packets = 5000;
	options.flush_ns = 1000;
	start(wire, &options);
	wire_nap();
	in_fork(wire, refuse_dump);

	pid_t flood = fork();

	if (!flood) {
		send_flood(wire, &plan, count);
		_exit(0);
	}
	for (size_t i = 0; i < FORKS; i++)
		forks[i] = start_fork(wire, runs[i % N_OF(runs)]);
	forks_join(flood);
	WIRE_UNTIL(wire_stats(wire->instance).received >= count);
	for (size_t i = 0; i < FORKS; i++)
		forks_join(forks[i]);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	stats = wire_stats(wire->instance);
	contents = check_files(wire, &files, plan.size);
	assert_int_equal(stats.received, count);
	assert_int_equal(count, stats.filtered + contents.packets + stats.dropped);
}

/* By a path: what nothing was written to yet is removed by nobody but its owner. */
static void dumps_to_a_path(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = { .size = sizeof(options), .format = NPF_DUMP_PCAP };
	struct savefile save;
	struct mapping mapping;
	char path[300];
	bool was_direct;

	snprintf(path, sizeof(path), "%s", path_of("path"));
	options.path = path;
	start(wire, &options);
	was_direct = status_of(wire).direct;
	in_fork(wire, close_all);
	assert_int_equal(access(path, F_OK), 0);
	wire_send_plain(wire, 0, FEW, 60);
	WIRE_UNTIL(status_of(wire).packets == FEW);
	in_fork(wire, close_all);
	wire_send_plain(wire, FEW, FEW, 60);
	wire_received(wire->instance, 2 * FEW);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	assert_int_equal(status_of(wire).packets, 2 * FEW);
	assert_int_equal(status_of(wire).direct, was_direct);
	in_fork(wire, close_all);

	mapping = map_file(path);
	savefile_open(&save, mapping.data, mapping.size);
	for (uint32_t i = 0; i < 2 * FEW; i++) {
		assert_true(savefile_next(&save));
		wire_assert_plain(save.data, save.caplen, i, 60);
	}
	assert_false(savefile_next(&save));
	unmap_file(&mapping);
	unlink(path);
}

/* ---- news of adapters ----------------------------------------------------------------------- */

static bool lists(struct wire *wire, const char *name)
{
	struct npf_adapter *list;
	bool found = false;
	size_t n;

	if (npf_get_adapters_list(wire->driver, &list, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		found |= !strcmp(list[i].name, name);
	npf_free_adapters_list(wire->driver, list);
	return found;
}

static void list_new_one(struct wire *wire)
{
	FORK_HOLDS(wire_becomes_readable(npf_adapters_fd(wire->driver)));
	FORK_HOLDS(lists(wire, "new"));
	FORK_HOLDS(!wire_readable(npf_adapters_fd(wire->driver)));
	close_all(wire);
}

static void await_newer_one(struct wire *wire)
{
	int fd = npf_adapters_fd(wire->driver);

	FORK_HOLDS(lists(wire, "new"));
	FORK_HOLDS(!wire_readable(fd));
	FORK_HOLDS(write(words[1], "l", 1) == 1);
	FORK_HOLDS(wire_becomes_readable(fd));
	while (!lists(wire, "newer"))
		FORK_HOLDS(wire_becomes_readable(fd));
	close_all(wire);
}

/* Each hears of each, whoever looks first. */
static void news(void **state)
{
	struct wire *wire = wire_of(state);
	int fd = npf_adapters_fd(wire->driver);
	char word;
	pid_t pid;

	assert_false(lists(wire, "new"));
	net_run(&wire->net, NET_HERE, "ip link add new type veth peer name peer");
	assert_true(wire_becomes_readable(fd));
	in_fork(wire, list_new_one);
	assert_true(wire_readable(fd));
	assert_true(lists(wire, "new"));
	assert_false(wire_readable(fd));

	assert_int_equal(pipe(words), 0);
	pid = start_fork(wire, await_newer_one);
	assert_int_equal(read(words[0], &word, 1), 1);
	assert_false(wire_readable(fd));
	kill(pid, SIGSTOP);
	net_run(&wire->net, NET_HERE, "ip link set new name newer");
	assert_true(wire_becomes_readable(fd));
	assert_true(lists(wire, "newer"));
	assert_false(wire_readable(fd));
	kill(pid, SIGCONT);
	forks_join(pid);
	close(words[0]);
	close(words[1]);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "closes", closes },
		{ "closes amid a flood", closes_amid_a_flood },
		{ "amid a list", amid_a_list },
		{ "amid a load", amid_a_load },
		{ "changes", changes },
		{ "changes beside one", changes_beside_one },
		{ "dumps", dumps },
		{ "dumps to a path", dumps_to_a_path },
		{ "news of adapters", news },
	};

	return run_dumps("forks", tests, N_OF(tests));
}
