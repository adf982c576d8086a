/* SPDX-License-Identifier: BSD-3-Clause */
/* Every failure of libpacket leaves a code for GetLastError() and one sentence, its own. */
#include "packet/adapter.h"

#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

static char *text(const char *constant)
{
	return (char *)(uintptr_t)constant;
}

/* ---- what has no adapter ------------------------------------------------------------------- */

static npf_if_addr addresses[2];
static char long_name[1100];
static struct dump_bpf_hdr broken_queue[] = { { .caplen = 4000, .len = 4000 } };

static BOOLEAN names(PCHAR to, ULONG size)
{
	return PacketGetAdapterNames(to, &size);
}

static BOOLEAN addresses_of(const char *name, npf_if_addr *to, LONG n)
{
	return PacketGetNetInfoEx(text(name), to, &n);
}

static BOOLEAN is_opened(LPADAPTER adapter)
{
	PacketCloseAdapter(adapter);
	return adapter != NULL;
}

static BOOLEAN opens(const char *name)
{
	return is_opened(PacketOpenAdapter(text(name)));
}

static BOOLEAN opens_buffered(const char *name, int bytes)
{
	return is_opened(PacketOpenAdapterBuffered(text(name), bytes));
}

/* ---- what has one -------------------------------------------------------------------------- */

static BOOLEAN receives(struct state *state, UINT length)
{
	PacketInitPacket(state->packet, state->buffer, length);
	return PacketReceivePacket(state->adapter, state->packet, TRUE);
}

static BOOLEAN receives_into_too_little(struct state *state)
{
	return PacketSetBuff(state->adapter, BUFFER) && receives(state, 19);
}

static BOOLEAN sends(struct state *state, UINT length)
{
	PacketInitPacket(state->packet, state->buffer, length);
	return PacketSendPacket(state->adapter, state->packet, TRUE);
}

static BOOLEAN sends_when_down(struct state *state)
{
	net_run(&state->net, NET_HERE, "ip link set va down");
	return sends(state, LENGTH);
}

static void remove_adapter(struct state *state)
{
	net_run(&state->net, NET_HERE, "ip link del va");
}

static BOOLEAN receives_when_gone(struct state *state)
{
	if (!PacketSetBuff(state->adapter, BUFFER))
		return TRUE;
	remove_adapter(state);
	return receives(state, sizeof(state->buffer));
}

static BOOLEAN sends_when_gone(struct state *state)
{
	remove_adapter(state);
	return sends(state, LENGTH);
}

static BOOLEAN kind_when_gone(struct state *state)
{
	NetType type;

	remove_adapter(state);
	return PacketGetNetType(state->adapter, &type);
}

static BOOLEAN sends_queue(struct state *state, void *queue, ULONG size, BOOLEAN sync)
{
	return PacketSendPackets(state->adapter, queue, size, sync) == (INT)size;
}

static BOOLEAN sends_queue_when_gone(struct state *state)
{
	struct {
		struct dump_bpf_hdr header;
		uint8_t frame[LENGTH];
	} queue = { .header = { .caplen = LENGTH, .len = LENGTH } };

	remove_adapter(state);
	return sends_queue(state, &queue, sizeof(queue), FALSE);
}

static BOOLEAN filter(struct state *state, struct bpf_insn *insns, u_int n)
{
	struct bpf_program program = { n, insns };

	return PacketSetBpf(state->adapter, &program);
}

static BOOLEAN request(struct state *state, BOOLEAN set, ULONG oid, ULONG length)
{
	ULONG data[4] = { oid, length, 0, 0 };

	return PacketRequest(state->adapter, set, (PPACKET_OID_DATA)data);
}

static BOOLEAN request_when_gone(struct state *state)
{
	remove_adapter(state);
	return request(state, FALSE, OID_GEN_LINK_SPEED, 4);
}

static BOOLEAN modes(struct state *state, ULONG room)
{
	ULONG list[8] = { room };

	return PacketGetTimestampModes(state->adapter, list);
}

static BOOLEAN dump_name(struct state *state, const char *name, int length)
{
	return PacketSetDumpName(state->adapter, text(name), length);
}

static BOOLEAN dumps_to(struct state *state, const char *name)
{
	return PacketSetBuff(state->adapter, BUFFER) &&
	       PacketSetMode(state->adapter, PACKET_MODE_DUMP) &&
	       dump_name(state, name, (int)strlen(name));
}

