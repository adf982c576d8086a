/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bpf_filter() and pcap_offline_filter() answer as libpcap's, whose own is loaded beside: whether a
 * program is seen once or often, changes in its place, goes and comes, in threads, after fork().
 */
#define NOMINMAX
#include <pcap.h>

#include "lib/check.h"
#include "lib/expressions.h"
#include "lib/filter_random.h"
#include "wpcap/sanitized.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define OFTEN    300 /* more than it takes until a program is compiled */
#define PACKETS  64
#define PROGRAMS 400 /* at random */
#define PRELUDE  NPF_MEM_WORDS
#define LARGEST  (PRELUDE + FILTER_RANDOM_INSNS)

typedef __typeof__(bpf_filter) filter_function;
static filter_function *libpcaps;
static __typeof__(bpf_validate) *validate;

static uint8_t packets[PACKETS][FILTER_RANDOM_BYTES];
static struct npf_frame frames[PACKETS];

static int load(void **state)
{
	struct filter_random random = { .state = 77 };
	void *library = dlopen(LIBPCAP_DIR "/libpcap.so.0.8", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

	(void)state;
	if (!library)
		fail_msg("%s", dlerror());
	*(void **)&libpcaps = dlsym(library, "bpf_filter");
	*(void **)&validate = dlsym(library, "bpf_validate");
	assert_non_null(libpcaps);
	assert_ptr_not_equal(libpcaps, &bpf_filter);
	for (int i = 0; i < PACKETS; i++)
		filter_random_packet(&random, packets[i], &frames[i]);
	/* So that some are IP. */
	for (int i = 0; i < PACKETS; i += 2)
		memcpy(packets[i] + 12, i % 4 ? "\x08\x00\x45" : "\x86\xdd\x60", 3);
	return 0;
}

static void compare_one(const struct bpf_insn *insns, int packet)
{
	const struct npf_frame *frame = &frames[packet];
	struct pcap_pkthdr header = { .caplen = frame->length, .len = frame->wire_length };
	struct bpf_program program = { .bf_len = 1,
				       .bf_insns = (struct bpf_insn *)(uintptr_t)insns };
	u_int expected = libpcaps(insns, packets[packet], frame->wire_length, frame->length);

	assert_int_equal(bpf_filter(insns, packets[packet], frame->wire_length, frame->length),
			 expected);
	assert_int_equal((u_int)pcap_offline_filter(&program, &header, packets[packet]), expected);
}

static void compare(const struct bpf_insn *insns, int times)
{
	for (int i = 0; i < times; i++)
		compare_one(insns, i % PACKETS);
}

/* ---- programs ------------------------------------------------------------------------------ */

static void expressions_answer_as_before(void **in)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
	struct bpf_program program;

	(void)in;
	for (size_t i = 0; i < N_WRITTEN_EXPRESSIONS; i++) {
		/* Names that this machine may not know. */
		if (pcap_compile(dead, &program, written_expressions[i], 1, 0xFFFFFF00))
			continue;
		compare(program.bf_insns, OFTEN);
		pcap_freecode(&program);
	}
	pcap_close(dead);
}

/* Scratch memory is set first: what libpcap finds there otherwise is nobody's. */
static bool make_random(struct filter_random *random, struct bpf_insn *insns)
{
	struct npf_program program;
	struct npf_insn body[FILTER_RANDOM_INSNS];

	for (u_int i = 0; i < PRELUDE; i++)
		insns[i] = (struct bpf_insn){ .code = BPF_ST, .k = i };
	filter_random_program(random, body, &program);
	memcpy(insns + PRELUDE, body, program.length * sizeof(body[0]));
	for (uint32_t i = 0; i < program.length; i++) {
		uint16_t op = body[i].code & 0xF7u; /* a shift by more than there are bits */

		if ((op == (BPF_ALU | BPF_LSH) || op == (BPF_ALU | BPF_RSH)) && body[i].k > 31)
			return false;
	}
	return validate(insns, (int)(PRELUDE + program.length));
}

static void random_programs_answer_as_before(void **in)
{
	struct filter_random random = { .state = 4711 };
	struct bpf_insn insns[LARGEST];
	int made = 0;

	(void)in;
	while (made < PROGRAMS) {
		if (!make_random(&random, insns))
			continue;
		/* In the same place each time. */
		compare(insns, made % 3 ? OFTEN : 3);
		made++;
	}
}

static void without_a_program(void **in)
{
	struct pcap_pkthdr header = { .caplen = 60, .len = 60 };
	struct bpf_program none = { 0 };

	(void)in;
	assert_int_equal(bpf_filter(NULL, packets[0], 60, 60), (u_int)-1);
	assert_int_equal(pcap_offline_filter(&none, &header, packets[0]), 0);
}

