/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes as people paste them, and what is said when they cannot be read.
 */
#include "lib/check.h"

#include "../../tools/npf/send/hex.h"

static const uint8_t bytes[24] = {
	0x45, 0x00, 0x00, 0x54, 0x12, 0x34, 0x40, 0x00, 0x40, 0x01, 0xab, 0xcd,
	0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0x08, 0x00, 0xde, 0xad,
};

static void as_written(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} good[] = {
		{ "45", 1 },
		{ "450000541234", 6 },
		{ "45 00 00 54", 4 },
		{ "45:00:00:54", 4 },
		{ "45-00-00-54", 4 },
		{ "4500 0054\n1234\n", 6 },
		{ "0x45, 0x00, 0x00, 0x54", 4 },
		{ "0x45000054", 4 },
		{ "  45\t00\r\n\r\n00", 3 },
		{ "450000541234400040\n01abcd0a00000\n10a0000020800de ad", 0 },
		/* tcpdump -x and -X */
		{ "\t0x0000:  4500 0054 1234 4000 4001 abcd 0a00 0001\n"
		  "\t0x0010:  0a00 0002 0800 dead\n",
		  24 },
		{ "\t0x0000:  4500 0054 1234 4000 4001 abcd 0a00 0001  E..T.4@.@.......\n"
		  "\t0x0010:  0a00 0002 0800 dead                      ab dead\n",
		  24 },
		/* With the packet's headlines; as -x of npf capture. */
		{ "12:34:56.789012 IP (tos 0x0, ttl 64, proto ICMP (1), length 84)\n"
		  "    10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 64\n"
		  "\t0x0000:  4500 0054 1234 4000 4001 abcd 0a00 0001  E..T.4@.@.......\n"
		  "\t0x0010:  0a00 0002 0800 dead                      ab dead\n",
		  24 },
		/* xxd */
		{ "00000000: 4500 0054 1234 4000 4001 abcd 0a00 0001  E..T.4@.@.......\n"
		  "00000010: 0a00 0002 0800 dead                      ........\n",
		  24 },
		/* xxd -c 8, -c 4 -g 1 */
		{ "00000000: 4500 0054 1234 4000  E..T.4@.\n"
		  "00000008: 4001 abcd 0a00 0001  @.......\r\n"
		  "00000010: 0a00 0002 0800 dead  ab cd ef\n",
		  24 },
		{ "00000000: 4500 0054 1234 4000  E..T.4@.\n"
		  "00000008: 4001 abcd 0a         @....\n",
		  13 },
		{ "00000000: 45 00 00 54  E..T\n00000004: 12 34 40 00  .4@.\n", 8 },
		/* A gap amid the bytes. */
		{ "0000: 45 00 00 54 12 34 40 00  40 01 ab cd 0a 00 00 01\n"
		  "0010: 0a 00 00 02 08 00 de ad\n",
		  24 },
		/* hexdump -C */
		{ "00000000  45 00 00 54 12 34 40 00  40 01 ab cd 0a 00 00 01  |E..T.4@.@.......|\n"
		  "00000010  0a 00 00 02 08 00 de ad                           |........|\n"
		  "00000018\n",
		  24 },
		/* od -A x -t x1z */
		{ "000000 45 00 00 54 12 34 40 00 40 01 ab cd 0a 00 00 01  >E..T.4@.@.......<\n"
		  "000010 0a 00 00 02 08 00 de ad                          >........<\n"
		  "000018\n",
		  24 },
		/* Wireshark */
		{ "0000   45 00 00 54 12 34 40 00 40 01 ab cd 0a 00 00 01   E..T.4@.@.......\n"
		  "0010   0a 00 00 02 08 00 de ad                           ........\n",
		  24 },
	};
	char error[NPF_ERROR_SIZE];
	uint8_t out[64];

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		int64_t n = npf_hex_parse(good[i].text, out, sizeof(out), error);

		if (!good[i].n) {
			assert_int_equal(n, -EINVAL);
			continue;
		}
		if (n < 0)
			fail_msg("%s: %s", good[i].text, error);
		assert_int_equal(n, good[i].n);
		assert_memory_equal(out, bytes, good[i].n);
	}
}

/* Zeros are bytes, not an offset, unless they look like one in every way. */
static void zeros_are_bytes(void **state)
{
	char error[NPF_ERROR_SIZE];
	uint8_t out[16];

	(void)state;
	assert_int_equal(npf_hex_parse("0000 0001 0002", out, 16, error), 6);
	assert_int_equal(npf_hex_parse("00000000 00000001", out, 16, error), 8);
	assert_int_equal(npf_hex_parse("0000 01", out, 16, error), 3);
	assert_int_equal(npf_hex_parse("000000", out, 16, error), 3);
	assert_int_equal(npf_hex_parse("00:01:02:03:04:05", out, 16, error), 6);
	assert_int_equal(npf_hex_parse("0000:0001:0002", out, 16, error), 6);
}

static void mistakes_have_a_place(void **state)
{
	static const struct {
		const char *text, *error;
		int err;
	} bad[] = {
		{ "", "there are no bytes", -EINVAL },
		{ " \n ", "there are no bytes", -EINVAL },
		{ "45 0g", "line 1, column 5: 'g' is not a hexadecimal digit", -EINVAL },
		{ "fffffffffffg", "line 1, column 12: 'g' is not a hexadecimal digit", -EINVAL },
		{ "45 zz", "line 1, column 4: 'z' is not a hexadecimal digit", -EINVAL },
		{ "45 \xe2", "line 1, column 4: not a hexadecimal digit", -EINVAL },
		/* A dump has one headline, and one beginning. */
		{ "4500\n1.2\n0x0000:  4500",
		  "line 3, column 1: the offset is not the number of bytes before it", -EINVAL },
		{ "1.2\n0x0000:  4500\n1.2 IP\n0x0000:  4500",
		  "line 3, column 1: no line of the dump above it; one packet is sent", -EINVAL },
		{ "1.2\n0x0010:  4500", "line 1, column 2: '.' is not a hexadecimal digit",
		  -EINVAL },
		{ "45 00\n00 5", "line 2, column 4: an odd number of digits; a byte has two",
		  -EINVAL },
		{ "0x0000:  4500\n0x0010:  0054",
		  "line 2, column 1: the offset is not the number of bytes before it", -EINVAL },
		{ "45 00 00 54 12 34 40 00 40",
		  "line 1, column 25: more bytes than a frame can have", -EMSGSIZE },
	};
	char error[NPF_ERROR_SIZE];
	uint8_t out[8];

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		assert_int_equal(npf_hex_parse(bad[i].text, out, sizeof(out), error), bad[i].err);
		assert_string_equal(error, bad[i].error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_written),
		cmocka_unit_test(zeros_are_bytes),
		cmocka_unit_test(mistakes_have_a_place),
	};

	return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
