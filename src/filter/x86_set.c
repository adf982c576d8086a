/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/x86_set.h"

#include <string.h>

#define HASH_MAX 32u /* keys: beyond, one multiplier for all takes too many tries */
#define TRIES    4096

uint32_t npf_x86_swap(uint32_t value, unsigned int size)
{
	if (size == 2)
		return (value >> 8 & 0xFF) | (value & 0xFF) << 8;
	return size == 4 ? __builtin_bswap32(value) : value;
}

/* The smallest power of two that is at least n, as an exponent. */
static unsigned int log2_up(uint32_t n)
{
	unsigned int log = 0;

	while (log < 31 && (1u << log) < n)
		log++;
	return log;
}

uint32_t npf_x86_set_space(const struct npf_ir_set *set)
{
	uint32_t bitmap = 65536 / 8;
	uint32_t table = 4u * ((4u << log2_up(set->n)) + 4u * 4u * HASH_MAX);

	return (table > bitmap ? table : bitmap) + NPF_X86_DATA_ALIGNMENT;
}

uint32_t npf_x86_set_work(const struct npf_ir_set *set)
{
	return 4u * (6u << log2_up(set->n)) + 64;
}

/* Multipliers to try, always the same ones: xorshift, made odd. */
static uint32_t next_multiplier(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state | 1;
}

/* ---- bitmap -------------------------------------------------------------------------------- */

static void put_bit(uint32_t *words, uint32_t value, unsigned int swapped)
{
	uint32_t at = npf_x86_swap(value, swapped);

	words[at / 32] |= 1u << at % 32;
}

static void build_bitmap(struct npf_x86_asm *as, const uint32_t *keys, const struct npf_ir_set *set,
			 uint32_t bound, unsigned int swapped, struct npf_x86_set *out)
{
	uint32_t bits = swapped == 2 ? 0x10000 : bound + 1;
	uint32_t *words = (void *)npf_x86_add_data(as, (bits + 31) / 32 * 4, 64, &out->label);

	out->form = NPF_X86_BITMAP;
	for (uint32_t i = 0; words && i < set->n; i++) {
		uint32_t first = set->is_range ? keys[2 * i] : keys[i];
		uint32_t last = set->is_range ? keys[2 * i + 1] : keys[i];

		for (uint32_t k = first; k <= last && k <= bound; k++)
			put_bit(words, k, swapped);
	}
}

/* ---- perfect hashes ------------------------------------------------------------------------ */

/* Is none of a bucket's slots another bucket's? */
static bool is_free(const uint32_t *keys, uint32_t n, uint32_t multiplier, unsigned int shift,
		    const uint32_t *taken)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = keys[i] * multiplier >> shift;

		if (taken[slot / 32] & 1u << slot % 32)
			return false;
	}
	return true;
}

/* Do all keys of a bucket find slots of their own? Then they take them. */
static bool settle(const uint32_t *keys, uint32_t n, uint32_t multiplier, unsigned int shift,
		   uint32_t *table, uint32_t *taken)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = keys[i] * multiplier >> shift;

		if (taken[slot / 32] & 1u << slot % 32) {
			while (i--) {
				slot = keys[i] * multiplier >> shift;
				taken[slot / 32] &= ~(1u << slot % 32);
			}
			return false;
		}
		taken[slot / 32] |= 1u << slot % 32;
		table[slot] = keys[i];
	}
	return true;
}

/* A slot that nobody took holds a key that is looked for elsewhere. */
static void fill_gaps(uint32_t *table, const uint32_t *taken, uint32_t n, uint32_t key)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!(taken[i / 32] & 1u << i % 32))
			table[i] = key;
	}
}

static bool build_hash(struct npf_x86_asm *as, const uint32_t *keys, uint32_t n, uint32_t *taken,
		       struct npf_x86_set *out)
{
	unsigned int log = log2_up(n) + 2;
	uint32_t *table = (void *)npf_x86_add_data(as, 4u << log, 64, &out->label);
	uint32_t state = 0x9E3779B9;

