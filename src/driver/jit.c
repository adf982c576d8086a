/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compiled filters: bpf_jitter() and what goes with it (manual, "BPF_jitter", "BPFtoX86",
 * "BPF_Destroy_JIT_Filter"). The program is optimised, turned into x86-64 code by src/filter, and
 * put where the host runs code from.
 *
 * Who owns a filter. The creator has the first share, bpf_destroy_jit_filter() gives it back.
 * Every thread that runs the filter while another might destroy it takes a share of its own, once,
 * before its first packet, and gives it back after its last: nothing is counted per packet. The
 * tap needs no shares: the host promises that no CPU runs old filters once new ones are set. As a
 * second line, the arena leaves freed code in place for a while (src/host/common/arena.h).
 */
#include "driver/jit.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"
#include "filter/filter.h"
#include "filter/ir.h"
#include "filter/x86.h"

#define LANES_MAX 16u

struct jit {
	struct npf_jit_filter base;
	/* Packets done of a batch; less than all: the next group is not for vectors. */
	uint32_t (*batch)(const struct npf_x86_batch *batch);
	uint32_t lanes; /* of batch, 0: none */
	uint32_t shares;
	struct npf_host *host;
	struct npf_code code;
	size_t size; /* of this allocation */
	char engine[NPF_ERROR_SIZE];
	struct npf_program program;
	struct npf_insn insns[];
};

/* For the time of a compilation. */
struct workshop {
	struct npf_host *host;
	struct npf_ir ir;
	void *ir_space;
	void *space[2]; /* scalar, vector */
	size_t size[2];
	struct npf_x86_image image[2];
	uint32_t lanes;
};

static struct jit *jit_of(const struct npf_jit_filter *filter)
{
	return (struct jit *)(uintptr_t)filter;
}

static void tell(char *error, const char *sentence)
{
	struct npf_text text;

	npf_text_init(&text, error, NPF_ERROR_SIZE);
	npf_text_add(&text, sentence);
}

static int fail(char *error, int err, const char *sentence)
{
	tell(error, sentence);
	return err;
}

/* ---- code ------------------------------------------------------------------------------------ */

/* A copy for headers without options gains nothing here: an index costs no more than an offset. */
#define PASSES NPF_PASS_DEFAULT

static void clear_workshop(struct workshop *shop)
{
	const struct npf_code_ops *ops = shop->host->code;

	ops->give_back(shop->host, shop->ir_space);
	for (int i = 0; i < 2; i++)
		ops->give_back(shop->host, shop->space[i]);
}

static int build(struct workshop *shop, const struct npf_program *program)
{
	size_t size = npf_ir_space(program->length);
	int err;

	shop->ir_space = shop->host->code->borrow(shop->host, size);
	if (!shop->ir_space)
		return -ENOMEM;
	err = npf_ir_build(&shop->ir, program, shop->ir_space, size);
	if (!err)
		npf_ir_optimise(&shop->ir, PASSES, NULL);
	return err;
}

static int make_room(struct workshop *shop, int i)
{
	shop->size[i] = npf_x86_space(&shop->ir);
	shop->space[i] = shop->host->code->borrow(shop->host, shop->size[i]);
	return shop->space[i] ? 0 : -ENOMEM;
}

static int build_scalar(struct workshop *shop)
{
	int err = make_room(shop, 0);

	return err ? err
		   : npf_x86_scalar(&shop->ir, shop->space[0], shop->size[0], &shop->image[0]);
}

static uint32_t feature_for(const struct npf_host *host, uint32_t flags)
{
	uint32_t features = host->features;

	if (features & NPF_X86_AVX512 && !(flags & NPF_JIT_AVX2))
		return NPF_X86_AVX512;
	return features & NPF_X86_AVX2;
}

