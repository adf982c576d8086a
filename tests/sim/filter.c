/* SPDX-License-Identifier: BSD-3-Clause */
/* Installing filters: what a failure keeps, what a success empties, what is refused. */
#include "lib/refusals.h"
#include "lib/world.h"

#define LOAD_W 0x20

/* Accepts frames with number n in byte 14. */
static int accept_only(struct npf_instance *instance, uint32_t n)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(n, 0, 1), INSN_RET(UINT32_MAX),
				    INSN_RET(0) };
	struct npf_program program = PROGRAM(insns);

	return npf_set_filter(instance, &program);
}

static void expect_unchanged(struct world *world, const struct npf_stats *before)
{
	struct npf_stats after = stats_of(world->instance);

	assert_memory_equal(&after, before, sizeof(after));
}

static void item_08_invalid_filter_keeps_the_old_one(void **state)
{
	struct world *world = *state;
	struct npf_stats before;
	size_t memory;

	assert_int_equal(accept_only(world->instance, 1), 0);
	send_many(world, 3, 60, 0);
	before = stats_of(world->instance);
	memory = npf_sim_memory(world->host);
	assert_int_equal(before.captured, 1);

	all_refused_by(world->instance);
	expect_unchanged(world, &before);
	assert_int_equal(npf_sim_memory(world->host), memory);
	assert_int_equal(read_all(world, 60, 1), 1);
	send_many(world, 3, 60, 0);
	assert_int_equal(read_all(world, 60, 1), 1);
}

static void item_08_valid_filter_empties_the_buffer_and_restarts_statistics(void **state)
{
	struct world *world = *state;
	struct npf_stats stats;

	send_many(world, 50, 60, 0);
	assert_int_equal(accept_only(world->instance, 2), 0);
	stats = stats_of(world->instance);
	assert_int_equal(stats.received, 0);
	assert_int_equal(stats.captured, 0);
	assert_int_equal(stats.buffer_used, 0);
	assert_int_equal(read_all(world, 60, 0), 0);
	send_many(world, 3, 60, 0);
	assert_int_equal(stats_of(world->instance).filtered, 2);
	assert_int_equal(read_all(world, 60, 2), 1);
}

static int exchange_for(struct npf_instance *instance, uint32_t n, uint64_t *earlier)
{
	struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(n, 0, 1), INSN_RET(UINT32_MAX),
				    INSN_RET(0) };
	struct npf_program program = PROGRAM(insns);

	return npf_exchange_filter(instance, &program, earlier);
}

static void an_exchange_keeps_buffer_and_statistics(void **state)
{
	struct npf_program nothing = { 0 };
	struct world *world = *state;
	struct npf_stats before;
	uint64_t earlier = 77;

	assert_int_equal(accept_only(world->instance, 1), 0);
	send_many(world, 3, 60, 0);
	assert_fails(world->instance, npf_exchange_filter(world->instance, &nothing, &earlier),
		     -EINVAL);
	assert_int_equal(earlier, 77);
	before = stats_of(world->instance);
	assert_int_equal(exchange_for(world->instance, 2, &earlier), 0);
	assert_int_equal(earlier, 1);
	expect_unchanged(world, &before);
	send_many(world, 3, 60, 0);
	assert_int_equal(stats_of(world->instance).received, 6);
	assert_int_equal(stats_of(world->instance).filtered, 4);
	assert_int_equal(exchange_for(world->instance, 0, NULL), 0);
	assert_int_equal(read_all(world, 60, 1), 2);
	assert_int_equal(exchange_for(world->instance, 0, &earlier), 0);
	assert_int_equal(earlier, 0);
}