	out->form = NPF_X86_HASH;
	out->shift = (uint8_t)(32 - log);
	memset(taken, 0, ((1u << log) + 31) / 32 * 4);
	for (int i = 0; table && i < TRIES; i++) {
		out->multiplier = next_multiplier(&state);
		if (!settle(keys, n, out->multiplier, out->shift, table, taken))
			continue;
		fill_gaps(table, taken, 1u << log, keys[0]);
		return true;
	}
	return false;
}

/* ---- buckets ------------------------------------------------------------------------------- */

/* What sorting the keys into buckets takes. */
struct buckets {
	uint32_t *start; /* of bucket i in keys; one more than buckets */
	uint32_t *keys;
	uint32_t *taken;
	uint32_t n;
	uint32_t multiplier;   /* finds the bucket */
	uint32_t *multipliers; /* of each, or NULL: */
	uint8_t *bytes;        /* odd, the hash is multiplied by them once more */
};

static void sort_keys(struct buckets *buckets, const uint32_t *keys, uint32_t n,
		      uint32_t multiplier, unsigned int shift)
{
	memset(buckets->start, 0, (buckets->n + 1) * 4);
	for (uint32_t i = 0; i < n; i++)
		buckets->start[keys[i] * multiplier >> shift]++;
	for (uint32_t i = 0, sum = 0; i <= buckets->n; i++) {
		sum += buckets->start[i];
		buckets->start[i] = sum;
	}
	for (uint32_t i = 0; i < n; i++)
		buckets->keys[--buckets->start[keys[i] * multiplier >> shift]] = keys[i];
}

static bool settle_bucket(const struct buckets *buckets, uint32_t i, unsigned int shift,
			  uint32_t *table)
{
	const uint32_t *keys = buckets->keys + buckets->start[i];
	uint32_t n = buckets->start[i + 1] - buckets->start[i], most = buckets->bytes ? 128 : TRIES;
	uint32_t state = 0x85EBCA6B, multiplier;

	for (uint32_t k = 0; k < most; k++) {
		uint32_t odd = 2 * k + 1;

		multiplier = buckets->bytes ? buckets->multiplier * odd : next_multiplier(&state);
		/* Most tries for a full bucket fail, and this is the faster way to learn it. */
		if (buckets->bytes && !is_free(keys, n, multiplier, shift, buckets->taken))
			continue;
		if (!settle(keys, n, multiplier, shift, table, buckets->taken))
			continue;
		if (buckets->bytes)
			buckets->bytes[i] = (uint8_t)odd;
		else
			buckets->multipliers[i] = multiplier;
		return true;
	}
	return false;
}

/* The fullest buckets choose first, while there is room. */
static bool settle_buckets(const struct buckets *buckets, unsigned int shift, uint32_t *table)
{
	uint32_t fullest = 0, size;

	for (uint32_t i = 0; i < buckets->n; i++) {
		size = buckets->start[i + 1] - buckets->start[i];
		fullest = size > fullest ? size : fullest;
	}
	for (size = fullest; size; size--) {
		for (uint32_t i = 0; i < buckets->n; i++) {
			if (buckets->start[i + 1] - buckets->start[i] == size &&
			    !settle_bucket(buckets, i, shift, table))
				return false;
		}
	}
	return true;
}

/* Tries some multipliers; the table lies at out->second behind what the buckets have. */
static bool fill_buckets(struct buckets *buckets, const uint32_t *keys, uint32_t n, uint32_t *work,
			 uint32_t *table, struct npf_x86_set *out)
{
	uint32_t slots = 1u << (32 - out->second_shift), state = 0x27D4EB2F;

	buckets->start = work;
	buckets->keys = buckets->start + buckets->n + 1;
	buckets->taken = buckets->keys + n;
	for (int try = 0; try < 8; try++) {
		out->multiplier = buckets->multiplier = next_multiplier(&state);
		sort_keys(buckets, keys, n, out->multiplier, out->shift);
		memset(buckets->taken, 0, slots / 8);
		if (settle_buckets(buckets, out->second_shift, table)) {
			fill_gaps(table, buckets->taken, slots, keys[0]);
			return true;
		}
	}
	return false;
}

