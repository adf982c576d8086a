/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dump to disk from real interfaces, on every hook: floods from two CPUs through changes of files,
 * what other programs say about the files, adapters that go, readers of pipes that do not read.
 */
#include "netns/dump.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- floods -------------------------------------------------------------------------------- */

static const struct plan plans[] = {
	{ "64 bytes, 2 senders, pcap", 64, 2, NPF_DUMP_PCAP, 0, 0 },
	{ "64 bytes, 2 senders, files of 1 MB, pcap ns", 64, 2, NPF_DUMP_PCAP_NS, 1000000, 0 },
	{ "594 bytes, 1 sender, files of 999 packets, pcapng", 594, 1, NPF_DUMP_PCAPNG, 0, 999 },
	{ "1514 bytes, 2 senders, files of 10 MB, pcapng", 1514, 2, NPF_DUMP_PCAPNG, 10000000, 0 },
	{ "1514 bytes, 2 senders, files of 70 packets", 1514, 2, NPF_DUMP_PCAP_NS, 0, 70 },
};

static void flood(void **state)
{
	static struct files files;
	struct wire *wire = wire_of(state);
	const struct plan *plan = &plans[wire->place];
	struct npf_dump_options options = options_for(&files, plan->format);
	uint64_t count = flood_size() / plan->n_senders * plan->n_senders;
	struct npf_stats stats;

	options.file_bytes = plan->file_bytes;
	options.file_packets = plan->file_packets;
	start(wire, &options);
	send_flood(wire, plan, count);
	WIRE_UNTIL(wire_stats(wire->instance).received >= count);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	stats = wire_stats(wire->instance);

	struct contents contents = check_files(wire, &files, plan->size);

	assert_int_equal(stats.received, count);
	assert_int_equal(stats.captured, contents.packets);
	assert_int_equal(count, stats.filtered + contents.packets + stats.dropped);
	if (!stats.dropped) {
		for (uint32_t i = 0; i < plan->n_senders; i++)
			assert_int_equal(contents.next[i], count / plan->n_senders);
	}
	for (uint32_t i = 0; i + 1 < files.n_done && plan->file_packets; i++)
		assert_int_equal(files.done[i].packets, plan->file_packets);
	for (uint32_t i = 0; i < files.n_done && plan->file_bytes; i++)
		assert_true(files.done[i].bytes <= plan->file_bytes);
	print_message("    %llu sent = %llu filtered + %llu written + %llu dropped; %u files%s\n",
		      (unsigned long long)count, (unsigned long long)stats.filtered,
		      (unsigned long long)contents.packets, (unsigned long long)stats.dropped,
		      files.n_done, status_of(wire).direct ? ", direct" : "");
}

/* A ring so small that every record crosses its end soon, and much is lost. */
static void overflow(void **state)
{
	static const struct plan plan = { .size = 1000, .n_senders = 2 };
	static struct files files;
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = options_for(&files, NPF_DUMP_PCAPNG);
	uint64_t count = flood_size() / 2 * 2;

	options.file_packets = 5000;
	assert_int_equal(npf_set_buffer(wire->instance, 1 << 16), 0);
	assert_int_equal(npf_dump_start(wire->instance, &options), 0);
	send_flood(wire, &plan, count);
	WIRE_UNTIL(wire_stats(wire->instance).received >= count);
	assert_int_equal(npf_dump_stop(wire->instance), 0);

	struct npf_stats stats = wire_stats(wire->instance);

	assert_int_equal(count, check_files(wire, &files, 1000).packets + stats.dropped);
}

/* ---- other programs ------------------------------------------------------------------------ */

static bool program_exists(const char *name)
{
	char command[100];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return !system(command);
}