/* What it gave counts no more, though it is not given back yet. */
static void an_exchange_leaves_a_batch_open(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;
	uint64_t earlier;

	send_many(world, 3, 60, 0);
	assert_true(npf_batch_begin(world->instance) > 0);
	assert_true(npf_batch_next(world->instance, &packet));
	assert_fails(world->instance, accept_only(world->instance, 2), -EBUSY);
	assert_int_equal(exchange_for(world->instance, 2, &earlier), 0);
	assert_int_equal(earlier, 2);
	assert_int_equal(packet.data[14], 0);
	assert_true(npf_batch_next(world->instance, &packet));
	assert_int_equal(packet.data[14], 1);
	npf_batch_end(world->instance);
	assert_int_equal(exchange_for(world->instance, 2, &earlier), 0);
	assert_int_equal(earlier, 1);
}

static void a_filter_can_be_passed_by(void **state)
{
	struct world *world = *state;
	struct records records;
	uint64_t earlier;

	assert_int_equal(npf_pass_unfiltered(world->instance, 20, &earlier), 0);
	assert_int_equal(earlier, 0);
	assert_int_equal(exchange_for(world->instance, 1, NULL), 0);
	send_many(world, 3, 60, 0);
	/* A new buffer changes nothing of it. */
	assert_int_equal(npf_set_buffer(world->instance, 1 << 20), 0);
	send_many(world, 3, 60, 0);
	assert_int_equal(npf_pass_unfiltered(world->instance, 0, &earlier), 0);
	assert_int_equal(earlier, 3);
	send_many(world, 3, 60, 0);
	assert_int_equal(stats_of(world->instance).filtered, 2);
	records = read_records(world);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(records_next(&records));
		assert_int_equal(records.hdr.caplen, i < 3 ? 20 : 60);
	}
	/* Setting one ends it. */
	assert_int_equal(npf_pass_unfiltered(world->instance, 20, NULL), 0);
	assert_int_equal(accept_only(world->instance, 2), 0);
	send_many(world, 3, 60, 0);
	assert_int_equal(read_all(world, 60, 2), 1);
}

static void filter_that_returns_minus_one_accepts_all_again(void **state)
{
	struct npf_insn all[] = { INSN_RET(UINT32_MAX) };
	struct world *world = *state;

	assert_int_equal(accept_only(world->instance, 200), 0);
	assert_int_equal(npf_io_control(world->instance, NPF_BIOCSETF, all, sizeof(all), NULL, 0,
					NULL),
			 0);
	send_many(world, 5, 60, 0);
	assert_int_equal(read_all(world, 60, 0), 5);
}

static void trailing_bytes_of_a_program_are_ignored(void **state)
{
	struct npf_insn insns[] = { INSN_RET(0), { .code = 0xFFFF } };
	struct world *world = *state;

	for (size_t extra = 0; extra < 8; extra++) {
		assert_int_equal(npf_io_control(world->instance, NPF_BIOCSETF, insns, 8 + extra,
						NULL, 0, NULL),
				 0);
	}
}

static void program_may_lie_anywhere(void **state)
{
	struct npf_insn insns[] = { INSN_RET(33) };
	struct world *world = *state;
	uint8_t bytes[sizeof(insns) + 1];
	struct records records;

	memcpy(bytes + 1, insns, sizeof(insns));
	assert_int_equal(npf_io_control(world->instance, NPF_BIOCSETF, bytes + 1, sizeof(insns),
					NULL, 0, NULL),
			 0);
	send_now(world, 60, 0);
	records = read_records(world);
	assert_true(records_next(&records));
	assert_int_equal(records.hdr.caplen, 33);
}

