/* SPDX-License-Identifier: BSD-3-Clause */
/* Every function of libpacket on real interfaces: what it does, what it refuses, its defaults. */
#include "packet/adapter.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- layouts that the manual fixes --------------------------------------------------------- */

_Static_assert(sizeof(struct bpf_hdr) == 20, "bpf_hdr");
_Static_assert(offsetof(struct bpf_hdr, bh_hdrlen) == 16, "bpf_hdr");
_Static_assert(sizeof(struct dump_bpf_hdr) == 16, "dump_bpf_hdr");
_Static_assert(sizeof(struct bpf_stat) == 16, "bpf_stat");
_Static_assert(sizeof(PACKET_OID_DATA) == 12, "PACKET_OID_DATA");
_Static_assert(offsetof(PACKET_OID_DATA, Data) == 8, "PACKET_OID_DATA");
_Static_assert(sizeof(NetType) == 16, "NetType");
_Static_assert(sizeof(npf_if_addr) == 3 * 128, "npf_if_addr");
_Static_assert(sizeof(ULONG) == 4 && sizeof(DWORD) == 4 && sizeof(LONG) == 4, "32 bits");
_Static_assert(sizeof(((ADAPTER *)0)->SymbolicLink) == 64, "ADAPTER");
_Static_assert(sizeof(((ADAPTER *)0)->Name) == 268, "ADAPTER");
_Static_assert(Packet_WORDALIGN(21) == 24 && Packet_WORDALIGN(24) == 24, "Packet_WORDALIGN");

/* ---- the library --------------------------------------------------------------------------- */

static void versions_are_told(void **in)
{
	(void)in;
	assert_true(strlen(PacketGetVersion()) >= 5);
	assert_string_equal(PacketGetVersion(), PacketLibraryVersion);
	assert_string_equal(PacketGetVersion(), PacketGetDriverVersion());
	assert_string_equal(PacketGetDriverName(), "NPF");
}

static void the_driver_stops_when_nothing_is_open(void **in)
{
	struct state *state = *in;

	assert_refused(PacketStopDriver(), EBUSY);
	PacketCloseAdapter(state->adapter);
	assert_true(PacketStopDriver());
	assert_true(PacketStopDriver());
	state->adapter = PacketOpenAdapter((PCHAR) "va");
	assert_non_null(state->adapter);
}

/* ---- adapters ------------------------------------------------------------------------------ */

static void names_and_descriptions_are_listed(void **in)
{
	const char lo[] = "lo", va[] = "va";
	char names[256];
	ULONG size = sizeof(names);

	(void)in;
	assert_true(PacketGetAdapterNames(names, &size));
	assert_memory_equal(names, lo, sizeof(lo));
	assert_memory_equal(names + 3, va, sizeof(va));
	assert_int_equal(names[6], 0);
	assert_string_equal(names + 7, "Loopback");
	assert_string_equal(names + 16, "veth Ethernet");
	assert_int_equal(names[30], 0);
	assert_int_equal(size, 31);
}

static void names_need_room(void **in)
{
	char names[31];
	ULONG size = 0;

	(void)in;
	assert_refused(PacketGetAdapterNames(NULL, &size), ENOBUFS);
	assert_int_equal(size, 31);
	size = 30;
	memset(names, 'x', sizeof(names));
	assert_refused(PacketGetAdapterNames(names, &size), ENOBUFS);
	assert_int_equal(size, 31);
	assert_int_equal(names[0], 'x');
	assert_true(PacketGetAdapterNames(names, &size));
	assert_refused(PacketGetAdapterNames(names, NULL), EINVAL);
}

static void addresses_are_told(void **in)
{
	struct state *state = *in;
	npf_if_addr addresses[4];
	LONG n = 4;

	assert_true(PacketGetNetInfoEx((PCHAR) "va", addresses, &n));
	assert_int_equal(n, 0);
	net_run(&state->net, NET_HERE, "ip addr add 192.0.2.1/25 broadcast 192.0.2.127 dev va");
	net_run(&state->net, NET_HERE, "ip addr add 198.51.100.1/32 dev va");
	n = 4;
	assert_true(PacketGetNetInfoEx((PCHAR) "va", addresses, &n));
	assert_int_equal(n, 2);

	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addresses[0].IPAddress;

	assert_int_equal(v4->sin_family, AF_INET);
	assert_int_equal(v4->sin_addr.s_addr, inet_addr("192.0.2.1"));
	assert_int_equal(v4->sin_addr.S_un.S_un_b.s_b4, 1);
	v4 = (const struct sockaddr_in *)&addresses[0].SubnetMask;
	assert_int_equal(v4->sin_addr.s_addr, inet_addr("255.255.255.128"));
	v4 = (const struct sockaddr_in *)&addresses[0].Broadcast;
	assert_int_equal(v4->sin_addr.s_addr, inet_addr("192.0.2.127"));
	assert_int_equal(addresses[1].Broadcast.ss_family, 0);
	n = 1;
	assert_true(PacketGetNetInfoEx((PCHAR) "va", addresses, &n));
	assert_int_equal(n, 1);
	assert_refused(PacketGetNetInfoEx((PCHAR) "nothing", addresses, &n), ENODEV);
	n = -1;
	assert_refused(PacketGetNetInfoEx((PCHAR) "va", addresses, &n), EINVAL);
}

