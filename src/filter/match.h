/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of addresses and ports that a packet must be in, of any size at constant cost: how a packet
 * is taken apart, and how its addresses and ports are looked up. Written once, compiled for the
 * kernel's tap and for user space (sets.c). The includer defines struct npf_match_env and, before
 * it defines NPF_MATCH_CODE and includes this once more,
 *
 *   int npf_match_load(env, offset, to, size)   bytes of the packet; not 0: it has not all of them.
 *                                               to lies at a multiple of 4, less 2 if size has 2
 *                                               bytes more than a multiple of 4
 *   int npf_match_load_far(...)                 the same, where offset depends on the packet
 *   const void *npf_match_table(env, i)         the table of set number i, NULL: there is none
 *
 * Networks stand in hash tables with two places for each, which are asked once for every prefix
 * length that the set has: one table for each length of IPv4, one for all of IPv6. IPv4 networks of
 * many lengths are looked up in the ascending bounds of ranges instead: an address is inside when
 * the number of bounds up to it is odd. An index by its first bits says between which bounds to
 * search, in a number of steps that depends on the set alone. Ports are a bit each. There is no
 * branch on what is found: the kernel's verifier walks one way.
 */
#ifndef NPF_MATCH_H
#define NPF_MATCH_H

#include <stdint.h>

#define NPF_MATCH_SETS    4u
#define NPF_MATCH_LENGTHS 4u /* of prefixes of IPv4 in hash tables, of one set */

enum { NPF_MATCH_ADDRESSES = 1, NPF_MATCH_PORTS = 2 };
enum { NPF_MATCH_EITHER, NPF_MATCH_SOURCE, NPF_MATCH_DESTINATION };

#define NPF_MATCH_NO_TYPE 0xFFFFFFFFu /* nothing says what follows the link header: IP's version */

/* Of an IPv6 network in the hash table; length is its prefix length plus 1, 0 an empty place. */
struct npf_match_slot {
	uint64_t high, low;
	uint64_t length;
};

struct npf_match_mask {
	uint64_t high, low;
	uint64_t length;
};

/* Networks of IPv4 of one prefix length. A place that is free holds one of the networks as well. */
struct npf_match_prefixes {
	uint32_t mask;
	uint32_t slots_at;
	uint32_t slots_mask;
};

/* Offsets are bytes of the set's table, which begins with the index (or with the ports). */
struct npf_match_shape {
	uint32_t kind; /* NPF_MATCH_ADDRESSES or _PORTS */
	uint32_t side;
	uint32_t has_ipv4;
	uint32_t n_lengths; /* 0: ranges */
	struct npf_match_prefixes lengths[NPF_MATCH_LENGTHS];
	uint32_t shift; /* an address shifted by it is its place in the index */
	uint32_t steps; /* of the search */
	uint32_t bounds_at;
	uint32_t bounds_mask; /* the number of them, rounded up, less 1 */
	uint32_t n_masks;     /* prefix lengths of IPv6 */
	uint32_t masks_at;
	uint32_t slots_at;
	uint32_t slots_mask;
};

/* Everything that the kernel's verifier should know as constants. */
struct npf_match_shapes {
	uint32_t n; /* 0: no sets */
	uint32_t wants_ports;
	uint32_t type_at;    /* offset of the EtherType, or NPF_MATCH_NO_TYPE */
	uint32_t network_at; /* and of what it is about */
	struct npf_match_shape sets[NPF_MATCH_SETS];
};

/* What sets are about. */
struct npf_match_key {
	uint32_t family; /* 4, 6, 0 neither */
	uint32_t has_ports;
	uint32_t source, destination; /* ports */
	uint32_t source4, destination4;
	uint64_t source6[2], destination6[2];
};

#endif

#if defined(NPF_MATCH_CODE) && !defined(NPF_MATCH_CODE_DONE)
#define NPF_MATCH_CODE_DONE

#define NPF_MATCH_INLINE static inline __attribute__((always_inline))