/* It succeeds, and has nothing to complain about. */
static void run_program(const char *name, const char *format, const char *path)
{
	char command[1400], arguments[500];

	if (!program_exists(name))
		return print_message("    no %s here\n", name);
	snprintf(arguments, sizeof(arguments), format, path, directory);
	snprintf(command, sizeof(command),
		 "%s %s 2>%s/complaints >%s/answer && "
		 "! grep -iqE 'warning|error|cut short|damaged|truncated|bogus' %s/complaints",
		 name, arguments, directory, directory, directory);
	if (system(command))
		fail_msg("%s complains: %s", name, command);
}

static void programs_read_it(void **state)
{
	struct wire *wire = wire_of(state);
	char path[300];

	snprintf(path, sizeof(path), "%s", path_of("readable"));
	for (unsigned int format = NPF_DUMP_PCAP; format <= NPF_DUMP_PCAPNG; format++) {
		struct npf_dump_options options = {
			.size = sizeof(options),
			.format = (enum npf_dump_format)format,
			.path = path,
			.filter = "ether proto 0x88b5",
			.application = "test",
			.snaplen = 262144,
		};

		start(wire, &options);
		for (uint32_t size = 60; size < 1514; size += 7)
			wire_send_plain(wire, size, 1, size);
		wire_received(wire->instance, 208);
		assert_int_equal(npf_dump_stop(wire->instance), 0);
		assert_int_equal(status_of(wire).packets, 208);
		run_program("tcpdump", "-Z root -nr %s",
			    path); /* not its own user: there may be none */
		run_program("capinfos", "%s", path);
		run_program("tshark", "-nr %s", path);
		run_program("editcap", "%s %s/copy", path);
		run_program("mergecap", "-w %2$s/copy %1$s %1$s", path);
		unlink(path);
	}
	unlink(path_of("copy"));
	unlink(path_of("answer"));
	unlink(path_of("complaints"));
}

static void direction_is_told(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = NPF_DUMP_PCAPNG,
		.path = path_of("direction"),
	};
	uint8_t frame[100];
	struct savefile save;

	start(wire, &options);
	wire_send_plain(wire, 0, 1, 100);
	wire_received(wire->instance, 1);
	wire_frame(1, frame, sizeof(frame));
	net_send(wire->near, frame, sizeof(frame));
	wire_received(wire->instance, 2);
	assert_int_equal(npf_dump_stop(wire->instance), 0);

	struct mapping mapping = map_file(options.path);

	savefile_open(&save, mapping.data, mapping.size);
	assert_true(savefile_next(&save));
	assert_int_equal(save.flags & 3, 1);
	assert_true(savefile_next(&save));
	assert_int_equal(save.flags & 3, 2);
	assert_false(savefile_next(&save));
	assert_int_equal(save.received, 2);
	unmap_file(&mapping);
	unlink(options.path);
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void adapter_goes(void **state)
{
	static const struct plan plan = { .size = 300, .n_senders = 1 };
	static struct files files;
	struct wire *wire = wire_of(state);
	struct npf_dump_options options = options_for(&files, NPF_DUMP_PCAPNG);

	start(wire, &options);
	send_flood(wire, &plan, 20000);
	net_run(&wire->net, NET_HERE, "ip link del va");
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	WIRE_UNTIL(status_of(wire).end == NPF_DUMP_GONE);
	assert_int_equal(npf_dump_stop(wire->instance), 0);

	struct npf_stats stats = wire_stats(wire->instance);

	assert_int_equal(stats.received, 20000);
	assert_int_equal(check_files(wire, &files, 300).packets + stats.dropped, 20000);
}

static void pipe_gets_all(void **state)
{
	static const struct plan plan = { .size = 300, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	struct contents contents = { 0 };
	char command[400];
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	snprintf(command, sizeof(command), "cat > %s", path_of("piped"));

	pid_t cat = fork();

	if (!cat) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(1);
	}
	close(ends[0]);
	start_into(wire, &ends[1]);
	send_flood(wire, &plan, 20000);
	WIRE_UNTIL(wire_stats(wire->instance).received >= 20000);
	assert_int_equal(npf_dump_stop(wire->instance), 0);
	assert_false(status_of(wire).direct);
	close(ends[1]);
	waitpid(cat, NULL, 0);

	struct npf_stats stats = wire_stats(wire->instance);

	assert_int_equal(check_contents(path_of("piped"), 300, 0, &contents) + stats.dropped, 20000);
	unlink(path_of("piped"));
}

