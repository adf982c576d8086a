/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances of one process whose filters are asked together (tcx: the head of their chain): each takes
 * and counts what it would alone, whatever else is asked of one of them, and so do those of a fork.
 * The other hooks are held to the same.
 */
#include "netns/wire.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "expression/expression.h"
#include "filter/filter.h"
#include "host/linux/chain.h"
#include "lib/testdata.h"

#define SIZE        100u
#define FEW         20u
#define BUFFER      (1u << 20)
#define TCX_INGRESS 46
#define TCX_EGRESS  47

/* The first program at a place answers for those behind it, and the verifier looked at it briefly. */
static bool has_head_at(const char *adapter, int place)
{
	struct bpf_prog_info info = { 0 };
	uint32_t ids[8], size = sizeof(info);
	LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids, .prog_cnt = N_OF(ids));
	bool is_head;
	int fd;

	assert_int_equal(bpf_prog_query_opts((int)if_nametoindex(adapter),
					     (enum bpf_attach_type)place, &query),
			 0);
	assert_true(query.prog_cnt > 0);
	fd = bpf_prog_get_fd_by_id(ids[0]);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	close(fd);
	is_head = !strcmp(info.name, "npf_head");
	if (is_head)
		assert_in_range(info.verified_insns, 1, NPF_CHAIN_HEAD_VERIFIED);
	return is_head;
}

static bool has_head_on(const char *adapter)
{
	return has_head_at(adapter, TCX_INGRESS);
}

static void expect_head(const struct wire *wire, bool there)
{
	if (wire->hook == NPF_HOOK_TCX)
		assert_int_equal(has_head_on("va"), there);
}

/* ---- as each alone --------------------------------------------------------------------------- */

static const char *const expressions[] = {
	"tcp port 80",
	"udp port 53",
	"host 10.0.0.1",
	"net 10.0.0.0/30 and not tcp",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"ip6 and udp",
	"arp",
	"greater 100 and icmp",
	"portrange 20-25",
	"ether[20] & 0x11 = 0x11",
	"tcp[((tcp[12:1] & 0xf0) >> 2)] = 1",
	/* What is beside the packet: */
	"vlan and ip",
	"inbound and ether proto 0x88b5",
};
#define BESIDE 2u

struct many {
	struct wire *wire;
	uint64_t seed;
	uint32_t n;
	struct npf_compiled compiled[N_OF(expressions)];
	struct npf_instance *instances[N_OF(expressions)];
	uint64_t captured[N_OF(expressions)];
	uint64_t received, nobody; /* frames that came, and that none took */
	uint32_t n_frames;
	struct {
		uint32_t size;
		uint8_t data[1514];
	} frames[64]; /* sent, and not looked at yet */
};

static uint32_t draw(struct many *many, uint32_t below)
{
	many->seed = many->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((many->seed >> 33) % below);
}

static void open_many(struct many *many, struct wire *wire, uint32_t n)
{
	char error[NPF_ERROR_SIZE];

	many->wire = wire;
	npf_close(wire->instance);
	wire->instance = NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (npf_expression_compile(expressions[i], 1 /* Ethernet */, NPF_SNAPLEN_MAX,
					   &many->compiled[i], error))
			fail_msg("%s: %s", expressions[i], error);
		many->instances[i] = wire_open(wire, "va");
		assert_int_equal(npf_set_buffer(many->instances[i], BUFFER), 0);
		assert_int_equal(npf_set_hw_filter(many->instances[i], NPF_FILTER_PROMISCUOUS), 0);
		assert_int_equal(npf_set_filter(many->instances[i], &many->compiled[i].program), 0);
		assert_int_equal(npf_set_timeout(many->instances[i], -1), 0);
		many->n++;
	}
}

