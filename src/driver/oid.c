/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The object identifiers (manual: BIOCQUERYOID, BIOCSETOID): one row each, answered from what the
 * host tells about the adapter. Two can be set.
 */
#include <errno.h>
#include <string.h>

#include "driver/core.h"

#define SMALLEST_REQUEST 12u /* sizeof(PACKET_OID_DATA) as the original has it */
#define RETURNED_HEADER  11u /* what it adds to the length, in checks and in the answer */

#define KNOWN_FILTER_BITS                                                                          \
	(NPF_FILTER_DIRECTED | NPF_FILTER_MULTICAST | NPF_FILTER_ALL_MULTICAST |                   \
	 NPF_FILTER_BROADCAST | NPF_FILTER_PROMISCUOUS | NPF_FILTER_ALL_LOCAL | NPF_FILTER_OTHERS)

#define STATUS_READY       0u
#define STATUS_NOT_READY   4u
#define MEDIA_CONNECTED    0u
#define MEDIA_DISCONNECTED 1u
#define DRIVER_VERSION     0x0001u /* major, minor */
#define SPEED_UNIT         100u    /* bit/s */
#define MAC_SIZE           6u

/* A question and its answer. size 0 after the getter ran: this adapter has no such thing. */
struct query {
	const struct npf_instance *instance;
	struct npf_adapter adapter;
	uint32_t size;
	uint8_t data[NPF_TEXT_SIZE];
};

struct oid {
	uint32_t id;
	void (*get)(struct query *query);
	int (*set)(struct npf_instance *instance, uint32_t value);
};

static void put(struct query *query, const void *from, uint32_t size)
{
	memcpy(query->data, from, size);
	query->size = size;
}

static void put_u32(struct query *query, uint64_t value)
{
	uint32_t fits = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;

	put(query, &fits, sizeof(fits));
}

static void put_u64(struct query *query, uint64_t value)
{
	put(query, &value, sizeof(value));
}

/* ---- the adapter --------------------------------------------------------------------------- */

static void get_status(struct query *query)
{
	put_u32(query, query->adapter.flags & NPF_ADAPTER_UP ? STATUS_READY : STATUS_NOT_READY);
}

static void get_connection(struct query *query)
{
	put_u32(query,
		query->adapter.flags & NPF_ADAPTER_RUNNING ? MEDIA_CONNECTED : MEDIA_DISCONNECTED);
}

static void get_medium(struct query *query)
{
	put_u32(query, query->adapter.medium);
}

static void get_max_lookahead(struct query *query)
{
	put_u32(query, query->adapter.max_receive);
}

static void get_max_frame(struct query *query)
{
	put_u32(query, query->adapter.mtu);
}

static void get_max_total(struct query *query)
{
	put_u32(query, query->adapter.max_frame);
}

static void get_speed(struct query *query)
{
	put_u32(query, query->adapter.speed / SPEED_UNIT);
}

static void get_vendor(struct query *query)
{
	uint8_t vendor[4] = { 0 };

	if (query->adapter.address_length != MAC_SIZE)
		return;
	memcpy(vendor, query->adapter.address, 3);
	put(query, vendor, sizeof(vendor));
}

static void get_description(struct query *query)
{
	const char *text = query->adapter.description;
	uint32_t length = 0;

	while (length < NPF_TEXT_SIZE - 1 && text[length])
		length++;
	put(query, text, length);
	query->data[query->size++] = 0;
}

static void get_version(struct query *query)
{
	uint16_t version = DRIVER_VERSION;

	put(query, &version, sizeof(version));
}

static void get_permanent_address(struct query *query)
{
	if (query->adapter.address_length == MAC_SIZE)
		put(query, query->adapter.permanent_address, MAC_SIZE);
}

static void get_address(struct query *query)
{
	if (query->adapter.address_length == MAC_SIZE)
		put(query, query->adapter.address, MAC_SIZE);
}

static void get_sent(struct query *query)
{
	put_u64(query, query->adapter.tx_packets);
}

static void get_received(struct query *query)
{
	put_u64(query, query->adapter.rx_packets);
}

static void get_send_errors(struct query *query)
{
	put_u64(query, query->adapter.tx_errors);
}

static void get_receive_errors(struct query *query)
{
	put_u64(query, query->adapter.rx_errors);
}

static void get_receive_drops(struct query *query)
{
	put_u64(query, query->adapter.rx_dropped);
}

/* ---- the instance -------------------------------------------------------------------------- */

static void get_filter(struct query *query)
{
	put_u32(query, query->instance->hw_filter);
}

static int set_filter(struct npf_instance *instance, uint32_t bits)
{
	if (bits & ~KNOWN_FILTER_BITS)
		return npf_fail_hex(instance, -EINVAL, "the hardware filter has unknown bits: ",
				    bits & ~KNOWN_FILTER_BITS, "; use those of NPF_FILTER_*");

	int err = instance->host->nic->set_hw_filter(instance->nic, bits);

	if (err)
		return npf_fail_host(instance, err, "setting the hardware filter failed");
	npf_accept(instance, bits);
	npf_apply_config(instance);
	return 0;
}

static void get_lookahead(struct query *query)
{
	put_u32(query, query->instance->lookahead);
}

static int set_lookahead(struct npf_instance *instance, uint32_t bytes)
{
	instance->lookahead = bytes;
	return 0;
}

/* ---- the table ----------------------------------------------------------------------------- */

static void get_supported(struct query *query);