static void ipv6_addresses_are_told(void **in)
{
	struct state *state = *in;
	npf_if_addr address;
	LONG n = 1;

	net_write(&state->net, NET_HERE, "/proc/sys/net/ipv6/conf/va/disable_ipv6", "0");
	net_run(&state->net, NET_HERE, "ip addr flush dev va");
	net_run(&state->net, NET_HERE, "ip addr add fd00::7/61 dev va nodad");
	assert_true(PacketGetNetInfoEx((PCHAR) "va", &address, &n));
	assert_int_equal(n, 1);

	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address.SubnetMask;

	assert_int_equal(address.IPAddress.ss_family, AF_INET6);
	assert_int_equal(v6->sin6_addr.s6_addr[6], 0xFF);
	assert_int_equal(v6->sin6_addr.s6_addr[7], 0xF8);
	assert_int_equal(v6->sin6_addr.s6_addr[8], 0);
}

static void kinds_are_told(void **in)
{
	struct state *state = *in;
	NetType type;

	assert_true(PacketGetNetType(state->adapter, &type));
	assert_int_equal(type.LinkType, NdisMedium802_3);
	assert_true(type.LinkSpeed == 10000000000ull);
	assert_true(PacketIsLoopbackAdapter("lo"));
	assert_false(PacketIsLoopbackAdapter("va"));
	assert_false(PacketIsLoopbackAdapter("nothing"));
	assert_int_equal(PacketIsMonitorModeSupported("va"), 0);
	assert_int_equal(PacketGetMonitorMode("va"), 0);
	assert_int_equal(PacketSetMonitorMode("va", 0), 1);
	assert_int_equal(PacketSetMonitorMode("va", 1), 0);
	assert_int_equal(PacketGetMonitorMode("nothing"), -1);
	assert_int_equal(PacketSetMonitorMode("nothing", 1), -1);
	assert_null(PacketGetAirPcapHandle(state->adapter));
}

/* ---- opening ------------------------------------------------------------------------------- */

static void an_open_adapter_has_its_defaults(void **in)
{
	struct state *state = *in;
	LPADAPTER adapter = state->adapter;

	assert_non_null(adapter->hFile);
	assert_true(adapter->hFile != INVALID_HANDLE_VALUE);
	assert_string_equal(adapter->Name, "va");
	assert_int_equal(adapter->SymbolicLink[0], 0);
	assert_int_equal(adapter->NumWrites, 1);
	assert_int_equal(adapter->ReadTimeOut, 0);
	assert_int_equal(adapter->Flags, INFO_FLAG_NDIS_ADAPTER);
	assert_null(adapter->pWanAdapter);
	assert_ptr_equal(adapter->ReadEvent, PacketGetReadEvent(adapter));
	assert_refused(PacketReceivePacket(adapter, state->packet, TRUE), EINVAL);
}

static void assert_opens(const void *name)
{
	LPADAPTER adapter = PacketOpenAdapter((PCHAR)(uintptr_t)name);

	assert_non_null(adapter);
	assert_string_equal(adapter->Name, "va");
	PacketCloseAdapter(adapter);
}

static void names_may_be_windows_and_wide(void **in)
{
	static const uint16_t half[] = u"va", half_device[] = u"\\Device\\NPF_va";

	(void)in;
	assert_opens("va");
	assert_opens("\\Device\\NPF_va");
	assert_opens(half);
	assert_opens(half_device);
	assert_opens(L"va");
	assert_opens(L"\\Device\\NPF_va");
}

