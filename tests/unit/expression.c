/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The expression compiler's front: dialects, snap lengths, directions, and errors that leave
 * nothing behind. What the programs decide is tried with the interpreter.
 */
#include "lib/check.h"

#include <stdio.h>

#include "expression/expression.h"
#include "filter/filter.h"

#define ETHERNET 1u
#define RAW      101u

static const uint8_t udp_frame[60] = { [12] = 0x08, [14] = 0x45, [23] = 17, [36] = 0, [37] = 53 };

static uint32_t run(const struct npf_compiled *compiled, const uint8_t *data, uint32_t length,
		    bool tagged, uint32_t packet_type)
{
	struct npf_frame frame = {
		.length = length,
		.wire_length = length + (tagged ? NPF_TAG_SIZE : 0),
		.tag_tpid = 0x8100,
		.tag_tci = 5,
		.tagged = tagged,
		.packet_type = packet_type,
		.protocol = 0x0800,
	};
	char error[NPF_ERROR_SIZE];

	assert_int_equal(npf_filter_validate(&compiled->program, error, sizeof(error)), 0);
	return npf_filter_run(&compiled->program, &frame, data);
}

static void compile(const char *expression, uint32_t link_type, uint32_t snaplen,
		    struct npf_compiled *out)
{
	char error[NPF_ERROR_SIZE] = "";

	if (npf_expression_compile(expression, link_type, snaplen, out, error))
		fail_msg("%s: %s", expression, error);
}

static void nothing_accepts_all(void **state)
{
	static const char *const empty[] = { "", "  \t" };
	struct npf_compiled compiled;

	(void)state;
	for (size_t i = 0; i < N_OF(empty); i++) {
		compile(empty[i], ETHERNET, 96, &compiled);
		assert_int_equal(compiled.program.length, 1);
		assert_int_equal(run(&compiled, udp_frame, 60, false, NPF_TO_HOST), 96);
		npf_expression_free(&compiled);
	}
}

static void an_expression_selects(void **state)
{
	struct npf_compiled compiled;

	(void)state;
	compile("udp", ETHERNET, 100, &compiled);
	assert_int_equal(run(&compiled, udp_frame, 60, false, NPF_TO_HOST), 100);
	npf_expression_free(&compiled);
	compile("tcp", ETHERNET, 100, &compiled);
	assert_int_equal(run(&compiled, udp_frame, 60, false, NPF_TO_HOST), 0);
	npf_expression_free(&compiled);
	compile("udp", RAW, NPF_SNAPLEN_MAX, &compiled);
	assert_int_equal(run(&compiled, udp_frame + 14, 46, false, NPF_TO_HOST), NPF_SNAPLEN_MAX);
	npf_expression_free(&compiled);
}

/* In either dialect: the tag was stripped, and is seen. */
static void a_stripped_tag_is_seen(void **state)
{
	struct npf_compiled compiled;

	(void)state;
	compile("vlan 5 and udp", ETHERNET, 100, &compiled);
	assert_int_equal(run(&compiled, udp_frame, 60, true, NPF_TO_HOST), 100);
	assert_int_equal(run(&compiled, udp_frame, 60, false, NPF_TO_HOST), 0);
	npf_expression_free(&compiled);
}

static void directions(void **state)
{
	struct npf_compiled compiled;
	char error[NPF_ERROR_SIZE];

	(void)state;
	compile("", ETHERNET, 100, &compiled);
	assert_int_equal(npf_expression_restrict(&compiled, NPF_DIRECTION_BOTH, error), 0);
	assert_int_equal(compiled.program.length, 1);
	assert_int_equal(npf_expression_restrict(&compiled, NPF_DIRECTION_OUT, error), 0);
	assert_int_equal(run(&compiled, udp_frame, 60, false, NPF_FROM_HOST), 100);
	assert_int_equal(run(&compiled, udp_frame, 60, false, NPF_TO_HOST), 0);
	npf_expression_free(&compiled);
	compile("udp", RAW, 100, &compiled);
	assert_int_equal(npf_expression_restrict(&compiled, NPF_DIRECTION_IN, error), 0);
	assert_int_equal(run(&compiled, udp_frame + 14, 46, false, NPF_FROM_HOST), 0);
	assert_int_equal(run(&compiled, udp_frame + 14, 46, false, NPF_TO_MULTICAST), 100);
	npf_expression_free(&compiled);
}

