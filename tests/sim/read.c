/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading: what is counted, how records look, full buffers, short buffers, batches, time stamps. */
#include "lib/world.h"

/* Accepts frames with an odd number (byte 14), whole. */
static const struct npf_insn odd_insns[] = {
	INSN_LD_B(14), { .code = 0x54, .k = 1 }, INSN_JEQ(1, 0, 1), INSN_RET(UINT32_MAX), INSN_RET(0)
};
static const struct npf_program odd = PROGRAM(odd_insns);
static const struct npf_insn all_insns[] = { INSN_RET(UINT32_MAX) };
static const struct npf_program all = PROGRAM(all_insns);

static void item_02_received_before_the_filter_captured_behind_it(void **state)
{
	struct world *world = *state;
	struct npf_bpf_stat old;
	struct npf_stats stats;
	size_t returned;

	assert_int_equal(npf_set_filter(world->instance, &odd), 0);
	send_many(world, 101, 60, 0);
	stats = stats_of(world->instance);
	assert_int_equal(stats.received, 101);
	assert_int_equal(stats.captured, 50);
	assert_int_equal(stats.filtered, 51);
	assert_int_equal(stats.dropped, 0);

	assert_int_equal(npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, 0, &old, sizeof(old),
					&returned),
			 0);
	assert_int_equal(returned, sizeof(old));
	assert_int_equal(old.bs_recv, 101);
	assert_int_equal(old.bs_drop, 0);
	assert_int_equal(old.ps_ifdrop, 0);
	assert_int_equal(old.bs_capt, 50);
}

static void item_02_dropped_only_when_there_is_no_room(void **state)
{
	struct world *world = *state;
	struct npf_stats stats;

	assert_int_equal(npf_set_filter(world->instance, &odd), 0);
	do {
		send_many(world, 2, 1000, 0);
		stats = stats_of(world->instance);
		assert_int_equal(stats.captured + stats.dropped, stats.filtered);
	} while (!stats.dropped);
	assert_int_equal(stats.dropped, 1);
	assert_int_equal(stats.dropped_by[NPF_DROP_FULL], 1);
	assert_true(stats.buffer_used >= 65536 / 10 * 9);
	assert_int_equal(stats.buffer_size, 65536);
}

static void item_02_losses_before_the_tap_have_their_own_reason(void **state)
{
	struct world *world = *state;
	struct npf_bpf_stat old;

	npf_sim_lose(world->host, "eth0", 7);
	send_many(world, 3, 60, 0);
	assert_int_equal(stats_of(world->instance).received, 10);
	assert_int_equal(stats_of(world->instance).dropped_by[NPF_DROP_BACKLOG], 7);
	assert_int_equal(npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, 0, &old, sizeof(old),
					NULL),
			 0);
	assert_int_equal(old.ps_ifdrop, 7);
	assert_int_equal(old.bs_drop, 0);
	assert_int_equal(npf_sim_remove_adapter(world->host, "eth0"), 0);
	assert_int_equal(stats_of(world->instance).dropped_by[NPF_DROP_BACKLOG], 7);
	assert_int_equal(npf_set_filter(world->instance, &odd), 0);
	assert_int_equal(stats_of(world->instance).received, 0);
}

/* ---- records ------------------------------------------------------------------------------- */

static void item_03_records_are_aligned_and_capped_by_the_filter(void **state)
{
	struct world *world = *state;

	for (uint32_t verdict = 1; verdict < 80; verdict++) {
		struct npf_insn keep[] = { INSN_RET(verdict) };
		struct npf_program program = PROGRAM(keep);
		struct records records;
		uint32_t n = 0;

		assert_int_equal(npf_set_filter(world->instance, &program), 0);
		for (uint32_t length = 1; length <= 70; length++)
			send_now(world, length, length);
		records = read_records(world);
		while (records_next(&records)) {
			n++;
			assert_int_equal((records.data - world->buffer) % NPF_ALIGNMENT, 0);
			assert_int_equal(records.hdr.datalen, n);
			assert_int_equal(records.hdr.caplen, n < verdict ? n : verdict);
			assert_true(frame_is(records.data, records.hdr.caplen, n));
		}
		assert_int_equal(n, 70);
	}
}

static void item_03_order_is_that_of_arrival_over_cpus(void **state)
{
	static const uint8_t cpus[] = { 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1 };
	struct world *world = *state;

	for (uint32_t seq = 0; seq < 400; seq++)
		send_at(world, 10 + seq, cpus[seq % N_OF(cpus)], 100, seq);
	npf_sim_advance(world->host, 250);
	assert_int_equal(read_all(world, 100, 0), 241);
	npf_sim_advance(world->host, 1000);
	assert_int_equal(read_all(world, 100, 241), 159);
}

