/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often a program of the tap is given to the kernel, which takes some milliseconds to verify one: to
 * open a capture, whatever its options, once for each place where packets are tapped, and for a filter
 * once more. Counted in what libbpf asks of the kernel.
 */
#include "wpcap/capture.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "Packet32.h"

/* <linux/bpf.h> and pcap.h have each a struct bpf_insn. */
#define PROG_LOAD 5
struct prog_load {
	uint32_t type;
	uint32_t n_insns;
};

#define ARGUMENTS   6
#define LEAST_OF_IT 1000u /* instructions of the tap; what else is loaded is short */
#define MOST_PLACES 2u    /* tcx: on its way in and out */

static unsigned int loads;

/* Stands before the C library's. */
long syscall(long number, ...)
{
	static long (*next)(long number, ...);
	long argument[ARGUMENTS];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < ARGUMENTS; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf && argument[0] == PROG_LOAD &&
	    ((const struct prog_load *)argument[1])->n_insns >= LEAST_OF_IT)
		loads++;
	return next(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		    argument[5]);
}

static unsigned int loads_since(unsigned int *before)
{
	unsigned int n = loads - *before;

	*before = loads;
	return n;
}

static LPADAPTER open_adapter(int bytes)
{
	LPADAPTER adapter = bytes ? PacketOpenAdapterBuffered((PCHAR) "va", bytes)
				  : PacketOpenAdapter((PCHAR) "va");

	if (!adapter)
		fail_msg("%s", PacketGetErrorText(NULL));
	return adapter;
}

/* Places where packets are tapped here; 0: the kernel does not run the tap. */
static unsigned int places(void)
{
	unsigned int before = loads;

	PacketCloseAdapter(open_adapter(0));
	return loads - before;
}

static void an_adapter_is_opened_by_one_load(void **in)
{
	unsigned int n = places(), before = loads;
	LPADAPTER adapter = open_adapter(0);

	(void)in;
	assert_true(n <= MOST_PLACES);
	assert_int_equal(loads_since(&before), n);
	assert_true(PacketSetBuff(adapter, 1 << 20));
	assert_int_equal(loads_since(&before), n);
	PacketCloseAdapter(adapter);
}

static void a_buffer_that_is_there_is_made_once(void **in)
{
	unsigned int n = places(), before = loads;
	LPADAPTER adapter = open_adapter(1 << 20);

	(void)in;
	assert_int_equal(loads_since(&before), n);
	assert_true(PacketSetBuff(adapter, 1 << 20));
	assert_int_equal(loads_since(&before), 0);
	assert_true(PacketSetBuff(adapter, 1 << 21));
	assert_int_equal(loads_since(&before), n);
	PacketCloseAdapter(adapter);
}

static pcap_t *open_with(struct state *state, int snaplen, int buffer)
{
	pcap_t *p = pcap_create("va", state->errbuf);

	assert_non_null(p);
	assert_int_equal(pcap_set_snaplen(p, snaplen), 0);
	assert_int_equal(pcap_set_promisc(p, 1), 0);
	assert_int_equal(pcap_set_timeout(p, 100), 0);
	if (buffer)
		assert_int_equal(pcap_set_buffer_size(p, buffer), 0);
	assert_int_equal(pcap_activate(p), 0);
	return p;
}

static void a_capture_is_opened_by_one_load(void **in)
{
	struct state *state = *in;
	unsigned int n = places(), before = loads;

	for (int buffer = 0; buffer <= 1 << 20; buffer += 1 << 20) {
		for (int snaplen = 68; snaplen < 1000000; snaplen *= 100) {
			pcap_t *p = open_with(state, snaplen, buffer);

			assert_int_equal(loads_since(&before), n);
			pcap_close(p);
		}
	}
}

/* So many bytes of each packet. */
static void expect(struct state *state, uint64_t first, uint64_t n, uint32_t caplen)
{
	const struct net_flood flood = { .side = NET_THERE, .name = "vb", .length = LENGTH };
	struct pcap_pkthdr *header;
	uint8_t frame[LENGTH];

	for (uint64_t i = first; i < first + n; i++) {
		const u_char *data = next_of(state, &header);

		assert_int_equal(header->caplen, caplen);
		assert_int_equal(header->len, LENGTH);
		net_flood_frame(&flood, i, frame);
		assert_memory_equal(data, frame, caplen);
	}
}

static void set_filter(pcap_t *p, const char *expression)
{
	struct bpf_program program;

	assert_int_equal(pcap_compile(p, &program, expression, 1, 0), 0);
	assert_int_equal(pcap_setfilter(p, &program), 0);
	pcap_freecode(&program);
}

/* To keep all, and to go back to what was there, takes none; and each acts. */
static void only_a_new_filter_is_loaded(void **in)
{
	struct state *state = *in;
	unsigned int n = places(), before;
	uint64_t at = 0;

	pcap_close(state->p);
	state->p = open_with(state, 68, 0);
	before = loads;
	for (int round = 0; round < 2; round++) {
		set_filter(state->p, "");
		assert_int_equal(loads_since(&before), 0);
		send_far(state, at, 10);
		expect(state, at, 10, 68);
		set_filter(state->p, "tcp");
		assert_int_equal(loads_since(&before), round ? 0 : n);
		send_far(state, at + 10, 5); /* no TCP */
		set_filter(state->p, "less 10000");
		assert_int_equal(loads_since(&before), n);
		send_far(state, at + 15, 5);
		expect(state, at + 15, 5, 68);
		set_filter(state->p, "tcp");
		assert_int_equal(loads_since(&before), n);
		at += 20;
	}
	/* The last one decides what becomes of those that came before it. */
	set_filter(state->p, "");
	send_far(state, at, 5);
	set_filter(state->p, "tcp");
	assert_int_equal(loads_since(&before), 0);
	set_filter(state->p, "");
	send_far(state, at + 5, 5);
	expect(state, at, 10, 68);
}

static void a_direction_is_a_filter(void **in)
{
	struct state *state = *in;
	unsigned int n = places(), before = loads;

	assert_int_equal(pcap_setdirection(state->p, PCAP_D_OUT), 0);
	assert_int_equal(loads_since(&before), n);
	send_far(state, 0, 5);
	assert_int_equal(pcap_setdirection(state->p, PCAP_D_INOUT), 0);
	assert_int_equal(loads_since(&before), 0);
	send_far(state, 5, 5);
	assert_frames(state, 5, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_adapter_is_opened_by_one_load), TEST(a_buffer_that_is_there_is_made_once),
		TEST(a_capture_is_opened_by_one_load),  TEST(only_a_new_filter_is_loaded),
		TEST(a_direction_is_a_filter),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