static void absurd_sizes_are_refused(void **state)
{
	static struct npf_insn insns[NPF_MAX_INSNS + 1];
	struct world *world = *state;
	struct npf_program program = { .insns = insns };
	struct npf_stats before;

	for (size_t i = 0; i < N_OF(insns); i++)
		insns[i] = (struct npf_insn)INSN_RET(0);
	send_many(world, 2, 60, 0);
	before = stats_of(world->instance);

	assert_fails(world->instance, npf_set_filter(world->instance, &program), -EINVAL);
	assert_fails(world->instance, npf_set_filter(world->instance, NULL), -EINVAL);
	program.length = NPF_MAX_INSNS + 1;
	assert_fails(world->instance, npf_set_filter(world->instance, &program), -EINVAL);
	program.length = UINT32_MAX;
	assert_fails(world->instance, npf_set_filter(world->instance, &program), -EINVAL);
	program = (struct npf_program){ .length = 3 };
	assert_fails(world->instance, npf_set_filter(world->instance, &program), -EINVAL);
	program = (struct npf_program){ .length = 1,
					.insns = insns,
					.dialect = (enum npf_dialect)77 };
	assert_fails(world->instance, npf_set_filter(world->instance, &program), -EINVAL);
	assert_fails(world->instance,
		     npf_io_control(world->instance, NPF_BIOCSETF, insns, sizeof(insns), NULL, 0,
				    NULL),
		     -EINVAL);
	expect_unchanged(world, &before);

	program = (struct npf_program){ .length = NPF_MAX_INSNS, .insns = insns };
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
}

static void filter_is_copied(void **state)
{
	struct npf_insn insns[] = { INSN_RET(20) };
	struct npf_program program = PROGRAM(insns);
	struct world *world = *state;

	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	insns[0].k = 0;
	send_now(world, 60, 0);
	assert_int_equal(stats_of(world->instance).captured, 1);
}

static void tag_is_where_the_dialect_has_it(void **state)
{
	struct npf_insn wire[] = { INSN_LD_H(12), INSN_JEQ(0x8100, 0, 1), INSN_RET(UINT32_MAX),
				   INSN_RET(0) };
	struct npf_program program = PROGRAM(wire);
	struct world *world = *state;
	uint8_t data[60];
	struct npf_sim_frame frame = {
		.data = data, .length = sizeof(data), .tpid = 0x8100, .tci = 5
	};

	frame_fill(data, sizeof(data), 0);
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	assert_int_equal(stats_of(world->instance).captured, 1);

	program.dialect = NPF_DIALECT_LINUX;
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	assert_int_equal(stats_of(world->instance).captured, 0);
	wire[0] = (struct npf_insn){ .code = LOAD_W, .k = 0xFFFFF000u + 48 }; /* tag present? */
	wire[1].k = 1;
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	assert_int_equal(stats_of(world->instance).captured, 1);
}

#define N_JOINED 9u

/* What an instance's filter keeps of `frames` frames, one instance after the other. */
static void count_by_instances(struct world *world, uint32_t frames, uint64_t kept[N_JOINED])
{
	struct npf_instance *instances[N_JOINED];

	for (uint32_t i = 0; i < N_JOINED; i++) {
		assert_int_equal(npf_open(world->driver, "eth0", NULL, &instances[i], NULL), 0);
		assert_int_equal(npf_set_buffer(instances[i], 65536), 0);
		assert_int_equal(accept_only(instances[i], i), 0);
	}
	send_many(world, frames, 60, 0);
	for (uint32_t i = 0; i < N_JOINED; i++) {
		kept[i] = stats_of(instances[i]).captured;
		npf_close(instances[i]);
	}
}

static struct npf_jit_group *join_filters(struct world *world)
{
	struct npf_jit_filter *filters[N_JOINED];
	struct npf_jit_group *group;

	for (uint32_t i = 0; i < N_JOINED; i++) {
		struct npf_insn insns[] = { INSN_LD_B(14), INSN_JEQ(i, 0, 1), INSN_RET(UINT32_MAX),
					    INSN_RET(0) };
		struct npf_program program = PROGRAM(insns);

		assert_int_equal(bpf_jitter(world->host, &program, 0, &filters[i], NULL), 0);
	}
	assert_int_equal(npf_jit_join(world->host, filters, N_JOINED, &group, NULL), 0);
	for (uint32_t i = 0; i < N_JOINED; i++)
		bpf_destroy_jit_filter(filters[i]);
	return group;
}

