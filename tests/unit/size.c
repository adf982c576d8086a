/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line's numbers, sizes, durations and names; readable numbers; JSON text.
 */
#include "lib/check.h"

#include "../../tools/npf/ui/json.h"
#include "../../tools/npf/ui/terminal.h"
#include "../../tools/npf/tool.h"

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "65536", 65536 },
		{ "1K", 1024 },
		{ "1k", 1024 },
		{ "16M", 16u << 20 },
		{ "16MiB", 16u << 20 },
		{ "16mb", 16u << 20 },
		{ "1G", 1u << 30 },
		{ "7B", 7 },
		{ "17179869183G", UINT64_MAX - (1u << 30) + 1 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = { "",
					   "K",
					   "-1",
					   "+1",
					   " 1",
					   "1 ",
					   "1KK",
					   "1T",
					   "1Ki",
					   "1.5M",
					   "0x10",
					   "18446744073709551616",
					   "17179869184G",
					   "99999999999999999999999" };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(npf_parse_size(good[i].text, UINT64_MAX, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	bytes = 42;
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(npf_parse_size(bad[i], UINT64_MAX, &bytes));
	assert_false(npf_parse_size("1025", 1024, &bytes));
	assert_false(npf_parse_size("2K", 2047, &bytes));
	assert_int_equal(bytes, 42);
}

static void numbers(void **state)
{
	uint64_t number = 42;

	(void)state;
	assert_false(npf_parse_number("0", 1, 10, &number));
	assert_false(npf_parse_number("11", 1, 10, &number));
	assert_false(npf_parse_number("5x", 1, 10, &number));
	assert_false(npf_parse_number("", 0, 10, &number));
	assert_int_equal(number, 42);
	assert_true(npf_parse_number("10", 1, 10, &number));
	assert_int_equal(number, 10);
}

/* As rates: thousands, with a fraction where the whole has none. */
static void counts(void **state)
{
	static const struct {
		const char *text;
		uint64_t count;
	} good[] = {
		{ "0", 0 },
		{ "7", 7 },
		{ "007", 7 },
		{ "1k", 1000 },
		{ "1K", 1000 },
		{ "10M", 10000000 },
		{ "2g", 2000000000 },
		{ "1.5M", 1500000 },
		{ "0.25k", 250 },
		{ "2.0", 2 },
		{ "1.234567890G", 1234567890 },
		{ "1.0000000000000000k", 1000 },
		{ "18446744073G", UINT64_C(18446744073000000000) },
		{ "18446744073.709551615G", UINT64_MAX },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = { "",
					   "k",
					   "-1",
					   "+1",
					   " 1",
					   "1 ",
					   "1 k",
					   "1kk",
					   "1T",
					   "1kB",
					   "1Ki",
					   "1pps",
					   "1.",
					   ".5k",
					   "1.5",
					   "0.0005k",
					   "1.2345678901G",
					   "1.0000000000000001k",
					   "1e6",
					   "0x10",
					   "18446744073.709551616G",
					   "18446744074G",
					   "18446744073709551616",
					   "18446744073709552k",
					   "99999999999999999999999M" };
	uint64_t count;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(npf_parse_count(good[i].text, 0, UINT64_MAX, &count));
		assert_int_equal(count, good[i].count);
	}
	count = 42;
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (npf_parse_count(bad[i], 0, UINT64_MAX, &count))
			fail_msg("%s was taken", bad[i]);
	}
	assert_false(npf_parse_count("0k", 1, 10, &count));
	assert_false(npf_parse_count("1k", 1, 999, &count));
	assert_int_equal(count, 42);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "0", 0 },
		{ "250", 250000000000 },
		{ "250ms", 250000000 },
		{ "7us", 7000 },
		{ "2s", 2000000000 },
		{ "0.5s", 500000000 },
		{ "1.5", 1500000000 },
		{ "0.123456789s", 123456000 },
		{ "2.9us", 2900 },
		{ "90min", 5400000000000 },
		{ "1.5h", 5400000000000 },
		{ "0.999999d", 86399913600000 },
	};
	static const char *const bad[] = { "",   "s",  "-1",  "1.",
					   ".5", "1m", "1 s", "18446744073709551615s" };
	uint64_t ns = 42;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(npf_parse_time(bad[i], UINT64_MAX, &ns));
	assert_false(npf_parse_time("1001ms", NPF_SECOND, &ns));
	assert_int_equal(ns, 42);
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(npf_parse_time(good[i].text, UINT64_MAX, &ns));
		assert_int_equal(ns, good[i].ns);
	}
}

