/* SPDX-License-Identifier: BSD-3-Clause */
/* WinPcap's additions: buffers, modes, statistics, OIDs, sampling, send queues, sources, dump. */
#include "wpcap/capture.h"

#include <errno.h>
#include <unistd.h>

#include <ntddndis.h>

/* ---- buffers and modes --------------------------------------------------------------------- */

static void buffers_are_set(void **in)
{
	struct state *state = *in;

	send_far(state, 0, 2);
	assert_int_equal(pcap_setbuff(state->p, 1 << 20), 0);
	assert_int_equal(pcap_bufsize(state->p), 1 << 20);
	send_far(state, 2, 2);
	assert_frames(state, 2, 2);
	assert_int_equal(pcap_setbuff(state->p, -1), -1);
	assert_string_equal(pcap_geterr(state->p), "the size of the buffer must not be negative");
	assert_int_equal(pcap_setuserbuffer(state->p, 100), 0);
	assert_int_equal(pcap_setuserbuffer(state->p, 0), -1);
	assert_int_equal(pcap_setmintocopy(state->p, 100), 0);
	assert_int_equal(pcap_setmintocopy(state->p, -1), -1);
	assert_string_equal(pcap_geterr(state->p), "MinToCopy must not be negative");
	send_far(state, 4, 2);
	assert_frames(state, 4, 2);
}

static void change_buffer(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct state *state = (struct state *)user;

	assert_int_equal(pcap_setbuff(state->p, 1 << 20), 0);
	send_far(state, 10, 5);
	assert_int_equal(pcap_setbuff(state->p, 1 << 16), 0);
	assert_frame(header, data, 0);
}

/* It is readable, whatever buffer it was in, until the next is asked for. */
static void a_packet_at_hand_outlives_its_buffer(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;
	const u_char *data;

	send_far(state, 0, 5);
	assert_int_equal(pcap_loop(state->p, 1, change_buffer, (u_char *)state), 0);
	send_far(state, 5, 2);
	data = next_of(state, &header);
	assert_int_equal(pcap_setbuff(state->p, 1 << 20), 0);
	send_far(state, 0, 5);
	assert_frame(header, data, 5);
	assert_frames(state, 0, 5);
}

/* Statistics, and a capture that fills the buffer. */
static void change_mode(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct state *state = (struct state *)user;

	assert_int_equal(pcap_setmode(state->p, MODE_STAT), 0);
	assert_int_equal(pcap_setmode(state->p, MODE_CAPT), 0);
	send_far(state, 10, 4000);
	assert_int_equal(pcap_setmode(state->p, MODE_STAT), 0);
	assert_frame(header, data, 0);
}

static void a_packet_at_hand_outlives_the_mode(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;
	const u_char *data;
	int result;

	assert_int_equal(pcap_setbuff(state->p, 1 << 16), 0);
	send_far(state, 0, 5);
	assert_int_equal(pcap_loop(state->p, 1, change_mode, (u_char *)state), 0);
	/* Not one of the packets that were not read. */
	while (!(result = pcap_next_ex(state->p, &header, &data)))
		;
	assert_int_equal(result, 1);
	assert_int_equal(header->caplen, 16);
	assert_int_equal(pcap_setmode(state->p, MODE_CAPT), 0);
	send_far(state, 5, 2);
	assert_frames(state, 5, 2);
}

static void begin_dump(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct state *state = (struct state *)user;
	char name[] = "/tmp/npf-wpcap-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(pcap_live_dump(state->p, name, 0, 4), 0);
	send_far(state, 10, 8);
	assert_int_equal(pcap_live_dump_ended(state->p, 1), 1);
	assert_frame(header, data, 0);
	close(fd);
	unlink(name);
}

static void a_packet_at_hand_outlives_a_dump(void **in)
{
	struct state *state = *in;

	send_far(state, 0, 5);
	assert_int_equal(pcap_loop(state->p, 1, begin_dump, (u_char *)state), 0);
}

static void the_event_can_be_waited_for(void **in)
{
	struct state *state = *in;
	HANDLE event = pcap_getevent(state->p);

	assert_int_equal(pcap_setmintocopy(state->p, 0), 0);
	assert_int_equal(WaitForSingleObject(event, 0), WAIT_TIMEOUT);
	send_far(state, 0, 1);
	assert_int_equal(WaitForSingleObject(event, INFINITE), WAIT_OBJECT_0);
	assert_frames(state, 0, 1);
}