static void a_name_of_one_letter_is_not_wide(void **in)
{
	/* What stands behind it would make a wide name of it. */
	static const char name[] = "x\0a\0\0";
	struct state *state = *in;
	LPADAPTER adapter;

	net_run(&state->net, NET_HERE, "ip link add x type veth peer name y");
	adapter = PacketOpenAdapter((PCHAR)(uintptr_t)name);
	assert_non_null(adapter);
	assert_string_equal(adapter->Name, "x");
	PacketCloseAdapter(adapter);
}

static void what_does_not_exist_is_a_bad_unit(void **in)
{
	static const char *const names[] = { "nothing", "", "\\Device\\NPF_",
					     "a_name_that_is_longer_than_adapters_may_have" };

	(void)in;
	for (size_t i = 0; i < N_OF(names); i++) {
		assert_refused(PacketOpenAdapter((PCHAR)(uintptr_t)names[i]), ENODEV);
		assert_int_equal(GetLastError(), ERROR_BAD_UNIT);
		assert_true(strlen(PacketGetErrorText(NULL)) > 10);
	}
	assert_refused(PacketOpenAdapter(NULL), ENODEV);
	PacketCloseAdapter(NULL);
}

static void what_cannot_be_opened_is_neither_listed(void **in)
{
	struct state *state = *in;
	char names[256];
	ULONG size = sizeof(names);

	if (!net_try(&state->net, NET_HERE, "ip link add vcan7 type vcan")) {
		print_message("this kernel makes no CAN adapters\n");
		skip();
	}
	assert_true(PacketGetAdapterNames(names, &size));
	assert_int_equal(size, 31);
	assert_refused(PacketOpenAdapter((PCHAR) "vcan7"), ENODEV);
}

/* ---- packets ------------------------------------------------------------------------------- */

static void packets_are_described(void **in)
{
	struct state *state = *in;
	LPPACKET packet = PacketAllocatePacket();
	static const PACKET zero;

	assert_memory_equal(packet, &zero, sizeof(zero));
	packet->ulBytesReceived = 7;
	packet->bIoComplete = TRUE;
	PacketInitPacket(packet, state->buffer, 1000);
	assert_ptr_equal(packet->Buffer, state->buffer);
	assert_int_equal(packet->Length, 1000);
	assert_int_equal(packet->ulBytesReceived, 0);
	assert_false(packet->bIoComplete);
	PacketFreePacket(packet);
	PacketFreePacket(NULL);
}

static void packets_are_received(void **in)
{
	struct state *state = *in;

	capture(state);
	send_far(state, 0, 50);
	assert_frames(state, 0, 50);
	assert_ptr_equal(state->packet->hEvent, PacketGetReadEvent(state->adapter));
}

static void one_packet_longer_than_the_buffer_is_cut(void **in)
{
	struct state *state = *in;

	capture(state);
	send_far(state, 0, 2);
	PacketInitPacket(state->packet, state->buffer, 60);
	assert_true(PacketReceivePacket(state->adapter, state->packet, TRUE));
	assert_int_equal(((struct bpf_hdr *)state->packet->Buffer)->bh_caplen, 40);
	assert_int_equal(((struct bpf_hdr *)state->packet->Buffer)->bh_datalen, LENGTH);
	assert_frames(state, 1, 1);
	PacketInitPacket(state->packet, state->buffer, 19);
	assert_refused(PacketReceivePacket(state->adapter, state->packet, TRUE), ENOBUFS);
}

static void a_timeout_ends_a_wait_with_nothing(void **in)
{
	struct state *state = *in;

	capture(state);
	assert_true(PacketSetReadTimeout(state->adapter, 10));
	assert_int_equal(state->adapter->ReadTimeOut, 10);
	assert_int_equal(receive(state).left, 0);
	assert_true(PacketSetReadTimeout(state->adapter, -1));
	assert_int_equal(receive(state).left, 0);
	assert_refused(PacketSetReadTimeout(state->adapter, -2), EINVAL);
	assert_int_equal((int)state->adapter->ReadTimeOut, -1);
}

static void packets_are_sent(void **in)
{
	struct state *state = *in;
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	uint8_t frame[LENGTH];

	/* What va sends va captures too. */
	capture(state);
	net_flood_frame(&flood, 0, frame);
	PacketInitPacket(state->packet, frame, sizeof(frame));
	assert_true(PacketSendPacket(state->adapter, state->packet, TRUE));
	assert_frames(state, 0, 1);
	PacketInitPacket(state->packet, frame, 0);
	assert_refused(PacketSendPacket(state->adapter, state->packet, TRUE), EINVAL);
	PacketInitPacket(state->packet, state->buffer, 60000);
	assert_refused(PacketSendPacket(state->adapter, state->packet, TRUE), EMSGSIZE);
}

