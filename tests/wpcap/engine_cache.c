/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs that bpf_filter() keeps for a thread, seen from inside and without libpcap, so that
 * sanitizers can watch: what cannot be compiled is looked at once, and drives nothing else out.
 */
#define NOMINMAX
#include <pcap.h>

#include "lib/check.h"

#include "../../src/wpcap/engine.c"

#define OFTEN 1000

static uint32_t handed_on; /* packets for libpcap */

static u_int libpcaps(const struct bpf_insn *insns, const u_char *data, u_int length, u_int captured)
{
	(void)insns;
	(void)data;
	(void)length;
	(void)captured;
	handed_on++;
	return 77;
}

static struct real table = { .bpf_filter = libpcaps };
const struct real *wpcap_real_loaded = &table;

const struct real *wpcap_real_load(void)
{
	return &table;
}

static struct bpf_insn good[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
				  BPF_STMT(BPF_RET | BPF_A, 0) };

static u_int ask(const struct bpf_insn *insns)
{
	static const u_char packet[20] = { [9] = 5 };

	return bpf_filter(insns, packet, sizeof(packet), sizeof(packet));
}

static struct entry *entry_of(const struct bpf_insn *insns)
{
	struct cache *cache = cache_of_thread();

	for (uint32_t i = 0; i < PROGRAMS; i++) {
		if (cache->entries[i].at == insns)
			return &cache->entries[i];
	}
	fail_msg("it is not kept");
	return NULL;
}

static void keep_good(void)
{
	for (int i = 0; i < OFTEN; i++)
		ask(good);
	assert_int_equal(entry_of(good)->invalid, false);
}

/* Beside the good one, which goes on as it is. */
static void is_left_to_libpcap(const struct bpf_insn *insns, uint32_t read)
{
	struct cache *cache = cache_of_thread();
	const struct bpf_insn *copy;
	struct npf_jit_filter *jit;
	uint32_t next;

	keep_good();
	ask(insns);
	ask(insns); /* kept from now on */
	jit = entry_of(good)->jit;
	copy = entry_of(insns)->copy;
	next = cache->next;
	handed_on = 0;
	for (uint32_t i = 1; i <= OFTEN; i++) {
		assert_int_equal(ask(insns), 77);
		assert_int_equal(handed_on, i);
		assert_int_equal(ask(good), 5);
	}
	assert_int_equal(cache->next, next);
	assert_ptr_equal(entry_of(insns)->copy, copy);
	assert_int_equal(entry_of(insns)->length, read);
	assert_ptr_equal(entry_of(good)->jit, jit);
#ifdef __x86_64__
	assert_non_null(jit);
#endif
}

/* As libpcap's "protochain": round and round through the headers. Each in memory of its size. */
static struct bpf_insn *protochain(struct bpf_insn first, size_t *n)
{
	const struct bpf_insn insns[] = {
		first,
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 51, 0, 2),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
		BPF_STMT(BPF_JMP | BPF_JA, (u_int)-4),
		BPF_STMT(BPF_RET | BPF_K, 1),
	};
	struct bpf_insn *copy = malloc(sizeof(insns));

	assert_non_null(copy);
	memcpy(copy, insns, sizeof(insns));
	*n = N_OF(insns);
	return copy;
}

static void jumping_back(void **in)
{
	size_t n;
	struct bpf_insn *insns = protochain((struct bpf_insn)BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0),
					    &n);

	(void)in;
	is_left_to_libpcap(insns, 5);
	free(insns);
}

/* Its first instruction is eight zeros. */
static void jumping_back_behind_zeros(void **in)
{
	size_t n;
	struct bpf_insn *insns = protochain((struct bpf_insn)BPF_STMT(BPF_LD | BPF_IMM, 0), &n);

	(void)in;
	is_left_to_libpcap(insns, 5);
	free(insns);
}

static void too_long(void **in)
{
	struct bpf_insn *insns = calloc(NPF_MAX_INSNS + 1, sizeof(*insns));

	(void)in;
	assert_non_null(insns);
	insns[NPF_MAX_INSNS] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_K, 1);
	is_left_to_libpcap(insns, NPF_MAX_INSNS);
	free(insns);
}

/* One that could be compiled takes the place, and is seen. */
static void a_good_one_follows(void **in)
{
	size_t n;
	struct bpf_insn *insns = protochain((struct bpf_insn)BPF_STMT(BPF_LD | BPF_IMM, 0), &n);

	(void)in;
	is_left_to_libpcap(insns, 5);
	insns[4].k = 0;
	handed_on = 0;
	for (int i = 0; i < OFTEN; i++)
		ask(insns);
	assert_true(handed_on < OFTEN / 10);
	assert_int_equal(entry_of(insns)->length, n);
	assert_int_equal(ask(insns), 0);
	free(insns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jumping_back),
		cmocka_unit_test(jumping_back_behind_zeros),
		cmocka_unit_test(too_long),
		cmocka_unit_test(a_good_one_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
