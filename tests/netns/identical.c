/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two targets of the tap are one: what the kernel's tap makes of frames on a real adapter, the
 * one in user space makes of the same frames, to the byte: every chunk, every counter, the free
 * list. Works below the driver, on the port itself.
 */
#include "netns/wire.h"

#include <net/if.h>
#include <sched.h>

#include "driver/dump.h"
#include "driver/tap_user.h"
#include "filter/filter.h"
#include "host/linux/linux.h"

/* The third hook's tap is the one in user space: there is nothing to compare. */
#define KERNEL_HOOKS 2

#define ALL_TYPES 0x1Fu
#define N_FRAMES  600u
#define LONGEST   1518u

#define INSN_LD_LEN                                                                                \
	{                                                                                          \
		.code = 0x80                                                                       \
	}
#define INSN_LD_W(offset)                                                                          \
	{                                                                                          \
		.code = 0x20, .k = (offset)                                                        \
	}
#define INSN_JGT(n, t, f)                                                                          \
	{                                                                                          \
		.code = 0x25, .jt = (t), .jf = (f), .k = (n)                                       \
	}
#define INSN_AND(n)                                                                                \
	{                                                                                          \
		.code = 0x54, .k = (n)                                                             \
	}

/* The two taps, side by side. */
struct pair {
	struct wire *wire;
	struct npf_nic *nic;
	struct npf_ring_view kernel, user;
	struct npf_user_tap tap;
	struct npf_ring_cursor *cursors;
	struct npf_ring_reader reader; /* of the kernel's ring */
	uint32_t cpu;
	uint32_t ifindex;
	uint64_t times[N_FRAMES]; /* of a stream's records */
};

/* ---- frames: every length, with and without tags, both directions -------------------------- */

struct sample {
	bool outgoing;
	uint32_t length;
	uint8_t bytes[LONGEST];
};

static void tag(struct sample *sample, uint32_t at, uint16_t tpid, uint16_t tci)
{
	sample->bytes[at] = (uint8_t)(tpid >> 8);
	sample->bytes[at + 1] = (uint8_t)tpid;
	sample->bytes[at + 2] = (uint8_t)(tci >> 8);
	sample->bytes[at + 3] = (uint8_t)tci;
	sample->bytes[at + 4] = 0x88;
	sample->bytes[at + 5] = 0xB5;
}

static void address(struct sample *sample, uint32_t n)
{
	static const uint8_t group[2][6] = { { 255, 255, 255, 255, 255, 255 },
					     { 1, 0, 94, 0, 0, 1 } };

	if (sample->outgoing) {
		memcpy(sample->bytes, net_vb_address, 6);
		memcpy(sample->bytes + 6, net_va_address, 6);
	}
	if (n % 11 < 2)
		memcpy(sample->bytes, group[n % 11], 6);
	if (n % 11 == 2)
		sample->bytes[5] ^= 0x55; /* somebody else's */
}

/* Shorter than this the kernel has no use for a frame with tags. */
#define LEAST_TAGGED 24u

static struct sample make_sample(uint32_t n)
{
	struct sample sample = {
		.outgoing = n % 5 == 4,
		.length = n < 60 ? 14 + n : 14 + (n * 97) % 1501,
	};

	wire_frame(n, sample.bytes, sample.length);
	address(&sample, n);
	if (sample.length < LEAST_TAGGED)
		return sample;
	if (n % 3 == 1)
		tag(&sample, 12, 0x8100, (uint16_t)(n * 0x1357));
	if (n % 6 == 4)
		tag(&sample, 16, 0x8100, (uint16_t)n); /* a second one inside */
	if (n % 9 == 2)
		tag(&sample, 12, 0x88A8, 0x0FFF);
	if (n % 7 == 3 && n % 3 == 1)
		tag(&sample, 12, 0x8100, 0);
	return sample;
}