static void packets_are_sent_n_times(void **in)
{
	struct state *state = *in;
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	struct net_counters before = net_counters(&state->net, NET_THERE, "vb"), after;
	uint8_t frame[LENGTH];

	net_flood_frame(&flood, 0, frame);
	PacketInitPacket(state->packet, frame, sizeof(frame));
	assert_true(PacketSetNumWrites(state->adapter, 7));
	assert_int_equal(state->adapter->NumWrites, 7);
	assert_true(PacketSendPacket(state->adapter, state->packet, TRUE));
	assert_true(PacketSetNumWrites(state->adapter, 0));
	assert_true(PacketSendPacket(state->adapter, state->packet, TRUE));
	assert_refused(PacketSetNumWrites(state->adapter, -1), EINVAL);
	assert_int_equal(state->adapter->NumWrites, 0);
	after = net_counters(&state->net, NET_THERE, "vb");
	assert_int_equal(after.rx_packets - before.rx_packets, 7);
}

/* ---- queues -------------------------------------------------------------------------------- */

/* n frames, us apart; bytes used. */
static ULONG fill_queue(uint8_t *queue, uint32_t n, uint32_t us)
{
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	ULONG used = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct dump_bpf_hdr header = {
			.ts = { .tv_sec = 100 + (LONG)(i * us / 1000000),
				.tv_usec = (LONG)(i * us % 1000000) },
			.caplen = LENGTH,
			.len = LENGTH,
		};

		memcpy(queue + used, &header, sizeof(header));
		net_flood_frame(&flood, i, queue + used + sizeof(header));
		used += (ULONG)sizeof(header) + LENGTH;
	}
	return used;
}

static void queues_are_sent(void **in)
{
	struct state *state = *in;
	uint8_t queue[50 * 116];
	ULONG size = fill_queue(queue, 50, 10);

	capture(state);
	assert_int_equal(PacketSendPackets(state->adapter, queue, size, FALSE), size);
	assert_frames(state, 0, 50);
	assert_int_equal(PacketSendPackets(state->adapter, queue, 0, FALSE), 0);
	/* There is nothing to ask the adapter for. */
	assert_int_equal(PacketSendPackets(&(ADAPTER){ 0 }, queue, 0, FALSE), 0);
}

static void queues_are_sent_at_their_times(void **in)
{
	struct state *state = *in;
	struct npf_bpf_hdr last = { 0 };
	uint8_t queue[4 * 116];
	ULONG size = fill_queue(queue, 4, 700000);
	struct timespec before;
	uint32_t n = 0;

	/* Longer than one call of the driver lasts. From before the call: the first may be late. */
	capture(state);
	clock_gettime(CLOCK_REALTIME, &before);
	assert_int_equal(PacketSendPackets(state->adapter, queue, size, TRUE), size);
	while (n < 4) {
		struct records records = receive(state);

		for (; records_next(&records); n++)
			last = records.hdr;
	}
	assert_true((last.tv_sec - before.tv_sec) * 1000000ll + last.tv_usec -
			    before.tv_nsec / 1000 >=
		    2100000 - 1000);
}

static void broken_queues_send_nothing(void **in)
{
	struct state *state = *in;
	uint8_t queue[3 * 116];
	ULONG size = fill_queue(queue, 3, 10);
	struct dump_bpf_hdr header = { .caplen = 4000 };

	capture(state);
	for (int sync = 0; sync < 2; sync++) {
		memcpy(queue + 2 * 116, &header, sizeof(header));
		errno = 0;
		assert_int_equal(PacketSendPackets(state->adapter, queue, size, sync), 0);
		assert_int_not_equal(errno, 0);
		assert_int_equal(PacketSendPackets(state->adapter, queue, 120, sync), 0);
		fill_queue(queue, 3, 10);
		assert_int_equal(PacketSendPackets(state->adapter, queue, size, sync), size);
		assert_frames(state, 0, 3);
	}
}

/* The driver cannot send on an adapter that has gone: no endless loop (the original's B3). */
static void queues_of_a_departed_adapter_end(void **in)
{
	struct state *state = *in;
	uint8_t queue[3 * 116];
	ULONG size = fill_queue(queue, 3, 10);

	net_run(&state->net, NET_HERE, "ip link del va");
	assert_true(PacketSendPackets(state->adapter, queue, size, FALSE) < (INT)size);
	assert_true(PacketSendPackets(state->adapter, queue, size, TRUE) < (INT)size);
}

