/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What libwpcap hands to libpcap: every such function does its work through it, and fails as
 * documented. No adapter is opened here; capture.c has those.
 */
#include "wpcap/savefile.h"

#include <Packet32.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>

#include <pcap/namedb.h>

#define N 5

struct state {
	struct saved saved;
	char errbuf[PCAP_ERRBUF_SIZE];
};

static int setup(void **out)
{
	struct state *state = calloc(1, sizeof(*state));

	assert_non_null(state);
	saved_create(&state->saved, N);
	*out = state;
	return 0;
}

static int teardown(void **in)
{
	struct state *state = *in;

	saved_remove(&state->saved);
	free(state);
	return 0;
}

/* What a function writes to a stream of this process; freed by the caller. */
static char *written(FILE *stream, void (*write_it)(void *arg), void *arg)
{
	FILE *file = tmpfile();
	int before, fd = fileno(stream);
	char *text = calloc(1, 4096);

	assert_non_null(file);
	fflush(stream);
	before = dup(fd);
	dup2(fileno(file), fd);
	write_it(arg);
	fflush(stream);
	dup2(before, fd);
	close(before);
	rewind(file);
	assert_true(fread(text, 1, 4095, file) > 0);
	fclose(file);
	return text;
}

/* ---- the library --------------------------------------------------------------------------- */

static void the_library_says_what_it_is(void **in)
{
	struct state *state = *in;
	extern char pcap_version[];

	assert_non_null(strstr(pcap_lib_version(), "libpcap version 1."));
	assert_non_null(strstr(pcap_lib_version(), ", on npf "));
	assert_int_equal(strncmp(pcap_version, "1.10", 4), 0);
	assert_int_equal(pcap_init(PCAP_CHAR_ENC_LOCAL, state->errbuf), 0);
	assert_int_equal(pcap_init(77, state->errbuf), PCAP_ERROR);
	assert_true(strlen(state->errbuf) > 5);
}

static const struct {
	int status;
	const char *text;
} statuses[] = {
	{ PCAP_WARNING, "Generic warning" },
	{ PCAP_WARNING_TSTAMP_TYPE_NOTSUP,
	  "That type of time stamp is not supported by that device" },
	{ PCAP_WARNING_PROMISC_NOTSUP, "That device doesn't support promiscuous mode" },
	{ PCAP_ERROR, "Generic error" },
	{ PCAP_ERROR_BREAK, "Loop terminated by pcap_breakloop" },
	{ PCAP_ERROR_NOT_ACTIVATED, "The pcap_t has not been activated" },
	{ PCAP_ERROR_ACTIVATED, "The setting can't be changed after the pcap_t is activated" },
	{ PCAP_ERROR_NO_SUCH_DEVICE, "No such device exists" },
	{ PCAP_ERROR_RFMON_NOTSUP, "That device doesn't support monitor mode" },
	{ PCAP_ERROR_NOT_RFMON, "That operation is supported only in monitor mode" },
	{ PCAP_ERROR_PERM_DENIED,
	  "You don't have permission to perform this capture on that device" },
	{ PCAP_ERROR_IFACE_NOT_UP, "That device is not up" },
	{ PCAP_ERROR_CANTSET_TSTAMP_TYPE,
	  "That device doesn't support setting the time stamp type" },
	{ PCAP_ERROR_PROMISC_PERM_DENIED,
	  "You don't have permission to capture in promiscuous mode on that device" },
	{ PCAP_ERROR_TSTAMP_PRECISION_NOTSUP,
	  "That device doesn't support that time stamp precision" },
};

static void errors_have_texts(void **in)
{
	(void)in;
	for (size_t i = 0; i < N_OF(statuses); i++)
		assert_string_equal(pcap_statustostr(statuses[i].status), statuses[i].text);
	assert_non_null(strstr(pcap_statustostr(-99), "-99"));
	assert_string_equal(pcap_strerror(ENOENT), strerror(ENOENT));
}

/* ---- devices ------------------------------------------------------------------------------- */

