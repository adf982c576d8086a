/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What single eBPF programs cost: the kernel's own account of their running time under traffic,
 * and test runs. The account reads the clock around each run, so an empty program, measured the
 * same way, tells what is to be taken off.
 */
#include <bpf/bpf.h>
#include <err.h>
#include <math.h>
#include <unistd.h>

#include "bench.h"

#define TCX_INGRESS    ((enum bpf_attach_type)46) /* newer than the headers of Debian 12 */
#define TEST_RUN_TIMES 1000000

int programs_account(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		warn("the kernel does not account for eBPF programs");
	return fd;
}

void programs_list(struct programs *programs)
{
	struct bpf_prog_info info;
	uint32_t id = 0, size;

	programs->n = 0;
	while (programs->n < MAX_PROGRAMS && !bpf_prog_get_next_id(id, &id)) {
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		info = (struct bpf_prog_info){ 0 };
		size = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &size))
			programs->program[programs->n++] = (struct program){ info.id, info.type,
									     info.run_time_ns,
									     info.run_cnt };
		close(fd);
	}
}

static const struct program *find(const struct programs *programs, uint32_t id)
{
	for (unsigned int i = 0; i < programs->n; i++) {
		if (programs->program[i].id == id)
			return &programs->program[i];
	}
	return NULL;
}

/* ns that a program of the tap used under the traffic: one that is new, and ran for most packets
 * (others may load and run programs meanwhile). 0 for all others. */
static uint64_t used(const struct account *account, const struct program *now)
{
	const struct program *then = find(&account->earlier, now->id);

	if (find(&account->before, now->id) || !then ||
	    now->runs - then->runs < account->packets / 2)
		return 0;
	return now->run_ns - then->run_ns;
}

double programs_cost(const struct account *account)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < account->later.n; i++)
		sum += used(account, &account->later.program[i]);
	return sum && account->packets ? (double)sum / (double)account->packets : NAN;
}

static double test_run(uint32_t id, const uint8_t *frame, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)size,
		    .repeat = TEST_RUN_TIMES);
	int fd = bpf_prog_get_fd_by_id(id);
	double ns = NAN;

	if (fd < 0)
		return NAN;
	if (!bpf_prog_test_run_opts(fd, &opts))
		ns = opts.duration;
	close(fd);
	return ns;
}

double programs_test_run(const struct account *account, const uint8_t *frame, size_t size)
{
	const struct programs *later = &account->later;
	double dearest = NAN;

	for (unsigned int i = 0; i < later->n; i++) {
		if (used(account, &later->program[i]))
			dearest = fmax(dearest, test_run(later->program[i].id, frame, size));
	}
	return dearest;
}

int programs_attach_empty(const struct world *world)
{
	const struct bpf_insn code[] = {
		/* return TC_ACT_UNSPEC */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int program, link;

	program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bench_empty", "Dual BSD/GPL", code,
				sizeof(code) / sizeof(code[0]), NULL);
	if (program < 0)
		return -1;
	world_enter_tap(world);
	link = bpf_link_create(program, (int)world->vb, TCX_INGRESS, NULL);
	world_leave_tap(world);
	close(program);
	return link;
}
