/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NPF_tap (manual): runs once for every frame of the adapter, on the CPU that handles it. Filter,
 * then count, or time-stamp and copy into the buffer. Nothing here allocates, locks or waits.
 *
 * The source is compiled twice: for the kernel (host/linux/bpf/npf.bpf.c) and for every host whose
 * packets arrive in user space (tap_user.c). The includer defines struct npf_tap_env and, before
 * the include, these primitives over it:
 *
 *   struct npf_cpu *npf_env_cpu(env)              this CPU's half, NULL: not ours
 *   uint32_t npf_env_cpus(env)                    how many there are
 *   struct npf_cpu *npf_env_cpu_of(env, n)        that of another
 *   struct npf_control *npf_env_control(env)      NULL: no tap
 *   struct npf_chunk *npf_env_chunk(env, id)      NULL: no such chunk
 *   uint32_t npf_env_chunk_size(env)              bytes of a chunk
 *   uint64_t npf_env_now(env, coarse)             ns, monotonic
 *   uint64_t npf_env_sender(env)                  who sent it, 0 unknown
 *   int npf_env_is_in_sets(env)                   not 0: nothing speaks against it, or every set has it
 *   uint32_t npf_env_filter(env, frame)           bytes to keep
 *   uint64_t npf_env_classify(env, frame)         bit per class
 *   int npf_env_copy(env, to, from, n)            n bytes from offset from; not 0: failed
 *   int npf_env_wake(env)                         make the reader's descriptor readable, not 0: failed
 *   void npf_env_start_timer(env, ns)             do that in ns from now
 *
 * those of tap_stream.h, and the atomics NPF_LOAD, NPF_LOAD_FIRST (before all loads after it),
 * NPF_STORE_RELEASE (after all stores before it), NPF_STORE_FIRST (before all stores after it),
 * NPF_CAS, NPF_ADD, and NPF_COUNT, which adds to a counter that only this CPU writes
 * while others may read it.
 */
#ifndef NPF_TAP_H
#define NPF_TAP_H

#include "driver/tap_layout.h"
#include "filter/frame.h"

#define NPF_TAP_INLINE static inline __attribute__((always_inline))

/* The order of enum npf_drop. */
enum { TAP_DROP_NO_BUFFER, TAP_DROP_FULL, TAP_DROP_COPY, TAP_DROP_REENTRY };

#define TAP_FLAG_OUTGOING 0x1u /* NPF_PACKET_OUTGOING */
#define TAP_FLAG_CUT      0x2u /* NPF_PACKET_CUT */
#define TAP_FLAG_TAGGED   0x4u /* NPF_PACKET_TAGGED */

#define TAP_LINE_MINIMUM  60u /* shortest frame on an Ethernet, without its checksum */
#define TAP_LINE_OVERHEAD 12u /* what the manual's record adds for preamble and checksum */

/* Attempts to take a chunk while other CPUs take theirs. More would be a livelock guard only. */
#define TAP_POOL_TRIES 8

/* Attempts to be the one who looks at what all CPUs stored. Each that fails was another's look. */
#define TAP_LOOK_TRIES 32

/* What a CPU stored just now others may not see yet: one record. Before the next one comes, the kernel
 * stores more than a CPU's buffer holds. */
#define TAP_UNSEEN 2048u

/* After a wake-up that failed, the next attempt; a packet that comes first makes it sooner. */
#define TAP_WAKE_RETRY 1000000ull /* ns */

/* The only place where a packet is dropped. */
NPF_TAP_INLINE void npf_drop(struct npf_cpu *cpu, uint32_t reason)
{
	NPF_COUNT(&cpu->dropped[reason], 1);
}

/* A free chunk, 0 when there is none. */
NPF_TAP_INLINE uint32_t npf_pool_take(struct npf_control *control)
{
	for (int i = 0; i < TAP_POOL_TRIES; i++) {
		uint64_t head = NPF_LOAD(&control->pool);
		uint32_t id = (uint32_t)head;

		if (id == 0 || id > NPF_MAX_CHUNKS)
			return 0;
		uint64_t tag = (head >> 32) + 1;
		uint64_t next = tag << 32 | NPF_LOAD(&control->pool_next[id]);

		if (NPF_CAS(&control->pool, head, next))
			return id;
	}
	return 0;
}