static void devices_are_listed(void **in)
{
	struct state *state = *in;
	pcap_if_t *devices = NULL;
	bool loopback = false, any = false;
	char *first;

	assert_int_equal(pcap_findalldevs(&devices, state->errbuf), 0);
	first = pcap_lookupdev(state->errbuf);
	for (pcap_if_t *device = devices; device; device = device->next) {
		loopback |= !strcmp(device->name, "lo") && device->flags & PCAP_IF_LOOPBACK;
		any |= !strcmp(device->name, "any");
	}
	assert_true(loopback);
	assert_true(any);
	/* "any" is no device to begin with. */
	assert_true(first ? strcmp(first, "any") != 0 : strlen(state->errbuf) > 5);
	pcap_freealldevs(devices);
	pcap_freealldevs(NULL);
}

static void nets_of_devices_are_looked_up(void **in)
{
	struct state *state = *in;
	bpf_u_int32 net = 1, mask = 1;

	assert_int_equal(pcap_lookupnet("no-such-device", &net, &mask, state->errbuf), PCAP_ERROR);
	assert_non_null(strstr(state->errbuf, "no-such-device"));
	assert_int_equal(pcap_lookupnet("any", &net, &mask, state->errbuf), 0);
	assert_int_equal(net | mask, 0);
}

/* ---- programs ------------------------------------------------------------------------------ */

static void expressions_are_compiled(void **in)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 200);
	struct bpf_program program = { 0 }, other = { 0 };

	(void)in;
	assert_int_equal(pcap_compile(dead, &program, "ip", 1, 0), 0);
	assert_int_equal(program.bf_len, 4);
	assert_int_equal(program.bf_insns[2].k, 200);
	assert_int_equal(bpf_validate(program.bf_insns, (int)program.bf_len), 1);
	assert_int_equal(bpf_validate(program.bf_insns, 2), 0);
	assert_int_equal(bpf_validate(program.bf_insns, 0), 0);
	assert_string_equal(bpf_image(program.bf_insns, 0), "(000) ldh      [12]");
	assert_int_equal(pcap_compile_nopcap(200, DLT_EN10MB, &other, "ip", 1, 0), 0);
	assert_int_equal(other.bf_len, program.bf_len);
	assert_memory_equal(other.bf_insns, program.bf_insns, 4 * sizeof(*program.bf_insns));
	pcap_freecode(&other);
	assert_null(other.bf_insns);
	assert_int_equal(other.bf_len, 0);
	assert_int_equal(pcap_compile_nopcap(200, DLT_EN10MB, &other, "no such thing", 1, 0),
			 PCAP_ERROR);
	assert_int_equal(pcap_compile(dead, &other, "ip and", 1, 0), PCAP_ERROR);
	assert_string_equal(pcap_geterr(dead), "can't parse filter expression: syntax error");
	pcap_freecode(&program);
	pcap_close(dead);
}

static void dump_program(void *arg)
{
	bpf_dump(arg, 2);
}

static void programs_are_printed(void **in)
{
	struct bpf_insn insns[] = { BPF_STMT(BPF_RET | BPF_K, 7) };
	struct bpf_program program = { 1, insns };
	char *text = written(stdout, dump_program, &program);

	(void)in;
	assert_string_equal(text, "{ 0x6, 0, 0, 0x00000007 },\n");
	free(text);
}

/* ---- link types and time stamps ------------------------------------------------------------ */

static void link_types_have_names(void **in)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 100);
	int *types = NULL;

	(void)in;
	assert_int_equal(pcap_datalink_name_to_val("EN10MB"), DLT_EN10MB);
	assert_int_equal(pcap_datalink_name_to_val("en10mb"), DLT_EN10MB);
	assert_int_equal(pcap_datalink_name_to_val("nothing"), -1);
	assert_string_equal(pcap_datalink_val_to_name(DLT_LINUX_SLL), "LINUX_SLL");
	assert_null(pcap_datalink_val_to_name(9999));
	assert_string_equal(pcap_datalink_val_to_description(DLT_EN10MB), "Ethernet");
	assert_null(pcap_datalink_val_to_description(9999));
	assert_string_equal(pcap_datalink_val_to_description_or_dlt(DLT_EN10MB), "Ethernet");
	assert_string_equal(pcap_datalink_val_to_description_or_dlt(9999), "DLT 9999");
	assert_int_equal(pcap_list_datalinks(dead, &types), 1);
	assert_int_equal(types[0], DLT_EN10MB);
	pcap_free_datalinks(types);
	assert_int_equal(pcap_set_datalink(dead, DLT_EN10MB), 0);
	assert_int_equal(pcap_set_datalink(dead, DLT_NULL), -1);
	assert_int_equal(pcap_datalink_ext(dead), 0);
	pcap_close(dead);
}

