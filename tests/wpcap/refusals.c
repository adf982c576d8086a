/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What WinPcap's additions refuse, in which words, and that a capture goes on after each refusal. What is
 * libpcap's refuses in libpcap's words: errors.c.
 */
#include "wpcap/capture.h"

#include <limits.h>

#include <ntddndis.h>

static void check(pcap_t *p, const char *call, intptr_t result, intptr_t wanted,
		  const char *sentence)
{
	if (result != wanted || !strstr(pcap_geterr(p), sentence))
		fail_msg("%s: %ld: %s", call, (long)result, pcap_geterr(p));
}

#define FAILS(p, call, result, sentence)                                                           \
	check((p), #call, (intptr_t)(call), (intptr_t)(result), (sentence))

static char name[1100];
static pcap_send_queue *queue;

static int group_setup(void **in)
{
	(void)in;
	memset(name, 'n', sizeof(name) - 1);
	queue = pcap_sendqueue_alloc(2 * (16 + LENGTH));
	return !queue;
}

static int group_teardown(void **in)
{
	(void)in;
	pcap_sendqueue_destroy(queue);
	return 0;
}

/* ---- handles that are no live capture on NPF ----------------------------------------------- */

static void refuse_all(pcap_t *p)
{
	const char *live = "live captures only";
	uint32_t filter = 0;
	size_t length = sizeof(filter);
	int size = 0;

	FAILS(p, pcap_setbuff(p, 1 << 20), -1, live);
	FAILS(p, pcap_setuserbuffer(p, 1000), -1, live);
	FAILS(p, pcap_setmintocopy(p, 1000), -1, live);
	FAILS(p, pcap_setmode(p, MODE_STAT), -1, live);
	FAILS(p, pcap_getevent(p), NULL, live);
	FAILS(p, pcap_stats_ex(p, &size), NULL, live);
	FAILS(p, pcap_oid_get_request(p, OID_GEN_LINK_SPEED, &filter, &length), PCAP_ERROR, live);
	FAILS(p, pcap_oid_set_request(p, OID_GEN_LINK_SPEED, &filter, &length), PCAP_ERROR, live);
	FAILS(p, pcap_live_dump(p, name, 0, 0), -1, live);
	FAILS(p, pcap_live_dump_ended(p, 0), -1, live);
	FAILS(p, pcap_sendqueue_transmit(p, queue, 0), 0, live);
	/* This one is for savefiles, too, and may be set before. */
	assert_non_null(pcap_setsampling(p));
}

static void only_live_captures_are_controlled(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_create("va", state->errbuf);

	refuse_all(p);
	/* It is activated as if nothing had happened. */
	assert_int_equal(pcap_activate(p), 0);
	assert_non_null(pcap_getevent(p));
	pcap_close(p);
	p = pcap_open_dead(DLT_EN10MB, 100);
	refuse_all(p);
	pcap_close(p);
	p = pcap_open_live("any", 100, 0, 10, state->errbuf);
	assert_non_null(p);
	refuse_all(p);
	pcap_close(p);
}

/* ---- a live capture ------------------------------------------------------------------------ */

static void goes_on(struct state *state)
{
	send_far(state, 0, 2);
	assert_frames(state, 0, 2);
}

static void settings_are_refused(void **in)
{
	struct state *state = *in;
	pcap_t *p = state->p;

	FAILS(p, pcap_setbuff(p, -1), -1, "must not be negative");
	FAILS(p, pcap_setbuff(p, INT_MAX), -1, "buffer");
	FAILS(p, pcap_setuserbuffer(p, 0), -1, "must be positive");
	FAILS(p, pcap_setuserbuffer(p, -5), -1, "must be positive");
	FAILS(p, pcap_setmintocopy(p, -1), -1, "must not be negative");
	FAILS(p, pcap_setmode(p, MODE_MON), -1, "setting the mode failed");
	assert_in_range(pcap_bufsize(p), 2 << 20, 16 << 20);
	goes_on(state);
}

static void oids_are_refused(void **in)
{
	struct state *state = *in;
	uint8_t data[UINT16_MAX + 1] = { 0 };
	pcap_t *p = state->p;
	size_t length = 4;

	FAILS(p, pcap_oid_get_request(p, 0x12345678, data, &length), -1, "12345678");
	FAILS(p, pcap_oid_set_request(p, OID_GEN_LINK_SPEED, data, &length), -1, "OID");
	FAILS(p, pcap_oid_get_request(p, OID_802_3_CURRENT_ADDRESS, data, &length), -1, "OID");
	assert_int_equal(length, 4);
	length = 0;
	FAILS(p, pcap_oid_get_request(p, OID_GEN_LINK_SPEED, data, &length), -1, "OID");
	length = sizeof(data);
	FAILS(p, pcap_oid_get_request(p, OID_GEN_LINK_SPEED, data, &length), PCAP_ERROR, "bytes");
	goes_on(state);
}

static void dumps_are_refused(void **in)
{
	struct state *state = *in;
	pcap_t *p = state->p;
	char empty[] = "", nowhere[] = "/nonexistent/x", folder[] = "/tmp";

	/* Not for ever, though packets wake it. */
	send_far(state, 0, 1);
	assert_int_equal(pcap_live_dump_ended(p, 1), 0);
	assert_frames(state, 0, 1);
	FAILS(p, pcap_live_dump(p, nowhere, -1, 0), -1, "not negative");
	FAILS(p, pcap_live_dump(p, nowhere, 0, -1), -1, "not negative");
	FAILS(p, pcap_live_dump(p, empty, 0, 0), -1, "empty");
	FAILS(p, pcap_live_dump(p, name, 0, 0), -1, "1023");
	FAILS(p, pcap_live_dump(p, nowhere, 0, 0), -1, "file");
	FAILS(p, pcap_live_dump(p, folder, 0, 0), -1, "file");
	FAILS(p, pcap_live_dump(p, folder, 23, 0), -1, "");
	goes_on(state);
}

static void queues_are_refused(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr header = { .caplen = LENGTH, .len = LENGTH };
	uint8_t frame[LENGTH] = { 0 };
	pcap_t *p = state->p;

	queue->len = 0;
	assert_int_equal(pcap_sendqueue_transmit(p, queue, 0), 0); /* is no failure */
	assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), 0);
	queue->len -= 1;
	FAILS(p, pcap_sendqueue_transmit(p, queue, 0), 0, "sending the queue failed");
	FAILS(p, pcap_sendqueue_transmit(p, queue, 1), 0, "record 1");
	queue->len += 1;
	net_run(&state->net, NET_HERE, "ip link set va down");
	FAILS(p, pcap_sendqueue_transmit(p, queue, 0), 0, "down");
	net_run(&state->net, NET_HERE, "ip link del va");
	FAILS(p, pcap_sendqueue_transmit(p, queue, 0), 0, "gone");
	FAILS(p, pcap_sendqueue_transmit(p, queue, 1), 0, "gone");
}

