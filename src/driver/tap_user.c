/* SPDX-License-Identifier: BSD-3-Clause */
/* The user space target of tap.h. */
#include "driver/tap_user.h"

#include <errno.h>

#include "driver/jit.h"
#include "driver/tap_layout.h"
#include "filter/filter.h"

#include <string.h>

struct npf_tap_env {
	struct npf_user_tap *tap;
	const uint8_t *data;
	uint32_t length; /* bytes at data */
	uint64_t time;
	uint64_t sender;
	uint32_t cpu;
};

#define NPF_LOAD(p)             __atomic_load_n(p, __ATOMIC_RELAXED)
#define NPF_STORE(p, v)         __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define NPF_STORE_RELEASE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define NPF_STORE_FIRST(p, v)                                                                      \
	do {                                                                                       \
		__atomic_store_n(p, v, __ATOMIC_RELAXED);                                          \
		__atomic_thread_fence(__ATOMIC_RELEASE);                                           \
	} while (0)
#define NPF_ADD(p, v)        ((void)__atomic_fetch_add(p, v, __ATOMIC_RELAXED))
#define NPF_COUNT(p, v)      __atomic_store_n(p, *(p) + (v), __ATOMIC_RELAXED)
#define NPF_CAS(p, old, new) __sync_bool_compare_and_swap(p, old, new)
#define NPF_LOAD_FIRST(p)    __atomic_load_n(p, __ATOMIC_ACQUIRE)

static inline struct npf_cpu *npf_env_cpu(struct npf_tap_env *env)
{
	return env->cpu < env->tap->geometry.n_cpus ? &env->tap->cpus[env->cpu] : NULL;
}

static inline uint32_t npf_env_cpus(struct npf_tap_env *env)
{
	return env->tap->geometry.n_cpus;
}

static inline struct npf_cpu *npf_env_cpu_of(struct npf_tap_env *env, uint32_t n)
{
	return &env->tap->cpus[n];
}

static inline struct npf_control *npf_env_control(struct npf_tap_env *env)
{
	return env->tap->control;
}

static inline struct npf_chunk *npf_env_chunk(struct npf_tap_env *env, uint32_t id)
{
	const struct npf_ring_geometry *geometry = &env->tap->geometry;

	if (id == 0 || id > geometry->n_chunks)
		return NULL;
	return (void *)(env->tap->chunks + (size_t)(id - 1) * geometry->chunk_size);
}

static inline uint32_t npf_env_chunk_size(struct npf_tap_env *env)
{
	return env->tap->geometry.chunk_size;
}

static inline uint32_t npf_env_stream_size(struct npf_tap_env *env)
{
	return env->tap->geometry.stream_size;
}

static inline uint32_t npf_env_stream_format(struct npf_tap_env *env)
{
	return env->tap->geometry.stream_format;
}

static inline uint32_t npf_env_stream_most(struct npf_tap_env *env)
{
	return env->tap->geometry.chunk_size;
}

/* The whole ring is one region here. */
static inline uint32_t npf_env_region_shift(struct npf_tap_env *env)
{
	return (uint32_t)__builtin_ctz(env->tap->geometry.stream_size);
}

static inline uint8_t *npf_env_region(struct npf_tap_env *env, uint32_t n)
{
	return n == 0 ? env->tap->chunks : NULL;
}

static inline void npf_env_spill(struct npf_tap_env *env, uint8_t *to, const uint8_t *from,
				 uint32_t n)
{
	(void)env;
	memcpy(to, from, n);
}

static inline void npf_env_put(uint8_t *to, uint32_t value)
{
	memcpy(to, &value, sizeof(value));
}

/* The frame was stamped where it arrived; a cheaper clock would save nothing here. */
static inline uint64_t npf_env_now(struct npf_tap_env *env, uint32_t coarse)
{
	(void)coarse;
	return env->time;
}

static inline uint64_t npf_env_sender(struct npf_tap_env *env)
{
	return env->sender;
}

struct npf_user_filters {
	const struct npf_filter_set *set;
	struct npf_jit_filter *filter; /* NULL: interpreted, or there is none */
	struct npf_jit_filter *classes[NPF_MAX_CLASSES];
	struct npf_jit_group *group; /* of those classes that are code; NULL: each for itself */
	uint64_t alone;              /* classes that are not code */
};

