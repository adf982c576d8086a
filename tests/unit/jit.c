/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Generated code: what it consists of, where it lies, what it reads, and what becomes of it. That it
 * answers as the interpreter does is filter_engines' business.
 */
#include "lib/check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter/filter.h"
#include "host/common/arena.h"
#include "lib/engine_x86.h"
#include "lib/filter_random_long.h"
#include "lib/host.h"
#include "lib/long_filter.h"
#include "lib/x86_image.h"
#include "npf/npf.h"

#define PAGE     4096u
#define PROGRAMS 3000
#define LANES    16u

static struct npf_jit_filter *jit(const struct npf_program *program, uint32_t flags)
{
	struct npf_jit_filter *filter;
	char error[NPF_ERROR_SIZE] = "";
	int err = bpf_jitter(host, program, flags, &filter, error);

	if (err)
		fail_msg("%s", error);
	return filter;
}

/* Accept packets whose byte 14 is n, and k bytes of them. */
#define CHOOSE(n, k)                                                                               \
	{                                                                                          \
		INSN_LD_B(14), INSN_JEQ(n, 0, 1), INSN_RET(k), INSN_RET(0)                         \
	}

/* ---- what it consists of --------------------------------------------------------------------- */

/* Is there code? Then it is what it must be. */
static bool check_code(struct x86_image *image, const struct npf_program *program, uint32_t flags)
{
	int err = x86_image_make(image, host, program, flags);
	const char *fault;

	if (err == -ENOTSUP)
		return false;
	assert_int_equal(err, 0);
	fault = x86_image_fault(image);
	if (fault)
		fail_msg("%s", fault);
	return true;
}

static void jumps_lead_to_instructions_inside(void **state)
{
	static const uint32_t flags[] = { 0, NPF_JIT_BATCH | NPF_JIT_AVX2, NPF_JIT_BATCH };
	struct filter_random random = { .state = 20260101 };
	struct npf_insn insns[FILTER_RANDOM_INSNS];
	struct x86_image *image = x86_image_new();
	struct npf_program program;
	uint32_t seen = 0;

	(void)state;
	assert_non_null(image);
	for (int i = 0; i < PROGRAMS; i++) {
		filter_random_program(&random, insns, &program);
		for (size_t k = 0; k < N_OF(flags); k++)
			seen += check_code(image, &program, flags[k]);
	}
	assert_true(seen > PROGRAMS / 2);
	x86_image_free(image);
}

/* Distances that no byte holds, in a program as long as they come. */
static void long_programs_are_laid_out(void **state)
{
	struct npf_insn insns[NPF_MAX_INSNS] = { { 0 } };
	const struct npf_program program = PROGRAM(insns);
	struct x86_image *image = x86_image_new();
	uint8_t packet[64] = { 0 };

	(void)state;
	assert_non_null(image);
	for (uint32_t i = 0; i + 2 < NPF_MAX_INSNS; i += 2) {
		insns[i] = (struct npf_insn)INSN_LD_B(i / 2 % 48);
		insns[i + 1] = (struct npf_insn){ .code = 0x25,
						  .k = 200 + i % 50,
						  .jt = i + 258 < NPF_MAX_INSNS ? 254 : 0 };
	}
	insns[NPF_MAX_INSNS - 2] = (struct npf_insn){ .code = 0x04, .k = 7 };
	insns[NPF_MAX_INSNS - 1] = (struct npf_insn){ .code = 0x16 };
	assert_true(check_code(image, &program, 0));
	x86_image_free(image);

	struct npf_jit_filter *filter = jit(&program, NPF_JIT_BATCH);

	for (uint32_t i = 0; i < 256; i++) {
		packet[i % 48] = (uint8_t)i;
		assert_int_equal(npf_jit_run(filter, packet, 64, 64),
				 npf_bpf_filter(&program, packet, 64, 64));
	}
	bpf_destroy_jit_filter(filter);
}

/* ---- where it lies --------------------------------------------------------------------------- */

/* Mappings whose permissions have all of these letters; how many of them are ours. */
static unsigned int count_maps(const char *letters, const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], permissions[8];
	unsigned int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		bool all = sscanf(line, "%*s %7s", permissions) == 1;

		for (const char *c = letters; *c; c++)
			all = all && strchr(permissions, *c);
		n += all && strstr(line, name);
	}
	fclose(maps);
	return n;
}

