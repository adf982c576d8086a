/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet printer's promises whatever the bytes: nothing behind them is read, the line stays in
 * its buffer and is printable text; times and dumps.
 */
#include "lib/check.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "../../tools/npf/capture/print_packet.h"

static const uint32_t link_types[] = { 0, 1, 101, 105, 108, 113, 127, 276, 4711 };

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void check_line(const struct npf_line *line)
{
	assert_true(line->length < NPF_LINE_SIZE);
	assert_int_equal(strlen(line->text), line->length);
	for (size_t i = 0; i < line->length; i++)
		assert_true(isprint((unsigned char)line->text[i]));
}

/* A copy of exactly n bytes on the heap: a sanitizer sees any step over its end. */
static void print_exact(uint32_t link_type, const uint8_t *data, uint32_t n, uint32_t length)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct npf_line line;

	assert_non_null(copy);
	memcpy(copy, data, n);
	npf_line_clear(&line);
	npf_print_packet(&line, link_type, copy, n, length, true);
	check_line(&line);
	free(copy);
}

static void every_cut(void **state)
{
	/* VLAN, IPv6, hop-by-hop, fragment header, then IPv4 in IPv6 with TCP options. */
	uint8_t frame[256] = { 2, 0, 0, 0,    0,    2,    2, 0, 0, 0, 0,   1, 0x81,
			       0, 0, 5, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 100, 0, 64 };
	uint8_t *at = frame + 18 + 40;

	(void)state;
	at[0] = 44;
	at[8] = 4;
	at[16] = 0x45;
	at[19] = 84;
	at[25] = 6;
	at[16 + 20 + 12] = 0xf0;
	at[16 + 40] = 2;
	at[16 + 41] = 4;
	for (uint32_t n = 0; n <= sizeof(frame); n++)
		print_exact(1, frame, n, sizeof(frame));
}

static void random_bytes(void **state)
{
	static const uint16_t types[] = { 0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x0026 };
	uint32_t seed = 1;
	uint8_t data[200];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint32_t n = next_random(&seed) % sizeof(data);
		uint16_t type = types[next_random(&seed) % N_OF(types)];

		for (uint32_t i = 0; i < n; i++)
			data[i] = (uint8_t)next_random(&seed);
		if (n > 14 && round % 2) {
			data[12] = (uint8_t)(type >> 8);
			data[13] = (uint8_t)type;
			data[14] = type == 0x0800 ? 0x45 : type == 0x86dd ? 0x60 : data[14];
		}
		print_exact(link_types[next_random(&seed) % N_OF(link_types)], data, n,
			    next_random(&seed) % 3 ? n : n + next_random(&seed));
	}
}

static void a_full_line_is_cut(void **state)
{
	struct npf_line line;

	(void)state;
	npf_line_clear(&line);
	for (int i = 0; i < 200; i++)
		npf_line_add(&line, "%s", "0123456789");
	check_line(&line);
	assert_int_equal(line.length, NPF_LINE_SIZE - 1);
}

static void times(void **state)
{
	struct npf_print_clock clock = { 0 };
	struct npf_line line;

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	npf_line_clear(&line);
	npf_print_time(&line, &clock, 0);
	npf_print_time(&line, &clock, UINT64_C(1700000000000000007));
	npf_print_time(&line, &clock, UINT64_C(1700000000999999999));
	npf_print_time(&line, &clock, UINT64_C(1700000001000000000));
	assert_string_equal(line.text, "00:00:00.000000000 22:13:20.000000007 "
				       "22:13:20.999999999 22:13:21.000000000 ");
	npf_print_time(&line, &clock, UINT64_MAX);
	check_line(&line);
}

static void dumps(void **state)
{
	const uint8_t data[] = "GET / HTTP/1.0\r\n\xff";
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	npf_print_hex(out, data, sizeof(data) - 1);
	fclose(out);
	assert_string_equal(text,
			    "\t0x0000:  4745 5420 2f20 4854 5450 2f31 2e30 0d0a  GET / HTTP/1.0..\n"
			    "\t0x0010:  ff                                       .\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(a_full_line_is_cut),
		cmocka_unit_test(times),
		cmocka_unit_test(dumps),
	};

	return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