#define MATCH_IPV4         0x0800u
#define MATCH_ARP          0x0806u
#define MATCH_RARP         0x8035u
#define MATCH_IPV6         0x86DDu
#define MATCH_MOST_TAGS    2
#define MATCH_MOST_HEADERS 6 /* IPv6 extension headers */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "these turn bytes around");

NPF_MATCH_INLINE uint32_t match_be16(const uint8_t *at)
{
	uint16_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return __builtin_bswap16(value);
}

NPF_MATCH_INLINE uint32_t match_be32(const uint8_t *at)
{
	uint32_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return __builtin_bswap32(value);
}

NPF_MATCH_INLINE uint64_t match_be64(const uint8_t *at)
{
	uint64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return __builtin_bswap64(value);
}

/* ---- look-up -------------------------------------------------------------------------------- */

/* The other place of two. */
NPF_MATCH_INLINE uint64_t match_other(uint64_t one, uint64_t hash, uint32_t mask)
{
	return (one + 1 + (hash >> 32 & mask >> 1)) & mask;
}

NPF_MATCH_INLINE uint64_t match_hash4(uint32_t address)
{
	uint64_t hash = address * 0x9E3779B97F4A7C15u;

	hash = (hash ^ hash >> 32) * 0xC2B2AE3D27D4EB4Fu;
	return hash ^ hash >> 32;
}

NPF_MATCH_INLINE uint64_t match_equal(uint32_t a, uint32_t b)
{
	return ((uint64_t)(a ^ b) - 1) >> 63;
}

NPF_MATCH_INLINE uint64_t match_prefixes(const struct npf_match_shape *shape, const uint8_t *table,
					 uint32_t address)
{
	uint64_t found = 0;

	for (uint32_t i = 0; i < NPF_MATCH_LENGTHS; i++) {
		if (i >= shape->n_lengths)
			break;

		const struct npf_match_prefixes *of = &shape->lengths[i];
		const uint32_t *slots = (const uint32_t *)(table + of->slots_at);
		uint32_t prefix = address & of->mask;
		uint64_t hash = match_hash4(prefix), one = hash & of->slots_mask;

		found |= match_equal(slots[one], prefix);
		found |= match_equal(slots[match_other(one, hash, of->slots_mask)], prefix);
	}
	return found;
}

/* 1 when a < b. */
NPF_MATCH_INLINE uint64_t match_less(uint64_t a, uint64_t b)
{
	return (a - b) >> 63;
}

NPF_MATCH_INLINE uint64_t match_ranges(const struct npf_match_shape *shape, const uint8_t *table,
				       uint32_t address)
{
	const uint32_t *bounds = (const uint32_t *)(table + shape->bounds_at);
	const uint32_t *index = (const uint32_t *)table + (address >> shape->shift);
	uint64_t at = index[0], end = index[1];

	for (uint32_t step = shape->steps; step; step--) {
		uint64_t half = 1ull << (step - 1), probe = at + half - 1;
		uint64_t bound = bounds[probe & shape->bounds_mask];

		at += half &
		      (0 - (match_less(probe, end) & match_less(bound, (uint64_t)address + 1)));
	}
	return at & 1;
}

NPF_MATCH_INLINE uint64_t match_ipv4(const struct npf_match_shape *shape, const uint8_t *table,
				     uint32_t address)
{
	return shape->n_lengths ? match_prefixes(shape, table, address)
				: match_ranges(shape, table, address);
}

NPF_MATCH_INLINE uint64_t match_hash(uint64_t high, uint64_t low, uint64_t length)
{
	uint64_t hash = (high ^ length) * 0x9E3779B97F4A7C15u;

	hash ^= hash >> 32;
	hash = (hash ^ low) * 0xC2B2AE3D27D4EB4Fu;
	hash ^= hash >> 29;
	hash *= 0x165667B19E3779F9u;
	return hash ^ hash >> 32;
}