/* Was there ever a chunk in the pool? Who takes or gives one leaves another tag behind. */
NPF_TAP_INLINE int npf_had_chunks(struct npf_control *control)
{
	return NPF_LOAD(&control->pool) != 0;
}

/* Take a chunk and chain it behind this CPU's last one. */
NPF_TAP_INLINE int npf_next_chunk(struct npf_tap_env *env, struct npf_control *control,
				  struct npf_cpu *cpu)
{
	uint32_t id = npf_pool_take(control);
	struct npf_chunk *chunk = id ? npf_env_chunk(env, id) : 0;

	if (!chunk)
		return -1;
	NPF_STORE_RELEASE(&chunk->state, (uint64_t)NPF_CHUNK_HEADER);

	if (cpu->chunk) {
		struct npf_chunk *old = npf_env_chunk(env, cpu->chunk);

		if (!old)
			return -1;
		NPF_STORE_RELEASE(&old->state, NPF_CHUNK_SEALED | (uint64_t)id << 32 | cpu->offset);
	} else {
		NPF_STORE_RELEASE(&cpu->first, id);
	}
	cpu->chunk = id;
	cpu->offset = NPF_CHUNK_HEADER;
	return 0;
}

/* Fulfil a wish. When the wake-up fails the wish stands as before, and the timer tries again, for no
 * packet may follow. */
NPF_TAP_INLINE void npf_fulfil(struct npf_tap_env *env, struct npf_control *control, uint32_t arm)
{
	NPF_STORE_RELEASE(&control->signal.fired, arm);
	if (!npf_env_wake(env))
		return;

	uint32_t timed = NPF_LOAD(&control->signal.timed);

	(void)NPF_CAS(&control->signal.fired, arm, arm - 1);
	if (timed == arm || NPF_CAS(&control->signal.timed, timed, arm))
		npf_env_start_timer(env, TAP_WAKE_RETRY);
}

/* How much each of the CPUs that store may still store unseen, when so much is missing: together less
 * than that. */
NPF_TAP_INLINE uint64_t npf_share(uint64_t missing, uint32_t n_cpus)
{
	uint64_t unseen = n_cpus > 1 ? (uint64_t)n_cpus * TAP_UNSEEN : 0;
	uint64_t units = missing > unseen ? (missing - unseen) / n_cpus / NPF_SHARE_UNIT : 0;

	return units < NPF_SHARE_MOST ? units : NPF_SHARE_MOST;
}

/* Have all CPUs together stored what is needed? If not, publish the share after which one must look
 * again. From its first exchange to its second a look lets everybody else look as well; who does makes
 * the second one fail, and has seen all that this one did. */
NPF_TAP_INLINE int npf_look(struct npf_tap_env *env, struct npf_control *control,
			    struct npf_cpu *cpu, uint32_t arm, uint32_t need)
{
	uint64_t begun = 0, sum = 0;
	uint32_t n = 0;
	int is_mine = 0;

	for (int i = 0; i < TAP_LOOK_TRIES && !is_mine; i++) {
		uint64_t seen = NPF_LOAD(&control->signal.share);

		begun = (uint64_t)arm << 32 | ((seen + NPF_SHARE_SERIAL) & NPF_SHARE_SERIALS);
		is_mine = NPF_CAS(&control->signal.share, seen, begun);
	}
	if (!is_mine)
		return 1; /* rather too early than never */
	for (uint32_t i = 0; i < npf_env_cpus(env); i++) {
		struct npf_cpu *other = npf_env_cpu_of(env, i);

		if (!other || NPF_LOAD_FIRST(&other->armed) != arm)
			continue;
		sum += NPF_LOAD(&other->since);
		n++;
	}
	if (sum >= need)
		return 1;
	cpu->seen = cpu->since;
	cpu->need = need;
	(void)NPF_CAS(&control->signal.share, begun, begun | npf_share(need - sum, n));
	return 0;
}

/*
 * Wake the reader when it waits and enough is there (MinToCopy): with the very packet, whatever CPU it
 * comes to. Each counts its own bytes, and looks at what all have when it has stored its share of what
 * was missing at its last look: a few times per wish, and no line is shared per packet.
 */
NPF_TAP_INLINE void npf_signal(struct npf_tap_env *env, struct npf_control *control,
			       struct npf_cpu *cpu, uint32_t size)
{
	uint32_t arm = NPF_LOAD(&control->waiter.arm);