/* As the kernel brings it: a tag is beside the packet. */
static bool takes(const struct npf_program *program, const uint8_t *data, uint32_t size)
{
	uint8_t copy[1514];
	struct npf_frame frame = {
		.length = size,
		.wire_length = size,
		.protocol = (uint32_t)data[12] << 8 | data[13],
		.ifindex = if_nametoindex("va"),
		.hatype = 1,
	};

	memcpy(copy, data, size);
	if (frame.protocol == 0x8100) {
		frame.tagged = 1;
		frame.tag_tpid = 0x8100;
		frame.tag_tci = (uint16_t)(data[14] << 8 | data[15]);
		frame.protocol = (uint32_t)data[16] << 8 | data[17];
		frame.length -= NPF_TAG_SIZE;
		memmove(copy + 12, copy + 16, size - 16);
	}
	return npf_filter_run(program, &frame, copy);
}

static void look(struct many *many, uint32_t i)
{
	struct records records;

	wire_received(many->instances[i], many->received);
	records = wire_read(many->wire, many->instances[i]);
	for (uint32_t k = 0; k < many->n_frames; k++) {
		const uint8_t *data = many->frames[k].data;
		uint32_t size = many->frames[k].size;

		if (!takes(&many->compiled[i].program, data, size))
			continue;
		many->captured[i]++;
		if (!records_next(&records))
			fail_msg("%s: a frame of %u bytes is missing", expressions[i], size);
		assert_int_equal(records.hdr.datalen, size);
		assert_memory_equal(records.data, data, records.hdr.caplen);
	}
	if (records_next(&records))
		fail_msg("%s: a frame of %u bytes is too much", expressions[i], records.hdr.datalen);
	assert_int_equal(wire_stats(many->instances[i]).captured, many->captured[i]);
	assert_int_equal(wire_stats(many->instances[i]).filtered,
			 many->received - many->captured[i]);
}

static void look_at_all(struct many *many)
{
	many->received += many->n_frames;
	for (uint32_t i = 0; i < many->n; i++)
		look(many, i);
	for (uint32_t k = 0; k < many->n_frames; k++) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < many->n; i++)
			n += takes(&many->compiled[i].program, many->frames[k].data,
				   many->frames[k].size);
		many->nobody += !n;
	}
	many->n_frames = 0;
}

static void send_one(struct many *many, const uint8_t *data, uint32_t size)
{
	if (many->n_frames == N_OF(many->frames))
		look_at_all(many);
	many->frames[many->n_frames].size = size;
	memcpy(many->frames[many->n_frames++].data, data, size);
	net_send(many->wire->far, data, size);
}

/* Often something that one of the filters asks for, and cut anywhere. */
static void send_random(struct many *many)
{
	static const uint16_t types[] = { 0x0800, 0x0800, 0x0800, 0x86DD, 0x0806, 0x8100, 0x88B5 };
	static const uint8_t protocols[] = { 6, 17, 1, 47 }, ports[] = { 80, 53, 22, 19, 26 };
	uint16_t type = types[draw(many, N_OF(types))];
	uint32_t size = 60 + draw(many, 3) * draw(many, 80), at = 14;
	uint8_t data[256];

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)draw(many, 2 + draw(many, 2) * 18);
	memcpy(data, net_va_address, 6);
	data[12] = (uint8_t)(type >> 8);
	data[13] = (uint8_t)type;
	if (type == 0x8100) {
		data[16] = 0x08;
		data[17] = 0;
		at = 18;
	}
	if (type == 0x86DD) {
		data[at + 6] = protocols[draw(many, N_OF(protocols))];
		data[at + 40] = 0;
		data[at + 41] = ports[draw(many, N_OF(ports))];
	} else {
		data[at] = (uint8_t)(0x45 + draw(many, 5) / 4);
		data[at + 6] = (uint8_t)(draw(many, 5) ? 0 : 0x20);
		data[at + 7] = (uint8_t)(draw(many, 5) ? 0 : 1);
		data[at + 9] = protocols[draw(many, N_OF(protocols))];
		data[at + 12] = data[at + 16] = 10;
		data[at + 13] = data[at + 14] = data[at + 17] = data[at + 18] = 0;
		data[at + 20] = data[at + 22] = 0;
		data[at + 21] = ports[draw(many, N_OF(ports))];
		data[at + 23] = ports[draw(many, N_OF(ports))];
	}
	if (!draw(many, 4) && type != 0x8100)
		size = 14 + draw(many, 46);
	send_one(many, data, size);
}