static void time_stamps_have_names(void **in)
{
	(void)in;
	assert_int_equal(pcap_tstamp_type_name_to_val("adapter"), PCAP_TSTAMP_ADAPTER);
	assert_int_equal(pcap_tstamp_type_name_to_val("nothing"), PCAP_ERROR);
	assert_string_equal(pcap_tstamp_type_val_to_name(PCAP_TSTAMP_HOST), "host");
	assert_null(pcap_tstamp_type_val_to_name(99));
	assert_string_equal(pcap_tstamp_type_val_to_description(PCAP_TSTAMP_HOST), "Host");
	assert_null(pcap_tstamp_type_val_to_description(99));
	pcap_free_tstamp_types(NULL);
}

/* ---- dead handles -------------------------------------------------------------------------- */

static void show_error(void *p)
{
	pcap_perror(p, "test");
}

static void dead_handles_do_little(void **in)
{
	pcap_t *p = pcap_open_dead(DLT_RAW, 99);
	struct pcap_pkthdr *header;
	struct pcap_stat stats;
	const u_char *data;
	char *text;

	(void)in;
	assert_int_equal(pcap_datalink(p), DLT_RAW);
	assert_int_equal(pcap_snapshot(p), 99);
	assert_int_equal(pcap_get_tstamp_precision(p), PCAP_TSTAMP_PRECISION_MICRO);
	assert_int_equal(pcap_next_ex(p, &header, &data), PCAP_ERROR);
	assert_int_equal(pcap_stats(p, &stats), PCAP_ERROR);
	text = written(stderr, show_error, p);
	assert_string_equal(text,
			    "test: Statistics aren't available from a pcap_open_dead pcap_t\n");
	free(text);
	pcap_close(p);
	p = pcap_open_dead_with_tstamp_precision(DLT_RAW, 99, PCAP_TSTAMP_PRECISION_NANO);
	assert_int_equal(pcap_get_tstamp_precision(p), PCAP_TSTAMP_PRECISION_NANO);
	pcap_close(p);
}

/* ---- savefiles ----------------------------------------------------------------------------- */

static void assert_all(pcap_t *p)
{
	struct saved_seen seen = { .p = p };

	assert_int_equal(pcap_loop(p, -1, saved_see, (u_char *)&seen), 0);
	assert_int_equal(seen.n, N);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(seen.numbers[i], i);
	pcap_close(p);
}

static void savefiles_are_opened_in_every_way(void **in)
{
	struct state *state = *in;
	const char *path = state->saved.path;
	pcap_t *p;

	assert_all(pcap_open_offline(path, state->errbuf));
	assert_all(pcap_fopen_offline(fopen(path, "re"), state->errbuf));
	assert_all(pcap_hopen_offline(open(path, O_RDONLY | O_CLOEXEC), state->errbuf));
	p = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, state->errbuf);
	assert_int_equal(pcap_get_tstamp_precision(p), PCAP_TSTAMP_PRECISION_NANO);
	assert_all(p);
	p = pcap_fopen_offline_with_tstamp_precision(fopen(path, "re"), PCAP_TSTAMP_PRECISION_NANO,
						     state->errbuf);
	assert_int_equal(pcap_get_tstamp_precision(p), PCAP_TSTAMP_PRECISION_NANO);
	assert_all(p);
}