static int build_vector(struct workshop *shop, uint32_t feature)
{
	int err = make_room(shop, 1);

	if (!err)
		err = npf_x86_vector(&shop->ir, feature, shop->space[1], shop->size[1],
				     &shop->image[1]);
	shop->lanes = err ? 0 : feature == NPF_X86_AVX512 ? LANES_MAX : LANES_MAX / 2;
	return err;
}

/* Of several filters together. */
static int build_joined(struct workshop *shop, const struct npf_program *const *programs, uint32_t n)
{
	size_t size = npf_ir_join_space(programs, n);
	int err;

	shop->ir_space = shop->host->code->borrow(shop->host, size);
	if (!shop->ir_space)
		return -ENOMEM;
	err = npf_ir_join(&shop->ir, programs, n, shop->ir_space, size);
	if (err)
		return err;
	npf_ir_optimise(&shop->ir, PASSES | NPF_PASS_FLATTEN, NULL);
	return build_scalar(shop);
}

/* Vectors are a gift: without them packets are looked at one by one. */
static int build_all(struct workshop *shop, const struct npf_program *program, uint32_t flags)
{
	uint32_t feature = flags & NPF_JIT_BATCH ? feature_for(shop->host, flags) : 0;
	int err = build(shop, program);

	if (!err)
		err = build_scalar(shop);
	if (!err && feature && build_vector(shop, feature) == -ENOMEM)
		err = -ENOMEM;
	return err;
}

/* Both images into one piece of the host's memory for code. */
static int place_code(struct jit *jit, const struct workshop *shop, char *error)
{
	uint32_t align = NPF_X86_DATA_ALIGNMENT - 1;
	uint32_t vector_at = (shop->image[0].size + align) & ~align;
	size_t size = vector_at + (shop->lanes ? shop->image[1].size : 0);
	const struct npf_code_ops *ops = jit->host->code;
	int err = ops->alloc(jit->host, size, &jit->code, error);

	if (err)
		return err;
	npf_x86_write(npf_x86_result(shop->space[0]), jit->code.write);
	if (shop->lanes)
		npf_x86_write(npf_x86_result(shop->space[1]), jit->code.write + vector_at);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(&jit->base.function, &(const void *){ jit->code.run }, sizeof(void *));
	if (shop->lanes)
		memcpy(&jit->batch, &(const void *){ jit->code.run + vector_at }, sizeof(void *));
	jit->lanes = shop->lanes;
	return 0;
}

static void name_engine(struct jit *jit)
{
	struct npf_text text;

	npf_text_init(&text, jit->engine, sizeof(jit->engine));
	npf_text_add(&text, "x86-64");
	if (!jit->lanes)
		return;
	npf_text_add(&text, ", ");
	npf_text_add_unsigned(&text, jit->lanes);
	npf_text_add(&text, " packets at once");
}

static void name_interpreter(struct jit *jit, const char *why)
{
	struct npf_text text;

	npf_text_init(&text, jit->engine, sizeof(jit->engine));
	npf_text_add(&text, "interpreter: ");
	npf_text_add(&text, why);
}

/* -ENOTSUP: there is no code for this program; why has a sentence. -EACCES: code cannot be run. */
static int compile(struct jit *jit, uint32_t flags, char *why)
{
	struct workshop shop = { .host = jit->host };
	int err;

#if !defined(__x86_64__)
	return fail(why, -EACCES, "code is generated for x86-64 only");
#endif
	if (!jit->host->code)
		return fail(why, -EACCES, "this host runs no generated code");
	err = build_all(&shop, &jit->program, flags);
	if (err == -ENOTSUP)
		tell(why, "the program has ancillary loads, which are not in a packet");
	else if (err)
		tell(why, "out of memory");
	else
		err = place_code(jit, &shop, why);
	clear_workshop(&shop);
	return err;
}

/* ---- the interface --------------------------------------------------------------------------- */

static struct jit *new_jit(struct npf_host *host, const struct npf_program *program)
{
	size_t bytes = program->length * sizeof(program->insns[0]);
	struct jit *jit = npf_alloc(host, sizeof(*jit) + bytes);