static void *remove_amid_gap(void *arg)
{
	struct state *state = arg;

	while (!net_counters(&state->net, NET_THERE, "vb").rx_packets)
		usleep(1000);
	net_run(&state->net, NET_HERE, "ip link del va");
	return NULL;
}

/* An hour before its second frame. */
static void a_gap_ends_with_the_adapter(void **in)
{
	struct state *state = *in;
	uint8_t queue[2 * 116];
	ULONG size = fill_queue(queue, 2, 3600 * 1000 * 1000u);
	pthread_t remover;

	assert_int_equal(pthread_create(&remover, NULL, remove_amid_gap, state), 0);
	errno = 0;
	assert_int_equal(PacketSendPackets(state->adapter, queue, size, TRUE), size / 2);
	assert_int_equal(errno, ENODEV);
	assert_non_null(strstr(PacketGetErrorText(state->adapter), "gone"));
	assert_int_equal(pthread_join(remover, NULL), 0);
}

/* ---- settings ------------------------------------------------------------------------------ */

static void the_buffer_is_sized_in_bytes(void **in)
{
	struct state *state = *in;
	struct bpf_stat stats;

	capture(state);
	send_far(state, 0, 5);
	assert_true(PacketSetBuff(state->adapter, 0));
	assert_refused(PacketReceivePacket(state->adapter, state->packet, TRUE), EINVAL);
	send_far(state, 0, 3);
	assert_true(PacketGetStatsEx(state->adapter, &stats));
	assert_int_equal(stats.bs_drop, 3);
	assert_refused(PacketSetBuff(state->adapter, -1), EINVAL);
	assert_refused(PacketSetBuff(state->adapter, INT_MAX), EINVAL);
}

static void the_filter_decides(void **in)
{
	static struct bpf_insn cut[] = { INSN_RET(40) };
	static struct bpf_insn none[] = { INSN_RET(0) };
	static struct bpf_insn broken[] = { { .code = 0xFFFF } };
	struct bpf_program program = { N_OF(cut), cut };
	struct state *state = *in;
	struct records records;
	struct bpf_stat stats;

	capture(state);
	assert_true(PacketSetBpf(state->adapter, &program));
	send_far(state, 0, 1);
	records = receive(state);
	assert_true(records_next(&records));
	assert_int_equal(records.hdr.caplen, 40);
	assert_int_equal(records.hdr.datalen, LENGTH);
	program.bf_insns = broken;
	assert_refused(PacketSetBpf(state->adapter, &program), EINVAL);
	program.bf_insns = none;
	assert_true(PacketSetBpf(state->adapter, &program));
	send_far(state, 0, 3);
	do
		assert_true(PacketGetStatsEx(state->adapter, &stats));
	while (stats.bs_recv < 3);
	assert_int_equal(stats.bs_recv, 3);
	assert_int_equal(stats.bs_capt, 0);
	program.bf_len = 0;
	assert_false(PacketSetBpf(state->adapter, &program));
	assert_int_equal(PacketSetSnapLen(state->adapter, 10), 0);
}

static void statistics_mode_has_its_record(void **in)
{
	struct state *state = *in;
	int64_t packets, bytes;
	struct records records;

	assert_true(PacketSetMode(state->adapter, PACKET_MODE_STAT));
	assert_true(PacketSetReadTimeout(state->adapter, 1000));
	send_far(state, 0, 10);
	records = receive(state);
	assert_int_equal(records.left, 36);
	assert_true(records_next(&records));
	assert_int_equal(records.hdr.caplen, 16);
	memcpy(&packets, records.data, sizeof(packets));
	memcpy(&bytes, records.data + 8, sizeof(bytes));
	assert_int_equal(packets, 10);
	assert_int_equal(bytes, 10 * (LENGTH + 12));
	assert_refused(PacketSetMode(state->adapter, PACKET_MODE_MON), ENOTSUP);
}

static void min_to_copy_holds_the_reader_back(void **in)
{
	struct state *state = *in;
	int fd = descriptor_of(state->adapter);

	capture(state);
	assert_true(PacketSetMinToCopy(state->adapter, 10 * 128));
	send_far(state, 0, 9);
	assert_false(readable(fd, 0));
	send_far(state, 9, 1);
	assert_true(readable(fd, -1));
	assert_frames(state, 0, 10);
	assert_refused(PacketSetMinToCopy(state->adapter, -1), EINVAL);
}