static void item_03_stripped_tag_is_as_on_the_wire(void **state)
{
	struct world *world = *state;
	uint8_t data[60];
	struct npf_sim_frame frame = {
		.data = data, .length = sizeof(data), .tpid = 0x8100, .tci = 0x0123
	};
	struct records records;

	frame_fill(data, sizeof(data), 5);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	records = read_records(world);
	assert_true(records_next(&records));
	assert_int_equal(records.hdr.caplen, 64);
	assert_int_equal(records.hdr.datalen, 64);
	assert_memory_equal(records.data, data, 12);
	assert_memory_equal(records.data + 12, "\x81\x00\x01\x23", 4);
	assert_memory_equal(records.data + 16, data + 12, 48);
}

static void item_03_length_is_the_wire_s(void **state)
{
	struct world *world = *state;
	uint8_t data[60];
	struct npf_sim_frame frame = { .data = data, .length = sizeof(data), .wire_length = 65000 };
	struct records records;

	frame_fill(data, sizeof(data), 0);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	records = read_records(world);
	assert_true(records_next(&records));
	assert_int_equal(records.hdr.caplen, 60);
	assert_int_equal(records.hdr.datalen, 65000);
}

/* ---- the buffer ---------------------------------------------------------------------------- */

static void item_04_all_sizes_fill_and_drain(void **state)
{
	struct world *world = *state;
	uint64_t used = 0, sent = 0;

	assert_int_equal(npf_set_buffer(world->instance, 16384), 0);
	for (uint32_t length = 1; length <= 1514; length += length < 128 ? 1 : 7) {
		uint64_t before = stats_of(world->instance).dropped;
		uint32_t n = 0;

		while (stats_of(world->instance).dropped == before)
			send_now(world, length, n++);
		sent += n;
		/* The room is the same each time but for what the CPU's chunk already held. */
		used = stats_of(world->instance).buffer_used;
		assert_true(used >= 16384 / 10 * 9 - 8192);
		assert_int_equal(read_all(world, length, 0), n - 1);
		assert_int_equal(stats_of(world->instance).buffer_used, 0);
	}
	assert_int_equal(stats_of(world->instance).received, sent);
}

static void item_05_full_ring_drops_newest_and_counts_exactly(void **state)
{
	struct world *world = *state;
	uint32_t n = 0;

	while (!stats_of(world->instance).dropped)
		send_now(world, 777, n++);
	send_many(world, 99, 777, 5000);
	assert_int_equal(stats_of(world->instance).dropped, 100);
	assert_int_equal(stats_of(world->instance).captured, n - 1);
	assert_int_equal(read_all(world, 777, 0), n - 1);
	send_now(world, 777, 9);
	assert_int_equal(read_all(world, 777, 9), 1);
	assert_int_equal(stats_of(world->instance).dropped, 100);
}

/* ---- short buffers ------------------------------------------------------------------------- */

static void item_07_buffer_below_a_header_is_refused(void **state)
{
	struct world *world = *state;

	send_now(world, 60, 0);
	for (size_t size = 0; size < NPF_BPF_HDR_SIZE; size++)
		assert_fails(world->instance, npf_read(world->instance, world->buffer, size),
			     -ENOBUFS);
	assert_fails(world->instance, npf_read(world->instance, NULL, 1000), -ENOBUFS);
	assert_int_equal(read_all(world, 60, 0), 1);
}

static void item_07_packet_beyond_the_buffer_is_cut_and_consumed(void **state)
{
	struct world *world = *state;

	for (size_t size = NPF_BPF_HDR_SIZE; size < 130; size++) {
		uint8_t *buffer = malloc(size); /* exact, for the address sanitizer */

		send_now(world, 100, 1);
		send_now(world, 1, 2);

		int64_t n = npf_read(world->instance, buffer, size);
		struct records records = { .at = buffer, .left = (size_t)n };

		assert_true(n > 0 && (size_t)n <= size);
		assert_true(records_next(&records));
		assert_int_equal(records.hdr.caplen,
				 size - NPF_BPF_HDR_SIZE < 100 ? size - NPF_BPF_HDR_SIZE : 100);
		assert_int_equal(records.hdr.datalen, 100);
		assert_true(frame_is(records.data, records.hdr.caplen, 1));
		assert_false(records_next(&records));
		assert_int_equal(read_all(world, 1, 2), 1);
		free(buffer);
	}
}