	if (!jit)
		return NULL;
	jit->host = host;
	jit->size = sizeof(*jit) + bytes;
	jit->shares = 1;
	jit->program = *program;
	jit->program.insns = jit->insns;
	memcpy(jit->insns, program->insns, bytes);
	return jit;
}

static void free_jit(struct jit *jit)
{
	if (jit->base.function)
		jit->host->code->free(jit->host, &jit->code);
	npf_free(jit->host, jit, jit->size);
}

int bpf_jitter(struct npf_host *host, const struct npf_program *program, uint32_t flags,
	       struct npf_jit_filter **filter, char *error)
{
	char why[NPF_ERROR_SIZE] = "";
	struct jit *jit;
	int err;

	*filter = NULL;
	err = npf_filter_validate(program, error, error ? NPF_ERROR_SIZE : 0);
	if (err)
		return err;
	jit = new_jit(host, program);
	if (!jit)
		return fail(error, -ENOMEM, "out of memory");
	err = compile(jit, flags, why);
	if (err && err != -EACCES) {
		tell(error, why);
		free_jit(jit);
		return err;
	}
	if (err)
		name_interpreter(jit, why);
	else
		name_engine(jit);
	*filter = &jit->base;
	return 0;
}

struct npf_jit_filter *npf_jit_try(struct npf_host *host, const struct npf_program *program)
{
	struct npf_jit_filter *filter;

	if (!host->code || bpf_jitter(host, program, 0, &filter, NULL))
		return NULL;
	if (filter->function)
		return filter;
	bpf_destroy_jit_filter(filter);
	return NULL;
}

void npf_jit_hold(struct npf_jit_filter *filter)
{
	__atomic_fetch_add(&jit_of(filter)->shares, 1, __ATOMIC_RELAXED);
}

void npf_jit_release(struct npf_jit_filter *filter)
{
	struct jit *jit = jit_of(filter);

	if (__atomic_fetch_sub(&jit->shares, 1, __ATOMIC_ACQ_REL) == 1)
		free_jit(jit);
}

void bpf_destroy_jit_filter(struct npf_jit_filter *filter)
{
	if (filter)
		npf_jit_release(filter);
}

const char *npf_jit_engine(const struct npf_jit_filter *filter)
{
	return jit_of(filter)->engine;
}

/* ---- running --------------------------------------------------------------------------------- */

uint32_t npf_jit_run(const struct npf_jit_filter *filter, const uint8_t *packet,
		     uint32_t wire_length, uint32_t buffer_length)
{
	if (filter->function)
		return filter->function(packet, wire_length, buffer_length);
	return npf_bpf_filter(&jit_of(filter)->program, packet, wire_length, buffer_length);
}

/* Without vectors, from `from` to `to`. */
static void run_each(const struct npf_jit_filter *filter, const struct npf_x86_batch *batch,
		     uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		batch->verdicts[i] = npf_jit_run(filter, batch->packets[i], batch->wire_lengths[i],
						 batch->lengths[i]);
}

/* Whole groups by vectors; a group that is not for them, and the rest, one by one. */
static void run_groups(const struct jit *jit, const struct npf_x86_batch *all)
{
	uint32_t done = 0, whole = all->n - all->n % jit->lanes;

	while (done < whole) {
		const struct npf_x86_batch batch = {
			.packets = all->packets + done,
			.lengths = all->lengths + done,
			.wire_lengths = all->wire_lengths + done,
			.verdicts = all->verdicts + done,
			.n = whole - done,
		};

		done += jit->batch(&batch);
		if (done == whole)
			break;
		run_each(&jit->base, all, done, done + jit->lanes);
		done += jit->lanes;
	}
	run_each(&jit->base, all, whole, all->n);
}