/* 0 when the place holds exactly this network. */
NPF_MATCH_INLINE uint64_t match_differs(const struct npf_match_slot *slot, uint64_t high,
					uint64_t low, uint64_t length)
{
	uint64_t difference = (slot->high ^ high) | (slot->low ^ low) | (slot->length ^ length);

	return (difference | (0 - difference)) >> 63;
}

NPF_MATCH_INLINE uint64_t match_ipv6(const struct npf_match_shape *shape, const uint8_t *table,
				     const uint64_t *address)
{
	const struct npf_match_slot *slots =
		(const struct npf_match_slot *)(table + shape->slots_at);
	const struct npf_match_mask *masks =
		(const struct npf_match_mask *)(table + shape->masks_at);
	uint64_t found = 0;

	for (uint32_t i = 0; i < shape->n_masks; i++) {
		uint64_t high = address[0] & masks[i].high, low = address[1] & masks[i].low;
		uint64_t length = masks[i].length, hash = match_hash(high, low, length);
		uint64_t one = hash & shape->slots_mask;
		uint64_t two = match_other(one, hash, shape->slots_mask);

		found |= match_differs(&slots[one], high, low, length) ^ 1;
		found |= match_differs(&slots[two], high, low, length) ^ 1;
	}
	return found;
}

NPF_MATCH_INLINE uint64_t match_port(const uint8_t *table, uint32_t port)
{
	uint64_t word = port >> 5;

	/* It is below 2048, as the compiler knows; the verifier, which does not always, is told. */
	asm("" : "+r"(word));
	return ((const uint32_t *)table)[word & 2047] >> (port & 31) & 1;
}

/* Bit 0: the source is in the set, bit 1: the destination. */
NPF_MATCH_INLINE uint64_t match_sides(const struct npf_match_shape *shape, const uint8_t *table,
				      const struct npf_match_key *key)
{
	if (shape->kind == NPF_MATCH_PORTS)
		return key->has_ports ? match_port(table, key->source) |
						match_port(table, key->destination) << 1
				      : 0;
	if (shape->has_ipv4 && key->family == 4)
		return match_ipv4(shape, table, key->source4) |
		       match_ipv4(shape, table, key->destination4) << 1;
	if (shape->n_masks && key->family == 6)
		return match_ipv6(shape, table, key->source6) |
		       match_ipv6(shape, table, key->destination6) << 1;
	return 0;
}

/* ---- taking a packet apart ------------------------------------------------------------------ */

NPF_MATCH_INLINE void match_ports(struct npf_match_env *env, uint32_t protocol, uint32_t offset,
				  struct npf_match_key *key)
{
	_Alignas(4) uint8_t ports[4];

	/* TCP, UDP, SCTP: those that libpcap's "port" knows */
	if (protocol != 6 && protocol != 17 && protocol != 132)
		return;
	if (npf_match_load_far(env, offset, ports, sizeof(ports)))
		return;
	key->source = match_be16(ports);
	key->destination = match_be16(ports + 2);
	key->has_ports = 1;
}

NPF_MATCH_INLINE void match_take_ipv4(struct npf_match_env *env, uint32_t offset,
				      const uint8_t *header, uint32_t wants_ports,
				      struct npf_match_key *key)
{
	key->family = 4;
	key->source4 = match_be32(header + 12);
	key->destination4 = match_be32(header + 16);
	/* Only the first fragment has ports. */
	if (wants_ports && !(match_be16(header + 6) & 0x1FFF))
		match_ports(env, header[9], offset + (header[0] & 15) * 4, key);
}

/* Hop-by-hop options, routing, destination options, fragment, authentication: what stands between
 * the header and the ports. */
NPF_MATCH_INLINE void match_walk(struct npf_match_env *env, uint32_t next, uint32_t offset,
				 struct npf_match_key *key)
{
	for (int i = 0; i < MATCH_MOST_HEADERS; i++) {
		_Alignas(4) uint8_t header[4];

		if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60)
			break;
		if (npf_match_load_far(env, offset, header, sizeof(header)))
			return;
		if (next == 44 && match_be16(header + 2) & 0xFFF8)
			return;
		offset += next == 44 ? 8 : next == 51 ? (header[1] + 2u) * 4 : (header[1] + 1u) * 8;
		next = header[0];
	}
	match_ports(env, next, offset, key);
}