static void statistics_mode_reports(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;
	struct pcap_stat stats;
	int64_t packets, bytes;
	const u_char *data;

	assert_int_equal(pcap_setmode(state->p, MODE_STAT), 0);
	send_far(state, 0, 10);
	assert_int_equal(pcap_next_ex(state->p, &header, &data), 1);
	assert_int_equal(header->caplen, 16);
	assert_int_equal(header->len, 16);
	memcpy(&packets, data, sizeof(packets));
	memcpy(&bytes, data + 8, sizeof(bytes));
	assert_int_equal(packets, 10);
	assert_int_equal(bytes, 10 * (LENGTH + 12));
	assert_int_equal(pcap_stats(state->p, &stats), PCAP_ERROR);
	assert_int_equal(pcap_setmode(state->p, MODE_MON), -1);
	assert_int_equal(pcap_setmode(state->p, MODE_CAPT), 0);
	send_far(state, 10, 1);
	assert_frames(state, 10, 1);
}

/* WinPcap handed packets that were not read out as records. */
static void packets_are_no_records(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;

	send_far(state, 0, 10);
	(void)next_of(state, &header);
	assert_int_equal(header->caplen, LENGTH);
	assert_int_equal(pcap_setmode(state->p, MODE_STAT), 0);
	(void)next_of(state, &header);
	assert_int_equal(header->caplen, 16);
}

/* The interval of the records was the read timeout, which is for ever where none was asked for. */
static void packets_come_after_statistics_mode(void **in)
{
	struct state *state = *in;

	pcap_close(state->p);
	state->p = pcap_open_live("va", 65535, 1, 0, state->errbuf);
	assert_non_null(state->p);
	assert_int_equal(pcap_setmode(state->p, MODE_STAT), 0);
	assert_int_equal(pcap_setmode(state->p, MODE_CAPT), 0);
	send_far(state, 0, 1);
	assert_frames(state, 0, 1);
}

/* ---- sampling (B13 of the original) -------------------------------------------------------- */

static void one_in_n_is_taken(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;
	const u_char *data;

	pcap_setsampling(state->p)->method = PCAP_SAMP_1_EVERY_N;
	pcap_setsampling(state->p)->value = 4;
	send_far(state, 0, 8);
	data = next_of(state, &header);
	assert_frame(header, data, 3);
	data = next_of(state, &header);
	assert_frame(header, data, 7);
	/* Dividing by nothing means every one. */
	pcap_setsampling(state->p)->value = 0;
	send_far(state, 8, 2);
	assert_frames(state, 8, 2);
}

static void the_first_after_a_time_is_taken(void **in)
{
	struct state *state = *in;
	struct pcap_pkthdr *header;
	const u_char *data;

	pcap_setsampling(state->p)->method = PCAP_SAMP_FIRST_AFTER_N_MS;
	pcap_setsampling(state->p)->value = 3600 * 1000;
	send_far(state, 0, 5);
	data = next_of(state, &header);
	assert_frame(header, data, 0);
	assert_int_equal(pcap_next_ex(state->p, &header, &data), 0);
}

/* ---- OID requests -------------------------------------------------------------------------- */

static void oids_are_asked_and_set(void **in)
{
	struct state *state = *in;
	uint8_t address[6];
	uint32_t filter = NDIS_PACKET_TYPE_DIRECTED, back = 0;
	size_t length = sizeof(address);

	assert_int_equal(pcap_oid_get_request(state->p, OID_802_3_CURRENT_ADDRESS, address, &length),
			 0);
	assert_int_equal(length, 6);
	assert_memory_equal(address, net_va_address, 6);
	length = sizeof(filter);
	assert_int_equal(pcap_oid_set_request(state->p, OID_GEN_CURRENT_PACKET_FILTER, &filter,
					      &length),
			 0);
	assert_int_equal(pcap_oid_get_request(state->p, OID_GEN_CURRENT_PACKET_FILTER, &back,
					      &length),
			 0);
	assert_int_equal(back, filter);
	length = 2;
	assert_true(pcap_oid_get_request(state->p, OID_802_3_CURRENT_ADDRESS, address, &length) < 0);
	assert_true(strlen(pcap_geterr(state->p)) > 10);
}