void npf_jit_run_batch(const struct npf_jit_filter *filter, const uint8_t *const *packets,
		       const uint32_t *wire_lengths, const uint32_t *buffer_lengths, uint32_t n,
		       uint32_t *verdicts)
{
	const struct jit *jit = jit_of(filter);
	const struct npf_x86_batch all = { packets, buffer_lengths, wire_lengths, verdicts, n };

	if (jit->lanes)
		run_groups(jit, &all);
	else
		run_each(filter, &all, 0, n);
}

/* ---- several filters on one packet ----------------------------------------------------------- */

#define MOST_INSNS 1024u /* of one function */

/* Filters next to each other that are one function. */
struct part {
	uint32_t first;
	uint32_t n;
	uint32_t (*function)(const uint8_t *packet, uint32_t wire_length, uint32_t buffer_length);
	struct npf_code code;
};

struct npf_jit_group {
	struct npf_host *host;
	uint32_t shares;
	uint32_t n_parts;
	uint32_t n_joined; /* filters that are in a function with others */
	uint32_t n;
	char engine[NPF_ERROR_SIZE];
	struct npf_jit_filter *filters[NPF_JIT_GROUP_MOST];
	struct part parts[NPF_JIT_GROUP_MOST];
};

/* How many from `first` on are one part; members: those of them that are filters. */
static uint32_t count_part(const struct npf_jit_group *group, uint32_t first, uint32_t *members)
{
	uint32_t n = 0, insns = 0;

	*members = 0;
	for (; first + n < group->n && n < NPF_IR_MOST_JOINED; n++) {
		const struct npf_jit_filter *filter = group->filters[first + n];

		if (!filter)
			continue;
		insns += jit_of(filter)->program.length;
		if (*members && insns > MOST_INSNS)
			break;
		++*members;
	}
	return n;
}

static int place_part(struct npf_jit_group *group, const struct workshop *shop, struct part *part)
{
	int err = group->host->code->alloc(group->host, shop->image[0].size, &part->code, NULL);

	if (err)
		return err;
	npf_x86_write(npf_x86_result(shop->space[0]), part->code.write);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(&part->function, &(const void *){ part->code.run }, sizeof(void *));
	return 0;
}

/* A part that is not compiled is filter after filter. */
static int compile_part(struct npf_jit_group *group, struct part *part)
{
	const struct npf_program *programs[NPF_IR_MOST_JOINED];
	struct workshop shop = { .host = group->host };
	int err;

	for (uint32_t i = 0; i < part->n; i++) {
		const struct npf_jit_filter *filter = group->filters[part->first + i];

		programs[i] = filter ? &jit_of(filter)->program : NULL;
	}
	err = build_joined(&shop, programs, part->n);
	if (!err)
		err = place_part(group, &shop, part);
	clear_workshop(&shop);
	return err;
}

static void compile_group(struct npf_jit_group *group)
{
	for (uint32_t first = 0; first < group->n;) {
		struct part *part = &group->parts[group->n_parts++];
		uint32_t members;

		part->first = first;
		part->n = count_part(group, first, &members);
		first += part->n;
		if (members > 1 && !compile_part(group, part))
			group->n_joined += members;
	}
}

static void name_group(struct npf_jit_group *group)
{
	struct npf_text text;

	npf_text_init(&text, group->engine, sizeof(group->engine));
	if (!group->n_joined) {
		npf_text_add(&text, "each filter alone");
		return;
	}
	npf_text_add(&text, "x86-64, ");
	npf_text_add_unsigned(&text, group->n_joined);
	npf_text_add(&text, " filters together");
}

/* Code is run where each filter is code: what hinders one hinders all. */
static bool are_code(const struct npf_jit_group *group)
{
	for (uint32_t i = 0; i < group->n; i++) {
		if (group->filters[i] && !group->filters[i]->function)
			return false;
	}
	return true;
}