/* Compiled code sees the packet's bytes alone: a tag in its place is the interpreter's. */
static inline uint32_t run(const struct npf_program *program, const struct npf_jit_filter *code,
			   struct npf_frame *frame, const uint8_t *data)
{
	if (!code || (frame->tagged && program->dialect == NPF_DIALECT_WIRE))
		return npf_filter_run(program, frame, data);
	frame->shift = 0;
	return code->function(data, frame->wire_length, frame->length);
}

static inline int npf_env_is_in_sets(struct npf_tap_env *env)
{
	const struct npf_user_filters *filters = env->tap->filters;
	const struct npf_match *match = filters ? filters->set->match : NULL;

	return !match || npf_match_run(match, env->data, env->length);
}

static inline uint32_t npf_env_filter(struct npf_tap_env *env, struct npf_frame *frame)
{
	const struct npf_user_filters *filters = env->tap->filters;

	if (!filters)
		return npf_filter_run(NULL, frame, env->data);
	return run(filters->set->filter, filters->filter, frame, env->data);
}

/* One by one, the classes of that mask. */
static uint64_t classify_each(const struct npf_user_filters *filters, uint64_t classes,
			      struct npf_frame *frame, const uint8_t *data)
{
	uint64_t matched = 0;

	for (; classes; classes &= classes - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(classes);
		const struct npf_program *class = filters->set->classes[i];

		if (run(class->length ? class : NULL, filters->classes[i], frame, data))
			matched |= 1ull << i;
	}
	return matched;
}

static uint64_t all_classes(const struct npf_filter_set *set)
{
	return set->n_classes < 64 ? (1ull << set->n_classes) - 1 : UINT64_MAX;
}

static inline uint64_t npf_env_classify(struct npf_tap_env *env, struct npf_frame *frame)
{
	const struct npf_user_filters *filters = env->tap->filters;

	if (!filters)
		return 0;
	if (!filters->group || frame->tagged)
		return classify_each(filters, all_classes(filters->set), frame, env->data);
	frame->shift = 0;
	return npf_jit_group_run(filters->group, env->data, frame->wire_length, frame->length) |
	       classify_each(filters, filters->alone, frame, env->data);
}

static inline int npf_env_copy(struct npf_tap_env *env, uint8_t *to, uint32_t from, uint32_t n)
{
	if (from > env->length || n > env->length - from)
		return -1;
	memcpy(to, env->data + from, n);
	return 0;
}

static inline int npf_env_wake(struct npf_tap_env *env)
{
	return env->tap->ops->wake(env->tap->arg);
}

static inline void npf_env_start_timer(struct npf_tap_env *env, uint64_t ns)
{
	env->tap->ops->start_timer(env->tap->arg, ns);
}

#include "driver/tap.h"

void npf_user_tap_init(struct npf_user_tap *tap, struct npf_host *host,
		       const struct npf_user_tap_host *ops, void *arg)
{
	*tap = (struct npf_user_tap){ .host = host, .ops = ops, .arg = arg };
}

/* A stream has room for one record behind it, and begins on a page. */
static size_t memory_size(const struct npf_ring_geometry *geometry)
{
	if (geometry->stream_size)
		return (size_t)geometry->stream_size + geometry->chunk_size + NPF_STREAM_ALIGN;
	return (size_t)geometry->n_chunks * geometry->chunk_size;
}

static uint8_t *first_byte(const struct npf_ring_geometry *geometry, uint8_t *memory)
{
	if (!geometry->stream_size)
		return memory;
	return memory + (-(uintptr_t)memory & (NPF_STREAM_ALIGN - 1));
}

void npf_user_tap_let_go(struct npf_user_tap *tap)
{
	tap->host->system->free(tap->host, tap->old, tap->old_size);
	tap->old = NULL;
}

static void keep_records(struct npf_user_tap *tap)
{
	if (tap->old)
		return;
	tap->old = tap->memory;
	tap->old_size = memory_size(&tap->geometry);
	tap->memory = NULL;
}

