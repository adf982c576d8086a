/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several filters on one packet (npf_jit_join()): each answers as it does alone, they share what
 * they read, and a group lives as long as somebody holds it. Groups of filter expressions:
 * filter_traces.
 */
#include "lib/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "filter/ir.h"
#include "lib/engine_x86.h"
#include "lib/filter_random_long.h"
#include "lib/group.h"
#include "lib/host.h"
#include "npf/npf.h"

#define PAGE      4096u
#define MOST      NPF_JIT_GROUP_MOST
#define GROUPS    1500
#define IN_KERNEL 10 /* one of so many */
#define PACKETS   24u

/* ---- programs at random ---------------------------------------------------------------------- */

struct draw {
	struct filter_random random;
	struct npf_insn insns[MOST][NPF_MAX_INSNS];
	struct npf_program made[MOST];
	const struct npf_program *programs[MOST];
	struct npf_frame frames[PACKETS];
	struct engine_run runs[PACKETS];
	uint8_t *pages[PACKETS]; /* packets end where their page ends, and nothing is behind it */
};

static bool is_for_packets(const struct npf_program *program)
{
	struct npf_jit_filter *filter;

	if (bpf_jitter(host, program, 0, &filter, NULL))
		return false;
	bpf_destroy_jit_filter(filter);
	return true;
}

static void draw_program(struct draw *draw, struct npf_insn *insns, struct npf_program *program)
{
	struct filter_random_long l;

	if (filter_random(&draw->random, 20))
		filter_random_program(&draw->random, insns, program);
	else
		filter_random_long_program(&draw->random, &l, insns, program);
}

static void draw_programs(struct draw *draw, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct npf_program *program = &draw->made[i];

		do
			draw_program(draw, draw->insns[i], program);
		while (!is_for_packets(program));
		draw->programs[i] = filter_random(&draw->random, 8) ? program : NULL;
	}
}

static void draw_packets(struct draw *draw)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct npf_frame *frame = &draw->frames[i];
		uint8_t data[FILTER_RANDOM_BYTES];

		filter_random_packet(&draw->random, data, frame);
		*frame = (struct npf_frame){ .length = frame->length,
					     .wire_length = frame->wire_length };
		if (!filter_random(&draw->random, 3))
			frame->length = filter_random(&draw->random, frame->length + 1);
		draw->runs[i].frame = frame;
		draw->runs[i].data = draw->pages[i] + PAGE - frame->length;
		memcpy(draw->pages[i] + PAGE - frame->length, data, frame->length);
	}
}

static struct draw *new_draw(uint64_t seed)
{
	struct draw *draw = calloc(1, sizeof(*draw));

	assert_non_null(draw);
	draw->random.state = seed;
	for (uint32_t i = 0; i < PACKETS; i++) {
		draw->pages[i] = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(draw->pages[i], MAP_FAILED);
		assert_int_equal(mprotect(draw->pages[i], PAGE, PROT_READ | PROT_WRITE), 0);
	}
	return draw;
}

static void free_draw(struct draw *draw)
{
	for (uint32_t i = 0; i < PACKETS; i++)
		munmap(draw->pages[i], 2 * PAGE);
	free(draw);
}

static void each_answers_as_alone(void **state)
{
	struct draw *draw = new_draw(20261129);
	struct group_tally tally = { 0 };

	(void)state;
	for (uint32_t i = 0; i < GROUPS; i++) {
		uint32_t n = 1 + filter_random(&draw->random, i % 10 ? 12 : MOST);

		draw_programs(draw, n);
		draw_packets(draw);
		group_compare(host, draw->programs, n, draw->runs, PACKETS, &tally);
		if (i % IN_KERNEL == 0)
			group_compare_in_kernel(draw->programs, n, draw->runs, PACKETS, &tally);
	}
	assert_int_equal(tally.mistakes, 0);
	assert_true(tally.forms > GROUPS / 2);
	assert_true(tally.accepted > tally.answers);
	assert_true(tally.unsure < tally.answers);
	free_draw(draw);
}

/* ---- what is shared -------------------------------------------------------------------------- */

#define N_EXPRESSIONS 8u

static const char *const expressions[N_EXPRESSIONS] = {
	"tcp port 80", "tcp port 443",  "udp port 53",        "icmp",
	"arp",         "host 10.1.2.3", "net 192.168.0.0/16", "ip6",
};

