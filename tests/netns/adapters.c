/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of adapters on real interfaces: what it tells of them, and that it follows them while
 * they come, change and go. Whatever takes the kernel time is waited for through the descriptor
 * that reports news.
 */
#include "lib/check.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net.h"
#include "npf/npf.h"

#define CHANGES 20 /* of the carrier */

struct state {
	struct net_world net;
	struct npf_host *host;
	struct npf_driver *driver;
};

static int setup(void **out)
{
	struct state *state = calloc(1, sizeof(*state));

	assert_non_null(state);
	net_world_create(&state->net);
	state->host = npf_host_linux();
	assert_non_null(state->host);
	assert_int_equal(npf_driver_entry(state->host, &state->driver), 0);
	*out = state;
	return 0;
}

static int teardown(void **in)
{
	struct state *state = *in;

	assert_int_equal(npf_unload(state->driver), 0);
	npf_host_linux_free(state->host);
	net_world_destroy(&state->net);
	free(state);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* Look an adapter up in a fresh list. */
static bool look_up(struct state *state, const char *name, struct npf_adapter *found)
{
	struct npf_adapter *list;
	bool is_there = false;
	size_t n;

	assert_int_equal(npf_get_adapters_list(state->driver, &list, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (i)
			assert_true(list[i - 1].index < list[i].index);
		if (strcmp(list[i].name, name))
			continue;
		*found = list[i];
		is_there = true;
	}
	npf_free_adapters_list(state->driver, list);
	return is_there;
}

static struct npf_adapter get(struct state *state, const char *name)
{
	struct npf_adapter adapter;

	assert_true(look_up(state, name, &adapter));
	return adapter;
}

static bool has_news(struct state *state)
{
	struct pollfd news = { .fd = npf_adapters_fd(state->driver), .events = POLLIN };

	return poll(&news, 1, 0) == 1;
}

static void wait_for_news(struct state *state)
{
	struct pollfd news = { .fd = npf_adapters_fd(state->driver), .events = POLLIN };

	assert_int_equal(poll(&news, 1, -1), 1);
}

static struct npf_adapter wait_for_flags(struct state *state, const char *name, uint32_t flags)
{
	struct npf_adapter adapter = get(state, name);

	while (adapter.flags != flags) {
		wait_for_news(state);
		adapter = get(state, name);
	}
	return adapter;
}

/* ---- what is told -------------------------------------------------------------------------- */

static void a_veth_is_told_in_full(void **in)
{
	struct npf_adapter va = wait_for_flags(*in, "va", NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING);

	assert_true(va.index > 0);
	assert_int_equal(va.link_type, 1);
	assert_int_equal(va.medium, NPF_MEDIUM_802_3);
	assert_int_equal(va.hatype, 1);
	assert_int_equal(va.mtu, 1500);
	assert_int_equal(va.max_frame, 1518);
	assert_true(va.max_receive >= 65536 + 14);
	assert_int_equal(va.speed, 10000000000);
	assert_int_equal(va.address_length, 6);
	assert_memory_equal(va.address, net_va_address, 6);
	assert_string_equal(va.description, "veth Ethernet");
	assert_int_equal(va.n_addresses, 0);
}

static void the_other_namespace_is_not_told(void **in)
{
	struct npf_adapter adapter;

	assert_false(look_up(*in, "vb", &adapter));
}

static void loopback_is_told_as_such(void **in)
{
	struct npf_adapter lo = get(*in, "lo");

	assert_int_equal(lo.flags, NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING | NPF_ADAPTER_LOOPBACK);
	assert_int_equal(lo.link_type, 1);
	assert_int_equal(lo.max_frame, lo.mtu + 14);
	assert_int_equal(lo.speed, 0);
	assert_string_equal(lo.description, "Loopback");
	assert_int_equal(lo.n_addresses, 1);
	assert_int_equal(lo.addresses[0].family, 4);
	assert_int_equal(lo.addresses[0].prefix, 8);
	assert_memory_equal(lo.addresses[0].address, "\x7f\0\0\1", 4);
}

static void addresses_are_told(void **in)
{
	static const uint8_t v6[16] = { 0xfd, [15] = 7 };
	static const uint8_t zero[16];
	struct state *state = *in;

	get(state, "va");
	net_write(&state->net, NET_HERE, "/proc/sys/net/ipv6/conf/va/disable_ipv6", "0");
	net_run(&state->net, NET_HERE, "ip addr add 192.0.2.1/24 broadcast 192.0.2.255 dev va");
	net_run(&state->net, NET_HERE, "ip addr add 198.51.100.1 peer 198.51.100.2/32 dev va");
	net_run(&state->net, NET_HERE, "ip addr add fd00::7/64 dev va nodad");
	assert_true(has_news(state));

	struct npf_adapter va = get(state, "va");

	assert_true(va.n_addresses >= 3);
	assert_int_equal(va.addresses[0].family, 4);
	assert_int_equal(va.addresses[0].prefix, 24);
	assert_memory_equal(va.addresses[0].address, "\xc0\0\2\1", 4);
	assert_memory_equal(va.addresses[0].broadcast, "\xc0\0\2\xff", 4);
	assert_memory_equal(va.addresses[1].address, "\xc6\x33\x64\1", 4);
	assert_memory_equal(va.addresses[1].broadcast, zero, 16);
	assert_int_equal(va.addresses[2].family, 6);
	assert_int_equal(va.addresses[2].prefix, 64);
	assert_memory_equal(va.addresses[2].address, v6, 16);
}

static void more_addresses_than_fit_are_left_out(void **in)
{
	struct state *state = *in;

	for (int i = 1; i <= NPF_MAX_ADDRESSES + 4; i++)
		net_run(&state->net, NET_HERE, "ip addr add 192.0.2.%d/32 dev va", i);
	assert_int_equal(get(state, "va").n_addresses, NPF_MAX_ADDRESSES);
}

static void counters_are_told(void **in)
{
	struct state *state = *in;
	struct net_flood flood = {
		.side = NET_THERE,
		.name = "vb",
		.cpu = -1,
		.length = 100,
		.count = 50,
	};
	struct npf_adapter before = get(state, "va");

	net_flood_join(net_flood_start(&state->net, &flood));
	assert_int_equal(get(state, "va").rx_packets - before.rx_packets, 50);
	flood.side = NET_HERE;
	flood.name = "va";
	flood.count = 20;
	net_flood_join(net_flood_start(&state->net, &flood));
	assert_int_equal(get(state, "va").tx_packets - before.tx_packets, 20);
}

static void a_tunnel_carries_raw_ip(void **in)
{
	struct state *state = *in;
	if (!net_has_tun())
		skip();

	int tun = net_tun(&state->net, NET_HERE, "t0", IFF_TUN | IFF_NO_PI);
	struct npf_adapter t0 = get(state, "t0");

	assert_int_equal(t0.link_type, 101);
	assert_int_equal(t0.medium, NPF_MEDIUM_IP);
	assert_int_equal(t0.address_length, 0);
	assert_int_equal(t0.max_frame, t0.mtu);
	assert_string_equal(t0.description, "tun IP");
	close(tun);
}

static void an_unknown_link_is_listed_and_cannot_be_opened(void **in)
{
	struct state *state = *in;
	struct npf_instance *instance;
	char error[NPF_ERROR_SIZE] = "";

	if (!net_has_tun())
		skip();

	int tun = net_tun(&state->net, NET_HERE, "t0", IFF_TUN | IFF_NO_PI);

	net_run(&state->net, NET_HERE, "ip link set t0 down");
	assert_int_equal(ioctl(tun, TUNSETLINK, ARPHRD_IEEE1394), 0);
	assert_int_equal(get(state, "t0").hatype, ARPHRD_IEEE1394);
	assert_int_equal(get(state, "t0").link_type, UINT32_MAX);
	assert_int_equal(npf_open(state->driver, "t0", NULL, &instance, error), -ENOTSUP);
	assert_true(strlen(error) > 10);
	close(tun);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void arrivals_and_departures_are_news(void **in)
{
	struct state *state = *in;
	struct npf_adapter first, again;

	assert_false(look_up(state, "w0", &first));
	net_run(&state->net, NET_HERE, "ip link add w0 type veth peer name w1");
	assert_true(has_news(state));
	assert_true(look_up(state, "w0", &first));
	assert_int_equal(first.flags, 0);

	net_run(&state->net, NET_HERE, "ip link del w0");
	assert_true(has_news(state));
	assert_false(look_up(state, "w0", &again));
	assert_false(look_up(state, "w1", &again));

	net_run(&state->net, NET_HERE, "ip link add w0 type veth peer name w1");
	assert_true(look_up(state, "w0", &again));
	assert_true(again.index != first.index);
}

static void a_list_settles_the_news(void **in)
{
	struct state *state = *in;

	wait_for_flags(state, "va", NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING);
	net_run(&state->net, NET_HERE, "ip link set va mtu 1400");
	assert_true(has_news(state));
	/* More than once only while the kernel still tells of the interfaces' making. */
	do
		assert_int_equal(get(state, "va").mtu, 1400);
	while (has_news(state));
}

static void a_rename_keeps_the_index(void **in)
{
	struct state *state = *in;
	struct npf_adapter before = get(state, "va"), after;

	net_run(&state->net, NET_HERE, "ip link set va down");
	net_run(&state->net, NET_HERE, "ip link set va name vx");
	assert_true(has_news(state));
	assert_false(look_up(state, "va", &after));
	assert_true(look_up(state, "vx", &after));
	assert_int_equal(after.index, before.index);
	assert_string_equal(after.description, before.description);
}

static void down_and_up_are_told(void **in)
{
	struct state *state = *in;

	wait_for_flags(state, "va", NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING);
	net_run(&state->net, NET_HERE, "ip link set va down");
	wait_for_flags(state, "va", 0);
	net_run(&state->net, NET_HERE, "ip link set va up");
	wait_for_flags(state, "va", NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING);
	net_run(&state->net, NET_THERE, "ip link set vb down");
	wait_for_flags(state, "va", NPF_ADAPTER_UP);
}

static void turn(int control, const char *name, bool up)
{
	struct ifreq request = { .ifr_flags = up ? IFF_UP : 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(control, SIOCSIFFLAGS, &request), 0);
}

/* Not when the kernel's worker has made a state of it, up to a second later. */
static void the_carrier_is_told_at_once(void **in)
{
	struct state *state = *in;
	int control;

	net_enter(&state->net, NET_THERE);
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	net_enter(&state->net, NET_HERE);
	assert_true(control >= 0);
	for (int i = 0; i < CHANGES; i++) {
		turn(control, "vb", false);
		assert_int_equal(get(state, "va").flags, NPF_ADAPTER_UP);
		turn(control, "vb", true);
		assert_int_equal(get(state, "va").flags, NPF_ADAPTER_UP | NPF_ADAPTER_RUNNING);
	}
	close(control);
}

/* More news than their socket holds: none may be taken for silence. */
static void news_that_overflow_are_news(void **in)
{
	struct state *state = *in;
	struct npf_adapter adapter;

	for (int i = 0; i < 60; i++) {
		net_run(&state->net, NET_HERE, "ip link add w0 type veth peer name w1");
		net_run(&state->net, NET_HERE, "ip link del w0");
	}
	net_run(&state->net, NET_HERE, "ip link add w0 type veth peer name w1");
	assert_true(has_news(state));
	assert_true(look_up(state, "w0", &adapter));
	net_run(&state->net, NET_HERE, "ip link del w0");
	assert_true(has_news(state));
	assert_false(look_up(state, "w0", &adapter));
}

/* ---- names ---------------------------------------------------------------------------------- */

static void odd_names_are_kept_as_they_are(void **in)
{
	static const char *const names[] = { "-x", "a'b\"c", "\xff\xfe\x80", "$(x);|&",
					     "123456789012345" };
	struct state *state = *in;
	struct npf_adapter adapter;

	for (size_t i = 0; i < N_OF(names); i++) {
		net_run(&state->net, NET_HERE, "ip link add name %s type veth peer name w1",
			names[i]);
		assert_true(look_up(state, names[i], &adapter));
		net_run(&state->net, NET_HERE, "ip link del dev w1");
	}
}

static void names_that_no_adapter_has_are_refused(void **in)
{
	static const char *const names[] = { "",
					     "nowhere",
					     "a/b",
					     "a b",
					     "..",
					     "\x01",
					     "1234567890123456",
					     "1234567890123456789012345678901",
					     "12345678901234567890123456789012",
					     "va ",
					     "%s%n" };
	struct state *state = *in;
	struct npf_instance *instance;

	for (size_t i = 0; i < N_OF(names); i++) {
		char error[NPF_ERROR_SIZE] = "";

		assert_int_equal(npf_open(state->driver, names[i], NULL, &instance, error), -ENODEV);
		assert_true(strlen(error) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_veth_is_told_in_full),
		TEST(the_other_namespace_is_not_told),
		TEST(loopback_is_told_as_such),
		TEST(addresses_are_told),
		TEST(more_addresses_than_fit_are_left_out),
		TEST(counters_are_told),
		TEST(a_tunnel_carries_raw_ip),
		TEST(an_unknown_link_is_listed_and_cannot_be_opened),
		TEST(arrivals_and_departures_are_news),
		TEST(a_list_settles_the_news),
		TEST(a_rename_keeps_the_index),
		TEST(down_and_up_are_told),
		TEST(the_carrier_is_told_at_once),
		TEST(news_that_overflow_are_news),
		TEST(odd_names_are_kept_as_they_are),
		TEST(names_that_no_adapter_has_are_refused),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
