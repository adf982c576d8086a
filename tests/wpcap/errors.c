/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every error that libpcap's manual pages tell of, asked of handles in every state: linked with libpcap,
 * so that differential.sh can compare what libpcap says with what libwpcap says in its place.
 */
#include <pcap/pcap.h>

#include <errno.h>
#include <pcap/namedb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE  "va"
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static char errbuf[PCAP_ERRBUF_SIZE];
static char savefile[] = "/tmp/npf-errors-XXXXXX";
static const u_char frame[100];
static u_char large[70000];

/* ---- calls: what each returns, with its text where it failed ------------------------------- */

static int list_tstamp_types(pcap_t *p)
{
	int *types = NULL, n = pcap_list_tstamp_types(p, &types);

	pcap_free_tstamp_types(types);
	return n;
}

static int list_datalinks(pcap_t *p)
{
	int *types = NULL, n = pcap_list_datalinks(p, &types);

	if (n > 0)
		pcap_free_datalinks(types);
	return n;
}

static int compile(pcap_t *p, const char *expression)
{
	struct bpf_program program = { 0 };
	int result = pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN);

	if (!result)
		pcap_freecode(&program);
	return result;
}

static int set_filter(pcap_t *p, struct bpf_insn *insns, u_int n)
{
	struct bpf_program program = { n, insns };

	return pcap_setfilter(p, &program);
}

static struct bpf_insn accept_all[] = { BPF_STMT(BPF_RET | BPF_K, 65535) };
static struct bpf_insn unknown[] = { BPF_STMT(0xFFFF, 0), BPF_STMT(BPF_RET | BPF_K, 0) };
static struct bpf_insn endless[] = { BPF_STMT(BPF_LD | BPF_IMM, 0) };
static struct bpf_insn outside[] = { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 9, 9),
				     BPF_STMT(BPF_RET | BPF_K, 0) };
static struct bpf_insn by_zero[] = { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
				     BPF_STMT(BPF_RET | BPF_K, 0) };
static struct bpf_insn no_memory[] = { BPF_STMT(BPF_ST, 16), BPF_STMT(BPF_RET | BPF_K, 0) };

static int stats(pcap_t *p)
{
	struct pcap_stat answer;

	return pcap_stats(p, &answer);
}

static int next_ex(pcap_t *p)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	return pcap_next_ex(p, &header, &data);
}

static int next(pcap_t *p)
{
	struct pcap_pkthdr header;

	return pcap_next(p, &header) ? 0 : -1;
}

static void see(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)user;
	(void)header;
	(void)data;
}

static int written(pcap_dumper_t *dumper)
{
	if (!dumper)
		return -1;
	pcap_dump_close(dumper);
	return 0;
}

/* What the errors are kept apart in: these have no handle's text. */
static int in_errbuf(pcap_t *p, int result)
{
	(void)p;
	if (result < 0)
		printf("[%s] ", errbuf);
	return result;
}

#define CALL(name, call)                                                                           \
	static int name(pcap_t *p)                                                                 \
	{                                                                                          \
		return call;                                                                       \
	}
