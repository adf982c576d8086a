/* SPDX-License-Identifier: BSD-3-Clause */
/* Object identifiers: what they answer, the rules of their lengths, what is refused. */
#include "lib/world.h"

#define REQUEST_MAX 256u

struct oid_request {
	uint32_t oid;
	uint32_t length;
	uint8_t data[REQUEST_MAX];
};

/* A request whose buffers have size bytes in all. */
static int request(struct npf_instance *instance, uint32_t code, struct oid_request *oid,
		   size_t size, size_t *returned)
{
	return npf_io_control(instance, code, oid, size, oid, size, returned);
}

static int query(struct npf_instance *instance, uint32_t id, struct oid_request *oid)
{
	size_t returned;
	int err;

	*oid = (struct oid_request){ .oid = id, .length = 200 };
	err = request(instance, NPF_BIOCQUERYOID, oid, sizeof(*oid), &returned);
	if (!err)
		assert_int_equal(returned, 11 + oid->length);
	return err;
}

static uint32_t query_u32(struct npf_instance *instance, uint32_t id)
{
	struct oid_request oid;
	uint32_t value;

	assert_int_equal(query(instance, id, &oid), 0);
	assert_int_equal(oid.length, 4);
	memcpy(&value, oid.data, sizeof(value));
	return value;
}

static uint64_t query_u64(struct npf_instance *instance, uint32_t id)
{
	struct oid_request oid;
	uint64_t value;

	assert_int_equal(query(instance, id, &oid), 0);
	assert_int_equal(oid.length, 8);
	memcpy(&value, oid.data, sizeof(value));
	return value;
}

