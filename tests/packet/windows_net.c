/* SPDX-License-Identifier: BSD-3-Clause */
/* The IP helper's list of adapters. */
#include <iphlpapi.h>

#include "lib/check.h"
#include <net/if.h>

#include "lib/net.h"

static int setup(void **out)
{
	struct net_world *net = calloc(1, sizeof(*net));

	assert_non_null(net);
	net_world_create(net);
	*out = net;
	return 0;
}

static int teardown(void **in)
{
	net_world_destroy(*in);
	free(*in);
	return 0;
}

static const IP_ADAPTER_INFO *find(const IP_ADAPTER_INFO *all, const char *name)
{
	while (all && strcmp(all->AdapterName, name) != 0)
		all = all->Next;
	assert_non_null(all);
	return all;
}

static void adapters_have_addresses_and_a_gateway(void **in)
{
	struct net_world *net = *in;
	const IP_ADAPTER_INFO *va, *vx;
	IP_ADAPTER_INFO *all;
	const IP_ADDR_STRING *second;
	ULONG size = 0;

	net_run(net, NET_HERE, "ip link add vx type veth peer name vy");
	net_run(net, NET_HERE, "ip address add 192.0.2.1/25 dev va");
	net_run(net, NET_HERE, "ip address add 198.51.100.1/32 dev va");
	net_run(net, NET_HERE, "ip route add default via 192.0.2.9");
	assert_int_equal(GetAdaptersInfo(NULL, &size), ERROR_BUFFER_OVERFLOW);
	assert_int_equal(size, 3 * sizeof(*all) + sizeof(IP_ADDR_STRING));
	all = calloc(1, size);
	size--;
	assert_int_equal(GetAdaptersInfo(all, &size), ERROR_BUFFER_OVERFLOW);
	assert_int_equal(GetAdaptersInfo(all, &size), NO_ERROR);
	va = find(all, "va");
	assert_int_equal(va->AddressLength, 6);
	assert_memory_equal(va->Address, net_va_address, 6);
	assert_int_equal(va->Type, MIB_IF_TYPE_ETHERNET);
	assert_int_equal(va->Index, (int)if_nametoindex("va"));
	assert_string_equal(va->IpAddressList.IpAddress.String, "192.0.2.1");
	assert_string_equal(va->IpAddressList.IpMask.String, "255.255.255.128");
	second = va->IpAddressList.Next;
	assert_non_null(second);
	assert_string_equal(second->IpAddress.String, "198.51.100.1");
	assert_string_equal(second->IpMask.String, "255.255.255.255");
	assert_null(second->Next);
	assert_string_equal(va->GatewayList.IpAddress.String, "192.0.2.9");
	vx = find(all, "vx");
	assert_string_equal(vx->IpAddressList.IpAddress.String, "0.0.0.0");
	assert_string_equal(vx->GatewayList.IpAddress.String, "0.0.0.0");
	assert_null(all->Next->Next->Next);
	free(all);
	assert_int_equal(GetAdaptersInfo(NULL, NULL), ERROR_INVALID_PARAMETER);
}

static void loopback_is_none(void **in)
{
	ULONG size = 7;

	net_run(*in, NET_HERE, "ip link del va");
	assert_int_equal(GetAdaptersInfo(NULL, &size), ERROR_NO_DATA);
	assert_int_equal(size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(adapters_have_addresses_and_a_gateway, setup,
						teardown),
		cmocka_unit_test_setup_teardown(loopback_is_none, setup, teardown),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
