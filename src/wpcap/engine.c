/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bpf_filter() and pcap_offline_filter() by the engine of NPF: machine code, for programs that are
 * used often. Neither call says when a program is new, changed or gone, so each thread keeps the last
 * ones it was given and compares. What is seen once, or is no valid program, libpcap interprets.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "wpcap/wpcap.h"

#define PROGRAMS  16  /* kept by a thread */
#define WORTH_JIT 128 /* packets, after which a program is compiled: that takes some microseconds */

#define CLASS(code) ((code)&7u)
#define CLASS_JMP   5u
#define CLASS_RET   6u
#define JA          0x05u

struct entry {
	const struct bpf_insn *at; /* where the caller has it; NULL: free */
	struct bpf_insn *copy;
	uint32_t length;
	uint32_t sure; /* the first instruction that shows that there are so many */
	uint32_t uses;
	bool invalid;
	struct npf_jit_filter *jit;
};

struct cache {
	struct entry entries[PROGRAMS];
	const struct bpf_insn *missed; /* the last that was not there */
	uint32_t next;                 /* to be given up */
	uint32_t process;
};

/* ---- what there is once -------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static bool usable;
static struct npf_host *host;

/* A child shares the memory that its parent's code is in, and the parent will write others there:
 * it leaves all that alone and begins anew. */
static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	host = NULL;
	pthread_mutex_unlock(&lock);
}

static void clear_entry(struct entry *entry)
{
	bpf_destroy_jit_filter(entry->jit);
	free(entry->copy);
	*entry = (struct entry){ 0 };
}

static void free_cache(void *arg)
{
	struct cache *cache = arg;

	for (uint32_t i = 0; cache->process == wpcap_process() && i < PROGRAMS; i++)
		clear_entry(&cache->entries[i]);
	free(cache);
}

static void prepare(void)
{
	usable = !pthread_key_create(&key, free_cache) &&
		 !pthread_atfork(before_fork, in_parent, in_child);
}

static struct npf_host *host_of_process(void)
{
	struct npf_host *found;

	pthread_mutex_lock(&lock);
	if (!host)
		host = npf_host_linux();
	found = host;
	pthread_mutex_unlock(&lock);
	return found;
}

/* ---- programs ------------------------------------------------------------------------------ */

/* The last instruction that this one shows to exist. */
static uint32_t shown_by(const struct bpf_insn *insn, uint32_t at)
{
	uint32_t most = insn->jt > insn->jf ? insn->jt : insn->jf;

	if (CLASS(insn->code) == CLASS_RET)
		return at;
	if (CLASS(insn->code) != CLASS_JMP)
		return at + 1;
	if (insn->code == JA)
		return insn->k < NPF_MAX_INSNS ? at + 1 + insn->k : NPF_MAX_INSNS;
	return at + 1 + most;
}

/*
 * Jumps go forward only: a program ends where nothing shows that there is more. One that is too long,
 * or jumps back as libpcap's "protochain" does, is cut behind the instruction that shows it. That is
 * no return, so that no validator takes what is left for a program.
 */
static uint32_t length_of(const struct bpf_insn *insns, uint32_t *sure)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i <= last; i++) {
		uint32_t shown = shown_by(&insns[i], i);

		if (shown <= last)
			continue;
		*sure = i;
		if (shown >= NPF_MAX_INSNS)
			return i + 1;
		last = shown;
	}
	return last + 1;
}

static bool equal(const struct bpf_insn *a, const struct bpf_insn *b, uint32_t n)
{
	return !memcmp(a, b, n * sizeof(*a));
}

/* Not a byte is read that a shorter program in this place would not have. */
static bool unchanged(const struct entry *entry, const struct bpf_insn *insns)
{
	uint32_t known = entry->sure + 1;

	for (uint32_t i = 0; i < known; i++) {
		if (!equal(&insns[i], &entry->copy[i], 1))
			return false;
	}
	return equal(insns + known, entry->copy + known, entry->length - known);
}

static struct npf_program program_of(const struct entry *entry)
{
	return (struct npf_program){
		.length = entry->length,
		.dialect = NPF_DIALECT_WIRE,
		.insns = (const struct npf_insn *)(const void *)entry->copy,
	};
}

static void fill_entry(struct entry *entry, const struct bpf_insn *insns)
{
	uint32_t sure = 0, length = length_of(insns, &sure);
	struct npf_program program;

	clear_entry(entry);
	entry->copy = calloc(length, sizeof(*insns));
	if (!entry->copy)
		return;
	memcpy(entry->copy, insns, length * sizeof(*insns));
	entry->length = length;
	entry->sure = sure;
	entry->at = insns;
	program = program_of(entry);
	entry->invalid = npf_filter_validate(&program, NULL, 0);
}

/* ---- looking up ---------------------------------------------------------------------------- */

static struct cache *new_cache(void)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (cache && pthread_setspecific(key, cache)) {
		free(cache);
		return NULL;
	}
	if (cache)
		cache->process = wpcap_process();
	return cache;
}

static struct cache *cache_of_thread(void)
{
	struct cache *cache;

	pthread_once(&once, prepare);
	if (!usable)
		return NULL;
	cache = pthread_getspecific(key);
	return cache && cache->process == wpcap_process() ? cache : new_cache();
}

/* NULL: not one of those that are kept. */
static struct entry *find(struct cache *cache, const struct bpf_insn *insns)
{
	struct entry *entry;

	for (uint32_t i = 0; i < PROGRAMS; i++) {
		entry = &cache->entries[i];
		if (entry->at != insns)
			continue;
		if (unchanged(entry, insns))
			return entry;
		clear_entry(entry);
		break;
	}
	/* At its second use in a row: more programs than there is room for do not drive each other out. */
	if (cache->missed != insns) {
		cache->missed = insns;
		return NULL;
	}
	entry = &cache->entries[cache->next++ % PROGRAMS];
	fill_entry(entry, insns);
	return entry->at ? entry : NULL;
}

/* ---- running ------------------------------------------------------------------------------- */

static u_int run(struct entry *entry, const u_char *data, u_int length, u_int captured)
{
	struct npf_program program = program_of(entry);
	struct npf_host *compiler;

	if (entry->jit)
		return npf_jit_run(entry->jit, data, length, captured);
	if (++entry->uses == WORTH_JIT && (compiler = host_of_process()) != NULL)
		bpf_jitter(compiler, &program, 0, &entry->jit, NULL);
	return npf_bpf_filter(&program, data, length, captured);
}

static u_int filter(const struct bpf_insn *insns, const u_char *data, u_int length, u_int captured)
{
	struct cache *cache = cache_of_thread();
	struct entry *entry = cache ? find(cache, insns) : NULL;

	if (!entry || entry->invalid)
		return REAL(bpf_filter)(insns, data, length, captured);
	return run(entry, data, length, captured);
}

/* ---- the interface ------------------------------------------------------------------------- */

/* Without a program everything is accepted. */
WPCAP_EXPORT u_int bpf_filter(const struct bpf_insn *insns, const u_char *data, u_int length,
			      u_int captured)
{
	return insns ? filter(insns, data, length, captured) : (u_int)-1;
}

/* Without a program nothing is. */
WPCAP_EXPORT int pcap_offline_filter(const struct bpf_program *program,
				     const struct pcap_pkthdr *header, const u_char *data)
{
	return program->bf_insns ? (int)filter(program->bf_insns, data, header->len, header->caplen)
				 : 0;
}