static void compile_all(struct bpf_program *compiled, struct npf_program *programs)
{
	pcap_t *handle = pcap_open_dead(DLT_EN10MB, 262144);

	assert_non_null(handle);
	for (uint32_t i = 0; i < N_EXPRESSIONS; i++) {
		assert_int_equal(pcap_compile(handle, &compiled[i], expressions[i], 1,
					      PCAP_NETMASK_UNKNOWN),
				 0);
		programs[i] = (struct npf_program){
			.length = compiled[i].bf_len,
			.insns = (const struct npf_insn *)compiled[i].bf_insns,
		};
	}
	pcap_close(handle);
}

static uint32_t count_loads(const struct npf_ir *ir, uint32_t offset, uint8_t size)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		n += insn->op == NPF_IR_LOAD && insn->a == NPF_IR_NONE && insn->imm == offset &&
		     insn->size == size;
	}
	return n;
}

static uint32_t count_checks(const struct npf_ir *ir)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ir->n_insns; i++)
		n += ir->insns[i].op == NPF_IR_NEED;
	return n;
}

/* Does a block ask for this constant more than once on a way? It is enough to count them all. */
static uint32_t count_questions(const struct npf_ir *ir, uint32_t k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ir->n_blocks; i++)
		n += ir->blocks[i].end == NPF_IR_IF_EQ && ir->blocks[i].b == NPF_IR_NONE &&
		     ir->blocks[i].imm == k;
	return n;
}

static uint32_t count_checks_alone(const struct npf_program *program)
{
	size_t size = npf_ir_space(program->length);
	void *space = malloc(size);
	struct npf_ir ir;
	uint32_t n;

	assert_non_null(space);
	assert_int_equal(npf_ir_build(&ir, program, space, size), 0);
	npf_ir_optimise(&ir, NPF_PASS_DEFAULT, NULL);
	n = count_checks(&ir);
	free(space);
	return n;
}

static uint32_t count_branches(const struct npf_ir *ir)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ir->n_blocks; i++)
		n += ir->blocks[i].end > NPF_IR_GOTO;
	return n;
}

/* What a filter finds is a bit that is computed, where nothing but the note of it would be skipped. */
static void notes_take_no_branch(void **state)
{
	static const struct npf_insn first[] = { INSN_LD_B(14), INSN_JEQ(1, 1, 0),
						 INSN_JEQ(3, 0, 1), INSN_RET(9), INSN_RET(0) };
	static const struct npf_insn second[] = { INSN_LD_B(20), INSN_JEQ(5, 2, 0),
						  INSN_LD_B(21), INSN_JEQ(7, 0, 1),
						  INSN_RET(9),   INSN_RET(0) };
	const struct npf_program one = PROGRAM(first), two = PROGRAM(second);
	const struct npf_program *programs[] = { &one, NULL, &two };
	size_t size = npf_ir_join_space(programs, 3);
	void *space = malloc(size), *work;
	struct npf_ir ir;

	(void)state;
	assert_non_null(space);
	assert_int_equal(npf_ir_join(&ir, programs, 3, space, size), 0);
	npf_ir_optimise(&ir, NPF_PASS_DEFAULT | NPF_PASS_FLATTEN, NULL);
	assert_int_equal(count_branches(&ir), 0);
	work = malloc(npf_ir_run_space(&ir));
	assert_non_null(work);
	for (uint32_t i = 0; i < 64; i++) {
		uint8_t packet[60] = { [14] = i % 4, [20] = i & 16 ? 5 : 6, [21] = i & 32 ? 7 : 8 };
		struct npf_frame frame = { .length = 60, .wire_length = 60 };
		uint32_t mask = (i & 1) | (i & 48 ? 4 : 0);

		assert_int_equal(npf_ir_run(&ir, &frame, packet, work), NPF_IR_JOINED | mask);
	}
	free(work);
	free(space);
}

