/* SPDX-License-Identifier: BSD-3-Clause */
/* See sets.h, and match.h for the tables' layout. */
#include "filter/sets.h"

#include <errno.h>
#include <string.h>

struct npf_match_env {
	const struct npf_match *match;
	const uint8_t *data;
	uint32_t length;
};

static inline int npf_match_load(struct npf_match_env *env, uint32_t offset, void *to, uint32_t size)
{
	if (offset > env->length || size > env->length - offset)
		return -1;
	memcpy(to, env->data + offset, size);
	return 0;
}

static inline int npf_match_load_far(struct npf_match_env *env, uint32_t offset, void *to,
				     uint32_t size)
{
	return npf_match_load(env, offset, to, size);
}

static inline const void *npf_match_table(struct npf_match_env *env, uint32_t i)
{
	return env->match->tables[i];
}

#define NPF_MATCH_CODE
#include "filter/match.h"

#define MOST_INDEX_BITS 16u
#define LEAST_SLOTS     16u
#define KICKS           500u
#define MOST_TIMES      4u /* as many slots as wanted, should they turn out too tight */
#define PORT_BYTES      8192u
#define PREFIXES        129u
#define LENGTHS         33u

#define LINK_NULL     0u
#define LINK_ETHERNET 1u
#define LINK_RAW_OLD  12u
#define LINK_RAW      101u
#define LINK_LOOP     108u
#define LINK_SLL      113u
#define LINK_IPV4     228u
#define LINK_IPV6     229u
#define LINK_SLL2     276u

bool npf_match_run(const struct npf_match *match, const uint8_t *data, uint32_t length)
{
	struct npf_match_env env = { match, data, length };

	return npf_match_packet(&env, &match->shapes);
}

int npf_sets_link(struct npf_match_shapes *shapes, uint32_t link_type)
{
	static const struct {
		uint32_t link_type, type_at, network_at;
	} links[] = {
		{ LINK_ETHERNET, 12, 14 },
		{ LINK_RAW, NPF_MATCH_NO_TYPE, 0 },
		{ LINK_RAW_OLD, NPF_MATCH_NO_TYPE, 0 },
		{ LINK_IPV4, NPF_MATCH_NO_TYPE, 0 },
		{ LINK_IPV6, NPF_MATCH_NO_TYPE, 0 },
		{ LINK_NULL, NPF_MATCH_NO_TYPE, 4 },
		{ LINK_LOOP, NPF_MATCH_NO_TYPE, 4 },
		{ LINK_SLL, 14, 16 },
		{ LINK_SLL2, 0, 20 },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (links[i].link_type != link_type)
			continue;
		shapes->type_at = links[i].type_at;
		shapes->network_at = links[i].network_at;
		return 0;
	}
	return -ENOTSUP;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static uint32_t power_above(uint32_t n)
{
	return n < 2 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

static uint32_t count(const struct npf_set *set, uint8_t family)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->n_nets; i++)
		n += set->nets[i].family == family;
	return n;
}

static uint32_t index_bits(uint32_t n)
{
	uint32_t bits = 32 - (uint32_t)__builtin_clz(n | 1) + 1;

	return bits < MOST_INDEX_BITS ? bits : MOST_INDEX_BITS;
}

static size_t index_size(uint32_t n)
{
	return (((size_t)1 << index_bits(n)) + 2) * sizeof(uint32_t);
}

static uint32_t slots_for(uint32_t n)
{
	uint32_t slots = power_above(n * 2);

	return slots < LEAST_SLOTS ? LEAST_SLOTS : slots;
}

static bool is_valid(const struct npf_set *set)
{
	if (!set->n_nets == !set->n_ports || set->side > NPF_SIDE_DESTINATION)
		return false;
	for (uint32_t i = 0; i < set->n_nets; i++) {
		const struct npf_net *net = &set->nets[i];

		if (!(net->family == 4 && net->prefix <= 32) &&
		    !(net->family == 6 && net->prefix <= 128))
			return false;
	}
	for (uint32_t i = 0; i < set->n_ports; i++) {
		if (set->ports[i].first > set->ports[i].last)
			return false;
	}
	return true;
}

/* IPv4 networks of each prefix length; the number of lengths. */
static uint32_t count_lengths(const struct npf_set *set, uint32_t of[LENGTHS])
{
	uint32_t n = 0;

	memset(of, 0, LENGTHS * sizeof(*of));
	for (uint32_t i = 0; i < set->n_nets; i++) {
		if (set->nets[i].family == 4)
			n += !of[set->nets[i].prefix]++;
	}
	return n;
}