static void one_compiler_many_expressions(void **state)
{
	struct npf_compiler compiler;
	struct npf_compiled udp, tcp, bad;
	char error[NPF_ERROR_SIZE];

	(void)state;
	assert_int_equal(npf_compiler_open(&compiler, ETHERNET, 1500, error), 0);
	assert_int_equal(npf_compiler_compile(&compiler, "udp", &udp, error), 0);
	assert_int_equal(npf_compiler_compile(&compiler, "udp and (", &bad, error), -EINVAL);
	assert_int_equal(npf_compiler_compile(&compiler, "tcp", &tcp, error), 0);
	npf_compiler_close(&compiler);
	assert_int_equal(run(&udp, udp_frame, 60, false, NPF_TO_HOST), 1500);
	assert_int_equal(run(&tcp, udp_frame, 60, false, NPF_TO_HOST), 0);
	assert_null(bad.insns);
	npf_expression_free(&bad);
	npf_expression_free(&udp);
	npf_expression_free(&tcp);
}

static void refusals(void **state)
{
	static const struct {
		const char *expression;
		uint32_t link_type, snaplen;
	} bad[] = {
		{ "udp and (", ETHERNET, 100 },
		{ "no such words", ETHERNET, 100 },
		{ "arp", RAW, 100 },
		{ "udp", ETHERNET, 0 },
		{ "", ETHERNET, 0 },
		{ "", ETHERNET, NPF_SNAPLEN_MAX + 1 },
	};
	struct npf_compiled compiled;
	char error[NPF_ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		*error = '\0';
		assert_int_equal(npf_expression_compile(bad[i].expression, bad[i].link_type,
							bad[i].snaplen, &compiled, error),
				 -EINVAL);
		assert_true(*error);
		assert_null(compiled.insns);
		assert_int_equal(compiled.program.length, 0);
	}
}

/* Distinct values do not fold: the program grows past what is accepted. */
static void too_long(void **state)
{
	struct npf_compiled compiled;
	char error[NPF_ERROR_SIZE], *text = calloc(1, 200000), *at = text;

	(void)state;
	assert_non_null(text);
	for (unsigned int i = 0; i < 4200; i++)
		at += sprintf(at, "%sip[20:4]=%u", i ? " or " : "", i);
	assert_int_equal(npf_expression_compile(text, ETHERNET, 100, &compiled, error), -EINVAL);
	assert_null(compiled.insns);
	free(text);
}

static void link_types(void **state)
{
	static const uint32_t same[] = { 0, 1, 105, 113, 127 };

	(void)state;
	for (size_t i = 0; i < N_OF(same); i++) {
		assert_int_equal(npf_expression_dlt(same[i]), same[i]);
		assert_int_equal(npf_expression_link_type((int)same[i]), same[i]);
	}
	assert_int_equal(npf_expression_dlt(RAW), 12);
	assert_int_equal(npf_expression_link_type(12), RAW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_accepts_all),
		cmocka_unit_test(an_expression_selects),
		cmocka_unit_test(a_stripped_tag_is_seen),
		cmocka_unit_test(directions),
		cmocka_unit_test(one_compiler_many_expressions),
		cmocka_unit_test(refusals),
		cmocka_unit_test(too_long),
		cmocka_unit_test(link_types),
	};

	return cmocka_run_group_tests_name("expression", tests, NULL, NULL);
}