/* ---- what programs do with programs --------------------------------------------------------- */

static void a_program_changes_in_its_place(void **in)
{
	struct bpf_insn insns[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 100, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1000),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	(void)in;
	compare(insns, OFTEN);
	for (u_int i = 0; i < 4; i++) {
		insns[0].k = i;
		insns[1].k = 50 * i;
		insns[2].k = 2000 + i;
		compare(insns, i % 2 ? OFTEN : 2);
	}
}

/* Behind a shorter program in the same place there is nothing that may be read. */
static void a_shorter_program_takes_the_place(void **in)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	struct bpf_insn insns[4] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 100, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1000),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	uint8_t *at = memory + page - 3 * sizeof(insns[0]);

	(void)in;
	assert_ptr_not_equal(memory, MAP_FAILED);
	memcpy(at, insns, sizeof(insns));
	compare((struct bpf_insn *)(void *)at, OFTEN);
	insns[1] = (struct bpf_insn)BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 7);
	memcpy(at, insns, sizeof(insns));
	assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
	compare((struct bpf_insn *)(void *)at, OFTEN);
	munmap(memory, 2 * page);
}

static void more_programs_than_are_kept(void **in)
{
	struct bpf_insn insns[50][2];

	(void)in;
	for (u_int i = 0; i < 50; i++) {
		insns[i][0] = (struct bpf_insn)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, i);
		insns[i][1] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_A, 0);
	}
	for (int round = 0; round < OFTEN; round++) {
		for (u_int i = 0; i < 50; i++)
			compare_one(insns[i], round % PACKETS);
	}
	for (u_int i = 0; i < 50; i++)
		compare(insns[i], OFTEN);
}

/* Code behind an unconditional jump counts, garbage behind the end does not. */
static void the_end_is_found(void **in)
{
	const struct bpf_insn insns[] = {
		BPF_STMT(BPF_JMP | BPF_JA, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
		{ .code = 0xFFFF, .jt = 255, .jf = 255, .k = 0xFFFFFFFF },
	};

	(void)in;
	compare(insns, OFTEN);
}

static void *run_random(void *seed)
{
	struct filter_random random = { .state = *(uint64_t *)seed };
	struct bpf_insn insns[LARGEST];
	int made = 0;

	while (made < PROGRAMS / 10) {
		if (!make_random(&random, insns))
			continue;
		for (int i = 0; i < OFTEN; i++) {
			const struct npf_frame *frame = &frames[i % PACKETS];
			const uint8_t *data = packets[i % PACKETS];

			if (bpf_filter(insns, data, frame->wire_length, frame->length) !=
			    libpcaps(insns, data, frame->wire_length, frame->length))
				return seed;
		}
		made++;
	}
	return NULL;
}

static void each_thread_for_itself(void **in)
{
	uint64_t seeds[4] = { 1, 22, 333, 4444 };
	pthread_t threads[4];

	(void)in;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_random, &seeds[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

/* A child must not run code in memory that its parent goes on writing to. */
static void a_child_begins_anew(void **in)
{
	uint64_t seeds[] = { 5, 55 };
	struct bpf_insn insns[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 3),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	int status = -1;
	pid_t child;

	(void)in;
	compare(insns, OFTEN);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		compare(insns, OFTEN);
		_exit(run_random(&seeds[0]) != NULL);
	}
	assert_null(run_random(&seeds[1]));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	compare(insns, OFTEN);
}

static bool has_code(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	assert_non_null(maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, "npf-code");
	fclose(maps);
	return found;
}

/* First of all tests: nothing was compiled before. */
static void what_is_used_often_is_compiled(void **in)
{
	const struct bpf_insn insns[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
					  BPF_STMT(BPF_RET | BPF_A, 0) };

	(void)in;
	compare(insns, 10);
	assert_false(has_code());
	compare(insns, OFTEN);
#ifdef __x86_64__
	assert_true(has_code());
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_often_is_compiled),
		cmocka_unit_test(expressions_answer_as_before),
		cmocka_unit_test(random_programs_answer_as_before),
		cmocka_unit_test(without_a_program),
		cmocka_unit_test(a_program_changes_in_its_place),
		cmocka_unit_test(a_shorter_program_takes_the_place),
		cmocka_unit_test(more_programs_than_are_kept),
		cmocka_unit_test(the_end_is_found),
		cmocka_unit_test(each_thread_for_itself),
		cmocka_unit_test(a_child_begins_anew),
	};

	if (sanitized())
		return 77;
	return cmocka_run_group_tests(tests, load, NULL);
}