static void free_ring(struct npf_user_tap *tap)
{
	const struct npf_system_ops *system = tap->host->system;

	system->free(tap->host, tap->memory, memory_size(&tap->geometry));
	system->free(tap->host, tap->cpus, tap->geometry.n_cpus * sizeof(*tap->cpus));
	system->free(tap->host, tap->control, sizeof(*tap->control));
}

void npf_user_tap_fini(struct npf_user_tap *tap)
{
	npf_user_tap_let_go(tap);
	free_ring(tap);
	npf_user_filters_free(tap->host, tap->filters);
	tap->control = NULL;
	tap->cpus = NULL;
	tap->memory = NULL;
	tap->filters = NULL;
}

/* Without a group, for want of memory, each class is run for itself. */
static void join_classes(struct npf_host *host, struct npf_user_filters *filters)
{
	uint32_t n = filters->set->n_classes, n_code = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (filters->classes[i])
			n_code++;
		else
			filters->alone |= 1ull << i;
	}
	if (n_code > 1)
		(void)npf_jit_join(host, filters->classes, n, &filters->group, NULL);
}

struct npf_user_filters *npf_user_filters_make(struct npf_host *host,
					       const struct npf_filter_set *set)
{
	struct npf_user_filters *filters = host->system->alloc(host, sizeof(*filters));

	if (!filters)
		return NULL;
	filters->set = set;
	if (set->filter && set->filter->length)
		filters->filter = npf_jit_try(host, set->filter);
	for (uint32_t i = 0; i < set->n_classes; i++) {
		if (set->classes[i]->length)
			filters->classes[i] = npf_jit_try(host, set->classes[i]);
	}
	join_classes(host, filters);
	return filters;
}

void npf_user_filters_free(struct npf_host *host, struct npf_user_filters *filters)
{
	if (!filters)
		return;
	npf_jit_group_release(filters->group);
	bpf_destroy_jit_filter(filters->filter);
	for (uint32_t i = 0; i < NPF_MAX_CLASSES; i++)
		bpf_destroy_jit_filter(filters->classes[i]);
	host->system->free(host, filters, sizeof(*filters));
}

struct npf_user_filters *npf_user_tap_set_filters(struct npf_user_tap *tap,
						  struct npf_user_filters *filters)
{
	struct npf_user_filters *old = tap->filters;

	tap->filters = filters;
	return old;
}

int npf_user_tap_set_ring(struct npf_user_tap *tap, const struct npf_ring_geometry *geometry,
			  struct npf_ring_view *view)
{
	const struct npf_system_ops *system = tap->host->system;
	struct npf_control *control = system->alloc(tap->host, sizeof(*control));

	if (!control)
		return -ENOMEM;

	struct npf_cpu *cpus = system->alloc(tap->host, geometry->n_cpus * sizeof(*cpus));

	if (!cpus)
		goto free_control;

	uint8_t *memory = NULL;

	if (memory_size(geometry)) {
		memory = system->alloc(tap->host, memory_size(geometry));
		if (!memory)
			goto free_cpus;
	}
	npf_ring_fill_pool(geometry, control);

	keep_records(tap);
	free_ring(tap);
	tap->control = control;
	tap->cpus = cpus;
	tap->memory = memory;
	tap->chunks = first_byte(geometry, memory);
	tap->geometry = *geometry;
	*view = (struct npf_ring_view){
		.geometry = *geometry,
		.control = control,
		.cpus = cpus,
		.chunks = tap->chunks,
		.chunks_per_region = geometry->n_chunks ? geometry->n_chunks : 1,
		.region_size = geometry->stream_size,
	};
	return 0;

free_cpus:
	system->free(tap->host, cpus, geometry->n_cpus * sizeof(*cpus));
free_control:
	system->free(tap->host, control, sizeof(*control));
	return -ENOMEM;
}

void npf_user_tap_deliver(struct npf_user_tap *tap, struct npf_frame *frame, const uint8_t *data,
			  uint64_t time, uint32_t cpu, uint64_t sender)
{
	struct npf_tap_env env = {
		.tap = tap,
		.data = data,
		.length = frame->length,
		.time = time,
		.cpu = cpu,
		.sender = sender,
	};

	npf_tap(&env, frame);
}