static bool build_buckets(struct npf_x86_asm *as, const uint32_t *keys, uint32_t n, uint32_t *work,
			  struct npf_x86_set *out)
{
	unsigned int log = log2_up(n), log_slots = log + 1, log_buckets = log - 2;
	struct buckets buckets = { .n = 1u << log_buckets };

	out->form = NPF_X86_BUCKETS;
	out->shift = (uint8_t)(32 - log_buckets);
	out->second_shift = (uint8_t)(32 - log_slots);
	out->second = 4u << log_buckets;
	buckets.multipliers = (void *)npf_x86_add_data(as, out->second + (4u << log_slots), 64,
						       &out->label);
	return buckets.multipliers &&
	       fill_buckets(&buckets, keys, n, work, buckets.multipliers + buckets.n, out);
}

/* ---- permutes ------------------------------------------------------------------------------ */

#define SINGLES_MAX 10u /* keys of which each finds a bucket of its own */

/* Has each bucket room for the keys that belong to it? */
static bool have_room(const uint32_t *keys, uint32_t n, uint32_t multiplier, uint32_t most)
{
	uint64_t used = 0; /* of each bucket, four bits */

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bucket = keys[i] * multiplier >> 28;

		if ((used >> 4 * bucket & 0xF) == most)
			return false;
		used += 1ull << 4 * bucket;
	}
	return true;
}

/* The first keys of all buckets, then, where `most` is 2, the second ones. */
static void put_pairs(const uint32_t *keys, uint32_t n, uint32_t multiplier, uint32_t most,
		      uint32_t *table)
{
	uint8_t used[NPF_X86_WORDS_16] = { 0 };

	/* A place that nobody takes holds a key that is found elsewhere, too. */
	for (uint32_t i = 0; i < most * NPF_X86_WORDS_16; i++)
		table[i] = keys[0];
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bucket = keys[i] * multiplier >> 28;

		table[used[bucket]++ * NPF_X86_WORDS_16 + bucket] = keys[i];
	}
}

static bool build_permuted(struct npf_x86_asm *as, const uint32_t *keys,
			   const struct npf_ir_set *set, struct npf_x86_set *out)
{
	uint32_t most = set->n <= SINGLES_MAX ? 1 : 2, size = 4 * NPF_X86_WORDS_16;
	uint32_t state = 0x9E3779B9, multiplier, *table;
	int tries = TRIES;

	do
		multiplier = next_multiplier(&state);
	while (!have_room(keys, set->n, multiplier, most) && --tries);
	if (!tries)
		return false;
	*out = (struct npf_x86_set){ .built = true,
				     .form = NPF_X86_PERMUTE,
				     .multiplier = multiplier,
				     .second = most == 2 ? size : 0 };
	table = (void *)npf_x86_add_data(as, most * size, 64, &out->label);
	if (table)
		put_pairs(keys, set->n, multiplier, most, table);
	return true;
}

#define SPREAD_FEW 1024u /* keys; beyond, buckets would be too full */
#define SPREAD_MAX 2048u

static bool build_spread(struct npf_x86_asm *as, const uint32_t *keys, uint32_t n, uint32_t *work,
			 struct npf_x86_set *out)
{
	uint32_t words = n <= SPREAD_FEW ? NPF_X86_WORDS_16 : 2 * NPF_X86_WORDS_16;
	unsigned int log_slots = log2_up(n) + 2;
	struct buckets buckets = { .n = 4 * words };
	uint32_t before = as->data_size;

	*out = (struct npf_x86_set){ .built = true,
				     .form = NPF_X86_SPREAD,
				     .n = words,
				     .shift = (uint8_t)(32 - log2_up(buckets.n)),
				     .second_shift = (uint8_t)(32 - log_slots),
				     .second = buckets.n };
	buckets.bytes = npf_x86_add_data(as, out->second + (4u << log_slots), 64, &out->label);
	if (!buckets.bytes)
		return false;
	if (fill_buckets(&buckets, keys, n, work, (void *)(buckets.bytes + out->second), out))
		return true;
	as->data_size = before;
	return false;
}