static void item_07_whole_packets_follow_as_they_fit(void **state)
{
	struct world *world = *state;

	for (size_t size = NPF_BPF_HDR_SIZE + 33; size < 400; size++) {
		uint8_t *buffer = malloc(size);
		uint32_t seq = 0;

		send_many(world, 10, 33, 0);
		for (;;) {
			int64_t n = npf_read(world->instance, buffer, size);
			struct records records = { .at = buffer, .left = (size_t)n };

			assert_true(n >= 0 && (size_t)n <= size);
			if (!n)
				break;
			while (records_next(&records))
				assert_true(records.hdr.caplen == 33 &&
					    frame_is(records.data, 33, seq++));
		}
		assert_int_equal(seq, 10);
		free(buffer);
	}
}

/* ---- batches ------------------------------------------------------------------------------- */

static void batch_gives_packets_in_place(void **state)
{
	struct world *world = *state;
	struct npf_sim_frame own = { .data = "to somebody else",
				     .length = 16,
				     .packet_type = NPF_FROM_HOST };
	struct npf_packet packet;

	send_at(world, 1000, 0, 100, 1);
	npf_sim_advance(world->host, 2000);
	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &own), 0);

	assert_true(npf_batch_begin(world->instance) > 0);
	assert_true(npf_batch_next(world->instance, &packet));
	assert_int_equal(packet.time, NPF_SIM_EPOCH + 1000);
	assert_int_equal(packet.caplen, 100);
	assert_int_equal(packet.len, 100);
	assert_int_equal(packet.flags, 0);
	assert_true(frame_is(packet.data, 100, 1));
	assert_true(npf_batch_next(world->instance, &packet));
	assert_int_equal(packet.time, NPF_SIM_EPOCH + 2000);
	assert_int_equal(packet.flags, NPF_PACKET_OUTGOING);
	assert_false(npf_batch_next(world->instance, &packet));
	npf_batch_end(world->instance);
	assert_int_equal(npf_batch_begin(world->instance), 0);
}

static void batch_keeps_what_was_not_walked(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	send_many(world, 30, 1000, 0);
	assert_true(npf_batch_begin(world->instance) > 0);
	for (uint32_t seq = 0; seq < 11; seq++) {
		assert_true(npf_batch_next(world->instance, &packet));
		assert_true(frame_is(packet.data, 1000, seq));
	}
	npf_batch_end(world->instance);
	assert_int_equal(read_all(world, 1000, 11), 19);
}

static void open_batch_excludes_what_would_pull_it_away(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	send_many(world, 3, 100, 0);
	assert_true(npf_batch_begin(world->instance) > 0);
	assert_fails(world->instance, npf_batch_begin(world->instance), -EBUSY);
	assert_fails(world->instance, npf_read(world->instance, world->buffer, 1000), -EBUSY);
	assert_fails(world->instance, npf_set_buffer(world->instance, 4096), -EBUSY);
	assert_fails(world->instance, npf_set_filter(world->instance, &odd), -EBUSY);
	assert_fails(world->instance,
		     control_u32(world->instance, NPF_BIOCISETLOBBEH, NPF_DISABLE_LOOPBACK),
		     -EBUSY);
	for (uint32_t seq = 0; seq < 3; seq++) {
		assert_true(npf_batch_next(world->instance, &packet));
		assert_true(frame_is(packet.data, 100, seq));
	}
	npf_batch_end(world->instance);
	assert_int_equal(npf_set_buffer(world->instance, 4096), 0);
}

/* Neither what comes after it nor a new buffer takes them away; the next read does. */
static void a_batch_that_is_left_keeps_its_packets(void **state)
{
	struct world *world = *state;
	struct npf_packet packets[50], none;
	size_t memory;

	for (uint32_t changes = 0; changes < 3; changes++) {
		memory = npf_sim_memory(world->host);
		send_many(world, N_OF(packets), 1000, 0);
		assert_true(npf_batch_begin(world->instance) > 0);
		for (uint32_t i = 0; i < N_OF(packets); i++)
			assert_true(npf_batch_next(world->instance, &packets[i]));
		npf_batch_leave(world->instance);
		assert_false(npf_batch_next(world->instance, &none));
		send_many(world, 100, 1000, 100);
		for (uint32_t i = 0; i < changes; i++) {
			assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
			send_many(world, 100, 1000, 100);
		}
		for (uint32_t i = 0; i < N_OF(packets); i++)
			assert_true(frame_is(packets[i].data, 1000, i));
		assert_true(npf_batch_begin(world->instance) > 0);
		npf_batch_end(world->instance);
		assert_int_equal(npf_sim_memory(world->host), memory);
		/* All of the room is back. */
		assert_int_equal(npf_set_filter(world->instance, &odd), 0);
		send_many(world, 100, 1000, 0);
		assert_int_equal(stats_of(world->instance).dropped, 0);
		assert_int_equal(npf_set_buffer(world->instance, 65536), 0);
		assert_int_equal(npf_exchange_filter(world->instance, &all, NULL), 0);
	}
}