#define CALLS(X)                                                                                   \
	X(set_snaplen, pcap_set_snaplen(p, -1))                                                    \
	X(set_promisc, pcap_set_promisc(p, 1))                                                     \
	X(set_rfmon, pcap_set_rfmon(p, 0))                                                         \
	X(set_timeout, pcap_set_timeout(p, -1))                                                    \
	X(set_buffer_size, pcap_set_buffer_size(p, 0))                                             \
	X(set_buffer_size_negative, pcap_set_buffer_size(p, -1))                                   \
	X(set_immediate_mode, pcap_set_immediate_mode(p, 1))                                       \
	X(set_tstamp_type, pcap_set_tstamp_type(p, PCAP_TSTAMP_HOST))                              \
	X(set_tstamp_type_unknown, pcap_set_tstamp_type(p, 77))                                    \
	X(set_tstamp_type_adapter, pcap_set_tstamp_type(p, PCAP_TSTAMP_ADAPTER))                   \
	X(set_tstamp_type_negative, pcap_set_tstamp_type(p, -1))                                   \
	X(set_tstamp_precision, pcap_set_tstamp_precision(p, 7))                                   \
	X(set_tstamp_precision_negative, pcap_set_tstamp_precision(p, -1))                         \
	X(set_protocol_linux, pcap_set_protocol_linux(p, 0))                                       \
	X(can_set_rfmon, pcap_can_set_rfmon(p))                                                    \
	X(tstamp_types, list_tstamp_types(p))                                                      \
	X(datalink, pcap_datalink(p))                                                              \
	X(datalink_ext, pcap_datalink_ext(p))                                                      \
	X(datalinks, list_datalinks(p))                                                            \
	X(set_datalink, pcap_set_datalink(p, DLT_PPP))                                             \
	X(set_datalink_unknown, pcap_set_datalink(p, 9999))                                        \
	X(set_datalink_negative, pcap_set_datalink(p, -1))                                         \
	X(snapshot, pcap_snapshot(p))                                                              \
	X(is_swapped, pcap_is_swapped(p))                                                          \
	X(major_version, pcap_major_version(p))                                                    \
	X(minor_version, pcap_minor_version(p))                                                    \
	X(tstamp_precision, pcap_get_tstamp_precision(p))                                          \
	X(file, pcap_file(p) ? 0 : -1)                                                             \
	X(fileno_is_one, pcap_fileno(p) >= 0)                                                      \
	X(selectable_is_one, pcap_get_selectable_fd(p) >= 0)                                       \
	X(select_timeout, pcap_get_required_select_timeout(p) != NULL)                             \
	X(getnonblock, in_errbuf(p, pcap_getnonblock(p, errbuf)))                                  \
	X(setnonblock, in_errbuf(p, pcap_setnonblock(p, 1, errbuf)))                               \
	X(direction_unknown, pcap_setdirection(p, (pcap_direction_t)7))                            \
	X(direction_in, pcap_setdirection(p, PCAP_D_IN))                                           \
	X(direction_back, pcap_setdirection(p, PCAP_D_INOUT))                                      \
	X(compile_nothing, compile(p, NULL))                                                       \
	X(compile_empty, compile(p, ""))                                                           \
	X(compile_syntax, compile(p, "tcp and and"))                                               \
	X(compile_port, compile(p, "port 70000"))                                                  \
	X(compile_host, compile(p, "host 1.2.3.4.5"))                                              \
	X(compile_mask, compile(p, "net 10.1.2.3 mask 255.0.0.0"))                                 \
	X(compile_broadcast, compile(p, "ip broadcast"))                                           \
	X(compile_wlan, compile(p, "wlan addr1 1:2:3:4:5:6"))                                      \
	X(compile_offset, compile(p, "ether[70000:3] = 1"))                                        \
	X(filter_null, pcap_setfilter(p, NULL))                                                    \
	X(filter_empty, set_filter(p, NULL, 0))                                                    \
	X(filter_unknown, set_filter(p, unknown, N_OF(unknown)))                                   \
	X(filter_endless, set_filter(p, endless, N_OF(endless)))                                   \
	X(filter_outside, set_filter(p, outside, N_OF(outside)))                                   \
	X(filter_by_zero, set_filter(p, by_zero, N_OF(by_zero)))                                   \
	X(filter_no_memory, set_filter(p, no_memory, N_OF(no_memory)))                             \
	X(filter_good, set_filter(p, accept_all, N_OF(accept_all)))                                \
	X(statistics, stats(p))                                                                    \
	X(inject_large, pcap_inject(p, large, sizeof(large)))                                      \
	X(inject_short, pcap_inject(p, frame, 5))                                                  \
	X(sendpacket_large, pcap_sendpacket(p, large, sizeof(large)))                              \
	X(sendpacket_short, pcap_sendpacket(p, frame, 5))                                          \
	X(dump_null, written(pcap_dump_open(p, NULL)))                                             \
	X(dump_nowhere, written(pcap_dump_open(p, "/nonexistent/x")))                              \
	X(append_nowhere, written(pcap_dump_open_append(p, "/nonexistent/x")))                     \
	X(append_no_savefile, written(pcap_dump_open_append(p, "/proc/version")))                  \
	X(append_null, written(pcap_dump_open_append(p, NULL)))                                    \
	X(next_packet_ex, next_ex(p))                                                              \
	X(dispatch, pcap_dispatch(p, 1, see, NULL))                                                \
	X(next_packet, next(p))                                                                    \
	X(activate, pcap_activate(p))