static void what_is_no_savefile_is_refused(void **in)
{
	struct state *state = *in;
	FILE *file;

	assert_null(pcap_open_offline("/nonexistent", state->errbuf));
	assert_string_equal(state->errbuf, "/nonexistent: No such file or directory");
	assert_null(pcap_open_offline_with_tstamp_precision("/nonexistent", 0, state->errbuf));
	assert_null(pcap_open_offline_with_tstamp_precision(state->saved.path, 9, state->errbuf));
	assert_null(pcap_hopen_offline(-1, state->errbuf));
	assert_string_equal(state->errbuf, "descriptor -1: Bad file descriptor");
	assert_null(pcap_hopen_offline(open("/dev/null", O_RDONLY | O_CLOEXEC), state->errbuf));
	file = fopen(state->saved.path, "we");
	fputs("this is no savefile, and long enough to be told so", file);
	fclose(file);
	assert_null(pcap_open_offline(state->saved.path, state->errbuf));
	assert_non_null(strstr(state->errbuf, "unknown file format"));
	file = fopen(state->saved.path, "re");
	assert_null(pcap_fopen_offline(file, state->errbuf));
	rewind(file);
	assert_null(pcap_fopen_offline_with_tstamp_precision(file, 0, state->errbuf));
	fclose(file);
}

static void what_a_savefile_is(void **in)
{
	struct state *state = *in;
	pcap_t *p = saved_open(&state->saved);

	assert_int_equal(pcap_datalink(p), DLT_EN10MB);
	assert_int_equal(pcap_datalink_ext(p), 0);
	assert_int_equal(pcap_snapshot(p), 65535);
	assert_int_equal(pcap_is_swapped(p), 0);
	assert_int_equal(pcap_major_version(p), 2);
	assert_int_equal(pcap_minor_version(p), 4);
	assert_non_null(pcap_file(p));
	assert_int_equal(pcap_fileno(p), -1);
	assert_int_equal(pcap_get_selectable_fd(p), fileno(pcap_file(p)));
	assert_null(pcap_get_required_select_timeout(p));
	assert_int_equal(pcap_get_tstamp_precision(p), PCAP_TSTAMP_PRECISION_MICRO);
	assert_int_equal(pcap_getnonblock(p, state->errbuf), 0);
	pcap_close(p);
}

static void savefiles_cannot_do_what_adapters_can(void **in)
{
	struct state *state = *in;
	pcap_t *p = saved_open(&state->saved);
	struct pcap_stat stats;
	int *types = NULL;

	assert_int_equal(pcap_stats(p, &stats), PCAP_ERROR);
	assert_string_equal(pcap_geterr(p), "Statistics aren't available from savefiles");
	assert_int_equal(pcap_inject(p, "x", 1), PCAP_ERROR);
	assert_string_equal(pcap_geterr(p), "Sending packets isn't supported on savefiles");
	assert_int_equal(pcap_sendpacket(p, (const u_char *)"x", 1), PCAP_ERROR);
	assert_int_equal(pcap_setdirection(p, PCAP_D_IN), PCAP_ERROR);
	assert_int_equal(pcap_setnonblock(p, 1, state->errbuf), PCAP_ERROR);
	assert_non_null(strcasestr(state->errbuf, "savefile"));
	assert_int_equal(pcap_activate(p), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_set_snaplen(p, 1), PCAP_ERROR_ACTIVATED);
	assert_int_equal(pcap_can_set_rfmon(p), 0);
	assert_int_equal(pcap_list_tstamp_types(p, &types), 1);
	pcap_free_tstamp_types(types);
	pcap_close(p);
}

/* WinPcap's additions say that they want a live capture. */
static void additions_want_a_live_capture(void **in)
{
	struct state *state = *in;
	pcap_t *p = saved_open(&state->saved);
	pcap_send_queue *queue = pcap_sendqueue_alloc(100);
	char name[] = "/tmp/never-written";
	size_t length = 4;
	int size = 0;

	assert_int_equal(pcap_setbuff(p, 1 << 20), -1);
	assert_string_equal(pcap_geterr(p), "pcap_setbuff works on live captures only");
	assert_int_equal(pcap_setuserbuffer(p, 1000), -1);
	assert_int_equal(pcap_setmintocopy(p, 1000), -1);
	assert_int_equal(pcap_setmode(p, MODE_STAT), -1);
	assert_null(pcap_getevent(p));
	assert_null(pcap_stats_ex(p, &size));
	assert_int_equal(pcap_oid_get_request(p, 1, name, &length), PCAP_ERROR);
	assert_int_equal(pcap_oid_set_request(p, 1, name, &length), PCAP_ERROR);
	assert_int_equal(pcap_live_dump(p, name, 0, 0), -1);
	assert_int_equal(pcap_live_dump_ended(p, 0), -1);
	assert_int_equal(pcap_sendqueue_transmit(p, queue, 0), 0);
	assert_string_equal(pcap_geterr(p), "pcap_sendqueue_transmit works on live captures only");
	pcap_sendqueue_destroy(queue);
	pcap_close(p);
}

