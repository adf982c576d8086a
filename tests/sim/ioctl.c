/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of control codes: sizes, values, unknown codes. What is refused must change nothing. */
#include "lib/world.h"

#define MAX_INPUT 16u

/* Each code with the input it takes; size 0: any. */
static const struct code {
	uint32_t code;
	size_t in;   /* bytes it wants */
	size_t out;  /* bytes it gives */
	int refused; /* what it answers here to any input */
} codes[] = {
	{ NPF_BIOCISETLOBBEH, 4, 0, 0 },
	{ NPF_BIOCISDUMPENDED, 0, 4, 0 },
	{ NPF_BIOCSMODE, 4, 0, 0 },
	{ NPF_BIOCSWRITEREP, 4, 0, 0 },
	{ NPF_BIOCSMINTOCOPY, 4, 0, 0 },
	{ NPF_BIOCGEVNAME, 0, 0, -ENOTSUP },
	{ NPF_BIOCSRTIMEOUT, 4, 0, 0 },
	{ NPF_BIOCSTIMESTAMPMODE, 4, 0, 0 },
	{ NPF_BIOCGTIMESTAMPMODES, 0, 16, 0 },
	{ NPF_BIOCSETDUMPFILENAME, 1, 0, -EINVAL },
	{ NPF_BIOCSETF, 1, 0, 0 },
	{ NPF_BIOCGSTATS, 0, 16, 0 },
	{ NPF_BIOCSENDPACKETSNOSYNC, 0, 0, 0 },
	{ NPF_BIOCSENDPACKETSSYNC, 0, 0, 0 },
	{ NPF_BIOCSETDUMPLIMITS, 8, 0, 0 },
	{ NPF_BIOCSETBUFFERSIZE, 4, 0, 0 },
};

/* Three frames are captured; whatever is refused must leave them and the way they came. */
static void prepare(struct world *world)
{
	send_many(world, 3, 60, 0);
}

static void expect_unchanged(struct world *world)
{
	assert_int_equal(stats_of(world->instance).captured, 3);
	send_now(world, 60, 3);
	assert_int_equal(read_all(world, 60, 0), 4);
}

static void short_input_is_refused(void **state)
{
	struct world *world = *state;
	uint8_t in[MAX_INPUT] = { 1 };

	prepare(world);
	for (size_t i = 0; i < N_OF(codes); i++) {
		for (size_t size = 0; size < codes[i].in; size++) {
			size_t returned = 99;

			assert_fails(world->instance,
				     npf_io_control(world->instance, codes[i].code, in, size, NULL,
						    0, &returned),
				     -ENOBUFS);
			assert_int_equal(returned, 0);
		}
		if (codes[i].in)
			assert_fails(world->instance,
				     npf_io_control(world->instance, codes[i].code, NULL, 4, NULL,
						    0, NULL),
				     -ENOBUFS);
	}
	expect_unchanged(world);
}

static void short_output_is_refused_and_not_touched(void **state)
{
	struct world *world = *state;
	uint8_t in[MAX_INPUT] = { 0 };

	prepare(world);
	for (size_t i = 0; i < N_OF(codes); i++) {
		for (size_t size = 0; size < codes[i].out; size++) {
			uint8_t out[32];

			memset(out, 0xA5, sizeof(out));
			assert_fails(world->instance,
				     npf_io_control(world->instance, codes[i].code, in, sizeof(in),
						    out, size, NULL),
				     -ENOBUFS);
			for (size_t k = 0; k < sizeof(out); k++)
				assert_int_equal(out[k], 0xA5);
		}
		if (codes[i].out)
			assert_fails(world->instance,
				     npf_io_control(world->instance, codes[i].code, NULL, 0, NULL,
						    64, NULL),
				     -ENOBUFS);
	}
	expect_unchanged(world);
}

static void output_is_written_to_its_size_and_no_further(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < N_OF(codes); i++) {
		uint8_t out[64];
		size_t returned;

		if (!codes[i].out)
			continue;
		memset(out, 0xA5, sizeof(out));
		assert_int_equal(npf_io_control(world->instance, codes[i].code, NULL, 0, out,
						sizeof(out), &returned),
				 0);
		assert_int_equal(returned, codes[i].out);
		for (size_t k = codes[i].out; k < sizeof(out); k++)
			assert_int_equal(out[k], 0xA5);
	}
}