/* Two ways to one place, each by a load that is out of bounds of other packets. */
static void no_check_is_dropped(void **state)
{
	static const struct npf_insn insns[] = {
		INSN_LD_B(12),     INSN_JEQ(1, 2, 0), INSN_LD_B(13),
		INSN_JEQ(2, 2, 6), INSN_LD_B(50),     { NPF_JMP | NPF_JA, 0, 0, 1 },
		INSN_LD_B(40),     INSN_LD_B(14),     INSN_JEQ(3, 0, 1),
		INSN_RET(9),       INSN_RET(0),
	};
	const struct npf_program program = PROGRAM(insns);
	const struct npf_program *programs[] = { &program };
	struct group_tally tally = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 8 * 64; i++) {
		uint8_t packet[64] = { [12] = i & 1, [13] = i & 2, [14] = i & 4 ? 3 : 0 };
		struct npf_frame frame = { .length = 1 + i / 8, .wire_length = 64 };
		const struct engine_run run = { .frame = &frame, .data = packet };

		group_compare(host, programs, 1, &run, 1, &tally);
	}
	assert_int_equal(tally.mistakes, 0);
	assert_in_range(tally.accepted, 1, tally.answers - 1);
}

static void the_type_is_loaded_once(void **state)
{
	struct bpf_program compiled[N_EXPRESSIONS];
	struct npf_program made[N_EXPRESSIONS];
	const struct npf_program *programs[N_EXPRESSIONS];
	uint32_t alone = 0;
	struct npf_ir ir;
	size_t size;
	void *space;

	(void)state;
	compile_all(compiled, made);
	for (uint32_t i = 0; i < N_EXPRESSIONS; i++) {
		programs[i] = &made[i];
		alone += count_checks_alone(&made[i]);
	}
	size = npf_ir_join_space(programs, N_EXPRESSIONS);
	space = malloc(size);
	assert_non_null(space);
	assert_int_equal(npf_ir_join(&ir, programs, N_EXPRESSIONS, space, size - 1), -ENOSPC);
	assert_int_equal(npf_ir_join(&ir, programs, N_EXPRESSIONS, space, size), 0);
	npf_ir_optimise(&ir, NPF_PASS_DEFAULT, NULL);
	print_message("%u checks of lengths together, %u alone; %u blocks, %u values\n",
		      count_checks(&ir), alone, ir.n_blocks, ir.n_insns);
	assert_int_equal(count_loads(&ir, 12, 2), 1);
	assert_int_equal(count_questions(&ir, 0x0800), 1);
	assert_true(count_checks(&ir) * 3 <= alone * 2);
	for (uint32_t i = 0; i < N_EXPRESSIONS; i++)
		pcap_freecode(&compiled[i]);
	free(space);
}

/* ---- what the interface promises ------------------------------------------------------------- */

/* Accept packets whose byte 14 is n. */
static struct npf_jit_filter *choose(uint32_t n)
{
	const struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(n, 0, 1), INSN_RET(9),
					  INSN_RET(0) };
	const struct npf_program program = PROGRAM(insns);
	struct npf_jit_filter *filter;

	if (bpf_jitter(host, &program, 0, &filter, NULL))
		return NULL;
	return filter;
}

/* Filters n to n + count - 1, whose bits are 0 and on; each third is missing. */
static struct npf_jit_group *choose_many(uint32_t n, uint32_t count)
{
	struct npf_jit_filter *filters[MOST] = { 0 };
	struct npf_jit_group *group = NULL;

	for (uint32_t i = 0; i < count; i++)
		filters[i] = i % 3 == 2 ? NULL : choose(n + i);
	npf_jit_join(host, filters, count, &group, NULL);
	for (uint32_t i = 0; i < count; i++)
		bpf_destroy_jit_filter(filters[i]);
	return group;
}

static bool is_right(const struct npf_jit_group *group, uint32_t n, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t packet[60] = { [14] = (uint8_t)(n + i) };
		uint64_t expected = i % 3 == 2 ? 0 : 1ull << i;

		if (npf_jit_group_run(group, packet, 60, 60) != expected ||
		    npf_jit_group_run(group, packet, 60, 15) != expected ||
		    npf_jit_group_run(group, packet, 60, 14) ||
		    npf_jit_group_run(group, packet, 60, 0))
			return false;
	}
	return true;
}

static void up_to_64_filters(void **state)
{
	(void)state;
	for (uint32_t count = 0; count <= MOST; count++) {
		struct npf_jit_group *group = choose_many(7, count);
		const char *engine;

		assert_non_null(group);
		engine = npf_jit_group_engine(group);
		assert_true(is_right(group, 7, count));
		if (count < 2)
			assert_string_equal(engine, "each filter alone");
		if (count == 8)
			assert_string_equal(engine, "x86-64, 6 filters together");
		npf_jit_group_release(group);
	}
}