static void savefiles_are_read_in_every_way(void **in)
{
	struct state *state = *in;
	pcap_t *p = saved_open(&state->saved);
	struct saved_seen seen = { .p = p, .stop_at = 2 };
	struct pcap_pkthdr *header, copy, wanted;
	const u_char *data;

	saved_header(&wanted, 0);
	assert_int_equal(pcap_next_ex(p, &header, &data), 1);
	assert_memory_equal(&header->ts, &wanted.ts, sizeof(wanted.ts));
	assert_int_equal(header->len, SAVED_LENGTH + 40);
	assert_int_equal(pcap_dispatch(p, 3, saved_see, (u_char *)&seen), 2);
	assert_int_equal(pcap_dispatch(p, 3, saved_see, (u_char *)&seen), PCAP_ERROR_BREAK);
	assert_non_null(pcap_next(p, &copy));
	assert_int_equal(pcap_loop(p, 1, saved_see, (u_char *)&seen), 0);
	assert_int_equal(seen.numbers[2], 4);
	assert_int_equal(pcap_next_ex(p, &header, &data), PCAP_ERROR_BREAK);
	assert_null(pcap_next(p, &copy));
	assert_int_equal(pcap_dispatch(p, -1, saved_see, (u_char *)&seen), 0);
	pcap_close(p);
}

static void savefiles_are_filtered(void **in)
{
	struct state *state = *in;
	pcap_t *p = saved_open(&state->saved);
	struct saved_seen seen = { .p = p };
	struct bpf_program program;

	assert_int_equal(pcap_compile(p, &program, "ether[14] > 2", 1, 0), 0);
	assert_int_equal(pcap_setfilter(p, &program), 0);
	pcap_freecode(&program);
	assert_int_equal(pcap_dispatch(p, -1, saved_see, (u_char *)&seen), 2);
	assert_int_equal(seen.numbers[0], 3);
	assert_int_equal(seen.numbers[1], 4);
	pcap_close(p);
}

static void savefiles_are_appended_to(void **in)
{
	struct state *state = *in;
	pcap_t *ethernet = pcap_open_dead(DLT_EN10MB, 65535), *raw = pcap_open_dead(DLT_RAW, 65535);
	uint8_t frame[SAVED_LENGTH] = { [14] = N };
	struct pcap_pkthdr header;
	pcap_dumper_t *dumper;
	struct saved_seen seen = { 0 };
	long size = 24 + N * (16 + (long)SAVED_LENGTH);
	FILE *file;

	assert_null(pcap_dump_open_append(raw, state->saved.path));
	assert_non_null(strstr(pcap_geterr(raw), "different linktype"));
	dumper = pcap_dump_open_append(ethernet, state->saved.path);
	assert_non_null(dumper);
	saved_header(&header, N);
	pcap_dump((u_char *)dumper, &header, frame);
	assert_int_equal(pcap_dump_flush(dumper), 0);
	assert_int_equal(pcap_dump_ftell(dumper), size + 16 + SAVED_LENGTH);
	assert_int_equal(pcap_dump_ftell64(dumper), size + 16 + SAVED_LENGTH);
	assert_int_equal(fseek(pcap_dump_file(dumper), 0, SEEK_END), 0);
	assert_int_equal(ftell(pcap_dump_file(dumper)), size + 16 + SAVED_LENGTH);
	pcap_dump_close(dumper);

	seen.p = saved_open(&state->saved);
	assert_int_equal(pcap_dispatch(seen.p, -1, saved_see, (u_char *)&seen), N + 1);
	assert_int_equal(seen.numbers[N], N);
	pcap_close(seen.p);

	/* Anew, through a stream that was open. */
	file = fopen(state->saved.path, "we");
	dumper = pcap_dump_fopen(ethernet, file);
	assert_ptr_equal(pcap_dump_file(dumper), file);
	pcap_dump((u_char *)dumper, &header, frame);
	pcap_dump_close(dumper);
	seen = (struct saved_seen){ .p = saved_open(&state->saved) };
	assert_int_equal(pcap_dispatch(seen.p, -1, saved_see, (u_char *)&seen), 1);
	pcap_close(seen.p);
	assert_null(pcap_dump_open(ethernet, "/nonexistent/x"));
	assert_non_null(strstr(pcap_geterr(ethernet), "/nonexistent/x"));
	pcap_close(ethernet);
	pcap_close(raw);
}