static void own_sends_can_be_hidden(void **in)
{
	struct state *state = *in;
	struct net_flood flood = { .side = NET_HERE, .name = "va", .length = LENGTH };
	uint8_t frame[LENGTH];

	capture(state);
	assert_true(PacketSetLoopbackBehavior(state->adapter, NPF_DISABLE_LOOPBACK));
	net_flood_frame(&flood, 0, frame);
	PacketInitPacket(state->packet, frame, sizeof(frame));
	assert_true(PacketSendPacket(state->adapter, state->packet, TRUE));
	send_far(state, 20, 1);
	assert_frames(state, 20, 1);
	assert_true(PacketSetLoopbackBehavior(state->adapter, NPF_ENABLE_LOOPBACK));
	assert_refused(PacketSetLoopbackBehavior(state->adapter, 3), EINVAL);
}

static void the_hardware_filter_is_set(void **in)
{
	struct state *state = *in;
	ULONG request[] = { OID_GEN_CURRENT_PACKET_FILTER, sizeof(ULONG), 0 };

	assert_true(PacketSetHwFilter(state->adapter, NDIS_PACKET_TYPE_DIRECTED));
	assert_true(PacketRequest(state->adapter, FALSE, (PPACKET_OID_DATA)request));
	assert_int_equal(request[2], NDIS_PACKET_TYPE_DIRECTED);
	assert_refused(PacketSetHwFilter(state->adapter, 0x40000000), EINVAL);
}

static void time_stamp_modes_are_listed_and_set(void **in)
{
	struct state *state = *in;
	ULONG modes[4] = { 4 };

	assert_true(PacketGetTimestampModes(state->adapter, modes));
	assert_int_equal(modes[0], 3);
	for (int i = 1; i <= 3; i++)
		assert_true(PacketSetTimestampMode(state->adapter, modes[i]));
	assert_refused(PacketSetTimestampMode(state->adapter, 3), EINVAL);
	modes[0] = 3;
	assert_refused(PacketGetTimestampModes(state->adapter, modes), ENOBUFS);
	assert_int_equal(modes[0], 4);
}

/* ---- OID requests -------------------------------------------------------------------------- */

union oid {
	PACKET_OID_DATA data;
	uint8_t bytes[8 + 128];
};

static void oids_are_asked_for(void **in)
{
	struct state *state = *in;
	union oid oid = { .data = { .Oid = OID_802_3_CURRENT_ADDRESS, .Length = 6 } };

	assert_true(PacketRequest(state->adapter, FALSE, &oid.data));
	assert_int_equal(oid.data.Length, 6);
	assert_memory_equal(oid.bytes + 8, net_va_address, 6);

	oid.data.Oid = OID_GEN_VENDOR_DESCRIPTION;
	oid.data.Length = 128;
	assert_true(PacketRequest(state->adapter, FALSE, &oid.data));
	assert_int_equal(oid.data.Length, sizeof("veth Ethernet"));
	assert_string_equal(oid.bytes + 8, "veth Ethernet");
}

static void oids_are_refused(void **in)
{
	struct state *state = *in;
	union oid oid = { .data = { .Oid = 0x12345678, .Length = 4 } };

	assert_refused(PacketRequest(state->adapter, FALSE, &oid.data), ENOTSUP);
	oid.data.Oid = OID_802_3_CURRENT_ADDRESS;
	assert_refused(PacketRequest(state->adapter, TRUE, &oid.data), ENOTSUP);
	oid.data.Length = 5;
	assert_refused(PacketRequest(state->adapter, FALSE, &oid.data), ENOBUFS);
	assert_int_equal(oid.data.Length, 5);
	oid.data.Length = 0;
	assert_refused(PacketRequest(state->adapter, FALSE, &oid.data), ENOBUFS);
}

/* ---- statistics ---------------------------------------------------------------------------- */

static void statistics_are_told(void **in)
{
	struct state *state = *in;
	struct bpf_stat stats = { 99, 99, 99, 99 };

	assert_true(PacketGetStats(state->adapter, &stats));
	assert_int_equal(stats.bs_recv, 0);
	assert_int_equal(stats.bs_drop, 0);
	assert_int_equal(stats.bs_capt, 99);
	capture(state);
	send_far(state, 0, 4);
	assert_frames(state, 0, 4);
	assert_true(PacketGetStatsEx(state->adapter, &stats));
	assert_int_equal(stats.bs_recv, 4);
	assert_int_equal(stats.bs_drop, 0);
	assert_int_equal(stats.ps_ifdrop, 0);
	assert_int_equal(stats.bs_capt, 4);
}

/* ---- the read event ------------------------------------------------------------------------ */

