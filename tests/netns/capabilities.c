/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each hook works with the capabilities it needs and no others, "auto" picks the best that the
 * process may use, and where one is missing a sentence names it.
 */
#include "netns/wire.h"

#include <cap-ng.h>
#include <sys/wait.h>

#define ADMIN  (1u << 0) /* CAP_NET_ADMIN */
#define RAW    (1u << 1)
#define BPF    (1u << 2)
#define TRACE  (1u << 3) /* CAP_PERFMON */
#define N_CAPS 4u

static const unsigned int numbers[N_CAPS] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON };
static const char *const names[N_CAPS] = { "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF",
					   "CAP_PERFMON" };

/* What a process with few capabilities got. */
struct outcome {
	int opened;      /* of npf_open() */
	int promiscuous; /* of setting that hardware filter */
	enum npf_hook hook;
	char error[NPF_ERROR_SIZE];
};

static void keep_only(uint32_t caps)
{
	capng_clear(CAPNG_SELECT_BOTH);
	for (uint32_t i = 0; i < N_CAPS; i++) {
		if (caps & 1u << i)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, numbers[i]);
	}
	assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
}

/* A capture from beginning to end, as that process. */
static void use(struct wire *wire, struct npf_instance *instance)
{
	static const struct npf_insn odd[] = { INSN_LD_B(FRAME_NUMBER_AT + 3),
					       { .code = 0x54, .k = 1 },
					       INSN_JEQ(1, 0, 1),
					       INSN_RET(0xFFFF),
					       INSN_RET(0) };
	static const struct npf_program program = PROGRAM(odd);
	struct records records;

	assert_int_equal(npf_set_buffer(instance, 1 << 20), 0);
	assert_int_equal(npf_set_filter(instance, &program), 0);
	wire_send_plain(wire, 0, 20, 100);
	wire_received(instance, 20);
	records = wire_read(wire, instance);
	for (uint32_t i = 0; i < 10; i++) {
		assert_true(records_next(&records));
		wire_assert_plain(records.data, 100, 2 * i + 1, 100);
	}
	assert_int_equal(npf_write(instance, records.data, 100), 100);
	assert_int_equal(npf_set_mode(instance, NPF_MODE_STAT), 0);
}

static struct outcome act(struct wire *wire)
{
	struct npf_instance *instance = NULL;
	struct npf_adapter *list;
	struct outcome outcome = { 0 };
	size_t n;

	assert_int_equal(npf_get_adapters_list(wire->driver, &list, &n), 0);
	npf_free_adapters_list(wire->driver, list);
	outcome.opened = wire_try_open(wire, "va", &instance);
	memcpy(outcome.error, wire->error, sizeof(outcome.error));
	if (outcome.opened)
		return outcome;
	outcome.hook = npf_instance_hook(instance);
	use(wire, instance);
	outcome.promiscuous = npf_set_hw_filter(instance, NPF_FILTER_PROMISCUOUS);
	npf_close(instance);
	return outcome;
}

static struct outcome act_with(struct wire *wire, enum npf_hook hook, uint32_t caps)
{
	struct outcome outcome = { 0 };
	int pipes[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		keep_only(caps);
		wire->hook = hook;
		outcome = act(wire);
		_exit(write(pipes[1], &outcome, sizeof(outcome)) != sizeof(outcome));
	}
	close(pipes[1]);
	if (read(pipes[0], &outcome, sizeof(outcome)) != sizeof(outcome))
		fail_msg("a process with capabilities %x failed", caps);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return outcome;
}

/* Enough for this hook, and for that reason what "auto" picks if the kernel has nothing better. */
static void enough(struct wire *wire, enum npf_hook hook, uint32_t caps)
{
	struct outcome outcome = act_with(wire, hook, caps);

	if (outcome.opened)
		fail_msg("%s: %s", npf_hook_name(hook), outcome.error);
	assert_int_equal(outcome.hook, hook);
	assert_int_equal(outcome.promiscuous, 0);
	outcome = act_with(wire, NPF_HOOK_AUTO, caps);
	assert_int_equal(outcome.opened, 0);
	assert_int_equal(outcome.hook, hook);
}

/* Each one of them is needed; without it a sentence says so, naming it and no other. */
static void each_needed(struct wire *wire, enum npf_hook hook, uint32_t caps)
{
	for (uint32_t i = 0; i < N_CAPS; i++) {
		struct outcome outcome;

		if (!(caps & 1u << i))
			continue;
		outcome = act_with(wire, hook, caps & ~(1u << i));
		assert_int_equal(outcome.opened, -EPERM);
		for (uint32_t k = 0; k < N_CAPS; k++) {
			if (!strstr(outcome.error, names[k]) == (k == i))
				fail_msg("%s without %s: %s", npf_hook_name(hook), names[i],
					 outcome.error);
		}
		assert_null(strchr(outcome.error, '\n'));
	}
}

static void capabilities(void **state)
{
	static const uint32_t needed[] = {
		[NPF_HOOK_TCX] = ADMIN | RAW | BPF | TRACE,
		[NPF_HOOK_SOCKET] = RAW | BPF | TRACE,
		[NPF_HOOK_TPACKET] = RAW,
	};
	struct wire *wire = wire_of(state);
	enum npf_hook hook = wire->hook;

	enough(wire, hook, needed[hook]);
	each_needed(wire, hook, needed[hook]);
}

static void none(void **state)
{
	struct wire *wire = wire_of(state);
	struct outcome outcome = act_with(wire, NPF_HOOK_AUTO, 0);

	assert_int_equal(outcome.opened, -EPERM);
	assert_non_null(strstr(outcome.error, "CAP_NET_RAW"));
	print_message("    %s\n", outcome.error);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "what is needed", capabilities },
		{ "nothing", none },
	};

	return wire_run("capabilities", tests, N_OF(tests), N_OF(wire_hooks));
}