static uint32_t packet_type(const struct sample *sample)
{
	static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

	if (sample->outgoing)
		return NPF_FROM_HOST;
	if (!memcmp(sample->bytes, broadcast, 6))
		return NPF_TO_BROADCAST;
	if (sample->bytes[0] & 1)
		return NPF_TO_MULTICAST;
	return memcmp(sample->bytes, net_va_address, 6) ? NPF_TO_OTHER : NPF_TO_HOST;
}

static uint16_t word_at(const uint8_t *bytes, uint32_t at)
{
	return (uint16_t)(bytes[at] << 8 | bytes[at + 1]);
}

/* What the receiving stack makes of a frame: the outer tag goes beside it. */
static struct npf_frame as_received(const struct pair *pair, const struct sample *sample,
				    uint8_t *held)
{
	uint16_t type = word_at(sample->bytes, 12);
	bool strip = !sample->outgoing && (type == 0x8100 || type == 0x88A8);
	struct npf_frame frame = {
		.length = sample->length - (strip ? NPF_TAG_SIZE : 0),
		.wire_length = sample->length,
		.packet_type = packet_type(sample),
		.protocol = word_at(sample->bytes, strip ? 16 : 12),
		.ifindex = pair->ifindex,
		.hatype = 1,
		.tagged = strip,
	};

	memcpy(held, sample->bytes, sample->length);
	if (strip) {
		frame.tag_tpid = type;
		frame.tag_tci = word_at(sample->bytes, 14);
		memmove(held + 12, held + 16, sample->length - 16);
	}
	return frame;
}

/* ---- the pair ------------------------------------------------------------------------------ */

static int no_wake(void *arg)
{
	(void)arg;
	return 0;
}

static void no_timer(void *arg, uint64_t ns)
{
	(void)arg, (void)ns;
}

static const struct npf_user_tap_host tap_host = { .wake = no_wake, .start_timer = no_timer };