/* ---- send queues --------------------------------------------------------------------------- */

static void queues_take_what_fits(void **in)
{
	pcap_send_queue *queue = pcap_sendqueue_alloc(2 * (16 + 60));
	struct pcap_pkthdr header = { .caplen = 60, .len = 60, .ts = { 5, 6 } };
	uint8_t frame[60] = { 1 };
	uint32_t head[4];

	(void)in;
	assert_int_equal(queue->maxlen, 152);
	assert_int_equal(queue->len, 0);
	assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), 0);
	assert_int_equal(queue->len, 76);
	memcpy(head, queue->buffer, sizeof(head));
	assert_int_equal(head[0], 5);
	assert_int_equal(head[1], 6);
	assert_int_equal(head[2], 60);
	header.caplen = 61;
	assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), -1);
	header.caplen = UINT32_MAX - 70; /* the sum of the original wrapped */
	assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), -1);
	assert_int_equal(queue->len, 76);
	header.caplen = 60;
	assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), 0);
	pcap_sendqueue_destroy(queue);
	pcap_sendqueue_destroy(NULL);
}

static void queues_are_transmitted(void **in)
{
	struct state *state = *in;
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	pcap_send_queue *queue = pcap_sendqueue_alloc(5 * (16 + LENGTH));
	struct pcap_pkthdr header = { .caplen = LENGTH, .len = LENGTH };
	uint8_t frame[LENGTH];
	u_int sent;

	/* With pcap_open() a handle sees what it sends, as on Windows. */
	pcap_close(state->p);
	state->p = pcap_open("va", 65535, PCAP_OPENFLAG_PROMISCUOUS, 100, NULL, state->errbuf);
	assert_non_null(state->p);
	for (uint64_t i = 0; i < 5; i++) {
		net_flood_frame(&flood, i, frame);
		header.ts.tv_usec = (suseconds_t)i * 100;
		assert_int_equal(pcap_sendqueue_queue(queue, &header, frame), 0);
	}
	errno = 0;
	sent = pcap_sendqueue_transmit(state->p, queue, 0);
	if (!sent && errno == ENOTSUP) {
		print_message("%s\n", pcap_geterr(state->p));
		pcap_sendqueue_destroy(queue);
		skip();
	}
	assert_int_equal(sent, queue->len);
	assert_frames(state, 0, 5);
	assert_int_equal(pcap_sendqueue_transmit(state->p, queue, 1), queue->len);
	assert_frames(state, 0, 5);
	queue->len -= 10;
	assert_true(pcap_sendqueue_transmit(state->p, queue, 0) < queue->len);
	assert_true(strlen(pcap_geterr(state->p)) > 10);
	pcap_sendqueue_destroy(queue);
}

/* ---- dump by the driver -------------------------------------------------------------------- */

static void the_driver_dumps(void **in)
{
	char name[] = "/tmp/npf-live-XXXXXX";
	struct state *state = *in;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(pcap_live_dump(state->p, name, -1, 0), -1);
	assert_int_equal(pcap_live_dump(state->p, name, 0, 4), 0);
	assert_int_equal(pcap_live_dump_ended(state->p, 0), 0);
	send_far(state, 0, 8);
	assert_int_equal(pcap_live_dump_ended(state->p, 1), 1);
	pcap_close(state->p);
	state->p = NULL;
	assert_int_equal(lseek(fd, 0, SEEK_END), 24 + 4 * (16 + (int)LENGTH));
	close(fd);
	unlink(name);
}

/* So many in all, once they have come. */
static void await_count(pcap_t *p, u_int n)
{
	struct pcap_stat stats;

	do
		assert_int_equal(pcap_stats(p, &stats), 0);
	while (stats.ps_recv < n);
	assert_int_equal(stats.ps_recv, n);
	assert_int_equal(stats.ps_drop, 0);
}