static void no_page_is_writable_and_executable(void **state)
{
	struct npf_insn insns[] = CHOOSE(1, 9);
	const struct npf_program program = PROGRAM(insns);
	struct npf_jit_filter *filters[64];

	(void)state;
	for (size_t i = 0; i < N_OF(filters); i++) {
		filters[i] = jit(&program, NPF_JIT_BATCH);
		assert_int_equal(count_maps("wx", "npf-code"), 0);
	}
	assert_true(count_maps("x", "npf-code") > 0);
	assert_int_equal(count_maps("x", "npf-code"), count_maps("w", "npf-code"));
	for (size_t i = 0; i < N_OF(filters); i++)
		bpf_destroy_jit_filter(filters[i]);
}

/* The file behind it cannot be mapped for writing once more, nor the code be made writable. */
static void code_is_sealed(void **state)
{
	struct npf_insn insns[] = CHOOSE(1, 9);
	const struct npf_program program = PROGRAM(insns);
	struct npf_jit_filter *filter = jit(&program, 0);
	uintptr_t at;

	(void)state;
	memcpy(&at, &filter->function, sizeof(at));
	assert_int_equal(at % 64, 0);
	assert_int_equal(mprotect((void *)(at & ~(uintptr_t)(PAGE - 1)), PAGE,
				  PROT_READ | PROT_WRITE | PROT_EXEC),
			 -1);
	bpf_destroy_jit_filter(filter);
}

static void freed_code_stays_for_a_while(void **state)
{
	struct npf_insn insns[] = CHOOSE(1, 9), others[] = CHOOSE(1, 10);
	const struct npf_program program = PROGRAM(insns), other = PROGRAM(others);
	struct npf_jit_filter *filter = jit(&program, 0);
	uint32_t (*function)(const uint8_t *, uint32_t, uint32_t) = filter->function;
	uint8_t packet[20] = { [14] = 1 };

	(void)state;
	bpf_destroy_jit_filter(filter);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(function(packet, 20, 20), 9);
		bpf_destroy_jit_filter(jit(&other, 0));
	}
}

static void code_memory_is_used_again(void **state)
{
	struct npf_insn insns[] = CHOOSE(1, 9);
	const struct npf_program program = PROGRAM(insns);
	uint8_t packet[20] = { [14] = 1 };

	(void)state;
	/* Each takes 64 bytes at least: sixteen times what waits to be used again. */
	for (uint32_t i = 0; i < 16 * NPF_ARENA_GRACE / 64; i++) {
		struct npf_jit_filter *filter = jit(&program, 0);

		if (i % 1000 == 0)
			assert_int_equal(npf_jit_run(filter, packet, 20, 20), 9);
		bpf_destroy_jit_filter(filter);
	}
	assert_true(count_maps("x", "npf-code") <= 4);
}

/* ---- what it reads --------------------------------------------------------------------------- */

/* A page between two that cannot be touched. */
static uint8_t *guarded_page(void)
{
	uint8_t *pages = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	return pages + PAGE;
}

static void free_page(uint8_t *page)
{
	munmap(page - PAGE, 3 * PAGE);
}

/* One program, packets of every length up to `most` that end, or begin, at the page's end. */
static void run_at_the_edge(const struct npf_program *program, const struct npf_jit_filter *filter,
			    uint8_t *page, uint32_t most, bool at_end)
{
	const uint8_t *packets[FILTER_RANDOM_BYTES + LANES];
	uint32_t lengths[FILTER_RANDOM_BYTES + LANES], verdicts[FILTER_RANDOM_BYTES + LANES];
	uint32_t n = most + 1;

	for (uint32_t i = 0; i < n; i++) {
		lengths[i] = i;
		packets[i] = at_end ? page + PAGE - i : page;
	}
	npf_jit_run_batch(filter, packets, lengths, lengths, n, verdicts);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t expected = npf_bpf_filter(program, packets[i], i, i);

		assert_int_equal(verdicts[i], expected);
		assert_int_equal(npf_jit_run(filter, packets[i], i, i), expected);
	}
}

static void reads_nothing_outside_the_packet(void **state)
{
	static struct npf_insn insns[NPF_MAX_INSNS];
	struct filter_random random = { .state = 4711 };
	struct filter_random_long l;
	struct npf_program program;
	uint8_t *page = guarded_page();

	(void)state;
	for (uint32_t i = 0; i < PAGE; i++)
		page[i] = (uint8_t)filter_random(&random, i % 3 ? 256 : 8);
	for (int i = 0; i < PROGRAMS; i++) {
		struct npf_jit_filter *filter;

		if (i % 20)
			filter_random_program(&random, insns, &program);
		else
			filter_random_long_program(&random, &l, insns, &program);
		if (bpf_jitter(host, &program, NPF_JIT_BATCH | (i % 2 ? NPF_JIT_AVX2 : 0), &filter,
			       NULL) == -ENOTSUP)
			continue;
		run_at_the_edge(&program, filter, page, FILTER_RANDOM_BYTES - 1, true);
		run_at_the_edge(&program, filter, page, FILTER_RANDOM_BYTES - 1, false);
		bpf_destroy_jit_filter(filter);
	}
	free_page(page);
}