/* Of ranges, or of hash tables, which then become ranges should they not succeed. */
static size_t ipv4_size(const struct npf_set *set)
{
	uint32_t of[LENGTHS], n = count(set, 4);
	size_t ranges = index_size(n) + power_above(2 * n) * sizeof(uint32_t), slots = 0;

	if (count_lengths(set, of) > NPF_MATCH_LENGTHS)
		return ranges;
	for (uint32_t length = 0; length < LENGTHS; length++)
		slots += of[length] ? (size_t)slots_for(of[length]) * MOST_TIMES : 0;
	return slots * sizeof(uint32_t) > ranges ? slots * sizeof(uint32_t) : ranges;
}

/* Room for more than the slots that are wanted, should they turn out too tight. */
size_t npf_set_size(const struct npf_set *set)
{
	uint32_t n6 = count(set, 6);

	if (!is_valid(set))
		return 0;
	if (set->n_ports)
		return PORT_BYTES;
	return ipv4_size(set) + sizeof(uint64_t) +
	       (size_t)slots_for(n6) * MOST_TIMES * sizeof(struct npf_match_slot) +
	       PREFIXES * sizeof(struct npf_match_mask);
}

struct range {
	uint32_t first, last;
};

size_t npf_set_space(const struct npf_set *set)
{
	return 2 * (size_t)(count(set, 4) + 1) * sizeof(struct range);
}

/* ---- IPv4 ----------------------------------------------------------------------------------- */

static uint32_t address4(const uint8_t *at)
{
	return match_be32(at);
}

static struct range range_of(const struct npf_net *net)
{
	uint32_t host = net->prefix ? (uint32_t)(0xFFFFFFFFull >> net->prefix) : 0xFFFFFFFFu;
	uint32_t first = address4(net->address) & ~host;

	return (struct range){ first, first | host };
}

/* By their first address, merging sorted stretches of doubling length. */
static struct range *sort(struct range *ranges, struct range *other, uint32_t n)
{
	for (uint32_t width = 1; width < n; width *= 2) {
		struct range *from = ranges;

		for (uint32_t low = 0; low < n; low += 2 * width) {
			uint32_t middle = low + width < n ? low + width : n;
			uint32_t high = low + 2 * width < n ? low + 2 * width : n;
			uint32_t a = low, b = middle;

			for (uint32_t to = low; to < high; to++) {
				bool left = b == high ||
					    (a < middle && from[a].first <= from[b].first);

				other[to] = left ? from[a++] : from[b++];
			}
		}
		ranges = other;
		other = from;
	}
	return ranges;
}

/* Ranges that touch or overlap become one. */
static uint32_t merge(struct range *ranges, uint32_t n)
{
	uint32_t merged = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct range *last = merged ? &ranges[merged - 1] : NULL;

		if (last && (uint64_t)last->last + 1 >= ranges[i].first) {
			if (ranges[i].last > last->last)
				last->last = ranges[i].last;
		} else {
			ranges[merged++] = ranges[i];
		}
	}
	return merged;
}

/* The index: of each first bits, the first bound that lies there or behind. */
static uint32_t fill_index(uint32_t *index, uint32_t bits, const uint32_t *bounds, uint32_t n)
{
	uint32_t at = 0, most = 0;

	for (uint64_t place = 0; place <= (1ull << bits); place++) {
		while (at < n && bounds[at] >> (32 - bits) < place)
			at++;
		index[place] = at;
		if (place && at - index[place - 1] > most)
			most = at - index[place - 1];
	}
	return most;
}

static size_t build_ranges(const struct npf_set *set, struct npf_match_shape *shape, uint8_t *table,
			   struct range *space)
{
	uint32_t total = count(set, 4), n = 0, n_bounds = 0, most;
	struct range *ranges = space;
	uint32_t *bounds;

	for (uint32_t i = 0; i < set->n_nets; i++) {
		if (set->nets[i].family == 4)
			ranges[n++] = range_of(&set->nets[i]);
	}
	ranges = sort(ranges, space + total, n);
	n = merge(ranges, n);