	if (arm == NPF_LOAD(&control->signal.fired))
		return;

	uint32_t need = NPF_LOAD(&control->waiter.need);
	uint64_t share = NPF_LOAD(&control->signal.share);
	int looks = (uint32_t)(share >> 32) != arm || cpu->armed != arm || cpu->need != need;

	if (cpu->armed != arm) {
		NPF_STORE(&cpu->since, 0); /* others, and the reader, look at both */
		NPF_STORE_RELEASE(&cpu->armed, arm);
		cpu->seen = 0;
	}
	NPF_COUNT(&cpu->since, size);
	if (cpu->since - cpu->seen >= (share & NPF_SHARE_MOST) * NPF_SHARE_UNIT)
		looks = 1;
	if (cpu->since >= need || (looks && npf_look(env, control, cpu, arm, need))) {
		npf_fulfil(env, control, arm);
		return;
	}

	uint64_t timeout = NPF_LOAD(&control->waiter.timeout);
	uint32_t timed = NPF_LOAD(&control->signal.timed);

	/* Not by a plain store: a CPU that was stopped just here would take back the timer of a
	 * later wish. */
	if (timeout && timed != arm && NPF_CAS(&control->signal.timed, timed, arm))
		npf_env_start_timer(env, timeout);
}

/* Copy the first cap bytes as the wire had them: a stripped tag goes back to its place. */
NPF_TAP_INLINE int npf_copy_frame(struct npf_tap_env *env, const struct npf_frame *frame,
				  uint8_t *to, uint32_t cap)
{
	if (!frame->tagged || cap <= NPF_TAG_OFFSET)
		return cap ? npf_env_copy(env, to, 0, cap) : 0;

	to[NPF_TAG_OFFSET + 0] = (uint8_t)(frame->tag_tpid >> 8);
	if (cap > NPF_TAG_OFFSET + 1)
		to[NPF_TAG_OFFSET + 1] = (uint8_t)frame->tag_tpid;
	if (cap > NPF_TAG_OFFSET + 2)
		to[NPF_TAG_OFFSET + 2] = (uint8_t)(frame->tag_tci >> 8);
	if (cap > NPF_TAG_OFFSET + 3)
		to[NPF_TAG_OFFSET + 3] = (uint8_t)frame->tag_tci;
	if (npf_env_copy(env, to, 0, NPF_TAG_OFFSET))
		return -1;
	if (cap <= NPF_TAG_OFFSET + NPF_TAG_SIZE)
		return 0;
	return npf_env_copy(env, to + NPF_TAG_OFFSET + NPF_TAG_SIZE, NPF_TAG_OFFSET,
			    cap - NPF_TAG_OFFSET - NPF_TAG_SIZE);
}

/* Store a packet: find room, stamp, copy, publish. */
NPF_TAP_INLINE void npf_put(struct npf_tap_env *env, struct npf_control *control,
			    struct npf_cpu *cpu, const struct npf_frame *frame, uint32_t verdict)
{
	uint32_t chunk_size = npf_env_chunk_size(env);
	uint32_t flags = frame->packet_type == NPF_FROM_HOST ? TAP_FLAG_OUTGOING : 0;
	uint32_t held = frame->length + (frame->tagged ? NPF_TAG_SIZE : 0);
	uint32_t cap = verdict < held ? verdict : held;
	uint32_t most = chunk_size - NPF_CHUNK_HEADER - NPF_RECORD_HEADER;

	if (frame->tagged)
		flags |= TAP_FLAG_TAGGED;
	if (cap > most) {
		cap = most;
		flags |= TAP_FLAG_CUT;
	}
	uint32_t size = NPF_RECORD_SIZE(cap);

	if ((!cpu->chunk || cpu->offset + size > chunk_size) && npf_next_chunk(env, control, cpu)) {
		npf_drop(cpu, npf_had_chunks(control) ? TAP_DROP_FULL : TAP_DROP_NO_BUFFER);
		return;
	}

	struct npf_chunk *chunk = npf_env_chunk(env, cpu->chunk);
	uint32_t offset = cpu->offset;

	if (!chunk || offset >= chunk_size) {
		npf_drop(cpu, TAP_DROP_FULL);
		return;
	}
	uint8_t *to = (uint8_t *)chunk + offset;

