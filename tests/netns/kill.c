/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whoever captures may be killed at any moment: the kernel then keeps no program, no map, no link
 * and no socket of his. What was his is known from the descriptors that he had.
 */
#include "netns/wire.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <net/if.h>
#include <signal.h>
#include <sys/wait.h>

#define MOST_OBJECTS 256

enum kind { PROGRAM_ID, MAP_ID, LINK_ID, KINDS };

struct objects {
	size_t n;
	struct {
		enum kind kind;
		uint32_t id;
	} list[MOST_OBJECTS];
};

static const struct npf_insn odd[] = { INSN_LD_B(17), { .code = 0x54, .k = 1 }, { .code = 0x16 } };
static const struct npf_insn large[] = { { .code = 0x80 }, INSN_RET(0xFFFF) };

/* ---- the one who is killed ------------------------------------------------------------------ */

static void capture(struct wire *wire, int ready)
{
	static const struct npf_program programs[] = { PROGRAM(odd), PROGRAM(large) };
	struct npf_class classes[2] = { { .name = "odd", .program = programs[0] },
					{ .name = "all" } };
	struct npf_instance *counting = wire_open(wire, "va");

	assert_int_equal(npf_set_buffer(wire->instance, 1 << 20), 0);
	for (size_t i = 0; i < N_OF(programs); i++)
		assert_int_equal(npf_set_filter(wire->instance, &programs[i]), 0);
	assert_int_equal(npf_set_timeout(wire->instance, 0), 0);
	assert_int_equal(npf_set_hw_filter(wire->instance, NPF_FILTER_PROMISCUOUS), 0);
	assert_int_equal(npf_set_classes(counting, classes, 2), 0);
	assert_int_equal(npf_set_mode(counting, NPF_MODE_STAT), 0);
	wire_send_plain(wire, 0, 100, 100);
	wire_received(wire->instance, 100);
	assert_int_equal(write(ready, "!", 1), 1);
	for (;;)
		npf_read(wire->instance, wire->buffer, sizeof(wire->buffer));
}

/* In a world of its own, since the parent must hold nothing of it. */
static void run_child(enum npf_hook hook, int ready)
{
	struct wire_start start = { .hook = hook };
	void *state = &start;

	wire_setup(&state);

	struct wire *wire = state;

	if (!wire->instance) {
		print_message("%s: %s\n", npf_hook_name(wire->hook), wire->error);
		_exit(wire_requires(hook) ? 1 : 77);
	}
	capture(wire, ready);
}

/* ---- what he had ---------------------------------------------------------------------------- */

static void note(struct objects *objects, enum kind kind, uint32_t id)
{
	assert_true(objects->n < MOST_OBJECTS);
	objects->list[objects->n].kind = kind;
	objects->list[objects->n++].id = id;
}

static void note_descriptor(struct objects *objects, const char *path)
{
	static const char *const formats[KINDS] = { "prog_id: %u", "map_id: %u", "link_id: %u" };
	FILE *info = fopen(path, "re");
	char line[128];
	uint32_t id;

	if (!info)
		return;
	while (fgets(line, sizeof(line), info)) {
		for (int kind = 0; kind < KINDS; kind++) {
			if (sscanf(line, formats[kind], &id) == 1)
				note(objects, (enum kind)kind, id);
		}
	}
	fclose(info);
}

static void note_all(struct objects *objects, pid_t pid)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", (int)pid, entry->d_name);
		note_descriptor(objects, path);
	}
	closedir(dir);
}

/* Without opening it: a map of programs that is opened and closed just while the kernel empties it is
 * one that the kernel forgets to free (prog_array_map_clear() in Linux 6.18). */
static bool exists(enum kind kind, uint32_t id)
{
	int (*const next_of[KINDS])(uint32_t, uint32_t *) = { bpf_prog_get_next_id,
							      bpf_map_get_next_id,
							      bpf_link_get_next_id };
	uint32_t next = 0;

	return !next_of[kind](id - 1, &next) && next == id;
}

static size_t left(const struct objects *objects)
{
	size_t n = 0;

	for (size_t i = 0; i < objects->n; i++)
		n += exists(objects->list[i].kind, objects->list[i].id);
	return n;
}

/* ---- the tests ------------------------------------------------------------------------------ */

static void kill_and_look(pid_t pid, enum npf_hook hook)
{
	struct objects objects = { 0 };
	int status;

	note_all(&objects, pid);
	if (hook == NPF_HOOK_TPACKET)
		assert_int_equal(objects.n, 0);
	else
		assert_true(objects.n > 8);
	assert_int_equal(left(&objects), objects.n);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* The kernel frees them when no CPU can be using them any more. */
	WIRE_UNTIL(left(&objects) == 0);
	print_message("    %zu objects, none left\n", objects.n);
}

static int kill_with(enum npf_hook hook)
{
	int pipes[2], status;
	char ready;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(pipes[0]);
		run_child(hook, pipes[1]);
		_exit(1);
	}
	close(pipes[1]);
	if (read(pipes[0], &ready, 1) == 1) {
		close(pipes[0]);
		kill_and_look(pid, hook);
		return 0;
	}
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void killed(void **state)
{
	enum npf_hook hook = *(const enum npf_hook *)*state;
	int status = wire_wants(hook) ? kill_with(hook) : 77;

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "tcx", killed, NULL, NULL, (void *)&wire_hooks[0] },
		{ "socket", killed, NULL, NULL, (void *)&wire_hooks[1] },
		{ "tpacket", killed, NULL, NULL, (void *)&wire_hooks[2] },
	};

	net_require();
	return cmocka_run_group_tests_name("killed", tests, NULL, NULL);
}