static uint32_t word_at(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

#define FROM_A_TRACE 200u

/* Frames of a savefile of this machine's byte order, Ethernet. */
static void send_trace(struct many *many, const char *path)
{
	uint8_t head[24], record[16], data[1514];
	FILE *file = fopen(path, "r");
	uint32_t size;

	if (!file)
		return;
	if (fread(head, sizeof(head), 1, file) == 1 && word_at(head) == 0xA1B2C3D4 &&
	    word_at(head + 20) == 1) {
		for (uint32_t i = 0; i < FROM_A_TRACE; i++) {
			if (fread(record, sizeof(record), 1, file) != 1)
				break;
			size = word_at(record + 8);
			if (size < 26 || size > sizeof(data) || fread(data, size, 1, file) != 1)
				break;
			send_one(many, data, size);
		}
	}
	fclose(file);
}

static void send_traces(struct many *many)
{
	char path[TESTDATA_PATH], name[TESTDATA_PATH + 300];
	struct dirent *entry;
	DIR *folder;

	if (!testdata_path(path, "pcaps/zeek"))
		return;
	folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		send_trace(many, name);
	}
	closedir(folder);
}

static void run_many(struct wire *wire, uint32_t n)
{
	struct many *many = calloc(1, sizeof(*many));

	assert_non_null(many);
	many->seed = 0x4EAD;
	wire_one_cpu();
	open_many(many, wire, n);
	expect_head(many->wire, true);
	for (uint32_t i = 0; i < 1500; i++)
		send_random(many);
	send_traces(many);
	look_at_all(many);
	expect_head(many->wire, true);
	print_message("    %llu frames, %llu for nobody\n", (unsigned long long)many->received,
		      (unsigned long long)many->nobody);
	assert_true(many->nobody > 100);
	for (uint32_t i = 0; i < many->n; i++) {
		if (!many->captured[i])
			fail_msg("%s: no frame", expressions[i]);
		npf_close(many->instances[i]);
		npf_expression_free(&many->compiled[i]);
	}
	free(many);
}

static void as_each_alone(void **state)
{
	run_many(wire_of(state), N_OF(expressions));
}

static void of_bytes_alone(void **state)
{
	run_many(wire_of(state), N_OF(expressions) - BESIDE);
}

/* ---- what a head must make way for ------------------------------------------------------------ */

/* Two instances: of 20 frames one takes the ten that are odd, the other every fourth. */
struct pair {
	struct wire *wire;
	struct npf_instance *odd, *fourth;
};

static struct npf_instance *open_one(struct wire *wire, const struct npf_program *program)
{
	struct npf_instance *instance = wire_open(wire, "va");

	assert_int_equal(npf_set_buffer(instance, BUFFER), 0);
	assert_int_equal(npf_set_timeout(instance, -1), 0);
	assert_int_equal(npf_set_filter(instance, program), 0);
	return instance;
}

static struct pair open_pair(void **state)
{
	struct pair pair = { .wire = wire_of(state) };

	npf_close(pair.wire->instance);
	pair.wire->instance = NULL;
	pair.odd = open_one(pair.wire, &wire_odd);
	pair.fourth = open_one(pair.wire, &wire_fourth);
	return pair;
}

/* Since the last reset. */
static void expect(struct npf_instance *instance, uint64_t received, uint64_t captured)
{
	wire_received(instance, received);
	assert_int_equal(wire_stats(instance).captured, captured);
	assert_int_equal(wire_stats(instance).filtered, received - captured);
}

static void send_to_pair(const struct pair *pair)
{
	assert_int_equal(npf_set_filter(pair->odd, &wire_odd), 0);
	assert_int_equal(npf_set_filter(pair->fourth, &wire_fourth), 0);
	wire_send_plain(pair->wire, 0, FEW, SIZE);
	expect(pair->odd, FEW, FEW / 2);
	expect(pair->fourth, FEW, FEW / 4);
}

static void close_pair(const struct pair *pair)
{
	npf_close(pair->odd);
	npf_close(pair->fourth);
}