NPF_MATCH_INLINE void match_take_ipv6(struct npf_match_env *env, uint32_t offset,
				      uint32_t wants_ports, struct npf_match_key *key)
{
	_Alignas(8) uint8_t header[40];

	if (npf_match_load(env, offset, header, sizeof(header)))
		return;
	key->family = 6;
	key->source6[0] = match_be64(header + 8);
	key->source6[1] = match_be64(header + 16);
	key->destination6[0] = match_be64(header + 24);
	key->destination6[1] = match_be64(header + 32);
	if (wants_ports)
		match_walk(env, header[6], offset + 40, key);
}

/* As libpcap's "host" does: sender and target of ARP count as source and destination. */
NPF_MATCH_INLINE void match_take_arp(struct npf_match_env *env, uint32_t offset,
				     struct npf_match_key *key)
{
	_Alignas(4) uint8_t body[16]; /* from the fifth byte of the sender's hardware address */

	if (npf_match_load(env, offset + 12, body, sizeof(body)))
		return;
	key->family = 4;
	key->source4 = match_be32(body + 2);
	key->destination4 = match_be32(body + 12);
}

NPF_MATCH_INLINE void match_take(struct npf_match_env *env, const struct npf_match_shapes *shapes,
				 struct npf_match_key *key)
{
	uint32_t offset = shapes->network_at, type;
	_Alignas(8)
		uint8_t head[24]; /* an EtherType, or what is left of a tag, and the header of IPv4 */

	if (shapes->type_at == NPF_MATCH_NO_TYPE) {
		if (npf_match_load(env, offset, head + 4, 20))
			return;
		type = head[4] >> 4 == 4 ? MATCH_IPV4 : head[4] >> 4 == 6 ? MATCH_IPV6 : 0;
	} else if (offset == shapes->type_at + 2) {
		if (npf_match_load(env, shapes->type_at, head + 2, 22))
			return;
		type = match_be16(head + 2);
	} else {
		if (npf_match_load(env, shapes->type_at, head + 2, 2) ||
		    npf_match_load(env, offset, head + 4, 20))
			return;
		type = match_be16(head + 2);
	}
	for (int i = 0; i < MATCH_MOST_TAGS; i++) {
		if (type != 0x8100 && type != 0x88A8 && type != 0x9100)
			break;
		offset += 4;
		if (npf_match_load(env, offset - 2, head + 2, 22))
			return;
		type = match_be16(head + 2);
	}
	if (type == MATCH_IPV4 && head[4] >> 4 == 4)
		match_take_ipv4(env, offset, head + 4, shapes->wants_ports, key);
	else if (type == MATCH_IPV6)
		match_take_ipv6(env, offset, shapes->wants_ports, key);
	else if (type == MATCH_ARP || type == MATCH_RARP)
		match_take_arp(env, offset, key);
}

/* Is the packet in every set? */
NPF_MATCH_INLINE uint32_t npf_match_packet(struct npf_match_env *env,
					   const struct npf_match_shapes *shapes)
{
	struct npf_match_key key = { 0 };
	uint64_t all = 1;

	match_take(env, shapes, &key);
	for (uint32_t i = 0; i < NPF_MATCH_SETS; i++) {
		if (i >= shapes->n)
			break;

		const struct npf_match_shape *shape = &shapes->sets[i];
		const uint8_t *table = npf_match_table(env, i);

		if (!table)
			return 0;

		uint64_t sides = match_sides(shape, table, &key);

		if (shape->side == NPF_MATCH_SOURCE)
			all &= sides;
		else if (shape->side == NPF_MATCH_DESTINATION)
			all &= sides >> 1;
		else
			all &= sides | sides >> 1;
	}
	return all & 1;
}

#endif