static void codes_that_do_nothing_here_say_so(void **state)
{
	struct world *world = *state;
	uint8_t bytes[64] = { 0 };

	prepare(world);
	for (size_t i = 0; i < N_OF(codes); i++) {
		if (codes[i].refused)
			assert_fails(world->instance,
				     npf_io_control(world->instance, codes[i].code, bytes,
						    sizeof(bytes), bytes, sizeof(bytes), NULL),
				     codes[i].refused);
	}
	expect_unchanged(world);
}

static bool is_known(uint32_t code)
{
	static const uint32_t others[] = { NPF_BIOCSETEVENTHANDLE, NPF_BIOCSETOID,
					   NPF_BIOCQUERYOID };

	for (size_t i = 0; i < N_OF(codes); i++) {
		if (codes[i].code == code)
			return true;
	}
	for (size_t i = 0; i < N_OF(others); i++) {
		if (others[i] == code)
			return true;
	}
	return false;
}

static void expect_unknown(struct world *world, uint32_t code)
{
	uint8_t bytes[64] = { 0 };

	if (is_known(code))
		return;
	assert_fails(world->instance,
		     npf_io_control(world->instance, code, bytes, sizeof(bytes), bytes,
				    sizeof(bytes), NULL),
		     -ENOTTY);
}

static void unknown_codes_are_refused(void **state)
{
	struct world *world = *state;

	prepare(world);
	for (uint32_t code = 0; code < 12000; code++)
		expect_unknown(world, code);
	for (uint32_t bit = 0; bit < 32; bit++) {
		for (size_t i = 0; i < N_OF(codes); i++)
			expect_unknown(world, codes[i].code ^ 1u << bit);
	}
	for (uint32_t code = 0x7FFFFF00; code < 0x80000100; code++)
		expect_unknown(world, code);
	expect_unknown(world, UINT32_MAX);
	expect_unchanged(world);
}

/* ---- values -------------------------------------------------------------------------------- */

static void modes_follow_the_bits(void **state)
{
	static const uint32_t refused[] = { 2, 0x12 };
	static const uint32_t ignored[] = { 4, 6, 8, 0x20, 0xFFFFFFEE };
	struct world *world = *state;

	prepare(world);
	for (size_t i = 0; i < N_OF(refused); i++)
		assert_fails(world->instance, npf_set_mode(world->instance, refused[i]), -ENOTSUP);
	for (size_t i = 0; i < N_OF(ignored); i++)
		assert_int_equal(npf_set_mode(world->instance, ignored[i]), 0);
	expect_unchanged(world);
	for (uint32_t mode = 1; mode < 16; mode += 2) {
		assert_int_equal(npf_set_mode(world->instance, mode), 0);
		for (size_t i = 0; i < N_OF(ignored); i++)
			assert_int_equal(npf_set_mode(world->instance, ignored[i]), 0);
		assert_int_equal(npf_read(world->instance, world->buffer, 1000),
				 NPF_STAT_RECORD_SIZE);
		assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
	}
	for (uint32_t mode = 0x11; mode < 0x20; mode += 2) {
		assert_int_equal(npf_set_mode(world->instance, mode), 0);
		assert_int_equal(npf_read(world->instance, world->buffer, 1000),
				 NPF_STAT_DUMP_RECORD_SIZE);
	}
	assert_int_equal(npf_set_mode(world->instance, NPF_MODE_CAPT), 0);
}

static void absurd_buffer_sizes_keep_the_old_buffer(void **state)
{
	static const uint32_t sizes[] = { NPF_MAX_BUFFER + 1, 0x80000000, UINT32_MAX };
	struct world *world = *state;

	prepare(world);
	for (size_t i = 0; i < N_OF(sizes); i++)
		assert_fails(world->instance, npf_set_buffer(world->instance, sizes[i]), -EINVAL);
	/* More than this machine has. */
	assert_fails(world->instance, npf_set_buffer(world->instance, NPF_MAX_BUFFER), -ENOMEM);
	assert_int_equal(stats_of(world->instance).buffer_size, 65536);
	expect_unchanged(world);
}