CALLS(CALL)

#define ENTRY(name, call) { #name, name },
static const struct {
	const char *name;
	int (*call)(pcap_t *p);
} calls[] = { CALLS(ENTRY) };

/* ---- handles ------------------------------------------------------------------------------- */

static void tell(const char *what, const char *state, int result, pcap_t *p)
{
	printf("%s, %s = %d", state, what, result);
	if (result < 0)
		printf(" (%s)", pcap_geterr(p));
	puts("");
}

static pcap_t *none(void)
{
	return pcap_create(DEVICE, errbuf);
}

static pcap_t *failed(void)
{
	pcap_t *p = pcap_create("nothing", errbuf);

	pcap_activate(p);
	return p;
}

static pcap_t *activated(const char *device)
{
	pcap_t *p = pcap_open_live(device, 1000, 0, 10, errbuf);

	if (!p || pcap_setnonblock(p, 1, errbuf))
		printf("%s: %s\n", device, errbuf);
	return p;
}

static pcap_t *live(void)
{
	return activated(DEVICE);
}

static pcap_t *loopback(void)
{
	return activated("lo");
}

static pcap_t *raw_ip(void)
{
	return activated("vtun");
}

static pcap_t *any(void)
{
	return activated("any");
}

static pcap_t *saved(void)
{
	return pcap_open_offline(savefile, errbuf);
}

static pcap_t *dead(void)
{
	return pcap_open_dead(DLT_EN10MB, 100);
}

static pcap_t *dead_unknown(void)
{
	return pcap_open_dead(9999, 100);
}

static const struct {
	const char *name;
	pcap_t *(*open)(void);
	bool cheap;
} states[] = {
	{ "not activated", none, true },
	{ "failed", failed, true },
	{ "live", live, false },
	{ "loopback", loopback, false },
	{ "raw IP", raw_ip, false },
	{ "any", any, false },
	{ "savefile", saved, true },
	{ "dead", dead, true },
	{ "dead of no link type", dead_unknown, true },
};

/* Where libpcap itself does not survive. */
static bool crashes(pcap_t *(*open)(void), int (*call)(pcap_t *p))
{
	return (open == failed && call == activate) || (open == saved && call == filter_null);
}

/* One after the other on one handle; alone on a fresh one as well, where that takes no time. */
static void tell_calls(void)
{
	for (size_t s = 0; s < N_OF(states); s++) {
		pcap_t *(*open)(void) = states[s].open;
		pcap_t *alone, *p = open();

		for (size_t i = 0; p && i < N_OF(calls); i++) {
			if (crashes(open, calls[i].call))
				continue;
			tell(calls[i].name, states[s].name, calls[i].call(p), p);
			if (!states[s].cheap)
				continue;
			alone = open();
			tell(calls[i].name, "alone", calls[i].call(alone), alone);
			pcap_close(alone);
		}
		if (p)
			pcap_close(p);
	}
}

/* ---- opening ------------------------------------------------------------------------------- */

static const char *const devices[] = {
	"nothing",
	"",
	"va:1",
	"vdown",
	"a_name_that_is_longer_than_adapters_may_have",
	"va/b",
	".",
	"..",
	"any",
	"vcan7",
	"nflog:x",
	"bluetooth99",
	"usbmon99",
	"dbus-nothing",
	"\\Device\\NPF_nothing",
	NULL,
};

static void tell_opened(const char *what, const char *name, pcap_t *p)
{
	printf("%s %s: %s\n", what, name ? name : "null", p ? "open" : errbuf);
	if (p)
		pcap_close(p);
}