static void pipe_without_a_reader(void **state)
{
	struct wire *wire = wire_of(state);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	start_into(wire, &ends[1]);
	WIRE_UNTIL(status_of(wire).writes > 0);
	close(ends[0]);
	wire_send_plain(wire, 0, 100, 1000);
	assert_true(wire_becomes_readable(npf_poll_fd(wire->instance)));
	assert_int_equal(npf_dump_stop(wire->instance), -EPIPE);
	assert_int_equal(status_of(wire).end, NPF_DUMP_FAILED);
	close(ends[1]);
}

/* It neither reads nor goes: stopping does not last for ever. */
static void pipe_whose_reader_sleeps(void **state)
{
	struct wire *wire = wire_of(state);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	start_into(wire, &ends[1]);
	wire_send_plain(wire, 0, 1000, 1000);
	wire_received(wire->instance, 1000);
	assert_int_equal(npf_dump_stop(wire->instance), -ETIMEDOUT);
	close(ends[0]);
	close(ends[1]);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static int keep_going(struct wire *wire, const char *path)
{
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = NPF_DUMP_PCAP_NS,
		.path = path,
	};

	if (npf_set_buffer(wire->instance, BUFFER) || npf_dump_start(wire->instance, &options))
		return 1;
	for (;;)
		pause();
}

/* The tap that the child inherits is the parent's; it opens its own. */
static pid_t start_victim(struct wire *wire, const char *path)
{
	pid_t pid = fork();

	if (pid)
		return pid;

	struct npf_host *host = npf_host_linux();
	struct wire own = { .hook = wire->hook };

	if (!host || npf_driver_entry(host, &own.driver) || wire_try_open(&own, "va", &own.instance))
		_exit(1);
	_exit(keep_going(&own, path));
}

/* What is in the file up to its last whole record is right; behind that is a part of one more. */
static void killed(void **state)
{
	static const struct plan plan = { .size = 300, .n_senders = 1 };
	struct wire *wire = wire_of(state);
	struct contents contents = { 0 };
	struct savefile save;
	struct stat status;
	char path[300];

	snprintf(path, sizeof(path), "%s", path_of("killed"));

	pid_t victim = start_victim(wire, path);

	WIRE_UNTIL(!stat(path, &status) && status.st_size >= 24);
	FLOOD_UNTIL(wire, &plan, 20000, !stat(path, &status) && status.st_size > 20000 * 300 / 2);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);

	struct mapping mapping = map_file(path);

	savefile_open(&save, mapping.data, mapping.size);
	while (save.left >= 16 && save.left - 16 >= savefile_u32(save.at + 8) &&
	       savefile_next(&save))
		check_frame(&save, 300, &contents);
	assert_true(save.left < 316);
	assert_true(contents.packets * 316 >= mapping.size - 24 - 316);
	unmap_file(&mapping);
	unlink(path);
}

int main(void)
{
	static const struct wire_test others[] = {
		{ "a ring that overflows", overflow },
		{ "other programs read it", programs_read_it },
		{ "direction", direction_is_told },
		{ "the adapter goes", adapter_goes },
		{ "a pipe", pipe_gets_all },
		{ "a pipe without a reader", pipe_without_a_reader },
		{ "a pipe whose reader sleeps", pipe_whose_reader_sleeps },
		{ "kill -9", killed },
	};
	struct wire_test tests[N_OF(plans) + N_OF(others)];

	for (size_t i = 0; i < N_OF(plans); i++)
		tests[i] = (struct wire_test){ plans[i].name, flood };
	memcpy(tests + N_OF(plans), others, sizeof(others));
	return run_dumps("dump", tests, N_OF(tests));
}