static void buffer_that_holds_no_packet_is_none(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 23 };
	struct world *world = *state;

	for (size_t i = 0; i < N_OF(sizes); i++) {
		assert_int_equal(npf_set_buffer(world->instance, 4096), 0);
		assert_int_equal(npf_set_buffer(world->instance, sizes[i]), 0);
		assert_fails(world->instance, npf_read(world->instance, world->buffer, 1000),
			     -EINVAL);
		send_now(world, 60, 0);
		assert_int_equal(stats_of(world->instance).dropped_by[NPF_DROP_NO_BUFFER], 1);
	}
	assert_int_equal(npf_set_buffer(world->instance, 24), 0);
	send_now(world, 60, 0);
	assert_int_equal(read_all(world, 60, 0), 1);
}

static void new_buffer_restarts_everything(void **state)
{
	struct world *world = *state;

	prepare(world);
	assert_int_equal(npf_set_buffer(world->instance, 32768), 0);
	assert_int_equal(stats_of(world->instance).received, 0);
	assert_int_equal(stats_of(world->instance).buffer_size, 32768);
	assert_int_equal(read_all(world, 60, 0), 0);
	send_now(world, 60, 7);
	assert_int_equal(read_all(world, 60, 7), 1);
}

static void timestamp_modes_are_told(void **state)
{
	struct world *world = *state;
	uint32_t modes[4];

	assert_int_equal(npf_io_control(world->instance, NPF_BIOCGTIMESTAMPMODES, NULL, 0, modes,
					sizeof(modes), NULL),
			 0);
	assert_int_equal(modes[0], 3);
	for (uint32_t i = 1; i <= modes[0]; i++)
		assert_int_equal(npf_set_timestamp_mode(world->instance, modes[i]), 0);
}

static void statistics_are_not_reset_by_asking(void **state)
{
	struct world *world = *state;
	struct npf_bpf_stat old;

	prepare(world);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(npf_io_control(world->instance, NPF_BIOCGSTATS, NULL, 0, &old,
						sizeof(old), NULL),
				 0);
		assert_int_equal(old.bs_recv, 3);
		assert_int_equal(old.bs_capt, 3);
	}
}

static void longer_input_than_needed_is_fine(void **state)
{
	struct world *world = *state;
	uint32_t in[4] = { 8192, 0xDEAD, 0xBEEF, 0 };

	assert_int_equal(npf_io_control(world->instance, NPF_BIOCSETBUFFERSIZE, in, sizeof(in),
					NULL, 0, NULL),
			 0);
	assert_int_equal(stats_of(world->instance).buffer_size, 8192);
}

static void names_of_reasons_and_hooks_are_words(void **state)
{
	(void)state;
	for (int reason = -1; reason <= NPF_DROP_N; reason++)
		assert_true(strlen(npf_drop_name((enum npf_drop)reason)) > 0);
	for (int hook = -1; hook <= NPF_HOOK_NONE + 1; hook++)
		assert_true(strlen(npf_hook_name((enum npf_hook)hook)) > 0);
	assert_int_equal(strncmp(npf_version(), "npf ", 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURING(short_input_is_refused),
		CAPTURING(short_output_is_refused_and_not_touched),
		CAPTURING(output_is_written_to_its_size_and_no_further),
		CAPTURING(codes_that_do_nothing_here_say_so),
		CAPTURING(unknown_codes_are_refused),
		CAPTURING(modes_follow_the_bits),
		CAPTURING(absurd_buffer_sizes_keep_the_old_buffer),
		IN_WORLD(buffer_that_holds_no_packet_is_none),
		CAPTURING(new_buffer_restarts_everything),
		IN_WORLD(timestamp_modes_are_told),
		CAPTURING(statistics_are_not_reset_by_asking),
		IN_WORLD(longer_input_than_needed_is_fine),
		cmocka_unit_test(names_of_reasons_and_hooks_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