static void the_event_works_with_poll_select_epoll_and_windows(void **in)
{
	struct state *state = *in;
	HANDLE event = PacketGetReadEvent(state->adapter);
	int fd = descriptor_of(state->adapter);
	int poller = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event interest = { .events = EPOLLIN };
	struct timeval none = { 0 };
	fd_set set;

	assert_int_equal(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest), 0);
	capture(state);
	assert_false(readable(fd, 0));
	assert_int_equal(epoll_wait(poller, &interest, 1, 0), 0);
	assert_int_equal(WaitForSingleObject(event, 0), WAIT_TIMEOUT);
	send_far(state, 0, 2);
	assert_int_equal(WaitForSingleObject(event, INFINITE), WAIT_OBJECT_0);
	/* A level: it stays while there is something to read. */
	assert_int_equal(WaitForSingleObject(event, INFINITE), WAIT_OBJECT_0);
	assert_true(readable(fd, 0));
	assert_int_equal(epoll_wait(poller, &interest, 1, 0), 1);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	assert_int_equal(select(fd + 1, &set, NULL, NULL, &none), 1);
	assert_frames(state, 0, 2);
	assert_false(readable(fd, 0));
	close(poller);
}

/* B5 of the original: an event that is cleared while packets are left. */
static void the_event_stays_while_packets_are_left(void **in)
{
	struct state *state = *in;

	capture(state);
	send_far(state, 0, 2);
	PacketInitPacket(state->packet, state->buffer, 20 + LENGTH);
	assert_true(PacketReceivePacket(state->adapter, state->packet, TRUE));
	assert_int_equal(state->packet->ulBytesReceived, 20 + LENGTH);
	assert_true(readable(descriptor_of(state->adapter), 0));
	assert_frames(state, 1, 1);
}

static void *close_adapter(void *adapter)
{
	PacketCloseAdapter(adapter);
	return NULL;
}

static void *wait_for_event(void *fd)
{
	return (void *)(uintptr_t)readable(*(int *)fd, -1);
}

static void closing_releases_who_waits(void **in)
{
	struct state *state = *in;
	int fd = descriptor_of(state->adapter);
	pthread_t closer, waiter;
	void *released;

	capture(state);
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, &fd), 0);
	assert_int_equal(pthread_create(&closer, NULL, close_adapter, state->adapter), 0);
	assert_int_equal(pthread_join(closer, NULL), 0);
	/* Came he too late, poll() finds no descriptor: which is readiness as well. */
	assert_int_equal(pthread_join(waiter, &released), 0);
	assert_non_null(released);
	state->adapter = NULL;
}

static void a_departed_adapter_ends_reading(void **in)
{
	struct state *state = *in;

	capture(state);
	send_far(state, 0, 3);
	assert_true(readable(descriptor_of(state->adapter), -1));
	net_run(&state->net, NET_HERE, "ip link del va");
	assert_frames(state, 0, 3);
	assert_refused(PacketReceivePacket(state->adapter, state->packet, TRUE), ENODEV);
}

/* ---- dump ---------------------------------------------------------------------------------- */

static void a_dump_ends_at_its_limit(void **in)
{
	char name[] = "/tmp/npf-dump-XXXXXX";
	uint32_t magic = 0;
	struct state *state = *in;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_true(PacketSetBuff(state->adapter, BUFFER));
	assert_true(PacketSetHwFilter(state->adapter, NDIS_PACKET_TYPE_PROMISCUOUS));
	assert_true(PacketSetMode(state->adapter, PACKET_MODE_DUMP));
	assert_true(PacketSetDumpName(state->adapter, name, (int)strlen(name)));
	assert_true(PacketSetDumpLimits(state->adapter, 0, 5));
	assert_false(PacketIsDumpEnded(state->adapter, FALSE));
	send_far(state, 0, 10);
	assert_true(PacketIsDumpEnded(state->adapter, TRUE));
	PacketCloseAdapter(state->adapter);
	state->adapter = NULL;
	assert_int_equal(lseek(fd, 0, SEEK_END), 24 + 5 * (16 + (int)LENGTH));
	assert_int_equal(pread(fd, &magic, sizeof(magic), 0), sizeof(magic));
	assert_int_equal(magic, 0xa1b2c3d4);
	close(fd);
	unlink(name);
}

static const struct itimerval never = { 0 };
static struct state *interrupted;
static volatile sig_atomic_t signals;

/* The packets that end the dump come with the third: the wait has gone on by then. More would keep a slow
 * machine from anything else. */