static void set_both(struct npf_config *to, const struct npf_config *from)
{
	*to = *from;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void cut(const struct pair *pair, uint32_t bytes, int format,
		struct npf_ring_geometry *geometry)
{
	uint32_t n_cpus = pair->wire->host->nic->cpus(pair->nic);

	assert_true(format < 0
			    ? npf_ring_cut(geometry, bytes, n_cpus, LONGEST)
			    : npf_stream_cut(geometry, bytes, n_cpus, LONGEST, (uint32_t)format));
}

/* format: of a stream's records; negative: a pool of chunks. */
static void open_pair(struct pair *pair, struct wire *wire, uint32_t bytes, int format,
		      const struct npf_config *config)
{
	const struct npf_nic_ops *ops = wire->host->nic;
	struct npf_ring_geometry geometry;

	*pair = (struct pair){ .wire = wire, .ifindex = if_nametoindex("va") };
	wire_one_cpu();
	pair->cpu = (uint32_t)sched_getcpu();
	assert_int_equal(ops->open(wire->host, "va", wire->hook, &pair->nic, wire->error), 0);
	cut(pair, bytes, format, &geometry);
	assert_int_equal(ops->set_ring(pair->nic, &geometry, &pair->kernel, wire->error), 0);
	npf_user_tap_init(&pair->tap, wire->host, &tap_host, NULL);
	assert_int_equal(npf_user_tap_set_ring(&pair->tap, &geometry, &pair->user), 0);
	pair->cursors = calloc(geometry.n_cpus, sizeof(*pair->cursors));
	npf_ring_reader_init(&pair->reader, &pair->kernel, pair->cursors);
	set_both(&pair->kernel.control->config, config);
	set_both(&pair->user.control->config, config);
}

static void close_pair(struct pair *pair)
{
	pair->wire->host->nic->close(pair->nic);
	npf_user_tap_fini(&pair->tap);
	free(pair->cursors);
}

static void set_filters(struct pair *pair, const struct npf_filter_set *filters)
{
	struct npf_host *host = pair->wire->host;
	struct npf_user_filters *made = npf_user_filters_make(host, filters);

	assert_int_equal(host->nic->set_filters(pair->nic, filters, pair->wire->error), 0);
	assert_non_null(made);
	npf_user_filters_free(host, npf_user_tap_set_filters(&pair->tap, made));
}

static uint64_t received(const struct pair *pair)
{
	struct npf_ring_totals totals;

	npf_ring_totals(&pair->kernel, &totals);
	return totals.received;
}

static void empty_stream(const struct npf_ring_view *view)
{
	struct npf_stream *stream = &view->control->stream;
	uint64_t end = npf_stream_end(view, stream->head).position;

	__atomic_store_n(&stream->head, end, __ATOMIC_SEQ_CST);
}

/* When the record that came last was stamped; and room for the next one. */
static uint64_t take_stamp(const struct npf_ring_view *view)
{
	uint8_t head[NPF_DUMP_RECORD_HEAD];

	npf_stream_copy(view, view->control->stream.head, head, sizeof(head));
	empty_stream(view);
	return npf_dump_record_time(view->geometry.stream_format, head);
}

/* One after the other through the kernel, whichever way they go. */
static void send_all(struct pair *pair)
{
	for (uint32_t n = 0; n < N_FRAMES; n++) {
		struct sample sample = make_sample(n);

		net_send(sample.outgoing ? pair->wire->near : pair->wire->far, sample.bytes,
			 sample.length);
		if (received(pair) != n + 1)
			WIRE_UNTIL(received(pair) == n + 1);
		if (pair->kernel.geometry.stream_size)
			pair->times[n] = take_stamp(&pair->kernel);
	}
}

/* The same through user space, with the time stamps that the kernel's records have. */
static void deliver_all(struct pair *pair)
{
	const struct npf_cpu *cpu = &pair->user.cpus[pair->cpu];
	uint8_t held[LONGEST];

	npf_ring_begin(&pair->reader, pair->wire->host->system->now(pair->wire->host));
	for (uint32_t n = 0; n < N_FRAMES; n++) {
		const struct npf_record *record = npf_ring_peek(&pair->reader);
		struct sample sample = make_sample(n);
		struct npf_frame frame = as_received(pair, &sample, held);
		uint64_t captured = cpu->captured;

		npf_user_tap_deliver(&pair->tap, &frame, held, record ? record->time : 0, pair->cpu,
				     0);
		if (cpu->captured > captured)
			assert_non_null(npf_ring_next(&pair->reader));
	}
	assert_null(npf_ring_next(&pair->reader));
}

static void compare(const struct pair *pair)
{
	const struct npf_ring_geometry *geometry = &pair->kernel.geometry;

	assert_memory_equal(&pair->kernel.cpus[pair->cpu], &pair->user.cpus[pair->cpu],
			    offsetof(struct npf_cpu, window)); /* scratch */
	assert_int_equal(pair->kernel.control->pool, pair->user.control->pool);
	assert_memory_equal(pair->kernel.control->pool_next, pair->user.control->pool_next,
			    sizeof(pair->user.control->pool_next));
	for (uint32_t id = 1; id <= geometry->n_chunks; id++) {
		const struct npf_chunk *kernel = npf_ring_chunk(&pair->kernel, id);
		const struct npf_chunk *user = npf_ring_chunk(&pair->user, id);

		assert_int_equal(kernel->state, user->state);
		assert_memory_equal((const uint8_t *)kernel + NPF_CHUNK_HEADER,
				    (const uint8_t *)user + NPF_CHUNK_HEADER,
				    geometry->chunk_size - NPF_CHUNK_HEADER);
	}
}

/* ---- rings --------------------------------------------------------------------------------- */

static const struct npf_insn all_cut[] = { INSN_RET(100) };
static const struct npf_insn cut_before_tag[] = { INSN_RET(12) };
static const struct npf_insn cut_in_tag[] = { INSN_RET(13) };
static const struct npf_insn cut_in_tag_later[] = { INSN_RET(15) };
static const struct npf_insn cut_behind_tag[] = { INSN_RET(17) };
static const struct npf_insn some_lengths[] = {
	INSN_LD_LEN, INSN_JGT(400, 0, 1), INSN_JGT(1000, 0, 1), INSN_RET(0), INSN_RET(0xFFFFFFFF),
};
static const struct npf_insn tag_in_place[] = {
	INSN_LD_H(12),     INSN_JEQ(0x8100, 0, 3), INSN_LD_H(14), INSN_AND(1),
	INSN_JEQ(0, 1, 0), INSN_RET(64),           INSN_RET(0),
};
static const struct npf_insn across_tag[] = {
	INSN_LD_W(11),     INSN_AND(1), /* of byte 14: the tag's priority */
	INSN_JEQ(1, 0, 4), INSN_LD_W(13),
	INSN_AND(8), /* of byte 16: the EtherType behind the tag */
	INSN_JEQ(8, 0, 1), INSN_RET(200),
	INSN_RET(0),
};
static const struct npf_insn tag_beside[] = {
	INSN_LD_B(NPF_AD_VLAN_PRESENT),
	INSN_JEQ(0, 4, 0),
	INSN_LD_H(NPF_AD_VLAN_TAG),
	INSN_AND(4),
	INSN_JEQ(0, 1, 0),
	INSN_RET(70),
	INSN_RET(0),
};
static const struct npf_insn who_and_where[] = {
	INSN_LD_W(NPF_AD_PKTTYPE),  INSN_JEQ(NPF_FROM_HOST, 0, 1), INSN_RET(50),
	INSN_LD_W(NPF_AD_PROTOCOL), INSN_JEQ(NET_ETHERTYPE, 0, 3), INSN_LD_W(NPF_AD_HATYPE),
	INSN_JEQ(1, 0, 1),          INSN_RET(0xFFFFFFFF),          INSN_RET(0),
};

static const struct npf_program programs[] = {
	PROGRAM(all_cut),
	PROGRAM(cut_before_tag),
	PROGRAM(cut_in_tag),
	PROGRAM(cut_in_tag_later),
	PROGRAM(cut_behind_tag),
	PROGRAM(some_lengths),
	PROGRAM(tag_in_place),
	PROGRAM(across_tag),
	{ N_OF(tag_beside), NPF_DIALECT_LINUX, tag_beside },
	{ N_OF(who_and_where), NPF_DIALECT_LINUX, who_and_where },
};

static uint64_t compare_rings(struct wire *wire, uint32_t bytes, const struct npf_program *program)
{
	const struct npf_config config = { .accept_types = ALL_TYPES };
	const struct npf_filter_set filters = { .filter = program };
	struct npf_ring_totals totals;
	struct pair pair;

	open_pair(&pair, wire, bytes, -1, &config);
	set_filters(&pair, &filters);
	send_all(&pair);
	deliver_all(&pair);
	compare(&pair);
	npf_ring_totals(&pair.kernel, &totals);
	assert_int_equal(totals.received, N_FRAMES);
	if (!program)
		assert_int_equal(totals.captured + totals.dropped[NPF_DROP_FULL] +
					 totals.dropped[NPF_DROP_NO_BUFFER],
				 N_FRAMES);
	close_pair(&pair);
	return totals.captured;
}

static void whole_packets(void **state)
{
	assert_int_equal(compare_rings(wire_of(state), 2u << 20, NULL), N_FRAMES);
}

static void full_ring(void **state)
{
	assert_in_range(compare_rings(wire_of(state), 65536, NULL), 1, N_FRAMES - 1);
}

static void no_ring(void **state)
{
	assert_int_equal(compare_rings(wire_of(state), 0, NULL), 0);
}

static void filtered(void **state)
{
	struct wire *wire = wire_of(state);

	for (size_t i = 0; i < N_OF(programs); i++) {
		if (!compare_rings(wire, 2u << 20, &programs[i]))
			fail_msg("program %d accepts nothing", (int)i);
	}
}

/* ---- classes ------------------------------------------------------------------------------- */

#define N_CLASSES 40u

static void classes(void **state)
{
	struct wire *wire = wire_of(state);
	const struct npf_config config = { .accept_types = ALL_TYPES,
					   .statistics = 1,
					   .n_classes = N_CLASSES };
	struct npf_class_counters kernel[N_CLASSES], user[N_CLASSES];
	struct npf_insn by_number[N_CLASSES][4];
	struct npf_program own[N_CLASSES];
	struct npf_filter_set filters = { .n_classes = N_CLASSES };
	struct pair pair;
	uint64_t counted = 0;

	for (uint32_t i = 0; i < N_CLASSES; i++) {
		const struct npf_insn insns[] = { INSN_LD_B(i % 30), INSN_JEQ(i * 3, 0, 1),
						  INSN_RET(1), INSN_RET(0) };

		memcpy(by_number[i], insns, sizeof(insns));
		own[i] = (struct npf_program){ .length = 4, .insns = by_number[i] };
		filters.classes[i] = i < N_OF(programs) ? &programs[i] : &own[i];
	}
	open_pair(&pair, wire, 0, -1, &config);
	set_filters(&pair, &filters);
	send_all(&pair);
	deliver_all(&pair);
	compare(&pair);
	npf_ring_class_totals(&pair.kernel, kernel, N_CLASSES);
	npf_ring_class_totals(&pair.user, user, N_CLASSES);
	assert_memory_equal(kernel, user, sizeof(user));
	for (uint32_t i = 0; i < N_CLASSES; i++)
		counted += kernel[i].packets;
	assert_int_equal(kernel[0].packets, N_FRAMES);
	assert_true(counted > 4 * N_FRAMES);
	close_pair(&pair);
}

/* ---- streams ------------------------------------------------------------------------------- */

static void deliver_stream(struct pair *pair)
{
	uint8_t held[LONGEST];

	for (uint32_t n = 0; n < N_FRAMES; n++) {
		struct sample sample = make_sample(n);
		struct npf_frame frame = as_received(pair, &sample, held);

		npf_user_tap_deliver(&pair->tap, &frame, held, pair->times[n], pair->cpu, 0);
		empty_stream(&pair->user);
	}
}

/* The ring is so small that records cross its end again and again. */
static void compare_streams(struct wire *wire, enum npf_dump_format format,
			    const struct npf_program *program)
{
	const struct npf_config config = { .accept_types = ALL_TYPES };
	const struct npf_filter_set filters = { .filter = program };
	struct npf_ring_totals totals;
	struct pair pair;

	open_pair(&pair, wire, NPF_STREAM_SMALLEST, (int)format, &config);
	set_filters(&pair, &filters);
	pair.kernel.control->stream.open = 1;
	pair.user.control->stream.open = 1;
	send_all(&pair);
	deliver_stream(&pair);
	assert_memory_equal(&pair.kernel.cpus[pair.cpu], &pair.user.cpus[pair.cpu],
			    offsetof(struct npf_cpu, window)); /* scratch */
	assert_memory_equal(&pair.kernel.control->stream, &pair.user.control->stream,
			    sizeof(struct npf_stream));
	assert_memory_equal(pair.kernel.chunks, pair.user.chunks, NPF_STREAM_SMALLEST);
	npf_ring_totals(&pair.kernel, &totals);
	assert_int_equal(totals.received, N_FRAMES);
	assert_true(totals.captured > 0 && !totals.dropped[NPF_DROP_FULL]);
	close_pair(&pair);
}

static void streams(void **state)
{
	struct wire *wire = wire_of(state);

	for (unsigned int format = NPF_DUMP_PCAP; format <= NPF_DUMP_PCAPNG; format++)
		compare_streams(wire, (enum npf_dump_format)format, NULL);
	for (size_t i = 0; i < N_OF(programs); i++)
		compare_streams(wire, NPF_DUMP_PCAPNG, &programs[i]);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "whole packets", whole_packets },
		{ "a full ring", full_ring },
		{ "no ring", no_ring },
		{ "filters", filtered },
		{ "classes", classes },
		{ "streams", streams },
	};

	return wire_run("kernel and user space", tests, N_OF(tests), KERNEL_HOOKS);
}