/* Who has no filter, and filters that come and go. */
static void others_without(void **state)
{
	const struct npf_insn all_insns[] = { INSN_RET(0xFFFFFFFF) };
	const struct npf_program all = PROGRAM(all_insns);
	struct pair pair = open_pair(state);
	struct npf_instance *third;

	send_to_pair(&pair);
	expect_head(pair.wire, true);
	third = wire_open(pair.wire, "va");
	expect_head(pair.wire, false);
	send_to_pair(&pair);
	wire_received(third, FEW);
	assert_int_equal(npf_set_filter(third, &wire_odd), 0);
	expect_head(pair.wire, true);
	send_to_pair(&pair);
	wire_received(third, FEW);
	assert_int_equal(npf_set_filter(third, &all), 0);
	expect_head(pair.wire, false);
	send_to_pair(&pair);
	npf_close(third);
	expect_head(pair.wire, true);
	send_to_pair(&pair);
	npf_close(pair.odd);
	expect_head(pair.wire, false);
	assert_int_equal(npf_set_filter(pair.fourth, &wire_fourth), 0);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.fourth, FEW, FEW / 4);
	npf_close(pair.fourth);
}

static void statistics(void **state)
{
	const struct npf_class classes[] = { { .name = "odd", .program = wire_odd },
					     { .name = "all" } };
	struct pair pair = open_pair(state);
	struct npf_class_stats counted[2];
	uint32_t n = N_OF(counted);
	uint64_t time;

	assert_int_equal(npf_set_mode(pair.odd, NPF_MODE_STAT), 0);
	expect_head(pair.wire, true);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.fourth, FEW, FEW / 4);
	wire_received(pair.odd, FEW);
	assert_int_equal(npf_set_classes(pair.odd, classes, N_OF(classes)), 0);
	expect_head(pair.wire, false);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.fourth, 2 * FEW, FEW / 2);
	WIRE_UNTIL(!npf_get_class_stats(pair.odd, counted, &n, &time) && counted[1].packets >= FEW);
	assert_int_equal(n, N_OF(counted));
	assert_int_equal(counted[0].packets, FEW / 2);
	assert_int_equal(counted[1].packets, FEW);
	assert_int_equal(npf_set_classes(pair.odd, NULL, 0), 0);
	assert_int_equal(npf_set_mode(pair.odd, NPF_MODE_CAPT), 0);
	send_to_pair(&pair);
	expect_head(pair.wire, true);
	close_pair(&pair);
}

/* One takes all for a while, with its filter in place. */
static void unfiltered(void **state)
{
	struct pair pair = open_pair(state);

	assert_int_equal(npf_pass_unfiltered(pair.odd, 40, NULL), 0);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.odd, FEW, FEW);
	expect(pair.fourth, FEW, FEW / 4);
	assert_int_equal(npf_pass_unfiltered(pair.odd, 0, NULL), 0);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.odd, 2 * FEW, FEW + FEW / 2);
	expect(pair.fourth, 2 * FEW, FEW / 2);
	close_pair(&pair);
}

static void sets(void **state)
{
	const struct npf_port_range ports[] = { { 80, 80 } };
	const struct npf_set set = { .n_ports = N_OF(ports), .ports = ports };
	struct pair pair = open_pair(state);

	assert_int_equal(npf_set_sets(pair.odd, &set, 1), 0);
	expect_head(pair.wire, false);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.fourth, FEW, FEW / 4);
	wire_received(pair.odd, FEW);
	assert_int_equal(wire_stats(pair.odd).captured, 0);
	assert_int_equal(npf_set_sets(pair.odd, NULL, 0), 0);
	send_to_pair(&pair);
	expect_head(pair.wire, true);
	close_pair(&pair);
}