static void batch_end_without_batch_is_harmless(void **state)
{
	struct world *world = *state;
	struct npf_packet packet;

	assert_false(npf_batch_next(world->instance, &packet));
	npf_batch_end(world->instance);
	send_now(world, 60, 0);
	assert_int_equal(read_all(world, 60, 0), 1);
}

static void packet_beyond_the_unit_of_the_buffer_is_flagged(void **state)
{
	static uint8_t data[40000];
	struct world *world = *state;
	struct npf_sim_frame frame = { .data = data, .length = sizeof(data) };
	struct npf_packet packet;

	assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
	send_now(world, 60, 1);
	assert_true(npf_batch_begin(world->instance) > 0);
	assert_true(npf_batch_next(world->instance, &packet));
	assert_true(packet.flags & NPF_PACKET_CUT);
	assert_int_equal(packet.len, sizeof(data));
	assert_true(packet.caplen >= 1514 && packet.caplen < sizeof(data));
	assert_true(npf_batch_next(world->instance, &packet));
	assert_int_equal(packet.flags, 0);
	npf_batch_end(world->instance);
}

/* ---- time stamps --------------------------------------------------------------------------- */

static uint64_t stamp_of_a_frame(struct world *world)
{
	struct records records;

	send_now(world, 60, 0);
	records = read_records(world);
	assert_true(records_next(&records));
	assert_false(records_next(&records));
	return (uint64_t)records.hdr.tv_sec * 1000000 + (uint64_t)records.hdr.tv_usec;
}

static void stamps_are_the_wall_clock_s(void **state)
{
	struct world *world = *state;

	npf_sim_advance(world->host, 1999999999);
	assert_int_equal(stamp_of_a_frame(world), NPF_SIM_EPOCH / 1000 + 2000000);
}

static void precise_stamps_follow_a_stepped_clock_and_single_sync_does_not(void **state)
{
	struct world *world = *state;

	npf_sim_advance(world->host, 5 * MS);
	npf_sim_step_wall(world->host, -3600000000000);
	assert_int_equal(stamp_of_a_frame(world), NPF_SIM_EPOCH / 1000 + 5000 - 3600000000);
	assert_int_equal(npf_set_timestamp_mode(world->instance, NPF_TIMESTAMP_SINGLE_SYNC), 0);
	assert_int_equal(stamp_of_a_frame(world), NPF_SIM_EPOCH / 1000 + 5000);
	assert_int_equal(npf_set_timestamp_mode(world->instance, NPF_TIMESTAMP_COARSE), 0);
	assert_int_equal(stamp_of_a_frame(world), NPF_SIM_EPOCH / 1000 + 5000 - 3600000000);
	assert_fails(world->instance, npf_set_timestamp_mode(world->instance, 1), -EINVAL);
	assert_fails(world->instance, npf_set_timestamp_mode(world->instance, 99), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(item_02_received_before_the_filter_captured_behind_it),
		CAPTURING(item_02_dropped_only_when_there_is_no_room),
		CAPTURING(item_02_losses_before_the_tap_have_their_own_reason),
		CAPTURING(item_03_records_are_aligned_and_capped_by_the_filter),
		CAPTURING(item_03_order_is_that_of_arrival_over_cpus),
		CAPTURING(item_03_stripped_tag_is_as_on_the_wire),
		CAPTURING(item_03_length_is_the_wire_s),
		IN_WORLD(item_04_all_sizes_fill_and_drain),
		CAPTURING(item_05_full_ring_drops_newest_and_counts_exactly),
		CAPTURING(item_07_buffer_below_a_header_is_refused),
		CAPTURING(item_07_packet_beyond_the_buffer_is_cut_and_consumed),
		CAPTURING(item_07_whole_packets_follow_as_they_fit),
		CAPTURING(batch_gives_packets_in_place),
		CAPTURING(batch_keeps_what_was_not_walked),
		CAPTURING(open_batch_excludes_what_would_pull_it_away),
		CAPTURING(a_batch_that_is_left_keeps_its_packets),
		CAPTURING(batch_end_without_batch_is_harmless),
		CAPTURING(packet_beyond_the_unit_of_the_buffer_is_flagged),
		CAPTURING(stamps_are_the_wall_clock_s),
		CAPTURING(precise_stamps_follow_a_stepped_clock_and_single_sync_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