	/* The record's last 8 bytes are zero behind the data. First, for they may be the header's;
	 * written as a sum because the kernel's verifier cannot see that size - 8 is positive. */
	*(uint64_t *)(to + ((NPF_RECORD_HEADER - 1 + cap) & ~7u)) = 0;

	struct npf_record *record = (struct npf_record *)to;

	record->time = npf_env_now(env, NPF_LOAD(&control->config.coarse_clock));
	record->caplen = cap;
	record->length = frame->wire_length;
	record->size = size;
	record->flags = flags;
	if (npf_copy_frame(env, frame, to + NPF_RECORD_HEADER, cap)) {
		npf_drop(cpu, TAP_DROP_COPY);
		return;
	}

	cpu->offset = offset + size;
	NPF_COUNT(&cpu->captured, 1);
	NPF_COUNT(&cpu->bytes, size);
	NPF_STORE_RELEASE(&chunk->state, (uint64_t)(offset + size));
	npf_signal(env, control, cpu, size);
}

/* Add a frame to a class. */
NPF_TAP_INLINE void npf_count(struct npf_class_counters *counters, uint32_t length)
{
	uint32_t line = length < TAP_LINE_MINIMUM ? TAP_LINE_MINIMUM : length;

	NPF_COUNT(&counters->packets, 1);
	NPF_COUNT(&counters->bytes, length);
	NPF_COUNT(&counters->line_bytes, line + TAP_LINE_OVERHEAD);
}

/* A bit for each class that the frame belongs to. */
NPF_TAP_INLINE void npf_count_classes(struct npf_cpu *cpu, const struct npf_frame *frame,
				      uint64_t matched)
{
	for (uint32_t i = 0; i < NPF_TAP_CLASSES; i++) {
		if (!(matched >> i))
			break;
		if (matched >> i & 1)
			npf_count(&cpu->classes[i], frame->wire_length);
	}
}

#include "driver/tap_stream.h"

/* Statistics mode counts: no copy, no time stamp, no wake-up. A dump may do both. There is one place
 * where sets and filter are asked, because their code stands there in the kernel. */
NPF_TAP_INLINE void npf_judge(struct npf_tap_env *env, struct npf_control *control,
			      struct npf_cpu *cpu, struct npf_frame *frame)
{
	uint32_t statistics = NPF_LOAD(&control->config.statistics);
	uint32_t n_classes = statistics ? NPF_LOAD(&control->config.n_classes) : 0;
	uint32_t verdict;

	if (!npf_env_is_in_sets(env))
		return;
	if (n_classes) {
		npf_count_classes(cpu, frame, npf_env_classify(env, frame));
		if (!npf_env_stream_size(env))
			return;
	}
	verdict = NPF_LOAD(&control->config.unfiltered);
	if (!verdict)
		verdict = npf_env_filter(env, frame);
	if (!verdict)
		return;
	if (statistics && !n_classes)
		npf_count(&cpu->classes[0], frame->wire_length);
	if (npf_env_stream_size(env))
		npf_put_stream(env, control, cpu, frame, verdict);
	else if (!statistics)
		npf_put(env, control, cpu, frame, verdict);
}

NPF_TAP_INLINE void npf_tap(struct npf_tap_env *env, struct npf_frame *frame)
{
	struct npf_control *control = npf_env_control(env);
	struct npf_cpu *cpu = npf_env_cpu(env);

	if (!control || !cpu)
		return;
	if (!(NPF_LOAD(&control->config.accept_types) >> (frame->packet_type & 31) & 1))
		return;

	uint64_t hidden = NPF_LOAD(&control->config.hidden);

	if (hidden && hidden == npf_env_sender(env))
		return;

	if (npf_env_stream_size(env) && npf_dump_closed(control))
		return;

	/* An interrupt may send a packet while this CPU is in here: it must not touch the record
	 * that is being written. */
	if (NPF_LOAD(&cpu->begun) != NPF_LOAD(&cpu->done)) {
		NPF_ADD(&cpu->reentered, 1);
		return;
	}
	/* No barrier follows, which would wait for the stores of the last packet: others may see
	 * this late, and who depends on it gives it time (npf_host.store_delay). */
	NPF_STORE_FIRST(&cpu->begun, cpu->begun + 1);
	NPF_COUNT(&cpu->received, 1);

	npf_judge(env, control, cpu, frame);
	NPF_STORE_RELEASE(&cpu->done, cpu->begun);
}

#endif