/* A group of packets of which each is accepted early, then one of packets that are too short. */
static void runs_within_runs_end_with_them(void **state)
{
	const struct npf_program program = { .length = N_OF(long_filter), .insns = long_filter };
	static const uint8_t wanted[56] = {
		[12] = 0x08, [14] = 0x45, [17] = 0x3c, [20] = 0x65, [21] = 0x07,
		[23] = 0x02, [26] = 0x80, [33] = 0x02, [34] = 0xaf, [35] = 0x69,
		[36] = 0xaf, [37] = 0x69, [47] = 0x04
	};
	static const uint8_t cut[33] = {
		[12] = 0x08, [14] = 0x45, [17] = 0x3c, [21] = 0xfe, [23] = 0x11,
		[26] = 0x8b, [27] = 0x88, [28] = 0x9a, [29] = 0xde, [30] = 0x80
	};
	const uint8_t *at[4 * LANES];
	uint32_t lengths[4 * LANES], verdicts[4 * LANES];

	(void)state;
	for (uint32_t i = 0; i < 4 * LANES; i++) {
		bool is_cut = i / LANES == 1 || (i / LANES == 2 && i % 2) || i == 4 * LANES - 11;

		at[i] = is_cut ? cut : wanted;
		lengths[i] = is_cut ? sizeof(cut) : sizeof(wanted);
	}
	for (uint32_t flags = NPF_JIT_BATCH;; flags |= NPF_JIT_AVX2) {
		struct npf_jit_filter *filter = jit(&program, flags);

		npf_jit_run_batch(filter, at, lengths, lengths, 4 * LANES, verdicts);
		for (uint32_t i = 0; i < 4 * LANES; i++)
			assert_int_equal(verdicts[i],
					 npf_bpf_filter(&program, at[i], lengths[i], lengths[i]));
		bpf_destroy_jit_filter(filter);
		if (flags & NPF_JIT_AVX2)
			break;
	}
}

/* Behind an IPv4 header: what libpcap makes of "port 80", without the first conditions. */
static void headers_may_have_any_length(void **state)
{
	struct npf_insn insns[] = {
		{ .code = 0xb1, .k = 14 }, /* ldx 4 * (byte & 15) */
		{ .code = 0x48, .k = 14 }, /* ldh [x + 14] */
		INSN_JEQ(80, 2, 0),        { .code = 0x48, .k = 16 },
		INSN_JEQ(80, 0, 1),        INSN_RET(9),
		{ .code = 0x50, .k = 18 }, /* ldb */
		{ .code = 0x16 },          /* ret a */
	};
	const struct npf_program program = PROGRAM(insns);
	struct filter_random random = { .state = 815 };
	uint8_t packets[4 * LANES][96];
	const uint8_t *at[4 * LANES];
	uint32_t lengths[4 * LANES], verdicts[4 * LANES];

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct npf_jit_filter *filter = jit(&program,
						    NPF_JIT_BATCH | (round % 2 ? NPF_JIT_AVX2 : 0));

		for (uint32_t i = 0; i < 4 * LANES; i++) {
			bool usual = filter_random(&random, 8);

			for (uint32_t k = 0; k < sizeof(packets[i]); k++)
				packets[i][k] = filter_random(&random, 2) ? 80 * (k % 2) : 0;
			packets[i][14] = (uint8_t)(usual ? 0x45 : filter_random(&random, 256));
			lengths[i] = filter_random(&random, 3) ? 96 : filter_random(&random, 97);
			at[i] = packets[i] + 96 - lengths[i];
			memmove(packets[i] + 96 - lengths[i], packets[i], lengths[i]);
		}
		npf_jit_run_batch(filter, at, lengths, lengths, 4 * LANES, verdicts);
		for (uint32_t i = 0; i < 4 * LANES; i++)
			assert_int_equal(verdicts[i],
					 npf_bpf_filter(&program, at[i], lengths[i], lengths[i]));
		bpf_destroy_jit_filter(filter);
	}
}

/* Two loads that are one value where their ways meet, and on one of them an offset, which must be a
 * number: then so is the other, though it is only compared. */
