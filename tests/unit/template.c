/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Templates: fields from packet to packet, and checksums that fit them. Checksums are compared with
 * those of packets that other stacks made.
 */
#include "lib/check.h"

#include "../../tools/npf/send/checksum.h"
#include "../../tools/npf/send/hex.h"
#include "../../tools/npf/send/template.h"

#define LINK_ETHERNET 1u
#define LINK_RAW      101u

static void add(struct npf_template *template, const char *text)
{
	char error[NPF_ERROR_SIZE];

	if (npf_template_add(template, text, error))
		fail_msg("%s", error);
}

static void counters(void **state)
{
	struct npf_template template = { 0 };
	uint8_t frame[16] = { 0 };

	(void)state;
	add(&template, "0:4=counter:10.0.0.254");
	add(&template, "4:2=counter:65534+3");
	add(&template, "6:1=counter:1-3");
	add(&template, "7:6=counter:02:00:00:00:00:01-02:00:00:00:00:ff+0x10");
	for (uint32_t i = 0; i < 40; i++) {
		const uint8_t wanted[] = {
			10,
			0,
			(uint8_t)((254 + i) >> 8),
			(uint8_t)(254 + i),
			0xFF,
			0xFE,
			(uint8_t)(1 + i % 3),
			2,
			0,
			0,
			0,
			0,
			(uint8_t)(1 + i % 16 * 16),
			0,
		};

		npf_template_apply(&template, frame);
		assert_memory_equal(frame, wanted, sizeof(wanted));
	}
	assert_true(npf_template_varies(&template));
}

static void fixed_values(void **state)
{
	static const uint8_t wanted[] = { 2, 0, 0, 0, 0xAB, 1, 192, 0, 2, 7, 0x12, 0x34, 255, 9 };
	struct npf_template template = { 0 };
	uint8_t frame[14] = { [13] = 9 };

	(void)state;
	add(&template, "0:6=02:00:00:00:ab:01");
	add(&template, "6:4=192.0.2.7");
	add(&template, "0xA:2=0x1234");
	add(&template, "12:1=255");
	npf_template_apply(&template, frame);
	assert_memory_equal(frame, wanted, sizeof(wanted));
	assert_false(npf_template_varies(&template));
}

/* Of two for the same byte the later. */
static void overlaps(void **state)
{
	struct npf_template template = { 0 };
	uint8_t frame[3] = { 0 };

	(void)state;
	add(&template, "0:2=0x0102");
	add(&template, "1:2=0x0304");
	npf_template_apply(&template, frame);
	assert_memory_equal(frame, ((const uint8_t[]){ 1, 3, 4 }), sizeof(frame));
}

/* Numbers are decimal whatever zeros they begin with. */
static void leading_zeros(void **state)
{
	struct npf_template template = { 0 };
	uint8_t frame[14] = { 0 };

	(void)state;
	add(&template, "010:1=0xAA");
	add(&template, "08:02=010");
	add(&template, "0x0b:1=0x0BB");
	npf_template_apply(&template, frame);
	assert_memory_equal(frame,
			    ((const uint8_t[]){ [9] = 10, [10] = 0xAA, [11] = 0xBB, [13] = 0 }),
			    sizeof(frame));
	assert_int_equal(template.fields[1].length, 2);
}

/* All values of a small range come, none beside it; the same seed makes the same packets. */
static void random_values(void **state)
{
	struct npf_template one = { .random = 7 }, same = { .random = 7 }, other = { .random = 8 };
	uint8_t a[20] = { 0 }, b[20] = { 0 }, c[20] = { 0 };
	bool seen[256] = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct npf_template *template = i == 0 ? &one : i == 1 ? &same : &other;

		add(template, "1:1=random:5-8");
		add(template, "3:13=random");
	}
	for (int i = 0; i < 1000; i++) {
		npf_template_apply(&one, a);
		npf_template_apply(&same, b);
		npf_template_apply(&other, c);
		assert_memory_equal(a, b, sizeof(a));
		assert_memory_not_equal(a, c, sizeof(a));
		seen[a[1]] = true;
		assert_true(!a[0] && !a[2] && !a[16]);
	}
	for (unsigned int i = 0; i < 256; i++)
		assert_int_equal(seen[i], i >= 5 && i <= 8);
}

static void mistakes(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"1:2",
		"1:0=1",
		"1:2=",
		"-1:2=1",
		"1:2=x",
		"1:2=65536",
		"1:1=256",
		"1:2=counter",
		"1:2=counter:",
		"1:2=counter:5-4",
		"1:2=counter:1+0",
		"1:2=counter:1-2-3",
		"1:2=random:5",
		"1:2=randomly",
		"1:9=1",
		"1:9=counter:1",
		"1:3=10.0.0.1",
		"1:4=10.0.0.256",
		"1:6=02:00:00:00:00",
		"1:6=02:00:00:00:00:00:00",
		"1:6=02:00:00:00:00:",
		"1:6=-1:0:0:0:0:0",
		"1:6= 1:0:0:0:0:0",
		"1:6=02:00:00:00:00:001",
		"1:6=02:00:00:00:00:0g",
		" 1:2=1",
		"+1:2=1",
		"1 :2=1",
		"0x:2=1",
		"1:0x=1",
		"1:2a=1",
		"65536:1=1",
		"1:2=18446744073709551616",
	};
	struct npf_template template = { 0 };
	char error[NPF_ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (npf_template_add(&template, bad[i], error) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(template.n, 0);
	}
	for (size_t i = 0; i < NPF_TEMPLATE_FIELDS; i++)
		add(&template, "10:2=1");
	assert_int_equal(npf_template_add(&template, "10:2=1", error), -E2BIG);
	assert_int_equal(npf_template_check(&template, 12, error), 0);
	assert_int_equal(npf_template_check(&template, 11, error), -EINVAL);
	assert_string_equal(error, "field 10:2 ends behind the frame, which has 11 bytes");
}