static void item_15_answers_tell_the_adapter(void **state)
{
	struct world *world = *state;
	struct npf_instance *at = world->instance;
	struct npf_adapter *adapter = npf_sim_adapter(world->host, "eth0");
	struct oid_request oid;

	assert_int_equal(query_u32(at, NPF_OID_GEN_HARDWARE_STATUS), 0);
	assert_int_equal(query_u32(at, NPF_OID_GEN_MEDIA_CONNECT_STATUS), 0);
	adapter->flags = 0;
	assert_int_equal(query_u32(at, NPF_OID_GEN_HARDWARE_STATUS), 4);
	assert_int_equal(query_u32(at, NPF_OID_GEN_MEDIA_CONNECT_STATUS), 1);
	assert_int_equal(query_u32(at, NPF_OID_GEN_MEDIA_IN_USE), NPF_MEDIUM_802_3);
	assert_int_equal(query_u32(at, NPF_OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
	assert_int_equal(query_u32(at, NPF_OID_GEN_MAXIMUM_TOTAL_SIZE), 1514);
	assert_int_equal(query_u32(at, NPF_OID_GEN_LINK_SPEED), 10000000);
	adapter->speed = UINT64_MAX;
	assert_int_equal(query_u32(at, NPF_OID_GEN_LINK_SPEED), UINT32_MAX);
	adapter->rx_packets = 1ull << 40;
	assert_int_equal(query_u64(at, NPF_OID_GEN_RCV_OK), 1ull << 40);

	assert_int_equal(query(at, NPF_OID_802_3_CURRENT_ADDRESS, &oid), 0);
	assert_int_equal(oid.length, 6);
	assert_memory_equal(oid.data, adapter->address, 6);
	assert_int_equal(query(at, NPF_OID_802_3_PERMANENT_ADDRESS, &oid), 0);
	assert_memory_equal(oid.data, adapter->permanent_address, 6);
	assert_int_equal(query(at, NPF_OID_GEN_VENDOR_DESCRIPTION, &oid), 0);
	assert_int_equal(oid.length, strlen("simulated") + 1);
	assert_string_equal((char *)oid.data, "simulated");
	adapter->address_length = 0;
	assert_fails(at, query(at, NPF_OID_802_3_CURRENT_ADDRESS, &oid), -ENOTSUP);
}

static void item_15_every_supported_id_answers(void **state)
{
	struct world *world = *state;
	struct oid_request list, oid;

	assert_int_equal(query(world->instance, NPF_OID_GEN_SUPPORTED_LIST, &list), 0);
	assert_true(list.length >= 4 * 20 && list.length % 4 == 0);
	for (uint32_t i = 0; i < list.length; i += 4) {
		uint32_t id;

		memcpy(&id, list.data + i, sizeof(id));
		assert_int_equal(query(world->instance, id, &oid), 0);
	}
}

static void item_15_description_that_fills_its_room_is_ended(void **state)
{
	struct world *world = *state;
	struct npf_adapter *adapter = npf_sim_adapter(world->host, "eth0");
	struct oid_request oid;

	memset(adapter->description, 'x', sizeof(adapter->description));
	assert_int_equal(query(world->instance, NPF_OID_GEN_VENDOR_DESCRIPTION, &oid), 0);
	assert_int_equal(oid.length, NPF_TEXT_SIZE);
	assert_int_equal(oid.data[NPF_TEXT_SIZE - 1], 0);
}

static void item_15_lengths_have_rules(void **state)
{
	struct world *world = *state;
	struct npf_instance *at = world->instance;
	struct oid_request oid = { .oid = NPF_OID_GEN_LINK_SPEED, .length = 4 };
	size_t returned = 99;

	for (size_t size = 0; size < 15; size++) {
		assert_fails(at, request(at, NPF_BIOCQUERYOID, &oid, size, &returned), -ENOBUFS);
		assert_int_equal(returned, 0);
		assert_fails(at, request(at, NPF_BIOCSETOID, &oid, size, &returned), -ENOBUFS);
	}
	assert_int_equal(request(at, NPF_BIOCQUERYOID, &oid, 15, &returned), 0);
	assert_int_equal(returned, 15);
	assert_fails(at, npf_io_control(at, NPF_BIOCQUERYOID, &oid, 16, &oid, 20, NULL), -ENOBUFS);
	assert_fails(at, npf_io_control(at, NPF_BIOCQUERYOID, &oid, 16, NULL, 16, NULL), -ENOBUFS);
	assert_fails(at, npf_io_control(at, NPF_BIOCQUERYOID, NULL, 16, &oid, 16, NULL), -ENOBUFS);
	oid.length = UINT32_MAX;
	assert_fails(at, request(at, NPF_BIOCQUERYOID, &oid, sizeof(oid), NULL), -ENOBUFS);
	oid.length = UINT32_MAX - 10;
	assert_fails(at, request(at, NPF_BIOCQUERYOID, &oid, sizeof(oid), NULL), -ENOBUFS);
	oid.length = 3;
	assert_fails(at, request(at, NPF_BIOCQUERYOID, &oid, sizeof(oid), NULL), -ENOBUFS);
}

static void item_15_errors_use_nothing_up(void **state)
{
	struct world *world = *state;
	struct oid_request oid = { .oid = 0xDEADBEEF, .length = 4 };
	size_t memory = npf_sim_memory(world->host);

	for (int i = 0; i < 100; i++) {
		assert_fails(world->instance,
			     request(world->instance, NPF_BIOCQUERYOID, &oid, 11, NULL), -ENOBUFS);
		assert_fails(world->instance,
			     request(world->instance, NPF_BIOCQUERYOID, &oid, 20, NULL), -ENOTSUP);
		assert_non_null(strstr(npf_error(world->instance), "0xdeadbeef"));
		assert_fails(world->instance,
			     request(world->instance, NPF_BIOCSETOID, &oid, 20, NULL), -ENOTSUP);
	}
	assert_int_equal(npf_sim_memory(world->host), memory);
	assert_int_equal(query_u32(world->instance, NPF_OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
}

static void item_15_hardware_filter_is_set_and_told(void **state)
{
	static const uint32_t filters[] = { 0, NPF_FILTER_PROMISCUOUS, NPF_FILTER_DIRECTED,
					    NPF_FILTER_DEFAULT };
	struct world *world = *state;

	for (size_t i = 0; i < N_OF(filters); i++) {
		assert_int_equal(npf_set_hw_filter(world->instance, filters[i]), 0);
		assert_int_equal(npf_sim_hw_filter(world->host, "eth0"), filters[i]);
		assert_int_equal(query_u32(world->instance, NPF_OID_GEN_CURRENT_PACKET_FILTER),
				 filters[i]);
	}
	assert_fails(world->instance, npf_set_hw_filter(world->instance, 0x40000000), -EINVAL);
	assert_int_equal(npf_sim_hw_filter(world->host, "eth0"), NPF_FILTER_DEFAULT);
}

static void item_15_hardware_filter_decides_what_is_seen(void **state)
{
	/* For each packet type, 0 to 4: the bits that show it. */
	static const uint32_t shown_by[] = {
		NPF_FILTER_DIRECTED | NPF_FILTER_PROMISCUOUS | NPF_FILTER_ALL_LOCAL,
		NPF_FILTER_BROADCAST | NPF_FILTER_PROMISCUOUS | NPF_FILTER_ALL_LOCAL,
		NPF_FILTER_MULTICAST | NPF_FILTER_ALL_MULTICAST | NPF_FILTER_PROMISCUOUS |
			NPF_FILTER_ALL_LOCAL,
		NPF_FILTER_PROMISCUOUS | NPF_FILTER_OTHERS,
		NPF_FILTER_PROMISCUOUS | NPF_FILTER_ALL_LOCAL,
	};
	static const uint32_t bits[] = { 0,
					 NPF_FILTER_DIRECTED,
					 NPF_FILTER_MULTICAST,
					 NPF_FILTER_ALL_MULTICAST,
					 NPF_FILTER_BROADCAST,
					 NPF_FILTER_PROMISCUOUS,
					 NPF_FILTER_ALL_LOCAL,
					 NPF_FILTER_OTHERS,
					 NPF_FILTER_DEFAULT };
	struct world *world = *state;

	for (size_t i = 0; i < N_OF(bits); i++) {
		assert_int_equal(npf_set_hw_filter(world->instance, bits[i]), 0);
		for (uint32_t type = NPF_TO_HOST; type <= NPF_FROM_HOST; type++) {
			struct npf_sim_frame frame = { .data = "some frame",
						       .length = 10,
						       .packet_type = type };
			uint64_t before = stats_of(world->instance).received;

			assert_int_equal(npf_sim_send(world->host, "eth0", 0, &frame), 0);
			assert_int_equal(stats_of(world->instance).received - before,
					 (bits[i] & shown_by[type]) != 0);
		}
	}
}

static void item_15_lookahead_is_kept(void **state)
{
	struct world *world = *state;
	struct oid_request oid = { .oid = NPF_OID_GEN_CURRENT_LOOKAHEAD, .length = 4 };

	memcpy(oid.data, "\x39\x30\x00\x00", 4);
	assert_int_equal(request(world->instance, NPF_BIOCSETOID, &oid, 20, NULL), 0);
	assert_int_equal(query_u32(world->instance, NPF_OID_GEN_CURRENT_LOOKAHEAD), 12345);
	oid.oid = NPF_OID_GEN_LINK_SPEED;
	oid.length = 4;
	assert_fails(world->instance, request(world->instance, NPF_BIOCSETOID, &oid, 20, NULL),
		     -ENOTSUP);
	oid.oid = NPF_OID_GEN_CURRENT_LOOKAHEAD;
	oid.length = 3;
	assert_fails(world->instance, request(world->instance, NPF_BIOCSETOID, &oid, 20, NULL),
		     -ENOBUFS);
	assert_int_equal(query_u32(world->instance, NPF_OID_GEN_CURRENT_LOOKAHEAD), 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(item_15_answers_tell_the_adapter),
		IN_WORLD(item_15_every_supported_id_answers),
		IN_WORLD(item_15_description_that_fills_its_room_is_ended),
		IN_WORLD(item_15_lengths_have_rules),
		IN_WORLD(item_15_errors_use_nothing_up),
		IN_WORLD(item_15_hardware_filter_is_set_and_told),
		IN_WORLD(item_15_hardware_filter_decides_what_is_seen),
		IN_WORLD(item_15_lookahead_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