static BOOLEAN dumps_from_nowhere(struct state *state)
{
	char folder[] = "/tmp/npf-gone-XXXXXX";
	BOOLEAN result;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	rmdir(folder);
	result = dump_name(state, "x", 1);
	assert_int_equal(chdir("/"), 0);
	return result;
}

/* ---- all of them --------------------------------------------------------------------------- */

static struct bpf_insn unknown[] = { { .code = 0xFFFF } };
static struct bpf_insn endless[] = { { .code = BPF_LD | BPF_IMM } };

static void check(const char *call, BOOLEAN result, const ADAPTER *adapter, int error, DWORD code,
		  const char *sentence)
{
	const int err = errno;
	const DWORD last = GetLastError();
	const char *said = PacketGetErrorText(adapter);

	if (result || err != error || last != code || strlen(said) < 15 || !strstr(said, sentence))
		fail_msg("%s: result %d, errno %d (%s), last error %u: %s", call, result, err,
			 strerror(err), last, said);
}

/* Fails, with errno, with what Windows' programs ask for, and with a part of the sentence. */
#define FAILS_OF(adapter, call, error, code, sentence)                                             \
	do {                                                                                       \
		errno = 0;                                                                         \
		check(#call, (BOOLEAN)(call), (adapter), (error), (code), (sentence));             \
	} while (0)
#define FAILS(call, error, code, sentence)         FAILS_OF(state->adapter, call, error, code, sentence)
#define FAILS_WITHOUT(call, error, code, sentence) FAILS_OF(NULL, call, error, code, sentence)

static void adapters_are_refused(void **in)
{
	(void)in;
	FAILS_WITHOUT(names(NULL, 0), ENOBUFS, ERROR_INSUFFICIENT_BUFFER, "more room");
	FAILS_WITHOUT(names(long_name, 5), ENOBUFS, ERROR_INSUFFICIENT_BUFFER, "more room");
	FAILS_WITHOUT(PacketGetAdapterNames(long_name, NULL), EINVAL, ERROR_INVALID_PARAMETER,
		      "size");
	FAILS_WITHOUT(addresses_of("nothing", addresses, 2), ENODEV, ERROR_BAD_UNIT,
		      "no such adapter");
	FAILS_WITHOUT(addresses_of(NULL, addresses, 2), ENODEV, ERROR_BAD_UNIT, "no such adapter");
	FAILS_WITHOUT(addresses_of("va", addresses, -1), EINVAL, ERROR_INVALID_PARAMETER,
		      "negative");
	FAILS_WITHOUT(addresses_of("va", NULL, 2), EINVAL, ERROR_INVALID_PARAMETER, "no room");
	FAILS_WITHOUT(PacketGetNetInfoEx(text("va"), addresses, NULL), EINVAL,
		      ERROR_INVALID_PARAMETER, "no room");
	FAILS_WITHOUT(PacketIsLoopbackAdapter("nothing"), ENODEV, ERROR_BAD_UNIT, "no such adapter");
	FAILS_WITHOUT(PacketIsMonitorModeSupported("nothing") + 1, ENODEV, ERROR_BAD_UNIT,
		      "no such");
	FAILS_WITHOUT(PacketGetMonitorMode("nothing") + 1, ENODEV, ERROR_BAD_UNIT,
		      "no such adapter");
	FAILS_WITHOUT(PacketSetMonitorMode("nothing", 1) + 1, ENODEV, ERROR_BAD_UNIT,
		      "no such adapter");
	FAILS_WITHOUT(PacketSetMonitorMode("va", 1), ENOTSUP, ERROR_NOT_SUPPORTED, "monitor mode");
	FAILS_WITHOUT(opens("nothing"), ENODEV, ERROR_BAD_UNIT, "no such adapter");
	FAILS_WITHOUT(opens(NULL), ENODEV, ERROR_BAD_UNIT, "no such adapter");
	FAILS_WITHOUT(opens_buffered("nothing", 65536), ENODEV, ERROR_BAD_UNIT, "no such adapter");
	FAILS_WITHOUT(opens_buffered("va", -1), EINVAL, ERROR_INVALID_PARAMETER, "negative");
	FAILS_WITHOUT(opens_buffered("va", INT_MAX), EINVAL, ERROR_INVALID_PARAMETER, "too large");
	FAILS_WITHOUT(PacketStopDriver(), EBUSY, ERROR_BUSY, "open");
}

/* By the kernel; so that the test's own rights stay, in a child. */
static void rights_are_missed(void **in)
{
	pid_t child = fork();
	int status;

	(void)in;
	if (!child) {
		BOOLEAN opened = setgid(65534) || setuid(65534) || opens("va");

		_exit(opened || GetLastError() != ERROR_ACCESS_DENIED ||
		      !strstr(PacketGetErrorText(NULL), "CAP_"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void receiving_is_refused(void **in)
{
	struct state *state = *in;

	FAILS(receives(state, 1000), EINVAL, ERROR_INVALID_PARAMETER, "buffer");
	FAILS(receives_into_too_little(state), ENOBUFS, ERROR_INSUFFICIENT_BUFFER, "bytes");
}

static void a_departed_adapter_ends_receiving(void **in)
{
	struct state *state = *in;

	FAILS(receives_when_gone(state), ENODEV, ERROR_BAD_UNIT, "gone");
}

static void a_departed_adapter_ends_sending(void **in)
{
	struct state *state = *in;

	FAILS(sends_when_gone(state), ENODEV, ERROR_BAD_UNIT, "gone");
}

static void a_departed_adapter_ends_queues(void **in)
{
	struct state *state = *in;

	FAILS(sends_queue_when_gone(state), ENODEV, ERROR_BAD_UNIT, "gone");
}

static void a_departed_adapter_has_no_kind(void **in)
{
	struct state *state = *in;

	FAILS(kind_when_gone(state), ENODEV, ERROR_BAD_UNIT, "gone");
}

static void a_departed_adapter_answers_nothing(void **in)
{
	struct state *state = *in;

	FAILS(request_when_gone(state), ENODEV, ERROR_BAD_UNIT, "gone");
}

static void sending_is_refused(void **in)
{
	struct state *state = *in;

	FAILS(sends(state, 0), EINVAL, ERROR_INVALID_PARAMETER, "frame");
	FAILS(sends(state, 13), EINVAL, ERROR_INVALID_PARAMETER, "14");
	FAILS(sends(state, 60000), EMSGSIZE, ERROR_MORE_DATA, "1514");
	FAILS(sends_queue(state, broken_queue, sizeof(broken_queue), FALSE), EINVAL,
	      ERROR_INVALID_PARAMETER, "");
	FAILS(sends_queue(state, broken_queue, 15, TRUE), EINVAL, ERROR_INVALID_PARAMETER, "");
	FAILS(sends_queue(state, broken_queue, 1u << 31, TRUE), EMSGSIZE, ERROR_MORE_DATA, "2 GiB");
}

static void nothing_is_sent_when_it_is_down(void **in)
{
	struct state *state = *in;

	FAILS(sends_when_down(state), ENETDOWN, ERROR_NETWORK_DOWN, "down");
}

static void settings_are_refused(void **in)
{
	struct state *state = *in;

	FAILS(PacketSetBuff(state->adapter, -1), EINVAL, ERROR_INVALID_PARAMETER, "negative");
	FAILS(PacketSetBuff(state->adapter, INT_MAX), EINVAL, ERROR_INVALID_PARAMETER, "buffer");
	FAILS(PacketSetMinToCopy(state->adapter, -1), EINVAL, ERROR_INVALID_PARAMETER, "MinToCopy");
	FAILS(PacketSetReadTimeout(state->adapter, -2), EINVAL, ERROR_INVALID_PARAMETER, "timeout");
	FAILS(PacketSetMode(state->adapter, PACKET_MODE_MON), ENOTSUP, ERROR_NOT_SUPPORTED, "mode");
	FAILS(PacketSetNumWrites(state->adapter, -1), EINVAL, ERROR_INVALID_PARAMETER, "copies");
	FAILS(PacketSetLoopbackBehavior(state->adapter, 3), EINVAL, ERROR_INVALID_PARAMETER, "3");
	FAILS(PacketSetTimestampMode(state->adapter, 3), EINVAL, ERROR_INVALID_PARAMETER, "3");
	FAILS(modes(state, 3), ENOBUFS, ERROR_INSUFFICIENT_BUFFER, "modes");
	FAILS(modes(state, 0), ENOBUFS, ERROR_INSUFFICIENT_BUFFER, "modes");
	FAILS(filter(state, unknown, 1), EINVAL, ERROR_INVALID_PARAMETER, "instruction 0");
	FAILS(filter(state, endless, 1), EINVAL, ERROR_INVALID_PARAMETER, "instruction");
	FAILS(filter(state, unknown, 0), ENOBUFS, ERROR_INSUFFICIENT_BUFFER, "");
}

static void oids_are_refused(void **in)
{
	struct state *state = *in;

	FAILS(PacketSetHwFilter(state->adapter, 0x40000000), EINVAL, ERROR_INVALID_PARAMETER, "");
	FAILS(request(state, FALSE, 0x12345678, 4), ENOTSUP, ERROR_NOT_SUPPORTED, "12345678");
	FAILS(request(state, TRUE, OID_802_3_CURRENT_ADDRESS, 6), ENOTSUP, ERROR_NOT_SUPPORTED, "");
	FAILS(request(state, FALSE, OID_802_3_CURRENT_ADDRESS, 5), ENOBUFS,
	      ERROR_INSUFFICIENT_BUFFER, "");
	FAILS(request(state, TRUE, OID_GEN_CURRENT_PACKET_FILTER, 3), ENOBUFS,
	      ERROR_INSUFFICIENT_BUFFER, "");
}

static void dumps_are_refused(void **in)
{
	struct state *state = *in;

	FAILS(PacketIsDumpEnded(state->adapter, TRUE), EINVAL, ERROR_INVALID_PARAMETER, "no dump");
	FAILS(dump_name(state, "/tmp/x", 6), EINVAL, ERROR_INVALID_PARAMETER, "dump mode");
	FAILS(dump_name(state, "", 1), EINVAL, ERROR_INVALID_PARAMETER, "empty");
	FAILS(dump_name(state, "x", 0), EINVAL, ERROR_INVALID_PARAMETER, "empty");
	FAILS(dump_name(state, NULL, 5), EINVAL, ERROR_INVALID_PARAMETER, "empty");
	FAILS(dump_name(state, long_name, 1099), ENAMETOOLONG, ERROR_FILENAME_EXCED_RANGE, "1023");
	FAILS(dumps_from_nowhere(state), ENOENT, ERROR_FILE_NOT_FOUND, "folder");
	FAILS(dumps_to(state, "/nonexistent/x"), ENOENT, ERROR_FILE_NOT_FOUND, "");
	FAILS(dumps_to(state, "/tmp"), EISDIR, ERROR_GEN_FAILURE, "");
	FAILS(PacketSetDumpLimits(state->adapter, 1, 1), EINVAL, ERROR_INVALID_PARAMETER,
	      "24 bytes");
}

/* The driver's sentence follows the library's, and the library's the driver's. */
static void the_last_failure_is_told(void **in)
{
	struct state *state = *in;

	FAILS(PacketSetBuff(state->adapter, -1), EINVAL, ERROR_INVALID_PARAMETER, "negative");
	FAILS(PacketSetLoopbackBehavior(state->adapter, 3), EINVAL, ERROR_INVALID_PARAMETER,
	      "loopback");
	FAILS(PacketSetMinToCopy(state->adapter, -1), EINVAL, ERROR_INVALID_PARAMETER, "MinToCopy");
	PacketCloseAdapter(state->adapter);
	state->adapter = PacketOpenAdapter(text("va"));
	assert_string_equal(PacketGetErrorText(state->adapter), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(adapters_are_refused),
		TEST(rights_are_missed),
		TEST(receiving_is_refused),
		TEST(a_departed_adapter_ends_receiving),
		TEST(a_departed_adapter_ends_sending),
		TEST(a_departed_adapter_ends_queues),
		TEST(a_departed_adapter_has_no_kind),
		TEST(a_departed_adapter_answers_nothing),
		TEST(sending_is_refused),
		TEST(nothing_is_sent_when_it_is_down),
		TEST(settings_are_refused),
		TEST(oids_are_refused),
		TEST(dumps_are_refused),
		TEST(the_last_failure_is_told),
	};

	memset(long_name, 'n', sizeof(long_name) - 1);
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