/* Who wants many filters asked of one packet opens one instance and joins them (docs/filters.md). */
static void joined_filters_keep_what_instances_keep(void **state)
{
	struct world *world = *state;
	uint64_t kept[N_JOINED], joined[N_JOINED] = { 0 };
	struct npf_packet packet;
	struct npf_jit_group *group;

	count_by_instances(world, 40, kept);
	group = join_filters(world);
	assert_true(npf_batch_begin(world->instance) > 0);
	while (npf_batch_next(world->instance, &packet)) {
		uint64_t matched = npf_jit_group_run(group, packet.data, packet.len, packet.caplen);

		for (uint32_t i = 0; i < N_JOINED; i++)
			joined[i] += matched >> i & 1;
	}
	npf_batch_end(world->instance);
	npf_jit_group_release(group);
	for (uint32_t i = 0; i < N_JOINED; i++) {
		assert_int_equal(kept[i], 1);
		assert_int_equal(joined[i], kept[i]);
	}
}

/* Of UDP datagrams from 192.0.2.1, .2 and .3, how many are captured. */
static uint64_t captured_of_three(struct world *world)
{
	uint64_t before = stats_of(world->instance).captured;

	for (uint8_t host = 1; host <= 3; host++) {
		const uint8_t data[60] = {
			[12] = 0x08, [14] = 0x45, [17] = 46,  [22] = 64, [23] = 17,  [26] = 192,
			[28] = 2,    [29] = host, [30] = 198, [31] = 51, [32] = 100, [33] = 9,
		};
		const struct npf_sim_frame frame = { .data = data, .length = sizeof(data) };

		assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	}
	return stats_of(world->instance).captured - before;
}

static void sets_stay_with_another_filter_and_other_classes(void **state)
{
	static const struct npf_net hosts[] = {
		{ .family = 4, .prefix = 32, .address = { 192, 0, 2, 1 } },
		{ .family = 4, .prefix = 32, .address = { 192, 0, 2, 2 } },
	};
	const struct npf_set set = { .n_nets = N_OF(hosts), .nets = hosts };
	const struct npf_class class = { .name = "all" };
	struct npf_insn not_the_first[] = { INSN_LD_B(29), INSN_JEQ(1, 1, 0), INSN_RET(60),
					    INSN_RET(0) };
	struct npf_program program = PROGRAM(not_the_first);
	struct world *world = *state;

	assert_int_equal(captured_of_three(world), 3);
	assert_int_equal(npf_set_sets(world->instance, &set, 1), 0);
	assert_int_equal(captured_of_three(world), 2);
	assert_int_equal(npf_set_filter(world->instance, &program), 0);
	assert_int_equal(captured_of_three(world), 1);
	assert_int_equal(npf_exchange_filter(world->instance, &program, NULL), 0);
	assert_int_equal(captured_of_three(world), 1);
	assert_int_equal(npf_set_classes(world->instance, &class, 1), 0);
	assert_int_equal(captured_of_three(world), 1);
	assert_int_equal(npf_set_sets(world->instance, NULL, 0), 0);
	assert_int_equal(captured_of_three(world), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_08_invalid_filter_keeps_the_old_one),
		CAPTURING(item_08_valid_filter_empties_the_buffer_and_restarts_statistics),
		CAPTURING(an_exchange_keeps_buffer_and_statistics),
		CAPTURING(an_exchange_leaves_a_batch_open),
		CAPTURING(a_filter_can_be_passed_by),
		CAPTURING(filter_that_returns_minus_one_accepts_all_again),
		CAPTURING(trailing_bytes_of_a_program_are_ignored),
		CAPTURING(program_may_lie_anywhere),
		CAPTURING(absurd_sizes_are_refused),
		CAPTURING(filter_is_copied),
		CAPTURING(tag_is_where_the_dialect_has_it),
		CAPTURING(sets_stay_with_another_filter_and_other_classes),
		CAPTURING(joined_filters_keep_what_instances_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