static void tell_devices(void)
{
	for (size_t i = 0; i < N_OF(devices); i++) {
		const char *shown = devices[i] ? devices[i] : "null";
		pcap_t *p;
		int status;

		strcpy(errbuf, "(as it was)");
		/* Of no device at all libpcap says "(null)". */
		if (devices[i])
			tell_opened("open_live", devices[i],
				    pcap_open_live(devices[i], 100, 1, 10, errbuf));
		p = pcap_create(devices[i], errbuf);
		if (!p) {
			printf("create %s: %s\n", shown, errbuf);
			continue;
		}
		pcap_set_promisc(p, 1);
		status = pcap_activate(p);
		printf("activate %s: %d, %s (%s)\n", shown, status, pcap_statustostr(status),
		       status ? pcap_geterr(p) : "");
		pcap_close(p);
	}
}

static void tell_options(void)
{
	for (int type = PCAP_TSTAMP_HOST; type <= PCAP_TSTAMP_HOST_HIPREC_UNSYNCED; type++) {
		pcap_t *p = none();

		printf("time stamps %d: set %d", type, pcap_set_tstamp_type(p, type));
		printf(", activate %d\n", pcap_activate(p));
		pcap_close(p);
	}
	for (int snaplen = -1; snaplen <= 1; snaplen++) {
		pcap_t *p = none();

		pcap_set_snaplen(p, snaplen);
		printf("snaplen %d: %d", snaplen, pcap_activate(p));
		printf(", %d\n", pcap_snapshot(p));
		pcap_close(p);
	}
}

/* ---- savefiles ----------------------------------------------------------------------------- */

static void make_savefile(void)
{
	struct pcap_pkthdr header = { .caplen = sizeof(frame), .len = sizeof(frame) };
	pcap_t *p = dead();
	pcap_dumper_t *dumper;

	close(mkstemp(savefile));
	dumper = pcap_dump_open(p, savefile);
	pcap_dump((u_char *)dumper, &header, frame);
	pcap_dump((u_char *)dumper, &header, frame);
	pcap_dump_close(dumper);
	pcap_close(p);
}

static void tell_read(const char *what)
{
	pcap_t *p = pcap_open_offline(savefile, errbuf);

	if (!p) {
		printf("%s: %s\n", what, errbuf);
		return;
	}
	for (int i = 0; i < 4; i++)
		tell("next_ex", what, next_ex(p), p);
	tell("loop", what, pcap_loop(p, -1, see, NULL), p);
	pcap_close(p);
}

static void tell_cut(off_t length)
{
	char what[32];

	snprintf(what, sizeof(what), "%d bytes", (int)length);
	if (truncate(savefile, length))
		puts("no savefile");
	tell_read(what);
}

static void tell_savefiles(void)
{
	tell_opened("offline", "null", pcap_open_offline(NULL, errbuf));
	tell_opened("offline", "/", pcap_open_offline("/", errbuf));
	tell_opened("offline", "/dev/null", pcap_open_offline("/dev/null", errbuf));
	tell_opened("offline, precision", "7",
		    pcap_open_offline_with_tstamp_precision(savefile, 7, errbuf));
	tell_opened("fopen", "null", pcap_fopen_offline(NULL, errbuf));
	tell_read("whole");
	tell_cut(24 + 2 * 116 - 1);
	tell_cut(24 + 116 + 15);
	tell_cut(24 + 116);
	tell_cut(23);
	tell_cut(3);
	tell_cut(0);
}

/* ---- files that are written ---------------------------------------------------------------- */

static void tell_dumper(const char *name)
{
	struct pcap_pkthdr header = { .caplen = sizeof(frame), .len = sizeof(frame) };
	pcap_t *p = dead();
	pcap_dumper_t *dumper = pcap_dump_open(p, name);

	if (!dumper) {
		printf("%s: %s\n", name, pcap_geterr(p));
		pcap_close(p);
		return;
	}
	/* More than the stream holds back. */
	for (int i = 0; i < 100; i++)
		pcap_dump((u_char *)dumper, &header, frame);
	printf("written: flushed %d", pcap_dump_flush(dumper));
	printf(", at %ld and %lld", pcap_dump_ftell(dumper), (long long)pcap_dump_ftell64(dumper));
	printf(", error %d\n", ferror(pcap_dump_file(dumper)) != 0);
	pcap_dump_close(dumper);
	pcap_close(p);
}