/* After a failure nothing more is written: a file does not have packets behind a hole. */
static void a_failed_savefile_stays_as_it_is(void **in)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
	uint8_t frame[SAVED_LENGTH] = { 0 };
	struct pcap_pkthdr header;
	pcap_dumper_t *dumper = pcap_dump_open(dead, "/dev/full");

	(void)in;
	assert_non_null(dumper);
	saved_header(&header, 0);
	pcap_dump((u_char *)dumper, &header, frame);
	assert_int_equal(pcap_dump_flush(dumper), -1);
	assert_true(ferror(pcap_dump_file(dumper)));
	for (int i = 0; i < 1000; i++)
		pcap_dump((u_char *)dumper, &header, frame);
	assert_true(pcap_dump_ftell(dumper) <= 24 + 16 + (long)SAVED_LENGTH);
	pcap_dump_close(dumper);
	pcap_close(dead);
}

struct writer {
	pcap_dumper_t *dumper;
	uint8_t number;
};

static void *write_some(void *arg)
{
	const struct writer *writer = arg;
	uint8_t frame[SAVED_LENGTH] = { [12] = 0x08, [14] = writer->number };
	struct pcap_pkthdr header;

	memset(frame + 15, writer->number, SAVED_LENGTH - 15);
	saved_header(&header, writer->number);
	for (int i = 0; i < 20000; i++)
		pcap_dump((u_char *)writer->dumper, &header, frame);
	return NULL;
}

static void see_whole(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	assert_int_equal(header->caplen, SAVED_LENGTH);
	for (u_int i = 15; i < SAVED_LENGTH; i++)
		assert_int_equal(data[i], data[14]);
	++*(uint32_t *)user;
}

static void threads_write_whole_packets(void **in)
{
	struct state *state = *in;
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *dumper = pcap_dump_open(p, state->saved.path);
	struct writer writers[] = { { dumper, 1 }, { dumper, 2 } };
	pthread_t threads[2];
	uint32_t n = 0;

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	pcap_dump_close(dumper);
	pcap_close(p);
	p = saved_open(&state->saved);
	assert_int_equal(pcap_loop(p, -1, see_whole, (u_char *)&n), 0);
	assert_int_equal(n, 40000);
	pcap_close(p);
}

/* ---- names --------------------------------------------------------------------------------- */

