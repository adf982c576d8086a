// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * The kernel target of tap.h: the programs that the kernel runs for every packet of an adapter.
 * ebpf.c sizes the maps, fills `geometry` and loads them; splice.c puts generated filters into
 * them.
 */
#include <linux/bpf.h>
#include <stdint.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "driver/tap_layout.h"
#include "filter/frame.h"
#include "filter/match.h"
#include "host/linux/bpf/geometry.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PASS_ON         (-1) /* TC_ACT_UNSPEC: the packet goes its way */
#define KEEP_NOTHING    0    /* a socket filter's: queue nothing */
#define CLOCK_MONOTONIC 1
#define SHORT           128u /* bytes, a multiple of 8 */

const volatile struct npf_tap_geometry geometry;

/* A section of its own is a map of its own; its address needs no look-up. */
struct npf_control control SEC(".data.control");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* one per CPU, set by the loader */
	__type(key, uint32_t);
	__type(value, struct npf_cpu);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* regions, and */
	__uint(key_size, 4);
	__uint(value_size, 4096); /* their size: set by the loader */
} chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* at least a page; it only ever holds a few wake-ups */
} wake SEC(".maps");

struct flush_timer {
	struct bpf_timer timer;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct flush_timer);
} timers SEC(".maps");

/* Who follows the programs of tc: nobody, or another instance of the process (chain.c). */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} next SEC(".maps");

/* ---- what generated filters take the place of ---------------------------------------------- */

/*
 * Two instructions, a mark and the answer that holds until a filter is installed: splice.c puts
 * generated code in their place. That may use every register, and the stack below ours. It is no
 * function, because calls are dear where returns are guarded against speculation (8 ns, more than
 * all the rest that a rejected packet costs).
 */