static const struct oid oids[] = {
	{ NPF_OID_GEN_SUPPORTED_LIST, get_supported, NULL },
	{ NPF_OID_GEN_HARDWARE_STATUS, get_status, NULL },
	{ NPF_OID_GEN_MEDIA_SUPPORTED, get_medium, NULL },
	{ NPF_OID_GEN_MEDIA_IN_USE, get_medium, NULL },
	{ NPF_OID_GEN_MAXIMUM_LOOKAHEAD, get_max_lookahead, NULL },
	{ NPF_OID_GEN_MAXIMUM_FRAME_SIZE, get_max_frame, NULL },
	{ NPF_OID_GEN_LINK_SPEED, get_speed, NULL },
	{ NPF_OID_GEN_VENDOR_ID, get_vendor, NULL },
	{ NPF_OID_GEN_VENDOR_DESCRIPTION, get_description, NULL },
	{ NPF_OID_GEN_CURRENT_PACKET_FILTER, get_filter, set_filter },
	{ NPF_OID_GEN_CURRENT_LOOKAHEAD, get_lookahead, set_lookahead },
	{ NPF_OID_GEN_DRIVER_VERSION, get_version, NULL },
	{ NPF_OID_GEN_MAXIMUM_TOTAL_SIZE, get_max_total, NULL },
	{ NPF_OID_GEN_MEDIA_CONNECT_STATUS, get_connection, NULL },
	{ NPF_OID_GEN_XMIT_OK, get_sent, NULL },
	{ NPF_OID_GEN_RCV_OK, get_received, NULL },
	{ NPF_OID_GEN_XMIT_ERROR, get_send_errors, NULL },
	{ NPF_OID_GEN_RCV_ERROR, get_receive_errors, NULL },
	{ NPF_OID_GEN_RCV_NO_BUFFER, get_receive_drops, NULL },
	{ NPF_OID_802_3_PERMANENT_ADDRESS, get_permanent_address, NULL },
	{ NPF_OID_802_3_CURRENT_ADDRESS, get_address, NULL },
};
#define N_OIDS (sizeof(oids) / sizeof(oids[0]))
_Static_assert(N_OIDS * sizeof(uint32_t) <= NPF_TEXT_SIZE, "the supported list must fit");

static void get_supported(struct query *query)
{
	for (size_t i = 0; i < N_OIDS; i++)
		memcpy(query->data + i * sizeof(uint32_t), &oids[i].id, sizeof(uint32_t));
	query->size = N_OIDS * sizeof(uint32_t);
}

static const struct oid *find_oid(uint32_t id)
{
	for (size_t i = 0; i < N_OIDS; i++) {
		if (oids[i].id == id)
			return &oids[i];
	}
	return NULL;
}

/* ---- requests ------------------------------------------------------------------------------ */

struct header {
	uint32_t id;
	uint32_t length;
};

/* Both buffers are one in the original: equally long, and longer than what the length says. */
static int parse(struct npf_instance *instance, const void *in, size_t in_size, size_t out_size,
		 struct header *header)
{
	if (in_size < SMALLEST_REQUEST || in_size != out_size)
		return npf_fail(instance, -ENOBUFS,
				"an OID request has equal buffers of at least 12 bytes");
	memcpy(header, in, sizeof(*header));
	if (in_size - RETURNED_HEADER < header->length)
		return npf_fail(instance, -ENOBUFS,
				"the OID request is shorter than its length says; add 11 bytes");
	return 0;
}

static int unknown(struct npf_instance *instance, uint32_t id)
{
	return npf_fail_hex(instance, -ENOTSUP, "OID ", id,
			    " is not supported here; OID_GEN_SUPPORTED_LIST tells which are");
}

static int too_short(struct npf_instance *instance, uint32_t bytes)
{
	return npf_fail_value(instance, -ENOBUFS, "the data of this OID are ", bytes,
			      " bytes long; give room for them");
}

/* Write length bytes of data back. out may be in. The answer is said to be 3 bytes longer than it
 * is: those are zero. */
static size_t finish(void *out, uint32_t id, const void *data, uint32_t length)
{
	struct header header = { .id = id, .length = length };
	uint8_t *to = out;

	memcpy(to, &header, sizeof(header));
	memmove(to + sizeof(header), data, length);
	memset(to + sizeof(header) + length, 0, RETURNED_HEADER - sizeof(header));
	return RETURNED_HEADER + length;
}

int npf_oid_query(struct npf_instance *instance, const void *in, size_t in_size, void *out,
		  size_t out_size, size_t *returned)
{
	struct query query = { .instance = instance };
	struct header header;
	int err = parse(instance, in, in_size, out_size, &header);

	if (err)
		return err;

	const struct oid *oid = find_oid(header.id);

	if (!oid)
		return unknown(instance, header.id);
	err = instance->host->nic->info(instance->nic, &query.adapter);
	if (err)
		return npf_fail_host(instance, err, "asking the adapter failed");
	oid->get(&query);
	if (!query.size)
		return unknown(instance, header.id);
	if (query.size > header.length)
		return too_short(instance, query.size);
	*returned = finish(out, header.id, query.data, query.size);
	return 0;
}

int npf_oid_set(struct npf_instance *instance, const void *in, size_t in_size, void *out,
		size_t out_size, size_t *returned)
{
	struct header header;
	uint32_t value;
	int err = parse(instance, in, in_size, out_size, &header);

	if (err)
		return err;

	const struct oid *oid = find_oid(header.id);

	if (!oid)
		return unknown(instance, header.id);
	if (!oid->set)
		return npf_fail_hex(instance, -ENOTSUP, "OID ", header.id,
				    " can only be asked for, not set");
	if (header.length < sizeof(value))
		return too_short(instance, sizeof(value));
	memcpy(&value, (const uint8_t *)in + sizeof(header), sizeof(value));
	err = oid->set(instance, value);
	if (err)
		return err;
	*returned = finish(out, header.id, &value, sizeof(value));
	return 0;
}
