/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of what one writer sends in many calls, of many sizes and by changing ways, with a receiver that
 * lags: a veth whose peer has threaded NAPI. Also of two, in two processes, of which neither knows of the
 * other.
 */
#include "netns/sending.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>

#define MOST    5000u /* frames of a call */
#define SENDERS 3u

static const uint32_t mixture[] = { 700, 300, 256, 1, 5000, 100, 255, 40, 2000, 3, 1024 };

struct writer {
	struct npf_instance *instance;
	uint32_t sender;
	uint64_t n; /* frames that it has sent */
	uint8_t bytes[MOST][2 * NET_LEAST_FRAME + 64];
	struct npf_send_frame frames[MOST];
};

static void need_lagging_receiver(struct bench *bench)
{
	if (net_write_sys(&bench->net, NET_THERE, "/sys/class/net/vb/threaded", "1"))
		return;
	printf("no threaded NAPI here: /sys/class/net/vb/threaded cannot be written\n");
	skip();
}

static int send_next(struct writer *writer, uint32_t n)
{
	size_t sent;
	int err;

	for (uint32_t i = 0; i < n; i++) {
		struct net_flood flood = { .side = NET_HERE,
					   .sender = writer->sender,
					   .length = small(writer->n + i) };

		net_flood_frame(&flood, writer->n + i, writer->bytes[i]);
		writer->frames[i] = (struct npf_send_frame){ .data = writer->bytes[i],
							     .size = flood.length };
	}
	err = npf_send_frames(writer->instance, writer->frames, n, &sent);
	writer->n += sent;
	return err;
}

static int send_mixture(struct writer *writer, uint64_t n)
{
	int err = 0;

	for (size_t i = 0; writer->n < n && !err; i++) {
		uint64_t left = n - writer->n, most = mixture[i % N_OF(mixture)];

		err = send_next(writer, (uint32_t)(left < most ? left : most));
	}
	return err;
}

static struct writer *new_writer(struct npf_instance *instance, uint32_t sender)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	assert_non_null(writer);
	writer->instance = instance;
	writer->sender = sender;
	return writer;
}

/* n frames of each arrive, each sender's in order. */
static void expect_order(struct bench *bench, uint32_t senders, uint64_t n)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint64_t next[SENDERS] = { 0 }, got = 0, sequence;
	struct npf_packet packet;
	uint32_t sender;

	while (got < senders * n && now_ms() < deadline) {
		if (npf_batch_begin(bench->far) <= 0)
			continue;
		while (npf_batch_next(bench->far, &packet)) {
			assert_true(net_flood_read(packet.data, packet.caplen, &sender, &sequence));
			assert_in_range(sender, 0, senders - 1);
			if (sequence != next[sender])
				fail_msg("of sender %u, frame %llu comes in the place of %llu",
					 sender, (unsigned long long)sequence,
					 (unsigned long long)next[sender]);
			assert_int_equal(packet.len, small(sequence));
			next[sender]++;
			got++;
		}
		npf_batch_end(bench->far);
	}
	assert_int_equal(got, senders * n);
}

/* ---- one writer ----------------------------------------------------------------------------- */

static void calls_of_many_sizes_arrive_in_order(void **state)
{
	struct bench *bench = *state;
	struct writer *writer;
	uint64_t n = many(200000);
	struct npf_send_stats stats;

	need_lagging_receiver(bench);
	writer = new_writer(bench->near, 0);
	assert_int_equal(send_mixture(writer, n), 0);
	stats = stats_of(bench->near);
	printf("%llu by socket, %llu by live frames\n",
	       (unsigned long long)stats.by_path[NPF_SEND_SOCKET],
	       (unsigned long long)stats.by_path[NPF_SEND_XDP]);
	/* Once it is on a fast way a small call is no reason to leave it. */
	if (stats.by_path[NPF_SEND_XDP])
		assert_in_range(stats.by_path[NPF_SEND_SOCKET], 0, NPF_SEND_MANY + MOST);
	expect_order(bench, 1, n);
	free(writer);
}

/* But many small calls are: that the first go by it is for the order alone. */
static void single_frames_go_by_socket_again(void **state)
{
	struct bench *bench = *state;
	struct writer *writer;

	need_lagging_receiver(bench);
	writer = new_writer(bench->near, 0);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(send_next(writer, MOST), 0);
		for (uint32_t i = 0; i < 200; i++)
			assert_int_equal(send_next(writer, 1), 0);
		assert_int_equal(npf_get_send_path(bench->near), NPF_SEND_SOCKET);
	}
	expect_order(bench, 1, writer->n);
	free(writer);
}