static void send_with_the_third(int number)
{
	(void)number;
	if (++signals != 3)
		return;
	setitimer(ITIMER_REAL, &never, NULL);
	send_far(interrupted, 0, 5);
}

static void signals_do_not_end_the_wait_for_a_dump(void **in)
{
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	const struct sigaction action = { .sa_handler = send_with_the_third };
	char name[] = "/tmp/npf-dump-XXXXXX";
	struct state *state = *in;
	struct sigaction before;
	BOOLEAN ended;

	interrupted = state;
	signals = 0;
	assert_true(PacketSetBuff(state->adapter, BUFFER));
	assert_true(PacketSetMode(state->adapter, PACKET_MODE_DUMP));
	close(mkstemp(name));
	assert_true(PacketSetDumpName(state->adapter, name, (int)strlen(name)));
	assert_true(PacketSetDumpLimits(state->adapter, 0, 5));
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, NULL);
	ended = PacketIsDumpEnded(state->adapter, TRUE);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	unlink(name);
	assert_true(ended);
	assert_true(signals >= 3);
}

static void wide_names_of_dumps_are_taken(void **in)
{
	char folder[] = "/tmp/npf-dumps-XXXXXX", path[64];
	struct state *state = *in;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_true(PacketSetBuff(state->adapter, BUFFER));
	snprintf(path, sizeof(path), "%s/n\xc3\xb6 \xf0\x9f\x90\xa7", folder);
	assert_true(PacketSetMode(state->adapter, PACKET_MODE_DUMP));
	assert_true(PacketSetDumpName(state->adapter, (void *)(uintptr_t)L"n\u00f6 \U0001F427",
				      5 * sizeof(wchar_t)));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(chdir("/"), 0);
	PacketCloseAdapter(state->adapter);
	state->adapter = NULL;
	unlink(path);
	rmdir(folder);
}

static void bad_names_of_dumps_are_refused(void **in)
{
	char name[1100];
	struct state *state = *in;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_refused(PacketSetDumpName(state->adapter, name, sizeof(name) - 1), ENAMETOOLONG);
	assert_refused(PacketSetDumpName(state->adapter, name, 0), EINVAL);
	assert_refused(PacketSetDumpName(state->adapter, NULL, 5), EINVAL);
	assert_refused(PacketSetDumpName(state->adapter, (void *)(uintptr_t) "", 1), EINVAL);
	/* Not in dump mode. */
	assert_false(PacketSetDumpName(state->adapter, (void *)(uintptr_t) "/tmp/x", 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(versions_are_told),
		TEST(the_driver_stops_when_nothing_is_open),
		TEST(names_and_descriptions_are_listed),
		TEST(names_need_room),
		TEST(addresses_are_told),
		TEST(ipv6_addresses_are_told),
		TEST(kinds_are_told),
		TEST(an_open_adapter_has_its_defaults),
		TEST(names_may_be_windows_and_wide),
		TEST(a_name_of_one_letter_is_not_wide),
		TEST(what_does_not_exist_is_a_bad_unit),
		TEST(what_cannot_be_opened_is_neither_listed),
		TEST(packets_are_described),
		TEST(packets_are_received),
		TEST(one_packet_longer_than_the_buffer_is_cut),
		TEST(a_timeout_ends_a_wait_with_nothing),
		TEST(packets_are_sent),
		TEST(packets_are_sent_n_times),
		TEST(queues_are_sent),
		TEST(queues_are_sent_at_their_times),
		TEST(broken_queues_send_nothing),
		TEST(queues_of_a_departed_adapter_end),
		TEST(a_gap_ends_with_the_adapter),
		TEST(the_buffer_is_sized_in_bytes),
		TEST(the_filter_decides),
		TEST(statistics_mode_has_its_record),
		TEST(min_to_copy_holds_the_reader_back),
		TEST(own_sends_can_be_hidden),
		TEST(the_hardware_filter_is_set),
		TEST(time_stamp_modes_are_listed_and_set),
		TEST(oids_are_asked_for),
		TEST(oids_are_refused),
		TEST(statistics_are_told),
		TEST(the_event_works_with_poll_select_epoll_and_windows),
		TEST(the_event_stays_while_packets_are_left),
		TEST(closing_releases_who_waits),
		TEST(a_departed_adapter_ends_reading),
		TEST(a_dump_ends_at_its_limit),
		TEST(signals_do_not_end_the_wait_for_a_dump),
		TEST(wide_names_of_dumps_are_taken),
		TEST(bad_names_of_dumps_are_refused),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
