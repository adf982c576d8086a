/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Under a flood nothing is unaccounted for: for every instance sent = received = filtered +
 * captured + dropped, to the packet, and what is captured is what was sent, in order. The senders
 * are processes on CPUs of their own, and so is the tap with each: veth receives where it sends.
 *
 * $NPF_TEST_PACKETS is the number of frames of each flood, for machines that are very slow.
 */
#include "netns/wire.h"

#include <pthread.h>
#include <unistd.h>

#define PACKETS     200000u
#define MAX_SENDERS 2u
#define MAX_READERS 4u

/* Where net_flood_frame() puts what the filters look at, in host order. */
#define SENDER_AT   14u
#define SEQUENCE_AT 22u
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_OF_U32 0u
#define LOW_OF_U64 0u
#else
#define LOW_OF_U32 3u
#define LOW_OF_U64 7u
#endif

#define LARGE_BUFFER (64u << 20)
#define SMALL_BUFFER (1u << 20)
#define SNAPLEN      40u

struct plan {
	uint32_t size; /* of the frames */
	uint32_t n_senders;
	uint32_t n_instances;
	uint32_t buffer;
	bool slow; /* readers read only after something was lost */
};

/* Every combination; each size, number of senders and number of instances with either buffer. */
static const struct plan plans[] = {
	{ 64, 1, 1, LARGE_BUFFER, false },   { 64, 1, 4, SMALL_BUFFER, true },
	{ 64, 2, 1, SMALL_BUFFER, true },    { 64, 2, 4, LARGE_BUFFER, false },
	{ 594, 1, 1, SMALL_BUFFER, true },   { 594, 1, 4, LARGE_BUFFER, false },
	{ 594, 2, 1, LARGE_BUFFER, false },  { 594, 2, 4, SMALL_BUFFER, true },
	{ 1514, 1, 1, LARGE_BUFFER, false }, { 1514, 1, 4, SMALL_BUFFER, true },
	{ 1514, 2, 1, SMALL_BUFFER, true },  { 1514, 2, 4, LARGE_BUFFER, false },
};

struct flood;

struct reader {
	struct flood *flood;
	struct npf_instance *instance;
	pthread_t thread;
	const struct rule *rule;
	uint64_t read;             /* packets */
	uint64_t time;             /* of the last one, ns or us */
	int64_t last[MAX_SENDERS]; /* place of the last one of each sender */
	uint8_t *buffer;           /* NULL: it walks batches */
	char fault[128];           /* what is wrong, empty: nothing */
};

struct flood {
	struct plan plan;
	struct net_flood senders[MAX_SENDERS];
	struct reader readers[MAX_READERS];
	bool over; /* everything sent was received: what is pending is the rest */
};

/* ---- the filters --------------------------------------------------------------------------- */