/* Each change of ways waits until what went before has arrived. */
static void ways_that_change_keep_the_order(void **state)
{
	struct bench *bench = *state;
	struct writer *writer;

	need_lagging_receiver(bench);
	writer = new_writer(bench->near, 0);
	for (uint32_t i = 0; i < 400; i++) {
		if (npf_set_send_path(bench->near, paths[i % N_OF(paths)]))
			continue;
		assert_int_equal(send_next(writer, 20 + i % 7 * 100), 0);
	}
	expect_order(bench, 1, writer->n);
	free(writer);
}

/* What goes past the queueing discipline waits for what is in it. */
static void what_waits_in_a_discipline_is_not_overtaken(void **state)
{
	static const enum npf_send_path past[] = { NPF_SEND_XDP, NPF_SEND_XSK };
	struct bench *bench = *state;
	struct writer *writer;

	need_run(bench, "tc qdisc add dev va root tbf rate 8mbit burst 2kb limit 1mb");
	writer = new_writer(bench->near, 0);
	for (uint32_t i = 0; i < 8; i++) {
		if (!take_path(bench->near, past[i % N_OF(past)]))
			continue;
		assert_int_equal(npf_set_send_path(bench->near, NPF_SEND_SOCKET), 0);
		assert_int_equal(send_next(writer, 200), 0);
		assert_int_equal(npf_set_send_path(bench->near, past[i % N_OF(past)]), 0);
		assert_int_equal(send_next(writer, 300), 0);
	}
	expect_order(bench, 1, writer->n);
	free(writer);
}

/* ---- a receiver that does not run ------------------------------------------------------------ */

#define RING_MS 200 /* a ring that stands still for so long is believed lost */

/* What takes a CPU from the peer. */
struct hog {
	int cpu;
	uint32_t began; /* atomic; and what follows */
	int64_t until;  /* ms */
	bool refused;
};

static int64_t end_of(const struct hog *hog)
{
	return __atomic_load_n(&hog->until, __ATOMIC_ACQUIRE);
}

static void *take_cpu(void *arg)
{
	struct sched_param urgent = { .sched_priority = 10 };
	struct hog *hog = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)hog->cpu, &cpus);
	hog->refused = sched_setaffinity(0, sizeof(cpus), &cpus) ||
		       sched_setscheduler(0, SCHED_FIFO, &urgent);
	__atomic_store_n(&hog->began, 1, __ATOMIC_RELEASE);
	while (!hog->refused && now_ms() < end_of(hog))
		continue;
	return NULL;
}

static bool is_polling_thread(const char *process)
{
	char path[300], name[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", process);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return !strncmp(name, "napi/vb", strlen("napi/vb"));
}

/* The threads that poll for a vb work on this CPU. How many there are. */
static unsigned int move_peers(int cpu)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	unsigned int moved = 0;
	cpu_set_t cpus;

	assert_non_null(processes);
	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	while ((entry = readdir(processes))) {
		int process = atoi(entry->d_name);

		if (process > 0 && is_polling_thread(entry->d_name))
			moved += !sched_setaffinity(process, sizeof(cpus), &cpus);
	}
	closedir(processes);
	return moved;
}

/* The last of these CPUs that is another than ours, which we stay on. -1: there is none. */
static int leave_cpu(const cpu_set_t *allowed)
{
	int own = sched_getcpu(), other = -1;
	cpu_set_t cpus;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		other = CPU_ISSET((size_t)cpu, allowed) && cpu != own ? cpu : other;
	CPU_ZERO(&cpus);
	CPU_SET((size_t)own, &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	return other;
}

static void *stop_soon(void *arg)
{
	usleep(20000);
	npf_stop_sending(arg);
	return NULL;
}

/* By socket, behind live frames that are not taken: a stop ends that. */
static void wait_and_stop(struct writer *writer)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_soon, writer->instance), 0);
	while (!send_next(writer, 1))
		continue;
	pthread_join(thread, NULL);
}