/* ---- sources ------------------------------------------------------------------------------- */

static void sources_are_refused(void **in)
{
	struct state *state = *in;
	pcap_if_t *devices = NULL;

	assert_null(pcap_open(name, 100, 0, 10, NULL, state->errbuf));
	assert_non_null(strstr(state->errbuf, "too long"));
	assert_int_equal(pcap_findalldevs_ex(name, NULL, &devices, state->errbuf), -1);
	assert_non_null(strstr(state->errbuf, "too long"));
	assert_null(devices);
	assert_null(pcap_open("rpcap://[::1/va", 100, 0, 10, NULL, state->errbuf));
	assert_non_null(strstr(state->errbuf, "bracket"));
	assert_null(pcap_open("file:///nonexistent", 100, 0, 10, NULL, state->errbuf));
	assert_string_equal(state->errbuf, "/nonexistent: No such file or directory");
	net_run(&state->net, NET_HERE, "ip link set va down");
	assert_null(pcap_open("rpcap://va", 100, 0, 10, NULL, state->errbuf));
	assert_non_null(strstr(state->errbuf, "not up"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_live_captures_are_controlled),
		TEST(settings_are_refused),
		TEST(oids_are_refused),
		TEST(dumps_are_refused),
		TEST(queues_are_refused),
		TEST(sources_are_refused),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