#define GENERATED(mark, answer, skb, frame, window)                                                \
	({                                                                                         \
		register uint64_t r0 asm("r0");                                                    \
		register struct __sk_buff *r1 asm("r1") = skb;                                     \
		register struct npf_frame *r2 asm("r2") = frame;                                   \
		register uint8_t *r3 asm("r3") = window;                                           \
                                                                                                   \
		asm volatile("%0 = %4\n%0 = %5"                                                    \
			     : "=r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)                              \
			     : "i"(mark), "i"(answer)                                              \
			     : "r4", "r5", "r6", "r7", "r8", "r9", "memory");                      \
		r0;                                                                                \
	})

/* ---- sets of hosts, networks and ports ------------------------------------------------------ */

/* Without sets, which is what the tap is loaded with; set_maps.c puts others in their place. All
 * constants to the verifier, which leaves out what no set needs. */
const volatile struct npf_match_shapes shapes SEC(".rodata.shapes");

struct set_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 8);
};
struct set_table set_0 SEC(".maps");
struct set_table set_1 SEC(".maps");
struct set_table set_2 SEC(".maps");
struct set_table set_3 SEC(".maps");

struct npf_match_env {
	struct __sk_buff *skb;
	const uint8_t *data, *end; /* of the linear part; NULL: the hook does not show it */
};

typedef uint16_t __attribute__((may_alias)) half;
typedef uint32_t __attribute__((may_alias)) word;

typedef uint64_t __attribute__((may_alias)) both;

/* In steps that keep to what the stack wants; packets have no such wishes. */
static inline __attribute__((always_inline)) void copy(uint8_t *to, const uint8_t *from,
						       uint32_t size)
{
	uint32_t at = size & 2;

	if (at)
		*(half *)to = *(const half *)from;
	for (; at < size; at += 4)
		*(word *)(to + at) = *(const word *)(from + at);
}

static inline __attribute__((always_inline)) int npf_match_load_far(struct npf_match_env *env,
								    uint32_t offset, void *to,
								    uint32_t size)
{
	return bpf_skb_load_bytes(env->skb, offset, to, size);
}

static inline __attribute__((always_inline)) int npf_match_load(struct npf_match_env *env,
								uint32_t offset, void *to,
								uint32_t size)
{
	if (env->data && env->data + offset + size <= env->end) {
		copy(to, env->data + offset, size);
		return 0;
	}
	return npf_match_load_far(env, offset, to, size);
}

static inline __attribute__((always_inline)) const void *npf_match_table(struct npf_match_env *env,
									 uint32_t i)
{
	uint32_t zero = 0;

	switch (i) {
	case 0:
		return bpf_map_lookup_elem(&set_0, &zero);
	case 1:
		return bpf_map_lookup_elem(&set_1, &zero);
	case 2:
		return bpf_map_lookup_elem(&set_2, &zero);
	default:
		return bpf_map_lookup_elem(&set_3, &zero);
	}
}

#define NPF_MATCH_CODE
#include "filter/match.h"

/* ---- the primitives of tap.h --------------------------------------------------------------- */

struct npf_tap_env {
	struct __sk_buff *skb;
	int tells_sender; /* the hook knows which socket sent a frame */
	int direct;       /* and lets us look into it */
	struct npf_cpu *cpu;
};

#define NPF_LOAD(p)          (*(volatile typeof(*(p)) *)(p))
#define NPF_STORE(p, v)      ((void)(*(volatile typeof(*(p)) *)(p) = (v)))
#define NPF_CAS(p, old, new) (__sync_val_compare_and_swap(p, old, new) == (old))
#define NPF_ADD(p, v)        ((void)__sync_fetch_and_add(p, v))
#define NPF_COUNT(p, v)      (*(p) += (v))
#ifdef __TARGET_ARCH_x86
/* Stores become visible in their order; only the compiler must be held. */
#define NPF_STORE_RELEASE(p, v)                                                                    \
	do {                                                                                       \
		asm volatile("" ::: "memory");                                                     \
		*(volatile typeof(*(p)) *)(p) = (v);                                               \
		asm volatile("" ::: "memory");                                                     \
	} while (0)
#else
#define NPF_STORE_RELEASE(p, v) ((void)__sync_lock_test_and_set(p, v))
#endif
#define NPF_STORE_FIRST(p, v) NPF_STORE_RELEASE(p, v)
/* The processor keeps loads in order on x86; elsewhere a fetching operation does. */
#ifdef __TARGET_ARCH_x86
#define NPF_LOAD_FIRST(p)                                                                          \
	({                                                                                         \
		typeof(*(p)) loaded = *(volatile typeof(*(p)) *)(p);                               \
		asm volatile("" ::: "memory");                                                     \
		loaded;                                                                            \
	})
#else
#define NPF_LOAD_FIRST(p) __sync_fetch_and_add(p, 0)
#endif

#define env_function static inline __attribute__((always_inline))

env_function struct npf_cpu *npf_env_cpu(struct npf_tap_env *env)
{
	uint32_t cpu = bpf_get_smp_processor_id();

	env->cpu = bpf_map_lookup_elem(&cpus, &cpu);
	return env->cpu;
}

env_function uint32_t npf_env_cpus(struct npf_tap_env *env)
{
	return geometry.n_cpus;
}

env_function struct npf_cpu *npf_env_cpu_of(struct npf_tap_env *env, uint32_t n)
{
	return bpf_map_lookup_elem(&cpus, &n);
}

env_function struct npf_control *npf_env_control(struct npf_tap_env *env)
{
	return &control;
}

/* The loader leaves two chunks' length of slack behind each region: for the verifier a chunk may
 * begin at a region's last byte, a record at a chunk's, and be as long as a chunk. */
env_function struct npf_chunk *npf_env_chunk(struct npf_tap_env *env, uint32_t id)
{
	uint64_t n = (uint64_t)id - 1;
	uint32_t region = 0;

	if (n >= geometry.n_chunks)
		return 0;
	if (geometry.n_chunks > 1u << geometry.region_shift) {
		region = n >> geometry.region_shift;
		n &= (1u << geometry.region_shift) - 1;
	}
	uint64_t place = n << geometry.chunk_shift;
	uint8_t *base = bpf_map_lookup_elem(&chunks, &region);

	if (!base || place >= geometry.region_bytes)
		return 0;
	return (struct npf_chunk *)(base + place);
}

env_function uint32_t npf_env_chunk_size(struct npf_tap_env *env)
{
	return 1u << geometry.chunk_shift;
}

env_function uint32_t npf_env_stream_size(struct npf_tap_env *env)
{
	return geometry.stream_size;
}

env_function uint32_t npf_env_stream_format(struct npf_tap_env *env)
{
	return geometry.stream_format;
}

env_function uint32_t npf_env_stream_most(struct npf_tap_env *env)
{
	return 1u << geometry.chunk_shift;
}

env_function uint32_t npf_env_region_shift(struct npf_tap_env *env)
{
	return geometry.stream_shift;
}

env_function uint8_t *npf_env_region(struct npf_tap_env *env, uint32_t n)
{
	return bpf_map_lookup_elem(&chunks, &n);
}

env_function void npf_env_spill(struct npf_tap_env *env, uint8_t *to, const uint8_t *from,
				uint32_t n)
{
	int64_t bytes = n;

	asm volatile("" : "+r"(bytes));
	if (bytes > 0 && bytes <= 1ll << geometry.chunk_shift)
		bpf_probe_read_kernel(to, bytes, from);
}

/* One store: the kernel allows it at any address where the processor does. */
env_function void npf_env_put(uint8_t *to, uint32_t value)
{
	*(volatile uint32_t *)to = value;
}

env_function uint64_t npf_env_now(struct npf_tap_env *env, uint32_t coarse)
{
	return coarse ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

env_function uint64_t npf_env_sender(struct npf_tap_env *env)
{
	return env->tells_sender ? bpf_get_socket_cookie(env->skb) : 0;
}

env_function int npf_env_is_in_sets(struct npf_tap_env *env)
{
	struct npf_match_env match = { .skb = env->skb };
	const struct npf_match_shapes *mine = (const struct npf_match_shapes *)&shapes;

	if (!shapes.n)
		return 1;
	/* The compiler must not take what stands there now for what will. */
	asm volatile("" : "+r"(mine));
	if (env->direct) {
		match.data = (const uint8_t *)(long)env->skb->data;
		match.end = (const uint8_t *)(long)env->skb->data_end;
	}
	return (int)npf_match_packet(&match, mine);
}

env_function uint32_t npf_env_filter(struct npf_tap_env *env, struct npf_frame *frame)
{
	return (uint32_t)GENERATED(NPF_FILTER_MARK, -1, env->skb, frame, env->cpu->window);
}

env_function uint64_t npf_env_classify(struct npf_tap_env *env, struct npf_frame *frame)
{
	return GENERATED(NPF_CLASSIFY_MARK, 0, env->skb, frame, env->cpu->window);
}

/* What is short is copied here, the last 8 bytes first: the helper takes 18 ns for however little.
 * False: it is not short, or not all there. */
env_function int copy_short(struct npf_tap_env *env, uint8_t *to, uint32_t from, uint32_t n)
{
	const uint8_t *data = (const uint8_t *)(long)env->skb->data + from;
	const uint8_t *end = (const uint8_t *)(long)env->skb->data_end;
	uint64_t last = (uint64_t)n - sizeof(both);

	asm volatile("" : "+r"(last));
	if (last > SHORT - sizeof(both) || data + last + sizeof(both) > end)
		return 0;
	*(both *)(to + last) = *(const both *)(data + last);
	for (uint32_t at = 0; at < SHORT; at += sizeof(both)) {
		if (at >= last)
			break;
		if (data + at + sizeof(both) > end)
			return 0;
		*(both *)(to + at) = *(const both *)(data + at);
	}
	return 1;
}

env_function int npf_env_copy(struct npf_tap_env *env, uint8_t *to, uint32_t from, uint32_t n)
{
	int64_t bytes = n;

	if (env->direct && copy_short(env, to, from, n))
		return 0;
	/* Keeps the test below on the register that the helper gets. Signed, because verifiers of
	 * older kernels learn nothing of the least value from a test for zero. */
	asm volatile("" : "+r"(bytes));
	if (bytes <= 0 || bytes > 1ll << geometry.chunk_shift)
		return -1;
	return bpf_skb_load_bytes(env->skb, from, to, bytes);
}

/* The lock of the kernel's buffer may give up, from Linux 6.15 on. */
env_function int npf_env_wake(struct npf_tap_env *env)
{
	uint64_t nothing = 0;

	return bpf_ringbuf_output(&wake, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

env_function void npf_env_start_timer(struct npf_tap_env *env, uint64_t ns)
{
	uint32_t zero = 0;
	struct flush_timer *flush = bpf_map_lookup_elem(&timers, &zero);

	if (flush)
		bpf_timer_start(&flush->timer, ns, 0);
}

#include "driver/tap.h"

/* ---- the flush timer ----------------------------------------------------------------------- */

static int flush(void *map, uint32_t *key, struct flush_timer *value)
{
	uint32_t arm = NPF_LOAD(&control.waiter.arm);

	if (NPF_LOAD(&control.signal.timed) != arm || NPF_LOAD(&control.signal.fired) == arm)
		return 0;
	npf_fulfil(0, &control, arm);
	return 0;
}

/* Run once by the loader: only a program with type information may name a callback. */
SEC("syscall") int npf_timer_setup(void *ctx)
{
	uint32_t zero = 0;
	struct flush_timer *value = bpf_map_lookup_elem(&timers, &zero);

	if (!value)
		return -1;
	long err = bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);

	return err ? err : bpf_timer_set_callback(&value->timer, flush);
}

/* ---- the hooks ----------------------------------------------------------------------------- */

env_function void fill(struct npf_frame *frame, struct __sk_buff *skb, uint32_t packet_type)
{
	frame->length = skb->len;
	frame->wire_length = frame->length;
	frame->tagged = skb->vlan_present;
	frame->tag_tci = 0;
	frame->tag_tpid = 0;
	if (frame->tagged) {
		frame->wire_length += NPF_TAG_SIZE;
		frame->tag_tci = skb->vlan_tci;
		frame->tag_tpid = bpf_ntohs(skb->vlan_proto);
	}
	frame->shift = 0;
	frame->packet_type = packet_type;
	frame->protocol = bpf_ntohs(skb->protocol);
	frame->ifindex = skb->ifindex;
	frame->hatype = geometry.hatype;
}

SEC("tc") int npf_ingress(struct __sk_buff *skb)
{
	struct npf_tap_env env = { .skb = skb, .direct = 1 };
	struct npf_frame frame;

	fill(&frame, skb, skb->pkt_type);
	npf_tap(&env, &frame);
	bpf_tail_call(skb, &next, NPF_NEXT_OF_INGRESS);
	return PASS_ON;
}

/* A loopback device shows each packet once: here, where its sender is still known. */
SEC("tc") int npf_egress(struct __sk_buff *skb)
{
	struct npf_tap_env env = { .skb = skb, .tells_sender = 1, .direct = 1 };
	struct npf_frame frame;

	fill(&frame, skb, geometry.loopback ? NPF_TO_HOST : NPF_FROM_HOST);
	npf_tap(&env, &frame);
	bpf_tail_call(skb, &next, NPF_NEXT_OF_EGRESS);
	return PASS_ON;
}

SEC("socket") int npf_socket(struct __sk_buff *skb)
{
	struct npf_tap_env env = { .skb = skb };
	struct npf_frame frame;
	uint32_t packet_type = skb->pkt_type;

	if (geometry.loopback) {
		if (packet_type != NPF_FROM_HOST)
			return KEEP_NOTHING;
		packet_type = NPF_TO_HOST;
	}
	fill(&frame, skb, packet_type);
	npf_tap(&env, &frame);
	return KEEP_NOTHING;
}