static void a_dump_leaves_the_counts(void **in)
{
	char name[] = "/tmp/npf-live-XXXXXX", nowhere[] = "/nonexistent/x";
	struct state *state = *in;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	send_far(state, 0, 5);
	await_count(state->p, 5);
	assert_int_equal(pcap_live_dump(state->p, nowhere, 0, 0), -1);
	await_count(state->p, 5);
	assert_int_equal(pcap_live_dump(state->p, name, 0, 0), 0);
	await_count(state->p, 5);
	send_far(state, 5, 8);
	await_count(state->p, 13);
	/* Another file, in the same mode. */
	assert_int_equal(pcap_live_dump(state->p, name, 0, 4), 0);
	send_far(state, 13, 4);
	assert_int_equal(pcap_live_dump_ended(state->p, 1), 1);
	await_count(state->p, 17);
	assert_int_equal(pcap_setmode(state->p, MODE_CAPT), 0);
	await_count(state->p, 17);
	send_far(state, 17, 2);
	assert_frames(state, 17, 2);
	await_count(state->p, 19);
	close(fd);
	unlink(name);
}

/* Whatever refused it: the name, or the driver that has no dump. */
static void packets_come_after_a_dump_that_failed(void **in)
{
	char name[] = "/nonexistent/x";
	struct state *state = *in;

	assert_int_equal(pcap_live_dump(state->p, name, 0, 0), -1);
	assert_true(strlen(pcap_geterr(state->p)) > 10);
	send_far(state, 0, 1);
	assert_frames(state, 0, 1);
}

/* ---- sources ------------------------------------------------------------------------------- */

static const struct {
	const char *string;
	int type;
	const char *host, *port, *name;
} sources[] = {
	{ "rpcap://eth0", PCAP_SRC_IFLOCAL, "", "", "eth0" },
	{ "rpcap://", PCAP_SRC_IFLOCAL, "", "", "" },
	{ "eth0", PCAP_SRC_IFLOCAL, "", "", "eth0" },
	{ "file:///tmp/x.pcap", PCAP_SRC_FILE, "", "", "/tmp/x.pcap" },
	{ "rpcap://host/eth0", PCAP_SRC_IFREMOTE, "host", "", "eth0" },
	{ "rpcap://host:2002/eth0", PCAP_SRC_IFREMOTE, "host", "2002", "eth0" },
	{ "rpcap://[1:2::3]:http/eth0", PCAP_SRC_IFREMOTE, "1:2::3", "http", "eth0" },
	{ "rpcap://[10.0.0.1]/eth0", PCAP_SRC_IFREMOTE, "10.0.0.1", "", "eth0" },
};

static const char *const no_sources[] = {
	"rpcap://[a/b", "rpcap://a:/b",       "rpcap://::1/lo",
	"rpcap://h/",   "rpcap://host:2002/", "rpcap://1:2::3:2002/lo",
};