static void loads_that_meet_have_one_order(void **state)
{
	const struct npf_insn insns[] = {
		INSN_LD_H(12),
		INSN_JEQ(0x0800, 0, 6),
		INSN_LD_H(14),
		{ .code = NPF_ST },
		{ .code = NPF_MISC | NPF_TAX },
		{ .code = NPF_LD | NPF_B | NPF_IND, .k = 1 },
		{ .code = NPF_LD | NPF_MEM },
		{ .code = NPF_JMP | NPF_JA, .k = 1 },
		INSN_LD_H(16),
		INSN_JEQ(0x0034, 0, 1),
		INSN_RET(1),
		INSN_RET(2),
	};
	static const uint16_t types[] = { 0x0800, 0x0008, 0x86DD };
	static const struct {
		uint8_t bytes[2];
		uint32_t verdict, offset_verdict;
	} cases[] = {
		{ { 0x00, 0x34 }, 1, 1 },
		{ { 0x34, 0x00 }, 2, 0 }, /* such an offset is not in the packet */
		{ { 0x00, 0x00 }, 2, 2 },
	};
	const struct npf_program program = PROGRAM(insns);
	struct npf_jit_filter *filter = jit(&program, 0);

	(void)state;
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
			uint8_t packet[64] = { 0 };
			uint32_t expected = t ? cases[c].verdict : cases[c].offset_verdict;

			packet[12] = (uint8_t)(types[t] >> 8);
			packet[13] = (uint8_t)types[t];
			memcpy(packet + (t ? 16 : 14), cases[c].bytes, 2);
			assert_int_equal(npf_jit_run(filter, packet, 64, 64), expected);
		}
	}
	bpf_destroy_jit_filter(filter);
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

struct runner {
	pthread_t thread;
	struct npf_jit_filter *filter;
	uint32_t expected, wrong, ready;
};

/* Run it until the one share that is left is ours and given back. */
static void *run_it(void *arg)
{
	struct runner *runner = arg;
	uint8_t packet[20] = { [14] = 1 };

	__atomic_store_n(&runner->ready, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 20000; i++)
		runner->wrong += runner->filter->function(packet, 20, 20) != runner->expected;
	npf_jit_release(runner->filter);
	return NULL;
}

static void start(struct runner *runner, uint32_t k)
{
	struct npf_insn insns[] = CHOOSE(1, k);
	const struct npf_program program = PROGRAM(insns);

	*runner = (struct runner){ .filter = jit(&program, 0), .expected = k };
	npf_jit_hold(runner->filter);
	assert_int_equal(pthread_create(&runner->thread, NULL, run_it, runner), 0);
}

static void is_destroyed_while_it_runs(void **state)
{
	struct npf_insn others[] = CHOOSE(2, 3);
	const struct npf_program other = PROGRAM(others);
	struct runner runners[3];

	(void)state;
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < N_OF(runners); i++)
			start(&runners[i], 100 + round * 10 + i);
		for (uint32_t i = 0; i < N_OF(runners); i++) {
			while (!__atomic_load_n(&runners[i].ready, __ATOMIC_ACQUIRE))
				sched_yield();
			bpf_destroy_jit_filter(runners[i].filter);
		}
		/* More than what waits: freed slots are used again meanwhile. */
		for (int i = 0; i < 1000; i++)
			bpf_destroy_jit_filter(jit(&other, 0));
		for (uint32_t i = 0; i < N_OF(runners); i++) {
			pthread_join(runners[i].thread, NULL);
			assert_int_equal(runners[i].wrong, 0);
		}
	}
}

/* ---- where it may not be run ----------------------------------------------------------------- */

/* From now on this system call fails when its third argument has all of these bits. */
static bool forbid(uint32_t call, uint32_t bits)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { N_OF(insns), insns };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* In a process of its own: 0 as it should be, 1 not, 77 the kernel forbids to forbid. */
static int interpret_instead(uint32_t call, uint32_t bits)
{
	struct npf_insn insns[] = CHOOSE(1, 9);
	const struct npf_program program = PROGRAM(insns);
	const uint8_t packet[20] = { [14] = 1 }, *packets[20];
	uint32_t lengths[20], verdicts[20];
	struct npf_jit_filter *filter;

	if (!forbid(call, bits))
		return 77;
	if (bpf_jitter(host, &program, NPF_JIT_BATCH, &filter, NULL))
		return 1;
	for (uint32_t i = 0; i < 20; i++) {
		packets[i] = packet;
		lengths[i] = i;
	}
	npf_jit_run_batch(filter, packets, lengths, lengths, 20, verdicts);

	bool right = !filter->function && verdicts[14] == 0 && verdicts[15] == 9 &&
		     npf_jit_run(filter, packet, 20, 20) == 9 &&
		     strstr(npf_jit_engine(filter), "interpreter: ") == npf_jit_engine(filter) &&
		     strstr(npf_jit_engine(filter), "cannot be run here");

	bpf_destroy_jit_filter(filter);
	return right ? 0 : 1;
}