bool npf_x86_set_build_permuted(struct npf_x86_asm *as, const struct npf_ir *ir, uint32_t number,
				uint32_t bound, void *work, struct npf_x86_set *out)
{
	const struct npf_ir_set *set = &ir->sets[number];
	const uint32_t *keys = ir->keys + set->first;

	if (set->is_range || set->n <= NPF_X86_CHAIN_MAX)
		return false;
	if (set->n <= NPF_X86_PERMUTED_MAX)
		return build_permuted(as, keys, set, out);
	if (set->n <= HASH_MAX || set->n > SPREAD_MAX || bound <= 0xFFFF)
		return false;
	return build_spread(as, keys, set->n, work, out);
}

/* ---- halving ------------------------------------------------------------------------------- */

static void build_search(struct npf_x86_asm *as, const uint32_t *keys, const struct npf_ir_set *set,
			 bool is_range, struct npf_x86_set *out)
{
	uint32_t n = 1u << log2_up(set->n);
	uint32_t *firsts = (void *)npf_x86_add_data(as, 8 * n, 64, &out->label);

	out->form = NPF_X86_SEARCH;
	out->n = n;
	out->second = 4 * n;
	/* What is too much repeats the last one. */
	for (uint32_t i = 0; firsts && i < n; i++) {
		uint32_t k = i < set->n ? i : set->n - 1;

		firsts[i] = is_range ? keys[2 * k] : keys[k];
		firsts[n + i] = is_range ? keys[2 * k + 1] - keys[2 * k] : 0;
	}
}

/* ---- which --------------------------------------------------------------------------------- */

static void build_chain(const uint32_t *keys, const struct npf_ir_set *set, unsigned int swapped,
			struct npf_x86_set *out)
{
	out->form = NPF_X86_CHAIN;
	out->is_range = set->is_range;
	out->n = set->n;
	for (uint32_t i = 0; i < set->n; i++) {
		out->lo[i] = npf_x86_swap(set->is_range ? keys[2 * i] : keys[i], swapped);
		out->width[i] = set->is_range ? keys[2 * i + 1] - keys[2 * i] : 0;
	}
}

/* Keys as they are looked up: ascending no longer when swapped. */
static const uint32_t *swap_keys(const uint32_t *keys, uint32_t n, unsigned int swapped,
				 uint32_t *to)
{
	if (!swapped)
		return keys;
	for (uint32_t i = 0; i < n; i++)
		to[i] = npf_x86_swap(keys[i], swapped);
	return to;
}

void npf_x86_set_build(struct npf_x86_asm *as, const struct npf_ir *ir, uint32_t number,
		       uint32_t bound, unsigned int swapped, void *work, struct npf_x86_set *out)
{
	const struct npf_ir_set *set = &ir->sets[number];
	const uint32_t *keys = ir->keys + set->first;
	uint32_t *scratch = (uint32_t *)work + (1u << log2_up(set->n));

	*out = (struct npf_x86_set){ .built = true };
	if (set->n <= NPF_X86_CHAIN_MAX) {
		build_chain(keys, set, swapped, out);
		return;
	}
	if (bound <= 0xFFFF) {
		build_bitmap(as, keys, set, bound, swapped, out);
		return;
	}
	if (set->is_range) {
		build_search(as, keys, set, true, out);
		return;
	}
	keys = swap_keys(keys, set->n, swapped, work);
	if (set->n <= HASH_MAX ? build_hash(as, keys, set->n, scratch, out)
			       : build_buckets(as, keys, set->n, scratch, out))
		return;
	/* No hash was found, which would be bad luck. Swapped keys have lost their order. */
	as->full = as->full || swapped;
	build_search(as, ir->keys + set->first, set, false, out);
}