static const struct npf_insn from_sender_1[] = {
	INSN_LD_B(SENDER_AT + LOW_OF_U32),
	INSN_JEQ(1, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_insn odd_numbers[] = {
	INSN_LD_B(SEQUENCE_AT + LOW_OF_U64),
	{ .code = 0x54, .k = 1 }, /* and */
	INSN_JEQ(1, 0, 1),
	INSN_RET(0xFFFFFFFF),
	INSN_RET(0),
};
static const struct npf_insn nothing[] = { INSN_RET(0) };
static const struct npf_insn beginnings[] = { INSN_RET(SNAPLEN) };

static bool sender_1_only(uint32_t sender, uint64_t sequence)
{
	(void)sequence;
	return sender == 1;
}

static bool odd_only(uint32_t sender, uint64_t sequence)
{
	(void)sender;
	return sequence & 1;
}

static bool none(uint32_t sender, uint64_t sequence)
{
	(void)sender, (void)sequence;
	return false;
}

static bool all(uint32_t sender, uint64_t sequence)
{
	(void)sender, (void)sequence;
	return true;
}

static const struct rule {
	struct npf_program program;
	bool (*accepts)(uint32_t sender, uint64_t sequence);
	uint32_t snaplen;
} rules[MAX_READERS] = {
	{ PROGRAM(odd_numbers), odd_only, UINT32_MAX },
	{ PROGRAM(beginnings), all, SNAPLEN },
	{ PROGRAM(from_sender_1), sender_1_only, UINT32_MAX },
	{ PROGRAM(nothing), none, UINT32_MAX },
};

/* ---- reading ------------------------------------------------------------------------------- */

static void complain(struct reader *reader, const char *what, uint64_t sequence)
{
	if (!reader->fault[0])
		snprintf(reader->fault, sizeof(reader->fault), "%s, frame %llu, %llu read", what,
			 (unsigned long long)sequence, (unsigned long long)reader->read);
}

static uint32_t kept_size(const struct reader *reader)
{
	uint32_t size = reader->flood->plan.size;

	return reader->rule->snaplen < size ? reader->rule->snaplen : size;
}

static void check_packet(struct reader *reader, const uint8_t *data, uint32_t caplen, uint32_t len,
			 uint64_t time)
{
	const struct plan *plan = &reader->flood->plan;
	uint32_t kept = kept_size(reader);
	uint8_t expected[FRAME_MAX];
	uint64_t sequence = 0;
	uint32_t sender = 0;

	reader->read++;
	if (caplen != kept || len != plan->size) {
		complain(reader, "a wrong length", 0);
		return;
	}
	memcpy(&sender, data + SENDER_AT, sizeof(sender));
	memcpy(&sequence, data + SEQUENCE_AT, sizeof(sequence));
	if (sender >= plan->n_senders || sequence >= reader->flood->senders[sender].count) {
		complain(reader, "nobody sent it", sequence);
		return;
	}
	net_flood_frame(&reader->flood->senders[sender], sequence, expected);
	if (memcmp(expected, data, caplen) != 0)
		complain(reader, "bytes differ", sequence);
	if ((int64_t)sequence <= reader->last[sender])
		complain(reader, "order of one sender", sequence);
	if (time < reader->time)
		complain(reader, "order of time", sequence);
	if (!reader->rule->accepts(sender, sequence))
		complain(reader, "should have been filtered", sequence);
	reader->last[sender] = (int64_t)sequence;
	reader->time = time;
}

static int64_t read_batch(struct reader *reader)
{
	struct npf_packet packet;
	int64_t pending = npf_batch_begin(reader->instance);

	if (pending <= 0)
		return pending;
	while (npf_batch_next(reader->instance, &packet))
		check_packet(reader, packet.data, packet.caplen, packet.len, packet.time);
	npf_batch_end(reader->instance);
	return pending;
}

static int64_t read_copy(struct reader *reader)
{
	int64_t n = npf_read(reader->instance, reader->buffer, SMALL_BUFFER);
	struct npf_bpf_hdr hdr;

	for (int64_t at = 0; at < n; at += NPF_WORDALIGN(NPF_BPF_HDR_SIZE + hdr.caplen)) {
		memcpy(&hdr, reader->buffer + at, sizeof(hdr));
		check_packet(reader, reader->buffer + at + NPF_BPF_HDR_SIZE, hdr.caplen,
			     hdr.datalen, (uint64_t)hdr.tv_sec * 1000000 + (uint64_t)hdr.tv_usec);
	}
	return n;
}

static bool is_over(const struct flood *flood)
{
	return __atomic_load_n(&flood->over, __ATOMIC_ACQUIRE);
}

/* Until more was lost than before: the buffer is full at that moment. */
static void let_it_fill(struct reader *reader, uint64_t *lost)
{
	struct npf_stats stats = { 0 };
	uint64_t before = *lost;

	while (!is_over(reader->flood) && !npf_get_stats(reader->instance, &stats)) {
		*lost = stats.dropped;
		if (*lost > before)
			return;
		wire_nap();
	}
}

static void *run_reader(void *arg)
{
	struct reader *reader = arg;
	uint64_t lost = 0;
	bool last_round;
	int64_t n;

	do {
		if (reader->flood->plan.slow)
			let_it_fill(reader, &lost);
		last_round = is_over(reader->flood);
		n = reader->buffer ? read_copy(reader) : read_batch(reader);
		if (n < 0)
			complain(reader, npf_error(reader->instance), 0);
	} while (n > 0 || (n == 0 && !last_round));
	return NULL;
}

/* ---- a flood ------------------------------------------------------------------------------- */

static uint32_t flood_size(void)
{
	const char *packets = getenv("NPF_TEST_PACKETS");

	return packets ? (uint32_t)atoi(packets) : PACKETS;
}

static void prepare_reader(struct wire *wire, struct flood *flood, uint32_t i)
{
	struct reader *reader = &flood->readers[i];

	*reader = (struct reader){ .flood = flood, .rule = &rules[i], .last = { -1, -1 } };
	reader->instance = i ? wire_open(wire, "va") : wire->instance;
	if (i % 2)
		reader->buffer = malloc(SMALL_BUFFER);
	/* One offset to the wall clock for all reads, so that order can be asked for. */
	assert_int_equal(npf_set_timestamp_mode(reader->instance, NPF_TIMESTAMP_SINGLE_SYNC), 0);
	assert_int_equal(npf_set_buffer(reader->instance, flood->plan.buffer), 0);
	assert_int_equal(npf_set_timeout(reader->instance, 20), 0);
	assert_int_equal(npf_set_min_to_copy(reader->instance, flood->plan.buffer / 8), 0);
	if (npf_set_filter(reader->instance, &reader->rule->program))
		fail_msg("%s", npf_error(reader->instance));
}

static void prepare(struct wire *wire, struct flood *flood)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (uint32_t i = 0; i < flood->plan.n_senders; i++) {
		flood->senders[i] = (struct net_flood){
			.side = NET_THERE,
			.name = "vb",
			.cpu = (int)(i % cpus),
			.sender = i,
			.length = flood->plan.size,
			.count = flood_size() / flood->plan.n_senders,
		};
	}
	for (uint32_t i = 0; i < flood->plan.n_instances; i++)
		prepare_reader(wire, flood, i);
}

static uint64_t sent(const struct flood *flood)
{
	return flood->senders[0].count * flood->plan.n_senders;
}

static void run_flood(struct wire *wire, struct flood *flood)
{
	pid_t senders[MAX_SENDERS];

	for (uint32_t i = 0; i < flood->plan.n_instances; i++)
		pthread_create(&flood->readers[i].thread, NULL, run_reader, &flood->readers[i]);
	for (uint32_t i = 0; i < flood->plan.n_senders; i++)
		senders[i] = net_flood_start(&wire->net, &flood->senders[i]);
	for (uint32_t i = 0; i < flood->plan.n_senders; i++)
		net_flood_join(senders[i]);
	for (uint32_t i = 0; i < flood->plan.n_instances; i++)
		WIRE_UNTIL(wire_stats(flood->readers[i].instance).received >= sent(flood));
	__atomic_store_n(&flood->over, true, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < flood->plan.n_instances; i++)
		pthread_join(flood->readers[i].thread, NULL);
}

static uint64_t rejected(const struct flood *flood, const struct rule *rule)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < flood->plan.n_senders; i++) {
		for (uint64_t sequence = 0; sequence < flood->senders[i].count; sequence++)
			n += !rule->accepts(i, sequence);
	}
	return n;
}