static void source_strings_are_parsed(void **in)
{
	char host[PCAP_BUF_SIZE], port[PCAP_BUF_SIZE], name[PCAP_BUF_SIZE], long_one[1100];
	struct state *state = *in;
	int type;

	for (size_t i = 0; i < N_OF(sources); i++) {
		assert_int_equal(pcap_parsesrcstr(sources[i].string, &type, host, port, name,
						  state->errbuf),
				 0);
		assert_int_equal(type, sources[i].type);
		assert_string_equal(host, sources[i].host);
		assert_string_equal(port, sources[i].port);
		assert_string_equal(name, sources[i].name);
	}
	assert_int_equal(pcap_parsesrcstr("rpcap://a/b", NULL, NULL, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < N_OF(no_sources); i++)
		assert_int_equal(pcap_parsesrcstr(no_sources[i], &type, NULL, NULL, NULL,
						  state->errbuf),
				 -1);
	memset(long_one, 'x', sizeof(long_one));
	long_one[sizeof(long_one) - 1] = '\0';
	assert_int_equal(pcap_parsesrcstr(long_one, &type, NULL, NULL, NULL, state->errbuf), -1);
}

static void source_strings_are_made(void **in)
{
	char source[PCAP_BUF_SIZE];
	struct state *state = *in;

	assert_int_equal(pcap_createsrcstr(source, PCAP_SRC_IFLOCAL, NULL, NULL, "eth0", NULL), 0);
	assert_string_equal(source, "rpcap://eth0");
	assert_int_equal(pcap_createsrcstr(source, PCAP_SRC_FILE, NULL, NULL, "/a b", NULL), 0);
	assert_string_equal(source, "file:///a b");
	assert_int_equal(pcap_createsrcstr(source, PCAP_SRC_IFREMOTE, "::1", "7", "x", NULL), 0);
	assert_string_equal(source, "rpcap://[::1]:7/x");
	assert_int_equal(pcap_createsrcstr(source, PCAP_SRC_IFREMOTE, "h", NULL, "x", NULL), 0);
	assert_string_equal(source, "rpcap://h/x");
	assert_int_equal(pcap_createsrcstr(source, PCAP_SRC_IFREMOTE, "", NULL, "x", state->errbuf),
			 -1);
	assert_int_equal(pcap_createsrcstr(source, PCAP_SRC_FILE, "", NULL, "", state->errbuf), -1);
	assert_int_equal(pcap_createsrcstr(source, 9, "", NULL, "", state->errbuf), -1);
}

static void sources_are_opened(void **in)
{
	struct state *state = *in;
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	uint8_t frame[LENGTH];

	pcap_close(state->p);
	state->p = pcap_open("rpcap://va", 65535,
			     PCAP_OPENFLAG_PROMISCUOUS | PCAP_OPENFLAG_NOCAPTURE_LOCAL |
				     PCAP_OPENFLAG_MAX_RESPONSIVENESS,
			     100, NULL, state->errbuf);
	assert_non_null(state->p);
	net_flood_frame(&flood, 0, frame);
	assert_int_equal(pcap_sendpacket(state->p, frame, LENGTH), 0);
	send_far(state, 1, 1);
	assert_frames(state, 1, 1);
	assert_null(pcap_open("rpcap://host/va", 100, 0, 10, NULL, state->errbuf));
	assert_non_null(strstr(state->errbuf, "other hosts"));
	assert_null(pcap_open("rpcap://nothing", 100, 0, 10, NULL, state->errbuf));
	assert_non_null(strstr(state->errbuf, "No such device"));
	assert_null(pcap_open("file:///nonexistent", 100, 0, 10, NULL, state->errbuf));
}

static void devices_are_listed_as_sources(void **in)
{
	struct state *state = *in;
	pcap_if_t *devices, *found = NULL;

	assert_int_equal(pcap_findalldevs_ex("rpcap://", NULL, &devices, state->errbuf), 0);
	for (pcap_if_t *device = devices; device; device = device->next) {
		if (!strcmp(device->name, "rpcap://va"))
			found = device;
	}
	assert_non_null(found);
	assert_string_equal(found->description, "Network adapter 'va' on local host");
	pcap_freealldevs(devices);
	assert_int_equal(pcap_findalldevs_ex("rpcap://h/", NULL, &devices, state->errbuf), -1);
	assert_int_equal(pcap_findalldevs_ex("file:///nonexistent", NULL, &devices, state->errbuf),
			 -1);
}

static void files_are_listed_as_sources(void **in)
{
	char folder[] = "/tmp/npf-files-XXXXXX", path[100], source[120];
	struct state *state = *in;
	pcap_if_t *devices;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/b.pcap", folder);
	snprintf(source, sizeof(source), "file://%s", folder);
	pcap_dump_close(pcap_dump_open(state->p, path));
	assert_int_equal(pcap_findalldevs_ex(source, NULL, &devices, state->errbuf), 0);
	assert_non_null(devices);
	assert_null(devices->next);
	assert_non_null(strstr(devices->name, "/b.pcap"));
	pcap_freealldevs(devices);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(buffers_are_set),
		TEST(a_packet_at_hand_outlives_its_buffer),
		TEST(a_packet_at_hand_outlives_the_mode),
		TEST(a_packet_at_hand_outlives_a_dump),
		TEST(the_event_can_be_waited_for),
		TEST(statistics_mode_reports),
		TEST(packets_are_no_records),
		TEST(packets_come_after_statistics_mode),
		TEST(one_in_n_is_taken),
		TEST(the_first_after_a_time_is_taken),
		TEST(oids_are_asked_and_set),
		TEST(queues_take_what_fits),
		TEST(queues_are_transmitted),
		TEST(the_driver_dumps),
		TEST(a_dump_leaves_the_counts),
		TEST(packets_come_after_a_dump_that_failed),
		TEST(source_strings_are_parsed),
		TEST(source_strings_are_made),
		TEST(sources_are_opened),
		TEST(devices_are_listed_as_sources),
		TEST(files_are_listed_as_sources),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