/* How long the last one took, in ms. */
static int64_t send_behind(struct writer *writer, struct hog *hog)
{
	assert_true(take_path(writer->instance, NPF_SEND_XDP));
	assert_int_equal(send_next(writer, 50), 0);
	assert_true(take_path(writer->instance, NPF_SEND_SOCKET));
	wait_and_stop(writer);
	usleep((RING_MS + 50) * 1000);
	/* These are fresh, however long the others lie there. */
	assert_true(take_path(writer->instance, NPF_SEND_XDP));
	assert_int_equal(send_next(writer, 50), 0);
	assert_true(take_path(writer->instance, NPF_SEND_SOCKET));
	__atomic_store_n(&hog->until, now_ms() + 20, __ATOMIC_RELEASE);

	int64_t began = now_ms();

	assert_int_equal(send_next(writer, 1), 0);
	return now_ms() - began;
}

/* Which leaves its frames in the ring, until it is given back. false: not possible here. */
static bool take_from_peer(struct hog *hog, const cpu_set_t *allowed, pthread_t *thread)
{
	hog->cpu = leave_cpu(allowed);
	if (hog->cpu < 0 || !move_peers(hog->cpu))
		return false;
	hog->until = now_ms() + 10000;
	assert_int_equal(pthread_create(thread, NULL, take_cpu, hog), 0);
	while (!__atomic_load_n(&hog->began, __ATOMIC_ACQUIRE))
		usleep(200);
	if (hog->refused)
		pthread_join(*thread, NULL);
	return !hog->refused;
}

static void a_wait_that_was_stopped_does_not_shorten_the_next(void **state)
{
	static struct hog hog; /* its thread may outlast a test that fails */
	struct bench *bench = *state;
	struct writer *writer;
	cpu_set_t allowed;
	pthread_t thread;
	int64_t took = -1;

	need_lagging_receiver(bench);
	need_path(bench->near, NPF_SEND_XDP);
	writer = new_writer(bench->near, 0);
	assert_int_equal(send_next(writer, 1), 0);
	assert_int_equal(npf_wait_sent(bench->near, PATIENCE_MS * UINT64_C(1000000)), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	if (take_from_peer(&hog, &allowed, &thread)) {
		took = send_behind(writer, &hog);
		pthread_join(thread, NULL);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
	/* A peer that stood still for so long all the same was overtaken, as CAVEATS says. */
	if (took >= 0 && took < RING_MS)
		expect_order(bench, 1, writer->n);
	free(writer);
	if (took < 0) {
		printf("the receiver cannot be held up: no second CPU, or no real-time scheduling\n");
		skip();
	}
	if (took >= RING_MS) {
		printf("the receiver was held up for longer than it should be: a busy machine\n");
		skip();
	}
}

/* ---- several processes ---------------------------------------------------------------------- */

/* The child's end: what it says is all that is known of it. */
static void send_in_child(uint32_t sender, uint64_t n)
{
	struct npf_open_options options = { .size = sizeof(options), .flags = NPF_OPEN_SEND_ONLY };
	struct writer *writer = calloc(1, sizeof(*writer));
	struct npf_host *host = npf_host_linux();
	struct npf_driver *driver;
	int err = -ENOMEM;

	if (writer && host && !npf_driver_entry(host, &driver)) {
		writer->sender = sender;
		err = npf_open(driver, "va", &options, &writer->instance, NULL);
		if (!err)
			err = send_mixture(writer, n);
		if (!err)
			npf_close(writer->instance);
	}
	_exit(err ? 1 : 0);
}

static void writers_in_other_processes_keep_theirs(void **state)
{
	struct bench *bench = *state;
	uint64_t n = many(60000);

	for (uint32_t round = 0; round < 2 * SENDERS; round++) {
		uint32_t senders = 1 + round % SENDERS;
		pid_t children[SENDERS];
		int status;

		if (round == SENDERS)
			need_lagging_receiver(bench);
		for (uint32_t i = 0; i < senders; i++) {
			children[i] = fork();
			assert_true(children[i] >= 0);
			if (!children[i])
				send_in_child(i, n);
		}
		for (uint32_t i = 0; i < senders; i++) {
			assert_int_equal(waitpid(children[i], &status, 0), children[i]);
			assert_int_equal(status, 0);
		}
		expect_order(bench, senders, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(calls_of_many_sizes_arrive_in_order),
		SEND_TEST(single_frames_go_by_socket_again),
		SEND_TEST(ways_that_change_keep_the_order),
		SEND_TEST(a_wait_that_was_stopped_does_not_shorten_the_next),
		SEND_TEST(what_waits_in_a_discipline_is_not_overtaken),
		SEND_TEST(writers_in_other_processes_keep_theirs),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