/* Who takes only some kinds of frames counts only these, and own sends that are hidden are none. */
static void kinds_of_frames(void **state)
{
	const uint32_t hide = NPF_DISABLE_LOOPBACK;
	struct pair pair = open_pair(state);
	uint8_t frame[SIZE];

	assert_int_equal(npf_set_hw_filter(pair.odd, NPF_FILTER_PROMISCUOUS), 0);
	assert_int_equal(npf_set_hw_filter(pair.fourth, NPF_FILTER_DIRECTED), 0);
	send_to_pair(&pair);
	wire_frame(2, frame, SIZE);
	frame[5] ^= 0x55; /* to another station */
	for (uint32_t i = 0; i < 3; i++)
		net_send(pair.wire->far, frame, SIZE);
	expect(pair.odd, FEW + 3, FEW / 2);
	expect(pair.fourth, FEW, FEW / 4);

	assert_int_equal(npf_set_hw_filter(pair.fourth, NPF_FILTER_PROMISCUOUS), 0);
	send_to_pair(&pair);
	assert_int_equal(npf_write(pair.odd, frame, SIZE), SIZE);
	expect(pair.odd, FEW + 1, FEW / 2);
	expect(pair.fourth, FEW + 1, FEW / 4);
	assert_int_equal(npf_io_control(pair.odd, NPF_BIOCISETLOBBEH, &hide, sizeof(hide), NULL, 0,
					NULL),
			 0);
	send_to_pair(&pair);
	assert_int_equal(npf_write(pair.odd, frame, SIZE), SIZE);
	expect(pair.fourth, FEW + 1, FEW / 4);
	expect(pair.odd, FEW, FEW / 2);
	close_pair(&pair);
}

/* A filter that is too long, or refused, to be asked with others. */
static void too_long(void **state)
{
	struct npf_insn insns[602];
	const struct npf_program program = { .length = N_OF(insns), .insns = insns };
	struct pair pair = open_pair(state);

	insns[0] = (struct npf_insn)INSN_LD_B(FRAME_NUMBER_AT + 3);
	for (uint32_t i = 1; i <= 600; i++)
		insns[i] = (struct npf_insn){ .code = 0x04,
					      .k = 2 }; /* add: stays as odd as it is */
	insns[601] = (struct npf_insn){ .code = 0x16 }; /* ret a */
	assert_int_equal(npf_set_filter(pair.odd, &program), 0);
	expect_head(pair.wire, false);
	assert_int_equal(npf_set_filter(pair.fourth, &wire_fourth), 0);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.fourth, FEW, FEW / 4);
	wire_received(pair.odd, FEW);
	send_to_pair(&pair);
	expect_head(pair.wire, true);
	close_pair(&pair);
}

/* ---- what a head would cost ------------------------------------------------------------------- */

#define LEVELS 6u

struct crowd {
	struct wire *wire;
	uint32_t n;
	struct npf_instance *instances[NPF_CHAIN_HEAD_MOST + 1];
};

/* The i-th of filters that are short and multiply the verifier's ways:
 * each knows a little more of a byte, and the last of a byte reads where that is. */
static void put_dear(struct npf_instance *instance, uint32_t i)
{
	const uint32_t byte = i % (NPF_CHAIN_HEAD_MOST / 3), level = i / (NPF_CHAIN_HEAD_MOST / 3);
	const struct npf_insn knows[] = {
		{ .code = 0xb1, .k = 14 + byte }, /* ldxb 4 * (p[k] & 15) */
		{ .code = 0x87 },                 /* txa */
		{ .code = 0x25, .jf = 1, .k = (9 - level) * LEVELS },
		INSN_RET(0xFFFFFFFF),
		INSN_RET(0),
	};
	const struct npf_insn reads[] = {
		{ .code = 0xb1, .k = 14 + byte },
		{ .code = 0x50, .k = 20 }, /* ldb p[x + k] */
		INSN_JEQ(7 + i, 0, 1),
		INSN_RET(0xFFFFFFFF),
		INSN_RET(0),
	};
	const struct npf_program knowing = PROGRAM(knows), reading = PROGRAM(reads);
	bool is_last = i + LEVELS >= NPF_CHAIN_HEAD_MOST;

	assert_int_equal(npf_set_filter(instance, is_last ? &reading : &knowing), 0);
}