static void tell_dumpers(void)
{
	tell_dumper(savefile);
	tell_dumper("/dev/full");
	tell_dumper("/dev/null");
	tell_dumper("/tmp");
}

/* ---- names --------------------------------------------------------------------------------- */

static const char *const words[] = { "tcp",    "ip6",     "nothing-of-this", "",
				     "EN10MB", "adapter", "1:2:3:4:5:6",     "80",
				     "70000",  "1-2",     "300.1.1.1",       "10.1.2.3" };
static const int numbers[] = { -2000000, -1, 0, 1, 12, 147, 9999 };

static const char *shown(const char *text)
{
	return text ? text : "null";
}

static void tell_word(const char *word)
{
	int port = -7, last = -7, protocol = -7, n;

	printf("\"%s\": link type %d", word, pcap_datalink_name_to_val(word));
	printf(", time stamps %d", pcap_tstamp_type_name_to_val(word));
	printf(", protocol %d", pcap_nametoproto(word));
	printf(", ether %d", pcap_nametoeproto(word));
	printf(", llc %d", pcap_nametollc(word));
	n = pcap_nametoport(word, &port, &protocol);
	printf(", port %d %d %d", n, n ? port : 0, n ? protocol : 0);
	n = pcap_nametoportrange(word, &port, &last, &protocol);
	printf(", range %d %d %d", n, n ? port : 0, n ? last : 0);
	printf(", net %x\n", pcap_nametonetaddr(word));
}

static void tell_number(int n)
{
	printf("%d: %s, %s", n, shown(pcap_datalink_val_to_name(n)),
	       shown(pcap_datalink_val_to_description(n)));
	printf(", %s", pcap_datalink_val_to_description_or_dlt(n));
	printf(", %s, %s", shown(pcap_tstamp_type_val_to_name(n)),
	       shown(pcap_tstamp_type_val_to_description(n)));
	printf(", %s, %s\n", pcap_statustostr(n), pcap_strerror(n));
}

static void tell_names(void)
{
	struct bpf_program program = { 0 };

	for (size_t i = 0; i < N_OF(words); i++)
		tell_word(words[i]);
	for (size_t i = 0; i < N_OF(numbers); i++)
		tell_number(numbers[i]);
	printf("init: %d", pcap_init(77, errbuf));
	printf(" %s\n", errbuf);
	printf("nopcap: %d", pcap_compile_nopcap(100, DLT_EN10MB, &program, "tcp and", 1, 0));
	printf(" %d\n", pcap_compile_nopcap(100, 9999, &program, "ip", 1, 0));
	printf("device: %s\n", shown(pcap_lookupdev(errbuf)));
	printf("valid: %d %d\n", bpf_validate(by_zero, N_OF(by_zero)), bpf_validate(accept_all, 1));
}

/* ---- without a right ------------------------------------------------------------------------ */

static void tell_without_rights(void)
{
	pid_t child = fork();

	if (!child) {
		if (setgid(65534) || setuid(65534))
			puts("still root");
		tell_devices();
		tell_options();
		exit(0);
	}
	waitpid(child, NULL, 0);
}

/* ngrep shows it behind the sentence. */
static void tell_errno(void)
{
	pcap_t *p = pcap_open_live("nosuch", 100, 0, 100, errbuf);

	printf("open live: %s: %s\n", p ? "open" : errbuf, strerror(errno));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Which of the two it was, for differential.sh to take out. */
	printf("library: %s\n", pcap_lib_version());
	make_savefile();
	tell_calls();
	tell_devices();
	tell_options();
	tell_errno();
	tell_without_rights();
	tell_savefiles();
	tell_dumpers();
	tell_names();
	unlink(savefile);
	return 0;
}