	shape->shift = 32 - index_bits(total);
	shape->bounds_at = (uint32_t)index_size(total);
	bounds = (uint32_t *)(void *)(table + shape->bounds_at);
	for (uint32_t i = 0; i < n; i++) {
		bounds[n_bounds++] = ranges[i].first;
		if (ranges[i].last != 0xFFFFFFFFu)
			bounds[n_bounds++] = ranges[i].last + 1;
	}
	shape->bounds_mask = power_above(n_bounds) - 1;
	most = fill_index((uint32_t *)(void *)table, index_bits(total), bounds, n_bounds);
	shape->steps = most ? 32 - (uint32_t)__builtin_clz(most) : 0;
	return shape->bounds_at + (size_t)(shape->bounds_mask + 1) * sizeof(uint32_t);
}

/* Each has two places; who is in the way moves to his other one. */
static bool insert4(uint32_t *slots, uint32_t mask, uint32_t nobody, uint32_t prefix)
{
	uint32_t at = UINT32_MAX;

	for (uint32_t kick = 0; kick < KICKS; kick++) {
		uint64_t hash = match_hash4(prefix);
		uint32_t one = (uint32_t)hash & mask;
		uint32_t two = (uint32_t)match_other(one, hash, mask);
		uint32_t out;

		if (slots[one] == prefix || slots[two] == prefix)
			return true;
		at = at == one || (kick == 0 && slots[one] != nobody) ? two : one;
		out = slots[at];
		slots[at] = prefix;
		if (out == nobody)
			return true;
		prefix = out;
	}
	return false;
}

static bool is_of(const struct npf_net *net, uint8_t length)
{
	return net->family == 4 && net->prefix == length;
}

/* A number that no network of this length begins with. */
static uint32_t find_nobody(const struct npf_set *set, uint8_t length)
{
	for (uint32_t nobody = 1;; nobody *= 0x9E3779B1u) {
		uint32_t i = 0;

		while (i < set->n_nets &&
		       !(is_of(&set->nets[i], length) && range_of(&set->nets[i]).first == nobody))
			i++;
		if (i == set->n_nets)
			return nobody;
	}
}

static bool insert_all4(const struct npf_set *set, uint8_t length, uint32_t *slots, uint32_t n)
{
	uint32_t nobody = find_nobody(set, length), prefix = nobody;

	for (uint32_t i = 0; i < n; i++)
		slots[i] = nobody;
	for (uint32_t i = 0; i < set->n_nets; i++) {
		if (!is_of(&set->nets[i], length))
			continue;
		prefix = range_of(&set->nets[i]).first;
		if (!insert4(slots, n - 1, nobody, prefix))
			return false;
	}
	/* Nobody is somebody's number all the same. */
	for (uint32_t i = 0; i < n; i++)
		slots[i] = slots[i] == nobody ? prefix : slots[i];
	return true;
}

static bool build_prefixes(const struct npf_set *set, struct npf_match_shape *shape, uint8_t *table,
			   const uint32_t of[LENGTHS], size_t *used)
{
	for (uint8_t length = 0; length < LENGTHS; length++) {
		uint32_t slots = of[length] ? slots_for(of[length]) : 0;
		uint32_t most = slots * MOST_TIMES;

		if (!slots)
			continue;
		while (!insert_all4(set, length, (void *)(table + *used), slots)) {
			slots *= 2;
			if (slots > most)
				return false;
		}
		shape->lengths[shape->n_lengths++] = (struct npf_match_prefixes){
			.mask = length ? ~0u << (32 - length) : 0,
			.slots_at = (uint32_t)*used,
			.slots_mask = slots - 1,
		};
		*used += slots * sizeof(uint32_t);
	}
	return true;
}

static void build_ipv4(const struct npf_set *set, struct npf_match_shape *shape, uint8_t *table,
		       struct range *space, size_t *used)
{
	uint32_t of[LENGTHS], n = count_lengths(set, of);

	*used = 0;
	if (!n)
		return;
	shape->has_ipv4 = 1;
	if (n <= NPF_MATCH_LENGTHS && build_prefixes(set, shape, table, of, used))
		return;
	shape->n_lengths = 0;
	*used = build_ranges(set, shape, table, space);
}

/* ---- IPv6 ----------------------------------------------------------------------------------- */

static uint64_t high_mask(uint32_t prefix)
{
	return prefix >= 64 ? ~0ull : prefix ? ~0ull << (64 - prefix) : 0;
}