static void open_crowd(struct crowd *crowd, void **state)
{
	crowd->wire = wire_of(state);
	if (crowd->wire->hook != NPF_HOOK_TCX) {
		printf("about tcx alone\n");
		skip();
	}
	npf_close(crowd->wire->instance);
	crowd->wire->instance = NULL;
}

static void add_to(struct crowd *crowd, const struct npf_program *program)
{
	struct npf_instance *instance = wire_open(crowd->wire, "va");

	crowd->instances[crowd->n++] = instance;
	if (program)
		assert_int_equal(npf_set_filter(instance, program), 0);
}

static void close_down_to(struct crowd *crowd, uint32_t n)
{
	while (crowd->n > n)
		npf_close(crowd->instances[--crowd->n]);
}

static void many_members(void **state)
{
	struct crowd crowd = { 0 };

	open_crowd(&crowd, state);
	while (crowd.n < NPF_CHAIN_HEAD_MOST)
		add_to(&crowd, crowd.n % 2 ? &wire_odd : &wire_fourth);
	expect_head(crowd.wire, true);
	add_to(&crowd, &wire_fourth);
	expect_head(crowd.wire, false);
	close_down_to(&crowd, NPF_CHAIN_HEAD_MOST);
	expect_head(crowd.wire, true);
	close_down_to(&crowd, 0);
}

/* Once it was, nothing is loaded anew with each change, until half have gone. */
static void too_dear(void **state)
{
	struct crowd crowd = { 0 };

	open_crowd(&crowd, state);
	while (crowd.n < NPF_CHAIN_HEAD_MOST) {
		add_to(&crowd, NULL);
		put_dear(crowd.instances[crowd.n - 1], crowd.n - 1);
		if (crowd.n == 4)
			expect_head(crowd.wire, true);
		else if (crowd.n > 1)
			has_head_on("va");
	}
	expect_head(crowd.wire, false);
	for (uint32_t i = 0; i < crowd.n; i++)
		assert_int_equal(npf_set_filter(crowd.instances[i], &wire_fourth), 0);
	expect_head(crowd.wire, false);
	close_down_to(&crowd, NPF_CHAIN_HEAD_MOST / 2 + 1);
	expect_head(crowd.wire, false);
	close_down_to(&crowd, 2);
	expect_head(crowd.wire, true);
	close_down_to(&crowd, 0);
}

/* ---- adapters that change --------------------------------------------------------------------- */

#define OTHER_TYPE 803 /* ARPHRD_IEEE80211_RADIOTAP */

static struct npf_instance *open_typed(struct wire *wire, uint32_t type)
{
	const struct npf_insn insns[] = {
		{ .code = 0x28, .k = 12 }, /* ldh p[k] */
		INSN_JEQ(NET_ETHERTYPE, 0, 3),
		{ .code = 0x20, .k = NPF_AD_HATYPE }, /* ld */
		INSN_JEQ(type, 0, 1),
		INSN_RET(0xFFFFFFFF),
		INSN_RET(0),
	};
	const struct npf_program program = { .length = N_OF(insns),
					     .insns = insns,
					     .dialect = NPF_DIALECT_LINUX };
	struct npf_instance *instance = wire_open(wire, "tap0");

	assert_int_equal(npf_set_hw_filter(instance, NPF_FILTER_PROMISCUOUS), 0);
	assert_int_equal(npf_set_buffer(instance, BUFFER), 0);
	assert_int_equal(npf_set_filter(instance, &program), 0);
	return instance;
}

static void expect_captured(struct npf_instance *instance, uint64_t n)
{
	WIRE_UNTIL(wire_stats(instance).captured >= n);
	assert_int_equal(wire_stats(instance).captured, n);
}