static void more_filters_are_refused(void **state)
{
	struct npf_jit_filter *filters[MOST + 1] = { 0 };
	struct npf_jit_group *group = (void *)filters;
	char error[NPF_ERROR_SIZE] = "";

	(void)state;
	assert_int_equal(npf_jit_join(host, filters, MOST + 1, &group, error), -EINVAL);
	assert_null(group);
	assert_non_null(strstr(error, "64"));
	npf_jit_group_release(NULL);
}

/* Longer together than one function may be, and one of them longer by itself. */
static void long_programs_are_parts(void **state)
{
	static struct npf_insn insns[1500];
	const struct npf_program program = PROGRAM(insns);
	struct npf_jit_filter *filters[4];
	struct npf_jit_group *group;
	const uint8_t packet[60] = { [14] = 3 };

	(void)state;
	for (uint32_t i = 0; i < N_OF(insns) - 1; i++)
		insns[i] = (struct npf_insn){ .code = 0x04, .k = i };
	insns[N_OF(insns) - 1] = (struct npf_insn){ .code = 0x16 };
	filters[0] = choose(3);
	assert_int_equal(bpf_jitter(host, &program, 0, &filters[1], NULL), 0);
	filters[2] = choose(4);
	filters[3] = choose(3);
	assert_int_equal(npf_jit_join(host, filters, 4, &group, NULL), 0);
	assert_int_equal(npf_jit_group_run(group, packet, 60, 60), 11);
	assert_int_equal(npf_jit_group_run(group, packet, 60, 3), 2);
	assert_string_equal(npf_jit_group_engine(group), "x86-64, 2 filters together");
	npf_jit_group_release(group);
	for (uint32_t i = 0; i < 4; i++)
		bpf_destroy_jit_filter(filters[i]);
}

struct runner {
	pthread_t thread;
	struct npf_jit_group *group;
	uint32_t n, ready;
	bool right;
};

static void *run_it(void *arg)
{
	struct runner *runner = arg;

	__atomic_store_n(&runner->ready, 1, __ATOMIC_RELEASE);
	runner->right = true;
	for (int i = 0; i < 500; i++)
		runner->right = runner->right && is_right(runner->group, runner->n, 12);
	npf_jit_group_release(runner->group);
	return NULL;
}

static void is_let_go_of_while_it_runs(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 10; round++) {
		struct runner runner = { .group = choose_many(round, 12), .n = round };

		assert_non_null(runner.group);
		npf_jit_group_hold(runner.group);
		assert_int_equal(pthread_create(&runner.thread, NULL, run_it, &runner), 0);
		while (!__atomic_load_n(&runner.ready, __ATOMIC_ACQUIRE))
			sched_yield();
		npf_jit_group_release(runner.group);
		/* More than what waits: freed slots are used again meanwhile. */
		for (int i = 0; i < 500; i++)
			npf_jit_group_release(choose_many(100, 4));
		pthread_join(runner.thread, NULL);
		assert_true(runner.right);
	}
}

/* In a process that can make no file in memory, where code would lie. */
static int interpret_instead(void)
{
	struct rlimit none = { 0, 0 };
	struct npf_jit_group *group;
	bool right;

	host = npf_host_linux();
	if (!host || setrlimit(RLIMIT_NOFILE, &none))
		return 1;
	group = choose_many(7, 40);
	right = group && !strcmp(npf_jit_group_engine(group), "each filter alone") &&
		is_right(group, 7, 40);
	npf_jit_group_release(group);
	return right ? 0 : 1;
}

static void is_interpreted_where_code_is_forbidden(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (!child)
		_exit(interpret_instead());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answers_as_alone),
		cmocka_unit_test(notes_take_no_branch),
		cmocka_unit_test(no_check_is_dropped),
		cmocka_unit_test(the_type_is_loaded_once),
		cmocka_unit_test(up_to_64_filters),
		cmocka_unit_test(more_filters_are_refused),
		cmocka_unit_test(long_programs_are_parts),
		cmocka_unit_test(is_let_go_of_while_it_runs),
		cmocka_unit_test(is_interpreted_where_code_is_forbidden),
	};

	if (engine_x86_why_not()) {
		fprintf(stderr, "%s\n", engine_x86_why_not());
		return 77;
	}
	return cmocka_run_group_tests(tests, open_host, close_host);
}