static void names_have_numbers(void **in)
{
	struct addrinfo *info = pcap_nametoaddrinfo("192.0.2.7");
	bpf_u_int32 **addresses = pcap_nametoaddr("192.0.2.7");
	int port = 0, last = 0, protocol = 0;

	(void)in;
	assert_non_null(info);
	assert_int_equal(info->ai_family, AF_INET);
	freeaddrinfo(info);
	assert_non_null(addresses);
	assert_int_equal(**addresses, 0xC0000207u);
	assert_int_equal(pcap_nametoeproto("ip6"), 0x86dd);
	assert_int_equal(pcap_nametoeproto("nothing"), PROTO_UNDEF);
	assert_int_equal(pcap_nametollc("stp"), 0x42);
	assert_int_equal(pcap_nametollc("nothing"), PROTO_UNDEF);
	assert_int_equal(pcap_nametonetaddr("no-such-net"), 0);
	assert_int_equal(pcap_nametoport("no-such-port", &port, &protocol), 0);
	assert_int_equal(pcap_nametoportrange("20-25", &port, &last, &protocol), 1);
	assert_int_equal(port, 20);
	assert_int_equal(last, 25);
	assert_int_equal(pcap_nametoportrange("no-such", &port, &last, &protocol), 0);
	/* Without /etc/protocols libpcap answers 0, for every name. */
	if (getprotobyname("tcp")) {
		assert_int_equal(pcap_nametoproto("tcp"), 6);
		assert_int_equal(pcap_nametoproto("no-such-protocol"), PROTO_UNDEF);
	}
	if (getservbyname("http", "tcp")) {
		assert_int_equal(pcap_nametoport("http", &port, &protocol), 1);
		assert_int_equal(port, 80);
	}
}

struct eproto {
	const char *s;
	u_short p;
};
extern struct eproto eproto_db[];

static void ethertypes_are_in_a_table(void **in)
{
	int n = 0;

	(void)in;
	for (const struct eproto *entry = eproto_db; entry->s; entry++) {
		assert_int_equal(pcap_nametoeproto(entry->s), entry->p);
		n++;
	}
	assert_true(n >= 10);
}

static void ethers_are_parsed(void **in)
{
	static const u_char wanted[] = { 2, 0, 0, 0x1a, 0xff, 7 };
	FILE *file = tmpfile();
	struct pcap_etherent *entry;
	u_char *address = pcap_ether_aton("2:0:0:1a:ff:7");

	(void)in;
	assert_non_null(address);
	assert_memory_equal(address, wanted, 6);
	free(address);
	assert_null(pcap_ether_hostton("no-such-host.invalid"));
	fputs("# comment\n2:0:0:1a:ff:7 router\n\n0:0:0:0:0:1 other # more\n", file);
	rewind(file);
	entry = pcap_next_etherent(file);
	assert_non_null(entry);
	assert_string_equal(entry->name, "router");
	assert_memory_equal(entry->addr, wanted, 6);
	entry = pcap_next_etherent(file);
	assert_non_null(entry);
	assert_string_equal(entry->name, "other");
	assert_null(pcap_next_etherent(file));
	fclose(file);
}

/* As programs do that were built without an import library. */
static void it_is_loaded_by_its_name_on_windows(void **in)
{
	HMODULE library = LoadLibrary("C:\\Windows\\System32\\Npcap\\wpcap.dll");
	HMODULE packet = LoadLibrary("Packet.dll");

	(void)in;
	assert_non_null(library);
	assert_ptr_equal((void *)GetProcAddress(library, "pcap_sendqueue_alloc"),
			 (void *)pcap_sendqueue_alloc);
	assert_ptr_equal((void *)GetProcAddress(packet, "PacketOpenAdapter"),
			 (void *)PacketOpenAdapter);
	assert_true(FreeLibrary(packet));
	assert_true(FreeLibrary(library));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_library_says_what_it_is),
		TEST(errors_have_texts),
		TEST(devices_are_listed),
		TEST(nets_of_devices_are_looked_up),
		TEST(expressions_are_compiled),
		TEST(programs_are_printed),
		TEST(link_types_have_names),
		TEST(time_stamps_have_names),
		TEST(dead_handles_do_little),
		TEST(savefiles_are_opened_in_every_way),
		TEST(what_is_no_savefile_is_refused),
		TEST(what_a_savefile_is),
		TEST(savefiles_cannot_do_what_adapters_can),
		TEST(additions_want_a_live_capture),
		TEST(savefiles_are_read_in_every_way),
		TEST(savefiles_are_filtered),
		TEST(savefiles_are_appended_to),
		TEST(a_failed_savefile_stays_as_it_is),
		TEST(threads_write_whole_packets),
		TEST(names_have_numbers),
		TEST(ethertypes_are_in_a_table),
		TEST(ethers_are_parsed),
		TEST(it_is_loaded_by_its_name_on_windows),
	};

	if (sanitized())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