static void hooks(void **state)
{
	enum npf_hook hook;

	(void)state;
	assert_true(npf_parse_hook("auto", &hook));
	assert_int_equal(hook, NPF_HOOK_AUTO);
	for (enum npf_hook one = NPF_HOOK_TCX; one <= NPF_HOOK_TPACKET; one++) {
		assert_true(npf_parse_hook(npf_hook_name(one), &hook));
		assert_int_equal(hook, one);
	}
	assert_false(npf_parse_hook("", &hook));
	assert_false(npf_parse_hook("xdp", &hook));
}

static void words(void **state)
{
	char *const three[] = { (char *)"tcp", (char *)"port", (char *)"80" };
	char *text = npf_join_words(three, 3);

	(void)state;
	assert_string_equal(text, "tcp port 80");
	free(text);
	text = npf_join_words(three, 0);
	assert_string_equal(text, "");
	free(text);
}

static void readable_numbers(void **state)
{
	char text[32];

	(void)state;
	npf_format_si(text, sizeof(text), 0, "bit/s");
	assert_string_equal(text, "0 bit/s");
	npf_format_si(text, sizeof(text), 3, "B");
	assert_string_equal(text, "3 B");
	npf_format_si(text, sizeof(text), 0.5, "bit/s");
	assert_string_equal(text, "0.50 bit/s");
	npf_format_si(text, sizeof(text), 1e10, "bit/s");
	assert_string_equal(text, "10.0 Gbit/s");
	npf_format_si(text, sizeof(text), 999.7, "B");
	assert_string_equal(text, "1.00 kB");
	npf_format_si(text, sizeof(text), 123456, "B");
	assert_string_equal(text, "123 kB");
	npf_format_bytes(text, sizeof(text), 16u << 20);
	assert_string_equal(text, "16 MiB");
	npf_format_bytes(text, sizeof(text), 1000);
	assert_string_equal(text, "1000 bytes");
}

static void clean_text(void **state)
{
	char text[8];

	(void)state;
	npf_clean_text(text, sizeof(text), "a\033[1m");
	assert_string_equal(text, "a?[1m");
	npf_clean_text(text, sizeof(text), "\xc3\xa4\xff\xc2\x9b");
	assert_string_equal(text, "\xc3\xa4??");
	npf_clean_text(text, sizeof(text), "123456\xc3\xa4");
	assert_string_equal(text, "123456");
}

static void json_text(void **state)
{
	struct npf_json json = { 0 };
	char *text = NULL;
	size_t size;

	(void)state;
	json.out = open_memstream(&text, &size);
	assert_non_null(json.out);
	npf_json_object(&json, NULL);
	npf_json_string(&json, "a\"\\", "\n\xff\xc3\xa4\xed\xa0\x80");
	npf_json_array(&json, "b");
	npf_json_unsigned(&json, NULL, UINT64_MAX);
	npf_json_real(&json, NULL, 1.0 / 3);
	npf_json_array_end(&json);
	npf_json_bool(&json, "c", true);
	npf_json_string(&json, "d", NULL);
	npf_json_object_end(&json);
	npf_json_line(&json);
	npf_json_array(&json, NULL);
	npf_json_array_end(&json);
	fclose(json.out);
	assert_string_equal(text,
			    "{\"a\\\"\\\\\":\"\\u000a\\ufffd\xc3\xa4\\ufffd\\ufffd\\ufffd\","
			    "\"b\":[18446744073709551615,0.333333],\"c\":true,\"d\":null}\n[]");
	free(text);
}

/* Of a path that is too long the end stays, whole characters of it. */
static void long_paths(void **state)
{
	char path[301], shown[NPF_PATH_SHOWN], wanted[NPF_PATH_SHOWN];

	(void)state;
	assert_string_equal(npf_short_path(shown, ""), "");
	assert_string_equal(npf_short_path(shown, "a/b.pcap"), "a/b.pcap");
	memset(path, 'x', sizeof(path) - 1);
	memcpy(path + 290, "/name.pcap", 11);
	assert_string_equal(npf_short_path(shown, path + 300 - 103), path + 300 - 103);
	memcpy(wanted, "...", 3);
	memcpy(wanted + 3, path + 200, 101);
	assert_string_equal(npf_short_path(shown, path + 300 - 104), wanted);
	assert_string_equal(npf_short_path(shown, path), wanted);
	memcpy(path + 199, "\xc3\xa4", 2);
	memcpy(wanted + 3, path + 201, 100);
	assert_string_equal(npf_short_path(shown, path), wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(numbers),
		cmocka_unit_test(counts),
		cmocka_unit_test(durations),
		cmocka_unit_test(hooks),
		cmocka_unit_test(words),
		cmocka_unit_test(readable_numbers),
		cmocka_unit_test(clean_text),
		cmocka_unit_test(json_text),
		cmocka_unit_test(long_paths),
	};

	return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}