/* Each goes by the type that the adapter had when its tap was made. */
static void other_type(void **state)
{
	struct wire *wire = wire_of(state);
	struct npf_instance *before, *same, *after;
	uint8_t frame[SIZE];
	int tap;

	if (wire->hook != NPF_HOOK_TCX || !net_has_tun()) {
		printf("about tcx and tun alone\n");
		skip();
	}
	tap = net_tun(&wire->net, NET_HERE, "tap0", IFF_TAP | IFF_NO_PI);
	wire_frame(0, frame, SIZE);
	before = open_typed(wire, 1);
	same = open_typed(wire, 1);
	assert_true(has_head_on("tap0"));
	npf_close(same);
	net_run(&wire->net, NET_HERE, "ip link set tap0 down");
	assert_int_equal(ioctl(tap, TUNSETLINK, OTHER_TYPE), 0);
	net_run(&wire->net, NET_HERE, "ip link set tap0 up");
	after = open_typed(wire, OTHER_TYPE);
	assert_false(has_head_on("tap0"));
	assert_int_equal(write(tap, frame, SIZE), SIZE);
	expect_captured(before, 1);
	expect_captured(after, 1);
	npf_close(after);
	npf_close(before);
	close(tap);
}

/* ---- what fails ------------------------------------------------------------------------------- */

#define MOST_FDS 1024u

static void limit_fds(rlim_t n)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Set a filter with n descriptors free. */
static int set_filter_with(struct npf_instance *instance, const struct npf_program *program,
			   uint32_t n)
{
	int fds[MOST_FDS], err;
	uint32_t taken = 0;

	while ((fds[taken] = dup(STDOUT_FILENO)) >= 0)
		assert_true(++taken < MOST_FDS);
	assert_true(taken > n);
	for (uint32_t i = 0; i < n; i++)
		close(fds[--taken]);
	err = npf_set_filter(instance, program);
	while (taken)
		close(fds[--taken]);
	return err;
}

/* Nobody answers for a filter whose exchange failed amid, before another is in place. */
static void fails(void **state)
{
	struct pair pair = open_pair(state);
	bool amid = false;
	struct rlimit before;

	if (pair.wire->hook != NPF_HOOK_TCX) {
		close_pair(&pair);
		printf("not on this hook\n");
		skip();
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit_fds(MOST_FDS / 2);
	for (uint32_t n = 0; set_filter_with(pair.odd, &wire_fourth, n); n++) {
		assert_int_equal(npf_set_filter(pair.fourth, &wire_fourth), 0);
		amid |= has_head_on("va") != has_head_at("va", TCX_EGRESS);
		wire_send_plain(pair.wire, 0, FEW, SIZE);
		expect(pair.odd, (n + 1) * FEW, (n + 1) * FEW / 2);
		expect(pair.fourth, FEW, FEW / 4);
	}
	limit_fds(before.rlim_cur);
	assert_true(amid);
	send_to_pair(&pair);
	expect_head(pair.wire, true);
	close_pair(&pair);
}

/* ---- forks ------------------------------------------------------------------------------------ */

/* The other process takes another filter for one, which must hold for both at once. */
static void in_a_fork(void **state)
{
	struct pair pair = open_pair(state);
	int status;
	pid_t pid;

	if (pair.wire->hook == NPF_HOOK_TPACKET) {
		close_pair(&pair);
		printf("not on this hook\n");
		skip();
	}
	send_to_pair(&pair);
	expect_head(pair.wire, true);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (npf_set_filter(pair.odd, &wire_fourth))
			_exit(1);
		close_pair(&pair);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_head(pair.wire, false);
	wire_send_plain(pair.wire, 0, FEW, SIZE);
	expect(pair.odd, 2 * FEW, FEW / 2 + FEW / 4);
	expect(pair.fourth, 2 * FEW, FEW / 2);
	send_to_pair(&pair);
	expect_head(pair.wire, false);
	close_pair(&pair);
}

int main(void)
{
	static const struct wire_test tests[] = {
		{ "as each alone", as_each_alone },
		{ "as each alone, of bytes alone", of_bytes_alone },
		{ "others without a filter", others_without },
		{ "statistics", statistics },
		{ "unfiltered for a while", unfiltered },
		{ "sets", sets },
		{ "kinds of frames", kinds_of_frames },
		{ "too long", too_long },
		{ "many members", many_members },
		{ "too dear", too_dear },
		{ "another type of adapter", other_type },
		{ "fails", fails },
		{ "in a fork", in_a_fork },
	};

	return wire_run("chain_head", tests, N_OF(tests), N_OF(wire_hooks));
}