static void try_forbidden(uint32_t call, uint32_t bits)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		host = npf_host_linux();
		_exit(host ? interpret_instead(call, bits) : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void is_interpreted_where_code_is_forbidden(void **state)
{
	(void)state;
	try_forbidden(SYS_memfd_create, 0);
	try_forbidden(SYS_mmap, PROT_EXEC);
	try_forbidden(SYS_fcntl, 0);
}

static void await_word(const int *pipe)
{
	char word;

	assert_int_equal(read(pipe[0], &word, 1), 1);
}

static void say_word(const int *pipe)
{
	assert_int_equal(write(pipe[1], "w", 1), 1);
}

/* Both would take the next free place, in memory that they share. */
static void code_of_a_fork_is_its_own(void **state)
{
	static const struct npf_insn parents_insns[] = CHOOSE(1, 11), forks_insns[] = CHOOSE(1, 22);
	const struct npf_program parents = PROGRAM(parents_insns), forks = PROGRAM(forks_insns);
	const uint8_t packet[60] = { [14] = 1 };
	struct npf_jit_filter *before = jit(&parents, 0), *filter;
	int to[2], from[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		await_word(to);
		if (bpf_jitter(host, &forks, 0, &filter, NULL))
			_exit(1);
		say_word(from);
		await_word(to);
		status = npf_jit_run(filter, packet, 60, 60) != 22;
		bpf_destroy_jit_filter(filter);
		bpf_destroy_jit_filter(before);
		_exit(status);
	}
	filter = jit(&parents, 0);
	say_word(to);
	await_word(from);
	assert_int_equal(npf_jit_run(filter, packet, 60, 60), 11);
	bpf_destroy_jit_filter(before);
	before = jit(&parents, 0);
	say_word(to);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(npf_jit_run(filter, packet, 60, 60), 11);
	assert_int_equal(npf_jit_run(before, packet, 60, 60), 11);
	bpf_destroy_jit_filter(filter);
	bpf_destroy_jit_filter(before);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
}

static void refuses_what_it_cannot_do(void **state)
{
	static const struct npf_insn endless[] = { INSN_LD_B(0) };
	static const struct npf_insn ancillary[] = { { .code = 0x20, .k = NPF_AD_PROTOCOL },
						     { .code = 0x16 } };
	const struct npf_program bad = PROGRAM(endless);
	struct npf_program foreign = PROGRAM(ancillary);
	struct npf_jit_filter *filter;
	char error[NPF_ERROR_SIZE] = "";
	uint32_t size;

	(void)state;
	foreign.dialect = NPF_DIALECT_LINUX;
	assert_int_equal(bpf_jitter(host, &bad, 0, &filter, error), -EINVAL);
	assert_non_null(strstr(error, "instruction 0"));
	assert_null(filter);
	assert_int_equal(bpf_jitter(host, &foreign, 0, &filter, error), -ENOTSUP);
	assert_non_null(strstr(error, "ancillary"));
	assert_null(filter);
	assert_int_equal(bpf_to_x86(host, &bad, 0, NULL, 0, &size, error), -EINVAL);
	assert_int_equal(bpf_to_x86(host, &foreign, 0, NULL, 0, &size, error), -ENOTSUP);
	bpf_destroy_jit_filter(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jumps_lead_to_instructions_inside),
		cmocka_unit_test(long_programs_are_laid_out),
		cmocka_unit_test(no_page_is_writable_and_executable),
		cmocka_unit_test(code_is_sealed),
		cmocka_unit_test(freed_code_stays_for_a_while),
		cmocka_unit_test(code_memory_is_used_again),
		cmocka_unit_test(reads_nothing_outside_the_packet),
		cmocka_unit_test(runs_within_runs_end_with_them),
		cmocka_unit_test(headers_may_have_any_length),
		cmocka_unit_test(loads_that_meet_have_one_order),
		cmocka_unit_test(is_destroyed_while_it_runs),
		cmocka_unit_test(is_interpreted_where_code_is_forbidden),
		cmocka_unit_test(code_of_a_fork_is_its_own),
		cmocka_unit_test(refuses_what_it_cannot_do),
	};

	if (engine_x86_why_not()) {
		fprintf(stderr, "%s\n", engine_x86_why_not());
		return 77;
	}
	return cmocka_run_group_tests(tests, open_host, close_host);
}