static void mistakes_are_named(void **state)
{
	static const char *const bad[][2] = {
		{ "1:2=counter:5-1", "'5-1' ends before it begins" },
		{ "1:2=counter:5+0", "'+0' is no step" },
		{ "1:2=counter:5-70000", "'70000' is no number that fits" },
		{ "1:2=random:5", "'5' is no range FIRST-LAST" },
		{ "14:9=1", "a field of 9 bytes: '1' fills at most 8 bytes; random fills more" },
		{ "1:4=10.0.0.300", "'10.0.0.300' is no number that fits, nor an IPv4 address" },
		{ "1:6=2:0:0:0:0:0g", "'2:0:0:0:0:0g' is no number that fits, nor an Ethernet" },
		{ "1:1=256", "a field of 1 byte: '256' is no number that fits" },
		{ "1:2=randomly", "'randomly' is no value, counter:FIRST" },
	};
	struct npf_template template = { 0 };
	char error[NPF_ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		assert_int_equal(npf_template_add(&template, bad[i][0], error), -EINVAL);
		if (!strstr(error, bad[i][1]))
			fail_msg("%s", error);
	}
}

/* ---- checksums ------------------------------------------------------------------------------- */

/* Frames with right checksums; where they stand. */
static const struct {
	const char *name;
	uint32_t link_type;
	const char *hex;
	size_t at[2];
} frames[] = {
	{ "UDP",
	  LINK_ETHERNET,
	  "02000000000b02000000000a0800 4500001e0001000040117ccc7f0000017f000001"
	  "0035 0036 000a ef38 1234",
	  { 24, 40 } },
	{ "UDP behind two VLAN tags",
	  LINK_ETHERNET,
	  "02000000000b02000000000a88a80005 81000006 0800 4500001e0001000040117ccc7f0000017f000001"
	  "0035 0036 000a ef38 1234",
	  { 32, 48 } },
	{ "ICMP echo, raw IP",
	  LINK_RAW,
	  "4500001c0001000040017cde7f0000017f000001 0800f7fd00010001",
	  { 10, 22 } },
	{ "ICMPv6 neighbour solicitation",
	  LINK_RAW,
	  "6000000000183afffe80000000000000000000000000000aff0200000000000000000001ff00000b"
	  "870000000000000000000000000000000000000000000000",
	  { 0, 0 } },
};

/* An independent sum: every word, the checksum included, adds up to all ones. */
static bool adds_up(const uint8_t *at, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return sum == 0xFFFF;
}

static size_t read_frame(size_t i, uint8_t *out)
{
	char error[NPF_ERROR_SIZE];
	int64_t n = npf_hex_parse(frames[i].hex, out, 256, error);

	if (n < 0)
		fail_msg("%s: %s", frames[i].name, error);
	return (size_t)n;
}

static void checksums_are_put_right(void **state)
{
	uint8_t right[256], frame[256];

	(void)state;
	for (size_t i = 0; i + 1 < N_OF(frames); i++) {
		size_t n = read_frame(i, right);

		memcpy(frame, right, n);
		for (size_t k = 0; k < 2; k++)
			frame[frames[i].at[k]] ^= 0x5A;
		assert_true(npf_checksum_fix(frames[i].link_type, frame, n));
		assert_memory_equal(frame, right, n);
	}
}

static void ipv6_has_a_pseudo_header(void **state)
{
	uint8_t frame[256];
	size_t n = read_frame(N_OF(frames) - 1, frame);
	uint32_t pseudo = 58 + (uint32_t)(n - 40);

	(void)state;
	for (size_t i = 8; i < 40; i++)
		pseudo += i % 2 ? frame[i] : (uint32_t)frame[i] << 8;
	assert_true(npf_checksum_fix(LINK_RAW, frame, n));
	assert_true(adds_up(frame + 40, n - 40, pseudo));
}

/* Every length of every frame: nothing outside is touched, and cut ones are left alone. */
static void cut_frames(void **state)
{
	uint8_t whole[256];

	(void)state;
	for (size_t i = 0; i < N_OF(frames); i++) {
		size_t n = read_frame(i, whole);

		for (size_t size = 0; size < n; size++) {
			uint8_t *cut = malloc(size ? size : 1);

			assert_non_null(cut);
			memcpy(cut, whole, size);
			assert_false(npf_checksum_fix(frames[i].link_type, cut, size));
			free(cut);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters),
		cmocka_unit_test(fixed_values),
		cmocka_unit_test(leading_zeros),
		cmocka_unit_test(random_values),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(checksums_are_put_right),
		cmocka_unit_test(ipv6_has_a_pseudo_header),
		cmocka_unit_test(cut_frames),
	};

	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