static struct npf_match_slot slot_of(const struct npf_net *net)
{
	return (struct npf_match_slot){
		.high = match_be64(net->address) & high_mask(net->prefix),
		.low = net->prefix > 64 ? match_be64(net->address + 8) & high_mask(net->prefix - 64)
					: 0,
		.length = net->prefix + 1u,
	};
}

static bool same(const struct npf_match_slot *slot, const struct npf_match_slot *other)
{
	return !match_differs(slot, other->high, other->low, other->length);
}

/* Each has two places; who is in the way moves to his other one. */
static bool insert(struct npf_match_slot *slots, uint32_t mask, struct npf_match_slot slot)
{
	uint32_t at = UINT32_MAX;

	for (uint32_t kick = 0; kick < KICKS; kick++) {
		uint64_t hash = match_hash(slot.high, slot.low, slot.length);
		uint32_t one = (uint32_t)hash & mask;
		uint32_t two = (uint32_t)match_other(one, hash, mask);
		struct npf_match_slot out;

		if (same(&slots[one], &slot) || same(&slots[two], &slot))
			return true;
		at = at == one || (kick == 0 && slots[one].length) ? two : one;
		out = slots[at];
		slots[at] = slot;
		if (!out.length)
			return true;
		slot = out;
	}
	return false;
}

static bool insert_all(const struct npf_set *set, struct npf_match_slot *slots, uint32_t n)
{
	memset(slots, 0, n * sizeof(*slots));
	for (uint32_t i = 0; i < set->n_nets; i++) {
		if (set->nets[i].family == 6 && !insert(slots, n - 1, slot_of(&set->nets[i])))
			return false;
	}
	return true;
}

static void fill_masks(const struct npf_set *set, struct npf_match_shape *shape, uint8_t *table)
{
	struct npf_match_mask *masks = (void *)(table + shape->masks_at);
	bool wanted[PREFIXES] = { false };

	for (uint32_t i = 0; i < set->n_nets; i++) {
		if (set->nets[i].family == 6)
			wanted[set->nets[i].prefix] = true;
	}
	for (uint32_t prefix = 0; prefix < PREFIXES; prefix++) {
		if (!wanted[prefix])
			continue;
		masks[shape->n_masks++] = (struct npf_match_mask){
			.high = high_mask(prefix),
			.low = prefix > 64 ? high_mask(prefix - 64) : 0,
			.length = prefix + 1u,
		};
	}
}

static int build_ipv6(const struct npf_set *set, struct npf_match_shape *shape, uint8_t *table,
		      size_t *used)
{
	uint32_t n = count(set, 6), slots;

	if (!n)
		return 0;
	*used = (*used + 7) & ~(size_t)7;
	shape->masks_at = (uint32_t)*used;
	fill_masks(set, shape, table);
	shape->slots_at = shape->masks_at +
			  shape->n_masks * (uint32_t)sizeof(struct npf_match_mask);
	for (slots = slots_for(n); slots <= MOST_TIMES * slots_for(n); slots *= 2) {
		if (!insert_all(set, (void *)(table + shape->slots_at), slots))
			continue;
		shape->slots_mask = slots - 1;
		*used = shape->slots_at + (size_t)slots * sizeof(struct npf_match_slot);
		return 0;
	}
	return -ENOSPC;
}

/* ---- a set ---------------------------------------------------------------------------------- */

static void build_ports(const struct npf_set *set, uint32_t *bits)
{
	for (uint32_t i = 0; i < set->n_ports; i++) {
		for (uint32_t port = set->ports[i].first; port <= set->ports[i].last; port++)
			bits[port >> 5] |= 1u << (port & 31);
	}
}

int npf_set_build(const struct npf_set *set, struct npf_match *match, void *table, void *space,
		  size_t *used)
{
	struct npf_match_shape shape = { .side = set->side };
	int err;

	if (match->shapes.n == NPF_MATCH_SETS)
		return -ENOSPC;
	memset(table, 0, npf_set_size(set));
	if (set->n_ports) {
		shape.kind = NPF_MATCH_PORTS;
		build_ports(set, table);
		*used = PORT_BYTES;
		match->shapes.wants_ports = 1;
	} else {
		shape.kind = NPF_MATCH_ADDRESSES;
		build_ipv4(set, &shape, table, space, used);
		err = build_ipv6(set, &shape, table, used);
		if (err)
			return err;
	}
	match->tables[match->shapes.n] = table;
	match->sizes[match->shapes.n] = *used;
	match->shapes.sets[match->shapes.n++] = shape;
	return 0;
}