int npf_jit_join(struct npf_host *host, struct npf_jit_filter *const *filters, uint32_t n,
		 struct npf_jit_group **result, char *error)
{
	struct npf_jit_group *group;

	*result = NULL;
	if (n > NPF_JIT_GROUP_MOST)
		return fail(error, -EINVAL, "more than 64 filters");
	group = npf_alloc(host, sizeof(*group));
	if (!group)
		return fail(error, -ENOMEM, "out of memory");
	group->host = host;
	group->shares = 1;
	group->n = n;
	for (uint32_t i = 0; i < n; i++) {
		group->filters[i] = filters[i];
		if (filters[i])
			npf_jit_hold(filters[i]);
	}
	if (are_code(group))
		compile_group(group);
	else
		group->parts[group->n_parts++].n = n;
	name_group(group);
	*result = group;
	return 0;
}

void npf_jit_group_hold(struct npf_jit_group *group)
{
	__atomic_fetch_add(&group->shares, 1, __ATOMIC_RELAXED);
}

void npf_jit_group_release(struct npf_jit_group *group)
{
	if (!group || __atomic_fetch_sub(&group->shares, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	for (uint32_t i = 0; i < group->n_parts; i++) {
		if (group->parts[i].function)
			group->host->code->free(group->host, &group->parts[i].code);
	}
	for (uint32_t i = 0; i < group->n; i++)
		bpf_destroy_jit_filter(group->filters[i]);
	npf_free(group->host, group, sizeof(*group));
}

const char *npf_jit_group_engine(const struct npf_jit_group *group)
{
	return group->engine;
}

static uint64_t run_alone(const struct npf_jit_group *group, const struct part *part,
			  const uint8_t *packet, uint32_t wire_length, uint32_t buffer_length)
{
	uint64_t matched = 0;

	for (uint32_t i = part->first; i < part->first + part->n; i++) {
		const struct npf_jit_filter *filter = group->filters[i];

		if (filter && npf_jit_run(filter, packet, wire_length, buffer_length))
			matched |= 1ull << i;
	}
	return matched;
}

uint64_t npf_jit_group_run(const struct npf_jit_group *group, const uint8_t *packet,
			   uint32_t wire_length, uint32_t buffer_length)
{
	uint64_t matched = 0;

	for (uint32_t i = 0; i < group->n_parts; i++) {
		const struct part *part = &group->parts[i];
		uint32_t mask = 0;

		if (part->function)
			mask = part->function(packet, wire_length, buffer_length);
		if (mask)
			matched |= (uint64_t)(mask & ~NPF_IR_JOINED) << part->first;
		else
			matched |= run_alone(group, part, packet, wire_length, buffer_length);
	}
	return matched;
}

/* ---- looking --------------------------------------------------------------------------------- */

int64_t bpf_to_x86(struct npf_host *host, const struct npf_program *program, uint32_t flags,
		   void *code, size_t size, uint32_t *code_size, char *error)
{
	bool vector = flags & NPF_JIT_BATCH;
	struct workshop shop = { .host = host };
	const struct npf_x86_image *image = &shop.image[vector];
	int64_t result;
	int err = npf_filter_validate(program, error, error ? NPF_ERROR_SIZE : 0);

	if (err)
		return err;
	if (!host->code)
		return fail(error, -ENOTSUP, "this host runs no generated code");
	if (vector && !feature_for(host, flags))
		return fail(error, -ENOTSUP, "this processor has no AVX2");
	err = build(&shop, program);
	if (!err)
		err = vector ? build_vector(&shop, feature_for(host, flags)) : build_scalar(&shop);
	result = err;
	if (!err) {
		result = image->size;
		*code_size = image->code_size;
		if (size >= image->size)
			npf_x86_write(npf_x86_result(shop.space[vector]), code);
	} else {
		tell(error,
		     err == -ENOTSUP ? "there is no such code for this program" : "out of memory");
	}
	clear_workshop(&shop);
	return result;
}