/* What is lost before the filter could see it is the only doubt about what the filter rejected. */
static void check_reader(const struct flood *flood, const struct reader *reader)
{
	struct npf_stats stats = wire_stats(reader->instance);
	uint64_t unseen = stats.dropped_by[NPF_DROP_REENTRY] + stats.dropped_by[NPF_DROP_BACKLOG];
	uint64_t expected = rejected(flood, reader->rule);
	uint64_t by_reason = 0;

	if (reader->fault[0])
		fail_msg("instance %d: %s", (int)(reader - flood->readers), reader->fault);
	assert_int_equal(stats.received, sent(flood));
	assert_int_equal(stats.received, stats.filtered + stats.captured + stats.dropped);
	assert_int_equal(stats.captured, reader->read);
	assert_int_equal(stats.buffer_used, 0);
	assert_in_range(stats.filtered, expected - (unseen < expected ? unseen : expected),
			expected);
	for (uint32_t i = 0; i < NPF_DROP_N; i++)
		by_reason += stats.dropped_by[i];
	assert_int_equal(by_reason, stats.dropped);
	/* Nothing was read before the first loss, and so much the buffer cannot hold. */
	if (flood->plan.slow && (sent(flood) - expected) * kept_size(reader) > 2 * SMALL_BUFFER)
		assert_true(stats.dropped > 0);
	print_message("    %llu sent = %llu filtered + %llu captured + %llu dropped\n",
		      (unsigned long long)sent(flood), (unsigned long long)stats.filtered,
		      (unsigned long long)stats.captured, (unsigned long long)stats.dropped);
}

static void finish(struct flood *flood)
{
	for (uint32_t i = 0; i < flood->plan.n_instances; i++) {
		free(flood->readers[i].buffer);
		if (i)
			npf_close(flood->readers[i].instance);
	}
	free(flood);
}

static void conserve(void **state)
{
	struct wire *wire = wire_of(state);
	struct flood *flood = calloc(1, sizeof(*flood));

	flood->plan = plans[wire->place];
	prepare(wire, flood);
	run_flood(wire, flood);
	for (uint32_t i = 0; i < flood->plan.n_instances; i++)
		check_reader(flood, &flood->readers[i]);
	finish(flood);
}

int main(void)
{
	static char names[N_OF(plans)][64];
	struct wire_test tests[N_OF(plans)];

	for (size_t i = 0; i < N_OF(plans); i++) {
		snprintf(names[i], sizeof(names[i]), "%u bytes, senders: %u, instances: %u%s",
			 plans[i].size, plans[i].n_senders, plans[i].n_instances,
			 plans[i].slow ? ", overflow" : "");
		tests[i] = (struct wire_test){ names[i], conserve };
	}
	return wire_run("conservation", tests, N_OF(tests), N_OF(wire_hooks));
}
